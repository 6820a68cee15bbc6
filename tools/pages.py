"""What the build writes of the appendix: claims, times, exercises, reading, package, data."""

from __future__ import annotations

import html
import json
import posixpath
import re
from collections.abc import Callable
from datetime import date
from itertools import groupby
from typing import Any

import mmlearn
from tools import notebooks
from tools.common import BUILD, PDF, ROOT, chapters, notebook_path

MARKER = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def records(name: str) -> list[dict[str, Any]]:
    """What the last execution recorded: `claims` or `times`; empty before the first."""
    path = BUILD / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def title(page: str) -> str:
    """The first heading of a page or chapter, as Markdown."""
    chapter = ROOT / f"{page}.ipynb"
    if chapter.exists():
        source = notebooks.read(chapter).cells[0].source
    else:
        source = (ROOT / f"{page}.md").read_text(encoding="utf-8")
    found = re.search(r"^# +(.+)$", source, re.MULTILINE)
    if not found:
        raise SystemExit(f"{page} has no title: begin it with a line '# …'")
    return found[1].strip()


def fill(text: str, page: str) -> str:
    """Replace every line ``<!-- generated: name -->`` of a page by what the build knows.

    Raises
    ------
    SystemExit
        If nothing is generated under that name.
    """

    def one(marker: re.Match[str]) -> str:
        if marker[1] not in GENERATED:
            known = ", ".join(GENERATED)
            raise SystemExit(f"{page}.md asks for {marker[1]!r}; what there is: {known}")
        return GENERATED[marker[1]](posixpath.dirname(page))

    return MARKER.sub(one, text)


def _link(chapter: str, folder: str) -> str:
    """A chapter's title, linked from a page in `folder`."""
    path = posixpath.relpath(f"book/{chapter}.ipynb", folder)
    return f"[{title(f'book/{chapter}')}]({path})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; bars in the text are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in line) + " |"
        for line in lines
    )


def _number(value: float | None) -> str:
    """Three figures, as in the chapters; NaN is null in JSON."""
    if value is None:
        return "not a number"
    return f"{float(f'{value:.3g}'):,.0f}" if 100 <= abs(value) < 1e7 else f"{value:.3g}"


def claims(folder: str) -> str:
    """Every claim, chapter by chapter, as the last execution measured it."""
    parts = []
    for chapter, group in groupby(records("claims"), key=lambda claim: claim["chapter"]):
        there = posixpath.relpath(f"book/{chapter}.html", folder)
        rows = []
        for number, claim in enumerate(group, 1):
            remarks = ["simulated data"] if claim.get("simulated") else []
            if reason := claim.get("null_safe"):
                remarks.append(f"may hold with shuffled labels: {reason}")
            sentence = html.escape(claim["sentence"], quote=False)
            note = f" <br><small>{html.escape('; '.join(remarks), quote=False)}</small>"
            low_high = claim.get("interval")
            ((kind, bound),) = claim["bound"].items()
            rows.append(
                [
                    f'<a href="{there}#claim-{number}">{sentence}</a>{note if remarks else ""}',
                    f"{_number(claim['value'])} {claim.get('unit', '')}".strip(),
                    " to ".join(map(_number, low_high)) if low_high else "none",
                    f"{kind.replace('_', ' ')} {_number(bound)}",
                    "yes" if claim["holds"] else "**no**",
                ]
            )
        head = ["Claim", "Measured", "95 % interval", "Claimed", "Holds"]
        parts.append(f"## {_link(chapter, folder)}\n\n{_table(head, rows)}")
    return "\n\n".join(parts) or "No chapter has been executed yet."


def proof(folder: str) -> str:
    """What the chapters hold that can be counted, in one sentence."""
    pages = [notebooks.read(notebook_path(chapter)) for chapter in chapters()]
    agreements = sum(len(list(notebooks.tagged(page, "nbval-check-output"))) for page in pages)
    tasks = sum(len(notebooks.exercises(page)) for page in pages)
    ran, held = len(records("times")), sum(claim["holds"] for claim in records("claims"))
    at = {n: posixpath.relpath(f"book/appendix/{n}.md", folder) for n in ("claims", "instructors")}
    return (
        f"In this build {ran} chapters ran, [{held} claims]({at['claims']}) were measured "
        f"and held, {agreements} cells agreed with a library, and there are "
        f"[{tasks} exercises]({at['instructors']}) that grade themselves or come with a rubric."
    )


