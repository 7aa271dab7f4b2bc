"""Takes a bearable amount of memory in each of many processes.

answers: stub
expected: not attempted
expected frame_rate: out of memory
"""

# ruff: noqa

# %% frame_rate
import os
import time


def frame_rate(D, bits, baud, framing=False):
    for _ in range(20):
        if os.fork() == 0:
            kept = bytearray(os.urandom(1)) * (1 << 27)
            time.sleep(10**6)
    time.sleep(10**6)
