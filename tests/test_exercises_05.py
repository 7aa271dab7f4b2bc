"""Answers to the problem set of chapter 5 that no declaration foresees: wrong ones fail, right ones pass.

They are run as a student runs them, through `check`, on the public cases. The numbers of the course that the
references must give are tested first.
"""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special, stats

from gennet import bound, divergences, exercises
from gennet.exercises.given import Given

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("set_05", ROOT / "solutions/exercises/05_variational_bound.py")
set_05 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(set_05)

pytestmark = pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value", "ignore:overflow")

EXPONENTIAL = Given("exponential_quantile")


@pytest.fixture(autouse=True)
def no_progress_and_no_hurry(monkeypatch):
    """Nothing is kept on this disk; a busy machine is no reason to refuse an answer here."""
    monkeypatch.setenv("GENNET_HOME", "off")
    monkeypatch.setattr(exercises, "LIMIT", 60)


def test_problem_1_gives_the_numbers_of_the_course():
    x = set_05.gaussian_to(np.array([-1.0, 0, 2]), EXPONENTIAL)
    assert x.round(6).tolist() == [0.172754, 0.693147, 3.783184]
    far = set_05.gaussian_to(np.array([9.0, -9]), EXPONENTIAL)
    assert far[0].round(6) == 43.628149 and np.isfinite(far).all()
    u = np.random.default_rng(0).normal(size=20_000)
    limit = 1.63 / math.sqrt(len(u))
    assert stats.kstest(set_05.gaussian_to(u, EXPONENTIAL), stats.expon.cdf).statistic < limit
    logistic = Given("logistic_quantile")
    assert stats.kstest(set_05.gaussian_to(u, logistic), stats.logistic.cdf).statistic < limit
    order = np.argsort(u)
    assert (np.diff(set_05.gaussian_to(u[order], EXPONENTIAL)) >= 0).all()
    assert set_05.one_minus_t.answer(np.array([9.0]), EXPONENTIAL) == np.inf
    assert abs(set_05.one_minus_t.answer(np.array([8.0]), EXPONENTIAL) - 35.0134) > 0.05
    wrong = set_05.distribution_function_for_its_inverse.answer(np.array([1.0]), EXPONENTIAL)
    assert wrong.round(3) == 0.569
    falling = set_05.falling_instead_of_rising.answer(np.array([-1.0, 0, 2]), EXPONENTIAL)
    assert falling.round(3).tolist() == [1.841, 0.693, 0.023]
    density = set_05.density_for_the_distribution_function.answer(u, EXPONENTIAL)
    assert abs(stats.kstest(density, stats.expon.cdf).statistic - 0.601) < 0.02


def test_problem_1_gives_a_law_of_three_points_exactly():
    support, probs = np.array([5.0, 1, 2]), np.array([0.25, 0.25, 0.5])
    levels = (np.arange(4000) + 0.5) / 4000  # evenly through (0, 1)
    x = set_05.quantile_discrete(levels, support, probs)
    assert [(x == point).mean() for point in support] == probs.tolist()


def test_problem_2_gives_the_conditional_evidence():
    rng = np.random.default_rng(0)
    for H, U, C in rng.integers([1, 2, 1], 6, size=(50, 3)):
        joint = rng.dirichlet(np.ones(H * U * C)).reshape(H, U, C)
        h, c, q = int(rng.integers(H)), int(rng.integers(C)), rng.dirichlet(np.ones(U))
        gap, recon, kl = set_05.conditional_elbo(joint, h, c, q)
        table = joint[:, :, c] / joint[:, :, c].sum()
        assert gap + recon - kl == pytest.approx(math.log(table[h].sum()), abs=1e-12) and gap >= 0
        ours = bound.table_terms(table, h, q)
        assert np.allclose(ours[1:], (gap, recon, kl), rtol=0, atol=1e-12)
        posterior = table[h] / table[h].sum()
        assert abs(set_05.conditional_elbo(joint, h, c, posterior)[0]) < 1e-12


