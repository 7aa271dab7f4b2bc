"""The commands of an instructor, from the release of a problem set to the table of its marks.

Each can be interrupted at any moment and run again: what is done is kept, the rest is done then.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from gennet.exercises import stored
from gennet.exercises.declare import ProblemSet
from gennet.exercises.diagnosis import diagnose
from gennet.exercises.limits import Clock

from . import submissions
from .course import LIBRARY, Course, Stop, checksum, read_json, write_json
from .marking import STATUSES, Asked, Mark, mark_all, questions
from .sandbox import Limits, Lost, NoSandbox, examine, staged

UNSAFE = (
    "WARNING: --no-sandbox runs every submission with your rights: it can read, change and delete your files "
    "and use your network. Only processor time, memory and files of a single process are limited."
)


# ------------------------------------------------------------------------------------------- release


def release(course: Course, name: str) -> None:
    """Prove that a problem set judges rightly on hidden inputs, then make the notebook for students."""
    from . import gradebook

    problem_set = course.find(name)
    with course.alone():
        course.seed(make=True)
        if wrong := flaws(problem_set, public(problem_set), course.hidden(problem_set)):
            raise Stop("Not released. " + " ".join(wrong))
        student_version = course.root / "chapters/exercises" / f"{problem_set.name}.ipynb"
        path = gradebook.release(course, problem_set, student_version, Limits().seconds)
    print(f"Released {problem_set.name}: give students {path}")


def public(problem_set: ProblemSet) -> stored.StoredSet:
    """Return the problem set on the public inputs, as students have it."""
    path = stored.FOLDER / problem_set.name
    if not path.with_suffix(".json").exists():
        raise Stop(f"{problem_set.name} has no public cases: run make notebooks.")
    return stored.read(path)


def flaws(problem_set: ProblemSet, *versions: stored.StoredSet) -> list[str]:
    """List what is wrong with a problem set: a right answer that would fail, a wrong one that would pass."""
    found = []
    for version in versions:
        for exercise, kept in zip(problem_set.exercises, version.exercises, strict=True):
            for function, question in zip(exercise.functions, kept.questions, strict=True):
                for right in (function.reference, *function.alternatives):
                    if (verdict := diagnose(question, right, Clock(float("inf")))).status != "passed":
                        found.append(
                            f"{exercise.id}: the right answer {right.__name__} fails: {verdict.words}"
                        )
                for m in function.mistakes:
                    if diagnose(question, m.answer, Clock(float("inf"))).status == "passed":
                        found.append(f"{exercise.id}: the mistake {m.name!r} passes.")
    return found


# ------------------------------------------------------------------------------------------- collect


def collect(course: Course, name: str, source: Path, pattern: str) -> None:
    """Take over what was handed in, and say what was found."""
    problem_set = course.find(name)
    course.seed()
    functions = [function.name for exercise in problem_set.exercises for function in exercise.functions]
    with course.alone():
        found = submissions.collect(course, problem_set.name, source, functions, pattern)
    counts = Counter(found.values())
    print(
        f"{problem_set.name}: {len(found)} students. "
        + ", ".join(f"{counts[s]} {s}" for s in sorted(counts))
        + "."
    )
    for student, status in found.items():
        if not status.startswith("collected"):
            entry = read_json(
                course.path("collected", problem_set.name, f"{submissions.identity(student)}.json")
            )
            print(f"  {submissions.printable(student)}: {status}. {entry['words']}")


# ------------------------------------------------------------------------------------------- grade


def grade(course: Course, name: str, limits: Limits, safe: bool, workers: int, again: bool) -> None:
    """Mark every submission that has no mark yet, or that has changed since, or whose problem set has."""
    from . import gradebook

    problem_set = course.find(name)
    name = problem_set.name
    template = gradebook.released(course, name)
    with course.alone(), staged() as stage, gradebook.open_gradebook(course) as book:
        if safe:
            examine(stage, [course.folder.resolve(), course.declared, LIBRARY / "exercises"])
        else:
            print(UNSAFE, file=sys.stderr)
        asked = questions(public(problem_set), course.hidden(problem_set))
        fingerprint, entries = course.fingerprint(name), submissions.collected(course, name)
        if not entries:
            raise Stop(f"Nothing was collected for {name}: python -m gennet.grading collect {name} FOLDER")
        results = {student: current(course, name, entry, fingerprint) for student, entry in entries.items()}
        outdated = [entry for student, entry in entries.items() if again or results[student] is None]

        def enter(entry: dict[str, Any], result: dict[str, Any]) -> None:
            content = submissions.read(course, name, entry) if result["status"] == "read" else None
            made = gradebook.shown(template, content, result["marks"], result["notes"])
            gradebook.enter_marks(book, course, name, entry, made, result)

        for entry in outdated:  # no old mark stands while new ones are made
            course.path("results", name, f"{entry['student']}.json").unlink(missing_ok=True)
            if gradebook.state(course, name, entry["student"]):
                gradebook.withdraw(book, course, name, entry["student"])
        for student, entry in entries.items():  # what an interruption has left out of the gradebook
            result = results[student]
            if (
                result
                and entry not in outdated
                and gradebook.state(course, name, student) != state_of(result)
            ):
                enter(entry, result)

        def work(entry: dict[str, Any]) -> dict[str, Any]:
            return marked(course, name, entry, asked, stage, limits, safe, fingerprint)

        lost = []
        for entry, future in tqdm(
            in_parallel(work, outdated, workers), total=len(outdated), desc=f"grade {name}", unit="submission"
        ):
            try:
                result = future.result()
            except Lost as error:
                lost.append(f"{entry['student']}: {error}")
                continue
            write_json(course.path("results", name, f"{entry['student']}.json"), result)
            enter(entry, result)
    summarise(course, name, len(outdated))
    if lost:
        raise Stop(f"{len(lost)} submissions could not be run; run the command again. First: {lost[0]}")


def current(course: Course, name: str, entry: dict[str, Any], fingerprint: str) -> dict[str, Any] | None:
    """Return the result of a submission; None if there is none, or it is of something else."""
    result = read_json(course.path("results", name, f"{entry['student']}.json"))
    valid = result and (result["sha256"], result["fingerprint"]) == (entry["sha256"], fingerprint)
    return result if valid else None


def state_of(result: dict[str, Any]) -> str:
    """Return the checksum by which a notebook says which result it shows."""
    return checksum(repr(result).encode())


def marked(
    course: Course,
    name: str,
    entry: dict[str, Any],
    asked: list[Asked],
    stage: Path,
    limits: Limits,
    safe: bool,
    fingerprint: str,
) -> dict[str, Any]:
    """Mark one submission."""
    if entry["status"] != "collected":
        return without_mark(asked, entry, fingerprint, entry["status"], entry["words"])
    try:
        content = submissions.read(course, name, entry)
    except (OSError, submissions.Unreadable) as error:
        words = f"The notebook cannot be read: {error}"
        return without_mark(asked, entry, fingerprint, "unreadable", words)
    try:
        marks, notes = mark_all(submissions.code_of(content), asked, stage, limits, safe)
    except Lost:
        marks, notes = mark_all(submissions.code_of(content), asked, stage, limits, safe)  # once more
    return result_of(entry, fingerprint, marks, notes, "read")


def result_of(
    entry: dict[str, Any], fingerprint: str, marks: dict, notes: list[str], status: str
) -> dict[str, Any]:
    """Return what is stored of a submission; `status` is the whole notebook's, "read" if it could be read."""
    about = {"student": entry["student"], "sha256": entry["sha256"], "fingerprint": fingerprint}
    return about | {"status": status, "marks": marks, "notes": notes}


