"""Answers to the seventh problem set that no declaration foresees: wrong ones must not pass, right ones must.

They are run as a student runs them, through `check`, on the public cases. The numbers of the course that the
references must give are tested first, and the references against the library.
"""

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from gennet import exercises
from gennet.backprop import LINEAR, TANH, Network
from gennet.backprop import cvae as library
from gennet.backprop import vae as without_labels
from gennet.exercises.answers import fresh

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("set_07", ROOT / "solutions/exercises/07_conditional_vae.py")
set_07 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(set_07)

transition, step = set_07.transition_delta, set_07.cvae_step
boundary, parallel = set_07.classifier_boundary, set_07.parallel_cvae_step
dropout, bn, bn_test = set_07.dropout_forward_backward, set_07.bn, set_07.bn_test
SEEDS = [68, 1, 2026, 987654321]

each_seed = pytest.mark.parametrize("seed", SEEDS)


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


def inputs(generator, seed: int) -> list[tuple]:
    return list(generator(np.random.default_rng(seed)))


def difference(one: dict, other: dict) -> float:
    """Return the largest difference of two dicts of lists of arrays."""
    assert one.keys() == other.keys()
    pairs = ((a, b) for name in one for a, b in zip(one[name], other[name], strict=True))
    return max(np.abs(a - b).max() for a, b in pairs)


def network(params: dict, letter: str, last) -> Network:
    W = params["W" + letter]
    return Network(W, params["t" + letter], [TANH] * (len(W) - 1) + [last])


def as_params(**networks: Network) -> dict:
    found = {f"W{letter}": net.W for letter, net in networks.items()}
    return found | {f"t{letter}": net.theta for letter, net in networks.items()}


def slopes(params: dict, risk, d: float = 1e-6) -> dict:
    """Return the derivatives of a risk by central differences."""
    found = {name: [np.zeros_like(part) for part in parts] for name, parts in params.items()}
    for name, parts in params.items():
        for ell, part in enumerate(parts):
            for place in np.ndindex(part.shape):
                ends = []
                for sign in (d, -d):
                    moved = {key: [v.copy() for v in value] for key, value in params.items()}
                    moved[name][ell][place] += sign
                    ends.append(risk(moved))
                found[name][ell][place] = (ends[0] - ends[1]) / (2 * d)
    return found


def gradients(params: dict, stepped: dict, lr: float) -> dict:
    return {
        name: [(old - new) / lr for old, new in zip(params[name], stepped[name], strict=True)]
        for name in params
    }


def far_from_right(function, mistakes, generator, seed: int, least: float) -> None:
    """Assert that each mistake is, on some input, further from the right answer than `least`."""
    for mistaken in mistakes:
        worst = 0.0
        for case in inputs(generator, seed):
            right, wrong = (list(leaves(f(*case))) for f in (function, mistaken.answer))
            worst = max(worst, *(np.abs(a - b).max() for a, b in zip(right, wrong, strict=True)))
        assert worst > least, mistaken.name


