"""Collects which equations and errata the library, the tests and the chapters name, and counts them.

The two lists are `equations.toml` and `errata.toml`; `test_traceability.py` compares them with what is
collected here. All sources are only read, nothing is imported or run. Mathematics is not checked here: that
is the work of the tests that bear the markers.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

# What counts as a tag in a docstring or a text:
#   (68.20), (68.175a), with or without `Eq.` before it;   CR8, SA10, YA5, KA2 as whole words;
#   (68.2)-(68.9) and CR1-CR8, with a hyphen or a dash and no space before it: all from the first to the last;
#   \tag{68.20} and \tag{CR8}.
# What does not: 68.20 and 68.20 kg (no parentheses), (68.20 kg), f(68.4), 3 + (68.4), 2*(68.4).
# So a mere number 68.4 should not stand alone in parentheses: it would be read as an equation.
SAYED = r"\((68\.\d{1,3})[a-d]?\)"
OTHER = r"\b((?:CR|SA|YA|KA)\d{1,3})\b"
TAG = re.compile(
    rf"{SAYED}(?:[-–]\s*{SAYED})?"
    rf"|{OTHER}(?:[-–]\s*{OTHER})?(?![-–]\d)"
    r"|\\tag\{\(?(68\.\d{1,3})"
    # forms that would be overlooked: they come back as they are written, and are unknown
    r"|(Eqs?\.~?\s*68\.\d+|\(68\.\d+\s?[-–,]\s?68\.\d+\)|\b(?:CR|SA|YA|KA)\d+[-–]\d+)"
)
ARITHMETIC_BEFORE = re.compile(r"(\w|\w [+*/] |\w[+*/])\Z")
ARITHMETIC_AFTER = re.compile(r" [+*/] \w|[+*/]\w")

# What counts as an erratum: C5 and S21b in `erratum C5`, `errata C5, S21b and Y1`, and alone in parentheses.
IDENTIFIERS = r"[SCGYB]\d+b?(?:(?:,\s*|\s+and\s+)[SCGYB]\d+b?)*"
ERRATA = re.compile(rf"\b[Ee]rrat(?:um|a)\s+{IDENTIFIERS}|(?<!\w)\({IDENTIFIERS}\)")

Find = Callable[[str], Iterator[tuple[str, int]]]  # `tags` or `errata_in`


class Mention(NamedTuple):
    """One tag or erratum, where it is named."""

    name: str
    path: Path
    line: int


@cache
def equations() -> dict[str, dict]:
    """Return the entries of `equations.toml` by tag."""
    return _tables("equations.toml")


@cache
def errata() -> dict[str, dict]:
    """Return the entries of `errata.toml` by identifier."""
    return _tables("errata.toml")


def _tables(name: str) -> dict[str, dict]:
    content = tomllib.loads((ROOT / "tests" / name).read_text(encoding="utf-8"))
    return {key: value for key, value in content.items() if isinstance(value, dict)}


def stored_count(name: str, key: str) -> int:
    """Return the number at the top of one of the two lists."""
    return tomllib.loads((ROOT / "tests" / name).read_text(encoding="utf-8"))[key]


def tags(text: str) -> Iterator[tuple[str, int]]:
    """Yield each tag of a text with its position; ranges are expanded."""
    for match in TAG.finditer(text):
        first, last, first_other, last_other, numbered, overlooked = match.groups()
        before = text[max(0, match.start() - 4) : match.start()]
        if first and (ARITHMETIC_BEFORE.search(before) or ARITHMETIC_AFTER.match(text, match.end())):
            continue
        for name in _expand(first or first_other or numbered or overlooked, last or last_other, match[0]):
            yield name, match.start()


def _expand(first: str, last: str | None, written: str) -> list[str]:
    """List the tags from first to last; a range that runs backwards comes back as it was written."""
    if last is None:
        return [first]
    family, start = re.fullmatch(r"(68\.|[A-Z]+)(\d+)", first).groups()
    other, stop = re.fullmatch(r"(68\.|[A-Z]+)(\d+)", last).groups()
    if family != other or int(start) > int(stop):
        return [written]
    return [f"{family}{number}" for number in range(int(start), int(stop) + 1)]


def errata_in(text: str) -> Iterator[tuple[str, int]]:
    """Yield each identifier of an erratum in a text, with its position."""
    for match in ERRATA.finditer(text):
        for name in re.finditer(r"\b[SCGYB]\d+b?", match[0]):
            yield name[0], match.start() + name.start()


def in_docstrings(library: Path, find: Find = tags) -> list[Mention]:
    """Collect what the docstrings of all modules, classes and functions name."""
    found = []
    for path in sorted(library.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source, str(path))):
            if (
                isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                and ast.get_docstring(node) is not None
            ):
                docstring = node.body[0].value
                text = ast.get_source_segment(source, docstring)  # as written, so that lines can be counted
                found += _mentions(text, path, docstring.lineno, find)
    return found


def in_texts(chapters: Path, find: Find = tags) -> list[Mention]:
    """Collect what the texts of the chapters name."""
    found = []
    for path in sorted((chapters / "text").glob("*.md")):
        found += _mentions(path.read_text(encoding="utf-8"), path, 1, find)
    return found


def _mentions(text: str, path: Path, first_line: int, find: Find) -> list[Mention]:
    return [Mention(name, path, first_line + text.count("\n", 0, position)) for name, position in find(text)]


def in_markers(tests: Path, marker: str) -> list[Mention]:
    """Collect the arguments of `pytest.mark.equation` or `pytest.mark.erratum` in all files of tests.

    Anything but a literal string comes back as its source, which no list knows.
    """
    found = []
    for path in sorted(tests.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == f"pytest.mark.{marker}":
                for argument in node.args:
                    literal = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                    name = argument.value if literal else ast.unparse(argument)
                    found.append(Mention(name, path, argument.lineno))
    return found


def room_of(path: Path, library: Path) -> str:
    """Return the room a file of the library belongs to: `vae` for `vae.py` and for `vae/anything.py`."""
    return path.relative_to(library).parts[0].removesuffix(".py")


def existing_chapters(chapters: Path) -> set[int]:
    """Return the numbers of the chapters that have a notebook."""
    return {int(path.name[:2]) for path in chapters.glob("[0-9][0-9]_*.ipynb")}


def with_code(entries: dict[str, dict], library: Path) -> set[str]:
    """Return the equations that a docstring of their own room names."""
    named = {(mention.name, room_of(mention.path, library)) for mention in in_docstrings(library)}
    return {tag for tag, entry in entries.items() if (tag, entry["module"]) in named}


def verified(root: Path = ROOT) -> set[str]:
    """Return the equations that have code and a test."""
    tested = {mention.name for mention in in_markers(root / "tests", "equation")}
    return with_code(equations(), root / "lib/gennet") & tested


def stated(root: Path = ROOT) -> set[str]:
    """Return the equations with nothing to compute that a text names."""
    named = {mention.name for mention in in_texts(root / "chapters")}
    return {tag for tag, entry in equations().items() if entry["check"] == ["PROSE"] and tag in named}


def errata_with_test(root: Path = ROOT) -> set[str]:
    """Return the errata that a program can decide and that have a test."""
    tested = {mention.name for mention in in_markers(root / "tests", "erratum")}
    return {name for name, entry in errata().items() if entry["decidable"] and name in tested}


def summary() -> str:
    """Return the counts in one line."""
    to_verify = [entry for entry in equations().values() if entry["check"] != ["PROSE"]]
    decidable = [entry for entry in errata().values() if entry["decidable"]]
    return (
        f"traceability: {len(verified())} of {len(to_verify)} equations verified by code and test, "
        f"{len(stated())} of {len(equations()) - len(to_verify)} stated in a text; "
        f"{len(errata_with_test())} of {len(decidable)} decidable errata tested"
    )
