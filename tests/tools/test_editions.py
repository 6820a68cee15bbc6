"""The editions for students: what is cut, whose numbers, the class list, the course's gradebook."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from nbformat import NotebookNode
from nbgrader.api import Gradebook

import mmlearn as mm
from tests.tools import sample
from tools import commands, common, editions, environment, exercises, grading, notebooks, sandbox
from tools.editions import Student

ADA, BO = Student("ada", "Ada", "Lovelace", "ada@example.org"), Student("bo")
SECOND = "1_part/median"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample chapter, in a project of its own."""
    return sample.project(tmp_path, monkeypatch)


def two(path: Path) -> None:
    """Give the project a second chapter."""
    toc = (common.ROOT / "_toc.yml").read_text(encoding="utf-8")
    entry = f'{{"file": "book/{sample.CHAPTER}"}}'
    assert entry in toc
    toc = toc.replace(entry, f'{entry}, {{"file": "book/{SECOND}"}}')
    (common.ROOT / "_toc.yml").write_text(toc, encoding="utf-8")
    notebooks.write(sample.chapter(), common.notebook_path(SECOND, common.BOOK))


def written(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


# --- the students' edition --------------------------------------------------------------------


def test_the_students_edition_is_what_was_asked_for_and_no_more(path: Path) -> None:
    two(path)
    folder = common.BUILD / "student"
    assert editions.student(common.chapters()) == 0
    assert written(folder) == [f"{sample.CHAPTER}.ipynb", f"{SECOND}.ipynb"]
    assert editions.student([sample.CHAPTER]) == 0
    assert written(folder) == [f"{sample.CHAPTER}.ipynb"]


def test_the_students_edition_holds_no_answer_and_no_output(path: Path) -> None:
    editions.student([sample.CHAPTER])
    page = notebooks.read(common.notebook_path(sample.CHAPTER, common.BUILD / "student"))
    text = notebooks.text(page)
    assert "secret" not in text and "HIDDEN" not in text
    assert sample.cell(page, "def scale_1").source.endswith("raise NotImplementedError()")
    code = [cell for _, cell in notebooks.cells(page, "code")]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert "[nothing](https://" in page.cells[0].source  # a relative link before


# --- each student's own numbers ---------------------------------------------------------------


def run(notebook: NotebookNode, *beginnings: str) -> dict[str, object]:
    """The names that cells leave, in an interpreter where mmlearn is."""
    names: dict[str, object] = {"mm": mm, "np": np}
    for beginning in beginnings:
        exec(sample.cell(notebook, beginning).source, names)
    return names


def test_a_copy_draws_its_students_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMLEARN_STUDENT", "")  # put back at the end
    drawn = []
    for name in ("ada", "bo"):
        del os.environ["MMLEARN_STUDENT"]
        page = editions.personal(sample.chapter(), name)
        assert [cell.get("id") for cell in page.cells[1:3]] == ["c2", "student"]
        drawn.append(run(page, "# The tests draw", "def scale_1", "assert scale_1")["x"])
        assert mm.exercise_seed() == mm.exercise_seed(name)
    assert not np.allclose(*drawn)


def test_grading_decides_whose_numbers_a_copy_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMLEARN_STUDENT", "ada")
    run(editions.personal(sample.chapter(), "bo"), "# The tests draw")
    assert mm.exercise_seed() == mm.exercise_seed("ada")


def test_no_student_chooses_the_numbers_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    # As a submission could: another id, another seed, another function in place of ours.
    source = sample.chapter()
    page = editions.with_numbers(source, "ada")
    monkeypatch.setenv("MMLEARN_STUDENT", "bo")
    monkeypatch.setattr(mm, "exercise_seed", lambda: 7)
    x = run(page, "def scale_1", "assert scale_1")["x"]
    assert np.array_equal(x, np.random.default_rng(mm.runtime.exercise_seed("ada")).normal(size=3))
    assert [cell.source for cell in source.cells] == [c.source for c in sample.chapter().cells]


def test_answers_are_not_touched() -> None:
    source = exercises.with_answers(sample.chapter(), {"scale-1": "mm.exercise_seed()"})
    assert sample.cell(editions.with_numbers(source, "ada"), "mm.exercise_seed()")


def test_a_test_that_would_draw_other_numbers_is_refused() -> None:
    source = sample.chapter()
    test = sample.cell(source, "assert scale_1")
    test.source = test.source.replace("mm.exercise_seed()", "mm.runtime.exercise_seed()")
    with pytest.raises(ValueError, match=r"cell 27 \(assert scale_1.* `mm.exercise_seed\(\)`"):
        editions.with_numbers(source, "ada")


def test_a_copy_tells_whose_it_is() -> None:
    page = editions.personal(sample.chapter(), "ada@example.org")
    for _, cell in notebooks.cells(page):
        cell.id = "other"  # as Colab does
    assert editions.owner(page) == "ada@example.org"
    assert editions.owner(sample.chapter()) is None


# --- the class list ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        b"id,first_name,last_name,email\nada,Ada,Lovelace,ada@example.org\nbo,,,\n",
        b"\xef\xbb\xbfemail;id;last_name;first_name\r\nada@example.org;ada;Lovelace;Ada\r\n;bo;;\r\n",
        b"ID\tGroup\tfirst_name\tlast_name\temail\n ada \t1\tAda\tLovelace\tada@example.org\n\nbo",
    ],
    ids=["plain", "a spreadsheet's", "tabs, another column, blank lines"],
)
def test_a_class_list(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "class.csv").write_bytes(text)
    assert editions.roster(tmp_path / "class.csv") == [ADA, BO]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"name,email\nada,x\n", "has no column `id`; its first line is 'name,email'"),
        (b"", "has no column `id`"),
        (b"id\n\n", "lists no student"),
        (b"id,first_name\nada,Ada\n,Bo\n", "line 3: the id is ''"),
        (b"id\n../ada\n", r"line 2: the id is '../ada'; it names folders"),
        (b"id\nada lovelace\n", "line 2: the id is 'ada lovelace'"),
        (b"id\nada.\n", "line 2: the id is 'ada.'"),
        (b"id\nada\nAda\n", "line 3: the id 'Ada' stands there twice"),
        (b"PK\x03\x04\xff\xfe", "is not text in UTF-8: save it as “CSV UTF-8”"),
    ],
)
def test_a_bad_class_list_says_what_is_wrong(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "class.csv").write_bytes(text)
    with pytest.raises(SystemExit, match=message):
        editions.roster(tmp_path / "class.csv")


