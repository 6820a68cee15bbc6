"""What `make` can do: every command of the book, each calling the tool that does it.

Only the standard library is imported up here: what stands in `.venv` is imported inside the
commands, which run there.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import environment
from tools.environment import ROOT
from tools.progress import Line, run, tail

BUILD = ROOT / "_build"
SITE = BUILD / "html"
COURSE, GRADES = "course", "grades"  # in BUILD; they hold marks, which no command removes


@dataclass(frozen=True)
class Command:
    """A command: what it says about itself, and whether it runs in `.venv`."""

    call: Callable[[argparse.Namespace], int]
    help: str
    inside: bool = True


def main(arguments: list[str]) -> int:
    """Run one command, in the environment if it needs that; the exit code."""
    given = _parser().parse_args(arguments)
    command = COMMANDS[given.command]
    if command.inside:
        seconds = environment.ensure()
        if seconds:
            os.environ["MMLEARN_ENVIRONMENT_SECONDS"] = f"{seconds:.1f}"  # for the last table
        if not environment.inside():
            return environment.again_inside(arguments)
        environment.first_on_path()
    return command.call(given)


def _parser() -> argparse.ArgumentParser:
    table = "\n".join(f"  {name:<9} {command.help}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python3 -m tools",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage='make COMMAND [CHAPTERS="..."], or python3 -m tools COMMAND [--chapters "..."]',
        description=f"commands:\n{table}",
        epilog="CHAPTERS: paths (2_optimisation/gradient_descent), names (gradient_descent) or "
        "parts (2_optimisation); all chapters if empty.",
    )
    parser.add_argument(
        "command", nargs="?", default="help", choices=COMMANDS, help=argparse.SUPPRESS
    )
    parser.add_argument("--chapters", default="", help="which chapters")
    parser.add_argument(
        "--solutions", choices=("yes", "no"), default="yes", help="book: show the solutions"
    )
    parser.add_argument("--check", action="store_true", help="sync: change nothing, only compare")
    parser.add_argument(
        "--outputs", action="store_true", help="sync: run, and store what agreement cells print"
    )
    parser.add_argument(
        "--class", dest="roster", default="", metavar="CSV", help="course, grade: the class list"
    )
    parser.add_argument("--course", default="", help="course, grade: the course's folder")
    parser.add_argument("--submissions", default="", metavar="FOLDER", help="grade: what is graded")
    parser.add_argument("--port", type=int, default=8000, help="serve: where")
    parser.add_argument("--fresh", action="store_true", help="colab: install the newest versions")
    parser.add_argument("--all", action="store_true", help="clean: the environment too")
    return parser


def help_(given: argparse.Namespace) -> int:
    """Say what there is."""
    _parser().print_help()
    return 0


def book(given: argparse.Namespace) -> int:
    """Fetch the data, execute the chapters, build the site."""
    from tools import execute, site
    from tools.common import chapters

    names = chapters(given.chapters)
    took = []
    if seconds := os.environ.get("MMLEARN_ENVIRONMENT_SECONDS"):
        took.append(("environment", float(seconds)))
    stages: list[tuple[str, Callable[[], int]]] = [
        ("data", lambda: fetch_for(names)),
        ("chapters", lambda: execute.execute(names)),
        ("site", lambda: site.build(solutions=given.solutions == "yes")),
    ]
    for name, call in stages:
        start = time.monotonic()
        try:
            code = call()
        except site.NotExecuted as error:
            print(error, file=sys.stderr)
            code = 1
        if code:
            return code
        took.append((name, time.monotonic() - start))
    print("\n" + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took))
    print(f"The book: {SITE / 'index.html'}\nopen it as it is, or serve it: {_say('serve')}")
    return 0


def pdf(given: argparse.Namespace) -> int:
    """Execute what changed, build the site, print it, and link the print from the site."""
    if code := book(given):
        return code
    from tools import pdf, site
    from tools.common import PDF

    code = pdf.build() or site.build(solutions=given.solutions == "yes")
    if not code:
        print(f"As one file: {PDF}")
    return code


def fetch(names: Sequence[str]) -> int:
    """Fetch data sets and encoders by name, all if none is named; an exit code."""
    log = BUILD / "logs" / "data.log"
    log.unlink(missing_ok=True)
    with Line("data") as line:
        code = run([sys.executable, "-m", "mmlearn", "fetch", *names], line, log, cwd=ROOT)
        if code:
            line.clear()
            print(f"The data could not be fetched:\n{tail(log)}", file=sys.stderr)
        else:
            line.end("ready")
    return code


def fetch_for(chapters: Sequence[str]) -> int:
    """Fetch what the chapters use; an exit code."""
    names = data_names(chapters)
    return fetch(names) if names else 0


def data_names(chapters: Sequence[str]) -> list[str]:
    """The data sets and encoders that chapters ask `mm.data` for, by the names in their code."""
    from tools import notebooks
    from tools.common import notebook_path

    asks = re.compile(r"\bdata\.(?:(?:load|encoder|encode)\(\s*[\"'](\w+)[\"']|(voices)\()")
    return sorted(
        {
            named or voices
            for chapter in chapters
            for _, cell in notebooks.cells(notebooks.read(notebook_path(chapter)), "code")
            for named, voices in asks.findall(cell.source)
        }
    )


def test(given: argparse.Namespace) -> int:
    """Check everything."""
    from tools import check
    from tools.common import chapters

    return check.check(chapters(given.chapters))


def falsify(given: argparse.Namespace) -> int:
    """Run the chapters on destroyed relations: every claim has to fail."""
    from tools import execute
    from tools.common import chapters

    names = chapters(given.chapters)
    return fetch_for(names) or execute.falsify(names)


def student(given: argparse.Namespace) -> int:
    """Write the students' edition: the chapters without solutions and hidden tests."""
    from tools import editions
    from tools.common import chapters

    return editions.student(chapters(given.chapters))


