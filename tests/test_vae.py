"""The variational autoencoder in PyTorch: bounds, draws, one step as by hand, a world whose truth is known.

Everything is in float64. Estimates from draws are held to five standard errors, or made exact: the mean of a
quadratic function of ε is its mean over the 2P points ± √P along the axes.
"""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from gennet import datasets
from gennet.autoencoder import copy_weights
from gennet.backprop import LINEAR, RELU, SIGMOID, TANH, Network, draw
from gennet.backprop import vae as by_hand
from gennet.eigenspace import Eigenspace
from gennet.training import train_vae
from gennet.vae import VAE, J, divergence, neighbour_score, risk, sheet, weights

NAMES = {"linear": LINEAR, "relu": RELU, "sigmoid": SIGMOID, "tanh": TANH}


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Everything in float64, on one thread: small matrices gain nothing from two."""
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


def small(seed: int = 0, M: int = 6, P: int = 2, hidden: tuple = (5,), **options) -> VAE:
    """Return a model with offsets that are not small, and unequal log-variances."""
    torch.manual_seed(seed)
    model = VAE(M, P, hidden, **options)
    with torch.no_grad():
        for name, part in model.named_parameters():
            if name.endswith("bias"):
                part.normal_()
    return model


def samples(B: int = 7, M: int = 6, seed: int = 1) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(size=(B, M)))


def exact_points(P: int, B: int) -> Tensor:
    """Return ε ``(2P, B, P)`` over which every quadratic function has its exact mean."""
    axes = math.sqrt(P) * torch.eye(P)
    return torch.cat([axes, -axes])[:, None].expand(2 * P, B, P)


def within(values: Tensor, expected: Tensor | float, errors: float = 5) -> bool:
    """Tell whether the mean over the first axis is what is expected, within standard errors."""
    error = values.std(dim=0) / math.sqrt(len(values))
    return bool(((values.mean(dim=0) - expected).abs() < errors * error).all())


# Encoder, draw, decoder


@pytest.mark.equation("68.10", "68.11", "68.12", "68.13", "68.15", "68.32", "68.36", "68.80")
def test_shapes_and_sizes():
    model = VAE(784, 2, (512, 512), output="tanh")
    for part, count in ((model.encoder, 666_628), (model.decoder, 666_384)):
        assert sum(p.numel() for p in part.parameters()) == count
    sizes = [[(W.in_features, W.out_features) for W in part if hasattr(W, "bias")]
             for part in (model.encoder, model.decoder)]  # fmt: skip
    assert sizes == [[(784, 512), (512, 512), (512, 4)], [(2, 512), (512, 512), (512, 784)]]
    kinds = [[type(layer).__name__ for layer in part][1::2] for part in (model.encoder, model.decoder)]
    assert kinds == [["ReLU", "ReLU", "Identity"], ["ReLU", "ReLU", "Tanh"]]
    mean, a = model.encode(torch.rand(5, 784))
    assert mean.shape == a.shape == (5, 2) and (a.exp() > 0).all()
    assert model.decode(mean).shape == (5, 784) and model.decode(torch.zeros(3, 5, 2)).shape == (3, 5, 784)
    assert torch.equal(model.encoder(torch.ones(1, 784))[:, :2], model.encode(torch.ones(1, 784))[0])


@pytest.mark.erratum("S9")
@pytest.mark.equation("68.50", "68.51")
def test_encoders_output_must_be_linear():
    rng = np.random.default_rng(0)
    h, eps = rng.normal(size=(200, 6)), np.zeros((200, 2))
    spread = {}
    for f in (LINEAR, RELU, TANH):
        encoder = draw([6, 5, 4], [TANH, f], rng)
        encoder = Network([3 * W for W in encoder.W], encoder.theta, encoder.f)
        now = by_hand.forward(by_hand.Pair(encoder, draw([2, 6], [LINEAR], rng)), h, eps)
        spread[f.name] = np.exp(now.a / 2)
    assert spread["ReLU"].min() == 1  # as printed, with the activation of the other layers: never below 1
    assert np.exp(-0.5) <= spread["tanh"].min() and spread["tanh"].max() <= np.exp(0.5)
    assert spread["linear"].min() < np.exp(-0.5) and spread["linear"].max() > np.exp(0.5)

    mean, a = (model := small()).encode(samples())
    z = model.encoder[:-1](samples())  # what the last activation receives
    assert torch.equal(mean, z[:, :2]) and torch.equal(a, z[:, 2:])


@pytest.mark.equation("68.14", "68.16", "68.17", "68.35", "68.52")
def test_reparameterisation():
    model, mean, a = small(), torch.tensor([[0.7, -2.0]]), torch.tensor([[-0.5, 1.2]])
    eps = torch.tensor([[1.5, -0.3]])
    u = model.reparameterize(mean, a, eps)
    assert u[0].tolist() == pytest.approx([0.7 + np.exp(-0.25) * 1.5, -2 - np.exp(0.6) * 0.3], abs=1e-14)

    eps = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0))
    u = model.reparameterize(mean, a, eps)
    assert within(u, mean[0]) and within((u - mean) ** 2, a.exp()[0])
    assert within((u - mean).prod(dim=1), 0.0)
    assert not within((u - mean) ** 2, (2 * a).exp()[0])  # exp(a) is the variance, not the deviation

    mean.requires_grad_(), a.requires_grad_()
    u = model.reparameterize(mean.expand(100_000, 2), a.expand(100_000, 2), eps)
    (u**2).sum(dim=1).mean().backward()  # E u² = μ² + exp(a): its slopes are 2 μ and exp(a)
    assert mean.grad[0].tolist() == pytest.approx((2 * mean[0]).tolist(), abs=0.05)
    assert a.grad[0].tolist() == pytest.approx(a.exp()[0].tolist(), abs=0.05)


@pytest.mark.equation("68.18", "68.19")
@pytest.mark.erratum("S6")
def test_a_decoders_output_is_a_mean_and_not_a_draw():
    """h = 1.5 u + v, u and v standard normal: the variance of h is 3.25, that of decoder outputs 2.25."""
    model = VAE(1, 1)
    with torch.no_grad():
        model.decoder[0].weight.fill_(1.5)
        model.decoder[0].bias.zero_()
    generator = torch.Generator().manual_seed(0)
    outputs = model.sample(100_000, generator=generator)
    draws = model.sample(100_000, draw=True, generator=generator)
    assert within(outputs**2, 2.25) and within(draws**2, 3.25)
    assert not within(outputs**2, 3.25)


def test_samples_of_a_bernoulli_decoder():
    model = small(likelihood="bernoulli")
    outputs = model.sample(20_000, generator=torch.Generator().manual_seed(0))
    draws = model.sample(20_000, draw=True, generator=torch.Generator().manual_seed(0))
    assert ((outputs > 0) & (outputs < 1)).all() and set(draws.unique().tolist()) == {0.0, 1.0}
    assert within(draws - outputs, 0.0)


# Likelihood, divergence, bounds


@pytest.mark.erratum("S2")
@pytest.mark.equation("68.21", "68.22")
@pytest.mark.parametrize("sigma", [1.0, 0.3])
def test_gaussian_log_likelihood(sigma: float):
    model, x, u = small(sigma=sigma, output="tanh"), samples(), torch.randn(4, 7, 2)
    ours = model.log_likelihood(x, u)
    law = Independent(Normal(model.decode(u), sigma), 1)
    assert ours.shape == (4, 7)
    assert (ours - law.log_prob(x)).abs().max() < 1e-12
    if sigma == 1:  # equal up to an added constant, not up to a factor
        as_printed = -0.5 * ((x - model.decode(u)) ** 2).sum(dim=-1)
        assert (ours - as_printed + 6 / 2 * math.log(2 * math.pi)).abs().max() < 1e-12
        assert (ours / as_printed).std() > 1e-3


def test_bernoulli_log_likelihood():
    model, u = small(likelihood="bernoulli"), torch.randn(4, 7, 2)
    x = (samples() < 0.5).double()
    law = Independent(Bernoulli(model.decode(u)), 1)
    assert (model.log_likelihood(x, u) - law.log_prob(x)).abs().max() < 1e-12
    grey = samples()
    h_hat = model.decode(u)
    cross_entropy = (grey * h_hat.log() + (1 - grey) * (1 - h_hat).log()).sum(dim=-1)
    assert (model.log_likelihood(grey, u) - cross_entropy).abs().max() < 1e-12
    far = model.log_likelihood(x, 1e6 * torch.ones(7, 2))
    assert torch.isfinite(far).all()  # from the logits: no ln 0


@pytest.mark.equation("68.38", "68.59")
def test_J_is_twice_the_divergence():
    mean, a = torch.randn(9, 3), torch.randn(9, 3)
    assert J(mean, a).shape == (9,)
    by_torch = kl_divergence(Normal(mean, (a / 2).exp()), Normal(0.0, 1.0)).sum(dim=1)
    assert (divergence(mean, a) - by_torch).abs().max() < 1e-12
    assert (J(mean, a) - (2 * by_torch + 3)).abs().max() < 1e-12
    assert J(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 3 and (J(mean, a) > 3).all()
    case = divergence(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]).log())
    assert case.item() == pytest.approx(3.0472674, abs=1e-7)


@pytest.mark.equation("68.23")
@pytest.mark.erratum("S4")
def test_one_draw_estimates_the_data_average_without_bias():
    """With one draw a sample, -1/(2N) Σ ‖h - ĥ‖² has the mean of the exact term over the data as its mean."""
    model, x = small(hidden=()), samples()
    mean, a = model.encode(x)
    W = model.decoder[0].weight  # (M, P): for a linear decoder E ‖h - ĥ‖² is known
    square = ((x - model.decode(mean)) ** 2).sum(dim=1) + (a.exp() * (W**2).sum(dim=0)).sum(dim=1)
    exact = -0.5 * square
    constant = 6 / 2 * math.log(2 * math.pi)
    eps = torch.randn(40_000, 7, 2, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        terms = model.log_likelihood(x, model.reparameterize(mean, a, eps)) + constant  # (40000, 7)
    assert within(terms.mean(dim=1), exact.mean())
    assert not within(terms.mean(dim=1), exact[0])  # nor does it estimate the term of one given sample


@pytest.mark.equation("68.24", "68.25", "68.37", "68.39", "YA10")
@pytest.mark.erratum("S3")
def test_the_risk_is_twice_the_bound_with_the_sign_turned():
    """S3: the right side of (68.24) is 2 L + M ln 2π - P, not L; and mixing scales changes κ."""
    model, x, M, P = small(hidden=(5, 4), activation="tanh", M=5), samples(M=5), 5, 2
    eps = torch.randn(1, 7, P, generator=torch.Generator().manual_seed(3))
    bound = model.elbo(x, eps=eps).mean()
    mean, a = model.encode(x)
    square = ((x - model.decode(model.reparameterize(mean, a, eps[0]))) ** 2).sum(dim=1)
    variances = a.exp()
    in_variances = -(square + (mean**2 + variances - variances.log()).sum(dim=1)).mean()  # (68.24)
    in_logarithms = -(square + (mean**2 + a.exp() - a).sum(dim=1)).mean()  # (68.25)
    assert in_variances.item() == pytest.approx(in_logarithms.item(), abs=1e-12)
    shift = M * math.log(2 * math.pi) - P
    assert in_logarithms.item() == pytest.approx((2 * bound + shift).item(), abs=1e-12)
    assert abs((in_logarithms - bound).item()) > 1  # as printed: approximately the bound
    assert risk(model, x, eps[0]).item() == pytest.approx((-2 * bound - shift).item(), abs=1e-12)
    by_entries = sum(
        W[i, j].item() ** 2 for W in weights(model) for i in range(W.shape[0]) for j in range(W.shape[1])
    )
    with_rho = risk(model, x, eps[0], rho=0.3) - risk(model, x, eps[0])
    assert with_rho.item() == pytest.approx(0.3 * by_entries, abs=1e-10)

    def slopes(value: Tensor) -> Tensor:
        return torch.cat([g.flatten() for g in torch.autograd.grad(value, weights(model), retain_graph=True)])

    mixed = slopes((square + divergence(mean, a)).mean())
    assert (mixed - slopes(-2 * model.elbo(x, eps=eps, kappa=0.5).mean())).abs().max() < 1e-12
    assert (mixed - slopes(-2 * model.elbo(x, eps=eps).mean())).abs().max() > 1e-3


def test_elbo_of_given_draws():
    for options in ({}, {"likelihood": "bernoulli"}, {"sigma": 0.4, "learn_sigma": True}):
        model, x = small(**options), samples()
        eps = torch.randn(5, 7, 2, generator=torch.Generator().manual_seed(4))
        mean, a = model.encode(x)
        terms = [model.log_likelihood(x, mean + (a / 2).exp() * one) for one in eps]
        for kappa in (0.0, 0.5, 1.0, 3.0):
            expected = sum(terms) / 5 - kappa * divergence(mean, a)
            ours = model.elbo(x, eps=eps, kappa=kappa)
            assert ours.shape == (7,) and (ours - expected).abs().max() < 1e-12
    drawn = model.elbo(x, k=5, generator=torch.Generator().manual_seed(4))
    assert torch.equal(drawn, model.elbo(x, eps=eps))


def linear_world(seed: int = 0) -> tuple[VAE, Tensor, np.ndarray]:
    """Return a linear model, samples and their exact log likelihood: normal, with covariance W Wᵀ + I."""
    model, x = small(seed, hidden=()), samples(20)
    W, b = (part.detach().numpy() for part in (model.decoder[0].weight, model.decoder[0].bias))
    return model, x, stats.multivariate_normal(b, W @ W.T + np.eye(6)).logpdf(x.numpy())


@torch.no_grad()
def test_bounds_in_order():
    """ELBO ≤ importance-weighted bounds, rising with k, ≤ ln f(h), where ln f(h) is known."""
    model, x, evidence = linear_world()
    generator = torch.Generator().manual_seed(5)
    bounds = [model.elbo(x, eps=exact_points(2, 20)).mean().item()]
    for k in (2, 8, 64):
        bounds.append(
            np.mean([model.importance_bound(x, k, generator=generator).mean() for _ in range(2000 // k)])
        )
    bounds.append(evidence.mean())
    assert (np.diff(bounds) > 0).all(), bounds
    many = torch.stack([model.importance_bound(x, 2000, generator=generator) for _ in range(10)])
    assert (many.mean(dim=0) - torch.from_numpy(evidence)).abs().max() < 0.05
    one = torch.stack([model.importance_bound(x, 1, generator=generator) for _ in range(4000)])
    assert within(one, model.elbo(x, eps=exact_points(2, 20)))


@torch.no_grad()
def test_with_the_exact_posterior_every_bound_is_the_evidence():
    model, x, evidence = linear_world()
    W, b = model.decoder[0].weight, model.decoder[0].bias
    W.copy_(torch.linalg.qr(W)[0] * torch.tensor([1.5, 0.4]))  # perpendicular columns: a diagonal posterior
    precision = 1 + (W**2).sum(dim=0)
    model.encoder[0].weight.zero_()
    model.encoder[0].weight[:2] = W.T / precision[:, None]
    model.encoder[0].bias.copy_(torch.cat([-(W.T / precision[:, None]) @ b, -precision.log()]))
    evidence = stats.multivariate_normal(b.numpy(), (W @ W.T).numpy() + np.eye(6)).logpdf(x.numpy())
    assert np.abs(model.elbo(x, eps=exact_points(2, 20)).numpy() - evidence).max() < 1e-12
    for k in (1, 7):
        assert np.abs(model.importance_bound(x, k).numpy() - evidence).max() < 1e-12


@pytest.mark.erratum("S33")
def test_a_weight_below_one_makes_no_bound():
    """u is N(0, 1) and h, given u, N(u, 1); h = 2. Only κ ≥ 1 stays below ln f(h)."""
    model, h = VAE(1, 1), torch.tensor([[2.0]])
    with torch.no_grad():  # the exact posterior: mean h / 2, variance 1 / 2
        model.encoder[0].weight.copy_(torch.tensor([[0.5], [0.0]]))
        model.encoder[0].bias.copy_(torch.tensor([0.0, math.log(0.5)]))
        model.decoder[0].weight.fill_(1.0)
    evidence = stats.norm.logpdf(2.0, 0.0, math.sqrt(2.0))
    scaled = {k: model.elbo(h, eps=exact_points(1, 1), kappa=k).item() for k in (0.5, 1.0, 2.0)}
    assert scaled == pytest.approx({0.5: -1.96723, 1.0: -2.26551, 2.0: -2.86209}, abs=1e-5)
    assert scaled[0.5] > evidence + 0.2 and scaled[2.0] < scaled[1.0] == pytest.approx(evidence, abs=1e-12)


def test_the_weight_enters_the_listing_through_x_alone(monkeypatch: pytest.MonkeyPatch):
    """One step with κ is one of the listing with κ x; the gradients of the decoder do not know it."""
    rng, kappa, lr = np.random.default_rng(2), 0.25, 0.05
    pair = by_hand.Pair(draw([6, 5, 4], [RELU, LINEAR], rng), draw([2, 5, 6], [RELU, TANH], rng))
    x = samples(9)
    start = torch.Generator().manual_seed(0)
    order = torch.randperm(9, generator=start)
    eps = torch.randn(1, 9, 2, generator=start)[0].numpy()
    plain = by_hand.step(pair, x[order].numpy(), eps, lr)
    unscaled = by_hand.x
    monkeypatch.setattr(by_hand, "x", lambda mean, a: kappa * unscaled(mean, a))
    scaled = by_hand.step(pair, x[order].numpy(), eps, lr)
    assert all(np.array_equal(a, b) for a, b in zip(plain.decoder.W, scaled.decoder.W, strict=True))

    model, expected = VAE(6, 2, (5,), output="tanh"), VAE(6, 2, (5,), output="tanh")
    for target, weights_ in ((model, pair), (expected, scaled)):
        copy_weights(weights_.encoder, target.encoder)
        copy_weights(weights_.decoder, target.decoder)
    train_vae(model, x, epochs=1, batch=9, lr=lr, kappa=kappa, optimiser=torch.optim.SGD)
    for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert (ours - theirs).abs().max() < 1e-10


# By hand and by autograd


@pytest.mark.equation("68.39", "68.79")
@pytest.mark.parametrize("output", ["linear", "tanh", "sigmoid"])
@pytest.mark.parametrize("hidden", [(), (5,), (5, 4), (8, 3, 7)])
def test_one_step_equals_one_step_of_the_listing(hidden: tuple, output: str):
    rng, lr, rho = np.random.default_rng(0), 0.05, 0.3
    f = NAMES["relu"]
    pair = by_hand.Pair(
        *(
            Network(drawn.W, [rng.normal(size=n) for n in sizes[1:]], drawn.f)
            for sizes, last in (([6, *hidden, 4], "linear"), ([2, *reversed(hidden), 6], output))
            for drawn in [draw(sizes, [*[f] * len(hidden), NAMES[last]], rng)]
        )
    )
    model = VAE(6, 2, hidden, output=output)
    copy_weights(pair.encoder, model.encoder)
    copy_weights(pair.decoder, model.decoder)
    x = samples(9)
    start = torch.Generator().manual_seed(7)  # as `train_vae` draws: first the order, then the noise
    order = torch.randperm(9, generator=start)
    eps = torch.randn(1, 9, 2, generator=start)[0]

    assert risk(model, x[order], eps, rho).item() == pytest.approx(
        by_hand.risk(pair, x[order].numpy(), eps.numpy(), rho), abs=1e-10
    )
    stepped = by_hand.step(pair, x[order].numpy(), eps.numpy(), lr, rho)
    train_vae(model, x, epochs=1, batch=9, lr=lr, rho=rho, seed=7, optimiser=torch.optim.SGD)
    expected = VAE(6, 2, hidden, output=output)
    copy_weights(stepped.encoder, expected.encoder)
    copy_weights(stepped.decoder, expected.decoder)
    for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert (ours - theirs).abs().max() < 1e-10


def test_several_steps_of_single_samples_equal_the_listing():
    """B = 1, as in Example 68.1: seven steps, one a sample."""
    rng = np.random.default_rng(1)
    pair = by_hand.Pair(draw([6, 5, 4], [RELU, LINEAR], rng), draw([2, 5, 6], [RELU, TANH], rng))
    model, x = VAE(6, 2, (5,), output="tanh"), samples(7)
    copy_weights(pair.encoder, model.encoder)
    copy_weights(pair.decoder, model.decoder)
    start = torch.Generator().manual_seed(3)
    for row in torch.randperm(7, generator=start):
        eps = torch.randn(1, 1, 2, generator=start)[0]
        pair = by_hand.step(pair, x[row : row + 1].numpy(), eps.numpy(), 0.01, 1e-4)
    train_vae(model, x, epochs=1, batch=1, lr=0.01, rho=1e-4, seed=3, optimiser=torch.optim.SGD)
    assert np.abs(model.decoder[2].weight.detach().numpy() - pair.decoder.W[1].T).max() < 1e-12


# A world whose truth is known


def test_linear_model_reaches_probabilistic_pca():
    """Its best bound is the log likelihood of Tipping and Bishop's model (1999), known in closed form."""
    X, P, M = datasets.load("digits").x.reshape(-1, 64).astype(float), 3, 64
    X = 4 * (X - X.mean(axis=0))
    space = Eigenspace().fit(X)
    lam = space.eigenvalues_[:P]
    noise = (space.total_energy_ - lam.sum()) / (M - P)
    by_formula = -0.5 * (M * np.log(2 * np.pi) + np.log(lam).sum() + (M - P) * np.log(noise) + M)
    loadings = space.components_[:P].T * np.sqrt(lam - noise)
    law = stats.multivariate_normal(np.zeros(M), loadings @ loadings.T + noise * np.eye(M))
    assert by_formula == pytest.approx(law.logpdf(X).mean(), rel=1e-10)

    torch.manual_seed(0)
    model, x = VAE(M, P, learn_sigma=True), torch.from_numpy(X)
    for lr, epochs in ((1e-2, 60), (1e-3, 40), (1e-4, 20)):
        train_vae(model, x, epochs=epochs, lr=lr, batch=100)
    with torch.no_grad():
        bound = model.elbo(x, eps=exact_points(P, len(x))).mean().item()
    assert 0 < by_formula - bound < 0.001 * abs(by_formula)
    decoder = np.linalg.qr(model.decoder[0].weight.detach().numpy())[0]  # (64, 3)
    assert np.linalg.svd(space.components_[:P] @ decoder, compute_uv=False).min() > 0.999
    assert math.exp(model.log_variance.item()) == pytest.approx(noise, rel=0.02)


