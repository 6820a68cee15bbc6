"""The map names every section of the documents, and sends nobody to a chapter that is not there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tools.common import BOOK

MAP = BOOK / "start" / "map.md"
# The numbers of the documents' sections and questions; the documents are not part of the project.
SECTIONS = json.loads(
    Path(__file__).with_name("document_sections.json").read_text(encoding="utf-8")
)
PLAIN_PAGES = sorted([*(BOOK / "start").glob("*.md"), *(BOOK / "appendix").glob("*.md")])
PLANNED = " (planned)"
LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def tables(text: str) -> dict[str, list[list[str]]]:
    """The cells of every table's rows (its head aside), by the heading that stands above it."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|"):
            found.setdefault(heading, []).append([c.strip() for c in line.strip("|").split("|")])
    return {name: rows[2:] for name, rows in found.items()}


def documents(text: str) -> dict[str, list[list[str]]]:
    """The map's table of each document, by the document's number."""
    return {
        name.removeprefix("Document ")[:3]: rows
        for name, rows in tables(text).items()
        if name.startswith("Document ")
    }


def chapters(text: str) -> list[str]:
    """What the map lists as chapters and pages: the first cell of every other table."""
    return [
        row[0]
        for name, rows in tables(text).items()
        if not name.startswith("Document ")
        for row in rows
    ]


def problems(text: str, standing: set[Path]) -> list[str]:
    """What is wrong with a map when `standing` are the chapters that exist."""
    listed = chapters(text)
    linked = {}
    found = []
    for entry in listed:
        if link := LINK.fullmatch(entry):
            linked[(MAP.parent / link[2]).resolve()] = entry
        elif not entry.endswith(PLANNED):
            found.append(f"{entry}: neither a link nor planned")
    found += [f"{page.name} exists, and the map says planned" for page in standing - {*linked}]
    found += [
        f"{linked[page]}: no such page"
        for page in {*linked} - standing
        if not (page.suffix == ".md" and page.exists())
    ]
    for document, wanted in SECTIONS.items():
        rows = documents(text).get(document, [])
        if [row[0] for row in rows] != wanted:
            odd = {row[0] for row in rows} ^ {*wanted} or "order"
            found.append(f"document {document}: sections differ: {odd}")
        for number, _title, where in rows:
            for target in where.split("; "):
                link = LINK.fullmatch(target)
                page = link and (MAP.parent / link[2]).resolve()
                if target not in listed and not (page and page.suffix == ".md" and page.exists()):
                    found.append(f"document {document}, {number}: nothing is called {target!r}")
    return found


def standing_chapters() -> set[Path]:
    """The notebooks that the book's parts hold."""
    return {path.resolve() for path in BOOK.glob("[0-9]_*/*.ipynb")}


def test_map_is_complete_and_true() -> None:
    assert problems(MAP.read_text(encoding="utf-8"), standing_chapters()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| 4.3 | Optimisation:", "| 4.4 | Optimisation:"),  # a section that no document has
        ("| Q10 |", "| Q9 |"),  # one left out, one twice
        ("| 43 Capstone (planned) |", "| 43 Capstone |"),  # neither there nor planned
        ("; 39 Serving (planned) |", "; 39 Server (planned) |"),  # a chapter that is not listed
        ("[How to use this book](how_to_use.md)", "[How to use this book](how.md)"),
        ("](../2_optimisation/gradient_descent.ipynb) | a", "](../2_optimisation/gone.ipynb) | a"),
    ],
)
def test_a_broken_map_is_seen(old: str, new: str) -> None:
    text = MAP.read_text(encoding="utf-8")
    assert old in text
    assert problems(text.replace(old, new), standing_chapters())


def test_a_planned_chapter_that_stands_is_seen() -> None:
    text = MAP.read_text(encoding="utf-8")
    new = (BOOK / "9_applications" / "capstone.ipynb").resolve()
    assert any("capstone" in p for p in problems(text, standing_chapters() | {new}))


@pytest.mark.parametrize("page", PLAIN_PAGES, ids=lambda page: page.stem)
def test_what_a_page_calls_planned_is_on_the_map(page: Path) -> None:
    planned = [entry for entry in chapters(MAP.read_text(encoding="utf-8")) if PLANNED in entry]
    text = page.read_text(encoding="utf-8")
    for entry in planned:
        text = text.replace(entry, "")
    for line in text.splitlines():
        assert PLANNED not in line.replace('"(planned)"', ""), f"{page.name}: {line}"


@pytest.mark.parametrize("page", PLAIN_PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for _label, target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
