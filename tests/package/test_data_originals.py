"""Public originals, on small copies of the same layout: nothing is downloaded here."""

import hashlib
import io
import pickle
import struct
import tarfile
import threading
import zlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from scipy.io import wavfile
from sklearn.utils import Bunch

import mmlearn as mm
from mmlearn.data import ENTRIES, DataError, card, load, originals, split, store

FULL = [name for name, entry in ENTRIES.items() if entry.full]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The full profile, with an empty cache."""
    monkeypatch.setenv("MMLEARN_CACHE", str(tmp_path))
    mm.start("full")
    yield tmp_path / "originals"
    mm.start()


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A web server of our own; gives the address of a file and its right hash."""
    folder = tmp_path / "host"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def serve(content):
        (folder / "file").write_bytes(content)
        address = f"http://127.0.0.1:{server.server_port}/file"
        return address, f"sha256:{hashlib.sha256(content).hexdigest()}"

    yield serve
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", FULL)
def test_only_in_the_full_profile(name):
    assert "| Run by us | no: " in card(name) and "Full profile." in card(name)
    call = ENTRIES[name].load or getattr(originals, name)
    with pytest.raises(DataError, match=f"{name} is .* belongs to PROFILE='full'; in this .* use "):
        call()


def test_encoders_are_not_data_sets():
    with pytest.raises(ValueError, match=r"bert is an encoder: call mm\.data\.originals\.bert\(\)"):
        load("bert")


def test_newsgroups_original(home):
    def bunch(part):
        data = [f"From: me@{part}\n\nAbout god", f"From: you@{part}\n\nAbout hockey"]
        files = np.array([f"{part}/1", f"{part}/2"])
        names = ["alt.atheism", "rec.sport.hockey"]
        return Bunch(data=data, filenames=files, target_names=names, target=np.array([0, 1]))

    home.mkdir()
    kept = pickle.dumps({part: bunch(part) for part in ("train", "test")})
    (home / "20news-bydate_py3.pkz").write_bytes(zlib.compress(kept))
    data = load("newsgroups_original")
    assert len(data) == 4 and data.classes == ["alt.atheism", "rec.sport.hockey"]
    cut = split(data, by="part", test=["test"])
    assert all("From: " in text and "@test" in text for text in cut.test.inputs["text"])
    bare = load("newsgroups_original", remove=["headers"], topics=["rec.sport.hockey"])
    assert bare.inputs["text"] == ["About hockey"] * 2 and bare.classes == ["rec.sport.hockey"]


def idx(array):
    """An array in the format of MNIST's files."""
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def test_mnist(home):
    folder = home / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for stem, count in (("train", 6), ("t10k", 4)):
        images = np.full((count, 28, 28), count)
        for name, array in (("images-idx3", images), ("labels-idx1", np.arange(count))):
            (folder / f"{stem}-{name}-ubyte").write_bytes(idx(array))
    data = load("mnist")
    assert data.inputs["image"].shape == (10, 28, 28) and data.label.tolist() == [
        *range(6),
        *range(4),
    ]
    assert data.inputs["image"][9].max() == pytest.approx(4 / 255)
    assert [len(part) for part in split(data, by="part", test=["test"])] == [6, 0, 4]


def test_cifar10(home, monkeypatch):
    from torchvision.datasets import CIFAR10

    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)  # of the real files
    folder = home / CIFAR10.base_folder
    folder.mkdir(parents=True)
    classes = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    meta = pickle.dumps({"label_names": classes})
    (folder / "batches.meta").write_bytes(meta)
    monkeypatch.setitem(CIFAR10.meta, "md5", hashlib.md5(meta).hexdigest())
    for i, (name, _) in enumerate([*CIFAR10.train_list, *CIFAR10.test_list]):
        batch = {"data": np.full((2, 3072), 10 * i, np.uint8), "labels": [i, 9]}
        (folder / name).write_bytes(pickle.dumps(batch))
    data = load("cifar10")
    assert data.inputs["image"].shape == (12, 32, 32, 3) and data.classes == classes
    assert ", ".join(classes) in card("cifar10")
    cut = split(data, by="part", test=["test"])
    assert cut.test.label.tolist() == [5, 9] and len(cut.train) == 10
    assert cut.test.inputs["image"][0].max() == pytest.approx(50 / 255)


