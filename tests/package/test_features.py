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


def test_vocabulary_by_hand():
    words = features.Vocabulary(["a cat", "a dog a"], least=1)
    assert words.tokens == ["<pad>", "<unknown>", "a", "cat", "dog"] and len(words) == 5
    assert words.encode("dog eats a cat").tolist() == [4, 1, 2, 3]
    assert words.decode([4, 1, 0]) == ["dog", "<unknown>", "<pad>"]
    assert features.Vocabulary(["a cat", "a dog a"], least=2).tokens[2:] == ["a"]


def test_vocabulary_of_characters_reads_what_has_no_spaces():
    signs = features.Vocabulary(["斑马", "马"], split=list)
    assert signs.decode(signs.encode("马斑")) == ["马", "斑"]
    assert features.Vocabulary(["斑马"]).tokens[2:] == ["斑马"]  # no space, one word


def test_vocabulary_of_a_text_without_tokens_is_an_empty_row_of_whole_numbers():
    row = features.Vocabulary(["a"]).encode(" ")
    assert row.shape == (0,) and row.dtype == int


@pytest.mark.parametrize(("texts", "match"), [([], "no token"), ([" "], "no token"), ("a", "list")])
def test_vocabulary_needs_texts(texts, match):
    with pytest.raises(ValueError, match=match):
        features.Vocabulary(texts)


@pytest.mark.parametrize(
    ("size", "hop", "samples"), [(16, 4, 50), (9, 3, 31), (8, 8, 3), (4, 1, 1)]
)
def test_power_spectrum_equals_a_sum_written_out(size, hop, samples):
    wave = np.random.default_rng(0).normal(size=samples)
    ours = features.power_spectrum(wave, size, hop)
    assert ours.shape[1] == size // 2 + 1
    if size % 2 == 0:
        assert len(ours) == 1 + samples // hop
    for t, k in np.ndindex(*ours.shape):
        total = 0
        for n in range(size):
            at = t * hop + n - size // 2
            value = wave[at] if 0 <= at < samples else 0.0
            fade = np.sin(np.pi * n / size) ** 2
            total += value * fade * np.exp(-2j * np.pi * k * n / size)
        assert ours[t, k] == pytest.approx(abs(total) ** 2, abs=1e-9)


def test_mel_filters_are_triangles_that_share_their_edges():
    filters = features.mel_filters(RATE, 4_000, 12)  # bins 2 hertz apart
    hertz = np.arange(2_001) * 2
    centres = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4_000 / 700), 14) / 2595) - 1)
    for band, filter in enumerate(filters):
        assert abs(hertz[filter.argmax()] - centres[band + 1]) <= 2
        assert filter[(hertz <= centres[band]) | (hertz >= centres[band + 2])].max() == 0
    between = (hertz > centres[1]) & (hertz < centres[-2])
    assert filters.sum(axis=0)[between] == pytest.approx(1.0)


def test_decibels_by_hand():
    loud = features.decibels([1.0, 100.0, 0.0], span=30)
    assert loud == pytest.approx([0, 20, -10])
    assert features.decibels([0.0, 0.0]) == pytest.approx([-100, -100])


@pytest.mark.parametrize("rate", [8_000, 22_050])
def test_mel_and_mfcc_equal_librosa(rate):
    wave = np.random.default_rng(1).normal(size=rate // 3)
    hop = rate // 40
    options = {"n_fft": 2 * hop, "hop_length": hop, "n_mels": 40, "htk": True, "norm": None}
    power = librosa.feature.melspectrogram(y=wave, sr=rate, pad_mode="constant", **options)
    loud = librosa.power_to_db(power, top_db=80)
    assert features.mel(wave, rate, bands=40) == pytest.approx(loud.T, abs=1e-4)
    theirs = librosa.feature.mfcc(S=loud, n_mfcc=20).T
    assert features.mfcc(wave, rate, 20, bands=40) == pytest.approx(theirs, abs=1e-4)


def test_mel_puts_a_tone_in_its_band():
    loud = features.mel(TONE, RATE, bands=40)
    assert loud.shape == (41, 40)
    assert loud.max() - loud.min() <= 80 + 1e-9
    centres = librosa.mel_frequencies(42, fmax=RATE / 2, htk=True)[1:-1]
    assert abs(centres[loud[20].argmax()] - 1_000) < 80


def test_a_louder_recording_moves_the_first_coefficient_alone():
    soft, loud = features.mfcc(0.1 * TONE, RATE), features.mfcc(TONE, RATE)
    assert loud[20, 0] - soft[20, 0] == pytest.approx(20 * np.sqrt(64))
    assert loud[20, 1:] == pytest.approx(soft[20, 1:], abs=1e-6)


def test_silence_is_a_number():
    assert (features.mel(np.zeros(400), RATE) == -100).all()
    assert np.isfinite(features.mfcc(np.zeros(1), RATE)).all()


@pytest.mark.parametrize("wave", [np.zeros(0), np.zeros((2, 9)), np.array([0.0, np.nan])])
def test_sound_refuses_what_is_no_wave(wave):
    with pytest.raises(ValueError, match=r"wave (has shape \(samples,\)|holds NaN)"):
        features.mel(wave, RATE)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: features.power_spectrum(TONE, 1, 1), "size is 2 or more, got 1"),
        (lambda: features.power_spectrum(TONE, 400, 0), "hop is 1 or more, got 0"),
        (lambda: features.mel_filters(RATE, 400, 0), "bands is 1 or more, got 0"),
        (lambda: features.decibels([]), "got power.size=0"),
        (lambda: features.decibels([-1.0]), r"got power.min\(\)=-1.0"),
        (lambda: features.decibels([np.nan]), "power holds NaN"),
        (lambda: features.mel(TONE, 39), "rate >= 40 has to hold, got rate=39"),
        (
            lambda: features.mfcc(TONE, RATE, 65),
            "1 <= coefficients <= bands has to hold, got coefficients=65, bands=64",
        ),
    ],
)
def test_sound_refuses_numbers_that_make_no_sense(call, match):
    with pytest.raises(ValueError, match=match):
        call()
