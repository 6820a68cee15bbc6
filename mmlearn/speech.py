"""Speech to text without alignments: hidden states, CTC, and the search for the best string.

The definitions stand on the book's pages as they stand here, so types and shapes are in the
docstrings, not in annotations.
"""

# mypy: allow-untyped-defs, no-check-untyped-defs

from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F

from mmlearn.checks import checked

NEVER = -1e30  # log 0, but finite: the gradient of a sum over -inf alone would be NaN


def viterbi(log_start, log_move, log_emit):
    """The likeliest path of hidden states, by dynamic programming.

    Parameters
    ----------
    log_start : Tensor (S,)
        Log-probability of each state at the first step.
    log_move : Tensor (S, S)
        From the row's state to the column's.
    log_emit : Tensor (T, S)
        Of what is seen at each step, under each state.

    Returns
    -------
    path : list of int
        A state for each of the T steps.
    score : Tensor ()
        Log-probability of this path together with what is seen.

    References
    ----------
    Rabiner (1989), doi:10.1109/5.18626.
    """
    score, back = log_start + log_emit[0], []
    for emit in log_emit[1:]:
        best = (score[:, None] + log_move).max(dim=0)
        score = best.values + emit
        back.append(best.indices.tolist())
    path = [int(score.argmax())]
    for before in reversed(back):
        path.append(before[path[-1]])
    return path[::-1], score.max()


def ctc_forward(log_probs, targets, blank=0):
    """Log-probability of every beginning of every alignment, summed state by state.

    Parameters
    ----------
    log_probs : Tensor (T, N, C)
        Log-probability of each of C symbols in each of T frames of N samples.
    targets : LongTensor (N, L)
        Symbols without blanks; shorter ones padded with anything but the blank.
    blank : int
        The symbol for "nothing new".

    Returns
    -------
    alpha : Tensor (T, N, 2 L + 1)
        Of all ways to be in a state at a frame, the frame itself included.
    states : LongTensor (N, 2 L + 1)
        The symbol of each state: the target with a blank before, between and behind.

    References
    ----------
    Graves, Fernández, Gomez and Schmidhuber (2006), doi:10.1145/1143844.1143891.
    """
    T, (N, L) = len(log_probs), targets.shape
    states = targets.new_full((N, 2 * L + 1), blank)
    states[:, 1::2] = targets
    emit = log_probs.gather(2, states.expand(T, -1, -1))
    shut = (states[:, 2:] == blank) | (states[:, 2:] == states[:, :-2])
    barred = F.pad(shut[:, :, None], (0, 2, 2, 0))  # of the three ways in, the jump
    start = torch.arange(2 * L + 1, device=emit.device) < 2
    first, *later = emit
    alpha = [first.masked_fill(~start, NEVER)]
    for frame in later:
        before = F.pad(alpha[-1], (2, 0), value=NEVER)  # there is no place left of the first
        ways = before.unfold(1, 3, 1).masked_fill(barred, NEVER)  # jump, step, stay
        alpha.append(frame + ways.logsumexp(dim=2))
    return torch.stack(alpha), states


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0):
    """Minus the log-probability of each target, summed over all its alignments.

    Parameters
    ----------
    log_probs : Tensor (T, N, C)
    targets : LongTensor (N, L)
        Padded with anything but the blank.
    input_lengths, target_lengths : LongTensor (N,)
        Frames and symbols that count.
    blank : int

    Returns
    -------
    Tensor (N,)
        At least 0; 1e30 where no alignment fits into the frames.

    References
    ----------
    Graves, Fernández, Gomez and Schmidhuber (2006), doi:10.1145/1143844.1143891.
    """
    alpha, _ = ctc_forward(log_probs, targets, blank)
    rows = torch.arange(len(targets), device=alpha.device)
    ends = F.pad(alpha[input_lengths - 1, rows], (1, 0), value=NEVER)
    last = 2 * target_lengths[:, None]
    return -ends.gather(1, torch.cat([last, last + 1], dim=1)).logsumexp(dim=1)


def ctc_occupancy(log_probs, targets, blank=0):
    """How much of all alignments, by probability, says each symbol in each frame.

    Parameters
    ----------
    log_probs : Tensor (T, N, C)
    targets : LongTensor (N, L)
        No padding: all T frames and all L symbols count.
    blank : int

    Returns
    -------
    Tensor (T, N, C)
        Sums to 1 over C. Softmax minus this is the gradient of `ctc_loss` for the scores.

    References
    ----------
    Graves, Fernández, Gomez and Schmidhuber (2006), doi:10.1145/1143844.1143891.
    """
    alpha, states = ctc_forward(log_probs, targets, blank)
    beta, _ = ctc_forward(log_probs.flip(0), targets.flip(1), blank)
    states = states.expand(len(alpha), -1, -1)
    emit = log_probs.gather(2, states)  # is in alpha and in beta
    through = alpha + beta.flip(0, 2) - emit
    shares = through.softmax(dim=2)
    return torch.zeros_like(log_probs).scatter_add(2, states, shares)


