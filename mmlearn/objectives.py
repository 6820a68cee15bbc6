"""Objectives that compare: vectors of two modalities, samples of two domains, two networks.

The definitions stand on the book's pages as they stand here, so types and shapes are in the
docstrings, not in annotations.
"""

# mypy: allow-untyped-defs

import functools
import math
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mmlearn.checks import checked, guard


def cca(X, Y, dims, ridge=1e-3):
    """Canonical correlation analysis: directions along which two tables agree most.

    Parameters
    ----------
    X, Y : arrays of shape (n, p) and (n, q)
        Row i of both is of one sample.
    dims : int
        How many pairs of directions, at most the smaller of p and q.
    ridge : float
        Added to the variance of each column, in its unit. Without it, tables with as many
        columns as rows agree perfectly, whatever they hold.

    Returns
    -------
    A, B : arrays of shape (p, dims) and (q, dims)
        The columns of ``(X - mean) @ A`` have variance 1 (the ridge counted in) and no
        correlation with each other, nor with another column than their own of
        ``(Y - mean) @ B``.
    correlation : array of shape (dims,)
        Of each pair, from the largest down; with a ridge it is smaller than what is seen in X
        and Y themselves.

    Raises
    ------
    ValueError
        If a table holds NaN, numbers of rows differ, or `dims` or `ridge` are out of range; if
        there is no ridge and a column is a combination of others.

    References
    ----------
    Hotelling (1936), doi:10.1093/biomet/28.3-4.321; with a ridge, Vinod (1976),
    doi:10.1016/0304-4076(76)90010-5.
    """
    X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    L, M = (np.linalg.cholesky(Z.T @ Z / len(Z) + ridge * np.eye(Z.shape[1])) for Z in (X, Y))
    between = np.linalg.solve(M, np.linalg.solve(L, X.T @ Y / len(X)).T).T
    U, correlation, V = np.linalg.svd(between, full_matrices=False)
    A, B = np.linalg.solve(L.T, U[:, :dims]), np.linalg.solve(M.T, V[:dims].T)
    return A, B, correlation[:dims]


def scores(a, b, scale):
    """Cosine of each row of a with each row of b, times a scale.

    Parameters
    ----------
    a, b : Tensor (n, D) and (m, D)
    scale : float or Tensor

    Returns
    -------
    Tensor (n, m)
    """
    a = a * (scale / a.norm(dim=1, keepdim=True).clamp(min=1e-8))
    return a @ F.normalize(b, dim=1).T


def positives(log_p, label=None):
    """Mean over rows of the mean over the columns that belong to a row.

    Column i belongs to row i; with labels, (n,), every column of an equal label does.

    Parameters
    ----------
    log_p : Tensor (n, n)
    label : Tensor (n,), optional

    Returns
    -------
    Tensor
    """
    if label is None:
        return log_p.diagonal().mean()
    same = label[:, None] == label
    return (log_p.where(same, 0).sum(dim=1) / same.sum(dim=1)).mean()


def info_nce(queries, keys, temperature=0.07, label=None):
    """Contrastive loss in one direction: which of the keys belongs to a query?

    Parameters
    ----------
    queries, keys : Tensor (n, D)
        Row i of both is of one sample; their lengths do not matter.
    temperature : float or Tensor
        What the cosines are divided by.
    label : Tensor (n,), optional
        Samples with equal labels belong together as well. The loss is then the mean over them
        of minus the log-probability, whose minimum is the log of their number.

    Returns
    -------
    Tensor
        The mean over the queries.

    Raises
    ------
    ValueError
        If shapes do not fit, there is no sample, the temperature is not positive, or (on the
        CPU, where nothing has to wait for it) a number is NaN or infinite.

    References
    ----------
    van den Oord, Li and Vinyals (2018), arXiv:1807.03748; with labels, Khosla et al. (2020),
    arXiv:2004.11362, the form that sums outside the logarithm.
    """
    log_p = scores(queries, keys, 1 / temperature).log_softmax(dim=1)
    return -positives(log_p, label)


def clip_loss(a, b, scale, label=None):
    """Contrastive loss in both directions, from one table of scores.

    Parameters
    ----------
    a, b : Tensor (n, D)
        Two modalities; row i of both is of one sample. Their lengths do not matter.
    scale : float or Tensor
        What the cosines are multiplied by, 1 over the temperature.
    label : Tensor (n,), optional
        As for `info_nce`.

    Returns
    -------
    Tensor
        The mean over samples and directions.

    Raises
    ------
    ValueError
        As for `info_nce`.

    References
    ----------
    Radford et al. (2021), arXiv:2103.00020; with labels, Yang et al. (2022), arXiv:2204.03610.
    """
    z = scores(a, b, scale)
    return -positives(z.log_softmax(dim=0) + z.log_softmax(dim=1), label) / 2


class CLIPLoss(nn.Module):
    """`clip_loss` with a scale that is learnt, and never more than 100.

    Parameters
    ----------
    temperature : float
        Where it starts, 1 over the scale.

    References
    ----------
    Radford et al. (2021), arXiv:2103.00020, section 2.5.
    """

    def __init__(self, temperature=0.07):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self, a, b, label=None):
        """As `clip_loss`."""
        with torch.no_grad():  # set it back, so that its gradient is never cut off
            self.log_scale.clamp_(max=math.log(100))
        return clip_loss(a, b, self.log_scale.exp(), label)


