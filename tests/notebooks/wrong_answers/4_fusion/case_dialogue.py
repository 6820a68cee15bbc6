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
