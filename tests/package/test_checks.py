"""Guards: what a spec asks for, what errors say, and that nothing else of a function changes."""

import inspect

import numpy as np
import pytest
import torch

from mmlearn.checks import KindError, checked, guard


def small(n):
    return {"n": 3} if n == 0 else None


@checked(
    small,
    "n < 9 and B == 2  # as it is here",
    "last is None or last.ndim != 2", "(y == 1).any() and 0 < y.max() < B  # one counts",
    x="B T float", mask="B T bool", wide="2B 1", last="... T", rows="N? int",
    state=["B", "B T"], kind=("a", "b"), n="0 or more", y="B -1/1", z="k k real",
)  # fmt: skip
def f(
    x, mask=None, wide=None, last=None, rows=None, state=None, kind="a", n=1, y=(1, -1), z=((0,),)
):
    """What it does."""
    return n, y, z


X = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"x": X[0]}, ValueError, r"x has shape \(B, T\), got \(3,\)"),
        ({"x": X[:0]}, ValueError, r"x has shape \(B, T\), none of them 0, got \(0, 3\)"),
        ({"x": X.long()}, TypeError, "x is a tensor of floats .*, got torch.int64"),
        ({"x": X.numpy()}, ValueError, "x is a tensor of floats .*, got float32"),
        ({"x": None}, TypeError, "x is a tensor of floats .*, got NoneType"),
        ({"mask": X}, KindError, "mask is a tensor of booleans, got torch.float32"),
        ({"mask": X.T > 0}, ValueError, r"mask has shape \(2, 3\), got \(3, 2\)"),
        ({"wide": torch.ones(3, 1)}, ValueError, r"wide has shape \(4, 1\), got \(3, 1\)"),
        ({"wide": torch.ones(4, 2)}, ValueError, r"wide has shape \(4, 1\), got \(4, 2\)"),
        (
            {"last": torch.ones(5, 6, 2)},
            ValueError,
            r"last has shape \(\.\.\., 3\), got \(5, 6, 2\)",
        ),
        ({"last": torch.tensor(1)}, ValueError, r"last has shape \(\.\.\., 3\), got \(\)"),
        ({"rows": X}, KindError, "rows is a tensor of whole numbers, got torch.float32"),
        ({"state": X}, ValueError, "state is a tuple of 2, got Tensor"),
        ({"state": [X]}, ValueError, "state is a tuple of 2, got list of 1"),
        ({"state": (X[:, 0], X.T)}, ValueError, r"state\[1\] has shape \(2, 3\), got \(3, 2\)"),
        ({"kind": "c"}, ValueError, "kind is one of a, b, got 'c'"),
        ({"n": -1}, ValueError, "n is 0 or more, got -1"),
        ({"n": float("nan")}, ValueError, "n is 0 or more, got nan"),
        ({"last": X}, ValueError, r"last.ndim != 2 has to hold, got last=(?s:.*), last.ndim=2$"),
        ({"y": [-1, -1]}, ValueError, r"got y=\[-1 -1\], y.max\(\)=-1, B=2; one"),
        ({"n": 9}, ValueError, "n < 9 and B == 2 has to hold, got n=9, B=2; as it is here"),
        ({"y": [1, 0]}, ValueError, r"y: labels are -1 or 1, got \[0 1\]"),
        ({"y": [1]}, ValueError, r"y has shape \(2,\), got \(1,\)"),
        ({"z": [[1, 2]]}, ValueError, r"z has shape \(k, k\), got \(1, 2\)"),
        ({"z": [[np.inf]]}, ValueError, "z holds NaN or infinity"),
        ({"w": 1}, TypeError, r"f\(\) got an unexpected keyword argument 'w'"),
    ],
)
def test_errors_name_the_argument_what_was_given_and_what_would_do(given, error, message):
    with pytest.raises(error, match=message):
        f(**{"x": X, **given})


def test_what_fits_passes_and_numpys_is_made_an_array():
    good = {
        "mask": X > 0, "wide": torch.ones(4, 1), "last": torch.ones(7, 8, 3),
        "rows": torch.ones(0, dtype=torch.int32), "state": (X[:, 0], X), "kind": "b", "n": 0,
    }  # fmt: skip
    n, y, z = f(X.half(), **good)
    assert n == 3  # by the check
    assert y.dtype == int and y.tolist() == [1, -1]
    assert z.dtype == float and z.shape == (1, 1)


def test_the_function_looks_as_before():
    assert f.__name__ == "f" and f.__doc__ == "What it does."
    assert str(inspect.signature(f)).startswith("(x, mask=None, wide=None")
    with pytest.raises(TypeError, match=r"f\(\) missing 1 required positional argument: 'x'"):
        f()
    with pytest.raises(TypeError, match=r"f\(\) got multiple values for argument 'x'"):
        f(X, x=X)


def test_a_method_knows_its_own_sizes_and_a_check_brings_a_default():
    class Layer:
        inner = type("Inner", (), {"size": 3})

        def forward(self, x, mask):
            return mask

    def everywhere(x, mask=None):
        return {"mask": torch.ones(len(x))} if mask is None else None

    guard(Layer, "forward", everywhere, "B < .inner.size", x="B .inner.size", mask="B")
    assert Layer().forward(X).tolist() == [1, 1]
    assert Layer().forward(X, X[:, 0]) is not None
    with pytest.raises(ValueError, match=r"x has shape \(B, 3\), got \(2, 2\)"):
        Layer().forward(X[:, :2])
    with pytest.raises(ValueError, match=r"mask has shape \(2,\), got \(3,\)"):
        Layer().forward(X, X[0])
    with pytest.raises(ValueError, match=r"B < inner.size has to hold, got B=4, inner.size=3"):
        Layer().forward(torch.ones(4, 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_kind_of_floats(dtype):
    assert f(X.to(dtype))[0] == 1
