"""Three classic classifiers from scratch: naive Bayes, a linear SVM, a random forest.

The definitions stand on the book's pages as they stand here, so types and shapes are in the
docstrings, not in annotations.
"""

# mypy: allow-untyped-defs

import numpy as np

from mmlearn.checks import guard


class MultinomialNaiveBayes:
    """Naive Bayes for counts: words of a text, ink of a picture.

    Parameters
    ----------
    alpha : float
        Added to every count, so that no word is impossible in any class.

    Attributes
    ----------
    classes : array of shape (k,)
    log_prior : array of shape (k,)
        Logarithm of each class's share.
    log_likelihood : array of shape (k, d)
        Logarithm of each word's share among all words of a class.

    References
    ----------
    Document 003, section 3.4, mended; Domingos and Pazzani (1997), doi:10.1023/A:1007413511361, on
    why it decides well whose probabilities are wrong.
    """

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def fit(self, X, y):
        """Count. `X` has shape (n, d), dense or sparse, and no negative entry; `y` (n,)."""
        self.classes, sizes = np.unique(y, return_counts=True)
        counts = np.stack([np.ravel(X[y == c].sum(axis=0)) for c in self.classes])
        counts = counts + self.alpha
        self.log_prior = np.log(sizes / len(y))
        self.log_likelihood = np.log(counts / counts.sum(axis=1, keepdims=True))
        return self

    def log_joint(self, X):
        """Logarithm of p(x, y) for every class, up to a term that all classes share: (n, k)."""
        return X @ self.log_likelihood.T + self.log_prior

    def predict(self, X):
        """The likelier class of each row of `X`."""
        return self.classes[self.log_joint(X).argmax(axis=1)]


def hinge_objective(w, X, y, C):
    """The soft-margin SVM's objective: ``w @ w / 2 + C * sum of max(0, 1 - y * (X @ w))``.

    Parameters
    ----------
    w : array of shape (d,)
    X : array or sparse matrix of shape (n, d)
        A column of ones makes its weight the bias.
    y : array of shape (n,)
        -1 or 1.
    C : float
        Price of a violated margin.

    Returns
    -------
    float

    References
    ----------
    Cortes and Vapnik (1995), doi:10.1007/BF00994018.
    """
    return w @ w / 2 + C * np.maximum(0, 1 - y * (X @ w)).sum()


class LinearSVM:
    """A linear support vector machine by sub-gradient descent.

    Parameters
    ----------
    C : float
        Price of a violated margin.
    steps : int
        Sub-gradient steps, each over all samples.

    Attributes
    ----------
    w : array of shape (d,)
        Weights, averaged over the steps, later ones more; use a column of ones for a bias.

    References
    ----------
    Shalev-Shwartz, Singer, Srebro and Cotter (2011), Pegasos, doi:10.1007/s10107-010-0420-4; step
    and mean as in Lacoste-Julien, Schmidt and Bach (2012), arXiv:1212.2002.
    """

    def __init__(self, C=1.0, steps=2000):
        self.C, self.steps = C, steps

    def fit(self, X, y):
        """`X` has shape (n, d), dense or sparse; `y` (n,) holds -1 and 1."""
        w = self.w = np.zeros(X.shape[1])
        for t in range(1, self.steps + 1):
            violated = y * (X @ w) < 1
            w = w - 2 / (t + 1) * (w - self.C * (X.T @ (violated * y)))
            self.w = self.w + 2 / (t + 1) * (w - self.w)
        return self

    def predict(self, X):
        """-1 or 1 for each row of `X`."""
        return np.where(X @ self.w < 0, -1, 1)


def best_split(X, Y):
    """The cut of one column that leaves the two sides purest.

    Parameters
    ----------
    X : array of shape (n, d)
    Y : array of shape (n, k)
        One-hot labels.

    Returns
    -------
    column, threshold
        Rows whose value is at most the threshold go left. Purity is Gini's: the chance that two
        samples drawn from one side are of one class, weighted by the sides' sizes.

    References
    ----------
    Breiman, Friedman, Olshen and Stone (1984), doi:10.1201/9781315139470.
    """
    order = X.argsort(axis=0)
    values = np.take_along_axis(X, order, axis=0)
    left = Y[order].cumsum(axis=0)[:-1]
    right = Y.sum(axis=0) - left
    n_left = np.arange(1, len(X))[:, None]
    purity = (left**2).sum(axis=2) / n_left + (right**2).sum(axis=2) / (len(X) - n_left)
    purity[values[1:] == values[:-1]] = -np.inf  # no cut between equal values
    row, column = np.unravel_index(purity.argmax(), purity.shape)
    return column, (values[row, column] + values[row + 1, column]) / 2


