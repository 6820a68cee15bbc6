"""Colab: where it finds the chapters, and the proof that they run there.

`python -m tools.colab` makes a clean environment with what Colab brings, lets the set-up cell of a
chapter install the book's package there from the built wheel, and runs the chapters in smoke with
nothing of this repository in reach. It costs as long as the chapters take in smoke, two at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import os
import posixpath
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import common, notebooks
from tools.progress import Line, run, tail

BRANCH = "student"  # what Colab opens: the same notebooks with the solutions cut

# What the chapters may count on there. Colab's image holds some seven hundred packages more, and
# its own builds of these: this stands in for it, since the image itself is far too large.
BRINGS = (
    *("ipykernel", "ipywidgets", "librosa", "matplotlib", "numpy", "pip", "scikit-learn"),
    *("setuptools", "torch", "torchvision", "transformers"),
)
STAND_IN = '"""Stands in for the module by which a notebook knows that it is on Colab."""\n'
INSTALL_SECONDS = 60  # what the set-up cell may take
CELL_SECONDS = 300
FOLDER = common.BUILD / "colab"


class ColabError(Exception):
    """Something would not work on Colab; the message says what."""


# --- where things are in public -----------------------------------------------------------------


def branch_path(chapter: str) -> str:
    """Where a chapter's notebook lies on the branch `student`: where it lies on the main one."""
    return f"book/{chapter}.ipynb"


def chapter_url(chapter: str) -> str | None:
    """The address that opens the students' edition of a chapter on Colab.

    None if the repository is not on GitHub, from where alone Colab opens notebooks.
    """
    host, url = "https://github.com/", common.config()["repository"]["url"].rstrip("/")
    if not url.startswith(host):
        return None
    place = f"{url.removeprefix(host)}/blob/{BRANCH}/{branch_path(chapter)}"
    return f"https://colab.research.google.com/github/{place}"


def page_url(path: str, anchor: str = "", kind: str = "blob") -> str:
    """The address at which a reader finds a file of the repository.

    Parameters
    ----------
    path : str
        From the repository's root.
    anchor : str
        A heading's, with ``#``.
    kind : str
        How GitHub shows it: ``blob`` (as a page) or ``raw`` (a picture to be shown elsewhere).

    Returns
    -------
    str
        Its place on the public site, if ``html.baseurl`` in `_config.yml` names one and the file
        is a page there; else on GitHub.
    """
    config = common.config()
    page = posixpath.splitext(path)[0]
    if page in common.pages() and (site := config.get("html", {}).get("baseurl")):
        return f"{site.rstrip('/')}/{page}.html{anchor}"
    repository = config["repository"]
    return f"{repository['url'].rstrip('/')}/{kind}/{repository['branch']}/{path}{anchor}"


# --- links --------------------------------------------------------------------------------------


def linked(notebook: NotebookNode, chapter: str) -> NotebookNode:
    """A copy of a chapter whose links lead to the same places from wherever it is opened.

    Links to chapters open them on Colab, without the anchor, which Colab does not know; those to
    plain pages open them where they can be read; pictures are shown from the repository.

    Parameters
    ----------
    notebook : NotebookNode
        Any edition of the chapter.
    chapter : str
        The chapter, from whose place in `book/` its links are meant.

    Raises
    ------
    ValueError
        If a link leads out of the repository, or could not be rewritten.
    """
    page = copy.deepcopy(notebook)
    known = set(common.chapters())
    for number, cell in notebooks.cells(page, "markdown"):
        for target, is_picture in set(_relative(cell.source)):
            path, mark, anchor = target.partition("#")
            folder = posixpath.dirname(branch_path(chapter))
            path = posixpath.normpath(posixpath.join(folder, path))
            name = path.removeprefix("book/").removesuffix(".ipynb")
            if path.startswith(("/", "..")):
                where = notebooks.name(number, cell)
                raise ValueError(f"{chapter}, {where}: the link to {target} leaves the repository")
            address = chapter_url(name) if name in known else None
            if address is None:
                address = page_url(path, mark + anchor, "raw" if is_picture else "blob")
            # In a link's brackets, or in a definition of one, which may add a title.
            cell.source = re.sub(
                rf"(\]\(\s*<?|^ {{0,3}}\[[^\]]+\]:\s*<?){re.escape(target)}(?=[\s>)]|$)",
                rf"\g<1>{address}",
                cell.source,
                flags=re.MULTILINE,
            )
        if left := sorted({target for target, _ in _relative(cell.source)}):
            where = notebooks.name(number, cell)
            raise ValueError(
                f"{chapter}, {where}: the link to {left[0]} is written in a way that this cannot "
                "make absolute; write it as [text](path)"
            )
    return page


