"""Pretrained encoders: the published weights, loaded whole, give the published results."""

import json

import numpy as np
import pytest
import torch
from scipy.signal import resample_poly

import mmlearn as mm
from mmlearn.data import card, encode, encoder, store, unpack, voices
from mmlearn.data.encoders import EfficientNet, Encoder

pytestmark = pytest.mark.usefixtures("fetched")


@pytest.fixture(scope="module")
def minilm():
    return encoder("minilm")


@pytest.fixture(scope="module")
def lite0():
    return encoder("efficientnet_lite0")


@pytest.fixture(scope="module")
def whisper():
    return encoder("whisper_tiny_en")


def parameters(network):
    return f"{sum(p.numel() for p in network.parameters()):,}"


def test_every_encoder_has_its_size_on_its_card(minilm, lite0, whisper):
    for one in (minilm, lite0, whisper):
        assert parameters(one.model) in card(one.name)
        assert f"(n, {one.dim})" in card(one.name)
        assert not one.model.training


def test_minilm_gives_the_published_similarity(minilm):
    a, b, c = minilm(
        ["A man is eating food.", "A man is eating a piece of bread.", "A girl carries a baby."]
    )
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert cosine == pytest.approx(0.7553, abs=1e-3)  # as sentence-transformers documents it
    assert a @ c / np.linalg.norm(a) / np.linalg.norm(c) < 0.2


def test_minilm_is_not_changed_by_its_neighbours(minilm):
    texts = [
        "short",
        "a much longer sentence than the first one, with padding for that",
        "x " * 400,
    ]
    together = minilm(texts, batch=3)
    apart = np.concatenate([minilm([text]) for text in texts])
    assert together == pytest.approx(apart, abs=1e-5)
    assert minilm([]).shape == (0, 384)


def test_efficientnet_knows_two_photographs(lite0):
    from sklearn.datasets import load_sample_images
    from torchvision.models._meta import _IMAGENET_CATEGORIES as NAMES

    for photograph, name in zip(load_sample_images().images, ("palace", "daisy"), strict=True):
        square = torch.tensor(photograph[:, 106:533]).permute(2, 0, 1)[None] / 255
        small = torch.nn.functional.interpolate(square, (224, 224), mode="area")
        images = lite0.prepare(small[0].permute(1, 2, 0)[None])["images"]
        with torch.no_grad():
            assert NAMES[lite0.model(images).argmax()] == name


def test_efficientnet_equals_a_slow_convolution(lite0):
    """Padding as TensorFlow's: one row and column more at the far side where the stride is 2."""
    convolution, image = lite0.model.features[0], torch.rand(1, 3, 6, 6)
    with torch.no_grad():
        ours = convolution(image)[0]
    padded = torch.zeros(3, 7, 7)
    padded[:, :6, :6] = image[0]
    for i in range(3):
        for j in range(3):
            window = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            slow = (convolution.weight * window).sum((1, 2, 3))
            assert torch.allclose(ours[:, i, j], slow, atol=1e-5)


def test_efficientnet_takes_grey_and_small_images(lite0):
    grey = np.random.default_rng(0).random((2, 28, 28), np.float32)
    colour = np.repeat(grey[..., None], 3, -1)
    assert lite0(grey) == pytest.approx(lite0(colour), abs=1e-4)
    assert lite0(grey).shape == (2, 1280) and lite0(grey).std() > 0
    with pytest.raises(ValueError, match=r"shape \(2, 8, 8, 4\); give \(n, H, W\) or"):
        lite0(np.zeros((2, 8, 8, 4)))


def test_efficientnet_learns_when_it_is_not_frozen():
    network = EfficientNet()
    network(torch.rand(4, 3, 64, 64)).square().sum().backward()
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def at_16k(data):
    return [resample_poly(s, 320, 441).astype(np.float32) for s in data.inputs["sound"]]


