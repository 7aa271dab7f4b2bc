"""Starts as many threads as it can, then answers.

answers: stub
expected: not attempted
expected frame_rate: raised an exception
"""

# ruff: noqa

# %% frame_rate
import threading


def frame_rate(D, bits, baud, framing=False):
    while True:
        threading.Thread(target=threading.Event().wait).start()
