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

# %% ex3-answer: a question with many answers comes more often
def drawn_level(question, answer):
    weight = np.zeros(len(answer))
    for q in np.unique(question):
        mine = question == q
        _, row, count = np.unique(answer[mine], return_inverse=True, return_counts=True)
        weight[mine] = mine.sum() / count[row]
    return weight / weight.sum()

# %% ex3-answer: every question comes as often as any other
def drawn_level(question, answer):
    weight, questions = np.zeros(len(answer)), np.unique(question)
    for q in questions:
        mine = question == q
        kinds_, row, count = np.unique(answer[mine], return_inverse=True, return_counts=True)
        weight[mine] = 1 / count[row] / len(kinds_)
    return weight / len(questions)

# %% ex3-answer: answers are levelled over all questions together
def drawn_level(question, answer):
    kinds_, row, count = np.unique(answer, return_inverse=True, return_counts=True)
    return 1 / count[row] / len(kinds_)

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
