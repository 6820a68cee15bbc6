"""The autograd against PyTorch, over expressions and shapes that hypothesis draws, and against
hostile input."""

import ast
import inspect

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmlearn import autograd
from mmlearn.autograd import Tensor, backward, cross_entropy, initial_layers, mlp, unbroadcast
from mmlearn.optim import finite_difference

RNG = np.random.default_rng(0)


# --- equal to PyTorch -------------------------------------------------------------------------

# How to go on from the values at hand: a name, and what it does to the library's values and to
# ours alike. Arguments of logarithms, quotients and powers are kept away from where they blow up.
UNARY = {
    "negative": lambda x, f: -x,
    "exp": lambda x, f: f.exp(f.tanh(x)),
    "log": lambda x, f: f.log(x * x + 1),
    "tanh": lambda x, f: f.tanh(x),
    "relu": lambda x, f: f.relu(x),
    "cube": lambda x, f: f.tanh(x) ** 3,
    "root": lambda x, f: (x * x + 1) ** 0.5,
    "one less": lambda x, f: 1 - x,
    "inverse": lambda x, f: 2 / (x * x + 1),
    "sum": lambda x, f: x.sum(),
    "mean": lambda x, f: x.mean(),
}
AXIS = {
    "sum over": lambda x, axis, keep: x.sum(axis, keep),
    "mean over": lambda x, axis, keep: x.mean(axis, keep),
}
BINARY = {
    "add": lambda x, y, f: x + y,
    "subtract": lambda x, y, f: x - y,
    "multiply": lambda x, y, f: x * y,
    "divide": lambda x, y, f: x / (y * y + 1),
}


@st.composite
def programs(draw):
    """Shapes of the inputs, and steps that each make one value more from those before."""
    shapes = draw(
        st.lists(
            st.lists(st.sampled_from([1, 1, 2, 3]), max_size=3).map(tuple), min_size=2, max_size=4
        )
    )
    step = st.tuples(
        st.sampled_from([*UNARY, *AXIS, *BINARY, "matmul"]),
        st.integers(0, 20),
        st.integers(0, 20),
        st.integers(-3, 2),
        st.booleans(),
    )
    return shapes, draw(st.lists(step, min_size=1, max_size=8))


def evaluate(values, steps, f):
    """All values that a program makes; steps whose shapes do not fit are left out."""
    values = list(values)
    for name, i, j, axis, keep in steps:
        x, y = values[i % len(values)], values[j % len(values)]
        shapes = tuple(x.data.shape), tuple(y.data.shape)
        if name in UNARY:
            values.append(UNARY[name](x, f))
        elif name in AXIS and -len(shapes[0]) <= axis < len(shapes[0]):
            values.append(AXIS[name](x, axis, keep))
        elif name in BINARY and fits(*shapes):
            values.append(BINARY[name](x, y, f))
        elif name == "matmul" and multiply(*shapes):
            values.append(f.tanh(x) @ f.tanh(y))
    return values


def fits(a, b):
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return True


def multiply(a, b):
    return min(len(a), len(b)) > 1 and a[-1] == b[-2] and fits(a[:-2], b[:-2])


@given(programs(), st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None)
def test_every_gradient_equals_torchs(program, seed):
    shapes, steps = program
    arrays = [np.random.default_rng(seed).normal(size=shape) for shape in shapes]
    ours = [Tensor(array) for array in arrays]
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    ours_all, theirs_all = evaluate(ours, steps, autograd), evaluate(theirs, steps, torch)
    for a, b in zip(ours_all, theirs_all, strict=True):
        assert a.data == pytest.approx(b.detach().numpy(), rel=1e-9, abs=1e-9)
    # The last values count twice, and each with its own factors.
    loss = sum((v.sum() * (k + 1) for k, v in enumerate(ours_all[-3:])), ours_all[-1].mean())
    loss_torch = sum(
        (v.sum() * (k + 1) for k, v in enumerate(theirs_all[-3:])), theirs_all[-1].mean()
    )
    assume(abs(loss.data) < 1e6)
    backward(loss)
    grads = torch.autograd.grad(loss_torch, theirs, allow_unused=True)
    for a, b in zip(ours, grads, strict=True):
        expected = np.zeros(a.data.shape) if b is None else b.numpy()
        assert a.grad.shape == a.data.shape
        assert a.grad == pytest.approx(expected, rel=1e-7, abs=1e-7)


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=5),
    st.integers(1, 6),
    st.sampled_from(["tanh", "relu"]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_a_network_equals_torchs(widths, n, activation, seed):
    rng = np.random.default_rng(seed)
    layers = initial_layers(widths, 1.3, rng)
    X, y = rng.normal(size=(n, widths[0])), rng.integers(widths[-1], size=n)
    copies = [[torch.tensor(p.data, requires_grad=True) for p in pair] for pair in layers]
    h = torch.tensor(X)
    for W, b in copies[:-1]:
        h = getattr(torch, activation)(h @ W + b)
    scores = h @ copies[-1][0] + copies[-1][1]
    theirs = torch.nn.functional.cross_entropy(scores, torch.tensor(y))
    theirs.backward()
    outputs = mlp(X, layers, getattr(autograd, activation))
    loss = cross_entropy(outputs[-1], y)
    backward(loss)
    assert [h.data.shape for h in outputs] == [(n, width) for width in widths]
    assert outputs[-1].data == pytest.approx(scores.detach().numpy())
    assert loss.data == pytest.approx(theirs.item())
    for pair, copy in zip(layers, copies, strict=True):
        for p, q in zip(pair, copy, strict=True):
            assert p.grad == pytest.approx(q.grad.numpy(), abs=1e-9)


def test_gradients_equal_finite_differences():
    X, W = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 2))

    def loss(w):
        return (autograd.tanh(Tensor(X) @ w) ** 2).mean()

    weights = Tensor(W)
    backward(loss(weights))
    numeric = finite_difference(lambda w: loss(Tensor(w)).data, W)
    assert weights.grad == pytest.approx(numeric, abs=1e-8)


