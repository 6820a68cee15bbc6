"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: the triangle, over the picture too
def prefix_mask(seen, places, words):
    is_word = torch.arange(places + words) >= places
    return causal(places + words) & (seen[:, None, None] | is_word)

# %% ex1-answer: everybody sees everybody, words behind them too
def prefix_mask(seen, places, words):
    is_word = torch.arange(places + words) >= places
    look = torch.ones(places + words, places + words) > 0
    return look & (seen[:, None, None] | is_word)

# %% ex1-answer: image tokens read the words as well
def prefix_mask(seen, places, words):
    look = causal(places + words)
    look[:places] = True
    is_word = torch.arange(places + words) >= places
    return look & (seen[:, None, None] | is_word)

# %% ex1-answer: rows are hidden where columns should be, so words still see a picture that is shut
def prefix_mask(seen, places, words):
    look = causal(places + words)
    look[:places, :places] = True
    is_word = torch.arange(places + words) >= places
    return look & (seen[:, None, None] | is_word[:, None])

# %% ex2-answer: the answers' own places are scored, the targets alone are shifted
def answer_loss(scores, ids, asked):
    these = asked[:, :-1]
    return F.cross_entropy(scores[:, :-1][these], ids[:, 1:][these])

# %% ex2-answer: all words count, questions and padding among them
def answer_loss(scores, ids, asked):
    return F.cross_entropy(scores[:, :-1].flatten(0, 1), ids[:, 1:].flatten())

# %% ex2-answer: a mean of the rows' means
def answer_loss(scores, ids, asked):
    rows = []
    for s, i, a in zip(scores[:, :-1], ids[:, 1:], asked[:, 1:]):
        if a.any():
            rows.append(F.cross_entropy(s[a], i[a]))
    return torch.stack(rows).mean()

# %% ex3-answer: what is named twice counts twice
def chair(captions, truth, known):
    named = [[w for w in words if w in known] for words in captions]
    wrong = [[w for w in n if w not in t] for n, t in zip(named, truth)]
    return sum(map(len, wrong)) / max(sum(map(len, named)), 1), sum(map(bool, wrong)) / len(wrong)

# %% ex3-answer: a mean of the captions' own shares
def chair(captions, truth, known):
    named = [set(words) & known for words in captions]
    wrong = [n - t for n, t in zip(named, truth)]
    each = [len(w) / max(len(n), 1) for w, n in zip(wrong, named)]
    return sum(each) / len(each), sum(map(bool, wrong)) / len(wrong)

# %% ex3-answer: every word that is not there counts, known or not
def chair(captions, truth, known):
    named = [set(words) for words in captions]
    wrong = [n - t for n, t in zip(named, truth)]
    return sum(map(len, wrong)) / max(sum(map(len, named)), 1), sum(map(bool, wrong)) / len(wrong)

# %% ex4-answer: as if both kinds of question were equally many
def reported(hit, alarm, share):
    return (hit + 1 - alarm) / 2, 2 * hit / (hit + alarm + 1)

# %% ex4-answer: the F1 of what it says yes to, with recall in place of precision
def reported(hit, alarm, share):
    return share * hit + (1 - share) * (1 - alarm), hit

# %% ex5-answer: a difference of probabilities, not of their logarithms
def contrasted(p, q, alpha, cut):
    score = np.where(p >= cut * p.max(), np.maximum((1 + alpha) * p - alpha * q, 0), 0)
    return score / score.sum()

# %% ex5-answer: cuts by what the words alone would say
def contrasted(p, q, alpha, cut):
    score = np.where(q >= cut * q.max(), p ** (1 + alpha) / q**alpha, 0)
    return score / score.sum()

# %% ex5-answer: keeps the words that are likely, and takes the contrast for a distribution
def contrasted(p, q, alpha, cut):
    return np.where(p >= cut * p.max(), p ** (1 + alpha) / q**alpha, 0)

# %% ex5-answer: cuts by what the contrast gives, not by what is likely with the picture
def contrasted(p, q, alpha, cut):
    score = p ** (1 + alpha) / q**alpha
    score = np.where(score >= cut * score.max(), score, 0)
    return score / score.sum()

# %% ex5-answer: a word exactly at the limit falls
def contrasted(p, q, alpha, cut):
    raw = np.where(p > cut * p.max(), p ** (1 + alpha) / q**alpha, 0.0)
    return raw / raw.sum()
