"""The program behind `make`: what it says when the machine is not as it should be; a second start is quick.

Each failure is made real (a closed port, a full disk, a missing module), in a copy of what the program needs.
"""

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BOOTSTRAP = ROOT / "lib/bootstrap.py"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `make` needs, in an empty folder."""
    for name in ("lib/bootstrap.py", "pyproject.toml", "constraints.txt", "Makefile", "README.md", "LICENSE"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess:
    variables = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "PORT")}
    return subprocess.run(
        command, cwd=folder, env=variables | environment, capture_output=True, text=True, timeout=120
    )


def bootstrap(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess:
    return run([sys.executable, "lib/bootstrap.py", command], folder, **environment)


def last_line(done: subprocess.CompletedProcess) -> str:
    """The one sentence: no traceback before it."""
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_old_python_can_read_the_program_and_is_told():
    ast.parse(BOOTSTRAP.read_text(encoding="utf-8"), feature_version=(3, 4))
    pretend = f"import sys; sys.version_info = (3, 9, 2); exec(open({str(BOOTSTRAP)!r}).read())"
    done = run([sys.executable, "-c", pretend], ROOT)
    assert last_line(done).startswith("This course needs Python 3.11 or later; this is Python 3.9.")


def test_really_old_python_is_told():
    old = shutil.which("python2.7") or shutil.which("python3.9")
    if not old or subprocess.run([old, "-c", ""], capture_output=True).returncode:
        pytest.skip("no old Python here that starts")
    assert "needs Python 3.11" in last_line(run([old, "lib/bootstrap.py", "lab"], ROOT))


def test_no_python_at_all(clone: Path):
    done = run(["make", "lab", "PYTHON=python3-not-here"], clone)
    assert "python3-not-here is not installed: install Python 3.11 or later." in done.stdout
    assert done.returncode != 0


def test_missing_venv_module(clone: Path):
    (clone / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'ensurepip' else find(name, package)\n"
    )
    done = bootstrap(clone, "lab", PYTHONPATH=str(clone))
    assert re.search(r"venv module is missing.*apt install python3\.\d+-venv", last_line(done))
    assert not (clone / ".venv").exists()


def test_no_network(clone: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}/simple"
    settings = {"PIP_INDEX_URL": closed, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "PIP_RETRIES": "1"}
    done = bootstrap(clone, "lab", PIP_CONFIG_FILE=os.devnull, PIP_NO_CACHE_DIR="1", **settings)
    assert last_line(done).startswith("The packages could not be downloaded: the package index cannot be")
    assert not (clone / ".venv/gennet-stamp").exists()


@pytest.mark.parametrize("checked_before", [True, False])
def test_full_disk(clone: Path, checked_before: bool):
    """On a real file system of 8 MB: refused before anything is written, or in the middle of making .venv."""
    small = clone.parent / f"{clone.name}-small"
    small.mkdir()
    program = clone / "lib/bootstrap.py"
    if not checked_before:
        text = program.read_text(encoding="utf-8")
        assert "NEEDED_BYTES = 3 * 10**9" in text
        program.write_text(text.replace("NEEDED_BYTES = 3 * 10**9", "NEEDED_BYTES = 0"), encoding="utf-8")
    script = f"mount -t tmpfs -o size=8m tmpfs {small} && cp -r {clone}/. {small} && cd {small} && "
    script += f"{sys.executable} lib/bootstrap.py lab"
    done = run(["unshare", "--mount", "--map-root-user", "sh", "-c", script], clone)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no small file system can be made here: {done.stderr.strip()}")
    assert last_line(done).startswith("The disk is full. Free about 3 GB")


def test_port_that_is_taken_and_port_that_is_none():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert last_line(start_lab(port)).startswith(f"Port {port} is in use or not allowed.")
    assert last_line(start_lab("lab")).startswith("PORT must be a number from 1 to 65535, not 'lab'")


def start_lab(port: str) -> subprocess.CompletedProcess:
    """Call the part of `make lab` that comes after the installation."""
    program = "import sys; sys.path.insert(0, 'lib'); import bootstrap; bootstrap.lab()"
    return run([sys.executable, "-c", program], ROOT, PORT=port)


def test_second_start_takes_seconds(clone: Path):
    """With a stamp for this very state nothing is installed again; with another state something is."""
    program = "import sys; sys.path.insert(0, 'lib'); import bootstrap; print(bootstrap.fingerprint('lab'))"
    stamp = run([sys.executable, "-c", program], clone).stdout.strip()
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(sys.executable)
    (clone / ".venv/gennet-stamp").write_text(stamp)
    ready = "import sys; sys.path.insert(0, 'lib'); import bootstrap; print(bootstrap.is_ready('lab'))"
    start = time.perf_counter()
    assert run([sys.executable, "-c", ready], clone).stdout == "True\n"
    assert time.perf_counter() - start < 5
    with (clone / "constraints.txt").open("a") as constraints:
        constraints.write("# another state\n")
    assert run([sys.executable, "-c", ready], clone).stdout == "False\n"
