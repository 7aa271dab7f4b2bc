"""Every equation and every erratum of the sources has a home: code, a test, a chapter, or a stated reason.

The lists are `equations.toml` and `errata.toml`; `traceability.py` says what counts as naming an entry. An
equation is verified when a docstring of its room and a marker of a test name it; one with nothing to compute
(`PROSE`) is stated when a text names it. What belongs to a chapter that has no notebook yet may wait.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import traceability
from test_rooms import LEVEL
from traceability import ROOT, equations, errata

KINDS = {"DEF", "ID", "ALG", "GRAD", "SIZE", "OBJ", "DATA"}
CHECKS = {"AG", "STEP", "ENUM", "QUAD", "MC", "SYM", "OPT", "SHAPE", "CASE", "PROSE"}
SOURCES = {"S": "Sayed", "C": "Crowley", "G": "Saha", "Y": "Yao", "B": "Karajgi"}
LAST_CHAPTER = 14
LIBRARY, TESTS, CHAPTERS = ROOT / "lib/gennet", ROOT / "tests", ROOT / "chapters"

TAGS = [
    *(f"68.{n}" for n in range(1, 181)),
    *(f"CR{n}" for n in range(1, 21)),
    *(f"SA{n}" for n in range(1, 11)),
    *(f"YA{n}" for n in range(1, 16)),
    *(f"KA{n}" for n in range(1, 4)),
]
ERRATA = [
    *(f"S{n}" for n in range(1, 22)),
    "S21b",
    *(f"S{n}" for n in range(22, 49) if n != 40),
    *(f"C{n}" for n in range(1, 18)),
    *(f"G{n}" for n in range(1, 7)),
    *(f"Y{n}" for n in range(1, 11)),
    *(f"B{n}" for n in range(1, 5)),
]


# The two lists


def test_every_equation_and_erratum_is_listed_once_and_in_order():
    assert list(equations()) == TAGS
    assert list(errata()) == ERRATA


@pytest.mark.parametrize("tag", TAGS)
def test_entry_of_an_equation_is_complete(tag: str):
    entry = equations()[tag]
    fields = {"states", "kind", "check", "how", "module", "errata", "chapter"}
    assert set(entry) - {"reason"} == fields
    assert entry["kind"] in KINDS
    assert entry["check"] and set(entry["check"]) <= CHECKS
    assert "PROSE" not in entry["check"] or entry["check"] == ["PROSE"]
    assert set(entry["errata"]) <= set(ERRATA)
    assert 0 <= entry["chapter"] <= LAST_CHAPTER
    assert_reads_well(entry, ("states", "how", "reason"))


@pytest.mark.parametrize("name", ERRATA)
def test_entry_of_an_erratum_is_complete(name: str):
    entry = errata()[name]
    fields = {"source", "where", "severity", "printed", "right", "decidable", "chapter"}
    assert set(entry) - {"reason"} == fields
    assert entry["source"] == SOURCES[name[0]]
    assert entry["severity"] in {"!!", "!", "."}
    assert ("reason" in entry) is not entry["decidable"], (
        "a reason says why no program can decide, and only then"
    )
    assert 0 <= entry["chapter"] <= LAST_CHAPTER
    assert_reads_well(entry, ("where", "printed", "right", "reason"))
    for tag, _ in traceability.tags(entry["where"]):
        assert name in equations()[tag]["errata"], f"{tag} in equations.toml does not list it"


def assert_reads_well(entry: dict, fields: tuple[str, ...]) -> None:
    """One line each, with mathematics and its braces opened and closed, and naming only what exists."""
    for field in fields:
        if field in entry:
            text = entry[field]
            assert text and "\n" not in text and text == text.strip(), field
            assert {tag for tag, _ in traceability.tags(text)} <= set(TAGS), field
            assert text.count("$") % 2 == 0, f"{field} has a $ that is not closed"
            for formula in text.split("$")[1::2]:
                bare = re.sub(r"\\[{}]", "", formula)
                assert bare.count("{") == bare.count("}"), f"{field}: braces of {formula}"


def test_rooms_of_the_equations_exist():
    rooms = {traceability.room_of(path, LIBRARY) for path in LIBRARY.rglob("*.py")}
    written = traceability.existing_chapters(CHAPTERS)
    for tag, entry in equations().items():
        assert entry["module"] in LEVEL, f"{tag}: {entry['module']} is no room of the library"
        assert entry["module"] in rooms or entry["chapter"] not in written, (
            f"{tag}: chapter {entry['chapter']} is there, its room {entry['module']} is not"
        )


# What the library, the tests and the chapters name


def unknown(mentions: list[traceability.Mention], known: dict) -> list[str]:
    """List the mentions that no list knows, as `file:line: sentence`."""
    return [f"{m.path}:{m.line}: {m.name} is in no list" for m in mentions if m.name not in known]


def test_every_equation_that_is_named_exists():
    named = traceability.in_docstrings(LIBRARY) + traceability.in_texts(CHAPTERS)
    found = unknown(named + traceability.in_markers(TESTS, "equation"), equations())
    assert not found, "\n" + "\n".join(found)


def test_every_erratum_that_is_named_exists():
    find = traceability.errata_in
    named = traceability.in_docstrings(LIBRARY, find) + traceability.in_texts(CHAPTERS, find)
    found = unknown(named + traceability.in_markers(TESTS, "erratum"), errata())
    assert not found, "\n" + "\n".join(found)


# Verified, stated, tested


@pytest.mark.parametrize("chapter", sorted(traceability.existing_chapters(CHAPTERS)))
def test_equations_of_a_chapter_are_verified(chapter: int):
    code, verified = traceability.with_code(equations(), LIBRARY), traceability.verified()
    missing, settled = [], verified | traceability.stated()
    for tag, entry in equations().items():
        if entry["chapter"] != chapter or tag in settled or "reason" in entry:
            continue
        if entry["check"] == ["PROSE"]:
            missing.append(f"{tag}: no text of a chapter names it")
        elif tag not in code:
            missing.append(f"{tag}: no docstring in the room {entry['module']} names it")
        else:
            missing.append(f"{tag}: no test bears its marker")
    assert not missing, "\n" + "\n".join(missing)


def test_reasons_are_needed():
    settled = traceability.verified() | traceability.stated()
    needless = [tag for tag in settled if "reason" in equations()[tag]]
    assert not needless, f"verified or stated, delete the reason: {needless}"


@pytest.mark.parametrize("chapter", sorted(traceability.existing_chapters(CHAPTERS)))
def test_errata_of_a_chapter_are_tested(chapter: int):
    tested = traceability.errata_with_test()
    missing = [
        n for n, e in errata().items() if e["chapter"] == chapter and e["decidable"] and n not in tested
    ]
    assert not missing, f"no test bears the marker of {missing}"


@pytest.mark.parametrize(
    ("file", "key", "reached"),
    [
        ("equations.toml", "verified", traceability.verified),
        ("errata.toml", "tested", traceability.errata_with_test),
    ],
)
def test_count_only_grows(file: str, key: str, reached: Callable[[], set[str]]):
    stored, reached = traceability.stored_count(file, key), len(reached())
    assert reached >= stored, f"tests/{file} says {key} = {stored}, only {reached} are left: bring them back"
    assert reached <= stored, f"tests/{file} says {key} = {stored}, {reached} are reached: raise the number"


# The collector itself


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Eq. (68.79)", ["68.79"]),
        ("the risk (68.37), see Eqs. (68.137), (68.155) and CR8.", ["68.37", "68.137", "68.155", "CR8"]),
        ("(68.2)-(68.5)", ["68.2", "68.3", "68.4", "68.5"]),
        ("(68.26)–(68.28) and SA9-\n    SA10", ["68.26", "68.27", "68.28", "SA9", "SA10"]),
        ("CR1-CR3, YA4, KA2", ["CR1", "CR2", "CR3", "YA4", "KA2"]),
        (r"$$ a = b \tag{68.20} $$ $$ c \tag{CR6} $$", ["68.20", "CR6"]),
        ("(68.175a), (68.175b)-(68.175d)", ["68.175", "68.175"]),
        ("- (68.20) is a *bound* (68.8)", ["68.20", "68.8"]),
        ("(68.999), CR77", ["68.999", "CR77"]),
        (
            "Eq. 68.20, (68.2-68.9), CR1-8, (68.9)-(68.2)",
            ["Eq. 68.20", "(68.2-68.9)", "CR1-8", "(68.9)-(68.2)"],
        ),
        ("68.20 kg, (68.20 kg), version 68.4.1 (68.4.1), section 68.2, Sayed 68.1–68.2", []),
        ("3 + (68.4), 2*(68.4), (68.4) / x, f(68.4), 68.4", []),
        ("SCR8, CR, CR8a, YA_1, cr8, KA-2", []),
    ],
)
def test_tags_of_a_text(text: str, expected: list[str]):
    assert [tag for tag, _ in traceability.tags(text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("erratum C5", ["C5"]),
        ("Errata C5, S21b\nand Y1 (B2)", ["C5", "S21b", "Y1", "B2"]),
        ("vitamin C5, f(S1), C4 paper, (C4 paper)", []),
    ],
)
def test_errata_of_a_text(text: str, expected: list[str]):
    assert [name for name, _ in traceability.errata_in(text)] == expected


LIBRARY_FILE = '''"""A room, Eq. (68.20)."""

LIMIT = 3.0  # (68.77) stands in a comment
label = "CR9"


class Model:
    r"""Has \\nabla.

    And more: CR1-CR2.
    """

    async def step(self):
        """Take (68.999) steps."""
        return "(68.78)"
'''
TEST_FILE = """import pytest

