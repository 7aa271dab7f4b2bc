"""Run a student's program alone in bubblewrap, ask it for values, and end it when it goes too far.

Inside there is no network, a read-only system, no file of the host beyond Python and its packages, a small
scratch folder in memory, an unprivileged user, and nobody else's processes. Each process is limited by the
kernel; all of a sandbox together (processor time, memory, wall clock) by the grader, which looks every
twentieth of a second. When the grader dies, the sandbox dies with it.
"""

import os
import platform
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gennet.exercises import stored
from gennet.exercises.answers import Answer, Trouble

from . import wire

TICK = 0.05  # seconds between two looks at a sandbox
NOBODY = 65534
HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parent
ROOMS = ("__init__.py", "datasets", "plots.py", "widgets.py", "exercises")  # the library that answers may use
SHIPPED = ("registry.toml", "usarrests.csv")
EXCHANGE = Path("/usr/local/share/nbgrader")  # nbgrader's own folder for handing in
PROGRAM = "import sys; sys.path.insert(0, {!r}); from gennet.grading.inside import main; main()"
SAYS = "The sandbox does not start"


class NoSandbox(RuntimeError):
    """Grading cannot be done safely here; the message says why and what to do."""


class Lost(RuntimeError):
    """A sandbox ended before it had begun: the fault of this machine, not of a student."""


@dataclass(frozen=True)
class Limits:
    """What one function of a submission may use.

    `seconds` is processor time: for each cell, and for all calls of the function. `wall` is the time on the
    clock for everything, generous, because a busy machine is nobody's fault. Memory and files in bytes.
    """

    seconds: int = 10
    processor: int = 40
    wall: int = 100
    memory: int = 2 << 30
    processes: int = 32
    files: int = 128
    file_size: int = 16 << 20
    scratch: int = 64 << 20

    def inside(self) -> dict[str, int]:
        """Return what the program in the sandbox sets for itself."""
        names = ("seconds", "processor", "memory", "processes", "files", "file_size")
        return {name: getattr(self, name) for name in names}


# ------------------------------------------------------------------------------------------- what is inside


@contextmanager
def staged() -> Iterator[Path]:
    """Make the folder that every sandbox sees: the program, and the library without answers."""
    with tempfile.TemporaryDirectory(prefix="gennet-grading-") as name:
        folder = Path(name)
        package = folder / "lib/gennet"
        for room in ROOMS:
            if (LIBRARY / room).is_dir():
                hidden = shutil.ignore_patterns("__pycache__", "cases")
                shutil.copytree(LIBRARY / room, package / room, ignore=hidden)
            else:
                package.mkdir(parents=True, exist_ok=True)
                shutil.copy(LIBRARY / room, package)
        (package / "grading").mkdir()
        for program in ("__init__.py", "inside.py", "wire.py"):
            shutil.copy(HERE / program, package / "grading")
        shutil.copy(HERE / "stand_in.py", package / "exercises/__init__.py")
        data = LIBRARY / "data" if (LIBRARY / "data").is_dir() else LIBRARY.parents[1] / "data"
        (folder / "data").mkdir()
        for shipped in SHIPPED:
            shutil.copy(data / shipped, folder / "data")
        subprocess.run([sys.executable, "-m", "compileall", "-qq", name], check=False)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield folder


