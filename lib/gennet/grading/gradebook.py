"""nbgrader's part: release format, gradebook, pages for marking by hand, feedback pages, and the table.

nbgrader never runs a student's notebook here. What it shows is a notebook made of the released one, with the
student's answers put in and the marks beside them; everything that a student wrote is shown as text. A change
of the gradebook is one transaction.
"""

import base64
import copy
import csv
import io
import logging
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat
from nbgrader import preprocessors
from nbgrader.api import Comment, Grade, Gradebook, SubmittedAssignment
from nbgrader.converters import GenerateAssignment, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import ExportPlugin
from nbgrader.utils import is_grade, is_locked, is_solution
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

from gennet.exercises import wrapped
from gennet.exercises.declare import ProblemSet

from .course import Course, Stop, checksum, read_json, write
from .marking import cell_name

OWN_WORK = """\
**What is graded.** Your functions are called with other inputs of the same kind as those of `check`. They may
use NumPy, SciPy, scikit-learn, PyTorch and `gennet.datasets`, but not the course's own models
(`gennet.eigenspace` and its neighbours): an answer is your own. They get {seconds} seconds, no network and no
files. Hand in this notebook."""
LONGEST = 30_000  # characters of a text cell that are shown
WAITING = "not graded yet"
PAGE_SECONDS = 120  # to make one page of feedback

CONFIG = """\
# Made by `python -m gennet.grading`: nbgrader's page shows this course.
from pathlib import Path

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "gennet"
c.CourseDirectory.root = str(Path(__file__).resolve().parent)
# Submissions are graded by `python -m gennet.grading grade`, in a sandbox. nbgrader would run them
# unprotected, so it is not told where they are.
c.CourseDirectory.submitted_directory = "graded-by-gennet-only"
"""


def open_gradebook(course: Course) -> Gradebook:
    """Open the gradebook of a course, made beforehand if there is none; close it by using it as a context."""
    path = course.path("gradebook.db")
    if not path.exists():
        programs = Path(sys.executable).parent  # nbgrader calls alembic
        os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
        course.folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(".gradebook.part")
        draft.unlink(missing_ok=True)
        Gradebook(f"sqlite:///{draft.resolve()}").close()
        draft.replace(path)
    return Gradebook(f"sqlite:///{path.resolve()}")


@contextmanager
def transaction(gradebook: Gradebook) -> Iterator[None]:
    """Make all changes together or none of them: nbgrader's own commits wait until the end."""
    commit, gradebook.db.commit = gradebook.db.commit, gradebook.db.flush
    try:
        yield
        commit()
    except BaseException:
        gradebook.db.rollback()
        raise
    finally:
        gradebook.db.commit = commit


# ------------------------------------------------------------------------------------------- release


def source(problem_set: ProblemSet, student_version: Path, seconds: int) -> nbformat.NotebookNode:
    """Return the notebook of a problem set with nbgrader's marks: what is answered, what is graded."""
    made = nbformat.read(student_version, as_version=4)
    functions = {exercise.id: list(exercise.functions) for exercise in problem_set.exercises}
    points = {
        exercise.id: exercise.derivation.points for exercise in problem_set.exercises if exercise.derivation
    }
    waiting = {name: list(parts) for name, parts in functions.items()}
    cells = []
    for cell in made.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        checked = re.match(r'check\("([^"]+)"', cell.source)
        if "answer" in tags:
            name = cell_name(tags[1], waiting[tags[1]].pop(0).name)
            cells.append(marked(cell, f"{name}-answer", solution=True))
        elif "derivation" in tags:
            cells.append(marked(cell, f"{tags[1]}-derivation", solution=True, points=points[tags[1]]))
        elif checked:
            for function in functions[checked[1]]:
                check = nbformat.v4.new_code_cell(f'check("{checked[1]}", {function.name})')
                check.id = checksum(check.source.encode())[:8]
                name = cell_name(checked[1], function.name)
                cells.append(marked(check, name, points=function.points, locked=True))
        else:
            cells.append(cell)
            if "from gennet.exercises import" in cell.source:
                note = nbformat.v4.new_markdown_cell(OWN_WORK.format(seconds=seconds), id="own-work")
                cells.insert(-1, note)
    if any(waiting.values()):
        raise Stop(f"{student_version} has no cell for an answer of {problem_set.name}: run make notebooks.")
    made.cells = cells
    return made


