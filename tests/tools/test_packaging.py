"""What is declared is what is imported, and the lock, the bounds and the public runs agree."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"mmlearn", "tools", "tests"}


def listed(*names: str) -> dict[str, Requirement]:
    """The requirements of some files, by canonical name."""
    lines = [
        line.split(" #")[0].strip()
        for name in names
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
    ]
    wanted = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    return {canonicalize_name(requirement.name): requirement for requirement in wanted}


def depends() -> dict[str, Requirement]:
    """What mmlearn depends on."""
    wanted = [Requirement(line) for line in PROJECT["dependencies"]]
    return {canonicalize_name(requirement.name): requirement for requirement in wanted}


def imported(*folders: str) -> dict[str, str]:
    """The distributions that the code in some folders imports, each with a file that does."""
    known = packages_distributions()
    found = {}
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for top in {str(name).split(".")[0] for name in names} - OURS:
                if top in known and top not in sys.stdlib_module_names:
                    for distribution in known[top]:
                        found[canonicalize_name(distribution)] = str(path.relative_to(ROOT))
    return found


def test_the_package_declares_what_it_imports() -> None:
    undeclared = {name: file for name, file in imported("mmlearn").items() if name not in depends()}
    assert not undeclared


def test_the_tools_declare_what_they_import() -> None:
    # What Jupyter Book itself depends on comes with it, in the versions that it allows.
    book = {"beautifulsoup4", "docutils", "jinja2", "markdown-it-py", "mdit-py-plugins"}
    book |= {"myst-nb", "myst-parser", "pybtex", "pygments", "sphinx", "ipython", "packaging"}
    # nbgrader's pages are made by nbconvert, and made harmless by what that brings.
    book |= {"bleach", "nbconvert"}
    declared = listed("requirements.txt", "requirements-dev.txt").keys() | depends().keys() | book
    found = imported("tools", "tests")
    undeclared = {name: file for name, file in found.items() if name not in declared}
    assert not undeclared


def test_the_check_of_imports_sees_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mmlearn").mkdir()
    code = "def f():\n    from sklearn import svm\n    import os, yaml\n"
    (tmp_path / "mmlearn/a.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert imported("mmlearn").keys() == {"scikit-learn", "pyyaml"}


def test_only_lower_bounds() -> None:
    wanted = listed("requirements.txt", "requirements-dev.txt") | depends()
    other = {
        str(requirement)
        for requirement in wanted.values()
        if {s.operator for s in requirement.specifier} != {">="}
    }
    # Version 2 of Jupyter Book is another program; of the other one we take a single file.
    assert other == {"jupyter-book<2,>=1.0.4", "django-static-mathjax==3.2.2.1"}


def test_the_lock_fits_the_bounds_and_leaves_torch_alone() -> None:
    lock = listed("requirements.lock")
    assert all([s.operator for s in r.specifier] == ["=="] for r in lock.values())
    assert not [
        name for name in lock if re.match(r"(torch|torchvision|triton|nvidia|cuda)\b", name)
    ]
    wanted = listed("requirements.txt", "requirements-dev.txt") | depends()
    assert wanted.keys() - lock.keys() <= {"torch", "torchvision", "pip", "setuptools"}
    for name, requirement in wanted.items():
        if name in lock:
            (pin,) = lock[name].specifier
            assert requirement.specifier.contains(pin.version), f"{requirement} but {pin}"


def test_the_public_runs_take_the_oldest_and_the_newest_python() -> None:
    stated = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    weekly = yaml.safe_load((ROOT / ".github/workflows/weekly.yml").read_text(encoding="utf-8"))
    used = [
        step["with"]["python-version"]
        for name in ("oldest", "newest")
        for step in weekly["jobs"][name]["steps"]
        if "python-version" in step.get("with", {})
    ]
    assert used == [min(stated, key=Version), max(stated, key=Version)]
    assert PROJECT["requires-python"] == f">={min(stated, key=Version)}"


# --- the public runs ----------------------------------------------------------------------------

WORKFLOWS = {
    path.name: path.read_text(encoding="utf-8")
    for path in sorted((ROOT / ".github/workflows").glob("*.yml"))
}


def workflow_faults(name: str, text: str) -> list[str]:
    """What is wrong with a workflow: what it calls is not there, or it may do what it need not."""
    flow = yaml.safe_load(text)
    faults = []
    if name != "pages.yml" and flow["permissions"] != {"contents": "read"}:
        faults.append(f"{name} may do more than read")
    for job, about in flow["jobs"].items():
        if not 0 < about.get("timeout-minutes", 0) <= 120:
            faults.append(f"{name}, {job} may run for hours")
        for step in about["steps"]:
            uses, runs = step.get("uses", "actions/x@v1"), step.get("run", "")
            if not re.fullmatch(r"actions/[\w-]+@v\d+", uses):
                faults.append(f"{name}, {job}: {uses} is no pinned action of GitHub's own")
            faults += [
                f"{name}, {job}: there is no command {command}"
                for command in re.findall(r"\bmake (\w+)", runs)
                if command not in COMMANDS
            ]
            faults += [
                f"{name}, {job}: there is no module {module}"
                for module in re.findall(r"-m (tools\.\w+)", runs)
                if not (ROOT / f"{module.replace('.', '/')}.py").exists()
            ]
    return faults


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_call_what_there_is_and_may_do_no_more_than_they_need(name: str) -> None:
    assert workflow_faults(name, WORKFLOWS[name]) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("pages.yml", "make student", "make students", "there is no command students"),
        ("pages.yml", "tools.publish", "tools.published", "there is no module tools.published"),
        ("test.yml", "contents: read", "contents: write", "may do more than read"),
        ("test.yml", "actions/checkout@v5", "else/checkout@main", "is no pinned action"),
        ("weekly.yml", "timeout-minutes: 60", "timeout-minutes: 600", "may run for hours"),
    ],
)
def test_the_check_of_workflows_sees_what_is_wrong(
    name: str, old: str, new: str, said: str
) -> None:
    assert old in WORKFLOWS[name]
    (fault,) = workflow_faults(name, WORKFLOWS[name].replace(old, new))
    assert said in fault


def test_the_students_edition_is_published_before_the_site_that_links_to_it() -> None:
    flow = yaml.safe_load(WORKFLOWS["pages.yml"])
    assert flow[True] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}  # on: is True
    assert flow["permissions"]["contents"] == "write"
    assert flow["concurrency"] == {"group": "pages", "cancel-in-progress": False}
    steps = [step.get("run") or step["uses"] for step in flow["jobs"]["site"]["steps"]]
    wanted = ["make pdf", "make student", ".venv/bin/python -m tools.publish"]
    assert [step for step in steps if step in wanted] == wanted
    assert steps.index(wanted[-1]) < steps.index("actions/deploy-pages@v4")


def test_the_weekly_run_proves_the_newest_versions_on_colab() -> None:
    flow = yaml.safe_load(WORKFLOWS["weekly.yml"])
    assert "make colab FRESH=yes" in [s.get("run") for s in flow["jobs"]["colab"]["steps"]]
