"""Fusion: what the encoders gave, of which some may be missing, into one vector a sample.

All fusions are called alike, ``fusion(encoded, present)``, so that one replaces another in a line.
The definitions stand on the book's pages as they stand here, so types and shapes are in the
docstrings, not in annotations.
"""

# mypy: allow-untyped-defs, disable-error-code="override, attr-defined, method-assign"

import math
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import nn

from mmlearn.checks import guard, refuse
from mmlearn.encoders import Tokens, TransformerBlock, mlp


class Fusion(nn.Module):
    """What all fusions share: the order of the modalities, one vector each, and clear errors.

    Before `forward` sees them, the inputs are tidied: modalities stand in the order of their
    names, whatever the dict's; one that the whole batch lacks is there without any token; the
    mask is False, and the values are 0, where there is padding or the modality is missing.

    Parameters
    ----------
    widths : dict of int
        For each modality D, the length of its tokens.
    width : int
        Length of the vector that comes out.

    Raises
    ------
    ValueError
        When called with an unknown modality, with shapes that do not fit, or with a sample that
        has no modality at all. (That last is looked for on the CPU alone, and not in compiled
        code: a GPU would have to wait for the answer. There such a sample gets what the fusion
        makes of nothing.)
    TypeError
        When called with what is no `Tokens`.
    """

    def __init__(self, widths, width):
        super().__init__()
        self.widths, self.width = dict(sorted(widths.items())), width

    def __call__(self, encoded, present):
        return super().__call__(*self.tidy(encoded, present))

    def tidy(self, encoded, present):
        """`encoded` and `present` as `forward` gets them."""
        _check_encoded(self.widths, encoded, present)
        values, _ = next(iter(encoded.values()))
        tidied = {}
        for name, d in self.widths.items():
            if name in encoded:
                tokens = encoded[name]
                mask = tokens.mask & present[name].unsqueeze(1)
                tidied[name] = Tokens(tokens.values.where(mask.unsqueeze(2), 0), mask)
            else:
                nothing = values.new_zeros(len(values), 1, d)
                tidied[name] = Tokens(nothing, nothing[:, :, 0] > 0)
        there = {name: tokens.mask.any(dim=1) for name, tokens in tidied.items()}
        _check_somebody(there)
        return tidied, there

    def vectors(self, encoded):
        """The mean of each modality's tokens, a list of (B, D); 0 where it is missing."""
        return [
            tokens.values.sum(dim=1) / tokens.mask.sum(dim=1, keepdim=True).clamp(min=1)
            for tokens in encoded.values()
        ]

    def there(self, present):
        """Which modalities a sample has, as one BoolTensor (B, M, 1)."""
        return torch.stack(list(present.values()), dim=1)[:, :, None]


class Sum(Fusion):
    """Each modality through a linear layer of its own, then the sum.

    Missing: adds nothing.

    Parameters
    ----------
    widths : dict of int
    width : int
        See `Fusion`.

    References
    ----------
    Document 002, section 4.
    """

    def __init__(self, widths, width):
        super().__init__(widths, width)
        layers = (nn.Linear(d, width, bias=False) for d in self.widths.values())
        self.layers = nn.ModuleList(layers)

    def forward(self, encoded, present):
        """See `Fusion`; gives (B, D)."""
        x = self.vectors(encoded)
        return sum(layer(v) for layer, v in zip(self.layers, x, strict=True))


class EarlyFusion(Fusion):
    """Join all vectors in one, then one linear layer, or two with a ReLU between them.

    Missing: zeros, and a flag for each modality that says whether it is there, so that the
    layers can learn what a hole means.

    Parameters
    ----------
    widths : dict of int
    width : int
        See `Fusion`.
    hidden : int, optional
        Numbers between two layers; with None there is one layer, and nothing nonlinear.

    References
    ----------
    Snoek, Worring and Smeulders (2005), doi:10.1145/1101149.1101236, on early and late.
    """

    def __init__(self, widths, width, hidden=None):
        super().__init__(widths, width)
        self.net = mlp(sum(widths.values()) + len(widths), width, hidden)

    def forward(self, encoded, present):
        """See `Fusion`; gives (B, D)."""
        flags = self.there(present).flatten(1)
        return self.net(torch.cat([*self.vectors(encoded), flags], dim=1))


