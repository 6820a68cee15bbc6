"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: the noise is forgotten
def noisy_error(w, x, y, sigma):
    return (y - x @ w) ** 2

# %% ex1-answer: the spread is not squared
def noisy_error(w, x, y, sigma):
    return (y - x @ w) ** 2 + sigma * (w @ w)

# %% ex1-answer: the length of w in place of its square
def noisy_error(w, x, y, sigma):
    return (y - x @ w) ** 2 + sigma**2 * np.sqrt(w @ w)

# %% ex1-answer: the mean over samples in place of one number for each
def noisy_error(w, x, y, sigma):
    return np.mean((y - x @ w) ** 2) + sigma**2 * (w @ w)

# %% ex2-answer: the nearest frame, nothing blended
def stretch(x, factor):
    at = np.linspace(0, len(x) - 1, max(1, round(len(x) / factor)))
    return x[at.round().astype(int)]

# %% ex2-answer: slower in place of faster
def stretch(x, factor):
    T, new = len(x), max(1, round(len(x) * factor))
    at = np.linspace(0, T - 1, new)
    low = np.minimum(at.astype(int), max(T - 2, 0))
    part = (at - low)[:, None]
    return x[low] * (1 - part) + x[np.minimum(low + 1, T - 1)] * part

# %% ex2-answer: the last frame is cut off, not kept
def stretch(x, factor):
    T, new = len(x), max(1, round(len(x) / factor))
    at = np.minimum(np.arange(new) * factor, T - 1)
    low = np.minimum(at.astype(int), max(T - 2, 0))
    part = (at - low)[:, None]
    return x[low] * (1 - part) + x[np.minimum(low + 1, T - 1)] * part

# %% ex2-answer: the shares of the two neighbours are exchanged
def stretch(x, factor):
    T, new = len(x), max(1, round(len(x) / factor))
    at = np.linspace(0, T - 1, new)
    low = np.minimum(at.astype(int), max(T - 2, 0))
    part = (at - low)[:, None]
    return x[low] * part + x[np.minimum(low + 1, T - 1)] * (1 - part)

# %% ex3-answer: one order now, but still one share for the whole batch
def blend(x, y, alpha):
    share, other = Beta(alpha, alpha).sample().to(x), torch.randperm(len(x))
    return share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]

# %% ex3-answer: a share for each sample, but two orders
def blend(x, y, alpha):
    share = Beta(alpha, alpha).sample((len(x),)).to(x)
    of_x, of_y = share[:, None, None, None], share[:, None]
    one, two = torch.randperm(len(x)), torch.randperm(len(x))
    return of_x * x + (1 - of_x) * x[one], of_y * y + (1 - of_y) * y[two]

# %% ex3-answer: the labels take the shares the other way round
def blend(x, y, alpha):
    share, other = Beta(alpha, alpha).sample((len(x),)).to(x), torch.randperm(len(x))
    of_x, of_y = share[:, None, None, None], share[:, None]
    return of_x * x + (1 - of_x) * x[other], (1 - of_y) * y + of_y * y[other]

# %% ex3-answer: shares are uniform, alpha is not used
def blend(x, y, alpha):
    share, other = torch.rand(len(x)).to(x), torch.randperm(len(x))
    of_x, of_y = share[:, None, None, None], share[:, None]
    return of_x * x + (1 - of_x) * x[other], of_y * y + (1 - of_y) * y[other]

# %% ex4-answer: the copy itself is counted among its sisters
def met_before(k, q):
    return 1 - q**k

# %% ex4-answer: the share of training copies, whatever k
def met_before(k, q):
    return 1 - q if k > 1 else 0

# %% ex4-answer: the probability that all sisters are in training
def met_before(k, q):
    return (1 - q) ** (k - 1) if k > 1 else 0

# %% ex3-answer: Beta(alpha, 1)
def blend(x, y, alpha):
    s, other = Beta(alpha, 1.0).sample((len(x), 1)), torch.randperm(len(x))
    return s[:, :, None, None] * x + (1 - s[:, :, None, None]) * x[other], s * y + (1 - s) * y[other]
