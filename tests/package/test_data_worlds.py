"""The world's bits and labels are what it says of them, and so is what stands in the vectors."""

import numpy as np
import pytest

import mmlearn as mm
from mmlearn.data.worlds import INFORMATION

N, F = 20_000, 0.2


def world(information, **options):
    return mm.data.load("world", information=information, **{"n": N, "seed": 0} | options)


def near(found, share):
    """Whether a share of the samples is what chance makes of this probability."""
    return abs(np.mean(found) - share) <= 4.5 * (share * (1 - share) / N) ** 0.5


# How often image, text and sound each agree with the label.
AGREE = {
    "unique": (1, 0.5, 0.5),
    "shared noise": (1 - F,) * 3,
    "own noise": (1 - F,) * 3,
    "xor of two": (0.5,) * 3,
    "xor of three": (0.5,) * 3,
    "switch": (0.5, 0.75, 0.75),
}
SWITCHED = {
    "unique": lambda i, t, s: i,
    "xor of two": lambda i, t, s: i != t,
    "xor of three": lambda i, t, s: (i + t + s) % 2,
    "switch": lambda i, t, s: [b if a else c for a, b, c in zip(i, t, s, strict=True)],
}


def test_every_kind_of_information_is_tested():
    assert set(AGREE) == set(INFORMATION)


@pytest.mark.parametrize("information", INFORMATION)
def test_each_bit_tells_of_the_label_what_it_should(information):
    data = world(information, flips=F)
    bits = data.groups["bits"]
    assert data.simulated and bits.shape == (N, 3)
    assert set(np.unique(bits)) == set(np.unique(data.label)) == {0, 1}
    assert near(data.label, 0.5) and near(bits[:, 0], 0.5)
    for i, share in enumerate(AGREE[information]):
        assert near(bits[:, i] == data.label, share)
    if information in SWITCHED:
        assert (data.label == SWITCHED[information](*bits.T)).all()
        for i, j in ((0, 1), (0, 2), (1, 2)):
            assert near(bits[:, i] == bits[:, j], 0.5)  # each is a throw of its own


def test_no_two_bits_tell_of_a_parity_of_three():
    data = world("xor of three")
    for i, j in ((0, 1), (0, 2), (1, 2)):
        bits = data.groups["bits"]
        assert near((bits[:, i] != bits[:, j]) == data.label, 0.5)


def test_noise_is_shared_or_of_ones_own():
    shared, own = (
        world(kind, flips=F).groups["bits"] != world(kind, flips=F).label[:, None]
        for kind in ("shared noise", "own noise")
    )
    assert (shared == shared[:, :1]).all()
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert near(own[:, i] & own[:, j], F**2)
    for flips in (0, 1):
        data = world("own noise", flips=flips)
        assert (data.groups["bits"] == (data.label[:, None] + flips) % 2).all()


def test_vectors_are_a_direction_turned_by_the_bit_and_noise():
    clear = world("xor of two", noise=0, d=5)
    assert list(clear.inputs) == ["image", "text", "sound"]
    for i, x in enumerate(clear.inputs.values()):
        assert x.shape == (N, 5) and x.dtype == np.float32
        direction = x[clear.groups["bits"][:, i] == 1][0]
        assert np.linalg.norm(direction) == pytest.approx(1)
        assert (x == (2 * clear.groups["bits"][:, i, None] - 1) * direction).all()
    noisy = world("xor of two", noise=0.3, d=5)
    assert (noisy.groups["bits"] == clear.groups["bits"]).all()
    for x, y in zip(noisy.inputs.values(), clear.inputs.values(), strict=True):
        assert np.cov((x - y).T) == pytest.approx(0.09 * np.eye(5), abs=0.01)
    assert np.corrcoef(*[noisy.inputs[k][:, 0] for k in ("text", "sound")])[0, 1] < 0.05


def test_seed_makes_the_samples_and_never_the_directions():
    one, again, two = (world("own noise", seed=s, n=50, noise=0) for s in (1, 1, 2))
    assert (one.inputs["text"] == again.inputs["text"]).all()
    assert (one.label == again.label).all() and (one.label != two.label).any()
    for name, x in one.inputs.items():
        assert (abs(x) == abs(two.inputs[name][0])).all()
    mm.start(seed=1)
    assert (world("own noise", seed=None, n=50).label == one.label).all()
    mm.start()


def test_null_run_leaves_nothing_to_learn():
    mm.start(null=True)
    parts = mm.data.split(world("shared noise", flips=0, noise=0), seed=0)
    mm.start()

    def signs(part):
        return [x[:, 0] > 0 for x in part.inputs.values()]

    for part, related in ((parts.train, False), (parts.test, True)):
        image, text, sound = signs(part)
        for a, b in ((image, text), (image, sound), (text, sound), (image, part.label == 1)):
            agree = np.mean(a == b)
            assert agree in (0, 1) if related else 0.45 < agree < 0.55
        assert (part.groups["bits"] == part.label[:, None]).all()  # known, so it goes along


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"information": "xor"}, "information is 'xor'; it is one of unique, shared noise"),
        ({"information": "unique", "n": 0}, "n and d are 1 or more, got 0 and 8"),
        ({"information": "unique", "d": 0}, "n and d are 1 or more, got 3000 and 0"),
        ({"information": "unique", "noise": -1}, "noise is 0 or more.*got -1 and 0.2"),
        ({"information": "unique", "noise": float("nan")}, "noise is 0 or more.*got nan"),
        ({"information": "unique", "flips": 1.5}, "flips from 0 to 1, got 0.4 and 1.5"),
        ({"information": "unique", "flips": -0.1}, "flips from 0 to 1"),
    ],
)
def test_world_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        mm.data.load("world", **options)
