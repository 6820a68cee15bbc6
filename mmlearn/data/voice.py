"""Labelled speech for any words, made by eSpeak NG: synthetic, and said to be so."""

from __future__ import annotations

import inspect
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmlearn.checks import refuse
from mmlearn.data import espeak, store, unpack
from mmlearn.data.samples import Dataset

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Six drawn after men and six after women, of the 104 variants that eSpeak NG has.
VARIANTS = (
    "adam", "Andrea", "boris", "Annie", "Lee", "belinda",
    "Michael", "linda", "max", "steph", "victor", "f2",
)  # fmt: skip


def known_voices() -> list[str]:
    """The names of all 104 voices that `voices` can use."""
    folder = unpack.bundle("espeak") / "espeak-ng-data" / "voices" / "!v"
    return sorted(path.name for path in folder.iterdir())


def voices(
    words: Sequence[str] = DIGITS,
    variants: Sequence[str] = VARIANTS,
    language: str = "en-us",
    speeds: Sequence[int] = (160,),
    pitches: Sequence[int] = (50,),
    rate: int = 22_050,
) -> Dataset:
    """Every word in every voice, at every speed and pitch; kept on disk.

    Nobody spoke: a program made the sound (``simulated`` is True). The same call gives the same
    bytes on one platform. About a thousand words a second.

    Parameters
    ----------
    words : list of str
        Words or sentences; they are the classes.
    variants : list of str
        Voices, of `known_voices`.
    language : str
        One of eSpeak NG's: ``en-us``, ``de``, ``fr``, ``cmn`` (Mandarin), …
    speeds : list of int
        Words a minute, 80 to 450.
    pitches : list of int
        0 to 99; 50 is the voice's own.
    rate : int
        Samples a second; eSpeak's own are 22,050, `spoken_digits` were recorded at 8,000, and
        Whisper hears 16,000.

    Returns
    -------
    Dataset
        ``sound``: a list of vectors of float32 in -1…1; groups ``voice``, ``speed``, ``pitch``.

    Raises
    ------
    ValueError
        If a word is empty or given twice, a voice unknown, or a number out of its range.
    DataError
        If eSpeak NG does not know the language.
    """
    words = list(words)
    if not words or not all(word.strip() and "\0" not in word for word in words):
        raise ValueError("words has to hold at least one text, and no empty one")
    if len(set(words)) < len(words):
        raise ValueError("a word stands twice in words; each is a class")
    folder = unpack.bundle("espeak")
    if unknown := set(variants) - set(known := known_voices()):
        raise ValueError(f"no voice is called {', '.join(unknown)}; there are: {', '.join(known)}")
    for name, numbers, low, high in (("speeds", speeds, 80, 450), ("pitches", pitches, 0, 99)):
        if not all(low <= number <= high for number in numbers):
            refuse(name, f"are from {low} to {high}", tuple(numbers))
    if not 1_000 <= rate <= 48_000:
        refuse("rate", "is from 1,000 to 48,000 samples a second", rate)

    order = list(itertools.product(variants, speeds, pitches, words))
    utterances = [[f"{language}+{voice}", *others] for voice, *others in order]

    def write(kept: Path, scratch: Path) -> None:
        sounds = _speak(folder, utterances, rate, scratch)
        lengths = np.array([len(sound) for sound in sounds])
        np.savez(kept / "sounds.npz", samples=np.concatenate(sounds), lengths=lengths)

    code = [inspect.getsource(espeak), inspect.getsource(_speak)]
    key = store.key(unpack.bundle_key("espeak"), code, utterances, rate)
    with np.load(store.stored("voices", key, write) / "sounds.npz") as file:
        samples = file["samples"].astype(np.float32) / 32_768
        sounds = np.split(samples, np.cumsum(file["lengths"])[:-1])
    voice, speed, pitch, _ = map(np.array, zip(*order, strict=True))
    groups = {"voice": voice, "speed": speed, "pitch": pitch}
    label = np.arange(len(order)) % len(words)  # of all that varies, words vary fastest
    return Dataset("voices", {"sound": sounds}, label, words, groups, simulated=True, rate=rate)


def _speak(folder: Path, utterances: list[list], rate: int, scratch: Path) -> list[np.ndarray]:
    """Samples of 16 bits of each utterance, spoken in a process of their own."""
    from scipy.signal import resample_poly

    (library,) = folder.glob("library.*")
    job = {
        "library": str(library),
        "data": ".",  # the folder it runs in: the library takes no long path
        "utterances": utterances,
        "output": str(scratch / "samples"),
    }
    (scratch / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-I", espeak.__file__, str(scratch / "job.json")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise store.DataError(f"eSpeak NG could not speak: {done.stderr.strip()}")
    own, counts = json.loads(done.stdout)
    sounds = np.split(np.fromfile(scratch / "samples", np.int16), np.cumsum(counts)[:-1])
    if rate != own:
        common = math.gcd(rate, own)
        changed = (resample_poly(s.astype(float), rate // common, own // common) for s in sounds)
        sounds = [np.clip(s.round(), -32_768, 32_767).astype(np.int16) for s in changed]
    return sounds
