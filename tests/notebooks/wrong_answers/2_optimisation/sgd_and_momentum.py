# Answers that run and look right, each from a misconception that readers have.

# %% sm-1-answer: the velocity forgets, and the second step is plain
def by_hand():
    return 0.8, 0.64, 0.2


# %% sm-1-answer: momentum makes the step shorter, by one minus beta
def by_hand():
    return 0.8, 0.54, 0.05


# %% sm-1-answer: only the first step is worked out
def by_hand():
    return 0.8, 0, 0



# %% sm-2-answer: the factor x is lost, as in the document
def mended_sgd(w, b, x, y, step, epochs, rng):
    for _ in range(epochs):
        for i in rng.permutation(len(x)):
            r = w * x[i] + b - y[i]
            w, b = w - step * 2 * r, b - step * 2 * r
    return w, b


# %% sm-2-answer: samples are drawn, so that some are seen twice and some not at all
def mended_sgd(w, b, x, y, step, epochs, rng):
    for _ in range(epochs):
        for i in rng.integers(len(x), size=len(x)):
            r = w * x[i] + b - y[i]
            w, b = w - step * 2 * r * x[i], b - step * 2 * r
    return w, b


# %% sm-2-answer: always the same order
def mended_sgd(w, b, x, y, step, epochs, rng):
    for _ in range(epochs):
        for i in range(len(x)):
            r = w * x[i] + b - y[i]
            w, b = w - step * 2 * r * x[i], b - step * 2 * r
    return w, b


# %% sm-2-answer: shuffled once, for all epochs
def mended_sgd(w, b, x, y, step, epochs, rng):
    order = rng.permutation(len(x))
    for _ in range(epochs):
        for i in order:
            r = w * x[i] + b - y[i]
            w, b = w - step * 2 * r * x[i], b - step * 2 * r
    return w, b



# %% sm-2-answer: the slope of all samples in every step
def mended_sgd(w, b, x, y, step, epochs, rng):
    for _ in range(epochs):
        for _ in rng.permutation(len(x)):
            r = w * x + b - y
            w, b = w - step * 2 * np.mean(r * x), b - step * 2 * np.mean(r)
    return w, b


# %% sm-2-answer: the factor two of the bias is lost, as in the document
def mended_sgd(w, b, x, y, step, epochs, rng):
    for _ in range(epochs):
        for i in rng.permutation(len(x)):
            r = w * x[i] + b - y[i]
            w, b = w - step * 2 * r * x[i], b - step * r
    return w, b


# %% sm-3-answer: momentum does not move the edge
def largest_step(curvature, beta):
    return 2 / curvature


# %% sm-3-answer: the edge of the plain step that it comes down to
def largest_step(curvature, beta):
    return 2 * (1 - beta) / curvature


# %% sm-3-answer: the end of the range of complex roots, where they meet
def largest_step(curvature, beta):
    return (1 + np.sqrt(beta)) ** 2 / curvature if beta else 2 / curvature


# %% sm-3-answer: another curve through the edges at 0 and one half
def largest_step(curvature, beta):
    return (2 + beta + 2 * beta**2) / curvature



# %% sm-4-answer: plain Adam, which forgets
def amsgrad(w, gradients, step, beta1=0.9, beta2=0.999, eps=1e-8):
    m = s = np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g**2
        w = w - step * m / (1 - beta1**t) / (np.sqrt(s / (1 - beta2**t)) + eps)
    return w


# %% sm-4-answer: the largest of the corrected means
def amsgrad(w, gradients, step, beta1=0.9, beta2=0.999, eps=1e-8):
    m = s = most = np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g**2
        most = np.maximum(most, s / (1 - beta2**t))
        w = w - step * m / (1 - beta1**t) / (np.sqrt(most) + eps)
    return w


# %% sm-4-answer: one largest mean for all weights
def amsgrad(w, gradients, step, beta1=0.9, beta2=0.999, eps=1e-8):
    m = s = np.zeros_like(w)
    most = 0.0
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g**2
        most = max(most, s.max())
        w = w - step * m / (1 - beta1**t) / (np.sqrt(most / (1 - beta2**t)) + eps)
    return w


# %% sm-4-answer: no correction for the start at zero
def amsgrad(w, gradients, step, beta1=0.9, beta2=0.999, eps=1e-8):
    m = s = most = np.zeros_like(w)
    for g in gradients:
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g**2
        most = np.maximum(most, s)
        w = w - step * m / (np.sqrt(most) + eps)
    return w


# %% sm-5-answer: the wave starts at zero, so the top is never reached
def warm_cosine(t, warm, total, first, last):
    rise = first + (1 - first) * np.minimum(t / warm, 1)
    return rise * (last + (1 - last) * (1 + np.cos(np.pi * t / total)) / 2)


# %% sm-5-answer: a line down in place of the wave
def warm_cosine(t, warm, total, first, last):
    rise = first + (1 - first) * t / warm
    return np.where(t < warm, rise, 1 - (1 - last) * (t - warm) / (total - warm))


# %% sm-5-answer: the rise starts at zero
def warm_cosine(t, warm, total, first, last):
    wave = (1 + np.cos(np.pi * (t - warm) / (total - warm))) / 2
    return np.where(t < warm, t / warm, last + (1 - last) * wave)

# %% sm-4-answer: eps within the root
def amsgrad(w, gradients, step, beta1=0.9, beta2=0.999, eps=1e-8):
    m = s = most = np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g**2
        most = np.maximum(most, s)
        w = w - step * m / (1 - beta1**t) / np.sqrt(most / (1 - beta2**t) + eps)
    return w

# %% sm-5-answer: the smaller of the two curves
def warm_cosine(t, warm, total, first, last):
    rise = first + (1 - first) * t / warm
    wave = (1 + np.cos(np.pi * (t - warm) / (total - warm))) / 2
    return np.minimum(rise, last + (1 - last) * wave)
