"""Grading from the release to the table: names, files, resuming, marks by hand, what pages show, refusals."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

import nbformat
import numpy as np
import pytest
from grading import FUNCTIONS, NEEDS_NBGRADER, NEEDS_SANDBOX, ROOT, SET, declared, notebook, run, table, write

from gennet.exercises import stored
from gennet.exercises.given import Given
from gennet.grading import commands, course, sandbox, submissions, wire

DERIVATION = "The energy is $a<b$. <script>alert('TAKEN OVER')</script> [x](javascript:alert(1))"

# ------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -3,
        2.5,
        "text",
        [],
        {},
        np.arange(6.0).reshape(2, 3),
        np.array(1.5),
        np.zeros((0, 3), dtype=np.float32),
        np.array([True, False]),
        np.array(["a", "bc"]),
        np.array([1 + 2j]),
        [np.arange(3), {"W": [np.eye(2), np.eye(3)], "bits": 3}],
        list(range(1000)),
        [0.5] * 100,
    ],
    ids=repr,
)
def test_a_message_arrives_as_it_was_sent(value):
    words, arrived = wire.decode_all(wire.encode({"case": 1}, value))
    assert words == {"case": 1}
    assert stored.pack(arrived, "", {}) == stored.pack(value, "", {}) and same(arrived, value)


def same(one, other) -> bool:
    if isinstance(one, dict | list):
        pairs = zip(one.values(), other.values()) if isinstance(one, dict) else zip(one, other)  # noqa: B905
        return type(one) is type(other) and len(one) == len(other) and all(same(*pair) for pair in pairs)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and bool(np.all(one == other))
    return type(one) is type(other) and one == other


def message(words: object) -> bytes:
    text = json.dumps(words).encode() if not isinstance(words, bytes) else words
    return len(text).to_bytes(4, "big") + text


NOTHING = {"words": {}, "value": {"plain": None}, "arrays": []}


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        message(b"no JSON"),
        message(b"\xff\xfe"),
        message([]),
        message({}),
        message(NOTHING | {"words": 3}),
        message(NOTHING | {"value": 3}),
        message(NOTHING | {"value": {"plain": []}}),
        message(NOTHING | {"value": {"array": 0}}),
        message(NOTHING | {"value": {"array": -1}, "arrays": [["<f8", [0]]]}),
        message(NOTHING | {"value": {"array": True}, "arrays": [["<f8", [0]]] * 2}),
        message(NOTHING | {"value": {"plain": 1, "list": []}}),
        message(NOTHING | {"arrays": [["|O", [1]]]}),
        message(NOTHING | {"arrays": [["<f8", [-1]]]}),
        message(NOTHING | {"arrays": [["<f8", [True]]]}),
        message(NOTHING | {"arrays": [["<f8", [1 << 20, 1 << 20]]]}),
        message(NOTHING | {"arrays": [["<f8", [0] * 33]]}),
        message(NOTHING | {"arrays": [["<U1", [1]]], "value": {"array": 0}}) + b"\xff\xff\xff\xff",
        message(b"[" * 100_000),
        message(b'{"words": {}, "value": {"plain": ' + b"1" * 10_000 + b'}, "arrays": []}'),
        message(NOTHING | {"value": json.loads('{"list": [' * 40 + '{"plain": null}' + "]}" * 40)}),
    ],
    ids=lambda data: str(data[4:60]),
)
def test_a_malformed_message_is_refused(data: bytes):
    with pytest.raises(wire.Malformed):
        wire.decode_all(data)


def test_what_is_no_number_arrives_as_its_kind_only():
    _, arrived = wire.decode_all(wire.encode({}, [object(), np.array([object()]), {1: 2}, 10**30, 1 << 70]))
    kinds = [type(part).__name__ for part in arrived]
    assert kinds == ["object", "array_of_dtype_object", "dict", "int", "int"]
    with pytest.raises(wire.Malformed, match="bytes"):
        wire.encode({}, np.zeros(100), largest=799)


# ------------------------------------------------------------------------------------------- the sandbox


@pytest.fixture(scope="module")
def stage():
    with sandbox.staged() as folder:
        yield folder


@NEEDS_SANDBOX
def test_a_function_gets_and_returns_whatever_exercises_have(stage: Path):
    cell = "def f(u, quantile, params): return quantile(u, 1 - u), {'W': [w * 2 for w in params['W']]}"
    quantile, u = Given("exponential_quantile", rate=2.0), np.array([0.25, 0.5])
    arguments = {"u": u, "quantile": quantile, "params": {"W": [np.eye(2), np.eye(3)]}}
    with sandbox.Sandbox(stage, sandbox.Limits()) as box:
        assert box.begin([cell], ["f", "g"])["states"] == {"f": "written", "g": "missing"}
        answer = box.ask("f", arguments)
    assert answer.calls == ["quantile"]
    assert same(answer.returned, [quantile(u, 1 - u), {"W": [2 * np.eye(2), 2 * np.eye(3)]}])


@NEEDS_SANDBOX
def test_a_tensor_comes_back_as_an_array(stage: Path):
    cell = "import torch\ndef f(u): return torch.tensor(u, requires_grad=True) * 2"
    with sandbox.Sandbox(stage, sandbox.Limits()) as box:
        assert not box.begin([cell], ["f"])["notes"]
        assert same(box.ask("f", {"u": np.arange(3.0)}).returned, np.array([0.0, 2, 4]))


@NEEDS_SANDBOX
def test_the_stage_holds_no_answers(stage: Path):
    names = {path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file()}
    assert not [name for name in names if "cases" in name]
    assert not [name for name in names if name.endswith((".npz", ".json"))]
    rooms = {name.split("/")[2] for name in names if name.startswith("lib/gennet/")}
    assert rooms <= {*sandbox.ROOMS, "grading", "__pycache__"}
    programs = {path.name for path in (stage / "lib/gennet/grading").glob("*.py")}
    assert programs == {"__init__.py", "inside.py", "wire.py"}


def test_without_bubblewrap_nothing_is_graded(stage: Path, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(sandbox.NoSandbox, match=r"apt-get install bubblewrap.*--no-sandbox"):
        sandbox.examine(stage, [])


def test_a_bubblewrap_that_does_not_work_is_no_sandbox(stage: Path, monkeypatch, tmp_path: Path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho bwrap: No permissions to create new namespace >&2; exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(sandbox.NoSandbox, match=r"No permissions to create new namespace.*--no-sandbox"):
        sandbox.examine(stage, [])


@NEEDS_SANDBOX
def test_a_sandbox_that_shows_a_secret_is_refused(stage: Path):
    sandbox.examine(stage, [ROOT / "solutions"])
    with pytest.raises(sandbox.NoSandbox, match=r"not tight.*python"):
        sandbox.examine(stage, [Path(sys.executable)])


@NEEDS_SANDBOX
def test_a_sandbox_dies_with_its_grader(stage: Path, tmp_path: Path):
    program = (
        "import sys, time; from pathlib import Path; from gennet.grading import sandbox\n"
        "box = sandbox.Sandbox(Path(sys.argv[1]), sandbox.Limits()).__enter__()\n"
        "box.begin(['import time\\ndef f(): time.sleep(1000)'], ['f'])\n"
        "box.send({'function': 'f', 'arguments': {}, 'largest': 1}, {})\n"
        "print(*sandbox.tree(box.process.pid), flush=True)\n"
        "time.sleep(1000)\n"
    )
    grader = subprocess.Popen([sys.executable, "-c", program, stage], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in grader.stdout.readline().split()]
    assert len(pids) >= 2
    grader.kill()
    grader.wait()
    until = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)
    grader.stdout.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# ------------------------------------------------------------------------------------------- whose it is


@pytest.mark.parametrize(
    ("path", "student", "version"),
    [
        ("Ada Lovelace_4711_assignsubmission_file_/01_eigenspace_coding.ipynb", "Ada Lovelace_4711", ""),
        ("lovelaceada_1234_5678_01_eigenspace_coding.ipynb", "lovelaceada_1234", ""),
        ("lovelaceada_LATE_1234_5678_01_eigenspace_coding-2.ipynb", "lovelaceada_1234", "2"),
        ("Set 1_ada_attempt_2026-11-20-10-11-12_work.ipynb", "ada", "2026-11-20-10-11-12"),
        ("ada/01_eigenspace_coding.ipynb", "ada", ""),
        ("ada/01_eigenspace_coding/01_eigenspace_coding.ipynb", "ada", ""),
        ("ada.ipynb", "ada", ""),
        ("ada_01_eigenspace_coding.ipynb", "ada", ""),
        ("01_eigenspace_coding-ada.ipynb", "ada", ""),
    ],
)
def test_whose_a_file_is(path: str, student: str, version: str):
    assert submissions.owner(PurePosixPath(path), SET, None) == (student, version)


STRANGE = ["Zoë", "Zoé", "../../etc", "a b", "a-b", "-rf", "=cmd", "$(id)", "<b>", "a\nb", "", ".", "名前"]
STRANGE += ["x" * 300, "\ud800"]


def test_names_become_safe_and_stay_different():
    identities = [submissions.identity(name) for name in STRANGE]
    assert len(set(identities)) == len(STRANGE)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_@.+-]{0,79}", name) for name in identities)


# ------------------------------------------------------------------------------------------- reading


def content(*sources: str) -> bytes:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    return nbformat.writes(made).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\x89PNG\r\n",
        b"[]",
        b"null",
        b'{"nbformat": 4}',
        b'{"nbformat": 3, "worksheets": []}',
        b'{"nbformat": 4, "cells": {}}',
        b'{"nbformat": 4, "cells": [3]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": ["a", 3]}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": ["code"], "source": ""}]}',
        b"[" * 1_000_000,
        content("x = 1").decode().encode("utf-16"),
        content("#" * (submissions.CODE + 1)),
        json.dumps({"nbformat": 4, "cells": [{"cell_type": "raw", "source": ""}] * 3000}).encode(),
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_notebook_is_said_to_be_none(data: bytes):
    with pytest.raises(submissions.Unreadable):
        submissions.notebook(data)


def test_a_notebook_is_read_with_whatever_metadata_it_has():
    data = (
        b"\xef\xbb\xbf"
        + json.dumps(
            {
                "nbformat": 4,
                "cells": [{"cell_type": "code", "source": ["a = 1\n", "b = '\0'"], "metadata": 3}],
            }
        ).encode()
    )
    assert submissions.code_of(submissions.notebook(data)) == ["a = 1\nb = '\N{REPLACEMENT CHARACTER}'"]


@pytest.fixture
def empty(tmp_path: Path) -> course.Course:
    """A course in which something can be collected."""
    made = course.Course(tmp_path / "course")
    made.seed(make=True)
    return made


def take(made: course.Course, source: Path) -> dict[str, str]:
    return submissions.collect(made, SET, source, ["encode"])


GOOD, OTHER = content("def encode(W, mean, basis): return 1"), content("def encode(W, mean, basis): return 2")


def test_collecting_a_folder_leaves_nothing_out_and_follows_no_link(empty: course.Course, tmp_path: Path):
    folder = tmp_path / "in"
    for name in ("ada", "bob", "cyd", "dan", "eve", "fay", "gus"):
        (folder / name).mkdir(parents=True)
    (folder / "ada/work.ipynb").write_bytes(GOOD)
    (folder / "ada/notes.ipynb").write_bytes(content("x = 1"))  # without the functions: does not count
    (folder / "ada/.ipynb_checkpoints").mkdir()
    (folder / "ada/.ipynb_checkpoints/work-checkpoint.ipynb").write_bytes(OTHER)
    (folder / "bob/work.ipynb").symlink_to(folder / "ada/work.ipynb")
    (folder / "cyd/one.ipynb").write_bytes(GOOD)
    (folder / "cyd/two.ipynb").write_bytes(OTHER)
    (folder / "dan/one.ipynb").write_bytes(GOOD)
    (folder / "dan/copy.ipynb").write_bytes(GOOD)
    (folder / "eve/work.pdf").write_bytes(b"%PDF")
    (folder / "fay/work.ipynb").write_bytes(b"x" * (submissions.LARGEST + 1))
    os.mkfifo(folder / "gus/work.ipynb")
    (folder / "hal").symlink_to(folder / "ada")
    found = take(empty, folder)
    assert found == {
        "ada": "collected",
        "bob": "unreadable",
        "cyd": "several files",
        "dan": "collected",
        "eve": "unreadable",
        "fay": "unreadable",
        "gus": "unreadable",
        "hal": "unreadable",
    }
    entries = submissions.collected(empty, SET)
    assert "link" in entries["bob"]["words"] and "16 MB" in entries["fay"]["words"]
    chosen = submissions.read(empty, SET, entries["ada"])
    assert submissions.code_of(chosen) == ["def encode(W, mean, basis): return 1"]
    assert set(take(empty, folder).values()) == {f"{status}, as before" for status in found.values()}


def test_collecting_a_zip_writes_nowhere_else(empty: course.Course, tmp_path: Path):
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("Ada Lovelace_1_assignsubmission_file_/work.ipynb", GOOD)
        bundle.writestr("../../../tmp/slipped/work.ipynb", GOOD)
        bundle.writestr("/etc/slipped/work.ipynb", GOOD)
        bundle.writestr("Bob_2_assignsubmission_file_/bomb.ipynb", b" " * (submissions.LARGEST + 1))
        link = zipfile.ZipInfo("Cyd_3_assignsubmission_file_/work.ipynb")
        link.external_attr = 0o120777 << 16
        bundle.writestr(link, "/etc/passwd")
        bundle.writestr("lovelaceada_9_1_set.ipynb", OTHER)
        bundle.writestr("lovelaceada_9_2_set-1.ipynb", GOOD)
    found = take(empty, path)
    assert found == {
        "Ada Lovelace_1": "collected",
        "Bob_2": "unreadable",
        "Cyd_3": "unreadable",
        "etc": "collected",
        "lovelaceada_9": "collected",
        "tmp": "collected",
    }
    newest = submissions.collected(empty, SET)["lovelaceada_9"]
    assert newest["files"] == ["lovelaceada_9_1_set.ipynb", "lovelaceada_9_2_set-1.ipynb"]
    assert newest["sha256"] == course.checksum(GOOD)
    assert {p.name for p in tmp_path.iterdir()} == {"course", "export.zip"}


def test_a_folder_around_all_students_is_looked_through(empty: course.Course, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as bundle:
        bundle.writestr("submitted/ada/work.ipynb", GOOD)
        bundle.writestr("submitted/bob/work.ipynb", GOOD)
    assert set(take(empty, tmp_path / "export.zip")) == {"ada", "bob"}


def test_a_pattern_of_one_s_own(empty: course.Course, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/group7--ada--final.ipynb").write_bytes(GOOD)
    found = submissions.collect(empty, SET, tmp_path / "in", ["encode"], r"[^-]*--(?P<student>[^-]+)--.*")
    assert found == {"ada": "collected"}
    for pattern in ("(", "ada"):
        with pytest.raises(course.Stop, match="--pattern"):
            submissions.collect(empty, SET, tmp_path / "in", ["encode"], pattern)


# ------------------------------------------------------------------------------------------- a whole course


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    """A course with one released problem set."""
    if not NEEDS_NBGRADER.args[0]:
        folder = tmp_path_factory.mktemp("released")
        run("release", "01", cwd=folder)
        return folder
    pytest.skip(NEEDS_NBGRADER.kwargs["reason"])


@pytest.fixture
def at_work(released: Path, tmp_path: Path) -> Path:
    """A copy of that course, in which a test can do what it likes."""
    subprocess.run(["cp", "-a", released / "course", tmp_path], check=True)
    return tmp_path


def hand_in(folder: Path, student: str, **options) -> None:
    released = folder / f"course/release/{SET}/{SET}.ipynb"
    write(notebook(released, **options), folder / f"in/{student}/{SET}.ipynb")


def grade(folder: Path, *options: str) -> str:
    run("collect", "01", "in", cwd=folder)
    said = run("grade", "01", "--seconds", 4, *options, cwd=folder).stdout
    run("export", cwd=folder)
    return said


@NEEDS_NBGRADER
def test_release_has_nbgrader_s_format_and_no_answers(released: Path):
    made = nbformat.read(released / f"course/release/{SET}/{SET}.ipynb", as_version=4)
    about = {cell.metadata.nbgrader.grade_id: cell for cell in made.cells if "nbgrader" in cell.metadata}
    assert set(about) == {*FUNCTIONS.values(), *(f"{name}-answer" for name in FUNCTIONS.values())} | {
        "E2-derivation",
        "E4-derivation",
    }
    points = sum(cell.metadata.nbgrader.get("points", 0) for cell in about.values())
    assert points == 22
    for name, cell in about.items():
        assert cell.metadata.nbgrader.locked == (name in FUNCTIONS.values())
        assert ("return None" in cell.source) == name.endswith("-answer")
    assert "eigh" not in "".join(cell.source for name, cell in about.items() if name.endswith("-answer"))
    assert oct((released / "course/secret-seed").stat().st_mode)[-3:] == "600"


def test_a_problem_set_that_judges_wrongly_is_not_released():
    exercise = declared().E2
    function = exercise.functions[0]
    right = replace(declared().SET, exercises=(replace(exercise, functions=(function,)),))
    bad_reference = replace(function, reference=function.mistakes[0].answer)
    no_mistake = replace(function.mistakes[0], answer=function.alternatives[0])
    bad_mistake = replace(function, mistakes=(no_mistake,))
    for changed, said in [
        (bad_reference, "the right answer .* fails"),
        (bad_mistake, "the mistake .* passes"),
    ]:
        wrong = replace(declared().SET, exercises=(replace(exercise, functions=(changed,)),))
        for version in (right.stored(3), wrong.stored(3)):
            assert any(re.search(said, sentence) for sentence in commands.flaws(wrong, version))
    good = replace(declared().SET, exercises=(exercise,))
    assert not commands.flaws(good, good.stored(3))


@NEEDS_NBGRADER
@NEEDS_SANDBOX
def test_a_course_week(at_work: Path):
    hand_in(at_work, "ada", derivation=DERIVATION)
    hand_in(at_work, "bob", answers="wrong")
    hand_in(at_work, "cyd", answers="stub")
    (at_work / "in/dan").mkdir()
    (at_work / f"in/dan/{SET}.ipynb").write_text("{")
    no_centring = "def encode(W, mean, basis):\n    return basis.T @ W\n"
    hand_in(at_work, "eve", cells={"encode": no_centring})
    said = grade(at_work)
    assert "E2-encode: 1 passed, 2 wrong, 1 not attempted, 1 unreadable" in said
    assert "  dan: unreadable" in said
    rows = table(at_work / "course")
    assert [rows[s]["points_so_far"] for s in ("ada", "bob", "cyd", "eve")] == ["15", "0", "0", "12"]
    assert rows["ada"]["status"] == "to be read" and rows["ada"]["score"] == ""
    assert rows["cyd"]["status"] == "graded" and rows["cyd"]["score"] == "0"
    assert rows["dan"]["status"] == "unreadable" and rows["dan"]["score"] == ""

    run("feedback", cwd=at_work)
    pages = {p.parts[-3]: p.read_text() for p in (at_work / "course/feedback").rglob("*.html")}
    assert set(pages) == {"ada", "bob", "cyd", "dan", "eve"}
    assert "This is the code of W, not of W - mean" in pages["eve"]  # the hint of a known mistake
    assert "it is damaged: no JSON" in pages["dan"] and "unreadable: not marked yet" in pages["dan"]
    assert "No score: unreadable" in pages["dan"] and "(no score: unreadable)" in pages["dan"]
    assert "Score: 0.0" not in pages["dan"].partition("<ol>")[2]  # never a silent zero
    assert pages["ada"].count("o score: not read yet") == 4 and "Score: 4.0 / 4.0" in pages["ada"]
    assert "<script>alert" not in pages["ada"] and 'href="javascript' not in pages["ada"].lower()
    assert "$a&lt; b$" in pages["ada"] and "TAKEN OVER" in pages["ada"]

    mark_by_hand(at_work, "ada", {"E2-derivation": 2.5, "E4-derivation": 1})
    mark_by_hand(at_work, "dan", dict.fromkeys(FUNCTIONS.values(), 1.0))
    run("export", cwd=at_work)
    assert table(at_work / "course")["ada"]["score"] == "18.5"
    # a new hand-in with the same derivation: its marks stay, those of the program are new
    wrong_now = {"frame_rate": "def frame_rate(*_):\n    return 1.0\n"}
    hand_in(at_work, "ada", derivation=DERIVATION, cells=wrong_now)
    run("collect", "01", "in", cwd=at_work)
    run("export", cwd=at_work)
    assert table(at_work / "course")["ada"]["status"] == "not graded yet"  # no old score in the table
    grade(at_work)
    row = table(at_work / "course")["ada"]
    assert (row["score"], row["E2-derivation"], row["E4-frame_rate status"]) == ("17.5", "2.5", "wrong")
    assert table(at_work / "course")["dan"]["E2-encode status"] == "unreadable, marked by hand"
    # everything again: what a person gave is still there
    run("grade", "01", "--again", cwd=at_work)
    run("export", cwd=at_work)
    assert table(at_work / "course")["ada"]["E2-derivation"] == "2.5"
    # a new text has to be read again, and the old points are not the score
    hand_in(at_work, "ada", derivation="Another text.")
    grade(at_work)
    row = table(at_work / "course")["ada"]
    assert row["score"] == "" and row["status"] == "to be read again" and row["E2-derivation"] == "2.5"


def mark_by_hand(folder: Path, student: str, points: dict[str, float]) -> None:
    """Do what nbgrader's page does when a person enters points."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{folder}/course/gradebook.db") as book:
        for part, given in points.items():
            grade = book.find_grade(part, SET, SET, student)
            grade.manual_score, grade.needs_manual_grade = given, False
        book.db.commit()


