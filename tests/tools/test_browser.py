"""The browser: found, named, or missed aloud in public."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import browser


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without a browser, without a package manager, and not in public."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CI", "CHROME_BIN", "PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(browser, "MACOS", ())
    browser.find_browser.cache_clear()
    yield
    browser.find_browser.cache_clear()


def program(path: Path) -> str:
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_none_is_none() -> None:
    assert browser.find_browser() is None


def test_none_fails_in_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(RuntimeError, match="no Chromium, Chrome or Edge"):
        browser.find_browser()


def test_the_one_on_the_path(tmp_path: Path) -> None:
    there = program(tmp_path / "google-chrome")
    assert browser.find_browser() == there


def test_the_one_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "chromium")
    named = program(tmp_path / "other")
    monkeypatch.setenv("CHROME_BIN", named)
    assert browser.find_browser() == named


def test_a_name_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROME_BIN", "nowhere")
    with pytest.raises(RuntimeError, match="CHROME_BIN names 'nowhere'"):
        browser.find_browser()