def _relative(source: str) -> Iterator[tuple[str, bool]]:
    """The targets of the relative links in a Markdown cell, and whether each is a picture."""
    for token in notebooks.tokens(source):
        for inner in token.children or []:
            target = str(inner.attrGet("href") or inner.attrGet("src") or "")
            if target and not re.match(r"[a-z]+:|#", target):
                yield target, inner.type == "image"


# --- the clean environment ----------------------------------------------------------------------


def build(folder: Path) -> Path:
    """Build the package's wheel, which has to hold all of `mmlearn/` and `data/`.

    Raises
    ------
    ColabError
        If it cannot be built, or lacks a file.
    """
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    command += ["--outdir", str(folder), str(common.ROOT)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ColabError(f"the wheel could not be built:\n{ended.stdout}{ended.stderr}")
    (wheel,) = folder.glob("*.whl")
    homes = {common.ROOT / "mmlearn": "mmlearn", common.ROOT / "data": "mmlearn/_data"}
    wanted = {
        f"{inside}/{path.relative_to(home).as_posix()}"
        for home, inside in homes.items()
        for path in home.rglob("*")
        if path.is_file() and not path.match("__pycache__/*")
    }
    with zipfile.ZipFile(wheel) as file:
        if missing := sorted(wanted - set(file.namelist())):
            raise ColabError(f"{wheel.name} lacks {', '.join(missing)}")
    return wheel


def closure(wanted: Iterable[str]) -> dict[str, Distribution]:
    """Distributions of this environment, with all that they need here, by canonical name.

    Parameters
    ----------
    wanted : iterable of str
        Requirements as pip takes them; only the names count, the extras and the markers.

    Raises
    ------
    ColabError
        If one of them is not installed.
    """
    found: dict[str, Distribution] = {}
    waiting: list[tuple[Requirement, tuple[str, ...]]]
    waiting = [(Requirement(line), ("",)) for line in wanted]
    seen = set()
    while waiting:
        need, asked = waiting.pop()
        extras = tuple(sorted(need.extras)) or ("",)
        applies = need.marker is None or any(need.marker.evaluate({"extra": e}) for e in asked)
        if not applies or (need.name, extras) in seen:
            continue
        seen.add((need.name, extras))
        try:
            here = found[canonicalize_name(need.name)] = distribution(need.name)
        except PackageNotFoundError:
            raise ColabError(
                f"{need.name} is not installed here, so that it cannot be linked; make the "
                "environment anew, or install from the index: make colab FRESH=yes"
            ) from None
        waiting += [(Requirement(line), extras) for line in here.requires or []]
    return found


def lay(wanted: Iterable[Distribution], site: Path) -> None:
    """Put what some distributions consist of into another environment: links, no second copy.

    Programs and what else lies outside of `site-packages` are left out.
    """
    for here in wanted:
        if here.files is None:
            raise ColabError(f"{here.name} has no list of its files; install it anew with pip")
        for file in here.files:
            source, target = Path(str(here.locate_file(file))), site / file
            # What was compiled may be gone, and some distributions share an __init__.py.
            if ".." in file.parts or target.exists() or not source.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)
            except OSError:  # another disk, or one without hard links
                shutil.copy2(source, target)


