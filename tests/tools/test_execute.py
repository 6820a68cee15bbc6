"""Executing chapters: what is kept, when a chapter runs again, and what an error leaves."""

from __future__ import annotations

import copy
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from nbformat import NotebookNode

from tests.tools import sample
from tools import common, execute, notebooks

JOB = execute.Job(sample.CHAPTER)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose one chapter has been executed; nobody changes it."""
    root = tmp_path_factory.mktemp("executed")
    with pytest.MonkeyPatch.context() as patch:
        sample.project(root, patch)
        assert execute.execute(common.chapters()) == 0
        yield root


@pytest.fixture
def project(executed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to be changed."""
    root = tmp_path / "project"
    shutil.copytree(executed, root)
    for name in ("ROOT", "BOOK", "BUILD", "EXECUTED"):
        monkeypatch.setattr(common, name, root / getattr(common, name).relative_to(executed))
    return root


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a chapter was executed")

    monkeypatch.setattr(subprocess, "Popen", refuse)


def edit(beginning: str, source: str) -> None:
    """Change the one cell of the chapter that begins so."""
    notebook = notebooks.read(JOB.source)
    sample.cell(notebook, beginning).source = source
    notebooks.write(notebook, JOB.source)


def short(*sources: str) -> None:
    """Make the chapter one of these code cells alone, which starts faster."""
    notebook = sample.chapter()
    cells = notebook.cells[1:5]
    cells[0].source = cells[2].source = ""
    for cell, source in zip(notebook.cells[5:], sources, strict=False):
        cell.source = source
        cells.append(cell)
    notebook.cells = cells
    notebooks.write(notebook, JOB.source)


def read(name: str) -> list[dict[str, Any]]:
    return json.loads((common.BUILD / f"{name}.json").read_text(encoding="utf-8"))


def outputs(cell: NotebookNode) -> str:
    return json.dumps(cell.outputs)


# --- what a run leaves ------------------------------------------------------------------------


def test_an_executed_notebook_is_the_chapter_with_its_outputs(executed: Path) -> None:
    source, ran = notebooks.read(JOB.source), notebooks.read(JOB.executed)
    assert "5.02" not in outputs(sample.cell(source, "x[:3]"))
    assert "0.00502513" in outputs(sample.cell(ran, "x[:3]"))
    assert [c.execution_count for _, c in notebooks.cells(ran, "code")] == list(
        range(1, len(notebooks.cells(ran, "code")) + 1)
    )
    for cell in [*ran.cells, *source.cells]:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    assert ran == source  # no metadata, no cell, no id is another
    assert execute.faults(common.chapters()) == []


def test_claims_are_collected(executed: Path) -> None:
    first, second = read("claims")
    assert first == {
        "chapter": sample.CHAPTER,
        "sentence": "a fast mean is near the end",
        "value": pytest.approx(0.995, abs=0.001),
        "bound": {"at_least": 0.5},
        "interval": None,
        "unit": "",
        "holds": True,
        "simulated": False,
        "null_safe": None,
    }
    assert second["null_safe"] == "an identity"


def test_times_are_collected(executed: Path) -> None:
    (row,) = read("times")
    assert (row["chapter"], row["profile"]) == (sample.CHAPTER, "default")
    assert 0 < row["seconds"] < 60 and 50 < row["peak_mb"] < 1000
    assert row["versions"]["numpy"] == importlib.metadata.version("numpy")
    assert "python" in row["versions"] and "torch" not in row["versions"]
    assert len(row["executed"]) == len("2026-01-31")


def test_pieces_of_a_stream_are_joined() -> None:
    source = sample.chapter()
    ran = copy.deepcopy(source)
    pieces = [("stdout", "a"), ("stdout", "b\n"), ("stderr", "c"), ("stdout", "d")]
    sample.cell(ran, "x[:3]").outputs = [
        NotebookNode(output_type="stream", name=name, text=text) for name, text in pieces
    ]
    merged = sample.cell(execute.merged(source, ran), "x[:3]")
    assert [output.text for output in merged.outputs] == ["ab\n", "c", "d"]


# --- when a chapter runs again ----------------------------------------------------------------