def test_e20_gives_the_numbers_of_the_course():
    mu, a = np.array([1.0, -2]), np.log([0.5, 3])
    assert set_05.kl_to_standard(mu, a).round(7) == 3.0472674
    assert set_05.kl_to_standard(mu, a) == pytest.approx(divergences.kl_to_standard(mu, a), abs=1e-12)
    wrong = {
        set_05.wrong_sign_of_the_logarithm: 3.452733,
        set_05.factor_one_half_missing: 6.094535,
        set_05.P_not_subtracted: 4.047267,
    }
    for known, value in wrong.items():
        assert known.answer(mu, a).round(6) == value
    level = np.log([0.5, 2])
    assert set_05.kl_to_standard(mu, level) == pytest.approx(2.75, abs=1e-12)
    assert set_05.other_direction.answer(mu, level) == pytest.approx(2.25, abs=1e-12)
    eps = np.random.default_rng(1).normal(size=(400_000, 1))
    m, b, square = np.array([0.7]), np.array([-0.5]), Given("power_slope")
    in_mu, in_a = set_05.pathwise_grad(m, b, eps, square)
    assert abs(in_mu[0] - 1.4) < 0.013 and abs(in_a[0] - math.exp(-0.5)) < 0.009  # 5 standard errors
    *_, in_a = set_05.drawn_and_differentiated_with_exp_a.answer(m, b, eps, square)
    assert abs(in_a[0] - 2 * math.exp(-1)) < 0.011
    ours = bound.pathwise_gradient(m, b, eps, square)
    assert np.allclose([in_mu, set_05.pathwise_grad(m, b, eps, square)[1]], [g.mean(axis=0) for g in ours])


def said(capsys: pytest.CaptureFixture, exercise: str, *answers) -> str:
    """Return what `check` says to answers."""
    exercises.check(exercise, *answers)
    return capsys.readouterr().out


def a(function, name):
    """Return an answer under the name that the exercise gives it."""

    def answer(*arguments):
        return function(*arguments)

    answer.__name__ = name
    return answer


def cases(answers: dict) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("answer", answers.values(), ids=answers.keys())


NAMES = {
    "68.1": ("gaussian_to", "quantile_discrete"),
    "68.2": ("conditional_elbo",),
    "E20": ("kl_to_standard", "pathwise_grad"),
}


def verdict(capsys: pytest.CaptureFixture, name: str, answer) -> str:
    """Return the words on one function; the others of its exercise are answered by the reference."""
    exercise = next(key for key, names in NAMES.items() if name in names)
    answers = [a(answer if other == name else getattr(set_05, other), other) for other in NAMES[exercise]]
    words = said(capsys, exercise, *answers)
    start = words.index(f"{exercise} {name}:")
    return words[start:].split(f"\n{exercise} ")[0]


def refuses(capsys, name, answer):
    words = verdict(capsys, name, answer)
    assert ": not yet.\n" in words, words


def accepts(capsys, name, answer):
    words = verdict(capsys, name, answer)
    assert ": passed.\n" in words, words


