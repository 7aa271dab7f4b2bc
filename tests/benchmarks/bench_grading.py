"""How long does it take to grade a class, and does the grader's memory stay flat?

Run as ``python tests/benchmarks/bench_grading.py [NUMBER]``; with 100 submissions it takes some minutes. The
problem set is the first one (seven functions in four exercises); one submission in ten is each of: wrong, not
attempted, importing PyTorch, never ending, ending its process. The promise: 100 submissions of three
exercises in less than 10 minutes on two cores, and no more memory after the last submission than after the
first tenth, up to 50 MB. A broken promise makes the exit status 1.
"""

import contextlib
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from grading import SET, notebook, run, write

from gennet.grading import commands
from gennet.grading.course import Course
from gennet.grading.sandbox import Limits

MINUTES = 10
MEGABYTES = 50
TORCH = "import torch\n"
ENDLESS = "def frame_rate(D, bytes_per_coef, baud, framing):\n    while True:\n        pass\n"
KINDS = [
    {},
    {},
    {},
    {},
    {},
    {"answers": "wrong"},
    {"answers": "stub"},
    {"cells": {"first": TORCH}},
    {"cells": {"frame_rate": ENDLESS}},
    {"cells": {"first": "import os\nos._exit(0)\n"}},
]


def resident() -> float:
    """Return the memory of this process in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main(number: int) -> int:
    """Grade; return 0 if the promises are kept."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run("release", "01", cwd=folder)
        released = folder / f"course/release/{SET}/{SET}.ipynb"
        course = Course(folder / "course")
        memory = []
        spent = 0.0
        for upto in (number // 10, number):
            for student in range(upto):
                made = notebook(released, **KINDS[student % len(KINDS)])
                write(made, folder / f"in/s{student:04}/{SET}.ipynb")
            run("collect", "01", "in", cwd=folder)
            start = time.perf_counter()
            with contextlib.redirect_stdout(None):
                commands.grade(course, "01", Limits(), safe=True, workers=2, again=False)
            spent += time.perf_counter() - start
            memory.append(resident())
        start = time.perf_counter()
        run("feedback", "01", cwd=folder)
        pages = time.perf_counter() - start
    print(f"{number} submissions of {SET}, two at a time, on {os.cpu_count()} cores:")
    print(
        f"  graded in {spent / 60:.1f} minutes, {spent / number:.2f} s each; promised: {MINUTES} min for 100"
    )
    print(f"  pages for students in {pages / 60:.1f} minutes")
    print(f"  memory of the grader after {number // 10}: {memory[0]:.0f} MB, after all: {memory[1]:.0f} MB")
    kept = spent / number * 100 < 60 * MINUTES and memory[1] - memory[0] < MEGABYTES
    print("promise kept" if kept else "PROMISE BROKEN")
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
