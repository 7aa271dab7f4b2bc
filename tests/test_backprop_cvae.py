"""Labels, dropout and batch normalisation by hand: every sensitivity and every step as PyTorch finds them.

Fixtures have offsets that are not zero, layers of unequal sizes, several samples and ρ above 0: mistakes
would hide otherwise. The wrong answers that the problems invite are refused where they are not excluded.
"""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gennet.autoencoder import copy_weights
from gennet.backprop import LINEAR, RELU, SIGMOID, TANH, Network, cvae, draw, forward, vae
from gennet.backprop.cvae import (
    NormalisedNetwork,
    Triple,
    at_test,
    before_normalising,
    dropout_step,
    dropped,
    label_boundary,
    leading_rows,
    normalise,
    normalised_step,
    parallel_forward,
    parallel_step,
    softmax,
)
from gennet.backprop.vae import Pair
from gennet.cvae import ConditionalVAE, LabelInferringVAE, label_risk, risk

AUTOGRAD = 1e-10
B, M, P, C = 7, 6, 2, 3
LR, RHO, ETA = 0.05, 0.3, 0.7
IN_TORCH = {"linear": lambda z: z, "ReLU": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}
NAMES = {"linear": LINEAR, "relu": RELU, "sigmoid": SIGMOID, "tanh": TANH}


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def net(rng: np.random.Generator, sizes: list[int], last=LINEAR, hidden=TANH) -> Network:
    drawn = draw(sizes, [*[hidden] * (len(sizes) - 2), last], rng)
    return Network(drawn.W, [rng.normal(size=n) for n in sizes[1:]], drawn.f)


def conditional(seed: int = 0, hidden=(5, 4), last=TANH, f=TANH) -> Pair:
    rng = np.random.default_rng(seed)
    return Pair(
        net(rng, [M + C, *hidden, 2 * P], hidden=f), net(rng, [P + C, *reversed(hidden), M], last, hidden=f)
    )


def parallel(seed: int = 0, hidden=(5, 4), last=TANH) -> Triple:
    rng = np.random.default_rng(seed)
    return Triple(
        net(rng, [M, *hidden, 2 * P]),
        net(rng, [M, *hidden, C]),
        net(rng, [P + C, *reversed(hidden), M], last),
    )


def batch(seed: int = 1, rows: int = B) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    gamma = np.eye(C)[rng.permutation(np.arange(rows) % C)]
    return rng.uniform(-1, 1, (rows, M)), gamma, rng.normal(size=(rows, P))


class Leaves:
    """A network in torch: leaves for its weights, and the z of every layer."""

    def __init__(self, network: Network):
        self.W = [torch.tensor(W, requires_grad=True) for W in network.W]
        self.theta = [torch.tensor(t, requires_grad=True) for t in network.theta]
        self.f = [IN_TORCH[f.name] for f in network.f]

    def __call__(self, y: Tensor) -> Tensor:
        self.z = []
        for W, theta, f in zip(self.W, self.theta, self.f, strict=True):
            self.z.append(y @ W - theta)
            y = f(self.z[-1])
        return y

    def stepped(self, loss: Tensor) -> list[np.ndarray]:
        leaves = [*self.W, *self.theta]
        slopes = torch.autograd.grad(loss, leaves, retain_graph=True)
        return [(leaf - LR * slope).detach().numpy() for leaf, slope in zip(leaves, slopes, strict=True)]


def energy(*leaves: Leaves) -> Tensor:
    return RHO * sum((W**2).sum() for one in leaves for W in one.W)


def drawn(out: Tensor, eps: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return the latents of an encoder's output, and J of each sample."""
    mean, a = out[:, :P], out[:, P:]
    return mean + (a / 2).exp() * torch.tensor(eps), (mean**2 + a.exp() - a).sum(dim=1)


def slope(loss: Tensor, at: Tensor) -> np.ndarray:
    return torch.autograd.grad(loss.sum(), at, retain_graph=True)[0].numpy()


def far(ours, theirs) -> float:
    assert [np.shape(a) for a in ours] == [np.shape(b) for b in theirs]
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in zip(ours, theirs, strict=True))


def parts(network: Network) -> list[np.ndarray]:
    return [*network.W, *network.theta]


# Problem 68.4


