"""Answers to the tenth problem set that no declaration foresees: wrong ones must not pass, right ones must.

They are run as a student runs them, through `check`, on the public cases. The numbers of the course that the
references must give are tested first.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.nn.functional import binary_cross_entropy_with_logits

from gennet import cgan, exercises
from gennet.backprop import LINEAR, TANH, draw, gan
from gennet.backprop import cgan as by_hand

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("set_10", ROOT / "solutions/exercises/10_conditional_gan.py")
set_10 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(set_10)

pytestmark = pytest.mark.filterwarnings(
    "ignore:invalid value", "ignore:divide by zero", "ignore:overflow encountered"
)


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


# -------------------------------------------------------------------------------------------------- 68.8

deltas, KINDS = set_10.boundary_deltas, set_10.KINDS
Z = np.array([[0.2, -0.4, 1.0, 0.3]])


def test_68_8_gives_the_numbers_of_the_course():
    assert np.allclose(softmax(Z), [[0.204938, 0.112472, 0.456098, 0.226492]], atol=1e-6)
    assert np.allclose(-deltas(Z, "gen_any"), [[0.060008, 0.032933, 0.133550, -0.226492]], atol=1e-6)
    uniform = -set_10.uniform_over_the_classes.answer(Z, "gen_any")
    assert np.allclose(uniform, [[0.128, 0.221, -0.123, -0.226]], atol=1e-3)
    units = set_10.logistic_units.answer(Z, "gen_any").sum()
    assert np.isclose(units, 1.257, atol=1e-3)  # a gradient through one soft-max adds up to 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_68_8_agrees_with_autograd_and_with_the_library(seed: int, kind: str):
    rng = np.random.default_rng(seed)
    z, c = rng.normal(size=(9, 6)), rng.integers(5, size=9)
    c = c if kind in ("real", "gen_class") else None
    assert np.allclose(deltas(z, kind, c), set_10.deltas_by_autograd(z, kind, c), atol=1e-15)
    assert np.allclose(deltas(z, kind, c).sum(axis=1), 0, atol=1e-15)
    assert np.allclose(deltas(z, kind, c), by_hand.class_sensitivity(softmax(z, axis=1), kind, c), atol=1e-14)


def test_68_8_with_one_class_is_the_ordinary_gan():
    z = np.random.default_rng(0).normal(size=(7, 2))
    ordinary = gan.terminal_sensitivity(gan.softmax(z), gan.REAL)
    for kind, c in (("real", np.zeros(7, int)), ("gen_class", np.zeros(7, int)), ("gen_any", None)):
        assert np.allclose(deltas(z, kind, c), ordinary, atol=1e-15)
    assert np.allclose(deltas(z, "fake"), gan.terminal_sensitivity(gan.softmax(z), gan.FAKE), atol=1e-15)


def test_68_8_is_largest_where_the_fake_is_found_out():
    sizes = [np.abs(deltas(np.array([[0, 1, -1, sure]]), "gen_any")).sum() for sure in (0.0, 3, 6, 60)]
    assert sizes == sorted(sizes) and np.isclose(sizes[-1], 2)
    fading = [
        np.abs(set_10.saturating_form.answer(np.array([[0, 1, -1.0, sure]]), "gen_any")).sum()
        for sure in (0, 60)
    ]
    assert fading[1] < 1e-20 < fading[0]


def right_but(**others):
    """Return an answer that is right except for some kinds."""
    return lambda z, kind, c=None: others[kind](z, c) if kind in others else deltas(z, kind, c)


WRONG_DELTAS = {
    "zeros": lambda z, kind, c=None: 0 * z,
    "probabilities": lambda z, kind, c=None: softmax(z, axis=1),
    "the other class": right_but(gen_class=lambda z, c: deltas(z, "gen_class", (c + 1) % (z.shape[1] - 1))),
    "any class for a requested one": right_but(gen_class=lambda z, c: deltas(z, "gen_any")),
    "any class for a real sample": right_but(real=lambda z, c: deltas(z, "gen_any")),
    "fake for any": right_but(gen_any=lambda z, c: deltas(z, "fake")),
    "last output only": right_but(
        gen_any=lambda z, c: softmax(z, axis=1) * (np.arange(z.shape[1]) == z.shape[1] - 1)
    ),
    "sum of all classes": right_but(
        gen_any=lambda z, c: sum(deltas(z, "real", np.full(len(z), q)) for q in range(z.shape[1] - 1))
    ),
    "softmax over the batch": lambda z, kind, c=None: (
        softmax(z, axis=0) - softmax(z, axis=1) + deltas(z, kind, c)
    ),
    "transposed": lambda z, kind, c=None: deltas(z, kind, c).T,
    "mean": lambda z, kind, c=None: deltas(z, kind, c).mean(axis=0),
    "two decimals": lambda z, kind, c=None: deltas(z, kind, c).round(2),
    "small number in the division": right_but(
        gen_any=lambda z, c: (
            softmax(z, axis=1)
            - np.hstack([softmax(z, axis=1)[:, :-1], np.zeros((len(z), 1))])
            / (1e-8 + 1 - softmax(z, axis=1)[:, -1:])
        )
    ),
}


@cases(WRONG_DELTAS)
def test_wrong_deltas_are_refused(capsys, answer):
    refuses(capsys, "68.8", "boundary_deltas", answer)


def test_68_8_of_the_library_is_accepted(capsys):
    accepts(
        capsys,
        "68.8",
        "boundary_deltas",
        lambda z, kind, c=None: by_hand.class_sensitivity(gan.softmax(z), kind, c),
    )


# --------------------------------------------------------------------------------------------------- E21

inputs, leak, boundary = set_10.discriminator_input, set_10.label_leak, set_10.generator_boundary
MATCHED, OTHER = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])


def leaks(form: str, of_real: np.ndarray, of_fakes: np.ndarray, n: int = 4000) -> float:
    rng = np.random.default_rng(0)
    return leak(*(x for _ in range(2) for x in set_10.one_hot_batch(rng, n, of_real, of_fakes, form)))


@pytest.mark.erratum("S28")
def test_e21_gives_the_numbers_of_the_course():
    assert leaks("printed", MATCHED, MATCHED) == 1
    assert leaks("flagged", MATCHED, MATCHED) == 1
    error = np.sqrt(0.25 / 8000)
    assert leaks("usual", MATCHED, MATCHED) < 0.5 + 4 * error
    assert abs(leaks("usual", MATCHED, OTHER) - 0.65) < 4 * error


@pytest.mark.erratum("S28")
def test_e21_a_perfect_generator_is_found_out_by_the_printed_label_only():
    """Real samples and fakes have the same law; a discriminator of one layer is trained with either label."""
    rng = np.random.default_rng(1)
    c = [torch.tensor(rng.integers(3, size=3000)) for _ in range(2)]
    h = [2.0 * k[:, None] + torch.tensor(rng.normal(size=(3000, 2))) for k in c]
    losses = {}
    for name, labels in {
        "usual": [cgan.one_hot(k, 3) for k in c],
        "printed": [cgan.label_as_printed(k, 3, fake=bool(n)) for n, k in enumerate(c)],
    }.items():
        x = torch.cat([torch.cat([a, b.double()], dim=1) for a, b in zip(h, labels, strict=True)])
        real = torch.cat([torch.ones(3000), torch.zeros(3000)]).double()
        D = torch.nn.Linear(x.shape[1], 1, dtype=torch.float64)
        optimiser = torch.optim.Adam(D.parameters(), lr=0.05)
        for _ in range(400):
            loss = binary_cross_entropy_with_logits(D(x)[:, 0], real)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        losses[name] = loss.item()
    assert abs(losses["usual"] - np.log(2)) < 0.01 and losses["printed"] < 0.02


def test_e21_agrees_with_the_library():
    rng = np.random.default_rng(0)
    x, c = rng.normal(size=(5, 4)), rng.integers(3, size=5)
    usual = cgan.with_label(torch.tensor(x), cgan.one_hot(torch.tensor(c), 3))
    assert np.array_equal(inputs(x, c, 3), usual.numpy())
    labels, is_fake = set_10.one_hot_batch(rng, 500, MATCHED, OTHER, "usual")
    in_sample = cgan.label_leak(torch.tensor(labels[~is_fake]), torch.tensor(labels[is_fake]))
    assert np.isclose(leak(labels, is_fake, labels, is_fake), in_sample, atol=1e-12)


def test_e21_boundary_agrees_with_autograd_of_two_networks():
    """The derivative of ln D in the generator's last z, where the label is a constant."""
    rng = np.random.default_rng(0)
    G, D = draw([5, 6, 4], [TANH, TANH], rng), draw([7, 5, 2], [TANH, LINEAR], rng)
    u, gamma = rng.normal(size=(8, 2)), np.eye(3)[rng.integers(3, size=8)]
    passed = by_hand.forward_cgan(G, D, u, gamma)
    delta_d = gan.discriminator_sensitivities(D, passed.d, passed.gamma_hat, gan.REAL)
    z = torch.tensor(passed.g.z[-1], requires_grad=True)
    h = torch.cat([torch.tanh(z), torch.tensor(gamma)], dim=1)
    W, theta = ([torch.tensor(part) for part in parts] for parts in (D.W, D.theta))
    out = torch.tanh(h @ W[0] - theta[0]) @ W[1] - theta[1]
    right = torch.autograd.grad(torch.log_softmax(out, dim=1)[:, 0].sum(), z)[0].numpy()
    assert np.allclose(boundary(D.W[0], delta_d[1], TANH.prime(passed.g.z[-1])), right, atol=1e-14)
    kept = set_10.trailing_rows.answer(D.W[0], delta_d[1], TANH.prime(passed.g.z[-1]))
    assert np.abs(kept - right).max() > 0.01