class LateFusion(Fusion):
    """Each modality decides by itself; the mean of their probabilities decides for all.

    It owns its heads, so the model's head is ``nn.Identity()``. This is fusion of decisions; some
    libraries give its name to fusion of features.

    Missing: has no vote.

    Parameters
    ----------
    widths : dict of int
        See `Fusion`.
    width : int
        Number of classes.
    hidden : int, optional
        Numbers between two layers of each head; with None there is one layer.

    References
    ----------
    Kittler, Hatef, Duin and Matas (1998), doi:10.1109/34.667881.
    """

    def __init__(self, widths, width, hidden=None):
        super().__init__(widths, width)
        self.heads = nn.ModuleList(mlp(d, width, hidden) for d in self.widths.values())

    def forward(self, encoded, present):
        """See `Fusion`; gives the logarithms of the mean probabilities, (B, classes)."""
        x = self.vectors(encoded)
        votes = [head(v).log_softmax(dim=1) for head, v in zip(self.heads, x, strict=True)]
        votes, there = torch.stack(votes, dim=1), self.there(present)
        votes = votes.masked_fill(~there, torch.finfo(votes.dtype).min)
        return votes.logsumexp(dim=1) - there.sum(dim=1, dtype=votes.dtype).clamp(min=1).log()


class GatedMultimodalUnit(Fusion):
    """Each modality proposes a vector; gates that see all of them share out each entry.

    Missing: has no share; the others' add up to 1 without it.

    Parameters
    ----------
    widths : dict of int
    width : int
        See `Fusion`.

    References
    ----------
    Arevalo et al. (2017), arXiv:1702.01992. For two modalities the gates are the paper's z and
    1 - z; for more the paper has a sigmoid each, where a softmax stands here.
    """

    def __init__(self, widths, width):
        super().__init__(widths, width)
        joined = sum(widths.values())
        self.proposals = nn.ModuleList(nn.Linear(d, width) for d in self.widths.values())
        self.gates = nn.ModuleList(nn.Linear(joined, width) for _ in widths)

    def forward(self, encoded, present):
        """See `Fusion`; gives (B, D)."""
        x = self.vectors(encoded)
        joined = torch.cat(x, dim=1)
        h = [layer(v).tanh() for layer, v in zip(self.proposals, x, strict=True)]
        z = torch.stack([gate(joined) for gate in self.gates], dim=1)
        z = z.masked_fill(~self.there(present), torch.finfo(z.dtype).min).softmax(dim=1)
        return (z * torch.stack(h, dim=1)).sum(dim=1)


class FiLM(Fusion):
    """Feature-wise linear modulation: the other modalities scale and shift what one shows.

    Missing: one of the others changes nothing; without the base, its bias stands for it.

    Parameters
    ----------
    widths : dict of int
    width : int
        See `Fusion`.
    base : str
        The modality that is scaled and shifted.

    References
    ----------
    Perez et al. (2018), arXiv:1709.07871.
    """

    def __init__(self, widths, width, base):
        super().__init__(widths, width)
        others = sum(widths.values()) - widths[base]
        self.base, self.value = base, nn.Linear(widths[base], width)
        self.scale, self.shift = (nn.Linear(others, width, bias=False) for _ in range(2))

    def forward(self, encoded, present):
        """See `Fusion`; gives (B, D)."""
        x = dict(zip(self.widths, self.vectors(encoded), strict=True))
        h = self.value(x.pop(self.base))
        others = torch.cat(list(x.values()), dim=1)
        return (1 + self.scale(others)) * h + self.shift(others)


