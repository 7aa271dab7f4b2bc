"""Answers to the eighth problem set that no declaration foresees: wrong ones must not pass, right ones must.

They are run as a student runs them, through `check`, on the public cases. The numbers of the course that the
references must give are tested first.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import norm

from gennet import divergences, exercises
from gennet.backprop import LINEAR, TANH, Network, draw
from gennet.backprop.gan import discriminator_step
from gennet.gan import game

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("set_08", ROOT / "solutions/exercises/08_adversarial_game.py")
set_08 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(set_08)

pytestmark = pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")

F, G = set_08.F, set_08.G


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


def laws(seed: int, n: int = 6, count: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(n), size=count)


# --------------------------------------------------------------------------------------------------- E10

best = set_08.optimal_discriminator


def test_e10_gives_the_numbers_of_the_course():
    assert np.allclose(best(F, G), [0.833333, 0.6, 0.222222], atol=1e-6)
    assert np.allclose(best(F, G, 0.8), [0.952381, 0.857143, 0.533333], atol=1e-6)
    assert np.allclose(set_08.probability_of_fake.answer(F, G), [0.166667, 0.4, 0.777778], atol=1e-6)
    assert np.isclose(set_08.share_ignored.answer(F, G, 0.8)[0], 0.833333, atol=1e-6)
    assert set_08.ratio_of_the_laws.answer(F, G).max() > 1


@pytest.mark.filterwarnings("error")
def test_e10_treats_zeros_without_warnings():
    D = best(np.array([0.0, 1, 0]), np.array([0.5, 0, 0]))
    assert D[0] == 0 and D[1] == 1 and 0 <= D[2] <= 1
    with pytest.warns(RuntimeWarning, match="divide by zero"):  # the other printed form, erratum S19
        assert 1 / (1 + np.array([0.5]) / np.array([0.0])) == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pi", [0.5, 0.2, 0.8])
def test_e10_is_the_maximum_of_a_numerical_search_and_agrees_with_the_library(seed: int, pi: float):
    f, g = laws(seed)

    def cost(z):  # in the logit, so that no bound is needed
        return pi * f @ np.logaddexp(0, -z) + (1 - pi) * g @ np.logaddexp(0, z)

    found = minimize(cost, np.zeros(6), method="BFGS", options={"gtol": 1e-9}).x
    assert np.allclose(1 / (1 + np.exp(-found)), best(f, g, pi), atol=1e-5)
    assert np.allclose(game.optimal_discriminator(f, g, pi), best(f, g, pi), atol=1e-14)


WRONG_DISCRIMINATORS = {
    "one half": lambda f, g, pi=0.5: 0 * f + 0.5,
    "the share": lambda f, g, pi=0.5: 0 * f + pi,
    "the law": lambda f, g, pi=0.5: f,
    "posterior summed to one": lambda f, g, pi=0.5: best(f, g, pi) / best(f, g, pi).sum(),
    "logits": lambda f, g, pi=0.5: np.log(pi * f + 1e-300) - np.log((1 - pi) * g + 1e-300),
    "of square roots": lambda f, g, pi=0.5: best(np.sqrt(f), np.sqrt(g), pi),
    "of squares": lambda f, g, pi=0.5: best(f**2, g**2, pi),
    "out of range where nothing lives": lambda f, g, pi=0.5: np.where(f + g > 0, best(f, g, pi), 1.5),
    "minus one where nothing lives": lambda f, g, pi=0.5: np.where(f + g > 0, best(f, g, pi), -1),
    "infinite where nothing lives": lambda f, g, pi=0.5: np.where(f + g > 0, best(f, g, pi), np.inf),
    "clipped": lambda f, g, pi=0.5: best(f, g, pi).clip(0.01, 0.99),
    "small masses as none": lambda f, g, pi=0.5: np.where(f + g > 1e-9, best(f, g, pi), 0.5),
    "two columns": lambda f, g, pi=0.5: np.stack([best(f, g, pi), 1 - best(f, g, pi)], axis=1),
    "a column": lambda f, g, pi=0.5: best(f, g, pi)[:, None],
    "three decimals": lambda f, g, pi=0.5: best(f, g, pi).round(3),
    "changes f": lambda f, g, pi=0.5: best(np.multiply(f, pi, out=f), (1 - pi) * g),
}

RIGHT_DISCRIMINATORS = {
    "library": game.optimal_discriminator,
    "zero where nothing lives": lambda f, g, pi=0.5: np.nan_to_num(pi * f / (pi * f + (1 - pi) * g)),
    "by loss of a table": lambda f, g, pi=0.5: 1 - best(g, f, 1 - pi),
    "complex-free einsum": lambda f, g, pi=0.5: np.einsum(
        "i,i->i", pi * f, 1 / np.where(f + g > 0, pi * f + (1 - pi) * g, 1)
    ),
}


@cases(WRONG_DISCRIMINATORS)
def test_wrong_discriminators_are_refused(capsys, answer):
    refuses(capsys, "E10", "optimal_discriminator", answer)


@cases(RIGHT_DISCRIMINATORS)
def test_right_discriminators_are_accepted(capsys, answer):
    accepts(capsys, "E10", "optimal_discriminator", answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda f, g, pi=0.5: f / (f + g), "pi is ignored"),  # with NaN where both vanish, besides
        (lambda f, g, pi=0.5: (1 - pi) * g / (pi * f + (1 - pi) * g), "probability of a *fake*"),
        (lambda f, g, pi=0.5: 1 / (1 + (1 - pi) * g / (pi * f)), "divides by zero already where f alone"),
        (lambda f, g, pi=0.5: pi * f / (pi * f + (1 - pi) * g + 1e-8), "small number is added"),
    ],
)
def test_e10_hints_do_not_depend_on_zeros(capsys, answer, words):
    assert words in " ".join(said(capsys, "E10", "optimal_discriminator", answer).split())


# --------------------------------------------------------------------------------------------------- E11

value, jsd = set_08.gan_value, set_08.jsd


def test_e11_gives_the_numbers_of_the_course():
    assert np.isclose(value(F, G), -1.083578, atol=1e-6) and np.isclose(jsd(F, G), 0.151358, atol=1e-6)
    assert np.isclose(value(F, F), -np.log(4), atol=1e-15) and jsd(F, F) == 0
    apart = np.array([1.0, 0]), np.array([0.0, 1])
    assert value(*apart) == 0 and np.isclose(jsd(*apart), np.log(2), atol=1e-15)
    wrong = {
        set_08.one_divergence: -1.234936,
        set_08.mixture_without_half: -2.469872,
        set_08.bits_and_nats: -0.949567,
        set_08.plus_ln_4: 1.689011,
        set_08.divergences_without_mixture: -0.075591,
    }
    for mistake, number in wrong.items():
        assert np.isclose(mistake.answer(F, G), number, atol=1e-6), mistake.name


@pytest.mark.parametrize("seed", range(4))
def test_e11_both_functions_agree_with_each_other_and_with_the_library(seed: int):
    f, g = laws(seed)
    assert np.isclose(value(f, g), -np.log(4) + 2 * jsd(f, g), atol=1e-14)
    assert np.isclose(jsd(f, g), jsd(g, f), atol=1e-16) and 0 < jsd(f, g) < np.log(2)
    assert np.isclose(jsd(f, g), divergences.jensen_shannon(f, g), atol=1e-14)
    assert np.isclose(value(f, g), game.best_value(f, g), atol=1e-14)


def test_e11_agrees_with_quadrature_for_two_gaussians():
    line = np.linspace(-10, 10, 4001)
    masses = norm.pdf(line) * 0.005, norm.pdf(line, 1.0, 0.7) * 0.005

    def integrand(x):
        p, q = norm.pdf(x), norm.pdf(x, 1.0, 0.7)
        return -p * np.log1p(q / p) - q * np.log1p(p / q)

    assert np.isclose(value(*masses), quad(integrand, -9, 9, epsabs=1e-12)[0], atol=1e-9)


WRONG_VALUES = {
    "zero": lambda f, g: 0.0,
    "total variation": lambda f, g: -np.log(4) + np.abs(f - g).sum(),
    "base 10": lambda f, g: value(f, g) / np.log(10),
    "log of the mean answer": lambda f, g: np.log((f * best(f, g)).sum()) + np.log((g * best(g, f)).sum()),
    "real samples only": lambda f, g: set_08.rel_entr(f, f + g).sum(),
    "one term a kind": lambda f, g: set_08.rel_entr(f, f + g) + set_08.rel_entr(g, f + g),
    "hard decisions, clipped": lambda f, g: np.log(1e-3) * np.minimum(f, g).sum(),
    "clipped answers": lambda f, g: game.value(best(f, g).clip(0.05, 0.95), f, g),
    "absolute": lambda f, g: abs(value(f, g)),
    "with the divergence": lambda f, g: (value(f, g), jsd(f, g)),
    "three decimals": lambda f, g: round(value(f, g), 3),
}

WRONG_DIVERGENCES = {
    "zero": lambda f, g: 0.0,
    "value": value,
    "total variation": lambda f, g: np.abs(f - g).sum() / 2,
    "Hellinger": lambda f, g: 1 - np.sqrt(f * g).sum(),
    "chi square": lambda f, g: ((f - g) ** 2 / np.where(f + g > 0, f + g, 1)).sum() / 4,
    "geometric mixture": lambda f, g: -np.log(np.sqrt(f * g).sum() + 1e-300),
    "one term a kind": lambda f, g: set_08.rel_entr(f, (f + g) / 2),
    "divided by n": lambda f, g: jsd(f, g) / len(f),
    "small number in the logarithms": lambda f, g: (
        f * np.log((f + 1e-2) / ((f + g) / 2 + 1e-2)) + g * np.log((g + 1e-2) / ((f + g) / 2 + 1e-2))
    ).sum(),
    "three decimals": lambda f, g: round(jsd(f, g), 3),
}


@cases(WRONG_VALUES)
def test_wrong_values_are_refused(capsys, answer):
    refuses(capsys, "E11", "gan_value", answer)


@cases(WRONG_DIVERGENCES)
def test_wrong_divergences_are_refused(capsys, answer):
    refuses(capsys, "E11", "jsd", answer)


def test_e11_of_the_library_is_accepted(capsys):
    accepts(capsys, "E11", "gan_value", game.best_value)
    accepts(capsys, "E11", "jsd", divergences.jensen_shannon)
    accepts(capsys, "E11", "jsd", lambda f, g: torch.tensor(jsd(f, g)).float())


# -------------------------------------------------------------------------------------------------- 68.9

flipped, worth, least = set_08.flipped_optimal, set_08.flipped_value, set_08.clipped_inner_min


def test_68_9_gives_the_numbers_of_the_course():
    D = flipped(F, G)
    assert np.allclose(D, [0.166667, 0.4, 0.777778], atol=1e-6)
    assert np.isclose(worth(D, F, G), -1.083578, atol=1e-6)
    assert np.isclose(worth(flipped(F, F), F, F), -np.log(4), atol=1e-15)
    assert np.isclose(least(F, G, 1e-4), -13.815560, atol=1e-5)
    assert np.isclose(worth(set_08.answer_to_real.answer(F, G), F, G), -2.394281, atol=1e-6)
    assert set_08.one_term_flipped.answer(np.zeros(3), F, G) == 0


@pytest.mark.erratum("S34")
@pytest.mark.parametrize("seed", range(4))
def test_68_9_only_the_exact_rewriting_keeps_the_game(seed: int):
    """max over D of the value is minus the min of its negative; the printed form has no finite minimum."""
    f, g = laws(seed)
    draws = np.random.default_rng(seed).uniform(0.001, 0.999, (2000, 6))
    assert max(worth(D, f, g) for D in draws) <= worth(flipped(f, g), f, g)
    assert np.isclose(worth(flipped(f, g), f, g), value(f, g), atol=1e-12)
    ends = [least(f, g, eps) for eps in (1e-2, 1e-4, 1e-8)]
    variation = np.abs(f - g).sum() / 2
    assert np.allclose(np.divide(ends, np.log([1e-2, 1e-4, 1e-8])), 1 + variation, atol=3e-3)
    clipped = draws.clip(1e-2, 1 - 1e-2)
    assert min((f * np.log(D) + g * np.log(1 - D)).sum() for D in clipped) >= ends[0]
    assert ends[0] > ends[1] > ends[2] and ends[2] < 10 * value(f, g)


def test_68_9_flipping_labels_and_outputs_gives_the_mirrored_step():
    rng = np.random.default_rng(0)
    h, h_hat = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    usual = draw([3, 4, 2], [TANH, LINEAR], rng)
    exchanged = Network([usual.W[0], usual.W[1][:, ::-1]], [usual.theta[0], usual.theta[1][::-1]], usual.f)
    one, other = discriminator_step(usual, h, h_hat, 0.1), discriminator_step(exchanged, h_hat, h, 0.1)
    assert np.allclose(one.W[0], other.W[0], atol=1e-15)
    assert np.allclose(one.theta[0], other.theta[0], atol=1e-15)
    assert np.allclose(one.W[1][:, ::-1], other.W[1], atol=1e-15)


WRONG_FLIPPED = {
    "one half": lambda f, g: 0 * f + 0.5,
    "the law of fakes": lambda f, g: g,
    "negative": lambda f, g: -flipped(f, g),
    "out of range where nothing lives": lambda f, g: np.where(f + g > 0, flipped(f, g), 2),
    "logits": lambda f, g: np.log(g + 1e-300) - np.log(f + 1e-300),
    "two decimals": lambda f, g: flipped(f, g).round(2),
}

WRONG_WORTHS = {
    "zero": lambda D, f, g: 0.0,
    "of the best answers": lambda D, f, g: value(f, g),
    "squared errors": lambda D, f, g: -(f * D**2 + g * (1 - D) ** 2).sum(),
    "without logarithms": lambda D, f, g: (f * (1 - D) + g * D).sum(),
    "signs": lambda D, f, g: set_08.xlogy(g, D).sum() - set_08.xlog1py(f, -D).sum(),
    "mean over kinds": lambda D, f, g: worth(D, f, g) / len(D),
    "clipped": lambda D, f, g: worth(D.clip(1e-3, 1 - 1e-3), f, g),
    "bits": lambda D, f, g: worth(D, f, g) / np.log(2),
}

WRONG_MINIMA = {
    "always the upper end": lambda f, g, eps: (f * np.log1p(-eps) + g * np.log(eps)).sum(),
    "worse end for all together": lambda f, g, eps: min(
        (f * np.log(D) + g * np.log(1 - D)).sum() for D in (eps, 1 - eps)
    ),
    "positive": lambda f, g, eps: -least(f, g, eps),
    "of D one half": lambda f, g, eps: -np.log(4),
    "flipped game": lambda f, g, eps: worth(flipped(f, g).clip(eps, 1 - eps), f, g),
    "total variation only": lambda f, g, eps: np.abs(f - g).sum() / 2 * np.log(eps),
    "largest": lambda f, g, eps: game.value(best(f, g).clip(eps, 1 - eps), f, g),
}


@cases(WRONG_FLIPPED)
def test_wrong_flipped_answers_are_refused(capsys, answer):
    refuses(capsys, "68.9", "flipped_optimal", answer)


@cases(WRONG_WORTHS)
def test_wrong_flipped_values_are_refused(capsys, answer):
    refuses(capsys, "68.9", "flipped_value", answer)


@cases(WRONG_MINIMA)
def test_wrong_minima_are_refused(capsys, answer):
    refuses(capsys, "68.9", "clipped_inner_min", answer)
