"""``attention``: how much each position attends to every other one, as maps with numbers; masked cells are hatched."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import mul
from typing import Any

from tinygrad_edu import Value, ops
from tinygrad_edu.calls import CallRecord, ModuleCall
from tinygrad_edu.functional import softmax

from .. import style
from ..rendering import svg
from ..rendering.choice_page import choice_page
from ..rendering.svg import text
from .chart import Chart, listed

_THREE_DIGITS_UP_TO = 12  # tokens in a picture of one or two maps; with more, numbers have two digits
_NUMBERS_UP_TO = 40  # tokens; with more, numbers are in the tooltips only
_TOLERANCE = 0.005  # tolerance for the sum of rounded weights
_WORDS = "Each row attends to the columns; its weights sum to 1."
_SHADE = 0.55  # opacity of the color for a weight of 1: black and white words keep their contrast on it


@dataclass(frozen=True)
class AttentionMap:
    """The attention weights of one head.

    Attributes:
        layer, head: indices, in the order in which they were called; in words both are counted from 1.
        path: the path of the head's module; "" for a given matrix.
        rows: for each query the weights of the keys that it may see; the others, at the end, are masked.
        width: the number of keys.
    """

    layer: int
    head: int
    path: str
    rows: Sequence[Sequence[float]]
    width: int

    def matrix(self) -> list[list[float]]:
        """All weights; exactly 0 where a key is masked.                                                # (Tq, Tk)"""
        return [[*row, *[0.0] * (self.width - len(row))] for row in self.rows]


@dataclass(frozen=True, repr=False)
class Attention(Chart):
    """Finished attention maps: side by side as a picture, or as a page (``.html``) in which to choose a head.

    Attributes:
        maps: the maps, one per head.
        tokens: the token at each position, in visible characters.
        title: the title.
    """

    maps: Sequence[AttentionMap]
    tokens: Sequence[str]
    title: str

    def __str__(self) -> str:
        """The maps as tables; a dot marks a masked key."""
        wide = max(5, *(len(token) + 1 for token in self.tokens))
        blocks = [self.title] if self.title else []
        for shown in self.maps:
            rows = [self._name(shown), " " * wide + "".join(f"{token:>{wide}}" for token in self.tokens)]
            for token, row in zip(self._queries(shown), shown.rows, strict=True):
                cells = [*(_number(w, 3) for w in row), *["·"] * (shown.width - len(row))]
                rows.append(f"{token:>{wide}}" + "".join(f"{cell:>{wide}}" for cell in cells))
            blocks.append("\n".join(filter(None, rows)))
        return "\n\n".join([*blocks, " ".join([_WORDS, "·: masked, exactly 0." if self._masked else ""]).strip()])

    @property
    def _masked(self) -> bool:
        return any(len(row) < shown.width for shown in self.maps for row in shown.rows)

    def _name(self, shown: AttentionMap) -> str:
        return f"layer {shown.layer + 1}, head {shown.head + 1}" if shown.path or len(self.maps) > 1 else ""

    def _queries(self, shown: AttentionMap) -> Sequence[str]:
        """The tokens of the queries: the last ones if there are fewer queries than keys."""
        return self.tokens[len(self.tokens) - len(shown.rows) :]

    def _drawn(self) -> str:
        layers = [list(heads) for _, heads in groupby(self.maps, key=lambda shown: shown.layer)]
        panels = [[_Panel(self, shown) for shown in heads] for heads in layers]
        width, height = panels[0][0].width, panels[0][0].height
        top, maps = 60.0 if self.title else 20.0, 12 + width * max(map(len, panels))
        legend_width, legend_height, legend = _legend(self, maps)
        whole = max(maps, legend_width, 24 + svg.width(self.title, 20, bold=True))
        parts = [text(12, 32, self.title, size=20, bold=True)] if self.title else []
        for i, row in enumerate(panels):
            for j, panel in enumerate(row):
                parts.append(svg.moved(12 + j * width, top + i * height, panel.parts()))
        bottom = top + height * len(panels)
        return svg.document(whole, bottom + legend_height + 16, [*parts, svg.moved(12, bottom, legend)])

    def _title(self) -> str:
        return self.title or "Attention"

    def _page(self) -> str:
        if len({len(list(heads)) for _, heads in groupby(self.maps, key=lambda m: m.layer)}) != 1:
            return super()._page()
        choices = {
            "layer": [str(n + 1) for n in sorted({shown.layer for shown in self.maps})],
            "head": [str(n + 1) for n in sorted({shown.head for shown in self.maps})],
        }
        singles = [Attention([shown], self.tokens, "").svg() for shown in self.maps]
        return choice_page(self._title(), choices, singles)


