"""Cut the solutions out of a chapter, put other answers in, and grade.

Wrong answers
-------------
For every code exercise, answers that a reader with a named misconception could give are kept in
``tests/notebooks/wrong_answers/<chapter>.py``. Each begins with a line

    # %% grade_id: the misconception in words

where `grade_id` is that of the answer cell, and goes on with the whole text that takes that
cell's place, up to the next such line. Several may stand for one exercise. Before the first there
may be a docstring and comments only. A wrong answer has to run, and a test of its exercise has to
fail on it by an assertion with a message; the other exercises keep their solutions meanwhile.
"""

from __future__ import annotations

import ast
import copy
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions
from nbgrader.utils import determine_grade, is_grade, is_solution

from tools import common, notebooks

CELL_SECONDS = 60

Grades = dict[str, tuple[float | None, float]]


def student(notebook: NotebookNode) -> NotebookNode:
    """The students' edition: solutions and hidden tests cut by nbgrader itself."""
    page = copy.deepcopy(notebook)
    resources: dict[str, Any] = {}
    silent = logging.Logger("nbgrader", logging.CRITICAL)  # they raise what they log
    for preprocessor in (ClearSolutions(log=silent), ClearHiddenTests(log=silent)):
        page, resources = preprocessor.preprocess(page, resources)
    return page


def with_answers(notebook: NotebookNode, answers: Mapping[str, str]) -> NotebookNode:
    """A copy in which some answer cells hold other text.

    Parameters
    ----------
    notebook : NotebookNode
        A chapter, its hidden tests in place.
    answers : mapping of str to str
        The new text by the `grade_id` of the answer cell.

    Raises
    ------
    ValueError
        If no answer cell has such a `grade_id`.
    """
    page = copy.deepcopy(notebook)
    cells = {notebooks.grading(c).grade_id: c for _, c in notebooks.cells(page) if is_solution(c)}
    for grade_id, source in answers.items():
        if grade_id not in cells:
            raise ValueError(f"no answer cell is called {grade_id!r}; there are {', '.join(cells)}")
        cells[grade_id].source = source
    return page


def run(
    editions: Sequence[NotebookNode], env: Mapping[str, str], folder: Path | None = None
) -> list[NotebookNode]:
    """Run editions of one chapter, going on after errors.

    What comes before the first graded cell is the same in all of them, and runs once; then the
    rest of each runs, one after another, in the same kernel.

    Parameters
    ----------
    editions : sequence of NotebookNode
        They are not changed.
    env : mapping of str to str
        The kernel's environment, from `tools.common.kernel_env`.
    folder : Path, optional
        Where the kernel runs; the present one by default.

    Returns
    -------
    list of NotebookNode
        The editions with their outputs.
    """
    pages = [copy.deepcopy(edition) for edition in editions]
    graded = [i for i, cell in enumerate(pages[0].cells) if notebooks.grading(cell)]
    shared = graded[0] if graded else len(pages[0].cells)
    client = NotebookClient(
        pages[0],
        kernel_name="python3",
        timeout=CELL_SECONDS,
        interrupt_on_timeout=True,
        allow_errors=True,
        error_on_timeout={
            "ename": "TimeoutError",
            "evalue": f"the cell did not end in {CELL_SECONDS} s",
            "traceback": [],
        },
        resources={"metadata": {"path": str(folder)}} if folder else {},
    )
    with client.setup_kernel(env=dict(env)):
        for index in range(shared):
            client.execute_cell(pages[0].cells[index], index)
        for page in pages:
            page.cells[:shared] = pages[0].cells[:shared]
            client.nb = page  # nbclient puts each cell that ran there
            for index, cell in enumerate(page.cells[shared:], shared):
                client.execute_cell(cell, index)
    return pages


def grades(ran: NotebookNode) -> Grades:
    """Points and most points of each graded cell that ran; None waits for a person."""
    found = {}
    for _, cell in notebooks.cells(ran):
        if is_grade(cell):
            found[notebooks.grading(cell).grade_id] = determine_grade(cell)
    return found


def grade(notebook: NotebookNode, env: Mapping[str, str]) -> Grades:
    """Run a chapter and grade it by nbgrader's own rules."""
    return grades(run([notebook], env)[0])


def errors(ran: NotebookNode) -> dict[str, tuple[str, str]]:
    """The kind and message of the error in each cell that raised one, by the cell's name.

    A graded cell is named by its `grade_id`, others as in messages.
    """
    found = {}
    for number, cell in notebooks.cells(ran, "code"):
        for output in cell.outputs:
            if output.output_type == "error":
                where = notebooks.grading(cell).get("grade_id", notebooks.name(number, cell))
                found[where] = (output.ename, output.evalue)
    return found


