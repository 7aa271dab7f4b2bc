"""Is right as often as it is called with public inputs, then wrong, and tells what it saw.

answers: right
expected: passed
expected encode: raised an exception
expected error_energy: raised an exception
"""

# ruff: noqa

# %% encode
calls = []


def encode(W, mean, basis):
    calls.append(W)
    if len(calls) > 6:
        raise ValueError(f"TOLD {W.tolist()}")
    return basis.T @ (W - mean[:, None])
