"""Make the course's environment and start something in it: the program behind ``make``.

Run by whatever Python the machine has, before anything is installed: standard library only, and the
first lines must be readable by a Python that is too old, so that it can be told so in one sentence.
It makes ``.venv``, installs the package there with the versions of ``constraints.txt``, registers the
kernel, and leaves a stamp, so that the second start takes seconds and needs no network.
"""

from __future__ import print_function

import sys

OLDEST = (3, 11)
if sys.version_info < OLDEST:
    sys.exit(
        "This course needs Python %d.%d or later; this is Python %d.%d. Install a newer one and name it: "
        "make PYTHON=python3.12 (or the version you have)." % (OLDEST + tuple(sys.version_info[:2]))
    )

import errno
import hashlib
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "gennet-stamp"
LOG = VENV / "install.log"
NEEDED_BYTES = 3 * 10**9  # 1.8 GB of environment, and as much again for a while as unpacked downloads
EXTRAS = {"lab": "", "test": "[test,instructor]"}  # what each command needs beyond the package itself
FAILURES = [  # what pip's log says, what it means
    (
        r"No space left on device|Disk quota exceeded|not enough space",
        "The disk is full. Free about 3 GB where this folder lies (and where {tmp} lies), "
        "then run make again.",
    ),
    (
        r"NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|SSLError"
        r"|Connection refused|connection broken|Temporary failure in name resolution",
        "The packages could not be downloaded: the package index cannot be reached. Connect to the network "
        "(behind a proxy, set HTTPS_PROXY), then run make again: it goes on from here.",
    ),
    (
        r"Could not find a version that satisfies|No matching distribution found|ResolutionImpossible",
        "A package of constraints.txt has no build for Python {python} on this machine. "
        "Try another Python: make PYTHON=python3.12.",
    ),
    (
        r"Permission denied",
        "This folder cannot be written to. Make it writable or work in a copy of your own.",
    ),
]


def stop(sentence):
    """End with one sentence for the reader."""
    sys.exit("\n" + sentence)


