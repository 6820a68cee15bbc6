"""Speak texts with eSpeak NG: one process that speaks them in order and ends.

The library keeps a state between two utterances, so the same text sounds a little different each
time it is said, and differently after another text. A new process that speaks the same list in
the same order gives the same bytes.

Called by `mmlearn.data.voices` as a script, with a JSON file of what to do; needs nothing but the
standard library.
"""

from __future__ import annotations

import array
import ctypes
import json
import sys
from pathlib import Path

RETRIEVE, UTF8 = 2, 1  # give the samples to our function, at once; how texts are encoded
SPEED, PITCH = 1, 3  # numbers of the library's parameters


def speak(job: dict) -> None:
    """Write the samples of every utterance to ``job["output"]``, one after another.

    They have 16 bits, in the machine's byte order. What is printed, in JSON, are the sampling
    rate and the utterances' numbers of samples.
    """
    library = ctypes.CDLL(job["library"])
    heard, counts = array.array("h"), []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def listen(samples, count, _events):  # type: ignore[no-untyped-def]
        if samples:
            heard.frombytes(ctypes.string_at(samples, 2 * count))
        return 0

    rate = library.espeak_Initialize(RETRIEVE, 0, job["data"].encode(), 0)
    if rate <= 0:
        sys.exit(f"eSpeak NG finds no data in {job['data']}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(0))
    library.espeak_SetSynthCallback(listen)
    with Path(job["output"]).open("wb") as file:
        for voice, speed, pitch, text in job["utterances"]:
            if library.espeak_SetVoiceByName(voice.encode()):
                sys.exit(f"eSpeak NG has no voice {voice!r}")
            library.espeak_SetParameter(SPEED, speed, 0)
            library.espeak_SetParameter(PITCH, pitch, 0)
            del heard[:]
            spoken = text.encode() + b"\0"
            library.espeak_Synth(spoken, ctypes.c_size_t(len(spoken)), 0, 0, 0, UTF8, None, None)
            library.espeak_Synchronize()
            counts.append(len(heard))
            heard.tofile(file)
    print(json.dumps([rate, counts]))


if __name__ == "__main__":
    speak(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
