"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: the credit is split among those who are needed
def shares(k, need):
    return 1 / need, float(need == k), float(need == 1)

# %% ex1-answer: leaving out costs whenever the member counts at all
def shares(k, need):
    return 1 / k, 1 / k, float(need == 1)

# %% ex1-answer: all are asked as if each were decisive alone
def shares(k, need):
    return 1 / k, float(need == k), 1 / need

# %% ex2-answer: the root is mended, the two ends are left free
def mended(game, m):
    masks = np.array(list(itertools.product([0, 1], repeat=m)))[1:-1]
    size = masks.sum(axis=1)
    weight = np.sqrt((m - 1) / (comb(m, size) * size * (m - size)))
    A = np.column_stack([masks, np.ones(len(masks))])
    return np.linalg.lstsq(A * weight[:, None], game(masks > 0) * weight)[0][:-1]

# %% ex2-answer: the two ends are held, rows are multiplied by their weight
def mended(game, m):
    masks = np.array(list(itertools.product([0, 1], repeat=m)))[1:-1]
    size = masks.sum(axis=1)
    weight = (m - 1) / (comb(m, size) * size * (m - size))
    none, everybody = game(np.array([[False] * m, [True] * m]))
    A = (masks[:, :-1] - masks[:, -1:]) * weight[:, None]
    b = (game(masks > 0) - none - masks[:, -1] * (everybody - none)) * weight
    fitted = np.linalg.lstsq(A, b)[0]
    return np.append(fitted, everybody - none - fitted.sum())

# %% ex2-answer: the sum is put right afterwards, in equal parts, with the wrong weights
def mended(game, m):
    masks = np.array(list(itertools.product([0, 1], repeat=m)))[1:-1]
    size = masks.sum(axis=1)
    weight = (m - 1) / (comb(m, size) * size * (m - size))
    none, everybody = game(np.array([[False] * m, [True] * m]))
    A = np.column_stack([masks, np.ones(len(masks))])
    fitted = np.linalg.lstsq(A * weight[:, None], game(masks > 0) * weight)[0][:-1]
    return fitted + (everybody - none - fitted.sum()) / m

# %% ex2-answer: the page's own function is called, which was forbidden
def mended(game, m):
    return shapley(game, m)

# %% ex3-answer: gains stay in the order of entering
def from_orders(game, m, orders, seed):
    rng, total = np.random.default_rng(seed), np.zeros(m)
    for _ in range(orders // 2):
        drawn = rng.permutation(m)
        for order in (drawn, drawn[::-1]):
            place = np.argsort(order)
            total += np.diff(game(place < np.arange(m + 1)[:, None]))
    return total / orders

# %% ex3-answer: no reverses
def from_orders(game, m, orders, seed):
    rng, total = np.random.default_rng(seed), np.zeros(m)
    for _ in range(orders):
        place = np.argsort(rng.permutation(m))
        total += np.diff(game(place < np.arange(m + 1)[:, None]))[place]
    return total / orders

# %% ex3-answer: the seed is not used
def from_orders(game, m, orders, seed):
    rng, total = np.random.default_rng(0), np.zeros(m)
    for _ in range(orders // 2):
        drawn = rng.permutation(m)
        for order in (drawn, drawn[::-1]):
            place = np.argsort(order)
            total += np.diff(game(place < np.arange(m + 1)[:, None]))[place]
    return total / orders

# %% ex3-answer: the mean is over the orders that were drawn, not over all that were walked
def from_orders(game, m, orders, seed):
    rng, total = np.random.default_rng(seed), np.zeros(m)
    for _ in range(orders // 2):
        drawn = rng.permutation(m)
        for order in (drawn, drawn[::-1]):
            place = np.argsort(order)
            total += np.diff(game(place < np.arange(m + 1)[:, None]))[place]
    return total / (orders // 2)

# %% ex4-answer: the neighbour is whoever stands next in the table
def swapped_near(f, rows, column):
    changed = rows.copy()
    changed[:, column] = np.roll(rows[:, column], 1)
    return np.mean((f(changed) > 0.5) != (f(rows) > 0.5))

# %% ex4-answer: the column itself helps to choose the neighbour
def swapped_near(f, rows, column):
    scaled = rows / rows.std(axis=0)
    far = ((scaled[:, None] - scaled) ** 2).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    changed = rows.copy()
    changed[:, column] = rows[far.argmin(axis=1), column]
    return np.mean((f(changed) > 0.5) != (f(rows) > 0.5))

# %% ex4-answer: columns are not scaled, so the largest unit chooses
def swapped_near(f, rows, column):
    others = np.delete(rows, column, axis=1)
    far = ((others[:, None] - others) ** 2).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    changed = rows.copy()
    changed[:, column] = rows[far.argmin(axis=1), column]
    return np.mean((f(changed) > 0.5) != (f(rows) > 0.5))

# %% ex4-answer: every row is its own nearest neighbour
def swapped_near(f, rows, column):
    scaled = np.delete(rows / rows.std(axis=0), column, axis=1)
    far = ((scaled[:, None] - scaled) ** 2).sum(axis=2)
    changed = rows.copy()
    changed[:, column] = rows[far.argmin(axis=1), column]
    return np.mean((f(changed) > 0.5) != (f(rows) > 0.5))

# %% ex4-answer: the whole neighbour is put in
def swapped_near(f, rows, column):
    scaled = np.delete(rows / rows.std(axis=0), column, axis=1)
    far = ((scaled[:, None] - scaled) ** 2).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    return np.mean((f(rows[far.argmin(axis=1)]) > 0.5) != (f(rows) > 0.5))

# %% ex1-answer: by playing, not by hand
def shares(k, need):
    return played(k, need, k)

# %% ex2-answer: the function of the page inside a helper, which was forbidden
def mended(game, m):
    ask = lambda: shapley(game, m)
    return ask()

# %% ex3-answer: draws as many as asked and reverses each: twice the calls
def from_orders(game, m, orders, seed):
    rng, total = np.random.default_rng(seed), np.zeros(m)
    for _ in range(orders):
        drawn = rng.permutation(m)
        for order in (drawn, drawn[::-1]):
            place = np.argsort(order)
            total += np.diff(game(place < np.arange(m + 1)[:, None]))[place]
    return total / orders / 2

# %% ex4-answer: the scores are compared, not the answers
def swapped_near(f, rows, column):
    scaled = np.delete(rows / rows.std(axis=0), column, axis=1)
    far = ((scaled[:, None] - scaled) ** 2).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    changed = rows.copy()
    changed[:, column] = rows[far.argmin(axis=1), column]
    return np.mean(f(changed) != f(rows))

# %% ex4-answer: the mean change of the score
def swapped_near(f, rows, column):
    scaled = np.delete(rows / rows.std(axis=0), column, axis=1)
    far = ((scaled[:, None] - scaled) ** 2).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    changed = rows.copy()
    changed[:, column] = rows[far.argmin(axis=1), column]
    return np.abs(f(changed) - f(rows)).mean()

# %% ex4-answer: the second of the sorted is taken, as if each row came first itself
def swapped_near(f, rows, column):
    scaled = np.delete(rows / rows.std(axis=0), column, axis=1)
    far = ((scaled[:, None] - scaled) ** 2).sum(axis=2)
    changed = rows.copy()
    changed[:, column] = rows[far.argsort(axis=1)[:, 1], column]
    return np.mean((f(changed) > 0.5) != (f(rows) > 0.5))
