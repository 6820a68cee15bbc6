"""How good, and how sure: scores of decisions, rankings, probabilities, boxes and texts.

The definitions stand on the book's pages as they stand here, so types and shapes are in the
docstrings, not in annotations.
"""

# mypy: allow-untyped-defs

import functools
from collections import Counter
from typing import NamedTuple

import numpy as np
from scipy import stats

from mmlearn.checks import checked, refuse
from mmlearn.runtime import current


class Interval(NamedTuple):
    """A measured value with its uncertainty."""

    value: float
    low: float
    high: float


def bootstrap(statistic, *arrays, seed=None, level=0.95, resamples=1000):
    """Percentile bootstrap interval of a statistic over samples.

    Parameters
    ----------
    statistic : callable
        Takes arrays like those given and returns a number.
    *arrays : array of shape (n, ...)
        One row a sample; all are resampled with the same rows, so predictions stay with their
        labels and two models stay paired.
    seed : int, optional
        By default the seed of the run.
    level : float
        Share of the resamples that the interval covers.
    resamples : int
        How many times to draw n rows with replacement.

    Returns
    -------
    Interval
        The statistic of the arrays as they are, and the interval, widened if need be to hold it.

    Raises
    ------
    ValueError
        If there are no arrays, fewer than two rows, or unequal numbers of rows.

    References
    ----------
    Efron (1979), Bootstrap methods: another look at the jackknife,
    doi:10.1214/aos/1176344552.
    """
    n = len(arrays[0])
    rows = np.random.default_rng(seed).integers(n, size=(resamples, n))
    drawn = [statistic(*(a[row] for a in arrays)) for row in rows]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(statistic(*arrays)), float(low), float(high))


def mean_interval(values, level=0.95):
    """Mean of a few independent runs (seeds, splits) with Student's t interval.

    Parameters
    ----------
    values : sequence of float
        One value a run, at least two.
    level : float
        Confidence level.

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        If there are fewer than two values.

    References
    ----------
    Student (1908), doi:10.1093/biomet/6.1.1.
    """
    mean, error = np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))
    half = error * stats.t.ppf((1 + level) / 2, len(values) - 1)
    return Interval(float(mean), float(mean - half), float(mean + half))


def confusion(y, guess, k=None):
    """How often class i was called j: entry (i, j) of a table of shape (k, k).

    Parameters
    ----------
    y, guess : array of int, shape (n,)
        True classes and guessed ones, from 0.
    k : int, optional
        Number of classes; by default one more than the largest that occurs.

    Returns
    -------
    array of int, shape (k, k)
    """
    k = k or 1 + max(max(y), max(guess))
    table = np.zeros((k, k), int)
    np.add.at(table, (y, guess), 1)
    return table


def precision_recall_f1(table):
    """How right, how complete, and both in one, for each class of a confusion table.

    Precision of a class is its share of right ones among those called so, recall among those
    that are so; F1 is the harmonic mean of the two.

    Parameters
    ----------
    table : array of shape (k, k)
        From `confusion`.

    Returns
    -------
    precision, recall, f1 : arrays of shape (k,)
        0 where nothing counts.
    """
    right, true, called = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    precision, recall = right / np.maximum(called, 1), right / np.maximum(true, 1)
    return precision, recall, 2 * right / np.maximum(true + called, 1)


def sweep(y, score):
    """Threshold by threshold, from the highest score down: how many hits and false alarms.

    Parameters
    ----------
    y : array of 0 and 1, shape (n,)
    score : array of shape (n,)

    Returns
    -------
    thresholds, hits, alarms : arrays of shape (t,)
        For each distinct score, how many samples of class 1 and of class 0 score that or more.
    """
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)  # equal scores come together
    hits, alarms = np.cumsum(y[order])[last], np.cumsum(1 - y[order])[last]
    return score[order][last], hits, alarms


def roc_auc(y, score):
    """Area under the ROC curve: the chance that a 1 scores above a 0, ties half.

    Parameters
    ----------
    y, score
        As for `sweep`; both classes occur.

    Returns
    -------
    float

    References
    ----------
    Hanley and McNeil (1982), doi:10.1148/radiology.143.1.7063747.
    """
    _, hits, alarms = sweep(y, score)
    hit_rate, alarm_rate = (np.append(0, c / c[-1]) for c in (hits, alarms))
    return np.sum(np.diff(alarm_rate) * (hit_rate[1:] + hit_rate[:-1]) / 2)


def average_precision(y, score):
    """Mean precision over the samples of class 1, each at the threshold that finds it.

    Takes and gives what `roc_auc` does.
    """
    _, hits, alarms = sweep(y, score)
    return np.sum(np.diff(hits, prepend=0) * hits / (hits + alarms)) / hits[-1]


