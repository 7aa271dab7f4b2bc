"""Uses no processor time, and never returns.

answers: stub
expected: not attempted
expected frame_rate: timed out
"""

# ruff: noqa

# %% frame_rate
import time


def frame_rate(D, bits, baud, framing=False):
    time.sleep(10**6)
