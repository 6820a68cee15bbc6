"""Plots with one message, a text for those who cannot see them, and one look."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# One colour and one marker a modality, through the whole book (Okabe and Ito's palette).
COLOURS = {
    "image": "#0072B2",
    "text": "#D55E00",
    "sound": "#009E73",
    "fused": "#CC79A7",
    "table": "#56606B",
    "baseline": "#767676",
}
MARKERS = {"image": "s", "text": "^", "sound": "o", "fused": "D", "table": "P", "baseline": "x"}

STYLE = "mmlearn.figures"  # figures.mplstyle, which stands beside this file; `start` sets it


def title_of(fig: Figure) -> str:
    """The figure's message: its suptitle, else the first title among its axes, on one line.

    Parameters
    ----------
    fig : matplotlib Figure

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it has none.
    """
    titles = [fig.get_suptitle()] + [
        ax.get_title(loc=loc) for ax in fig.axes for loc in ("left", "center")
    ]
    for title in titles:
        if title.strip():
            return " ".join(title.split())
    raise ValueError("a figure has one message: write it in its title")


def describe(fig: Figure, alt: str) -> str:
    """What somebody hears who cannot see the figure: its message, then what it shows.

    Parameters
    ----------
    fig : matplotlib Figure
    alt : str
        What it shows, in words.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If `alt` has fewer than four words, or the figure has no title.
    """
    if len(alt.split()) < 4:
        raise ValueError(f"alt text says what the figure shows; got {alt!r}")
    return f"{title_of(fig).rstrip('.')}. {alt}"


def render(fig: Figure, kind: str = "png") -> bytes:
    """The figure as an image file, closed afterwards so that it is not shown twice.

    Parameters
    ----------
    fig : matplotlib Figure
    kind : str
        A format that matplotlib writes: ``png``, ``webp``.

    Returns
    -------
    bytes
    """
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    with plt.style.context(STYLE):
        fig.savefig(buffer, format=kind)
    plt.close(fig)
    return buffer.getvalue()


def show(fig: Figure, alt: str) -> None:
    """Show a figure with its alt text; one figure a cell.

    Parameters
    ----------
    fig : matplotlib Figure
        Its title says its one message.
    alt : str
        What it shows, in words; the message is put before it.
    """
    from IPython.display import display

    text = describe(fig, alt)
    width = round(fig.get_figwidth() * 100)
    metadata: dict[str, Any] = {
        "mmlearn": {"alt": text, "title": title_of(fig)},
        "image/png": {"alt": text, "width": width},
    }
    bundle = {"image/png": render(fig), "text/plain": text}
    display(bundle, metadata=metadata, raw=True)
