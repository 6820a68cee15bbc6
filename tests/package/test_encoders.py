"""Convolution, pooling and normalisation against slow loops and torch; the models' promises."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmlearn import encoders
from mmlearn.data import Batch, collate
from mmlearn.encoders import ConvNet, Dense, MultimodalModel, Tokens, mean_of_tokens, mlp
from tests.package.versions import fake_gpu

SHAPES = settings(max_examples=40, deadline=None)


def normal(*shape, seed=0, **kwargs):
    rng = np.random.default_rng([seed, *shape])
    return torch.tensor(rng.normal(size=shape), **kwargs)


def slow_conv2d(x, weight, stride, padding):
    """One pixel, one kernel, one product at a time."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    outputs, _, k, l = weight.shape  # noqa: E741
    high, wide = (x.shape[2] - k) // stride + 1, (x.shape[3] - l) // stride + 1
    y = np.zeros((len(x), outputs, high, wide))
    for b, o, i, j in np.ndindex(y.shape):
        for c, p, q in np.ndindex(weight.shape[1:]):
            y[b, o, i, j] += x[b, c, i * stride + p, j * stride + q] * weight[o, c, p, q]
    return y


@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(3, 7), st.integers(3, 7),
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.booleans(),
)  # fmt: skip
@SHAPES
def test_conv2d_is_torchs(b, c, o, high, wide, k, l, stride, padding, with_bias):  # noqa: E741
    x, weight = normal(b, c, high, wide), normal(o, c, k, l)
    bias = normal(o) if with_bias else None
    theirs = F.conv2d(x, weight, bias, stride, padding)
    torch.testing.assert_close(encoders.conv2d(x, weight, bias, stride, padding), theirs)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (1, 1), (3, 2)])
def test_conv2d_is_the_slow_loop(stride, padding):
    x, weight = normal(2, 2, 5, 6), normal(3, 2, 2, 3)
    ours = encoders.conv2d(x, weight, stride=stride, padding=padding)
    assert ours.numpy() == pytest.approx(slow_conv2d(x.numpy(), weight.numpy(), stride, padding))


@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(3, 8), st.integers(3, 8),
    st.integers(1, 3), st.one_of(st.none(), st.integers(1, 3)), st.booleans(),
)  # fmt: skip
@SHAPES
def test_max_pool2d_is_torchs(b, c, high, wide, size, stride, padded):
    x, padding = normal(b, c, high, wide), size // 2 if padded else 0
    theirs = F.max_pool2d(x, size, stride, padding)
    torch.testing.assert_close(encoders.max_pool2d(x, size, stride, padding), theirs)


