"""The adversarial game on finite tables and on densities of a line: what the best discriminator and the best
generator do, against enumeration, quadrature, symbolic derivatives, optimisers, and the printed forms.
"""

import numpy as np
import pytest
import sympy
from scipy.integrate import quad
from scipy.optimize import linprog, minimize, minimize_scalar
from scipy.special import expit, xlogy
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from gennet.divergences import jensen_shannon, kl
from gennet.gan.game import (
    VALUE_AT_EQUILIBRIUM,
    alternate,
    best_reply,
    best_value,
    bilinear,
    equilibrium,
    expected_risk,
    generator_slope,
    integrand,
    labels,
    optimal_discriminator,
    push_forward,
    risk,
    slope,
    two_way_softmax,
    value,
)

F, G = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])
EXACT = 1e-12


def random_laws(seed: int = 0, n: int = 50, size: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw pairs of laws; a third of them have points that one or both cannot reach."""
    rng = np.random.default_rng(seed)
    pairs = rng.dirichlet(np.full(size, 0.7), size=(n, 2))
    pairs[::3, 0, 0] = pairs[::6, 1, 0] = 0
    pairs[::3, 1, 1] = 0
    return [tuple(pair / pair.sum(axis=1, keepdims=True)) for pair in pairs]


def two_gaussians(mean: float = 1.0, sd: float = 0.7, dh: float = 0.01) -> tuple[np.ndarray, ...]:
    """Return points of the line, the densities of N(0, 1) and N(mean, sd²) there, and the spacing."""
    h = np.arange(-14, 14 + dh / 2, dh)
    return h, norm.pdf(h), norm.pdf(h, mean, sd), dh


# The classifier


@pytest.mark.equation("68.96")
def test_labels():
    gamma = labels([True, True, False])
    assert gamma.tolist() == [[1, 0], [1, 0], [0, 1]]


@pytest.mark.equation("68.97")
def test_two_way_softmax_is_a_logistic_function_of_the_difference():
    z_1, z_2 = sympy.symbols("z1 z2", real=True)
    by_text = sympy.exp(z_1) / (sympy.exp(z_1) + sympy.exp(z_2))
    assert sympy.simplify(by_text - 1 / (1 + sympy.exp(-(z_1 - z_2)))) == 0
    z = np.array([[2.0, 1.0], [-3.0, 4.0], [1e4, -1e4], [-1e4, -1e4]])
    gamma_hat = two_way_softmax(z)
    assert gamma_hat.sum(axis=1) == pytest.approx(np.ones(4), abs=1e-15)
    assert gamma_hat[:2, 0] == pytest.approx([0.731058578630, 1 / (1 + np.exp(7))], abs=1e-12)
    assert gamma_hat[2:].tolist() == [[1, 0], [0.5, 0.5]]
    with pytest.raises(ValueError, match="two outputs"):
        two_way_softmax(np.zeros((4, 3)))


@pytest.mark.equation("68.98", "68.99")
def test_risk_is_the_cross_entropy_and_splits_into_real_and_fake():
    rng = np.random.default_rng(0)
    z, W = rng.normal(size=(9, 2)), (rng.normal(size=(3, 4)), rng.normal(size=(4, 2)))
    real = np.arange(9) < 4  # N_r = 4, N_f = 5
    D = expit(z[:, 0] - z[:, 1])
    split = -(np.log(D[real]).sum() + np.log(1 - D[~real]).sum()) / 9
    assert risk(z, labels(real)) == pytest.approx(split, abs=EXACT)
    assert risk(z, labels(real)) == pytest.approx(log_loss(real, D), abs=EXACT)
    penalty = 0.3 * ((W[0] ** 2).sum() + (W[1] ** 2).sum())
    assert risk(z, labels(real), W, rho=0.3) == pytest.approx(split + penalty, abs=EXACT)
    with pytest.raises(ValueError, match=r"both must be \(N, 2\)"):
        risk(z, labels(real)[:5])


@pytest.mark.equation("68.100")
def test_minimising_the_risk_is_logistic_regression():
    rng = np.random.default_rng(1)
    h = np.concatenate([rng.normal(0, 1, (60, 2)), rng.normal(1, 1, (40, 2))])
    real = np.arange(100) < 60

    def of(parameters: np.ndarray) -> float:
        z = np.stack([h @ parameters[:2] - parameters[2], np.zeros(100)], axis=1)
        return risk(z, labels(real), (parameters[:2],), rho=0.01)

    found = minimize(of, np.zeros(3), tol=1e-10)
    # scikit-learn minimises C N times the mean loss + ½ ‖w‖²
    theirs = LogisticRegression(C=1 / (2 * 0.01 * 100), tol=1e-10).fit(h, real)
    assert found.x == pytest.approx([*theirs.coef_[0], -theirs.intercept_[0]], abs=1e-5)


@pytest.mark.equation("68.102")
def test_risk_of_many_samples_tends_to_its_expectation():
    h, f, g, dh = two_gaussians()
    D = expit(0.4 - 0.9 * h)
    rng = np.random.default_rng(2)
    N_r, N_f = 30_000, 10_000
    samples = np.concatenate([rng.normal(0, 1, N_r), rng.normal(1, 0.7, N_f)])
    z = 0.4 - 0.9 * samples
    real = np.arange(N_r + N_f) < N_r
    losses = np.where(real, np.logaddexp(0, -z), np.logaddexp(0, z))
    assert risk(np.stack([z, 0 * z], axis=1), labels(real)) == pytest.approx(losses.mean(), abs=EXACT)
    error = np.sqrt(N_r * losses[real].var() + N_f * losses[~real].var()) / (N_r + N_f)
    assert abs(losses.mean() - expected_risk(D, f, g, 0.75, dh)) < 5 * error


@pytest.mark.equation("68.103", "68.114", "68.101")
@pytest.mark.erratum("S17")
def test_value_is_minus_twice_the_risk():
    D = np.array([0.3, 0.5, 0.8])
    assert value(D, F, G) == pytest.approx(-2 * expected_risk(D, F, G), abs=EXACT)
    half = np.full(3, 0.5)
    assert value(half, F, F) == pytest.approx(-np.log(4), abs=EXACT)
    assert pytest.approx(-1.3862943611, abs=1e-9) == VALUE_AT_EQUILIBRIUM
    assert risk(np.zeros((6, 2)), labels([True] * 3 + [False] * 3)) == pytest.approx(np.log(2), abs=EXACT)
    # one mean over both sources: at the solution it is not ln 4, as the value without its 1/N suggests
    assert abs(risk(np.zeros((6, 2)), labels([True] * 3 + [False] * 3)) - np.log(4)) > 0.6


# The best discriminator


@pytest.mark.equation("68.104", "68.107", "68.113")
def test_best_discriminator_is_found_point_by_point():
    for f, g in random_laws():
        best = optimal_discriminator(f, g)
        assert np.isfinite(best).all()
        for D, a, b in zip(best, f, g, strict=True):
            if a * b == 0:  # at the edge: D rises or falls all the way
                assert (1 if a else 0 if b else 0.5) == D
                continue
            found = minimize_scalar(
                lambda y, a=a, b=b: -float(integrand(y, a, b)), bounds=(0, 1), method="bounded",
                options={"xatol": 1e-9},
            )  # fmt: skip
            assert found.x == pytest.approx(D, abs=1e-5)
            assert -found.fun == pytest.approx(float(integrand(D, a, b)), abs=1e-9)
    assert optimal_discriminator(F, G) == pytest.approx([5 / 6, 0.6, 2 / 9], abs=EXACT)


@pytest.mark.equation("68.106", "SA4")
@pytest.mark.erratum("G2", "S18")
def test_stationary_point_is_the_maximum_only_for_masses():
    a, b, y = sympy.symbols("a b y", positive=True)
    payoff = a * sympy.log(y) + b * sympy.log(1 - y)
    first, second = sympy.diff(payoff, y), sympy.diff(payoff, y, 2)
    assert sympy.solve(first, y) == [a / (a + b)]
    assert sympy.simplify(first - (a / y - b / (1 - y))) == 0
    assert sympy.simplify(second + a / y**2 + b / (1 - y) ** 2) == 0  # negative for a, b > 0
    D = np.array([0.2, 0.5, 0.9])
    steps = (integrand(D + 1e-6, F, G) - integrand(D - 1e-6, F, G)) / 2e-6
    assert slope(D, F, G) == pytest.approx(steps, abs=1e-6)
    assert slope(optimal_discriminator(F, G), F, G) == pytest.approx(np.zeros(3), abs=EXACT)
    # as printed, for all (a, b) but (0, 0): with a = b = -1 the point ½ is a minimum
    printed = [-np.log(y) - np.log(1 - y) for y in (0.1, 0.5, 0.9)]
    assert printed[1] < min(printed[0], printed[2])
    # the derivative vanishes there, too: the first-order condition alone does not decide
    assert (-1) / 0.5 - (-1) / (1 - 0.5) == 0
    with pytest.raises(ValueError, match="not negative"):
        integrand(0.5, -1.0, -1.0)


@pytest.mark.equation("68.105", "68.112", "SA1", "SA3")
def test_value_is_one_sum_also_for_a_map_that_is_not_invertible():
    rng = np.random.default_rng(3)
    p, to = rng.dirichlet(np.ones(12)), rng.integers(4, size=12)  # 12 latent values, 4 points
    assert len(set(to)) < 12
    g = push_forward(p, to, 5)
    f, D = rng.dirichlet(np.ones(5)), rng.uniform(0.05, 0.95, 5)
    in_the_latent = (f * np.log(D)).sum() + (p * np.log(1 - D[to])).sum()
    assert g.sum() == pytest.approx(1, abs=EXACT) and g[4] == 0
    assert value(D, f, g) == pytest.approx(in_the_latent, abs=EXACT)


@pytest.mark.erratum("S18")
def test_supports_need_not_agree():
    """The text calls one common domain essential: the value and D* exist without one."""
    f, g = np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.4, 0.6])
    D = optimal_discriminator(f, g)
    assert D[[0, 2]].tolist() == [1, 0]
    assert value(D, f, g) == pytest.approx(best_value(f, g), abs=EXACT)
    assert best_value(f, g) == pytest.approx(-np.log(4) + 2 * jensen_shannon(f, g), abs=EXACT)


@pytest.mark.equation("68.107")
@pytest.mark.erratum("S19")
def test_unequal_shares_move_the_best_answer():
    for share in (0.2, 0.5, 0.8):
        best = optimal_discriminator(F, G, share)
        for other in (best * 0.98, 1 - (1 - best) * 0.98):
            assert expected_risk(best, F, G, share) < expected_risk(other, F, G, share)
    printed = optimal_discriminator(F, G)
    assert optimal_discriminator(F, G, 0.8) == pytest.approx(
        [0.952380952, 0.857142857, 0.533333333], abs=1e-9
    )
    assert (
        expected_risk(printed, F, G, 0.8) > expected_risk(optimal_discriminator(F, G, 0.8), F, G, 0.8) + 0.05
    )


def test_best_discriminator_where_masses_vanish():
    with np.errstate(all="raise"):
        D = optimal_discriminator([0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0], 0.3)
    assert pytest.approx([1, 0.3, 0, 0.3]) == D


@pytest.mark.equation("68.105", "68.107")
def test_sums_at_equidistant_points_are_quadrature():
    def ratio(x: float) -> float:
        return norm.pdf(x, 1, 0.7) / norm.pdf(x)

    def at(x: float) -> float:
        return -norm.pdf(x) * np.log1p(ratio(x)) - norm.pdf(x, 1, 0.7) * np.log1p(1 / ratio(x))

    exact, _ = quad(at, -9, 9, epsabs=1e-12, epsrel=1e-12, limit=200)
    h, f, g, dh = two_gaussians()
    D = optimal_discriminator(f, g)
    assert pytest.approx(1 / (1 + ratio(h)), abs=EXACT) == D
    assert best_value(f, g, dh) == pytest.approx(exact, abs=1e-8)
    near = np.abs(h) < 6  # farther out D rounds to 1, and ln(1 - D) to minus infinity
    assert value(D[near], f[near], g[near], dh) == pytest.approx(exact, abs=1e-7)


# The value and the solution of the game


@pytest.mark.equation("SA5", "SA6", "68.115", "68.116", "68.117")
def test_value_against_the_best_discriminator():
    for f, g in random_laws(seed=4):
        m = (f + g) / 2
        C = best_value(f, g)
        assert pytest.approx(value(optimal_discriminator(f, g), f, g), abs=EXACT) == C
        assert pytest.approx(-np.log(4) + kl(f, m) + kl(g, m), abs=EXACT) == C
        assert pytest.approx(-np.log(4) + 2 * jensen_shannon(f, g), abs=EXACT) == C
        assert -np.log(4) < C <= 0
        assert kl(f, f) + kl(f, (f + f) / 2) == 0
    assert best_value(F, G) == pytest.approx(-1.083578, abs=1e-6)


@pytest.mark.equation("SA6")
def test_value_of_two_gaussians_by_quadrature():
    _, f, g, dh = two_gaussians(mean=2.0, sd=0.5)
    m = (f + g) / 2
    by_divergences = (xlogy(f, f / m) + xlogy(g, g / m)).sum() * dh
    assert best_value(f, g, dh) == pytest.approx(-np.log(4) + by_divergences, abs=1e-8)
    assert best_value(f, g, dh) == pytest.approx(-np.log(4) + 2 * jensen_shannon(f * dh, g * dh), abs=1e-8)
    far = two_gaussians(mean=9.0, sd=0.2)
    assert -1e-4 < best_value(far[1], far[2], dh) <= 0


@pytest.mark.equation("68.110", "68.111", "68.118")
def test_solution_of_the_game():
    # a grid over the simplex that contains f
    steps = 20
    points = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    values = [best_value(F, np.array(point) / steps) for point in points]
    assert np.array(points[int(np.argmin(values))]) / steps == pytest.approx(F, abs=EXACT)
    assert min(values) == pytest.approx(-np.log(4), abs=EXACT)
    assert sorted(values)[1] > -np.log(4) + 1e-3
    # an optimiser that knows nothing of the solution
    rng = np.random.default_rng(5)
    for size in (2, 3, 7):
        f = rng.dirichlet(np.full(size, 2.0))
        g, C = equilibrium(f, rng.dirichlet(np.full(size, 2.0)))
        assert np.abs(g - f).max() < 1e-5
        assert pytest.approx(-np.log(4), abs=1e-9) == C
        assert np.abs(optimal_discriminator(f, g) - 0.5).max() < 1e-5


def test_order_of_the_players_does_not_matter():
    """Both players restricted to finite sets of moves: a matrix game, solved by two linear programs."""
    D = np.linspace(0.02, 0.98, 49)
    laws = [np.array([t, 1 - t]) for t in np.linspace(0, 1, 21)]
    f = laws[7]
    answers = [np.array(pair) for pair in np.stack(np.meshgrid(D, D), axis=-1).reshape(-1, 2)]
    V = np.array([[value(answer, f, g) for answer in answers] for g in laws])  # (21, 2401)
    assert V.max(axis=1).min() == pytest.approx(-np.log(4), abs=EXACT)  # min over G of max over D
    assert V.min(axis=0).max() == pytest.approx(-np.log(4), abs=EXACT)  # max over D of min over G
    assert int(V.max(axis=1).argmin()) == 7


@pytest.mark.equation("SA8")
@pytest.mark.erratum("G5")
def test_laws_that_do_not_meet():
    """The value is 0 however far apart they are: the divergence ends at ln 2, not at infinity."""
    for distance in (1, 5, 50):
        f, g = np.zeros(100), np.zeros(100)
        f[:3], g[3 + distance : 6 + distance] = [0.2, 0.5, 0.3], [0.1, 0.6, 0.3]
        assert best_value(f, g) == pytest.approx(0, abs=EXACT)
        assert jensen_shannon(f, g) == pytest.approx(np.log(2), abs=EXACT)


# The moves


@pytest.mark.equation("YA12")
@pytest.mark.erratum("S22", "Y8", "B2")
def test_slopes_in_the_logit():
    x = np.array([0.5, 0.1, 0.01, 0.001])
    z = np.log(x / (1 - x))
    assert generator_slope(z, "saturating") == pytest.approx(-x, abs=EXACT)
    assert generator_slope(z, "non-saturating") == pytest.approx(1 - x, abs=EXACT)
    # printed: ln(1 - x) is flat near x = 0. Its slope there is -1; the slope in the logit vanishes
    in_x = -1 / (1 - x)
    assert in_x == pytest.approx([-2, -1.111111, -1.010101, -1.001001], abs=1e-6)
    assert np.abs(in_x).min() > 1 and np.abs(generator_slope(z, "saturating")[-1]) < 0.0011
    # a confident discriminator is not the best teacher of a generator that minimises ln(1 - D)
    assert np.all(np.diff(np.abs(generator_slope(z, "saturating"))) < 0)
    with np.errstate(all="raise"):
        assert np.isfinite(generator_slope(np.array([-700.0, 700.0]), "non-saturating")).all()
    with pytest.raises(ValueError, match="saturating"):
        generator_slope(0.0, "log D")


@pytest.mark.equation("KA3")
@pytest.mark.erratum("B1")
def test_best_reply_is_a_point_mass():
    D = np.array([0.2, 0.6, 0.4])
    program = linprog(np.log(1 - D), A_eq=np.ones((1, 3)), b_eq=[1.0], bounds=(0, 1))
    assert best_reply(D) == pytest.approx(program.x, abs=1e-9)
    assert best_reply(D).tolist() == [0, 1, 0]
    # a well trained discriminator, with no blind spot, and still everything collapses against it
    best = optimal_discriminator(F, G)
    frozen, _ = alternate(F, G, rounds=1, step=0.5, K_d=200, K_g=3000)
    assert frozen[-1].argmax() == best.argmax() and frozen[-1].max() > 0.99


@pytest.mark.equation("68.155", "SA2", "KA2")
def test_order_of_the_steps():
    """One round of K_d and K_g steps, written out."""
    laws, answers = alternate(F, G, rounds=2, step=0.3, K_d=3, K_g=2)
    g, z, a = G, np.zeros(3), np.log(G)
    for n in (1, 2):
        for _ in range(3):
            z = z + 0.3 * (F - (F + g) * expit(z)) / (F + g)
        for _ in range(2):
            cost = np.log(1 - expit(z))
            a = a - 0.3 * (np.diag(g) - np.outer(g, g)) @ cost
            g = np.exp(a) / np.exp(a).sum()
        assert laws[n] == pytest.approx(g, abs=EXACT) and answers[n] == pytest.approx(expit(z), abs=EXACT)
    assert laws[0] == pytest.approx(G) and answers[0].tolist() == [0.5] * 3


def test_steps_against_a_good_discriminator_find_the_solution():
    laws, answers = alternate(F, G, rounds=2000, step=0.5, K_d=20)
    assert np.abs(laws[-1] - F).max() < 1e-5 and np.abs(answers[-1] - 0.5).max() < 1e-5
    assert best_value(F, laws[-1]) == pytest.approx(-np.log(4), abs=1e-9)


@pytest.mark.equation("68.155")
@pytest.mark.erratum("S27")
def test_bilinear_game_is_bounded_only_when_moves_alternate():
    radius = {
        order: np.hypot(*bilinear(1, 1, step=0.1, rounds=1000, order=order).T)
        for order in ("alternating", "simultaneous")
    }
    assert radius["simultaneous"][-1] == pytest.approx(204.739618, abs=1e-5)
    assert radius["simultaneous"][-1] == pytest.approx(np.sqrt(2) * 1.01**500, rel=1e-9)
    assert radius["alternating"][-1] == pytest.approx(1.430559, abs=1e-6)
    assert radius["alternating"].max() < 1.6
    with pytest.raises(ValueError, match="alternating"):
        bilinear(1, 1, step=0.1, rounds=1, order="random")


# Refusals


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: value([0.5], [0.5, 0.5], [0.5, 0.5, 0]), "at the same points"),
        (lambda: value([0.5, 1.2], F[:2], G[:2]), r"lie in \[0, 1\]"),
        (lambda: value([0.5, np.nan], F[:2], G[:2]), r"lie in \[0, 1\]"),
        (lambda: optimal_discriminator([np.nan, 1], [0.5, 0.5]), "finite and not negative"),
        (lambda: optimal_discriminator([], []), "at least one"),
        (lambda: optimal_discriminator(F, G, 1.0), "between 0 and 1"),
        (lambda: best_value([-0.1, 1.1], [0.5, 0.5]), "finite and not negative"),
        (lambda: equilibrium([0.5, 0.5, 0], F), "must be positive"),
    ],
)
def test_bad_input_is_refused(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
