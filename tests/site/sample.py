"""A small book, executed already, from which a site is built to be broken."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import IPython.display
import matplotlib.pyplot as plt
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output

from mmlearn import widgets
from tests.tools import sample
from tools import common, notebooks

CHAPTER = sample.CHAPTER
TITLE, ALT = "The mean forgets", "The mean forgets. A line falls from one to zero."
PAGES = {
    "book/start/welcome": "# A small book\n\nIt holds one chapter on a [mean]"
    "(../1_part/mean.ipynb#from-scratch).\n\n> **Mind.** It is small.\n\n"
    "$$m \\leftarrow (1 - \\rho) m + \\rho x, \\qquad \\text{a formula that is too wide for any "
    "phone on which somebody may want to read it}$$\n",
    "book/appendix/claims": "# All claims\n\nMeasured.\n\n<!-- generated: claims -->\n",
    "book/appendix/times": "# All times\n\nMeasured.\n\n<!-- generated: times -->\n",
}
TOC = f"""format: jb-book
root: book/start/welcome
parts:
  - caption: A part
    chapters:
      - file: book/{CHAPTER}
      - file: book/appendix/claims
      - file: book/appendix/times
"""
CLAIM = {
    "sentence": "a fast mean | is near the end",
    "value": 0.75,
    "bound": {"at_least": 0.5},
    "interval": [0.7, 0.8],
    "unit": "",
    "holds": True,
    "simulated": True,
    "null_safe": None,
}
TIME = {
    "chapter": CHAPTER,
    "profile": "default",
    "seconds": 12.3,
    "peak_mb": 310.2,
    "executed": "2026-11-02",
    "versions": {"numpy": "2.4.6"},
}


def make(folder: Path) -> Path:
    """Write the book and the tools that build it into an empty folder."""
    for name in ("tools", "mmlearn", "book/assets"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(common.ROOT / name, folder / name, ignore=ignore)
    shutil.copy(common.ROOT / "_config.yml", folder)
    (folder / "_toc.yml").write_text(TOC, encoding="utf-8")
    for page, text in PAGES.items():
        common.write_if_changed(folder / f"{page}.md", text)
    notebooks.write(sample.chapter(), common.notebook_path(CHAPTER, folder / "book"))
    notebooks.write(executed(), common.notebook_path(CHAPTER, folder / "_build/executed"))
    for name, record in (("claims", CLAIM | {"chapter": CHAPTER}), ("times", TIME)):
        (folder / f"_build/{name}.json").write_text(json.dumps([record]), encoding="utf-8")
    return folder


def build(project: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m tools.site` there."""
    return subprocess.run(
        [sys.executable, "-m", "tools.site", *flags],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def executed() -> NotebookNode:
    """The chapter with outputs as its cells would leave them."""
    notebook = sample.chapter()
    for number, (_, cell) in enumerate(notebooks.cells(notebook, "code"), 1):
        cell.execution_count = number
        if cell.source.startswith("mm.claim("):
            page = '<p class="mm-claim holds" style="padding-left:.75rem">✓ near the end</p>'
            data = {"text/plain": "✓", "text/html": page, notebooks.CLAIM_MIME: CLAIM}
            cell.outputs = [new_output("display_data", data=data)]
        elif "mm.explore(" in cell.source:
            cell.outputs = [explored()]
        elif cell.source == "x[:3]":
            cell.outputs = [drawn()]
        elif cell.source == "print(len(x), 'samples')":
            text = "a line that is far longer than any phone is wide, or screen " * 4
            cell.outputs = [new_output("stream", name="stdout", text=text + "\n")]
        elif "### BEGIN SOLUTION" in cell.source:
            text = f"printed_by_solution_{number}\n"
            cell.outputs = [new_output("stream", name="stdout", text=text)]
    return nbformat.from_dict(notebook)


def _figure(title: str) -> plt.Figure:
    fig, ax = plt.subplots(figsize=(6, 3))
    ax.plot([1, 0])
    ax.set_title(title)
    return fig


def drawn() -> NotebookNode:
    """A figure's output, as `mmlearn.show` leaves it."""
    buffer = io.BytesIO()
    fig = _figure(TITLE)
    fig.savefig(buffer)
    plt.close(fig)
    data = {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": ALT}
    metadata = {"mmlearn": {"alt": ALT, "title": TITLE}, "image/png": {"width": 600}}
    return new_output("display_data", data=data, metadata=metadata)


def explored() -> NotebookNode:
    """The output of `mmlearn.explore`, caught on its way to the notebook."""
    caught: list[NotebookNode] = []

    def display(data: dict[str, str], metadata: dict[str, object], raw: bool) -> None:
        caught.append(new_output("display_data", data=data, metadata=metadata))

    real, IPython.display.display = IPython.display.display, display
    try:
        widgets.explore(
            lambda rate: _figure(f"A rate of {rate}"),
            alt=lambda rate: f"a falling line for rate {rate}",
            rate=[0.25, 0.75],
        )
    finally:
        IPython.display.display = real
    return caught[0]