@pytest.mark.equation("68.20", "CR1")
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.equation("CR99"))])
def test_a(x):
    '''Not a marker: @pytest.mark.equation("CR2").'''

@pytest.mark.erratum("C5", NAME)
class TestB:
    pass
"""


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course with one room, one test and one text."""
    for folder in ("lib/gennet/divergences", "tests/more", "chapters/text"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "lib/gennet/divergences/gaussian.py").write_text(LIBRARY_FILE, encoding="utf-8")
    (tmp_path / "tests/more/test_it.py").write_text(TEST_FILE, encoding="utf-8")
    (tmp_path / "chapters/text/06_it.md").write_text("By (68.78),\nerratum C99 and CR100.", encoding="utf-8")
    (tmp_path / "chapters/06_it.ipynb").write_text("{}", encoding="utf-8")
    return tmp_path


def test_docstrings_are_read_and_nothing_else(course: Path):
    found = traceability.in_docstrings(course / "lib/gennet")
    assert [(m.name, m.line) for m in found] == [("68.20", 1), ("CR1", 10), ("CR2", 10), ("68.999", 14)]


def test_markers_are_read(course: Path):
    found = traceability.in_markers(course / "tests", "equation")
    assert [(m.name, m.line) for m in found] == [("68.20", 3), ("CR1", 3), ("CR99", 4)]
    assert [m.name for m in traceability.in_markers(course / "tests", "erratum")] == ["C5", "NAME"]


