"""Perturb what a chapter teaches, and see whether its agreement cells notice.

Each definition shown in a ``sync`` cell is changed in one place: a factor, a sign, an index. The
changed definition takes the original's place in the chapter, and the agreement cells that rest on
it run, with only the cells that they need. One of them has to fail; a mutant that none of them
notices has survived.

Left alone, because an agreement cell cannot or need not notice them: defaults of arguments (a
setting), annotations, decorators, text, and checks that raise.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import json
import os
import queue
import subprocess
import symtable
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import common, notebooks, sync

START_SECONDS = 120  # for the unchanged cells, imports included

# --- mutants ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """A definition with one change."""

    definition: str  # the dotted name
    line: int  # in the definition as the cell shows it, counted from 1
    was: str
    became: str
    source: str  # the changed definition

    def __str__(self) -> str:
        return f"{self.definition}, line {self.line}: `{self.was}` → `{self.became}`"


_OPPOSITE: dict[type[ast.AST], type[Any]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
# The order of their arguments means nothing.
_SYMMETRIC = {
    "add",
    "hypot",
    "isclose",
    "logaddexp",
    "max",
    "maximum",
    "min",
    "minimum",
    "multiply",
}


def mutants(name: str, source: str) -> list[Mutant]:
    """Every mutant of one definition.

    Parameters
    ----------
    name : str
        The definition's dotted name.
    source : str
        Its source, as `tools.sync.definition` gives it.
    """
    tree = ast.parse(source)
    found: dict[str, Mutant] = {}
    for parent, field, index, node in _sites(tree):
        for changed in _changes(node):
            _put(parent, field, index, changed)
            text = ast.unparse(ast.fix_missing_locations(tree))
            _put(parent, field, index, node)
            mutant = Mutant(name, node.lineno, _short(node), _short(changed), text)
            found.setdefault(text, mutant)
    found.pop(ast.unparse(tree), None)
    return list(found.values())


_Site = tuple[ast.AST, str, int | None, Any]


def _sites(node: ast.AST, indices: bool = False) -> Iterator[_Site]:
    """Every place below a node that may change: parent, field, index in a list, node.

    `indices` says that the node is a tuple of indices.
    """
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "defaults", "kw_defaults"):
            continue
        if isinstance(node, ast.If) and all(isinstance(inner, ast.Raise) for inner in node.body):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Raise | ast.Assert):
                continue
            # A number that is an index moves by one, as part of its subscript.
            indexed = isinstance(node, ast.Subscript | ast.Slice) and field != "step"
            if (indexed or indices) and _number(child) is not None:
                continue
            if isinstance(child, ast.expr | ast.stmt):
                yield node, field, index, child
            yield from _sites(child, field == "slice" and isinstance(child, ast.Tuple))


def _number(node: ast.AST) -> int | None:
    """The whole number that an expression spells out, if it does."""
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            return -value
    return None


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _short(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node)).splitlines()[0]


def _changes(node: ast.AST) -> list[ast.AST]:
    """What may stand in a node's place."""
    match node:
        case ast.Constant(value=bool(value)):
            return [_like(node, value=not value)]
        case ast.Constant(value=int() | float() as value):
            return [_like(node, value=2 * value or 1)]
        case ast.BinOp(op=op) | ast.AugAssign(op=op) | ast.BoolOp(op=op):
            opposite = _OPPOSITE.get(type(op))
            return [_like(node, op=opposite())] if opposite else []
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            return [operand]
        case ast.Compare(ops=[op]):
            return [_like(node, ops=[_OPPOSITE[type(op)]()])]
        case ast.Subscript(slice=index):
            return [_like(node, slice=shifted) for shifted in _shifts(index)]
        case ast.Call(args=[first, second, *rest]) if not _symmetric(node):
            starred = any(isinstance(a, ast.Starred) for a in (first, second))
            return [] if starred else [_like(node, args=[second, first, *rest])]
        case ast.Return(value=ast.Tuple(elts=entries) as whole):
            return [
                _like(node, value=_like(whole, elts=[*entries[:i], _negated(e), *entries[i + 1 :]]))
                for i, e in enumerate(entries)
            ]
        case ast.Return(value=ast.expr() as value):
            return [_like(node, value=_negated(value))]
    return []


