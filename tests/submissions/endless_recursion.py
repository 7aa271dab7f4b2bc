"""Calls itself for ever.

answers: stub
expected: not attempted
expected frame_rate: raised an exception
"""

# ruff: noqa


# %% frame_rate
def frame_rate(D, bits, baud, framing=False):
    return frame_rate(D, bits, baud, framing)