@given(st.integers(2, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
@SHAPES
def test_batch_norm_is_torchs(b, c, high, wide):
    layer = nn.BatchNorm2d(c, momentum=0.3, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(normal(c, seed=1))
        layer.bias.copy_(normal(c, seed=2))
    mean, var = torch.zeros(c, dtype=torch.float64), torch.ones(c, dtype=torch.float64)
    for training in (True, True, False):
        x = normal(b, c, high, wide, seed=3)
        ours = encoders.batch_norm(x, mean, var, layer.weight, layer.bias, training, 0.3)
        torch.testing.assert_close(ours, layer.train(training)(x))
        torch.testing.assert_close(mean, layer.running_mean)
        torch.testing.assert_close(var, layer.running_var)


def test_gradients_are_those_of_differences():
    x = normal(2, 2, 5, 4, requires_grad=True)
    weight, bias = normal(3, 2, 2, 3, requires_grad=True), normal(3, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *a: encoders.conv2d(*a, 2, 1), (x, weight, bias))
    assert torch.autograd.gradcheck(lambda x: encoders.max_pool2d(x, 3, 1, 1), x)
    scale, shift = normal(2, requires_grad=True), normal(2, requires_grad=True)

    def norm(x, scale, shift):
        mean, var = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
        return encoders.batch_norm(x, mean, var, scale, shift, True)

    assert torch.autograd.gradcheck(norm, (x, scale, shift))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_no_number_stays_where_it_is(value):
    x, weight = normal(2, 1, 4, 4), normal(1, 1, 3, 3)
    x[0, 0, 1, 1] = value
    torch.testing.assert_close(encoders.conv2d(x, weight), F.conv2d(x, weight), equal_nan=True)
    ours, theirs = encoders.max_pool2d(x, 2), F.max_pool2d(x, 2)
    torch.testing.assert_close(ours, theirs, equal_nan=True)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=3))
@SHAPES
def test_receptive_field_is_where_the_gradient_is(layers):
    side = encoders.receptive_field(layers)
    x = torch.ones(1, 1, side + 8, side + 8, dtype=torch.float64, requires_grad=True)
    y = x
    for size, stride in layers:
        y = F.conv2d(y, torch.ones(1, 1, size, size, dtype=torch.float64), stride=stride)
    y[0, 0, 0, 0].backward()
    rows, columns = x.grad[0, 0].nonzero().T
    assert rows.min() == columns.min() == 0  # it has gaps where a stride is larger than a size
    assert rows.max() == columns.max() == side - 1


def two_encoders(**kwargs):
    """A model of two modalities, images in grey and in colour."""
    pair = {"image": ConvNet(1, (4, 6), **kwargs), "table": ConvNet(3, (6,), **kwargs)}
    return MultimodalModel(pair, mean_of_tokens, nn.Linear(6, 3))


def samples(n=5):
    rng = np.random.default_rng(0)
    return [
        {"image": rng.normal(size=(8, 8)), "table": rng.normal(size=(3, 4, 4)), "label": i % 3}
        for i in range(n)
    ]


@pytest.mark.parametrize(("channels", "widths"), [(1, (4,)), (3, (4, 6)), (2, (3, 5, 7))])
class TestConvNet:
    def test_parameters_are_as_many_as_the_closed_form(self, channels, widths):
        before = (channels, *widths)
        expected = sum(9 * a * b + 2 * b for a, b in zip(before, widths, strict=False))
        assert sum(p.numel() for p in ConvNet(channels, widths).parameters()) == expected

    def test_is_the_layers_by_hand(self, channels, widths):
        net = ConvNet(channels, widths).double()
        x = normal(3, channels, 16, 9)
        y = x
        for conv, norm, _, _ in zip(*[iter(net.layers)] * 4, strict=True):
            y = encoders.conv2d(y, conv.weight, padding=1)
            mean, var = norm.running_mean.clone(), norm.running_var.clone()
            y = encoders.batch_norm(y, mean, var, norm.weight, norm.bias, True)
            y = encoders.max_pool2d(y.relu(), 2)
        values, mask = net(x)
        assert values.shape == (3, 1, net.width) and mask.tolist() == [[True]] * 3
        torch.testing.assert_close(values[:, 0], y.amax(dim=(2, 3)))

    def test_every_parameter_moves_in_one_step(self, channels, widths):
        torch.manual_seed(0)
        net = ConvNet(channels, widths)
        before = [p.detach().clone() for p in net.parameters()]
        loss = net(torch.randn(4, channels, 16, 16)).values.square().sum()
        loss.backward()
        assert all(p.grad.abs().sum() > 0 for p in net.parameters())
        torch.optim.SGD(net.parameters(), lr=0.1).step()
        assert all((p != q).any() for p, q in zip(net.parameters(), before, strict=True))

    def test_state_goes_round(self, channels, widths):
        net, other = ConvNet(channels, widths), ConvNet(channels, widths)
        x = torch.randn(2, channels, 8, 8)
        net(x)  # so that its running statistics are not the first ones
        other.load_state_dict(net.state_dict())
        assert (net.eval()(x).values == other.eval()(x).values).all()

    def test_batch_of_one_is_its_row_of_the_batch(self, channels, widths):
        net, x = ConvNet(channels, widths).double().eval(), normal(3, channels, 8, 8)
        assert net(x[:1]).values.shape == (1, 1, net.width)
        torch.testing.assert_close(net(x[:1]).values, net(x).values[:1])
        assert net.train()(x[:1]).values.isfinite().all()

    def test_bad_sample_spoils_no_other(self, channels, widths):
        net, x = ConvNet(channels, widths).double().eval(), normal(3, channels, 8, 8)
        spoilt = x.clone()
        spoilt[1, 0, 0, 0] = torch.nan
        values = net(spoilt).values
        torch.testing.assert_close(values[[0, 2]], net(x).values[[0, 2]])
        assert values[1].isnan().any()

    def test_gradients_are_those_of_differences(self, channels, widths):
        torch.manual_seed(0)
        net = ConvNet(channels, widths).double().eval()
        x = normal(1, channels, 8, 8, requires_grad=True)
        assert torch.autograd.gradcheck(lambda x: net(x).values, x)


def test_convnet_takes_images_without_channels_and_a_mask():
    net, x = ConvNet(1, (4,)).eval(), torch.randn(2, 8, 8)
    mask = torch.tensor([[True], [False]])
    values, given_mask = net(x, mask)
    assert (values == net(x[:, None]).values).all() and (given_mask == mask).all()


@pytest.mark.parametrize(("width", "hidden"), [(None, None), (2, None), (2, 5)])
class TestDense:
    def test_is_the_layers_by_hand_for_vectors_and_frames(self, width, hidden):
        net, x, mask = Dense(3, width, hidden).double(), normal(2, 4, 3), torch.ones(2, 4) > 0
        layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
        y = x
        for i, layer in enumerate(layers):
            y = (y.relu() if i else y) @ layer.weight.T + layer.bias
        values, given_mask = net(x, mask)
        torch.testing.assert_close(values, y)
        torch.testing.assert_close(net(x[:, 0], mask[:, :1]).values, y[:, :1])
        assert given_mask is mask and net.width == (width or 3) == values.shape[2]

    def test_parameters_are_as_many_as_the_closed_form_and_all_move(self, width, hidden):
        torch.manual_seed(0)
        net = Dense(3, width, hidden)
        counts = {None: 0, 2: (3 + 1) * 2} if hidden is None else {2: (3 + 1) * 5 + (5 + 1) * 2}
        assert sum(p.numel() for p in net.parameters()) == counts[width]
        if width:
            before = [p.detach().clone() for p in net.parameters()]
            net(torch.randn(4, 3), torch.ones(4, 1) > 0).values.square().sum().backward()
            torch.optim.SGD(net.parameters(), lr=0.1).step()
            assert all((p != q).any() for p, q in zip(net.parameters(), before, strict=True))

    def test_frames_and_samples_know_nothing_of_each_other(self, width, hidden):
        net, x, mask = Dense(3, width, hidden).double(), normal(2, 2, 3), torch.ones(2, 2) > 0
        spoilt = x.clone()
        spoilt[0, 1] = torch.nan
        values = net(spoilt, mask).values
        assert values[0, 1].isnan().all() and values[1].equal(net(x, mask).values[1])
        torch.testing.assert_close(values[0, :1], net(x[:1, :1], mask[:1, :1]).values[0])


class TestMultimodalModel:
    def test_is_encoders_fusion_head(self):
        model, batch = two_encoders().eval(), collate(samples())
        image, table = (model.encoders[n](batch.inputs[n]).values for n in ("image", "table"))
        expected = model.head((image + table)[:, 0] / 2)
        torch.testing.assert_close(model(batch), expected)

    def test_missing_modality_has_no_part(self):
        model, whole = two_encoders().eval(), samples(3)
        whole[1]["image"] = None
        outputs = model(collate(whole))
        table = model.encoders["table"](torch.tensor(whole[1]["table"]).float()[None]).values
        torch.testing.assert_close(outputs[1], model.head(table[0, 0]))
        without = [{"table": s["table"], "label": 0} for s in whole]
        assert model(collate(without)).shape == (3, 3)

    def test_state_goes_round_and_every_parameter_moves(self):
        torch.manual_seed(0)
        model, batch = two_encoders(), collate(samples())
        before = {k: p.detach().clone() for k, p in model.named_parameters()}
        F.cross_entropy(model(batch), batch.label).backward()
        torch.optim.SGD(model.parameters(), lr=0.1).step()
        assert [k for k, p in model.named_parameters() if (p == before[k]).all()] == []
        other = two_encoders()
        other.load_state_dict(model.state_dict())
        assert (model.eval()(batch) == other.eval()(batch)).all()

    def test_batch_without_any_of_its_modalities(self):
        batch = collate([{"sound": [1.0], "label": 0}])
        with pytest.raises(ValueError, match=r"\['sound'\], but none of \['image', 'table'\]"):
            two_encoders()(batch)


def slow_attention(Q, K, V, mask):
    """One query, one key at a time."""
    values, weights = np.zeros((len(Q), V.shape[1])), np.zeros((len(Q), len(K)))
    for i, q in enumerate(Q):
        scores = {j: float(q @ k) / len(q) ** 0.5 for j, k in enumerate(K) if mask[i, j]}
        total = sum(np.exp(z) for z in scores.values())
        for j, z in scores.items():
            weights[i, j] = np.exp(z) / total
            values[i] += weights[i, j] * V[j].numpy()
    return values, weights


class TestAttention:
    @given(
        st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4),
        st.integers(1, 3), st.integers(0, 99),
    )  # fmt: skip
    @SHAPES
    def test_is_the_slow_loop(self, b, queries, keys, d, e, seed):
        Q, K, V = normal(b, queries, d), normal(b, keys, d, seed=1), normal(b, keys, e, seed=2)
        mask = torch.tensor(np.random.default_rng(seed).random((b, queries, keys)) < 0.6)
        values, weights = encoders.attention(Q, K, V, mask)
        for i in range(b):
            slow = slow_attention(Q[i], K[i], V[i], mask[i])
            assert values[i].numpy() == pytest.approx(slow[0])
            assert weights[i].numpy() == pytest.approx(slow[1])

    def test_query_that_may_look_nowhere_gets_zeros_and_sane_gradients(self):
        Q, K, V = (normal(2, 3, seed=s, requires_grad=True) for s in range(3))
        mask = torch.tensor([[True, False], [False, False]])
        values, weights = encoders.attention(Q, K, V, mask)
        assert (values[1] == 0).all() and (weights[1] == 0).all()
        values.sum().backward()
        assert all(x.grad.isfinite().all() for x in (Q, K, V))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_masks_in_any_precision_and_with_large_scores(self, dtype):
        Q, K = torch.full((1, 4), 60.0, dtype=dtype), torch.ones(2, 4, dtype=dtype)
        V, mask = torch.tensor([[1.0], [5.0]], dtype=dtype), torch.tensor([[False, True]])
        assert encoders.attention(-Q, K, V, mask)[0].item() == 5
        assert encoders.attention(Q, K, V, mask)[0].item() == 5

    def test_gradients_are_those_of_differences(self):
        parts = [normal(2, n, d, seed=n, requires_grad=True) for n, d in ((2, 4), (3, 4), (3, 2))]
        mask = torch.tensor([[True, False, True], [True, True, True]])
        assert torch.autograd.gradcheck(lambda *x: encoders.attention(*x, mask), parts)


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 6))
@SHAPES
def test_rotary_scores_depend_on_distance_alone(length, pairs, shift):
    q, k = normal(2 * pairs), normal(2 * pairs, seed=1)
    turned = [encoders.rotary(x.expand(length + shift, -1)) for x in (q, k)]
    scores = turned[0] @ turned[1].mT
    torch.testing.assert_close(scores[shift:, shift:], scores[:length, :length])
    torch.testing.assert_close(turned[0].norm(dim=1), q.norm().expand(length + shift))


