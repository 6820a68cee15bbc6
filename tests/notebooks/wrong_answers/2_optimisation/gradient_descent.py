# Answers that run and look right, each from a misconception that readers have.

# %% gd-1-answer: the curvature is the coefficient, so the edge is at two over three
def by_hand():
    return 0.8, 0.32, 2 / 3


# %% gd-1-answer: the second step uses the gradient of the first
def by_hand():
    return 0.8, -0.4, 1 / 3


# %% gd-2-answer: the factor x is lost, as in the document
def mended_step(w, b, x, y, step):
    r = w * x + b - y
    return w - step * 2 * np.mean(r), b - step * 2 * np.mean(r)


# %% gd-2-answer: the factor two of the bias is lost, as in the document
def mended_step(w, b, x, y, step):
    r = w * x + b - y
    return w - step * 2 * np.mean(r * x), b - step * np.mean(r)


# %% gd-2-answer: no target, as in the document
def mended_step(w, b, x, y, step):
    r = w * x + b
    return w - step * 2 * np.mean(r * x), b - step * 2 * np.mean(r)


# %% gd-2-answer: a sum over the samples in place of their mean
def mended_step(w, b, x, y, step):
    r = w * x + b - y
    return w - step * 2 * np.sum(r * x), b - step * 2 * np.sum(r)


# %% gd-3-answer: the softmax over the samples in place of the classes
def softmax_gradient(W, X, y):
    Z = X @ W
    P = np.exp(Z - Z.max(axis=0))
    P /= P.sum(axis=0)
    P[np.arange(len(y)), y] -= 1
    return X.T @ P / len(y)


# %% gd-3-answer: the exponential of large numbers
def softmax_gradient(W, X, y):
    P = np.exp(X @ W)
    P /= P.sum(axis=1, keepdims=True)
    P[np.arange(len(y)), y] -= 1
    return X.T @ P / len(y)


# %% gd-3-answer: a sum over the samples in place of their mean
def softmax_gradient(W, X, y):
    Z = X @ W
    P = np.exp(Z - Z.max(axis=1, keepdims=True))
    P /= P.sum(axis=1, keepdims=True)
    P[np.arange(len(y)), y] -= 1
    return X.T @ P


# %% gd-4-answer: the factor two of the squares is forgotten, so the step is twice too large
def largest_safe_step(X, lam):
    return 2 / (np.linalg.eigvalsh(X.T @ X / len(X)).max() + lam)


# %% gd-4-answer: one over the curvature, the step that lands at once, is taken for the edge
def largest_safe_step(X, lam):
    return 1 / (2 * np.linalg.eigvalsh(X.T @ X / len(X)).max() + 2 * lam)


# %% gd-4-answer: the largest column decides, as if columns were not correlated
def largest_safe_step(X, lam):
    return 2 / (2 * np.mean(X**2, axis=0).max() + 2 * lam)


# %% gd-4-answer: the penalty is forgotten
def largest_safe_step(X, lam):
    return 2 / (2 * np.linalg.eigvalsh(X.T @ X / len(X)).max())


# %% gd-5-answer: any smaller loss is good enough
def backtracking_step(loss, gradient, w, step):
    g = gradient(w)
    while loss(w - step * g) >= loss(w):
        step = step / 2
    return w - step * g, step


# %% gd-5-answer: one halving too many
def backtracking_step(loss, gradient, w, step):
    g = gradient(w)
    while loss(w - step * g) > loss(w) - step / 2 * np.sum(g**2):
        step = step / 2
    return w - step / 2 * g, step / 2

# %% gd-3-answer: scores are clipped, so that all large ones are alike
def softmax_gradient(W, X, y):
    P = np.exp(np.clip(X @ W, -500, 500))
    P /= P.sum(axis=1, keepdims=True)
    P[np.arange(len(y)), y] -= 1
    return X.T @ P / len(y)

# %% gd-3-answer: what overflowed becomes 0
def softmax_gradient(W, X, y):
    P = np.exp(X @ W)
    P = np.nan_to_num(P / P.sum(axis=1, keepdims=True))
    P[np.arange(len(y)), y] -= 1
    return X.T @ P / len(y)

# %% gd-3-answer: one maximum for all rows, and a small number against dividing by 0
def softmax_gradient(W, X, y):
    Z = X @ W
    P = np.exp(Z - Z.max())
    P /= P.sum(axis=1, keepdims=True) + 1e-12
    P[np.arange(len(y)), y] -= 1
    return X.T @ P / len(y)

# %% gd-3-answer: as many classes as labels that occur
def softmax_gradient(W, X, y):
    Z = X @ W
    P = np.exp(Z - Z.max(axis=1, keepdims=True))
    P /= P.sum(axis=1, keepdims=True)
    return X.T @ (P - np.eye(y.max() + 1)[y]) / len(y)

# %% gd-5-answer: halves on equality too
def backtracking_step(loss, gradient, w, step):
    g = gradient(w)
    while loss(w - step * g) >= loss(w) - step / 2 * np.sum(g**2):
        step = step / 2
    return w - step * g, step