def marked(
    cell: nbformat.NotebookNode,
    name: str,
    solution: bool = False,
    points: float | None = None,
    locked: bool = False,
) -> nbformat.NotebookNode:
    """Give a cell nbgrader's metadata."""
    cell.metadata["nbgrader"] = {
        "grade_id": name,
        "grade": points is not None,
        "solution": solution,
        "locked": locked,
        "task": False,
        "schema_version": 3,
        **({} if points is None else {"points": float(points)}),
    }
    return cell


def release(course: Course, problem_set: ProblemSet, student_version: Path, seconds: int) -> Path:
    """Make the released notebook with nbgrader, enter it in the gradebook, and return its path."""
    name = problem_set.name
    made = source(problem_set, student_version, seconds)
    write(course.path("source", name, f"{name}.ipynb"), nbformat.writes(made))
    part = course.path("release.part")
    shutil.rmtree(part, ignore_errors=True)
    config = Config()
    config.GenerateAssignment.no_database = True
    config.GenerateAssignment.preprocessors = [
        preprocessors.LockCells,
        preprocessors.ClearOutput,
        preprocessors.CheckCellMetadata,
        preprocessors.ComputeChecksums,
    ]
    folder = CourseDirectory(config=config, root=str(course.folder.resolve()))
    folder.assignment_id, folder.student_id, folder.release_directory = name, ".", part.name
    quietly(GenerateAssignment(coursedir=folder, config=config).start)
    target = course.path("release", name, f"{name}.ipynb")
    made = nbformat.read(part / name / f"{name}.ipynb", as_version=4)
    with open_gradebook(course) as gradebook, transaction(gradebook):
        enter(gradebook, name, made)
    write(target, nbformat.writes(made))
    write(course.path("nbgrader_config.py"), CONFIG)
    shutil.rmtree(part)
    return target


def enter(gradebook: Gradebook, name: str, made: nbformat.NotebookNode) -> None:
    """Enter the cells of a problem set in the gradebook, or their new points."""
    assignment = gradebook.update_or_create_assignment(name)
    known = gradebook.update_or_create_notebook(name, name)
    ids = {cell.metadata.nbgrader.grade_id for cell in made.cells if "nbgrader" in cell.metadata}
    if gone := {cell.name for cell in known.grade_cells} - ids:
        if assignment.submissions:
            raise Stop(
                f"Not released: {', '.join(sorted(gone))} would vanish, and submissions have marks for it. "
                "Keep it, or begin a new course: --course FOLDER"
            )
        gradebook.remove_notebook(name, name)
        gradebook.update_or_create_notebook(name, name)
    for cell in made.cells:
        if "nbgrader" not in cell.metadata:
            continue
        about, cell_id = cell.metadata.nbgrader, cell.metadata.nbgrader.grade_id
        if is_grade(cell):
            kind = {"max_score": about.points, "cell_type": cell.cell_type}
            gradebook.update_or_create_grade_cell(cell_id, name, name, **kind)
        if is_solution(cell):
            gradebook.update_or_create_solution_cell(cell_id, name, name)
        kind = {"cell_type": cell.cell_type, "locked": is_locked(cell), "source": cell.source}
        gradebook.update_or_create_source_cell(cell_id, name, name, checksum=about.checksum, **kind)


def released(course: Course, name: str) -> nbformat.NotebookNode:
    """Read the released notebook."""
    path = course.path("release", name, f"{name}.ipynb")
    if not path.exists():
        raise Stop(f"{name} has not been released: python -m gennet.grading release {name}")
    return nbformat.read(path, as_version=4)


# ------------------------------------------------------------------------------------------- what is shown


def shown(
    template: nbformat.NotebookNode, content: dict[str, Any] | None, marks: dict[str, Any], notes: list[str]
) -> nbformat.NotebookNode:
    """Put a student's answers in the released notebook, with the mark of each function under its check.

    What the student added comes last. Nothing of the student's metadata and outputs is taken over.
    """
    made = copy.deepcopy(template)
    theirs = content["cells"] if content else []
    used: set[int] = set()
    for cell in made.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution"):
            found = places(cell, theirs)
            used |= set(found)
            sources = [theirs[place]["source"] for place in found]
            if cell.cell_type == "code" and found:
                cell.source = "\n\n".join(sources)
            elif found:
                cell.source = "\n\n".join(tame(text) for text in sources)
                cell.attachments = pictures([theirs[place]["attachments"] for place in found])
        elif about.get("grade"):
            text = words_of(marks[about["grade_id"]], about["points"])
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    known = {cell.source.strip() for cell in template.cells} | {""}
    added = [c for n, c in enumerate(theirs) if n not in used and c["source"].strip() not in known]
    own = re.compile(r"(check|hint|summary|failed_input)\(.*\)")
    added = [cell for cell in added if not own.fullmatch(cell["source"].strip())]
    if notes or added:
        listed = "".join(f"\n- `{note.replace('`', chr(39))}`" for note in map(one_line, notes))
        made.cells.append(
            nbformat.v4.new_markdown_cell(f"## Other cells of this submission\n{listed}", id="others")
        )
    for number, cell in enumerate(added):
        if cell["cell_type"] == "code":
            made.cells.append(nbformat.v4.new_code_cell(cell["source"], id=f"other-{number}"))
        else:
            made.cells.append(nbformat.v4.new_markdown_cell(tame(cell["source"]), id=f"other-{number}"))
    return made


