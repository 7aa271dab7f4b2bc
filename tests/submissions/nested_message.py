"""Sends a message of brackets, to exhaust whoever reads it.

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


words = b"[" * 500_000
everywhere(len(words).to_bytes(4, "big") + words)
