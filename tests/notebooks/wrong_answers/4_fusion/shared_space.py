"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: every other vector at -1, which three or more cannot do
def lowest(n, temperature):
    own, other = 1 / temperature, -1 / temperature
    return float(np.log(np.exp(own) + (n - 1) * np.exp(other)) - own)

# %% ex1-answer: the own pair is left out of the sum
def lowest(n, temperature):
    own, other = 1 / temperature, -1 / (n - 1) / temperature
    return float(np.log((n - 1) * np.exp(other)) - own)

# %% ex1-answer: multiplies by the temperature
def lowest(n, temperature):
    own, other = temperature, -temperature / (n - 1)
    return float(np.log(np.exp(own) + (n - 1) * np.exp(other)) - own)

# %% ex2-answer: moves the temperature itself, not its logarithm
def steps_needed(start, end, learning_rate):
    return abs(start - end) / learning_rate

# %% ex2-answer: a logarithm to base ten
def steps_needed(start, end, learning_rate):
    return abs(float(np.log10(start / end))) / learning_rate

# %% ex2-answer: a negative number of steps when it goes up
def steps_needed(start, end, learning_rate):
    return float(np.log(start / end)) / learning_rate

# %% ex3-answer: asks in one direction only, twice
def clip_mended(a, b, temperature):
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    z, own = a @ b.T / temperature, torch.arange(len(a))
    return (F.cross_entropy(z, own) + F.cross_entropy(z, own)) / 2

# %% ex3-answer: still scales each feature over the batch, not each vector
def clip_mended(a, b, temperature):
    a, b = F.normalize(a, dim=0), F.normalize(b, dim=0)
    z, own = a @ b.T / temperature, torch.arange(len(a))
    return (F.cross_entropy(z, own) + F.cross_entropy(z.T, own)) / 2

# %% ex3-answer: the temperature multiplies
def clip_mended(a, b, temperature):
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    z, own = a @ b.T * temperature, torch.arange(len(a))
    return (F.cross_entropy(z, own) + F.cross_entropy(z.T, own)) / 2

# %% ex4-answer: the share of right items among the k best, which is precision
def recall_of_any(z, question_label, item_label, k):
    right = question_label[:, None] == item_label
    best = np.argsort(-z, axis=1, kind="stable")[:, :k]
    hit = np.take_along_axis(right, best, axis=1).mean(axis=1)
    return float(hit[right.any(axis=1)].mean())

# %% ex4-answer: questions without any right item count as wrong
def recall_of_any(z, question_label, item_label, k):
    right = question_label[:, None] == item_label
    best = np.argsort(-z, axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(right, best, axis=1).any(axis=1).mean())

# %% ex4-answer: the k worst, since argsort sorts upwards
def recall_of_any(z, question_label, item_label, k):
    right = question_label[:, None] == item_label
    best = np.argsort(z, axis=1, kind="stable")[:, :k]
    hit = np.take_along_axis(right, best, axis=1).any(axis=1)
    return float(hit[right.any(axis=1)].mean())

# %% ex5-answer: the logarithm of the mean, not the mean of logarithms
def floor(label):
    label = np.asarray(label)
    return float(np.log((label[:, None] == label).sum(axis=1).mean()))

# %% ex5-answer: a sample is no partner of itself
def floor(label):
    label = np.asarray(label)
    return float(np.log(np.maximum((label[:, None] == label).sum(axis=1) - 1, 1)).mean())

# %% ex5-answer: all labels are equally frequent
def floor(label):
    return float(np.log(len(label) / len(np.unique(label))))

# %% ex4-answer: zero where no question counts
def recall_of_any(z, question_label, item_label, k):
    right = question_label[:, None] == item_label
    best = np.argsort(-z, axis=1)[:, :k]
    hit = np.take_along_axis(right, best, axis=1).any(axis=1)
    ok = right.any(axis=1)
    return float(hit[ok].sum() / max(ok.sum(), 1))
