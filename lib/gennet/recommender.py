"""A variational autoencoder that recommends (Sayed, Example 68.2), and what it must be compared with.

The text puts a zero where a rating is missing and fits the zeros like stars (erratum S14). Beside it stand
the two remedies: leave them out of the likelihood, or ask another question, which items a user takes up, with
the multinomial likelihood of Liang, Krishnan, Hoffman and Jebara (2018). Left out: everything about users and
items but their ratings, and time.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import TruncatedSVD
from torch import Tensor, nn

from gennet.vae import VAE

Array = NDArray[np.float64]
GAPS = ("zeros", "masked", "multinomial")


class Division(NamedTuple):
    """Ratings, with 0 for a gap, of U users to learn from and of V others: what is shown, what is hidden.

    ``train`` has the shape ``(U, I)``, ``shown`` and ``hidden`` have ``(V, I)``.
    """

    train: Array
    shown: Array
    hidden: Array


def divide(
    ratings: ArrayLike, held_out: int, *, share: float = 0.8, least: int = 5, seed: int = 0
) -> Division:
    """Hold out some users, and hide a part of their ratings: what is shown must tell what is hidden.

    Parameters
    ----------
    ratings
        Users by items ``(U, I)``; NaN where there is no rating, else above 0.
    held_out
        How many users are held out, drawn from those with enough ratings; all others are learnt from.
    share
        Of each held-out user's ratings, how many are shown; at least one is shown and one hidden.
    least
        Users with fewer ratings are left out.
    seed
        Of both draws.

    Raises
    ------
    ValueError
        If ratings are no such table, or too few users have enough ratings, or the share is not in (0, 1).

    Examples
    --------
    >>> parts = divide(np.ones((4, 10)), 1)
    >>> parts.train.shape, int(parts.shown.sum()), int(parts.hidden.sum())
    ((3, 10), 8, 2)
    """
    ratings = np.asarray(ratings, dtype=float)
    if ratings.ndim != 2 or not np.all(np.isnan(ratings) | ((ratings > 0) & np.isfinite(ratings))):
        raise ValueError(
            "divide: expected a table of users by items, above 0, with NaN for a gap; got shape "
            f"{ratings.shape} and a smallest rating of {np.nanmin(ratings, initial=np.inf):.3g}."
        )
    if not 0 < share < 1:
        raise ValueError(f"divide: the share that is shown must lie in (0, 1), got {share}.")
    stars = np.nan_to_num(ratings)
    stars = stars[(stars > 0).sum(axis=1) >= max(least, 2)]
    if not 1 <= held_out < len(stars):
        raise ValueError(
            f"divide: cannot hold out {held_out} of {len(stars)} users who have at least {max(least, 2)} "
            "ratings."
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(stars))
    shown, hidden = stars[order[:held_out]], np.zeros((held_out, stars.shape[1]))
    for user, row in enumerate(shown):
        items = rng.permutation(np.flatnonzero(row))
        gone = items[min(max(round(share * len(items)), 1), len(items) - 1) :]
        hidden[user, gone] = row[gone]
        row[gone] = 0
    return Division(stars[order[held_out:]], shown, hidden)


class RatingVAE(VAE):
    """A variational autoencoder of users, rows of I ratings with 0 for a gap (Example 68.2).

    Parameters
    ----------
    items, P
        Numbers of items and of latents.
    hidden
        As that of `VAE`; hidden layers have the activation tanh.
    gaps
        What a gap means. ``"zeros"``: a rating of 0, as the text has it; the decoder is Gaussian.
        ``"masked"``: nothing; the likelihood is that of the ratings which are there. ``"multinomial"``: the
        item was not taken up; each item that is rated, whatever its rating, is one of n draws from
        softmax(z), and ln f(h | u) the sum of their logarithms. The row enters the encoder with length 1.
    dropout
        Which share of the ratings is kept from the encoder in training, at random each time, so that ratings
        are learnt from other ratings.
    mean
        For ``"masked"`` alone: the mean rating of each item, ``(I,)``, about which ratings are counted.

    Raises
    ------
    ValueError
        If there is no such reading of gaps, if P lies outside 1 to the number of items, or if there are mean
        ratings for another model, or not one for each item.

    Examples
    --------
    >>> model = RatingVAE(300, 8, (64,), gaps="multinomial")
    >>> scores(model, np.eye(300)[:5]).shape
    (5, 300)
    """

    def __init__(
        self,
        items: int,
        P: int,
        hidden: Sequence[int] = (),
        *,
        gaps: str,
        dropout: float = 0.5,
        mean: ArrayLike | None = None,
    ) -> None:
        if gaps not in GAPS:
            raise ValueError(f"RatingVAE: no reading {gaps!r} of gaps; there are {', '.join(GAPS)}.")
        super().__init__(items, P, hidden, activation="tanh", learn_sigma=gaps != "multinomial")
        self.gaps = gaps
        self.range = (0, float("inf"))
        if mean is not None and gaps != "masked":
            raise ValueError("RatingVAE: only a masked model has mean ratings; leave them out.")
        offset = np.zeros(items) if mean is None else np.asarray(mean, dtype=float)
        if offset.shape != (items,):
            raise ValueError(f"RatingVAE: expected {items} mean ratings, got shape {offset.shape}.")
        self.register_buffer("mean", torch.tensor(offset).to(self.log_variance))
        self.encoder.insert(0, nn.Dropout(dropout))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log-variances of latents, ``(B, P)`` each, of rows of ratings ``(B, I)``.

        Raises
        ------
        ValueError
            If rows have another length, negative numbers, NaN, or no rating at all.
        """
        self.check(x)
        rated = (x > 0).to(x)
        if not rated.any(dim=1).all():
            raise ValueError(
                "RatingVAE: a user without any rating. Nothing is known of them; recommend what is popular."
            )
        if self.gaps == "multinomial":
            x = rated / rated.sum(dim=1, keepdim=True).sqrt()  # of length 1
        elif self.gaps == "masked":
            x = rated * (x - self.mean)
        mean, a = self.encoder(x).chunk(2, dim=1)
        return mean, a

    def decode(self, u: Tensor) -> Tensor:
        """Return what is expected of each item, ``(..., I)``: stars, or ln of its share (multinomial)."""
        z = self.decoder(u)
        return torch.log_softmax(z, dim=-1) if self.gaps == "multinomial" else z + self.mean

    def log_likelihood(self, x: Tensor, u: Tensor) -> Tensor:
        """Return ln f(h | u) in nats, ``(..., B)``; which entries of h count depends on ``gaps``."""
        found, rated = self.decode(u), (x > 0).to(x)
        if self.gaps == "multinomial":
            return (rated * found).sum(dim=-1)  # without the constant that counts orders
        counts = rated if self.gaps == "masked" else torch.ones_like(x)
        each = (x - found) ** 2 * torch.exp(-self.log_variance) + self.log_variance + np.log(2 * np.pi)
        return -0.5 * (counts * each).sum(dim=-1)


