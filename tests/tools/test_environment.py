"""The environment, made for real in a copy that needs one tiny package and no network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import environment

ROOT = Path(__file__).resolve().parents[2]
RUNS_BEFORE_PACKAGES = ("__init__", "__main__", "commands", "environment", "progress")
SITE_PACKAGES = "Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"

# A source distribution whose first build never ends.
SLOW_BUILD = """
import os, pathlib, time, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    here = pathlib.Path(__file__).parent
    if not (here / "begun").exists():
        (here / "begun").write_text(str(os.getpid()))
        time.sleep(120)
    name = "slow-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        for file, text in {files!r}.items():
            wheel.writestr(file, text)
    return name
"""


def wheel_files(name: str, version: str) -> dict[str, str]:
    """What is in the wheel of a package with one module."""
    info = f"{name}-{version}.dist-info"
    return {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def call(root: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`python -m tools` in a copy; `serve` by default, which there ends at once: no site."""
    return subprocess.run(
        [sys.executable, "-m", "tools", *(arguments or ["serve"])],
        cwd=root,
        env=clean_env(**env),
        capture_output=True,
        text=True,
        timeout=300,
    )


def clean_env(**more: str) -> dict[str, str]:
    """This process's variables without those that would reach into the copy."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "MMLEARN_", "PYTHON"))}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "1", **more}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what runs before packages, with an environment of one package."""
    root = tmp_path_factory.mktemp("made")
    for name in RUNS_BEFORE_PACKAGES:
        write(root / f"tools/{name}.py", (ROOT / f"tools/{name}.py").read_text(encoding="utf-8"))
    for version in ("1.0", "2.0"):
        (root / "wheels").mkdir(exist_ok=True)
        with zipfile.ZipFile(root / f"wheels/tiny-{version}-py3-none-any.whl", "w") as wheel:
            for file, text in wheel_files("tiny", version).items():
                wheel.writestr(file, text)
    write(root / "pyproject.toml", '[project]\nname = "copy"\n[tool.ruff]\nline-length = 100\n')
    write(root / "requirements-dev.txt", "--no-index\n--find-links wheels\ntiny>=1.0\n")
    write(root / "requirements.lock", "tiny==1.0\n")
    ended = call(root)
    assert "made in .venv" in ended.stdout, ended.stderr
    assert "There is no site yet" in ended.stderr and ended.returncode == 1
    return root


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A copy of that copy, to be broken."""
    return shutil.copytree(made, tmp_path / "copy", symlinks=True)


def packages(root: Path) -> Path:
    """Where the packages lie."""
    (folder,) = (root / ".venv").glob(SITE_PACKAGES)
    return folder


def version(root: Path) -> str:
    """The installed version of the one package, told by its own file."""
    return (packages(root) / "tiny.py").read_text(encoding="utf-8").split("'")[1]


def test_a_complete_environment_is_left_alone(copy: Path) -> None:
    before = (copy / ".venv/complete").stat().st_mtime_ns
    write(copy / "pyproject.toml", '[project]\nname = "copy"\n[tool.ruff]\nline-length = 80\n')
    ended = call(copy)
    assert "environment" not in ended.stdout
    assert (copy / ".venv/complete").stat().st_mtime_ns == before


def test_what_is_up_to_date_costs_milliseconds(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in {"ROOT": "", "VENV": ".venv", "STAMP": ".venv/complete"}.items():
        monkeypatch.setattr(environment, name, copy / path)
    monkeypatch.delenv("MMLEARN_LOCK", raising=False)
    start = time.process_time()
    assert environment.ensure() == 0.0
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize("change", ["requirements", "project"])
def test_changed_requirements_renew_it(copy: Path, change: str) -> None:
    write(copy / "requirements.lock", "")
    if change == "requirements":
        write(copy / "requirements-dev.txt", "--no-index\n--find-links wheels\ntiny>=2.0\n")
    else:
        (copy / ".venv/complete").write_text("made from another project", encoding="utf-8")
    ended = call(copy)
    assert "made in .venv" in ended.stdout
    assert version(copy) == ("2.0" if change == "requirements" else "1.0")


def test_a_half_installed_package_is_laid_anew(copy: Path) -> None:
    folder = packages(copy)
    (copy / ".venv/complete").unlink()
    (folder / "tiny-1.0.dist-info/INSTALLER").unlink()
    write(folder / "tiny.py", "vers")
    write(folder / "~iny/left.py", "")
    assert "made in .venv" in call(copy).stdout
    assert version(copy) == "1.0"
    assert not (folder / "~iny").exists()


def test_an_environment_without_pip_is_made_anew(copy: Path) -> None:
    (copy / ".venv/complete").unlink()
    shutil.rmtree(packages(copy) / "pip")
    assert "made in .venv" in call(copy).stdout
    assert version(copy) == "1.0"


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_stopped_while_installing(copy: Path, kind: signal.Signals) -> None:
    write(copy / "slow/build.py", SLOW_BUILD.format(files=wheel_files("slow", "1.0")))
    write(
        copy / "slow/pyproject.toml",
        '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n'
        '[project]\nname = "slow"\nversion = "1.0"\n',
    )
    write(copy / "requirements-dev.txt", "--no-index\n--find-links wheels\ntiny\n./slow\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "tools", "serve"],
        cwd=copy,
        env=clean_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    begun = copy / "slow/begun"
    wait_for(lambda: begun.exists() and begun.read_text(encoding="utf-8") != "")
    os.killpg(process.pid, kind)
    output, _ = process.communicate(timeout=60)
    if kind is signal.SIGINT:
        assert process.returncode == 130
        assert "Traceback" not in output
        assert output.strip().count("\n") <= 1 and "Stopped." in output
    wait_for(lambda: not alive(int(begun.read_text(encoding="utf-8"))))
    assert not (copy / ".venv/complete").exists()
    ended = call(copy)
    assert "made in .venv" in ended.stdout, ended.stderr
    assert (packages(copy) / "slow.py").exists()


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("nothing came of it in a minute")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # In a container nobody may collect the dead.
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def test_a_lock_that_does_not_fit_is_left_out_with_a_sentence(copy: Path) -> None:
    write(copy / "requirements.lock", "tiny==9.0\n")
    ended = call(copy)
    assert "The versions in requirements.lock do not fit this machine" in ended.stdout
    assert "made in .venv" in ended.stdout


def test_a_lock_asked_for_by_name_has_to_fit(copy: Path) -> None:
    write(copy / "other.lock", "tiny==9.0\n")
    ended = call(copy, MMLEARN_LOCK="other.lock")
    assert ended.returncode == 1
    assert "The environment could not be made" in ended.stderr and "tiny" in ended.stderr
    assert "Traceback" not in ended.stderr
    missing = call(copy, MMLEARN_LOCK="none.lock")
    assert "'none.lock', which is no file" in missing.stderr


def test_without_a_lock_the_newest_is_taken(copy: Path) -> None:
    write(copy / "requirements-dev.txt", "--no-index\n--find-links wheels\ntiny>1.0\n")
    assert "made in .venv" in call(copy, MMLEARN_LOCK="none").stdout
    assert version(copy) == "2.0"


def test_no_network_is_said_in_a_sentence(copy: Path) -> None:
    write(copy / "requirements-dev.txt", "--index-url http://127.0.0.1:9/simple\nabsent\n")
    ended = call(copy)
    assert ended.returncode == 1
    assert ended.stderr.startswith("The package index did not answer")
    assert "environment.log" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("log", "why"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "The disk is full"),
        ("The virtual environment was not created: ensurepip is not available.", "apt-get install"),
        ("error: subprocess-exited-with-error", "could not be made"),
    ],
)
def test_a_failure_is_said_in_a_sentence(tmp_path: Path, log: str, why: str) -> None:
    write(tmp_path / "log", log)
    assert why in environment.failure(tmp_path / "log")


def test_pip_is_followed() -> None:
    status = environment.PipStatus()
    assert status("Collecting numpy>=2 (from -r requirements.txt)") == "looking at package 1: numpy"
    status("Requirement already satisfied: pip in ./lib (24.1)")
    assert status("  Downloading torch-2.9-cp311.whl (700.1 MB)") == "downloading torch (700.1 MB)"
    assert "does not answer" in status("WARNING: Retrying (Retry(total=4)) after ...")
    assert status("Installing collected packages: a, b, c").endswith("of 3")
    assert status(None).endswith("of 3")


def test_the_lock_holds_what_was_installed(copy: Path) -> None:
    ended = call(copy, "lock")
    assert "requirements.lock: 1 packages" in ended.stdout
    assert "tiny==1.0" in (copy / "requirements.lock").read_text(encoding="utf-8").splitlines()
