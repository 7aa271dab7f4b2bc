"""Submissions that try to gain points, to harm others or to reach the host: none does.

Every file of `submissions` is one: its first lines say what it tries and what must come of it. They are
graded together, in one run, with small limits; an honest submission lies among them.
"""

import contextlib
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from grading import FUNCTIONS, NEEDS_NBGRADER, NEEDS_SANDBOX, ROOT, SET, notebook, parsed, run, table, write

from gennet.grading import commands
from gennet.grading.course import Course
from gennet.grading.sandbox import Limits

ATTACKS = sorted((ROOT / "tests/submissions").glob("*.py"))
POINTS = {"eigenspace_fit": 4, "encode": 1, "decode": 1, "error_energy": 2, "frame_rate": 1, "quantise": 3}
POINTS |= {"pca_loadings": 3}
pytestmark = [NEEDS_NBGRADER, NEEDS_SANDBOX]


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """Grade all attacks in one run, while somebody listens on this machine."""
    folder = tmp_path_factory.mktemp("attacks")
    run("release", "01", cwd=folder)
    released = folder / f"course/release/{SET}/{SET}.ipynb"
    for attack in ATTACKS:
        answers, _, cells = parsed(attack)
        write(notebook(released, answers, cells), folder / f"in/{attack.stem}/{SET}.ipynb")
    write(notebook(released), folder / f"in/honest/{SET}.ipynb")
    run("collect", "01", "in", cwd=folder)
    heard = []
    listeners = [socket.create_server(("127.0.0.1", 48_613)), socket.socket(socket.AF_UNIX)]
    listeners[1].bind("\0gennet-test")
    listeners[1].listen()
    for listener in listeners:
        threading.Thread(target=lambda at=listener: heard.append(at.accept()), daemon=True).start()
    limits = Limits(seconds=2, processor=8, wall=20, memory=600 << 20)
    with pytest.MonkeyPatch.context() as patch, (folder / "said").open("w") as said:
        patch.setenv("GENNET_TEST_SECRET", "x")
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            commands.grade(Course(folder / "course"), "01", limits, safe=True, workers=2, again=False)
    assert not heard
    for listener in listeners:
        listener.close()
    run("export", "01", cwd=folder)
    return folder


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda path: path.stem)
def test_attack(course: Path, attack: Path):
    _, expected, _ = parsed(attack)
    row = table(course / "course")[attack.stem]
    given = {name: row[f"{name} status"] for name in expected}
    # which of two limits is reached first depends on the machine: "out of memory or timed out"
    assert {n: s for n, s in given.items() if s not in expected[n].split(" or ")} == {}
    for function, name in FUNCTIONS.items():
        status = given[name]
        if status in ("passed", "wrong", "raised an exception", "not attempted"):
            assert float(row[name]) == (POINTS[function] if status == "passed" else 0)
        else:  # no mark, never a silent zero
            assert row[name] == "" and status in row["status"] and row["score"] == ""


def test_the_honest_one_among_them_is_not_harmed(course: Path):
    row = table(course / "course")["honest"]
    assert all(row[f"{name} status"] == "passed" for name in FUNCTIONS.values())
    assert float(row["points_so_far"]) == sum(POINTS.values())


def test_nothing_stays_behind(course: Path):
    listed = subprocess.run(["ps", "-eo", "ppid=,args="], capture_output=True, text=True).stdout
    orphans = [line for line in listed.splitlines() if line.split()[0] == "1" and "gennet.grading" in line]
    assert not orphans
    assert not Path("/tmp/harm").exists() and not Path("/tmp/seen").exists()
    assert {path.name for path in course.iterdir()} == {"course", "in", "said"}


def test_what_was_told_about_hidden_inputs_is_not_shown(course: Path):
    from gennet.grading import gradebook

    gradebook.feedback(Course(course / "course"), SET, "right_at_first")
    page = (course / f"course/feedback/right_at_first/{SET}/{SET}.html").read_text()
    assert "raised an exception" in page and "It is right on the inputs that" in page
    results = "".join(path.read_text() for path in (course / "course/results").rglob("*.json"))
    assert "TOLD [" not in page + results + (course / "said").read_text()


def test_every_status_that_is_no_mark_is_in_the_gradebook(course: Path):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course}/course/gradebook.db") as book:
        for student, status in [("os_exit", "crashed"), ("forged_verdict", "tampered")]:
            (kept,) = book.find_submission(SET, student).notebooks
            grades = [grade for grade in kept.grades if grade.name in FUNCTIONS.values()]
            assert all(grade.auto_score is None and grade.needs_manual_grade for grade in grades)
            comments = {comment.name: comment.auto_comment for comment in kept.comments}
            assert {comments[f"{name}-answer"] for name in FUNCTIONS.values()} == {status}
