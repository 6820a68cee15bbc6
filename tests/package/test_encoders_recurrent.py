"""Recurrent cells and attention against slow loops and torch; padding changes no answer."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmlearn import encoders
from mmlearn.data import collate
from mmlearn.encoders import AdditiveAttention, MultimodalModel, Recurrent, Tokens, mean_of_tokens
from tests.package.versions import fake_gpu

SHAPES = settings(max_examples=30, deadline=None)
CELLS = {
    "rnn": (encoders.rnn_cell, nn.RNNCell, 1),
    "lstm": (encoders.lstm_cell, nn.LSTMCell, 2),
    "gru": (encoders.gru_cell, nn.GRUCell, 1),
}
QUESTIONS = {"rnn": 1, "lstm": 4, "gru": 3}
kinds = pytest.mark.parametrize("kind", CELLS)
ways = pytest.mark.parametrize("both_ways", [False, True])


def normal(*shape, seed=0, **kwargs):
    rng = np.random.default_rng([seed, *shape])
    return torch.tensor(rng.normal(size=shape), **kwargs)


def zeros(kind, b, h, **kwargs):
    return (torch.zeros(b, h, **kwargs),) * CELLS[kind][2]


def sigmoid(v):
    return 1 / (1 + math.exp(-v))


def slow_lstm(x, h, c, W, R, b, d):
    """One number at a time, by the formulas."""
    width = len(h)
    asked = [
        sum(W[k][j] * x[j] for j in range(len(x)))
        + sum(R[k][j] * h[j] for j in range(width))
        + b[k]
        + d[k]
        for k in range(4 * width)
    ]
    new_h, new_c = [], []
    for k in range(width):
        i, f, g, o = (asked[k + q * width] for q in range(4))
        new_c.append(sigmoid(f) * c[k] + sigmoid(i) * math.tanh(g))
        new_h.append(sigmoid(o) * math.tanh(new_c[-1]))
    return new_h, new_c


def test_lstm_cell_is_the_slow_formula():
    x, h, c = normal(1, 3), normal(1, 2, seed=1), normal(1, 2, seed=2)
    weights = [normal(8, 3), normal(8, 2), normal(8), normal(8, seed=1)]
    ours = encoders.lstm_cell(x, (h, c), weights)
    slow = slow_lstm(x[0].tolist(), h[0].tolist(), c[0].tolist(), *[w.tolist() for w in weights])
    for a, b in zip(ours, slow, strict=True):
        assert a[0].tolist() == pytest.approx(b)


@given(st.sampled_from(list(CELLS)), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
@SHAPES
def test_cells_are_torchs(kind, b, d, h):
    ours, theirs, parts = CELLS[kind]
    cell = theirs(d, h, dtype=torch.float64)
    x, state = normal(b, d), tuple(normal(b, h, seed=i) for i in range(parts))
    expected = cell(x, state if parts == 2 else state[0])
    found = ours(x, state, list(cell.parameters()))
    assert len(found) == parts
    torch.testing.assert_close(found, expected if parts == 2 else (expected,))


@kinds
def test_gradients_of_cells_are_those_of_differences(kind):
    cell, theirs, parts = CELLS[kind]
    weights = [p.detach().requires_grad_() for p in theirs(2, 3, dtype=torch.float64).parameters()]
    x, state = normal(2, 2, requires_grad=True), normal(parts, 2, 3, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, s, *w: cell(x, tuple(s), w), (x, state, *weights))


def reverse_within(x, lengths):
    return torch.stack([torch.cat([r[:n].flip(0), r[n:]]) for r, n in zip(x, lengths, strict=True)])


@kinds
@ways
class TestRecurrent:
    def test_is_the_walk_of_each_sequence_alone(self, kind, both_ways):
        torch.manual_seed(0)
        net, cell = Recurrent(3, 4, kind, both_ways).double(), CELLS[kind][0]
        lengths, x = [5, 2, 1], normal(3, 5, 3)
        mask = torch.arange(5) < torch.tensor(lengths)[:, None]
        values, given_mask = net(x, mask)
        assert values.shape == (3, 5, net.width) and given_mask is mask
        for i, n in enumerate(lengths):
            alone, there = x[i : i + 1, :n], mask[i : i + 1, :n]
            expected = []
            for way, layer in enumerate(net.layers):
                state = zeros(kind, 1, 4, dtype=torch.float64)
                turned = alone.flip(1) if way else alone
                h = encoders.unroll(cell, turned, there, state, list(layer.parameters()))
                expected.append(h.flip(1) if way else h)
            torch.testing.assert_close(values[i, :n], torch.cat(expected, dim=2)[0])
            assert (values[i, n:] == 0).all()

    def test_padding_anywhere_changes_nothing_even_where_it_is_nan(self, kind, both_ways):
        net, x = Recurrent(3, 4, kind, both_ways).double(), normal(2, 4, 3)
        whole = net(x, torch.ones(2, 4, dtype=torch.bool)).values
        places = torch.tensor([1, 2, 4, 7])
        wide = torch.full((2, 9, 3), torch.nan, dtype=torch.float64)
        wide[:, places] = x
        mask = torch.zeros(2, 9, dtype=torch.bool)
        mask[:, places] = True
        values = net(wide.requires_grad_(), mask).values
        torch.testing.assert_close(values[:, places], whole)
        assert (values[~mask] == 0).all()
        values.sum().backward()
        assert all(p.grad.isfinite().all() for p in net.parameters())

    def test_parameters_are_as_many_as_the_closed_form(self, kind, both_ways):
        net = Recurrent(3, 4, kind, both_ways)
        expected = (1 + both_ways) * QUESTIONS[kind] * 4 * (3 + 4 + 2)
        assert sum(p.numel() for p in net.parameters()) == expected
        assert (net.size, net.width) == (3, 8 if both_ways else 4)

    def test_every_parameter_moves_in_one_step(self, kind, both_ways):
        torch.manual_seed(0)
        net = Recurrent(3, 4, kind, both_ways)
        before = [p.detach().clone() for p in net.parameters()]
        net(torch.randn(2, 3, 3), torch.ones(2, 3) > 0).values.square().sum().backward()
        assert all(p.grad.abs().sum() > 0 for p in net.parameters())
        torch.optim.SGD(net.parameters(), lr=0.1).step()
        assert all((p != q).any() for p, q in zip(net.parameters(), before, strict=True))

    def test_state_goes_round(self, kind, both_ways):
        net, other = (Recurrent(3, 4, kind, both_ways) for _ in range(2))
        x, mask = torch.randn(2, 3, 3), torch.ones(2, 3) > 0
        other.load_state_dict(net.state_dict())
        assert (net(x, mask).values == other(x, mask).values).all()

    def test_batch_of_one_and_a_sample_without_anything(self, kind, both_ways):
        net, x = Recurrent(3, 4, kind, both_ways).double(), normal(3, 2, 3)
        mask = torch.tensor([[True, True], [False, False], [True, False]])
        values = net(x, mask).values
        torch.testing.assert_close(net(x[:1], mask[:1]).values, values[:1])
        assert (values[1] == 0).all()
        assert net(x[:1, :1], mask[:1, :1]).values.shape == (1, 1, net.width)

    def test_bad_sample_spoils_no_other(self, kind, both_ways):
        net, x, mask = Recurrent(3, 4, kind, both_ways).double(), normal(2, 3, 3), torch.ones(2, 3)
        spoilt = x.clone()
        spoilt[1, 1, 0] = torch.nan
        values = net(spoilt, mask > 0).values
        torch.testing.assert_close(values[0], net(x, mask > 0).values[0])
        assert values[1].isnan().any()

    def test_gradients_are_those_of_differences(self, kind, both_ways):
        torch.manual_seed(0)
        net, x = Recurrent(2, 3, kind, both_ways).double(), normal(2, 3, 2, requires_grad=True)
        mask = torch.tensor([[True, True, True], [True, False, True]])
        assert torch.autograd.gradcheck(lambda x: net(x, mask).values, x)


def slow_attention(look, states):
    """One state at a time."""
    look, scores = look.requires_grad_(False), []
    for h in states:
        hidden = [
            math.tanh(float(row @ h + bias))
            for row, bias in zip(look.key.weight, look.key.bias, strict=True)
        ]
        scores.append(sum(float(v) * t for v, t in zip(look.score.weight[0], hidden, strict=True)))
    weights = [math.exp(s) / sum(map(math.exp, scores)) for s in scores]
    return sum(w * h for w, h in zip(weights, states, strict=True)), weights


class TestAdditiveAttention:
    def test_is_the_slow_formula_and_weights_add_up_to_one(self):
        torch.manual_seed(0)
        look, h = AdditiveAttention(4, 5).double(), normal(3, 6, 4)
        mask = torch.arange(6) < torch.tensor([[6], [3], [1]])
        mean, weights = look(h, mask)
        assert mean.shape == (3, 4) and weights.shape == (3, 6)
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(3, dtype=torch.float64))
        for i, n in enumerate((6, 3, 1)):
            expected, slow = slow_attention(look, h[i, :n])
            torch.testing.assert_close(mean[i], expected)
            assert weights[i, :n].tolist() == pytest.approx(slow)
            assert (weights[i, n:] == 0).all()

    def test_padding_anywhere_changes_nothing_even_where_it_is_nan(self):
        look, h = AdditiveAttention(3).double(), normal(2, 3, 3)
        wide = torch.full((2, 6, 3), torch.nan, dtype=torch.float64)
        wide[:, [0, 2, 5]] = h
        mask = torch.tensor([[1, 0, 1, 0, 0, 1]] * 2) > 0
        mean, weights = look(wide, mask)
        torch.testing.assert_close(mean, look(h, torch.ones(2, 3) > 0)[0])
        mean.sum().backward()
        assert all(p.grad.isfinite().all() for p in look.parameters())
        assert (weights[~mask] == 0).all()

    def test_nobody_there_and_batch_of_one(self):
        look, h = AdditiveAttention(3), torch.randn(2, 4, 3)
        mask = torch.tensor([[True] * 4, [False] * 4])
        mean, weights = look(h, mask)
        assert (mean[1] == 0).all() and (weights[1] == 0).all()
        torch.testing.assert_close(look(h[:1], mask[:1])[0], mean[:1])

    def test_huge_scores_stay_finite(self):
        look, mask = AdditiveAttention(2), torch.tensor([[True, True, False]])
        look.score.weight.data.fill_(1e30)
        mean, weights = look(torch.randn(1, 3, 2), mask)
        assert mean.isfinite().all() and weights.sum().item() == pytest.approx(1)

    def test_parameters_move_and_state_goes_round(self):
        torch.manual_seed(0)
        look, other = AdditiveAttention(3, 5), AdditiveAttention(3, 5)
        assert sum(p.numel() for p in look.parameters()) == 3 * 5 + 5 + 5
        before = [p.detach().clone() for p in look.parameters()]
        h, mask = torch.randn(2, 4, 3), torch.ones(2, 4) > 0
        look(h, mask)[0].square().sum().backward()
        assert all(p.grad.abs().sum() > 0 for p in look.parameters())
        torch.optim.SGD(look.parameters(), lr=0.1).step()
        assert all((p != q).any() for p, q in zip(look.parameters(), before, strict=True))
        other.load_state_dict(look.state_dict())
        assert (look(h, mask)[0] == other(h, mask)[0]).all()

    def test_gradients_are_those_of_differences(self):
        torch.manual_seed(0)
        look, mask = AdditiveAttention(3, 4).double(), torch.tensor([[True, False, True]])
        h = normal(1, 3, 3, requires_grad=True)
        assert torch.autograd.gradcheck(lambda h: look(h, mask), h)


@kinds
def test_a_model_of_collated_sequences_does_not_mind_their_company(kind):
    rng = np.random.default_rng(0)
    samples = [{"sound": rng.normal(size=(t, 3)), "label": t % 2} for t in (2, 5, 3)]
    model = MultimodalModel({"sound": Recurrent(3, 4, kind)}, mean_of_tokens, nn.Linear(4, 2))
    together = model(collate(samples))
    alone = torch.cat([model(collate([sample])) for sample in samples])
    torch.testing.assert_close(together, alone)


X, M = torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)
WEIGHTS = (torch.ones(20, 4), torch.ones(20, 5), torch.ones(20), torch.ones(20))
STATE = (torch.zeros(2, 5),) * 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: encoders.lstm_cell(X[:, 0], STATE[:1], WEIGHTS),
            "state is a tuple of 2, got tuple of 1",
        ),
        (
            lambda: encoders.rnn_cell(X[:, 0], STATE[0], WEIGHTS),
            "state is a tuple of 1, got Tensor",
        ),
        (lambda: encoders.gru_cell(X[:, 0], STATE[:1], WEIGHTS), r"\(15, 4\).*got.*\(20, 4\)"),
        (
            lambda: encoders.lstm_cell(X[:1, 0], STATE, WEIGHTS),
            r"x has shape \(2, D\), got \(1, 4\)",
        ),
        (
            lambda: encoders.lstm_cell(X[:, 0, :3], STATE, WEIGHTS),
            r"weights\[0\] has shape \(20, 3\), got \(20, 4\)",
        ),
        (lambda: encoders.unroll(encoders.lstm_cell, X[0], M, STATE, WEIGHTS), r"\(B, T, D\)"),
        (lambda: Recurrent(4, 5)(X[:, :0], M[:, :0]), "none of them 0"),
        (lambda: Recurrent(4, 5)(X, M[:, :2]), r"mask has shape \(2, 3\), got \(2, 2\)"),
        (lambda: Recurrent(4, 5)(X, M.float()), "mask is a tensor of booleans, got torch.float32"),
        (lambda: Recurrent(3, 5)(X, M), r"x has shape \(B, T, 3\), got \(2, 3, 4\)"),
        (lambda: AdditiveAttention(3)(X, M), r"states has shape \(B, T, 3\), got \(2, 3, 4\)"),
        (lambda: Recurrent(4, 5, "LSTM"), "kind is one of rnn, lstm, gru, got 'LSTM'"),
    ],
)
def test_wrong_shapes(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_token_numbers_are_no_sequences_of_vectors():
    with pytest.raises(TypeError, match="embed token numbers first"):
        Recurrent(4, 5)(X.long(), M)


@kinds
@fake_gpu
def test_all_of_it_runs_on_a_gpu(kind):
    # cuDNN's layers do not run on fake tensors; what we wrote around them does.
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
        x, mask = torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)
        q = QUESTIONS[kind] * 5
        weights = (torch.ones(q, 4), torch.ones(q, 5), torch.ones(q), torch.ones(q))
        h = encoders.unroll(CELLS[kind][0], x, mask, zeros(kind, 2, 5), weights)
        assert {t.device.type for t in AdditiveAttention(5)(h, mask)} == {"cuda"}
        same = Recurrent.read(None, lambda x: (x, None), x, mask)
        assert same.device.type == h.device.type == "cuda"
    with torch.device("meta"):
        net = Recurrent(4, 5, kind, both_ways=True)
        tokens = net(torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.bool))
        assert isinstance(tokens, Tokens) and tokens.values.device.type == "meta"
        assert F.relu(tokens.values).shape == (2, 3, 10)
