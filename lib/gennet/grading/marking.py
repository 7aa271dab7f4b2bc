"""Mark one submission: ask its functions for values in sandboxes, compare them here, and find the words.

First come the public inputs, which students have: what is wrong on them can be shown in full. Only a function
that is right on them is asked for its values on hidden inputs; of those nothing is shown, neither the inputs
nor anything that the student's program said when it had seen them. Every function has a process of its own.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gennet.exercises.answers import Answer, Trouble
from gennet.exercises.diagnosis import behaves_like, compare, failed
from gennet.exercises.stored import Case, Question, StoredSet

from .sandbox import Limits, Sandbox

# What the gradebook, the table and the feedback say. The first four are marks; the others are no marks:
# nobody knows what the answer is worth, and a person has to look.
MARKS = ("passed", "wrong", "raised an exception", "not attempted")
STATUSES = (
    *MARKS,
    "timed out",
    "out of memory",
    "crashed",
    "missing function",
    "tampered",
    "unreadable",
    "several files",
)
OF_TROUBLE = {
    "not attempted": "not attempted",
    "raised": "raised an exception",
    "too long": "timed out",
    "out of memory": "out of memory",
    "crashed": "crashed",
    "tampered": "tampered",
}  # every other trouble is a wrong answer


@dataclass(frozen=True)
class Mark:
    """What is known of one function: a status of `STATUSES`, points (None: no mark), words for a student."""

    status: str
    points: float | None
    words: str
    mistake: str | None = None

    @classmethod
    def of(cls, status: str, words: str, points: float = 0, mistake: str | None = None) -> "Mark":
        """Make a mark; a status that is none has no points."""
        return cls(status, points if status in MARKS else None, words, mistake)


@dataclass(frozen=True)
class Asked:
    """One function: on public and on hidden inputs."""

    exercise: str
    public: Question
    hidden: Question

    @property
    def name(self) -> str:
        """The name by which results and gradebook know it."""
        return cell_name(self.exercise, self.public.name)


def cell_name(exercise: str, function: str) -> str:
    """Name the cell of the gradebook that holds the points of a function."""
    return f"{exercise}-{function}"


def questions(public: StoredSet, hidden: StoredSet) -> list[Asked]:
    """List the functions of a problem set."""
    return [
        Asked(exercise.id, question, other)
        for exercise, twin in zip(public.exercises, hidden.exercises, strict=True)
        for question, other in zip(exercise.questions, twin.questions, strict=True)
    ]


def mark_all(
    cells: list[str], asked: list[Asked], stage: Path, limits: Limits, safe: bool
) -> tuple[dict[str, Any], list[str]]:
    """Mark every function of a submission; return marks by name, as JSON holds them, and notes on cells."""
    marks: dict[str, Mark] = {}
    functions = [question.public.name for question in asked]
    begun: dict[str, Any] = {"states": {}, "notes": [], "slow": []}
    for question in asked:
        if begun["states"].get(question.public.name) not in ("missing", "stub"):
            with Sandbox(stage, limits, safe) as box:
                try:
                    begun = box.begin(cells, functions, begun["slow"])
                except Trouble as trouble:  # a notebook that ends before it is asked will do so again
                    status = OF_TROUBLE.get(trouble.status, "crashed")
                    ended = Mark.of(status, f"While the cells of the notebook ran: {trouble.words}")
                    marks |= {other.name: ended for other in asked if other.name not in marks}
                    break
                if begun["states"][question.public.name] == "written":
                    marks[question.name] = on_inputs(question, box)
                    continue
        marks[question.name] = unwritten(question, begun)
    return {name: asdict(given) for name, given in marks.items()}, begun["notes"]


def unwritten(asked: Asked, begun: dict[str, Any]) -> Mark:
    """Mark a function that is not there, or is still as it was handed out."""
    if begun["states"][asked.public.name] == "stub":
        return Mark.of("not attempted", "It returns None, as in the notebook that was handed out.")
    words = [f"After all cells have run there is no function {asked.public.name}.", *begun["notes"]]
    return Mark.of("missing function", "\n".join(words))


def on_inputs(asked: Asked, box: Sandbox) -> Mark:
    """Mark one function by its values: on public inputs first, then on hidden ones."""
    answers: list[Answer] = []
    for number, case in enumerate(asked.public.cases):
        try:
            answers.append(box.ask(asked.public.name, case.arguments, largest(case)))
        except Trouble as trouble:
            words = failed(asked.public, number, trouble).words
            return Mark.of(OF_TROUBLE.get(trouble.status, "wrong"), words)
    if found := judge(asked.public, answers):
        return found
    answers.clear()
    for case in asked.hidden.cases:
        try:
            answers.append(box.ask(asked.public.name, case.arguments, largest(case)))
        except Trouble as trouble:
            status = OF_TROUBLE.get(trouble.status, "wrong")
            return Mark.of(status, HIDDEN[status])
    if found := judge(asked.hidden, answers):
        return Mark.of(found.status, found.words if found.mistake else HIDDEN["wrong"], mistake=found.mistake)
    return Mark.of("passed", asked.public.right, asked.public.points)


def largest(case: Case) -> int:
    """Return how many bytes an answer may have: many times what is expected, to say what is wrong with it."""
    return max(4 << 20, 16 * bytes_of(case.expected))


def bytes_of(tree: Any) -> int:
    """Count the bytes of the arrays of a structure."""
    if isinstance(tree, dict | list):
        return sum(map(bytes_of, tree.values() if isinstance(tree, dict) else tree))
    return tree.nbytes


RIGHT_AT_FIRST = "It is right on the inputs that `check` uses, but "
WHICH = "Which sizes, signs or special values does it not allow for?"
HIDDEN = {
    "wrong": f"{RIGHT_AT_FIRST}not on others of the same kind. {WHICH}",
    "not attempted": "On some inputs it says that it is not written yet.",
    "raised an exception": f"{RIGHT_AT_FIRST}raises an exception on others of the same kind. {WHICH}",
    "timed out": f"{RIGHT_AT_FIRST}takes too long on others of the same kind.",
    "out of memory": f"{RIGHT_AT_FIRST}needs too much memory on others of the same kind.",
    "crashed": f"{RIGHT_AT_FIRST}its process ended on others of the same kind.",
    "tampered": f"{RIGHT_AT_FIRST}on others it sent something else than values.",
}


def judge(question: Question, answers: list[Answer]) -> Mark | None:
    """Compare the answers to all inputs with what is expected; None if they are right."""
    if all(answer.returned is None for answer in answers):
        return Mark.of("not attempted", "It returns None. Does it end with `return` and the result?")
    for number, (case, answer) in enumerate(zip(question.cases, answers, strict=True)):
        try:
            compare(question, case, answer)
        except Trouble as trouble:
            known = next((m for m in question.mistakes if behaves_like(m, question, answers)), None)
            if known:
                return Mark.of("wrong", known.hint, mistake=known.name)
            return Mark.of("wrong", failed(question, number, trouble).words)
    return None
