"""The problem set of chapter 3: K-means from a given start, and the four linkages (E18).

It follows Yao's slides on clustering (YA6, YA7). References are plain NumPy and do not use the library's
`clustering`, so that the two can be compared. Left out: the manifold methods, which chapter 3 takes apart in
its own cells.
"""

# ruff: noqa: D103 (a mistake is described by its hint)

import numpy as np

from gennet.exercises.declare import Derivation, Exercise, Function, Output, ProblemSet, mistake

KINDS = ("complete", "single", "average", "centroid")

# ------------------------------------------------------------------------------------------- K-means


def kmeans(X, labels0):
    """Return labels (n,), centroids (K, p), objective: K-means on X (n, p) from labels0."""
    K, labels = labels0.max() + 1, labels0.copy()
    while True:
        if len(np.unique(labels)) < K:
            labels = with_empty_cluster_filled(X, labels, K)
        centroids = np.array([X[labels == k].mean(axis=0) for k in range(K)])
        squares = ((X[:, None] - centroids) ** 2).sum(axis=2)  # (n, K)
        nearest = squares.argmin(axis=1)
        if (nearest == labels).all():
            return labels, centroids, squares.min(axis=1).sum()
        labels = nearest


def with_empty_cluster_filled(X, labels, K):
    own = np.array([X[labels == label].mean(axis=0) for label in labels])
    labels = labels.copy()
    labels[((X - own) ** 2).sum(axis=1).argmax()] = np.setdiff1d(np.arange(K), labels)[0]
    return labels


def starts(rng):
    """Yield points and starts: a good one, a poor one, one with a label that nobody has, random ones.

    On the way never more than one cluster is empty, and it does not matter from which centroids the farthest
    point is measured.
    """
    corners = np.array([[0.0, 0], [0, 1], [10, 0], [10, 1]])
    yield corners, np.array([0, 0, 1, 1])
    yield corners, np.array([0, 1, 0, 1])
    yield np.array([[0.0], [1], [3], [20]]), np.array([2, 2, 0, 0])
    wanted = [(12, 2, 3, True), (30, 2, 4, False), (25, 3, 4, True), (40, 2, 5, False), (9, 1, 2, False)]
    for n, p, K, empty in wanted:
        while True:
            X = np.round(rng.normal(size=(n, p)) + 3 * rng.integers(3, size=(n, 1)), 3)
            labels0 = rng.integers(K, size=n)
            if empty:
                labels0[labels0 == 1] = 0
            labels0[-1] = K - 1
            if is_clear(X, labels0, K):
                yield X, labels0
                break


