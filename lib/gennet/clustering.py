"""Clusters and manifolds: which points belong together, and along which few directions they vary.

It follows Yao's slides from K-means to manifold learning: K-means (YA6) and agglomerative clustering (YA7) as
the slides state them; of the manifold methods those that fit on a few lines are written here (classical and
semidefinite multidimensional scaling, Laplacian eigenmaps, diffusion maps), the others are scikit-learn's.
Left out: speed on a million points.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.linalg import null_space
from scipy.sparse.csgraph import connected_components, shortest_path
from scipy.spatial.distance import cdist
from sklearn.manifold import LocallyLinearEmbedding, smacof
from sklearn.neighbors import kneighbors_graph
from threadpoolctl import threadpool_limits

from gennet.datasets.synthetic_faces import synthetic_faces

Array = NDArray[np.float64]

# ------------------------------------------------------------------------------------------ clusters


class KMeans(NamedTuple):
    """What `kmeans` returns: n points, K clusters, p coordinates, T rounds.

    Attributes
    ----------
    labels : ndarray of int, shape (n,)
        The cluster of each point, 0 to K - 1.
    centroids : ndarray of shape (K, p)
        The mean of each cluster.
    objective : float
        The sum of the squared distances of all points from the centroids of their clusters.
    objectives : ndarray of shape (2 T,)
        The same sum after every half round: with new centroids, with a new assignment, and so on.
    path : ndarray of int, shape (T, n)
        The assignment at the beginning of each round, after empty clusters were filled; the last one stayed.
    filled : int
        How often an empty cluster was given a point.
    """

    labels: NDArray[np.int64]
    centroids: Array
    objective: float
    objectives: Array
    path: NDArray[np.int64]
    filled: int


def kmeans(X: ArrayLike, labels: ArrayLike, n_clusters: int | None = None) -> KMeans:
    """Cluster points by K-means, from a given assignment (YA6).

    A round computes the centroid of each cluster, then assigns each point to the nearest centroid; the rounds
    end when no assignment changes. Neither half can raise the objective, and there are finitely many
    assignments, so the rounds do end. Where, depends on the start.

    Two things the algorithm leaves open are settled here. A point that is equally near to two centroids stays
    in its own cluster if that is one of the two, and goes to the first of them otherwise. And an empty
    cluster, which has no mean, takes the point that lies farthest from the centroid of its own cluster; this
    does not raise the objective either.

    Parameters
    ----------
    X
        Points, shape ``(n, p)``.
    labels
        The assignment to start from, n whole numbers from 0 to K - 1.
    n_clusters
        K; the largest label plus 1 if not given.

    Raises
    ------
    ValueError
        If X is not a table of finite numbers, the labels do not fit, or there are more clusters than points.

    Examples
    --------
    >>> square = [[0, 0], [0, 1], [10, 0], [10, 1]]
    >>> kmeans(square, [0, 0, 1, 1]).objective, kmeans(square, [0, 1, 0, 1]).objective
    (1.0, 100.0)
    """
    X = _points(X, "kmeans")
    labels, K = _start(labels, n_clusters, len(X))
    path, objectives, filled = [], [], 0
    while True:
        filled += K - len(np.unique(labels))
        labels = _fill_empty_clusters(X, labels, K)
        path.append(labels)
        centroids = _centroids(X, labels, K)
        squares = cdist(X, centroids, "sqeuclidean")  # (n, K)
        own = squares[np.arange(len(X)), labels]
        nearest = np.where(squares.min(axis=1) < own, squares.argmin(axis=1), labels)
        objectives += [own.sum(), squares.min(axis=1).sum()]
        lower = len(path) == 1 or objectives[-1] < objectives[-3]  # only rounding can make this false
        if (nearest == labels).all() or not lower:
            J = np.array(objectives)
            return KMeans(labels, centroids, float(J[-2]), J, np.array(path), filled)
        labels = nearest


def _centroids(X: Array, labels: NDArray[np.int64], K: int) -> Array:
    """Return the mean of each cluster; rows of empty clusters are zero."""
    sums = np.array([np.bincount(labels, column, K) for column in X.T]).T  # (K, p)
    return sums / np.maximum(np.bincount(labels, minlength=K), 1)[:, None]


def _fill_empty_clusters(X: Array, labels: NDArray[np.int64], K: int) -> NDArray[np.int64]:
    """Give each empty cluster the point that lies farthest from the centroid of its own cluster."""
    for k in np.flatnonzero(np.bincount(labels, minlength=K) == 0):
        far = ((X - _centroids(X, labels, K)[labels]) ** 2).sum(axis=1)
        far[np.bincount(labels, minlength=K)[labels] == 1] = -1  # a point alone must not leave
        labels = labels.copy()
        labels[far.argmax()] = k
    return labels


_OF_ALL_PAIRS = {"complete": np.max, "single": np.min, "average": np.mean}
LINKAGES = (*_OF_ALL_PAIRS, "centroid")


def linkage_distance(A: ArrayLike, B: ArrayLike, kind: str) -> float:
    """Return the dissimilarity of two clusters (YA7).

    ``complete``, ``single`` and ``average`` are the largest, the smallest and the mean of the Euclidean
    distances of all pairs of a point of A and a point of B; ``centroid`` is the distance of their means.

    Parameters
    ----------
    A, B
        Points, shapes ``(n, p)`` and ``(m, p)``.
    kind
        One of `LINKAGES`.

    Raises
    ------
    ValueError
        If the clusters are not tables of finite numbers of one width, or there is no such linkage.

    Examples
    --------
    >>> A, B = [[0, 0], [0, 1]], [[3, 0], [4, 1]]
    >>> [round(linkage_distance(A, B, kind), 6) for kind in LINKAGES]
    [4.123106, 3.0, 3.571346, 3.5]
    """
    A, B = _points(A, "linkage_distance"), _points(B, "linkage_distance")
    if A.shape[1] != B.shape[1]:
        raise ValueError(
            f"linkage_distance: expected points of one width, got {A.shape[1]} coordinates in A and "
            f"{B.shape[1]} in B."
        )
    _check_linkage(kind, "linkage_distance")
    return _between(A, B, kind)


def _between(A: Array, B: Array, kind: str) -> float:
    if kind == "centroid":
        return float(np.linalg.norm(A.mean(axis=0) - B.mean(axis=0)))
    return float(_OF_ALL_PAIRS[kind](cdist(A, B)))


def agglomerate(X: ArrayLike, kind: str) -> Array:
    """Merge the two least dissimilar clusters again and again, until one is left (YA7).

    Parameters
    ----------
    X
        Points, shape ``(n, p)``; each begins as a cluster of its own.
    kind
        The linkage, one of `LINKAGES`.

    Returns
    -------
    ndarray of shape (n - 1, 4)
        One merger a row, as SciPy writes them: the two clusters, the smaller number first, the height at
        which they merge, and the number of points in the new cluster. The points are the clusters 0 to n - 1,
        the cluster of row i has the number n + i. Heights never fall, except with centroid linkage. Of equal
        dissimilarities the pair with the smallest numbers merges first.

    Raises
    ------
    ValueError
        If X is not a table of finite numbers with at least two rows, or there is no such linkage.

    Examples
    --------
    >>> agglomerate([[0, 0], [1, 0], [0.5, 0.9]], "centroid")  # the second merger is lower than the first
    array([[0. , 1. , 1. , 2. ],
           [2. , 3. , 0.9, 3. ]])
    """
    X = _points(X, "agglomerate", at_least=2)
    _check_linkage(kind, "agglomerate")
    n = len(X)
    clusters = {m: [m] for m in range(n)}  # the members of each cluster that is left
    table = np.full((2 * n - 1, 2 * n - 1), np.inf)  # [a, b] with a < b: of clusters that are left
    above = np.triu_indices(n, 1)
    table[:n, :n][above] = cdist(X, X)[above]
    mergers = []
    for new in range(n, 2 * n - 1):
        a, b = map(int, np.unravel_index(table.argmin(), table.shape))
        merged = clusters.pop(a) + clusters.pop(b)
        mergers.append((a, b, table[a, b], len(merged)))
        table[[a, b]] = table[:, [a, b]] = np.inf
        for c, members in clusters.items():
            table[c, new] = _between(X[members], X[merged], kind)
        clusters[new] = merged
    return np.array(mergers)


def cut(mergers: ArrayLike, n_clusters: int) -> NDArray[np.int64]:
    """Return the cluster of each point when only so many clusters are left: undo the last mergers.

    Parameters
    ----------
    mergers
        What `agglomerate` or ``scipy.cluster.hierarchy.linkage`` returns, shape ``(n - 1, 4)``.
    n_clusters
        From 1 to n.

    Returns
    -------
    ndarray of int, shape (n,)
        Labels from 0, numbered by the first point of each cluster.

    Raises
    ------
    ValueError
        If there cannot be so many clusters.

    Examples
    --------
    >>> cut(agglomerate([[0.0], [5.0], [1.0]], "single"), 2)
    array([0, 1, 0])
    """
    mergers = np.asarray(mergers)
    n = len(mergers) + 1
    if not 1 <= n_clusters <= n:
        raise ValueError(f"cut: {n} points make 1 to {n} clusters, not {n_clusters}.")
    clusters = {m: [m] for m in range(n)}
    for new, (a, b) in enumerate(mergers[: n - n_clusters, :2].astype(int), start=n):
        clusters[new] = clusters.pop(a) + clusters.pop(b)
    labels = np.empty(n, dtype=np.int64)
    for label, members in enumerate(sorted(clusters.values(), key=min)):
        labels[members] = label
    return labels


# ----------------------------------------------------------------------------------------- manifolds


def rolled_sheet(
    n: int, seed: int, *, width: float = 32.0, hole: bool = False, noise: float = 0.0
) -> tuple[Array, Array]:
    """Draw points of a rectangular sheet that is rolled up in space without being stretched.

    The sheet is 53.25 long. Rolled up it follows the spiral of radius r = angle, from 1.25 π to 3.5 π: one
    turn and an eighth. Where the sheet lies above itself, the gap is 2 π. Distances along the sheet are those
    of the flat rectangle.

    Parameters
    ----------
    n
        How many points, uniform on the sheet.
    seed
        Of the draws.
    width
        Of the sheet, along the axis of the roll.
    hole
        Cut out the middle: the ninth that remains if the rectangle is divided in three both ways.
    noise
        Standard deviation of Gaussian noise added to the three coordinates.

    Returns
    -------
    X : ndarray of shape (n, 3)
        Points in space.
    flat : ndarray of shape (n, 2)
        The same points on the flat sheet: along its length and along its width, from 0.
    """

    def length(angle: ArrayLike) -> Array:  # of the spiral, from its centre
        return (angle * np.sqrt(1 + angle**2) + np.arcsinh(angle)) / 2

    rng = np.random.default_rng(seed)
    angles = np.linspace(1.25, 3.5, 20001) * np.pi
    lengths = length(angles)
    unit = rng.uniform(size=(20 * n, 2))
    if hole:
        unit = unit[(np.abs(unit - 0.5) > 1 / 6).any(axis=1)]
    flat = unit[:n] * [lengths[-1] - lengths[0], width]
    angle = np.interp(flat[:, 0], lengths - lengths[0], angles)
    X = np.column_stack([angle * np.cos(angle), flat[:, 1], angle * np.sin(angle)])
    return X + noise * rng.normal(size=X.shape), flat


def turning_head(n: int, seed: int, identity: int = 7) -> tuple[Array, Array]:
    """Draw a computed face that looks in random directions.

    Parameters
    ----------
    n
        How many images.
    seed
        Of the directions.
    identity
        Whose face, as in `gennet.datasets.synthetic_faces`.

    Returns
    -------
    X : ndarray of shape (n, 1024)
        Images of 32 x 32 pixels in [0, 1], as vectors.
    pose : ndarray of shape (n, 2)
        Degrees: yaw, uniform within 35 to the left and right, and pitch, within 20 down and up.
    """
    pose = np.random.default_rng(seed).uniform([-35, -20], [35, 20], size=(n, 2))
    images = synthetic_faces(identity, yaw=pose[:, 0], pitch=pose[:, 1])
    return images.reshape(n, -1).astype(float), pose


def neighbour_graph(X: ArrayLike, n_neighbors: int) -> sparse.csr_array:
    """Join each point with its nearest neighbours; the graph is made symmetric.

    Parameters
    ----------
    X
        Points, shape ``(n, p)``.
    n_neighbors
        From 1 to n - 1.

    Returns
    -------
    sparse array of shape (n, n)
        The Euclidean distances of joined points, 0 elsewhere. Two points are joined if one of them is among
        the nearest neighbours of the other.

    Raises
    ------
    ValueError
        If X is not a table of finite numbers, or there are not so many neighbours.
    """
    X = _points(X, "neighbour_graph", at_least=2)
    if not 1 <= n_neighbors < len(X):
        raise ValueError(
            f"neighbour_graph: {len(X)} points have 1 to {len(X) - 1} neighbours each, not {n_neighbors}."
        )
    graph = sparse.csr_array(kneighbors_graph(X, n_neighbors, mode="distance"))
    return graph.maximum(graph.T)


def classical_mds(distances: ArrayLike, n_components: int) -> tuple[Array, Array]:
    """Place points so that their distances come close to given ones (Torgerson, 1952).

    With J = I - 11ᵀ/n, the matrix B = -½ J D² J of Euclidean distances D holds the inner products of the
    centred points, so the leading eigenvectors of B, each times the root of its eigenvalue, are coordinates.

    Parameters
    ----------
    distances
        Shape ``(n, n)``, symmetric, zero on the diagonal.
    n_components
        Coordinates of each point, d.

    Returns
    -------
    Y : ndarray of shape (n, d)
        Centred coordinates along perpendicular axes, the largest variance first; signs by rule: of the
        entries of a column at least half as large as its largest, the first is positive.
    eigenvalues : ndarray of shape (n,)
        Of B, decreasing. None is negative, up to rounding, if the distances are Euclidean.

    Raises
    ------
    ValueError
        If the distances are no such matrix (shortest paths between parts of a graph that do not hang together
        are infinite), or fewer than d eigenvalues are positive.

    Examples
    --------
    >>> Y, eigenvalues = classical_mds([[0, 3, 1], [3, 0, 2], [1, 2, 0]], 1)  # three points of a line
    >>> (Y - Y[0]).ravel().round(6) + 0.0
    array([ 0., -3., -1.])
    """
    D = np.asarray(distances, dtype=float)
    if D.ndim != 2 or D.shape[0] != D.shape[1]:
        raise ValueError(f"classical_mds: expected distances of shape (n, n), got {D.shape}.")
    if not np.isfinite(D).all():
        raise ValueError(
            "classical_mds: some distances are infinite or NaN. Points in different parts of a graph have no "
            "distance along it: join more neighbours."
        )
    if not np.allclose(D, D.T) or not np.allclose(np.diag(D), 0):
        raise ValueError("classical_mds: distances must be symmetric, and zero from a point to itself.")
    squares = D**2
    B = -0.5 * (squares - squares.mean(axis=0) - squares.mean(axis=1, keepdims=True) + squares.mean())
    eigenvalues, vectors = _eigen(B)
    positive = int(np.sum(eigenvalues > 1e-12 * eigenvalues[0]))
    if not 1 <= n_components <= positive:
        raise ValueError(
            f"classical_mds: {positive} eigenvalues are positive, so there are 1 to {positive} coordinates, "
            f"not {n_components}."
        )
    Y = vectors[:, :n_components] * np.sqrt(eigenvalues[:n_components])
    return _with_signs_by_rule(Y), eigenvalues


def semidefinite_mds(distances: ArrayLike, n_components: int, *, rounds: int = 3000) -> tuple[Array, Array]:
    """Place points of which only some distances are known (MDS by semidefinite programming).

    The inner products of the centred points form a positive semidefinite matrix G, and each known distance is
    a linear condition on it: G_ii - 2 G_ij + G_jj = d_ij². Dropping the demand that G have rank d leaves a
    convex problem (Biswas and Ye, 2004); among its solutions the one of largest trace is sought, which pulls
    the points apart (Weinberger and Saul, 2004). Projections in turn on the two convex sets, by the method of
    Douglas and Rachford, find it.

    Parameters
    ----------
    distances
        Shape ``(n, n)``, symmetric; NaN where the distance is not known.
    n_components
        Coordinates of each point, d.
    rounds
        Of projections. Each costs the eigenvectors of an n x n matrix: fit for a hundred points.

    Returns
    -------
    Y : ndarray of shape (n, d)
        Centred coordinates; signs by the rule of `classical_mds`.
    eigenvalues : ndarray of shape (n,)
        Of G, decreasing. If more than d are large, the known distances do not hold the points together in d
        dimensions, and Y is only the shadow of an arrangement in more.

    Raises
    ------
    ValueError
        If the distances are no such matrix, or the known ones do not join all points.
    """
    D = np.asarray(distances, dtype=float)
    if D.ndim != 2 or D.shape[0] != D.shape[1] or not np.allclose(D, D.T, equal_nan=True):
        raise ValueError(f"semidefinite_mds: expected a symmetric matrix of distances, got shape {D.shape}.")
    n = len(D)
    if not 1 <= n_components < n:
        raise ValueError(f"semidefinite_mds: {n} points have 1 to {n - 1} coordinates, not {n_components}.")
    i, j = np.nonzero(np.triu(np.isfinite(D), 1))
    parts = connected_components(sparse.csr_array((np.ones(len(i)), (i, j)), shape=(n, n)))[0]
    if parts > 1:
        raise ValueError(
            f"semidefinite_mds: the known distances leave {parts} parts that nothing joins. Measure more."
        )
    scale = np.sqrt(np.mean(D[i, j] ** 2))
    Q = null_space(np.ones((1, n)))  # (n, n - 1): G = Q H Qᵀ has G 1 = 0
    steps = Q[i] - Q[j]  # one row for each known distance
    conditions = np.einsum("ea,eb->eab", steps, steps).reshape(len(i), -1)
    squares = (D[i, j] / scale) ** 2
    Z = np.zeros((n - 1) ** 2)
    with threadpool_limits(1):
        inverse = np.linalg.pinv(conditions)
        for _ in range(rounds):
            fits = Z - inverse @ (conditions @ Z - squares)  # the nearest matrix with the known distances
            mirrored = (2 * fits - Z).reshape(n - 1, n - 1)
            values, vectors = np.linalg.eigh(mirrored + np.eye(n - 1))  # the identity raises the trace
            semidefinite = (vectors * np.maximum(values, 0)) @ vectors.T
            Z = Z + semidefinite.ravel() - fits
    eigenvalues, vectors = _eigen(Q @ semidefinite @ Q.T)
    Y = vectors[:, :n_components] * np.sqrt(np.maximum(eigenvalues[:n_components], 0)) * scale
    return _with_signs_by_rule(Y), eigenvalues * scale**2


VARIANTS = ("standard", "modified", "hessian", "ltsa")


def locally_linear(X: ArrayLike, n_components: int, n_neighbors: int, variant: str = "standard") -> Array:
    """Embed points by what holds among neighbours: scikit-learn's four methods, signs fixed.

    ``standard`` (Roweis and Saul, 2000) keeps the weights with which a point is the mean of its neighbours,
    ``modified`` (Zhang and Wang, 2007) several such sets of weights, ``hessian`` (Donoho and Grimes, 2003)
    demands that the coordinates be linear on the tangent planes, ``ltsa`` (Zhang and Zha, 2004) that the
    tangent planes fit together.

    Parameters
    ----------
    X
        Points, shape ``(n, p)``.
    n_components
        Coordinates of each point, d.
    n_neighbors
        From 1 to n - 1; at least d for ``modified``, more than d for ``ltsa`` and more than d (d + 3) / 2 for
        ``hessian``.
    variant
        One of `VARIANTS`.

    Returns
    -------
    ndarray of shape (n, d)
        Perpendicular columns of length 1; signs by the rule of `classical_mds`.

    Raises
    ------
    ValueError
        If X is not a table of finite numbers, there is no such variant, or the neighbours are too few.
    """
    X = _points(X, "locally_linear", at_least=2)
    if variant not in VARIANTS:
        raise ValueError(f"locally_linear: no variant {variant!r}; there are: {', '.join(VARIANTS)}.")
    method = LocallyLinearEmbedding(
        n_neighbors=n_neighbors, n_components=n_components, method=variant, eigen_solver="dense"
    )
    with threadpool_limits(1):
        return _with_signs_by_rule(method.fit_transform(X))


def laplacian_eigenmap(affinities: ArrayLike, n_components: int) -> tuple[Array, Array]:
    """Place the nodes of a graph so that strongly joined ones lie close (Belkin and Niyogi, 2003).

    With the degrees on the diagonal of 𝒟, coordinates are the solutions f of (𝒟 - W) f = λ 𝒟 f with the
    smallest λ: they minimise Σ W_ij (f_i - f_j)² / 2 at given variance. The first, f = 1 with λ = 0, says
    nothing and is left out.

    Parameters
    ----------
    affinities
        W, shape ``(n, n)``, symmetric and not negative: how strongly two nodes are joined; dense or sparse.
    n_components
        Coordinates of each node, d.

    Returns
    -------
    Y : ndarray of shape (n, d)
        Columns have mean 0 and mean square 1, where node i counts by its degree; signs by the rule of
        `classical_mds`.
    eigenvalues : ndarray of shape (d,)
        λ, increasing, from 0 to 2.

    Raises
    ------
    ValueError
        If W is no such matrix, its graph does not hang together, or d is out of range.

    Examples
    --------
    >>> path = np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)  # four nodes in a row
    >>> laplacian_eigenmap(path, 3)[1].round(6)  # 1 - cos(k π / 3)
    array([0.5, 1.5, 2. ])
    """
    mu, psi = _random_walk(affinities, n_components, "laplacian_eigenmap")
    return psi, 1 - mu


def diffusion_map(
    affinities: ArrayLike, n_components: int, *, steps: int = 1, density: bool = True
) -> tuple[Array, Array]:
    """Place the nodes of a graph by where random walks from them lead (Coifman and Lafon, 2006).

    A walker at node i goes to j with probability P_ij = W_ij / Σ_j W_ij. With the right eigenvectors ψ of P
    and their eigenvalues μ, the coordinates of i are μ_k^steps ψ_k(i). Using all of them, the squared
    distance of two nodes is Σ_u (P^steps_iu - P^steps_ju)² / π_u, where π_u is the share of its time that a
    walker spends at u: nodes are near if walks from them end alike.

    Parameters
    ----------
    affinities
        W, shape ``(n, n)``, symmetric and not negative, such as `gaussian_affinities`; dense or sparse.
    n_components
        Coordinates of each node, d.
    steps
        Of the walk: the more, the coarser the picture.
    density
        Keep the influence of how densely the points lie. If False, W_ij is first divided by the product of
        the degrees of i and j, and what is left is the shape of the set.

    Returns
    -------
    Y : ndarray of shape (n, d)
        Signs by the rule of `classical_mds`.
    eigenvalues : ndarray of shape (d,)
        μ, decreasing, below 1.

    Raises
    ------
    ValueError
        As `laplacian_eigenmap`.
    """
    W = _affinities(affinities, "diffusion_map")
    if not density:
        degrees = W.sum(axis=1)
        W = W / np.outer(degrees, degrees)
    mu, psi = _random_walk(W, n_components, "diffusion_map")
    return psi * mu**steps, mu


def embeddings(X: ArrayLike, n_neighbors: int, scale: float) -> dict[str, Array]:
    """Embed points in the plane by every method of chapter 3 but t-SNE, whose result no rounding survives.

    Parameters
    ----------
    X
        Points, shape ``(n, p)``.
    n_neighbors
        For the methods that join neighbours; more than 5.
    scale
        Of the affinities of the diffusion map, in the unit of X. The map is that of one step, without the
        influence of the density.

    Returns
    -------
    dict
        From the name of the method to coordinates, ``(n, 2)``.

    Raises
    ------
    ValueError
        Whatever the methods refuse.
    """
    X = _points(X, "embeddings", at_least=2)
    distances, graph = cdist(X, X), neighbour_graph(X, n_neighbors)
    linear = classical_mds(distances, 2)[0]
    return {
        "PCA = classical MDS": linear,
        "metric MDS": smacof(distances, n_components=2, init=linear, n_init=1)[0],
        "Isomap": classical_mds(shortest_path(graph, directed=False), 2)[0],
        "LLE": locally_linear(X, 2, n_neighbors, "standard"),
        "modified LLE": locally_linear(X, 2, n_neighbors, "modified"),
        "Hessian LLE": locally_linear(X, 2, n_neighbors, "hessian"),
        "LTSA": locally_linear(X, 2, n_neighbors, "ltsa"),
        "Laplacian eigenmap": laplacian_eigenmap(graph > 0, 2)[0],
        "diffusion map": diffusion_map(gaussian_affinities(X, scale), 2, density=False)[0],
    }


def gaussian_affinities(X: ArrayLike, scale: float) -> Array:
    """Return exp(-d² / (2 scale²)) for the distances d of all pairs of points, shape ``(n, n)``.

    `scale` is in the unit of the distances. Raises ValueError if X is not a table of finite numbers or the
    scale is not positive.
    """
    X = _points(X, "gaussian_affinities")
    if not scale > 0:
        raise ValueError(f"gaussian_affinities: expected a scale above 0, got {scale}.")
    return np.exp(-cdist(X, X, "sqeuclidean") / (2 * scale**2))


def _random_walk(affinities: ArrayLike, n_components: int, name: str) -> tuple[Array, Array]:
    """Return eigenvalues and right eigenvectors of P = 𝒟⁻¹ W without the first, the vector 1.

    𝒟^-½ W 𝒟^-½ is symmetric and has the eigenvalues of P; its eigenvectors are 𝒟^½ ψ.
    """
    W = _affinities(affinities, name)
    if not 1 <= n_components < len(W):
        raise ValueError(f"{name}: {len(W)} nodes have 1 to {len(W) - 1} coordinates, not {n_components}.")
    parts = connected_components(sparse.csr_array(W))[0]
    if parts > 1:
        raise ValueError(f"{name}: the graph has {parts} parts that nothing joins. Join more neighbours.")
    root = np.sqrt(W.sum(axis=1))
    mu, vectors = _eigen(W / np.outer(root, root))
    psi = vectors[:, 1 : n_components + 1] / root[:, None] * np.linalg.norm(root)
    return mu[1 : n_components + 1], _with_signs_by_rule(psi)


def _eigen(symmetric: Array) -> tuple[Array, Array]:
    """Return eigenvalues, decreasing, and eigenvectors as columns.

    On one thread: on a few hundred rows a second gains little, and beside other programs it costs much.
    """
    with threadpool_limits(1):
        values, vectors = np.linalg.eigh(symmetric)
    return values[::-1], vectors[:, ::-1]


def _with_signs_by_rule(Y: Array) -> Array:
    """Turn each column so that of its entries at least half as large as the largest, the first is positive.

    Unlike "the largest is positive", the rule also decides where the two ends of a column are equally large.
    """
    first = (np.abs(Y) >= 0.5 * np.abs(Y).max(axis=0)).argmax(axis=0)
    return Y * np.where(Y[first, np.arange(Y.shape[1])] < 0, -1, 1)


def aligned(Y: ArrayLike, truth: ArrayLike) -> Array:
    """Turn, mirror, scale and shift an embedding so that it comes closest to a truth, in least squares.

    Distances along a manifold know neither left nor up, so an embedding is determined up to such a motion.

    Parameters
    ----------
    Y, truth
        Shapes ``(n, d)``.

    Raises
    ------
    ValueError
        If they are not tables of finite numbers of one shape.

    Examples
    --------
    >>> aligned([[0, 0], [0, 1], [-2, 0]], [[1, 1], [3, 1], [1, 5]]).round(6)
    array([[1., 1.],
           [3., 1.],
           [1., 5.]])
    """
    Y, truth = _pair(Y, truth, "aligned")
    if Y.shape != truth.shape:
        raise ValueError(f"aligned: expected two tables of one shape, got {Y.shape} and {truth.shape}.")
    centred, target = Y - Y.mean(axis=0), truth - truth.mean(axis=0)
    U, s, Vt = np.linalg.svd(centred.T @ target)
    return truth.mean(axis=0) + centred @ U @ Vt * s.sum() / (centred**2).sum()


def truth_recovered(Y: ArrayLike, truth: ArrayLike) -> float:
    """Return the share of the variance of a truth that an affine map of an embedding explains.

    Each column of the truth counts alike. 1: the embedding is the truth, stretched, turned and sheared at
    most. 0: no linear combination of its coordinates says anything.

    Parameters
    ----------
    Y, truth
        Shapes ``(n, d)`` and ``(n, q)``.

    Raises
    ------
    ValueError
        If they are not tables of finite numbers of one length.

    Examples
    --------
    >>> round(truth_recovered([[0.0], [1.0], [2.0]], [[5.0], [3.0], [1.0]]), 6)
    1.0
    """
    Y, truth = _pair(Y, truth, "truth_recovered")
    target = (truth - truth.mean(axis=0)) / truth.std(axis=0)
    centred = Y - Y.mean(axis=0)
    left = target - centred @ np.linalg.lstsq(centred, target, rcond=None)[0]
    return float(1 - (left**2).mean())


# -------------------------------------------------------------------------------------------- checks


def _points(X: ArrayLike, name: str, at_least: int = 1) -> Array:
    try:
        X = np.asarray(X, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected a table of numbers, one point a row.") from error
    if X.ndim != 2 or X.shape[0] < at_least or X.shape[1] < 1:
        raise ValueError(
            f"{name}: expected points of shape (n, p), n at least {at_least}, got shape {X.shape}. "
            "Images are flattened with X.reshape(len(X), -1)."
        )
    if bad := X.size - np.count_nonzero(np.isfinite(X)):
        raise ValueError(f"{name}: {bad} of {X.size} values are NaN or infinite. Remove or fill them.")
    return X


def _pair(Y: ArrayLike, truth: ArrayLike, name: str) -> tuple[Array, Array]:
    Y, truth = _points(Y, name, at_least=2), _points(truth, name, at_least=2)
    if len(Y) != len(truth):
        raise ValueError(f"{name}: {len(Y)} points are embedded, the truth has {len(truth)}.")
    return Y, truth


def _start(labels: ArrayLike, n_clusters: int | None, n: int) -> tuple[NDArray[np.int64], int]:
    labels = np.asarray(labels)
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"kmeans: expected {n} whole numbers as labels, one a point, got shape {labels.shape} of dtype "
            f"{labels.dtype}."
        )
    K = int(labels.max()) + 1 if n_clusters is None else n_clusters
    if not 1 <= K <= n:
        raise ValueError(f"kmeans: {n} points make 1 to {n} clusters, not {K}.")
    if labels.min() < 0 or labels.max() >= K:
        raise ValueError(
            f"kmeans: labels of {K} clusters go from 0 to {K - 1}, got {labels.min()} to {labels.max()}."
        )
    return labels.astype(np.int64), K


def _check_linkage(kind: str, name: str) -> None:
    if kind not in LINKAGES:
        raise ValueError(f"{name}: there is no linkage {kind!r}; there are: {', '.join(LINKAGES)}.")


def _affinities(affinities: ArrayLike, name: str) -> Array:
    W = affinities.toarray() if sparse.issparse(affinities) else np.asarray(affinities, dtype=float)
    if W.ndim != 2 or W.shape[0] != W.shape[1] or not np.isfinite(W).all():
        raise ValueError(f"{name}: expected affinities of shape (n, n), all finite, got shape {W.shape}.")
    if (W < 0).any() or not np.allclose(W, W.T):
        raise ValueError(f"{name}: affinities must be symmetric and not negative.")
    return W
