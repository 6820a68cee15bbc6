"""``python -m mmlearn doctor`` and ``python -m mmlearn fetch [names]``."""

from __future__ import annotations

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mmlearn")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="say what this machine has and what is missing")
    fetch = commands.add_parser("fetch", help="fetch data sets and encoders, all by default")
    fetch.add_argument("names", nargs="*")
    chosen = parser.parse_args(arguments)
    if chosen.command == "doctor":
        from mmlearn.runtime import doctor

        return doctor()
    from mmlearn import data

    try:
        data.fetch(chosen.names)
    except (OSError, ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
