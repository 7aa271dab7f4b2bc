"""The bound against exact fractions, enumeration, quadrature and draws; the VAE against a known model."""

import math
from fractions import Fraction as F
from itertools import product

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats
from torch import distributions as td

from gennet import bound as bd
from gennet import divergences as dv
from gennet import vae as vae_room
from gennet.bound import LinearGaussian, Terms

# A prior of 4 values of u and a decoder f(h|u) for 3 values of h, in fractions
PRIOR = [F(1, 2), F(1, 4), F(1, 8), F(1, 8)]
DECODER = [[F(3, 4), F(1, 4), F(1, 2), F(1, 8)], [F(1, 8), F(1, 2), F(1, 4), F(1, 8)]]
DECODER.append([1 - a - b for a, b in zip(*DECODER, strict=True)])
JOINT = [[p * f for p, f in zip(PRIOR, row, strict=True)] for row in DECODER]
TABLE = np.array(JOINT, dtype=float)


def laws(rng: np.random.Generator, *shape: int) -> np.ndarray:
    masses = rng.exponential(size=shape)
    return masses / masses.sum(axis=-1, keepdims=True)


def tables(rng: np.random.Generator, number: int = 40):
    for _ in range(number):
        H, U = rng.integers(2, 7, 2)
        yield laws(rng, H * U).reshape(H, U), int(rng.integers(H)), laws(rng, 5, U)


# The finite table


@pytest.mark.equation("68.2", "68.4", "68.7", "68.81", "YA9")
def test_gap_and_bound_add_up_to_the_evidence_exactly():
    """In fractions: for q with masses k/8, 8 (gap + bound) is the logarithm of a product of fractions."""
    for h, row in enumerate(JOINT):
        evidence = sum(row)
        for counts in product(range(9), repeat=4):
            if sum(counts) != 8:
                continue
            gap = bound = reconstruction = divergence = F(1)  # exp of 8 times each term
            for k, joint, prior, likelihood in zip(counts, row, PRIOR, DECODER[h], strict=True):
                if not k:
                    continue
                q = F(k, 8)
                gap *= (q / (joint / evidence)) ** k
                bound *= (joint / q) ** k
                reconstruction *= likelihood**k
                divergence *= (q / prior) ** k
            assert gap * bound == evidence**8  # (68.2), (68.4)
            assert bound == reconstruction / divergence  # (68.6)
            assert gap * reconstruction / divergence == evidence**8  # (68.7)
            q = np.array(counts) / 8
            terms = bd.table_terms(TABLE, h, q)
            exact = [evidence**8, gap, reconstruction, divergence]
            assert np.allclose(terms, [math.log(x) / 8 for x in exact], rtol=0, atol=1e-12)
            assert bd.elbo(TABLE, h, q) == pytest.approx(math.log(bound) / 8, abs=1e-12)


@pytest.mark.equation("68.2", "68.3", "68.4", "68.5", "68.6", "68.7", "YA9")
def test_every_line_of_the_derivation_has_the_same_value():
    for joint, h, q in tables(np.random.default_rng(1)):
        evidence, prior, decoder = joint.sum(axis=1), joint.sum(axis=0), joint / joint.sum(axis=0)
        posterior = joint[h] / evidence[h]
        terms = bd.table_terms(joint, h, q)
        lines_of_the_bound = [
            bd.elbo(joint, h, q),  # (68.3)
            (q * np.log(joint[h] / q)).sum(axis=1),
            q @ np.log(joint[h]) - (q * np.log(q)).sum(axis=1),  # (68.5)
            q @ np.log(prior * decoder[h]) - (q * np.log(q)).sum(axis=1),  # (68.6), three lines
            q @ np.log(decoder[h]) - (q * np.log(q / prior)).sum(axis=1),
            q @ np.log(decoder[h]) - dv.kl(q, prior),
            terms.bound,
        ]
        lines_of_the_slides = [
            q @ np.full(len(prior), np.log(evidence[h])),
            q @ np.log(decoder[h] * prior / posterior),
            (q * np.log(decoder[h] * prior / posterior * q / q)).sum(axis=1),
            q @ np.log(decoder[h])
            - (q * np.log(q / prior)).sum(axis=1)
            + (q * np.log(q / posterior)).sum(axis=1),
            q @ np.log(decoder[h]) - dv.kl(q, prior) + dv.kl(q, posterior),
            terms.gap + terms.bound,  # (68.2), (68.4)
            terms.gap + terms.reconstruction - terms.divergence,  # (68.7)
        ]
        assert np.ptp(lines_of_the_bound, axis=0).max() < 1e-12
        assert np.ptp(lines_of_the_slides, axis=0).max() < 1e-12
        assert np.allclose(lines_of_the_slides, np.log(evidence[h]), rtol=0, atol=1e-12)
        assert terms.evidence == np.log(joint[h].sum())