def test_sinusoidal_is_the_slow_loop():
    table = encoders.sinusoidal(7, 6)
    for t, i in np.ndindex(7, 3):
        angle = t / 10_000 ** (2 * i / 6)
        assert table[t, 2 * i : 2 * i + 2].tolist() == pytest.approx([np.sin(angle), np.cos(angle)])


def test_causal_lets_nobody_look_ahead():
    assert encoders.causal(4).tolist() == [[j <= i for j in range(4)] for i in range(4)]


class TestMultiHeadAttention:
    def test_is_torchs_on_two_sequences_of_unequal_length(self):
        torch.manual_seed(0)
        theirs = nn.MultiheadAttention(6, 3, batch_first=True, dtype=torch.float64)
        nn.init.normal_(theirs.in_proj_bias)
        ours = encoders.MultiHeadAttention(6, 3).double()
        parts = zip(theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True)
        for layer, (W, b) in zip((ours.query, ours.key, ours.value), parts, strict=True):
            layer.load_state_dict({"weight": W, "bias": b}, strict=layer.bias is not None)
        ours.out.load_state_dict(theirs.out_proj.state_dict())
        queries, keys, there = normal(2, 3, 6), normal(2, 5, 6), torch.ones(2, 5) > 0
        there[1, 3:] = False
        found, weights = ours(queries, keys, there[:, None])
        answer, shares = theirs(queries, keys, keys, ~there, average_attn_weights=False)
        torch.testing.assert_close(found, answer)
        torch.testing.assert_close(weights, shares)

    def test_sample_without_keys_gets_the_bias_alone(self):
        layer, x = encoders.MultiHeadAttention(4, 2), torch.randn(2, 3, 4)
        found, weights = layer(x, x, torch.tensor([[[True]], [[False]]]))
        torch.testing.assert_close(found[1], layer.out.bias.expand(3, 4))
        assert (weights[1] == 0).all() and found.isfinite().all()


