"""Audits against slow definitions, libraries, and what they promise over many draws."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import permutation_test
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from mmlearn.audit import conformal_threshold, group_gaps, holm, temperature
from mmlearn.data import Batch
from mmlearn.encoders import Dense, MultimodalModel
from mmlearn.fusion import Sum


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


@pytest.mark.parametrize("miss", [0.1, 0.3, 0.7, 0.9])
def test_no_rank_is_lost_to_rounding(miss):
    for n in range(9, 400, 10):
        exact = round((n + 1) * (1 - miss))
        assert conformal_threshold(np.arange(1.0, n + 1), miss) == exact


def world(n, seed):
    """Two groups; the label of those in b hangs on what no model was shown in training."""
    rng = np.random.default_rng(seed)
    x, group = rng.normal(size=(n, 4)), rng.choice(["a", "b"], size=n, p=[0.7, 0.3])
    seen = np.where((group == "b")[:, None], x[:, [2, 3, 0, 1]], x)
    return x, group, (seen[:, 0] + 0.5 * seen[:, 1] > 0).astype(int)


def pipeline(x, y):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=10)).fit(x, y)
    return lambda x: np.log(model.predict_proba(x).clip(1e-9))  # of 0 it has no logarithm


def trained(net, call, x, y):
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(150):
        optimiser.zero_grad()
        F.cross_entropy(call(net, x), torch.tensor(y)).backward()
        optimiser.step()
    net.eval().requires_grad_(False)
    return lambda x: call(net, x)


def module(x, y):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    return trained(net, lambda net, x: net(torch.tensor(x).float()), x, y)


def fused(x, y):
    def call(net, x):
        values = torch.tensor(x).float()[:, None]
        inputs = {"image": values[..., :2], "text": values[..., 2:]}
        mask = {name: torch.ones(len(x), 1) > 0 for name in inputs}
        return net(Batch(inputs, mask, {name: m[:, 0] for name, m in mask.items()}, None))

    torch.manual_seed(0)
    widths = {"image": 4, "text": 4}
    encoders = {name: Dense(2, 4, 8) for name in widths}
    return trained(MultimodalModel(encoders, Sum(widths, 8), nn.Linear(8, 2)), call, x, y)


@pytest.mark.parametrize("kind", [pipeline, module, fused])
def test_any_callable_can_be_audited(kind):
    """A pipeline, a torch module, a fused model: their answers are all that is looked at."""
    x, group, y = world(600, 0)
    f = kind(x[group == "a"], y[group == "a"])
    x, group, y = world(4_000, 1)
    scores = f(x)
    right = np.asarray(scores).argmax(axis=1) == y
    names, gap, p = group_gaps(right, group, 200)
    assert names.tolist() == ["a", "b"] and gap[0] > 0.2 and gap[0] == pytest.approx(-gap[1])
    assert (holm(p) < 0.05).all()
    t = temperature(scores, y)
    assert t > 1.5, "in b it is often wrong and as sure as in a"
    logits = torch.tensor(np.asarray(scores, float))
    loss = [F.cross_entropy(logits / by, torch.tensor(y)).item() for by in (1, t, 0.9 * t, 1.1 * t)]
    assert min(loss) == loss[1]
    fits = 1 - (logits / t).softmax(dim=1).numpy()
    score, half = fits[np.arange(4_000), y], np.arange(4_000) < 2_000
    covered = score <= conformal_threshold(score[half])
    assert covered[~half].mean() == pytest.approx(0.9, abs=0.03)
    own = {g: conformal_threshold(score[half & (group == g)]) for g in names}
    covered = score <= np.array([own[g] for g in group])
    for g in names:
        assert covered[~half & (group == g)].mean() == pytest.approx(0.9, abs=0.05)


def test_one_sample_is_enough_for_nothing_and_breaks_nothing():
    assert conformal_threshold([0.3]) == np.inf
    assert holm([0.2]).tolist() == [0.2]
    assert np.isfinite(temperature([[1.0, 2.0]], [0]))
    _, gap, p = group_gaps([1.0, 0.0], ["a", "b"], 50)
    assert gap.tolist() == [1, -1] and p.tolist() == [1, 1]
    assert group_gaps(np.ones(6), ["a", "b", "b"] * 2, 50)[2].tolist() == [1, 1]


def test_tensors_and_booleans_are_taken_as_they_come():
    right, group = torch.tensor([True, False, True, True]), torch.tensor([0, 1, 1, 0])
    assert group_gaps(right, group, 20)[1].tolist() == [0.5, -0.5]
    assert holm(torch.tensor([0.01, 0.04])).tolist() == pytest.approx([0.02, 0.04])


@pytest.mark.parametrize(
    "call",
    [
        lambda: group_gaps([1.0, 0.0], ["a", "a"]),
        lambda: group_gaps([1.0, np.nan], ["a", "b"]),
        lambda: group_gaps([1.0], ["a", "b"]),
        lambda: group_gaps([], []),
        lambda: group_gaps(np.ones((3, 2)), ["a", "b", "b"]),
        lambda: group_gaps([1.0, 0.0], [["a"], ["b"]]),
        lambda: group_gaps([1.0], ["a"]),
        lambda: group_gaps([1.0, 0.0, 1.0], ["a", None, "b"]),
        lambda: group_gaps([1.0, 0.0], [None, None]),
        lambda: group_gaps([1.0, 0.0, 1.0], np.array(["a", np.nan, "b"], object)),
        lambda: group_gaps([1.0, 0.0], ["a", "b"], 0),
        lambda: group_gaps(None, ["a"]),
        lambda: holm([0.5, 1.2]),
        lambda: holm([-0.1, 0.2]),
        lambda: holm([]),
        lambda: holm(0.2),
        lambda: holm([0.1, np.nan]),
        lambda: temperature([1.0, 2.0], [0, 1]),
        lambda: temperature(np.zeros((2, 3)), [0]),
        lambda: temperature(np.zeros((2, 3)), [0, -1]),
        lambda: temperature(np.zeros((2, 3)), [0.0, 1.0]),
        lambda: temperature(np.zeros((2, 3)), ["a", "b"]),
        lambda: temperature([[0.0, np.nan]], [0]),
        lambda: temperature(np.zeros((2, 3)), [0, 3]),
        lambda: temperature(np.zeros((0, 3)), []),
        lambda: conformal_threshold([], 0.1),
        lambda: conformal_threshold([0.1, 0.2], 0.0),
        lambda: conformal_threshold([0.1, 0.2], np.nan),
        lambda: conformal_threshold([[0.1, 0.2]], 0.1),
        lambda: conformal_threshold([0.1, np.inf], 0.1),
    ],
)
def test_hostile_input_gets_a_clear_error(call):
    with pytest.raises(ValueError, match=r"got|NaN|two or more|probabilities"):
        call()
