"""Editions and grading: what is cut, what an answer earns, which wrong answers are caught."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import pytest
from nbformat import NotebookNode

from tests.tools import sample
from tools import common, exercises, notebooks
from tools.exercises import WrongAnswer

SOLVED = {
    "scale-1": "def scale_1(x):\n    return 2 * x",
    "scale-2": "def scale_2(x):\n    return 3 * x",
}


def chapter(**answers: str) -> NotebookNode:
    """The sample with other answers, and without what takes long to start."""
    notebook = exercises.with_answers(
        sample.chapter(), {name.replace("_", "-"): source for name, source in answers.items()}
    )
    first = notebooks.section(notebook, "Exercises")[0].number
    start = sample.cell(notebook, "import numpy")
    start.source = "import numpy as np\n\nclass mm:\n    exercise_seed = lambda: 0"
    notebook.cells = [start, *notebook.cells[first - 1 :]]
    return notebook


@pytest.fixture(scope="module")
def ran() -> dict[str, NotebookNode]:
    """Editions of the sample that have run, all in one kernel."""
    blank = chapter()
    editions = {
        "blank": exercises.student(blank),
        "solved": blank,
        "wrong": chapter(scale_1="def scale_1(x):\n    return 0 * x"),
        "broken": chapter(scale_1="def scale_1(x):\n    return x[0]", scale_2="1 / 0"),
    }
    # Tests that say nothing, and a cell that is not graded but fails.
    silent = chapter(scale_1="def scale_1(x):\n    return x")
    test = sample.cell(silent, "assert scale_1")
    test.source = test.source.replace(", 'multiply by 2'", "")
    sample.cell(silent, "assert scale_2").source += "\nraise KeyError('other')"
    editions["silent"] = silent
    done = exercises.run(list(editions.values()), common.kernel_env("smoke"))
    return dict(zip(editions, done, strict=True))


# --- editions ---------------------------------------------------------------------------------


def test_a_students_edition_has_no_solution_and_no_hidden_test() -> None:
    source = sample.chapter()
    before = copy.deepcopy(source)
    page = exercises.student(source)
    assert source == before
    assert sample.cell(page, "def scale_1").source == (
        "def scale_1(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()"
    )
    assert sample.cell(page, "assert scale_1").source == (
        "assert scale_1(0) == 0, 'nothing stays nothing'"
    )
    assert sample.cell(page, "YOUR ANSWER HERE").metadata.nbgrader.grade_id == "why"
    assert "secret" not in notebooks.text(page)
    assert exercises.leftovers(source) == []


def test_what_is_left_of_a_solution_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # As if nbgrader had cut nothing.
    monkeypatch.setattr(exercises, "student", lambda notebook: notebook)
    found = exercises.leftovers(sample.chapter())
    assert "cell 26 (def scale_1(x):): secret = 2 * x" in found
    assert any("The secret is geometric." in line for line in found)
    assert any("mm.exercise_seed()" in line for line in found)


def test_markers_outside_graded_cells_are_refused() -> None:
    notebook = sample.chapter()
    del sample.cell(notebook, "def scale_1").metadata["nbgrader"]
    with pytest.raises(RuntimeError, match="non-solution cell"):
        exercises.student(notebook)


def test_an_answer_to_no_exercise_is_refused() -> None:
    with pytest.raises(ValueError, match="no answer cell is called 'scale-9'; there are scale-1"):
        exercises.with_answers(sample.chapter(), {"scale-9": "1"})


def test_answers_take_the_place_of_solutions() -> None:
    page = exercises.with_answers(sample.chapter(), SOLVED)
    assert sample.cell(page, "def scale_1").source == SOLVED["scale-1"]
    assert page.cells[26] == sample.chapter().cells[26]


# --- grading ----------------------------------------------------------------------------------


def points(notebook: NotebookNode) -> Mapping[str, tuple[float | None, float]]:
    return exercises.grades(notebook)


def test_grades(ran: dict[str, NotebookNode]) -> None:
    assert points(ran["solved"]) == {
        "scale-1-test": (2, 2),
        "scale-2-test": (2, 2),
        "why": (None, 3),
    }
    assert points(ran["blank"])["scale-1-test"] == points(ran["blank"])["scale-2-test"] == (0, 2)
    assert points(ran["wrong"])["scale-1-test"] == (0, 2)
    assert points(ran["wrong"])["scale-2-test"] == (2, 2)


def test_what_editions_share_runs_once(ran: dict[str, NotebookNode]) -> None:
    shared, *graded = ran["blank"].cells[0], ran["blank"].cells[3], ran["solved"].cells[3]
    assert ran["solved"].cells[0].execution_count == shared.execution_count == 1
    assert graded[0].execution_count < graded[1].execution_count


def test_grading_runs_the_notebook(ran: dict[str, NotebookNode]) -> None:
    notebook = chapter(scale_2="def scale_2(x):\n    return x")
    grades = exercises.grade(notebook, common.kernel_env("smoke"))
    assert grades == points(ran["solved"]) | {"scale-2-test": (0, 2)}


def test_errors_are_named(ran: dict[str, NotebookNode]) -> None:
    assert exercises.errors(ran["solved"]) == {}
    assert exercises.errors(ran["wrong"]) == {"scale-1-test": ("AssertionError", "multiply by 2")}
    assert exercises.errors(ran["broken"]) == {
        "scale-1-test": ("TypeError", "'int' object is not subscriptable"),
        "scale-2": ("ZeroDivisionError", "division by zero"),
    }
    blank = exercises.errors(ran["blank"])
    assert blank == {f"scale-{n}-test": ("NotImplementedError", "") for n in (1, 2)}


def test_a_cell_that_hangs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercises, "CELL_SECONDS", 1)
    page = exercises.student(chapter())
    sample.cell(page, "assert scale_1").source = "while True:\n    pass"
    (done,) = exercises.run([page], common.kernel_env("smoke"))
    assert exercises.errors(done)["scale-1-test"][0] in ("TimeoutError", "KeyboardInterrupt")
    assert points(done)["scale-1-test"] == (0, 2)


def test_tests_belong_to_the_answer_before_them() -> None:
    assert exercises.tests(sample.chapter()) == {
        "scale-1": ["scale-1-test"],
        "scale-2": ["scale-2-test"],
    }


# --- wrong answers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edition", "answers", "faults"),
    [
        ("wrong", ["scale-1"], []),
        ("solved", ["scale-1"], ["scale-1 (why) passes every test"]),
        ("wrong", ["scale-2"], ["scale-2 (why) passes every test", "scale-1-test fails meanwhile"]),
        ("broken", ["scale-1", "scale-2"], ["not say what is wrong, but TypeError", "not run"]),
        ("silent", ["scale-1"], ["say what is wrong, but AssertionError", "scale-2-test fails"]),
    ],
)
def test_a_wrong_answer_has_to_run_and_to_fail_with_a_message(
    ran: dict[str, NotebookNode], edition: str, answers: list[str], faults: list[str]
) -> None:
    found = exercises.not_caught(ran[edition], [WrongAnswer(name, "why", "") for name in answers])
    assert len(found) == len(faults)
    assert all(part in whole for part, whole in zip(faults, found, strict=True))


def write(folder: Path, text: str) -> list[WrongAnswer]:
    (folder / "a.py").write_text(text, encoding="utf-8")
    return exercises.wrong_answers("a", folder)


def test_wrong_answers_are_read(tmp_path: Path) -> None:
    answers = write(
        tmp_path,
        '"""About."""\n\n# ruff: noqa\n\n# %% one: too much\nx = 1\n\n# why\nx += 1\n\n\n'
        "# %% two: too little\ny = 1\n\n# %% one: nothing\npass\n",
    )
    assert answers == [
        WrongAnswer("one", "too much", "x = 1\n\n# why\nx += 1"),
        WrongAnswer("two", "too little", "y = 1"),
        WrongAnswer("one", "nothing", "pass"),
    ]
    assert exercises.rounds(answers) == [answers[:2], answers[2:]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# %% one\nx = 1\n", r"a\.py, line 1: write `# %% grade_id: misconception`"),
        ("# %% one: \nx = 1\n", "line 1: write"),
        ("x = 1\n# %% one: too much\nx = 2\n", "code stands before"),
    ],
)
def test_wrong_answers_written_otherwise_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write(tmp_path, text)


def test_missing_wrong_answers_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"b\.py is missing"):
        exercises.wrong_answers("b", tmp_path)
