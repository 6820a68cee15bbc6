"""Mutants: what is changed, which cells run, and that a weak agreement lets one survive."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbformat import NotebookNode

from tests.tools import sample
from tools import mutate, notebooks


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return sample.project(tmp_path, monkeypatch)


def edit(path: Path, beginning: str, source: str) -> None:
    notebook = notebooks.read(path)
    sample.cell(notebook, beginning).source = source
    notebooks.write(notebook, path)


# --- mutants ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("y = a + b", ["a - b"]),
        ("y = a * b", ["a / b"]),
        ("y = a / b", ["a * b"]),
        ("y = a ** b", ["a * b"]),
        ("y = 3", ["6"]),
        ("y = 0.0", ["1"]),
        ("y = True", ["False"]),
        ("y = -a", ["a"]),
        ("y = a < b", ["a >= b"]),
        ("y = a == b", ["a != b"]),
        ("y = a and b", ["a or b"]),
        ("y += a", ["y -= a"]),
        ("y = a[0]", ["a[1]"]),
        ("y = a[i]", ["a[i + 1]"]),
        ("y = a[1:]", ["a[2:]"]),
        ("y = a[:, -1]", ["a[:, 0]"]),
        ("y = a[::2]", ["4"]),
        ("y = a[0, b]", ["a[1, b]", "a[0, b + 1]"]),
        ("y = a['key']", []),
        ("y = a[..., None]", []),
        ("y = f(a, b)", ["f(b, a)"]),
        ("y = f(a, a)", []),
        ("y = np.maximum(a, b)", []),
        ("return a", ["return -a"]),
        ("return a, b", ["return (-a, b)", "return (a, -b)"]),
        ("return a < b", ["return not a < b", "a >= b"]),
        ("y: int = a", []),
        ("y = 'text'", []),
        ("raise ValueError(1)", []),
        ("if n < 1:\n        raise ValueError(n)", []),
    ],
)
def test_each_change_is_made_once(line: str, changes: list[str]) -> None:
    source = f"def f(a: int, b=2) -> int:\n    {line}"
    found = mutate.mutants("mmlearn.toy.f", source)
    assert sorted(m.became for m in found) == sorted(changes)
    assert all(m.line == 2 and m.source != source for m in found)
    for mutant in found:
        compile(mutant.source, "mutant", "exec")


def test_a_constant_is_a_definition_too() -> None:
    (mutant,) = mutate.mutants("mmlearn.toy.RATE", "RATE = 0.5")
    assert str(mutant) == "mmlearn.toy.RATE, line 1: `0.5` → `1.0`"


# --- which cells run --------------------------------------------------------------------------


def read(*sources: str) -> list[mutate._Cell]:
    return mutate._cells([(i, NotebookNode(source=source)) for i, source in enumerate(sources)])


@pytest.mark.parametrize(
    ("sources", "indices"),
    [
        (["a = 1", "b = 2", "print(a)"], [0, 2]),
        (["a = 1", "b = a", "c = 3", "print(b)"], [0, 1, 3]),
        (["a = 1", "a = 2", "print(a)"], [1, 2]),
        (["a = 1", "a += 2", "print(a)"], [0, 1, 2]),
        (["a = []", "a.append(1)", "print(a)"], [0, 1, 2]),
        (["a = [0]", "a[0] = 1", "print(a)"], [0, 1, 2]),
        (["a = 1", "if True:\n    a = 2", "print(a)"], [0, 1, 2]),
        (["import math", "math.sqrt(4)", "print(math)"], [0, 2]),
        (["from math import pi", "x = 1", "print(pi)"], [0, 2]),
        (["k = 1", "def f(x):\n    return k * x", "print(f(2))"], [0, 1, 2]),
        (["def f(): return k", "k = 1", "print(f())"], [0, 1, 2]),
        (["k = 0", "def f(): return k", "def g(): return f()", "k = 1", "g()"], [0, 1, 2, 3, 4]),
        (["x = 1", "def f(x):\n    return x", "print(f(2))"], [1, 2]),
        (["x = 1", "class A:\n    y = x", "A()"], [0, 1, 2]),
        (["%time x = 1", "print(x)"], [1]),
        (["ours = 1", "ours = 2\nprint(ours)"], [1]),
        (["ours = 1", "print(ours)\nours = 2"], [0, 1]),
        (["i = 1", "for i in range(3):\n    print(i)"], [1]),
        (["f = 1", "with open('a') as f:\n    g = f.read()\nprint(f, g)"], [1]),
        (["a = 1", "if True:\n    a = 2\nprint(a)"], [0, 1]),
    ],
)
def test_only_the_cells_that_are_needed_run(sources: list[str], indices: list[int]) -> None:
    cells = read(*sources)
    assert mutate._slice(cells, len(cells) - 1) == indices


@pytest.mark.parametrize(
    ("sources", "first"),
    [
        (["a = 1", "def f(): ...", "b = 2", "print(f(), a, b)"], [0, 2]),
        (["a = 1", "def f(): ...", "b = f()", "print(b)"], [0]),
        (["a = 1", "def f(): return a", "a = 2", "print(f())"], [0]),
        (["a = 1", "def f(): ...", "b = f()", "c = 3", "b = c", "print(b)"], [0, 3]),
        (["import m", "def f(): ...", "m.say(f())", "b = m.c", "print(f(), b)"], [0, 3]),
    ],
)
def test_what_does_not_meet_the_mutant_runs_once(sources: list[str], first: list[int]) -> None:
    needed = range(len(sources))
    rest = [i for i in needed if i not in first]
    assert mutate._split(read(*sources), needed, 1) == (first, rest)


# --- survivors --------------------------------------------------------------------------------


def test_agreement_notices_every_mutant_of_the_good_chapter(path: Path) -> None:
    assert mutate.survivors(sample.CHAPTER) == []


def test_a_weak_agreement_lets_mutants_survive(path: Path) -> None:
    weak = 'mm.agree("mean", moving_mean(np.array([1.0, 1.0]), RATE), 1.0, library="nobody")'
    edit(path, "signal =", weak)
    left = {str(mutant) for mutant in mutate.survivors(sample.CHAPTER)}
    assert "mmlearn.toy.RATE, line 1: `0.5` → `1.0`" in left
    assert "mmlearn.toy.moving_mean, line 3: `x[1:]` → `x[2:]`" in left
    assert not any("return" in mutant for mutant in left)


def test_a_definition_that_no_agreement_uses_survives(path: Path) -> None:
    edit(path, "signal =", 'mm.agree("one", 1.0, 1.0, library="nobody")')
    left = mutate.survivors(sample.CHAPTER)
    assert [(m.definition, m.became) for m in left] == [
        ("mmlearn.toy.RATE", "no agreement cell uses it"),
        ("mmlearn.toy.moving_mean", "no agreement cell uses it"),
    ]


def test_only_what_survives_is_excused() -> None:
    (mutant,) = mutate.mutants("mmlearn.toy.RATE", "RATE = 0.5")
    key = ("mmlearn.toy.RATE", "0.5", "1.0")
    assert mutate.unexcused([mutant], {}) == [str(mutant)]
    assert mutate.unexcused([mutant], {key: "it is only ever used as a sign"}) == []
    assert mutate.unexcused([], {key: "…"}) == [f"{key} does not survive and needs no excuse"]


def test_a_mutant_that_hangs_or_ends_the_process_is_noticed(path: Path) -> None:
    loop = "def count(n):\n    while n > 0:\n        n -= 1\n    return n + 5"
    (path.parents[2] / "mmlearn" / "toy.py").write_text(loop, encoding="utf-8")
    edit(path, "# mmlearn.toy.RATE", f"# mmlearn.toy.count\n{loop}")
    edit(path, "signal =", "import os\nif count(3) == 8:\n    os._exit(1)\nassert count(3) == 5")
    assert mutate.survivors(sample.CHAPTER) == []


def test_no_mutant_finds_what_another_has_changed(path: Path) -> None:
    # Were the list kept, later mutants would find it longer, and fail for that alone.
    grow = "def grow(seen):\n    seen.append(1)\n    seen.append(2)"
    (path.parents[2] / "mmlearn" / "toy.py").write_text(grow, encoding="utf-8")
    edit(path, "x = np.linspace", "seen = []")
    edit(path, "# mmlearn.toy.RATE", f"# mmlearn.toy.grow\n{grow}")
    edit(path, "signal =", "grow(seen)\nassert len(seen) == 2")
    left = [(mutant.was, mutant.became) for mutant in mutate.survivors(sample.CHAPTER)]
    assert left == [("1", "2"), ("2", "4")]


def test_a_helper_from_before_calls_the_mutant(path: Path) -> None:
    edit(path, "x = np.linspace", "def helper(x):\n    return moving_mean(x, RATE)")
    edit(path, "signal =", "assert helper([1.0, 4.0, 2.0]) == 2.25")
    assert mutate.survivors(sample.CHAPTER) == []


def test_cells_that_fail_unchanged_are_an_error(path: Path) -> None:
    edit(path, "signal =", 'mm.agree("mean", moving_mean(x, RATE), 7.0, library="nobody")')
    with pytest.raises(mutate.MutateError, match=r"1_part/mean, cell 11: AgreementError"):
        mutate.survivors(sample.CHAPTER)
