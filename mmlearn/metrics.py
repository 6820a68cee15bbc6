"""How good, and how sure: intervals for what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from mmlearn.runtime import current


class Interval(NamedTuple):
    """A measured value with its uncertainty."""

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Callable[..., float],
    *arrays: np.ndarray,
    seed: int | None = None,
    level: float = 0.95,
    resamples: int = 1000,
) -> Interval:
    """Percentile bootstrap interval of a statistic over samples.

    Parameters
    ----------
    statistic : callable
        Takes arrays like those given and returns a number.
    *arrays : array of shape (n, ...)
        One row a sample; all are resampled with the same rows, so predictions stay with their
        labels and two models stay paired.
    seed : int, optional
        By default the seed of the run.
    level : float
        Share of the resamples that the interval covers.
    resamples : int
        How many times to draw n rows with replacement.

    Returns
    -------
    Interval
        The statistic of the arrays as they are, and the interval, widened if need be to hold it.

    Raises
    ------
    ValueError
        If there are no arrays, fewer than two rows, or unequal numbers of rows.

    References
    ----------
    Efron (1979), Bootstrap methods: another look at the jackknife,
    doi:10.1214/aos/1176344552.
    """
    columns = [np.asarray(a) for a in arrays]
    lengths = {len(c) for c in columns}
    if len(lengths) != 1 or min(lengths) < 2:
        raise ValueError(f"bootstrap needs arrays with one number of rows, at least 2: {lengths}")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it lies between 0 and 1")
    (n,) = lengths
    rng = np.random.default_rng(current().seed if seed is None else seed)
    rows = rng.integers(n, size=(resamples, n))
    drawn = np.array([statistic(*(c[row] for c in columns)) for row in rows])
    tail = (1 - level) / 2
    value = float(statistic(*columns))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(value, float(min(low, value)), float(max(high, value)))


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Mean of a few independent runs (seeds, splits) with Student's t interval.

    Parameters
    ----------
    values : sequence of float
        One value a run, at least two.
    level : float
        Confidence level.

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        If there are fewer than two values.
    """
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(f"an interval needs at least two values, got shape {array.shape}")
    half = stats.sem(array) * stats.t.ppf((1 + level) / 2, len(array) - 1)
    return Interval(float(array.mean()), float(array.mean() - half), float(array.mean() + half))
