"""K-means and linkages against scikit-learn and SciPy, manifold methods against cases solved on paper."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.cluster.hierarchy import linkage
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist, pdist
from sklearn import cluster, manifold
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from gennet.clustering import (
    LINKAGES,
    VARIANTS,
    agglomerate,
    aligned,
    classical_mds,
    cut,
    diffusion_map,
    gaussian_affinities,
    kmeans,
    laplacian_eigenmap,
    linkage_distance,
    locally_linear,
    neighbour_graph,
    rolled_sheet,
    semidefinite_mds,
    truth_recovered,
)

SQUARE = np.array([[0.0, 0], [0, 1], [10, 0], [10, 1]])
TRIANGLE = np.array([[0.0, 0], [1, 0], [0.5, 0.9]])

# ----------------------------------------------------------------------------------------------- K-means


def random_start(n: int, K: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(K, size=n)


def sum_of_squares(X: np.ndarray, labels: np.ndarray) -> float:
    clusters = [X[labels == k] for k in np.unique(labels)]
    return sum(((A - A.mean(axis=0)) ** 2).sum() for A in clusters)


@pytest.mark.equation("YA6")
def test_start_decides_between_a_good_and_a_bad_end():
    assert kmeans(SQUARE, [0, 0, 1, 1]).objective == 1
    assert kmeans(SQUARE, [0, 1, 0, 1]).objective == 100
    best = min(kmeans(SQUARE, start).objective for start in itertools.product([0, 1], repeat=4) if any(start))
    assert best == 1


@pytest.mark.equation("YA6")
@pytest.mark.parametrize("seed", range(20))
def test_objective_never_rises_and_the_end_is_a_fixed_point(seed: int):
    X, _ = make_blobs(150, 3, centers=6, cluster_std=2.0, random_state=seed)
    run = kmeans(X, random_start(150, 6, seed), 6)
    assert (np.diff(run.objectives) <= 1e-12 * run.objectives[0]).all()
    assert run.objectives[0] > 1.5 * run.objective  # there was something to gain
    assert_allclose(run.objective, sum_of_squares(X, run.labels), rtol=1e-12)
    assert_allclose(run.centroids, [X[run.labels == k].mean(axis=0) for k in range(6)], rtol=1e-12)
    assert_array_equal(cdist(X, run.centroids).argmin(axis=1), run.labels)
    assert len(run.path) * 2 == len(run.objectives) and (run.path[-1] == run.labels).all()


@pytest.mark.parametrize("seed", [0, 1, 2, 5, 6, 7, 8, 9])
def test_same_end_as_scikit_learn_from_the_same_centroids(seed: int):
    """With seeds 3 and 4 a cluster empties on the way, and scikit-learn has another rule for that."""
    X, _ = make_blobs(200, 2, centers=5, cluster_std=1.5, random_state=seed)
    start = random_start(200, 5, seed)
    ours = kmeans(X, start)
    centroids = np.array([X[start == k].mean(axis=0) for k in range(5)])
    theirs = cluster.KMeans(5, init=centroids, n_init=1, tol=0, algorithm="lloyd", max_iter=1000).fit(X)
    assert_array_equal(ours.labels, theirs.labels_)
    assert_allclose(ours.objective, theirs.inertia_, rtol=1e-10)
    assert_allclose(ours.centroids, theirs.cluster_centers_, rtol=1e-10)


def test_first_rounds_by_hand():
    X = np.array([[0.0], [1], [2], [10]])
    run = kmeans(X, [0, 1, 0, 1])  # centroids 1 and 5.5
    assert_array_equal(run.path, [[0, 1, 0, 1], [0, 0, 0, 1]])
    assert_allclose(run.objectives, [42.5, 22.25, 2, 2])


def test_empty_cluster_takes_the_farthest_point():
    run = kmeans(SQUARE, [0, 0, 0, 0], 2)  # every point is 5.02 from the common mean: the first goes
    assert_array_equal(run.path[0], [1, 0, 0, 0])
    assert run.objective == 1 and run.filled == 1
    lonely = kmeans([[0.0], [1], [2], [50]], [0, 0, 0, 0], 3)
    assert_array_equal(
        lonely.path[0], [2, 0, 0, 1]
    )  # 50 is farthest from 13.25, then 0 from the mean of the rest
    assert sorted(np.bincount(lonely.labels)) == [1, 1, 2] and lonely.objective == 0.5
    assert lonely.filled == 2


def test_cluster_that_empties_on_the_way_is_filled():
    """Cluster 2 starts between the others and loses both of its points."""
    X = np.array([[-1.0], [0], [0.2], [10], [11], [4.5], [6.5]])
    run = kmeans(X, [0, 0, 0, 1, 1, 2, 2])
    assert (np.bincount(run.labels, minlength=3) > 0).all()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(12, 2)) ** 3
        run = kmeans(X, rng.integers(8, size=12), 8)
        assert np.bincount(run.labels, minlength=8).min() > 0
        assert (np.diff(run.objectives) <= 1e-12).all()


def test_equal_points_end_even_where_means_are_rounded():
    for n, K in [(4, 2), (7, 3), (10, 10)]:
        run = kmeans(np.full((n, 2), 0.1), np.zeros(n, dtype=int), K)
        assert np.bincount(run.labels, minlength=K).min() > 0
        assert run.objective < 1e-30


def test_point_between_two_centroids_stays():
    run = kmeans([[-1.0], [1], [0], [-1], [1]], [0, 1, 1, 0, 1])
    assert len(run.path) == 1 or run.objective <= run.objectives[0]
    tie = kmeans([[-2.0], [0], [2]], [0, 0, 1])  # centroids -1 and 2
    assert_array_equal(tie.labels, [0, 0, 1])


def test_input_is_left_alone_and_one_cluster_is_its_mean():
    X, start = SQUARE.copy(), np.zeros(4, dtype=int)
    run = kmeans(X, start, 3)
    assert (X == SQUARE).all() and not start.any() and len(run.centroids) == 3
    assert_allclose(kmeans(X, start).centroids, [[5, 0.5]])


@pytest.mark.parametrize(
    ("X", "labels", "K", "said"),
    [
        ([1.0, 2.0], [0, 1], None, r"shape \(n, p\)"),
        (np.zeros((2, 8, 8)), [0, 1], None, "Images are flattened"),
        ([[0.0], [np.nan]], [0, 1], None, "1 of 2 values are NaN"),
        ([["a"], ["b"]], [0, 1], None, "table of numbers"),
        (SQUARE, [0, 1], None, "expected 4 whole numbers"),
        (SQUARE, [0.0, 1, 0, 1], None, "dtype float64"),
        (SQUARE, [0, 1, 2, 3], 3, "from 0 to 2, got 0 to 3"),
        (SQUARE, [0, 1, -1, 1], None, "got -1 to 1"),
        (SQUARE, [0, 0, 0, 0], 5, "1 to 4 clusters, not 5"),
        (SQUARE, [0, 0, 0, 0], 0, "not 0"),
    ],
)
def test_kmeans_refuses(X, labels, K, said):
    with pytest.raises(ValueError, match=said):
        kmeans(X, labels, K)


# ---------------------------------------------------------------------------------------------- linkages


@pytest.mark.equation("YA7")
def test_linkages_of_two_pairs():
    A, B = [[0, 0], [0, 1]], [[3, 0], [4, 1]]
    expected = {"complete": 4.123106, "single": 3, "average": 3.571346, "centroid": 3.5}
    for kind, value in expected.items():
        assert_allclose(linkage_distance(A, B, kind), value, atol=1e-6)
        assert linkage_distance(B, A, kind) == linkage_distance(A, B, kind)


@pytest.mark.equation("YA7")
@pytest.mark.parametrize("kind", LINKAGES)
@pytest.mark.parametrize("seed", range(5))
def test_same_mergers_as_scipy(kind: str, seed: int):
    X = np.random.default_rng(seed).normal(size=(60, 3))
    ours, theirs = agglomerate(X, kind), linkage(X, kind)
    assert_array_equal(ours[:, [0, 1, 3]], theirs[:, [0, 1, 3]])
    assert_allclose(ours[:, 2], theirs[:, 2], rtol=1e-10)


@pytest.mark.equation("YA7")
def test_centroid_linkage_inverts():
    heights = agglomerate(TRIANGLE, "centroid")[:, 2]
    assert_allclose(heights, [1, 0.9], atol=1e-12)
    for kind in ("complete", "single", "average"):
        assert (np.diff(agglomerate(TRIANGLE, kind)[:, 2]) >= 0).all()


def test_heights_never_fall_but_with_centroids():
    inverted = dict.fromkeys(LINKAGES, 0)
    for seed in range(30):
        X = np.random.default_rng(seed).normal(size=(20, 2))
        for kind in LINKAGES:
            inverted[kind] += bool((np.diff(agglomerate(X, kind)[:, 2]) < -1e-12).any())
    assert inverted["complete"] == inverted["single"] == inverted["average"] == 0
    assert inverted["centroid"] > 5


def test_mergers_by_hand():
    """Points 0, 1, 3, 7 on a line: single linkage adds them one at a time, at their gaps."""
    X = np.array([[0.0], [1], [3], [7]])
    assert_array_equal(agglomerate(X, "single"), [[0, 1, 1, 2], [2, 4, 2, 3], [3, 5, 4, 4]])
    assert_array_equal(agglomerate(X, "complete")[:, 2], [1, 3, 7])
    assert_array_equal(agglomerate(X, "average")[:, 2], [1, 2.5, (7 + 6 + 4) / 3])


def test_equal_points_merge_at_height_zero_in_the_order_of_their_numbers():
    assert_array_equal(agglomerate(np.ones((3, 2)), "average"), [[0, 1, 0, 2], [2, 3, 0, 3]])


@pytest.mark.parametrize("kind", LINKAGES)
def test_cut_finds_separate_groups(kind: str):
    X, y = make_blobs(60, 2, centers=[[0, 0], [20, 0], [0, 20]], random_state=1)
    labels = cut(agglomerate(X, kind), 3)
    assert adjusted_rand_score(y, labels) == 1
    assert labels[0] == 0 and (np.diff([labels.tolist().index(k) for k in range(3)]) > 0).all()


def test_cut_from_one_cluster_to_all():
    mergers = agglomerate(TRIANGLE, "centroid")
    assert [cut(mergers, K).tolist() for K in (1, 2, 3)] == [[0, 0, 0], [0, 0, 1], [0, 1, 2]]
    for K in (0, 4):
        with pytest.raises(ValueError, match=f"1 to 3 clusters, not {K}"):
            cut(mergers, K)


def test_linkages_refuse():
    with pytest.raises(ValueError, match="no linkage 'ward'; there are: complete, single, average, centroid"):
        agglomerate(SQUARE, "ward")
    with pytest.raises(ValueError, match="no linkage 'median'"):
        linkage_distance(SQUARE, SQUARE, "median")
    with pytest.raises(ValueError, match="n at least 2"):
        agglomerate([[1.0, 2.0]], "single")
    with pytest.raises(ValueError, match="3 coordinates in A and 2 in B"):
        linkage_distance(np.zeros((2, 3)), np.zeros((2, 2)), "single")


# --------------------------------------------------------------------------------------------- manifolds


def path_graph(n: int) -> np.ndarray:
    return np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)


def circle_graph(n: int) -> np.ndarray:
    return np.roll(np.eye(n), 1, axis=1) + np.roll(np.eye(n), -1, axis=1)


def test_sheet_is_rolled_without_stretching():
    X, flat = rolled_sheet(4000, 0)
    assert flat.min() >= 0 and (flat.max(axis=0) < [53.252, 32]).all()
    graph = neighbour_graph(X, 6).tocoo()
    in_space, on_sheet = graph.data, np.linalg.norm(flat[graph.row] - flat[graph.col], axis=1)
    assert (in_space <= on_sheet + 1e-5).all()  # a chord is shorter than its arc
    assert np.median(in_space / on_sheet) > 0.998
    radius = np.hypot(X[:, 0], X[:, 2])
    assert_allclose([radius.min(), radius.max()], [1.25 * np.pi, 3.5 * np.pi], atol=0.02)


def test_hole_and_width_of_the_sheet():
    _, flat = rolled_sheet(500, 1, width=9, hole=True)
    assert flat.shape == (500, 2) and flat[:, 1].max() < 9
    middle = (np.abs(flat / [53.2520, 9] - 0.5) < 1 / 6 - 1e-6).all(axis=1)
    assert not middle.any()
    noisy, _ = rolled_sheet(500, 1, noise=0.5)
    assert 0.4 < (noisy - rolled_sheet(500, 1)[0]).std() < 0.6


def test_classical_mds_recovers_a_map_from_its_distances():
    X = np.random.default_rng(0).normal(size=(30, 3)) * [3, 2, 1]
    Y, eigenvalues = classical_mds(cdist(X, X), 3)
    assert_allclose(cdist(Y, Y), cdist(X, X), atol=1e-10)
    assert_allclose(aligned(Y, X), X, atol=1e-10)
    assert_allclose(eigenvalues[3:], 0, atol=1e-10)
    centred = X - X.mean(axis=0)  # the same as principal components, eigenvalues and all
    assert_allclose(eigenvalues[:3], np.linalg.svd(centred, compute_uv=False) ** 2)


def test_distances_of_a_tree_are_not_euclidean():
    star = np.array([[0, 1, 1, 1], [1, 0, 2, 2], [1, 2, 0, 2], [1, 2, 2, 0]], dtype=float)
    _, eigenvalues = classical_mds(star, 2)
    assert eigenvalues.min() < -0.1
    with pytest.raises(ValueError, match="2 eigenvalues are positive"):
        classical_mds(star, 3)


def test_shortest_paths_and_classical_mds_are_isomap():
    X, _ = rolled_sheet(300, 2)
    paths = shortest_path(neighbour_graph(X, 7), directed=False)
    ours = classical_mds(paths, 2)[0]
    theirs = manifold.Isomap(n_neighbors=7, n_components=2, eigen_solver="dense").fit_transform(X)
    assert_allclose(aligned(theirs, ours), ours, atol=1e-8)


def test_neighbour_graph_is_symmetric():
    X = np.array([[0.0], [1], [3], [7]])
    assert_array_equal(
        neighbour_graph(X, 1).toarray(), [[0, 1, 0, 0], [1, 0, 2, 0], [0, 2, 0, 4], [0, 0, 4, 0]]
    )
    for k in (0, 4):
        with pytest.raises(ValueError, match="1 to 3 neighbours"):
            neighbour_graph(X, k)


def test_semidefinite_mds_of_all_distances_is_the_map():
    X = np.random.default_rng(3).uniform(size=(12, 2))
    Y, eigenvalues = semidefinite_mds(cdist(X, X), 2)
    assert_allclose(aligned(Y, X), X, atol=1e-8)
    assert eigenvalues[2] < 1e-8 * eigenvalues[0]


def test_semidefinite_mds_fills_in_missing_distances():
    X = np.random.default_rng(1).uniform(0, 100, (40, 2))
    D = cdist(X, X)
    known = np.where(D < 40, D, np.nan)
    assert np.isnan(known).mean() > 0.6
    Y, eigenvalues = semidefinite_mds(known, 2)
    assert eigenvalues[2] < 1e-6 * eigenvalues[0]  # the certificate: the plane is enough
    assert np.abs(aligned(Y, X) - X).max() < 1e-3
    paths = shortest_path(np.where(D < 40, D, 0), directed=False)
    assert np.abs(aligned(classical_mds(paths, 2)[0], X) - X).max() > 1


def test_semidefinite_mds_unfolds_as_far_as_the_distances_allow():
    """Three points, two distances: the largest trace stretches them on a line."""
    D = np.array([[0, 1, np.nan], [1, 0, 2], [np.nan, 2, 0]])
    Y, eigenvalues = semidefinite_mds(D, 1)
    assert_allclose(np.abs(Y[0, 0] - Y[2, 0]), 3, atol=1e-4)
    assert eigenvalues[1] < 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_locally_linear_methods_flatten_a_bent_sheet(variant: str):
    X, flat = rolled_sheet(700, 0)
    Y = locally_linear(X, 2, 10, variant)
    assert truth_recovered(Y, flat) > (0.85 if variant == "standard" else 0.99)
    assert_allclose(Y.T @ Y, np.eye(2), atol=1e-8)
    assert (Y[(np.abs(Y) >= np.abs(Y).max(axis=0) / 2).argmax(axis=0), [0, 1]] > 0).all()


def test_locally_linear_refuses():
    with pytest.raises(ValueError, match="no variant 'hlle'; there are: standard, modified, hessian, ltsa"):
        locally_linear(SQUARE, 1, 2, "hlle")
    with pytest.raises(ValueError, match="n_neighbors"):
        locally_linear(rolled_sheet(30, 0)[0], 2, 5, "hessian")
    with pytest.raises(ValueError, match="NaN"):
        locally_linear([[0.0], [np.nan], [1]], 1, 1)


@pytest.mark.parametrize("n", [4, 9, 30])
def test_laplacian_eigenmap_of_a_path(n: int):
    Y, eigenvalues = laplacian_eigenmap(path_graph(n), 3)
    k, node = np.arange(1, 4), np.arange(n)[:, None]
    assert_allclose(eigenvalues, 1 - np.cos(k * np.pi / (n - 1)), atol=1e-12)
    expected = np.cos(k * np.pi * node / (n - 1))
    norm = np.sqrt((path_graph(n).sum(axis=0) @ expected**2) / (2 * n - 2))
    assert_allclose(Y, expected / norm, atol=1e-9)


@pytest.mark.parametrize("n", [5, 12, 31])
def test_laplacian_eigenmap_of_a_circle_is_a_circle(n: int):
    Y, eigenvalues = laplacian_eigenmap(circle_graph(n), 2)
    assert_allclose(eigenvalues, 1 - np.cos(2 * np.pi / n), atol=1e-12)  # twice: only the plane is determined
    angle = 2 * np.pi * np.arange(n) / n
    circle = np.sqrt(2) * np.column_stack([np.cos(angle), np.sin(angle)])
    assert_allclose(aligned(Y, circle), circle, atol=1e-9)


def test_laplacian_eigenmap_agrees_with_scikit_learn():
    X, _ = rolled_sheet(200, 3)
    W = (neighbour_graph(X, 10) > 0).astype(float)
    ours, _ = laplacian_eigenmap(W, 2)
    theirs = manifold.SpectralEmbedding(2, affinity="precomputed", random_state=0).fit_transform(W.toarray())
    scale = np.linalg.norm(ours, axis=0) / np.linalg.norm(theirs, axis=0)
    for k in range(2):
        assert_allclose(np.abs(theirs[:, k] * scale[k]), np.abs(ours[:, k]), atol=1e-6)


def test_map_of_one_step_and_eigenmap_differ_by_the_eigenvalues():
    W = gaussian_affinities(np.random.default_rng(0).normal(size=(20, 2)), 1)
    f, lam = laplacian_eigenmap(W, 5)
    Y, mu = diffusion_map(W, 5)
    assert_allclose(mu, 1 - lam, atol=1e-12)
    assert_allclose(Y, f * mu, atol=1e-10)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_distance_in_the_map_is_the_diffusion_distance(steps: int):
    W = gaussian_affinities(np.random.default_rng(1).normal(size=(25, 2)), 0.7)
    Y, _ = diffusion_map(W, 24, steps=steps)
    P = np.linalg.matrix_power(W / W.sum(axis=1, keepdims=True), steps)
    pi = W.sum(axis=1) / W.sum()
    assert_allclose(pi @ P, pi, atol=1e-12)  # the walker's shares of time do not change
    assert_allclose(pdist(Y), pdist(P / np.sqrt(pi)), atol=1e-10)


def test_density_can_be_divided_out():
    """Points on a circle, crowded on one side: without their density the map is again nearly a circle."""
    rng = np.random.default_rng(4)
    angle = np.sort(np.concatenate([rng.uniform(0, 2 * np.pi, 300), rng.uniform(0, np.pi, 600)]))
    X = np.c_[np.cos(angle), np.sin(angle)]
    W = gaussian_affinities(X, 0.1)

    def roundness(density: bool) -> float:
        Y, _ = diffusion_map(W, 2, density=density)
        radius = np.linalg.norm(Y, axis=1)
        return radius.min() / radius.max()

    assert roundness(True) < 0.5 < 0.7 < roundness(False)


@pytest.mark.parametrize("method", [laplacian_eigenmap, diffusion_map])
def test_walks_refuse(method):
    with pytest.raises(ValueError, match="2 parts"):
        method(np.kron(np.eye(2), np.ones((3, 3))), 1)
    with pytest.raises(ValueError, match="1 to 3 coordinates, not 4"):
        method(path_graph(4), 4)
    with pytest.raises(ValueError, match="not negative"):
        method(-path_graph(4), 1)
    with pytest.raises(ValueError, match="symmetric"):
        method(np.triu(np.ones((4, 4))), 1)
    with pytest.raises(ValueError, match=r"shape \(n, n\)"):
        method(np.ones((3, 4)), 1)


def test_distances_are_checked():
    with pytest.raises(ValueError, match="join more neighbours"):
        classical_mds([[0, np.inf], [np.inf, 0]], 1)
    with pytest.raises(ValueError, match="symmetric"):
        classical_mds([[0, 1], [2, 0]], 1)
    with pytest.raises(ValueError, match=r"shape \(n, n\)"):
        classical_mds(np.ones((2, 3)), 1)
    with pytest.raises(ValueError, match="2 parts"):
        semidefinite_mds([[0, 1, np.nan], [1, 0, np.nan], [np.nan, np.nan, 0]], 1)
    with pytest.raises(ValueError, match="symmetric"):
        semidefinite_mds([[0, 1], [2, 0]], 1)
    with pytest.raises(ValueError, match="1 to 1 coordinates, not 2"):
        semidefinite_mds([[0, 1], [1, 0]], 2)
    with pytest.raises(ValueError, match="scale above 0"):
        gaussian_affinities(SQUARE, 0)


def test_aligned_undoes_motions_and_scores_do_not_see_them():
    rng = np.random.default_rng(5)
    truth = rng.normal(size=(40, 2))
    turn = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]]) @ np.diag([1, -1])
    assert_allclose(aligned(3 * truth @ turn + [5, -2], truth), truth, atol=1e-12)
    assert_allclose(truth_recovered(truth @ [[2, 1], [0, 0.1]] + 7, truth), 1, atol=1e-12)
    assert truth_recovered(rng.normal(size=(40, 2)), truth) < 0.3
    assert_allclose(
        truth_recovered(truth[:, :1], np.c_[truth[:, 0], np.r_[1, -1, np.zeros(38)]]), 0.5, atol=0.1
    )
    with pytest.raises(ValueError, match="40 points are embedded, the truth has 39"):
        truth_recovered(truth, truth[:-1])
    with pytest.raises(ValueError, match="one shape"):
        aligned(truth[:, :1], truth)


def test_sheets_are_recovered_by_the_methods_that_follow_them():
    """The margins are wide: values seen are 0.66, 0.999, 0.97 and 0.95."""
    X, flat = rolled_sheet(700, 0)
    graph = neighbour_graph(X, 10)
    isomap = classical_mds(shortest_path(graph, directed=False), 2)[0]
    eigenmap = laplacian_eigenmap(graph > 0, 2)[0]
    diffusion = diffusion_map(gaussian_affinities(X, 2.0), 2, density=False)[0]
    assert truth_recovered(classical_mds(cdist(X, X), 2)[0], flat) < 0.85
    assert truth_recovered(isomap, flat) > 0.99
    assert truth_recovered(eigenmap, flat) > 0.9
    assert truth_recovered(diffusion, flat) > 0.85
    assert manifold.trustworthiness(flat, isomap, n_neighbors=10) > 0.99