@NEEDS_NBGRADER
@NEEDS_SANDBOX
def test_a_grade_that_fails_leaves_no_old_score(at_work: Path):
    hand_in(at_work, "ada")
    grade(at_work)
    assert table(at_work / "course")["ada"]["points_so_far"] == "15"
    hand_in(at_work, "ada", cells={"first": "import os\nos._exit(0)"})
    grade(at_work)
    row = table(at_work / "course")["ada"]
    assert row["points_so_far"] == "0" and row["status"].startswith("crashed")
    assert row["E1-eigenspace_fit"] == ""


@NEEDS_NBGRADER
@NEEDS_SANDBOX
def test_changed_metadata_changes_nothing(at_work: Path):
    made = notebook(at_work / f"course/release/{SET}/{SET}.ipynb", answers="wrong")
    for cell in made.cells:
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader.update(grade_id="E1-eigenspace_fit", points=1000, locked=False, grade=True)
            cell.metadata.nbgrader["solution"] = cell.cell_type == "code"
    del made.cells[3:6]
    made.cells.append(nbformat.v4.new_code_cell("check = print", metadata={"nbgrader": {"grade_id": ["x"]}}))
    write(made, at_work / f"in/ada/{SET}.ipynb")
    grade(at_work)
    row = table(at_work / "course")["ada"]
    assert (row["points_so_far"], row["max_score"]) == ("0", "22.0")


