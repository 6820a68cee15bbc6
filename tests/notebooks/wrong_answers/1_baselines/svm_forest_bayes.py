# Answers that run and look right, each from a misconception that readers have.

# %% sfb-1-answer: no smoothing, so a word's share is its plain frequency
def by_hand():
    return (2 / 3 * 1 / 3) / (2 / 3 * 1 / 3 + 0 * 1 / 2)


# %% sfb-1-answer: the likelihood is taken for the posterior
def by_hand():
    return 3 / 6 * 2 / 6


# %% sfb-1-answer: one is added to each count, but not to the totals
def by_hand():
    return (3 / 3 * 2 / 3) / (3 / 3 * 2 / 3 + 1 / 2 * 2 / 2)


# %% sfb-2-answer: the rarity of words is learnt from the new texts
def classify(train_texts, y, new_texts):
    vectoriser, (X,) = mm.features.tfidf(train_texts)
    _, (X_new,) = mm.features.tfidf(new_texts, vocabulary=vectoriser.vocabulary_)
    return LinearSVC().fit(X, y).predict(X_new)


# %% sfb-3-answer: the signs are compared, so most rows are a tie
def one_versus_rest(X, y, X_new, C=0.01, steps=500):
    classes = np.unique(y)
    machines = [LinearSVM(C, steps).fit(X, np.where(y == c, 1, -1)) for c in classes]
    signs = np.stack([machine.predict(X_new) for machine in machines], axis=1)
    return classes[signs.argmax(axis=1)]


# %% sfb-3-answer: the position of the surest machine is taken for the label
def one_versus_rest(X, y, X_new, C=0.01, steps=500):
    machines = [LinearSVM(C, steps).fit(X, np.where(y == c, 1, -1)) for c in np.unique(y)]
    return np.stack([X_new @ machine.w for machine in machines], axis=1).argmax(axis=1)


# %% sfb-4-answer: the same evidence again changes nothing
def pasted(p, m):
    return p


# %% sfb-4-answer: the probability is raised to the power and not normalised
def pasted(p, m):
    return p**m if p != 0.5 else p


# %% sfb-4-answer: the probability grows in proportion
def pasted(p, m):
    return min(1.0, 0.5 + m * (p - 0.5))


# %% sfb-5-answer: every tree votes on every row, also on those it has seen
def out_of_bag(X, y, trees, width, seed):
    rng = np.random.default_rng(seed)
    classes, codes = np.unique(y, return_inverse=True)
    votes = np.zeros((len(X), len(classes)))
    for _ in range(trees):
        rows = rng.integers(len(X), size=len(X))
        tree = DecisionTree(max_features=width, seed=rng).fit(X[rows], codes[rows])
        votes[:, tree.classes] += tree.predict_proba(X)
    return np.mean(classes[votes.argmax(axis=1)] == y)


# %% sfb-5-answer: one tree decides for each row, so nothing is averaged
def out_of_bag(X, y, trees, width, seed):
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(trees):
        rows = rng.integers(len(X), size=len(X))
        out = np.setdiff1d(np.arange(len(X)), rows)
        tree = DecisionTree(max_features=width, seed=rng).fit(X[rows], y[rows])
        scores.append(np.mean(tree.predict(X[out]) == y[out]))
    return np.mean(scores)

# %% sfb-2-answer: the vectoriser is fitted on training and new texts together
def classify(train_texts, y, new_texts):
    both = TfidfVectorizer().fit(list(train_texts) + list(new_texts))
    model = LinearSVC().fit(both.transform(train_texts), y)
    return model.predict(both.transform(new_texts))
from sklearn.feature_extraction.text import TfidfVectorizer

# %% sfb-3-answer: 0 and 1 for the labels of the machines
def one_versus_rest(X, y, X_new, C=0.01, steps=500):
    classes = np.unique(y)
    W = np.stack([LinearSVM(C, steps).fit(X, (y == c).astype(int)).w for c in classes])
    return classes[(X_new @ W.T).argmax(axis=1)]

# %% sfb-3-answer: nearest centre, no machine at all
def one_versus_rest(X, y, X_new, C=0.01, steps=500):
    classes = np.unique(y)
    centres = np.stack([X[y == c].mean(axis=0) for c in classes])
    return classes[((X_new[:, None] - centres) ** 2).sum(-1).argmin(axis=1)]

# %% sfb-3-answer: C and steps are not handed on
def one_versus_rest(X, y, X_new, C=0.01, steps=500):
    classes = np.unique(y)
    W = np.stack([LinearSVM().fit(X, np.where(y == c, 1, -1)).w for c in classes])
    return classes[(X_new @ W.T).argmax(axis=1)]

# %% sfb-5-answer: rows that all trees have seen count as class 0
def out_of_bag(X, y, trees, width, seed):
    rng = np.random.default_rng(seed)
    classes, codes = np.unique(y, return_inverse=True)
    votes = np.zeros((len(X), len(classes)))
    for _ in range(trees):
        rows = rng.integers(len(X), size=len(X))
        out = np.setdiff1d(np.arange(len(X)), rows)
        tree = DecisionTree(max_features=width, seed=rng).fit(X[rows], codes[rows])
        votes[out[:, None], tree.classes] += tree.predict_proba(X[out])
    return np.mean(classes[votes.argmax(axis=1)] == y)

# %% sfb-5-answer: position taken for the label
def out_of_bag(X, y, trees, width, seed):
    rng = np.random.default_rng(seed)
    classes = np.unique(y)
    votes = np.zeros((len(X), len(classes)))
    for _ in range(trees):
        rows = rng.integers(len(X), size=len(X))
        out = np.setdiff1d(np.arange(len(X)), rows)
        tree = DecisionTree(max_features=width, seed=rng).fit(X[rows], y[rows])
        p = tree.predict_proba(X[out])
        votes[out, : p.shape[1]] += p
    seen = votes.sum(axis=1) > 0
    return np.mean(votes[seen].argmax(axis=1) == y[seen])
