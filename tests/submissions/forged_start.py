"""Sends the first message of the protocol itself, and leaves.

answers: wrong
expected: crashed
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


import json

NAMES = "eigenspace_fit encode decode error_energy frame_rate quantise pca_loadings".split()
words = {"states": dict.fromkeys(NAMES, "written"), "notes": [], "slow": []}
words = json.dumps({"words": words, "value": {"plain": None}, "arrays": []}).encode()
everywhere(len(words).to_bytes(4, "big") + words)
os._exit(0)
