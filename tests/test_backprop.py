"""The hand-written network against autograd and central differences; the lecture's errata on its gradient.

Everything is in float64. Fixtures have non-zero offsets, layers of different sizes and unequal activities:
many mistakes are invisible otherwise.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from gennet.backprop import (
    LINEAR,
    RELU,
    SIGMOID,
    TANH,
    Activation,
    Network,
    descend,
    draw,
    forward,
    gradients,
    sensitivities,
    sparse_autoencoder,
)
from gennet.backprop.sparse_autoencoder import (
    loss_and_gradients,
    mean_activity,
    sparsity_kl,
    sparsity_slope,
)

IN_TORCH = {"linear": lambda z: z, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "ReLU": torch.relu}
EVERY = [LINEAR, TANH, SIGMOID, RELU]
AUTOGRAD, DIFFERENCES = 1e-10, 1e-6  # tolerances
TARGET, BETA = 0.2, 0.7

each_activation = pytest.mark.parametrize("f", EVERY, ids=lambda f: f.name)


def network_with_offsets(sizes: list[int], f: list[Activation], seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    drawn = draw(sizes, f, rng)
    return Network(drawn.W, [rng.normal(size=n) for n in sizes[1:]], drawn.f)


def in_torch(network: Network) -> tuple[list[Tensor], list[Tensor]]:
    """Return the weights and the offsets as leaves of autograd."""
    return tuple(
        [torch.tensor(part, requires_grad=True) for part in parts] for parts in (network.W, network.theta)
    )


def forward_in_torch(network: Network, W: list[Tensor], theta: list[Tensor], x: np.ndarray) -> list[Tensor]:
    """Return every z, written anew in torch, each keeping its gradient."""
    y, z = torch.from_numpy(x), []
    for weight, offset, f in zip(W, theta, network.f, strict=True):
        z.append(y @ weight - offset)
        z[-1].retain_grad()
        y = IN_TORCH[f.name](z[-1])
    return [*z, y]


def largest(ours: list[np.ndarray], theirs: list[Tensor | np.ndarray]) -> float:
    """Return the largest difference between two lists of arrays of equal shapes."""
    assert [a.shape for a in ours] == [tuple(b.shape) for b in theirs]
    return max(float(np.abs(a - np.asarray(b)).max()) for a, b in zip(ours, theirs, strict=True))


def by_differences(
    network: Network, loss: Callable[[Network], float], step: float = 1e-5
) -> list[np.ndarray]:
    """Return the gradient of a loss in all weights, then all offsets, by central differences."""
    found = []
    for part in [*network.W, *network.theta]:
        gradient = np.empty_like(part)
        for place in np.ndindex(part.shape):
            kept, values = part[place], []
            for sign in (1, -1):
                part[place] = kept + sign * step
                values.append(loss(network))
            part[place] = kept
            gradient[place] = (values[0] - values[1]) / (2 * step)
        found.append(gradient)
    return found


# The ground floor


@each_activation
def test_activation_and_its_derivative(f: Activation):
    z = torch.linspace(-40, 40, 401, dtype=torch.float64, requires_grad=True)
    y = IN_TORCH[f.name](z)
    y.sum().backward()
    assert np.abs(f(z.detach().numpy()) - y.detach().numpy()).max() < 1e-15
    assert np.abs(f.prime(z.detach().numpy()) - z.grad.numpy()).max() < 1e-15


def test_sigmoid_neither_overflows_nor_vanishes():
    with np.errstate(all="raise"):
        assert SIGMOID(np.array([-700.0, 0.0, 700.0])) == pytest.approx([np.exp(-700), 0.5, 1], rel=1e-12)
        assert SIGMOID.prime(np.array([-700.0, 700.0])) == pytest.approx([np.exp(-700)] * 2, rel=1e-12)


@pytest.mark.equation("68.27", "68.29")
def test_sizes_are_those_of_the_text():
    """Of Example 68.1: an encoder 784-512-512-4 and a decoder 2-512-512-784."""
    for sizes, count in (([784, 512, 512, 4], 666_628), ([2, 512, 512, 784], 666_384)):
        network = draw(sizes, [TANH, TANH, LINEAR], np.random.default_rng(0))
        shapes = [(W.shape, theta.shape) for W, theta in zip(network.W, network.theta, strict=True)]
        assert shapes == [((n, m), (m,)) for n, m in pairwise(sizes)]
        assert sum(part.size for part in [*network.W, *network.theta]) == count
        assert network.sizes == sizes


@pytest.mark.equation("68.30", "68.31", "68.33", "68.34")
def test_signals_of_every_layer_are_kept():
    network, x = network_with_offsets([6, 5, 4, 3], [TANH, RELU, LINEAR]), np.ones((7, 6))
    z, y = forward(network, x)
    assert z[0] is None and np.array_equal(y[0], x)
    assert [a.shape for a in z[1:]] == [a.shape for a in y[1:]] == [(7, 5), (7, 4), (7, 3)]
    for ell, f in enumerate(network.f):
        by_hand = [[row @ w for w in network.W[ell].T] - network.theta[ell] for row in y[ell]]
        assert np.abs(z[ell + 1] - by_hand).max() < 1e-14
        assert np.array_equal(y[ell + 1], f(z[ell + 1]))


@pytest.mark.equation("68.44", "68.46", "68.48", "68.71", "68.72", "68.73", "68.74")
@each_activation
def test_every_layer_against_autograd_and_differences(f: Activation):
    network = network_with_offsets([7, 6, 5, 4, 3], [f, f, f, f], seed=1)
    rng = np.random.default_rng(2)
    x, wanted = rng.normal(size=(9, 7)), rng.normal(size=(9, 3))

    z, y = forward(network, x)
    delta = sensitivities(network, z, 2 * (y[-1] - wanted) * f.prime(z[-1]))
    ours = gradients(y, delta)

    W, theta = in_torch(network)
    *z_torch, output = forward_in_torch(network, W, theta, x)
    loss = ((output - torch.from_numpy(wanted)) ** 2).sum(dim=1)  # of each sample
    loss.sum().backward()
    assert delta[0] is None
    assert largest(delta[1:], [z.grad for z in z_torch]) < AUTOGRAD  # of each sample, at every layer
    theirs = [part.grad / len(x) for part in [*W, *theta]]  # of the mean over the batch
    assert largest([*ours.W, *ours.theta], theirs) < AUTOGRAD

    def mean_loss(network: Network) -> float:
        return float(((forward(network, x).y[-1] - wanted) ** 2).sum(axis=1).mean())

    assert largest([*ours.W, *ours.theta], by_differences(network, mean_loss)) < DIFFERENCES


@pytest.mark.erratum("S8")
def test_recursion_needs_an_activation_that_works_entry_by_entry():
    """With a softmax between the layers, other terms of the next z depend on this z as well."""
    rng = np.random.default_rng(3)
    z, W = rng.normal(size=4), rng.normal(size=(4, 3))

    def jacobian(f: Callable[[Tensor], Tensor]) -> np.ndarray:
        return torch.autograd.functional.jacobian(
            lambda t: f(t) @ torch.from_numpy(W), torch.from_numpy(z)
        ).numpy()

    entry_by_entry = TANH.prime(z)[:, None] * W  # f'(z_j) w_jk
    assert np.abs(jacobian(torch.tanh) - entry_by_entry.T).max() < 1e-14
    y = np.exp(z) / np.exp(z).sum()
    as_if = (y * (1 - y))[:, None] * W  # each entry's own derivative only
    assert np.abs(jacobian(lambda t: torch.softmax(t, 0)) - as_if.T).max() > 0.05


def test_step_goes_downhill_and_leaves_the_old_network_alone():
    network = network_with_offsets([4, 3, 4], [SIGMOID, SIGMOID])
    X = np.random.default_rng(4).uniform(size=(10, 4))
    kept = [part.copy() for part in [*network.W, *network.theta]]
    before, gradient = loss_and_gradients(network, X, TARGET, BETA)
    stepped = descend(network, gradient, lr=1e-3)
    after, _ = loss_and_gradients(stepped, X, TARGET, BETA)
    decrease = 1e-3 * sum((part**2).sum() for part in [*gradient.W, *gradient.theta])
    assert before - after == pytest.approx(decrease, rel=0.01)
    assert all(np.array_equal(a, b) for a, b in zip(kept, [*network.W, *network.theta], strict=True))


def test_bad_networks_and_inputs_are_refused_in_words():
    good = draw([4, 3, 2], [TANH, LINEAR], np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"2 weight matrices, 2 offsets and 1 activations"):
        Network(good.W, good.theta, [TANH])
    with pytest.raises(ValueError, match=r"W\[1\] has shape \(4, 3\).*expected \(3, m\)"):
        Network([good.W[0], good.W[0]], good.theta, good.f)
    with pytest.raises(ValueError, match=r"W\[0\] has shape \(4, 3\) and theta\[0\] \(2,\)"):
        Network(good.W, [good.theta[1], good.theta[1]], good.f)
    for x in (np.ones(4), np.ones((5, 3)), np.ones((5, 2, 2))):
        with pytest.raises(ValueError, match=r"forward: expected samples as rows of 4 numbers, got shape \("):
            forward(good, x)


def test_nan_is_refused_in_words():
    network = draw([4, 3, 4], [TANH, LINEAR], np.random.default_rng(0))
    X = np.ones((5, 4))
    X[2, 1:3] = np.nan, np.inf
    with pytest.raises(ValueError, match="loss_and_gradients: 2 of 20 pixels are NaN or infinite"):
        loss_and_gradients(network, X)
    z, y = forward(network, np.full((5, 4), np.nan))
    gradient = gradients(y, sensitivities(network, z, y[2]))
    with pytest.raises(FloatingPointError, match="gradient of layer 1 is NaN or infinite"):
        descend(network, gradient, lr=0.1)


# The sparse autoencoder


def images(seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(9, 6))


def torch_parts(network: Network, X: np.ndarray) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return the leaves, the losses of the samples without penalty, and Σ KL, all by autograd."""
    W, theta = in_torch(network)
    z_1, _, output = forward_in_torch(network, W, theta, X)
    rho_hat = IN_TORCH[network.f[0].name](z_1).mean(dim=0)
    bernoulli = torch.distributions.Bernoulli
    kl = torch.distributions.kl_divergence(
        bernoulli(torch.tensor(TARGET, dtype=torch.float64)), bernoulli(rho_hat)
    )
    return [*W, *theta], 0.5 * ((output - torch.from_numpy(X)) ** 2).sum(dim=1), kl.sum()


