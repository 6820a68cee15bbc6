"""Colab: links that lead somewhere from there, and a proof that fails when it should."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import nbformat
import numpy
import pytest
from nbformat import NotebookNode

from tests.tools import sample
from tools import colab, common, notebooks, sync

HUB = "https://github.com/books/mean"
OPENS = f"https://colab.research.google.com/github/books/mean/blob/student/book/{sample.CHAPTER}"


# --- links --------------------------------------------------------------------------------------


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A project whose `_config.yml` says what a test wants; on GitHub unless told otherwise."""
    sample.project(tmp_path, monkeypatch)

    def write(url: str = HUB, **html: str) -> None:
        config = {"repository": {"url": url, "branch": "main"}, "html": html}
        (tmp_path / "_config.yml").write_text(json.dumps(config), encoding="utf-8")

    write()
    return write


def link(source: str) -> str:
    """A Markdown cell of the sample chapter as Colab gets it."""
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source)])
    return str(colab.linked(page, sample.CHAPTER).cells[0].source)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("a [mean](mean.ipynb).", f"a [mean]({OPENS}.ipynb)."),
        ("a [mean](../1_part/mean.ipynb#from-scratch)", f"a [mean]({OPENS}.ipynb)"),
        ("[maths](../start/maths.md#sums)", f"[maths]({HUB}/blob/main/book/start/maths.md#sums)"),
        ('[maths](../a.md "why")', f'[maths]({HUB}/blob/main/book/a.md "why")'),
        ("[card](../../data/emoji.md)", f"[card]({HUB}/blob/main/data/emoji.md)"),
        ("![a mean](../assets/mean.svg)", f"![a mean]({HUB}/raw/main/book/assets/mean.svg)"),
        (
            "| [a](../a.md) | [b](../a.md#b) |\n|---|---|",
            f"| [a]({HUB}/blob/main/book/a.md) | [b]({HUB}/blob/main/book/a.md#b) |\n|---|---|",
        ),
        ("see [this]\n\n[this]: ../a.md", f"see [this]\n\n[this]: {HUB}/blob/main/book/a.md"),
        (
            "[b](../a.md.md) [a](../a.md)",
            f"[b]({HUB}/blob/main/book/a.md.md) [a]({HUB}/blob/main/book/a.md)",
        ),
        *[
            (same, same)
            for same in (
                "[there](https://example.org/a.md), [mail](mailto:a@example.org), [up](#top)",
                "`rows[0](start)` and $f[1](x)$",
            )
        ],
    ],
)
@pytest.mark.usefixtures("configure")
def test_links_lead_to_the_same_places_from_colab(source: str, wanted: str) -> None:
    assert link(source) == wanted


def test_a_page_of_the_public_site_is_read_there(configure: Callable[..., None]) -> None:
    configure(baseurl="https://books.example.org/mean/")
    site = "https://books.example.org/mean/book/welcome.html#top"
    assert link("[hello](../welcome.md#top)") == f"[hello]({site})"
    assert link("[a card](../../data/a.md)") == f"[a card]({HUB}/blob/main/data/a.md)"


def test_chapters_open_in_the_repository_where_it_is_not_on_github(
    configure: Callable[..., None],
) -> None:
    configure("https://example.org/books/mean/")
    assert colab.chapter_url(sample.CHAPTER) is None
    address = f"https://example.org/books/mean/blob/main/book/{sample.CHAPTER}.ipynb"
    assert link("[mean](mean.ipynb)") == f"[mean]({address})"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("[out](../../../a.md)", "cell 1 ([out](../../../a.md)): the link to ../../../a.md leaves"),
        ("[out](/a.md)", "the link to /a.md leaves"),
        ("[a](<../a b.md>)", "the link to ../a%20b.md is written in a way"),
    ],
)
@pytest.mark.usefixtures("configure")
def test_a_link_that_cannot_be_made_absolute_is_an_error(source: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        link(source)


def relative(page: NotebookNode) -> list[str]:
    """The relative links of a notebook, found in another way: everything in brackets."""
    prose = "\n".join(cell.source for _, cell in notebooks.cells(page, "markdown"))
    targets = re.findall(r"\]\(([^)\s]+)", re.sub(r"`[^`]*`|\$[^$]*\$", "", prose))
    return [target for target in targets if not re.match(r"https?:|#", target)]


@pytest.mark.parametrize("chapter", common.chapters())
def test_no_link_of_the_book_stays_relative(chapter: str) -> None:
    page = notebooks.read(common.notebook_path(chapter))
    assert relative(page)
    after = colab.linked(page, chapter)
    assert relative(after) == []
    assert [c.id for c in after.cells] == [c.id for c in page.cells]
    code = [[c.source for _, c in notebooks.cells(p, "code")] for p in (page, after)]
    assert code[0] == code[1]


# --- the proof ----------------------------------------------------------------------------------

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "mmlearn-book"
version = "0.1.0"
requires-python = "{python}"
dependencies = {needs}

[tool.hatch.build.targets.wheel]
only-include = ["mmlearn", "data"]

[tool.hatch.build.targets.wheel.sources]
data = "mmlearn/_data"
"""
GOOD = """\
import os, sys
from pathlib import Path
import mmlearn, tqdm

assert Path(mmlearn.__file__).is_relative_to(sys.prefix), mmlearn.__file__
assert (Path(mmlearn.__file__).parent / "_data" / "sources.txt").exists()
assert not any(p == {root!r} or p.startswith({ours!r}) for p in sys.path), sys.path
assert "PYTHONPATH" not in os.environ"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The proof for a project with one chapter and a Colab that brings little."""
    sample.project(tmp_path, monkeypatch)
    monkeypatch.setattr(colab, "FOLDER", tmp_path / "colab")
    monkeypatch.setattr(colab, "BRINGS", ("ipykernel", "numpy", "pip"))

    def prove(
        cell: str = GOOD.format(root=str(common.ROOT), ours=sys.prefix),
        needs: tuple[str, ...] = ("numpy", "tqdm"),
        python: str = ">=3.11",
        setup: str = sync.SETUP.format(url=sample.REPOSITORY),
    ) -> int:
        project = PROJECT.format(python=python, needs=list(needs))
        (tmp_path / "pyproject.toml").write_text(project, encoding="utf-8")
        page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in (setup, cell)])
        page.cells[0].metadata["tags"] = ["setup"]
        notebooks.write(page, common.notebook_path(sample.CHAPTER, common.BOOK))
        return colab.prove([sample.CHAPTER, sample.CHAPTER])

    return prove


