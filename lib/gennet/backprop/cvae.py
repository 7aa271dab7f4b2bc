"""Labels, dropout and batch normalisation by hand: what Problems 68.4-68.7 change in the listing (68.79).

Each is a small change to `gennet.backprop.vae`, and only the change is written here. Samples are rows, and
the text's step size μ is `lr`. Left out: loops over batches, and the PyTorch modules of `gennet.cvae`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import network, vae
from .network import Activation, Array, Gradients, Network, Signals
from .vae import Forward, Pair, Sensitivities

# Problem 68.4: a label for encoder and decoder


def leading_rows(W_1: Array, P: int) -> Array:
    """Return W̄ = [I 0] W₁, the P rows of the decoder's first weights that belong to u (68.95).

    The C rows after them belong to the label: W₁ has P + C rows (68.93).
    """
    return W_1[:P]


def forward(pair: Pair, h: ArrayLike, gamma: ArrayLike, eps: ArrayLike) -> Forward:
    """Pass a batch forwards: h' = col{h, γ}, encoder, draw, u' = col{u, γ}, decoder.

    Parameters
    ----------
    pair
        An encoder of sizes M + C, ..., 2P and a decoder of sizes P + C, ..., M.
    h, gamma, eps
        Samples ``(B, M)``, labels ``(B, C)`` and standard normal draws ``(B, P)``.

    Returns
    -------
    Forward
        As that of `vae.forward`; ``e.y[0]`` is h' and ``d.y[0]`` is u'.

    Raises
    ------
    ValueError
        If encoder, decoder, samples, labels and draws do not fit one another.
    """
    h, gamma, eps = _batch(h, gamma, eps)
    M, C, P = h.shape[1], gamma.shape[1], eps.shape[1]
    _fits("encoder", pair.encoder, M + C, 2 * P)
    _fits("decoder", pair.decoder, P + C, M)
    e = network.forward(pair.encoder, np.hstack([h, gamma]))  # (B, M + C)
    mean, a = e.y[-1][:, :P], e.y[-1][:, P:]  # (B, P) each
    u = mean + np.exp(a / 2) * eps
    return Forward(e, mean, a, eps, u, network.forward(pair.decoder, np.hstack([u, gamma])))  # (B, P + C)


def sensitivities(pair: Pair, now: Forward) -> Sensitivities:
    """Return every sensitivity of the conditional listing.

    The one at the encoder's output is again a derivative of ‖h - ĥ‖² (68.89). Through the decoder's inputs it
    has a sum over u and one over γ (68.90); labels do not depend on the encoder (68.91), so that only the sum
    over u is left (68.92), and with it the leading P rows of the decoder's first weights:
    (s ⊙ f'(z)) ⊙ col{W̄ δ₂, W̄ δ₂} (68.94). All else is as without labels.
    """
    encoder, decoder = pair
    P, M = now.u.shape[1], now.h_hat.shape[1]
    h, last_prime = now.e.y[0][:, :M], encoder.f[-1].prime(now.e.z[-1])
    at_output = 2 * (now.h_hat - h) * decoder.f[-1].prime(now.d.z[-1])
    delta_d = network.sensitivities(decoder, now.d.z, at_output)
    W_bar = leading_rows(decoder.W[0], P)
    boundary = vae.transition(W_bar, delta_d[1], now.a, now.eps, last_prime)
    delta_e = network.sensitivities(encoder, now.e.z, boundary)
    lambda_ = network.sensitivities(encoder, now.e.z, vae.x(now.mean, now.a) * last_prime)
    return Sensitivities(delta_d, delta_e, lambda_)


def step(pair: Pair, h: ArrayLike, gamma: ArrayLike, eps: ArrayLike, lr: float, rho: float = 0.0) -> Pair:
    """Return encoder and decoder after one step of the conditional listing, downhill on the risk (68.88).

    Parameters and errors are those of `forward`; `lr` and `rho` those of `vae.step`. The gradients of the
    first weights use the whole h' and the whole u': `vae.gradients` needs no change.
    """
    now = forward(pair, h, gamma, eps)
    return _descended(pair, vae.gradients(now, sensitivities(pair, now)), lr, rho)


# Problem 68.5: a network for the label beside the encoder


class Triple(NamedTuple):
    """Encoder M-...-2P, label network M-...-C with linear output, decoder (P + C)-...-M."""

    encoder: Network
    label: Network
    decoder: Network


class ParallelForward(NamedTuple):
    """What the three networks hold; ``now.d.y[0]`` is col{u, γ̂}, ``c.y[-1]`` the label network's z."""

    now: Forward
    c: Signals
    gamma_hat: Array


def softmax(z: Array) -> Array:
    """Return exp(z) / Σ exp(z) along the last axis: probabilities of classes.

    Examples
    --------
    >>> softmax(np.log([[1.0, 3.0]]))
    array([[0.25, 0.75]])
    """
    e = np.exp(z - z.max(axis=-1, keepdims=True))  # at most 1: nothing overflows
    return e / e.sum(axis=-1, keepdims=True)


def parallel_forward(nets: Triple, h: ArrayLike, eps: ArrayLike) -> ParallelForward:
    """Pass a batch through encoder and label network side by side, then col{u, γ̂} through the decoder.

    Raises
    ------
    ValueError
        If networks, samples ``(B, M)`` and draws ``(B, P)`` do not fit one another.
    """
    h, _, eps = _batch(h, np.zeros((len(h), 0)), eps)
    M, P, C = h.shape[1], eps.shape[1], nets.label.sizes[-1]
    _fits("encoder", nets.encoder, M, 2 * P)
    _fits("label network", nets.label, M, C)
    _fits("decoder", nets.decoder, P + C, M)
    e, c = network.forward(nets.encoder, h), network.forward(nets.label, h)
    mean, a = e.y[-1][:, :P], e.y[-1][:, P:]
    u, gamma_hat = mean + np.exp(a / 2) * eps, softmax(c.y[-1])  # (B, P), (B, C)
    d = network.forward(nets.decoder, np.hstack([u, gamma_hat]))
    return ParallelForward(Forward(e, mean, a, eps, u, d), c, gamma_hat)


def label_boundary(W_1: Array, delta_2: Array, gamma_hat: Array, gamma: Array, eta: float) -> Array:
    """Return the sensitivity at the label network's output, ``(B, C)``.

    (diag γ̂ - γ̂ γ̂ᵀ) W̲ δ₂ + η (γ̂ - γ): what comes back from the decoder through the last C rows of its first
    weights and through the softmax, whose entries all depend on one another; and the cross entropy's part.

    Parameters
    ----------
    W_1, delta_2
        The decoder's first weights ``(P + C, n)``, and δ of the layer to which they lead, ``(B, n)``.
    gamma_hat, gamma
        Probabilities and true labels, ``(B, C)``; each true label sums to 1.
    eta
        Weight of the cross entropy.
    """
    r = delta_2 @ W_1[-gamma_hat.shape[1] :].T  # (B, C), the derivative in γ̂
    through_softmax = gamma_hat * (r - (gamma_hat * r).sum(axis=1, keepdims=True))
    return through_softmax + eta * (gamma_hat - gamma)


def parallel_step(
    nets: Triple, h: ArrayLike, gamma: ArrayLike, eps: ArrayLike, lr: float, eta: float, rho: float = 0.0
) -> Triple:
    """Return the three networks after one step on the risk of Problem 68.5.

    The risk is the mean of ‖h - ĥ‖² + J(μ, a) - η Σ γ(c) ln γ̂(c) over the batch, plus ρ Σ ‖W‖².

    Parameters
    ----------
    nets, h, eps
        As for `parallel_forward`.
    gamma
        True labels, ``(B, C)``; only the cross entropy sees them.
    lr, eta, rho
        Step size, weights of the cross entropy and of the energy of all W.

    Raises
    ------
    ValueError
        If networks, samples, labels and draws do not fit one another.
    FloatingPointError
        If a gradient is NaN or infinite.
    """
    h, gamma, eps = _batch(h, gamma, eps)
    now, c, gamma_hat = parallel_forward(nets, h, eps)
    if gamma.shape != gamma_hat.shape:
        raise ValueError(f"parallel_step: expected labels of shape {gamma_hat.shape}, got {gamma.shape}.")
    found = sensitivities(Pair(nets.encoder, nets.decoder), now)
    boundary = label_boundary(nets.decoder.W[0], found.d[1], gamma_hat, gamma, eta)
    delta_c = network.sensitivities(nets.label, c.z, boundary * nets.label.f[-1].prime(c.z[-1]))
    encoder, decoder = _descended(Pair(nets.encoder, nets.decoder), vae.gradients(now, found), lr, rho)
    label = network.descend(nets.label, network.gradients(c.y, delta_c), lr, rho)
    return Triple(encoder, label, decoder)


# Problem 68.6: dropout


def dropped(net: Network, masks: Sequence[ArrayLike], keep: Sequence[float]) -> Network:
    """Return a network whose hidden units are off where a mask is 0: f becomes m ⊙ f / k.

    Dropout (Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, 2014) so changes nothing but f, and
    f' with it: forward pass, sensitivities, gradients and step of `network` and `vae` hold as they are, the
    same mask goes forwards and backwards, and gradients of weights use the masked signal. Dividing by k keeps
    the mean of the signal, so that at test time the network is used as it is.

    Parameters
    ----------
    net
        Its output layer is left alone: {μ, a} with gaps would be another law of u, ĥ with gaps no image.
    masks
        0 or 1 for every sample and unit, ``(B, n)``, for each hidden layer; drawn anew for each batch.
    keep
        For each hidden layer the probability k of a 1.

    Raises
    ------
    ValueError
        If there are not as many masks and probabilities as hidden layers, or one lies outside its range.

    Examples
    --------
    >>> net = Network([np.eye(2), np.eye(2)], [np.zeros(2)] * 2, [network.LINEAR] * 2)
    >>> network.forward(dropped(net, [[[1, 0]]], [0.5]), [[3.0, 4.0]]).y[-1]
    array([[6., 0.]])
    """
    hidden = len(net.W) - 1
    if not len(masks) == len(keep) == hidden:
        raise ValueError(
            f"dropped: {len(masks)} masks and {len(keep)} probabilities for {hidden} hidden layers."
        )
    f = []
    for ell, (mask, k) in enumerate(zip(masks, keep, strict=True)):
        mask = np.asarray(mask, dtype=float)
        if mask.ndim != 2 or mask.shape[1] != net.sizes[ell + 1] or not np.isin(mask, (0, 1)).all():
            raise ValueError(
                f"dropped: expected a mask (B, {net.sizes[ell + 1]}) of 0 and 1 for hidden layer {ell + 1}, "
                f"got shape {mask.shape}."
            )
        if not 0 < k <= 1:
            raise ValueError(f"dropped: the probability to keep a unit must lie in (0, 1], got {k}.")
        f.append(_masked(net.f[ell], mask / k))
    return Network(net.W, net.theta, [*f, net.f[-1]])


def dropout_step(
    pair: Pair,
    h: ArrayLike,
    eps: ArrayLike,
    masks: Pair,
    keep: Pair,
    lr: float,
    rho: float = 0.0,
) -> Pair:
    """Return encoder and decoder after one step of the listing with dropout.

    Parameters
    ----------
    pair, h, eps, lr, rho
        As for `vae.step`.
    masks, keep
        Those of encoder and decoder, as for `dropped`.

    Raises
    ------
    ValueError
        As `vae.step` and `dropped`.
    """
    off = Pair(*(dropped(*of_one) for of_one in zip(pair, masks, keep, strict=True)))
    moved = vae.step(off, h, eps, lr, rho)
    return Pair(*(replace(after, f=before.f) for after, before in zip(moved, pair, strict=True)))


def _masked(f: Activation, weight: Array) -> Activation:
    return Activation(f"{f.name}, dropped", lambda z: weight * f(z), lambda z: weight * f.prime(z))


# Problem 68.7: batch normalisation


class Normalised(NamedTuple):
    """A batch brought to mean 0 and variance 1 in each unit: z̄ ``(B, n)``, and √(v + ε) ``(n,)``."""

    z_bar: Array
    deviation: Array


def normalise(z: Array, eps: float = 1e-5) -> Normalised:
    """Return z̄ = (z - m) / √(v + ε) with mean m and variance v, divisor B, of each column of the batch.

    Batch normalisation is due to Ioffe and Szegedy (2015).

    Raises
    ------
    ValueError
        If the batch has one sample: it would become 0, whatever it was (erratum S47).
    """
    if len(z) < 2:
        raise ValueError(
            f"normalise: expected a batch of at least 2 samples, got {len(z)}. A single one is its own mean, "
            "and normalised to 0."
        )
    deviation = np.sqrt(z.var(axis=0) + eps)
    return Normalised((z - z.mean(axis=0)) / deviation, deviation)


def before_normalising(delta: Array, normalised: Normalised, scale: Array) -> Array:
    """Return the sensitivity before the normalisation from that after it, ``(B, n)``.

    γ_s / √(v + ε) ⊙ (δ - mean(δ) - z̄ ⊙ mean(δ ⊙ z̄)), means over the batch: m and v depend on every sample,
    so each sample's sensitivity depends on all. They sum to 0 over the batch: a constant added to z is lost.

    Parameters
    ----------
    delta
        The derivative in z = γ_s ⊙ z̄ - θ, ``(B, n)``.
    normalised, scale
        What `normalise` returned, and γ_s, ``(n,)``.
    """
    z_bar, deviation = normalised
    return scale / deviation * (delta - delta.mean(axis=0) - z_bar * (delta * z_bar).mean(axis=0))


def at_test(z: Array, scale: Array, theta: Array, mean: Array, variance: Array, eps: float = 1e-5) -> Array:
    """Return γ_s ⊙ (z - m) / √(v + ε) - θ with moments m and v kept from training, ``(B, n)``.

    Each sample is then treated by itself, whatever batch it comes in.
    """
    return scale * (z - mean) / np.sqrt(variance + eps) - theta


class NormalisedNetwork(NamedTuple):
    """A network with batch normalisation in its hidden layers: z = γ_s ⊙ normalise(y W) - θ, y = f(z).

    ``scale`` has a γ_s for each hidden layer. θ is now the shift: subtracted before normalising it would be
    lost with the mean. The output layer is z = y W - θ as ever: {μ, a} and ĥ are not normalised.
    """

    net: Network
    scale: list[Array]

    def forward(self, x: Array) -> tuple[Signals, list[Normalised]]:
        """Pass a batch through all layers; the second list has what each hidden layer's `normalise` gave.

        Raises
        ------
        ValueError
            As `normalise`.
        """
        z, y, kept = [None], [x], []
        for ell, (W, theta, f) in enumerate(zip(self.net.W, self.net.theta, self.net.f, strict=True)):
            drive = y[-1] @ W  # (B, n[ell + 1])
            if ell < len(self.scale):
                kept.append(normalise(drive))
                drive = self.scale[ell] * kept[-1].z_bar
            z.append(drive - theta)
            y.append(f(z[-1]))
        return Signals(z, y), kept

    def backward(
        self, signals: Signals, kept: list[Normalised], delta: Array
    ) -> tuple[Gradients, list[Array], Array]:
        """Carry the sensitivity of the output back through all layers.

        Returns
        -------
        gradients, in_scale, in_x
            Averages over the batch of the gradients in W and θ, and of that in each γ_s; the sensitivity at
            the input, ``(B, n)``, through which it goes on to what lies below.
        """
        in_W, in_theta, in_scale = [], [], []
        for ell in range(len(self.net.W) - 1, -1, -1):
            in_theta.insert(0, -delta.mean(axis=0))
            if ell < len(self.scale):
                in_scale.insert(0, (delta * kept[ell].z_bar).mean(axis=0))
                delta = before_normalising(delta, kept[ell], self.scale[ell])
            in_W.insert(0, signals.y[ell].T @ delta / len(delta))
            in_y = delta @ self.net.W[ell].T
            delta = self.net.f[ell - 1].prime(signals.z[ell]) * in_y if ell else in_y
        return Gradients(in_W, in_theta), in_scale, delta

    def descended(
        self, gradient: Gradients, in_scale: list[Array], lr: float, rho: float
    ) -> "NormalisedNetwork":
        """Return the network after one step; ρ restrains W alone."""
        scale = [old - lr * slope for old, slope in zip(self.scale, in_scale, strict=True)]
        return NormalisedNetwork(network.descend(self.net, gradient, lr, rho), scale)


def normalised_step(
    encoder: NormalisedNetwork,
    decoder: NormalisedNetwork,
    h: ArrayLike,
    eps: ArrayLike,
    lr: float,
    rho: float = 0.0,
) -> tuple[NormalisedNetwork, NormalisedNetwork]:
    """Return encoder and decoder after one step of the listing with batch normalisation.

    The samples of a batch are coupled, so the listing's loop over them becomes one operation on the batch.

    Parameters
    ----------
    encoder, decoder
        Of sizes M, ..., 2P and P, ..., M.
    h, eps, lr, rho
        As for `vae.step`; at least two samples.

    Raises
    ------
    ValueError
        If networks, samples and draws do not fit one another, or there is only one sample.
    FloatingPointError
        If a gradient is NaN or infinite.
    """
    h, _, eps = _batch(h, np.zeros((len(h), 0)), eps)
    M, P = h.shape[1], eps.shape[1]
    _fits("encoder", encoder.net, M, 2 * P)
    _fits("decoder", decoder.net, P, M)
    e, kept_e = encoder.forward(h)
    mean, a = e.y[-1][:, :P], e.y[-1][:, P:]
    d, kept_d = decoder.forward(mean + np.exp(a / 2) * eps)
    at_output = 2 * (d.y[-1] - h) * decoder.net.f[-1].prime(d.z[-1])
    of_decoder, in_scale_d, in_u = decoder.backward(d, kept_d, at_output)
    last_prime = encoder.net.f[-1].prime(e.z[-1])
    beta = (vae.s(a, eps) * np.hstack([in_u, in_u]) + vae.x(mean, a)) * last_prime
    of_encoder, in_scale_e, _ = encoder.backward(e, kept_e, beta)
    return (
        encoder.descended(of_encoder, in_scale_e, lr, rho),
        decoder.descended(of_decoder, in_scale_d, lr, rho),
    )


# What all four share


def _descended(pair: Pair, gradients: tuple[Gradients, Gradients], lr: float, rho: float) -> Pair:
    return Pair(*(network.descend(net, g, lr, rho) for net, g in zip(pair, gradients, strict=True)))


def _batch(h: ArrayLike, gamma: ArrayLike, eps: ArrayLike) -> list[Array]:
    """Return a batch as arrays of as many rows."""
    h, gamma, eps = (np.asarray(part, dtype=float) for part in (h, gamma, eps))
    if not (h.ndim == gamma.ndim == eps.ndim == 2 and len(h) == len(gamma) == len(eps) > 0):
        raise ValueError(
            f"expected samples (B, M), labels (B, C) and draws (B, P), B at least 1, got shapes {h.shape}, "
            f"{gamma.shape} and {eps.shape}."
        )
    return [h, gamma, eps]


def _fits(name: str, net: Network, first: int, last: int) -> None:
    if net.sizes[0] != first or net.sizes[-1] != last:
        raise ValueError(
            f"expected {'an' if name[0] in 'aeiou' else 'a'} {name} {first}-...-{last}, got "
            f"{'-'.join(map(str, net.sizes))}."
        )