def command(stage: Path, limits: Limits, filter_fd: int | None) -> list[str]:
    """Write the command that starts the program in a sandbox; inside, the stage is the folder /gennet."""
    nobody, bwrap = str(NOBODY), shutil.which("bwrap") or "bwrap"
    scratch = ["--size", str(limits.scratch), "--tmpfs"]

    def inner(stage: str) -> list[str]:
        return [
            *(
                "bwrap",
                "--unshare-user",
                "--unshare-all",
                "--disable-userns",
                "--uid",
                nobody,
                "--gid",
                nobody,
            ),
            *("--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
            "--as-pid-1",  # a first process of bubblewrap's own would be without limits, and open to students
            *(*scratch, "/tmp", *readable(stage), "--proc", "/proc", "--dev", "/dev", *scratch, "/dev/shm"),
            *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"),
            *(["--seccomp", str(filter_fd)] if filter_fd is not None else []),
            *(sys.executable, "-I", "-B", "-c", PROGRAM.format("/gennet/lib")),
        ]

    if os.getuid() != 0:
        return inner(str(stage))
    # The kernel does not count root's processes: become nobody first, in a view that nobody can read. The
    # shell stays root until the end, because a dying process ends only those that it has the right to end.
    return [
        *(bwrap, "--die-with-parent", "--cap-drop", "ALL"),
        *(part for power in ("SETUID", "SETGID", "KILL") for part in ("--cap-add", f"CAP_{power}")),
        *("--tmpfs", "/tmp", *readable(str(stage)), "--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc"),
        *("sh", "-c", '"$@"; exit $?', "sh"),
        *("setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups", *inner("/gennet")),
    ]


def readable(stage: str) -> list[str]:
    """List what is mounted read-only: the system's programs and libraries, this Python, the stage."""
    arguments = ["--ro-bind", stage, "/gennet"]
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if os.path.islink(name):
            arguments += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            arguments += ["--ro-bind", name, name]
    parts = ["/usr", sys.base_prefix, sys.prefix, "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"]
    for path in (Path(part) for part in parts if os.path.exists(part)):
        for parent in list(path.parents)[-2::-1]:
            arguments += ["--dir", str(parent)]
        arguments += ["--ro-bind", str(path), str(path)]
    for hidden in (LIBRARY, EXCHANGE):  # where cases and other people's work may lie among what is mounted
        if hidden.is_dir() and any(hidden.is_relative_to(part) for part in parts[:3]):
            arguments += ["--tmpfs", str(hidden)]
    return arguments


ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",
    "USER": "student",
    "LOGNAME": "student",
    "LANG": "C.UTF-8",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp",
    "GENNET_HOME": "off",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
}

# System calls that no answer needs, by machine (x86-64, 64-bit ARM): memory that is in no process and no
# folder, other processes' memory, new name spaces and mounts, and corners of the kernel that have often had
# holes.
CALLS = {
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "msgget": (68, 186),
    "semget": (64, 190), "mq_open": (240, 180), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438), "kcmp": (312, 272), "unshare": (272, 97),
    "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsmount": (432, 432), "mount_setattr": (442, 442), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "personality": (135, 92), "vmsplice": (278, 75), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "fanotify_init": (300, 262), "kexec_load": (246, 104),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
}  # fmt: skip
CLONE3 = 435  # answered "not there", so that the C library takes clone, whose flags the kernel can check
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def system_call_filter() -> bytes | None:
    """Return the filter of system calls for this machine, as the kernel reads it; None on other machines."""
    if platform.machine() not in MACHINES:
        return None
    column, architecture = MACHINES[platform.machine()]
    refused, missing, ended, allowed = 0x00050001, 0x00050026, 0x80000000, 0x7FFF0000  # EPERM, ENOSYS

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    load, equal, at_least, back = 0x20, 0x15, 0x35, 0x06
    program = [
        *(step(load, 4), step(equal, architecture, 1, 0), step(back, ended)),
        *(step(load, 0), step(at_least, 0x40000000, 0, 1), step(back, ended)),
        *(step(equal, CLONE3, 0, 1), step(back, missing)),
    ]
    for numbers in CALLS.values():
        program += [step(equal, numbers[column], 0, 1), step(back, refused)]
    return b"".join([*program, step(back, allowed)])


# ------------------------------------------------------------------------------------------- one sandbox


