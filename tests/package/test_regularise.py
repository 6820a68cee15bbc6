"""Regularisers, augmentations and attacks against torch, torchvision, captum and slow loops."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.robust import FGSM, PGD
from scipy.stats import binomtest, norm
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms.v2 import functional as tv

from mmlearn.regularise import (
    add_noise,
    certified_radius,
    cutmix,
    dropout,
    fgsm,
    layer_norm,
    mixup,
    penalty,
    pgd,
    rotate,
    shift,
    spec_augment,
    votes,
)
from tests.package.versions import fake_gpu


def pictures(n=6, channels=2, h=7, w=9, seed=0):
    return torch.rand(n, channels, h, w, generator=torch.Generator().manual_seed(seed)).double()


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 35, 3)]
    return nn.Sequential(*layers).double(), torch.tensor([0, 1, 2, 0, 1, 2])


def test_penalty_has_the_slope_that_weight_decay_has():
    weights = [torch.randn(3, 2, requires_grad=True), torch.randn(4, requires_grad=True)]
    penalty(iter(weights), l1=0.3, l2=0.7).backward()
    for weight in weights:
        assert torch.allclose(weight.grad, 0.3 * weight.sign() + 0.7 * weight)
    moved = [w.detach().clone().requires_grad_() for w in weights]
    for l2, parts in ((0.7, weights), (0.0, moved)):
        steps = torch.optim.SGD(parts, lr=0.1, weight_decay=0.7 - l2)
        steps.zero_grad()
        (sum((w**3).sum() for w in parts) + penalty(parts, l2=l2)).backward()
        steps.step()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(weights, moved, strict=True))


@pytest.mark.parametrize("p", [0.0, 0.3, 0.9])
def test_dropout_is_torchs_seed_for_seed(p):
    x = torch.randn(40, 50, dtype=torch.float64)
    torch.manual_seed(3)
    ours = dropout(x, p, training=True)
    torch.manual_seed(3)
    assert torch.allclose(ours, F.dropout(x, p, training=True))
    assert torch.equal(dropout(x, p, training=False), x)
    assert (ours == 0).double().mean().item() == pytest.approx(p, abs=0.05)


def test_layer_norm_is_torchs():
    x, weight, bias = (
        torch.randn(3, 4, 5).double(),
        torch.randn(5).double(),
        torch.randn(5).double(),
    )
    assert torch.allclose(layer_norm(x, weight, bias), F.layer_norm(x, (5,), weight, bias))
    assert torch.allclose(layer_norm(x, weight, bias)[:1], layer_norm(x[:1], weight, bias))


@pytest.mark.parametrize("blend", [mixup, cutmix])
def test_labels_are_blended_as_their_samples_are(blend):
    x = torch.eye(6)[:, :, None, None].expand(6, 6, 8, 10)  # picture i: channel i is 1
    shares = []
    for seed in range(40):
        torch.manual_seed(seed)
        mixed, y = blend(x, torch.eye(6))
        assert torch.allclose(mixed.mean(dim=(2, 3)), y, atol=1e-6)
        assert torch.allclose(y.sum(dim=1), torch.ones(6))
        shares.append(y.diagonal().min())
    assert min(shares) < 0.5 < max(shares)


def test_cutmix_pastes_one_rectangle():
    x = torch.arange(5.0)[:, None, None, None].expand(5, 1, 8, 10)
    seen = set()
    for seed in range(60):
        torch.manual_seed(seed)
        changed = (cutmix(x, torch.eye(5))[0] != x)[:, 0]
        for picture in changed:
            rows, columns = picture.any(dim=1), picture.any(dim=0)
            assert torch.equal(picture, rows[:, None] & columns)
            assert int(rows.int().diff().abs().sum()) <= 2
        seen.add(int(changed[0].sum()))
    assert len(seen) > 10


@pytest.mark.parametrize("degrees", [0.0, 15.0, -40.0, 90.0, 180.0])
def test_rotate_is_torchvisions(degrees):
    x = pictures(h=9)
    ours = rotate(x, torch.full((6,), degrees))
    theirs = tv.rotate(x, degrees, interpolation=tv.InterpolationMode.BILINEAR)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_each_picture_turns_by_its_own_angle():
    x, angles = pictures(), torch.tensor([0.0, 10, -20, 30, 75, 360])
    turned = rotate(x, angles)
    for i in range(6):
        assert torch.allclose(turned[i], rotate(x[i : i + 1], angles[i : i + 1])[0], atol=1e-6)
    assert torch.allclose(turned[0], x[0], atol=1e-6)


@pytest.mark.parametrize("rows", [-9, -2, 0, 3])
@pytest.mark.parametrize("columns", [-1, 0, 4, 12])
def test_shift_is_torchvisions_and_a_loop(rows, columns):
    x, moved = pictures(), torch.zeros(6, 2, 7, 9).double()
    for i in range(7):
        for j in range(9):
            if 0 <= i - rows < 7 and 0 <= j - columns < 9:
                moved[..., i, j] = x[..., i - rows, j - columns]
    assert torch.equal(shift(x, rows, columns), moved)
    theirs = tv.affine(x, angle=0, translate=[columns, rows], scale=1, shear=[0, 0])
    assert torch.allclose(theirs, moved)


def test_spec_augment_blanks_neighbours_and_no_more_than_asked():
    x, lengths = torch.ones(64, 20, 12), torch.randint(1, 21, (64,))
    mask = torch.arange(20) < lengths[:, None]
    torch.manual_seed(0)
    blank = spec_augment(x, mask, bands=4, frames=6) == 0
    for picture, length in zip(blank, lengths.tolist(), strict=True):
        whole, part = picture[:length].all(dim=0), picture[:length].all(dim=1)
        whole = whole if length > 6 else picture.all(dim=0)
        expected = picture.any(dim=0) if part.all() else whole
        assert int(whole.sum()) <= 4 and int(expected.int().diff().abs().sum()) <= 2
        rows = picture.all(dim=1)
        assert int(rows.sum()) <= 6 and int(rows.int().diff().abs().sum()) <= 2
        assert not rows[length:].any()
        assert torch.equal(picture, rows[:, None] | picture.all(dim=0))
    assert torch.equal(spec_augment(x, mask, 0, 0), x)
    assert 0.05 < blank.float().mean() < 0.4


@pytest.mark.parametrize("snr", [-10.0, 0.0, 20.0])
def test_noise_has_the_power_that_was_asked_for(snr):
    wave, noise = torch.randn(500).double(), torch.randn(500).double() * 7
    under = add_noise(wave, noise, snr) - wave
    ratio = wave.square().mean() / under.square().mean()
    assert 10 * math.log10(ratio) == pytest.approx(snr)
    assert torch.equal(add_noise(wave, torch.zeros(500).double(), snr), wave)


def test_one_step_and_many_are_captums():
    (net, y), x = network(), pictures()
    each = nn.CrossEntropyLoss(reduction="none")
    theirs = FGSM(net, loss_func=each, lower_bound=0, upper_bound=1)
    assert torch.allclose(fgsm(net, x, y, 0.1), theirs.perturb(x.clone(), 0.1, y))
    theirs = PGD(net, loss_func=each, lower_bound=0, upper_bound=1)
    ours = pgd(net, x, y, epsilon=0.1, step=0.03, steps=7, start=False)
    options = {"radius": 0.1, "step_size": 0.03, "step_num": 7, "target": y, "norm": "Linf"}
    assert torch.allclose(ours, theirs.perturb(x.clone(), **options))


def test_attacks_stay_within_reach_and_raise_the_loss():
    (net, y), x = network(), pictures()
    torch.manual_seed(0)
    before = F.cross_entropy(net(x), y)
    for moved in (fgsm(net, x, y, 0.1), pgd(net, x, y, 0.1, 0.03)):
        assert (moved - x).abs().max() <= 0.1 + 1e-12 and moved.min() >= 0 and moved.max() <= 1
        assert F.cross_entropy(net(moved), y) > before
        assert not moved.requires_grad
    assert all(p.grad is None for p in net.parameters()) and not x.requires_grad
    one, two = pgd(net, x, y, 0.1, 0.03, steps=0), pgd(net, x, y, 0.1, 0.03, steps=0)
    assert not torch.equal(one, two)


def test_edges_of_attacks():
    (net, y), x = network(), pictures()
    assert torch.equal(fgsm(net, x, y, 0.0), x)
    assert torch.equal(pgd(net, x, y, 0.0, 0.1), x)
    alone = pgd(net, x[2:3], y[2:3], 0.1, 0.03, start=False)  # no sample depends on another
    assert torch.allclose(alone, pgd(net, x, y, 0.1, 0.03, start=False)[2:3])
    blind = pgd(lambda z: net(z.round()), x, y, 0.1, 0.03, start=False)  # no slope, no move
    assert torch.equal(blind, x)
    wide = fgsm(net, x, y, 0.5, bounds=(-2.0, 3.0))
    assert wide.min() < 0 and wide.max() > 1 and torch.allclose((wide - x).abs(), 0 * x + 0.5)


def test_more_votes_never_prove_less():
    radii = [certified_radius(won, 50, 0.5) for won in range(51)]
    assert radii == sorted(radii) and radii[0] == 0 < radii[50]
    assert certified_radius(500, 500, 0.5) > radii[50]


def test_votes_of_a_half_plane_are_known_and_so_is_the_radius():
    def f(x):
        return torch.stack([x[:, 0], -x[:, 0]], dim=1)

    torch.manual_seed(0)
    x, noise, n = torch.tensor([0.5, 3.0]).double(), 0.8, 20_000
    counts = votes(f, x, noise, n, batch=999)
    assert counts.sum() == n
    assert counts[0].item() / n == pytest.approx(norm.cdf(0.5 / noise), abs=0.01)
    radius = certified_radius(int(counts[0]), n, noise)
    assert 0.45 < radius < 0.5  # the plane is 0.5 away, and the bound is below it
    least = binomtest(int(counts[0]), n).proportion_ci(0.998, "exact").low
    assert radius == pytest.approx(noise * norm.ppf(least))


def test_no_majority_no_radius():
    assert certified_radius(50, 100, 1.0) == 0 and certified_radius(0, 100, 1.0) == 0
    assert certified_radius(100, 100, 1.0) == pytest.approx(norm.ppf(0.001 ** (1 / 100)))


def test_the_radius_is_seldom_too_large():
    rng, share = np.random.default_rng(0), 0.8
    radii = [certified_radius(int(rng.binomial(200, share)), 200, 1.0, 0.05) for _ in range(2_000)]
    assert (np.array(radii) > norm.ppf(share)).mean() <= 0.065


DEVICE = {
    "penalty": lambda x, y: penalty([x], 1, 1),
    "dropout": lambda x, y: dropout(x, 0.5, True),
    "layer_norm": lambda x, y: layer_norm(x, x[0, 0, 0], x[0, 0, 0]),
    "shift": lambda x, y: shift(x, 1, 2),
    "spec_augment": lambda x, y: spec_augment(x[:, 0], x[:, 0, :, 0] > -1, 2, 2),
    "add_noise": lambda x, y: add_noise(x[0, 0, 0], x[0, 0, 1], 3),
}


@pytest.mark.parametrize("call", DEVICE.values(), ids=DEVICE)
@fake_gpu
def test_they_stay_on_the_device_that_they_are_given(call):
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.rand(6, 2, 7, 9, device="cuda")
        y = torch.zeros(6, dtype=torch.long, device="cuda")
        assert call(x, y).device.type == "cuda"


def test_pictures_turn_where_they_are():
    x = torch.empty(6, 2, 7, 9, device="meta")
    assert rotate(x, torch.full((6,), 20.0)).device.type == "meta"
    for blend in (mixup, cutmix):
        assert {part.device.type for part in blend(x, torch.eye(6, device="meta"))} == {"meta"}


ONE = torch.rand(2, 1, 4, 4)
Y = torch.eye(2)
HOSTILE = {
    "no weights": lambda: penalty([]),
    "a reward": lambda: penalty([ONE], l1=-1),
    "all dropped": lambda: dropout(ONE, 1.0, True),
    "another width": lambda: layer_norm(ONE, torch.ones(3), torch.ones(3)),
    "labels of others": lambda: mixup(ONE, torch.eye(3)),
    "numbers for labels": lambda: mixup(ONE, torch.tensor([0, 1])),
    "no blending": lambda: cutmix(ONE, Y, alpha=0),
    "a picture without a batch": lambda: cutmix(ONE[0], Y),
    "one angle for two": lambda: rotate(ONE, torch.zeros(1)),
    "half a pixel": lambda: shift(ONE, 0.5, 0),
    "a mask of numbers": lambda: spec_augment(ONE[:, 0], torch.ones(2, 4), 1, 1),
    "a short noise": lambda: add_noise(torch.ones(4), torch.ones(3), 0),
    "no end of noise": lambda: add_noise(torch.ones(4), torch.ones(4), -math.inf),
    "out of bounds": lambda: fgsm(lambda x: x, 2 * ONE + 1, torch.tensor([0, 1]), 0.1),
    "NaN": lambda: pgd(lambda x: x, ONE * math.nan, torch.tensor([0, 1]), 0.1, 0.1),
    "no step": lambda: pgd(lambda x: x, ONE, torch.tensor([0, 1]), 0.1, 0.0),
    "labels of floats": lambda: fgsm(lambda x: x, ONE, torch.tensor([0.0, 1]), 0.1),
    "no noise": lambda: votes(lambda x: x, ONE[0], 0.0, 10),
    "more votes than voters": lambda: certified_radius(11, 10, 1.0),
}


@pytest.mark.parametrize("call", HOSTILE.values(), ids=HOSTILE)
def test_hostile_input_gets_a_clear_error(call):
    with pytest.raises(ValueError, match=r"got|floats|bounds|parameters"):
        call()
