"""Writes garbage to every connection it has.

answers: right
expected: tampered
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


everywhere(bytes(range(255, 0, -1)) * 1000)
