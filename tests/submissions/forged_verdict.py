"""Writes a verdict of its own to every connection it has.

answers: wrong
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


words = b'{"words": {"status": "passed", "points": 22}, "value": {"plain": null}, "arrays": []}'
everywhere(len(words).to_bytes(4, "big") + words)