@given(
    st.lists(st.integers(1, 3), max_size=3).map(tuple),
    st.lists(st.integers(1, 3), max_size=2).map(tuple),
)
@settings(max_examples=60, deadline=None)
def test_unbroadcast_is_the_transpose_of_broadcasting(shape, front):
    rng = np.random.default_rng(0)
    full = front + tuple(3 if n == 1 else n for n in shape)
    x, g = rng.normal(size=shape), rng.normal(size=full)
    back = unbroadcast(g, shape)
    assert back.shape == shape
    assert np.sum(back * x) == pytest.approx(np.sum(g * np.broadcast_to(x, full)))


# --- the walk back ----------------------------------------------------------------------------


def test_a_value_used_twice_gets_both_shares():
    x = Tensor(3.0)
    y = x * x + x
    backward(y * y)  # (x² + x)², whose slope at 3 is 2 · 12 · 7
    assert x.grad == pytest.approx(168)
    assert y.grad == pytest.approx(24)


def test_each_walk_starts_from_zero():
    x = Tensor([1.0, 2.0])
    loss = (x * x).sum()
    backward(loss)
    backward(loss)
    assert x.grad == pytest.approx([2, 4])
    backward((3 * x).sum())
    assert x.grad == pytest.approx([3, 3])


def test_what_the_number_was_not_made_from_keeps_its_gradient():
    x, other = Tensor(1.0), Tensor(2.0)
    backward(other * 5)
    backward(x * 2)
    assert (x.grad, other.grad) == (2, 5)


def test_a_chain_of_ten_thousand_is_no_trouble():
    x = Tensor(1.0)
    y = x
    for _ in range(10_000):
        y = y + x
    backward(y)
    assert x.grad == 10_001


def test_arrays_and_numbers_may_stand_on_either_side():
    x, array = Tensor([1.0, 2.0]), np.array([3.0, 4.0])
    for left, right in ((array + x, x + array), (array * x, x * array), (array - x, -(x - array))):
        assert isinstance(left, Tensor)
        assert left.data == pytest.approx(right.data)
    assert (array / x).data == pytest.approx([3, 2])
    weights, rows = Tensor(RNG.normal(size=(3, 2))), RNG.normal(size=(4, 3))
    scores = rows @ weights
    backward((scores * np.ones((4, 2))).sum())
    assert scores.data == pytest.approx(rows @ weights.data)
    assert weights.grad == pytest.approx(rows.T @ np.ones((4, 2)))
    assert (np.float64(6) / x).data == pytest.approx([6, 3])
    whole = Tensor([1, 2])  # whole numbers become floats, or a step would round them
    assert whole.data.dtype == np.float64
    backward((whole**-1).sum())
    assert whole.grad == pytest.approx([-1, -0.25])


def test_a_constant_is_not_followed():
    x = Tensor([1.0, 2.0])
    y = x * np.array([3.0, 4.0]) + 5
    assert [parent for parent, _ in y.edges[0][0].edges] == [x]
    assert len(y.edges) == 1


def test_relu_has_no_slope_at_zero_like_torchs():
    x = Tensor([-1.0, 0.0, 2.0])
    backward(autograd.relu(x).sum())
    assert x.grad.tolist() == [0, 0, 1]


def test_nan_is_passed_on_and_not_hidden():
    x = Tensor([1.0, np.nan])
    loss = (x * x).sum()
    backward(loss)
    assert np.isnan(loss.data)
    assert np.isnan(x.grad).tolist() == [False, True]


# --- networks ---------------------------------------------------------------------------------


