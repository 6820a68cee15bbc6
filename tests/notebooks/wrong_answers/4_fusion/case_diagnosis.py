"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: odds turned round
def prices(t, a):
    return a * t / (1 - t), t

# %% ex1-answer: all and none cost the same at one half, whatever the prices
def prices(t, a):
    return a * (1 - t) / t, 0.5

# %% ex1-answer: the share of the healthy instead of the ill
def prices(t, a):
    return a * (1 - t) / t, 1 - t

# %% ex1-answer: a miss costs one over the threshold
def prices(t, a):
    return a / t, t

# %% ex2-answer: found is whoever either test finds
def second_look(h, f, share):
    looked, found = share * h[0] + (1 - share) * f[0], 1 - (1 - h[0]) * (1 - h[1])
    true, false = share * found, (1 - share) * f[0] * f[1]
    return found, true / (true + false), looked / true

# %% ex2-answer: the second test begins with the prevalence of everybody
def second_look(h, f, share):
    looked = share * h[0] + (1 - share) * f[0]
    true, false = share * h[1], (1 - share) * f[1]
    return h[0] * h[1], true / (true + false), looked / (share * h[0] * h[1])

# %% ex2-answer: everybody gets the second test
def second_look(h, f, share):
    true, false = share * h[0] * h[1], (1 - share) * f[0] * f[1]
    return h[0] * h[1], true / (true + false), 1 / true

# %% ex2-answer: it errs on the same people, so the stricter test decides alone
def second_look(h, f, share):
    looked = share * h[0] + (1 - share) * f[0]
    true, false = share * min(h), (1 - share) * min(f)
    return min(h), true / (true + false), looked / true

# %% ex3-answer: unsure is what lies about one half, whatever the prices
def decide(p, a, m, c):
    far = c / (a + m)
    return np.where(p > 1 - far, 1, np.where(p < far, 0, 2))

# %% ex3-answer: two thresholds, and nothing for the case that asking is too dear
def decide(p, a, m, c):
    return np.where(p > 1 - c / a, 1, np.where(p < c / m, 0, 2))

# %% ex3-answer: asks where the cheaper of the two guesses costs more, and then alarms from one half
def decide(p, a, m, c):
    ask = np.minimum(p * m, (1 - p) * a) > c
    return np.where(ask, 2, (p > 0.5) * 1)

# %% ex3-answer: the two prices are confused
def decide(p, a, m, c):
    return np.stack([p * a, (1 - p) * m, np.full(len(p), c)]).argmin(axis=0)

# %% ex4-answer: shuffles the labels along, so that nothing is lost
def lost(f, inputs, y, times, rng):
    whole, found = roc_auc(y, f(inputs)), {}
    for name in inputs:
        order = rng.permutation(len(y))
        found[name] = whole - roc_auc(y[order], f({k: v[order] for k, v in inputs.items()}))
    return found

# %% ex4-answer: shuffles all modalities at once
def lost(f, inputs, y, times, rng):
    whole, found = roc_auc(y, f(inputs)), {}
    for name in inputs:
        order = rng.permutation(len(y))
        found[name] = whole - roc_auc(y, f({k: v[order] for k, v in inputs.items()}))
    return found

# %% ex4-answer: shuffles in place
def lost(f, inputs, y, times, rng):
    whole, found = roc_auc(y, f(inputs)), {}
    for name in inputs:
        rng.shuffle(inputs[name])
        found[name] = whole - roc_auc(y, f(inputs))
    return found

# %% ex4-answer: zeros instead of a shuffle
def lost(f, inputs, y, times, rng):
    whole = roc_auc(y, f(inputs))
    return {k: whole - roc_auc(y, f(inputs | {k: 0 * v})) for k, v in inputs.items()}

# %% ex4-answer: what is left instead of what is lost
def lost(f, inputs, y, times, rng):
    return {
        k: np.mean([roc_auc(y, f(inputs | {k: v[rng.permutation(len(y))]})) for _ in range(times)])
        for k, v in inputs.items()
    }

# %% ex4-answer: one shuffle, however many are asked for
def lost(f, inputs, y, times, rng):
    whole, order = roc_auc(y, f(inputs)), rng.permutation(len(y))
    return {k: whole - roc_auc(y, f(inputs | {k: v[order]})) for k, v in inputs.items()}

# %% ex4-answer: one and the same shuffle, asked many times
def lost(f, inputs, y, times, rng):
    whole, order = roc_auc(y, f(inputs)), rng.permutation(len(y))
    return {
        k: whole - np.mean([roc_auc(y, f(inputs | {k: v[order]})) for _ in range(times)])
        for k, v in inputs.items()
    }

# %% ex4-answer: draws with replacement
def lost(f, inputs, y, times, rng):
    whole = roc_auc(y, f(inputs))
    return {
        k: np.mean(
            [whole - roc_auc(y, f(inputs | {k: v[rng.integers(len(y), size=len(y))]})) for _ in range(times)]
        )
        for k, v in inputs.items()
    }

# %% ex4-answer: shuffles each column for itself, so rows fall apart
def lost(f, inputs, y, times, rng):
    whole = roc_auc(y, f(inputs))
    return {
        k: np.mean([whole - roc_auc(y, f(inputs | {k: rng.permuted(v, axis=0)})) for _ in range(times)])
        for k, v in inputs.items()
    }