def encoder_of(kind, **options):
    """An encoder of one kind of input, and a batch for it: (B, T) tokens, frames or images."""
    torch.manual_seed(0)
    embed = {
        "numbers": nn.Embedding(9, 8),
        "frames": nn.Linear(3, 8),
        "images": encoders.PatchEmbedding(2, 3, 8),
    }[kind]
    net = encoders.TransformerEncoder(embed, 8, 2, 2, **{"longest": 6} | options).double()
    x = {"numbers": torch.randint(9, (3, 6)), "frames": normal(3, 6, 3)}
    x["images"] = normal(3, 3, 4, 6)
    return net, x[kind]


@pytest.mark.parametrize("kind", ["numbers", "frames", "images"])
@pytest.mark.parametrize("positions", [None, "sinusoidal", "learned", "rotary"])
@pytest.mark.parametrize(("causal", "pre_norm"), [(False, True), (True, False)])
class TestTransformerEncoder:
    @pytest.fixture
    def both(self, kind, positions, causal, pre_norm):
        return encoder_of(kind, positions=positions, causal=causal, pre_norm=pre_norm)

    def test_parameters_are_as_many_as_the_closed_form(self, both, positions, pre_norm):
        net, D = both[0], 8
        block = 4 * D * D + 3 * D + 8 * D * D + 5 * D + 4 * D
        expected = 2 * block + 2 * D * pre_norm + 6 * D * (positions == "learned")
        expected += sum(p.numel() for p in net.embed.parameters())
        assert sum(p.numel() for p in net.parameters()) == expected

    def test_every_parameter_moves_in_one_step(self, both):
        net, x = both
        before = {k: p.detach().clone() for k, p in net.named_parameters()}
        values = net(x, torch.ones(3, 1, dtype=torch.bool)).values
        (values * normal(*values.shape, seed=5)).sum().backward()
        torch.optim.SGD(net.parameters(), lr=0.1).step()
        assert [k for k, p in net.named_parameters() if (p == before[k]).all()] == []

    def test_state_goes_round(self, both, kind, positions, causal, pre_norm):
        net, x = both
        other, _ = encoder_of(kind, positions=positions, causal=causal, pre_norm=pre_norm)
        nn.init.normal_(other.blocks[0].think[0].weight)
        other.load_state_dict(net.state_dict())
        assert (other(x).values == net(x).values).all()

    def test_batch_of_one_is_its_row_of_the_batch(self, both):
        net, x = both
        torch.testing.assert_close(net(x[:1]).values, net(x).values[:1])

    def test_knows_of_order_exactly_if_told(self, both, kind, positions, causal):
        net, x = both
        if kind == "images":
            return
        turned = net(x.flip(1)).values.mean(dim=1)
        same = torch.allclose(turned, net(x).values.mean(dim=1), atol=1e-6)
        assert same == (positions is None and not causal)


