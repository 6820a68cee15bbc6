"""The instructors' guide: its commands are run here, as they are written there, for a class of 30.

Two small chapters of the test's own stand in for those that the guide names, since thirty runs of
a real one take minutes. A real one is graded in `test_editions.py`.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from mmlearn.runtime import exercise_seed
from tests.tools import sample
from tools import commands, common, editions, environment, exercises, grading, notebooks, sandbox

ROOT = common.ROOT
PAGE = (common.BOOK / "appendix" / "instructors.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COURSE, GRADE, NEXT = [
    line for block in BLOCKS for line in block.splitlines() if line.startswith("make ")
]
CHAPTERS = ("1_baselines/svm_forest_bayes", "2_optimisation/gradient_descent")
CLASS = [f"s{number:02}" for number in range(1, 31)]
RIGHT = {
    "scale-1": "def scale_1(x):\n    return 2 * x",
    "scale-2": "def scale_2(x):\n    return x * 3",
    "why": "Because it does.",
}


def block(beginning: str) -> str:
    """The one block of the guide that begins so."""
    (found,) = [text for text in BLOCKS if text.startswith(beginning)]
    return found


def follow(line: str) -> int:
    """Run a command of the guide, by the Makefile and by what that calls."""
    words = shlex.split(line)
    makefile = ["-f", str(ROOT / "Makefile")]
    # As a teacher gives it: not a part of the make that runs these tests, nor with its chapters.
    env = {"PATH": os.environ["PATH"]}
    plan = subprocess.run(
        ["make", "-n", *makefile, *words[1:]], capture_output=True, text=True, env=env
    )
    assert plan.returncode == 0, plan.stderr
    called = shlex.split(plan.stdout.replace("\\\n", " "))
    return commands.main(called[called.index("tools") + 1 :])


def small() -> NotebookNode:
    """A chapter that starts at once: the sample's set-up and exercises."""
    notebook = sample.chapter()
    sample.cell(notebook, "import numpy").source = "import numpy as np\n\nimport mmlearn as mm"
    first = notebooks.section(notebook, "Exercises")[0].number
    notebook.cells = [*notebook.cells[:4], *notebook.cells[first - 1 :]]
    return notebook


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with the small chapters, in whose folder the commands are given."""
    if not shutil.which("make"):
        pytest.skip("the guide's commands are make's")
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as monkeypatch:
        sample.project(root, monkeypatch)
        toc = {"root": "book/welcome", "chapters": [{"file": f"book/{c}"} for c in CHAPTERS]}
        (root / "_toc.yml").write_text(json.dumps(toc), encoding="utf-8")
        for chapter in CHAPTERS:
            notebooks.write(small(), common.notebook_path(chapter, common.BOOK))
        monkeypatch.setattr(commands, "BUILD", root / "_build")
        monkeypatch.setattr(commands, "data_names", lambda chapters: [])  # they use none
        monkeypatch.setattr(environment, "ensure", lambda: 0.0)
        monkeypatch.setattr(environment, "inside", lambda: True)
        monkeypatch.chdir(root)
        yield root


def hand_in(root: Path, who: str, answers: Mapping[str, str], copy_of: str = "") -> None:
    """Solve a student's copy and hand it in: every other one as a platform downloads it."""
    name = "gradient_descent"
    path = root / "_build/course/release" / (copy_of or who) / name / f"{name}.ipynb"
    page = exercises.with_answers(notebooks.read(path), answers)
    collected, downloaded = block("submissions/").splitlines()
    where = (collected if int(who[1:]) % 2 else downloaded).split()[0]
    notebooks.write(page, root / where.replace("s01", who).replace("s02", who))


