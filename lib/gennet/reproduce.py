"""The chapters' experiments at full size, on data that must be downloaded, and their stored results.

``python -m gennet.reproduce NAME`` runs an experiment and writes its numbers to ``data/results/NAME.json``,
from where a chapter reads them; the chapter's own switch runs the same function again. Results are numbers,
not pictures of people.
"""

import argparse
import json
import sys
import timeit
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image
from scipy.cluster.hierarchy import linkage
from skimage import data
from skimage.feature import Cascade
from skimage.transform import resize
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE, trustworthiness
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from gennet import autoencoder, clustering, datasets, face_space
from gennet.datasets import download
from gennet.datasets.registry import shipped
from gennet.eigenspace import Eigenspace


def eigenspace_olivetti() -> dict:
    """Chapter 01 on 400 photographs of 40 people: what a code costs on faces it has not seen (CR5 to CR8).

    An eigenspace is learnt from 8 photographs of each of 30 people and tried on three sets: those 240, the 2
    other photographs of the same people, and the 100 photographs of the 10 other people. This is repeated for
    ten random divisions of the people.

    Returns
    -------
    dict
        ``lengths``: numbers in the code, list of n; ``error``: for each set, "learnt from", "same people"
        and "other people" the mean error energy divided by the energy of the same images about the mean,
        lists of n; ``spread``: their standard deviations over the divisions.

    Raises
    ------
    DataError
        If the photographs are not on this machine and cannot be downloaded.
    """
    images = datasets.load("olivetti").x.astype(float)  # (400, 64, 64), ten of each person
    by_person = images.reshape(40, 10, 64, 64)
    lengths = [0, 1, 2, 4, 8, 15, 32, 64, 128, 239]
    divisions = []
    for seed in tqdm(range(10), desc="divisions", disable=None):
        people = np.random.default_rng(seed).permutation(40)
        known, other = by_person[people[:30]], by_person[people[30:]]
        groups = {"learnt from": known[:, :8], "same people": known[:, 8:], "other people": other}
        groups = {name: group.reshape(-1, 64, 64) for name, group in groups.items()}
        space = Eigenspace().fit(groups["learnt from"])
        divisions.append([_relative_errors(space, group, lengths) for group in groups.values()])
    mean, spread = np.mean(divisions, axis=0), np.std(divisions, axis=0)
    return {
        "lengths": lengths,
        "error": dict(zip(groups, mean.round(5).tolist(), strict=True)),
        "spread": dict(zip(groups, spread.round(5).tolist(), strict=True)),
    }


def _relative_errors(space: Eigenspace, images: np.ndarray, lengths: list[int]) -> list[float]:
    """Return mean error energy over mean energy for codes of each length."""
    energies = [space.residual_energy(images, n).mean() for n in lengths]
    return (np.array(energies) / energies[0]).tolist()


PORTRAITS = {  # eyes in pixels: left x, y, right x, y, marked by eye; portraits of crews by NASA
    "astronaut": [(202, 101, 246.5, 103.5)],
    "sts107_crew_nasa": [
        (192.5, 51.5, 222.5, 52),
        (322.5, 154, 360, 155),
        (460, 86, 497, 87.5),
        (623.5, 170, 663.5, 171),
        (784, 70, 816, 70),
        (889, 169, 928.5, 167.5),
        (1052.5, 106.5, 1084, 106.5),
    ],
    "apollo11_crew_nasa": [(502, 628, 577, 628), (1002, 326, 1086, 325), (1518, 678, 1602, 673)],
}
SIZES = {"smallest": 40, "largest": 200, "step": 1.2}  # of the windows, in pixels of a portrait of 720 rows


