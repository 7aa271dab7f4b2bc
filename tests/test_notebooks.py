"""The notebooks are what their texts say, were executed from top to bottom, and claim nothing uncomputed.

Executing them again and comparing outputs is nbval's work (`make test`); here are the things it cannot see.
"""

import base64
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from gennet.plots import plt, png

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("make_notebooks", ROOT / "lib/make_notebooks.py")
make_notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_notebooks)

PAIRS = make_notebooks.pairs()
LONGEST_CELL = 20  # lines; plumbing belongs in the library
WIDEST_LINE = 96  # characters: more must be scrolled on a small screen
LARGEST_NOTEBOOK = 2_000_000  # bytes
UNCHECKED = {"nbval-ignore-output", "nbval-skip", "raises-exception"}  # tags that would hide an output

each_pair = pytest.mark.parametrize("text, notebook", PAIRS, ids=[notebook.stem for _, notebook in PAIRS])


@each_pair
def test_notebook_has_the_cells_of_its_text(text: Path, notebook: Path):
    assert text.exists(), f"{notebook.relative_to(ROOT)} has no text {text.relative_to(ROOT)}"
    assert notebook.exists(), f"{text.relative_to(ROOT)} has no notebook: run `make notebooks`"
    wanted = make_notebooks.content(make_notebooks.from_text(text))
    stored = make_notebooks.content(nbformat.read(notebook, as_version=4))
    assert stored == wanted, f"{notebook.relative_to(ROOT)} differs from its text: run `make notebooks`"


@each_pair
def test_every_cell_was_executed_in_order(text: Path, notebook: Path):
    counts = [c.execution_count for c in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), "a cell was not run: `make notebooks`"


@each_pair
def test_outputs_are_clean(text: Path, notebook: Path):
    for cell in code_cells(notebook):
        assert cell.source.strip(), "an empty code cell"
        assert not set(cell.metadata.get("tags", [])) & UNCHECKED
        assert "NBVAL_" not in cell.source, "a cell that hides its output from the check"
        for output in cell.outputs:
            assert output.output_type != "error", f"the cell raises {output.get('ename')}:\n{cell.source}"
            assert output.get("name") != "stderr", f"the cell warns:\n{output.get('text')}"
            path = re.search(r"(/home/|/root/|/tmp/|/work/|/Users/|[A-Z]:\\\\)\S*", shown_text(output))
            assert not path, f"an output names a path of the author's machine: {path[0]}"


@each_pair
def test_pictures_have_words(text: Path, notebook: Path):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                words = output.data["text/plain"]
                assert words.startswith(("[Figure] ", "[Panel] ")) and len(words) > 40, cell.source


@each_pair
def test_notebook_reads_well(text: Path, notebook: Path):
    first = nbformat.read(notebook, as_version=4).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# "), "a notebook opens with its title"
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= LONGEST_CELL, f"a long cell:\n{cell.source}"
        assert max(map(len, cell.source.splitlines())) <= WIDEST_LINE, f"a wide cell:\n{cell.source}"
    assert notebook.stat().st_size < LARGEST_NOTEBOOK


@each_pair
def test_numbers_in_prose_are_computed_above(text: Path, notebook: Path):
    unfounded = uncomputed_numbers(nbformat.read(notebook, as_version=4))
    assert not unfounded, f"numbers in prose that no cell above shows: {unfounded}"


def code_cells(notebook: Path) -> list:
    return [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]


def shown_text(output) -> str:
    """Return the words of an output: streams, plain text, HTML and Markdown."""
    kinds = ("text/plain", "text/html", "text/markdown")
    return output.get("text", "") + " ".join(output.get("data", {}).get(kind, "") for kind in kinds)


def uncomputed_numbers(notebook) -> list[str]:
    """Find decimal numbers and percentages of the prose that stand in no code or output above them."""
    above, unfounded = "", []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            above += cell.source + " ".join(map(shown_text, cell.outputs))
            continue
        prose = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", " ", cell.source, flags=re.DOTALL)
        prose = re.sub(r"\\tag\{[^}]*\}|\(?68\.\d+\)?(?:[a-d]\b)?", " ", prose)  # numbers of equations
        prose = re.sub(r"^#.*|Sections? \d+\.\d+", " ", prose, flags=re.MULTILINE)  # headings
        for number in re.findall(r"(?<![\w.])(\d+\.\d+)(?![\w.]*\d)|(?<![\w.])(\d+)\s?%", prose):
            digits = number[0] or number[1]
            if not re.search(rf"(?<![\d.]){re.escape(digits)}(?!\d)", above):
                unfounded.append(digits)
    return unfounded