def in_torch(pair: Pair, h, gamma, eps):
    encoder, decoder = Leaves(pair.encoder), Leaves(pair.decoder)
    gamma = torch.tensor(gamma, requires_grad=True)
    u, J = drawn(encoder(torch.cat([torch.tensor(h), gamma], dim=1)), eps)
    h_hat = decoder(torch.cat([u, gamma], dim=1))
    return encoder, decoder, u, gamma, ((torch.tensor(h) - h_hat) ** 2).sum(dim=1), J


@pytest.mark.equation("68.93", "68.95")
def test_leading_rows_and_sizes():
    pair, (h, gamma, eps) = conditional(), batch()
    now = cvae.forward(pair, h, gamma, eps)
    assert pair.decoder.W[0].shape == (P + C, 4) and now.e.y[0].shape == (B, M + C)
    assert np.array_equal(now.d.y[0], np.hstack([now.u, gamma])) and now.h_hat.shape == (B, M)
    selection = np.hstack([np.eye(P), np.zeros((P, C))])  # [I 0]
    assert np.array_equal(leading_rows(pair.decoder.W[0], P), selection @ pair.decoder.W[0])


@pytest.mark.equation("68.89", "68.94")
@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)])
@pytest.mark.parametrize("f", [TANH, SIGMOID, RELU], ids=lambda f: f.name)
def test_every_sensitivity(hidden, f):
    pair, (h, gamma, eps) = conditional(hidden=hidden, f=f), batch()
    encoder, decoder, _, _, square, J = in_torch(pair, h, gamma, eps)
    found = cvae.sensitivities(pair, cvae.forward(pair, h, gamma, eps))
    assert far(found.d[1:], [slope(square, z) for z in decoder.z]) < AUTOGRAD
    assert far(found.e[1:], [slope(square, z) for z in encoder.z]) < AUTOGRAD
    assert far(found.lambda_[1:], [slope(J, z) for z in encoder.z]) < AUTOGRAD


@pytest.mark.equation("68.90", "68.91", "68.92")
def test_label_carries_no_gradient():
    """The sum over u alone is the derivative; the one over γ is 0, for the label is not the encoder's."""
    pair, (h, gamma, eps) = conditional(), batch()
    encoder, _, u, _, square, _ = in_torch(pair, h, gamma, eps)
    delta_2 = cvae.sensitivities(pair, cvae.forward(pair, h, gamma, eps)).d[1]
    boundary = slope(square, encoder.z[-1])
    for j in range(2 * P):
        # of one sample, u depends on the encoder's output of that sample alone
        du = np.stack([slope(u[:, p], encoder.z[-1])[:, j] for p in range(P)], axis=1)  # (B, P)
        over_u = (delta_2 @ pair.decoder.W[0][:P].T * du).sum(axis=1)
        assert far([over_u], [boundary[:, j]]) < AUTOGRAD
    fresh = torch.tensor(gamma, requires_grad=True)
    assert torch.autograd.grad(u.sum(), fresh, allow_unused=True, retain_graph=True)[0] is None


@pytest.mark.equation("68.94")
def test_wrong_rows_of_the_decoders_first_weights_are_refused():
    pair, (h, gamma, eps) = conditional(), batch()
    encoder, _, _, _, square, _ = in_torch(pair, h, gamma, eps)
    now = cvae.forward(pair, h, gamma, eps)
    delta_2, right = cvae.sensitivities(pair, now).d[1], slope(square, encoder.z[-1])
    ones = np.ones((B, 2 * P))

    def transition(W):
        return vae.transition(W, delta_2, now.a, eps, ones)

    assert far([transition(pair.decoder.W[0][:P])], [right]) < AUTOGRAD
    assert far([transition(pair.decoder.W[0][-P:])], [right]) > 0.1  # trailing rows
    with pytest.raises(ValueError, match="broadcast"):
        transition(pair.decoder.W[0])  # the whole matrix does not even fit
    halves = np.hstack([ones[:, :P], eps * np.exp(now.a / 2)])  # without ½
    in_u = delta_2 @ pair.decoder.W[0][:P].T
    assert far([halves * np.hstack([in_u, in_u])], [right]) > 0.01


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)])
@pytest.mark.parametrize("last", ["tanh", "linear", "sigmoid"])
def test_conditional_step_is_that_of_the_module(hidden, last):
    pair, (h, gamma, eps) = conditional(hidden=hidden, last=NAMES[last]), batch()
    h = np.abs(h)  # in the range of all three
    model = ConditionalVAE(M, P, C, hidden, activation="tanh", output=last)
    copy_weights(pair.encoder, model.encoder)
    copy_weights(pair.decoder, model.decoder)
    rows = model.extend(torch.tensor(h), torch.tensor(gamma))
    optimiser = torch.optim.SGD(model.parameters(), lr=LR)
    risk(model, rows, torch.tensor(eps), RHO).backward()
    optimiser.step()
    stepped, expected = cvae.step(pair, h, gamma, eps, LR, RHO), ConditionalVAE(M, P, C, hidden, output=last)
    copy_weights(stepped.encoder, expected.encoder)
    copy_weights(stepped.decoder, expected.decoder)
    for name in ("encoder", "decoder"):
        ours, theirs = (list(getattr(one, name).parameters()) for one in (expected, model))
        assert max((a - b).abs().max() for a, b in zip(ours, theirs, strict=True)) < AUTOGRAD
    assert far([pair.encoder.W[0]], [conditional(hidden=hidden).encoder.W[0]]) == 0  # left as it was


