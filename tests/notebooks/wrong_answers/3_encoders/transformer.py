"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: weights each state and does not add up, as document 004 does
def look_up(query, states):
    weights = (states @ query / len(query) ** 0.5).softmax(dim=0)
    return (weights[:, None] * states).sum(dim=1), weights

# %% ex1-answer: each weight by itself, so that they need not sum to 1
def look_up(query, states):
    weights = (states @ query / len(query) ** 0.5).sigmoid()
    return weights @ states / weights.sum(), weights

# %% ex1-answer: forgets the root
def look_up(query, states):
    weights = (states @ query).softmax(dim=0)
    return weights @ states, weights

# %% ex1-answer: scales by the number of states instead of the length of a key
def look_up(query, states):
    weights = (states @ query / len(states) ** 0.5).softmax(dim=0)
    return weights @ states, weights

# %% ex2-answer: as it was found: a score of 0 is no mask
def padded_attention(Q, K, V, there):
    scores = Q @ K.T / Q.shape[-1] ** 0.5
    weights = (scores * there).softmax(dim=-1)
    return (weights * there) @ V

# %% ex2-answer: the right mask, but NaN where nothing is there
def padded_attention(Q, K, V, there):
    scores = (Q @ K.T / Q.shape[-1] ** 0.5).masked_fill(~there, -torch.inf)
    return scores.softmax(dim=-1) @ V.masked_fill(~there[:, None], 0)

# %% ex2-answer: a weight of zero times NaN is believed to be zero
def padded_attention(Q, K, V, there):
    scores = (Q @ K.T / Q.shape[-1] ** 0.5).masked_fill(~there, -1e9)
    return (scores.softmax(dim=-1) * there) @ V

# %% ex3-answer: the mean of the two answers, weighted by their sums as they stand
def join_pieces(left, right):
    m, s = torch.maximum(left[0], right[0]), left[1] + right[1]
    o = (left[1][:, None] * left[2] + right[1][:, None] * right[2]) / s[:, None]
    return m, s, o

# %% ex3-answer: right on paper, but overflows
def join_pieces(left, right):
    a, b = left[1] * torch.exp(left[0]), right[1] * torch.exp(right[0])
    m, s = torch.maximum(left[0], right[0]), a + b
    o = (a[:, None] * left[2] + b[:, None] * right[2]) / s[:, None]
    return m, s / torch.exp(m), o

# %% ex3-answer: takes the right piece to have the larger scores
def join_pieces(left, right):
    m = right[0]
    a, b = left[1] * torch.exp(left[0] - m), right[1]
    s = a + b
    return m, s, (a[:, None] * left[2] + b[:, None] * right[2]) / s[:, None]

# %% ex4-answer: takes the guess at the first place
def reply(model, prompt, stop, most, window):
    line = list(prompt)
    while len(line) < len(prompt) + most:
        line.append(int(model(torch.tensor([line[-window:]]))[0, 0].argmax()))
        if line[-1] == stop:
            break
    return line[len(prompt) :]

# %% ex4-answer: one call for all pieces, as a classifier would
def reply(model, prompt, stop, most, window):
    found = model(torch.tensor([list(prompt)[-window:]]))[0].argmax(dim=-1).tolist()
    found = (found * most)[:most]
    return found[: found.index(stop) + 1] if stop in found else found

# %% ex4-answer: shows the model its last piece alone
def reply(model, prompt, stop, most, window):
    line = list(prompt)
    while len(line) < len(prompt) + most:
        line.append(int(model(torch.tensor([line[-1:]]))[0, -1].argmax()))
        if line[-1] == stop:
            break
    return line[len(prompt) :]

# %% ex4-answer: shows the beginning of the text when it is longer than the window
def reply(model, prompt, stop, most, window):
    line = list(prompt)
    while len(line) < len(prompt) + most:
        line.append(int(model(torch.tensor([line[:window]]))[0, -1].argmax()))
        if line[-1] == stop:
            break
    return line[len(prompt) :]

# %% ex4-answer: writes into the list that it was given
def reply(model, prompt, stop, most, window):
    start = len(prompt)
    while len(prompt) < start + most:
        prompt.append(int(model(torch.tensor([prompt[-window:]]))[0, -1].argmax()))
        if prompt[-1] == stop:
            break
    return prompt[start:]