class DecisionTree:
    """A classification tree that cuts one column at a time (CART with Gini's purity).

    Parameters
    ----------
    max_depth : int, optional
        Cuts from the root to a leaf at most; None grows until every leaf is pure.
    max_features : int, optional
        Columns looked at for a cut, drawn at random among those that vary; None looks at all.
    seed : int or Generator
        Of that draw.

    Attributes
    ----------
    classes : array of shape (k,)
    root : tuple or array
        A cut (column, threshold, left, right), or a leaf: the classes' shares, of shape (k,).

    References
    ----------
    Breiman, Friedman, Olshen and Stone (1984), doi:10.1201/9781315139470.
    """

    def __init__(self, max_depth=None, max_features=None, seed=0):
        self.max_depth, self.max_features, self.seed = max_depth, max_features, seed

    def fit(self, X, y):
        """`X` has shape (n, d); `y` (n,) holds any labels."""
        self.rng = np.random.default_rng(self.seed)
        self.classes, codes = np.unique(y, return_inverse=True)
        self.root = self._grow(X, np.eye(len(self.classes))[codes], depth=0)
        return self

    def _grow(self, X, Y, depth):
        columns = np.flatnonzero(X.max(axis=0) > X.min(axis=0))
        if depth == self.max_depth or Y.mean(axis=0).max() == 1 or len(columns) == 0:
            return Y.mean(axis=0)
        columns = self.rng.permutation(columns)[: self.max_features]
        column, threshold = best_split(X[:, columns], Y)
        left = X[:, columns[column]] <= threshold
        branches = (self._grow(X[side], Y[side], depth + 1) for side in (left, ~left))
        return columns[column], threshold, *branches

    def predict_proba(self, X):
        """The shares of the classes in the leaf of each row, of shape (n, k)."""
        shares = np.empty((len(X), len(self.classes)))
        waiting = [(self.root, np.arange(len(X)))]
        while waiting:
            node, rows = waiting.pop()
            if isinstance(node, tuple):
                column, threshold, left, right = node
                goes_left = X[rows, column] <= threshold
                waiting += [(left, rows[goes_left]), (right, rows[~goes_left])]
            else:
                shares[rows] = node
        return shares

    def predict(self, X):
        """The commonest class in the leaf of each row."""
        return self.classes[self.predict_proba(X).argmax(axis=1)]


class RandomForest:
    """Trees that differ, averaged: each sees its own bootstrap sample and random columns.

    Parameters
    ----------
    trees : int
        How many.
    seed : int
        Of the bootstrap samples and the trees.

    Attributes
    ----------
    forest : list of DecisionTree

    References
    ----------
    Breiman (2001), Random forests, doi:10.1023/A:1010933404324.
    """

    def __init__(self, trees=50, seed=0):
        self.trees, self.seed = trees, seed

    def fit(self, X, y):
        """`X` has shape (n, d); `y` (n,) holds any labels."""
        rng = np.random.default_rng(self.seed)
        self.classes, codes = np.unique(y, return_inverse=True)
        self.forest, width = [], int(np.sqrt(X.shape[1]))
        for _ in range(self.trees):
            rows = rng.integers(len(X), size=len(X))
            tree = DecisionTree(max_features=width, seed=rng)
            self.forest.append(tree.fit(X[rows], codes[rows]))
        return self

    def predict_proba(self, X):
        """The trees' mean shares of the classes, of shape (n, k)."""
        mean = np.zeros((len(X), len(self.classes)))
        for tree in self.forest:
            mean[:, tree.classes] += tree.predict_proba(X) / self.trees
        return mean

    def predict(self, X):
        """The class with the greatest mean share for each row."""
        return self.classes[self.predict_proba(X).argmax(axis=1)]


# What follows guards the definitions above against input that would give a wrong answer without
# a word: negative counts, labels that are not -1 and 1, NaN, other columns than those fitted.


def _fit(self, X):
    self._columns = X.shape[1]


def _fitted(self, X):
    if not hasattr(self, "_columns"):
        raise ValueError(f"{type(self).__name__} is not fitted yet; call fit first")
    if X.shape[1] != self._columns:
        raise ValueError(f"X has {X.shape[1]} columns, and {self._columns} were fitted")


COUNTS = "X.min() >= 0  # naive Bayes takes counts"
guard(MultinomialNaiveBayes, "fit", COUNTS, _fit, X="n d real", y="n labels")
guard(LinearSVM, "fit", _fit, X="n d real", y="n -1/1")
guard(DecisionTree, "fit", _fit, X="n d real", y="n labels")
guard(RandomForest, "fit", _fit, X="n d real", y="n labels")
for _kind in (MultinomialNaiveBayes, LinearSVM, DecisionTree, RandomForest):
    for _method in {"predict", "predict_proba", "log_joint"} & set(vars(_kind)):
        guard(_kind, _method, _fitted, X="n d real")
