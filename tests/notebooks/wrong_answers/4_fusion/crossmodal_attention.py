"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: each pair of modalities is counted once, as if one way were enough
def pairs(lengths, depth, bottleneck):
    total = sum(lengths)
    if bottleneck:
        return depth * bottleneck * total
    return depth * sum(T * (total - T) for T in lengths) // 2

# %% ex1-answer: every token asks every token, its own modality's too
def pairs(lengths, depth, bottleneck):
    total = sum(lengths)
    if bottleneck:
        return depth * 2 * bottleneck * total
    return depth * total**2

# %% ex1-answer: the bottleneck also asks itself
def pairs(lengths, depth, bottleneck):
    total = sum(lengths)
    if bottleneck:
        return depth * bottleneck * (2 * total + bottleneck)
    return depth * sum(T * (total - T) for T in lengths)

# %% ex2-answer: the asker's mask, as the one who wrote it had it
def fetch(attend, asking, asking_mask, keys, keys_mask):
    return attend(asking, keys, asking_mask[:, :, None])[0]

# %% ex2-answer: keys are masked, and padding that asks still gets the bias of the last layer
def fetch(attend, asking, asking_mask, keys, keys_mask):
    both = asking_mask[:, :, None] & keys_mask[:, None]
    return attend(asking, keys, both)[0]

# %% ex2-answer: the keys' padding is set to zero, as if zeros were nothing
def fetch(attend, asking, asking_mask, keys, keys_mask):
    found = attend(asking, keys.where(keys_mask[:, :, None], 0))[0]
    return found.where(asking_mask[:, :, None], 0)

# %% ex3-answer: the root of d, where keys are one entry longer now
def prepared(q, keys, prior, sigma):
    more = np.log(prior) - (keys**2).sum(axis=1) / (2 * sigma**2)
    K = np.hstack([keys, more[:, None]])
    Q = np.hstack([q / sigma**2, 1.0]) * keys.shape[1] ** 0.5
    return torch.tensor(Q[None]), torch.tensor(K)

# %% ex3-answer: leaves out how long the keys are
def prepared(q, keys, prior, sigma):
    K = np.hstack([keys, np.log(prior)[:, None]])
    Q = np.hstack([q / sigma**2, 1.0]) * K.shape[1] ** 0.5
    return torch.tensor(Q[None]), torch.tensor(K)

# %% ex3-answer: the prior itself, not its logarithm
def prepared(q, keys, prior, sigma):
    more = prior - (keys**2).sum(axis=1) / (2 * sigma**2)
    K = np.hstack([keys, more[:, None]])
    Q = np.hstack([q / sigma**2, 1.0]) * K.shape[1] ** 0.5
    return torch.tensor(Q[None]), torch.tensor(K)

# %% ex3-answer: divides by sigma, not by its square
def prepared(q, keys, prior, sigma):
    more = np.log(prior) - (keys**2).sum(axis=1) / (2 * sigma)
    K = np.hstack([keys, more[:, None]])
    Q = np.hstack([q / sigma, 1.0]) * K.shape[1] ** 0.5
    return torch.tensor(Q[None]), torch.tensor(K)

# %% ex4-answer: overwrites the padding and never changes how much there is
def leaks(model, x, mask):
    junk = x.masked_fill(~mask[:, :, None], 50.0)
    return bool((model(junk, mask) - model(x, mask)).abs().max() > 1e-4)

# %% ex4-answer: lengthens with zeros, and trusts that zeros are all that ever stands there
def leaks(model, x, mask):
    longer, more = F.pad(x, (0, 0, 0, 7)), F.pad(mask, (0, 7))
    return bool((model(longer, more) - model(x, mask)).abs().max() > 1e-4)

# %% ex4-answer: asks for the very bit, so that rounding counts as a leak
def leaks(model, x, mask):
    longer, more = F.pad(x, (0, 0, 0, 7)), F.pad(mask, (0, 7))
    junk = longer.masked_fill(~more[:, :, None], 50.0)
    expected = model(x, mask)
    return any(not torch.equal(model(y, more), expected) for y in (longer, junk))

# %% ex4-answer: changes the padding in place, so that the caller's x is spoilt
def leaks(model, x, mask):
    expected = model(x, mask)
    longer, more = F.pad(x, (0, 0, 0, 7)), F.pad(mask, (0, 7))
    x[~mask] = 50.0
    junk = F.pad(x, (0, 0, 0, 7), value=50.0)
    found = [model(longer, more), model(junk, more)]
    return any(bool((f - expected).abs().max() > 1e-4) for f in found)

# %% ex4-answer: no absolute value, so only growing scores are seen
def leaks(model, x, mask):
    longer, more = F.pad(x, (0, 0, 0, 7)), F.pad(mask, (0, 7))
    junk = longer.masked_fill(~more[:, :, None], 50.0)
    expected = model(x, mask)
    found = [model(longer, more), model(junk, more)]
    return any(bool((f - expected).max() > 1e-4) for f in found)