def is_clear(X, labels0, K):
    """Tell whether no choice is close, and the run is no trivial one."""
    labels, old, rounds = labels0.copy(), None, 0
    while True:
        missing = np.setdiff1d(np.arange(K), labels)
        if len(missing) > 1:
            return False
        if len(missing):
            own = np.array([X[labels == label].mean(axis=0) for label in labels])
            far = np.sort(((X - own) ** 2).sum(axis=1))
            first = with_empty_cluster_filled(X, labels, K)
            if (
                old is not None
                and ((X - old[labels]) ** 2).sum(axis=1).argmax() != (first != labels).argmax()
            ):
                return False
            if far[-1] - far[-2] < 1e-3:
                return False
            labels = first
        centroids = np.array([X[labels == k].mean(axis=0) for k in range(K)])
        squares = np.sort(((X[:, None] - centroids) ** 2).sum(axis=2), axis=1)
        if (squares[:, 1] - squares[:, 0]).min() < 1e-3:
            return False
        nearest = ((X[:, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)
        if (nearest == labels).all():
            return rounds > 1 and len(np.unique(labels)) == K
        labels, old, rounds = nearest, centroids, rounds + 1


def variant(centre=np.mean, distance=None, rounds=1000):
    """Return K-means with another centre, another distance or an early end."""
    distance = distance or (lambda difference: (difference**2).sum(axis=2))

    def run(X, labels0):
        K, labels = labels0.max() + 1, labels0.copy()
        for _ in range(rounds):
            if len(np.unique(labels)) < K:
                labels = with_empty_cluster_filled(X, labels, K)
            centroids = np.array(
                [centre(X[labels == k], axis=0) if (labels == k).any() else X[0] for k in range(K)]
            )
            nearest = distance(X[:, None] - centroids).argmin(axis=1)
            if (nearest == labels).all():
                break
            labels = nearest
        return labels, centroids, ((X - centroids[labels]) ** 2).sum()

    return run


@mistake(
    "You make one round only: centroids of labels0, then one assignment. Repeat both steps until no "
    "assignment changes."
)
def one_round_only(X, labels0):
    return variant(rounds=1)(X, labels0)


@mistake(
    "A cluster without points keeps NaN for a centroid and never gets a point again. Decide what happens to "
    "an empty cluster: here it takes the point that lies farthest from the centroid of its own cluster.",
    seen_in="labels",
)
def empty_cluster_left_empty(X, labels0):
    labels, K = labels0, labels0.max() + 1
    while True:
        centroids = np.full((K, X.shape[1]), np.inf)
        for k in np.unique(labels):
            centroids[k] = X[labels == k].mean(axis=0)
        nearest = ((X[:, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)
        if (nearest == labels).all():
            return labels, centroids, ((X - centroids[labels]) ** 2).sum()
        labels = nearest


@mistake(
    "An empty cluster got its centroid at the origin, as if the mean of no points were 0. Here it takes the "
    "point that lies farthest from the centroid of its own cluster.",
    seen_in="labels",
)
def empty_cluster_at_the_origin(X, labels0):
    labels, K = labels0, labels0.max() + 1
    for _ in range(1000):
        centroids = np.zeros((K, X.shape[1]))
        for k in np.unique(labels):
            centroids[k] = X[labels == k].mean(axis=0)
        nearest = ((X[:, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)
        if (nearest == labels).all():
            break
        labels = nearest
    return labels, centroids, ((X - centroids[labels]) ** 2).sum()


@mistake(
    "You find a better division than the run from labels0 does. That is what one wants in practice, with "
    "several starts; here the question is where *this* start ends, also if it is a poor local optimum.",
    seen_in="objective",
)
def best_of_many_starts(X, labels0):
    K, rng = labels0.max() + 1, np.random.default_rng(0)
    runs = []
    for _ in range(60):
        labels = rng.permutation(np.arange(len(X)) % K)
        while True:
            centroids = np.array(
                [
                    X[labels == k].mean(axis=0) if (labels == k).any() else X[rng.integers(len(X))]
                    for k in range(K)
                ]
            )
            squares = ((X[:, None] - centroids) ** 2).sum(axis=2)
            if (squares.argmin(axis=1) == labels).all():
                break
            labels = squares.argmin(axis=1)
        runs.append((labels, centroids, squares.min(axis=1).sum()))
    return min(runs, key=lambda run: run[2])


@mistake(
    "You return the mean squared distance. The objective is the sum over all points: do not divide by n.",
    seen_in="objective",
)
def mean_instead_of_sum(X, labels0):
    labels, centroids, objective = kmeans(X, labels0)
    return labels, centroids, objective / len(X)


@mistake(
    "You add up distances. The objective adds up their squares: leave out the square root.",
    seen_in="objective",
)
def distances_not_squared(X, labels0):
    labels, centroids, _ = kmeans(X, labels0)
    return labels, centroids, np.linalg.norm(X - centroids[labels], axis=1).sum()


@mistake(
    "Your objective is the square root of the sum, a norm. The objective is the sum of squares itself.",
    seen_in="objective",
)
def root_of_the_sum(X, labels0):
    labels, centroids, objective = kmeans(X, labels0)
    return labels, centroids, np.sqrt(objective)


@mistake(
    "Your centroids are medians. K-means takes the mean, the one point that has the smallest sum of squared "
    "distances."
)
def medians(X, labels0):
    return variant(centre=np.median)(X, labels0)


@mistake(
    "You assign by the sum of absolute differences. Nearest means Euclidean here: sum the squares.",
    seen_in="labels",
)
def city_block_distances(X, labels0):
    return variant(distance=lambda difference: np.abs(difference).sum(axis=2))(X, labels0)


@mistake(
    "Your labels count from 1. Here clusters count from 0, and cluster k keeps the number k that it has in "
    "labels0.",
    seen_in="labels",
)
def labels_from_one(X, labels0):
    labels, centroids, objective = kmeans(X, labels0)
    return labels + 1, centroids, objective


def with_loops(X, labels0):
    K, labels = max(labels0.tolist()) + 1, labels0.tolist()
    while True:
        while len(set(labels)) < K:
            means = {
                k: np.mean([x for x, m in zip(X, labels, strict=True) if m == k], axis=0) for k in set(labels)
            }
            far = [sum((x - means[m]) ** 2) for x, m in zip(X, labels, strict=True)]
            labels[far.index(max(far))] = min(set(range(K)) - set(labels))
        means = [np.mean([x for x, m in zip(X, labels, strict=True) if m == k], axis=0) for k in range(K)]
        squares = [[float(sum((x - c) ** 2)) for c in means] for x in X]
        nearest = [row.index(min(row)) for row in squares]
        if nearest == labels:
            return labels, means, sum(map(min, squares))
        labels = nearest


def with_one_hot_products(X, labels0):
    K, labels = labels0.max() + 1, labels0
    old = None
    while True:
        member = np.eye(K)[labels]
        if not member.sum(axis=0).all():  # measured from the centroids of the last round, if there was one
            at = (
                np.nan_to_num(member.T @ X / np.maximum(member.sum(axis=0), 1)[:, None])
                if old is None
                else old
            )
            far = ((X - at[labels]) ** 2).sum(axis=1).argmax()
            member[far] = np.eye(K)[int(np.flatnonzero(member.sum(axis=0) == 0)[0])]
            labels = member.argmax(axis=1)
        old = member.T @ X / member.sum(axis=0)[:, None]
        squares = (X**2).sum(axis=1)[:, None] - 2 * X @ old.T + (old**2).sum(axis=1)
        if (squares.argmin(axis=1) == labels).all():
            return labels, old, ((X - old[labels]) ** 2).sum()
        labels = squares.argmin(axis=1)


def in_torch(X, labels0):
    import torch

    points, labels, K = torch.tensor(X), torch.tensor(labels0), int(labels0.max()) + 1
    while True:
        if len(labels.unique()) < K:
            labels = torch.tensor(with_empty_cluster_filled(X, labels.numpy(), K))
        centroids = torch.stack([points[labels == k].mean(dim=0) for k in range(K)])
        distances = torch.cdist(points, centroids, compute_mode="donot_use_mm_for_euclid_dist")
        if torch.equal(distances.argmin(dim=1), labels):
            return labels, centroids, (distances.min(dim=1).values ** 2).sum()
        labels = distances.argmin(dim=1)


# ------------------------------------------------------------------------------------------ linkages


def linkage_distance(A, B, kind):
    """Return the dissimilarity of clusters A (n, p) and B (m, p) by one of four linkages."""
    if kind == "centroid":
        return np.linalg.norm(A.mean(axis=0) - B.mean(axis=0))
    distances = np.linalg.norm(A[:, None] - B, axis=2)  # (n, m)
    return {"complete": np.max, "single": np.min, "average": np.mean}[kind](distances)


def merge_heights(X, kind):
    """Return the n - 1 heights at which clusters of X (n, p) merge, in the order of mergers."""
    clusters, heights = [X[m : m + 1] for m in range(len(X))], []
    while len(clusters) > 1:
        pairs = [(a, b) for b in range(len(clusters)) for a in range(b)]
        values = [linkage_distance(clusters[a], clusters[b], kind) for a, b in pairs]
        a, b = pairs[int(np.argmin(values))]
        heights.append(min(values))
        clusters.append(np.concatenate([clusters[a], clusters.pop(b)]))
        del clusters[a]
    return np.array(heights)


def two_clusters(rng):
    """Yield pairs of clusters of different sizes, for every linkage."""
    A, B = np.array([[0.0, 0], [0, 1]]), np.array([[3.0, 0], [4, 1]])
    for kind in KINDS:
        yield A, B, kind
    for n, m, p in [(3, 5, 2), (4, 1, 3), (6, 2, 1)]:
        A, B = np.round(rng.normal(size=(n, p)), 3), np.round(rng.normal(size=(m, p)) + 2, 3)
        for kind in KINDS:
            yield A, B, kind


def points_to_merge(rng):
    """Yield points, for every linkage; with centroids, the triangle and the last sets have inversions."""
    for kind in KINDS:
        yield np.array([[0.0, 0], [1, 0], [0.5, 0.9]]), kind
    for n, p in [(5, 1), (9, 2)]:
        while True:
            X = np.round(rng.normal(size=(n, p)) * 2, 3)
            if n == 5 or (np.diff(merge_heights(X, "centroid")) < -1e-2).any():
                break
        for kind in KINDS:
            yield X, kind


@mistake("You use squared distances. All four linkages are made of Euclidean distances: take the root.")
def squared_distances(A, B, kind):
    if kind == "centroid":
        return linkage_distance(A, B, kind) ** 2
    squares = ((A[:, None] - B) ** 2).sum(axis=2)
    return {"complete": np.max, "single": np.min, "average": np.mean}[kind](squares)


@mistake(
    "For average linkage you take the distance of the two means. That is centroid linkage; average linkage "
    "is the mean of the distances of all pairs."
)
def means_for_average(A, B, kind):
    return linkage_distance(A, B, "centroid" if kind == "average" else kind)


@mistake("Complete and single linkage are exchanged: complete is the largest distance, single the smallest.")
def complete_and_single_exchanged(A, B, kind):
    return linkage_distance(A, B, {"complete": "single", "single": "complete"}.get(kind, kind))


@mistake("For average linkage you add up the distances of all pairs. Divide by their number.")
def sum_for_average(A, B, kind):
    return linkage_distance(A, B, kind) * (len(A) * len(B) if kind == "average" else 1)


@mistake("For average linkage you take the median of the distances. It is their mean.")
def median_for_average(A, B, kind):
    if kind == "average":
        return np.median(np.linalg.norm(A[:, None] - B, axis=2))
    return linkage_distance(A, B, kind)


@mistake("You add up absolute differences. Distances are Euclidean here: the root of the sum of squares.")
def city_blocks(A, B, kind):
    if kind == "centroid":
        return np.abs(A.mean(axis=0) - B.mean(axis=0)).sum()
    distances = np.abs(A[:, None] - B).sum(axis=2)
    return {"complete": np.max, "single": np.min, "average": np.mean}[kind](distances)


@mistake(
    "For average linkage you take the root of the mean squared distance. It is the mean of the distances "
    "themselves."
)
def root_mean_square_for_average(A, B, kind):
    if kind == "average":
        return np.sqrt(((A[:, None] - B) ** 2).sum(axis=2).mean())
    return linkage_distance(A, B, kind)


def linkage_by_scipy(A, B, kind):
    from scipy.spatial.distance import cdist

    if kind == "centroid":
        A, B = A.mean(axis=0, keepdims=True), B.mean(axis=0, keepdims=True)
    distances = cdist(A, B)
    return {"single": distances.min(), "complete": distances.max()}.get(kind, distances.mean())


def linkage_in_lists(A, B, kind):
    pairs = [
        sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5 for a in A.tolist() for b in B.tolist()
    ]
    if kind == "complete":
        return max(pairs)
    if kind == "single":
        return min(pairs)
    if kind == "average":
        return sum(pairs) / len(pairs)
    return float(
        np.sqrt(sum((sum(a) / len(a) - sum(b) / len(b)) ** 2 for a, b in zip(A.T, B.T, strict=True)))
    )


def linkage_in_torch(A, B, kind):
    import torch

    A, B = torch.tensor(A, dtype=torch.float32), torch.tensor(B, dtype=torch.float32)
    if kind == "centroid":
        return torch.dist(A.mean(0), B.mean(0))
    distances = (A.unsqueeze(1) - B.unsqueeze(0)).norm(dim=-1)
    return {"complete": distances.max(), "single": distances.min(), "average": distances.mean()}[kind]


def lance_williams(X, kind, weights):
    """Merge by a formula for the new dissimilarities, from those of the two that merge."""
    table = {(a, b): np.linalg.norm(X[a] - X[b]) for b in range(len(X)) for a in range(b)}
    if kind == "centroid":
        table = {pair: value**2 for pair, value in table.items()}
    size, heights = dict.fromkeys(range(len(X)), 1), []
    for new in range(len(X), 2 * len(X) - 1):
        (a, b), height = min(table.items(), key=lambda item: item[1])
        heights.append(height)
        for c in [c for c in size if c not in (a, b)]:
            to_a, to_b = table[min(a, c), max(a, c)], table[min(b, c), max(b, c)]
            table[c, new] = weights(kind, to_a, to_b, height, size[a], size[b])
        size[new] = size.pop(a) + size.pop(b)
        table = {pair: value for pair, value in table.items() if a not in pair and b not in pair}
    return np.sqrt(heights) if kind == "centroid" else np.array(heights)


def right_weights(kind, to_a, to_b, between, n, m):
    if kind in ("complete", "single"):
        return max(to_a, to_b) if kind == "complete" else min(to_a, to_b)
    mean = (n * to_a + m * to_b) / (n + m)
    return mean if kind == "average" else mean - n * m / (n + m) ** 2 * between


def sizes_ignored(kind, to_a, to_b, between, n, m):
    return right_weights(kind, to_a, to_b, between, 1, 1)


@mistake(
    "Your heights are sorted. Return them in the order of the mergers: with centroid linkage a later merger "
    "can be lower than an earlier one, and sorting hides it."
)
def sorted_heights(X, kind):
    return np.sort(merge_heights(X, kind))


@mistake(
    "When two clusters merge you give both the same weight, whatever their sizes. The mean of all pairs, and "
    "the centroid, count every *point* once."
)
def clusters_weighted_alike(X, kind):
    return lance_williams(X, kind, sizes_ignored)


@mistake(
    "You merge by the distances of single points, whatever the linkage asks for: this is single linkage. "
    "Compute the dissimilarities of the new cluster anew, by its kind."
)
def always_single(X, kind):
    return merge_heights(X, "single")


@mistake("You merge the *most* dissimilar clusters first. Look for the smallest dissimilarity.")
def most_dissimilar_first(X, kind):
    clusters, heights = [X[m : m + 1] for m in range(len(X))], []
    while len(clusters) > 1:
        pairs = [(a, b) for b in range(len(clusters)) for a in range(b)]
        values = [linkage_distance(clusters[a], clusters[b], kind) for a, b in pairs]
        a, b = pairs[int(np.argmax(values))]
        heights.append(max(values))
        clusters.append(np.concatenate([clusters[a], clusters.pop(b)]))
        del clusters[a]
    return np.array(heights)


@mistake("Your heights run from the last merger to the first. Return them in the order of the mergers.")
def last_merger_first(X, kind):
    return merge_heights(X, kind)[::-1]


@mistake(
    "Your heights are squares of distances. A merger's height is the dissimilarity itself: take the root."
)
def squared_heights(X, kind):
    return merge_heights(X, kind) ** 2


def heights_by_scipy(X, kind):
    from scipy.cluster.hierarchy import linkage

    return linkage(X, method=kind)[:, 2]


def heights_by_formula(X, kind):
    return lance_williams(X, kind, right_weights)


def heights_with_sets_of_numbers(X, kind):
    left, heights = [frozenset([m]) for m in range(len(X))], []
    while len(left) > 1:
        height, _, _, a, b = min(
            (float(linkage_distance(X[sorted(a)], X[sorted(b)], kind)), min(a), min(b), a, b)
            for a in left
            for b in left
            if min(a) < min(b)
        )
        heights += [height]
        left = [c for c in left if c not in (a, b)] + [a | b]
    return heights


E18 = Exercise(
    id="E18",
    title="K-means and linkages",
    mirrors="Yao's slides, K-means and hierarchical clustering (YA6, YA7)",
    purpose="write both clustering algorithms of the slides, and see what their words leave open",
    minutes=45,
    statement="""
Rows of `X`, shape `(n, p)`, are points; distances are Euclidean; clusters count from 0. Write three
functions.

1. `kmeans(X, labels0)`: the number of clusters $K$ is the largest entry of `labels0` plus 1. Starting from
   the assignment `labels0`, shape `(n,)`, take turns: the centroid of each cluster is the mean of its
   points; each point goes to the cluster with the nearest centroid. Stop when no assignment changes, and
   return `labels, centroids, objective`: the assignment, shape `(n,)`, cluster $k$ keeping its number; the
   centroids, shape `(K, p)`; and the sum over all points of the *squared* distance from the centroid of
   their cluster.

   Before centroids are computed, a cluster may be empty, even at the start. Then it takes the point that
   lies farthest from the centroid of its own cluster. (In the checks never more than one cluster is empty at
   a time, and no two distances that matter are equal.)
2. `linkage_distance(A, B, kind)`: the dissimilarity of the clusters `A`, shape `(n, p)`, and `B`, shape
   `(m, p)`. `kind` is `"complete"`, `"single"` or `"average"`, the largest, the smallest or the mean of the
   distances of all pairs of a point of `A` and a point of `B`; or `"centroid"`, the distance of the means.
3. `merge_heights(X, kind)`: begin with $n$ clusters of one point each and merge the two least dissimilar
   until one is left. Return the $n-1$ dissimilarities at which clusters merge, in the order of the mergers,
   shape `(n - 1,)`.
""",
    functions=(
        Function(
            reference=kmeans,
            points=3,
            outputs=(
                Output("labels", "(n,)"),
                Output("centroids", "(K, p)"),
                Output("objective", "a number"),
            ),
            inputs=starts,
            right="Every point has its nearest centroid and every centroid is the mean of its points, so "
            "neither step can lower the objective further; a better division may still exist.",
            hints=(
                "Write the two steps as two lines inside a loop; leave the loop when the new labels equal "
                "the old ones.",
                "`((X[:, None] - centroids) ** 2).sum(axis=2)` has shape (n, K): the squared distance of "
                "every point from every centroid. `argmin(axis=1)` is the nearest.",
                "`np.unique(labels)` shows which clusters have points. To fill an empty one, measure how far "
                "each point is from the mean of its own cluster, and change the label of the farthest.",
            ),
            mistakes=(
                one_round_only,
                empty_cluster_left_empty,
                empty_cluster_at_the_origin,
                mean_instead_of_sum,
                distances_not_squared,
                root_of_the_sum,
                labels_from_one,
                medians,
                city_block_distances,
                best_of_many_starts,
            ),
            alternatives=(with_loops, with_one_hot_products, in_torch),
        ),
        Function(
            reference=linkage_distance,
            points=1,
            outputs=(Output("dissimilarity", "a number"),),
            inputs=two_clusters,
            right="Largest, smallest and mean are taken over all pairs; only centroid linkage looks at the "
            "means.",
            hints=(
                "`A[:, None] - B` has shape (n, m, p): the difference of every pair. "
                "`np.linalg.norm(..., axis=2)` turns it into all n m distances.",
                "Three of the linkages are one function of these distances: max, min or mean. The fourth "
                "needs only `A.mean(axis=0)` and `B.mean(axis=0)`.",
            ),
            mistakes=(
                squared_distances,
                means_for_average,
                complete_and_single_exchanged,
                sum_for_average,
                median_for_average,
                city_blocks,
                root_mean_square_for_average,
            ),
            alternatives=(linkage_by_scipy, linkage_in_lists, linkage_in_torch),
        ),
        Function(
            reference=merge_heights,
            points=2,
            outputs=(Output("heights", "(n - 1,)"),),
            inputs=points_to_merge,
            right="After each merger the dissimilarities of the new cluster are those of its points; with "
            "centroid linkage a height can be lower than the one before.",
            hints=(
                "Keep a list of clusters, each an array of points, and call `linkage_distance` for every "
                "pair.",
                "Find the pair with the smallest value, note the value, replace the two arrays by "
                "`np.concatenate` of them, and repeat until one is left.",
            ),
            mistakes=(
                sorted_heights,
                clusters_weighted_alike,
                always_single,
                most_dissimilar_first,
                last_merger_first,
                squared_heights,
            ),
            alternatives=(heights_by_scipy, heights_by_formula, heights_with_sets_of_numbers),
        ),
    ),
    derivation=Derivation(
        task="""
Let $J=\\sum_k\\sum_{i\\in C_k}\\lVert x_i-\\mu_k\\rVert^2$ be the objective of K-means. Show that

1. neither computing new centroids nor assigning every point to its nearest centroid can raise $J$;
2. the algorithm ends, if a point changes its cluster only for a centroid that is strictly nearer;
3. filling an empty cluster with the point that lies farthest from its centroid does not raise $J$ either.
""",
        rubric=(
            (2, "shows that the mean minimises the sum of squared distances of a cluster"),
            (1, "compares the terms of the sum before and after an assignment, one by one"),
            (1, "concludes from the strict fall of the objective and the finite number of assignments"),
            (1, "finds the change of the objective when a point becomes a cluster of its own"),
        ),
    ),
)

SET = ProblemSet(
    name="03_clusters_and_manifolds",
    title="Clusters and manifolds",
    opening="""
One exercise on [chapter 3](../03_clusters_and_manifolds.ipynb), in three functions and a proof: K-means from
a given start, the four linkages, and the heights at which clusters merge. All you need here is NumPy, or any
other library that you like.
""",
    exercises=(E18,),
)
