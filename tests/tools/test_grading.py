"""Grading: every submission gets its own mark or a reason, whatever is in it."""

from __future__ import annotations

import csv
import html
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import psutil
import pytest
from filelock import FileLock
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from tests.tools import sample
from tests.tools import submissions as made
from tools import common, editions, exercises, grading, marks, notebooks, sandbox, submissions
from tools.editions import Student
from tools.submissions import Chapter

NAME = "mean"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose only chapter is small, and short limits."""
    if reason := sandbox.no_namespaces():
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    root = tmp_path_factory.mktemp("grading")
    with pytest.MonkeyPatch.context() as monkeypatch:
        path = sample.project(root, monkeypatch)
        notebooks.write(made.chapter(), path)
        monkeypatch.setattr(grading, "CELL_SECONDS", 2)
        monkeypatch.setattr(grading, "GRACE_SECONDS", 1)
        limits = sandbox.Limits(memory=700 * 2**20, disk=64 * 2**20, processes=16)
        monkeypatch.setattr(grading, "LIMITS", limits)
        monkeypatch.setattr(submissions, "MOST_BYTES", 2**20)
        yield root


def hand_in(folder: Path, student: str, case: made.Case, name: str = "") -> Path:
    """Put a submission where nbgrader would collect it."""
    path = folder / (name or f"{student}/{NAME}/{NAME}.ipynb")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = notebooks.text(case.make()) if callable(case.make) else case.make
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def run(root: Path, folder: Path, out: Path, roster: Path | None = None) -> int:
    sources = {NAME: common.notebook_path(sample.CHAPTER, root / "book")}
    return grading.grade(folder, roster, sources, out)


def chapter() -> Chapter:
    return Chapter(NAME, made.chapter())


def lines(out: Path) -> list[dict[str, str]]:
    with (out / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def read(out: Path) -> dict[str, dict[str, str]]:
    return {row["student"]: row for row in lines(out)}


def page(out: Path, student: str) -> str:
    return (out / "feedback" / student / f"{NAME}.html").read_text(encoding="utf-8")


# --- a class ----------------------------------------------------------------------------------

CASES = {**made.studies(), **made.mischief("ROOT"), **made.unreadable()}


@pytest.fixture(scope="module")
def graded(project: Path) -> Path:
    """A class has handed in everything that there is; where the table is."""
    folder, out = project / "submissions", project / "grades"
    cases = {**made.studies(), **made.mischief(str(project)), **made.unreadable()}
    for student, case in cases.items():
        hand_in(folder, student, case)
    (folder / "link" / NAME).mkdir(parents=True)
    (folder / "link" / NAME / f"{NAME}.ipynb").symlink_to(
        project / "book" / "1_part" / "mean.ipynb"
    )
    assert run(project, folder, out) == 1  # not all could be graded
    return out


@pytest.mark.parametrize("student", CASES)
def test_each_gets_the_right_mark_or_a_reason(graded: Path, student: str) -> None:
    case, row = CASES[student], read(graded)[student]
    assert ((row["exercise_1"], row["exercise_2"]), row["status"]) == (case.points, case.status)
    assert case.reason in row["reason"]
    assert float(row["total"]) == sum(map(float, case.points))
    assert row["maximum"] == "7"
    told = html.unescape(re.sub(r"<.*?>", "", page(graded, student)))
    assert f": {case.status}" in told
    assert case.reason.split(" | ")[0] in told


def test_a_link_is_not_followed(graded: Path) -> None:
    """It leads to the solutions, which would be full marks."""
    row = read(graded)["link"]
    assert (row["total"], row["status"], row["reason"]) == (
        "0",
        "not graded",
        "it is a link, not a file",
    )


def test_what_looks_like_an_attack_is_shown_to_a_person(graded: Path) -> None:
    rows = read(graded)
    assert rows["quits"]["reason"].startswith("uses os: look at the answer")
    assert "look at" not in rows["full"]["reason"] + rows["colab"]["reason"]


def test_nothing_was_left_behind(graded: Path, project: Path) -> None:
    assert not list(project.rglob("mine"))
    assert "mmlearn-" not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    assert (project / "mmlearn" / "toy.py").read_text(encoding="utf-8") == sample.TOY


# --- feedback ---------------------------------------------------------------------------------


@pytest.mark.parametrize("student", ["full", "squares", "quotes", "blank", "truncated"])
def test_feedback_has_no_solution_no_hidden_test_and_asks_nobody(
    graded: Path, student: str
) -> None:
    text = page(graded, student)
    plain = html.unescape(re.sub(r"<.*?>", "", text))
    assert "secret" not in plain
    assert "HIDDEN" not in plain
    for line in chapter().secrets:
        assert line not in plain
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//|@import|<script", text)


def test_feedback_shows_answers_tests_points_and_what_is_wrong(graded: Path) -> None:
    plain = html.unescape(re.sub(r"<.*?>", "", page(graded, "squares")))
    assert "return x ** 2" in plain
    assert "assert scale_1(0) == 0, 'nothing stays nothing'" in plain
    assert "AssertionError: multiply by 2" in plain
    assert "Score: 0.0 / 2.0" in plain
    assert "Score: 2.0 / 2.0" in plain
    assert "One point a reason." in plain  # the rubric
    assert "This answer waits for a person" in plain
    assert "Further reading" not in plain


def test_feedback_makes_students_html_harmless(project: Path, tmp_path: Path) -> None:
    evil = (
        "<script>alert(1)</script><img src=x onerror=alert(2)>\n\n"
        "[a](javascript:alert(3)) `1 < 2`\n\n"
        "![mine](attachment:mine.png) ![there](https://example.org/there.png)"
    )
    given = made.answered(why=evil)
    sample.cell(given, "<script>").attachments = {"mine.png": {"image/png": "iVBORw0KGgo="}}
    hand_in(tmp_path / "in", "evil", made.Case(lambda: given))
    assert run(project, tmp_path / "in", tmp_path / "out") == 0
    text = page(tmp_path / "out", "evil")
    assert "<script" not in text
    assert "onerror=" not in html.unescape(re.sub(r"&lt;.*?&gt;", "", text))
    assert 'href="javascript' not in text
    assert re.findall(r'<img[^>]*src="(.*?)"', text) == ["data:image/png;base64,iVBORw0KGgo="]
    assert "1 &lt; 2</code>" in text


# --- once more --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three(project: Path) -> Path:
    """A folder in which three students have been graded."""
    folder = project / "three"
    for student in ("ann", "bob", "cem"):
        hand_in(folder / "in", student, made.Case(made.answered))
    assert run(project, folder / "in", folder / "out") == 0
    return folder


@pytest.fixture
def few(three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The three in `tmp_path`; whose submissions are run from now on."""
    shutil.copytree(three, tmp_path, dirs_exist_ok=True)
    ran: list[str] = []
    once = grading.Runner.run

    def noted(self: grading.Runner, chapter: Chapter, page: NotebookNode, student: str) -> Any:
        ran.append(student)
        return once(self, chapter, page, student)

    monkeypatch.setattr(grading.Runner, "run", noted)
    return ran


