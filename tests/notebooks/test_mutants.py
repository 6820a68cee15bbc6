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
    "3_encoders/word_vectors": {
        ("mmlearn.encoders.cooccurrence", "1", "2"): "any number below 0 holds a place",
    },
}


@pytest.mark.parametrize("chapter", common.chapters(os.environ.get("CHAPTERS", "")))
def test_agreement_cells_notice_every_mutant(chapter: str) -> None:
    excuses = EQUIVALENT.get(chapter, {})
    assert mutate.unexcused(mutate.survivors(chapter), excuses) == []
