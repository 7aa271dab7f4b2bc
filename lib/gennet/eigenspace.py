"""Eigenspace coding: principal components of images, as an estimator in the manner of scikit-learn.

It follows Crowley's lecture (CR1-CR8) and the first part of Yao's slides (YA1-YA5). The lecture writes images
as columns; here they are rows, as everywhere in the library. What is sent over a line is the business of
`gennet.codec`; detection and recognition with the codes are that of `gennet.face_space`.
"""

from collections.abc import Iterator
from numbers import Integral, Real
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

BLOCK = 3 << 20  # numbers centred at a time: 24 MB, about what the caches of a processor hold


class Eigenspace(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """The mean of a set of images and the directions in which the images differ most.

    The covariance is that of the lecture, divided by the number M of images: Σ = V Vᵀ / M, where the columns
    of V are the centred images (CR2, CR3, YA1). Its unit eigenvectors φ are the components, its eigenvalues
    λ the mean energy of the images along them (CR4, YA2): variances, not standard deviations. M images span
    at most M - 1 directions around their mean (CR5); eigenvalues that are zero to rounding are dropped.

    Of an eigenvector only the line is determined. Its sign is chosen so that the entry of largest absolute
    value is positive.

    Parameters
    ----------
    n_components
        How many components to keep: all (None), the first so many (an int), or as many as are needed to hold
        this share of the energy (a float, above 0 and at most 1).

    Attributes
    ----------
    mean_ : ndarray of shape (N,)
        μ, the mean image.
    components_ : ndarray of shape (D, N)
        φᵀ: orthonormal rows, in the order of their eigenvalues. On a standardised table they are the loading
        vectors (YA5).
    eigenvalues_ : ndarray of shape (D,)
        λ, decreasing: the mean squared coefficient of the training images.
    total_energy_ : float
        The trace of Σ: the mean squared distance of the training images from their mean.
    energy_shares_ : ndarray of shape (D,)
        λ divided by the trace (YA4).
    n_components_ : int
        D.
    n_samples_seen_ : int
        M.
    n_features_in_ : int
        N, pixels in an image.
    image_shape_ : tuple of int
        (R, C) after a fit on images, (N,) after a fit on vectors.

    Notes
    -----
    The matrix that is decomposed is the smaller one: Σ, or Vᵀ V / M if there are fewer images than pixels. If
    Vᵀ V q = M λ q then V q is an eigenvector of V Vᵀ with the same eigenvalue (CR5).

    The eigenspace is computed and kept in float64 even for float32 images, which are converted block by
    block: the products of pixels have seven digits in float32, and weak eigenvalues drown. Of the 199
    components of 200 windows of faces about 150 would be left. Codes and images have the precision of what
    they are computed from.

    Examples
    --------
    >>> images = np.array([[[2.0, 0.0]], [[0.0, 2.0]], [[1.0, 1.0]]])  # three images of 1 x 2 pixels
    >>> space = Eigenspace().fit(images)
    >>> space.eigenvalues_.round(3), space.image_shape_
    (array([1.333]), (1, 2))
    >>> space.residual_energy([[[2.0, 2.0]]]).round(3)  # off the line through the images
    array([2.])
    """

    def __init__(self, n_components: int | float | None = None) -> None:
        self.n_components = n_components

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Find the mean and the components of a set of images.

        Parameters
        ----------
        X
            Images ``(M, R, C)`` or vectors ``(M, N)``, M at least 2.
        y
            Ignored.

        Raises
        ------
        ValueError
            If X has another shape, fewer than two images, NaN or infinite values, or only equal images; if
            `n_components` is out of range, or more than the images determine.
        """
        X, mean = self._vectors(X, "fit", reset=True)
        M, N = X.shape
        if M == 1:
            raise ValueError("Eigenspace.fit: expected at least 2 images, got 1 sample, its own mean.")
        self._check_wanted("fit", M, N)
        self._solve("fit", _moments(X, mean) if N <= M else X.copy())
        return self

    def partial_fit(self, X: ArrayLike, y: None = None) -> Self:
        """Add a batch of images; any split into batches gives what `fit` gives, up to rounding.

        It goes on from what `fit` or `partial_fit` were given before. The images themselves are kept until
        there are as many as pixels; from then on only their mean and their N x N scatter matrix, so that the
        set may be larger than memory. While fewer images have come than an int `n_components` needs, there
        are as many components as the images determine. Each call solves the eigenproblem: make the batches
        large.

        Parameters
        ----------
        X
            Images ``(M, R, C)`` or vectors ``(M, N)``, one or more.
        y
            Ignored.

        Raises
        ------
        ValueError
            If X has another shape than the images before, or NaN or infinite values, or if `n_components` is
            out of range. A batch that is refused changes nothing.
        """
        known = getattr(self, "_known", None)
        X, mean = self._vectors(X, "partial_fit", reset=known is None)
        N = X.shape[1]
        self._check_wanted("partial_fit", np.inf, N)
        if isinstance(known, _Moments):
            known = _merge(known, _moments(X, mean))
        else:
            known = X.copy() if known is None else np.concatenate([known, X])
            if len(known) >= N:
                known = _moments(known, _mean(known))
        self._solve("partial_fit", known)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the codes of images: x = φᵀ (W - μ), one row of D numbers for each (CR6, YA3).

        Parameters
        ----------
        X
            Images ``(M, R, C)`` or vectors ``(M, N)``.

        Raises
        ------
        ValueError
            If the images are not of the size of the fit, or hold NaN or infinite values.
        """
        X, _ = self._vectors(X, "transform", reset=False)
        return (X - self.mean_.astype(X.dtype)) @ self.components_.T.astype(X.dtype)

    def inverse_transform(self, codes: ArrayLike) -> NDArray[np.floating]:
        """Return the images that codes stand for: μ + Σ x_d φ_d (CR7).

        Parameters
        ----------
        codes
            Shape ``(M, d)`` with d at most D: coefficients of the first d components; the others count as
            zero.

        Returns
        -------
        ndarray of shape (M, R, C) after a fit on images, else (M, N).

        Raises
        ------
        ValueError
            If the codes have another shape, or hold NaN or infinite values.
        """
        check_is_fitted(self, "components_")
        codes = np.asarray(codes)
        codes = codes.astype(np.result_type(codes, np.float32), copy=False)
        if codes.ndim != 2 or codes.shape[1] > self.n_components_:
            raise ValueError(
                "Eigenspace.inverse_transform: expected codes of shape (M, d) with d at most "
                f"{self.n_components_}, got shape {codes.shape}."
            )
        _finite_mean(codes, "inverse_transform")
        basis = self.components_[: codes.shape[1]].astype(codes.dtype)
        return (self.mean_.astype(codes.dtype) + codes @ basis).reshape(-1, *self.image_shape_)

    def reconstruct(self, X: ArrayLike, n_components: int | None = None) -> NDArray[np.floating]:
        """Code images and return what the codes stand for (CR6, then CR7).

        Parameters
        ----------
        X
            Images ``(M, R, C)`` or vectors ``(M, N)``.
        n_components
            Use the first so many components only, from 0 (the mean) to D; all of them if not given.

        Raises
        ------
        ValueError
            As `transform`; and if `n_components` is out of range.
        """
        codes = self.transform(X)
        return self.inverse_transform(codes[:, : self._first("reconstruct", n_components)])

    def residual_energy(self, X: ArrayLike, n_components: int | None = None) -> NDArray[np.floating]:
        """Return the energy of each error image, ε² = Σ_n (W(n) - Ŵ(n))², summed over the pixels (CR8).

        It is the squared distance of the image from the eigenspace. Its mean over the training images is the
        sum of the eigenvalues that were left out.

        Parameters
        ----------
        X
            Images ``(M, R, C)`` or vectors ``(M, N)``.
        n_components
            Use the first so many components only, from 0 to D; all of them if not given.

        Returns
        -------
        ndarray of shape (M,)

        Raises
        ------
        ValueError
            As `reconstruct`.
        """
        X, _ = self._vectors(X, "residual_energy", reset=False)
        basis = self.components_[: self._first("residual_energy", n_components)].astype(X.dtype)
        V = X - self.mean_.astype(X.dtype)
        V -= (V @ basis.T) @ basis
        return np.einsum("mn,mn->m", V, V)

    def _vectors(
        self, X: ArrayLike, method: str, *, reset: bool
    ) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
        """Check images or vectors; return them as vectors, with their mean.

        Images are flattened row by row: the pixel of row j and column i becomes number n = j C + i (CR1).
        """
        if not reset:
            check_is_fitted(self, "components_")
        try:
            shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
        except ValueError as error:
            message = f"Eigenspace.{method}: the images have different sizes. Resize them to one size."
            raise ValueError(message) from error
        if len(shape) not in (2, 3):
            raise ValueError(
                f"Eigenspace.{method}: expected images (M, R, C) or vectors (M, N) of one size, got shape "
                f"{shape}. Reshape your data; a single image W is W[None]."
            )
        if not reset:
            self._check_size(shape[1:], method)
        if len(shape) == 3:
            X = np.reshape(X, (shape[0], shape[1] * shape[2]))
        X = validate_data(self, X, dtype=(np.float64, np.float32), ensure_all_finite=False, reset=reset)
        mean = _finite_mean(X, method)
        if reset:
            self.image_shape_ = shape[1:]
        return X, mean

    def _check_size(self, shape: tuple[int, ...], method: str) -> None:
        N, given = self.n_features_in_, int(np.prod(shape))
        turned = len(shape) == len(self.image_shape_) == 2 and shape != self.image_shape_
        if given == N and not turned:
            return
        raise ValueError(
            f"Eigenspace.{method}: expected windows of {N} pixels{_sides(self.image_shape_)}, got {given}"
            f"{_sides(shape)}. Resize them or refit. (X has {given} features, but Eigenspace is expecting "
            f"{N} features as input.)"
        )

    def _check_wanted(self, method: str, M: float, N: int) -> None:
        D = self.n_components
        if D is None:
            return
        if isinstance(D, bool) or not isinstance(D, Real) or not (isinstance(D, Integral) or 0 < D <= 1):
            raise ValueError(
                f"Eigenspace.{method}: n_components = {D!r} is not understood. Give None for all, an int for "
                "a number of components, or a float above 0 and at most 1 for a share of the energy."
            )
        most = int(min(M - 1, N))
        if isinstance(D, Integral) and not 1 <= D <= most:
            raise ValueError(
                f"Eigenspace.{method}: n_components = {D} is out of range. Ask for 1 to {most}: fewer than "
                "there are images, and not more than there are pixels."
            )

    def _first(self, method: str, n_components: int | None) -> int:
        if n_components is None:
            return self.n_components_
        if isinstance(n_components, Integral) and 0 <= n_components <= self.n_components_:
            return int(n_components)
        raise ValueError(
            f"Eigenspace.{method}: expected n_components from 0 to {self.n_components_}, "
            f"got {n_components!r}."
        )

    def _solve(self, method: str, known: "_Moments | NDArray[np.floating]") -> None:
        """Set the fitted attributes from moments or, while they are fewer than pixels, from the images."""
        images = None if isinstance(known, _Moments) else known
        M, mean, matrix = known if images is None else _small_moments(images, _mean(images))
        N, order, D = len(mean), len(matrix), self.n_components
        total = np.trace(matrix)
        if not np.isfinite(total):
            raise ValueError(f"Eigenspace.{method}: the squares of these values overflow. Scale the images.")
        asked = D if isinstance(D, Integral) else None
        if asked and 8 * asked < order:  # a few eigenvectors cost less than all of them
            values, vectors = linalg.eigh(matrix, subset_by_index=(order - asked, order - 1))
        else:
            values, vectors = np.linalg.eigh(matrix)
        values, vectors = values[::-1][: min(M - 1, N)], vectors[:, ::-1]

        eps = np.finfo(np.float64).eps
        zero = max(M, N) * eps * max(values.max(initial=0.0), eps * M * (mean @ mean))
        rank = kept = int(np.sum(values > zero))
        if asked:
            kept = min(asked, rank)
        elif D is not None:
            kept = min(rank, 1 + int(np.searchsorted(np.cumsum(values[:rank]), D * total)))
        if method == "fit" and rank == 0:
            raise ValueError("Eigenspace.fit: all images are equal; there is no direction to find.")
        if method == "fit" and asked and rank < asked:
            raise ValueError(
                f"Eigenspace.fit: n_components = {asked}, but the images differ in {rank} directions only; "
                f"the other eigenvalues are zero to rounding. Ask for at most {rank}, or for all with None."
            )
        basis = vectors[:, :kept] if images is None else _lift(images, mean, vectors[:, :kept])
        largest = basis[np.abs(basis).argmax(axis=0), np.arange(kept)]

        self._known = known
        self.n_samples_seen_ = M
        self.mean_ = mean
        self.components_ = np.ascontiguousarray((basis * np.sign(largest)).T)
        self.eigenvalues_ = values[:kept] / M
        self.total_energy_ = float(total / M)
        self.energy_shares_ = values[:kept] / total
        self.n_components_ = kept

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that float32 images have float32 codes."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class _Moments(NamedTuple):
    """How many images, their mean, and V Vᵀ or, in the small form, Vᵀ V; columns of V are centred images."""

    count: int
    mean: NDArray[np.float64]
    matrix: NDArray[np.float64]


def _moments(X: NDArray[np.floating], mean: NDArray[np.float64]) -> _Moments:
    """Return M, μ and the N x N matrix M Σ (CR2, CR3).

    Centring first is the accurate way. A large set is multiplied as it is, Σ W Wᵀ - M μ μᵀ, where that costs
    at most two of sixteen digits: where less than 99 % of the energy of the images is that of their mean.
    """
    M = len(X)
    if X.dtype == np.float64 and X.size > BLOCK and M * (mean @ mean) < 0.99 * np.linalg.norm(X) ** 2:
        return _Moments(M, mean, X.T @ X - M * np.outer(mean, mean))
    return _Moments(M, mean, _products(X, np.broadcast_to(mean, X.shape)))


def _small_moments(X: NDArray[np.floating], mean: NDArray[np.float64]) -> _Moments:
    """Return M, μ and the M x M matrix of inner products of the centred images (CR5)."""
    return _Moments(len(X), mean, _products(X.T, np.broadcast_to(mean, X.shape).T))


def _products(A: NDArray[np.floating], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Vᵀ V for V = A - mean; NumPy hands a matrix times its transpose to BLAS's dsyrk."""
    products = np.zeros((A.shape[1], A.shape[1]))
    for V in _centred(A, mean):
        products += V.T @ V
    return products


def _merge(a: _Moments, b: _Moments) -> _Moments:
    """Return the moments of two sets of images together (Chan, Golub and LeVeque, 1983)."""
    count = a.count + b.count
    shift = b.mean - a.mean
    between = (a.count * b.count / count) * np.outer(shift, shift)
    return _Moments(count, a.mean + (b.count / count) * shift, a.matrix + b.matrix + between)


def _lift(X: NDArray[np.floating], mean: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the eigenvectors V q / |V q| of V Vᵀ, given those of Vᵀ V, as columns (CR5).

    Rounding in the small matrix tilts weak directions towards strong ones. With the Cholesky factor L of
    their inner products the tilt is taken out: the columns of (V q) L⁻ᵀ are orthonormal.
    """
    basis = np.concatenate([V @ q for V in _centred(X.T, np.broadcast_to(mean, X.shape).T)])
    basis /= np.linalg.norm(basis, axis=0)
    L = np.linalg.cholesky(basis.T @ basis)
    return basis @ np.linalg.inv(L).T


def _centred(A: NDArray[np.floating], mean: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Yield A - mean, some rows at a time in one buffer, so that no centred copy of A is made."""
    step = max(512, BLOCK // A.shape[1])
    buffer = np.empty_like(A[:step], dtype=np.float64)
    for start in range(0, len(A), step):
        rows = A[start : start + step]
        yield np.subtract(rows, mean[start : start + step], out=buffer[: len(rows)])


def _mean(X: NDArray[np.floating]) -> NDArray[np.float64]:
    return X.mean(axis=0, dtype=np.float64)


def _finite_mean(X: NDArray[np.floating], method: str) -> NDArray[np.float64]:
    """Return the mean of the rows; refuse NaN and infinite values, which show in it."""
    with np.errstate(invalid="ignore", over="ignore"):
        mean = _mean(X)
    if not np.isfinite(mean).all() and (bad := X.size - np.count_nonzero(np.isfinite(X))):
        raise ValueError(
            f"Eigenspace.{method}: {bad} of {X.size} values are NaN or infinite. Remove or fill them."
        )
    return mean


def _sides(shape: tuple[int, ...]) -> str:
    return f" ({shape[0]} x {shape[1]})" if len(shape) == 2 else ""
