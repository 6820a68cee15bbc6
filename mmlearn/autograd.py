"""Backpropagation from scratch, in NumPy: arrays that know how to send a gradient back.

The definitions stand on the book's pages as they stand here, so types and shapes are in the
docstrings, not in annotations.
"""

# mypy: allow-untyped-defs

import itertools
from numbers import Real

import numpy as np

from mmlearn.checks import checked, guard


def value(x):
    """The array in a tensor, or a constant as an array of float64."""
    return x.data if isinstance(x, Tensor) else np.asarray(x, dtype=float)


class Tensor:
    """An array that remembers what it was made from.

    ``+ - * / **`` work entry by entry and broadcast as in NumPy; ``@`` multiplies matrices, or
    stacks of them.

    Parameters
    ----------
    data : array of any shape
    *edges : pairs (parent, pull)
        What it was made from. `pull` takes the gradient with respect to this tensor and gives
        this edge's share of the gradient with respect to the parent. A parent that is no tensor
        is a constant and gets nothing.

    Attributes
    ----------
    data : array of float64
    grad : array shaped like `data`
        Set by `backward`; zero before.

    References
    ----------
    Baydin, Pearlmutter, Radul and Siskind (2018), Automatic differentiation in machine learning:
    a survey, arXiv:1502.05767.
    """

    made = itertools.count()
    __array_ufunc__ = None  # so that array + tensor is ours to work out, not NumPy's

    def __init__(self, data, *edges):
        self.data = np.asarray(data, dtype=float)
        self.grad = np.zeros(self.data.shape)
        self.edges = [edge for edge in edges if isinstance(edge[0], Tensor)]
        self.number = next(Tensor.made)

    def __add__(self, other):
        return Tensor(self.data + value(other), (self, lambda g: g), (other, lambda g: g))

    def __sub__(self, other):
        return Tensor(self.data - value(other), (self, lambda g: g), (other, lambda g: -g))

    def __mul__(self, other):
        x, y = self.data, value(other)
        return Tensor(x * y, (self, lambda g: g * y), (other, lambda g: g * x))

    def __truediv__(self, other):
        x, y = self.data, value(other)
        return Tensor(x / y, (self, lambda g: g / y), (other, lambda g: -g * x / y**2))

    def __pow__(self, p):
        x = self.data
        return Tensor(x**p, (self, lambda g: g * p * x ** (p - 1)))

    def __matmul__(self, other):
        x, y = self.data, value(other)
        return Tensor(x @ y, (self, lambda g: g @ y.mT), (other, lambda g: x.mT @ g))

    def __rmatmul__(self, other):
        return Tensor(other) @ self

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return Tensor(-self.data, (self, lambda g: -g))

    def __rsub__(self, other):
        return -self + other

    def __rtruediv__(self, other):
        return self**-1 * other

    def sum(self, axis=None, keepdims=False):
        """The sum over some axes, or over all.

        Parameters
        ----------
        axis : int or tuple of int, optional
            Over all axes by default.
        keepdims : bool
            Whether the axes stay, with length 1.

        Returns
        -------
        Tensor
        """
        kept = self.data.sum(axis=axis, keepdims=True)
        total = kept if keepdims else kept.squeeze(axis)
        return Tensor(total, (self, lambda g: np.full_like(self.data, g.reshape(kept.shape))))

    def mean(self, axis=None, keepdims=False):
        """The mean over some axes, or over all.

        Parameters
        ----------
        axis, keepdims
            As for `sum`.

        Returns
        -------
        Tensor
        """
        total = self.sum(axis, keepdims)
        return total * (total.data.size / self.data.size)


def exp(x):
    """The exponential of each entry of a tensor."""
    y = np.exp(x.data)
    return Tensor(y, (x, lambda g: g * y))


def log(x):
    """The natural logarithm of each entry of a tensor."""
    return Tensor(np.log(x.data), (x, lambda g: g / x.data))


def tanh(x):
    """The hyperbolic tangent of each entry of a tensor."""
    y = np.tanh(x.data)
    return Tensor(y, (x, lambda g: g * (1 - y**2)))


def relu(x):
    """Each entry of a tensor, or 0 where it is negative."""
    return Tensor(np.maximum(x.data, 0), (x, lambda g: g * (x.data > 0)))


