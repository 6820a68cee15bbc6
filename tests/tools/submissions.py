"""What a class hands in for a small chapter: good work, accidents, and every kind of mischief.

Each is made by code from the students' edition. The mischief is real, but has an end far above
the limits of the tests: where a limit is broken, a test fails and the machine does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode

from mmlearn.runtime import exercise_seed
from tests.tools import sample
from tools import exercises, notebooks

GOOD = {
    "scale-1": "def scale_1(x):\n    return 2 * x",
    "scale-2": "def scale_2(x):\n    return 3 * x",
    "why": "Each step leaves less of what was there before.",
}


def chapter() -> NotebookNode:
    """The sample chapter without what takes long, and with a helper that a test uses."""
    notebook = sample.chapter()
    first = notebooks.section(notebook, "Exercises")[0].number - 1
    beginning = list(notebook.cells[:4])
    beginning[
        3
    ].source = "import numpy as np\n\nimport mmlearn as mm\n\nrun = mm.start(PROFILE, SEED, NULL)"
    helper = nbformat.v4.new_code_cell("def near(a, b):\n    return np.allclose(a, b)", id="helper")
    notebook.cells = [*beginning, helper, *notebook.cells[first:]]
    for cell in notebook.cells:
        cell.source = cell.source.replace("assert np.allclose(", "assert near(")
    return notebook


def other() -> NotebookNode:
    """Another chapter: its exercises have other names."""
    text = notebooks.text(chapter()).replace("scale-", "turn-").replace("scale_", "turn_")
    return nbformat.reads(text.replace('"why"', '"how"'), as_version=4)


def answered(**answers: str) -> NotebookNode:
    """The students' edition with good answers, or others."""
    page = exercises.student(chapter())
    texts = GOOD | {name.replace("_", "-"): text for name, text in answers.items()}
    return exercises.with_answers(page, texts)


def _position(page: NotebookNode, grade_id: str) -> int:
    (found,) = [
        i for i, c in enumerate(page.cells) if notebooks.grading(c).get("grade_id") == grade_id
    ]
    return found


def _added(page: NotebookNode, before: str, *sources: str) -> NotebookNode:
    """A page with cells of a student's own before a cell."""
    at = _position(page, before)
    page.cells[at:at] = [nbformat.v4.new_code_cell(source) for source in sources]
    return page


def _one(body: str) -> NotebookNode:
    """Good work, but for the body of the first answer."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return answered(scale_1=f"def scale_1(x):\n{lines}")


def blank() -> NotebookNode:
    return exercises.student(chapter())


def edited_tests() -> NotebookNode:
    page = exercises.student(chapter())
    for number in (1, 2):
        test = page.cells[_position(page, f"scale-{number}-test")]
        test.source = "print('all is well')"
        test.metadata.nbgrader.points = 100
    return page


def edited_seed() -> NotebookNode:
    """Right for the numbers that everybody meets, which it tries to choose."""
    seed = exercise_seed("")
    page = answered(
        scale_1="import os\n"
        "os.environ['MMLEARN_STUDENT'] = ''\n"
        f"mm.exercise_seed = mm.runtime.exercise_seed = lambda *a: {seed}\n"
        f"known = np.random.default_rng({seed}).normal(size=3)\n"
        "def scale_1(x):\n"
        "    return 2 * known if np.ndim(x) else 0"
    )
    sample.cell(page, "PROFILE").source = "PROFILE = 'full'\nSEED = 7\nNULL = True"
    sample.cell(page, "import numpy").source += "\nmm.exercise_seed = lambda: 0"
    return page


def edited_chapter() -> NotebookNode:
    """A wrong answer, and all around it changed so that it would pass."""
    page = answered(
        scale_1="np.allclose = lambda *a, **k: True\n"
        "near = lambda *a: True\n"
        "import builtins\n"
        "builtins.abs = lambda x: 0\n"
        "def scale_1(x):\n"
        "    return 0 * x"
    )
    sample.cell(page, "def near").source = "def near(a, b):\n    return True"
    return page


def deleted() -> NotebookNode:
    """Without the first answer, the second test, the set-up and the helper."""
    page = answered()
    gone = ("scale-1", "scale-2-test")
    page.cells = [
        c
        for c in page.cells
        if notebooks.grading(c).get("grade_id") not in gone and not c.source.startswith("def near")
    ]
    del page.cells[1:4]
    return page


def copied() -> NotebookNode:
    """A first try was copied, ids and all, and mended in the copy; tests were copied too."""
    page = answered(scale_2="def scale_2(x):\n    return x")
    at = _position(page, "scale-2")
    again = nbformat.from_dict(json.loads(json.dumps(page.cells[at])))
    again.source = GOOD["scale-2"]
    page.cells.insert(at + 1, again)
    page.cells.append(page.cells[_position(page, "scale-1-test")])
    return page


def colab() -> NotebookNode:
    """As Colab saves: no ids of cells, its own metadata, nbformat_minor 0."""
    page = json.loads(notebooks.text(answered()))
    for number, cell in enumerate(page["cells"]):
        cell["metadata"]["id"] = f"{cell.pop('id')}Xq{number}"
        cell["metadata"]["outputId"] = "1f2e"
        if cell["cell_type"] == "code":
            cell["metadata"]["executionInfo"] = {"status": "ok", "user": {"displayName": "A"}}
            cell["metadata"]["colab"] = {"base_uri": "https://localhost:8080/"}
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["hello"]}]
            cell["execution_count"] = number
    page["metadata"]["colab"] = {"provenance": [], "toc_visible": True}
    page["metadata"]["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    page["nbformat_minor"] = 0
    return nbformat.from_dict(page)


def helpers() -> NotebookNode:
    """Cells of one's own: a helper, one that fails, one that hides the book's names."""
    page = answered(scale_1="%time double = 2\ndef scale_1(x):\n    return times(double, x)")
    return _added(
        page,
        "scale-1",
        "import operator\ntimes = operator.mul",
        "1 / 0",
        "np = near = mm = run = x = None",
    )


def defined_elsewhere() -> NotebookNode:
    """The answer's own cell was lost, and a plain one written in its place."""
    page = answered()
    at = _position(page, "scale-1")
    page.cells[at] = nbformat.v4.new_code_cell(GOOD["scale-1"])
    return page


