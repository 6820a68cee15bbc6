"""Speech: against sums over every alignment, against torch, and on bad input."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from mmlearn.speech import (
    NEVER,
    beam_search,
    ctc_forward,
    ctc_loss,
    ctc_occupancy,
    greedy_decode,
    viterbi,
)
from tests.package.versions import fake_gpu


def read(row, blank=0):
    """Join what repeats, then drop the blanks."""
    return tuple(s for s, _ in itertools.groupby(row) if s != blank)


def log_probs(rng, *shape):
    return torch.tensor(rng.normal(0, 2, size=shape)).log_softmax(dim=-1)


def every_string(p, blank=0):
    """The probability of each string, from every row of symbols."""
    total = {}
    for row in itertools.product(range(p.shape[1]), repeat=len(p)):
        here = sum(p[t, s] for t, s in enumerate(row)).exp().item()
        total[read(row, blank)] = total.get(read(row, blank), 0.0) + here
    return total


def tensor(*numbers):
    return torch.tensor(numbers)


@pytest.mark.parametrize("blank", [0, 2])
def test_loss_is_the_sum_over_all_alignments(blank):
    p = log_probs(np.random.default_rng(0), 5, 3)
    for string, probability in every_string(p, blank).items():
        padding = [(blank + 1) % 3] * (5 - len(string))
        found = ctc_loss(
            p[:, None], tensor([*string, *padding]), tensor(5), tensor(len(string)), blank
        )
        assert found.exp().reciprocal().item() == pytest.approx(probability)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 4), st.integers(2, 5))
def test_loss_and_gradient_are_torchs(seed, frames, samples, symbols):
    rng = np.random.default_rng(seed)
    z = torch.tensor(rng.normal(0, 3, (frames, samples, symbols)), requires_grad=True)
    targets = torch.tensor(rng.integers(1, symbols, (samples, 4)))
    lengths = torch.tensor(rng.integers(1, frames + 1, samples))
    counts = torch.tensor(rng.integers(0, 5, samples))
    ours = ctc_loss(z.log_softmax(2), targets, lengths, counts)
    theirs = F.ctc_loss(z.log_softmax(2), targets, lengths, counts, reduction="none")
    fits = theirs.isfinite()
    assert torch.equal(fits, ours < 1e20)
    torch.testing.assert_close(ours[fits], theirs[fits])
    if fits.any():  # for the others torch's gradient is NaN
        slopes = [torch.autograd.grad(loss[fits].sum(), z)[0] for loss in (ours, theirs)]
        torch.testing.assert_close(*(slope[:, fits] for slope in slopes))


def test_gradient_is_softmax_minus_occupancy():
    rng = np.random.default_rng(1)
    z = torch.tensor(rng.normal(size=(9, 3, 5)), requires_grad=True)
    targets = torch.tensor([[1, 1, 2], [4, 3, 2], [2, 2, 2]])
    whole = torch.full((3,), 9), torch.full((3,), 3)
    loss = F.ctc_loss(z.log_softmax(2), targets, *whole, reduction="sum")
    occupancy = ctc_occupancy(z.log_softmax(2), targets)
    torch.testing.assert_close(torch.autograd.grad(loss, z)[0], z.softmax(2) - occupancy)
    torch.testing.assert_close(occupancy.sum(dim=2), torch.ones(9, 3, dtype=torch.float64))


def test_gradcheck():
    z = torch.randn(6, 2, 4, dtype=torch.float64, requires_grad=True)
    targets, lengths = torch.tensor([[1, 1], [3, 2]]), (tensor(6, 4), tensor(2, 1))
    assert torch.autograd.gradcheck(lambda z: ctc_loss(z.log_softmax(2), targets, *lengths), z)


def test_padding_and_neighbours_change_nothing():
    rng = np.random.default_rng(2)
    p = log_probs(rng, 8, 2, 5)
    alone = ctc_loss(p[:6, :1], tensor([3, 3]), tensor(6), tensor(2))
    p[6:, 0] = log_probs(rng, 2, 5)
    targets = torch.tensor([[3, 3, 1, 4], [1, 2, 3, 4]])
    beside = ctc_loss(p, targets, tensor(6, 8), tensor(2, 4))
    assert torch.equal(alone, beside[:1])


def test_float32_and_a_long_recording():
    p = log_probs(np.random.default_rng(3), 2_000, 2, 30).float()
    targets = torch.randint(1, 30, (2, 200))
    lengths = torch.full((2,), 2_000), torch.full((2,), 200)
    theirs = F.ctc_loss(p, targets, *lengths, reduction="none")
    torch.testing.assert_close(ctc_loss(p, targets, *lengths), theirs, rtol=1e-4, atol=0)


def test_no_alignment_fits():
    p = torch.full((2, 1, 3), 1 / 3).log().requires_grad_()
    loss = ctc_loss(p, tensor([1, 1]), tensor(2), tensor(2))
    assert loss.item() == pytest.approx(-NEVER)
    assert torch.autograd.grad(loss.sum(), p)[0].isfinite().all()


def test_viterbi_is_the_best_of_all_paths():
    rng = np.random.default_rng(4)
    for frames in (1, 2, 5):
        start, move, emit = log_probs(rng, 3), log_probs(rng, 3, 3), log_probs(rng, frames, 3)

        def score(path, start=start, move=move, emit=emit):
            moves = sum(move[a, b] for a, b in itertools.pairwise(path))
            return start[path[0]] + moves + sum(emit[t, s] for t, s in enumerate(path))

        best = max(itertools.product(range(3), repeat=frames), key=score)
        path, found = viterbi(start, move, emit)
        assert tuple(path) == best and found.item() == pytest.approx(score(best).item())


def test_greedy_decode_reads_the_likeliest_row():
    p = log_probs(np.random.default_rng(5), 20, 6, 3)
    lengths = tensor(20, 15, 3, 2, 1, 20)
    expected = [list(read(p[:n, i].argmax(dim=1).tolist(), blank=1)) for i, n in enumerate(lengths)]
    assert greedy_decode(p, lengths, blank=1) == expected


@pytest.mark.parametrize("blank", [0, 2])
def test_a_wide_beam_finds_every_string(blank):
    p = log_probs(np.random.default_rng(6), 5, 3)
    total, found = every_string(p, blank), beam_search(p, 1_000, blank)
    best, log_p = found[0]
    assert best == max(total, key=total.get) and np.exp(log_p) == pytest.approx(total[best])
    assert {string: np.exp(log_p) for string, log_p in found if log_p > -1e9} == pytest.approx(
        total
    )


def test_a_narrow_beam_keeps_so_many():
    found = beam_search(log_probs(np.random.default_rng(7), 30, 6), width=4)
    assert len(found) == 4
    assert [log_p for _, log_p in found] == sorted((log_p for _, log_p in found), reverse=True)


def test_one_frame():
    p = log_probs(np.random.default_rng(8), 1, 1, 3)
    assert ctc_loss(p, tensor([2]), tensor(1), tensor(1)).item() == pytest.approx(
        -p[0, 0, 2].item()
    )
    alpha, states = ctc_forward(p, tensor([2]))
    assert alpha.shape == (1, 1, 3) and states.tolist() == [[0, 2, 0]]
    assert ctc_forward(p, torch.zeros(1, 0, dtype=torch.long))[0].shape == (1, 1, 1)


@fake_gpu
def test_made_on_the_device_of_its_input():
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
        p = torch.randn(6, 2, 4).log_softmax(2)
        targets, lengths = torch.ones(2, 3, dtype=torch.long), torch.full((2,), 6)
        assert ctc_loss(p, targets, lengths, lengths // 2).device.type == "cuda"
        assert ctc_occupancy(p, targets).device.type == "cuda"


GOOD = {
    "log_probs": torch.full((4, 2, 3), 1 / 3).log(),
    "targets": torch.tensor([[1, 2], [2, 1]]),
    "input_lengths": tensor(4, 3),
    "target_lengths": tensor(2, 1),
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"log_probs": torch.zeros(4, 3)}, r"\(T, N, C\).*got \(4, 3\)"),
        ({"log_probs": torch.zeros(0, 2, 3)}, "none of them 0"),
        ({"log_probs": torch.ones(4, 2, 3)}, "log-probabilities"),
        ({"log_probs": torch.full((4, 2, 3), torch.nan)}, "NaN"),
        ({"targets": torch.tensor([1, 2])}, r"targets has shape \(2, L\), got \(2,\)"),
        ({"targets": torch.tensor([[1.0], [2.0]])}, "whole numbers"),
        ({"targets": torch.tensor([[1, 2], [2, 3]])}, "0 to 2"),
        ({"targets": torch.tensor([[1, 0], [2, 1]])}, "holds the blank"),
        ({"input_lengths": tensor(4)}, r"input_lengths has shape \(2,\), got \(1,\)"),
        ({"input_lengths": tensor(4, 5)}, "from 1 to 4"),
        ({"input_lengths": tensor(4, 0)}, "from 1 to 4"),
        ({"target_lengths": tensor(2, 3)}, "from 0 to 2"),
        ({"target_lengths": tensor(2.0, 1.0)}, "whole numbers"),
        ({"blank": 3}, "0 <= blank < C has to hold, got blank=3, C=3"),
    ],
)
def test_bad_input(changed, message):
    ctc_loss(**GOOD)
    with pytest.raises(ValueError, match=message):
        ctc_loss(**{**GOOD, **changed})


def test_bad_input_of_the_others():
    flat = torch.full((4, 3), 1 / 3).log()
    with pytest.raises(ValueError, match=r"log_start has shape \(3,\), got \(2,\)"):
        viterbi(torch.zeros(2), torch.zeros(3, 3), flat)
    with pytest.raises(ValueError, match="none of them 0"):
        viterbi(torch.zeros(3), torch.zeros(3, 3), flat[:0])
    with pytest.raises(ValueError, match="is NaN"):
        viterbi(torch.zeros(3), torch.zeros(3, 3), flat * torch.nan)
    with pytest.raises(ValueError, match="width is 1 or more, got 0"):
        beam_search(flat, width=0)
    with pytest.raises(ValueError, match=r"\(T, C\)"):
        beam_search(flat[:, None])
    with pytest.raises(ValueError, match="lengths are from 1 to 4"):
        greedy_decode(flat[:, None], tensor(5))
