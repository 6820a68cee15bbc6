"""Check the form of the chapters: anatomy, tags, outputs, exercises, and results typed in prose.

Each rule is a function that yields what is wrong with one chapter; `RULES` lists them all.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from markdown_it.token import Token
from nbformat import NotebookNode
from nbformat.validator import iter_validate

from tools import common, execute, notebooks
from tools.notebooks import HIDDEN, SOLUTION, Part

ROWS = ["Read", "Run", "Before", "Mirrors"]
SECTIONS = ["Where it breaks", "Check yourself", "Summary", "Exercises", "Further reading"]
CODE_CELLS = range(12, 31)
LONG, TOO_LONG = 15, 25  # lines of a code cell
HTML = {"details", "summary", "br", "kbd"}

# Reading time: prose at 200 words a minute, code at 15 lines a minute; exercises have their own
# minutes, set-up and further reading are not read through.
WORDS_A_MINUTE, LINES_A_MINUTE = 200, 15
READING_TOLERANCE = 0.4

Rule = Callable[[str, NotebookNode], Iterator[str]]


def check(chapters: Sequence[str]) -> list[str]:
    """Everything that is wrong with the form of some chapters.

    Returns
    -------
    list of str
        A message a fault: chapter, cell, what is wrong, and what to do.
    """
    found = []
    for chapter in chapters:
        try:
            notebook = notebooks.read(common.notebook_path(chapter, common.BOOK))
        except notebooks.NotebookError as error:
            found.append(f"{chapter}: {error}")
            continue
        found += [f"{chapter}: {fault}" for rule in RULES for fault in rule(chapter, notebook)]
    return found


# --- the file ---------------------------------------------------------------------------------


def _file(_: str, notebook: NotebookNode) -> Iterator[str]:
    """The format, the kernel, and metadata that only some program needed."""
    if (notebook.nbformat, notebook.nbformat_minor) < (4, 5):
        yield "the file's format is older than 4.5; save it in a current Jupyter"
        return
    for error in iter_validate(notebook):
        if "id" not in error.path and not error.message.startswith("'id'"):  # another rule's
            yield f"the file is no valid notebook: {error.message[:200]}"
    metadata = notebook.metadata
    for key, name in {"kernelspec": "python3", "language_info": "python"}.items():
        if metadata.get(key, {}).get("name") != name:
            yield f"the metadata lack {key} with the name {name}; papermill reads it"
    for key in sorted(set(metadata) - notebooks.METADATA):
        yield f"the notebook has metadata `{key}`, left by some program; `make sync` removes it"
    for number, cell in notebooks.cells(notebook):
        for key in sorted(set(cell.metadata) - notebooks.CELL_METADATA):
            where = notebooks.name(number, cell)
            yield f"{where} has metadata `{key}`, left by some program; `make sync` removes it"


def _ids(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Cell ids: outputs and grades are found again by them."""
    ids = [cell.get("id", "") for cell in notebook.cells]
    for (number, cell), identity in zip(notebooks.cells(notebook), ids, strict=True):
        where = notebooks.name(number, cell)
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", identity):
            yield f"{where} has the id {identity!r}; give it 1 to 64 letters, digits, - or _"
        elif ids.index(identity) != number - 1:
            yield f"{where} has the id of another cell, {identity!r}; give it its own"


