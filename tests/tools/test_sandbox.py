"""The sandbox: what a confined program can and cannot do, tried out.

What is tried has an end: where a limit is broken, a test fails and the machine does not.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tools import common, sandbox
from tools.sandbox import Box, Limits, SandboxError, StoppedError

SMALL = Limits(memory=256 * 2**20, disk=16 * 2**20, processes=16, output=2**16)
MIB = "b'1' * 2**20"
SPAWN = "import os, time\nfor _ in range(200): os.fork() or time.sleep(60)"


@pytest.fixture(scope="module")
def confines() -> None:
    """Where the kernel does not confine, this is skipped, but fails in public runs."""
    if reason := sandbox.no_namespaces():
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


confined = pytest.mark.usefixtures("confines")


def run(code: str, seconds: float = 10, **more: object) -> sandbox.Outcome:
    return sandbox.run(["-c", code], seconds, limits=SMALL, **more)  # type: ignore[arg-type]


@confined
def test_a_program_runs_to_its_end() -> None:
    assert run("print('fine')") == sandbox.Outcome(0, "", "fine\n")
    assert run("import sys; sys.exit(3)").code == 3
    assert "ZeroDivisionError" in run("1 / 0").tail


@confined
def test_its_environment_is_what_it_was_given() -> None:
    seen = json.loads(
        run("import json, os; print(json.dumps(dict(os.environ)))", env={"A": "1"}).tail
    )
    assert (seen["A"], seen["HOME"]) == ("1", "/tmp")
    assert seen.keys() - {"LC_CTYPE"} == {"A", "HOME", "PATH", "TMPDIR", "USER"}


@confined
def test_it_reads_what_it_was_given_and_nothing_of_anybodys(tmp_path: Path) -> None:
    for name in ("given", "kept"):
        (tmp_path / name).mkdir(mode=0o755)
        (tmp_path / name / "text").write_text(name)
    code = f"""
import os
print(open("/given/text").read(), os.path.exists({str(tmp_path)!r}))
print(os.path.exists({str(common.ROOT / "book")!r}), os.listdir("/tmp"))
print(sorted(os.listdir("/home")) if os.path.exists("/home") else "no home")
"""
    assert run(code, read={"/given": tmp_path / "given"}).tail.split("\n")[:2] == [
        "given False",
        "False []",
    ]


@confined
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("open('/mine', 'w')", "Read-only file system"),
        ("open('/usr/mine', 'w')", "Read-only file system"),
        ("open('/given/mine', 'w')", "Read-only file system"),
        ("open('/given/text', 'a')", "Read-only file system"),
        ("import os; os.remove('/given/text')", "Read-only file system"),
        ("import os; os.chmod('/given/text', 0o777)", "Read-only file system"),
        (f"open('/tmp/x', 'wb').write({MIB} * 17)", "File too large"),
        (f"[open(f'/tmp/{{i}}', 'wb').write({MIB} * 8) for i in range(3)]", "No space left"),
        ("for i in range(30_000): open(f'/tmp/{i}', 'w')", "No space left"),
        (f"x = [{MIB} for _ in range(999)]", "MemoryError"),
        (SPAWN, "BlockingIOError"),
        ("import os; os.kill(-1, 9)", "ProcessLookupError"),
        ("import os; os.setuid(0); os.chroot('/tmp')", "not permitted"),
        ("import socket; socket.create_connection(('192.0.2.1', 80), 5)", "Network is unreachable"),
        ("import socket; socket.getaddrinfo('example.org', 80)", "gaierror"),
        ("import subprocess as s; s.run(['mount', '--bind', '/', '/tmp'], check=True)", "non-zero"),
        ("import subprocess as s; s.run(['unshare', '-U', 'true'], check=True)", "non-zero"),
    ],
)  # fmt: skip
def test_what_it_may_not(code: str, says: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "text").write_text("given")
    (tmp_path / "text").chmod(0o666)
    done = run(code, read={"/given": tmp_path})
    assert done.code
    assert says in done.tail
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
    assert (tmp_path / "text").read_text() == "given"


@confined
def test_goes_with_whoever_started_it() -> None:
    code = """