def torch_gradients(leaves: list[Tensor], loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, leaves, retain_graph=True))


@pytest.mark.equation("CR14", "CR15", "CR16")
def test_loss_is_the_one_of_the_lecture():
    network, X = network_with_offsets([6, 4, 6], [SIGMOID, SIGMOID], seed=6), images()
    a_1 = 1 / (1 + np.exp(-(X @ network.W[0] - network.theta[0])))
    a_2 = 1 / (1 + np.exp(-(a_1 @ network.W[1] - network.theta[1])))
    assert a_1.shape == (9, 4) and a_2.shape == X.shape
    rho_hat = mean_activity(a_1)
    assert np.abs(rho_hat - [np.mean(column) for column in a_1.T]).max() < 1e-15
    penalty = sum(
        TARGET * np.log(TARGET / r) + (1 - TARGET) * np.log((1 - TARGET) / (1 - r)) for r in rho_hat
    )
    samples = [0.5 * np.sum((a - x) ** 2) for a, x in zip(a_2, X, strict=True)]
    loss, _ = loss_and_gradients(network, X, TARGET, BETA)
    assert loss == pytest.approx(np.mean(samples) + BETA * penalty, abs=1e-12)
    plain, _ = loss_and_gradients(network, X)
    assert plain == pytest.approx(np.mean(samples), abs=1e-12)


