"""Optimisation from scratch, in NumPy: what part 2 of the book teaches.

The definitions stand on the book's pages as they stand here, so types and shapes are in the
docstrings, not in annotations.
"""

# mypy: allow-untyped-defs

import numpy as np
from scipy.special import expit

from mmlearn.checks import checked, guard


def finite_difference(f, w, h=1e-5):
    """Gradient of `f` at `w` by central differences, one coordinate at a time.

    Parameters
    ----------
    f : callable
        Takes an array shaped like `w` and returns a number.
    w : array of any shape
        Where to differentiate.
    h : float
        Half the distance between the two points of a difference.

    Returns
    -------
    array shaped like `w`
        Its error is of order h² from the curve and 1e-16 / h from rounding.
    """
    gradient = np.zeros(w.shape)
    for i in np.ndindex(w.shape):
        step = np.zeros(w.shape)
        step[i] = h
        gradient[i] = (f(w + step) - f(w - step)) / (2 * h)
    return gradient


def gradient_descent(gradient, w, step, steps):
    """Walk downhill: ``w ← w - step * gradient(w)``, `steps` times.

    Parameters
    ----------
    gradient : callable
        Takes an array shaped like `w` and returns the gradient there, in the same shape.
    w : array of any shape
        Where to start; it is not changed.
    step : float
        The step size, also called learning rate.
    steps : int
        How many steps.

    Returns
    -------
    array of shape (steps + 1, *w.shape)
        The whole path, from the start to the end.
    """
    path = [w]
    for _ in range(steps):
        w = w - step * gradient(w)
        path.append(w)
    return np.stack(path)


def logistic_loss(w, X, y, l2):
    """Mean logistic loss of the labels, plus ``l2 / 2 * w @ w``.

    Parameters
    ----------
    w : array of shape (d,)
        One weight a column.
    X : array of shape (n, d)
        One row a sample; a column of ones makes its weight the bias.
    y : array of shape (n,)
        Labels, 0 or 1.
    l2 : float
        Strength of the penalty, 0 or more.

    Returns
    -------
    float
    """
    z = X @ w
    return np.mean(np.logaddexp(0, z) - y * z) + l2 / 2 * w @ w


def logistic_gradient(w, X, y, l2):
    """Gradient of `logistic_loss` with respect to `w`.

    Parameters
    ----------
    w, X, y, l2
        As for `logistic_loss`.

    Returns
    -------
    array of shape (d,)
    """
    p = expit(X @ w)
    return X.T @ (p - y) / len(y) + l2 * w


def logistic_curvature(X, l2):
    """Bounds on the curvature of `logistic_loss`: everywhere and in every direction.

    The second derivative is ``X.T @ diag(p * (1 - p)) @ X / n + l2``, and ``p * (1 - p)`` lies
    between 0 and 1/4.

    Parameters
    ----------
    X : array of shape (n, d)
    l2 : float

    Returns
    -------
    mu, L : float
        The least and the greatest curvature that any `w` and any labels can give.
    """
    return l2, np.linalg.eigvalsh(X.T @ X / len(X)).max() / 4 + l2


def batches(n, B, rng):
    """Row numbers, `B` at a time and for ever; each pass over the rows has a new order.

    Parameters
    ----------
    n, B : int
        How many rows there are, and how many make a batch; the last one of a pass may be smaller.
    rng : numpy Generator
        Where the orders come from.

    Yields
    ------
    array of at most B integers

    References
    ----------
    Robbins and Monro (1951), doi:10.1214/aoms/1177729586.
    """
    while True:
        order = rng.permutation(n)
        for first in range(0, n, B):
            yield order[first : first + B]


def descend(rule, gradient, w, steps):
    """Walk downhill by a rule: ``w ← rule(w, gradient(w), step)`` for each of the steps.

    Parameters
    ----------
    rule : callable
        `Momentum`, `AdaGrad`, `RMSProp` or `Adam`, made anew: what it remembers is of one walk.
    gradient : callable
        Takes an array shaped like `w`, returns the gradient there, or that of a batch.
    w : array of any shape
        Where to start; it is not changed.
    steps : sequence of float
        The step size at each step, such as ``0.1 * cosine_decay(np.arange(100), 100)``.

    Returns
    -------
    array of shape (len(steps) + 1, *w.shape)
        The whole path, from the start to the end.
    """
    path = [w]
    for step in steps:
        w = rule(w, gradient(w), step)
        path.append(w)
    return np.stack(path)


class Momentum:
    """Gradient descent with a velocity; with ``beta=0`` it is plain.

    Parameters
    ----------
    beta : float
        Share of the old velocity that is kept, 0 to below 1.
    nesterov : bool
        Whether the gradient just seen counts once more, as if the velocity were a step further.

    References
    ----------
    Polyak (1964), doi:10.1016/0041-5553(64)90137-5; Sutskever and others (2013), On the
    importance of initialization and momentum in deep learning.
    """

    def __init__(self, beta=0.9, nesterov=False):
        self.beta, self.nesterov, self.velocity = beta, nesterov, 0.0

    def __call__(self, w, g, step):
        """The next weights, from the gradient `g` at `w`."""
        self.velocity = self.beta * self.velocity + g
        ahead = g + self.beta * self.velocity if self.nesterov else self.velocity
        return w - step * ahead


