"""Against learning by heart: penalties, dropout, normalisation, changed inputs, chosen attacks.

The definitions stand on the book's pages as they stand here, so types and shapes are in the
docstrings, not in annotations. What is random draws from torch's generator, so `mm.start` seeds
it.
"""

# mypy: allow-untyped-defs

import math

import torch
import torch.nn.functional as F
from scipy.stats import beta, norm

from mmlearn.checks import checked


def penalty(parameters, l1=0.0, l2=0.0):
    """What large weights cost: l1 times their absolute values and l2 / 2 times their squares.

    Parameters
    ----------
    parameters : iterable of Tensor
    l1, l2 : float
        The slope of l2 / 2 times a square is l2 times the weight, as in torch's weight_decay.

    Returns
    -------
    Tensor
        To be added to the loss.
    """
    weights = torch.cat([p.flatten() for p in parameters])
    return l1 * weights.abs().sum() + l2 / 2 * weights.square().sum()


def dropout(x, p, training):
    """In training, set each number to 0 with probability p and stretch the others.

    Parameters
    ----------
    x : Tensor
    p : float
        From 0 to less than 1. What stays is divided by 1 - p, so that the mean stays as it was.
    training : bool
        If not, x is left as it is.

    Returns
    -------
    Tensor, shaped as x

    References
    ----------
    Srivastava et al. (2014), jmlr.org/papers/v15/srivastava14a.html; stretched in training, not
    shrunk in evaluation, as all libraries do it.
    """
    if not training:
        return x
    kept = torch.empty_like(x).bernoulli_(1 - p)
    return x * kept / (1 - p)


def layer_norm(x, weight, bias, eps=1e-5):
    """Each vector less its mean, over its standard deviation; then scaled and moved.

    Parameters
    ----------
    x : Tensor (…, D)
    weight, bias : Tensor (D,)
    eps : float
        Added to the variance.

    Returns
    -------
    Tensor, shaped as x
        The same in training and evaluation, and for a batch of one: no sample sees another.

    References
    ----------
    Ba, Kiros and Hinton (2016), arXiv:1607.06450.
    """
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    return centred / (variance + eps).sqrt() * weight + bias


def mixup(x, y, alpha=0.2):
    """Blend each sample with another of the batch, and their labels in the same proportion.

    Parameters
    ----------
    x : Tensor (N, …)
    y : Tensor (N, K)
        Probabilities of the classes, ``F.one_hot(label, K).float()``; `F.cross_entropy` takes
        what is returned.
    alpha : float
        The proportion is drawn from Beta(alpha, alpha): small for hardly blended.

    Returns
    -------
    x, y : Tensor, shaped as given

    References
    ----------
    Zhang et al. (2018), arXiv:1710.09412.
    """
    share = torch.distributions.Beta(alpha, alpha).sample().to(x)
    other = torch.randperm(len(x), device=x.device)
    return share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]


def cutmix(x, y, alpha=1.0):
    """Paste a rectangle of another picture of the batch; labels are shared by area.

    Parameters
    ----------
    x : Tensor (N, C, H, W)
    y : Tensor (N, K)
        As for `mixup`.
    alpha : float
        Of the Beta distribution from which the share of the own area is drawn.

    Returns
    -------
    x, y : Tensor, shaped as given

    References
    ----------
    Yun et al. (2019), arXiv:1905.04899.
    """
    side = math.sqrt(1 - torch.distributions.Beta(alpha, alpha).sample())
    other = torch.randperm(len(x), device=x.device)
    inside = []
    for size in x.shape[2:]:
        middle, half = torch.rand(()) * size, side * size / 2
        at = torch.arange(size, device=x.device)
        inside.append((at >= (middle - half).round()) & (at < (middle + half).round()))
    pasted = inside[0][:, None] & inside[1]
    share = 1 - pasted.float().mean()
    return x.where(~pasted, x[other]), share * y + (1 - share) * y[other]


