"""Sync: the package's text in the chapter, the set-up cell, cleared outputs; what it refuses."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import types
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.tools import sample
from tools import common, execute, notebooks, sync

PACKAGE = '''"""A module."""

import functools

HALF = 1 / 2  # one of two
A, B = 1, 2
TABLE: dict[str, int] = {
    "a": 1,  # the first
}


@functools.cache
def f(x: int) -> int:
    """Double.

    At length.
    """

    # A comment of its own.
    def inner() -> int:
        """Hidden too."""
        return 2 * x  # why

    return inner()


class C:
    """A class."""

    n = 1

    def method(self) -> str:
        """What it does."""
        return """not a
docstring"""


class Empty(Exception):
    """Nothing else stands here."""
'''


@pytest.fixture
def chapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = sample.project(tmp_path, monkeypatch)
    (tmp_path / "mmlearn" / "code.py").write_text(PACKAGE, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HALF", "HALF = 1 / 2  # one of two"),
        ("B", "A, B = 1, 2"),
        ("TABLE", 'TABLE: dict[str, int] = {\n    "a": 1,  # the first\n}'),
        (
            "f",
            "@functools.cache\ndef f(x: int) -> int:\n    # A comment of its own.\n"
            "    def inner() -> int:\n        return 2 * x  # why\n\n    return inner()",
        ),
        (
            "C",
            "class C:\n    n = 1\n\n    def method(self) -> str:\n"
            '        return """not a\ndocstring"""',
        ),
        ("Empty", 'class Empty(Exception):\n    """Nothing else stands here."""'),
    ],
)
@pytest.mark.usefixtures("chapter")
def test_a_definition_is_the_files_text_without_docstrings(name: str, text: str) -> None:
    assert sync.definition(f"mmlearn.code.{name}") == text


@pytest.mark.usefixtures("chapter")
def test_a_definition_may_stand_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "mmlearn" / "code.py").unlink()
    (tmp_path / "mmlearn" / "code").mkdir()
    (tmp_path / "mmlearn" / "code" / "__init__.py").write_text("ONE = 1")
    (tmp_path / "mmlearn" / "code" / "deep.py").write_text("TWO = 2")
    assert sync.definition("mmlearn.code.ONE") == "ONE = 1"
    assert sync.definition("mmlearn.code.deep.TWO") == "TWO = 2"


def shown_twice(chapters: dict[str, list[str]]) -> list[str]:
    """Definitions that more than one chapter shows, given the names that each shows."""
    times = Counter(name for names in chapters.values() for name in names)
    return sorted(name for name, n in times.items() if n > 1)


def test_a_definition_is_shown_once_where_it_is_taught() -> None:
    shown = {
        chapter: [
            name
            for _, cell in notebooks.tagged(notebooks.read(common.notebook_path(chapter)), "sync")
            for name in sync.headers(cell.source)
        ]
        for chapter in common.chapters("")
    }
    assert shown_twice(shown) == []
    first, second = list(shown)[:2]
    again = shown[first][:1]
    assert shown_twice(shown | {second: shown[second] + again}) == again != []


def test_the_good_chapter_is_in_sync(chapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = chapter.read_bytes()
    assert sync.main(check=True) == sync.main() == 0
    assert chapter.read_bytes() == before
    assert capsys.readouterr().out == ""


def break_and_mend(chapter: Path, capsys: pytest.CaptureFixture[str], said: str) -> None:
    """A broken chapter is told by check and left alone, then mended to the good one."""
    before = chapter.read_bytes()
    assert sync.main(check=True) == 1
    assert said in capsys.readouterr().out
    assert chapter.read_bytes() == before
    assert sync.main() == 0
    assert notebooks.read(chapter) == sample.chapter()
    assert sync.main(check=True) == 0


@pytest.mark.parametrize(
    ("beginning", "old", "new", "said"),
    [
        ("# mmlearn.toy.RATE", "rate * value", "value", "+        mean = (1 - rate) * mean + rate"),
        ("# mmlearn.toy.RATE", "RATE = 0.5", "RATE = 0.7", "cell 10 (# mmlearn.toy.RATE) differs"),
        ("# On Colab", "example.org", "example.com", "cell 2 (# On Colab"),
    ],
)
def test_a_changed_cell_is_told_and_mended(
    chapter: Path,
    capsys: pytest.CaptureFixture[str],
    beginning: str,
    old: str,
    new: str,
    said: str,
) -> None:
    notebook = notebooks.read(chapter)
    cell = sample.cell(notebook, beginning)
    cell.source = cell.source.replace(old, new)
    notebooks.write(notebook, chapter)
    break_and_mend(chapter, capsys, said)


def test_a_changed_package_is_told(chapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = common.ROOT / "mmlearn" / "toy.py"
    package.write_text(package.read_text().replace("RATE = 0.5", "RATE = 0.25"))
    assert sync.main(check=True) == 1
    assert "+RATE = 0.25" in capsys.readouterr().out


def test_stray_outputs_counts_and_metadata_are_cleared(
    chapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = notebooks.read(chapter)
    cell = sample.cell(notebook, "x[:3]")
    cell.outputs = [nbformat.v4.new_output("stream", text="5")]
    cell.execution_count = 3
    cell.metadata["colab"] = {"base_uri": "https://example.org"}
    notebook.metadata["widgets"] = {}
    notebooks.write(notebook, chapter)
    break_and_mend(chapter, capsys, "cell 7 (x[:3]) differs in its stored outputs")


def test_a_file_laid_out_otherwise_is_told_and_mended(
    chapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = chapter.read_text(encoding="utf-8")
    chapter.write_text(good.replace("\n ", "\n    "), encoding="utf-8")
    break_and_mend(chapter, capsys, "laid out")
    assert chapter.read_text(encoding="utf-8") == good


def test_a_stale_table_of_tags_is_told_and_mended(
    chapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = common.ROOT / "CONTRIBUTING.md"
    good = page.read_text(encoding="utf-8")
    page.write_text(good.replace("| `sync` |", "| `synch` |"), encoding="utf-8")
    break_and_mend(chapter, capsys, "CONTRIBUTING.md: the table of tags")
    assert page.read_text(encoding="utf-8") == good


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1", "names a definition"),
        ("\n# mmlearn.toy.RATE", "names a definition"),
        ("# mmlearn.nothing.RATE", "there is no module mmlearn.nothing"),
        ("# mmlearn.toy.moving_maen", "mmlearn/toy.py has no moving_maen; it has moving_mean"),
    ],
)
def test_what_cannot_be_written_is_an_error(
    chapter: Path, capsys: pytest.CaptureFixture[str], source: str, said: str
) -> None:
    notebook = notebooks.read(chapter)
    sample.cell(notebook, "# mmlearn.toy.RATE").source = source
    notebooks.write(notebook, chapter)
    before = chapter.read_bytes()
    assert sync.main() == sync.main(check=True) == 1
    out = capsys.readouterr().out
    assert f"{sample.CHAPTER}, cell 10" in out and said in out
    assert chapter.read_bytes() == before


def test_what_is_no_notebook_is_told(chapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chapter.write_text("{")
    assert sync.main() == 1
    assert "is not a notebook" in capsys.readouterr().out


def test_outputs_of_agreement_cells_are_stored_from_a_run(chapter: Path) -> None:
    notebook = notebooks.read(chapter)
    cell = sample.cell(notebook, "signal =")
    cell.outputs, cell.execution_count = [], None
    notebooks.write(notebook, chapter)
    assert sync.main(outputs=True) == 0
    assert notebooks.read(chapter) == sample.chapter()
    assert execute.changed(execute.Job(sample.CHAPTER, "smoke")) == []


# --- the set-up cell --------------------------------------------------------------------------


def run_setup(
    patch: pytest.MonkeyPatch, colab: bool, there: bool, fails: str = ""
) -> list[list[str]]:
    """What the set-up cell installs on Colab or elsewhere, with mmlearn there or not."""
    calls: list[list[str]] = []
    really = subprocess.run

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "install" not in command:
            return really(command, **options)
        calls.append(command)
        return subprocess.CompletedProcess(command, 1 if fails else 0, "", fails)

    patch.setattr(subprocess, "run", run)
    patch.setattr("importlib.util.find_spec", lambda _: "there" if there else None)
    if colab:
        patch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(sync.SETUP.format(url=sample.REPOSITORY), {})
    return calls


@pytest.mark.parametrize(("colab", "there"), [(False, False), (False, True), (True, True)])
def test_setup_does_nothing_where_nothing_is_missing(
    monkeypatch: pytest.MonkeyPatch, colab: bool, there: bool
) -> None:
    assert run_setup(monkeypatch, colab, there) == []


def test_setup_installs_on_colab_and_upgrades_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ((*_, constrain, constraints, book),) = run_setup(monkeypatch, colab=True, there=False)
    assert constrain == "--constraint"
    assert book == f"mmlearn-book @ git+{sample.REPOSITORY}"
    numpy = f"numpy=={importlib.metadata.version('numpy')}"
    assert numpy in Path(constraints).read_text(encoding="utf-8").splitlines()
    assert capfd.readouterr() == ("", "")


def test_setup_says_in_one_line_what_is_wrong_and_then_what_pip_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_setup(monkeypatch, colab=True, there=False, fails="a\n" * 99 + "fatal: no host")
    why, *said = str(stopped.value).splitlines()
    assert why == "The book's package could not be installed. Is there a network?"
    assert said == [*"a" * 14, "fatal: no host"]
