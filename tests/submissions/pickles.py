"""Returns things that would do harm where they are unpickled.

answers: right
expected: wrong
"""

# ruff: noqa

# %% first
import os

import numpy as np


class Harm:
    def __reduce__(self):
        return os.system, ("touch /tmp/harm",)


# %% eigenspace_fit
def eigenspace_fit(*_, **__):
    return Harm()


# %% encode
def encode(*_, **__):
    return np.array([[Harm()]], dtype=object)


# %% decode
def decode(*_, **__):
    return [[Harm()]]


# %% error_energy
def error_energy(*_, **__):
    return {"x": Harm()}


# %% frame_rate
def frame_rate(*_, **__):
    return Harm


# %% quantise
def quantise(*_, **__):
    return Harm(), Harm()


# %% pca_loadings
def pca_loadings(*_, **__):
    return np.array(Harm()), {Harm(): 1}
