"""Explanations against slow definitions, closed forms and the libraries that readers know."""

import itertools
import math

import numpy as np
import pytest
import shap
import torch
from captum.attr import IntegratedGradients as CaptumGradients
from captum.attr import LayerGradCam, NoiseTunnel, Saliency
from lime.lime_base import LimeBase
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from mmlearn.data import Batch, collate
from mmlearn.encoders import Dense, MultimodalModel
from mmlearn.explain import (
    GradCAM,
    IntegratedGradients,
    attention_rollout,
    coalitions,
    deletion_curve,
    hide_columns,
    hide_modalities,
    hide_segments,
    hide_words,
    kernel_shap,
    lime,
    saliency,
    shapley,
    smooth_grad,
)
from mmlearn.fusion import Sum


def random_game(m, answers=(), seed=0):
    """An answer of its own for each coalition."""
    table = np.random.default_rng(seed).normal(size=(2**m, *answers))
    return lambda masks: table[masks @ 2 ** np.arange(m)]


def slow_shapley(game, m):
    """The mean over all orders of entering, one at a time."""
    total, orders = 0.0, list(itertools.permutations(range(m)))
    for order in orders:
        mask, values = np.zeros(m, bool), {}
        for player in order:
            before = game(mask[None])[0]
            mask[player] = True
            values[player] = game(mask[None])[0] - before
        total = total + np.array([values[player] for player in range(m)])
    return total / len(orders)


def pipeline():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 5))
    y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int) + (X[:, 3] > 1)
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y), X


def network(seed=0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6 * 36, 3)).double()


@pytest.mark.parametrize("answers", [(), (3,)])
def test_shapley_is_the_mean_over_all_orders(answers):
    game = random_game(5, answers)
    assert np.allclose(shapley(game, 5), slow_shapley(game, 5))


@pytest.mark.parametrize("answers", [(), (3,)])
def test_kernel_shap_with_all_coalitions_is_exact(answers):
    game = random_game(6, answers)
    assert np.allclose(kernel_shap(game, 6, samples=2**6 - 2), shapley(game, 6))
    assert np.allclose(kernel_shap(random_game(2, answers), 2), shapley(random_game(2, answers), 2))


def test_kernel_shap_of_drawn_coalitions_adds_up_and_comes_near():
    game, exact = random_game(10), shapley(random_game(10), 10)
    found = np.array([kernel_shap(game, 10, 400, seed) for seed in range(30)])
    whole = game(np.ones((1, 10), bool))[0] - game(np.zeros((1, 10), bool))[0]
    assert np.allclose(found.sum(axis=1), whole)
    error = found.std(axis=0) / math.sqrt(30)
    assert (abs(found.mean(axis=0) - exact) < 4 * error + 0.01).all()
    assert np.array_equal(found[3], kernel_shap(game, 10, 400, 3))
    assert not np.array_equal(found[3], found[4])


def test_pairs_of_opposites_see_through_what_two_players_do_together():
    def singles(m, samples, rng):
        masks, weight = coalitions(m, 2 * samples, rng)
        return masks[:samples], weight[:samples]

    pairs = np.random.default_rng(0).normal(size=(12, 12))
    found = [
        [
            kernel_shap(lambda z: ((z @ pairs) * z).sum(axis=1), 12, 200, seed, draw)
            for seed in (0, 1)
        ]
        for draw in (coalitions, singles)
    ]
    exact = shapley(lambda z: ((z @ pairs) * z).sum(axis=1), 12)
    assert np.allclose(found[0], exact)
    assert np.abs(found[1] - exact).max() > 0.1


def test_of_an_additive_game_few_draws_tell_all():
    weight = np.random.default_rng(1).normal(size=40)
    assert np.allclose(kernel_shap(lambda masks: masks @ weight + 2, 40, 200, 0), weight)


def test_kernel_shap_is_shaps_on_a_pipeline():
    model, X = pipeline()
    ours = kernel_shap(hide_columns(model.predict_proba, X[0], X[:20]), 5)
    theirs = shap.KernelExplainer(model.predict_proba, X[:20]).shap_values(X[0], silent=True)
    assert np.allclose(ours, theirs)
    assert np.allclose(ours.sum(axis=1), 0)


