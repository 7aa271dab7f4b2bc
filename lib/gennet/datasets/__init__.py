"""Where the numbers of the course come from: ten data sets by name, each with a card that says what it is.

``load("digits")`` gives arrays that are ready for use. Three sets come with the packages, two are computed,
five are downloaded once and checked. Left out: batches, shuffling and augmentation, which belong to training.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from . import ratings, registry, synthetic_faces
from .readers import READERS
from .registry import DataCard, DataError, card

__all__ = ["DataCard", "DataError", "Dataset", "card", "load", "names", "ratings", "synthetic_faces"]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Arrays of one data set and its card.

    Attributes
    ----------
    name : str
    x : ndarray
        Images (M, R, C), float32 in [0, 1], upright, 0 is black; or a table (n, p), float64; or ratings
        (users, items), float64, NaN where a user has not rated an item.
    card : DataCard
    y : ndarray or None
        Labels (M,), int64: positions in `class_names`.
    class_names, feature_names, row_names : tuple of str
        Names of the classes, the columns and the rows; empty where there are none.
    splits : dict
        Rows of each published part, `{"train": slice(0, 60000), ...}`; empty where there are none.
    """

    name: str
    x: np.ndarray
    card: DataCard
    y: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    row_names: tuple[str, ...] = ()
    splits: dict[str, slice] = field(default_factory=dict)

    def split(self, part: str) -> "Dataset":
        """One published part, "train", "valid" or "test"; its arrays are views.

        Raises
        ------
        ValueError
            If the publisher made no such part.
        """
        if part not in self.splits:
            parts = f"only {', '.join(self.splits)}" if self.splits else "no parts; choose rows yourself"
            raise ValueError(f"Dataset.split: {self.name} has no part {part!r}: it has {parts}.")
        rows = self.splits[part]
        return replace(
            self,
            name=f"{self.name}/{part}",
            x=self.x[rows],
            y=None if self.y is None else self.y[rows],
            row_names=self.row_names[rows],
            splits={},
        )

    def __repr__(self) -> str:
        """One line without arrays."""
        parts = [f"x {self.x.shape} {self.x.dtype}"]
        if self.y is not None:
            parts.append(f"y {self.y.shape} in {len(self.class_names)} classes")
        parts += [f"{part} {rows.stop - rows.start}" for part, rows in self.splits.items()]
        return f"<Dataset {self.name}: {', '.join(parts)}; {self.card.kind}, licence: {self.card.licence}>"


def names() -> tuple[str, ...]:
    """Names of all data sets: first those that need no network."""
    return tuple(registry.cards())


def load(name: str) -> Dataset:
    """Load a data set; the first time, a downloaded one is fetched into the data folder and checked.

    The folder is the one that the environment variable GENNET_DATA names, or else the user's cache.

    Raises
    ------
    ValueError
        If there is no data set of this name; the message names those that look like it.
    DataError
        If its files cannot be had; the message says which file to put where, and which set serves meanwhile.

    Examples
    --------
    >>> load("digits")
    <Dataset digits: x (1797, 8, 8) float32, y (1797,) in 10 classes; shipped, licence: CC BY 4.0>
    """
    this = card(name)
    files = []
    if this.packings:
        from .download import fetch  # the libraries of the network are loaded only where they are needed

        files = fetch(this)
    splits = {part: slice(*rows) for part, rows in this.splits.items()}
    data = Dataset(name=name, card=this, splits=splits, **READERS[name](*files))
    _check(data)
    return data


def _check(data: Dataset) -> None:
    """Compare what was read with the card."""
    x, y = data.x, data.y
    if x.shape != data.card.shape:
        raise DataError(f"{data.name}: read an array of shape {x.shape}, its card says {data.card.shape}.")
    if x.ndim == 3 and not (x.min() >= 0 and x.max() <= 1):
        raise DataError(f"{data.name}: pixels lie in [{x.min()}, {x.max()}], expected [0, 1].")
    if y is not None and not (y.shape == x.shape[:1] and y.min() >= 0 and y.max() < len(data.class_names)):
        raise DataError(
            f"{data.name}: {len(y)} labels from {y.min()} to {y.max()} do not fit {len(x)} rows and "
            f"{len(data.class_names)} classes."
        )
