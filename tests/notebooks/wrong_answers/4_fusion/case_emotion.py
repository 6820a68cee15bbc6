"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: convolutions that keep the size
def dense_weights(size, words):
    joined = (size // 8) ** 2 * 128 + words * 128 + 256
    return joined, (joined + 1) * 128

# %% ex1-answer: one direction of the sound, no biases
def dense_weights(size, words):
    for _ in range(3):
        size = (size - 2) // 2
    joined = size * size * 128 + words * 128 + 128
    return joined, joined * 128

# %% ex1-answer: forgets the biases
def dense_weights(size, words):
    for _ in range(3):
        size = (size - 2) // 2
    joined = size * size * 128 + words * 128 + 256
    return joined, joined * 128

# %% ex2-answer: both have to be right; two mistakes that cancel are forgotten
def understood(q, h, s):
    return q * h, q * (1 - s)

# %% ex2-answer: irony matters only for the ironic
def understood(q, h, s):
    return q * (1 - s) + s * (q * h + (1 - q) * (1 - h)), q * (1 - s) + (1 - q) * s

# %% ex2-answer: the better of the two decides
def understood(q, h, s):
    return max(q, h), q * (1 - s) + (1 - q) * s

# %% ex3-answer: the last real state of both halves, so the way back has read one frame
def last_states(lstm, x, mask):
    states, _ = lstm(x)
    return states[torch.arange(len(x)), mask.sum(dim=1) - 1]

# %% ex3-answer: forward at the last frame, backward at the first, but after reading the padding
def last_states(lstm, x, mask):
    states, _ = lstm(x)
    last = states[torch.arange(len(x)), mask.sum(dim=1) - 1]
    if not lstm.bidirectional:
        return last
    H = lstm.hidden_size
    return torch.cat([last[:, :H], states[:, 0, H:]], dim=1)

# %% ex3-answer: hidden states with the axes of batch and direction mixed up
def last_states(lstm, x, mask):
    packed = pack_padded_sequence(x, mask.sum(dim=1), batch_first=True, enforce_sorted=False)
    _, (last, _) = lstm(packed)
    return last.reshape(len(x), -1)

# %% ex4-answer: each recording by its own mean
def centred(sounds, voices, everybody, k):
    return [x - (x.sum(axis=0) + k * everybody) / (len(x) + k) for x in sounds]

# %% ex4-answer: the mean of the recordings' means, so a short one counts like a long one
def centred(sounds, voices, everybody, k):
    mean = {}
    for name in set(voices):
        of = [x for x, v in zip(sounds, voices) if v == name]
        n = sum(map(len, of))
        own = np.mean([x.mean(axis=0) for x in of], axis=0)
        mean[name] = (n * own + k * everybody) / (n + k)
    return [x - mean[v] for x, v in zip(sounds, voices)]

# %% ex4-answer: one mean for all voices
def centred(sounds, voices, everybody, k):
    frames = np.concatenate(list(sounds))
    mean = (frames.sum(axis=0) + k * everybody) / (len(frames) + k)
    return [x - mean for x in sounds]

# %% ex4-answer: everybody's frames counted once a recording, not once a voice
def centred(sounds, voices, everybody, k):
    mean = {}
    for name in set(voices):
        of = [x for x, v in zip(sounds, voices) if v == name]
        frames = np.concatenate(of)
        count = k * len(of)
        mean[name] = (frames.sum(axis=0) + count * everybody) / (len(frames) + count)
    return [x - mean[v] for x, v in zip(sounds, voices)]
