"""Pretrained encoders: frozen, they turn a modality into features that are kept on disk."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from mmlearn import runtime
from mmlearn.data import store, unpack

# Sizes and token numbers of the published model, of which the rest are transformers' defaults,
# and what its weights are called there.
WHISPER_SIZES = Path(__file__).with_name("whisper_tiny_en.json")
WHISPER_NAMES = Path(__file__).with_name("whisper_names.txt")


class Encoder:
    """A pretrained network, and what prepares its inputs.

    Calling it gives features with the network frozen; to train it further, take `model` and
    `prepare` and write your own loop.

    Attributes
    ----------
    name : str
        The name by which `encoder` knows it.
    model : Module
        The network, on the run's device, in evaluation mode.
    dim : int
        The number of features.
    """

    name: str
    dim: int

    def __init__(self, model: nn.Module) -> None:
        self.model = model.eval().to(runtime.device())

    def prepare(self, values: Any) -> dict[str, Tensor]:
        """The network's inputs for a few values."""
        raise NotImplementedError

    def forward(self, *args: Any, **inputs: Any) -> Tensor:
        """Features (B, dim) of prepared inputs, with gradients."""
        raise NotImplementedError

    @torch.no_grad()
    def __call__(self, values: Any, batch: int = 64) -> np.ndarray:
        """Features (n, dim) of n values, of similar length together, so that little is padded."""
        features = np.zeros((len(values), self.dim), np.float32)
        lengths = [len(value) for value in values]
        order = np.argsort(lengths, kind="stable")
        starts = tqdm(range(0, len(order), batch), self.name, leave=False, delay=5)
        for start in starts:
            rows = order[start : start + batch]
            inputs = self.prepare([values[i] for i in rows])
            inputs = {name: value.to(runtime.device()) for name, value in inputs.items()}
            features[rows] = self.forward(**inputs).float().cpu().numpy()
        return features


class MiniLM(Encoder):
    """English sentences to 384 features: a BERT of 6 layers, its last states averaged.

    Wang et al. 2020 (arXiv:2002.10957), trained further on pairs of sentences
    (sentence-transformers/all-MiniLM-L6-v2). Compare two texts by the cosine.
    """

    name, dim = "minilm", 384

    def __init__(self, folder: Path) -> None:
        import transformers

        transformers.utils.logging.disable_progress_bar()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        super().__init__(transformers.AutoModel.from_pretrained(folder, local_files_only=True))

    def prepare(self, values: Sequence[str]) -> dict[str, Tensor]:
        """Token numbers and mask of texts; of a long one the first 256 tokens."""
        options = {"padding": True, "truncation": True, "max_length": 256}
        return dict(self.tokenizer(list(values), return_tensors="pt", **options))

    def forward(self, **inputs: Tensor) -> Tensor:
        """The mean of the last layer over the tokens that are no padding."""
        states = self.model(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None].to(states.dtype)
        return (states * mask).sum(1) / mask.sum(1)


class EfficientNetLite0(Encoder):
    """Images of any size, 0…1, to 1,280 features; trained on ImageNet's photographs."""

    name, dim = "efficientnet_lite0", 1280

    def __init__(self, folder: Path) -> None:
        network = EfficientNet()
        weights = torch.load(folder / "weights.pth", map_location="cpu", weights_only=True)
        # The published names are others, in the same order.
        network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
        super().__init__(network)

    def prepare(self, values: Any) -> dict[str, Tensor]:
        """Images (n, H, W) or (n, H, W, 3), scaled as the network was trained."""
        images = torch.as_tensor(np.stack(values), dtype=torch.float32)
        if images.ndim == 3:
            images = images[..., None].expand(-1, -1, -1, 3)
        if images.ndim != 4 or images.shape[-1] != 3:
            shape = tuple(images.shape)
            raise ValueError(f"images have the shape {shape}; give (n, H, W) or (n, H, W, 3)")
        return {"images": (images.permute(0, 3, 1, 2) * 255 - 127) / 128}

    def forward(self, images: Tensor) -> Tensor:
        """What the network has found, averaged over the picture."""
        return self.model.features(images).mean((2, 3))


