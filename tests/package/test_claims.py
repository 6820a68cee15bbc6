"""Claims hold, fail, or are only shown; agreement is close or an error."""

import json
import math

import numpy as np
import pytest
import torch
from IPython.utils.capture import capture_output

import mmlearn as mm
from mmlearn.claims import CLAIM_MIME, AgreementError, ClaimError
from mmlearn.metrics import Interval


@pytest.fixture(autouse=True)
def default_run():
    mm.start("default")


def record_of(*args, **kwargs):
    with capture_output() as captured:
        mm.claim(*args, **kwargs)
    (output,) = captured.outputs
    return output.data


@pytest.mark.parametrize(
    ("value", "interval", "bound"),
    [
        (0.5, None, {"at_least": 0.4}),
        (0.5, (0.45, 0.6), {"at_least": 0.45}),
        (0.5, (0.45, 0.6), {"at_most": 0.6}),
        (Interval(0.5, 0.45, 0.6), None, {"at_least": 0.4}),
    ],
)
def test_holds(value, interval, bound, capsys):
    mm.claim("a is better than b", value, interval=interval, **bound)
    assert capsys.readouterr().out.startswith("✓ a is better than b: 0.5")


@pytest.mark.parametrize(
    ("value", "interval", "bound"),
    [
        (0.5, None, {"at_least": 0.6}),
        (0.5, (0.35, 0.6), {"at_least": 0.4}),  # the value passes, the interval's end does not
        (0.5, (0.45, 0.6), {"at_most": 0.55}),
        (math.nan, None, {"at_least": 0.0}),
        (math.nan, None, {"at_most": 0.0}),
        (math.nan, (math.nan, math.nan), {"at_least": 0.0}),
    ],
)
def test_does_not_hold(value, interval, bound):
    with pytest.raises(ClaimError, match="a is better than b"):
        mm.claim("a is better than b", value, interval=interval, **bound)


@pytest.mark.parametrize(
    ("profile", "null"), [("smoke", False), ("full", False), ("default", True)]
)
def test_is_shown_but_not_judged(profile, null, capsys):
    mm.start(profile, null=null)
    mm.claim("a is better than b", 0.1, at_least=0.2)
    assert "✗" in (out := capsys.readouterr().out) and "not judged" in out


@pytest.mark.parametrize("bounds", [{}, {"at_least": 0, "at_most": 1}])
def test_needs_exactly_one_bound(bounds):
    with pytest.raises(ValueError, match="exactly one"):
        mm.claim("a", 0.5, **bounds)


def test_interval_holds_its_value():
    with pytest.raises(ValueError, match="does not hold the value"):
        mm.claim("a", 0.5, at_least=0, interval=(0.6, 0.7))


def test_leaves_metadata_for_the_page_of_all_claims(shell):
    data = record_of(
        "a < b", 1234.5, at_least=1000, unit="steps", interval=(1200, 1300), simulated=True
    )
    assert data[CLAIM_MIME] == {
        "sentence": "a < b",
        "value": 1234.5,
        "bound": {"at_least": 1000.0},
        "interval": [1200.0, 1300.0],
        "unit": "steps",
        "holds": True,
        "judged": True,
        "simulated": True,
        "null_safe": None,
        "null": False,
    }
    assert (
        "a &lt; b: 1,230 steps (95 % interval 1,200 to 1,300; claimed: at least 1,000"
        in data["text/html"]
    )
    assert "simulated data" in data["text/html"]


def test_metadata_is_json_even_for_nan(shell):
    mm.start("smoke")
    data = record_of("a", math.nan, at_least=0, interval=(math.nan, math.nan))
    record = json.loads(json.dumps(data[CLAIM_MIME], allow_nan=False))
    assert record["value"] is None and record["interval"] is None and not record["holds"]


def test_agrees_and_says_with_whom(capsys):
    mm.agree("sum", np.array([1.0, 2.0]), torch.tensor([1.0, 2.0 + 1e-9]))
    mm.agree("numbers", [1.0, 2.0], np.array([1.0, 2.0]))
    mm.agree("nest", {"b": [np.ones(2)], "a": 1.0}, {"a": np.array(1.0), "b": [np.ones(2)]})
    mm.agree("closed form", 1.0, 1.0, library="algebra")
    mm.agree("large", 1e9, np.float64(1e9 + 10))  # relative beyond one
    assert capsys.readouterr().out.splitlines() == [
        "sum: agrees with torch to 1e-06",
        "numbers: agrees with numpy to 1e-06",
        "nest: agrees with numpy to 1e-06",
        "closed form: agrees with algebra to 1e-06",
        "large: agrees with numpy to 1e-06",
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (np.ones(3), torch.ones(4), r"our shape is \(3,\), torch's \(4,\)"),
        (np.ones((3, 1)), np.ones(3), r"\(3, 1\)"),  # never broadcast
        (np.array([1.0, 2.0]), np.array([1.0, 2.1]), r"index \(1,\)"),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), "not finite"),
        (np.array(np.inf), np.array(np.inf), "not finite"),
        (np.array([]), np.array([]), "nothing to compare"),
        ([np.ones(2)], [np.ones(2), np.ones(2)], "1 arrays of ours, 2 of"),
        ({"a": np.zeros(1), "b": np.ones(1)}, {"a": np.ones(1), "b": np.zeros(1)}, "array 0"),
    ],
)
def test_disagreement_says_where(ours, theirs, message):
    with pytest.raises(AgreementError, match=message):
        mm.agree("value", ours, theirs)


def test_the_library_has_a_name():
    with pytest.raises(ValueError, match="library="):
        mm.agree("value", 1.0, 1.0)


def test_tensors_are_compared_in_float64_on_the_cpu():
    a = torch.tensor([1.0 + 2e-7], dtype=torch.float64, requires_grad=True)
    mm.agree("value", a, torch.ones(1))
    with pytest.raises(AgreementError):
        mm.agree("value", a, torch.ones(1), tol=1e-8)
