"""Answers to the third problem set that no declaration foresees: wrong ones must not pass, right ones must.

They are run as a student runs them, through `check`, on the public cases. The numbers of the course that the
references must give are tested first.
"""

import functools
import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import linkage
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist, pdist
from sklearn.cluster import KMeans

from gennet import clustering, exercises

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location(
    "set_03", ROOT / "solutions/exercises/03_clusters_and_manifolds.py"
)
set_03 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(set_03)

pytestmark = pytest.mark.filterwarnings("ignore:invalid value", "ignore:Mean of empty slice", "ignore:One of")

CORNERS = np.array([[0.0, 0], [0, 1], [10, 0], [10, 1]])
A, B = np.array([[0.0, 0], [0, 1]]), np.array([[3.0, 0], [4, 1]])
TRIANGLE = np.array([[0.0, 0], [1, 0], [0.5, 0.9]])


@pytest.fixture(autouse=True)
def no_progress_and_no_hurry(monkeypatch):
    """Nothing is kept on this disk; a busy machine is no reason to refuse an answer here."""
    monkeypatch.setenv("GENNET_HOME", "off")
    monkeypatch.setattr(exercises, "LIMIT", 60)


def test_kmeans_gives_the_numbers_of_the_course():
    labels, centroids, objective = set_03.kmeans(CORNERS, np.array([0, 0, 1, 1]))
    assert labels.tolist() == [0, 0, 1, 1] and centroids.tolist() == [[0, 0.5], [10, 0.5]] and objective == 1
    assert set_03.kmeans(CORNERS, np.array([0, 1, 0, 1]))[2] == 100


def test_linkages_give_the_numbers_of_the_course():
    values = [set_03.linkage_distance(A, B, kind) for kind in set_03.KINDS]
    assert np.allclose(values, [4.123106, 3, 3.571346, 3.5], atol=1e-6)
    assert np.allclose(set_03.merge_heights(TRIANGLE, "centroid"), [1, 0.9], atol=1e-12)


def test_references_agree_with_the_library():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, start = rng.normal(size=(40, 3)), rng.integers(4, size=40)
        ours, run = set_03.kmeans(X, start), clustering.kmeans(X, start)
        assert np.array_equal(ours[0], run.labels) and np.allclose(ours[1], run.centroids, atol=1e-12)
        assert np.isclose(ours[2], run.objective, rtol=1e-12)
        for kind in set_03.KINDS:
            heights = clustering.agglomerate(X[:15], kind)[:, 2]
            assert np.allclose(set_03.merge_heights(X[:15], kind), heights, atol=1e-12)


@pytest.mark.parametrize("seed", [68, 1, 2, 3])
def test_inputs_ask_what_the_statement_says(seed: int):
    """Some start ends poorly, some cluster is empty, some heights go down, whatever the seed."""
    starts = list(set_03.starts(np.random.default_rng(seed)))
    assert sum(len(np.unique(start)) <= start.max() for _, start in starts) >= 3
    ends = [
        set_03.kmeans(X, start)[2] / set_03.best_of_many_starts.answer(X, start)[2] for X, start in starts
    ]
    assert max(ends) > 1.01
    heights = [set_03.merge_heights(*case) for case in set_03.points_to_merge(np.random.default_rng(seed))]
    assert sum((np.diff(h) < -1e-3).any() for h in heights) >= 2


def said(capsys: pytest.CaptureFixture, name: str, answer) -> str:
    """Return what `check` says to one answer under the name that the exercise gives it."""

    def named(*arguments):
        return answer(*arguments)

    named.__name__ = name
    exercises.check("E18", named)
    return capsys.readouterr().out


def refuses(capsys: pytest.CaptureFixture, name: str, answer) -> None:
    words = said(capsys, name, answer)
    assert ": not yet.\n" in words and "passed" not in words, words


def accepts(capsys: pytest.CaptureFixture, name: str, answer) -> None:
    words = said(capsys, name, answer)
    assert ": passed.\n" in words and "not yet" not in words, words


def cases(answers: dict) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("answer", answers.values(), ids=answers.keys())


# ------------------------------------------------------------------------------------------- K-means

kmeans = set_03.kmeans


def changed(change):
    """Return an answer that changes what the right one returns."""
    return lambda X, labels0: change(*kmeans(X, labels0))


def seeded_by_points(X, labels0):
    K = labels0.max() + 1
    return kmeans(X, cdist(X, X[:K]).argmin(axis=1))


