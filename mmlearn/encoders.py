"""Encoders: each maps one modality to tokens, and the model that joins them.

The definitions stand on the book's pages as they stand here, so types and shapes are in the
docstrings, not in annotations.
"""

# mypy: allow-untyped-defs, disable-error-code="var-annotated"

from collections import Counter
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from torch import nn

from mmlearn.checks import checked, guard, refuse


class Tokens(NamedTuple):
    """What every encoder gives: vectors, and which of them are there.

    Attributes
    ----------
    values : Tensor (B, T, D)
        T vectors a sample; one vector is T = 1.
    mask : BoolTensor (B, T)
        False where there is padding or the modality is missing.
    """

    values: Any
    mask: Any


def mlp(before, after, hidden=None):
    """One linear layer, or two with a ReLU between them.

    Parameters
    ----------
    before, after : int
        Numbers that go in and that come out.
    hidden : int, optional
        Numbers between two layers; with None there is one layer.

    Returns
    -------
    Module
        From (…, before) to (…, after).
    """
    if hidden is None:
        return nn.Linear(before, after)
    return nn.Sequential(nn.Linear(before, hidden), nn.ReLU(), nn.Linear(hidden, after))


class Dense(nn.Module):
    """Vectors that are features already, each by itself through `mlp`, or just as they are.

    Parameters
    ----------
    size : int
        Numbers in a vector.
    width : int, optional
        D, the length of what comes out; with None the vectors stay as they are.
    hidden : int, optional
        See `mlp`.
    """

    def __init__(self, size, width=None, hidden=None):
        super().__init__()
        self.net = nn.Identity() if width is None else mlp(size, width, hidden)
        self.size, self.width = size, width or size

    def forward(self, x, mask):
        """Vectors (B, S), or sequences of them (B, T, S), and their mask; gives `Tokens`."""
        if x.ndim == 2:
            x = x[:, None]
        return Tokens(self.net(x), mask)


def conv2d(x, weight, bias=None, stride=1, padding=0):
    """Slide each kernel over the image: the sum of products at every place.

    Parameters
    ----------
    x : Tensor (B, C, H, W)
    weight : Tensor (O, C, K, L)
        One kernel of size K × L for each of O outputs.
    bias : Tensor (O,), optional
    stride : int
        Pixels from one place to the next.
    padding : int
        Rows and columns of zeros around the image.

    Returns
    -------
    Tensor (B, O, (H + 2 padding - K) // stride + 1, (W + 2 padding - L) // stride + 1)
        Without flipping the kernel, as all libraries do; mathematics calls this a
        cross-correlation.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner (1998), doi:10.1109/5.726791.
    """
    x = F.pad(x, [padding] * 4)
    windows = x.unfold(2, weight.shape[2], stride).unfold(3, weight.shape[3], stride)
    y = torch.einsum("bcijuv,ocuv->boij", windows, weight)
    return y if bias is None else y + bias[:, None, None]


def max_pool2d(x, size, stride=None, padding=0):
    """The largest value in each window of size × size.

    Parameters
    ----------
    x : Tensor (B, C, H, W)
    size : int
    stride : int, optional
        Pixels from one window to the next; `size` by default, so that they touch.
    padding : int
        Rows and columns around the image that never win; at most half of `size`.

    Returns
    -------
    Tensor (B, C, (H + 2 padding - size) // stride + 1, (W + 2 padding - size) // stride + 1)
    """
    stride = stride or size
    x = F.pad(x, [padding] * 4, value=-torch.inf)
    return x.unfold(2, size, stride).unfold(3, size, stride).amax(dim=(-2, -1))


def batch_norm(x, running_mean, running_var, weight, bias, training, momentum=0.1, eps=1e-5):
    """Give each channel mean 0 and variance 1, then a scale and a shift that are learnt.

    Parameters
    ----------
    x : Tensor (B, C, H, W)
    running_mean, running_var : Tensor (C,)
        Training moves them towards the batch's, in place; evaluation uses them.
    weight, bias : Tensor (C,)
        Scale and shift.
    training : bool
    momentum : float
        The batch's share in the running statistics.
    eps : float
        Keeps the division from zero.

    Returns
    -------
    Tensor (B, C, H, W)

    References
    ----------
    Ioffe and Szegedy (2015), arXiv:1502.03167.
    """
    mean, var = running_mean, running_var
    if training:
        n = x.numel() / x.shape[1]
        mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)
        running_mean.lerp_(mean.detach(), momentum)
        running_var.lerp_(var.detach() * n / (n - 1), momentum)  # without bias
    z = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + eps)
    return weight[:, None, None] * z + bias[:, None, None]


def receptive_field(layers):
    """How far one value behind these layers can see: pixels from the first to the last, a side.

    Parameters
    ----------
    layers : list of (size, stride)
        Convolutions and poolings, from the image on.

    Returns
    -------
    int
    """
    field, apart = 1, 1
    for size, stride in layers:
        field += (size - 1) * apart
        apart *= stride
    return field