def attention(
    source: CallRecord | Sequence[Sequence[Any]],
    tokens: str | Sequence[str] | None = None,
    *,
    causal: bool | None = None,
    kind: str = "AttentionHead",
    title: str = "",
) -> Attention:
    """Show what attention heads attend to.

    Args:
        source: what :func:`tinygrad_edu.record_calls` recorded while a model was called on one sequence; inside
            ``no_grad()``, which saves memory for large models, ``tokens`` must be given. Or a matrix of weights,
            numbers or Values, one row per query, which may end where the mask begins.        # (Tq, ≤ Tk)
        tokens: the Tk tokens, characters or words; their numbers by default.
        causal: whether zeros to the right of the diagonal of a matrix are a mask; by default if all of them are exactly
            0.
        kind: the class of the attention heads: they are called with queries, keys and values, and return weighted sums
            of the values.
        title: the title.

    Raises:
        TypeError: ``source`` is something else.
        ValueError: the record has no head, ``source`` has no matrix, or the number of tokens does not match.

    >>> print(attention([[1.0], [0.25, 0.75]], "ab"))
             a    b
        a    1    ·
        b .250 .750
    <BLANKLINE>
    Each row attends to the columns; its weights sum to 1. ·: masked, exactly 0.
    """
    source, tokens = listed(source), listed(tokens)
    if isinstance(source, CallRecord):
        maps = list(_recorded(source, kind, None if tokens is None else len(tokens)))
        if not maps:
            raise ValueError(f"no {kind} was called; call the model inside record_calls(), and give what that recorded")
    elif isinstance(source, Sequence) and source and all(isinstance(row, Sequence) for row in source):
        maps = [_given(source, causal)]
    else:
        raise TypeError(
            f"expected what record_calls() recorded, or a matrix of weights; got {type(source).__name__}"
            + (" without rows" if isinstance(source, Sequence) else "")
        )
    width = maps[0].width
    if any(shown.width != width for shown in maps):
        raise ValueError("the heads saw sequences of different lengths; record one call of the model")
    names = (
        [str(i) for i in range(width)] if tokens is None else [style.short(style.visible(token)) for token in tokens]
    )
    if len(names) != width:
        raise ValueError(f"there is one token per key; got {len(names)} tokens and {width} keys")
    return Attention(maps, names, style.visible(title))


def _given(matrix: Sequence[Sequence[Any]], causal: bool | None) -> AttentionMap:
    rows = [[float(w.data if isinstance(w, Value) else w) for w in row] for row in matrix]
    width = max(map(len, rows))
    past = width - len(rows)
    if not all(rows) or past < 0:
        raise ValueError(f"a matrix of weights has at least as many columns as rows; got {len(rows)} rows of {width}")
    if not all(math.isfinite(w) and w >= 0.0 for row in rows for w in row):
        raise ValueError("weights are finite numbers of at least 0; a softmax over scores makes them so")
    if not all(math.isclose(math.fsum(row), 1.0, abs_tol=_TOLERANCE) for row in rows):
        sums = ", ".join(style.number(math.fsum(row)) for row in rows[:5])
        raise ValueError(f"the weights of every row must sum to 1; got {sums}: is the softmax over rows?")
    ahead = [w for i, row in enumerate(rows) for w in row[past + i + 1 :]]
    if causal and any(ahead):
        raise ValueError("causal attention does not look ahead, but a weight right of the diagonal is not 0")
    if causal or (causal is None and not any(ahead)):
        rows = [row[: past + i + 1] for i, row in enumerate(rows)]
    return AttentionMap(0, 0, "", rows, width)


