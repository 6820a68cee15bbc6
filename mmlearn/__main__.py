"""``python -m mmlearn doctor`` and ``python -m mmlearn fetch [names]``."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import sys

from mmlearn import runtime


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mmlearn")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="say what this machine has and what is missing")
    fetch = commands.add_parser("fetch", help="fetch data sets and encoders, all by default")
    fetch.add_argument("names", nargs="*")
    chosen = parser.parse_args(arguments)
    if chosen.command == "doctor":
        return doctor()
    from mmlearn import data

    try:
        data.fetch(chosen.names)
    except (OSError, ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def doctor() -> int:
    """Print what this machine has, and what to do about what is missing.

    Returns
    -------
    int
        0 if every chapter can run here, else 1.
    """
    ok = True

    def line(good: bool, name: str, found: str, remedy: str = "") -> None:
        nonlocal ok
        ok = ok and good
        print(f"{'ok ' if good else 'NO '} {name:<14} {found}" + ("" if good else f"  → {remedy}"))

    line(sys.version_info >= (3, 11), "python", platform.python_version(), "install 3.11 or newer")
    line(True, "machine", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores")
    for package in _needs():
        try:
            line(True, package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            line(False, package, "missing", f"pip install {package}")
    try:
        line(True, "device", str(runtime.device()))
    except ImportError as error:
        line(False, "device", str(error), "mend the package above first")
    threads = os.environ.get("OMP_NUM_THREADS", "as many as cores")
    line(True, "threads", f"{threads} (OMP_NUM_THREADS=1 is fastest for the small models here)")
    from mmlearn import data  # here: what it imports may be what is missing

    for good, name, found, remedy in data.health():
        line(good, name, found, remedy)
    print("Everything is here." if ok else "Mend the lines marked NO, then call doctor again.")
    return 0 if ok else 1


def _needs() -> list[str]:
    """The distributions that mmlearn-book declares, by name."""
    try:
        declared = importlib.metadata.requires("mmlearn-book") or []
    except importlib.metadata.PackageNotFoundError:
        declared = ["numpy", "scikit-learn", "torch", "matplotlib"]
    return [re.split(r"[ <>=!~;\[]", d)[0] for d in declared if "extra ==" not in d]


if __name__ == "__main__":
    sys.exit(main())
