"""The form of chapters: a good one has no fault; broken in one place it has exactly that one."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tests.tools import sample
from tools import common, form, notebooks

Break = Callable[[NotebookNode], object]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The chapter's file; each test writes its own chapter into it."""
    with pytest.MonkeyPatch.context() as patch:
        yield sample.project(tmp_path_factory.mktemp("form"), patch)


def faults(path: Path, change: Break) -> list[str]:
    notebook = sample.chapter()
    change(notebook)
    notebooks.write(notebook, path)
    return form.check(common.chapters())


def swap(beginning: str, old: str, new: str) -> Break:
    """Replace a piece of the cell that begins so."""

    def change(notebook: NotebookNode) -> None:
        cell = sample.cell(notebook, beginning)
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return change


def add(text: str) -> Break:
    """Add a paragraph to the chapter."""
    return swap("## From scratch", "newest sample.", f"newest sample.\n\n{text}")


def meta(beginning: str, **values: object) -> Break:
    """Change a cell's metadata."""
    return lambda notebook: sample.cell(notebook, beginning).metadata.update(values)


def graded(beginning: str, **values: object) -> Break:
    """Change a cell's metadata for nbgrader."""
    return lambda notebook: sample.cell(notebook, beginning).metadata.nbgrader.update(values)


def drop(*beginnings: str) -> Break:
    """Take cells out."""

    def change(notebook: NotebookNode) -> None:
        for beginning in beginnings:
            notebook.cells.remove(sample.cell(notebook, beginning))

    return change


def move(beginning: str, to: int) -> Break:
    """Move a cell to a place counted from 0."""

    def change(notebook: NotebookNode) -> None:
        cell = sample.cell(notebook, beginning)
        notebook.cells.remove(cell)
        notebook.cells.insert(to, cell)

    return change


def code(count: int, lines: int = 1) -> Break:
    """Put in code cells of so many lines."""

    def change(notebook: NotebookNode) -> None:
        for i in range(count):
            cell = nbformat.v4.new_code_cell("\n".join(["x = 1"] * lines), id=f"new{i}")
            notebook.cells.insert(12, cell)

    return change


def both(*changes: Break) -> Break:
    return lambda notebook: [change(notebook) for change in changes]


def set_id(beginning: str, identity: str) -> Break:
    return lambda notebook: sample.cell(notebook, beginning).update(id=identity)


def output(beginning: str, text: str, name: str = "stdout") -> Break:
    stored = nbformat.v4.new_output("stream", name=name, text=text)
    return lambda notebook: sample.cell(notebook, beginning).update(outputs=[stored])


def more_exercises(count: int) -> Break:
    """Copy the open exercise, numbered on."""

    def change(notebook: NotebookNode) -> None:
        place = len(notebook.cells) - 1
        for number in range(4, 4 + count):
            pair = copy.deepcopy(notebook.cells[place - 2 : place])
            pair[0].source = pair[0].source.replace("Exercise 3", f"Exercise {number}")
            pair[1].metadata.nbgrader.grade_id = f"why-{number}"
            for cell in pair:
                cell.id += f"-{number}"
            notebook.cells[-1:-1] = pair

    return change


EX1, ANSWER1, TEST1 = "### Exercise 1", "def scale_1", "assert scale_1"
HIDDEN = "### BEGIN HIDDEN TESTS\n", "### END HIDDEN TESTS"

