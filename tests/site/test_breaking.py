"""Each check of a site, tested by breaking what it guards in a copy of a small one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.site import checks, sample
from tools import common, notebooks

CHAPTER = f"book/{sample.CHAPTER}.html"
WELCOME = "book/start/welcome.html"
FIGURES = {CHAPTER: [(sample.TITLE, sample.ALT)]}

Break = Callable[..., checks.Pages]


@pytest.fixture
def broken(small: Path, tmp_path: Path) -> Break:
    """Copy the small site and put something in the place of something else on one page."""

    def change(page: str, old: str, new: str) -> checks.Pages:
        copy = shutil.copytree(small / "_build/html", tmp_path / "html")
        path = copy / page
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        return checks.Pages(copy)

    return change


# --- the files --------------------------------------------------------------------------------


def test_the_small_site_is_good(small: Path, small_pages: checks.Pages) -> None:
    assert small_pages.broken_links() == []
    assert small_pages.too_heavy() == []
    assert small_pages.poor_alt(FIGURES) == []
    assert small_pages.no_status([sample.CHAPTER]) == []
    executed = common.notebook_path(sample.CHAPTER, small / "_build/executed")
    assert (sample.TITLE, sample.ALT) in checks.recorded_figures(notebooks.read(executed))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mean.html#from-scratch", "mean.html#from-nothing"),
        ("mean.html#from-scratch", "median.html"),
        ("../../_static/logo.svg", "../../_static/gone.svg"),
        ("../../_static/logo.svg", "../../../../outside.svg"),
    ],
)
def test_a_broken_link_is_found(broken: Break, old: str, new: str) -> None:
    faults = broken(WELCOME, old, new).broken_links()
    assert faults
    assert all(fault.startswith(WELCOME) and new in fault for fault in faults)


def test_a_heavy_page_is_found(broken: Break) -> None:
    pages = broken(WELCOME, "</body>", f"<!--{'x' * checks.MAX_BYTES}--></body>")
    assert pages.too_heavy() == [f"{WELCOME} weighs 2.0 MB"]


def test_a_heavy_image_is_found(broken: Break) -> None:
    pages = broken(WELCOME, "</article>", '<img src="big.png" alt="big"></article>')
    (pages.site / WELCOME).with_name("big.png").write_bytes(b"x" * checks.MAX_BYTES)
    assert pages.too_heavy() == [f"{WELCOME} weighs 2.0 MB"]


@pytest.mark.parametrize(
    ("new", "fault"),
    [
        ("", "no alt text"),
        ('alt=""', "no alt text"),
        ('alt="figure-3.png"', "is a file name"),
        (f'alt="../_images/{"0f" * 32}.png"', "is a file name"),
        ('alt="Another figure"', "no figure has the alt text"),
    ],
)
def test_a_poor_alt_text_is_found(broken: Break, new: str, fault: str) -> None:
    found = broken(CHAPTER, f'alt="{sample.ALT}"', new).poor_alt(FIGURES)
    assert any(fault in one for one in found)


def test_an_alt_text_without_the_message_is_found(small_pages: checks.Pages) -> None:
    (found,) = small_pages.poor_alt({CHAPTER: [("Something else", sample.ALT)]})
    assert "lacks the figure's message" in found


def test_an_alt_text_used_twice_is_found(broken: Break) -> None:
    twice = f'<img src="../../_static/logo.svg" alt="{sample.ALT}"></article>'
    (found,) = broken(WELCOME, "</article>", twice).poor_alt(FIGURES)
    assert "more than one figure" in found


@pytest.mark.parametrize("old", ["mm-status", "Executed on 2 November 2026", "310 MB"])
def test_a_missing_status_is_found(broken: Break, old: str) -> None:
    assert len(broken(CHAPTER, old, "something").no_status([sample.CHAPTER])) == 1


def test_what_leaks_is_found(broken: Break, small: Path, small_pages: checks.Pages) -> None:
    chapter = notebooks.read(common.notebook_path(sample.CHAPTER, small / "book"))
    secrets = checks.secret_lines(chapter, notebooks.HIDDEN)
    assert "x = np.random.default_rng(mm.exercise_seed()).normal(size=3)" in secrets
    assert not any("nothing stays nothing" in line for line in secrets)
    assert small_pages.leaks(secrets) == []
    leaking = broken(WELCOME, "</article>", f"<pre><b>x</b>\n   {secrets[-1][1:]}</pre></article>")
    assert any("shows" in fault for fault in leaking.leaks([secrets[-1][1:]]))


def test_a_word_that_leaks_into_the_search_index_is_found(broken: Break) -> None:
    pages = broken("searchindex.js", "Search.setIndex({", 'Search.setIndex({"hemlock":1,')
    assert pages.leaks(["assert hemlock == 2"]) == ["the search index knows 'hemlock'"]


# --- the browser ------------------------------------------------------------------------------

# What is put at the end of a page's text, the kind of fault that it is, and what is said of it.
FAINT = 'style="color:#aaa;background:#fff"'
FAULTS = [
    ('<script src="https://example.org/x.js"></script>', "requests", "asks for https://example"),
    (
        "<style>@font-face{font-family:f;src:url(https://example.net/f)}p{font-family:f}</style>",
        "requests",
        "asks for https://example.net/f",
    ),
    ('<img src="gone.png" alt="gone">', "requests", "misses"),
    ("<script>console.error('broken')</script>", "console", "light): broken"),
    ("<script>console.warn('odd')</script>", "console", "dark): odd"),
    ("<script>undefined_thing()</script>", "console", "undefined_thing is not defined"),
    ('<p style="width:500px">too wide for a phone</p>', "overflow", "360 px, dark) is"),
    (f"<details><summary>More</summary><p {FAINT}>faint</p></details>", "axe", "color-contrast"),
    ("<button></button>", "axe", "button-name"),
    (
        f"<div style='overflow:auto;width:200px;white-space:pre'>{'out of reach ' * 9}</div>",
        "axe",
        "scrollable-region-focusable",
    ),
    (
        "<style>html[data-theme=dark] p.f{color:#333!important}</style><p class='f'>faint</p>",
        "dark",
        "1280 px, dark): color-contrast",
    ),
]


@pytest.fixture(scope="module")
def seen(
    browser: Browser, small: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What is found on good pages, and on one page for each kind of fault."""
    copy = shutil.copytree(small / "_build/html", tmp_path_factory.mktemp("faults") / "html")
    good = (copy / WELCOME).read_text(encoding="utf-8")
    pages = [CHAPTER, WELCOME]
    for kind in dict.fromkeys(kind for _, kind, _ in FAULTS):
        bad = "".join(addition for addition, its_kind, _ in FAULTS if its_kind == kind)
        pages.append(f"book/start/{kind}.html")
        (copy / pages[-1]).write_text(good.replace("</article>", f"{bad}</article>"), "utf-8")
    return checks.look(browser, copy, pages)