def test_permuted_classes_with_permuted_weights_change_nothing():
    pair, (h, gamma, eps) = conditional(), batch()
    order = [2, 0, 1]
    turned = Pair(*(
        Network([np.vstack([net.W[0][:n], net.W[0][n:][order]]), *net.W[1:]], net.theta, net.f)
        for net, n in zip(pair, (M, P), strict=True)
    ))  # fmt: skip
    as_it_was = cvae.forward(pair, h, gamma, eps).h_hat
    assert far([cvae.forward(turned, h, gamma[:, order], eps).h_hat], [as_it_was]) < 1e-14
    assert far([cvae.forward(pair, h, gamma[:, order], eps).h_hat], [as_it_was]) > 0.01


# Problem 68.5


def parallel_in_torch(nets: Triple, h, gamma, eps):
    encoder, label, decoder = (Leaves(one) for one in nets)
    u, J = drawn(encoder(torch.tensor(h)), eps)
    gamma_hat = torch.softmax(label(torch.tensor(h)), dim=1)
    h_hat = decoder(torch.cat([u, gamma_hat], dim=1))
    square = ((torch.tensor(h) - h_hat) ** 2).sum(dim=1)
    return encoder, label, decoder, square, J, -(torch.tensor(gamma) * gamma_hat.log()).sum(dim=1)


def test_softmax():
    z = np.random.default_rng(0).normal(0, 300, (5, 4))
    assert far([softmax(z)], [torch.softmax(torch.tensor(z), dim=1).numpy()]) < 1e-15


@pytest.mark.parametrize("eta", [0.0, ETA])
def test_label_boundary_by_autograd_and_by_differences(eta):
    nets, (h, gamma, eps) = parallel(), batch()
    _, label, _, square, _, entropy = parallel_in_torch(nets, h, gamma, eps)
    now, _, gamma_hat = parallel_forward(nets, h, eps)
    delta_2 = cvae.sensitivities(Pair(nets.encoder, nets.decoder), now).d[1]
    W_1 = nets.decoder.W[0]
    ours, right = (
        label_boundary(W_1, delta_2, gamma_hat, gamma, eta),
        slope(square + eta * entropy, label.z[-1]),
    )
    assert far([ours], [right]) < AUTOGRAD
    assert np.abs(ours.sum(axis=1)).max() < 1e-13  # a constant added to all z of a softmax is lost
    # the wrong answers of the problem
    r = delta_2 @ W_1[P:].T
    assert far([r + eta * (gamma_hat - gamma)], [right]) > 0.1  # no Jacobian of the softmax
    assert far([eta * (gamma_hat - gamma)], [right]) > 0.1  # decoder's gradient stopped
    if eta:
        assert far([ours - 2 * eta * (gamma_hat - gamma)], [right]) > 0.1  # sign of the cross entropy

    def loss(shift: np.ndarray) -> float:
        moved = Network(nets.label.W, [*nets.label.theta[:-1], nets.label.theta[-1] - shift], nets.label.f)
        forward_, _, g = parallel_forward(nets._replace(label=moved), h, eps)
        return float(((h - forward_.h_hat) ** 2).sum() - eta * (gamma * np.log(g)).sum())

    step = 1e-5
    differences = [(loss(step * e) - loss(-step * e)) / (2 * step) for e in np.eye(C)]
    assert far([ours.sum(axis=0)], [differences]) < 1e-6