@pytest.mark.equation("CR17")
def test_divergence_is_zero_only_on_target_convex_and_that_of_two_bernoulli_laws():
    rho_hat = np.linspace(0.01, 0.99, 99)
    kl = sparsity_kl(0.1, rho_hat)
    assert abs(kl[9]) < 1e-15 and (np.delete(kl, 9) > 1e-4).all()
    assert (np.diff(kl, 2) > 0).all()
    bernoulli = torch.distributions.Bernoulli
    theirs = torch.distributions.kl_divergence(
        bernoulli(torch.tensor(0.1, dtype=torch.float64)), bernoulli(torch.from_numpy(rho_hat))
    )
    assert np.abs(kl - theirs.numpy()).max() < 1e-12
    slope = (sparsity_kl(0.1, rho_hat + 1e-6) - sparsity_kl(0.1, rho_hat - 1e-6)) / 2e-6
    assert np.abs(sparsity_slope(0.1, rho_hat) - slope).max() < DIFFERENCES


@pytest.mark.equation("CR18", "CR19")
@pytest.mark.parametrize("output", EVERY, ids=lambda f: f"output {f.name}")
@pytest.mark.parametrize(("hidden", "beta"), [(SIGMOID, BETA)] + [(f, 0.0) for f in EVERY])
def test_sparse_gradient_against_autograd_and_differences(
    hidden: Activation, beta: float, output: Activation
):
    network, X = network_with_offsets([6, 4, 6], [hidden, output], seed=7), images()
    _, ours = loss_and_gradients(network, X, TARGET, beta)
    if beta:
        leaves, samples, kl = torch_parts(network, X)
        loss = samples.mean() + beta * kl
    else:
        W, theta = in_torch(network)
        *_, reconstruction = forward_in_torch(network, W, theta, X)
        leaves, loss = [*W, *theta], 0.5 * ((reconstruction - torch.from_numpy(X)) ** 2).sum(dim=1).mean()
    assert largest([*ours.W, *ours.theta], torch_gradients(leaves, loss)) < AUTOGRAD
    differences = by_differences(network, lambda n: loss_and_gradients(n, X, TARGET, beta)[0])
    assert largest([*ours.W, *ours.theta], differences) < DIFFERENCES


