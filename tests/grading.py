"""What the tests of grading share: notebooks made of small files, a course, the command line."""

import ast
import contextlib
import copy
import csv
import functools
import importlib.util
import inspect
import io
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest

from gennet.grading import commands, sandbox

ROOT = Path(__file__).resolve().parent.parent
SET = "01_eigenspace_coding"
NEEDS_NBGRADER = pytest.mark.skipif(
    importlib.util.find_spec("nbgrader") is None,
    reason="nbgrader is not installed: pip install -c constraints.txt -e '.[instructor]'",
)


@functools.cache
def sandbox_works() -> bool:
    """Tell whether bubblewrap can be used on this machine."""
    with sandbox.staged() as stage:
        try:
            sandbox.examine(stage, [])
        except sandbox.NoSandbox:
            return False
    return True


NEEDS_SANDBOX = pytest.mark.skipif(
    not sandbox_works(), reason="bubblewrap does not work here: apt-get install bubblewrap"
)


@functools.cache
def declared():
    """Load the declarations of the problem set that the tests use."""
    spec = importlib.util.spec_from_file_location("set_01", ROOT / f"solutions/exercises/{SET}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FUNCTIONS = {
    function.name: f"{exercise.id}-{function.name}"
    for exercise in declared().SET.exercises
    for function in exercise.functions
}


class Done(NamedTuple):
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object, cwd: Path, check: bool = True) -> Done:
    """Run `python -m gennet.grading` in a folder (in this process: its imports take seconds)."""
    said, wrong = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(said), contextlib.redirect_stderr(wrong):
        code = commands.main([str(argument) for argument in arguments])
    assert not check or code == 0, said.getvalue() + wrong.getvalue()
    return Done(code, said.getvalue(), wrong.getvalue())


def answer(function: str, kind: str) -> str:
    """Write an answer cell: right, wrong, the stub, or none."""
    if kind == "right":
        return inspect.getsource(getattr(declared(), function))
    if kind == "wrong":
        return f"def {function}(*_, **__):\n    return 42\n"
    return ""


def notebook(
    released: Path, answers: str = "right", cells: dict[str, str] | None = None, derivation: str = ""
) -> nbformat.NotebookNode:
    """Make a submission: `cells` has the source of answers by name, or of cells that come first or last."""
    made = copy.deepcopy(nbformat.read(released, as_version=4))
    cells = cells or {}
    for cell in made.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution") and cell.cell_type == "code":
            function = about["grade_id"].split("-")[1]
            if function in cells or answers != "stub":
                cell.source = cells.get(function, answer(function, answers))
        elif about.get("solution") and derivation:
            cell.source = derivation
    if "first" in cells:
        made.cells.insert(0, nbformat.v4.new_code_cell(cells["first"]))
    if "last" in cells:
        made.cells.append(nbformat.v4.new_code_cell(cells["last"]))
    return made


def parsed(path: Path) -> tuple[str, dict[str, str], dict[str, str]]:
    """Read a file of `submissions`: the kind of its other answers, expected statuses, cells."""
    text = path.read_text(encoding="utf-8")
    says = ast.get_docstring(ast.parse(text))
    answers = re.search(r"^answers: (.*)$", says, re.MULTILINE)[1]
    others = re.search(r"^expected: (.*)$", says, re.MULTILINE)[1]
    each = dict(re.findall(r"^expected (\w+): (.*)$", says, re.MULTILINE))
    parts = re.split(r"^# %% (\w+)$", text, flags=re.MULTILINE)[1:]
    cells = {name: source.strip() + "\n" for name, source in zip(parts[::2], parts[1::2], strict=True)}
    return answers, {FUNCTIONS[name]: each.get(name, others) for name in FUNCTIONS}, cells


def write(made, path: Path) -> None:
    """Write a notebook."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, path)


def table(course: Path) -> dict[str, dict[str, str]]:
    """Read the exported table, by student."""
    with (course / f"grades-{SET}.csv").open(encoding="utf-8", newline="") as file:
        return {row["student_id"]: row for row in csv.DictReader(file)}
