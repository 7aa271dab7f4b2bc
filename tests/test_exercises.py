"""Every declared exercise keeps its promises, on the public inputs and on inputs from other seeds.

The reference passes, every mistake gets its own hint, every alternative passes, the stub is not attempted;
what students are given is what the generator makes; the solution notebook scores full.
"""

import importlib.util
import re
from functools import cache
from pathlib import Path

import nbformat
import numpy as np
import pytest

from gennet.exercises import declare, stored
from gennet.exercises.answers import Answer
from gennet.exercises.diagnosis import behaves_like, diagnose
from gennet.exercises.limits import Clock

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("make_exercises", ROOT / "lib/make_exercises.py")
make_exercises = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_exercises)

SETS = declare.load(ROOT / "solutions/exercises")
SEEDS = (make_exercises.PUBLIC_SEED, 1, 2026, 987654321)
EXERCISES = [exercise for problem_set in SETS for exercise in problem_set.exercises]
FUNCTIONS = [(exercise, function) for exercise in EXERCISES for function in exercise.functions]
MISTAKES = [(exercise, function, m) for exercise, function in FUNCTIONS for m in function.mistakes]
ALTERNATIVES = [(exercise, function, a) for exercise, function in FUNCTIONS for a in function.alternatives]

each_seed = pytest.mark.parametrize("seed", SEEDS)
each_set = pytest.mark.parametrize("problem_set", SETS, ids=[problem_set.name for problem_set in SETS])
each_function = pytest.mark.parametrize(
    ("exercise", "function"), FUNCTIONS, ids=[function.name for _, function in FUNCTIONS]
)


def patience() -> Clock:
    """Time enough on a busy machine; how long a check may take is tested elsewhere."""
    return Clock(60)


@cache
def stored_exercise(exercise_id: str, seed: int) -> stored.StoredExercise:
    return next(exercise for exercise in EXERCISES if exercise.id == exercise_id).stored(seed)


def question(exercise: declare.Exercise, function: declare.Function, seed: int) -> stored.Question:
    questions = stored_exercise(exercise.id, seed).questions
    return next(question for question in questions if question.name == function.name)


@each_seed
@each_function
def test_reference_passes(exercise, function, seed):
    verdict = diagnose(question(exercise, function, seed), function.reference, patience())
    assert verdict.status == "passed", verdict.words
    assert verdict.words == function.right


@each_seed
@pytest.mark.parametrize(
    ("exercise", "function", "mistake"),
    MISTAKES,
    ids=[f"{f.name}-{m.answer.__name__}" for _, f, m in MISTAKES],
)
def test_mistake_is_refused_with_its_own_hint(exercise, function, mistake, seed):
    verdict = diagnose(question(exercise, function, seed), mistake.answer, patience())
    assert (verdict.status, verdict.mistake, verdict.words) == ("mistake", mistake.name, mistake.hint)


@each_seed
@each_function
def test_right_answer_looks_like_no_mistake(exercise, function, seed):
    """Also where a mistake is recognised by some of its outputs only, these are not the right ones."""
    asked = question(exercise, function, seed)
    right = [as_answer(asked, case) for case in asked.cases]
    assert not [mistake.name for mistake in asked.mistakes if behaves_like(mistake, asked, right)]


def as_answer(asked: stored.Question, case: stored.Case) -> Answer:
    """Return what an answer gives that has the expected outputs of a case."""
    both = list(zip(asked.outputs, case.expected, strict=True))
    returned = [value for output, value in both if not output.derived]
    calls = next((value.tolist() for output, value in both if output.derived == "calls"), [])
    return Answer(returned if len(returned) > 1 else returned[0], calls)


@each_seed
@pytest.mark.parametrize(
    ("exercise", "function", "alternative"),
    ALTERNATIVES,
    ids=[f"{f.name}-{a.__name__}" for _, f, a in ALTERNATIVES],
)
def test_alternative_passes(exercise, function, alternative, seed):
    verdict = diagnose(question(exercise, function, seed), alternative, patience())
    assert verdict.status == "passed", verdict.words


@each_function
def test_stub_is_not_attempted(exercise, function):
    room: dict = {}
    exec(function.stub(), room)
    assert diagnose(question(exercise, function, SEEDS[0]), room[function.name]).status == "not attempted"


