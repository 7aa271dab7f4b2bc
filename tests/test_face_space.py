"""Face space: distances of all windows at once, boxes, mixtures, Bayes' rule, people."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from skimage import data
from skimage.transform import resize
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestCentroid

from gennet import datasets
from gennet.datasets.synthetic_faces import random_faces
from gennet.eigenspace import Eigenspace
from gennet.face_space import (
    FaceDetector,
    FaceRecogniser,
    em_step,
    gmm_logpdf,
    intersection_over_union,
    match,
    posterior,
    suppress,
)

FACES = datasets.load("faces").x[:100].astype(float)
PICTURE = data.camera() / 255.0  # (512, 512)
NORMALISATIONS = ("plane", "constant", None)


def auc(detector: FaceDetector, faces: np.ndarray, others: np.ndarray) -> float:
    distances = np.concatenate([detector.distances(faces), detector.distances(others)])
    return roc_auc_score(np.arange(len(distances)) < len(faces), -distances)


def world(seed: int):
    """Windows of 8 x 8 pixels in a space of 5 dimensions, with noise; and noise of that energy."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(64, 5)))[0].T

    def faces(n: int) -> np.ndarray:
        strengths = rng.normal(size=(n, 5)) * [3, 2.5, 2, 1.5, 1]
        return (0.5 + strengths @ directions + 0.1 * rng.normal(size=(n, 64))).reshape(n, 8, 8)

    spread = np.sqrt((np.array([3, 2.5, 2, 1.5, 1]) ** 2).sum() / 64 + 0.01)
    return faces, lambda n: 0.5 + spread * rng.normal(size=(n, 8, 8))


# Detection


@pytest.mark.equation("CR9")
def test_distance_tells_faces_from_others():
    faces, others = world(seed=0)
    train, held_out, test, noise = faces(100), faces(200), faces(200), others(200)
    areas = {D: auc(FaceDetector(D, None).fit(train), test, noise) for D in (1, 5)}
    assert areas[5] == 1.0 and 0.8 < areas[1] < 0.95

    detector = FaceDetector(5, None).fit(train).calibrate(held_out, 0.95)
    assert abs((detector.distances(held_out) < detector.threshold_).mean() - 0.95) <= 1 / 200
    accepted = detector.predict(test)
    assert accepted.tolist() == (detector.distances(test) < detector.threshold_).tolist()
    error = np.sqrt(2 * 0.95 * 0.05 / 200)  # of a share of 200, with a threshold from other 200
    assert abs(accepted.mean() - 0.95) < 4 * error
    assert not detector.predict(noise).any()


def test_threshold_from_the_faces_of_the_fit_is_too_small():
    faces, _ = world(seed=1)
    train, test = faces(60), faces(1000)
    detector = FaceDetector(5, None).fit(train)
    asked_of_the_fit = detector.calibrate(train, 0.95).predict(test).mean()
    asked_of_others = detector.calibrate(faces(1000), 0.95).predict(test).mean()
    assert asked_of_the_fit < 0.9 and abs(asked_of_others - 0.95) < 0.03


@pytest.mark.equation("CR9")
@pytest.mark.parametrize("normalise", ["constant", "plane"])
def test_normalised_distance_depends_neither_on_contrast_nor_on_offset(normalise: str):
    detector = FaceDetector(5, normalise).fit(FACES[:60])
    W = FACES[60:]
    for a, b in [(0.5, 0.0), (1.0, -0.3), (3.0, 0.7)]:
        np.testing.assert_allclose(detector.distances(a * W + b), detector.distances(W), atol=1e-12)
    slope = 0.02 * np.arange(25)  # light that falls off to the left
    changed = np.abs(detector.distances(W + slope) - detector.distances(W)).max()
    assert changed < 1e-12 if normalise == "plane" else changed > 0.1


