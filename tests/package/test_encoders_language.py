"""Masking against a slow loop and transformers, the language model's promises, sampling."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmlearn.encoders import (
    LanguageModel,
    TransformerEncoder,
    causal,
    mask_tokens,
    next_probabilities,
)
from tests.package.versions import fake_gpu

SHAPES = settings(max_examples=30, deadline=None)


def slow_mask(tokens, there, mask, size, share, generator):
    """One place at a time, with the same draws."""
    draws = [
        torch.full(tokens.shape, chance).bernoulli(generator=generator)
        for chance in (share, 0.8, 0.5)
    ]
    other = torch.randint(size, tokens.shape, generator=generator)
    shown, chosen = tokens.clone(), torch.zeros_like(there)
    for i in np.ndindex(*tokens.shape):
        if there[i] and draws[0][i]:
            chosen[i] = True
            if draws[1][i]:
                shown[i] = mask
            elif draws[2][i]:
                shown[i] = other[i]
    return shown, chosen


@given(st.integers(1, 4), st.integers(1, 9), st.integers(2, 9), st.floats(0, 1), st.integers(0, 99))
@SHAPES
def test_masking_is_the_slow_loop(b, t, size, share, seed):
    rng = np.random.default_rng([b, t, size, seed])
    tokens = torch.tensor(rng.integers(size, size=(b, t)))
    there = torch.tensor(rng.random((b, t)) < 0.7)
    before, mask = tokens.clone(), size - 1
    made = [torch.Generator().manual_seed(seed) for _ in range(2)]
    ours = mask_tokens(tokens, there, mask, size, share, made[0])
    theirs = slow_mask(tokens, there, mask, size, share, made[1])
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
    assert (tokens == before).all(), "what was given is left alone"
    assert not (ours[1] & ~there).any() and (ours[0] == tokens)[~ours[1]].all()


def test_masking_has_the_shares_of_the_rule():
    tokens, there = torch.full((400, 500), 7), torch.ones(400, 500, dtype=torch.bool)
    shown, chosen = mask_tokens(tokens, there, 3, 50, generator=torch.Generator().manual_seed(0))
    assert chosen.double().mean() == pytest.approx(0.15, abs=0.005)
    counts = torch.bincount(shown[chosen], minlength=50).double() / chosen.sum()
    assert counts[3] == pytest.approx(0.8 + 0.1 / 50, abs=0.01)
    assert counts[7] == pytest.approx(0.1 + 0.1 / 50, abs=0.01)
    counts[[3, 7]] = 0.1 / 50
    assert counts.numpy() == pytest.approx(np.full(50, 0.1 / 50), abs=0.001)


def test_masking_takes_the_ends():
    tokens = torch.tensor([[5, 6]])
    for there, share in ((tokens > 0, 0.0), (tokens < 0, 1.0)):
        shown, chosen = mask_tokens(tokens, there, 1, 9, share)
        assert not chosen.any() and (shown == tokens).all()
    assert mask_tokens(tokens, tokens > 0, 1, 9, 1)[1].all()
    empty = torch.zeros(2, 0, dtype=torch.long)
    assert mask_tokens(empty, empty > 0, 1, 9)[0].shape == (2, 0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"tokens": torch.tensor([1, 2])}, r"\(B, T\)"),
        ({"tokens": torch.tensor([[1.0, torch.nan]])}, "whole numbers"),
        ({"there": torch.ones(1, 3, dtype=torch.bool)}, r"there has shape \(1, 2\), got \(1, 3\)"),
        ({"there": torch.ones(1, 2)}, "there is a tensor of booleans, got torch.float32"),
        ({"mask": 9}, "0 <= mask < size has to hold, got mask=9, size=9"),
        ({"share": 1.5}, "share is 0 to 1, got 1.5"),
        ({"share": float("nan")}, "share is 0 to 1, got nan"),
    ],
)
def test_masking_refuses(change, error):
    tokens = torch.tensor([[1, 2]])
    arguments = {"tokens": tokens, "there": tokens > 0, "mask": 0, "size": 9} | change
    with pytest.raises(ValueError, match=error):
        mask_tokens(**arguments)


def language(V=11, D=8, seed=0, **options):
    torch.manual_seed(seed)
    encoder = TransformerEncoder(nn.Embedding(V, D), D, 2, 1, **options)
    return LanguageModel(encoder)


class TestLanguageModel:
    def test_scores_are_products_with_the_words_one_by_one(self):
        model = language().double()
        nn.init.normal_(model.bias)
        x, mask = (
            torch.tensor([[1, 2, 3], [4, 5, 0]]),
            torch.tensor([[True] * 3, [True, True, False]]),
        )
        states, words = model.encoder(x, mask).values, model.encoder.embed.weight
        scores = model(x, mask)
        for b, t, v in itertools.product(range(2), range(3), range(11)):
            slow = sum(states[b, t, d] * words[v, d] for d in range(8)) + model.bias[v]
            assert scores[b, t, v].item() == pytest.approx(slow.item())

    @pytest.mark.parametrize("positions", ["sinusoidal", "rotary", "learned"])
    def test_parameters_are_as_many_as_the_closed_form(self, positions):
        V, D = 11, 8
        block = 4 * D * D + 3 * D + 8 * D * D + 5 * D + 4 * D
        places = 16 * D if positions == "learned" else 0
        model = language(positions=positions, longest=16)
        assert sum(p.numel() for p in model.parameters()) == V * D + block + 2 * D + V + places

    def test_every_parameter_moves_in_one_step(self):
        model, x = language(), torch.arange(10).reshape(2, 5) + 1
        nn.init.normal_(model.bias)
        before = [p.detach().clone() for p in model.parameters()]
        F.cross_entropy(model(x, x > 0, x > 0), x.flatten()).backward()
        assert all(p.grad.abs().sum() > 0 for p in model.parameters())
        torch.optim.SGD(model.parameters(), lr=0.1).step()
        assert all((p != q).any() for p, q in zip(model.parameters(), before, strict=True))

    def test_state_goes_round(self):
        model, other, x = language(), language(seed=1), torch.arange(1, 7).reshape(2, 3)
        assert (model(x, x > 0) != other(x, x > 0)).any()
        other.load_state_dict(model.state_dict())
        assert (model(x, x > 0) == other(x, x > 0)).all()

    def test_places_are_rows_of_all_scores(self):
        model, x = language().double(), torch.arange(12).reshape(3, 4) % 10 + 1
        places = torch.tensor([[True, False, True, False], [False] * 4, [False, True, True, True]])
        scores = model(x, x > 0)
        torch.testing.assert_close(model(x, x > 0, places), scores[places])
        assert model(x, x > 0, places & False).shape == (0, 11)
        torch.testing.assert_close(model(x[:1], x[:1] > 0), scores[:1])
        assert model(x[:, :1], x[:, :1] > 0).shape == (3, 1, 11)

    def test_padding_changes_no_score(self):
        model, x = language(positions="rotary").double(), torch.tensor([[1, 2, 3], [4, 5, 0]])
        longer = torch.cat([x, torch.full((2, 4), 9)], dim=1)
        mask = torch.tensor([[True] * 3 + [False] * 4, [True, True] + [False] * 5])
        ours = model(longer, mask)
        torch.testing.assert_close(ours[mask], model(x, mask[:, :3])[mask[:, :3]])
        nothing = model(longer, mask & torch.tensor([[True], [False]]))  # a row with no token
        assert nothing.isfinite().all()
        torch.testing.assert_close(nothing[0], ours[0])

    def test_a_causal_one_sees_nothing_that_comes(self):
        model, x = language(positions="rotary", causal=True).double(), torch.tensor([[1, 2, 3, 4]])
        changed = x.clone()
        changed[0, 3] = 9
        torch.testing.assert_close(model(x, x > 0)[:, :3], model(changed, x > 0)[:, :3])
        assert causal(4).sum() == 10

    def test_gradients_are_those_of_differences(self):
        model, x = language(5, 4).double(), torch.tensor([[1, 2, 3], [4, 1, 0]])
        names = [name for name, _ in model.named_parameters()]

        def loss(*values):
            found = torch.func.functional_call(
                model, dict(zip(names, values, strict=True)), (x, x > 0)
            )
            return F.cross_entropy(found[x > 0], x[x > 0])

        assert torch.autograd.gradcheck(loss, tuple(model.parameters()))

    def test_bad_places_are_named(self):
        model, x = language(), torch.tensor([[1, 2]])
        for places, message in (
            (torch.ones(1, 2), "places is a tensor of booleans, got torch.float32"),
            (torch.ones(2, 2, dtype=torch.bool), r"places has shape \(1, 2\), got \(2, 2\)"),
        ):
            with pytest.raises(ValueError, match=message):
                model(x, x > 0, places)

    def test_is_berts_last_step(self):
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=8,
        )  # fmt: skip
        theirs = transformers.BertForMaskedLM(config).eval()
        head = theirs.cls.predictions
        nn.init.normal_(head.bias)
        body = nn.Module()
        body.embed = theirs.get_input_embeddings()
        ours = LanguageModel(body)
        ours.bias.data = head.bias.data
        x = torch.randint(30, (2, 5))
        states = head.transform(theirs.bert(x).last_hidden_state)
        body.forward = lambda tokens, mask: type("Tokens", (), {"values": states})
        torch.testing.assert_close(ours(x, x >= 0), theirs(x).logits)


def slow_next(row, temperature, top_k, top_p):
    """The likeliest one after the other, until there are enough."""
    p = np.exp(row / temperature - (row / temperature).max())
    order = np.argsort(-p, kind="stable")[:top_k]
    p[[i for i in range(len(p)) if i not in order]] = 0
    p /= p.sum()
    total, kept = 0.0, np.zeros_like(p)
    for i in order:
        if total >= top_p:
            break
        kept[i] = p[i]
        total += p[i]
    return kept / kept.sum()


@given(
    st.integers(1, 3), st.integers(1, 12), st.floats(0.1, 5), st.integers(1, 15) | st.none(),
    st.floats(0.05, 1), st.integers(0, 99),
)  # fmt: skip
@SHAPES
def test_next_is_the_slow_loop(b, v, temperature, top_k, top_p, seed):
    logits = torch.tensor(np.random.default_rng([b, v, seed]).normal(size=(b, v)) * 3)
    before = logits.clone()
    ours = next_probabilities(logits, temperature, top_k, top_p)
    theirs = [slow_next(row, temperature, top_k, top_p) for row in logits.numpy()]
    np.testing.assert_allclose(ours.numpy(), np.array(theirs), atol=1e-9)
    assert (logits == before).all(), "what was given is left alone"


def test_next_keeps_one_at_least_and_all_axes():
    logits = torch.randn(2, 3, 6)
    sharp = next_probabilities(logits, top_p=1e-9)
    assert (sharp.argmax(dim=-1) == logits.argmax(dim=-1)).all() and (sharp.amax(dim=-1) == 1).all()
    assert next_probabilities(logits[0, 0], top_k=99).shape == (6,)
    torch.testing.assert_close(next_probabilities(logits), logits.softmax(dim=-1))


def test_next_keeps_what_is_no_number_in_its_row():
    logits = torch.randn(2, 6, dtype=torch.float64)
    logits[0, 2] = torch.nan
    p = next_probabilities(logits, 0.7, 4, 0.9)
    assert p[0].isnan().any()
    np.testing.assert_allclose(p[1].numpy(), slow_next(logits[1].numpy(), 0.7, 4, 0.9))
    logits[1, 2] = -torch.inf
    assert next_probabilities(logits)[1, 2] == 0


def test_next_has_gradients_of_differences():
    torch.manual_seed(0)
    logits = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: next_probabilities(z, 0.7, 4, 0.9), logits)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"logits": torch.zeros(2, 0)},
        {"logits": torch.tensor(1.0)},
        {"logits": torch.tensor([1, 2])},
    ],
)
def test_next_refuses(change):
    with pytest.raises(ValueError, match=rf"{next(iter(change))} (is|has) .*, got "):
        next_probabilities(**({"logits": torch.zeros(2, 3)} | change))


@fake_gpu
def test_all_of_it_runs_on_a_gpu():
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
        x = torch.ones(2, 3, dtype=torch.long)
        shown, chosen = mask_tokens(x, x > 0, 0, 9)
        model = LanguageModel(TransformerEncoder(nn.Embedding(9, 8), 8, 2, 1, causal=True))
        scores = model(shown, x > 0)
        p = next_probabilities(scores[:, -1], 0.7, 4, 0.9)
        loss = F.cross_entropy(scores.flatten(0, 1), x.where(chosen, -100).flatten())
        assert {t.device.type for t in (shown, chosen, scores, p, loss)} == {"cuda"}