def pack(here: Distribution, folder: Path) -> None:
    """Make a wheel of an installed distribution, for pip to install where there is no network."""
    tags = re.findall(r"^Tag: (\S+)", here.read_text("WHEEL") or "", re.MULTILINE)
    if here.files is None or not tags:
        raise ColabError(f"{here.name} was not installed from a wheel; install it anew with pip")
    own = {"INSTALLER", "REQUESTED", "direct_url.json"}  # what pip adds when it installs
    # A wheel for Python 2 and 3 has a tag for each, in this order.
    name = re.sub(r"[-_.]+", "_", here.name)
    with zipfile.ZipFile(folder / f"{name}-{here.version}-{tags[-1]}.whl", "w") as wheel:
        for file in here.files:
            if not {"..", "__pycache__"} & set(file.parts) and file.name not in own:
                wheel.write(str(here.locate_file(file)), str(file))


def environment(folder: Path, wheel: Path, fresh: bool) -> tuple[Path, dict[str, str]]:
    """A clean environment with what Colab brings; its Python, and the variables for its kernels.

    Parameters
    ----------
    folder : Path
        Where it is made; what was there is lost.
    wheel : Path
        The book's package, whose other needs are made ready to be installed.
    fresh : bool
        Install the newest versions from the package index. Without, those of the environment
        that this runs in are linked, and pip is given the packages that Colab lacks from there
        too: then it takes seconds, no room, and no network.
    """
    venv.EnvBuilder(clear=True, symlinks=os.name != "nt", with_pip=fresh).create(folder)
    place = {"base": str(folder), "platbase": str(folder)}
    scripts, site = (Path(sysconfig.get_path(n, "venv", place)) for n in ("scripts", "purelib"))
    python = scripts / Path(sys.executable).name
    # Nothing of this environment or of the repository may be in reach; IPython follows the second.
    ours = ("PYTHONPATH", "VIRTUAL_ENV")
    env = {name: value for name, value in common.kernel_env("smoke").items() if name not in ours}
    env["PATH"] = os.pathsep.join([str(scripts), env.get("PATH", "")])
    if fresh:
        command = [str(python), "-m", "pip", "install", "--upgrade", "--no-input", *BRINGS]
        log = FOLDER / "install.log"
        with Line("colab") as line:
            if run([*command, "--progress-bar", "off"], line, log, env=env):
                raise ColabError(f"what Colab brings could not be installed:\n{tail(log)}")
    else:
        there = closure(BRINGS)
        lay(there.values(), site)
        (about,) = distributions(path=[str(wheel)])
        packed = folder / "packages"
        packed.mkdir()
        for name, lacking in closure(about.requires or []).items():
            if name not in there:
                pack(lacking, packed)
        env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(packed)}
    (site / "google" / "colab").mkdir(parents=True, exist_ok=True)
    (site / "google" / "colab" / "__init__.py").write_text(STAND_IN, encoding="utf-8")
    # On Colab the kernel itself has loaded it.
    (site / "colab_stand_in.pth").write_text("import google.colab\n", encoding="utf-8")
    return python, env


