"""What students hand in: find it in a folder or a zip, tell whose it is, read it without trusting it.

Nothing is unpacked under a name of somebody else's choice: the bytes of a notebook are kept under their
checksum, and one JSON file a student says which of them count and what was amiss. Links are not followed;
what is too large, damaged or no notebook is noted, not dropped.
"""

import hashlib
import json
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from .course import Course, Stop, checksum, read_json, write, write_json

LARGEST = 16 << 20  # bytes of a notebook
FILES = 50_000  # in one collection
FILES_EACH = 100  # of one student
CELLS = 2_000
CODE = 1 << 19  # bytes of code in a notebook


class Unreadable(ValueError):
    """A file that is no notebook; the message says why."""


@dataclass(frozen=True)
class File:
    """One file that was handed in: its path, its time, and how to read it (which may raise `Unreadable`)."""

    path: PurePosixPath
    time: datetime
    read: Callable[[], bytes]


# ------------------------------------------------------------------------------------------- where it lies


@contextmanager
def files_of(source: Path) -> Iterator[list[File]]:
    """List the files of a folder or of a zip, except hidden ones.

    Raises
    ------
    Stop
        If there is no such folder or zip, or it holds too many files.
    """
    with ExitStack() as stack:
        if source.is_dir():
            found = files_of_folder(source)
        elif zipfile.is_zipfile(source):
            found = files_of_zip(stack.enter_context(zipfile.ZipFile(source)))
        else:
            raise Stop(f"{source} is neither a folder nor a zip of submissions.")
        files = list(islice(found, FILES + 1))
        if len(files) > FILES:
            raise Stop(f"{source} holds more than {FILES} files.")
        seen = [
            f for f in files if f.path.parts and not any(p[0] == "." or p == "__MACOSX" for p in f.path.parts)
        ]
        yield without_common_folder(seen)


def files_of_folder(folder: Path) -> Iterator[File]:
    """Yield the files of a folder; links to folders are files here, and cannot be read."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        links = [f"{name}/link" for name in folders if os.path.islink(os.path.join(place, name))]
        for name in sorted(names + links):
            path = Path(place, name.removesuffix("/link"))
            time = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
            shown = PurePosixPath(Path(place, name).relative_to(folder).as_posix())
            yield File(shown, time, partial(read_regular, path))


def read_regular(path: Path) -> bytes:
    """Read a file that is nothing but a file, up to the largest size."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Unreadable(
            "it is a link to another file" if path.is_symlink() else str(error.strerror)
        ) from None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Unreadable("it is no ordinary file")
        if path.suffix.lower() != ".ipynb":
            raise Unreadable("it is no notebook")
        return not_too_large(file.read(LARGEST + 1))


def files_of_zip(bundle: zipfile.ZipFile) -> Iterator[File]:
    """Yield the files of a zip; nothing is unpacked to disk."""
    for entry in bundle.infolist():
        if entry.is_dir():
            continue
        parts = PurePosixPath(entry.filename.replace("\\", "/").replace("\0", "")).parts
        path = PurePosixPath(*(part for part in parts if part not in ("/", "..")))
        try:
            time = datetime(*entry.date_time, tzinfo=UTC)
        except ValueError:
            time = datetime.now(UTC)
        yield File(path, time, partial(read_entry, bundle, entry))


