"""Answers to the fourth problem set that no declaration foresees: wrong ones must not pass, right ones must.

They are run as a student runs them, through `check`, on the public cases. The numbers of the course that the
references must give are tested first.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles

from gennet import exercises
from gennet.backprop import SIGMOID, TANH, Network, draw
from gennet.backprop import sparse_autoencoder as library
from gennet.eigenspace import Eigenspace

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location(
    "set_04", ROOT / "solutions/exercises/04_sparse_autoencoders.py"
)
set_04 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(set_04)

pytestmark = pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")

V = np.array([[2.0, 0, 1], [0, 2, 1], [1, 1, 4], [3, 1, 0]])  # the images of E1, in rows
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


# ---------------------------------------------------------------------------------------------------- E7

kl, slope = set_04.sparsity_kl, set_04.sparsity_grad


def test_e7_gives_the_numbers_of_the_course():
    rho_hat = np.array([0.2, 0.05])
    assert np.allclose(kl(0.1, rho_hat), [0.036690, 0.020654], atol=1e-6)
    assert np.allclose(slope(0.1, rho_hat), [0.625, -1.052632], atol=1e-6)
    assert kl(0.1, np.array([0.1])) == 0 and slope(0.1, np.array([0.1])) == 0
    values = {
        set_04.arguments_exchanged: [0.044403, 0.016707],
        set_04.one_term_only: [-0.069315, 0.069315],
        set_04.gradient_sign: [-0.625, 1.052632],
        set_04.gradient_of_the_reversed_divergence: [0.810930, -0.747214],
    }
    for wrong, value in values.items():
        assert np.allclose(wrong.answer(0.1, rho_hat), value, atol=1e-6), wrong.name


def test_e7_agrees_with_autograd_and_the_library():
    rng = np.random.default_rng(0)
    rho, rho_hat = 0.07, rng.uniform(0.01, 0.99, 30)
    assert np.allclose(slope(rho, rho_hat), set_04.grad_in_torch(rho, rho_hat), rtol=1e-12, atol=1e-10)
    assert np.allclose(kl(rho, rho_hat), library.sparsity_kl(rho, rho_hat), atol=1e-14)
    assert np.allclose(slope(rho, rho_hat), library.sparsity_slope(rho, rho_hat), atol=1e-12)


WRONG_DIVERGENCES = {
    "zeros": lambda rho, r: 0 * r,
    "symmetrised": lambda rho, r: (kl(rho, r) + kl(r, rho)) / 2,
    "squared difference": lambda rho, r: (r - rho) ** 2,
    "quadratic approximation": lambda rho, r: (r - rho) ** 2 / (2 * rho * (1 - rho)),
    "absolute": lambda rho, r: (
        np.abs(rho * np.log(rho / r)) + np.abs((1 - rho) * np.log((1 - rho) / (1 - r)))
    ),
    "base 10": lambda rho, r: kl(rho, r) / np.log(10),
    "mean": lambda rho, r: kl(rho, r).mean(),
    "a column": lambda rho, r: kl(rho, r)[:, None],
    "clipped": lambda rho, r: kl(rho, np.clip(r, 0.1, 0.9)),
    "three decimals": lambda rho, r: kl(rho, r).round(3),
    "second term twice": lambda rho, r: kl(rho, r) + (1 - rho) * np.log((1 - rho) / (1 - r)),
}

WRONG_SLOPES = {
    "zeros": lambda rho, r: 0 * r,
    "the divergence": kl,
    "signs only": lambda rho, r: np.sign(r - rho),
    "inverse": lambda rho, r: 1 / slope(rho, r + 1e-9),
    "of the second term only": lambda rho, r: (1 - rho) / (1 - r),
    "factors forgotten": lambda rho, r: -1 / r + 1 / (1 - r),
    "absolute": lambda rho, r: np.abs(slope(rho, r)),
    "rough difference quotient": lambda rho, r: (kl(rho, r * 1.05) - kl(rho, r)) / (0.05 * r),
    "clipped": lambda rho, r: np.clip(slope(rho, r), -1, 1),
    "mean": lambda rho, r: slope(rho, r).mean(),
}


@cases(WRONG_DIVERGENCES)
def test_wrong_divergences_are_refused(capsys, answer):
    refuses(capsys, "E7", "sparsity_kl", answer)


@cases(WRONG_SLOPES)
def test_wrong_slopes_are_refused(capsys, answer):
    refuses(capsys, "E7", "sparsity_grad", answer)


def test_e7_of_the_library_is_accepted(capsys):
    accepts(capsys, "E7", "sparsity_kl", library.sparsity_kl)
    accepts(capsys, "E7", "sparsity_grad", library.sparsity_slope)


# ---------------------------------------------------------------------------------------------------- E8

loss, grads = set_04.sparse_ae_loss, set_04.sparse_ae_grads


def network(seed: int, M: int = 9, N: int = 6, H: int = 4):
    """Draw parameters with offsets that are not zero, and a batch; all sizes differ."""
    rng = np.random.default_rng(seed)
    shapes = {"W1": (N, H), "theta1": H, "W2": (H, N), "theta2": N}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}, rng.uniform(size=(M, N))


def difference(a: dict, b: dict) -> float:
    return max(np.abs(np.asarray(a[name]) - np.asarray(b[name])).max() for name in a)


@pytest.mark.parametrize("seed", range(4))
def test_e8_agrees_with_autograd_and_differences(seed: int):
    params, X = network(seed)
    right = grads(params, X, 0.1, 0.7)
    assert difference(right, set_04.grads_by_torch(params, X, 0.1, 0.7)) < 1e-14
    assert difference(right, set_04.grads_by_differences(params, X, 0.1, 0.7)) < 1e-8


@pytest.mark.parametrize("seed", range(4))
def test_e8_agrees_with_the_library(seed: int):
    params, X = network(seed)
    by_hand = Network([params["W1"], params["W2"]], [params["theta1"], params["theta2"]], [SIGMOID, SIGMOID])
    value, gradient = library.loss_and_gradients(by_hand, X, target=0.1, beta=0.7)
    assert np.isclose(value, loss(params, X, 0.1, 0.7), rtol=1e-13)
    names = {
        "W1": gradient.W[0],
        "W2": gradient.W[1],
        "theta1": gradient.theta[0],
        "theta2": gradient.theta[1],
    }
    assert difference(grads(params, X, 0.1, 0.7), names) < 1e-14


def test_e8_without_penalty_is_a_plain_autoencoder():
    params, X = network(5)
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    a1 = torch.sigmoid(torch.tensor(X) @ leaves["W1"] - leaves["theta1"])
    a2 = torch.sigmoid(a1 @ leaves["W2"] - leaves["theta2"])
    (0.5 * (a2 - torch.tensor(X)) ** 2).sum(dim=1).mean().backward()
    plain = {name: leaf.grad.numpy() for name, leaf in leaves.items()}
    assert difference(grads(params, X, 0.1, 0.0), plain) < 1e-14


@pytest.mark.parametrize("seed", range(4))
def test_e8_wrong_answers_differ_by_far_more_than_the_tolerance(seed: int):
    """Factors of f' (C10) and of M (C11), the mean activity, the place of the penalty."""
    params, X = network(seed)
    right = grads(params, X, 0.1, 0.7)
    for wrong in (
        set_04.no_slope_at_the_output,
        set_04.penalty_divided_twice,
        set_04.activity_of_one_sample,
        set_04.penalty_outside,
    ):
        assert difference(right, wrong.answer(params, X, 0.1, 0.7)) > 5e-3, wrong.name