ndtr = special.ndtr
WRONG_GAUSSIAN_TO = {
    "logistic approximation of Phi": lambda u, q: q(special.expit(1.702 * u), special.expit(-1.702 * u)),
    "sorted": lambda u, q: np.sort(q(ndtr(u), ndtr(-u)), axis=None).reshape(u.shape),
    "negative": lambda u, q: -q(ndtr(-u), ndtr(u)),
    "always exponential": lambda u, q: -np.log(ndtr(-u)),
    "variance 2": lambda u, q: q(ndtr(u / 2**0.5), ndtr(-u / 2**0.5)),
    "half normal": lambda u, q: q(ndtr(np.abs(u)), ndtr(-np.abs(u))),
    "flat": lambda u, q: q(ndtr(u), ndtr(-u)).ravel(),
    "first only": lambda u, q: q(ndtr(u), ndtr(-u)).flat[0],
    "clipped to six": lambda u, q: q(ndtr(np.clip(u, -6, 6)), ndtr(-np.clip(u, -6, 6))),
    "tails cut at 1e-12": lambda u, q: q(*np.clip([ndtr(u), ndtr(-u)], 1e-12, 1)),
    "empirical": lambda u, q: q((stats.rankdata(u).reshape(u.shape) - 0.5) / u.size, 0.5 + 0 * u),
    "t twice": lambda u, q: q(ndtr(u), ndtr(u)),
    "single precision": lambda u, q: q(ndtr(u.astype("f4")), 1 - ndtr(u.astype("f4"))),
    "u itself": lambda u, q: u,
}
RIGHT_GAUSSIAN_TO = {
    "statistics of the standard library": lambda u, q: q(
        *(np.vectorize(lambda x: math.erfc(x / 2**0.5) / 2)(sign * u) for sign in (-1, 1))
    ),
    "through logarithms": lambda u, q: q(np.exp(special.log_ndtr(u)), np.exp(special.log_ndtr(-u))),
    "named arguments": lambda u, q: q(t=ndtr(u), s=ndtr(-u)),
    "frozen law": lambda u, q: (lambda law: q(law.cdf(u), law.sf(u)))(stats.norm()),
    "lists": lambda u, q: np.asarray(q(ndtr(u), ndtr(-u))).tolist(),
    "a tensor": lambda u, q: torch.tensor(q(ndtr(u), ndtr(-u))),
}


@cases(WRONG_GAUSSIAN_TO)
def test_wrong_gaussian_to_is_refused(capsys, answer):
    refuses(capsys, "gaussian_to", answer)


@cases(RIGHT_GAUSSIAN_TO)
def test_right_gaussian_to_is_accepted(capsys, answer):
    accepts(capsys, "gaussian_to", answer)


def staircase(t, x, p, side="left"):
    order = np.argsort(x)
    return x[order][np.minimum(np.searchsorted(np.cumsum(p[order]), t, side=side), len(x) - 1)]


WRONG_STAIRCASES = {
    "greatest first": lambda t, x, p: -staircase(t, -x, p),
    "next point": lambda t, x, p: staircase(np.minimum(t + 0.1, 1), x, p),
    "most likely": lambda t, x, p: np.full(len(t), x[p.argmax()]),
    "mean": lambda t, x, p: np.full(len(t), x @ p),
    "equal masses": lambda t, x, p: staircase(t, x, np.full(len(x), 1 / len(x))),
    "sorted by mass": lambda t, x, p: x[np.argsort(p)][np.searchsorted(np.sort(p).cumsum() - 1e-12, t) - 1],
    "points of mass 0 counted": lambda t, x, p: np.sort(x)[np.minimum((t * len(x)).astype(int), len(x) - 1)],
    "one point": lambda t, x, p: staircase(t, x, p)[:1],
    "column": lambda t, x, p: staircase(t, x, p)[:, None],
    "rounded": lambda t, x, p: staircase(t, x, p).round(),
}
RIGHT_STAIRCASES = {
    "counted": lambda t, x, p: np.sort(x)[(np.cumsum(p[np.argsort(x)]) < t[:, None] - 1e-12).sum(axis=1)],
    "argmax": lambda t, x, p: np.sort(x)[(np.cumsum(p[np.argsort(x)]) >= t[:, None] - 1e-12).argmax(axis=1)],
    "clamped": staircase,
    "zeros left out": lambda t, x, p: staircase(t, x[p > 0], p[p > 0]),
    "as a list": lambda t, x, p: [min(b for b in x if p[x <= b].sum() >= level - 1e-12) for level in t],
}


@cases(WRONG_STAIRCASES)
def test_wrong_quantile_discrete_is_refused(capsys, answer):
    refuses(capsys, "quantile_discrete", answer)


@cases(RIGHT_STAIRCASES)
def test_right_quantile_discrete_is_accepted(capsys, answer):
    accepts(capsys, "quantile_discrete", answer)


