"""Text, pictures and sound as arrays: values, shapes, ranges, and hostile input."""

import librosa
import numpy as np
import pytest

from mmlearn import features

RATE = 8_000
TONE = np.sin(2 * np.pi * 1_000 * np.arange(RATE) / RATE).astype(np.float32)


def test_tfidf_by_hand():
    vectoriser, (train, new) = features.tfidf(["cat cat dog", "dog"], ["cat fish"])
    assert vectoriser.get_feature_names_out().tolist() == ["cat", "dog"]
    rarity = np.log(3 / 2) + 1  # "cat" stands in one of two texts, "dog" in both
    row = np.array([2 * rarity, 1.0])
    assert train.toarray()[0] == pytest.approx(row / np.linalg.norm(row))
    assert new.toarray() == pytest.approx(np.array([[1.0, 0.0]]))


def test_tfidf_learns_nothing_from_other_texts():
    alone = features.tfidf(["a bee", "a cow"], ["bee cow"])[1][1].toarray()
    crowd = features.tfidf(["a bee", "a cow"], ["bee cow", "bee", "bee"])[1][1].toarray()
    assert (alone[0] == crowd[0]).all()


def test_tfidf_needs_a_text():
    with pytest.raises(ValueError, match="no text"):
        features.tfidf([])


def test_pixels_scale_integers_and_leave_floats():
    bytes_, floats = np.full((2, 3, 4), 255, np.uint8), np.full((2, 3, 4), 0.5)
    assert (features.pixels(bytes_) == 1).all() and features.pixels(bytes_).shape == (2, 12)
    assert (features.pixels(floats) == 0.5).all()


@pytest.mark.parametrize("shape", [(4,), (4, 4)])
def test_pixels_need_pictures(shape):
    with pytest.raises(ValueError, match="height, width"):
        features.pixels(np.zeros(shape))


def test_summary_by_hand():
    rising = np.array([[0.0, 1.0], [0.0, 1.0], [4.0, 1.0], [4.0, 1.0]])
    (row,) = features.summary([rising])
    assert row == pytest.approx([2, 1, 2, 0, 4, 0])


def test_summary_of_one_frame_has_no_spread_and_no_rise():
    assert features.summary([np.ones((1, 2)), np.ones((5, 2))]).tolist() == [[1, 1, 0, 0, 0, 0]] * 2


@pytest.mark.parametrize(
    "sequences", [[], [np.ones((0, 2))], [np.ones((3, 2)), np.ones((3, 4))], [np.ones(3)]]
)
def test_summary_refuses_what_is_no_sequence(sequences):
    with pytest.raises(ValueError, match=r"sequences are of shape \(T, d\)"):
        features.summary(sequences)


def test_mel_puts_a_tone_in_its_band():
    decibels = features.mel(TONE, RATE, bands=40)
    assert decibels.shape == (41, 40)
    assert decibels.max() == 0 and decibels.min() >= -80
    centres = librosa.mel_frequencies(42, fmax=RATE / 2)[1:-1]
    assert abs(centres[decibels[20].argmax()] - 1_000) < 80


def test_mfcc_is_the_cosine_transform_of_the_bands():
    decibels = features.mel(TONE, RATE)
    n = decibels.shape[1]
    basis = np.cos(np.pi * np.outer(np.arange(13), np.arange(n) + 0.5) / n) * np.sqrt(2 / n)
    basis[0] /= np.sqrt(2)
    assert features.mfcc(TONE, RATE) == pytest.approx(decibels @ basis.T, abs=1e-3)


@pytest.mark.parametrize("wave", [np.zeros(0), np.zeros((2, 9)), np.array([0.0, np.nan])])
def test_sound_refuses_what_is_no_wave(wave):
    with pytest.raises(ValueError, match="wave has shape"):
        features.mel(wave, RATE)
