"""A small world whose information is known: what each modality holds, and what only all do."""

from __future__ import annotations

import numpy as np

from mmlearn.data.samples import Dataset
from mmlearn.runtime import current

INFORMATION = (
    "unique", "shared noise", "own noise", "xor of two", "xor of three", "switch",
)  # fmt: skip


def world(
    information: str = "xor of two",
    n: int = 3_000,
    d: int = 8,
    noise: float = 0.4,
    flips: float = 0.2,
    seed: int | None = None,
) -> Dataset:
    """Simulated: ``image``, ``text`` and ``sound`` (n, d), named so and no more than vectors.

    Behind each modality stands one bit; the vector is a fixed direction of length 1, turned round
    if the bit is 0, and normal noise. `information` says how bits and label go together:

    ``unique``
        The label is the image's bit; the others are thrown.
    ``shared noise``
        All have one bit, which is the label or, in a share `flips` of the samples, its opposite.
    ``own noise``
        Each has the label or, in a share `flips`, its opposite, by a throw of its own.
    ``xor of two``
        The label is whether the bits of image and text differ; the sound's is thrown.
    ``xor of three``
        The label is whether an odd number of the three bits is 1.
    ``switch``
        The label is the text's bit where the image's bit is 1, else the sound's.

    Parameters
    ----------
    information : str
    n, d : int
        Samples, and numbers in each vector.
    noise : float
        Standard deviation of what is added to each number.
    flips : float
        Share of wrong bits, where there are any.
    seed : int, optional
        The run's by default. The directions are the same for all seeds.

    Returns
    -------
    Dataset
        With ``groups["bits"]`` (n, 3), 0 or 1, in the order image, text, sound.

    Raises
    ------
    ValueError
        If the information is unknown, a size is less than 1, `noise` negative, or `flips` no share.
    """
    if information not in INFORMATION:
        raise ValueError(f"information is {information!r}; it is one of {', '.join(INFORMATION)}")
    if min(n, d) < 1:
        raise ValueError(f"n and d are 1 or more, got {n} and {d}")
    if not (noise >= 0 and 0 <= flips <= 1):
        raise ValueError(f"noise is 0 or more, flips from 0 to 1, got {noise} and {flips}")
    rng = np.random.default_rng(current().seed if seed is None else seed)
    bits = rng.integers(2, size=(n, 3))
    label = rng.integers(2, size=n)
    if information == "unique":
        label = bits[:, 0]
    elif information == "shared noise":
        bits = np.repeat(label[:, None] ^ (rng.random((n, 1)) < flips), 3, axis=1)
    elif information == "own noise":
        bits = label[:, None] ^ (rng.random((n, 3)) < flips)
    elif information == "xor of two":
        label = bits[:, 0] ^ bits[:, 1]
    elif information == "xor of three":
        label = bits.sum(axis=1) % 2
    else:
        label = np.where(bits[:, 0] == 1, bits[:, 1], bits[:, 2])
    directions = np.random.default_rng(0).normal(size=(3, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    values = (2 * bits[:, :, None] - 1) * directions + noise * rng.normal(size=(n, 3, d))
    inputs = {
        name: values[:, i].astype(np.float32) for i, name in enumerate(("image", "text", "sound"))
    }
    return Dataset("world", inputs, label, ["no", "yes"], {"bits": bits}, simulated=True)
