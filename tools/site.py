"""Build the site: stage pages and executed chapters, then let Jupyter Book render them.

`python -m tools.site` leaves the site in `_build/html`, its log in `_build/logs/site.log`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import posixpath
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from tools import notebooks
from tools import pages as generated
from tools.common import (
    BOOK,
    BUILD,
    EXECUTED,
    PDF,
    ROOT,
    chapters,
    config,
    kernel_env,
    notebook_path,
    pages,
    write_if_changed,
)
from tools.progress import Line, run, tail

STAGE = BUILD / "stage"
HTML = BUILD / "html"
LOG = BUILD / "logs" / "site.log"
STATE = BUILD / "cache" / "site.json"

# What a page's look depends on, apart from the files of this repository.
RENDERERS = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme", "pydata-sphinx-theme")
MATHJAX = Path("book/assets/mathjax.js")

# An output is shown in the first of these forms that it has.
FORMS = ("text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/latex")
START = {"setup", "parameters", "injected-parameters", "start"}
STUB = "# YOUR CODE HERE\nraise NotImplementedError()"  # as nbgrader writes it

INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={page}">
<title>{title}</title>
</head>
<body><main><h1>{title}</h1><p><a href="{page}">Open the book</a></p></main></body>
</html>
"""


class NotExecuted(SystemExit):
    """A chapter has no executed notebook to show."""


# --- a chapter as the site shows it -----------------------------------------------------------


def stage_chapter(notebook: NotebookNode, status: str = "", solutions: bool = True) -> NotebookNode:
    """An executed notebook made ready for Jupyter Book.

    Opening cells are folded away; an exercise shows the stub that a student gets, with the
    solution folded under it; hidden tests are cut; every figure has its alt text where MyST-NB
    looks for it.

    Parameters
    ----------
    notebook : NotebookNode
        The executed chapter; it is not changed.
    status : str
        Markdown to stand below the opening table: when it was executed, and what that took.
    solutions : bool
        Without, nothing of a solution is left: neither its text nor its outputs.
    """
    cells: list[NotebookNode] = []
    folded = False
    claims = iter(range(1, len(notebook.cells) + 1))
    for position, source in enumerate(notebook.cells):
        opening = bool(notebooks.tags(source) & START)
        if opening != folded:
            cells.append(_markdown(_fold("Setup") if opening else "</details>"))
            folded = opening
        cells.extend(_stage_cell(source, claims, solutions))
        if position == 0 and status:
            cells.append(_markdown(status))
    keep = {k: v for k, v in notebook.metadata.items() if k in ("kernelspec", "language_info")}
    staged = nbformat.v4.new_notebook(cells=cells, metadata=keep)
    for number, cell in enumerate(staged.cells):  # ids that stay when nothing else changes
        cell.id = f"cell-{number}"
    return staged


def _stage_cell(
    source: NotebookNode, claims: Iterator[int], solutions: bool
) -> Iterator[NotebookNode]:
    """The cells that show one cell."""
    grading = notebooks.grading(source)
    text = notebooks.without_regions(source.source, notebooks.HIDDEN)
    if source.cell_type != "code":
        if not grading.get("solution"):
            yield _markdown(text)
        elif solutions:
            answer = notebooks.without_markers(text, notebooks.SOLUTION)
            yield from (_markdown(part) for part in (_fold("Model answer"), answer, "</details>"))
        return

    tags = notebooks.tags(source) - START - notebooks.KEEPS_OUTPUT
    settings: dict[str, Any] = {}
    outputs = [_stage_output(output, claims) for output in source.get("outputs", [])]
    if grading.get("solution"):
        yield _code(_blank(text))
        if not solutions:
            return
        text = notebooks.without_markers(text, notebooks.SOLUTION)
    if grading:
        tags.add("hide-cell")
        settings["code_prompt_show"] = "Solution" if grading.get("solution") else "Tests"
        outputs = outputs if solutions else []  # they come from the solution
    if alt := next((a for a in map(_alt, source.get("outputs", [])) if a), None):
        settings["image"] = {"alt": alt}
    cell = _code(text, outputs)
    cell.metadata = {"tags": sorted(tags), "mystnb": settings}
    yield cell


def _code(text: str, outputs: Sequence[NotebookNode] = ()) -> NotebookNode:
    return nbformat.v4.new_code_cell(text.rstrip(), outputs=list(outputs))