def test_library_refuses_tanh_units_under_the_penalty():
    tanh_units = draw([6, 4, 6], [TANH, SIGMOID], np.random.default_rng(0))
    X = network(0)[1]
    with pytest.raises(ValueError, match="probabilities"):
        library.loss_and_gradients(tanh_units, X, target=0.1, beta=0.7)
    library.loss_and_gradients(tanh_units, X, beta=0.0)


def changed(**parts):
    """Return an answer in which parts of the right gradients are changed."""
    return lambda params, X, rho, beta: {
        name: parts[name](value) if name in parts else value
        for name, value in grads(params, X, rho, beta).items()
    }


def one_layer_at_a_time(params, X, rho, beta):
    second = {name: grads(params, X, rho, beta)[name] for name in ("W2", "theta2")}
    stepped = params | {name: params[name] - 0.1 * second[name] for name in second}
    return grads(stepped, X, rho, beta) | second  # the first layer sees the new second one


def changes_its_input(params, X, rho, beta):
    gradients = grads(params, X, rho, beta)
    for name in params:
        params[name] -= 0.1 * gradients[name]
    return gradients


WRONG_GRADIENTS = {
    "zeros": lambda params, X, rho, beta: {name: 0 * value for name, value in params.items()},
    "ascent": lambda *a: {name: -value for name, value in grads(*a).items()},
    "after a step of the second layer": one_layer_at_a_time,
    "changes its input": changes_its_input,
    "divided by the pixels, too": lambda params, X, *a: {
        name: value / X.shape[1] for name, value in grads(params, X, *a).items()
    },
    "penalty from the largest activity": lambda params, X, rho, beta: set_04.backwards(
        params, X, rho, beta, pressure=lambda a1, rho: slope(rho, a1.max(axis=0))
    ),
    "penalty from the median": lambda params, X, rho, beta: set_04.backwards(
        params, X, rho, beta, pressure=lambda a1, rho: slope(rho, np.median(a1, axis=0))
    ),
    "penalty averaged over units": lambda params, X, rho, beta: grads(
        params, X, rho, beta / len(params["theta1"])
    ),
    "W1 transposed": changed(W1=np.transpose),
    "W2 transposed": changed(W2=np.transpose),
    "theta1 of the wrong sign": changed(theta1=np.negative),
    "theta2 of the wrong sign": changed(theta2=np.negative),
    "theta2 as a row": changed(theta2=lambda t: t[None]),
    "theta1 missing": lambda *a: {name: v for name, v in grads(*a).items() if name != "theta1"},
    "other keys": lambda *a: {f"d{name}": value for name, value in grads(*a).items()},
    "in a tuple": lambda *a: tuple(grads(*a).values()),
    "with the loss": lambda *a: (loss(*a), grads(*a)),
    "three decimals": lambda *a: {name: value.round(3) for name, value in grads(*a).items()},
    "a coarse difference quotient": lambda params, X, rho, beta: {
        name: value * (1 + 1e-4) + 1e-5 for name, value in grads(params, X, rho, beta).items()
    },
}

