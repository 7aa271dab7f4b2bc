"""The stored results of chapter 10 are what its experiments give, where the data are at hand."""

import pytest

from gennet import reproduce
from gennet.reproduce.conditional_adversarial import DESIGNS, start


@pytest.mark.parametrize("name", DESIGNS)
def test_first_rounds_are_reproduced(at_hand, name):
    """The stored trainings are too long for a test; the same program's first 20 rounds have these losses."""
    at_hand("mnist")
    stored = reproduce.stored("cgan_mnist")["start"][name]
    assert start(name) == pytest.approx(stored, abs=2e-3)  # float32


def test_what_the_chapter_reads_in_the_stored_values():
    stored = reproduce.stored("cgan_mnist")
    assert 0.9 < stored["judge"] <= 1
    for name in DESIGNS:
        result = stored[name]
        assert len(result["by digit"]) == 10 and len(result["pictures"]) == 40
        mean = sum(result["accuracy"]) / len(result["accuracy"])
        assert mean == pytest.approx(sum(result["by digit"]) / 10, abs=1e-3)
        assert {len(picture) for picture in result["pictures"]} == {784}
