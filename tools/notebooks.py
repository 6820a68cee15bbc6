"""What the tools know about a notebook: its file, its cells, tags, sections and exercises."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import nbformat.reader
import nbformat.v4
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode

from tools.common import write_if_changed

# Every tag that a cell may carry. CONTRIBUTING.md shows this table; tools/sync.py writes it there.
TAGS = {
    "setup": "installs the book's package on Colab, does nothing elsewhere; written by sync",
    "parameters": "`PROFILE`, `SEED` and `NULL` as literals; papermill and Colab set them",
    "start": "imports, and `mm.start`, which settles profile, seed and sizes",
    "sync": "shows a definition of the package: the first line names it, sync writes the rest",
    "nbval-check-output": "agreement cell: nbval compares its output with the stored one",
    "keep_output": "agreement cell: its output and execution count are stored (always with "
    "`nbval-check-output`)",
    "hide-input": "code that the site folds away, such as a plot's",
    "injected-parameters": "papermill's own; only ever in an executed notebook",
}
KEEPS_OUTPUT = {"nbval-check-output", "keep_output"}
# The only metadata that an author's notebook and its cells keep.
METADATA = {"kernelspec", "language_info"}
CELL_METADATA = {"tags", "nbgrader"}

CLAIM_MIME = "application/vnd.mmlearn.claim+json"


# --- files ------------------------------------------------------------------------------------


class NotebookError(ValueError):
    """A file is no notebook."""


def read(path: Path) -> NotebookNode:
    """The notebook in a file, as it stands there: nothing is converted or repaired.

    Raises
    ------
    NotebookError
        If the file holds none.
    """
    try:
        return nbformat.reader.reads(path.read_text(encoding="utf-8"))
    except nbformat.reader.NotJSONError as error:
        raise NotebookError(f"{path} is not a notebook: {error}") from None


def text(notebook: NotebookNode) -> str:
    """The one way in which our tools write a notebook (as Jupyter does: indent 1, sorted)."""
    return nbformat.v4.writes(notebook).rstrip("\n") + "\n"


def write(notebook: NotebookNode, path: Path) -> bool:
    """Write a notebook unless the file holds it already; whether it was written."""
    return write_if_changed(path, text(notebook))


# --- cells ------------------------------------------------------------------------------------

Numbered = tuple[int, NotebookNode]  # a cell with its number, counted from 1 over all cells


def cells(notebook: NotebookNode, kind: str = "") -> list[Numbered]:
    """The cells of one kind (``code``, ``markdown``, all if empty) with their numbers."""
    return [(i, c) for i, c in enumerate(notebook.cells, 1) if not kind or c.cell_type == kind]


def tags(cell: NotebookNode) -> set[str]:
    """A cell's tags."""
    return set(cell.metadata.get("tags", []))


def tagged(notebook: NotebookNode, tag: str) -> list[Numbered]:
    """The code cells that carry a tag."""
    return [(number, cell) for number, cell in cells(notebook, "code") if tag in tags(cell)]


def name(number: int, cell: NotebookNode) -> str:
    """How messages name a cell: its number and the beginning of its first line."""
    first = next((line.strip() for line in cell.source.splitlines() if line.strip()), "empty")
    return f"cell {number} ({first if len(first) <= 50 else first[:49] + '…'})"


def python(source: str) -> str:
    """A code cell's source as plain Python: IPython's magic commands become calls."""
    if not re.search(r"^\s*[%!?]|\?\s*$", source, re.MULTILINE):
        return source
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(source)


# --- Markdown ---------------------------------------------------------------------------------

_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_PARSER.use(dollarmath_plugin).use(amsmath_plugin)


@lru_cache(maxsize=4096)
def tokens(source: str) -> tuple[Token, ...]:
    """The block tokens of a Markdown cell, with mathematics told apart from prose."""
    return tuple(_PARSER.parse(source))


@dataclass(frozen=True)
class Part:
    """A code cell, or the piece of a Markdown cell from one heading to the next."""

    number: int
    cell: NotebookNode
    source: str
    level: int = 0  # of the heading that it begins with, 0 if there is none
    heading: str = ""


# nbgrader's markers look like headings in a Markdown cell.
_MARKER = re.compile(r"(BEGIN|END) (SOLUTION|HIDDEN TESTS)")


