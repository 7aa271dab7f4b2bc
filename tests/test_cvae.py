"""Conditional autoencoders: the bound on tables, the module's shapes, risk and draws, and what it learns.

Everything is in float64. Draws are held to five standard errors; what trained models must reach was seen with
several seeds, and stands with a margin.
"""

import math
import re
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from gennet import datasets
from gennet.bound import LinearGaussian, table_terms
from gennet.cvae import ConditionalVAE, LabelInferringVAE, col, conditional_terms, label_risk, one_hot, risk
from gennet.training import train_vae
from gennet.training.label_vae import train_label_vae
from gennet.vae import VAE, J, weights

M, P, C, B = 6, 2, 3, 9


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Everything in float64, on one thread: small matrices gain nothing from two."""
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


def small(kind=ConditionalVAE, seed: int = 0, hidden: tuple = (5,), **options):
    torch.manual_seed(seed)
    model = kind(M, P, C, hidden, **options)
    with torch.no_grad():
        for name, part in model.named_parameters():
            if name.endswith("bias"):
                part.normal_()
    return model


def samples(rows: int = B) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(1)
    return torch.from_numpy(rng.uniform(size=(rows, M))), torch.from_numpy(rng.permutation(rows) % C)


def exact_points(rows: int) -> Tensor:
    """Return ε ``(2P, B, P)`` over which every quadratic function has its exact mean."""
    axes = math.sqrt(P) * torch.eye(P)
    return torch.cat([axes, -axes])[:, None].expand(2 * P, rows, P)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The digits of scikit-learn, to learn from and to test."""
    data = datasets.load("digits")
    x, y = torch.from_numpy(data.x.reshape(-1, 64).astype(float)), torch.from_numpy(data.y)
    return x[:1200], y[:1200], x[1200:], y[1200:]


# The bound, on tables