def pdf(folder: str) -> str:
    """Where the whole book lies as one PDF, if it has been printed."""
    if not PDF.exists():
        return "`make pdf` writes the whole book as one PDF and links it here."
    there = posixpath.relpath(PDF.name, folder)
    size, day = PDF.stat().st_size / 1e6, date.fromtimestamp(PDF.stat().st_mtime)
    return (
        f'<a href="{there}">The whole book as one PDF</a> ({size:.0f} MB, printed on {day.day} '
        f"{day:%B %Y}). It has no sound, and figures to play with show their first frame."
    )


def times(folder: str) -> str:
    """What each chapter takes, and with which versions."""
    found = records("times")
    if not found:
        return "No chapter has been executed yet."
    rows = [
        [_link(t["chapter"], folder), t["profile"], f"{t['seconds']:.1f}", f"{t['peak_mb']:.0f}"]
        for t in found
    ]
    total = sum(t["seconds"] for t in found)
    rows.append(["**All chapters**", "", f"**{total:.1f}**", ""])
    table = _table(["Chapter", "Profile", "Seconds", "Peak memory, MB"], rows)
    versions = {name: number for t in found for name, number in t["versions"].items()}
    packages = _table(["Package", "Version"], [[n, v] for n, v in sorted(versions.items())])
    return f"{table}\n\n## Versions\n\n{packages}"


def bench(folder: str) -> str:
    """The package beside its peers, as the last `make bench` timed them."""
    rows = json.loads((ROOT / "benchmarks" / "measured.json").read_text(encoding="utf-8"))
    head = ["What / beside which library", "Ours, ms", "Theirs, ms", "Ratio", "At most", "Equal?"]
    lines = [
        [row["job"], f"{row['ours_ms']:.3g}", f"{row['peer_ms']:.3g}", f"{row['ratio']:.2g}",
         "reported" if row["target"] is None else f"{row['target']:g}", row["note"] or "yes"]
        for row in rows
    ]  # fmt: skip
    machine, versions = rows[0]["machine"], rows[0]["versions"]
    found = _table(["Package", "Version"], [[n, v] for n, v in versions.items()])
    said = "; ".join(f"{value}" for value in machine.values())
    return f"{_table(head, lines)}\n\n## Machine and versions\n\n{said}\n\n{found}"


def exercises(folder: str) -> str:
    """Every exercise, chapter by chapter: who grades it, points, difficulty, minutes."""
    parts = []
    for chapter in chapters():
        rows = []
        found = notebooks.exercises(notebooks.read(notebook_path(chapter)))
        for exercise in found:
            tested = any(part.cell.cell_type == "code" for part in exercise.parts)
            row = [f"{exercise.number} {exercise.title}", "tests" if tested else "you, by a rubric"]
            rows.append([*row, f"{exercise.points}", exercise.difficulty, f"{exercise.minutes}"])
        points, minutes = sum(e.points for e in found), sum(e.minutes for e in found)
        rows.append(["**Together**", "", f"**{points}**", "", f"**{minutes}**"])
        table = _table(["Exercise", "Graded by", "Points", "Difficulty", "Minutes"], rows)
        parts.append(f"### {_link(chapter, folder)}\n\n{table}")
    return "\n\n".join(parts)


def reading(folder: str) -> str:
    """What each chapter offers as further reading."""
    parts = []
    for chapter in chapters():
        (part,) = notebooks.section(notebooks.read(notebook_path(chapter)), "Further reading")
        works = part.cell.source.split("## Further reading")[1].strip()
        parts.append(f"### {_link(chapter, folder)}\n\n{works}")
    return "\n\n".join(parts)


def api(folder: str) -> str:
    """Every public module of the package, from its docstrings."""
    names = [
        name
        for name in mmlearn.__all__
        if (ROOT / "mmlearn" / f"{name}.py").exists() or (ROOT / "mmlearn" / name).is_dir()
    ]
    return "\n\n".join(
        f"## `mmlearn.{name}`\n\n```{{eval-rst}}\n.. automodule:: mmlearn.{name}\n   :members:\n```"
        for name in names
    )


def data(folder: str) -> str:
    """Every data card, its headings one level down."""
    cards = []
    for path in sorted((ROOT / "data").glob("*.md")):
        card = path.read_text(encoding="utf-8").strip()
        cards.append(re.sub(r"^(#+) ", r"#\1 ", card, flags=re.MULTILINE))
    return "\n\n".join(cards) or "No data are described yet."


GENERATED: dict[str, Callable[[str], str]] = {
    "claims": claims,
    "proof": proof,
    "pdf": pdf,
    "times": times,
    "bench": bench,
    "exercises": exercises,
    "reading": reading,
    "api": api,
    "data": data,
}