def gradients_with(network: Network, X: np.ndarray, *, f_prime: bool = True, factor: float = 1.0) -> list:
    """Return the gradients of the sum over the samples, with or without f' at the output (CR18, CR19)."""
    z, y = forward(network, X)
    delta_2 = (y[2] - X) * (network.f[1].prime(z[2]) if f_prime else 1)
    pressure = factor * sparsity_slope(TARGET, mean_activity(y[1])) if factor else 0
    delta_1 = network.f[0].prime(z[1]) * (delta_2 @ network.W[1].T + pressure)
    mean = gradients(y, [None, delta_1, delta_2])
    return [len(X) * part for part in [*mean.W, *mean.theta]]


@pytest.mark.erratum("C10")
def test_short_output_error_needs_a_linear_output_or_cross_entropy():
    X = images()
    network = network_with_offsets([6, 4, 6], [SIGMOID, SIGMOID], seed=8)
    leaves, squared, _ = torch_parts(network, X)
    short, whole = gradients_with(network, X, f_prime=False, factor=0), gradients_with(network, X, factor=0)
    theirs = torch_gradients(leaves, squared.sum())
    assert largest(whole, theirs) < AUTOGRAD
    assert largest(short, theirs) > 0.1

    W, theta = in_torch(network)
    *_, output = forward_in_torch(network, W, theta, X)
    cross_entropy = torch.nn.functional.binary_cross_entropy(output, torch.from_numpy(X), reduction="sum")
    assert largest(short, torch_gradients([*W, *theta], cross_entropy)) < AUTOGRAD

    linear = network_with_offsets([6, 4, 6], [SIGMOID, LINEAR], seed=8)
    leaves, squared, _ = torch_parts(linear, X)
    short = gradients_with(linear, X, f_prime=False, factor=0)
    assert largest(short, torch_gradients(leaves, squared.sum())) < AUTOGRAD


@pytest.mark.erratum("C11")
def test_factor_of_the_penalty_depends_on_how_losses_are_added_up():
    X, M = images(), len(images())
    network = network_with_offsets([6, 4, 6], [SIGMOID, SIGMOID], seed=9)
    leaves, samples, kl = torch_parts(network, X)
    printed = gradients_with(network, X, factor=BETA)
    over_m = gradients_with(network, X, factor=BETA / M)

    averaged = torch_gradients(leaves, samples.mean() + BETA * kl)
    assert largest([part / M for part in printed], averaged) < AUTOGRAD  # averaged, the penalty once: β
    in_each = torch_gradients(leaves, (samples + BETA * kl).sum())
    assert largest(printed, in_each) < AUTOGRAD  # summed, the penalty in each: β
    once = torch_gradients(leaves, samples.sum() + BETA * kl)
    assert largest(printed, once) > 0.1  # summed, the penalty once: not β ...
    assert largest(over_m, once) < AUTOGRAD  # ... but β / M
    assert largest([part / M for part in over_m], averaged) > 0.01


