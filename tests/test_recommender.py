"""Recommenders: measures against scikit-learn's, factorisations solved directly, three readings of gaps.

The generated ratings tell what is true of every user and item, rated or not.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score

from gennet import recommender
from gennet.datasets.ratings import Ratings, ratings
from gennet.recommender import (
    GAPS,
    Division,
    RatingVAE,
    divide,
    item_means,
    ndcg,
    popularity,
    recall,
    recommended,
    scores,
    star_error,
    truncated_svd,
    weighted_least_squares,
)
from gennet.training import train_vae


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Everything in float64, on one thread: small matrices gain nothing from two."""
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def world() -> Ratings:
    return ratings(seed=3)


@pytest.fixture(scope="module")
def parts(world: Ratings) -> Division:
    return divide(world.observed, 150, seed=0)


@pytest.fixture(scope="module")
def truth(world: Ratings, parts: Division) -> np.ndarray:
    """What each held-out user would think of each item, in stars."""
    table = np.nan_to_num(world.observed)
    rows = [np.flatnonzero((table == row).all(axis=1))[0] for row in parts.shown + parts.hidden]
    return world.expected[rows]


def table(seed: int = 0, users: int = 12, items: int = 9) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random((users, items)) < 0.8, rng.integers(1, 11, (users, items)) / 2, np.nan)


# Division


def test_division_keeps_every_rating_once(world: Ratings, parts: Division):
    enough = np.nan_to_num(world.observed)
    enough = enough[(enough > 0).sum(axis=1) >= 5]
    assert parts.train.shape == (len(enough) - 150, 300) and parts.shown.shape == parts.hidden.shape == (
        150,
        300,
    )
    assert not ((parts.shown > 0) & (parts.hidden > 0)).any()
    together = np.vstack([parts.train, parts.shown + parts.hidden])
    assert np.array_equal(np.sort(together, axis=0), np.sort(enough, axis=0))
    n, seen = ((parts.shown + parts.hidden) > 0).sum(axis=1), (parts.shown > 0).sum(axis=1)
    assert np.array_equal(seen, np.clip(np.round(0.8 * n), 1, n - 1))
    again = divide(world.observed, 150, seed=0)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    assert not np.array_equal(divide(world.observed, 150, seed=1).train, parts.train)


def test_users_with_few_ratings_are_left_out_and_something_is_always_hidden():
    observed = np.full((6, 8), np.nan)
    for user in range(6):
        observed[user, : user + 1] = 3.0
    left = divide(observed, 2, share=0.99, least=1)  # a user of one rating could not be divided
    assert len(left.train) + 2 == 5
    assert ((left.hidden > 0).sum(axis=1) >= 1).all() and ((left.shown > 0).sum(axis=1) >= 1).all()
    assert len(divide(observed, 1, least=5).train) == 1


@pytest.mark.parametrize(
    ("observed", "held_out", "options", "sentence"),
    [
        (np.zeros((4, 4)), 1, {}, "above 0, with NaN for a gap; got shape (4, 4) and a smallest rating of 0"),
        (np.full((4, 4), np.inf), 1, {}, "expected a table of users by items"),
        (np.ones(4), 1, {}, "got shape (4,)"),
        (table(), 12, {"least": 1}, "cannot hold out 12 of 12"),
        (table(), 0, {}, "cannot hold out 0"),
        (table(), 3, {"least": 99}, "cannot hold out 3 of 0 users who have at least 99"),
        (table(), 3, {"share": 1.0}, "must lie in (0, 1), got 1.0"),
    ],
)
def test_bad_tables_are_refused(observed, held_out, options, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        divide(observed, held_out, **options)


# Measures


def test_recall_and_gain_by_hand():
    found = [[9, 8, 7, 6, 5, 4], [1, 2, 3, 4, 5, 6]]
    shown = [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 3]]
    hidden = [[0, 0, 2, 0, 4, 0], [5, 0, 0, 0, 0, 0]]
    assert recommended(found, shown, 2).tolist() == [[1, 2], [4, 3]]
    assert recall(found, shown, hidden, 2).tolist() == [0.5, 0.0]
    gain = (1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3))  # ranks 2 and 4, best 1 and 2
    assert ndcg(found, shown, hidden, 5).tolist() == pytest.approx([gain, 1 / np.log2(6)], abs=1e-15)
    assert recall(found, shown, hidden, 1).tolist() == [
        0.0,
        0.0,
    ]  # divided by the smaller of k and the hidden
    assert recall([[1, 2, 3]], [[0, 0, 0]], [[1, 1, 1]], 1).tolist() == [1.0]


@pytest.mark.parametrize("k", [1, 5, 20])
def test_gain_is_that_of_scikit_learn(k: int):
    rng = np.random.default_rng(k)
    found, there = rng.normal(size=(30, 40)), rng.random((30, 40)) < 0.1
    there[:, 0] = True
    ours = ndcg(found, np.zeros_like(found), there, k)
    theirs = [ndcg_score(t[None].astype(float), s[None], k=k) for t, s in zip(there, found, strict=True)]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_star_error():
    assert star_error([[1.0, 4.0, 2.0]], [[0.0, 3.0, 4.0]]) == pytest.approx(np.sqrt(2.5), abs=1e-15)
    with pytest.raises(ValueError, match="no rating"):
        star_error([[1.0]], [[0.0]])


