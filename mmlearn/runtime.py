"""Where a chapter runs: the profile, the seed, the sizes, the device."""

from __future__ import annotations

import dis
import hashlib
import inspect
import os
import random
import sys
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from mmlearn.checks import refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

PROFILES = ("smoke", "default", "full")


@dataclass(frozen=True)
class Run:
    """What one run of a chapter is asked to do.

    Attributes
    ----------
    profile : str
        ``smoke`` (seconds, for tests), ``default`` (the book) or ``full`` (a GPU).
    seed : int
        Seed of every generator that the chapter uses.
    null : bool
        Whether `mmlearn.data` destroys the relation that is to be learnt, so that every claim
        has to fail.
    sizes : dict
        The chapter's sizes in this profile; each is an attribute as well: ``run.steps``.
    """

    profile: str = "default"
    seed: int = 0
    null: bool = False
    sizes: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        if name != "sizes" and name in self.sizes:
            return self.sizes[name]
        raise AttributeError(f"this run has no {name!r}; its sizes are {sorted(self.sizes)}")

    @property
    def rng(self) -> np.random.Generator:
        """A new NumPy generator that starts from the seed."""
        return np.random.default_rng(self.seed)


_current: Run | None = None


def resolve_profile(profile: str | None = None) -> str:
    """The profile asked for, else that of ``MMLEARN_PROFILE``, else ``default``.

    Parameters
    ----------
    profile : str, optional

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it is none of ``smoke``, ``default`` and ``full``.
    """
    chosen = profile or os.environ.get("MMLEARN_PROFILE") or "default"
    if chosen not in PROFILES:
        refuse("profile", f"is one of {', '.join(PROFILES)}", repr(chosen))
    return chosen


def start(
    profile: str | None = None, seed: int = 0, null: bool = False, **sizes: tuple[Any, Any, Any]
) -> Run:
    """Begin a chapter: settle the profile, seed every generator, choose the sizes.

    Parameters
    ----------
    profile : str or None
        ``smoke``, ``default`` or ``full``; None takes it from ``MMLEARN_PROFILE``.
    seed : int
        Seeds Python, NumPy and, if it is loaded, PyTorch.
    null : bool
        Destroy what is to be learnt (see `Run.null`).
    **sizes : tuple of three
        A size for smoke, default and full, in this order: ``steps=(20, 200, 2_000)``.

    Returns
    -------
    Run
        With the chosen size of each keyword as an attribute.

    Raises
    ------
    ValueError
        If the profile is unknown or a size has not three values.

    Examples
    --------
    >>> start("smoke", steps=(20, 200, 2_000)).steps
    20
    """
    global _current
    chosen = resolve_profile(profile)
    for name, values in sizes.items():
        if not isinstance(values, tuple) or len(values) != len(PROFILES):
            raise ValueError(f"{name} is {values!r}; give a tuple for {', '.join(PROFILES)}")
    index = PROFILES.index(chosen)
    _current = Run(chosen, seed, null, {name: v[index] for name, v in sizes.items()})
    seed_everything(seed)
    if in_notebook():
        from matplotlib import style

        style.use("mmlearn.figures")  # figures.mplstyle
    return _current


def in_notebook() -> bool:
    """Whether this code runs in a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def current() -> Run:
    """The run that `start` began, or one with the defaults before it."""
    return _current or Run(resolve_profile())


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and, if it is loaded, PyTorch's global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries draw from it
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)


def exercise_seed(student: str | None = None) -> int:
    """The seed from which an exercise's tests draw their fresh data.

    Each student of a class meets other numbers; without a student everybody meets the same.

    Parameters
    ----------
    student : str or None
        A student's id; None takes it from ``MMLEARN_STUDENT``, which a copy made for a class
        sets. Grading takes it from the class list.

    Returns
    -------
    int
    """
    name = os.environ.get("MMLEARN_STUDENT", "") if student is None else student
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def called(function: Callable[..., Any]) -> set[str]:
    """Every name that a function reads from outside, for tests of "without calling ...".

    What its inner functions read counts, and what functions of the same notebook read that it
    names, however deep; what a library's functions read does not.

    Parameters
    ----------
    function : callable
        If it is not written in Python, its own name is all that is known.

    Returns
    -------
    set of str
        Names of globals, and of attributes: ``F.conv1d`` gives ``F`` and ``conv1d``.

    Examples
    --------
    >>> sorted(called(lambda x: abs(x.sum()))), called(len)
    (['abs', 'sum'], {'len'})
    """
    function = inspect.unwrap(function)  # @torch.no_grad() puts its own around it
    if not isinstance(function, FunctionType):
        return {getattr(function, "__name__", type(function).__name__)}
    names: set[str] = set()
    todo, scope = [function.__code__], function.__globals__
    for code in todo:  # grows meanwhile
        names.update(code.co_names)
        read = (scope.get(step.argval) for step in dis.Bytecode(code) if "GLOBAL" in step.opname)
        near = [inspect.unwrap(v) for v in read if isinstance(v, FunctionType)]
        inner = [c for c in code.co_consts if isinstance(c, CodeType)]
        inner += [f.__code__ for f in near if f.__globals__ is scope]
        todo += [c for c in inner if c not in todo]
    return names


def device() -> torch.device:
    """The device that Accelerate chooses: a GPU when there is one, else the CPU."""
    from accelerate import PartialState

    return PartialState(cpu=cpu_processes()).device


def cpu_processes() -> bool:
    """Whether ``torchrun`` started this process on a machine where only the CPU can be shared.

    Accelerate has to be told: left alone, each process would train on its own without a word.
    """
    import torch

    shared = torch.accelerator.is_available() and not torch.backends.mps.is_available()
    return "LOCAL_RANK" in os.environ and not shared
