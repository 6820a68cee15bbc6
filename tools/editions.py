"""The editions for students: notebooks without solutions, and a course for nbgrader.

Each student of a class meets own numbers, since the tests draw theirs from `mm.exercise_seed()`.
A student's copy names its student in one cell (`personal`). Grading does not believe that cell:
it writes the number itself into the tests before it runs them (`with_numbers`).
"""

from __future__ import annotations

import copy
import csv
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import ClearOutput
from nbgrader.utils import capture_log, is_grade

from mmlearn.runtime import exercise_seed
from tools import colab, common, exercises, notebooks

NAME = "mmlearn"  # of the course
CONFIG = f"""\
# nbgrader reads this when it is called in this folder. It is yours: it is written once only.
#
# Grade with `make grade`. `nbgrader autograde`, by itself, runs the students' code with all that
# you may do on this machine, and believes the numbers that stand in their copies.
c = get_config()
c.CourseDirectory.course_id = {NAME!r}
"""

# --- notebooks --------------------------------------------------------------------------------


def student(chapters: Sequence[str]) -> int:
    """Write the students' edition of some chapters, and nothing else, to ``_build/student/``."""
    folder = common.BUILD / "student"
    shutil.rmtree(folder, ignore_errors=True)  # or a chapter of an earlier call would stay
    for chapter in chapters:
        page = exercises.student(_chapter(chapter))
        page, _ = ClearOutput().preprocess(page, {})
        notebooks.write(page, common.notebook_path(chapter, folder))
    print(f"The students' edition, {_count(len(chapters), 'chapter')}: {folder}")
    return 0


def _chapter(chapter: str) -> NotebookNode:
    """A chapter whose links lead somewhere wherever it is opened."""
    return colab.linked(notebooks.read(common.notebook_path(chapter, common.BOOK)), chapter)


_OWN = """\
# The tests draw their numbers for you alone. Grading takes your id from the class list.
import os

os.environ.setdefault("MMLEARN_STUDENT", "{}")"""
_OWNER = re.compile(r'"MMLEARN_STUDENT", "([^"]+)"')


def personal(notebook: NotebookNode, student: str) -> NotebookNode:
    """A student's own copy: a cell after the set-up says whose numbers the tests draw."""
    page = copy.deepcopy(notebook)
    cell = nbformat.v4.new_code_cell(_OWN.format(student), id="student")
    cell.metadata.update(editable=False, deletable=False)
    ((after, _),) = notebooks.tagged(page, "setup")
    page.cells.insert(after, cell)
    return page


def owner(notebook: NotebookNode) -> str | None:
    """Whose copy a notebook was when it was handed out; None if nobody's, or not told."""
    found = [_OWNER.search(cell.source) for _, cell in notebooks.cells(notebook, "code")]
    return next((match[1] for match in found if match), None)


def with_numbers(notebook: NotebookNode, student: str) -> NotebookNode:
    """A copy whose tests have a student's seed as a number, which no student code can change.

    Parameters
    ----------
    notebook : NotebookNode
        With the tests as they stand in the chapter, not as somebody handed them in.
    student : str
        The id.

    Raises
    ------
    ValueError
        If a test asks for the seed in any other way than by ``mm.exercise_seed()``.
    """
    page = copy.deepcopy(notebook)
    for number, cell in notebooks.cells(page, "code"):
        if is_grade(cell):
            cell.source = cell.source.replace(notebooks.SEED, str(exercise_seed(student)))
            if "exercise_seed" in cell.source:
                where = notebooks.name(number, cell)
                raise ValueError(
                    f"{where} does not call the seed `{notebooks.SEED}`, as every test should"
                )
    return page


# --- the class --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Student:
    """One line of a class list, by nbgrader's own names."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""


_ID = re.compile(r"\w[\w.@-]*(?<!\.)")


def roster(path: Path) -> list[Student]:
    """The students of a class list: a CSV file whose first line names its columns.

    `id` has to be there; `first_name`, `last_name` and `email` may; others are left alone. Commas,
    semicolons or tabs separate, as spreadsheets have it.

    Raises
    ------
    SystemExit
        If it is no such file, or an id is missing, doubled or cannot name a folder; the message
        says in which line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SystemExit(f"the class list {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SystemExit(f"{path} is not text in UTF-8: save it as “CSV UTF-8”") from None
    head = text.partition("\n")[0]
    rows = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=head.count))
    columns = {str(name).strip().lower(): name for name in rows.fieldnames or []}
    if "id" not in columns:
        raise SystemExit(f"{path} has no column `id`; its first line is {head.strip()!r}")
    found: list[Student] = []
    for row in rows:
        values = {name: (row[column] or "").strip() for name, column in columns.items()}
        if not any(values.values()):
            continue
        one = Student(**{name: values.get(name, "") for name in Student.__annotations__})
        where = f"{path}, line {rows.line_num}"
        if not _ID.fullmatch(one.id):
            raise SystemExit(
                f"{where}: the id is {one.id!r}; it names folders, so it consists of letters, "
                "digits, and within it . _ - @"
            )
        if one.id.casefold() in {other.id.casefold() for other in found}:
            raise SystemExit(f"{where}: the id {one.id!r} stands there twice")
        found.append(one)
    if not found:
        raise SystemExit(f"{path} lists no student")
    return found


