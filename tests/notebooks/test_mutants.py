"""Every definition that a chapter teaches, perturbed: an agreement cell has to notice."""

from __future__ import annotations

import os

import pytest

from tools import common, mutate

# Mutants that compute the same values: (definition, was, became) -> why nobody could notice.
EQUIVALENT: dict[tuple[str, str, str], str] = {}


@pytest.mark.parametrize("chapter", common.chapters(os.environ.get("CHAPTERS", "")))
def test_agreement_cells_notice_every_mutant(chapter: str) -> None:
    left = mutate.survivors(chapter)
    assert [str(m) for m in left if (m.definition, m.was, m.became) not in EQUIVALENT] == []
