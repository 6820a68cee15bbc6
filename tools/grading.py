"""Grade a folder of submissions, each confined, by nbgrader's own rules.

Of a submission the answers are taken, and the cells that its author added to the section
Exercises; everything else, the hidden tests too, comes from the chapter. So nothing that is edited
elsewhere changes a mark. The cells run in a box (`tools/sandbox.py`, `tools/cells.py`), one after
another as they are asked for from here: no solution is ever in there, nor another submission, nor
a mark.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib
import nbformat.v4
from filelock import FileLock, Timeout
from nbformat import NotebookNode
from nbgrader.utils import is_grade

from mmlearn.data import store
from tools import common, editions, exercises, marks, notebooks, sandbox, submissions
from tools.editions import Student
from tools.marks import Marks, Row
from tools.progress import Line
from tools.submissions import Chapter, Submission, UnreadableError, is_theirs

WORKERS = 2  # submissions at a time
CELL_SECONDS = 30  # for each cell of a submission, and each test
GRACE_SECONDS = 5  # until a cell that cannot be interrupted is ended with all that runs beside it
SUBMISSION_SECONDS = 600  # for all of it, whatever it does
LIMITS = sandbox.Limits()


# --- running ----------------------------------------------------------------------------------


class Runner:
    """Runs restored notebooks in boxes, several at a time from several threads."""

    def __init__(self) -> None:
        self.stopped = False
        self.boxes: set[sandbox.Box] = set()

    def stop(self) -> None:
        """End what runs, and let nothing more begin."""
        self.stopped = True
        for box in list(self.boxes):
            box.close()

    def run(self, chapter: Chapter, page: NotebookNode, student: str) -> NotebookNode:
        """Run a restored notebook.

        Returns
        -------
        NotebookNode
            A copy whose cells have their errors as outputs. Whatever happens, there is one: a
            submission is not to keep the others from being graded.
        """
        page = copy.deepcopy(page)
        if page.metadata.get("mmlearn", {}).get("fault"):
            return _unmarked(page)
        try:
            self._run(chapter, page, student)
        except Exception as error:
            # Without a key: it is graded again the next time.
            why = submissions.clean(f"{type(error).__name__}: {error}")
            page.metadata.mmlearn = NotebookNode(fault=f"it could not be run ({why}); grade again")
            return _unmarked(page)
        return page

    def fault(self, chapter: Chapter) -> str:
        """Why the chapter's own solutions do not get all points here; empty if they do."""
        ran = self.run(chapter, chapter.source, "")
        if errors := exercises.errors(ran):
            where, said = next(iter(errors.items()))
            return f"{where}: {': '.join(said)}"
        points = exercises.grades(ran)
        short = [name for name, (got, most) in points.items() if got not in (None, most)]
        return f"{', '.join(short)}: not all points" if short else ""

    def _run(self, chapter: Chapter, page: NotebookNode, student: str) -> None:
        """Run the cells up to the last test.

        One that ends its process costs its own points: the others run in a new one, without it.
        """
        ours = {c.id: c.source for c in editions.with_numbers(chapter.source, student).cells}
        last = max(i for i, cell in enumerate(page.cells) if is_grade(cell))
        todo = [cell for cell in page.cells[: last + 1] if cell.cell_type == "code"]
        first = next(i for i, cell in enumerate(todo) if is_theirs(cell))
        env = box_env() | {"MMLEARN_STUDENT": student}
        _give_up(page.cells, "it was not run")  # since no error is full marks
        deadline = time.monotonic() + SUBMISSION_SECONDS
        lost: set[str] = set()
        judged: set[str] = set()
        again = True
        while again:
            again = False
            with self._box(env) as box:
                for number, cell in enumerate(todo):
                    if cell.id in lost:
                        continue
                    if (left := deadline - time.monotonic()) <= 0:
                        _give_up(c for c in todo if c.id not in judged)
                        return
                    book = not is_theirs(cell)
                    source = ours[cell.id] if book else cell.source
                    seconds = min(CELL_SECONDS, left) if number >= first else left
                    try:
                        cell.outputs = _ask(box, source, seconds, book, chapter)
                    except sandbox.StoppedError as stop:
                        if number < first:
                            raise
                        cell.outputs = [_error("Stopped", str(stop), chapter)]
                        lost.add(cell.id)
                        again = number < len(todo) - 1
                        break
                    finally:
                        judged.add(cell.id)

    @contextlib.contextmanager
    def _box(self, env: Mapping[str, str]) -> Iterator[sandbox.Box]:
        with sandbox.Box(["/cells.py"], read=box_files(), env=env, limits=LIMITS) as box:
            self.boxes.add(box)
            try:
                if self.stopped:  # looked at when `stop` can see the box, or none of both would
                    raise KeyboardInterrupt
                yield box
            finally:
                self.boxes.remove(box)


def _unmarked(page: NotebookNode) -> NotebookNode:
    """A page whose tests say why they were not run."""
    _give_up(page.cells, page.metadata.mmlearn.fault)
    return page