def leaves(value):
    """Yield the arrays of a result, in any structure of dicts, lists and tuples."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from leaves(part)
    else:
        yield np.asarray(value)


# -------------------------------------------------------------------------------------------------- 68.4


@each_seed
def test_transition_agrees_with_autograd_and_the_library(seed: int):
    for W1d, delta2, mu, a, eps, fprime in inputs(set_07.transitions, seed):
        right = transition(W1d, delta2, mu, a, eps, fprime)
        by_torch = fresh(set_07.transition_by_torch(W1d, delta2, mu, a, eps, fprime))
        assert np.abs(right - by_torch).max() < 1e-14
        W_bar = library.leading_rows(W1d, mu.shape[1])
        assert np.allclose(right, without_labels.transition(W_bar, delta2, a, eps, fprime), atol=1e-14)


@each_seed
def test_labelled_step_is_gradient_descent_on_the_risk(seed: int):
    """Against autograd and the library to rounding, against central differences to 1e-6."""
    for params, h, gamma, eps, lr, rho in inputs(set_07.labelled_batches, seed):
        now = step(params, h, gamma, eps, lr, rho)
        assert difference(now, fresh(set_07.cvae_by_torch(params, h, gamma, eps, lr, rho))) < 1e-13
        found = slopes(params, lambda p, x=(h, gamma, eps, rho): set_07.labelled_risk(p, *x))
        assert difference(gradients(params, now, lr), found) < 1e-6
        pair = without_labels.Pair(network(params, "e", LINEAR), network(params, "d", TANH))
        theirs = library.step(pair, h, gamma, eps, lr, rho)
        assert difference(now, as_params(e=theirs.encoder, d=theirs.decoder)) < 1e-14


def test_label_changes_the_output_and_its_numbering_does_not():
    for params, h, gamma, eps, *_ in inputs(set_07.labelled_batches, 0)[1:]:
        M, P, C = h.shape[1], eps.shape[1], gamma.shape[1]

        def decoded(params, gamma, h=h, eps=eps):
            pair = without_labels.Pair(network(params, "e", LINEAR), network(params, "d", TANH))
            return library.forward(pair, h, gamma, eps).h_hat

        order, renamed = np.roll(np.arange(C), 1), dict(params)
        for name, size in (("We", M), ("Wd", P)):
            first = params[name][0]
            renamed[name] = [np.vstack([first[:size], first[size:][order]]), *params[name][1:]]
        assert np.allclose(decoded(renamed, gamma[:, order]), decoded(params, gamma), rtol=0, atol=1e-14)
        assert np.abs(decoded(params, gamma[:, order]) - decoded(params, gamma)).max() > 0.01


@each_seed
def test_wrong_labelled_answers_differ_by_far_more_than_the_tolerance(seed: int):
    first, second = set_07.P4.functions
    far_from_right(transition, first.mistakes, set_07.transitions, seed, 0.1)
    far_from_right(step, second.mistakes, set_07.labelled_batches, seed, 3e-3)


def moved(function, **parts):
    """Return an answer in which parts of the right step are changed."""
    return lambda *a: {
        name: [parts[name](v) for v in value] if name in parts else value
        for name, value in function(*a).items()
    }


def changes_its_input(function):
    """Return an answer that writes the right step into the given parameters."""

    def answer(params, *rest):
        new = function(params, *rest)
        for name in params:
            for old, part in zip(params[name], new[name], strict=True):
                old[...] = part
        return params

    return answer


def wrong_steps(function) -> dict:
    """Return wrong answers that suit both steps."""
    return {
        "nothing moves": lambda params, *rest: params,
        "zeros": lambda params, *rest: {name: [0 * v for v in value] for name, value in params.items()},
        "changes its input": changes_its_input(function),
        "two steps": lambda params, *rest: function(function(params, *rest), *rest),
        "labels rolled": lambda p, h, gamma, *rest: function(p, h, np.roll(gamma, 1, axis=1), *rest),
        "labels of the neighbours": lambda p, h, gamma, *rest: function(p, h, np.roll(gamma, 1, 0), *rest),
        "labels halved": lambda p, h, gamma, *rest: function(p, h, gamma / 2, *rest),
        "no draw": lambda p, h, gamma, eps, *rest: function(p, h, gamma, 0 * eps, *rest),
        "first sample only": lambda p, h, gamma, eps, *rest: function(p, h[:1], gamma[:1], eps[:1], *rest),
        "lr squared": lambda p, h, gamma, eps, lr, *rest: function(p, h, gamma, eps, lr**2, *rest),
        "encoder not moved": lambda p, *rest: function(p, *rest) | {name: p[name] for name in ("We", "te")},
        "decoder not moved": lambda p, *rest: function(p, *rest) | {name: p[name] for name in ("Wd", "td")},
        "Wd transposed": moved(function, Wd=np.transpose),
        "te as a row": moved(function, te=lambda t: t[None]),
        "one key missing": lambda *a: {name: v for name, v in function(*a).items() if name != "te"},
        "in a tuple": lambda *a: tuple(function(*a).values()),
        "three decimals": moved(function, We=lambda W: W.round(3)),
    }


WRONG_TRANSITIONS = {
    "zeros": lambda W1d, delta2, mu, *rest: np.zeros((len(mu), 2 * mu.shape[1])),
    "all rows": lambda W1d, delta2, *rest: np.hstack([delta2 @ W1d.T] * 2),
    "mean of the rows": lambda W1d, delta2, mu, a, eps, fprime: (
        np.tile((delta2 @ W1d.T).mean(axis=1, keepdims=True), 2 * mu.shape[1]) * fprime
    ),
    "columns": lambda W1d, delta2, mu, a, eps, fprime: transition(
        np.resize(W1d.T, W1d.shape), delta2, mu, a, eps, fprime
    ),
    "interleaved": lambda W1d, delta2, mu, a, eps, fprime: (
        transition(W1d, delta2, mu, a, eps, fprime)
        .reshape(len(mu), 2, -1)
        .transpose(0, 2, 1)
        .reshape(len(mu), -1)
    ),
    "negative": lambda *x: -transition(*x),
    "transposed": lambda *x: transition(*x).T,
    "summed over the batch": lambda *x: transition(*x).sum(axis=0),
    "fprime twice": lambda W1d, delta2, mu, a, eps, fprime: (
        transition(W1d, delta2, mu, a, eps, fprime) * fprime
    ),
    "exp(-a / 2)": lambda W1d, delta2, mu, a, eps, fprime: transition(W1d, delta2, mu, -a, eps, fprime),
    "eps squared": lambda W1d, delta2, mu, a, eps, fprime: transition(W1d, delta2, mu, a, eps**2, fprime),
    "two results": lambda *x: tuple(np.split(transition(*x), 2, axis=1)),
    "two decimals": lambda *x: transition(*x).round(2),
}


@cases(WRONG_TRANSITIONS)
def test_wrong_transitions_are_refused(capsys, answer):
    refuses(capsys, "68.4", "transition_delta", answer)


@cases(wrong_steps(step))
def test_wrong_labelled_steps_are_refused(capsys, answer):
    refuses(capsys, "68.4", "cvae_step", answer)


def test_labelled_step_in_other_forms_is_accepted(capsys):
    def in_tuples_of_tensors(*a):
        return {name: tuple(map(torch.tensor, v)) for name, v in reversed(step(*a).items())}

    def copied_first(params, *rest):
        return changes_its_input(step)({n: [v.copy() for v in vs] for n, vs in params.items()}, *rest)

    for answer in (in_tuples_of_tensors, copied_first):
        accepts(capsys, "68.4", "cvae_step", answer)


# -------------------------------------------------------------------------------------------------- 68.5


@each_seed
def test_boundary_of_the_label_network_agrees_with_autograd_and_the_library(seed: int):
    for W1d, delta2, gamma_hat, gamma, P, eta in inputs(set_07.label_outputs, seed):
        right = boundary(W1d, delta2, gamma_hat, gamma, P, eta)
        by_torch = fresh(set_07.boundary_by_torch(W1d, delta2, gamma_hat, gamma, P, eta))
        assert np.abs(right - by_torch).max() < 1e-13
        theirs = library.label_boundary(W1d, delta2, gamma_hat, gamma, eta)
        assert np.allclose(right, theirs, rtol=0, atol=1e-14)
        assert np.abs(right.sum(axis=1)).max() < 1e-13  # a constant added to z changes no probability
        decoder_alone = set_07.cross_entropy_missing.answer(W1d, delta2, gamma_hat, gamma, P, eta)
        assert np.array_equal(boundary(W1d, delta2, gamma_hat, gamma, P, 0.0), decoder_alone)


@each_seed
def test_parallel_step_is_gradient_descent_on_the_risk(seed: int):
    """Against autograd and the library to rounding, against central differences to 1e-6: three networks."""
    for params, h, gamma, eps, lr, rho, eta in inputs(set_07.parallel_batches, seed):
        case = params, h, gamma, eps, lr, rho, eta
        now = parallel(*case)
        assert difference(now, fresh(set_07.parallel_by_torch(*case))) < 1e-13
        found = slopes(params, lambda p, x=(h, gamma, eps, rho, eta): set_07.parallel_risk(p, *x))
        assert difference(gradients(params, now, lr), found) < 1e-6
        nets = library.Triple(
            network(params, "e", LINEAR), network(params, "c", LINEAR), network(params, "d", TANH)
        )
        theirs = library.parallel_step(nets, h, gamma, eps, lr, eta, rho)
        assert difference(now, as_params(e=theirs.encoder, d=theirs.decoder, c=theirs.label)) < 1e-14


def test_encoder_and_decoder_do_not_see_the_true_label():
    """The label enters the cross entropy only, and so the step of the label network alone."""
    for params, h, gamma, eps, lr, rho, _ in inputs(set_07.parallel_batches, 0):
        one = parallel(params, h, gamma, eps, lr, rho, 1.0)
        other = parallel(params, h, np.roll(gamma, 1, axis=1), eps, lr, rho, 1.0)
        for name in ("We", "te", "Wd", "td"):
            assert all(np.array_equal(a, b) for a, b in zip(one[name], other[name], strict=True))
        assert np.abs(one["Wc"][-1] - other["Wc"][-1]).max() > 1e-3


@each_seed
def test_wrong_parallel_answers_differ_by_far_more_than_the_tolerance(seed: int):
    first, second = set_07.P5.functions
    far_from_right(boundary, first.mistakes, set_07.label_outputs, seed, 0.1)
    far_from_right(parallel, second.mistakes, set_07.parallel_batches, seed, 3e-3)


WRONG_BOUNDARIES = {
    "zeros": lambda W1d, delta2, g, *rest: 0 * g,
    "difference of the probabilities": lambda W1d, delta2, g, gamma, P, eta: g - gamma,
    "label minus probability": lambda W1d, delta2, g, gamma, P, eta: boundary(W1d, delta2, gamma, g, P, eta),
    "eta squared": lambda W1d, delta2, g, gamma, P, eta: boundary(W1d, delta2, g, gamma, P, eta**2),
    "rows from P + 1": lambda W1d, delta2, g, gamma, P, eta: boundary(
        np.roll(W1d, 1, axis=0), delta2, g, gamma, P, eta
    ),
    "jacobian twice": lambda W1d, delta2, g, gamma, P, eta: (
        set_07.through_softmax(set_07.through_softmax(delta2 @ W1d[P:].T, g), g) + eta * (g - gamma)
    ),
    "jacobian plus": lambda W1d, delta2, g, gamma, P, eta: (
        g * (delta2 @ W1d[P:].T + (g * (delta2 @ W1d[P:].T)).sum(axis=1, keepdims=True)) + eta * (g - gamma)
    ),
    "jacobian of the label": lambda W1d, delta2, g, gamma, P, eta: (
        set_07.through_softmax(delta2 @ W1d[P:].T, gamma) + eta * (g - gamma)
    ),
    "mean over the batch": lambda W1d, delta2, g, gamma, P, eta: (
        g * (delta2 @ W1d[P:].T - (g * (delta2 @ W1d[P:].T)).sum()) + eta * (g - gamma)
    ),
    "decoder part reversed": lambda W1d, delta2, g, gamma, P, eta: boundary(W1d, -delta2, g, gamma, P, eta),
    "transposed": lambda *x: boundary(*x).T,
    "two results": lambda W1d, delta2, g, gamma, P, eta: (
        boundary(W1d, delta2, g, gamma, P, 0.0),
        eta * (g - gamma),
    ),
    "two decimals": lambda *x: boundary(*x).round(2),
}

MORE_WRONG_PARALLEL_STEPS = {
    "label network alone": lambda p, *rest: (
        parallel(p, *rest) | {name: p[name] for name in ("We", "te", "Wd", "td")}
    ),
    "label network frozen in W": lambda p, *rest: parallel(p, *rest) | {"Wc": p["Wc"]},
    "uniform probabilities fed": lambda *a: set_07.parallel_step(
        *a, fed=lambda g, gamma: g * 0 + 1 / g.shape[1]
    ),
    "labels mixed in": lambda *a: set_07.parallel_step(*a, fed=lambda g, gamma: (g + gamma) / 2),
    "eta doubled": lambda p, h, gamma, eps, lr, rho, eta: parallel(p, h, gamma, eps, lr, rho, 2 * eta),
}


@cases(WRONG_BOUNDARIES)
def test_wrong_boundaries_of_the_label_network_are_refused(capsys, answer):
    refuses(capsys, "68.5", "classifier_boundary", answer)


@cases(wrong_steps(parallel) | MORE_WRONG_PARALLEL_STEPS)
def test_wrong_parallel_steps_are_refused(capsys, answer):
    refuses(capsys, "68.5", "parallel_cvae_step", answer)


# -------------------------------------------------------------------------------------------------- 68.6


@each_seed
def test_dropout_agrees_with_autograd_and_the_library(seed: int):
    """Also with the library's step of size 1, whose change is the gradient."""
    for params, h, eps, masks, keep in inputs(set_07.masked_batches, seed):
        loss, found = dropout(params, h, eps, masks, keep)
        by_torch, gradients_by_torch = fresh(set_07.dropout_by_torch(params, h, eps, masks, keep))
        assert abs(loss - by_torch) < 1e-13 and difference(found, gradients_by_torch) < 1e-13
        by_quotients = slopes(params, lambda p, x=(h, eps, masks, keep): dropout(p, *x)[0])
        assert difference(found, by_quotients) < 1e-6
        pair = without_labels.Pair(network(params, "e", LINEAR), network(params, "d", TANH))
        inside = len(params["We"]) - 1
        of_both = [without_labels.Pair(part[:inside], part[inside:]) for part in (masks, keep)]
        theirs = library.dropout_step(pair, h, eps, *of_both, 1.0)
        stepped = {n: [v - g for v, g in zip(params[n], found[n], strict=True)] for n in params}
        assert difference(stepped, as_params(e=theirs.encoder, d=theirs.decoder)) < 1e-13


