"""Stops its own process, so that it neither answers nor ends; as first process of its world it cannot.

answers: stub
expected: not attempted
expected frame_rate: not attempted
"""

# ruff: noqa

# %% frame_rate
import os
import signal


def frame_rate(D, bits, baud, framing=False):
    os.kill(os.getpid(), signal.SIGSTOP)
