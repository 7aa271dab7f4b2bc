"""The stored results of chapter 04 are what its experiments give, where the data are at hand."""

import numpy as np

from gennet import reproduce


def test_stored_faces_by_distance_are_reproduced(at_hand):
    """One division of the five and one length; times are those of the machine that measured them."""
    at_hand("olivetti")
    stored = reproduce.stored("autoencoder_olivetti")
    now = reproduce.autoencoder_olivetti(divisions=1, lengths=(15,))
    np.testing.assert_allclose(now["energy"], stored["energy"][:1], rtol=1e-4)
    assert now["auc"].keys() == stored["auc"].keys() == stored["microseconds"].keys()
    for name in now["auc"]:
        np.testing.assert_allclose(now["auc"][name]["15"], stored["auc"][name]["15"][:1], atol=1e-3)
        np.testing.assert_allclose(now["error"][name]["15"], stored["error"][name]["15"][:1], rtol=1e-3)
    for name, areas in now["longer"].items():  # 1600 steps: rounding errors have had time to grow
        np.testing.assert_allclose(areas, stored["longer"][name][:1], atol=5e-3)


def test_stored_features_of_mnist_are_reproduced(at_hand):
    """One seed of the three, few labels and one length."""
    at_hand("mnist")
    stored = reproduce.stored("autoencoder_mnist")
    now = reproduce.autoencoder_mnist(seeds=1, labels=(1, 10), lengths=(10,))
    assert now["accuracy"].keys() == stored["accuracy"].keys()
    for name, by_number in now["accuracy"].items():
        for n, shares in by_number.items():
            np.testing.assert_allclose(shares, stored["accuracy"][name][n][:1], atol=5e-3)
    for name, by_length in now["error"].items():
        np.testing.assert_allclose(by_length["10"], stored["error"][name]["10"][:1], atol=5e-3)
