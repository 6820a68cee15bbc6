"""The exercises of every chapter: solved they pass, blank they fail, wrong they are caught."""

from __future__ import annotations

import os

import pytest
from nbformat import NotebookNode

from tools import common, editions, exercises, notebooks

CHAPTERS = common.chapters(os.environ.get("CHAPTERS", ""))
SOLVED = 5  # editions with all solutions, each with other numbers


@pytest.fixture(scope="module", params=CHAPTERS)
def chapter(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def source(chapter: str) -> NotebookNode:
    return notebooks.read(common.notebook_path(chapter))


@pytest.fixture(scope="module")
def rounds(chapter: str) -> list[list[exercises.WrongAnswer]]:
    return exercises.rounds(exercises.wrong_answers(chapter))


@pytest.fixture(scope="module")
def ran(
    chapter: str, source: NotebookNode, rounds: list[list[exercises.WrongAnswer]]
) -> list[NotebookNode]:
    """The blank edition, the solved ones, then each round of wrong answers: one kernel for all."""
    # The blank one comes first, so that no answer is left over that could help it.
    pages = [exercises.student(source), source]
    # A test that is too strict for some numbers fails some students of a class who are right.
    pages += [editions.with_numbers(source, f"student {number}") for number in range(1, SOLVED)]
    for number, answers in enumerate(rounds):
        wrong = exercises.with_answers(source, {a.grade_id: a.source for a in answers})
        # Each round meets other numbers, as each student of a class does.
        pages.append(editions.with_numbers(wrong, f"student {number}"))
    folder = common.notebook_path(chapter).parent
    return exercises.run(pages, common.kernel_env("smoke"), folder)


@pytest.mark.parametrize("number", range(1, 1 + SOLVED))
def test_solutions_earn_every_point(ran: list[NotebookNode], number: int) -> None:
    assert exercises.errors(ran[number]) == {}
    grades = exercises.grades(ran[number])
    assert {name: points for name, (points, most) in grades.items() if points != most} == {
        name: None for name, (points, _) in grades.items() if points is None
    }


def test_a_blank_edition_fails_where_it_is_graded_and_nowhere_else(ran: list[NotebookNode]) -> None:
    blank = ran[0]
    automatic = {name for names in exercises.tests(blank).values() for name in names}
    assert set(exercises.errors(blank)) == automatic
    assert {exercises.grades(blank)[name][0] for name in automatic} == {0}


def test_a_blank_edition_holds_no_solution(source: NotebookNode) -> None:
    assert exercises.leftovers(source) == []


def test_every_code_exercise_has_a_wrong_answer(
    source: NotebookNode, rounds: list[list[exercises.WrongAnswer]]
) -> None:
    first = {answer.grade_id for answer in rounds[0]}
    assert first == {name for name, tests in exercises.tests(source).items() if tests}


def test_wrong_answers_are_caught(
    ran: list[NotebookNode], rounds: list[list[exercises.WrongAnswer]]
) -> None:
    faults = [
        fault
        for notebook, answers in zip(ran[1 + SOLVED :], rounds, strict=True)
        for fault in exercises.not_caught(notebook, answers)
    ]
    assert faults == []
