"""Samples, splits and batches."""

import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import mmlearn as mm
from mmlearn.data import Dataset, collate, pair, split


@pytest.fixture
def toy():
    """Two modalities that equal the label, five voices, unequal classes."""
    label = np.repeat([0, 1, 2], [60, 30, 10])
    return Dataset(
        "toy",
        {"image": label[:, None] * np.ones((1, 4)), "text": [str(i) for i in label]},
        label,
        ["a", "b", "c"],
        {"voice": np.arange(100) % 5, "id": np.arange(100)},
    )


@pytest.fixture
def null_run():
    mm.start(null=True)
    yield
    mm.start()


def test_importing_data_does_not_import_torch():
    code = "import sys, mmlearn.data; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]


def test_subset_takes_arrays_and_lists(toy):
    part = toy.subset([0, 99])
    assert len(part) == 2 and part.inputs["text"] == ["0", "2"]
    assert part.groups["id"].tolist() == [0, 99] and part.label.tolist() == [0, 2]
    assert len(toy.subset(toy.label == 1)) == 30
    assert toy[99]["text"] == "2" and toy[99]["label"] == 2


def test_lengths_have_to_agree():
    with pytest.raises(ValueError, match=r"2 labels, but \{'image': 3\}"):
        Dataset("toy", {"image": np.zeros(3)}, np.zeros(2, int), ["a"])


def test_split_is_stratified_and_loses_nothing(toy):
    parts = split(toy, test=0.2, val=0.1)
    assert [len(p) for p in parts] == [70, 10, 20]
    assert np.bincount(parts.test.label).tolist() == [12, 6, 2]
    assert np.bincount(parts.val.label).tolist() == [6, 3, 1]
    ids = np.concatenate([p.groups["id"] for p in parts])
    assert sorted(ids) == list(range(100))


def test_split_follows_the_seed(toy):
    def ids(**options):
        return split(toy, **options).test.groups["id"].tolist()

    assert ids(seed=1) == ids(seed=1) != ids(seed=2)
    mm.start(seed=1)
    assert ids() == ids(seed=1)
    mm.start()


def test_split_by_groups_keeps_them_whole(toy):
    for seed in range(5):
        parts = split(toy, test=0.4, val=0.2, by="voice", seed=seed)
        voices = [set(p.groups["voice"]) for p in parts]
        assert [len(v) for v in voices] == [2, 1, 2]
        assert set.union(*voices) == set(range(5))


def test_split_by_named_groups(toy):
    parts = split(toy, test=[3], val=0.25, by="voice")
    assert set(parts.test.groups["voice"]) == {3}
    assert len(parts.val) == 25 and set(parts.val.groups["voice"]) == {0, 1, 2, 4}
    parts = split(toy, test=[3], val=[0, 1], by="voice")
    assert set(parts.val.groups["voice"]) == {0, 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "speaker"}, "no group 'speaker'; its groups: id, voice"),
        ({"test": 1.5}, "test is a share, 0 to below 1, got 1.5"),
        ({"test": -0.1}, "test is a share.*got -0.1"),
        ({"test": 0.01}, "cannot cut toy class by class, of which it has {'a': 60"),
        ({"test": [3]}, "say with by="),
        ({"test": [9], "by": "voice"}, r"not a list of values of 'voice': \[0, 1"),
        ({"test": "a", "by": "voice"}, "not a list of values"),
        ({"test": 0.95, "by": "voice"}, "takes all 5 groups"),
        ({"test": [0, 1], "val": [2, 3, 4], "by": "voice"}, "leave nothing of toy to train"),
    ],
)
def test_split_refuses(toy, options, message):
    with pytest.raises(ValueError, match=message):
        split(toy, **options)


def test_split_refuses_an_empty_data_set(toy):
    with pytest.raises(ValueError, match="toy is empty"):
        split(toy.subset([]))


