"""The whole book as one PDF: the site's pages behind one another, printed by the browser.

`python -m tools.pdf` leaves it in `_build/book.pdf`; the site, built next, links it.
"""

from __future__ import annotations

import html
import json
import posixpath
import re
import sys
from datetime import date
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pikepdf
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import sync_playwright

from tools import site
from tools.browser import FLAGS, NO_BROWSER, NO_CHINESE, chinese, find_browser
from tools.common import BOOK, BUILD, PDF, by_part, config, pages
from tools.progress import Line

# What paper has no use for: buttons, controls and scripts; set-up, tests and the code of plots.
DROP = ".headerlink, .mm-run, .mm-part, script, button, input, output, label"
DROP_FOLDS = ("Setup", "Tests", "Code")
PAGE = """<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light">
<head>
<meta charset="utf-8">
<title>{title}</title>
{head}
<style>
  @page {{
    size: A4; margin: 18mm 17mm 16mm; font: 8px sans-serif;
    @bottom-center {{ content: counter(page); }}
  }}
  {running}
  html, body {{ --mm-measure: none; background: white; font-size: 9.5pt; }}
  body > section {{ break-before: page; }}
  h1, h2, h3, h4, summary, dt, .rubric, p:has(+ details) {{ break-after: avoid; }}
  img, svg, figure, summary, li, table tr, .mm-claim {{ break-inside: avoid; max-width: 100%; }}
  tr:last-child {{ break-before: avoid; }}
  img {{ max-height: 220mm; }}
  pre {{ white-space: pre-wrap !important; overflow-wrap: anywhere; font-size: 8.5pt; }}
  div.highlight, pre {{ break-inside: auto !important; }}
  table {{ font-size: 8.5pt; width: 100%; }}
  td, th {{ white-space: normal !important; overflow-wrap: break-word; }}
  nav {{ columns: 2; }}
  nav div {{ break-inside: avoid; }}
  nav a {{ display: flex; justify-content: space-between; gap: 1em; }}
  .book-title {{ font-size: 24pt; font-weight: bold; }}
  details > summary {{ list-style: none; font-weight: bold; padding: 0.3rem 0.7rem; }}
  :not(svg, svg *) {{ overflow: visible !important; }}
  mjx-container :is(use, path), #MJX-SVG-global-cache path {{ stroke: none !important; }}
  * {{ animation: none !important; }}
</style>
</head>
<body class="bd-article">
<p class="book-title">{title}</p>
<p>{about}</p>
<p>These are the pages of the site, in its order. What folds or moves there lies open here: an
answer stands right under its question, a figure to play with shows its first and its last frame.
Sounds are left out, and so are the cells that set up, draw a plot or test an exercise; they are on
the site and in the notebooks.</p>
<nav aria-label="Contents">{contents}</nav>
{body}
</body>
</html>
"""


# Writes into the table of contents where each page begins.
NUMBER = """starts => { for (const [place, page] of Object.entries(starts))
  document.querySelector(`nav a[href="#${place}"] span`).textContent = page; }"""


def assemble(folder: Path = site.HTML) -> str:
    """The site's pages as one, in reading order, every link between them kept.

    Parameters
    ----------
    folder : Path
        The built site.

    Returns
    -------
    str
        HTML whose pictures and styles are still in `folder`, and whose table of contents has yet
        to learn on which page of paper each page begins.
    """
    names, parts = pages(), []
    titles: dict[str, str] = {}
    numbers = _numbers()
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
        if name in numbers:
            article.h1.insert(0, f"{numbers[name]} ")
        titles[name] = " ".join(article.h1.get_text(" ").split())
        parts.append(f'<section id="{_place(name)}">{article.decode_contents()}</section>')
    contents = "".join(
        f"<div><b>{html.escape(caption)}</b>"
        + "".join(
            f'<a href="#{_place(n)}">{html.escape(titles[n])} <span>000</span></a>' for n in below
        )
        + "</div>"
        for caption, below in by_part()
    )
    heads = {name: json.dumps(titles[name], ensure_ascii=False) for name in names}
    running = "\n".join(
        f"#{_place(name)} {{ page: p{i}; }}\n  @page p{i} {{ @top-right {{ content: {words}; }} }}"
        for i, (name, words) in enumerate(heads.items())
    )
    said, version = config(), metadata.version("mmlearn-book")
    about = f"By {said['author']}. Version {version}, printed on {date.today():%Y-%m-%d}."
    return PAGE.format(
        title=html.escape(said["title"]), head="\n".join(head), running=running,
        about=html.escape(about), contents=contents, body="\n".join(parts),
    )  # fmt: skip


