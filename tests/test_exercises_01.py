"""Answers to the first problem set that no declaration foresees: wrong ones must not pass, right ones must.

They are run as a student runs them, through `check`, on the public cases. The numbers of the course that the
references must give are tested first.
"""

import functools
import importlib.util
import random
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import linalg
from scipy.sparse.linalg import eigsh, svds

from gennet import codec, datasets, exercises
from gennet.eigenspace import Eigenspace

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("set_01", ROOT / "solutions/exercises/01_eigenspace_coding.py")
set_01 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(set_01)

pytestmark = pytest.mark.filterwarnings("ignore:invalid value", "ignore:the matrix subclass")

W = np.array([[2.0, 0, 1, 3], [0, 2, 1, 1], [1, 1, 4, 0]])


@pytest.fixture(autouse=True)
def no_progress_and_no_hurry(monkeypatch):
    """Nothing is kept on this disk; a busy machine is no reason to refuse an answer here."""
    monkeypatch.setenv("GENNET_HOME", "off")
    monkeypatch.setattr(exercises, "LIMIT", 60)


def test_e1_gives_the_numbers_of_the_course():
    mean, basis, eigenvalues = set_01.eigenspace_fit(W, 3)
    assert mean.tolist() == [1.5, 1, 1.5]
    assert eigenvalues.round(6).tolist() == [2.678251, 1.137036, 0.184713]
    assert np.allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    rng = np.random.default_rng(0)
    *_, eigenvalues = set_01.eigenspace_fit(rng.normal(size=(64, 16)), 64)
    assert np.sum(eigenvalues > 1e-10) == 15


def test_e2_gives_the_numbers_of_the_course():
    mean, basis, eigenvalues = set_01.eigenspace_fit(W, 3)
    energies = [set_01.error_energy(W, mean, basis[:, :D]).mean() for D in (1, 2, 3)]
    assert np.allclose(energies, [1.321749, 0.184713, 0], atol=1e-6)
    assert np.allclose(energies, [eigenvalues[D:].sum() for D in (1, 2, 3)], atol=1e-12)


def test_e4_gives_the_numbers_of_the_course():
    rates = [set_01.frame_rate(32, each, 9600, framing) for each in (4, 1) for framing in (False, True)]
    assert rates == [9.375, 7.5, 37.5, 30]
    mean, basis, _ = set_01.eigenspace_fit(W, 2)
    x = set_01.encode(W, mean, basis)
    _, values = set_01.quantise(x, 3, -2, 2)
    lost = set_01.decode(x, mean, basis) - set_01.decode(values, mean, basis)
    assert np.allclose((lost**2).sum(axis=0), ((x - values) ** 2).sum(axis=0), atol=1e-12)


def test_e17_gives_the_numbers_of_the_course():
    X = np.asarray(datasets.load("usarrests").x, dtype=float)
    loadings, shares = set_01.pca_loadings(X)
    sizes = [[0.5358995, 0.5831836, 0.2781909, 0.5434321], [0.4181809, 0.1879856, 0.8728062, 0.1673186]]
    assert np.allclose(np.abs(loadings[:, :2]).T, sizes, atol=1e-7)
    assert np.allclose(shares, [0.6200604, 0.2474413, 0.0891408, 0.0433575], atol=1e-6)
    assert np.allclose(loadings.T @ loadings, np.eye(4), atol=1e-12)
    raw, raw_shares = set_01.pca_loadings(X, standardise=False)
    assert round(raw_shares[0], 4) == 0.9655 and round(abs(raw[1, 0]), 4) == 0.9952


def test_references_agree_with_the_library():
    rng = np.random.default_rng(1)
    images = rng.normal(size=(30, 12)) + 3
    mean, basis, eigenvalues = set_01.eigenspace_fit(images.T, 4)
    space = Eigenspace(n_components=4).fit(images)
    assert np.allclose(space.mean_, mean, atol=1e-12)
    assert np.allclose(space.eigenvalues_[:4], eigenvalues, atol=1e-12)
    assert np.allclose(space.residual_energy(images), set_01.error_energy(images.T, mean, basis), atol=1e-12)


def said(capsys: pytest.CaptureFixture, exercise: str, answer) -> str:
    """Return what `check` says to one answer."""
    exercises.check(exercise, answer)
    return capsys.readouterr().out


def refuses(capsys: pytest.CaptureFixture, exercise: str, answer) -> None:
    words = said(capsys, exercise, answer)
    assert ": not yet.\n" in words and "passed" not in words, words


def accepts(capsys: pytest.CaptureFixture, exercise: str, answer) -> None:
    words = said(capsys, exercise, answer)
    assert ": passed.\n" in words and "not yet" not in words, words


