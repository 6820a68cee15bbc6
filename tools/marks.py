"""The marks of a class: nbgrader's gradebook, the table made of it, and a page for each student.

What tests find and what a person enters are kept apart by nbgrader itself; a person's mark counts.
A person enters marks with nbgrader's own pages, or in the table (`take_over`).
"""

from __future__ import annotations

import contextlib
import copy
import csv
import datetime
import html
import io
import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bleach  # type: ignore[import-untyped]
import nbformat.v4
from jinja2 import DictLoader, pass_context
from nbconvert.exporters import HTMLExporter
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbformat import NotebookNode
from nbgrader.api import Grade, Gradebook, MissingEntry
from nbgrader.preprocessors import GetGrades, SaveAutoGrades, SaveCells
from nbgrader.server_extensions import formgrader
from nbgrader.utils import compute_checksum, is_grade, is_solution

from tools import notebooks
from tools.editions import NAME, Student
from tools.submissions import Chapter, clean, grade_id_of, is_theirs

# --- the gradebook ----------------------------------------------------------------------------


class Marks:
    """nbgrader's gradebook, and the notebooks as they were graded, in its layout.

    Parameters
    ----------
    folder : Path
        A course, or any folder, in which then a gradebook is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'gradebook.db'}"

    def open(self) -> Gradebook:
        """The gradebook, as a context."""
        return Gradebook(self.url, NAME)

    def resources(self, chapter: Chapter, student: str = "") -> dict[str, Any]:
        """What nbgrader's preprocessors want to know."""
        names = dict.fromkeys(("notebook", "assignment"), chapter.name)
        return {"nbgrader": {**names, "student": student, "db_url": self.url}}

    def path(self, chapter: Chapter, student: str) -> Path:
        """Where a graded notebook is kept."""
        return self.folder / "autograded" / student / chapter.name / f"{chapter.name}.ipynb"

    def graded(self, chapter: Chapter, student: str) -> NotebookNode | None:
        """A graded notebook, if it was graded to the end, and here."""
        try:
            page = notebooks.read(self.path(chapter, student))
        except (OSError, notebooks.NotebookError):
            return None
        return page if "mmlearn" in page.metadata else None

    def enrol(self, chapter: Chapter) -> None:
        """Enter what there is to be marked, unless it is there.

        Raises
        ------
        SystemExit
            If marks are there for other exercises than the chapter has now.
        """
        with self.open() as book:
            book.update_or_create_assignment(chapter.name)
            with contextlib.suppress(MissingEntry):
                cells = book.find_notebook(chapter.name, chapter.name).grade_cells
                if {cell.name: cell.max_score for cell in cells} == chapter.points:
                    return
        page = copy.deepcopy(chapter.blank)
        for cell in page.cells:
            if notebooks.grading(cell):
                cell.metadata.nbgrader.checksum = compute_checksum(cell)
        try:
            SaveCells().preprocess(page, self.resources(chapter))
        except RuntimeError:
            raise SystemExit(
                f"{self.folder / 'gradebook.db'} has marks for other exercises than {chapter.name} "
                "has now: grade against the chapter as it was, or into another folder"
            ) from None

    def record(
        self, chapter: Chapter, student: Student, when: datetime.datetime, page: NotebookNode
    ) -> None:
        """Enter what the tests found; a mark that a person entered stays.

        Where its answer is no longer the same, it waits to be looked at again.
        """
        before = self.graded(chapter, student.id)
        known = {name: v for name, v in vars(student).items() if v and name != "id"}
        with self.open() as book:
            book.update_or_create_student(student.id, **known)
            book.update_or_create_submission(chapter.name, student.id, timestamp=when)
            settled = [
                grade.name
                for grade in self._grades(book, chapter, student.id).values()
                if grade.manual_score is not None and not grade.needs_manual_grade
            ]
        SaveAutoGrades().preprocess(page, self.resources(chapter, student.id))
        same = before and _answers(before)
        with self.open() as book:
            for name, grade in self._grades(book, chapter, student.id).items():
                if name in settled and same and same[name] == _answers(page)[name]:
                    grade.needs_manual_grade = False
            book.db.commit()
        path = self.path(chapter, student.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, notebooks.text(page))

    @staticmethod
    def _grades(book: Gradebook, chapter: Chapter, student: str) -> dict[str, Grade]:
        try:
            found = book.find_submission_notebook(chapter.name, chapter.name, student)
        except MissingEntry:
            return {}
        return {grade.name: grade for grade in found.grades}

    def students(self) -> list[Student]:
        """Everybody in the gradebook."""
        with self.open() as book:
            return [
                Student(one.id, one.first_name or "", one.last_name or "", one.email or "")
                for one in sorted(book.students, key=lambda one: one.id)
            ]

    def enter(self, chapter: Chapter, student: str, grade_id: str, points: float) -> None:
        """Enter a mark that a person gave."""
        with self.open() as book:
            grade = book.find_grade(grade_id, chapter.name, chapter.name, student)
            grade.manual_score, grade.needs_manual_grade = points, False
            book.db.commit()

    def of(self, chapter: Chapter, student: str) -> dict[str, Mark]:
        """The marks of a submission by graded cell; empty if there is none."""
        with self.open() as book:
            return {
                name: Mark(
                    grade.score,
                    grade.needs_manual_grade,
                    grade.auto_score is not None or grade.manual_score is not None,
                )
                for name, grade in self._grades(book, chapter, student).items()
            }