@NEEDS_NBGRADER
@pytest.mark.filterwarnings("ignore:Object of type")  # nbgrader's own way to make a submission
def test_a_release_that_would_lose_marks_is_refused(at_work: Path):
    from gennet.grading import gradebook

    made = nbformat.read(at_work / f"course/release/{SET}/{SET}.ipynb", as_version=4)
    fewer = nbformat.from_dict(made | {"cells": [c for c in made.cells if "E17-pca_loadings" not in str(c)]})
    kept = course.Course(at_work / "course")
    with gradebook.open_gradebook(kept) as book:
        with gradebook.transaction(book):  # nobody has handed in: the cell goes
            gradebook.enter(book, SET, fewer)
        assert "E17-pca_loadings" not in {cell.name for cell in book.find_notebook(SET, SET).grade_cells}
        with gradebook.transaction(book):
            gradebook.enter(book, SET, made)
            book.add_student("ada")
            book.add_submission(SET, "ada")
        with pytest.raises(course.Stop, match="E17-pca_loadings would vanish"), gradebook.transaction(book):
            gradebook.enter(book, SET, fewer)


@NEEDS_NBGRADER
@NEEDS_SANDBOX
def test_strange_names_come_through_to_the_table(at_work: Path):
    names = ["Zoë Müller", "=HYPERLINK(1)", "<img src=x onerror=alert(1)>", "a;b,c\"d'"]
    for name in names:
        hand_in(at_work, name)
    grade(at_work)
    rows = table(at_work / "course")
    assert len(rows) == len(names)
    for row in rows.values():
        assert row["points_so_far"] == "15" and not re.match(r"[=+@-]", row["student_id"] + row["name"])
        assert not set("<>") & set(row["student_id"] + row["name"])


