"""Counts, PMI, skip-gram and GloVe against slow loops and gensim; the models' promises."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from sklearn.utils.extmath import randomized_svd
from torch._subclasses.fake_tensor import FakeTensorMode

from mmlearn.encoders import GloVe, SkipGram, cooccurrence, ppmi
from tests.package.versions import fake_gpu


def slow_counts(texts, size, window):
    counts = np.zeros((size, size))
    for text in texts:
        for i, a in enumerate(text):
            for j, b in enumerate(text):
                if 0 < abs(i - j) <= window and a >= 0 and b >= 0:
                    counts[a, b] += 1
    return counts


def some_texts(seed=0, size=7):
    rng = np.random.default_rng(seed)
    return [rng.integers(-1, size, size=n) for n in (12, 1, 0, 3, 25)]


@pytest.mark.parametrize("window", [1, 2, 5, 40])
@pytest.mark.parametrize("seed", range(3))
def test_cooccurrence_is_the_slow_loop(window, seed):
    texts = some_texts(seed)
    ours = cooccurrence(texts, 7, window).toarray()
    assert ours == pytest.approx(slow_counts(texts, 7, window))
    assert (ours == ours.T).all()


def test_no_pair_reaches_into_the_next_text_and_a_hole_keeps_its_place():
    assert cooccurrence([np.array([0]), np.array([1])], 2).nnz == 0
    apart = [np.array([0, -1, 1])]
    assert cooccurrence(apart, 2, 1).nnz == 0
    assert cooccurrence(apart, 2, 2).toarray().tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("texts", "options", "error", "message"),
    [
        ([], {}, ValueError, "one or more"),
        ([np.zeros((2, 2), int)], {}, ValueError, "one or more"),
        ([np.array([0.5])], {}, TypeError, "numbers of words"),
        ([np.array([0, 3])], {}, ValueError, "-1 to 2"),
        ([np.array([0, -2])], {}, ValueError, "-1 to 2"),
        ([np.array([0])], {"window": 0}, ValueError, "1 or more"),
    ],
)
def test_bad_texts(texts, options, error, message):
    with pytest.raises(error, match=message):
        cooccurrence(texts, 3, **options)


@pytest.mark.parametrize("power", [0.75, 1])
def test_ppmi_is_the_slow_loop(power):
    counts = slow_counts(some_texts(), 7, 2)
    ours, share = ppmi(csr_array(counts), power).toarray(), counts.sum(axis=0) ** power
    share = share / share.sum()
    for i, j in np.ndindex(7, 7):
        p = counts[i, j] / counts[i].sum()
        expected = max(0, np.log(p / share[j])) if p else 0
        assert ours[i, j] == pytest.approx(expected)


def test_ppmi_of_independent_words_is_zero():
    counts = np.outer([1, 2, 3], [4, 5])
    assert ppmi(csr_array(counts), 1).toarray() == pytest.approx(np.zeros((3, 2)), abs=1e-12)


def test_a_word_without_company_has_a_row_of_zeros():
    assert not ppmi(csr_array(np.diag([3, 0, 1.0]))).toarray()[1].any()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.zeros((2, 2)), "at least one pair"),
        (np.array([[1, -1]]), "negative"),
        (np.array([[1, np.nan]]), "negative number, NaN"),
    ],
)
def test_bad_counts(counts, message):
    with pytest.raises(ValueError, match=message):
        ppmi(csr_array(counts))


def batch_for(kind, size=6):
    word, context = torch.arange(size), torch.arange(size).flip(0)
    return word, context, torch.arange(size) + (1.0 if kind is GloVe else 0)


MODELS = pytest.mark.parametrize(("kind", "extra"), [(SkipGram, 0), (GloVe, 2 * 6)])


@MODELS
class TestModels:
    def test_parameters_are_as_many_as_the_closed_form(self, kind, extra):
        assert sum(p.numel() for p in kind(6, 3).parameters()) == 2 * 6 * 3 + extra

    def test_every_parameter_moves_in_one_step(self, kind, extra):
        model = kind(6, 3)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        model(*batch_for(kind)).backward()
        torch.optim.SGD(model.parameters(), lr=0.1).step()
        for name, p in model.named_parameters():
            assert (p != before[name]).any(), name

    def test_state_goes_round(self, kind, extra):
        model, other = kind(6, 3), kind(6, 3)
        other.load_state_dict(model.state_dict())
        assert torch.equal(model(*batch_for(kind)), other(*batch_for(kind)))

    def test_gradients_are_those_of_differences(self, kind, extra):
        model = kind(6, 3).double()
        word, context, third = batch_for(kind)
        third = third.double() if kind is GloVe else third
        names = [name for name, _ in model.named_parameters()]

        def loss(*values):
            named = dict(zip(names, values, strict=True))
            return torch.func.functional_call(model, named, (word, context, third))

        values = [p.detach().normal_().requires_grad_() for p in model.parameters()]
        assert torch.autograd.gradcheck(loss, values)

    def test_loss_is_the_mean_of_batches_of_one(self, kind, extra):
        model = kind(6, 3)
        word, context, third = batch_for(kind)
        each = [
            model(word[i : i + 1], context[i : i + 1], third[i : i + 1] if extra else third)
            for i in range(6)
        ]
        torch.testing.assert_close(model(word, context, third), torch.stack(each).mean())

    def test_shapes_that_do_not_fit(self, kind, extra):
        word, context, third = batch_for(kind)
        with pytest.raises(ValueError, match=r"context has shape \(6,\), got \(2,\)"):
            kind(6, 3)(word, context[:2], third)
        with pytest.raises(ValueError, match=r"word has shape \(B,\), none of them 0, got \(0,\)"):
            kind(6, 3)(word[:0], context[:0], third[:0])
        with pytest.raises(ValueError, match="count has" if extra else "negative has"):
            kind(6, 3)(word, context, third[:0])

    @fake_gpu
    def test_runs_on_a_gpu(self, kind, extra):
        with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
            assert kind(6, 3)(*batch_for(kind)).device.type == "cuda"
            if not extra:
                kind(6, 3).step(*batch_for(kind), 0.1)


@pytest.mark.parametrize("k", [0, 1, 5])
def test_skipgram_step_is_autograds_even_where_words_repeat(k):
    torch.manual_seed(0)
    model = SkipGram(5, 3, k=k).double()
    for p in model.parameters():
        p.data.normal_()
    word, context, negative = (torch.tensor(i) for i in ([0, 0, 3, 0], [1, 1, 2, 0], [4, 4, 1]))
    loss = model(word, context, negative)
    before = list(model.parameters())
    gradient = torch.autograd.grad(loss, before)
    expected = [p - 0.2 * len(word) * g for p, g in zip(before, gradient, strict=True)]
    expected = [q.detach().clone() for q in expected]
    model.step(word, context, negative, 0.2)
    for p, q in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), q)


def test_skipgram_loss_is_the_slow_loop():
    model = SkipGram(5, 3, k=4).double()
    W, C = model.word.detach(), model.context.detach()
    total = 0
    for w, c in ((0, 1), (3, 3)):
        total += F.softplus(-W[w] @ C[c]) + 4 / 2 * sum(F.softplus(W[w] @ C[n]) for n in (2, 4))
    ours = model(torch.tensor([0, 3]), torch.tensor([1, 3]), torch.tensor([2, 4]))
    torch.testing.assert_close(ours, total / 2, check_dtype=False)


def families(seed=0, kinds=8, words=10, texts=800):
    """Texts about one of `kinds` subjects each, with words of its own: a world that is known."""
    rng = np.random.default_rng(seed)
    subjects = rng.integers(kinds, size=texts)
    return [words * s + rng.integers(words, size=25) for s in subjects], np.arange(80) // words


def purity(rows, family):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    near = np.argsort(-(unit @ unit.T) + 3 * np.eye(len(unit)), axis=1)[:, :5]
    return (family[near] == family[:, None]).mean()


def test_all_of_them_and_gensim_find_the_families():
    gensim = pytest.importorskip("gensim.models")
    texts, family = families()
    counts = cooccurrence(texts, 80)
    U, s, _ = randomized_svd(ppmi(counts), 10, random_state=0)
    torch.manual_seed(0)
    entries = counts.tocoo()
    word, context = (torch.tensor(i.astype(int)) for i in entries.coords)
    count, weight = torch.tensor(entries.data), torch.tensor(entries.data)
    skipgram, glove = SkipGram(80, 10), GloVe(80, 10)
    adam = torch.optim.Adam(glove.parameters(), lr=0.05)
    for _ in range(400):
        i = torch.multinomial(weight, 200)
        skipgram.step(word[i], context[i], torch.randint(80, (20,)), 0.1)
        adam.zero_grad()
        glove(word, context, count).backward()
        adam.step()
    model = gensim.Word2Vec(
        [[str(w) for w in text] for text in texts], vector_size=10, window=5, sg=1, negative=5,
        min_count=1, epochs=5, workers=1, seed=0, sample=0,
    )  # fmt: skip
    theirs = purity(np.stack([model.wv[str(w)] for w in range(80)]), family)
    assert theirs > 0.9
    for ours in (U * s**0.5, skipgram.word, glove.word + glove.context):
        rows = ours.detach().numpy() if hasattr(ours, "detach") else ours
        assert purity(rows, family) > theirs - 0.1
