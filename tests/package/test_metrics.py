"""Scores against the libraries that define them, intervals against scipy and in made worlds."""

import contextlib
import io

import jiwer
import numpy as np
import pytest
import sacrebleu
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from scipy import stats
from sklearn import metrics as sk
from torchmetrics.classification import BinaryCalibrationError
from torchvision.ops import box_iou, nms

from mmlearn import metrics
from mmlearn.metrics import bootstrap, mean_interval

RNG = np.random.default_rng(0)
WORDS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=9).map(" ".join)


# --- intervals --------------------------------------------------------------------------------


def test_bootstrap_is_the_percentile_interval_of_scipy():
    sample = RNG.normal(size=80)
    ours = bootstrap(np.mean, sample, resamples=500, seed=1, level=0.9)
    theirs = stats.bootstrap(
        (sample,), np.mean, n_resamples=500, method="percentile", rng=1, confidence_level=0.9
    ).confidence_interval
    assert ours == pytest.approx((sample.mean(), theirs.low, theirs.high))


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    inside = 0
    for world in range(200):
        _, low, high = bootstrap(np.mean, RNG.normal(size=60), resamples=300, seed=world, level=0.9)
        inside += low <= 0 <= high
    assert 0.83 <= inside / 200 <= 0.96  # 0.9 give or take three standard errors


def test_bootstrap_keeps_rows_together():
    x = RNG.normal(size=50)
    value, low, high = bootstrap(lambda a, b: np.mean(a - b), x, x + 1, seed=0)
    assert value == low == high == pytest.approx(-1)


def test_bootstrap_repeats_with_its_seed():
    x = RNG.normal(size=50)
    assert bootstrap(np.median, x, seed=5) == bootstrap(np.median, x, seed=5)
    assert bootstrap(np.median, x, seed=5) != bootstrap(np.median, x, seed=6)
    assert bootstrap(np.median, x) == bootstrap(np.median, x)  # the run's seed


def test_bootstrap_holds_the_value_even_of_a_biased_statistic():
    x = np.arange(30.0)
    value, low, high = bootstrap(lambda a: len(set(a)), x, seed=0)
    assert value == 30 and low < high == 30


