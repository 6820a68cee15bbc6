"""Execute the chapters, keep their outputs, and leave alone what has not changed.

Each chapter runs through papermill in a process of its own, with one thread. What a run
depended on is kept beside it: while none of it changes, the chapter is not run again, and only
its prose is brought up to date.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import datetime
import hashlib
import importlib.metadata
import json
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbformat import NotebookNode
from tqdm import tqdm

from tools import common, notebooks

CHAPTER_TIMEOUT = 600  # seconds; a chapter that takes longer hangs
BUDGET_SECONDS = {"smoke": 20, "default": 60, "full": 900}
BUDGET_MB = 2048

# The libraries whose versions can change a result: distribution -> name it is imported by.
LIBRARIES = {
    "accelerate": "accelerate",
    "captum": "captum",
    "jiwer": "jiwer",
    "librosa": "librosa",
    "lime": "lime",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "optuna": "optuna",
    "pandas": "pandas",
    "pillow": "PIL",
    "sacrebleu": "sacrebleu",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "shap": "shap",
    "torch": "torch",
    "torchvision": "torchvision",
    "tokenizers": "tokenizers",
    "transformers": "transformers",
}

# Appended to the copy that runs, never to a notebook of ours: tells what the run has loaded.
REPORT_MIME = "application/vnd.mmlearn.report+json"
REPORT = f"""
def _report():
    import sys
    from IPython.display import display

    try:
        import resource
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak_mb = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    except ImportError:
        import psutil
        peak_mb = psutil.Process().memory_info().peak_wset / 2**20
    loaded = {{
        "peak_mb": round(peak_mb),
        "modules": sorted(
            module.__file__
            for name, module in sys.modules.items()
            if name.split(".")[0] == "mmlearn" and getattr(module, "__file__", None)
        ),
        "libraries": [d for d, name in {LIBRARIES!r}.items() if name in sys.modules],
    }}
    display({{{REPORT_MIME!r}: loaded}}, raw=True)

_report()
"""


class ChapterError(Exception):
    """A chapter did not run to its end; the message says where and why."""


@dataclass(frozen=True)
class Job:
    """One chapter to be executed in one way."""

    chapter: str
    profile: str = "default"
    null: bool = False

    @property
    def source(self) -> Path:
        """The author's notebook."""
        return common.notebook_path(self.chapter, common.BOOK)

    @property
    def executed(self) -> Path:
        """Where the notebook with its outputs goes."""
        return common.notebook_path(self.chapter, folder(self.profile, self.null))

    @property
    def sidecar(self) -> Path:
        """Where it is kept what the run depended on, and what it took."""
        kind = "null" if self.null else self.profile
        return common.BUILD / "cache" / kind / f"{self.chapter}.json"

    @property
    def failed(self) -> Path:
        """Where a notebook that stopped is kept for inspection."""
        return common.notebook_path(self.chapter, common.BUILD / "failed")


def folder(profile: str = "default", null: bool = False) -> Path:
    """The folder of executed notebooks for a profile."""
    if null:
        return common.BUILD / "null"
    return common.EXECUTED if profile == "default" else common.BUILD / profile


# --- what a run depended on -------------------------------------------------------------------

_ALWAYS = ("code", "profile", "data/sources.txt")  # besides the modules and libraries it loads


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def fingerprint(job: Job, name: str) -> str:
    """The present state of one thing that a run can depend on; empty if it is gone.

    Parameters
    ----------
    job : Job
        Whose run it is.
    name : str
        ``code`` (the notebook's code cells), ``profile``, a file's path from the project's
        root, ``python``, or the name of a distribution.
    """
    if name == "code":
        try:
            cells = notebooks.cells(notebooks.read(job.source), "code")
        except notebooks.NotebookError:
            return ""
        parts = [[c.get("id"), c.source, "parameters" in notebooks.tags(c)] for _, c in cells]
        return _digest(json.dumps(parts).encode())
    if name == "profile":
        return f"{job.profile}{' null' if job.null else ''}"
    if name == "python":
        return platform.python_version()
    if "/" in name:
        # Line ends are those of the checkout, not of the content.
        path = common.ROOT / name
        return _digest(path.read_bytes().replace(b"\r\n", b"\n")) if path.exists() else ""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def changed(job: Job) -> list[str]:
    """What has changed since the chapter last ran; ``["never run"]`` if it never has."""
    try:
        depends = json.loads(job.sidecar.read_text(encoding="utf-8"))["depends"]
        notebooks.read(job.executed)
    except (OSError, ValueError, KeyError):
        return ["never run"]  # or what it left is damaged
    return [name for name, state in depends.items() if fingerprint(job, name) != state]


