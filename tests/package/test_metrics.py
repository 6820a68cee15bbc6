"""Intervals: against scipy, and in how many worlds they hold the truth."""

import numpy as np
import pytest
from scipy import stats

from mmlearn.metrics import bootstrap, mean_interval

RNG = np.random.default_rng(0)


def test_bootstrap_is_the_percentile_interval_of_scipy():
    sample = RNG.normal(size=80)
    ours = bootstrap(np.mean, sample, resamples=4_000, seed=1)
    theirs = stats.bootstrap(
        (sample,), np.mean, n_resamples=4_000, method="percentile", rng=1
    ).confidence_interval
    assert ours.value == sample.mean()
    assert ours[1:] == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    inside = 0
    for world in range(200):
        _, low, high = bootstrap(np.mean, RNG.normal(size=60), resamples=300, seed=world, level=0.9)
        inside += low <= 0 <= high
    assert 0.83 <= inside / 200 <= 0.96  # 0.9 give or take three standard errors


def test_bootstrap_keeps_rows_together():
    x = RNG.normal(size=50)
    value, low, high = bootstrap(lambda a, b: np.mean(a - b), x, x + 1, seed=0)
    assert value == low == high == pytest.approx(-1)


def test_bootstrap_repeats_with_its_seed():
    x = RNG.normal(size=50)
    assert bootstrap(np.median, x, seed=5) == bootstrap(np.median, x, seed=5)
    assert bootstrap(np.median, x, seed=5) != bootstrap(np.median, x, seed=6)


@pytest.mark.parametrize("arrays", [(), (np.ones(1),), (np.ones(0),), (np.ones(3), np.ones(4))])
def test_bootstrap_refuses_what_has_no_interval(arrays):
    with pytest.raises(ValueError, match="bootstrap needs"):
        bootstrap(np.mean, *arrays)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_bootstrap_refuses_a_level_that_is_none(level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        bootstrap(np.mean, np.ones(3), level=level)


def test_mean_interval_is_students_t():
    values = [1.0, 2.0, 4.0, 4.5, 3.0]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert mean_interval(values) == pytest.approx((np.mean(values), low, high))


@pytest.mark.parametrize("values", [[], [1.0], [[1.0, 2.0]]])
def test_mean_interval_needs_two_runs(values):
    with pytest.raises(ValueError, match="at least two"):
        mean_interval(values)
