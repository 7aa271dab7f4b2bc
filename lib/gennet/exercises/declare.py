"""What an author writes: an exercise is one declaration, from which everything else is made.

From a declaration come the student's notebook, the stored public cases behind `check`, and, on inputs from
any other seed, the tests of this repository and of whoever marks. Declarations lie in
``solutions/exercises``, one file a problem set, each with a `ProblemSet` called SET; a set's solution text is
the only other place.

What can be asked:

* Arguments and results are numbers, texts, arrays, None, and lists and dictionaries of them in any depth,
  like the weights of a network. An answer may return tuples, named tuples, lists, tensors; they are
  compared in the structure of the reference. It must not change its arguments.
* An argument may be a function: write it in `given`, decorated with ``@listed``, and yield
  ``Given("its_name", rate=2.0)``; stored cases name it. It imports no other room of the library,
  and its source is open to students: it must not be the answer to an exercise.
* In which order an answer calls such functions is an output of its own: ``Output("calls", "one entry a call",
  derived="calls")``. Of a call only the name of the parameter is noted.
* Where more is free than a comparison of `compare` allows (a sign that two results share, a threshold between
  two values, the entries of a dual), let the result itself be ``same="anything"`` and put after it what a
  right answer determines: ``Output("image", "(N, M)", derived="product")``, where ``product(basis, code)``
  is a function of `given` whose parameters name results and arguments. Mistakes are seen in it, too.
* Of random draws the law is compared (``same="law"``, where `tolerance` is the probability that a right
  answer is refused), or a moment, with a tolerance of five standard errors at least. Ask for a seed, or hand
  over the random numbers: a generator cannot be stored.

A gradient that PyTorch could still take is no array: where it matters, ask for a value *and* its gradient.
"""

import copy
import importlib.util
import inspect
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .answers import Answer, fresh, outputs_of, watched
from .stored import Case, KnownMistake, Output, Question, StoredExercise, StoredSet

Inputs = Callable[[np.random.Generator], Iterator[tuple]]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer worth a hint of its own.

    Parameters
    ----------
    answer
        The mistake, implemented; it is called by the name of this function.
    hint
        One sentence or two that help whoever made it.
    seen_in
        The outputs by which it is recognised; all of them if empty. Name those that the mistake determines
        whatever else is done.
    same
        The comparison by which it is recognised, if not the one of the output.
    """

    answer: Callable
    hint: str
    seen_in: tuple[str, ...] = ()
    same: str | None = None

    @property
    def name(self) -> str:
        """The name of the implementation, as words."""
        return self.answer.__name__.replace("_", " ")


def mistake(hint: str, seen_in: str = "", same: str | None = None) -> Callable[[Callable], Mistake]:
    """Declare the decorated function a mistake with this hint; `seen_in` names outputs, with spaces."""
    return lambda answer: Mistake(answer, hint, tuple(seen_in.split()), same)


@dataclass(frozen=True)
class Function:
    """A function that the student writes.

    Parameters
    ----------
    reference
        A right answer. Its name, its signature and its docstring are those of the student's stub.
    points
        What a right answer is worth.
    outputs
        What it returns, in order, and how each is compared.
    inputs
        Yields the arguments of one call after another, drawn from the generator it is given. Begin with the
        smallest; no case may leave the right answer open further than the comparison allows.
    right
        One sentence on what makes a right answer right.
    hints
        Further hints, each saying more than the one before.
    mistakes, alternatives
        Wrong answers with their hints; right answers in other styles.
    """

    reference: Callable
    points: int
    outputs: tuple[Output, ...]
    inputs: Inputs
    right: str
    hints: tuple[str, ...]
    mistakes: tuple[Mistake, ...]
    alternatives: tuple[Callable, ...]

    @property
    def name(self) -> str:
        """The name that the student's function has."""
        return self.reference.__name__

    def cases(self, rng: np.random.Generator) -> list[Case]:
        """Draw inputs and work out what is expected on them, and what each mistake gives instead."""
        names = list(inspect.signature(self.reference).parameters)
        outputs = [output.name for output in self.outputs]
        drawn = []
        for values in self.inputs(rng):
            arguments = dict(zip(names, values, strict=False))
            expected = list(self.results(self.reference, arguments, outputs).values())
            mistaken = {}
            for m in self.mistakes:
                seen_in = list(m.seen_in or outputs)
                wrong = self.results(m.answer, arguments, seen_in)
                mistaken[m.name] = [wrong[name] for name in seen_in]
            drawn.append(Case(arguments, expected, mistaken))
        return drawn

    def results(self, answer: Callable, arguments: dict[str, Any], names: list[str]) -> dict[str, Any]:
        """Call a declared answer and return outputs by name, as arrays in whatever structure they have."""
        calls: list[str] = []
        returned = fresh(answer(*watched(copy.deepcopy(arguments), calls)))
        found = outputs_of(list(self.outputs), Answer(returned, calls), arguments, names)
        return {output.name: as_arrays(value) for output, value in found}

    def question(self, rng: np.random.Generator) -> Question:
        """Return what a check needs, on inputs from this generator."""
        outputs = [output.name for output in self.outputs]
        mistakes = [KnownMistake(m.name, m.hint, list(m.seen_in or outputs), m.same) for m in self.mistakes]
        return Question(
            name=self.name,
            points=self.points,
            outputs=list(self.outputs),
            right=self.right,
            hints=list(self.hints),
            mistakes=mistakes,
            cases=self.cases(rng),
        )

    def stub(self) -> str:
        """Return the source of the function as the student finds it."""
        doc = inspect.cleandoc(self.reference.__doc__)
        quoted = f'"""{doc}"""' if "\n" not in doc else f'"""{doc}\n"""'
        body = "\n".join(f"    {line}".rstrip() for line in quoted.splitlines())
        return f"def {self.name}{inspect.signature(self.reference)}:\n{body}\n    return None  # your answer"


