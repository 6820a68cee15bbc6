"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: the promise itself, as if every n could keep it exactly
def promised(n, miss):
    return 1 - miss


def needed(miss):
    return int(np.ceil(1 / miss)) - 1

# %% ex1-answer: the new sample is not counted among the places
def promised(n, miss):
    return min(1.0, np.ceil(n * (1 - miss)) / n)


def needed(miss):
    return int(np.ceil(1 / miss))

# %% ex1-answer: too few samples are said to cover what the largest of them would
def promised(n, miss):
    return min(n, np.ceil(np.round((n + 1) * (1 - miss), 9))) / (n + 1)


def needed(miss):
    return int(np.ceil(np.round(1 / miss, 9))) - 1

# %% ex1-answer: a rank is lost to rounding, as the chapter warns
def promised(n, miss):
    return min(1.0, np.ceil((n + 1) * (1 - miss)) / (n + 1))


def needed(miss):
    return int(np.ceil(np.round(1 / miss, 9))) - 1

# %% ex2-answer: factors and order are mended, later values may fall below earlier ones
def mended_holm(p):
    rank = np.argsort(np.argsort(p))
    return np.minimum(p * (len(p) - rank), 1)

# %% ex2-answer: Bonferroni
def mended_holm(p):
    return np.minimum(p * len(p), 1)

# %% ex2-answer: all but the order in which values come back
def mended_holm(p):
    return np.minimum(np.maximum.accumulate(np.sort(p) * np.arange(len(p), 0, -1)), 1)

# %% ex2-answer: sorted values are put back by the order itself instead of its inverse
def mended_holm(p):
    order = np.argsort(p)
    return np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)[order]

# %% ex2-answer: the page's own function is called, which was forbidden
def mended_holm(p):
    return mm.audit.holm(p)

# %% ex3-answer: who was never seen gets the threshold of all
def by_group(score, group, miss):
    own = {g: conformal_threshold(score[group == g], miss) for g in np.unique(group)}
    return lambda groups: np.array([own.get(g, conformal_threshold(score, miss)) for g in groups])

# %% ex3-answer: a plain quantile, which promises something from three samples too
def by_group(score, group, miss):
    own = {g: np.quantile(score[group == g], 1 - miss) for g in np.unique(group)}
    return lambda groups: np.array([own.get(g, np.inf) for g in groups])

# %% ex3-answer: one threshold for all
def by_group(score, group, miss):
    return lambda groups: np.full(len(groups), conformal_threshold(score, miss))

# %% ex4-answer: the share of threats found is taken for the share of alarms that are real
def alarms(pi, h, f):
    return h, (1 - pi) * f / (pi * h)

# %% ex4-answer: how rare threats are is left out
def alarms(pi, h, f):
    return h / (h + f), f / h

# %% ex4-answer: false alarms for each alarm instead of for each threat found
def alarms(pi, h, f):
    found, false = pi * h, (1 - pi) * f
    return found / (found + false), false / (found + false)

# %% ex2-answer: the function of the page inside a helper, which was forbidden
def mended_holm(p):
    ask = lambda: mm.audit.holm(p)
    return ask()

# %% ex3-answer: too few are fewer than nine, whatever is promised
def by_group(score, group, miss):
    own = {g: conformal_threshold(score[group == g], miss) if (group == g).sum() >= 9 else np.inf for g in np.unique(group)}
    return lambda groups: np.array([own.get(g, np.inf) for g in groups])

# %% ex2-answer: the function of the page is called by a second function of the answer
def second(p):
    return mm.audit.holm(p)


def mended_holm(p):
    return second(p)