def places(cell: nbformat.NotebookNode, theirs: list[dict[str, Any]]) -> list[int]:
    """Find the cells of a submission that belong to a cell for an answer."""
    name = cell.metadata.nbgrader.grade_id
    exercise, _, rest = name.partition("-")
    if cell.cell_type == "code":
        function = re.escape(rest.removesuffix("-answer"))
        pattern = re.compile(rf"^({function}\s*=|\s*def\s+{function}\s*\()", re.MULTILINE)
        return [n for n, c in enumerate(theirs) if c["cell_type"] == "code" and pattern.search(c["source"])]
    found = []
    for number, candidate in enumerate(theirs):
        about, tags = candidate["metadata"].get("nbgrader"), candidate["metadata"].get("tags")
        by_name = isinstance(about, dict) and about.get("grade_id") == name
        if candidate["cell_type"] == "markdown" and (by_name or tags == ["derivation", exercise]):
            found.append(number)
    return found


def tame(text: str) -> str:
    """Return Markdown in which no HTML is left; formulas with ``<`` read as before.

    >>> tame("if $a<b$ then <script>x</script>")
    'if $a< b$ then < script>x< /script>'
    """
    text = text[:LONGEST] + (f"\n\n(cut after {LONGEST} characters)" if len(text) > LONGEST else "")
    text = re.sub(r"<(?=[A-Za-z/!?])", "< ", text)
    return re.sub(r"(?i)(javascript|vbscript|data)\s*(:|&)", r"\1 \2", text)


def pictures(attachments: list[Any]) -> dict[str, dict[str, str]]:
    """Return the attached pictures that are nothing but pictures."""
    kept = {}
    for attached in attachments:
        for name, kinds in attached.items() if isinstance(attached, dict) else ():
            for kind, data in kinds.items() if isinstance(kinds, dict) else ():
                good = re.fullmatch(r"[\w. -]{1,100}", name) and kind in ("image/png", "image/jpeg")
                if good and isinstance(data, str) and is_base64(data):
                    kept[name] = {kind: data}
    return kept


def is_base64(text: str) -> bool:
    """Tell whether a text is base64 and nothing else."""
    try:
        return bool(base64.b64decode(text.replace("\n", ""), validate=True))
    except ValueError:
        return False


def words_of(mark: dict[str, Any], points: float) -> str:
    """Write a mark for a student."""
    scored = "not marked yet; your instructor will look at it."
    if mark["points"] is not None:
        scored = f"{mark['points']:g} of {points:g} points."
    return f"{mark['status']}: {scored}\n{wrapped(mark['words'])}\n"


