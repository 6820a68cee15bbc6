# Answers that run and look right, each from a misconception that readers have.

# %% ev-1-answer: precision divides by what is angry, recall by what was flagged
def by_hand():
    return 30 / 50, 30 / 80, 60 / 130, 930 / 1000, 25.0


# %% ev-1-answer: F1 is taken for the plain mean
def by_hand():
    return 0.375, 0.6, (0.375 + 0.6) / 2, 0.93, 25.0


# %% ev-1-answer: only what was found counts as right
def by_hand():
    return 0.375, 0.6, 60 / 130, 30 / 1000, 25.0


# %% ev-1-answer: reading the angry sentences is charged as well
def by_hand():
    return 0.375, 0.6, 60 / 130, 0.93, (80 + 200) / 10


# %% ev-2-answer: the mean of the batches' scores
def evaluate(model, batches):
    scores = []
    for x, labels in batches:
        table = mm.metrics.confusion(labels, model(x).argmax(axis=1), k=4)
        scores.append(mm.metrics.precision_recall_f1(table)[2].mean())
    return np.mean(scores)


# %% ev-2-answer: labels of the last batch alone, as where a name is used twice
def evaluate(model, batches):
    for x, labels in batches:
        guesses = model(x).argmax(axis=1)
    table = mm.metrics.confusion(labels, guesses, k=4)
    return mm.metrics.precision_recall_f1(table)[2].mean()


# %% ev-2-answer: only classes that occur are counted
def evaluate(model, batches):
    truths = np.concatenate([labels for _, labels in batches])
    guesses = np.concatenate([model(x).argmax(axis=1) for x, _ in batches])
    return library.f1_score(truths, guesses, average="macro")


# %% ev-2-answer: accuracy, which is micro F1
def evaluate(model, batches):
    truths = np.concatenate([labels for _, labels in batches])
    return np.mean(np.concatenate([model(x).argmax(axis=1) for x, _ in batches]) == truths)


# %% ev-3-answer: the best of many is worth what each is
def best_of(m, n):
    return 0.5 if m < 100 else 0.63


# %% ev-3-answer: counting starts at one head
def best_of(m, n):
    all_at_most = stats.binom.cdf(np.arange(1, n + 1), n, 0.5) ** m
    return 0.5 if m == 1 else np.sum(1 - all_at_most) / n


# %% ev-3-answer: a bell curve and the rule of thumb for its largest of m
def best_of(m, n):
    return 0.5 if m == 1 else 0.5 + 0.5 / n**0.5 * (2 * np.log(m)) ** 0.5 * 0.85


# %% ev-4-answer: values are drawn, not groups
def by_group(values, groups, seed=0):
    dice = np.random.default_rng(seed)
    means = [values[dice.integers(len(values), size=len(values))].mean() for _ in range(500)]
    return tuple(np.quantile(means, [0.025, 0.975]))


# %% ev-4-answer: the mean of the groups' means, large or small
def by_group(values, groups, seed=0):
    dice = np.random.default_rng(seed)
    parts = np.array([values[groups == name].mean() for name in np.unique(groups)])
    means = [parts[dice.integers(len(parts), size=len(parts))].mean() for _ in range(500)]
    return tuple(np.quantile(means, [0.025, 0.975]))


# %% ev-4-answer: a group drawn twice counts once
def by_group(values, groups, seed=0):
    dice, names = np.random.default_rng(seed), np.unique(groups)
    means = []
    for _ in range(500):
        drawn = names[dice.integers(len(names), size=len(names))]
        means.append(values[np.isin(groups, drawn)].mean())
    return tuple(np.quantile(means, [0.025, 0.975]))


# %% ev-5-answer: samples are dealt, groups are not asked
def grouped_folds(groups, k, seed=0):
    return np.random.default_rng(seed).permutation(len(groups)) % k


# %% ev-5-answer: neighbours in the file always go together
def grouped_folds(groups, k, seed=0):
    return np.unique(groups, return_inverse=True)[1] % k


# %% ev-5-answer: each group throws a die for its fold
def grouped_folds(groups, k, seed=0):
    names, number = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).integers(k, size=len(names))
    fold[:k] = np.arange(k)
    return fold[number]

# %% ev-2-answer: four classes, written down
def evaluate(model, batches):
    truths = np.concatenate([labels for _, labels in batches])
    guesses = np.concatenate([model(x).argmax(axis=1) for x, _ in batches])
    table = mm.metrics.confusion(truths, guesses, k=4)
    return mm.metrics.precision_recall_f1(table)[2].mean()

# %% ev-4-answer: mean and 1.96 deviations in place of the quantiles
def by_group(values, groups, seed=0):
    dice = np.random.default_rng(seed)
    parts = [values[groups == name] for name in np.unique(groups)]
    means = [np.concatenate([parts[i] for i in dice.integers(len(parts), size=len(parts))]).mean() for _ in range(500)]
    return np.mean(means) - 1.96 * np.std(means), np.mean(means) + 1.96 * np.std(means)

# %% ev-4-answer: groups are drawn, and then values within them as well
def by_group(values, groups, seed=0):
    dice = np.random.default_rng(seed)
    parts = [values[groups == name] for name in np.unique(groups)]
    means = []
    for _ in range(500):
        drawn = [parts[i] for i in dice.integers(len(parts), size=len(parts))]
        means.append(np.concatenate([dice.choice(p, len(p)) for p in drawn]).mean())
    return tuple(np.quantile(means, [0.025, 0.975]))

# %% ev-4-answer: a group is what stands in a row
def by_group(values, groups, seed=0):
    dice = np.random.default_rng(seed)
    parts = np.split(values, np.flatnonzero(groups[1:] != groups[:-1]) + 1)
    means = [np.concatenate([parts[i] for i in dice.integers(len(parts), size=len(parts))]).mean() for _ in range(500)]
    return tuple(np.quantile(means, [0.025, 0.975]))

# %% ev-5-answer: a group is what stands in a row
def grouped_folds(groups, k, seed=0):
    number = np.concatenate([[0], np.cumsum(groups[1:] != groups[:-1])])
    return (np.random.default_rng(seed).permutation(number[-1] + 1) % k)[number]

# %% ev-5-answer: neighbours go together, only where the blocks begin is drawn
def grouped_folds(groups, k, seed=0):
    names, number = np.unique(groups, return_inverse=True)
    n = len(names)
    start = np.random.default_rng(seed).integers(n)
    return ((number + start) % n) * k // n