class MultiplicativeInteraction(Fusion):
    """All products of two entries from two modalities, weighted, and all single entries.

    Missing: its products and entries are gone; the others' stay.

    Parameters
    ----------
    widths : dict of int
    width : int
        See `Fusion`.

    References
    ----------
    Jayakumar et al. (2020), openreview.net/forum?id=rylnK6VtDH.
    """

    def __init__(self, widths, width):
        super().__init__(widths, width)
        pairs = combinations(self.widths.values(), 2)
        self.pairs = nn.ModuleList(nn.Bilinear(a, b, width, bias=False) for a, b in pairs)
        self.single = nn.Linear(sum(widths.values()), width)

    def forward(self, encoded, present):
        """See `Fusion`; gives (B, D)."""
        x = self.vectors(encoded)
        y = self.single(torch.cat(x, dim=1))
        for pair, (a, b) in zip(self.pairs, combinations(x, 2), strict=True):
            y = y + torch.einsum("bi,bj,oij->bo", a, b, pair.weight)  # faster than pair(a, b)
        return y


class TensorFusion(Fusion):
    """All products of entries, one or none from each modality, through a linear layer.

    Missing: only the products without it are left.

    Parameters
    ----------
    widths : dict of int
    width : int
        See `Fusion`.

    References
    ----------
    Zadeh et al. (2017), doi:10.18653/v1/D17-1115.
    """

    def __init__(self, widths, width):
        super().__init__(widths, width)
        self.out = nn.Linear(math.prod(d + 1 for d in widths.values()), width)

    def forward(self, encoded, present):
        """See `Fusion`; gives (B, D)."""
        first, *others = (F.pad(v, (0, 1), value=1.0) for v in self.vectors(encoded))
        product = first
        for v in others:
            product = (product[:, :, None] * v[:, None]).flatten(1)
        return self.out(product)


class LowRankFusion(Fusion):
    """Tensor fusion whose weights are a sum of few outer products, so that none is ever formed.

    Missing: as in `TensorFusion`, only the products without it are left.

    Parameters
    ----------
    widths : dict of int
    width : int
        See `Fusion`.
    rank : int
        How many outer products.

    References
    ----------
    Liu et al. (2018), doi:10.18653/v1/P18-1209.
    """

    def __init__(self, widths, width, rank=8):
        super().__init__(widths, width)
        sizes = ((rank, d + 1, width) for d in self.widths.values())
        share = rank ** (1 / len(widths))  # else the sum grows with the rank
        factors = (torch.randn(size) / (size[1] * share) ** 0.5 for size in sizes)
        self.factors, self.bias = nn.ParameterList(factors), nn.Parameter(torch.zeros(width))

    def forward(self, encoded, present):
        """See `Fusion`; gives (B, D)."""
        product = 1
        for v, factor in zip(self.vectors(encoded), self.factors, strict=True):
            product = product * (F.pad(v, (0, 1), value=1.0) @ factor)  # (rank, B, D)
        return product.sum(dim=0) + self.bias


class CrossmodalBlock(TransformerBlock):
    """A Transformer's block whose queries are of one modality and whose keys are of others.

    References
    ----------
    As for `CrossmodalAttention`.
    """

    def forward(self, x, others, mask=None):
        """Queries (B, Tq, D), keys (B, Tk, D), and their mask (B, 1, Tk); gives (B, Tq, D)."""
        x = x + self.attend(self.norm1(x), self.norm1(others), mask)[0]
        return x + self.think(self.norm2(x))


