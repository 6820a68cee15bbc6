"""`make test`: everything that is checked, one stage after another, with a table at the end."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tools import colab, commands, common, execute, form, notebooks, offline, site, sync
from tools.browser import NO_BROWSER, find_browser
from tools.progress import Line, Status, run, tail

LOGS = common.BUILD / "logs" / "test"
TWO = ["-n", "2", "--dist", "loadfile"]  # as many as the least machine has cores
LINT = [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]]


@dataclass
class Result:
    """How a stage ended, and what its tests came to."""

    name: str
    verdict: str = "good"  # or FAILED, or not run
    seconds: float = 0.0
    note: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def check(chapters: Sequence[str]) -> int:
    """Run every stage, also after one that failed; 0 if all is well, else 1."""
    os.environ["CHAPTERS"] = " ".join(chapters)  # for the notebooks' tests
    results = [_environment()]
    if commands.fetch([]):  # all there is: the package's tests load it, with no network
        return 1
    if not offline.prefix():
        print("This machine cannot take the network from a process: everything runs with it.")

    def step(name: str) -> list[list[str]]:
        return [["tools.check", name, *chapters]]

    results.append(_stage("lint", LINT))
    results.append(_pytest("package", [*TWO, "tests/package"], alone=True))
    results.append(_pytest("tools", [*TWO, "tests/tools"]))
    results.append(_stage("form", step("form")))
    results.append(_nbval(chapters))
    results.append(executed := _stage("chapters", step("execute"), alone=True))
    slow = execute.over_budget(execute.times(chapters))
    executed.note = "; ".join(filter(None, [executed.note, *slow]))
    results.append(_pytest("notebooks", ["tests/notebooks"], alone=True))
    results.append(proven := _stage("colab", step("colab"), alone=True))
    if proven.verdict == "good":
        proven.note = tail(LOGS / "colab.log", 1).strip()
    if missing := [c for c in common.chapters() if not _executed(c).exists()]:
        why = f"not executed: {', '.join(missing)}"
        results += [Result("site", "not run", note=why), Result("pages", "not run", note=why)]
    else:
        results.append(_stage("site", step("site")))
        results.append(_pytest("pages", ["tests/site"]))
    return report(results)


def report(results: Sequence[Result]) -> int:
    """Print a table of the stages and the closing line; 0 if none failed, else 1."""
    print()
    for result in results:
        tests = f"{result.passed} passed" if result.passed else ""
        tests += f", {result.failed} failed" if result.failed else ""
        tests += f", {result.skipped} skipped" if result.skipped else ""
        line = f"{result.name:<12} {result.verdict:<8} {result.seconds:7.1f} s  {tests}"
        print(f"{line}  {result.note}".rstrip())
    passed, skipped = sum(r.passed for r in results), sum(r.skipped for r in results)
    # A stage that is no test run, or that stopped before a test could fail, counts as one.
    failed = sum(max(r.failed, 1) for r in results if r.verdict == "FAILED")
    print(f"{'':<21} {sum(r.seconds for r in results):7.1f} s in all\n")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


# --- stages -----------------------------------------------------------------------------------


def _environment() -> Result:
    """What the environment took before this process began, and the browser."""
    start = time.monotonic() - float(os.environ.get("MMLEARN_ENVIRONMENT_SECONDS", 0))
    note = "" if find_browser() else NO_BROWSER
    return Result("environment", seconds=time.monotonic() - start, note=note)


def _stage(
    name: str,
    modules: Sequence[Sequence[str]],
    alone: bool = False,
    profile: str = "default",
    status: Status | None = None,
) -> Result:
    """Run Python modules with their arguments, until one fails; `alone`: without a network."""
    log = LOGS / f"{name}.log"
    log.unlink(missing_ok=True)
    with Line(name) as line:
        for module in modules:
            command = [*(offline.prefix() if alone else []), sys.executable, "-m", *module]
            if run(command, line, log, status, common.kernel_env(profile), common.ROOT):
                line.end("FAILED")
                print(tail(log), flush=True)
                return Result(name, "FAILED", line.seconds, f"see {log}")
        line.end("good")
        return Result(name, "good", line.seconds)


def _pytest(
    name: str, arguments: Sequence[str], alone: bool = False, profile: str = "default"
) -> Result:
    """Run pytest; its counts come from the report that it leaves."""
    counts = LOGS / f"{name}.xml"
    counts.unlink(missing_ok=True)
    command = ["pytest", "-v", "--tb=short", "--color=no", f"--junitxml={counts}", *arguments]
    result = _stage(name, [command], alone, profile, PytestStatus())
    if counts.exists():
        cases = outcomes(counts).values()
        result.passed = sum(case == "passed" for case in cases)
        result.skipped = sum(case == "skipped" for case in cases)
        result.failed = len(cases) - result.passed - result.skipped
    return result


def _nbval(chapters: Sequence[str]) -> Result:
    """Run the chapters as they stand, in smoke, and compare what they stored."""
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300"]
    if len(chapters) > 1:
        options += TWO
    paths = [str(common.notebook_path(chapter, common.BOOK)) for chapter in chapters]
    result = _pytest("nbval", [*options, *paths], alone=True, profile="smoke")
    if result.verdict == "good":
        faults = uncompared(chapters, outcomes(LOGS / "nbval.xml"), common.BOOK)
        result.verdict = "FAILED" if faults else "good"
        print("".join(f"    {fault}\n" for fault in faults), end="", flush=True)
    return result


class PytestStatus:
    """How far pytest is, from its percentages."""

    def __init__(self) -> None:
        self.text, self.failed = "collecting", 0

    def __call__(self, text: str | None) -> str:
        if text and (found := re.search(r"\[ *(\d+)%\]", text)):
            # A word of pytest's own, not one in a test's name.
            self.failed += bool(re.search(r"\b(FAILED|ERROR)\s+\[|%\] (FAILED|ERROR)\b", text))
            self.text = f"{found[1]}%" + (f", {self.failed} failed" if self.failed else "")
        return self.text


# --- what the runs have to have done ----------------------------------------------------------


def outcomes(report: Path) -> dict[tuple[str, str], str]:
    """What became of each test in a report in JUnit's format: passed, failure, error, skipped."""
    found: dict[tuple[str, str], str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        bad = {child.tag for child in case} & {"failure", "error", "skipped"}
        key = (case.get("classname", ""), case.get("name", ""))
        found[key] = min(bad, default="passed")
    return found


def uncompared(chapters: Sequence[str], cases: dict[tuple[str, str], str], book: Path) -> list[str]:
    """The chapters in which nbval compared no stored output.

    It compares a cell that is tagged for it, has run (it has an execution count) and has an
    output; and it has to have run that cell here.
    """
    faults = []
    for chapter in chapters:
        cells = notebooks.cells(notebooks.read(common.notebook_path(chapter, book)), "code")
        compared = [
            index
            for index, (_, cell) in enumerate(cells)
            if "nbval-check-output" in notebooks.tags(cell)
            and cell.execution_count is not None
            and cell.outputs
            and cases.get((f"book.{chapter.replace('/', '.')}.ipynb", f"Cell {index}")) == "passed"
        ]
        if not compared:
            faults.append(f"{chapter}: nbval compared no stored output")
    return faults


def misplaced(chapters: Sequence[str], book: Path, executed: Path) -> list[str]:
    """Where the notebooks that are written, listed in `_toc.yml` and executed are not the same.

    Parameters
    ----------
    chapters : sequence of str
        Those that were to be executed.
    book, executed : Path
        Where the authors' notebooks and the executed ones lie.
    """
    listed = set(common.chapters())
    written, ran = (
        {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.ipynb")}
        for folder in (book, executed)
    )
    written = {name for name in written if ".ipynb_checkpoints" not in name}
    return [
        *(f"{name} is not in _toc.yml" for name in sorted(written - listed)),
        *(f"{name} was executed, but is not in _toc.yml" for name in sorted(ran - listed)),
        *(f"{name} was not executed" for name in sorted(set(chapters) - ran)),
    ]


# --- steps that run in a process of their own -------------------------------------------------


def _form(chapters: list[str]) -> int:
    faults = form.check(chapters)
    print("\n".join(faults))
    return max(sync.main(check=True, chapters=chapters), 1 if faults else 0)


def _execute(chapters: list[str]) -> int:
    if code := execute.execute(chapters):
        return code
    faults = [*misplaced(chapters, common.BOOK, common.EXECUTED), *execute.faults(chapters)]
    print("\n".join(faults))
    return 1 if faults else 0


def _executed(chapter: str) -> Path:
    return common.notebook_path(chapter, common.EXECUTED)


STEPS: dict[str, Callable[[list[str]], int]] = {
    "form": _form,
    "execute": _execute,
    "colab": colab.prove,
    "site": lambda _: site.build(),
}

if __name__ == "__main__":
    sys.exit(STEPS[sys.argv[1]](sys.argv[2:]))
