"""Training and evaluation: the same call on a CPU, on a GPU and on several under ``torchrun``.

Accelerate moves models and batches and joins the processes; nothing here asks for a device.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import broadcast
from accelerate.utils.memory import should_reduce_batch_size
from torch.utils.data import DataLoader, Sampler, default_collate
from tqdm.auto import tqdm

from mmlearn.checks import refuse
from mmlearn.data import Batch
from mmlearn.data import collate as collate_samples
from mmlearn.runtime import cpu_processes, current, seed_everything


@dataclass
class History:
    """What `fit` measured, one entry an epoch.

    Attributes
    ----------
    train_loss : list of float
        Mean over the epoch's batches, each before its step.
    val_loss, accuracy : list of float
        On the validation samples after the epoch; NaN without any, and `accuracy` also where
        labels are no classes.
    seconds : list of float
        What each epoch took.
    best : int
        The epoch whose weights the model has in the end, counted from 0; -1 before the first.
    """

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best: int = -1

    def __len__(self) -> int:
        return len(self.train_loss)


class Evaluation(NamedTuple):
    """What `evaluate` found: the mean loss, the share that is right, and what they are made of."""

    loss: float
    accuracy: float
    outputs: torch.Tensor
    label: torch.Tensor


def fit(
    model: torch.nn.Module,
    train: Any,
    *,
    loss: Callable,
    epochs: int,
    val: Any = None,
    batch: int = 32,
    learning_rate: float = 1e-3,
    optimiser: Callable = torch.optim.Adam,
    patience: int | None = None,
    checkpoint: str | os.PathLike | None = None,
    seed: int | None = None,
    collate: Callable | None = None,
) -> History:
    """Train a model; in the end it has its best weights and is in evaluation mode.

    Best is the lowest validation loss; without validation samples, the last epoch. They are kept
    whatever stops the training, an error or the reader.

    Parameters
    ----------
    model : torch.nn.Module
        Called with a `Batch` where samples are dicts, as those of `mmlearn.data` are, and with
        the inputs where they are pairs ``(inputs, label)``.
    train, val : Dataset or sequence or iterable
        Samples with labels. Each epoch goes through `train` in a new order and leaves out the
        last batch if it is not full.
    loss : callable
        ``loss(outputs, label)``, the mean over the batch.
    epochs : int
        How often to go through the samples at most.
    batch : int
        Samples a step, over all processes together.
    learning_rate : float
        Handed to the optimiser as ``lr``.
    optimiser : callable
        A class of `torch.optim`, or a `functools.partial` of one.
    patience : int, optional
        Stop after so many epochs without a lower validation loss.
    checkpoint : path, optional
        Written after each epoch. If it is there at the start, training goes on from it, to the
        very bit as if it had never stopped.
    seed : int, optional
        Of the order and of all generators, which start anew with each epoch; the run's by
        default. The first weights are the model's own.
    collate : callable, optional
        Makes a batch of samples; `mmlearn.data.collate` for dicts by default.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If there are no samples, no labels, fewer samples than a batch holds, or the checkpoint
        is of another training.
    FloatingPointError
        If the loss or a weight is no longer a finite number; the message names the step.
    MemoryError
        If the batch does not fit into the device's memory.

    Notes
    -----
    Several processes get the result of one, except that each draws its own dropout and that
    batch normalisation sees each process's part of a batch.
    """
    accelerator = _accelerator()
    train, val = _samples(train, "train"), None if val is None else _samples(val, "val")
    _check(len(train), batch, epochs, patience, val, accelerator.num_processes)
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise ValueError("the model has no parameter that could be trained")
    seed = current().seed if seed is None else seed
    settings = {
        "seed": seed,
        "batch": batch,
        "learning_rate": learning_rate,
        "optimiser": getattr(optimiser, "__name__", repr(optimiser)),
        "samples": [len(train), len(val or ())],
    }
    order = _Order(len(train), seed)
    loader = DataLoader(
        train, batch, sampler=order, drop_last=True, collate_fn=_collate(train, collate)
    )
    # The model itself stays in `model`: several processes wrap it, and its names with it.
    wrapped, steps, loader = accelerator.prepare(
        model, optimiser(trained, lr=learning_rate), loader
    )
    history, best = History(), _copy(model)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.exists():
        history, best = _resume(path, settings, model, steps)
    try:
        with _memory(batch), _bar(accelerator, epochs * len(loader), len(history)) as bar:
            for epoch in range(len(history), epochs):
                if patience is not None and epoch - 1 - history.best >= patience:
                    break
                began = time.perf_counter()
                seed_everything(_seed(seed, epoch, accelerator.process_index))
                order.epoch, total = epoch, 0.0
                wrapped.train()
                for i, part in enumerate(loader):
                    value = loss(*_outputs(wrapped, part))
                    mean = accelerator.reduce(value.detach(), "mean").item()
                    where = f"step {epoch * len(loader) + i + 1} (epoch {epoch + 1})"
                    _finite(mean, "the loss", where, learning_rate)
                    total += mean
                    steps.zero_grad()
                    accelerator.backward(value)
                    steps.step()
                    bar.update()
                # A bad step shows in the weights first; no checkpoint may hold them.
                largest = max(p.detach().abs().max().item() for p in trained)
                _finite(largest, "a weight", where, learning_rate)
                broadcast(list(model.buffers()))  # else each process keeps its own statistics
                scores = (math.nan, math.nan)
                if val is not None:
                    scores = evaluate(model, val, loss=loss, batch=batch, collate=collate)[:2]
                    _finite(scores[0], "the validation loss", where, learning_rate)
                if val is None or scores[0] < min(history.val_loss, default=math.inf):
                    history.best, best = epoch, _copy(model)
                history.train_loss.append(total / len(loader))
                history.val_loss.append(scores[0])
                history.accuracy.append(scores[1])
                history.seconds.append(time.perf_counter() - began)
                if path is not None:
                    state = {"settings": settings, "history": asdict(history), "best": best}
                    state |= {"model": model.state_dict(), "optimiser": steps.state_dict()}
                    _write(path, state, accelerator)
    finally:
        model.load_state_dict(best)
        model.eval()
    return history


@torch.no_grad()
def evaluate(
    model: torch.nn.Module,
    data: Any,
    *,
    loss: Callable,
    batch: int = 256,
    collate: Callable | None = None,
) -> Evaluation:
    """The model's outputs for all samples, in their order, with mean loss and accuracy.

    Parameters
    ----------
    model, data, loss, collate
        As for `fit`. The loss is taken once, over all samples.
    batch : int
        Samples at a time, over all processes together; no result depends on it.

    Returns
    -------
    Evaluation
        ``(loss, accuracy, outputs, label)``, the last two on the CPU; `accuracy` is NaN where
        labels are no classes.

    Raises
    ------
    ValueError
        If there are no samples or no labels.
    MemoryError
        If the batch does not fit into the device's memory.
    """
    accelerator, data = _accelerator(), _samples(data, "data")
    _divides(batch, accelerator.num_processes)
    loader = DataLoader(data, batch, collate_fn=_collate(data, collate))
    loader = accelerator.prepare_data_loader(loader)
    was_training, parts = model.training, []
    model.to(accelerator.device).eval()
    try:
        with _memory(batch), accelerator.autocast():
            for part in loader:
                # Several processes fill up the last batch; this takes the fillers out again.
                parts.append(accelerator.gather_for_metrics(_outputs(model, part)))
    finally:
        model.train(was_training)
    outputs, label = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    classes = outputs.ndim == 2 and label.ndim == 1 and not label.is_floating_point()
    right = (outputs.argmax(dim=1) == label).double().mean().item() if classes else math.nan
    wide = outputs.to(torch.promote_types(outputs.dtype, torch.float32))  # to sum over all
    mean = loss(wide, label).item()  # where the loss's own tensors are
    return Evaluation(mean, right, outputs.cpu(), label.cpu())


class _Order(Sampler):
    """A permutation that follows from seed and epoch alone, so that none has to be kept."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed, self.epoch = n, seed, 0

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        return iter(rng.permutation(self.n).tolist())


