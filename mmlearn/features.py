"""Text, pictures and sound as arrays that a classic classifier can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

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
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if len(train) == 0:
        raise ValueError("there is no text to learn the words from")
    vectoriser = TfidfVectorizer(**options)
    learnt = vectoriser.fit_transform(train)
    return vectoriser, [learnt, *(vectoriser.transform(texts) for texts in others)]


def pixels(images: np.ndarray) -> np.ndarray:
    """Pictures (n, height, width, ...) as rows of pixels (n, d), in 0 to 1.

    Integers are taken as 0 to 255; floats stay as they are.

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


def mfcc(wave: np.ndarray, rate: int, coefficients: int = 13) -> np.ndarray:
    """A waveform as mel-frequency cepstral coefficients, by librosa.

    Parameters
    ----------
    wave, rate
        As for `mel`, with the same errors.
    coefficients : int
        How many to keep.

    Returns
    -------
    array of shape (T, coefficients)
        The cosine transform of `mel` over its bands, row by row.
    """
    import librosa

    return librosa.feature.mfcc(S=mel(wave, rate).T, n_mfcc=coefficients).T


def mel(wave: np.ndarray, rate: int, bands: int = 64) -> np.ndarray:
    """A waveform as loudness in bands of pitch, by librosa.

    Parameters
    ----------
    wave : array of shape (samples,)
        Sound pressure, -1 to 1.
    rate : int
        Samples a second.
    bands : int
        Bands, evenly spaced in the mel scale.

    Returns
    -------
    array of shape (T, bands)
        Decibels below the loudest, at least -80; one row for every 25 milliseconds.

    Raises
    ------
    ValueError
        If the wave is not one-dimensional, is empty, or holds NaN.
    """
    import librosa

    wave = np.asarray(wave, dtype=np.float32)
    if wave.ndim != 1 or len(wave) == 0 or not np.isfinite(wave).all():
        raise ValueError(f"wave has shape (samples,), not empty, no NaN; got {wave.shape}")
    hop = rate // 40
    power = librosa.feature.melspectrogram(
        y=wave, sr=rate, n_fft=2 * hop, hop_length=hop, n_mels=bands
    )
    return librosa.power_to_db(power, ref=np.max, top_db=80).T
