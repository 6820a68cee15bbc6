"""Run a notebook's cells one by one, as `tools/grading.py` asks for them, in a box.

It stands alone: of the tools nothing else is in the box. A line in asks for a cell, a line out says
what became of it. The submission's own cells run in the same process as the tests that judge them,
so what the book's cells have bound, and the libraries' functions, are put back after every cell:
an answer that renames `np.mean` changes nothing but its own mark.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import inspect
import json
import linecache
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

FONTS = Path("/fonts")  # matplotlib's list of fonts, which takes seconds to make


class Late(KeyboardInterrupt):
    """The cell's time is up; nothing that catches an `Exception` catches it."""


def serve() -> None:
    """Answer every line that comes in, until there is none."""
    requests, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.dup(1)
    silence = os.open(os.devnull, os.O_RDWR)  # what cells print is for nobody
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    own = os.getpid()
    cells = Cells()
    for line in requests:
        request = json.loads(line)
        answer = cells.run(**request["cell"])
        if os.getpid() != own:  # a process that the cell has forked
            os._exit(0)
        answer["token"] = request["token"]
        os.write(answers, json.dumps(answer).encode() + b"\n")


class Cells:
    """The namespace of one notebook."""

    def __init__(self) -> None:
        from IPython.core.interactiveshell import InteractiveShell

        warnings.simplefilter("ignore")
        if FONTS.exists():
            folder = Path(os.environ["MPLCONFIGDIR"])
            folder.mkdir(parents=True)
            for file in FONTS.glob("fontlist-*.json"):
                shutil.copy(file, folder)
        self.shell = InteractiveShell.instance()  # for magic commands and `display`
        self.names: dict[str, Any] = self.shell.user_ns
        self.ours: dict[str, Any] = {}
        self.libraries: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.count = 0
        signal.signal(signal.SIGALRM, _late)

    def run(self, source: str, seconds: float, book: bool, answers: list[str]) -> dict[str, Any]:
        """Run one cell.

        Parameters
        ----------
        source : str
        seconds : float
            After which it is interrupted.
        book : bool
            Whether it is the book's cell, not the submission's.
        answers : list of str
            The names that answers bind, which stay as the submission has them.

        Returns
        -------
        dict
            ``error`` is None or its kind and message; ``value`` what a last expression shows.
        """
        if not book and not self.libraries:
            self.libraries = list(_functions(self.ours.values()))
        error, value, bound = None, None, set[str]()
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            tree = self._parsed(source, book)
            bound = _bound(tree) if book else set()
            value = self._execute(tree)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except BaseException as raised:  # SystemExit too ends a cell, not the notebook
            signal.setitimer(signal.ITIMER_REAL, 0)
            error = [type(raised).__name__, _message(raised)]
            if isinstance(raised, Late):
                error = ["TimeoutError", f"it did not end in {seconds:g} s"]
        keep = bound & set(self.names) - set(answers)
        self.ours.update({name: self.names[name] for name in keep})
        self.names.update(self.ours)
        for now, before in self.libraries:
            now.update({k: v for k, v in before.items() if now.get(k) is not v})
        return {"error": error, "value": value}

    def _parsed(self, source: str, book: bool) -> ast.Module:
        from IPython.core.inputtransformer2 import TransformerManager

        self.count += 1
        self.file = f"<cell {self.count}>"
        source = TransformerManager().transform_cell(source)
        if not book:  # so that `inspect` finds an answer; tests are not to be found
            linecache.cache[self.file] = (len(source), None, source.splitlines(True), self.file)
        return ast.parse(source)

    def _execute(self, tree: ast.Module) -> str | None:
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, ast.Expr):
            self._evaluate(tree, "exec")
            return None
        self._evaluate(ast.Module(tree.body[:-1], []), "exec")
        value = self._evaluate(ast.Expression(last.value), "eval")
        return None if value is None else repr(value)[:100]

    def _evaluate(self, tree: ast.Module | ast.Expression, mode: str) -> Any:
        code = compile(tree, self.file, mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        value = eval(code, self.names)
        if code.co_flags & inspect.CO_COROUTINE:
            value = asyncio.run(value)
        return value


def _late(number: int, frame: FrameType | None) -> None:
    raise Late


def _message(raised: BaseException) -> str:
    try:
        return str(raised)[:2_000]
    except Exception:  # of an exception's own class
        return ""


def _bound(tree: ast.AST) -> set[str]:
    """The names that code binds, wherever in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.split(".")[0])
    return found


def _functions(values: Iterable[Any]) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    """The namespaces of the modules among values and of their packages, with what each can call."""
    roots = {value.__name__.split(".")[0] for value in values if isinstance(value, ModuleType)}
    for name, module in [*sys.modules.items(), ("builtins", builtins)]:
        if name.split(".")[0] in {*roots, "builtins"} and isinstance(module, ModuleType):
            yield vars(module), _callable(vars(module))


def _callable(names: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in names.items() if callable(v) or isinstance(v, ModuleType)}


if __name__ == "__main__":
    serve()
