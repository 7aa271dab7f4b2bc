"""What a student's computer holds of a problem set: words as JSON, arrays as NPZ, no pickle, no program.

For every function to be written: the public inputs, what a right answer returns on them, and what each known
mistake returns on them. That is enough to check an answer without having one.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .given import Given

FOLDER = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Output:
    """One thing by which an answer is judged: a result that it returns, or something derived.

    ``shape`` is in words, for messages; ``same`` names a comparison of `compare.COMPARISONS`; ``tolerance``
    replaces the usual one of that comparison. ``derived`` names a function of `given`, which is called with
    the results and arguments that its parameters name; or it is "calls": then the output is the order in
    which the answer calls the functions that it is given, by the names of its parameters.
    """

    name: str
    shape: str
    same: str = "close"
    tolerance: float | None = None
    derived: str = ""


@dataclass(frozen=True)
class KnownMistake:
    """A wrong answer that is recognised, and what to say to it; `seen_in` names the outputs that show it."""

    name: str
    hint: str
    seen_in: list[str]
    same: str | None


@dataclass(frozen=True)
class Case:
    """One call: arguments by name, the right outputs, of each mistake the outputs that `seen_in` names."""

    arguments: dict[str, Any]
    expected: list[Any]
    mistaken: dict[str, list[Any]]


@dataclass(frozen=True)
class Question:
    """One function to be written."""

    name: str
    points: int
    outputs: list[Output]
    right: str
    hints: list[str]
    mistakes: list[KnownMistake]
    cases: list[Case]


@dataclass(frozen=True)
class StoredExercise:
    """One exercise: its functions, and the points of its derivation (0 if it has none)."""

    id: str
    title: str
    questions: list[Question]
    derivation_points: int

    @property
    def points(self) -> int:
        """The points that a check can give."""
        return sum(question.points for question in self.questions)


@dataclass(frozen=True)
class StoredSet:
    """The exercises of one notebook."""

    number: str
    title: str
    exercises: list[StoredExercise]


def pack(value: Any, key: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return what JSON can hold of a value; its arrays go to `arrays`, and a name to where they stood.

    A given function is kept by its name.

    >>> arrays = {}
    >>> pack({"W": np.eye(2), "bits": 3}, "E4", arrays), list(arrays)
    ({'W': {'npz': 'E4/W'}, 'bits': 3}, ['E4/W'])
    """
    if isinstance(value, np.ndarray):
        arrays[key] = value
        return {"npz": key}
    if isinstance(value, dict):
        return {name: pack(part, f"{key}/{name}", arrays) for name, part in value.items()}
    if isinstance(value, Given):
        return {"given": value.name, "with": pack(value.fixed, f"{key}/with", arrays)}
    if isinstance(value, list | tuple):
        return [pack(part, f"{key}/{number}", arrays) for number, part in enumerate(value)]
    return value


def unpack(tree: Any, arrays: Any) -> Any:
    """Undo `pack`; tuples come back as lists, arrays as fresh copies."""
    if isinstance(tree, dict):
        if tree.keys() == {"npz"}:
            return np.array(arrays[tree["npz"]])
        if tree.keys() == {"given", "with"}:
            return Given(tree["given"], **unpack(tree["with"], arrays))
        return {name: unpack(part, arrays) for name, part in tree.items()}
    return [unpack(part, arrays) for part in tree] if isinstance(tree, list) else tree


def packed(problem_set: StoredSet) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a set as words and arrays."""
    arrays: dict[str, np.ndarray] = {}
    return pack(asdict(problem_set), problem_set.number, arrays), arrays


def write(problem_set: StoredSet, path: Path) -> None:
    """Write a set to `path` with the endings .json and .npz."""
    words, arrays = packed(problem_set)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(words, indent=1, ensure_ascii=False) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")
    np.savez_compressed(path.with_suffix(".npz"), allow_pickle=False, **arrays)


def read(path: Path) -> StoredSet:
    """Read what `write` has written."""
    words = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
        tree = unpack(words, arrays)
    for exercise in tree["exercises"]:
        for question in exercise["questions"]:
            question["outputs"] = [Output(**output) for output in question["outputs"]]
            question["mistakes"] = [KnownMistake(**mistake) for mistake in question["mistakes"]]
            question["cases"] = [Case(**case) for case in question["cases"]]
        exercise["questions"] = [Question(**question) for question in exercise["questions"]]
    tree["exercises"] = [StoredExercise(**exercise) for exercise in tree["exercises"]]
    return StoredSet(**tree)


@cache
def all_sets() -> dict[str, StoredSet]:
    """Return every stored set, by its number."""
    sets = [read(path) for path in sorted(FOLDER.glob("*.json"))]
    return {problem_set.number: problem_set for problem_set in sets}