def _like(node: ast.AST, **changes: Any) -> ast.AST:
    """The node with other fields, at the same place."""
    fields = {name: getattr(node, name) for name in node._fields} | changes
    return ast.copy_location(type(node)(**fields), node)


def _negated(value: ast.expr) -> ast.expr:
    truth = isinstance(value, ast.Compare | ast.BoolOp) or (
        isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not)
    )
    return ast.UnaryOp(ast.Not() if truth else ast.USub(), value)


def _shifts(index: ast.expr) -> list[ast.expr]:
    """An index or a slice moved by one, each of its parts in turn."""
    match index:
        case ast.Tuple(elts=parts):
            return [
                ast.Tuple([*parts[:i], other, *parts[i + 1 :]], ast.Load())
                for i, part in enumerate(parts)
                for other in _shifts(part)
            ]
        case ast.Slice(lower=lower, upper=upper, step=step):
            ends = [ast.Slice(_next(lower), upper, step)] if lower else []
            return [*ends, *([ast.Slice(lower, _next(upper), step)] if upper else [])]
        case ast.Constant(value=value) if not isinstance(value, int):
            return []  # a key, an ellipsis or a new axis
    return [_next(index)]


def _next(index: ast.expr) -> ast.expr:
    if (number := _number(index)) is not None:
        return ast.Constant(number + 1)
    return ast.BinOp(index, ast.Add(), ast.Constant(1))


