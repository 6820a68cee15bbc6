"""Progress: sparse where nobody watches, ended with the command, its log kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.progress import LastLine, Line, run, tail


def test_sparse_lines_where_the_output_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Line("data", every=1000) as line:
        line.show("1 of 2")
        assert capsys.readouterr().out == ""
        line.every = 0
        line.show("2 of 2")
        line.end("ready")
    shown = capsys.readouterr().out.splitlines()
    assert shown == ["data             2 of 2, 0 s", "data             ready, 0.0 s"]


def test_one_line_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    with Line("data") as line:
        line.show("x" * 100)
        line.show("2 of 2")
        line.end("ready")
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1 and shown.endswith("ready, 0.0 s\n")
    assert max(map(len, shown.replace("\n", "\r").split("\r"))) < 40


def test_a_command_leaves_its_log_and_its_exit_code(tmp_path: Path) -> None:
    log = tmp_path / "logs/it.log"
    code = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"
    with Line("it") as line:
        assert run([sys.executable, "-c", code], line, log) == 3
        assert run([sys.executable, "-c", "print('three')"], line, log) == 0
    assert sorted(log.read_text(encoding="utf-8").split()) == ["one", "three", "two"]
    assert tail(log, 1) == "    three"


def test_the_last_line_is_the_status() -> None:
    status = LastLine()
    assert status(None) == "at work"
    assert status("reading\n") == "reading"
    assert status("\n") == status(None) == "reading"
