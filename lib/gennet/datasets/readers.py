"""From files, or from the packages that carry them, to arrays: a reader for each data set and each format.

A reader returns the fields of `Dataset` that it can fill. No reader unpickles anything.
"""

import csv
import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .ratings import ratings as world_of_ratings
from .registry import DataError, shipped
from .synthetic_faces import EVERYDAY, random_faces

DIGITS = tuple("0123456789")
GARMENTS = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def digits() -> dict:
    """Take scikit-learn's digits: 8 x 8 grey images in 17 levels."""
    from sklearn.datasets import load_digits

    source = load_digits()
    return {"x": _grey(source.images, 16), "y": _labels(source.target), "class_names": DIGITS}


def faces() -> dict:
    """Take scikit-image's subset of Labeled Faces in the Wild: 100 faces, then 100 pieces of background."""
    from skimage.data import lfw_subset

    images = _grey(lfw_subset(), 1)
    return {"x": images, "y": _labels(np.arange(200) < 100), "class_names": ("not a face", "face")}


def usarrests() -> dict:
    """Read the fifty rows of the package's own CSV file."""
    with shipped("usarrests.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return {
        "x": np.array([row[1:] for row in rows], dtype=float),
        "feature_names": tuple(header[1:]),
        "row_names": tuple(row[0] for row in rows),
    }


def synthetic_faces() -> dict:
    """Draw ten everyday images of each of 40 people."""
    images, person = random_faces(40, 10, seed=0, **EVERYDAY)
    return {"x": _grey(images, 1), "y": _labels(person), "class_names": _count("person", 40)}


def ratings() -> dict:
    """Draw the ratings of a world with four groups of taste; the labels are the users' groups."""
    world = world_of_ratings()
    users, items = world.observed.shape
    return {
        "x": world.observed,
        "y": _labels(world.user_group),
        "class_names": _count("taste", world.user_group.max() + 1),
        "feature_names": _count("item", items),
        "row_names": _count("user", users),
    }


def mnist(*files: Path) -> dict:
    """Read MNIST: images and labels for training, images and labels for testing."""
    return _four_idx(*files) | {"class_names": DIGITS}


def fashion_mnist(*files: Path) -> dict:
    """Read Fashion-MNIST, which has the form of MNIST."""
    return _four_idx(*files) | {"class_names": GARMENTS}


def binarized_mnist(*files: Path) -> dict:
    """Read binary MNIST: the publisher's three texts, three MATLAB files, or one archive of three arrays."""
    if files[0].suffix == ".npz":
        with np.load(files[0]) as archive:
            parts = [archive[part] for part in ("train", "valid", "test")]
    elif files[0].suffix == ".mat":
        parts = [_mat(file)["X"] for file in files]
    else:
        parts = [read_amat(file) for file in files]
    return {"x": _grey(np.concatenate(parts).reshape(-1, 28, 28), 1)}


def olivetti(file: Path) -> dict:
    """Read the Olivetti faces: lying images in columns or rows, or an archive of upright images."""
    if file.suffix == ".npz":
        with np.load(file) as archive:
            images = archive["images"]
    else:
        content = _mat(file)
        rows = content["faces"].T if "faces" in content else content["X"]
        images = rows.reshape(-1, 64, 64).transpose(0, 2, 1)
    person = np.arange(len(images)) // 10  # ten images of each, in the order of the people
    return {"x": _grey(images, 255), "y": _labels(person), "class_names": _count("person", len(images) // 10)}


def movielens(file: Path) -> dict:
    """Read MovieLens: users by films, NaN where not rated; films that nobody rated are left out."""
    with zipfile.ZipFile(file) as archive:
        ratings = _csv(archive, "ml-latest-small/ratings.csv")
        titles = {int(row[0]): row[1] for row in _csv(archive, "ml-latest-small/movies.csv")}
    users, user = np.unique([int(row[0]) for row in ratings], return_inverse=True)
    films, film = np.unique([int(row[1]) for row in ratings], return_inverse=True)
    x = np.full((users.size, films.size), np.nan)
    x[user, film] = [float(row[2]) for row in ratings]
    return {
        "x": x,
        "feature_names": tuple(titles[f] for f in films.tolist()),
        "row_names": tuple(f"user {u}" for u in users.tolist()),
    }


READERS: dict[str, Callable[..., dict]] = {
    reader.__name__: reader
    for reader in (
        *(digits, faces, usarrests, synthetic_faces, ratings),
        *(mnist, fashion_mnist, binarized_mnist, olivetti, movielens),
    )
}


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped idx file: bytes 0, 0, 8 (for uint8), the number of axes, their lengths, the data.

    Raises
    ------
    DataError
        If the first bytes or the length are not those of such a file.
    """
    with gzip.open(path) as file:
        content = file.read()
    if content[:3] != b"\0\0\x08" or len(content) < 4 * (1 + content[3]):
        start = content[:4].hex(" ") or "nothing"
        raise DataError(f"{path} is no idx file of bytes: it begins with {start}, expected 00 00 08.")
    axes = content[3]
    shape = struct.unpack_from(f">{axes}I", content, 4)
    values = np.frombuffer(content, np.uint8, offset=4 * (1 + axes))
    if values.size != np.prod(shape):
        expected = " x ".join(map(str, shape))
        raise DataError(f"{path}: expected {expected} bytes after the header, got {values.size}.")
    return values.reshape(shape)


def read_amat(path: Path) -> np.ndarray:
    """Read a text of 784 digits 0 or 1 in each line, with single spaces between them, to (lines, 784) uint8.

    Raises
    ------
    DataError
        If the text has another form.
    """
    content = np.fromfile(path, np.uint8)
    between = np.full(784, ord(" "), np.uint8)
    between[-1] = ord("\n")
    if content.size and content.size % (2 * 784) == 0:
        lines = content.reshape(-1, 2 * 784)
        values = lines[:, ::2] - ord("0")  # unsigned: a byte below "0" becomes a large number
        if values.max() <= 1 and (lines[:, 1::2] == between).all():
            return values
    raise DataError(f"{path}: expected lines of 784 digits 0 or 1 with single spaces between them.")


def _four_idx(*files: Path) -> dict:
    images, labels, test_images, test_labels = map(read_idx, files)
    return {
        "x": _grey(np.concatenate([images, test_images]), 255),
        "y": _labels(np.concatenate([labels, test_labels])),
    }


def _mat(path: Path) -> dict:
    from scipy.io import loadmat

    return loadmat(path)


def _csv(archive: zipfile.ZipFile, name: str) -> list[list[str]]:
    """Rows of a CSV file inside an archive, without its header."""
    with archive.open(name) as file:
        return list(csv.reader(io.TextIOWrapper(file, encoding="utf-8", newline="")))[1:]


def _grey(images: np.ndarray, white: float) -> np.ndarray:
    """Images as float32, with `white` brought to 1."""
    x = images.astype(np.float32, order="C")
    x /= white
    return x


def _labels(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int64)


def _count(thing: str, number: int) -> tuple[str, ...]:
    return tuple(f"{thing} {n}" for n in range(number))
