"""What the site needs of Sphinx beyond the theme: few scripts, plain folds, links to Colab."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx

from tools import colab

# The scripts that a page needs, MathJax aside; whatever else an extension adds is left out.
SCRIPTS = {
    "documentation_options.js",
    "doctools.js",
    "sphinx_highlight.js",
    "clipboard.min.js",
    "copybutton.js",
    "sphinx-book-theme.js",
    "book.js",
    "mathjax.js",
}


def _filename(script: Any) -> str:
    return str(script.filename or "").rsplit("/", 1)[-1]


def keep_needed_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Leave out scripts that nothing uses, and let none of the others hold up the page."""
    kept = []
    for script in context["script_files"]:
        body = script.attributes.get("body") or ""
        if _filename(script) in SCRIPTS:
            script.attributes["defer"] = "defer"
            if pagename == "search":  # what its template loads needs these at once
                del script.attributes["defer"]
            kept.append(script)
        elif body.startswith("window.MathJax"):
            kept.append(script)
    context["script_files"][:] = kept


def add_page_facts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Tell the templates the page's part, its links, and what it is about."""
    context["part"] = _parts(app).get(pagename, "")
    options = app.config.html_theme_options
    url = options["repository_url"]
    context["repository_url"] = url
    suffix = Path(app.env.doc2path(pagename)).suffix if pagename in app.env.all_docs else ""
    if suffix:
        context["edit_url"] = f"{url}/edit/{options['repository_branch']}/{pagename}{suffix}"
    if suffix == ".ipynb":
        context["colab_url"] = colab.chapter_url(pagename.removeprefix("book/"))
    context["description"] = (
        _first_paragraph(doctree) if isinstance(doctree, nodes.document) else ""
    )


def _parts(app: Sphinx) -> dict[str, str]:
    """Each page's part, from the captions of `_toc.yml`."""
    toc = yaml.safe_load((Path(app.srcdir) / "_toc.yml").read_text(encoding="utf-8"))
    return {
        chapter["file"]: part["caption"]
        for part in toc.get("parts", [])
        for chapter in part["chapters"]
    }


def _first_paragraph(doctree: nodes.document) -> str:
    first = next(iter(doctree.findall(nodes.paragraph)), None)
    return " ".join(first.astext().split())[:200] if first is not None else ""


def _open_fold(self: Any, node: HideCodeCellNode) -> None:
    """A fold whose label is what a screen reader says too (MyST-NB's own label hides it)."""
    classes = " ".join(["mm-fold", *node["classes"]])
    label = escape(node["prompt_show"])
    self.body.append(f'<details class="{classes}"><summary>{label}</summary>\n')


def _close_fold(self: Any, node: HideCodeCellNode) -> None:
    self.body.append("</details>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all of it with Sphinx."""
    app.add_config_value("comments_config", {}, "")  # Jupyter Book sets it in any case
    app.add_node(HideCodeCellNode, override=True, html=(_open_fold, _close_fold))
    app.connect("html-page-context", add_page_facts, priority=900)
    app.connect("html-page-context", keep_needed_scripts, priority=999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
