"""Say what is wrong with an answer: the one thing that helps most, from stored public cases alone.

In this order: it is not attempted; it gives no values (see `answers`); it gives the values of a known
mistake; its values are of another shape or kind, or differ: then the first input on which they do is shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from .answers import Answer, Trouble, is_stub, outputs_of, pairs, values
from .compare import Place, difference
from .limits import Clock
from .stored import Case, KnownMistake, Output, Question

LIMIT = 1.5  # seconds that all calls of a check may take together
WIDTH = 100  # columns of a message
SMALL = 16  # entries up to which an array is shown in full

CONTAINERS = (np.ndarray, list, dict)
FREEDOM = {
    "signs": " (the sign of a column is free)",
    "row signs": " (the sign of a row is free)",
    "order": " (the order is free)",
}


@dataclass(frozen=True)
class Verdict:
    """What was found: ``passed``, ``not attempted``, ``mistake`` or the status of a trouble; and the words.

    ``mistake`` is the name of the known mistake, ``number`` the public input that failed, counted from 0.
    """

    status: str
    words: str = ""
    mistake: str | None = None
    number: int | None = None


def diagnose(question: Question, function: Callable, clock: Clock | None = None) -> Verdict:
    """Try an answer on the inputs of a question, within the time on the clock (`LIMIT` by default)."""
    if is_stub(function):
        return Verdict("not attempted")
    clock, answers = clock or Clock(LIMIT), []
    for number, case in enumerate(question.cases):
        try:
            answers.append(values(function, case.arguments, clock))
        except Trouble as trouble:
            return failed(question, number, trouble)
    if all(answer.returned is None for answer in answers):
        return Verdict("outputs", "It returns None. Does it end with `return` and the result?")
    for number, (case, answer) in enumerate(zip(question.cases, answers, strict=True)):
        try:
            compare(question, case, answer)
        except Trouble as trouble:
            known = next((m for m in question.mistakes if behaves_like(m, question, answers)), None)
            return Verdict("mistake", known.hint, known.name) if known else failed(question, number, trouble)
    return Verdict("passed", question.right)


def compare(question: Question, case: Case, answer: Answer) -> None:
    """Raise `Trouble` with the first thing in which an answer to one case is not as expected."""
    given = outputs_of(question.outputs, answer, case.arguments)
    for right, (output, value) in zip(case.expected, given, strict=True):
        if output.derived == "calls":
            compare_calls(right, value)
            continue
        for name, expected, array in pairs(output.name, right, value):
            compare_array(output, name, expected, array)


def compare_calls(expected: np.ndarray, given: np.ndarray) -> None:
    """Raise `Trouble` if the functions that an answer is given are not called in the expected order."""
    if np.array_equal(expected, given):
        return
    both = zip_longest(expected.tolist(), given.tolist(), fillvalue="no call")
    number, (right, wrong) = next((n, pair) for n, pair in enumerate(both, start=1) if pair[0] != pair[1])
    words = f"Call {number} of the functions it is given: expected is {right}, it is {wrong}. In this order:"
    lines = [f"  {name} = {in_order(calls)}" for name, calls in (("expected", expected), ("given   ", given))]
    raise Trouble("different", "\n".join([words, *lines]))


def in_order(calls: np.ndarray) -> str:
    """Write the first calls, and how many there are."""
    return f"{', '.join(calls[:SMALL])}{', ...' * (len(calls) > SMALL)} ({len(calls)} calls)"


def compare_array(output: Output, name: str, expected: np.ndarray, given: np.ndarray) -> None:
    """Raise `Trouble` if one array is not the expected one: its shape, its kind, its values."""
    if given.shape != expected.shape:
        meaning = f", that is {output.shape}" if name == output.name and expected.ndim else ""
        wanted = f"shape {expected.shape}{meaning}" if expected.ndim else "a single number"
        words = f"{name}: expected {wanted}; given shape {given.shape}."
        if given.squeeze().shape == expected.squeeze().shape:
            words += " Only axes of length 1 are too many or missing."
        elif given.T.shape == expected.shape:
            words += " Is it transposed?"
        raise Trouble("shape", words)
    sort, wanted = given.dtype.kind, expected.dtype.kind
    if wanted in "iu" and sort not in "iu":
        words = f"{name}: expected whole numbers of an integer dtype; given dtype {given.dtype}. "
        raise Trouble("dtype", words + "If they are whole, .astype(int) makes them integers.")
    if wanted == "f" and sort == "c":
        words = f"{name}: expected real numbers; given dtype {given.dtype}. "
        raise Trouble("dtype", words + "(Of a symmetric matrix, eigh finds real eigenvectors; eig may not.)")
    if (wanted in "bU" or sort in "bU") and sort != wanted:
        raise Trouble("dtype", f"{name}: expected dtype {expected.dtype}; given {given.dtype}.")
    if sort in "fc" and (holes := ~np.isfinite(given) & np.isfinite(expected)).any():
        place = tuple(map(int, np.argwhere(holes)[0]))
        words = (
            f"{name}: {given[place]} at {at('', place) or 'the only entry'}. Is something divided by zero?"
        )
        raise Trouble("nan", words)
    place = difference(expected, given, output.same, output.tolerance)
    if place is None:
        return
    if wanted == "f" and sort in "iu" and np.abs(given - expected).max() <= 1:
        words = f"{name}: expected dtype float64; given {given.dtype}. Were values cut to whole numbers?"
        raise Trouble("dtype", words)
    raise Trouble("different", contrast(output, name, expected, given, place))


def behaves_like(mistake: KnownMistake, question: Question, answers: list[Answer]) -> bool:
    """Tell whether the answers are, on every input, those of a known mistake."""
    for case, answer in zip(question.cases, answers, strict=True):
        mistaken = dict(zip(mistake.seen_in, case.mistaken[mistake.name], strict=True))
        try:
            for output, value in outputs_of(question.outputs, answer, case.arguments, mistake.seen_in):
                same = mistake.same or output.same
                for _, expected, array in pairs(output.name, mistaken[output.name], value):
                    if (
                        array.shape != expected.shape
                        or difference(expected, array, same, output.tolerance) is not None
                    ):
                        return False
        except Trouble:
            return False
    return True


def failed(question: Question, number: int, trouble: Trouble) -> Verdict:
    """Return the verdict on a trouble, with the input on which it arose."""
    if trouble.status in ("not attempted", "signature"):
        return Verdict(trouble.status, trouble.words)
    arguments = question.cases[number].arguments
    lines = [trouble.words, f"Input {number + 1} of {len(question.cases)}:"]
    lines += [shown(name, value) for name, value in arguments.items() if isinstance(value, CONTAINERS)]
    plain = [f"{name} = {value!r}" for name, value in arguments.items() if not isinstance(value, CONTAINERS)]
    if plain:
        lines.append("  " + ", ".join(plain))
    return Verdict(trouble.status, "\n".join(lines), number=number)


def contrast(output: Output, name: str, expected: np.ndarray, given: np.ndarray, place: Place) -> str:
    """Set an expected array and a given one against each other: in full, or at the first difference."""
    free = FREEDOM.get(output.same, "")
    if output.same == "law":
        return contrast_of_laws(name, expected, given, place)
    if 1 < expected.size <= SMALL:
        return f"{name} differs{free}:\n{shown('expected', expected)}\n{shown('given   ', given)}"
    if output.same == "order":
        return f"{name}{free}: {brief(expected[place[0]])} is missing, or not there often enough."
    where = f"{at(name, place)}{free}"
    return f"{where}: expected {brief(expected[place])}, given {brief(given[place])}."


def contrast_of_laws(name: str, expected: np.ndarray, given: np.ndarray, place: Place) -> str:
    """Set draws from two distributions against each other by mean and standard deviation of one column."""
    column = (slice(None), *place[1:])
    right, wrong = (
        f"{draws[column].mean():.3g} and {draws[column].std():.3g}" for draws in (expected, given)
    )
    return (
        f"{at(name, (':', *place[1:]))}: drawn from another distribution than expected. "
        f"Mean and standard deviation: expected about {right}, given {wrong}."
    )


def at(name: str, place: tuple) -> str:
    """Write a place as an index, ``basis[3, 1]``."""
    return f"{name}[{', '.join(map(str, place))}]" if place else name


def brief(value: Any) -> str:
    """Write a number with six digits; of a row, the first few numbers."""
    if np.ndim(value):
        return f"[{', '.join(map(brief, value.flat[:4]))}{', ...' * (value.size > 4)}]"
    return f"{value:.6g}" if np.asarray(value).dtype.kind in "iuf" else str(value)


def shown(name: str, value: np.ndarray | list | dict) -> str:
    """Write ``name = value``, indented by two; of what is large only the size."""
    if isinstance(value, np.ndarray):
        if value.size > SMALL:
            return f"  {name}: an array of shape {value.shape}"
        text = np.array2string(value, precision=5, suppress_small=True, max_line_width=WIDTH)
        return f"  {name} = " + text.replace("\n", "\n" + " " * (len(name) + 5))
    return f"  {name}: a {type(value).__name__} of {len(value)}"