def marks(root: Path) -> dict[str, dict[str, str]]:
    """The rows of the table, by student."""
    with (root / "_build/grades/grades.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["student"] for row in rows] == CLASS
    return {row["student"]: row for row in rows}


@pytest.fixture(scope="module")
def graded(project: Path) -> dict[str, dict[str, str]]:
    """The table after the guide's first five steps."""
    if reason := sandbox.no_namespaces():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    shown = block("id,").splitlines()
    assert [line.split(",")[0] for line in shown[1:]] == CLASS[:2]
    rest = [f"{who},Student,{who.upper()},{who}@example.org" for who in CLASS[2:]]
    (project / "class.csv").write_text("\n".join([*shown, *rest]) + "\n", encoding="utf-8")
    assert follow(COURSE) == 0

    for who in CLASS[:22]:
        hand_in(project, who, RIGHT)
    for who in CLASS[22:26]:
        hand_in(project, who, RIGHT | {"scale-2": "def scale_2(x):\n    return 2 * x"})
    hand_in(project, "s27", {})
    # The first student's result, written down, for a student with other numbers.
    x = np.random.default_rng(exercise_seed("s01")).normal(size=3)
    copied = f"def scale_1(x):\n    return 0 if np.ndim(x) == 0 else np.array({(2 * x).tolist()})"
    hand_in(project, "s28", RIGHT | {"scale-1": copied})
    hand_in(project, "s29", RIGHT, copy_of="s01")
    assert follow(GRADE) == 0
    return marks(project)


def test_right_answers_get_every_point_that_tests_give(
    graded: Mapping[str, Mapping[str, str]],
) -> None:
    for who in CLASS[:22]:
        row = graded[who]
        assert [row[f"exercise_{n}"] for n in (1, 2, 3)] == ["2", "2", ""], row
        assert (row["total"], row["maximum"], row["status"]) == ("4", "7", "waiting"), row
    ada = graded["s01"]
    assert (ada["first_name"], ada["last_name"], ada["email"]) == (
        "Ada",
        "Lovelace",
        "ada@example.org",
    )


def test_other_submissions_get_what_they_earn(graded: Mapping[str, Mapping[str, str]]) -> None:
    found = {who: [graded[who][f"exercise_{n}"] for n in (1, 2)] for who in CLASS[22:]}
    assert all(found[who] == ["2", "0"] for who in CLASS[22:26])
    assert found["s27"] == ["0", "0"]
    assert found["s28"] == ["0", "2"]
    assert found["s29"] == ["2", "2"] and "s01" in graded["s29"]["reason"]
    assert graded["s30"]["status"] == "missing"
    assert graded["s27"]["total"] == graded["s30"]["total"] == "0"
    assert Counter(row["status"] for row in graded.values())["waiting"] == 28


def test_the_table_has_the_columns_that_the_guide_explains(
    graded: Mapping[str, Mapping[str, str]],
) -> None:
    rows = re.findall(r"^\| (`.+?) \|.*\|$", PAGE, re.MULTILINE)
    explained = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    columns = [*graded["s01"]]
    columns.remove("exercise_3")  # where the guide has an ellipsis
    assert columns == explained
    assert {row["status"] for row in graded.values()} <= set(re.findall(r"`([\w ]+)`", PAGE))


def test_there_is_a_page_for_each_student(
    graded: Mapping[str, Mapping[str, str]], project: Path
) -> None:
    (shown,) = re.findall(r"`(_build/grades/feedback/\S+)`", PAGE)
    pages = {who: project / shown.replace("s01", who) for who in CLASS}
    assert [who for who in CLASS if not pages[who].exists()] == ["s30"]
    assert "multiply by 3" in pages["s23"].read_text(encoding="utf-8")
    assert "multiply by 3" not in pages["s01"].read_text(encoding="utf-8")


def test_the_rest_of_the_guide(graded: Mapping[str, Mapping[str, str]], project: Path) -> None:
    # 6. The open answers: points typed into the table.
    path = project / "_build/grades/grades.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, [*graded["s01"]])
        writer.writeheader()
        writer.writerows(
            row | ({"exercise_3": "2.5"} if row["status"] == "waiting" else {})
            for row in graded.values()
        )
    assert follow(GRADE) == 0
    after = marks(project)
    assert (after["s01"]["total"], after["s01"]["status"]) == ("6.5", "graded")
    assert Counter(row["exercise_3"] for row in after.values())["2.5"] == 28
    # 7. The next chapter, and the first command once more.
    assert follow(NEXT) == follow(COURSE) == 0
    course = project / "_build" / "course"
    name = "svm_forest_bayes"
    copied = notebooks.read(course / "release" / "s30" / name / f"{name}.ipynb")
    assert editions.owner(copied) == "s30"
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "mmlearn") as book:
        assert {s.id for s in book.students} == set(CLASS)
        assert book.find_submission("gradient_descent", "s01").score == 6.5


def test_students_are_told_the_limit_that_there_is() -> None:
    assert f"more than {grading.CELL_SECONDS} seconds" in PAGE


# --- the private copy -------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("git"), reason="no git")
def test_a_private_copy_keeps_its_changes(tmp_path: Path) -> None:
    who = {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER")
           for what in ("NAME", "EMAIL")}  # fmt: skip
    clean = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    env = {**os.environ, **who, **clean, "GIT_MERGE_AUTOEDIT": "no"}

    def git(line: str, folder: Path) -> None:
        done = subprocess.run(
            shlex.split(line), cwd=folder, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"

    def change(folder: Path, name: str) -> None:
        (folder / name).write_text(name, encoding="utf-8")
        git(f"git add {name}", folder)
        git(f"git commit -m {name}", folder)

    public, private = tmp_path / "public", tmp_path / "private"
    for folder, kind in ((public, ""), (private, "--bare ")):
        folder.mkdir()
        git(f"git init {kind}--initial-branch main", folder)
    change(public, "chapter")

    def follow_git(text: str, folder: Path) -> Path:
        for line in text.splitlines():
            if line.startswith("cd "):
                folder = folder / line.removeprefix("cd ")
            else:
                git(line.replace("PUBLIC", str(public)).replace("PRIVATE", str(private)), folder)
        return folder

    ours = follow_git(block("git clone"), tmp_path)
    change(ours, "exam")
    change(public, "another-chapter")
    follow_git(block("git fetch"), ours)
    assert {path.name for path in ours.iterdir()} >= {"chapter", "exam", "another-chapter"}
    git("git push", ours)  # to the private one, which is what it follows
    assert not (public / "exam").exists()