def test_only_what_changed_is_run(project: Path, tmp_path: Path, few: list[str]) -> None:
    table = (tmp_path / "out" / "grades.csv").read_bytes()
    assert run(project, tmp_path / "in", tmp_path / "out") == 0
    assert few == []
    assert (tmp_path / "out" / "grades.csv").read_bytes() == table
    hand_in(tmp_path / "in", "bob", made.studies()["partial"])
    assert run(project, tmp_path / "in", tmp_path / "out") == 0
    assert few == ["bob"]
    rows = read(tmp_path / "out")
    assert [rows[name]["total"] for name in ("ann", "bob", "cem")] == ["4", "2", "4"]


def test_another_chapter_or_package_means_another_mark(
    project: Path, tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = project / "mmlearn" / "toy.py"
    try:
        toy.write_text(sample.TOY + "\nMORE = 1\n", encoding="utf-8")
        run(project, tmp_path / "in", tmp_path / "out")
    finally:
        toy.write_text(sample.TOY, encoding="utf-8")
    assert sorted(few) == ["", "ann", "bob", "cem"]  # the chapter's own solutions as well


def test_a_mark_entered_in_nbgrader_stays(project: Path, tmp_path: Path, few: list[str]) -> None:
    out = tmp_path / "out"
    with marks.Marks(out).open() as book:
        grade = book.find_grade("why", NAME, NAME, "ann")
        grade.manual_score, grade.needs_manual_grade = 2.5, False
        book.find_comment("why", NAME, NAME, "ann").manual_comment = "Well *seen*."
        book.db.commit()
    assert run(project, tmp_path / "in", out) == 0
    row = read(out)["ann"]
    assert (row["exercise_3"], row["total"], row["status"], row["reason"]) == (
        "2.5",
        "6.5",
        "graded",
        "",
    )
    told = page(out, "ann")
    assert "<em>seen</em>" in told
    assert "waits" not in told
    # Another answer to another question leaves it alone; another answer to this one is looked at.
    hand_in(tmp_path / "in", "ann", made.studies()["partial"])
    run(project, tmp_path / "in", out)
    assert [read(out)["ann"][key] for key in ("exercise_2", "exercise_3", "status")] == [
        "0",
        "2.5",
        "graded",
    ]
    hand_in(tmp_path / "in", "ann", made.Case(lambda: made.answered(why="On second thoughts: no.")))
    run(project, tmp_path / "in", out)
    row = read(out)["ann"]
    assert (row["exercise_3"], row["status"]) == ("2.5", "waiting")
    assert row["reason"] == "exercise 3: changed after it was marked"
    # Even a file that cannot be read takes no mark away.
    hand_in(tmp_path / "in", "ann", made.unreadable()["truncated"])
    assert run(project, tmp_path / "in", out) == 1
    assert (read(out)["ann"]["exercise_3"], read(out)["ann"]["total"]) == ("2.5", "2.5")


def change(out: Path, whose: str, separator: str = ",", **values: str) -> None:
    """Change cells of the table, as somebody with a spreadsheet does."""
    rows = list(read(out).values())
    next(row for row in rows if row["student"] == whose).update(values)
    with (out / "grades.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)


def test_points_typed_into_the_table_stay(project: Path, tmp_path: Path, few: list[str]) -> None:
    out = tmp_path / "out"
    change(out, "ann", ";", exercise_3="1,5")
    assert run(project, tmp_path / "in", out) == 0
    assert (read(out)["ann"]["exercise_3"], read(out)["ann"]["status"]) == ("1.5", "graded")
    change(out, "bob", exercise_1="1")  # the tests said 2
    for _ in range(2):
        assert run(project, tmp_path / "in", out) == 0
        rows = read(out)
        assert (rows["bob"]["exercise_1"], rows["bob"]["total"]) == ("1", "3")
        assert rows["ann"]["exercise_3"] == "1.5"
    assert few == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"exercise_3": "4"}, r"line 2: exercise 3 has '4'; give points from 0 to 3"),
        ({"exercise_3": "good"}, "exercise 3 has 'good'; give points from 0 to 3"),
        ({"exercise_1": "nan"}, "exercise 1 has 'nan'"),
        ({"total": "7"}, "the total is a sum; change the points of an exercise"),
        ({"student": "zoe"}, "the last run wrote no line for 'zoe' and 'mean'"),
    ],
)
def test_what_cannot_be_understood_is_not_overwritten(
    project: Path, tmp_path: Path, few: list[str], values: dict[str, str], message: str
) -> None:
    change(tmp_path / "out", "ann", **values)
    change(tmp_path / "out", "bob", exercise_3="1")
    before = (tmp_path / "out" / "grades.csv").read_bytes()
    with pytest.raises(SystemExit, match=message):
        run(project, tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out" / "grades.csv").read_bytes() == before
    with marks.Marks(tmp_path / "out").open() as book:
        assert book.find_grade("why", NAME, NAME, "bob").manual_score is None


# --- whose it is ------------------------------------------------------------------------------

CLASS = [
    Student("ann", "Ann", "Lee", "ann.lee@example.org"),
    Student("ann2", "Anna", "Lee"),
    Student("u0042", "Вера", "Ли"),
    Student("wei", "伟", "李"),
    Student("jose", "María José", "O'Neill"),
    Student("7"),
]


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("ann/mean/mean.ipynb", "ann"),
        ("ann2/mean/mean.ipynb", "ann2"),
        ("7/mean/mean.ipynb", "7"),
        ("ann2_mean.ipynb", "ann2"),
        ("mean_ann.ipynb", "ann"),
        ("ann mean (2).ipynb", "ann"),
        ("ann.lee@example.org_mean.ipynb", "ann"),
        ("leeanna_LATE_4711_7_mean-3.ipynb", "ann2"),  # Canvas
        ("Ann Lee_123_assignsubmission_file/mean.ipynb", "ann"),  # Moodle
        ("Вера Ли_123_assignsubmission_file_/mean.ipynb", "u0042"),
        ("李 伟 mean.ipynb", "wei"),
        ("O'Neill, María José - Mean.ipynb", "jose"),
        ("..ann../mean.ipynb", None),
        ("joanna_mean.ipynb", None),
        ("mean.ipynb", None),
        ("ann_wei_mean.ipynb", None),
    ],
)
def test_names_tell_whose_it_is(tmp_path: Path, name: str, student: str | None) -> None:
    hand_in(tmp_path, "", made.Case("{}"), name)
    found, strangers = submissions.collect(tmp_path, CLASS, {NAME: chapter()})
    assert [one.student for one in found] == ([student] if student else [])
    assert len(strangers) == (student is None and not name.startswith("."))


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("ann/mean/mean.ipynb", "ann"),
        ("ann_mean.ipynb", "ann"),
        ("mean - Вера Ли (2).ipynb", "Вера Ли"),
        ("María José mean-1.ipynb", "María José"),
        ("mean.ipynb", None),
        ("$(touch mine)_mean.ipynb", None),
    ],
)
def test_without_a_class_list_names_are_ids(tmp_path: Path, name: str, student: str | None) -> None:
    hand_in(tmp_path, "", made.Case("{}"), name)
    found, _ = submissions.collect(tmp_path, [], {NAME: chapter()})
    assert [one.student for one in found] == ([student] if student else [])