@pytest.mark.parametrize("arrays", [(), (np.ones(1),), (np.ones(0),), (np.ones(3), np.ones(4))])
def test_bootstrap_refuses_what_has_no_interval(arrays):
    with pytest.raises(ValueError, match="arrays have one number of rows, 2 or more, got"):
        bootstrap(np.mean, *arrays)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_bootstrap_refuses_a_level_that_is_none(level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        bootstrap(np.mean, np.ones(3), level=level)


def test_mean_interval_is_students_t():
    values = [1.0, 2.0, 4.0, 4.5, 3.0]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert mean_interval(values) == pytest.approx((np.mean(values), low, high))


@pytest.mark.parametrize("values", [[], [1.0], [[1.0, 2.0]]])
def test_mean_interval_needs_two_runs(values):
    with pytest.raises(
        ValueError, match=r"n >= 2 has to hold, got n=1; values|values has shape \(n,\)"
    ):
        mean_interval(values)


# --- classes, rankings, probabilities ---------------------------------------------------------


@pytest.mark.parametrize("k", [2, 5])
def test_confusion_and_what_is_read_from_it_are_scikit_learns(k):
    y, guess = RNG.integers(k, size=(2, 60))
    table = metrics.confusion(y, guess, k + 1)
    assert (table == sk.confusion_matrix(y, guess, labels=range(k + 1))).all()
    theirs = sk.precision_recall_fscore_support(y, guess, labels=range(k + 1), zero_division=0)
    assert np.allclose(metrics.precision_recall_f1(table), theirs[:3])


@pytest.mark.parametrize(
    ("y", "guess", "k", "match"),
    [
        ([0, 1], [0], None, "one shape"),
        ([], [], None, "one shape"),
        ([0.0, 1.0], [0, 1], None, "whole numbers"),
        ([0, -1], [0, 1], None, "whole numbers"),
        ([0, 3], [0, 1], 3, "from 0 to 2"),
    ],
)
def test_confusion_refuses(y, guess, k, match):
    with pytest.raises(ValueError, match=match):
        metrics.confusion(y, guess, k)


def test_scores_of_a_table_that_is_not_square():
    with pytest.raises(ValueError, match=r"\(k, k\), got \(2, 3\)"):
        metrics.precision_recall_f1(np.ones((2, 3)))


@pytest.mark.parametrize("digits", [1, 8])  # many ties, none
def test_rankings_are_scikit_learns(digits):
    y, score = np.append([0, 1], RNG.integers(2, size=80)), RNG.random(82).round(digits)
    alarms, hits, cuts = sk.roc_curve(y, score, drop_intermediate=False)
    ours = metrics.sweep(y, score)
    assert np.allclose(ours[0], cuts[1:])
    assert np.allclose(ours[1:], [hits[1:] * y.sum(), alarms[1:] * sum(1 - y)])
    assert metrics.roc_auc(y, score) == pytest.approx(sk.roc_auc_score(y, score))
    theirs = sk.average_precision_score(y, score)
    assert metrics.average_precision(y, score) == pytest.approx(theirs)


def test_a_constant_score_ranks_nothing():
    y = np.array([1, 0, 0, 0])
    assert metrics.roc_auc(y, np.ones(4)) == 0.5
    assert metrics.average_precision(y, np.ones(4)) == 0.25


@pytest.mark.parametrize(
    ("y", "score", "match"),
    [
        ([0, 1], [0.1, np.nan], "score holds NaN"),
        ([], [], r"score has shape \(n,\), none of them 0, got \(0,\)"),
        ([0, 2], [0.1, 0.2], "labels are 0 or 1"),
        ([0, 1, 1], [0.1, 0.2], r"y has shape \(2,\), got \(3,\)"),
        ([1, 1], [0.1, 0.2], "both classes"),
    ],
)
def test_rankings_refuse(y, score, match):
    for function in (metrics.roc_auc, metrics.average_precision):
        with pytest.raises(ValueError, match=match):
            function(y, score)


@pytest.mark.parametrize("bins", [10, 4])
def test_calibration_error_is_torchmetrics(bins):
    p, y = RNG.random(300), RNG.integers(2, size=300)
    theirs = BinaryCalibrationError(bins)(torch.tensor(p), torch.tensor(y)).item()
    assert metrics.expected_calibration_error(p, y, bins) == pytest.approx(theirs, abs=1e-6)
    promised, true, count = metrics.reliability(p, y, bins)
    assert count.sum() == 300 and np.average(true, weights=count) == pytest.approx(y.mean())
    assert np.average(promised, weights=count) == pytest.approx(p.mean())


def test_calibration_at_the_ends_and_of_one_sample():
    assert metrics.expected_calibration_error([0, 1.0], [0, 1]) == 0
    assert metrics.expected_calibration_error([0.7], [1]) == pytest.approx(0.3)
    with pytest.raises(
        ValueError, match=r"got p.min\(\)=0.2, p.max\(\)=1.2; p holds probabilities"
    ):
        metrics.expected_calibration_error([0.2, 1.2], [0, 1])


# --- boxes ------------------------------------------------------------------------------------


def boxes(n):
    return np.cumsum(RNG.uniform(15, 40, (n, 2, 2)), axis=1).reshape(n, 4)


def test_iou_is_torchvisions():
    a, b = boxes(7), boxes(4)
    assert np.allclose(metrics.iou(a, b), box_iou(torch.tensor(a), torch.tensor(b)))
    assert metrics.iou(a, []).shape == (7, 0)


def test_a_true_box_is_hit_once():
    one = [[0, 0, 10, 10]]
    assert metrics.match(one * 3, [0.2, 0.9, 0.5], one).tolist() == [False, True, False]
    assert metrics.match(one, [1.0], []).tolist() == [False]
    assert metrics.match([], [], one).tolist() == []


@pytest.mark.parametrize("threshold", [0.2, 0.5, 1])
def test_nms_is_torchvisions(threshold):
    corners = RNG.uniform(0, 40, size=(60, 2))
    boxes, scores = np.hstack([corners, corners + RNG.uniform(5, 30, (60, 2))]), RNG.random(60)
    theirs = nms(torch.tensor(boxes), torch.tensor(scores), threshold)
    assert metrics.nms(boxes, scores, threshold).tolist() == theirs.tolist()
    assert metrics.nms([], []).tolist() == []
    with pytest.raises(ValueError, match="a score a box"):
        metrics.nms(boxes, scores[1:])


def coco(found, true, thresholds):
    """pycocotools' own average over classes and thresholds."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entries(pictures):
        for i, picture in enumerate(pictures):
            for k, (box, label) in enumerate(zip(picture["boxes"], picture["labels"], strict=True)):
                left, top, right, bottom = box.tolist()
                yield {
                    "image_id": i + 1, "category_id": int(label) + 1, "iscrowd": 0,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    **({"score": float(picture["scores"][k])} if "scores" in picture else {}),
                }  # fmt: skip

    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": i + 1} for i in range(len(true))],
        "categories": [{"id": c} for c in (1, 2, 3)],
        "annotations": [{**entry, "id": n + 1} for n, entry in enumerate(entries(true))],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(list(entries(found))), "bbox")
        run.params.iouThrs = np.array(thresholds)
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]
    return precision[precision > -1].mean()


@pytest.mark.parametrize("thresholds", [(0.5,), (0.75,), tuple(np.arange(0.5, 1, 0.05))])
def test_mean_average_precision_is_cocos(thresholds):
    found, true = [], []
    for _ in range(12):
        b = boxes(6)
        a = np.vstack([b + RNG.normal(0, noise, b.shape) for noise in (1, 2)] + [boxes(3)])
        true.append({"boxes": b, "labels": RNG.integers(3, size=6)})
        labels = np.append(np.tile(true[-1]["labels"], 2), [0, 1, 2])
        found.append({"boxes": a, "scores": RNG.random(15), "labels": labels})
    found[3] = {key: value[:0] for key, value in found[3].items()}  # nothing found
    true[5] = {key: value[:0] for key, value in true[5].items()}  # nothing there
    ours = metrics.mean_average_precision(found, true, thresholds)
    assert ours == pytest.approx(coco(found, true, thresholds), abs=1e-9)
    assert 0.05 < ours < 0.95


def test_average_precision_of_perfect_and_of_missing_boxes():
    true = [{"boxes": boxes(3), "labels": np.array([0, 1, 1])}]
    found = [{**true[0], "scores": np.ones(3)}]
    assert metrics.mean_average_precision(found, true) == 1
    none = [{"boxes": [], "labels": [], "scores": []}]
    assert metrics.mean_average_precision(none, true) == 0


def test_boxes_refuse():
    b = boxes(2)
    with pytest.raises(ValueError, match="left, top, right, bottom"):
        metrics.iou(b[:, :3], b)
    with pytest.raises(ValueError, match="left, top, right, bottom"):
        metrics.iou(b[:, [2, 1, 0, 3]], b)
    with pytest.raises(ValueError, match=r"a score a box, \(2,\), got \(1,\)"):
        metrics.match(b, [0.5], b)
    with pytest.raises(ValueError, match="above 0"):
        metrics.match(b, [0.5, 0.5], b, 0)
    true = [{"boxes": b, "labels": [0, 1]}]
    with pytest.raises(ValueError, match="one entry a picture"):
        metrics.mean_average_precision([], true)
    with pytest.raises(ValueError, match="each box has a label"):
        metrics.mean_average_precision([{"boxes": b, "labels": [0], "scores": [1, 1]}], true)


# --- texts and searches -----------------------------------------------------------------------


@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_edit_distance_is_a_distance_and_equals_a_slow_recursion(a, b):
    def slow(a, b, swap):
        if not a or not b:
            return len(a) + len(b)
        kept = slow(a[1:], b[1:], swap) + swap * (a[0] != b[0])
        return min(kept, slow(a[1:], b, swap) + 1, slow(a, b[1:], swap) + 1)

    if len(a) + len(b) <= 9:
        assert metrics.edit_distance(a, b) == slow(a, b, 1)
        assert metrics.edit_distance(a, b, swap=2) == slow(a, b, 2)
    assert metrics.edit_distance(a, b) == metrics.edit_distance(b, a) <= max(len(a), len(b))


@settings(max_examples=50)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_texts_are_scored_as_the_libraries_do(pairs):
    said, heard = map(list, zip(*pairs, strict=True))
    assert metrics.wer(said, heard) == pytest.approx(jiwer.wer(said, heard))
    assert metrics.cer(said, heard) == pytest.approx(jiwer.cer(said, heard))
    options = {"tokenize": "none", "smooth_method": "none"}
    theirs = sacrebleu.corpus_bleu(heard, [said], **options).score / 100
    assert metrics.bleu(said, heard) == pytest.approx(theirs)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    theirs = [scorer.score(r, h) for r, h in pairs]
    mean = {name: np.mean([t[name].fmeasure for t in theirs]) for name in theirs[0]}
    assert metrics.rouge_n(said, heard, 1) == pytest.approx(mean["rouge1"])
    assert metrics.rouge_n(said, heard) == pytest.approx(mean["rouge2"])
    assert metrics.rouge_l(said, heard) == pytest.approx(mean["rougeL"])


def test_an_empty_answer_and_a_long_one():
    assert metrics.wer(["a b"], [""]) == metrics.cer(["ab"], [""]) == 1
    assert metrics.wer(["a"], ["b c d"]) == 3
    assert metrics.bleu(["a b c d"], [""]) == metrics.rouge_l(["a b"], [""]) == 0


@pytest.mark.parametrize("name", ["cer", "wer", "bleu", "rouge_n", "rouge_l"])
def test_texts_refuse(name):
    function = getattr(metrics, name)
    with pytest.raises(TypeError, match="lists of texts"):
        function("a b", "a b")
    with pytest.raises(ValueError, match="as many hypotheses"):
        function(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="a word in some reference"):
        function([" "], ["a"])


def test_recall_at_k_is_scikit_learns_top_k_accuracy():
    table, target = RNG.normal(size=(40, 12)), np.append(np.arange(12), RNG.integers(12, size=28))
    for k in (1, 3, 11):
        theirs = sk.top_k_accuracy_score(target, table, k=k, labels=range(12))
        assert metrics.recall_at_k(table, k, target) == pytest.approx(theirs)
    assert metrics.recall_at_k(np.eye(5), 1) == 1
    assert metrics.recall_at_k(np.ones((5, 5)), 4) == 0  # ties find nothing


@pytest.mark.parametrize(
    ("table", "k", "target", "match"),
    [
        (np.ones(3), 1, None, r"\(queries, items\), got \(3,\)"),
        (np.full((2, 2), np.nan), 1, None, "similarity holds NaN"),
        (np.ones((3, 2)), 1, None, "got target=None, queries=3, items=2; else a query has no item"),
        (np.ones((2, 2)), 3, None, "1 <= k <= items has to hold, got k=3, items=2"),
        (np.ones((2, 2)), 1, [0], r"target has shape \(2,\), got \(1,\)"),
    ],
)
def test_recall_at_k_refuses(table, k, target, match):
    with pytest.raises(ValueError, match=match):
        metrics.recall_at_k(table, k, target)