@pytest.mark.erratum("S5")
def test_tanh_covers_centred_pixels_twice_and_unit_variance_depends_on_the_scale():
    X = datasets.load("digits").x.reshape(-1, 64).astype(float)
    mean = X.mean(axis=0)
    centred = X - mean
    assert (centred >= -mean).all() and (centred <= 1 - mean).all()  # of length 1; a tanh has length 2
    assert np.abs(centred).max() < 1 and (centred * 255).max() > 100  # "scaled by 255" means divided
    VAE(64, 2, output="tanh").elbo(torch.from_numpy(centred))
    with pytest.raises(ValueError, match=r"samples from .* but this decoder gives numbers in \[-1, 1\]"):
        VAE(64, 2, output="tanh").elbo(torch.from_numpy(255 * centred))
    # the same model for pixels c times as large: the divergence weighs 1 / c² of what it did
    model, x, c = small(hidden=()), samples(), 255.0
    larger = small(hidden=())
    with torch.no_grad():
        larger.encoder[0].weight /= c
        for part in larger.decoder.parameters():
            part *= c
    eps, constant = exact_points(2, 7), 6 / 2 * math.log(2 * math.pi)
    bound = larger.elbo(c * x, eps=eps) + constant
    assert (bound / (c**2 * (model.elbo(x, eps=eps, kappa=1 / c**2) + constant)) - 1).abs().max() < 1e-12
    assert (bound / (c**2 * (model.elbo(x, eps=eps) + constant)) - 1).abs().max() > 1e-3