@pytest.mark.equation("CR9")
def test_distance_as_printed_is_quadratic_in_contrast_and_offset():
    detector = FaceDetector(5, None).fit(FACES[:60])
    W = FACES[60:61]
    energies = [detector.distances(a * W)[0] for a in range(5)]
    np.testing.assert_allclose(np.diff(energies, 3), 0, atol=1e-9)
    energies = [detector.distances(W + b)[0] for b in range(5)]
    np.testing.assert_allclose(np.diff(energies, 3), 0, atol=1e-9)
    flat = np.full((1, 25, 25), FACES[:60].mean())
    assert detector.distances(flat)[0] < np.quantile(detector.distances(FACES[60:]), 0.25)


def test_standard_light_is_what_least_squares_leaves():
    rows, columns = np.mgrid[:25, :25]
    plane = np.stack([np.ones(625), rows.ravel(), columns.ravel()], axis=1)
    rest = FACES[0].ravel() - plane @ np.linalg.lstsq(plane, FACES[0].ravel())[0]
    detector = FaceDetector(5)
    np.testing.assert_allclose(
        detector.standardise(FACES[:1]).ravel(), rest / np.linalg.norm(rest), atol=1e-12
    )
    assert not detector.standardise(np.full((1, 25, 25), 0.4)).any()
    assert (FaceDetector(5, None).standardise(FACES) == FACES).all()


def test_flat_window_counts_as_unlike_every_face():
    detector = FaceDetector(5).fit(FACES)
    flat = np.stack([np.zeros((25, 25)), np.full((25, 25), 0.4), 0.4 + 1e-3 * FACES[0]])
    mean, basis = detector.space_.mean_, detector.space_.components_
    np.testing.assert_allclose(
        detector.distances(flat), 1 + mean @ mean - ((basis @ mean) ** 2).sum(), atol=1e-12
    )
    assert detector.distances(flat).min() > detector.distances(FACES).max()


@pytest.mark.erratum("C6")
def test_all_eigenvectors_detect_nothing():
    faces, others = world(seed=2)
    train = faces(100)
    rest = train - train.mean(axis=0)
    basis = np.linalg.svd(rest.reshape(100, 64))[2]  # as printed: all N vectors
    left = others(50).reshape(50, 64) - train.mean(axis=0).ravel()
    left -= left @ basis.T @ basis
    assert (left**2).sum(axis=1).max() < 1e-20  # no window is far from such a space, noise included
    for D, normalise in [(64, None), (63, "constant"), (61, "plane")]:
        with pytest.raises(ValueError, match=f"{D} components describe any window of 64 pixels"):
            FaceDetector(D, normalise).fit(train)
    assert auc(FaceDetector(5, None).fit(train), faces(50), others(50)) == 1.0  # ours: few