def table(seed: int, zeros: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    joint = rng.gamma(0.7, size=(4, 3, 5))
    if zeros:
        joint[rng.random(joint.shape) < 0.2] = 0
        joint[0, 0] += 0.1  # every class occurs, with every h of the tests
    return joint / joint.sum()


@pytest.mark.equation("68.82")
@pytest.mark.parametrize("seed", range(20))
def test_conditional_bound_by_enumeration(seed: int):
    joint = table(seed, zeros=seed % 2 == 1)
    q = np.random.default_rng(seed + 100).dirichlet(np.ones(3))
    q = q * (joint[0, :, seed % 5] > 0)  # within the support of the posterior
    q = q / q.sum()
    c = seed % 5
    terms = conditional_terms(joint, 0, c, q)
    f = joint[:, :, c] / joint[:, :, c].sum()  # f(h, u | c)
    sums = {"gap": 0.0, "reconstruction": 0.0, "divergence": 0.0}
    for u in range(3):
        if q[u] > 0:
            prior, decoder, posterior = f[:, u].sum(), f[0, u] / f[:, u].sum(), f[0, u] / f[0].sum()
            sums["gap"] += q[u] * math.log(q[u] / posterior)
            sums["reconstruction"] += q[u] * math.log(decoder)
            sums["divergence"] += q[u] * math.log(q[u] / prior)
    for name, value in sums.items():
        assert getattr(terms, name) == pytest.approx(value, abs=1e-12)
    evidence = math.log(joint[0, :, c].sum() / joint[:, :, c].sum())
    assert terms.evidence == pytest.approx(evidence, abs=1e-12)
    assert terms.gap + terms.reconstruction - terms.divergence == pytest.approx(evidence, abs=1e-12)
    assert terms.gap >= -1e-15
    best = conditional_terms(joint, 0, c, f[0] / f[0].sum())
    assert abs(best.gap) < 1e-12


@pytest.mark.equation("68.81")
def test_with_one_class_it_is_the_bound_without_labels():
    joint, q = table(3)[:, :, :1], [0.2, 0.3, 0.5]
    joint = joint / joint.sum()
    ours, theirs = conditional_terms(joint, 2, 0, q), table_terms(joint[:, :, 0], 2, q)
    np.testing.assert_allclose(ours, theirs, atol=1e-14)
    assert ours.evidence == pytest.approx(float(ours.gap + ours.bound), abs=1e-12)


@pytest.mark.erratum("S15")
@pytest.mark.equation("68.82")
def test_every_law_must_be_conditioned():
    """With f(u), f(h | u) or f(h) in place of the conditioned laws, the identity fails."""
    joint, q, h, c = table(0), np.array([0.2, 0.3, 0.5]), 1, 2
    terms = conditional_terms(joint, h, c, q)
    prior, decoder = joint.sum(axis=(0, 2)), joint[h].sum(axis=1) / joint.sum(axis=(0, 2))
    divergence, reconstruction = (q * np.log(q / prior)).sum(), (q * np.log(decoder)).sum()
    assert abs(terms.gap + terms.reconstruction - divergence - terms.evidence) > 1e-2
    assert abs(terms.gap + reconstruction - terms.divergence - terms.evidence) > 1e-2
    assert abs(terms.gap + terms.bound - math.log(joint[h].sum())) > 1e-2
    # in a table in which u and c are independent, f(u) is f(u | c), and nothing is lost
    law = np.random.default_rng(0).dirichlet(np.ones(4), size=(3, 5))  # f(h | u, c)
    free = np.einsum("uch,u,c->huc", law, [0.2, 0.3, 0.5], np.full(5, 0.2))
    terms, prior = conditional_terms(free, h, c, q), free.sum(axis=(0, 2))
    assert terms.divergence == pytest.approx((q * np.log(q / prior)).sum(), abs=1e-12)


@pytest.mark.parametrize(
    ("joint", "c", "sentence"),
    [
        (table(0)[0], 0, r"expected a joint table of shape \(H, U, C\)"),
        (2 * table(0), 0, "a sum of 2"),
        (-table(0), 0, "not negative"),
        (table(0), 5, "class 5 never occurs; the table has 5 classes"),
        (table(0), -1, "class -1 never occurs"),
        (np.stack([np.full((2, 2), 0.25), np.zeros((2, 2))], axis=2), 1, "class 1 never occurs"),
    ],
)
def test_bad_tables_are_refused(joint, c, sentence):
    with pytest.raises(ValueError, match=sentence):
        conditional_terms(joint, 0, c, np.full(joint.shape[-2], 1 / joint.shape[-2]))


# Labels and shapes


@pytest.mark.equation("68.84")
def test_one_hot():
    """The third of five classes; and the digit 3 is the fourth of ten."""
    assert one_hot([3 - 1], 5).tolist() == [[0, 0, 1, 0, 0]]
    assert one_hot(torch.tensor([3]), 10)[0].nonzero().item() + 1 == 4
    assert one_hot(np.array([1, 0]), 2).dtype == torch.float64


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([5], "labels from 5 to 5, but 5 classes are counted from 0 to 4"),
        ([-1, 2], "labels from -1 to 2"),
        ([0.5], "whole number"),
        ([[1, 2]], r"got shape \(1, 2\)"),
        ([True], "whole number"),
    ],
)
def test_wrong_labels_are_refused(labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        one_hot(labels, 5)


@pytest.mark.equation("68.83", "68.85", "68.86")
def test_shapes():
    model, (x, y) = small(), samples()
    rows = model.extend(x, y)
    assert (
        rows.shape == (B, M + C) and torch.equal(rows[:, :M], x) and torch.equal(rows[:, M:], one_hot(y, C))
    )
    assert model.encoder[0].in_features == M + C and model.decoder[0].in_features == P + C
    mean, a = model.encode(rows)
    assert mean.shape == a.shape == (B, P)
    other_mean, other_a = model.encode(model.extend(x, (y + 1) % C))  # the moments depend on h and γ
    assert ((mean - other_mean).abs() > 1e-6).all() and ((a - other_a).abs() > 1e-6).all()
    assert ((mean - model.encode(model.extend(x.flip(0), y))[0]).abs() > 0).any()
    u = col(mean, one_hot(y, C))
    assert u.shape == (B, P + C)
    assert torch.equal(model.decode(mean, y), model.decoder(u))
    assert model.decode(torch.zeros(4, B, P), y).shape == (4, B, M)
    assert model.reconstruct(rows).shape == (B, M) and model.log_likelihood(rows, mean).shape == (B,)
    of_example = ConditionalVAE(784, 2, 10, (512, 512), output="tanh")  # Example 68.3
    assert [layer.in_features for layer in of_example.encoder[::2]] == [794, 512, 512]
    assert [layer.in_features for layer in of_example.decoder[::2]] == [12, 512, 512]


@pytest.mark.equation("68.87")
def test_draws_have_the_moments_given_sample_and_label():
    model, (x, y) = small(), samples(1)
    n = 100_000
    mean, a = model.encode(model.extend(x, y).expand(n, -1))
    u = model.reparameterize(mean, a, torch.randn(n, P, generator=torch.Generator().manual_seed(0)))
    error = (a[0] / 2).exp() / math.sqrt(n)
    assert ((u.mean(dim=0) - mean[0]).abs() < 5 * error).all()
    square = (u - mean) ** 2
    assert ((square.mean(dim=0) - a[0].exp()).abs() < 5 * square.std(dim=0) / math.sqrt(n)).all()
    eps = torch.randn(n, P, generator=torch.Generator().manual_seed(0))
    slopes = torch.autograd.grad(u.sum(), [mean, a])
    assert torch.equal(slopes[0], torch.ones(n, P))
    assert (slopes[1] - 0.5 * eps * (a / 2).exp()).abs().max() < 1e-14


@pytest.mark.equation("68.88")
def test_risk_is_minus_twice_the_bound():
    model, (x, y) = small(output="tanh"), samples()
    rows, eps = model.extend(x, y), torch.randn(B, P)
    gamma = one_hot(y, C)
    mean, a = model.encode(rows)
    h_hat = model.decoder(torch.cat([mean + (a / 2).exp() * eps, gamma], dim=1))
    by_formula = (
        0.3 * sum((W**2).sum() for W in weights(model))
        + sum(((x[n] - h_hat[n]) ** 2).sum() + (mean[n] ** 2 + a[n].exp() - a[n]).sum() for n in range(B)) / B
    )
    assert risk(model, rows, eps, 0.3).item() == pytest.approx(by_formula.item(), abs=1e-12)
    bound = model.elbo(rows, eps=eps[None]).mean()
    in_nats = -2 * bound - M * math.log(2 * math.pi) + P
    assert risk(model, rows, eps).item() == pytest.approx(in_nats.item(), abs=1e-12)


@pytest.mark.erratum("S33")
def test_scaled_bound_of_a_class_may_exceed_its_evidence():
    """A linear model: given the class, only the offset of the decoder changes; the evidence is known."""
    rng = np.random.default_rng(0)
    W, of_class = rng.normal(size=(P, M)), rng.normal(size=(C, M))
    x, y = samples()
    model = small(hidden=())
    truths = [LinearGaussian(W, -of_class[c]) for c in range(C)]
    with torch.no_grad():
        model.decoder[0].weight.copy_(torch.tensor(np.vstack([W, of_class]).T))
        model.decoder[0].bias.zero_()
        posterior = np.linalg.inv(np.eye(P) + W @ W.T) @ W  # means are linear in h - offset
        a = -np.log(np.diag(np.eye(P) + W @ W.T))
        model.encoder[0].weight.zero_()
        model.encoder[0].weight[:P] = torch.tensor(np.hstack([posterior, -posterior @ of_class.T]))
        model.encoder[0].bias.copy_(torch.tensor(np.concatenate([np.zeros(P), a])))
    rows, eps = model.extend(x, y), exact_points(B)
    evidence = torch.tensor([truths[c].evidence(h[None])[0] for c, h in zip(y, x.numpy(), strict=True)])
    terms = [
        truths[c].terms(h[None], *truths[c].best_diagonal(h[None])) for c, h in zip(y, x.numpy(), strict=True)
    ]
    exact = torch.tensor([t.bound[0] for t in terms])
    with torch.no_grad():
        assert (model.elbo(rows, eps=eps) - exact).abs().max() < 1e-12  # and (68.82) holds for the module
        assert (model.elbo(rows, eps=eps) <= evidence).all()
        assert (model.elbo(rows, eps=eps, kappa=2.0) <= evidence).all()
        assert (model.elbo(rows, eps=eps, kappa=0.25) > evidence).all()  # no bound


def test_importance_bound_and_kappa_are_those_of_the_vae():
    model, (x, y) = small(likelihood="bernoulli"), samples()
    rows = model.extend(x.round(), y)
    eps = torch.randn(50, B, P)
    with torch.no_grad():
        assert model.importance_bound(rows, 50, eps=eps).mean() > model.elbo(rows, eps=eps).mean()
        mean, a = model.encode(rows)
        free, full = (model.elbo(rows, eps=eps, kappa=kappa) for kappa in (0.0, 1.0))
    assert (free - full - (J(mean, a) - P) / 2).abs().max() < 1e-12


# What it learns


def test_training_on_digits(digits):
    """With the label the bound is larger, and what is drawn shows the digit asked for."""
    X, y, X_new, y_new = digits
    torch.manual_seed(0)
    model, plain = (kind for kind in (ConditionalVAE(64, 2, 10, (64,), likelihood="bernoulli"),
                                      VAE(64, 2, (64,), likelihood="bernoulli")))  # fmt: skip
    rows = model.extend(X, y)
    train_vae(model, rows, epochs=60, lr=5e-3, batch=100)
    train_vae(plain, X, epochs=60, lr=5e-3, batch=100)
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        bounds = [
            one.elbo(x, k=20, generator=chance).mean()
            for one, x in ((model, model.extend(X_new, y_new)), (plain, X_new))
        ]
    assert bounds[0] > bounds[1] + 0.5
    assert (model.classify(X_new, generator=chance) == y_new).double().mean() > 0.8

    centres = torch.stack([X[y == c].mean(dim=0) for c in range(10)])

    def looks_like(pictures: Tensor) -> Tensor:
        return torch.cdist(pictures, centres).argmin(dim=1)

    wanted = torch.arange(10).repeat(50)
    drawn = model.sample(wanted, generator=chance)
    assert (looks_like(drawn) == wanted).double().mean() > 0.85
    redrawn = model.redraw(model.extend(X_new, y_new), (y_new + 1) % 10)
    assert (looks_like(redrawn) == (y_new + 1) % 10).double().mean() > 0.85
    assert torch.equal(model.redraw(rows, y), model.reconstruct(rows)) and not drawn.requires_grad


def test_inferring_the_label(digits):
    X, y, X_new, y_new = digits

    def trained(eta: float) -> tuple[LabelInferringVAE, dict]:
        torch.manual_seed(0)
        model = LabelInferringVAE(64, 2, 10, (64,), likelihood="bernoulli")
        return model, train_label_vae(model, X, y, eta=eta, epochs=30, lr=5e-3, batch=100)

    (taught, history), (untaught, _) = trained(20.0), trained(0.0)
    with torch.no_grad():
        accuracy = [(one.infer(X_new).argmax(dim=1) == y_new).double().mean() for one in (taught, untaught)]
    assert accuracy[0] > 0.85 and accuracy[1] < 0.5
    assert set(history) == {"fit", "cross entropy"} and history["cross entropy"][-1] < 0.2
    assert taught.reconstruct(X_new).shape == X_new.shape
    assert taught.sample(torch.tensor([3, 3])).shape == (2, 64)


def test_inferring_needs_no_label_and_its_risk_is_the_formula():
    model, (x, y) = small(LabelInferringVAE, output="tanh"), samples()
    assert model.encoder[0].in_features == model.label_network[0].in_features == M
    assert model.decoder[0].in_features == P + C
    eps, gamma_hat = torch.randn(B, P), model.infer(x)
    assert (gamma_hat.sum(dim=1) - 1).abs().max() < 1e-15
    mean, a = model.encode(x)
    h_hat = model.decoder(torch.cat([mean + (a / 2).exp() * eps, gamma_hat], dim=1))
    entropy = -gamma_hat[torch.arange(B), y].log()
    by_formula = (((x - h_hat) ** 2).sum(dim=1) + J(mean, a) + 2.0 * entropy).mean()
    assert label_risk(model, x, y, eps, 2.0).item() == pytest.approx(by_formula.item(), abs=1e-12)
    assert label_risk(model, x, one_hot(y, C), eps, 2.0).item() == pytest.approx(by_formula.item(), abs=1e-12)
    bound = model.elbo(x, eps=eps[None]).mean()
    in_nats = -2 * bound - M * math.log(2 * math.pi) + P + 2.0 * entropy.mean()
    assert in_nats.item() == pytest.approx(by_formula.item(), abs=1e-12)
    energy = sum((W**2).sum() for W in weights(model))
    assert (label_risk(model, x, y, eps, 2.0, 0.1) - by_formula - 0.1 * energy).abs() < 1e-12


# Bad input


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m, x, y: m.elbo(x), "rows col{h, γ} of 6 + 3 numbers, got shape (9, 6). Join samples"),
        (lambda m, x, y: m.elbo(torch.zeros(0, 9)), "at least one"),
        (lambda m, x, y: m.extend(x[:0], y[:0]), "at least one"),
        (lambda m, x, y: m.extend(x, y[:4]), "9 samples and 4 labels"),
        (lambda m, x, y: m.extend(x, y + 1), "labels from 1 to 3, but 3 classes are counted from 0 to 2"),
        (lambda m, x, y: m.extend(x, y / 2), "whole number"),
        (lambda m, x, y: m.extend(x, torch.full((9, 3), 0.5)), "sums up to 1.5"),
        (lambda m, x, y: m.extend(x, one_hot(y, 4)), "vectors (B, 3)"),
        (lambda m, x, y: m.extend(2 * x, y), "but this decoder gives numbers in [0, 1]"),
        (lambda m, x, y: m.extend(x * math.nan, y), "NaN"),
        (lambda m, x, y: m.elbo(torch.cat([x, 2 * one_hot(y, 3)], dim=1)), "sums up to 2"),
        (lambda m, x, y: m.elbo(torch.cat([x, -one_hot(y, 3)], dim=1)), "entries from -1"),
        (lambda m, x, y: m.elbo(m.extend(x, y), kappa=-0.1), "kappa must be at least 0, got -0.1"),
        (lambda m, x, y: m.sample(torch.tensor([], dtype=torch.long)), "at least one"),
        (lambda m, x, y: m.sample(torch.tensor([7])), "labels from 7 to 7"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(small(likelihood="bernoulli"), *samples())


@pytest.mark.parametrize("kind", [ConditionalVAE, LabelInferringVAE])
def test_bad_models_are_refused(kind):
    with pytest.raises(ValueError, match="expected 1 to 6 latents for samples of 6 numbers, got P = 7"):
        kind(6, 7, 3)
    with pytest.raises(ValueError, match="expected at least one class, got C = 0"):
        kind(6, 2, 0)
    with pytest.raises(ValueError, match="no likelihood 'poisson'"):
        kind(6, 2, 3, likelihood="poisson")


def test_bad_trainings_are_refused():
    model, (x, y) = small(LabelInferringVAE, likelihood="bernoulli"), samples()
    train = {"epochs": 1}
    for arguments, sentence in (
        ((x, y), "eta must be at least 0, got -1"),
        ((x, y + 1), "labels from"),
        ((x[:, :4], y), "rows of 6 numbers"),
        ((3 * x, y), "but this decoder gives numbers"),
        ((x, y[:4]), "data of one length"),
    ):
        eta = -1.0 if "eta" in sentence else 1.0
        with pytest.raises(ValueError, match=sentence):
            train_label_vae(model, *arguments, eta=eta, **train)
