"""The benchmarks: both sides in turn, equal values first."""

import pytest

from benchmarks import __main__ as bench
from benchmarks.jobs import JOBS, Job, close


def test_the_two_run_in_turn_and_take_turns_at_being_first(monkeypatch):
    ran = []
    job = Job(lambda: ran.append("ours"), lambda: ran.append("peer"), lambda: None)
    monkeypatch.setattr(bench, "SHORTEST", 0.0)
    ours, peer = bench.measure(job)
    assert len(ours) == len(peer) == bench.REPEATS >= 11
    pairs = [ran[2:][i : i + 2] for i in range(0, 2 * bench.REPEATS, 2)]
    assert pairs[:3] == [["ours", "peer"], ["peer", "ours"], ["ours", "peer"]]
    assert all(set(pair) == {"ours", "peer"} for pair in pairs)


@pytest.mark.parametrize("name", [n for n in JOBS if n.split(" / ")[1] in ("torch", "plain torch")])
def test_what_needs_no_peer_gives_equal_values(name):
    JOBS[name]().same()


def test_unequal_values_are_no_benchmark():
    with pytest.raises(AssertionError):
        close([1.0, 2.0], [1.0, 2.1])
