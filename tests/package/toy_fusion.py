"""All fusions, small, with the parameters they should have and slow references of what they say."""

from itertools import combinations
from math import prod

import torch
from torch import nn

from mmlearn import fusion

# Names out of order, widths and lengths unequal. D is the fused width, H a hidden one, R a rank,
# N the tokens of a bottleneck.
WIDTHS = {"text": 3, "image": 2, "sound": 4, "table": 1}
LENGTHS = {"text": 3, "image": 2, "sound": 5, "table": 1}
D, H, R, N = 4, 5, 3, 2

BUILD = {
    "sum": lambda w: fusion.Sum(w, D),
    "early": lambda w: fusion.EarlyFusion(w, D),
    "early hidden": lambda w: fusion.EarlyFusion(w, D, H),
    "late": lambda w: fusion.LateFusion(w, D),
    "late hidden": lambda w: fusion.LateFusion(w, D, H),
    "gated": lambda w: fusion.GatedMultimodalUnit(w, D),
    "film": lambda w: fusion.FiLM(w, D, base="text"),
    "interaction": lambda w: fusion.MultiplicativeInteraction(w, D),
    "tensor": lambda w: fusion.TensorFusion(w, D),
    "low-rank": lambda w: fusion.LowRankFusion(w, D, rank=R),
    "crossmodal": lambda w: fusion.CrossmodalAttention(w, D, heads=2),
    "bottleneck": lambda w: fusion.CrossmodalAttention(w, D, heads=2, depth=2, bottleneck=N),
    "transformer": lambda w: fusion.TransformerFusion(w, D, heads=2, depth=2),
    "experts": lambda w: fusion.ProductOfExperts(w, D),
}
BUILD |= {
    f"dropout of {name}": lambda w, build=BUILD[name]: fusion.ModalityDropout(build(w), 0.4)
    for name in ("early hidden", "late", "crossmodal")
}

BLOCK = 4 * D * D + 3 * D + 8 * D * D + 5 * D + 4 * D  # attention, dense layers, two norms
COUNTS = {  # of parameters, for the list d of widths
    "sum": lambda d: D * sum(d),
    "early": lambda d: (sum(d) + len(d) + 1) * D,
    "early hidden": lambda d: (sum(d) + len(d) + 1) * H + (H + 1) * D,
    "late": lambda d: sum((w + 1) * D for w in d),
    "late hidden": lambda d: sum((w + 1) * H + (H + 1) * D for w in d),
    "gated": lambda d: sum((w + 1) * D for w in d) + len(d) * (sum(d) + 1) * D,
    "film": lambda d: (d[0] + 1) * D + 2 * sum(d[1:]) * D,
    "interaction": lambda d: (sum(v * w for v, w in combinations(d, 2)) + sum(d) + 1) * D,
    "tensor": lambda d: (prod(w + 1 for w in d) + 1) * D,
    "low-rank": lambda d: R * D * sum(w + 1 for w in d) + D,
    "crossmodal": lambda d: sum((w + 1) * D for w in d) + len(d) * BLOCK + 2 * D,
    "bottleneck": lambda d: sum((w + 1) * D for w in d) + 2 * 2 * BLOCK + 2 * D + N * D,
    "transformer": lambda d: sum((w + 1) * D for w in d) + 2 * BLOCK + 2 * D,
    "experts": lambda d: sum((w + 1) * 2 * D for w in d),
}

# One sample, one modality at a time: `parts` are the tokens (T, D) of each, or None.


def layers(net, x):
    """A linear layer, or two with a ReLU between them."""
    first, *rest = [net] if isinstance(net, nn.Linear) else [net[0], net[2]]
    y = first.weight @ x + first.bias
    return layers(rest[0], y.clamp(min=0)) if rest else y


def means(f, parts):
    zeros = (torch.zeros(d, dtype=torch.float64) for d in f.widths.values())
    return [z if p is None else p.mean(dim=0) for p, z in zip(parts, zeros, strict=True)]


def one(v):
    return torch.cat([v, torch.ones(1, dtype=v.dtype)])


def outer(vectors):
    """All products of one entry from each."""
    product = vectors[0]
    for v in vectors[1:]:
        product = product[..., None] * v
    return product


def slow_sum(f, parts):
    terms = zip(f.layers, parts, strict=True)
    return sum(layer.weight @ p.mean(dim=0) for layer, p in terms if p is not None)


