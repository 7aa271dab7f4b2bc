"""The folder of a course: what lies where, the secret seed, and files that are never half written.

course/secret-seed                from which hidden inputs are drawn; for no student's eyes
course/source, release            a problem set in nbgrader's format; what students are given
course/collected/SET              what was handed in: one JSON a student, notebooks by their checksum
course/results/SET                what grading found, one JSON a student
course/gradebook.db, autograded   nbgrader's
course/feedback                   pages for students
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gennet.exercises import declare, stored

LIBRARY = Path(__file__).resolve().parents[1]
REPOSITORY = LIBRARY.parents[1]


class Stop(RuntimeError):
    """A command cannot do what it was asked to; the message says why and what to do."""


@dataclass(frozen=True)
class Course:
    """A course's folder, and the checkout in which its exercises are declared."""

    folder: Path
    root: Path = REPOSITORY

    @property
    def declared(self) -> Path:
        """The folder of declarations."""
        return self.root / "solutions/exercises"

    def path(self, *parts: str) -> Path:
        """Name a file or folder of the course."""
        return self.folder.joinpath(*parts)

    def seed(self, make: bool = False) -> int:
        """Read the secret seed; `make` draws one if there is none."""
        path = self.path("secret-seed")
        if make and not path.exists():
            write(path, f"{secrets.randbits(128):032x}\n", mode=0o600)
        if not path.exists():
            raise Stop(
                f"There is no course in {self.folder}: release a problem set first, or name its --course."
            )
        return int(path.read_text(), 16)

    def find(self, name: str) -> declare.ProblemSet:
        """Load a problem set by its name or its number; the others are left alone."""
        if not self.declared.is_dir():
            raise Stop(
                f"The exercises are declared in {self.declared}, which is not here: grading needs a checkout "
                "of the course with its solutions, not the zip for students."
            )
        paths = {path.stem: path for path in sorted(self.declared.glob("*.py"))}
        found = [stem for stem in paths if name in (stem, number(stem), str(int(number(stem))))]
        if not found:
            raise Stop(f"There is no problem set {name!r}. There are: {', '.join(paths)}.")
        spec = importlib.util.spec_from_file_location(f"declared_{found[0]}", paths[found[0]])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.SET

    def hidden(self, problem_set: declare.ProblemSet) -> stored.StoredSet:
        """Return the problem set on hidden inputs."""
        return problem_set.stored(self.seed())

    def fingerprint(self, name: str) -> str:
        """Return a checksum of all that a mark depends on, except the submission."""
        own = [self.declared / f"{name}.py", self.path("secret-seed")]
        return checksum(b"".join(part.read_bytes() for part in own) + engine().encode())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the course, so that two commands do not write at the same time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Stop(f"Another command is at work in {self.folder}; wait until it has ended.") from None
            yield


@cache
def engine() -> str:
    """Return a checksum of the programs that check and grade, as this process has loaded them."""
    parts = [path for room in ("exercises", "grading") for path in sorted((LIBRARY / room).glob("*.py"))]
    return checksum(b"".join(part.read_bytes() for part in parts))


def number(stem: str) -> str:
    """Return the digits with which the name of a problem set begins."""
    return stem.partition("_")[0]


def checksum(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def write(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file in one step: whoever reads sees the old one or the new one, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one step."""
    write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; None if it is not there or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