@pytest.mark.equation("68.8")
def test_bound_lies_below_the_evidence_and_touches_it_at_the_posterior_only():
    for joint, h, q in tables(np.random.default_rng(2)):
        evidence = np.log(joint[h].sum())
        assert (bd.elbo(joint, h, q) < evidence - 1e-6).all()
        posterior = bd.posterior(joint, h)
        assert bd.elbo(joint, h, posterior) == pytest.approx(evidence, abs=1e-14)
        away = posterior + 1e-3 * (q - posterior)  # a law near the posterior
        loss = evidence - bd.elbo(joint, h, away)
        assert (loss > 0).all() and np.allclose(loss, dv.kl(away, posterior), rtol=0, atol=1e-13)


@pytest.mark.equation("68.1", "68.9", "YA8")
def test_both_searches_find_the_posterior():
    assert (bd.posterior(TABLE, 1) == [float(x / sum(JOINT[1])) for x in JOINT[1]]).all()  # YA8, exactly
    grid = np.array([counts for counts in product(range(13), repeat=4) if sum(counts) == 12]) / 12
    for h in range(3):
        gaps = dv.kl(grid, bd.posterior(TABLE, h))
        assert gaps[bd.elbo(TABLE, h, grid).argmax()] == pytest.approx(gaps.min(), abs=1e-12)
    rng = np.random.default_rng(3)
    for joint, h, _ in tables(rng, 5):
        U = joint.shape[1]

        def softmax(x: np.ndarray) -> np.ndarray:
            e = np.exp(x - x.max())
            return e / e.sum()

        posterior = bd.posterior(joint, h)
        searches = [
            lambda x, posterior=posterior: dv.kl(softmax(x), posterior),
            lambda x, joint=joint, h=h: -bd.elbo(joint, h, softmax(x)),
        ]
        for search in searches:
            found = softmax(optimize.minimize(search, np.zeros(U), tol=1e-12).x)
            assert np.allclose(found, posterior, rtol=0, atol=1e-5)


def test_terms_where_the_table_has_zeros():
    joint = np.array([[0.5, 0.0, 0.25], [0.0, 0.0, 0.25]])
    with np.errstate(all="raise"):
        terms = bd.table_terms(joint, 0, [[2 / 3, 0, 1 / 3], [0, 1, 0], [0.5, 0, 0.5]])
        bounds = bd.elbo(joint, 0, [[2 / 3, 0, 1 / 3], [0, 1, 0], [0.5, 0, 0.5]])
    assert bounds[1] == terms.bound[1] == -np.inf and terms.gap[1] == np.inf
    assert np.allclose(terms.bound[[0, 2]], bounds[[0, 2]], rtol=0, atol=1e-15)
    assert terms.gap[0] == pytest.approx(0, abs=1e-15) and terms.bound[0] == pytest.approx(np.log(0.75))