def siglip_loss(a, b, scale, bias, label=None):
    """Sigmoid contrastive loss: each pair by itself, do these two belong together?

    Parameters
    ----------
    a, b, scale, label
        As for `clip_loss`.
    bias : float or Tensor
        Added to every score. Nearly all pairs do not belong together, so it starts at -10.

    Returns
    -------
    Tensor
        The sum over all pairs, over n.

    Raises
    ------
    ValueError
        As for `info_nce`.

    References
    ----------
    Zhai et al. (2023), arXiv:2303.15343.
    """
    z = scores(a, b, scale) + bias
    label = torch.arange(len(z), device=z.device) if label is None else label
    return -F.logsigmoid(torch.where(label[:, None] == label, z, -z)).sum() / len(z)


def coral_loss(a, b):
    """Distance of two covariances: how differently the features of two domains vary together.

    Parameters
    ----------
    a, b : Tensor (n, D) and (m, D)
        Two rows or more each.

    Returns
    -------
    Tensor
        Sum of the squared differences, over 4 D².

    Raises
    ------
    ValueError
        As for `info_nce`.

    References
    ----------
    Sun and Saenko (2016), arXiv:1607.01719.
    """
    a, b = (x - x.mean(dim=0) for x in (a, b))
    apart = a.T @ a / (len(a) - 1) - b.T @ b / (len(b) - 1)
    return apart.square().mean() / 4


def mmd_loss(a, b, bandwidths=(1.0,)):
    """Maximum mean discrepancy, squared: could these two samples be of one distribution?

    Parameters
    ----------
    a, b : Tensor (n, D) and (m, D)
    bandwidths : sequence of float
        Widths h of the kernels exp(-distance² / 2h²), of which the mean is taken.

    Returns
    -------
    Tensor
        The biased estimate: zero for equal samples, and never negative but by rounding.

    Raises
    ------
    ValueError
        As for `info_nce`, and if a bandwidth is not positive.

    References
    ----------
    Gretton et al. (2012), jmlr.org/papers/v13/gretton12a.html.
    """
    x, h = torch.cat([a, b]), torch.as_tensor(bandwidths, dtype=a.dtype, device=a.device)
    length = x.square().sum(dim=1)
    distance = (length[:, None] + length - 2 * x @ x.T).clamp(min=0)
    kernel = torch.exp(-distance / (2 * h[:, None, None] ** 2)).mean(dim=0)
    sign = torch.cat([a.new_full([len(a)], 1 / len(a)), b.new_full([len(b)], -1 / len(b))])
    return sign @ kernel @ sign


def knowledge_distillation_loss(student, teacher, temperature=2.0):
    """How far a student's softened probabilities are from its teacher's.

    Parameters
    ----------
    student, teacher : Tensor (n, k)
        Logits; the teacher gets no gradient.
    temperature : float
        Both logits are divided by it.

    Returns
    -------
    Tensor
        Kullback-Leibler divergence from teacher to student, the mean over samples, times the
        temperature squared, which keeps the gradient's size.

    Raises
    ------
    ValueError
        As for `info_nce`.

    References
    ----------
    Hinton, Vinyals and Dean (2015), arXiv:1503.02531.
    """
    log_p = (teacher.detach() / temperature).log_softmax(dim=1)
    log_q = (student / temperature).log_softmax(dim=1)
    return temperature**2 * (log_p.exp() * (log_p - log_q)).sum() / len(log_p)


# What follows guards the definitions above. A loss is a small difference of large numbers, so it
# is taken in float32 at least, under autocast as well; whether it is a number is looked at on the
# CPU alone, where nothing has to wait for it.


def _in_full(function):
    @functools.wraps(function)
    def guarded(first, second, *others):
        wide = functools.reduce(torch.promote_types, (first.dtype, second.dtype, torch.float32))
        kind = first.device.type
        known = torch.amp.is_autocast_available(kind)
        with torch.autocast(kind, enabled=False) if known else nullcontext():
            value = function(first.to(wide), second.to(wide), *others)
        looked_at = value.device.type == "cpu" and not torch.compiler.is_compiling()
        if looked_at and not value.isfinite():
            raise ValueError(f"{function.__name__}: an input holds NaN or infinity")
        return value

    return guarded


def _tables(X, Y, ridge):
    if not ridge and any(np.linalg.matrix_rank(Z - Z.mean(axis=0)) < Z.shape[1] for Z in (X, Y)):
        raise ValueError("a column is a combination of others: take them out, or give a ridge")


POSITIVE = "one positive number"
PAIRS = {"a": "n D float", "b": "n D float", "scale": POSITIVE, "label": "n int"}
QUERIES = {"queries": "n D float", "keys": "n D float", "label": "n int"}
DOMAINS = {"a": "n D float", "b": "m D float"}
BANDWIDTHS = "len(bandwidths) > 0", "0 < min(bandwidths) and max(bandwidths) < np.inf"

cca = checked("1 <= dims <= min(p, q)", "0 <= ridge < np.inf", _tables, X="n p real", Y="n q real")(
    cca
)
guard(CLIPLoss, "__init__", temperature=POSITIVE)
info_nce = checked(**QUERIES, temperature=POSITIVE)(_in_full(info_nce))
clip_loss, siglip_loss = (checked(**PAIRS)(_in_full(loss)) for loss in (clip_loss, siglip_loss))
coral_loss = checked("min(n, m) >= 2  # one row, in a or b, has no covariance", **DOMAINS)(
    _in_full(coral_loss)
)
mmd_loss = checked(*BANDWIDTHS, **DOMAINS)(_in_full(mmd_loss))
knowledge_distillation_loss = checked(
    student="n k float", teacher="n k float", temperature=POSITIVE
)(_in_full(knowledge_distillation_loss))
