"""Divergences against enumeration, quadrature, draws, SciPy and torch.distributions; bad input refused."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, special, stats
from torch import distributions as td

from gennet import divergences as dv

REAL, FAKE = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])


def laws(rng: np.random.Generator, *shape: int, zeros: bool = False) -> np.ndarray:
    """Draw masses along the last axis, with some zeros if wanted."""
    masses = rng.exponential(size=shape)
    if zeros:
        masses[..., 1:] *= rng.random(shape)[..., 1:] < 0.6
    return masses / masses.sum(axis=-1, keepdims=True)


def covariance(rng: np.random.Generator, P: int) -> np.ndarray:
    root = rng.normal(size=(P, P))
    return root @ root.T + 0.2 * np.eye(P)


# Kullback-Leibler


@pytest.mark.equation("SA7")
def test_kl_is_the_sum_in_both_written_forms():
    rng = np.random.default_rng(1)
    p, q = laws(rng, 200, 6), laws(rng, 200, 6)
    as_one_logarithm = np.array(
        [sum(a * np.log(a / b) for a, b in zip(*row, strict=True)) for row in zip(p, q, strict=True)]
    )
    as_two = (p * np.log(p)).sum(axis=1) - (p * np.log(q)).sum(axis=1)
    assert np.allclose(dv.kl(p, q), as_one_logarithm, rtol=0, atol=1e-12)
    assert np.allclose(dv.kl(p, q), as_two, rtol=0, atol=1e-12)
    assert (dv.kl(p, q) > 0).all()
    assert (dv.kl(p, p) == 0).all()
    assert np.abs(dv.kl(p, q) - dv.kl(q, p)).max() > 0.1, "it is not symmetric"


def test_kl_agrees_with_scipy_and_torch_zeros_included():
    rng = np.random.default_rng(2)
    p, q = laws(rng, 300, 5, zeros=True), laws(rng, 300, 5, zeros=True)
    with np.errstate(divide="ignore"):
        expected = special.rel_entr(p, q).sum(axis=1)
    assert np.isinf(expected).any() and np.isfinite(expected).any()
    assert np.allclose(dv.kl(p, q), expected, rtol=0, atol=1e-12)
    p, q = laws(rng, 300, 5), laws(rng, 300, 5)
    ours = td.kl_divergence(td.Categorical(torch.tensor(p)), td.Categorical(torch.tensor(q)))
    assert np.allclose(dv.kl(p, q), ours.numpy(), rtol=0, atol=1e-12)


def test_kl_broadcasts_and_never_falls_below_zero():
    rng = np.random.default_rng(3)
    p = laws(rng, 4, 1, 7)
    assert dv.kl(p, p[:, 0]).shape == (4, 4)
    assert (np.diag(dv.kl(p, p[:, 0])) == 0).all()
    near = laws(rng, 5000, 7)
    shaken = near * (1 + 1e-15 * rng.normal(size=near.shape))
    assert (dv.kl(near, shaken / shaken.sum(axis=1, keepdims=True)) >= 0).all()
    assert dv.kl([0.5, 0.5], [1.0, 5e-324]) == pytest.approx(
        0.5 * np.log(0.5) + 0.5 * (np.log(0.5) + 744.4400719)
    )


def test_kl_warns_of_nothing():
    with np.errstate(all="raise"):
        assert dv.kl([1, 0, 0], [0, 1, 0]) == np.inf
        assert dv.kl([1, 0, 0], [1, 0, 0]) == 0
        assert dv.jensen_shannon([1, 0], [0, 1]) == np.log(2)


def test_kl_of_bernoulli_variables():
    rng = np.random.default_rng(4)
    p, q = rng.random((5, 1)), rng.random(7)
    tensors = map(torch.tensor, np.broadcast_arrays(p, q))
    expected = td.kl_divergence(*map(td.Bernoulli, tensors))
    assert np.allclose(dv.kl_bernoulli(p, q), expected.numpy(), rtol=0, atol=1e-12)
    assert dv.kl_bernoulli(0.1, [0.2, 0.05]).round(6).tolist() == [0.036690, 0.020654]
    assert dv.kl_bernoulli([0, 1, 0, 1], [0, 1, 1, 0]).tolist() == [0, 0, np.inf, np.inf]


# Gaussians


@pytest.mark.equation("68.20")
def test_kl_to_the_standard_gaussian_is_the_closed_form_the_quadrature_and_the_draws():
    mu, variance = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    a = np.log(variance)
    value = dv.kl_to_standard(mu, a)
    assert value == pytest.approx(3.0472674, abs=5e-8)
    as_written = (-np.log(np.linalg.det(np.diag(variance))) - 2 + np.trace(np.diag(variance)) + mu @ mu) / 2
    assert value == pytest.approx(as_written, abs=1e-12)

    def integrand(u: float, m: float, v: float) -> float:
        log_q = stats.norm.logpdf(u, m, v**0.5)
        return np.exp(log_q) * (log_q - stats.norm.logpdf(u))

    by_quadrature = sum(
        integrate.quad(integrand, m - 12 * v**0.5, m + 12 * v**0.5, args=(m, v), epsabs=1e-11)[0]
        for m, v in zip(mu, variance, strict=True)
    )  # coordinates are independent, so divergences add up
    assert value == pytest.approx(by_quadrature, abs=1e-8)

    u = mu + np.sqrt(variance) * np.random.default_rng(5).normal(size=(200_000, 2))
    ratios = (stats.norm.logpdf(u, mu, np.sqrt(variance)) - stats.norm.logpdf(u)).sum(axis=1)
    assert abs(ratios.mean() - value) < 5 * ratios.std() / np.sqrt(len(u))


@pytest.mark.equation("68.20")
def test_kl_to_the_standard_gaussian_agrees_with_torch_and_is_exact_near_zero():
    rng = np.random.default_rng(6)
    mu, a = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    q = td.Normal(torch.tensor(mu), torch.tensor(np.exp(a / 2)))
    expected = td.kl_divergence(q, td.Normal(0.0, 1.0)).sum(dim=1)
    assert np.allclose(dv.kl_to_standard(mu, a), expected.numpy(), rtol=0, atol=1e-12)
    assert dv.kl_to_standard(np.zeros(3), np.zeros(3)) == 0
    assert dv.kl_to_standard([0.0], [1e-5]) == pytest.approx(2.5e-11, rel=1e-4)  # a²/4
    assert dv.kl_to_standard([0.0], [1000.0]) == np.inf


@pytest.mark.equation("68.20")
@pytest.mark.parametrize("P", [1, 2, 5])
def test_kl_of_gaussians_agrees_with_torch(P: int):
    rng = np.random.default_rng(P)
    means = rng.normal(size=(2, P))
    covs = covariance(rng, P), covariance(rng, P)
    q, p = (
        td.MultivariateNormal(torch.tensor(mean), torch.tensor(cov))
        for mean, cov in zip(means, covs, strict=True)
    )
    ours = dv.kl_gaussian(means[0], covs[0], means[1], covs[1])
    assert ours == pytest.approx(td.kl_divergence(q, p).item(), abs=1e-9)
    to_standard = dv.kl_gaussian(means[0], covs[0], np.zeros(P), np.eye(P))
    S, m = covs[0], means[0]
    assert to_standard == pytest.approx((-np.log(np.linalg.det(S)) - P + np.trace(S) + m @ m) / 2, abs=1e-10)


def test_kl_of_gaussians_takes_batches():
    rng = np.random.default_rng(7)
    means, covs = rng.normal(size=(4, 3)), np.array([covariance(rng, 3) for _ in range(4)])
    together = dv.kl_gaussian(means, covs, means[0], covs[0])
    one_by_one = [dv.kl_gaussian(m, S, means[0], covs[0]) for m, S in zip(means, covs, strict=True)]
    assert np.allclose(together, one_by_one, rtol=0, atol=1e-12) and abs(together[0]) < 1e-12


# Jensen-Shannon and total variation


@pytest.mark.equation("68.117", "SA8")
@pytest.mark.erratum("G5")
def test_jensen_shannon_is_a_mean_divergence_to_the_mixture_between_0_and_ln_2():
    rng = np.random.default_rng(8)
    p, q, r = laws(rng, 3, 20_000, 3, zeros=True)
    m = (p + q) / 2
    js = dv.jensen_shannon(p, q)
    assert np.allclose(js, (dv.kl(p, m) + dv.kl(q, m)) / 2, rtol=0, atol=1e-12)
    assert np.allclose(js, dv.jensen_shannon(q, p), rtol=0, atol=1e-12)
    assert js.min() >= 0 and js.max() <= np.log(2)
    assert dv.jensen_shannon([0.4, 0.6, 0, 0], [0, 0, 0.1, 0.9]) == pytest.approx(np.log(2), abs=1e-15)

    def violation(power: float) -> float:
        ways = [dv.jensen_shannon(x, y) ** power for x, y in ((p, r), (p, q), (q, r))]
        return (ways[0] - ways[1] - ways[2]).max()

    assert violation(0.5) < 1e-12, "the square root obeys the triangle inequality"
    assert violation(1) > 0.1, "the divergence itself does not"
    ends, middle = np.array([[0.999, 0.001], [0.001, 0.999]]), [0.5, 0.5]
    way = dv.jensen_shannon(ends[0], middle) + dv.jensen_shannon(middle, ends[1])
    assert dv.jensen_shannon(*ends).round(3) == 0.685 and way.round(3) == 0.425


def test_jensen_shannon_agrees_with_scipy():
    from scipy.spatial.distance import jensenshannon

    rng = np.random.default_rng(9)
    p, q = laws(rng, 100, 6), laws(rng, 100, 6)
    assert np.allclose(np.sqrt(dv.jensen_shannon(p, q)), jensenshannon(p, q, axis=1), rtol=0, atol=1e-10)
    assert dv.jensen_shannon([1.0, 5e-324], [1.0, 0.0]) < 1e-300  # no underflow in the mixture


@pytest.mark.equation("68.115", "68.116", "SA5", "SA6")
def test_payoff_at_the_best_discriminator_is_jensen_shannon_up_to_constants():
    rng = np.random.default_rng(10)
    for f, g in [(REAL, FAKE), (REAL, REAL), *zip(laws(rng, 50, 4), laws(rng, 50, 4), strict=True)]:
        D = f / (f + g)
        payoff = f @ np.log(D) + g @ np.log(1 - D)  # SA5: two expectations at the best discriminator
        m = (f + g) / 2
        assert payoff == pytest.approx(-np.log(4) + dv.kl(f, m) + dv.kl(g, m), abs=1e-12)
        assert payoff == pytest.approx(-np.log(4) + 2 * dv.jensen_shannon(f, g), abs=1e-12)
        assert (dv.jensen_shannon(f, g) == 0) == np.array_equal(f, g)
    assert -np.log(4) + 2 * dv.jensen_shannon(REAL, FAKE) == pytest.approx(-1.083578, abs=5e-7)


def test_total_variation_is_exact_on_fractions_and_the_largest_difference_of_probabilities():
    p, q = [Fraction(1, 2), Fraction(3, 8), Fraction(1, 8)], [Fraction(1, 8), Fraction(1, 4), Fraction(5, 8)]
    events = [[i for i in range(3) if event >> i & 1] for event in range(8)]
    largest = max(abs(sum(p[i] - q[i] for i in event)) for event in events)
    assert dv.total_variation([*map(float, p)], [*map(float, q)]) == float(largest) == 0.5
    rng = np.random.default_rng(11)
    p, q = laws(rng, 500, 4), laws(rng, 500, 4)
    tv = dv.total_variation(p, q)
    assert (tv <= np.sqrt(dv.kl(p, q) / 2)).all(), "Pinsker's inequality"
    assert (dv.jensen_shannon(p, q) <= tv * np.log(2) + 1e-15).all()


# Wasserstein


def test_wasserstein_of_samples_agrees_with_scipy_for_all_sizes():
    rng = np.random.default_rng(12)
    for n, m in [(1, 1), (3, 3), (4, 6), (7, 5), (50, 1), (1000, 999)]:
        a, b = rng.normal(size=n), rng.normal(1, 2, size=m).round(1)  # with ties
        assert dv.wasserstein_samples(a, b) == pytest.approx(stats.wasserstein_distance(a, b), abs=1e-12)
    assert dv.wasserstein_samples([0, 1, 5], [2, 3, 4]) == pytest.approx(5 / 3, abs=1e-15)
    assert dv.wasserstein_samples([5, 0, 1], [4, 2, 3]) == pytest.approx(5 / 3, abs=1e-15)


def test_wasserstein_of_samples_is_the_best_of_all_pairings():
    rng = np.random.default_rng(13)
    a, b = rng.normal(size=(2, 6))
    best = min(np.abs(a - np.array(order)).mean() for order in permutations(b))
    assert dv.wasserstein_samples(a, b) == pytest.approx(best, abs=1e-12)


def test_wasserstein_of_samples_takes_batches_and_feels_distance():
    rng = np.random.default_rng(14)
    a, b = rng.normal(size=(4, 1, 6)), rng.normal(size=(3, 9))
    d = dv.wasserstein_samples(a, b)
    assert d.shape == (4, 3)
    assert d[2, 1] == pytest.approx(stats.wasserstein_distance(a[2, 0], b[1]), abs=1e-12)
    for shift in (-100.0, 0.25, 10.0):
        assert dv.wasserstein_samples(a, a + shift) == pytest.approx(np.full((4, 1), abs(shift)), abs=1e-12)


def test_primal_and_dual_programs_agree_and_each_proves_itself():
    rng = np.random.default_rng(15)
    for K in (1, 2, 3, 8, 25):
        points = rng.normal(size=(K, 2))
        d = np.linalg.norm(points[:, None] - points, axis=-1)
        p, q = laws(rng, K, zeros=True), laws(rng, K)
        cost, plan = dv.wasserstein(p, q, d)
        value, g = dv.wasserstein_dual(p, q, d)
        assert (plan >= -1e-15).all()
        assert np.allclose(plan.sum(axis=1), p, rtol=0, atol=1e-9)
        assert np.allclose(plan.sum(axis=0), q, rtol=0, atol=1e-9)
        assert (np.abs(g[:, None] - g) <= d + 1e-14 * (1 + d.max())).all() and g[0] == 0
        assert value == pytest.approx((p - q) @ g, abs=1e-12)
        assert value == pytest.approx(cost, abs=1e-8)


def test_transport_on_a_line_is_the_area_between_the_distribution_functions():
    x, p, q = np.array([0.0, 1, 3]), [0.2, 0.5, 0.3], [0.6, 0.3, 0.1]
    d = np.abs(x[:, None] - x)
    assert dv.wasserstein(p, q, d).cost == pytest.approx(0.8, abs=1e-12)
    assert dv.wasserstein_dual(p, q, d).value == pytest.approx(0.8, abs=1e-12)
    rng = np.random.default_rng(16)
    x = rng.normal(size=12)  # in any order
    p, q = laws(rng, 2, 12)
    expected = stats.wasserstein_distance(x, x, p, q)
    d = np.abs(x[:, None] - x)
    assert dv.wasserstein(p, q, d).cost == pytest.approx(expected, abs=1e-9)
    assert dv.wasserstein_dual(p, q, d).value == pytest.approx(expected, abs=1e-9)


def test_transport_where_all_points_are_equally_far_is_total_variation():
    rng = np.random.default_rng(17)
    p, q = laws(rng, 2, 9)
    discrete = 1 - np.eye(9)
    assert dv.wasserstein(p, q, discrete).cost == pytest.approx(dv.total_variation(p, q), abs=1e-9)


def test_transport_of_equal_samples_is_an_assignment():
    rng = np.random.default_rng(18)
    a, b = rng.normal(size=(2, 7, 3))
    points = np.concatenate([a, b])
    d = np.linalg.norm(points[:, None] - points, axis=-1)
    p, q = np.repeat([1 / 7, 0], 7), np.repeat([0, 1 / 7], 7)
    rows, columns = optimize.linear_sum_assignment(d[:7, 7:])
    best = d[:7, 7:][rows, columns].mean()
    assert dv.wasserstein(p, q, d).cost == pytest.approx(best, abs=1e-9)


# Bad input

POINTS = np.abs(np.arange(3.0)[:, None] - np.arange(3.0))
I2, ZERO = np.eye(2), np.zeros(2)


@pytest.mark.parametrize("function", [dv.kl, dv.jensen_shannon, dv.total_variation])
@pytest.mark.parametrize(
    ("p", "q", "said"),
    [
        ([0.5, 0.4], [0.5, 0.5], "the masses of p sum to 0.9 along the last axis, expected 1"),
        ([0.5, 0.5], [[0.5, 0.5], [0.7, 0.7]], "the masses of q sum to 1.4"),
        ([1.5, -0.5], [0.5, 0.5], "p has a negative mass, -0.5"),
        ([0.5, np.nan], [0.5, 0.5], "p has NaN or infinite values"),
        ([0.5, 0.5], [np.inf, 0.5], "q has NaN or infinite values"),
        ([0.5, 0.5], [0.2, 0.3, 0.5], r"p and q have shapes \(2,\) and \(3,\); expected as many masses"),
        ([1.0], [0.5, 0.5], "expected as many masses in each"),
        ([], [0.5, 0.5], "p is empty"),
        (["a", "b"], [0.5, 0.5], "p is no array of real numbers"),
        ([0.5 + 1j, 0.5 - 1j], [0.5, 0.5], "p is no array of real numbers"),
        (np.full((2, 3), 1 / 3), np.full((4, 3), 1 / 3), "cannot be combined"),
    ],
)
def test_bad_masses_are_refused(function, p, q, said: str):
    with pytest.raises(ValueError, match=f"^{function.__name__}: .*{said}"):
        function(p, q)


def test_masses_in_single_precision_pass():
    p = torch.softmax(torch.randn(50, 1000, generator=torch.Generator().manual_seed(0)), dim=1)
    assert dv.kl(p.numpy(), p.numpy()[::-1]).shape == (50,)


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        (dv.kl_bernoulli, (0.5, 1.5), "q has values outside"),
        (dv.kl_bernoulli, (np.nan, 0.5), "p has NaN"),
        (dv.kl_bernoulli, ([0.5, 0.1], [0.5, 0.1, 0.2]), "cannot be combined"),
        (dv.kl_to_standard, ([0.0, 1.0], [0.0]), "one shape"),
        (dv.kl_to_standard, (0.0, 0.0), "one shape"),
        (dv.kl_to_standard, ([0.0], [-np.inf]), "a has NaN or infinite"),
        (dv.kl_gaussian, (ZERO, np.ones(2), ZERO, I2), "expected .* and"),
        (dv.kl_gaussian, (ZERO, I2, np.zeros(3), np.eye(3)), "q lives in 2 dimensions, p in 3"),
        (dv.kl_gaussian, (ZERO, [[1, 0.5], [0.2, 1]], ZERO, I2), "cov_q is not symmetric"),
        (dv.kl_gaussian, (ZERO, I2, ZERO, [[1, 2], [2, 1]]), "cov_p is not positive definite"),
        (dv.kl_gaussian, (ZERO, I2, ZERO, -I2), "cov_p is not positive definite"),
        (dv.kl_gaussian, (ZERO, I2, [0, np.nan], I2), "mean_p has NaN"),
        (dv.kl_gaussian, (np.zeros((3, 2)), I2, np.zeros((4, 2)), I2), "cannot be combined"),
        (dv.wasserstein_samples, ([], [1.0]), "a is empty"),
        (dv.wasserstein_samples, ([1.0], [np.inf]), "b has NaN or infinite"),
        (dv.wasserstein_samples, (1.0, [1.0]), "expected samples along the last axis"),
        (dv.wasserstein_samples, (np.ones((2, 3)), np.ones((4, 3))), "cannot be combined"),
        (dv.wasserstein, (REAL, FAKE, POINTS[:2]), "expected .K,., .K,. and .K, K."),
        (dv.wasserstein, (REAL, [0.5, 0.5], POINTS), "as many masses"),
        (dv.wasserstein, (REAL, FAKE, -POINTS), "not negative"),
        (dv.wasserstein, (REAL, FAKE, POINTS + I2[0, 0]), "0 from each point to itself"),
        (dv.wasserstein, (REAL, FAKE, np.triu(POINTS)), "must be symmetric"),
        (dv.wasserstein_dual, (REAL, FAKE, POINTS**2), "through point 1 is shorter"),
        (dv.wasserstein_dual, ([REAL], FAKE, POINTS), "expected .K,., .K,. and .K, K."),
        (dv.wasserstein_dual, (REAL, 2 * FAKE, POINTS), "the masses of q sum to 2"),
    ],
)
def test_bad_input_is_refused(function, arguments, said: str):
    with pytest.raises(ValueError, match=f"^{function.__name__}: .*{said}"):
        function(*arguments)
