"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: p itself, as if nothing were ever saved
def hidden_share(p, M):
    return p if M > 1 else 0

# %% ex1-answer: when all draws are small, all are saved
def hidden_share(p, M):
    return p - p**M

# %% ex1-answer: the others' draws do not matter
def hidden_share(p, M):
    return p * (1 - 1 / M)

# %% ex2-answer: a straight line between both and the mean of the single senses
def expected(both, image, sound, q, r):
    lost = 1 - (1 - q) * (1 - r)
    return (1 - lost) * both + lost * (q * sound + r * image) / max(q + r, 1e-9)

# %% ex2-answer: where both fail there is no answer, so nothing is counted
def expected(both, image, sound, q, r):
    return (1 - q) * (1 - r) * both + (1 - q) * r * image + q * (1 - r) * sound

# %% ex2-answer: mixes up what failed with what is left
def expected(both, image, sound, q, r):
    return (1 - q) * (1 - r) * both + q * (1 - r) * image + (1 - q) * r * sound + q * r / 10

# %% ex3-answer: each sample draws for itself, and some lose all that they had
def hide(present, p):
    return present & (torch.rand(present.shape) >= p)

# %% ex3-answer: the one that is saved may be one that was missing
def hide(present, p):
    drawn = torch.rand(present.shape)
    return (present & (drawn >= p)) | (drawn == drawn.amax(dim=1, keepdim=True))

# %% ex3-answer: the first that is there is always the one that is saved
def hide(present, p):
    kept = present & (torch.rand(present.shape) >= p)
    first = present & (present.cumsum(dim=1) == 1)
    return torch.where(kept.any(dim=1, keepdim=True), kept, first)

# %% ex3-answer: one draw for the whole batch, with somebody saved
def hide(present, p):
    drawn = torch.rand(present.shape[1]).expand(present.shape).masked_fill(~present, -1)
    return present & ((drawn >= p) | (drawn == drawn.amax(dim=1, keepdim=True)))

# %% ex4-answer: weighs by variances, so the least sure counts most
def product(proposals, precisions, there):
    weights = np.where(there, 1 / precisions, 0.0)
    total = 1 + weights.sum()
    return (weights * proposals).sum() / total, 1 / (1 + np.where(there, precisions, 0).sum())

# %% ex4-answer: no prior
def product(proposals, precisions, there):
    precisions = np.where(there, precisions, 0.0)
    total = precisions.sum() or 1.0
    return (precisions * proposals).sum() / total, 1 / total

# %% ex4-answer: a missing expert proposes 0 instead of keeping silent
def product(proposals, precisions, there):
    total = 1 + precisions.sum()
    return (precisions * np.where(there, proposals, 0)).sum() / total, 1 / total

# %% ex5-answer: judged on the samples that it learnt from
def leak(present, y):
    seen = {}
    for flags in {tuple(row) for row in present}:
        seen[flags] = np.bincount(y[(present == flags).all(axis=1)]).argmax()
    guess = np.array([seen[tuple(row)] for row in present])
    return np.mean(guess == y) - np.mean(np.bincount(y).argmax() == y)

# %% ex5-answer: one flag at a time, the best of them
def leak(present, y):
    half, best = len(y) // 2, 0.0
    usual = np.bincount(y[:half]).argmax()
    for flag in present.T:
        seen = {}
        for value in (False, True):
            same = flag[:half] == value
            seen[value] = np.bincount(y[:half][same]).argmax() if same.any() else usual
        guess = np.array([seen[bool(value)] for value in flag[half:]])
        best = max(best, np.mean(guess == y[half:]) - np.mean(usual == y[half:]))
    return best

# %% ex5-answer: how many are missing, not which
def leak(present, y):
    half, count = len(y) // 2, present.sum(axis=1)
    usual = np.bincount(y[:half]).argmax()
    seen = {n: np.bincount(y[:half][count[:half] == n]).argmax() for n in set(count[:half])}
    guess = np.array([seen.get(n, usual) for n in count[half:]])
    return np.mean(guess == y[half:]) - np.mean(usual == y[half:])

# %% ex3-answer: who lacks something already is spared
def hide(present, p):
    drawn = torch.rand(present.shape).masked_fill(~present, -1)
    kept = present & ((drawn >= p) | (drawn == drawn.amax(dim=1, keepdim=True)))
    return torch.where(present.all(dim=1, keepdim=True), kept, present)

# %% ex3-answer: draws again up to ten times, then saves one
def hide(present, p):
    for _ in range(10):
        kept = present & (torch.rand(present.shape) >= p)
        if "done" not in locals():
            done, out = torch.zeros(len(present)) > 0, kept.clone()
        out = torch.where(done[:, None], out, kept)
        done = out.any(dim=1)
    drawn = torch.rand(present.shape).masked_fill(~present, -1)
    one = present & (drawn == drawn.amax(dim=1, keepdim=True))
    return torch.where(done[:, None], out, one)

# %% ex5-answer: a pattern never seen gets label 0
def leak(present, y):
    half = len(y) // 2
    usual = np.bincount(y[:half]).argmax()
    seen = {}
    for flags in {tuple(row) for row in present[:half]}:
        same = (present[:half] == flags).all(axis=1)
        seen[flags] = np.bincount(y[:half][same]).argmax()
    guess = np.array([seen.get(tuple(row), 0) for row in present[half:]])
    return np.mean(guess == y[half:]) - np.mean(usual == y[half:])

# %% ex5-answer: numbers patterns by the sum of the flags' numbers, so patterns coincide
def leak(present, y):
    half = len(y) // 2
    code = present @ np.arange(1, present.shape[1] + 1)
    usual = np.bincount(y[:half]).argmax()
    seen = {c: np.bincount(y[:half][code[:half] == c]).argmax() for c in set(code[:half])}
    guess = np.array([seen.get(c, usual) for c in code[half:]])
    return np.mean(guess == y[half:]) - np.mean(usual == y[half:])

# %% ex5-answer: learns from the second half, judged on the first
def leak(present, y):
    half = len(y) // 2
    usual = np.bincount(y[half:]).argmax()
    seen = {}
    for flags in {tuple(row) for row in present[half:]}:
        same = (present[half:] == flags).all(axis=1)
        seen[flags] = np.bincount(y[half:][same]).argmax()
    guess = np.array([seen.get(tuple(row), usual) for row in present[:half]])
    return np.mean(guess == y[:half]) - np.mean(usual == y[:half])

# %% ex5-answer: looks at the first two flags only
def leak(present, y):
    half = len(y) // 2
    present = present[:, :2]
    usual = np.bincount(y[:half]).argmax()
    seen = {}
    for flags in {tuple(row) for row in present[:half]}:
        same = (present[:half] == flags).all(axis=1)
        seen[flags] = np.bincount(y[:half][same]).argmax()
    guess = np.array([seen.get(tuple(row), usual) for row in present[half:]])
    return np.mean(guess == y[half:]) - np.mean(usual == y[half:])
