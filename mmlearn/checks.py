"""Guards around the taught definitions: a clear error instead of a quietly wrong answer.

What a chapter teaches stays free of them. A module wraps its definitions at its end, where it says
of each argument what it has to be::

    conv2d = checked(weight="O C K L", x="B C H W float", stride="1 or more")(conv2d)

``"B T 4H .size float"``
    A shape: a name is one size in all arguments, ``4H`` four times that, and ``.size`` the
    object's own; behind ``...`` stand the last axes alone. No axis is 0, unless marked: ``L?``.
    Then, if need be, the kind. ``float``, ``int`` and ``bool`` are of tensors; ``array`` makes an
    array of floats, ``real`` a table or array of finite ones, ``labels`` an array of anything,
    and ``0/1`` one of these labels.
``"1 or more"``
    A number: one of `RANGES`.
``("rnn", "lstm")``
    One of these.
``["B H", "B H"]``
    A tuple of arrays with these shapes.

An argument whose default is None may be None. What several arguments have to fulfil together stands
before, in Python, and why behind it: ``"K <= H + 2 * padding  # else no window fits"``; the error
shows the sizes and arguments that it names, and parts of them such as ``y.max()``. What cannot be
said so is left to functions: they take by name the arguments that they look at, and raise, or
return by name what replaces some; a default of theirs holds where the definition has none.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

RANGES: dict[str, Callable[[Any], bool]] = {
    "0 or more": lambda x: x >= 0,
    "1 or more": lambda x: x >= 1,
    "2 or more": lambda x: x >= 2,
    "even, 2 or more": lambda x: x >= 2 and x % 2 == 0,
    "above 0": lambda x: x > 0,
    "0 to 1": lambda x: 0 <= x <= 1,
    "0 to below 1": lambda x: 0 <= x < 1,
    "above 0 to 1": lambda x: 0 < x <= 1,
    "a finite number": lambda x: -np.inf < x < np.inf,
    "one positive number": lambda x: x.numel() == 1 if hasattr(x, "numel") else 0 < x < np.inf,
}
TENSORS = {
    "float": "a tensor of floats (from pixels by x.float() / 255; embed token numbers first)",
    "int": "a tensor of whole numbers",
    "bool": "a tensor of booleans",
}
DTYPES: dict[str, set] = {}  # torch's, of each kind
ARRAYS: dict[str, Callable[[Any], Any]] = {
    "array": lambda x: np.asarray(x, dtype=float),
    "real": lambda x: x.tocsr() if hasattr(x, "tocsr") else np.asarray(x, dtype=float),
    "labels": np.asarray,
}


class KindError(TypeError, ValueError):
    """Numbers of the wrong kind: a wrong type to one reader, a wrong value to another."""


def checked(*checks: Callable | str, **specs: Any) -> Callable[[Callable], Callable]:
    """A decorator: the arguments have to be as the specs say, and then to pass the checks.

    As a dataclass does, it writes a function once, which then costs what one by hand would.
    """

    def wrap(function: Callable) -> Callable:
        name, defaults = function.__name__, _defaults(*filter(callable, checks), function)
        source = _source(name, list(_parameters(function)), defaults, checks, specs)
        scope = {**globals(), "defaults": defaults, "checks": checks, "function": function}
        exec(compile(source, f"<guard of {name}>", "exec"), scope)
        return functools.wraps(function)(scope[name])

    return wrap


def guard(cls: type, method: str, *checks: Callable | str, **specs: Any) -> None:
    """`checked` for a method, which it replaces in its class."""
    setattr(cls, method, checked(*checks, **specs)(getattr(cls, method)))


def _parameters(function: Callable) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _defaults(*functions: Callable) -> dict[str, Any]:
    """Those of the functions' parameters; of two for one name the last."""
    parameters = [p for function in functions for p in _parameters(function).values()]
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _source(name: str, names: list[str], defaults: dict, checks: tuple, specs: dict) -> str:
    """The guard in Python: what the specs ask for, the checks, then the function itself."""
    head = [f"{n}=defaults[{n!r}]" if n in defaults else n for n in names]
    lines, sizes = [f"def {name}({', '.join(head)}):"], set[str]()
    for argument, spec in specs.items():
        body = _lines(argument, spec, sizes)
        if defaults.get(argument, 0) is None:
            lines.append(f" if {argument} is not None:")
            body = (f" {line}" for line in body)
        lines += [f" {line}" for line in body]
    for i, check in enumerate(checks):
        if isinstance(check, str):
            lines += _rule(check, {*names} - {"self"}, sizes)
            continue
        seen = list(_parameters(check))
        lines.append(f" if new := checks[{i}]({', '.join(seen)}):")
        lines += [f"  {argument} = new.get({argument!r}, {argument})" for argument in seen]
    return "\n".join([*lines, f" return function({', '.join(names)})"])


