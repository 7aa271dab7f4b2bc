"""Answers to the second problem set that no declaration foresees: wrong ones must not pass, right ones must.

They are run as a student runs them, through `check`, on the public cases. The numbers of the course that the
references must give are tested first.
"""

import functools
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import integrate
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from gennet import exercises, face_space

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("set_02", ROOT / "solutions/exercises/02_face_space.py")
set_02 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(set_02)

pytestmark = pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")

SEEDS = [68, 1, 2026, 987654321]


@pytest.fixture(autouse=True)
def no_progress_and_no_hurry(monkeypatch):
    """Nothing is kept on this disk; a busy machine is no reason to refuse an answer here."""
    monkeypatch.setenv("GENNET_HOME", "off")
    monkeypatch.setattr(exercises, "LIMIT", 60)


def said(capsys: pytest.CaptureFixture, exercise: str, name: str, answer) -> str:
    """Return what `check` says to one answer under the name that the exercise gives it."""

    def named(*arguments):
        return answer(*arguments)

    named.__name__ = name
    exercises.check(exercise, named)
    return capsys.readouterr().out


def refuses(capsys: pytest.CaptureFixture, exercise: str, name: str, answer) -> None:
    words = said(capsys, exercise, name, answer)
    assert ": not yet.\n" in words and "passed" not in words, words


def accepts(capsys: pytest.CaptureFixture, exercise: str, name: str, answer) -> None:
    words = said(capsys, exercise, name, answer)
    assert ": passed.\n" in words and "not yet" not in words, words


def cases(answers: dict) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("answer", answers.values(), ids=answers.keys())


# ---------------------------------------------------------------------------------------------------- E3

dffs, calibrate, detect = set_02.dffs, set_02.calibrate, set_02.detect


def world(seed: int, n: int = 80):
    """Draw faces (to learn from, held out, new) of a 5-dimensional affine set with noise 0.1, and noise."""
    rng = np.random.default_rng(seed)
    mean, axes = rng.normal(size=(64, 1)), np.linalg.qr(rng.normal(size=(64, 5)))[0]
    sets = [mean + axes @ rng.normal(size=(5, m)) + 0.1 * rng.normal(size=(64, m)) for m in (n, 200, 200)]
    return *sets, mean + rng.normal(size=(64, 200)) * np.sqrt(5 / 64 + 0.01)


def area(faces, others) -> float:
    """Return the area under the ROC curve of a score that is small for faces."""
    return (faces[:, None] < others).mean()


@pytest.mark.parametrize("seed", range(5))
def test_e3_gives_what_the_course_says(seed: int):
    train, _, new, others = world(seed)
    mean, basis = set_02.face_space(train, 64)
    areas = {D: area(*(dffs(W, mean, basis[:, :D]) for W in (new, others))) for D in (1, 5)}
    assert areas[5] > 0.9999 and 0.6 < areas[1] < 0.9
    codes = [set_02.energy_of_the_code.answer(W, mean, basis[:, :5]) for W in (new, others)]
    assert area(*codes) < 0.05  # the norm of the code instead of the residue
    assert max(dffs(W, mean, basis).max() for W in (new, others)) < 1e-20  # C6


