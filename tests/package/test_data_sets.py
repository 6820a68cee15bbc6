"""Each data set is what its card says."""

import numpy as np
import pytest

from mmlearn.data import card, fetch, load, names

ROWS = ["What", "Simulated", "From", "Licence", "Size", "Split", "Not for", "Second source"]


@pytest.mark.parametrize("name", names())
def test_card_says_everything(name):
    text = card(name)
    assert text.startswith(f"# {name}\n")
    for row in ROWS:
        assert f"\n| {row} | " in text, f"the card of {name} has no row {row}"


def test_unknown_names():
    for ask in (load, card, lambda name: fetch([name])):
        with pytest.raises(ValueError, match="no data set is called cats; there are: .*optdigits"):
            ask("cats")


def on_card(dataset, *facts):
    """Every fact stands on the card, and so do the classes' counts where there are few."""
    text = card(dataset.name)
    for fact in facts:
        assert str(fact) in text, f"the card of {dataset.name} does not say {fact}"
    assert ("| Simulated | yes" in text) == dataset.simulated


def test_breast_cancer():
    data = load("breast_cancer")
    table = data.inputs["table"]
    assert table.shape == (569, 30) and np.isfinite(table).all() and (table >= 0).all()
    assert data.classes == ["malignant", "benign"]
    assert np.bincount(data.label).tolist() == [212, 357]
    assert len(data.columns) == 30 and data.columns[0] == "mean radius"
    on_card(data, table.shape, "malignant 212, benign 357")


def test_optdigits():
    data = load("optdigits")
    image = data.inputs["image"]
    assert image.shape == (1797, 8, 8) and image.dtype == np.float32
    assert image.min() == 0 and image.max() == 1 and (image * 16 % 1 == 0).all()
    counts = np.bincount(data.label).tolist()
    assert counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert data.classes == list("0123456789")
    on_card(data, image.shape, str(counts)[1:-1])