@torch.no_grad()
def scores(model: RatingVAE, shown: ArrayLike) -> Array:
    """Return what the model expects of each item for users ``(V, I)``, from the means of their latents.

    Nothing is dropped from what is shown, whether or not the model is in training.
    """
    training = model.training
    model.eval()
    found = model.reconstruct(torch.as_tensor(np.asarray(shown)).to(model.log_variance))
    model.train(training)
    return found.double().numpy()


def popularity(train: ArrayLike, shown: ArrayLike) -> Array:
    """Return for every user the number of ratings of each item, ``(V, I)``: the same for everybody."""
    return np.tile((np.asarray(train) > 0).sum(axis=0).astype(float), (len(shown), 1))


def item_means(train: ArrayLike, shrink: float = 3.0) -> Array:
    """Return the mean rating of each item, ``(I,)``, as if ``shrink`` ratings more were the mean of all.

    Raises
    ------
    ValueError
        If shrink is not positive: an item without ratings would have no mean.
    """
    if not shrink > 0:
        raise ValueError(f"item_means: shrink must be positive, got {shrink}.")
    train = np.asarray(train)
    n = (train > 0).sum(axis=0)
    middle = train.sum() / n.sum()
    return (train.sum(axis=0) + shrink * middle) / (n + shrink)


def truncated_svd(train: ArrayLike, shown: ArrayLike, P: int) -> Array:
    """Return scores ``(V, I)`` by the best P factors of the table of what is rated (1) and what is not (0).

    Users who are held out are projected onto the factors of the items.
    """
    svd = TruncatedSVD(P, algorithm="arpack", random_state=0).fit((np.asarray(train) > 0).astype(float))
    return svd.transform((np.asarray(shown) > 0).astype(float)) @ svd.components_


def weighted_least_squares(
    train: ArrayLike, shown: ArrayLike, P: int, *, ridge: float = 5.0, rounds: int = 15, seed: int = 0
) -> Array:
    """Return stars ``(V, I)`` by matrix factorisation, with weight 0 for every gap (masked).

    A rating is the item's mean plus w·v + b with P factors w of the user, v of the item, and the user's level
    b. The squared errors of the ratings that are there, plus ``ridge`` times the squared factors, are made
    small in turns for users and for items, each time a linear problem (Koren, Bell and Volinsky, 2009). New
    users are fitted in the same way.
    """
    train, shown = np.asarray(train), np.asarray(shown)
    mean = item_means(train)
    _, V = _factors(train, mean, P, ridge, rounds, seed)
    return mean + _fit(shown, mean, V, ridge) @ V.T


