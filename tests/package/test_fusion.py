"""Every fusion against a slow reference, and what all of them promise about what is missing."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import mmlearn as mm
from mmlearn import fusion
from mmlearn.encoders import Dense, MultimodalModel, Tokens, mean_of_tokens
from tests.package.toy_fusion import BUILD, COUNTS, LENGTHS, SLOW, WIDTHS, D, low_rank_weights
from tests.package.versions import fake_gpu, traced

# A gate with nobody to share with is 1 whatever its weights, and a base has to have others.
CASES = [(n, m) for n in BUILD for m in (1, 2, 3, 4) if m > 1 or n not in ("gated", "film")]
each = pytest.mark.parametrize(("name", "m"), CASES)
of_three = pytest.mark.parametrize("name", BUILD)
close = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)


def normal(*shape, seed=0, **kwargs):
    rng = np.random.default_rng([seed, *shape])
    return torch.tensor(rng.normal(size=shape), **kwargs)


def make(name, m=3):
    """In double precision, and in evaluation mode, in which modality dropout hides nothing."""
    torch.manual_seed(0)
    f = BUILD[name](dict(list(WIDTHS.items())[:m])).double().eval()
    with torch.no_grad():
        for p in f.parameters():
            p += 0.1 * torch.randn_like(p)  # so that none is 0 or 1 from the start
    return f


def tokens(m=3):
    """Tokens of unequal length; the samples have all the modalities, then each choice of some."""
    rows, encoded, present = torch.arange(2**m), {}, {}
    for j, (name, length) in enumerate(list(LENGTHS.items())[:m]):
        mask = torch.arange(length) < length - rows[:, None] % length
        encoded[name] = Tokens(normal(2**m, length, WIDTHS[name], seed=j), mask)
        present[name] = (rows >> j) % 2 + (rows == 0) > 0
    return encoded, present


def changed(encoded, change):
    """The same tokens with the values and mask that ``change(name, values, mask)`` gives."""
    return {k: Tokens(*change(k, *t)) for k, t in encoded.items()}


def only(inputs, rows):
    """Some of the samples."""
    encoded, present = inputs
    encoded = changed(encoded, lambda _, values, mask: (values[rows], mask[rows]))
    return encoded, {k: v[rows] for k, v in present.items()}


def lacking(*names):
    """One sample that lacks these modalities."""
    encoded, present = only(tokens(), [0])
    return encoded, {k: v & (k not in names) for k, v in present.items()}


def stuck(f, *inputs):
    """Names that one step does not move, and what has a gradient but is no parameter."""
    before = {k: p.detach().clone() for k, p in f.named_parameters()}
    output, leaves = f(*inputs), set()
    nodes = [output.grad_fn]
    while nodes:
        node = nodes.pop()
        leaves |= {node.variable} if hasattr(node, "variable") else set()
        nodes += [following for following, _ in node.next_functions if following is not None]
    (output * normal(*output.shape, seed=9)).sum().backward()
    torch.optim.SGD(f.parameters(), lr=0.1).step()
    still = [k for k, p in f.named_parameters() if (p == before[k]).all()]
    return still, leaves - set(f.parameters())


@each
class TestEveryFusion:
    def test_is_the_slow_reference_for_each_choice_of_modalities(self, name, m):
        f, (encoded, present) = make(name, m), tokens(m)
        for i, row in enumerate(f(encoded, present)):
            parts = [
                encoded[k].values[i, encoded[k].mask[i]] if present[k][i] else None
                for k in sorted(encoded)
            ]
            slow = SLOW[name.removeprefix("dropout of ").removesuffix(" hidden")]
            close(row, slow(getattr(f, "fusion", f), parts))

    def test_every_parameter_counts_and_moves_in_one_step(self, name, m):
        f, count = make(name, m), COUNTS[name.removeprefix("dropout of ")]
        assert sum(p.numel() for p in f.parameters()) == count(list(WIDTHS.values())[:m])
        assert stuck(f, *tokens(m)) == ([], set())

    def test_state_goes_round_and_order_is_of_no_account(self, name, m):
        f, (encoded, present) = make(name, m), tokens(m)
        other = BUILD[name](dict(reversed(list(WIDTHS.items())[:m]))).double().eval()
        other.load_state_dict(f.state_dict())
        turned = [dict(reversed(part.items())) for part in (encoded, present)]
        assert other(*turned).equal(f(encoded, present))

    def test_batch_of_one_is_its_row_of_the_batch(self, name, m):
        f, inputs = make(name, m), tokens(m)
        close(f(*only(inputs, [1])), f(*inputs)[1:2])

    def test_sample_knows_nothing_of_the_others(self, name, m):
        f, (encoded, present) = make(name, m), tokens(m)
        spoilt = changed(encoded, lambda _, v, mask: (torch.cat([v[:1], v[1:] * torch.nan]), mask))
        output = f(spoilt, present)
        assert output[0].equal(f(encoded, present)[0]) and output[1:].isnan().all()

    def test_padding_and_what_is_missing_change_nothing_even_where_they_are_nan(self, name, m):
        f, (encoded, present) = make(name, m), tokens(m)
        expected = f(encoded, present)
        gradients = torch.autograd.grad(expected.sum(), list(f.parameters()))

        def spoil(k, values, mask):
            return values.where((mask & present[k][:, None])[..., None], torch.nan), mask

        def lengthen(_, values, mask):
            values = F.pad(values, (0, 0, 1, 3), value=torch.nan)
            return values.requires_grad_(), F.pad(mask, (1, 3))

        spoilt = changed(encoded, spoil)
        assert f(spoilt, present).equal(expected)
        spoilt = changed(spoilt, lengthen)
        output = f(spoilt, present)
        close(output, expected)  # not to the bit: torch adds up longer rows in another order
        output.sum().backward()
        close([p.grad for p in f.parameters()], list(gradients))
        for k, (values, mask) in spoilt.items():
            assert (values.grad[~(mask & present[k][:, None])] == 0).all()
            assert values.grad.isfinite().all() and values.grad.any()

    def test_gradients_are_those_of_differences(self, name, m):
        f, (encoded, present) = make(name, m), only(tokens(m), slice(2))

        def call(*values):
            masks = (tokens.mask for tokens in encoded.values())
            return f(dict(zip(encoded, map(Tokens, values, masks), strict=True)), present)

        values = [tokens.values.requires_grad_() for tokens in encoded.values()]
        assert torch.autograd.gradcheck(call, values)


@of_three
class TestOfThree:
    def test_modality_that_the_whole_batch_lacks(self, name):
        f, (encoded, present) = make(name), tokens()
        encoded, present = only((encoded, present), present["text"] | present["sound"])
        nobody = f(encoded, present | {"image": present["image"] & False})
        some = {k: encoded[k] for k in ("text", "sound")}
        close(f(some, present), nobody)
        assert f(some, {k: present[k] for k in some}).equal(f(some, present))
        no_tokens = Tokens(encoded["image"].values, encoded["image"].mask & False)
        assert f(encoded | {"image": no_tokens}, present).equal(nobody)

    def test_sample_without_any_modality_is_named(self, name):
        f, (encoded, present) = make(name), tokens()
        for k in present:
            present[k][[2, 5]] = False
        with pytest.raises(ValueError, match=r"every modality is missing in samples \[2, 5\]"):
            f(encoded, present)
        with pytest.raises(ValueError, match=r"missing.*one of \['image', 'sound', 'text'\]"):
            f({}, present)

    def test_mixed_precision(self, name):
        f, (encoded, present) = make(name).float(), tokens()
        encoded = changed(encoded, lambda _, values, mask: (values.float(), mask))
        kinds = {"text": torch.float32, "image": torch.bfloat16, "sound": torch.bfloat16}
        mixed = changed(encoded, lambda k, values, mask: (values.to(kinds[k]), mask))
        with torch.autocast("cpu", torch.bfloat16):
            output = f(mixed, present)
        torch.testing.assert_close(output.float(), f(encoded, present), rtol=0.1, atol=0.1)

    @traced
    def test_compiles_and_exports_whole(self, name):
        f, inputs = make(name), tokens()
        torch._dynamo.reset()
        close(torch.compile(f, backend="eager", fullgraph=True)(*inputs), f(*inputs))
        close(torch.export.export(f, inputs).module()(*inputs), f(*inputs))

    @fake_gpu
    def test_runs_on_a_gpu(self, name):
        with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
            f = BUILD[name](dict(list(WIDTHS.items())[:3]))
            mask = {k: torch.ones(2, LENGTHS[k], dtype=torch.bool) for k in ("text", "image")}
            encoded = {k: Tokens(torch.ones(*m.shape, WIDTHS[k]), m) for k, m in mask.items()}
            output = f(encoded, {k: m[:, 0] for k, m in mask.items()})  # and no sound
            loss = F.cross_entropy(output, torch.zeros(2, dtype=torch.int64))
            assert output.device.type == loss.device.type == "cuda"


# What each docstring says under "Missing:", where the references leave room for doubt.


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("sum", lambda f: [f.layers]),
        ("late", lambda f: [f.heads]),
        ("late hidden", lambda f: [f.heads]),
        ("experts", lambda f: [f.experts]),
        ("crossmodal", lambda f: [f.enter, *f.layers]),
        ("bottleneck", lambda f: [f.enter]),
        ("transformer", lambda f: [f.enter]),
    ],
)
def test_without_a_modality_it_is_the_fusion_of_the_others(name, parts):
    f, (encoded, present) = make(name), tokens()
    encoded, present = only((encoded, present), present["text"] | present["image"])
    some = {k: encoded[k] for k in ("text", "image")}
    other = copy.deepcopy(f)
    for part in parts(other):
        del part[1]  # sound is the second of image, sound, text
    del other.widths["sound"]
    close(f(some, present), other(some, present))


def test_early_fusion_tells_a_hole_from_zeros():
    f, (encoded, present) = make("early"), lacking("sound")
    zeros = encoded | {"sound": Tokens(encoded["sound"].values * 0, encoded["sound"].mask)}
    flag = f(zeros, lacking()[1]) - f(encoded, present)
    close(flag[0], f.net.weight[:, sum(f.widths.values()) + 1])


def test_late_fusion_gives_probabilities_whoever_votes():
    for names in ((), ("sound",), ("sound", "text")):
        assert make("late")(*lacking(*names)).exp().sum().item() == pytest.approx(1)


def test_gates_of_those_there_add_up_to_one():
    f = make("gated")
    for propose in f.proposals:
        nn.init.constant_(propose.bias, 50)  # each proposes 1
    for names in ((), ("sound",), ("sound", "text")):
        close(f(*lacking(*names)), torch.ones(1, D, dtype=torch.float64))


def test_film_is_left_unmodulated_or_has_its_bias_for_a_base():
    f, (encoded, present) = make("film"), lacking("image", "sound")
    close(f(encoded, present), f.value(encoded["text"].values.mean(dim=1)))
    nn.init.zeros_(f.scale.weight)
    nn.init.zeros_(f.shift.weight)
    close(f(*lacking("text"))[0], f.value.bias)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("interaction", lambda f: [f.pairs[0].weight, f.pairs[2].weight, f.single.weight[:, 2:6]]),
        ("tensor", lambda f: [f.out.weight.unflatten(1, (3, 5, 4))[:, :, :4]]),
        ("low-rank", lambda f: [f.factors[1][:, :4]]),
    ],
)
def test_only_products_without_what_is_missing_are_left(name, weights):
    f, whole, less = make(name), lacking(), lacking("sound")
    before = f(*whole), f(*less)
    with torch.no_grad():
        for weight in weights(f):
            weight.normal_()
    assert f(*less).equal(before[1]) and not f(*whole).equal(before[0])


def test_the_fewer_the_experts_the_more_the_prior_counts():
    f, p = make("experts"), np.log1p(np.e)
    for expert in f.experts:
        nn.init.zeros_(expert.weight)
        nn.init.ones_(expert.bias)  # all believe in 1, and are as sure of it
    for n, names in enumerate([("sound", "text"), ("sound",), ()], start=1):
        assert f(*lacking(*names))[0].tolist() == pytest.approx([n * p / (1 + n * p)] * D)


def test_low_rank_fusion_is_tensor_fusion_with_a_tensor_of_few_products():
    f, whole = make("low-rank"), make("tensor")
    whole.out.load_state_dict({"weight": low_rank_weights(f).flatten(1), "bias": f.bias})
    close(f(*tokens()), whole(*tokens()))


def test_factors_in_a_plain_list_are_found_out():
    """A published low-rank fusion keeps them so, where no optimiser sees them."""
    f = make("low-rank", 4)
    factors = list(f.factors)
    del f.factors
    f.factors = factors
    assert sum(p.numel() for p in f.parameters()) == D != COUNTS["low-rank"](WIDTHS.values())
    assert stuck(f, *tokens(4)) == ([], set(factors))


def test_mean_of_tokens_keeps_the_same_promises():
    encoded, present = tokens()
    encoded = changed(encoded, lambda k, values, mask: (values @ normal(WIDTHS[k], D), mask))
    turned = [dict(reversed(part.items())) for part in (encoded, present)]
    close(mean_of_tokens(*turned), mean_of_tokens(encoded, present))
    alone = mean_of_tokens(*only((encoded, present), [1]))
    close(alone, mean_of_tokens(encoded, present)[1:2])
    present["sound"] = present["sound"] & False
    some = {k: encoded[k] for k in ("text", "image")}
    close(mean_of_tokens(some, present), mean_of_tokens(encoded, present))


class Shown(fusion.Fusion):
    """Shows which modalities are left."""

    def forward(self, encoded, present):
        return self.there(present)[:, :, 0].double()


class TestModalityDropout:
    NAMES = ("image", "sound", "text")

    @pytest.fixture
    def has(self):
        """Which modalities many samples have: each has one at least."""
        kinds = np.random.default_rng(0).integers(1, 8, size=20_000)
        return torch.tensor(kinds[:, None] >> np.arange(3) & 1) > 0

    def left(self, has, p, seed=0, training=True):
        torch.manual_seed(seed)
        row = Tokens(torch.ones(len(has), 1, 2), torch.ones(len(has), 1) > 0)
        present = dict(zip(self.NAMES, has.unbind(dim=1), strict=True))
        f = fusion.ModalityDropout(Shown(dict.fromkeys(self.NAMES, 2), 3), p).train(training)
        return f(dict.fromkeys(self.NAMES, row), present) > 0

    @pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
    def test_hides_the_share_it_should_and_never_all(self, has, p):
        left = self.left(has, p)
        assert (left <= has).all() and left.any(dim=1).all()
        for k in (1, 2, 3):  # all k that a sample has would be lost with p^k, and then one stays
            share, some = p - p**k / k, has.sum(dim=1) == k
            for j in range(3):
                among = left[some & has[:, j], j].double()
                error = (share * (1 - share) / len(among)) ** 0.5
                assert abs(1 - among.mean() - share) <= 4.5 * error

    def test_hides_none_all_but_one_or_nothing_in_evaluation(self, has):
        assert self.left(has, 0).equal(has)
        assert (self.left(has, 1).sum(dim=1) == 1).all()
        assert self.left(has, 1, training=False).equal(has)

    def test_follows_the_seed(self, has):
        assert self.left(has, 0.5).equal(self.left(has, 0.5))
        assert not self.left(has, 0.5).equal(self.left(has, 0.5, seed=1))

    def test_in_a_model_that_does_not_read_all_of_the_batch(self, world):
        torch.manual_seed(0)
        early = fusion.EarlyFusion({"text": 8, "image": 8, "table": 8}, D)
        encoders = {k: Dense(8) for k in ("text", "image")}
        model = MultimodalModel(encoders, fusion.ModalityDropout(early, 0.5), nn.Linear(D, 2))
        batch = mm.data.collate([world.train[i] for i in range(20)], sequences=())
        assert "sound" in batch.present
        assert not model(batch).equal(model(batch)) and model.eval()(batch).equal(model(batch))


@pytest.fixture(scope="module")
def world():
    """A small world in which one sample in four lacks the text, one in five the sound."""
    data = mm.data.load("world", information="own noise", n=400, noise=0.3, seed=0)
    for name, every in (("text", 4), ("sound", 5)):
        data.inputs[name] = [v if i % every else None for i, v in enumerate(data.inputs[name])]
    return mm.data.split(data, seed=0)


@of_three
def test_trains_with_what_is_missing(name, world):
    torch.manual_seed(0)
    widths = {"text": 8, "image": 8, "sound": 8}
    head = nn.Identity() if "late" in name else nn.Linear(D, 2)
    model = MultimodalModel({k: Dense(8) for k in widths}, BUILD[name](widths), head)
    options = {"loss": F.cross_entropy, "collate": partial(mm.data.collate, sequences=())}
    history = mm.train.fit(
        model, world.train, epochs=12, batch=50, learning_rate=0.02, seed=0, **options
    )
    assert history.train_loss[-1] < 0.9 * history.train_loss[0]
    assert mm.train.evaluate(model, world.test, **options).accuracy > 0.7


TWO = {"text": 3, "image": 2}
HERE = torch.ones(4, dtype=torch.bool)


def text(*shape, mask=None):
    return {"text": Tokens(torch.ones(shape), torch.ones(shape[:2]) > 0 if mask is None else mask)}


@pytest.mark.parametrize(
    ("given", "present", "message"),
    [
        ({"smell": Tokens(torch.ones(4, 1, 2), HERE[:, None])}, {}, "no modality is called smell"),
        ({}, {"text": None}, "present does not say which samples have text"),
        (text(4, 2, 5), {}, r"text have shape \(B, T, 3\).*got \(4, 2, 5\)"),
        (text(4, 3), {}, r"text have shape \(B, T, 3\).*got \(4, 3\)"),
        (text(4, 0, 3), {}, r"have shape \(B, T, 3\), none of them 0, got \(4, 0, 3\)"),
        (text(4, 2, 3, mask=torch.ones(4, 2)), {}, "mask of text is bool.*got torch.float32"),
        (text(4, 2, 3, mask=HERE), {}, r"mask of text is bool, \(4, 2\), got.*\(4,\)"),
        ({}, {"text": HERE[:3]}, r"present of text is bool, \(4,\), got.*\(3,\)"),
        ({}, {"text": HERE[:, None]}, r"present of text is bool, \(4,\), got.*\(4, 1\)"),
        ({}, {"text": HERE.long()}, "present of text is bool.*got torch.int64"),
        (text(3, 2, 3), {"text": HERE[:3]}, "unequal numbers of samples.*'text': 3"),
    ],
)
def test_wrong_inputs(given, present, message):
    encoded = text(4, 2, 3) | {"image": Tokens(torch.ones(4, 1, 2), HERE[:, None])} | given
    present = {k: v for k, v in ({"text": HERE, "image": HERE} | present).items() if v is not None}
    for f in (fusion.Sum(TWO, D), fusion.ModalityDropout(fusion.Sum(TWO, D))):
        with pytest.raises(ValueError, match=message):
            f(encoded, present)


def test_vectors_are_no_tokens():
    with pytest.raises(TypeError, match=r"Tokens\(values, mask\).*\{'text': 'Tensor'\}"):
        fusion.Sum(TWO, D)({"text": torch.ones(4, 3)}, {"text": HERE})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fusion.Sum({}, D), r"len\(widths\) > 0 .* got widths=\{\}"),
        (lambda: fusion.Sum({"text": 0}, D), r">= 1 has to hold, got widths=\{'text': 0\}"),
        (lambda: fusion.TensorFusion(TWO, 0), "width is 1 or more, got 0$"),
        (lambda: fusion.EarlyFusion(TWO, D, 0), "hidden is 1 or more.* 0$"),
        (lambda: fusion.LateFusion(TWO, D, hidden=0), "hidden is 1 or more"),
        (lambda: fusion.FiLM(TWO, D, "sound"), "base in widths .* got base=sound, widths=.*'text'"),
        (lambda: fusion.FiLM({"text": 3}, D, "text"), "the others scale and shift it"),
        (lambda: fusion.LowRankFusion(TWO, D, rank=0), "rank is 1 or more, got 0"),
        (
            lambda: fusion.CrossmodalAttention(TWO, D, heads=3),
            "width % heads == 0 has to hold, got width=4, heads=3",
        ),
        (lambda: fusion.CrossmodalAttention(TWO, D, heads=0), "heads is 1 or more, got 0"),
        (lambda: fusion.CrossmodalAttention(TWO, D, depth=0), "depth is 1 or more.*got 0"),
        (
            lambda: fusion.CrossmodalAttention(TWO, D, bottleneck=-1),
            "bottleneck is 0 or more, got -1",
        ),
        (lambda: fusion.ModalityDropout(fusion.Sum(TWO, D), -0.1), "p is 0 to 1, got -0.1"),
        (lambda: fusion.ModalityDropout(fusion.Sum(TWO, D), 1.1), "p is 0 to 1"),
        (lambda: fusion.ModalityDropout(fusion.Sum(TWO, D), float("nan")), "p is 0 to 1"),
    ],
)
def test_wrong_settings(call, message):
    with pytest.raises(ValueError, match=message):
        call()
