"""Whom a model serves worse, what its promises are worth, and what has to be said beside it.

All of it looks at answers only, whatever model gave them. The definitions stand on the book's
pages as they stand here, so types and shapes are in the docstrings, not in annotations.
"""

# mypy: allow-untyped-defs

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from mmlearn.checks import checked


def group_gaps(score, group, resamples=2_000, seed=0):
    """How much better or worse each group fares than all others, and how often chance does so.

    Parameters
    ----------
    score : array of shape (n,)
        Of each sample: 1 if right and 0 if wrong, say, or a loss.
    group : array of shape (n,)
        The group that each sample is of.
    resamples : int
        Permutations of the scores; the smallest p-value is 1 / (resamples + 1).
    seed : int
        Of the permutations.

    Returns
    -------
    names : array of shape (G,)
    gap : array of shape (G,)
        Mean score in the group less the mean outside it.
    p : array of shape (G,)
        How often a permutation's gap is as large, to either side. Not yet corrected for having
        looked at G groups: see `holm`.

    References
    ----------
    Phipson and Smyth (2010), doi:10.2202/1544-6115.1585, on the one that is added.
    """
    names, member = np.unique(group, return_inverse=True)
    inside = member == np.arange(len(names))[:, None]
    size = inside.sum(axis=1, keepdims=True)
    contrast = inside / size - ~inside / (len(score) - size)
    gap, rng = contrast @ score, np.random.default_rng(seed)
    dealt = np.stack([contrast @ rng.permutation(score) for _ in range(resamples)])
    as_large = (abs(dealt) >= abs(gap) - 1e-12).sum(axis=0)
    return names, gap, (1 + as_large) / (1 + resamples)


def holm(p):
    """p-values that may all be looked at: less than a is then found by chance with risk a at most.

    Parameters
    ----------
    p : array of shape (G,)

    Returns
    -------
    array of shape (G,)
        Never smaller than p.

    References
    ----------
    Holm (1979), www.jstor.org/stable/4615733.
    """
    order = np.argsort(p)
    worst = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(worst, 1)
    return adjusted


def temperature(logits, y):
    """The number to divide logits by, so that their probabilities promise what they keep.

    Parameters
    ----------
    logits : array of shape (n, K)
        Of samples that the model was not trained on.
    y : array of shape (n,)
        Their labels, 0 to K - 1.

    Returns
    -------
    float
        Which has the smallest log loss; above 1, the model was too sure.

    References
    ----------
    Guo et al. (2017), arXiv:1706.04599.
    """

    def loss(log_t):
        return -log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(y)), y].mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded").x))


def conformal_threshold(score, miss=0.1):
    """What a new sample's score stays below or at, but for a share `miss` of samples.

    Parameters
    ----------
    score : array of shape (n,)
        How badly the true label of each calibration sample fitted: 1 less its probability, say.
    miss : float
        The share of new samples that may lie above, over draws of calibration and new sample.

    Returns
    -------
    float
        Infinite if there are too few samples to promise so much.

    References
    ----------
    Papadopoulos et al. (2002), doi:10.1007/3-540-36755-1_29; Angelopoulos and Bates (2021),
    arXiv:2107.07511.
    """
    n = len(score)
    rank = int(np.ceil((n + 1) * (1 - miss) - 1e-9))
    return float(np.sort(score)[rank - 1]) if rank <= n else np.inf


# What follows guards the definitions above.


def _groups(group):
    if None in (g := group.tolist()) or len({*map(type, g)}) > 1 or len(np.unique(g)) < 2:
        raise ValueError("group has two or more groups, all of one type; name what is None")


LABELS = "y.dtype.kind in 'iu'  # y holds labels", "0 <= y.min() and y.max() < K"
group_gaps = checked(_groups, score="n real", group="n labels", resamples="1 or more")(group_gaps)
holm = checked("0 <= p.min() and p.max() <= 1  # p holds probabilities", p="G real")(holm)
temperature = checked(*LABELS, logits="n K real", y="n labels")(temperature)
conformal_threshold = checked("0 < miss < 1", score="n real")(conformal_threshold)
