"""Takes all memory it can get.

answers: stub
expected: not attempted
expected frame_rate: out of memory or timed out
"""

# ruff: noqa


# %% frame_rate
def frame_rate(D, bits, baud, framing=False):
    return [bytearray(1 << 24) for _ in range(10**6)]
