"""The book's site as it was built."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.site import checks
from tools import colab, common, notebooks, site


@pytest.fixture(scope="module")
def seen(browser: Browser, book: checks.Pages) -> dict[str, list[str]]:
    """What a browser finds wrong with the pages; each is opened twice for all tests together."""
    return checks.look(browser, book.site, [page for page in book.soups if page != "index.html"])


def test_every_page_is_there(book: checks.Pages) -> None:
    assert {f"{page}.html" for page in common.pages()} < set(book.soups)
    assert (book.site / "index.html").read_text(encoding="utf-8").count(common.pages()[0]) == 2


def test_links_and_anchors(book: checks.Pages) -> None:
    assert book.broken_links() == []


def test_no_request_to_another_host(seen: dict[str, list[str]]) -> None:
    assert seen["requests"] == []


def test_quiet_console(seen: dict[str, list[str]]) -> None:
    assert seen["console"] == []


def test_accessible_in_light_and_dark(seen: dict[str, list[str]]) -> None:
    assert seen["axe"] == []


def test_no_sideways_scrolling(seen: dict[str, list[str]]) -> None:
    assert seen["overflow"] == []


def test_alt_texts(book: checks.Pages, chapters: list[str]) -> None:
    titles = {
        f"book/{c}.html": checks.recorded_figures(
            notebooks.read(common.notebook_path(c, common.EXECUTED))
        )
        for c in chapters
    }
    assert all(titles.values()), "a chapter shows no figure"
    assert book.poor_alt(titles) == []


def test_weight(book: checks.Pages) -> None:
    assert book.too_heavy() == []


def test_each_chapter_says_when_it_was_executed(book: checks.Pages, chapters: list[str]) -> None:
    assert book.no_status(chapters) == []


def test_claims_are_listed_with_their_places(book: checks.Pages, chapters: list[str]) -> None:
    links = {address for _, address in book.references("book/appendix/claims.html")}
    for chapter in chapters:
        places = {a for a in book.anchors[f"book/{chapter}.html"] if a.startswith("claim-")}
        assert places
        assert {f"../{chapter}.html#{place}" for place in places} <= links


def test_colab_opens_the_students_edition(book: checks.Pages, chapters: list[str]) -> None:
    for chapter in chapters:
        (link,) = book.soups[f"book/{chapter}.html"].select("a.mm-run")
        assert link["href"].startswith("https://colab.research.google.com/github/")
        assert link["href"].endswith(f"/blob/student/book/{chapter}.ipynb")
        assert link["href"] == colab.chapter_url(chapter)


def test_hidden_tests_stay_hidden(book: checks.Pages, chapters: list[str]) -> None:
    sources = [notebooks.read(common.notebook_path(c)) for c in chapters]
    secrets = [
        line
        for source in sources
        for line in checks.secret_lines(source, notebooks.HIDDEN, beside=sources)
    ]
    assert secrets
    assert book.leaks(secrets) == []


def test_no_solution_in_what_is_staged_without(chapters: list[str]) -> None:
    for chapter in chapters:
        secrets = checks.secret_lines(
            notebooks.read(common.notebook_path(chapter)), notebooks.SOLUTION, notebooks.HIDDEN
        )
        assert secrets
        executed = notebooks.read(common.notebook_path(chapter, common.EXECUTED))
        staged = site.stage_chapter(executed, solutions=False)
        lines = {" ".join(line.split()) for c in staged.cells for line in c.source.split("\n")}
        assert lines.isdisjoint(secrets)


@pytest.mark.parametrize("over", ["http", "file"])
def test_search_finds_a_chapter(
    browser: Browser, book: checks.Pages, chapters: list[str], over: str
) -> None:
    page = f"{chapters[0]}.html".rsplit("/", 1)[-1]
    word = chapters[0].rsplit("/", 1)[-1].split("_")[0]
    with checks.served(book.site) as address:
        base = address if over == "http" else book.site.as_uri() + "/"
        assert page in checks.search(browser, base, word)


def test_figures_follow_the_keyboard(
    browser: Browser, book: checks.Pages, chapters: list[str]
) -> None:
    playable = [c for c in chapters if book.soups[f"book/{c}.html"].select("figure.mm-explore")]
    assert playable == chapters, "each chapter has a figure to play with"
    for chapter in chapters:
        address = (book.site / f"book/{chapter}.html").as_uri()
        assert checks.stuck(browser, address) == []


def test_keyboard_goes_straight_to_the_text(browser: Browser, book: checks.Pages) -> None:
    tab = browser.new_page(viewport=checks.PHONE, reduced_motion="reduce")
    tab.goto((book.site / f"{common.pages()[0]}.html").as_uri())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to main content"
    assert tab.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#main-content"
    tab.close()
