"""Prints for ever.

answers: stub
expected: not attempted
expected frame_rate: timed out
"""

# ruff: noqa


# %% frame_rate
def frame_rate(D, bits, baud, framing=False):
    while True:
        print("x" * 10_000)