import os, psutil, signal
from tools.sandbox import Box, Limits
box = Box(["-c", "print(1, flush=True)\\nwhile True: pass"], limits=Limits(cpu=30))
box.ask("", 10)
children = psutil.Process(box.process.pid).children(recursive=True)
print(box.process.pid, *[child.pid for child in children], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=common.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    numbers = [int(number) for number in done.stdout.split()]
    assert len(numbers) == 2
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, numbers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(psutil.pid_exists, numbers))


@confined
def test_loopback_answers() -> None:
    code = "import socket; server = socket.create_server(('127.0.0.1', 0))"
    assert run(f"{code}; socket.create_connection(server.getsockname())").code == 0


@confined
@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("while True: pass", "it did not end in 1 s"),
        ("import time; time.sleep(60)", "it did not end in 1 s"),
        ("while True: print('x' * 999)", "it wrote more than 0.0625 MB"),
        (
            "import os, time\nfor _ in range(4): os.fork()\n"
            "x = bytearray(b'1' * 2**26)\ntime.sleep(60)",
            "it took more than 0.2 GB of memory",
        ),
        (
            f"try: exec({SPAWN!r})\nexcept OSError:\n    while True: pass",
            "it did not end in 1 s",
        ),
    ],
)
def test_what_ends_it(code: str, why: str) -> None:
    start = time.monotonic()
    done = run(code, seconds=1 if "did not end" in why else 20)
    assert (done.code, done.reason) == (None, why)
    assert time.monotonic() - start < 20


@confined
def test_nothing_is_left() -> None:
    mark = f"left-{os.getpid()}"
    code = f"""
import os, subprocess, sys, time
open("/tmp/{mark}", "w")
if not os.fork():
    os.setsid()
    if not os.fork():
        subprocess.run([sys.executable, "-c", "import time; time.sleep(60)", "{mark}"])
print("ready", flush=True)
time.sleep(60)
"""

    def left() -> list[int]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                found += [process.pid] if mark in process.cmdline() else []
        return found

    box = Box(["-c", code], limits=SMALL)
    assert box.ask("", 10) == "ready"
    deadline = time.monotonic() + 10
    while not left() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left()
    assert box.scratch.exists()
    box.close()
    assert not left()
    assert not box.scratch.exists()
    assert box.name not in Path("/proc/self/mountinfo").read_text()
    assert not list(Path("/tmp").glob(mark))


@confined
def test_lines_are_answered_until_it_stops() -> None:
    code = "import sys\nfor line in sys.stdin: print(line.strip() * 2, flush=True)\n"
    with Box(["-c", code], limits=SMALL) as box:
        assert [box.ask(word, 10) for word in ("a", "bc")] == ["aa", "bcbc"]
    with Box(["-c", "print(input(), flush=True); import os; os._exit(1)"], limits=SMALL) as box:
        assert box.ask("last", 10) == "last"
        with pytest.raises(StoppedError, match="it ended itself"):
            box.ask("more", 10)


@confined
def test_what_a_stopped_grader_leaves_ends_by_itself() -> None:
    """The limit on computing holds without anybody who watches."""
    limits = Limits(cpu=1, memory=SMALL.memory)
    done = sandbox.run(["-c", "while True: pass"], 10, limits=limits)
    assert done.code not in (None, 0)


def _ordinary() -> tuple[str, list[str]]:
    """A Python that anybody may run, and the words that make root an ordinary user."""
    drop = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    for python in (str(Path(sys.executable).resolve()), "/usr/bin/python3"):
        same = f"assert sys.version_info[:2] == {sys.version_info[:2]}"
        new = f"import os, sys; os.stat(sys.executable); {same}"
        if subprocess.run([*drop, python, "-c", new], capture_output=True).returncode == 0:
            return python, drop
    pytest.skip("no Python that an ordinary user may run")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="all ran so already")