def test_dropout_with_ones_is_the_plain_step():
    for params, h, eps, masks, keep in inputs(set_07.masked_batches, 2):
        ones = [np.ones_like(m) for m in masks]
        loss, found = dropout(params, h, eps, ones, [1.0] * len(keep))
        pair = without_labels.Pair(network(params, "e", LINEAR), network(params, "d", TANH))
        assert np.isclose(loss, without_labels.risk(pair, h, eps), rtol=1e-13)
        theirs = without_labels.step(pair, h, eps, 1.0)
        stepped = {n: [v - g for v, g in zip(params[n], found[n], strict=True)] for n in params}
        assert difference(stepped, as_params(e=theirs.encoder, d=theirs.decoder)) < 1e-13


def test_dropout_keeps_the_mean_of_a_signal():
    """Over all masks of six units, each with its probability: ratios 1, .6 and .36."""
    y, k = np.random.default_rng(0).uniform(0.2, 1, 6), 0.6
    masks = np.array(list(itertools.product((0.0, 1.0), repeat=6)))
    probability = np.prod(np.where(masks == 1, k, 1 - k), axis=1)
    ratios = {
        set_07.inverted: 1.0,
        lambda m, k: m: 0.6,
        lambda m, k: m * k: 0.36,
    }
    for factor, ratio in ratios.items():
        assert np.allclose(probability @ (factor(masks, k) * y) / y, ratio, rtol=1e-12)
    second = probability @ (set_07.inverted(masks, k) * y) ** 2
    assert np.allclose(second - y**2, (1 - k) / k * y**2, rtol=1e-12)


