"""The data sets of the book, by name; `unpack` says what was taken out of which package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmlearn.checks import refuse
from mmlearn.data import store, unpack
from mmlearn.data.samples import Dataset, Pictures

NUMERALS = [str(digit) for digit in range(10)]
STYLES = ("noto", "twemoji", "openmoji", "lineart")
LANGUAGES = ("ar", "de", "en", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr", "zh")


def breast_cancer() -> Dataset:
    """Measured shapes of cell nuclei: ``table`` (569, 30), benign (0) or malignant (1)."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    # scikit-learn has malignant as 0; what is looked for is the positive class here.
    classes = [str(name) for name in bunch.target_names[::-1]]
    columns = [str(name) for name in bunch.feature_names]
    inputs = {"table": bunch.data}
    return Dataset("breast_cancer", inputs, 1 - bunch.target, classes, columns=columns)


def optdigits() -> Dataset:
    """Handwritten digits: ``image`` (1797, 8, 8) in 0…1."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)
    return Dataset("optdigits", {"image": images}, bunch.target, NUMERALS)


def mnist5k() -> Dataset:
    """Handwritten digits: ``image`` (5000, 28, 28) in 0…1."""
    image, digit = _read("mnist5k", "image", "digit")
    images = image.astype(np.float32) / 255
    return Dataset("mnist5k", {"image": images}, digit.astype(int), NUMERALS)


def spoken_digits() -> Dataset:
    """Spoken digits: ``sound``, a list of 3,000 sequences (T, 13) of MFCCs."""
    frames, lengths, digit = _read("spoken_digits", "frames", "lengths", "digit")
    sounds = np.split(frames, np.cumsum(lengths)[:-1])
    return Dataset("spoken_digits", {"sound": sounds}, digit, NUMERALS)


def reviews(domain: str | None = None) -> Dataset:
    """Rated sentences: ``text``, negative or positive; of one domain, or of all four.

    Groups: ``domain`` (movie, amazon, nyt, tweets), ``rating`` (-4 to 4, the raters' mean) and
    ``document``. Texts rated exactly 0 are left out.

    Parameters
    ----------
    domain : str, optional
        One of the four; all of them by default.

    Raises
    ------
    ValueError
        If the domain is unknown.
    """
    text, rating, domains, document = _read("reviews", "text", "rating", "domain", "document")
    known = list(dict.fromkeys(domains.tolist()))
    if domain is not None and domain not in known:
        refuse("domain", f"is one of {', '.join(known)}", repr(domain))
    groups = {"domain": domains, "rating": rating, "document": document}
    label = (rating > 0).astype(int)
    every = Dataset("reviews", {"text": text}, label, ["negative", "positive"], groups)
    return every.subset((rating != 0) & ((domains == domain) if domain else True))


def newsgroups(topics: Sequence[str] | None = None) -> Dataset:
    """Messages to 20 newsgroups: ``text``, lower-cased, letters only; all topics, or some.

    Group: ``part`` (train or test, by date).

    Parameters
    ----------
    topics : list of str, optional
        In the order of their labels; by default all, sorted.

    Raises
    ------
    ValueError
        If a topic is unknown.
    """
    return _cachopo("newsgroups", topics)


def reuters8(topics: Sequence[str] | None = None) -> Dataset:
    """Reuters' news of 1987 on 8 topics: ``text``, lower-cased, letters only.

    Group: ``part`` (train or test, by date).

    Takes and refuses what `newsgroups` does.
    """
    return _cachopo("reuters8", topics)


def _cachopo(name: str, topics: Sequence[str] | None) -> Dataset:
    text, topic, part = _read("cachopo", "text", "topic", "part", file=name)
    known = np.unique(topic).tolist()
    classes = known if topics is None else list(topics)
    if unknown := set(classes) - set(known):
        raise ValueError(f"topics has {sorted(unknown)}; {name} knows {known}")
    chosen = np.flatnonzero(np.isin(topic, classes))
    label = np.array([classes.index(topic[i]) for i in chosen])
    return Dataset(
        name, {"text": [text[i] for i in chosen]}, label, classes, {"part": part[chosen]}
    )


def shapes_vqa() -> Dataset:
    """Questions about pictures of one coloured shape: ``image`` (48248, 64, 64, 3), ``text``.

    Groups: ``part`` (train or test) and ``picture`` (which of the 5,000).
    """
    image, picture, question, answer, answers, part = _read(
        "shapes_vqa", "image", "picture", "question", "answer", "answers", "part"
    )
    inputs = {"image": Pictures(image, picture), "text": question}
    groups = {"part": part, "picture": picture}
    return Dataset("shapes_vqa", inputs, answer, answers, groups, simulated=True)


def drug_reviews() -> Dataset:
    """Patients' reviews of drugs: ``text`` and ``table``; negative, neutral or positive.

    Groups: ``part`` (train or test), ``drug`` and ``condition`` (empty where unknown).
    """
    text, table, drug, condition, rating, part = _read(
        "drug_reviews", "text", "table", "drug", "condition", "rating", "part"
    )
    classes = ["negative", "neutral", "positive"]
    label = np.array([classes.index(r) for r in rating])
    groups = {"part": part, "drug": np.array(drug), "condition": np.array(condition)}
    columns = ["found useful by", "year", "month"]
    inputs = {"text": text, "table": table}
    return Dataset("drug_reviews", inputs, label, classes, groups, columns=columns)


def emoji(
    styles: Sequence[str] = ("noto",), language: str = "en", background: float | None = 1.0
) -> Dataset:
    """1,327 emoji in up to four styles: ``image`` (n, 72, 72, 3) in 0…1, ``text`` their names.

    Parameters
    ----------
    styles : list of str
        Of noto, twemoji, openmoji and lineart (OpenMoji's lines alone); 1,327 samples each.
    language : str
        Of the names: ar de en es fa fr id it ja ko pt ru tr zh.
    background : float or None
        The grey behind the drawing, 1 is white; None keeps a fourth channel, opacity.

    Returns
    -------
    Dataset
        Labelled with 8 categories; groups ``concept`` (0 to 1326), ``character``,
        ``subcategory`` (96) and ``style``.
    """
    if not styles or isinstance(styles, str) or set(styles) - set(STYLES):
        refuse("styles", f"is a list of some of {', '.join(STYLES)}", repr(styles))
    if language not in LANGUAGES:
        refuse("language", f"is one of {', '.join(LANGUAGES)}", repr(language))
    pixels = np.concatenate([_over(drawn, background) for drawn in _read("emoji", *styles)])
    name, category, subcategory, character = _read(
        "emoji", f"name_{language}", "category", "subcategory", "character"
    )
    classes = list(dict.fromkeys(category))
    count, times = len(name), len(styles)
    inputs = {"image": Pictures(pixels, np.arange(count * times)), "text": name * times}
    label = np.tile([classes.index(c) for c in category], times)
    groups = {
        "concept": np.tile(np.arange(count), times),
        "character": np.tile(character, times),
        "subcategory": np.tile(subcategory, times),
        "style": np.repeat(styles, count),
    }
    return Dataset("emoji", inputs, label, classes, groups)


def _over(pixels: np.ndarray, background: float | None) -> np.ndarray:
    if background is None:
        return pixels
    opacity = pixels[..., 3:] / np.float32(255)
    mixed = pixels[..., :3] * opacity + np.float32(255 * background) * (1 - opacity)
    return mixed.round().astype(np.uint8)


def _read(bundle: str, *names: str, file: str | None = None) -> tuple[Any, ...]:
    return store.read(unpack.bundle(bundle) / f"{file or bundle}.npz", *names)
