"""mmlearn: the small package beside the book on multimodal machine learning.

Chapters write ``import mmlearn as mm``. Modules load on first use, so that a chapter which
needs only NumPy never waits for PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Names that every chapter uses, and the module that defines each.
_NAMES = {
    "start": "runtime",
    "device": "runtime",
    "exercise_seed": "runtime",
    "called": "runtime",
    "claim": "claims",
    "agree": "claims",
    "show": "figures",
    "explore": "widgets",
}
# The modules in the order of the picture: load, encode, fuse, decide, measure, explain, ship.
_MODULES = (
    "runtime",
    "data",
    "features",
    "baselines",
    "optim",
    "autograd",
    "encoders",
    "speech",
    "fusion",
    "objectives",
    "regularise",
    "explain",
    "audit",
    "train",
    "metrics",
    "claims",
    "figures",
    "widgets",
)

__all__ = [*_NAMES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(f"mmlearn.{_NAMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"mmlearn.{name}")
    raise AttributeError(f"mmlearn has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
