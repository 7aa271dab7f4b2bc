"""The variational bound where the truth is known: on a finite table, and for a linear decoder with noise.

Sayed's section 68.1, (68.1)-(68.9), and the derivation of Yao's slides (YA8, YA9), after Kingma and Welling
(2014). In both worlds evidence and posterior are known, so that every term of the bound can be checked. The
two ways to differentiate a mean over draws stand here, too. Left out: networks, which are the business of
`gennet.vae`, and their training.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from .divergences import kl, kl_gaussian, kl_to_standard

Array = NDArray[np.float64]


class Terms(NamedTuple):
    """The terms of Eq. (68.7), each by itself, in nats: evidence = gap + reconstruction - divergence.

    That gap and bound add up to the evidence is Eq. (68.2), in short Eq. (68.4), and repeated as
    Eq. (68.81). The gap is never negative, hence the bound never above the evidence: Eq. (68.8).

    Parameters
    ----------
    evidence
        ln f(h).
    gap
        D(q(u|h) ‖ f(u|h)): how far q is from the true posterior.
    reconstruction
        E_q ln f(h|u): how likely h is, decoded from draws of q.
    divergence
        D(q(u|h) ‖ f(u)): how far q is from the prior.
    """

    evidence: Array
    gap: Array
    reconstruction: Array
    divergence: Array

    @property
    def bound(self) -> Array:
        """L(q) = E_q ln f(h|u) - D(q(u|h) ‖ f(u)), the last line of Eq. (68.6)."""
        return self.reconstruction - self.divergence


# A finite table


def posterior(joint: ArrayLike, h: int) -> Array:
    """Return f(u|h) = f(u) f(h|u) / f(h), ``(U,)``, by Bayes' rule (YA8).

    The evidence is f(h) = Σ f(u) f(h|u). The posterior is the q that Eq. (68.1) and Eq. (68.9) look for.

    Parameters
    ----------
    joint
        The table f(h, u), ``(H, U)``: masses that sum to 1.
    h
        The row that was observed.

    Raises
    ------
    ValueError
        If the table is no joint law, or if it has no row h, or one that never occurs.

    Examples
    --------
    >>> posterior([[0.25, 0.125], [0.5, 0.125]], 1)
    array([0.8, 0.2])
    """
    row = _row("posterior", joint, h)
    return row / row.sum()


def elbo(joint: ArrayLike, h: int, q: ArrayLike) -> Array:
    """Return the bound as one sum, L(q) = Σ q(u) ln(f(h, u) / q(u)): Eq. (68.3).

    As two expectations it is Eq. (68.5): the mean of ln f(h, u) and that of -ln q.

    Parameters
    ----------
    joint, h
        As for `posterior`.
    q
        Any law of u: masses ``(..., U)``.

    Returns
    -------
    ndarray
        Nats, ``(...)``; minus infinity where q allows what the table does not.

    Raises
    ------
    ValueError
        As for `posterior`, and if q is no law of u.

    Examples
    --------
    >>> elbo([[0.25, 0.125], [0.5, 0.125]], 1, [[0.8, 0.2], [0.5, 0.5]]).round(4)
    array([-0.47  , -0.6931])
    """
    row = _row("elbo", joint, h)
    q = _law("elbo", q, len(row))
    with np.errstate(divide="ignore", invalid="ignore"):
        return _mean(q, np.log(row) - np.log(q))


def table_terms(joint: ArrayLike, h: int, q: ArrayLike) -> Terms:
    """Return the terms of Eq. (68.7) on a table: the last line of YA9.

    Parameters, shapes and errors are those of `elbo`.

    Examples
    --------
    >>> terms = table_terms([[0.25, 0.125], [0.5, 0.125]], 1, [0.8, 0.2])
    >>> print(terms.gap, (terms.evidence - terms.bound).round(12))
    0.0 0.0
    """
    row = _row("table_terms", joint, h)
    q = _law("table_terms", q, len(row))
    prior = np.asarray(joint, dtype=float).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        decoder = np.where(row > 0, np.log(row / prior), -np.inf)  # ln f(h|u)
    return Terms(np.log(row.sum()), kl(q, row / row.sum()), _mean(q, decoder), kl(q, prior))


def _mean(q: Array, values: Array) -> Array:
    """Return Σ q times the values; where q is 0 the value does not count."""
    with np.errstate(invalid="ignore"):
        return np.where(q > 0, q * values, 0.0).sum(axis=-1)


def _row(where: str, joint: ArrayLike, h: int) -> Array:
    """Return row h of a joint law."""
    joint = np.asarray(joint, dtype=float)
    if joint.ndim != 2 or not joint.size:
        raise ValueError(f"{where}: expected a joint table of shape (H, U), got {joint.shape}.")
    if not (joint >= 0).all() or abs(joint.sum() - 1) > 1e-9:
        raise ValueError(
            f"{where}: expected joint masses that are not negative and sum to 1, got a smallest of "
            f"{joint.min():.3g} and a sum of {joint.sum():.6g}."
        )
    if not 0 <= h < len(joint):
        raise ValueError(f"{where}: there is no h = {h}; the table has rows 0 to {len(joint) - 1}.")
    if not joint[h].any():
        raise ValueError(f"{where}: h = {h} never occurs, f(h) = 0; it has no posterior.")
    return joint[h]


def _law(where: str, q: ArrayLike, U: int) -> Array:
    """Return a law of the latent variable."""
    q = np.atleast_1d(np.asarray(q, dtype=float))
    if q.shape[-1] != U:
        raise ValueError(f"{where}: q has {q.shape[-1]} masses for {U} values of u.")
    if not (q >= 0).all() or not np.allclose(q.sum(axis=-1), 1, rtol=0, atol=1e-6):
        raise ValueError(
            f"{where}: expected masses q that are not negative and sum to 1 along the last axis."
        )
    return q


# A linear decoder with Gaussian noise


@dataclass(frozen=True)
class LinearGaussian:
    """The model u ~ N(0, I), h | u ~ N(ĥ, I) with a linear decoder, ĥ = Wᵀu - θ, in the text's convention.

    Everything is Gaussian, hence known: h ~ N(-θ, WᵀW + I), and the posterior has the precision I + W Wᵀ
    whatever h is. It is probabilistic principal component analysis, with unit noise (Tipping and Bishop,
    1999).

    Parameters
    ----------
    W
        ``(P, M)``.
    theta
        ``(M,)``.

    Raises
    ------
    ValueError
        If shapes do not fit or numbers are NaN or infinite; the same for samples and moments given later.

    Examples
    --------
    >>> model = LinearGaussian([[1.0]], [0.0])
    >>> mean, covariance = model.posterior([[2.0]])
    >>> print(mean, covariance, model.evidence([[2.0]]).round(5))
    [[1.]] [[0.5]] [-2.26551]
    """

    W: Array
    theta: Array

    def __post_init__(self) -> None:
        """Check the arrays."""
        W, theta = np.asarray(self.W, dtype=float), np.asarray(self.theta, dtype=float)
        if W.ndim != 2 or not W.size or theta.shape != W.shape[1:]:
            raise ValueError(
                f"LinearGaussian: expected W (P, M) and theta (M,), got {W.shape} and {theta.shape}."
            )
        if not (np.isfinite(W).all() and np.isfinite(theta).all()):
            raise ValueError("LinearGaussian: W or theta has NaN or infinite values.")
        object.__setattr__(self, "W", W)
        object.__setattr__(self, "theta", theta)

    def evidence(self, h: ArrayLike) -> Array:
        """Return ln f(h), ``(B,)``, of samples ``(B, M)``, in nats."""
        h = self._samples("evidence", h)
        root = np.linalg.cholesky(self.W.T @ self.W + np.eye(h.shape[1]))
        white = linalg.solve_triangular(root, (h + self.theta).T, lower=True)  # (M, B)
        log_det = 2 * np.log(np.diag(root)).sum()
        return -((white**2).sum(axis=0) + log_det + h.shape[1] * math.log(2 * math.pi)) / 2

    def posterior(self, h: ArrayLike) -> tuple[Array, Array]:
        """Return means ``(B, P)`` and the covariance ``(P, P)`` of u given samples ``(B, M)``."""
        h = self._samples("posterior", h)
        covariance = np.linalg.inv(self._precision())
        return (h + self.theta) @ self.W.T @ covariance, covariance

    def best_diagonal(self, h: ArrayLike) -> tuple[Array, Array]:
        """Return the means and log-variances ``(B, P)`` of the best q with independent entries, Eq. (68.9).

        Its means are those of the posterior; its variances, 1 / (I + W Wᵀ)_pp, are never larger.
        """
        mean, _ = self.posterior(h)
        return mean, np.broadcast_to(-np.log(np.diag(self._precision())), mean.shape)

    def terms(self, h: ArrayLike, mu: ArrayLike, a: ArrayLike) -> Terms:
        """Return the terms of Eq. (68.7) for q(u|h) = N(μ, diag eᵃ).

        Parameters
        ----------
        h
            Samples ``(B, M)``.
        mu, a
            Means and log-variances ``(B, P)``, or anything that broadcasts to it.
        """
        h = self._samples("terms", h)
        P, M = self.W.shape
        mu, a = (self._moments(name, x, (len(h), P)) for name, x in (("mu", mu), ("a", a)))
        mean, covariance = self.posterior(h)
        variance = np.exp(a)  # (B, P)
        gap = kl_gaussian(mu, variance[..., None] * np.eye(P), mean, covariance)
        missed = ((h - mu @ self.W + self.theta) ** 2).sum(axis=1)  # of the mean
        spread = variance @ (self.W**2).sum(axis=1)  # what drawing u adds to it
        reconstruction = -(missed + spread + M * math.log(2 * math.pi)) / 2
        return Terms(self.evidence(h), gap, reconstruction, kl_to_standard(mu, a))

    def _precision(self) -> Array:
        return np.eye(len(self.W)) + self.W @ self.W.T

    def _moments(self, name: str, x: ArrayLike, shape: tuple[int, int]) -> Array:
        x = np.asarray(x, dtype=float)
        try:
            return np.broadcast_to(x, shape)
        except ValueError as error:
            raise ValueError(
                f"LinearGaussian.terms: expected {name} of shape (B, P) = {shape}, got {x.shape}."
            ) from error

    def _samples(self, where: str, h: ArrayLike) -> Array:
        h = np.asarray(h, dtype=float)
        if h.ndim != 2 or h.shape[1] != self.W.shape[1] or not len(h):
            raise ValueError(
                f"LinearGaussian.{where}: expected samples as rows of {self.W.shape[1]} numbers, got shape "
                f"{h.shape}."
            )
        if not np.isfinite(h).all():
            raise ValueError(f"LinearGaussian.{where}: the samples have NaN or infinite values.")
        return h


# Gradients of a mean over draws


def pathwise_gradient(
    mu: ArrayLike, a: ArrayLike, eps: ArrayLike, slope: Callable[[Array], Array]
) -> tuple[Array, Array]:
    """Return an unbiased gradient of E F(u), u ~ N(μ, diag eᵃ), from each draw, through the draw.

    With u = μ + e^{a/2} ε the draw depends on μ and a: ∂F/∂μ = F'(u), ∂F/∂a = F'(u) ½ e^{a/2} ε (Kingma and
    Welling, 2014; Rezende, Mohamed and Wierstra, 2014).

    Parameters
    ----------
    mu, a
        Means and log-variances ``(P,)``.
    eps
        Standard normal draws ``(n, P)``.
    slope
        F', from ``(n, P)`` to ``(n, P)``.

    Returns
    -------
    gradient in mu, gradient in a
        ``(n, P)`` each, one row a draw.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> pathwise_gradient([1.0], [0.0], [[2.0]], lambda u: 2 * u)  # F(u) = u²
    (array([[6.]]), array([[6.]]))
    """
    mu, a, eps = _draws("pathwise_gradient", mu, a, eps)
    sigma = np.exp(a / 2)
    df = slope(mu + sigma * eps)  # (n, P)
    return df, df * sigma * eps / 2


def score_gradient(
    mu: ArrayLike, a: ArrayLike, eps: ArrayLike, F: Callable[[Array], Array]
) -> tuple[Array, Array]:
    """Return an unbiased gradient of the same mean without differentiating F: F(u) times that of ln q(u).

    ∂ln q/∂μ = ε / e^{a/2}, ∂ln q/∂a = ½ (ε² - 1). It asks nothing of F but its value (Williams, 1992).

    Parameters and results are those of `pathwise_gradient`, with F from ``(n, P)`` to ``(n,)``.

    Examples
    --------
    >>> score_gradient([1.0], [0.0], [[2.0]], lambda u: (u**2).sum(axis=1))
    (array([[18.]]), array([[13.5]]))
    """
    mu, a, eps = _draws("score_gradient", mu, a, eps)
    sigma = np.exp(a / 2)
    value = F(mu + sigma * eps)[:, None]  # (n, 1)
    return value * eps / sigma, value * (eps**2 - 1) / 2


def _draws(where: str, mu: ArrayLike, a: ArrayLike, eps: ArrayLike) -> list[Array]:
    mu, a, eps = (np.asarray(x, dtype=float) for x in (mu, a, eps))
    if eps.ndim != 2 or mu.shape != eps.shape[1:] or a.shape != eps.shape[1:]:
        raise ValueError(
            f"{where}: expected mu (P,), a (P,) and eps (n, P), got {mu.shape}, {a.shape} and {eps.shape}."
        )
    return [mu, a, eps]
