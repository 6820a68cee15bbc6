"""Optimisation from scratch against slow, obvious references, and against hostile input."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from mmlearn import optim

RNG = np.random.default_rng(0)
X, y = RNG.normal(size=(40, 5)), RNG.integers(2, size=40)
w = RNG.normal(size=5)


def slow_loss(w, X, y, l2):
    """One sample after the other, straight from the likelihood."""
    total = 0.0
    for row, label in zip(X, y, strict=True):
        p = 1 / (1 + np.exp(-sum(a * b for a, b in zip(row, w, strict=True))))
        total -= np.log(p if label == 1 else 1 - p)
    return total / len(y) + l2 / 2 * sum(a * a for a in w)


@given(st.integers(1, 6), st.integers(1, 9), st.floats(0, 2), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_logistic_loss_and_gradient_equal_the_slow_loop_and_torch(d, n, l2, seed):
    rng = np.random.default_rng(seed)
    X, y, w = rng.normal(size=(n, d)), rng.integers(2, size=n), rng.normal(size=d)
    assert optim.logistic_loss(w, X, y, l2) == pytest.approx(slow_loss(w, X, y, l2), rel=1e-9)
    v = torch.tensor(w, requires_grad=True)
    logits, target = torch.tensor(X) @ v, torch.tensor(y, dtype=torch.float64)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target) + l2 / 2 * v @ v
    loss.backward()
    assert optim.logistic_gradient(w, X, y, l2) == pytest.approx(v.grad.numpy(), abs=1e-10)


def test_logistic_loss_does_not_overflow():
    huge = np.array([[1e4], [-1e4]])
    assert optim.logistic_loss(np.ones(1), huge, np.array([1, 0]), 0) == 0
    assert optim.logistic_loss(np.ones(1), huge, np.array([0, 1]), 0) == pytest.approx(1e4)
    assert np.isfinite(optim.logistic_gradient(np.ones(1), huge, np.array([0, 1]), 0)).all()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 2)])
def test_finite_difference_finds_the_gradient_in_any_shape(shape):
    at = RNG.normal(size=shape)
    found = optim.finite_difference(lambda v: np.sum(np.sin(v)), at)
    assert found.shape == shape
    assert found == pytest.approx(np.cos(at), abs=1e-8)


def test_finite_difference_takes_integers():
    assert optim.finite_difference(lambda v: v @ v, np.array([1, 2])) == pytest.approx([2, 4])


@given(st.floats(0.01, 10), st.floats(0, 1.2), st.integers(0, 30))
@settings(max_examples=40, deadline=None)
def test_descent_on_a_parabola_is_the_closed_form(a, share, steps):
    step = share * 2 / a
    path = optim.gradient_descent(lambda v: a * v, np.array([1.0, -2.0]), step, steps)
    expected = np.outer((1 - step * a) ** np.arange(steps + 1), [1.0, -2.0])
    assert path == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_descent_leaves_its_start_alone():
    start = np.ones(2)
    optim.gradient_descent(lambda v: v, start, 0.1, 5)
    assert (start == 1).all()


def test_descent_reaches_scikit_learns_solution():
    l2 = 0.05
    _, L = optim.logistic_curvature(X, l2)
    path = optim.gradient_descent(
        lambda v: optim.logistic_gradient(v, X, y, l2), np.zeros(5), 1 / L, 3_000
    )
    library = LogisticRegression(C=1 / (len(y) * l2), fit_intercept=False, tol=1e-10).fit(X, y)
    assert path[-1] == pytest.approx(library.coef_[0], abs=1e-5)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_curvature_stays_within_its_bounds_for_any_weights(seed, l2):
    at = np.random.default_rng(seed).normal(size=5) * 3
    p = 1 / (1 + np.exp(-X @ at))
    hessian = X.T @ np.diag(p * (1 - p)) @ X / len(X) + l2 * np.eye(5)
    mu, L = optim.logistic_curvature(X, l2)
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert mu - 1e-12 <= eigenvalues.min() and eigenvalues.max() <= L + 1e-12


def test_curvature_bound_is_reached_at_zero():
    numeric = optim.finite_difference(
        lambda v: optim.logistic_gradient(v, X, y, 0.1) @ np.linalg.eigh(X.T @ X)[1][:, -1],
        np.zeros(5),
    )
    assert np.linalg.norm(numeric) == pytest.approx(optim.logistic_curvature(X, 0.1)[1], rel=1e-6)


@pytest.mark.parametrize(
    ("w", "X", "y", "l2", "message"),
    [
        (w, X, y[:, None], 0.1, r"y has shape \(40,\), got \(40, 1\)"),
        (w, X, y[:-1], 0.1, r"y has shape \(40,\), got \(39,\)"),
        (w[:-1], X, y, 0.1, r"w has shape \(5,\), got \(4,\)"),
        (w, X[0], y, 0.1, r"X has shape \(n, d\), got \(5,\)"),
        (w, X[:0], y[:0], 0.1, "X has shape .*none of them 0"),
        (w, np.where(X > 1, np.nan, X), y, 0.1, "X holds NaN"),
        (w, X, 2 * y - 1, 0.1, "labels are 0 or 1"),
        (w, X, y, -1, "l2 is 0 or more"),
        (w, X, y, np.nan, "l2 is 0 or more"),
    ],
)
@pytest.mark.parametrize("function", [optim.logistic_loss, optim.logistic_gradient])
def test_hostile_samples_get_a_clear_error(function, w, X, y, l2, message):
    with pytest.raises(ValueError, match=message):
        function(w, X, y, l2)


def test_one_sample_is_enough():
    assert optim.logistic_loss(np.zeros(5), X[:1], y[:1], 0) == pytest.approx(np.log(2))


def test_descent_refuses_a_gradient_of_another_shape():
    with pytest.raises(ValueError, match=r"shaped like w, \(1, 1\), got \(1, 9\)"):
        optim.gradient_descent(lambda v: v @ np.ones((1, 9)), np.ones((1, 1)), 0.1, 3)
    with pytest.raises(ValueError, match="steps is 0 or more"):
        optim.gradient_descent(lambda v: v, np.ones(1), 0.1, -1)
    with pytest.raises(ValueError, match="step is a finite number, got nan"):
        optim.gradient_descent(lambda v: v, np.ones(1), np.nan, 1)


def test_curvature_refuses_what_is_no_table():
    with pytest.raises(ValueError, match=r"X has shape \(n, d\), got \(3,\)"):
        optim.logistic_curvature(np.ones(3), 0.1)


# --- rules, batches and schedules ---------------------------------------------------------------

Make = Callable[[], Any]
RULES: dict[str, tuple[Make, Callable[..., torch.optim.Optimizer]]] = {
    "plain": (lambda: optim.Momentum(0), torch.optim.SGD),
    "momentum": (lambda: optim.Momentum(0.8), partial(torch.optim.SGD, momentum=0.8)),
    "nesterov": (
        lambda: optim.Momentum(0.8, nesterov=True),
        partial(torch.optim.SGD, momentum=0.8, nesterov=True),
    ),
    "adagrad": (optim.AdaGrad, torch.optim.Adagrad),
    "rmsprop": (lambda: optim.RMSProp(0.9), partial(torch.optim.RMSprop, alpha=0.9)),
    "adam": (lambda: optim.Adam(0.8, 0.95), partial(torch.optim.Adam, betas=(0.8, 0.95))),
    "adamw": (lambda: optim.Adam(decay=0.3), partial(torch.optim.AdamW, weight_decay=0.3)),
}


@pytest.mark.parametrize("name", RULES)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(), (3,), (2, 4)]))
@settings(max_examples=15, deadline=None)
def test_rules_walk_with_torch_step_by_step(name: str, seed: int, shape: tuple[int, ...]) -> None:
    make, library = RULES[name]
    rng = np.random.default_rng(seed)
    start, steps = rng.normal(size=shape), rng.uniform(0.001, 0.2, size=12)
    gradients = rng.normal(size=(12, *shape)) * 10 ** rng.uniform(-3, 3, size=shape)
    v = torch.tensor(start, requires_grad=True)
    optimiser, theirs = library([v], lr=1.0), [start]
    for g, step in zip(gradients, steps, strict=True):
        optimiser.param_groups[0]["lr"] = step
        v.grad = torch.tensor(g)
        optimiser.step()
        theirs.append(v.detach().numpy().copy())
    given_in_turn = iter(gradients)
    path = optim.descend(make(), lambda _: next(given_in_turn), start, steps)
    assert path == pytest.approx(np.stack(theirs), rel=1e-9, abs=1e-12)


def test_plain_descent_is_gradient_descent() -> None:
    path = optim.descend(optim.Momentum(0), np.sin, w, np.full(9, 0.3))
    assert (path == optim.gradient_descent(np.sin, w, 0.3, 9)).all()


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_momentum_on_a_parabola_shrinks_by_the_root_of_beta(
    beta: float, share: float, steps: int
) -> None:
    """Inside the range of steps where the roots of its recurrence are complex."""
    low, high = (1 - np.sqrt(beta)) ** 2, (1 + np.sqrt(beta)) ** 2
    step = low + share * (high - low)
    path = optim.descend(
        optim.Momentum(beta), lambda v: v, np.array([1.0, -2.0]), np.full(steps, step)
    )
    r = np.roots([1, -(1 + beta - step), beta])
    assert abs(r) == pytest.approx(np.sqrt(beta))
    first, second = path[0], path[1]
    weight = (second - r[1] * first) / (r[0] - r[1])
    closed = weight * r[0] ** steps + (first - weight) * r[1] ** steps
    assert path[-1] == pytest.approx(closed.real, abs=1e-9)


def test_many_walks_go_in_columns_each_with_its_own_step() -> None:
    steps = RNG.uniform(0.1, 0.5, size=(6, 3))
    together = optim.descend(optim.Adam(), np.sin, np.ones((4, 3)), steps)
    for column in range(3):
        alone = optim.descend(optim.Adam(), np.sin, np.ones(4), steps[:, column])
        assert together[:, :, column] == pytest.approx(alone)


def test_a_walk_leaves_its_start_alone() -> None:
    for name, (make, _) in RULES.items():
        start = np.ones(2)
        optim.descend(make(), lambda v: v, start, np.full(3, 0.1))
        assert (start == 1).all(), name


@given(st.integers(1, 30), st.data())
@settings(max_examples=40, deadline=None)
def test_every_pass_holds_every_row_once(n: int, data: st.DataObject) -> None:
    B = data.draw(st.integers(1, n))
    drawn, passes = optim.batches(n, B, np.random.default_rng(0)), []
    for _ in range(3):
        rows: list[int] = []
        while len(rows) < n:
            batch = next(drawn)
            assert len(batch) == min(B, n - len(rows))
            rows.extend(batch)
        passes.append(rows)
        assert sorted(rows) == list(range(n))
    assert n < 8 or passes[0] != passes[1]


def torch_rates(schedule: Callable[[torch.optim.Optimizer], Any], steps: int) -> list[float]:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, rates = schedule(optimiser), []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


def test_schedules_are_those_of_torch() -> None:
    from torch.optim import lr_scheduler as torch_schedules

    t = np.arange(40)
    pairs: list[tuple[np.ndarray, Callable[[torch.optim.Optimizer], Any]]] = [
        (optim.step_decay(t, 7, 0.3), lambda o: torch_schedules.StepLR(o, 7, 0.3)),
        (optim.exponential_decay(t, 0.9), lambda o: torch_schedules.ExponentialLR(o, 0.9)),
        (optim.cosine_decay(t, 40), lambda o: torch_schedules.CosineAnnealingLR(o, 40)),
        (optim.warm_up(t, 8, 0.1), lambda o: torch_schedules.LinearLR(o, 0.1, total_iters=8)),
        (
            optim.warm_up(t, 8, 0.1) * optim.cosine_decay(t, 40),
            lambda o: torch_schedules.ChainedScheduler(
                [
                    torch_schedules.LinearLR(o, 0.1, total_iters=8),
                    torch_schedules.CosineAnnealingLR(o, 40),
                ]
            ),
        ),
    ]
    for ours, theirs in pairs:
        assert ours == pytest.approx(torch_rates(theirs, 40), abs=1e-12)


def test_schedules_take_one_step_or_many() -> None:
    for schedule, *settings_ in (
        (optim.step_decay, 3, 0.5),
        (optim.exponential_decay, 0.9),
        (optim.cosine_decay, 10),
        (optim.warm_up, 4, 0.2),
    ):
        many = schedule(np.arange(10), *settings_)
        assert many == pytest.approx([schedule(t, *settings_) for t in range(10)])
        assert many.min() >= 0 and many.max() <= 1


def test_rules_refuse_what_would_broadcast() -> None:
    for make, _ in RULES.values():
        with pytest.raises(ValueError, match=r"got g.shape=\(1, 9\), w.shape=\(1, 1\); the grad"):
            make()(np.ones((1, 1)), np.ones((1, 9)), 0.1)
        with pytest.raises(ValueError, match=r"isfinite\(step\).all\(\) has to hold, got step=nan"):
            make()(np.ones(2), np.ones(2), np.nan)


@pytest.mark.parametrize("share", [1, 1.5, -0.1, np.nan])
def test_rules_refuse_shares_that_are_none(share: float) -> None:
    for make, name in (
        (lambda: optim.Momentum(share), "beta"),
        (lambda: optim.RMSProp(beta=share), "beta"),
        (lambda: optim.Adam(beta1=share), "beta1"),
        (lambda: optim.Adam(beta2=share), "beta2"),
    ):
        with pytest.raises(ValueError, match=f"{name} is 0 to below 1, got {share}"):
            make()


@pytest.mark.parametrize("B", [0, -1, 11])
def test_batches_refuse_sizes_that_do_not_fit(B: int) -> None:
    with pytest.raises(ValueError, match=f"1 <= B <= n has to hold, got B={B}, n=10"):
        optim.batches(10, B, RNG)


def test_a_walk_refuses_a_single_step_size() -> None:
    with pytest.raises(ValueError, match="one size a step, such as"):
        optim.descend(optim.Momentum(), np.sin, w, 0.1)


def test_the_cosine_refuses_steps_past_its_end() -> None:
    with pytest.raises(ValueError, match=r"got t.min\(\)=0, t.max\(\)=11, total=10; past it"):
        optim.cosine_decay(np.arange(12), 10)
    with pytest.raises(ValueError, match="total is above 0, got 0"):
        optim.cosine_decay(0, 0)
