"""Replaces what writes the messages.

answers: wrong
expected: tampered
"""

# ruff: noqa

# %% last
from gennet.grading import wire

wire.encode = lambda *_, **__: b"\0\0\0\2{}"