def rotate(x, degrees):
    """Turn pictures about their middle, against the clock, with black where nothing was.

    Parameters
    ----------
    x : Tensor (N, C, H, W)
    degrees : Tensor (N,)
        For each picture.

    Returns
    -------
    Tensor, shaped as x
        Each pixel is blended of the four next to where it came from.
    """
    angle = torch.deg2rad(degrees).to(x)
    h, w = x.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    up, right = (h - 1) / 2 - rows.to(x), columns.to(x) - (w - 1) / 2
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    from_right, from_up = cos * right + sin * up, cos * up - sin * right
    grid = torch.stack([2 * from_right / (w - 1), -2 * from_up / (h - 1)], dim=-1)
    return F.grid_sample(x, grid, align_corners=True)


def shift(x, rows, columns):
    """Move pictures down and to the right by whole pixels, with black where nothing was.

    Parameters
    ----------
    x : Tensor (N, C, H, W)
    rows, columns : int
        Negative for up and left.

    Returns
    -------
    Tensor, shaped as x
    """
    h, w = x.shape[2:]
    pad = (max(columns, 0), max(-columns, 0), max(rows, 0), max(-rows, 0))
    return F.pad(x, pad)[..., max(-rows, 0) :, max(-columns, 0) :][..., :h, :w]


def spec_augment(x, mask, bands, frames):
    """Blank some neighbouring bands and some neighbouring frames of each recording.

    Parameters
    ----------
    x : Tensor (N, T, D)
        Features of sound, with mean 0 in each band: blank is 0.
    mask : BoolTensor (N, T)
        True where there is a frame.
    bands, frames : int
        Up to how many are blanked; the number is drawn for each recording, and so is the first.

    Returns
    -------
    Tensor, shaped as x

    References
    ----------
    Park et al. (2019), arXiv:1904.08779, without its warping of time.
    """
    blank = []
    for size, length, most in (
        (x.shape[2], x.shape[2], bands),
        (x.shape[1], mask.sum(dim=1), frames),
    ):
        width, first = torch.rand(2, len(x), device=x.device)
        width = (width * (most + 1)).long().clamp(max=length)
        first = (first * (length - width + 1)).long()
        at = torch.arange(size, device=x.device)
        blank.append((at >= first[:, None]) & (at < (first + width)[:, None]))
    in_band, in_time = blank
    return x.masked_fill(in_band[:, None] | in_time[:, :, None], 0)


def add_noise(wave, noise, snr):
    """A sound with a noise under it, at a given ratio of their powers.

    Parameters
    ----------
    wave : Tensor (T,)
    noise : Tensor (T,)
    snr : float
        Signal to noise, in decibels: at 0 both are as strong, at 20 the noise has a hundredth of
        the power.

    Returns
    -------
    Tensor (T,)
    """
    power = wave.square().mean() / noise.square().mean().clamp(min=1e-20)
    return wave + noise * (power / 10 ** (snr / 10)).sqrt()


def fgsm(f, x, y, epsilon, loss=F.cross_entropy, bounds=(0.0, 1.0)):
    """One step as far as allowed, to where the loss grows fastest.

    Parameters
    ----------
    f : callable
        Takes x, gives logits (N, K).
    x : Tensor (N, …)
    y : Tensor (N,)
        Labels.
    epsilon : float
        By how much each number may change.
    loss : callable
        Of logits and labels.
    bounds : (float, float)
        Of what an input may be.

    Returns
    -------
    Tensor, shaped as x

    References
    ----------
    Goodfellow, Shlens and Szegedy (2015), arXiv:1412.6572.
    """
    x = x.detach().requires_grad_()
    slope = torch.autograd.grad(loss(f(x), y), x)[0]
    return (x + epsilon * slope.sign()).detach().clamp(*bounds)


def pgd(f, x, y, epsilon, step, steps=10, loss=F.cross_entropy, bounds=(0.0, 1.0), start=True):
    """Many small steps uphill, never further from x than allowed.

    Parameters
    ----------
    f, x, y, epsilon, loss, bounds
        As for `fgsm`.
    step : float
        By how much each number changes in one step.
    steps : int
    start : bool
        Whether to begin at a random place within reach, instead of at x.

    Returns
    -------
    Tensor, shaped as x

    References
    ----------
    Madry et al. (2018), arXiv:1706.06083.
    """
    moved = x + epsilon * (2 * torch.rand_like(x) - 1) if start else x
    moved = moved.clamp(*bounds)
    for _ in range(steps):
        moved = fgsm(f, moved, y, step, loss, bounds)
        moved = torch.maximum(torch.minimum(moved, x + epsilon), x - epsilon)
    return moved


