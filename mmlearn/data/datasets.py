"""The data sets of the book, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmlearn.data.samples import Dataset


def breast_cancer() -> Dataset:
    """Measured shapes of cell nuclei: ``table`` (569, 30), benign or malignant."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    classes = [str(name) for name in bunch.target_names]
    columns = [str(name) for name in bunch.feature_names]
    return Dataset("breast_cancer", {"table": bunch.data}, bunch.target, classes, columns=columns)


def optdigits() -> Dataset:
    """Handwritten digits: ``image`` (1797, 8, 8) in 0…1."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)
    return Dataset("optdigits", {"image": images}, bunch.target, [str(d) for d in range(10)])


LOADERS: dict[str, Callable[..., Dataset]] = {
    "breast_cancer": breast_cancer,
    "optdigits": optdigits,
}


def names() -> list[str]:
    """The names of all data sets."""
    return sorted(LOADERS)


def load(name: str, **options: Any) -> Dataset:
    """Load a data set; the first time, fetch it.

    Parameters
    ----------
    name : str
        One of `names`; its card says what it is.
    **options
        What the data set's own loader takes.

    Returns
    -------
    Dataset
        With modalities named ``image``, ``text``, ``sound`` and ``table``.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> load("optdigits").inputs["image"].shape
    (1797, 8, 8)
    """
    _known([name])
    return LOADERS[name](**options)


def fetch(names: Sequence[str] = ()) -> None:
    """Fetch data sets by name, all of them by default, and say what was done."""
    _known(names)
    print("nothing to fetch")


def card(name: str) -> str:
    """The card of a data set: what it is, from whom, its licence, what it must not be used for."""
    _known([name])
    inside = Path(__file__).parents[1] / "_data"  # in a wheel; else beside the package
    folder = inside if inside.exists() else Path(__file__).parents[2] / "data"
    return (folder / f"{name}.md").read_text(encoding="utf-8")


def health() -> Iterator[tuple[bool, str, str, str]]:
    """What ``python -m mmlearn doctor`` says of the data: good, name, found, remedy."""
    yield True, "data", f"{len(LOADERS)} data sets, nothing to fetch", ""


def _known(asked: Sequence[str]) -> None:
    unknown = sorted(set(asked) - set(LOADERS))
    if unknown:
        raise ValueError(f"no data set is called {', '.join(unknown)}; there are: {names()}")
