"""The package as a whole: what may import what, and that it stays small."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

import mmlearn as mm

PACKAGE = Path(mm.__file__).parent

# Every module, in the order of the picture, with what it may import of ours besides `checks`,
# which stands before all. What explains or audits asks functions, not our models.
MAY_IMPORT: dict[str, set[str]] = {
    "checks": set(),
    "runtime": set(),
    "data": {"runtime"},
    "features": {"runtime"},
    "baselines": {"features"},
    "optim": set(),
    "autograd": set(),
    "encoders": set(),
    "speech": set(),
    "fusion": {"encoders"},
    "objectives": set(),
    "regularise": set(),
    "explain": set(),
    "audit": set(),
    "train": {"runtime", "data"},
    "metrics": {"runtime", "data"},
    "claims": {"runtime", "metrics"},
    "figures": {"metrics"},
    "widgets": {"runtime", "metrics", "figures"},
}
WITHOUT_TORCH = ("checks", "runtime", "features", "baselines", "optim", "autograd", "audit")
LATER = {("checks", "_dtypes")} | {("runtime", f) for f in ("device", "cpu_processes")}
LIMIT = 4_000
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def modules() -> dict[str, list[Path]]:
    """The files of each module; those of the package itself are of none."""
    files = sorted(PACKAGE.rglob("*.py"))
    inside = [path for path in files if path.name not in ("__init__.py", "__main__.py")]
    found: dict[str, list[Path]] = {}
    for path in [*inside, *PACKAGE.glob("*/__init__.py")]:
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        found.setdefault(name, []).append(path)
    return found


def imports(code: str) -> list[str]:
    """All that a file imports, inside functions as well, by its full name."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found.append(f"mmlearn.{ast.unparse(node)}")  # of nobody knows what
    return found


def ours(code: str) -> set[str]:
    """The modules of the package that a file imports."""
    return {name.split(".")[1] for name in imports(code) if name.startswith("mmlearn.")}


def code_lines(code: str) -> int:
    """Lines with code on them: neither blank, nor a comment, nor of a docstring."""
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type not in layout | {tokenize.ENDMARKER}:
            lines |= {*range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node):
            lines -= {*range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)}
    return len(lines)


def test_the_table_has_every_module_in_the_order_of_the_picture():
    assert list(MAY_IMPORT) == ["checks", *mm._MODULES]
    assert set(MAY_IMPORT) == set(modules())
    before: set[str] = set()
    for name, allowed in MAY_IMPORT.items():
        assert allowed <= before, f"{name} may not import what stands after it"
        before.add(name)


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_arrows_go_one_way(name):
    found = set().union(*(ours(path.read_text(encoding="utf-8")) for path in modules()[name]))
    assert found - {name, "checks"} <= MAY_IMPORT[name]


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_what_needs_no_torch_does_not_wait_for_it(name):
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        later = (name, getattr(node, "name", "")) in LATER
        known_to_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not later and not known_to_types:
            assert not [i for i in imports(ast.unparse(node)) if i.split(".")[0] == "torch"]


def test_an_import_inside_a_function_counts():
    code = "import mmlearn.data.store\ndef f():\n    from mmlearn import train\n"
    assert ours(code) == {"data", "train"}
    assert ours("def f(n):\n    return importlib.import_module(n)") - set(MAY_IMPORT)


def test_lines_of_code_are_counted():
    code = '"""It."""\n\nx = """a\nb"""  # why\n\n\ndef f():\n    """It.\n\n    So.\n    """\n'
    assert code_lines(f"{code}    # here\n    return (\n        x\n    )\n") == 6


def test_the_package_is_small():
    total = sum(code_lines(p.read_text(encoding="utf-8")) for p in PACKAGE.rglob("*.py"))
    assert total <= LIMIT
