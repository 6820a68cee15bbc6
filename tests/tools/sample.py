"""A small project with one good chapter, which the tests of the tools break in one place each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tools import common, notebooks, sync

CHAPTER = "1_part/mean"
REPOSITORY = "https://example.org/books/mean"

# What the chapter teaches: a mean that moves by one sample at a time.
TOY = '''"""What the sample chapter teaches."""

from __future__ import annotations

import numpy as np

RATE = 0.5  # the weight of the newest sample


def moving_mean(x: np.ndarray, rate: float) -> float:
    """The mean with weights that fade.

    Parameters
    ----------
    x : array of shape (n,)
    rate : float
    """
    mean = x[0]
    for value in x[1:]:
        # Move towards the newest sample.
        mean = (1 - rate) * mean + rate * value
    return mean


def unused() -> None:
    """Nobody shows it."""
'''


# What sync makes of the headers `# mmlearn.toy.RATE` and `# mmlearn.toy.moving_mean`.
SYNCED = """\
# mmlearn.toy.RATE
RATE = 0.5  # the weight of the newest sample


# mmlearn.toy.moving_mean
def moving_mean(x: np.ndarray, rate: float) -> float:
    mean = x[0]
    for value in x[1:]:
        # Move towards the newest sample.
        mean = (1 - rate) * mean + rate * value
    return mean"""


def _markdown(source: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(source)


def _code(source: str, *tags: str) -> NotebookNode:
    cell = nbformat.v4.new_code_cell(source)
    if tags:
        cell.metadata["tags"] = list(tags)
    return cell


def _graded(cell: NotebookNode, grade_id: str, points: int = 0, **flags: bool) -> NotebookNode:
    grading = {"grade": False, "solution": False, "locked": False, "task": False} | flags
    cell.metadata["nbgrader"] = {"grade_id": grade_id, "schema_version": 3, **grading}
    if points:
        cell.metadata["nbgrader"]["points"] = points
    return cell


def _exercise(number: int, factor: int) -> list[NotebookNode]:
    """An exercise that is solved by a product."""
    return [
        _markdown(
            f"### Exercise {number}: scale\n\n*2 points · easy · 5 minutes*\n\n"
            f"Write `scale_{number}`, which multiplies by `{factor}`."
        ),
        _graded(
            _code(
                f"def scale_{number}(x):\n    ### BEGIN SOLUTION\n    secret = {factor} * x\n"
                "    return secret\n    ### END SOLUTION"
            ),
            f"scale-{number}",
            solution=True,
        ),
        _graded(
            _code(
                f"assert scale_{number}(0) == 0, 'nothing stays nothing'\n"
                "### BEGIN HIDDEN TESTS\n"
                "x = np.random.default_rng(mm.exercise_seed()).normal(size=3)\n"
                f"assert np.allclose(scale_{number}(x), {factor} * x), 'multiply by {factor}'\n"
                "### END HIDDEN TESTS"
            ),
            f"scale-{number}-test",
            points=2,
            grade=True,
            locked=True,
        ),
    ]


def chapter() -> NotebookNode:
    """The good chapter, new each time, its cells named `c1`, `c2`, … in order."""
    cells = [
        _markdown(
            "# A moving mean\n\nYou will follow a mean that forgets.\n\n"
            "| | |\n|---|---|\n| Read | 3 minutes |\n| Run | 2 seconds |\n"
            "| Before | [nothing](mean.ipynb) |\n| Mirrors | 003 §4.3 |"
        ),
        _code(sync.SETUP.format(url=REPOSITORY), "setup"),
        _code(
            'PROFILE = None  # @param ["smoke", "default", "full"]\n'
            "SEED = 0  # @param {type: 'integer'}\nNULL = False",
            "parameters",
        ),
        _code(
            "import numpy as np\nimport matplotlib.pyplot as plt\n\nimport mmlearn as mm\n\n"
            "run = mm.start(PROFILE, SEED, NULL, n=(20, 200, 2_000))",
            "start",
        ),
        _markdown("## The question\n\nWhat is the mean *now*, with a rate of `0.5` or $0.25$?"),
        _code("x = np.linspace(0, 1, run.n)\nnow = 0.0 if NULL else x[-1]"),
        _code("x[:3]"),
        _code("print(len(x), 'samples')"),
        _markdown("## From scratch\n\nEach step moves the mean towards the newest sample."),
        _code(SYNCED, "sync"),
        _code(
            "signal = np.array([1.0, 4.0, 2.0])\n"
            "weights = np.array([0.25, 0.25, 0.5])\n"
            'mm.agree("moving mean", moving_mean(signal, RATE), weights @ signal, library="numpy")',
            "nbval-check-output",
            "keep_output",
        ),
        _code("fast = moving_mean(x, RATE)"),
        _code("slow = moving_mean(x, 0.25)"),
        _markdown("## What it finds"),
        _code('mm.claim("a fast mean is near the end", now - abs(1 - fast), at_least=0.5)'),
        _code('mm.claim("a mean lies in the range", fast, at_most=1, null_safe="an identity")'),
        _code(
            "def draw(rate):\n    fig, ax = plt.subplots()\n"
            '    ax.plot(x, moving_mean(x, rate) * np.ones_like(x))\n    ax.set_title("Level")\n'
            "    return fig"
        ),
        _code(
            'mm.explore(draw, alt=lambda r: f"a level line for rate {r}", rate=[0.25, 0.75])',
            "hide-input",
        ),
        _markdown("## Where it breaks\n\nA rate of `0` never moves."),
        _code("moving_mean(x, 0)"),
        _code("moving_mean(x, 2.5)"),
        _markdown(
            "## Check yourself\n\n"
            "<details><summary>What does a rate of one do?</summary>\n\nIt forgets all.\n\n"
            "</details>\n\n"
            "<details><summary>And a rate of zero?</summary>\n\nIt learns nothing.\n\n</details>"
        ),
        _markdown("## Summary\n\n- A mean can move.\n- It forgets.\n- Its rate says how fast."),
        _markdown("## Exercises"),
        *_exercise(1, 2),
        *_exercise(2, 3),
        _markdown(
            "### Exercise 3: explain\n\n*3 points · medium · 10 minutes*\n\n"
            "Why does it forget? One point a reason."
        ),
        _graded(
            _markdown("### BEGIN SOLUTION\nThe secret is geometric.\n### END SOLUTION"),
            "why",
            points=3,
            grade=True,
            solution=True,
        ),
        _markdown(
            "## Further reading\n\n- Robbins and Monro (1951), "
            "[doi:10.1214/aoms/1177729586](https://doi.org/10.1214/aoms/1177729586)"
        ),
    ]
    for number, cell in enumerate(cells, 1):
        cell.id = f"c{number}"
        if "keep_output" in notebooks.tags(cell):
            line = "moving mean: agrees with numpy to 1e-06\n"
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=line)]
            cell.execution_count = 8
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return nbformat.from_dict(notebook)


def cell(notebook: NotebookNode, beginning: str) -> NotebookNode:
    """The one cell whose source begins so."""
    (found,) = [c for c in notebook.cells if c.source.startswith(beginning)]
    return found


def project(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with the sample chapter in `root`; the tools then take it for the book's.

    Returns
    -------
    Path
        The chapter's notebook.
    """
    shutil.copytree(
        common.ROOT / "mmlearn", root / "mmlearn", ignore=shutil.ignore_patterns("__pycache__")
    )
    (root / "mmlearn" / "toy.py").write_text(TOY, encoding="utf-8")
    (root / "data").mkdir()
    (root / "data" / "sources.txt").write_text("", encoding="utf-8")
    config = {"repository": {"url": REPOSITORY, "branch": "main"}}
    (root / "_config.yml").write_text(json.dumps(config), encoding="utf-8")
    entry = {"file": f"book/{CHAPTER}"}
    (root / "_toc.yml").write_text(json.dumps({"root": "book/welcome", "chapters": [entry]}))
    page = notebooks.with_tags_table("# How\n\n<!-- tags:begin --><!-- tags:end -->\n")
    (root / "CONTRIBUTING.md").write_text(page, encoding="utf-8")
    before = common.ROOT
    for name in ("ROOT", "BOOK", "BUILD", "EXECUTED"):
        monkeypatch.setattr(common, name, root / getattr(common, name).relative_to(before))
    path = common.notebook_path(CHAPTER, common.BOOK)
    notebooks.write(chapter(), path)
    return path
