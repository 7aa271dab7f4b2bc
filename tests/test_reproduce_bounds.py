"""The stored result of chapter 05 is what its experiment gives, where the digits are at hand."""

import numpy as np

from gennet import reproduce


def test_stored_bounds_of_mnist_are_reproduced(at_hand):
    at_hand("mnist")
    stored, now = reproduce.stored("bound_mnist"), reproduce.bound_mnist(latents=(2,), turns=2)
    assert stored["latents"][0] == 2
    for name in ("noise", "evidence", "evidence_error", "shortfall"):
        np.testing.assert_allclose(now[name], stored[name][:1], atol=0.11 if name == "shortfall" else 0.011)
    assert now["gap"]["principal"] == [0.0]
    np.testing.assert_allclose(now["gap"]["prior"], stored["gap"]["prior"][:1], atol=0.011)
    np.testing.assert_allclose(now["gap"]["turned"][0], stored["gap"]["turned"][0][:2], atol=0.011)
    for name, variance in now["variance"].items():
        np.testing.assert_allclose(variance, stored["variance"][name][:1], rtol=0.01)


def test_stored_bounds_of_mnist_say_what_they_must():
    result = reproduce.stored("bound_mnist")
    assert result["evidence"] == sorted(result["evidence"]), "more hidden numbers explain more"
    assert result["gap"]["principal"] == [0.0, 0.0, 0.0]
    assert all(gap > 100 for gap in result["gap"]["prior"])
    for path, baseline, score in zip(
        *(result["variance"][k] for k in ("path", "baseline", "score")), strict=True
    ):
        assert path < baseline < score
