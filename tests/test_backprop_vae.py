"""The listings of the variational autoencoder against autograd and central differences; the text's errata.

Everything is in float64. Fixtures have non-zero offsets, layers of different sizes, every activation, and
draws of all sizes: many mistakes are invisible otherwise.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from gennet.backprop import LINEAR, RELU, SIGMOID, TANH, Activation, Network, draw, network, vae
from gennet.backprop.vae import Pair, forward, gradients, risk, sensitivities, step, transition

AUTOGRAD, DIFFERENCES, WRONG = 1e-10, 1e-6, 1e-3  # tolerances; a planted error is further away than that
IN_TORCH = {"linear": lambda z: z, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "ReLU": torch.relu}
OUTPUTS = [LINEAR, TANH, SIGMOID]
DEPTHS = [  # sizes and activations of encoder and decoder
    ([7, 4], [LINEAR], [2, 7], [TANH]),
    ([7, 6, 4], [RELU, LINEAR], [2, 5, 7], [SIGMOID, LINEAR]),
    ([7, 6, 5, 4], [TANH, RELU, LINEAR], [2, 5, 6, 7], [SIGMOID, RELU, TANH]),
    ([7, 8, 6, 5, 6], [SIGMOID, TANH, RELU, TANH], [3, 9, 7], [TANH, SIGMOID]),  # a tanh at the transition
]
each_depth = pytest.mark.parametrize("depth", DEPTHS, ids=lambda depth: f"{depth[0]}-{depth[2]}")


def pair_of(depth: tuple, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    networks = []
    for sizes, f in (depth[:2], depth[2:]):
        drawn = draw(sizes, f, rng)
        networks.append(Network(drawn.W, [rng.normal(size=n) for n in sizes[1:]], drawn.f))
    return Pair(*networks)


def batch_for(pair: Pair, B: int = 9, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(B, pair.encoder.sizes[0])), rng.normal(size=(B, pair.decoder.sizes[0]))


class InTorch:
    """The same model written anew in torch: leaves for all weights, and every signal with its gradient."""

    def __init__(self, pair: Pair, h: np.ndarray, eps: np.ndarray):
        self.W = [[torch.tensor(W, requires_grad=True) for W in part.W] for part in pair]
        self.theta = [[torch.tensor(t, requires_grad=True) for t in part.theta] for part in pair]
        self.h, self.eps = torch.from_numpy(h), torch.from_numpy(eps)
        self.z_e, out = self.through(0, pair.encoder, self.h)
        P = eps.shape[1]
        self.mean, self.a = out[:, :P], out[:, P:]
        self.u = self.mean + (self.a / 2).exp() * self.eps
        self.z_d, self.h_hat = self.through(1, pair.decoder, self.u)
        self.square = ((self.h_hat - self.h) ** 2).sum(dim=1)  # of each sample
        self.J = (self.mean**2 + self.a.exp() - self.a).sum(dim=1)

    def through(self, which: int, part: Network, y: Tensor) -> tuple[list[Tensor], Tensor]:
        signals = []
        for W, theta, f in zip(self.W[which], self.theta[which], part.f, strict=True):
            signals.append(y @ W - theta)
            y = IN_TORCH[f.name](signals[-1])
        return signals, y

    def risk(self, rho: float) -> Tensor:
        return rho * sum((W**2).sum() for W in [*self.W[0], *self.W[1]]) + (self.square + self.J).mean()

    def slopes(self, loss: Tensor, at: list[Tensor]) -> list[np.ndarray]:
        found = torch.autograd.grad(loss.sum(), at, retain_graph=True)
        return [slope.numpy() for slope in found]


def far(ours: list, theirs: list) -> float:
    """Return the largest difference between two lists of arrays of equal shapes."""
    assert [np.shape(a) for a in ours] == [np.shape(b) for b in theirs]
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in zip(ours, theirs, strict=True))


def all_parts(pair: Pair) -> list[np.ndarray]:
    return [part for net in pair for part in (*net.W, *net.theta)]


# The forward listing


@pytest.mark.equation("68.26", "68.28", "68.30", "68.31", "68.33", "68.34", "68.41")
@each_depth
def test_forward_listing(depth: tuple):
    pair = pair_of(depth)
    h, eps = batch_for(pair)
    now, theirs = forward(pair, h, eps), InTorch(pair, h, eps)
    assert [len(part.W) for part in pair] == [len(part.theta) for part in pair]
    assert [len(part.W) for part in pair] == [len(depth[0]) - 1, len(depth[2]) - 1]
    assert [y.shape for y in now.e.y] == [(9, n) for n in depth[0]] and now.e.z[0] is None
    assert [y.shape for y in now.d.y] == [(9, n) for n in depth[2]] and now.d.z[0] is None
    assert np.array_equal(now.e.y[0], h) and np.array_equal(now.d.y[0], now.u)
    with torch.no_grad():
        assert far(now.e.z[1:], theirs.z_e) < 1e-13 and far(now.d.z[1:], theirs.z_d) < 1e-13
        signals = [theirs.mean, theirs.a, theirs.u, theirs.h_hat]
        assert far([now.mean, now.a, now.u, now.h_hat], signals) < 1e-13
    assert risk(pair, h, eps, 0.3) == pytest.approx(theirs.risk(0.3).item(), abs=1e-11)


# The sensitivities


@pytest.mark.equation("68.40", "68.42", "68.43")
@pytest.mark.parametrize("f", OUTPUTS, ids=lambda f: f.name)
def test_sensitivity_of_the_decoders_output(f: Activation):
    pair = pair_of(([7, 6, 4], [TANH, LINEAR], [2, 5, 7], [TANH, f]))
    h, eps = batch_for(pair)
    now, theirs = forward(pair, h, eps), InTorch(pair, h, eps)
    delta = sensitivities(pair, now).d[-1]
    by_entry = [[2 * (p - q) * g for p, q, g in zip(*rows, strict=True)]
                for rows in zip(now.h_hat, h, f.prime(now.d.z[-1]), strict=True)]  # fmt: skip
    assert far([delta], [by_entry]) < 1e-14
    assert far([delta], theirs.slopes(theirs.square, theirs.z_d[-1:])) < AUTOGRAD


@pytest.mark.equation("68.44", "68.46", "68.47", "68.48", "68.60", "68.65", "68.67")
@each_depth
def test_every_sensitivity_of_every_layer(depth: tuple):
    pair = pair_of(depth)
    h, eps = batch_for(pair)
    now, theirs = forward(pair, h, eps), InTorch(pair, h, eps)
    found = sensitivities(pair, now)
    assert found.d[0] is found.e[0] is found.lambda_[0] is None
    assert far(found.d[1:], theirs.slopes(theirs.square, theirs.z_d)) < AUTOGRAD
    assert far(found.e[1:], theirs.slopes(theirs.square, theirs.z_e)) < AUTOGRAD
    assert far(found.lambda_[1:], theirs.slopes(theirs.J, theirs.z_e)) < AUTOGRAD
    for ell in range(1, len(pair.decoder.W)):  # the chain rule, entry by entry
        W, f = pair.decoder.W[ell], pair.decoder.f[ell - 1]
        for j in range(len(W)):
            sums = sum(found.d[ell + 1][:, k] * W[j, k] for k in range(W.shape[1]))
            assert far([found.d[ell][:, j]], [f.prime(now.d.z[ell])[:, j] * sums]) < 1e-12


@pytest.mark.erratum("S8")
@pytest.mark.equation("68.45", "68.66")
@pytest.mark.parametrize("f", [TANH, SIGMOID, RELU, LINEAR], ids=lambda f: f.name)
def test_what_the_recursion_needs_is_an_entrywise_activation(f: Activation):
    """The other terms are independent of w[j, k], as printed, for a softmax too; yet the recursion fails."""
    rng = np.random.default_rng(3)
    z = torch.tensor(rng.normal(size=5))
    W, theta = torch.tensor(rng.normal(size=(5, 4))), torch.tensor(rng.normal(size=4))

    def jacobian(activation: Callable[[Tensor], Tensor]) -> np.ndarray:
        return torch.autograd.functional.jacobian(lambda z: activation(z) @ W - theta, z).numpy().T  # (j, k)

    by_formula = f.prime(z.numpy())[:, None] * W.numpy()
    assert np.abs(jacobian(IN_TORCH[f.name]) - by_formula).max() < AUTOGRAD

    def softmax(z: Tensor) -> Tensor:
        return torch.softmax(z, dim=0)

    def remainder(w: float) -> np.ndarray:
        """z_next(k) - f(z(j)) w[j, k] for j = 1, k = 2, as a function of w[1, 2]."""
        changed = W.clone()
        changed[1, 2] = w
        return (softmax(z) @ changed - theta)[2] - softmax(z)[1] * w

    assert remainder(0.5).item() == pytest.approx(remainder(-3.0).item(), abs=1e-14)  # what is printed
    y = softmax(z).numpy()
    slope = y * (1 - y)  # its derivative "entry by entry"
    assert np.abs(jacobian(softmax) - slope[:, None] * W.numpy()).max() > WRONG


@pytest.mark.equation("68.53", "68.57")
def test_jacobian_of_the_draw():
    pair = pair_of(DEPTHS[3])  # tanh at the encoder's output
    h, eps = batch_for(pair, B=1)
    now, P = forward(pair, h, eps), 3
    assert vae.s(now.a, now.eps).shape == (1, 2 * P)
    assert vae.s(np.log([[4.0, 9.0]]), np.array([[1.0, -2.0]]))[0].tolist() == pytest.approx([1, 1, 1, -3])

    def u(z: Tensor) -> Tensor:
        y = torch.tanh(z)
        return y[:P] + (y[P:] / 2).exp() * torch.from_numpy(eps[0])

    z = torch.from_numpy(now.e.z[-1][0])
    theirs = torch.autograd.functional.jacobian(u, z).numpy()  # (P, 2P)
    ours = np.zeros((P, 2 * P))
    diagonal = (vae.s(now.a, now.eps) * TANH.prime(now.e.z[-1]))[0]
    for p in range(P):
        ours[p, p], ours[p, P + p] = diagonal[p], diagonal[P + p]
    assert np.abs(ours - theirs).max() < AUTOGRAD


@pytest.mark.erratum("S10")
@pytest.mark.equation("68.54", "68.55")
def test_first_signal_of_the_decoder_has_an_offset():
    pair = pair_of(DEPTHS[2])
    h, eps = batch_for(pair)
    now, W, theta = forward(pair, h, eps), pair.decoder.W[0], pair.decoder.theta[0]
    as_printed = np.array([[sum(W[p, i] * u[p] for p in range(2)) for i in range(5)] for u in now.u])
    assert np.abs(now.d.z[1] - (as_printed - theta)).max() < 1e-14
    assert np.abs(now.d.z[1] - as_printed).max() > WRONG
    u = torch.from_numpy(now.u[0])
    slope = torch.autograd.functional.jacobian(lambda u: u @ torch.tensor(W) - torch.tensor(theta), u)
    assert np.abs(slope.numpy() - W.T).max() < AUTOGRAD  # the offset changes no derivative


@pytest.mark.equation("68.49", "68.56", "68.58")
@each_depth
def test_transition(depth: tuple):
    pair = pair_of(depth)
    h, eps = batch_for(pair)
    now, theirs = forward(pair, h, eps), InTorch(pair, h, eps)
    delta_2, f_prime = sensitivities(pair, now).d[1], pair.encoder.f[-1].prime(now.e.z[-1])
    W, P = pair.decoder.W[0], eps.shape[1]
    ours = transition(W, delta_2, now.a, eps, f_prime)
    assert far([ours], theirs.slopes(theirs.square, theirs.z_e[-1:])) < AUTOGRAD
    for j in range(2 * P):
        p = j % P
        sums = sum(delta_2[:, i] * W[p, i] for i in range(W.shape[1]))
        factor = 1.0 if j < P else 0.5 * eps[:, p] * np.exp(now.a[:, p] / 2)
        assert far([ours[:, j]], [factor * f_prime[:, j] * sums]) < 1e-12


@pytest.mark.equation("68.61", "68.62", "68.63", "68.64")
def test_second_sensitivity_at_the_encoders_output():
    pair = pair_of(DEPTHS[3])
    h, eps = batch_for(pair)
    now, theirs = forward(pair, h, eps), InTorch(pair, h, eps)
    x = vae.x(now.mean, now.a)
    assert far([x], [np.hstack([2 * now.mean, np.exp(now.a) - 1])]) == 0
    assert far([x], [np.hstack(theirs.slopes(theirs.J, [theirs.mean, theirs.a]))]) < AUTOGRAD
    lambda_ = sensitivities(pair, now).lambda_[-1]
    assert far([lambda_], [x * TANH.prime(now.e.z[-1])]) < 1e-14
    assert far([lambda_], theirs.slopes(theirs.J, theirs.z_e[-1:])) < AUTOGRAD
    assert vae.x(np.array([[1.0, -2.0]]), np.log([[0.5, 2.0]])).tolist() == [[2, -4, -0.5, 1]]


@pytest.mark.equation("68.68", "68.69", "68.70")
@each_depth
def test_sum_of_both_sensitivities_obeys_one_recursion(depth: tuple):
    pair = pair_of(depth)
    h, eps = batch_for(pair)
    now, theirs = forward(pair, h, eps), InTorch(pair, h, eps)
    found = sensitivities(pair, now)
    f_prime = pair.encoder.f[-1].prime(now.e.z[-1])
    in_u = found.d[1] @ pair.decoder.W[0].T
    boundary = (vae.x(now.mean, now.a) + vae.s(now.a, eps) * np.hstack([in_u, in_u])) * f_prime
    beta = network.sensitivities(pair.encoder, now.e.z, boundary)
    summed = [delta + lam for delta, lam in zip(found.e[1:], found.lambda_[1:], strict=True)]
    assert far(beta[1:], summed) < 1e-12
    assert far(beta[1:], theirs.slopes(theirs.square + theirs.J, theirs.z_e)) < AUTOGRAD


# Gradients and the step


@pytest.mark.equation("68.71", "68.72", "68.73", "68.74", "68.75", "68.76")
@each_depth
def test_gradients(depth: tuple):
    pair = pair_of(depth)
    h, eps = batch_for(pair)
    now, theirs = forward(pair, h, eps), InTorch(pair, h, eps)
    found = sensitivities(pair, now)
    of_encoder, of_decoder = gradients(now, found)
    square, J = theirs.square.mean(), theirs.J.mean()
    assert far(of_decoder.W, theirs.slopes(square, theirs.W[1])) < AUTOGRAD
    assert far(of_decoder.theta, theirs.slopes(square, theirs.theta[1])) < AUTOGRAD
    assert far(of_encoder.W, theirs.slopes(square + J, theirs.W[0])) < AUTOGRAD
    assert far(of_encoder.theta, theirs.slopes(square + J, theirs.theta[0])) < AUTOGRAD
    for deltas, loss in ((found.e, square), (found.lambda_, J)):  # the parts of the encoder's, one by one
        part = network.gradients(now.e.y, deltas)
        assert far(part.W, theirs.slopes(loss, theirs.W[0])) < AUTOGRAD
        assert far(part.theta, theirs.slopes(loss, theirs.theta[0])) < AUTOGRAD


@pytest.mark.erratum("S12")
def test_gradient_of_an_offset_has_the_shape_of_the_offset():
    pair = pair_of(DEPTHS[2])
    h, eps = batch_for(pair, B=1)
    now = forward(pair, h, eps)
    found = sensitivities(pair, now)
    for part, gradient, deltas in zip(pair, gradients(now, found), (found.e, found.d), strict=True):
        for theta, slope, delta in zip(part.theta, gradient.theta, deltas[1:], strict=True):
            column, as_printed = theta[:, None], -delta[:1]  # (n, 1) as in (68.27), and a row (1, n)
            assert slope.shape == theta.shape
            assert as_printed.shape == (1, len(theta)) != column.shape
            assert (column - as_printed).shape == (len(theta), len(theta))  # a "step" gives a square matrix


@pytest.mark.equation("68.79", "68.77")
@pytest.mark.parametrize("B", [1, 9])
@each_depth
def test_one_step_descends_the_risk(depth: tuple, B: int):
    """The listing against gradient descent on (68.39), the mean over the batch for the data part."""
    pair, lr, rho = pair_of(depth), 0.01, 0.2
    h, eps = batch_for(pair, B)
    before = [part.copy() for part in all_parts(pair)]
    ours = step(pair, h, eps, lr, rho)
    assert far(all_parts(pair), before) == 0
    assert far(all_parts(ours), by_autograd(pair, h, eps, lr, rho)) < AUTOGRAD
    assert risk(ours, h, eps, rho) < risk(pair, h, eps, rho)


def by_autograd(pair: Pair, h: np.ndarray, eps: np.ndarray, lr: float, rho: float) -> list[np.ndarray]:
    theirs = InTorch(pair, h, eps)
    leaves = [*theirs.W[0], *theirs.theta[0], *theirs.W[1], *theirs.theta[1]]
    slopes = theirs.slopes(theirs.risk(rho), leaves)
    return [part.detach().numpy() - lr * slope for part, slope in zip(leaves, slopes, strict=True)]


@pytest.mark.equation("68.79")
@pytest.mark.parametrize("depth", DEPTHS[1:3], ids=["smooth", "deep"])
def test_one_step_against_central_differences(depth: tuple):
    pair, lr, rho = pair_of(depth), 0.5, 0.2
    h, eps = batch_for(pair)
    by_differences = []
    for part in all_parts(pair):
        slope = np.empty_like(part)
        for place in np.ndindex(part.shape):
            kept, values = part[place], []
            for sign in (1, -1):
                part[place] = kept + sign * 1e-5
                values.append(risk(pair, h, eps, rho))
            part[place] = kept
            slope[place] = (values[0] - values[1]) / 2e-5
        by_differences.append(part - lr * slope)
    assert far(all_parts(step(pair, h, eps, lr, rho)), by_differences) < DIFFERENCES


@pytest.mark.erratum("S13")
def test_sensitivities_with_overwritten_weights_are_wrong():
    """The line of the update stands before that of the sensitivity: done in place, it goes wrong."""
    pair, lr = pair_of(DEPTHS[2]), 0.1
    h, eps = batch_for(pair)
    right = by_autograd(pair, h, eps, lr, 0.0)
    assert far(all_parts(step(pair, h, eps, lr)), right) < AUTOGRAD

    now, B = forward(pair, h, eps), len(h)
    encoder, decoder = pair
    delta = 2 * (now.h_hat - h) * decoder.f[-1].prime(now.d.z[-1])
    for ell in range(len(decoder.W) - 1, -1, -1):
        decoder.W[ell] -= lr / B * now.d.y[ell].T @ delta
        decoder.theta[ell] += lr / B * delta.sum(axis=0)
        if ell:
            delta = decoder.f[ell - 1].prime(now.d.z[ell]) * (delta @ decoder.W[ell].T)
    f_prime = encoder.f[-1].prime(now.e.z[-1])
    beta = transition(decoder.W[0], delta, now.a, eps, f_prime) + vae.x(now.mean, now.a) * f_prime
    for ell in range(len(encoder.W) - 1, -1, -1):
        encoder.W[ell] -= lr / B * now.e.y[ell].T @ beta
        encoder.theta[ell] += lr / B * beta.sum(axis=0)
        if ell:
            beta = encoder.f[ell - 1].prime(now.e.z[ell]) * (beta @ encoder.W[ell].T)
    assert far(all_parts(pair), right) > WRONG


PLANTED = {
    "half of (68.57) missing": ("s", lambda a, eps: np.hstack([np.ones_like(a), eps * np.exp(a / 2)])),
    "variance for deviation": ("s", lambda a, eps: np.hstack([np.ones_like(a), 0.5 * eps * np.exp(a)])),
    "draw missing": ("s", lambda a, eps: np.hstack([np.ones_like(a), 0.5 * np.exp(a / 2)])),
    "log-variances first": ("s", lambda a, eps: np.hstack([0.5 * eps * np.exp(a / 2), np.ones_like(a)])),
    "no -1 in x": ("x", lambda mean, a: np.hstack([2 * mean, np.exp(a)])),
    "no 2 in x": ("x", lambda mean, a: np.hstack([mean, np.exp(a) - 1])),
    "half of x: the divergence, not twice": ("x", lambda mean, a: np.hstack([mean, (np.exp(a) - 1) / 2])),
    "x divided by 4": ("x", lambda mean, a: np.hstack([2 * mean, np.exp(a) - 1]) / 4),
    "no 2 at the output": ("terminal", lambda now, f_prime: (now.h_hat - now.e.y[0]) * f_prime),
    "no f' at the output": ("terminal", lambda now, f_prime: 2 * (now.h_hat - now.e.y[0])),
    "sign at the output": ("terminal", lambda now, f_prime: 2 * (now.e.y[0] - now.h_hat) * f_prime),
    "transition by one half of s": (
        "transition",
        lambda W, delta, a, eps, f: np.hstack([delta @ W.T, np.zeros_like(a)]) * f,
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_errors_are_caught(name: str, monkeypatch: pytest.MonkeyPatch):
    pair, lr = pair_of(DEPTHS[2]), 0.5
    h, eps = batch_for(pair)
    right = by_autograd(pair, h, eps, lr, 0.0)
    assert far(all_parts(step(pair, h, eps, lr)), right) < AUTOGRAD
    monkeypatch.setattr(vae, *PLANTED[name])
    assert far(all_parts(step(pair, h, eps, lr)), right) > WRONG


@pytest.mark.equation("68.27", "68.29")
def test_sizes_of_example_68_1():
    rng = np.random.default_rng(0)
    encoder = draw([784, 512, 512, 4], [RELU, RELU, LINEAR], rng)
    pair = Pair(encoder, draw([2, 512, 512, 784], [RELU, RELU, TANH], rng))
    assert [sum(part.size for part in [*net.W, *net.theta]) for net in pair] == [666_628, 666_384]
    for net in pair:
        assert [W.shape for W in net.W] == list(pairwise(net.sizes))
        assert [theta.shape for theta in net.theta] == [(n,) for n in net.sizes[1:]]


def test_training_by_hand_lowers_the_risk():
    pair = pair_of(DEPTHS[1])
    rng = np.random.default_rng(5)
    X = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 7))
    eps = rng.normal(size=(60, 2))
    first = risk(pair, X, eps)
    for _ in range(300):
        rows = rng.permutation(60)[:10]
        pair = step(pair, X[rows], rng.normal(size=(10, 2)), 0.01)
    assert risk(pair, X, eps) < 0.5 * first


def test_bad_input_is_refused_in_words():
    pair = pair_of(DEPTHS[2])
    h, eps = batch_for(pair)
    with pytest.raises(ValueError, match="expected samples as rows of 7 numbers, got shape"):
        forward(pair, h[:, :6], eps)
    for wrong in (eps[:5], eps[:, :1], eps[0]):
        with pytest.raises(ValueError, match=r"expected eps of shape \(9, 2\), got"):
            forward(pair, h, wrong)
    with pytest.raises(ValueError, match="an encoder 7-6-5-4 and a decoder 3-9-7 do not fit: expected M-"):
        forward(Pair(pair.encoder, pair_of(DEPTHS[3]).decoder), h, eps)
    with pytest.raises(FloatingPointError, match="NaN or infinite"):
        step(pair, np.where(h > 2, np.nan, h), eps, 0.1)
