"""The listings of the adversarial network by hand, from the forward pass to whole rounds, against autograd.

Everything is in float64. Networks have biases, layers of different sizes, two outputs and batches above five:
many mistakes are invisible otherwise.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from gennet.backprop import LINEAR, RELU, SIGMOID, TANH, Activation, Network, draw, forward
from gennet.backprop import gan as by_hand
from gennet.backprop.gan import FAKE, REAL

IN_TORCH = {"linear": lambda z: z, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "ReLU": torch.relu}
AUTOGRAD, DIFFERENCES = 1e-10, 1e-6
P, M, B = 2, 5, 7
LR, RHO = 0.3, 0.05


def network(sizes: list[int], f: list[Activation], seed: int) -> Network:
    rng = np.random.default_rng(seed)
    drawn = draw(sizes, f, rng)
    return Network(drawn.W, [rng.normal(size=n) for n in sizes[1:]], drawn.f)


@pytest.fixture
def players() -> tuple[Network, Network]:
    generator = network([P, 4, 6, M], [TANH, RELU, TANH], seed=0)
    return generator, network([M, 8, 3, 2], [RELU, TANH, LINEAR], seed=1)


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    """Return real samples and latent vectors."""
    rng = np.random.default_rng(2)
    return rng.normal(size=(B, M)), rng.normal(size=(B, P))


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
            if self.z[-1].requires_grad:
                self.z[-1].retain_grad()
            y = f(self.z[-1])
        return y

    def penalty(self) -> Tensor:
        return sum((W**2).sum() for W in self.W)

    def moved(self, lr: float) -> list[np.ndarray]:
        """Return the parameters after a step against their gradients."""
        return [(part - lr * part.grad).detach().numpy() for part in (*self.W, *self.theta)]


def largest(ours: list[np.ndarray], theirs: list) -> float:
    assert [a.shape for a in ours] == [tuple(b.shape) for b in theirs]
    return max(float(np.abs(a - np.asarray(b)).max()) for a, b in zip(ours, theirs, strict=True))


def parameters(network: Network) -> list[np.ndarray]:
    return [*network.W, *network.theta]


def cross_entropy(outputs: Tensor, gamma: tuple[float, float] | np.ndarray) -> Tensor:
    """Return -Σ γ ln γ̂ of each sample."""
    return -(torch.as_tensor(np.asarray(gamma)) * torch.log_softmax(outputs, dim=1)).sum(dim=1)


# Forward


@pytest.mark.equation("68.136")
@pytest.mark.erratum("S24")
def test_softmax_has_the_exponential_above():
    z = np.array([[2.0, 1.0]])
    assert by_hand.softmax(z)[0] == pytest.approx([0.731058579, 0.268941421], abs=1e-9)
    printed = z / np.exp(z).sum()
    assert printed[0] == pytest.approx([0.197876, 0.098938], abs=1e-6) and printed.sum() < 0.3
    with np.errstate(over="raise", invalid="raise"):
        assert by_hand.softmax(np.array([[900.0, -900.0]])).tolist() == [[1, 0]]


@pytest.mark.equation("68.126", "68.127", "68.128", "68.129")
@pytest.mark.equation("68.130", "68.131", "68.132", "68.133", "68.134", "68.135", "68.137")
def test_forward_listing(players, batch):
    generator, discriminator = players
    _, u = batch
    g, d, gamma_hat = by_hand.forward_gan(generator, discriminator, u)
    for net, signals in ((generator, g), (discriminator, d)):
        assert [W.shape for W in net.W] == list(pairwise(net.sizes))
        assert [theta.shape for theta in net.theta] == [(n,) for n in net.sizes[1:]]
        assert len(net.W) == len(net.theta) == len(net.sizes) - 1
        assert [y.shape for y in signals.y] == [(B, n) for n in net.sizes]
        assert signals.z[0] is None and [z.shape for z in signals.z[1:]] == [(B, n) for n in net.sizes[1:]]
    assert (generator.sizes[0], generator.sizes[-1]) == (P, M)
    assert (discriminator.sizes[0], discriminator.sizes[-1]) == (M, 2)
    assert np.array_equal(g.y[0], u)
    h_hat = g.y[-1]
    assert h_hat.shape == (B, M) and np.array_equal(d.y[0], h_hat)
    theirs = torch.softmax(Leaves(discriminator)(Leaves(generator)(torch.tensor(u))), dim=1)
    assert gamma_hat.shape == (B, 2)
    assert np.abs(gamma_hat - theirs.detach().numpy()).max() < AUTOGRAD


@pytest.mark.equation("68.158")
def test_networks_that_do_not_fit_are_refused(players, batch):
    generator, discriminator = players
    h, u = batch
    with pytest.raises(ValueError, match="gives 5 numbers, the discriminator takes 4"):
        by_hand.forward_gan(generator, network([4, 3, 2], [TANH, LINEAR], 0), u)
    with pytest.raises(ValueError, match=r"expected samples as rows of 5 numbers, got shape \(7, 2\)"):
        by_hand.judge(discriminator, u)
    with pytest.raises(ValueError, match="Give LINEAR"):
        by_hand.judge(network([M, 3, 2], [TANH, SIGMOID], 0), h)


# Sensitivities


@pytest.mark.equation("68.138", "68.139", "68.140")
@pytest.mark.erratum("S25")
def test_terminal_sensitivity_for_hard_and_soft_labels():
    z = np.random.default_rng(3).normal(size=(B, 2))
    gamma_hat = by_hand.softmax(z)
    for gamma in (REAL, FAKE, (0.9, 0.1), (0.9, 0.0)):
        leaf = torch.tensor(z, requires_grad=True)
        cross_entropy(leaf, gamma).sum().backward()
        ours = by_hand.terminal_sensitivity(gamma_hat, gamma)
        assert np.abs(ours - leaf.grad.numpy()).max() < AUTOGRAD
        printed = gamma_hat - np.array(gamma)
        sums_to_one = sum(gamma) == 1
        assert (np.abs(printed - leaf.grad.numpy()).max() < AUTOGRAD) == sums_to_one
    real, fake = (by_hand.terminal_sensitivity(gamma_hat, gamma) for gamma in (REAL, FAKE))
    assert real == pytest.approx(np.stack([gamma_hat[:, 0] - 1, gamma_hat[:, 1]], axis=1))
    assert fake == pytest.approx(np.stack([gamma_hat[:, 0], gamma_hat[:, 1] - 1], axis=1))


@pytest.mark.erratum("S25")
def test_label_that_does_not_sum_to_one_caps_nothing():
    """The best D for a label (a, b) of real samples, where no fake lies: only (0.9, 0.1) stops it at 0.9."""
    D = np.linspace(1e-6, 1 - 1e-6, 100_001)
    best = {b: D[(0.9 * np.log(D) + b * np.log(1 - D)).argmax()] for b in (0.0, 0.1)}
    assert best[0.0] > 1 - 1e-5 and best[0.1] == pytest.approx(0.9, abs=1e-4)
    # and where real and fake are equally frequent
    both = {b: D[(0.9 * np.log(D) + (1 + b) * np.log(1 - D)).argmax()] for b in (0.0, 0.1)}
    assert both[0.0] == pytest.approx(0.9 / 1.9, abs=1e-4) and both[0.1] == pytest.approx(0.45, abs=1e-4)


@pytest.mark.equation("68.141", "68.142", "68.148")
def test_discriminator_sensitivities_at_every_layer(players, batch):
    _, discriminator = players
    h, _ = batch
    for gamma in (REAL, FAKE, (0.9, 0.1)):
        signals, gamma_hat = by_hand.judge(discriminator, h)
        delta = by_hand.discriminator_sensitivities(discriminator, signals, gamma_hat, gamma)
        leaves = Leaves(discriminator)
        cross_entropy(leaves(torch.tensor(h)), gamma).sum().backward()
        assert delta[0] is None
        assert largest(delta[1:], [z.grad for z in leaves.z]) < AUTOGRAD


@pytest.mark.equation("68.143", "68.144", "68.145", "68.149", "68.150")
@pytest.mark.erratum("S44")
def test_generator_sensitivities_at_every_layer(players, batch):
    generator, discriminator = players
    _, u = batch
    g, d, gamma_hat = by_hand.forward_gan(generator, discriminator, u)
    delta_d = by_hand.discriminator_sensitivities(discriminator, d, gamma_hat, REAL)
    delta_g = by_hand.generator_sensitivities(generator, g, discriminator, delta_d)
    leaves_g, leaves_d = Leaves(generator), Leaves(discriminator)
    torch.log_softmax(leaves_d(leaves_g(torch.tensor(u))), dim=1)[:, 0].sum().backward()
    assert largest(delta_g[1:], [z.grad for z in leaves_g.z]) < AUTOGRAD  # of +ln γ̂(1)
    assert largest(delta_d[1:], [-z.grad for z in leaves_d.z]) < AUTOGRAD  # of -ln γ̂(1)
    without_minus = generator.f[-1].prime(g.z[-1]) * (delta_d[1] @ discriminator.W[0].T)
    assert np.abs(without_minus + delta_g[-1]).max() < AUTOGRAD and np.abs(delta_g[-1]).max() > 1e-3


@pytest.mark.equation("68.146", "68.147")
@pytest.mark.erratum("S26")
def test_coupling_of_the_two_networks(players, batch):
    generator, discriminator = players
    _, u = batch
    g, d, _ = by_hand.forward_gan(generator, discriminator, u)
    f, z_g, W, theta = generator.f[-1], g.z[-1], discriminator.W[0], discriminator.theta[0]
    for i in range(discriminator.sizes[1]):
        whole = sum(W[j, i] * f(z_g[:, j]) for j in range(M)) - theta[i]
        assert d.z[1][:, i] == pytest.approx(whole, abs=AUTOGRAD)
        for j in range(M):
            single_term = W[j, i] * f(z_g[:, j]) - theta[i]  # as printed
            assert np.abs(single_term - d.z[1][:, i]).max() > 1e-3
            moved = z_g.copy()
            moved[:, j] += 1e-6
            slope = (f(moved) @ W[:, i] - f(z_g) @ W[:, i]) / 1e-6
            assert slope == pytest.approx(f.prime(z_g[:, j]) * W[j, i], abs=1e-5)


# Steps


@pytest.mark.equation("68.151", "68.152", "68.160")
@pytest.mark.parametrize("real", [REAL, (0.9, 0.1), (0.9, 0.0)])
def test_discriminator_step_against_autograd(players, batch, real):
    generator, discriminator = players
    h, u = batch
    h_hat = forward(generator, u).y[-1]
    stepped = by_hand.discriminator_step(discriminator, h, h_hat, LR, RHO, real)
    leaves = Leaves(discriminator)
    losses = [cross_entropy(leaves(torch.tensor(x)), gamma).sum() for x, gamma in ((h, real), (h_hat, FAKE))]
    (RHO * leaves.penalty() + sum(losses) / (2 * B)).backward()  # (68.122) with N = 2B
    assert largest(parameters(stepped), leaves.moved(LR)) < AUTOGRAD


@pytest.mark.equation("68.153", "68.154", "68.161")
@pytest.mark.erratum("S21b", "S41")
def test_generator_step_against_autograd(players, batch):
    generator, discriminator = players
    _, u = batch
    stepped = by_hand.generator_step(generator, discriminator, u, LR, RHO)

    def ascent(penalty: float, scale: float) -> list[np.ndarray]:
        """Climb penalty ρ Σ ‖W‖² + scale Σ ln γ̂(1)."""
        leaves = Leaves(generator)
        payoff = torch.log_softmax(Leaves(discriminator)(leaves(torch.tensor(u))), dim=1)[:, 0].sum() * scale
        (-(penalty * RHO * leaves.penalty() + payoff)).backward()
        return leaves.moved(LR)

    W, theta = slice(0, 3), slice(3, 6)
    assert largest(parameters(stepped), ascent(-1, 1 / B)) < AUTOGRAD
    printed = ascent(+1, 1 / B)  # the sign of the printed objective
    assert largest(parameters(stepped)[W], printed[W]) > 1e-2
    assert largest(parameters(stepped)[theta], printed[theta]) < AUTOGRAD
    assert largest(parameters(stepped), ascent(-1, 1 / (2 * B))) > 1e-3  # 1/N with N = 2B as printed


def test_gradients_against_differences(players, batch):
    generator, discriminator = players
    h, u = batch
    noise = 0.1 * np.random.default_rng(4).normal(size=(B, M))
    h_hat = forward(generator, u).y[-1]

    def of_discriminator() -> float:
        outputs = [by_hand.judge(discriminator, x)[1] for x in (h, h_hat)]
        return -(np.log(outputs[0]) @ [0.9, 0.1] + np.log(outputs[1]) @ FAKE).sum() / (2 * B)

    def of_generator() -> float:
        return -np.log(by_hand.forward_gan(generator, discriminator, u, noise).gamma_hat[:, 0]).mean()

    for net, loss, ours in (
        (
            discriminator,
            of_discriminator,
            by_hand.discriminator_gradients(discriminator, h, h_hat, (0.9, 0.1)),
        ),
        (generator, of_generator, by_hand.generator_gradients(generator, discriminator, u, noise)),
    ):
        for part, gradient in zip(parameters(net), [*ours.W, *ours.theta], strict=True):
            for place in np.ndindex(part.shape):
                kept, values = part[place], []
                for sign in (1, -1):
                    part[place] = kept + sign * 1e-5
                    values.append(loss())
                part[place] = kept
                assert abs((values[0] - values[1]) / 2e-5 - gradient[place]) < DIFFERENCES


@pytest.mark.erratum("S27")
def test_weights_advance_inside_the_loops(players, batch):
    """Read literally, every step of a round starts from the weights before the round."""
    generator, discriminator = players
    h, u = batch
    h_hat = forward(generator, u).y[-1]
    once = by_hand.discriminator_step(discriminator, h, h_hat, LR, RHO)
    twice = by_hand.discriminator_step(once, h, h_hat, LR, RHO)
    literal = by_hand.discriminator_step(discriminator, h, h_hat, LR, RHO)
    assert largest(parameters(twice), parameters(literal)) > 1e-3
    new = by_hand.generator_step(generator, once, u, LR, RHO)
    old = by_hand.generator_step(generator, discriminator, u, LR, RHO)
    assert largest(parameters(new), parameters(old)) > 1e-3
    # the loop does the former
    X, seed = np.repeat(h[:1], 3, axis=0), 5
    trained = by_hand.train(generator, discriminator, X, np.random.default_rng(seed),
                            rounds=1, B=B, lr=LR, rho=RHO, K_d=2, K_g=2)  # fmt: skip
    rng, real = np.random.default_rng(seed), np.repeat(h[:1], B, axis=0)
    g, d = generator, discriminator
    for _ in range(2):
        fakes = forward(g, rng.standard_normal((B, P))).y[-1]
        rng.integers(3, size=B)
        d = by_hand.discriminator_step(d, real, fakes, LR, RHO)
    for _ in range(2):
        g = by_hand.generator_step(g, d, rng.standard_normal((B, P)), LR, RHO)
    assert largest(parameters(trained[0]), parameters(g)) == 0
    assert largest(parameters(trained[1]), parameters(d)) == 0


def test_noise_is_added_to_what_the_discriminator_sees(players, batch):
    generator, discriminator = players
    _, u = batch
    noise = np.random.default_rng(6).normal(size=(B, M))
    stepped = by_hand.generator_step(generator, discriminator, u, LR, RHO, noise)
    leaves = Leaves(generator)
    judged = Leaves(discriminator)(leaves(torch.tensor(u)) + torch.tensor(noise))
    (RHO * leaves.penalty() - logsigmoid(judged[:, 0] - judged[:, 1]).mean()).backward()
    assert largest(parameters(stepped), leaves.moved(LR)) < AUTOGRAD


def test_training_by_hand_finds_the_mean():
    """A linear generator finds where its data lie; how wide they are it finds only roughly, and swings."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = rng.normal(2.0, 0.5, size=(4000, 1))
        generator = draw([1, 1], [LINEAR], rng)
        discriminator = draw([1, 16, 2], [TANH, LINEAR], rng)
        generator, _ = by_hand.train(
            generator, discriminator, X, rng, rounds=1500, B=64, lr=0.1, rho=1e-3, K_d=2
        )
        h_hat = forward(generator, rng.standard_normal((4000, 1))).y[-1]
        assert abs(h_hat.mean() - 2) < 0.2 and 0.05 < h_hat.std() < 1.5
