"""Returns far more than was asked for.

answers: stub
expected: not attempted
expected frame_rate: wrong
"""

# ruff: noqa

# %% frame_rate
import numpy as np


def frame_rate(D, bits, baud, framing=False):
    return np.zeros(1 << 24)
