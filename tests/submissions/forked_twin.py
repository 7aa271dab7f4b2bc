"""Answers twice, from two processes.

answers: stub
expected: not attempted
expected frame_rate: wrong
"""

# ruff: noqa

# %% frame_rate
import os


def frame_rate(D, bits, baud, framing=False):
    os.fork()
    return (baud / (bits + 2 * framing)) / D if False else 42.0
