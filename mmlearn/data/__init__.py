"""Data sets and pretrained encoders: fetched once, verified, then used with no network.

``load`` gives a data set, ``split`` cuts it, ``collate`` makes a batch of samples. Every data
set has a card under ``data/``; ``card`` shows it.
"""

from mmlearn.data.datasets import card, fetch, health, load, names
from mmlearn.data.samples import Batch, Dataset, Split, collate, split

__all__ = [
    "Batch",
    "Dataset",
    "Split",
    "card",
    "collate",
    "fetch",
    "health",
    "load",
    "names",
    "split",
]
