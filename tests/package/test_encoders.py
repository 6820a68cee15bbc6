"""Convolution, pooling and normalisation against slow loops and torch; the models' promises."""

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
from mmlearn.encoders import ConvNet, MultimodalModel, Tokens, mean_of_tokens

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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encoders.conv2d(X[0], W), r"\(B, C, H, W\).*got \(3, 5, 5\)"),
        (lambda: encoders.conv2d(X[:0], W), r"none of them 0, got \(0, 3, 5, 5\)"),
        (lambda: encoders.conv2d(X, W[0]), r"\(O, C, K, L\), got \(3, 3, 3\)"),
        (lambda: encoders.conv2d(X[:, :2], W), "2 channels, expected 3"),
        (lambda: encoders.conv2d(X[..., :2], W), "does not fit"),
        (lambda: encoders.conv2d(X, W, torch.ones(3)), r"bias has shape \(4,\), got \(3,\)"),
        (lambda: encoders.conv2d(X, W, stride=0), "1 or more"),
        (lambda: encoders.max_pool2d(X, 0), "1 or more"),
        (lambda: encoders.max_pool2d(X, 2, stride=0), "1 or more"),
        (lambda: encoders.max_pool2d(X, 6), "does not fit"),
        (lambda: encoders.max_pool2d(X, 3, padding=2), "half of size=3, got 2"),
        (lambda: encoders.batch_norm(X, C, C, C, C[:2], True), "3 channels.*'bias': "),
        (lambda: encoders.batch_norm(X[:1, :, :1, :1], C, C, C, C, True), "no variance"),
        (lambda: encoders.receptive_field([(3, 0)]), r"\(size, stride\), both 1 or more"),
        (lambda: ConvNet(1, (4,))(torch.ones(8)), r"\(B, H, W\), got \(8,\)"),
        (lambda: ConvNet(1, (4,))(torch.ones(0, 8, 8)), "none of them 0"),
        (lambda: ConvNet(1, (4,))(X), "3 channels, expected 1"),
        (lambda: ConvNet(3, (4, 4, 4))(X), "8 pixels a side at least"),
        (lambda: ConvNet(3, (4,))(X, torch.ones(2, dtype=torch.bool)), r"\(2, 1\), got \(2,\)"),
    ],
)
def test_wrong_shapes(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_whole_numbers_are_no_images():
    with pytest.raises(TypeError, match=r"x\.float\(\) / 255"):
        ConvNet(1, (4,))(torch.ones(2, 8, 8, dtype=torch.uint8))


def test_all_of_it_runs_on_a_gpu():
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
        x, channels = torch.ones(2, 3, 8, 8), torch.ones(3)
        y = encoders.conv2d(x, torch.ones(3, 3, 3, 3), channels, padding=1)
        y = encoders.batch_norm(y, channels.clone(), channels.clone(), channels, channels, True)
        assert encoders.max_pool2d(y, 2).device.type == "cuda"
        assert {t.device.type for t in ConvNet(3, (4,))(x)} == {"cuda"}
        there = {"image": torch.ones(2, 1, dtype=torch.bool)}
        there |= {"table": torch.ones(2, 1, dtype=torch.bool)}
        present = {name: torch.ones(2, dtype=torch.bool) for name in there}
        inputs = {"image": torch.ones(2, 8, 8), "table": x}
        batch = Batch(inputs, there, present, torch.zeros(2, dtype=torch.int64))
        assert F.cross_entropy(two_encoders()(batch), batch.label).device.type == "cuda"
