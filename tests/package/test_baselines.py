"""Classic classifiers against slow references, scikit-learn, and hostile input."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from mmlearn import baselines

RNG = np.random.default_rng(0)
COUNTS, KINDS = RNG.poisson(1.0, size=(30, 6)), RNG.integers(3, size=30)
TABLE, SIDES = RNG.normal(size=(60, 4)), np.where(RNG.random(60) < 0.5, -1, 1)


def slow_split(X, Y):
    """Every cut of every column, one after the other."""
    best = (-1.0, 0, 0.0)
    for column in range(X.shape[1]):
        values = np.unique(X[:, column])
        for low, high in pairwise(values):
            left = X[:, column] <= (low + high) / 2
            purity = sum((Y[s].sum(0) ** 2).sum() / s.sum() for s in (left, ~left))
            if purity > best[0] + 1e-12:
                best = (purity, column, (low + high) / 2)
    return best[1:]


@given(st.integers(2, 12), st.integers(1, 4), st.integers(2, 3), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_best_split_is_the_purest_of_all_cuts(n, d, k, seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.integers(4, size=(n, d)).astype(float), np.eye(k)[rng.integers(k, size=n)]
    if (X.max(axis=0) == X.min(axis=0)).all():
        return

    def purity(column, threshold):
        left = X[:, column] <= threshold
        return sum((Y[s].sum(0) ** 2).sum() / s.sum() for s in (left, ~left))

    assert purity(*baselines.best_split(X, Y)) == pytest.approx(purity(*slow_split(X, Y)))


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("alpha", [0.1, 1.0, 3.0])
def test_naive_bayes_is_scikit_learns(container, alpha):
    ours = baselines.MultinomialNaiveBayes(alpha).fit(container(COUNTS), KINDS)
    library = MultinomialNB(alpha=alpha).fit(COUNTS, KINDS)
    assert ours.log_likelihood == pytest.approx(library.feature_log_prob_)
    assert ours.log_joint(container(COUNTS)) == pytest.approx(
        library.predict_joint_log_proba(COUNTS)
    )
    assert (ours.predict(container(COUNTS)) == library.predict(COUNTS)).all()


def test_hinge_objective_is_the_slow_loop():
    w = RNG.normal(size=4)
    slow = w @ w / 2 + 0.7 * sum(
        max(0.0, 1 - s * float(row @ w)) for row, s in zip(TABLE, SIDES, strict=True)
    )
    assert baselines.hinge_objective(w, TABLE, SIDES, 0.7) == pytest.approx(slow)


@pytest.mark.parametrize("C", [0.001, 0.01, 0.1])
def test_linear_svm_finds_the_lowest_objective(C):
    ours = baselines.LinearSVM(C, steps=5_000).fit(TABLE, SIDES)
    library = LinearSVC(loss="hinge", C=C, fit_intercept=False, tol=1e-9, max_iter=10**6)
    lowest = baselines.hinge_objective(library.fit(TABLE, SIDES).coef_[0], TABLE, SIDES, C)
    assert lowest <= baselines.hinge_objective(ours.w, TABLE, SIDES, C) * (1 + 1e-6)
    assert baselines.hinge_objective(ours.w, TABLE, SIDES, C) <= lowest * (1 + 2e-3)


def test_linear_svm_takes_sparse_rows():
    dense = baselines.LinearSVM(0.1, 50).fit(TABLE, SIDES)
    thin = baselines.LinearSVM(0.1, 50).fit(sparse.csr_matrix(TABLE), SIDES)
    assert thin.w == pytest.approx(dense.w)
    assert (thin.predict(sparse.csr_matrix(TABLE)) == dense.predict(TABLE)).all()


@pytest.mark.parametrize("depth", [1, 3, None])
def test_tree_is_scikit_learns(depth):
    labels = np.array(["ham", "spam", "tea"])[KINDS]
    X = RNG.normal(size=(30, 3))
    ours = baselines.DecisionTree(depth).fit(X, labels)
    library = DecisionTreeClassifier(max_depth=depth, random_state=0).fit(X, labels)
    assert ours.predict_proba(X) == pytest.approx(library.predict_proba(X))
    assert (ours.predict(X) == library.predict(X)).all()


def test_tree_stops_where_nothing_varies():
    tree = baselines.DecisionTree().fit(np.ones((4, 2)), [0, 1, 1, 1])
    assert tree.predict_proba(np.ones((1, 2))).tolist() == [[0.25, 0.75]]


def test_forest_is_as_good_as_scikit_learns_on_digits():
    bunch = load_digits()
    X, y, X_new, y_new = bunch.data[:900], bunch.target[:900], bunch.data[900:], bunch.target[900:]
    ours = np.mean(baselines.RandomForest(trees=30).fit(X, y).predict(X_new) == y_new)
    library = RandomForestClassifier(n_estimators=30, random_state=0).fit(X, y)
    assert ours > 0.85 and abs(ours - library.score(X_new, y_new)) < 0.03


def test_forest_repeats_with_its_seed_and_differs_with_another():
    first, again, other = (baselines.RandomForest(3, s).fit(TABLE, SIDES) for s in (1, 1, 2))
    assert (first.predict_proba(TABLE) == again.predict_proba(TABLE)).all()
    assert (first.predict_proba(TABLE) != other.predict_proba(TABLE)).any()
    assert first.predict_proba(TABLE).sum(axis=1) == pytest.approx(1)


def test_forest_survives_a_bootstrap_sample_without_a_class():
    y = np.array([0] * 59 + [1])
    shares = baselines.RandomForest(trees=8).fit(TABLE, y).predict_proba(TABLE)
    assert shares.shape == (60, 2) and shares.sum(axis=1) == pytest.approx(1)


CLASSES = [
    (baselines.MultinomialNaiveBayes, COUNTS, KINDS),
    (baselines.LinearSVM, TABLE, SIDES),
    (baselines.DecisionTree, TABLE, SIDES),
    (baselines.RandomForest, TABLE, SIDES),
]


@pytest.mark.parametrize(("cls", "X", "y"), CLASSES)
class TestHostileInput:
    def test_unequal_numbers(self, cls, X, y):
        with pytest.raises(ValueError, match=rf"y has shape \({len(y)},\), got \({len(y) - 1},\)"):
            cls().fit(X, y[:-1])

    def test_empty(self, cls, X, y):
        with pytest.raises(ValueError, match=r"X has shape .*none of them 0"):
            cls().fit(X[:0], y[:0])

    def test_nan(self, cls, X, y):
        with pytest.raises(ValueError, match="NaN"):
            cls().fit(np.where(X.max() == X, np.nan, X), y)

    def test_flat(self, cls, X, y):
        with pytest.raises(ValueError, match=r"X has shape \(n, d\), got"):
            cls().fit(X[0], y[:1])

    def test_other_columns_than_fitted(self, cls, X, y):
        with pytest.raises(ValueError, match=f"2 columns, and {X.shape[1]} were fitted"):
            cls().fit(X, y).predict(X[:, :2])

    def test_not_fitted(self, cls, X, y):
        with pytest.raises(ValueError, match="call fit first"):
            cls().predict(X)

    def test_one_sample(self, cls, X, y):
        assert cls().fit(X[:1], y[:1]).predict(X[:1]).tolist() == [y[0]]


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match=r"got X.min\(\)=-1.0; naive Bayes takes counts"):
        baselines.MultinomialNaiveBayes().fit(COUNTS - 1, KINDS)


def test_svm_refuses_labels_of_zero_and_one():
    with pytest.raises(ValueError, match="labels are -1 or 1"):
        baselines.LinearSVM().fit(TABLE, (SIDES + 1) // 2)
