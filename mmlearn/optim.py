"""Optimisation from scratch, in NumPy: what chapter 2_optimisation teaches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit

Array = np.ndarray


def finite_difference(f: Callable[[Array], float], w: Array, h: float = 1e-5) -> Array:
    """Gradient of `f` at `w` by central differences, one coordinate at a time.

    Parameters
    ----------
    f : callable
        Takes an array shaped like `w` and returns a number.
    w : array of any shape
        Where to differentiate; floats.
    h : float
        Half the distance between the two points of a difference.

    Returns
    -------
    array shaped like `w`
        Its error is of order h² from the curve and 1e-16 / h from rounding.
    """
    gradient = np.zeros_like(w)
    for i in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[i] = h
        gradient[i] = (f(w + step) - f(w - step)) / (2 * h)
    return gradient


def gradient_descent(
    gradient: Callable[[Array], Array], w: Array, step: float, steps: int
) -> Array:
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


def logistic_loss(w: Array, X: Array, y: Array, l2: float) -> float:
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


def logistic_gradient(w: Array, X: Array, y: Array, l2: float) -> Array:
    """Gradient of `logistic_loss` with respect to `w`, of shape (d,)."""
    p = expit(X @ w)
    return X.T @ (p - y) / len(y) + l2 * w


def logistic_curvature(X: Array, l2: float) -> tuple[float, float]:
    """Bounds on the curvature of `logistic_loss`: everywhere and in every direction.

    The second derivative is ``X.T @ diag(p * (1 - p)) @ X / n + l2``, and ``p * (1 - p)`` lies
    between 0 and 1/4.

    Returns
    -------
    mu, L : float
        The least and the greatest curvature that any `w` and any labels can give.
    """
    return l2, np.linalg.eigvalsh(X.T @ X / len(X)).max() / 4 + l2