def _give_up(cells: Iterable[NotebookNode], why: str = "") -> None:
    for cell in cells:
        if cell.cell_type == "code":
            why = why or f"the submission took more than {SUBMISSION_SECONDS} s"
            cell.outputs = [_error("Stopped", why)] if is_grade(cell) else []


def _ask(
    box: sandbox.Box, source: str, seconds: float, book: bool, chapter: Chapter
) -> list[NotebookNode]:
    """Have one cell run (see `tools.cells`); its outputs, as nbgrader reads them for the mark.

    The answer carries a word that the cell does not know: what it writes by itself is none.
    """
    token = secrets.token_hex(8)
    cell = {"source": source, "seconds": seconds, "book": book, "answers": chapter.answered}
    line = box.ask(json.dumps({"token": token, "cell": cell}), seconds + GRACE_SECONDS)
    try:
        answer = json.loads(line)
        if answer["token"] != token:
            raise ValueError
        if answer["error"]:
            kind, message = map(str, answer["error"])
            return [_error(kind if kind.isidentifier() else "Exception", message, chapter)]
        if answer["value"] is None:
            return []
        # By which a test may give a part of the points.
        data = {"text/plain": submissions.clean(answer["value"])}
        return [nbformat.v4.new_output("execute_result", data, execution_count=None)]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise sandbox.StoppedError("it wrote where the result of a test is written") from None


def _error(kind: str, message: str, chapter: Chapter | None = None) -> NotebookNode:
    """An error as an output; what it says may be a student's."""
    if chapter and any(line in message for line in chapter.secrets):
        message = "the message quotes the tests and is left out"
    kind, message = kind[:60], submissions.clean(message)
    said = f"{kind}: {message}" if message else kind
    return nbformat.v4.new_output("error", ename=kind, evalue=message, traceback=[said])


def box_env() -> dict[str, str]:
    """The environment in a box; nothing of this machine's own goes in."""
    ours = common.kernel_env("smoke")
    names = [*common.ONE_THREAD, "MMLEARN_PROFILE", "MMLEARN_STATIC", "PYTHONHASHSEED"]
    names += ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
    return {name: ours[name] for name in names} | {
        "LANG": "C.UTF-8",
        "MMLEARN_CACHE": "/cache",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": "/book",
    }


def box_files() -> dict[str, Path]:
    """What can be read in a box: the package, its data, and the program that runs the cells."""
    read = {
        "/book/mmlearn": common.ROOT / "mmlearn",
        "/book/data": common.ROOT / "data",
        "/cache": store.cache(),
        "/cells.py": Path(__file__).with_name("cells.py"),
        "/fonts": Path(matplotlib.get_cachedir()),
    }
    return {inside: path for inside, path in read.items() if path.exists()}


# --- the command ------------------------------------------------------------------------------


def grade(folder: Path, roster: Path | None, sources: Mapping[str, Path], out: Path) -> int:
    """Grade a folder of submissions; write the table, and a page of feedback for each.

    Only what has changed is graded. Marks that a person entered, in the table or with nbgrader,
    stay.

    Parameters
    ----------
    folder : Path
        The submissions, in nbgrader's layout, or with names that tell student and chapter; see
        `tools.submissions.collect`.
    roster : Path or None
        The class list; by default a course's own students, if the sources are a course's.
    sources : mapping of str to Path
        From `tools.editions.sources`.
    out : Path
        Gets ``grades.csv`` and ``feedback/<student>/<chapter>.html``; the gradebook too, unless
        there is a course, whose own is then used.

    Returns
    -------
    int
        1 if something could not be graded, which the table tells, else 0.
    """
    if why := sandbox.why_not():
        print(why, file=sys.stderr)
        return 1
    if not folder.is_dir():
        raise SystemExit(f"there is no folder {folder}")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0), marks.quiet():
            return _grade(folder, roster, sources, out)
    except Timeout:
        raise SystemExit(f"another command is grading into {out}: wait for it") from None


def _grade(folder: Path, roster: Path | None, sources: Mapping[str, Path], out: Path) -> int:
    chapters = {name: Chapter(name, notebooks.read(path)) for name, path in sources.items()}
    course = next(iter(sources.values())).resolve().parents[2]
    in_course = (course / "gradebook.db").exists()
    book = Marks(course if in_course else out)
    for chapter in chapters.values():
        book.enrol(chapter)
    students = editions.roster(roster) if roster else book.students() if in_course else []
    remembered = out / "state.json"
    state: dict[str, Any] = {"proved": {}, "written": {}}
    if remembered.exists():
        state = json.loads(remembered.read_text(encoding="utf-8"))
    marks.take_over(out / "grades.csv", state["written"], book, chapters)

    latest, strangers = submissions.collect(folder, students, chapters)
    known = {one.id: one for one in students}
    failed = _work(latest, known, chapters, book, state["proved"])
    notes = {(one.student, one.chapter): one.notes for one in latest}
    rows = []
    for student in students or book.students():
        for chapter in chapters.values():
            handed_in = notes.get((student.id, chapter.name))
            one = marks.row(book, chapter, student, handed_in or [])
            if handed_in is not None and chapter.name in failed:
                one.status, one.notes = "not graded", [failed[chapter.name]]
            rows.append(one)
            if one.marks:
                path = out / "feedback" / student.id / f"{chapter.name}.html"
                common.write_if_changed(path, marks.feedback(book, one))
    marks.write_whole(out / "grades.csv", marks.table(rows, strangers))
    # What a person changes in the table is told by comparing it with this.
    state["written"] |= {f"{one.student.id}/{one.chapter.name}": one.cells() for one in rows}
    marks.write_whole(remembered, json.dumps(state, indent=1))
    _summary(rows, strangers, failed, out)
    return 1 if failed or strangers or any(one.status == "not graded" for one in rows) else 0