def test_uncomputed_numbers_are_found():
    code = nbformat.v4.new_code_cell(
        "print(x)", outputs=[nbformat.v4.new_output("stream", text="0.25 and 62 %")]
    )
    prose = nbformat.v4.new_markdown_cell("By (68.20) it is 0.25, not 0.26; 62 % or 63 %; see `1.5`.")
    notebook = nbformat.v4.new_notebook(cells=[code, prose])
    assert uncomputed_numbers(notebook) == ["0.26", "63"]
    assert uncomputed_numbers(nbformat.v4.new_notebook(cells=[prose, code])) == ["0.25", "0.26", "62", "63"]


@pytest.fixture
def small_course(tmp_path: Path) -> Path:
    """A course of one chapter, made as `make notebooks` makes it, with a figure and a number."""
    (tmp_path / "lib").mkdir()
    shutil.copy(ROOT / "lib/make_notebooks.py", tmp_path / "lib")
    for room in ("chapters/text", "solutions/text", "tests"):
        (tmp_path / room).mkdir(parents=True)
    for check in ("test_notebooks.py", "conftest.py", "traceability.py", "pictures.py"):
        if (ROOT / "tests" / check).exists():
            shutil.copy(ROOT / "tests" / check, tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "chapters/text/01_small.md").write_text(SMALL_CHAPTER, encoding="utf-8")
    made = subprocess.run(
        [sys.executable, "lib/make_notebooks.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert made.returncode == 0, made.stderr
    return tmp_path


SMALL_CHAPTER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
---

# A small chapter

```{code-cell}
print(1 / 4)
```

The quarter is 0.25.

```{code-cell}
import matplotlib.pyplot as plt
from gennet import plots, widgets

def draw(power):
    figure, axis = plt.subplots()
    axis.plot([0, 1, 2], [x**power for x in (0, 1, 2)])
    return figure, f"power {power}: the last point lies at {2**power} units"

figure, _ = draw(2)
plots.show(figure, "A parabola through three points, to see whether pictures are compared.")
```

```{code-cell}
widgets.Panel(draw, power=widgets.whole_number("Power", 1, 3, 2))
```
"""


def checks(course: Path) -> subprocess.CompletedProcess:
    """Run on a small course what `make test` runs on the whole."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["--nbval", "--nbval-current-env", "tests/test_notebooks.py", "chapters"]
    command += ["-k", "not uncomputed_numbers_are_found and not small_course"]
    return subprocess.run(command, cwd=course, capture_output=True, text=True, timeout=300)


def change_output(course: Path, old: str, new: str) -> None:
    notebook = course / "chapters/01_small.ipynb"
    text = notebook.read_text(encoding="utf-8")
    assert old in text
    notebook.write_text(text.replace(old, new), encoding="utf-8")


def test_small_course_passes_and_is_made_alike_twice(small_course: Path):
    notebook = small_course / "chapters/01_small.ipynb"
    first = notebook.read_bytes()
    assert checks(small_course).returncode == 0, checks(small_course).stdout
    command = [sys.executable, "lib/make_notebooks.py", "01_small"]
    subprocess.run(command, cwd=small_course, check=True, capture_output=True, timeout=120)
    assert notebook.read_bytes() == first


def test_small_course_with_a_wrong_number_fails(small_course: Path):
    change_output(small_course, '"0.25\\n"', '"0.26\\n"')
    done = checks(small_course)
    assert done.returncode == 1 and "0.26" in done.stdout


def test_small_course_with_a_cell_never_run_fails(small_course: Path):
    notebook = nbformat.read(small_course / "chapters/01_small.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if cell.source == "print(1 / 4)")
    cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, small_course / "chapters/01_small.ipynb")
    done = checks(small_course)
    assert done.returncode == 1 and "test_every_cell_was_executed_in_order" in done.stdout


def test_small_course_with_an_edited_text_fails(small_course: Path):
    text = small_course / "chapters/text/01_small.md"
    text.write_text(text.read_text(encoding="utf-8").replace("The quarter", "A quarter"), encoding="utf-8")
    done = checks(small_course)
    assert done.returncode == 1 and "run `make notebooks`" in done.stdout


def test_small_course_with_another_picture_fails(small_course: Path):
    notebook = nbformat.read(small_course / "chapters/01_small.ipynb", as_version=4)
    figure = next(cell for cell in notebook.cells if "plots.show" in cell.source).outputs[0]
    other, axis = plt.subplots()
    axis.plot([0, 1, 2], [0, 1, 8])
    figure.data["image/png"] = base64.b64encode(png(other)).decode()
    nbformat.write(notebook, small_course / "chapters/01_small.ipynb")
    done = checks(small_course)
    assert done.returncode == 1 and "picture" in done.stdout