@each_function
def test_declaration_is_complete(exercise, function):
    """There are hints, known mistakes, and proof that styles are free; all of them are sentences."""
    assert function.points > 0 and exercise.minutes > 0
    assert len(function.mistakes) >= 3 and len(function.alternatives) >= 3 and len(function.hints) >= 2
    assert len({m.name for m in function.mistakes}) == len(function.mistakes)
    assert all(len(m.hint) > 30 and m.hint[-1] in ".?!" for m in function.mistakes)
    assert len(question(exercise, function, SEEDS[0]).cases) >= 4
    assert function.reference.__doc__ and function.right.endswith(".")
    derived = [bool(output.derived) for output in function.outputs]
    assert derived == sorted(derived) and not derived[0], "first what is returned, then what is derived"
    free = any(output.same == "anything" for output in function.outputs)
    assert any(derived) or not free, "something must be compared"


def test_identifiers_are_unique():
    names = [exercise.id for exercise in EXERCISES]
    assert len(set(names)) == len(names)


@each_function
def test_other_seeds_give_other_inputs(exercise, function):
    first, second = (question(exercise, function, seed).cases for seed in SEEDS[:2])
    assert [flat(case) for case in first] != [flat(case) for case in second]


def flat(case: stored.Case) -> list:
    arrays: dict = {}
    return [stored.pack(case.arguments, "", arrays), *(array.tolist() for array in arrays.values())]


@each_set
def test_stored_cases_are_what_the_generator_makes(problem_set):
    path = stored.FOLDER / problem_set.name
    assert make_exercises.is_current(problem_set.stored(SEEDS[0]), path), "run `make notebooks`"


@each_set
def test_stored_cases_are_plain(problem_set):
    with np.load(stored.FOLDER / f"{problem_set.name}.npz", allow_pickle=False) as arrays:
        assert {arrays[name].dtype.kind for name in arrays} <= set("biufcU")


@each_set
def test_students_text_is_what_the_generator_makes(problem_set):
    text = ROOT / f"chapters/text/exercises/{problem_set.name}.md"
    assert text.read_text(encoding="utf-8") == make_exercises.text_of(problem_set), "run `make notebooks`"


def test_nothing_is_left_over_from_a_set_that_is_gone():
    names = {problem_set.name for problem_set in SETS}
    assert {path.stem for path in stored.FOLDER.iterdir()} == names
    assert {path.stem for path in (ROOT / "chapters/text/exercises").iterdir()} == names


@each_set
def test_unsolved_notebook_says_so(problem_set):
    """Cells equal to the text and their execution are tested with all notebooks."""
    said = printed(ROOT / f"chapters/exercises/{problem_set.name}.ipynb")
    names = [f"{e.id} {f.name}" for e in problem_set.exercises for f in e.functions]
    assert re.findall(r"^(.*): not attempted yet\.$", said, flags=re.MULTILINE) == names
    assert f": 0 of {len(problem_set.exercises)} exercises passed, 0 of " in said


@each_set
def test_solution_notebook_scores_full(problem_set):
    said = printed(ROOT / f"solutions/{problem_set.name}.ipynb")
    number, points = len(problem_set.exercises), sum(e.points for e in problem_set.exercises)
    assert (
        f": {number} of {number} exercises passed, {points} of {points} points\n" in said.split("Where")[-1]
    )
    derived = [e for e in problem_set.exercises if e.derivation]
    text = (ROOT / f"solutions/text/{problem_set.name}.md").read_text(encoding="utf-8")
    assert text.count("### Derivation") == len(derived), "every derivation that is asked for is given"


def printed(notebook: Path) -> str:
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_stale_cases_are_found(tmp_path):
    made, path = SETS[0].stored(SEEDS[0]), tmp_path / "01_a_set"
    assert not make_exercises.is_current(made, path)
    stored.write(made, path)
    assert make_exercises.is_current(made, path)

    words = path.with_suffix(".json")
    original = words.read_text(encoding="utf-8")
    words.write_text(
        original.replace("the largest must come first", "the largest comes last"), encoding="utf-8"
    )
    assert not make_exercises.is_current(made, path)
    words.write_text(original, encoding="utf-8")
    assert make_exercises.is_current(made, path)

    basis = "01/exercises/0/questions/0/cases/2/expected/1"
    change_array(path, basis, lambda a: a * [-1, 1, -1])  # another machine's signs
    assert make_exercises.is_current(made, path)
    change_array(path, basis, lambda a: a + 1e-6)
    assert not make_exercises.is_current(made, path)


def change_array(path: Path, name: str, change) -> None:
    with np.load(path.with_suffix(".npz")) as arrays:
        changed = {key: change(arrays[key]) if key == name else arrays[key] for key in arrays}
    assert name in changed
    np.savez(path.with_suffix(".npz"), **changed)
