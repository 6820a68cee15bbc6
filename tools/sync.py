"""Write into the chapters what has its one home elsewhere, and clear what must not be stored.

The definitions in ``sync`` cells come from the package, the set-up cell from the template below,
the table of tags in CONTRIBUTING.md from `tools.notebooks.TAGS`. Outputs are cleared, save those
of agreement cells, and so are the metadata that programs leave. Nothing else in a chapter changes.
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import re
import sys
from collections.abc import Sequence

from nbformat import NotebookNode

from tools import common, execute, notebooks

# pip is given the versions that Colab has as constraints: what is there stays as it is, or pip
# refuses. So nothing that a kernel may have loaded is replaced, and none has to be restarted.
SETUP = """\
# On Colab: install the book's package and what it lacks; what is there keeps its version.
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

if "google.colab" in sys.modules and importlib.util.find_spec("mmlearn") is None:
    pip = [sys.executable, "-m", "pip", "--no-color", "--disable-pip-version-check"]
    there = Path(tempfile.gettempdir(), "there.txt")
    with there.open("w") as file:
        subprocess.run([*pip, "list", "--format=freeze"], stdout=file, check=True)
    book = "mmlearn-book @ git+{url}"
    install = [*pip, "install", "--constraint", there, book]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        why = "The book's package could not be installed. Is there a network?"
        said = (done.stdout + done.stderr).splitlines()[-15:]
        raise SystemExit("\\n".join([why, *said]))"""

_HEADER = re.compile(r"# (mmlearn(?:\.\w+){2,})")


class SyncError(ValueError):
    """A cell asks for something that sync cannot write; the message says what to do."""


def definition(name: str) -> str:
    """The source of something in the package, without its docstrings.

    The file is read, never imported; comments, decorators and layout stay as they are there.

    Parameters
    ----------
    name : str
        The dotted path of a function, a class or a constant: ``mmlearn.optim.gradient_descent``.

    Raises
    ------
    SyncError
        If there is no such module, or no such name in it.
    """
    *module, wanted = name.split(".")
    base = common.ROOT.joinpath(*module)
    path = next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()), None)
    if path is None:
        raise SyncError(f"{name}: there is no module {'.'.join(module)}")
    source = path.read_text(encoding="utf-8")
    # The first definition counts: a module may wrap it further down with checks of its arguments.
    known = {n: node for node in reversed(ast.parse(source).body) for n in _names(node)}
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=3)
        hint = f"; it has {', '.join(near)}" if near else ""
        raise SyncError(f"{name}: {path.relative_to(common.ROOT).as_posix()} has no {wanted}{hint}")
    node = known[wanted]
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    dropped = {line for inner in ast.walk(node) for line in _docstring(inner)}
    lines = source.splitlines()
    kept: list[str] = []
    for number in range(first, (node.end_lineno or node.lineno) + 1):
        # The blank line after a docstring goes with it.
        after = number - 1 in dropped and not lines[number - 1].strip()
        if number not in dropped and not after:
            kept.append(lines[number - 1])
    return "\n".join(kept)


def _names(node: ast.stmt) -> list[str]:
    """The names that a statement defines."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Assign(targets=targets):
            return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _docstring(node: ast.AST) -> range:
    """The lines of a definition's docstring, if other lines are left without it."""
    match node:
        case (
            ast.FunctionDef(body=[ast.Expr(ast.Constant(str())) as text, _, *_])
            | ast.AsyncFunctionDef(body=[ast.Expr(ast.Constant(str())) as text, _, *_])
            | ast.ClassDef(body=[ast.Expr(ast.Constant(str())) as text, _, *_])
        ):
            return range(text.lineno, (text.end_lineno or text.lineno) + 1)
    return range(0)


def headers(source: str) -> list[str]:
    """The names of the package that a ``sync`` cell shows.

    Raises
    ------
    SyncError
        If its first line names nothing.
    """
    lines = source.splitlines()
    found = [match[1] for line in lines if (match := _HEADER.fullmatch(line.rstrip()))]
    if not found or not _HEADER.fullmatch(lines[0].rstrip()):
        raise SyncError("the first line of a sync cell names a definition: `# mmlearn.module.name`")
    return found


def synced(source: str) -> str:
    """A ``sync`` cell's source as it should be, from the headers in it."""
    return "\n\n\n".join(f"# {name}\n{definition(name)}" for name in headers(source))


def setup() -> str:
    """The set-up cell's source, with the public address from ``_config.yml``."""
    return SETUP.format(url=common.config()["repository"]["url"])


