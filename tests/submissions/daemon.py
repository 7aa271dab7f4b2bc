"""Leaves processes behind that have nothing to do with it any more, and hold its connections open.

answers: right
expected: passed
"""

# ruff: noqa

# %% first
import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(10**6)
    os._exit(0)