@pytest.mark.parametrize("eta", [0.0, ETA])
def test_parallel_step_by_autograd_and_as_the_module(eta):
    nets, (h, gamma, eps) = parallel(), batch()
    *leaves, square, J, entropy = parallel_in_torch(nets, h, gamma, eps)
    loss = energy(*leaves) + (square + J + eta * entropy).mean()
    stepped = parallel_step(nets, h, gamma, eps, LR, eta, RHO)
    for ours, one in zip(stepped, leaves, strict=True):
        assert far(parts(ours), one.stepped(loss)) < AUTOGRAD

    def module(of: Triple) -> LabelInferringVAE:
        model = LabelInferringVAE(M, P, C, (5, 4), activation="tanh", output="tanh")
        for network, copy in zip(of, (model.encoder, model.label_network, model.decoder), strict=True):
            copy_weights(network, copy)
        return model

    model, expected = module(nets), module(stepped)
    x, labels = torch.tensor(h), torch.tensor(gamma)
    label_risk(model, x, labels, torch.tensor(eps), eta, RHO).backward()
    torch.optim.SGD(model.parameters(), lr=LR).step()
    for ours, theirs in zip(expected.parameters(), model.parameters(), strict=True):
        assert (ours - theirs).abs().max() < AUTOGRAD


def test_label_reaches_nothing_but_the_cross_entropy():
    nets, (h, gamma, eps) = parallel(), batch()
    other = gamma[:, [1, 2, 0]]
    one, two = (parallel_step(nets, h, g, eps, LR, ETA) for g in (gamma, other))
    assert far(parts(one.encoder), parts(two.encoder)) == 0
    assert far(parts(one.decoder), parts(two.decoder)) == 0
    assert far(parts(one.label), parts(two.label)) > 1e-3
    one, two = (parallel_step(nets, h, g, eps, LR, 0.0) for g in (gamma, other))
    assert far(parts(one.label), parts(two.label)) == 0


# Problem 68.6


def plain(seed: int = 0, hidden=(5, 4)) -> Pair:
    rng = np.random.default_rng(seed)
    return Pair(net(rng, [M, *hidden, 2 * P]), net(rng, [P, *reversed(hidden), M], TANH))


def masks_for(pair: Pair, keep: Pair, seed: int = 2) -> Pair:
    rng = np.random.default_rng(seed)
    return Pair(*(
        [(rng.random((B, n)) < k).astype(float) for n, k in zip(one.sizes[1:-1], of_one, strict=True)]
        for one, of_one in zip(pair, keep, strict=True)
    ))  # fmt: skip


def test_dropout_step_by_autograd():
    pair, (h, _, eps), keep = plain(), batch(), Pair([0.6, 0.8], [0.5, 0.9])
    masks = masks_for(pair, keep)

    def through(one: Leaves, y: Tensor, masks_: list, keep_: list) -> Tensor:
        one.z = []
        for ell, (W, theta, f) in enumerate(zip(one.W, one.theta, one.f, strict=True)):
            one.z.append(y @ W - theta)
            y = f(one.z[-1])
            if ell < len(masks_):
                y = y * torch.tensor(masks_[ell]) / keep_[ell]
        return y

    encoder, decoder = (Leaves(one) for one in pair)
    u, J = drawn(through(encoder, torch.tensor(h), masks.encoder, keep.encoder), eps)
    h_hat = through(decoder, u, masks.decoder, keep.decoder)
    loss = energy(encoder, decoder) + (((torch.tensor(h) - h_hat) ** 2).sum(dim=1) + J).mean()
    stepped = dropout_step(pair, h, eps, masks, keep, LR, RHO)
    assert far(parts(stepped.encoder), encoder.stepped(loss)) < AUTOGRAD
    assert far(parts(stepped.decoder), decoder.stepped(loss)) < AUTOGRAD
    assert [f.name for f in stepped.encoder.f] == ["tanh", "tanh", "linear"]
    off = Pair(*(dropped(*of_one) for of_one in zip(pair, masks, keep, strict=True)))
    now = vae.forward(off, h, eps)
    square = ((torch.tensor(h) - h_hat) ** 2).sum(dim=1)
    deltas = vae.sensitivities(off, now)
    assert far(deltas.e[1:], [slope(square, z) for z in encoder.z]) < AUTOGRAD
    # the mask is missing where the sensitivity goes back, or where the weights are changed
    unmasked = vae.sensitivities(pair, now)
    assert far(unmasked.d[1:-1], deltas.d[1:-1]) > 0.01
    signals = forward(pair.decoder, now.u).y
    assert far([signals[1].T @ deltas.d[2]], [now.d.y[1].T @ deltas.d[2]]) > 0.01


