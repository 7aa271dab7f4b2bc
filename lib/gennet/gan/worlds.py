"""Worlds whose truth is known: Gaussians on a ring and on a grid, and how many of them a generator has found.

They are the usual tests for collapse: L. Metz and others (2017) for the ring of 8, A. Srivastava and others
(2017) for the grid of 25 and for both scores. Left out: scores for pictures, where nobody knows the modes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class World(NamedTuple):
    """A mixture of equally frequent round Gaussians in the plane.

    Attributes
    ----------
    centres : ndarray of shape (K, 2)
    sd : float
        Standard deviation of each in both directions.
    """

    centres: Array
    sd: float

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n points, ``(n, 2)``."""
        of = rng.integers(len(self.centres), size=n)
        return self.centres[of] + self.sd * rng.standard_normal((n, 2))

    def density(self, x: ArrayLike) -> Array:
        """Return the density at points ``(..., 2)``."""
        squares = ((np.asarray(x)[..., None, :] - self.centres) ** 2).sum(axis=-1)
        return np.exp(-squares / (2 * self.sd**2)).mean(axis=-1) / (2 * np.pi * self.sd**2)


def ring(K: int = 8, radius: float = 2.0, sd: float = 0.1) -> World:
    """Return K Gaussians at equal distances on a circle."""
    angle = 2 * np.pi * np.arange(K) / K
    return World(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), sd)


def grid(side: int = 5, spacing: float = 1.0, sd: float = 0.1) -> World:
    """Return ``side`` x ``side`` Gaussians on a square grid around the origin."""
    line = spacing * (np.arange(side) - (side - 1) / 2)
    return World(np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2), sd)


class Coverage(NamedTuple):
    """What a generator has found of a world."""

    modes: int
    """Modes covered: those with at least a tenth of the good samples that an equal share would give them."""
    good: float
    """Share of good samples: within three standard deviations of a centre."""


def coverage(samples: ArrayLike, world: World) -> Coverage:
    """Count the modes that samples ``(n, 2)`` cover, and the share of samples that lie on any.

    Points drawn from the world itself are good with probability 1 - exp(-9/2), about 0.989.

    Raises
    ------
    ValueError
        If the samples are no points of the plane, or fewer than 20 for each mode: then a mode may be missed
        by chance.

    Examples
    --------
    >>> world = ring()
    >>> coverage(np.repeat(world.centres[:3], 100, axis=0), world)  # three centres, again and again
    Coverage(modes=3, good=1.0)
    """
    samples = np.asarray(samples, dtype=float)
    K = len(world.centres)
    if samples.ndim != 2 or samples.shape[1] != 2 or len(samples) < 20 * K or not np.isfinite(samples).all():
        raise ValueError(
            f"coverage: expected at least {20 * K} finite points (n, 2), 20 for each of {K} modes; "
            f"got shape {samples.shape}."
        )
    distances = np.linalg.norm(samples[:, None] - world.centres, axis=-1)  # (n, K)
    good = distances.min(axis=1) <= 3 * world.sd
    found = np.bincount(distances.argmin(axis=1)[good], minlength=K)
    return Coverage(int((found >= max(1, good.sum() / (10 * K))).sum()), float(good.mean()))