def tests(notebook: NotebookNode) -> dict[str, list[str]]:
    """The `grade_id` of each code answer, with those of the test cells that follow it."""
    found: dict[str, list[str]] = {}
    for _, cell in notebooks.cells(notebook, "code"):
        grade_id = notebooks.grading(cell).get("grade_id", "")
        if is_solution(cell):
            found[grade_id] = []
        elif is_grade(cell) and found:
            found[list(found)[-1]].append(grade_id)
    return found


def leftovers(notebook: NotebookNode) -> list[str]:
    """Lines of solutions and hidden tests that are still in the students' edition."""
    stub = {*ClearSolutions().code_stub["python"].split("\n"), ClearSolutions().text_stub}
    found = []
    for (number, before), (_, after) in zip(
        notebooks.cells(notebook), notebooks.cells(student(notebook)), strict=True
    ):
        kept = before.source
        for marker in (notebooks.SOLUTION, notebooks.HIDDEN):
            kept = notebooks.without_regions(kept, marker)
        allowed = {line.strip() for line in kept.split("\n")} | stub
        found += [
            f"{notebooks.name(number, before)}: {line.strip()}"
            for line in after.source.split("\n")
            if line.strip() not in allowed
        ]
    return found


# --- wrong answers ----------------------------------------------------------------------------


@dataclass(frozen=True)
class WrongAnswer:
    """An answer that comes from a misconception."""

    grade_id: str
    misconception: str
    source: str


_ANSWER = re.compile(r"^# %% *(?P<id>[\w-]+): *(?P<why>\S.*)$")


def wrong_answers(chapter: str, folder: Path | None = None) -> list[WrongAnswer]:
    """The wrong answers that are kept for a chapter.

    Parameters
    ----------
    chapter : str
        The chapter.
    folder : Path, optional
        Where they are kept; the project's by default.

    Raises
    ------
    ValueError
        If there is no file, or it is not written as this module's docstring says.
    """
    folder = folder or common.ROOT / "tests" / "notebooks" / "wrong_answers"
    path = folder / f"{chapter}.py"
    if not path.exists():
        raise ValueError(f"{path} is missing; see tools/exercises.py for what stands in it")
    found: list[Any] = []
    before: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := _ANSWER.match(line):
            found.append((match["id"], match["why"].strip(), []))
        elif line.startswith("# %%"):
            raise ValueError(f"{path}, line {number}: write `# %% grade_id: misconception`")
        else:
            (found[-1][2] if found else before).append(line)
    rest = ast.parse("\n".join(before)).body
    if any(not isinstance(node, ast.Expr) for node in rest):
        raise ValueError(f"{path}: code stands before the first `# %% grade_id: misconception`")
    return [WrongAnswer(i, why, "\n".join(lines).strip()) for i, why, lines in found]


def rounds(wrong: Sequence[WrongAnswer]) -> list[list[WrongAnswer]]:
    """Wrong answers to be graded together: the first to each exercise, then the second, …"""
    found: list[list[WrongAnswer]] = []
    seen: dict[str, int] = {}
    for answer in wrong:
        turn = seen[answer.grade_id] = seen.get(answer.grade_id, -1) + 1
        if turn == len(found):
            found.append([])
        found[turn].append(answer)
    return found


def not_caught(ran: NotebookNode, answers: Sequence[WrongAnswer]) -> list[str]:
    """What is wrong with a round of wrong answers: one passes, or fails in another way.

    Parameters
    ----------
    ran : NotebookNode
        The chapter with these answers, after it ran.
    answers : sequence of WrongAnswer
        At most one an exercise.
    """
    found = []
    raised, testing = errors(ran), tests(ran)
    for answer in answers:
        where = f"{answer.grade_id} ({answer.misconception})"
        failed = {name: raised[name] for name in testing[answer.grade_id] if name in raised}
        if answer.grade_id in raised:
            kind, message = raised[answer.grade_id]
            found.append(f"{where} does not run: {kind}: {message}")
        elif not failed:
            found.append(f"{where} passes every test")
        for name, (kind, message) in failed.items():
            if kind != "AssertionError" or not message.strip():
                found.append(f"{where}: {name} does not say what is wrong, but {kind}: {message}")
    meant = {name for answer in answers for name in testing[answer.grade_id]}
    for name in sorted(set(raised) - meant - {answer.grade_id for answer in answers}):
        found.append(f"{name} fails meanwhile: {': '.join(raised[name])}")
    return found
