"""The public originals, for ``PROFILE="full"``: each has a checksum or is pinned to a commit.

They are downloaded by the libraries that know them, from hosts that the book's own build never
asks, so their cards say "Run by us: no": the loaders were tried on small local copies with the
same layout.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmlearn.data import store
from mmlearn.data.datasets import NUMERALS
from mmlearn.data.samples import Dataset, Pictures
from mmlearn.runtime import current

PARTS = ("train", "test", "val")

PNEUMONIA = (
    "https://zenodo.org/records/10519652/files/pneumoniamnist.npz",
    "md5:28209eda62fecd6e6a2d98b1501bb15f",
)
WAVEFORMS = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz",
    "sha256:8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0",
)
# Model, and the commit that is loaded.
BERT = ("google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594")
CLIP = ("openai/clip-vit-base-patch32", "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268")


class Public(NamedTuple):
    """A pretrained network with what prepares its inputs (a tokenizer or processor)."""

    model: Any
    processor: Any


@contextmanager
def _downloading(name: str, instead: str) -> Iterator[Path]:
    """Where to keep an original; refuses outside the full profile, explains a failure."""
    if current().profile != "full":
        raise store.DataError(
            f"{name} is downloaded from its public host and belongs to PROFILE='full'; "
            f"in this profile use {instead}"
        )
    folder = store.cache() / "originals"
    try:
        yield folder
    except (OSError, ValueError, RuntimeError) as error:
        raise store.DataError(
            f"{name} could not be had: {error}. "
            f"Where there is no network, use PROFILE='default' and {instead}"
        ) from error


def newsgroups_original(topics: Sequence[str] | None = None, remove: Sequence[str] = ()) -> Dataset:
    """20 Newsgroups as written: ``text`` with headers, quotes and signatures; group ``part``.

    Parameters
    ----------
    topics : list of str, optional
        All 20 by default.
    remove : list of str
        What is taken away: any of ``headers``, ``footers`` and ``quotes``.

    Raises
    ------
    DataError
        Outside the full profile, or if it cannot be downloaded. So do all loaders of this module.
    """
    from sklearn.datasets import fetch_20newsgroups

    options = {"categories": topics, "remove": tuple(remove)}
    with _downloading("newsgroups_original", "newsgroups") as folder:
        parts = [fetch_20newsgroups(data_home=folder, subset=part, **options) for part in PARTS[:2]]
    inputs = {"text": [text for part in parts for text in part.data]}
    classes = list(parts[0].target_names)
    return _joined("newsgroups_original", inputs, [part.target for part in parts], classes)


def mnist() -> Dataset:
    """All of MNIST: ``image`` (70000, 28, 28) in 0…1; group ``part``."""
    return _torchvision("mnist", "MNIST", "mnist5k", NUMERALS)


def cifar10() -> Dataset:
    """CIFAR-10: ``image`` (60000, 32, 32, 3) in 0…1, ten kinds of things; group ``part``."""
    return _torchvision("cifar10", "CIFAR10", "emoji")


def _torchvision(name: str, kind: str, instead: str, classes: list[str] | None = None) -> Dataset:
    with _downloading(name, instead) as folder:
        from torchvision import datasets

        parts = [getattr(datasets, kind)(folder, train, download=True) for train in (True, False)]
    inputs = {"image": _pictures([part.data for part in parts])}
    return _joined(name, inputs, [part.targets for part in parts], classes or parts[0].classes)


def pneumonia() -> Dataset:
    """PneumoniaMNIST: chest X-rays of children, ``image`` (5856, 28, 28); group ``part``."""
    import pooch  # type: ignore[import-untyped]

    with _downloading("pneumonia", "breast_cancer") as folder:
        path = pooch.retrieve(*PNEUMONIA, fname="pneumoniamnist.npz", path=folder)
        with np.load(path) as file:
            images = _pictures([file[f"{part}_images"] for part in PARTS])
            labels = [file[f"{part}_labels"].ravel() for part in PARTS]
    return _joined("pneumonia", {"image": images}, labels, ["normal", "pneumonia"])


def _pictures(parts: list) -> Pictures:
    pixels = np.concatenate(parts)
    return Pictures(pixels, np.arange(len(pixels)))


def _joined(name: str, inputs: dict[str, Any], labels: list, classes: list[str]) -> Dataset:
    """The data set whose parts have these labels: of train, test and, if there is one, val."""
    part = np.repeat(PARTS[: len(labels)], [len(part) for part in labels])
    return Dataset(name, inputs, np.concatenate(labels).astype(int), classes, {"part": part})


def spoken_digits_waveforms() -> Dataset:
    """Spoken digits as recorded: ``sound``, 8,000 samples a second; group ``speaker``."""
    import pooch
    from scipy.io import wavfile

    sounds, labels, speakers = [], [], []
    with _downloading("spoken_digits_waveforms", "spoken_digits or voices") as folder:
        path = pooch.retrieve(*WAVEFORMS, fname="fsdd-1.0.9.tar.gz", path=folder)
        with tarfile.open(path) as tar:
            files = [m for m in tar if "/recordings/" in m.name and m.name.endswith(".wav")]
            for member in sorted(files, key=lambda m: m.name):
                rate, samples = wavfile.read(io.BytesIO(tar.extractfile(member).read()))  # type: ignore[union-attr]
                digit, speaker, _ = Path(member.name).stem.split("_")
                sounds.append(samples.astype(np.float32) / 32_768)
                labels.append(int(digit))
                speakers.append(speaker)
    inputs, groups = {"sound": sounds}, {"speaker": np.array(speakers)}
    name = "spoken_digits_waveforms"
    return Dataset(name, inputs, np.array(labels), NUMERALS, groups, rate=rate)


def bert() -> Public:
    """BERT base, uncased (Devlin et al. 2018, arXiv:1810.04805), and its tokenizer."""
    return _public("bert", *BERT, "AutoTokenizer", "minilm")


def clip() -> Public:
    """CLIP ViT-B/32 (Radford et al. 2021, arXiv:2103.00020), and its processor."""
    return _public("clip", *CLIP, "AutoProcessor", "efficientnet_lite0 and minilm")


def _public(name: str, repository: str, commit: str, processor: str, instead: str) -> Public:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    with _downloading(name, instead) as folder:
        where = {"revision": commit, "cache_dir": folder}
        model = transformers.AutoModel.from_pretrained(repository, **where)
        prepares = getattr(transformers, processor).from_pretrained(repository, **where)
        return Public(model.eval(), prepares)
