"""Uses the course's own models as its answers.

answers: right
expected: passed
expected eigenspace_fit: raised an exception
expected frame_rate: raised an exception
"""

# ruff: noqa

# %% first
import numpy as np

from gennet import codec
from gennet.eigenspace import Eigenspace


# %% eigenspace_fit
def eigenspace_fit(W, D):
    space = Eigenspace(n_components=D).fit(W.T)
    return space.mean_, space.basis_.T, space.eigenvalues_[:D]


# %% frame_rate
from gennet.codec import frame_rate
