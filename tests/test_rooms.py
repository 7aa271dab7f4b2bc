"""A lower room of the library never imports a higher one, and NumPy is all that `backprop` needs.

Imports are read from the sources, wherever they stand: at the top, inside a function, under `TYPE_CHECKING`.
A room that is loaded by its name as a string (`importlib.import_module`) is not seen.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parent.parent / "lib/gennet"

# From the lowest to the highest; the rooms of one level may import one another.
LEVELS = """\
datasets
divergences
bound
evaluation
backprop
eigenspace codec face_space clustering autoencoder vae cvae recommender \
gan cgan wgan translation autoregressive
training
reproduce
exercises
grading
plots widgets
"""
LEVEL = {room: level for level, rooms in enumerate(LEVELS.splitlines()) for room in rooms.split()}
ENTRANCES = {"__init__", "__main__"}  # above all rooms: they may import everything, no room imports them
FOR_THE_EYE = {"matplotlib", "ipywidgets"}


def imports(path: Path, library: Path) -> Iterator[tuple[str, int]]:
    """Yield the full name of everything a file imports, with the line; relative names are resolved."""
    package = ("gennet", *path.relative_to(library).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            if module == "gennet":  # the names are rooms
                yield from ((f"gennet.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield module, node.lineno


def violations(library: Path) -> list[str]:
    """List every forbidden import, and every file that is no room, as `file:line: sentence`."""
    found = []
    for path in sorted(library.rglob("*.py")):
        room = path.relative_to(library).parts[0].removesuffix(".py")
        if room in ENTRANCES:
            continue
        if room not in LEVEL:
            found.append(f"{path}:1: {room} is no room of the library. Name it in LEVELS of test_rooms.py.")
            continue
        for name, line in imports(path, library):
            if reason := forbidden(room, name):
                found.append(f"{path}:{line}: {room} imports {name}: {reason}")
    return found


def forbidden(room: str, name: str) -> str | None:
    """Say why a room may not import a module, or nothing."""
    package, _, inside = name.partition(".")
    if package == "gennet":
        other = inside.partition(".")[0]
        if other not in LEVEL:
            return "there is no such room."
        if LEVEL[other] > LEVEL[room]:
            return f"{other} lies above {room}."
    if package in FOR_THE_EYE and LEVEL[room] < LEVEL["plots"]:
        return "only plots and widgets draw."
    if (
        room == "backprop"
        and package not in {"numpy", *sys.stdlib_module_names}
        and inside.partition(".")[0] != room
    ):
        return "backprop needs NumPy only."
    return None


def test_no_room_imports_what_lies_above_it():
    found = violations(LIBRARY)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("file", "source", "line", "said"),
    [
        (
            "eigenspace.py",
            "import numpy\n\nfrom gennet import datasets, training",
            3,
            "training lies above eigenspace",
        ),
        (
            "eigenspace.py",
            "def f():\n    from gennet.training import loop",
            2,
            "training lies above eigenspace",
        ),
        ("datasets/cards.py", "from .. import vae", 1, "vae lies above datasets"),
        ("datasets/cards.py", "from ..vae import VAE", 1, "vae lies above datasets"),
        ("datasets/__init__.py", "import gennet.plots as p", 1, "plots lies above datasets"),
        ("vae.py", "from .exercises import state", 1, "exercises lies above vae"),
        ("vae.py", "from gennet import pictures", 1, "no such room"),
        ("vae.py", "import gennet", 1, "no such room"),
        ("pictures.py", "", 1, "pictures is no room"),
        ("exercises/draw.py", "import matplotlib.pyplot as plt", 1, "only plots and widgets draw"),
        ("training.py", "from ipywidgets import VBox", 1, "only plots and widgets draw"),
        ("backprop.py", "import math\nimport torch", 2, "NumPy only"),
        ("backprop.py", "from .divergences import kl", 1, "NumPy only"),
    ],
)
def test_planted_violation_is_found(tmp_path: Path, file: str, source: str, line: int, said: str):
    plant(tmp_path, {file: source})
    (found,) = violations(tmp_path)
    assert found.startswith(f"{tmp_path / file}:{line}: ") and said in found


def test_permitted_imports_are_left_alone(tmp_path: Path):
    plant(
        tmp_path,
        {
            "__init__.py": "from gennet import plots",
            "__main__.py": "from gennet import reproduce",
            "datasets/__init__.py": "from . import faces\nfrom .faces import load\nimport pooch",
            "datasets/faces.py": "import numpy as np",
            "backprop.py": "import math\nfrom collections.abc import Callable\nimport numpy as np",
            "face_space.py": "from gennet.eigenspace import Eigenspace\nfrom . import datasets, divergences",
            "training.py": "from gennet import vae, wgan\nimport torch",
            "widgets.py": "from gennet import plots\nimport ipywidgets, matplotlib",
        },
    )
    assert violations(tmp_path) == []


def plant(library: Path, sources: dict[str, str]) -> None:
    for file, source in sources.items():
        (library / file).parent.mkdir(parents=True, exist_ok=True)
        (library / file).write_text(source, encoding="utf-8")