@dataclass(frozen=True)
class Mark:
    """Points; whether a person has to look at them; whether there are any yet."""

    points: float
    waits: bool
    given: bool


def _answers(page: NotebookNode) -> dict[str, list[str]]:
    """By graded cell, the texts of the answer that it judges."""
    found: dict[str, list[str]] = {}
    texts: list[str] = []
    for cell in page.cells:
        if is_solution(cell):
            texts = []
        if is_theirs(cell):
            texts.append(cell.source)
        if is_grade(cell):
            found[cell.metadata.nbgrader.grade_id] = list(texts)
    return found


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(text, encoding="utf-8", newline="")
    try:
        scratch.replace(path)
    except PermissionError:
        raise SystemExit(f"{path} is open in another program: close it and go on") from None


# --- the table --------------------------------------------------------------------------------


@dataclass
class Row:
    """A line of the table: a student and a chapter."""

    student: Student
    chapter: Chapter
    status: str = "missing"
    notes: list[str] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """The points so far."""
        return sum(mark.points for mark in self.marks.values())

    @property
    def maximum(self) -> float:
        """The points that there are."""
        return sum(self.chapter.points.values())

    def cells(self) -> dict[str, str]:
        """What stands in the columns of points, which a person may change."""
        found = {}
        for number, grade_ids in self.chapter.exercises.items():
            marks = [self.marks[grade_id] for grade_id in grade_ids if grade_id in self.marks]
            known = marks and all(mark.given for mark in marks)
            points = sum(mark.points for mark in marks)
            found[f"exercise_{number}"] = f"{points:g}" if known else ""
        return found | {"total": f"{self.total:g}"}


def row(marks: Marks, chapter: Chapter, student: Student, notes: Iterable[str]) -> Row:
    """A student's line for a chapter, from the gradebook and the notebook as it was graded."""
    found = Row(student, chapter, notes=list(notes), marks=marks.of(chapter, student.id))
    if not found.marks:
        return found
    found.status = "graded"
    page = marks.graded(chapter, student.id)
    if fault := page.metadata.mmlearn.fault if page else "":
        found.status = "not graded"
        found.notes.insert(0, fault)
        return found
    said = faults(chapter, page) if page else {}
    for grade_id, mark in found.marks.items():
        if mark.waits:
            found.status = "waiting"
            said[grade_id] = "changed after it was marked" if mark.given else "waits for a person"
        if grade_id in said:
            found.notes.append(f"{chapter.exercise(grade_id)}: {said[grade_id]}")
    return found


