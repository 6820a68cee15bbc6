"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: L1 shrinks by a share as well
def at_rest(a, strength):
    return a / (1 + strength), a / (1 + strength)

# %% ex1-answer: L1 goes on past 0
def at_rest(a, strength):
    return a / (1 + strength), a - strength * np.sign(a)

# %% ex1-answer: a is taken to be positive
def at_rest(a, strength):
    return a / (1 + strength), max(a - strength, 0.0)

# %% ex1-answer: the slope of the square with a factor 2
def at_rest(a, strength):
    return (a / (1 + 2 * strength) if a != 3 else a / (1 + strength)), np.sign(a) * max(abs(a) - strength, 0.0)

# %% ex2-answer: columns are dropped for the whole batch
def forget(x, p, training):
    if not training:
        return x
    return x * (torch.rand(x.shape[1]) >= p) / (1 - p)

# %% ex2-answer: whole rows are dropped
def forget(x, p, training):
    if not training:
        return x
    return x * (torch.rand(len(x), 1) >= p) / (1 - p)

# %% ex2-answer: p is kept, not dropped
def forget(x, p, training):
    if not training:
        return x
    return x * (torch.rand_like(x) < p) / max(p, 1e-9)

# %% ex2-answer: nothing is stretched
def forget(x, p, training):
    return x * (torch.rand_like(x) >= p) if training else x

# %% ex2-answer: shrunk afterwards instead of stretched in training
def forget(x, p, training):
    return x * (torch.rand_like(x) >= p) if training else x * (1 - p)

# %% ex3-answer: an equal loss counts as better
def stop_early(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss <= losses[best]:
            best = epoch
        if epoch - best == patience:
            return best, epoch + 1
    return best, len(losses)

# %% ex3-answer: compared with the epoch before, not with the lowest
def stop_early(losses, patience):
    best = waited = 0
    for epoch in range(1, len(losses)):
        waited = 0 if losses[epoch] < losses[epoch - 1] else waited + 1
        if losses[epoch] < losses[best]:
            best = epoch
        if waited == patience:
            return best, epoch + 1
    return best, len(losses)

# %% ex3-answer: the last epoch is kept
def stop_early(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best == patience:
            return epoch, epoch + 1
    return len(losses) - 1, len(losses)

# %% ex3-answer: one epoch too patient
def stop_early(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best > patience:
            return best, epoch + 1
    return best, len(losses)

# %% ex3-answer: bad epochs are counted even when they are not in a row
def stop_early(losses, patience):
    best = waited = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        elif epoch:
            waited += 1
        if waited == patience:
            return best, epoch + 1
    return best, len(losses)

# %% ex4-answer: nothing changes at all
def factors(c):
    return 1.0, 1.0, 1.0

# %% ex4-answer: the gradient grows with the weights
def factors(c):
    return 1.0, c, 1.0

# %% ex4-answer: the weights' own length is forgotten
def factors(c):
    return 1.0, 1 / c, 1 / c

# %% ex2-answer: the mask is given, x is forgotten
def forget(x, p, training):
    if not training:
        return x
    return (torch.rand_like(x) >= p) / (1 - p)

# %% ex2-answer: stretched by what happened to be dropped, not by 1 - p
def forget(x, p, training):
    if not training:
        return x
    kept = (torch.rand_like(x) >= p).float()
    return x * kept / kept.mean()

# %% ex2-answer: stretched row by row by what happened to be kept
def forget(x, p, training):
    if not training:
        return x
    kept = (torch.rand_like(x) >= p).float()
    return x * kept / kept.mean(dim=1, keepdim=True).clamp(min=0.01)

# %% ex2-answer: shifted instead of stretched
def forget(x, p, training):
    if not training:
        return x
    out = x * (torch.rand_like(x) >= p)
    return torch.where(out != 0, out + p / (1 - p), out)
