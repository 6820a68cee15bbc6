"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""


# %% ex1-answer: every unit is joined with et
def vaud(n):
    if n < 70:
        return french(n)
    head, rest = ["septante", "huitante", "nonante"][n // 10 - 7], n % 10
    return [head, *(["et", *french(rest)] if rest else [])]


# %% ex1-answer: a zero is said
def vaud(n):
    if n < 70:
        return french(n)
    head, rest = ["septante", "huitante", "nonante"][n // 10 - 7], n % 10
    return [head, *(["et"] if rest == 1 else []), *french(rest)]


# %% ex1-answer: counts on from ten, as in Paris
def vaud(n):
    if n < 70:
        return french(n)
    return [["septante", "huitante", "nonante"][n // 10 - 7], *french(n)[1:]]


# %% ex2-answer: neighbours only
def crossings(sources):
    places = [s for s in sources if s is not None]
    return sum(a > b for a, b in zip(places, places[1:]))


# %% ex2-answer: words about the same digit cross as well
def crossings(sources):
    places = [s for s in sources if s is not None]
    return sum(a >= b for i, a in enumerate(places) for b in places[i + 1 :])


# %% ex2-answer: a word about no digit counts as about one before the first
def crossings(sources):
    places = [-1 if s is None else s for s in sources]
    return sum(a > b for i, a in enumerate(places) for b in places[i + 1 :])


# %% ex3-answer: each word waits for its own digit only
def waits(sources):
    needed = []
    for s in sources:
        needed.append(s + 1 if s is not None else (needed[-1] if needed else 0))
    return needed


# %% ex3-answer: waits for the end wherever the order changes
def waits(sources):
    places = [s for s in sources if s is not None]
    if places == sorted(places):
        found = []
        for s in sources:
            found.append(s + 1 if s is not None else (found[-1] if found else 0))
        return found
    return [max(places) + 1] * len(sources)


# %% ex4-answer: padding of the target is the end once more, and counts
def prepare(rows, start, end):
    y = pad_sequence(
        [torch.tensor([start, *row, end]) for row in rows], batch_first=True, padding_value=end
    )
    return y[:, :-1], y[:, 1:]


# %% ex4-answer: shifted the wrong way
def prepare(rows, start, end):
    inputs = [torch.tensor([start, *row]) for row in rows]
    targets = [torch.tensor([start, *row]) for row in rows]
    return (
        pad_sequence(inputs, batch_first=True, padding_value=end),
        pad_sequence(targets, batch_first=True, padding_value=-1),
    )


# %% ex4-answer: the end is missing
def prepare(rows, start, end):
    inputs = [torch.tensor([start, *row]) for row in rows]
    targets = [torch.tensor([*row, -1]) for row in rows]
    return (
        pad_sequence(inputs, batch_first=True, padding_value=end),
        pad_sequence(targets, batch_first=True, padding_value=-1),
    )


# %% ex4-answer: -1 goes in as well
def prepare(rows, start, end):
    y = pad_sequence(
        [torch.tensor([start, *row, end]) for row in rows], batch_first=True, padding_value=-1
    )
    return y[:, :-1], y[:, 1:]


# %% ex4-answer: start and end are those of the example
def prepare(rows, start, end):
    inputs = [torch.tensor([2, *row]) for row in rows]
    targets = [torch.tensor([*row, 1]) for row in rows]
    return (
        pad_sequence(inputs, batch_first=True, padding_value=1),
        pad_sequence(targets, batch_first=True, padding_value=-1),
    )

# %% ex4-answer: fractional numbers, which no embedding takes
def prepare(rows, start, end):
    L = max(map(len, rows)) + 1
    x, y = torch.zeros(len(rows), L), -torch.ones(len(rows), L)
    for i, row in enumerate(rows):
        x[i, : len(row) + 1] = torch.tensor([start, *row])
        y[i, : len(row) + 1] = torch.tensor([*row, end])
    return x, y
