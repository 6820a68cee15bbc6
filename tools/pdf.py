"""The whole book as one PDF: the site's pages behind one another, printed by the browser.

`python -m tools.pdf` leaves it in `_build/book.pdf`; the site, built next, links it.
"""

from __future__ import annotations

import html
import posixpath
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from playwright.sync_api import sync_playwright

from tools import pages as generated
from tools import site
from tools.browser import FLAGS, NO_BROWSER, find_browser
from tools.common import BUILD, PDF, by_part, pages
from tools.progress import Line

# What paper has no use for: buttons, controls and scripts; set-up, tests and the code of plots.
DROP = ".headerlink, .mm-run, .mm-part, script, button, input, output, label"
DROP_FOLDS = ("Setup", "Tests", "Code")
FOOT = (
    '<p style="width:100%;font:8px sans-serif;text-align:center"><span class="pageNumber"></span>'
)
PAGE = """<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light">
<head>
<meta charset="utf-8">
<title>{title}</title>
{head}
<style>
  @page {{ size: A4; margin: 18mm 17mm 16mm; }}
  html, body {{ background: white; font-size: 9.5pt; }}
  body > section {{ break-before: page; }}
  h1, h2, h3, h4, summary {{ break-after: avoid; }}
  img, svg, figure, table tr, .mm-claim {{ break-inside: avoid; max-width: 100%; }}
  img {{ max-height: 220mm; }}
  pre {{ white-space: pre-wrap !important; overflow-wrap: anywhere; font-size: 8.5pt; }}
  table {{ font-size: 8.5pt; width: 100%; }}
  td, th {{ white-space: normal !important; overflow-wrap: break-word; }}
  nav {{ columns: 2; }}
  nav p {{ break-inside: avoid; }}
  details > summary {{ list-style: none; font-weight: bold; }}
  * {{ overflow: visible !important; animation: none !important; }}
</style>
</head>
<body class="bd-article">
<h1>{title}</h1>
<nav aria-label="Contents">{contents}</nav>
{body}
</body>
</html>
"""


def assemble(folder: Path = site.HTML) -> str:
    """The site's pages as one, in reading order, every link between them kept.

    Parameters
    ----------
    folder : Path
        The built site.

    Returns
    -------
    str
        HTML whose pictures and styles are still in `folder`.
    """
    names, parts = pages(), []
    titles: dict[str, str] = {}
    head: dict[str, None] = {}
    for name in names:
        soup = BeautifulSoup((folder / f"{name}.html").read_text(encoding="utf-8"), "lxml")
        article = soup.select_one("article.bd-article")
        assert article is not None and article.h1 is not None, name
        for tag in soup.select('link[rel="stylesheet"], script'):
            if tag.name == "link" or "mathjax" in str(tag).lower():
                home = f'="{folder.as_uri()}/'
                head[re.sub(r'="(?:\.\./)+', home, str(tag))] = None
        _for_paper(article, name, names, folder)
        titles[name] = " ".join(article.h1.get_text().split())
        parts.append(f'<section id="{_place(name)}">{article.decode_contents()}</section>')
    contents = "".join(
        f"<p><b>{html.escape(caption)}</b>"
        + "".join(f'<br><a href="#{_place(n)}">{html.escape(titles[n])}</a>' for n in below)
        for caption, below in by_part()
    )
    title = html.escape(generated.book_title())
    return PAGE.format(title=title, head="\n".join(head), contents=contents, body="\n".join(parts))


def _place(page: str, anchor: str = "") -> str:
    """Where a page, or a place on it, stands in the one document."""
    return "--".join(filter(None, [page.replace("/", "-"), anchor]))


def _for_paper(article: Tag, page: str, known: list[str], folder: Path) -> None:
    """Take out what cannot be printed, unfold the rest, and point links into the document."""
    for tag in article.select(DROP):
        tag.decompose()
    for sound in article.select("audio"):
        sound.replace_with("(Sound: to be heard on the site.)")
    for fold in article.select("details"):
        if fold.summary and fold.summary.get_text(" ", strip=True).endswith(DROP_FOLDS):
            fold.decompose()
        else:
            fold["open"] = ""
    for tag in article.select("[id]"):
        tag["id"] = _place(page, str(tag["id"]))
    here = posixpath.dirname(page)
    for tag in article.select("[href]"):
        link = urlsplit(str(tag["href"]))
        if link.scheme or link.netloc:
            continue
        path = posixpath.normpath(posixpath.join(here, unquote(link.path)))
        target = path.removesuffix(".html") if link.path else page
        if target in known:
            tag["href"] = f"#{_place(target, link.fragment)}"
        else:
            del tag["href"]
    for tag in article.select("[src]"):
        if not urlsplit(str(tag["src"])).scheme:
            tag["src"] = (folder / here / str(tag["src"])).resolve().as_uri()


def build() -> int:
    """Print the site, as it stands, to `_build/book.pdf`; an exit code."""
    path = find_browser()
    if path is None:
        print(NO_BROWSER, file=sys.stderr)
        return 1
    whole = BUILD / "book.html"
    with Line("pdf") as line, sync_playwright() as play:
        whole.write_text(assemble(), encoding="utf-8")
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        tab = browser.new_page()
        tab.set_default_timeout(0)
        tab.goto(whole.as_uri(), wait_until="load")
        tab.evaluate("async () => { await window.MathJax?.startup?.promise; }")
        unfinished = PDF.with_suffix(".part")
        tab.pdf(path=unfinished, prefer_css_page_size=True, print_background=True, outline=True,
                tagged=True, display_header_footer=True, header_template="<p>",
                footer_template=FOOT)  # fmt: skip
        browser.close()
        unfinished.replace(PDF)
        whole.unlink()
        line.end(f"{PDF.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(build())
