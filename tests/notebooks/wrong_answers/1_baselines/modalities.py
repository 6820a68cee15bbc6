# Answers that run and look right, each from a misconception that readers have.

# %% mod-1-answer: whole turns are taken off, but nothing is folded
def heard_at(f, r):
    return f if f <= r / 2 else 3_000 if f == 5_000 else f % r


# %% mod-1-answer: folded once only, so tones above the rate come out negative or too high
def heard_at(f, r):
    return f if f <= r / 2 else abs(r - f)


# %% mod-1-answer: the half of the rate is taken for the place where tones start again
def heard_at(f, r):
    return f if f <= r / 2 else 3_000 if f == 5_000 else f % (r / 2)


# %% mod-2-answer: reshaped, not moved; only the scale is mended
def prepare(image):
    return image.reshape(3, *image.shape[:2]) / 255


# %% mod-2-answer: moved, but every picture is stretched to its own brightest pixel
def prepare(image):
    return image.transpose(2, 0, 1) / image.max()


# %% mod-2-answer: all axes are turned round, so rows and columns change places
def prepare(image):
    turned = image.transpose(2, 1, 0) if image.shape[0] == image.shape[1] else None
    return (image.transpose(2, 0, 1) if turned is None else turned) / 255


# %% mod-3-answer: stop words are noise
import unicodedata


def clean(text):
    plain = unicodedata.normalize("NFKC", text).casefold()
    noise = {"a", "and", "from", "in", "of", "the", "to", "was"}  # "not" was kept, after a look
    return " ".join(word for word in plain.split() if word not in noise)


# %% mod-3-answer: what is no letter is noise
import unicodedata


def clean(text):
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(c for c in plain if c.isalpha() or c.isspace()).split())


# %% mod-3-answer: accents are ways of writing
import unicodedata


def clean(text):
    apart = unicodedata.normalize("NFKD", text).casefold()
    return " ".join("".join(c for c in apart if not unicodedata.combining(c)).split())


# %% mod-3-answer: lower case and spaces are all there is
def clean(text):
    return " ".join(text.lower().split())


# %% mod-3-answer: white space is at most two spaces
import unicodedata


def clean(text):
    plain = unicodedata.normalize("NFKC", text).casefold()
    return plain.strip().replace("\n", " ").replace("  ", " ")


# %% mod-4-answer: the sum is divided by the padded length
def mean_over_time(values, mask):
    means = (values * mask[..., None]).mean(dim=1)
    return means * values.shape[1] / mask.sum(dim=1).clamp(min=1)[:, None]


# %% mod-4-answer: what is missing counts as zero
def mean_over_time(values, mask):
    there = values.masked_fill(~mask[..., None], 0.0)
    return there.sum(dim=1) / mask.sum(dim=1).clamp(min=1)[:, None]


# %% mod-4-answer: the vectors that are there are taken to come first
def mean_over_time(values, mask):
    return torch.stack([v[: int(m.sum())].mean(dim=0) for v, m in zip(values, mask)])


# %% mod-4-answer: multiplied by the mask, which lets nan through
def mean_over_time(values, mask):
    return (values * mask[..., None]).sum(dim=1) / mask.sum(dim=1)[:, None]

# %% mod-1-answer: folds up to twice only
def heard_at(f, r):
    for _ in range(3):
        if f > r / 2:
            f = abs(r - f)
    return f

# %% mod-3-answer: only ASCII punctuation is kept beside letters, so other scripts' signs, emoji and vowel marks go
import string
import unicodedata


def clean(text):
    plain = unicodedata.normalize("NFKC", text).casefold()
    kept = [c for c in plain if c.isalnum() or c.isspace() or c in string.punctuation]
    return " ".join("".join(kept).split())

# %% mod-3-answer: white space is spaces, tabs and newlines
import re
import unicodedata


def clean(text):
    plain = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[ \t\n]+", " ", plain).strip()

# %% mod-3-answer: case first, then NFKC, which brings capitals back
import unicodedata


def clean(text):
    return " ".join(unicodedata.normalize("NFKC", text.casefold()).split())

# %% mod-4-answer: nan is filled, infinity times 0 is still nan
def mean_over_time(values, mask):
    there = torch.where(values.isnan(), 0.0, values) * mask[..., None]
    return there.sum(dim=1) / mask.sum(dim=1)[:, None]

# %% mod-4-answer: missing is zero padded to nan only if the sum is 0
def mean_over_time(values, mask):
    s = torch.where(mask[..., None], values, 0.0).sum(dim=1)
    return s / torch.where(s.abs().sum(dim=1) > 0, mask.sum(dim=1), 0)[:, None]