def test_an_ordinary_user_can_confine_too(tmp_path: Path) -> None:
    python, drop = _ordinary()
    code = """
from tools import sandbox
assert not sandbox.why_not(), sandbox.why_not()
tries = ["print(1)", "open('/mine', 'w')", "open('/usr/mine', 'w')", "import os; os.chroot('/')",
         "import socket; socket.create_connection(('192.0.2.1', 80), 5)",
         "import subprocess as s; s.run(['unshare', '-U', 'true'], check=True)"]
for code in tries:
    done = sandbox.run(["-c", code], 10)
    print(done.code, done.tail.splitlines()[-1])
"""
    packages = Path(psutil.__file__).parents[1]
    env = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": "/tmp"}
    env["PYTHONPATH"] = f"{common.ROOT}{os.pathsep}{packages}"
    done = subprocess.run(
        [*drop, python, "-c", code], env=env, cwd="/", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, *others = done.stdout.splitlines()
    assert first == "0 1"
    assert [line.split(" ")[0] for line in others] == ["1"] * 5
    assert "Read-only" in others[0] and "Read-only" in others[1] and "permitted" in others[2]


# --- where the kernel does not do it ----------------------------------------------------------

ENGINE = """\
#!{python}
import json, pathlib, sys
pathlib.Path({log!r}).open("a").write(json.dumps(sys.argv[1:]) + chr(10))
sys.exit(sys.argv[1:3] == ["image", "inspect"])
"""


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A machine whose kernel does not confine; where its container engines are."""
    engines: dict[str, str] = {}
    sandbox._how.cache_clear()
    monkeypatch.setattr(sandbox, "no_namespaces", lambda: "unshare is not permitted")
    monkeypatch.setattr(sandbox.shutil, "which", engines.get)
    yield engines
    sandbox._how.cache_clear()


def test_without_a_way_to_confine_nothing_runs(
    elsewhere: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox.subprocess, "Popen", lambda *a, **k: pytest.fail("it ran"))
    with pytest.raises(SandboxError, match="unshare is not permitted, and neither docker nor"):
        Box(["-c", "print(1)"])
    assert "cannot confine it" in sandbox.why_not()


def test_a_kernel_that_refuses_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not sys.platform.startswith("linux"):
        assert sandbox.no_namespaces() == "it is no Linux"
        return
    refuses = [sys.executable, "-c", "raise SystemExit('unshare: not permitted')"]
    monkeypatch.setattr(sandbox, "_namespaces", lambda *a: refuses)
    assert sandbox.no_namespaces() == "unshare: not permitted"
    switch = tmp_path / "apparmor"
    switch.write_text("1\n")
    monkeypatch.setattr(sandbox, "_APPARMOR", switch)
    assert "sysctl" in sandbox.no_namespaces()
    monkeypatch.setattr(sandbox, "_TOOLS", {"PATH": "/nowhere"})
    assert "unshare, mount, umount" in sandbox.no_namespaces()


@pytest.mark.skipif(os.name == "nt", reason="the engine of this test is a script")
def test_a_container_confines_as_well(elsewhere: dict[str, str], tmp_path: Path) -> None:
    engine, log = tmp_path / "podman", tmp_path / "log"
    engine.write_text(ENGINE.format(python=sys.executable, log=str(log)))
    engine.chmod(0o755)
    elsewhere["podman"] = str(engine)
    with Box(["-c", "1"], read={"/given": tmp_path}, env={"A": "1"}, limits=SMALL) as box:
        assert box.rest(10) == ""
    info, inspect, build, run_, kill = map(json.loads, log.read_text().splitlines())
    assert (info, inspect) == (["info"], ["image", "inspect", sandbox.IMAGE])
    assert build[:3] == ["build", "--tag", sandbox.IMAGE]
    assert kill == ["kill", box.name]
    assert run_[-4:] == [sandbox.IMAGE, "python", "-c", "1"]
    assert {
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--volume={tmp_path}:/given:ro",
        f"--memory={SMALL.memory}",
        f"--pids-limit={SMALL.processes}",
        f"--tmpfs=/tmp:rw,mode=1777,size={SMALL.disk}",
        "--env=A=1",
    } <= set(run_)
