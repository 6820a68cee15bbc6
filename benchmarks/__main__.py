"""`make bench`: equal values first, then both in turn, in one process on one thread.

Each repeat runs ours and the peer's, whichever is first changing every time, so that what else
the machine does falls on both. Medians, minima and their ratio go to `_build/bench.json`, and a
whole run to `benchmarks/measured.json`, which the site shows; all times go to
`_build/bench.pyperf.json`, which `pyperf` can compare with another run's.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from tqdm import tqdm

import mmlearn as mm
from benchmarks.jobs import JOBS, Job

REPEATS, SHORTEST = 11, 0.02  # repeats of each, and seconds that one takes at least
BUILD = Path(__file__).resolve().parents[1] / "_build"
LIBRARIES = (
    "torch", "numpy", "scikit-learn", "micrograd", "open_clip_torch", "captum", "shap", "lime",
    "transformers", "gensim",
)  # fmt: skip


def timed(call: Callable[[], object], loops: int) -> float:
    """Seconds that one call takes, as the mean of `loops` calls."""
    start = time.perf_counter()
    for _ in range(loops):
        call()
    return (time.perf_counter() - start) / loops


def measure(job: Job) -> tuple[list[float], list[float]]:
    """Times of ours and of the peer's, in seconds; the two in turn."""
    sides = job.ours, job.peer
    loops = [max(1, round(SHORTEST / max(timed(side, 1), 1e-7))) for side in sides]
    times: tuple[list[float], list[float]] = ([], [])
    gc.collect()
    gc.disable()
    try:
        for repeat in range(REPEATS):
            for i in ((0, 1), (1, 0))[repeat % 2]:
                times[i].append(timed(sides[i], loops[i]))
    finally:
        gc.enable()
    return times


def main(wanted: str = "") -> int:
    """Run the jobs whose name holds a text, all by default; 1 if a target was missed."""
    import pyperf  # which the tests do without

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows, runs = [], []
    for name, prepare in tqdm(JOBS.items(), leave=False, disable=not sys.stderr.isatty()):
        if wanted not in name:
            continue
        mm.start("default", 0, False)
        job = prepare()
        note = job.same()
        ours, peer = measure(job)
        ratio = statistics.median(ours) / statistics.median(peer)
        row = {"job": name, "ours_ms": 1e3 * statistics.median(ours)}
        row |= {"peer_ms": 1e3 * statistics.median(peer), "ratio": ratio, "target": job.target}
        row |= {"ours_min_ms": 1e3 * min(ours), "peer_min_ms": 1e3 * min(peer), "note": note}
        rows.append(row)
        for side, values in (("ours", ours), ("peer", peer)):
            metadata = {"name": f"{name}, {side}", "unit": "second"}
            runs.append(pyperf.Benchmark([pyperf.Run(values, metadata=metadata)]))
        met = "" if job.target is None else f" of at most {job.target}"
        print(f"{ratio:8.4f}{met:16}{row['ours_ms']:10.3f} ms{row['peer_ms']:10.3f} ms  {name}")
    here = {"versions": {library: version(library) for library in LIBRARIES}}
    about, wanted_about = pyperf.Run([1.0]).get_metadata(), ("cpu_model_name", "platform")
    here["machine"] = {key: about[key] for key in wanted_about if key in about}
    text = json.dumps([row | here for row in rows], indent=1) + "\n"
    BUILD.mkdir(exist_ok=True)
    for folder, name in ((BUILD, "bench.json"), (Path(__file__).parent, "measured.json")):
        if folder == BUILD or not wanted:
            (folder / name).write_text(text, encoding="utf-8")
    pyperf.BenchmarkSuite(runs).dump(str(BUILD / "bench.pyperf.json"), replace=True)
    missed = [r["job"] for r in rows if r["target"] is not None and r["ratio"] > r["target"]]
    for name in missed:
        print(f"above its target: {name}")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
