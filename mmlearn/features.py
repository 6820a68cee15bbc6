"""Text, pictures and sound as arrays that a model can read.

What the book teaches stands on its pages as it stands here, so types and shapes are in the
docstrings there, not in annotations.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mmlearn.checks import checked, guard

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer


def tfidf(
    train: Sequence[str], *others: Sequence[str], **options: object
) -> tuple[TfidfVectorizer, list[csr_matrix]]:
    """Texts as rows of word weights: frequent here, rare elsewhere.

    Parameters
    ----------
    train : sequence of str
        Texts from which the words and their rarity are learnt.
    *others : sequences of str
        Further texts, described in the same words.
    **options
        For scikit-learn's TfidfVectorizer: ``stop_words``, ``max_features``, ...

    Returns
    -------
    vectoriser : TfidfVectorizer
    matrices : list of sparse matrices of shape (n, words)
        One for `train`, then one for each of `others`.

    Raises
    ------
    ValueError
        If there is no text, or no word is left.

    References
    ----------
    Spärck Jones (1972), doi:10.1108/eb026526.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if len(train) == 0:
        raise ValueError("there is no text to learn the words from")
    vectoriser = TfidfVectorizer(**options)
    learnt = vectoriser.fit_transform(train)
    return vectoriser, [learnt, *(vectoriser.transform(texts) for texts in others)]


def pixels(images: np.ndarray) -> np.ndarray:
    """Pictures as rows of pixels, in 0 to 1.

    Parameters
    ----------
    images : array of shape (n, height, width, ...)
        Integers are taken as 0 to 255; floats stay as they are.

    Returns
    -------
    array of shape (n, d)

    Raises
    ------
    ValueError
        If `images` has fewer than three axes.
    """
    images = np.asarray(images)
    if images.ndim < 3:
        raise ValueError(f"images has shape (n, height, width, ...), got {images.shape}")
    scale = 255 if np.issubdtype(images.dtype, np.integer) else 1
    return images.reshape(len(images), -1) / np.float32(scale)