@NEEDS_NBGRADER
@NEEDS_SANDBOX
def test_killed_at_any_moment_nothing_is_lost(at_work: Path):
    for student in ("ada", "bob", "cyd", "dan"):
        hand_in(at_work, student, answers="right" if student < "c" else "wrong")
    run("collect", "01", "in", cwd=at_work)
    line = [sys.executable, "-m", "gennet.grading", "grade", "01", "--workers", "1"]
    results, shown = at_work / "course/results", at_work / "course/autograded"
    for wanted, folder in [
        (1, results),
        (2, shown),
        (3, results),
    ]:  # by then so many are done, the rest is not
        running = subprocess.Popen(line, cwd=at_work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while (
            running.poll() is None and len([p for p in folder.rglob("*.*") if p.suffix != ".part"]) < wanted
        ):
            time.sleep(0.001)
        running.send_signal(signal.SIGKILL)
        running.wait()
        look_into(at_work / "course/gradebook.db")
        run("export", cwd=at_work)
        for row in table(at_work / "course").values():
            assert row["status"] in ("not graded yet", "graded", "to be read")
    run("grade", "01", cwd=at_work)
    run("export", cwd=at_work)
    points = {student: row["points_so_far"] for student, row in table(at_work / "course").items()}
    assert points == {"ada": "15", "bob": "15", "cyd": "0", "dan": "0"}
    assert "0 submissions graded now, 4 of 4 have their marks" in run("grade", "01", cwd=at_work).stdout


def look_into(path: Path) -> None:
    """Require that a gradebook is whole: every submission has all its parts, all marked or none."""
    with sqlite3.connect(path) as book:
        assert book.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        counts = book.execute(
            "SELECT COUNT(g.id), SUM(g.auto_score IS NULL) FROM submitted_notebook n "
            "LEFT JOIN grade g ON g.notebook_id = n.id GROUP BY n.id"
        ).fetchall()
        empty = book.execute(
            "SELECT COUNT(*) FROM submitted_assignment s LEFT JOIN submitted_notebook n "
            "ON n.assignment_id = s.id WHERE n.id IS NULL"
        ).fetchone()
    assert empty == (0,) and all(parts == 9 and unmarked in (0, 2, 9) for parts, unmarked in counts)


@NEEDS_NBGRADER
def test_two_commands_do_not_write_at_the_same_time(at_work: Path):
    with course.Course(at_work / "course").alone():
        done = run("grade", "01", cwd=at_work, check=False)
    assert done.returncode == 1 and "Another command is at work" in done.stderr


@NEEDS_NBGRADER
def test_without_a_sandbox_only_if_told(at_work: Path, monkeypatch):
    hand_in(at_work, "ada")
    run("collect", "01", "in", cwd=at_work)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))  # no bwrap there
    done = run("grade", "01", cwd=at_work, check=False)
    assert done.returncode == 1 and "There is no bubblewrap" in done.stderr and "Traceback" not in done.stderr
    assert not (at_work / "course/results").exists()
    done = run("grade", "01", "--no-sandbox", cwd=at_work)
    assert "WARNING: --no-sandbox runs every submission with your rights" in done.stderr
    run("export", cwd=at_work)
    assert table(at_work / "course")["ada"]["points_so_far"] == "15"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("collect", "01", "."), "There is no course in course"),
        (("release", "99"), "There is no problem set '99'"),
        (("export",), "There is no course in course"),
        (("grade", "01"), "has not been released"),
        (("formgrader",), "There is no course in course"),
    ],
)
@NEEDS_NBGRADER
def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], said: str):
    done = run(*arguments, cwd=tmp_path, check=False)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


