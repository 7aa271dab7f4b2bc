"""The adversarial game without networks: on finite tables, and on densities of a line.

The sources are Sayed's section 68.4 and Saha's slides, with the proof of Goodfellow and co-authors. A law is
a table of masses, or a density at equidistant points with their spacing ``dh``. The discriminator is any
table of probabilities, the generator any law. Left out: how networks learn either, which is the rest of this
package, and the divergences themselves, which are in `gennet.divergences`.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax, xlog1py, xlogy

Array = NDArray[np.float64]
VALUE_AT_EQUILIBRIUM = -np.log(4)  # of the game, Eq. (68.114); the risk is ln 2 there


# The discriminator as a classifier


def labels(is_real: ArrayLike) -> Array:
    """Return the labels γ of samples, (1, 0) for real and (0, 1) for fake (68.96).

    Examples
    --------
    >>> labels([True, False])
    array([[1., 0.],
           [0., 1.]])
    """
    is_real = np.asarray(is_real, dtype=bool)
    return np.stack([is_real, ~is_real], axis=-1).astype(float)


def two_way_softmax(z: ArrayLike) -> Array:
    """Return γ̂(q) = exp z(q) / (exp z(1) + exp z(2)) in the last axis (68.97).

    Its first entry is the answer D(h) of the discriminator (68.101), a logistic function of z(1) - z(2): only
    the difference of the two outputs counts.

    Parameters
    ----------
    z
        Outputs before the softmax, shape ``(..., 2)``; of any size, nothing overflows.

    Examples
    --------
    >>> two_way_softmax([2.0, 1.0]).round(6)
    array([0.731059, 0.268941])
    """
    z = np.asarray(z, dtype=float)
    if z.shape[-1:] != (2,):
        raise ValueError(f"two_way_softmax: expected two outputs in the last axis, got shape {z.shape}.")
    D = expit(z[..., 0] - z[..., 1])
    return np.stack([D, expit(z[..., 1] - z[..., 0])], axis=-1)


def risk(z: ArrayLike, gamma: ArrayLike, weights: tuple[ArrayLike, ...] = (), rho: float = 0.0) -> float:
    """Return the empirical risk that the discriminator minimises, in nats (68.98)-(68.100).

    It is ρ Σ ‖W‖² - 1/N Σ_n Σ_q γ_n(q) ln γ̂_n(q), one mean over real and fake samples together: ln 2 for a
    discriminator that answers ½ everywhere (erratum S17).

    Parameters
    ----------
    z
        Outputs of the discriminator before the softmax, shape ``(N, 2)``.
    gamma
        Labels, shape ``(N, 2)``, see `labels`.
    weights, rho
        Weight matrices W and the factor ρ of their squares.

    Examples
    --------
    >>> round(risk(np.zeros((4, 2)), labels([True, True, False, False])), 6)
    0.693147
    """
    z, gamma = np.asarray(z, dtype=float), np.asarray(gamma, dtype=float)
    if z.shape != gamma.shape or z.ndim != 2 or z.size == 0:
        raise ValueError(
            f"risk: outputs of shape {z.shape} and labels of shape {gamma.shape}; both must be (N, 2)."
        )
    penalty = rho * sum(float((np.asarray(W) ** 2).sum()) for W in weights)
    return float(penalty - (gamma * log_softmax(z, axis=1)).sum(axis=1).mean())


# Value and best discriminator


def value(D: ArrayLike, f: ArrayLike, g: ArrayLike, dh: float = 1.0) -> float:
    """Return V = E_f ln D + E_g ln(1 - D), in nats (68.103), (68.105), (68.112), SA1, SA3.

    It is one sum over all points that real or fake samples can reach; the two laws need not live on the same
    points (erratum S18). Where a law has no mass its term is zero, whatever D says; where it has, an answer
    of exactly 1 for fakes or 0 for real samples costs infinitely much.

    Parameters
    ----------
    D
        The discriminator's answers, in [0, 1].
    f, g
        Laws of the real and of the fake samples at the same points: masses, or densities.
    dh
        Spacing of the points if f and g are densities.

    Raises
    ------
    ValueError
        If an answer is no probability, or a law has negative or undefined entries.

    Examples
    --------
    >>> round(value([0.5, 0.5], [0.3, 0.7], [0.3, 0.7]), 6)  # equal laws, answer ½: -ln 4 (68.114)
    -1.386294
    """
    return float(integrand(D, f, g).sum() * dh)


def integrand(D: ArrayLike, f: ArrayLike, g: ArrayLike) -> Array:
    """Return f ln D + g ln(1 - D) at every point: what the value adds up (68.105).

    For given f and g, not both 0, it is largest at D = f / (f + g) (68.104), SA4: the second derivative
    -f/D² - g/(1-D)² is negative. That needs f and g not negative (erratum G2).
    """
    f, g = _laws("value", f, g)
    D = np.asarray(D, dtype=float)
    if not ((D >= 0) & (D <= 1)).all():
        raise ValueError(
            f"value: answers of a discriminator lie in [0, 1]; got {D.min():.3g} to {D.max():.3g}."
        )
    return xlogy(f, D) + xlog1py(g, -D)


def slope(D: ArrayLike, f: ArrayLike, g: ArrayLike) -> Array:
    """Return the derivative of `integrand` in D: f / D - g / (1 - D), zero at the best answer (68.106).

    In the logit of D, which is what a network moves, it is f (1 - D) - g D: multiply by D (1 - D).
    """
    f, g = _laws("slope", f, g)
    D = np.asarray(D, dtype=float)
    return f / D - g / (1 - D)


def optimal_discriminator(f: ArrayLike, g: ArrayLike, real_share: float = 0.5) -> Array:
    """Return the best answer at every point, D* = π f / (π f + (1 - π) g) (68.107), (68.113).

    π is the share of real samples among all that the discriminator sees; ½ unless said otherwise (erratum
    S19). Where only one law has mass D* is 0 or 1. Where neither has, any answer is as good; π is returned.

    Parameters
    ----------
    f, g
        Laws of the real and of the fake samples at the same points: masses, or densities.
    real_share
        π, above 0 and below 1.

    Raises
    ------
    ValueError
        If a law has negative or undefined entries, or π is no such number.

    Examples
    --------
    >>> optimal_discriminator([0.5, 0.3, 0.2], [0.1, 0.2, 0.7]).round(6)
    array([0.833333, 0.6     , 0.222222])
    """
    f, g = _laws("optimal_discriminator", f, g)
    if not 0 < real_share < 1:
        raise ValueError(f"optimal_discriminator: real_share must lie between 0 and 1, got {real_share}.")
    real, fake = real_share * f, (1 - real_share) * g
    empty = real + fake == 0
    return np.where(empty, real_share, real / np.where(empty, 1.0, real + fake))


def best_value(f: ArrayLike, g: ArrayLike, dh: float = 1.0) -> float:
    """Return C(G), the value against the best discriminator, in nats (68.115), SA5.

    It is E_f ln f/(f+g) + E_g ln g/(f+g). From -ln 4 for equal laws to 0 for laws that share no point. It is
    `value` at `optimal_discriminator`, without the rounding of 1 - D where D is almost 1.

    Examples
    --------
    >>> round(best_value([0.5, 0.3, 0.2], [0.1, 0.2, 0.7]), 6)
    -1.083578
    """
    f, g = _laws("best_value", f, g)
    both = np.where(f + g == 0, 1.0, f + g)
    return float((xlogy(f, f / both) + xlogy(g, g / both)).sum() * dh)


def expected_risk(
    D: ArrayLike, f: ArrayLike, g: ArrayLike, real_share: float = 0.5, dh: float = 1.0
) -> float:
    """Return what the data term of `risk` tends to: -(π E_f ln D + (1 - π) E_g ln(1 - D)), in nats (68.102).

    With equal shares it is -½ times `value`: ln 2 where the value is -ln 4 (erratum S17).
    """
    f, g = _laws("expected_risk", f, g)
    return -value(D, 2 * real_share * f, 2 * (1 - real_share) * g, dh) / 2


def push_forward(p: ArrayLike, G: ArrayLike, size: int) -> Array:
    """Return the law of G(u) for u of law p: each point collects the mass of all that is mapped to it (SA3).

    G need not be invertible (erratum G4).

    Parameters
    ----------
    p
        Masses of the latent values u, shape ``(n,)``.
    G
        Where each u goes: points 0 to size - 1, shape ``(n,)``.
    size
        Number of points.

    Examples
    --------
    >>> push_forward([0.1, 0.2, 0.3, 0.4], [2, 0, 2, 1], 3)
    array([0.2, 0.4, 0.4])
    """
    return np.bincount(np.asarray(G), weights=np.asarray(p, dtype=float), minlength=size)


def equilibrium(f: ArrayLike, start: ArrayLike) -> tuple[Array, float]:
    """Solve min over g, max over D on a finite table; return g and the value (68.110), (68.111).

    The discriminator answers every move with D* of (68.113), so that the generator minimises C(g), a convex
    function whose slope in g is ln(1 - D*). The solution is g = f, D* = ½, value -ln 4 (68.118).

    Parameters
    ----------
    f
        Law of the real samples, all masses positive.
    start
        Where the search begins: a law with all masses positive.

    Raises
    ------
    ValueError
        If a mass is zero or negative: the search goes through ln g.
    """
    f, start = _laws("equilibrium", f, start)
    if (f == 0).any() or (start == 0).any():
        raise ValueError("equilibrium: every mass of f and of start must be positive.")

    def cost(a: Array) -> tuple[float, Array]:
        g = softmax(a)
        felt = np.log(g / (f + g))  # ln(1 - D*): D* need not be differentiated, it is a maximum
        return best_value(f, g), g * (felt - g @ felt)

    found = minimize(cost, np.log(start), jac=True, method="BFGS", options={"gtol": 1e-9})
    return softmax(found.x), float(found.fun)


# The moves of the players


def generator_slope(z: ArrayLike, kind: Literal["saturating", "non-saturating"]) -> Array:
    """Return the slope of the generator's payoff in the logit z of the discriminator's answer, YA12.

    Saturating, ln(1 - D) is minimised: slope -D, which dies out where fakes are found out. Non-saturating, ln
    D is maximised: slope 1 - D, which is largest there. Either way descent or ascent raises D. In D itself
    the slope of ln(1 - D) is never below 1 in size: it is the logit in which the function is flat (errata
    S22, Y8).

    Examples
    --------
    >>> generator_slope(-4.0, "saturating").round(6), generator_slope(-4.0, "non-saturating").round(6)
    (np.float64(-0.017986), np.float64(0.982014))
    """
    z = np.asarray(z, dtype=float)
    if kind == "saturating":
        return -expit(z)
    if kind == "non-saturating":
        return expit(-z)
    raise ValueError(f'generator_slope: kind is "saturating" or "non-saturating", got {kind!r}.')


def best_reply(D: ArrayLike) -> Array:
    """Return the generator's best law against a fixed discriminator: all mass on the largest D, KA3.

    For a fixed D the cost E_g ln(1 - D) is linear in g, so a corner of the simplex is best: the generator
    gives up everything but one point. This is the collapse that awaits a generator trained too long against
    the same discriminator (erratum B1). Of equal maxima the first is taken.

    Examples
    --------
    >>> best_reply([0.2, 0.6, 0.4])
    array([0., 1., 0.])
    """
    D = np.asarray(D, dtype=float)
    return np.eye(len(D))[D.argmax()]


def alternate(
    f: ArrayLike, start: ArrayLike, *, rounds: int, step: float, K_d: int = 1, K_g: int = 1
) -> tuple[Array, Array]:
    """Play by small steps on a table, K_d by the discriminator, then K_g by the generator (68.155).

    These are the rounds of SA2 and KA2. The discriminator's logits climb the value by gradient, relative to
    the mass at each point; the generator's logits (it is a softmax) descend E_g ln(1 - D) with D held fixed.
    Each player sees the other as it is now, not as it was before the round (erratum S27). The more steps the
    generator makes in a row, the nearer it comes to `best_reply`.

    Parameters
    ----------
    f
        Law of the real samples.
    start
        The generator's first law, all masses positive; the discriminator begins with ½ everywhere.
    rounds
        How often both move.
    step
        Size of a step of either.
    K_d, K_g
        Steps of the discriminator and of the generator in a round.

    Returns
    -------
    laws, answers : ndarray of shape (rounds + 1, n)
        The generator's law and the discriminator's answers, before the first round and after each.
    """
    f, g = _laws("alternate", f, start)
    a, z = np.log(g), np.zeros(len(f))
    laws, answers = [g], [expit(z)]
    for _ in range(rounds):
        for _ in range(K_d):
            D = expit(z)
            z = z + step * (f * (1 - D) - g * D) / (f + g)
        D, felt = expit(z), -np.logaddexp(0, z)  # felt = ln(1 - D)
        for _ in range(K_g):
            a = a - step * g * (felt - g @ felt)
            g = softmax(a)
        laws.append(g)
        answers.append(D)
    return np.array(laws), np.array(answers)


def bilinear(
    d: float, g: float, *, step: float, rounds: int, order: Literal["alternating", "simultaneous"]
) -> Array:
    """Play V(d, g) = d g by gradient steps, the smallest game that turns in circles (68.155).

    d climbs, g descends. Alternating, g sees the d that has just moved, and the path stays bounded for steps
    below 2. Simultaneous, both look at the old position, and the distance from the solution (0, 0) grows by
    the factor √(1 + step²) in each round (erratum S27).

    Returns
    -------
    ndarray of shape (rounds + 1, 2), the positions (d, g)

    Examples
    --------
    >>> round(float(np.hypot(*bilinear(1, 1, step=0.1, rounds=1000, order="simultaneous")[-1])), 2)
    204.74
    >>> round(float(np.hypot(*bilinear(1, 1, step=0.1, rounds=1000, order="alternating")[-1])), 2)
    1.43
    """
    if order not in ("alternating", "simultaneous"):
        raise ValueError(f'bilinear: order is "alternating" or "simultaneous", got {order!r}.')
    path = [(d, g)]
    for _ in range(rounds):
        seen = d
        d = d + step * g
        if order == "alternating":
            seen = d
        g = g - step * seen
        path.append((d, g))
    return np.array(path, dtype=float)


def _laws(name: str, f: ArrayLike, g: ArrayLike) -> tuple[Array, Array]:
    """Check two laws at the same points."""
    f, g = np.asarray(f, dtype=float), np.asarray(g, dtype=float)
    if f.shape != g.shape or f.size == 0:
        raise ValueError(
            f"{name}: laws of shapes {f.shape} and {g.shape}. Give both at the same points, at least one."
        )
    for law in (f, g):
        if not (np.isfinite(law) & (law >= 0)).all():
            raise ValueError(f"{name}: masses and densities are finite and not negative, got {law.min()}.")
    return f, g
