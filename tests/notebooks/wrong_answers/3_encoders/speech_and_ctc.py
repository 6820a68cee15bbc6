# Answers that run and look right, each from a misconception that readers have.

# %% sctc-1-answer: every row that holds the symbol counts, also where it comes twice
def alignments():
    return 7, 1


# %% sctc-1-answer: repeats are not joined, so a blank has to fill the rest
def alignments():
    return 3, 2


# %% sctc-1-answer: for aa the blank between is forgotten
def alignments():
    return 6, 3


# %% sctc-2-answer: as the colleague wrote it, blanks first
def collapse(row, blank=0):
    said = [s for s in row if s != blank]
    return [s for i, s in enumerate(said) if i == 0 or s != said[i - 1]]


# %% sctc-2-answer: the blank is taken to be 0, whatever it is
def collapse(row, blank=0):
    return [s for i, s in enumerate(row) if s and (i == 0 or s != row[i - 1])]


# %% sctc-2-answer: every symbol is said once at most
def collapse(row, blank=0):
    return list(dict.fromkeys(s for s in row if s != blank))


# %% sctc-3-answer: one frame a symbol
def least_frames(target):
    return len(target)


# %% sctc-3-answer: a blank between any two symbols
def least_frames(target):
    return 2 * len(target) - 1


# %% sctc-3-answer: repeats are counted wherever they stand, not only side by side
def least_frames(target):
    return 2 * len(target) - len(set(target))


# %% sctc-4-answer: the symbol sounds in one frame only
def untaught(T, C):
    return T / C**T


# %% sctc-4-answer: every row that holds the symbol and blanks, in several runs too
def untaught(T, C):
    return (2**T - 1) / C**T


# %% sctc-4-answer: all strings are taken to be equally probable, not all rows
def untaught(T, C):
    return (T + 1) / (C**T + T)


# %% sctc-5-answer: the likeliest symbol of each frame, whatever was said
def align(log_p, target):
    return log_p.argmax(dim=1).tolist()


# %% sctc-5-answer: the string stretched evenly over the frames, without blanks
def align(log_p, target):
    return [target[t * len(target) // len(log_p)] for t in range(len(log_p))]


# %% sctc-5-answer: the blank between two symbols is never jumped over
def align(log_p, target):
    z = [0]
    for symbol in target:
        z += [symbol, 0]
    n = len(z)
    move = torch.full((n, n), NEVER, dtype=log_p.dtype).fill_diagonal_(0.0)
    for s in range(n - 1):
        move[s, s + 1] = 0
    first = torch.full((n,), NEVER, dtype=log_p.dtype)
    first[:2] = 0
    emit = log_p[:, z].clone()
    emit[-1, : n - 2] = NEVER
    path, _ = viterbi(first, move, emit)
    return [z[s] for s in path]


# %% sctc-5-answer: may end in the last symbol only, not in the blank behind it
def align(log_p, target):
    z = [0]
    for symbol in target:
        z += [symbol, 0]
    n = len(z)
    move = torch.full((n, n), NEVER, dtype=log_p.dtype).fill_diagonal_(0.0)
    for s in range(n - 1):
        move[s, s + 1] = 0
        if s + 2 < n and z[s] != 0 and z[s] != z[s + 2]:
            move[s, s + 2] = 0
    first = torch.full((n,), NEVER, dtype=log_p.dtype)
    first[:2] = 0
    emit = log_p[:, z].clone()
    emit[-1, : n - 2] = NEVER
    emit[-1, n - 1] = NEVER
    path, _ = viterbi(first, move, emit)
    return [z[s] for s in path]

# %% sctc-4-answer: asks ctc_loss instead of a formula
def untaught(T, C):
    flat = torch.full((T, 1, C), 1 / C, dtype=torch.float64).log()
    return torch.exp(-ctc_loss(flat, torch.tensor([[1]]), one(T), one(1))).item()