def parts(notebook: NotebookNode) -> list[Part]:
    """A chapter cut at its headings, wherever in a cell they stand."""
    found: list[Part] = []
    for number, cell in cells(notebook):
        if cell.cell_type != "markdown":
            found.append(Part(number, cell, cell.source))
            continue
        lines = cell.source.splitlines()
        stream = tokens(cell.source)
        starts = [
            (token.map[0], int(token.tag[1]), stream[i + 1].content)
            for i, token in enumerate(stream)
            if token.type == "heading_open"
            and token.map
            and token.level == 0
            and not _MARKER.match(stream[i + 1].content)
        ]
        if not starts or any(line.strip() for line in lines[: starts[0][0]]):
            starts.insert(0, (0, 0, ""))
        ends = [start for start, _, _ in starts[1:]] + [len(lines)]
        for (start, level, heading), end in zip(starts, ends, strict=True):
            found.append(Part(number, cell, "\n".join(lines[start:end]), level, heading))
    return found


def section(notebook: NotebookNode, title: str) -> list[Part]:
    """The parts of the section ``## title``, its heading included; empty if there is none."""
    found: list[Part] = []
    inside = False
    for part in parts(notebook):
        if 1 <= part.level <= 2:
            inside = part.level == 2 and part.heading == title
        if inside:
            found.append(part)
    return found


# --- exercises --------------------------------------------------------------------------------

POINTS = re.compile(
    r"^\*(?P<points>\d+) points? · (?P<difficulty>easy|medium|hard) · (?P<minutes>\d+) minutes?\*$",
    re.MULTILINE,
)
_EXERCISE = re.compile(r"Exercise (?P<number>\d+): (?P<title>.+)")


@dataclass
class Exercise:
    """One exercise: what its prompt says, and its parts, the prompt first.

    `points`, `difficulty` and `minutes` are zero or empty where the prompt lacks the line
    ``*k points · easy|medium|hard · m minutes*``.
    """

    number: int
    title: str
    points: int
    difficulty: str
    minutes: int
    parts: list[Part] = field(default_factory=list)


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """The exercises of a chapter, in order, each from its heading to the next."""
    found: list[Exercise] = []
    for part in section(notebook, "Exercises"):
        if part.level == 3 and (match := _EXERCISE.fullmatch(part.heading)):
            line = POINTS.search(part.source)
            found.append(
                Exercise(
                    int(match["number"]),
                    match["title"],
                    int(line["points"]) if line else 0,
                    line["difficulty"] if line else "",
                    int(line["minutes"]) if line else 0,
                )
            )
        if found:
            found[-1].parts.append(part)
    return found


def grading(cell: NotebookNode) -> NotebookNode:
    """A cell's nbgrader metadata; empty if it has none."""
    return cell.metadata.get("nbgrader", NotebookNode())


SOLUTION, HIDDEN = "SOLUTION", "HIDDEN TESTS"
SEED = "mm.exercise_seed()"  # how every test asks for it, so that grading finds it


def regions(source: str, marker: str) -> list[tuple[bool, str]]:
    """Split a source at nbgrader's markers ``### BEGIN …`` and ``### END …``.

    Parameters
    ----------
    source : str
        The text of a cell.
    marker : str
        `SOLUTION` or `HIDDEN`.

    Returns
    -------
    list of (inside, text)
        The pieces in order, without the marker lines; `inside` says whether the piece stands
        between markers.

    Raises
    ------
    ValueError
        If markers are nested, or one has no partner.
    """
    pieces: list[tuple[bool, list[str]]] = [(False, [])]
    for line in source.split("\n"):
        inside = pieces[-1][0]
        if f"BEGIN {marker}" in line or f"END {marker}" in line:
            if inside == (f"BEGIN {marker}" in line):
                raise ValueError(f"the line {line.strip()!r} has no partner")
            pieces.append((not inside, []))
        else:
            pieces[-1][1].append(line)
    if pieces[-1][0]:
        raise ValueError(f"there is a BEGIN {marker} with no END {marker}")
    return [(inside, "\n".join(lines)) for inside, lines in pieces if lines]


def without_markers(source: str, marker: str) -> str:
    """The source with everything kept but the marker lines."""
    return "\n".join(piece for _, piece in regions(source, marker))


def without_regions(source: str, marker: str) -> str:
    """The source with the text between the markers cut out."""
    return "\n".join(piece for inside, piece in regions(source, marker) if not inside)


# --- the table of tags ------------------------------------------------------------------------

_BEGIN, _END = "<!-- tags:begin -->", "<!-- tags:end -->"


def with_tags_table(page: str) -> str:
    """A Markdown page with the table of all tags between its two markers.

    Raises
    ------
    ValueError
        If the page has not both markers, in this order.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"the page has no {_BEGIN} … {_END}")
    rows = [f"| `{tag}` | {meaning} |" for tag, meaning in TAGS.items()]
    table = "\n".join(["| tag | what it means |", "|---|---|", *rows])
    return f"{before}{begin}\n{table}\n{end}{after}"