def naive_with_nan(X, labels0):
    labels, K = labels0, labels0.max() + 1
    for _ in range(100):
        centroids = np.array([X[labels == k].mean(axis=0) for k in range(K)])
        labels = ((X[:, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)
    return labels, centroids, ((X - centroids[labels]) ** 2).sum()


def nearest_point_to_the_empty(X, labels0):
    K, labels = labels0.max() + 1, labels0.copy()
    for k in np.setdiff1d(np.arange(K), labels):
        labels[0] = k
    return kmeans(X, labels)


def point_by_point(X, labels0):
    K, labels = labels0.max() + 1, labels0.copy()
    for k in np.setdiff1d(np.arange(K), labels):
        labels[k] = k
    for i in list(range(len(X))) * 20:  # MacQueen: the centroids follow every point at once
        centroids = np.array([X[labels == k].mean(axis=0) if (labels == k).any() else X[k] for k in range(K)])
        labels[i] = ((X[i] - centroids) ** 2).sum(axis=1).argmin()
    return labels, centroids, ((X - centroids[labels]) ** 2).sum()


def renumbered(labels, centroids, objective):
    order = np.argsort(centroids[:, 0])[::-1]
    return np.argsort(order)[labels], centroids[order], objective


def changes_its_input(X, labels0):
    result = kmeans(X, labels0)
    labels0[:] = result[0]
    return result


WRONG_KMEANS = {
    "nothing moves": lambda X, labels0: (labels0, *kmeans(X, labels0)[1:]),
    "two rounds": set_03.variant(rounds=2),
    "starts from its own points": seeded_by_points,
    "NaN for empty clusters": naive_with_nan,
    "another point for the empty cluster": nearest_point_to_the_empty,
    "MacQueen": point_by_point,
    "clusters in another order": changed(renumbered),
    "labels as floats": changed(lambda labels, c, J: (labels.astype(float), c, J)),
    "labels one-hot": changed(lambda labels, c, J: (np.eye(len(c))[labels], c, J)),
    "centroids transposed": changed(lambda labels, c, J: (labels, c.T, J)),
    "centroids rounded": changed(lambda labels, c, J: (labels, c.round(2), J)),
    "nearest points for centroids": lambda X, l0: (lambda r: (r[0], X[cdist(r[1], X).argmin(1)], r[2]))(
        kmeans(X, l0)
    ),
    "half the objective": changed(lambda labels, c, J: (labels, c, J / 2)),
    "objective of each cluster": changed(lambda labels, c, J: (labels, c, np.full(len(c), J))),
    "objective missing": changed(lambda labels, c, J: (labels, c)),
    "in another order": changed(lambda labels, c, J: (c, labels, J)),
    "changes its input": changes_its_input,
    "everything to one cluster": lambda X, l0: (0 * l0, X.mean(0)[None], ((X - X.mean(0)) ** 2).sum()),
    "always two clusters": lambda X, labels0: kmeans(X, np.minimum(labels0, 1)),
    "zeros": changed(lambda labels, c, J: (0 * labels, 0 * c, 0.0)),
}


class Run(NamedTuple):
    labels: np.ndarray
    centroids: np.ndarray
    objective: float


def by_the_library(X, labels0):
    run = clustering.kmeans(X, labels0)
    return run.labels, run.centroids, run.objective


def by_scikit_learn(X, labels0):
    K = labels0.max() + 1
    labels = labels0
    if len(np.unique(labels)) < K:
        labels = set_03.with_empty_cluster_filled(X, labels, K)
    first = np.array([X[labels == k].mean(axis=0) for k in range(K)])
    model = KMeans(K, init=first, n_init=1, tol=0, algorithm="lloyd").fit(X)
    return model.labels_, model.cluster_centers_, model.inertia_


def recursive(X, labels):
    K = labels.max() + 1
    if len(np.unique(labels)) < K:
        labels = set_03.with_empty_cluster_filled(X, labels, K)
    centroids = np.stack([np.average(X, axis=0, weights=labels == k) for k in range(K)])
    nearest = cdist(X, centroids).argmin(1)
    if np.array_equal(nearest, labels):
        return labels, centroids, (cdist(X, centroids).min(1) ** 2).sum()
    return recursive(X, nearest)


RIGHT_KMEANS = {
    "the library": by_the_library,
    "scikit-learn": by_scikit_learn,
    "recursion": recursive,
    "a hundred rounds": set_03.variant(rounds=100),
    "a named tuple": changed(Run),
    "lists": changed(lambda labels, c, J: [labels.tolist(), c.tolist(), float(J)]),
    "small integers": changed(lambda labels, c, J: (labels.astype(np.int8), c, J)),
    "tensors": changed(lambda labels, c, J: (torch.tensor(labels), torch.tensor(c).float(), torch.tensor(J))),
    "a partial function": functools.partial(lambda extra, X, labels0: kmeans(X, labels0), None),
}


@cases(WRONG_KMEANS)
def test_wrong_kmeans_is_refused(capsys, answer):
    refuses(capsys, "kmeans", answer)


@cases(RIGHT_KMEANS)
def test_right_kmeans_is_accepted(capsys, answer):
    accepts(capsys, "kmeans", answer)


def test_scipys_kmeans_cannot_fill_empty_clusters_but_ends_alike_elsewhere():
    """It is no alternative, but where no cluster empties it must agree with the reference."""
    _, first = kmeans2(CORNERS, np.array([[0.0, 0], [10, 0]]), minit="matrix")
    assert first.tolist() == kmeans(CORNERS, first)[0].tolist()


# ------------------------------------------------------------------------------------------ linkages

distance, heights = set_03.linkage_distance, set_03.merge_heights


def rows_paired(A, B, kind):
    pairs = np.linalg.norm(A[: len(B)] - B[: len(A)], axis=1)
    if kind == "centroid":
        return distance(A, B, kind)
    return {"complete": np.max, "single": np.min, "average": np.mean}[kind](pairs)


def all_points_together(A, B, kind):
    if kind == "centroid":
        return distance(A, B, kind)
    pairs = pdist(np.concatenate([A, B]))  # pairs within a cluster, too
    return {"complete": np.max, "single": np.min, "average": np.mean}[kind](pairs)


def ward(A, B, kind):
    n, m = len(A), len(B)
    return distance(A, B, kind) * (np.sqrt(2 * n * m / (n + m)) if kind == "centroid" else 1)


WRONG_DISTANCES = {
    "row by row": rows_paired,
    "pairs within clusters, too": all_points_together,
    "Ward": ward,
    "means weighted by size": lambda A, B, kind: (
        distance(A, B, kind)
        if kind != "centroid"
        else np.linalg.norm(A.sum(axis=0) - B.sum(axis=0)) / (len(A) + len(B))
    ),
    "always average": lambda A, B, kind: distance(A, B, "average"),
    "single for centroid": lambda A, B, kind: distance(A, B, "single" if kind == "centroid" else kind),
    "largest difference of a coordinate": lambda A, B, kind: (
        distance(A, B, kind) if kind != "complete" else np.abs(A[:, None] - B).max()
    ),
    "all four": lambda A, B, kind: np.array([distance(A, B, each) for each in set_03.KINDS]),
    "an array of one": lambda A, B, kind: np.array([distance(A, B, kind)]),
    "two decimals": lambda A, B, kind: np.round(distance(A, B, kind), 2),
    "half": lambda A, B, kind: distance(A, B, kind) / 2,
    "None for centroid": lambda A, B, kind: None if kind == "centroid" else distance(A, B, kind),
}

RIGHT_DISTANCES = {
    "the library": clustering.linkage_distance,
    "exchanged clusters": lambda A, B, kind: distance(B, A, kind),
    "float32": lambda A, B, kind: np.float32(distance(A, B, kind)),
    "einsum": lambda A, B, kind: (
        np.sqrt(np.einsum("p,p->", *[A.mean(0) - B.mean(0)] * 2))
        if kind == "centroid"
        else getattr(cdist(A, B), {"complete": "max", "single": "min", "average": "mean"}[kind])()
    ),
}


@cases(WRONG_DISTANCES)
def test_wrong_linkage_is_refused(capsys, answer):
    refuses(capsys, "linkage_distance", answer)


@cases(RIGHT_DISTANCES)
def test_right_linkage_is_accepted(capsys, answer):
    accepts(capsys, "linkage_distance", answer)


WRONG_HEIGHTS = {
    "gaps of the first distances": lambda X, kind: np.sort(pdist(X))[: len(X) - 1],
    "a merger too many": lambda X, kind: np.append(heights(X, kind), 0.0),
    "a merger too few": lambda X, kind: heights(X, kind)[:-1],
    "never falling": lambda X, kind: np.maximum.accumulate(heights(X, kind)),
    "steps between heights": lambda X, kind: np.diff(heights(X, kind), prepend=0),
    "whole table of SciPy": lambda X, kind: linkage(X, kind),
    "Ward": lambda X, kind: linkage(X, "ward")[:, 2],
    "median for centroid": lambda X, kind: linkage(X, "median" if kind == "centroid" else kind)[:, 2],
    "weighted for average": lambda X, kind: linkage(X, "weighted" if kind == "average" else kind)[:, 2],
    "standardised first": lambda X, kind: heights((X - X.mean(0)) / X.std(0), kind),
    "always complete": lambda X, kind: heights(X, "complete"),
    "the last height": lambda X, kind: heights(X, kind)[-1],
}

RIGHT_HEIGHTS = {
    "the library": lambda X, kind: clustering.agglomerate(X, kind)[:, 2],
    "SciPy": set_03.heights_by_scipy,
    "a list": lambda X, kind: heights(X, kind).tolist(),
    "points in another order": lambda X, kind: heights(X[::-1], kind),
    "a list of tensors": lambda X, kind: [torch.tensor(h) for h in heights(X, kind)],
}


@cases(WRONG_HEIGHTS)
def test_wrong_heights_are_refused(capsys, answer):
    refuses(capsys, "merge_heights", answer)


@cases(RIGHT_HEIGHTS)
def test_right_heights_are_accepted(capsys, answer):
    accepts(capsys, "merge_heights", answer)
