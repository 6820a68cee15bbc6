"""Small worlds of which all is known: what each modality holds, what stands where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from mmlearn.checks import refuse
from mmlearn.data.datasets import emoji
from mmlearn.data.samples import Dataset, Pictures
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
        refuse("information", f"is one of {', '.join(INFORMATION)}", repr(information))
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


def scenes(
    n: int = 500,
    objects: tuple[int, int] = (2, 4),
    concepts: Sequence[int] = range(1327),
    style: str = "noto",
    size: int = 64,
    sides: tuple[int, int] = (12, 28),
    twins: float = 0.0,
    scraps: int = 0,
    seed: int | None = None,
) -> Dataset:
    """Simulated: emoji at random places, ``image`` (n, size, size, 3), ``text`` a caption of each.

    A caption says how each object lies to the next: "dog left of red apple, red apple above cup".
    The same seed in another style is the same scenes, drawn by another hand.

    Parameters
    ----------
    n : int
    objects : (int, int)
        Fewest and most objects of a scene, none over another; the label says how many there are.
    concepts : list of int
        The emoji to choose from, numbered as in ``load("emoji")``; by default all. Scenes of
        other concepts, for testing, are a second data set.
    style : str
        Of the drawings, as in ``load("emoji")``.
    size : int
        Width and height of a scene, in pixels.
    sides : (int, int)
        Least and greatest width of an object's frame; its drawing fills most of it.
    twins : float
        Share of the scenes whose second object, if there is one, is the same as the first.
    scraps : int
        How many pieces, cut out of any emoji, lie about behind the objects.
    seed : int, optional
        The run's by default.

    Returns
    -------
    Dataset
        With groups for each object, in random order, (n, most, …): ``boxes`` (left, top, right,
        bottom, in pixels, tight), ``concepts``, ``names``, and ``places``, the side of the scene
        to which it lies: left, right, top or bottom. Where there is no object: 0, -1, "" and "".

    Raises
    ------
    ValueError
        If an option is not as said above, or no place is found for so many objects so large.
    """
    (fewest, most), pool = objects, np.unique(concepts)
    if not (1 <= fewest <= most <= len(pool) and 4 <= sides[0] <= sides[1] <= size and n > 0):
        raise ValueError(
            f"{n} scenes of {size} pixels, {objects} objects with {sides} pixels a side, of "
            f"{len(pool)} concepts: all above 0, sides from 4, and the lesser of two comes first"
        )
    art = emoji([style], background=None)
    drawings, named = art.inputs["image"].pixels, np.array([*art.inputs["text"], ""])
    seed = current().seed if seed is None else seed
    rng, behind = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    light, scrap = behind.uniform(170, 255, (n, 1, 1, 3)), size // 8
    canvas = np.ones((n, size, size, 3), np.float32) * light.astype(np.float32)
    boxes, chosen = np.zeros((n, most, 4), int), np.full((n, most), -1)
    for i in range(n):
        room = len(drawings), 49, 49, size - scrap + 1, size - scrap + 1
        for j, x, y, left, top in behind.integers(room, size=(scraps, 5)):
            paste(canvas[i], drawings[j, y : y + 24, x : x + 24], left, top, scrap)
        count = int(rng.integers(fewest, most + 1))
        chosen[i, :count] = rng.choice(pool, count, replace=False)
        if rng.random() < twins and count > 1:
            chosen[i, 1] = chosen[i, 0]
        for k, frame in enumerate(frames(rng, count, size, sides)):
            boxes[i, k] = paste(canvas[i], drawings[chosen[i, k]], *frame)
    names, middle = named[chosen], (boxes[..., :2] + boxes[..., 2:]) / 2
    places = toward(middle - size / 2, ("left", "right", "top", "bottom"))
    places[chosen < 0] = ""
    words = toward(middle[:, :-1] - middle[:, 1:], ("left of", "right of", "above", "below"))
    captions = []
    for row, said in zip(names, words, strict=True):
        pairs = [f"{a} {w} {b}" for a, w, b in zip(row, said, row[1:], strict=False) if b]
        captions.append(", ".join(pairs) or str(row[0]))
    inputs = {"image": Pictures(canvas.round().astype(np.uint8), np.arange(n)), "text": captions}
    groups = {"boxes": boxes, "concepts": chosen, "names": names, "places": places}
    counts = [str(count) for count in range(fewest, most + 1)]
    label = (chosen >= 0).sum(axis=1) - fewest
    return Dataset("scenes", inputs, label, counts, groups, simulated=True)


def frames(
    rng: np.random.Generator, count: int, size: int, sides: tuple[int, int]
) -> list[tuple[int, int, int]]:
    """Squares (left, top, side), thrown until none lies over another."""
    found: list[tuple[int, int, int]] = []
    for tries in range(20_000):
        side = int(rng.integers(sides[0], sides[1] + 1))
        x, y = (int(place) for place in rng.integers(size - side + 1, size=2))
        if all(x >= a + s or a >= x + side or y >= b + s or b >= y + side for a, b, s in found):
            found.append((x, y, side))
        if len(found) == count:
            return found
        if tries % 200 == 199:
            found = []  # what lies there leaves no room
    raise ValueError(f"no place was found for {count} objects of {sides} pixels in {size}")


def paste(canvas: np.ndarray, drawing: np.ndarray, left: int, top: int, side: int) -> list[int]:
    """Draw on the canvas; gives the box around what is seen: left, top, right, bottom."""
    scaled = np.asarray(Image.fromarray(drawing).resize((side, side)), float)
    opacity = scaled[..., 3:] / 255
    part = canvas[top : top + side, left : left + side]
    part += opacity * (scaled[..., :3] - part)
    seen = opacity[..., 0] >= np.max(opacity) / 3
    x, y = (np.flatnonzero(seen.any(axis=axis)).tolist() for axis in (0, 1))
    return [left + x[0], top + y[0], left + x[-1] + 1, top + y[-1] + 1]


def toward(way: np.ndarray, words: tuple[str, str, str, str]) -> np.ndarray:
    """Where a way (…, 2) mostly leads, left, right, up or down, in these words."""
    across = abs(way[..., 0]) >= abs(way[..., 1])
    return np.array(words)[np.where(across, 1 * (way[..., 0] > 0), 2 + (way[..., 1] > 0))]