# %% ex4-answer: writes first and looks at `most` afterwards
def reply(model, prompt, stop, most, window):
    line = list(prompt)
    while True:
        line.append(int(model(torch.tensor([line[-window:]]))[0, -1].argmax()))
        if line[-1] == stop or len(line) >= len(prompt) + most:
            return line[len(prompt) :]

# %% ex5-answer: looks no further than a width of 512
def widest(budget, pieces, depth):
    width = 0
    for D in range(8, 513, 8):
        if 2 * pieces * D + pieces + depth * (12 * D * D + 12 * D) + 2 * D <= budget:
            width = D
    return width

# %% ex5-answer: forgets the small network of a block
def widest(budget, pieces, depth):
    width = 0
    while True:
        D = width + 8
        if 2 * pieces * D + pieces + depth * (4 * D * D + 7 * D) + 2 * D > budget:
            return width
        width = D

# %% ex5-answer: gives the keys a bias
def widest(budget, pieces, depth):
    width = 0
    while True:
        D = width + 8
        if 2 * pieces * D + pieces + depth * (12 * D * D + 13 * D) + 2 * D > budget:
            return width
        width = D

# %% ex5-answer: takes each head to have matrices of its own, of full size
def widest(budget, pieces, depth):
    width = 0
    while True:
        D = width + 8
        if 2 * pieces * D + pieces + depth * (24 * D * D + 12 * D) + 2 * D > budget:
            return width
        width = D

# %% ex1-answer: uses the chapter's attention
def look_up(query, states):
    values, weights = attention(query[None], states, states)
    return values[0], weights[0]

# %% ex2-answer: zeros of the query's shape where nothing is there
def padded_attention(Q, K, V, there):
    if not there.any():
        return torch.zeros_like(Q)
    scores = Q @ K.T / Q.shape[-1] ** 0.5
    scores = scores.masked_fill(~there, -torch.inf)
    return scores.softmax(dim=-1) @ V.masked_fill(~there[:, None], 0)

# %% ex2-answer: only NaN is taken out of the padding, inf stays
def padded_attention(Q, K, V, there):
    scores = (Q @ K.T / Q.shape[-1] ** 0.5).masked_fill(~there, -1e9)
    V = torch.where(V.isnan(), 0, V)
    return (scores.softmax(dim=-1) * there) @ V

# %% ex2-answer: root of the value's width
def padded_attention(Q, K, V, there):
    K, V = K[there], V[there]
    weights = (Q @ K.T / V.shape[-1] ** 0.5).softmax(dim=-1)
    return weights @ V

# %% ex3-answer: one maximum for all queries
def join_pieces(left, right):
    m = torch.maximum(left[0].max(), right[0].max()).expand(len(left[0]))
    a, b = left[1] * torch.exp(left[0] - m), right[1] * torch.exp(right[0] - m)
    s = a + b
    return torch.maximum(left[0], right[0]), s * torch.exp(m - torch.maximum(left[0], right[0])), (a[:, None] * left[2] + b[:, None] * right[2]) / s[:, None]

# %% ex4-answer: stops where the prompt already ends in stop
def reply(model, prompt, stop, most, window):
    line = list(prompt)
    while line[-1] != stop and len(line) < len(prompt) + most:
        line.append(int(model(torch.tensor([line[-window:]]))[0, -1].argmax()))
    return line[len(prompt) :]

# %% ex4-answer: start of the window may fall below 0
def reply(model, prompt, stop, most, window):
    line = list(prompt)
    for _ in range(most):
        line.append(int(model(torch.tensor([line[len(line) - window :]]))[0, -1].argmax()))
        if line[-1] == stop:
            break
    return line[len(prompt) :]

# %% ex4-answer: tensors in the list, not int
def reply(model, prompt, stop, most, window):
    line = list(prompt)
    for _ in range(most):
        line.append(model(torch.tensor([line[-window:]]))[0, -1].argmax())
        if line[-1] == stop:
            break
    return line[len(prompt) :]

# %% ex5-answer: looks no further than 1,024
def widest(budget, pieces, depth):
    width = 0
    for D in range(8, 1025, 8):
        if 2 * pieces * D + pieces + depth * (12 * D * D + 12 * D) + 2 * D <= budget:
            width = D
    return width