def test_dropout_of_nothing_is_the_listing():
    pair, (h, _, eps) = plain(), batch()
    keep = Pair([1.0, 1.0], [1.0, 1.0])
    masks = Pair(*([np.ones((B, n)) for n in one.sizes[1:-1]] for one in pair))
    ours, theirs = dropout_step(pair, h, eps, masks, keep, LR, RHO), vae.step(pair, h, eps, LR, RHO)
    assert (
        far([*parts(ours.encoder), *parts(ours.decoder)], [*parts(theirs.encoder), *parts(theirs.decoder)])
        == 0
    )


def test_dropout_keeps_the_mean_signal():
    """The mean over all masks is exact, in a layer above; twice wrong are no 1 / k, and k instead."""
    one, h = net(np.random.default_rng(0), [M, 3, 2]), batch()[0]
    masks = np.array([[i >> j & 1 for j in range(3)] for i in range(8)], dtype=float)
    chance = (0.6**masks * 0.4 ** (1 - masks)).prod(axis=1)
    means = sum(
        c * forward(dropped(one, [np.tile(mask, (B, 1))], [0.6]), h).y[-1]
        for c, mask in zip(chance, masks, strict=True)
    )
    assert far([means], [forward(one, h).y[-1]]) < 1e-14


@pytest.mark.parametrize(
    ("masks", "keep", "sentence"),
    [
        ([], [], "0 masks and 0 probabilities for 1 hidden layers"),
        ([np.ones((B, 3))], [0.5, 0.5], "1 masks and 2 probabilities"),
        ([np.ones((B, 4))], [0.5], r"expected a mask \(B, 3\) of 0 and 1 for hidden layer 1, got shape"),
        ([np.full((B, 3), 0.5)], [0.5], "of 0 and 1"),
        ([np.ones((B, 3))], [0.0], r"must lie in \(0, 1\], got 0"),
        ([np.ones((B, 3))], [1.5], "got 1.5"),
    ],
)
def test_bad_masks_are_refused(masks, keep, sentence):
    with pytest.raises(ValueError, match=sentence):
        dropped(net(np.random.default_rng(0), [M, 3, 2]), masks, keep)


# Problem 68.7


def test_normalisation_forwards_backwards_and_at_test_as_torch_has_them():
    rng = np.random.default_rng(0)
    z, delta, scale, theta = (
        rng.normal(size=(B, 4)),
        rng.normal(size=(B, 4)),
        rng.normal(size=4),
        rng.normal(size=4),
    )
    layer = nn.BatchNorm1d(4, eps=1e-5, momentum=1.0)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(scale))
        layer.bias.copy_(torch.tensor(-theta))
    z_torch = torch.tensor(z, requires_grad=True)
    out = layer(z_torch)
    normalised = normalise(z)
    assert far([scale * normalised.z_bar - theta], [out.detach()]) < 1e-13
    in_z, in_scale, in_shift = torch.autograd.grad(
        (out * torch.tensor(delta)).sum(), [z_torch, layer.weight, layer.bias]
    )
    ours = before_normalising(delta, normalised, scale)
    assert far([ours], [in_z]) < AUTOGRAD
    assert far([(delta * normalised.z_bar).sum(axis=0), delta.sum(axis=0)], [in_scale, in_shift]) < AUTOGRAD
    assert np.abs(ours.sum(axis=0)).max() < 1e-13
    assert far([normalise(z + 3.0).z_bar], [normalised.z_bar]) < 1e-12

    step = 1e-6
    moved = np.zeros_like(z)
    moved[2, 1] = step
    loss = [((scale * normalise(z + s * moved).z_bar) * delta).sum() for s in (1, -1)]
    assert (loss[0] - loss[1]) / (2 * step) == pytest.approx(ours[2, 1], abs=1e-6)

    # the wrong answers of the problem
    plain_slope = scale / normalised.deviation
    mean, with_z = delta.mean(axis=0), normalised.z_bar * (delta * normalised.z_bar).mean(axis=0)
    for wrong in (
        plain_slope * delta,
        plain_slope * (delta - with_z),
        plain_slope * (delta - mean),
        ours / scale,
    ):
        assert far([wrong], [ours]) > 0.05

    mean, variance = rng.normal(size=4), rng.uniform(0.5, 2, 4)
    layer.running_mean, layer.running_var = torch.tensor(mean), torch.tensor(variance)
    layer.eval()
    at_once = at_test(z, scale, theta, mean, variance)
    assert far([at_once], [layer(torch.tensor(z)).detach()]) < 1e-13
    assert far([at_test(z[2:3], scale, theta, mean, variance)], [at_once[2:3]]) == 0


