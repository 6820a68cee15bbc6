"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: so many that one good trial is expected, times how sure
def enough(share, sure):
    return math.ceil(sure / share)

# %% ex1-answer: the largest number that is not enough
def enough(share, sure):
    return math.floor(math.log(1 - sure) / math.log(1 - share))

# %% ex1-answer: share and sure take each other's place
def enough(share, sure):
    return math.ceil(math.log(1 - share) / math.log(1 - sure))

# %% ex2-answer: a score may be drawn twice
def best_of(scores, k):
    i = np.arange(len(scores))
    chance = ((i + 1) ** k - i**k) / len(scores) ** k
    return float(np.sort(scores) @ chance)

# %% ex2-answer: the best of consecutive trials, on average
def best_of(scores, k):
    return float(np.mean([max(scores[i : i + k]) for i in range(len(scores) - k + 1)]))

# %% ex2-answer: the others come from all scores up to the best, itself among them
def best_of(scores, k):
    ways = np.array([math.comb(i + 1, k - 1) for i in range(len(scores))])
    return float(np.sort(scores) @ ways / ways.sum())

# %% ex3-answer: the inner folds leave nothing out
def mended(score, settings, n, k):
    rows, outer = np.arange(n), []
    for i in range(k):
        inner = lambda s: np.mean([score(s, rows[rows % k != j], rows[rows % k == j]) for j in range(k) if j != i])
        best = max(settings, key=inner)
        outer.append(score(best, rows[rows % k != i], rows[rows % k == i]))
    return np.mean(outer)

# %% ex3-answer: the winner's inner score is reported
def mended(score, settings, n, k):
    rows, outer = np.arange(n), []
    for i in range(k):
        inner = lambda s: np.mean([score(s, rows[(rows % k != i) & (rows % k != j)], rows[rows % k == j]) for j in range(k) if j != i])
        outer.append(max(inner(s) for s in settings))
    return np.mean(outer)

# %% ex3-answer: the winner is not trained on all other folds
def mended(score, settings, n, k):
    rows, outer = np.arange(n), []
    for i in range(k):
        inner = lambda s: np.mean([score(s, rows[(rows % k != i) & (rows % k != j)], rows[rows % k == j]) for j in range(k) if j != i])
        best, j = max(settings, key=inner), (i + 1) % k
        outer.append(score(best, rows[(rows % k != i) & (rows % k != j)], rows[rows % k == i]))
    return np.mean(outer)

# %% ex4-answer: survivors begin anew
def halve(score, n, rungs, factor):
    alive, cost = list(range(n)), 0
    for steps in rungs:
        cost += len(alive) * steps
        alive.sort(key=lambda trial: -score(trial, steps))
        if steps != rungs[-1]:
            alive = alive[: max(1, len(alive) // factor)]
    return alive[0], cost

# %% ex4-answer: a part of those alive is dropped, not kept
def halve(score, n, rungs, factor):
    alive, cost, before = list(range(n)), 0, 0
    for steps in rungs:
        cost += len(alive) * (steps - before)
        before = steps
        alive.sort(key=lambda trial: -score(trial, steps))
        if steps != rungs[-1]:
            alive = alive[: max(1, len(alive) - len(alive) // factor)]
    return alive[0], cost

# %% ex4-answer: the leader of the first rung wins
def halve(score, n, rungs, factor):
    winner = max(range(n), key=lambda trial: score(trial, rungs[0]))
    alive, cost, before = n, 0, 0
    for steps in rungs:
        cost += alive * (steps - before)
        before, alive = steps, max(1, alive // factor)
    return winner, cost

# %% ex2-answer: the place is looked up by the score, equal ones get the lowest place
def best_of(scores, k):
    order = sorted(scores)
    return sum(math.comb(order.index(s), k - 1) * s for s in scores) / math.comb(len(scores), k)
