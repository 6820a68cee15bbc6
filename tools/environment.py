"""The environment `.venv`: made once, known by a stamp, mended when it was left half made.

Standard library only: it runs before there is anything else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tools.progress import Line, run, tail

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "complete"
LOG = ROOT / "_build" / "logs" / "environment.log"
REQUIREMENTS = ROOT / "requirements-dev.txt"

# Slow the first time only: matplotlib looks for fonts, librosa compiles what MFCCs need.
WARM_UP = """
import matplotlib.font_manager
import numpy, librosa
librosa.feature.mfcc(y=numpy.zeros(8000, "float32"), sr=8000)
"""


def lock_file() -> Path | None:
    """The versions to install: `requirements.lock`, what `MMLEARN_LOCK` names, or None.

    A reader gets the lock too, since the pages and the bounds of the claims were made with those
    versions; where they do not fit, the newest that the requirements allow are taken, as with
    `MMLEARN_LOCK=none`. Another file, asked for by name, has to fit.
    """
    name = os.environ.get("MMLEARN_LOCK", "requirements.lock")
    if name == "none":
        return None
    if not (ROOT / name).is_file():
        raise SystemExit(f"MMLEARN_LOCK names {name!r}, which is no file (none: no lock)")
    return ROOT / name


def fingerprint(lock: Path | None) -> str:
    """What the environment is made from, in one number."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    parts = [json.dumps(project["project"], sort_keys=True)]
    for path in (*sorted(ROOT.glob("requirements*.txt")), lock):
        parts.append(path.read_text(encoding="utf-8") if path else "no lock")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_complete(stamp: str) -> bool:
    """Whether the environment was made to the end, from just these requirements."""
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == stamp


def ensure() -> float:
    """Make the environment, or mend or renew it; nothing where it is up to date.

    Returns
    -------
    float
        The seconds that it took.

    Raises
    ------
    SystemExit
        With one sentence that says what to do, if it cannot be made.
    """
    lock = lock_file()
    stamp = fingerprint(lock)
    if is_complete(stamp):
        return 0.0
    LOG.unlink(missing_ok=True)
    with Line("environment") as line:
        STAMP.unlink(missing_ok=True)  # from here to the end it counts as half made
        if not _works():
            _create(line)
        _mend()
        code = _install(line, lock)
        asked = "MMLEARN_LOCK" in os.environ
        if code and lock and not asked and does_not_resolve(LOG.read_text(encoding="utf-8")):
            line.clear()
            print(
                f"The versions in {lock.name} do not fit this machine (Python "
                f"{sys.version_info[0]}.{sys.version_info[1]}, {sys.platform}): "
                "taking the newest that the requirements allow."
            )
            code = _install(line, None)
        if code:
            line.clear()
            raise SystemExit(failure(LOG))
        # Its outcome is not asked for: a cold cache costs seconds, nothing else.
        run([PYTHON, "-c", WARM_UP], line, LOG, lambda _: "warming up")
        STAMP.write_text(stamp, encoding="utf-8")
        line.end("made in .venv")
        return line.seconds


def _works() -> bool:
    """Whether `.venv` has a Python that is new enough and has pip."""
    code = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    return (
        PYTHON.exists()
        and subprocess.run([PYTHON, "-c", code], capture_output=True, check=False).returncode == 0
    )


def _create(line: Line) -> None:
    """An empty `.venv`."""
    base = getattr(sys, "_base_executable", sys.executable)
    if run([base, "-m", "venv", "--clear", VENV], line, LOG, lambda _: "making .venv"):
        line.clear()
        raise SystemExit(failure(LOG))


