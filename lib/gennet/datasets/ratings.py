"""A small world of users who rate items, in which the truth behind the missing ratings is known.

It serves the recommender of Example 68.2 (Sayed) and its erratum S14: a missing rating is neither a zero nor
a dislike. People rate what they like and what everybody has seen, so that ratings are not missing at random.
Left out on purpose: time, text, and users who influence each other.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, ndtr

_NOISE = 0.7  # stars: how far a user's rating of one item varies around the user's taste


@dataclass(frozen=True)
class Ratings:
    """Ratings and the truth behind them; U users, I items.

    Attributes
    ----------
    observed : ndarray of shape (U, I)
        Ratings of 0.5, 1, ... 5 stars; NaN where the user did not rate the item.
    expected : ndarray of shape (U, I)
        Expected rating of every item by every user, in stars, rated or not.
    probability : ndarray of shape (U, I)
        Probability that the user rates the item, in (0, 1). It depends on the expected rating but not on the
        rating's own luck: a rating that is there has the mean `expected`.
    user_group, item_group : ndarray of shape (U,) and (I,)
        The taste group of each user and the kind of each item, 0 ... rank - 1; a group likes its own kind.
    """

    observed: np.ndarray
    expected: np.ndarray
    probability: np.ndarray
    user_group: np.ndarray
    item_group: np.ndarray


def ratings(
    n_users: int = 600,
    n_items: int = 300,
    *,
    rank: int = 4,
    density: float = 0.1,
    preference: float = 1.2,
    seed: int = 0,
) -> Ratings:
    """Draw a world of ratings with `rank` taste groups.

    The utility of an item for a user is t = 3 + a_u + b_i + <w_u, v_i> stars, with factors w of users and v
    of items, of length `rank`, that scatter around those of their groups. A rating is t plus Gaussian noise,
    rounded to half stars and cut to 0.5 ... 5, so its expectation is known exactly. The log odds of being
    rated are the sum of the user's activity, the item's popularity (long-tailed, after Zipf's law) and
    `preference` times the expected rating.

    Parameters
    ----------
    n_users, n_items
        Sizes U and I, at least 2.
    rank
        Number of taste groups and of factors, from 1 to the smaller of U and I.
    density
        Expected share of ratings that are there, in (0, 0.9]. Where it is low, a user may have none.
    preference
        How much likelier people rate what they like, in log odds per star; 0 leaves activity and popularity.
    seed
        Seed of all draws.

    Returns
    -------
    Ratings
        The observed table and the truth.

    Raises
    ------
    ValueError
        When a size, `rank`, `density` or `preference` is out of range.

    Examples
    --------
    >>> world = ratings(50, 20, density=0.2)
    >>> world.observed.shape, bool(0.1 < np.mean(~np.isnan(world.observed)) < 0.3)
    ((50, 20), True)
    """
    if n_users < 2 or n_items < 2:
        raise ValueError(f"ratings: expected at least 2 users and 2 items, got {n_users} and {n_items}.")
    if not 1 <= rank <= min(n_users, n_items):
        raise ValueError(f"ratings: rank must lie in [1, {min(n_users, n_items)}], got {rank}.")
    if not 0 < density <= 0.9:
        raise ValueError(f"ratings: density must lie in (0, 0.9], got {density}.")
    if not 0 <= preference <= 10:
        raise ValueError(f"ratings: preference must lie in [0, 10], got {preference}.")
    rng = np.random.default_rng(seed)

    user_group, item_group = rng.integers(rank, size=n_users), rng.integers(rank, size=n_items)
    w = 1.3 * (np.eye(rank)[user_group] - 1 / rank) + 0.3 * rng.standard_normal((n_users, rank))
    v = np.eye(rank)[item_group] + 0.3 * rng.standard_normal((n_items, rank))
    a, b = 0.3 * rng.standard_normal((n_users, 1)), 0.4 * rng.standard_normal(n_items)
    utility = 3 + a + b + w @ v.T  # (U, I)
    borders = np.arange(0.75, 5, 0.5)  # between two half stars
    expected = 0.5 + 0.5 * sum(ndtr((utility - border) / _NOISE) for border in borders)

    activity = 0.6 * rng.standard_normal((n_users, 1))
    popularity = -np.log(5 + rng.permutation(n_items))
    log_odds = activity + popularity + preference * expected
    offset = brentq(lambda c: expit(c + log_odds).mean() - density, -100, 100)
    probability = expit(offset + log_odds)

    noisy = utility + _NOISE * rng.standard_normal(utility.shape)
    stars = np.clip(np.round(2 * noisy) / 2, 0.5, 5)
    observed = np.where(rng.random(utility.shape) < probability, stars, np.nan)
    return Ratings(observed, expected, probability, user_group, item_group)