@pytest.mark.parametrize(
    ("found", "shown", "k", "sentence"),
    [
        ([[1.0, 2.0]], [[0.0, 0.0, 0.0]], 1, "expected scores of shape (1, 3) without NaN, got shape (1, 2)"),
        ([[1.0, np.nan]], [[0.0, 0.0]], 1, "without NaN"),
        ([[1.0, 2.0]], [[0.0, 3.0]], 2, "k must lie in [1, 1], the items left to recommend; got 2"),
        ([[1.0, 2.0]], [[0.0, 3.0]], 0, "got 0"),
    ],
)
def test_bad_scores_are_refused(found, shown, k, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        recommended(found, shown, k)
    with pytest.raises(ValueError, match="without any hidden item"):
        recall([[1.0, 2.0]], [[0.0, 0.0]], [[0.0, 0.0]], 1)


# What the autoencoder is compared with


def test_popularity_and_means():
    train = np.array([[5.0, 0, 3], [4, 0, 0], [3, 2, 0]])
    assert popularity(train, np.zeros((2, 3))).tolist() == [[3, 1, 1]] * 2
    middle = 17 / 5
    expected = [(12 + 2 * middle) / 5, (2 + 2 * middle) / 3, (3 + 2 * middle) / 3]
    assert item_means(train, 2.0).tolist() == pytest.approx(expected, abs=1e-14)
    with pytest.raises(ValueError, match="shrink must be positive, got 0"):
        item_means(train, 0)


def test_truncated_svd_is_the_projection(parts: Division):
    taken, new = (parts.train > 0).astype(float), (parts.shown > 0).astype(float)
    V = np.linalg.svd(taken)[2][:6].T
    np.testing.assert_allclose(truncated_svd(parts.train, parts.shown, 6), new @ V @ V.T, atol=1e-8)


def test_least_squares_of_a_user_is_that_of_numpy_and_descends():
    """One user against the normal equations by lstsq; and the whole loss never rises from round to round."""
    stars = np.nan_to_num(table())
    train, shown = stars[:8], stars[8:]
    mean, rng = item_means(train), np.random.default_rng(0)
    V, ridge = rng.normal(size=(9, 4)), 0.7
    found = recommender._fit(shown, mean, V, ridge)
    for row, w in zip(shown, found, strict=True):
        rated = row > 0
        A = np.vstack([V[rated], np.sqrt(ridge) * np.eye(4)])
        b = np.concatenate([row[rated] - mean[rated], np.zeros(4)])
        np.testing.assert_allclose(w, np.linalg.lstsq(A, b)[0], atol=1e-12)

    def loss(rounds: int) -> float:
        W, V = recommender._factors(train, mean, 3, 0.7, rounds, 0)
        error = np.where(train > 0, train - mean - W @ V.T, 0)
        return float((error**2).sum() + 0.7 * ((W**2).sum() + (V[:, 1:] ** 2).sum()))

    losses = [loss(rounds) for rounds in range(1, 8)]
    assert all(b <= a + 1e-9 for a, b in pairwise(losses)) and losses[-1] < losses[0]


def test_least_squares_finds_factors_that_are_there():
    rng = np.random.default_rng(0)
    stars = 3 + 0.3 * rng.normal(size=(200, 2)) @ rng.normal(size=(2, 40)) + 0.3 * rng.normal(size=(200, 1))
    stars = np.maximum(stars, 0.5)
    there = rng.random(stars.shape) < 0.5
    found = weighted_least_squares(
        np.where(there[:150], stars[:150], 0), np.where(there[150:], stars[150:], 0), 2, ridge=0.05, rounds=30
    )
    assert np.sqrt(((found - stars[150:])[~there[150:]] ** 2).mean()) < 0.15 * stars[150:].std()


# The autoencoder, three readings of a gap


@pytest.mark.parametrize("gaps", GAPS)
def test_likelihoods_by_hand(gaps: str):
    torch.manual_seed(0)
    mean = np.linspace(2, 4, 9)
    model = RatingVAE(9, 2, (4,), gaps=gaps, mean=mean if gaps == "masked" else None).eval()
    x = torch.tensor(np.nan_to_num(table()))
    u = torch.randn(5, 12, 2)
    z = model.decoder(u)
    rated = x > 0
    if gaps == "multinomial":
        logs = torch.log_softmax(z, dim=-1)
        expected = torch.stack([logs[:, n, rated[n]].sum(dim=1) for n in range(12)], dim=1)
    else:
        offset = torch.tensor(mean) if gaps == "masked" else torch.zeros(9)
        law = torch.distributions.Normal(z + offset, 1.0)
        each = law.log_prob(x)
        expected = (each * rated if gaps == "masked" else each).sum(dim=-1)
    np.testing.assert_allclose(model.log_likelihood(x, u).detach(), expected.detach(), atol=1e-12)
    with torch.no_grad():
        model.log_variance.fill_(0.4)
    if gaps == "zeros":  # as the Gaussian decoder of `VAE` has it
        np.testing.assert_allclose(
            model.log_likelihood(x, u).detach(),
            super(RatingVAE, model).log_likelihood(x, u).detach(),
            atol=1e-12,
        )


def test_what_enters_the_encoder():
    x = torch.tensor([[5.0, 0.0, 3.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    entering = {}
    for gaps in GAPS:
        model = RatingVAE(4, 1, gaps=gaps, mean=[3.0, 1.0, 3.0, 2.0] if gaps == "masked" else None).eval()
        model.encoder.register_forward_hook(
            lambda _, inputs, __, gaps=gaps: entering.update({gaps: inputs[0]})
        )
        model.encode(x)
    assert entering["zeros"].tolist() == x.tolist()
    assert entering["masked"].tolist() == [[2, 0, 0, 0], [0, 0, 0, 0]]
    half = 0.5**0.5
    np.testing.assert_allclose(entering["multinomial"], [[half, 0, half, 0], [0, 1, 0, 0]], atol=1e-15)


def test_masked_ratings_do_not_matter():
    """What stands in a gap changes neither the likelihood nor its gradient, if it is masked."""
    torch.manual_seed(0)
    x, u = torch.tensor(np.nan_to_num(table())), torch.randn(12, 2)
    for gaps in ("masked", "zeros"):
        model = RatingVAE(9, 2, (4,), gaps=gaps)
        model.log_likelihood(x, u).sum().backward()
        unrated = (x == 0).all(dim=0)
        assert not unrated.any()
        offsets = model.decoder[-2].bias.grad  # of z: each item's errors, added up over its users
        with torch.no_grad():
            errors = x - model.decode(u)
        counted = errors * (x > 0) if gaps == "masked" else errors
        np.testing.assert_allclose(offsets, counted.sum(dim=0), atol=1e-12)


@pytest.mark.erratum("S14")
def test_three_readings_of_a_gap_where_the_truth_is_known(parts: Division, truth: np.ndarray):
    """Zeros predict stars near zero for what would be liked; the masked model predicts the true stars.

    To find what users take up next is another question: gaps tell about it, and leaving them out loses.
    """
    unseen = parts.shown == 0
    mean, X, found = item_means(parts.train), torch.tensor(parts.train), {}
    for gaps in GAPS:
        torch.manual_seed(0)
        model = RatingVAE(300, 4, (64,), gaps=gaps, mean=mean if gaps == "masked" else None)
        train_vae(model, X, epochs=60, lr=3e-3, batch=50)
        found[gaps] = scores(model, parts.shown)
    off = {gaps: star_error(found[gaps], truth * unseen) for gaps in ("zeros", "masked")}
    plain = star_error(np.tile(mean, (150, 1)), truth * unseen)
    assert off["zeros"] > 2 and off["masked"] < 0.9 < plain
    assert (truth - found["zeros"])[unseen].mean() > 2  # dislikes, all of them
    assert abs((truth - found["masked"])[unseen].mean()) < 0.6  # people rate what they like: not nothing
    recalls = {gaps: recall(found[gaps], parts.shown, parts.hidden).mean() for gaps in GAPS}
    by_popularity = recall(popularity(parts.train, parts.shown), parts.shown, parts.hidden).mean()
    assert min(recalls["zeros"], recalls["multinomial"]) > by_popularity > recalls["masked"]
    shares = np.exp(found["multinomial"])
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-12)


def test_scores_do_not_drop_anything(parts: Division):
    torch.manual_seed(0)
    model = RatingVAE(300, 4, (8,), gaps="multinomial").train()
    assert np.array_equal(scores(model, parts.shown), scores(model, parts.shown)) and model.training
    assert not torch.equal(*(model.train().encode(torch.tensor(parts.shown))[0] for _ in range(2)))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m, x: m.elbo(x[:, :5]), "rows of 9 numbers"),
        (lambda m, x: m.elbo(x[:0]), "at least one"),
        (lambda m, x: m.elbo(-x), "in [0, inf]"),
        (lambda m, x: m.elbo(torch.where(x > 0, x, torch.nan)), "NaN"),
        (lambda m, x: m.elbo(0 * x), "a user without any rating"),
        (lambda m, x: m.elbo(x, kappa=-1.0), "kappa must be at least 0"),
        (lambda m, x: RatingVAE(9, 2, gaps="guess"), "no reading 'guess' of gaps; there are zeros, masked"),
        (lambda m, x: RatingVAE(9, 10, gaps="zeros"), "got P = 10"),
        (lambda m, x: RatingVAE(9, 2, gaps="zeros", mean=np.ones(9)), "only a masked model has mean ratings"),
        (lambda m, x: RatingVAE(9, 2, gaps="masked", mean=np.ones(4)), "expected 9 mean ratings"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(RatingVAE(9, 2, gaps="masked"), torch.tensor(np.nan_to_num(table())))
