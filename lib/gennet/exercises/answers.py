"""Ask an answer for its values on one input, and say in words what stands in the way.

The values come back as fresh arrays, whatever library they were made with. Nothing here knows what is right:
a sandbox that asks a submission for its values on other inputs does the same.
"""

import copy
import dis
import inspect
import linecache
import reprlib
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from numbers import Number
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import limits
from .given import FUNCTIONS, Given
from .stored import Output

OURS = str(Path(__file__).parents[1])
LARGEST = 1 << 20  # entries of an array from which something is derived
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class Trouble(Exception):
    """Why an answer has no values to compare, or not the right ones: a status, and words for the student."""

    def __init__(self, status: str, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


class Answer(NamedTuple):
    """What an answer returns on one input, and which given functions it calls, in order, by parameter."""

    returned: Any
    calls: list[str]


def values(function: Callable, arguments: dict[str, Any], clock: limits.Clock) -> Answer:
    """Call an answer and return what it gives, with every array and tensor as a fresh array.

    Raises
    ------
    Trouble
        If it takes other arguments, raises an exception, uses up the clock, or changes its input.
    """
    check_signature(function, arguments)
    given, calls = copy.deepcopy(arguments), []
    try:
        returned = fresh(limits.call(function, watched(given, calls), clock))
    except limits.TooLong as stop:
        words = f"It took too long and was stopped{own_line(stop)}\nIs there a loop that never ends?"
        raise Trouble("too long", words) from None
    except (Exception, SystemExit) as error:
        if described(error) == "NotImplementedError":  # and no more: a stub of the student's own
            raise Trouble("not attempted", "") from None
        raise Trouble("raised", f"It raised {described(error)}{own_line(error)}") from None
    for name in arguments:
        if not same_tree(arguments[name], given[name]):
            words = (
                f"It changes its argument {name}, which belongs to the caller. Work on a new array: "
                f"a = a - b makes one, a -= b does not; or begin with {name} = {name}.copy()."
            )
            raise Trouble("modified", words)
    return Answer(returned, calls)


def watched(arguments: dict[str, Any], calls: list[str]) -> list[Any]:
    """Return the arguments; of those that are functions, the names go to `calls` whenever they are called."""

    def watch(name: str, function: Given) -> Callable:
        def call(*positional: Any, **named: Any) -> Any:
            calls.append(name)
            return function(*positional, **named)

        return call

    return [watch(name, a) if isinstance(a, Given) else a for name, a in arguments.items()]


def check_signature(function: Callable, arguments: dict[str, Any]) -> None:
    """Raise `Trouble` if the function cannot be called with so many arguments."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C do not say what they take
        return
    try:
        signature.bind(*arguments.values())
    except TypeError:
        called = ", ".join(arguments)
        raise Trouble("signature", f"It takes {signature}, but it is called with ({called}).") from None


def is_stub(function: Callable) -> bool:
    """Tell whether a function does nothing but return None, as in the notebook before it is edited."""
    nothing = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
    return (
        inspect.isfunction(function)
        and {step.opname for step in dis.get_instructions(function)} <= nothing
        and {step.argval for step in dis.get_instructions(function) if step.opname[-5:] == "CONST"} <= {None}
    )


def fresh(value: Any) -> Any:
    """Turn tensors and arrays, in lists and dictionaries too, into new arrays; tuples become lists."""
    if hasattr(value, "detach"):  # a PyTorch tensor, on any device, with or without a gradient
        return np.array(value.detach().cpu().numpy())
    if isinstance(value, np.ndarray):
        return np.array(value)
    if isinstance(value, Mapping):
        return {name: fresh(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [fresh(part) for part in value]
    return value


def same_tree(before: Any, after: Any) -> bool:
    """Compare two inputs, bit by bit."""
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(same_tree(before[name], after[name]) for name in before)
    if isinstance(before, list):
        return len(before) == len(after) and all(map(same_tree, before, after))
    if isinstance(before, np.ndarray):
        return before.shape == after.shape and before.tobytes() == after.tobytes()
    if isinstance(before, Given):
        return same_tree(before.fixed, after.fixed)
    return before is after or before == after


def described(error: BaseException) -> str:
    """Return the kind of an exception and the first line of what it says."""
    try:
        said = (str(error).strip().splitlines() or [""])[0]
    except Exception:  # the student's own exception class may fail in its turn
        said = ""
    return f"{type(error).__name__}: {said[:200]}" if said else type(error).__name__


def own_line(error: BaseException) -> str:
    """Quote the last line of the student's own code on the way to an exception, if there is one."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        is_own = not frame.filename.startswith((OURS, *LIBRARIES, "<frozen"))
        if is_own and (line := linecache.getline(frame.filename, frame.lineno).strip()):
            return f"\nin line {frame.lineno} of {frame.name}:\n    {line}"
    return "."


def split(returned: Any, names: list[str]) -> list[Any]:
    """Return one value for each output, whether they came as a tuple, a list or the rows of an array."""
    if len(names) == 1:
        return [returned]
    if isinstance(returned, np.ndarray) and returned.ndim > 0:
        returned = list(returned)
    if not isinstance(returned, list) or len(returned) != len(names):
        what = f"{len(returned)} results" if isinstance(returned, list) else kind(returned)
        words = f"It returns {what}; expected are {len(names)} results: {', '.join(names)}."
        raise Trouble("outputs", words)
    return returned


def outputs_of(
    outputs: list[Output], answer: Answer, arguments: dict[str, Any], names: list[str] | None = None
) -> Iterator[tuple[Output, Any]]:
    """Go through the outputs of an answer to one input, or those with these names: first to last, one by one.

    A derived output is worked out only when its turn comes, after the results it is made of were looked at.

    Raises
    ------
    Trouble
        If there are not so many results, or an output cannot be derived from them.
    """
    returned = [output.name for output in outputs if not output.derived]
    results = dict(zip(returned, split(answer.returned, returned), strict=True))
    for output in outputs:
        if names is None or output.name in names:
            if output.derived == "calls":
                yield output, np.array(answer.calls, dtype=str)
            elif output.derived:
                yield output, derive(output, arguments | results)
            else:
                yield output, results[output.name]


def derive(output: Output, known: dict[str, Any]) -> Any:
    """Work out a derived output from results and arguments."""
    function = FUNCTIONS[output.derived]
    chosen = {name: tidied(known[name]) for name in inspect.signature(function).parameters}
    if any(np.size(value) > LARGEST for value in chosen.values() if isinstance(value, np.ndarray)):
        raise Trouble("outputs", f"{output.name}: the arrays are too large to work it out.")
    try:
        return fresh(function(**chosen))
    except Exception as error:
        made = ", ".join(chosen)
        words = f"{output.name} cannot be worked out from {made}: {described(error)}."
        raise Trouble("different", words) from None


def tidied(value: Any) -> Any:
    """Turn lists of numbers into arrays."""
    if not isinstance(value, list):
        return value
    try:
        return np.array(value)
    except ValueError:  # of unequal parts
        return [tidied(part) for part in value]


def pairs(name: str, expected: Any, given: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Walk side by side through an expected output and a given one: (name, expected, given) for every array.

    Raises
    ------
    Trouble
        If the structure is another one, or something cannot be read as an array of numbers (or as text).
    """
    if isinstance(expected, dict):
        if not isinstance(given, dict) or given.keys() != expected.keys():
            named = ", ".join(map(repr, expected))
            raise Trouble("outputs", f"{name} is {kind(given)}; expected is a dict with the keys {named}.")
        parts = [(f"{name}[{key!r}]", expected[key], given[key]) for key in expected]
    elif isinstance(expected, list):
        if not isinstance(given, list | np.ndarray) or len(given) != len(expected):
            raise Trouble("outputs", f"{name} is {kind(given)}; expected is a list of {len(expected)}.")
        parts = [(f"{name}[{n}]", *both) for n, both in enumerate(zip(expected, given, strict=True))]
    else:
        return [(name, expected, as_array(name, given))]
    return [leaf for part in parts for leaf in pairs(*part)]


def as_array(name: str, given: Any) -> np.ndarray:
    """Return a given value as an array of numbers or of text."""
    if given is None:
        raise Trouble("outputs", f"{name} is None. Is it computed, and returned?")
    try:
        array = np.asarray(given)
    except Exception:
        words = (
            f"{name} cannot be read as an array of numbers: it is {kind(given)}, perhaps of unequal parts."
        )
        raise Trouble("dtype", words) from None
    if array.dtype == object and isinstance(given, Number):  # a fraction or a decimal number
        array = np.asarray(float(given))
    if array.dtype.kind not in "biufcU":
        words = f"{name} is {kind(given)} of dtype {array.dtype}; expected are numbers (dtype float64)."
        raise Trouble("dtype", words)
    return array


def kind(value: Any) -> str:
    """Say what a value is, for a message."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"one array of shape {value.shape}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, int | float | complex):
        return f"the number {value!r}"
    if isinstance(value, str):
        return f"the text {reprlib.repr(value)}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
