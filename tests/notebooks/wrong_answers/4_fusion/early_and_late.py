"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: the pattern for (1, 1), whatever was asked for
def three_of_four(wrong):
    return 1, 1, 1

# %% ex1-answer: the weights point at the combination, each by its own sign
def three_of_four(wrong):
    p, q = wrong
    return p, q, 1

# %% ex1-answer: no threshold, so the score is zero where the bits differ
def three_of_four(wrong):
    p, q = wrong
    return q, p, 0

# %% ex2-answer: multiplies the verdicts and forgets the shares
def multiply(verdicts, there, prior):
    p = np.where(there[:, :, None], verdicts, 1).prod(axis=1)
    return p / p.sum(axis=1, keepdims=True)

# %% ex2-answer: divides the shares out once, however many verdicts there are
def multiply(verdicts, there, prior):
    p = np.where(there[:, :, None], verdicts, 1).prod(axis=1) / prior
    return p / p.sum(axis=1, keepdims=True)

# %% ex2-answer: whoever is missing is counted with its verdict
def multiply(verdicts, there, prior):
    p = prior * (verdicts / prior).prod(axis=1)
    return p / p.sum(axis=1, keepdims=True)

# %% ex2-answer: the mean of the verdicts instead of their product
def multiply(verdicts, there, prior):
    p = np.where(there[:, :, None], verdicts, 0).sum(axis=1) + 1e-12 * prior
    return p / p.sum(axis=1, keepdims=True)

# %% ex3-answer: looks at the first group alone
def left_out(model, optimiser):
    known = {id(p) for p in optimiser.param_groups[0]["params"]}
    parts = {f"encoders.{name}": part for name, part in model.encoders.items()}
    parts |= {"fusion": model.fusion, "head": model.head}
    return [
        name
        for name, part in parts.items()
        if any(p.requires_grad and id(p) not in known for p in part.parameters())
    ]

# %% ex3-answer: names a part only if none of its parameters learns
def left_out(model, optimiser):
    known = {id(p) for group in optimiser.param_groups for p in group["params"]}
    parts = {f"encoders.{name}": part for name, part in model.encoders.items()}
    parts |= {"fusion": model.fusion, "head": model.head}
    return [
        name
        for name, part in parts.items()
        if not any(id(p) in known for p in part.parameters() if p.requires_grad)
    ]

# %% ex3-answer: takes equal values for the same parameter
def left_out(model, optimiser):
    known = [p for group in optimiser.param_groups for p in group["params"]]
    parts = {f"encoders.{name}": part for name, part in model.encoders.items()}
    parts |= {"fusion": model.fusion, "head": model.head}
    return [
        name
        for name, part in parts.items()
        if any(
            p.requires_grad and not any(p.shape == k.shape and bool((p == k).all()) for k in known)
            for p in part.parameters()
        )
    ]

# %% ex3-answer: what is frozen counts as forgotten
def left_out(model, optimiser):
    known = {id(p) for group in optimiser.param_groups for p in group["params"]}
    parts = {f"encoders.{name}": part for name, part in model.encoders.items()}
    parts |= {"fusion": model.fusion, "head": model.head}
    return [
        name
        for name, part in parts.items()
        if any(id(p) not in known for p in part.parameters())
    ]

# %% ex4-answer: takes the sensors for independent
from scipy.stats import norm


def wrong(M, s, rho):
    return norm.cdf(-np.sqrt(M) / s)

# %% ex4-answer: the correlation between two instead of among all
from scipy.stats import norm


def wrong(M, s, rho):
    return norm.cdf(-1 / (s * np.sqrt((1 + rho) / M)))

# %% ex4-answer: divides the variance by M twice, as if the correlated part fell as well
from scipy.stats import norm


def wrong(M, s, rho):
    return norm.cdf(-1 / (s * np.sqrt((1 - rho) / M + rho / M)))

# %% ex3-answer: looks at the last parameter of each part
def left_out(model, optimiser):
    parts = {f"encoders.{n}": e for n, e in model.encoders.items()}
    parts |= {"fusion": model.fusion, "head": model.head}
    known = {id(p) for g in optimiser.param_groups for p in g["params"]}
    found = []
    for n, e in parts.items():
        ps = [p for p in e.parameters() if p.requires_grad]
        if ps and id(ps[-1]) not in known:
            found.append(n)
    return found

# %% ex3-answer: a part is frozen if its first parameter is
def left_out(model, optimiser):
    parts = {f"encoders.{n}": e for n, e in model.encoders.items()}
    parts |= {"fusion": model.fusion, "head": model.head}
    known = {id(p) for g in optimiser.param_groups for p in g["params"]}
    found = []
    for n, e in parts.items():
        ps = list(e.parameters())
        if ps and all(p.requires_grad for p in ps) and any(id(p) not in known for p in ps):
            found.append(n)
    return found
