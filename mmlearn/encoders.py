"""Encoders: each maps one modality to tokens, and the model that joins them.

The definitions stand on the book's pages as they stand here, so types and shapes are in the
docstrings, not in annotations.
"""

# mypy: allow-untyped-defs

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from mmlearn.checks import checked


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
    """

    def __init__(self, channels=1, widths=(16, 32)):
        super().__init__()
        layers, before = [], channels
        for width in widths:
            conv = nn.Conv2d(before, width, kernel_size=3, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        self.layers = nn.Sequential(*layers)
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


def _images(x, channels=None):
    if x.ndim != 4 or 0 in x.shape:
        raise ValueError(f"x has shape (B, C, H, W), none of them 0, got {tuple(x.shape)}")
    if not x.is_floating_point():
        raise TypeError(f"x holds numbers of kind {x.dtype}; images are floats: x.float() / 255")
    if channels is not None and x.shape[1] != channels:
        raise ValueError(f"x has {x.shape[1]} channels, expected {channels}")
    return x


def _window(x, size, stride, padding):
    if min(size) < 1 or stride < 1 or padding < 0:
        raise ValueError(
            f"size and stride are 1 or more and padding is 0 or more, "
            f"got {size}, {stride} and {padding}"
        )
    seen = [side + 2 * padding for side in x.shape[2:]]
    if seen[0] < size[0] or seen[1] < size[1]:
        raise ValueError(f"a window of {size} does not fit into the padded image, {seen}")


def _conv2d(x, weight, bias=None, stride=1, padding=0):
    if weight.ndim != 4:
        raise ValueError(f"weight has shape (O, C, K, L), got {tuple(weight.shape)}")
    _window(_images(x, weight.shape[1]), list(weight.shape[2:]), stride, padding)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias has shape ({len(weight)},), got {tuple(bias.shape)}")
    return x, weight, bias, stride, padding


def _max_pool2d(x, size, stride=None, padding=0):
    stride = size if stride is None else stride
    _window(_images(x), [size, size], stride, padding)
    if padding > size / 2:
        raise ValueError(f"padding is at most half of size={size}, got {padding}")
    return x, size, stride, padding


def _batch_norm(x, running_mean, running_var, weight, bias, training, momentum=0.1, eps=1e-5):
    c = _images(x).shape[1]
    parts = {"running_mean": running_mean, "running_var": running_var}
    parts |= {"weight": weight, "bias": bias}
    if wrong := {name: tuple(t.shape) for name, t in parts.items() if t.shape != (c,)}:
        raise ValueError(f"x has {c} channels: expected shape ({c},), got {wrong}")
    if training and x.numel() == c:
        raise ValueError(f"one value a channel has no variance to train with, got {tuple(x.shape)}")
    return x, running_mean, running_var, weight, bias, training, momentum, eps


def _receptive_field(layers):
    layers = list(layers)
    if any(size < 1 or stride < 1 for size, stride in layers):
        raise ValueError(f"each layer is (size, stride), both 1 or more, got {layers}")
    return (layers,)


def _convnet(self, x, mask=None):
    if x.ndim not in (3, 4):
        raise ValueError(f"images have shape (B, C, H, W) or (B, H, W), got {tuple(x.shape)}")
    _images(x[:, None] if x.ndim == 3 else x, self.channels)
    if min(x.shape[-2:]) < self.least:
        raise ValueError(f"images are {self.least} pixels a side at least, got {tuple(x.shape)}")
    if mask is None:
        mask = torch.ones(len(x), 1, dtype=torch.bool, device=x.device)
    if mask.shape != (len(x), 1):
        raise ValueError(f"mask has shape ({len(x)}, 1), got {tuple(mask.shape)}")
    return self, x, mask


def _cell(gates, parts):
    """The check of a cell with so many gates and so many parts of its state."""

    def check(x, state, weights):
        if not isinstance(state, tuple | list) or len(state) != parts:
            names = "(h,)" if parts == 1 else "(h, c)"
            raise ValueError(f"state is the tuple {names} of {parts}, got {type(state).__name__}")
        (b, h), (W, R, *biases) = state[0].shape, weights
        found = [tuple(t.shape) for t in (x, *state, W, R, *biases)]
        rows, d = gates * h, W.shape[1]
        expected = [(b, d), *[(b, h)] * parts, (rows, d), (rows, h), *[(rows,)] * 2]
        if found != expected:
            raise ValueError(
                f"x, state, W, R and two biases have the shapes {expected}, got {found}"
            )
        return x, state, weights

    return check


def _sequences(x, mask, size=None):
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"sequences have shape (B, T, D), none of them 0, got {tuple(x.shape)}")
    if not x.is_floating_point():
        raise TypeError(f"sequences are floats, got {x.dtype}; embed token numbers first")
    if mask.shape != x.shape[:2] or mask.dtype != torch.bool:
        raise ValueError(
            f"mask is bool, {tuple(x.shape[:2])}, got {mask.dtype}, {tuple(mask.shape)}"
        )
    if size is not None and x.shape[2] != size:
        raise ValueError(f"x has {x.shape[2]} numbers a step, expected {size}")


def _unroll(cell, x, mask, state, weights):
    _sequences(x, mask)
    return cell, x, mask, state, weights


def _recurrent(self, x, mask):
    _sequences(x, mask, self.size)
    return self, x, mask


def _recurrent_kind(self, size, width, kind="lstm", both_ways=False):
    if kind not in ("rnn", "lstm", "gru"):
        raise ValueError(f"kind is {kind!r}; it is one of rnn, lstm, gru")
    return self, size, width, kind, both_ways


def _attention(self, states, mask):
    _sequences(states, mask, self.key.in_features)
    return self, states, mask


rnn_cell = checked(_cell(1, 1))(rnn_cell)
lstm_cell = checked(_cell(4, 2))(lstm_cell)
gru_cell = checked(_cell(3, 1))(gru_cell)
unroll = checked(_unroll)(unroll)
Recurrent.__init__ = checked(_recurrent_kind)(Recurrent.__init__)  # type: ignore[method-assign]
Recurrent.forward = checked(_recurrent)(Recurrent.forward)  # type: ignore[method-assign]
AdditiveAttention.forward = checked(_attention)(AdditiveAttention.forward)  # type: ignore[method-assign]


def _mean_of_tokens(encoded, present):
    widths = {name: tokens.values.shape[-1] for name, tokens in encoded.items()}
    if len(set(widths.values())) != 1:
        raise ValueError(f"the mean needs tokens, all of one width; got {widths}")
    return encoded, present


def _multimodal(self, batch):
    if not any(name in batch.inputs for name in self.encoders):
        raise ValueError(f"the batch has {list(batch.inputs)}, but none of {list(self.encoders)}")
    return self, batch


def _guard_forward(cls, check):
    cls.forward = checked(check)(cls.forward)


conv2d = checked(_conv2d)(conv2d)
max_pool2d = checked(_max_pool2d)(max_pool2d)
batch_norm = checked(_batch_norm)(batch_norm)
receptive_field = checked(_receptive_field)(receptive_field)
mean_of_tokens = checked(_mean_of_tokens)(mean_of_tokens)
_guard_forward(ConvNet, _convnet)
_guard_forward(MultimodalModel, _multimodal)