def face_space_portraits(divisions: int = 5) -> dict:
    """Chapter 02 on three portraits with 11 faces: distance from face space beside a cascade (CR9).

    The portraits are scikit-image's astronaut and two crews, sts107_crew_nasa.jpg and apollo11_crew_nasa.jpg
    in the folder ``photos`` of the data folder, brought to at most 720 rows. A detector learns from 60 of the
    100 shipped faces and is calibrated on the other 40, for each of so many random divisions; the cascade is
    scikit-image's, of local binary patterns, over the same sizes of windows.

    Returns
    -------
    dict
        ``windows`` and ``faces``: how many a portrait has; ``rate``: the share of faces asked of the
        calibration; ``components``: numbers D; ``found`` and ``false_alarms`` at that threshold, a list over
        D of lists over divisions, in all portraits; ``before``: for each D and division, how many false
        alarms lie nearer to face space than the first, second, ... true face that is found at all;
        ``cascade``: faces found and false alarms in each portrait; ``seconds`` of this machine for the
        astronaut: scan, cascade, and window by window.

    Raises
    ------
    DataError
        If a portrait is not in the data folder.
    """
    faces = datasets.load("faces").x[:100, 4:22, 2:20].astype(float)  # from brows to chin
    portraits = {name: _portrait(name) for name in PORTRAITS}
    components, rate, reach = [0, 1, 2, 5, 10, 20], 0.9, 1.1
    found, false_alarms, before = [], [], []
    for D in tqdm(components, desc="components", disable=None):
        runs = []
        for seed in range(divisions):
            order = np.random.default_rng(seed).permutation(100)
            detector = face_space.FaceDetector(D).fit(faces[order[:60]]).calibrate(faces[order[60:]], rate)
            distances, hits = [], []
            for image, truth in portraits.values():
                seen = detector.scan(image, **SIZES, threshold=reach)
                distances.append(seen.distances)
                hits.append(face_space.match(seen.boxes, truth))
            distances, hits = np.concatenate(distances), np.concatenate(hits)
            hits = hits[np.argsort(distances, kind="stable")]
            accepted = hits[: np.sum(distances < detector.threshold_)]
            runs.append((accepted.sum(), (~accepted).sum(), np.cumsum(~hits)[hits]))
        found.append([int(run[0]) for run in runs])
        false_alarms.append([int(run[1]) for run in runs])
        before.append([run[2].tolist() for run in runs])
    return {
        "windows": {name: _windows(image.shape) for name, (image, _) in portraits.items()},
        "faces": {name: len(truth) for name, (_, truth) in portraits.items()},
        "rate": rate,
        "components": components,
        "found": found,
        "false_alarms": false_alarms,
        "before": before,
        "cascade": {name: _cascade(*portrait) for name, portrait in portraits.items()},
        "seconds": _seconds(*portraits["astronaut"]),
    }


