"""Figures carry a message and an alt text; figures to play with need no kernel."""

import json
import re
from html.parser import HTMLParser

import matplotlib as mpl

mpl.use("agg")

import ipywidgets
import matplotlib.pyplot as plt
import pytest
from IPython.utils.capture import capture_output

import mmlearn as mm
from mmlearn import figures, widgets

pytestmark = pytest.mark.usefixtures("shell")
PNG = b"\x89PNG"


def figure(title="Rises with x"):
    fig, ax = plt.subplots(figsize=(2, 1))
    ax.plot([0, 1])
    ax.set_title(title)
    return fig


def shown(call, *args, **kwargs):
    with capture_output() as captured:
        call(*args, **kwargs)
    return captured.outputs


def test_show_records_the_message_and_the_alt_text():
    (output,) = shown(mm.show, figure(), "A line from corner to corner.")
    assert output.metadata["mmlearn"] == {
        "alt": "Rises with x. A line from corner to corner.",
        "title": "Rises with x",
    }
    assert output.metadata["image/png"]["alt"].startswith("Rises with x. ")
    assert output.data["image/png"].startswith(PNG)
    assert not plt.get_fignums(), "the figure would be shown a second time"


def test_the_message_may_stand_over_all_panels():
    fig, (left, _) = plt.subplots(1, 2)
    left.set_title("left panel")
    fig.suptitle("Both\nfall")
    assert figures.title_of(fig) == "Both fall"
    plt.close(fig)


def test_a_figure_without_a_message_is_refused():
    with pytest.raises(ValueError, match="one message"):
        mm.show(figure(title=""), "A line from corner to corner.")
    plt.close("all")


@pytest.mark.parametrize("alt", ["", "figure.png", "a plot"])
def test_an_alt_text_that_says_nothing_is_refused(alt):
    with pytest.raises(ValueError, match="alt text says"):
        mm.show(figure(), alt)
    plt.close("all")


def test_every_modality_has_a_colour_and_a_marker_of_its_own():
    assert figures.COLOURS.keys() == figures.MARKERS.keys()
    assert len(set(figures.COLOURS.values())) == len(figures.COLOURS)
    assert len(set(figures.MARKERS.values())) == len(figures.MARKERS)


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def one(self, tag):
        (attrs,) = [a for t, a in self.found if t == tag]
        return attrs


def explored(**axis):
    axis = axis or {"step_size": [0.1, 0.25, 2.0]}
    (output,) = shown(
        mm.explore,
        lambda v: figure(f"At {v}"),
        alt=lambda v: f'A line <b>"drawn"</b> for {v}.',
        **axis,
    )
    return output.data["text/html"], output.metadata["mmlearn"]["alt"]


def test_explore_is_labelled_and_complete_without_a_kernel():
    page, alt = explored()
    tags = Tags(page)
    assert alt == 'At 0.1. A line <b>"drawn"</b> for 0.1.'
    assert tags.one("img")["alt"] == alt
    slider = tags.one("input")
    assert tags.one("label")["for"] == slider["id"]
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "2", "0")
    assert slider["aria-valuetext"] == "0.1"
    assert ">step size<" in page
    assert not re.search(r"https?://|\ssrc=\"(?!data:)", page), "a request to another place"
    frames = json.loads(re.search(r"frames = (\[.*?\]), box", page, re.S).group(1))
    assert [f[0] for f in frames] == ["0.1", "0.25", "2"]
    assert len({f[1] for f in frames}) == 3 and len({f[2] for f in frames}) == 3


def test_explore_is_the_same_each_time_and_unique_on_a_page():
    assert explored()[0] == explored()[0]
    first, second = (Tags(explored(a=v)[0]).one("figure")["id"] for v in ([1, 2], [1, 3]))
    assert first != second


def test_an_alt_text_cannot_close_the_script():
    (output,) = shown(
        mm.explore,
        lambda v: figure(),
        alt=lambda v: f"The text </script><img src=x onerror=alert(1)> for {v}.",
        n=[1, 2],
    )
    assert output.data["text/html"].count("</script>") == 1


@pytest.mark.parametrize("axis", [{}, {"a": [1, 2], "b": [1, 2]}])
def test_explore_varies_one_thing(axis):
    with pytest.raises(TypeError, match="one thing"):
        mm.explore(figure, alt=str, **axis)


def test_explore_needs_two_values():
    with pytest.raises(ValueError, match="at least two"):
        mm.explore(figure, alt=str, step=[1])


@pytest.mark.parametrize(
    ("values", "asked", "drawn"),
    [([0.1, 2.0], 1.5, 1.5), ([1, 9], 4.0, 4), (["ridge", "lasso"], "lasso", "lasso")],
)
def test_in_a_live_kernel_any_value_is_computed(values, asked, drawn, monkeypatch):
    seen, shown = [], []
    monkeypatch.setattr("IPython.display.display", lambda *things: shown.extend(things))
    widgets._live(lambda value: seen.append(value) or figure(), "step", values)
    control = next(thing for thing in shown if isinstance(thing, ipywidgets.ValueWidget))
    control.value = asked
    assert seen[0] == values[0] and seen[-1] == drawn and type(seen[-1]) is type(drawn)
