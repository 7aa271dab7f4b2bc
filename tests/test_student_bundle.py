"""The zip for students: nothing in it gives an answer away, and an exercise works in it.

It is made as `make student` makes it, unpacked, searched, and run with its own library.
"""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from gennet.exercises import declare

ROOT = Path(__file__).resolve().parent.parent
DECLARED = sorted((ROOT / "solutions/exercises").glob("*.py"))


@pytest.fixture(scope="module")
def make_student():
    spec = importlib.util.spec_from_file_location("make_student", ROOT / "lib/make_student.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ROOT / "lib"))  # where its neighbour make_notebooks lies
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "lib"))
    return module


@pytest.fixture(scope="module")
def bundle(make_student, tmp_path_factory) -> Path:
    """The unpacked zip."""
    folder = tmp_path_factory.mktemp("student")
    make_student.make(folder / "student.zip")
    with zipfile.ZipFile(folder / "student.zip") as packed:
        packed.extractall(folder)
    return folder / "gennet-student"


def texts(folder: Path) -> dict[str, str]:
    """Return the words of every file of a folder, by name; of a notebook, those of its cells and outputs."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix not in {".npz", ".png", ".gz"}:
            text = path.read_text(encoding="utf-8", errors="replace")
            if path.suffix in {".ipynb", ".json"}:
                text = "\n".join(strings(json.loads(text)))
            found[path.relative_to(folder).as_posix()] = text
    return found


def strings(tree) -> list[str]:
    if isinstance(tree, str):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return [text for part in parts for text in strings(part)]


def squeezed(source: str) -> str:
    return re.sub(r"\s+", "", source)


def answers() -> dict[str, str]:
    """Return the body of every function of the declarations, without its docstring and its spaces."""
    found = {}
    for path in DECLARED:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                found[node.name] = squeezed("\n".join(map(ast.unparse, body)))
    return found


def leaks(files: dict[str, str]) -> list[str]:
    """Say which declared functions stand in which files: by their bodies, or by the names of the mistakes."""
    found = []
    for file, text in files.items():
        squeezed_text = squeezed(text)
        for name, body in answers().items():
            if len(body) > 60 and body in squeezed_text:
                found.append(f"{file} has the body of {name}")
            if re.search(rf"\bdef {name}\(", text) and not re.search(STUB.format(name=name), text):
                found.append(f"{file} defines {name}")
    return found


STUB = r'def {name}\([^\n]*\n    """[^\n]*"""\n    return None  # your answer'
LIBRARY = re.compile(
    r"^lib/gennet/(?!exercises/)|^chapters/\d"
)  # chapters and library teach; sets must not tell


def test_bundle_has_what_work_needs(bundle):
    files = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    needed = {"README.md", "LICENSE", "Makefile", "pyproject.toml", "constraints.txt", "environment.yml"}
    needed |= {"lib/bootstrap.py", "chapters/00_start_here.ipynb", "lib/gennet/__init__.py", "data/README.md"}
    for path in DECLARED:
        needed.add(f"chapters/exercises/{path.stem}.ipynb")
        needed |= {f"lib/gennet/exercises/cases/{path.stem}.{ending}" for ending in ("json", "npz")}
    needed |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "chapters").glob("*.ipynb")}
    assert needed <= files


def test_bundle_has_nothing_else(bundle):
    for path in bundle.rglob("*"):
        parts = path.relative_to(bundle).parts
        assert not {"solutions", "tests", "text", "__pycache__", "build"} & set(parts), path
        assert not any(part.startswith(".") for part in parts), path
        assert not path.name.startswith("make_"), path


def test_bundle_gives_no_answer_away(bundle):
    files = texts(bundle)
    assert len(answers()) > 50 and max(map(len, answers().values())) > 100, "there is something to be found"
    exercise_files = {name: text for name, text in files.items() if not LIBRARY.match(name)}
    assert not leaks(exercise_files)
    for name, text in files.items():
        assert "@mistake" not in text and not re.search(r"\b(PUBLIC_)?SEED\b", text), name
    for path in DECLARED:
        source = path.read_text(encoding="utf-8")
        names = re.findall(r"^def (\w+)\(", source, flags=re.MULTILINE)
        assert names
        for mistake in re.findall(r"^@mistake\(.*?^def (\w+)\(", source, flags=re.MULTILINE | re.DOTALL):
            for name, text in exercise_files.items():
                assert f"def {mistake}(" not in text, f"{name} has the mistake {mistake}"


def test_stored_arrays_are_plain_and_hold_no_more_than_cases(bundle):
    for path in bundle.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays:
                assert arrays[name].dtype.kind in "biufcU"
                if "exercises/cases" in path.as_posix():
                    assert re.search(r"/cases/\d+/(arguments|expected|mistaken)/", name), name


@pytest.mark.parametrize(
    "place", ["README.md", "chapters/exercises/x.ipynb", "lib/gennet/exercises/cases/x.json"]
)
def test_planted_answer_is_found(bundle, tmp_path, place):
    """The search would notice: one reference, spaced otherwise, in a file of the bundle."""
    source = DECLARED[0].read_text(encoding="utf-8")
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    reference = next(node for node in nodes if node.name == "eigenspace_fit")
    planted = textwrap.indent("\n".join(map(ast.unparse, reference.body[1:])), "        ")
    if place.endswith(".ipynb"):
        cell = nbformat.v4.new_code_cell(f"def my_fit(W, D):\n{planted}")
        planted = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))
    elif place.endswith(".json"):
        planted = json.dumps({"hints": [planted]})
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text(planted, encoding="utf-8")
    assert leaks(texts(tmp_path)) == [f"{place} has the body of eigenspace_fit"]


def test_solved_notebook_is_not_handed_out(make_student, monkeypatch, tmp_path):
    assert make_student.solved() == [], "run `make notebooks`"
    name = f"exercises/{DECLARED[0].stem}"
    copied = [tmp_path / f"chapters/text/{name}.md", tmp_path / f"chapters/{name}.ipynb"]
    for copy in copied:
        copy.parent.mkdir(parents=True)
        shutil.copy(ROOT / copy.relative_to(tmp_path), copy)
    monkeypatch.setattr(make_student, "ROOT", tmp_path)
    monkeypatch.setattr(make_student, "pairs", lambda: [tuple(copied)])
    assert make_student.solved() == []
    worked_in = copied[1].read_text(encoding="utf-8").replace("return None  # your answer", "return 42", 1)
    copied[1].write_text(worked_in, encoding="utf-8")
    with pytest.raises(SystemExit, match="perhaps with answers in them"):
        make_student.main()


def test_same_course_gives_the_same_zip(make_student, tmp_path):
    for name in ("one", "other"):
        make_student.make(tmp_path / f"{name}.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()


SOLUTION = """
def eigenspace_fit(W, D):
    mean = W.mean(axis=1)
    basis, s, _ = np.linalg.svd(W - mean[:, None], full_matrices=False)
    return mean, basis[:, :D], s[:D] ** 2 / W.shape[1]