@pytest.mark.parametrize("positions", [None, "sinusoidal", "learned", "rotary"])
@pytest.mark.parametrize("causal", [False, True])
class TestPadding:
    def test_changes_nothing_even_where_it_is_nan(self, positions, causal):
        net, x = encoder_of("frames", positions=positions, causal=causal)
        mask = torch.arange(6) < torch.tensor([[4], [6], [1]])
        filled = x.where(mask[..., None], torch.nan)
        values, given_mask = net(filled, mask)
        assert (given_mask == mask).all() and values.isfinite().all()
        torch.testing.assert_close(values[:1, :4], net(x[:1, :4]).values)
        torch.testing.assert_close(values[2:, :1], net(x[2:, :1]).values)

    def test_missing_sample_is_finite_and_so_are_its_gradients(self, positions, causal):
        net, x = encoder_of("frames", positions=positions, causal=causal)
        mask = torch.tensor([[True], [False], [True]])
        net(x, mask).values.square().sum().backward()
        assert all(p.grad.isfinite().all() for p in net.parameters())


def test_causal_encoder_cannot_look_ahead():
    net, x = encoder_of("frames", causal=True, positions="rotary")
    later = x.clone()
    later[:, 3:] += 1
    torch.testing.assert_close(net(later).values[:, :3], net(x).values[:, :3])


def resampler_of(count=3):
    """A resampler, tokens of three samples, and which of them are there."""
    torch.manual_seed(0)
    net = encoders.Resampler(5, 8, count, heads=2).double()
    return net, normal(3, 6, 5), torch.arange(6) < torch.tensor([[4], [6], [1]])


class TestResampler:
    @pytest.mark.parametrize("count", [1, 3, 8])
    def test_gives_so_many_tokens_and_learns_as_many_numbers_as_the_closed_form(self, count):
        net, x, mask = resampler_of(count)
        values, there = net(x, mask)
        assert values.shape == (3, count, 8) and there.shape == (3, count) and there.all()
        expected = 6 * 8 + count * 8 + 4 * 8 * 8 + 3 * 8 + 2 * 8
        assert sum(p.numel() for p in net.parameters()) == expected

    def test_every_parameter_moves_in_one_step(self):
        net, x, mask = resampler_of()
        before = {k: p.detach().clone() for k, p in net.named_parameters()}
        values = net(x, mask).values
        (values * normal(*values.shape, seed=5)).sum().backward()
        torch.optim.SGD(net.parameters(), lr=0.1).step()
        assert [k for k, p in net.named_parameters() if (p == before[k]).all()] == []

    def test_state_goes_round_and_batch_of_one_is_its_row(self):
        net, x, mask = resampler_of()
        other = encoders.Resampler(5, 8, 3, heads=2).double()
        other.load_state_dict(net.state_dict())
        assert (other(x, mask).values == net(x, mask).values).all()
        torch.testing.assert_close(net(x[2:], mask[2:]).values, net(x, mask).values[2:])

    def test_padding_and_order_change_nothing(self):
        net, x, mask = resampler_of()
        filled, expected = x.where(mask[..., None], torch.nan), net(x, mask).values
        torch.testing.assert_close(net(filled, mask).values, expected)
        torch.testing.assert_close(net(x[:1, :4], mask[:1, :4]).values, expected[:1])
        torch.testing.assert_close(net(x.flip(1), mask.flip(1)).values, expected)

    def test_missing_sample_has_no_token_and_sane_gradients(self):
        net, x, mask = resampler_of()
        values, there = net(x, mask & torch.tensor([[True], [False], [True]]))
        assert there.all(dim=1).tolist() == [True, False, True] and not there[1].any()
        values.square().sum().backward()
        assert values.isfinite().all()
        assert all(p.grad.isfinite().all() for p in net.parameters())

    def test_gradients_are_those_of_differences(self):
        net, x, mask = resampler_of()
        assert torch.autograd.gradcheck(lambda x: net(x, mask).values, x.requires_grad_())