def _markdown(text: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(text)


def _fold(label: str) -> str:
    return f'<details class="mm-fold"><summary>{label}</summary>'


def _blank(source: str) -> str:
    """A solution cell as a student finds it: a stub, as deep as the lines that it replaces."""
    pieces = []
    for inside, text in notebooks.regions(source, notebooks.SOLUTION):
        if inside:
            first = next((line for line in text.split("\n") if line.strip()), "")
            margin = first[: len(first) - len(first.lstrip())]
            text = "\n".join(margin + line for line in STUB.split("\n"))
        pieces.append(text)
    return "\n".join(pieces)


def _alt(output: NotebookNode) -> str | None:
    """The alt text that `mmlearn.figures` recorded for a figure."""
    return output.get("metadata", {}).get("mmlearn", {}).get("alt")


def _stage_output(output: NotebookNode, claims: Iterator[int]) -> NotebookNode:
    """An output in the one form that the site shows; a claim gets an anchor."""
    output = nbformat.from_dict(output)
    if "data" not in output:
        return output
    data = output.data
    form = next((form for form in FORMS if form in data), "text/plain")
    shown = data.get(form, "")
    if notebooks.CLAIM_MIME in data:
        anchor = f'<p id="claim-{next(claims)}" class="mm-claim'
        shown = shown.replace('<p class="mm-claim', anchor, 1)
    output.data = {form: shown}
    return output


def status_line(chapter: str, facts: dict[str, Any] | None) -> str:
    """When a chapter was executed and what that took, as Markdown; empty if nobody measured."""
    if not facts:
        return ""
    day = date.fromisoformat(facts["executed"])
    seconds = f"{facts['seconds']:.0f} s" if facts["seconds"] >= 1 else "under 1 s"
    times = posixpath.relpath("appendix/times.md", posixpath.dirname(chapter))
    return (
        f"{{.mm-status}}\nExecuted on {day.day} {day:%B %Y} in {seconds} with "
        f"{facts['peak_mb']:.0f} MB of memory. [Times of all chapters]({times})."
    )


# --- the staging tree -------------------------------------------------------------------------


def _inputs() -> Iterator[Path]:
    """Every file of this repository that the site is made from."""
    yield from (ROOT / name for name in ("_config.yml", "_toc.yml"))
    yield from sorted((ROOT / "tools").glob("*.py"))
    yield from (path for path in sorted(BOOK.rglob("*")) if _is_asset_or_page(path))
    yield from (notebook_path(chapter, EXECUTED) for chapter in chapters())
    yield from (BUILD / name for name in ("claims.json", "times.json", PDF.name))
    yield from sorted((ROOT / "mmlearn").rglob("*.py"))
    yield from sorted((ROOT / "data").glob("*.md"))


def _is_asset_or_page(path: Path) -> bool:
    return path.is_file() and path.suffix != ".ipynb" and ".ipynb_checkpoints" not in path.parts


def _digest(paths: Iterator[Path], *more: object) -> str:
    """One hash of files, by name and content, and of what else is given."""
    total = hashlib.sha256(repr(more).encode())
    for path in paths:
        if path.exists():
            name = path.relative_to(ROOT).as_posix().encode()
            total.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _versions() -> list[str]:
    return [f"{name} {version(name)}" for name in RENDERERS]


def _structure(solutions: bool) -> str:
    """A hash of what shows on every page; when it changes, every page is made anew."""
    titles = [generated.title(page) for page in pages()]
    files = [ROOT / "_config.yml", ROOT / "_toc.yml"]
    files += [ROOT / f"tools/{name}.py" for name in ("site", "sphinx_book", "colab")]
    files += sorted(path for path in (BOOK / "assets").rglob("*") if path.is_file())
    return _digest(iter(files), solutions, titles, _versions())


def _stage(solutions: bool) -> None:
    """Write the staging tree, touching only files whose content changed."""
    facts = {entry["chapter"]: entry for entry in generated.records("times")}
    shown = set(chapters())
    wanted: dict[Path, str | bytes] = {
        Path(name): (ROOT / name).read_text(encoding="utf-8")
        for name in ("_config.yml", "_toc.yml")
    }
    for path in filter(_is_asset_or_page, BOOK.rglob("*")):
        wanted[path.relative_to(ROOT)] = path.read_bytes()
    for page in pages():
        chapter = page.removeprefix("book/")
        if chapter in shown:
            notebook = notebooks.read(notebook_path(chapter, EXECUTED))
            staged = stage_chapter(notebook, status_line(chapter, facts.get(chapter)), solutions)
            wanted[Path(f"{page}.ipynb")] = notebooks.text(staged)
        else:
            path = Path(f"{page}.md")
            wanted[path] = generated.fill((ROOT / path).read_text(encoding="utf-8"), page)
    wanted[MATHJAX] = _mathjax().read_bytes()

    for path in STAGE.rglob("*"):
        if path.is_file() and path.relative_to(STAGE) not in wanted:
            path.unlink()
    for path, content in wanted.items():
        if isinstance(content, str):
            write_if_changed(STAGE / path, content)
        elif not (STAGE / path).exists() or (STAGE / path).read_bytes() != content:
            (STAGE / path).parent.mkdir(parents=True, exist_ok=True)
            (STAGE / path).write_bytes(content)


def _mathjax() -> Path:
    """The one file of MathJax that the site needs: TeX with all its packages in, SVG out."""
    spec = find_spec("mathjax")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("MathJax is missing: pip install django-static-mathjax")
    return Path(spec.submodule_search_locations[0], "static/mathjax/es5/tex-svg-full.js")


# --- the build --------------------------------------------------------------------------------


def build(solutions: bool = True) -> int:
    """Build the site unless nothing that it is made from has changed.

    Parameters
    ----------
    solutions : bool
        Without, no solution of an exercise is on any page or in the search index.

    Returns
    -------
    int
        0, or Jupyter Book's exit status when it warns or fails.

    Raises
    ------
    NotExecuted
        If a chapter has not been executed.
    """
    missing = [c for c in chapters() if not notebook_path(c, EXECUTED).exists()]
    if missing:
        raise NotExecuted(
            f"not executed yet: {', '.join(missing)}; `python -m tools book` executes every "
            "chapter, then builds the site"
        )
    with Line("site") as line:
        before = json.loads(STATE.read_text(encoding="utf-8")) if STATE.exists() else {}
        if before.get("solutions") != solutions:
            PDF.unlink(missing_ok=True)  # a print with solutions is not for a site without
        key, structure = _digest(_inputs(), solutions, _versions()), _structure(solutions)
        index = HTML / "index.html"
        if before.get("key") == key and index.exists():
            line.end("nothing changed")
            return 0
        # Sphinx repeats no warning of a page that it does not read again, and leaves pages behind
        # that are gone: after a build that failed, and with another structure, begin anew.
        if before.get("structure") != structure:
            for folder in (STAGE, HTML, BUILD / ".doctrees", BUILD / "jupyter_execute"):
                shutil.rmtree(folder, ignore_errors=True)
        STATE.unlink(missing_ok=True)
        _stage(solutions)
        if code := _run_jupyter_book(line):
            line.end("FAILED")
            print(f"{_why()}\nall of it: {LOG}", file=sys.stderr)
            return code
        for leftover in (HTML / "_static").glob("*.html"):
            leftover.unlink()  # the theme's templates, no pages
        title, root = config()["title"], pages()[0]
        index.write_text(INDEX.format(page=f"{root}.html", title=title), encoding="utf-8")
        if PDF.exists():
            shutil.copy(PDF, HTML)
        state = {"key": key, "structure": structure, "solutions": solutions}
        write_if_changed(STATE, json.dumps(state))
        line.end(f"{len(pages())} pages")
    return 0


def _run_jupyter_book(line: Line) -> int:
    """Jupyter Book on the staging tree, with how far it is on one line; its exit status."""
    code = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    flags = ["-W", "-n", "--keep-going", "--path-output", str(ROOT)]
    command = [sys.executable, "-c", code, "build", str(STAGE), *flags]
    env = {**kernel_env(), "PYTHONUTF8": "1"}
    LOG.unlink(missing_ok=True)
    return run(command, line, LOG, _how_far, env=env, cwd=ROOT)


def _how_far(line: str | None) -> str:
    """What Sphinx is at, from a line of its output."""
    step = re.match(r"(reading|writing) \w+\.\.\. \[ *(\d+)%\]", line or "")
    return f"{step[1]} {step[2]}%" if step else "at work"


def _why() -> str:
    """What went wrong: the warnings if there are any, else the end of the log."""
    log = re.sub(r"\x1b\[[\d;]*m", "", LOG.read_text(encoding="utf-8"))
    log = log.replace(str(STAGE) + os.sep, "")
    worst = [line for line in log.splitlines() if re.search(r"WARNING|ERROR|CRITICAL", line)]
    return "\n".join(worst[:20]) or tail(LOG)


def main() -> int:
    """Build the site from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.site", description=build.__doc__)
    parser.add_argument(
        "--no-solutions", action="store_true", help="leave every solution out of the site"
    )
    return build(solutions=not parser.parse_args().no_solutions)


if __name__ == "__main__":
    raise SystemExit(main())
