"""A fully connected network by hand: forward pass, sensitivities backwards, gradients, one step downhill.

The notation is Sayed's, (68.26)-(68.31) for the sizes and (68.44)-(68.46) for the recursion; Crowley's
lecture has the same network with two layers. Layers are counted from 0 here: layer 0 is the input, and
``W[ell]`` leads from layer ell to the next. Left out on purpose: losses (each chapter has its own) and
optimisers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Activation:
    """A function f applied to every entry of z, and its derivative: ``f(z)`` and ``f.prime(z)``.

    That f works entry by entry is what the recursion of the sensitivities rests on (erratum S8).
    """

    name: str
    value: Callable[[Array], Array]
    prime: Callable[[Array], Array]

    def __call__(self, z: Array) -> Array:
        """Return f(z)."""
        return self.value(z)


def _sigmoid(z: Array) -> Array:
    small = np.exp(-np.abs(z))  # at most 1: nothing overflows
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def _sigmoid_prime(z: Array) -> Array:
    small = np.exp(-np.abs(z))
    return small / (1.0 + small) ** 2  # y (1 - y), without the cancellation near y = 1


LINEAR = Activation("linear", np.copy, np.ones_like)
RELU = Activation("ReLU", lambda z: np.maximum(z, 0.0), lambda z: (z > 0).astype(z.dtype))
SIGMOID = Activation("sigmoid", _sigmoid, _sigmoid_prime)
TANH = Activation("tanh", np.tanh, lambda z: 1.0 - np.tanh(z) ** 2)


@dataclass(frozen=True, eq=False)
class Network:
    """Weights, offsets and activations of a network with layers 0 (the input) to L - 1.

    Attributes
    ----------
    W : list of ndarray
        ``W[ell]`` of shape ``(n[ell], n[ell + 1])``, (68.27).
    theta : list of ndarray
        ``theta[ell]`` of shape ``(n[ell + 1],)``, subtracted.
    f : list of Activation
        ``f[ell]`` makes layer ell + 1: one for each layer, since the output's is seldom that of the others
        (erratum S9).

    Raises
    ------
    ValueError
        If the sizes of neighbouring layers do not fit.
    """

    W: list[Array]
    theta: list[Array]
    f: list[Activation]

    def __post_init__(self) -> None:
        """Check that every layer fits the next."""
        if not len(self.W) == len(self.theta) == len(self.f) > 0:
            raise ValueError(
                f"Network: {len(self.W)} weight matrices, {len(self.theta)} offsets and {len(self.f)} "
                "activations. Give one of each for every layer after the input."
            )
        for ell, (W, theta) in enumerate(zip(self.W, self.theta, strict=True)):
            if W.ndim != 2 or theta.shape != W.shape[1:] or (ell and len(W) != self.W[ell - 1].shape[1]):
                before = f"{self.W[ell - 1].shape[1]}" if ell else "n"
                raise ValueError(
                    f"Network: W[{ell}] has shape {W.shape} and theta[{ell}] {theta.shape}; expected "
                    f"({before}, m) and (m,)."
                )

    @property
    def sizes(self) -> list[int]:
        """How many units each layer has, the input first."""
        return [len(self.W[0]), *(W.shape[1] for W in self.W)]


class Signals(NamedTuple):
    """What the layers hold for a batch, (68.30): ``z[ell]`` and ``y[ell]`` of shape ``(B, n[ell])``.

    ``y[0]`` is the input and ``y[-1]`` the output; the input has no z, so ``z[0]`` is None (68.31).
    """

    z: list[Array | None]
    y: list[Array]


class Gradients(NamedTuple):
    """The derivatives of a loss, in the shapes of the network's ``W`` and ``theta``."""

    W: list[Array]
    theta: list[Array]