@pytest.mark.parametrize("pre_norm", [True, False])
def test_block_is_torchs(pre_norm):
    torch.manual_seed(0)
    options = {"activation": "gelu", "batch_first": True, "norm_first": pre_norm}
    theirs = nn.TransformerEncoderLayer(6, 2, 24, 0.0, dtype=torch.float64, **options)
    ours = encoders.TransformerBlock(6, 2, pre_norm).double()
    names = {"self_attn.out_proj": "attend.out", "linear1": "think.0", "linear2": "think.2"}
    state = {}
    for key, value in theirs.state_dict().items():
        for name, other in names.items():
            key = key.replace(name, other)
        state[key] = value
    for kind in ("weight", "bias"):
        parts = state.pop(f"self_attn.in_proj_{kind}").chunk(3)
        names = zip(("query", "key", "value"), parts, strict=True)
        state |= {f"attend.{name}.{kind}": part for name, part in names}
    del state["attend.key.bias"]
    ours.load_state_dict(state)
    x, there = normal(2, 5, 6), torch.arange(5) < torch.tensor([[3], [5]])
    theirs_values = theirs(x, src_key_padding_mask=~there)
    torch.testing.assert_close(ours(x, there[:, None]), theirs_values)


def test_encoder_gradients_are_those_of_differences():
    net, x = encoder_of("frames", positions="rotary", causal=True)
    mask = torch.arange(6) < torch.tensor([[4], [6], [1]])
    assert torch.autograd.gradcheck(lambda x: net(x, mask).values, x.requires_grad_())


@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
@SHAPES
def test_patches_are_the_slow_loop(channels, size, rows, columns):
    x = normal(2, channels, rows * size, columns * size)
    slow = [
        x[:, :, i * size : (i + 1) * size, j * size : (j + 1) * size].flatten(1)
        for i, j in np.ndindex(rows, columns)
    ]
    assert (encoders.patches(x, size) == torch.stack(slow, dim=1)).all()


def slow_byte_pairs(words, merges):
    """All pairs counted anew each time, all words rewritten."""
    spelt, pairs = {word: list(word) for word in words}, []
    while len(pairs) < merges:
        count = {}
        for word, parts in spelt.items():
            for pair in itertools.pairwise(parts):
                count[pair] = count.get(pair, 0) + words[word]
        if not count:
            return pairs, spelt
        pairs.append(min(count, key=lambda pair: (-count[pair], pair)))
        for word, parts in spelt.items():
            done, i = [], 0
            while i < len(parts):
                joins = tuple(parts[i : i + 2]) == pairs[-1]
                done.append("".join(parts[i : i + 2]) if joins else parts[i])
                i += 1 + joins
            spelt[word] = done
    return pairs, spelt


@given(st.dictionaries(st.text("abc", min_size=1, max_size=9), st.integers(1, 4), min_size=1))
@SHAPES
def test_byte_pairs_are_the_slow_ones(words):
    pairs, spelt = slow_byte_pairs(words, 12)
    assert encoders.byte_pairs(words, 12) == pairs
    assert {word: encoders.subwords(word, pairs) for word in words} == spelt


class TestMeanOfTokens:
    def test_is_the_slow_mean(self):
        values, mask = normal(3, 4, 2), torch.tensor(np.tri(3, 4, dtype=bool))
        other = Tokens(normal(3, 1, 2), torch.ones(3, 1, dtype=torch.bool))
        present = {"a": torch.tensor([True, False, True]), "b": torch.tensor([True, True, False])}
        ours = mean_of_tokens({"a": Tokens(values, mask), "b": other}, present)
        for i in range(3):
            rows = [*values[i, : i + 1]] * present["a"][i] + [*other.values[i]] * present["b"][i]
            torch.testing.assert_close(ours[i], torch.stack(rows).mean(dim=0))

    def test_padding_changes_nothing_even_where_it_is_nan(self):
        values, mask = normal(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)
        present = {"a": torch.ones(2, dtype=torch.bool)}
        padded = F.pad(values, (0, 0, 0, 2), value=torch.nan)
        longer = mean_of_tokens({"a": Tokens(padded, F.pad(mask, (0, 2)))}, present)
        torch.testing.assert_close(longer, mean_of_tokens({"a": Tokens(values, mask)}, present))

    def test_sample_without_any_token_gets_zeros(self):
        nothing = Tokens(torch.ones(1, 2, 3), torch.ones(1, 2, dtype=torch.bool))
        present = {"a": torch.zeros(1, dtype=torch.bool)}
        assert (mean_of_tokens({"a": nothing}, present) == 0).all()

    def test_unequal_widths(self):
        mask = torch.ones(1, 1, dtype=torch.bool)
        pair = {n: Tokens(torch.ones(1, 1, d), mask) for n, d in (("a", 2), ("b", 3))}
        with pytest.raises(ValueError, match=r"of one width; got \{'a': 2, 'b': 3\}"):
            mean_of_tokens(pair, dict.fromkeys(pair, mask[:, 0]))