def cases(answers: dict) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("answer", answers.values(), ids=answers.keys())


def changed(right, change):
    """Return an answer that changes what a right one returns."""
    return lambda *arguments: change(*right(*arguments))


# ---------------------------------------------------------------------------------------------------- E1

fit = set_01.eigenspace_fit


def mean_with(W, D, mean):
    return mean, *fit(W, D)[1:]


def rotated(mean, basis, eigenvalues):
    rotation = np.eye(basis.shape[1])
    if len(rotation) > 1:
        rotation[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    return mean, basis @ rotation, eigenvalues


def last_two_exchanged(mean, basis, eigenvalues):
    order = np.arange(len(eigenvalues))
    order[-2:] = order[-2:][::-1]
    return mean, basis[:, order], eigenvalues[order]


def of_correlations(W, D):
    eigenvalues, vectors = np.linalg.eigh(np.corrcoef(W))
    return W.mean(axis=1), vectors[:, ::-1][:, :D], eigenvalues[::-1][:D]


def right_for_many_images_only(W, D):
    return fit(W, D) if W.shape[1] > W.shape[0] else fit(W[:, ::2], min(D, W.shape[1] // 2 - 1))


def small_matrix_left_small(W, D):
    eigenvalues, q = np.linalg.eigh(np.cov(W.T, bias=True))
    return W.mean(axis=1), q[:, ::-1][:, :D], eigenvalues[::-1][:D]


def not_converged(W, D):
    S = np.cov(W, bias=True)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(len(W), D)))[0]
    for _ in range(8):
        basis = np.linalg.qr(S @ basis)[0]
    return W.mean(axis=1), basis, np.diag(basis.T @ S @ basis)


WRONG_FITS = {
    "one component too few": changed(fit, lambda m, b, e: (m, b[:, :-1], e[:-1])),
    "one component too many": lambda W, D: fit(W, D + 1),
    "from the second on": lambda W, D: changed(fit, lambda m, b, e: (m, b[:, 1:], e[1:]))(W, D + 1),
    "always three": lambda W, D: fit(W, 3),
    "always all": lambda W, D: fit(W, len(W)),
    "one mean for all pixels": lambda W, D: mean_with(W, D, np.full(len(W), W.mean())),
    "mean over the wrong axis": lambda W, D: mean_with(W, D, W.mean(axis=0)),
    "median": lambda W, D: mean_with(W, D, np.median(W, axis=1)),
    "no mean": lambda W, D: mean_with(W, D, np.zeros(len(W))),
    "mean with an axis too many": lambda W, D: mean_with(W, D, W.mean(axis=1, keepdims=True)),
    "basis of length 2": changed(fit, lambda m, b, e: (m, 2 * b, e)),
    "basis of the same space": changed(fit, rotated),
    "basis in reverse": changed(fit, lambda m, b, e: (m, b[:, ::-1], e)),
    "basis without signs": changed(fit, lambda m, b, e: (m, np.abs(b), e)),
    "basis upside down": changed(fit, lambda m, b, e: (m, b[::-1], e)),
    "basis transposed": changed(fit, lambda m, b, e: (m, b.T, e)),
    "basis as one vector": changed(fit, lambda m, b, e: (m, b.ravel(), e)),
    "last two exchanged": changed(fit, last_two_exchanged),
    "eigenvalues as shares": changed(fit, lambda m, b, e: (m, b, e / e.sum())),
    "eigenvalues squared": changed(fit, lambda m, b, e: (m, b, e**2)),
    "eigenvalues negative": changed(fit, lambda m, b, e: (m, b, -e)),
    "eigenvalues as a matrix": changed(fit, lambda m, b, e: (m, b, np.diag(e))),
    "eigenvalues divided by N": changed(fit, lambda m, b, e: (m, b, e / len(m))),
    "correlations": of_correlations,
    "pixels standardised": lambda W, D: fit(W / W.std(axis=1, keepdims=True), D),
    "small matrix left small": small_matrix_left_small,
    "right for many images only": right_for_many_images_only,
    "not converged": not_converged,
    "half precision": changed(fit, lambda *out: [a.astype(np.float16) for a in out]),
    "three decimals": changed(fit, lambda *out: [a.round(3) for a in out]),
    "outputs in another order": changed(fit, lambda m, b, e: (m, e, b)),
    "outputs in one vector": changed(fit, lambda *out: np.concatenate([a.ravel() for a in out])),
    "outputs in a dict": changed(fit, lambda m, b, e: {"mean": m, "basis": b, "eigenvalues": e}),
    "zeros": lambda W, D: (W.mean(axis=1), np.zeros((len(W), D)), np.zeros(D)),
    "infinite": changed(fit, lambda m, b, e: (m, b, e + np.inf)),
    "dots": lambda W, D: (..., ..., ...),
}


def named(W, D):
    class Fit(NamedTuple):
        mean: np.ndarray
        basis: np.ndarray
        eigenvalues: np.ndarray

    return Fit(*fit(W, D))


def by_scipy(W, D, check_finite=True, *unused, **more):
    W = np.asfortranarray(W)
    eigenvalues, vectors = linalg.eigh(np.cov(W, ddof=0), subset_by_index=[len(W) - D, len(W) - 1])
    return W.mean(1), np.fliplr(vectors), np.flip(eigenvalues)


def by_scipy_svds(W, D):
    if min(W.shape) - 1 < D:  # svds wants fewer
        return set_01.by_svd(W, D)
    mean = W.mean(1)
    u, s, _ = svds((W.T - mean).T, k=D, random_state=0)
    order = np.argsort(-s)
    return mean, u[:, order], s[order] ** 2 / W.shape[1]


def by_lanczos(W, D):
    if len(W) <= D:
        return fit(W, D)
    eigenvalues, vectors = eigsh(np.cov(W, bias=True), k=D, v0=np.ones(len(W)))
    return W.mean(1), vectors[:, ::-1], eigenvalues[::-1]


def by_deflation(W, D):
    S, columns, eigenvalues = np.cov(W, bias=True), [], []
    start = np.random.default_rng(1)
    for _ in range(D):
        v = start.normal(size=len(W))
        for _ in range(400):
            v = S @ v / np.linalg.norm(S @ v)
        eigenvalues.append(v @ S @ v)
        columns.append(v)
        S = S - eigenvalues[-1] * np.outer(v, v)
    return W.mean(1), np.array(columns).T, np.array(eigenvalues)


def by_plain_loops(W, D):
    N, M = len(W), len(W[0])
    mean = [sum(W[n][m] for m in range(M)) / M for n in range(N)]
    V = [[W[n][m] - mean[n] for m in range(M)] for n in range(N)]
    S = [[sum(V[i][m] * V[j][m] for m in range(M)) / M for j in range(N)] for i in range(N)]
    eigenvalues, vectors = np.linalg.eigh(np.array(S))
    return mean, vectors[:, : -D - 1 : -1], eigenvalues[: -D - 1 : -1]


def in_place_on_a_copy(W, D):
    W = W.copy()
    mean = W.mean(axis=1)
    W -= mean[:, None]
    print("debugging:", W.shape)
    return mean, *fit(W, D)[1:]


def in_torch_with_gradients(W, D):
    images = torch.tensor(W, requires_grad=True)
    mean = images.mean(1)
    u, s, _ = torch.linalg.svd(images - mean[:, None], full_matrices=False)
    return [mean, u[:, :D] * -1, s[:D] ** 2 / images.shape[1]]


def by_small_matrix_in_float32(W, D):
    images = W.astype("float32")
    mean = images.mean(1)
    V = images - mean[:, None]
    eigenvalues, q = np.linalg.eigh(V.T @ V / np.float32(W.shape[1]))
    basis = V @ q[:, ::-1][:, :D]
    return mean, basis / np.linalg.norm(basis, axis=0), eigenvalues[::-1][:D]


class Fitter:
    """An object that can be called."""

    def __call__(self, W, D):
        return fit(W, D)

    def method(self, images, dimension):
        return fit(images, dimension)


RIGHT_FITS = {
    "a named tuple": named,
    "SciPy, with more arguments": by_scipy,
    "SciPy svds": by_scipy_svds,
    "Lanczos": by_lanczos,
    "deflation": by_deflation,
    "loops": by_plain_loops,
    "in place on a copy, with a print": in_place_on_a_copy,
    "torch with gradients": in_torch_with_gradients,
    "float32 through the small matrix": by_small_matrix_in_float32,
    "random signs": changed(fit, lambda m, b, e: (m, b * [random.choice([-1, 1]) for _ in e], e)),
    "lists": changed(fit, lambda *out: [a.tolist() for a in out]),
    "the library": lambda W, D: (lambda s: (s.mean_, s.components_.T, s.eigenvalues_[:D]))(
        Eigenspace(n_components=D).fit(W.T)
    ),
    "a callable object": Fitter(),
    "a method": Fitter().method,
    "a partial function": functools.partial(lambda extra, W, D: fit(W, D), None),
    "a list of tensors": changed(
        fit,
        lambda m, b, e: (torch.tensor(m), torch.tensor(b.copy()), [torch.tensor(x) for x in e]),
    ),
}


@cases(WRONG_FITS)
def test_wrong_e1_is_refused(capsys, answer):
    refuses(capsys, "E1", answer)


@cases(RIGHT_FITS)
def test_right_e1_is_accepted(capsys, answer):
    accepts(capsys, "E1", answer)


# ---------------------------------------------------------------------------------------------------- E2

encode, decode, error_energy = set_01.encode, set_01.decode, set_01.error_energy


def a(function, name):
    """Return an answer under the name that the exercise gives it."""

    def answer(*arguments):
        return function(*arguments)

    answer.__name__ = name
    return answer


WRONG_ENCODERS = {
    "the mean of these images": lambda W, mean, basis: basis.T @ (W - W.mean(axis=1, keepdims=True)),
    "the mean of all pixels": lambda W, mean, basis: basis.T @ (W - mean.mean()),
    "mean added": lambda W, mean, basis: basis.T @ (W + mean[:, None]),
    "centred by image": lambda W, mean, basis: basis.T @ (W - W.mean(axis=0)),
    "code divided by N": lambda W, mean, basis: encode(W, mean, basis) / len(W),
    "absolute values": lambda W, mean, basis: np.abs(encode(W, mean, basis)),
    "components in reverse": lambda W, mean, basis: encode(W, mean, basis)[::-1],
    "first image only": lambda W, mean, basis: encode(W[:, :1], mean, basis),
    "first image for all": lambda W, mean, basis: encode(W[:, :1], mean, basis) + 0 * encode(W, mean, basis),
    "one coefficient too few": lambda W, mean, basis: encode(W, mean, basis)[:-1],
    "centred after projection": lambda W, mean, basis: basis.T @ W - (basis.T @ W).mean(axis=1)[:, None],
    "basis scaled": lambda W, mean, basis: (basis / np.abs(basis).max(axis=0)).T @ (W - mean[:, None]),
    "flattened": lambda W, mean, basis: encode(W, mean, basis).ravel(),
    "integers": lambda W, mean, basis: encode(W, mean, basis).astype(int),
    "the first sign exchanged": lambda W, mean, basis: np.vstack(
        [-encode(W, mean, basis)[:1], encode(W, mean, basis)[1:]]
    ),
}
WRONG_DECODERS = {
    "mean of the code": lambda x, mean, basis: basis @ x + x.mean(),
    "mean subtracted": lambda x, mean, basis: basis @ x - mean[:, None],
    "mean twice": lambda x, mean, basis: basis @ x + 2 * mean[:, None],
    "mean of all pixels": lambda x, mean, basis: basis @ x + mean.mean(),
    "mean as a row": lambda x, mean, basis: basis @ x + np.resize(mean, x.shape[1]),
    "first coefficient only": lambda x, mean, basis: decode(x[:1], mean, basis[:, :1]),
    "coefficients reversed": lambda x, mean, basis: decode(x[::-1], mean, basis),
    "clipped to [0, 1]": lambda x, mean, basis: decode(x, mean, basis).clip(0, 1),
    "without the mean, in a column": lambda x, mean, basis: (basis @ x)[:, :1],
    "the mean only": lambda x, mean, basis: np.tile(mean[:, None], x.shape[1]),
    "the sum over images": lambda x, mean, basis: decode(x, mean, basis).sum(axis=1),
    "multiplied": lambda x, mean, basis: (basis @ x) * mean[:, None],
}
WRONG_ENERGIES = {
    "not squared": lambda W, mean, basis: (W - decode(encode(W, mean, basis), mean, basis)).sum(axis=0),
    "squared after the sum": lambda W, mean, basis: (
        (W - decode(encode(W, mean, basis), mean, basis)).sum(0) ** 2
    ),
    "largest": lambda W, mean, basis: ((W - decode(encode(W, mean, basis), mean, basis)) ** 2).max(axis=0),
    "half": lambda W, mean, basis: error_energy(W, mean, basis) / 2,
    "divided by M": lambda W, mean, basis: error_energy(W, mean, basis) / W.shape[1],
    "divided by D": lambda W, mean, basis: error_energy(W, mean, basis) / basis.shape[1],
    "energy of the image": lambda W, mean, basis: (W**2).sum(axis=0),
    "energy of the centred image": lambda W, mean, basis: ((W - mean[:, None]) ** 2).sum(axis=0),
    "energy of the reconstruction": lambda W, mean, basis: (
        decode(encode(W, mean, basis), mean, basis) ** 2
    ).sum(axis=0),
    "share of the energy": lambda W, mean, basis: (
        error_energy(W, mean, basis) / ((W - mean[:, None]) ** 2).sum(axis=0)
    ),
    "a row": lambda W, mean, basis: error_energy(W, mean, basis)[None],
    "the error image": lambda W, mean, basis: W - decode(encode(W, mean, basis), mean, basis),
    "the first image's": lambda W, mean, basis: error_energy(W, mean, basis)[:1],
    "sorted": lambda W, mean, basis: np.sort(error_energy(W, mean, basis)),
    "root over pixels": lambda W, mean, basis: np.sqrt(error_energy(W, mean, basis) / len(W)),
    "own mean": lambda W, mean, basis: error_energy(W, W.mean(axis=1), basis),
}


def encode_with_matrix_class(W, mean, basis):
    return np.asmatrix(basis).T * np.asmatrix(W - mean[:, None])


def encode_column_by_column(W, mean, basis):
    codes = np.empty((basis.shape[1], W.shape[1]), dtype="f4")
    for m in range(W.shape[1]):
        codes[:, m] = [np.vdot(W[:, m] - mean, phi) for phi in basis.T]
    return codes


def encode_by_inverse(W, mean, basis):
    return np.linalg.inv(basis.T @ basis) @ basis.T @ (W.T - mean).T


RIGHT_ENCODERS = {
    "matrix class": encode_with_matrix_class,
    "column by column": encode_column_by_column,
    "inverse": encode_by_inverse,
    "pseudo-inverse": lambda W, mean, basis: np.linalg.pinv(basis) @ (W - mean[:, np.newaxis]),
    "einsum": lambda W, mean, basis: np.einsum("nm,nd->dm", (W.T - mean).T, basis),
    "tensordot": lambda W, mean, basis: np.tensordot(basis, W - mean.reshape(len(mean), 1), (0, 0)),
    "rows": lambda W, mean, basis: ((W.T - mean) @ basis).T,
    "torch": lambda W, mean, basis: torch.tensor(basis).T @ (torch.tensor(W) - torch.tensor(mean)[:, None]),
    "list of rows": lambda W, mean, basis: [list(phi @ (W - mean[:, None])) for phi in basis.T],
    "a tuple of arrays": lambda W, mean, basis: tuple(phi @ (W - mean[:, None]) for phi in basis.T),
}
RIGHT_DECODERS = {
    "sum of outer products": lambda x, mean, basis: (
        sum(np.outer(phi, row) for phi, row in zip(basis.T, x, strict=True)) + mean[:, None]
    ),
    "rows": lambda x, mean, basis: np.transpose(mean + x.T @ basis.T),
    "broadcast": lambda x, mean, basis: (basis[:, :, None] * x[None]).sum(1) + np.c_[mean],
    "float32": lambda x, mean, basis: (basis.astype("f4") @ x.astype("f4")) + mean.astype("f4")[:, None],
    "torch": lambda x, mean, basis: (
        torch.tensor(mean)[:, None] + torch.einsum("nd,dm->nm", torch.tensor(basis), torch.tensor(x))
    ),
    "columns": lambda x, mean, basis: np.column_stack([mean + basis @ code for code in x.T]),
}
RIGHT_ENERGIES = {
    "norm": lambda W, mean, basis: (
        np.linalg.norm(W - decode(encode(W, mean, basis), mean, basis), axis=0) ** 2
    ),
    "loop": lambda W, mean, basis: [
        float(np.sum((w - mean - basis @ (basis.T @ (w - mean))) ** 2)) for w in W.T
    ],
    "einsum": lambda W, mean, basis: (lambda R: np.einsum("nm,nm->m", R, R))(
        W - decode(encode(W, mean, basis), mean, basis)
    ),
    "null space": lambda W, mean, basis: (
        ((linalg.null_space(basis.T).T @ (W - mean[:, None])) ** 2).sum(0)
        if basis.shape[1] < len(mean)
        else np.zeros(W.shape[1])
    ),
    "torch": lambda W, mean, basis: (
        (torch.tensor(W) - torch.tensor(decode(encode(W, mean, basis), mean, basis))).pow(2).sum(dim=0)
    ),
    "numbers of Python": lambda W, mean, basis: tuple(error_energy(W, mean, basis).tolist()),
}


@cases(WRONG_ENCODERS)
def test_wrong_encoder_is_refused(capsys, answer):
    refuses(capsys, "E2", a(answer, "encode"))


@cases(WRONG_DECODERS)
def test_wrong_decoder_is_refused(capsys, answer):
    refuses(capsys, "E2", a(answer, "decode"))


@cases(WRONG_ENERGIES)
def test_wrong_energy_is_refused(capsys, answer):
    refuses(capsys, "E2", a(answer, "error_energy"))


@cases(RIGHT_ENCODERS)
def test_right_encoder_is_accepted(capsys, answer):
    accepts(capsys, "E2", a(answer, "encode"))


@cases(RIGHT_DECODERS)
def test_right_decoder_is_accepted(capsys, answer):
    accepts(capsys, "E2", a(answer, "decode"))


@cases(RIGHT_ENERGIES)
def test_right_energy_is_accepted(capsys, answer):
    accepts(capsys, "E2", a(answer, "error_energy"))


# ---------------------------------------------------------------------------------------------------- E4

quantise = set_01.quantise

WRONG_RATES = {
    "bits a second": lambda D, b, baud, framing: baud,
    "bits a code": lambda D, b, baud, framing: D * b * (10 if framing else 8),
    "eleven bits": lambda D, b, baud, framing: baud / (D * b * (11 if framing else 8)),
    "coefficients ignored": lambda D, b, baud, framing: baud / (b * (10 if framing else 8)),
    "always four bytes": lambda D, b, baud, framing: baud / (D * 4 * (10 if framing else 8)),
    "always 9600 baud": lambda D, b, baud, framing: 9600 / (D * b * (10 if framing else 8)),
    "always 32": lambda D, b, baud, framing: baud / (32 * b * (10 if framing else 8)),
    "rounded": lambda D, b, baud, framing: round(baud / (D * b * (10 if framing else 8))),
    "one decimal": lambda D, b, baud, framing: round(baud / (D * b * (10 if framing else 8)), 1),
    "text": lambda D, b, baud, framing: str(baud / (D * b * (10 if framing else 8))),
    "a list": lambda D, b, baud, framing: [baud / (D * b * (10 if framing else 8))],
    "both": lambda D, b, baud, framing: (baud / (D * b * 8), baud / (D * b * 10)),
    "a coefficient more": lambda D, b, baud, framing: baud / ((D + 1) * b * (10 if framing else 8)),
    "nothing when framed": lambda D, b, baud, framing: None if framing else baud / (D * b * 8),
    "NaN": lambda D, b, baud, framing: float("nan"),
}
RIGHT_RATES = {
    "the library": codec.frame_rate,
    "an array without axes": lambda D, b, baud, framing: np.array(baud / (D * b * (8 + 2 * framing))),
    "a number of NumPy": lambda D, b, baud, framing: np.float32(baud) / np.float32(D * b * (8 + 2 * framing)),
    "a tensor": lambda D, b, baud, framing: torch.tensor(baud / (D * b * (8 + 2 * framing))),
    "by bytes": lambda D, b, baud, framing: baud / (10.0 if framing else 8.0) / D / b,
    "other names": lambda dimension, size, speed, start_stop=False: (
        speed / (dimension * size * (10 if start_stop else 8))
    ),
}


def steps(bits, lo, hi):
    return (hi - lo) / (2**bits - 1)


def rounded(x, bits, lo, hi):
    return np.rint((x - lo) / steps(bits, lo, hi))


WRONG_QUANTISERS = {
    "level above": lambda x, bits, lo, hi: (lambda i: (i, lo + i * steps(bits, lo, hi)))(
        np.clip(np.ceil((x - lo) / steps(bits, lo, hi)), 0, 2**bits - 1).astype(int)
    ),
    "truncated towards zero": lambda x, bits, lo, hi: (lambda i: (i, lo + i * steps(bits, lo, hi)))(
        np.clip(((x - lo) / steps(bits, lo, hi)).astype(int), 0, 2**bits - 1)
    ),
    "clipped from above only": lambda x, bits, lo, hi: (lambda i: (i, lo + i * steps(bits, lo, hi)))(
        np.minimum(rounded(x, bits, lo, hi), 2**bits - 1).astype(int)
    ),
    "clipped from below only": lambda x, bits, lo, hi: (lambda i: (i, lo + i * steps(bits, lo, hi)))(
        np.maximum(rounded(x, bits, lo, hi), 0).astype(int)
    ),
    "as many levels as bits": lambda x, bits, lo, hi: (lambda i: (i, lo + i * (hi - lo) / max(bits - 1, 1)))(
        np.clip(np.rint((x - lo) / (hi - lo) * (bits - 1)), 0, bits - 1).astype(int)
    ),
    "a bit too many": lambda x, bits, lo, hi: quantise(x, bits + 1, lo, hi),
    "a bit too few": lambda x, bits, lo, hi: quantise(x, max(bits - 1, 1), lo, hi),
    "lo and hi exchanged": lambda x, bits, lo, hi: quantise(x, bits, hi, lo),
    "values first": lambda x, bits, lo, hi: quantise(x, bits, lo, hi)[::-1],
    "values only": lambda x, bits, lo, hi: quantise(x, bits, lo, hi)[1],
    "indices for values": lambda x, bits, lo, hi: (quantise(x, bits, lo, hi)[0],) * 2,
    "flattened": lambda x, bits, lo, hi: [part.ravel() for part in quantise(x, bits, lo, hi)],
    "a symmetric range": lambda x, bits, lo, hi: quantise(
        x, bits, -max(abs(lo), abs(hi)), max(abs(lo), abs(hi))
    ),
    "from zero": lambda x, bits, lo, hi: quantise(x, bits, 0, hi),
    "indices not whole": lambda x, bits, lo, hi: (
        np.clip((x - lo) / steps(bits, lo, hi), 0, 2**bits - 1),
        quantise(x, bits, lo, hi)[1],
    ),
    "indices of dtype float": lambda x, bits, lo, hi: (
        quantise(x, bits, lo, hi)[0].astype(float),
        quantise(x, bits, lo, hi)[1],
    ),
    "only eight bits": lambda x, bits, lo, hi: (
        quantise(x, bits, lo, hi)[0].astype(np.uint8),
        quantise(x, bits, lo, hi)[1],
    ),
    "outside dropped": lambda x, bits, lo, hi: quantise(x[(x >= lo) & (x <= hi)], bits, lo, hi),
    "outside is NaN": lambda x, bits, lo, hi: (
        quantise(x, bits, lo, hi)[0],
        np.where((x < lo) | (x > hi), np.nan, quantise(x, bits, lo, hi)[1]),
    ),
    "outside is 0": lambda x, bits, lo, hi: quantise(np.where((x < lo) | (x > hi), 0, x), bits, lo, hi),
    "right for 2 bits": lambda x, bits, lo, hi: quantise(x, 2, lo, hi),
}


def quantise_with_searchsorted(x, bits, lo, hi):
    levels = np.linspace(lo, hi, 2**bits)
    indices = np.searchsorted((levels[1:] + levels[:-1]) / 2, x.ravel()).reshape(x.shape)
    return indices.astype(np.int16), levels[indices].astype(np.float32)


def quantise_entry_by_entry(x, bits, lo, hi):
    indices, values = np.zeros(x.shape, dtype=int), np.zeros_like(x)
    for place, number in np.ndenumerate(x):
        t = min(max((number - lo) / (hi - lo), 0), 1) * (2**bits - 1)
        indices[place] = int(t + 0.5)
        values[place] = lo + (hi - lo) * indices[place] / (2**bits - 1)
    return indices, values


RIGHT_QUANTISERS = {
    "the library": codec.quantise,
    "searchsorted": quantise_with_searchsorted,
    "entry by entry": quantise_entry_by_entry,
    "unsigned": lambda x, bits, lo, hi: (
        quantise(x, bits, lo, hi)[0].astype(np.uint32),
        quantise(x, bits, lo, hi)[1],
    ),
    "torch": lambda x, bits, lo, hi: [torch.tensor(part) for part in quantise(x, bits, lo, hi)],
    "lists": lambda x, bits, lo, hi: tuple(part.tolist() for part in quantise(x, bits, lo, hi)),
    "clip first, round half up": lambda x, bits, lo, hi: (lambda i: (i, i * steps(bits, lo, hi) + lo))(
        np.trunc((np.clip(x, lo, hi) - lo) / steps(bits, lo, hi) + 0.5).astype(np.int32)
    ),
    "a bits argument of NumPy": lambda x, bits, lo, hi: quantise(x, np.int64(bits), np.float64(lo), hi),
}


@cases(WRONG_RATES)
def test_wrong_rate_is_refused(capsys, answer):
    refuses(capsys, "E4", a(answer, "frame_rate"))


@cases(RIGHT_RATES)
def test_right_rate_is_accepted(capsys, answer):
    accepts(capsys, "E4", a(answer, "frame_rate"))


@cases(WRONG_QUANTISERS)
def test_wrong_quantiser_is_refused(capsys, answer):
    refuses(capsys, "E4", a(answer, "quantise"))


@cases(RIGHT_QUANTISERS)
def test_right_quantiser_is_accepted(capsys, answer):
    accepts(capsys, "E4", a(answer, "quantise"))


# --------------------------------------------------------------------------------------------------- E17

loadings_of = set_01.pca_loadings


def scaled(X, scale):
    Z = (X - X.mean(axis=0)) / scale
    eigenvalues, vectors = np.linalg.eigh(Z.T @ Z)
    return vectors[:, ::-1], eigenvalues[::-1] / eigenvalues.sum()


def one_sign_flipped(loadings, shares):
    loadings = loadings.copy()
    loadings[0, 0] *= -1
    return loadings, shares


WRONG_LOADINGS = {
    "scaled by the range": lambda X, s=True: scaled(X, np.ptp(X, axis=0) if s else 1),
    "scaled by the mean": lambda X, s=True: scaled(X, X.mean(axis=0) if s else 1),
    "scaled by the largest": lambda X, s=True: scaled(X, X.max(axis=0) if s else 1),
    "scaled by one number": lambda X, s=True: scaled(X, X.std() if s else 1),
    "rows standardised": lambda X, s=True: loadings_of((X.T - X.mean(axis=1)).T, s),
    "centred over all": lambda X, s=True: (lambda Z: set_01.components(Z.T @ Z))(
        (X - X.mean()) / (X.std(axis=0) if s else 1)
    ),
    "rows for columns": lambda X, s=True: loadings_of(X.T, s),
    "one sign flipped": changed(loadings_of, one_sign_flipped),
    "loadings reversed": changed(loadings_of, lambda b, s: (b[:, ::-1], s)),
    "loadings transposed": changed(loadings_of, lambda b, s: (b.T, s)),
    "loadings upside down": changed(loadings_of, lambda b, s: (b[::-1], s)),
    "loadings squared": changed(loadings_of, lambda b, s: (b**2, s)),
    "loadings times shares": changed(loadings_of, lambda b, s: (b * s, s)),
    "first two only": changed(loadings_of, lambda b, s: (b[:, :2], s[:2])),
    "shares of roots of four": changed(loadings_of, lambda b, s: (b, s**0.25 / (s**0.25).sum())),
    "shares relative to the first": changed(loadings_of, lambda b, s: (b, s / s[0])),
    "shares as a column": changed(loadings_of, lambda b, s: (b, s[:, None])),
    "shares reversed": changed(loadings_of, lambda b, s: (b, s[::-1])),
    "no shares": changed(loadings_of, lambda b, s: b),
    "outputs exchanged": changed(loadings_of, lambda b, s: (s, b)),
    "four decimals": changed(loadings_of, lambda b, s: (b.round(4), s.round(4))),
    "the table's four for any": lambda X, s=True: loadings_of(
        np.asarray(datasets.load("usarrests").x, dtype=float), s
    ),
    "no default": lambda X, standardise: loadings_of(X, standardise),
}


def loadings_by_eig(X, standardise=True):
    matrix = np.corrcoef(X, rowvar=False) if standardise else np.cov(X, rowvar=False)
    eigenvalues, vectors = np.linalg.eig(matrix)
    order = np.argsort(-eigenvalues)
    return vectors[:, order], eigenvalues[order] / eigenvalues.sum()


def loadings_in_single_precision(X, standardise=True):
    X = torch.tensor(X).float()
    matrix = torch.corrcoef(X.T) if standardise else torch.cov(X.T)
    eigenvalues, vectors = torch.linalg.eigh(matrix)
    return vectors.flip(1), eigenvalues.flip(0) / eigenvalues.sum()


def loadings_from_qr(X, standardise=True):
    Z = X - X.mean(axis=0)
    Z = Z / np.sqrt((Z**2).sum(axis=0)) if standardise else Z
    _, s, Vt = linalg.svd(np.linalg.qr(Z)[1])
    return Vt.T, s**2 / (s @ s)


RIGHT_LOADINGS = {
    "eig": loadings_by_eig,
    "single precision": loadings_in_single_precision,
    "QR first": loadings_from_qr,
    "ddof 1": lambda X, standardise=True: scaled(X, X.std(axis=0, ddof=1) if standardise else 1),
    "random signs": changed(loadings_of, lambda b, s: (b * [random.choice([-1, 1]) for _ in s], s)),
    "lists": changed(loadings_of, lambda b, s: [b.tolist(), s.tolist()]),
    "keywords": lambda X, standardise=True, verbose=False: loadings_of(X=X, standardise=standardise),
    "the library": lambda X, standardise=True: (
        lambda e: (e.components_.T, e.eigenvalues_ / sum(e.eigenvalues_))
    )(Eigenspace().fit((X - X.mean(axis=0)) / (X.std(axis=0) if standardise else 1))),
}


@cases(WRONG_LOADINGS)
def test_wrong_loadings_are_refused(capsys, answer):
    refuses(capsys, "E17", answer)


@cases(RIGHT_LOADINGS)
def test_right_loadings_are_accepted(capsys, answer):
    accepts(capsys, "E17", answer)
