"""Answers to the ninth problem set that no declaration foresees: wrong ones must not pass, right ones must.

They are run as a student runs them, through `check`, on the public cases. The numbers of the course that the
references must give are tested first.
"""

import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax

from gennet import exercises
from gennet.exercises.given import Given
from gennet.gan import game

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("set_09", ROOT / "solutions/exercises/09_training_a_gan.py")
set_09 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(set_09)

pytestmark = pytest.mark.filterwarnings(
    "ignore:invalid value", "ignore:divide by zero", "ignore:overflow encountered"
)

F, G = set_09.F, set_09.G


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


# --------------------------------------------------------------------------------------------------- E13

objective, slope = set_09.generator_objective, set_09.generator_logit_grad


def test_e13_gives_the_numbers_of_the_course():
    z = np.array([-4.0])
    saturating, other = slope(z, "saturating"), slope(z, "non_saturating")
    assert np.isclose(saturating[0], -0.017986, atol=1e-6) and np.isclose(other[0], 0.982014, atol=1e-6)
    assert np.isclose(-other[0] / saturating[0], 54.598, atol=1e-3)
    assert np.isclose(set_09.derivative_in_D.answer(z, "saturating")[0], -1.018316, atol=1e-6)
    assert slope(np.zeros(1), "saturating") == -0.5 and slope(np.zeros(1), "non_saturating") == 0.5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", set_09.KINDS)
def test_e13_is_finite_everywhere_agrees_with_autograd_and_raises_D(kind: str):
    z = np.concatenate([[-800.0, 800], np.linspace(-30, 30, 101)])
    assert np.isfinite(objective(z, kind)).all() and np.isfinite(slope(z, kind)).all()
    assert np.allclose(slope(z, kind), set_09.slopes_by_autograd(z, kind), atol=1e-12)
    down = -1 if kind == "saturating" else 1
    inside = np.abs(z) < 25
    assert (z + down * 0.1 * slope(z, kind) > z)[inside].all()  # D increases with z
    library = game.generator_slope(z, kind.replace("_", "-"))
    assert np.allclose(slope(z, kind), library, atol=1e-15)


def test_e13_direct_evaluation_is_infinite_at_800():
    assert set_09.direct_evaluation.answer(np.array([800.0]), "saturating")[0] == -np.inf


@pytest.mark.erratum("S22")
def test_e13_the_saturating_objective_is_flat_in_the_logit_only():
    D = np.array([0.5, 0.1, 0.01, 0.001])
    z = np.log(D / (1 - D))
    assert (np.abs(set_09.derivative_in_D.answer(z, "saturating")) > 1).all()
    assert np.allclose(slope(z, "saturating"), -D) and np.allclose(slope(z, "non_saturating"), 1 - D)


WRONG_OBJECTIVES = {
    "clipped": lambda z, kind: np.log(np.clip(expit(-z if kind[0] == "s" else z), 1e-8, 1)),
    "one kind for both": lambda z, kind: objective(z, "saturating"),
    "difference of both": lambda z, kind: objective(z, kind) - objective(-z, kind),
    "sum": lambda z, kind: objective(z, kind).sum(),
    "base 10": lambda z, kind: objective(z, kind) / np.log(10),
    "two decimals": lambda z, kind: objective(z, kind).round(2),
}

WRONG_SLOPES = {
    "one kind for both": lambda z, kind: -expit(z),
    "the objective": objective,
    "constant": lambda z, kind: 0 * z + (-1 if kind == "saturating" else 1),
    "the answer": lambda z, kind: expit(z),
    "rough difference quotient": lambda z, kind: objective(z + 0.1, kind) - objective(z, kind),
    "of two-class softmax, twice": lambda z, kind: 2 * slope(z, kind),
    "at the answer": lambda z, kind: slope(expit(z), kind),
    "two decimals": lambda z, kind: slope(z, kind).round(2),
}


@cases(WRONG_OBJECTIVES)
def test_wrong_objectives_are_refused(capsys, answer):
    refuses(capsys, "E13", "generator_objective", answer)


@cases(WRONG_SLOPES)
def test_wrong_slopes_are_refused(capsys, answer):
    refuses(capsys, "E13", "generator_logit_grad", answer)


# --------------------------------------------------------------------------------------------------- E14

reply, step, alternate = set_09.best_generator, set_09.generator_step, set_09.alternate


def best_discriminator(D, f, p):
    return f / (f + p)


