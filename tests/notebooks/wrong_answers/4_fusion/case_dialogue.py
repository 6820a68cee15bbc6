"""Wrong answers to the exercises of the chapter; see tools/exercises.py."""

# %% ex1-answer: the stage alone, as if the others were perfect
def gained_by_worst(a, b, c):
    return 1 - min(a, b, c)

# %% ex1-answer: the best stage is made perfect
def gained_by_worst(a, b, c):
    return a * b * c / max(a, b, c) - a * b * c

# %% ex1-answer: what is right afterwards, not what is gained
def gained_by_worst(a, b, c):
    return a * b * c / min(a, b, c)

# %% ex2-answer: compares dialogues, as before
def right_after_wrong(right):
    return right[1:][~right[:-1]].mean()

# %% ex2-answer: after a right one
def right_after_wrong(right):
    return right[:, 1:][right[:, :-1]].mean()

# %% ex2-answer: divides by all turns
def right_after_wrong(right):
    return (right[:, 1:] & ~right[:, :-1]).mean()

# %% ex3-answer: the likeliest words are taken to make the likeliest sentence
def two_ways(chances):
    written, word = (), ""
    while word != "end":
        p = chances(written)
        word = max(p, key=p.get)
        written += (word,) if word != "end" else ()
    return written, written

# %% ex3-answer: a mean of logarithms a word, which favours long sentences
def two_ways(chances):
    written, word = (), ""
    while word != "end":
        p = chances(written)
        word = max(p, key=p.get)
        written += (word,) if word != "end" else ()
    best, most, begun = (), -np.inf, [((), 0.0)]
    while begun:
        words_, so_far = begun.pop()
        for word, p in chances(words_).items():
            log = so_far + np.log(max(p, 1e-300))
            if word != "end":
                begun.append(((*words_, word), log))
            elif log / (len(words_) + 1) > most:
                best, most = words_, log / (len(words_) + 1)
    return written, best

# %% ex3-answer: the end costs nothing
def two_ways(chances):
    written, word = (), ""
    while word != "end":
        p = chances(written)
        word = max(p, key=p.get)
        written += (word,) if word != "end" else ()
    best, most, begun = (), 0.0, [((), 1.0)]
    while begun:
        words_, so_far = begun.pop()
        for word, p in chances(words_).items():
            if word != "end":
                begun.append(((*words_, word), so_far * p))
            elif so_far > most:
                best, most = words_, so_far
    return written, best

# %% ex3-answer: only the two likeliest beginnings are kept
def two_ways(chances):
    def search(width):
        kept, ended = [((), 1.0)], []
        while kept:
            tried = [((*s, w), p * q) for s, p in kept for w, q in chances(s).items()]
            tried = sorted(tried, key=lambda one: -one[1])[:width]
            ended += [(s[:-1], p) for s, p in tried if s[-1] == "end"]
            kept = [(s, p) for s, p in tried if s[-1] != "end"]
        return max(ended, key=lambda one: one[1])[0]

    return search(1), search(2)

# %% ex4-answer: each turn for itself
def without_error_so_far(right):
    return right.mean(axis=0)

# %% ex4-answer: as if turns were independent
def without_error_so_far(right):
    return np.cumprod(right.mean(axis=0))

# %% ex4-answer: one right turn is enough
def without_error_so_far(right):
    return np.logical_or.accumulate(right, axis=1).mean(axis=0)

# %% ex3-answer: the ten likeliest beginnings
def two_ways(chances):
    def search(width):
        kept, ended = [((), 1.0)], []
        while kept:
            tried = [((*s, w), p * q) for s, p in kept for w, q in chances(s).items()]
            tried = sorted(tried, key=lambda one: -one[1])[:width]
            ended += [(s[:-1], p) for s, p in tried if s[-1] == "end"]
            kept = [(s, p) for s, p in tried if s[-1] != "end"]
        return max(ended, key=lambda one: one[1])[0]
    return search(1), search(10)

# %% ex3-answer: sentences of at most five words
def two_ways(chances):
    written, word = (), ""
    while word != "end":
        p = chances(written)
        word = max(p, key=p.get)
        written += (word,) if word != "end" else ()
    best, most, begun = (), 0.0, [((), 1.0)]
    for _ in range(6):
        nxt = []
        for words_, so_far in begun:
            for word, p in chances(words_).items():
                if word != "end":
                    nxt.append(((*words_, word), so_far * p))
                elif so_far * p > most:
                    best, most = words_, so_far * p
        begun = nxt
    return written, best

# %% ex3-answer: first word by choice, then greedily on
def two_ways(chances):
    def greedy(words, so_far):
        while True:
            p = chances(words)
            word = max(p, key=p.get)
            so_far *= p[word]
            if word == "end":
                return words, so_far
            words += (word,)
    first = [greedy((w,), p) for w, p in chances(()).items() if w != "end"]
    first.append(((), chances(()).get("end", 0)))
    return greedy((), 1.0)[0], max(first, key=lambda x: x[1])[0]