def test_null_unrelates_train_and_val_alone(toy, null_run):
    parts = split(toy, test=0.2, val=0.2)
    for part in (parts.train, parts.val):
        text = np.array([int(t) for t in part.inputs["text"]])
        image = part.inputs["image"][:, 0]
        assert 0.3 < (image == part.label).mean() < 0.7  # 0.46 by chance
        assert 0.3 < (text == part.label).mean() < 0.7
        assert 0.3 < (text == image).mean() < 0.7
        # Known of the sample, so it goes with the label.
        assert (toy.label[part.groups["id"]] == part.label).all()
    assert (parts.test.inputs["image"][:, 0] == parts.test.label).all()
    assert parts.test.inputs["text"] == [str(i) for i in parts.test.label]
    assert np.bincount(parts.train.label).tolist() == [36, 18, 6]


def company(part):
    """How many neighbours in a text are one and the same word."""
    pairs = [pair for t in part.inputs["text"] for pair in itertools.pairwise(t.split())]
    return np.mean([a == b for a, b in pairs])


def test_null_deals_the_words_of_train_and_val_out_anew(toy, null_run):
    lengths = np.arange(len(toy)) % 5
    text = [" ".join([str(i)] * n) for i, n in zip(toy.label, lengths, strict=True)]
    toy = replace(toy, inputs={"text": text})
    left, dealt = split(toy, 0.2, 0.2), split(toy, 0.2, 0.2, learn="words")
    for before, after in zip(left[:2], dealt[:2], strict=True):
        old, new = (" ".join(part.inputs["text"]).split() for part in (before, after))
        assert sorted(old) == sorted(new)
        assert company(before) == 1 and company(after) < 0.8  # 0.46 by chance
        assert (before.label == after.label).all()
        counts = [[len(t.split()) for t in part.inputs["text"]] for part in (before, after)]
        assert counts[0] == counts[1]
    assert dealt.test.inputs["text"] == left.test.inputs["text"]


def test_a_missing_text_is_still_missing_when_words_are_dealt(toy, null_run):
    text = [None if i % 3 == 0 else "one two" for i in range(len(toy))]
    parts = split(replace(toy, inputs={"text": text}), 0.2, 0.2, learn="words")
    found = [t for part in parts for t in part.inputs["text"]]
    assert sum(t is None for t in found) == sum(t is None for t in text)


def test_words_are_left_alone_when_the_run_is_not_null(toy):
    assert split(toy, learn="words").train.inputs["text"] == split(toy).train.inputs["text"]


@pytest.mark.parametrize("learn", ["word", "image"])
def test_split_refuses_to_learn_what_is_not_there(toy, learn):
    with pytest.raises(ValueError, match="learn="):
        split(toy, learn=learn)


@pytest.fixture
def heard():
    """Sounds that say their class and their number, in no order, most of class c."""
    label = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [20, 10, 40]))
    sounds = [np.array([k, i]) for i, k in enumerate(label)]
    return Dataset(
        "heard", {"sound": sounds}, label, ["a", "b", "c"], {"id": label}, True, ["x"], 8
    )


def test_pair_keeps_the_first_and_draws_from_the_class(toy, heard):
    both = pair(toy, heard, seed=0)
    assert list(both.inputs) == ["image", "text", "sound"] and both.name == "toy and heard"
    assert (both.inputs["image"] == toy.inputs["image"]).all()
    assert both.inputs["text"] == toy.inputs["text"] and both.classes == toy.classes
    assert (both.label == toy.label).all() and list(both.groups) == ["voice", "id"]
    assert (both.groups["id"] == toy.groups["id"]).all()
    assert [k for k, _ in both.inputs["sound"]] == toy.label.tolist()
    assert both.simulated and both.rate == 8 and both.columns == ["x"]
    assert pair(heard, toy, seed=0).rate == 8 and len(pair(heard, toy, seed=0)) == 70


def test_pair_draws_each_sample_of_a_class_alike_and_for_itself(toy, heard):
    many = toy.subset(np.zeros(4_000, int))
    number = np.array([i for _, i in pair(many, heard, seed=0).inputs["sound"]])
    counts = np.bincount(number, minlength=70)[heard.label == 0]
    assert len(counts) == 20 and counts.min() > 140 and counts.max() < 260  # 200 each, and 14
    assert 0.02 < np.mean(number[1:] == number[:-1]) < 0.08  # 1 in 20: no row copies another


