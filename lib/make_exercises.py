"""Make from every declared problem set what a student gets: the public cases behind `check`, and the text.

An author edits ``solutions/exercises/NN_name.py`` and runs ``make notebooks``, which calls this first.
Written are ``lib/gennet/exercises/cases/NN_name.json`` and ``.npz`` (the cases) and
``chapters/text/exercises/NN_name.md``, from which the notebook is made like any other. A file that is right
already is left alone.
"""

import sys
from pathlib import Path

import numpy as np

from gennet.exercises.compare import difference
from gennet.exercises.declare import Derivation, Exercise, ProblemSet, load
from gennet.exercises.stored import FOLDER, StoredSet, packed, read, write

ROOT = Path(__file__).resolve().parent.parent
DECLARED = ROOT / "solutions/exercises"
TEXTS = ROOT / "chapters/text/exercises"
PUBLIC_SEED = 68  # of the inputs that students see; a marker uses another, which is kept nowhere
ROUNDING = 1e-9  # by which arrays made on two machines may differ

HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
  language: python
---"""

HOW_TO = """
Write each answer in place of `return None` and run the cell, then run the `check` below it: it tells you
whether the answer is right and, if not, what is probably wrong. `hint("{first}")` gives a hint for exercise
{first}, and a further one each time you run it. After a check that failed on one of its inputs,
`failed_input("{first}")` returns that input, for you to try things on. You can solve the exercises in any
order and stop at any time: your progress is kept on this computer only.
"""

SETUP = "import numpy as np\n\nfrom gennet.exercises import check, failed_input, hint, summary"


def text_of(problem_set: ProblemSet) -> str:
    """Write the student's text of a problem set, as MyST Markdown."""
    exercises = problem_set.exercises
    minutes, points = sum(e.minutes for e in exercises), sum(e.points for e in exercises)
    derived = sum(e.derivation.points for e in exercises if e.derivation)
    counted = f"{points} points by check" + (f", {derived} for derivations" if derived else "")
    parts = [
        HEADER,
        f"# Exercises {int(problem_set.number)}: {problem_set.title}",
        f"*{len(exercises)} exercise{'s' * (len(exercises) > 1)}, about {minutes} minutes; {counted}.*",
        problem_set.opening.strip(),
        HOW_TO.strip().format(first=exercises[0].id),
        code(SETUP),
        *(part for exercise in exercises for part in parts_of(exercise)),
        "## Where you stand",
        code(f'summary("{problem_set.number}")'),
    ]
    return "\n\n".join(parts) + "\n"


def parts_of(exercise: Exercise) -> list[str]:
    """Write one exercise: statement, a cell for each function, the check, the derivation."""
    names = ", ".join(function.name for function in exercise.functions)
    return [
        f"## {exercise.id} {exercise.title}",
        f"*Mirrors {exercise.mirrors}. {exercise.minutes} minutes, {exercise.points} points.*\n\n"
        f"**Purpose:** {exercise.purpose}.",
        exercise.statement.strip(),
        *(code(function.stub(), tags=["answer", exercise.id]) for function in exercise.functions),
        code(f'check("{exercise.id}", {names})'),
        *(derivation_parts(exercise.id, exercise.derivation) if exercise.derivation else []),
    ]


def derivation_parts(name: str, derivation: Derivation) -> list[str]:
    """Write a derivation: the task with its rubric, and a text cell for the answer."""
    rubric = "\n".join(f"| {points} | {what} |" for points, what in derivation.rubric)
    return [
        f"### {name} Derivation\n\n{derivation.task.strip()}",
        f"| points | your text |\n|---|---|\n{rubric}",
        f'+++ {{"tags": ["derivation", "{name}"]}}',
        "*Write your derivation here: double-click to edit this cell.*",
        "+++",
    ]


def code(source: str, tags: list[str] | None = None) -> str:
    """Write a code cell; YAML would read a tag like 68.1 as a number, so it is quoted."""
    quoted = (f'"{tag}"' if tag[0].isdigit() else tag for tag in tags or [])
    options = f":tags: [{', '.join(quoted)}]\n\n" if tags else ""
    return f"```{{code-cell}}\n{options}{source}\n```"


def is_current(made: StoredSet, path: Path) -> bool:
    """Tell whether a set is stored already: the same words and, up to rounding and signs, the same arrays."""
    if not (path.with_suffix(".json").exists() and path.with_suffix(".npz").exists()):
        return False
    (words, arrays), (kept_words, kept) = packed(made), packed(read(path))
    return (
        words == kept_words
        and arrays.keys() == kept.keys()
        and all(is_same(arrays[name], kept[name]) for name in arrays)
    )


def is_same(made: np.ndarray, kept: np.ndarray) -> bool:
    """Compare two arrays; another machine may give an eigenvector the other sign."""
    if made.shape != kept.shape or made.dtype != kept.dtype:
        return False
    kinds = ("close", "signs", "row signs") if made.ndim == 2 else ("close",)
    return any(difference(kept, made, kind, ROUNDING) is None for kind in kinds)


def main() -> int:
    """Make what is missing or out of date."""
    changed = []
    for problem_set in load(DECLARED):
        cases, text = FOLDER / problem_set.name, TEXTS / f"{problem_set.name}.md"
        made, words = problem_set.stored(PUBLIC_SEED), text_of(problem_set)
        if not is_current(made, cases):
            write(made, cases)
            changed += [cases.with_suffix(".json"), cases.with_suffix(".npz")]
        if not text.exists() or text.read_text(encoding="utf-8") != words:
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text(words, encoding="utf-8")
            changed.append(text)
    for path in changed:
        print("made", path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
