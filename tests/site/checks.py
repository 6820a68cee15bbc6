"""What a built site is checked for. Each check returns a list of faults in words; empty is good.

`Pages` reads the files as they are; `look` opens them in a browser, each twice: from a server on
a wide light screen, and from the file system, with no network, on a dark phone.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup
from nbformat import NotebookNode
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

from tools import notebooks

MAX_BYTES = 2_000_000  # a page with its own images and sounds; scripts of all pages aside
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 780}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CONTRAST = "color-contrast"  # all that a change of theme can break; by far the slowest to judge
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
SETTLE_MS = 400  # the theme waits 300 ms before it lets the keyboard reach what scrolls


# --- the files --------------------------------------------------------------------------------


class Pages:
    """Every page of a site, parsed once."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.soups = {
            path.relative_to(site).as_posix(): BeautifulSoup(path.read_bytes(), "html.parser")
            for path in sorted(site.rglob("*.html"))
        }

    @cached_property
    def anchors(self) -> dict[str, set[str]]:
        """What can be linked to on each page."""
        return {
            page: {tag["id"] for tag in soup.find_all(id=True)} for page, soup in self.soups.items()
        }

    def references(self, page: str) -> Iterator[tuple[str, str]]:
        """Each tag and address by which a page names another file or place."""
        for attribute in ("href", "src", "poster", "data"):
            for tag in self.soups[page].find_all(attrs={attribute: True}):
                yield tag.name, tag[attribute]

    def broken_links(self) -> list[str]:
        """Links to files and anchors that are not there."""
        faults = []
        for page in self.soups:
            for _, address in self.references(page):
                parts = urlsplit(address)
                if parts.scheme or parts.netloc:
                    continue
                target = (self.site / page).parent / unquote(parts.path) if parts.path else None
                path = (target or self.site / page).resolve()
                if not path.is_file() or not path.is_relative_to(self.site.resolve()):
                    faults.append(f"{page}: {address} leads nowhere")
                elif parts.fragment and path.suffix == ".html":
                    there = path.relative_to(self.site.resolve()).as_posix()
                    if unquote(parts.fragment) not in self.anchors[there]:
                        faults.append(f"{page}: {address} has no such anchor")
        return faults

    def too_heavy(self) -> list[str]:
        """Pages that weigh more than they may, what all pages share aside."""
        faults = []
        for page in self.soups:
            own = {
                ((self.site / page).parent / unquote(urlsplit(address).path)).resolve()
                for tag, address in self.references(page)
                if tag in ("img", "source", "audio", "video") and not urlsplit(address).scheme
            }
            files = [self.site / page, *(path for path in own if path.is_file())]
            if (weight := sum(path.stat().st_size for path in files)) > MAX_BYTES:
                faults.append(f"{page} weighs {weight / 1e6:.1f} MB")
        return faults

    def poor_alt(self, titles: dict[str, list[tuple[str, str]]]) -> list[str]:
        """Figures whose alt text is missing, a file name, another figure's, or without message.

        Parameters
        ----------
        titles : dict
            For each page, the recorded title and alt text of every figure that it has to show.
        """
        faults, seen = [], Counter[str]()
        for page, soup in self.soups.items():
            shown = [(image.get("alt") or "").strip() for image in soup.select("article img")]
            seen.update(shown)
            for alt in shown:
                if not alt:
                    faults.append(f"{page}: a figure has no alt text")
                elif re.search(r"\.(png|svg|jpe?g|webp|gif)$|^[0-9a-f]{32,}$", alt, re.I):
                    faults.append(f"{page}: the alt text {alt!r} is a file name")
            for title, alt in titles.get(page, []):
                if alt not in shown:
                    faults.append(f"{page}: no figure has the alt text {alt!r}")
                elif _words(title) not in _words(alt):
                    faults.append(f"{page}: {alt!r} lacks the figure's message {title!r}")
        twice = [alt for alt, count in seen.items() if alt and count > 1]
        return faults + [f"{alt!r} is the alt text of more than one figure" for alt in twice]

    def no_status(self, chapters: Iterable[str]) -> list[str]:
        """Chapters that do not say when they were executed and what that took."""
        faults = []
        for chapter in chapters:
            line = self.soups[f"book/{chapter}.html"].select_one("h1 ~ .mm-status")
            text = line.get_text() if line else ""
            if not re.search(r"Executed on \d+ \w+ \d{4} in .*\d s.* \d+ MB", text):
                faults.append(f"book/{chapter}.html does not say when it was executed")
        return faults

    def leaks(self, secrets: Iterable[str]) -> list[str]:
        """Lines that no page may show, and words of theirs that stand in the search index."""
        texts = {page: _squeeze(soup.get_text()) for page, soup in self.soups.items()}
        shown = set(re.findall(r"\w+", " ".join(texts.values()).lower()))
        index = self.site / "searchindex.js"
        found = set(re.findall(r"\w+", index.read_text(encoding="utf-8").lower()))
        faults = []
        for secret in secrets:
            faults += [f"{page} shows {secret!r}" for page, t in texts.items() if secret in t]
            words = set(re.findall(r"[^\W\d]\w{5,}", secret.lower())) - shown
            faults += [f"the search index knows {word!r}" for word in sorted(words & found)]
        return faults


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def secret_lines(notebook: NotebookNode, *markers: str, beside: Iterable = ()) -> list[str]:
    """The lines of a chapter that stand between such markers, and nowhere outside of them.

    Lines that chapters `beside` it show are no secret: two tests may begin alike.
    """
    secret: set[str] = set()
    public = ""
    for one in (notebook, *beside):
        for _, cell in notebooks.cells(one):
            rest = cell.source
            for marker in markers:
                pieces = notebooks.regions(cell.source, marker)
                if one is notebook:
                    secret |= {_squeeze(line) for i, t in pieces if i for line in t.splitlines()}
                rest = notebooks.without_regions(rest, marker)
            public += _squeeze(rest) + "\n"
    return sorted(line for line in secret if len(line) > 12 and line not in public)


