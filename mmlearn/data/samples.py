"""What every data set is: samples of several modalities, cut into parts and joined in batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mmlearn.checks import refuse
from mmlearn.runtime import current

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Dataset:
    """Samples of one or more modalities, each with a label.

    Attributes
    ----------
    name : str
        The name by which `load` knows it.
    inputs : dict
        For each modality (``image``, ``text``, ``sound``, ``table``) an array (n, …) or a list
        of n values; None in a list stands for a missing one.
    label : ndarray of int, shape (n,)
        The class of each sample, an index into `classes`.
    classes : list of str
        What the labels mean.
    groups : dict of ndarray, each of shape (n, …)
        What else is known of each sample: its voice, corpus, style, rating.
    simulated : bool
        Whether a program made the samples; plots and claims have to say so.
    columns : list of str
        The names of the columns of ``inputs["table"]``.
    rate : int
        Samples a second of ``inputs["sound"]``; 0 where it is no waveform.
    """

    name: str
    inputs: dict[str, Any]
    label: np.ndarray
    classes: list[str]
    groups: dict[str, np.ndarray] = field(default_factory=dict)
    simulated: bool = False
    columns: list[str] = field(default_factory=list)
    rate: int = 0

    def __post_init__(self) -> None:
        lengths = {k: len(v) for k, v in {**self.inputs, **self.groups}.items()}
        wrong = {k: n for k, n in lengths.items() if n != len(self.label)}
        if wrong:
            raise ValueError(f"{self.name} has {len(self.label)} labels, but {wrong}")

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, i: int) -> dict[str, Any]:
        """One sample: ``{modality: value, ..., "label": int}``."""
        return {**{k: v[i] for k, v in self.inputs.items()}, "label": int(self.label[i])}

    def subset(self, index: Any) -> Dataset:
        """The samples at `index`.

        Parameters
        ----------
        index : ndarray or slice
            Positions, a mask of n booleans or a slice.

        Returns
        -------
        Dataset
        """
        rows = np.arange(len(self))[index]
        return replace(
            self,
            inputs={k: _take(v, rows) for k, v in self.inputs.items()},
            label=self.label[rows],
            groups={k: v[rows] for k, v in self.groups.items()},
        )


def _take(values: Any, rows: np.ndarray) -> Any:
    if isinstance(values, list):
        return [values[i] for i in rows]
    return values.take(rows) if isinstance(values, Pictures) else values[rows]


class Pictures:
    """Images that share memory until they are looked at: an array of floats in 0…1 to its user.

    Many questions may be asked of one picture; kept as bytes, each picture is there once.
    `np.asarray` or any index gives the floats.
    """

    def __init__(self, pixels: np.ndarray, rows: np.ndarray) -> None:
        self.pixels, self.rows = pixels, rows
        self.shape = (len(rows), *pixels.shape[1:])
        self.ndim, self.dtype = pixels.ndim, np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        rows, *others = index if isinstance(index, tuple) else (index,)
        pixels = self.pixels[self.rows[rows]]
        if others:
            pixels = pixels[(slice(None),) * np.ndim(self.rows[rows]) + tuple(others)]
        return pixels.astype(np.float32) / 255

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype)

    def take(self, rows: np.ndarray) -> Pictures:
        """Some of the images, still shared."""
        return Pictures(self.pixels, self.rows[rows])


class Split(NamedTuple):
    """The three parts of a data set, as `split` cuts it."""

    train: Dataset
    val: Dataset
    test: Dataset


def split(
    dataset: Dataset,
    test: float | Sequence[Any] = 0.25,
    val: float | Sequence[Any] = 0.0,
    by: str | None = None,
    seed: int | None = None,
    learn: str = "label",
) -> Split:
    """Cut a data set into parts for training, validation and testing.

    Without `by`, each part has the classes in the same proportions. With it, no group stands
    in two parts. In a null run (`mmlearn.runtime.Run.null`) the labels of train and val are
    permuted and their modalities shuffled against each other, so that nothing can be learnt.

    Parameters
    ----------
    dataset : Dataset
        What is to be cut.
    test, val : float or list
        A share of the data set (of its groups, with `by`), or the very groups that the part
        gets, for example ``by="corpus", test=["tweets"]``; a share for validation is then
        taken class by class from all the other groups.
    by : str or None
        A name in ``dataset.groups``.
    seed : int or None
        Of the random choice; the run's own if None.
    learn : str
        ``"label"``, or ``"words"`` for what is learnt from texts alone, from which words stand
        together. In a null run the words of train and val are then dealt out anew as well:
        every text keeps its length, every word its number, and no two words keep company.

    Returns
    -------
    Split
        ``train``, ``val`` and ``test``, in this order; a part with no share is empty.

    Raises
    ------
    ValueError
        If the data set is empty, a share is not in [0, 1), nothing is left to train on, a
        class is too small to be cut, a group is unknown, or there are no words to learn from.
    """
    if not len(dataset):
        raise ValueError(f"{dataset.name} is empty: there is nothing to split")
    if by is not None and by not in dataset.groups:
        known = ", ".join(sorted(dataset.groups)) or "none"
        raise ValueError(f"{dataset.name} has no group {by!r}; its groups: {known}")
    if learn not in ("label", "words") or (learn == "words" and "text" not in dataset.inputs):
        raise ValueError(f"learn={learn!r} is label, or words where there is text")
    seed = current().seed if seed is None else seed
    rest, tested = _cut(dataset, np.arange(len(dataset)), test, "test", by, seed)
    named = not isinstance(test, (int, float))
    val_by = None if named and isinstance(val, (int, float)) else by
    trained, validated = _cut(dataset, rest, val, "val", val_by, seed)
    if not len(trained):
        raise ValueError(f"test={test!r} and val={val!r} leave nothing of {dataset.name} to train")
    parts = [dataset.subset(rows) for rows in (trained, validated, tested)]
    if current().null:
        rng = np.random.default_rng([seed, 1])
        parts[:2] = [_unrelate(part, rng) for part in parts[:2]]
        if learn == "words":
            parts[:2] = [_deal_words(part, rng) for part in parts[:2]]
    return Split(*parts)


def _cut(
    dataset: Dataset,
    rows: np.ndarray,
    part: float | Sequence[Any],
    name: str,
    by: str | None,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut `rows` in two: what is left, and `part` (a share of the data set, or groups)."""
    if not isinstance(part, (int, float)):
        if by is None:
            raise ValueError(f"{name}={part!r} names groups; say with by= which")
        known = np.unique(dataset.groups[by]).tolist()
        if isinstance(part, str) or set(part) - set(known):
            raise ValueError(f"{name}={part!r} is not a list of values of {by!r}: {known}")
        chosen = np.isin(dataset.groups[by][rows], list(part))
        return rows[~chosen], rows[chosen]
    if not 0 <= part < 1:
        refuse(name, "is a share, 0 to below 1", part)
    if part == 0:
        return rows, rows[:0]
    if by is not None:
        left = np.unique(dataset.groups[by][rows])
        count = max(1, round(part * len(np.unique(dataset.groups[by]))))
        if count >= len(left):
            raise ValueError(f"{name}={part} takes all {len(left)} groups of {by!r} that are left")
        groups = np.random.default_rng(seed).choice(left, count, replace=False)
        chosen = np.isin(dataset.groups[by][rows], groups)
        return rows[~chosen], rows[chosen]
    size = round(part * len(dataset))
    try:
        from sklearn.model_selection import train_test_split

        kept, taken = train_test_split(
            rows, test_size=size, stratify=dataset.label[rows], random_state=seed
        )
    except ValueError as error:
        counts = np.bincount(dataset.label[rows], minlength=len(dataset.classes)).tolist()
        known = dict(zip(dataset.classes, counts, strict=True))
        raise ValueError(
            f"{name}={part} cannot cut {dataset.name} class by class, of which it has {known}: "
            f"{error}"
        ) from None
    return np.sort(kept), np.sort(taken)