def without_mark(
    asked: list[Asked], entry: dict[str, Any], fingerprint: str, status: str, words: str
) -> dict[str, Any]:
    """Return a result in which every function has a status that is no mark."""
    marks = {question.name: vars(Mark.of(status, words)) for question in asked}
    return result_of(entry, fingerprint, marks, [], status)


def in_parallel(work: Callable, entries: Iterable, workers: int) -> Iterator[tuple[Any, Future]]:
    """Yield what is done as it is done; no more than a few results wait in memory."""
    waiting: dict[Future, Any] = {}
    with ThreadPoolExecutor(workers) as pool:
        try:
            for entry in entries:
                waiting[pool.submit(work, entry)] = entry
                if len(waiting) > 2 * workers:
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from ((waiting.pop(future), future) for future in done)
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                yield from ((waiting.pop(future), future) for future in done)
        finally:
            for future in waiting:
                future.cancel()


def summarise(course: Course, name: str, number: int) -> None:
    """Print how the functions did, and whose submissions need a person."""
    fingerprint, entries = course.fingerprint(name), submissions.collected(course, name)
    results = [r for entry in entries.values() if (r := current(course, name, entry, fingerprint))]
    print(f"{name}: {number} submissions graded now, {len(results)} of {len(entries)} have their marks.")
    names = list(results[0]["marks"]) if results else []
    for part in names:
        counts = Counter(result["marks"][part]["status"] for result in results)
        print(
            f"  {part}: " + ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
        )
    look = {
        result["student"]: dict.fromkeys(m["status"] for m in result["marks"].values() if m["points"] is None)
        for result in results
        if any(mark["points"] is None for mark in result["marks"].values())
    }
    if look:
        print("To be looked at (no mark yet; make formgrader):")
    for student, statuses in look.items():
        print(f"  {student}: {', '.join(statuses)}")


# ------------------------------------------------------------------------------------------- what goes out


