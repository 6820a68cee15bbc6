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
from mmlearn.data.samples import Dataset, Pictures
from mmlearn.runtime import current

NUMERALS = [str(digit) for digit in range(10)]

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

    `remove` takes any of ``headers``, ``footers`` and ``quotes`` away.
    """
    from sklearn.datasets import fetch_20newsgroups

    texts, labels, parts = [], [], []
    with _downloading("newsgroups_original", "newsgroups") as folder:
        for part in ("train", "test"):
            bunch = fetch_20newsgroups(
                data_home=folder, subset=part, categories=topics, remove=tuple(remove)
            )
            texts += bunch.data
            labels.append(bunch.target)
            parts += [part] * len(bunch.data)
    groups = {"part": np.array(parts)}
    label, classes = np.concatenate(labels), list(bunch.target_names)
    return Dataset("newsgroups_original", {"text": texts}, label, classes, groups)


def mnist() -> Dataset:
    """All of MNIST: ``image`` (70000, 28, 28) in 0…1; group ``part``."""
    with _downloading("mnist", "mnist5k") as folder:
        from torchvision.datasets import MNIST

        parts = [MNIST(folder, train=train, download=True) for train in (True, False)]
    images = np.concatenate([part.data.numpy() for part in parts])
    label = np.concatenate([part.targets.numpy() for part in parts])
    return _pictures("mnist", images, label, NUMERALS, [len(part) for part in parts])


def cifar10() -> Dataset:
    """CIFAR-10: ``image`` (60000, 32, 32, 3) in 0…1, ten kinds of things; group ``part``."""
    with _downloading("cifar10", "emoji") as folder:
        from torchvision.datasets import CIFAR10

        parts = [CIFAR10(folder, train=train, download=True) for train in (True, False)]
    images = np.concatenate([part.data for part in parts])
    label = np.concatenate([part.targets for part in parts])
    return _pictures("cifar10", images, label, list(parts[0].classes), [len(p) for p in parts])


def pneumonia() -> Dataset:
    """PneumoniaMNIST: chest X-rays of children, ``image`` (5856, 28, 28); group ``part``."""
    import pooch  # type: ignore[import-untyped]

    with _downloading("pneumonia", "breast_cancer") as folder:
        path = pooch.retrieve(*PNEUMONIA, fname="pneumoniamnist.npz", path=folder)
        with np.load(path) as file:
            images = [file[f"{part}_images"] for part in ("train", "test", "val")]
            labels = [file[f"{part}_labels"].ravel() for part in ("train", "test", "val")]
    sizes = [len(part) for part in images]
    label = np.concatenate(labels).astype(int)
    return _pictures("pneumonia", np.concatenate(images), label, ["normal", "pneumonia"], sizes)


def _pictures(
    name: str, pixels: np.ndarray, label: np.ndarray, classes: list[str], sizes: list[int]
) -> Dataset:
    part = np.repeat(["train", "test", "val"][: len(sizes)], sizes)
    inputs = {"image": Pictures(pixels, np.arange(len(pixels)))}
    return Dataset(name, inputs, label, classes, {"part": part})


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
    return Dataset(
        "spoken_digits_waveforms",
        {"sound": sounds},
        np.array(labels),
        NUMERALS,
        {"speaker": np.array(speakers)},
        rate=rate,
    )


def bert() -> Public:
    """BERT base, uncased (Devlin et al. 2018, arXiv:1810.04805), and its tokenizer."""
    import transformers

    return _public("bert", *BERT, transformers.AutoTokenizer, "minilm")


def clip() -> Public:
    """CLIP ViT-B/32 (Radford et al. 2021, arXiv:2103.00020), and its processor."""
    import transformers

    return _public("clip", *CLIP, transformers.AutoProcessor, "efficientnet_lite0 and minilm")


def _public(name: str, repository: str, commit: str, processor: Any, instead: str) -> Public:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    with _downloading(name, instead) as folder:
        where = {"revision": commit, "cache_dir": folder}
        model = transformers.AutoModel.from_pretrained(repository, **where)
        return Public(model.eval(), processor.from_pretrained(repository, **where))