# --- one run ----------------------------------------------------------------------------------


@dataclass
class _Running:
    """A chapter that papermill is executing, with what has to be known before it starts."""

    job: Job
    scratch: Path
    source: NotebookNode = field(init=False)
    process: subprocess.Popen[bytes] = field(init=False)
    before: dict[str, str] = field(init=False)
    started: float = field(init=False)

    def __post_init__(self) -> None:
        job = self.job
        self.source = notebooks.read(job.source)
        for number, cell in notebooks.cells(self.source):
            if "id" not in cell:
                raise ChapterError(f"{job.chapter}: {notebooks.name(number, cell)} has no id")
        # Fingerprints from before the run: a file saved while it runs then counts as changed.
        package = sorted((common.ROOT / "mmlearn").rglob("*.*"))
        kept = [file.relative_to(common.ROOT).as_posix() for file in package]
        names = [*_ALWAYS, *(name for name in kept if not name.endswith(".pyc"))]
        self.before = {name: fingerprint(job, name) for name in names}
        copied = copy.deepcopy(self.source)
        copied.cells.append(nbformat.v4.new_code_cell(REPORT))
        self.scratch.mkdir(parents=True)
        notebooks.write(copied, self.scratch / "in.ipynb")
        # The profile goes by the environment; only NULL has to be set in the notebook itself.
        command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb"]
        command += ["--cwd", str(job.source.parent), "--no-progress-bar", "--log-level", "ERROR"]
        command += ["--start-timeout", "120", *(["-p", "NULL", "True"] if job.null else [])]
        with (self.scratch / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.scratch,
                env=common.kernel_env(job.profile),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.started = time.monotonic()

    def finish(self) -> dict[str, Any]:
        """Store what the run has left; what is known about it.

        Raises
        ------
        ChapterError
            If the chapter stopped before its end.
        """
        ran = self._output()
        if self.process.returncode or ran is None:
            raise ChapterError(self._why(ran))
        shown = [output for output in ran.cells[-1].get("outputs", []) if "data" in output]
        if not (report := shown[0].data.get(REPORT_MIME) if shown else None):
            raise ChapterError(self._why(ran))
        loaded = [self._own(Path(file)) for file in report["modules"]]
        # Which modules it loaded is known; of the data files that they read, all are taken.
        depends = {n: s for n, s in self.before.items() if n in loaded or not n.endswith(".py")}
        versions = {n: fingerprint(self.job, n) for n in ["python", *report["libraries"]]}
        record = {
            "seconds": round(ran.metadata.papermill.duration, 1),
            "peak_mb": report["peak_mb"],
            "versions": versions,
            "executed": datetime.date.today().isoformat(),
            "depends": depends | versions,
        }
        notebooks.write(merged(self.source, ran), self.job.executed)
        common.write_if_changed(self.job.sidecar, json.dumps(record, indent=1) + "\n")
        self.job.failed.unlink(missing_ok=True)
        return record

    def _output(self) -> NotebookNode | None:
        try:
            return notebooks.read(self.scratch / "out.ipynb")
        except (OSError, ValueError):  # papermill was stopped before or while it wrote
            return None

    def _own(self, file: Path) -> str:
        """A loaded module's path from the root; it has to be the one that stands here."""
        with contextlib.suppress(ValueError):
            name = file.resolve().relative_to(common.ROOT.resolve()).as_posix()
            if name in self.before:
                return name
        raise ChapterError(f"{self.job.chapter} loaded mmlearn from {file}, not {common.ROOT}")

    def _why(self, ran: NotebookNode | None, late: bool = False) -> str:
        """Chapter, cell and traceback of a run that stopped; keeps its notebook."""
        chapter = self.job.chapter
        log = (self.scratch / "log").read_text(encoding="utf-8", errors="replace").strip()
        if ran is None:
            return f"{chapter} could not be started:\n{log}"
        # papermill puts a banner and injected cells in between: count in the author's notebook.
        begun = [c for c in ran.cells if c.metadata.get("papermill", {}).get("start_time")]
        numbers = {c.id: n for n, c in notebooks.cells(self.source)}
        where = "its end"
        if begun and begun[-1].id in numbers:
            where = notebooks.name(numbers[begun[-1].id], begun[-1])
        ran.cells = [c for c in ran.cells if c.source != REPORT]
        notebooks.write(ran, self.job.failed)
        kept = f"The notebook as far as it ran: {self.job.failed}"
        if late:
            return f"{chapter} did not end in {CHAPTER_TIMEOUT} s; it hangs at {where}.\n{kept}"
        errors = [o for c in begun[-1:] for o in c.get("outputs", []) if o.output_type == "error"]
        what = "\n".join(errors[-1].traceback) if errors else log
        what = what or "it ended before the last cell"
        return f"{chapter} stopped at {where}:\n{what}\n{kept}"

    def give_up(self) -> str:
        """End a run that takes too long; the message for it."""
        self.kill()
        return self._why(self._output(), late=True)

    def kill(self) -> None:
        """End papermill and its kernel."""
        try:
            parent = psutil.Process(self.process.pid)
            family = [*parent.children(recursive=True), parent]
        except psutil.NoSuchProcess:
            family = []
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=10)
        self.process.wait()


