"""Colab: links that lead somewhere from there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tests.tools import sample
from tools import colab, common, notebooks

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