def test_what_is_no_submission_is_left_alone(tmp_path: Path) -> None:
    for name in (
        ".ipynb_checkpoints/mean.ipynb",
        "__MACOSX/ann/._mean.ipynb",
        "ann/mean/notes.txt",
    ):
        hand_in(tmp_path, "", made.Case("{}"), name)
    assert submissions.collect(tmp_path, CLASS, {NAME: chapter()}) == ([], [])


def test_cells_tell_the_chapter_if_the_name_does_not(tmp_path: Path) -> None:
    chapters = {NAME: chapter(), "turn": Chapter("turn", made.other())}
    hand_in(tmp_path, "", made.Case(made.other), "ann/Homework.ipynb")
    hand_in(tmp_path, "", made.Case('{"cells": []}'), "wei/Homework.ipynb")
    (found,), ((_, why),) = submissions.collect(tmp_path, CLASS, chapters)
    assert (found.student, found.chapter) == ("ann", "turn")
    assert why == "its name tells none of mean, turn"


def test_the_latest_counts(tmp_path: Path) -> None:
    def latest() -> submissions.Submission:
        ((found,), _) = submissions.collect(tmp_path, CLASS, {NAME: chapter()})
        return found

    names = [f"ann_mean{more}.ipynb" for more in ("", "-2", "-10")]
    for name in names:
        os.utime(hand_in(tmp_path, "", made.Case("{}"), name), (1e9, 1e9))
    assert latest().path.name == "ann_mean-10.ipynb"  # of one time
    os.utime(tmp_path / names[1], (1e9 + 5, 1e9 + 5))
    assert latest().path.name == "ann_mean-2.ipynb"
    assert latest().notes == ["3 files; ann_mean-2.ipynb is the latest and counts"]
    hand_in(tmp_path, "ann", made.Case("{}"))
    (tmp_path / "ann" / NAME / "timestamp.txt").write_text("2035-01-31 12:00:00 UTC")
    assert latest().path.name == "mean.ipynb"


