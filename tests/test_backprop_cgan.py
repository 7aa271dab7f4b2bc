"""Conditional adversarial networks by hand, and C + 1 outputs (Problem 68.8), against autograd.

Everything is in float64. Networks have offsets, all layers another size and batches above five: many mistakes
are invisible otherwise.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from gennet.backprop import LINEAR, RELU, SIGMOID, TANH, Activation, Network, draw
from gennet.backprop import cgan as by_hand
from gennet.backprop import gan as without_labels
from gennet.backprop.gan import REAL, softmax

IN_TORCH = {"linear": lambda z: z, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "ReLU": torch.relu}
AUTOGRAD, DIFFERENCES = 1e-10, 1e-6
P, M, C, B = 2, 5, 3, 7
LR, RHO = 0.3, 0.05
Z = np.array([[0.2, -0.4, 1.0, 0.3]])  # outputs of a discriminator with C = 3


def network(sizes: list[int], f: list[Activation], seed: int) -> Network:
    rng = np.random.default_rng(seed)
    drawn = draw(sizes, f, rng)
    return Network(drawn.W, [rng.normal(size=n) for n in sizes[1:]], drawn.f)


@pytest.fixture
def players() -> tuple[Network, Network]:
    """Return a generator and a discriminator that both read a label."""
    generator = network([P + C, 4, 6, M], [TANH, RELU, SIGMOID], seed=0)
    return generator, network([M + C, 9, 3, 2], [RELU, TANH, LINEAR], seed=1)


@pytest.fixture
def with_classes() -> Network:
    """Return a discriminator with C + 1 outputs."""
    return network([M, 9, 3, C + 1], [RELU, TANH, LINEAR], seed=2)


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return real samples, latent vectors and classes."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(B, M)), rng.normal(size=(B, P)), rng.integers(C, size=B)


class Leaves:
    """A hand-written network anew in torch, its parameters leaves of autograd."""

    def __init__(self, network: Network) -> None:
        self.W = [torch.tensor(W, requires_grad=True) for W in network.W]
        self.theta = [torch.tensor(theta, requires_grad=True) for theta in network.theta]
        self.f = [IN_TORCH[f.name] for f in network.f]
        self.z: list[Tensor] = []

    def __call__(self, y: Tensor) -> Tensor:
        self.z = []
        for W, theta, f in zip(self.W, self.theta, self.f, strict=True):
            self.z.append(y @ W - theta)
            self.z[-1].retain_grad()
            y = f(self.z[-1])
        return y

    def penalty(self) -> Tensor:
        return sum((W**2).sum() for W in self.W)

    def moved(self, loss: Tensor, lr: float) -> list[np.ndarray]:
        """Return the parameters after a step against the gradient of a loss."""
        parts = [*self.W, *self.theta]
        slopes = torch.autograd.grad(loss, parts)
        return [(part - lr * slope).detach().numpy() for part, slope in zip(parts, slopes, strict=True)]


def largest(ours: list[np.ndarray], theirs: list) -> float:
    assert [a.shape for a in ours] == [tuple(b.shape) for b in theirs]
    return max(float(np.abs(a - np.asarray(b)).max()) for a, b in zip(ours, theirs, strict=True))


def parameters(network: Network) -> list[np.ndarray]:
    return [*network.W, *network.theta]


def cross_entropy(outputs: Tensor, target: np.ndarray) -> Tensor:
    """Return -Σ t ln γ̂ of each sample."""
    return -(torch.tensor(target) * torch.log_softmax(outputs, dim=1)).sum(dim=1)


def col(x: np.ndarray, gamma: np.ndarray) -> Tensor:
    return torch.tensor(np.hstack([x, gamma]))


# Labels at the input


@pytest.mark.equation("68.170", "68.171", "68.172", "68.174")
@pytest.mark.erratum("S26")
def test_first_layer_of_the_discriminator_sums_over_sample_and_label(players, batch):
    generator, discriminator = players
    _, u, c = batch
    gamma = np.eye(C)[c]
    g, d, _ = by_hand.forward_cgan(generator, discriminator, u, gamma)
    W, theta, f = discriminator.W[0], discriminator.theta[0], generator.f[-1]
    assert W.shape == (M + C, discriminator.sizes[1])  # C + 1 label entries as printed, C in the usual design
    W_bar = by_hand.leading_rows(W, M)
    assert np.array_equal(W_bar, np.hstack([np.eye(M), np.zeros((M, C))]) @ W)
    h_hat = g.y[-1]
    assert np.array_equal(h_hat, f(g.z[-1])) and h_hat.shape == (B, M)
    for i in range(W.shape[1]):
        features = sum(W[j, i] * f(g.z[-1][:, j]) for j in range(M))
        labels = sum(W[M + k, i] * gamma[:, k] for k in range(C))
        assert d.z[1][:, i] == pytest.approx(features + labels - theta[i], abs=AUTOGRAD)
        assert np.abs(features - theta[i] - d.z[1][:, i]).max() > 1e-3  # without the label
        for j in range(M):
            single_term = W[j, i] * f(g.z[-1][:, j]) - theta[i]  # as printed
            assert np.abs(single_term - d.z[1][:, i]).max() > 1e-3


@pytest.mark.equation("68.166", "68.173")
def test_generator_sensitivities_at_every_layer(players, batch):
    generator, discriminator = players
    _, u, c = batch
    gamma = np.eye(C)[c]
    g, d, gamma_hat = by_hand.forward_cgan(generator, discriminator, u, gamma)
    delta_d = without_labels.discriminator_sensitivities(discriminator, d, gamma_hat, REAL)
    delta_g = by_hand.generator_sensitivities(generator, g, discriminator, delta_d)
    leaves_g, leaves_d = Leaves(generator), Leaves(discriminator)
    judged = leaves_d(torch.cat([leaves_g(col(u, gamma)), torch.tensor(gamma)], dim=1))
    torch.log_softmax(judged, dim=1)[:, 0].sum().backward()
    assert largest(delta_g[1:], [z.grad for z in leaves_g.z]) < AUTOGRAD
    assert delta_g[-1].shape == (B, M) and np.abs(delta_g[-1]).max() > 1e-3
    # the trailing rows, or all of them: another number, another shape
    trailing = -generator.f[-1].prime(g.z[-1]) * (delta_d[1] @ discriminator.W[0][-M:].T)
    assert np.abs(trailing - delta_g[-1]).max() > 1e-3
    assert (delta_d[1] @ discriminator.W[0].T).shape == (B, M + C)


@pytest.mark.equation("68.167", "68.168", "68.169")
def test_chain_rule_entry_by_entry(players, batch):
    """The sums of the text, written out; j is the free index and runs over 1..M, i is summed (S29)."""
    generator, discriminator = players
    _, u, c = batch
    gamma = np.eye(C)[c]
    g, d, gamma_hat = by_hand.forward_cgan(generator, discriminator, u, gamma)
    up = -without_labels.discriminator_sensitivities(discriminator, d, gamma_hat, REAL)[1]  # of +ln γ̂(1)
    W, prime = discriminator.W[0], generator.f[-1].prime(g.z[-1])

    leaves = Leaves(generator)
    leaves(col(u, gamma))
    z = leaves.z[-1].detach().requires_grad_()
    label = torch.tensor(gamma)
    slopes = [torch.autograd.grad(label[:, k].sum() + 0 * z.sum(), z)[0] for k in range(C)]
    assert all(not slope.any() for slope in slopes)  # (68.168)

    delta = np.zeros((B, M))
    for j in range(M):
        for i in range(W.shape[1]):
            over_features = sum(W[m, i] * prime[:, m] * (m == j) for m in range(M))
            over_labels = sum(W[M + k, i] * slopes[k].numpy()[:, j] for k in range(C))
            delta[:, j] += up[:, i] * (over_features + over_labels)
    reduced = np.stack([(up * W[j]).sum(axis=1) * prime[:, j] for j in range(M)], axis=1)  # (68.169)
    delta_d = without_labels.discriminator_sensitivities(discriminator, d, gamma_hat, REAL)
    ours = by_hand.generator_sensitivities(generator, g, discriminator, delta_d)[-1]
    assert np.abs(delta - ours).max() < AUTOGRAD and np.abs(reduced - ours).max() < AUTOGRAD


def test_steps_against_autograd(players, batch):
    generator, discriminator = players
    h, u, c = batch
    gamma = np.eye(C)[c]
    h_hat = by_hand.forward_cgan(generator, discriminator, u, gamma).g.y[-1]

    leaves = Leaves(discriminator)
    losses = [
        cross_entropy(leaves(col(x, gamma)), np.tile(target, (B, 1))).sum()
        for x, target in ((h, [1.0, 0.0]), (h_hat, [0.0, 1.0]))
    ]
    risk = RHO * leaves.penalty() + sum(losses) / (2 * B)
    stepped = by_hand.discriminator_step(discriminator, h, h_hat, gamma, LR, RHO)
    assert largest(parameters(stepped), leaves.moved(risk, LR)) < AUTOGRAD

    leaves = Leaves(generator)
    judged = Leaves(discriminator)(torch.cat([leaves(col(u, gamma)), torch.tensor(gamma)], dim=1))
    loss = RHO * leaves.penalty() + cross_entropy(judged, np.tile([1.0, 0.0], (B, 1))).mean()
    stepped = by_hand.generator_step(generator, discriminator, u, gamma, LR, RHO)
    assert largest(parameters(stepped), leaves.moved(loss, LR)) < AUTOGRAD


def test_label_without_entries_gives_the_listings_of_before(batch):
    h, u, _ = batch
    generator, discriminator = network([P, 4, M], [TANH, TANH], 0), network([M, 6, 2], [TANH, LINEAR], 1)
    none = np.zeros((B, 0))
    pairs = (
        (
            by_hand.generator_step(generator, discriminator, u, none, LR, RHO),
            without_labels.generator_step(generator, discriminator, u, LR, RHO),
        ),
        (
            by_hand.discriminator_step(discriminator, h, h + 1, none, LR, RHO),
            without_labels.discriminator_step(discriminator, h, h + 1, LR, RHO),
        ),
    )
    for ours, theirs in pairs:
        assert largest(parameters(ours), parameters(theirs)) == 0


# C + 1 outputs


def test_sensitivities_of_the_classes_are_the_known_numbers():
    gamma_hat = softmax(Z)
    assert gamma_hat[0] == pytest.approx([0.204938, 0.112472, 0.456098, 0.226492], abs=1e-6)
    climbed = -by_hand.class_sensitivity(gamma_hat, "gen_any")[0]
    assert climbed == pytest.approx([0.060008, 0.032933, 0.133550, -0.226492], abs=1e-6)
    real = by_hand.class_sensitivity(gamma_hat, "real", [1])[0]
    assert real == pytest.approx(gamma_hat[0] - [0, 1, 0, 0], abs=1e-15)
    assert by_hand.class_sensitivity(gamma_hat, "gen_class", [1])[0] == pytest.approx(real, abs=0)
    assert by_hand.class_sensitivity(gamma_hat, "fake")[0] == pytest.approx(gamma_hat[0] - [0, 0, 0, 1])


@pytest.mark.parametrize("kind", ["real", "fake", "gen_class", "gen_any"])
def test_sensitivities_of_the_classes_against_autograd(kind):
    z = torch.tensor(np.random.default_rng(5).normal(size=(B, C + 1)), requires_grad=True)
    c = np.arange(B) % C
    log = torch.log_softmax(z, dim=1)
    loss = {
        "real": -log[np.arange(B), c],
        "fake": -log[:, C],
        "gen_class": -log[np.arange(B), c],
        "gen_any": -torch.logsumexp(log[:, :C], dim=1),  # -ln(1 - γ̂(C+1))
    }[kind]
    (theirs,) = torch.autograd.grad(loss.sum(), z)
    ours = by_hand.class_sensitivity(softmax(z.detach().numpy()), kind, c)
    assert np.abs(ours - theirs.numpy()).max() < AUTOGRAD
    assert np.abs(ours.sum(axis=1)).max() < 1e-14


def test_one_class_and_fakes_is_the_game_of_before():
    gamma_hat = softmax(np.random.default_rng(6).normal(size=(B, 2)))
    zeros = np.zeros(B, dtype=int)
    real, fake = (without_labels.terminal_sensitivity(gamma_hat, gamma) for gamma in ((1, 0), (0, 1)))
    for kind, c in (("real", zeros), ("gen_class", zeros), ("gen_any", None)):
        assert by_hand.class_sensitivity(gamma_hat, kind, c) == pytest.approx(real, abs=1e-15)
    assert by_hand.class_sensitivity(gamma_hat, "fake") == pytest.approx(fake, abs=1e-15)


def test_steps_with_class_outputs_against_autograd(with_classes, batch):
    h, u, c = batch
    h_hat, e, fake = h[::-1] + 1, np.eye(C + 1)[c], np.eye(C + 1)[np.full(B, C)]
    leaves = Leaves(with_classes)
    losses = [cross_entropy(leaves(torch.tensor(x.copy())), t).sum() for x, t in ((h, e), (h_hat, fake))]
    risk = RHO * leaves.penalty() + sum(losses) / (2 * B)
    stepped = by_hand.class_discriminator_step(with_classes, h, c, h_hat, LR, RHO)
    assert largest(parameters(stepped), leaves.moved(risk, LR)) < AUTOGRAD

    for classes, inputs in ((c, np.hstack([u, np.eye(C)[c]])), (None, u)):
        generator = network([inputs.shape[1], 4, 6, M], [TANH, RELU, SIGMOID], seed=7)
        leaves = Leaves(generator)
        log = torch.log_softmax(Leaves(with_classes)(leaves(torch.tensor(inputs))), dim=1)
        believed = log[np.arange(B), c] if classes is not None else torch.logsumexp(log[:, :C], dim=1)
        loss = RHO * leaves.penalty() - believed.mean()
        stepped = by_hand.class_generator_step(generator, with_classes, u, classes, LR, RHO)
        assert largest(parameters(stepped), leaves.moved(loss, LR)) < AUTOGRAD


def test_gradients_against_differences(with_classes, batch):
    """A step of size 1 without penalty is the gradient itself."""
    h, u, c = batch
    h_hat = h[::-1] + 1
    generator = network([P, 4, M], [TANH, TANH], seed=8)

    def of_discriminator() -> float:
        outputs = [without_labels.judge(with_classes, x)[1] for x in (h, h_hat)]
        return -(np.log(outputs[0][np.arange(B), c]) + np.log(outputs[1][:, C])).sum() / (2 * B)

    def of_generator() -> float:
        gamma_hat = without_labels.forward_gan(generator, with_classes, u).gamma_hat
        return -np.log(1 - gamma_hat[:, C]).mean()

    moved = by_hand.class_discriminator_step(with_classes, h, c, h_hat, 1.0)
    moved_g = by_hand.class_generator_step(generator, with_classes, u, None, 1.0)
    for net, after, loss in ((with_classes, moved, of_discriminator), (generator, moved_g, of_generator)):
        for part, new in zip(parameters(net), parameters(after), strict=True):
            gradient = part - new
            for place in np.ndindex(part.shape):
                kept, values = part[place], []
                for sign in (1, -1):
                    part[place] = kept + sign * 1e-5
                    values.append(loss())
                part[place] = kept
                assert abs((values[0] - values[1]) / 2e-5 - gradient[place]) < DIFFERENCES


# What is refused


@pytest.mark.parametrize("c", [None, [0, 1], [0, 1, 2, 0, 1, 2, 3], [0, 1, 2, 0, 1, 2, -1], [0.0] * B])
def test_classes_that_are_none_are_refused(with_classes, batch, c):
    h, u, _ = batch
    generator = network([P + C, 4, M], [TANH, TANH], seed=9)
    refused = "expected a class for each of 7 samples, whole numbers from 0 to 2"
    with pytest.raises(ValueError, match=refused):
        by_hand.class_sensitivity(softmax(np.zeros((B, C + 1))), "real", c)
    with pytest.raises(ValueError, match=refused):
        by_hand.class_discriminator_step(with_classes, h, c, h, LR)
    if c is not None:  # then the generator is asked for any class
        with pytest.raises(ValueError, match=refused):
            by_hand.class_generator_step(generator, with_classes, u, c, LR)


def test_kind_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no kind 'gen'; there are real, fake, gen_class and gen_any"):
        by_hand.class_sensitivity(softmax(Z), "gen", [1])


def test_inputs_that_do_not_fit_are_refused(players, batch):
    generator, discriminator = players
    h, u, c = batch
    with pytest.raises(ValueError, match="a label for each; got shapes"):
        by_hand.forward_cgan(generator, discriminator, u, np.eye(C)[c][:-1])
    with pytest.raises(ValueError, match="Write classes as vectors"):
        by_hand.discriminator_step(discriminator, h, h, c, LR)
    with pytest.raises(ValueError, match="expected 8, the generator's 5 and 3 of the label"):
        by_hand.forward_cgan(generator, network([M, 4, 2], [TANH, LINEAR], 0), u, np.eye(C)[c])