def summary(sequences: Sequence[np.ndarray]) -> np.ndarray:
    """Sequences of frames, each (T, d) with its own T, as rows of one length (n, 3 d).

    A row holds the mean and the standard deviation over time of every coefficient, and how much
    it rises from the first half to the second.

    Parameters
    ----------
    sequences : sequence of arrays (T, d)

    Returns
    -------
    array of shape (n, 3 d)

    Raises
    ------
    ValueError
        If there is no sequence, one has no frame, or they differ in d.
    """
    widths = {np.shape(s)[1:] for s in sequences}
    if len(widths) != 1 or len(next(iter(widths))) != 1 or min(map(len, sequences)) == 0:
        raise ValueError(f"sequences are of shape (T, d) with one d and T of 1 or more: {widths}")
    rows = []
    for s in sequences:
        half = max(1, len(s) // 2)
        rise = s[-half:].mean(axis=0) - s[:half].mean(axis=0)
        rows.append(np.concatenate([s.mean(axis=0), s.std(axis=0), rise]))
    return np.stack(rows)


class Vocabulary:
    """Words as numbers: learnt from the training texts, then fixed.

    Number 0 pads, as `mmlearn.data.collate` does; 1 stands for every token that was not learnt.

    Parameters
    ----------
    texts : sequence of str
        The training texts, and no others.
    split : callable
        Cuts a text into tokens: ``str.split`` at white space, ``list`` into characters.
    least : int
        How often a token has to occur to be learnt.

    Attributes
    ----------
    tokens : list of str
        In the order of their numbers: the two special ones, then the learnt ones, sorted.
    number : dict
        The number of each.

    Raises
    ------
    ValueError
        If no token is learnt.
    """

    def __init__(self, texts, split=str.split, least=1):
        counts = Counter(token for text in texts for token in split(text))
        learnt = sorted(token for token in counts if counts[token] >= least)
        self.split, self.tokens = split, ["<pad>", "<unknown>", *learnt]
        self.number = {token: i for i, token in enumerate(self.tokens)}

    def __len__(self):
        """How many numbers there are, the two special ones among them."""
        return len(self.tokens)

    def encode(self, text):
        """The numbers of a text's tokens, of shape (T,)."""
        return np.array([self.number.get(t, 1) for t in self.split(text)], dtype=int)

    def decode(self, numbers):
        """The tokens, as a list."""
        return [self.tokens[i] for i in numbers]


def power_spectrum(wave, size, hop):
    """How much of each frequency a sound holds, frame by frame (a short-time Fourier transform).

    Parameters
    ----------
    wave : array of shape (samples,)
        Padded with zeros at both ends, so that frame t is centred on sample ``t * hop``.
    size : int
        Samples in a frame, which a Hann window fades in and out.
    hop : int
        Samples from one frame to the next.

    Returns
    -------
    array of shape (T, size // 2 + 1)
        Squared magnitudes; column k belongs to ``k * rate / size`` hertz, and T is
        ``1 + samples // hop`` for an even size.

    Raises
    ------
    ValueError
        If the wave is not one-dimensional, is empty or holds NaN, or size or hop is too small.
    """
    frames = sliding_window_view(np.pad(wave, size // 2), size)[::hop]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return np.abs(np.fft.rfft(frames * window)) ** 2


def mel_filters(rate, size, bands):
    """Triangles that gather frequencies into bands, as wide as the ear's steps of pitch.

    Parameters
    ----------
    rate : int
        Samples a second.
    size : int
        Samples in a frame.
    bands : int
        Triangles, evenly spaced from 0 to rate / 2 on the mel scale,
        ``2595 * log10(1 + hertz / 700)``. Each rises from 0 to 1 where the one before it falls.

    Returns
    -------
    array of shape (bands, size // 2 + 1)
        ``spectrum @ mel_filters(...).T`` has shape (T, bands).

    Raises
    ------
    ValueError
        If one of the numbers is too small.

    References
    ----------
    The scale is that of the Hidden Markov Model Toolkit (librosa's ``htk=True``, ``norm=None``).
    """
    hertz = np.arange(size // 2 + 1) * rate / size
    mels = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    rise = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall))


def decibels(power, span=80):
    """Power on the scale on which we hear: ten decibels more are ten times the power.

    Parameters
    ----------
    power : array
        Not negative; 1 becomes 0 decibels. What is below 1e-10 counts as that.
    span : float
        Decibels below the loudest entry at which everything is cut off.

    Returns
    -------
    array of the same shape

    Raises
    ------
    ValueError
        If it is empty, negative anywhere, or holds NaN.
    """
    loud = 10 * np.log10(np.maximum(power, 1e-10))
    return np.maximum(loud, loud.max() - span)


def mel(wave, rate, bands=64):
    """A waveform as loudness in bands of pitch.

    Parameters
    ----------
    wave : array of shape (samples,)
        Sound pressure, -1 to 1.
    rate : int
        Samples a second.
    bands : int
        Bands, evenly spaced on the mel scale.

    Returns
    -------
    array of shape (T, bands)
        Decibels, none more than 80 below the loudest; one row for every 25 milliseconds, made
        from the 50 around it.

    Raises
    ------
    ValueError
        If the wave is not one-dimensional, is empty, or holds NaN.
    """
    hop = rate // 40
    power = power_spectrum(wave, 2 * hop, hop)
    return decibels(power @ mel_filters(rate, 2 * hop, bands).T)


def mfcc(wave, rate, coefficients=13, bands=64):
    """A waveform as mel-frequency cepstral coefficients.

    Parameters
    ----------
    wave, rate, bands
        As for `mel`, with the same errors. At 8,000 hertz and with 128 bands these are, but for
        the edges, the conventions of the data set ``spoken_digits``.
    coefficients : int
        How many to keep, at most `bands`.

    Returns
    -------
    array of shape (T, coefficients)
        The orthonormal cosine transform of `mel` over its bands, row by row.

    References
    ----------
    Davis and Mermelstein (1980), doi:10.1109/TASSP.1980.1163420.
    """
    loud = mel(wave, rate, bands)
    waves = np.outer(np.arange(coefficients), np.arange(bands) + 0.5)
    basis = np.sqrt(2 / bands) * np.cos(np.pi * waves / bands)
    basis[0] /= np.sqrt(2)
    return loud @ basis.T


# What follows guards the definitions above against input that would give a wrong answer without
# a word.


def _vocabulary(texts, split):
    if isinstance(texts, str):
        raise ValueError("texts is one text; give a list of them")
    texts = list(texts)
    if not any(split(text) for text in texts):
        raise ValueError(f"there is no token in the {len(texts)} texts to learn from")
    return {"texts": texts}


guard(Vocabulary, "__init__", _vocabulary)
power_spectrum = checked(wave="samples real", size="2 or more", hop="1 or more")(power_spectrum)
mel_filters = checked(rate="above 0", size="2 or more", bands="1 or more")(mel_filters)
decibels = checked("power.size > 0", "power.min() >= 0", power="... real")(decibels)
mel = checked("rate >= 40  # a frame of less is empty")(mel)
mfcc = checked("1 <= coefficients <= bands")(mfcc)