def greedy_decode(log_probs, lengths, blank=0):
    """The likeliest symbol of each frame; repeats are joined, then blanks dropped.

    Parameters
    ----------
    log_probs : Tensor (T, N, C)
    lengths : LongTensor (N,)
        Frames that count.
    blank : int

    Returns
    -------
    list of N lists of int

    References
    ----------
    Graves, Fernández, Gomez and Schmidhuber (2006), doi:10.1145/1143844.1143891, section 3.2.
    """
    found = []
    for path, length in zip(log_probs.argmax(dim=2).T, lengths, strict=True):
        joined = path[:length].unique_consecutive()
        found.append(joined[joined != blank].tolist())
    return found


def beam_search(log_probs, width=8, blank=0):
    """The likeliest string: the sums over the alignments of the `width` best beginnings are kept.

    Parameters
    ----------
    log_probs : Tensor (T, C)
        Of one sample.
    width : int
        How many beginnings to keep after each frame.
    blank : int

    Returns
    -------
    list of (tuple of int, float)
        Strings with their log-probabilities, the best first.

    References
    ----------
    Hannun, Maas, Jurafsky and Ng (2014), arXiv:1408.2873.
    """
    beams = {(): (0.0, -np.inf)}  # of a beginning: it ends in a blank, or in its last symbol
    for frame in log_probs.tolist():
        new = defaultdict(lambda: [-np.inf, -np.inf])
        for string, (in_blank, in_symbol) in beams.items():
            either = np.logaddexp(in_blank, in_symbol)
            for c, log_p in enumerate(frame):
                ways = [((*string, c), 1, either)]
                if c == blank:
                    ways = [(string, 0, either)]
                elif string[-1:] == (c,):  # it sounds on, or, behind a blank, comes again
                    ways = [(string, 1, in_symbol), ((*string, c), 1, in_blank)]
                for longer, end, before in ways:
                    new[longer][end] = np.logaddexp(new[longer][end], before + log_p)
        best = sorted(new.items(), key=lambda item: -np.logaddexp(*item[1]))
        beams = dict(best[:width])
    return [(string, float(np.logaddexp(*ends))) for string, ends in beams.items()]


# What follows guards the definitions above against input that would give a wrong answer without
# a word, or an error far from its cause. Values are looked at on the CPU alone, where it costs
# nothing: a GPU would have to wait.


def _viterbi(log_start, log_move, log_emit):
    if any(part.isnan().any() for part in (log_start, log_move, log_emit)):
        raise ValueError("a log-probability is NaN")


def _frames(log_probs):
    if log_probs.device.type == "cpu" and not log_probs.max() <= 1e-3:  # NaN is not, either
        raise ValueError("log_probs holds NaN or a number above 0: give log-probabilities")


def _targets(log_probs, targets, blank):
    symbols = log_probs.shape[-1]
    if targets.device.type == "cpu" and bool(((targets < 0) | (targets >= symbols)).any()):
        raise ValueError(f"the symbols are 0 to {symbols - 1}; targets holds others")
    if targets.device.type == "cpu" and bool((targets == blank).any()):
        raise ValueError(f"targets holds the blank, {blank}; pad with any other symbol")


def _counts(name, counts, least, most):
    if counts.device.type == "cpu" and bool(((counts < least) | (counts > most)).any()):
        raise ValueError(f"{name} are from {least} to {most}, got {counts.tolist()}")


def _lengths(log_probs, targets, input_lengths, target_lengths):
    _counts("input_lengths", input_lengths, 1, len(log_probs))
    _counts("target_lengths", target_lengths, 0, targets.shape[1])


def _ends(log_probs, lengths):
    _counts("lengths", lengths, 1, len(log_probs))


CTC = {"log_probs": "T N C", "targets": "N L? int"}
COUNTS = {"input_lengths": "N int", "target_lengths": "N int"}
BLANK = "0 <= blank < C"
viterbi = checked(_viterbi, log_emit="T S", log_start="S", log_move="S S")(viterbi)
ctc_forward = checked(BLANK, _frames, _targets, **CTC)(ctc_forward)
ctc_loss = checked(BLANK, _frames, _targets, _lengths, **CTC, **COUNTS)(ctc_loss)
ctc_occupancy = checked(BLANK, _frames, _targets, **CTC)(ctc_occupancy)
greedy_decode = checked(BLANK, _frames, _ends, log_probs="T N C", lengths="N int")(greedy_decode)
beam_search = checked(BLANK, _frames, log_probs="T C", width="1 or more")(beam_search)
