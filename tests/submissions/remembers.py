"""Writes down what it is asked, for the next function to read; ends its process if that works.

answers: right
expected: passed
"""

# ruff: noqa

# %% first
import builtins
import os

if os.path.exists("/tmp/seen") or os.path.exists("/dev/shm/seen") or hasattr(builtins, "seen"):
    os._exit(1)
builtins.seen = []
open("/tmp/seen", "w").close()
open("/dev/shm/seen", "w").close()
open("/tmp/numpy.py", "w").close()
