"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: the share at which the model's two parts weigh alike
def equal_share(a, b):
    return b / (a + b)

# %% ex1-answer: takes the blind usual answerer for the contrarian
def equal_share(a, b):
    return b / (1 + b - a) if b < 1 else 0.0

# %% ex1-answer: the contrarian is compared with the usual end alone
def equal_share(a, b):
    return 1 - a if a < 1 or b < 1 else 0.0

# %% ex2-answer: no throughout is the best there is
def most_right(m):
    return m * m - m

# %% ex2-answer: all but one can be right
def most_right(m):
    return m * m - 1

# %% ex2-answer: one yes for every second colour
def most_right(m):
    return m * m - m + m // 2

# %% ex3-answer: draws pictures, and weighs each alike however many questions it has
def interval(right, picture, seed, draws=1_000):
    _, row = np.unique(picture, return_inverse=True)
    mean = np.bincount(row, right) / np.bincount(row)
    drawn = np.random.default_rng(seed).integers(len(mean), size=(draws, len(mean)))
    return np.quantile(mean[drawn].mean(axis=1), [0.025, 0.975])

# %% ex3-answer: divides by the number of all questions, not of those drawn
def interval(right, picture, seed, draws=1_000):
    _, row = np.unique(picture, return_inverse=True)
    total = np.bincount(row, right)
    drawn = np.random.default_rng(seed).integers(len(total), size=(draws, len(total)))
    return np.quantile(total[drawn].sum(axis=1) / len(right), [0.025, 0.975])

# %% ex3-answer: draws questions, as before
def interval(right, picture, seed, draws=1_000):
    rows = np.random.default_rng(seed).integers(len(right), size=(draws, len(right)))
    return np.quantile(right[rows].mean(axis=1), [0.025, 0.975])

# %% ex3-answer: one question for each picture, so the others are lost
def interval(right, picture, seed, draws=1_000):
    first = np.unique(picture, return_index=True)[1]
    rows = np.random.default_rng(seed).integers(len(first), size=(draws, len(first)))
    return np.quantile(right[first][rows].mean(axis=1), [0.025, 0.975])

# %% ex4-answer: the new prior times the old probabilities; the old prior stays in
def turned(p, before, after):
    p = p * after
    return p / p.sum(axis=1, keepdims=True)

# %% ex4-answer: not scaled to one
def turned(p, before, after):
    return p * after / before

# %% ex4-answer: the wrong way round
def turned(p, before, after):
    p = p * before / after
    return p / p.sum(axis=1, keepdims=True)

# %% ex5-answer: looks up the likeliest shape
def meaning(p, means, k):
    return np.eye(k)[np.asarray(means)[p.argmax(axis=1)]]

# %% ex5-answer: the likeliest shape of each meaning speaks for it
def meaning(p, means, k):
    means = np.asarray(means)
    best = [p[:, means == m].max(axis=1) if (means == m).any() else 0 * p[:, 0] for m in range(k)]
    best = np.stack(best, axis=1)
    return best / best.sum(axis=1, keepdims=True)
