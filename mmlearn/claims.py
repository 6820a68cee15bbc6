"""Claims that are measured, and agreement between what we wrote and a library."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmlearn.metrics import Interval
from mmlearn.runtime import current

CLAIM_MIME = "application/vnd.mmlearn.claim+json"


class ClaimError(AssertionError):
    """What a chapter claims is not what was measured."""


class AgreementError(AssertionError):
    """Our values are not those of the library."""


def claim(
    sentence: str,
    value: float | Interval,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    unit: str = "",
    interval: Sequence[float] | None = None,
    simulated: bool = False,
    null_safe: str | None = None,
) -> None:
    """State what was measured, and stop if it does not hold.

    The claim holds when the nearer end of the interval (or the value, if there is none) is on
    the right side of the bound. It is judged in the default profile; elsewhere it is shown.

    Parameters
    ----------
    sentence : str
        The claim in words, without the figure.
    value : float or Interval
        What was measured, in `unit`; an `mmlearn.metrics.Interval` brings its interval along.
    at_least, at_most : float
        The bound; give exactly one.
    unit : str
        The unit of value, interval and bound.
    interval : pair of float, optional
        Its 95 % interval, low and high, around the value.
    simulated : bool
        Whether the data were simulated: then this recovers the process that made them.
    null_safe : str, optional
        Why the claim may hold even when the labels are shuffled (an identity, say).

    Raises
    ------
    ClaimError
        If the claim is judged and does not hold. NaN never holds.
    ValueError
        If there is not exactly one bound, or the interval is not a pair around the value.
    """
    bounds = {"at_least": at_least, "at_most": at_most}
    bound = {kind: float(b) for kind, b in bounds.items() if b is not None}
    if len(bound) != 1:
        raise ValueError("give exactly one of at_least and at_most")
    if isinstance(value, Interval):
        value, *interval = value
    value = float(value)
    low, high = (value, value) if interval is None else map(float, interval)
    if not (math.isnan(value) or low <= value <= high):
        raise ValueError(f"the interval {low:g} to {high:g} does not hold the value {value:g}")
    holds = low >= bound.get("at_least", -math.inf) and high <= bound.get("at_most", math.inf)
    run = current()
    judged = run.profile == "default" and not run.null
    record = {
        "sentence": sentence,
        "value": value,
        "bound": bound,
        "interval": None if interval is None else [low, high],
        "unit": unit,
        "holds": holds,
        "judged": judged,
        "simulated": simulated,
        "null_safe": null_safe,
        "null": run.null,
    }
    text = _claim_text(record)
    if judged and not holds:
        raise ClaimError(text)
    _display(text, record)


def _claim_text(record: dict[str, Any]) -> str:
    """The claim, its figure and its bound as one line."""
    unit = f" {record['unit']}" if record["unit"] else ""
    ((kind, bound),) = record["bound"].items()
    notes = [f"claimed: {kind.replace('_', ' ')} {_number(bound)}"]
    if record["interval"]:
        low, high = record["interval"]
        notes.insert(0, f"95 % interval {_number(low)} to {_number(high)}")
    if record["simulated"]:
        notes.append("simulated data")
    if not record["judged"]:
        why = "labels are shuffled" if record["null"] else f"{current().profile} profile"
        notes.append(f"shown, not judged: {why}")
    verdict = "✓" if record["holds"] else "✗"
    return f"{verdict} {record['sentence']}: {_number(record['value'])}{unit} ({'; '.join(notes)})"


def _number(x: float) -> str:
    """Three significant digits, written as people write them: 0.0123, 4.56, 7,890."""
    return f"{float(f'{x:.3g}'):,.0f}" if 100 <= abs(x) < 1e7 else f"{x:.3g}"


def _display(text: str, record: dict[str, Any]) -> None:
    """Show a claim with the metadata from which the site's page of all claims is made."""
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(text)
        return
    state = "holds" if record["holds"] else "fails"
    style = "border-left:.25rem solid currentColor;padding-left:.75rem"
    page = f'<p class="mm-claim {state}" style="{style}">{html.escape(text)}</p>'
    display({"text/plain": text, "text/html": page, CLAIM_MIME: _finite(record)}, raw=True)


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: write it as null."""
    measured = [record["value"], *(record["interval"] or [])]
    if all(map(math.isfinite, measured)):
        return record
    return {**record, "value": None, "interval": None}


def agree(name: str, ours: Any, theirs: Any, tol: float = 1e-6, library: str | None = None) -> None:
    """Show that our values are the library's, or stop.

    Values may be numbers, arrays, tensors, or lists and dictionaries of them; they are compared
    in float64 on the CPU. The error counts as small when ``|ours - theirs|`` is at most
    ``tol * max(1, |theirs|)`` in every entry.

    Parameters
    ----------
    name : str
        What is compared.
    ours, theirs : array-like
        Values of equal shape.
    tol : float
        The largest error allowed.
    library : str, optional
        Whose values `theirs` are; by default the package that defines their type.

    Raises
    ------
    AgreementError
        If shapes differ, a value is not finite, or an error is too large.
    """
    library = library or _package(theirs)
    if library == "builtins":
        raise ValueError(f"{name}: say whose values they are, library='…'")
    mine, yours = _leaves(ours), _leaves(theirs)
    if len(mine) != len(yours):
        raise AgreementError(f"{name}: {len(mine)} arrays of ours, {len(yours)} of {library}'s")
    for index, (a, b) in enumerate(zip(mine, yours, strict=True)):
        where = f" (array {index})" if len(mine) > 1 else ""
        if a.shape != b.shape:
            raise AgreementError(f"{name}{where}: our shape is {a.shape}, {library}'s {b.shape}")
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise AgreementError(f"{name}{where}: a value is not finite")
        error = np.abs(a - b) / np.maximum(1.0, np.abs(b))
        if error.size == 0:
            raise AgreementError(f"{name}{where}: there is nothing to compare")
        if error.max() > tol:
            at = np.unravel_index(error.argmax(), error.shape)
            raise AgreementError(
                f"{name}{where}: ours is {a[at]:.9g} and {library}'s {b[at]:.9g} "
                f"at index {tuple(map(int, at))}; tolerance {tol:g}"
            )
    print(f"{name}: agrees with {library} to {tol:g}")


def _package(value: Any) -> str:
    """The package that defines a value's type; for containers that of the first entry."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple) and value:
        return _package(value[0])
    return type(value).__module__.split(".")[0]


def _leaves(value: Any) -> list[np.ndarray]:
    """All arrays in a nest of lists and dictionaries, as float64, dictionaries by sorted key."""
    if isinstance(value, Mapping):
        return [leaf for key in sorted(value) for leaf in _leaves(value[key])]
    if isinstance(value, list | tuple) and not all(np.isscalar(entry) for entry in value):
        return [leaf for entry in value for leaf in _leaves(entry)]
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return [np.asarray(value, dtype=np.float64)]