def draw(sizes: Sequence[int], f: Sequence[Activation], rng: np.random.Generator) -> Network:
    """Return a network with random weights and zero offsets, in float64.

    The weights between layers of n and m units are normal with variance 2 / (n + m), a compromise that keeps
    the size of the signals forwards and of the sensitivities backwards (Glorot and Bengio, 2010).

    Examples
    --------
    >>> network = draw([64, 25, 64], [SIGMOID, SIGMOID], np.random.default_rng(0))
    >>> network.sizes, network.W[0].shape, network.theta[0].shape
    ([64, 25, 64], (64, 25), (25,))
    """
    pairs = list(pairwise(sizes))
    W = [rng.normal(0.0, np.sqrt(2 / (n + m)), (n, m)) for n, m in pairs]
    return Network(W, [np.zeros(m) for _, m in pairs], list(f))


def forward(network: Network, x: ArrayLike) -> Signals:
    """Pass a batch through all layers and keep what they held: z = y W - θ, y = f(z), CR14.

    Parameters
    ----------
    network
        Any network.
    x
        Shape ``(B, n[0])``, one sample in each row.

    Raises
    ------
    ValueError
        If the rows have another length.
    """
    x = np.asarray(x, dtype=float)
    if x.ndim != 2 or x.shape[1] != network.sizes[0]:
        raise ValueError(
            f"forward: expected samples as rows of {network.sizes[0]} numbers, got shape {x.shape}. "
            "Reshape images to vectors first."
        )
    z, y = [None], [x]
    for W, theta, f in zip(network.W, network.theta, network.f, strict=True):
        z.append(y[-1] @ W - theta)  # (B, n[ell + 1])
        y.append(f(z[-1]))
    return Signals(z, y)


def sensitivities(network: Network, z: list[Array | None], delta: Array) -> list[Array | None]:
    """Carry the derivative of a loss in the output's z back to all layers (68.44), (68.46), (68.48).

    δ[ell] = f'(z[ell]) ⊙ (W[ell] δ[ell + 1]) is the derivative of each sample's loss in ``z[ell]``. With
    samples as rows, W δ is ``delta @ W.T``.

    Parameters
    ----------
    network, z
        The network, and the z of its `forward` pass.
    delta
        The sensitivity of the output layer, shape ``(B, n[-1])``: it depends on the loss.

    Returns
    -------
    list of ndarray
        ``delta[ell]`` of the shape of ``z[ell]``; None for the input, which has no z.
    """
    last = len(network.W)
    deltas = [None] * last + [delta]
    for ell in range(last - 1, 0, -1):
        deltas[ell] = network.f[ell - 1].prime(z[ell]) * (deltas[ell + 1] @ network.W[ell].T)
    return deltas


def gradients(y: list[Array], delta: list[Array | None]) -> Gradients:
    """Return the gradients of the loss averaged over the batch (68.71)-(68.74).

    In W[ell] it is the mean of y[ell] δ[ell + 1]ᵀ over the samples, in theta[ell] the mean of -δ[ell + 1].

    Parameters
    ----------
    y
        The signals of `forward`.
    delta
        The sensitivities: ``delta[ell]`` of the shape of ``y[ell]``; ``delta[0]`` is not used.
    """
    B = len(y[0])
    W = [below.T @ d / B for below, d in zip(y[:-1], delta[1:], strict=True)]
    return Gradients(W, [-d.mean(axis=0) for d in delta[1:]])


def descend(network: Network, gradient: Gradients, lr: float, rho: float = 0.0) -> Network:
    """Return the network after one step of size ``lr`` against the gradient; the old one is left as it was.

    So no sensitivity can be computed with half of the weights already changed (erratum S13). With ``rho`` the
    loss has the term ρ Σ ‖W‖² besides, whose gradient is 2 ρ W.

    Raises
    ------
    FloatingPointError
        If the gradient is NaN or infinite.
    """
    for ell, parts in enumerate(zip(gradient.W, gradient.theta, strict=True)):
        if not all(np.isfinite(part).all() for part in parts):
            raise FloatingPointError(
                f"descend: the gradient of layer {ell + 1} is NaN or infinite. Look for NaN in the data; "
                "if there is none, the steps are too large: lower lr."
            )
    W = [(1 - 2 * lr * rho) * W - lr * g for W, g in zip(network.W, gradient.W, strict=True)]
    theta = [theta - lr * g for theta, g in zip(network.theta, gradient.theta, strict=True)]
    return Network(W, theta, network.f)
