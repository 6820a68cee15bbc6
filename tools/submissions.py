"""What students hand in: whose it is, whether it can be read, and their answers out of it."""

from __future__ import annotations

import ast
import contextlib
import copy
import datetime
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import nbformat.reader
import nbformat.v4
from nbformat import NotebookNode
from nbgrader.utils import compute_checksum, is_grade, is_solution, parse_utc

from tools import exercises, notebooks
from tools.editions import Student

MOST_BYTES = 32 * 2**20  # of a file that is handed in
MOST_CELLS, MOST_TEXT = 1_000, 100_000  # in a notebook; characters in a cell
MOST_CHARACTERS = 300  # of a text that is passed on


class UnreadableError(ValueError):
    """What was handed in cannot be graded; the message says why."""


# --- chapters ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chapter:
    """A chapter that submissions are graded against, its solutions and hidden tests in place."""

    name: str
    source: NotebookNode

    @cached_property
    def blank(self) -> NotebookNode:
        """What the students were given; the cells are the same, one by one."""
        return exercises.student(self.source)

    @cached_property
    def grade_ids(self) -> dict[str, int]:
        """Where each graded, answer or locked cell stands, counted from 0."""
        found = {}
        for number, cell in notebooks.cells(self.source):
            if grade_id := notebooks.grading(cell).get("grade_id"):
                found[grade_id] = number - 1
        return found

    @cached_property
    def points(self) -> dict[str, float]:
        """The most points of each graded cell."""
        cells = [cell for cell in self.source.cells if is_grade(cell)]
        return {c.metadata.nbgrader.grade_id: float(c.metadata.nbgrader.points) for c in cells}

    @cached_property
    def exercises(self) -> dict[int, list[str]]:
        """The graded cells of each exercise, by its number."""
        return {
            exercise.number: [
                notebooks.grading(part.cell).grade_id
                for part in exercise.parts
                if is_grade(part.cell)
            ]
            for exercise in notebooks.exercises(self.source)
        }

    @cached_property
    def begin(self) -> int:
        """From which cell on a submission's own cells count: where the exercises begin."""
        parts = notebooks.section(self.source, "Exercises")
        return parts[0].number - 1 if parts else min(self.grade_ids.values())

    @cached_property
    def answered(self) -> list[str]:
        """The names that answers bind."""
        code = (c.source for _, c in notebooks.cells(self.source, "code") if is_solution(c))
        return sorted(
            {
                node.name
                for source in code
                for node in ast.parse(notebooks.python(source)).body
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            }
        )

    @cached_property
    def secrets(self) -> list[str]:
        """The lines of hidden tests, which no message may quote."""
        return [
            line.strip()
            for cell in self.source.cells
            for inside, text in notebooks.regions(cell.source, notebooks.HIDDEN)
            if inside
            for line in text.splitlines()
            if len(line.strip()) > 15
        ]

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {cell.id: i for i, cell in enumerate(self.source.cells)}

    @cached_property
    def _texts(self) -> dict[str, int]:
        return {cell.source: i for i, cell in enumerate(self.blank.cells)}

    def place(self, cell: NotebookNode) -> int | None:
        """Which cell of the chapter a submission's cell is, counted from 0; None if it is new."""
        if grade_id := grade_id_of(cell):
            return self.grade_ids.get(grade_id)
        for mark in (cell.metadata.get("id"), cell.get("id")):  # Colab has it in the metadata
            if isinstance(mark, str) and mark in self._ids:
                return self._ids[mark]
        return self._texts.get(cell.source)

    def exercise(self, grade_id: str) -> str:
        """How a graded cell is called where people read it."""
        return next(
            (f"exercise {n}" for n, ids in self.exercises.items() if grade_id in ids), grade_id
        )