def test_without_nbgrader_it_is_said_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "nbgrader", None)
    assert commands.main(["grade", "01"]) == 1
    assert "nbgrader is not installed" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------- the page


@NEEDS_NBGRADER
@NEEDS_SANDBOX
def test_the_page_for_marking_shows_takes_points_and_runs_nothing(at_work: Path):
    hand_in(at_work, "ada", derivation=DERIVATION)
    hand_in(at_work, "bob", cells={"first": "open('/tmp/gennet-was-run', 'w').close()"})
    grade(at_work)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, "-m", "gennet.grading", "formgrader", "--no-browser", "--port", str(port)]
    quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    server = subprocess.Popen(line, cwd=at_work, env={**os.environ, "JUPYTER_TOKEN": "t"}, **quiet)
    try:
        page = Page(f"http://127.0.0.1:{port}")
        (ada, _) = sorted(page.get(f"api/submitted_notebooks/{SET}/{SET}"), key=lambda each: each["student"])
        shown = page.get(f"submissions/{ada['id']}/")
        assert "TAKEN OVER" in shown and "<script>alert" not in shown
        grades = {each["name"]: each["id"] for each in page.get(f"api/grades?submission_id={ada['id']}")}
        page.get(f"api/grade/{grades['E2-derivation']}", "PUT", {"manual_score": 3, "extra_credit": None})
        page.get(f"api/submission/{SET}/bob/autograde", "POST", {})
    finally:
        server.terminate()
        server.wait()
    run("export", cwd=at_work)
    assert table(at_work / "course")["ada"]["E2-derivation"] == "3"
    assert table(at_work / "course")["bob"]["points_so_far"] == "15"
    assert not Path("/tmp/gennet-was-run").exists()


class Page:
    """nbgrader's page, as a browser speaks with it."""

    def __init__(self, address: str) -> None:
        self.address = f"{address}/formgrader/"
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        until = time.monotonic() + 60
        while True:
            try:
                self.opener.open(f"{address}/tree?token=t").read()
                return
            except urllib.error.URLError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def get(self, path: str, method: str = "GET", data: dict | None = None):
        (jar,) = (h.cookiejar for h in self.opener.handlers if hasattr(h, "cookiejar"))
        token = next((cookie.value for cookie in jar if cookie.name == "_xsrf"), "")
        request = urllib.request.Request(
            self.address + path,
            method=method,
            data=json.dumps(data).encode() if data is not None else None,
            headers={"X-XSRFToken": token, "Content-Type": "application/json"},
        )
        with self.opener.open(request) as answer:
            text = answer.read().decode()
        return json.loads(text) if path.startswith("api") else text