class ConvNet(nn.Module):
    """Images into one vector each: convolution, normalisation, ReLU and pooling, repeated.

    In the end each channel keeps its largest value over all places, so images of any size do, and
    where in the image it was found is forgotten.

    Parameters
    ----------
    channels : int
        Of the images: 1 for grey, 3 for colour.
    widths : list of int
        Channels behind each block; each block halves height and width.

    Attributes
    ----------
    width : int
        D, the length of the vector.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner (1998), doi:10.1109/5.726791; normalised as by Ioffe and
    Szegedy (2015), arXiv:1502.03167.
    """

    def __init__(self, channels=1, widths=(16, 32)):
        super().__init__()
        layers, before = [], channels
        for width in widths:
            conv = nn.Conv2d(before, width, kernel_size=3, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        # A pixel's channels side by side in memory: the same sums, sooner on a CPU.
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.channels, self.least, self.width = channels, 2 ** len(widths), before

    def forward(self, x, mask):
        """Images (B, C, H, W), or (B, H, W), and their mask (B, 1); gives `Tokens` with T = 1."""
        if x.ndim == 3:
            x = x[:, None]
        return Tokens(self.layers(x).amax(dim=(2, 3))[:, None], mask)


def rnn_cell(x, state, weights):
    """One step of a plain recurrent network: look at x, renew the state.

    Parameters
    ----------
    x : Tensor (B, D)
    state : tuple of one Tensor (B, H)
        What was kept so far, h.
    weights : tuple of W (H, D), R (H, H) and two biases (H,)
        In this order, torch's: ``weight_ih, weight_hh, bias_ih, bias_hh``.

    Returns
    -------
    tuple of one Tensor (B, H)
        The new state; the cells all take and return a tuple, so that `unroll` walks any of them.

    References
    ----------
    Elman (1990), doi:10.1207/s15516709cog1402_1.
    """
    (h,) = state
    W, R, b, d = weights
    return (torch.tanh(x @ W.T + b + h @ R.T + d),)


def lstm_cell(x, state, weights):
    """One step of an LSTM: gates decide what the cell keeps, takes in and shows.

    Parameters
    ----------
    x : Tensor (B, D)
    state : tuple of two Tensors (B, H)
        h, which is shown, and c, the cell.
    weights : tuple of W (4 H, D), R (4 H, H) and two biases (4 H,)
        Rows in torch's order: input gate, forget gate, new content, output gate.

    Returns
    -------
    tuple of two Tensors (B, H)

    References
    ----------
    Hochreiter and Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735; the forget gate is of Gers,
    Schmidhuber and Cummins (2000), doi:10.1162/089976600300015015.
    """
    h, c = state
    W, R, b, d = weights
    i, f, g, o = (x @ W.T + b + h @ R.T + d).chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_cell(x, state, weights):
    """One step of a gated recurrent unit: a mean of the old state and new content.

    Parameters
    ----------
    x : Tensor (B, D)
    state : tuple of one Tensor (B, H)
    weights : tuple of W (3 H, D), R (3 H, H) and two biases (3 H,)
        Rows in torch's order: reset gate, update gate, new content.

    Returns
    -------
    tuple of one Tensor (B, H)

    References
    ----------
    Cho et al. (2014), arXiv:1406.1078; the reset gate stands behind R, as in torch, not before it.
    """
    (h,) = state
    W, R, b, d = weights
    r, z, n = (x @ W.T + b).chunk(3, dim=1)
    r_h, z_h, n_h = (h @ R.T + d).chunk(3, dim=1)
    z = (z + z_h).sigmoid()
    n = torch.tanh(n + (r + r_h).sigmoid() * n_h)
    return (z * h + (1 - z) * n,)


def unroll(cell, x, mask, state, weights):
    """Read sequences step by step with one cell; where there is padding, the state stays.

    Parameters
    ----------
    cell : callable
        `rnn_cell`, `lstm_cell`, `gru_cell` or one of their form.
    x : Tensor (B, T, D)
    mask : BoolTensor (B, T)
    state : tuple of Tensors (B, H)
        Where to begin; zeros, as a rule.
    weights : tuple of Tensors
        The cell's.

    Returns
    -------
    Tensor (B, T, H)
        h after every step.
    """
    states = []
    for t in range(x.shape[1]):
        new = cell(x[:, t], state, weights)
        state = tuple(torch.where(mask[:, t, None], n, s) for n, s in zip(new, state, strict=True))
        states.append(state[0])
    return torch.stack(states, dim=1)


class Recurrent(nn.Module):
    """Sequences into one state a step, by torch's fast layers; padding changes no answer.

    Parameters
    ----------
    size : int
        D, numbers a step.
    width : int
        H, numbers in a state.
    kind : str
        ``rnn``, ``lstm`` or ``gru``.
    both_ways : bool
        Read a second time, with weights of its own, from the end; the two states of a step stand
        side by side.

    Attributes
    ----------
    width : int
        Length of what is given for a step: H, or 2 H.

    References
    ----------
    See `rnn_cell`, `lstm_cell` and `gru_cell`.
    """

    def __init__(self, size, width, kind="lstm", both_ways=False):
        super().__init__()
        layer = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind]
        ways = 1 + both_ways
        self.layers = nn.ModuleList(layer(size, width, batch_first=True) for _ in range(ways))
        self.size, self.width = size, width * ways

    def read(self, layer, x, mask):
        """Move what is there to the front, read it, and put each state back in its place."""
        order = (~mask).byte().argsort(dim=1, stable=True)[:, :, None]
        h, _ = layer(x.where(mask[:, :, None], 0).take_along_dim(order, dim=1))
        return h.take_along_dim(order.argsort(dim=1), dim=1).where(mask[:, :, None], 0)

    def forward(self, x, mask):
        """Sequences (B, T, D) and their mask (B, T); gives `Tokens` (B, T, H), 0 at padding."""
        ways = [self.read(self.layers[0], x, mask)]
        if len(self.layers) == 2:
            ways.append(self.read(self.layers[1], x.flip(1), mask.flip(1)).flip(1))
        return Tokens(torch.cat(ways, dim=2), mask)