@pytest.mark.parametrize("function", [bd.elbo, bd.table_terms])
@pytest.mark.parametrize(
    ("joint", "h", "q", "said"),
    [
        ([0.5, 0.5], 0, [1.0], r"expected a joint table of shape \(H, U\), got \(2,\)"),
        ([[0.5, 0.4]], 0, [0.5, 0.5], "sum of 0.9"),
        ([[1.5, -0.5]], 0, [0.5, 0.5], "smallest of -0.5"),
        ([[np.nan, 0.5]], 0, [0.5, 0.5], "not negative and sum to 1"),
        ([[0.5, 0.5]], 1, [0.5, 0.5], "there is no h = 1; the table has rows 0 to 0"),
        ([[0.5, 0.5]], -1, [0.5, 0.5], "there is no h = -1"),
        ([[0.5, 0.5], [0, 0]], 1, [0.5, 0.5], "never occurs"),
        ([[0.5, 0.5]], 0, [0.2, 0.3, 0.5], "q has 3 masses for 2 values of u"),
        ([[0.5, 0.5]], 0, [[0.5, 0.5], [0.5, 0.6]], "expected masses q"),
        ([[0.5, 0.5]], 0, [np.nan, 0.5], "expected masses q"),
    ],
)
def test_bad_tables_are_refused(function, joint, h, q, said: str):
    with pytest.raises(ValueError, match=f"^{function.__name__}: .*{said}"):
        function(joint, h, q)


# The linear decoder


def model_and_moments(rng: np.random.Generator, P: int, M: int, B: int):
    model = LinearGaussian(rng.normal(size=(P, M)), rng.normal(size=M))
    return model, rng.normal(size=(B, M)), rng.normal(size=(B, P)), rng.normal(size=(B, P))


@pytest.mark.equation("68.7", "68.8")
def test_linear_model_keeps_the_theorem_in_many_dimensions():
    rng = np.random.default_rng(4)
    for P, M in [(1, 1), (2, 5), (5, 3), (3, 40)]:
        model, h, mu, a = model_and_moments(rng, P, M, 6)
        terms = model.terms(h, mu, a)
        assert np.allclose(terms.gap + terms.bound, terms.evidence, rtol=0, atol=1e-10)
        assert (terms.gap > 0).all()
        law = stats.multivariate_normal(-model.theta, model.W.T @ model.W + np.eye(M))
        assert np.allclose(terms.evidence, law.logpdf(h), rtol=0, atol=1e-9)


@pytest.mark.equation("68.3", "68.6", "YA8")
def test_linear_model_agrees_with_quadrature():
    model = LinearGaussian([[1.5, -0.5]], [0.3, -1.0])
    h, mu, a = np.array([[1.2, 0.4]]), np.array([[0.2]]), np.array([[-0.7]])
    sigma = math.exp(a[0, 0] / 2)

    def log_decoder(u: float) -> float:
        return stats.norm.logpdf(h[0], u * model.W[0] - model.theta).sum()

    def over_q(f) -> float:
        return integrate.quad(
            lambda u: stats.norm.pdf(u, mu[0, 0], sigma) * f(u), -12, 12, points=[mu[0, 0]], epsabs=1e-11
        )[0]

    log_q, log_prior = lambda u: stats.norm.logpdf(u, mu[0, 0], sigma), stats.norm.logpdf
    evidence = integrate.quad(lambda u: math.exp(log_decoder(u) + log_prior(u)), -12, 12, epsabs=1e-13)[0]
    one_integral = over_q(lambda u: log_decoder(u) + log_prior(u) - log_q(u))  # (68.3)
    terms = model.terms(h, mu, a)
    assert terms.evidence[0] == pytest.approx(math.log(evidence), abs=1e-8)
    assert terms.bound[0] == pytest.approx(one_integral, abs=1e-8)
    assert terms.reconstruction[0] == pytest.approx(over_q(log_decoder), abs=1e-8)
    assert terms.divergence[0] == pytest.approx(over_q(lambda u: log_q(u) - log_prior(u)), abs=1e-8)

    mean, covariance = model.posterior(h)

    def log_posterior(u: float) -> float:
        return stats.norm.logpdf(u, mean[0, 0], math.sqrt(covariance[0, 0]))

    assert math.exp(log_posterior(0.4)) == pytest.approx(
        math.exp(log_decoder(0.4) + log_prior(0.4)) / evidence, abs=1e-8
    )
    assert terms.gap[0] == pytest.approx(over_q(lambda u: log_q(u) - log_posterior(u)), abs=1e-8)


