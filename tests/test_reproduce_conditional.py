"""The stored results of chapter 07 are what its experiments give, where the data are at hand."""

import numpy as np

from gennet import reproduce


def test_stored_digits_are_reproduced(at_hand):
    """One seed of the three, two latents, labels told; shares are of 2000 drawings."""
    at_hand("mnist")
    stored = reproduce.stored("conditional_mnist")
    now = reproduce.conditional_mnist(seeds=(0,), lengths=(2,), etas=())
    assert abs(now["judge"] - stored["judge"]) < 0.01
    for name in ("without label", "with label"):
        np.testing.assert_allclose(now["bound"][name]["2"], stored["bound"][name]["2"][:1], atol=0.5)
        told = "digit from latents"
        np.testing.assert_allclose(now[told][name]["2"], stored[told][name]["2"][:1], atol=0.02)
    for key in ("asked", "redrawn", "by bound"):
        np.testing.assert_allclose(now[key]["2"], stored[key]["2"][:1], atol=0.02)


def test_stored_recommendations_are_reproduced(at_hand):
    """One division of the five, and the methods that take little time."""
    at_hand("movielens")
    stored = reproduce.stored("recommender_movielens")
    names = ("popularity", "truncated SVD", "item means", "least squares")
    now = reproduce.recommender_movielens(seeds=(0,), names=names)
    assert (now["users"], now["films"], now["density"]) == (
        stored["users"], stored["films"], stored["density"]
    )  # fmt: skip
    assert set(now["recall"]) == set(names) < set(stored["recall"])
    for key in ("recall", "ndcg", "star error"):
        for name, values in now[key].items():
            np.testing.assert_allclose(values, stored[key][name][:1], atol=2e-3)
    for name in names:
        assert now["settings"][name] == stored["settings"][name][:1]


def test_stored_results_say_what_the_chapter_says():
    """The label makes the bound larger; zeros are no stars; linear factors are hard to beat on few users."""
    mnist, films = (reproduce.stored(name) for name in ("conditional_mnist", "recommender_movielens"))
    for P in map(str, mnist["lengths"]):
        assert min(mnist["bound"]["with label"][P]) > max(mnist["bound"]["without label"][P])
        with_label, without = (
            mnist["digit from latents"][f"{name} label"][P] for name in ("with", "without")
        )
        assert max(with_label) < min(without)
    assert min(films["star error"]["VAE, zeros"]) > 2 > max(films["star error"]["least squares"])
    ndcg = {name: np.array(values) for name, values in films["ndcg"].items()}
    assert (ndcg["truncated SVD"] > ndcg["popularity"]).all()
    assert (ndcg["VAE, multinomial"] > ndcg["popularity"]).all()
    assert all(len(values) == 5 for values in films["recall"].values())