def test_no_component_is_the_distance_from_the_mean():
    detector = FaceDetector(0, None).fit(FACES)
    expected = ((FACES - FACES.mean(axis=0)) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(detector.distances(FACES), expected, rtol=1e-12)


# All positions and sizes


def plain_loop(detector: FaceDetector, image: np.ndarray) -> np.ndarray:
    """Cut out every window and measure it."""
    R, C = detector.space_.image_shape_
    rows, columns = image.shape[0] - R + 1, image.shape[1] - C + 1
    cut = lambda i, j: image[None, i : i + R, j : j + C]  # noqa: E731
    return np.array([[detector.distances(cut(i, j))[0] for j in range(columns)] for i in range(rows)])


@pytest.mark.equation("CR9")
@pytest.mark.parametrize("normalise", NORMALISATIONS)
@pytest.mark.parametrize(
    ("D", "window", "size"), [(0, (25, 25), (60, 41)), (7, (25, 25), (40, 70)), (3, (8, 13), (31, 31))]
)
def test_map_equals_the_plain_loop(normalise: str | None, D: int, window: tuple, size: tuple):
    detector = FaceDetector(D, normalise).fit(FACES[:, : window[0], : window[1]])
    image = PICTURE[100 : 100 + size[0], 200 : 200 + size[1]].copy()
    image[:15, :20] = 0.3  # flat windows, for the smaller size
    np.testing.assert_allclose(detector.distance_map(image), plain_loop(detector, image), rtol=0, atol=1e-8)


@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_map_of_a_large_picture_is_exact_at_random_places(normalise: str | None):
    detector = FaceDetector(20, normalise).fit(FACES)
    image = resize(PICTURE, (1400, 1100))
    distance = detector.distance_map(image)
    rng = np.random.default_rng(0)
    places = [(int(rng.integers(1376)), int(rng.integers(1076))) for _ in range(300)]
    direct = detector.distances(np.stack([image[i : i + 25, j : j + 25] for i, j in places]))
    np.testing.assert_allclose([distance[place] for place in places], direct, rtol=0, atol=1e-8)


def test_picture_of_one_window():
    detector = FaceDetector(5).fit(FACES)
    distance = detector.distance_map(FACES[3])
    np.testing.assert_allclose(distance, detector.distances(FACES[3:4])[None], atol=1e-8)


def scene(side: int, top: int, left: int) -> np.ndarray:
    """A meadow with one face of the training set in it."""
    image = 0.3 * data.grass()[:160, :200] / 255.0 + 0.3
    image[top : top + side, left : left + side] = resize(FACES[7], (side, side))
    return image


@pytest.mark.parametrize(("side", "top", "left"), [(25, 10, 40), (43, 80, 130), (62, 98, 3)])
def test_scan_finds_a_face_of_any_size(side: int, top: int, left: int):
    detector = FaceDetector(20).fit(FACES)
    found = detector.scan(scene(side, top, left), threshold=0.8)
    assert intersection_over_union(found.boxes[:1], [[top, left, side, side]])[0, 0] > 0.75
    assert (np.diff(found.distances) >= 0).all()


def test_scan_reports_the_windows_that_the_plain_loop_finds():
    """At each size those below the threshold and nearer than their neighbours; of these the nearest."""
    detector = FaceDetector(5).fit(FACES)
    image = scene(30, 12, 20)[:60, :75]
    candidates = []
    for side in (25, 37.5, 56.25):
        shape = np.rint(np.array(image.shape) * 25 / side).astype(int)
        distance = plain_loop(detector, image if side == 25 else resize(image, shape, anti_aliasing=True))
        padded = np.pad(distance, 1, constant_values=np.inf)
        pixel = image.shape / shape
        for i, j in np.argwhere(distance < 0.9):
            if distance[i, j] <= padded[i : i + 3, j : j + 3].min():
                candidates.append((distance[i, j], *(np.array([i, j, 25, 25]) * np.tile(pixel, 2))))
    kept = []
    for distance, *box in sorted(candidates):
        if all(intersection_over_union([box], [other])[0, 0] <= 0.3 for _, other in kept):
            kept.append((distance, box))
    found = detector.scan(image, step=1.5, threshold=0.9)
    assert len(kept) > 3
    np.testing.assert_allclose(found.boxes, [box for _, box in kept], atol=1e-9)
    np.testing.assert_allclose(found.distances, [distance for distance, _ in kept], atol=1e-8)


def test_scan_uses_the_threshold_of_the_calibration():
    detector = FaceDetector(5).fit(FACES[:60]).calibrate(FACES[60:], 0.5)
    image = scene(30, 12, 20)
    assert (detector.scan(image).distances < detector.threshold_).all()
    nothing = detector.scan(image, threshold=0.0)
    assert nothing.boxes.shape == (0, 4) and nothing.distances.shape == (0,)


def test_scan_keeps_to_the_sizes_asked():
    heights = FaceDetector(5).fit(FACES).scan(PICTURE, smallest=50, largest=80, threshold=0.9).boxes[:, 2]
    assert heights.min() > 49 and heights.max() < 81 and len(np.unique(heights.round())) == 3  # 50, 60, 72


# Boxes


def test_overlap_of_boxes():
    boxes = [[0, 0, 4, 2], [0, 0, 2, 2], [10, 10, 3, 3]]
    expected = [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(intersection_over_union(boxes, boxes), expected)
    touching = intersection_over_union([[0, 0, 2, 2]], [[0, 2, 2, 2], [2, 0, 1, 1]])
    assert touching.tolist() == [[0, 0]]


def test_suppression_is_greedy_not_transitive():
    boxes = [[0, 0, 10, 10], [0, 4, 10, 10], [0, 8, 10, 10]]  # neighbours overlap, the ends hardly do
    assert suppress(boxes, [0.1, 0.2, 0.3], overlap=0.3).tolist() == [0, 2]
    assert suppress(boxes, [0.2, 0.1, 0.3], overlap=0.3).tolist() == [1]
    assert suppress(np.empty((0, 4)), []).tolist() == []


def test_boxes_of_another_shape_are_refused_in_words():
    with pytest.raises(ValueError, match=r"expected boxes \(n, 4\), got shape \(4,\). One box is .box."):
        match([0, 0, 10, 10], [[0, 0, 10, 10]])


def test_a_face_is_found_once():
    truth = [[0, 0, 10, 10], [50, 50, 10, 10]]
    boxes = [[1, 0, 10, 10], [0, 0, 10, 10], [20, 20, 10, 10], [50, 52, 10, 10]]
    assert match(boxes, truth).tolist() == [True, False, False, True]
    assert match(boxes, np.empty((0, 4))).tolist() == [False] * 4
    assert match(np.empty((0, 4)), truth).tolist() == []


# What cannot be done


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        (np.zeros((40, 25, 25), np.uint8), "expected floats, pixels in .0, 1., got uint8"),
        (np.zeros((40, 25, 25, 3)), r"expected windows \(M, R, C\), got shape \(40, 25, 25, 3\)"),
        (FACES[0], r"a single picture W is W\[None\]"),
        (np.where(FACES > 0.99, np.nan, FACES), "pixels are NaN or infinite"),
        (FACES[:20], "20 faces do not determine 30 components. Give at least 31"),
        (np.concatenate([FACES, np.ones((2, 25, 25))]), "2 of 102 windows show nothing"),
        (FACES[:, :5, :6], "30 components describe any window of 30 pixels"),
    ],
)
def test_unsuitable_faces_are_refused_in_words(windows: np.ndarray, said: str):
    with pytest.raises(ValueError, match=said):
        FaceDetector(30).fit(windows)