@pytest.mark.usefixtures("no_kernel")
def test_unchanged_nothing_runs_and_nothing_is_written(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stamps() -> dict[Path, tuple[int, bytes]]:
        files = [path for path in common.BUILD.rglob("*") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = stamps()
    assert execute.execute(common.chapters()) == 0
    assert stamps() == before
    assert "unchanged" in capsys.readouterr().out


@pytest.mark.usefixtures("no_kernel")
def test_new_prose_is_merged_without_a_run(project: Path) -> None:
    before = notebooks.read(JOB.executed)
    edit("## The question", "## Another question")
    notebook = notebooks.read(JOB.source)
    notebook.cells.insert(5, copy.deepcopy(notebook.cells[4]))
    notebook.cells[5].id = "new"
    sample.cell(notebook, "x[:3]").metadata["tags"] = ["hide-input"]
    notebooks.write(notebook, JOB.source)
    assert execute.execute(common.chapters()) == 0
    after = notebooks.read(JOB.executed)
    assert [c.source for c in after.cells[4:6]] == ["## Another question"] * 2
    assert sample.cell(after, "x[:3]").metadata.tags == ["hide-input"]
    assert outputs(sample.cell(after, "x[:3]")) == outputs(sample.cell(before, "x[:3]"))


@pytest.mark.parametrize(
    ("file", "old", "new", "name"),
    [
        ("book/1_part/mean.ipynb", "x[:3]", "x[:4]", "code"),
        ("book/1_part/mean.ipynb", '"parameters"', '"hide-input"', "code"),
        ("book/1_part/mean.ipynb", '"id": "c7"', '"id": "other"', "code"),
        ("mmlearn/claims.py", "judged", "deemed", "mmlearn/claims.py"),
        ("mmlearn/widgets.py", "frames", "images", "mmlearn/widgets.py"),
        ("mmlearn/explore.html", "range", "extent", "mmlearn/explore.html"),
        ("data/sources.txt", "", "a==1", "data/sources.txt"),
    ],
)
def test_what_a_run_depends_on_makes_it_stale(
    project: Path, file: str, old: str, new: str, name: str
) -> None:
    assert execute.changed(JOB) == []
    path = project / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    assert execute.changed(JOB) == [name]
    assert execute.times(common.chapters()) == execute.claims(common.chapters()) == []
    assert "changed: " + name in execute.faults(common.chapters())[0]


def test_a_library_of_another_version_makes_it_stale(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0" if name == "numpy" else there(name)
    )
    assert execute.changed(JOB) == ["numpy"]


def test_what_a_run_does_not_depend_on_leaves_it_fresh(project: Path) -> None:
    (project / "mmlearn" / "optim.py").write_text("", encoding="utf-8")  # never loaded
    sources = project / "mmlearn" / "claims.py"
    sources.write_bytes(sources.read_bytes().replace(b"\n", b"\r\n"))  # as on Windows
    assert execute.changed(JOB) == []
    assert execute.changed(execute.Job(sample.CHAPTER, "smoke")) == ["never run"]


@pytest.mark.parametrize("damage", ["", "{"])
def test_a_damaged_result_counts_as_none(project: Path, damage: str) -> None:
    JOB.executed.write_text(damage)
    assert execute.changed(JOB) == ["never run"]
    notebooks.write(sample.chapter(), JOB.executed)
    JOB.sidecar.write_text(damage)
    assert execute.changed(JOB) == ["never run"]


@pytest.mark.usefixtures("no_kernel")
def test_chapters_that_are_no_more_are_forgotten(project: Path) -> None:
    stranger = common.EXECUTED / "1_part" / "gone.ipynb"
    shutil.copy(JOB.executed, stranger)
    execute.execute(common.chapters())
    assert not stranger.exists() and JOB.executed.exists()


# --- errors -----------------------------------------------------------------------------------


def test_an_error_stops_with_chapter_cell_and_traceback(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short("x = 1", "\ny = x / 0  # the first line", "x = 2")
    assert execute.execute(common.chapters()) == 1
    said = capsys.readouterr().out
    assert f"{sample.CHAPTER} stopped at cell 6 (y = x / 0  # the first line)" in said
    assert "ZeroDivisionError: division by zero" in said and "\x1b" not in said
    assert not JOB.executed.exists() and not JOB.sidecar.exists()
    assert read("claims") == read("times") == []
    failed = notebooks.read(JOB.failed)
    assert "ZeroDivisionError" in outputs(sample.cell(failed, "\ny = x"))
    assert not [c for c in failed.cells if "_report" in c.source]


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"cells"', "cells", "mean.ipynb is not a notebook"),
        ('   "id": "c7",\n', "", r"1_part/mean: cell 7 (x[:3]) has no id"),
    ],
)
def test_a_chapter_that_cannot_be_read_is_an_error(
    project: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    JOB.source.write_text(JOB.source.read_text(encoding="utf-8").replace(old, new))
    assert execute.execute(common.chapters()) == 1
    assert said in capsys.readouterr().out
    assert not JOB.executed.exists() and read("claims") == []


def test_a_chapter_that_ends_early_is_an_error(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short("x = 1", "import os\nos._exit(0)", "x = 2")
    assert execute.execute(common.chapters()) == 1
    assert "stopped at cell 6 (import os)" in capsys.readouterr().out


def test_another_copy_of_the_package_is_an_error(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = project / "elsewhere"
    shutil.move(project / "mmlearn", other / "mmlearn")
    environment = common.kernel_env()
    monkeypatch.setattr(common, "kernel_env", lambda _: environment | {"PYTHONPATH": str(other)})
    short("import mmlearn")
    assert execute.execute(common.chapters()) == 1
    assert f"loaded mmlearn from {other}" in capsys.readouterr().out
    assert not JOB.executed.exists()


def test_a_chapter_that_hangs_is_ended(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "CHAPTER_TIMEOUT", 8)
    short("print('begins')", "while True:\n    pass")
    assert execute.execute(common.chapters()) == 1
    said = capsys.readouterr().out
    assert "did not end in 8 s; it hangs at cell 6 (while True:)" in said
    assert not psutil.Process().children(recursive=True)


def test_a_request_to_end_leaves_no_kernel(project: Path) -> None:
    short("import time\nopen('begun', 'w').close()\ntime.sleep(60)")
    begun = JOB.source.parent / "begun"
    kernels: list[psutil.Process] = []

    def end() -> None:
        while not begun.exists():
            threading.Event().wait(0.1)
        kernels.extend(psutil.Process().children(recursive=True))
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=end, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        execute.execute(common.chapters())
    assert len(kernels) >= 2 and not any(kernel.is_running() for kernel in kernels)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert execute.changed(JOB) == ["never run"]


# --- what no executed notebook may hold -------------------------------------------------------


def _stream(name: str, text: str) -> list[NotebookNode]:
    return [NotebookNode(output_type="stream", name=name, text=text)]


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        (_stream("stderr", "UserWarning: old"), "writes to stderr: 'UserWarning: old'"),
        (_stream("stdout", "<object at 0x7f2a5c3b9d10>"), "an address in memory, 0x7f2a5c3b9d10"),
        (_stream("stdout", f"{Path.home()}{os.sep}data"), "a path of this machine"),
        ([], None),
        (_stream("stdout", "0x12 and home"), None),
    ],
)
def test_untidy_outputs_are_faults(
    project: Path, output: list[NotebookNode], fault: str | None
) -> None:
    notebook = notebooks.read(JOB.executed)
    sample.cell(notebook, "x[:3]").outputs = output
    notebooks.write(notebook, JOB.executed)
    found = execute.faults(common.chapters())
    assert bool(found) == (fault is not None)  # a home below /tmp is two paths
    assert fault is None or ("cell 7 (x[:3])" in found[0] and fault in found[0])


def test_a_cell_that_did_not_run_is_a_fault(project: Path) -> None:
    notebook = notebooks.read(JOB.executed)
    sample.cell(notebook, "x[:3]").execution_count = None
    notebooks.write(notebook, JOB.executed)
    assert execute.faults(common.chapters()) == [
        f"{sample.CHAPTER}, cell 7 (x[:3]) was not executed"
    ]


def test_budgets() -> None:
    row = {"chapter": "a", "profile": "default", "seconds": 60.0, "peak_mb": 2048}
    assert execute.over_budget([row]) == []
    assert execute.over_budget([row | {"seconds": 61.0}]) == ["a takes 61 s; its budget is 60 s"]
    assert execute.over_budget([row | {"peak_mb": 2049}]) == [
        "a takes 2049 MB; its budget is 2048 MB"
    ]
    assert execute.over_budget([row | {"profile": "smoke"}]) == ["a takes 60 s; its budget is 20 s"]


# --- falsification ----------------------------------------------------------------------------


def test_falsify_runs_with_the_relation_destroyed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = JOB.executed.read_bytes()
    assert execute.falsify(common.chapters()) == 0
    said = capsys.readouterr().out
    assert "fails  1_part/mean  a fast mean is near the end" in said
    assert "may hold: an identity" in said and "2 claims with shuffled labels, 0 faults" in said
    assert JOB.executed.read_bytes() == before
    null = notebooks.read(common.notebook_path(sample.CHAPTER, common.BUILD / "null"))
    assert len(null.cells) == len(notebooks.read(JOB.source).cells)


CLAIM = {"chapter": "a", "sentence": "it learns", "holds": False, "null_safe": None, "null": True}


@pytest.mark.parametrize(
    ("claims", "faults"),
    [
        ([CLAIM], []),
        ([CLAIM, CLAIM | {"holds": True, "null_safe": "an identity"}], []),
        ([CLAIM, CLAIM | {"holds": True}], ["holds with shuffled labels"]),
        ([CLAIM, CLAIM | {"null": False}], ["was measured with NULL = False"]),
        ([CLAIM | {"holds": True, "null_safe": "an identity"}], ["a has no claim that fails"]),
        ([CLAIM | {"chapter": "b"}], ["a has no claim that fails"]),
        ([], ["a has no claim that fails"]),
    ],
)
def test_claims_that_nothing_can_break_are_faults(
    claims: list[dict[str, Any]], faults: list[str]
) -> None:
    found = execute.falsified(claims, ["a"])
    assert len(found) == len(faults)
    assert all(part in whole for part, whole in zip(faults, found, strict=True))