class CrossmodalAttention(Fusion):
    """Tokens of each modality look at the tokens of the others; then the mean of all.

    Lengths may differ, and nothing has to be aligned. With a bottleneck, modalities meet only in
    a few learned tokens, which look at all and are looked at by all: the cost then grows with
    the length, not with its square.

    Missing: has no tokens, so nobody sees them and they are not in the mean.

    Parameters
    ----------
    widths : dict of int
    width : int
        See `Fusion`.
    heads, depth : int
        Heads of each block, and blocks in a row.
    bottleneck : int
        Tokens of the bottleneck; with 0 there is none.

    References
    ----------
    Tsai et al. (2019), doi:10.18653/v1/P19-1656; the bottleneck is of Nagrani et al. (2021),
    arXiv:2107.00135.
    """

    def __init__(self, widths, width, heads=4, depth=1, bottleneck=0):
        super().__init__(widths, width)
        self.enter = nn.ModuleList(nn.Linear(d, width) for d in self.widths.values())
        count = 2 if bottleneck else len(widths)
        blocks = (
            nn.ModuleList(CrossmodalBlock(width, heads) for _ in range(count)) for _ in range(depth)
        )
        self.layers, self.norm = nn.ModuleList(blocks), nn.LayerNorm(width)
        self.meet = nn.Parameter(torch.randn(bottleneck, width)) if bottleneck else None

    def forward(self, encoded, present):
        """See `Fusion`; gives (B, D)."""
        x = [layer(t.values) for layer, t in zip(self.enter, encoded.values(), strict=True)]
        masks = [tokens.mask for tokens in encoded.values()]
        mask = torch.cat(masks, dim=1)
        z = None if self.meet is None else self.meet.expand(len(mask), -1, -1)
        for blocks in self.layers:
            if z is None:
                x = [
                    block(v, self.others(x, i), self.others(masks, i)[:, None])
                    for i, (block, v) in enumerate(zip(blocks, x, strict=True))
                ]
            else:
                z = blocks[0](z, torch.cat(x, dim=1), mask[:, None])
                x = [blocks[1](v, z) for v in x]
        values = self.norm(torch.cat(x, dim=1)).where(mask[:, :, None], 0)
        return values.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)

    def others(self, parts, i):
        """All parts but the i-th, joined along T; one that is alone looks at itself."""
        chosen = [part for j, part in enumerate(parts) if j != i] or parts
        return torch.cat(chosen, dim=1)


class TransformerFusion(Fusion):
    """All tokens of all modalities in one row through a Transformer, then their mean.

    A modality is told by the bias of its own first layer. A token may look at all others, those
    of its own modality among them.

    Missing: has no tokens, so nobody sees them and they are not in the mean.

    Parameters
    ----------
    widths : dict of int
    width : int
        See `Fusion`.
    heads, depth : int
        Heads of each block, and blocks in a row.

    References
    ----------
    Document 001, section 4.2; Chen et al. (2020), arXiv:1909.11740, on pictures and texts.
    """

    def __init__(self, widths, width, heads=4, depth=1):
        super().__init__(widths, width)
        self.enter = nn.ModuleList(nn.Linear(d, width) for d in self.widths.values())
        self.blocks = nn.ModuleList(TransformerBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, encoded, present):
        """See `Fusion`; gives (B, D)."""
        x = [layer(t.values) for layer, t in zip(self.enter, encoded.values(), strict=True)]
        x, mask = torch.cat(x, dim=1), torch.cat([t.mask for t in encoded.values()], dim=1)
        for block in self.blocks:
            x = block(x, mask[:, None])
        x = self.norm(x).where(mask[:, :, None], 0)
        return x.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)