def feedback(course: Course, name: str) -> None:
    """Make the pages of all submissions that have their marks."""
    from . import gradebook

    name = course.find(name).name
    fingerprint, made, failed = course.fingerprint(name), 0, []
    with course.alone():
        entries = submissions.collected(course, name)
        for student, entry in tqdm(entries.items(), desc=f"feedback {name}", unit="page"):
            result = current(course, name, entry, fingerprint)
            if result and gradebook.state(course, name, student) == state_of(result):
                try:
                    gradebook.feedback(course, name, student)
                    made += 1
                except Stop as error:
                    failed.append(str(error))
            else:
                course.path("feedback", student, name, f"{name}.html").unlink(missing_ok=True)
    print(f"{name}: {made} pages in {course.path('feedback')}; {len(entries) - made} have no marks yet.")
    if failed:
        raise Stop("\n".join(failed))


def export(course: Course, name: str, target: Path | None) -> None:
    """Write the table of a problem set."""
    from . import gradebook

    name = course.find(name).name
    target = target or course.path(f"grades-{name}.csv")
    fingerprint, entries = course.fingerprint(name), submissions.collected(course, name)

    def result(student: str) -> dict[str, Any] | None:
        found = current(course, name, entries[student], fingerprint) if student in entries else None
        return found if found and gradebook.state(course, name, student) == state_of(found) else None

    with course.alone():
        gradebook.export(course, name, target, entries, result)
    print(f"{name}: {target}")


def formgrader(course: Course, port: str, browser: bool) -> None:
    """Become nbgrader's page, to read derivations and to look at what has no mark."""
    course.seed()
    os.chdir(course.folder)
    extensions = {"nbgrader.server_extensions.formgrader": True}
    line = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={os.getcwd()}"]
    line += ["--LabApp.default_url=/formgrader", f"--ServerApp.jpserver_extensions={extensions}"]
    line += [f"--ServerApp.port={port}"] * bool(port) + ["--no-browser"] * (not browser)
    os.execv(sys.executable, line + ["--allow-root"] * (os.getuid() == 0))


# ------------------------------------------------------------------------------------------- the command line


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m gennet.grading", description="Grade what students hand in.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, help: str, many: bool = False) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help)
        added.add_argument("--course", type=Path, default=Path("course"), help="the course's folder (course)")
        if name != "formgrader":
            which = "the problem set, such as 01" + (" (all that were collected)" if many else "")
            added.add_argument("set", nargs="?" if many else None, help=which)
        return added

    command("release", "make the notebook of a problem set that students are given")
    added = command("collect", "take over a folder or a zip of submissions")
    added.add_argument(
        "source", type=Path, help="the folder, or the zip as a learning management system exports it"
    )
    added.add_argument("--pattern", default="", help="regular expression on paths, with (?P<student>...)")
    added = command("grade", "mark what was collected; only what has no mark yet", many=True)
    added.add_argument(
        "--no-sandbox", action="store_true", help="run submissions with your rights: dangerous"
    )
    added.add_argument("--again", action="store_true", help="mark everything again")
    added.add_argument("--workers", type=positive, default=cores(), help="at the same time")
    added.add_argument(
        "--seconds", type=positive, default=Limits.seconds, help="processor time for a function"
    )
    added.add_argument(
        "--memory", type=positive, default=Limits.memory >> 20, help="for a submission, in MiB"
    )
    command("feedback", "make pages for students", many=True)
    command("export", "write the table of marks", many=True).add_argument(
        "--to", type=Path, help="the CSV file"
    )
    added = command("formgrader", "start nbgrader's page: read derivations, look at what has no mark")
    added.add_argument("--port", default=os.environ.get("PORT", ""))
    added.add_argument("--no-browser", action="store_true")
    return top


def cores() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def positive(text: str) -> int:
    """Read a whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0 if all went well."""
    chosen = parser().parse_args(arguments)
    course = Course(chosen.course)
    try:
        if find_spec("nbgrader") is None:
            raise Stop(
                "nbgrader is not installed: .venv/bin/pip install -c constraints.txt -e '.[instructor]'"
            )
        if chosen.command == "formgrader":
            formgrader(course, chosen.port, not chosen.no_browser)
        elif chosen.command == "release":
            release(course, chosen.set)
        elif chosen.command == "collect":
            collect(course, chosen.set, chosen.source, chosen.pattern)
        else:
            for name in [chosen.set] if chosen.set else all_collected(course):
                if chosen.command == "grade":
                    limits = with_seconds(chosen.seconds, chosen.memory << 20)
                    grade(course, name, limits, not chosen.no_sandbox, chosen.workers, chosen.again)
                elif chosen.command == "feedback":
                    feedback(course, name)
                else:
                    export(course, name, chosen.to)
    except (Stop, NoSandbox) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. What is done is kept; run the same command again for the rest.", file=sys.stderr)
        return 130
    return 0


def with_seconds(seconds: int, memory: int) -> Limits:
    """Return limits for so many seconds of processor time a function; the others grow with it."""
    return Limits(seconds=seconds, processor=4 * seconds, wall=10 * seconds, memory=memory)


def all_collected(course: Course) -> list[str]:
    """List the problem sets of which something was collected."""
    course.seed()
    found = [path.name for path in sorted(course.path("collected").glob("*")) if path.is_dir()]
    if not found:
        raise Stop("Nothing has been collected yet: python -m gennet.grading collect SET FOLDER")
    return found