def merged(source: NotebookNode, ran: NotebookNode) -> NotebookNode:
    """The author's notebook with the outputs of a run, and nothing else of the run.

    Times, paths and papermill's own cells stay behind; pieces of one stream, which arrive cut
    differently each time, are joined.
    """
    page = copy.deepcopy(source)
    by_id = {cell.id: cell for cell in ran.cells if cell.cell_type == "code"}
    for _, cell in notebooks.cells(page, "code"):
        cell.execution_count = by_id[cell.id].execution_count
        cell.outputs = []
        for output in copy.deepcopy(by_id[cell.id].outputs):
            last = cell.outputs[-1] if cell.outputs else NotebookNode(output_type="")
            if output.output_type == last.output_type == "stream" and output.name == last.name:
                last.text += output.text
            else:
                cell.outputs.append(output)
    return page


# --- all runs ---------------------------------------------------------------------------------


def execute(
    chapters: Sequence[str],
    profile: str = "default",
    null: bool = False,
    workers: int = 2,
) -> int:
    """Bring the executed notebooks of some chapters up to date.

    Parameters
    ----------
    chapters : sequence of str
        From `tools.common.chapters`.
    profile : str
        ``smoke``, ``default`` or ``full``.
    null : bool
        Run with ``NULL = True``: the relation that is to be learnt is destroyed.
    workers : int
        How many chapters run at a time.

    Returns
    -------
    int
        0, or 1 if a chapter stopped; then no further chapter is run.
    """
    _forget_strangers(folder(profile, null))
    jobs = [Job(chapter, profile, null) for chapter in chapters]
    ok = True
    bar = tqdm(total=len(jobs), unit="chapter", disable=None, leave=False)
    width = max(map(len, chapters), default=0)

    def line(job: Job, says: str) -> None:
        tqdm.write(f"{job.chapter:<{width}}  {says}", file=sys.stdout)
        sys.stdout.flush()
        bar.update()

    waiting: list[Job] = []
    for job in jobs:
        if changed(job):
            # From here on there is no executed notebook that could pass for a fresh one.
            job.executed.unlink(missing_ok=True)
            job.sidecar.unlink(missing_ok=True)
            waiting.append(job)
        else:
            page = merged(notebooks.read(job.source), notebooks.read(job.executed))
            notebooks.write(page, job.executed)
            line(job, "unchanged")

    running: list[_Running] = []
    with tempfile.TemporaryDirectory() as scratch, _terminable():
        try:
            while ok and (waiting or running):
                while waiting and len(running) < workers:
                    job = waiting.pop(0)
                    running.append(_Running(job, Path(scratch) / job.chapter))
                bar.set_postfix_str(", ".join(run.job.chapter for run in running))
                time.sleep(0.1)
                for run in list(running):
                    if run.process.poll() is not None:
                        running.remove(run)
                        took = run.finish()
                        line(run.job, f"{took['seconds']:6.1f} s  {took['peak_mb']:5} MB")
                    elif time.monotonic() - run.started > CHAPTER_TIMEOUT:
                        running.remove(run)
                        raise ChapterError(run.give_up())
        except (ChapterError, notebooks.NotebookError) as error:
            ok = False
            tqdm.write(_plain(str(error)), file=sys.stdout)
        finally:
            for run in running:
                run.kill()
            bar.close()
            if profile == "default" and not null:
                _write_json("claims", claims(common.chapters()))
                _write_json("times", times(common.chapters()))
    return 0 if ok else 1


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let a request to terminate end the kernels too, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _plain(message: str) -> str:
    """The message without colours, unless a terminal shows it."""
    return message if sys.stdout.isatty() else re.sub(r"\x1b\[[0-9;]*m", "", message)