def _symmetric(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in _SYMMETRIC or ast.unparse(call.args[0]) == ast.unparse(call.args[1])


# --- which cells a cell needs -----------------------------------------------------------------


@dataclass(frozen=True)
class _Cell:
    """What the slice has to know of a code cell."""

    number: int
    source: str  # plain Python
    uses: frozenset[str]  # names that it reads before it defines them itself
    binds: frozenset[str]  # names that it defines or changes
    renews: frozenset[str]  # names that it defines in any case, whatever stood there before


def _cells(shown: Sequence[notebooks.Numbered]) -> list[_Cell]:
    sources = [notebooks.python(cell.source) for _, cell in shown]
    trees = [ast.parse(source) for source in sources]
    functions = [n for tree in trees for n in tree.body if isinstance(n, ast.FunctionDef)]
    found = []
    for (number, _), source, tree in zip(shown, sources, trees, strict=True):
        names = symtable.symtable(source, f"cell {number}", "exec").get_symbols()
        binds = {name.get_name() for name in names if name.is_assigned() or name.is_imported()}
        uses = _reads(tree.body, set())
        # Who calls a function reads what it reads, and reads it then, not where it is defined.
        while more := {n for f in functions if f.name in uses for n in _free(f)} - uses:
            uses |= more
        renews = {name for node in tree.body for name in _renewed(node)}
        found.append(
            _Cell(
                number,
                source,
                frozenset(uses),
                frozenset(binds | _changed(tree)),
                frozenset(renews),
            )
        )
    return found


def _reads(body: Sequence[ast.stmt], known: set[str]) -> set[str]:
    """The names from outside that statements read, one after another."""
    found: set[str] = set()
    known = set(known)
    for node in body:
        match node:
            case ast.For(target=target, iter=values, body=inner, orelse=other):
                found |= _free(values) - known
                found |= _reads([*inner, *other], known | _stored(target))
            case ast.With(items=items, body=inner):
                found |= set().union(*(_free(item.context_expr) for item in items)) - known
                found |= _reads(inner, known | _stored(*(i.optional_vars for i in items)))
            case ast.If(test=test, body=inner, orelse=other):
                found |= _free(test) - known
                found |= _reads(inner, known) | _reads(other, known)
            case _:
                found |= _free(node) - known
        known |= _renewed(node)
    return found


def _free(node: ast.AST) -> set[str]:
    """The global names that a piece of code reads, inside of its functions too."""
    tables = [symtable.symtable(ast.unparse(node), "cell", "exec")]
    found = {s.get_name() for s in tables[0].get_symbols() if s.is_referenced()}
    while tables := [child for table in tables for child in table.get_children()]:
        symbols = [s for table in tables for s in table.get_symbols()]
        found |= {s.get_name() for s in symbols if s.is_global() and s.is_referenced()}
    return found


def _renewed(node: ast.stmt) -> set[str]:
    """The names that a statement defines in any case."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {name.asname or name.name.partition(".")[0] for name in names}
        case ast.Assign(targets=targets):
            return _stored(*targets)
        case ast.With(items=items, body=body):
            return _stored(*(i.optional_vars for i in items)).union(*map(_renewed, body))
    return set()


def _stored(*targets: ast.expr | None) -> set[str]:
    """The names that targets of an assignment hold."""
    nodes = [n for t in targets if t for n in ast.walk(t) if isinstance(n, ast.Name)]
    return {node.id for node in nodes if isinstance(node.ctx, ast.Store)}


def _changed(tree: ast.Module) -> set[str]:
    """Names of things that a cell changes in place: `x[0] = …`, `x.a = …`, `x.step()`."""
    found = set()
    for node in ast.walk(tree):
        target: ast.AST | None = None
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            target = node
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            target = node.value.func
        if isinstance(target, ast.Subscript | ast.Attribute):
            while isinstance(target, ast.Subscript | ast.Attribute | ast.Call):
                target = target.func if isinstance(target, ast.Call) else target.value
            if isinstance(target, ast.Name):
                found.add(target.id)
    return found


def _modules(cells: Sequence[_Cell]) -> set[str]:
    """The modules that cells import: `np.random.seed(0)` changes none for what comes after."""
    return {
        name.asname or name.name.partition(".")[0]
        for cell in cells
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Import)
        for name in node.names
    }


def _slice(cells: Sequence[_Cell], last: int) -> list[int]:
    """The indices of the cells that the last one needs, itself included."""
    modules = _modules(cells)
    wanted, chosen = set(cells[last].uses), [last]
    for index in range(last - 1, -1, -1):
        cell = cells[index]
        if wanted & (cell.binds - modules | cell.renews):
            chosen.insert(0, index)
            wanted = (wanted - cell.renews) | cell.uses
    return chosen


def _split(
    cells: Sequence[_Cell], needed: Sequence[int], changed: int
) -> tuple[list[int], list[int]]:
    """The needed cells that may run once, before, and those that run for every mutant.

    A cell after the changed one may run before it if neither hands a name to the other, nor
    takes one away.
    """
    modules = _modules(cells)
    first = [index for index in needed if index < changed]
    rest = [changed]
    for index in needed:
        if index > changed:
            bound = set().union(*(cells[i].binds for i in rest)) - modules
            used = set().union(*(cells[i].uses for i in rest)) - modules
            apart = not (cells[index].uses & bound or cells[index].binds & (used | bound))
            (first if apart else rest).append(index)
    return first, rest


# --- running ----------------------------------------------------------------------------------

Source = tuple[str, str]  # where it stands, and its text
DIED, LATE = "the process died", "it did not end in time"


class _Runner:
    """A process that runs pieces of chapters: some cells once, then others again and again."""

    def __init__(self, folder: Path) -> None:
        here = Path(__file__).resolve().parents[1]
        env = common.kernel_env("smoke")
        env["PYTHONPATH"] += os.pathsep + str(here)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.mutate"],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put(DIED)

    def run(self, sources: Sequence[Source], seconds: float, begin: bool = False) -> str:
        """Run sources; the error that stopped them, empty if none did.

        With `begin` they run in an empty namespace, to which every later call returns.
        """
        assert self.process.stdin
        with contextlib.suppress(OSError):  # a process that died has answered so
            self.process.stdin.write(json.dumps([begin, sources]) + "\n")
            self.process.stdin.flush()
        try:
            return self.answers.get(timeout=seconds)
        except queue.Empty:
            return LATE

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def _serve() -> None:
    """In the process: read sources, run them, answer with the error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    tasks: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            tasks.put(line)
        os._exit(0)  # whoever asked is gone, even if a mutant is still at work

    threading.Thread(target=listen, daemon=True).start()
    warnings.simplefilter("ignore")
    # One namespace for all: functions find their globals in the one that they were defined in.
    names: dict[str, Any] = {}
    start: dict[str, Any] = {}
    while True:
        begin, sources = json.loads(tasks.get())
        names.clear()
        names.update({"__name__": "__main__", "display": lambda *a, **k: None})
        names.update({} if begin else _copies(start))
        where = error = ""
        try:
            for where, source in sources:
                exec(compile(source, where, "exec"), names)
        except BaseException as raised:  # SystemExit and KeyboardInterrupt too end a cell
            error = f"{where}: {type(raised).__name__}: {raised}"
        if begin:
            start = {name: value for name, value in names.items() if not name.startswith("__")}
        answers.write(json.dumps(error) + "\n")
        answers.flush()


def _copies(values: dict[str, Any]) -> dict[str, Any]:
    """Copies of values, so that no mutant finds what another has changed in place."""
    found = {}
    memo: dict[int, Any] = {}
    for name, value in values.items():
        try:
            found[name] = copy.deepcopy(value, memo)
        except Exception:  # a module, a generator, an open file
            found[name] = value
    return found


class MutateError(RuntimeError):
    """The agreement cells fail on the definitions as they are."""


def survivors(chapter: str) -> list[Mutant]:
    """The mutants of a chapter's definitions that no agreement cell notices.

    A definition that no agreement cell rests on gives one survivor, whose change is empty.

    Raises
    ------
    MutateError
        If the cells fail unchanged, so that nothing could be learnt from failures.
    """
    path = common.notebook_path(chapter, common.BOOK)
    shown = [
        (number, cell)
        for number, cell in notebooks.cells(notebooks.read(path), "code")
        if not notebooks.grading(cell) and "setup" not in notebooks.tags(cell)
    ]
    cells = _cells(shown)
    slices = [
        _slice(cells, i)
        for i, (_, cell) in enumerate(shown)
        if notebooks.tags(cell) >= notebooks.KEEPS_OUTPUT
    ]
    left: list[Mutant] = []
    runner = _Runner(path.parent)
    try:
        for index, (_, cell) in enumerate(shown):
            if "sync" not in notebooks.tags(cell):
                continue
            names = sync.headers(cell.source)
            needed = sorted({i for part in slices if index in part for i in part})
            if not needed:
                left += [Mutant(name, 1, "", "no agreement cell uses it", "") for name in names]
                continue
            first, rest = (
                [(f"cell {cells[i].number}", cells[i].source) for i in part]
                for part in _split(cells, needed, index)
            )
            seconds = _unchanged(runner, first, rest, chapter)
            sources = {name: sync.definition(name) for name in names}
            for mutant in (m for name in names for m in mutants(name, sources[name])):
                changed = "\n\n".join({**sources, mutant.definition: mutant.source}.values())
                error = runner.run([(rest[0][0], changed), *rest[1:]], 2 + 5 * seconds)
                if not error:
                    left.append(mutant)
                elif error in (DIED, LATE):
                    runner.close()
                    runner = _Runner(path.parent)
                    _unchanged(runner, first, rest, chapter)
    finally:
        runner.close()
    return left


def _unchanged(
    runner: _Runner, first: Sequence[Source], rest: Sequence[Source], chapter: str
) -> float:
    """Run the cells as they are; the seconds of those that run for every mutant."""
    error = runner.run(first, START_SECONDS, begin=True)
    for _ in range(2):  # the first time may import something
        start = time.monotonic()
        error = error or runner.run(rest, START_SECONDS)
    if error:
        raise MutateError(f"{chapter}, {error}")
    return time.monotonic() - start


def unexcused(left: Sequence[Mutant], excuses: Mapping[tuple[str, str, str], str]) -> list[str]:
    """The survivors that nothing excuses, and the excuses that nothing needs any more.

    Parameters
    ----------
    left : sequence of Mutant
        From `survivors`.
    excuses : mapping
        From definition, was and became to the reason why the values are the same.
    """
    keys = {(m.definition, m.was, m.became) for m in left}
    return [str(m) for m in left if (m.definition, m.was, m.became) not in excuses] + [
        f"{key} does not survive and needs no excuse" for key in excuses if key not in keys
    ]


if __name__ == "__main__":
    _serve()