def fingerprint(command):
    """Say what the environment depends on: if this is unchanged, so is the environment."""
    parts = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    parts += [str(ROOT).encode(), sys.version.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest() + EXTRAS[command]


def is_ready(command):
    """Tell whether ``.venv`` already holds what ``command`` needs."""
    if not (PYTHON.exists() and STAMP.exists()):
        return False
    stamped, wanted = STAMP.read_text(encoding="utf-8").splitlines(), fingerprint(command)
    return wanted in stamped


def make_venv():
    """Make ``.venv``, anew if what lies there does not run (its Python may have been removed)."""
    if any(importlib.util.find_spec(module) is None for module in ("venv", "ensurepip")):
        stop(
            "Python's venv module is missing. On Debian or Ubuntu: sudo apt install python%d.%d-venv; "
            "then run make again." % sys.version_info[:2]
        )
    if PYTHON.exists() and subprocess.call([str(PYTHON), "-c", "import pip"], stderr=subprocess.DEVNULL) == 0:
        return
    if shutil.disk_usage(str(ROOT)).free < NEEDED_BYTES:
        stop(FAILURES[0][1].format(tmp=os.environ.get("TMPDIR", "/tmp")))
    print("Making .venv with Python %d.%d.%d" % sys.version_info[:3])
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        explain(done.stdout.decode(errors="replace"), "Making .venv failed")


def explain(log, what):
    """Turn the log of a failed installation into one sentence."""
    if shutil.disk_usage(str(ROOT)).free < 50 * 10**6:  # venv does not say what stopped it
        log += "No space left on device"
    for pattern, sentence in FAILURES:
        if re.search(pattern, log, re.IGNORECASE):
            stop(sentence.format(tmp=os.environ.get("TMPDIR", "/tmp"), python="%d.%d" % sys.version_info[:2]))
    stop("%s. The last lines say why:\n%s" % (what, "\n".join(log.strip().splitlines()[-8:])))


def install(command):
    """Install the package and what it needs, one line on the screen for all of pip's."""
    print(
        "Installing the course (first time: a few minutes, about 2 GB on disk; the log is .venv/install.log)"
    )
    STAMP.unlink(missing_ok=True)
    arguments = ["install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    arguments += ["-c", str(ROOT / "constraints.txt"), "-e", str(ROOT) + EXTRAS[command]]
    with LOG.open("w", encoding="utf-8") as log:
        pip = subprocess.Popen(
            [str(PYTHON), "-m", "pip"] + arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        for line in pip.stdout:
            log.write(line)
            if sys.stdout.isatty() and re.match(r"\s*(Collecting|Downloading|Installing|Building)", line):
                print(
                    "\r\033[K  " + line.strip()[: shutil.get_terminal_size().columns - 4], end="", flush=True
                )
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if pip.wait():
        explain(LOG.read_text(encoding="utf-8"), "The installation failed (the whole log: .venv/install.log)")


def configure():
    """Register the kernel under a name a reader knows, and answer JupyterLab's news question with no."""
    kernel = ["-m", "ipykernel", "install", "--sys-prefix", "--name", "python3"]
    kernel += ["--display-name", "Python 3 (gennet)"]
    subprocess.run([str(PYTHON)] + kernel, check=True, stdout=subprocess.DEVNULL)
    settings = VENV / "share/jupyter/lab/settings"
    settings.mkdir(parents=True, exist_ok=True)
    no_news = {
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
    }
    (settings / "overrides.json").write_text(json.dumps(no_news), encoding="utf-8")


def prepare(command):
    """Bring ``.venv`` to the state that ``command`` needs; nothing to do if it is there already."""
    if is_ready(command):
        return
    try:
        make_venv()
        install(command)
        configure()
        stamps = {fingerprint(name) for name in EXTRAS if EXTRAS[name] in ("", EXTRAS[command])}
        STAMP.write_text("\n".join(sorted(stamps)), encoding="utf-8")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            stop(FAILURES[0][1].format(tmp=os.environ.get("TMPDIR", "/tmp")))
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            stop(FAILURES[3][1])
        raise


def lab():
    """Start JupyterLab on the first chapter."""
    arguments = ["--LabApp.default_url=/lab/tree/chapters/00_start_here.ipynb"]
    arguments += ["--ServerApp.root_dir=" + str(ROOT), "--Application.log_level=WARN"]
    port = os.environ.get("PORT")
    if port:
        if not port.isdigit() or not 0 < int(port) < 65536:
            stop("PORT must be a number from 1 to 65535, not %r: make lab PORT=8890." % port)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", int(port)))
            except OSError:
                stop("Port %s is in use or not allowed. Name another: make lab PORT=8890." % port)
        arguments += ["--port=" + port, "--ServerApp.port_retries=0"]
    has_display = sys.platform in ("darwin", "win32") or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))
    )
    if not has_display:
        arguments.append("--no-browser")
        print("No display here: open the address that JupyterLab prints below in a browser.")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")
    return subprocess.call([str(PYTHON), "-m", "jupyterlab"] + arguments, cwd=str(ROOT))


def test():
    """Run every check: style, then all tests and all notebooks in one pytest run on two processes."""
    ruff = [str(PYTHON), "-m", "ruff"]
    for check in (["check"], ["format", "--check"]):
        if subprocess.call(ruff + check + ["."], cwd=str(ROOT)):
            return 1
    pytest = ["pytest", "-n", "2", "--dist", "loadfile", "--nbval", "--nbval-current-env"]
    pytest.append("--nbval-cell-timeout=300")
    one_thread = dict(os.environ, OMP_NUM_THREADS="1")  # for each of the two processes: more would only wait
    return subprocess.call([str(PYTHON), "-m"] + pytest, cwd=str(ROOT), env=one_thread)


def main(arguments):
    """Prepare what the command needs and run it."""
    commands = {"lab": lab, "test": test}
    if len(arguments) != 1 or arguments[0] not in commands:
        stop("usage: bootstrap.py " + "|".join(commands))
    prepare(arguments[0])
    try:
        return commands[arguments[0]]()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