def reliability(p, y, bins=10):
    """What was promised and what came true, by bins of equal width.

    Parameters
    ----------
    p : array of shape (n,)
        Probabilities of class 1 (or confidences).
    y : array of 0 and 1, shape (n,)
        Whether it was class 1 (or whether the answer was right).
    bins : int

    Returns
    -------
    promised, true, count : arrays
        Mean probability, share of ones and number of samples of each bin that is not empty.

    References
    ----------
    As for `expected_calibration_error`.
    """
    place = np.minimum((p * bins).astype(int), bins - 1)
    count = np.bincount(place)
    sums = [np.bincount(place, weights=values) for values in (p, y)]
    promised, true = (total[count > 0] / count[count > 0] for total in sums)
    return promised, true, count[count > 0]


def expected_calibration_error(p, y, bins=10):
    """Mean distance between promise and truth over the bins, each by its share of samples.

    Parameters
    ----------
    p, y, bins
        As for `reliability`.

    Returns
    -------
    float

    References
    ----------
    Naeini, Cooper and Hauskrecht (2015), doi:10.1609/aaai.v29i1.9602; Guo et al. (2017),
    arXiv:1706.04599.
    """
    promised, true, count = reliability(p, y, bins)
    return np.average(np.abs(promised - true), weights=count)


def iou(a, b):
    """Intersection over union of every box of one array with every box of another.

    Parameters
    ----------
    a, b : arrays of shape (n, 4) and (m, 4)
        Left, top, right, bottom of each box.

    Returns
    -------
    array of shape (n, m)
        0 to 1.
    """
    corner = np.maximum(a[:, None, :2], b[:, :2])
    size = np.maximum(np.minimum(a[:, None, 2:], b[:, 2:]) - corner, 0)
    area_a, area_b = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b))
    shared = size.prod(axis=2)
    return shared / (area_a[:, None] + area_b - shared)


def match(boxes, scores, truth, threshold=0.5):
    """Which boxes are hits: best score first, each true box once.

    Parameters
    ----------
    boxes : array of shape (n, 4)
    scores : array of shape (n,)
    truth : array of shape (m, 4)
    threshold : float
        The overlap, by `iou`, that makes a hit.

    Returns
    -------
    array of bool, shape (n,)

    References
    ----------
    Everingham et al. (2010), doi:10.1007/s11263-009-0275-4.
    """
    hit, overlap = np.zeros(len(boxes), bool), iou(boxes, truth)
    for i in np.argsort(-scores, kind="stable"):
        if overlap[i].max(initial=0) >= threshold:
            hit[i] = True
            overlap[:, overlap[i].argmax()] = 0  # taken
    return hit


def nms(boxes, scores, threshold=0.5):
    """Non-maximum suppression: which of the boxes to keep.

    A box falls if it overlaps by more than the threshold with one of higher score that is kept.

    Parameters
    ----------
    boxes : array of shape (n, 4)
    scores : array of shape (n,)
    threshold : float

    Returns
    -------
    array of int, shape (k,)
        Numbers of the boxes to keep, best score first.

    References
    ----------
    Neubeck and Van Gool (2006), doi:10.1109/ICPR.2006.479.
    """
    overlap, kept = iou(boxes, boxes), np.array([], int)
    for i in np.argsort(-scores, kind="stable"):
        if not (overlap[i, kept] > threshold).any():
            kept = np.append(kept, i)
    return kept


def mean_average_precision(found, truth, thresholds=(0.5,)):
    """Average precision of detections, as COCO counts it, over classes and IoU thresholds.

    Parameters
    ----------
    found : list of dict
        For each picture ``boxes`` (n, 4), ``scores`` (n,) and ``labels`` (n,).
    truth : list of dict
        For each picture ``boxes`` (m, 4) and ``labels`` (m,).
    thresholds : sequence of float
        The overlap that makes a hit; COCO's headline takes the mean over 0.5, 0.55, … 0.95.

    Returns
    -------
    float
        The mean over the classes that occur in `truth`. Precision at a recall is the best at
        that recall or beyond, read at 101 recalls.

    References
    ----------
    Everingham et al. (2010), doi:10.1007/s11263-009-0275-4; Lin et al. (2014), arXiv:1405.0312.
    """
    values = []
    for c in np.unique(np.concatenate([t["labels"] for t in truth])):
        ours = [(f["boxes"][f["labels"] == c], f["scores"][f["labels"] == c]) for f in found]
        theirs = [t["boxes"][t["labels"] == c] for t in truth]
        order = np.argsort(-np.concatenate([s for _, s in ours]), kind="stable")
        for threshold in thresholds:
            hit = [match(*a, b, threshold) for a, b in zip(ours, theirs, strict=True)]
            hits = np.cumsum(np.concatenate(hit)[order])
            recall = hits / sum(map(len, theirs))
            best = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
            at = np.searchsorted(recall, np.linspace(0, 1, 101))
            values.append(np.append(best, 0)[at].mean())
    return np.mean(values)