def test_zero_log_variance_is_not_off():
    """Dropping the second latent's mean and log-variance: divergence .574 instead of 2.758."""
    mu, a = np.array([[1.0, -2]]), np.array([[0.5, -1]])
    for m, value in (([1, 1], 2.758), ([1, 0], 0.574)):
        divergence = (set_07.J_of(m * mu, m * a) - 2) / 2
        assert np.isclose(divergence[0], value, atol=5e-4)


@each_seed
def test_wrong_dropout_differs_by_far_more_than_the_tolerance(seed: int):
    far_from_right(dropout, set_07.P6.functions[0].mistakes, set_07.masked_batches, seed, 0.02)


def with_gradients(change):
    """Return an answer whose loss is right, and whose gradients are changed."""

    def answer(*case):
        loss, found = dropout(*case)
        return loss, {name: [change(v) for v in value] for name, value in found.items()}

    return answer


WRONG_DROPOUTS = {
    "zeros": with_gradients(lambda v: 0 * v),
    "ascent": with_gradients(lambda v: -v),
    "divided by the samples": with_gradients(lambda v: v / 3),
    "three decimals": with_gradients(lambda v: v.round(3)),
    "loss only": lambda *a: dropout(*a)[0],
    "gradients only": lambda *a: dropout(*a)[1],
    "gradients first": lambda *a: dropout(*a)[::-1],
    "loss zero": lambda *a: (0.0, dropout(*a)[1]),
    "divided by the root of k": lambda *a: set_07.dropped(
        *a, forth=lambda m, k: m / np.sqrt(k), back=lambda m, k: m / np.sqrt(k)
    ),
    "divided by the share of the mask": lambda *a: set_07.dropped(
        *a, forth=lambda m, k: m / m.mean(), back=lambda m, k: m / m.mean()
    ),
    "masks of another sample": lambda p, h, eps, masks, keep: dropout(
        p, h, eps, [np.roll(m, 1, axis=0) for m in masks], keep
    ),
    "encoder without masks": lambda p, h, eps, masks, keep: dropout(
        p,
        h,
        eps,
        [np.ones_like(m) if i < len(p["We"]) - 1 else m for i, m in enumerate(masks)],
        [1.0 if i < len(p["We"]) - 1 else k for i, k in enumerate(keep)],
    ),
    "draws dropped": lambda p, h, eps, masks, keep: dropout(p, h, 0 * eps, masks, keep),
    "drawn anew": lambda p, h, eps, masks, keep: dropout(
        p,
        h,
        eps,
        [(np.random.default_rng(0).random(m.shape) < k) * 1.0 for m, k in zip(masks, keep, strict=True)],
        keep,
    ),
    "changes its input": lambda p, h, eps, masks, keep: dropout(
        p, h, eps, [np.divide(m, k, out=m) for m, k in zip(masks, keep, strict=True)], [1.0] * len(keep)
    ),
    "weights restrained": lambda p, *rest: (
        dropout(p, *rest)[0] + 1e-3 * sum((W**2).sum() for W in p["We"] + p["Wd"]),
        dropout(p, *rest)[1],
    ),
}


