"""Call a function that may never return, and take the kernel back when its time is up.

In the main thread of a Unix process an alarm interrupts Python code, sleeping and waiting for input;
elsewhere (Windows, a thread) a second thread asks for the interruption, which then waits for the end of a
sleep. One long call into compiled code (a huge decomposition) ends only by itself: a sandbox can stop that.
"""

import ctypes
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

TICK = 0.05  # seconds between two looks at the clock


class TooLong(BaseException):
    """The time is up; no `except Exception` of the function catches it."""


class Clock:
    """Counts down while calls run, but not while they import a module: that may be slow the first time."""

    def __init__(self, seconds: float) -> None:
        self.left, self.last, self.running = seconds, 0.0, False

    def is_up(self, frame: FrameType | None) -> bool:
        """Look at the clock; `frame` is what the function is doing."""
        now = time.monotonic()
        passed, self.last = now - self.last, now
        if not is_importing(frame):
            self.left -= passed
        return self.running and self.left <= 0


def call(function: Callable, arguments: list, clock: Clock) -> Any:
    """Return `function(*arguments)`; raise `TooLong` when the time on the clock is used up."""
    is_main = threading.current_thread() is threading.main_thread()
    with (alarm if is_main and hasattr(signal, "setitimer") else second_thread)(clock):
        clock.last, clock.running = time.monotonic(), True
        try:
            return function(*arguments)
        finally:
            clock.running = False
            clock.is_up(None)  # counts what has passed since the last look


def is_importing(frame: FrameType | None) -> bool:
    """Tell whether a called function is waiting for an import."""
    while frame and frame.f_code is not call.__code__:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def alarm(clock: Clock) -> Iterator[None]:
    """Let the system interrupt the main thread at every tick."""

    def ring(_signal: int, frame: FrameType | None) -> None:
        if clock.is_up(frame):
            raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
        yield
    finally:
        clock.running = False  # from here on a late alarm does nothing
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def second_thread(clock: Clock) -> Iterator[None]:
    """Let a second thread interrupt this one between two steps of its Python code."""
    here, done = threading.get_ident(), threading.Event()

    def interrupt(exception: type | None) -> None:
        target = None if exception is None else ctypes.py_object(exception)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(here), target)

    def watch() -> None:
        while not done.wait(TICK):
            if clock.is_up(sys._current_frames().get(here)):
                interrupt(TooLong)

    watcher = threading.Thread(target=watch, daemon=True)
    try:
        watcher.start()
        yield
    finally:
        clock.running = False
        done.set()
        watcher.join()
        interrupt(None)  # a request that came too late is withdrawn