def _forget_strangers(executed: Path) -> None:
    """Remove the executed notebooks of chapters that are no more."""
    known = {common.notebook_path(chapter, executed) for chapter in common.chapters()}
    for path in set(executed.rglob("*.ipynb")) - known:
        path.unlink()


# --- what the runs have left ------------------------------------------------------------------


def claims(
    chapters: Iterable[str], profile: str = "default", null: bool = False
) -> list[dict[str, Any]]:
    """Every claim of the chapters whose executed notebooks are fresh, in reading order."""
    names = ["sentence", "value", "bound", "interval", "unit", "holds", "simulated", "null_safe"]
    names += ["null"] if null else []
    return [
        {"chapter": chapter} | {name: output.data[notebooks.CLAIM_MIME][name] for name in names}
        for chapter in chapters
        if not changed(job := Job(chapter, profile, null))
        for _, cell in notebooks.cells(notebooks.read(job.executed), "code")
        for output in cell.outputs
        if notebooks.CLAIM_MIME in output.get("data", {})
    ]


def times(chapters: Iterable[str], profile: str = "default") -> list[dict[str, Any]]:
    """What each fresh chapter took: seconds, peak memory, with which versions, and when."""
    found = []
    for chapter in chapters:
        job = Job(chapter, profile)
        if not changed(job):
            record = json.loads(job.sidecar.read_text(encoding="utf-8"))
            del record["depends"]
            found.append({"chapter": chapter, "profile": profile} | record)
    return found


def _write_json(name: str, content: list[dict[str, Any]]) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    common.write_if_changed(common.BUILD / f"{name}.json", text)


def over_budget(times: Iterable[dict[str, Any]]) -> list[str]:
    """A message for each chapter that takes too long or too much memory."""
    found = []
    for row in times:
        limit = BUDGET_SECONDS[row["profile"]]
        if row["seconds"] > limit:
            found.append(f"{row['chapter']} takes {row['seconds']:.0f} s; its budget is {limit} s")
        if row["peak_mb"] > BUDGET_MB:
            found.append(
                f"{row['chapter']} takes {row['peak_mb']} MB; its budget is {BUDGET_MB} MB"
            )
    return found