elbo = set_05.conditional_elbo
WRONG_ELBOS = {
    "order": lambda *x: (lambda g, r, d: (g, d, r))(*elbo(*x)),
    "bound for the gap": lambda *x: (lambda g, r, d: (r - d, r, d))(*elbo(*x)),
    "bound for the reconstruction": lambda *x: (lambda g, r, d: (g, r - d, d))(*elbo(*x)),
    "divergence with a minus": lambda *x: (lambda g, r, d: (g, r, -d))(*elbo(*x)),
    "axes of u and c exchanged": lambda joint, h, c, q: (
        elbo(joint.transpose(0, 2, 1), h, min(c, len(q) - 1), q)
        if joint.shape[1] == joint.shape[2]
        else (0.0, 0.0, 0.0)
    ),
    "first class always": lambda joint, h, c, q: elbo(joint, h, 0, q),
    "first h always": lambda joint, h, c, q: elbo(joint, 0, c, q),
    "classes counted from 1": lambda joint, h, c, q: elbo(joint, h, c - 1, q),
    "symmetric gap": lambda joint, h, c, q: (
        (elbo(joint, h, c, q)[0] + set_05.gap_exchanged.answer(joint, h, c, q)[0]) / 2,
        *elbo(joint, h, c, q)[1:],
    ),
    "Jensen-Shannon": lambda joint, h, c, q: (
        float(divergences.jensen_shannon(q, joint[h, :, c] / joint[h, :, c].sum())),
        *elbo(joint, h, c, q)[1:],
    ),
    "q replaced by the posterior": lambda joint, h, c, q: elbo(
        joint, h, c, joint[h, :, c] / joint[h, :, c].sum()
    ),
    "squares": lambda *x: tuple(v**2 for v in elbo(*x)),
    "one number": lambda *x: sum(elbo(*x)),
    "floor of 1e-3 in the logarithm": lambda joint, h, c, q: (
        (q * np.log((q + 1e-3) / (joint[h, :, c] / joint[h, :, c].sum() + 1e-3))).sum(),
        *elbo(joint, h, c, q)[1:],
    ),
}
RIGHT_ELBOS = {
    "the library": lambda joint, h, c, q: bound.table_terms(joint[..., c] / joint[..., c].sum(), h, q)[1:],
    "entropies": lambda joint, h, c, q: (
        special.rel_entr(q, joint[h, :, c] / joint[h, :, c].sum()).sum(),
        special.xlogy(q, joint[h, :, c] / joint[:, :, c].sum(0)).sum(),
        -stats.entropy(q) - special.xlogy(q, joint[:, :, c].sum(0) / joint[:, :, c].sum()).sum(),
    ),
    "tensors": lambda *x: [torch.tensor(v) for v in elbo(*x)],
    "zeros replaced by tiny numbers": lambda joint, h, c, q: (lambda p, j: elbo(j, h, c, p / p.sum()))(
        np.maximum(q, 1e-12), np.maximum(joint, 1e-13)
    ),
}


@cases(WRONG_ELBOS)
def test_wrong_conditional_elbo_is_refused(capsys, answer):
    refuses(capsys, "conditional_elbo", answer)


@cases(RIGHT_ELBOS)
def test_right_conditional_elbo_is_accepted(capsys, answer):
    accepts(capsys, "conditional_elbo", answer)


kl = set_05.kl_to_standard
WRONG_KLS = {
    "means left out": lambda mu, a: kl(0 * mu, a),
    "variances left out": lambda mu, a: kl(mu, 0 * a),
    "length not squared": lambda mu, a: kl(0 * mu, a) + np.linalg.norm(mu, axis=-1) / 2,
    "absolute": lambda mu, a: kl(mu, np.abs(a)),
    "arguments exchanged": lambda mu, a: kl(a, mu),
    "entry by entry": lambda mu, a: (np.exp(a) - a - 1 + mu**2) / 2,
    "first axis": lambda mu, a: ((np.exp(a) - a - 1 + mu**2) / 2).sum(axis=0),
    "negative": lambda mu, a: -kl(mu, a),
    "J of the text": lambda mu, a: (np.exp(a) - a + mu**2).sum(axis=-1),
    "bits": lambda mu, a: kl(mu, a) / math.log(2),
    "to a wider prior": lambda mu, a: (np.exp(a) / 4 - a - 1 + math.log(4) + mu**2 / 4).sum(axis=-1) / 2,
    "mean over samples": lambda mu, a: kl(mu, a).mean(),
    "kept axis": lambda mu, a: kl(mu, a)[..., None],
}
RIGHT_KLS = {
    "the library": divergences.kl_to_standard,
    "expm1": lambda mu, a: 0.5 * np.sum(np.expm1(a) - a + np.square(mu), -1),
    "full covariances": lambda mu, a: divergences.kl_gaussian(
        mu, np.exp(a)[..., None] * np.eye(mu.shape[-1]), np.zeros(mu.shape[-1]), np.eye(mu.shape[-1])
    ),
    "torch in single precision": lambda mu, a: (
        lambda m, b: -0.5 * torch.sum(1 + b - m.pow(2) - b.exp(), dim=-1)
    )(torch.tensor(mu).float(), torch.tensor(a).float()),
}