def _tags(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Tags: known, on code cells, the three of the opening once each, agreement's both."""
    count: Counter[str] = Counter()
    for number, cell in notebooks.cells(notebook):
        where, tags = notebooks.name(number, cell), notebooks.tags(cell)
        count.update(tags)
        for tag in sorted(tags - set(notebooks.TAGS)):
            known = ", ".join(notebooks.TAGS)
            yield f"{where} has the unknown tag `{tag}`; there are {known}"
        if "injected-parameters" in tags:
            yield f"{where} was put in by papermill; delete it from the author's notebook"
        if tags and cell.cell_type != "code":
            yield f"{where} is not code, and only code cells have tags; remove them"
        if tags & {"setup", "parameters", "start", "sync"} and notebooks.grading(cell):
            yield f"{where} is written by a tool and cannot be graded; use another cell"
    for tag in ("setup", "parameters", "start"):
        if count[tag] != 1:
            yield f"{count[tag]} cells are tagged `{tag}`; there is exactly one"


# --- anatomy ----------------------------------------------------------------------------------


def _opening(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Title, one sentence, table; then set-up, parameters, start."""
    first = notebook.cells[0]
    stream = notebooks.tokens(first.source) if first.cell_type == "markdown" else ()
    blocks = [t.type for t in stream if t.level == 0 and t.nesting >= 0]
    if blocks != ["heading_open", "paragraph_open", "table_open"]:
        yield "cell 1 must be Markdown: `# Title`, one sentence, a table, and nothing else"
        return
    sentence = _prose(stream[4])
    if re.search(r"[.!?…]\s+\S", sentence) or not sentence.endswith("."):
        yield f"cell 1: one sentence says what the reader will be able to do; got {sentence!r}"
    cells = [_prose(t) for i, t in enumerate(stream) if stream[i - 1].type == "td_open"]
    if cells[::2] != ROWS:
        yield f"cell 1: the table's rows are {', '.join(ROWS)}; got {', '.join(cells[::2])}"
    elif not all(cells[1::2]):
        yield "cell 1: a row of the table is empty"
    code = notebooks.cells(notebook, "code")[:3]
    opening = {"setup", "parameters", "start"}
    if [opening & notebooks.tags(cell) for _, cell in code] != [
        {"setup"},
        {"parameters"},
        {"start"},
    ]:
        yield "the first three code cells are tagged `setup`, `parameters`, `start`, in this order"
        return
    (number, parameters), (begin, start) = code[1:]
    values = {}
    for statement in ast.parse(notebooks.python(parameters.source)).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Constant(value=value)):
                values[target] = value
            case _:
                values[ast.unparse(statement)] = ...
    if values != {"PROFILE": None, "SEED": 0, "NULL": False}:
        yield (
            f"{notebooks.name(number, parameters)} holds the literals `PROFILE = None`, `SEED = 0` "
            "and `NULL = False`, and nothing else: whoever sets them expects no more"
        )
    given = [ast.unparse(a) for call in _calls(start, "mm.start") for a in call.args]
    if given != ["PROFILE", "SEED", "NULL"]:
        yield f"{notebooks.name(begin, start)} must call `mm.start(PROFILE, SEED, NULL, …)` once"


def _sections(_: str, notebook: NotebookNode) -> Iterator[str]:
    """One title, no level skipped, the required sections once each and in order."""
    heads = [part for part in notebooks.parts(notebook) if part.level]
    level = 0
    for part in heads:
        where = f"cell {part.number}"
        if part.level == 1 and part is not heads[0]:
            yield f"{where}: “{part.heading}” is a second title; make it `## {part.heading}`"
        elif part.level > level + 1:
            yield f"{where}: “{part.heading}” skips a level; make it `{'#' * (level + 1)}`"
        level = part.level
    titles = [part.heading for part in heads if part.level == 2]
    for title in SECTIONS:
        if titles.count(title) != 1:
            yield f"there are {titles.count(title)} sections `## {title}`; there is exactly one"
    if (order := [title for title in titles if title in SECTIONS]) != sorted(
        order, key=SECTIONS.index
    ):
        yield f"the sections stand in the order {', '.join(SECTIONS)}; got {', '.join(order)}"
    elif titles and titles[-1] != SECTIONS[-1]:
        yield f"`## {titles[-1]}` stands after Further reading, which is the last section"


def _length(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Enough code cells, not too many, and short ones."""
    aside = {part.number for part in notebooks.section(notebook, "Exercises")}
    lengths = []
    for number, cell in notebooks.cells(notebook, "code"):
        tags = notebooks.tags(cell)
        if tags & {"setup", "parameters", "start"}:
            continue
        lines = len(cell.source.splitlines())
        if "sync" not in tags and lines > TOO_LONG:
            yield (
                f"{notebooks.name(number, cell)} has {lines} lines, and {TOO_LONG} at most can be "
                "read in one piece; split it"
            )
        if number not in aside:
            lengths.append(0 if "sync" in tags else lines)
    if len(lengths) not in CODE_CELLS:
        yield (
            f"there are {len(lengths)} code cells besides set-up and exercises; a chapter has "
            f"{CODE_CELLS[0]} to {CODE_CELLS[-1]}"
        )
    if 3 * (long := sum(n > LONG for n in lengths)) > len(lengths):
        yield f"{long} of {len(lengths)} code cells have more than {LONG} lines; most are shorter"


def _reading(_: str, notebook: NotebookNode) -> Iterator[str]:
    """The minutes in the opening table against an estimate."""
    aside = {p.number for title in SECTIONS[3:] for p in notebooks.section(notebook, title)}
    words = lines = 0
    for number, cell in notebooks.cells(notebook):
        if number in aside:
            continue
        if cell.cell_type == "markdown":
            words += len(cell.source.split())
        elif not notebooks.tags(cell) & {"setup", "parameters", "start"}:
            lines += len(cell.source.splitlines())
    minutes = words / WORDS_A_MINUTE + lines / LINES_A_MINUTE
    stated = re.search(r"\|\W*Read\W*\|\D*(\d+) minutes?", notebook.cells[0].source)
    if stated is None:
        yield "cell 1: the row Read says `n minutes`"
    elif abs(int(stated[1]) - minutes) > READING_TOLERANCE * minutes + 0.5:
        yield (
            f"cell 1: the table says {stated[1]} minutes to read; {words} words and {lines} lines "
            f"of code take about {minutes:.0f}"
        )


def _check_yourself(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Two or three questions, each with its answer folded under it."""
    found = notebooks.section(notebook, "Check yourself")
    text = "\n".join(part.source for part in found)
    folded = re.findall(
        r"^<details>\s*<summary>.+?</summary>\n\n.+?^</details>$", text, re.M | re.S
    )
    if found and (len(folded) not in (2, 3) or text.count("<details") != len(folded)):
        yield (
            f"cell {found[0].number}: Check yourself holds 2 or 3 times `<details>"
            "<summary>question</summary>`, a blank line, the answer, a blank line, `</details>`; "
            f"got {len(folded)}"
        )


def _summary(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Three to five bullets."""
    found = notebooks.section(notebook, "Summary")
    bullets = len(_items(found))
    if found and bullets not in range(3, 6):
        yield f"cell {found[0].number}: the summary has {bullets} bullets; it has 3 to 5"


_REFERENCES = {
    "a year": r"\b(1[6-9]|20)\d\d\b",
    "a linked DOI or arXiv number": r"\]\(https://\S*(\b10\.\d{4,9}/|arxiv\.org/abs/)\S+\)",
}


def _further_reading(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Each entry with its year and a DOI or arXiv number, linked."""
    found = notebooks.section(notebook, "Further reading")
    items = _items(found)
    if found and not items:
        yield f"cell {found[0].number}: Further reading is a list, one work a bullet"
    for item in items:
        for what, pattern in _REFERENCES.items():
            if not re.search(pattern, item):
                yield f"cell {found[0].number}: “{item[:50]}…” has not {what}"


def _experiment(_: str, notebook: NotebookNode) -> Iterator[str]:
    """At least one agreement, one claim and one figure to play with."""
    aside = {part.number for part in notebooks.section(notebook, "Exercises")}
    code = [cell for n, cell in notebooks.cells(notebook, "code") if n not in aside]
    for name, what in {
        "mm.agree": "an agreement cell holds what was written from scratch to a library",
        "mm.claim": "a chapter states what it measured",
        "mm.explore": "a chapter has a figure to play with",
    }.items():
        if not any(_calls(cell, name) for cell in code):
            yield f"no cell calls `{name}`: {what}"


# --- code and outputs -------------------------------------------------------------------------


def _outputs(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Agreement cells keep what nbval compares; no other output is stored."""
    for number, cell in notebooks.cells(notebook, "code"):
        where, tags = notebooks.name(number, cell), notebooks.tags(cell)
        agrees = bool(_calls(cell, "mm.agree"))
        if not agrees and not tags & notebooks.KEEPS_OUTPUT:
            if cell.outputs or cell.execution_count is not None:
                yield f"{where} has a stored output or execution count; `make sync` clears it"
            continue
        if not agrees or not tags >= notebooks.KEEPS_OUTPUT:
            yield (
                f"{where}: a cell that calls `mm.agree`, and no other, has both tags, "
                "`nbval-check-output` and `keep_output`"
            )
        elif not cell.outputs or cell.execution_count is None:
            yield f"{where} stores nothing to compare; run `python -m tools.sync --outputs`"
        elif not all(o.output_type == "stream" and o.name == "stdout" for o in cell.outputs) or any(
            not re.fullmatch(r".+: agrees with .+ to [\d.e-]+", line)
            for output in cell.outputs
            for line in output.text.splitlines()
        ):
            yield f"{where} shows more than lines of `mm.agree`; what drifts goes in another cell"


def _code(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Code parses, imports what it uses by name, and only what the cache knows of."""
    for number, cell in notebooks.cells(notebook, "code"):
        where = notebooks.name(number, cell)
        try:
            tree = ast.parse(notebooks.python(cell.source))
        except SyntaxError as error:
            yield f"{where} is not Python: {error.msg}, line {error.lineno}"
            continue
        for node in ast.walk(tree):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
                if node.names[0].name == "*":
                    yield f"{where} imports `*`; name what it uses"
            known = {*sys.stdlib_module_names, "mmlearn", "IPython", *execute.LIBRARIES.values()}
            for module in sorted({module.split(".")[0] for module in modules} - known):
                yield (
                    f"{where} imports {module}, whose version the cache does not follow; add it to "
                    "LIBRARIES in tools/execute.py"
                )


def _install(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Nobody is told to install another project's package."""
    for number, cell in notebooks.cells(notebook):
        if re.search(
            r"\b(pip3?|uv|conda)\s+(\w+\s+)?(install|add)\s[^\n]*\bmmlearn\b(?!-)", cell.source
        ):
            yield (
                f"{notebooks.name(number, cell)} installs `mmlearn`, which is another project's; "
                "ours is mmlearn-book, and the set-up cell installs it"
            )


# --- exercises --------------------------------------------------------------------------------

_FLAGS = ("grade", "solution", "locked", "task")
_KINDS = {
    ("code", False, True, False, False): "answer",
    ("code", True, False, True, False): "test",
    ("markdown", True, True, False, False): "open",
}


def _kind(cell: NotebookNode) -> str:
    """What nbgrader takes a cell for: answer, test, open, or nothing known."""
    grading = notebooks.grading(cell)
    return _KINDS.get((cell.cell_type, *(grading.get(flag) for flag in _FLAGS)), "")


def _exercises(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Three to six, numbered, each with its line of points, and with cells that earn them."""
    found = notebooks.exercises(notebook)
    if len(found) not in range(3, 7):
        yield f"there are {len(found)} exercises `### Exercise n: title`; a chapter has 3 to 6"
    for part in notebooks.section(notebook, "Exercises"):
        if part.level == 3 and not re.fullmatch(r"Exercise \d+: .+", part.heading):
            yield f"cell {part.number}: “{part.heading}” is not `### Exercise n: title`"
    for expected, exercise in enumerate(found, 1):
        where = f"cell {exercise.parts[0].number}: exercise {exercise.number}"
        if exercise.number != expected:
            yield f"{where} is the {expected}. in order; number it so"
        if not exercise.difficulty:
            yield f"{where} has not the line `*k points · easy|medium|hard · m minutes*`"
        cells = [part.cell for part in exercise.parts if notebooks.grading(part.cell)]
        kinds = [_kind(cell) for cell in cells]
        if "test" in kinds and "answer" not in kinds[: kinds.index("test")]:
            yield f"{where} has a test before its answer"
        if not kinds or ("answer" in kinds and "test" not in kinds):
            yield f"{where} has nothing that is graded: add a test cell, or an open answer"
        points = sum(notebooks.grading(cell).get("points", 0) for cell in cells)
        if exercise.difficulty and points != exercise.points:
            yield f"{where} says {exercise.points} points; its cells give {points}"


def _grading(_: str, notebook: NotebookNode) -> Iterator[str]:
    """nbgrader's metadata are whole, its ids unique, and all of it stands under Exercises."""
    ids: list[str] = []
    inside = {part.number for part in notebooks.section(notebook, "Exercises")}
    for number, cell in notebooks.cells(notebook):
        if not (grading := notebooks.grading(cell)):
            continue
        where, kind = notebooks.name(number, cell), _kind(cell)
        grade_id = grading.get("grade_id", "")
        if not kind or grading.get("schema_version") != 3 or not grade_id:
            yield (
                f"{where}: nbgrader's metadata are those of no answer (solution), test (grade, "
                "locked) or open answer (grade, solution), or lack grade_id or schema_version 3"
            )
        elif kind != "answer" and not grading.get("points"):
            yield f"{where} earns no points; give it some"
        if kind == "test" and "exercise_seed" in cell.source.replace(notebooks.SEED, ""):
            yield f"{where} asks for the seed in another way than by `{notebooks.SEED}`"
        if grade_id in ids:
            yield f"{where} has the grade_id of another cell, {grade_id!r}; give it its own"
        ids.append(grade_id)
        if number not in inside:
            yield f"{where} is graded, and does not stand under `## Exercises`"


def _markers(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Solutions and hidden tests stand between markers, where nbgrader looks for them."""
    for number, cell in notebooks.cells(notebook):
        where, kind = notebooks.name(number, cell), _kind(cell)
        for marker, kinds in ((SOLUTION, ("answer", "open")), (HIDDEN, ("test",))):
            try:
                inside = any(piece for piece, _ in notebooks.regions(cell.source, marker))
            except ValueError as error:
                yield f"{where}: {error}"
                continue
            if inside and kind not in kinds:
                yield f"{where} has a marker `{marker}` and is no cell for one in nbgrader"
            elif kind in kinds and not inside:
                yield f"{where} has nothing between `### BEGIN {marker}` and `### END {marker}`"
            elif inside and kind == "answer" and not _in_functions(cell.source):
                yield (
                    f"{where}: the solution stands outside a function's body; cut, the cell would "
                    "fail by itself"
                )


def _in_functions(source: str) -> bool:
    """Whether every solution stands in the body of a function."""
    try:
        tree = ast.parse(notebooks.python(source))
    except SyntaxError:
        return True  # another rule says so
    bodies = [
        range(node.body[0].lineno - 1, (node.end_lineno or 0) + 2)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lines = source.splitlines()
    return all(
        line.startswith((" ", "\t")) and any(number in body for body in bodies)
        for number, line in enumerate(lines, 1)
        if f"BEGIN {SOLUTION}" in line or f"END {SOLUTION}" in line
    )


# --- prose ------------------------------------------------------------------------------------


def _markdown(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Plain CommonMark with mathematics: what Jupyter, Colab and the site all show."""
    for number, cell in notebooks.cells(notebook, "markdown"):
        where = notebooks.name(number, cell)
        for token in notebooks.tokens(cell.source):
            if token.type == "fence" and token.info.startswith("{"):
                yield f"{where} has the MyST directive `{token.info}`; Colab shows it as raw text"
            if token.type == "inline" and re.search(
                r"^:::|^\([\w-]+\)=\s*$|\{\{.+\}\}", _prose(token, "\n"), re.MULTILINE
            ):
                yield f"{where} has a MyST fence, label or substitution; Colab shows it as raw text"
            for before, inner in zip(
                token.children or [], (token.children or [])[1:], strict=False
            ):
                if inner.type == "code_inline" and re.search(r"\{[\w:-]+\}$", before.content):
                    yield f"{where} has the MyST role `{before.content.split()[-1]}`; use a link"
            html = [token, *(token.children or [])]
            for raw in (t.content for t in html if t.type in ("html_block", "html_inline")):
                for tag in re.findall(r"<(?!/?(?:details|summary|br|kbd)\s*/?>)[^>]*>?", raw):
                    allowed = ", ".join(f"<{name}>" for name in sorted(HTML))
                    yield f"{where} has the HTML `{tag}`; write Markdown (allowed: {allowed})"


def _links(chapter: str, notebook: NotebookNode) -> Iterator[str]:
    """Links inside the book are relative, and lead to a file that is there."""
    folder = common.notebook_path(chapter, common.BOOK).parent
    for number, cell in notebooks.cells(notebook, "markdown"):
        for token in notebooks.tokens(cell.source):
            for inner in token.children or []:
                target = str(inner.attrGet("href") or inner.attrGet("src") or "")
                if not target or re.match(r"[a-z]+:|#", target):
                    continue
                path = target.partition("#")[0]
                where = f"{notebooks.name(number, cell)}: the link to {target}"
                if inner.type == "link_open" and Path(path).suffix not in (".ipynb", ".md"):
                    yield f"{where} names neither an .ipynb nor an .md file of the book"
                elif path.startswith("/") or not (folder / path).is_file():
                    yield f"{where} leads nowhere; links are relative to the chapter's folder"


# What may stand in prose as a number: sections and documents, versions, works.
_REFERENCE = re.compile(
    r"""
      \b9[059]\s?%\s+(confidence\s+)?(interval|level)s?      # a convention, not a result
    | https?://\S+ | \b10\.\d{4,9}/\S+ | \barXiv:\S+
    | §+\s*\d+(\.\d+)*((\s*,\s*|\s+and\s+|\s*[–-]\s*)§?\d+(\.\d+)*)*
    | \b(sections?|chapters?|parts?|documents?|exercises?|figures?|tables?|equations?|versions?
        |python|pytorch|numpy)\s+\d+(\.\d+)*((\s*,\s*|\s+and\s+|,\s+and\s+|\s*[–-]\s*)\d+(\.\d+)*)*
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NUMBER = r"(?<![\w.,§])[-+−±]?\d[\d,]*"
_BETWEEN = r"(?!and\b|or\b|to\b|of\b|in\b|the\b)\w+"  # one word, as in 40 gradient steps
_UNITS = (
    r"steps?|iterations?|epochs?|updates?|seconds?|minutes?|hours?|s|ms|µs|milliseconds?|times|"
    r"points?|percent|per\ cent|MB|GB|kB"
)
_RESULT = re.compile(
    rf"""
      (?<![\w.])[-+−±]?\d*\.\d+(e[-+−]?\d+)?(?![\w.]*\.\d)   # 0.93, .93, 1.5e-3
    | {_NUMBER}e[-+−]?\d+\b                                  # 1e-6
    | {_NUMBER}\s?%                                          # 93 %
    | {_NUMBER}\s?× | ×\s?\d+                                # 3 ×
    | {_NUMBER}([\s-]{_BETWEEN})?[\s-]({_UNITS})\b           # 40 steps, 40 gradient steps
    """,
    re.VERBOSE,
)


def _typed_results(_: str, notebook: NotebookNode) -> Iterator[str]:
    """Results are measured by code; a number typed in prose is a setting, in code or maths.

    Looked at: paragraphs, lists, quotes, tables and folded answers. Left out: headings, the
    opening table, the exercises' line of points and minutes, Further reading, code, mathematics,
    links, and references such as 003 §4.3.
    """
    aside = {part.number for part in notebooks.section(notebook, "Further reading")}
    for part in notebooks.parts(notebook):
        if part.cell.cell_type != "markdown" or (part.number in aside and _is_reading(part)):
            continue
        if notebooks.grading(part.cell):
            continue  # a model answer quotes what the reader has measured
        unread = {"heading_open"} | ({"td_open", "th_open"} if part.number == 1 else set())
        before = ""
        for token in notebooks.tokens(part.source):
            text = ""
            if token.type == "html_block":
                text = re.sub(r"<[^>]*>", " ", token.content)
            elif token.type == "inline" and before not in unread:
                text = notebooks.POINTS.sub("", token.content) and _prose(token)
            before = token.type
            for match in _RESULT.finditer(_REFERENCE.sub(" ", text)):
                where = notebooks.name(part.number, part.cell)
                yield (
                    f"{where} types “{match[0].strip()}”: a result belongs in `mm.claim` or an "
                    "output, a setting in backticks or mathematics"
                )


def _is_reading(part: Part) -> bool:
    return part.level == 2 and part.heading == "Further reading"


# --- helpers ----------------------------------------------------------------------------------


def _prose(token: Token, newline: str = " ") -> str:
    """A block's text, with a sign in place of each piece of code or mathematics."""
    pieces = []
    for inner in token.children or []:
        if inner.type == "text":
            pieces.append(inner.content)
        elif inner.type in ("softbreak", "hardbreak"):
            pieces.append(newline)
        elif inner.type in ("code_inline", "math_inline", "html_inline", "image"):
            pieces.append("□")
    return "".join(pieces).strip()


def _items(parts: Sequence[Part]) -> list[str]:
    """The texts of the bullets in some parts."""
    found: list[str] = []
    for part in parts:
        stream = notebooks.tokens(part.source) if part.cell.cell_type == "markdown" else ()
        for token in stream:
            if token.type == "list_item_open" and token.level == 1:
                found.append("")
            elif token.type == "inline" and token.level > 1 and found:
                found[-1] += token.content
    return found


def _calls(cell: NotebookNode, name: str) -> list[ast.Call]:
    """The calls of a dotted name in a code cell; none if it is not Python."""
    try:
        tree = ast.parse(notebooks.python(cell.source))
    except SyntaxError:
        return []
    return [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == name]


RULES: list[Rule] = [
    _file,
    _ids,
    _tags,
    _opening,
    _sections,
    _length,
    _reading,
    _check_yourself,
    _summary,
    _further_reading,
    _experiment,
    _outputs,
    _code,
    _install,
    _exercises,
    _grading,
    _markers,
    _markdown,
    _links,
    _typed_results,
]


if __name__ == "__main__":
    faults = check(common.chapters(" ".join(sys.argv[1:])))
    print("\n".join(faults) or "every chapter has its form")
    sys.exit(1 if faults else 0)
