"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: one bias a question, as in the formula
def parameters(kind, size, width):
    questions = {"rnn": 1, "lstm": 4, "gru": 3}[kind]
    return questions * width * (size + width + 1)

# %% ex1-answer: the state is as long as the input
def parameters(kind, size, width):
    questions = {"rnn": 1, "lstm": 4, "gru": 3}[kind]
    return questions * width * (2 * size + 2)

# %% ex1-answer: counts the gates and forgets the new content
def parameters(kind, size, width):
    questions = {"rnn": 1, "lstm": 3, "gru": 2}[kind]
    return questions * width * (size + width + 2)

# %% ex2-answer: takes the mean life, 1 / (1 - f), for the half-life
def forget_bias(steps):
    return float(np.log(max(steps - 1, 1e-9)))

# %% ex2-answer: the gate itself, not the bias in front of the sigmoid
def forget_bias(steps):
    return 0.5 ** (1 / steps) if steps > 1 else 0.0

# %% ex2-answer: believes that a step takes off 1 / (2 steps), as if it were a sum
def forget_bias(steps):
    keep = 1 - 0.5 / steps
    return float(np.log(keep / (1 - keep)))

# %% ex3-answer: the row is turned with its padding
def turned(x, mask):
    return x.flip(1), mask

# %% ex3-answer: mask and row are turned, so padding comes first
def turned(x, mask):
    return x.flip(1), mask.flip(1)

# %% ex3-answer: turns each row rightly and leaves what stood in the padding
def turned(x, mask):
    y = x.clone()
    for i, n in enumerate(mask.sum(dim=1).tolist()):
        y[i, :n] = x[i, :n].flip(0)
    return y, mask

# %% ex4-answer: the largest eigenvalue, which decides only in the long run
def reach(R, k):
    return float(torch.linalg.eigvals(R).abs().max()) ** k

# %% ex4-answer: believes that every step stretches the same direction
def reach(R, k):
    return float(torch.linalg.matrix_norm(R, 2)) ** k

# %% ex4-answer: the root of all squares, which no single direction meets
def reach(R, k):
    return float(torch.linalg.matrix_power(R, k).norm())

# %% ex4-answer: one step too few, as between k states there are k - 1 steps
def reach(R, k):
    return float(torch.linalg.matrix_norm(torch.linalg.matrix_power(R, k - 1), 2))

# %% ex4-answer: powers of the entries, not of the matrix
def reach(R, k):
    return float(torch.linalg.matrix_norm(R**k, 2))

# %% ex5-answer: opens the reset gate, whose rows stand first
def open_gate(layer, bias):
    H = layer.hidden_size
    with torch.no_grad():
        layer.bias_ih_l0[:H] += bias

# %% ex5-answer: takes z for the share of what is new, as some papers write it
def open_gate(layer, bias):
    H = layer.hidden_size
    with torch.no_grad():
        layer.bias_ih_l0[H : 2 * H] -= bias

# %% ex5-answer: adds it to both biases, so it counts twice
def open_gate(layer, bias):
    H = layer.hidden_size
    with torch.no_grad():
        layer.bias_ih_l0[H : 2 * H] += bias
        layer.bias_hh_l0[H : 2 * H] += bias

# %% ex3-answer: new mask read off the values (zero = padding)
def turned(x, mask):
    y = torch.zeros_like(x)
    for i, n in enumerate(mask.sum(dim=1).tolist()):
        y[i, :n] = x[i, :n].flip(0)
    return y, (y != 0).any(dim=-1)

# %% ex5-answer: also cuts the input off that gate
def open_gate(layer, bias):
    H = layer.hidden_size
    with torch.no_grad():
        layer.bias_ih_l0[H : 2 * H] += bias
        layer.weight_ih_l0[H : 2 * H] = 0

# %% ex5-answer: freezes the layer to be able to write
def open_gate(layer, bias):
    H = layer.hidden_size
    layer.requires_grad_(False)
    layer.bias_ih_l0[H : 2 * H] += bias

# %% ex5-answer: a new parameter instead of a change in place
def open_gate(layer, bias):
    H = layer.hidden_size
    b = layer.bias_ih_l0.detach().clone()
    b[H : 2 * H] += bias
    layer.bias_ih_l0 = nn.Parameter(b)