def recorded_figures(executed: NotebookNode) -> list[tuple[str, str]]:
    """Title and alt text of each figure in an executed notebook; a title may be empty."""
    found = []
    for _, cell in notebooks.cells(executed, "code"):
        for output in cell.outputs:
            if record := output.get("metadata", {}).get("mmlearn"):
                found.append((record.get("title", ""), record["alt"]))
    return found


# --- the browser ------------------------------------------------------------------------------


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address at which a site is served to this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def look(browser: Browser, site: Path, pages: Iterable[str]) -> dict[str, list[str]]:
    """Open pages in a browser and collect what is wrong with them, by kind.

    Returns
    -------
    dict
        Faults under ``requests`` (to another host, or to something missing), ``console``
        (errors and warnings), ``axe`` (accessibility) and ``overflow`` (sideways scrolling).
    """
    faults: dict[str, list[str]] = {k: [] for k in ("requests", "console", "axe", "overflow")}
    pages = list(pages)
    with served(site) as address:
        for base, size, theme in (
            (address, WIDE, "light"),
            (site.resolve().as_uri() + "/", PHONE, "dark"),
        ):
            context = browser.new_context(
                viewport=size, color_scheme=theme, offline=base.startswith("file:")
            )
            for page in pages:
                tab = context.new_page()
                where = f"{page} ({size['width']} px, {theme})"
                _listen(tab, base, where, faults)
                _settle(tab, base + page)
                if (too_wide := _overflow(tab)) > 0:
                    faults["overflow"].append(f"{where} is {too_wide} px too wide")
                faults["axe"] += _accessibility(tab, where) + _contrast(tab, where)
                if theme == "light":
                    tab.emulate_media(color_scheme="dark")
                    # The theme follows in a handler of its own: judge the page after it has.
                    tab.wait_for_function("document.documentElement.dataset.theme === 'dark'")
                    tab.wait_for_timeout(SETTLE_MS)
                    faults["axe"] += _contrast(tab, f"{page} ({size['width']} px, dark)")
                tab.close()
            context.close()
    return faults


def _listen(tab: Page, base: str, where: str, faults: dict[str, list[str]]) -> None:
    """Collect what a page asks for and complains about, from now on."""
    own = base if base.startswith("http") else "file:"

    def request(one: Request) -> None:
        if not one.url.startswith((own, "data:", "blob:")):
            faults["requests"].append(f"{where} asks for {one.url}")

    def response(one: Response) -> None:
        if one.status >= 400:
            faults["requests"].append(f"{where} misses {one.url}")

    def failed(one: Request) -> None:
        faults["requests"].append(f"{where} misses {one.url}")

    def console(one: ConsoleMessage) -> None:
        if one.type in ("error", "warning"):
            faults["console"].append(f"{where}: {one.text}")

    tab.on("request", request)
    tab.on("response", response)
    tab.on("requestfailed", failed)
    tab.on("console", console)
    tab.on("pageerror", lambda error: faults["console"].append(f"{where}: {error}"))


