"""The stored results of chapter 01 are what its experiment gives, where the data are at hand."""

import numpy as np

from gennet import reproduce


def test_stored_eigenspace_result_is_reproduced(at_hand):
    at_hand("olivetti")
    stored, now = reproduce.stored("eigenspace_olivetti"), reproduce.eigenspace_olivetti()
    assert now["lengths"] == stored["lengths"]
    for part in ("error", "spread"):
        for group, values in stored[part].items():
            np.testing.assert_allclose(now[part][group], values, atol=2e-5)  # stored with five digits
