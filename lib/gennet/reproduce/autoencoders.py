"""Chapter 04 at full size: autoencoders against principal components (Crowley, Yao)."""

import timeit
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tqdm.auto import tqdm

from gennet import autoencoder, datasets
from gennet.eigenspace import Eigenspace


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
        ``energy``: the mean energy of those faces about the mean face, a list over the divisions; ``longer``:
        by autoencoder, the area with a code of 15 numbers after eight times the steps, a list over the
        divisions;
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
    auc, error, energy, longer, microseconds = {}, {}, [], {}, {}
    with _float64_on_one_thread():
        for seed in tqdm(range(divisions), desc="divisions", disable=None):
            people = np.random.default_rng(seed).permutation(40)
            known, other = by_person[people[:30]].reshape(-1, 1024), by_person[people[30:]].reshape(-1, 1024)
            energy.append(round(float(((other - known.mean(axis=0)) ** 2).sum(axis=1).mean()), 3))
            is_face = np.repeat([1, 0], [len(other), len(background)])

            def area(of_faces: np.ndarray, of_others: np.ndarray, is_face: np.ndarray = is_face) -> float:
                return round(float(roc_auc_score(is_face, -np.concatenate([of_faces, of_others]))), 4)

            for D in lengths:
                for name, distance in autoencoder.face_distances(known, D, seed).items():
                    of_faces = distance(other)
                    auc.setdefault(name, {}).setdefault(str(D), []).append(
                        area(of_faces, distance(background))
                    )
                    error.setdefault(name, {}).setdefault(str(D), []).append(round(float(of_faces.mean()), 3))
                    if D == 15 and seed == 0:
                        seconds = min(timeit.repeat(lambda d=distance: d(background), number=3, repeat=5)) / 3
                        microseconds[name] = round(1e6 * seconds / len(background), 1)
            for name, distance in autoencoder.face_distances(known, 15, seed, steps=1600).items():
                if name.endswith("autoencoder"):
                    longer.setdefault(name, []).append(area(distance(other), distance(background)))
    return {
        "lengths": list(lengths),
        "auc": auc,
        "error": error,
        "energy": energy,
        "longer": longer,
        "microseconds": microseconds,
    }


def autoencoder_mnist(
    seeds: int = 3, labels: Sequence[int] = (1, 2, 5, 10, 50, 200), lengths: Sequence[int] = (2, 10, 30)
) -> dict:
    """Chapter 04 on MNIST: features for few labels (Yao's transfer of features), and deep codes against PCA.

    Features are learnt from 10 000 images without labels; then a logistic regression is trained on a few
    labelled ones of them, and tested on the 10 000 test images. So is a network of one hidden layer that
    begins with random weights, or with those of the denoising autoencoder. Every seed draws other first
    weights and other labelled images.

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
            models = {
                f"{kind} code": autoencoder.pretrained(kind, X, seed, epochs=10) for kind in autoencoder.PLANS
            }
            features = autoencoder.features(X, X_test, 30, models)
            torch.manual_seed(seed)
            encoders = {
                "network, random start": autoencoder.Autoencoder([784, 100], code="relu").encoder,
                "network, denoising start": models["denoising code"].encoder,
            }
            drawn = np.random.default_rng(seed).permutation(len(X))
            for n in labels:
                rows = np.concatenate([drawn[y[drawn] == digit][:n] for digit in range(10)])
                right = {
                    name: LogisticRegression(max_iter=1000).fit(known[rows], y[rows]).score(new, test.y)
                    for name, (known, new) in features.items()
                }
                for name, encoder in encoders.items():
                    classifier = autoencoder.fine_tune(
                        encoder, torch.from_numpy(X[rows]), torch.from_numpy(y[rows].astype(int))
                    )
                    right[name] = autoencoder.accuracy(classifier, X_test, test.y)
                for name, share in right.items():
                    accuracy.setdefault(name, {}).setdefault(str(n), []).append(round(float(share), 4))
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