@cases(WRONG_DROPOUTS)
def test_wrong_dropouts_are_refused(capsys, answer):
    refuses(capsys, "68.6", "dropout_forward_backward", answer)


def test_dropout_in_other_forms_is_accepted(capsys):
    accepts(
        capsys,
        "68.6",
        "dropout_forward_backward",
        lambda *a: [
            torch.tensor(dropout(*a)[0]),
            {name: tuple(v.tolist() for v in value) for name, value in reversed(dropout(*a)[1].items())},
        ],
    )


# -------------------------------------------------------------------------------------------------- 68.7


@each_seed
def test_batch_normalisation_agrees_with_autograd_and_the_library(seed: int):
    for z, scale, shift, eps, delta in inputs(set_07.layers_to_normalise, seed):
        out, dz, dscale, dshift = bn(z, scale, shift, eps, delta)
        for right, other in zip(
            (out, dz, dscale, dshift), fresh(set_07.bn_by_torch(z, scale, shift, eps, delta)), strict=True
        ):
            assert np.abs(right - other).max() < 1e-10 * max(1, np.abs(right).max())
        kept = library.normalise(z, eps)
        assert np.allclose(out, scale * kept.z_bar + shift, rtol=0, atol=1e-13)
        theirs = library.before_normalising(delta, kept, scale)
        assert np.allclose(dz, theirs, rtol=0, atol=1e-13 * max(1, np.abs(dz).max()))
        assert np.abs(dz.sum(axis=0)).max() < 1e-12 * max(1, np.abs(dz).max())  # shift invariance


