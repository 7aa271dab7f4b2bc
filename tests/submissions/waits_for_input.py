"""Asks for input that nobody will type, in a cell and in an answer.

answers: right
expected: passed
expected frame_rate: raised an exception
"""

# ruff: noqa

# %% first
name = input("Your name? ")


# %% frame_rate
def frame_rate(D, bits, baud, framing=False):
    return float(input("How many? "))