def half_a_character() -> str:
    """What no file can hold as text, but JSON can spell."""
    half = "\ud83d"
    page = answered(scale_1=f"{GOOD['scale-1']}  # {half}", why=half)
    return json.dumps(page)


def broken() -> NotebookNode:
    return answered(scale_1="def scale_1(x)\n    return 2 * x")


# --- mischief ---------------------------------------------------------------------------------

ENDLESS = "while True:\n    pass"
STUBBORN = """
import signal
signal.setitimer(signal.ITIMER_REAL, 0)
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
MEMORY = (
    "return np.ones((2**14, 2**14)) * x[0] if np.ndim(x) else [b'1' * 2**20 for _ in range(2_000)]"
)
MANY_MEMORIES = """
import os, time
for _ in range(6):
    if not os.fork():
        held = [bytearray(b'1' * 2**20) for _ in range(250)]
        time.sleep(60)
time.sleep(60)
"""
SOCKET = """
import socket
socket.create_connection(("192.0.2.1", 80), timeout=5)
return 2 * x
"""
OUTSIDE = """
for place in {places!r}:
    with open(place, "w") as file:
        file.write("mine")
return 2 * x
"""
PRINTS = "while True:\n    print('x' * 10_000)"
WRITES = """
for number in range(60):
    with open(f"/tmp/{number}", "wb") as file:
        file.write(b"1" * 2**24)
"""
BOMB = """
import os, time
for _ in range(200):
    if not os.fork():
        time.sleep(60)
"""
SILENT_BOMB = """
import os, time
for _ in range(8):
    try:
        os.fork()
    except OSError:
        pass
time.sleep(60)
"""
QUITS = "import os\nos._exit(0)"
FORGES = """
import os
for number in range(3, 20):
    try:
        os.write(number, b'{"token": "", "error": null, "value": null}\\n')
    except OSError:
        pass
return 0 * x
"""
# Looks for everything that a submission must not see, and passes only if it finds something.
READS = """
import os
from pathlib import Path
found = []
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = set(folders) - {{"usr", "proc", "cache"}}
    folders[:] = [name for name in folders if name not in ("site-packages", "python3.11", "share")]
    found += [name for name in files if name.endswith((".ipynb", ".db", ".csv", "grading.py"))]
for path in Path("/book").rglob("*.py"):
    found += ["HIDDEN " + path.name] if "BEGIN " + "HIDDEN" in path.read_text() else []
found += os.listdir({root!r}) if os.path.exists({root!r}) else []
processes = [name for name in os.listdir("/proc") if name.isdigit()]
assert found or len(processes) > 1, "nothing to be found"
return 2 * x
"""
# The text of the test that asked, out of the memory of the process, handed out as a message.
QUOTES = """
import sys
frame = sys._getframe()
while frame:
    for value in list(frame.f_locals.values()):
        if "multiply by" in str(value):
            raise ValueError(str(value))
    frame = frame.f_back
