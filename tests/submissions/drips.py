"""Sends a message byte by byte, so slowly that it never ends.

answers: right
expected: timed out
"""

# ruff: noqa

# %% first
import os


def everywhere(data):
    for number in range(3, 30):
        try:
            os.write(number, data)
        except OSError:
            pass


import time

everywhere((1 << 20).to_bytes(4, "big"))
while True:
    everywhere(b" ")
    time.sleep(0.01)