def faults(chapters: Iterable[str], profile: str = "default") -> list[str]:
    """What is wrong with executed notebooks, although every chapter ran to its end.

    A chapter not executed or no longer fresh, a code cell that did not run, a warning or another
    text on stderr, an output that holds a path of this machine or an address in memory.
    """
    found = []
    for chapter in chapters:
        job = Job(chapter, profile)
        if why := changed(job):
            found.append(f"{chapter} is not executed as it stands; changed: {', '.join(why)}")
            continue
        for number, cell in notebooks.cells(notebooks.read(job.executed), "code"):
            where = f"{chapter}, {notebooks.name(number, cell)}"
            if cell.execution_count is None and cell.source.strip():
                found.append(f"{where} was not executed")
            found += [f"{where}: {what}" for o in cell.outputs for what in _untidy(o)]
    return found


def _untidy(output: NotebookNode) -> list[str]:
    """What an output holds that no reader should see, or that differs on every machine."""
    shown = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
    content = output.get("text", "") + json.dumps(shown, ensure_ascii=False)
    content = re.sub(r"base64,[\w+/=]+", "", content)
    found = []
    if output.output_type == "stream" and output.name == "stderr":
        found.append(f"it writes to stderr: {output.text.strip()[:200]!r}")
    if match := re.search(r"\b0x[0-9a-f]{8,}", content):
        found.append(f"its output holds an address in memory, {match[0]}")
    for path in {str(common.ROOT), str(Path.home()), tempfile.gettempdir()}:
        # A home of "/" or "/root" is too short to tell from other text.
        if re.search(rf"{re.escape(path)}[/\\]", content) and len(path) > 3:
            found.append(f"its output holds a path of this machine, {path}")
    return found


# --- falsification ----------------------------------------------------------------------------


def falsified(claims: Iterable[dict[str, Any]], chapters: Iterable[str] = ()) -> list[str]:
    """What is wrong with claims that were measured on destroyed relations.

    A claim that still holds although nothing in it is ``null_safe``; a claim that was measured on
    the relation as it is; a chapter none of whose claims failed.
    """
    claims = list(claims)
    found = []
    for c in claims:
        where = f"{c['chapter']}: “{c['sentence']}”"
        if not c["null"]:
            found.append(f"{where} was measured with NULL = False: pass NULL to mm.start")
        elif c["holds"] and not c["null_safe"]:
            found.append(f"{where} holds with shuffled labels as well: it says nothing")
    for chapter in dict.fromkeys([*chapters, *(c["chapter"] for c in claims)]):
        if all(c["holds"] for c in claims if c["chapter"] == chapter):
            found.append(f"{chapter} has no claim that fails with shuffled labels")
    return found


def falsify(chapters: Sequence[str], profile: str = "default") -> int:
    """Run chapters with destroyed relations, and print what becomes of each claim.

    Returns
    -------
    int
        0 if every claim fails that should, else 1.
    """
    if execute(chapters, profile, null=True):
        return 1
    measured = claims(chapters, profile, null=True)
    for c in measured:
        ((side, bound),) = c["bound"].items()
        verdict = "holds" if c["holds"] else "fails"
        safe = f"; may hold: {c['null_safe']}" if c["null_safe"] else ""
        value = "not finite" if c["value"] is None else f"{c['value']:.3g}"
        print(
            f"{verdict}  {c['chapter']}  {c['sentence']}: {value} {c['unit']}".rstrip()
            + f" ({side.replace('_', ' ')} {bound:.3g}{safe})"
        )
    found = falsified(measured, chapters)
    for fault in found:
        print(f"FAULT {fault}")
    print(f"{len(measured)} claims with shuffled labels, {len(found)} faults")
    return 1 if found else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m tools.execute``: see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m tools.execute", description="Run chapters.")
    parser.add_argument("--chapters", default="", help="which; all by default")
    parser.add_argument("--profile", default="default", choices=list(BUDGET_SECONDS))
    parser.add_argument("--null", action="store_true", help="with shuffled labels")
    parser.add_argument("--workers", type=int, default=2, help="how many at a time")
    given = parser.parse_args(arguments)
    try:
        return execute(common.chapters(given.chapters), given.profile, given.null, given.workers)
    except KeyboardInterrupt:
        print("interrupted; what had ended is kept")
        return 130


if __name__ == "__main__":
    sys.exit(main())
