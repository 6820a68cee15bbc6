"""Data sets and pretrained encoders: fetched once, verified, then used with no network.

``load`` gives a data set, ``split`` cuts it, ``collate`` makes a batch of samples; ``encoder``
gives a pretrained network, ``encode`` its features. Each has a card: ``card(name)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mmlearn.data import datasets, originals, store, unpack, worlds
from mmlearn.data.samples import Batch, Dataset, Pictures, Split, collate, pair, split
from mmlearn.data.store import DataError
from mmlearn.data.voice import known_voices, voices

if TYPE_CHECKING:
    from mmlearn.data.encoders import Encoder, encode, encoder

__all__ = [
    "Batch", "DataError", "Dataset", "Encoder", "Pictures", "Split", "card", "collate", "encode",
    "encoder", "fetch", "health", "known_voices", "load", "names", "pair", "split", "voices",
]  # fmt: skip


class Entry(NamedTuple):
    """A data set (with its loader) or an encoder, and the bundle of files that it needs."""

    load: Callable[..., Dataset] | None
    bundle: str | None = None
    full: bool = False  # a public original, for the full profile alone


ENTRIES = {
    "breast_cancer": Entry(datasets.breast_cancer),
    "drug_reviews": Entry(datasets.drug_reviews, "drug_reviews"),
    "emoji": Entry(datasets.emoji, "emoji"),
    "mnist5k": Entry(datasets.mnist5k, "mnist5k"),
    "newsgroups": Entry(datasets.newsgroups, "cachopo"),
    "optdigits": Entry(datasets.optdigits),
    "reuters8": Entry(datasets.reuters8, "cachopo"),
    "reviews": Entry(datasets.reviews, "reviews"),
    "scenes": Entry(worlds.scenes, "emoji"),
    "shapes_vqa": Entry(datasets.shapes_vqa, "shapes_vqa"),
    "spoken_digits": Entry(datasets.spoken_digits, "spoken_digits"),
    "voices": Entry(voices, "espeak"),
    "world": Entry(worlds.world),
    "efficientnet_lite0": Entry(None, "efficientnet_lite0"),
    "minilm": Entry(None, "minilm"),
    "whisper_tiny_en": Entry(None, "whisper_tiny_en"),
    "cifar10": Entry(originals.cifar10, full=True),
    "mnist": Entry(originals.mnist, full=True),
    "newsgroups_original": Entry(originals.newsgroups_original, full=True),
    "pneumonia": Entry(originals.pneumonia, full=True),
    "spoken_digits_waveforms": Entry(originals.spoken_digits_waveforms, full=True),
    "bert": Entry(None, full=True),
    "clip": Entry(None, full=True),
}


def __getattr__(name: str) -> Any:
    # The encoders need torch, which the rest does without.
    if name in ("Encoder", "encode", "encoder"):
        from mmlearn.data import encoders

        return getattr(encoders, name)
    raise AttributeError(f"mmlearn.data has no {name!r}; it has {', '.join(__all__)}")


def names() -> list[str]:
    """The names of all data sets and pretrained encoders."""
    return list(ENTRIES)


def load(name: str, **options: Any) -> Dataset:
    """Load a data set; the first time, fetch it.

    Parameters
    ----------
    name : str
        Its card, ``card(name)``, says what it is.
    **options
        What the data set's own loader takes: ``load("emoji", language="zh")``.

    Returns
    -------
    Dataset
        With modalities named ``image``, ``text``, ``sound`` and ``table``.

    Raises
    ------
    ValueError
        If the name is unknown.
    DataError
        If it cannot be fetched, or what was kept of it is damaged.

    Examples
    --------
    >>> load("optdigits").inputs["image"].shape
    (1797, 8, 8)
    """
    loader = _entries([name])[0].load
    if loader is None:
        call = f"originals.{name}()" if ENTRIES[name].full else f"encoder({name!r})"
        raise ValueError(f"{name} is an encoder: call mm.data.{call}")
    return loader(**options)


def fetch(names: Sequence[str] = ()) -> None:
    """Fetch data sets and encoders by name, all of them by default; say what was done.

    Parameters
    ----------
    names : sequence of str
        Of `names`; all of them by default.

    Raises
    ------
    ValueError
        If a name is unknown.
    DataError
        If there is no network, no room, or the bytes are not those expected.
    """
    bundles = {entry.bundle: None for entry in _entries(names or list(ENTRIES)) if entry.bundle}
    missing = [b for b in bundles if not store.is_stored(b, unpack.bundle_key(b))]
    if not missing:
        print(f"nothing to fetch: all of it is in {store.cache()}")
    for bundle in missing:
        unpack.bundle(bundle)


def card(name: str) -> str:
    """The card of a data set or encoder: what it is, from whom, its licence, its limits.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    _entries([name])
    return (store.DATA / f"{name}.md").read_text(encoding="utf-8")


def health() -> Iterator[tuple[bool, str, str, str]]:
    """What ``python -m mmlearn doctor`` says of the data: good, name, found, remedy."""
    writable, found = store.room()
    yield writable, "cache", found, "set MMLEARN_CACHE to a folder that you can write to"
    bundles = sorted({entry.bundle for entry in ENTRIES.values() if entry.bundle})
    there = [b for b in bundles if store.is_stored(b, unpack.bundle_key(b))]
    damaged = []
    for bundle in there:
        try:
            unpack.bundle(bundle)
        except DataError as error:
            damaged.append(str(error))
    later = [b for b in bundles if b not in there]
    found = f"{len(there)} of {len(bundles)} fetched"
    found += f"; when they are first used: {', '.join(later)}" if later else ""
    yield not damaged, "data", "; ".join(damaged) or found, "delete the folder"


def _entries(names: Sequence[str]) -> list[Entry]:
    if unknown := [name for name in names if name not in ENTRIES]:
        known = ", ".join(ENTRIES)
        raise ValueError(f"no data is called {', '.join(unknown)}; there are: {known}")
    return [ENTRIES[name] for name in names]
