"""The generated ratings: their truth is the truth, and what is missing is not missing at random."""

import dataclasses

import numpy as np
import pytest

from gennet.datasets.ratings import ratings


@pytest.fixture(scope="module")
def world():
    return ratings()


@pytest.fixture(scope="module")
def rated(world):
    return ~np.isnan(world.observed)


def test_observed_ratings_are_half_stars(world, rated):
    assert world.observed.shape == world.expected.shape == world.probability.shape == (600, 300)
    stars = world.observed[rated]
    assert set(np.unique(stars)) == set(np.arange(1, 11) / 2)
    assert world.expected.min() >= 0.5
    assert world.expected.max() <= 5


@pytest.mark.parametrize("density", [0.02, 0.1, 0.5])
def test_share_observed_is_the_density(density):
    world = ratings(300, 200, density=density, seed=1)
    assert world.probability.mean() == pytest.approx(density, abs=1e-9)
    error = np.sqrt(np.sum(world.probability * (1 - world.probability))) / world.observed.size
    assert abs(np.mean(~np.isnan(world.observed)) - density) < 5 * error


def test_popularity_has_a_long_tail(rated):
    counts = np.sort(rated.sum(axis=0))[::-1]
    assert counts[:30].sum() > 0.3 * counts.sum()  # a tenth of the items has a third of the ratings
    assert counts[150:].sum() < 0.3 * counts.sum()  # half of them has less
    assert counts.mean() > 1.2 * np.median(counts)


def test_observed_ratings_scatter_around_the_expected_ones(world, rated):
    error = world.observed - world.expected
    deviation = error[rated].std()
    assert 0.5 < deviation < 0.8  # 0.7 stars of noise, less where the scale ends, more by rounding
    for user_group in range(4):
        for item_group in range(4):
            block = rated & (world.user_group == user_group)[:, None] & (world.item_group == item_group)
            assert abs(error[block].mean()) < 5 * deviation / np.sqrt(block.sum())
    # and at every level of the truth, also at the ends of the scale
    for low in np.arange(0.5, 5, 0.5):
        level = rated & (world.expected >= low) & (world.expected < low + 0.5)
        assert abs(error[level].mean()) < 5 * 0.75 / np.sqrt(level.sum())


def test_inverse_probabilities_undo_the_selection(world, rated):
    weighted = np.where(rated, world.observed, 0) / world.probability
    error = weighted.std() / np.sqrt(weighted.size)
    assert abs(weighted.mean() - world.expected.mean()) < 5 * error


def test_ratings_are_not_missing_at_random(world, rated):
    assert world.expected[rated].mean() > world.expected.mean() + 0.4
    without = ratings(preference=0)
    there = ~np.isnan(without.observed)
    assert abs(without.expected[there].mean() - without.expected.mean()) < 0.1


@pytest.mark.erratum("S14")
def test_missing_is_neither_a_zero_nor_a_dislike(world, rated):
    # the constant with the least squared error for each item, gaps taken as zeros, and gaps left out
    n_raters = rated.sum(axis=0)
    with_zeros = np.nan_to_num(world.observed).mean(axis=0)
    masked = np.nansum(world.observed, axis=0) / n_raters
    wanted = np.where(rated, world.expected, 0).sum(axis=0) / n_raters  # what those who rated it think of it
    assert np.all(np.abs(masked - wanted) < 5 * 0.75 / np.sqrt(n_raters))
    assert np.mean(wanted - with_zeros) > 2  # stars
    # with zeros, popularity hides how much an item is liked
    truth = world.expected.mean(axis=0)
    assert np.corrcoef(masked, truth)[0, 1] > np.corrcoef(with_zeros, truth)[0, 1] + 0.2
    assert np.mean(world.expected[~rated] >= 3) > 0.4  # much of what is not rated would be liked


def test_groups_like_their_own_kind_and_the_truth_has_few_factors(world):
    own = world.user_group[:, None] == world.item_group
    assert world.expected[own].mean() > world.expected[~own].mean() + 0.8
    energy = np.linalg.svd(world.expected - world.expected.mean(), compute_uv=False) ** 2
    assert energy[:6].sum() > 0.98 * energy.sum()  # four factors and two biases, bent a little by the scale


def test_same_seed_same_world(world):
    for field in dataclasses.fields(world):
        np.testing.assert_array_equal(getattr(ratings(), field.name), getattr(world, field.name))
    assert not np.array_equal(ratings(seed=1).expected, world.expected)
    with pytest.raises(dataclasses.FrozenInstanceError):
        world.observed = None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"n_users": 1}, "at least 2 users and 2 items, got 1 and 300"),
        ({"rank": 0}, r"rank must lie in \[1, 300\], got 0"),
        ({"rank": 301}, "got 301"),
        ({"density": 0}, r"density must lie in \(0, 0.9\], got 0"),
        ({"density": 1.0}, "density must lie in"),
        ({"density": np.nan}, "density must lie in"),
        ({"preference": -1}, r"preference must lie in \[0, 10\], got -1"),
    ],
)
def test_bad_input_is_told_in_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        ratings(**arguments)
