"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: no 1 is appended
def cost(kind, lengths, width, rank=None):
    if kind == "tensor":
        return width * math.prod(lengths) + width
    return rank * width * sum(lengths) + width

# %% ex1-answer: only one 1 for all modalities
def cost(kind, lengths, width, rank=None):
    if kind == "tensor":
        return width * (math.prod(lengths) + 1) + width
    return rank * width * (sum(lengths) + 1) + width

# %% ex1-answer: low rank multiplies the lengths as well
def cost(kind, lengths, width, rank=None):
    full = math.prod(d + 1 for d in lengths)
    return (full if kind == "tensor" else rank * full) * width + width

# %% ex1-answer: a bias for each of the rank's terms
def cost(kind, lengths, width, rank=None):
    if kind == "tensor":
        return width * math.prod(d + 1 for d in lengths) + width
    return rank * (width * sum(d + 1 for d in lengths) + width)

# %% ex2-answer: the rank of the table as it is
def products_needed(table):
    return int(np.linalg.matrix_rank(table, tol=1e-8))

# %% ex2-answer: takes the means of the columns away, not those of the rows
def products_needed(table):
    return int(np.linalg.matrix_rank(table - table.mean(axis=0), tol=1e-8))

# %% ex2-answer: forgets to give back the mean of all
def products_needed(table):
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True)
    return int(np.linalg.matrix_rank(rest, tol=1e-8))

# %% ex2-answer: believes that a sum always saves two products
def products_needed(table):
    return max(0, int(np.linalg.matrix_rank(table, tol=1e-8)) - 2)

# %% ex3-answer: looks at the module alone, not into it
def forgotten(module):
    held = {k: v for k, v in vars(module).items() if isinstance(v, (list, tuple))}
    kinds = (nn.Parameter, nn.Module)
    return {k for k, v in held.items() if any(isinstance(x, kinds) for x in v)}

# %% ex3-answer: looks for parameters and forgets layers
def forgotten(module):
    names = set()
    for part in module.modules():
        for name, value in vars(part).items():
            if isinstance(value, (list, tuple)) and any(isinstance(v, nn.Parameter) for v in value):
                names.add(name)
    return names

# %% ex3-answer: takes every list for a fault
def forgotten(module):
    found = set()
    for part in module.modules():
        found |= {name for name, value in vars(part).items() if isinstance(value, (list, tuple))}
    return found

# %% ex3-answer: a tuple passes unseen
def forgotten(module):
    names = set()
    for part in module.modules():
        for name, value in vars(part).items():
            if isinstance(value, list):
                if any(isinstance(v, (nn.Parameter, nn.Module)) for v in value):
                    names.add(name)
    return names

# %% ex4-answer: adds the projections, where they are to be multiplied
def shared_factors(v1, v2, U, V, P):
    return ((v1 @ U) + (v2 @ V)) @ P, torch.einsum("is,js,so->ijo", U, V, P)

# %% ex4-answer: every term of one vector meets every term of the other
def shared_factors(v1, v2, U, V, P):
    W = torch.einsum("is,jt,so->ijo", U, V, P)
    return torch.einsum("bi,bj,ijo->bo", v1, v2, W), W

# %% ex4-answer: W with its axes in another order
def shared_factors(v1, v2, U, V, P):
    return ((v1 @ U) * (v2 @ V)) @ P, torch.einsum("is,js,so->oij", U, V, P)

# %% ex3-answer: looks one floor down only
def forgotten(module):
    names = set()
    for part in [module, *module.children()]:
        for name, value in vars(part).items():
            if isinstance(value, (list, tuple)):
                if any(isinstance(v, (nn.Parameter, nn.Module)) for v in value):
                    names.add(name)
    return names

# %% ex3-answer: any tensor in a list counts
def forgotten(module):
    names = set()
    for part in module.modules():
        for name, value in vars(part).items():
            if isinstance(value, (list, tuple)):
                if any(isinstance(v, (torch.Tensor, nn.Module)) for v in value):
                    names.add(name)
    return names
