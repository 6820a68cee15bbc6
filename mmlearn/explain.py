"""Why a model said what it said: explanations of any function, and of networks from within.

What can be hidden from a model are the players of a game: columns, words, segments of a picture,
whole modalities. A game is a function of masks (S, M), True where a player is shown, that gives
the model's answers (S,) or (S, K). `shapley`, `kernel_shap`, `lime` and `deletion_curve` take any
game; the `hide_` functions make one of any model. The definitions stand on the book's pages as
they stand here, so types and shapes are in the docstrings, not in annotations.
"""

# mypy: allow-untyped-defs

import itertools
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import comb

from mmlearn.checks import checked, guard


def hide_columns(f, x, background):
    """A game whose players are the columns of one row; a hidden one is filled from other rows.

    Parameters
    ----------
    f : callable
        Takes rows (n, M), gives answers (n,) or (n, K): a pipeline's ``predict_proba``, say.
    x : array of shape (M,)
        The row to explain.
    background : array of shape (B, M)
        Rows that stand for "not known": the answer is the mean over them.

    Returns
    -------
    callable
        The game.

    References
    ----------
    Lundberg and Lee (2017), arXiv:1705.07874, section 4: hidden columns are drawn as if they had
    nothing to do with those shown.
    """

    def game(masks):
        rows = np.where(masks[:, None], x, background).reshape(-1, len(x))
        answers = np.asarray(f(rows))
        return answers.reshape(len(masks), len(background), *answers.shape[1:]).mean(axis=1)

    return game


def hide_words(f, words):
    """A game whose players are the words of one text; a hidden one is left out.

    Parameters
    ----------
    f : callable
        Takes a list of texts, gives answers (n,) or (n, K).
    words : list of str
        The text, cut; it is put together with blanks.

    Returns
    -------
    callable
        The game.
    """

    def game(masks):
        return np.asarray(f([" ".join(itertools.compress(words, mask)) for mask in masks]))

    return game


def hide_segments(f, picture, segments, fill):
    """A game whose players are parts of one picture; a hidden one is painted over.

    Parameters
    ----------
    f : callable
        Takes pictures (n, C, H, W), gives answers (n,) or (n, K).
    picture : array of shape (C, H, W)
    segments : array of shape (H, W)
        For each pixel the number of its part, 0 to M - 1.
    fill : float or array that fits the picture
        What is painted.

    Returns
    -------
    callable
        The game.
    """

    def game(masks):
        shown = masks[:, None, segments]
        return np.asarray(f(np.where(shown, picture, fill).astype(picture.dtype)))

    return game


def hide_modalities(f, batch, nothing=0.0):
    """A game whose players are the modalities of a batch, in the order of their names.

    Parameters
    ----------
    f : callable
        Takes a batch, gives one number for each sample, (B,): the probability of its label, say.
    batch : Batch
        In which no modality is missing.
    nothing : float or array of shape (B,)
        The answer when nothing is shown: the share of the label in training, say.

    Returns
    -------
    callable
        The game; its answers have shape (S, B).
    """
    names = sorted(batch.present)

    def answer(mask):
        if not mask.any():
            return np.broadcast_to(nothing, len(batch))
        shown = zip(names, mask, strict=True)
        present = {name: batch.present[name] & bool(there) for name, there in shown}
        return np.asarray(f(replace(batch, present=present)))

    return lambda masks: np.stack([answer(mask) for mask in masks])


def shapley(game, m):
    """What each player adds, averaged over all orders in which they might enter.

    Parameters
    ----------
    game : callable
        Of masks (S, m).
    m : int
        Players; the game is asked about all 2ᵐ coalitions, so 16 at most.

    Returns
    -------
    array of shape (m,) or (m, K)
        They add up to the answer with all less the answer with none.

    References
    ----------
    Shapley (1953), doi:10.1515/9781400881970-018.
    """
    masks = np.array(list(itertools.product([False, True], repeat=m)))
    answers, size = game(masks), masks.sum(axis=1)
    values = []
    for player in range(m):
        without = np.flatnonzero(~masks[:, player])
        gain = answers[without + 2 ** (m - 1 - player)] - answers[without]
        values.append(np.tensordot(1 / (m * comb(m - 1, size[without])), gain, axes=1))
    return np.array(values)