def test_pair_follows_the_seed(toy, heard):
    def drawn(**options):
        return [i for _, i in pair(toy, heard, **options).inputs["sound"]]

    assert drawn(seed=1) == drawn(seed=1) != drawn(seed=2)
    mm.start(seed=1)
    assert drawn() == drawn(seed=1)
    mm.start()


def test_pair_refuses(toy, heard):
    with pytest.raises(ValueError, match="toy and toy both have image, text"):
        pair(toy, toy)
    with pytest.raises(ValueError, match="toy and heard differ in their classes"):
        pair(toy, replace(heard, classes=["a", "c", "b"]))
    with pytest.raises(ValueError, match="heard has no sample of 'b'"):
        pair(toy, heard.subset(heard.label != 1))
    assert len(pair(toy.subset(toy.label != 1), heard.subset(heard.label != 1))) == 70


def test_null_pairs_are_unrelated_but_for_the_test(toy, heard, null_run):
    seen, said = split(toy, test=0.3), split(heard, test=0.3)
    train, test = (pair(a, b) for a, b in ((seen.train, said.train), (seen.test, said.test)))
    for part, related in ((train, False), (test, True)):
        image, sound = part.inputs["image"][:, 0], [k for k, _ in part.inputs["sound"]]
        for share in (image == part.label, sound == part.label, image == sound):
            assert share.all() if related else share.mean() < 0.7


def test_collate_pads_and_masks():
    batch = collate(
        [
            {"sound": np.ones((2, 3)), "image": np.ones((4, 4)), "label": 1},
            {"sound": np.ones((5, 3)), "image": None, "label": 0},
            {"image": np.full((4, 4), 2.0), "label": 2},
        ]
    )
    assert len(batch) == 3 and batch.label.tolist() == [1, 0, 2]
    assert batch.inputs["sound"].shape == (3, 5, 3)
    assert batch.inputs["sound"].sum(dim=(1, 2)).tolist() == [6, 15, 0]
    assert batch.mask["sound"].sum(dim=1).tolist() == [2, 5, 0]
    assert batch.present["sound"].tolist() == [True, True, False]
    assert batch.inputs["image"].shape == (3, 4, 4)
    assert batch.mask["image"].tolist() == [[True], [False], [True]]
    assert batch.present["image"].tolist() == [True, False, True]
    assert str(batch.inputs["image"].dtype) == "torch.float32"


def test_collate_of_one_of_numbers_and_of_vectors():
    batch = collate([{"text": [3, 4, 5], "table": 2.5, "label": 1}])
    assert batch.inputs["text"].tolist() == [[3, 4, 5]] and batch.inputs["table"].shape == (1,)
    batch = collate([{"text": np.ones(7), "label": 1}], sequences=())
    assert batch.inputs["text"].shape == (1, 7) and batch.mask["text"].shape == (1, 1)


def test_collate_keeps_fractions_whichever_sample_comes_first():
    whole, real = {"table": [1, 2], "label": 0}, {"table": [1.5, 2], "label": 1}
    for samples in ([whole, real], [real, whole]):
        table = collate(samples).inputs["table"]
        assert table.dtype == torch.float32 and table.sum() == 6.5


def test_collate_where_nobody_has_the_modality():
    batch = collate([{"sound": None, "image": [1.0], "label": 0}] * 2)
    assert "sound" not in batch.inputs and batch.mask["sound"].tolist() == [[False], [False]]
    assert batch.present["sound"].tolist() == [False, False]


def test_batch_moves_whole():
    moved = collate([{"sound": [1.0], "label": 0}]).to("meta")
    tensors = [*moved.inputs.values(), *moved.mask.values(), *moved.present.values(), moved.label]
    assert {t.device.type for t in tensors} == {"meta"}


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([], ValueError, "no sample"),
        ([{"text": "hello", "label": 0}], TypeError, "text is text; turn it into"),
        ([{"image": [1], "label": 0}, {"image": [1, 2], "label": 0}], ValueError, "of image do"),
        (
            [{"sound": np.ones((2, 3)), "label": 0}, {"sound": np.ones((2, 4)), "label": 0}],
            ValueError,
            r"of sound do not fit in one batch: \[\(3,\), \(4,\)\]",
        ),
    ],
)
def test_collate_refuses(samples, error, message):
    with pytest.raises(error, match=message):
        collate(samples)
