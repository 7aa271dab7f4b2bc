"""Closes every connection it has.

answers: right
expected: crashed
"""

# ruff: noqa

# %% first
import os

os.closerange(0, 256)