def slow_early(f, parts):
    flags = torch.tensor([float(p is not None) for p in parts], dtype=torch.float64)
    return layers(f.net, torch.cat([*means(f, parts), flags]))


def slow_late(f, parts):
    heads = zip(f.heads, parts, strict=True)
    votes = [layers(head, p.mean(dim=0)).exp() for head, p in heads if p is not None]
    return (sum(v / v.sum() for v in votes) / len(votes)).log()


def slow_gated(f, parts):
    joined, total, mean = torch.cat(means(f, parts)), 0, 0
    for propose, gate, p in zip(f.proposals, f.gates, parts, strict=True):
        if p is not None:
            share = layers(gate, joined).exp()
            mean = mean + share * layers(propose, p.mean(dim=0)).tanh()
            total = total + share
    return mean / total


def slow_film(f, parts):
    x = dict(zip(f.widths, means(f, parts), strict=True))
    h = layers(f.value, x.pop("text"))
    others = torch.cat([x[name] for name in sorted(x)])
    return h + (f.scale.weight @ others) * h + f.shift.weight @ others


def slow_interaction(f, parts):
    x = means(f, parts)
    products = [
        torch.einsum("oab,a,b->o", pair.weight, a, b)
        for pair, (a, b) in zip(f.pairs, combinations(x, 2), strict=True)
    ]
    return layers(f.single, torch.cat(x)) + sum(products)


def slow_tensor(f, parts):
    return layers(f.out, outer([one(v) for v in means(f, parts)]).flatten())


def low_rank_weights(f):
    """The tensor (D, d + 1, ...) that the factors stand for: a sum of outer products."""
    terms = [[outer([factor[r, :, o] for factor in f.factors]) for o in range(D)] for r in range(R)]
    return sum(torch.stack(rows) for rows in terms)


def slow_low_rank(f, parts):
    product = outer([one(v) for v in means(f, parts)])
    return low_rank_weights(f).flatten(1) @ product.flatten() + f.bias


def slow_block(block, x, others):
    """Query by query, head by head; `others` are few, or none."""
    look, rows, keys = block.attend, [], block.norm1(torch.cat([x[:0], *others]))
    for q in block.norm1(x):
        Q, K, V = look.query(q), look.key(keys), look.value(keys)
        heads = torch.arange(D).chunk(2)
        found = [(K[:, h] @ Q[h] / len(h) ** 0.5).softmax(dim=0) @ V[:, h] for h in heads]
        rows.append(look.out(torch.cat(found)))
    x = x + torch.stack(rows)
    return x + block.think(block.norm2(x))


def slow_crossmodal(f, parts):
    there = [i for i, p in enumerate(parts) if p is not None]
    x, meet = {i: f.enter[i](parts[i]) for i in there}, f.meet
    for blocks in f.layers:
        if meet is not None:
            meet = slow_block(blocks[0], meet, x.values())
            x = {i: slow_block(blocks[1], v, [meet]) for i, v in x.items()}
            continue
        alone = len(parts) == 1
        seen = {i: [w for j, w in x.items() if j != i or alone] for i in x}
        x = {i: slow_block(blocks[i], v, seen[i]) for i, v in x.items()}
    return f.norm(torch.cat(list(x.values()))).mean(dim=0)


def slow_transformer(f, parts):
    entered = zip(f.enter, parts, strict=True)
    x = torch.cat([enter(p) for enter, p in entered if p is not None])
    for block in f.blocks:
        x = slow_block(block, x, [x])
    return f.norm(x).mean(dim=0)


def slow_experts(f, parts):
    """The mean of a product of densities, on a grid."""
    grid = torch.linspace(-12, 12, 4_001, dtype=torch.float64)[:, None]
    density = torch.exp(-(grid**2) / 2)
    for expert, p in zip(f.experts, parts, strict=True):
        if p is not None:
            mean, sure = layers(expert, p.mean(dim=0)).chunk(2)
            density = density * torch.exp(-((grid - mean) ** 2) * (1 + sure.exp()).log() / 2)
    return (grid * density).sum(dim=0) / density.sum(dim=0)


SLOW = {
    "sum": slow_sum, "early": slow_early, "late": slow_late, "gated": slow_gated,
    "film": slow_film, "interaction": slow_interaction, "tensor": slow_tensor,
    "low-rank": slow_low_rank, "crossmodal": slow_crossmodal, "bottleneck": slow_crossmodal,
    "transformer": slow_transformer, "experts": slow_experts,
}  # fmt: skip