# --- weights in a graph -----------------------------------------------------------------------------------------------


def _recorded(record: CallRecord, kind: str, keys: int | None) -> Iterator[AttentionMap]:
    """Return the heads in the order of their calls; those called by one module are one layer."""
    seen = set()

    def siblings(calls: Sequence[ModuleCall]) -> Iterator[list[ModuleCall]]:
        heads = [call for call in calls if call.kind == kind]
        if heads:
            yield heads
        for call in calls:
            yield from siblings(call.children)

    for layer, heads in enumerate(siblings(record.calls)):
        path = heads[0].path
        if path in seen:
            raise ValueError(f"{path or kind} was called for more than one sequence; record one call of the model")
        seen.add(path)
        for number, call in enumerate(heads):
            rows = _weights(call, keys)
            yield AttentionMap(layer, number, path or kind, rows, max(map(len, rows)))


def _weights(call: ModuleCall, tokens: int | None) -> list[list[float]]:
    """Return the weights of a head: read from its graph, where every result is Σ weight · value, or else computed
    again.

    The counts determine the shapes: the inputs are queries (Tq, hs), keys (Tk, hs) and values (Tk, hs), the results
    (Tq, hs), and the last query sees all keys.
    """
    mixed = [_terms(result) for result in call.outputs]
    keys = max(map(len, mixed), default=0) or tokens or 0
    both = len(call.inputs) - len(call.outputs)  # keys and values
    size, rest = divmod(both, 2 * keys) if keys else (0, 1)
    if rest or size < 1 or len(call.outputs) % size:
        raise ValueError(_cannot_read(call))
    if not any(mixed):
        return _recomputed(call, keys, size)
    values = call.inputs[-keys * size :]
    rows = []
    for start in range(0, len(mixed), size):
        row = mixed[start : start + size]
        for column, terms in enumerate(row):
            for key, (weight, value) in enumerate(terms):
                if value is not values[key * size + column] or weight is not row[0][key][0]:
                    raise ValueError(f"{call.path or call.kind} does not weight its values by one number per key")
        rows.append([weight.data for weight, _ in row[0]])
    return rows


def _recomputed(call: ModuleCall, count: int, size: int) -> list[list[float]]:
    """Compute softmax over q·k / √hs of the keys up to each query, if there is no graph.

    This is checked: the sums of the values with these weights must equal the results of the head.
    """
    numbers = [x.data for x in call.inputs]
    rows = [numbers[i : i + size] for i in range(0, len(numbers), size)]
    queries, keys, values = rows[: -2 * count], rows[-2 * count : -count], rows[-count:]
    found = []
    for i, query in enumerate(queries):
        scores = [sum(map(mul, query, key)) / math.sqrt(size) for key in keys[: count - len(queries) + i + 1]]
        weights = [weight.data for weight in softmax(scores)]
        for column in range(size):
            mixture = math.fsum(w * value[column] for w, value in zip(weights, values, strict=False))
            if not math.isclose(mixture, call.outputs[i * size + column].data, rel_tol=1e-6, abs_tol=1e-9):
                raise ValueError(_cannot_read(call))
        found.append(weights)
    return found


def _cannot_read(call: ModuleCall) -> str:
    return (
        f"{call.path or call.kind} has no graph to read weights from; record the call without no_grad(), and with "
        f"queries, keys and values as its arguments, none of them masked by Values"
    )


def _terms(result: Value) -> list[tuple[Value, Value]]:
    """Return the products of a sum that was added from left to right, in order, as pairs (left, right)."""
    products = []
    while result.op is ops.ADD:
        result, last = result.inputs
        products.append(last)
    products.append(result)
    if any(product.op is not ops.MUL for product in products):
        return []
    return [(product.inputs[0], product.inputs[1]) for product in reversed(products)]


# --- the picture ------------------------------------------------------------------------------------------------------


def _number(weight: float, digits: int) -> str:
    """Write a weight in few characters.

    >>> _number(0.25, 3), _number(1.0, 2), _number(0.0001, 3), _number(0.0, 3)
    ('.250', '1', '.000', '0')
    """
    if weight in (0.0, 1.0):
        return f"{weight:.0f}"
    return f"{weight:.{digits}f}".removeprefix("0")


