"""How the site is made: the staging of chapters and pages, and what a build does and refuses."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pikepdf
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode
from playwright.sync_api import Browser

import mmlearn
from tests.site import checks, sample
from tools import colab, common, exercises, notebooks, pages, site

CHAPTER_PAGE = f"book/{sample.CHAPTER}.html"


def staged(solutions: bool = True) -> NotebookNode:
    return site.stage_chapter(sample.executed(), "the status", solutions)


def sources(notebook: NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


def find(notebook: NotebookNode, text: str) -> NotebookNode:
    (cell,) = [cell for cell in notebook.cells if text in cell.source]
    return cell


@pytest.fixture
def project(small: Path, tmp_path: Path) -> Path:
    """A copy of the small book, with its site, to be built again."""
    return shutil.copytree(small, tmp_path / "book")


# --- a chapter --------------------------------------------------------------------------------


def test_opening_cells_are_folded_together() -> None:
    notebook = staged()
    kinds = [cell.source.split("\n")[0] for cell in notebook.cells]
    begin = kinds.index('<details class="mm-fold"><summary>Setup</summary>')
    assert kinds[:begin] == ["# A moving mean", "the status"]
    assert [cell.cell_type for cell in notebook.cells[begin + 1 : begin + 4]] == ["code"] * 3
    assert kinds[begin + 4] == "</details>"


def test_the_executed_notebook_is_left_alone() -> None:
    notebook = sample.executed()
    before = notebooks.text(notebook)
    site.stage_chapter(notebook, solutions=False)
    assert notebooks.text(notebook) == before


def test_an_exercise_shows_the_stub_and_folds_the_solution() -> None:
    stub, cell = (c for c in staged().cells if "def scale_1(" in c.source)
    body = "    # YOUR CODE HERE\n    raise NotImplementedError()"
    assert stub.source == f"def scale_1(x):\n{body}"
    assert not stub.metadata.get("tags")
    assert cell.source == "def scale_1(x):\n    secret = 2 * x\n    return secret"
    assert cell.metadata.tags == ["hide-cell"]
    assert cell.metadata.mystnb.code_prompt_show == "Solution"
    assert find(staged(), "The secret is geometric.").source == "The secret is geometric."


def test_the_stub_is_the_one_of_the_students_edition() -> None:
    student = {c.source for c in exercises.student(sample.executed()).cells}
    stubs = {c.source for c in staged(solutions=False).cells if "YOUR CODE HERE" in c.source}
    assert len(stubs) == 2
    assert stubs <= student


def test_tests_are_folded_and_hidden_ones_cut() -> None:
    cell = find(staged(), "assert scale_1(0)")
    assert cell.source == "assert scale_1(0) == 0, 'nothing stays nothing'"
    assert cell.metadata.mystnb.code_prompt_show == "Tests"
    assert "HIDDEN" not in sources(staged())


def test_without_solutions_none_is_left() -> None:
    notebook = staged(solutions=False)
    assert "secret" not in notebooks.text(notebook)
    assert "printed_by_solution" not in notebooks.text(notebook)
    assert find(notebook, "def scale_1").source.endswith("raise NotImplementedError()")


def test_alt_text_stands_where_myst_nb_looks() -> None:
    cell = find(staged(), "x[:3]")
    assert cell.metadata.mystnb.image.alt == sample.ALT


def test_an_output_has_one_form_and_a_claim_an_anchor() -> None:
    claims = [c for c in staged().cells if c.source.startswith("mm.claim(")]
    for number, cell in enumerate(claims, 1):
        (output,) = cell.outputs
        assert list(output.data) == ["text/html"]
        assert f'<p id="claim-{number}" class="mm-claim holds"' in output.data["text/html"]
    assert len(claims) == 2
    (figure,) = find(staged(), "x[:3]").outputs
    assert list(figure.data) == ["image/png"]


def test_nothing_of_the_machine_is_staged() -> None:
    notebook = sample.executed()
    notebook.metadata["papermill"] = {"input_path": "/somewhere"}
    assert "/somewhere" not in notebooks.text(site.stage_chapter(notebook))


def test_status_line() -> None:
    line = site.status_line(sample.CHAPTER, sample.TIME)
    assert "Executed on 2 November 2026 in 12 s with 310 MB of memory." in line
    assert "(../appendix/times.md)" in line
    assert "in under 1 s" in site.status_line(sample.CHAPTER, sample.TIME | {"seconds": 0.4})
    assert site.status_line(sample.CHAPTER, None) == ""


# --- pages ------------------------------------------------------------------------------------


def test_an_unknown_marker_is_refused() -> None:
    known = ", ".join(pages.GENERATED)
    with pytest.raises(SystemExit, match=f"asks for 'prices'; what there is: {known}$"):
        pages.fill("# P\n\n<!-- generated: prices -->\n", "book/appendix/p")


def test_a_marker_inside_a_line_is_text() -> None:
    text = "Write `<!-- generated: claims -->` on a line of its own."
    assert pages.fill(text, "book/appendix/p") == text


def test_claims_page(small_pages: checks.Pages) -> None:
    page = small_pages.soups["book/appendix/claims.html"]
    cells = [" ".join(cell.get_text(" ").split()) for cell in page.select("tbody td")]
    sentence = "a fast mean | is near the end simulated data"
    assert cells == [sentence, "0.75", "0.7 to 0.8", "at least 0.5", "yes"]
    assert page.select_one("tbody a")["href"] == "../1_part/mean.html#claim-1"


def test_a_claim_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = sample.CLAIM | {"holds": False, "value": None, "chapter": common.chapters()[0]}
    monkeypatch.setattr(pages, "records", lambda name: [bad])
    text = pages.claims("book/appendix")
    assert "**no**" in text
    assert "not a number" in text


def test_times_page(small_pages: checks.Pages) -> None:
    text = small_pages.soups["book/appendix/times.html"].select_one("article").get_text(" ")
    for part in ("A moving mean", "12.3", "310", "All chapters", "numpy", "2.4.6"):
        assert part in text


def test_every_module_of_the_package_is_described(book: checks.Pages) -> None:
    page = book.soups["book/appendix/api.html"]
    described = {tag["id"].removeprefix("module-") for tag in page.select("[id^=module-]")}
    public = {name for name in mmlearn.__all__ if inspect.ismodule(getattr(mmlearn, name))}
    assert described == {f"mmlearn.{name}" for name in public}
    assert page.select_one("#mmlearn\\.runtime\\.start")


def test_the_colab_button_opens_what_is_published(small_pages: checks.Pages) -> None:
    (link,) = small_pages.soups[CHAPTER_PAGE].select("a.mm-run")
    assert link["href"] == colab.chapter_url(sample.CHAPTER)


def test_every_data_card_is_shown(book: checks.Pages) -> None:
    headings = {tag.get_text().rstrip("#") for tag in book.soups["book/appendix/data.html"]("h2")}
    for card in (common.ROOT / "data").glob("*.md"):
        assert card.read_text(encoding="utf-8").split("\n")[0].removeprefix("# ") in headings


# --- builds -----------------------------------------------------------------------------------


def test_the_page_as_built(small_pages: checks.Pages) -> None:
    page = small_pages.soups[CHAPTER_PAGE]
    folds = [tag.get_text() for tag in page.select("details > summary")]
    assert folds[0] == "Setup"
    assert folds.count("Solution") == folds.count("Tests") == 2
    assert folds.count("Model answer") == 1
    assert "secret = 2 * x" in page.get_text()
    assert page.select_one(".mm-part").get_text() == "A part"
    assert not (small_pages.site / "_sources").exists()
    blocking = [
        tag["src"] for tag in page.head.find_all("script", src=True) if not tag.has_attr("defer")
    ]
    assert blocking == []


def test_nothing_changed_costs_nothing(project: Path) -> None:
    before = (project / "_build/html" / CHAPTER_PAGE).stat().st_mtime_ns
    start = time.monotonic()
    done = sample.build(project)
    assert "nothing changed" in done.stdout
    assert time.monotonic() - start < 10
    assert (project / "_build/html" / CHAPTER_PAGE).stat().st_mtime_ns == before


def test_a_broken_reference_fails_until_it_is_mended(project: Path) -> None:
    page = project / "book/start/welcome.md"
    good = page.read_text(encoding="utf-8")
    page.write_text(good + "\n[gone](gone.md)\n", encoding="utf-8")
    for _ in range(2):  # Sphinx alone would not repeat the warning
        done = sample.build(project)
        assert done.returncode != 0
        assert "book/start/welcome.md" in done.stderr
        assert "gone.md" in done.stderr
    page.write_text(good, encoding="utf-8")
    assert sample.build(project).returncode == 0

    # From here on, a changed page is made anew alone.
    html = project / "_build/html"
    before = (html / CHAPTER_PAGE).stat().st_mtime_ns
    page.write_text(f"{good}\nA new sentence.\n", encoding="utf-8")
    assert sample.build(project).returncode == 0
    assert "A new sentence." in (html / "book/start/welcome.html").read_text(encoding="utf-8")
    assert (html / CHAPTER_PAGE).stat().st_mtime_ns == before


def test_a_chapter_not_executed_is_refused(project: Path) -> None:
    common.notebook_path(sample.CHAPTER, project / "_build/executed").unlink()
    done = sample.build(project)
    assert done.returncode != 0
    assert f"not executed yet: {sample.CHAPTER}; `python -m tools book` executes" in done.stderr


def test_a_site_without_solutions_and_without_a_page(project: Path) -> None:
    toc = project / "_toc.yml"
    text = toc.read_text(encoding="utf-8").replace("      - file: book/appendix/times\n", "")
    toc.write_text(text, encoding="utf-8")
    (project / "_build/times.json").write_text("[]", encoding="utf-8")
    assert sample.build(project, "--no-solutions").returncode == 0
    assert not (project / "_build/html/book/appendix/times.html").exists()

    chapter = notebooks.read(common.notebook_path(sample.CHAPTER, project / "book"))
    secrets = checks.secret_lines(chapter, notebooks.SOLUTION, notebooks.HIDDEN)
    assert "secret = 2 * x" in secrets
    without = checks.Pages(project / "_build/html")
    assert without.leaks([*secrets, "printed_by_solution"]) == []
    for path in (project / "_build/html").rglob("*"):
        if path.is_file():
            assert b"geometric" not in path.read_bytes(), path
    assert "YOUR CODE HERE" in without.soups[CHAPTER_PAGE].get_text()


# --- the book on paper ------------------------------------------------------------------------


def test_the_whole_book_as_one_pdf(
    project: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PDF", project / "_build/book.pdf")
    assert "`make pdf`" in pages.pdf("book/start")
    env = {**os.environ, "PYTHONPATH": str(project)}
    command = [sys.executable, "-c", "from tools import pdf; print(pdf.assemble()); pdf.build()"]
    done = subprocess.run(command, cwd=project, env=env, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    soup = BeautifulSoup(done.stdout, "lxml")
    ids = [tag["id"] for tag in soup.select("[id]")]
    assert len(ids) == len(set(ids))
    links = [tag["href"] for tag in soup.body.select("[href]") if tag["href"].startswith("#")]
    assert len(links) > 6
    assert {link.removeprefix("#") for link in links} <= set(ids)
    text = soup.body.get_text()
    for title in ("A small book", "A moving mean", "All claims", "Solution", "Model answer"):
        assert title in text
    assert "Tests" not in text
    assert not soup.body.select("script, button, input")
    printed = (project / "_build/book.pdf").read_bytes()
    assert 'href="../../book.pdf"' in pages.pdf("book/start")
    assert printed.startswith(b"%PDF")
    with pikepdf.open(project / "_build/book.pdf") as paper, paper.open_outline() as outline:
        assert any("A moving mean" in item.title for item in outline.root)
        assert "the authors" in str(paper.docinfo["/Author"])
    assert sample.build(project).returncode == 0
    assert (project / "_build/html/book.pdf").read_bytes() == printed
    assert sample.build(project, "--no-solutions").returncode == 0
    assert not (project / "_build/html/book.pdf").exists(), "it has the solutions"
