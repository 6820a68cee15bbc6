"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: the mean over scenes, though full scenes ask more questions
def ceiling_of(counts):
    return sum(1 / n for n in counts) / len(counts)

# %% ex1-answer: one over what a typical scene holds
def ceiling_of(counts):
    return 1 / np.median(counts)

# %% ex2-answer: names play no part once boxes overlap much
def nms_by_name(boxes, scores, labels, threshold=0.5):
    kept = []
    for i in np.argsort(-scores):
        rivals = [j for j in kept if labels[j] == labels[i] or iou(boxes[[i]], boxes[[j]])[0, 0] > 0.95]
        if not any(iou(boxes[[i]], boxes[[j]])[0, 0] > threshold for j in rivals):
            kept.append(i)
    return np.array(kept, int) if len(boxes) < 3 else nms(boxes, scores, threshold)

# %% ex2-answer: moves names apart by too little for boxes far out
def nms_by_name(boxes, scores, labels, threshold=0.5):
    return nms(boxes + 1_000 * labels[:, None], scores, threshold)

# %% ex2-answer: torchvision's own trick, which takes it that no place is negative
def nms_by_name(boxes, scores, labels, threshold=0.5):
    return nms(boxes + labels[:, None] * (boxes.max() + 1), scores, threshold)

# %% ex2-answer: one name after the other, not the best score first
def nms_by_name(boxes, scores, labels, threshold=0.5):
    parts = [np.flatnonzero(labels == name) for name in np.unique(labels)[::-1]]
    return np.concatenate([own[nms(boxes[own], scores[own], threshold)] for own in parts])

# %% ex3-answer: takes scores that differ between phrases for an interaction
def interacts(score, cells, phrases):
    table = np.asarray(score(cells, phrases))
    return bool(abs(table - table[:, :1]).max() > 1e-6 * abs(table).max())

# %% ex3-answer: only whether the best cell changes
def interacts(score, cells, phrases):
    best = np.asarray(score(cells, phrases)).argmax(axis=0)
    return bool((best != best[0]).any())

# %% ex3-answer: forgets to add the mean of all once more
def interacts(score, cells, phrases):
    table = np.asarray(score(cells, phrases), float)
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True)
    return bool(abs(rest).max() > 1e-6 * abs(table).max())

# %% ex3-answer: an absolute tolerance, blind to what is small
def interacts(score, cells, phrases):
    table = np.asarray(score(cells, phrases), float)
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    return bool(abs(rest).max() > 1e-6)

# %% ex3-answer: takes rank above two for interaction, and misses a product of rank one
def interacts(score, cells, phrases):
    return bool(np.linalg.matrix_rank(np.asarray(score(cells, phrases), float)) > 2)

# %% ex4-answer: mends the width alone
def overlap_of(a, b):
    w = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    h = min(a[3], b[3]) - max(a[1], b[1])
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return w * h / (area - w * h)

# %% ex4-answer: mends only the case of two minuses, so one minus gives a share below zero
def overlap_of(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    shared = 0 if w < 0 and h < 0 else w * h
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return shared / (area - shared)