@pytest.mark.equation("68.9")
def test_best_diagonal_law_is_the_optimum_and_its_gap_is_known():
    rng = np.random.default_rng(5)
    model, h, _, _ = model_and_moments(rng, 3, 4, 2)
    mu, a = model.best_diagonal(h)

    def loss(x: np.ndarray) -> float:
        return -model.terms(h[:1], x[None, :3], x[None, 3:]).bound[0]

    found = optimize.minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-8})
    assert np.allclose(found.x, np.concatenate([mu[0], a[0]]), rtol=0, atol=1e-5)
    assert found.fun == pytest.approx(-model.terms(h, mu, a).bound[0], abs=1e-9)
    precision = np.eye(3) + model.W @ model.W.T
    gap = (np.log(np.diag(precision)).sum() - np.log(np.linalg.det(precision))) / 2
    assert np.allclose(model.terms(h, mu, a).gap, gap, rtol=0, atol=1e-10)
    mean, covariance = model.posterior(h)
    assert np.allclose(mean, mu, rtol=0, atol=1e-12)
    assert (np.exp(a) <= np.diag(covariance)).all(), "never wider than the posterior"


def test_numbers_of_the_small_example():
    """One latent, one pixel, h = 2: the numbers that the course quotes."""
    terms = LinearGaussian([[1.0]], [0.0]).terms([[2.0]], [[1.0]], np.log([[0.5]]))
    assert isinstance(terms, Terms)
    assert terms.evidence[0] == pytest.approx(-2.26551, abs=5e-6)
    assert terms.gap[0] == pytest.approx(0, abs=1e-15)
    scaled = [terms.reconstruction[0] - kappa * terms.divergence[0] for kappa in (0.5, 2)]
    assert scaled == pytest.approx([-1.96723, -2.86209], abs=5e-6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LinearGaussian([1.0], [0.0]), r"expected W \(P, M\) and theta \(M,\), got \(1,\)"),
        (lambda: LinearGaussian([[1.0, 2.0]], [0.0]), r"got \(1, 2\) and \(1,\)"),
        (lambda: LinearGaussian([[np.nan]], [0.0]), "NaN"),
        (lambda: LinearGaussian([[1.0]], [0.0]).evidence([2.0]), r"rows of 1 numbers, got shape \(1,\)"),
        (lambda: LinearGaussian([[1.0]], [0.0]).posterior(np.ones((2, 3))), r"got shape \(2, 3\)"),
        (lambda: LinearGaussian([[1.0]], [0.0]).evidence([[np.inf]]), "NaN or infinite"),
        (lambda: LinearGaussian([[1.0]], [0.0]).terms([[1.0]], [[1.0, 2.0]], [[0.0]]), "expected mu"),
        (lambda: LinearGaussian([[1.0]], [0.0]).terms([[1.0]], [[1.0]], [[np.nan]]), "NaN"),
        (lambda: bd.pathwise_gradient([0.0], [0.0], [1.0], lambda u: u), "pathwise_gradient: expected mu"),
        (lambda: bd.score_gradient([0.0, 1.0], [0.0], [[1.0]], lambda u: u), "score_gradient: expected mu"),
    ],
)
def test_bad_models_and_samples_are_refused(make, said: str):
    with pytest.raises(ValueError, match=said):
        make()


# Two gradients of a mean