# --- the course -------------------------------------------------------------------------------


def course(chapters: Sequence[str], students: Sequence[Student], folder: Path) -> int:
    """Make a course for nbgrader, or bring one up to date; no mark in it is ever touched.

    A second call adds chapters and students. What stands under ``source/`` stays as it is, since
    students have been given it; nobody is taken out of the gradebook.

    Parameters
    ----------
    chapters : sequence of str
        One assignment each, named by the last part.
    students : sequence of Student
        From `roster`.
    folder : Path
        Gets ``nbgrader_config.py``, ``source/``, ``gradebook.db`` and ``release/``: there each
        assignment as nbgrader's exchange hands it out, and ``<student>/<assignment>/`` with
        that student's own numbers.

    Returns
    -------
    int
        1 if nbgrader refuses an assignment, else 0.

    Raises
    ------
    SystemExit
        If two assignments, or a student and an assignment, would have the same folder.
    """
    folder = folder.resolve()
    names = [*map(assignment, chapters), *(one.id for one in students)]
    if twice := [name for name, n in Counter(map(str.casefold, names)).items() if n > 1]:
        raise SystemExit(f"{', '.join(twice)}: two folders would have that name; change the id")
    if not (folder / "nbgrader_config.py").exists():
        common.write_if_changed(folder / "nbgrader_config.py", CONFIG)
    for chapter in chapters:
        _source(chapter, folder)
        if refused := _generate(assignment(chapter), folder):
            print(f"{chapter}: nbgrader refuses it: {refused}")
            print("For other exercises than those that have marks, make another course: COURSE=…")
            return 1
        released = notebooks.read(_file(folder / "release", chapter))
        for one in students:
            own = personal(released, one.id)
            notebooks.write(own, _file(folder / "release" / one.id, chapter))
    with Gradebook(_directory(folder).db_url, NAME) as gradebook:
        for one in students:
            known = {name: value for name, value in asdict(one).items() if value}
            gradebook.update_or_create_student(known.pop("id"), **known)
        gone = {one.id for one in gradebook.students} - {one.id for one in students}
    if gone:
        print(f"In the gradebook, not in the class list, kept: {', '.join(sorted(gone))}")
    assignments = _count(len(chapters), "assignment")
    print(f"The course, {assignments}, {_count(len(students), 'student')}: {folder}")
    return 0


def assignment(chapter: str) -> str:
    """What a chapter is called in a course."""
    return chapter.rpartition("/")[2]


def _file(folder: Path, chapter: str) -> Path:
    name = assignment(chapter)
    return folder / name / f"{name}.ipynb"


def _source(chapter: str, folder: Path) -> None:
    """Give the course a chapter with its solutions; one that it has stays."""
    path, page = _file(folder / "source", chapter), _chapter(chapter)
    if not path.exists():
        notebooks.write(page, path)
    elif path.read_text(encoding="utf-8") != notebooks.text(page):
        print(f"{chapter}: {path} differs from the book's chapter and stays; delete it to renew it")


def _directory(folder: Path) -> CourseDirectory:
    return CourseDirectory(root=str(folder), course_id=NAME)


def _generate(name: str, folder: Path) -> str:
    """Write an assignment's release and its lines in the gradebook; why not, if nbgrader refuses.

    It refuses to change an assignment's exercises once marks for it are there.
    """
    directory = _directory(folder)
    directory.assignment_id = name
    # The release is written anew, the gradebook is brought up to date.
    converter = GenerateAssignment(coursedir=directory, force=True)
    done = capture_log(converter)
    if done["success"]:
        return ""
    log = done.get("log", "") + done["error"]
    reasons = re.findall(r"^ *[\w.]+(?:Error|Exception): (.+)$", log, re.MULTILINE)
    return reasons[0] if reasons else log


def sources(only: str, folder: Path | None) -> dict[str, Path]:
    """What submissions are graded against: the notebooks with solutions, by assignment.

    Parameters
    ----------
    only : str
        Which chapters, as in `tools.common.chapters`; all that there are if empty.
    folder : Path or None
        A course; without one, the book's chapters are taken.

    Raises
    ------
    SystemExit
        If that is no course, or lacks one of the chapters.
    """
    chapters = common.chapters(only)
    if folder is None:
        return {assignment(c): common.notebook_path(c, common.BOOK) for c in chapters}
    paths = sorted((folder / "source").glob("*/*.ipynb"))
    there = {path.stem: path for path in paths if path.stem == path.parent.name}
    if not there:
        raise SystemExit(f"{folder} is no course; `make course COURSE={folder}` makes one")
    if not only.strip():
        return there
    if missing := [c for c in chapters if assignment(c) not in there]:
        raise SystemExit(f"{folder} has no {', '.join(missing)}; it has {', '.join(there)}")
    return {assignment(c): there[assignment(c)] for c in chapters}


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