def _portrait(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a grey portrait of at most 720 rows and the boxes of its faces, in the crop of the detector."""
    if name == "astronaut":
        picture = Image.fromarray(data.astronaut())
    else:
        file = download.folder() / "photos" / f"{name}.jpg"
        if not file.exists():
            raise datasets.DataError(
                f"face_space_portraits: there is no {file}. Put it there, or read the stored result."
            )
        picture = Image.open(file)
    image = np.asarray(picture.convert("L")) / 255
    zoom = min(1, 720 / len(image))
    if zoom < 1:
        image = resize(image, (720, round(zoom * image.shape[1])), anti_aliasing=True)
    boxes = []
    for eyes in PORTRAITS[name]:
        left_x, left_y, right_x, right_y = zoom * np.array(eyes)
        pixel = (
            np.hypot(right_x - left_x, right_y - left_y) / 8.5
        )  # the mean of the shipped faces has eyes 8.5
        top = (left_y + right_y) / 2 - 4.5 * pixel
        left = (left_x + right_x) / 2 - 8.95 * pixel
        boxes.append((top, left, 18 * pixel, 18 * pixel))
    return image, np.array(boxes)


def _windows(shape: tuple[int, int]) -> int:
    """Count the windows of 18 x 18 pixels that are compared in a portrait."""
    sides = SIZES["smallest"] * SIZES["step"] ** np.arange(9)
    counts = np.rint(np.outer(18 / sides[sides <= SIZES["largest"]], shape)).astype(int) - 17
    return int(counts.prod(axis=1).sum())


def _cascade(image: np.ndarray, truth: np.ndarray) -> list[int]:
    """Return how many faces the cascade finds and how many false alarms it gives; doubles are merged."""
    sizes = (SIZES["smallest"],) * 2, (SIZES["largest"],) * 2
    cascade = Cascade(data.lbp_frontal_face_cascade_filename())
    seen = cascade.detect_multi_scale(image, SIZES["step"], 1, *sizes)
    boxes = np.array([(box["r"], box["c"], box["height"], box["width"]) for box in seen]).reshape(-1, 4)
    hits = face_space.match(boxes[face_space.suppress(boxes, np.zeros(len(boxes)))], truth)
    return [int(hits.sum()), int((~hits).sum())]


def _seconds(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Time a scan, the cascade, and 2000 windows one by one, multiplied up to all: medians of five."""
    detector = face_space.FaceDetector().fit(datasets.load("faces").x[:100, 4:22, 2:20])
    windows = np.lib.stride_tricks.sliding_window_view(image, (18, 18))[::10, ::10]
    windows = windows.reshape(-1, 1, 18, 18)[:2000]
    works = {
        "scan": lambda: detector.scan(image, **SIZES, threshold=0.9),
        "cascade": lambda: _cascade(image, truth),
        "window by window": lambda: [detector.distances(window) for window in windows],
    }
    seconds = {name: np.median(timeit.repeat(work, number=1, repeat=5)) for name, work in works.items()}
    seconds["window by window"] *= _windows(image.shape) / len(windows)
    return {name: float(f"{value:.2g}") for name, value in seconds.items()}


def face_space_olivetti(divisions: int = 5) -> dict:
    """Chapter 02 on 400 photographs of 40 people: who is it? (CR11, CR12).

    Six photographs of each person are learnt from, four are tried, for each of so many random divisions.

    Returns
    -------
    dict
        The settings ``lengths`` (numbers in the code), ``skipped`` (first coefficients left out, 60 others
        kept) and ``people`` (in the population, 60 coefficients); for each of them and for each of two
        methods, "mixtures" and "nearest photograph", the share of pictures named rightly, such as
        "mixtures, lengths", lists over the divisions of lists over the settings.

    Raises
    ------
    DataError
        If the photographs are not on this machine and cannot be downloaded.
    """
    images = datasets.load("olivetti").x.astype(float)[:, ::2, ::2]  # (400, 32, 32)
    by_person = images.reshape(40, 10, 32, 32)
    lengths, skipped, people = [2, 5, 10, 20, 40, 60, 100], [0, 1, 2, 3, 5, 8], [5, 10, 20, 40]
    runs = []
    for seed in tqdm(range(divisions), desc="divisions", disable=None):
        rng = np.random.default_rng(seed)
        shuffled = rng.permuted(np.tile(np.arange(10), (40, 1)), axis=1)
        pictures = np.take_along_axis(by_person, shuffled[..., None, None], axis=1)[rng.permutation(40)]
        runs.append(
            (
                [_recognised(pictures, n) for n in lengths],
                [_recognised(pictures, 60 + k, k) for k in skipped],
                [_recognised(pictures[:k], min(60, 6 * k - 1)) for k in people],
            )
        )
    result = {"lengths": lengths, "skipped": skipped, "people": people}
    for name, part in zip(("lengths", "skipped", "people"), zip(*runs, strict=True), strict=True):
        for n, method in enumerate(("mixtures", "nearest photograph")):
            result[f"{method}, {name}"] = np.array(part)[..., n].round(4).tolist()
    return result


def _recognised(pictures: np.ndarray, n_components: int, skip: int = 0) -> tuple[float, float]:
    """Return the shares of people named by mixtures with Bayes' rule, and by the nearest photograph's code.

    Of each person's ten pictures (K, 10, R, C) the first six are learnt from, the others are tried.
    """
    person = np.arange(len(pictures))
    X, y = pictures[:, :6].reshape(-1, *pictures.shape[2:]), person.repeat(6)
    new, truth = pictures[:, 6:].reshape(-1, *pictures.shape[2:]), person.repeat(4)
    recogniser = face_space.FaceRecogniser(n_components, skip).fit(X, y)
    codes, others = (recogniser.space_.transform(images)[:, skip:] for images in (X, new))
    nearest = KNeighborsClassifier(1).fit(codes, y).score(others, truth)
    return recogniser.score(new, truth), nearest


def embeddings() -> dict:
    """Chapter 03, manifold methods on rolled sheets and turning heads, t-SNE included (no download).

    Five draws of each world; for the heads, five people. The points of t-SNE move from one processor to
    another, its scores hardly.

    Returns
    -------
    dict
        ``scores``: by world, method and score ("trustworthiness" and "continuity" of 10 neighbours, share
        "recovered" of the truth) a list of five; ``tsne``: by world the picture of the first draw, list of
        pairs; ``perplexity``: by what is embedded, "groups" or "ball", and by perplexity the picture.
    """
    worlds = {
        "sheet": lambda seed: (*clustering.rolled_sheet(700, seed), 2.0),
        "head": lambda seed: (*clustering.turning_head(400, seed, identity=7 + seed), 0.6),
    }
    scores, pictures = {}, {}
    for world, draw in worlds.items():
        draws = []
        for seed in tqdm(range(5), desc=world, disable=None):
            X, truth, scale = draw(seed)
            found = clustering.embeddings(X, 10, scale) | {"t-SNE": _tsne(X, 30)}
            pictures.setdefault(world, found["t-SNE"].tolist())
            draws.append({name: _scores(X, Y, truth) for name, Y in found.items()})
        scores[world] = {
            name: {score: [draw[name][score] for draw in draws] for score in draws[0][name]} for name in found
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


def clusters_mnist() -> dict:
    """Chapter 03 on MNIST: whether clusters are digits, and neighbours in a picture the same digit.

    Returns
    -------
    dict
        ``kmeans``: for the 10 000 test images, by number of clusters the objective, the adjusted Rand index
        against the digits and the share of images whose digit is the most frequent one of their cluster,
        from five random starts; ``linkages``: for three lots of 1000 of them, by linkage the adjusted Rand
        index and the share of the largest cluster, when ten clusters are left; ``neighbours``: for the same
        lots, by method the share of images whose nearest neighbour in the plane shows the same digit, and the
        trustworthiness; lists of five, or of three.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    test = datasets.load("mnist").split("test")
    X, digit = test.x.reshape(len(test.x), -1).astype(float), test.y
    by_number = {}
    for K in tqdm((10, 20, 50, 100), desc="K-means", disable=None):
        starts = [np.random.default_rng(seed).integers(K, size=len(X)) for seed in range(5)]
        runs = [clustering.kmeans(X, start, K) for start in starts]
        by_number[str(K)] = {
            "objective": [round(run.objective, 1) for run in runs],
            "rand": [round(adjusted_rand_score(digit, run.labels), 4) for run in runs],
            "purity": [round(_purity(digit, run.labels), 4) for run in runs],
        }
    linkages = {kind: {"rand": [], "largest": []} for kind in clustering.LINKAGES}
    neighbours: dict[str, dict[str, list]] = {}
    for lot in tqdm(range(3), desc="lots of 1000", disable=None):
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


def autoencoder_olivetti(divisions: int = 5, lengths: Sequence[int] = (2, 5, 15, 32, 64)) -> dict:
    """Chapter 04 on 400 photographs of 40 people: faces found by distance, PCA against autoencoders (CR9).

    The distances of `autoencoder.face_distances` are learnt from the photographs of 30 people, reduced to
    32 x 32 pixels, and tried on those of the 10 others and on windows of photographs without faces. This is
    repeated for random divisions of the people.

    Returns
    -------
    dict
        ``lengths``: numbers in the code; ``auc``, ``error``: by method, for each length a list over the
        divisions, the area under the ROC curve and the mean error energy of the 10 other people's faces;
        ``energy``: the mean energy of those faces about the mean face, a list over the divisions;
        ``microseconds``: by method the time for one window with a code of 15 numbers, on one core of the
        machine that made this result.

    Raises
    ------
    DataError
        If the photographs are not on this machine and cannot be downloaded.
    """
    images = datasets.load("olivetti").x.astype(float)
    small = images.reshape(400, 32, 2, 32, 2).mean(axis=(2, 4))
    by_person = autoencoder.standardised(small).reshape(40, 10, 1024)
    background = autoencoder.standardised(autoencoder.windows_without_faces(32, 200))
    auc, error, energy, microseconds = {}, {}, [], {}
    with _float64_on_one_thread():
        for seed in tqdm(range(divisions), desc="divisions", disable=None):
            people = np.random.default_rng(seed).permutation(40)
            known, other = by_person[people[:30]].reshape(-1, 1024), by_person[people[30:]].reshape(-1, 1024)
            energy.append(round(float(((other - known.mean(axis=0)) ** 2).sum(axis=1).mean()), 3))
            is_face = np.repeat([1, 0], [len(other), len(background)])
            for D in lengths:
                for name, distance in autoencoder.face_distances(known, D, seed).items():
                    of_faces, of_others = distance(other), distance(background)
                    area = roc_auc_score(is_face, -np.concatenate([of_faces, of_others]))
                    auc.setdefault(name, {}).setdefault(str(D), []).append(round(float(area), 4))
                    error.setdefault(name, {}).setdefault(str(D), []).append(round(float(of_faces.mean()), 3))
                    if D == 15 and seed == 0:
                        seconds = min(timeit.repeat(lambda d=distance: d(background), number=3, repeat=5)) / 3
                        microseconds[name] = round(1e6 * seconds / len(background), 1)
    return {
        "lengths": list(lengths),
        "auc": auc,
        "error": error,
        "energy": energy,
        "microseconds": microseconds,
    }


def autoencoder_mnist(
    seeds: int = 3, labels: Sequence[int] = (1, 2, 5, 10, 50, 200), lengths: Sequence[int] = (2, 10, 30)
) -> dict:
    """Chapter 04 on MNIST: features for few labels (Yao's transfer of features), and deep codes against PCA.

    Features are learnt from 10 000 images without labels; then a logistic regression is trained on a few
    labelled ones of them, and tested on the 10 000 test images. Every seed draws other first weights and
    other labelled images.

    Returns
    -------
    dict
        ``labels``: numbers of labelled images of each digit; ``accuracy``: by features, for each number a
        list over the seeds; ``lengths`` and ``error``: by method, "PCA" and "deep autoencoder", for each
        length of the code a list over the seeds of the mean error energy of the test images divided by their
        energy.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    mnist = datasets.load("mnist")
    train, test = mnist.split("train"), mnist.split("test")
    X, y = train.x[:10000].reshape(-1, 784).astype(float), train.y[:10000]
    X_test = test.x.reshape(-1, 784).astype(float)
    energy = ((X_test - X.mean(axis=0)) ** 2).sum(axis=1).mean()
    accuracy, error = {}, {"PCA": {}, "deep autoencoder": {}}
    with _float64_on_one_thread():
        for seed in tqdm(range(seeds), desc="seeds", disable=None):
            features = autoencoder.features(X, X_test, 30, seed, epochs=10)
            drawn = np.random.default_rng(seed).permutation(len(X))
            for n in labels:
                rows = np.concatenate([drawn[y[drawn] == digit][:n] for digit in range(10)])
                for name, (known, new) in features.items():
                    model = LogisticRegression(max_iter=1000).fit(known[rows], y[rows])
                    right = round(float(model.score(new, test.y)), 4)
                    accuracy.setdefault(name, {}).setdefault(str(n), []).append(right)
            for D in lengths:
                torch.manual_seed(seed)
                deep = autoencoder.Autoencoder([784, 256, D], hidden="relu", output="sigmoid")
                autoencoder.train(deep, torch.from_numpy(X), epochs=10, lr=2e-3, seed=seed)
                of_deep = autoencoder.residual_energy(deep, torch.from_numpy(X_test)).mean().item()
                of_pca = Eigenspace(n_components=D).fit(X).residual_energy(X_test).mean()
                for name, value in (("PCA", of_pca), ("deep autoencoder", of_deep)):
                    error[name].setdefault(str(D), []).append(round(float(value / energy), 4))
    return {"labels": list(labels), "accuracy": accuracy, "lengths": list(lengths), "error": error}


@contextmanager
def _float64_on_one_thread() -> Iterator[None]:
    """Let PyTorch build and train small networks so that another machine gives the same to many digits."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


EXPERIMENTS: dict[str, Callable[[], dict]] = {
    "eigenspace_olivetti": eigenspace_olivetti,
    "face_space_portraits": face_space_portraits,
    "face_space_olivetti": face_space_olivetti,
    "autoencoder_olivetti": autoencoder_olivetti,
    "autoencoder_mnist": autoencoder_mnist,
    "embeddings": embeddings,
    "clusters_mnist": clusters_mnist,
}


def stored(name: str) -> dict:
    """Read the stored result of an experiment.

    Raises
    ------
    ValueError
        If there is no experiment of this name.
    """
    if name not in EXPERIMENTS:
        raise ValueError(_unknown(name))
    return json.loads(shipped(f"results/{name}.json").read_text(encoding="utf-8"))


def _unknown(name: str) -> str:
    return f"There is no experiment {name!r}; there are: {', '.join(EXPERIMENTS)}."


def main(arguments: list[str] | None = None) -> int:
    """Run experiments by name, or all of them, and store their results."""
    parser = argparse.ArgumentParser(prog="python -m gennet.reproduce", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(EXPERIMENTS)}; all if none")
    names = parser.parse_args(arguments).names or list(EXPERIMENTS)
    for name in names:
        if name not in EXPERIMENTS:
            print(_unknown(name), file=sys.stderr)
            return 2
    folder = shipped("registry.toml").parent / "results"
    for name in names:
        try:
            result = EXPERIMENTS[name]()
        except datasets.DataError as error:
            print(error, file=sys.stderr)
            return 1
        folder.mkdir(exist_ok=True)
        draft = folder / f"{name}.json.part"
        draft.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        draft.replace(folder / f"{name}.json")
        print(f"{name}: written to {folder / name}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
