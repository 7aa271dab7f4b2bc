"""The data cards: what each data set is, whom to credit, what its terms allow, where its files come from.

`data/registry.toml` is the one home of all this; here it is read. Nothing is loaded or downloaded here.
"""

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from textwrap import fill


class DataError(RuntimeError):
    """A data set cannot be had; the message is one paragraph that says why and what to do."""


@dataclass(frozen=True)
class File:
    """A file to download: its name below the data folder, size, checksum, and addresses in order of trial."""

    name: str
    bytes: int
    sha256: str
    urls: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DataCard:
    """What one should know of a data set before using it; `print(card)` shows it.

    `packings` lists the forms in which the same values are published, each a tuple of files: the files of any
    one of them make the data set. A packing without addresses is accepted where it lies, never downloaded.
    """

    name: str
    kind: str  # shipped, generated or downloaded
    title: str
    shape: tuple[int, ...]
    splits: dict[str, tuple[int, int]]  # first row, and the row after the last
    description: str
    publisher: str
    homepage: str = ""
    citation: str = ""
    licence: str  # a few words, for a table
    terms: str  # sentences
    where: str
    meanwhile: tuple[str, ...]  # sets that do a similar service and need no network
    packings: tuple[tuple[File, ...], ...]

    @property
    def bytes(self) -> int:
        """How much is downloaded, in bytes; 0 for a set that needs no download."""
        return sum(file.bytes for file in self.preferred)

    @property
    def preferred(self) -> tuple[File, ...]:
        """The packing that is downloaded first; empty for a set that needs no download."""
        return next((packing for packing in self.packings if packing[0].urls), ())

    def __str__(self) -> str:
        """Show the card as text, at most 100 characters wide."""
        size = f", {megabytes(self.bytes)}" if self.bytes else ""
        lines = (
            f"{self.name}: {self.title} ({self.kind}{size})",
            self.description,
            f"Credit: {self.publisher}",
            self.citation and f"Cite: {self.citation}",
            f"Terms: {self.licence}. {self.terms}",
            self.homepage,
        )
        return "\n".join(
            fill(line, 100, break_long_words=False, break_on_hyphens=False) for line in lines if line
        )


def megabytes(size: int) -> str:
    """Write a number of bytes for people.

    >>> megabytes(11594722)
    '11.6 MB'
    """
    return f"{size / 1e6:.1f} MB"


def shipped(name: str) -> Path:
    """Path of a file of the folder `data`: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "data" / name
    return inside if inside.exists() else package.parents[1] / "data" / name


def read(path: Path) -> dict[str, DataCard]:
    """Read a registry: one table for each data set, in the order in which they are listed to people."""
    cards = {}
    for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items():
        entry["shape"] = tuple(entry["shape"])
        entry["splits"] = {part: tuple(rows) for part, rows in entry.get("splits", {}).items()}
        entry["meanwhile"] = tuple(entry.get("meanwhile", ()))
        entry["packings"] = tuple(
            tuple(_file(packing.get("mirrors", ()), **file) for file in packing["files"])
            for packing in entry.get("packings", ())
        )
        cards[name] = DataCard(name=name, **entry)
    return cards


def _file(mirrors: list[str], name: str, remote: str = "", **facts: int | str) -> File:
    return File(name, urls=tuple(mirror + (remote or Path(name).name) for mirror in mirrors), **facts)


@cache
def cards() -> dict[str, DataCard]:
    """Every data set's card, by name."""
    return read(shipped("registry.toml"))


def card(name: str) -> DataCard:
    """Look up one data set's card.

    Raises
    ------
    ValueError
        If there is no such data set; the message names those that look like it.
    """
    if name not in cards():
        near = get_close_matches(name.lower(), cards(), n=2)
        guess = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"There is no data set {name!r}.{guess} The data sets are: {', '.join(cards())}.")
    return cards()[name]
