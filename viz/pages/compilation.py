"""``compilation``: a folded scalar graph next to the array program made from it, linked line by line."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tinygrad_edu import collector_paused
from tinygrad_edu.calls import CallRecord
from tinygrad_edu.compiler import Compiled

from .. import style
from ..charts.chart import TEXT_WIDTH, Chart
from ..graph import provenance, regions
from ..graph.build import roots_in
from ..rendering import svg
from ..rendering.svg import text
from ..rendering.templates import asset, page

_ROW, _HEAD, _GAP = 34.0, 34.0, 10.0  # points: a line, the name of a module, the space between modules
_ARCS = 120.0  # the width of the arcs on the left
_LEFT = 400.0  # the width of the boxes of the graph
_BAND = 96.0  # the width of the links
_FORMULA = 66  # characters of a formula


@dataclass(frozen=True)
class Row:
    """Some scalars and the instruction they became.

    Attributes:
        number: from 1 on.
        path, module: the path and the class of their module.
        calls: how often the module was called.
        scalars: how many operations of each kind, by symbol, as found in the graph.
        words: the same, in a few words.
        formulas: the instructions, as the program prints them.
        shape: the shape of the result for one example.
        counted: how many scalar operations the instruction replaces, according to the compiler.
        product: whether it is a matrix product.
        reads: the numbers of the rows that it reads.
    """

    number: int
    path: str
    module: str
    calls: int
    scalars: dict[str, int]
    words: str
    formulas: Sequence[str]
    shape: tuple[int, ...]
    counted: int
    product: bool
    reads: Sequence[int]

    @property
    def terms_shown(self) -> bool:
        """Whether they are sums, so that the words say how many, not of what."""
        return "sum" in self.words


@dataclass(frozen=True, repr=False)
class Compilation(Chart):
    """The finished picture; the last line of a notebook cell shows it. In the ``.html`` page, selecting a row shows
    what it reads and what reads it.

    Attributes:
        rows: the rows in the order of the program.
        total: how many scalar operations the graph has.
        missing: how many of them have no instruction of their own.
        choices: how many numbers the program selects by an index, which the compiler counts although it is no operation
            on scalars.
        summary: the compiler's summary.
        focus: the module whose rows are shown; empty for all.
    """

    rows: Sequence[Row]
    total: int
    missing: int
    choices: int
    summary: str
    focus: str

    def __str__(self) -> str:
        """One line per instruction: scalars on the left, the formula on the right, modules in between."""
        wide = max(len(row.words) for row in self.rows)
        lines = textwrap.wrap(self.summary, TEXT_WIDTH)
        for path, rows in groupby(self.rows, key=lambda row: row.path):
            some = list(rows)
            lines.append(_module(some[0]) if path or some[0].module else "the function itself")
            for row in some:
                head = f"{row.number:>4} {'■' if row.product else ' '} {row.words:<{wide}}  →"
                if max(map(len, row.formulas)) + len(head) + 2 <= TEXT_WIDTH:
                    lines.append(f"{head}  {row.formulas[0]}")
                    lines += [f"{'':{len(head)}}  {formula}" for formula in row.formulas[1:]]
                else:
                    lines.append(head)
                    for formula in row.formulas:
                        lines += textwrap.wrap(
                            formula,
                            TEXT_WIDTH,
                            initial_indent=" " * 9,
                            subsequent_indent=" " * 11,
                            break_long_words=False,
                        )
        return "\n".join([*lines, *(line for note in self._notes() for line in textwrap.wrap(note, TEXT_WIDTH))])

    def _notes(self) -> list[str]:
        """The notes below the picture."""
        notes = ["■ a matrix product"] if any(row.product for row in self.rows) else []
        if self.choices:
            notes.append(
                f"the compiler also counts {self.choices:,} selections by an index, which are not scalar operations"
            )
        if self.missing:
            notes.append(
                f"{self.missing:,} of {self.total:,} scalar operations have no instruction: they are constants, "
                f"shared with an equal one, or not needed"
            )
        if any(not _exact(row) for row in self.rows):
            notes.append("≈ the compiler's count differs from what was found here, because it rewrote the operations")
        return notes

    def _drawn(self) -> str:
        return _chart(self)

    def _title(self) -> str:
        return "Scalars and the program they became"

    def _page(self) -> str:
        drawn = self.svg()
        css = asset("picture.css") + asset("compilation.css")
        return page("compilation.html", self._title(), css, {"PICTURE": drawn[drawn.index("<svg") :]})


def compilation(compiled: Compiled, value: Any, *, calls: CallRecord | None = None, focus: str = "") -> Compilation:
    """Show which scalars became which instruction.

    Args:
        compiled: a function compiled by :func:`tinygrad_edu.jit` that has been called at least once.
        value: the result of the same function on scalars, with its graph.
        calls: what :func:`tinygrad_edu.record_calls` recorded while ``value`` was computed; without it everything
            belongs to the function itself.
        focus: the path of a module, to show only its rows and those of modules inside it.

    Raises:
        TypeError: there is no Value in ``value``.
        ValueError: there is no such module.
        CompileError: the function has not been called yet.

    >>> from tinygrad_edu import Value, jit
    >>> w = [Value(1.0), Value(2.0)]
    >>> f = lambda x: (w[0] * x + w[1]).tanh()
    >>> compiled = jit(f, w)
    >>> _ = compiled([1.0, 2.0, 3.0])
    >>> [row.scalars for row in compilation(compiled, f(Value(1.0))).rows]
    [{'*': 1, '+': 1}, {'tanh': 1}]
    """
    roots = roots_in(value)
    program = compiled.program
    with collector_paused():
        found = provenance.link(program, *regions.explored(roots, calls))
    kinds: dict[str, tuple[str, int]] = {}
    for outer in calls.calls if calls is not None else []:
        for call in outer.walk():
            kinds[call.path] = (call.kind, kinds.get(call.path, ("", 0))[1] + 1)
    printed = [line for line in str(program).splitlines() if not line.startswith("#")]
    choices = sum(it.nodes for it in program.instructions[: program.forward] if it.op == "select")
    rows = [_row(i, step, program, printed, kinds) for i, step in enumerate(found.steps)]
    shown = [row for row in rows if not focus or row.path == focus or row.path.startswith(f"{focus}.")]
    if not shown:
        paths = ", ".join(dict.fromkeys(row.path for row in rows if row.path)) or "none: give calls="
        raise ValueError(f"no instruction belongs to the module {focus!r}; there are {paths}")
    return Compilation(shown, found.total, found.missing, choices, compiled.summary(), focus)


def _row(i: int, step: provenance.Step, program: Any, printed: Sequence[str], kinds: dict[str, tuple[str, int]]) -> Row:
    from tinygrad_edu.compiler.compiled import is_matrix_product  # imported here because it loads numpy

    instructions = [program.instructions[n] for n in step.instructions]
    shape = program.arrays[instructions[0].out.array].shape
    meant = [kinds[path] for path in provenance.matching(step.path, list(kinds))]
    module, calls = (meant[0][0], sum(count for _, count in meant)) if meant else ("", 0)
    return Row(
        i + 1,
        step.path,
        module,
        calls,
        dict(sorted(step.scalars.items(), key=lambda pair: (pair[0] != "*", pair[0]))),
        _words(step, instructions[0]),
        [printed[n].split("  ")[0] for n in step.instructions],
        shape,
        step.nodes,
        any(is_matrix_product(program, it) for it in instructions),
        [n + 1 for n in sorted(step.reads)],
    )


def _words(step: provenance.Step, it: Any) -> str:
    """Describe the scalars of a step in a few words."""
    if not step.scalars:
        return "rewritten by the compiler" if step.nodes and it.op != "select" else _WITHOUT.get(it.op, "nothing new")
    of_two = step.products == (0, 0) and step.terms == (2, 2)
    if step.products[1] + step.terms[1] > 1 and not of_two:
        parts = [(step.products, "product"), (step.terms, "term" if step.products == (0, 0) else "other term")]
        words = " and ".join(_span(span, word) for span, word in parts if span[1])
        return f"{step.results:,} {'sum' if step.results == 1 else 'sums'} of {words}"
    return " and ".join(f"{count:,} {_word(symbol)}" for symbol, count in sorted(step.scalars.items()))


def _word(symbol: str) -> str:
    return {**style.SYMBOLS, "neg": "neg", "**": "power"}.get(symbol, symbol)


def _span(span: tuple[int, int], word: str) -> str:
    """Write ``1 product``, ``2 to 4 products``."""
    low, high = span
    return f"{low if low == high else f'{low} to {high}'} {word}{'' if high == 1 else 's'}"


#: Instructions without a corresponding operation on scalars.
_WITHOUT = {
    "select": "selecting by an index: no operation",
    "fill": "the mask: no operation",
    "copy": "moving numbers: no operation",
}


def _module(row: Row) -> str:
    times = f" ×{row.calls:,}" if row.calls > 1 else ""
    return f"{row.path} ({row.module}){times}" if row.path and row.module else row.path or f"{row.module}{times}"


def _exact(row: Row) -> bool:
    return not row.scalars or sum(row.scalars.values()) == row.counted


# --- the picture ------------------------------------------------------------------------------------------------------


def _chart(chart: Compilation) -> str:
    boxes = 12.0 + _ARCS
    right = boxes + _LEFT + _BAND
    formulas = {row.number: [_cut(formula) for formula in row.formulas] for row in chart.rows}
    wide = max(svg.width(f, 15) for some in formulas.values() for f in some) + 24
    sizes = {row.number: svg.width(_result(row), 14) for row in chart.rows}
    total = right + wide + max(sizes.values()) + 24
    y = 92.0
    places: dict[int, float] = {}
    head = [text(12, 30, chart.summary, bold=True)]
    head.append(text(boxes, 70, f"{chart.total:,} scalar operations, folded", style.FAINT, bold=True))
    head.append(text(right, 70, "array instructions: the result for one example", style.FAINT, bold=True))
    frames, rows = [], []
    for _, group in groupby(chart.rows, key=lambda row: row.path):
        some = list(group)
        start = y
        y += _HEAD
        for row in some:
            places[row.number] = y + _ROW / 2
            y += _ROW * (1 + 0.7 * (len(formulas[row.number]) - 1))
        frames.append(
            svg.rectangle(boxes - 8, start, total - boxes, y - start + 4, style.FRAMES[0], line=style.FRAMES[2])
        )
        frames.append(text(boxes, start + 23, _module(some[0]) or "the function itself", bold=True))
        y += _GAP
    arcs = [_arc(source, row.number, places) for row in chart.rows for source in row.reads if source in places]
    for row in chart.rows:
        rows.append(_line(row, places[row.number] - _ROW / 2, boxes, right, formulas[row.number], total - 20))
    notes = chart._notes()
    tail = [text(12, y + 22 + 24 * i, words, style.FAINT) for i, words in enumerate(notes)]
    total = max(total, *(24 + svg.width(words) for words in notes), 24 + svg.width(chart.summary, bold=True))
    return svg.document(total, y + 22 + 24 * len(notes), [*head, *frames, *arcs, *rows, *tail])


def _line(row: Row, y: float, left: float, right: float, formulas: Sequence[str], end: float) -> str:
    """Draw one row: the box of the graph, the link with its number, the instruction."""
    color = style.POSITIVE if row.product else style.OUTLINE
    middle, high = y + _ROW / 2, _ROW - 6
    fill = style.IDIOM if row.terms_shown else style.VALUE
    parts = [
        svg.rectangle(left + _LEFT, middle - 7, _BAND, 14, color, opacity=0.35 if row.product else 0.18),
        svg.rectangle(left, y + 3, _LEFT, high, fill if row.scalars else style.PAPER, line=style.FRAME_LINE),
        text(left + 10, middle + 5, row.words, style.INK if row.scalars else style.FAINT, size=15),
        text(left + _LEFT - 10, middle + 5, _counts(row), style.FAINT, size=14, anchor="end"),
        f'<circle cx="{left + _LEFT + _BAND / 2:.1f}" cy="{middle:.1f}" r="14" fill="{style.PAPER}" stroke="{color}" '
        f'stroke-width="2"/>',
        text(left + _LEFT + _BAND / 2, middle + 5, str(row.number), size=14, anchor="middle", bold=True),
        svg.rectangle(
            right, y + 3, end - right, high + 0.7 * _ROW * (len(formulas) - 1),
            style.MODULE if row.product else style.VALUE, line=style.POSITIVE if row.product else style.FRAME_LINE,
            thick=2 if row.product else 1,
        ),
        text(end - 10, middle + 5, _result(row), style.FAINT, size=14, anchor="end"),
    ]  # fmt: skip
    parts += [
        text(right + 10, middle + 5 + 0.7 * _ROW * i, formula, size=15, bold=row.product)
        for i, formula in enumerate(formulas)
    ]
    kinds = " and ".join(f"{count:,} {_word(symbol)}" for symbol, count in row.scalars.items())
    became = "; ".join(row.formulas)
    words = f"{row.number}: {row.words}{f' ({kinds})' if kinds and kinds != row.words else ''} → {became}"
    return svg.titled(words, parts, name=f"{row.number} {row.path}", number=str(row.number), words=words)


def _counts(row: Row) -> str:
    """Count the operations of each kind, if the words do not; ≈ if the compiler counts differently."""
    kinds = ", ".join(f"{count:,} {_word(symbol)}" for symbol, count in row.scalars.items())
    return f"{'' if _exact(row) else '≈ '}{kinds if row.terms_shown or not _exact(row) else ''}".strip()


def _result(row: Row) -> str:
    size = "×".join(map(str, row.shape)) or "1"
    return f"{'■ ' if row.product else ''}{size}"


def _arc(source: int, target: int, places: dict[int, float]) -> str:
    """Draw an arc from a row down to one that reads it, on the left of the boxes."""
    x, y1, y2 = 12.0 + _ARCS, places[source] + 4, places[target] - 4
    out = min(_ARCS - 14, 16.0 + 0.16 * (y2 - y1))
    look = f'fill="none" stroke="{style.OUTLINE}" stroke-width="1.6"'
    path = f'<path d="M{x:.1f},{y1:.1f}C{x - out:.1f},{y1:.1f} {x - out:.1f},{y2:.1f} {x - 5:.1f},{y2:.1f}" {look}/>'
    head = svg.area([[(x, y2), (x - 9, y2 - 5), (x - 9, y2 + 5)]], style.OUTLINE)
    return f'<g class="arc" data-from="{source}" data-to="{target}">{path}{head}</g>'


def _cut(formula: str) -> str:
    return formula if len(formula) <= _FORMULA else f"{formula[: _FORMULA - 1]}…"