def updated(notebook: NotebookNode) -> NotebookNode:
    """A copy of a chapter as sync would have it.

    Raises
    ------
    SyncError
        If a cell names nothing, or what is not there; the message says which cell.
    """
    page = copy.deepcopy(notebook)
    _keep(page.metadata, notebooks.METADATA)
    for number, cell in notebooks.cells(page):
        _keep(cell.metadata, notebooks.CELL_METADATA)
        if cell.cell_type != "code":
            continue
        marks = notebooks.tags(cell)
        try:
            if "setup" in marks:
                cell.source = setup()
            if "sync" in marks:
                cell.source = synced(cell.source)
        except SyncError as error:
            raise SyncError(f"{notebooks.name(number, cell)}: {error}") from None
        if "keep_output" not in marks:
            cell.outputs = []
            cell.execution_count = None
    return page


def _keep(metadata: NotebookNode, known: set[str]) -> None:
    for key in set(metadata) - known:
        del metadata[key]


def _fill(page: NotebookNode, chapter: str) -> None:
    """Store the agreement cells' outputs and counts, from a run in smoke."""
    ran = notebooks.read(execute.Job(chapter, "smoke").executed)
    by_id = {cell.id: cell for cell in ran.cells}
    for _, cell in notebooks.tagged(page, "keep_output"):
        cell.outputs = by_id[cell.id].outputs
        cell.execution_count = by_id[cell.id].execution_count


def differences(before: NotebookNode, after: NotebookNode) -> list[str]:
    """What sync would change, cell by cell, as short messages."""
    found = []
    if before.metadata != after.metadata:
        found.append("the notebook has metadata that some program left")
    for (number, old), (_, new) in zip(
        notebooks.cells(before), notebooks.cells(after), strict=True
    ):
        where = notebooks.name(number, old)
        if old.source != new.source:
            diff = difflib.unified_diff(
                old.source.splitlines(), new.source.splitlines(), "chapter", "package", "", "", 1
            )
            found.append(f"{where} differs\n" + "\n".join(f"    {line}" for line in diff))
        elif old != new:
            found.append(f"{where} differs in its stored outputs, execution count or metadata")
    return found


def main(check: bool = False, chapters: Sequence[str] | None = None, outputs: bool = False) -> int:
    """Bring the chapters up to date, or tell what is not.

    Parameters
    ----------
    check : bool
        Write nothing; print what differs.
    chapters : sequence of str, optional
        From `tools.common.chapters`; all if None.
    outputs : bool
        Run the chapters in smoke first, and store what the agreement cells put out.

    Returns
    -------
    int
        1 if a cell cannot be written, a chapter stops or, with `check`, anything differs; else 0.
    """
    chapters = common.chapters() if chapters is None else chapters
    ok = True
    for chapter in chapters:
        path = common.notebook_path(chapter, common.BOOK)
        try:
            before = notebooks.read(path)
            after = updated(before)
        except (SyncError, notebooks.NotebookError) as error:
            print(f"{chapter}, {error}")
            ok = False
            continue
        changes = differences(before, after)
        if not changes and path.read_text(encoding="utf-8") != notebooks.text(after):
            changes = ["the file is not laid out as Jupyter writes it"]
        if check:
            ok = ok and not changes
            for change in changes:
                print(f"{chapter}, {change}")
        elif notebooks.write(after, path):
            print(f"{chapter}: {len(changes)} changes written")
    ok = _tags(check) and ok
    if outputs and not check and ok:
        if execute.execute(chapters, "smoke"):
            return 1
        for chapter in chapters:
            path = common.notebook_path(chapter, common.BOOK)
            page = notebooks.read(path)
            _fill(page, chapter)
            if notebooks.write(page, path):
                print(f"{chapter}: outputs of the agreement cells stored")
    if check and not ok:
        print("`make sync` mends this")
    return 0 if ok else 1


def _tags(check: bool) -> bool:
    """Write the table of tags into CONTRIBUTING.md; with `check`, whether it is there."""
    path = common.ROOT / "CONTRIBUTING.md"
    page = path.read_text(encoding="utf-8")
    wanted = notebooks.with_tags_table(page)
    if check and page != wanted:
        print("CONTRIBUTING.md: the table of tags is not that of tools/notebooks.py")
        return False
    common.write_if_changed(path, wanted)
    return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.sync", description="Sync chapters.")
    parser.add_argument("--chapters", default="", help="which; all by default")
    parser.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    parser.add_argument("--outputs", action="store_true", help="store agreement cells' outputs")
    given = parser.parse_args()
    sys.exit(main(given.check, common.chapters(given.chapters), given.outputs))
