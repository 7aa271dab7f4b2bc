"""Make the notebooks from their texts: convert with jupytext, execute, store the outputs.

An author edits ``chapters/text/NN_name.md`` (MyST Markdown) and runs ``make notebooks``; a student sees
only ``chapters/NN_name.ipynb``. Only notebooks whose text changed are made, or those named on the
command line. Executing twice gives the same file, byte for byte, as long as the outputs are the same.
"""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from tqdm.auto import tqdm

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("chapters", "solutions")
os.environ["GENNET_HOME"] = "off"  # notebooks are made without anybody's progress


def pairs() -> list[tuple[Path, Path]]:
    """List every (text, notebook), whether or not both exist."""
    texts = {text for room in ROOMS for text in (ROOT / room / "text").rglob("*.md")}
    texts |= {
        ROOT / room / "text" / notebook.relative_to(ROOT / room).with_suffix(".md")
        for room in ROOMS
        for notebook in (ROOT / room).rglob("*.ipynb")
        if ".ipynb_checkpoints" not in notebook.parts
    }
    return [(text, notebook_of(text)) for text in sorted(texts)]


def notebook_of(text: Path) -> Path:
    """Name the notebook of a text: the same name, beside the folder ``text``."""
    room = next(parent for parent in text.parents if parent.name == "text")
    return room.parent / text.relative_to(room).with_suffix(".ipynb")


def content(notebook: nbformat.NotebookNode) -> list[tuple]:
    """Return what a text and its notebook must agree on: kind, source and tags of each cell."""
    return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells]


def from_text(text: Path) -> nbformat.NotebookNode:
    """Convert a text to a notebook without outputs; a cell's id follows from its source."""
    notebook = jupytext.read(text)
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: set[str] = set()
    for cell in notebook.cells:
        identity = digest(cell.source)[:8]
        while identity in seen:
            identity = digest(identity)[:8]
        seen.add(identity)
        cell.id = identity
    return notebook


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Execute in a fresh kernel of this Python; keep outputs and widgets, no times, no random names."""
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    notebook.metadata["language_info"] = {"name": "python"}
    return with_steady_widget_names(notebook)


def with_steady_widget_names(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Replace the random names of widget models by names in the order of their creation."""
    state = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {})
    text = nbformat.writes(notebook)
    for number, name in enumerate(state.get("state", {})):
        text = text.replace(name, digest(f"widget {number}")[:32])
    return nbformat.reads(text, as_version=4)


def digest(text: str) -> str:
    """Return the SHA-1 of a text, in hexadecimal digits."""
    return hashlib.sha1(text.encode()).hexdigest()


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook so that an interrupted run leaves the old one whole."""
    nbformat.validate(notebook)
    draft = path.with_suffix(".ipynb.part")
    draft.write_text(
        json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
    )
    draft.replace(path)


def is_made(text: Path, notebook: Path) -> bool:
    """Tell whether a notebook has the cells of its text and was executed."""
    if not notebook.exists():
        return False
    stored = nbformat.read(notebook, as_version=4)
    executed = all(cell.execution_count for cell in stored.cells if cell.cell_type == "code")
    return executed and content(stored) == content(from_text(text))


def main(names: list[str]) -> int:
    """Make the notebooks whose names contain one of ``names``, or those whose text changed."""
    chosen = [
        (text, notebook)
        for text, notebook in pairs()
        if (any(re.search(name, str(notebook)) for name in names) if names else not is_made(text, notebook))
    ]
    if not chosen:
        print("Every notebook is made from its text." if not names else f"No notebook is called {names}.")
        return int(bool(names))
    for text, notebook in tqdm(chosen, desc="notebooks", disable=None):
        if not text.exists():
            sys.exit(
                f"{notebook.relative_to(ROOT)} has no text: write {text.relative_to(ROOT)} or delete it."
            )
        write(execute(from_text(text), notebook.parent), notebook)
        print("made", notebook.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
