"""Notebook helpers: the file's one form, sections, exercises, markers, the table of tags."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.tools import sample
from tools import common, notebooks


def test_a_notebook_is_written_as_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    assert notebooks.write(sample.chapter(), path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith('{\n "cells"') and text.endswith("}\n") and not text.endswith("\n\n")
    assert not notebooks.write(notebooks.read(path), path)
    assert path.read_text(encoding="utf-8") == text


def test_reading_repairs_nothing(tmp_path: Path) -> None:
    notebook = sample.chapter()
    del notebook.cells[0]["id"]
    notebooks.write(notebook, tmp_path / "a.ipynb")
    assert "id" not in notebooks.read(tmp_path / "a.ipynb").cells[0]


def test_what_is_no_notebook_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("no JSON")
    with pytest.raises(notebooks.NotebookError, match=r"a\.ipynb is not a notebook"):
        notebooks.read(tmp_path / "a.ipynb")


def test_sections_may_begin_inside_a_cell() -> None:
    cells = [
        nbformat.v4.new_markdown_cell("# T\n\nA\n\n## One\n\nB\n\n```\n## no heading\n```"),
        nbformat.v4.new_code_cell("1"),
        nbformat.v4.new_markdown_cell("C\n\n### Deeper\n\nD\n\n## Two\n\nE"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    one = notebooks.section(notebook, "One")
    assert [(p.number, p.level) for p in one] == [(1, 2), (2, 0), (3, 0), (3, 3)]
    assert "## no heading" in one[0].source and one[3].source.strip() == "### Deeper\n\nD"
    assert [p.source for p in notebooks.section(notebook, "Two")] == ["## Two\n\nE"]
    assert notebooks.section(notebook, "Deeper") == notebooks.section(notebook, "Three") == []


def test_exercises_are_found_with_their_cells() -> None:
    found = notebooks.exercises(sample.chapter())
    assert [(e.number, e.title, e.points, e.difficulty, e.minutes) for e in found] == [
        (1, "scale", 2, "easy", 5),
        (2, "scale", 2, "easy", 5),
        (3, "explain", 3, "medium", 10),
    ]
    assert [len(e.parts) for e in found] == [3, 3, 2]


def test_markers_split_a_source() -> None:
    source = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\nf()"
    assert notebooks.without_markers(source, "SOLUTION") == "def f():\n    return 1\nf()"
    assert notebooks.without_regions(source, "SOLUTION") == "def f():\nf()"
    assert notebooks.without_markers(source, "HIDDEN TESTS") == source


@pytest.mark.parametrize("order", ["BEGIN", "END", "BEGIN BEGIN END", "BEGIN END END"])
def test_markers_without_a_partner_are_refused(order: str) -> None:
    source = "\n".join(f"### {word} SOLUTION" for word in order.split())
    with pytest.raises(ValueError, match="SOLUTION"):
        notebooks.regions(source, notebooks.SOLUTION)


def test_magic_commands_become_python() -> None:
    compile(notebooks.python("%matplotlib inline\nx = 1\n!ls"), "cell", "exec")
    assert notebooks.python("x = 5 % 2") == "x = 5 % 2"


def test_the_table_of_tags_holds_every_tag() -> None:
    page = notebooks.with_tags_table("a\n<!-- tags:begin -->stale<!-- tags:end -->\nb\n")
    assert "stale" not in page and page.startswith("a\n") and page.endswith("\nb\n")
    assert all(f"| `{tag}` | {meaning} |" in page for tag, meaning in notebooks.TAGS.items())
    assert notebooks.with_tags_table(page) == page
    with pytest.raises(ValueError, match="tags:begin"):
        notebooks.with_tags_table("a page without markers")


def test_contributing_shows_the_table_of_tags() -> None:
    page = (common.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert page == notebooks.with_tags_table(page), "`make sync` writes it"