WRONG_LOSSES = {
    "reconstruction only": lambda p, X, rho, beta: loss(p, X, rho, 0),
    "penalty only": lambda p, X, rho, beta: loss(p, X, rho, beta) - loss(p, X, rho, 0),
    "beta squared": lambda p, X, rho, beta: loss(p, X, rho, beta**2),
    "penalty of each sample": lambda p, X, rho, beta: loss(p, X, rho, beta * len(X)),
    "length of the error": lambda p, X, rho, beta: (
        np.sqrt(2 * loss(p, X, rho, 0)) + loss(p, X, rho, beta) - loss(p, X, rho, 0)
    ),
    "squared weights added": lambda p, X, rho, beta: loss(p, X, rho, beta) + 1e-3 * (p["W1"] ** 2).sum(),
    "one loss a sample": lambda p, X, rho, beta: (
        0.5 * ((set_04.layers(p, X)[3] - X) ** 2).sum(axis=1) + loss(p, X, rho, beta) - loss(p, X, rho, 0)
    ),
    "tanh units": lambda p, X, rho, beta: (
        0.5
        * ((set_04.sigmoid(np.tanh(X @ p["W1"] - p["theta1"]) @ p["W2"] - p["theta2"]) - X) ** 2)
        .sum(axis=1)
        .mean()
    ),
    "two decimals": lambda *a: round(loss(*a), 2),
}


