"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: each measure with the norm of the other
def to_the_line(w, b, x):
    score = w @ x + b
    shortest = -score * w / (w @ w)
    return abs(score) / np.sqrt(w @ w), abs(score) / np.abs(w).sum(), shortest

# %% ex1-answer: the largest weight is moved alone
def to_the_line(w, b, x):
    score = w @ x + b
    shortest = -score * w / (w @ w)
    return abs(score) / np.abs(w).max(), abs(score) / np.sqrt(w @ w), shortest

# %% ex1-answer: the bias is forgotten
def to_the_line(w, b, x):
    score = w @ x
    shortest = -score * w / (w @ w)
    return abs(score) / np.abs(w).sum(), abs(score) / np.sqrt(w @ w), shortest

# %% ex1-answer: a way that leads away from the line
def to_the_line(w, b, x):
    score = w @ x + b
    return abs(score) / np.abs(w).sum(), abs(score) / np.sqrt(w @ w), abs(score) * w / (w @ w)

# %% ex2-answer: climbs, with the leash tied to the last step
def mended(f, x, y, epsilon, step, steps):
    moved = x.clone()
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        slope = torch.autograd.grad(F.cross_entropy(f(moved), y), moved)[0]
        before = moved
        moved = (moved + step * slope.sign()).clamp(0, 1)
        moved = before + (moved - before).clamp(-epsilon, epsilon)
    return moved.detach()

# %% ex2-answer: pixels may be anything
def mended(f, x, y, epsilon, step, steps):
    moved = x.clone()
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        slope = torch.autograd.grad(F.cross_entropy(f(moved), y), moved)[0]
        moved = x + (moved + step * slope.sign() - x).clamp(-epsilon, epsilon)
    return moved.detach()

# %% ex2-answer: downhill, on a good leash
def mended(f, x, y, epsilon, step, steps):
    moved = x.clone()
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        slope = torch.autograd.grad(F.cross_entropy(f(moved), y), moved)[0]
        moved = (moved - step * slope.sign()).clamp(0, 1)
        moved = x + (moved - x).clamp(-epsilon, epsilon)
    return moved.detach()

# %% ex2-answer: the leash is measured in length
def mended(f, x, y, epsilon, step, steps):
    moved = x.clone()
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        slope = torch.autograd.grad(F.cross_entropy(f(moved), y), moved)[0]
        way = (moved + step * slope.sign()).clamp(0, 1) - x
        moved = x + way * (epsilon / way.norm(dim=1, keepdim=True).clamp(min=epsilon))
    return moved.detach()

# %% ex2-answer: the page's own function is called, which was forbidden
def mended(f, x, y, epsilon, step, steps):
    return mm.regularise.pgd(f, x, y, epsilon, step, steps, start=False)

# %% ex3-answer: one vote too few
def votes_needed(radius, noise, risk):
    return max(int(np.log(risk) / np.log(norm.cdf(radius / noise))), 1)

# %% ex3-answer: takes the radius for the share
def votes_needed(radius, noise, risk):
    return int(np.ceil(np.log(risk) / np.log(norm.cdf(radius))))

# %% ex3-answer: risk and its complement mixed up
def votes_needed(radius, noise, risk):
    return max(int(np.ceil(np.log(1 - risk) / np.log(norm.cdf(radius / noise)))), 1)

# %% ex4-answer: gives the last point that is still read as before
def border(decide, x, far, halvings=30):
    own, near, there = decide(x), 0.0, 1.0
    for _ in range(halvings):
        middle = (near + there) / 2
        if decide(x + middle * (far - x)) == own:
            near = middle
        else:
            there = middle
    return x + near * (far - x)

# %% ex4-answer: halves, and puts nothing back
def border(decide, x, far, halvings=30):
    own, near, there = decide(x), 0.0, 1.0
    for _ in range(halvings):
        middle = (near + there) / 2
        if decide(x + middle * (far - x)) == own:
            near = middle
        else:
            there = middle
    return x + there * (far - x)

# %% ex4-answer: tries each entry alone and puts all back that can be spared alone
def border(decide, x, far, halvings=30):
    own, near, there = decide(x), 0.0, 1.0
    for _ in range(halvings):
        middle = (near + there) / 2
        if decide(x + middle * (far - x)) == own:
            near = middle
        else:
            there = middle
    moved = x + there * (far - x)
    spared = [decide(np.where(np.arange(len(x)) == i, x, moved)) != own for i in range(len(x))]
    return np.where(spared, x, moved) if decide(np.where(spared, x, moved)) != own else moved

# %% ex4-answer: puts entries back from the far picture, without halving
def border(decide, x, far, halvings=30):
    own, moved = decide(x), far.copy()
    for i in range(len(x)):
        back = moved.copy()
        back[i] = x[i]
        if decide(back) != own:
            moved = back
    return moved

# %% ex4-answer: takes it that x is read as 0
def border(decide, x, far, halvings=30):
    near, there = 0.0, 1.0
    for _ in range(halvings):
        middle = (near + there) / 2
        if decide(x + middle * (far - x)) == 0:
            near = middle
        else:
            there = middle
    moved = x + there * (far - x)
    for i in range(len(x)):
        back = np.where(np.arange(len(x)) == i, x, moved)
        moved = back if decide(back) != 0 else moved
    return moved

# %% ex4-answer: looks for the border of what far is read as
def border(decide, x, far, halvings=30):
    goal, near, there = decide(far), 0.0, 1.0
    for _ in range(halvings):
        middle = (near + there) / 2
        if decide(x + middle * (far - x)) == goal:
            there = middle
        else:
            near = middle
    moved = x + there * (far - x)
    for i in range(len(x)):
        back = np.where(np.arange(len(x)) == i, x, moved)
        moved = back if decide(back) == goal else moved
    return moved

# %% ex2-answer: fgsm is called inside a helper, which was forbidden
def mended(f, x, y, epsilon, step, steps):
    def one(moved):
        moved = fgsm(f, moved, y, step)
        return torch.maximum(torch.minimum(moved, x + epsilon), x - epsilon)

    moved = x.clone()
    for _ in range(steps):
        moved = one(moved)
    return moved