def test_unsuitable_requests_are_refused_in_words():
    detector = FaceDetector(5).fit(FACES)
    with pytest.raises(NotFittedError):
        detector.predict(FACES)
    with pytest.raises(NotFittedError):
        detector.scan(PICTURE)
    with pytest.raises(ValueError, match=r"expected windows of 625 pixels \(25 x 25\), got 400 \(20 x 20\)"):
        detector.distances(FACES[:, :20, :20])
    with pytest.raises(ValueError, match="at least 25 x 25 pixels, a window, got 24 x 90"):
        detector.distance_map(np.zeros((24, 90)))
    with pytest.raises(ValueError, match=r"FaceDetector\.distances: expected floats, .* got uint8"):
        detector.distances((255 * FACES).astype(np.uint8))
    with pytest.raises(ValueError, match=r"FaceDetector\.distances: 1 pixels are NaN"):
        detector.distances(np.where(np.arange(625).reshape(1, 25, 25) == 7, np.nan, 0.5))
    with pytest.raises(ValueError, match=r"FaceDetector\.scan: expected a grey picture"):
        detector.scan(data.astronaut() / 255.0, threshold=0.5)
    with pytest.raises(ValueError, match="got uint8"):
        detector.scan(data.camera(), threshold=0.5)
    for sizes in ({"smallest": 600}, {"largest": 20}, {"step": 1.0}, {"smallest": 0}):
        with pytest.raises(ValueError, match="expected sizes that fit into the picture"):
            detector.scan(PICTURE, threshold=0.5, **sizes)
    for rate in (0, 1.2):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            detector.calibrate(FACES, rate)
    for D in (-1, 2.5, True):
        with pytest.raises(ValueError, match="as a whole number from 0"):
            FaceDetector(D).fit(FACES)
    with pytest.raises(ValueError, match="'plane', 'constant' or None, got 'gray'"):
        FaceDetector(5, "gray").fit(FACES)