def test_no_class_list(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"gone.csv cannot be read: No such file"):
        editions.roster(tmp_path / "gone.csv")


# --- the course -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course of one assignment for Ada and Bo."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as monkeypatch:
        sample.project(root, monkeypatch)
        assert editions.course([sample.CHAPTER], [ADA, BO], root / "course") == 0
    return root / "course"


@pytest.fixture
def course(made: Path, path: Path, tmp_path: Path) -> Path:
    """That course, in the project, to be changed."""
    return shutil.copytree(made, tmp_path / "our course")


def gradebook(course: Path) -> Gradebook:
    return Gradebook(f"sqlite:///{course / 'gradebook.db'}", "mmlearn")


def test_a_course_is_nbgraders(course: Path) -> None:
    assert written(course) == [
        "gradebook.db",
        "nbgrader_config.py",
        "release/ada/mean/mean.ipynb",
        "release/bo/mean/mean.ipynb",
        "release/mean/mean.ipynb",
        "source/mean/mean.ipynb",
    ]
    with gradebook(course) as book:
        (notebook,) = book.find_assignment("mean").notebooks
        cells = {cell.name: cell.max_score for cell in notebook.grade_cells}
        assert cells == {"scale-1-test": 2, "scale-2-test": 2, "why": 3}
        known = {s.id: (s.first_name, s.last_name, s.email) for s in book.students}
    assert known == {"ada": ("Ada", "Lovelace", "ada@example.org"), "bo": (None, None, None)}