def test_e14_gives_the_numbers_of_the_course():
    D = np.array([0.2, 0.6, 0.4])
    assert reply(D).tolist() == [0, 1, 0] and np.array_equal(reply(D), game.best_reply(D))
    costs = {reply: -0.916, set_09.in_proportion_to_D.answer: -0.666}
    costs[set_09.most_easily_found_out.answer] = -0.223
    for answer, cost in costs.items():
        assert np.isclose(answer(D) @ np.log(1 - D), cost, atol=1e-3)


def test_e14_small_steps_reach_the_real_law_and_best_replies_never_do():
    p, D = alternate(F, G, np.full(3, 0.5), 1, 250, best_discriminator, lambda p, D: step(p, D, 0.5))
    assert np.abs(p - F).max() < 1e-6
    assert np.isclose(game.value(best_discriminator(D, F, p), F, p), -1.386294, atol=1e-6)
    visited = [
        alternate(F, G, np.full(3, 0.5), 1, n, best_discriminator, lambda p, D: reply(D))[0].argmax()
        for n in range(1, 30)
    ]
    assert all(here != there for here, there in pairwise(visited))
    assert len(set(visited)) == 2  # a cycle between two point masses


@pytest.mark.parametrize("seed", range(4))
def test_e14_step_agrees_with_autograd_and_descends(seed: int):
    rng = np.random.default_rng(seed)
    p, D = rng.dirichlet(np.ones(7)), rng.uniform(0.05, 0.95, 7)
    assert np.allclose(step(p, D, 0.7), set_09.step_by_autograd(p, D, 0.7).detach(), atol=1e-14)
    assert step(p, D, 0.01) @ np.log(1 - D) < p @ np.log(1 - D)
    assert np.isclose(step(p, D, 0.7).sum(), 1, atol=1e-15)


def test_e14_given_players_find_each_other():
    players = Given("discriminator_move", rate=0.7), Given("generator_move", rate=0.4)
    p, D = alternate(F, G, np.full(3, 0.5), 5, 400, *players)
    assert np.abs(p - F).max() < 1e-3 and np.abs(D - 0.5).max() < 1e-3


def played(change):
    """Return an answer to the third question with other players or numbers."""
    return lambda f, p, D, k, rounds, d_step, g_step: change(f, p, D, k, rounds, d_step, g_step)


def extra_call(f, p, D, k, rounds, d_step, g_step):
    p, D = alternate(f, p, D, k, rounds, d_step, g_step)
    d_step(D, f, p)
    return p, D


WRONG_REPLIES = {
    "zeros": lambda D: 0 * D,
    "twice the mass": lambda D: 2 * reply(D),
    "half the mass": lambda D: reply(D) / 2,
    "negative masses": lambda D: 2 * reply(D) - reply(-D),
    "D to a power": lambda D: D**50 / (D**50).sum(),
    "second best": lambda D: np.eye(len(D))[np.argsort(D)[-2]],
    "NaN beside": lambda D: np.where(reply(D) > 0, 1, np.nan),
    "a column": lambda D: reply(D)[:, None],
    "booleans": lambda D: np.max(D) == D,
}

WRONG_STEPS = {
    "no step": lambda p, D, s: p,
    "twice": lambda p, D, s: step(step(p, D, s), D, s),
    "at the end of the step": lambda p, D, s: softmax(
        np.log(p) - s * step(p, D, s) * (np.log(1 - D) - step(p, D, s) @ np.log(1 - D))
    ),
    "from a = p": lambda p, D, s: softmax(p - s * p * (np.log(1 - D) - p @ np.log(1 - D))),
    "from a = 0": lambda p, D, s: softmax(-s * p * (np.log(1 - D) - p @ np.log(1 - D))),
    "plain mean subtracted": lambda p, D, s: softmax(
        np.log(p) - s * p * (np.log(1 - D) - np.log(1 - D).mean())
    ),
    "towards the best reply": lambda p, D, s: (p + s * reply(D)) / (1 + s),
    "normalised gradient": lambda p, D, s: set_09.moved(
        p, D, s / np.abs(p * (np.log(1 - D) - p @ np.log(1 - D))).max()
    ),
    "the size one half always": lambda p, D, s: step(p, D, 0.5),
    "three decimals": lambda p, D, s: step(p, D, s).round(3),
}