class WhisperTinyEn(Encoder):
    """English speech (16,000 Hz, at most 30 s) to 384 features, or to text.

    Radford et al. 2022 (arXiv:2212.04356): the smallest English model.
    """

    name, dim = "whisper_tiny_en", 384
    RATE = 16_000
    NO_TIMESTAMPS = 50_362  # the token that asks for text alone

    def __init__(self, folder: Path) -> None:
        import transformers

        transformers.utils.logging.disable_progress_bar()
        tokens = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = transformers.WhisperConfig.from_json_file(WHISPER_SIZES)
        model = transformers.WhisperForConditionalGeneration(config)
        with np.load(folder / "weights.npz") as file:
            weights = _from_ctranslate2({name: file[name] for name in file.files})
        model.load_state_dict(weights)
        self.never = tokens["suppress_ids"]  # sounds, notes, brackets: nothing that is said
        self.never_first = tokens["suppress_ids_begin"]
        self.tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json")
        )
        self.spectrogram = transformers.WhisperFeatureExtractor()
        super().__init__(model)

    def prepare(self, values: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """Log-mel spectrograms of sounds, padded to 30 s, and how many states each fills."""
        sounds = [np.asarray(value, np.float32) for value in values]
        if wrong := [sound.shape for sound in sounds if sound.ndim != 1]:
            raise ValueError(f"a sound is a vector of samples at {self.RATE} Hz, not {wrong[0]}")
        made = self.spectrogram(sounds, sampling_rate=self.RATE, return_tensors="pt")
        # A state stands for two frames of 160 samples.
        filled = torch.tensor([max(1, min(1500, len(sound) // 320)) for sound in sounds])
        return {"spectrograms": made.input_features, "filled": filled}

    def forward(self, spectrograms: Tensor, filled: Tensor) -> Tensor:
        """The mean of the encoder's states over the sound, without the padding."""
        states = self.model.model.encoder(spectrograms).last_hidden_state
        mask = torch.arange(states.shape[1], device=states.device) < filled[:, None]
        return (states * mask[..., None]).sum(1) / filled[:, None]

    def transcribe(self, sounds: Sequence[np.ndarray], batch: int = 8) -> list[str]:
        """What is said in sounds at 16,000 Hz, as text: at each step the likeliest token."""
        import transformers

        begin = [self.model.config.decoder_start_token_id, self.NO_TIMESTAMPS]
        said: list[str] = []
        for start in tqdm(range(0, len(sounds), batch), "transcribe", leave=False, delay=5):
            heard = sounds[start : start + batch]
            spectrograms = self.prepare(heard)["spectrograms"].to(runtime.device())
            # Whisper's own `generate` asks for languages and times, which this model has not.
            tokens = transformers.GenerationMixin.generate(
                self.model,
                input_features=spectrograms,
                attention_mask=torch.ones_like(spectrograms[:, 0]),
                decoder_input_ids=torch.tensor([begin] * len(heard), device=spectrograms.device),
                suppress_tokens=self.never,
                begin_suppress_tokens=self.never_first,
                do_sample=False,
                # Nobody says more than eight tokens a second; a network that repeats itself does.
                max_new_tokens=10 + 8 * max(map(len, heard)) // self.RATE,
            )
            said += self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip() for text in said]


def _from_ctranslate2(variables: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The state of transformers' Whisper from the variables of CTranslate2's."""
    lines = WHISPER_NAMES.read_text(encoding="utf-8").splitlines()
    renamed = [line.split() for line in lines if not line.startswith("#")]
    weights = {}
    for name, value in variables.items():
        if value.dtype != np.float16:
            continue  # settings: numbers of heads and the like
        path = f"model/{name}"
        for old, new in renamed:
            path = re.sub(old, new, path)
        joined = re.search(r"\b[qkv](,[qkv])+", path)
        letters = joined[0].split(",") if joined else [""]
        pieces = torch.tensor(value).float().chunk(len(letters))
        for letter, piece in zip(letters, pieces, strict=True):
            own = path.replace(joined[0], letter) if joined else path
            weights[own.replace("/", ".")] = piece
    weights["proj_out.weight"] = weights["model.decoder.embed_tokens.weight"]
    # Keys have no bias; where it is joined to the others it is zero.
    return {name: value for name, value in weights.items() if not name.endswith("k_proj.bias")}


class EfficientNet(nn.Module):
    """EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946; Lite: no gates, ReLU6).

    Images (B, 3, H, W) to the logits of ImageNet's 1,000 classes; `features` gives maps before.
    """

    # For each stage: kernel, blocks, stride, width of the expansion, channels.
    STAGES = (
        (3, 1, 1, 1, 16),
        (3, 2, 2, 6, 24),
        (5, 2, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (5, 3, 1, 6, 112),
        (5, 4, 2, 6, 192),
        (3, 1, 1, 6, 320),
    )

    def __init__(self) -> None:
        super().__init__()
        blocks, before = [], 32
        for kernel, count, stride, expand, after in self.STAGES:
            for step in [stride, *[1] * (count - 1)]:
                blocks.append(Block(before, after, kernel, step, expand))
                before = after
        stem, head = _normalised(3, 32, 3, stride=2), _normalised(320, 1280, 1)
        self.features = nn.Sequential(*stem, nn.ReLU6(), *blocks, *head, nn.ReLU6())
        self.fc = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).mean((2, 3)))


class Block(nn.Sequential):
    """Widen, filter each channel by itself, narrow; add what came in if the shape is the same."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expand: int) -> None:
        wide = before * expand
        widen = [*_normalised(before, wide, 1), nn.ReLU6()] if expand > 1 else []
        each = _normalised(wide, wide, kernel, stride=stride, groups=wide)
        super().__init__(*widen, *each, nn.ReLU6(), *_normalised(wide, after, 1))
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return x + y if self.residual else y


def _normalised(before: int, after: int, kernel: int, **options: int) -> list[nn.Module]:
    return [SameConv(before, after, kernel, **options), nn.BatchNorm2d(after, eps=1e-3)]


class SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow does: more at the far side."""

    def __init__(self, *sizes: int, **options: int) -> None:
        super().__init__(*sizes, bias=False, **options)

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size, self.stride, strict=True):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [missing // 2, missing - missing // 2]
        return self._conv_forward(F.pad(x, pads), self.weight, None)


ENCODERS: dict[str, Callable[[Path], Encoder]] = {
    kind.name: kind for kind in (MiniLM, EfficientNetLite0, WhisperTinyEn)
}


def encoder(name: str) -> Encoder:
    """A pretrained encoder; the first time, fetch it.

    Parameters
    ----------
    name : str
        ``minilm`` (text), ``efficientnet_lite0`` (image) or ``whisper_tiny_en`` (sound).

    Returns
    -------
    Encoder
        Call it for features; `encode` does so once and keeps them.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    return _known(name)(unpack.bundle(name))


def _known(name: str) -> Callable[[Path], Encoder]:
    if name not in ENCODERS:
        raise ValueError(f"no encoder is called {name!r}; there are: {', '.join(ENCODERS)}")
    return ENCODERS[name]


def encode(name: str, values: Any, batch: int = 64) -> np.ndarray:
    """Features (n, dim) of values under a frozen encoder, kept on disk.

    They are computed again when anything that they depend on changes: the values, the
    encoder's weights or code, the versions of torch and transformers, the kind of device.

    Parameters
    ----------
    name : str
        As for `encoder`.
    values : list or ndarray
        Texts; images (n, H, W) or (n, H, W, 3) in 0…1; or sounds at 16,000 Hz.
    batch : int
        How many at a time: lower it if memory does not suffice.

    Returns
    -------
    ndarray of float32, shape (n, dim)
    """
    _known(name)
    code = [inspect.getsource(sys.modules[__name__])]
    code += [path.read_text(encoding="utf-8") for path in (WHISPER_SIZES, WHISPER_NAMES)]
    versions = [version("torch"), version("transformers"), runtime.device().type]
    key = store.key(unpack.bundle_key(name), code, versions, list(values))

    def write(folder: Path, scratch: Path) -> None:
        np.save(folder / "features.npy", encoder(name)(values, batch))

    return np.load(store.stored(f"features-{name}", key, write) / "features.npy")