# --- the table --------------------------------------------------------------------------------


def test_a_class_list_gives_the_rows(project: Path, tmp_path: Path) -> None:
    roster = tmp_path / "class.csv"
    roster.write_text("id,first_name,last_name\nann,Ann,Lee\nbob,=1+1,Ray\n", encoding="utf-8")
    hand_in(tmp_path / "in", "bob", made.Case(made.answered))
    hand_in(tmp_path / "in", "zoe", made.Case(made.answered))
    assert run(project, tmp_path / "in", tmp_path / "out", roster) == 1
    ann, bob, zoe = lines(tmp_path / "out")
    assert (ann["student"], ann["last_name"], ann["total"], ann["status"]) == (
        "ann",
        "Lee",
        "0",
        "missing",
    )
    assert (bob["first_name"], bob["total"]) == ("'=1+1", "4")  # no formula
    assert (zoe["student"], zoe["status"]) == ("", "not graded")
    assert zoe["reason"] == "mean.ipynb: its name tells nobody of the class"
    assert not (tmp_path / "out" / "feedback" / "ann").exists()


# --- what is graded against -------------------------------------------------------------------


def test_a_chapter_whose_solutions_fail_is_not_graded_against(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = exercises.with_answers(made.chapter(), {"scale-1": "def scale_1(x):\n    return x"})
    source = tmp_path / "a" / "b" / "mean.ipynb"
    notebooks.write(wrong, source)
    hand_in(tmp_path / "in", "ann", made.Case(made.answered))
    assert grading.grade(tmp_path / "in", None, {NAME: source}, tmp_path / "out") == 1
    says = "mean's own solutions fail here: scale-1-test: AssertionError: multiply by 2"
    assert f"FAULT {says}" in capsys.readouterr().out
    assert not marks.Marks(tmp_path / "out").graded(chapter(), "ann")


def test_a_course_keeps_the_marks_and_gives_each_own_numbers(project: Path, tmp_path: Path) -> None:
    class_ = [Student("ann", "Ann", "Lee"), Student("bob")]
    folder = tmp_path / "course"
    assert editions.course([sample.CHAPTER], class_, folder) == 0
    for student, copy_of in (("ann", "ann"), ("bob", "ann")):
        page_ = notebooks.read(folder / "release" / copy_of / NAME / f"{NAME}.ipynb")
        solved = exercises.with_answers(page_, made.GOOD)
        hand_in(tmp_path / "in", student, made.Case(lambda solved=solved: solved))
    sources = editions.sources("", folder)
    assert grading.grade(tmp_path / "in", None, sources, tmp_path / "out") == 0
    rows = read(tmp_path / "out")
    assert [rows[name]["total"] for name in ("ann", "bob")] == ["4", "4"]
    assert rows["ann"]["last_name"] == "Lee"
    assert "this copy was made for ann" in rows["bob"]["reason"]
    assert "made for" not in rows["ann"]["reason"]
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        assert book.find_submission(NAME, "bob").score == 4
        assert book.find_grade("why", NAME, NAME, "ann").needs_manual_grade
    assert (folder / "autograded" / "ann" / NAME / f"{NAME}.ipynb").exists()
    assert not (tmp_path / "out" / "gradebook.db").exists()
    # The course is built once more, the marks are there still.
    marks.Marks(folder).enter(Chapter(NAME, notebooks.read(sources[NAME])), "ann", "why", 3)
    assert editions.course([sample.CHAPTER], class_, folder) == 0
    assert grading.grade(tmp_path / "in", None, sources, tmp_path / "out") == 0
    assert read(tmp_path / "out")["ann"]["total"] == "7"


def test_other_exercises_do_not_mix_with_old_marks(
    project: Path, tmp_path: Path, few: list[str]
) -> None:
    page_ = made.chapter()
    sample.cell(page_, "assert scale_1").metadata.nbgrader.grade_id = "renamed"
    source = tmp_path / "a" / "b" / "mean.ipynb"
    notebooks.write(page_, source)
    with pytest.raises(SystemExit, match="has marks for other exercises than mean has now"):
        grading.grade(tmp_path / "in", None, {NAME: source}, tmp_path / "out")


# --- time and trouble -------------------------------------------------------------------------


def test_time_for_all_of_it_ends_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was judged before keeps its mark."""
    monkeypatch.setattr(grading, "SUBMISSION_SECONDS", 4)
    monkeypatch.setattr(grading, "CELL_SECONDS", 60)
    given = made.answered(
        scale_2=f"def scale_2(x):\n    {made.ENDLESS}".replace("pass", "    pass")
    )
    more = made.chapter()
    test = sample.cell(more, "assert scale_2")
    test.metadata.nbgrader.grade_id = "again"
    source = made.chapter()
    test.id = "again"
    source.cells.append(test)
    larger = Chapter(NAME, source)
    ran = grading.Runner().run(larger, submissions.restored(larger, given), "ann")
    assert exercises.errors(ran) == {
        "scale-2-test": ("TimeoutError", ANY),
        "again": ("Stopped", "the submission took more than 4 s"),
    }
    assert exercises.grades(ran)["scale-1-test"] == (2, 2)


def test_trouble_with_one_submission_is_its_own(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: list[str]
) -> None:
    box_env = grading.box_env

    def troubled() -> dict[str, str]:
        if few[-1] == "bob":
            raise OSError("no more memory")
        return box_env()

    for student in ("ann", "bob"):
        hand_in(tmp_path / "in", student, made.studies()["partial"])
    monkeypatch.setattr(grading, "WORKERS", 1)
    monkeypatch.setattr(grading, "box_env", troubled)
    assert run(project, tmp_path / "in", tmp_path / "out") == 1
    rows = read(tmp_path / "out")
    assert (rows["ann"]["total"], rows["bob"]["total"], rows["cem"]["total"]) == ("2", "0", "4")
    assert rows["bob"]["reason"].startswith("it could not be run (OSError: no more memory)")
    monkeypatch.setattr(grading, "box_env", box_env)
    assert run(project, tmp_path / "in", tmp_path / "out") == 0  # it is tried again
    assert read(tmp_path / "out")["bob"]["total"] == "2"


# --- what stops it ----------------------------------------------------------------------------


def test_nothing_is_graded_unconfined(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sandbox, "why_not", lambda: "this machine cannot confine it")
    hand_in(tmp_path / "in", "ann", made.Case(made.answered))
    assert run(project, tmp_path / "in", tmp_path / "out") == 1
    assert "cannot confine it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there_is_named(project: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no folder"):
        run(project, tmp_path / "nowhere", tmp_path / "out")


def test_two_runs_do_not_meet(project: Path, tmp_path: Path, few: list[str]) -> None:
    with (
        FileLock(tmp_path / "out" / ".lock"),
        pytest.raises(SystemExit, match="another command is grading"),
    ):
        run(project, tmp_path / "in", tmp_path / "out")


def test_ctrl_c_ends_what_runs(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grading, "CELL_SECONDS", 60)
    hand_in(tmp_path / "in", "ann", made.Case(made.answered))
    for number in range(3):
        case = made.mischief("")["endless"]
        hand_in(tmp_path / "in", f"zoe{number}", case)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(marks.Marks, "record", interrupted)  # when the first is done
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(project, tmp_path / "in", tmp_path / "out")
    assert time.monotonic() - start < 20
    assert not [p for p in psutil.Process().children(recursive=True) if "unshare" in p.name()]