def test_a_constant_added_to_z_changes_nothing():
    z, scale, shift, eps, delta = inputs(set_07.layers_to_normalise, 0)[1]
    for one, other in zip(bn(z, scale, shift, eps, delta), bn(z + 5, scale, shift, eps, delta), strict=True):
        assert np.allclose(one, other, rtol=0, atol=1e-9)


@each_seed
def test_test_mode_does_not_depend_on_the_batch(seed: int):
    for z, scale, shift, eps, mean, var in inputs(set_07.layers_at_test, seed):
        together = bn_test(z, scale, shift, eps, mean, var)
        alone = np.vstack([bn_test(row[None], scale, shift, eps, mean, var) for row in z])
        assert np.array_equal(together, alone)
        assert np.allclose(together, library.at_test(z, scale, -shift, mean, var, eps), rtol=0, atol=1e-14)


@pytest.mark.erratum("S47")
def test_a_batch_of_one_is_lost():
    """Whatever comes in, the shift comes out, and nothing goes back."""
    for row in ([3.0, -5, 0.1], [0.0, 1e6, 2]):
        out, dz, dscale, _ = bn(np.array([row]), np.ones(3), np.arange(3.0), 1e-5, np.ones((1, 3)))
        assert np.array_equal(out, [[0, 1, 2]]) and not dz.any() and not dscale.any()
    out, dz, *_ = bn(
        np.array([[3.0, -5], [0, 1]]), np.ones(2), np.zeros(2), 1e-5, np.array([[1.0, 2], [0, 1]])
    )
    assert (np.abs(out) > 0.99).all() and dz.any()  # two samples are told apart


