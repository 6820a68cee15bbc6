"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: one-hot vectors, as in the document's example
def look_up(sentence, words, table):
    return np.array([[float(word == w) for w in words] for word in sentence])[:, : table.shape[1]]

# %% ex1-answer: the place in the sentence is taken for the word's number
def look_up(sentence, words, table):
    rows = np.zeros((len(sentence), table.shape[1]))
    for i, word in enumerate(sentence):
        if word in words:
            rows[i] = table[i % len(table)]
    return rows

# %% ex1-answer: an unknown word gets the row of number -1, the last one
def look_up(sentence, words, table):
    return np.stack([table[words.index(word) if word in words else -1] for word in sentence])

# %% ex2-answer: every place of the window counts the same
def weighted_counts(text, size, window):
    table = np.zeros((size, size))
    for apart in range(1, window + 1):
        np.add.at(table, (text[:-apart], text[apart:]), 1)
    return table + table.T

# %% ex2-answer: one over the distance, as in GloVe
def weighted_counts(text, size, window):
    table = np.zeros((size, size))
    for apart in range(1, window + 1):
        np.add.at(table, (text[:-apart], text[apart:]), 1 / apart)
    return table + table.T

# %% ex2-answer: a pair that comes twice at one distance is counted once
def weighted_counts(text, size, window):
    table = np.zeros((size, size))
    for apart in range(1, window + 1):
        table[text[:-apart], text[apart:]] += (window + 1 - apart) / window
    return table + table.T

# %% ex3-answer: the pairs drawn are made alike as well
def pair_loss(W, C, word, context, negative):
    met = (W[word] * C[context]).sum(dim=1)
    drawn = torch.einsum("bd,bkd->bk", W[word], C[negative])
    return (-F.logsigmoid(met) - F.logsigmoid(drawn).sum(dim=1)).mean()

# %% ex3-answer: the mean over the words drawn, where word2vec has the sum
def pair_loss(W, C, word, context, negative):
    met = (W[word] * C[context]).sum(dim=1)
    drawn = torch.einsum("bd,bkd->bk", W[word], C[negative])
    return (-F.logsigmoid(met) - F.logsigmoid(-drawn).mean(dim=1)).mean()

# %% ex3-answer: the context, not the word, is set against the words drawn
def pair_loss(W, C, word, context, negative):
    met = (W[word] * C[context]).sum(dim=1)
    drawn = torch.einsum("bd,bkd->bk", C[context], C[negative])
    return (-F.logsigmoid(met) - F.logsigmoid(-drawn).sum(dim=1)).mean()

# %% ex3-answer: still no pair that did not meet
def pair_loss(W, C, word, context, negative):
    return -F.logsigmoid((W[word] * C[context]).sum(dim=1)).mean()

# %% ex4-answer: the words given are allowed as answers
def analogy(rows, a, b, c):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return int(np.argmax(unit @ (unit[b] - unit[a] + unit[c])))

# %% ex4-answer: long rows win, for they are not brought to length 1
def analogy(rows, a, b, c):
    score = rows @ (rows[b] - rows[a] + rows[c])
    score[[a, b, c]] = -np.inf
    return int(np.argmax(score))

# %% ex4-answer: a and b have changed places
def analogy(rows, a, b, c):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    score = unit @ (unit[a] - unit[b] + unit[c])
    score[[a, b, c]] = -np.inf
    return int(np.argmax(score))

# %% ex4-answer: only b and c are left out
def analogy(rows, a, b, c):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    score = unit @ (unit[b] - unit[a] + unit[c])
    score[[b, c]] = -np.inf
    return int(np.argmax(score))

# %% ex4-answer: the given words are put to nought, not out
def analogy(rows, a, b, c):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    score = unit @ (unit[b] - unit[a] + unit[c])
    score[[a, b, c]] = 0
    return int(np.argmax(score))