def test_copies_differ_in_the_students_id_alone(course: Path) -> None:
    pages = {
        who: notebooks.read(course / "release" / who / "mean" / "mean.ipynb")
        for who in ("ada", "bo", ".")
    }
    assert [editions.owner(pages[who]) for who in pages] == ["ada", "bo", None]
    for who in ("ada", "bo"):
        assert "secret" not in notebooks.text(pages[who])
        rest = [cell for cell in pages[who].cells if cell.id != "student"]
        assert rest == pages["."].cells and len(rest) == len(pages[who].cells) - 1


def test_the_source_has_its_solutions(course: Path) -> None:
    source = notebooks.read(course / "source" / "mean" / "mean.ipynb")
    assert [c.source for _, c in notebooks.cells(source, "code")] == [
        c.source for _, c in notebooks.cells(sample.chapter(), "code")
    ]


def mark(course: Path, points: float) -> None:
    """Give Ada points by hand, as formgrader does."""
    with gradebook(course) as book:
        book.update_or_create_submission("mean", "ada")
        book.find_grade("why", "mean", "mean", "ada").manual_score = points
        book.find_comment("why", "mean", "mean", "ada").manual_comment = "well said"
        book.db.commit()


def test_a_second_call_adds_and_takes_nothing_away(
    course: Path, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark(course, 2.5)
    (course / "nbgrader_config.py").open("a").write("c.CourseDirectory.ignore = ['old']\n")
    mine = (course / "nbgrader_config.py").read_bytes()
    two(path)
    # The list no longer has Bo, nor Ada's address; another chapter has come.
    here = [Student("ada", "Augusta"), Student("cy")]
    assert editions.course(common.chapters(), here, course) == 0
    assert "not in the class list, kept: bo\n" in capsys.readouterr().out
    assert (course / "nbgrader_config.py").read_bytes() == mine
    with gradebook(course) as book:
        assert book.find_grade("why", "mean", "mean", "ada").manual_score == 2.5
        assert book.find_comment("why", "mean", "mean", "ada").manual_comment == "well said"
        known = {s.id: (s.first_name, s.last_name, s.email) for s in book.students}
        assert [a.name for a in book.assignments] == ["mean", "median"]
    assert known["ada"] == ("Augusta", "Lovelace", "ada@example.org")
    assert set(known) == {"ada", "bo", "cy"}
    for name in ("release/cy/median/median.ipynb", "release/bo/mean/mean.ipynb"):
        assert (course / name).exists()


def test_what_students_were_given_stays(
    course: Path, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = sample.chapter()
    sample.cell(notebook, "## Summary").source += "\n- It is new."
    notebooks.write(notebook, path)
    before = (course / "source/mean/mean.ipynb").read_bytes()
    assert editions.course([sample.CHAPTER], [ADA], course) == 0
    assert "differs from the book's chapter and stays; delete it" in capsys.readouterr().out
    assert (course / "source/mean/mean.ipynb").read_bytes() == before
    (course / "source/mean/mean.ipynb").unlink()
    assert editions.course([sample.CHAPTER], [ADA], course) == 0
    assert "differs" not in capsys.readouterr().out
    assert "It is new." in (course / "release/ada/mean/mean.ipynb").read_text(encoding="utf-8")


def test_other_exercises_are_refused_once_there_are_marks(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark(course, 2.5)
    source = course / "source" / "mean" / "mean.ipynb"
    notebook = notebooks.read(source)
    sample.cell(notebook, "def scale_2").metadata.nbgrader.grade_id = "renamed"
    notebooks.write(notebook, source)
    assert editions.course([sample.CHAPTER], [ADA], course) == 1
    said = capsys.readouterr().out
    assert f"{sample.CHAPTER}: nbgrader refuses it: Cannot add or remove cells" in said
    assert "make another course: COURSE=" in said and "Traceback" not in said
    with gradebook(course) as book:
        assert book.find_grade("why", "mean", "mean", "ada").manual_score == 2.5


def test_a_student_cannot_be_called_as_an_assignment(path: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="mean: two folders would have that name"):
        editions.course([sample.CHAPTER], [Student("Mean")], tmp_path / "course")
    assert not (tmp_path / "course").exists()


# --- what is graded against -------------------------------------------------------------------


def test_sources_are_the_courses_own(course: Path, path: Path) -> None:
    own = course / "source" / "mean" / "mean.ipynb"
    assert editions.sources("", course) == editions.sources("mean", course) == {"mean": own}
    two(path)
    assert editions.sources("", course) == {"mean": own}
    with pytest.raises(SystemExit, match=r"has no 1_part/median; it has mean$"):
        editions.sources("1_part", course)
    with pytest.raises(SystemExit, match=r"gone is no course; `make course COURSE=.*` makes one"):
        editions.sources("", course / "gone")


def test_without_a_course_sources_are_the_books_chapters(path: Path) -> None:
    two(path)
    book = {"mean": path, "median": path.with_name("median.ipynb")}
    assert editions.sources("", None) == book
    assert editions.sources("median", None) == {"median": book["median"]}


def test_grading_finds_the_course(
    course: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(grading, "grade", lambda *given: asked.append(given) or 0)
    monkeypatch.setattr(environment, "ensure", lambda: 0.0)
    monkeypatch.setattr(environment, "inside", lambda: True)
    monkeypatch.setattr(commands, "BUILD", common.BUILD)
    monkeypatch.setattr(commands, "data_names", lambda chapters: [])
    grade = ["grade", "--submissions", "in"]
    here, build = course / "source/mean/mean.ipynb", common.BUILD
    commands.main(grade)
    commands.main([*grade, "--course", str(course), "--class", "class.csv"])
    shutil.copytree(course, build / "course")
    commands.main(grade)
    assert asked == [
        (Path("in"), None, {"mean": path}, build / "grades"),
        (Path("in"), Path("class.csv"), {"mean": here}, course / "grades"),
        (Path("in"), None, {"mean": build / "course/source/mean/mean.ipynb"}, build / "grades"),
    ]


# --- a real chapter ---------------------------------------------------------------------------


def test_a_real_chapter_is_graded(tmp_path: Path) -> None:
    if reason := sandbox.no_namespaces():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    (chapter,) = common.chapters("gradient_descent")
    name, course = editions.assignment(chapter), tmp_path / "course"
    assert editions.course([chapter], [ADA], course) == 0
    source = notebooks.read(common.notebook_path(chapter))
    answers = {
        notebooks.grading(cell).grade_id: notebooks.without_markers(cell.source, notebooks.SOLUTION)
        for _, cell in notebooks.cells(source)
        if notebooks.grading(cell).get("solution")
    }
    # Every second answer is wrong.
    first, *_ = exercises.rounds(exercises.wrong_answers(chapter))
    answers |= {answer.grade_id: answer.source for answer in first[1::2]}
    copied = notebooks.read(course / "release" / "ada" / name / f"{name}.ipynb")
    handed_in = tmp_path / "submissions" / f"ada_{name}.ipynb"
    notebooks.write(exercises.with_answers(copied, answers), handed_in)
    sources = editions.sources("", course)
    assert grading.grade(handed_in.parent, None, sources, course / "grades") == 0
    with (course / "grades/grades.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    tested = notebooks.exercises(source)[: len(first)]  # then comes the open one
    expected = [exercise.points * (exercise.number % 2) for exercise in tested]
    assert [float(row[f"exercise_{e.number}"]) for e in tested] == expected
    assert (row["email"], row["status"]) == ("ada@example.org", "waiting")
