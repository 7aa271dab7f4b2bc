"""Make the zip that students are given: everything that `make lab` and the checks need, and no answers.

What goes in is listed here, folder by folder; what is not listed stays out: solutions, with the declarations
and references in them, tests, texts, git's history. Progress and downloads of whoever makes it stay out too.
"""

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat

from make_notebooks import content, from_text, pairs

ROOT = Path(__file__).resolve().parent.parent
NAME = "gennet-student"
FILES = ("README.md", "LICENSE", "CITATION.cff", "Makefile", "lib/bootstrap.py")
FILES += ("pyproject.toml", "constraints.txt", "environment.yml")
FOLDERS = ("chapters", "data", "lib/gennet")
LEFT_OUT = {"text", "grading", "__pycache__"}  # folders, wherever they lie
DATE = (2026, 1, 1, 0, 0, 0)  # one for all files, so that the same course gives the same zip


def members() -> Iterator[Path]:
    """Yield every file that goes in."""
    yield from (ROOT / name for name in FILES)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            parts = path.relative_to(ROOT).parts
            if path.is_file() and not LEFT_OUT & set(parts) and not any(p.startswith(".") for p in parts):
                yield path


def solved() -> list[Path]:
    """List the notebooks for students that are not as their texts say: somebody may have worked in them."""
    return [
        notebook
        for text, notebook in pairs()
        if notebook.is_relative_to(ROOT / "chapters")
        and notebook.exists()
        and not (text.exists() and content(nbformat.read(notebook, as_version=4)) == content(from_text(text)))
    ]


def make(path: Path) -> int:
    """Write the zip and return how many files it holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = list(members())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for member in chosen:
            entry = zipfile.ZipInfo(f"{NAME}/{member.relative_to(ROOT).as_posix()}", DATE)
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, member.read_bytes(), zipfile.ZIP_DEFLATED)
    return len(chosen)


def main() -> int:
    """Make ``build/gennet-student.zip``, unless a notebook holds somebody's answers."""
    if changed := solved():
        names = ", ".join(str(notebook.relative_to(ROOT)) for notebook in changed)
        sys.exit(f"Not as their texts say, perhaps with answers in them: {names}. Run make notebooks first.")
    path = ROOT / f"build/{NAME}.zip"
    print(f"made {path.relative_to(ROOT)}: {make(path)} files, {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
