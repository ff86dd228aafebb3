"""``network``: layers as circles and lines, neurons filled by what they give out, weights by size and sign."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tinygrad_edu import Value, record_calls
from tinygrad_edu.calls import ModuleCall

from .. import style
from ..rendering import svg
from ..rendering.svg import text
from .chart import Chart, listed

_STEP, _HIGH = 76.0, 640.0  # points: from circle to circle, and the height of a column with many
_WIDTH, _LEAST, _MOST = 860.0, 230.0, 420.0  # of the picture, as far as columns are at least and at most so far apart
_WIDEST, _THINNEST = 0.12, 0.25  # lines: as a share of the distance of circles, and in points
_DARKEST = 0.55  # how opaque the largest number of a column is: words on it keep their contrast
MOST_CIRCLES = 64  # in a column; of more, the first and the last ones are drawn
_MOST_NUMBERS = 40  # lines; more have no numbers, and no bars

Place = tuple[float, float]
Area = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Weights:
    """What leads from one column to the next.

    Attributes:
        rows: per neuron its weights.
        biases: per neuron, None where it has none.
        name: what the column is called, such as ``tanh``; may be empty.
    """

    rows: Sequence[Sequence[float]]
    biases: Sequence[float | None]
    name: str


@dataclass(frozen=True, repr=False)
class Network(Chart):
    """A finished network; the last line of a notebook cell shows it.

    Attributes:
        layers: the weights between the columns.
        activations: what each circle gives out, column by column, the inputs first; None if nothing was computed.
        inputs, outputs: names beside the first and the last column.
        title: the title.
    """

    layers: Sequence[Weights]
    activations: Sequence[Sequence[float]] | None
    inputs: Sequence[str]
    outputs: Sequence[str]
    title: str

    @property
    def sizes(self) -> list[int]:
        """How many circles each column has."""
        return [len(self.layers[0].rows[0]), *[len(layer.rows) for layer in self.layers]]

    @property
    def widest(self) -> float:
        """The largest absolute weight, which the widest line stands for."""
        return max((abs(w) for layer in self.layers for row in layer.rows for w in row if math.isfinite(w)), default=0)

    def __str__(self) -> str:
        """Weights, biases and activations as text."""
        lines = [self.title] if self.title else []
        if self.activations is not None:
            lines.append(f"inputs: {_listing(self.activations[0])}")
        for k, layer in enumerate(self.layers):
            lines.append(self._column(k + 1))
            for j, (row, bias) in enumerate(zip(layer.rows, layer.biases, strict=True)):
                parts = [f"weights {_listing(row)}", *([f"bias {style.number(bias)}"] if bias is not None else [])]
                if self.activations is not None:
                    parts.append(f"→ {style.number(self.activations[k + 1][j])}")
                lines.append(f"  {self._name(k + 1, j)}: {'; '.join(parts)}")
        return "\n".join(lines)

    def _title(self) -> str:
        return self.title or "Network"

    def _column(self, k: int) -> str:
        count, name = self.sizes[k], self.layers[k - 1].name if k else ""
        what = "input" if k == 0 else "output" if k == len(self.layers) else ""
        what = f"{what}{'s' * (count > 1)}" if what else name or "hidden"
        words = [f"{count} {what}", *([name] if name and k == len(self.layers) else [])]
        return ", ".join([*words, *([f"{MOST_CIRCLES} of them"] if count > MOST_CIRCLES else [])])

    def _name(self, k: int, i: int) -> str:
        names = self.inputs if k == 0 else self.outputs if k == len(self.layers) else ()
        return names[i] if names else f"input {i + 1}" if k == 0 else f"neuron {i + 1}"

    def _drawn(self) -> str:
        sizes = self.sizes
        tallest = min(max(sizes), MOST_CIRCLES + 1)
        step = min(_STEP, _HIGH / tallest)
        radius = min(27.0, 0.37 * step)
        apart = min(_MOST, max(_LEAST, _WIDTH / len(self.layers)))
        beside = [max((svg.width(name) + 10 for name in names), default=0.0) for names in (self.inputs, self.outputs)]
        titles = [svg.width(self._column(k), bold=True) / 2 for k in (0, len(self.layers))]
        left = 14 + max(radius + beside[0], titles[0])
        top = 44 + 36 * bool(self.title)
        high = tallest * step
        places = [self._places(k, left + k * apart, top, high, step) for k in range(len(sizes))]
        parts = [text(14, 32, self.title, size=20, bold=True)] if self.title else []
        for k in range(len(sizes)):
            parts.append(text(left + k * apart, top - 14, self._column(k), anchor="middle", bold=True))
        taken: list[Area] = []
        parts += self._lines(places, radius, _WIDEST * step, taken)
        for k, column in enumerate(places):
            parts += [self._circle(k, i, place, radius) for i, place in column.items()]
            if len(column) < sizes[k]:
                parts.append(text(left + k * apart, top + high / 2 + 5, "⋮", anchor="middle", bold=True))
        for k, names, side in ((0, self.inputs, "end"), (len(self.layers), self.outputs, "start")):
            for i, (x, y) in places[k].items():
                if names:
                    shift = radius + 8 if side == "start" else -radius - 8
                    parts.append(text(x + shift, y + 6, names[i], anchor=side))
        right = left + (len(sizes) - 1) * apart + max(radius + beside[1], titles[1]) + 14
        legend, wide, deep = self._legend(top + high + 24, right)
        return svg.document(max(right, wide, svg.width(self.title, 20, bold=True) + 28), deep, [*parts, *legend])

    def _places(self, k: int, x: float, top: float, high: float, step: float) -> dict[int, Place]:
        """The middle of each circle of a column that is drawn."""
        count = self.sizes[k]
        shown = [*range(count)]
        if count > MOST_CIRCLES:
            half = MOST_CIRCLES // 2
            shown = [*range(half), *range(count - half, count)]
            rows = [*range(half), *range(half + 1, MOST_CIRCLES + 1)]
        else:
            rows = shown
        total = rows[-1] + 1
        start = top + (high - total * step) / 2
        return {i: (x, start + (row + 0.5) * step) for i, row in zip(shown, rows, strict=True)}

    def _lines(self, places: Sequence[dict[int, Place]], radius: float, widest: float, taken: list[Area]) -> list[str]:
        found = [
            (layer.rows[j][i], k, i, j) for k, layer in enumerate(self.layers) for j in places[k + 1] for i in places[k]
        ]
        found.sort(key=lambda line: abs(line[0]) if math.isfinite(line[0]) else math.inf)  # the strongest ones on top
        few, parts, words = len(found) <= _MOST_NUMBERS, [], []
        for w, k, i, j in found:
            (x1, y1), (x2, y2) = places[k][i], places[k + 1][j]
            length = math.hypot(x2 - x1, y2 - y1)
            dx, dy = (x2 - x1) / length, (y2 - y1) / length
            x1, y1, x2, y2 = x1 + dx * radius, y1 + dy * radius, x2 - dx * radius, y2 - dy * radius
            thick = max(_THINNEST, widest * abs(w) / (self.widest or 1.0)) if math.isfinite(w) else widest
            color = style.MIXED if not math.isfinite(w) or w == 0 else style.POSITIVE if w > 0 else style.NEGATIVE
            drawn = svg.stroke(x1, y1, x2, y2, color, round(thick, 2))
            if w < 0 and few:  # a bar says that it is negative, also without color
                bx, by, half = x2 - 9 * dx, y2 - 9 * dy, thick / 2 + 4
                drawn += svg.stroke(bx - half * dy, by + half * dx, bx + half * dy, by - half * dx, color, 3)
            title = f"{self._name(k, i)} → {self._name(k + 1, j)}: weight {style.number(w, 6)}"
            ends = f'data-from="c{k}_{i}" data-to="c{k + 1}_{j}"'
            parts.append(f'<g class="edge" {ends}><title>{html.escape(title)}</title>{drawn}</g>')
            if few:
                words.append(_number_on(w, (x1, y1), (x2, y2), taken))
        return parts + words

    def _circle(self, k: int, i: int, place: Place, radius: float) -> str:
        (x, y), facts = place, [self._name(k, i)]
        parts = [svg.mark("circle", x, y, radius, style.PAPER, line=style.INK, thick=1.5)]
        if k and (bias := self.layers[k - 1].biases[i]) is not None:
            facts.append(f"bias {style.number(bias, 6)}")
        if self.activations is not None:
            column = self.activations[k]
            a, largest = column[i], max((abs(a) for a in column if math.isfinite(a)), default=0.0)
            facts.append(f"{'value' if k == 0 else 'gives'} {style.number(a, 6)}")
            if a and math.isfinite(a):
                share, color = abs(a) / largest, style.POSITIVE if a > 0 else style.NEGATIVE
                parts.append(
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{color}" '
                    f'fill-opacity="{_DARKEST * share:.3f}" stroke="{style.INK}" stroke-width="1.5"/>'
                )
            if radius > 20:
                parts.append(text(x, y + 5, style.plain(a, 2), size=15, anchor="middle", bold=True))
        name = html.escape(self._name(k, i))
        words = html.escape(", ".join(facts))
        return f'<g class="node" id="c{k}_{i}" data-name="{name}"><title>{words}</title>{"".join(parts)}</g>'

    def _legend(self, y: float, wide: float) -> tuple[list[str], float, float]:
        """Samples with what they say, one below the other or side by side."""
        most = style.plain(self.widest, 3)
        entries: list[tuple[str, str]] = [
            (svg.stroke(0, -5, 34, -5, style.POSITIVE, 6), f"weight > 0; the widest line: {most}"),
            (
                svg.stroke(0, -5, 34, -5, style.NEGATIVE, 6) + svg.stroke(26, -13, 26, 3, style.NEGATIVE, 3),
                "weight < 0",
            ),
        ]
        if self.activations is not None:
            for sign, color in ((">", style.POSITIVE), ("<", style.NEGATIVE)):
                sample = svg.mark("circle", 17, -5, 9, "none", line=style.INK) + (
                    f'<circle cx="17.0" cy="-5.0" r="9.0" fill="{color}" fill-opacity="{_DARKEST}"/>'
                )
                entries.append((sample, f"gives out {sign} 0" + "; deepest: the largest of its column" * (sign == ">")))
        parts, x, widest = [], 14.0, 0.0
        for sample, words in entries:
            length = 44 + svg.width(words) + 20
            if x + length > wide and x > 14:
                x, y = 14.0, y + 26
            parts.append(svg.moved(x, y, [sample, text(42, 0, words, style.FAINT)]))
            x += length
            widest = max(widest, x)
        return parts, widest, y + 18


def _number_on(w: float, start: Place, end: Place, taken: list[Area]) -> str:
    """A weight on its line, where it covers least."""
    words = style.plain(w, 2)
    wide, best, least = svg.width(words, 14) + 4, (0.0, 0.0, 0.0, 0.0), math.inf
    for t in (0.24, 0.34, 0.44, 0.54, 0.64, 0.18, 0.74):
        x, y = start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])
        area = (x - wide / 2, y - 9, x + wide / 2, y + 8)
        cost = t / 10 + sum(
            max(0.0, min(area[2], b[2]) - max(area[0], b[0])) * max(0.0, min(area[3], b[3]) - max(area[1], b[1]))
            for b in taken
        )
        if cost < least:
            best, least = area, cost
    taken.append(best)
    left, top, right, bottom = best
    color = style.text_color(style.MIXED if w == 0 else style.POSITIVE if w > 0 else style.NEGATIVE)
    paper = svg.rectangle(left, top, right - left, bottom - top, style.PAPER, opacity=0.9)
    return paper + text((left + right) / 2, top + 13.5, words, color, size=14, anchor="middle")


def network(
    model: Any, x: Any = None, *, inputs: Sequence[str] = (), outputs: Sequence[str] = (), title: str = ""
) -> Network:
    """Draw a network of layers as circles and lines, as in a textbook.

    A circle is a neuron; with ``x`` it is filled by what it gives out. A line is a weight: its width is its size, its
    color its sign. Small networks have numbers on them; the page (``.html``) and tooltips have those of any network.

    Args:
        model: an ``MLP``, a ``Linear``, any module whose layers are used one after the other, or a list of such and of
            functions, which are called one after the other.
        x: the numbers to call it with, for one example.
        inputs, outputs: names for the first and the last column.
        title: the title.

    Raises:
        TypeError: there is no layer in ``model``.
        ValueError: its layers do not follow each other, or ``x`` or names do not fit.

    >>> from tinygrad_edu.nn import MLP
    >>> network(MLP(2, [3, 1], rng=1), [1.0, -2.0]).sizes
    [2, 3, 1]
    """
    parts = list(model) if isinstance(model, (list, tuple)) else [model]
    found = [layer for part in parts for layer in _layers(part).values()]
    kinds = style.short(", ".join(type(part).__name__ for part in parts)) or "nothing"
    if not found:
        raise TypeError(
            f"expected a module with layers, or a list of them; got {kinds}; viz.draw shows any other program"
        )
    columns = None
    if x is not None:
        found, columns = _called(parts, x)
    for one, next_ in pairwise(found):
        if len(one.rows) != len(next_.rows[0]):
            raise ValueError(
                f"the layers of {kinds} do not follow each other: one gives {len(one.rows)} numbers, the next one "
                f"takes {len(next_.rows[0])}; viz.draw(model, x) shows any program"
            )
    for names, size, word in ((inputs, len(found[0].rows[0]), "inputs"), (outputs, len(found[-1].rows), "outputs")):
        if len(names) not in (0, size):
            raise ValueError(f"there are {size} {word} to name; got {len(names)} names")
    before, after = ([style.visible(name) for name in names] for names in (inputs, outputs))
    return Network(found, columns, before, after, style.visible(title))


def _layers(module: Any) -> dict[str, Weights]:
    """The layers of a module by path: what has rows of weights, whatever its class."""
    found: dict[str, Weights] = {}
    inside: list[str] = []  # paths of layers: what is in them is not another one
    for path, part in module.named_modules() if hasattr(type(module), "named_modules") else ():
        if any(path.startswith(outer) for outer in inside):
            continue
        neurons = getattr(part, "neurons", None) or ([part] if _is_neuron(part) else [])
        weight, name = getattr(part, "weight", None), ""
        if neurons and all(map(_is_neuron, neurons)):
            rows, biases = [n.w for n in neurons], [getattr(n, "b", None) for n in neurons]
            name = getattr(neurons[0], "activation", "")
            inside.append(f"{path}." if path else "")
        elif _is_table(weight):
            rows, biases = list(weight or ()), list(getattr(part, "bias", None) or [None] * len(weight or ()))
        else:
            continue
        found[path] = Weights(
            [[w.data for w in row] for row in rows],
            [b.data if isinstance(b, Value) else None for b in biases],
            name if isinstance(name, str) else "",
        )
    return found


def _is_neuron(part: Any) -> bool:
    return _is_row(getattr(part, "w", None))


def _is_row(row: Any) -> bool:
    return isinstance(row, (list, tuple)) and bool(row) and all(isinstance(w, Value) for w in row)


def _is_table(rows: Any) -> bool:
    return isinstance(rows, (list, tuple)) and bool(rows) and all(map(_is_row, rows))


def _called(parts: Sequence[Any], x: Any) -> tuple[list[Weights], list[list[float]]]:
    """Call the parts one after the other: the layers in the order of their calls, and the numbers of each column."""
    order: list[tuple[Weights, list[float]]] = []
    out: Any = listed(x)
    first = _numbers(out)
    for part in parts:
        layers = _layers(part)
        with record_calls() as record:
            out = part(out)
        calls: list[ModuleCall] = [call for outer in record.calls for call in outer.walk() if call.path in layers]
        if len({call.path for call in calls}) < len(calls):
            raise ValueError("a layer was called more than once; give one example, not several")
        order += [(layers[call.path], [value.data for value in call.inputs]) for call in calls]
    columns = [first, *[given for _, given in order[1:]], _numbers(out)]
    for (layer, _), column in zip(order, columns, strict=False):
        if len(layer.rows[0]) != len(column):
            raise ValueError(
                f"a layer takes {len(layer.rows[0])} numbers and gets {len(column)}; circles show layers that follow "
                "each other, viz.draw(model, x) shows any program"
            )
    return [layer for layer, _ in order], columns


def _numbers(thing: Any) -> list[float]:
    """All numbers in nested lists, and those of Values."""
    if isinstance(thing, (list, tuple)):
        return [number for item in thing for number in _numbers(item)]
    return [float(thing.data if isinstance(thing, Value) else thing)]


def _listing(numbers: Sequence[float]) -> str:
    shown = [style.number(x) for x in numbers[:12]]
    return " ".join(shown) + (f" … {len(numbers) - 12} more" if len(numbers) > 12 else "")