WRONG_INPUTS = {
    "zeros behind": lambda x, c, C: np.hstack([x, np.zeros((len(x), C))]),
    "minus ones beside": lambda x, c, C: np.hstack([x, 2 * np.eye(C)[c] - 1]),
    "label added": lambda x, c, C: x + c[:, None],
    "uniform label": lambda x, c, C: np.hstack([x, np.full((len(x), C), 1 / C)]),
    "one label for all": lambda x, c, C: np.hstack([x, np.eye(C)[np.full(len(x), c[0])]]),
    "transposed": lambda x, c, C: inputs(x, c, C).T,
    "label alone": lambda x, c, C: np.eye(C)[c],
    "class from behind": lambda x, c, C: np.hstack([x, np.eye(C)[C - 1 - c]]),
}

WRONG_LEAKS = {
    "one half": lambda labels, f, new, g: 0.5,
    "one": lambda labels, f, new, g: 1.0,
    "always fake": lambda labels, f, new, g: g.mean(),
    "number of right answers": lambda labels, f, new, g: leak(labels, f, new, g) * len(new),
    "per cent": lambda labels, f, new, g: 100 * leak(labels, f, new, g),
    "minority": lambda labels, f, new, g: leak(labels, ~f, new, g),
    "accuracy for fakes only": lambda labels, f, new, g: leak(labels, f, new[g], g[g]),
    "soft votes": lambda labels, f, new, g: np.mean(
        [abs(1 - y - f[(labels == row).all(axis=1)].mean()) for row, y in zip(new, g, strict=True)]
    ),
    "any shared one": lambda labels, f, new, g: np.mean(
        [(f[(labels * row).any(axis=1)].mean() > 0.5) == y for row, y in zip(new, g, strict=True)]
    ),
    "one decimal": lambda labels, f, new, g: round(leak(labels, f, new, g), 1),
}

