"""What every tool shares: where things are, which chapters there are, how a kernel is started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
BUILD = ROOT / "_build"
EXECUTED = BUILD / "executed"
PDF = BUILD / "book.pdf"  # the last print of the site

# One thread a kernel: with two, small training steps take several times longer.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def config() -> dict[str, Any]:
    """What `_config.yml` says: the title, the author, the public address."""
    return yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


def pages() -> list[str]:
    """Every page of the book in reading order, as named in `_toc.yml` (no ending)."""
    return [page for _, below in by_part() for page in below]


def by_part() -> list[tuple[str, list[str]]]:
    """The parts' captions and their pages; the root, under no caption, is the first."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    parts = toc.get("parts", [{key: toc.get(key, []) for key in _BELOW}])
    return [("", [toc["root"]]), *((part.get("caption", ""), _files(part)) for part in parts)]


_BELOW = ("chapters", "sections")


def _files(node: dict[str, Any]) -> list[str]:
    """The page of a node of `_toc.yml`, if it has one, and all pages below it."""
    below = [page for key in _BELOW for child in node.get(key, []) for page in _files(child)]
    return [node["file"], *below] if "file" in node else below


def chapters(only: str = "") -> list[str]:
    """The executable chapters in reading order, named by their path from `book/`.

    Parameters
    ----------
    only : str
        Names separated by spaces or commas: a chapter's path, its last part, or a part's
        folder. Empty means all.

    Raises
    ------
    SystemExit
        If a name fits no chapter; the message lists those there are.
    """
    every = [
        page.removeprefix("book/")
        for page in pages()
        if (ROOT / page).with_name(Path(page).name + ".ipynb").exists()
    ]
    chosen = set()
    for name in only.replace(",", " ").split():
        fits = [c for c in every if name.strip("/") in (c, c.split("/")[-1], c.split("/")[0])]
        if not fits:
            raise SystemExit(f"no chapter is called {name!r}; there are: {', '.join(every)}")
        chosen.update(fits)
    return [c for c in every if c in chosen] if only.strip() else every


def notebook_path(chapter: str, folder: Path = BOOK) -> Path:
    """Where a chapter's notebook lies below `folder`."""
    return folder / f"{chapter}.ipynb"


def kernel_env(profile: str = "default") -> dict[str, str]:
    """The environment of every kernel that our tools start."""
    offline = {} if profile == "full" else {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    return {
        **os.environ,
        **ONE_THREAD,
        **offline,
        "MMLEARN_PROFILE": profile,
        "MMLEARN_STATIC": "1",  # figures to play with: only the part that needs no kernel
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(ROOT),
        "TQDM_DISABLE": "1",  # a bar that comes up when the machine is slow would stay on the page
    }


def write_if_changed(path: Path, text: str) -> bool:
    """Write `text` unless the file holds it already, so that Sphinx rebuilds only what changed."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return True
