"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: the slope at the end of the way, times the step: as if it were the same all along
def product_shares(x, b):
    return (x - b) * x[::-1]

# %% ex1-answer: half of the product each, whatever the way
def product_shares(x, b):
    return np.full(2, (x.prod() - b.prod()) / 2)

# %% ex2-answer: the way ends in x, but the shares are still of x and not of the step
def mended(f, x, target, baseline, steps=100):
    step, total = x - baseline, 0
    for k in range(steps):
        total = total + saliency(f, baseline + (k + 0.5) / steps * step, target)
    return x * total / steps

# %% ex2-answer: the first point of each piece in place of its middle
def mended(f, x, target, baseline, steps=100):
    step, total = x - baseline, 0
    for k in range(steps):
        total = total + saliency(f, baseline + k / steps * step, target)
    return step * total / steps

# %% ex3-answer: what none gives is forgotten
def interaction(game):
    none, second, first, both = game(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=bool))
    return both - first - second

# %% ex4-answer: the other way round: how much the score rises
def occlusion(f, x, target, size, fill=0.0):
    rows, columns = (n // size for n in x.shape[2:])
    out = torch.zeros(len(x), rows, columns, dtype=x.dtype)
    with torch.no_grad():
        before = f(x).gather(1, target[:, None])[:, 0]
        for i in range(rows):
            for j in range(columns):
                y = x.clone()
                y[:, :, i * size : (i + 1) * size, j * size : (j + 1) * size] = fill
                out[:, i, j] = f(y).gather(1, target[:, None])[:, 0] - before
    return out

# %% ex4-answer: squares stay painted while the next is asked about
def occlusion(f, x, target, size, fill=0.0):
    rows, columns = (n // size for n in x.shape[2:])
    out, y = torch.zeros(len(x), rows, columns, dtype=x.dtype), x.clone()
    with torch.no_grad():
        before = f(x).gather(1, target[:, None])[:, 0]
        for i in range(rows):
            for j in range(columns):
                y[:, :, i * size : (i + 1) * size, j * size : (j + 1) * size] = fill
                out[:, i, j] = before - f(y).gather(1, target[:, None])[:, 0]
    return out
