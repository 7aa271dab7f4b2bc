"""Conditional adversarial networks by hand (Sayed 68.6), and discriminators with C + 1 outputs, Problem 68.8.

Each is a small change to the listings (68.160) and (68.161) of `gennet.backprop.gan`, and only the change is
written here: with labels both networks read a few numbers more, with C + 1 outputs one sensitivity changes.
Left out: loops over batches, and the PyTorch side, which is `gennet.cgan`.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from . import gan
from .gan import Passed, judge
from .network import Array, Gradients, Network, Signals, descend, forward, gradients, sensitivities

# Labels at the input


def leading_rows(W_1: Array, M: int) -> Array:
    """Return W̄ = [I 0] W₁, the M rows of the discriminator's first weights that belong to ĥ (68.174).

    The rows after them belong to the label: W₁ has M + C of them, M + C + 1 as printed (68.172).
    """
    return W_1[:M]


def forward_cgan(generator: Network, discriminator: Network, u: ArrayLike, gamma: ArrayLike) -> Passed:
    """Pass col{u, γ} through the generator, then col{ĥ, γ} through the discriminator (68.170), (68.171).

    ĥ = f(z) is the generator's last signal. The discriminator's first z is a sum over all entries of ĥ and of
    γ, minus θ, where a single term is printed (erratum S26).

    Parameters
    ----------
    generator
        Layers of P + C, ..., M units (68.164).
    discriminator
        Layers of M + C, ..., 2 units (68.165), see `gan.judge`.
    u, gamma
        Latent vectors ``(B, P)``, and labels ``(B, C)``: of both networks the same.

    Raises
    ------
    ValueError
        If networks, latent vectors and labels do not fit one another.
    """
    u_prime = _col("forward_cgan", u, gamma)
    C = u_prime.shape[1] - np.shape(u)[1]
    if discriminator.sizes[0] != generator.sizes[-1] + C:
        raise ValueError(
            f"forward_cgan: the discriminator takes {discriminator.sizes[0]} numbers; expected "
            f"{generator.sizes[-1] + C}, the generator's {generator.sizes[-1]} and {C} of the label."
        )
    g = forward(generator, u_prime)
    return Passed(g, *judge(discriminator, np.hstack([g.y[-1], gamma])))


def generator_sensitivities(
    generator: Network, g: Signals, discriminator: Network, delta_d: list[Array | None]
) -> list[Array | None]:
    """Carry the sensitivities over from a discriminator that has seen a label, and back (68.166)-(68.169).

    They are derivatives of +ln γ̂(1) in the generator's z. The chain rule has a sum over ĥ and one over γ; no
    entry of γ depends on the generator (68.168), so the second is zero, and of the first one term is left
    for each j = 1..M (erratum S29): δ = -f'(z) ⊙ (W̄ δ₂) (68.173), with the leading rows of W₁ alone. All
    else is as without labels.
    """
    f, z = generator.f[-1], g.z[-1]
    W_bar = leading_rows(discriminator.W[0], generator.sizes[-1])
    return sensitivities(generator, g.z, -f.prime(z) * (delta_d[1] @ W_bar.T))  # (B, M) at the output


def discriminator_step(
    discriminator: Network, h: ArrayLike, h_hat: ArrayLike, gamma: ArrayLike, lr: float, rho: float = 0.0
) -> Network:
    """Take one pass of the listing (68.160), real samples and fakes with the same labels γ, ``(B, C)``."""
    name = "discriminator_step"
    return gan.discriminator_step(discriminator, _col(name, h, gamma), _col(name, h_hat, gamma), lr, rho)


def generator_step(
    generator: Network, discriminator: Network, u: ArrayLike, gamma: ArrayLike, lr: float, rho: float = 0.0
) -> Network:
    """Take one pass of the listing (68.161) with (68.173) where the networks meet.

    Parameters are those of `forward_cgan`; ``lr`` is μ.
    """
    g, d, gamma_hat = forward_cgan(generator, discriminator, u, gamma)
    delta_d = gan.discriminator_sensitivities(discriminator, d, gamma_hat, gan.REAL)
    delta_g = generator_sensitivities(generator, g, discriminator, delta_d)
    return descend(generator, _negative(gradients(g.y, delta_g)), lr, rho)


# C + 1 outputs

Kind = Literal["real", "fake", "gen_class", "gen_any"]


def target(gamma_hat: Array, kind: Kind, c: ArrayLike | None = None) -> Array:
    """Return what each side wants the C + 1 outputs to be, ``(B, C + 1)``.

    The discriminator wants e_c for a real sample of class c (``"real"``), e_{C+1} for a fake. A generator
    that was asked for class c pretends e_c (``"gen_class"``). One that was asked for none is content with any
    class: γ̂(q) / (1 - γ̂(C+1)), and 0 for the last entry (``"gen_any"``); its δ is then the derivative of
    -ln(1 - γ̂(C+1)).

    Parameters
    ----------
    gamma_hat
        Outputs after the softmax, ``(B, C + 1)``.
    kind
        Of the four, one for the whole batch.
    c
        Classes from 0, ``(B,)``, where the target is a class.

    Raises
    ------
    ValueError
        If there is no such kind; if classes are missing, or are not whole numbers from 0 to C - 1.
    """
    B, C = len(gamma_hat), gamma_hat.shape[1] - 1
    if kind == "fake":
        return np.repeat(np.eye(C + 1)[-1:], B, axis=0)
    if kind == "gen_any":
        among_classes = gamma_hat[:, :-1] / gamma_hat[:, :-1].sum(axis=1, keepdims=True)
    elif kind in ("real", "gen_class"):
        among_classes = _one_hot(c, B, C)
    else:
        raise ValueError(f"target: no kind {kind!r}; there are real, fake, gen_class and gen_any.")
    return np.hstack([among_classes, np.zeros((B, 1))])


def class_sensitivity(gamma_hat: Array, kind: Kind, c: ArrayLike | None = None) -> Array:
    """Return δ = γ̂ - t at the C + 1 outputs, with the `target` t: (68.140) with more classes, Problem 68.8.

    Every row sums to zero.

    Examples
    --------
    >>> gamma_hat = gan.softmax(np.array([[0.2, -0.4, 1.0, 0.3]]))
    >>> class_sensitivity(gamma_hat, "gen_any").round(6)
    array([[-0.060008, -0.032933, -0.13355 ,  0.226492]])
    """
    return gamma_hat - target(gamma_hat, kind, c)


def class_discriminator_step(
    discriminator: Network, h: ArrayLike, c: ArrayLike, h_hat: ArrayLike, lr: float, rho: float = 0.0
) -> Network:
    """Take one pass of (68.160) for a discriminator M, ..., C + 1 that is shown no label at its input.

    Parameters
    ----------
    discriminator
        Its last activation is linear, see `gan.judge`.
    h, c, h_hat
        Real samples ``(B, M)`` with their classes ``(B,)``, and as many fakes.
    lr, rho
        μ and ρ.
    """
    d, gamma_hat = judge(discriminator, np.concatenate([h, h_hat]))  # (2B, C + 1)
    B = len(np.asarray(h))
    real, fake = class_sensitivity(gamma_hat[:B], "real", c), class_sensitivity(gamma_hat[B:], "fake")
    delta = sensitivities(discriminator, d.z, np.concatenate([real, fake]))
    return descend(discriminator, gradients(d.y, delta), lr, rho)


def class_generator_step(
    generator: Network,
    discriminator: Network,
    u: ArrayLike,
    c: ArrayLike | None,
    lr: float,
    rho: float = 0.0,
) -> Network:
    """Take one pass of (68.161) against a discriminator with C + 1 outputs, asked for classes c or for any.

    Parameters
    ----------
    generator
        Layers of P + C, ..., M units if it is asked for classes, else of P, ..., M.
    discriminator
        Layers of M, ..., C + 1 units.
    u, c
        Latent vectors ``(B, P)``; classes ``(B,)``, or None for any.
    lr, rho
        μ and ρ.
    """
    if c is not None:
        u = _col("class_generator_step", u, _one_hot(c, len(u), discriminator.sizes[-1] - 1))
    g, d, gamma_hat = gan.forward_gan(generator, discriminator, u)
    delta = class_sensitivity(gamma_hat, "gen_any" if c is None else "gen_class", c)
    delta_d = sensitivities(discriminator, d.z, delta)
    delta_g = gan.generator_sensitivities(generator, g, discriminator, delta_d)
    return descend(generator, _negative(gradients(g.y, delta_g)), lr, rho)


def _one_hot(c: ArrayLike | None, B: int, C: int) -> Array:
    """Return classes as vectors, ``(B, C)``."""
    c = np.asarray(c)
    if c.dtype.kind not in "iu" or c.shape != (B,) or not ((c >= 0) & (c < C)).all():
        raise ValueError(
            f"target: expected a class for each of {B} samples, whole numbers from 0 to {C - 1}: the last of "
            f"{C + 1} outputs is for fakes."
        )
    return np.eye(C)[c]


def _negative(up: Gradients) -> Gradients:
    """Turn what is climbed into what is descended."""
    return Gradients([-part for part in up.W], [-part for part in up.theta])


def _col(name: str, x: ArrayLike, gamma: ArrayLike) -> Array:
    """Return col{x, γ} in every row."""
    x, gamma = np.asarray(x, dtype=float), np.asarray(gamma, dtype=float)
    if x.ndim != 2 or gamma.ndim != 2 or len(x) != len(gamma):
        raise ValueError(
            f"{name}: expected samples or latent vectors as rows, and a label for each; got shapes {x.shape} "
            f"and {gamma.shape}. Write classes as vectors (B, C)."
        )
    return np.hstack([x, gamma])
