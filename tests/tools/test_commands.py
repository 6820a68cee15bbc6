"""The commands: what they say, what they refuse, how they stop."""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tools import commands, environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the environment stood and this were it."""
    monkeypatch.setattr(environment, "ensure", lambda: 0.0)
    monkeypatch.setattr(environment, "inside", lambda: True)


def test_help_names_every_command_and_needs_no_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(environment, "ensure")
    assert commands.main(["help"]) == 0
    shown = capsys.readouterr().out
    assert commands.main([]) == 0
    assert capsys.readouterr().out == shown
    for name, command in commands.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.help)}$", shown, re.MULTILINE)


@pytest.mark.usefixtures("inside")
def test_programs_called_by_name_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    found = []

    def call(given: argparse.Namespace) -> int:
        found.append(shutil.which(Path(sys.executable).name))
        return 0

    monkeypatch.setitem(commands.COMMANDS, "lab", commands.Command(call, ""))
    assert commands.main(["lab"]) == 0
    assert found == [sys.executable]


def test_make_has_the_same_commands() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^([a-z ]+):$", makefile, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert targets and phony
    assert targets[1].split() == phony[1].split() == list(commands.COMMANDS)


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        commands.main(["bok"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "'bok'" in said and "book" in said


@pytest.mark.parametrize("command", ["book", "test", "student", "falsify", "sync"])
@pytest.mark.usefixtures("inside")
def test_an_unknown_chapter_is_refused(command: str) -> None:
    with pytest.raises(SystemExit, match=r"'nowhere'.*2_optimisation/gradient_descent"):
        commands.main([command, "--chapters", "nowhere"])


@pytest.mark.parametrize(
    ("command", "needs"),
    [("course", r"(CLASS=|--class )class\.csv"), ("grade", r"(SUBMISSIONS=|--submissions )folder")],
)
@pytest.mark.usefixtures("inside")
def test_what_a_command_cannot_do_without_is_asked_for(command: str, needs: str) -> None:
    with pytest.raises(SystemExit, match=f"{command} {needs}$"):
        commands.main([command])


def test_too_old_a_python_is_told_so() -> None:
    code = (
        "import sys; sys.version_info = (3, 9, 1, 'final', 0); import runpy;"
        "runpy.run_module('tools', run_name='__main__')"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("The book needs Python 3.11 or newer; this is 3.9")
    assert "Traceback" not in ended.stderr


def test_every_python_3_can_read_what_says_so() -> None:
    for name in ("__init__", "__main__"):
        ast.parse((ROOT / f"tools/{name}.py").read_text(encoding="utf-8"), feature_version=(3, 4))


@pytest.mark.usefixtures("inside")
def test_serve_without_a_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "SITE", tmp_path)
    assert commands.main(["serve"]) == 1
    assert "There is no site yet" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_serve_shows_the_site_until_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>The book</h1>", encoding="utf-8")
    code = (
        "import runpy, sys, pathlib; from tools import commands, environment;"
        f"commands.SITE = pathlib.Path({str(tmp_path)!r});"
        "environment.ensure = lambda: 0.0; environment.inside = lambda: True;"
        "sys.argv = ['tools', 'serve', '--port', '0'];"
        "runpy.run_module('tools', run_name='__main__')"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert server.stdout
    address = server.stdout.readline().split()[0]
    with urllib.request.urlopen(address, timeout=60) as page:
        assert b"The book" in page.read()
    port = address.rsplit(":", 1)[1].strip("/")
    second = subprocess.run(
        [sys.executable, "-c", code.replace("'0'", f"'{port}'")],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert second.returncode == 1 and f"Port {port} is not free" in second.stderr
    server.send_signal(signal.SIGINT)
    output, errors = server.communicate(timeout=60)
    assert server.returncode == 130
    assert "Stopped." in output and "Traceback" not in errors


def test_the_lock_leaves_out_what_differs_from_machine_to_machine() -> None:
    frozen = [
        "numpy==2.4.6",
        "torch==2.15.0",
        "torchvision==0.29.2",
        "triton==3.9.0",
        "nvidia-cublas==13.4",
        "cuda-bindings==13.5",
        "torchmetrics==1.8",
        "here @ file:///somewhere/here.whl",
        "-e git+https://example.org/x.git#egg=x",
        "# Editable install with no version control",
    ]
    assert commands.lockable(frozen) == ["numpy==2.4.6", "torchmetrics==1.8"]


def test_the_data_that_chapters_ask_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat

    from tools import common

    code = [
        'd = mm.data.load("optdigits")\nmm.data.load(\n    "mnist5k", size=8)',
        "e = mm.data.encoder('minilm')",
        'mm.data.encode("efficientnet_lite0", images); mm.data.voices(["one"])',
        'json.load("other")',
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in code])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    monkeypatch.setattr(common, "notebook_path", lambda chapter: tmp_path / f"{chapter}.ipynb")
    names = ["efficientnet_lite0", "minilm", "mnist5k", "optdigits", "voices"]
    assert commands.data_names(["a"]) == names


def test_clean_removes_what_was_built_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    monkeypatch.setattr(commands, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    for folder in ("_build/html", ".venv", ".mypy_cache", "book"):
        (tmp_path / folder).mkdir(parents=True)
    assert commands.main(["clean"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".venv", "book"]
    assert commands.main(["clean", "--all"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


def test_clean_keeps_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    monkeypatch.setattr(commands, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    for folder in ("course", "grades", "html"):
        (tmp_path / "_build" / folder).mkdir(parents=True)
        (tmp_path / "_build" / folder / "gradebook.db").touch()
    (tmp_path / "_build" / "times.json").touch()
    assert commands.main(["clean", "--all"]) == 0
    left = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.db"))]
    assert left == ["_build/course/gradebook.db", "_build/grades/gradebook.db"]
    assert len(list((tmp_path / "_build").iterdir())) == 2
    assert "marks cannot be built again" in capsys.readouterr().out