def course(given: argparse.Namespace) -> int:
    """Make a course for nbgrader, with each student's own numbers, or add to one."""
    if not given.roster:
        raise SystemExit(f"Say who is in the class: {_say('course', **{'class': 'class.csv'})}")
    from tools import editions
    from tools.common import chapters

    students = editions.roster(Path(given.roster).expanduser())
    return editions.course(chapters(given.chapters), students, _course(given))


def grade(given: argparse.Namespace) -> int:
    """Grade submissions, each confined, against a course or the book's chapters."""
    if not given.submissions:
        raise SystemExit(f"Say where they are: {_say('grade', submissions='folder')}")
    from tools import editions, grading
    from tools.common import chapters

    folder = _course(given)
    sources = editions.sources(given.chapters, folder if given.course or folder.exists() else None)
    graded = [c for c in chapters(given.chapters) if editions.assignment(c) in sources]
    submissions, roster = (Path(n).expanduser() for n in (given.submissions, given.roster))
    out = (folder if given.course else BUILD) / GRADES
    return fetch_for(graded) or grading.grade(
        submissions, roster if given.roster else None, sources, out
    )


def _course(given: argparse.Namespace) -> Path:
    """The course's folder."""
    return Path(given.course).expanduser() if given.course else BUILD / COURSE


def serve(given: argparse.Namespace) -> int:
    """Serve the site to this machine, until Ctrl-C."""
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    if not (SITE / "index.html").exists():
        print(f"There is no site yet: {_say('book')} builds it.", file=sys.stderr)
        return 1
    handler = partial(SimpleHTTPRequestHandler, directory=SITE)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", given.port), handler)
    except OSError as error:
        print(f"Port {given.port} is not free ({error.strerror}): choose another, "
              f"{_say('serve', port=given.port + 1)}", file=sys.stderr)  # fmt: skip
        return 1
    with server:
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C stops it)", flush=True)
        server.serve_forever()
    return 0


def lab(given: argparse.Namespace) -> int:
    """Open the chapters in JupyterLab."""
    return environment.become([sys.executable, "-m", "jupyterlab", str(ROOT / "book")])


def sync(given: argparse.Namespace) -> int:
    """Write the package's definitions into the chapters that show them."""
    from tools import sync
    from tools.common import chapters

    return sync.main(given.check, chapters(given.chapters), given.outputs)


def colab(given: argparse.Namespace) -> int:
    """Run the chapters in a clean environment with what Colab brings."""
    from tools import colab
    from tools.common import chapters

    names = chapters(given.chapters)
    return fetch_for(names) or colab.prove(names, given.fresh)