@cases(WRONG_GRADIENTS)
def test_wrong_gradients_are_refused(capsys, answer):
    refuses(capsys, "E8", "sparse_ae_grads", answer)


@cases(WRONG_LOSSES)
def test_wrong_losses_are_refused(capsys, answer):
    refuses(capsys, "E8", "sparse_ae_loss", answer)


def test_gradients_in_another_order_of_keys_and_as_tensors_are_accepted(capsys):
    accepts(
        capsys,
        "E8",
        "sparse_ae_grads",
        lambda *a: {name: torch.tensor(value) for name, value in reversed(grads(*a).items())},
    )


# ---------------------------------------------------------------------------------------------------- E9

train, angle = set_04.train_linear_ae, set_04.subspace_angle


def test_e9_gives_the_numbers_of_the_course():
    decoder, least = train(V, 1)
    eigenvalues, vectors = np.linalg.eigh(np.cov(V.T, bias=True))
    assert np.isclose(least, 1.3217485, atol=1e-7) and np.isclose(least, eigenvalues[:-1].sum(), atol=1e-12)
    cosine = abs(vectors[:, -1] @ decoder[:, 0]) / np.linalg.norm(decoder)
    assert abs(cosine - 1) < 1e-6
    assert np.isclose(set_04.no_offsets.answer(V, 1)[1], 3.237233, atol=1e-6)
    assert np.isclose(least / set_04.loss_averaged_over_pixels.answer(V, 1)[1], 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_e9_training_ends_at_the_sum_of_the_dropped_eigenvalues(seed: int):
    for samples, H in set_04.samples_to_learn(np.random.default_rng(seed)):
        space = Eigenspace().fit(samples)
        for method in (train, set_04.by_lbfgs_with_offsets, set_04.by_alternating_least_squares):
            decoder, least = method(samples, H)
            decoder = np.asarray(decoder.detach() if hasattr(decoder, "detach") else decoder)
            least = float(least.detach() if hasattr(least, "detach") else least)
            assert np.isclose(least, space.eigenvalues_[H:].sum(), rtol=1e-8)
            assert angle(decoder, space.components_[:H].T) < 1e-4
        assert space.eigenvalues_[H] < 0.75 * space.eigenvalues_[H - 1]  # a clear gap


def test_e9_mixing_changes_weights_but_neither_loss_nor_space():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(40, 6)) * [3, 2.5, 2, 1, 0.5, 0.3]
    centred, (D, least) = samples - samples.mean(axis=0), train(samples, 3)
    for _ in range(5):
        A = rng.normal(size=(3, 3)) + 2 * np.eye(3)
        mixed, E = D @ A, np.linalg.solve(A, D.T)
        assert np.isclose(((centred - centred @ E.T @ mixed.T) ** 2).sum(axis=1).mean(), least, rtol=1e-10)
        assert angle(D, mixed) < 1e-6 and np.abs(D - mixed).max() > 0.1


def test_e9_angle_agrees_with_scipy():
    rng = np.random.default_rng(1)
    for N, H in [(3, 1), (7, 3), (10, 4)]:
        A, B = rng.normal(size=(N, H)), rng.normal(size=(N, H))
        assert np.isclose(angle(A, B), subspace_angles(A, B).max(), atol=1e-10)
    assert np.isclose(angle(np.eye(4)[:, :2], np.eye(4)[:, 2:]), np.pi / 2)


def decoder_changed(change):
    """Return an answer that changes the right decoder."""
    return lambda V, H: (change(train(V, H)[0]), train(V, H)[1])


