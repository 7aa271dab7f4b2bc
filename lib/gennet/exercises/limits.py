"""Call a function that may never return, and take the kernel back when its time is up.

In the main thread of a Unix process an alarm interrupts Python code, sleeping and waiting for input;
elsewhere (Windows, a thread) a second thread asks for the interruption, which then waits for the end of a
sleep. A single call into compiled code (one huge decomposition) ends only by itself: a sandbox can stop that.
"""

import ctypes
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager
from types import FrameType
from typing import Any

AGAIN = 0.1  # seconds until the next attempt, should the function catch the first


class TooLong(BaseException):
    """The time is up; no `except Exception` of the function catches it."""


def call(function: Callable, arguments: list, seconds: float) -> Any:
    """Return `function(*arguments)`; raise `TooLong` after so many seconds, not counting imports."""
    timer = alarm if can_alarm() else nagging_thread
    expired = Expiry(seconds)
    with timer(expired):
        try:
            return function(*arguments)
        finally:
            expired.active = False


def can_alarm() -> bool:
    """Tell whether this thread can have an alarm."""
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


class Expiry:
    """Decides what to do when time is up: nothing if the function has returned or is importing a module."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.active = seconds, True

    def is_due(self, frame: FrameType | None) -> bool:
        """Tell whether the function that runs in this frame is to be interrupted."""
        while frame and frame.f_code is not call.__code__:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                return False
            frame = frame.f_back
        return self.active


@contextmanager
def alarm(expiry: Expiry):
    """Let the system's clock interrupt the main thread."""

    def ring(_signal: int, frame: FrameType | None) -> None:
        if expiry.is_due(frame):
            raise TooLong
        if expiry.active:
            signal.setitimer(signal.ITIMER_REAL, expiry.seconds, AGAIN)

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, expiry.seconds, AGAIN)
        yield
    finally:
        expiry.active = False  # from here on a late alarm does nothing
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def nagging_thread(expiry: Expiry):
    """Let a second thread interrupt this one between two steps of its Python code."""
    here = ctypes.c_ulong(threading.get_ident())
    done = threading.Event()
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc

    def watch() -> None:
        wait = expiry.seconds
        while not done.wait(wait):
            due = expiry.is_due(sys._current_frames().get(here.value))
            if due:
                raise_in(here, ctypes.py_object(TooLong))
            wait = AGAIN if due else expiry.seconds

    watcher = threading.Thread(target=watch, daemon=True)
    try:
        watcher.start()
        yield
    finally:
        expiry.active = False
        done.set()
        watcher.join()
        raise_in(here, None)  # a request that came too late is withdrawn
