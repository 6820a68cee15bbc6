"""The run: profiles, sizes, seeds, lazy imports, the doctor."""

import functools
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

import mmlearn as mm
from mmlearn import runtime


@pytest.fixture(autouse=True)
def fresh_run(monkeypatch):
    monkeypatch.setattr(runtime, "_current", None)
    monkeypatch.delenv("MMLEARN_PROFILE", raising=False)


@pytest.mark.parametrize(("profile", "steps"), [("smoke", 1), ("default", 2), ("full", 3)])
def test_sizes_follow_the_profile(profile, steps):
    run = mm.start(profile, steps=(1, 2, 3), width=(8, 8, 64))
    assert run.steps == steps
    assert runtime.current() is run


def test_profile_comes_from_the_environment_unless_given(monkeypatch):
    monkeypatch.setenv("MMLEARN_PROFILE", "smoke")
    assert mm.start().profile == "smoke"
    assert mm.start("full").profile == "full"


def test_before_start_there_is_a_default_run():
    assert runtime.current() == runtime.Run("default", 0, False)


@pytest.mark.parametrize("bad", ["fast", "SMOKE"])
def test_unknown_profile_lists_the_known(bad, monkeypatch):
    with pytest.raises(ValueError, match="smoke, default, full"):
        mm.start(bad)
    monkeypatch.setenv("MMLEARN_PROFILE", bad)
    with pytest.raises(ValueError, match="smoke, default, full"):
        mm.start()


@pytest.mark.parametrize("sizes", [5, (1, 2), [1, 2, 3]])
def test_a_size_needs_three_values(sizes):
    with pytest.raises(ValueError, match="steps is"):
        mm.start(steps=sizes)


def test_an_unknown_size_names_those_there_are():
    with pytest.raises(AttributeError, match="steps"):
        _ = mm.start(steps=(1, 2, 3)).epochs


def draws():
    return (
        random.random(),
        np.random.rand(),  # noqa: NPY002 - libraries draw from it
        torch.rand(1).item(),
        runtime.current().rng.random(),
    )


def test_start_seeds_every_generator():
    mm.start(seed=3)
    first = draws()
    mm.start(seed=3)
    assert draws() == first
    mm.start(seed=4)
    assert all(a != b for a, b in zip(draws(), first, strict=True))


def test_exercise_seed_depends_on_the_student_alone(monkeypatch):
    monkeypatch.setenv("MMLEARN_STUDENT", "ada")
    ada = mm.exercise_seed()
    assert ada == mm.exercise_seed()
    monkeypatch.setenv("MMLEARN_STUDENT", "grace")
    assert ada != mm.exercise_seed()
    assert ada == mm.exercise_seed("ada")
    assert 0 <= ada < 2**32


def test_without_a_student_everybody_meets_the_same_numbers(monkeypatch):
    monkeypatch.delenv("MMLEARN_STUDENT", raising=False)
    assert mm.exercise_seed() == mm.exercise_seed("")


NOTEBOOK = """
def taught(x): return linalg.solve(x, x)
def through(x): return taught(x)
def again(x): return again(x - 1) + taught(x)
def inner(x):
    def deep(y): return [(lambda z: taught(z))(v) for v in y]
    return deep(x)
def attribute(x): return x.taught.T
def local(taught): return taught + 1
def aliased(x): return renamed(x)
renamed = taught
def same(x): return numeric(x)
numeric = len
@torch.no_grad()
def wrapped(x): return taught(x)
def around(x): return wrapped(x)
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("taught", {"linalg", "solve"}),
        ("through", {"taught", "linalg", "solve"}),
        ("again", {"again", "taught", "linalg", "solve"}),
        ("inner", {"taught", "linalg", "solve"}),
        ("attribute", {"taught", "T"}),
        ("local", set()),
        ("aliased", {"renamed", "linalg", "solve"}),
        ("same", {"numeric"}),
        ("wrapped", {"taught", "linalg", "solve"}),
        ("around", {"wrapped", "taught", "linalg", "solve"}),
    ],
)
def test_called_names_what_a_function_reads_from_outside(name, expected):
    scope = {"torch": torch}
    exec(NOTEBOOK, scope)
    assert mm.called(scope[name]) == expected


def test_called_does_not_look_into_libraries_and_takes_what_has_no_code():
    assert "svd" not in mm.called(lambda x: np.linalg.pinv(x))
    assert mm.called(len) == {"len"}
    assert mm.called(functools.partial(len)) == {"partial"}


def test_importing_is_light():
    code = (
        "import sys, mmlearn as mm; mm.start(); mm.claim; mm.optim; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_unknown_name_lists_the_known():
    with pytest.raises(AttributeError, match="claim"):
        _ = mm.fuse
    assert {"start", "claim", "agree", "show", "explore", "optim"} <= set(dir(mm))


def test_the_device_matches_the_machine():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert mm.device().type == expected


def doctor(*, hide=None):
    code = "import sys, mmlearn.__main__ as r\n"
    if hide:
        code += f"needs = r._needs\nr._needs = lambda: [*needs(), {hide!r}]\n"
    return subprocess.run(
        [sys.executable, "-c", code + "sys.exit(r.doctor())"], capture_output=True, text=True
    )


def test_doctor_finds_a_healthy_machine():
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("python", "torch", "device", "Everything is here"):
        assert word in done.stdout


def test_doctor_names_the_remedy_for_what_is_missing():
    done = doctor(hide="no-such-distribution")
    assert done.returncode == 1
    assert "pip install no-such-distribution" in done.stdout