def test_lime_is_limes_own_fit_on_the_same_masks():
    asked = []

    def game(masks):
        asked.append(masks)
        z = masks.astype(float)
        return np.stack([z[:, 0] * z[:, 1] - z[:, 2], z.sum(axis=1)], axis=1)

    ours = lime(game, 8, samples=300, seed=0)
    (masks,) = asked
    assert masks[0].all() and set(masks[1:].sum(axis=1)) == set(range(8))
    far = 100 * (1 - np.sqrt(masks.mean(axis=1)))
    base = LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / 25**2)), random_state=0)
    for k in (0, 1):
        theirs = base.explain_instance_with_data(
            masks.astype(float), game(masks), far, k, 8, feature_selection="none",
            model_regressor=Ridge(alpha=1.0),
        )[1]  # fmt: skip
        assert np.allclose(ours[:, k], [slope for _, slope in sorted(theirs)])


def test_lime_finds_the_words_of_a_text_pipeline():
    texts = ["good film", "bad film", "good fun", "bad fun", "a film", "some fun"] * 4
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    model.fit(texts, [1, 0, 1, 0, 0, 1] * 4)
    words = ["a", "good", "but", "long", "film"]
    slopes = lime(hide_words(lambda t: model.predict_proba(t)[:, 1], words), 5, seed=0)
    assert words[slopes.argmax()] == "good" and words[slopes.argmin()] == "film"
    exact = shapley(hide_words(lambda t: model.predict_proba(t)[:, 1], words), 5)
    assert words[exact.argmax()] == "good"


def test_hidden_segments_are_painted_and_others_are_not():
    picture, seen = np.arange(12.0).reshape(1, 3, 4), []

    def f(pictures):
        seen.append(pictures)
        return pictures.sum(axis=(1, 2, 3))

    segments = np.array([[0, 0, 1, 1]] * 3)
    game = hide_segments(f, picture, segments, fill=-1)
    answers = game(np.array([[True, False], [False, False]]))
    assert (seen[0][0, 0, :, :2] == picture[0, :, :2]).all()
    assert (seen[0][0, 0, :, 2:] == -1).all() and (seen[0][1] == -1).all()
    assert seen[0].dtype == picture.dtype
    assert answers.tolist() == [picture[..., :2].sum() - 6, -12]


def test_parts_of_a_picture_share_the_answer_of_a_torch_module():
    net, picture = network().float(), torch.rand(1, 8, 8).numpy()

    def f(pictures):
        with torch.no_grad():
            return net(torch.from_numpy(pictures)).softmax(dim=1).double().numpy()

    quarters = np.arange(8)[:, None] // 4 * 2 + np.arange(8) // 4
    game = hide_segments(f, picture, quarters, fill=0.5)
    exact = shapley(game, 4)
    assert np.allclose(exact, slow_shapley(game, 4), atol=1e-6)
    assert np.allclose(kernel_shap(game, 4), exact, atol=1e-5)
    grey = np.full_like(picture, 0.5)
    assert np.allclose(exact.sum(axis=0), f(picture[None])[0] - f(grey[None])[0], atol=1e-6)


def fused():
    torch.manual_seed(0)
    widths = {"image": 4, "sound": 4, "text": 4}
    encoders = {name: Dense(3, 4) for name in widths}
    model = MultimodalModel(encoders, Sum(widths, 4), nn.Linear(4, 2)).double().eval()
    rng = np.random.default_rng(0)
    samples = [{name: rng.normal(size=3) for name in widths} | {"label": 0} for _ in range(5)]
    torch.set_default_dtype(torch.float64)
    try:
        return model, collate(samples, sequences=())
    finally:
        torch.set_default_dtype(torch.float32)


def test_modalities_of_a_fused_model_share_its_answer():
    model, batch = fused()

    def f(batch):
        with torch.no_grad():
            return model(batch)[:, 1].numpy()

    game = hide_modalities(f, batch, nothing=0.25)
    found, before = shapley(game, 3), f(batch)
    assert found.shape == (3, 5)
    assert np.allclose(found.sum(axis=0), before - 0.25)
    assert np.allclose(found, slow_shapley(game, 3))
    assert all(there.all() for there in batch.present.values())
    # A sum is additive but for the bias of the head: what a modality adds is its own logit.
    alone = game(np.eye(3, dtype=bool))
    order = sorted(batch.present)
    both = game(np.array([[True, True, False]]))[0]
    bias = alone[0] + alone[1] - both
    assert np.allclose(alone.sum(axis=0) - 2 * bias, before), order


