"""A small training, as a script of its own that may be killed or run in several processes.

``python toy_training.py kill CHECKPOINT WHEN`` dies of SIGKILL, `WHEN` being a sample of the
fourth epoch (``step``) or the middle of writing the third checkpoint (``write``).
``torchrun ... toy_training.py together FOLDER`` leaves what the processes found in `FOLDER`.
"""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from torch import nn

from mmlearn.data import Dataset
from mmlearn.encoders import ConvNet, MultimodalModel, mean_of_tokens
from mmlearn.train import evaluate, fit

EPOCHS, SAMPLES, BATCH = 6, 39, 8


def dataset(n=SAMPLES, seed=0):
    """Noisy pictures of a bar that lies or stands, some of them missing."""
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=n)
    images = rng.normal(size=(n, 8, 8))
    images[label == 0, 3] += 3
    images[label == 1, :, 3] += 3
    pictures = [None if i % 7 == 6 else image for i, image in enumerate(images)]
    return Dataset("bars", {"image": pictures}, label, ["lies", "stands"])


class Noisy:
    """The data set, with noise from each global generator; it may die at one of its samples."""

    def __init__(self, data, dies_after=None):
        self.data, self.dies_after, self.taken = data, dies_after, 0

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        self.taken += 1
        if self.taken == self.dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        noise = np.random.normal() + torch.randn(()).item()  # noqa: NPY002 - as a library would
        sample = self.data[i]
        if sample["image"] is not None:
            sample["image"] = sample["image"] + 0.01 * noise
        return sample


def model(dropout=0.2):
    """With dropout and running statistics: both have a state that a resumed run needs."""
    torch.manual_seed(1)
    head = nn.Sequential(nn.Dropout(dropout), nn.Linear(6, 2))
    return MultimodalModel({"image": ConvNet(1, (4, 6))}, mean_of_tokens, head)


def plain():
    """Without what differs between processes by its nature: dropout, batch normalisation."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()


def pairs(n, seed=0):
    """Pairs (inputs, label) in double precision."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 5)), rng.integers(3, size=n)
    return torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))


def train(net, checkpoint=None, dies_after=None, epochs=EPOCHS, **kwargs):
    """The training that is killed and resumed."""
    return fit(
        net, Noisy(dataset(), dies_after), val=dataset(11, seed=1), batch=BATCH, epochs=epochs,
        loss=nn.functional.cross_entropy, learning_rate=0.01, checkpoint=checkpoint, seed=5,
        optimiser=partial(torch.optim.AdamW, weight_decay=0.1), **kwargs,
    )  # fmt: skip


def train_plain(net):
    """The training that one process or several do: neither number of samples is even."""
    loss = nn.functional.cross_entropy
    history = fit(
        net, pairs(SAMPLES), val=pairs(13, 1), loss=loss, batch=BATCH, epochs=3, seed=0
    )  # fmt: skip
    return history, evaluate(net, pairs(21, 2), loss=loss, batch=BATCH)


def kill(checkpoint, when):
    if when == "step":
        # Three epochs, a look at the first sample for its kind, and a few samples more.
        train(model(), checkpoint, dies_after=3 * (SAMPLES - SAMPLES % BATCH) + 20)
    save, written = torch.save, []

    def dying_save(state, file):
        written.append(state)
        if len(written) == 3:
            file.write(b"half of it")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        save(state, file)

    torch.save = dying_save
    train(model(), checkpoint)


def together(folder):
    net = plain()
    history, found = train_plain(net)
    with_statistics = model()
    curve = train(with_statistics, epochs=2)
    rank = os.environ["RANK"]
    result = {"weights": net.state_dict(), "train_loss": history.train_loss}
    result |= {"val_loss": history.val_loss, "accuracy": history.accuracy}
    result |= {"statistics": with_statistics.state_dict(), "curve": curve.val_loss}
    result |= {"processes": PartialState().num_processes}  # that training has shared
    torch.save({**result, "evaluation": tuple(found)}, Path(folder) / f"{rank}.pt")


if __name__ == "__main__":
    {"kill": kill, "together": together}[sys.argv[1]](*sys.argv[2:])
