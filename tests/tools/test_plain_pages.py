"""What the plain pages say of themselves: the example prints what is shown, the glossary is
sorted, the references are complete."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from nbgrader.utils import is_grade

from tools import notebooks, pages
from tools.common import BOOK, chapters, notebook_path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CITED = re.compile(r"\(((?:[A-Z]\w+)[^()]*?) (\d{4})\)")


def test_the_example_prints_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = BLOCK.findall((BOOK / "start" / "how_to_use.md").read_text(encoding="utf-8"))
    shown = [(a[1], b[1]) for a, b in pairwise(blocks) if (a[0], b[0]) == ("python", "text")]
    assert len(shown) == 1
    ((code, output),) = shown
    exec(code, {})
    assert capsys.readouterr().out == output


def glossary_faults(text: str) -> list[str]:
    """Rows of a glossary that are not four filled cells, or stand out of order."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")][2:]
    terms = [row[0].strip() for row in rows]
    faults = [row[0] for row in rows if len(row) != 4 or not all(map(str.strip, row))]
    return faults + [b for a, b in pairwise(terms) if a.casefold() >= b.casefold()]


def uncited(text: str, references: str) -> list[str]:
    """What a page cites, as (Author and Author 2020), that the references do not list."""
    lines = [line for line in references.splitlines() if line.startswith("- ")]
    return [
        f"{authors} {year}"
        for authors, year in CITED.findall(text)
        if not any(
            f"({year})" in line and all(name in line for name in re.findall(r"[A-Z]\w+", authors))
            for line in lines
        )
    ]


def test_glossary_is_filled_and_sorted() -> None:
    text = (BOOK / "appendix" / "glossary.md").read_text(encoding="utf-8")
    assert glossary_faults(text) == []
    assert glossary_faults(text.replace("| zero-shot |", "| a zero |"))
    assert glossary_faults(text.replace("| Share of predictions that are right. |", "|  |"))


def test_references_hold_what_the_errata_cite() -> None:
    text = (BOOK / "appendix" / "errata.md").read_text(encoding="utf-8")
    references = (BOOK / "appendix" / "references.md").read_text(encoding="utf-8")
    assert len(CITED.findall(text)) > 5
    assert uncited(text, references) == []
    assert uncited(text.replace("Graves et al. 2006", "Graves et al. 2007"), references)
    assert uncited(text, references.replace("Wöllmer", "Wollmer"))


def test_the_references_end_with_every_chapters_reading() -> None:
    text = (BOOK / "appendix" / "references.md").read_text(encoding="utf-8")
    parts = pages.fill(text, "book/appendix/references").split("\n### ")[1:]
    for chapter, part in zip(chapters(), parts, strict=True):
        assert part.startswith(f"[{pages.title(f'book/{chapter}')}](../{chapter}.ipynb)")
        for work in filter(None, part.split("\n\n", 1)[1].splitlines()):
            assert re.match(r"- .*\]\(https://", work), work


def test_the_instructors_guide_lists_every_exercise_with_its_points() -> None:
    page = (BOOK / "appendix" / "instructors.md").read_text(encoding="utf-8")
    parts = pages.fill(page, "book/appendix/instructors").split("\n### ")[1:]
    for chapter, part in zip(chapters(), parts, strict=True):
        notebook = notebooks.read(notebook_path(chapter))
        points = [c.metadata.nbgrader.points for _, c in notebooks.cells(notebook) if is_grade(c)]
        found = re.findall(r"^\| (.+?) \|.*?\| (\d+) \| (\w+) \| (\d+) \|$", part, re.MULTILINE)
        assert [int(number) for _, number, _, _ in found] == points
        titles = [cell.source for _, cell in notebooks.cells(notebook, "markdown")]
        for row, (title, _, difficulty, minutes) in enumerate(found, 1):
            (prompt,) = [t for t in titles if t.startswith(f"### Exercise {row}:")]
            assert title.removeprefix(f"{row} ") in prompt.splitlines()[0]
            assert f"· {difficulty} · {minutes} minutes*" in prompt
        assert f"| **Together** |  | **{sum(points)}** |" in part
        assert f"]({'../' + chapter}.ipynb)" in part.splitlines()[0]