class Sandbox:
    """One process that runs a student's cells and answers questions; a context that ends it in any case.

    Parameters
    ----------
    stage
        The folder made by `staged`.
    limits
        What it may use.
    safe
        False runs the program without bubblewrap, with this user's rights: `--no-sandbox`.
    """

    def __init__(self, stage: Path, limits: Limits, safe: bool = True) -> None:
        self.stage, self.limits, self.safe = stage, limits, safe

    def __enter__(self) -> Self:
        """Start the program."""
        self.channel, theirs = socket.socketpair()
        self.folder = None if self.safe else tempfile.TemporaryDirectory(prefix="gennet-scratch-")
        handed: list[int] = []
        if self.safe and (program := system_call_filter()):
            end, start = os.pipe()
            os.write(start, program)
            os.close(start)
            handed = [end]
        if self.safe:
            line = command(self.stage, self.limits, handed[0] if handed else None)
        else:
            line = [sys.executable, "-I", "-B", "-c", PROGRAM.format(str(self.stage / "lib"))]
        environment = ENVIRONMENT if self.safe else {**os.environ, **ENVIRONMENT, "HOME": self.folder.name}
        self.begun, self.next_look = False, time.monotonic() + TICK
        self.end = time.monotonic() + self.limits.wall
        try:
            self.process = subprocess.Popen(
                line,
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=handed,
                env=environment,
                cwd=self.folder and self.folder.name,
                start_new_session=True,
            )
        finally:
            theirs.close()
            for fd in handed:
                os.close(fd)
        self.channel.setblocking(False)
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and all that it has started."""
        self.channel.close()
        for process in tree(self.process.pid)[::-1]:
            end_process(process)
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        if self.folder:
            self.folder.cleanup()

    def begin(self, cells: list[str], functions: list[str], slow: list[int] | None = None) -> dict[str, Any]:
        """Run the cells; return the states of functions ("missing", "stub", "written") and notes on cells.

        Cells whose numbers are in `slow` were stopped before, and are stopped soon; those that were stopped
        now come back as `slow`.

        Raises
        ------
        Trouble
            If the program ended, was stopped, or sent something that it should not send.
        Lost
            If the sandbox never came up.
        """
        limits = {
            name: size for name, size in self.limits.inside().items() if self.safe or name != "processes"
        }
        self.send({"functions": functions, "limits": limits, "slow": slow or []}, cells)
        words, _ = self.receive()
        self.begun = True
        match words:
            case {"states": dict(states), "notes": [*notes], "slow": [*slow]}:
                known = all(states.get(name) in ("missing", "stub", "written") for name in functions)
                if known and {*map(type, notes)} <= {str} and {*map(type, slow)} <= {int}:
                    return words | {"notes": [printable(note)[:300] for note in notes[:20]]}
        raise Trouble("tampered", "Its first message is not the one that was agreed.")

    def ask(self, function: str, arguments: dict[str, Any], largest: int = wire.BYTES) -> Answer:
        """Return what a function gives on one input, if its arrays have at most `largest` bytes.

        Raises
        ------
        Trouble
            As `begin`, and if the function raised an exception or took too long.
        """
        arrays: dict[str, Any] = {}
        tree = stored.pack(arguments, "argument", arrays)
        self.send({"function": function, "arguments": tree, "largest": largest}, arrays)
        words, value = self.receive(largest)
        match words:
            case {"calls": [*calls]} if all(type(name) is str for name in calls):
                return Answer(value, calls)
            case {"trouble": [str(status), str(said)]} if status in STATUSES:
                raise Trouble(status, printable(said)[:4000])
        raise Trouble("tampered", "It sent something else than values.")

    def send(self, words: dict[str, Any], value: Any) -> None:
        """Send a message, unless the other side does not take it."""
        message = memoryview(wire.encode(words, value))
        while message:
            self.wait(write=True)
            try:
                message = message[self.channel.send(message) :]
            except BlockingIOError:
                continue
            except OSError:
                self.gone()

    def receive(self, largest: int = 0) -> tuple[dict[str, Any], Any]:
        """Wait for a message, as long as the limits allow."""
        try:
            return wire.decode(self.read, largest)
        except wire.Malformed as error:
            raise Trouble("tampered", f"It sent a message that is not of the agreed form: {error}") from None

    def read(self, size: int) -> bytes:
        """Wait for so many bytes."""
        parts = []
        while size:
            self.wait()
            try:
                part = self.channel.recv(min(size, 1 << 20))
            except BlockingIOError:
                continue
            except OSError:
                part = b""
            if not part:
                self.gone()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def wait(self, write: bool = False) -> None:
        """Wait until something can be read (written); whatever comes, the limits are looked after."""
        ours = [self.channel]
        while True:
            if time.monotonic() >= self.next_look:
                self.look()
                self.next_look = time.monotonic() + TICK
            if any(select.select([] if write else ours, ours if write else [], [], TICK)):
                return

    def look(self) -> None:
        """Raise `Trouble` if the program goes too far, or has ended."""
        if time.monotonic() > self.end:
            raise Trouble("too long", f"It had not ended after {self.limits.wall} seconds and was stopped.")
        used, memory = usage(self.process.pid)
        if used > self.limits.processor:
            raise Trouble("too long", f"It used more than {self.limits.processor} seconds and was stopped.")
        if memory > self.limits.memory:
            size = f"{self.limits.memory / 2**30:.3g} GiB"
            raise Trouble("out of memory", f"It used more than {size} of memory and was stopped.")
        if self.process.poll() is not None and not select.select([self.channel], [], [], 0)[0]:
            self.gone()

    def gone(self) -> None:
        """Say that the program ended before it had answered."""
        try:
            code = self.process.wait(2)
        except subprocess.TimeoutExpired:
            raise Trouble("crashed", "It closed its connection with the grader.") from None
        os.set_blocking(self.process.stderr.fileno(), False)
        said = (self.process.stderr.read(4000) or b"").decode("utf-8", "replace").strip()
        if not self.begun and said:
            raise Lost(f"{SAYS}: {said.splitlines()[-1]}")
        number = code - 128 if code > 128 else -code
        if number == signal.SIGXCPU:
            raise Trouble("too long", f"It used more than {self.limits.processor} seconds and was stopped.")
        how = f"by signal {number}" if number > 0 else f"with code {code}" if code else "by itself"
        raise Trouble("crashed", f"Its process ended {how} before it had answered.")


STATUSES = {"not attempted", "signature", "raised", "too long", "modified", "outputs", "out of memory"}


def printable(text: str) -> str:
    """Return a text from a sandbox without control characters and broken letters."""
    text = text.encode("utf-8", "replace").decode()
    return "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def tree(pid: int) -> list[int]:
    """List a process and all below it."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                children = Path(f"/proc/{parent}/task/{task}/children").read_text().split()
                found += [int(child) for child in children if int(child) not in found]
        except (OSError, ValueError):  # it has ended meanwhile
            continue
    return found