def _work(
    latest: Sequence[Submission],
    students: Mapping[str, Student],
    chapters: Mapping[str, Chapter],
    book: Marks,
    proved: dict[str, str],
) -> dict[str, str]:
    """Grade what has changed, two at a time; what is wrong with which chapter."""
    shared = _shared()
    states = {n: _digest(notebooks.text(c.source), shared) for n, c in chapters.items()}
    jobs = []
    for one in latest:
        chapter = chapters[one.chapter]
        page = _page(one, chapter)
        page.metadata.mmlearn.key = _digest(states[one.chapter], one.student, notebooks.text(page))
        before = book.graded(chapter, one.student)
        if before is None or before.metadata.mmlearn.get("key") != page.metadata.mmlearn.key:
            jobs.append((one, chapter, page))
    failed: dict[str, str] = {}
    runner = Runner()
    running: dict[Future[NotebookNode], tuple[Submission, Chapter]] = {}
    with Line("grading") as line, ThreadPoolExecutor(WORKERS) as pool:
        try:
            for name in dict.fromkeys(one.chapter for one, _, _ in jobs):
                if proved.get(name) != states[name]:
                    line.show(f"trying the solutions of {name}")
                    fault = runner.fault(chapters[name])
                    if fault:  # it may be that something has to be computed and kept first
                        exercises.run([chapters[name].source], common.kernel_env("smoke"))
                        fault = runner.fault(chapters[name])
                    if fault:
                        failed[name] = f"{name}'s own solutions fail here: {fault}"
                    else:
                        proved[name] = states[name]
            for one, chapter, page in jobs:
                if chapter.name not in failed:
                    future = pool.submit(runner.run, chapter, page, one.student)
                    running[future] = (one, chapter)
            line.show(f"0 of {len(running)}")
            for done, future in enumerate(as_completed(running), 1):
                one, chapter = running[future]
                student = students.get(one.student, Student(one.student))
                book.record(chapter, student, one.when, future.result())
                line.show(f"{done} of {len(running)}")
        except BaseException:
            runner.stop()
            pool.shutdown(cancel_futures=True)
            raise
        others = ", the others have not changed" if len(running) < len(latest) else ""
        line.end(f"{len(running)} of {len(latest)} submissions{others}")
    return failed


def _page(one: Submission, chapter: Chapter) -> NotebookNode:
    """What is to be run for a submission; a blank chapter that says why if it cannot be read."""
    fault = ""
    try:
        given = submissions.read(one.path)
        if (owner := editions.owner(given)) and owner != one.student:
            one.notes.append(f"this copy was made for {owner}")
        page = submissions.restored(chapter, given)
        if names := submissions.unusual(page):
            one.notes.append(f"uses {', '.join(names)}: look at the answer")
    except UnreadableError as error:
        page, fault = submissions.restored(chapter, chapter.blank), str(error)
    page.metadata.mmlearn = NotebookNode(fault=fault)
    return page


def _shared() -> str:
    """All that every mark depends on: the package, what grades, the libraries."""
    files = [*sorted((common.ROOT / "mmlearn").rglob("*.py")), common.ROOT / "data/sources.txt"]
    files += [Path(__file__).with_name(name) for name in ("grading.py", "cells.py", "sandbox.py")]
    libraries = [version(name) for name in ("numpy", "torch", "scikit-learn", "nbgrader")]
    texts = [file.read_text(encoding="utf-8") for file in files if file.exists()]
    return _digest(*texts, *libraries, sys.version)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _summary(
    rows: Sequence[Row],
    strangers: Sequence[tuple[Path, str]],
    failed: Mapping[str, str],
    out: Path,
) -> None:
    """Say what became of the class, and what a person has to look at."""
    counts = Counter(one.status for one in rows)
    says = {"graded": "graded", "waiting": "wait for a person", "not graded": "not graded",
            "missing": "missing"}  # fmt: skip
    print(", ".join(f"{counts[status]} {text}" for status, text in says.items() if counts[status]))
    for one in rows:
        if one.status == "not graded":
            print(f"NOT GRADED {one.student.id}, {one.chapter.name}: {'; '.join(one.notes)}")
    for path, why in strangers:
        print(f"NOT GRADED {submissions.clean(path.name)}: {why}")
    for fault in failed.values():
        print(f"FAULT {fault}")
    print(f"The table: {out / 'grades.csv'}\nFeedback: {out / 'feedback'}")
