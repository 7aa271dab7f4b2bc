"""Takes memory that counts for no process alone.

answers: stub
expected: not attempted
expected frame_rate: out of memory or timed out
"""

# ruff: noqa

# %% frame_rate
import mmap


def frame_rate(D, bits, baud, framing=False):
    kept = []
    while True:
        kept.append(mmap.mmap(-1, 1 << 26))
        kept[-1].write(b"x" * (1 << 26))