def test_a_good_page_has_no_fault(seen: dict[str, list[str]]) -> None:
    found = [fault for faults in seen.values() for fault in faults]
    assert not [fault for fault in found if fault.startswith((CHAPTER, WELCOME))]


@pytest.mark.parametrize(("addition", "kind", "said"), FAULTS)
def test_a_fault_in_the_browser_is_found(
    seen: dict[str, list[str]], addition: str, kind: str, said: str
) -> None:
    found = seen["axe" if kind == "dark" else kind]
    mine = [fault for fault in found if fault.startswith(f"book/start/{kind}.html")]
    assert any(said in fault for fault in mine), mine


def test_a_page_that_search_does_not_know_is_found(browser: Browser, broken: Break) -> None:
    page = CHAPTER.rsplit("/", 1)[-1]
    pages = broken(WELCOME, "</article>", "</article>")
    assert page in checks.search(browser, pages.site.as_uri() + "/", "forgets")
    index = pages.site / "searchindex.js"
    text = index.read_text(encoding="utf-8")
    assert "forget" in text
    index.write_text(text.replace("forget", "remember"), encoding="utf-8")
    assert page not in checks.search(browser, pages.site.as_uri() + "/", "forgets")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            'addEventListener("input"',
            'addEventListener("nothing"',
            "does not follow the arrow keys",
        ),
        ("img.alt = alt;", "", "does not follow the arrow keys"),
        ('addEventListener("click"', 'addEventListener("nothing"', "does not play"),
    ],
)
def test_a_stuck_figure_is_found(
    browser: Browser, broken: Break, old: str, new: str, fault: str
) -> None:
    pages = broken(CHAPTER, old, new)
    found = checks.stuck(browser, (pages.site / CHAPTER).as_uri())
    assert any(fault in one for one in found)


def test_a_moving_figure_is_not_called_stuck(browser: Browser, small_pages: checks.Pages) -> None:
    assert checks.stuck(browser, (small_pages.site / CHAPTER).as_uri()) == []
