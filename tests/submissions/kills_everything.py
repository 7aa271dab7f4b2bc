"""Sends a deadly signal to everything it can reach.

answers: right
expected: passed
"""

# ruff: noqa

# %% first
import os
import signal

for number in [-1, 1, os.getppid(), *range(2, 40)]:
    if number != os.getpid():
        try:
            os.kill(number, signal.SIGKILL)
        except OSError:
            pass
