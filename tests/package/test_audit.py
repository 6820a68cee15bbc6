"""Audits against slow definitions, libraries, and what they promise over many draws."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import permutation_test

from mmlearn.audit import conformal_threshold, group_gaps, holm, temperature


def groups(n=400, seed=0):
    rng = np.random.default_rng(seed)
    group = rng.choice(["de", "en", "zh"], size=n, p=[0.2, 0.5, 0.3])
    return rng, group, (rng.random(n) < np.where(group == "zh", 0.6, 0.85)).astype(float)


def test_gaps_are_a_loop_and_scipys_permutation_test():
    _, group, right = groups()
    names, gap, p = group_gaps(right, group, resamples=4_000)
    assert names.tolist() == ["de", "en", "zh"]
    for name, found, ours in zip(names, gap, p, strict=True):
        inside, outside = right[group == name], right[group != name]
        assert found == pytest.approx(inside.mean() - outside.mean())
        theirs = permutation_test(
            (inside, outside), lambda a, b, axis: abs(a.mean(axis) - b.mean(axis)),
            n_resamples=4_000, vectorized=True, alternative="greater", rng=0,
        ).pvalue  # fmt: skip
        assert ours == pytest.approx(theirs, abs=0.03)
    assert gap[2] < -0.1 and p[2] == 1 / 4_001


def test_where_groups_are_served_alike_few_gaps_are_found():
    rng, group, _ = groups()
    smallest = []
    for seed in range(200):
        p = group_gaps((rng.random(400) < 0.8).astype(float), group, 200, seed)[2]
        smallest.append([p.min(), holm(p).min()])
    raw, corrected = (np.array(smallest) < 0.05).mean(axis=0)
    assert raw > 0.07 and corrected < 0.09


def test_holm_is_the_slow_rule():
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.random(7) ** 3
        slow, worst = np.empty(7), 0.0
        for rank, i in enumerate(np.argsort(p)):
            worst = max(worst, p[i] * (7 - rank))
            slow[i] = min(worst, 1)
        assert np.allclose(holm(p), slow) and (holm(p) >= p).all()
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])


def test_temperature_is_what_a_grid_finds_and_mends_what_was_stretched():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4_000, 4))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = (rng.random((4_000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    for stretch in (0.3, 1.0, 5.0):
        found = temperature(stretch * logits, y)
        assert found == pytest.approx(stretch, rel=0.1)
        grid = np.geomspace(0.1, 10, 400)
        z, label = torch.tensor(stretch * logits), torch.tensor(y)
        best = min(grid, key=lambda t: F.cross_entropy(z / t, label).item())
        assert found == pytest.approx(best, rel=0.02)


@pytest.mark.parametrize("miss", [0.05, 0.1, 0.3])
def test_conformal_sets_cover_as_promised(miss):
    rng, covered = np.random.default_rng(0), []
    for _ in range(3_000):
        score = rng.gamma(2, size=31)
        covered.append(score[30] <= conformal_threshold(score[:30], miss))
    exact = np.ceil(31 * (1 - miss)) / 31
    assert np.mean(covered) == pytest.approx(exact, abs=0.025)
    assert exact >= 1 - miss


def test_too_few_samples_promise_nothing():
    assert conformal_threshold(np.arange(8.0), 0.1) == np.inf
    assert conformal_threshold(np.arange(9.0), 0.1) == 8.0
    assert conformal_threshold(np.arange(9.0)[::-1], 0.5) == 4.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: group_gaps([1.0, 0.0], ["a", "a"]),
        lambda: group_gaps([1.0, np.nan], ["a", "b"]),
        lambda: group_gaps([1.0], ["a", "b"]),
        lambda: group_gaps([], []),
        lambda: holm([0.5, 1.2]),
        lambda: temperature(np.zeros((2, 3)), [0, 3]),
        lambda: temperature(np.zeros((0, 3)), []),
        lambda: conformal_threshold([], 0.1),
        lambda: conformal_threshold([0.1, 0.2], 0.0),
        lambda: conformal_threshold([0.1, np.inf], 0.1),
    ],
)
def test_hostile_input_gets_a_clear_error(call):
    with pytest.raises(ValueError, match=r"got|NaN|two or more"):
        call()