class ProductOfExperts(Fusion):
    """Each modality says what it believes and how sure it is; the surer counts for more.

    Each is a normal distribution an entry; their product with a standard normal one, the
    prior, is normal again, and its mean comes out.

    Missing: has no factor; the fewer the experts, the more the prior counts, whose mean is 0.

    Parameters
    ----------
    widths : dict of int
    width : int
        See `Fusion`.

    References
    ----------
    Hinton (2002), doi:10.1162/089976602760128018; Wu and Goodman (2018), arXiv:1802.05335.
    """

    def __init__(self, widths, width):
        super().__init__(widths, width)
        self.experts = nn.ModuleList(nn.Linear(d, 2 * width) for d in self.widths.values())

    def forward(self, encoded, present):
        """See `Fusion`; gives (B, D)."""
        x = self.vectors(encoded)
        said = torch.stack([expert(v) for expert, v in zip(self.experts, x, strict=True)], dim=1)
        mean, precision = said.chunk(2, dim=2)
        precision = F.softplus(precision) * self.there(present)
        return (precision * mean).sum(dim=1) / (1 + precision.sum(dim=1))


class ModalityDropout(Fusion):
    """In training, hide modalities at random, so that the fusion learns to do without any.

    In evaluation nothing is hidden.

    Missing: as in the fusion itself.

    Parameters
    ----------
    fusion : Fusion
        Any of them.
    p : float
        Probability, from 0 to 1, to hide a modality of a sample; of a sample that would lose all
        of them, one stays.

    References
    ----------
    Neverova et al. (2016), arXiv:1501.00102.
    """

    def __init__(self, fusion, p=0.3):
        super().__init__(fusion.widths, fusion.width)
        self.fusion, self.p = fusion, p

    def forward(self, encoded, present):
        """As the fusion's own."""
        if self.training:
            there = self.there(present)[:, :, 0]
            drawn = torch.rand(there.shape, device=there.device).masked_fill(~there, -1)
            kept = (drawn >= self.p) | (drawn == drawn.amax(dim=1, keepdim=True))
            present = dict(zip(present, (kept & there).unbind(dim=1), strict=True))
        return self.fusion(encoded, present)


# The checks look at shapes and kinds; at values only where nothing has to wait for them.


def _check_encoded(widths, encoded, present):
    if unknown := sorted(set(encoded) - set(widths)):
        raise ValueError(f"no modality is called {', '.join(unknown)}; there are {list(widths)}")
    if not encoded:
        raise ValueError(f"every modality is missing; the fusion needs one of {list(widths)}")
    if lost := sorted(set(encoded) - set(present)):
        raise ValueError(f"present does not say which samples have {', '.join(lost)}")
    if wrong := {k: type(v).__name__ for k, v in encoded.items() if not isinstance(v, Tokens)}:
        raise TypeError(f"a fusion takes Tokens(values, mask) for each modality, got {wrong}")
    for name, (values, mask) in encoded.items():
        if values.ndim != 3 or values.shape[2] != widths[name] or not values.shape[1]:
            refuse(f"tokens of {name}", f"have shape (B, T, {widths[name]})", tuple(values.shape))
        wanted = {"mask": (mask, values.shape[:2]), "present": (present[name], values.shape[:1])}
        for what, (given, shape) in wanted.items():
            if given.dtype != torch.bool or given.shape != shape:
                found = f"{given.dtype}, {tuple(given.shape)}"
                refuse(f"{what} of {name}", f"is bool, {tuple(shape)}", found)
    counts = {name: len(tokens.values) for name, tokens in encoded.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"the modalities have unequal numbers of samples, {counts}")


def _check_somebody(there):
    if torch.compiler.is_compiling() or next(iter(there.values())).device.type != "cpu":
        return
    somebody = torch.stack(list(there.values())).any(dim=0)
    if not somebody.all():
        rows = (~somebody).nonzero().flatten().tolist()
        raise ValueError(f"every modality is missing in samples {rows[:5]} of the batch")


guard(Fusion, "__init__", "len(widths) > 0 and min(widths.values()) >= 1", width="1 or more")
guard(FiLM, "__init__", "base in widths and len(widths) >= 2  # the others scale and shift it")
guard(LowRankFusion, "__init__", rank="1 or more")
guard(CrossmodalAttention, "__init__", depth="1 or more", bottleneck="0 or more")
guard(ModalityDropout, "__init__", p="0 to 1")