def _place(page: str, anchor: str = "") -> str:
    """Where a page, or a place on it, stands in the one document."""
    return "--".join(filter(None, [page.replace("/", "-"), anchor]))


def _for_paper(article: Tag, page: str, known: list[str], folder: Path) -> None:
    """Take out what cannot be printed, unfold the rest, and point links into the document."""
    for figure in article.select("figure.mm-explore"):
        _two_frames(figure)
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


def _two_frames(figure: Tag) -> None:
    """Show the first and the last frame of a figure to play with, each with its value."""
    assert figure.script is not None and figure.label is not None
    found = re.search(r"const frames = (\[.*\]), box", str(figure.script.string))
    assert found is not None
    frames, name = json.loads(found[1]), figure.label.get_text()
    figure.clear()
    for value, source, alt in (frames[0], frames[-1]):
        says = f"<p><em>{html.escape(f'{name}: {value}')}</em></p>"
        image = f'<img src="{source}" alt="{html.escape(alt)}">'
        figure.append(BeautifulSoup(image + says, "html.parser"))


def _numbers() -> dict[str, str]:
    """The number of each chapter, by the map of the book if it has one."""
    where = BOOK / "start" / "map.md"
    text = where.read_text(encoding="utf-8") if where.exists() else ""
    linked = re.findall(r"\[(\d+\w?) [^\]]+\]\(\.\./(\S+)\.ipynb\)", text)
    return {f"book/{path}": number for number, path in linked}


def _starts(printed: Path) -> dict[str, int]:
    """The page of paper on which each page of the site begins, by its place in the document."""
    with pikepdf.open(printed) as paper:
        order = {page.obj.objgen: number for number, page in enumerate(paper.pages, start=1)}
        places = paper.Root.Dests
        return {p: order[places[f"/{p}"][0].objgen] for p in map(_place, pages())}


def build() -> int:
    """Print the site, as it stands, to `_build/book.pdf`; an exit code."""
    path = find_browser()
    if path is None:
        print(NO_BROWSER, file=sys.stderr)
        return 1
    if not chinese():
        print(NO_CHINESE, file=sys.stderr)
    whole, unfinished = BUILD / "book.html", PDF.with_suffix(".part")
    with Line("pdf") as line, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        tab = browser.new_page()
        tab.set_default_timeout(0)
        whole.write_text(assemble(), encoding="utf-8")
        tab.goto(whole.as_uri(), wait_until="load")
        tab.evaluate("async () => { await window.MathJax?.startup?.promise; }")
        for _ in range(2):  # the second time, the table of contents knows the pages
            tab.pdf(path=unfinished, prefer_css_page_size=True, print_background=True,
                    outline=True, tagged=True)  # fmt: skip
            tab.evaluate(NUMBER, _starts(unfinished))
        browser.close()
        with pikepdf.open(unfinished, allow_overwriting_input=True) as paper:
            paper.docinfo["/Author"] = config()["author"]
            paper.save(object_stream_mode=pikepdf.ObjectStreamMode.generate)
        unfinished.replace(PDF)
        whole.unlink()
        line.end(f"{PDF.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(build())