BROKEN: dict[str, tuple[Break, str]] = {
    # the file
    "old format": (lambda n: n.update(nbformat_minor=4), "older than 4.5"),
    "not valid": (lambda n: n.cells[6].update(extra=1), "no valid notebook: Additional prop"),
    "no kernel": (lambda n: n.metadata.pop("kernelspec"), "lack kernelspec with the name python3"),
    "no language": (lambda n: n.metadata.pop("language_info"), "lack language_info"),
    "papermill's": (lambda n: n.metadata.update(papermill={}), "the notebook has .* `papermill`"),
    "widgets": (lambda n: n.metadata.update(widgets={}), "metadata `widgets`"),
    "Colab's": (meta("x[:3]", colab={}), r"cell 7 \(x\[:3\]\) has metadata `colab`"),
    "no id": (lambda n: n.cells[6].pop("id"), "cell 7 .* has the id ''; give it 1 to 64"),
    "bad id": (set_id("x[:3]", "a b"), "has the id 'a b'"),
    "same id": (set_id("x[:3]", "c6"), "has the id of another cell, 'c6'"),
    # tags
    "unknown tag": (meta("x[:3]", tags=["slow"]), "unknown tag `slow`; there are setup, "),
    "papermill's tag": (meta("x[:3]", tags=["injected-parameters"]), "put in by papermill"),
    "tag on prose": (meta("## From", tags=["hide-input"]), "is not code, .* remove them"),
    "graded sync": (
        lambda n: graded(ANSWER1)(n) or sample.cell(n, ANSWER1).metadata.update(tags=["sync"]),
        "written by a tool and cannot be graded",
    ),
    "second start": (meta("x[:3]", tags=["start"]), "2 cells are tagged `start`"),
    # anatomy
    "no sentence": (swap("# A", "You will follow a mean that forgets.\n\n", ""), "cell 1 must be"),
    "two sentences": (swap("# A", "mean that", "mean. It"), "cell 1: one sentence"),
    "no full stop": (swap("# A", "forgets.", "forgets"), "cell 1: one sentence"),
    "row missing": (swap("# A", "| Run | 2 seconds |\n", ""), "rows are .*; got Read, Before"),
    "row empty": (swap("# A", "2 seconds", ""), "a row of the table is empty"),
    "order of the opening": (move("import numpy", 1), "the first three code cells are"),
    "parameter not a literal": (
        swap("PROFILE", "SEED = 0 ", "SEED = int(0) "),
        "holds the literals",
    ),
    "parameter set": (swap("PROFILE", "NULL = False", "NULL = True"), "holds the literals"),
    "fourth parameter": (swap("PROFILE", "NULL =", "STEP = 1\nNULL ="), "holds the literals"),
    "NULL not handed on": (swap("import", "SEED, NULL", "SEED"), r"must call `mm.start\(PROFILE"),
    "second title": (swap("## What", "##", "#"), "“What it finds” is a second title"),
    "level skipped": (add("#### Deep"), "“Deep” skips a level; make it `###`"),
    "section missing": (
        swap("## Where", "it breaks", "it fails"),
        "0 sections `## Where it breaks`",
    ),
    "section twice": (add("## Where it breaks"), "2 sections `## Where it breaks`"),
    "sections swapped": (move("## Check", 18), "order .*; got Check yourself, Where it breaks"),
    "after the last": (
        lambda n: n.cells.append(nbformat.v4.new_markdown_cell("## More", id="more")),
        "`## More` stands after Further reading",
    ),
    "too few cells": (drop("x[:3]", "print("), "there are 11 code cells .* 12 to 30"),
    "too many cells": (both(code(18), swap("# A", "3 minutes", "5 minutes")), "there are 31"),
    "cell too long": (code(1, 26), r"cell 13 \(x = 1\) has 26 lines, and 25 at most"),
    "many long cells": (
        both(code(7, 16), swap("# A", "3 minutes", "11 minutes")),
        "7 of 20 code cells have more than 15 lines",
    ),
    "no minutes": (swap("# A", "3 minutes", "quick"), "the row Read says"),
    "too few minutes": (swap("# A", "3 minutes", "1 minute"), "says 1 minutes .* take about"),
    "too many minutes": (swap("# A", "3 minutes", "9 minutes"), "says 9 minutes .* take about"),
    "one question": (
        swap(
            "## Check",
            "<details><summary>And a rate of zero?</summary>\n\nIt learns nothing.\n\n</details>",
            "",
        ),
        "2 or 3 times .*; got 1",
    ),
    "answer not folded": (swap("## Check", "zero?</summary>\n\n", "zero?</summary>\n"), "got 1"),
    "two bullets": (swap("## Summary", "\n- It forgets.", ""), "the summary has 2 bullets"),
    "no list": (swap("## Further", "- Robbins", "Robbins"), "Further reading is a list"),
    "no year": (swap("## Further", "(1951)", ""), "Robbins and Monro .* has not a year"),
    "no number": (
        swap(
            "## Further",
            "[doi:10.1214/aoms/1177729586](https://doi.org/10.1214/aoms/1177729586)",
            "",
        ),
        "has not a linked DOI or arXiv number",
    ),
    "no link": (
        swap("## Further", "(https://doi.org/10.1214/aoms/1177729586)", ""),
        "has not a linked DOI or arXiv number",
    ),
    "no agreement": (
        both(
            swap("signal", "mm.agree(", "print("),
            meta("signal", tags=[]),
            lambda n: sample.cell(n, "signal").update(outputs=[], execution_count=None),
        ),
        "no cell calls `mm.agree`",
    ),
    "no claim": (
        both(
            swap('mm.claim("a fast', "mm.claim", "print"),
            swap('mm.claim("a mean', "mm.claim", "print"),
        ),
        "no cell calls `mm.claim`",
    ),
    "no figure to play with": (swap("mm.explore", "mm.explore", "print"), "calls `mm.explore`"),
    # code and outputs
    "stray output": (output("x[:3]", "5"), r"cell 7 \(x\[:3\]\) has a stored output"),
    "stray count": (lambda n: n.cells[6].update(execution_count=1), "has a stored output"),
    "one tag of two": (meta("signal", tags=["keep_output"]), "has both tags"),
    "no tag": (meta("signal", tags=["hide-input"]), "has both tags"),
    "keeps without agreeing": (
        both(meta("x[:3]", tags=["nbval-check-output", "keep_output"]), output("x[:3]", "5")),
        "and no other, has both tags",
    ),
    "nothing stored": (lambda n: sample.cell(n, "signal").update(outputs=[]), "stores nothing"),
    "no count": (lambda n: sample.cell(n, "signal").update(execution_count=None), "stores nothing"),
    "a number that drifts": (output("signal", "error 1.2e-17\n"), "more than lines of `mm.agree`"),
    "a warning": (
        output("signal", "moving mean: agrees with numpy to 1e-06\n", "stderr"),
        "more than",
    ),
    "no Python": (swap("x[:3]", "x[:3]", "x[:3"), r"cell 7 \(x\[:3\) is not Python: .* line 1"),
    "import *": (
        swap("import", "import numpy as np", "import numpy as np\nfrom math import *"),
        "imports `\\*`",
    ),
    "unknown library": (
        swap("x[:3]", "x[:3]", "import polars.io"),
        "imports polars, whose version",
    ),
    "another project's package": (add("Run `pip install -U mmlearn`."), "is another project's"),
    "the same in code": (swap("x[:3]", "x[:3]", "!uv pip install mmlearn"), "is another project's"),
    # exercises
    "two exercises": (
        drop("### Exercise 3", "### BEGIN SOLUTION\nThe secret"),
        "there are 2 exercises",
    ),
    "seven exercises": (more_exercises(4), "there are 7 exercises"),
    "bad heading": (
        lambda n: n.cells.insert(-1, nbformat.v4.new_markdown_cell("### A seventh", id="new")),
        "“A seventh” is not `### Exercise n: title`",
    ),
    "bad number": (swap("### Exercise 3", "Exercise 3", "Exercise 4"), "is the 3. in order"),
    "no line of points": (swap(EX1, "*2 points · easy · 5 minutes*\n\n", ""), "has not the line"),
    "other points": (swap(EX1, "*2 points", "*3 points"), "says 3 points; its cells give 2"),
    "test first": (move(TEST1, 25), "has a test before its answer"),
    "no test": (both(drop(TEST1), swap(EX1, "*2 points", "*0 points")), "nothing that is graded"),
    "bad flags": (meta(EX1, nbgrader={"grade_id": "a", "locked": True}), "those of no answer"),
    "no schema": (
        lambda n: sample.cell(n, ANSWER1).metadata.nbgrader.pop("schema_version"),
        "lack",
    ),
    "no grade_id": (graded(ANSWER1, grade_id=""), "lack grade_id"),
    "no points": (
        both(graded(TEST1, points=0), swap(EX1, "*2 points", "*0 points")),
        "earns no points",
    ),
    "seed by another name": (
        swap(TEST1, "mm.exercise_seed()", "mm.runtime.exercise_seed()"),
        "asks for the seed in another way",
    ),
    "same grade_id": (graded("def scale_2", grade_id="scale-1"), "the grade_id of another cell"),
    "graded elsewhere": (
        both(
            lambda n: n.cells.insert(5, copy.deepcopy(sample.cell(n, ANSWER1))),
            lambda n: n.cells[5].update(id="new"),
            lambda n: n.cells[5].metadata.nbgrader.update(grade_id="new"),
        ),
        "does not stand under",
    ),
    "marker outside a graded cell": (
        swap("x[:3]", "x[:3]", "def f():\n    ### BEGIN SOLUTION\n    pass\n    ### END SOLUTION"),
        "has a marker `SOLUTION` and is no cell for one",
    ),
    "no markers": (
        swap("def scale_2", "    ### BEGIN SOLUTION\n", ""),
        "the line '### END SOLUTION' has no partner",
    ),
    "no hidden tests": (
        both(swap(TEST1, HIDDEN[0], ""), swap(TEST1, HIDDEN[1], "")),
        "has nothing between `### BEGIN HIDDEN TESTS`",
    ),
    "solution at top level": (
        swap(
            ANSWER1,
            "    ### END SOLUTION",
            "    ### END SOLUTION\n### BEGIN SOLUTION\nscale_1(1)\n### END SOLUTION",
        ),
        "stands outside a function's body",
    ),
    # prose
    "role": (add("See {ref}`there`."), "MyST role `{ref}`; use a link"),
    "directive": (add("```{note}\nLook.\n```"), "MyST directive `{note}`"),
    "fence": (add(":::{note}\nLook.\n:::"), "MyST fence, label or substitution"),
    "label": (add("(here)=\nText."), "MyST fence, label or substitution"),
    "HTML": (add('<div class="x">'), 'has the HTML `<div class="x">`'),
    "inline HTML": (add("a <b>bold word"), "has the HTML `<b>`"),
    "comment": (add("<!-- todo -->"), "has the HTML `<!-- todo -->`"),
    "link to nothing": (add("See [it](gone.ipynb)."), "the link to gone.ipynb leads nowhere"),
    "absolute link": (add("See [it](/book/1_part/mean.ipynb)."), "leads nowhere"),
    "link to a page built": (add("See [it](mean.html)."), "names neither an .ipynb nor an .md"),
}