def _factors(train: Array, mean: Array, P: int, ridge: float, rounds: int, seed: int) -> tuple[Array, Array]:
    """Return factors of users and items, ``(U, P + 1)`` and ``(I, P + 1)``; the first of an item is 1."""
    V = np.random.default_rng(seed).normal(0, 0.1, (train.shape[1], P + 1))
    V[:, 0] = 1  # times it, the user's own level
    for _ in range(rounds):
        W = _fit(train, mean, V, ridge)
        V[:, 1:] = _fit(train.T, mean[:, None] + W[:, 0], W[:, 1:], ridge)
    return W, V


def _fit(rows: Array, known: Array, factors: Array, ridge: float) -> Array:
    """Return for each row the factors that explain best what its ratings differ by from what is known."""
    rated = rows > 0
    left = np.where(rated, rows - known, 0)  # (n, m)
    normal = np.einsum("nm,mp,mq->npq", rated.astype(float), factors, factors, optimize=True)
    normal += ridge * np.eye(factors.shape[1])
    return np.linalg.solve(normal, (left @ factors)[..., None])[..., 0]


def recommended(scores: ArrayLike, shown: ArrayLike, k: int) -> NDArray[np.int64]:
    """Return the k items with the highest scores that a user has not been shown, best first, ``(V, k)``.

    Raises
    ------
    ValueError
        If shapes differ, a score is NaN, or some user has fewer than k items left.
    """
    scores, shown = np.asarray(scores, dtype=float), np.asarray(shown)
    if scores.shape != shown.shape or scores.ndim != 2 or np.isnan(scores).any():
        raise ValueError(
            f"recommended: expected scores of shape {shown.shape} without NaN, got shape {scores.shape}."
        )
    left = int((shown == 0).sum(axis=1).min())
    if not 1 <= k <= left:
        raise ValueError(f"recommended: k must lie in [1, {left}], the items left to recommend; got {k}.")
    return np.argsort(-np.where(shown > 0, -np.inf, scores), axis=1, kind="stable")[:, :k]


def recall(scores: ArrayLike, shown: ArrayLike, hidden: ArrayLike, k: int = 20) -> Array:
    """Return for each user which share of the hidden items is among the k best, ``(V,)``.

    Divided by the smaller of k and the number hidden, so that 1 can be reached (Liang and others, 2018).

    Examples
    --------
    >>> recall([[3, 2, 1, 0]], [[1, 0, 0, 0]], [[0, 0, 5, 2]], k=2)
    array([0.5])
    """
    found = np.take_along_axis(np.asarray(hidden) > 0, recommended(scores, shown, k), axis=1)
    return found.sum(axis=1) / np.minimum(k, _hidden_counts(hidden))


def ndcg(scores: ArrayLike, shown: ArrayLike, hidden: ArrayLike, k: int = 100) -> Array:
    """Return for each user the normalised discounted cumulative gain of the k best, ``(V,)``.

    Rank r, from 1, counts 1 / log2(r + 1) if a hidden item stands there; the sum is divided by that of the
    best order (Järvelin and Kekäläinen, 2002).

    Examples
    --------
    >>> ndcg([[3, 2, 1, 0]], [[1, 0, 0, 0]], [[0, 0, 5, 0]], k=3).round(4)
    array([0.6309])
    """
    found = np.take_along_axis(np.asarray(hidden) > 0, recommended(scores, shown, k), axis=1)
    discount = 1 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(discount)[np.minimum(k, _hidden_counts(hidden)) - 1]
    return (found @ discount) / best


def star_error(stars: ArrayLike, truth: ArrayLike) -> float:
    """Return the root mean squared error in stars where ``truth`` is above 0.

    Raises
    ------
    ValueError
        If it is nowhere.
    """
    stars, truth = np.asarray(stars, dtype=float), np.asarray(truth, dtype=float)
    if not (truth > 0).any():
        raise ValueError("star_error: there is no rating to compare with.")
    return float(np.sqrt(((stars - truth)[truth > 0] ** 2).mean()))


def _hidden_counts(hidden: ArrayLike) -> NDArray[np.int64]:
    counts = (np.asarray(hidden) > 0).sum(axis=1)
    if not counts.all():
        raise ValueError("recall, ndcg: a user without any hidden item; there is nothing to find.")
    return counts