def test_deletion_and_insertion_are_slow_loops():
    game, order = random_game(6), np.array([3, 0, 5, 1, 2, 4])
    mask, slow = np.ones(6, bool), []
    for player in [*order, None]:
        slow.append(game(mask[None])[0])
        if player is not None:
            mask[player] = False
    assert np.array_equal(deletion_curve(game, order), slow)
    mask, slow = np.zeros(6, bool), []
    for player in [*order, None]:
        slow.append(game(mask[None])[0])
        if player is not None:
            mask[player] = True
    assert np.array_equal(deletion_curve(game, order[::-1])[::-1], slow)


def test_slopes_are_captums_and_finite_differences():
    net, x, label = network(), torch.rand(4, 1, 8, 8).double(), torch.tensor([0, 2, 1, 0])
    slope = saliency(net, x, label)
    assert torch.allclose(slope, Saliency(net).attribute(x.clone(), target=label, abs=False))
    step = torch.zeros_like(x)
    step[:, 0, 3, 4] = 1e-6
    change = (net(x + step) - net(x - step))[torch.arange(4), label] / 2e-6
    assert torch.allclose(change, slope[:, 0, 3, 4], atol=1e-6)
    assert not x.requires_grad and all(p.grad is None for p in net.parameters())


def test_smooth_grad_is_the_mean_over_noise():
    net, x, label = network(), torch.rand(2, 1, 8, 8).double(), torch.tensor([0, 2])
    ours = smooth_grad(net, x, label, noise=0.3, samples=400, seed=1)
    torch.manual_seed(0)
    options = {"nt_samples": 400, "stdevs": 0.3, "target": label, "abs": False}
    theirs = NoiseTunnel(Saliency(net)).attribute(x.clone(), nt_type="smoothgrad", **options)
    assert (ours - theirs).abs().max() < 0.15 * ours.abs().max()
    assert torch.equal(ours, smooth_grad(net, x, label, 0.3, 400, 1))
    linear = smooth_grad(lambda x: x.flatten(1).sum(1, keepdim=True) * 3, x, 0 * label)
    assert torch.allclose(linear, 3 + 0 * x)


@pytest.mark.parametrize("baseline", [0.0, "noise"])
def test_integrated_gradients_are_captums_and_complete(baseline):
    net, x, label = network(), torch.rand(4, 1, 8, 8).double(), torch.tensor([0, 2, 1, 0])
    if baseline:
        baseline = torch.rand(1, 1, 8, 8).double()
    ours, gap = IntegratedGradients(net).attribute(x, label, baseline)
    theirs, delta = CaptumGradients(net).attribute(
        x, baseline, target=label, n_steps=50, return_convergence_delta=True
    )
    assert torch.allclose(ours, theirs) and torch.allclose(gap, delta)
    more = IntegratedGradients(net, steps=400).attribute(x, label, baseline)[1]
    assert more.abs().max() < gap.abs().max() and more.abs().max() < 1e-3


def test_integrated_gradients_of_a_polynomial_are_exact():
    def f(x):
        return x[:, :1] ** 2 * x[:, 1:]

    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)
    shares, gap = IntegratedGradients(f, steps=2).attribute(x, torch.tensor([0, 0]))
    assert torch.allclose(shares, torch.stack([2 / 3 * x[:, 0] ** 2 * x[:, 1],
                                               1 / 3 * x[:, 0] ** 2 * x[:, 1]], dim=1))  # fmt: skip
    assert gap.abs().max() < 1e-12


def test_grad_cam_is_captums():
    net, x, label = network(), torch.rand(4, 1, 8, 8).double(), torch.tensor([0, 2, 1, 0])
    ours = GradCAM(net, net[2]).attribute(x, label)
    theirs = LayerGradCam(net, net[2]).attribute(x, target=label, relu_attributions=True)
    assert ours.shape == (4, 6, 6) and torch.allclose(ours, theirs[:, 0])
    assert not net[2]._forward_hooks and not ours.requires_grad


def test_rollout_is_the_slow_product_and_rows_add_up():
    torch.manual_seed(0)
    weights = [torch.rand(2, 3, 5, 5).double().softmax(dim=-1) for _ in range(3)]
    rolled = attention_rollout(weights)
    for sample in range(2):
        product = np.eye(5)
        for layer in weights:
            mean = sum(layer[sample, head].numpy() for head in range(3)) / 3
            product = (mean + np.eye(5)) / 2 @ product
        assert np.allclose(rolled[sample], product)
    assert torch.allclose(rolled.sum(dim=-1), torch.ones(2, 5).double())
    assert torch.allclose(attention_rollout([torch.eye(5).expand(1, 2, 5, 5)]), torch.eye(5))


