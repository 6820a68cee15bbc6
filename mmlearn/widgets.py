"""Figures to play with, on a page that has no kernel behind it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from mmlearn.figures import describe, render
from mmlearn.runtime import in_notebook

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def explore(
    draw: Callable[[Any], Figure], alt: Callable[[Any], str], **axis: Sequence[Any]
) -> None:
    """Show a figure that the reader can play with: one slider, one frame a value.

    The frames are computed now and shown as one self-contained piece of HTML, which moves on a
    page, on Colab and in a saved notebook. In a live kernel a control for any other value, which
    is then computed, stands below.

    Parameters
    ----------
    draw : callable
        Takes a value and returns a matplotlib Figure whose title says its message.
    alt : callable
        Takes a value and returns what that frame shows, in words.
    **axis : sequence
        One keyword: the name of what varies and its values, ``step=[0.1, 0.2]``. An underscore
        in the name is shown as a space.

    Raises
    ------
    TypeError
        If there is not exactly one keyword.
    ValueError
        If it has fewer than two values.
    """
    from IPython.display import display

    if len(axis) != 1:
        raise TypeError(f"explore varies one thing, got {sorted(axis)}")
    ((name, values),) = axis.items()
    if len(values) < 2:
        raise ValueError(f"{name} has {len(values)} values; at least two are needed to explore")
    frames = []
    for value in values:
        fig = draw(value)
        width = round(fig.get_figwidth() * 100)
        text = describe(fig, alt(value))
        source = "data:image/webp;base64," + base64.b64encode(render(fig, "webp")).decode()
        frames.append((_label(value), source, text))
    name = name.replace("_", " ")
    template = Path(__file__).with_name("explore.html").read_text(encoding="utf-8").rstrip()
    page = Template(template).substitute(
        id="mm-" + hashlib.sha256(repr(frames).encode()).hexdigest()[:12],
        width=width,
        name=html.escape(name),
        last=len(frames) - 1,
        first=html.escape(frames[0][0]),
        src=frames[0][1],
        alt=html.escape(frames[0][2]),
        frames=json.dumps(frames).replace("</", "<\\/"),
    )
    bundle = {"text/html": page, "text/plain": f"{name}: {frames[0][2]}"}
    display(bundle, metadata={"mmlearn": {"alt": frames[0][2]}}, raw=True)
    if in_notebook() and not os.environ.get("MMLEARN_STATIC"):
        _live(draw, name, values)


def _label(value: Any) -> str:
    """A value as the slider shows it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _live(draw: Callable[[Any], Figure], name: str, values: Sequence[Any]) -> None:
    """A control that computes any value between the first and the last."""
    import ipywidgets
    from IPython.display import Image, display

    control: Any
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        control = ipywidgets.BoundedFloatText(
            value=values[0], min=min(values), max=max(values), step=(max(values) - min(values)) / 50
        )
    else:
        control = ipywidgets.Dropdown(options=list(values))
    control.description = f"any {name}"
    control.style.description_width = "initial"
    kind = int if all(isinstance(v, int) for v in values) else lambda v: v

    def redraw(value: Any) -> None:
        display(Image(render(draw(kind(value))), width=720))

    display(control, ipywidgets.interactive_output(redraw, {"value": control}))
