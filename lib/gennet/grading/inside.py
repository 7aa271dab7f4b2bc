"""The program in the sandbox: run a student's cells, then give the values of one function on what comes.

It knows nothing that is worth stealing: no reference, no seed, no inputs but the one at hand. What it says is
not trusted either; the grader reads it strictly and compares. It runs in the copy of the library that
`sandbox.staged` makes, beside `wire` and the rooms that answers may use.
"""

import builtins
import importlib.machinery
import linecache
import os
import re
import resource
import signal
import socket
import sys
import types
from collections.abc import Callable
from typing import Any

from gennet.exercises import answers, limits, stored
from gennet.grading import wire

NOTES = 20  # sentences about cells that failed


def main() -> None:
    """Answer the grader until it hangs up."""
    channel = socket.socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    words, cells = receive(channel)
    restrict(words["limits"])
    sys.meta_path.append(OwnRooms())
    namespace = new_main()
    seconds, slow, notes = words["limits"]["seconds"], list(words["slow"]), []
    for number, source in enumerate(cells, 1):
        left = min(seconds, 2 * seconds - processor_time())  # of all cells together
        try:
            note = run(number, source, namespace, 1 if number in slow else max(1, left))
        except limits.TooLong:
            note = f"Cell {number} took too long and was stopped."
            slow.append(number)
        notes += [note] if note else []
    states = {name: state(namespace.get(name)) for name in words["functions"]}
    send(channel, {"states": states, "notes": notes[:NOTES], "slow": slow})
    end = processor_time() + seconds  # for all calls
    while True:
        question, arrays = receive(channel)
        function, arguments = namespace[question["function"]], stored.unpack(question["arguments"], arrays)
        send(channel, *answer(function, arguments, end), largest=question["largest"])


def state(function: Any) -> str:
    """Say what became of a function that was to be written."""
    if not callable(function):
        return "missing"
    return "stub" if answers.is_stub(function) else "written"


def receive(channel: socket.socket) -> tuple[dict[str, Any], Any]:
    """Wait for the next message; end when there will be none."""

    def read(size: int) -> bytes:
        parts = []
        while size:
            part = channel.recv(min(size, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    return wire.decode(read)


def send(channel: socket.socket, words: dict[str, Any], value: Any = None, largest: int = wire.BYTES) -> None:
    """Send a message; if it is too large, say so instead."""
    try:
        message = wire.encode(words, value, largest)
    except wire.Malformed as error:
        message = wire.encode({"trouble": ["outputs", f"It returns more than can be handed on: {error}."]})
    channel.sendall(message)


def restrict(limit: dict[str, int]) -> None:
    """Set what the system counts for each process; the grader watches all of them together.

    Processes are counted in a sandbox only: elsewhere all those of the user would count.
    """
    sizes = {
        resource.RLIMIT_DATA: limit["memory"],
        resource.RLIMIT_NOFILE: limit["files"],
        resource.RLIMIT_FSIZE: limit["file_size"],
        resource.RLIMIT_CORE: 0,
    }
    for kind, size in sizes.items():
        resource.setrlimit(kind, (size, size))
    if "processes" in limit:
        resource.setrlimit(resource.RLIMIT_NPROC, (limit["processes"], limit["processes"]))
    resource.setrlimit(resource.RLIMIT_CPU, (limit["processor"], limit["processor"] + 2))


def new_main() -> dict[str, Any]:
    """Make a fresh ``__main__``, as a kernel has one, with a ``get_ipython`` that does nothing."""
    module = types.ModuleType("__main__")
    module.__dict__.update(__builtins__=builtins, get_ipython=Nothing, display=Nothing(), In=[], Out={})
    sys.modules["__main__"] = module
    return module.__dict__


class Nothing:
    """Stands for the notebook's kernel: whatever is asked of it, it does nothing."""

    def __getattr__(self, name: str) -> "Nothing":
        """Return itself."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: Any, **__: Any) -> None:
        """Do nothing."""
        return None


class OwnRooms:
    """Finds the course's own models as modules whose parts say, when used, that an answer must do without."""

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        """Find whatever is said to be in the library; this is asked last."""
        if name.startswith("gennet."):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Make a room."""
        return OwnRoom(spec.name)

    def exec_module(self, _: types.ModuleType) -> None:
        """Leave it as it is."""
        return None


class OwnRoom(types.ModuleType):
    """A room of the library that is not there when answers are graded."""

    def __getattr__(self, name: str) -> Callable:
        """Return a part that cannot be used."""
        if name.startswith("__"):
            raise AttributeError(name)

        def use(*_: Any, **__: Any) -> None:
            raise ImportError(
                f"{self.__name__}.{name} is the course's own: an answer that is graded must do without it."
            )

        return use


def run(number: int, source: str, namespace: dict[str, Any], seconds: float) -> str | None:
    """Run one cell; return a sentence if it failed. The cells after it run all the same."""
    name = f"<cell {number}>"
    try:
        code = compile(source, name, "exec")
    except Exception:
        try:
            source = plain(source)
            code = compile(source, name, "exec")
        except BaseException as error:
            return f"Cell {number} cannot be read: {answers.described(error)}"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        with_time(seconds, exec, code, namespace)
    except limits.TooLong:
        raise
    except BaseException as error:
        return f"Cell {number} raised {answers.described(error)}"
    return None


def plain(source: str) -> str:
    """Turn the notebook's own commands (%magic, !shell) into calls of ``get_ipython``, which does nothing."""
    if source.lstrip().startswith("%%"):
        return ""
    kept = [
        re.sub(r"^(\s*)(%|!|\?).*", r"\1pass", re.sub(r"^(\s*)\w.*\?\s*$", r"\1pass", line))
        for line in source.splitlines()
    ]
    return "\n".join(kept)


def processor_time() -> float:
    """Return how many seconds of processor time this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def with_time(seconds: float, function: Callable, *arguments: Any) -> Any:
    """Call a function; raise `TooLong` when it has used so many seconds of processor time."""

    def ring(*_: Any) -> None:
        raise limits.TooLong

    signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, max(seconds, 0.01), 0.5)
    try:
        return function(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def answer(function: Callable, arguments: dict[str, Any], end: float) -> tuple[dict[str, Any], Any]:
    """Return the message with the values of a function, or with the trouble in the way."""
    try:
        clock = limits.Clock(float("inf"))  # processor time counts here
        given = with_time(end - processor_time(), answers.values, function, arguments, clock)
        return {"calls": given.calls}, given.returned
    except answers.Trouble as trouble:
        status, said = trouble.status, trouble.words
    except limits.TooLong:
        status, said = "too long", "It took too long and was stopped."
    except BaseException as error:
        status, said = "raised", f"It raised {answers.described(error)}."
    if status == "raised" and re.search(r"MemoryError|can't allocate memory", said):
        status = "out of memory"
    return {"trouble": [status, said[:4000]]}, None