def test_refit_forgets_the_threshold():
    detector = FaceDetector(5).fit(FACES[:60]).calibrate(FACES[60:]).fit(FACES[:50])
    with pytest.raises(NotFittedError):
        detector.predict(FACES)
    assert clone(detector).get_params() == {"n_components": 5, "normalise": "plane"}


# Mixtures

WEIGHTS = np.array([0.3, 0.7])
MEANS = np.array([[0.0, 0], [2, 1]])
COVARIANCES = np.array([[[1, 0.5], [0.5, 2]], [[0.5, 0], [0, 0.25]]])


def points(n: int = 200, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    component = rng.choice(2, n, p=WEIGHTS)
    L = np.linalg.cholesky(COVARIANCES)
    return MEANS[component] + np.einsum("nij,nj->ni", L[component], rng.normal(size=(n, 2)))


@pytest.mark.equation("CR11")
def test_mixture_density_has_the_known_values():
    log_density = gmm_logpdf([[1, 0.5], [60, 60]], WEIGHTS, MEANS, COVARIANCES)
    np.testing.assert_allclose(log_density, [-2.383771, -2060.464515], atol=1e-6)
    X = points()
    parts = [multivariate_normal(m, C).pdf(X) for m, C in zip(MEANS, COVARIANCES, strict=True)]
    density = np.exp(gmm_logpdf(X, WEIGHTS, MEANS, COVARIANCES))
    np.testing.assert_allclose(density, WEIGHTS @ parts, rtol=1e-12)


@pytest.mark.equation("CR11")
def test_mixture_density_integrates_to_one():
    x = np.linspace(-12, 14, 521)  # a step of 0.05: the trapezoidal rule is exact for smooth tails
    X = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    assert abs(np.exp(gmm_logpdf(X, WEIGHTS, MEANS, COVARIANCES)).sum() * 0.05**2 - 1) < 1e-8


def test_component_of_weight_zero_does_not_count():
    X = points(5)
    alone = gmm_logpdf(X, [1.0], MEANS[1:], COVARIANCES[1:])
    np.testing.assert_allclose(gmm_logpdf(X, [0.0, 1.0], MEANS, COVARIANCES), alone, rtol=1e-12)


@pytest.mark.equation("CR13")
def test_em_step_is_that_of_scikit_learn():
    X = points()
    start = (np.array([0.5, 0.5]), np.array([[-1.0, 0], [1, 0]]), np.stack([np.eye(2), 2 * np.eye(2)]))
    mixture, library = start, None
    for steps in range(1, 6):
        mixture = em_step(X, *mixture)
        library = GaussianMixture(
            2, reg_covar=0, tol=0, max_iter=steps,
            weights_init=start[0], means_init=start[1], precisions_init=np.linalg.inv(start[2]),
        )  # fmt: skip
        with pytest.warns(match="did not converge"):
            library.fit(X)
        for ours, theirs in zip(
            mixture, (library.weights_, library.means_, library.covariances_), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gmm_logpdf(X, *mixture), library.score_samples(X), atol=1e-9)


@pytest.mark.equation("CR13")
def test_em_never_lowers_the_likelihood():
    X = points()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        mixture = (np.full(3, 1 / 3), X[rng.choice(len(X), 3, replace=False)], np.stack([np.cov(X.T)] * 3))
        likelihoods = []
        for _ in range(30):
            likelihoods.append(gmm_logpdf(X, *mixture).sum())
            mixture = em_step(X, *mixture)
        assert np.diff(likelihoods).min() > -1e-9
        assert likelihoods[-1] > likelihoods[0] + 1
        assert abs(mixture[0].sum() - 1) < 1e-12


def test_em_of_one_component_is_the_mean_and_covariance():
    X = points()
    weights, means, covariances = em_step(X, [1.0], [[5.0, 5.0]], [np.eye(2)])
    np.testing.assert_allclose(weights, [1])
    np.testing.assert_allclose(means[0], X.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(covariances[0], np.cov(X.T, bias=True), atol=1e-12)


def test_unsuitable_mixtures_are_refused_in_words():
    X = points(5)
    with pytest.raises(ValueError, match="gmm_logpdf: weights are none negative and add up to 1"):
        gmm_logpdf(X, [0.5, 0.7], MEANS, COVARIANCES)
    with pytest.raises(ValueError, match="em_step: weights"):
        em_step(X, [1.5, -0.5], MEANS, COVARIANCES)
    for wrong in [
        (X[0], WEIGHTS, MEANS, COVARIANCES),
        (X, WEIGHTS, MEANS[:1], COVARIANCES),
        (X, 1.0, MEANS, 1),
    ]:
        with pytest.raises(ValueError, match=r"expected points \(M, D\), weights \(I,\)"):
            gmm_logpdf(*wrong)
    with pytest.raises(np.linalg.LinAlgError):
        gmm_logpdf(X, WEIGHTS, MEANS, -COVARIANCES)


# Bayes' rule


@pytest.mark.equation("CR12")
def test_posterior_has_the_known_values():
    P = posterior(np.log([0.02, 0.05, 0.01]), [0.6, 0.1, 0.3])
    np.testing.assert_allclose(P, [0.6, 0.25, 0.15], rtol=1e-12)
    np.testing.assert_allclose(posterior([-2000, -2001], [0.5, 0.5]), [0.731059, 0.268941], atol=1e-6)
    rng = np.random.default_rng(0)
    log_likelihoods, priors = rng.normal(size=(4, 3, 5)), rng.dirichlet(np.ones(5))
    P = posterior(log_likelihoods, priors)
    joint = np.exp(log_likelihoods) * priors
    np.testing.assert_allclose(P, joint / joint.sum(axis=-1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(P.sum(axis=-1), 1, atol=1e-12)
    np.testing.assert_allclose(posterior(log_likelihoods, 7 * priors), P, rtol=1e-12)


@pytest.mark.erratum("C8")
def test_sums_run_over_all_components_and_all_classes():
    joint = np.array([0.02, 0.05, 0.01]) * [0.6, 0.1, 0.3]
    as_printed = joint / np.cumsum(joint)  # the sum up to k, for class k
    assert as_printed[0] == 1 and as_printed.sum() > 1.2
    assert abs(posterior(np.log([0.02, 0.05, 0.01]), [0.6, 0.1, 0.3]).sum() - 1) < 1e-12
    x = np.linspace(-12, 14, 521)
    X = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    first = WEIGHTS[0] * multivariate_normal(MEANS[0], COVARIANCES[0]).pdf(X)  # up to l = 1 of I = 2
    assert abs(first.sum() * 0.05**2 - 0.3) < 1e-8
    assert abs(np.exp(gmm_logpdf(X, WEIGHTS, MEANS, COVARIANCES)).sum() * 0.05**2 - 1) < 1e-8


def test_impossible_classes():
    assert posterior([0.0, -np.inf, 1.0], [0.5, 0.5, 0.0]).tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="no class is possible"):
        posterior([-np.inf, 0.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="no class is possible"):
        posterior([np.nan, 0.0], [0.5, 0.5])
    for priors in ([0.5, -0.5], [1.0]):
        with pytest.raises(ValueError, match="expected a prior, none negative, for each class"):
            posterior([0.0, 0.0], priors)


# Recognition


def people(**knobs: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Six pictures of each of 12 people to learn from, four to be tried on."""
    knobs = {"pose": 8, "misalignment": 0.5, "expression": 0.5} | knobs
    images, person = random_faces(12, 10, seed=0, **knobs)
    learnt = np.arange(len(person)) % 10 < 6
    return images[learnt], person[learnt], images[~learnt], person[~learnt]


def test_recogniser_names_people():
    X, y, new, truth = people()
    recogniser = FaceRecogniser(n_components=20).fit(X, y)
    assert recogniser.score(new, truth) > 0.9  # chance: 1 in 12
    names = np.array([f"person {k}" for k in range(12)])
    assert (FaceRecogniser(20).fit(X, names[y]).predict(new) == names[recogniser.predict(new)]).all()


@pytest.mark.equation("CR12")
def test_recogniser_is_mixtures_and_bayes_rule():
    X, y, new, _ = people()
    X, y = X[6:], y[6:]
    X, y = np.concatenate([X, X[:3]]), np.concatenate([y, y[:3]])  # priors that differ
    recogniser = FaceRecogniser(n_components=8, skip=2, n_gaussians=2).fit(X, y)
    space = Eigenspace(n_components=8).fit(X)
    codes = (space.transform(new) / np.sqrt(space.eigenvalues_))[:, 2:]
    np.testing.assert_allclose(recogniser.codes(new), codes, atol=1e-12)
    log_likelihoods = [gmm_logpdf(codes, m.weights_, m.means_, m.covariances_) for m in recogniser.mixtures_]
    priors = [np.mean(y == k) for k in recogniser.classes_]
    expected = posterior(np.stack(log_likelihoods, axis=1), priors)
    np.testing.assert_allclose(recogniser.predict_proba(new), expected, atol=1e-9)
    np.testing.assert_allclose(recogniser.codes(X).std(axis=0), 1, rtol=1e-9)


def test_first_coefficients_are_left_out_where_light_varies():
    """The lecture's advice helps the nearest mean code, on average over sets of people, where lamps move."""
    gains = {0: [], 60: []}
    for light, gained in gains.items():
        for n in range(3):
            X, y, new, truth = people(light=light, first_identity=1 + 12 * n)
            space = Eigenspace(n_components=30).fit(X)
            codes, others = space.transform(X), space.transform(new)
            hits = [NearestCentroid().fit(codes[:, k:], y).score(others[:, k:], truth) for k in (0, 2)]
            gained.append(hits[1] - hits[0])
    assert np.mean(gains[60]) > 0.03 > np.mean(gains[0])


def test_unsuitable_people_are_refused_in_words():
    X, y, new, _ = people()
    with pytest.raises(ValueError, match="there is one person only"):
        FaceRecogniser(3).fit(X[:6], y[:6])
    with pytest.raises(ValueError, match="person 0 has too few pictures, 1: a mixture of 1 needs 2 or more"):
        FaceRecogniser(3).fit(X[5:], y[5:])
    with pytest.raises(ValueError, match="a mixture of 7 needs 7"):
        FaceRecogniser(3, n_gaussians=7).fit(X, y)
    with pytest.raises(ValueError, match="expected a name for each of 72 pictures"):
        FaceRecogniser(3).fit(X, y[:-1])
    with pytest.raises(ValueError, match="skip = 3 of 3 coefficients leaves none"):
        FaceRecogniser(3, skip=3).fit(X, y)
    with pytest.raises(ValueError, match="n_components = 72 is out of range"):
        FaceRecogniser(72).fit(X, y)
    with pytest.raises(ValueError, match=r"FaceRecogniser\.fit: expected floats, .* got uint8"):
        FaceRecogniser(3).fit((255 * X).astype(np.uint8), y)
    recogniser = FaceRecogniser(3).fit(X, y)
    with pytest.raises(ValueError, match=r"FaceRecogniser\.codes: expected floats, .* got int64"):
        recogniser.predict((255 * new).astype(np.int64))
    with pytest.raises(ValueError, match=r"pictures \(M, R, C\), got shape \(48, 32, 32, 3\)"):
        recogniser.predict(np.stack([new] * 3, axis=-1))
    with pytest.raises(ValueError, match=r"expected windows of 1024 pixels \(32 x 32\), got 400"):
        recogniser.predict(new[:, :20, :20])
    with pytest.raises(ValueError, match="1024 pixels are NaN or infinite"):
        recogniser.predict(np.full((1, 32, 32), np.nan))
