"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: forgets how likely the word was before it was seen
def believed(p, V, kept=0.1, forged=0.1):
    return kept / (kept + forged)

# %% ex1-answer: takes a forger to draw one certain word
def believed(p, V, kept=0.1, forged=0.1):
    return kept * p / (kept * p + forged)

# %% ex1-answer: takes a forger to draw words as the text does
def believed(p, V, kept=0.1, forged=0.1):
    return kept * p / (kept * p + forged * (1 - p) / V)

# %% ex2-answer: as it was found, but with the right names
def batch_of(texts, labels, most):
    ids = [text[:most] + [0] * (most - len(text)) for text in texts]
    mask = [[int(i > 0) for i in row] for row in ids]
    parts = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: torch.tensor(part) for name, part in parts.items()}

# %% ex2-answer: reads the mask off the numbers, and hides a token that is 0
def batch_of(texts, labels, most):
    rows = [torch.tensor(text[:most]) for text in texts]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return {
        "input_ids": ids,
        "attention_mask": (ids != 0).long(),
        "labels": torch.tensor(labels),
    }

# %% ex2-answer: forgets to cut what is too long
def batch_of(texts, labels, most):
    T = max(map(len, texts))
    ids = [text + [0] * (T - len(text)) for text in texts]
    mask = [[1] * len(text) + [0] * (T - len(text)) for text in texts]
    parts = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: torch.tensor(part) for name, part in parts.items()}

# %% ex3-answer: the mean over all words
def masked_loss(scores, tokens, chosen):
    return F.cross_entropy(scores.flatten(0, 1), tokens.flatten()) * (chosen.sum() > 0)

# %% ex3-answer: sums over the chosen and divides by all
def masked_loss(scores, tokens, chosen):
    losses = F.cross_entropy(scores.mT, tokens, reduction="none")
    return (losses * chosen).mean()

# %% ex3-answer: the library's mean, which is no number where nothing is chosen
def masked_loss(scores, tokens, chosen):
    return F.cross_entropy(scores.flatten(0, 1), tokens.where(chosen, -100).flatten())

# %% ex3-answer: a mean of the texts' means, which counts a text with one gap as much as a full one
def masked_loss(scores, tokens, chosen):
    losses = F.cross_entropy(scores.mT, tokens, reduction="none") * chosen
    return (losses.sum(dim=1) / chosen.sum(dim=1).clamp(min=1)).mean()

# %% ex4-answer: takes the perplexity to grow as the temperature does
def temperature_for(scores, wanted):
    p = scores.double().softmax(dim=0)
    return wanted / float(torch.special.entr(p).sum().exp())

# %% ex4-answer: takes the wanted number for an entropy
def temperature_for(scores, wanted):
    low, high = 1e-4, 1e4
    for _ in range(100):
        middle = (low * high) ** 0.5
        p = (scores.double() / middle).softmax(dim=0)
        low, high = (middle, high) if torch.special.entr(p).sum() < wanted else (low, middle)
    return middle

# %% ex4-answer: multiplies the scores by the temperature
def temperature_for(scores, wanted):
    low, high = 1e-4, 1e4
    for _ in range(100):
        middle = (low * high) ** 0.5
        p = (scores.double() * middle).softmax(dim=0)
        low, high = (middle, high) if torch.special.entr(p).sum().exp() > wanted else (low, middle)
    return middle

# %% ex4-answer: looks between a tenth and ten only
def temperature_for(scores, wanted):
    low, high = 0.1, 10.0
    for _ in range(100):
        middle = (low * high) ** 0.5
        p = (scores.double() / middle).softmax(dim=0)
        low, high = (middle, high) if torch.special.entr(p).sum().exp() < wanted else (low, middle)
    return middle

# %% ex2-answer: tables of zeros are filled, and zeros are floats
def batch_of(texts, labels, most):
    T = min(most, max(len(t) for t in texts))
    ids, mask = torch.zeros(len(texts), T), torch.zeros(len(texts), T)
    for i, t in enumerate(texts):
        n = min(len(t), T)
        ids[i, :n], mask[i, :n] = torch.tensor(t[:n]).float(), 1
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor(labels)}

# %% ex2-answer: mask of booleans
def batch_of(texts, labels, most):
    rows = [torch.tensor(t[:most]) for t in texts]
    n = torch.tensor([len(r) for r in rows])
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.arange(ids.shape[1]) < n[:, None]
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor(labels)}

# %% ex3-answer: an axis is left
def masked_loss(scores, tokens, chosen):
    losses = F.cross_entropy(scores.mT, tokens, reduction="none") * chosen
    return losses.sum().reshape(1) / chosen.sum().clamp(min=1)
