"""The stored results of chapter 08 are what its experiment gives, where the data are at hand."""

import numpy as np
import pytest

from gennet import reproduce
from gennet.gan import game
from gennet.reproduce.adversarial import adversary_mnist


def test_stored_values_are_reproduced(at_hand):
    """One network of the fifteen, that of share ½ and seed 0."""
    at_hand("mnist")
    stored, now = reproduce.stored("adversary_mnist"), adversary_mnist(seeds=1, shares=(0.5,))
    n = stored["shares"].index(0.5)
    assert now["exact"] == [stored["exact"][n]]
    for key in ("learnt from", "new", "error"):
        np.testing.assert_allclose(now[key][0], stored[key][n][:1], atol=2e-4)  # stored with four digits


def test_stored_exact_values_are_those_of_a_table():
    """Half of the mass of one law on the points of the other, by the general formula."""
    stored = reproduce.stored("adversary_mnist")
    real, elsewhere = np.array([0.7, 0.3, 0]), np.array([0, 0, 1.0])
    for share, exact in zip(stored["shares"], stored["exact"], strict=True):
        C = game.best_value(real, share * real + (1 - share) * elsewhere)
        assert exact == pytest.approx(C, abs=1e-4)


def test_what_the_chapter_reads_in_the_stored_values():
    stored = reproduce.stored("adversary_mnist")
    new, exact = np.array(stored["new"]), np.array(stored["exact"])
    assert (new.mean(axis=1) < exact).all()  # a lower bound
    assert np.mean(stored["learnt from"][-1]) > -np.log(4)  # digits learnt by heart
