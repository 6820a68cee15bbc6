"""Every definition that a chapter teaches, perturbed: an agreement cell has to notice."""

from __future__ import annotations

import os

import pytest

from tools import common, mutate

# Chapter -> (definition, was, became) -> why the mutant gives the same values.
EQUIVALENT: dict[str, dict[tuple[str, str, str], str]] = {
    "1_baselines/svm_forest_bayes": {
        ("mmlearn.baselines.LinearSVM", "violated * y", "violated / y"): "y is -1 or 1",
        # A pure node that is cut again gives leaves with the shares it had.
        ("mmlearn.baselines.DecisionTree", "0", "1"): "no node counts as pure",
        ("mmlearn.baselines.DecisionTree", "1", "2"): "no node counts as pure",
    },
    "3_encoders/recurrence_and_attention": {
        ("mmlearn.encoders.unroll", "True", "False"): "as many parts come out as go in",
        ("mmlearn.encoders.Recurrent", "True", "False"): "on a CPU torch sorts stably anyway",
        # Padding stands behind what is read, and has no weight: it only must not be NaN.
        ("mmlearn.encoders.Recurrent", "0", "1"): "no state sees what padding holds",
        ("mmlearn.encoders.AdditiveAttention", "0", "1"): "what padding holds has no weight",
    },
}


@pytest.mark.parametrize("chapter", common.chapters(os.environ.get("CHAPTERS", "")))
def test_agreement_cells_notice_every_mutant(chapter: str) -> None:
    excuses = EQUIVALENT.get(chapter, {})
    assert mutate.unexcused(mutate.survivors(chapter), excuses) == []
