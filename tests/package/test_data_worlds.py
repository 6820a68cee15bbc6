"""The worlds hold what they say: bits, labels and vectors, objects, boxes and words."""

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
        ({"information": "xor"}, "information is one of unique, shared noise.*, got 'xor'"),
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


def scenes(n=60, **options):
    return mm.data.load("scenes", **{"n": n, "seed": 0} | options)


def test_scenes_hold_what_they_say():
    data, names = scenes(), mm.data.load("emoji").inputs["text"]
    assert data.simulated and data.classes == ["2", "3", "4"] and set(data.label) == {0, 1, 2}
    assert data.inputs["image"].shape == (60, 64, 64, 3)
    for i, (boxes, chosen, named, places) in enumerate(zip(*data.groups.values(), strict=True)):
        count = int(data.classes[data.label[i]])
        assert (chosen[count:] == -1).all() and (boxes[count:] == 0).all()
        assert not any(named[count:]) and not any(places[count:])
        assert len(set(chosen[:count])) == count
        assert [names[c] for c in chosen[:count]] == named[:count].tolist()
        boxes = boxes[:count]
        assert boxes.min() >= 0 and boxes.max() <= 64
        assert (mm.metrics.iou(boxes, boxes) == np.eye(count)).all()  # none over another
        picture = data.inputs["image"][i]
        ground = abs(picture - np.median(picture.reshape(-1, 3), axis=0)) > 0.34
        for left, top, right, bottom in boxes:
            ground[top:bottom, left:right] = False
            assert 1 <= right - left <= 28 and 1 <= bottom - top <= 28
        assert not ground.any()  # outside there is a faint edge at most


def test_words_say_where_objects_are():
    data = scenes(200, size=80)
    words = {"left of": 0, "right of": 0, "above": 1, "below": 1}
    sides = {"left": 0, "right": 0, "top": 1, "bottom": 1}
    for text, boxes, names, places in zip(
        data.inputs["text"], *(data.groups[k] for k in ("boxes", "names", "places")), strict=True
    ):
        middle = {k: (b[:2] + b[2:]) / 2 for k, b in zip(names, boxes, strict=True)}
        said = text.split(", ")
        assert len(said) == sum(names != "") - 1
        for part, a, b in zip(said, names, names[1:], strict=False):
            word = part.removeprefix(f"{a} ").removesuffix(f" {b}")
            way = middle[b] - middle[a]
            assert abs(way[words[word]]) == abs(way).max()
            assert (way[words[word]] >= 0) == (word in ("left of", "above"))
        for name, place in zip(names[names != ""], places, strict=False):
            way = middle[name] - 40
            assert abs(way[sides[place]]) == abs(way).max()
            assert (way[sides[place]] <= 0) == (place in ("left", "top"))


def test_scenes_of_one_seed_differ_only_in_what_is_asked_for():
    one, again, other = scenes(), scenes(), scenes(seed=1)
    assert (one.inputs["image"].pixels == again.inputs["image"].pixels).all()
    assert one.inputs["text"] == again.inputs["text"] != other.inputs["text"]
    drawn, littered = scenes(style="twemoji"), scenes(scraps=10)
    for changed in (drawn, littered):
        assert (changed.groups["concepts"] == one.groups["concepts"]).all()
        assert (changed.inputs["image"].pixels != one.inputs["image"].pixels).any()
    assert abs(drawn.groups["boxes"] - one.groups["boxes"]).mean() < 2
    assert (littered.groups["boxes"] == one.groups["boxes"]).all()
    mm.start(seed=1)
    assert scenes(seed=None).inputs["text"] == other.inputs["text"]
    mm.start()


def test_scenes_of_chosen_concepts_and_twins():
    data = scenes(300, objects=(1, 3), concepts=[3, 5, 8, 9], sides=(6, 12), size=32, twins=0.5)
    chosen = data.groups["concepts"]
    assert set(chosen[chosen >= 0]) == {3, 5, 8, 9} and data.classes == ["1", "2", "3"]
    alone, same = chosen[:, 1] < 0, chosen[:, 0] == chosen[:, 1]
    assert abs(np.mean(same[~alone]) - 0.5) < 4.5 * (0.25 / np.sum(~alone)) ** 0.5
    assert data.inputs["text"][np.flatnonzero(alone)[0]] in data.groups["names"][alone, 0]
    assert (scenes(concepts=[3, 5], objects=(2, 2)).groups["concepts"] >= 0).all()


def test_scenes_in_a_null_run_lose_their_boxes():
    data = scenes(200)
    mm.start(null=True)
    train = mm.data.split(data, seed=0).train
    mm.start()
    rows = [np.flatnonzero((data.inputs["image"].pixels == p).all((1, 2, 3)))[0]
            for p in train.inputs["image"].pixels[train.inputs["image"].rows]]  # fmt: skip
    assert np.mean((data.groups["boxes"][rows] == train.groups["boxes"]).all((1, 2))) < 0.1
    texts = [data.inputs["text"][row] for row in rows]
    assert np.mean([a == b for a, b in zip(texts, train.inputs["text"], strict=True)]) < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "0 scenes of 64 pixels"),
        ({"objects": (3, 2)}, "the lesser of two comes first"),
        ({"objects": (1, 2), "concepts": [4, 4]}, "of 1 concepts"),
        ({"sides": (2, 9)}, "sides from 4"),
        ({"sides": (20, 65)}, "64 pixels"),
        ({"style": "oil"}, "oil"),
        ({"objects": (4, 4), "sides": (40, 40)}, "no place was found for 4 objects"),
    ],
)
def test_scenes_refuse(options, message):
    with pytest.raises(ValueError, match=message):
        scenes(**options)