def freeze(python: Path, env: Mapping[str, str]) -> set[str]:
    """What is installed beside a Python, in which versions."""
    command = [str(python), "-m", "pip", "freeze", "--all"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return set(ended.stdout.splitlines())


# --- the chapters there -------------------------------------------------------------------------


def with_wheel(notebook: NotebookNode, wheel: Path) -> NotebookNode:
    """A copy whose set-up cell takes the package from a wheel: the only thing that is changed."""
    page = copy.deepcopy(notebook)
    address = f"git+{common.config()['repository']['url']}"
    ((_, cell),) = notebooks.tagged(page, "setup")
    if cell.source.count(address) != 1:
        raise ColabError(f"the set-up cell does not install from {address}; call `make sync`")
    cell.source = cell.source.replace(address, wheel.as_uri())
    return page


async def _execute(page: NotebookNode, python: Path, env: Mapping[str, str], folder: str) -> None:
    """Run a notebook in a kernel of another Python, begun in a folder."""
    resources = {"metadata": {"path": folder}}
    client = NotebookClient(page, kernel_name="python3", timeout=CELL_SECONDS, resources=resources)
    client.create_kernel_manager().kernel_spec.argv[0] = str(python)
    with (FOLDER / "kernels.log").open("a", encoding="utf-8") as log:  # what they say by the way
        await client.async_execute(env=dict(env), stderr=log)


async def _run(chapters: Sequence[str], wheel: Path, python: Path, env: Mapping[str, str]) -> float:
    """Run the chapters, the first alone; the seconds that its set-up cell took to install."""
    two = asyncio.Semaphore(2)

    async def one(chapter: str, folder: str) -> NotebookNode:
        async with two:
            start = time.monotonic()
            page = with_wheel(notebooks.read(common.notebook_path(chapter, common.BOOK)), wheel)
            try:
                await _execute(page, python, env, folder)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
                raise ColabError(f"{chapter} stops on Colab:\n{plain}") from None
            print(f"{chapter}  {time.monotonic() - start:.1f} s", flush=True)
            return page

    with tempfile.TemporaryDirectory() as folder:
        first = await one(chapters[0], folder)
        await asyncio.gather(*(one(chapter, folder) for chapter in chapters[1:]))
    ((_, cell),) = notebooks.tagged(first, "setup")
    begun, ended = (
        datetime.fromisoformat(cell.metadata.execution[name])
        for name in ("iopub.execute_input", "shell.execute_reply")
    )
    return (ended - begun).total_seconds()


def prove(chapters: Sequence[str], fresh: bool = False) -> int:
    """Run chapters as on Colab, and print what came of it.

    The kernel that installs the package goes on with the first chapter: nothing has to be
    restarted. The others find the package there.

    Parameters
    ----------
    chapters : sequence of str
        From `tools.common.chapters`.
    fresh : bool
        See `environment`.

    Returns
    -------
    int
        0 if every chapter runs to its end, the installation was quick and left every package that
        was there in its version; else 1.
    """
    start = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        wheel = build(FOLDER)
        python, env = environment(FOLDER / "venv", wheel, fresh)
        before = freeze(python, env)
        how = "the newest from the package index" if fresh else "linked from this environment"
        print(
            f"{len(before)} packages that Colab brings, {how}: {time.monotonic() - start:.0f} s",
            flush=True,
        )
        seconds = asyncio.run(_run(chapters, wheel, python, env))
        after = freeze(python, env)
    except ColabError as error:
        print(error)
        return 1
    found = faults(before, after, seconds)
    print("\n".join(found) or _summary(before, after, seconds, how))
    return 1 if found else 0


def faults(before: set[str], after: set[str], seconds: float) -> list[str]:
    """What is wrong with an installation, from `freeze` before and after it and its seconds."""
    found = []
    if lost := sorted(before - after):
        found.append(f"the set-up cell upgraded, downgraded or removed {', '.join(lost)}")
    if seconds > INSTALL_SECONDS:
        found.append(f"the set-up cell took {seconds:.0f} s; it may take {INSTALL_SECONDS} s")
    return found


def _summary(before: set[str], after: set[str], seconds: float, how: str) -> str:
    new = sorted(re.split(r"==| @ ", line)[0] for line in after - before)
    return f"packages {how}; the set-up cell took {seconds:.0f} s and added {', '.join(new)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.colab", description="Run as on Colab.")
    parser.add_argument("--chapters", default="", help="which; all by default")
    parser.add_argument("--fresh", action="store_true", help="install the newest versions")
    given = parser.parse_args()
    sys.exit(prove(common.chapters(given.chapters), given.fresh))