def coalitions(m, samples, rng):
    """Masks of some but not all of m players, and weights: all if they fit, else drawn in pairs.

    A coalition of s players has Shapley's weight (m - 1) / (C(m, s) s (m - s)); drawn ones come
    as often as that, each with its opposite, and weigh the same.

    Parameters
    ----------
    m : int
        Players, 2 or more.
    samples : int
        How many masks are drawn; with 2ᵐ - 2 or more all are given instead.
    rng : numpy Generator
        Where the draws come from.

    Returns
    -------
    masks : array of bool, shape (S, m)
    weights : array of shape (S,)

    References
    ----------
    As for `kernel_shap`.
    """
    if 2**m - 2 <= samples:
        masks = np.array(list(itertools.product([False, True], repeat=m))[1:-1])
        size = masks.sum(axis=1)
        return masks, (m - 1) / (comb(m, size) * size * (m - size))
    size = np.arange(1, m)
    often = 1 / (size * (m - size))
    size = rng.choice(size, samples // 2, p=often / often.sum())
    masks = rng.random((len(size), m)).argsort(axis=1) < size[:, None]
    return np.concatenate([masks, ~masks]), np.ones(2 * len(size))


def kernel_shap(game, m, samples=1_024, seed=0, draw=coalitions):
    """Shapley values by weighted least squares on some of the coalitions.

    Parameters
    ----------
    game : callable
        Of masks (S, m).
    m : int
        Players, 2 or more.
    samples : int
        Coalitions to ask about, besides none and all; with 2ᵐ - 2 or more of them the values are
        exact.
    seed : int
        Of the draw.
    draw : callable
        Gives masks and weights, as `coalitions` does.

    Returns
    -------
    array of shape (m,) or (m, K)
        They add up to the answer with all less the answer with none.

    References
    ----------
    Lundberg and Lee (2017), arXiv:1705.07874; drawn in pairs, Covert and Lee (2021),
    arXiv:2012.01536.
    """
    masks, weight = draw(m, samples, np.random.default_rng(seed))
    none, everybody = game(np.array([[False] * m, [True] * m]))
    # What the last player gets follows from the sum, so it leaves the equations.
    A = masks[:, :-1] - 1.0 * masks[:, -1:]
    b = (game(masks) - none).T - np.multiply.outer(everybody - none, masks[:, -1])
    scale = np.sqrt(weight)
    first = np.linalg.lstsq(A * scale[:, None], (b * scale).T)[0]
    return np.concatenate([first, [everybody - none - first.sum(axis=0)]])


def lime(game, m, samples=1_000, width=0.25, ridge=1.0, seed=0):
    """The slopes of a linear model that does as the game does, near where all are shown.

    Parameters
    ----------
    game : callable
        Of masks (S, m).
    m : int
        Players.
    samples : int
        Masks to ask about; each hides 1 to m players, all numbers being as likely.
    width : float
        How far "near" reaches, in cosine distance from the mask that shows all.
    ridge : float
        Penalty on the squared slopes.
    seed : int
        Of the draw.

    Returns
    -------
    array of shape (m,) or (m, K)

    References
    ----------
    Ribeiro, Singh and Guestrin (2016), arXiv:1602.04938; as lime's text explainer does it.
    """
    rng = np.random.default_rng(seed)
    hidden = rng.integers(1, m + 1, size=samples)
    masks = rng.random((samples, m)).argsort(axis=1) >= hidden[:, None]
    masks[0] = True
    far = 1 - np.sqrt(masks.mean(axis=1))
    weight = np.exp(-((far / width) ** 2) / 2)
    # Masks less their mean take care of the constant.
    Z = masks - np.average(masks, axis=0, weights=weight)
    return np.linalg.solve((Z.T * weight) @ Z + ridge * np.eye(m), (Z.T * weight) @ game(masks))


def deletion_curve(game, order):
    """The game's answers while players are hidden one after another, from all to none.

    Parameters
    ----------
    game : callable
        Of masks (S, M).
    order : array of shape (M,)
        The players, the first to be hidden first. For the insertion curve turn both round:
        ``deletion_curve(game, order[::-1])[::-1]``.

    Returns
    -------
    array of shape (M + 1,) or (M + 1, K)

    References
    ----------
    Petsiuk, Das and Saenko (2018), arXiv:1806.07421.
    """
    turn = np.argsort(order)
    return game(turn >= np.arange(len(order) + 1)[:, None])


def saliency(f, x, target):
    """The slope of one answer along each input.

    Parameters
    ----------
    f : callable
        Takes x, gives answers (N, K), of which none depends on another sample.
    x : Tensor (N, …)
    target : Tensor (N,)
        Which of the K answers of each sample is meant: its class, say.

    Returns
    -------
    Tensor, shaped as x

    References
    ----------
    Simonyan, Vedaldi and Zisserman (2014), arXiv:1312.6034; they show its absolute value.
    """
    x = x.detach().requires_grad_()
    return torch.autograd.grad(f(x).gather(1, target[:, None]).sum(), x)[0]


def smooth_grad(f, x, target, noise=0.1, samples=25, seed=0):
    """The mean slope around x, over normal noise.

    Parameters
    ----------
    f, x, target
        As for `saliency`.
    noise : float
        Standard deviation of the noise, in the unit of x.
    samples : int
        How many draws.
    seed : int
        Of the noise.

    Returns
    -------
    Tensor, shaped as x

    References
    ----------
    Smilkov et al. (2017), arXiv:1706.03825.
    """
    drawn = torch.Generator().manual_seed(seed)
    moved = (torch.randn(x.shape, generator=drawn, dtype=x.dtype) for _ in range(samples))
    return sum(saliency(f, x + noise * step.to(x.device), target) for step in moved) / samples


class IntegratedGradients:
    """Slopes along the straight way from a baseline to x, times how far x is from it.

    Parameters
    ----------
    f : callable
        As for `saliency`.
    steps : int
        Points on the way, where Gauss and Legendre put them.

    References
    ----------
    Sundararajan, Taly and Yan (2017), arXiv:1703.01365.
    """

    def __init__(self, f, steps=50):
        at, weight = np.polynomial.legendre.leggauss(steps)
        self.f, self.at, self.weight = f, torch.tensor(at + 1) / 2, torch.tensor(weight) / 2

    def attribute(self, x, target, baseline=0.0):
        """The share of each input, shaped as x, and by how much a sample's shares miss the sum.

        Parameters
        ----------
        x, target
            As for `saliency`.
        baseline : float or Tensor that fits x
            What stands for "nothing there".

        Returns
        -------
        shares : Tensor, shaped as x
        gap : Tensor (N,)
            Their sum less f(x) - f(baseline): 0 if the integral were exact.
        """
        step, slope = x - baseline, 0
        for at, weight in zip(self.at.split(8), self.weight.split(8), strict=True):
            points = baseline + torch.einsum("s,...->s...", at.to(x), step)
            slopes = saliency(self.f, points.flatten(0, 1), target.repeat(len(at)))
            slope = slope + torch.tensordot(weight.to(x), slopes.view_as(points), 1)
        shares = step * slope
        with torch.no_grad():
            owed = (self.f(x) - self.f(x - step)).gather(1, target[:, None])[:, 0]
        return shares, shares.flatten(1).sum(dim=1) - owed


class GradCAM:
    """Where in its last maps a convolutional network found what spoke for the answer.

    Parameters
    ----------
    f : callable
        As for `saliency`.
    layer : nn.Module
        A part of the network behind f that gives maps (N, C, h, w).

    References
    ----------
    Selvaraju et al. (2017), arXiv:1610.02391.
    """

    def __init__(self, f, layer):
        self.f, self.layer = f, layer

    def attribute(self, x, target):
        """One map a sample.

        Parameters
        ----------
        x, target
            As for `saliency`.

        Returns
        -------
        Tensor (N, h, w)
            Never below 0.
        """
        seen = []
        hook = self.layer.register_forward_hook(lambda layer, given, maps: seen.append(maps))
        try:
            answers = self.f(x.detach().requires_grad_()).gather(1, target[:, None])
        finally:
            hook.remove()
        (maps,) = seen
        slope = torch.autograd.grad(answers.sum(), maps)[0]
        return F.relu((slope.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1)).detach()


def attention_rollout(weights):
    """How much of each token of the input is in each token of the output, by attention alone.

    Parameters
    ----------
    weights : list of Tensor (B, heads, T, T)
        Attention weights of each layer, from the first.

    Returns
    -------
    Tensor (B, T, T)
        Rows add up to 1. Residuals count as half of each layer, the heads alike.

    References
    ----------
    Abnar and Zuidema (2020), arXiv:2005.00928.
    """
    rolled = torch.eye(weights[0].shape[-1]).to(weights[0])
    for layer in weights:
        rolled = (layer.mean(dim=1) + torch.eye(layer.shape[-1]).to(layer)) / 2 @ rolled
    return rolled


# What follows guards the definitions above. A game or a network that gives anything but one row
# of finite numbers for each question would be explained with nonsense.


def _words(words):
    if isinstance(words, str) or not len(words) or not all(isinstance(w, str) for w in words):
        raise ValueError(f"words is a list of one or more words, got {words!r:.60}")


def _segments(segments):
    if segments.dtype.kind not in "iu" or len(np.unique(segments)) != segments.max() + 1:
        raise ValueError("segments holds whole numbers, each part's own, 0 to M - 1 without a gap")


def _complete(batch):
    if missing := [k for k, there in batch.present.items() if not there.all()]:
        raise ValueError(
            f"explain samples with all modalities: {', '.join(missing)} is missing in some"
        )


def _game(game):
    def played(masks):
        answers = np.asarray(game(masks), dtype=float)
        if answers.shape[:1] != masks.shape[:1] or not np.isfinite(answers).all():
            raise ValueError(
                f"the game gives a finite answer for each of {len(masks)} masks, got an array of "
                f"shape {answers.shape}" + ", with NaN or infinity" * (answers.size > 0)
            )
        return answers

    return {"game": played}


def _network(f):
    def asked(x):
        answers = f(x)
        if not torch.is_tensor(answers) or answers.ndim != 2 or len(answers) != len(x):
            found = tuple(answers.shape) if torch.is_tensor(answers) else type(answers).__name__
            raise ValueError(f"f gives answers of shape ({len(x)}, K), got {found}")
        return answers

    return {"f": asked}


def _asked(x, target):
    if not torch.is_tensor(x) or not x.is_floating_point() or not len(x):
        raise ValueError("x is a tensor of floats with one or more samples; embed numbers first")
    if not torch.is_tensor(target) or target.dtype != torch.int64 or target.shape != x.shape[:1]:
        raise ValueError(f"target names one answer a sample: int64 of shape ({len(x)},)")


def _attention(weights):
    for layer in weights or [torch.empty(0)]:
        if layer.ndim != 4 or layer.shape[2] != layer.shape[3]:
            raise ValueError(f"weights has (B, heads, T, T) a layer, got {tuple(layer.shape)}")


EACH_ONCE = "(np.sort(order) == np.arange(M)).all()  # order names each player once"
hide_columns = checked(x="M real", background="B M real")(hide_columns)
hide_words = checked(_words)(hide_words)
hide_segments = checked(_segments, picture="C H W labels", segments="H W labels")(hide_segments)
hide_modalities = checked(_complete)(hide_modalities)
shapley = checked("m <= 16  # all 2 ** m coalitions are asked about", _game, m="1 or more")(shapley)
kernel_shap = checked(_game, m="2 or more", samples="2 or more")(kernel_shap)
lime = checked(_game, m="1 or more", samples="2 or more", width="above 0", ridge="above 0")(lime)
deletion_curve = checked(_game, EACH_ONCE, order="M labels")(deletion_curve)
saliency = checked(_network, _asked)(saliency)
smooth_grad = checked(_asked, noise="0 or more", samples="1 or more")(smooth_grad)
guard(IntegratedGradients, "__init__", _network, steps="1 or more")
guard(IntegratedGradients, "attribute", _asked)
guard(GradCAM, "__init__", _network)
guard(GradCAM, "attribute", _asked)
attention_rollout = checked(_attention)(attention_rollout)
