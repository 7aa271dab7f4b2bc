"""The game on a line, where every density is known: one or two bumps against any discriminator.

It serves to watch single moves. The discriminator is a table of logits at equidistant points, the generator a
mean and a width.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from .game import optimal_discriminator, value

Array = NDArray[np.float64]
STEP_D, STEP_G = 2.0, 0.5


def bumps(h: Array, mean: float = 0.0, width: float = 1.0, apart: float = 0.0) -> Array:
    """Return the density of two equally heavy Gaussians, ``apart`` from each other around ``mean``.

    Examples
    --------
    >>> bumps(np.array([0.0]), width=2.0).round(4)  # one Gaussian of standard deviation 2
    array([0.1995])
    """
    return (norm.pdf(h, mean - apart / 2, width) + norm.pdf(h, mean + apart / 2, width)) / 2


def draw_bumps(
    n: int, rng: np.random.Generator, mean: float = 0.0, width: float = 1.0, apart: float = 0.0
) -> Array:
    """Draw n samples from the density `bumps`, as a column ``(n, 1)``."""
    side = rng.choice([-0.5, 0.5], size=(n, 1))
    return mean + apart * side + width * rng.standard_normal((n, 1))


class Position(NamedTuple):
    """Where the players stand.

    Attributes
    ----------
    mean, width : float
        The generator's.
    g, D : ndarray
        Its density and the discriminator's answers.
    pull : ndarray
        The way on which ln(1 - D) falls: what a fake at each point feels.
    force_mean, force_width : float
        What the generator feels: minus the slope of the value in its mean and in its width.
    value : float
        V, in nats.
    """

    mean: float
    width: float
    g: Array
    D: Array
    pull: Array
    force_mean: float
    force_width: float
    value: float


def play(h: Array, f: Array, *, mean: float, width: float, apart: float = 0.0, moves: str = "") -> Position:
    """Move the players by small steps, a letter for each: D or G; return where they stand then.

    The discriminator begins with ½ everywhere. Its logits climb the value, relative to the mass at each
    point, as in `game.alternate`; mean and width of the generator descend it. A width never falls below 0.05.

    Parameters
    ----------
    h, f
        Equidistant points and the density of the real samples there.
    mean, width, apart
        The generator at the beginning, see `bumps`.
    moves
        Such as ``"DDDG"``; small letters and spaces are allowed.

    Raises
    ------
    ValueError
        If the moves hold another letter.
    """
    moves = moves.upper().replace(" ", "")
    if other := set(moves) - {"D", "G"}:
        raise ValueError(f"play: moves are written with the letters D and G; got {', '.join(sorted(other))}.")
    z, dh = np.zeros_like(h), h[1] - h[0]

    def forces() -> tuple[Array, Array, float, float]:
        g, pull = bumps(h, mean, width, apart), expit(z) * np.gradient(z, h)  # pull = -d/dh ln(1 - D)
        side = [norm.pdf(h, mean + s * apart / 2, width) / 2 for s in (-1, 1)]
        away = sum(bump * (h - mean - s * apart / 2) / width for bump, s in zip(side, (-1, 1), strict=True))
        return g, pull, float((g * pull).sum() * dh), float((away * pull).sum() * dh)

    for move in moves:
        if move == "D":
            z = z + STEP_D * (optimal_discriminator(f, bumps(h, mean, width, apart)) - expit(z))
        else:
            _, _, force_mean, force_width = forces()
            mean, width = mean + STEP_G * force_mean, max(0.05, width + STEP_G * force_width)
    g, pull, force_mean, force_width = forces()
    D = expit(z)
    return Position(mean, width, g, D, pull, force_mean, force_width, value(D, f, g, dh))
