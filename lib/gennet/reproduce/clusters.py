"""Chapter 03 at full size: clusters of digits, and every manifold method on several draws (Yao)."""

from collections.abc import Sequence

import numpy as np
from scipy.cluster.hierarchy import linkage
from sklearn.manifold import TSNE, trustworthiness
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from gennet import clustering, datasets


def embeddings(draws: int = 5) -> dict:
    """Chapter 03, manifold methods on rolled sheets and turning heads, t-SNE included (no download).

    The points of t-SNE move from one processor to another, its trustworthiness hardly.

    Parameters
    ----------
    draws
        Of each world; for the heads, each is another person.

    Returns
    -------
    dict
        ``scores``: by world, method and score ("trustworthiness" and "continuity" of 10 neighbours, share
        "recovered" of the truth) a list with one number a draw; ``tsne``: by world the picture of the first
        draw, list of pairs; ``perplexity``: by what is embedded, "groups" or "ball", and by perplexity the
        picture.
    """
    worlds = {
        "sheet": lambda seed: (*clustering.rolled_sheet(700, seed), 2.0),
        "head": lambda seed: (*clustering.turning_head(400, seed, identity=7 + seed), 0.6),
    }
    scores, pictures = {}, {}
    for world, draw in worlds.items():
        found_scores = []
        for seed in tqdm(range(draws), desc=world, disable=None):
            X, truth, scale = draw(seed)
            found = clustering.embeddings(X, 10, scale) | {"t-SNE": _tsne(X, 30)}
            pictures.setdefault(world, found["t-SNE"].tolist())
            found_scores.append({name: _scores(X, Y, truth) for name, Y in found.items()})
        scores[world] = {
            name: {score: [each[name][score] for each in found_scores] for score in found_scores[0][name]}
            for name in found
        }
    rng = np.random.default_rng(0)
    spread, centre = np.repeat([1.0, 1.0, 4.0], 50), np.repeat([0.0, 8.0, 48.0], 50)
    plain = {
        "groups": rng.normal(size=(150, 2)) * spread[:, None] + centre[:, None] * [1, 0],
        "ball": rng.normal(size=(150, 50)),
    }
    perplexity = {
        name: {str(p): _tsne(X, p).tolist() for p in (2, 30, 49)} | {"points": X[:, :2].round(2).tolist()}
        for name, X in plain.items()
    }
    return {"scores": scores, "tsne": pictures, "perplexity": perplexity}


def _tsne(X: np.ndarray, perplexity: float) -> np.ndarray:
    with threadpool_limits(1):
        return TSNE(perplexity=perplexity, random_state=0).fit_transform(X).astype(float).round(2)


def _scores(X: np.ndarray, Y: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return {
        "trustworthiness": round(float(trustworthiness(X, Y, n_neighbors=10)), 4),
        "continuity": round(float(trustworthiness(Y, X, n_neighbors=10)), 4),
        "recovered": round(clustering.truth_recovered(Y, truth), 4),
    }


def clusters_mnist(numbers: Sequence[int] = (10, 20, 50, 100), lots: int = 3) -> dict:
    """Chapter 03 on MNIST: whether clusters are digits, and neighbours in a picture the same digit.

    Parameters
    ----------
    numbers
        Of clusters for K-means.
    lots
        Of 1000 images each.

    Returns
    -------
    dict
        ``kmeans``: for the 10 000 test images, by number of clusters the objective, the adjusted Rand index
        against the digits and the share of images whose digit is the most frequent one of their cluster,
        from five random starts; ``linkages``: for each lot, by linkage the adjusted Rand index and the share
        of the largest cluster, when ten clusters are left; ``neighbours``: for each lot, by method the share
        of images whose nearest neighbour in the plane shows the same digit, and the trustworthiness.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    test = datasets.load("mnist").split("test")
    X, digit = test.x.reshape(len(test.x), -1).astype(float), test.y
    by_number = {}
    for K in tqdm(numbers, desc="K-means", disable=None):
        starts = [np.random.default_rng(seed).integers(K, size=len(X)) for seed in range(5)]
        runs = [clustering.kmeans(X, start, K) for start in starts]
        by_number[str(K)] = {
            "objective": [round(run.objective, 1) for run in runs],
            "rand": [round(adjusted_rand_score(digit, run.labels), 4) for run in runs],
            "purity": [round(_purity(digit, run.labels), 4) for run in runs],
        }
    linkages = {kind: {"rand": [], "largest": []} for kind in clustering.LINKAGES}
    neighbours: dict[str, dict[str, list]] = {}
    for lot in tqdm(range(lots), desc="lots of 1000", disable=None):
        rows = slice(1000 * lot, 1000 * (lot + 1))
        for kind, lists in linkages.items():
            labels = clustering.cut(linkage(X[rows], kind), 10)
            lists["rand"].append(round(adjusted_rand_score(digit[rows], labels), 4))
            lists["largest"].append(round(float(np.bincount(labels).max() / 1000), 4))
        found = clustering.embeddings(X[rows], 15, 4.0) | {"t-SNE": _tsne(X[rows], 30)}
        for name, Y in found.items():
            lists = neighbours.setdefault(name, {"same digit": [], "trustworthiness": []})
            lists["same digit"].append(_neighbour_agreement(Y, digit[rows]))
            lists["trustworthiness"].append(round(float(trustworthiness(X[rows], Y, n_neighbors=10)), 4))
    return {"kmeans": by_number, "linkages": linkages, "neighbours": neighbours}


def _neighbour_agreement(Y: np.ndarray, label: np.ndarray) -> float:
    """Return the share of points whose nearest neighbour has the same label."""
    nearest = NearestNeighbors(n_neighbors=1).fit(Y).kneighbors(return_distance=False)[:, 0]
    return round(float(np.mean(label[nearest] == label)), 4)


def _purity(truth: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of points whose class is the most frequent one of their cluster."""
    return sum(np.bincount(truth[labels == k]).max() for k in np.unique(labels)) / len(labels)