def test_pneumonia(home, host, monkeypatch):
    arrays = {}
    for part, count in (("train", 5), ("val", 3), ("test", 2)):
        arrays[f"{part}_images"] = np.full((count, 28, 28), count, np.uint8)
        arrays[f"{part}_labels"] = np.arange(count)[:, None] % 2
    file = io.BytesIO()
    np.savez(file, **arrays)
    monkeypatch.setattr(originals, "PNEUMONIA", host(file.getvalue()))
    data = load("pneumonia")
    cut = split(data, by="part", test=["test"], val=["val"])
    assert [len(part) for part in cut] == [5, 3, 2] and data.classes == ["normal", "pneumonia"]
    assert cut.val.inputs["image"][0].max() == pytest.approx(3 / 255)
    assert cut.val.label.tolist() == [0, 1, 0]


def test_spoken_digits_waveforms(home, host, monkeypatch):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name in ("recordings/7_theo_3.wav", "recordings/0_jackson_0.wav", "README.md"):
            content = io.BytesIO()
            wavfile.write(content, 8000, np.full(10, 16_384, np.int16))
            member = tarfile.TarInfo(f"free-spoken-digit-dataset-1.0.9/{name}")
            member.size = len(content.getvalue())
            tar.addfile(member, io.BytesIO(content.getvalue()))
    monkeypatch.setattr(originals, "WAVEFORMS", host(file.getvalue()))
    data = load("spoken_digits_waveforms")
    assert data.label.tolist() == [0, 7] and data.rate == 8000
    assert data.groups["speaker"].tolist() == ["jackson", "theo"]
    assert data.inputs["sound"][0].tolist() == [0.5] * 10


def test_other_bytes_and_no_network_are_refused(home, host, monkeypatch):
    address, right = host(b"something else")
    monkeypatch.setattr(originals, "WAVEFORMS", (address, "sha256:" + "0" * 64))
    with pytest.raises(DataError, match=f"hash.*{'0' * 64} but got {right[7:]}"):
        load("spoken_digits_waveforms")
    monkeypatch.setattr(originals, "PNEUMONIA", ("http://127.0.0.1:9/file", right))
    with pytest.raises(
        DataError, match=r"pneumonia could not be had: .*no network, use PROFILE='default'"
    ):
        load("pneumonia")
    assert not list(store.cache().glob("originals/*"))


def test_pins_are_whole():
    for name, pin in (("bert", originals.BERT), ("clip", originals.CLIP)):
        assert pin[1] in card(name) and pin[0] in card(name) and len(pin[1]) == 40
    assert originals.WAVEFORMS[1].startswith("sha256:") and len(originals.WAVEFORMS[1]) == 71
    assert originals.PNEUMONIA[1].startswith("md5:") and len(originals.PNEUMONIA[1]) == 36


def test_bert_and_clip(home, monkeypatch):
    """From the hub's cache as it lies on disk: the commit that is pinned, and no other."""
    import transformers

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def snapshot(pin):
        folder = home / f"models--{pin[0].replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("another commit")
        return folder / "snapshots" / pin[1]

    small = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
    }
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello"]
    place = snapshot(originals.BERT)
    model = transformers.BertModel(transformers.BertConfig(vocab_size=6, **small))
    model.save_pretrained(place)
    (place / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizer(str(place / "vocab.txt")).save_pretrained(place)
    found = originals.bert()
    assert not found.model.training and found.model.config.hidden_size == 8
    assert found.processor("hello")["input_ids"] == [2, 5, 3]

    place = snapshot(originals.CLIP)
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "h": 2, "i</w>": 3, "hi</w>": 4}
    text = transformers.CLIPTextConfig(vocab_size=5, bos_token_id=0, eos_token_id=1, **small)
    vision = transformers.CLIPVisionConfig(image_size=8, patch_size=4, **small)
    parts = {"text_config": text.to_dict(), "vision_config": vision.to_dict()}
    config = transformers.CLIPConfig(**parts, projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(place)
    tokenizer = transformers.CLIPTokenizer(vocab=vocabulary, merges=[("h", "i</w>")])
    images = transformers.CLIPImageProcessor(size={"shortest_edge": 8}, crop_size=8)
    transformers.CLIPProcessor(images, tokenizer).save_pretrained(place)
    found = originals.clip()
    inputs = found.processor(
        text=["hi"], images=np.zeros((1, 8, 8, 3), np.uint8), return_tensors="pt"
    )
    assert found.model(**inputs).logits_per_image.shape == (1, 1)