def votes(f, x, noise, samples, batch=1_000):
    """How often each class wins when normal noise is added to the input.

    Parameters
    ----------
    f : callable
        Takes inputs (n, …), gives logits (n, K).
    x : Tensor (…)
        One input.
    noise : float
        Standard deviation.
    samples : int
        Draws of noise.
    batch : int
        How many of them f gets at once.

    Returns
    -------
    Tensor (K,)
        Whole numbers that add up to `samples`.

    References
    ----------
    As for `certified_radius`.
    """
    counts = 0
    for first in range(0, samples, batch):
        drawn = x + noise * torch.randn(min(batch, samples - first), *x.shape, device=x.device)
        with torch.no_grad():
            logits = f(drawn)
        counts = counts + logits.argmax(dim=1).bincount(minlength=logits.shape[1])
    return counts


def certified_radius(won, samples, noise, risk=0.001):
    """How far an input may be moved, in length, before the vote under noise could change.

    Parameters
    ----------
    won : int
        Votes for the class that was settled on before these samples were drawn.
    samples : int
    noise : float
        Standard deviation of the noise.
    risk : float
        With which the radius may be said wrongly.

    Returns
    -------
    float
        0 if it is not sure that the class has more than half of all votes.

    References
    ----------
    Cohen, Rosenfeld and Kolter (2019), arXiv:1902.02918; the bound on the share is Clopper and
    Pearson's (1934), doi:10.1093/biomet/26.4.404.
    """
    least = beta.ppf(risk, won, samples - won + 1) if won else 0.0
    return noise * max(norm.ppf(least), 0.0) if least > 0.5 else 0.0


# What follows guards the definitions above. At values it looks only where nothing waits for them.


def _weights(parameters):
    if not (parameters := list(parameters)):
        raise ValueError("there are no parameters to hold down")
    return {"parameters": parameters}


def _labelled(x, y):
    if not torch.is_tensor(x) or not x.is_floating_point() or len(x) != len(y):
        raise ValueError(f"x is a tensor of floats with a row for each of the {len(y)} rows of y")


def _inside(x, bounds):
    low, high = bounds
    if not torch.is_tensor(x) or not x.is_floating_point() or not low < high:
        raise ValueError(f"x is a tensor of floats, bounds are (lowest, highest), got {bounds}")
    if x.device.type == "cpu" and not low <= (ends := x.aminmax()).min <= ends.max <= high:
        raise ValueError(f"x leaves its bounds, {low} to {high}, or is NaN")


ATTACK = {"y": "N int", "epsilon": "0 or more"}
penalty = checked(_weights, l1="0 or more", l2="0 or more")(penalty)
dropout = checked(x="... float", p="0 to below 1")(dropout)
layer_norm = checked(x="... D float", weight="D float", bias="D float", eps="0 or more")(layer_norm)
mixup = checked(_labelled, y="N K float", alpha="above 0")(mixup)
cutmix = checked(x="N C H W float", y="N K float", alpha="above 0")(cutmix)
rotate = checked(x="N C H W float", degrees="N")(rotate)
shift = checked("rows == int(rows) and columns == int(columns)", x="N C H W")(shift)
spec_augment = checked(x="N T D float", mask="N T bool", bands="0 or more", frames="0 or more")(
    spec_augment
)
add_noise = checked(wave="T float", noise="T float", snr="a finite number")(add_noise)
fgsm = checked(_inside, **ATTACK)(fgsm)
pgd = checked(_inside, **ATTACK, step="above 0", steps="0 or more")(pgd)
votes = checked(noise="above 0", samples="1 or more", batch="1 or more")(votes)
certified_radius = checked("0 <= won <= samples and 0 < risk < 1", noise="above 0")(
    certified_radius
)