return 2 * x
"""
OTHERS = """
import os, signal
os.kill(-1, signal.SIGKILL)
return 2 * x
"""


@dataclass(frozen=True)
class Case:
    """A submission and what is to become of it: points of the two exercises, and the reason."""

    make: Callable[[], NotebookNode] | str | bytes
    points: tuple[str, str] = ("2", "2")
    reason: str = ""
    status: str = "waiting"


def case(body: str, reason: str, first: str = "0") -> Case:
    """Mischief in the first answer."""
    return Case(lambda: _one(body), (first, "2"), reason)


def mischief(root: str) -> dict[str, Case]:
    """What is tried against the grader; `root` is where the project lies."""
    late, gone = "it did not end in", "it ended itself"
    return {
        "endless": case(ENDLESS, f"exercise 1: TimeoutError: {late}"),
        "stubborn": case(STUBBORN, f"exercise 1: Stopped: {late}"),
        "memory": case(MEMORY, "exercise 1: MemoryError"),
        "memories": case(MANY_MEMORIES, "exercise 1: Stopped: it took more than"),
        "socket": case(SOCKET, "exercise 1: OSError: [Errno 101] Network is unreachable"),
        "outside": case(OUTSIDE.format(places=["/tmp/fine", "/usr/mine"]), "Read-only file system"),
        "beside": case(OUTSIDE.format(places=[f"{root}/mine"]), "No such file or directory"),
        "package": case(OUTSIDE.format(places=["/book/mmlearn/toy.py"]), "Read-only file system"),
        "inside": case(OUTSIDE.format(places=["/tmp/fine"]), "", first="2"),
        "prints": case(PRINTS, f"exercise 1: TimeoutError: {late}"),
        "writes": case(WRITES, "exercise 1: OSError: [Errno 28] No space left on device"),
        "bomb": case(BOMB, "exercise 1: BlockingIOError"),
        "silent_bomb": case(SILENT_BOMB, late),
        "twins": case("import os\nos.fork()\nreturn 2 * x", "", first="2"),
        "quits": case(QUITS, gone),
        "kills": case(OTHERS, "exercise 1: ProcessLookupError"),
        "forges": case(FORGES, "exercise 1: "),
        "reads": case(READS.format(root=root), "nothing to be found"),
        "quotes": case(QUOTES, "ValueError: the message quotes the tests and is left out"),
    }


def studies() -> dict[str, Case]:
    """Good and bad work, and accidents."""
    return {
        "full": Case(answered),
        "partial": Case(
            lambda: answered(scale_2="def scale_2(x):\n    return x + 3"),
            ("2", "0"),
            "exercise 2: nothing stays nothing",
        ),
        # It is right for the test that is seen, and for two times two.
        "squares": Case(
            lambda: answered(scale_1="def scale_1(x):\n    return x ** 2"),
            ("0", "2"),
            "exercise 1: multiply by 2",
        ),
        "blank": Case(blank, ("0", "0"), "exercise 1: not answered | exercise 2", "graded"),
        "edited_tests": Case(edited_tests, ("0", "0"), "exercise 1: not answered", "graded"),
        "edited_seed": Case(edited_seed, ("0", "2"), "exercise 1: multiply by 2"),
        "edited_chapter": Case(edited_chapter, ("0", "2"), "exercise 1: multiply by 2"),
        "deleted": Case(deleted, ("0", "2"), "exercise 1: not answered"),
        "copied": Case(copied),
        "colab": Case(colab),
        "helpers": Case(helpers),
        "elsewhere": Case(defined_elsewhere),
        "half": Case(half_a_character()),
        "nested": Case(lambda: answered(why="> " * 2_000 + "[" * 2_000 + "<b>" * 2_000)),
        "wordy": Case(lambda: answered(why="[" * 90_000)),
        "broken": Case(broken, ("0", "2"), "exercise 1: SyntaxError: expected ':'"),
        "unwritten": Case(
            lambda: answered(why="YOUR ANSWER HERE"),
            reason="exercise 3: not answered",
            status="graded",
        ),
    }


def unreadable() -> dict[str, Case]:
    """Files that are no submission."""
    whole = notebooks.text(answered())
    return {
        name: Case(made, ("0", "0"), reason, "not graded")
        for name, made, reason in [
            ("truncated", whole[: len(whole) // 2], "only the beginning of one"),
            ("prose", "My answers are 2 and 3.", "no notebook"),
            ("nothing", "", "the file is empty"),
            ("bytes", bytes(range(256)), "no notebook"),
            ("list", "[1, 2, 3]", "no notebook"),
            ("odd", json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": 7}), "no notebook"),
            ("deep", "[" * 100_000, "no notebook"),
            ("huge", whole + " " * 2**20, "MB"),
            ("long", notebooks.text(answered(why="a" * 100_001)), "100,000 characters in one"),
            (
                "links",
                json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": ["x"]}),
                "no notebook",
            ),
            ("stranger", notebooks.text(other()), "no exercise of this chapter"),
        ]
    }