def _mend() -> None:
    """Take away what an install that was killed left behind, so that pip lays it anew.

    pip writes INSTALLER last but one, and moves what it replaces to a name that begins with ~.
    """
    for folder in _site_packages():
        half = [info for info in folder.glob("*.dist-info") if not (info / "INSTALLER").exists()]
        for path in (*half, *folder.glob("~*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _install(line: Line, lock: Path | None) -> int:
    """Install the requirements, and mmlearn as it lies here; pip's exit code."""
    command: list[str | Path] = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
    ]
    command += ["--progress-bar", "off", "-r", REQUIREMENTS]
    command += ["-c", lock] if lock else []
    # Some shared machines set PIP_USER for everybody, which pip refuses inside an environment.
    return run(command, line, LOG, PipStatus(), env={**os.environ, "PIP_USER": "0"}, cwd=ROOT)


class PipStatus:
    """How far pip is, told from what it prints and from what is installed."""

    def __init__(self) -> None:
        self.text = "asking for packages"
        self.names: set[str] = set()
        self.total = 0
        self.before = _installed()

    def __call__(self, text: str | None) -> str:
        if text is None:
            pass
        elif found := re.match(r"\s*(?:Collecting|Requirement already satisfied:) ([\w.-]+)", text):
            self.names.add(found[1])
            self.text = f"looking at package {len(self.names)}: {found[1]}"
        elif found := re.match(r"\s*Downloading (?:\S*/)?([\w.]+)-\S+ (\(.*\))", text):
            self.text = f"downloading {found[1]} {found[2]}"
        elif "WARNING: Retrying" in text:
            self.text = "the package index does not answer, trying again"
        elif text.startswith("Installing collected packages:"):
            self.total = text.count(",") + 1
        if self.total:
            return f"installing {min(_installed() - self.before, self.total)} of {self.total}"
        return self.text


def _site_packages() -> list[Path]:
    """Where packages lie, on Unix or on Windows."""
    return [*VENV.glob("lib/python*/site-packages"), *VENV.glob("Lib/site-packages")]


def _installed() -> int:
    """How many packages are there."""
    return sum(1 for folder in _site_packages() for _ in folder.glob("*.dist-info/INSTALLER"))


def does_not_resolve(log: str) -> bool:
    """Whether pip failed because a locked version is not to be had, or contradicts another."""
    return "ResolutionImpossible" in log or (
        "No matching distribution" in log and not _offline(log)
    )


def _offline(log: str) -> bool:
    """Whether pip failed because nothing answered."""
    return "WARNING: Retrying" in log or "Could not fetch URL" in log


def failure(log: Path) -> str:
    """One sentence on why the environment could not be made, and the end of the log."""
    text = log.read_text(encoding="utf-8", errors="replace")
    if "ensurepip is not available" in text or "No module named ensurepip" in text:
        why = "Python's venv is missing: on Debian and Ubuntu, apt-get install python3-venv."
    elif re.search(r"No space left on device|Errno 28|not enough space on the disk", text):
        why = "The disk is full: the environment takes up to 8 GB, as much again while it is made."
    elif _offline(text):
        why = (
            "The package index did not answer: packages are fetched once, with a network "
            "(behind a mirror or a proxy, set PIP_INDEX_URL or HTTPS_PROXY)."
        )
    else:
        why = "The environment could not be made."
    return f"{why}\n{tail(log, 12)}\nThe whole log is {log}; the same command goes on from here."


def inside() -> bool:
    """Whether this very Python is the environment's."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def first_on_path() -> None:
    """Let what is called by name come from this environment, as nbgrader calls alembic."""
    folders = [str(Path(sys.executable).parent), *filter(None, [os.environ.get("PATH")])]
    os.environ["PATH"] = os.pathsep.join(folders)


def again_inside(arguments: list[str]) -> int:
    """Run `python -m tools` once more, by the environment's Python."""
    return become([str(PYTHON), "-m", "tools", *arguments])


def become(command: list[str]) -> int:
    """Run a command in place of this process, which alone then has to do with Ctrl-C."""
    os.chdir(ROOT)
    sys.stdout.flush()
    if os.name == "nt":  # there, exec would return to the prompt at once
        return subprocess.call(command)
    os.execv(command[0], command)
