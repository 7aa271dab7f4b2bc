"""Downloads as they go wrong: each failure is made real, on a server of this machine, with a small data set.

The registry of these tests lists one set, `mnist`, with 300 images of noise. Its addresses lead to a server
that cuts connections, sends rubbish or keeps silent, as a test asks. Nothing but the registry is exchanged.
"""

import gzip
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from gennet import datasets
from gennet.datasets import download, registry

IMAGES = np.random.default_rng(0).integers(0, 256, (300, 28, 28), dtype=np.uint8)
LABELS = np.arange(300, dtype=np.uint8) % 10


def idx(values: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return gzip.compress(header + values.tobytes(), mtime=0)


FILES = {
    "train-images.gz": idx(IMAGES[:200]),
    "train-labels.gz": idx(LABELS[:200]),
    "test-images.gz": idx(IMAGES[200:]),
    "test-labels.gz": idx(LABELS[200:]),
}
FIRST = "train-images.gz"


class Server(ThreadingHTTPServer):
    """Serves FILES below any folder; the folder's first letter says how the server behaves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str] = []
        self.meeting = threading.Barrier(2)
        self.stop = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        _, behaviour, name = self.path.split("/")
        content = FILES[name]
        if behaviour == "missing":
            self.send_error(404)
            return
        if behaviour == "silent":
            self.server.stop.wait(60)
            return
        if behaviour == "meeting" and name == FIRST:
            self.server.meeting.wait(60)
        if behaviour == "corrupted":
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2
        self.wfile.write(content[:half])
        self.wfile.flush()
        if behaviour == "stalling":
            self.server.stop.wait(60)
        elif behaviour != "cut":
            self.wfile.write(content[half:])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.stop.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, named by GENNET_DATA; this machine's proxy is left out of the play."""
    monkeypatch.setenv("GENNET_DATA", str(tmp_path / "data"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    return tmp_path / "data"


@pytest.fixture
def serve(
    server: Server, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Write a registry whose mirrors behave as named, and let the library use it."""

    def write(*behaviours: str, other_packing: str = "") -> Path:
        mirrors = [b if b.startswith("http") else f"{server.url}/{b}/" for b in behaviours]
        files = [
            f'{{ name = "mnist/{name}", bytes = {len(content)}, sha256 = "{sha256(content).hexdigest()}" }}'
            for name, content in FILES.items()
        ]
        path = tmp_path / "registry.toml"
        path.write_text(
            '[mnist]\nkind = "downloaded"\ntitle = "Tiny"\nshape = [300, 28, 28]\n'
            "splits = { train = [0, 200], test = [200, 300] }\n"
            'description = "Noise."\npublisher = "Nobody"\nlicence = "none"\nterms = "Free."\n'
            f'where = "mnist"\nmeanwhile = ["digits"]\n{other_packing}\n'
            f"[[mnist.packings]]\nmirrors = {mirrors}\nfiles = [{', '.join(files)}]\n"
        )
        monkeypatch.setattr(registry, "cards", lambda: registry.read(path))
        return path

    return write


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def left_in(folder: Path) -> list[str]:
    """Every file below a folder: temporary ones would show."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def failure() -> str:
    """What `load` says when it must fail: one paragraph."""
    with pytest.raises(datasets.DataError) as caught:
        datasets.load("mnist")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """Load the set in another process, which prints the shape or the sentence."""
    program = (
        "import pathlib, sys\n"
        "from gennet import datasets\n"
        "from gennet.datasets import registry\n"
        "registry.cards = lambda: registry.read(pathlib.Path(sys.argv[1]))\n"
        "try:\n"
        "    print(datasets.load('mnist').x.shape)\n"
        "except datasets.DataError as error:\n"
        "    sys.exit(str(error))\n"
    )
    processes = []

    def start(
        registry_file: Path, command: tuple[str, ...] = (), stderr: int = subprocess.PIPE
    ) -> subprocess.Popen:
        processes.append(
            subprocess.Popen(
                [*command, sys.executable, "-c", program, str(registry_file)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


# What should happen


def test_good_file_is_read_and_kept(serve, server: Server, folder: Path, capfd: pytest.CaptureFixture):
    serve("good")
    data = datasets.load("mnist")
    np.testing.assert_array_equal(data.x, IMAGES.astype(np.float32) / 255)
    np.testing.assert_array_equal(data.y, LABELS)
    np.testing.assert_array_equal(data.split("test").x, data.x[200:])
    assert data.class_names == tuple("0123456789")
    assert left_in(folder) == sorted(FILES)
    assert all((folder / "mnist" / name).read_bytes() == content for name, content in FILES.items())
    assert capfd.readouterr() == ("", ""), "a notebook is not cluttered"


def test_progress_is_shown_to_somebody_who_watches(serve, start, folder: Path):
    termios = pytest.importorskip("termios")
    reader, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    output, _ = start(serve("good"), stderr=terminal).communicate(timeout=60)
    shown = os.read(reader, 2**16)
    os.close(terminal)
    os.close(reader)
    assert output == "(300, 28, 28)\n"
    assert all(name.encode() in shown for name in FILES) and b"Traceback" not in shown


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_downloaded_files_may_be_read_by_others(serve, folder: Path):
    serve("good")
    datasets.load("mnist")
    assert {path.stat().st_mode & 0o777 for path in (folder / "mnist").iterdir()} == {0o644}


def test_second_load_asks_nobody(serve, server: Server):
    serve("good")
    datasets.load("mnist")
    assert len(server.requests) == len(FILES)
    datasets.load("mnist")
    assert len(server.requests) == len(FILES)


def test_two_processes_at_once(serve, start, server: Server, folder: Path):
    """Both are held at the server until both have asked for the same file."""
    registry_file = serve("meeting")
    processes = [start(registry_file) for _ in range(2)]
    results = [process.communicate(timeout=60) for process in processes]
    assert results == [("(300, 28, 28)\n", "")] * 2
    assert server.requests.count(f"/meeting/{FIRST}") == 2
    assert left_in(folder) == sorted(FILES)


def test_file_put_there_by_hand_is_used(serve, server: Server, folder: Path):
    serve("good")
    (folder / "mnist").mkdir(parents=True)
    (folder / "mnist" / FIRST).write_bytes(FILES[FIRST])
    assert download.status(datasets.card("mnist")) == "in part"
    datasets.load("mnist")
    assert f"/good/{FIRST}" not in server.requests and len(server.requests) == len(FILES) - 1


def test_folder_is_the_users_cache_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("GENNET_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download.folder().name == "gennet" or "gennet" in download.folder().parts
    if sys.platform == "linux":
        assert download.folder() == tmp_path / "gennet"
    monkeypatch.setenv("GENNET_DATA", "~/elsewhere")
    assert download.folder() == Path.home() / "elsewhere"


# Mirrors that fail


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("corrupted", "127.0.0.1: sent another file than expected (wrong checksum)"),
        ("cut", "127.0.0.1: the connection broke off"),
        ("missing", "127.0.0.1: answered 404"),
        ("silent", "127.0.0.1: no answer in time"),
        ("stalling", "127.0.0.1: no answer in time"),
    ],
)
def test_mirror_that_fails(
    serve, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str, said: str
):
    """With another mirror the load succeeds; alone, it fails with the reason and leaves nothing behind."""
    monkeypatch.setattr(download, "TIMEOUT", (5, 0.3))
    serve(behaviour)
    assert said in failure()
    assert left_in(folder) == []

    serve(behaviour, "good")
    assert datasets.load("mnist").x.shape == (300, 28, 28)
    assert server.requests[-1] == "/good/test-labels.gz"
    assert left_in(folder) == sorted(FILES)


def test_all_mirrors_fail(serve, folder: Path):
    serve("missing", "corrupted")
    said = failure()
    assert said.startswith(
        "The data set mnist could not be downloaded (127.0.0.1: answered 404, 127.0.0.1: sent another file"
    )
    assert f"in the folder {folder / 'mnist'}: http://127.0.0.1" in said and f"(as {FIRST})" in said
    assert said.endswith('Meanwhile, datasets.load("digits") needs no network.')
    assert left_in(folder) == []


def test_no_network(serve, folder: Path):
    serve(f"http://127.0.0.1:{closed_port()}/")
    assert "127.0.0.1: no connection" in failure()
    assert left_in(folder) == []


def test_proxy_that_is_not_there(serve, folder: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    serve("http://example.invalid/")
    assert "example.invalid: the proxy cannot be reached" in failure()


def test_server_whose_certificate_is_not_trusted(serve, server: Server):
    """A server that does not speak TLS at all fails in the same way, and needs no certificate here."""
    serve(server.url.replace("http:", "https:") + "/good/")
    assert "127.0.0.1: its certificate is not trusted" in failure()


def test_another_packing_is_tried(serve, server: Server, folder: Path):
    other = (
        f'[[mnist.packings]]\nmirrors = ["{server.url}/missing/"]\n'
        f'files = [{{ name = "mnist/other.gz", bytes = 1, sha256 = "{"0" * 64}", remote = "{FIRST}" }}]\n'
    )
    serve("good", other_packing=other)
    assert datasets.load("mnist").x.shape == (300, 28, 28)
    assert server.requests[0] == f"/missing/{FIRST}"


# A file that is there and damaged


def test_damaged_file_is_downloaded_again(serve, server: Server, folder: Path):
    serve("good")
    datasets.load("mnist")
    (folder / "mnist" / FIRST).write_bytes(FILES[FIRST][:-1] + b"?")
    server.requests.clear()
    with pytest.warns(UserWarning, match=f"{FIRST} is damaged and is not used: downloading again") as caught:
        data = datasets.load("mnist")
    assert caught[0].filename == __file__, "the warning points to the caller"
    np.testing.assert_array_equal(data.x, IMAGES.astype(np.float32) / 255)
    assert server.requests == [f"/good/{FIRST}"]


def test_damaged_file_stays_out_of_use(serve, folder: Path):
    serve("missing")
    (folder / "mnist").mkdir(parents=True)
    for name, content in FILES.items():
        (folder / "mnist" / name).write_bytes(content if name != FIRST else b"half a fi")
    for _ in range(2):
        with pytest.warns(UserWarning, match="is damaged"):
            said = failure()
        assert said.count("(as ") == 1, "only the file that is missing is named"
    assert left_in(folder) == sorted(FILES)


# A disk that fails


def test_path_below_a_file(serve, folder: Path):
    folder.write_text("a file")
    serve("good")
    assert failure() == (
        f"The data set mnist cannot be kept in the folder {folder}: "
        "something on that path is a file, not a folder. Set GENNET_DATA to a folder of your own."
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_folder_without_permission(serve, start, folder: Path):
    """The super-user is permitted everything, so it drops its privileges first."""
    command = ()
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("permissions do not bind the super-user, and setpriv is not installed")
        command = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    folder.mkdir(mode=0o555)
    process = start(serve("good"), command)
    assert process.communicate(timeout=60)[1] == (
        f"The data set mnist cannot be kept in the folder {folder}: you are not permitted to use it. "
        "Set GENNET_DATA to a folder of your own.\n"
    )
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("ro", "it is read-only. Set GENNET_DATA to a folder of your own."),
        (
            "size=64k",
            "the disk is full, and the set takes 0.2 MB. "
            "Make room there, or set GENNET_DATA to a folder on another disk.",
        ),
    ],
    ids=["read-only", "full"],
)
def test_disk(serve, start, folder: Path, options: str, said: str):
    """On a real file system: one that is read-only, one that is smaller than the first file."""
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed: no small file system can be made")
    assert len(FILES[FIRST]) > 2**16
    folder.mkdir()
    script = (
        f'mount -t tmpfs -o {options} tmpfs {folder} && "$@"; status=$?; find {folder} -type f; exit $status'
    )
    process = start(serve("good"), ("unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh"))
    output, error = process.communicate(timeout=60)
    if "unshare" in error or "mount:" in error:
        pytest.skip(f"no small file system can be made here: {error.strip()}")
    assert error == f"The data set mnist cannot be kept in the folder {folder}: {said}\n"
    assert output == "", "nothing half-written is left"
    assert process.returncode == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_interrupted(serve, start, folder: Path):
    """Ctrl-C in the middle of a file."""
    process = start(serve("stalling"))
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size for path in folder.rglob("*") if path.is_file()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]
    assert process.returncode == -signal.SIGINT
    assert left_in(folder) == []
