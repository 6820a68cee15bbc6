"""Progress, not logs: one line a stage, rewritten in place; sparse lines where that cannot be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from signal import SIGINT
from types import TracebackType

# What a command's new line of output, or None when nothing came for a moment, says about how
# far it is.
Status = Callable[[str | None], str]


class Line:
    """A stage's one line: `title   what it is doing, seconds`.

    Parameters
    ----------
    title : str
        What the stage is called.
    every : float
        Seconds between two lines where the output is no terminal, so that a log stays short and
        a watcher sees that it lives.
    """

    def __init__(self, title: str, every: float = 30.0) -> None:
        self.title, self.every = title, every
        self.start = self.said = time.monotonic()
        self.terminal = sys.stdout.isatty()

    @property
    def seconds(self) -> float:
        """Since the stage began."""
        return time.monotonic() - self.start

    def show(self, text: str) -> None:
        """Say how far the stage is."""
        line = f"{self.title:<16} {text}, {self.seconds:.0f} s"
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line[:width]:<{width}}", end="", flush=True)
        elif time.monotonic() - self.said >= self.every:
            self.said = time.monotonic()
            print(line, flush=True)

    def end(self, text: str) -> None:
        """Say how the stage ended; the line then stands."""
        self.clear()
        print(f"{self.title:<16} {text}, {self.seconds:.1f} s", flush=True)

    def clear(self) -> None:
        """Take away what `show` wrote, before something else is printed."""
        if self.terminal:
            print("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r", end="", flush=True)

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.clear()


class LastLine:
    """The status of a command of which nothing is known: the last line that it wrote."""

    def __init__(self) -> None:
        self.text = "at work"

    def __call__(self, text: str | None) -> str:
        if text and text.strip():
            self.text = text.strip()
        return self.text


def run(
    command: Sequence[str | Path],
    line: Line,
    log: Path,
    status: Status | None = None,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> int:
    """Run a command with its output in `log` and how far it is on `line`; its exit code.

    The log is appended to. Ctrl-C ends the command before it is passed on.
    """
    status = status or LastLine()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**(os.environ if env is None else env), "PYTHONUNBUFFERED": "1"},
            cwd=cwd,
        )
        output: SimpleQueue[str | None] = SimpleQueue()

        def read() -> None:
            assert process.stdout is not None
            for text in process.stdout:
                output.put(text)
            output.put(None)

        threading.Thread(target=read, daemon=True).start()
        try:
            while True:
                try:
                    text = output.get(timeout=0.5)
                except Empty:
                    line.show(status(None))
                    continue
                if text is None:
                    return process.wait()
                file.write(text)
                file.flush()
                line.show(status(text))
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Let a command that Ctrl-C reached as well end by itself; else pass it on, at last kill."""
    interrupt = process.terminate if os.name == "nt" else partial(process.send_signal, SIGINT)
    for stop in (lambda: None, interrupt, process.kill):
        stop()
        try:
            process.wait(timeout=5)
            return
        except subprocess.TimeoutExpired:
            continue


def tail(log: Path, lines: int = 30) -> str:
    """The end of a log, for whoever has to see why a stage failed."""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in text[-lines:])