@pytest.mark.erratum("C9")
def test_two_linear_units_reconstruct_an_affine_plane_exactly():
    """The hidden units are N1, not N2 = D, and fewer of them than D need not mean an approximation."""
    rng = np.random.default_rng(10)
    plane = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 6)) + rng.normal(size=6)
    directions = np.linalg.svd(plane - plane.mean(axis=0))[2][:2].T  # (6, 2)
    exact = Network([directions, directions.T], [np.zeros(2), -plane.mean(axis=0)], [LINEAR, LINEAR])
    shifted = Network(exact.W, [plane.mean(axis=0) @ directions, exact.theta[1]], exact.f)
    assert shifted.sizes == [6, 2, 6]
    assert np.abs(forward(shifted, plane).y[-1] - plane).max() < 1e-13
    off_the_plane = plane + rng.normal(size=plane.shape)
    assert np.abs(forward(shifted, off_the_plane).y[-1] - off_the_plane).max() > 0.5


@pytest.mark.erratum("C12")
def test_penalty_says_nothing_about_correlation():
    rng = np.random.default_rng(11)
    one = rng.uniform(0.05, 0.15, size=200)
    one += 0.1 - one.mean()
    twins = np.column_stack([one, one])  # the same unit twice: correlation 1
    assert sparsity_kl(0.1, mean_activity(twins)).sum() < 1e-15
    assert np.corrcoef(twins.T)[0, 1] > 1 - 1e-12
    # nor is the mean activity minimised: below the target it is pushed up
    assert sparsity_slope(0.1, 0.05) < 0 < sparsity_slope(0.1, 0.2)
    with pytest.raises(ValueError, match="in \\(0, 1\\)"):
        mean_activity(np.tanh(rng.normal(size=(9, 4))))


@pytest.mark.parametrize("hidden", [TANH, RELU, LINEAR], ids=lambda f: f.name)
def test_activities_that_are_no_probabilities_are_refused_in_words(hidden: Activation):
    network = network_with_offsets([6, 4, 6], [hidden, LINEAR])
    X = 3 * images()
    with pytest.raises(ValueError, match=r"activities from .* to .*Use sigmoid hidden units, or no penalty"):
        loss_and_gradients(network, X, TARGET, BETA)
    loss_and_gradients(network, X)  # without the penalty any activation will do


def test_other_bad_input_is_refused_in_words():
    with pytest.raises(ValueError, match="2 of 3 hidden units are off, or on, for every sample"):
        mean_activity(np.array([[0.0, 1.0, 0.5], [0.0, 1.0, 0.5]]))
    with pytest.raises(ValueError, match="1 of 2 activities are NaN or infinite"):
        mean_activity(np.array([[np.nan, 0.5]]))
    for shape in ((4,), (0, 4), (2, 3, 4)):
        with pytest.raises(ValueError, match=r"expected activities \(M, H\), .* got shape \("):
            mean_activity(np.full(shape, 0.5))
    with pytest.raises(ValueError, match="the batch is empty"):
        loss_and_gradients(network_with_offsets([6, 4, 6], [SIGMOID, SIGMOID]), np.ones((0, 6)))
    for target in (0.0, 1.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="target must lie between 0 and 1"):
            sparsity_kl(target, 0.5)
    with pytest.raises(ValueError, match="rho_hat must lie between 0 and 1"):
        sparsity_slope(0.1, [0.5, 1.0])
    for sizes in ([6, 5, 4, 6], [6, 4, 5]):
        network = draw(sizes, [SIGMOID] * (len(sizes) - 1), np.random.default_rng(0))
        with pytest.raises(ValueError, match=r"expected layers of N, H and N units, got \[6, "):
            loss_and_gradients(network, images())


def test_mean_activity_follows_its_target():
    """Training moves it to the target when the penalty is strong, and leaves it elsewhere without."""
    X = np.random.default_rng(12).uniform(size=(40, 8))
    reached = {}
    for beta in (0.0, 5.0):
        network = draw([8, 5, 8], [SIGMOID, SIGMOID], np.random.default_rng(13))
        for _ in range(400):
            _, gradient = sparse_autoencoder.loss_and_gradients(network, X, 0.1, beta)
            network = descend(network, gradient, lr=0.2)
        reached[beta] = forward(network, X).y[1].mean(axis=0)
    assert np.abs(reached[5.0] - 0.1).max() < 0.01
    assert np.abs(reached[0.0] - 0.1).min() > 0.1
