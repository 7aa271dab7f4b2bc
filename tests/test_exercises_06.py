"""Answers to the sixth problem set that no declaration foresees: wrong ones must not pass, right ones must.

They are run as a student runs them, through `check`, on the public cases. The numbers of the course that the
references must give are tested first, and the references against the library.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from gennet import exercises
from gennet.backprop import LINEAR, TANH, Network
from gennet.backprop import vae as library
from gennet.exercises.answers import fresh

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("set_06", ROOT / "solutions/exercises/06_training_a_vae.py")
set_06 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(set_06)

risk, boundary, step = set_06.vae_risk, set_06.divergence_boundary, set_06.vae_step
SEEDS = [68, 1, 2026, 987654321]


@pytest.fixture(autouse=True)
def no_progress_and_no_hurry(monkeypatch):
    """Nothing is kept on this disk; a busy machine is no reason to refuse an answer here."""
    monkeypatch.setenv("GENNET_HOME", "off")
    monkeypatch.setattr(exercises, "LIMIT", 60)


def said(capsys: pytest.CaptureFixture, name: str, answer) -> str:
    """Return what `check` says to one answer under the name that the exercise gives it."""

    def named(*arguments):
        return answer(*arguments)

    named.__name__ = name
    exercises.check("68.3", named)
    return capsys.readouterr().out


def refuses(capsys: pytest.CaptureFixture, name: str, answer) -> None:
    words = said(capsys, name, answer)
    assert ": not yet.\n" in words and "passed" not in words, words


def accepts(capsys: pytest.CaptureFixture, name: str, answer) -> None:
    words = said(capsys, name, answer)
    assert ": passed.\n" in words and "not yet" not in words, words


def cases(answers: dict) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("answer", answers.values(), ids=answers.keys())


def leaves(params: dict) -> list[np.ndarray]:
    return [part for name in ("We", "te", "Wd", "td") for part in params[name]]


def difference(one: dict, other: dict) -> float:
    return max(np.abs(a - b).max() for a, b in zip(leaves(one), leaves(other), strict=True))


def slopes(params: dict, rest: tuple, d: float = 1e-6) -> dict:
    """Return the derivatives of the risk by central differences."""
    found = {name: [np.zeros_like(part) for part in parts] for name, parts in params.items()}
    for name, parts in params.items():
        for ell, part in enumerate(parts):
            for place in np.ndindex(part.shape):
                ends = []
                for sign in (d, -d):
                    moved = {key: [v.copy() for v in value] for key, value in params.items()}
                    moved[name][ell][place] += sign
                    ends.append(risk(moved, *rest))
                found[name][ell][place] = (ends[0] - ends[1]) / (2 * d)
    return found


# --------------------------------------------------------------------------------- the numbers of the course


def test_boundary_gives_the_numbers_of_the_course():
    """The printed values are exact: variances 1/2 and 2 less 1, times powers of 2."""
    mu, a = np.array([[1.0, -2]]), np.log([[0.5, 2]])
    values = {
        boundary: [0.5, -1, -0.125, 0.25],
        set_06.boundary_not_scaled.answer: [2, -4, -0.5, 1],
        set_06.boundary_divided.answer: [8, -16, -2, 4],
        set_06.only_log_variances_scaled.answer: [2, -4, -0.125, 0.25],
        set_06.boundary_of_the_divergence.answer: [0.25, -0.5, -0.0625, 0.125],
    }
    for answer, value in values.items():
        assert np.allclose(answer(mu, a, 0.25), [value], rtol=0, atol=1e-14), answer.__name__


@pytest.mark.parametrize("seed", SEEDS)
def test_step_is_gradient_descent_on_the_risk(seed: int):
    """Against autograd to rounding, against central differences to 1e-8."""
    for params, h, eps, lr, rho, kappa in set_06.steps(np.random.default_rng(seed)):
        now = step(params, h, eps, lr, rho, kappa)
        assert difference(now, fresh(set_06.step_by_torch(params, h, eps, lr, rho, kappa))) < 1e-13
        found = slopes(params, (h, eps, rho, kappa))
        by_hand = {
            name: [(old - new) / lr for old, new in zip(params[name], now[name], strict=True)]
            for name in params
        }
        assert difference(by_hand, found) < 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_with_kappa_one_it_is_the_library_s(seed: int):
    for params, h, eps, lr, rho, _ in set_06.steps(np.random.default_rng(seed)):
        tanh = [[TANH] * (len(params[name]) - 1) for name in ("We", "Wd")]
        pair = library.Pair(
            Network(params["We"], params["te"], [*tanh[0], LINEAR]),
            Network(params["Wd"], params["td"], [*tanh[1], TANH]),
        )
        stepped = library.step(pair, h, eps, lr, rho)
        theirs = {
            "We": stepped.encoder.W,
            "te": stepped.encoder.theta,
            "Wd": stepped.decoder.W,
            "td": stepped.decoder.theta,
        }
        assert difference(step(params, h, eps, lr, rho, 1.0), theirs) < 1e-14
        assert np.isclose(risk(params, h, eps, rho, 1.0), library.risk(pair, h, eps, rho), rtol=1e-14)
        now = library.forward(pair, h, eps)
        assert np.array_equal(boundary(now.mean, now.a, 1.0), library.x(now.mean, now.a))


def test_decoder_does_not_depend_on_kappa():
    for params, h, eps, lr, rho, _ in set_06.steps(np.random.default_rng(3)):
        weak, strong = (step(params, h, eps, lr, rho, kappa) for kappa in (0.01, 5.0))
        for name in ("Wd", "td"):
            assert all(np.array_equal(a, b) for a, b in zip(weak[name], strong[name], strict=True))
        assert max(np.abs(a - b).max() for a, b in zip(weak["te"], strong["te"], strict=True)) > 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_wrong_steps_differ_by_far_more_than_the_tolerance(seed: int):
    for mistaken in set_06.PROBLEM_68_3.functions[2].mistakes:
        worst = max(
            difference(step(*case), mistaken.answer(*case))
            for case in set_06.steps(np.random.default_rng(seed))
        )
        assert worst > 3e-3, mistaken.name


@pytest.mark.erratum("S33")
def test_scaled_quantity_is_a_bound_from_one_on():
    """u ~ N(0, 1), h given u ~ N(u, 1), h = 2; for kappa = 1/2 the exact posterior lies above ln f(h)."""
    evidence = -0.5 * np.log(4 * np.pi) - 1

    def scaled(mean, variance, kappa):
        reconstruction = -0.5 * np.log(2 * np.pi) - ((2 - mean) ** 2 + variance) / 2
        return reconstruction - kappa * (mean**2 + variance - 1 - np.log(variance)) / 2

    for kappa, value in {0.5: -1.96723, 1: -2.26551, 2: -2.86209}.items():
        assert np.isclose(scaled(1, 0.5, kappa), value, atol=1e-5)
    assert np.isclose(evidence, -2.26551, atol=1e-5) and scaled(1, 0.5, 0.5) > evidence + 0.29
    mean, variance = np.meshgrid(np.linspace(-4, 4, 161), np.geomspace(0.01, 20, 200))
    for kappa in (1, 1.5, 2):
        assert (scaled(mean, variance, kappa) <= evidence + 1e-12).all()


# ------------------------------------------------------------------------------------- what nobody foresaw


def changed(**parts):
    """Return an answer in which parts of the right step are changed."""
    return lambda *a: {
        name: [parts[name](v) for v in value] if name in parts else value for name, value in step(*a).items()
    }


def changes_its_input(params, h, eps, lr, rho, kappa):
    new = step(params, h, eps, lr, rho, kappa)
    for name in params:
        for old, part in zip(params[name], new[name], strict=True):
            old[...] = part
    return params


def first_layer_only(params, h, eps, lr, rho, kappa):
    new = step(params, h, eps, lr, rho, kappa)
    return {name: [new[name][0], *params[name][1:]] for name in params}


def with_boundary(function):
    return lambda *a: set_06.stepped(*a, boundary=function)


WRONG_RISKS = {
    "zero": lambda *a: 0.0,
    "kappa squared": lambda p, h, eps, rho, kappa: risk(p, h, eps, rho, kappa**2),
    "1 + kappa": lambda p, h, eps, rho, kappa: risk(p, h, eps, rho, 1 + kappa),
    "minus J": lambda p, h, eps, rho, kappa: risk(p, h, eps, rho, -kappa),
    "rho squared": lambda p, h, eps, rho, kappa: risk(p, h, eps, rho**2, kappa),
    "rho not squared norm": lambda p, h, eps, rho, kappa: (
        risk(p, h, eps, 0, kappa) + rho * sum(np.linalg.norm(W) for W in p["We"] + p["Wd"])
    ),
    "encoder's energy alone": lambda p, h, eps, rho, kappa: (
        risk(p, h, eps, 0, kappa) + rho * sum((W**2).sum() for W in p["We"])
    ),
    "half the energy": lambda p, h, eps, rho, kappa: risk(p, h, eps, rho / 2, kappa),
    "no draw": lambda p, h, eps, rho, kappa: risk(p, h, 0 * eps, rho, kappa),
    "one a sample": lambda p, h, eps, rho, kappa: np.full(len(h), risk(p, h, eps, rho, kappa)),
    "exp(a) missing": lambda p, h, eps, rho, kappa: set_06.risk(
        p, h, eps, rho, kappa, J=lambda mu, a: (mu**2 - a).sum(axis=1)
    ),
    "mean not squared": lambda p, h, eps, rho, kappa: set_06.risk(
        p, h, eps, rho, kappa, J=lambda mu, a: (np.abs(mu) + np.exp(a) - a).sum(axis=1)
    ),
    "two decimals": lambda *a: round(risk(*a), 2),
}

WRONG_BOUNDARIES = {
    "zeros": lambda mu, a, kappa: np.zeros((len(mu), 2 * mu.shape[1])),
    "J itself": lambda mu, a, kappa: kappa * np.hstack([mu**2, np.exp(a) - a]),
    "means only": lambda mu, a, kappa: 2 * kappa * mu,
    "two results": lambda mu, a, kappa: (2 * kappa * mu, kappa * (np.exp(a) - 1)),
    "stacked": lambda mu, a, kappa: np.vstack([2 * kappa * mu, kappa * (np.exp(a) - 1)]),
    "transposed": lambda mu, a, kappa: boundary(mu, a, kappa).T,
    "interleaved": lambda mu, a, kappa: (
        kappa * np.stack([2 * mu, np.exp(a) - 1], axis=2).reshape(len(mu), -1)
    ),
    "root of kappa": lambda mu, a, kappa: boundary(mu, a, np.sqrt(kappa)),
    "linear in a": lambda mu, a, kappa: kappa * np.hstack([2 * mu, a]),
    "summed over the batch": lambda mu, a, kappa: boundary(mu, a, kappa).sum(axis=0),
    "three decimals": lambda *x: boundary(*x).round(3),
    "changes its input": lambda mu, a, kappa: kappa * np.hstack([np.multiply(mu, 2, out=mu), np.expm1(a)]),
}

WRONG_STEPS = {
    "nothing moves": lambda params, *rest: params,
    "zeros": lambda params, *rest: {name: [0 * v for v in value] for name, value in params.items()},
    "changes its input": changes_its_input,
    "first layers only": first_layer_only,
    "lr squared": lambda p, h, eps, lr, *rest: step(p, h, eps, lr**2, *rest),
    "two steps": lambda p, *rest: step(step(p, *rest), *rest),
    "kappa in the step size": lambda p, h, eps, lr, rho, kappa: step(p, h, eps, lr * kappa, rho, 1.0),
    "kappa squared": lambda p, h, eps, lr, rho, kappa: step(p, h, eps, lr, rho, kappa**2),
    "first sample only": lambda p, h, eps, *rest: step(p, h[:1], eps[:1], *rest),
    "J without the squared error": with_boundary(lambda delta, mu, a, kappa: boundary(mu, a, kappa)),
    "J subtracted": with_boundary(lambda delta, mu, a, kappa: delta - boundary(mu, a, kappa)),
    "boundary at the draw": with_boundary(
        lambda delta, mu, a, kappa: delta + boundary(mu, a, kappa) * np.hstack([0 * a + 1, np.exp(a / 2)])
    ),
    "tanh at the encoder's output": with_boundary(
        lambda delta, mu, a, kappa: (delta + boundary(mu, a, kappa)) * (1 - np.tanh(np.hstack([mu, a])) ** 2)
    ),
    "no draw": lambda p, h, eps, *rest: step(p, h, 0 * eps, *rest),
    "encoder not moved": lambda p, *rest: step(p, *rest) | {name: p[name] for name in ("We", "te")},
    "decoder not moved": lambda p, *rest: step(p, *rest) | {name: p[name] for name in ("Wd", "td")},
    "We transposed": changed(We=np.transpose),
    "td as a row": changed(td=lambda t: t[None]),
    "one key missing": lambda *a: {name: v for name, v in step(*a).items() if name != "te"},
    "other keys": lambda *a: {name.lower(): v for name, v in step(*a).items()},
    "in a tuple": lambda *a: tuple(step(*a).values()),
    "with the risk": lambda p, h, eps, lr, rho, kappa: (
        risk(p, h, eps, rho, kappa),
        step(p, h, eps, lr, rho, kappa),
    ),
    "three decimals": lambda *a: {name: [v.round(3) for v in value] for name, value in step(*a).items()},
}

RIGHT_STEPS = {
    "tuples of tensors, keys reversed": lambda *a: {
        name: tuple(torch.tensor(v) for v in value) for name, value in reversed(step(*a).items())
    },
    "lists": lambda *a: {name: [v.tolist() for v in value] for name, value in step(*a).items()},
    "in float32": lambda *a: {
        name: [v.astype(np.float32) for v in value] for name, value in step(*a).items()
    },
    "copied and changed in place": lambda p, *rest: changes_its_input(
        {name: [v.copy() for v in value] for name, value in p.items()}, *rest
    ),
}


@cases(WRONG_RISKS)
def test_wrong_risks_are_refused(capsys, answer):
    refuses(capsys, "vae_risk", answer)


@cases(WRONG_BOUNDARIES)
def test_wrong_boundaries_are_refused(capsys, answer):
    refuses(capsys, "divergence_boundary", answer)


@cases(WRONG_STEPS)
def test_wrong_steps_are_refused(capsys, answer):
    refuses(capsys, "vae_step", answer)


@cases(RIGHT_STEPS)
def test_right_steps_are_accepted(capsys, answer):
    accepts(capsys, "vae_step", answer)


def test_right_answers_leave_their_input_alone():
    for case in set_06.steps(np.random.default_rng(0)):
        before = [part.copy() for part in leaves(case[0])]
        step(*case)
        assert all(np.array_equal(a, b) for a, b in zip(before, leaves(case[0]), strict=True))
