"""Never returns.

answers: right
expected: passed
expected encode: timed out
expected error_energy: timed out
"""

# ruff: noqa


# %% encode
def encode(W, mean, basis):
    while True:
        pass