def test_a_chapter_runs_in_the_kernel_that_installed_the_package(
    small: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert small() == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in said[1:3]] == [sample.CHAPTER] * 2
    assert re.fullmatch(r"packages linked .* took \d+ s and added mmlearn-book, tqdm", said[3])
    (site,) = colab.FOLDER.glob("venv/[lL]ib/**/site-packages")
    assert (site / "numpy/__init__.py").samefile(numpy.__file__)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"needs": ("numpy>=99", "tqdm")}, r"could not be installed.*depends on numpy>=99"),
        ({"python": ">=3.99"}, r"could not be installed.*requires a different Python"),
        ({"cell": "import scipy"}, r"1_part/mean stops on Colab:.*No module named 'scipy'"),
        ({"setup": "1"}, r"does not install from git\+https://example.org/books/mean"),
    ],
)
def test_what_would_not_work_is_told(
    small: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    broken: dict[str, Any],
    said: str,
) -> None:
    assert small(**broken) == 1
    assert re.search(said, capsys.readouterr().out, re.DOTALL)


def test_an_upgrade_is_told_and_leaves_this_environment_alone(
    small: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A set-up cell without constraints, and a newer version of what Colab brings."""
    ours = distribution("threadpoolctl")
    before = {str(file): file.read_binary() for file in ours.files or []}
    really = colab.environment
    monkeypatch.setattr(colab, "BRINGS", (*colab.BRINGS, "threadpoolctl"))

    def environment(folder: Path, wheel: Path, fresh: bool) -> tuple[Path, dict[str, str]]:
        made, env = really(folder, wheel, fresh)
        path = Path(env["PIP_FIND_LINKS"], "threadpoolctl-99.0-py3-none-any.whl")
        info = "threadpoolctl-99.0.dist-info"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("threadpoolctl.py", "new = True\n")
            file.writestr(
                f"{info}/METADATA", "Metadata-Version: 2.1\nName: threadpoolctl\nVersion: 99.0\n"
            )
            file.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            file.writestr(f"{info}/RECORD", "")
        return made, env

    monkeypatch.setattr(colab, "environment", environment)
    setup = sync.SETUP.format(url=sample.REPOSITORY).replace('"--constraint", there, ', "")
    assert small("", needs=("threadpoolctl>=99",), setup=setup) == 1
    told = f"the set-up cell upgraded, downgraded or removed threadpoolctl=={ours.version}"
    assert capsys.readouterr().out.splitlines()[-1] == told
    assert {str(file): file.read_binary() for file in ours.files or []} == before


def test_an_installation_may_add_and_be_quick_and_no_more() -> None:
    assert colab.faults({"a==1"}, {"a==1", "b==2"}, 59) == []
    for after in ({"a==2"}, {"a==0"}, {"b==1"}):
        (said,) = colab.faults({"a==1"}, after, 59)
        assert said.endswith("removed a==1")
    assert colab.faults({"a==1"}, {"a==1"}, 61) == ["the set-up cell took 61 s; it may take 60 s"]


@pytest.mark.parametrize("missing", ["mmlearn/toy.py", "data/card.md"])
def test_a_wheel_that_lacks_a_file_is_told(
    small: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    missing: str,
) -> None:
    (tmp_path / missing).write_text("", encoding="utf-8")
    (tmp_path / ".gitignore").write_text(f"/{missing}\n", encoding="utf-8")  # the builder heeds it
    assert small() == 1
    assert f"lacks {missing.replace('data/', 'mmlearn/_data/')}" in capsys.readouterr().out


def test_a_project_that_cannot_be_built_is_told(
    small: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert small(python="new") == 1
    assert "the wheel could not be built" in capsys.readouterr().out


def test_a_distribution_brings_what_it_needs_here_and_no_more() -> None:
    names = colab.closure(["ipykernel"]).keys()
    assert {"ipykernel", "ipython", "traitlets"} < names
    assert "numpy" not in names
    assert "fqdn" not in colab.closure(["jsonschema"])  # which is in an extra
    assert "fqdn" in colab.closure(["jsonschema[format-nongpl]"])
    assert colab.closure(["mmlearn-nowhere; python_version < '3'"]) == {}
    with pytest.raises(colab.ColabError, match="mmlearn-nowhere is not installed here"):
        colab.closure(["mmlearn-nowhere"])


def test_without_hard_links_files_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    ours = distribution("threadpoolctl")
    colab.lay([ours], tmp_path)
    copy, original = tmp_path / "threadpoolctl.py", Path(str(ours.locate_file("threadpoolctl.py")))
    assert copy.read_bytes() == original.read_bytes() and not copy.samefile(original)