def test_e3_keeps_the_promised_rate_on_new_faces_only_if_calibrated_on_held_out_ones():
    rates = {"held out": [], "training": []}
    for seed in range(20):
        train, held_out, new, _ = world(seed)
        mean, basis = set_02.face_space(train, 5)
        tau = set_02.learn_threshold(train, held_out, 5, 0.95)
        too_small = set_02.calibrated_on_training_faces.answer(train, held_out, 5, 0.95)
        rates["held out"].append(detect(new, tau, mean, basis).mean())
        rates["training"].append(detect(new, too_small, mean, basis).mean())
    spread = np.sqrt(2 * 0.95 * 0.05 / 200 / 20)  # of the mean: two samples of 200, twenty times
    assert abs(np.mean(rates["held out"]) - 0.95) < 5 * spread
    assert np.max(rates["training"]) < 0.9 and np.mean(rates["training"]) < 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_every_threshold_that_the_statement_allows_is_within_rounding(seed: int):
    """The engine compares with one number, so the inputs must leave no room for another."""
    for energies, rate in set_02.energies_to_calibrate(np.random.default_rng(seed)):
        n, tau = len(energies), calibrate(energies, rate)
        allowed = [
            value
            for value in np.sort(energies)
            if abs(np.mean(energies < value * (1 - 1e-9)) - rate) <= 1 / n + 1e-9
            or abs(np.mean(energies < value * (1 + 1e-9)) - rate) <= 1 / n + 1e-9
        ]
        assert len(allowed) >= 3
        assert np.ptp([*allowed, tau]) < 3e-5 * max(tau, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_window_to_judge_is_near_the_threshold(seed: int):
    for W, tau, mean, basis in set_02.windows_to_judge(np.random.default_rng(seed)):
        energies = dffs(W, mean, basis)
        assert np.abs(energies / tau - 1).min() > 0.1
        assert 0 < np.sum(energies < tau) < len(energies)


def test_e3_agrees_with_the_library():
    rng = np.random.default_rng(3)
    faces, held_out = rng.uniform(size=(30, 8, 6)), rng.uniform(size=(50, 8, 6))
    detector = face_space.FaceDetector(n_components=4, normalise=None).fit(faces).calibrate(held_out, 0.8)
    columns = [X.reshape(len(X), -1).T for X in (faces, held_out)]
    mean, basis = set_02.face_space(columns[0], 4)
    assert np.allclose(dffs(columns[1], mean, basis), detector.distances(held_out), atol=1e-12)
    assert np.isclose(set_02.learn_threshold(*columns, 4, 0.8), detector.threshold_, atol=1e-12)
    judged = detect(columns[1], detector.threshold_ * (1 - 1e-9), mean, basis)
    assert abs(judged.sum() - 40) <= 1


def test_library_refuses_a_face_space_of_everything():
    """With as many components as a window has pixels every distance would be 0 (C6)."""
    with pytest.raises(ValueError, match="every distance would be 0"):
        face_space.FaceDetector(n_components=16, normalise=None).fit(
            np.random.default_rng(0).uniform(size=(30, 4, 4))
        )


WRONG_DISTANCES = {
    "squared twice": lambda W, mean, basis: dffs(W, mean, basis) ** 2,
    "absolute differences": lambda W, mean, basis: np.abs(
        W - mean[:, None] - basis @ (basis.T @ (W - mean[:, None]))
    ).sum(axis=0),
    "one value a pixel": lambda W, mean, basis: (
        (W - mean[:, None] - basis @ (basis.T @ (W - mean[:, None]))) ** 2
    ).sum(axis=1),
    "first vector only": lambda W, mean, basis: dffs(W, mean, basis[:, :1]),
    "own mean": lambda W, mean, basis: dffs(W, W.mean(axis=1), basis),
    "windows in rows": lambda W, mean, basis: dffs(W, mean, basis)[:, None],
    "negative": lambda W, mean, basis: -dffs(W, mean, basis),
    "relative": lambda W, mean, basis: dffs(W, mean, basis) / ((W - mean[:, None]) ** 2).sum(axis=0),
    "rounded": lambda W, mean, basis: dffs(W, mean, basis).round(3),
}

WRONG_THRESHOLDS = {
    "smallest": lambda e, rate: e.min(),
    "mean": lambda e, rate: e.mean(),
    "two standard deviations": lambda e, rate: e.mean() + 2 * e.std(),
    "share of the range": lambda e, rate: e.min() + rate * np.ptp(e),
    "always 95 %": lambda e, rate: np.quantile(e, 0.95),
    "of the roots": lambda e, rate: np.sqrt(np.quantile(e, rate)),
    "the index": lambda e, rate: int(rate * len(e)),
    "share of the total energy": lambda e, rate: np.sort(e)[
        min(np.searchsorted(np.cumsum(np.sort(e)) / e.sum(), rate), len(e) - 1)
    ],
    "sorted downwards": lambda e, rate: np.sort(e)[::-1][int(rate * len(e))],
    "sorts its input": lambda e, rate: (e.sort(), np.quantile(e, rate))[1],
}

RIGHT_THRESHOLDS = {
    method: functools.partial(lambda m, e, rate: np.quantile(e, rate, method=m), method)
    for method in ("lower", "higher", "nearest", "midpoint", "weibull", "median_unbiased")
}

WRONG_VERDICTS = {
    "all faces": lambda W, tau, mean, basis: np.full(W.shape[1], True),
    "none": lambda W, tau, mean, basis: np.full(W.shape[1], False),
    "ones and zeros": lambda W, tau, mean, basis: detect(W, tau, mean, basis).astype(int),
    "floats": lambda W, tau, mean, basis: detect(W, tau, mean, basis).astype(float),
    "words": lambda W, tau, mean, basis: ["face" if f else "other" for f in detect(W, tau, mean, basis)],
    "energies": lambda W, tau, mean, basis: dffs(W, mean, basis),
    "faces only": lambda W, tau, mean, basis: W[:, detect(W, tau, mean, basis)],
    "half the threshold": lambda W, tau, mean, basis: dffs(W, mean, basis) < tau / 4,
    "median as threshold": lambda W, tau, mean, basis: dffs(W, mean, basis) < np.median(dffs(W, mean, basis)),
}

WRONG_LEARNERS = {
    "roles exchanged": lambda train, held_out, D, rate: set_02.learn_threshold(held_out, train, D, rate),
    "first half held out": lambda train, held_out, D, rate: set_02.learn_threshold(
        train[:, ::2], train[:, 1::2], D, rate
    ),
    "one vector more": lambda train, held_out, D, rate: set_02.learn_threshold(train, held_out, D + 1, rate),
    "one vector only": lambda train, held_out, D, rate: set_02.learn_threshold(train, held_out, 1, rate),
    "not centred": lambda train, held_out, D, rate: calibrate(
        dffs(held_out, np.zeros(len(train)), np.linalg.svd(train)[0][:, :D]), rate
    ),
    "rate ignored": lambda train, held_out, D, rate: set_02.learn_threshold(train, held_out, D, 0.5),
    "shares exchanged": lambda train, held_out, D, rate: set_02.learn_threshold(train, held_out, D, 1 - rate),
    "mean and threshold": lambda train, held_out, D, rate: (
        train.mean(axis=1),
        set_02.learn_threshold(train, held_out, D, rate),
    ),
}


@cases(WRONG_DISTANCES)
def test_wrong_distances_are_refused(capsys, answer):
    refuses(capsys, "E3", "dffs", answer)


@cases(WRONG_THRESHOLDS)
def test_wrong_thresholds_are_refused(capsys, answer):
    refuses(capsys, "E3", "calibrate", answer)


@cases(RIGHT_THRESHOLDS)
def test_right_thresholds_are_accepted(capsys, answer):
    accepts(capsys, "E3", "calibrate", answer)


@cases(WRONG_VERDICTS)
def test_wrong_verdicts_are_refused(capsys, answer):
    refuses(capsys, "E3", "detect", answer)


@cases(WRONG_LEARNERS)
def test_wrong_learners_are_refused(capsys, answer):
    refuses(capsys, "E3", "learn_threshold", answer)


def test_right_learner_with_a_conservative_threshold_is_accepted(capsys):
    accepts(
        capsys,
        "E3",
        "learn_threshold",
        lambda train, held_out, D, rate: np.quantile(
            dffs(held_out, *set_02.face_space(train, D)), rate, method="higher"
        ),
    )


# ---------------------------------------------------------------------------------------------------- E5

logpdf, em_step = set_02.gmm_logpdf, set_02.em_step
EXAMPLE = set_02.example()


def test_e5_gives_the_numbers_of_the_course():
    x, far = np.array([[1.0, 0.5]]), np.array([[60.0, 60]])
    assert np.isclose(np.exp(logpdf(x, *EXAMPLE))[0], 0.092202, atol=1e-6)
    assert np.isclose(logpdf(x, *EXAMPLE)[0], -2.383771, atol=1e-6)
    assert np.isclose(logpdf(far, *EXAMPLE)[0], -2060.464515, atol=1e-6)


def test_e5_wrong_answers_give_the_numbers_of_the_course():
    x = np.array([[1.0, 0.5]])
    values = {
        set_02.determinant_without_root: 0.215417,
        set_02.factor_of_one_dimension: 0.231117,
        set_02.no_half_in_the_exponent: 0.028966,
        set_02.weights_missing: 0.173415,
    }
    for wrong, value in values.items():
        assert np.isclose(np.exp(wrong.answer(x, *EXAMPLE))[0], value, atol=1e-6), wrong.name
    far = np.array([[60.0, 60]])
    assert set_02.log_of_a_sum_of_exponentials.answer(far, *EXAMPLE)[0] == -np.inf


def test_e5_density_integrates_to_1_and_agrees_with_scipy():
    def density(y, x):
        return np.exp(logpdf(np.array([[x, y]]), *EXAMPLE))[0]

    total, _ = integrate.dblquad(density, -7, 9, -9, 9, epsabs=1e-6, epsrel=1e-6)
    assert abs(total - 1) < 1e-5
    X = np.random.default_rng(0).normal(size=(20, 2)) * 4
    weights, means, covs = EXAMPLE
    logs = [multivariate_normal(m, S).logpdf(X) for m, S in zip(means, covs, strict=True)]
    assert np.allclose(logpdf(X, *EXAMPLE), logsumexp(logs, axis=0, b=weights[:, None]), atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_e5_likelihood_never_falls(seed: int):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(200, 2)) + 2 * rng.integers(3, size=(200, 1))
    model = np.full(3, 1 / 3), X[:3], np.array([2 * np.eye(2)] * 3)
    values = []
    for _ in range(16):
        values.append(logpdf(X, *model).sum())
        model = em_step(X, *model)
    assert np.min(np.diff(values)) > -1e-9 and values[-1] > values[0] + 1


def test_e5_agrees_with_the_library_and_with_scikit_learn():
    rng = np.random.default_rng(4)
    X, model = rng.normal(size=(50, 3)), set_02.mixture(rng, 2, 3)
    assert np.allclose(logpdf(X, *model), face_space.gmm_logpdf(X, *model), atol=1e-12)
    ours, theirs = em_step(X, *model), face_space.em_step(X, *model)
    assert all(np.allclose(a, b, atol=1e-12) for a, b in zip(ours, theirs, strict=True))
    sklearn = GaussianMixture(
        2,
        weights_init=model[0],
        means_init=model[1],
        precisions_init=np.linalg.inv(model[2]),
        reg_covar=0,
        max_iter=1,
    )
    with pytest.warns(match="not converge|did not converge"):
        sklearn.fit(X)
    assert np.allclose(sklearn.weights_, ours[0]) and np.allclose(sklearn.means_, ours[1])
    assert np.allclose(sklearn.covariances_, ours[2])


def changed(change):
    """Return an answer that changes what the right EM step returns."""
    return lambda *arguments: change(*em_step(*arguments))


def em_with_added_variance(X, *model):
    weights, means, covs = em_step(X, *model)
    return weights, means, covs + 1e-3 * np.eye(X.shape[1])


WRONG_LOG_DENSITIES = {
    "first component only": lambda X, weights, means, covs: set_02.log_terms(X, weights, means, covs)[:, 0],
    "logarithm of base 10": lambda *model: logpdf(*model) / np.log(10),
    "D ln(2 pi)": lambda X, *model: logpdf(X, *model) - X.shape[1] / 2 * np.log(2 * np.pi),
    "no constant at all": lambda X, *model: logpdf(X, *model) + X.shape[1] / 2 * np.log(2 * np.pi),
    "determinant added": lambda X, w, m, S: set_02.log_of_sum(set_02.log_terms(X, w, m, S, root=-0.5)),
    "one covariance for all": lambda X, w, m, S: logpdf(X, w, m, np.broadcast_to(S.mean(0), S.shape)),
    "clipped": lambda *model: np.maximum(logpdf(*model), -745),
    "a small number added": lambda X, w, m, S: np.log(
        np.exp(set_02.log_terms(X, w, m, S)).sum(axis=1) + 1e-300
    ),
    "a column": lambda *model: logpdf(*model)[:, None],
    "mean over the points": lambda *model: logpdf(*model).mean(),
    "terms": set_02.log_terms,
    "negative": lambda *model: -logpdf(*model),
    "one decimal": lambda *model: logpdf(*model).round(1),
}

WRONG_STEPS = {
    "nothing moves": lambda X, *model: model,
    "two steps": lambda X, *model: em_step(X, *em_step(X, *model)),
    "means only": lambda X, w, m, S: (w, em_step(X, w, m, S)[1], S),
    "covariances unchanged": lambda X, w, m, S: (*em_step(X, w, m, S)[:2], S),
    "spherical": changed(
        lambda w, m, S: (w, m, np.array([np.trace(C) / len(C) * np.eye(len(C)) for C in S]))
    ),
    "one covariance for all": changed(lambda w, m, S: (w, m, np.broadcast_to(S.mean(0), S.shape))),
    "standard deviations": changed(lambda w, m, S: (w, m, np.sqrt(np.abs(S)))),
    "variances as vectors": changed(lambda w, m, S: (w, m, np.array([np.diag(C) for C in S]))),
    "a ridge added": em_with_added_variance,
    "means in columns": changed(lambda w, m, S: (w, m.T, S)),
    "another order": changed(lambda w, m, S: (m, S, w)),
    "components reversed": changed(lambda w, m, S: (w[::-1], m[::-1], S[::-1])),
    "weights missing": changed(lambda w, m, S: (m, S)),
    "responsibilities for weights": lambda X, w, m, S: (
        set_02.responsibilities(set_02.log_terms(X, w, m, S)),
        *em_step(X, w, m, S)[1:],
    ),
    "determinant forgotten": lambda X, w, m, S: set_02.moments(
        X, set_02.responsibilities(set_02.log_terms(X, w, m, S, root=0))
    ),
    "NaN set to zero": lambda X, w, m, S: tuple(
        np.nan_to_num(part) for part in set_02.underflow.answer(X, w, m, S)
    ),
}

RIGHT_STEPS = {
    "the library": face_space.em_step,
    "lists": changed(lambda w, m, S: [w.tolist(), m.tolist(), S.tolist()]),
    "tensors": changed(lambda *parts: tuple(torch.tensor(part) for part in parts)),
    "single precision": changed(lambda *parts: tuple(part.astype(np.float32) for part in parts)),
}


@cases(WRONG_LOG_DENSITIES)
def test_wrong_log_densities_are_refused(capsys, answer):
    refuses(capsys, "E5", "gmm_logpdf", answer)


def test_log_densities_of_the_library_are_accepted(capsys):
    accepts(capsys, "E5", "gmm_logpdf", face_space.gmm_logpdf)


@cases(WRONG_STEPS)
def test_wrong_steps_are_refused(capsys, answer):
    refuses(capsys, "E5", "em_step", answer)


@cases(RIGHT_STEPS)
def test_right_steps_are_accepted(capsys, answer):
    accepts(capsys, "E5", "em_step", answer)


# ---------------------------------------------------------------------------------------------------- E6

posterior = set_02.posterior


def test_e6_gives_the_numbers_of_the_course():
    likelihoods, prior = np.array([0.02, 0.05, 0.01]), np.array([0.6, 0.1, 0.3])
    assert np.allclose(posterior(np.log(likelihoods), prior), [0.6, 0.25, 0.15], atol=1e-12)
    values = {
        set_02.prior_ignored: [0.25, 0.625, 0.125],
        set_02.not_normalised: [0.012, 0.005, 0.003],
        set_02.normalised_by_likelihoods: [0.15, 0.0625, 0.0375],
    }
    for wrong, value in values.items():
        assert np.allclose(wrong.answer(np.log(likelihoods), prior), value, atol=1e-12), wrong.name
    far, even = np.array([-2000.0, -2001]), np.array([0.5, 0.5])
    assert np.allclose(posterior(far, even), [0.731059, 0.268941], atol=1e-6)
    assert np.isnan(set_02.raw_likelihoods.answer(far, even)).all()


def test_e6_uniform_prior_gives_normalised_likelihoods():
    loglik = np.random.default_rng(0).normal(size=(5, 4))
    expected = np.exp(loglik) / np.exp(loglik).sum(axis=1, keepdims=True)
    assert np.allclose(posterior(loglik, np.full(4, 0.25)), expected, atol=1e-12)


def test_e6_agrees_with_the_library():
    rng = np.random.default_rng(1)
    loglik, prior = 900 * rng.normal(size=(3, 6, 4)), rng.dirichlet(np.ones(4))
    assert np.allclose(posterior(loglik, prior), face_space.posterior(loglik, prior), atol=1e-12)


WRONG_POSTERIORS = {
    "the prior": lambda loglik, prior: np.broadcast_to(prior, loglik.shape),
    "prior squared": lambda loglik, prior: posterior(loglik, prior**2),
    "divided by the prior": lambda loglik, prior: set_02.soft_max(loglik - np.log(np.maximum(prior, 1e-12))),
    "even chances": lambda loglik, prior: np.full(loglik.shape, 1 / len(prior)),
    "clipped likelihoods": lambda loglik, prior: posterior(np.maximum(loglik, -700), prior),
    "NaN set to zero": lambda loglik, prior: np.nan_to_num(set_02.raw_likelihoods.answer(loglik, prior)),
    "normalised over the first axis": lambda loglik, prior: np.exp(
        loglik + np.log(prior) - logsumexp(loglik + np.log(prior), axis=0, keepdims=True)
    ),
    "classes first": lambda loglik, prior: posterior(loglik, prior).T,
    "the winner's probability": lambda loglik, prior: posterior(loglik, prior).max(axis=-1),
    "per cent": lambda loglik, prior: 100 * posterior(loglik, prior),
    "two decimals": lambda loglik, prior: posterior(loglik, prior).round(2),
    "half the log likelihood": lambda loglik, prior: posterior(loglik / 2, prior),
    "changes its input": lambda loglik, prior: (np.add(loglik, 0, out=loglik), loglik.fill(0))[1],
}


@cases(WRONG_POSTERIORS)
def test_wrong_posteriors_are_refused(capsys, answer):
    refuses(capsys, "E6", "posterior", answer)


def test_posterior_of_the_library_is_accepted(capsys):
    accepts(capsys, "E6", "posterior", face_space.posterior)