def shown(masks):
    return masks.sum(axis=1).astype(float)


HOSTILE = {
    "no row behind": lambda: hide_columns(shown, np.zeros(3), np.zeros((0, 3))),
    "a hole in the row": lambda: hide_columns(shown, np.array([1, np.nan]), np.zeros((2, 2))),
    "other columns behind": lambda: hide_columns(shown, np.zeros(3), np.zeros((2, 4))),
    "a text that is not cut": lambda: hide_words(shown, "all of it"),
    "no word": lambda: hide_words(shown, []),
    "segments of another picture": lambda: hide_segments(
        shown, np.zeros((1, 4, 4)), np.zeros((4, 5), int), 0
    ),
    "a segment left out": lambda: hide_segments(
        shown, np.zeros((1, 2, 2)), np.array([[0, 2], [2, 2]]), 0
    ),
    "too many orders": lambda: shapley(shown, 17),
    "nobody plays": lambda: shapley(shown, 0),
    "one player": lambda: kernel_shap(shown, 1),
    "one draw": lambda: lime(shown, 3, samples=1),
    "a game without answers": lambda: lime(lambda masks: 1.0, 3),
    "a game of NaN": lambda: kernel_shap(lambda masks: shown(masks) * np.nan, 3),
    "a player twice": lambda: deletion_curve(shown, [0, 0, 2]),
    "a network of one number": lambda: saliency(lambda x: x.sum(1), torch.ones(2, 3), ZEROS),
    "whole numbers": lambda: saliency(lambda x: x, torch.ones(2, 3).long(), ZEROS),
    "no sample": lambda: saliency(lambda x: x, torch.ones(0, 3), ZEROS[:0]),
    "one target for two": lambda: saliency(lambda x: x, torch.ones(2, 3), ZEROS[:1]),
    "a target that is no class": lambda: saliency(lambda x: x, torch.ones(2, 3), ZEROS + 0.5),
    "no step": lambda: IntegratedGradients(lambda x: x, steps=0),
    "no layer": lambda: attention_rollout([]),
    "unequal tokens": lambda: attention_rollout([torch.ones(1, 2, 3, 4)]),
}
ZEROS = torch.zeros(2).long()


@pytest.mark.parametrize("call", HOSTILE.values(), ids=HOSTILE)
def test_hostile_input_gets_a_clear_error(call):
    with pytest.raises(
        ValueError, match=r"got|one|shape|float|player|names|hold|finite|parts|words|16"
    ):
        call()


def test_samples_that_lack_a_modality_are_not_explained():
    _, batch = fused()
    batch.present["text"][2] = False
    with pytest.raises(ValueError, match="text is missing"):
        hide_modalities(len, batch)


def test_a_modality_that_the_fused_model_does_not_know_is_named():
    model, batch = fused()
    parts = ({"smell": part["text"]} for part in (batch.inputs, batch.mask, batch.present))
    game = hide_modalities(lambda b: model(b)[:, 1].detach().numpy(), Batch(*parts, batch.label))
    with pytest.raises(ValueError, match=r"smell.*image"):
        shapley(game, 1)


def test_one_sample_of_a_fused_model_is_explained_as_in_a_batch():
    model, batch = fused()

    def f(batch):
        return model(batch)[:, 1].detach().numpy()

    several = shapley(hide_modalities(f, batch, nothing=0.25), 3)
    parts = ({k: v[:1] for k, v in part.items()} for part in (batch.inputs, batch.mask))
    alone = Batch(*parts, {k: v[:1] for k, v in batch.present.items()}, batch.label[:1])
    assert np.allclose(shapley(hide_modalities(f, alone, nothing=0.25), 3), several[:, :1])


def test_one_row_of_a_pipeline_is_enough_behind_another():
    model, X = pipeline()
    found = shapley(hide_columns(model.predict_proba, X[0], X[1:2]), 5)
    before, after = model.predict_proba(X[[1, 0]])
    assert np.allclose(found.sum(axis=0), after - before)
    same = shapley(hide_columns(model.predict_proba, X[0], X[:1]), 5)
    assert np.allclose(same, 0), "a row against itself has nothing to explain"
