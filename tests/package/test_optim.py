"""Optimisation from scratch against slow, obvious references, and against hostile input."""

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
        (w, X, y[:, None], 0.1, r"y has one label a row of X, \(40,\), got \(40, 1\)"),
        (w, X, y[:-1], 0.1, "y has one label"),
        (w[:-1], X, y, 0.1, r"w has one weight a column of X, \(5,\), got \(4,\)"),
        (w, X[0], y, 0.1, r"X is a table of shape \(n, d\)"),
        (w, X[:0], y[:0], 0.1, "at least one row"),
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
    with pytest.raises(ValueError, match="step is a number"):
        optim.gradient_descent(lambda v: v, np.ones(1), np.nan, 1)


def test_curvature_refuses_what_is_no_table():
    with pytest.raises(ValueError, match="table of shape"):
        optim.logistic_curvature(np.ones(3), 0.1)
