"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: the stage alone, as if the others were perfect
def gained_by_worst(a, b, c):
    return 1 - min(a, b, c)

# %% ex1-answer: the best stage is made perfect
def gained_by_worst(a, b, c):
    return a * b * c / max(a, b, c) - a * b * c

# %% ex1-answer: what is right afterwards, not what is gained
def gained_by_worst(a, b, c):
    return a * b * c / min(a, b, c)

# %% ex2-answer: compares dialogues, as before
def right_after_wrong(right):
    return right[1:][~right[:-1]].mean()

# %% ex2-answer: after a right one
def right_after_wrong(right):
    return right[:, 1:][right[:, :-1]].mean()

# %% ex2-answer: divides by all turns
def right_after_wrong(right):
    return (right[:, 1:] & ~right[:, :-1]).mean()

# %% ex3-answer: the biases are forgotten
def weights_of_the_head(side, words):
    for _ in range(3):
        side = (side - 2) // 2
    return 128 * (128 * side * side + 256 + 128 * words) + 128

# %% ex3-answer: convolutions with padding
def weights_of_the_head(side, words):
    for _ in range(3):
        side = side // 2
    return 128 * (128 * side * side + 256 + 128 * words) + 128 + 128 + 1

# %% ex3-answer: one number a word
def weights_of_the_head(side, words):
    for _ in range(3):
        side = (side - 2) // 2
    return 128 * (128 * side * side + 256 + words) + 128 + 128 + 1

# %% ex3-answer: pooling keeps what is over
def weights_of_the_head(side, words):
    for _ in range(3):
        side = (side - 1) // 2
    return 128 * (128 * side * side + 256 + 128 * words) + 128 + 128 + 1

# %% ex4-answer: each turn for itself
def without_error_so_far(right):
    return right.mean(axis=0)

# %% ex4-answer: as if turns were independent
def without_error_so_far(right):
    return np.cumprod(right.mean(axis=0))

# %% ex4-answer: one right turn is enough
def without_error_so_far(right):
    return np.logical_or.accumulate(right, axis=1).mean(axis=0)