WRONG_PLAYS = {
    "nothing": played(lambda f, p, D, *rest: (p, D)),
    "one round more": played(lambda f, p, D, k, n, *players: alternate(f, p, D, k, n + 1, *players)),
    "k + 1 steps": played(lambda f, p, D, k, n, *players: alternate(f, p, D, k + 1, n, *players)),
    "a call too many": extra_call,
    "calls thrown away": played(
        lambda f, p, D, k, n, *players: (alternate(f, p, D, k, n, *players)[0] * 0 + p, D)
    ),
    "laws exchanged": played(
        lambda f, p, D, k, n, d, g: alternate(f, p, D, k, n, lambda D, f, p: d(D, p, f), g)
    ),
    "arguments of g exchanged": played(
        lambda f, p, D, k, n, d, g: alternate(f, p, D, k, n, d, lambda p, D: g(D, p))
    ),
    "result without the calls": played(
        lambda f, p, D, k, n, d, g: alternate(
            f, p, D, k, n, Given("discriminator_move", rate=0.7), Given("generator_move", rate=0.4)
        )
    ),
}


@cases(WRONG_REPLIES)
def test_wrong_replies_are_refused(capsys, answer):
    refuses(capsys, "E14", "best_generator", answer)


@cases(WRONG_STEPS)
def test_wrong_steps_are_refused(capsys, answer):
    refuses(capsys, "E14", "generator_step", answer)


@cases(WRONG_PLAYS)
def test_wrong_plays_are_refused(capsys, answer):
    refuses(capsys, "E14", "alternate", answer)


def test_e14_ties_may_be_split_in_any_way(capsys):
    def split(D):
        best = np.max(D) == D
        return best * np.arange(1, len(D) + 1) / (best * np.arange(1, len(D) + 1)).sum()

    accepts(capsys, "E14", "best_generator", split)
    accepts(capsys, "E14", "best_generator", lambda D: reply(D).astype(int))
    accepts(capsys, "E14", "best_generator", game.best_reply)


def test_e14_says_which_call_is_wrong(capsys):
    words = said(capsys, "E14", "alternate", extra_call)
    assert "expected is no call" in words and "d_step, d_step, d_step, g_step" in words


# --------------------------------------------------------------------------------------------------- E19

play = set_09.play


def test_e19_gives_the_numbers_of_the_course():
    def distance(answer, steps, order):
        return np.hypot(*answer(1, 1, 0.1, steps, order))

    assert np.isclose(distance(play, 1000, "simultaneous"), 204.739618, atol=1e-6)
    assert np.isclose(distance(play, 1000, "alternating"), 1.430559, atol=1e-6)
    assert np.isclose(distance(set_09.both_ascend.answer, 100, "simultaneous"), 19489, atol=0.5)
    assert np.isclose(distance(set_09.g_moves_first.answer, 1000, "alternating"), 1.399261, atol=1e-6)
    assert np.isclose(distance(set_09.overwritten.answer, 1000, "simultaneous"), 1.430559, atol=1e-6)


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_e19_agrees_with_the_library_and_the_theory(order: str):
    path = game.bilinear(0.3, -1.2, step=0.4, rounds=25, order=order)
    for n in (0, 1, 25):
        assert np.allclose(play(0.3, -1.2, 0.4, n, order), path[n], atol=1e-12)
    d, g = path.T
    if order == "simultaneous":
        assert np.allclose(np.hypot(d, g), np.hypot(0.3, 1.2) * 1.16 ** (np.arange(26) / 2), rtol=1e-12)
    else:
        assert np.allclose(d**2 + g**2 + 0.4 * d * g, 0.3**2 + 1.2**2 - 0.4 * 0.36, atol=1e-12)
        assert np.hypot(*play(1, 1, 2.2, 100, order)) > 1e6  # above 2 it is not bounded


WRONG_GAMES = {
    "nothing": lambda d, g, s, n, order: (d, g),
    "both descend": lambda d, g, s, n, order: set_09.both_ascend.answer(d, g, -s, n, order),
    "one step less": lambda d, g, s, n, order: play(d, g, s, n - 1, order),
    "distance": lambda d, g, s, n, order: np.hypot(*play(d, g, s, n, order)),
    "value": lambda d, g, s, n, order: (d * g, d * g),
    "pulled to the solution": lambda d, g, s, n, order: play(d * (1 - s), g * (1 - s), s, n, order),
    "mean of the path": lambda d, g, s, n, order: np.mean(
        [play(d, g, s, m, order) for m in range(min(n, 30))], axis=0
    ),
    "implicit": lambda d, g, s, n, order: (
        np.linalg.matrix_power(np.linalg.inv(np.array([[1, -s], [s, 1]])), n) @ [d, g]
    ),
}


