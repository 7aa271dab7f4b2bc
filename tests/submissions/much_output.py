"""Prints a lot, and answers.

answers: right
expected: passed
"""

# ruff: noqa

# %% first
import sys

for _ in range(1000):
    print("x" * 10_000)
    sys.stderr.write("y" * 10_000)