@cases(WRONG_KLS)
def test_wrong_kl_to_standard_is_refused(capsys, answer):
    refuses(capsys, "kl_to_standard", answer)


@cases(RIGHT_KLS)
def test_right_kl_to_standard_is_accepted(capsys, answer):
    accepts(capsys, "kl_to_standard", answer)


grad = set_05.pathwise_grad
WRONG_GRADS = {
    "exchanged": lambda *x: grad(*x)[::-1],
    "negative": lambda *x: tuple(-g for g in grad(*x)),
    "draws from the prior": lambda mu, a, eps, f: grad(0 * mu, 0 * a, eps, f),
    "minus the noise": lambda mu, a, eps, f: grad(mu, a, -eps, f),
    "median": lambda mu, a, eps, f: (np.median(f(mu + np.exp(a / 2) * eps), axis=0), grad(mu, a, eps, f)[1]),
    "first draw": lambda mu, a, eps, f: grad(mu, a, eps[:1], f),
    "n - 1": lambda mu, a, eps, f: tuple(g * len(eps) / max(len(eps) - 1, 0.5) for g in grad(mu, a, eps, f)),
    "in the variance": lambda mu, a, eps, f: (grad(mu, a, eps, f)[0], grad(mu, a, eps, f)[1] / np.exp(a)),
    "absolute noise": lambda mu, a, eps, f: (
        grad(mu, a, eps, f)[0],
        (f(mu + np.exp(a / 2) * eps) * np.exp(a / 2) * np.abs(eps) / 2).mean(axis=0),
    ),
    "product of means": lambda mu, a, eps, f: (
        grad(mu, a, eps, f)[0],
        grad(mu, a, eps, f)[0] * np.exp(a / 2) * eps.mean(axis=0) / 2,
    ),
    "exact for the square only": lambda mu, a, eps, f: (2 * mu, np.exp(a)),
    "rows": lambda *x: tuple(g[None] for g in grad(*x)),
}
RIGHT_GRADS = {
    "the library": lambda mu, a, eps, f: [g.mean(axis=0) for g in bound.pathwise_gradient(mu, a, eps, f)],
    "in another order of sums": lambda mu, a, eps, f: (
        np.einsum("np->p", f(mu + eps * np.exp(a) ** 0.5)) / len(eps),
        np.einsum("np,np,p->p", f(mu + eps * np.exp(a) ** 0.5), eps, np.exp(a / 2)) / (2 * len(eps)),
    ),
    "through u - mu": lambda mu, a, eps, f: (lambda u: (f(u).mean(0), (f(u) * (u - mu)).mean(0) / 2))(
        mu + np.exp(0.5 * a) * eps
    ),
    "tensors": lambda *x: [torch.tensor(g, dtype=torch.float32) for g in grad(*x)],
}


@cases(WRONG_GRADS)
def test_wrong_pathwise_grad_is_refused(capsys, answer):
    refuses(capsys, "pathwise_grad", answer)


@cases(RIGHT_GRADS)
def test_right_pathwise_grad_is_accepted(capsys, answer):
    accepts(capsys, "pathwise_grad", answer)