def _unrelate(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    """Shuffle every modality but the first, and the labels, each by itself.

    What else is known of a sample moves with its label, since it may be learnt in its place.
    """
    first, *others = dataset.inputs
    inputs = {first: dataset.inputs[first]}
    inputs |= {k: _take(dataset.inputs[k], rng.permutation(len(dataset))) for k in others}
    order = rng.permutation(len(dataset))
    groups = {k: v[order] for k, v in dataset.groups.items()}
    return replace(dataset, inputs=inputs, label=dataset.label[order], groups=groups)


def _deal_words(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    """Deal the words of all texts out anew, to each text as many as it had."""
    texts = [(text or "").split() for text in dataset.inputs["text"]]
    words = [word for text in texts for word in text]
    drawn = iter([words[i] for i in rng.permutation(len(words))])
    dealt = [" ".join(next(drawn) for _ in text) for text in texts]
    there = [
        None if old is None else new for old, new in zip(dataset.inputs["text"], dealt, strict=True)
    ]
    return replace(dataset, inputs={**dataset.inputs, "text": there})


def pair(first: Dataset, second: Dataset, seed: int | None = None) -> Dataset:
    """Join two data sets of the same classes: each sample of the first gets one of the second.

    What a sample gets is drawn from its own class. Given the class, the two modalities are then
    independent, which no sample that was recorded whole can promise, and which flatters fusion:
    say so wherever it is used. Split first and pair the parts, so that nothing stands on two sides.

    Parameters
    ----------
    first, second : Dataset
        With other modalities and equal classes; `first` gives the samples and their groups.
    seed : int, optional
        Of the draw; the run's by default.

    Returns
    -------
    Dataset
        As long as `first`, with its labels and groups and the modalities of both.

    Raises
    ------
    ValueError
        If they share a modality, differ in classes, or `second` lacks a class that `first` has.
    """
    if both := sorted(set(first.inputs) & set(second.inputs)):
        raise ValueError(f"{first.name} and {second.name} both have {', '.join(both)}")
    if first.classes != second.classes:
        raise ValueError(f"{first.name} and {second.name} differ in their classes")
    rng = np.random.default_rng(current().seed if seed is None else seed)
    rows = np.zeros(len(first), int)
    for label in np.unique(first.label):
        known, asking = (np.flatnonzero(part.label == label) for part in (second, first))
        if not len(known):
            raise ValueError(f"{second.name} has no sample of {first.classes[label]!r}")
        rows[asking] = rng.choice(known, len(asking))
    return replace(
        first,
        name=f"{first.name} and {second.name}",
        inputs={**first.inputs, **second.subset(rows).inputs},
        simulated=first.simulated or second.simulated,
        columns=first.columns or second.columns,
        rate=first.rate or second.rate,
    )


@dataclass
class Batch:
    """Samples joined into tensors.

    Attributes
    ----------
    inputs : dict of Tensor
        For each modality its values (B, …); sequences are padded with zeros to the longest,
        (B, T, …). A modality that no sample of the batch has is left out.
    mask : dict of BoolTensor (B, T)
        True where there is a value, False where there is padding; T is 1 for what is no
        sequence.
    present : dict of BoolTensor (B,)
        False where the modality is missing.
    label : Tensor (B,)
        The class of each sample.
    """

    inputs: dict[str, torch.Tensor]
    mask: dict[str, torch.Tensor]
    present: dict[str, torch.Tensor]
    label: torch.Tensor

    def __len__(self) -> int:
        return len(self.label)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        inputs, mask, present = (
            {k: v.to(device) for k, v in part.items()}
            for part in (self.inputs, self.mask, self.present)
        )
        return Batch(inputs, mask, present, self.label.to(device))


def collate(
    samples: Iterable[Mapping[str, Any]], sequences: Sequence[str] = ("text", "sound")
) -> Batch:
    """Join samples into a batch; give it to a torch ``DataLoader`` as ``collate_fn``.

    Parameters
    ----------
    samples : iterable of dict
        ``{modality: value, ..., "label": int}``; a value that is None or not there is missing.
    sequences : list of str
        The modalities whose first axis is time: token numbers (T,), sound (T,), frames (T, D).
        Their lengths may differ. Name none when these modalities are vectors.

    Returns
    -------
    Batch
        With masks and with what is present.

    Raises
    ------
    ValueError
        If there is no sample, or the shapes of one modality do not fit together.
    TypeError
        If a value is text: turn it into numbers first.

    Examples
    --------
    >>> batch = collate([{"sound": [1., 2.], "label": 0}, {"sound": [3.], "label": 1}])
    >>> batch.mask["sound"].tolist()
    [[True, True], [True, False]]
    """
    import torch

    samples = list(samples)
    if not samples:
        raise ValueError("there is no sample to make a batch of")
    inputs, mask, present = {}, {}, {}
    for name in dict.fromkeys(k for sample in samples for k in sample if k != "label"):
        values = [sample.get(name) for sample in samples]
        if any(isinstance(v, str) for v in values):
            raise TypeError(f"{name} is text; turn it into token numbers or features first")
        there = {i: np.asarray(v) for i, v in enumerate(values) if v is not None}
        present[name] = torch.tensor([i in there for i in range(len(samples))])
        mask[name] = present[name][:, None].clone()
        if not there:
            continue
        in_time = name in sequences
        shapes = {v.shape[1:] if in_time else v.shape for v in there.values()}
        if len(shapes) > 1:
            raise ValueError(f"the shapes of {name} do not fit in one batch: {sorted(shapes)}")
        shape = shapes.pop()
        if in_time:
            lengths = torch.tensor([len(there.get(i, ())) for i in range(len(samples))])
            mask[name] = torch.arange(int(lengths.max())) < lengths[:, None]
            shape = (int(lengths.max()), *shape)
        # Filled in NumPy, which is faster with many small arrays, and made a tensor once.
        kind = np.result_type(*{v.dtype for v in there.values()})
        filled = np.zeros((len(samples), *shape), kind)
        for i, value in there.items():
            filled[i, slice(len(value)) if in_time else ...] = value
        tensor, real = torch.as_tensor(filled), torch.get_default_dtype()
        inputs[name] = tensor.to(real) if tensor.is_floating_point() else tensor
    label = torch.as_tensor(np.asarray([sample["label"] for sample in samples]))
    return Batch(inputs, mask, present, label)