def _accelerator() -> Accelerator:
    # Batches are split between the processes: a batch is the same whatever their number.
    split = DataLoaderConfiguration(split_batches=True)
    return Accelerator(cpu=cpu_processes(), dataloader_config=split)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _samples(data: Any, name: str) -> Any:
    """`data` as something with a length, whose samples have labels."""
    data = data if hasattr(data, "__getitem__") and hasattr(data, "__len__") else list(data)
    if len(data) == 0:
        raise ValueError(f"{name} is empty: there is no sample in it")
    sample = data[0]
    is_pair = isinstance(sample, tuple | list) and len(sample) == 2
    if not ("label" in sample if isinstance(sample, Mapping) else is_pair):
        raise ValueError(
            f"{name} has no labels: a sample is a dict with 'label' or a pair (inputs, label)"
        )
    return data


def _check(n: int, batch: int, epochs: int, patience: int | None, val: Any, processes: int) -> None:
    if epochs < 1:
        refuse("epochs", "is 1 or more", epochs)
    _divides(batch, processes)
    if batch > n:
        refuse("batch", f"is at most {n}, as many samples as train has", batch)
    if patience is not None and (val is None or patience < 1):
        raise ValueError(f"patience is 1 or more and needs val, got {patience} and val={val}")


def _divides(batch: int, processes: int) -> None:
    if batch < 1 or batch % processes:
        refuse("batch", f"is a positive multiple of the {processes} processes", batch)