def test_initial_layers_have_the_gain_that_was_asked_for():
    layers = initial_layers([400, 300, 7], 0.5, np.random.default_rng(0))
    assert [(W.data.shape, b.data.shape) for W, b in layers] == [
        ((400, 300), (300,)),
        ((300, 7), (7,)),
    ]
    for W, b in layers:
        assert W.data.std() * np.sqrt(len(W.data)) == pytest.approx(0.5, rel=0.05)
        assert abs(W.data.mean()) < 0.003
        assert not b.data.any()


def test_the_size_of_the_gradient_follows_the_formula():
    """Theory: with ReLU each layer multiplies the square of its length by gain² / 2."""
    X, y = RNG.normal(size=(50, 100)), RNG.integers(10, size=50)
    for gain in (0.7, 2**0.5, 2.0):
        logs = []
        for seed in range(8):
            layers = initial_layers([100] * 9 + [10], gain, np.random.default_rng(seed))
            outputs = mlp(X, layers, autograd.relu)
            backward(cross_entropy(outputs[-1], y))
            sizes = [np.linalg.norm(h.grad) for h in outputs[1:-1]]
            logs.append(np.log(sizes[0] / sizes[-1]) / 7)
        assert np.exp(np.mean(logs)) == pytest.approx(gain / 2**0.5, rel=0.06)


def test_cross_entropy_does_not_overflow():
    z = Tensor([[1e4, 0.0], [0.0, 1e4]])
    loss = cross_entropy(z, np.array([0, 0]))
    backward(loss)
    assert loss.data == pytest.approx(5e3)
    assert z.grad == pytest.approx(np.array([[0, 0], [-0.5, 0.5]]))


def test_every_parameter_moves_in_one_step():
    rng = np.random.default_rng(1)
    layers = initial_layers([5, 6, 4, 3], 2**0.5, rng)
    loss = cross_entropy(
        mlp(rng.normal(size=(20, 5)), layers, autograd.tanh)[-1], np.arange(20) % 3
    )
    backward(loss)
    assert all(p.grad.any() for pair in layers for p in pair)


# --- hostile input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: backward(Tensor(np.ones(3))), ValueError, r"one number, got shape \(3,\)"),
        (lambda: backward(Tensor(np.ones((0, 2)))), ValueError, "one number"),
        (lambda: backward(3.0), TypeError, "starts from a Tensor, got float"),
        (lambda: Tensor(np.ones(3)) @ np.ones(3), ValueError, "a vector as a matrix"),
        (lambda: Tensor(np.ones((2, 3))) @ np.ones((2, 3)), ValueError, r"share m, got \(2, 3\)"),
        (lambda: np.ones((2, 3)) @ Tensor(np.ones((2, 3))), ValueError, r"share m, got \(2, 3\)"),
        (lambda: np.ones(3) @ Tensor(np.ones((3, 2))), ValueError, "a vector as a matrix"),
        (lambda: Tensor(2.0) ** Tensor(2.0), TypeError, "exponent is a number, got Tensor"),
        (lambda: Tensor("many"), ValueError, "could not convert"),
        (lambda: Tensor(Tensor(1.0)), TypeError, "not 'Tensor'"),
        (lambda: Tensor(np.ones(2)) + np.ones(3), ValueError, "broadcast"),
        (
            lambda: cross_entropy(Tensor(np.ones((2, 3))), [0, 3]),
            ValueError,
            "2 labels from 0 to 2",
        ),
        (
            lambda: cross_entropy(Tensor(np.ones((2, 3))), [0, -1]),
            ValueError,
            "2 labels from 0 to 2",
        ),
        (
            lambda: cross_entropy(Tensor(np.ones((2, 3))), [[0], [1]]),
            ValueError,
            r"2 labels.*got shape \(2, 1\)",
        ),
        (lambda: cross_entropy(Tensor(np.ones((0, 3))), []), ValueError, "neither of them 0"),
        (lambda: cross_entropy(Tensor(np.ones(3)), [0]), ValueError, r"shape \(n, k\)"),
        (lambda: initial_layers([3], 1.0, RNG), ValueError, "two or more whole numbers"),
        (lambda: initial_layers([3, 0], 1.0, RNG), ValueError, "two or more whole numbers"),
        (lambda: initial_layers([3, 2], -1.0, RNG), ValueError, "gain is 0 or more"),
        (lambda: initial_layers([3, 2], np.nan, RNG), ValueError, "gain is 0 or more"),
    ],
)
def test_hostile_input_gets_a_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_engine_has_at_most_150_lines_of_code():
    source = inspect.getsource(autograd)
    tree = ast.parse(source)
    texts = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    code = [
        line
        for number, line in enumerate(source.splitlines(), 1)
        if number not in texts and line.strip() and not line.strip().startswith("#")
    ]
    assert len(code) <= 150
