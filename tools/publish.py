"""Publish the students' edition on the branch `student`, from which Colab opens the chapters.

`python -m tools.publish`, after `make student`: one commit on top of what is there, if anything
has changed. History is never rewritten.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import common
from tools.colab import BRANCH, branch_path, chapter_url, page_url
from tools.pages import title

STUDENT = common.BUILD / "student"  # what `make student` writes
BESIDE = ("LICENSE", "LICENSE-text")

README = """\
# {title}: the students' edition

These are the chapters of [the book]({book}) as you meet them before you have solved anything: the
solutions and the hidden tests are cut, all else is the same. Open one on Colab and run it from the
top; its first cell installs what it needs.

| Chapter | |
|---|---|
{chapters}

This branch is written anew whenever the book changes, so change nothing here: the branch
[main]({book}) has the sources. The code is under the [MIT licence](LICENSE), text and figures are
under [CC BY-SA 4.0](LICENSE-text).
"""


class PublishError(Exception):
    """The edition cannot be published; the message says why."""


def tree() -> dict[str, str]:
    """The branch's files: each path with its text.

    Raises
    ------
    PublishError
        If a chapter is missing in `_build/student`.
    """
    files = {name: (common.ROOT / name).read_text(encoding="utf-8") for name in BESIDE}
    rows = []
    for chapter in common.chapters():
        path, source = branch_path(chapter), common.notebook_path(chapter, STUDENT)
        if not source.exists():
            raise PublishError(f"{source} is missing: `make student` writes it")
        files[path] = source.read_text(encoding="utf-8")
        opens = f"[open on Colab]({url})" if (url := chapter_url(chapter)) else ""
        rows.append(f"| [{title(f'book/{chapter}')}]({path}) | {opens} |")
    about = {
        "title": common.config()["title"],
        "book": page_url("README.md"),
        "chapters": "\n".join(rows),
    }
    return {"README.md": README.format(**about), **files}


def publish(remote: str = "origin") -> int:
    """Push a commit with this edition, unless the branch holds it already.

    Parameters
    ----------
    remote : str
        The repository to push to, by git's name for it.

    Returns
    -------
    int
        0, or 1 if it could not be done; what git says is printed.
    """
    try:
        files = tree()
        parent = _git("ls-remote", "--heads", remote, BRANCH).split("\t")[0]
        if parent:
            _git("fetch", "--quiet", remote, f"refs/heads/{BRANCH}")
        new = _tree(files)
        if parent and _git("rev-parse", f"{parent}^{{tree}}") == new:
            print(f"the branch {BRANCH} holds this edition already")
            return 0
        message = f"The students' edition of {_git('rev-parse', '--short', 'HEAD')}"
        onto = ["-p", parent] if parent else []
        commit = _git("commit-tree", new, *onto, "-m", message)
        # Not by force: git refuses if somebody else has pushed in the meantime.
        _git("push", "--quiet", remote, f"{commit}:refs/heads/{BRANCH}")
    except PublishError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"the branch {BRANCH} holds {len(files)} files: {message}")
    return 0


def _tree(files: dict[str, str]) -> str:
    """Store files in git, with neither its index nor its work tree touched; the tree's name."""
    with tempfile.TemporaryDirectory() as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
        for path, text in files.items():
            blob = _git("hash-object", "-w", "--stdin", given=text)
            _git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", **index)
        return _git("write-tree", **index)


def _git(*arguments: str, given: str = "", **env: str) -> str:
    """What git prints."""
    ended = subprocess.run(
        ["git", *arguments],
        cwd=common.ROOT,
        env={**os.environ, **env},
        input=given.encode(),
        capture_output=True,
        check=False,
    )
    if ended.returncode:
        raise PublishError(f"git {arguments[0]} failed: {ended.stderr.decode().strip()}")
    return ended.stdout.decode().strip()


if __name__ == "__main__":
    sys.exit(publish())
