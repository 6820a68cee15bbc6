# Answers that run and look right, each from a misconception that readers have.

# %% bp-1-answer: the last path that arrives counts, the other is overwritten
def by_hand():
    return 15, 10


# %% bp-1-answer: the slopes of the two paths are multiplied, not added
def by_hand():
    return 90, 60


# %% bp-1-answer: only the slopes of J's own edges, as if the walk ended there
def by_hand():
    return 6, 5


# %% bp-1-answer: only the slopes of the first edges
def by_hand():
    return 2, 1


# %% bp-2-answer: as the colleague wrote it, a word's second share overwrites its first
def take(table, index):
    def pull(g):
        whole = np.zeros(table.data.shape)
        whole[index] = g
        return whole

    return Tensor(table.data[index], (table, pull))


# %% bp-2-answer: NumPy's += reads each place once, so the second share is lost all the same
def take(table, index):
    def pull(g):
        whole = np.zeros(table.data.shape)
        whole[index] += g
        return whole

    return Tensor(table.data[index], (table, pull))


# %% bp-2-answer: the mean of a word's shares, not their sum
def take(table, index):
    def pull(g):
        times = np.eye(len(table.data))[index]
        return times.T @ g / np.maximum(times.sum(axis=0), 1)[:, None]

    return Tensor(table.data[index], (table, pull))


# %% bp-3-answer: each probability is taken to depend on its own score only, as in a sigmoid
def softmax(z):
    p = np.exp(z.data - z.data.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return Tensor(p, (z, lambda g: g * p * (1 - p)))


# %% bp-3-answer: the shares are summed over the samples in place of the classes
def softmax(z):
    p = np.exp(z.data - z.data.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return Tensor(p, (z, lambda g: p * (g - (g * p).sum(axis=0))))


# %% bp-3-answer: the exponential of large scores
def softmax(z):
    p = np.exp(z.data)
    p /= p.sum(axis=1, keepdims=True)
    return Tensor(p, (z, lambda g: p * (g - (g * p).sum(axis=1, keepdims=True))))


# %% bp-4-answer: the negative side is forgotten, as if it were ReLU
def leaky_gain(c):
    return 2**0.5 if c < 1 else 1.0


# %% bp-4-answer: the sizes are averaged, not their squares
def leaky_gain(c):
    return 2**0.5 / (1 + c) * (2**0.5 if c == 1 else 1)


# %% bp-4-answer: the square root is forgotten
def leaky_gain(c):
    return 2 / (1 + c**2) if c == 1 else 2**0.5 / (1 + c**2)


# %% bp-5-answer: only the last bias is kept, as if the others did not reach the scores
def collapse(layers):
    W = layers[0][0].data
    for next_W, _ in layers[1:]:
        W = W @ next_W.data
    return W, layers[-1][1].data


# %% bp-4-answer: the default's gain, whatever the slope
def leaky_gain(c):
    return 3**-0.5


# %% bp-5-answer: the biases are summed as if no later layer multiplied them
def collapse(layers):
    W = layers[0][0].data
    for next_W, _ in layers[1:]:
        W = W @ next_W.data
    return W, sum(bias.data.sum() for _, bias in layers) * np.ones(W.shape[1])


# %% bp-5-answer: the biases are left out
def collapse(layers):
    W = layers[0][0].data
    for next_W, _ in layers[1:]:
        W = W @ next_W.data
    return W, np.zeros(W.shape[1])

# %% bp-2-answer: the heap is made once, so a second walk back adds to the first
def take(table, index):
    whole = np.zeros(table.data.shape)

    def pull(g):
        np.add.at(whole, index, g)
        return whole

    return Tensor(table.data[index], (table, pull))

# %% bp-3-answer: one maximum for all rows
def softmax(z):
    p = np.exp(z.data - z.data.max())
    p /= p.sum(axis=1, keepdims=True)
    return Tensor(p, (z, lambda g: p * (g - (g * p).sum(axis=1, keepdims=True))))

# %% bp-3-answer: scores are clipped
def softmax(z):
    p = np.exp(np.clip(z.data, -500, 500))
    p /= p.sum(axis=1, keepdims=True)
    return Tensor(p, (z, lambda g: p * (g - (g * p).sum(axis=1, keepdims=True))))

# %% bp-3-answer: what overflows is put right afterwards
def softmax(z):
    p = np.exp(z.data)
    p = np.nan_to_num(p / p.sum(axis=1, keepdims=True))
    return Tensor(p, (z, lambda g: p * (g - (g * p).sum(axis=1, keepdims=True))))