@pytest.mark.equation("68.17")
def test_both_gradients_are_unbiased_and_their_variances_are_those_of_the_formulas():
    mu, a, n = 0.7, -0.5, 400_000
    s2 = math.exp(a)
    eps = np.random.default_rng(6).normal(size=(n, 1))
    paths = bd.pathwise_gradient([mu], [a], eps, lambda u: 2 * u)
    scores = bd.score_gradient([mu], [a], eps, lambda u: (u**2).sum(axis=1))
    variances = {
        "path": (4 * s2, mu**2 * s2 + 2 * s2**2),
        "score": (
            mu**4 / s2 + 14 * mu**2 + 15 * s2,
            mu**4 / 2 + 15 * mu**2 * s2 + 37 / 2 * s2**2,
        ),
    }
    for draws, expected in zip((paths, scores), variances.values(), strict=True):
        for gradient, mean, variance in zip(draws, (2 * mu, s2), expected, strict=True):
            assert abs(gradient.mean() - mean) < 5 * math.sqrt(variance / n)
            squares = (gradient - mean) ** 2
            assert abs(squares.mean() - variance) < 5 * squares.std() / math.sqrt(n)


@pytest.mark.equation("68.17")
def test_gradients_agree_with_autograd_draw_by_draw():
    rng = np.random.default_rng(7)
    mu, a, eps = rng.normal(size=3), rng.normal(size=3), rng.normal(size=(20, 3))

    def tensors():
        return [torch.tensor(x).expand(20, 3).clone().requires_grad_() for x in (mu, a)]

    m, log_variance = tensors()
    u = m + torch.exp(log_variance / 2) * torch.tensor(eps)
    (torch.sin(u).sum(dim=1) * u[:, 0]).sum().backward()  # F(u) = u_1 Σ sin u

    def slope(u: np.ndarray) -> np.ndarray:
        df = u[:, :1] * np.cos(u)
        df[:, 0] += np.sin(u).sum(axis=1)
        return df

    ours = bd.pathwise_gradient(mu, a, eps, slope)
    for gradient, parameter in zip(ours, (m, log_variance), strict=True):
        assert np.allclose(gradient, parameter.grad.numpy(), rtol=0, atol=1e-10)

    m, log_variance = tensors()
    fixed = u.detach()
    value = torch.sin(fixed).sum(dim=1) * fixed[:, 0]
    (value * td.Normal(m, torch.exp(log_variance / 2)).log_prob(fixed).sum(dim=1)).sum().backward()
    ours = bd.score_gradient(mu, a, eps, lambda u: np.sin(u).sum(axis=1) * u[:, 0])
    for gradient, parameter in zip(ours, (m, log_variance), strict=True):
        assert np.allclose(gradient, parameter.grad.numpy(), rtol=0, atol=1e-10)


def test_variance_of_the_score_gradient_grows_with_the_square_of_the_dimension():
    for P in (1, 3, 10):
        eps = np.random.default_rng(P).normal(size=(400_000, P))
        score, _ = bd.score_gradient(np.zeros(P), np.zeros(P), eps, lambda u: (u**2).sum(axis=1))
        path, _ = bd.pathwise_gradient(np.zeros(P), np.zeros(P), eps, lambda u: 2 * u)
        for gradient, variance in ((score, (P + 2) * (P + 4)), (path, 4)):
            squares = gradient[:, 0] ** 2
            assert abs(squares.mean() - variance) < 5 * squares.std() / math.sqrt(len(eps))


# The VAE where its decoder is linear, so that the truth is known


@pytest.fixture
def linear_vae():
    """A VAE without hidden layers in float64, with the model that its decoder is, and samples."""
    vae = vae_room.VAE(5, 2).double()
    rng = np.random.default_rng(8)
    for layer in (vae.encoder[0], vae.decoder[0]):
        layer.weight.data = torch.tensor(rng.normal(size=layer.weight.shape) / 2)
        layer.bias.data = torch.tensor(rng.normal(size=layer.bias.shape) / 2)
    decoder = vae.decoder[0]
    known = LinearGaussian(decoder.weight.detach().numpy().T, -decoder.bias.detach().numpy())
    return vae, known, torch.tensor(rng.normal(size=(7, 5)))