def test_the_good_chapter_has_no_fault(path: Path) -> None:
    assert faults(path, lambda _: None) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_chapter_broken_in_one_place_has_one_fault(path: Path, name: str) -> None:
    change, message = BROKEN[name]
    found = faults(path, change)
    assert len(found) == 1, found
    assert found[0].startswith(f"{sample.CHAPTER}: ") and re.search(message, found[0]), found


def test_what_is_no_notebook_is_a_fault(path: Path) -> None:
    path.write_text("{")
    (fault,) = form.check(common.chapters())
    assert fault.startswith(f"{sample.CHAPTER}: ") and "is not a notebook" in fault


@pytest.mark.usefixtures("path")
def test_every_rule_is_broken_by_some_test() -> None:
    silent = list(form.RULES)
    for change in [*(change for change, _ in BROKEN.values()), add("It reached 0.93.")]:
        notebook = sample.chapter()
        change(notebook)
        silent = [rule for rule in silent if not list(rule(sample.CHAPTER, notebook))]
    assert silent == []


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("It reached 0.93 at last.", "0.93"),
        ("It reached .93 at last.", ".93"),
        ("Better by 12 % than before.", "12 %"),
        ("Better by 12% than before.", "12%"),
        ("That is 3× faster.", "3×"),
        ("That is 3 × faster.", "3 ×"),
        ("The error is 1e-6 by then.", "1e-6"),
        ("It takes 40 steps.", "40 steps"),
        ("It takes 40 gradient steps.", "40 gradient steps"),
        ("After 1,200 iterations it stands.", "1,200 iterations"),
        ("It took 8 seconds.", "8 seconds"),
        ("It took 35 ms.", "35 ms"),
        ("Ten is 10 times as much.", "10 times"),
        ("Up by 4 points.", "4 points"),
        ("A loss of **0.25** is left.", "0.25"),
        ("> A quote says 0.25 too.", "0.25"),
        ("- In a list 0.25 too.", "0.25"),
        ("| a | b |\n|---|---|\n| 0.25 | `0.5` |", "0.25"),
        ("<details><summary>Is it 0.25?</summary>\n\nYes.\n\n</details>", "0.25"),
        ("Its loss fell from `0.7` to 0.25, says 003 §4.3.", "0.25"),
    ],
)
def test_results_typed_in_prose_are_found(path: Path, text: str, typed: str) -> None:
    change = swap("## Where", "A rate", f"{text}\n\nA rate")
    (found,) = [f for f in faults(path, change) if "Check yourself" not in f]
    assert f"types “{typed}”" in found


@pytest.mark.parametrize(
    "text",
    [
        "A step of `0.01`, or $0.25$, or $$x = 0.5$$ as a setting.",
        "### With 0.5 in a heading",
        "Document 003 §4.3, 004 §§2.1–2.2, sections 3.3, 3.4 and 4.3, chapter 2.",
        "In 1951 there were 569 tumours, 30 columns and 2 classes.",
        "Python 3.11 or newer; PyTorch 2.6.",
        "Version 1.2.3 of 10.1000/182 at https://example.org/1.5/2.",
        "Some points, many steps, three times, one second.",
        "```python\nx = 0.93  # 40 steps\n```",
        "    x = 0.93",
        "The 2-dimensional case, the 3rd step, x1 and 1st.",
        "See arXiv:1710.10345 and [doi:10.1214/aoms/1177729586](https://doi.org/10.1214/0.5).",
        "The bars are 95 % intervals, at the 95% confidence level.",
        "It has mean 0 and standard deviation 1; 3 means yes.",
        "The steps 1 and 2 come first, then times 3 and points 4.",
    ],
)
def test_settings_and_references_are_no_results(path: Path, text: str) -> None:
    assert faults(path, swap("## Where", "A rate", f"{text}\n\nA rate")) == []
