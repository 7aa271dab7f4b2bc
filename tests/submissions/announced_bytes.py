"""Announces an array larger than any memory.

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


words = b'{"words": {}, "value": {"array": 0}, "arrays": [["<f8", [1048576, 1048576, 1048576]]]}'
everywhere(len(words).to_bytes(4, "big") + words)