def restored(chapter: Chapter, given: NotebookNode) -> NotebookNode:
    """The chapter with a submission's answers in place of the solutions.

    Cells that the author added after the beginning of the exercises are there too, where they
    stood; their ids begin with ``own``. An answer that is missing is blank.

    Parameters
    ----------
    chapter : Chapter
    given : NotebookNode
        As `read` has it.

    Raises
    ------
    UnreadableError
        If no cell of it comes from the chapter.
    """
    answers: dict[int, NotebookNode] = {}
    own: dict[int, list[str]] = {}
    place, familiar = -1, False
    for cell in given.cells:
        found = chapter.place(cell)
        if found is not None:
            place, familiar = found, familiar or found in chapter.grade_ids.values()
        answer = found is not None and is_solution(chapter.source.cells[found])
        if answer and found not in answers:
            answers[place] = cell
        elif (found is None or answer) and place >= chapter.begin and cell.cell_type == "code":
            own.setdefault(place, []).append(cell.source)  # a second copy of an answer as well
    if not familiar:
        raise UnreadableError("it has no exercise of this chapter")
    page = copy.deepcopy(chapter.source)
    page.cells = []
    added: list[str] = []
    both = zip(chapter.source.cells, chapter.blank.cells, strict=True)
    for i, (source, blank) in enumerate(both):
        cell = copy.deepcopy(source)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if is_solution(cell):
            cell.source = answers.get(i, blank).source
            if cell.cell_type == "markdown" and (pictures := _pictures(answers.get(i, blank))):
                cell.attachments = pictures
        if notebooks.grading(cell):
            cell.metadata.nbgrader.checksum = compute_checksum(blank)  # so that blank is known
        # Where the answer's own cell is lost, what was written in its place follows the blank one.
        if not is_solution(cell) or i in answers:
            _add(page, added)
        page.cells.append(cell)
        added += own.get(i, [])
    _add(page, added)
    return page


# What no exercise needs, and whoever wants to get at the tests does.
_UNUSUAL = {"builtins", "ctypes", "gc", "importlib", "inspect", "os", "signal", "socket"}
_UNUSUAL |= {"subprocess", "sys", "get_ipython", "__builtins__", "__globals__", "__import__"}


def unusual(page: NotebookNode) -> list[str]:
    """What a submission's code uses although no exercise needs it, for a person to look at.

    An answer runs in one process with the tests that judge it: whoever sets out to deceive them
    from within can, and is seen.
    """
    found = set()
    for cell in page.cells:
        if cell.cell_type == "code" and is_theirs(cell):
            found |= set(re.findall(r"\w+", cell.source)) & _UNUSUAL
    return sorted(found)


def _pictures(cell: NotebookNode) -> dict[str, dict[str, str]]:
    """What is attached to a Markdown cell, as far as it is in order."""
    found = cell.get("attachments")
    return {
        str(name): {"image/png": data["image/png"]}
        for name, data in (found if isinstance(found, dict) else {}).items()
        if isinstance(data, dict) and re.fullmatch(r"[\w+/=\s]+", str(data.get("image/png", "")))
    }


def _add(page: NotebookNode, sources: list[str]) -> None:
    for source in sources:
        page.cells.append(nbformat.v4.new_code_cell(source, id=f"own-{len(page.cells)}"))
    sources.clear()


def grade_id_of(cell: NotebookNode) -> str:
    """A cell's name in nbgrader's metadata, which a stranger may have written; empty if none."""
    grading = cell.metadata.get("nbgrader")
    found = grading.get("grade_id") if isinstance(grading, dict) else None
    return found if isinstance(found, str) else ""


def clean(message: str) -> str:
    """A text that a stranger may have written, short and on one line."""
    message = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return message if len(message) <= MOST_CHARACTERS else message[: MOST_CHARACTERS - 1] + "…"


def is_theirs(cell: NotebookNode) -> bool:
    """Whether a cell of a restored notebook is the submission's."""
    return is_solution(cell) or cell.id.startswith("own-")


# --- submissions ------------------------------------------------------------------------------


@dataclass
class Submission:
    """A file that was handed in."""

    student: str
    chapter: str
    path: Path
    when: datetime.datetime
    notes: list[str] = field(default_factory=list)


def read(path: Path) -> NotebookNode:
    """A notebook that was handed in, whoever wrote it.

    Its cells have a type, a text and metadata; nothing else in it is to be relied on.

    Raises
    ------
    UnreadableError
        If it is none.
    """
    if path.is_symlink() or not path.is_file():
        raise UnreadableError("it is a link, not a file")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise UnreadableError(
            f"it has {size / 2**20:.0f} MB, of {MOST_BYTES / 2**20:.0f} at most: "
            "hand it in without outputs"
        )
    if not size:
        raise UnreadableError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            page = nbformat.reader.reads(path.read_text(encoding="utf-8-sig"))
            page = nbformat.convert(page, 4) if page.nbformat < 4 else page
        for cell in page.cells:
            if not isinstance(cell.source, str) or not isinstance(cell.metadata, dict):
                raise ValueError("a cell has no text")
            if len(cell.source) > MOST_TEXT or len(page.cells) > MOST_CELLS:
                raise OverflowError
            cell.cell_type = str(cell.cell_type)
            cell.source = cell.source.encode(errors="replace").decode()  # half characters
    except nbformat.reader.NotJSONError:
        raise UnreadableError("it is no notebook, or only the beginning of one") from None
    except OverflowError:
        raise UnreadableError(
            f"it has more than {MOST_CELLS:,} cells, or {MOST_TEXT:,} characters in one"
        ) from None
    except Exception as error:  # whatever can be wrong with a file from a stranger
        raise UnreadableError(f"it is no notebook ({type(error).__name__})") from None
    return page