class _Panel:
    """Draw one map: its name, the keys on top, one row per query."""

    def __init__(self, chart: Attention, shown: AttentionMap) -> None:
        self.chart, self.shown = chart, shown
        self.name = chart._name(shown)
        count = shown.width
        roomy = count <= _THREE_DIGITS_UP_TO and len(chart.maps) <= 2
        self.digits = 3 if roomy else 2 if count <= _NUMBERS_UP_TO else 0
        widest = max(svg.width(token, bold=True) for token in chart.tokens)
        self.cell = max({3: 46.0, 2: 34.0, 0: 20.0}[self.digits], widest + 8)
        self.high = {3: 36.0, 2: 30.0, 0: 20.0}[self.digits]
        self.left = widest + 14
        self.top = 64.0 if self.name else 34.0
        self.width = max(self.left + self.cell * count, svg.width(self.name, bold=True)) + 28
        self.height = self.top + self.high * len(shown.rows) + 20

    def parts(self) -> list[str]:
        """Draw everything, from the corner (0, 0)."""
        tokens, shown = self.chart.tokens, self.shown
        parts = [text(0, 18, self.name, bold=True)] if self.name else []
        hatched = []
        for j, token in enumerate(tokens):
            parts.append(text(self._x(j) + self.cell / 2, self.top - 12, token, anchor="middle", bold=True))
        for i, (query, row) in enumerate(zip(self.chart._queries(shown), shown.rows, strict=True)):
            y = self.top + i * self.high
            parts.append(text(self.left - 8, y + self.high / 2 + 6, query, anchor="end", bold=True))
            for j, (key, weight) in enumerate(zip(tokens, row, strict=False)):
                parts.append(self._cell(i, j, f"{query} attends to {key}: {weight!r}", weight, weight == max(row)))
            for j in range(len(row), shown.width):
                outline = svg.rectangle(self._x(j), y, self.cell, self.high, style.PAPER, line=style.FRAME_LINE)
                words = f"{query} cannot see {tokens[j]}: masked, exactly 0"
                parts.append(svg.titled(words, [outline], value="0.0"))
                hatched += svg.hatching(self._x(j), y, self.cell, self.high)
        return [*parts, svg.lines(hatched, style.FRAME_LINE, 1)]

    def _x(self, j: int) -> float:
        return self.left + j * self.cell

    def _cell(self, i: int, j: int, words: str, weight: float, largest: bool) -> str:
        x, y = self._x(j), self.top + i * self.high
        shade = min(1.0, weight) * _SHADE
        inside = [
            svg.rectangle(x, y, self.cell, self.high, style.PAPER),
            svg.rectangle(
                x, y, self.cell, self.high, style.POSITIVE, opacity=shade, line=style.FRAME_LINE
            ),
        ]  # fmt: skip
        if self.digits:
            size = {3: 15, 2: 13}[self.digits]
            middle = x + self.cell / 2, y + self.high / 2 + size / 3
            inside.append(text(*middle, _number(weight, self.digits), size=size, anchor="middle", bold=largest))
        return svg.titled(words, inside, value=repr(weight))


def _legend(chart: Attention, room: float) -> tuple[float, float, list[str]]:
    """Return the words below the maps, their width and their height; two lines if one would be wider than the maps."""
    parts = [text(0, 20, _WORDS, style.FAINT)]
    wide, high = svg.width(_WORDS), 30.0
    if chart._masked:
        words = "masked: exactly 0"
        own = 42 + svg.width(words)
        x, y = (wide + 12, 0.0) if wide + own + 36 <= room else (0.0, 30.0)
        parts.append(svg.rectangle(x, y + 4, 34, 22, style.PAPER, line=style.FRAME_LINE))
        parts.append(svg.lines(svg.hatching(x, y + 4, 34, 22), style.FRAME_LINE, 1))
        parts.append(text(x + 42, y + 20, words, style.FAINT))
        wide, high = max(wide, x + own), y + 30
    return wide + 24, high, parts
