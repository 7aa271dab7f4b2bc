"""Ends the process in its first cell.

answers: right
expected: crashed
"""

# ruff: noqa

# %% first
import os

os._exit(0)