def _rule(rule: str, names: set[str], sizes: set[str]) -> list[str]:
    """A condition on several arguments as lines of Python."""
    condition, _, reason = rule.partition("  # ")
    code, found = condition, []
    for word in dict.fromkeys(re.findall(r"(?<![\w)\]])\.?[A-Za-z][\w.]*(?:\(\))?", condition)):
        root = word.split(".")[0]  # "" for the object's own
        if not root or root in sizes | names:
            own = word if root in names else f"size_{word}" if root else f"self{word}"
            code = re.sub(rf"(?<![\w.]){re.escape(word)}\b", own, code)
            found.append(f"{word.lstrip('.')}={{{own}}}")
    text = f"{condition.replace(' .', ' ')} has to hold" + f", got {', '.join(found)}" * bool(found)
    text = f"{text}; {reason}" if reason else text
    return [f" if not ({code}):", f"  raise ValueError(f{text!r})"]


def _lines(name: str, spec: Any, sizes: set[str]) -> Iterator[str]:
    """A spec as lines of Python; `sizes` has the names whose sizes are known by then."""
    if isinstance(spec, list):
        yield f"count({name!r}, {name}, {len(spec)})"
        for i, part in enumerate(spec):
            yield from _lines(f"{name}[{i}]", part, sizes)
    elif isinstance(spec, tuple):
        words = f"is one of {', '.join(map(str, spec))}"
        yield f"if {name} not in {spec}: refuse({name!r}, {words!r}, repr({name}))"
    elif spec in RANGES:
        yield f"if not RANGES[{spec!r}]({name}): refuse({name!r}, 'is {spec}', {name})"
    else:
        *axes, kind = spec.split()
        if kind in TENSORS:
            DTYPES[kind] = _dtypes(kind)
            yield f"dtype = getattr({name}, 'dtype', type({name}).__name__)"
            yield f"if dtype not in DTYPES[{kind!r}]:"
            yield f" refuse({name!r}, 'is {TENSORS[kind]}', dtype, KindError)"
        elif kind in ARRAYS or "/" in kind:
            yield f"{name} = ARRAYS.get({kind!r}, np.asarray)({name})"
        else:
            axes.append(kind)
        yield from _shape_lines(name, axes, sizes)
        if kind == "real":
            yield f"refuse_holes({name!r}, {name})"
        elif "/" in kind:
            known = [int(label) for label in kind.split("/")]
            yield f"{name} = labelled({name!r}, {name}, {known})"


def _dtypes(kind: str) -> set:
    import torch  # here, for the modules that do without it

    every = {value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    return {dtype for dtype in every if kind in str(dtype) and "q" not in str(dtype)}


def _shape_lines(name: str, axes: list[str], sizes: set[str]) -> Iterator[str]:
    """A shape's lines: each axis has the size of its name, or gives it to a new one."""
    front, known = axes[0] == "...", set(sizes)
    axes = axes[front:]
    tests, words = [f"len(shape) != {len(axes)}"], ["..."] * front
    for i, axis in enumerate(axes):
        times, own, letter, least = re.findall(r"(\d*)(\.[\w.]+)?(\w*)(\??)", axis)[0]
        size = f"self{own}" if own else f"size_{letter}" if letter else "1"
        if letter and letter not in sizes:
            sizes.add(letter)
            tests.append(f"({size} := shape[{i}] // {times or 1}) < {0 if least else 1}")
        wanted = f"{times or 1} * {size}"
        tests.append(f"shape[{i}] != {wanted}")
        new = letter and letter not in known
        words.append(axis.rstrip("?") if new else f"{{{wanted}}}")
    if axes:
        text = ", ".join(words) + "," * (len(words) == 1)
        yield f"shape = {name}.shape[-{len(axes)}:]" if front else f"shape = {name}.shape"
        yield f"if {' or '.join(tests)}:"
        yield f" refuse({name!r}, f'has shape ({text})', tuple({name}.shape))"


def refuse(name: str, wanted: str, found: Any, kind: type[ValueError] = ValueError) -> NoReturn:
    """Say what an argument has to be, and what it is."""
    empty = ", none of them 0" if isinstance(found, tuple) and 0 in found else ""
    raise kind(f"{name} {wanted}{empty}, got {found}")


def count(name: str, values: Any, wanted: int) -> None:
    """Refuse what is no tuple or list, or one of another length."""
    given = f" of {len(values)}" if isinstance(values, tuple | list) else ""
    if given != f" of {wanted}":
        refuse(name, f"is a tuple of {wanted}", type(values).__name__ + given)


def refuse_holes(name: str, values: Any) -> None:
    """Refuse what is not finite in a table, dense or sparse."""
    if not np.isfinite(values.data if hasattr(values, "tocsr") else values).all():
        raise ValueError(f"{name} holds NaN or infinity: impute it, or leave it out")


def labelled(name: str, values: np.ndarray, known: list[int]) -> np.ndarray:
    """Labels as whole numbers, and none but the known ones."""
    if not np.isin(values, known).all():
        words = " or ".join(map(str, known))
        raise ValueError(f"{name}: labels are {words}, got {np.unique(values)[:5]}")
    return values.astype(int, copy=False)