def read_entry(bundle: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read one file of a zip, up to the largest size."""
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise Unreadable("it is a link to another file")
    if not entry.filename.lower().endswith(".ipynb"):
        raise Unreadable("it is no notebook")
    try:
        with bundle.open(entry) as file:
            return not_too_large(file.read(LARGEST + 1))
    except Unreadable:
        raise
    except Exception as error:  # damaged, encrypted, packed in an unknown way
        raise Unreadable(f"it cannot be unpacked ({type(error).__name__})") from None


def not_too_large(data: bytes) -> bytes:
    """Return what was read, unless it is too large."""
    if len(data) > LARGEST:
        raise Unreadable(f"it has more than {LARGEST >> 20} MB")
    return data


def without_common_folder(files: list[File]) -> list[File]:
    """Leave out a folder that holds the folders of all students."""
    if len({file.path.parts[0] for file in files}) == 1 and all(len(file.path.parts) > 2 for file in files):
        return [replace(file, path=PurePosixPath(*file.path.parts[1:])) for file in files]
    return files


# ------------------------------------------------------------------------------------------- whose it is

# How learning management systems name what they export. `version` tells the newest of several.
EXPORTS = (
    re.compile(r"(?P<student>[^/]+?_\d+)_assignsubmission_file(_[^/]*)?/.*"),  # Moodle
    re.compile(r"(?P<student>[^/_]+)_(LATE_)?(?P<number>\d+)_\d+_[^/]*?(-(?P<version>\d+))?\.\w+"),  # Canvas
    re.compile(
        r"[^/]*?_(?P<student>[^/_]+)_attempt_(?P<version>\d{4}(-\d\d){5})(_[^/]*)?\.\w+"
    ),  # Blackboard
    re.compile(r"(?P<student>[^/]+)/.*"),  # a folder a student, as nbgrader has it
    re.compile(r"(?P<student>[^/]+)\.ipynb"),  # a file a student
)


def owner(path: PurePosixPath, name: str, pattern: re.Pattern | None) -> tuple[str, str] | None:
    """Return whose a file is, and its version; None if the name does not say."""
    for export in [pattern] if pattern else EXPORTS:
        if match := export.fullmatch(str(path)):
            groups = match.groupdict()
            student = groups["student"]
            if groups.get("number"):
                student += f"_{groups['number']}"
            if export is EXPORTS[-1]:
                student = re.sub(rf"[-_ ]*{re.escape(name)}[-_ ]*", "", student) or student
            return student, groups.get("version") or ""
    return None


def identity(student: str) -> str:
    """Turn a name into one that is safe in paths and pages; different names stay different.

    >>> identity("ada"), identity("Zoë Müller")
    ('ada', 'Zoe-Muller-d6e575a6b5')
    """
    plain = unicodedata.normalize("NFKD", student).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_@.+-]+", "-", plain).strip("-.+@")[:60]
    if plain and plain == student:
        return plain
    return f"{plain or 'student'}-{hashlib.sha256(student.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


# ------------------------------------------------------------------------------------------- what it says


def notebook(data: bytes) -> dict[str, Any]:
    """Read a notebook as far as grading needs it: its cells, each with a type, a source and metadata.

    Raises
    ------
    Unreadable
        If it is no notebook of format 4, or too large.
    """
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise Unreadable("it is damaged: no JSON") from None
    if (
        not isinstance(content, dict)
        or content.get("nbformat") != 4
        or not isinstance(content.get("cells"), list)
    ):
        raise Unreadable("it is no notebook of format 4")
    if len(content["cells"]) > CELLS:
        raise Unreadable(f"it has more than {CELLS} cells")
    cells = [cell_of(cell) for cell in content["cells"]]
    if sum(len(cell["source"]) for cell in cells if cell["cell_type"] == "code") > CODE:
        raise Unreadable(f"it has more than {CODE >> 10} kB of code")
    return {"cells": cells}


def cell_of(cell: Any) -> dict[str, Any]:
    """Read one cell; its outputs are left behind."""
    match cell:
        case {"cell_type": "code" | "markdown" | "raw" as kind, "source": str() | list() as source}:
            if not isinstance(source, str):
                if not all(isinstance(line, str) for line in source):
                    raise Unreadable("a cell of it holds something else than text")
                source = "".join(source)
            metadata = cell.get("metadata")
            source = source.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
            return {
                "cell_type": kind,
                "source": source,
                "metadata": metadata if isinstance(metadata, dict) else {},
                "attachments": cell.get("attachments"),
            }
    raise Unreadable("a cell of it is no cell")


def code_of(content: dict[str, Any]) -> list[str]:
    """Return the code of a notebook, cell by cell."""
    return [cell["source"] for cell in content["cells"] if cell["cell_type"] == "code"]


# ------------------------------------------------------------------------------------------- collecting


def collect(
    course: Course, name: str, source: Path, functions: Iterable[str], pattern: str = ""
) -> dict[str, str]:
    """Take over what lies in a folder or zip; return, by student, what was found.

    A student who is already there is replaced, the others stay. Of several notebooks of one student, the one
    that has the problem set's functions counts; of several such, the newest version if their names tell it.
    """
    try:
        compiled = re.compile(pattern) if pattern else None
    except re.error as error:
        raise Stop(f"--pattern {pattern!r} is no regular expression: {error}.") from None
    if compiled and "student" not in compiled.groupindex:
        raise Stop(
            "--pattern needs a group for the student: (?P<student>[^/]+), matched against the whole path."
        )
    defined = re.compile(rf"^\s*def\s+({'|'.join(map(re.escape, functions))})\s*\(", re.MULTILINE)
    by_student: dict[str, list[tuple[File, str]]] = {}
    with files_of(source) as files:
        for file in files:
            if found := owner(file.path, name, compiled):
                by_student.setdefault(found[0], []).append((file, found[1]))
        if not by_student:
            raise Stop(
                f"No submission was found in {source}. Do its names fit? --pattern says how to read them."
            )
        return {
            student: keep(course, name, student, by_student[student], defined)
            for student in sorted(by_student)
        }


def keep(course: Course, name: str, student: str, files: list[tuple[File, str]], defined: re.Pattern) -> str:
    """Keep what one student handed in; return a status."""
    status, words, file, data = choose(files, defined)
    entry = {
        "student": identity(student),
        "name": printable(student),
        "status": status,
        "words": words,
        "files": [printable(file.path) for file, _ in files[:50]],
        "time": (file.time if file else max(file.time for file, _ in files)).isoformat(timespec="seconds"),
        "sha256": checksum(data if file else words.encode()),
    }
    if file:
        write(course.path("collected", name, "notebooks", f"{entry['sha256']}.ipynb"), data)
    path = course.path("collected", name, f"{entry['student']}.json")
    before = read_json(path)
    write_json(path, entry)
    same = before and (before["status"], before["sha256"]) == (entry["status"], entry["sha256"])
    return f"{status}, as before" if same else status


def choose(files: list[tuple[File, str]], defined: re.Pattern) -> tuple[str, str, File | None, bytes]:
    """Choose the file that counts: return a status, words, the file, its bytes."""
    if len(files) > FILES_EACH:
        return "unreadable", f"There are more than {FILES_EACH} files.", None, b""
    readable, amiss = [], []
    for file, version in files:
        try:
            data = file.read()
            fits = any(defined.search(source) for source in code_of(notebook(data)))
        except Unreadable as error:
            amiss.append(f"{printable(file.path)}: {error}.")
        else:
            readable.append((fits, version, file, data))
    if not readable:
        return "unreadable", " ".join(amiss[:5]), None, b""
    best = [entry for entry in readable if entry[0]] or readable
    versions = [version for _, version, *_ in best]
    if len(set(versions)) == len(versions):  # one, or a resubmission, as the system's names say
        return "collected", "", *max(best, key=lambda entry: (len(entry[1]), entry[1]))[2:]
    if len({data for *_, data in best}) == 1:
        return "collected", "", *best[0][2:]
    names = ", ".join(printable(file.path) for *_, file, _ in best[:5])
    return "several files", f"There are several different notebooks: {names}. Which one counts?", None, b""


def printable(name: PurePosixPath | str) -> str:
    """Return a name without letters that cannot be shown."""
    text = str(name).encode("utf-8", "replace").decode()
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)[:200]


def collected(course: Course, name: str) -> dict[str, dict[str, Any]]:
    """Return what was collected, by student."""
    entries = (read_json(path) for path in sorted(course.path("collected", name).glob("*.json")))
    return {entry["student"]: entry for entry in entries if entry}


def read(course: Course, name: str, entry: dict[str, Any]) -> dict[str, Any] | None:
    """Read the notebook of an entry; None if none was chosen."""
    if entry["status"] != "collected":
        return None
    return notebook(course.path("collected", name, "notebooks", f"{entry['sha256']}.ipynb").read_bytes())
