"""No attack: right answers in another style, with helpers, SciPy and a failing scratch cell.

answers: right
expected: passed
"""

# ruff: noqa

# %% first
import numpy as np
from scipy import linalg

undefined_name


# %% eigenspace_fit
def eigenspace_fit(W, D):
    mean = W.mean(axis=1)
    U, s, _ = linalg.svd(W - mean[:, None], full_matrices=False)
    return {"mean": mean}["mean"], U[:, :D], list(s[:D] ** 2 / W.shape[1])


# %% frame_rate
from fractions import Fraction

BAUD = 10


def frame_rate(D, bits, baud, framing=False):
    return helper(D, bits, baud, 10 if framing else 8)


# %% last
def helper(D, each, baud, byte):
    return Fraction(baud, 1) / (D * each * byte)