class AdditiveAttention(nn.Module):
    """A mean of states whose weights are learnt from what the states hold.

    Parameters
    ----------
    width : int
        D, numbers in a state.
    hidden : int
        Numbers that a state is turned into before it is scored.

    References
    ----------
    Bahdanau, Cho and Bengio (2015), arXiv:1409.0473; with one fixed question, as here, Yang et al.
    (2016), doi:10.18653/v1/N16-1174.
    """

    def __init__(self, width, hidden=32):
        super().__init__()
        self.key = nn.Linear(width, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, states, mask):
        """States (B, T, D) and their mask (B, T); gives the means (B, D) and weights (B, T).

        Padding has the weight 0; a sample without any state has no other, and its mean is 0.
        """
        states = states.where(mask[:, :, None], 0)
        scores = self.score(self.key(states).tanh())[:, :, 0]
        scores = scores.where(mask, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=1).where(mask, 0)
        return (weights[:, :, None] * states).sum(dim=1), weights


def attention(Q, K, V, mask=None):
    """Each query's mean of the values, weighted by how well it fits their keys.

    Parameters
    ----------
    Q : Tensor (..., Tq, d)
    K : Tensor (..., Tk, d)
    V : Tensor (..., Tk, e)
    mask : BoolTensor (..., Tq, Tk), optional
        True where a query may look; anything that broadcasts to that shape.

    Returns
    -------
    values : Tensor (..., Tq, e)
        Zeros for a query that may look nowhere.
    weights : Tensor (..., Tq, Tk)
        Those of one query sum to 1, or are all 0 if it may look nowhere.

    References
    ----------
    Vaswani et al. (2017), arXiv:1706.03762, section 3.2.1.
    """
    scores = Q @ K.mT / K.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0)  # counts where a query may look nowhere
    return weights @ V, weights


def causal(length):
    """Who may look where in a text that is being written: no look ahead.

    Parameters
    ----------
    length : int
        T.

    Returns
    -------
    BoolTensor (T, T)
        Row by row, where a token may look: at itself and at what stands before it.
    """
    return torch.ones(length, length, dtype=torch.bool).tril()


