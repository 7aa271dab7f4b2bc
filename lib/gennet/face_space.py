"""Face space at work: faces found by their distance from an eigenspace, people told apart by their codes.

It follows Crowley's lecture from "Face Detection using Distance from Face Space" to "Eigenspace Coding for
Face Recognition" (CR9, CR11-CR13). Left out: cascades, which scikit-image has, and tracking from picture to
picture.
"""

from collections.abc import Callable
from numbers import Integral
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, linalg, ndimage
from scipy.special import logsumexp
from skimage.transform import resize
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.mixture import GaussianMixture
from sklearn.utils.validation import check_is_fitted

from gennet.eigenspace import Eigenspace

FAINTEST = 0.02  # standard deviation of the pixels of a window, in [0, 1], below which it shows nothing


class Detections(NamedTuple):
    """Windows that were taken for faces, the nearest to face space first."""

    boxes: NDArray[np.float64]
    """Top, left, height and width in pixels of the picture, shape ``(n, 4)``."""
    distances: NDArray[np.float64]
    """Their distances from face space, shape ``(n,)``, increasing."""


class FaceDetector(BaseEstimator):
    """Take a window for a face if it lies near the eigenspace of faces (CR9; Turk and Pentland, 1991).

    The distance from face space is the error energy ε² of a window (CR8). Taken as printed it depends on
    light: the distance of a W + b is a quadratic function of a and b, and a flat grey window is nearer to the
    mean face than most faces are. So windows are first brought to a standard light: the constant that fits a
    window best, or the plane (a constant and two slopes; Sung and Poggio, 1998), is subtracted, and the rest
    w is brought to length 1. Then a W + b has the distance of W for all a > 0 and all b, with ``"plane"``
    under a light that falls off to one side as well, and ε² is measured in units of the energy of the window.
    A window with next to no contrast, a standard deviation below `FAINTEST`, shows nothing: w = 0, and the
    energy 1 that it lacks counts as unexplained.

    Parameters
    ----------
    n_components
        D, the dimensions of face space; 0 for the distance from the mean face alone.
    normalise
        What is subtracted from a window before it is brought to length 1: ``"plane"`` or ``"constant"``;
        with None, windows are taken as they are, as the lecture does.

    Attributes
    ----------
    space_ : Eigenspace
        Of the faces of the fit, normalised.
    threshold_ : float
        τ, set by `calibrate`.

    Examples
    --------
    >>> from gennet import datasets
    >>> faces = datasets.load("faces").x[:100]
    >>> detector = FaceDetector(n_components=5).fit(faces[:60]).calibrate(faces[60:], detection_rate=0.9)
    >>> detector.predict(faces[60:]).sum(), len(faces[60:])
    (np.int64(36), 40)
    """

    def __init__(self, n_components: int = 5, normalise: str | None = "plane") -> None:
        self.n_components = n_components
        self.normalise = normalise

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn face space from windows that show faces.

        Parameters
        ----------
        X
            Windows ``(M, R, C)``, floats, pixels in [0, 1]; more than `n_components`, and two at least.
        y
            Ignored.

        Raises
        ------
        ValueError
            If the windows have another shape or type, NaN or infinite values; if they are too few, or too
            small, for so many components; if some are flat; if `normalise` is not understood.
        """
        X = _grey(X, "FaceDetector.fit", "windows (M, R, C)", 3)
        D = self.n_components
        if isinstance(D, bool) or not isinstance(D, Integral) or D < 0:
            raise ValueError(f"FaceDetector.fit: expected n_components as a whole number from 0, got {D!r}.")
        if len(X) <= max(D, 1):
            raise ValueError(
                f"FaceDetector.fit: {len(X)} faces do not determine {D} components. Give at least "
                f"{max(D, 1) + 1}, or ask for fewer."
            )
        free = X[0].size - len(_light(self.normalise, *X.shape[1:]))
        if free <= D:
            raise ValueError(
                f"FaceDetector.fit: {D} components describe any window of {X[0].size} pixels, face or not: "
                "every distance would be 0. Ask for fewer."
            )
        w = self.standardise(X)
        if nothing := np.sum(~w.any(axis=(1, 2))):
            raise ValueError(
                f"FaceDetector.fit: {nothing} of {len(X)} windows show nothing (standard deviation below "
                f"{FAINTEST}). Leave them out."
            )
        self.space_ = Eigenspace(n_components=max(D, 1)).fit(w)
        self.__dict__.pop("threshold_", None)  # it was that of another space
        return self

    def calibrate(self, X: ArrayLike, detection_rate: float = 0.95) -> Self:
        """Set the threshold so that this share of faces lies below it.

        Use faces that were not in the fit: those of the fit lie nearer to face space than any other.

        Parameters
        ----------
        X
            Windows ``(M, R, C)`` that show faces.
        detection_rate
            The share, above 0 and at most 1; it is met within 1 / M.

        Raises
        ------
        ValueError
            As `distances`; and if the rate is out of range.
        """
        if not 0 < detection_rate <= 1:
            raise ValueError(
                "FaceDetector.calibrate: expected a detection rate above 0 and at most 1, got "
                f"{detection_rate}."
            )
        self.threshold_ = float(np.quantile(self.distances(X), detection_rate))
        return self

    def standardise(self, X: ArrayLike) -> NDArray[np.float64]:
        """Bring windows to a standard light: subtract what `normalise` says, bring the rest to length 1.

        Parameters
        ----------
        X
            Windows ``(M, R, C)``, floats, pixels in [0, 1].

        Returns
        -------
        ndarray of shape (M, R, C)
            w, of length 1; 0 where a window shows nothing. With ``normalise=None``, X.

        Raises
        ------
        ValueError
            If the windows hold NaN or infinite values or are no floats; if `normalise` is not understood.
        """
        X = _grey(X, "FaceDetector.standardise", "windows (M, R, C)", 3)
        light = _light(self.normalise, *X.shape[1:])
        if not len(light):
            return X
        V = X.reshape(len(X), -1)
        V = V - (V @ light.T) @ light
        return (V * _gain((V**2).sum(axis=1, keepdims=True), V.shape[1])).reshape(X.shape)

    def distances(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the distance of each window from face space, the error energy ε² (CR8), shape ``(M,)``.

        Parameters
        ----------
        X
            Windows ``(M, R, C)``, floats, pixels in [0, 1].

        Raises
        ------
        ValueError
            If the windows are not of the size of the fit, hold NaN or infinite values, or are no floats.
        """
        check_is_fitted(self, "space_")
        w = self.standardise(_grey(X, "FaceDetector.distances", "windows (M, R, C)", 3))
        shows_nothing = self.normalise is not None and ~w.any(axis=(1, 2))
        return self.space_.residual_energy(w, self.n_components) + shows_nothing

    def predict(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Tell which windows are faces: ε² below the threshold (CR9), shape ``(M,)``.

        Raises
        ------
        ValueError
            As `distances`.
        sklearn.exceptions.NotFittedError
            If the detector was not calibrated.
        """
        check_is_fitted(self, "threshold_")
        return self.distances(X) < self.threshold_

    def distance_map(self, image: ArrayLike) -> NDArray[np.float64]:
        """Return the distances of all windows of a picture, without cutting them out.

        With unit eigenvectors, ε² = |w|² - 2 w·μ + |μ|² - Σ_d (w·φ_d - μ·φ_d)²: what is needed of a window is
        its length and its inner products with μ and the φ_d. For all positions together these are
        correlations of the picture with D + 1 templates (Turk and Pentland, 1991), which the fast Fourier
        transform gives. Subtracting the light takes up to 3 more.

        Parameters
        ----------
        image
            Shape ``(H, W)``, floats, pixels in [0, 1], at least as large as a window.

        Returns
        -------
        ndarray of shape (H - R + 1, W - C + 1)
            Entry (i, j) is the distance of ``image[i : i + R, j : j + C]``.

        Raises
        ------
        ValueError
            If the picture is smaller than a window, no matrix of floats, or holds NaN or infinite values.
        """
        check_is_fitted(self, "space_")
        image = _grey(image, "FaceDetector.distance_map", "a grey picture (H, W)", 2)
        R, C = self.space_.image_shape_
        if image.shape[0] < R or image.shape[1] < C:
            raise ValueError(
                f"FaceDetector.distance_map: expected a picture of at least {R} x {C} pixels, a window, got "
                f"{image.shape[0]} x {image.shape[1]}."
            )
        correlate = _correlator(image, R, C)
        light = _light(self.normalise, R, C)
        energy = _window_sums(image**2, R, C) - sum(correlate(q) ** 2 for q in light)
        if len(light):
            gain, energy = _gain(energy, R * C), 1.0  # now |w|² = 1, or counts as 1
        else:
            gain = 1.0
        mean = self.space_.mean_
        distance = energy - 2 * gain * correlate(mean) + mean @ mean
        for phi in self.space_.components_[: self.n_components]:
            distance -= (gain * correlate(phi) - phi @ mean) ** 2
        return distance

    def scan(
        self,
        image: ArrayLike,
        *,
        smallest: int | None = None,
        largest: int | None = None,
        step: float = 1.2,
        threshold: float | None = None,
        overlap: float = 0.3,
    ) -> Detections:
        """Find the faces in a picture at all positions and sizes (CR9).

        For each size of window the picture is resampled, so that the window has as many pixels as in the fit,
        and all its positions are compared at once (`distance_map`). A window is a candidate if it lies below
        the threshold and nearer to face space than its eight neighbours; of candidates that overlap, the
        nearest is kept (`suppress`).

        Parameters
        ----------
        image
            Shape ``(H, W)``, floats, pixels in [0, 1].
        smallest, largest
            Heights of the window, in pixels of the picture; if not given, that of the fit and the largest
            that fits in.
        step
            The ratio of one size to the next, above 1.
        threshold
            Instead of `threshold_`.
        overlap
            Two boxes with a larger intersection over union are the same face.

        Raises
        ------
        ValueError
            As `distance_map`; and if the sizes or the step make no sense.
        sklearn.exceptions.NotFittedError
            If the detector was not calibrated and no threshold is given.
        """
        check_is_fitted(self, "space_" if threshold is not None else "threshold_")
        image = _grey(image, "FaceDetector.scan", "a grey picture (H, W)", 2)
        threshold = self.threshold_ if threshold is None else threshold
        window = np.array(self.space_.image_shape_)
        smallest = window[0] if smallest is None else smallest
        highest = (image.shape / window).min() * window[0]
        largest = highest if largest is None else min(largest, highest)
        if not (0 < smallest <= largest and step > 1):
            raise ValueError(
                "FaceDetector.scan: expected sizes that fit into the picture and grow by a step above 1, got "
                f"{smallest} to {largest:.0f} pixels with step {step}."
            )
        boxes, distances = [], []
        for k in range(1 + int(np.log(largest / smallest) / np.log(step) + 1e-9)):
            shape = np.maximum(
                np.rint(np.array(image.shape) * window[0] / (smallest * step**k)), window
            ).astype(int)
            scaled = image if tuple(shape) == image.shape else resize(image, shape, anti_aliasing=True)
            distance = self.distance_map(scaled)
            near = (distance < threshold) & (distance == ndimage.minimum_filter(distance, 3))
            corners = np.argwhere(near)
            pixel = np.array(image.shape) / shape  # of the resampled picture, in pixels of the picture
            boxes.append(np.hstack([corners * pixel, np.broadcast_to(window * pixel, corners.shape)]))
            distances.append(distance[near])
        boxes, distances = np.concatenate(boxes), np.concatenate(distances)
        kept = suppress(boxes, distances, overlap)
        return Detections(boxes[kept], distances[kept])


def intersection_over_union(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return for every pair of boxes the area that they share, divided by the area that they cover together.

    Parameters
    ----------
    a, b
        Top, left, height and width, shapes ``(n, 4)`` and ``(m, 4)``.

    Returns
    -------
    ndarray of shape (n, m)
        From 0 (apart) to 1 (the same).

    Raises
    ------
    ValueError
        If the boxes are no rows of four numbers.

    Examples
    --------
    >>> intersection_over_union([[0, 0, 2, 2]], [[0, 1, 2, 2], [5, 5, 2, 2]]).round(3)
    array([[0.333, 0.   ]])
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    for boxes in (a, b):
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(
                f"intersection_over_union: expected boxes (n, 4), got shape {boxes.shape}. One box is [box]."
            )
    a, b = a[:, None], b[None]
    start = np.maximum(a[..., :2], b[..., :2])
    stop = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.maximum(stop - start, 0).prod(axis=-1)
    return shared / (a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1) - shared)


def suppress(boxes: ArrayLike, distances: ArrayLike, overlap: float = 0.3) -> NDArray[np.intp]:
    """Keep the nearest of boxes that overlap: non-maximum suppression.

    Parameters
    ----------
    boxes
        Top, left, height and width, shape ``(n, 4)``.
    distances
        Shape ``(n,)``; small is good.
    overlap
        Boxes with a larger intersection over union with a kept box are dropped.

    Returns
    -------
    ndarray of int
        Numbers of the boxes that are kept, the nearest first.

    Examples
    --------
    >>> suppress([[0, 0, 9, 9], [1, 1, 9, 9], [20, 0, 9, 9]], [0.3, 0.2, 0.4])
    array([1, 2])
    """
    boxes, order, kept = np.asarray(boxes, dtype=float), np.argsort(distances, kind="stable"), []
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(first)
        order = rest[intersection_over_union(boxes[[first]], boxes[rest])[0] <= overlap]
    return np.array(kept, dtype=np.intp)


def match(boxes: ArrayLike, truth: ArrayLike, overlap: float = 0.4) -> NDArray[np.bool_]:
    """Tell which detections are faces: each true face counts once, for the first box that covers it.

    Parameters
    ----------
    boxes
        Detections, the best first, shape ``(n, 4)``: top, left, height and width.
    truth
        True faces ``(m, 4)``.
    overlap
        The intersection over union from which a box covers a face.

    Returns
    -------
    ndarray of bool, shape (n,)
        True for a face found, False for a false alarm, a second box on the same face included.
    """
    shared = intersection_over_union(boxes, truth)
    hits = np.zeros(len(shared), dtype=bool)
    for n, row in enumerate(shared):
        if row.max(initial=0) >= overlap:
            hits[n] = True
            shared[:, row.argmax()] = 0
    return hits


def _log_densities(
    X: NDArray[np.float64],
    weights: NDArray[np.float64],
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return ln α_i + ln N(X; μ_i, Σ_i), shape ``(M, I)``; a component of weight 0 gives -inf."""
    D = X.shape[1]
    columns = []
    for alpha, mu, Sigma in zip(weights, means, covariances, strict=True):
        L = linalg.cholesky(Sigma, lower=True)
        d = linalg.solve_triangular(L, (X - mu).T, lower=True)  # dᵀd = (X - μ)ᵀ Σ⁻¹ (X - μ)
        log_det = 2 * np.log(np.diag(L)).sum()
        with np.errstate(divide="ignore"):
            columns.append(np.log(alpha) - 0.5 * (D * np.log(2 * np.pi) + log_det + (d**2).sum(axis=0)))
    return np.stack(columns, axis=1)


def gmm_logpdf(
    X: ArrayLike, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike
) -> NDArray[np.float64]:
    """Return the log density of a mixture of Gaussians, ln Σ_i α_i N(X; μ_i, Σ_i), in nats (CR11).

    The sum runs over exponentials that may all underflow, so the largest is taken out first.

    Parameters
    ----------
    X
        Points ``(M, D)``.
    weights
        α ``(I,)``, none negative, with sum 1.
    means, covariances
        μ ``(I, D)`` and Σ ``(I, D, D)``.

    Returns
    -------
    ndarray of shape (M,)

    Raises
    ------
    ValueError
        If the shapes do not go together or the weights are not those of a mixture.
    numpy.linalg.LinAlgError
        If a covariance is not positive definite.

    Examples
    --------
    >>> gmm_logpdf([[0.0]], [0.5, 0.5], [[-1.0], [1.0]], [[[1.0]], [[1.0]]]).round(3)  # ln N(1; 0, 1)
    array([-1.419])
    """
    return logsumexp(_log_densities(*_mixture("gmm_logpdf", X, weights, means, covariances)), axis=1)


def em_step(
    X: ArrayLike, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Make one step of the EM algorithm: responsibilities, then weighted moments (CR13).

    r_mi is the probability that component i made point m. The new weights are the mean responsibilities, the
    new means and covariances the moments of the points weighted by them. The likelihood of the points never
    decreases (Dempster, Laird and Rubin, 1977).

    Parameters
    ----------
    X
        Points ``(M, D)``.
    weights, means, covariances
        The mixture before, as in `gmm_logpdf`.

    Returns
    -------
    weights, means, covariances
        The mixture after.

    Raises
    ------
    ValueError, numpy.linalg.LinAlgError
        As `gmm_logpdf`.
    """
    X, *mixture = _mixture("em_step", X, weights, means, covariances)
    log_joint = _log_densities(X, *mixture)
    r = np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True))  # (M, I), rows sum to 1
    share = r.sum(axis=0)  # (I,)
    means = (r.T @ X) / share[:, None]
    V = X[None] - means[:, None]  # (I, M, D)
    covariances = np.einsum("mi,imd,ime->ide", r, V, V) / share[:, None, None]
    return share / len(X), means, covariances


def posterior(log_likelihoods: ArrayLike, priors: ArrayLike) -> NDArray[np.float64]:
    """Return P(C_k | X) by Bayes' rule, from ln p(X | C_k) and P(C_k) (CR12).

    Parameters
    ----------
    log_likelihoods
        Nats, shape ``(..., K)``.
    priors
        Shape ``(K,)`` or as the likelihoods, none negative. Only their ratios count.

    Returns
    -------
    ndarray of shape (..., K)
        Rows that sum to 1.

    Raises
    ------
    ValueError
        If the classes of both do not match, or no class is possible at all.

    Examples
    --------
    >>> posterior(np.log([0.02, 0.05, 0.01]), [0.6, 0.1, 0.3]).round(2)
    array([0.6 , 0.25, 0.15])
    """
    log_likelihoods, priors = np.asarray(log_likelihoods, dtype=float), np.asarray(priors, dtype=float)
    if log_likelihoods.shape[-1:] != priors.shape[-1:] or (priors < 0).any():
        raise ValueError(
            f"posterior: expected a prior, none negative, for each class, got {priors} and likelihoods of "
            f"shape {log_likelihoods.shape}."
        )
    with np.errstate(divide="ignore"):
        log_joint = log_likelihoods + np.log(priors)
    evidence = logsumexp(log_joint, axis=-1, keepdims=True)
    if not np.isfinite(evidence).all():
        raise ValueError(
            "posterior: for some X no class is possible: every p(X | C_k) P(C_k) is 0, or one is NaN."
        )
    return np.exp(log_joint - evidence)


class FaceRecogniser(ClassifierMixin, BaseEstimator):
    """Name the person in a picture: a mixture of Gaussians for each person's codes, and Bayes' rule (CR12).

    Each coefficient is divided by the square root of its eigenvalue, so that it has variance 1 over the
    training set. Then scikit-learn's `GaussianMixture` learns p(X | C_k) from the codes of person k, with
    full covariances. A person has fewer pictures than a covariance has entries, so `ridge` is added to the
    diagonal. The priors P(C_k) are the shares of the training set.

    Parameters
    ----------
    n_components
        Length of the code before the first ones are left out.
    skip
        How many of the first coefficients are left out: where light varies, they tell the light.
    n_gaussians
        Gaussians in a person's mixture.
    ridge
        Added to the variances, in units of the variance of the whole training set.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The people.
    space_ : Eigenspace
        Of the pictures of all.
    mixtures_ : list of GaussianMixture
        p(X | C_k), one for each person.
    priors_ : ndarray of shape (K,)
        P(C_k).

    Examples
    --------
    >>> from gennet.datasets.synthetic_faces import random_faces
    >>> images, person = random_faces(5, 8, seed=0, pose=8, misalignment=0.5)
    >>> FaceRecogniser(n_components=10).fit(images[::2], person[::2]).score(images[1::2], person[1::2])
    1.0
    """

    def __init__(
        self, n_components: int = 40, skip: int = 0, n_gaussians: int = 1, ridge: float = 0.1
    ) -> None:
        self.n_components = n_components
        self.skip = skip
        self.n_gaussians = n_gaussians
        self.ridge = ridge

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn a mixture for each person.

        Parameters
        ----------
        X
            Pictures ``(M, R, C)``, floats, pixels in [0, 1].
        y
            Who is in them, ``(M,)``.

        Raises
        ------
        ValueError
            As `Eigenspace.fit`; if the pictures are no floats; if y has another length or names one person
            only; if somebody has fewer pictures than `n_gaussians`, or only one; if `skip` leaves nothing.
        """
        X, y = _grey(X, "FaceRecogniser.fit", "pictures (M, R, C)", 3), np.asarray(y)
        if y.shape != X.shape[:1]:
            raise ValueError(
                f"FaceRecogniser.fit: expected a name for each of {len(X)} pictures, got {y.shape}."
            )
        self.classes_, counts = np.unique(y, return_counts=True)
        if len(self.classes_) < 2:
            raise ValueError("FaceRecogniser.fit: there is one person only; there is nobody to tell apart.")
        if counts.min() < max(self.n_gaussians, 2):
            raise ValueError(
                f"FaceRecogniser.fit: person {self.classes_[counts.argmin()]} has too few pictures, "
                f"{counts.min()}: a mixture of {self.n_gaussians} needs {max(self.n_gaussians, 2)} or more."
            )
        if not 0 <= self.skip < self.n_components:
            raise ValueError(
                f"FaceRecogniser.fit: skip = {self.skip} of {self.n_components} coefficients leaves none."
            )
        self.space_ = Eigenspace(n_components=self.n_components).fit(X)
        codes = self.codes(X)
        self.mixtures_ = [
            GaussianMixture(
                self.n_gaussians, reg_covar=self.ridge, init_params="k-means++", random_state=0
            ).fit(codes[y == person])
            for person in self.classes_
        ]
        self.priors_ = counts / len(y)
        return self

    def codes(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the codes of pictures without the first `skip`, each with variance 1 over the training set.

        Raises
        ------
        ValueError
            As `Eigenspace.transform`; and if the pictures are no floats.
        """
        check_is_fitted(self, "space_")
        X = _grey(X, "FaceRecogniser.codes", "pictures (M, R, C)", 3)
        return (self.space_.transform(X) / np.sqrt(self.space_.eigenvalues_))[:, self.skip :]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return P(C_k | X), shape ``(M, K)``: Bayes' rule in log space (CR12).

        Raises
        ------
        ValueError
            As `codes`.
        """
        codes = self.codes(X)
        return posterior(
            np.stack([mixture.score_samples(codes) for mixture in self.mixtures_], axis=1), self.priors_
        )

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the most probable person of each picture, shape ``(M,)``.

        Raises
        ------
        ValueError
            As `codes`.
        """
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _grey(X: ArrayLike, caller: str, what: str, axes: int) -> NDArray[np.float64]:
    """Check grey pictures; return them in float64."""
    X = np.asarray(X)
    if X.ndim != axes or 0 in X.shape:
        raise ValueError(
            f"{caller}: expected {what}, got shape {X.shape}. Turn colour into grey with "
            "skimage.color.rgb2gray; a single picture W is W[None]."
        )
    if X.dtype.kind != "f":
        raise ValueError(f"{caller}: expected floats, pixels in [0, 1], got {X.dtype}. Divide bytes by 255.")
    if not np.isfinite(X).all():
        raise ValueError(f"{caller}: {np.sum(~np.isfinite(X))} pixels are NaN or infinite.")
    return X.astype(np.float64, copy=False)


def _light(normalise: str | None, R: int, C: int) -> NDArray[np.float64]:
    """Return orthonormal images, flattened, of what is subtracted from a window: shape (0, 1 or 3, R C)."""
    row, column = np.mgrid[:R, :C].reshape(2, -1) - [[(R - 1) / 2], [(C - 1) / 2]]  # mean 0, perpendicular
    images = {None: [], "constant": [np.ones(R * C)], "plane": [np.ones(R * C), row, column]}
    if normalise not in images:
        raise ValueError(
            f"FaceDetector: expected normalise as 'plane', 'constant' or None, got {normalise!r}."
        )
    return np.array([image / np.linalg.norm(image) for image in images[normalise]]).reshape(-1, R * C)


def _gain(energy: NDArray[np.float64], pixels: int) -> NDArray[np.float64]:
    """Return the factors that bring windows of these energies to length 1, and 0 for flat windows."""
    shows = energy > pixels * FAINTEST**2
    return np.where(shows, 1 / np.sqrt(np.where(shows, energy, 1)), 0)


def _window_sums(image: NDArray[np.float64], R: int, C: int) -> NDArray[np.float64]:
    """Sum every window of R x C pixels: differences of running sums, down and then across."""
    for size in (R, C):
        running = np.cumsum(image, axis=0)
        running[size:] -= running[:-size].copy()
        image = running[size - 1 :].T
    return image


def _correlator(
    image: NDArray[np.float64], R: int, C: int
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return a function that gives the inner products of every window of a picture with a template."""
    H, W = (fft.next_fast_len(n, real=True) for n in image.shape)
    spectrum = fft.rfft2(image, (H, W))

    def correlate(template: NDArray[np.float64]) -> NDArray[np.float64]:
        other = fft.fft(fft.rfft(template.reshape(R, C), W, axis=1), H, axis=0)
        whole = fft.irfft2(spectrum * other.conj(), (H, W))
        return whole[: image.shape[0] - R + 1, : image.shape[1] - C + 1]

    return correlate


def _mixture(
    name: str, X: ArrayLike, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike
) -> tuple[NDArray[np.float64], ...]:
    """Check points and the parameters of a mixture."""
    X, weights, means, covariances = (
        np.asarray(value, dtype=float) for value in (X, weights, means, covariances)
    )
    number = len(weights) if weights.ndim == 1 else 0
    D = X.shape[1] if X.ndim == 2 else 0
    shapes = [(number, D), (number, D, D)]
    if not (number and D and [means.shape, covariances.shape] == shapes):
        raise ValueError(
            f"{name}: expected points (M, D), weights (I,), means (I, D) and covariances (I, D, D), got "
            f"{X.shape}, {weights.shape}, {means.shape} and {covariances.shape}."
        )
    if not ((weights >= 0).all() and abs(weights.sum() - 1) < 1e-9):
        raise ValueError(f"{name}: weights are none negative and add up to 1, got {weights}.")
    return X, weights, means, covariances
