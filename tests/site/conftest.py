"""The sites that are looked at, and the browser that looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.site import checks, sample
from tools import common, site
from tools.browser import FLAGS, NO_BROWSER, find_browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's own browser; without one the test is skipped, but fails in public runs."""
    path = find_browser()
    if path is None:
        pytest.skip(NO_BROWSER)
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="session")
def book() -> checks.Pages:
    """The book's own site, brought up to date."""
    try:
        assert site.build() == 0
    except site.NotExecuted as error:
        pytest.fail(str(error))
    return checks.Pages(site.HTML)


@pytest.fixture(scope="session")
def chapters() -> list[str]:
    """The chapters that the book's site has to show."""
    return common.chapters()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small book with its site; tests may break copies of it."""
    project = sample.make(tmp_path_factory.mktemp("book"))
    done = sample.build(project)
    assert done.returncode == 0, done.stdout + done.stderr
    return project


@pytest.fixture(scope="session")
def small_pages(small: Path) -> checks.Pages:
    """The small book's pages as they were built."""
    return checks.Pages(small / "_build/html")