def _settle(tab: Page, address: str) -> None:
    """Open a page, wait for its formulas, and unfold whatever is folded."""
    tab.goto(address, wait_until="load")
    tab.evaluate("async () => { await window.MathJax?.startup?.promise; }")
    tab.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    tab.wait_for_timeout(SETTLE_MS)


def _overflow(tab: Page) -> int:
    """By how much a page is wider than its window."""
    return tab.evaluate("document.documentElement.scrollWidth - innerWidth")


# Contrast takes long to judge, so a page is thinned out for it: an element with nothing in it but
# text, whose tags, classes and styles up to the root were met before, has colours that are judged
# already (code has thousands of those), and a formula has the colour of its text.
THIN = """() => {
  for (const formula of document.querySelectorAll("mjx-container")) formula.remove();
  const seen = new Set(), look = (el) => `${el.tagName}.${el.className}[${el.style.cssText}]`;
  const path = (el) => el === document.body ? "" : path(el.parentElement) + look(el);
  for (const el of document.querySelectorAll("article *:not(:has(*))")) {
    const here = path(el);
    if (seen.has(here)) el.remove();
    seen.add(here);
  }
}"""


def _accessibility(tab: Page, where: str) -> list[str]:
    """Every accessibility fault of a page, except those of contrast."""
    options = {"runOnly": {"type": "tag", "values": RULES}, "rules": {CONTRAST: {"enabled": False}}}
    return _axe(tab, where, options)


def _contrast(tab: Page, where: str) -> list[str]:
    """The text of a page that is too faint; the page is of no use for anything else after it."""
    tab.evaluate(THIN)
    return _axe(tab, where, {"runOnly": {"type": "rule", "values": [CONTRAST]}})


def _axe(tab: Page, where: str, options: dict[str, object]) -> list[str]:
    if not tab.evaluate("typeof axe === 'object'"):
        tab.evaluate(AXE)
    found = tab.evaluate(
        "async (options) => (await axe.run(document, options)).violations",
        options | {"resultTypes": ["violations"], "preload": False},
    )
    return [
        f"{where}: {one['id']}: {len(one['nodes'])} times, first {one['nodes'][0]['html'][:200]}"
        for one in found
    ]


def search(browser: Browser, base: str, word: str) -> list[str]:
    """The pages that the site's own search finds for a word."""
    tab = browser.new_page()
    try:
        tab.goto(f"{base}search.html?q={word}")
        tab.wait_for_selector("#search-results .search-summary:not(:empty)", timeout=10_000)
        tab.wait_for_function("!document.querySelector('#search-progress')?.textContent")
        links = tab.eval_on_selector_all(
            "#search-results ul.search a", "links => links.map((link) => link.href)"
        )
    finally:
        tab.close()
    return [urlsplit(link).path.rsplit("/", 1)[-1] for link in links]


STATE = """(figure) => {
  const image = figure.querySelector("img"), slider = figure.querySelector("input");
  return [image.src, image.alt, slider.getAttribute("aria-valuetext")];
}"""


def stuck(browser: Browser, address: str) -> list[str]:
    """Figures to play with, on one page, that do not follow the keyboard or do not play."""
    tab = browser.new_page(viewport=WIDE)
    faults = []
    try:
        tab.goto(address)
        for number, figure in enumerate(tab.query_selector_all("figure.mm-explore"), 1):
            slider, button = figure.query_selector("input"), figure.query_selector("button")
            assert slider and button
            before = figure.evaluate(STATE)
            slider.press("ArrowRight")
            if any(old == new for old, new in zip(before, figure.evaluate(STATE), strict=True)):
                faults.append(f"figure {number} does not follow the arrow keys")
            slider.press("Home")
            button.press("Enter")
            tab.wait_for_timeout(1_300)
            button.press("Enter")
            if figure.evaluate(STATE) == before:
                faults.append(f"figure {number} does not play")
    finally:
        tab.close()
    return faults