def faults(chapter: Chapter, page: NotebookNode) -> dict[str, str]:
    """What is wrong with an answer, by graded cell."""
    blank = {grade_id_of(cell): cell.source for cell in chapter.blank.cells if is_solution(cell)}
    found = {}
    before: list[NotebookNode] = []
    empty = False
    for cell in page.cells:
        errors = [output for output in cell.get("outputs", []) if output.output_type == "error"]
        if is_solution(cell):
            before, empty = [], cell.source == blank[grade_id_of(cell)]
        elif is_theirs(cell):
            empty = False
        if is_theirs(cell):
            before += errors
        if not is_grade(cell) or not (errors or empty):
            continue
        if empty:
            found[grade_id_of(cell)] = "not answered"
            continue
        # A test that finds no function says less than the answer that could not define it.
        error = errors[0] if errors[0].ename == "AssertionError" else (before + errors)[0]
        found[grade_id_of(cell)] = error.traceback[0].removeprefix("AssertionError: ")
    return found


COLUMNS = ["student", "first_name", "last_name", "email", "chapter"]


def table(rows: Sequence[Row], strangers: Sequence[tuple[Path, str]]) -> str:
    """The table as CSV: a line for each student and chapter, and for each file that is nobody's."""
    numbers = [number for one in rows for number in one.chapter.exercises]
    columns = [*COLUMNS, *(f"exercise_{n}" for n in range(1, max(numbers, default=0) + 1))]
    columns += ["total", "maximum", "status", "reason"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for one in rows:
        line = {
            "student": one.student.id,
            "first_name": one.student.first_name,
            "last_name": one.student.last_name,
            "email": one.student.email,
            "chapter": one.chapter.name,
            **one.cells(),
            "maximum": f"{one.maximum:g}",
            "status": one.status,
            "reason": " | ".join(one.notes),
        }
        writer.writerow({name: _harmless(value) for name, value in line.items()})
    for path, why in strangers:
        reason = _harmless(f"{clean(path.name)}: {why}")
        writer.writerow({"status": "not graded", "reason": reason})
    return "\ufeff" + text.getvalue()  # by which Excel knows UTF-8


def _harmless(value: str) -> str:
    """A spreadsheet computes what begins like a formula, and some messages are students'."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@")) else value


def take_over(
    path: Path, written: Mapping[str, Mapping[str, str]], marks: Marks, known: Mapping[str, Chapter]
) -> None:
    """Enter into the gradebook what a person has changed in the table.

    Parameters
    ----------
    path : Path
        The table.
    written : mapping
        The columns of the exercises as they were written, by student and chapter.
    marks : Marks
    known : mapping of str to Chapter

    Raises
    ------
    SystemExit
        If a change cannot be understood; nothing is entered then, and the table stays.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        raise SystemExit(f"{path} is not text in UTF-8: save it as “CSV UTF-8”") from None
    head = text.partition("\n")[0]
    lines = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=head.count))
    entered = []
    for line in lines:
        where = f"{path}, line {lines.line_num}"
        student, name = line.get("student"), line.get("chapter")
        before = written.get(f"{student}/{name}")
        if not student or (before and name not in known):
            continue
        if before is None:
            raise SystemExit(f"{where}: the last run wrote no line for {student!r} and {name!r}")
        chapter = known[str(name)]
        changed = {
            int(key.removeprefix("exercise_")): value.strip()
            for key, value in line.items()
            if key in before and key != "total" and (value or "").strip() not in ("", before[key])
        }
        for number, value in changed.items():
            entered.append((chapter, str(student), *_entered(where, chapter, number, value)))
        if not changed and (line.get("total") or "").strip() != before["total"]:
            raise SystemExit(f"{where}: the total is a sum; change the points of an exercise")
    for chapter, student, grade_id, points in entered:
        marks.enter(chapter, student, grade_id, points)


def _entered(where: str, chapter: Chapter, number: int, value: str) -> tuple[str, float]:
    """The graded cell and the points that somebody wrote into an exercise's column."""
    grade_ids = chapter.exercises[number]
    most = sum(chapter.points[grade_id] for grade_id in grade_ids)
    if len(grade_ids) > 1:
        raise SystemExit(f"{where}: exercise {number} has several parts; mark it in nbgrader")
    try:
        points = float(value.replace(",", "."))
        if not 0 <= points <= most:
            raise ValueError
    except ValueError:
        raise SystemExit(
            f"{where}: exercise {number} has {value!r}; give points from 0 to {most:g}"
        ) from None
    return grade_ids[0], points


# --- feedback ---------------------------------------------------------------------------------