X, W, C = torch.ones(2, 3, 5, 5), torch.ones(4, 3, 3, 3), torch.ones(3)
HEADS, ROWS = encoders.MultiHeadAttention(6, 2), torch.ones(2, 3, 6)
LEARNED = encoders.TransformerEncoder(nn.Identity(), 6, 2, 1, "learned", longest=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encoders.conv2d(X[0], W), r"x has shape \(B, C, H, W\), got \(3, 5, 5\)"),
        (lambda: encoders.conv2d(X[:0], W), r"none of them 0, got \(0, 3, 5, 5\)"),
        (lambda: encoders.conv2d(X, W[0]), r"weight has shape \(O, 3, K, L\), got \(3, 3, 3\)"),
        (
            lambda: encoders.conv2d(X[:, :2], W),
            r"weight has shape \(O, 2, K, L\), got \(4, 3, 3, 3\)",
        ),
        (lambda: encoders.conv2d(X[..., :2], W), "L=3, W=2; else no kernel of weight fits into x"),
        (lambda: encoders.conv2d(X, W, torch.ones(3)), r"bias has shape \(4,\), got \(3,\)"),
        (lambda: encoders.conv2d(X, W, stride=0), "1 or more"),
        (lambda: encoders.max_pool2d(X, 0), "1 or more"),
        (lambda: encoders.max_pool2d(X, 2, stride=0), "1 or more"),
        (lambda: encoders.max_pool2d(X, 6), "size=6, H=5, W=5, padding=0; else no window fits"),
        (
            lambda: encoders.max_pool2d(X, 3, padding=2),
            "padding <= size / 2 has to hold, got padding=2, size=3",
        ),
        (
            lambda: encoders.batch_norm(X, C, C, C, C[:2], True),
            r"bias has shape \(3,\), got \(2,\)",
        ),
        (lambda: encoders.batch_norm(X[:1, :, :1, :1], C, C, C, C, True), "no variance"),
        (lambda: mlp(3, 0), "after is 1 or more, got 0"),
        (lambda: mlp(3, 2, 0), "hidden is 1 or more, got 0"),
        (lambda: Dense(3, hidden=5), "got width=None, hidden=5; hidden needs a width"),
        (lambda: Dense(3, 0), "after is 1 or more, got 0"),
        (lambda: Dense(3)(C, C > 0), r"\(B, T, 3\), got \(3,\)"),
        (lambda: Dense(3)(X[0, :, 0], torch.ones(3, 1) > 0), r"x has shape \(B, 3\).*got \(3, 5\)"),
        (lambda: Dense(3)(C[None], C > 0), r"mask has shape \(1, 1\), got \(3,\)"),
        (lambda: encoders.receptive_field([(3, 0)]), r"stride >= 1 .* got layers=\[\(3, 0\)\]"),
        (lambda: encoders.attention(X, X[..., :2], X), r"got .*\(2, 3, 5, 2\)"),
        (
            lambda: encoders.attention(X, X[..., :0, :], X[..., :0, :]),
            r"K has shape \(\.\.\., Tk, 5\), none of them 0, got \(2, 3, 0, 5\)",
        ),
        (lambda: encoders.attention(X, X, X, torch.ones(4, 5) > 0), r"broadcasts.*\(4, 5\)"),
        (lambda: encoders.sinusoidal(3, 5), "width is even, 2 or more, got 5"),
        (lambda: encoders.rotary(X), r"\(\.\.\., T, 2d\), got \(2, 3, 5, 5\)"),
        (
            lambda: encoders.MultiHeadAttention(6, 4),
            "width % heads == 0 has to hold, got width=6, heads=4",
        ),
        (
            lambda: encoders.MultiHeadAttention(6, 2, True),
            "% 2 == 0 has to hold, got turned=True, width=6, heads=2; rotary",
        ),
        (
            lambda: encoders.MultiHeadAttention(6, 2)(C, C),
            r"queries has shape \(B, Tq, 6\), got \(3,\)",
        ),
        (lambda: HEADS(ROWS, ROWS[:1]), r"keys has shape \(2, Tk, 6\), got \(1, 3, 6\)"),
        (lambda: HEADS(ROWS, ROWS, ROWS[..., 0] > 0), r"mask\[:, None\]"),
        (lambda: HEADS(ROWS, ROWS, torch.ones(2, 3, 4) > 0), r"\(2, 3, 3\).*got \(2, 3, 4\)"),
        (
            lambda: encoders.TransformerEncoder(nn.Identity(), 6, 2, 1, "fixed"),
            "positions is one of sinusoidal, .*None, got 'fixed'",
        ),
        (lambda: LEARNED(ROWS, torch.ones(2, 3) > 0), "3 tokens, and positions for 2"),
        (lambda: LEARNED(ROWS[:0]), r"none of them 0, got \(0, 3, 6\)"),
        (lambda: LEARNED(ROWS, torch.ones(3) > 0), r"mask has shape \(2, T\), got \(3,\)"),
        (lambda: encoders.Resampler(6, 8, 0), "count is 1 or more, got 0"),
        (lambda: encoders.Resampler(6, 8, 2, 3), "width=8.*heads=3|heads=3.*width=8"),
        (lambda: encoders.Resampler(5, 8)(ROWS, ROWS[..., 0] > 0), "x has shape"),
        (
            lambda: encoders.patches(X, 2),
            "H % size == W % size == 0 has to hold, got H=5, size=2, W=5",
        ),
        (lambda: encoders.patches(C, 2), r"x has shape \(\.\.\., H, W\), got \(3,\)"),
        (lambda: encoders.byte_pairs({}, 3), r"len\(words\) >= 1 has to hold"),
        (lambda: encoders.byte_pairs({"a b": 1}, 3), "no space in it, got 'a b'"),
        (lambda: encoders.subwords("", []), "a letter at least"),
        (lambda: ConvNet(1, (4,))(torch.ones(8)), r"x has shape \(\.\.\., H, W\), got \(8,\)"),
        (lambda: ConvNet(1, (4,))(torch.ones(0, 8, 8)), "none of them 0"),
        (lambda: ConvNet(1, (4,))(X), r"x has shape \(B, 1, H, W\), got \(2, 3, 5, 5\)"),
        (
            lambda: ConvNet(3, (4, 4, 4))(X),
            r"min\(H, W\) >= least has to hold, got H=5, W=5, least=8",
        ),
        (lambda: ConvNet(3, (4,))(X, torch.ones(2, dtype=torch.bool)), r"\(2, 1\), got \(2,\)"),
    ],
)
def test_wrong_shapes(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_whole_numbers_are_no_images():
    with pytest.raises(TypeError, match=r"x\.float\(\) / 255"):
        ConvNet(1, (4,))(torch.ones(2, 8, 8, dtype=torch.uint8))


def test_token_numbers_are_no_vectors():
    with pytest.raises(TypeError, match="embed token numbers first"):
        Dense(3)(torch.ones(1, 3, dtype=torch.int64), torch.ones(1, 1) > 0)


def test_masks_are_of_booleans():
    with pytest.raises(TypeError, match=r"booleans.*float32"):
        encoders.attention(ROWS, ROWS, ROWS, torch.ones(3, 3))


@fake_gpu
def test_all_of_it_runs_on_a_gpu(monkeypatch):
    # Tensors without memory have no layout in it that could be changed.
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, memory_format: self)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
        x, channels = torch.ones(2, 3, 8, 8), torch.ones(3)
        y = encoders.conv2d(x, torch.ones(3, 3, 3, 3), channels, padding=1)
        y = encoders.batch_norm(y, channels.clone(), channels.clone(), channels, channels, True)
        assert encoders.max_pool2d(y, 2).device.type == "cuda"
        assert {t.device.type for t in ConvNet(3, (4,))(x)} == {"cuda"}
        assert {t.device.type for t in Dense(3, 2, 4)(x[:, 0, :3, :3], x[:, 0, 0, :3] > 0)} == {
            "cuda"
        }
        for positions in ("sinusoidal", "learned", "rotary"):
            embed = encoders.PatchEmbedding(4, 3, 8)
            net = encoders.TransformerEncoder(embed, 8, 2, 1, positions, causal=True)
            assert {t.device.type for t in net(x)} == {"cuda"}
        few = encoders.Resampler(8, 4)(x[:, 0], x[:, 0, :, 0] > 0)
        assert {t.device.type for t in few} == {"cuda"}
        there = {"image": torch.ones(2, 1, dtype=torch.bool)}
        there |= {"table": torch.ones(2, 1, dtype=torch.bool)}
        present = {name: torch.ones(2, dtype=torch.bool) for name in there}
        inputs = {"image": torch.ones(2, 8, 8), "table": x}
        batch = Batch(inputs, there, present, torch.zeros(2, dtype=torch.int64))
        assert F.cross_entropy(two_encoders()(batch), batch.label).device.type == "cuda"