def collect(
    folder: Path, students: Sequence[Student], chapters: Mapping[str, Chapter]
) -> tuple[list[Submission], list[tuple[Path, str]]]:
    """Find whose each notebook in a folder is, and of which chapter; the latest of each counts.

    Parameters
    ----------
    folder : Path
        ``<student>/<assignment>/<notebook>.ipynb``, or files and folders whose names tell both.
    students : sequence of Student
        The class; if it is empty, the names alone say who is who.
    chapters : mapping of str to Chapter

    Returns
    -------
    submissions : list of Submission
    strangers : list of (Path, str)
        The files that cannot be told, and why.
    """
    found: dict[tuple[str, str], list[Submission]] = {}
    strangers = []
    nobody = "its name tells nobody of the class" if students else "its name tells no student"
    for path in sorted(folder.rglob("*.ipynb"), key=_natural):
        parts = path.relative_to(folder).parts
        if any(part.startswith((".", "__MACOSX")) for part in parts):
            continue
        chapter = _chapter_of(path, parts, chapters)
        if chapter is None:
            strangers.append((path, f"its name tells none of {', '.join(chapters)}"))
            continue
        student = _student_of(parts, chapter, students)
        if student is None:
            strangers.append((path, nobody))
            continue
        found.setdefault((student, chapter), []).append(
            Submission(student, chapter, path, _when(path))
        )
    latest = []
    for several in found.values():
        last = max(enumerate(several), key=lambda one: (one[1].when, one[0]))[1]
        if len(several) > 1:
            last.notes.append(
                f"{len(several)} files; {clean(last.path.name)} is the latest and counts"
            )
        latest.append(last)
    return latest, strangers


def _natural(path: Path) -> list[tuple[str, int]]:
    """So that ``-10`` comes after ``-2``, and that after neither."""
    name = path.with_suffix("").as_posix()
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _slug(text: str) -> str:
    """Letters and digits, the rest as ``_``: learning-management systems change what is between."""
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", text).casefold()).strip("_")


def _chapter_of(path: Path, parts: Sequence[str], chapters: Mapping[str, Chapter]) -> str | None:
    text = _slug("/".join(parts))
    if named := [name for name in chapters if _slug(name) in text]:
        return max(named, key=len)
    with contextlib.suppress(UnreadableError):
        held = {grade_id_of(cell) for cell in read(path).cells} - {""}
        if held:
            shares = {name: len(held & set(c.grade_ids)) for name, c in chapters.items()}
            best = max(shares, key=lambda name: shares[name])
            return best if shares[best] else None
    return None


def _student_of(parts: Sequence[str], chapter: str, students: Sequence[Student]) -> str | None:
    if not students:
        own = parts[0] if len(parts) > 1 else Path(parts[0]).stem
        own = re.sub(re.escape(chapter).replace("_", r"[\W_]"), "", own, flags=re.IGNORECASE)
        own = re.sub(r"[-_ ]*(\(\d+\)|-\d+)$", "", own).strip(" ._-")
        return own if re.fullmatch(r"\w[\w .@+-]*", own) else None
    if named := [one.id for one in students if one.id in parts]:
        return named[0]
    text = "_" + _slug("/".join(parts)).replace(_slug(chapter), "_") + "_"
    fits = {}
    for one in students:
        both = (one.first_name, one.last_name)
        names = [one.id, one.email, *map(" ".join, (both, both[::-1])), "".join(both[::-1])]
        whole = [_slug(name) for name in names[: None if all(both) else 2] if _slug(name)]
        fits[one.id] = max((len(name) for name in whole if f"_{name}_" in text), default=0)
    best = max(fits, key=lambda name: fits[name])
    alone = list(fits.values()).count(fits[best]) == 1
    return best if fits[best] and alone else None


def _when(path: Path) -> datetime.datetime:
    """When it was handed in: what nbgrader wrote down, else the file's time."""
    with contextlib.suppress(OSError, ValueError):
        return parse_utc((path.parent / "timestamp.txt").read_text(encoding="utf-8").strip())
    seconds = path.lstat().st_mtime
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)