def feedback(marks: Marks, one: Row) -> str:
    """A page for a student, by nbgrader's template, with nothing to be loaded from elsewhere.

    The exercises, the answers, the points, the tests that students may see, what they said, and
    what a person wrote about an answer.
    """
    chapter, student = one.chapter, one.student.id
    page = marks.graded(chapter, student) or NotebookNode(cells=[])
    page.cells = [] if one.status == "not graded" else _exercises(chapter, page)
    resources = marks.resources(chapter, student)
    with quiet():
        page, resources = GetGrades().preprocess(page, resources)
    for cell in page.cells:
        if is_solution(cell) and is_grade(cell) and one.marks[grade_id_of(cell)].waits:
            waits = "This answer waits for a person; its points come later."
            said = cell.metadata.nbgrader.comment
            cell.metadata.nbgrader.comment = f"{waits} {said}" if said else waits
    title = next(line for line in chapter.source.cells[0].source.splitlines() if line.strip())
    notes = "".join(f"- {_plain(note)}\n" for note in one.notes)
    head = f"{title}\n\n{_plain(student)}: **{one.status}**\n\n{notes}"
    page.cells.insert(0, nbformat.v4.new_markdown_cell(head))
    return _Page().from_notebook_node(page, resources)[0]


def _exercises(chapter: Chapter, page: NotebookNode) -> list[NotebookNode]:
    """The cells of the exercises, as students may see them.

    What they are is asked of the chapter: students' texts are not taken apart here.
    """
    shown: dict[str, str] = {}
    for part in notebooks.section(chapter.blank, "Exercises"):
        before = f"{shown[part.cell.id]}\n\n" if part.cell.id in shown else ""
        shown[part.cell.id] = before + part.source
    found = [cell for cell in page.cells if cell.id in shown or is_theirs(cell)]
    for cell in found:
        if not is_theirs(cell):
            cell.source = shown[cell.id]
    return found


def _plain(text: str) -> str:
    """A text in Markdown in which nothing has a meaning."""
    return re.sub(r"([\\`*_{}\[\]<>()#+.!|~$&-])", r"\\\1", text)


class _Page(HTMLExporter):
    """nbgrader's own page; what students write in Markdown is made harmless: others open it."""

    def __init__(self) -> None:
        folder = Path(formgrader.__file__).parent
        super().__init__(
            template_name="feedback",
            extra_template_basedirs=[str(folder / "templates")],
            extra_template_paths=[str(folder / "static/node_modules/bootstrap/dist/css")],
            # MathJax would be asked for from another host.
            extra_loaders=[DictLoader({"mathjax.html.j2": "{% macro mathjax() %}{% endmacro %}"})],
            preprocessors=[CSSHTMLHeaderPreprocessor(enabled=True)],
            # It takes minutes on some texts, and nothing away from ours.
            filters={"strip_files_prefix": lambda text: text},
        )

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        """A Markdown cell as HTML that can do nothing."""
        with contextlib.suppress(Exception):  # a text may be made to break it, or to take minutes
            if len(source) <= _LONGEST:
                made = super().markdown2html(context, source)
                return bleach.clean(made, tags=_TAGS, attributes=_allowed, protocols=_PROTOCOLS)
        return f"<pre>{html.escape(source)}</pre>"


_TAGS = {"a", "blockquote", "br", "code", "del", "details", "div", "em", "hr", "img", "li", "ol"}
_TAGS |= {"p", "pre", "span", "strong", "summary", "ul"}
_TAGS |= {"table", "tbody", "td", "th", "thead", "tr"}
_TAGS |= {f"h{level}" for level in range(1, 7)}
_LONGEST = 20_000  # characters; what is longer is shown as it is
_PROTOCOLS = {"http", "https", "mailto", "data"}


def _allowed(tag: str, name: str, value: str) -> bool:
    """Whether an attribute may stay; a picture only if it is in the page itself."""
    if name == "src":
        return tag == "img" and value.startswith("data:image/")
    if name == "href":
        return tag == "a" and not value.startswith("data:")
    return name in ("alt", "class", "title")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without nbgrader's log, and without the warnings that its gradebook calls forth."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="nbgrader")
            yield
    finally:
        logging.disable(before)
