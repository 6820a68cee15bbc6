"""Objectives against slow loops and libraries; what they promise about duplicates and devices."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.cross_decomposition import CCA
from torch._subclasses.fake_tensor import FakeTensorMode

from mmlearn import objectives
from mmlearn.objectives import (
    CLIPLoss,
    cca,
    clip_loss,
    coral_loss,
    info_nce,
    knowledge_distillation_loss,
    mmd_loss,
    siglip_loss,
)
from tests.package.versions import fake_gpu, traced

LABEL = torch.tensor([0, 1, 0, 2, 0, 1])
LOSSES = {
    "info_nce": lambda a, b: info_nce(a, b, 0.2),
    "info_nce, labels": lambda a, b: info_nce(a, b, 0.2, LABEL.to(a.device)[: len(a)]),
    "clip_loss": lambda a, b: clip_loss(a, b, 5.0),
    "clip_loss, labels": lambda a, b: clip_loss(a, b, 5.0, LABEL.to(a.device)[: len(a)]),
    "siglip_loss": lambda a, b: siglip_loss(a, b, 5.0, -1.0),
    "siglip_loss, labels": lambda a, b: siglip_loss(a, b, 5.0, -1.0, LABEL.to(a.device)[: len(a)]),
    "coral_loss": coral_loss,
    "mmd_loss": lambda a, b: mmd_loss(a, b, (0.5, 2.0)),
    "knowledge_distillation_loss": knowledge_distillation_loss,
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def pairs(n=6, d=4, seed=0, **kwargs):
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(2, n, d, dtype=torch.float64, generator=generator)
    return [x.to(**kwargs) for x in made]


def cosine(u, v):
    return float(u @ v) / math.sqrt(float(u @ u) * float(v @ v))


def slow_info_nce(queries, keys, temperature, label):
    """One query, one key at a time."""
    total = 0.0
    for i, query in enumerate(queries):
        z = [cosine(query, key) / temperature for key in keys]
        whole = math.log(sum(math.exp(score) for score in z))
        own = [j for j in range(len(keys)) if label[j] == label[i]]
        total += sum(whole - z[j] for j in own) / len(own)
    return total / len(queries)


@pytest.mark.parametrize("label", [None, LABEL])
def test_info_nce_and_clip_loss_are_the_slow_loop(label):
    (a, b), each = pairs(), range(6) if label is None else label.tolist()
    there, back = slow_info_nce(a, b, 0.2, each), slow_info_nce(b, a, 0.2, each)
    assert float(info_nce(a, b, 0.2, label)) == pytest.approx(there)
    assert float(clip_loss(a, b, 5.0, label)) == pytest.approx((there + back) / 2)


def test_with_unique_labels_they_are_cross_entropy():
    (a, b), rows = pairs(), torch.arange(6)
    z = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    assert float(info_nce(a, b, 0.1)) == pytest.approx(float(F.cross_entropy(z / 0.1, rows)))
    both = F.cross_entropy(7 * z, rows) + F.cross_entropy(7 * z.T, rows)
    for label in (None, rows, rows.flip(0) * 3):
        assert float(clip_loss(a, b, 7.0, label)) == pytest.approx(float(both) / 2)
        same = siglip_loss(a, b, 7.0, -1.0, label)
        assert float(same) == pytest.approx(float(siglip_loss(a, b, 7.0, -1.0)))


@pytest.mark.parametrize("label", [None, LABEL])
def test_siglip_is_the_slow_loop(label):
    (a, b), each = pairs(), range(6) if label is None else label.tolist()
    total = 0.0
    for i, j in itertools.product(range(6), range(6)):
        sign = 1 if each[i] == each[j] else -1
        total += math.log1p(math.exp(-sign * (5 * cosine(a[i], b[j]) - 1)))
    assert float(siglip_loss(a, b, 5.0, -1.0, label)) == pytest.approx(total / 6)


@pytest.mark.parametrize("label", [None, LABEL])
def test_both_directions_count_alike_and_lengths_do_not(label):
    a, b = pairs()
    for loss in (clip_loss, functools.partial(siglip_loss, bias=-1.0)):
        value = float(loss(a, b, scale=5.0, label=label))
        assert float(loss(b, a, scale=5.0, label=label)) == pytest.approx(value)
        assert float(loss(3 * a, b / 7, scale=5.0, label=label)) == pytest.approx(value)
    assert float(info_nce(a, b, label=label)) != pytest.approx(float(info_nce(b, a, label=label)))


def test_the_order_of_the_samples_does_not_count():
    (a, b), order = pairs(), torch.tensor([3, 1, 5, 0, 2, 4])
    value = clip_loss(a, b, 5.0, LABEL)
    assert float(clip_loss(a[order], b[order], 5.0, LABEL[order])) == pytest.approx(float(value))


@pytest.mark.parametrize("objective", [clip_loss, info_nce])
def test_duplicates_stay_together_and_the_loss_reaches_its_minimum(objective):
    """Two samples of each label: without labels twins are driven apart, with them they are not."""
    label, twin = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([1, 0, 3, 2, 5, 4])
    scale = {"scale": 30.0} if objective is clip_loss else {"temperature": 1 / 30}
    for given, apart, least in ((None, 0.1, 0.0), (label, 0.0, math.log(2))):
        a, b = (x.requires_grad_() for x in pairs(d=3, seed=1))
        steps = torch.optim.Adam([a, b], lr=0.05)
        for _ in range(800):
            steps.zero_grad()
            objective(a, b, **scale, label=given).backward()
            steps.step()
        gap = (F.cosine_similarity(a, b) - F.cosine_similarity(a, b[twin])).mean()
        assert gap > apart if given is None else abs(gap) < 0.01
        value = objective(a, b, **scale, label=given).item()
        assert value == pytest.approx(least, abs=0.05)


def test_equal_vectors_of_equal_labels_are_not_pushed():
    a = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]], dtype=torch.float64)
    a, b, label = a.clone().requires_grad_(), a, torch.tensor([0, 0, 1, 1])
    clip_loss(a, b, 100.0, label).backward()
    assert float(a.grad.abs().max()) < 1e-12
    assert clip_loss(a, b, 100.0, label).item() == pytest.approx(math.log(2))


def test_when_names_are_the_same_vector_labels_change_nothing():
    a, b = pairs()
    b = b[LABEL]
    assert float(clip_loss(a, b, 5.0)) == pytest.approx(float(clip_loss(a, b, 5.0, LABEL)))


def test_the_learnt_scale_is_bounded_and_can_come_back():
    a, b = pairs(dtype=torch.float32)
    loss = CLIPLoss()
    assert loss.log_scale.exp().item() == pytest.approx(1 / 0.07)
    assert float(loss(a, b)) == pytest.approx(float(clip_loss(a, b, 1 / 0.07)))
    assert float(loss(a, b, LABEL)) == pytest.approx(float(clip_loss(a, b, 1 / 0.07, LABEL)))
    steps = torch.optim.SGD(loss.parameters(), lr=100.0)
    loss(a, a).backward()  # perfect pairs: the scale is pushed up, far beyond the bound
    steps.step()
    with torch.no_grad():
        loss.log_scale.fill_(9.0)
    steps.zero_grad()
    assert float(loss(a, b)) == pytest.approx(float(clip_loss(a, b, 100.0)), rel=1e-5)
    loss(a, b).backward()  # bad pairs at the bound: the gradient lowers it again
    assert float(loss.log_scale) == pytest.approx(math.log(100))
    assert float(loss.log_scale.grad) > 0
    steps.step()
    assert float(loss.log_scale) < math.log(100)
    again = CLIPLoss(0.5)
    again.load_state_dict(loss.state_dict())
    assert float(again(a, b)) == float(loss(a, b))


@each_loss
def test_gradients_are_right(loss):
    a, b = (x.requires_grad_() for x in pairs())
    if loss is knowledge_distillation_loss:
        b.requires_grad_(False)
    assert torch.autograd.gradcheck(loss, (a, b))


def test_the_scales_gradient_is_right():
    a, b = pairs()
    scale, bias = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (3.0, -1.0))
    assert torch.autograd.gradcheck(lambda s: clip_loss(a, b, s, LABEL), (scale,))
    assert torch.autograd.gradcheck(lambda s: info_nce(a, b, s), (scale,))
    assert torch.autograd.gradcheck(lambda s, c: siglip_loss(a, b, s, c), (scale, bias))


def test_a_batch_of_one():
    a, b = pairs(n=1)
    for label in (None, torch.zeros(1, dtype=torch.int)):
        assert float(clip_loss(a, b, 5.0, label)) == pytest.approx(0)
        assert float(info_nce(a, b, label=label)) == pytest.approx(0)
    assert float(siglip_loss(a, b, 5.0, 0.0)) == pytest.approx(
        math.log1p(math.exp(-5 * cosine(a[0], b[0])))
    )
    assert float(mmd_loss(a, b)) == pytest.approx(
        2 - 2 * math.exp(-float((a - b).square().sum()) / 2)
    )
    assert float(knowledge_distillation_loss(a, a)) == pytest.approx(0)
    with pytest.raises(
        ValueError, match=r"min\(n, m\) >= 2 has to hold, got n=1, m=1; one row, in a or b"
    ):
        coral_loss(a, b)


@pytest.mark.parametrize("n", [2, 7])
def test_mmd_is_the_loop_over_kernels_and_pairs(n):
    a, b, widths = pairs(6)[0], pairs(n)[1], (0.5, 1.0, 3.0)

    def mean(x, y, h):
        return np.mean(
            [math.exp(-float((u - v).square().sum()) / (2 * h * h)) for u in x for v in y]
        )

    total = sum(mean(a, a, h) + mean(b, b, h) - 2 * mean(a, b, h) for h in widths) / len(widths)
    assert float(mmd_loss(a, b, widths)) == pytest.approx(total)
    assert float(mmd_loss(a, b, torch.tensor(widths))) == pytest.approx(total)
    assert float(mmd_loss(b, a, widths)) == pytest.approx(total)
    assert float(mmd_loss(a, a, widths)) == pytest.approx(0, abs=1e-12)
    assert float(mmd_loss(a, a.flip(0), widths)) == pytest.approx(0, abs=1e-12)


def test_mmd_in_float32_is_close_far_from_the_origin():
    a, b = pairs(50)
    far = [(x + 30).float() for x in (a, b)]
    assert float(mmd_loss(*far)) == pytest.approx(float(mmd_loss(a, b)), abs=1e-3)


def test_coral_is_numpys_covariance():
    a, b = pairs(6)[0], pairs(9)[1]
    apart = np.cov(a.numpy(), rowvar=False) - np.cov(b.numpy(), rowvar=False)
    assert float(coral_loss(a, b)) == pytest.approx(np.sum(apart**2) / (4 * 4**2))
    assert float(coral_loss(a, a + 7)) == pytest.approx(0, abs=1e-12)  # equal covariances
    assert float(coral_loss(a, -a)) == pytest.approx(0, abs=1e-12)
    assert float(coral_loss(a[:, :1], b[:, :1])) == pytest.approx(
        (float(a[:, 0].var()) - float(b[:, 0].var())) ** 2 / 4
    )


def test_distillation_is_torchs_divergence():
    student, teacher = pairs(k := 5)
    for t in (1.0, 3.0):
        log = [(x / t).log_softmax(dim=1) for x in (student, teacher)]
        theirs = t * t * F.kl_div(*log, reduction="batchmean", log_target=True)
        assert float(knowledge_distillation_loss(student, teacher, t)) == pytest.approx(
            float(theirs)
        )
    student, teacher = student.requires_grad_(), teacher.requires_grad_()
    knowledge_distillation_loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.shape == (k, 4)


def test_cca_finds_sklearns_correlations():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(80, 2))
    X = np.hstack([shared + rng.normal(size=(80, 2)), rng.normal(size=(80, 3))]) @ rng.normal(
        size=(5, 5)
    )
    Y = np.hstack([shared + rng.normal(size=(80, 2)), rng.normal(size=(80, 1))]) + 5
    A, B, found = cca(X, Y, 3, ridge=0)
    U, V = (X - X.mean(axis=0)) @ A, (Y - Y.mean(axis=0)) @ B
    x, y = CCA(3, scale=False, max_iter=5_000, tol=1e-12).fit_transform(X, Y)
    theirs = [np.corrcoef(x[:, i], y[:, i])[0, 1] for i in range(3)]
    assert found == pytest.approx(theirs, abs=1e-6)
    assert pytest.approx(np.eye(3), abs=1e-8) == U.T @ U / 80
    assert pytest.approx(np.eye(3), abs=1e-8) == V.T @ V / 80
    assert pytest.approx(np.diag(found), abs=1e-8) == U.T @ V / 80
    A2, B2, two = cca(X, Y, 2, ridge=0)
    assert two == pytest.approx(found[:2])
    assert A2.shape == (5, 2)
    assert B2.shape == (3, 2)
    scaled = cca(X * [1, 2, 3, 4, 5], Y - 9, 3, ridge=0)[2]
    assert scaled == pytest.approx(found)  # units do not count


def test_cca_needs_a_ridge_where_there_are_more_columns_than_rows():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(10, 30)), rng.normal(size=(10, 20))
    with pytest.raises(ValueError, match="ridge"):
        cca(X, Y, 2, ridge=0)
    assert cca(X, Y, 1, ridge=1e-9)[2] == pytest.approx(1, abs=1e-4)  # of noise
    assert cca(X, Y, 1, ridge=10.0)[2] < 0.5


@each_loss
def test_nan_wrong_shapes_and_nothing_get_a_clear_error(loss):
    a, b = pairs()
    hole = a.clone()
    hole[2, 1] = torch.nan
    for bad in ((hole, b), (a, hole), (a, b * torch.inf)):
        with pytest.raises(ValueError, match="NaN or infinity"):
            loss(*bad)
    for bad in ((a, b[:, :3]), (a[:, 0], b), (a.long(), b), (a.numpy(), b), (a[None], b)):
        with pytest.raises(
            ValueError, match=r"has shape \(\w+, \w+\), got|is a tensor of floats.*, got"
        ):
            loss(*bad)
    with pytest.raises(ValueError, match="none of them 0"):
        loss(a[:0], b[:0])
    with pytest.raises(ValueError, match="none of them 0"):
        loss(a[:, :0], b[:, :0])


def test_settings_that_make_no_sense_get_a_clear_error():
    a, b = pairs()
    for call in (
        lambda: info_nce(a, b, 0.0), lambda: info_nce(a, b, -1.0),
        lambda: clip_loss(a, b, 0.0), lambda: clip_loss(a, b, torch.ones(6)),
        lambda: siglip_loss(a, b, -2.0, 0.0), lambda: CLIPLoss(0.0), lambda: CLIPLoss(math.nan),
        lambda: knowledge_distillation_loss(a, b, 0.0),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="positive number"):
            call()
    for bandwidths in ((), (1.0, 0.0), (math.nan,)):
        with pytest.raises(ValueError, match=r"bandwidths\)? .* has to hold, got"):
            mmd_loss(a, b, bandwidths)
    for label in (LABEL[:3], LABEL[:, None]):
        with pytest.raises(ValueError, match=r"label has shape \(6,\), got"):
            clip_loss(a, b, 5.0, label)
    with pytest.raises(ValueError, match=r"b has shape \(6, 4\), got \(5, 4\)"):
        clip_loss(a, b[:5], 5.0)
    X, Y = a.numpy(), b.numpy()
    with pytest.raises(ValueError, match=r"Y has shape \(5, q\), got \(6, 4\)"):
        cca(X[:5], Y, 1)
    for bad in ((X, Y, 0), (X, Y, 5)):
        with pytest.raises(
            ValueError, match=r"1 <= dims <= min\(p, q\) has to hold, got dims=\d, p=4, q=4"
        ):
            cca(*bad)
    with pytest.raises(ValueError, match=r"0 <= ridge < np.inf has to hold, got ridge=-1.0"):
        cca(X, Y, 1, ridge=-1.0)
    with pytest.raises(ValueError, match="NaN"):
        cca(X * np.nan, Y, 1)


@each_loss
def test_autocast_costs_no_precision(loss):
    a, b = pairs(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(a, b)
        half = loss(a.bfloat16(), b.bfloat16())
    assert inside.dtype == half.dtype == torch.float32
    assert float(inside) == pytest.approx(float(loss(a, b)), rel=1e-6)
    assert float(half) == pytest.approx(float(loss(a, b)), rel=0.05, abs=0.05)


class Wrapped(torch.nn.Module):
    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, a, b):
        return self.loss(a, b)


@each_loss
@traced
def test_export(loss):
    a, b = pairs(dtype=torch.float32)
    program = torch.export.export(Wrapped(loss), (a, b)).module()
    assert float(program(b, a)) == pytest.approx(float(loss(b, a)), rel=1e-5)


@traced
def test_the_module_exports_and_compiles():
    a, b = pairs(dtype=torch.float32)
    loss = CLIPLoss()
    program = torch.export.export(loss, (a, b)).module()
    assert float(program(b, a)) == pytest.approx(float(loss(b, a)), rel=1e-5)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    assert float(compiled(a, b)) == pytest.approx(float(loss(a, b)), rel=1e-5)


@each_loss
@fake_gpu
def test_nothing_is_made_on_the_wrong_device(loss):
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
        a, b = torch.randn(6, 4), torch.randn(6, 4)
        assert loss(a, b).device.type == "cuda"
        assert CLIPLoss()(a, b).device.type == "cuda"
    assert loss(*pairs(device="meta")).shape == ()


def test_the_package_knows_the_module():
    import mmlearn as mm

    assert mm.objectives is objectives
