"""The adversarial network of Sayed's section 68.5 with its gradients by hand: listings (68.137) to (68.161).

The discriminator has two outputs, real and fake, under one softmax; a softmax is no function of each entry
alone, so the last activation of the discriminator's `Network` is linear and the softmax stands here. Where
the text needs a correction (errata S21, S24-S27) the corrected form is used. Parameters and signals carry the
index d or g where both networks appear.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .network import Array, Gradients, Network, Signals, descend, forward, gradients, sensitivities

REAL, FAKE = (1.0, 0.0), (0.0, 1.0)  # labels γ


def softmax(z: Array) -> Array:
    """Return γ̂(q) = exp z(q) / Σ exp z(q') for each row (68.136).

    The exponential stands above, too (erratum S24).

    Examples
    --------
    >>> softmax(np.array([[2.0, 1.0]])).round(6)
    array([[0.731059, 0.268941]])
    """
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def judge(discriminator: Network, h: ArrayLike) -> tuple[Signals, Array]:
    """Pass real or fake samples through the discriminator; return its signals and γ̂ (68.133)-(68.136).

    Parameters
    ----------
    discriminator
        Layers of M, ..., 2 units (68.134), the last activation linear (68.128), (68.129).
    h
        Samples, shape ``(B, M)``.

    Returns
    -------
    signals, gamma_hat
        ``gamma_hat`` of shape ``(B, 2)``: its first column is D(h).

    Raises
    ------
    ValueError
        If the last activation is not linear.
    """
    if discriminator.f[-1].name != "linear":
        raise ValueError(
            f"judge: the last activation of the discriminator is {discriminator.f[-1].name}. "
            "Give LINEAR: the softmax is added here."
        )
    signals = forward(discriminator, h)
    return signals, softmax(signals.z[-1])


class Passed(NamedTuple):
    """What the forward listing of the GAN leaves behind."""

    g: Signals
    d: Signals
    gamma_hat: Array


def forward_gan(generator: Network, discriminator: Network, u: ArrayLike, noise: ArrayLike = 0.0) -> Passed:
    """Pass latent vectors through the generator and its fakes through the discriminator, listing (68.137).

    Parameters
    ----------
    generator
        Layers of P, ..., M units (68.126), (68.127), (68.131).
    discriminator
        Layers of M, ..., 2 units, see `judge`.
    u
        Latent vectors, shape ``(B, P)``: the generator's first signal (68.130). Its last is ĥ (68.132), what
        the discriminator is given (68.135).
    noise
        Added to ĥ on the way, shape ``(B, M)``.
    """
    if generator.sizes[-1] != discriminator.sizes[0]:
        raise ValueError(
            f"forward_gan: the generator gives {generator.sizes[-1]} numbers, the discriminator takes "
            f"{discriminator.sizes[0]}. Give both the size M of a sample."
        )
    g = forward(generator, u)
    return Passed(g, *judge(discriminator, g.y[-1] + noise))


def terminal_sensitivity(gamma_hat: Array, gamma: ArrayLike) -> Array:
    """Return the derivative of -Σ γ(q) ln γ̂(q) in the outputs z, (Σ γ) γ̂ - γ (68.138)-(68.140).

    It is γ̂ - γ only for labels that sum to 1 (erratum S25).

    Parameters
    ----------
    gamma_hat
        Shape ``(B, 2)``.
    gamma
        Labels, ``(B, 2)``, or one for all, such as `REAL`.
    """
    gamma = np.asarray(gamma, dtype=float)
    return gamma.sum(axis=-1, keepdims=True) * gamma_hat - gamma


def discriminator_sensitivities(
    discriminator: Network, d: Signals, gamma_hat: Array, gamma: ArrayLike
) -> list:
    """Carry the terminal sensitivity back through the discriminator (68.141), (68.142), (68.148).

    They are derivatives of the cross entropy, which is minimised. With the label `REAL` they are those of
    -ln γ̂(1) (68.149).
    """
    return sensitivities(discriminator, d.z, terminal_sensitivity(gamma_hat, gamma))


def generator_sensitivities(
    generator: Network, g: Signals, discriminator: Network, delta_d: list[Array]
) -> list[Array]:
    """Carry the sensitivities over from the discriminator and back through the generator (68.143)-(68.150).

    They are derivatives of +ln γ̂(1), which is maximised, hence the minus sign where the networks meet
    (erratum S44): δ_g = -f'(z_g) ⊙ (W_1d δ_2d) at the generator's output (68.150), then the usual recursion
    (68.144).

    Parameters
    ----------
    generator, g
        The generator and its signals.
    discriminator, delta_d
        The discriminator and its sensitivities for fakes with the label `REAL`.
    """
    f, z = generator.f[-1], g.z[-1]
    delta = -f.prime(z) * (delta_d[1] @ discriminator.W[0].T)  # (B, M)
    return sensitivities(generator, g.z, delta)


def discriminator_gradients(
    discriminator: Network, h: ArrayLike, h_hat: ArrayLike, real: ArrayLike = REAL
) -> Gradients:
    """Return the gradient of the cross entropy, averaged over real and fake samples (68.151), (68.152).

    Parameters
    ----------
    discriminator
        See `judge`.
    h, h_hat
        Real and fake samples, ``(B, M)`` each (68.156), (68.157).
    real
        The label of real samples; a soft one should sum to 1, such as (0.9, 0.1).
    """
    both = np.concatenate([h, h_hat])  # (2B, M)
    gamma = np.repeat([real, FAKE], [len(h), len(h_hat)], axis=0)
    d, gamma_hat = judge(discriminator, both)
    delta = discriminator_sensitivities(discriminator, d, gamma_hat, gamma)
    return gradients(d.y, delta)


def generator_gradients(
    generator: Network, discriminator: Network, u: ArrayLike, noise: ArrayLike = 0.0
) -> Gradients:
    """Return the gradient of what the generator minimises, the mean of -ln γ̂(1) (68.153), (68.154).

    The text maximises, and its δ are derivatives of +ln γ̂(1): here the sign is turned once, at the end.
    """
    g, d, gamma_hat = forward_gan(generator, discriminator, u, noise)
    delta_d = discriminator_sensitivities(discriminator, d, gamma_hat, REAL)  # fakes that pretend to be real
    delta_g = generator_sensitivities(generator, g, discriminator, delta_d)
    up = gradients(g.y, delta_g)
    return Gradients([-part for part in up.W], [-part for part in up.theta])


def discriminator_step(
    discriminator: Network,
    h: ArrayLike,
    h_hat: ArrayLike,
    lr: float,
    rho: float = 0.0,
    real: ArrayLike = REAL,
) -> Network:
    """Take one pass of the discriminator's listing: W ← (1 - 2μρ) W - μ/2B Σ (y δᵀ + ŷ δ̂ᵀ) (68.160).

    μ is ``lr``. For the other arguments see `discriminator_gradients`.
    """
    return descend(discriminator, discriminator_gradients(discriminator, h, h_hat, real), lr, rho)


def generator_step(
    generator: Network,
    discriminator: Network,
    u: ArrayLike,
    lr: float,
    rho: float = 0.0,
    noise: ArrayLike = 0.0,
) -> Network:
    """Take one pass of the generator's listing: W ← (1 - 2μρ) W + μ/B Σ y δᵀ, θ ← θ - μ/B Σ δ (68.161).

    The discriminator is the one that has just been updated (erratum S27). μ is ``lr``; for the other
    arguments see `generator_gradients`.
    """
    return descend(generator, generator_gradients(generator, discriminator, u, noise), lr, rho)


def train(
    generator: Network,
    discriminator: Network,
    X: ArrayLike,
    rng: np.random.Generator,
    *,
    rounds: int,
    B: int,
    lr: float,
    rho: float = 0.0,
    K_d: int = 1,
    K_g: int = 1,
    real: ArrayLike = REAL,
    noise: float = 0.0,
) -> tuple[Network, Network]:
    """Train both networks by turns, K_d steps of (68.160), then K_g steps of (68.161), as in (68.155).

    Parameters
    ----------
    generator, discriminator
        Random first networks (68.158); see `forward_gan`.
    X
        Real samples, shape ``(N, M)``.
    rng
        Draws the batches, the latent vectors and the noise.
    rounds, B
        How often both move; samples in a batch.
    lr, rho
        μ and ρ, of both networks.
    K_d, K_g
        Steps of the discriminator and of the generator in a round.
    real
        Label of the real samples; see `discriminator_gradients`.
    noise
        Standard deviation of Gaussian noise added to every sample, real or fake, that the discriminator sees.

    Returns
    -------
    generator, discriminator
        Those of the last round (68.159).
    """
    X = np.asarray(X, dtype=float)
    P, M = generator.sizes[0], discriminator.sizes[0]
    blur = (lambda: noise * rng.standard_normal((B, M))) if noise else (lambda: 0.0)
    for _ in range(rounds):
        for _ in range(K_d):
            h_hat = forward(generator, rng.standard_normal((B, P))).y[-1]
            h = X[rng.integers(len(X), size=B)]
            discriminator = discriminator_step(discriminator, h + blur(), h_hat + blur(), lr, rho, real)
        for _ in range(K_g):
            u = rng.standard_normal((B, P))
            generator = generator_step(generator, discriminator, u, lr, rho, blur())
    return generator, discriminator