@pytest.mark.equation("68.10", "68.11", "68.12", "68.13", "68.14", "68.15", "68.16")
def test_encoder_gives_the_moments_of_a_density_and_draws_have_them(linear_vae):
    vae, _, h = linear_vae
    mu, a = vae.encode(h)
    assert mu.shape == a.shape == (7, 2)  # P means, P log-variances for each sample
    variance = torch.exp(a)
    assert (variance > 0).all() and torch.allclose(torch.log(variance), a, rtol=0, atol=1e-12)
    assert torch.allclose(torch.exp(a / 2) ** 2, variance, rtol=0, atol=1e-12)

    line = torch.linspace(-9, 9, 61, dtype=torch.float64)  # in standard deviations
    eps = torch.cartesian_prod(line, line)[:, None].repeat(1, 7, 1)  # (61², 7, 2)
    u = vae.reparameterize(mu, a, eps)
    with_prior = vae.log_likelihood(h, u) + td.Normal(0.0, 1.0).log_prob(u).sum(dim=-1)
    log_q = with_prior - torch.stack([vae.importance_bound(h, 1, eps=e[None]) for e in eps])
    cell = 0.3**2 * torch.exp(a / 2).prod(dim=1)  # du
    assert torch.allclose((torch.exp(log_q) * cell).sum(dim=0), torch.ones(7).double(), rtol=0, atol=1e-8)

    m, s2 = np.array([0.5, -1.0]), np.exp([-1.0, 0.8])
    n = 200_000
    eps = torch.randn(n, 2, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    u = vae.reparameterize(torch.tensor(m), torch.tensor(np.log(s2)), eps).numpy()
    assert (np.abs(u.mean(axis=0) - m) < 5 * np.sqrt(s2 / n)).all()
    assert (np.abs(u.var(axis=0) - s2) < 5 * s2 * math.sqrt(2 / n)).all()
    assert abs(np.cov(u.T)[0, 1]) < 5 * math.sqrt(s2.prod() / n)


@pytest.mark.equation("68.14")
def test_e_to_the_a_is_no_standard_deviation():
    a, n = -0.5, 200_000
    eps = np.random.default_rng(10).normal(size=n)
    right, wrong = np.exp(a / 2) * eps, np.exp(a) * eps
    error = math.exp(a) * math.sqrt(2 / n)
    assert abs(right.var() - math.exp(a)) < 5 * error
    assert abs(wrong.var() - math.exp(a)) > 50 * error


@pytest.mark.equation("68.17")
def test_draws_can_be_differentiated(linear_vae):
    vae, _, _ = linear_vae
    mu, a = (torch.full((400_000, 1), x, dtype=torch.float64, requires_grad=True) for x in (0.7, -0.5))
    eps = torch.randn(mu.shape, generator=torch.Generator().manual_seed(11), dtype=torch.float64)
    (vae.reparameterize(mu, a, eps) ** 2).sum().backward()
    for gradient, exact in ((mu.grad, 1.4), (a.grad, math.exp(-0.5))):
        error = gradient.std().item() / math.sqrt(len(mu))
        assert abs(gradient.mean().item() - exact) < 5 * error


@pytest.mark.equation("68.18", "68.19", "68.21")
@pytest.mark.erratum("S6")
def test_decoder_gives_the_mean_and_a_draw_needs_noise(linear_vae):
    vae, known, _ = linear_vae
    u = torch.randn(4, 2, dtype=torch.float64)
    assert vae.decode(u).shape == (4, 5)
    assert torch.allclose(vae.decode(u), u @ torch.tensor(known.W) - torch.tensor(known.theta), atol=1e-12)

    n, P = 200_000, 2
    law = known.W.T @ known.W + np.eye(5)  # of h, when u has its prior law N(0, I) (68.19)
    means = vae.sample(n, generator=torch.Generator().manual_seed(12)).detach().numpy()
    draws = vae.sample(n, draw=True, generator=torch.Generator().manual_seed(12)).detach().numpy()
    error = 5 * np.sqrt(2 / n) * np.abs(law).max()
    assert np.abs(np.cov(draws.T) - law).max() < error
    assert np.abs(np.cov(means.T) - (law - np.eye(5))).max() < error, "outputs lack the noise"
    assert np.linalg.matrix_rank(np.cov(means.T), tol=1e-9) == P, "they have no density"


@pytest.mark.equation("68.19")
def test_latents_for_new_samples_have_the_prior_law():
    torch.manual_seed(0)
    vae = vae_room.VAE(2, 2)
    vae.decoder = torch.nn.Identity()  # so that the latents come out
    u = vae.sample(200_000, generator=torch.Generator().manual_seed(13)).double().numpy()
    assert np.abs(u.mean(axis=0)).max() < 5 / math.sqrt(len(u))
    assert np.abs(np.cov(u.T) - np.eye(2)).max() < 5 * math.sqrt(2 / len(u))


@pytest.mark.equation("68.21", "68.22")
@pytest.mark.erratum("S2")
def test_log_likelihood_is_minus_half_the_square_and_a_constant(linear_vae):
    vae, _, h = linear_vae
    u = torch.randn(7, 2, dtype=torch.float64)
    h_hat = vae.decode(u)
    exact = td.Normal(h_hat, 1.0).log_prob(h).sum(dim=1)
    square = ((h - h_hat) ** 2).sum(dim=1)
    assert torch.allclose(vae.log_likelihood(h, u), exact, rtol=0, atol=1e-12)
    assert torch.allclose(exact, -square / 2 - 5 / 2 * math.log(2 * math.pi), rtol=0, atol=1e-12)
    ratio = exact / (-square / 2)
    assert ratio.std() > 0.1, "no factor makes one of the other"
    assert -784 / 2 * math.log(2 * math.pi) == pytest.approx(-720.45, abs=0.005)


@pytest.mark.equation("68.23")
@pytest.mark.erratum("S4")
def test_one_draw_a_sample_estimates_the_mean_over_the_data(linear_vae):
    vae, known, h = linear_vae
    mu, a = vae.encode(h)
    exact = known.terms(h.numpy(), mu.detach().numpy(), a.detach().numpy()).reconstruction
    n = 20_000
    eps = torch.randn(n, *mu.shape, generator=torch.Generator().manual_seed(14), dtype=torch.float64)
    log_likelihoods = vae.log_likelihood(h, vae.reparameterize(mu, a, eps)).detach().numpy()  # (n, 7)
    estimates = log_likelihoods.mean(axis=1)  # (68.23) with its constant, n times
    error = estimates.std() / math.sqrt(n)
    assert abs(estimates.mean() - exact.mean()) < 5 * error, "unbiased for the mean over the data"
    assert (np.abs(estimates.mean() - exact) > 20 * error).all(), "and for no single sample"


@pytest.mark.equation("68.24", "68.25", "68.37", "68.38", "68.39", "YA10")
@pytest.mark.erratum("S3")
def test_risk_is_minus_twice_the_bound_up_to_known_constants(linear_vae):
    vae, known, h = linear_vae
    M, P, n = 5, 2, 20_000
    mu, a = vae.encode(h)
    eps = torch.randn(n, *mu.shape, generator=torch.Generator().manual_seed(15), dtype=torch.float64)
    for draw in eps[:20]:
        h_hat = vae.decode(vae.reparameterize(mu, a, draw))
        square = ((h - h_hat) ** 2).sum(dim=1)
        sigma2 = torch.exp(a)
        by_variances = -(square + (mu**2 + sigma2 - torch.log(sigma2)).sum(dim=1)).mean()  # (68.24)
        by_entries = -sum(
            square[i] + sum(mu[i, p] ** 2 + torch.exp(a[i, p]) - a[i, p] for p in range(P)) for i in range(7)
        ) / len(h)  # (68.25)
        by_vectors = -(square + mu.pow(2).sum(1) + torch.exp(a) @ torch.ones(P).double() - a.sum(1)).mean()
        risk = vae_room.risk(vae, h, draw)  # (68.37), (68.39) without weights
        elbo = vae.elbo(h, eps=draw[None]).mean()
        for written in (by_variances, by_entries, by_vectors, -risk):
            assert written.item() == pytest.approx(by_variances.item(), abs=1e-12)
            assert written.item() == pytest.approx(2 * elbo.item() + M * math.log(2 * math.pi) - P, abs=1e-11)
        energy = sum((W**2).sum() for W in vae_room.weights(vae))
        assert vae_room.risk(vae, h, draw, rho=0.3).item() == pytest.approx((risk + 0.3 * energy).item())
    exact = known.terms(h.numpy(), mu.detach().numpy(), a.detach().numpy()).bound.mean()
    elbos = vae.elbo(h, eps=eps).mean().item()
    spread = vae.log_likelihood(h, vae.reparameterize(mu, a, eps)).mean(dim=1).std().item()
    assert abs(elbos - exact) < 5 * spread / math.sqrt(n)
    printed = 2 * exact + M * math.log(2 * math.pi) - P  # what (68.24) estimates
    assert abs(printed - exact) > 1, "the printed right side is no approximation of the bound"


@pytest.mark.erratum("S1")
def test_sum_of_gap_and_bound_moves_with_the_model():
    evidences = [LinearGaussian([[w]], [0.0]).evidence([[2.0]])[0] for w in (0.5, 1.0, 2.0)]
    assert np.round(evidences, 4).tolist() == [-2.6305, -2.2655, -2.1237]
    for w in (0.5, 1.0, 2.0):  # but not with q
        q = np.array([[[-1.0], [0.0]], [[0.3], [1.0]], [[2.0], [-2.0]]])
        sums = [sum(LinearGaussian([[w]], [0.0]).terms([[2.0]], [m], [a])[1:3]) for m, a in q]
        divergences = [LinearGaussian([[w]], [0.0]).terms([[2.0]], [m], [a]).divergence for m, a in q]
        assert np.ptp(np.array(sums) - divergences) < 1e-12


@pytest.mark.erratum("S42")
def test_training_draws_from_the_posterior_not_from_the_prior(linear_vae):
    """With the same decoder and data, the two ways to draw u estimate different things."""
    known = LinearGaussian([[1.0]], [0.0])
    h = np.array([[2.0]])
    mean, covariance = known.posterior(h)
    assert covariance[0, 0] == 0.5 != 1
    mu, a = known.best_diagonal(h)
    terms = known.terms(h, mu, a)
    eps = np.random.default_rng(16).normal(size=100_000)

    def estimate(u: np.ndarray) -> tuple[float, float]:
        values = stats.norm.logpdf(2.0, u)
        return values.mean() - terms.divergence[0], values.std() / math.sqrt(len(u))

    from_q, error = estimate(mean[0, 0] + math.sqrt(0.5) * eps)
    assert abs(from_q - terms.evidence[0]) < 5 * error
    from_prior, error = estimate(eps)
    assert from_prior < terms.evidence[0] - 50 * error
    vae, _, x = linear_vae
    mu, a = vae.encode(x)
    one = torch.ones(1, *mu.shape, dtype=torch.float64)
    by_hand = vae.log_likelihood(x, mu + torch.exp(a / 2)) - vae_room.divergence(mu, a)
    assert torch.allclose(vae.elbo(x, eps=one), by_hand, rtol=0, atol=1e-12), "the library draws from q"


@pytest.mark.erratum("S7")
def test_a_decoder_of_one_latent_fills_no_plane_until_noise_is_added():
    """Halving the boxes doubles the number that a curve needs and quadruples that of a law with a density."""
    rng = np.random.default_rng(17)
    W1, W2 = rng.normal(size=(1, 16)), rng.normal(size=(16, 2)) / 4
    u = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)[:, None]  # one latent, evenly through its law
    curve = np.tanh(u @ W1 + rng.normal(size=16)) @ W2
    cloud = curve + rng.normal(size=curve.shape)

    def boxes(points: np.ndarray, side: float) -> int:
        columns, rows = np.floor(points[(np.abs(points) < 1).all(axis=1)] / side).astype(int).T
        return len(set(zip(columns.tolist(), rows.tolist(), strict=True)))

    for side in (1 / 8, 1 / 16):
        assert 1.5 < boxes(curve, side / 2) / boxes(curve, side) < 2.5
        assert 3.5 < boxes(cloud, side / 2) / boxes(cloud, side) <= 4
