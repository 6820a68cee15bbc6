"""Optimisation from scratch, in NumPy: what part 2 of the book teaches.

The definitions stand on the book's pages as they stand here, so types and shapes are in the
docstrings, not in annotations.
"""

# mypy: allow-untyped-defs

import numpy as np
from scipy.special import expit

from mmlearn.checks import as_labels, as_table, checked


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
    """
    z = X @ w
    return np.mean(np.logaddexp(0, z) - y * z) + l2 / 2 * w @ w


def logistic_gradient(w, X, y, l2):
    """Gradient of `logistic_loss` with respect to `w`, of shape (d,)."""
    p = expit(X @ w)
    return X.T @ (p - y) / len(y) + l2 * w


def logistic_curvature(X, l2):
    """Bounds on the curvature of `logistic_loss`: everywhere and in every direction.

    The second derivative is ``X.T @ diag(p * (1 - p)) @ X / n + l2``, and ``p * (1 - p)`` lies
    between 0 and 1/4.

    Returns
    -------
    mu, L : float
        The least and the greatest curvature that any `w` and any labels can give.
    """
    return l2, np.linalg.eigvalsh(X.T @ X / len(X)).max() / 4 + l2


# What follows guards the definitions above against input that would give a wrong answer without
# a word: NumPy broadcasts labels of shape (n, 1) to a square, for one.


def _penalty(l2):
    if not l2 >= 0:
        raise ValueError(f"l2 is 0 or more, got {l2}")
    return l2


def _logistic(w, X, y, l2):
    w, X = np.asarray(w, dtype=float), as_table(X)
    n, d = X.shape
    if w.shape != (d,):
        raise ValueError(f"w has one weight a column of X, ({d},), got {w.shape}")
    return w, X, as_labels(y, n, known=(0, 1)), _penalty(l2)


def _descent(gradient, w, step, steps):
    w = np.asarray(w, dtype=float)
    if steps < 0 or not np.isfinite(step):
        raise ValueError(f"step is a number and steps is 0 or more, got {step} and {steps}")
    shape = np.shape(gradient(w))
    if shape != w.shape:
        raise ValueError(f"the gradient is shaped like w, {w.shape}, got {shape}")
    return gradient, w, step, steps


def _difference(f, w, h=1e-5):
    return f, np.asarray(w, dtype=float), h


finite_difference = checked(_difference)(finite_difference)
gradient_descent = checked(_descent)(gradient_descent)
logistic_loss = checked(_logistic)(logistic_loss)
logistic_gradient = checked(_logistic)(logistic_gradient)
logistic_curvature = checked(lambda X, l2: (as_table(X), _penalty(l2)))(logistic_curvature)