@dataclass(frozen=True)
class Derivation:
    """A text cell that a person marks: the task, and a rubric of (points, what earns them)."""

    task: str
    rubric: tuple[tuple[int, str], ...]

    @property
    def points(self) -> int:
        """The points of the whole rubric."""
        return sum(points for points, _ in self.rubric)


@dataclass(frozen=True)
class Exercise:
    """One exercise: what it mirrors, what it is for, its statement (Markdown), functions and derivation."""

    id: str
    title: str
    mirrors: str
    purpose: str
    minutes: int
    statement: str
    functions: tuple[Function, ...]
    derivation: Derivation | None = None

    @property
    def points(self) -> int:
        """The points of its functions."""
        return sum(function.points for function in self.functions)

    def stored(self, seed: int) -> StoredExercise:
        """Return what a check needs; every function draws from a stream of its own."""
        questions = [
            function.question(
                np.random.default_rng([seed, zlib.crc32(f"{self.id} {function.name}".encode())])
            )
            for function in self.functions
        ]
        return StoredExercise(
            self.id, self.title, questions, self.derivation.points if self.derivation else 0
        )


@dataclass(frozen=True)
class ProblemSet:
    """The exercises of one notebook, ``chapters/exercises/<name>.ipynb``, and its first paragraph."""

    name: str
    title: str
    opening: str
    exercises: tuple[Exercise, ...]

    @property
    def number(self) -> str:
        """The digits with which its name begins."""
        return self.name.partition("_")[0]

    def stored(self, seed: int) -> StoredSet:
        """Return what the checks of the set need, on inputs from a seed."""
        return StoredSet(self.number, self.title, [exercise.stored(seed) for exercise in self.exercises])


def as_arrays(value: Any) -> Any:
    """Turn the leaves of a structure into arrays."""
    if isinstance(value, dict):
        return {name: as_arrays(part) for name, part in value.items()}
    return [as_arrays(part) for part in value] if isinstance(value, list) else np.asarray(value)


def load(folder: Path) -> list[ProblemSet]:
    """Load every problem set that is declared in a folder."""
    sets = []
    for path in sorted(folder.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"declared_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sets.append(module.SET)
    return sets
