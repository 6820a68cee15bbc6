"""What is timed: each job does one thing twice, with `mmlearn` and with a library that is known.

A job is a function that prepares its data and returns a `Job`. `same` is called before anything is
timed: it raises if the two do not give the same, and returns what else is worth saying.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Job(NamedTuple):
    """Two ways to do a thing, and how many times as long ours may take."""

    ours: Callable[[], Any]
    peer: Callable[[], Any]
    same: Callable[[], str | None]
    target: float | None = None  # None: reported, not judged


JOBS: dict[str, Callable[[], Job]] = {}


def job(name: str) -> Callable[[Callable[[], Job]], Callable[[], Job]]:
    """A decorator: the function prepares the job of this name, ``what / peer``."""

    def keep(prepare: Callable[[], Job]) -> Callable[[], Job]:
        JOBS[name] = prepare
        return prepare

    return keep


def close(ours: Any, theirs: Any, tolerance: float = 1e-6) -> None:
    """Raise unless two arrays are equal but for rounding."""
    arrays = [np.asarray(x.detach() if torch.is_tensor(x) else x) for x in (ours, theirs)]
    np.testing.assert_allclose(*arrays, rtol=tolerance, atol=tolerance)


@job("gradient of an MLP 2-16-16-1 on 100 moons / micrograd")
def autograd() -> Job:
    from micrograd.engine import Value
    from micrograd.nn import MLP
    from sklearn.datasets import make_moons

    from mmlearn.autograd import Tensor, backward, mlp, relu

    X, y = make_moons(100, noise=0.1, random_state=1)
    sign = 2 * y - 1
    random.seed(0)
    net = MLP(2, [16, 16, 1])
    weights = [
        (np.array([[w.data for w in n.w] for n in row.neurons]).T, [n.b.data for n in row.neurons])
        for row in net.layers
    ]  # fmt: skip

    def ours() -> list:
        layers = [(Tensor(W), Tensor(b)) for W, b in weights]
        *_, scores = mlp(X, layers, relu)
        loss = relu(1 - scores * sign[:, None]).sum() / 100
        backward(loss)
        return [loss.data, *(p.grad for pair in layers for p in pair)]

    def peer() -> list:
        net.zero_grad()
        scores = [net(list(map(Value, row))) for row in X]
        loss = sum((1 + -s * score).relu() for s, score in zip(sign, scores, strict=True)) / 100
        loss.backward()
        grads = [loss.data]
        for layer in net.layers:
            grads.append(np.array([[w.grad for w in n.w] for n in layer.neurons]).T)
            grads.append([n.b.grad for n in layer.neurons])
        return grads

    def same() -> None:
        for a, b in zip(ours(), peer(), strict=True):
            close(a, b)

    return Job(ours, peer, same, 0.01)


@job("CTC loss, T=100, N=16, C=11, S=6, with gradient / torch")
def ctc() -> Job:
    from mmlearn.speech import ctc_loss

    torch.manual_seed(0)
    x = torch.randn(100, 16, 11, requires_grad=True)
    targets, frames = torch.randint(1, 11, (16, 6)), torch.randint(60, 101, (16,))
    symbols = torch.randint(1, 7, (16,))

    def gradient(loss: Callable) -> Any:
        value = loss(x.log_softmax(dim=2), targets, frames, symbols)
        return value.sum(), torch.autograd.grad(value.sum(), x)[0]

    ours = functools.partial(gradient, ctc_loss)
    peer = functools.partial(gradient, functools.partial(F.ctc_loss, reduction="none"))

    def same() -> None:
        for a, b in zip(ours(), peer(), strict=True):
            close(a, b, 1e-4)

    return Job(ours, peer, same, 8)


@job("CLIP loss, N=512, D=256, with gradient / open_clip")
def clip() -> Job:
    from open_clip.loss import ClipLoss

    from mmlearn.objectives import clip_loss

    torch.manual_seed(0)
    a, b = (torch.randn(512, 256, requires_grad=True) for _ in range(2))
    scale, theirs = torch.tensor(1 / 0.07), ClipLoss()

    def ours() -> Any:
        loss = clip_loss(a, b, scale)
        return loss, *torch.autograd.grad(loss, (a, b))

    def peer() -> Any:  # which wants vectors of length 1, as open_clip's encoders give them
        loss = theirs(F.normalize(a, dim=1), F.normalize(b, dim=1), scale)
        return loss, *torch.autograd.grad(loss, (a, b))

    def same() -> None:
        for x, y in zip(ours(), peer(), strict=True):
            close(x, y, 1e-5)

    return Job(ours, peer, same, 0.65)


@job("integrated gradients, 50 steps, 32 pictures of 8 by 8 / captum")
def integrated_gradients() -> Job:
    from captum.attr import IntegratedGradients as Captum

    from mmlearn.explain import IntegratedGradients

    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3)]
    net = nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(32 * 4, 10))
    x, label = torch.rand(32, 1, 8, 8), torch.randint(10, (32,))
    method, captum = IntegratedGradients(net), Captum(net)

    def ours() -> Any:
        return method.attribute(x, label)

    def peer() -> Any:
        return captum.attribute(x, target=label, n_steps=50, return_convergence_delta=True)

    def same() -> str:
        (shares, gap), (theirs, delta) = ours(), peer()
        close(shares, theirs, 1e-5)
        worst, theirs = gap.abs().max().item(), delta.abs().max().item()
        assert worst <= theirs * 1.01 + 1e-6, f"incomplete by {worst}, captum by {theirs}"
        return f"sum missed by {worst:.1e}, captum by {theirs:.1e}"

    return Job(ours, peer, same, 0.75)


@job("KernelSHAP, 64 columns, 50 background rows, 1,024 samples / shap")
def kernel_shap() -> Job:
    import shap

    from mmlearn import explain

    rng = np.random.default_rng(0)
    x, background, W = rng.normal(size=64), rng.normal(size=(50, 64)), rng.normal(size=(64, 16))

    def f(rows: np.ndarray) -> np.ndarray:
        return np.tanh(rows @ W / 8).sum(axis=1)

    game = explain.hide_columns(f, x, background)
    explainer = shap.KernelExplainer(f, background)
    options = {"nsamples": 1_024, "l1_reg": False, "silent": True}

    def ours() -> np.ndarray:
        return explain.kernel_shap(game, 64, 1_024, seed=0)

    def peer() -> np.ndarray:
        return explainer.shap_values(x, **options)

    def same() -> str:
        a, b, owed = ours(), peer(), f(x[None])[0] - f(background).mean()
        alike = np.corrcoef(a, b)[0, 1]
        gaps = abs(a.sum() - owed), abs(b.sum() - owed)
        # Both are draws; what has to be equal is the sum, and the values nearly.
        assert alike > 0.95, f"correlation {alike}"
        assert gaps[0] <= max(gaps[1], 1e-10), f"sum missed by {gaps[0]}, shap's by {gaps[1]}"
        return f"correlation of the values {alike:.3f}; sum missed by {gaps[0]:.0e}"

    return Job(ours, peer, same, 1)


@job("LIME, a text of 60 words, 1,000 samples / lime")
def lime() -> Job:
    from lime.lime_text import LimeTextExplainer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from mmlearn import explain

    rng, known = np.random.default_rng(0), np.array([f"w{i}" for i in range(400)])
    texts = [" ".join(rng.choice(known, 40)) for _ in range(300)]
    good = set(known[:80])
    counts = np.array([sum(w in good for w in text.split()) for text in texts])
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))
    pipeline.fit(texts, counts > np.median(counts))
    words = rng.choice(known, 60, replace=False).tolist()
    game = explain.hide_words(pipeline.predict_proba, words)
    explainer = LimeTextExplainer(random_state=0)

    def ours() -> np.ndarray:
        return explain.lime(game, 60, 1_000, seed=0)[:, 1]

    def peer() -> list:
        told = explainer.explain_instance(
            " ".join(words), pipeline.predict_proba, num_features=60, num_samples=1_000
        )
        return told.as_list()

    def same() -> str:
        overlaps = []
        for _ in range(10):
            slopes = ours()
            top = {words[i] for i in np.argsort(-abs(slopes))[:5]}
            overlaps.append(len(top & {word for word, _ in peer()[:5]}) / 5)
        assert np.mean(overlaps) >= 0.9, f"overlap of the five largest {np.mean(overlaps)}"
        return f"overlap of the five largest, mean of ten runs: {np.mean(overlaps):.2f}"

    return Job(ours, peer, same, 1)


def _training() -> tuple[Callable[[], nn.Module], Any, Any]:
    torch.manual_seed(0)
    X, y = torch.randn(6_400, 64), torch.randint(10, (6_400,))

    def network() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    return network, X, y


def _fit(network: Callable[[], nn.Module], X: Any, y: Any) -> nn.Module:
    from mmlearn.train import fit

    model = network()
    optimiser = functools.partial(torch.optim.AdamW, weight_decay=0.01)
    rows = list(zip(X, y, strict=True))
    fit(model, rows, loss=F.cross_entropy, epochs=1, optimiser=optimiser, seed=0)
    return model


@job("training, MLP 64-64-10, 200 steps of 32, AdamW / transformers' Trainer")
def trainer() -> Job:
    import tempfile

    from transformers import PrinterCallback, Trainer, TrainingArguments

    network, X, y = _training()

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict:
            logits = self.net(x)
            return {"loss": F.cross_entropy(logits, labels), "logits": logits}

    rows = [{"x": x, "labels": label} for x, label in zip(X, y, strict=True)]
    options = TrainingArguments(
        tempfile.mkdtemp(), per_device_train_batch_size=32, num_train_epochs=1,
        learning_rate=1e-3, weight_decay=0.01, lr_scheduler_type="constant", max_grad_norm=1.0,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True,
    )  # fmt: skip

    def ours() -> nn.Module:
        return _fit(network, X, y)

    def peer() -> nn.Module:
        model = Wrapped()
        trainer = Trainer(model=model, args=options, train_dataset=rows)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return model.net

    def same() -> str:
        losses = [F.cross_entropy(model()(X), y).item() for model in (ours, peer)]
        assert abs(losses[0] - losses[1]) < 0.02, f"losses {losses}"
        return f"loss after it {losses[0]:.3f}, Trainer's {losses[1]:.3f}"

    return Job(ours, peer, same, 0.5)


@job("the same training / a loop written by hand")
def loop() -> Job:
    network, X, y = _training()

    def ours() -> nn.Module:
        return _fit(network, X, y)

    def peer() -> nn.Module:
        model = network()
        steps = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
        order = torch.randperm(len(X), generator=torch.Generator().manual_seed(0))
        for rows in order.split(32):
            steps.zero_grad()
            loss = F.cross_entropy(model(X[rows]), y[rows])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            steps.step()
        return model

    def same() -> str:
        losses = [F.cross_entropy(model()(X), y).item() for model in (ours, peer)]
        assert abs(losses[0] - losses[1]) < 0.02, f"losses {losses}"
        return f"loss after it {losses[0]:.3f} and {losses[1]:.3f}"

    return Job(ours, peer, same)


@job("softmax regression, 898 digits of 64 pixels, 20 epochs / SGDClassifier")
def softmax_regression() -> Job:
    from sklearn.linear_model import SGDClassifier

    from mmlearn import data
    from mmlearn.optim import Momentum, batches

    digits = data.load("optdigits")
    X, y = digits.inputs["image"].reshape(1_797, 64), digits.label
    X = np.hstack([X, np.ones((len(X), 1))])
    train, test = (X[:898], y[:898]), (X[898:], y[898:])
    Y = np.eye(10)[train[1]]

    def ours() -> np.ndarray:
        W, rule = np.zeros((65, 10)), Momentum(0.9)
        drawn = batches(898, 32, np.random.default_rng(0))
        for _ in range(20 * math.ceil(898 / 32)):
            rows = next(drawn)
            z = train[0][rows] @ W
            p = np.exp(z - z.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            W = rule(W, train[0][rows].T @ (p - Y[rows]) / len(rows), 0.3)
        return W

    def peer() -> Any:
        made = SGDClassifier(loss="log_loss", max_iter=20, tol=None, random_state=0)
        return made.fit(*train)

    def same() -> str:
        right = ((test[0] @ ours()).argmax(axis=1) == test[1]).mean(), peer().score(*test)
        assert right[0] >= right[1], f"accuracy {right[0]}, SGDClassifier's {right[1]}"
        return f"accuracy {right[0]:.3f}, SGDClassifier's {right[1]:.3f}"

    return Job(ours, peer, same, 0.7)


@job("skip-gram, one pass over 2,000 posts, 50 numbers a word / gensim")
def skip_gram() -> Job:
    import collections

    from gensim.models import Word2Vec
    from sklearn.metrics import roc_auc_score

    from mmlearn import data
    from mmlearn.encoders import SkipGram

    posts = data.load("newsgroups")
    texts = [text.split() for text in posts.inputs["text"][:2_000]]
    count = collections.Counter(word for text in texts for word in text)
    words = [word for word, n in count.most_common() if n >= 5]
    number = {word: i for i, word in enumerate(words)}
    kept = [[number[word] for word in text if word in number] for text in texts]
    often = torch.tensor([count[word] for word in words]).double() ** 0.75

    def pairs() -> tuple[torch.Tensor, torch.Tensor]:
        found = []
        for text in kept:
            row = np.array(text)
            for gap in range(1, 6):
                found += [(row[gap:], row[:-gap]), (row[:-gap], row[gap:])]
        a, b = (torch.as_tensor(np.concatenate(side)) for side in zip(*found, strict=True))
        order = torch.randperm(len(a))
        return a[order], b[order]

    def ours() -> np.ndarray:
        torch.manual_seed(0)
        model, (word, context) = SkipGram(len(words), 50), pairs()
        drawn = torch.multinomial(often, 50 * (len(word) // 1_000 + 1), replacement=True)
        for i, first in enumerate(range(0, len(word), 1_000)):
            rows, other = slice(first, first + 1_000), drawn[50 * i : 50 * (i + 1)]
            model.step(word[rows], context[rows], other, 0.025 * (1 - first / len(word)))
        return model.word.detach().numpy()

    def peer() -> Any:
        options = {"vector_size": 50, "window": 5, "min_count": 5, "sg": 1, "negative": 5}
        return Word2Vec(texts, **options, epochs=1, workers=1, sample=0, shrink_windows=False)

    def apart(vectors: np.ndarray) -> float:
        """How much nearer neighbours in held-out posts are than words drawn: an area, 0.5 to 1."""
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        near = []
        for text in posts.inputs["text"][2_000:2_300]:
            row = [number[word] for word in text.split() if word in number]
            near += list(zip(row, row[2:], strict=False))
        near = np.array(near)
        far = np.random.default_rng(0).permutation(near[:, 1])
        scores = [(unit[near[:, 0]] * unit[other]).sum(axis=1) for other in (near[:, 1], far)]
        return roc_auc_score(np.repeat([1, 0], len(near)), np.concatenate(scores))

    def same() -> str:
        theirs = peer()
        found = apart(ours()), apart(np.stack([theirs.wv[word] for word in words]))
        return f"held-out neighbours told from others, area {found[0]:.3f}, gensim {found[1]:.3f}"

    return Job(ours, peer, same)


def _encoded(lengths: tuple[int, ...], width: int = 32) -> tuple[dict, dict, dict]:
    from mmlearn.encoders import Tokens

    torch.manual_seed(0)
    names = ("image", "sound", "text")
    encoded = {
        name: Tokens(torch.randn(64, n, width), torch.ones(64, n, dtype=torch.bool))
        for name, n in zip(names, lengths, strict=True)
    }
    present = {name: torch.ones(64, dtype=torch.bool) for name in names}
    return encoded, present, dict.fromkeys(names, width)


def _fusion_job(fusion: nn.Module, plain: Callable, encoded: dict, present: dict) -> Job:
    weights = list(fusion.parameters())

    def gradient(f: Callable) -> Any:
        out = f()
        return out, *torch.autograd.grad(out.square().sum(), weights)

    ours = functools.partial(gradient, lambda: fusion(encoded, present))
    peer = functools.partial(gradient, plain)

    def same() -> None:
        for a, b in zip(ours(), peer(), strict=True):
            close(a, b, 1e-3)

    return Job(ours, peer, same, 1.1)


@job("tensor fusion, 3 modalities of 32, batch 64, with gradient / plain torch")
def tensor_fusion() -> Job:
    from mmlearn.fusion import TensorFusion

    encoded, present, widths = _encoded((1, 1, 1))
    fusion, one = TensorFusion(widths, 32), torch.ones(64, 1)

    def plain() -> torch.Tensor:
        a, b, c = (torch.cat([tokens.values[:, 0], one], dim=1) for tokens in encoded.values())
        return fusion.out(torch.einsum("bi,bj,bk->bijk", a, b, c).flatten(1))

    return _fusion_job(fusion, plain, encoded, present)


@job("low-rank fusion, 3 modalities of 32, rank 8, batch 64, with gradient / plain torch")
def low_rank_fusion() -> Job:
    from mmlearn.fusion import LowRankFusion

    encoded, present, widths = _encoded((1, 1, 1))
    fusion, one = LowRankFusion(widths, 32, rank=8), torch.ones(64, 1)

    def plain() -> torch.Tensor:
        product = torch.ones(())
        for tokens, factor in zip(encoded.values(), fusion.factors, strict=True):
            product = product * (torch.cat([tokens.values[:, 0], one], dim=1) @ factor)  # (r, B, D)
        return product.sum(dim=0) + fusion.bias

    return _fusion_job(fusion, plain, encoded, present)


@job("crossmodal attention, 12, 30 and 9 tokens of 32, batch 64, with gradient / plain torch")
def crossmodal() -> Job:
    from mmlearn.fusion import CrossmodalAttention

    encoded, present, widths = _encoded((12, 30, 9))
    fusion = CrossmodalAttention(widths, 32)

    def look(block: nn.Module, x: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        attend, y = block.attend, block.norm1(keys)
        parts = attend.query(block.norm1(x)), attend.key(y), attend.value(y)
        Q, K, V = (part.view(64, -1, attend.heads, 8).transpose(1, 2) for part in parts)
        found = F.scaled_dot_product_attention(Q, K, V).transpose(1, 2).flatten(2)
        x = x + attend.out(found)
        return x + block.think(block.norm2(x))

    def plain() -> torch.Tensor:
        inputs = zip(fusion.enter, encoded.values(), strict=True)
        a, b, c = (enter(tokens.values) for enter, tokens in inputs)
        pairs = ((a, (b, c)), (b, (a, c)), (c, (a, b)))
        blocks = zip(fusion.layers[0], pairs, strict=True)
        x = [look(block, own, torch.cat(others, dim=1)) for block, (own, others) in blocks]
        return fusion.norm(torch.cat(x, dim=1)).mean(dim=1)

    return _fusion_job(fusion, plain, encoded, present)
