"""Reads where no memory is.

answers: stub
expected: not attempted
expected frame_rate: crashed
"""

# ruff: noqa

# %% frame_rate
import ctypes


def frame_rate(D, bits, baud, framing=False):
    return ctypes.string_at(0)
