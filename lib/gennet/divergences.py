"""How far apart two laws are: Kullback-Leibler, Jensen-Shannon, total variation, Wasserstein.

For Sayed's chapter 68 and Saha's slides. Laws are tables of masses along the last axis, Gaussians, Bernoulli
variables, samples on a line, or masses on the points of a finite metric space; logarithms are natural, the
unit is the nat. Left out: estimates from samples in many dimensions, which are the business of
`gennet.evaluation`, and all derivatives.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, sparse

Array = NDArray[np.float64]

SUM_TOLERANCE = 1e-6  # masses from single precision pass, three decimals do not
SYMMETRY_TOLERANCE = 1e-9  # of a covariance or of distances, relative to the largest entry


def kl(p: ArrayLike, q: ArrayLike) -> Array:
    r"""Return the Kullback-Leibler divergence D(p‖q) = Σ p ln(p/q) of two tables of masses (SA7).

    Where p is 0 the term is 0; where only q is 0 the divergence is infinite.

    Parameters
    ----------
    p, q
        Masses ``(..., K)``, each sum over the last axis 1; the leading axes broadcast.

    Returns
    -------
    ndarray
        Nats, ``(...)``, at least 0.

    Raises
    ------
    ValueError
        If masses are negative, NaN or do not sum to 1, or if p and q have different numbers of them.

    Examples
    --------
    >>> kl([0.5, 0.5, 0.0], [[0.25, 0.25, 0.5], [1.0, 0.0, 0.0]]).round(4)
    array([0.6931,    inf])
    """
    p, q = _masses("kl", p=p, q=q)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (np.log(p) - np.log(q)), 0.0)  # (..., K)
    return np.maximum(terms.sum(axis=-1), 0.0)  # rounding can leave -1e-17


def kl_bernoulli(p: ArrayLike, q: ArrayLike) -> Array:
    """Return D(p‖q) of Bernoulli variables: p ln(p/q) + (1-p) ln((1-p)/(1-q)), in nats.

    Parameters
    ----------
    p, q
        Probabilities of a 1, of any shapes that broadcast.

    Raises
    ------
    ValueError
        If a probability lies outside [0, 1] or is NaN.

    Examples
    --------
    >>> kl_bernoulli(0.1, [0.1, 0.2, 0.0]).round(6)
    array([0.     , 0.03669,     inf])
    """
    p, q = (_finite("kl_bernoulli", name, value) for name, value in (("p", p), ("q", q)))
    for name, value in (("p", p), ("q", q)):
        if ((value < 0) | (value > 1)).any():
            raise ValueError(
                f"kl_bernoulli: {name} has values outside [0, 1]; expected probabilities of a 1."
            )
    _fit("kl_bernoulli", [(*p.shape, 2), (*q.shape, 2)])
    return kl(np.stack([p, 1 - p], axis=-1), np.stack([q, 1 - q], axis=-1))


def kl_gaussian(mean_q: ArrayLike, cov_q: ArrayLike, mean_p: ArrayLike, cov_p: ArrayLike) -> Array:
    """Return D(q‖p) of two Gaussians with full covariances, in nats.

    It is ½ {ln(det Σp / det Σq) - P + Tr(Σp⁻¹ Σq) + (μq - μp)ᵀ Σp⁻¹ (μq - μp)}; with μp = 0 and Σp = I it is
    Eq. (68.20).

    Parameters
    ----------
    mean_q, mean_p
        Means ``(..., P)``.
    cov_q, cov_p
        Covariances ``(..., P, P)``, symmetric and positive definite. Leading axes broadcast.

    Raises
    ------
    ValueError
        If the shapes do not fit, numbers are NaN or infinite, or a matrix is no covariance.

    Examples
    --------
    >>> print(kl_gaussian([1.0, -2.0], np.diag([0.5, 3.0]), [0.0, 0.0], np.eye(2)).round(7))
    3.0472674
    """
    mean_q, root_q = _gaussian("q", mean_q, cov_q)
    mean_p, root_p = _gaussian("p", mean_p, cov_p)
    P = mean_q.shape[-1]
    if mean_p.shape[-1] != P:
        raise ValueError(
            f"kl_gaussian: q lives in {P} dimensions, p in {mean_p.shape[-1]}; expected the same."
        )
    _fit("kl_gaussian", [mean_q.shape, root_q.shape[:-1], mean_p.shape, root_p.shape[:-1]])
    spread = np.linalg.solve(root_p, root_q)  # (..., P, P): its squares sum to the trace
    shift = np.linalg.solve(root_p, (mean_q - mean_p)[..., None])[..., 0]  # (..., P)
    log_det = 2 * (_log_diagonal(root_p) - _log_diagonal(root_q))
    return (log_det - P + (spread**2).sum(axis=(-2, -1)) + (shift**2).sum(axis=-1)) / 2


def kl_to_standard(mu: ArrayLike, a: ArrayLike) -> Array:
    """Return D(N(μ, diag eᵃ) ‖ N(0, I)) = ½ {-Σ a - P + Σ eᵃ + ‖μ‖²}: Eq. (68.20) for log-variances a.

    Parameters
    ----------
    mu, a
        Means and log-variances ``(..., P)``.

    Returns
    -------
    ndarray
        Nats, ``(...)``.

    Raises
    ------
    ValueError
        If the two have different shapes or hold NaN or infinite values.

    Examples
    --------
    >>> print(kl_to_standard([1.0, -2.0], np.log([0.5, 3.0])).round(7))
    3.0472674
    """
    mu, a = (_finite("kl_to_standard", name, value) for name, value in (("mu", mu), ("a", a)))
    if mu.shape != a.shape or not mu.ndim:
        raise ValueError(
            f"kl_to_standard: expected means and log-variances of one shape (..., P), got {mu.shape} and "
            f"{a.shape}."
        )
    with np.errstate(over="ignore"):  # the divergence of a huge variance is infinite
        return (np.expm1(a) - a + mu**2).sum(axis=-1) / 2  # expm1(a) is exp(a) - 1, exact near 0


def jensen_shannon(p: ArrayLike, q: ArrayLike) -> Array:
    """Return the Jensen-Shannon divergence ½ D(p‖m) + ½ D(q‖m), m = ½ (p + q): Eq. (68.117), SA8.

    It is symmetric and lies in [0, ln 2]; its square root is a metric. Against the best discriminator the
    adversarial payoff is -ln 4 + 2 D_JS: Eq. (68.115), SA5, SA6. It vanishes only for equal laws, as in
    Eq. (68.116).

    Parameters
    ----------
    p, q
        Masses ``(..., K)``, each sum over the last axis 1; the leading axes broadcast.

    Returns
    -------
    ndarray
        Nats, ``(...)``.

    Raises
    ------
    ValueError
        As for `kl`.

    Examples
    --------
    >>> print(jensen_shannon([0.5, 0.3, 0.2], [0.1, 0.2, 0.7]).round(7))
    0.1513581
    """
    p, q = _masses("jensen_shannon", p=p, q=q)
    to_mixture = []
    for law in (p, q):
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(law > 0, law * (np.log(2) + np.log(law) - np.log(p + q)), 0.0)
        to_mixture.append(terms.sum(axis=-1))
    return np.clip(sum(to_mixture) / 2, 0.0, np.log(2))  # rounding can leave -1e-17


def total_variation(p: ArrayLike, q: ArrayLike) -> Array:
    """Return ½ Σ |p - q|, the mass that must be moved to make one law of the other; in [0, 1].

    Parameters and errors are those of `kl`.

    Examples
    --------
    >>> print(total_variation([0.5, 0.3, 0.2], [0.1, 0.2, 0.7]).round(7))
    0.5
    """
    p, q = _masses("total_variation", p=p, q=q)
    return np.abs(p - q).sum(axis=-1) / 2


def wasserstein_samples(a: ArrayLike, b: ArrayLike) -> Array:
    """Return the Wasserstein-1 distance of two samples on a line: the area between their quantile functions.

    With equally many points it is the mean absolute difference after sorting.

    Parameters
    ----------
    a, b
        Samples ``(..., n)`` and ``(..., m)``, in any order; the leading axes broadcast.

    Returns
    -------
    ndarray
        In the unit of the samples, ``(...)``.

    Raises
    ------
    ValueError
        If a sample is empty or holds NaN or infinite values.

    Examples
    --------
    >>> print(wasserstein_samples([5, 0, 1], [2, 3, 4]).round(6))
    1.666667
    >>> print(wasserstein_samples([0, 0, 3], [1, 1, 1, 1]).round(6))
    1.333333
    """
    a, b = (_finite("wasserstein_samples", name, sample) for name, sample in (("a", a), ("b", b)))
    if not (a.ndim and b.ndim):
        raise ValueError("wasserstein_samples: expected samples along the last axis, got a single number.")
    _fit("wasserstein_samples", [a.shape, b.shape])
    a, b = np.sort(a, axis=-1), np.sort(b, axis=-1)
    n, m = a.shape[-1], b.shape[-1]
    steps = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)  # where a quantile jumps, in 1 / (n m)
    share = np.diff(steps) / (n * m)
    return (share * np.abs(a[..., steps[:-1] // m] - b[..., steps[:-1] // n])).sum(axis=-1)


class Transport(NamedTuple):
    """A cheapest transport: its cost, and the plan ``(K, K)`` that says how much goes from i to j."""

    cost: float
    plan: Array


class Certificate(NamedTuple):
    """A largest difference of means: its value, and the g ``(K,)`` of slope at most 1 that has it."""

    value: float
    g: Array


def wasserstein(p: ArrayLike, q: ArrayLike, distances: ArrayLike) -> Transport:
    """Return the Wasserstein-1 distance of two laws on a finite metric space, with a cheapest plan.

    The least Σ π(i,j) d(i,j) over plans π >= 0 with row sums p and column sums q: a linear program with K²
    unknowns, for up to some hundred points.

    Parameters
    ----------
    p, q
        Masses ``(K,)``.
    distances
        d ``(K, K)``: a metric, in any unit.

    Raises
    ------
    ValueError
        As for `kl`, and if the distances are no metric.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 3.0])
    >>> cost, plan = wasserstein([0.2, 0.5, 0.3], [0.6, 0.3, 0.1], abs(x[:, None] - x))
    >>> round(cost, 6)
    0.8
    """
    p, q, d = _on_metric_space("wasserstein", p, q, distances)
    K = len(p)
    rows = sparse.kron(sparse.eye_array(K), np.ones((1, K)))
    columns = sparse.kron(np.ones((1, K)), sparse.eye_array(K))
    sums = np.concatenate([p / p.sum(), q / q.sum()])
    plan = _solved(d.ravel(), A_eq=sparse.vstack([rows, columns]), b_eq=sums).reshape(K, K)
    return Transport(float((plan * d).sum()), plan)


def wasserstein_dual(p: ArrayLike, q: ArrayLike, distances: ArrayLike) -> Certificate:
    """Return the same distance from below: the largest Σ (p - q) g with all |g(i) - g(j)| <= d(i,j).

    This is the duality of Kantorovich and Rubinstein (1958). Whoever doubts the program can trust its g: a
    function with these slopes proves that the distance is at least Σ (p - q) g. It is 0 at the first point.

    Parameters and errors are those of `wasserstein`.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 3.0])
    >>> value, g = wasserstein_dual([0.2, 0.5, 0.3], [0.6, 0.3, 0.1], abs(x[:, None] - x))
    >>> round(value, 6), g
    (0.8, array([0., 1., 3.]))
    """
    p, q, d = _on_metric_space("wasserstein_dual", p, q, distances)
    K = len(p)
    difference = p / p.sum() - q / q.sum()
    i, j = np.nonzero(~np.eye(K, dtype=bool))
    one = np.ones(len(i))
    row = np.arange(len(i))
    slopes = sparse.csr_array(
        (np.concatenate([one, -one]), (np.concatenate([row, row]), np.concatenate([i, j]))), shape=(len(i), K)
    )
    bounds = [(0, 0), *[(None, None)] * (K - 1)]
    g = _solved(-difference, A_ub=slopes, b_ub=d[i, j], bounds=bounds)
    g = (g + d).min(
        axis=1
    )  # the solver keeps the slopes to 1e-7; the largest g below it with the right slopes
    return Certificate(float(difference @ g), g - g[0])


def _solved(cost: Array, **constraints: object) -> Array:
    """Minimise a linear cost; these programs always have a solution."""
    result = optimize.linprog(cost, method="highs-ds", **constraints)
    if not result.success:
        raise RuntimeError(f"linear program: {result.message}")
    return result.x


def _finite(where: str, name: str, values: ArrayLike) -> Array:
    """Return an array of finite numbers, not empty."""
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{where}: {name} is no array of real numbers; its type is {values.dtype}.")
    values = values.astype(float)
    if not values.size:
        raise ValueError(f"{where}: {name} is empty, shape {values.shape}; expected at least one number.")
    if not np.isfinite(values).all():
        raise ValueError(f"{where}: {name} has NaN or infinite values.")
    return values


def _masses(where: str, **laws: ArrayLike) -> list[Array]:
    """Return tables of masses that can be compared along their last axis."""
    tables = {name: np.atleast_1d(_finite(where, name, law)) for name, law in laws.items()}
    for name, law in tables.items():
        if (law < 0).any():
            raise ValueError(f"{where}: {name} has a negative mass, {law.min():g}; expected probabilities.")
        sums = law.sum(axis=-1).ravel()
        worst = sums[np.abs(sums - 1).argmax()]
        if abs(worst - 1) > SUM_TOLERANCE:
            raise ValueError(
                f"{where}: the masses of {name} sum to {worst:.6g} along the last axis, expected 1. "
                "Divide them by their sum."
            )
    shapes = [law.shape for law in tables.values()]
    if len({shape[-1] for shape in shapes}) > 1:
        raise ValueError(
            f"{where}: {' and '.join(tables)} have shapes {' and '.join(map(str, shapes))}; expected as many "
            "masses in each, along the last axis."
        )
    _fit(where, shapes)
    return list(tables.values())


def _fit(where: str, shapes: list[tuple[int, ...]]) -> None:
    """Refuse shapes whose leading axes do not broadcast."""
    try:
        np.broadcast_shapes(*(shape[:-1] for shape in shapes))
    except ValueError as error:
        raise ValueError(
            f"{where}: shapes {' and '.join(map(str, shapes))} cannot be combined; expected equal leading "
            "axes, or 1."
        ) from error


def _gaussian(name: str, mean: ArrayLike, cov: ArrayLike) -> tuple[Array, Array]:
    """Return the mean and the Cholesky factor of a Gaussian."""
    mean, cov = _finite("kl_gaussian", f"mean_{name}", mean), _finite("kl_gaussian", f"cov_{name}", cov)
    if not mean.ndim or cov.ndim < 2 or cov.shape[-2:] != 2 * mean.shape[-1:]:
        raise ValueError(
            f"kl_gaussian: mean_{name} has shape {mean.shape}, cov_{name} {cov.shape}; expected (..., P) and "
            "(..., P, P)."
        )
    if np.abs(cov - cov.swapaxes(-1, -2)).max() > SYMMETRY_TOLERANCE * np.abs(cov).max():
        raise ValueError(f"kl_gaussian: cov_{name} is not symmetric, hence no covariance.")
    try:
        return mean, np.linalg.cholesky(cov)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"kl_gaussian: cov_{name} is not positive definite, hence no covariance of a density."
        ) from error


def _log_diagonal(root: Array) -> Array:
    """Return the sum of the logarithms of the diagonal."""
    return np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)


def _on_metric_space(
    where: str, p: ArrayLike, q: ArrayLike, distances: ArrayLike
) -> tuple[Array, Array, Array]:
    """Return two laws and the distances of their points."""
    p, q = _masses(where, p=p, q=q)
    d = _finite(where, "distances", distances)
    if p.ndim > 1 or q.ndim > 1 or d.shape != (len(p), len(p)):
        raise ValueError(
            f"{where}: p, q and the distances have shapes {p.shape}, {q.shape} and {d.shape}; expected (K,), "
            "(K,) and (K, K)."
        )
    slack = SYMMETRY_TOLERANCE * np.abs(d).max()
    if np.abs(np.diag(d)).max() > 0 or (d < 0).any() or np.abs(d - d.T).max() > slack:
        raise ValueError(
            f"{where}: distances must be symmetric, not negative, and 0 from each point to itself."
        )
    for middle in range(len(d)):
        if (d > d[:, middle, None] + d[middle] + slack).any():
            raise ValueError(
                f"{where}: a way through point {middle} is shorter than the direct one; expected a metric "
                "(distances, not their squares)."
            )
    return p, q, d
