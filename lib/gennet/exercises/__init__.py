"""Exercises that answer back: `check` an answer, ask for a `hint`, see a `summary`.

An answer is compared with stored public cases; no reference answer is in a student's hands. How an exercise
is declared, and how the stored cases are made from its declaration, is in `gennet.exercises.declare`. Marking
what students hand in is no part of this.
"""

import textwrap
from collections.abc import Callable
from typing import Any

from . import progress
from .answers import fresh
from .diagnosis import LIMIT, WIDTH, Verdict, diagnose
from .limits import Clock
from .stored import Question, StoredExercise, all_sets

__all__ = ["check", "failed_input", "hint", "summary"]

_failed_inputs: dict[str, list[Any]] = {}  # by exercise: the arguments on which it failed last
_hints_given: dict[tuple[str, str], int] = {}  # by exercise and function


def check(exercise: str, *functions: Callable) -> None:
    """Say whether an answer is right and, if not, what is probably wrong with it.

    Parameters
    ----------
    exercise
        Its identifier, such as ``"E1"``.
    functions
        Your functions, without brackets; where an exercise asks for several, those you have so far.

    Examples
    --------
    >>> check("E1", lambda W, D: None)
    E1 eigenspace_fit: not attempted yet.
    """
    found = find_exercise(exercise)
    if found is None:
        return
    answers = assign(found, functions)
    if isinstance(answers, str):
        print(answers)
        return
    clock, passed, attempted, late = Clock(LIMIT), [], False, False
    for question, function in answers:
        if late:
            print(f"{found.id} {question.name}: not checked, the time was used up.")
            continue
        verdict = diagnose(question, function, clock)
        attempted |= verdict.status != "not attempted"
        late = verdict.status == "too long"
        passed += [question.name] * (verdict.status == "passed")
        print(report(found, question, verdict))
    if attempted:
        progress.record(found.id, passed)


def report(exercise: StoredExercise, question: Question, verdict: Verdict) -> str:
    """Write a verdict as it is shown."""
    heading = f"{exercise.id} {question.name}:"
    if verdict.status == "not attempted":
        return f"{heading} not attempted yet."
    if verdict.status == "passed":
        return f"{heading} passed.\n{wrapped(verdict.words)}"
    lines = [f"{heading} not yet.", wrapped(verdict.words)]
    if verdict.number is not None:
        arguments = question.cases[verdict.number].arguments
        _failed_inputs[exercise.id] = list(arguments.values())
        lines.append(f'  To work with this input: {", ".join(arguments)} = failed_input("{exercise.id}")')
    return "\n".join(lines)


def wrapped(words: str) -> str:
    """Indent by two and break long lines, except lines that are indented already: arrays and code."""
    lines = []
    for line in words.splitlines():
        lines += [line] if line.startswith(" ") else textwrap.wrap(line, WIDTH - 2)
    return textwrap.indent("\n".join(lines), "  ")


def failed_input(exercise: str) -> Any:
    """Return the arguments on which an exercise failed last, to try your function on them.

    Raises
    ------
    LookupError
        If no check of this exercise has failed on an input since the kernel started.
    """
    if exercise not in _failed_inputs:
        raise LookupError(
            f"failed_input: no check of {exercise} has failed on an input since the kernel started."
        )
    arguments = fresh(_failed_inputs[exercise])
    return arguments if len(arguments) > 1 else arguments[0]


def hint(exercise: str) -> None:
    """Show one more hint for the first function of an exercise that has not passed yet."""
    found = find_exercise(exercise)
    if found is None:
        return
    passed = progress.load().get(found.id, {}).get("passed", {})
    open_questions = [question for question in found.questions if question.name not in passed]
    if not open_questions:
        print(f"{found.id} is passed: no hint is needed.")
        return
    question = open_questions[0]
    given = _hints_given.get((found.id, question.name), 0)
    number = given % len(question.hints)
    if given and number == 0:
        print(f"These were all hints for {question.name}. Once more from the first:")
    print(f"{found.id} {question.name}, hint {number + 1} of {len(question.hints)}:")
    print(wrapped(question.hints[number]))
    _hints_given[found.id, question.name] = given + 1


def summary(number: str) -> None:
    """Show the state of a problem set, such as ``"01"``: which exercises are passed, and the points."""
    if number not in all_sets():
        print(f"There is no problem set {number!r}. There are: {', '.join(map(repr, all_sets()))}.")
        return
    chosen, entries = all_sets()[number], progress.load()
    rows, solved, scored = [], 0, 0
    for exercise in chosen.exercises:
        state, points = state_of(exercise, entries.get(exercise.id))
        rows.append((exercise.id, exercise.title, state, f"{points} of {exercise.points} points"))
        solved, scored = solved + (state == "passed"), scored + points
    total = sum(exercise.points for exercise in chosen.exercises)
    print(f"{chosen.title}: {solved} of {len(rows)} exercises passed, {scored} of {total} points")
    widths = [max(map(len, column)) + 3 for column in zip(*rows, strict=True)]
    for row in rows:
        print("  " + "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    derivations = [f"{e.id} ({e.derivation_points} points)" for e in chosen.exercises if e.derivation_points]
    if derivations:
        print(f"Derivations are read by a person and counted apart: {', '.join(derivations)}")


def state_of(exercise: StoredExercise, entry: dict[str, Any] | None) -> tuple[str, int]:
    """Say in words how far an exercise is, and count its points."""
    if entry is None:
        return "not attempted", 0
    passed = [question for question in exercise.questions if question.name in entry["passed"]]
    points = sum(question.points for question in passed)
    if len(passed) == len(exercise.questions):
        return "passed", points
    return f"{len(passed)} of {len(exercise.questions)} functions passed" if passed else "not yet", points


def find_exercise(name: str) -> StoredExercise | None:
    """Find an exercise by its identifier; if there is none, say which there are."""
    exercises = {exercise.id: exercise for chosen in all_sets().values() for exercise in chosen.exercises}
    if name not in exercises:
        print(f"There is no exercise {name!r}. There are: {', '.join(exercises)}.")
    return exercises.get(name)


def assign(
    exercise: StoredExercise, functions: tuple[Callable, ...]
) -> list[tuple[Question, Callable]] | str:
    """Find which function answers which question, by its name, else by its place; or say what is amiss."""
    names = [question.name for question in exercise.questions]
    if not functions or not all(map(callable, functions)):
        return f'Give the function itself, without brackets: check("{exercise.id}", {", ".join(names)})'
    named = {f.__name__: f for f in functions if getattr(f, "__name__", None) in names}
    others = [f for f in functions if getattr(f, "__name__", None) not in names]
    free = [name for name in names if name not in named]
    if len(others) > len(free):
        return f"{exercise.id} asks for {', '.join(names)}; {len(functions)} functions were given."
    answers = named | dict(zip(free, others, strict=False))
    return [(question, answers[question.name]) for question in exercise.questions if question.name in answers]