@each_seed
def test_wrong_normalisations_differ_by_far_more_than_the_tolerance(seed: int):
    first, second = set_07.P7.functions
    far_from_right(bn, first.mistakes, set_07.layers_to_normalise, seed, 0.02)
    far_from_right(bn_test, second.mistakes, set_07.layers_at_test, seed, 0.02)


def with_bn(change):
    """Return an answer that changes the right results."""
    return lambda *a: change(*bn(*a))


WRONG_NORMALISATIONS = {
    "out only": with_bn(lambda out, dz, ds, db: out),
    "without out": with_bn(lambda out, dz, ds, db: (dz, ds, db)),
    "dz first": with_bn(lambda out, dz, ds, db: (dz, out, ds, db)),
    "dz zero": with_bn(lambda out, dz, ds, db: (out, 0 * dz, ds, db)),
    "dz negative": with_bn(lambda out, dz, ds, db: (out, -dz, ds, db)),
    "dz averaged": with_bn(lambda out, dz, ds, db: (out, dz / len(dz), ds, db)),
    "dz transposed": with_bn(lambda out, dz, ds, db: (out, dz.T, ds, db)),
    "dscale a row for each sample": lambda z, scale, shift, eps, delta: (
        *bn(z, scale, shift, eps, delta)[:2],
        delta * z,
        delta,
    ),
    "dscale as a row": with_bn(lambda out, dz, ds, db: (out, dz, ds[None], db[None])),
    "dscale times scale": lambda z, scale, shift, eps, delta: (
        *bn(z, scale, shift, eps, delta)[:2],
        scale * bn(z, scale, shift, eps, delta)[2],
        bn(z, scale, shift, eps, delta)[3],
    ),
    "eps twice": lambda z, scale, shift, eps, delta: bn(z, scale, shift, 2 * eps, delta),
    "one mean for all units": lambda z, scale, shift, eps, delta: (
        scale * (z - z.mean()) / np.sqrt(z.var() + eps) + shift,
        *bn(z, scale, shift, eps, delta)[1:],
    ),
    "mean absolute deviation": lambda z, scale, shift, eps, delta: (
        scale * (z - z.mean(0)) / np.sqrt(np.abs(z - z.mean(0)).mean(0) ** 2 + eps) + shift,
        *bn(z, scale, shift, eps, delta)[1:],
    ),
    "median": lambda z, scale, shift, eps, delta: (
        bn(z, scale, shift, eps, delta)[0] + (z.mean(0) - np.median(z, axis=0)),
        *bn(z, scale, shift, eps, delta)[1:],
    ),
    "changes its input": lambda z, scale, shift, eps, delta: bn(
        np.subtract(z, z.mean(0), out=z), scale, shift, eps, delta
    ),
    "two decimals": with_bn(lambda out, dz, ds, db: (out.round(2), dz, ds, db)),
    "dz with two decimals": with_bn(lambda out, dz, ds, db: (out, dz.round(2), ds, db)),
}

WRONG_TEST_MODES = {
    "z itself": lambda z, *rest: z,
    "no shift": lambda z, scale, shift, *rest: bn_test(z, scale, 0 * shift, *rest),
    "no scale": lambda z, scale, *rest: bn_test(z, np.ones_like(scale), *rest),
    "means and variances exchanged": lambda z, scale, shift, eps, m, v: bn_test(
        z, scale, shift, eps, v, np.abs(m)
    ),
    "half of each": lambda z, scale, shift, eps, m, v: bn_test(
        z, scale, shift, eps, (m + z.mean(0)) / 2, (v + z.var(0)) / 2
    ),
    "mean added": lambda z, scale, shift, eps, m, v: bn_test(z, scale, shift, eps, -m, v),
    "first sample": lambda z, *rest: bn_test(z[:1], *rest),
    "two decimals": lambda *a: bn_test(*a).round(2),
}


@cases(WRONG_NORMALISATIONS)
def test_wrong_normalisations_are_refused(capsys, answer):
    refuses(capsys, "68.7", "bn", answer)


@cases(WRONG_TEST_MODES)
def test_wrong_test_modes_are_refused(capsys, answer):
    refuses(capsys, "68.7", "bn_test", answer)


def test_normalisation_as_a_list_of_tensors_is_accepted(capsys):
    accepts(capsys, "68.7", "bn", lambda *a: [torch.tensor(part).float() for part in bn(*a)])