def test_unknown_names_are_found_with_file_and_line(course: Path):
    (found,) = unknown(traceability.in_docstrings(course / "lib/gennet"), equations())
    assert found == f"{course / 'lib/gennet/divergences/gaussian.py'}:14: 68.999 is in no list"
    (found,) = unknown(traceability.in_markers(course / "tests", "equation"), equations())
    assert found == f"{course / 'tests/more/test_it.py'}:4: CR99 is in no list"
    (found,) = unknown(traceability.in_texts(course / "chapters"), equations())
    assert found == f"{course / 'chapters/text/06_it.md'}:2: CR100 is in no list"
    (found,) = unknown(traceability.in_texts(course / "chapters", traceability.errata_in), errata())
    assert found == f"{course / 'chapters/text/06_it.md'}:2: C99 is in no list"


def test_verified_needs_the_room_and_the_test(course: Path):
    # 68.20 belongs to divergences and has both; CR1 has a test, but its docstring stands in another room
    assert traceability.verified(course) == {"68.20"}
    (course / "lib/gennet/eigenspace.py").write_text('"""Flattening: CR1 and CR2."""', encoding="utf-8")
    assert traceability.verified(course) == {"68.20", "CR1"}
    (course / "tests/more/test_it.py").unlink()
    assert traceability.verified(course) == set()


def test_stated_and_tested(course: Path):
    assert traceability.stated(course) == {"68.78"}
    assert traceability.errata_with_test(course) == {"C5"}
    assert traceability.existing_chapters(course / "chapters") == {6}
