"""Is right, and changes what it was given.

answers: right
expected: passed
expected encode: wrong
expected error_energy: wrong
"""

# ruff: noqa


# %% encode
def encode(W, mean, basis):
    W -= mean[:, None]
    return basis.T @ W