def usage(pid: int) -> tuple[float, int]:
    """Return the processor time (seconds) and the memory (bytes) of a process and all below it."""
    used, memory = 0.0, 0
    for process in tree(pid):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            continue
        used += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
        for line in status.splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                memory += int(line.split()[1]) << 10
    return used, memory


def end_process(pid: int) -> None:
    """Kill a process that may have ended already."""
    try:
        os.kill(pid, 9)
    except OSError:
        return


# ------------------------------------------------------------------------------------------- can it be done?

PROBE = """
import os, socket
def probe(paths):
    found = []
    try:
        socket.create_connection(("192.0.2.1", 9), 0.2)
        found.append("network")
    except OSError as error:
        found += ["network"] if error.errno != 101 else []
    found += [path for path in paths if os.path.exists(path)]
    found += ["root"] if os.getuid() == 0 else []
    for name in ("/usr/gennet-probe", "/gennet-probe", "/dev/gennet-probe"):
        try:
            open(name, "w").close()
            found.append(name)
        except OSError:
            pass
    return ", ".join(found)
"""


def examine(stage: Path, secrets: list[Path]) -> None:
    """Try a sandbox on a program that looks for holes, and for files that should not be seen.

    Raises
    ------
    NoSandbox
        If there is no bubblewrap, or it does not work here, or something shows through.
    """
    if not shutil.which("bwrap"):
        raise NoSandbox(
            "There is no bubblewrap on this machine, so submissions cannot be run safely. Install it "
            "(Debian, Ubuntu: apt-get install bubblewrap), or say --no-sandbox if you trust every submission."
        )
    try:
        with Sandbox(stage, Limits()) as box:
            box.begin([PROBE], ["probe"])
            found = box.ask("probe", {"paths": [str(path) for path in secrets]}).returned
    except (Trouble, Lost) as error:
        raise NoSandbox(
            f"bubblewrap does not work on this machine: {error}. In a container it needs the right to make "
            "user namespaces. Grade on another machine, or say --no-sandbox if you trust every submission."
        ) from None
    if found:
        raise NoSandbox(f"The sandbox is not tight on this machine: it shows {found}. Nothing was graded.")
