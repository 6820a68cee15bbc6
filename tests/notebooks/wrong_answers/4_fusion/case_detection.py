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

# %% ex3-answer: off in one direction only
def smallest_side(off, least):
    return off * (1 + least) / (1 - least)

# %% ex3-answer: what is shared, over one square in place of the two together
def smallest_side(off, least):
    return off / (1 - least**0.5)

# %% ex3-answer: what is shared counts twice in the two together
def smallest_side(off, least):
    kept = min((2 * least) ** 0.5, 0.999)
    return off / (1 - kept)

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
