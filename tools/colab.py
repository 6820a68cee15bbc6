"""Colab: where it finds the chapters."""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Iterator
from typing import Any

import yaml
from nbformat import NotebookNode

from tools import common, notebooks

BRANCH = "student"  # what Colab opens: the same notebooks with the solutions cut

# --- where things are in public -----------------------------------------------------------------


def _config() -> dict[str, Any]:
    return yaml.safe_load((common.ROOT / "_config.yml").read_text(encoding="utf-8"))


def branch_path(chapter: str) -> str:
    """Where a chapter's notebook lies on the branch `student`: where it lies on the main one."""
    return f"book/{chapter}.ipynb"


def chapter_url(chapter: str) -> str | None:
    """The address that opens the students' edition of a chapter on Colab.

    None if the repository is not on GitHub, from where alone Colab opens notebooks.
    """
    host, url = "https://github.com/", _config()["repository"]["url"].rstrip("/")
    if not url.startswith(host):
        return None
    place = f"{url.removeprefix(host)}/blob/{BRANCH}/{branch_path(chapter)}"
    return f"https://colab.research.google.com/github/{place}"


def page_url(path: str, anchor: str = "", kind: str = "blob") -> str:
    """The address at which a reader finds a file of the repository.

    Parameters
    ----------
    path : str
        From the repository's root.
    anchor : str
        A heading's, with ``#``.
    kind : str
        How GitHub shows it: ``blob`` (as a page) or ``raw`` (a picture to be shown elsewhere).

    Returns
    -------
    str
        Its place on the public site, if ``html.baseurl`` in `_config.yml` names one and the file
        is a page there; else on GitHub.
    """
    config = _config()
    page = posixpath.splitext(path)[0]
    if page in common.pages() and (site := config.get("html", {}).get("baseurl")):
        return f"{site.rstrip('/')}/{page}.html{anchor}"
    repository = config["repository"]
    return f"{repository['url'].rstrip('/')}/{kind}/{repository['branch']}/{path}{anchor}"


# --- links --------------------------------------------------------------------------------------


def linked(notebook: NotebookNode, chapter: str) -> NotebookNode:
    """A copy of a chapter whose links lead to the same places from wherever it is opened.

    Links to chapters open them on Colab, without the anchor, which Colab does not know; those to
    plain pages open them where they can be read; pictures are shown from the repository.

    Parameters
    ----------
    notebook : NotebookNode
        Any edition of the chapter.
    chapter : str
        The chapter, from whose place in `book/` its links are meant.

    Raises
    ------
    ValueError
        If a link leads out of the repository, or could not be rewritten.
    """
    page = copy.deepcopy(notebook)
    known = set(common.chapters())
    for number, cell in notebooks.cells(page, "markdown"):
        for target, is_picture in set(_relative(cell.source)):
            path, mark, anchor = target.partition("#")
            folder = posixpath.dirname(branch_path(chapter))
            path = posixpath.normpath(posixpath.join(folder, path))
            name = path.removeprefix("book/").removesuffix(".ipynb")
            if path.startswith(("/", "..")):
                where = notebooks.name(number, cell)
                raise ValueError(f"{chapter}, {where}: the link to {target} leaves the repository")
            address = chapter_url(name) if name in known else None
            if address is None:
                address = page_url(path, mark + anchor, "raw" if is_picture else "blob")
            # In a link's brackets, or in a definition of one, which may add a title.
            cell.source = re.sub(
                rf"(\]\(\s*<?|^ {{0,3}}\[[^\]]+\]:\s*<?){re.escape(target)}(?=[\s>)]|$)",
                rf"\g<1>{address}",
                cell.source,
                flags=re.MULTILINE,
            )
        if left := sorted({target for target, _ in _relative(cell.source)}):
            where = notebooks.name(number, cell)
            raise ValueError(
                f"{chapter}, {where}: the link to {left[0]} is written in a way that this cannot "
                "make absolute; write it as [text](path)"
            )
    return page


def _relative(source: str) -> Iterator[tuple[str, bool]]:
    """The targets of the relative links in a Markdown cell, and whether each is a picture."""
    for token in notebooks.tokens(source):
        for inner in token.children or []:
            target = str(inner.attrGet("href") or inner.attrGet("src") or "")
            if target and not re.match(r"[a-z]+:|#", target):
                yield target, inner.type == "image"