def bench(given: argparse.Namespace) -> int:
    """Time the package beside its peers, which are installed in a place of their own."""
    import sysconfig
    import tomllib

    from tools.common import kernel_env

    place = BUILD / "peers"
    base = {"base": str(place), "platbase": str(place)}
    python, packages = (Path(sysconfig.get_path(n, "venv", base)) for n in ("scripts", "purelib"))
    python /= Path(sys.executable).name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    peers = project["optional-dependencies"]["bench"]
    # What stands in .venv is in reach, and stays as it is.
    own = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    stamp, made = place / "complete", "\n".join([sys.version, own, *peers])
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != made:
        log = BUILD / "logs" / "bench.log"
        install = [python, "-m", "pip", "install", "--no-input", "--progress-bar", "off", *peers]
        with Line("peers") as line:
            code = run([sys.executable, "-m", "venv", "--clear", place], line, log, cwd=ROOT)
            if not code:
                (packages / "book.pth").write_text(own, encoding="utf-8")
                code = run(install, line, log, cwd=ROOT)
            if code:
                line.clear()
                print(f"The peers could not be installed:\n{tail(log)}", file=sys.stderr)
                return code
            stamp.write_text(made, encoding="utf-8")
            line.end("ready")
    command = [str(python), "-m", "benchmarks"]
    return fetch(["newsgroups"]) or subprocess.call(command, cwd=ROOT, env=kernel_env("default"))


def lock(given: argparse.Namespace) -> int:
    """Write the versions of this environment to `requirements.lock`."""
    command = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    frozen = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = lockable(frozen.splitlines())
    header = (
        "# The versions of the last good build, by `make lock`: constraints, installed with -c.\n"
        "# Without torch and CUDA, whose builds differ from machine to machine.\n"
    )
    path = ROOT / "requirements.lock"
    path.write_text(header + "\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    print(f"{path.name}: {len(lines)} packages")
    return 0


def lockable(frozen: list[str]) -> list[str]:
    """The lines of `pip freeze` that hold on other machines too: no torch, no CUDA, no address."""
    own = re.compile(r"(torch|torchvision|torchaudio|triton|nvidia|cuda|pytorch-triton)\b", re.I)
    return [line for line in frozen if "==" in line and " @ " not in line and not own.match(line)]


def clean(given: argparse.Namespace) -> int:
    """Remove what was built."""
    caches = [
        ROOT / name for name in (".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis")
    ]
    marks = [folder for folder in (BUILD / COURSE, BUILD / GRADES) if folder.exists()]
    built = [path for path in BUILD.glob("*") if path not in marks] if marks else [BUILD]
    folders = [*built, *caches, *([environment.VENV] if given.all else [])]
    there = [folder for folder in folders if folder.exists()]
    for folder in there:
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    print("removed: " + (", ".join(folder.name for folder in there) or "nothing was there"))
    if marks:
        print(f"kept, since marks cannot be built again: {', '.join(map(str, marks))}")
    return 0


def _say(command: str, **options: object) -> str:
    """How this command is called on this machine."""
    if os.name == "nt" or not shutil.which("make"):
        more = "".join(f" --{name} {value}" for name, value in options.items())
        return f"{'py' if os.name == 'nt' else 'python3'} -m tools {command}{more}"
    return f"make {command}" + "".join(f" {k.upper()}={v}" for k, v in options.items())


COMMANDS = {
    "help": Command(help_, "say what there is", inside=False),
    "book": Command(book, "execute the chapters and build the site (SOLUTIONS=no: without them)"),
    "pdf": Command(pdf, "the whole book as one PDF, linked from the site"),
    "test": Command(test, "check everything: code, notebooks, claims, the site"),
    "student": Command(
        student, "write the students' edition, without solutions, to _build/student"
    ),
    "course": Command(course, "make an nbgrader course (CLASS=class.csv, COURSE=folder)"),
    "grade": Command(grade, "grade submissions, confined (SUBMISSIONS=folder, CLASS=, COURSE=)"),
    "falsify": Command(falsify, "shuffle the labels: every claim has to fail"),
    "serve": Command(serve, "show the site at http://127.0.0.1:8000 (PORT=...)"),
    "lab": Command(lab, "open the chapters in JupyterLab"),
    "sync": Command(sync, "write the package's definitions into the chapters that show them"),
    "colab": Command(colab, "run the chapters as on Colab (FRESH=yes: with the newest versions)"),
    "bench": Command(bench, "time the package beside the libraries that it is like"),
    "lock": Command(lock, "write this environment's versions to requirements.lock"),
    "clean": Command(clean, "remove what was built (ALL=yes: .venv too)", inside=False),
}
