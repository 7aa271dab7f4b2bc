"""Raises an exception that does harm when it is described.

answers: stub
expected: not attempted
expected frame_rate: raised an exception
"""

# ruff: noqa

# %% frame_rate
import os


class Harm(Exception):
    def __str__(self):
        raise SystemExit

    __repr__ = __str__


def frame_rate(D, bits, baud, framing=False):
    raise Harm