WRONG_BOUNDARIES = {
    "zeros": lambda W, d, s: 0 * s,
    "weights transposed": lambda W, d, s: -s * (d @ W.T)[:, ::-1][:, : s.shape[1]],
    "slope squared": lambda W, d, s: s * boundary(W, d, s),
    "divided by the slope": lambda W, d, s: boundary(W, d, s) / s**2,
    "label rows added": lambda W, d, s: (
        boundary(W, d, s) - (d @ W[s.shape[1] :].T).sum(axis=1, keepdims=True)
    ),
    "rows scaled": lambda W, d, s: boundary(W, d, s) * len(W) / s.shape[1],
    "summed over samples": lambda W, d, s: boundary(W, d, s).sum(axis=0),
    "two decimals": lambda W, d, s: boundary(W, d, s).round(2),
}


@cases(WRONG_INPUTS)
def test_wrong_inputs_are_refused(capsys, answer):
    refuses(capsys, "E21", "discriminator_input", answer)


@cases(WRONG_LEAKS)
def test_wrong_leaks_are_refused(capsys, answer):
    refuses(capsys, "E21", "label_leak", answer)


@cases(WRONG_BOUNDARIES)
def test_wrong_boundaries_are_refused(capsys, answer):
    refuses(capsys, "E21", "generator_boundary", answer)


def test_e21_integer_classes_of_any_width_are_accepted(capsys):
    accepts(capsys, "E21", "discriminator_input", lambda x, c, C: torch.tensor(inputs(x, c, C)).float())
