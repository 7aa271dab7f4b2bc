"""The variational autoencoder by hand: the listings (68.41) and (68.79) with all their sensitivities.

It follows Sayed 68.2 for encoders and decoders of any number of layers. Where the text loops over the samples
of a batch, samples are rows here; nothing else is different. Left out: the loop over batches, which is two
lines, and everything that `gennet.vae` adds (other decoders, several draws, other bounds).

The text's ρ and μ, when it is a step size, are `rho` and `lr`; its mean μ is `mean`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import network
from .network import Array, Gradients, Network, Signals


class Pair(NamedTuple):
    """Encoder and decoder, each with its own W and θ (68.26), (68.28).

    The encoder's last layer has 2P units, the decoder's first P, its last as many as a sample (68.36).
    """

    encoder: Network
    decoder: Network


class Forward(NamedTuple):
    """What the forward listing (68.41) leaves for a batch of B samples.

    ``e`` and ``d`` are the signals of encoder (68.30) and decoder (68.33), (68.34); `mean`, `a`, `eps` and
    the latents ``u`` have the shape ``(B, P)``.
    """

    e: Signals
    mean: Array
    a: Array
    eps: Array
    u: Array
    d: Signals

    @property
    def h_hat(self) -> Array:
        """The decoder's output, ``(B, M)``."""
        return self.d.y[-1]


class Sensitivities(NamedTuple):
    """Derivatives in every z, in lists by layer (None for layer 0).

    ``d`` and ``e``: δ of decoder and encoder, of ‖h - ĥ‖² (68.40), (68.47); ``lambda_``: of J(μ, a), in the
    encoder (68.60).
    """

    d: list[Array | None]
    e: list[Array | None]
    lambda_: list[Array | None]


def forward(pair: Pair, h: ArrayLike, eps: ArrayLike) -> Forward:
    """Pass a batch forwards: encoder loop, partition, draw, decoder loop (68.41).

    Parameters
    ----------
    pair
        Encoder and decoder.
    h
        Samples, ``(B, M)``.
    eps
        Standard normal draws, ``(B, P)``: given, not drawn here, so that derivatives can be checked.

    Raises
    ------
    ValueError
        If encoder, decoder, samples and draws do not fit one another.
    """
    P = _latents(pair)
    e = network.forward(pair.encoder, h)
    eps = np.asarray(eps, dtype=float)
    if eps.shape != (len(e.y[0]), P):
        raise ValueError(f"forward: expected eps of shape ({len(e.y[0])}, {P}), got {eps.shape}.")
    mean, a = e.y[-1][:, :P], e.y[-1][:, P:]  # (B, P) each, (68.32)
    u = mean + np.exp(a / 2) * eps  # (68.35)
    return Forward(e, mean, a, eps, u, network.forward(pair.decoder, u))


def risk(pair: Pair, h: ArrayLike, eps: ArrayLike, rho: float = 0.0) -> float:
    """Return the empirical risk of a batch: what `step` descends, in vector form (68.39)."""
    now = forward(pair, h, eps)
    square = ((h - now.h_hat) ** 2).sum(axis=1)  # (B,)
    J = (now.mean**2 + np.exp(now.a) - now.a).sum(axis=1)  # (B,), (68.59)
    energy = sum((W**2).sum() for part in pair for W in part.W)
    return float(rho * energy + (square + J).mean())


def terminal(now: Forward, f_prime: Array) -> Array:
    """Return δ at the decoder's output, 2 (ĥ - h) ⊙ f'(z), ``(B, M)`` (68.42), (68.43)."""
    return 2 * (now.h_hat - now.e.y[0]) * f_prime


def s(a: Array, eps: Array) -> Array:
    """Return s = col{1, ..., 1, ½ ε ⊙ exp(a / 2)}, ``(B, 2P)`` (68.57).

    It is the derivative of u in the encoder's outputs: 1 in the mean, ½ ε exp(a / 2) in the log-variance. The
    derivative of u(p) in the outputs that belong to other latents is 0 (68.53).
    """
    return np.hstack([np.ones_like(a), 0.5 * eps * np.exp(a / 2)])