def test_normalised_step_as_torch_has_it():
    pair, (h, _, eps) = plain(), batch()
    rng = np.random.default_rng(5)
    ours = [NormalisedNetwork(one, [rng.uniform(0.5, 2, n) for n in one.sizes[1:-1]]) for one in pair]

    def module(of: NormalisedNetwork) -> nn.Sequential:
        """Linear without offset, BatchNorm1d with shift -θ, activation; the last layer is linear."""
        layers = []
        for ell, (W, theta, f) in enumerate(zip(of.net.W, of.net.theta, of.net.f, strict=True)):
            last = ell == len(of.scale)
            linear = nn.Linear(*W.shape, bias=last)
            linear.weight.data = torch.tensor(W.T)
            layers.append(linear)
            if last:
                linear.bias.data = torch.tensor(-theta)
            else:
                norm = nn.BatchNorm1d(W.shape[1])
                norm.weight.data, norm.bias.data = torch.tensor(of.scale[ell]), torch.tensor(-theta)
                layers.append(norm)
            layers.append({"tanh": nn.Tanh, "linear": nn.Identity}[f.name]())
        return nn.Sequential(*layers)

    encoder, decoder = (module(one) for one in ours)
    u, J = drawn(encoder(torch.tensor(h)), eps)
    square = ((torch.tensor(h) - decoder(u)) ** 2).sum(dim=1)
    matrices = [layer.weight for one in (encoder, decoder) for layer in one if isinstance(layer, nn.Linear)]
    ((square + J).mean() + RHO * sum((W**2).sum() for W in matrices)).backward()
    for one in (encoder, decoder):
        torch.optim.SGD(one.parameters(), lr=LR).step()
    for after, theirs in zip(normalised_step(*ours, h, eps, LR, RHO), (encoder, decoder), strict=True):
        for a, b in zip(module(after).parameters(), theirs.parameters(), strict=True):
            assert (a - b).abs().max() < AUTOGRAD


@pytest.mark.erratum("S47")
def test_a_batch_of_one_cannot_be_normalised():
    one = batch(rows=1)[0]
    assert (
        np.abs((one - one.mean(axis=0)) / np.sqrt(one.var(axis=0) + 1e-5)).max() == 0
    )  # as the formula has it
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        normalise(one)
    two = normalise(batch(rows=2)[0])
    assert np.abs(two.z_bar.mean(axis=0)).max() < 1e-14 and np.abs(two.z_bar).min() > 0.9


# Bad input


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda h, gamma, eps: (h[:, :5], gamma, eps), "expected an encoder 8-...-4, got 9-5-4-4"),
        (lambda h, gamma, eps: (h, gamma[:, :2], eps), "expected an encoder 8-...-4"),
        (lambda h, gamma, eps: (h, gamma, eps[:, :1]), "expected an encoder 9-...-2"),
        (lambda h, gamma, eps: (h[:3], gamma, eps), r"got shapes \(3, 6\), \(7, 3\) and \(7, 2\)"),
        (lambda h, gamma, eps: (h[:0], gamma[:0], eps[:0]), "B at least 1"),
        (lambda h, gamma, eps: (h, gamma.argmax(axis=1), eps), r"labels \(B, C\)"),
    ],
)
def test_what_does_not_fit_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        cvae.step(conditional(), *change(*batch()), LR)


def test_what_does_not_fit_the_other_steps_is_refused():
    h, gamma, eps = batch()
    with pytest.raises(ValueError, match=r"expected labels of shape \(7, 3\), got \(7, 2\)"):
        parallel_step(parallel(), h, gamma[:, :2], eps, LR, ETA)
    with pytest.raises(ValueError, match=r"expected a label network 5-\.\.\.-3, got 6"):
        parallel_forward(parallel()._replace(encoder=net(np.random.default_rng(0), [5, 4])), h[:, :5], eps)
    one = NormalisedNetwork(plain().encoder, [np.ones(5), np.ones(4)])
    with pytest.raises(ValueError, match=r"expected a decoder 2-\.\.\.-6, got 6-5-4-4"):
        normalised_step(one, one, h, eps, LR)
    nan = np.where(np.arange(M) == 2, np.nan, h)
    with pytest.raises(FloatingPointError, match="NaN"):
        cvae.step(conditional(), nan, gamma, eps, LR)
