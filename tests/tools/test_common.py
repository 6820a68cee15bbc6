"""The pages that `_toc.yml` names, in reading order, however deep they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import common


@pytest.mark.parametrize(
    ("toc", "parts"),
    [
        ("root: a", [("", ["a"])]),
        ("root: a\nchapters: [{file: b}, {file: c}]", [("", ["a"]), ("", ["b", "c"])]),
        (
            "root: a\nparts:\n- caption: One\n  chapters:\n  - file: b\n    sections: [{file: c}]\n"
            "  - file: d\n- caption: Two\n  chapters: [{file: e}]",
            [("", ["a"]), ("One", ["b", "c", "d"]), ("Two", ["e"])],
        ),
    ],
)
def test_pages_in_reading_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toc: str, parts: list[tuple[str, list[str]]]
) -> None:
    (tmp_path / "_toc.yml").write_text(toc, encoding="utf-8")
    monkeypatch.setattr(common, "ROOT", tmp_path)
    assert [part for part in common.by_part() if part[1]] == parts
    assert common.pages() == [page for _, below in parts for page in below]
