"""`gennet.eigenspace`: the equations and errata of eigenspace coding, scikit-learn's contract, refusals."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gennet import datasets, eigenspace
from gennet.eigenspace import Eigenspace

M, N, D = 16, 64, 4  # as in the lecture's example: 16 images, here of 8 x 8 pixels

# The small example of the exercises: four images of three pixels, here as rows.
SMALL = np.array([[2.0, 0, 1, 3], [0, 2, 1, 1], [1, 1, 4, 0]]).T


@pytest.fixture
def images() -> np.ndarray:
    """16 images of 8 x 8 pixels, some directions stronger than others, far from zero mean."""
    rng = np.random.default_rng(1)
    return 3 + rng.standard_normal((M, N)) @ np.diag(np.linspace(2, 0.1, N)) @ random_rotation(rng, N)


@pytest.fixture
def many() -> np.ndarray:
    """300 vectors of 20 pixels: more images than pixels."""
    rng = np.random.default_rng(2)
    return 5 + rng.standard_normal((300, 20)) * np.geomspace(3, 0.01, 20) @ random_rotation(rng, 20)


def random_rotation(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def covariance(X: np.ndarray) -> np.ndarray:
    """Sum the covariance image by image, as the formula reads."""
    V = X - X.mean(axis=0)
    return sum(np.outer(v, v) for v in V) / len(X)


def decreasing_eigh(S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(S)
    return values[::-1], vectors[:, ::-1]


def assert_same_lines(a: np.ndarray, b: np.ndarray, atol: float = 1e-9) -> None:
    """Compare unit vectors, the rows of a and b, up to the sign of each."""
    assert a.shape == b.shape
    assert_allclose(a * np.sign(np.sum(a * b, axis=1, keepdims=True)), b, atol=atol)


def assert_same_space(a: Eigenspace, b: Eigenspace) -> None:
    """Compare everything a fit says, to the rounding of float64."""
    scale = b.eigenvalues_[0]
    assert (a.n_components_, a.n_samples_seen_, a.image_shape_) == (
        b.n_components_,
        b.n_samples_seen_,
        b.image_shape_,
    )
    assert_allclose(a.mean_, b.mean_, rtol=1e-12)
    assert_allclose(a.eigenvalues_, b.eigenvalues_, rtol=1e-9, atol=1e-13 * scale)
    assert_allclose(a.total_energy_, b.total_energy_, rtol=1e-12)
    assert_allclose(a.energy_shares_, b.energy_shares_, rtol=1e-9, atol=1e-13)
    assert_allclose(a.components_, b.components_, atol=1e-8)


# scikit-learn's contract


@parametrize_with_checks([Eigenspace(), Eigenspace(n_components=1), Eigenspace(n_components=0.9)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_works_in_a_pipeline_and_a_grid_search():
    digits = datasets.load("digits")
    x, y = digits.x[:300].reshape(300, -1), digits.y[:300]
    pipeline = make_pipeline(StandardScaler(), Eigenspace(), LogisticRegression(max_iter=1000))
    search = GridSearchCV(pipeline, {"eigenspace__n_components": [1, 10, 0.95]}, cv=3).fit(x, y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] < 0.6 < 0.8 < scores[1:].min()
    first_two = make_pipeline(StandardScaler(), Eigenspace(n_components=2)).fit(x)
    assert_array_equal(first_two.get_feature_names_out(), ["eigenspace0", "eigenspace1"])
    assert first_two.inverse_transform(first_two.transform(x)).shape == x.shape


def test_survives_pickling_and_cloning(images):
    space = Eigenspace(n_components=D).fit(images)
    assert_array_equal(pickle.loads(pickle.dumps(space)).transform(images), space.transform(images))
    assert clone(space).get_params() == {"n_components": D}


# Crowley's lecture


@pytest.mark.equation("CR1")
@pytest.mark.erratum("C1")
def test_flattening_counts_pixels_from_zero(images):
    R, C = 2, 3
    n = np.array([[j * C + i for i in range(C)] for j in range(R)])  # row j, column i
    assert_array_equal(np.arange(R * C).reshape(R, C), n)
    assert sorted(n.flat) == list(range(R * C))
    window = np.random.default_rng(0).random((R, C))
    assert all(window.reshape(-1)[j * C + i] == window[j, i] for j in range(R) for i in range(C))

    from_one = [j * C + i for j in range(1, R + 1) for i in range(1, C + 1)]
    assert sorted(from_one) == [4, 5, 6, 7, 8, 9]  # as printed: outside 1..6
    assert [(j - 1) * C + i for j in range(1, R + 1) for i in range(1, C + 1)] == [1, 2, 3, 4, 5, 6]

    pictures = images.reshape(M, 4, 16)
    flat = [[pictures[m, n // 16, n % 16] for n in range(N)] for m in range(M)]
    assert_array_equal(Eigenspace().fit(pictures).components_, Eigenspace().fit(flat).components_)


@pytest.mark.equation("CR2")
def test_mean_image(images):
    space = Eigenspace().fit(images)
    assert_allclose(space.mean_, [sum(images[:, n]) / M for n in range(N)], rtol=1e-14)
    assert_allclose((images - space.mean_).sum(axis=0), 0, atol=1e-13)
    assert_allclose(space.transform(images).sum(axis=0), 0, atol=1e-12)
    assert_allclose(Eigenspace().fit(SMALL).mean_, [1.5, 1, 1.5])


@pytest.mark.equation("CR3", "YA1")
@pytest.mark.erratum("C2")
def test_covariance_is_divided_by_the_number_of_images(images):
    space = Eigenspace().fit(images)
    S = space.components_.T @ np.diag(space.eigenvalues_) @ space.components_
    assert_allclose(S, np.cov(images, rowvar=False, bias=True), atol=1e-12)
    assert_allclose(S * M / (M - 1), np.cov(images, rowvar=False), atol=1e-12)
    V = (images - space.mean_).T  # columns, as in the lecture
    as_printed = decreasing_eigh(V @ V.T)[0][: M - 1]
    assert_allclose(as_printed / space.eigenvalues_, M, rtol=1e-10)
    assert_allclose(Eigenspace().fit(SMALL).eigenvalues_, [2.678251, 1.137036, 0.184713], atol=5e-7)


@pytest.mark.equation("CR4", "YA2")
@pytest.mark.erratum("Y2")
def test_components_diagonalise_the_covariance(many):
    space, S = Eigenspace().fit(many), covariance(many)
    phi, Lambda = space.components_.T, np.diag(space.eigenvalues_)
    assert_allclose(phi.T @ phi, np.eye(20), atol=1e-13)
    assert_allclose(phi @ phi.T, np.eye(20), atol=1e-13)
    assert_allclose(phi.T @ S @ phi, Lambda, atol=1e-13)
    assert_allclose(phi @ Lambda @ phi.T, S, atol=1e-13)
    assert np.all(np.diff(space.eigenvalues_) < 0)
    # with columns in the right factor too, as printed, the product is not even symmetric
    printed = phi @ Lambda @ phi
    assert np.abs(printed - S).max() > 1 and np.abs(printed - printed.T).max() > 1


@pytest.mark.erratum("C4")
@pytest.mark.equation("CR8")
def test_eigenvalues_are_energies_not_their_roots(images):
    space = Eigenspace(n_components=D).fit(images)
    every = Eigenspace().fit(images).eigenvalues_
    Lambda, phi = decreasing_eigh(covariance(images))
    assert_allclose(covariance(images) @ phi[:, 0], Lambda[0] * phi[:, 0], atol=1e-12)  # the diagonal entry
    energy = space.residual_energy(images).mean()
    assert_allclose(energy, every[D:].sum(), rtol=1e-12)
    assert abs(energy - np.sqrt(every[D:]).sum()) > 0.1 * energy  # the roots say something else
    standard_deviations = space.transform(images).std(axis=0)
    assert_allclose(standard_deviations, np.sqrt(every[:D]), rtol=1e-12)
    singular = np.linalg.svd(images - space.mean_, compute_uv=False)[:D]
    assert_allclose(singular, np.sqrt(M * every[:D]), rtol=1e-12)


@pytest.mark.equation("CR5")
@pytest.mark.erratum("C3")
def test_sixteen_images_give_fifteen_components(images):
    space = Eigenspace().fit(images)
    Lambda, phi = decreasing_eigh(covariance(images))  # the N x N route, by NumPy
    assert space.n_components_ == len(space.eigenvalues_) == M - 1 < N
    assert_allclose(Lambda[M - 1 :], 0, atol=1e-13)  # not N non-zero values
    assert_allclose(space.eigenvalues_, Lambda[: M - 1], rtol=1e-11)
    assert_same_lines(space.components_, phi.T[: M - 1])
    assert space.residual_energy(images).max() < 1e-24
    assert Eigenspace().fit(np.random.default_rng(0).random((N + 5, N))).n_components_ == N


@pytest.mark.equation("CR6", "YA3")
@pytest.mark.erratum("C5")
def test_code_is_that_of_the_centred_image(images):
    space = Eigenspace(n_components=D).fit(images)
    codes, mu, phi = space.transform(images), space.mean_, space.components_.T
    by_sums = [[sum((W[n] - mu[n]) * phi[n, d] for n in range(N)) for d in range(D)] for W in images]
    assert_allclose(codes, by_sums, atol=1e-12)

    right = np.sum((images - (mu + codes @ phi.T)) ** 2, axis=1)
    printed = np.sum((images - (mu + images @ phi @ phi.T)) ** 2, axis=1)
    excess = np.sum((phi @ phi.T @ mu) ** 2)
    assert excess > 1 and np.all(printed > right)
    assert_allclose(printed.mean() - right.mean(), excess, rtol=1e-10)

    full = decreasing_eigh(covariance(images))[1]  # all 64 vectors
    assert_allclose(np.sum((images - (mu + images @ full @ full.T)) ** 2, axis=1), mu @ mu, rtol=1e-10)
    assert np.sum((images - (mu + (images - mu) @ full @ full.T)) ** 2, axis=1).max() < 1e-24


@pytest.mark.equation("CR7")
def test_reconstruction_is_the_mean_plus_weighted_components(images):
    space = Eigenspace().fit(images)
    codes = space.transform(images)
    for d in (0, 1, D, M - 1):
        terms = sum((np.outer(codes[:, k], space.components_[k]) for k in range(d)), start=np.zeros((M, N)))
        assert_allclose(space.inverse_transform(codes[:, :d]), space.mean_ + terms, atol=1e-12)
        assert_allclose(space.reconstruct(images, d), space.mean_ + terms, atol=1e-12)
        if 0 < d < M - 1:
            refit = Eigenspace(n_components=d).fit(images)
            assert_allclose(refit.reconstruct(images), space.reconstruct(images, d), atol=1e-12)
    assert_allclose(space.reconstruct(images), images, atol=1e-12)
    assert_allclose(space.transform(space.inverse_transform(codes)), codes, atol=1e-12)


@pytest.mark.erratum("C6")
def test_all_basis_vectors_reconstruct_everything(images):
    space = Eigenspace().fit(images)
    stranger = 3 + 3 * np.random.default_rng(5).standard_normal((10, N))
    assert space.residual_energy(images).max() < 1e-24  # M - 1 vectors are enough for the training images
    assert space.residual_energy(stranger).min() > 100  # and tell them from others
    full = Eigenspace().fit(np.random.default_rng(6).random((2 * N, N)))
    assert full.n_components_ == N
    assert full.residual_energy(stranger).max() < 1e-24  # N vectors tell nothing

    S = covariance(images)
    phi = decreasing_eigh(S)[1]
    mirrored = phi * np.where(np.arange(N) == 0, -1, 1)
    for basis in (phi, mirrored):  # one of them is no rotation, both are bases of eigenvectors
        assert_allclose(basis.T @ S @ basis, phi.T @ S @ phi, atol=1e-12)
        assert_allclose(basis.T @ basis, np.eye(N), atol=1e-12)
    assert sorted(np.linalg.det(basis) for basis in (phi, mirrored)) == pytest.approx([-1, 1])


@pytest.mark.equation("CR8")
def test_residual_energy_is_the_energy_of_the_error_image(images):
    space = Eigenspace().fit(images)
    energies = []
    for d in range(space.n_components_ + 1):
        energy = space.residual_energy(images, d)
        by_sums = [
            sum((W[n] - What[n]) ** 2 for n in range(N))
            for W, What in zip(images, space.reconstruct(images, d), strict=True)
        ]
        assert_allclose(energy, by_sums, atol=1e-12)
        assert_allclose(energy.mean(), space.eigenvalues_[d:].sum(), atol=1e-12)
        energies.append(energy)
    assert np.all(np.diff(energies, axis=0) <= 1e-12)  # every image, every component
    assert_allclose(energies[0].mean(), space.total_energy_)
    one = Eigenspace(n_components=1).fit(SMALL)
    assert one.residual_energy(SMALL).mean() == pytest.approx(1.321749, abs=5e-7)


# Yao's slides


@pytest.mark.equation("YA1")
@pytest.mark.erratum("Y10")
def test_covariance_of_rows_and_lines_without_a_sign(many):
    mu = many.mean(axis=0)
    rows = sum((x - mu)[None, :].T @ (x - mu)[None, :] for x in many) / len(many)
    columns = sum((x - mu)[:, None].T @ (x - mu)[:, None] for x in many) / len(many)
    assert_allclose(rows, np.cov(many, rowvar=False, bias=True), atol=1e-12)
    assert columns.shape == (1, 1)  # one number, the trace
    assert_allclose(columns, np.trace(rows))
    space, library = Eigenspace().fit(many), PCA().fit(many)
    flipped = -space.components_
    assert_allclose(flipped @ rows @ flipped.T, np.diag(space.eigenvalues_), atol=1e-12)  # as good
    assert_same_lines(library.components_, space.components_)
    assert_same_lines(flipped, space.components_)
    assert np.abs(flipped - space.components_).max() > 1  # a test without regard to signs would refuse it


@pytest.fixture
def arrests() -> np.ndarray:
    table = datasets.load("usarrests")
    assert table.feature_names == ("Murder", "Assault", "UrbanPop", "Rape") and table.x.shape == (50, 4)
    return table.x


def standardised(x: np.ndarray, ddof: int = 0) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0, ddof=ddof)


@pytest.mark.equation("YA3")
@pytest.mark.erratum("Y7")
def test_scores_are_uncorrelated_and_need_centring(arrests):
    scaled = arrests / arrests.std(axis=0)  # not centred
    space = Eigenspace().fit(scaled)
    scores = space.transform(scaled)
    assert_allclose(np.cov(scores, rowvar=False, bias=True), np.diag(space.eigenvalues_), atol=1e-12)
    assert_allclose(scores.mean(axis=0), 0, atol=1e-12)
    printed = scaled @ space.components_.T
    off_diagonal = np.cov(printed, rowvar=False, bias=True) - np.diag(space.eigenvalues_)
    assert np.abs(off_diagonal).max() < 1e-12  # uncorrelated all the same
    by_n_minus_1 = Eigenspace().fit(standardised(arrests, ddof=1))
    assert by_n_minus_1.total_energy_ == pytest.approx(4 * 49 / 50)  # 3.92
    raw = (arrests / arrests.std(axis=0, ddof=1)) @ by_n_minus_1.components_.T
    assert_allclose(np.sort(np.abs(raw.mean(axis=0))), [0.45, 1.02, 3.20, 4.64], atol=0.005)


@pytest.mark.equation("YA4")
def test_shares_of_energy(many):
    space, library = Eigenspace().fit(many), PCA().fit(many)
    assert_allclose(space.energy_shares_, space.eigenvalues_ / np.trace(covariance(many)), rtol=1e-12)
    assert_allclose(space.energy_shares_.sum(), 1)
    assert_allclose(space.energy_shares_, library.explained_variance_ratio_, rtol=1e-9)
    assert_allclose(space.eigenvalues_, library.explained_variance_ * 299 / 300, rtol=1e-9)
    few = Eigenspace(n_components=3).fit(many)
    assert_allclose(few.energy_shares_, space.energy_shares_[:3])  # of all the energy, not of what is kept


PC1 = np.array([0.5358995, 0.5831836, 0.2781909, 0.5434321])
PC2 = np.array([0.4181809, 0.1879856, -0.8728062, -0.1673186])


@pytest.mark.equation("YA5", "YA4")
@pytest.mark.erratum("Y1")
def test_loadings_of_usarrests(arrests):
    space = Eigenspace().fit(standardised(arrests))
    assert_same_lines(space.components_[:2], np.array([PC1, PC2]), atol=1e-7)
    assert_allclose(space.eigenvalues_, [2.4802416, 0.9897652, 0.3565632, 0.1734301], atol=5e-8)
    assert_allclose(space.energy_shares_, [0.6200604, 0.2474413, 0.0891408, 0.0433575], atol=5e-8)
    assert abs(PC1 @ PC2) < 1e-7
    printed = np.abs(PC2)  # without signs
    assert PC1 @ printed == pytest.approx(0.66747, abs=5e-6)
    assert abs(space.components_[1] @ printed) < 0.7  # far from the line it should be on

    unscaled = Eigenspace().fit(arrests)
    assert_allclose(np.abs(unscaled.components_[0]), [0.0417, 0.9952, 0.0463, 0.0752], atol=5e-5)
    assert unscaled.energy_shares_[0] == pytest.approx(0.9655, abs=5e-5)


# How many components


def test_share_keeps_the_fewest_components_that_reach_it(many):
    cumulated = np.cumsum(Eigenspace().fit(many).energy_shares_)
    for share in (0.3, 0.9, 0.99, 0.999999):
        kept = Eigenspace(n_components=share).fit(many).n_components_
        assert cumulated[kept - 1] >= share and (kept == 1 or cumulated[kept - 2] < share)
    assert Eigenspace(n_components=1.0).fit(many).n_components_ == 20
    assert Eigenspace(n_components=1).fit(many).n_components_ == 1
    assert Eigenspace(n_components=np.int64(3)).fit(many).n_components_ == 3


def test_zero_eigenvalues_are_dropped(many):
    with_copies = np.hstack([many, many[:, :5], np.full((300, 2), 7.0)])  # 5 pixels twice, 2 constant
    space = Eigenspace().fit(with_copies)
    assert space.n_components_ == 20
    assert space.residual_energy(with_copies).max() < 1e-20
    twice = np.vstack([SMALL, SMALL])[:, :2]
    assert Eigenspace().fit(twice).n_components_ == 2


@pytest.mark.parametrize("shape", [(700, 120), (120, 700)])
def test_few_components_are_the_first_of_all(shape):
    X = np.random.default_rng(3).standard_normal(shape) * np.geomspace(1, 0.01, shape[1])
    every, few = Eigenspace().fit(X), Eigenspace(n_components=6).fit(X)  # few: the subset solver
    assert_allclose(few.components_, every.components_[:6], atol=1e-9)
    assert_allclose(few.eigenvalues_, every.eigenvalues_[:6], rtol=1e-11)
    assert_allclose(few.total_energy_, every.total_energy_)


# Accuracy


@pytest.mark.parametrize("shape", [(1700, 12), (12, 1700)])
@pytest.mark.parametrize("offset", [1, 1000])  # a large set is centred first only if its mean is far away
def test_large_sets_give_what_small_ones_give(shape, offset, monkeypatch):
    X = offset + np.random.default_rng(4).standard_normal(shape)
    whole = Eigenspace().fit(X)
    monkeypatch.setattr(eigenspace, "BLOCK", 1)  # blocks of 512 rows or columns, the last one shorter
    assert_same_space(Eigenspace().fit(X), whole)
    assert_same_space(Eigenspace().fit(np.asfortranarray(X)), whole)
    Lambda = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2 / len(X)
    assert_allclose(whole.eigenvalues_, Lambda[: whole.n_components_], rtol=1e-10)


@pytest.mark.parametrize("shape", [(40, 9), (9, 40), (600, 9)])
@pytest.mark.parametrize("block", [1, eigenspace.BLOCK])
def test_a_distant_mean_costs_no_accuracy(shape, block, monkeypatch):
    monkeypatch.setattr(eigenspace, "BLOCK", block)
    X = np.random.default_rng(7).integers(-8, 8, shape) / 8  # exact next to 2**27
    near, far = Eigenspace().fit(X), Eigenspace().fit(X + 2.0**27)
    assert_allclose(far.eigenvalues_, near.eigenvalues_, rtol=1e-9)
    assert_same_lines(far.components_, near.components_, atol=1e-7)
    batches = Eigenspace().partial_fit(X[: len(X) // 3] + 2.0**27).partial_fit(X[len(X) // 3 :] + 2.0**27)
    assert_allclose(
        batches.eigenvalues_, near.eigenvalues_, rtol=1e-7
    )  # means are kept to 1e-8 of a deviation
    squares_around_zero = (X + 2.0**27).T @ (X + 2.0**27) / len(X) - np.outer(far.mean_, far.mean_)
    assert np.abs(squares_around_zero - covariance(X)).max() > 0.5  # all digits lost


@pytest.mark.parametrize("n_images", [30, 400])
def test_weak_components_are_orthonormal_too(n_images):
    rng = np.random.default_rng(8)
    strengths = np.geomspace(1, 1e-5, 200)  # eigenvalues over ten orders of magnitude
    X = rng.standard_normal((n_images, 200)) * strengths @ random_rotation(rng, 200)
    space = Eigenspace().fit(X)
    assert space.n_components_ == min(n_images - 1, 200)
    assert_allclose(space.components_ @ space.components_.T, np.eye(space.n_components_), atol=1e-13)
    assert space.residual_energy(X).max() < 1e-24


def test_float32_images_have_a_float64_eigenspace_and_float32_codes():
    X = datasets.load("faces").x.reshape(200, 625).astype(np.float32)
    single, double = Eigenspace().fit(X), Eigenspace().fit(X.astype(float))
    assert_same_space(single, double)
    assert single.n_components_ == 199
    codes = single.transform(X)
    assert (
        codes.dtype == single.inverse_transform(codes).dtype == single.residual_energy(X).dtype == np.float32
    )
    assert single.transform(X.astype(float)).dtype == np.float64
    assert_allclose(codes, double.transform(X.astype(float)), atol=1e-4)
    assert_allclose(single.inverse_transform(codes), X, atol=1e-5)

    V = X - X.mean(axis=0)  # everything in float32 instead
    Lambda = np.linalg.eigvalsh(V @ V.T)[::-1]
    assert np.sum(Lambda > 625 * np.finfo(np.float32).eps * Lambda[0]) < 170
    assert np.abs(Lambda[:199] / 200 / double.eigenvalues_ - 1).max() > 1e-3


# Signs


@pytest.mark.parametrize("data", ["images", "many"])
def test_signs_do_not_depend_on_the_way(data, request):
    X = request.getfixturevalue(data)
    space = Eigenspace().fit(X)
    largest = np.abs(space.components_).argmax(axis=1)
    assert np.all(space.components_[np.arange(space.n_components_), largest] > 0)
    shuffled = np.random.default_rng(9).permutation(X)
    for other in (Eigenspace().fit(shuffled), Eigenspace().partial_fit(X), Eigenspace().fit(-X)):
        assert_allclose(other.components_, space.components_, atol=1e-9)


# Batches


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("data", ["images", "many"])
@pytest.mark.parametrize("n_components", [None, 3, 0.8])
def test_any_split_into_batches_equals_one_fit(data, n_components, seed, request):
    X = request.getfixturevalue(data)
    rng = np.random.default_rng(seed)
    X = X[np.argsort(X[:, 0])] if seed % 2 else X  # sorted: batches with different means
    cuts = np.sort(rng.choice(np.arange(1, len(X)), size=rng.integers(1, 8), replace=False))
    space = Eigenspace(n_components=n_components)
    for batch in np.split(X, cuts):
        assert space.partial_fit(batch) is space
    assert_same_space(space, Eigenspace(n_components=n_components).fit(X))


def test_one_image_after_the_other(many):
    X = many[:30].reshape(30, 4, 5)
    space = Eigenspace(n_components=5)
    kept = [space.partial_fit(W[None]).n_components_ for W in X]
    assert kept == [0, 1, 2, 3, 4] + 25 * [5]
    assert_same_space(space, Eigenspace(n_components=5).fit(X))
    first = Eigenspace().partial_fit(X[:1])
    assert first.total_energy_ == 0 and first.transform(X).shape == (30, 0)
    assert_allclose(first.residual_energy(X), np.sum((many[:30] - many[0]) ** 2, axis=1))


@pytest.mark.parametrize("first", [10, 100])  # fewer and more images than pixels
def test_partial_fit_goes_on_from_fit_and_fit_starts_anew(many, first):
    batch = many[:first].copy()
    space = Eigenspace().fit(batch)
    batch[:] = 0  # what was learnt is not a view of the data
    assert_same_space(space.partial_fit(many[first:]), Eigenspace().fit(many))
    assert_same_space(space.fit(many[:50]), Eigenspace().fit(many[:50]))


def test_refused_batch_changes_nothing(many):
    space = Eigenspace().partial_fit(many[:100])
    before = space.components_.copy()
    for bad in (np.full((1, 20), np.nan), np.full((3, 20), 1e200), np.zeros((2, 7))):
        with (
            pytest.raises(ValueError, match=r"Eigenspace\.partial_fit"),
            np.errstate(over="ignore", invalid="ignore"),
        ):
            space.partial_fit(bad)
    assert_array_equal(space.components_, before)
    assert_same_space(space.partial_fit(many[100:]), Eigenspace().fit(many))


# Images and vectors


def test_images_and_vectors_are_accepted_and_images_come_back(images):
    pictures = images.reshape(M, 8, 8)
    space = Eigenspace(n_components=D).fit(pictures)
    assert (space.image_shape_, space.n_features_in_) == ((8, 8), N)
    assert_array_equal(space.transform(pictures), space.transform(images))
    assert_array_equal(space.residual_energy(pictures), space.residual_energy(images))
    assert space.inverse_transform(space.transform(images)).shape == (M, 8, 8)
    assert space.reconstruct(images, 2).shape == (M, 8, 8)
    vectors = Eigenspace(n_components=D).fit(images)
    assert vectors.image_shape_ == (N,)
    assert_array_equal(vectors.components_, space.components_)
    assert vectors.reconstruct(pictures).shape == (M, N)
    integers = (10 * pictures).astype(np.uint8)
    assert_array_equal(Eigenspace().fit(integers).mean_, integers.reshape(M, N).mean(axis=0))


def test_input_is_not_changed(images):
    before = images.copy()
    space = Eigenspace(n_components=2).fit(images)
    space.residual_energy(images)
    space.reconstruct(images)
    assert_array_equal(images, before)


# Refusals

GOOD = np.random.default_rng(10).random((16, 25, 25))


def refused(said: str):
    return pytest.raises(ValueError, match=said)


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (np.where(GOOD < 1e-3, np.nan, GOOD), r"fit: \d+ of 10000 values are NaN or infinite"),
        (np.full((3, 4), np.inf), "fit: 12 of 12 values are NaN or infinite"),
        ([[np.inf, 0.0], [-np.inf, 1.0]], "fit: 2 of 4 values"),
        (GOOD[:0], "0 sample"),
        (GOOD[:, :0], "0 feature"),
        (GOOD[:1], "fit: expected at least 2 images, got 1 sample"),
        (GOOD[0, 0], r"fit: expected images .* got shape \(25,\)"),
        (np.stack([GOOD, GOOD], axis=-1), r"got shape \(16, 25, 25, 2\)"),
        ([np.zeros((2, 2)), np.zeros((3, 3))], "fit: the images have different sizes. Resize"),
        (np.full((7, 4), 0.1), "fit: all images are equal"),  # although their mean is not exactly 0.1
        (np.full((7, 400), 0.1), "fit: all images are equal"),
        (np.full((3, 4), 1e200) * [[1], [2], [3]], "fit: the squares of these values overflow"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_fit_refuses(X, said):
    with refused(said):
        Eigenspace().fit(X)


@pytest.mark.parametrize(
    ("n_components", "said"),
    [
        (0, "n_components = 0 is out of range. Ask for 1 to 15"),
        (-1, "out of range"),
        (0.0, "n_components = 0.0 is not understood"),
        (1.5, "not understood"),
        (np.nan, "not understood"),
        (True, "n_components = True is not understood"),
        ("all", "n_components = 'all' is not understood"),
    ],
)
def test_number_of_components_is_checked(n_components, said):
    with refused(said):
        Eigenspace(n_components=n_components).fit(GOOD)
    with refused("Eigenspace.partial_fit: n_components"):
        Eigenspace(n_components=n_components).partial_fit(GOOD)


def test_components_need_images_and_pixels():
    with refused("fit: n_components = 16 is out of range. Ask for 1 to 15"):
        Eigenspace(n_components=16).fit(GOOD)
    with refused("partial_fit: n_components = 626 is out of range. Ask for 1 to 625"):
        Eigenspace(n_components=626).partial_fit(GOOD)  # no number of images would be enough


def test_more_components_than_directions_are_refused():
    line = np.outer(np.arange(10.0), np.ones(6))
    with refused("n_components = 3, but the images differ in 1 directions only"):
        Eigenspace(n_components=3).fit(line)
    assert Eigenspace(n_components=3).partial_fit(line).n_components_ == 1  # more may come


def test_windows_of_another_size_are_refused():
    space = Eigenspace(n_components=3).fit(GOOD)
    sentence = r"expected windows of 625 pixels \(25 x 25\), got 1024 \(32 x 32\). Resize them or refit"
    for method in (space.transform, space.reconstruct, space.residual_energy, space.partial_fit):
        with refused(rf"Eigenspace\.(transform|{method.__name__}): {sentence}"):
            method(np.zeros((2, 32, 32)))
    with refused("got 1024. Resize"):
        space.transform(np.zeros((2, 1024)))
    with refused(r"got 625 \(5 x 125\)"):
        space.transform(np.zeros((2, 5, 125)))
    with refused(r"expected windows of 4 pixels, got 6 \(2 x 3\)"):
        Eigenspace().fit(np.eye(4)).transform(np.zeros((1, 2, 3)))
    with refused("transform: 1 of 625 values"):
        space.transform(np.where(np.arange(625) == 3, np.nan, 0.0)[None])


def test_codes_and_numbers_out_of_range_are_refused():
    space = Eigenspace(n_components=3).fit(GOOD)
    for codes in (np.zeros((2, 4)), np.zeros(3), np.zeros((1, 2, 3))):
        with refused(r"inverse_transform: expected codes of shape \(M, d\) with d at most 3, got shape"):
            space.inverse_transform(codes)
    with refused("inverse_transform: 1 of 2 values"):
        space.inverse_transform([[0.0, np.nan]])
    for number in (-1, 4, 1.5):
        with refused("expected n_components from 0 to 3"):
            space.residual_energy(GOOD, number)
        with refused("expected n_components from 0 to 3"):
            space.reconstruct(GOOD, number)
