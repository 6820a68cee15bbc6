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

# %% ex4-answer: hiding a place alone always costs its weight, as if the other could not stand in
def three_answers(a):
    total = a.sum()
    return a * (total < 1), a + 0.0, a / max(1, total)

# %% ex4-answer: the walk is taken to have the slope of its end all along
def three_answers(a):
    total = a.sum()
    slopes = a * (total < 1)
    return slopes, min(1, total) - np.minimum(1, total - a), slopes

# %% ex4-answer: the slope is that of the sum, full or not
def three_answers(a):
    total = a.sum()
    return a + 0.0, min(1, total) - np.minimum(1, total - a), a / max(1, total)

# %% ex4-answer: a full score is shared out equally
def three_answers(a):
    total = a.sum()
    shares = np.full(len(a), 1 / len(a)) if total > 1 else a
    return a * (total < 1), min(1, total) - np.minimum(1, total - a), shares

# %% ex4-answer: once full, hiding one place is said to cost nothing
def three_answers(a):
    open_ = a.sum() < 1
    return a * open_, a * open_, a / max(1, a.sum())

# %% ex1-answer: measured by the test's own function
def product_shares(x, b):
    return measured(x, b)

# %% ex2-answer: trapezes in place of middles, one point more
def mended(f, x, target, baseline, steps=100):
    step, total = x - baseline, 0
    for k in range(steps + 1):
        w = 0.5 if k in (0, steps) else 1
        total = total + w * saliency(f, baseline + k / steps * step, target)
    return step * total / steps

# %% ex2-answer: both ends, evenly spaced
def mended(f, x, target, baseline, steps=100):
    step = x - baseline
    return step * sum(saliency(f, baseline + t * step, target) for t in np.linspace(0, 1, steps).tolist()) / steps

# %% ex2-answer: a hundred points, whatever is asked
def mended(f, x, target, baseline, steps=100):
    step = x - baseline
    return step * sum(saliency(f, baseline + (k + 0.5) / 100 * step, target) for k in range(100)) / 100

# %% ex2-answer: a random place of each piece
def mended(f, x, target, baseline, steps=100):
    step = x - baseline
    return step * sum(saliency(f, baseline + (k + float(torch.rand(()))) / steps * step, target) for k in range(steps)) / steps

# %% ex3-answer: keeps a row
def interaction(game):
    v = lambda a, b: game(np.array([[a, b]], dtype=bool))
    return v(1, 1) - v(1, 0) - v(0, 1) + v(0, 0)

# %% ex4-answer: the helper of the cell above is called
def three_answers(a):
    return asked_of(a)