def _collate(data: Any, collate: Callable | None) -> Callable:
    return collate or (collate_samples if isinstance(data[0], Mapping) else default_collate)


def _outputs(model: Callable, part: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The outputs for a batch, and its labels."""
    inputs, label = (part, part.label) if isinstance(part, Batch) else part
    return model(inputs), label


def _finite(value: float, what: str, where: str, learning_rate: float) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(
            f"{what} is {value} at {where}; the model has its best weights so far. Look for NaN "
            f"in the inputs, or lower learning_rate={learning_rate:g}"
        )


@contextlib.contextmanager
def _memory(batch: int) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
        lower = f"lower batch={batch}, to {batch // 2} say" if batch > 1 else "take a smaller model"
        raise MemoryError(f"the device is out of memory: {lower}") from error


def _bar(accelerator: Accelerator, total: int, done: int) -> tqdm:
    """Steps done, shown once five seconds are over, and never in a stored output."""
    hidden = bool(os.environ.get("MMLEARN_STATIC")) or not accelerator.is_main_process
    return tqdm(
        total=total, initial=done, delay=5, leave=False, disable=hidden, desc="fit", unit="step"
    )


def _copy(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _write(path: Path, state: dict[str, Any], accelerator: Accelerator) -> None:
    """Write beside the old checkpoint, then rename: at any moment one of the two is whole."""
    if accelerator.is_main_process:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        try:
            with new.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    accelerator.wait_for_everyone()


# What torch.load and a look into its result raise for files that are none of ours.
_DAMAGED = (RuntimeError, ValueError, EOFError, KeyError, TypeError, pickle.UnpicklingError)


def _resume(
    path: Path, settings: dict[str, Any], model: torch.nn.Module, steps: Any
) -> tuple[History, dict[str, torch.Tensor]]:
    """Put the checkpoint's state into model and optimiser; its history and best weights."""
    remedy = "delete it, or give another checkpoint"
    try:
        # Read first: whatever torch finds wrong is then the file's content, not the disk.
        file = io.BytesIO(path.read_bytes())
        state = torch.load(file, map_location="cpu", weights_only=True)
        found = state["settings"]
    except _DAMAGED as error:
        raise ValueError(f"{path} is damaged or no checkpoint of fit; {remedy}") from error
    other = {k: (found.get(k), v) for k, v in settings.items() if found.get(k) != v}
    if other:
        differs = "; ".join(f"{k} was {then}, is {now}" for k, (then, now) in other.items())
        raise ValueError(f"{path} is of another training: {differs}; {remedy}")
    try:
        model.load_state_dict(state["model"])
        steps.load_state_dict(state["optimiser"])
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is of another model: {error}; {remedy}") from error
    return History(**state["history"]), state["best"]