def edit_distance(a, b, swap=1):
    """Fewest insertions, deletions and replacements that turn one sequence into the other.

    Parameters
    ----------
    a, b : str or sequence
    swap : int
        Price of a replacement; the other two cost 1, so with 2 nothing is ever replaced.

    Returns
    -------
    int

    References
    ----------
    Levenshtein (1966), Soviet Physics Doklady 10; Wagner and Fischer (1974),
    doi:10.1145/321796.321811.
    """
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(row[-1] + 1, above[j] + 1, above[j - 1] + swap * (x != y)))
        above = row
    return above[-1]


def cer(references, hypotheses, units=list):
    """Character error rate: edits over the length of the references; it can exceed 1.

    Parameters
    ----------
    references, hypotheses : list of str
        What was said, and what was understood.
    units : callable
        Cuts a text into what is counted.

    Returns
    -------
    float
    """
    pairs = [(units(r), units(h)) for r, h in zip(references, hypotheses, strict=True)]
    return sum(edit_distance(r, h) for r, h in pairs) / sum(len(r) for r, _ in pairs)


def wer(references, hypotheses):
    """Word error rate: as `cer`, with words between blanks for characters.

    Parameters
    ----------
    references, hypotheses : list of str

    Returns
    -------
    float
    """
    return cer(references, hypotheses, units=str.split)


def ngrams(text, n):
    """How often each run of n words occurs in a text: a Counter."""
    words = text.split()
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def bleu(references, hypotheses, longest=4):
    """BLEU of a corpus, 0 to 1: runs of words that are the reference's, and enough of them.

    Parameters
    ----------
    references, hypotheses : list of str
        One reference a text, both cut at blanks.
    longest : int
        Runs of 1 to so many words count.

    Returns
    -------
    float

    References
    ----------
    Papineni et al. (2002), doi:10.3115/1073083.1073135; unsmoothed, so 0 where no run of some
    length is right.
    """
    right, made = np.zeros(longest), np.zeros(longest)
    for r, h in zip(references, hypotheses, strict=True):
        for n in range(longest):
            right[n] += (ngrams(r, n + 1) & ngrams(h, n + 1)).total()
            made[n] += ngrams(h, n + 1).total()
    if right.min() == 0:
        return 0.0
    words = sum(len(r.split()) for r in references)
    brevity = min(1, np.exp(1 - words / made[0]))
    return brevity * np.exp(np.mean(np.log(right / made)))


def rouge_n(references, hypotheses, n=2):
    """ROUGE-n: F1 of the runs of n words, mean over the texts.

    Parameters
    ----------
    references, hypotheses : list of str
        As for `bleu`.
    n : int
        Words in a run.

    Returns
    -------
    float

    References
    ----------
    Lin (2004), ROUGE: a package for automatic evaluation of summaries.
    """
    scores = []
    for r, h in zip(references, hypotheses, strict=True):
        a, b = ngrams(r, n), ngrams(h, n)
        scores.append(2 * (a & b).total() / max(a.total() + b.total(), 1))
    return np.mean(scores)


def rouge_l(references, hypotheses):
    """ROUGE-L: F1 of the longest run of words common to both, gaps allowed; mean over texts.

    Parameters
    ----------
    references, hypotheses : list of str
        As for `bleu`.

    Returns
    -------
    float

    References
    ----------
    Lin (2004), ROUGE: a package for automatic evaluation of summaries.
    """
    scores = []
    for r, h in zip(references, hypotheses, strict=True):
        a, b = r.split(), h.split()
        scores.append(1 - edit_distance(a, b, swap=2) / max(len(a) + len(b), 1))
    return np.mean(scores)


def recall_at_k(similarity, k, target=None):
    """Share of queries whose right item is among the k most similar; a tie counts against it.

    Parameters
    ----------
    similarity : array of shape (queries, items)
    k : int
    target : array of int, shape (queries,), optional
        The right item of each query; by default item i of query i.

    Returns
    -------
    float
    """
    rows = np.arange(len(similarity))
    own = similarity[rows, rows if target is None else target]
    return np.mean((similarity >= own[:, None]).sum(axis=1) <= k)