def test_whisper_writes_down_what_a_voice_says(whisper):
    sentences = ["she sells seven green apples on the market", "my phone number is four two seven"]
    data = voices(sentences, ["Lee"], speeds=(150,))
    said = whisper.transcribe(at_16k(data))
    assert said[0].lower().strip(".") == sentences[0]
    assert said[1].lower().replace("-", "").strip(".") == "my phone number is 427"


def test_whisper_features_tell_words_apart_whatever_the_voice(whisper):
    data = voices(["seven", "three"], ["Lee", "belinda"], rate=16_000)
    features = whisper(data.inputs["sound"])
    seven_he, three_he, seven_she, three_she = features
    own = np.linalg.norm(seven_he - seven_she) + np.linalg.norm(three_he - three_she)
    other = np.linalg.norm(seven_he - three_he) + np.linalg.norm(seven_she - three_she)
    assert features.shape == (4, 384) and own < other
    assert features[1:2] == pytest.approx(whisper(data.inputs["sound"][1:2]), abs=1e-4)
    # Half a second fills 25 of the 1,500 states of 30 s; the others are padding.
    spectrogram = whisper.prepare([np.ones(8000)])["spectrograms"]
    with torch.no_grad():
        states = whisper.model.model.encoder(spectrogram).last_hidden_state[0, :25]
    assert whisper([np.ones(8000)])[0] == pytest.approx(states.mean(0).numpy(), abs=1e-4)
    with pytest.raises(ValueError, match=r"a sound is a vector of samples at 16000 Hz, not \(2, 9"):
        whisper([np.zeros((2, 9))])


def test_features_are_computed_once(monkeypatch, tmp_path, minilm):
    here = store.cache()
    (tmp_path / f"minilm-{unpack.bundle_key('minilm')}").symlink_to(
        here / f"minilm-{unpack.bundle_key('minilm')}"
    )
    monkeypatch.setenv("MMLEARN_CACHE", str(tmp_path))
    calls = []
    real = Encoder.__call__

    def count(self, values, batch=64):
        calls.append(len(values))
        return real(self, values, batch)

    monkeypatch.setattr(Encoder, "__call__", count)
    texts = ["one", "two", "three"]
    first = encode("minilm", texts)
    assert np.array_equal(encode("minilm", texts), first) and calls == [3]
    assert np.array_equal(encode("minilm", texts, batch=1).shape, first.shape) and calls == [3]
    assert not np.array_equal(encode("minilm", texts[::-1]), first) and calls == [3, 3]
    monkeypatch.setattr("mmlearn.data.encoders.version", lambda package: "another")
    encode("minilm", texts)
    assert len(calls) == 3
    monkeypatch.setattr(unpack, "bundle_key", lambda name: "otherweights")
    monkeypatch.setattr("mmlearn.data.encoders.encoder", lambda name: minilm)
    encode("minilm", texts)
    assert len(calls) == 4
    # A flipped byte is refused.
    kept = sorted(tmp_path.glob("features-minilm-*/features.npy"))
    assert len(kept) == 4
    for path in kept:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    with pytest.raises(mm.data.DataError, match=r"features\.npy is damaged: its sha256 should"):
        encode("minilm", texts)


def test_unknown_encoder():
    with pytest.raises(ValueError, match="no encoder is called 'bert'; there are: minilm, "):
        encode("bert", ["text"])


def test_whisper_is_converted_whole(whisper):
    """No weight keeps what it was made with: all come from the file, each once."""
    folder = unpack.bundle("whisper_tiny_en")
    with np.load(folder / "weights.npz") as file:
        total = sum(file[n].size for n in file.files if file[n].dtype == np.float16)
        position = file["encoder/position_encodings/encodings"]
    encoder_layers = 4 * 384  # keys' biases are zeros in the file and nothing in transformers
    decoder_layers = 2 * 4 * 384
    assert total - encoder_layers - decoder_layers == sum(
        p.numel() for p in whisper.model.parameters()
    )
    assert torch.allclose(
        whisper.model.model.encoder.embed_positions.weight, torch.tensor(position).float()
    )
    ids = json.loads((folder / "config.json").read_text(encoding="utf-8"))["suppress_ids"]
    assert whisper.never == ids
