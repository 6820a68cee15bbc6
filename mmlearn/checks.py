"""Guards around the taught definitions: a clear error instead of a quietly wrong answer.

What a chapter teaches stays free of them; a module wraps its definitions at its end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np


def checked(check: Callable[..., tuple]) -> Callable[[Callable], Callable]:
    """A decorator: the arguments go through `check`, and what it returns reaches the function."""

    def wrap(function: Callable) -> Callable:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            return function(*check(*args, **kwargs))

        return guarded

    return wrap


def as_table(X: Any) -> Any:
    """`X` as a finite table of floats, dense or sparse, with at least one row.

    Raises
    ------
    ValueError
        If it is not two-dimensional, is empty, or holds NaN or infinity.
    """
    sparse = hasattr(X, "tocsr")
    X = X.tocsr() if sparse else np.asarray(X, dtype=float)
    if X.ndim != 2 or X.shape[0] == 0:
        raise ValueError(f"X is a table of shape (n, d) with at least one row, got {X.shape}")
    if not np.isfinite(X.data if sparse else X).all():
        raise ValueError("X holds NaN or infinity; impute or drop those rows first")
    return X


def as_labels(y: Any, n: int, known: tuple[int, ...] | None = None) -> np.ndarray:
    """`y` as one label a row, of the `known` ones if these are given.

    Raises
    ------
    ValueError
        If there are more or fewer than n, or others than the known ones.
    """
    y = np.asarray(y)
    if y.shape != (n,):
        raise ValueError(f"y has one label a row of X, ({n},), got {y.shape}")
    if known and not np.isin(y, known).all():
        names = " or ".join(map(str, known))
        raise ValueError(f"labels are {names}, got {np.unique(y)[:5]}")
    return y


def as_columns(X: Any, d: int) -> Any:
    """`X` as a table with as many columns as were fitted.

    Raises
    ------
    ValueError
        If it has others.
    """
    X = as_table(X)
    if X.shape[1] != d:
        raise ValueError(f"X has {X.shape[1]} columns, and {d} were fitted")
    return X
