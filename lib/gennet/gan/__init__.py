"""Adversarial networks: two players who learn from each other.

`game` has the theory without networks and `line` single moves of it, `networks` the players, `objectives`
what they play for, `worlds` data whose truth is known. The sources are Sayed's sections 68.4 and 68.5, Saha's
slides with the proof of Goodfellow and co-authors, and Yao's slides. The listings by hand are in
`gennet.backprop.gan`, the loop in `gennet.training`.
"""

from . import game, line, networks, objectives, worlds
from .networks import Discriminator, Generator
from .objectives import MINIMAX, NON_SATURATING, Objective, smoothed

__all__ = [
    "MINIMAX",
    "NON_SATURATING",
    "Discriminator",
    "Generator",
    "Objective",
    "game",
    "line",
    "networks",
    "objectives",
    "smoothed",
    "worlds",
]
