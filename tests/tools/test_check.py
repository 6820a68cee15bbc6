"""`make test` itself: each of its refusals, brought about."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tools import check, common, offline
from tools.check import Result

CHAPTER = "part/one"
CELLS = {("book.part.one.ipynb", f"Cell {i}"): "passed" for i in range(2)}


def agreement(**more: object) -> nbformat.NotebookNode:
    """An agreement cell as `sync --outputs` leaves it."""
    cell = {
        "source": "mm.agree(...)",
        "execution_count": 2,
        "outputs": [new_output("stream", name="stdout", text="agrees\n")],
        "metadata": {"tags": ["nbval-check-output", "keep_output"]},
    }
    return new_code_cell(**{**cell, **more})


def save(folder: Path, *cells: nbformat.NotebookNode, chapter: str = CHAPTER) -> Path:
    path = common.notebook_path(chapter, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


# --- stored outputs ---------------------------------------------------------------------------


def test_a_compared_output_counts(tmp_path: Path) -> None:
    save(tmp_path, new_code_cell("import mmlearn as mm"), agreement())
    assert check.uncompared([CHAPTER], CELLS, tmp_path) == []


@pytest.mark.parametrize(
    "broken",
    [{"execution_count": None}, {"outputs": []}, {"metadata": {"tags": ["keep_output"]}}],
    ids=["no execution count", "no output", "no tag"],
)
def test_a_chapter_that_compares_nothing_is_refused(
    tmp_path: Path, broken: dict[str, object]
) -> None:
    save(tmp_path, new_code_cell("import mmlearn as mm"), agreement(**broken))
    assert check.uncompared([CHAPTER], CELLS, tmp_path) == [
        "part/one: nbval compared no stored output"
    ]


def test_a_cell_that_nbval_did_not_run_is_not_compared(tmp_path: Path) -> None:
    save(tmp_path, new_code_cell("import mmlearn as mm"), agreement())
    assert check.uncompared(
        [CHAPTER], {**CELLS, ("book.part.one.ipynb", "Cell 1"): "skipped"}, tmp_path
    )
    assert check.uncompared([CHAPTER], {}, tmp_path)


def test_nbval_names_its_cells_as_is_assumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real run of nbval: a right output is compared, a wrong one fails."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for stored, good in (("2\n", True), ("3\n", False)):
        output = new_output("stream", name="stdout", text=stored)
        path = save(
            tmp_path / "book",
            new_code_cell("x = 1"),
            agreement(source="print(2 * x)", outputs=[output]),
        )
        notebook = nbformat.read(path, as_version=4)
        notebook.metadata.update(kernel)
        nbformat.write(notebook, path)
        monkeypatch.setattr(common, "ROOT", tmp_path)
        monkeypatch.setattr(common, "BOOK", tmp_path / "book")
        monkeypatch.setattr(check, "LOGS", tmp_path / "logs")
        monkeypatch.setattr(offline, "prefix", lambda: [])
        result = check._nbval([CHAPTER])
        assert (result.verdict, result.passed) == (("good", 2) if good else ("FAILED", 1))


# --- which notebooks --------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A book of two chapters, both executed."""
    book, executed = tmp_path / "book", tmp_path / "executed"
    for chapter in (CHAPTER, "part/two"):
        for folder in (book, executed):
            save(folder, new_code_cell("1", execution_count=1), chapter=chapter)
    monkeypatch.setattr(common, "chapters", lambda: [CHAPTER, "part/two"])
    return book, executed


def test_all_in_place(folders: tuple[Path, Path]) -> None:
    assert check.misplaced([CHAPTER, "part/two"], *folders) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda book, ran: (ran / "part/two.ipynb").unlink(), "part/two was not executed"),
        (
            lambda book, ran: save(ran, chapter="part/old"),
            "part/old was executed, but is not in _toc",
        ),
        (lambda book, ran: save(book, chapter="part/new"), "part/new is not in _toc.yml"),
    ],
)
def test_a_set_that_differs_is_refused(
    folders: tuple[Path, Path], change: Callable[[Path, Path], object], fault: str
) -> None:
    change(*folders)
    (said,) = check.misplaced([CHAPTER, "part/two"], *folders)
    assert said.startswith(fault)


def test_a_selection_may_leave_others_unexecuted(folders: tuple[Path, Path]) -> None:
    (folders[1] / "part/two.ipynb").unlink()
    save(folders[0] / ".ipynb_checkpoints", chapter="one-checkpoint")
    assert check.misplaced([CHAPTER], *folders) == []