class AdaGrad:
    """Each weight's step is divided by the root of its squared gradients' sum.

    Parameters
    ----------
    eps : float
        Keeps the divisor above zero.

    References
    ----------
    Duchi, Hazan and Singer (2011), JMLR 12.
    """

    def __init__(self, eps=1e-10):
        self.eps, self.total = eps, 0.0

    def __call__(self, w, g, step):
        """The next weights, from the gradient `g` at `w`."""
        self.total = self.total + g**2
        return w - step * g / (np.sqrt(self.total) + self.eps)


class RMSProp:
    """Each weight's step is divided by the root of its squared gradients' running mean.

    Parameters
    ----------
    beta : float
        Share of the old mean that is kept, 0 to below 1.
    eps : float
        Keeps the divisor above zero.

    References
    ----------
    Tieleman and Hinton (2012), lecture 6.5 of Neural networks for machine learning.
    """

    def __init__(self, beta=0.99, eps=1e-8):
        self.beta, self.eps, self.square = beta, eps, 0.0

    def __call__(self, w, g, step):
        """The next weights, from the gradient `g` at `w`."""
        self.square = self.beta * self.square + (1 - self.beta) * g**2
        return w - step * g / (np.sqrt(self.square) + self.eps)


class Adam:
    """RMSProp with a running mean in place of the gradient, both corrected for starting at 0.

    Parameters
    ----------
    beta1, beta2 : float
        Shares of the old means that are kept, of the gradient and of its square.
    eps : float
        Keeps the divisor above zero.
    decay : float
        Share of each weight, times the step, that is taken away: above 0 this is AdamW.

    References
    ----------
    Kingma and Ba (2015), arXiv:1412.6980; Loshchilov and Hutter (2019), arXiv:1711.05101.
    """

    def __init__(self, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
        self.beta1, self.beta2, self.eps, self.decay = beta1, beta2, eps, decay
        self.t, self.mean, self.square = 0, 0.0, 0.0

    def __call__(self, w, g, step):
        """The next weights, from the gradient `g` at `w`."""
        self.t += 1
        self.mean = self.beta1 * self.mean + (1 - self.beta1) * g
        self.square = self.beta2 * self.square + (1 - self.beta2) * g**2
        mean = self.mean / (1 - self.beta1**self.t)
        square = self.square / (1 - self.beta2**self.t)
        return w - step * (mean / (np.sqrt(square) + self.eps) + self.decay * w)


def step_decay(t, every, factor):
    """Share of the first step size at step `t`: times `factor` after `every` so many steps.

    Parameters
    ----------
    t : int or array of int
        Steps, from 0.
    every : int
        Steps from one cut to the next.
    factor : float

    Returns
    -------
    float or array, shaped as t
    """
    return factor ** (t // every)


def exponential_decay(t, factor):
    """Share of the first step size at step `t`: times `factor` after each step.

    Parameters
    ----------
    t
        As for `step_decay`.
    factor : float

    Returns
    -------
    float or array, shaped as t
    """
    return factor**t


def cosine_decay(t, total):
    """Share of the first step size at step `t`: half a wave down to 0 at `total`.

    Parameters
    ----------
    t
        As for `step_decay`.
    total : int
        Steps in all; no t is past it.

    Returns
    -------
    float or array, shaped as t

    References
    ----------
    Loshchilov and Hutter (2017), arXiv:1608.03983.
    """
    return (1 + np.cos(np.pi * t / total)) / 2


def warm_up(t, total, first):
    """Share of the full step size at step `t`: a line from `first` to 1 at `total`, then 1.

    Parameters
    ----------
    t
        As for `step_decay`.
    total : int
        Steps until the full size is reached.
    first : float
        Share at step 0.

    Returns
    -------
    float or array, shaped as t
    """
    return first + (1 - first) * np.minimum(t / total, 1)


# What follows guards the definitions above against input that would give a wrong answer without
# a word: NumPy broadcasts labels of shape (n, 1) to a square, for one.


def _descent(gradient, w):
    if (shape := np.shape(gradient(w))) != w.shape:
        raise ValueError(f"the gradient is shaped like w, {w.shape}, got {shape}")


def _walk(steps):
    steps = np.asarray(steps, dtype=float)
    if steps.ndim == 0:
        raise ValueError(f"steps has one size a step, such as np.full(100, {steps}); got a number")
    return {"steps": steps}


LIKE_W = "g.shape == w.shape  # the gradient is shaped like w"
IN_WAVE = "0 <= t.min() and t.max() <= total  # past it the wave would rise again"
logistic = checked(X="n d real", w="d array", y="n 0/1", l2="0 or more")

finite_difference = checked(w="... array")(finite_difference)
gradient_descent = checked(_descent, w="... array", step="a finite number", steps="0 or more")(
    gradient_descent
)
logistic_loss, logistic_gradient = logistic(logistic_loss), logistic(logistic_gradient)
logistic_curvature = checked(X="n d real", l2="0 or more")(logistic_curvature)
batches = checked("1 <= B <= n")(batches)
descend = checked(_walk, w="... array")(descend)
guard(Momentum, "__init__", beta="0 to below 1")
guard(RMSProp, "__init__", beta="0 to below 1")
guard(Adam, "__init__", beta1="0 to below 1", beta2="0 to below 1")
for _kind in (Momentum, AdaGrad, RMSProp, Adam):
    guard(_kind, "__call__", LIKE_W, "np.isfinite(step).all()", w="... array", g="... array")
cosine_decay = checked(IN_WAVE, t="... labels", total="above 0")(cosine_decay)