def one_line(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


# ------------------------------------------------------------------------------------------- marks


def path_of(course: Course, name: str, student: str) -> Path:
    """Name the notebook that nbgrader shows for a submission."""
    return course.path("autograded", student, name, f"{name}.ipynb")


def state(course: Course, name: str, student: str) -> str:
    """Return which result the gradebook holds for a submission: a checksum, or nothing."""
    stored = read_json(path_of(course, name, student))
    return stored["metadata"].get("gennet_result", "") if stored else ""


def enter_marks(
    gradebook: Gradebook,
    course: Course,
    name: str,
    entry: dict[str, Any],
    made: nbformat.NotebookNode,
    result: Any,
) -> None:
    """Enter the marks of one submission, all or none; what a person has marked stays.

    The notebook that is shown is written last and says which result it is: after an interruption the same is
    done again.
    """
    warnings.simplefilter("ignore", SAWarning)  # of nbgrader's own way to make a submission
    student, path = entry["student"], path_of(course, name, entry["student"])
    before = nbformat.read(path, as_version=4) if path.exists() else None
    with transaction(gradebook):
        if student not in {known.id for known in gradebook.students}:  # a roster knows better
            gradebook.add_student(student, last_name=safe_name(entry["name"]))
        when = datetime.fromisoformat(entry["time"]).replace(tzinfo=None)
        submission = gradebook.update_or_create_submission(name, student, timestamp=str(when))
        (notebook,) = submission.notebooks
        add_missing(gradebook, notebook)
        grades = {grade.name: grade for grade in notebook.grades}
        comments = {comment.name: comment for comment in notebook.comments}
        for cell_id, mark in result["marks"].items():
            grade = grades[cell_id]
            grade.auto_score = mark["points"]
            grade.needs_manual_grade = mark["points"] is None or grade.manual_score is not None
            comments[f"{cell_id}-answer"].auto_comment = mark["status"]
        for cell in made.cells:
            about = cell.metadata.get("nbgrader", {})
            if about.get("grade") and about.get("solution"):
                enter_derivation(grades[about["grade_id"]], comments[about["grade_id"]], cell, before, result)
    made.metadata["gennet_result"] = checksum(repr(result).encode())
    write(path, nbformat.writes(made))


def withdraw(gradebook: Gradebook, course: Course, name: str, student: str) -> None:
    """Take back the marks of a submission's functions, until there are new ones; texts keep theirs."""
    path = path_of(course, name, student)
    shown = nbformat.read(path, as_version=4)
    with transaction(gradebook):
        (notebook,) = gradebook.find_submission(name, student).notebooks
        answers = {comment.name: comment for comment in notebook.comments if comment.name.endswith("-answer")}
        for grade in notebook.grades:
            if f"{grade.name}-answer" in answers:
                grade.auto_score, grade.needs_manual_grade = None, True
        for comment in answers.values():
            comment.auto_comment = WAITING
    for cell in shown.cells:
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade"):
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{WAITING}\n")]
    shown.metadata.pop("gennet_result", None)
    write(path, nbformat.writes(shown))


def enter_derivation(
    grade: Grade,
    comment: Comment,
    cell: nbformat.NotebookNode,
    before: nbformat.NotebookNode | None,
    result: Any,
) -> None:
    """Say of a derivation whether a person has to read it: there is a text, and it was not read as it is."""
    empty = not cell.source.strip() or cell.source.strip() == UNTOUCHED
    if result["status"] != "read":
        grade.auto_score, grade.needs_manual_grade, comment.auto_comment = None, True, result["status"]
        return
    earlier = [old.source for old in (before.cells if before else []) if is_twin(old, cell)]
    grade.auto_score = 0.0 if empty else None
    comment.auto_comment = "No text." if empty else None
    if earlier != [cell.source] or grade.manual_score is None:
        grade.needs_manual_grade = not empty or grade.manual_score is not None


def is_twin(old: nbformat.NotebookNode, cell: nbformat.NotebookNode) -> bool:
    """Tell whether two cells of two notebooks are the same for nbgrader."""
    return old.metadata.get("nbgrader", {}).get("grade_id") == cell.metadata.nbgrader.grade_id


UNTOUCHED = "*Write your derivation here: double-click to edit this cell.*"


def add_missing(gradebook: Gradebook, notebook: Any) -> None:
    """Give a submission the cells that a later release of the problem set has added."""
    have = {grade.cell_id for grade in notebook.grades} | {comment.cell_id for comment in notebook.comments}
    for cell in notebook.notebook.grade_cells:
        if cell.id not in have:
            gradebook.db.add(Grade(cell_id=cell.id, notebook=notebook))
    for cell in notebook.notebook.solution_cells:
        if cell.id not in have:
            gradebook.db.add(Comment(cell_id=cell.id, notebook=notebook))
    gradebook.db.flush()
    gradebook.db.refresh(notebook)


def safe_name(name: str) -> str:
    """Return a name without letters that mean something in a page or a table."""
    return re.sub(r"^[=+@\-\s]+|[<>&\"'`\r\n]", "", name)[:100]


# ------------------------------------------------------------------------------------------- what goes out


def feedback(course: Course, name: str, student: str) -> None:
    """Make the page of one submission with nbgrader, in a process that can be stopped."""
    part = f".feedback-{os.getpid()}.part"
    process = get_context("fork").Process(target=make_page, args=(course, name, student, part))
    process.start()
    process.join(PAGE_SECONDS)
    process.kill()
    process.join()
    made = course.path(part, student, name, f"{name}.html")
    done = process.exitcode == 0 and made.exists()
    if done:
        page = with_statuses(made.read_text(encoding="utf-8"), without_score(course, name, student))
        write(course.path("feedback", student, name, f"{name}.html"), page)
    shutil.rmtree(course.path(part), ignore_errors=True)
    if not done:
        raise Stop(f"The page of {student} could not be made (exit code {process.exitcode}).")


def without_score(course: Course, name: str, student: str) -> dict[str, str]:
    """Return the parts of a submission that have no score, and why."""
    with open_gradebook(course) as gradebook:
        (notebook,) = gradebook.find_submission(name, student).notebooks
        said = {comment.name.removesuffix("-answer"): comment.auto_comment for comment in notebook.comments}
        return {
            grade.name: said[grade.name] or "not read yet"
            for grade in notebook.grades
            if grade.auto_score is None and grade.manual_score is None
        }


def with_statuses(page: str, statuses: dict[str, str]) -> str:
    """Put in a page of nbgrader a status where it shows 0 for a part without a score."""
    zero = r"Score: 0\.0 / [\d.]+"
    for part, status in statuses.items():
        link = re.compile(rf'(<a href="#{re.escape(part)}">[^<]*</a>\s*\(){zero}\)')
        place = re.compile(rf'(<a name="{re.escape(part)}"></a>(?:(?!<a name=).)*?){zero}', re.DOTALL)
        page = link.sub(rf"\1no score: {status})", page)
        page = place.sub(rf"\1No score: {status}", page, count=1)
    return page


def make_page(course: Course, name: str, student: str, part: str) -> None:
    """Make a page with nbgrader, in a folder for parts."""
    folder = CourseDirectory(root=str(course.folder.resolve()))
    folder.assignment_id, folder.student_id, folder.feedback_directory = name, student, part
    quietly(GenerateFeedback(coursedir=folder).start)


class Table(ExportPlugin):
    """The table of a problem set: one row a student, points and status of every part.

    A score stands only where all parts have a mark. `entries` holds what was collected, by student; `result`
    says what grading found of a student, and nothing if that is out of date.
    """

    def export(self, gradebook: Gradebook) -> None:
        """Write the table to `to`."""
        (name,) = self.assignment
        assignment = gradebook.find_assignment(name)
        (notebook,) = assignment.notebooks
        parts = [cell.name for cell in notebook.grade_cells]
        columns = [
            "assignment",
            "student_id",
            "name",
            "handed_in",
            "status",
            "score",
            "points_so_far",
            "max_score",
        ]
        columns += [column for part in parts for column in (part, f"{part} status")]
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        submissions = {submission.student_id: submission for submission in assignment.submissions}
        names = {
            student.id: safe_name(f"{student.first_name or ''} {student.last_name or ''}".strip())
            for student in gradebook.students
        }
        names = {student: safe_name(entry["name"]) for student, entry in self.entries.items()} | names
        for student in sorted(names):
            row = {"assignment": name, "student_id": student, "name": names[student]}
            row |= {"max_score": assignment.max_score, "status": "not handed in"}
            if student in self.entries:
                row["status"] = "not graded yet"
            if student in submissions and (result := self.result(student)):
                row |= self.row(submissions[student], result)
            table.writerow(row)
        write(Path(self.to), text.getvalue())

    entries: dict[str, dict[str, Any]]
    result: Callable[[str], dict[str, Any] | None]

    def row(self, submission: SubmittedAssignment, result: dict[str, Any]) -> dict[str, Any]:
        """Write one row."""
        (notebook,) = submission.notebooks
        row: dict[str, Any] = {"handed_in": submission.timestamp}
        open_parts, so_far = [], 0.0
        for grade in notebook.grades:
            mark = result["marks"].get(grade.name)
            score = grade.auto_score if grade.manual_score is None else grade.manual_score
            of_text = result["status"] if result["status"] != "read" else "to be read"
            status = mark["status"] if mark else ("read" if score is not None else of_text)
            if mark and grade.manual_score is not None:
                status += ", marked by hand"
            if score is None:
                open_parts.append(status)
            else:
                score += grade.extra_credit or 0.0
                so_far += score
                if grade.needs_manual_grade:
                    open_parts.append("to be read again")
            row |= {grade.name: "" if score is None else f"{score:g}", f"{grade.name} status": status}
        row["points_so_far"] = f"{so_far:g}"
        row["status"] = "; ".join(dict.fromkeys(open_parts)) or "graded"
        row["score"] = "" if open_parts else f"{so_far:g}"
        return row


def export(
    course: Course,
    name: str,
    target: Path,
    entries: dict[str, Any],
    result: Callable[[str], dict[str, Any] | None],
) -> None:
    """Write the table of a problem set."""
    released(course, name)
    table = Table()
    table.to, table.assignment, table.entries, table.result = str(target), [name], entries, result
    with open_gradebook(course) as gradebook:
        table.export(gradebook)


def quietly(start: Callable[[], None]) -> None:
    """Run a converter of nbgrader without its account of every file."""
    logger = logging.getLogger("traitlets")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        start()
    finally:
        logger.setLevel(level)