def test_the_step_refuses_a_cell_without_execution_count(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(common, "BOOK", folders[0])
    monkeypatch.setattr(common, "EXECUTED", folders[1])
    monkeypatch.setattr(check.execute, "execute", lambda chapters: 0)
    monkeypatch.setattr(check.execute, "changed", lambda job: [])
    monkeypatch.setattr(check.execute, "folder", lambda *_: folders[1])
    assert check.STEPS["execute"]([CHAPTER]) == 0
    save(folders[1], new_code_cell("1"), new_code_cell(""))
    assert check.STEPS["execute"]([CHAPTER]) == 1
    assert "cell 1 (1) was not executed" in capsys.readouterr().out


# --- stages and the end -----------------------------------------------------------------------


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stages that run in a folder of their own, with the network that there is."""
    monkeypatch.setattr(common, "ROOT", tmp_path)
    monkeypatch.setattr(check, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(offline, "prefix", lambda: [])
    return tmp_path


def test_pytest_is_counted(stages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stages / "test_it.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 1 == 2\n"
        "@pytest.mark.skip\ndef test_c(): pass\n"
        "@pytest.fixture\ndef x(): 1 / 0\ndef test_d(x): pass\n",
        encoding="utf-8",
    )
    result = check._pytest("it", ["test_it.py"])
    assert (result.verdict, result.passed, result.failed, result.skipped) == ("FAILED", 1, 2, 1)
    assert "assert 1 == 2" in capsys.readouterr().out


def test_a_stage_without_tests_fails(stages: Path) -> None:
    (stages / "empty").mkdir()
    assert check._pytest("it", ["empty"]).verdict == "FAILED"


def test_a_stage_stops_at_its_first_failure(stages: Path) -> None:
    (stages / "fail.py").write_text("print('why'); raise SystemExit(1)", encoding="utf-8")
    (stages / "late.py").write_text("open('late', 'w')", encoding="utf-8")
    assert check._stage("two", [["fail"], ["late"]]).verdict == "FAILED"
    assert not (stages / "late").exists()


def test_the_closing_line(capsys: pytest.CaptureFixture[str]) -> None:
    good = [
        Result("environment"),
        Result("package", passed=7, skipped=1),
        Result("pages", passed=3),
    ]
    assert check.report(good) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "10 passed, 0 failed, 1 skipped"
    bad = [*good, Result("lint", "FAILED"), Result("tools", "FAILED", passed=1, failed=2)]
    assert check.report(bad) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == "11 passed, 3 failed, 1 skipped"
    assert any(line.startswith("lint") and "FAILED" in line for line in shown)


def test_every_stage_is_run_also_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = []

    def stage(name: str, *_: object, **__: object) -> Result:
        ran.append(name)
        return Result(name, "FAILED" if name == "lint" else "good")

    (tmp_path / "colab.log").write_text("a chapter\nall of it installed\n", encoding="utf-8")
    monkeypatch.setattr(check, "LOGS", tmp_path)
    monkeypatch.setattr(check, "_stage", stage)
    monkeypatch.setattr(check, "_pytest", stage)
    monkeypatch.setattr(check, "_nbval", lambda chapters: stage("nbval"))
    monkeypatch.setattr(check, "_environment", lambda: Result("environment"))
    monkeypatch.setattr(check.commands, "fetch", lambda names: 0)
    monkeypatch.setattr(check.execute, "times", lambda chapters: [])
    monkeypatch.setattr(common, "chapters", lambda: [])
    monkeypatch.setenv("CHAPTERS", "")
    assert check.check([]) == 1
    assert re.search(r"^colab +good .*  all of it installed$", capsys.readouterr().out, re.M)
    assert ran == [
        "lint", "package", "tools", "form", "nbval", "chapters", "notebooks", "colab", "site",
        "pages",
    ]  # fmt: skip


def test_progress_of_pytest() -> None:
    status = check.PytestStatus()
    assert status(None) == "collecting"
    assert status("tests/a.py::test_b PASSED     [  5%]") == "5%"
    assert status("[gw0] [ 50%] FAILED tests/a.py::test_c") == "50%, 1 failed"
    assert status("tests/a.py::test_d[ERROR: no] PASSED [ 50%]") == "50%, 1 failed"
    assert status("some other line") == "50%, 1 failed"


# --- no network -------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("unshare"), reason="Linux has network namespaces")
def test_the_network_is_off_and_loopback_on() -> None:
    import subprocess
    import sys

    if not (prefix := offline.prefix()):
        pytest.skip("this machine allows no network namespace")
    code = (
        "import socket; s = socket.create_server(('127.0.0.1', 0));"
        "socket.create_connection(s.getsockname(), 5); print('loopback');"
        "socket.create_connection(('192.0.2.1', 80), 5)"
    )
    ended = subprocess.run(
        [*prefix, sys.executable, "-c", code], cwd=common.ROOT, capture_output=True, text=True
    )
    assert ended.stdout == "loopback\n"
    assert "Network is unreachable" in ended.stderr
