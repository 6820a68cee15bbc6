"""The branch `student`: what Colab finds there, and that its history only grows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import sample
from tools import colab, common, exercises, notebooks, pages, publish

WHO = ("-c", "user.name=A", "-c", "user.email=a@example.org")


def git(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository to push to, and the sample project as a clone with its students' edition."""
    root, remote = tmp_path / "clone", tmp_path / "remote"
    sample.project(root, monkeypatch)
    repository = {"url": "https://github.com/books/mean", "branch": "main"}
    config = {"title": "Means", "repository": repository}
    (root / "_config.yml").write_text(json.dumps(config), encoding="utf-8")
    for name in publish.BESIDE:
        (root / name).write_text(f"{name}\n", encoding="utf-8")
    git(tmp_path, "init", "--quiet", "--bare", str(remote))
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "remote", "add", "origin", str(remote))
    git(root, "add", "_config.yml")
    git(root, *WHO, "commit", "--quiet", "-m", "the book")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@example.org")
    monkeypatch.setattr(pages, "ROOT", root)
    monkeypatch.setattr(publish, "STUDENT", root / "_build/student")
    edition("The first.")
    yield remote
    assert git(root, "status", "--porcelain", "--untracked-files=no") == ""


def edition(words: str) -> None:
    """As `make student` writes it."""
    page = exercises.student(sample.chapter())
    page.cells[4].source += f"\n\n{words}"
    path = common.notebook_path(sample.CHAPTER, publish.STUDENT)
    notebooks.write(colab.linked(page, sample.CHAPTER), path)


def commits(remote: Path) -> list[str]:
    return git(remote, "log", "--format=%H", colab.BRANCH).splitlines()


def test_the_branch_holds_what_the_site_and_the_chapters_open(remote: Path) -> None:
    assert publish.publish() == 0
    files = git(remote, "ls-tree", "-r", "--name-only", colab.BRANCH).splitlines()
    assert files == ["LICENSE", "LICENSE-text", "README.md", f"book/{sample.CHAPTER}.ipynb"]
    url = colab.chapter_url(sample.CHAPTER)
    assert url is not None
    branch, _, path = url.partition("/blob/")[2].partition("/")
    page = git(remote, "show", f"{branch}:{path}")
    assert "YOUR CODE HERE" in page and "secret" not in page
    assert f"[A moving mean](book/{sample.CHAPTER}.ipynb) | [open on Colab]({url})" in git(
        remote, "show", f"{branch}:README.md"
    )


def test_one_commit_each_time_that_something_has_changed(
    remote: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish.publish() == publish.publish() == 0
    assert "holds this edition already" in capsys.readouterr().out
    (first,) = commits(remote)
    edition("The second.")
    assert publish.publish() == 0
    assert len(commits(remote)) == 2 and commits(remote)[1] == first
    assert "The second." in git(remote, "show", f"student:book/{sample.CHAPTER}.ipynb")
    head = git(common.ROOT, "rev-parse", "--short", "HEAD")
    assert git(remote, "log", "-1", "--format=%s", "student") == f"The students' edition of {head}"


def test_what_another_has_pushed_meanwhile_is_not_lost(
    remote: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish.publish() == 0
    really = publish._git

    def meanwhile(*arguments: str, given: str = "", **env: str) -> str:
        if arguments[0] == "push":
            tree = git(remote, "rev-parse", "student^{tree}")
            other = git(remote, *WHO, "commit-tree", tree, "-p", "student", "-m", "other")
            git(remote, "update-ref", "refs/heads/student", other)
        return really(*arguments, given=given, **env)

    monkeypatch.setattr(publish, "_git", meanwhile)
    edition("The second.")
    assert publish.publish() == 1
    assert "git push failed" in capsys.readouterr().err
    assert git(remote, "log", "-1", "--format=%s", "student") == "other"


def test_a_missing_chapter_publishes_nothing(
    remote: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common.notebook_path(sample.CHAPTER, publish.STUDENT).unlink()
    assert publish.publish() == 1
    assert "mean.ipynb is missing: `make student` writes it" in capsys.readouterr().err
    assert git(remote, "branch") == ""


def test_the_book_has_what_lies_beside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for chapter in common.chapters():
        page = notebooks.read(common.notebook_path(chapter))
        notebooks.write(page, common.notebook_path(chapter, tmp_path))
    monkeypatch.setattr(publish, "STUDENT", tmp_path)
    files = publish.tree()
    assert set(files) == {
        "README.md", "LICENSE", "LICENSE-text", *map(colab.branch_path, common.chapters()),
    }  # fmt: skip
    assert all(str(colab.chapter_url(c)) in files["README.md"] for c in common.chapters())
    assert "https://github.com/" in files["README.md"]