WRONG_TRAININGS = {
    "random decoder": decoder_changed(lambda D: np.random.default_rng(0).normal(size=D.shape)),
    "first axes": decoder_changed(lambda D: np.eye(*D.shape)),
    "zeros": decoder_changed(lambda D: 0 * D),
    "one column repeated": decoder_changed(
        lambda D: np.repeat(D.sum(axis=1, keepdims=True), D.shape[1], axis=1)
    ),
    "turned a little": decoder_changed(lambda D: D + 0.01 * np.roll(D, 1, axis=0)),
    "rows for columns": decoder_changed(lambda D: D.T),
    "absolute values": decoder_changed(np.abs),
    "one unit too few": lambda V, H: (
        train(V, H - 1) if H > 1 else (np.zeros((V.shape[1], 0)), V.var(0).sum())
    ),
    "one unit too many": lambda V, H: train(V, min(H + 1, V.shape[1])),
    "of the uncentred samples, loss right": lambda V, H: (set_04.no_offsets.answer(V, H)[0], train(V, H)[1]),
    "NaN": decoder_changed(lambda D: D + np.nan),
    "loss and decoder": lambda V, H: train(V, H)[::-1],
    "loss alone": lambda V, H: train(V, H)[1],
    "loss zero": lambda V, H: (train(V, H)[0], 0.0),
    "loss a little too high": lambda V, H: (train(V, H)[0], 1.001 * train(V, H)[1]),
    "standardised": lambda V, H: train((V - V.mean(axis=0)) / V.std(axis=0), H),
    "few steps": lambda V, H: few_steps(V, H),
}


def few_steps(V, H):
    centred = V - V.mean(axis=0)
    D = np.random.default_rng(0).normal(size=(V.shape[1], H))
    for _ in range(2):
        codes = centred @ np.linalg.pinv(D).T
        D = np.linalg.lstsq(codes, centred, rcond=None)[0].T
    return D, ((centred - codes @ D.T) ** 2).sum(axis=1).mean()


RIGHT_TRAININGS = {
    "mixed columns": decoder_changed(lambda D: D @ (np.ones((D.shape[1],) * 2) + np.eye(D.shape[1]))),
    "long columns": decoder_changed(lambda D: -100 * D),
    "columns reversed": decoder_changed(lambda D: D[:, ::-1]),
    "a list": decoder_changed(lambda D: D.tolist()),
    "a float32 tensor": decoder_changed(lambda D: torch.tensor(D).float()),
}

WRONG_ANGLES = {
    "zero": lambda A, B: 0.0,
    "largest difference": lambda A, B: np.abs(A - B).max(),
    "all angles": lambda A, B: subspace_angles(A, B),
    "sum of angles": lambda A, B: subspace_angles(A, B).sum(),
    "mean of angles": lambda A, B: subspace_angles(A, B).mean(),
    "product of cosines": lambda A, B: np.arccos(min(np.prod(np.cos(subspace_angles(A, B))), 1)),
    "distance of projectors": lambda A, B: np.linalg.norm(A @ np.linalg.pinv(A) - B @ np.linalg.pinv(B)),
    "complement": lambda A, B: np.pi / 2 - angle(A, B),
    "half turns": lambda A, B: angle(A, B) / np.pi,
    "rows": lambda A, B: (
        angle(A.T, B.T) if A.shape[0] == A.shape[1] else angle(A[: A.shape[1]], B[: A.shape[1]])
    ),
    "two decimals": lambda A, B: round(angle(A, B), 2),
}


@cases(WRONG_TRAININGS)
def test_wrong_trainings_are_refused(capsys, answer):
    refuses(capsys, "E9", "train_linear_ae", answer)


@cases(RIGHT_TRAININGS)
def test_right_trainings_are_accepted(capsys, answer):
    accepts(capsys, "E9", "train_linear_ae", answer)


@cases(WRONG_ANGLES)
def test_wrong_angles_are_refused(capsys, answer):
    refuses(capsys, "E9", "subspace_angle", answer)


def test_angle_with_exchanged_arguments_is_accepted(capsys):
    accepts(capsys, "E9", "subspace_angle", lambda A, B: angle(B, A))