def unbroadcast(g, shape):
    """Sum a gradient over the axes along which something of `shape` was repeated.

    Parameters
    ----------
    g : array
        The gradient with respect to the repeated thing.
    shape : tuple of int
        The thing's own shape.

    Returns
    -------
    array of that shape
    """
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))  # axes that were put in front
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def backward(loss):
    """Set `grad` of everything that a number was made from: the number's gradient there.

    Parameters
    ----------
    loss : Tensor with one entry

    Raises
    ------
    ValueError
        If it has more than one entry.

    References
    ----------
    Linnainmaa (1976), Taylor expansion of the accumulated rounding error,
    doi:10.1007/BF01931367; Rumelhart, Hinton and Williams (1986), Learning representations by
    back-propagating errors, doi:10.1038/323533a0.
    """
    nodes, waiting = {loss}, [loss]
    while waiting:
        parents = {parent for parent, _ in waiting.pop().edges} - nodes
        nodes |= parents
        waiting += parents
    for node in nodes:
        node.grad = np.zeros(node.data.shape)
    loss.grad = np.ones(loss.data.shape)
    for node in sorted(nodes, key=lambda node: -node.number):  # from the last made to the first
        for parent, pull in node.edges:
            parent.grad = parent.grad + unbroadcast(pull(node.grad), parent.data.shape)


def initial_layers(widths, gain, rng):
    """Weights and biases of a network of dense layers, before training.

    Parameters
    ----------
    widths : sequence of int
        Entries of the input, of each hidden layer, and of the output.
    gain : float
        A weight's standard deviation is `gain` over the square root of the layer's inputs.
    rng : numpy Generator

    Returns
    -------
    list of (W, b)
        Tensors of shape (D_in, D_out) and (D_out,), one pair a layer; biases are zero.

    References
    ----------
    He, Zhang, Ren and Sun (2015), Delving deep into rectifiers, arXiv:1502.01852.
    """
    return [
        (Tensor(rng.normal(0, gain / np.sqrt(before), (before, after))), Tensor(np.zeros(after)))
        for before, after in itertools.pairwise(widths)
    ]


def mlp(X, layers, activation):
    """What a network of dense layers makes of samples: a multilayer perceptron.

    Parameters
    ----------
    X : array of shape (n, d)
    layers : list of (W, b)
        From `initial_layers`.
    activation : callable
        Follows every layer but the last.

    Returns
    -------
    list of Tensor
        The input, what each hidden layer gives, and last the scores of shape (n, k).
    """
    outputs = [Tensor(X)]
    for number, (W, b) in enumerate(layers, 1):
        z = outputs[-1] @ W + b
        outputs.append(z if number == len(layers) else activation(z))
    return outputs


def cross_entropy(z, y):
    """Minus the mean log-probability that softmax gives to the labels.

    Parameters
    ----------
    z : Tensor (n, k)
        One score a class.
    y : array of shape (n,)
        Labels, 0 to k - 1.

    Returns
    -------
    Tensor with one entry

    Raises
    ------
    ValueError
        If shapes do not fit, or a label is none of the classes.
    """
    n, k = z.data.shape
    z = z - z.data.max(axis=1, keepdims=True)  # the same probabilities, and nothing overflows
    log_p = z - log(exp(z).sum(axis=1, keepdims=True))
    return (log_p * np.eye(k)[y]).sum() / -n


# What follows guards the definitions above against input that would give a wrong answer without
# a word (a label of -1 is the last class, for one), or an error far from its cause.


def _matmul(self, other):
    left, right = self.data.shape, value(other).shape
    if min(len(left), len(right)) < 2 or left[-1] != right[-2]:
        raise ValueError(
            f"@ takes matrices (…, n, m) and (…, m, k) that share m, got {left} and {right}; "
            "write a vector as a matrix with one row or one column"
        )


def _power(p):
    if not isinstance(p, Real):
        raise TypeError(f"the exponent is a number, got {type(p).__name__}")


def _backward(loss):
    if not isinstance(loss, Tensor):
        raise TypeError(f"backward starts from a Tensor, got {type(loss).__name__}")
    if loss.data.size != 1:
        raise ValueError(
            f"backward starts from one number, got shape {loss.data.shape}; "
            "take the mean or the sum first"
        )


def _widths(widths):
    widths = list(widths)
    if len(widths) < 2 or not all(isinstance(n, int | np.integer) and n > 0 for n in widths):
        raise ValueError(f"widths are two or more whole numbers above 0, got {widths}")
    return {"widths": widths}


def _cross_entropy(z, y):
    if z.data.ndim != 2 or 0 in z.data.shape:
        raise ValueError(f"z has shape (n, k), neither of them 0, got {z.data.shape}")
    if y.shape != z.data.shape[:1] or not np.isin(y, range(z.data.shape[1])).all():
        n, k = z.data.shape
        raise ValueError(f"y has {n} labels from 0 to {k - 1}, got shape {y.shape}, {y[:5]}")


guard(Tensor, "__matmul__", _matmul)
guard(Tensor, "__pow__", _power)
backward = checked(_backward)(backward)
initial_layers = checked(_widths, gain="0 or more")(initial_layers)
cross_entropy = checked(_cross_entropy, y="... labels")(cross_entropy)
