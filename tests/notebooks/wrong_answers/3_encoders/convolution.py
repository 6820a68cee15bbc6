"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: a block sees four pixels, so each further one adds four
def blocks_to_see(side):
    return -(-side // 4)

# %% ex1-answer: the view has to be larger than the side, not as large
def blocks_to_see(side):
    blocks = 1
    while receptive_field(blocks * [(3, 1), (2, 2)]) <= side:
        blocks += 1
    return blocks

# %% ex1-answer: pooling halves the picture but does not widen the view itself
def blocks_to_see(side):
    field, apart, blocks = 1, 1, 0
    while field < side:
        field, apart, blocks = field + 2 * apart, 2 * apart, blocks + 1
    return blocks

# %% ex2-answer: the kernel is turned round first, as in mathematics
def conv1d(x, w, dilation=1):
    O, C, K = w.shape
    length = x.shape[1] - (K - 1) * dilation
    y = torch.zeros(O, length, dtype=x.dtype)
    for k in range(K):
        y += w[:, :, K - 1 - k] @ x[:, k * dilation : k * dilation + length]
    return y

# %% ex2-answer: dilation is taken for a stride
def conv1d(x, w, dilation=1):
    O, C, K = w.shape
    y = torch.stack([(w * x[:, t : t + K]).sum(dim=(1, 2)) for t in range(x.shape[1] - K + 1)])
    return y.T[:, ::dilation]

# %% ex2-answer: dilation is left out, and the end is cut to the right length
def conv1d(x, w, dilation=1):
    O, C, K = w.shape
    length = x.shape[1] - (K - 1) * dilation
    y = torch.stack([(w * x[:, t : t + K]).sum(dim=(1, 2)) for t in range(length)])
    return y.T

# %% ex3-answer: the running ones stay as they are, but the batch's are still used
def normalise(x, running_mean, running_var, training):
    mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)
    if training:
        running_mean.lerp_(mean, 0.1)
        running_var.lerp_(var, 0.1)
    return (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)

# %% ex3-answer: the running ones are used always, also while training
def normalise(x, running_mean, running_var, training):
    if training:
        running_mean.lerp_(x.mean(dim=(0, 2, 3)), 0.1)
        running_var.lerp_(x.var(dim=(0, 2, 3), correction=0), 0.1)
    return (x - running_mean[:, None, None]) / torch.sqrt(running_var[:, None, None] + 1e-5)

# %% ex3-answer: the running ones are used afterwards, but still move
def normalise(x, running_mean, running_var, training):
    mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)
    if not training:
        mean_, var_ = running_mean.clone(), running_var.clone()
    running_mean.lerp_(mean, 0.1)
    running_var.lerp_(var, 0.1)
    if not training:
        mean, var = mean_, var_
    return (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)

# %% ex4-answer: divides by the variance, not by its root
def fold(weight, mean, var, scale, shift, eps=1e-5):
    factor = scale / (var + eps)
    return weight * factor[:, None, None, None], shift - mean * factor

# %% ex4-answer: the mean is taken off without being scaled
def fold(weight, mean, var, scale, shift, eps=1e-5):
    factor = scale / torch.sqrt(var + eps)
    return weight * factor[:, None, None, None], shift - mean

# %% ex4-answer: scales the input channels instead of the output channels
def fold(weight, mean, var, scale, shift, eps=1e-5):
    factor = scale / torch.sqrt(var + eps)
    size = weight.shape[1]
    return weight * factor.repeat(size)[None, :size, None, None], shift - mean * factor

# %% ex5-answer: believes that the largest value over all places makes every move harmless
def harmless_moves(net, picture, most):
    return list(range(1, most + 1))

# %% ex5-answer: the stride of all poolings together, the last one included
def harmless_moves(net, picture, most):
    blocks = len(net.layers) // 4
    return list(range(2**blocks, most + 1, 2**blocks))

# %% ex5-answer: moves the picture down instead of to the right and leaves out the last move
def harmless_moves(net, picture, most):
    mask = torch.ones(1, 1, dtype=torch.bool)
    before = net(picture[None], mask).values
    return [
        by
        for by in range(1, most)
        if (net(picture.roll(by, dims=0)[None], mask).values - before).abs().max() < 1e-9
    ]

# %% ex1-answer: no block at all for one pixel
def blocks_to_see(side):
    blocks = 0
    while receptive_field(blocks * [(3, 1), (2, 2)]) < side:
        blocks += 1
    return blocks

# %% ex2-answer: the library's
def conv1d(x, w, dilation=1):
    return F.conv1d(x[None], w, dilation=dilation)[0]

# %% ex3-answer: the running mean moves the other way (0.9 for the new one)
def normalise(x, running_mean, running_var, training):
    if not training:
        return (x - running_mean[:, None, None]) / torch.sqrt(running_var[:, None, None] + 1e-5)
    mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)
    running_mean.lerp_(mean, 0.9)
    running_var.lerp_(var, 0.1)
    return (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)

# %% ex3-answer: the running mean stays
def normalise(x, running_mean, running_var, training):
    if not training:
        return (x - running_mean[:, None, None]) / torch.sqrt(running_var[:, None, None] + 1e-5)
    mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)
    running_mean = running_mean.lerp(mean, 0.1)
    running_var.lerp_(var, 0.1)
    return (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)

# %% ex5-answer: predicted, not found out
def harmless_moves(net, picture, most):
    return list(range(net.least // 2, most + 1, net.least // 2))

# %% ex5-answer: moved down
def harmless_moves(net, picture, most):
    mask = torch.ones(1, 1) > 0
    before = net(picture[None], mask).values
    return [
        by
        for by in range(1, most + 1)
        if (net(picture.roll(by, dims=0)[None], mask).values - before).abs().max() < 1e-9
    ]

# %% ex5-answer: only the first entry of the output is compared
def harmless_moves(net, picture, most):
    mask = torch.ones(1, 1) > 0
    before = net(picture[None], mask).values
    return [
        by
        for by in range(1, most + 1)
        if abs(net(picture.roll(by, dims=1)[None], mask).values - before).flatten()[0] < 1e-9
    ]

# %% ex5-answer: signs cancel
def harmless_moves(net, picture, most):
    mask = torch.ones(1, 1) > 0
    before = net(picture[None], mask).values
    return [
        by
        for by in range(1, most + 1)
        if (net(picture.roll(by, dims=1)[None], mask).values - before).max() < 1e-9
    ]

# %% ex2-answer: PyTorch's own is called by a second function of the answer
def second(x, w, dilation):
    return F.conv1d(x[None], w, dilation=dilation)[0]


def conv1d(x, w, dilation=1):
    return second(x, w, dilation)