@cases(WRONG_GAMES)
def test_wrong_games_are_refused(capsys, answer):
    refuses(capsys, "E19", "play", answer)


# --------------------------------------------------------------------------------------------------- E22

delta, smoothed = set_09.cross_entropy_delta, set_09.smoothed_optimum


@pytest.mark.erratum("S25")
def test_e22_gives_the_numbers_of_the_course():
    half = np.array([0.5])
    assert np.isclose(smoothed(half, half, 0.9)[0], 0.45) and np.isclose(
        smoothed(half, 0 * half, 0.9)[0], 0.9
    )
    weighted, both = set_09.weight_instead_of_label.answer, set_09.both_labels_smoothed.answer
    assert np.isclose(weighted(half, half, 0.9)[0], 0.473684, atol=1e-6)
    assert np.isclose(weighted(half, 0 * half, 0.9)[0], 1.0)
    assert np.isclose(both(half, half, 0.9)[0], 0.5) and np.isclose(both(0 * half, half, 0.9)[0], 0.1)


@pytest.mark.parametrize("label", [(0.9, 0.1), (0.9, 0.0), (1.0, 0.0), (0.3, 1.4)])
def test_e22_agrees_with_autograd_for_every_target(label):
    z = np.random.default_rng(0).normal(size=(6, 2))
    target = np.tile(label, (6, 1))
    right = set_09.delta_by_autograd(z, target).numpy()
    assert np.allclose(delta(z, target), right, atol=1e-14)
    assert np.allclose(delta(z, target).sum(axis=1), 0, atol=1e-15)
    off = np.abs(set_09.sum_of_target_forgotten.answer(z, target) - right).max()
    assert (off < 1e-14) == (abs(sum(label) - 1) < 1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_e22_optimum_is_where_the_mean_delta_vanishes(seed: int):
    f, g = np.random.default_rng(seed).dirichlet(np.ones(5), size=2)
    D = smoothed(f, g, 0.85)
    z = np.log(np.stack([D, 1 - D], axis=1))
    real, fake = (delta(z, np.tile(label, (5, 1))) for label in ((0.85, 0.15), (0.0, 1.0)))
    assert np.allclose(f[:, None] * real + g[:, None] * fake, 0, atol=1e-15)


WRONG_DELTAS = {
    "zeros": lambda z, t: 0 * z,
    "the softmax": lambda z, t: softmax(z, axis=1),
    "the loss": lambda z, t: -(t * log_softmax(z, axis=1)).sum(axis=1),
    "hard target": lambda z, t: softmax(z, axis=1) - np.eye(z.shape[1])[t.argmax(axis=1)],
    "sum of all targets": lambda z, t: t.sum() / len(t) * softmax(z, axis=1) - t,
    "weighted twice": lambda z, t: t.sum(axis=1, keepdims=True) * (softmax(z, axis=1) - t),
    "first sum only": lambda z, t: t[0].sum() * softmax(z, axis=1) - t,
    "absolute": lambda z, t: np.abs(delta(z, t)),
    "transposed": lambda z, t: delta(z, t).T,
    "two decimals": lambda z, t: delta(z, t).round(2),
}

WRONG_OPTIMA = {
    "alpha": lambda f, g, a: 0 * f + a,
    "half": lambda f, g, a: 0 * f + 0.5,
    "mixed with one half": lambda f, g, a: smoothed(f, g, 1) * (2 * a - 1) + (1 - a),
    "power": lambda f, g, a: smoothed(f, g, 1) ** (1 / a),
    "negative where nothing lives": lambda f, g, a: np.where(f + g > 0, smoothed(f, g, a), -0.5),
    "law of real samples": lambda f, g, a: a * f,
    "one column a class": lambda f, g, a: np.stack([smoothed(f, g, a), 1 - smoothed(f, g, a)], axis=1),
    "two decimals": lambda f, g, a: smoothed(f, g, a).round(2),
}


@cases(WRONG_DELTAS)
def test_wrong_deltas_are_refused(capsys, answer):
    refuses(capsys, "E22", "cross_entropy_delta", answer)


@cases(WRONG_OPTIMA)
def test_wrong_optima_are_refused(capsys, answer):
    refuses(capsys, "E22", "smoothed_optimum", answer)


def test_e22_single_precision_is_accepted(capsys):
    accepts(capsys, "E22", "cross_entropy_delta", lambda z, t: torch.tensor(delta(z, t)).float())