"""


def test_exercise_works_in_the_bundle(bundle):
    """One answer is written into the notebook; it runs with the zip's library and keeps progress."""
    path = bundle / "chapters/exercises/01_eigenspace_coding.ipynb"
    notebook = nbformat.read(path, as_version=4)
    stub = next(cell for cell in notebook.cells if cell.source.startswith("def eigenspace_fit"))
    stub.source = SOLUTION
    notebook.cells.append(nbformat.v4.new_code_cell("import gennet; print(gennet.__file__)"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GENNET")}
    environment["PYTHONPATH"] = str(bundle / "lib")
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    client.execute(env=environment)
    outputs = [output.text for cell in notebook.cells for output in cell.get("outputs", [])]
    assert outputs[-1].strip() == str(bundle / "lib/gennet/__init__.py")
    said = "".join(outputs)
    declared = declare.load(ROOT / "solutions/exercises")[0].exercises
    functions, points = sum(len(e.functions) for e in declared), sum(e.points for e in declared)
    assert "E1 eigenspace_fit: passed." in said and said.count("not attempted yet.") == functions - 1
    assert f"1 of {len(declared)} exercises passed, {declared[0].points} of {points} points" in said
    progress = json.loads((bundle / ".gennet/progress.json").read_text(encoding="utf-8"))
    assert list(progress["exercises"]) == ["E1"]


def test_bundle_can_be_installed(bundle, tmp_path):
    """What `make lab` installs can be built from what is in the zip, and has the cases in it."""
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=bundle, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "gennet/exercises/cases/01_eigenspace_coding.npz" in names
    assert not [name for name in names if "solutions" in name]