def transition(W_1: Array, delta_2: Array, a: Array, eps: Array, f_prime: Array) -> Array:
    """Return δ at the encoder's output, ``(B, 2P)``: through the draw, from the decoder's first layer.

    (s ⊙ f'(z)) ⊙ col{W₁ δ₂, W₁ δ₂} (68.49), (68.56), (68.58): W₁ δ₂ is the derivative in u, since that of
    the decoder's first z in u is W₁ (68.54), (68.55), and u(p) depends on the p-th mean and on the p-th
    log-variance.

    Parameters
    ----------
    W_1, delta_2
        The decoder's first weights ``(P, n)``, and δ of the layer to which they lead, ``(B, n)``.
    a, eps
        Log-variances and draws, ``(B, P)``.
    f_prime
        f'(z) of the encoder's output, ``(B, 2P)``: ones, if it is linear.
    """
    in_u = delta_2 @ W_1.T  # (B, P)
    return s(a, eps) * f_prime * np.hstack([in_u, in_u])


def x(mean: Array, a: Array) -> Array:
    """Return x = col{2 μ, exp(a) - 1}, ``(B, 2P)`` (68.63): the derivative of J in the encoder's outputs.

    Where (68.62) counts the log-variances from P + 1, they count from 1 (erratum S11).
    """
    return np.hstack([2 * mean, np.exp(a) - 1])


def sensitivities(pair: Pair, now: Forward) -> Sensitivities:
    """Return every sensitivity: δ through the decoder, the transition and the encoder, λ through the encoder.

    δ_d (68.43), (68.44), (68.46); the transition (68.58); δ_e (68.48); λ at the encoder's output, x ⊙ f'(z)
    (68.61), (68.64), and below (68.65), (68.67). The recursions rest on (68.45), (68.66): a unit k depends on
    the z of unit j below through f(z(j)) w[j, k] alone, if f works entry by entry (erratum S8). All use the
    weights before the step (erratum S13).
    """
    encoder, decoder = pair
    last_prime = encoder.f[-1].prime(now.e.z[-1])  # (B, 2P)
    delta_d = network.sensitivities(decoder, now.d.z, terminal(now, decoder.f[-1].prime(now.d.z[-1])))
    boundary = transition(decoder.W[0], delta_d[1], now.a, now.eps, last_prime)
    delta_e = network.sensitivities(encoder, now.e.z, boundary)
    lambda_ = network.sensitivities(encoder, now.e.z, x(now.mean, now.a) * last_prime)
    return Sensitivities(delta_d, delta_e, lambda_)


def gradients(now: Forward, found: Sensitivities) -> tuple[Gradients, Gradients]:
    """Return the gradients of encoder and decoder, averaged over the batch, without the term of ρ.

    Decoder: y δᵀ in W, -δ in θ (68.71), (68.72). Encoder: that with δ (68.73), (68.74), plus that with λ
    (68.75), (68.76): in short with β = δ + λ (68.68), which starts at (68.70) and obeys the same recursion
    (68.69). The gradient in θ has the shape of θ, without the printed transpose (erratum S12).
    """
    beta = [None if delta is None else delta + lam for delta, lam in zip(found.e, found.lambda_, strict=True)]
    return network.gradients(now.e.y, beta), network.gradients(now.d.y, found.d)


def step(pair: Pair, h: ArrayLike, eps: ArrayLike, lr: float, rho: float = 0.0) -> Pair:
    """Return encoder and decoder after one step of the training listing (68.79).

    Parameters
    ----------
    pair
        The weights of iteration m - 1; they are left as they are.
    h, eps
        A batch, ``(B, M)``, which the encoder's input must fit (68.77), and its draws, ``(B, P)``.
    lr, rho
        Step size and weight of the energy of all W: both 0.0001 in Example 68.1.

    Raises
    ------
    ValueError
        As `forward`.
    FloatingPointError
        If a gradient is NaN or infinite.
    """
    now = forward(pair, h, eps)
    of_encoder, of_decoder = gradients(now, sensitivities(pair, now))
    return Pair(
        network.descend(pair.encoder, of_encoder, lr, rho), network.descend(pair.decoder, of_decoder, lr, rho)
    )


def _latents(pair: Pair) -> int:
    """Return P, after a look at the conditions of the listing (68.77)."""
    M, *_, twice = pair.encoder.sizes
    P, *_, out = pair.decoder.sizes
    if twice != 2 * P or out != M:
        raise ValueError(
            f"forward: an encoder {'-'.join(map(str, pair.encoder.sizes))} and a decoder "
            f"{'-'.join(map(str, pair.decoder.sizes))} do not fit: expected M-...-2P and P-...-M."
        )
    return P
