"""Run Python where it can do no harm: no network, nothing to write but a throw-away folder.

On Linux the kernel's own namespaces confine a process, by util-linux, for root as for anybody else:
it sees its interpreter, the system's libraries and what it was given to read, all read-only, and
no process but its own. Elsewhere, or where the kernel does not allow it, docker or podman does the
same. Where there is neither, nothing is run.

This is how Linux does it: `unshare` starts this very file in new namespaces; there `_enter` builds
a root out of bind mounts, makes it the only one, sets the limits, gives up every right and becomes
the program.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

import psutil

GIB, MIB = 2**30, 2**20
IMAGE = "mmlearn-grading"  # for docker or podman; built when it is first needed
_HERE = Path(__file__).resolve()
# Ubuntu's, since 24.04.
_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_TICK = 0.2  # seconds between two looks at the memory
# An ordinary user's PATH often lacks the folders of the system's tools.
_TOOLS = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin:/sbin"}


class SandboxError(RuntimeError):
    """This machine cannot confine a process; the message says why and what would do."""


class StoppedError(Exception):
    """A confined process was ended, or ended itself; the message says why."""


@dataclass(frozen=True)
class Limits:
    """What a confined process may use, all its children included.

    Attributes
    ----------
    memory, disk : int
        Bytes of memory, and of all files together.
    processes : int
        How many at a time, threads included.
    cpu : int
        Seconds of computing of each process: the last resort, if whoever watches is gone.
    output : int
        Bytes that it may write to its standard output and error.
    """

    memory: int = 3 * GIB
    disk: int = 256 * MIB
    processes: int = 64
    cpu: int = 900
    output: int = 4 * MIB


@dataclass(frozen=True)
class Outcome:
    """How a confined program ended: its exit code (None if it was stopped), why, its last words."""

    code: int | None
    reason: str
    tail: str


class Box:
    """A confined Python process, to talk with by lines; nothing of it is left at the end.

    Parameters
    ----------
    arguments : sequence of str
        Python's own, such as ``["-c", "print(1)"]``. It runs in ``/tmp``, which alone can be
        written, and is gone afterwards.
    read : mapping of str to Path
        What it may read: the path in the box, and the file or folder that is shown there.
    env : mapping of str to str
        Its whole environment; `HOME` and `TMPDIR` are ``/tmp``.
    limits : Limits
        What it may use.

    Raises
    ------
    SandboxError
        If this machine cannot confine it.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        read: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
        limits: Limits = Limits(),
    ) -> None:
        self.limits = limits
        self.name = f"mmlearn-{uuid.uuid4().hex[:12]}"
        self.engine = _how()
        self.scratch = Path(tempfile.mkdtemp(prefix=self.name))
        read = {inside: path.resolve() for inside, path in (read or {}).items()}
        env = {**(env or {}), "HOME": "/tmp", "TMPDIR": "/tmp", "USER": "student"}
        command = (
            _container(self.engine, self.name, read, env, limits)
            if self.engine
            else _namespaces(self.scratch, read, env, limits)
        )
        self.process = subprocess.Popen(
            [*command, *arguments],
            env=_TOOLS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours to handle
        )
        self.written = b""  # and not yet read
        self._chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout
        total = 0
        while total <= self.limits.output and (
            chunk := os.read(self.process.stdout.fileno(), 2**16)
        ):
            total += len(chunk)
            self._chunks.put(chunk)
        self._chunks.put(b"" if total <= self.limits.output else _FLOOD)

    def ask(self, line: str, seconds: float) -> str:
        """Send a line, wait for the line that answers.

        Raises
        ------
        StoppedError
            If none comes in time, or ever. The process is then gone.
        """
        assert self.process.stdin
        with contextlib.suppress(OSError):  # a process that died has no answer
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        return self._until(b"\n", seconds).decode(errors="replace")

    def rest(self, seconds: float) -> str:
        """Say that no line will follow, wait for the end, and return what is written till then."""
        assert self.process.stdin
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        return self._until(None, seconds).decode(errors="replace")

    def _until(self, end: bytes | None, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        while end is None or end not in self.written:
            try:
                chunk = self._chunks.get(timeout=_TICK)
            except queue.Empty:
                if time.monotonic() > deadline:
                    raise self._stopped(f"it did not end in {seconds:g} s") from None
                if not self.engine and _memory(self.process.pid) > self.limits.memory:
                    raise self._stopped(_FULL.format(self.limits.memory / GIB)) from None
                continue
            if chunk is _FLOOD:
                raise self._stopped(f"it wrote more than {self.limits.output / MIB:g} MB")
            if not chunk and end is None:
                break
            if not chunk:
                said = self.written.decode(errors="replace")[-500:].strip()
                raise self._stopped(f"it ended itself, or took more than it may {said}".strip())
            self.written += chunk
        found, _, self.written = self.written.partition(end) if end else (self.written, b"", b"")
        return found

    def _stopped(self, why: str) -> StoppedError:
        self.close()
        return StoppedError(why)

    def close(self) -> None:
        """End the process and all that it started."""
        if self.engine:
            subprocess.run([self.engine, "kill", self.name], capture_output=True, check=False)
        else:
            with contextlib.suppress(psutil.NoSuchProcess):
                # The first process of the namespace takes all others with it.
                family = psutil.Process(self.process.pid).children(recursive=True)
                for member in family:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        member.kill()
                psutil.wait_procs(family, timeout=10)
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def __enter__(self) -> Box:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_FLOOD = b"flood"
_FULL = "it took more than {:.1f} GB of memory"


def run(
    arguments: Sequence[str],
    seconds: float,
    *,
    read: Mapping[str, Path] | None = None,
    env: Mapping[str, str] | None = None,
    limits: Limits = Limits(),
) -> Outcome:
    """Run a confined Python program to its end; see `Box`."""
    with Box(arguments, read=read, env=env, limits=limits) as box:
        try:
            said = box.rest(seconds)
        except StoppedError as stop:
            return Outcome(None, str(stop), box.written[-2_000:].decode(errors="replace"))
        return Outcome(box.process.wait(), "", said[-2_000:])


def _memory(pid: int) -> int:
    """The bytes of memory of all processes below one, each page of its own counted."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for member in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                found = member.memory_info()
                total += found.rss - found.shared
    return total


# --- which way --------------------------------------------------------------------------------


def why_not() -> str:
    """Why nothing can be confined on this machine; empty if it can."""
    try:
        _how()
    except SandboxError as error:
        return str(error)
    return ""


@cache
def _how() -> str:
    """Empty where the kernel confines by itself, else the path of docker or podman.

    Both are tried out, not guessed.
    """
    found = no_namespaces()
    if not found:
        return ""
    for engine in filter(None, map(shutil.which, ("docker", "podman"))):
        if subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0:
            return engine
    raise SandboxError(
        f"Strangers' code is run only where it can do no harm, and this machine cannot confine it: "
        f"{found}, and neither docker nor podman answers. Use a Linux machine with util-linux, as "
        "root or with user namespaces, or start docker or podman."
    )


def no_namespaces() -> str:
    """Try the kernel's namespaces on an empty program; what is wrong, empty if all is well."""
    if not sys.platform.startswith("linux"):
        return "it is no Linux"
    tools = ("unshare", "mount", "umount", "pivot_root", "setpriv")
    if missing := [tool for tool in tools if not shutil.which(tool, path=_TOOLS["PATH"])]:
        return f"util-linux's {', '.join(missing)} is missing"
    with tempfile.TemporaryDirectory() as scratch:
        command = _namespaces(Path(scratch), {}, {}, Limits())
        tried = subprocess.run(
            [*command, "-c", ""],
            env=_TOOLS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if tried.returncode == 0:
        return ""
    why = (tried.stderr.strip().splitlines() or ["unshare failed"])[-1]
    with contextlib.suppress(OSError):
        if _APPARMOR.read_text(encoding="utf-8").strip() == "1":
            why += f" (an ordinary user may, after: sudo sysctl kernel.{_APPARMOR.name}=0)"
    return why


# --- Linux ------------------------------------------------------------------------------------

# What every program needs of the system, as far as it is there; nothing of anybody's own.
_SYSTEM = [
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"),
    *("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/fonts"),
]
_DEVICES = ("null", "zero", "full", "random", "urandom")


@dataclass(frozen=True)
class _Plan:
    """What `_enter` is told."""

    scratch: str
    read: dict[str, str]
    env: dict[str, str]
    limits: dict[str, int]
    user: int  # 0 is whoever made the namespaces, with no rights left


def _namespaces(
    scratch: Path, read: Mapping[str, Path], env: Mapping[str, str], limits: Limits
) -> list[str]:
    """The command before Python's arguments."""
    root = os.geteuid() == 0
    seen = {path: path for path in (*_SYSTEM, *_interpreter()) if os.path.lexists(path)}
    seen.update({inside: str(path) for inside, path in read.items()})
    # Processes are counted by user: a number that nobody has, nor any other box.
    user = 10**9 + uuid.uuid4().int % 10**9 if root else 0
    plan = _Plan(str(scratch), seen, dict(env), asdict(limits), user)
    # Whoever started it may be killed: then the box goes, too.
    unshare = ["setpriv", "--pdeathsig=KILL"]
    unshare += ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--net", "--ipc"]
    unshare += [] if root else ["--user", "--map-root-user"]
    return [*unshare, sys.executable, str(_HERE), json.dumps(asdict(plan))]


def _interpreter() -> set[str]:
    """The folders of this Python and its packages, wherever its links lead."""
    python = Path(sys.executable)
    found = {Path(sys.prefix), Path(sys.base_prefix), python.resolve().parents[1]}
    while python.is_symlink():
        python = python.parent / python.readlink()
        found.add(python.parents[1])
    return {str(path) for path in found if path != Path("/") and path.parts[1] != "usr"}


def _enter(plan: _Plan, arguments: Sequence[str]) -> None:
    """In the new namespaces: build the root, go in, give up every right, become the program."""
    _loopback_up()
    top = Path(plan.scratch)
    root = top / "root"
    _mount("-t", "tmpfs", "-o", "mode=755,size=4m", "tmpfs", top)
    shown = _places(plan, root)
    _mount("--bind", root, root)
    for path, place in shown.items():
        _mount("--rbind", path, place)
    for mounted in _mounted_below(root):
        noexec = ",noexec" if os.statvfs(mounted).f_flag & os.ST_NOEXEC else ""
        _mount("-o", f"remount,bind,ro,nosuid,nodev{noexec}", mounted)
    for name in _DEVICES:
        _mount("--bind", f"/dev/{name}", root / "dev" / name)
    size = f"mode=1777,nosuid,nodev,nr_inodes=20k,size={plan.limits['disk']}"
    _mount("-t", "tmpfs", "-o", size, "tmpfs", root / "tmp")
    _mount("-t", "proc", "proc", root / "proc")
    # The first to be ended when the whole machine has no memory left.
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")
    os.chdir(top)
    _call("pivot_root", ".", "old")
    # No tool is found here any more; 2 is MNT_DETACH.
    if ctypes.CDLL(None, use_errno=True).umount2(b"/old", 2):
        raise SystemExit(f"the old root stays: {os.strerror(ctypes.get_errno())}")
    os.chroot("/root")  # in a changed root nobody can make namespaces of his own
    os.chdir("/tmp")
    _limit(plan.limits)
    drop = ["setpriv", "--pdeathsig=KILL", "--no-new-privs"]
    drop += ["--bounding-set=-all", "--inh-caps=-all"]
    if plan.user:
        drop += [f"--reuid={plan.user}", f"--regid={plan.user}", "--clear-groups"]
    program = [*drop, sys.executable, *arguments]
    os.execvpe(drop[0], program, {"PATH": "/usr/bin:/bin", **plan.env})


def _loopback_up() -> None:
    sys.path.insert(0, str(_HERE.parents[1]))
    from tools.offline import loopback_up

    loopback_up()


def _places(plan: _Plan, root: Path) -> dict[str, Path]:
    """Make the empty files and folders that something will be mounted on; what goes where."""
    found = {}
    for inside, path in sorted(plan.read.items()):
        place = root / inside.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if Path(path).is_symlink():
            place.symlink_to(Path(path).readlink())
            continue
        place.mkdir(exist_ok=True) if Path(path).is_dir() else place.touch()
        found[path] = place
    for name in ("etc", "dev", "proc", "tmp"):
        (root / name).mkdir(exist_ok=True)
    for name in _DEVICES:
        (root / "dev" / name).touch()
    (root / "dev" / "shm").symlink_to("/tmp")
    account = f"student:x:{plan.user}:{plan.user}::/tmp:/bin/false\n"
    (root / "etc" / "passwd").write_text(account, encoding="utf-8")
    (root.parent / "old").mkdir()
    return found


def _mounted_below(root: Path) -> list[str]:
    """The mount points from `root` on, that of `root` first."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return sorted(point for point in points if Path(point).is_relative_to(root))


def _limit(limits: Mapping[str, int]) -> None:
    import resource

    for kind, value in (
        (resource.RLIMIT_DATA, limits["memory"]),
        (resource.RLIMIT_FSIZE, limits["disk"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_CPU, limits["cpu"]),
        (resource.RLIMIT_NOFILE, 512),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def _mount(*arguments: str | Path) -> None:
    _call("mount", *arguments)


def _call(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


# --- docker and podman ------------------------------------------------------------------------

_RECIPE = """\
FROM python:{}.{}-slim
COPY requirements.txt /
RUN pip install --no-cache-dir -r /requirements.txt
"""


def _container(
    engine: str, name: str, read: Mapping[str, Path], env: Mapping[str, str], limits: Limits
) -> list[str]:
    """The command before Python's arguments."""
    _image(engine)
    command = [engine, "run", "--rm", "--interactive", f"--name={name}", "--network=none"]
    command += ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    command += ["--user=65534:65534", "--workdir=/tmp"]
    command += [f"--tmpfs=/tmp:rw,mode=1777,size={limits.disk}", f"--pids-limit={limits.processes}"]
    command += [f"--memory={limits.memory}", f"--memory-swap={limits.memory}"]
    command += [f"--ulimit=fsize={limits.disk}", f"--ulimit=cpu={limits.cpu}", "--ulimit=core=0"]
    command += [f"--volume={path}:{inside}:ro" for inside, path in read.items()]
    command += [f"--env={key}={value}" for key, value in env.items()]
    return [*command, IMAGE, "python"]


def _image(engine: str) -> None:
    """Build the image, unless it is there: a Python with what the chapters import."""
    there = [engine, "image", "inspect", IMAGE]
    if subprocess.run(there, capture_output=True, check=False).returncode == 0:
        return
    print(f"building the image {IMAGE} (once; it takes minutes)", flush=True)
    root = _HERE.parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with tempfile.TemporaryDirectory() as folder:
        recipe = _RECIPE.format(*sys.version_info[:2])
        needs = "\n".join([*project["dependencies"], "ipython"])
        (Path(folder) / "Dockerfile").write_text(recipe, encoding="utf-8")
        (Path(folder) / "requirements.txt").write_text(needs, encoding="utf-8")
        done = subprocess.run(
            [engine, "build", "--tag", IMAGE, folder], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SandboxError(f"{engine} could not build {IMAGE}:\n{done.stderr[-2_000:]}")


if __name__ == "__main__":
    _enter(_Plan(**json.loads(sys.argv[1])), sys.argv[2:])
