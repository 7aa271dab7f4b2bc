"""What a student has solved, kept on the student's own disk so that it survives a restart.

The file is ``progress.json`` in the folder named by GENNET_HOME, or else in ``.gennet`` beside the chapters
(in the home folder if there are none). Nobody else reads it. With GENNET_HOME=off nothing is kept longer than
the kernel lives: so are notebooks executed whose output must not depend on who executes them. Nor is anything
kept of a notebook in ``solutions``, which is nobody's progress.
"""

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
Entries = dict[str, dict[str, Any]]  # by exercise: attempts, and the time at which each function first passed

_session: Entries = {}  # what this kernel has seen, whether or not the disk takes it
_said: set[str] = set()  # a trouble with the disk is said once


def path() -> Path | None:
    """Name the file; None where nothing is to be kept."""
    home = os.environ.get("GENNET_HOME")
    if home == "off" or Path.cwd().is_relative_to(ROOT / "solutions"):
        return None
    beside = ROOT if (ROOT / "chapters").is_dir() else Path.home()
    return Path(home or beside / ".gennet").expanduser() / "progress.json"


def record(exercise: str, passed: list[str]) -> None:
    """Note an attempt at an exercise and the functions that passed in it."""
    entries = load()
    entry = entries.setdefault(exercise, {"attempts": 0, "passed": {}})
    entry["attempts"] += 1
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entry["passed"] = dict.fromkeys(passed, now) | entry["passed"]
    _session[exercise] = entry
    save(entries)


def load() -> Entries:
    """Return what is known of every exercise: what the file says and what this kernel has seen."""
    entries = read()
    for exercise, seen in _session.items():
        stored = entries.get(exercise, {"attempts": 0, "passed": {}})
        entries[exercise] = {
            "attempts": max(stored["attempts"], seen["attempts"]),
            "passed": seen["passed"] | stored["passed"],
        }
    return entries


def read() -> Entries:
    """Read the file; one that cannot be understood is put aside under another name, and that is said."""
    file = path()
    if file is None or not file.exists():
        return {}
    try:
        content = file.read_bytes()
    except OSError as error:
        say(f"Your earlier progress cannot be read from {file} ({error.strerror}). Checks work all the same.")
        return {}
    try:
        return {
            exercise: {"attempts": int(entry["attempts"]), "passed": dict(entry["passed"])}
            for exercise, entry in json.loads(content)["exercises"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        aside = file.with_name(f"progress-damaged-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.json")
        with contextlib.suppress(OSError):
            file.rename(aside)
            say(
                f"The file with your progress, {file}, is damaged. It was kept as {aside.name}; a new one "
                f"begins."
            )
        return {}


def save(entries: Entries) -> None:
    """Write the file in one step, so that an interruption leaves the old one whole."""
    file = path()
    if file is None or (
        file.exists() and not os.access(file, os.R_OK)
    ):  # what cannot be read is not replaced
        return
    draft = file.with_name(f".progress-{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"exercises": entries}, indent=1), encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        say(
            f"Your progress cannot be saved in {file} ({error.strerror}). Checks work all the same, but a "
            f"restart "
            "forgets what you solve now. Make the folder writable, or set GENNET_HOME to a folder of your "
            "own."
        )


def say(sentence: str) -> None:
    """Print a sentence, once."""
    if sentence not in _said:
        _said.add(sentence)
        print(sentence)