def test_training_learns_and_repeats_itself():
    X = torch.from_numpy(datasets.load("digits").x.reshape(-1, 64).astype(float))[:400]

    def history(**options) -> list[float]:
        torch.manual_seed(0)
        return train_vae(VAE(64, 2, (32,), likelihood="bernoulli"), X, epochs=8, lr=5e-3, seed=4, **options)

    first = history()
    assert first == history() and len(first) == 8
    assert first[-1] > first[0] + 5
    assert history(kappa=4.0)[-1] < first[-1]
    assert history(k=3) != first


def test_reconstruction_uses_the_mean():
    model, x = small(), samples()
    assert torch.equal(model.reconstruct(x), model.decode(model.encode(x)[0]))
    assert not model.reconstruct(x).requires_grad


def test_sheet_is_a_grid_of_equal_probability():
    model = VAE(3, 2)
    with torch.no_grad():  # the decoder gives the latents themselves
        model.decoder[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    u = sheet(model, 4).reshape(4, 4, 3)
    quantiles = stats.norm.ppf([0.125, 0.375, 0.625, 0.875])
    assert np.abs(u[..., 0].numpy() - quantiles).max() < 1e-12  # the first number grows to the right
    assert np.abs(u[..., 1].numpy() - quantiles[::-1, None]).max() < 1e-12  # the second upwards
    with pytest.raises(ValueError, match="expected latents of 2 numbers, got P = 3: there is no plane"):
        sheet(VAE(3, 3), 4)


def test_neighbours_vote():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    labels, new_labels = rng.integers(3, size=90), rng.integers(3, size=40)
    codes = centres[labels] + rng.normal(size=(90, 2))
    new = centres[new_labels] + rng.normal(size=(40, 2))
    assert neighbour_score(codes, labels, new, new_labels) == 1.0
    assert neighbour_score(codes, labels, new, np.r_[new_labels[:-1], (new_labels[-1] + 1) % 3]) == 1 - 1 / 40
    assert neighbour_score(torch.tensor(codes), torch.tensor(labels), new, new_labels) == 1.0
    for wrong in (labels[:89], labels.astype(float), labels[:, None], [str(label) for label in labels]):
        with pytest.raises(ValueError, match="expected 90 labels, whole numbers, for 90 codes; got"):
            neighbour_score(codes, wrong, new, new_labels)
    with pytest.raises(ValueError, match="expected 40 labels"):
        neighbour_score(codes, labels, new, new_labels[:1])


# Bad input


@pytest.mark.parametrize(
    ("options", "low", "high"),
    [
        ({"likelihood": "bernoulli"}, -0.1, 1.0),
        ({"likelihood": "bernoulli"}, 0.0, 255.0),
        ({"output": "tanh"}, -1.5, 1.0),
        ({"output": "sigmoid"}, -0.5, 0.5),
        ({"output": "relu"}, -0.5, 3.0),
    ],
)
def test_data_outside_the_range_of_the_decoder_are_refused(options: dict, low: float, high: float):
    x = samples()
    x[0, 0], x[1, 1] = low, high
    model = small(**options)
    for call in (model.elbo, model.encode, lambda x: model.importance_bound(x, 3), model.reconstruct):
        with pytest.raises(ValueError, match=r"samples from .* to .*, but this decoder gives numbers in"):
            call(x)


def test_other_bad_input_is_refused_in_words():
    model, x = small(), samples()
    for P in (0, 7, -1):
        with pytest.raises(
            ValueError, match=f"expected 1 to 6 latents for samples of 6 numbers, got P = {P}"
        ):
            VAE(6, P)
    with pytest.raises(ValueError, match="no likelihood 'poisson'; there are gaussian, bernoulli"):
        VAE(6, 2, likelihood="poisson")
    for wrong in ({"activation": "softplus"}, {"output": "softplus"}):
        with pytest.raises(ValueError, match="no activation 'softplus'; there are linear, relu"):
            VAE(6, 2, **wrong)
    for wrong in ({"output": "tanh"}, {"sigma": 0.5}, {"learn_sigma": True}):
        with pytest.raises(ValueError, match="a Bernoulli decoder has neither"):
            VAE(6, 2, likelihood="bernoulli", **wrong)
    for sigma in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="sigma must be positive"):
            VAE(6, 2, sigma=sigma)
    for wrong in (x[:, :5], x[0], x[None], x[:0]):
        with pytest.raises(
            ValueError, match="expected samples as rows of 6 numbers, at least one, got shape"
        ):
            model.elbo(wrong)
    for kappa in (-0.5, float("nan")):
        with pytest.raises(ValueError, match="kappa must be at least 0, got"):
            model.elbo(x, kappa=kappa)
        with pytest.raises(ValueError, match="kappa must be at least 0, got"):
            train_vae(model, x, epochs=1, kappa=kappa)
    for k in (0, -3):
        with pytest.raises(ValueError, match="expected at least one draw"):
            model.elbo(x, k=k)
        with pytest.raises(ValueError, match="expected at least one draw"):
            model.importance_bound(x, k)
    for shape in ((1, 6, 2), (7, 2), (0, 7, 2), (1, 7, 3)):
        with pytest.raises(ValueError, match=r"expected eps of shape \(k, 7, 2\), got"):
            model.elbo(x, eps=torch.zeros(shape))
    with pytest.raises(ValueError, match="expected at least one sample, got n = 0"):
        model.sample(0)
    for bad in (float("nan"), float("inf")):
        spoilt = samples()
        spoilt[3, 4] = bad
        for learner in (model, small(output="tanh"), small(likelihood="bernoulli")):
            with pytest.raises(ValueError, match="some numbers of the samples are NaN or infinite"):
                learner.elbo(spoilt)