def sinusoidal(length, width):
    """Positions as vectors: pairs of sine and cosine, from fast to slow.

    Parameters
    ----------
    length, width : int
        T and D; D is even.

    Returns
    -------
    Tensor (T, D), float64
        Two positions' inner product depends on nothing but their distance.

    References
    ----------
    Vaswani et al. (2017), arXiv:1706.03762, section 3.5.
    """
    place = torch.arange(length, dtype=torch.float64)
    angle = place[:, None] / 10_000 ** (torch.arange(0, width, step=2) / width)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def rotary(x):
    """Turn each pair of entries by an angle that grows with the position.

    Parameters
    ----------
    x : Tensor (..., T, d)
        Queries or keys; d is even.

    Returns
    -------
    Tensor (..., T, d)
        Inner products of the turned vectors depend on positions through their distance alone.

    References
    ----------
    Su et al. (2021), arXiv:2104.09864.
    """
    sin, cos = sinusoidal(*x.shape[-2:]).to(x).unflatten(1, (-1, 2)).unbind(-1)
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each in a share of the width.

    Parameters
    ----------
    width : int
        D, of queries, keys and output.
    heads : int
        H, a divisor of D.
    turned : bool
        Whether queries and keys get `rotary` positions.

    References
    ----------
    Vaswani et al. (2017), arXiv:1706.03762, section 3.2.2.
    """

    def __init__(self, width, heads, turned=False):
        super().__init__()
        self.query, self.value, self.out = (nn.Linear(width, width) for _ in range(3))
        self.key = nn.Linear(width, width, bias=False)  # unturned, it has no effect
        self.heads, self.turned = heads, turned

    def forward(self, queries, keys, mask=None):
        """What queries (B, Tq, D) find among keys (B, Tk, D), and the weights (B, H, Tq, Tk).

        The two may be of one sequence or of two; `mask` (B, Tq, Tk) is True where a query may
        look. For the mask (B, Tk) of the keys alone give ``mask[:, None]``.
        """
        Q, K, V = self.query(queries), self.key(keys), self.value(keys)
        Q, K, V = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (Q, K, V))
        if self.turned:
            Q, K = rotary(Q), rotary(K)
        values, weights = attention(Q, K, V, None if mask is None else mask[:, None])
        return self.out(values.transpose(1, 2).flatten(2)), weights


class TransformerBlock(nn.Module):
    """Attention, then a small network for each token by itself; each adds to what was there.

    Parameters
    ----------
    width, heads : int
        D and H.
    pre_norm : bool
        Normalise what goes into each of the two, or, as in the first Transformer, the sums.
    turned : bool
        Whether attention gets `rotary` positions.

    References
    ----------
    Vaswani et al. (2017), arXiv:1706.03762; normalised before, Xiong et al. (2020),
    arXiv:2002.04745.
    """

    def __init__(self, width, heads, pre_norm=True, turned=False):
        super().__init__()
        self.attend = MultiHeadAttention(width, heads, turned)
        layers = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        self.think = nn.Sequential(*layers)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.pre_norm = pre_norm

    def forward(self, x, mask=None):
        """Tokens (B, T, D) and who may look where, (B, T, T) or (B, 1, T); gives (B, T, D)."""
        if self.pre_norm:
            y = self.norm1(x)
            x = x + self.attend(y, y, mask)[0]
            return x + self.think(self.norm2(x))
        x = self.norm1(x + self.attend(x, x, mask)[0])
        return self.norm2(x + self.think(x))


class TransformerEncoder(nn.Module):
    """Anything that can be made a row of vectors into as many vectors that know of each other.

    Parameters
    ----------
    embed : Module
        From the input to (B, T, D): an ``nn.Embedding`` for token numbers (B, T), an
        ``nn.Linear`` for frames (B, T, C), a `PatchEmbedding` for images.
    width, heads, depth : int
        D, H, and the number of blocks.
    positions : str or None
        ``"sinusoidal"``, ``"learned"``, ``"rotary"``, or None: then it sees a bag of tokens.
    causal : bool
        Whether a token sees only those before it and itself: a decoder that writes.
    pre_norm : bool
        See `TransformerBlock`.
    longest : int
        T at most, for learned positions.

    References
    ----------
    Vaswani et al. (2017), arXiv:1706.03762.
    """

    def __init__(
        self, embed, width, heads=4, depth=2, positions="sinusoidal", causal=False,
        pre_norm=True, longest=512,
    ):  # fmt: skip
        super().__init__()
        self.embed, self.width = embed, width
        self.positions, self.causal = positions, causal
        if positions == "learned":
            self.table = nn.Embedding(longest, width)
        options = {"pre_norm": pre_norm, "turned": positions == "rotary"}
        blocks = (TransformerBlock(width, heads, **options) for _ in range(depth))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width) if pre_norm else nn.Identity()

    def forward(self, x, mask):
        """Inputs (B, T, ...) and their mask, (B, T) or (B, 1) for images; gives `Tokens`."""
        x = self.embed(x)
        mask = mask.expand(x.shape[:2])
        if self.positions == "sinusoidal":
            x = x + sinusoidal(*x.shape[1:]).to(x)
        if self.positions == "learned":
            x = x + self.table.weight[: x.shape[1]]
        x = torch.where(mask[:, :, None], x, 0)
        seen = mask[:, None]
        if self.causal:
            seen = seen & causal(x.shape[1]).to(mask.device)
        for block in self.blocks:
            x = block(x, seen)
        return Tokens(self.norm(x), mask)


class Resampler(nn.Module):
    """Any number of tokens into a few: learnt queries look at them, each fetches what it is after.

    Parameters
    ----------
    size : int
        Numbers in a token that comes in.
    width : int
        D, numbers in one that goes out.
    count : int
        How many go out.
    heads : int
        A divisor of D.

    References
    ----------
    Alayrac et al. (2022), arXiv:2204.14198, with several blocks; Li et al. (2023),
    arXiv:2301.12597, where the queries attend to each other and to a text as well.
    """

    def __init__(self, size, width, count=8, heads=4):
        super().__init__()
        self.enter = nn.Linear(size, width)
        self.queries = nn.Parameter(torch.randn(count, width))
        self.attend, self.norm = MultiHeadAttention(width, heads), nn.LayerNorm(width)

    def forward(self, x, mask):
        """Tokens (B, T, S) and their mask (B, T); gives `Tokens` (B, count, D).

        A sample without any token has none in the end either.
        """
        x = self.enter(x.where(mask[:, :, None], 0))
        queries = self.queries.expand(len(x), -1, -1)
        found, _ = self.attend(queries, x, mask[:, None])
        there = mask.any(dim=1, keepdim=True).expand(queries.shape[:2])
        return Tokens(self.norm(queries + found), there)


def patches(x, size):
    """Cut images into squares, row after row, and write the pixels of each in a row.

    Parameters
    ----------
    x : Tensor (B, C, H, W) or (B, H, W)
    size : int
        Pixels a side; it divides H and W.

    Returns
    -------
    Tensor (B, T, C size²)
        With T = H W / size².

    References
    ----------
    Dosovitskiy et al. (2020), arXiv:2010.11929.
    """
    x = x[:, None] if x.ndim == 3 else x
    windows = x.unfold(2, size, size).unfold(3, size, size)  # B, C, rows, columns, …
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


class PatchEmbedding(nn.Linear):
    """Images into tokens: one dense layer for all `patches`.

    Parameters
    ----------
    size : int
        Pixels a side of a patch.
    channels : int
        Of the images.
    width : int
        D, numbers in a token.

    References
    ----------
    Dosovitskiy et al. (2020), arXiv:2010.11929.
    """

    def __init__(self, size, channels, width):
        super().__init__(channels * size**2, width)
        self.size = size

    def forward(self, x):
        """Images (B, C, H, W), or (B, H, W); gives (B, T, D)."""
        return super().forward(patches(x, self.size))


def join_pair(spelt, pair):
    """Join each occurrence of a pair of neighbours in a word.

    Parameters
    ----------
    spelt : str
        A word whose parts stand each between two spaces of its own.
    pair : (str, str)

    Returns
    -------
    str
        Spelt likewise.
    """
    return spelt.replace(f" {pair[0]}  {pair[1]} ", f" {pair[0]}{pair[1]} ")


def byte_pairs(words, merges):
    """Learn sub-words: join the most frequent pair of neighbours, again and again.

    Parameters
    ----------
    words : dict of int
        Words, and how often each occurs.
    merges : int
        How many pairs to join at most.

    Returns
    -------
    list of (str, str)
        The pairs in the order in which they were joined; of equally frequent ones the first in
        the alphabet.

    References
    ----------
    Sennrich, Haddow and Birch (2016), arXiv:1508.07909.
    """
    spelt, count, pairs = {}, Counter(), []
    for word, often in words.items():
        spelt[word] = f" {'  '.join(word)} "
        for pair in pairwise(word):
            count[pair] += often
    while len(pairs) < merges and max(count.values(), default=0) > 0:
        pairs.append(min(count, key=lambda pair: (-count[pair], pair)))
        for word, often in words.items():
            before, spelt[word] = spelt[word], join_pair(spelt[word], pairs[-1])
            if spelt[word] != before:
                for pair in pairwise(before.split()):
                    count[pair] -= often
                for pair in pairwise(spelt[word].split()):
                    count[pair] += often
    return pairs


def subwords(word, pairs):
    """Cut a word as `byte_pairs` did: join the same pairs in the same order.

    Parameters
    ----------
    word : str
    pairs : list of (str, str)
        From `byte_pairs`.

    Returns
    -------
    list of str
        Its parts; single letters where nothing was learnt.

    References
    ----------
    As for `byte_pairs`.
    """
    spelt = f" {'  '.join(word)} "
    for pair in pairs:
        spelt = join_pair(spelt, pair)
    return spelt.split()


def mask_tokens(tokens, there, mask, size, share=0.15, generator=None):
    """Choose places to be guessed, and hide what stands there: BERT's rule of 80, 10 and 10.

    Parameters
    ----------
    tokens : integer Tensor (B, T)
        Numbers of tokens, 0 to `size` - 1.
    there : BoolTensor (B, T)
        Where a place may be chosen: not padding, not a sign such as ``[SEP]``.
    mask : int
        The number of the token ``[MASK]``.
    size : int
        V, the number of tokens in the vocabulary.
    share : float
        How many of the places that may be chosen are, in the mean.
    generator : torch.Generator, optional
        Where the draws come from; torch's own by default.

    Returns
    -------
    shown : integer Tensor (B, T)
        At a chosen place ``[MASK]`` in 80 % of cases, any token in 10 %, the true one in 10 %.
    chosen : BoolTensor (B, T)
        The places that are to be guessed.

    References
    ----------
    Devlin, Chang, Lee and Toutanova (2019), arXiv:1810.04805, section 3.1.
    """

    def coin(chance):
        p = torch.full(tokens.shape, chance, device=tokens.device)
        return p.bernoulli(generator=generator).bool()

    chosen = coin(share) & there
    hidden, forged = coin(0.8), coin(0.5)
    other = torch.randint(size, tokens.shape, generator=generator, device=tokens.device)
    shown = tokens.where(~(chosen & forged), other)
    return shown.where(~(chosen & hidden), mask), chosen


class LanguageModel(nn.Module):
    """An encoder of tokens that gives each token of its vocabulary a score at every place.

    The scores are inner products with the vectors by which the tokens came in. With
    ``causal=True`` in the encoder it can learn to say what comes next, else what was hidden.

    Parameters
    ----------
    encoder : Module
        ``encoder(tokens, mask)`` gives `Tokens` (B, T, D); ``encoder.embed`` is its
        ``nn.Embedding`` (V, D).

    References
    ----------
    Press and Wolf (2017), arXiv:1608.05859, on the shared vectors.
    """

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.bias = nn.Parameter(torch.zeros(len(encoder.embed.weight)))

    def forward(self, tokens, mask, places=None):
        """Scores (B, T, V), or (N, V) for the N `places` (B, T) that are True, row by row."""
        states = self.encoder(tokens, mask).values
        if places is not None:
            states = states[places]
        return F.linear(states, self.encoder.embed.weight, self.bias)


def next_probabilities(logits, temperature=1.0, top_k=None, top_p=1.0):
    """The probabilities from which the next token is drawn.

    Parameters
    ----------
    logits : Tensor (..., V)
        A language model's scores.
    temperature : float
        Above 0; below 1 the likely become likelier still, above 1 all become more alike.
    top_k : int, optional
        Keep the k likeliest alone.
    top_p : float
        Then keep the likeliest whose probabilities together reach this, and no more.

    Returns
    -------
    Tensor (..., V)

    References
    ----------
    Holtzman, Buys, Du, Forbes and Choi (2020), arXiv:1904.09751, for `top_p`.
    """
    scores, order = (logits / temperature).sort(dim=-1, descending=True)
    if top_k is not None:
        scores[..., top_k:] = -torch.inf
    p = scores.softmax(dim=-1)
    p = p.where(p.cumsum(dim=-1) - p < top_p, 0)  # the sum of those that are likelier
    p = p / p.sum(dim=-1, keepdim=True)
    return torch.zeros_like(p).scatter(-1, order, p)


def cooccurrence(texts, size, window=5):
    """How often each word stands within `window` places of each other word.

    Parameters
    ----------
    texts : list of int arrays
        Each text as the numbers of its words, 0 to `size` - 1; -1 holds the place of a word
        that is not counted.
    size : int
        V, the number of words.
    window : int
        Places to either side that count as near.

    Returns
    -------
    sparse array (V, V)
        Symmetric. No pair reaches from one text into the next.
    """
    gap = np.full(window, -1)
    ids = np.concatenate([part for text in texts for part in (text, gap)])
    counts = csr_array((size, size))
    for apart in range(1, window + 1):
        left, right = ids[:-apart], ids[apart:]
        there = (left >= 0) & (right >= 0)
        pairs = left[there], right[there]
        counts += csr_array((np.ones(there.sum()), pairs), (size, size))
    return counts + counts.T


def ppmi(counts, power=0.75):
    """Positive pointwise mutual information: log of how much more often than by chance, or 0.

    Parameters
    ----------
    counts : sparse array (V, C)
        How often each word met each context.
    power : float
        Below 1 it takes rare contexts for less rare than they are, which calms them.

    Returns
    -------
    sparse array (V, C)
        0 for pairs that met less often than by chance, or never.

    References
    ----------
    Church and Hanks (1990); the power is from Levy, Goldberg and Dagan (2015),
    doi:10.1162/tacl_a_00134.
    """
    table = counts.tocoo()
    i, j = table.coords
    words, contexts = counts.sum(axis=1), counts.sum(axis=0) ** power
    pmi = np.log(table.data * contexts.sum() / (words[i] * contexts[j]))
    return csr_array((pmi[pmi > 0], (i[pmi > 0], j[pmi > 0])), counts.shape)


class SkipGram(nn.Module):
    """Word vectors that tell the pairs of a text from pairs that were drawn: word2vec.

    The words drawn, N of them, are shared by the pairs of a batch and weighted as if each pair
    had drawn `k`: the same in the mean, with less noise and in one product of matrices.

    Parameters
    ----------
    size, width : int
        V, the number of words, and D, the length of their vectors.
    k : int
        Words drawn for each pair that was met.

    Attributes
    ----------
    word, context : Parameter (V, D)
        A word's vector, and its vector as a neighbour of others.

    References
    ----------
    Mikolov, Sutskever, Chen, Corrado and Dean (2013), arXiv:1310.4546.
    """

    def __init__(self, size, width, k=5):
        super().__init__()
        self.word = nn.Parameter((torch.rand(size, width) - 0.5) / width)
        self.context = nn.Parameter((torch.rand(size, width) - 0.5) / width)
        self.k = k

    def forward(self, word, context, negative):
        """Mean loss of pairs that were met, `word` and `context` (B,), and of `negative` (N,)."""
        w, c, n = self.word[word], self.context[context], self.context[negative]
        met, drawn = (w * c).sum(dim=1), w @ n.T
        return F.softplus(-met).mean() + self.k * F.softplus(drawn).mean()

    @torch.no_grad()
    def step(self, word, context, negative, step):
        """Descend: every pair makes a step of its own, as if it had come alone."""
        w, c, n = self.word[word], self.context[context], self.context[negative]
        met = torch.sigmoid((w * c).sum(dim=1, keepdim=True)) - 1  # (B, 1)
        drawn = torch.sigmoid(w @ n.T) * self.k / len(n)  # (B, N)
        self.word.index_add_(0, word, met * c + drawn @ n, alpha=-step)
        self.context.index_add_(0, context, met * w, alpha=-step)
        self.context.index_add_(0, negative, drawn.T @ w, alpha=-step)


class GloVe(nn.Module):
    """Word vectors whose products are the logarithms of the counts, biases aside.

    Parameters
    ----------
    size, width : int
        V, the number of words, and D, the length of their vectors.
    most : float
        A pair that was counted so often, or more often, has weight 1; others have less.

    Attributes
    ----------
    word, context : Parameter (V, D)
        Their sum is the vector to use.
    word_bias, context_bias : Parameter (V,)

    References
    ----------
    Pennington, Socher and Manning (2014), doi:10.3115/v1/D14-1162.
    """

    def __init__(self, size, width, most=100):
        super().__init__()
        self.word = nn.Parameter((torch.rand(size, width) - 0.5) / width)
        self.context = nn.Parameter((torch.rand(size, width) - 0.5) / width)
        self.word_bias = nn.Parameter(torch.zeros(size))
        self.context_bias = nn.Parameter(torch.zeros(size))
        self.most = most

    def forward(self, word, context, count):
        """Weighted mean square of what is missing to the logarithm of each `count` (B,), > 0."""
        w, c = F.embedding(word, self.word), F.embedding(context, self.context)
        guess = (w * c).sum(dim=1) + self.word_bias[word] + self.context_bias[context]
        weight = (count / self.most).clamp(max=1) ** 0.75
        return (weight * (guess - count.log()) ** 2).mean()


def mean_of_tokens(encoded, present):
    """The plainest fusion: the mean of all tokens that are there, whatever their modality.

    A missing modality has no part in the mean; a sample without any token gets zeros.

    Parameters
    ----------
    encoded : dict of Tokens
        All of one width D.
    present : dict of BoolTensor (B,)
        Which modalities each sample has.

    Returns
    -------
    Tensor (B, D)
    """
    values = torch.cat([tokens.values for tokens in encoded.values()], dim=1)
    mask = torch.cat([t.mask & present[name][:, None] for name, t in encoded.items()], dim=1)
    total = torch.where(mask[:, :, None], values, 0).sum(dim=1)
    return total / mask.sum(dim=1, keepdim=True).clamp(min=1)


class MultimodalModel(nn.Module):
    """One encoder a modality, a fusion, a head: the whole book in one class.

    Parameters
    ----------
    encoders : dict of Module
        ``encoder(values, mask)`` gives `Tokens`.
    fusion : callable
        ``fusion(encoded, present)`` gives (B, D).
    head : Module
        From (B, D) to the outputs.

    References
    ----------
    Document 000, section 4.2: M = F(I, T, A).
    """

    def __init__(self, encoders, fusion, head):
        super().__init__()
        self.encoders, self.fusion, self.head = nn.ModuleDict(encoders), fusion, head

    def forward(self, batch):
        """Outputs for a `Batch`; a modality that no sample of it has is left to the fusion."""
        encoded = {
            name: encoder(batch.inputs[name], batch.mask[name])
            for name, encoder in self.encoders.items()
            if name in batch.inputs
        }
        return self.head(self.fusion(encoded, batch.present))


# What follows guards the definitions above against input that would give a wrong answer without
# a word, or an error far from its cause. It looks at shapes and kinds alone: to look at values
# would make a GPU wait.


def _vectors(self, x, mask):
    if x.ndim not in (2, 3) or x.shape[-1] != self.size:
        refuse("x", f"has shape (B, {self.size}) or (B, T, {self.size})", tuple(x.shape))
    shape = (len(x), 1) if x.ndim == 2 else tuple(x.shape[:2])
    if mask.shape != shape:
        refuse("mask", f"has shape {shape}", tuple(mask.shape))


def _images(x):
    if x.ndim not in (3, 4) or 0 in x.shape:
        refuse("x", "has shape (B, C, H, W) or (B, H, W)", tuple(x.shape))


def _convnet(self, x, mask=None):
    if self.channels != (1 if x.ndim == 3 else x.shape[1]):
        refuse("x", f"has shape (B, {self.channels}, H, W)", tuple(x.shape))
    mask = _all_there(x) if mask is None else mask
    if mask.shape != (len(x), 1):
        refuse("mask", f"has shape ({len(x)}, 1)", tuple(mask.shape))
    return {"mask": mask}


def _all_there(x):
    return torch.ones(len(x), 1, dtype=torch.bool, device=x.device)


def _attention(Q, K, mask):
    if mask is not None:
        front = torch.broadcast_shapes(Q.shape[:-2], K.shape[:-2])
        _broadcasts(mask, (*front, Q.shape[-2], K.shape[-2]))


def _broadcasts(mask, shape):
    given = (1,) * (len(shape) - mask.ndim) + tuple(mask.shape)
    if len(given) != len(shape) or any(m not in (1, n) for m, n in zip(given, shape, strict=True)):
        words = f"has shape {tuple(shape)} or one that broadcasts to it"
        refuse("mask", words, tuple(mask.shape))


def _multi_head(queries, keys, mask):
    if mask is not None and mask.ndim != 3:
        raise ValueError(
            f"mask has shape (B, Tq, Tk), got {tuple(mask.shape)}; "
            "for a mask of the keys, (B, Tk), give mask[:, None]"
        )
    if mask is not None:
        _broadcasts(mask, (len(keys), queries.shape[1], keys.shape[1]))


def _transform(self, x, mask=None):
    if x.ndim < 2 or 0 in x.shape:
        refuse("x", "has shape (B, T, ...)", tuple(x.shape))
    mask = _all_there(x) if mask is None else mask
    if mask.ndim != 2 or len(mask) != len(x):
        refuse("mask", f"has shape ({len(x)}, T)", tuple(mask.shape))
    if self.positions == "learned" and mask.shape[1] > self.table.num_embeddings:
        raise ValueError(
            f"{mask.shape[1]} tokens, and positions for {self.table.num_embeddings} are learnt"
        )
    return {"mask": mask}


def _spellable(words):
    if bad := [word for word in words if not word or any(c.isspace() for c in word)]:
        raise ValueError(f"a word has a letter at least and no space in it, got {bad[0]!r}")


def _texts(texts, size):
    texts = [np.asarray(text, dtype=int if len(text) == 0 else None) for text in texts]
    if not texts or {text.ndim for text in texts} != {1}:
        raise ValueError("texts is a list of one or more arrays of word numbers, each (T,)")
    if wrong := [text.dtype for text in texts if text.dtype.kind not in "iu"]:
        raise TypeError(f"texts hold the numbers of words, got {wrong[0]}")
    if any(len(text) and not -1 <= text.min() <= text.max() < size for text in texts):
        raise ValueError(f"word numbers are -1 to {size - 1} with size={size}")
    return {"texts": texts}


def _counts(counts):
    counts = csr_array(counts)
    if counts.ndim != 2 or counts.nnz == 0:
        raise ValueError(f"counts is a table with at least one pair, got {counts.shape}")
    if not np.isfinite(counts.data).all() or counts.data.min() < 0:
        raise ValueError("counts holds a negative number, NaN or infinity")
    counts.eliminate_zeros()
    return {"counts": counts}


def _one_width(encoded):
    widths = {name: tokens.values.shape[-1] for name, tokens in encoded.items()}
    if len(set(widths.values())) != 1:
        raise ValueError(f"the mean needs tokens, all of one width; got {widths}")


def _known(self, batch):
    if not any(name in batch.inputs for name in self.encoders):
        raise ValueError(f"the batch has {list(batch.inputs)}, but none of {list(self.encoders)}")


WINDOWS = {"x": "B C H W float", "stride": "1 or more", "padding": "0 or more"}
KERNEL = "K <= H + 2 * padding and L <= W + 2 * padding  # else no kernel of weight fits into x"
LAYERS = "all(size >= 1 and stride >= 1 for size, stride in layers)"
WINDOW = "size <= min(H, W) + 2 * padding  # else no window fits into x"
VARIANCE = "B * H * W > 1 or not training  # one value a channel of x has no variance"
CHANNELS = dict.fromkeys(("running_mean", "running_var", "weight", "bias"), "C")
HALVES = "min(H, W) >= .least  # of x a block halves both"
SQUARES = "H % size == W % size == 0  # x is cut into whole squares"
PAIRS = "not turned or width // heads % 2 == 0  # rotary positions turn pairs"
SEQUENCES = {"queries": "B Tq .key.in_features", "keys": "B Tk .key.in_features"}
HIDDEN = {"tokens": "B? T? int", "there": "B T bool", "share": "0 to 1"}

conv2d = checked(KERNEL, **WINDOWS, weight="O C K L", bias="O")(conv2d)
max_pool2d = checked(WINDOW, "padding <= size / 2", **WINDOWS, size="1 or more")(max_pool2d)
batch_norm = checked(VARIANCE, x="B C H W float", **CHANNELS)(batch_norm)
receptive_field = checked(LAYERS)(receptive_field)
mlp = checked(before="1 or more", after="1 or more", hidden="1 or more")(mlp)
guard(Dense, "__init__", "width is not None or hidden is None  # hidden needs a width")
guard(Dense, "forward", _vectors, x="... d float", mask="... bool")
guard(ConvNet, "forward", _images, _convnet, HALVES, x="... H? W? float")
rnn_cell = checked(state=["B H"], x="B D", weights=["H D", "H H", "H", "H"])(rnn_cell)
lstm_cell = checked(state=["B H"] * 2, x="B D", weights=["4H D", "4H H", "4H", "4H"])(lstm_cell)
gru_cell = checked(state=["B H"], x="B D", weights=["3H D", "3H H", "3H", "3H"])(gru_cell)
unroll = checked(x="B T D float", mask="B T bool")(unroll)
guard(Recurrent, "__init__", kind=("rnn", "lstm", "gru"))
guard(Recurrent, "forward", x="B T .size float", mask="B T bool")
guard(Resampler, "__init__", count="1 or more")
guard(Resampler, "forward", x="B T .enter.in_features float", mask="B T bool")
guard(AdditiveAttention, "forward", states="B T .key.in_features float", mask="B T bool")
attention = checked(_attention, Q="... Tq? d", K="... Tk d", V="... Tk e?", mask="... bool")(
    attention
)
sinusoidal = checked(length="1 or more", width="even, 2 or more")(sinusoidal)
rotary = checked(x="... T 2d")(rotary)
guard(MultiHeadAttention, "__init__", "width % heads == 0", PAIRS, heads="1 or more")
guard(MultiHeadAttention, "forward", _multi_head, **SEQUENCES, mask="... bool")
guard(TransformerEncoder, "__init__", positions=("sinusoidal", "learned", "rotary", None))
guard(TransformerEncoder, "forward", _transform, mask="... bool")
patches = checked(SQUARES, _images, x="... H? W?", size="1 or more")(patches)
byte_pairs = checked(_spellable, "len(words) >= 1", merges="0 or more")(byte_pairs)
subwords = checked(lambda word: _spellable([word]))(subwords)
mask_tokens = checked("0 <= mask < size", lambda share: {"share": float(share)}, **HIDDEN)(
    mask_tokens
)
guard(LanguageModel, "forward", tokens="B T", places="B T bool")
next_probabilities = checked(
    logits="... V float", temperature="above 0", top_k="1 or more", top_p="above 0 to 1"
)(next_probabilities)
cooccurrence = checked(_texts, size="1 or more", window="1 or more")(cooccurrence)
ppmi = checked(_counts)(ppmi)
guard(SkipGram, "forward", word="B", context="B", negative="N")
guard(SkipGram, "step", word="B", context="B", negative="N")
guard(GloVe, "forward", word="B", context="B", count="B")
mean_of_tokens = checked(_one_width)(mean_of_tokens)
guard(MultimodalModel, "forward", _known)
