"""Returns values that are nearly arrays, or that are equal to everything.

answers: right
expected: wrong
expected eigenspace_fit: raised an exception
"""

# ruff: noqa

# %% first
import numpy as np


class Equal(np.ndarray):
    def __eq__(self, other):
        return np.ones(np.shape(other), dtype=bool)

    def __array_ufunc__(self, *_, **__):
        return True


class Everything(float):
    def __eq__(self, other):
        return True

    def __sub__(self, other):
        return 0.0

    __rsub__ = __sub__


cycle = []
cycle.append(cycle)


# %% eigenspace_fit
def eigenspace_fit(*arguments, **__):
    return cycle


# %% encode
def encode(*arguments, **__):
    return np.zeros((2, 4)).view(Equal)


# %% decode
def decode(*arguments, **__):
    return np.full((3, 4), np.nan)


# %% error_energy
def error_energy(*arguments, **__):
    return 10**10_000


# %% frame_rate
def frame_rate(*arguments, **__):
    return Everything(1)


# %% quantise
def quantise(*arguments, **__):
    return "x" * 100_000, "\ud800"


# %% pca_loadings
def pca_loadings(*arguments, **__):
    return np.zeros(3, dtype=[("a", "f8")]), np.array(["2026"], dtype="datetime64[Y]")