# What follows guards the definitions above against input that would give a wrong answer without
# a word: floats as classes, a probability of 1.2, one text where a list of texts belongs.


def _guard_bootstrap(function):
    @functools.wraps(function)
    def guarded(statistic, *arrays, seed=None, level=0.95, resamples=1000):
        columns = [np.asarray(a) for a in arrays]
        lengths = {len(c) for c in columns}
        if len(lengths) != 1 or min(lengths) < 2:
            refuse("arrays", "have one number of rows, 2 or more", lengths)
        if not 0 < level < 1:
            refuse("level", "lies between 0 and 1", level)
        seed = current().seed if seed is None else seed
        options = {"seed": seed, "level": level, "resamples": resamples}
        value, low, high = function(statistic, *columns, **options)
        return Interval(value, min(low, value), max(high, value))

    return guarded


def _classes(y, guess, k):
    y, guess = np.asarray(y), np.asarray(guess)
    if y.ndim != 1 or y.shape != guess.shape or not len(y):
        raise ValueError(f"y and guess have one shape (n,), n > 0; got {y.shape}, {guess.shape}")
    if any(a.dtype.kind not in "biu" or a.min() < 0 or (k and a.max() >= k) for a in (y, guess)):
        raise ValueError(f"classes are whole numbers from 0{f' to {k - 1}' if k else ''}")
    return {"y": y.astype(int), "guess": guess.astype(int)}


def _boxes(boxes):
    boxes = np.asarray(boxes, dtype=float)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4 or (boxes[:, :2] > boxes[:, 2:]).any():
        refuse("boxes", "are (n, 4): left, top, right, bottom, in this order", boxes.shape)
    return boxes


def _scored(boxes, scores, truth):
    boxes, scores = _boxes(boxes), np.asarray(scores, dtype=float)
    if scores.shape != (len(boxes),):
        raise ValueError(f"a score a box, ({len(boxes)},), got {scores.shape}")
    return {"boxes": boxes, "scores": scores, "truth": _boxes(truth)}


def _rivals(boxes, scores):
    return {k: v for k, v in _scored(boxes, scores, []).items() if k != "truth"}


def _pictures(found, truth):
    if len(found) != len(truth) or not sum(len(t["labels"]) for t in truth):
        raise ValueError(
            f"one entry a picture, and a true box in some; got {len(found)} and {len(truth)}"
        )
    both = [[{k: np.asarray(v) for k, v in entry.items()} for entry in s] for s in (found, truth)]
    for entry in both[0] + both[1]:
        entry["boxes"] = _boxes(entry["boxes"])
        if any(len(v) != len(entry["boxes"]) for v in entry.values()):
            raise ValueError(f"each box has a label: { ({k: len(v) for k, v in entry.items()}) }")
    return {"found": both[0], "truth": both[1]}


def _texts(references, hypotheses):
    if isinstance(references, str) or isinstance(hypotheses, str):
        raise TypeError("references and hypotheses are lists of texts, not one text")
    if len(references) != len(hypotheses) or not any(r.strip() for r in references):
        raise ValueError(
            "as many hypotheses as references, and a word in some reference; "
            f"got {len(hypotheses)} and {len(references)}"
        )


RANKED = {"score": "n real", "y": "n 0/1"}
OWN = "target is not None or queries <= items  # else a query has no item of its own"
GIVEN = "target is None or 0 <= target.min() and target.max() < items"
ranked_of_both = checked("y.min() < y.max()  # both classes have to occur in y", **RANKED)
promises = checked("0 <= p.min() and p.max() <= 1  # p holds probabilities", p="n real", y="n 0/1")

bootstrap = _guard_bootstrap(bootstrap)
mean_interval = checked("n >= 2  # values of one run have no interval", values="n real")(
    mean_interval
)
confusion = checked(_classes)(confusion)
precision_recall_f1 = checked(table="k k real")(precision_recall_f1)
sweep = checked(**RANKED)(sweep)
roc_auc, average_precision = ranked_of_both(roc_auc), ranked_of_both(average_precision)
reliability = promises(reliability)
expected_calibration_error = promises(expected_calibration_error)
iou = checked(lambda a, b: {"a": _boxes(a), "b": _boxes(b)})(iou)
match = checked(_scored, threshold="above 0 to 1")(match)
nms = checked(_rivals, threshold="above 0 to 1")(nms)
mean_average_precision = checked(_pictures)(mean_average_precision)
cer, wer, bleu, rouge_n, rouge_l = map(checked(_texts), (cer, wer, bleu, rouge_n, rouge_l))
recall_at_k = checked(
    "1 <= k <= items", OWN, GIVEN, similarity="queries items real", target="queries labels"
)(recall_at_k)
