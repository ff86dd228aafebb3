"""Gradient flow: one line per table of parameters and per module, on a logarithmic axis, and what is wrong.

It answers the questions that arise when a network does not learn: where does the gradient vanish, where does it
explode, which units are dead or saturated, and which operation made the first NaN? Everything is read from the graph
and the recorded calls, so it is exact and works for any layer.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu.calls import CallRecord, ModuleCall
from tinygrad_edu.engine import NO_GRADIENT_YET
from tinygrad_edu.gradient_stats import GradientStats, Units, gradient_stats, update_ratio

from .. import style
from ..graph import age, diagnose, regions
from ..graph.build import Graph, roots_in
from ..rendering.svg import LETTER, document, moved, stroke, text, wrapped
from .chart import TEXT_WIDTH, Chart, fitted


@dataclass(frozen=True, repr=False)
class Flow(Chart):
    """What :func:`flow` measured.

    Attributes:
        parameters: the gradient statistics of each table of parameters.
        modules: those of each module: the gradient that arrives at its results.
        findings: sentences about what is wrong; empty for a healthy network.
    """

    parameters: list[GradientStats]
    modules: list[GradientStats]
    findings: list[str]

    def __str__(self) -> str:
        """A table for the terminal."""
        lines = [*self.parameters, *self.modules]
        names = {line.name: fitted(line.name, TEXT_WIDTH - 50) for line in lines}
        width = max(map(len, names.values()), default=0)
        rows = [f"{'':<{width}}{'values':>8}{'mean |grad|':>12}{'max |grad|':>11}{'zero':>6}  update/data"]
        for title, part in (("parameters", self.parameters), ("results of modules", self.modules)):
            rows += [title] if part else []
            for line in part:
                update = "" if line.update is None else style.number(line.update, 2)
                rows.append(
                    f"{names[line.name]:<{width}}{line.count:>8,}{style.number(line.mean, 3):>12}"
                    f"{style.number(line.largest, 3):>11}{line.zeros:>6.0%}  {update}".rstrip()
                )
        return "\n".join([*rows, "", *(self.findings or ["Nothing unusual was found."])])

    def _drawn(self) -> str:
        return _chart(self)

    def _title(self) -> str:
        return _TITLE


def flow(
    loss: Any,
    *,
    calls: CallRecord | None = None,
    before: Mapping[Value, float] | None = None,
    split: Iterable[str] = ("AttentionHead",),
    units: Mapping[str, Units] | None = None,
    parameters: Sequence[GradientStats] | None = None,
    layers: Mapping[str, Sequence[float]] | None = None,
) -> Flow:
    """Measure the gradients of one backward pass.

    Args:
        loss: what ``backward()`` was called on, or any nesting of lists of such Values.
        calls: what :func:`tinygrad_edu.record_calls` recorded while the loss was computed; without it the parameters
            are the leaves that have a label, and there are no modules.
        before: the parameters before the optimizer's step, if that has been made since; it gives the ratio of update to
            data.
        split: kinds of modules, such as attention heads, of which every call gets its own line.
        units: by the path of a module, how many of its units are dead, if it has seen more examples than were recorded.
        parameters: the statistics of the tables, if they were measured on more examples than were recorded.
        layers: the gradients at the results of stacked layers, first to last, if not all of them were recorded.

    Raises:
        TypeError: there is no Value in ``loss``.
        ValueError: ``backward()`` has not been called.

    >>> import random
    >>> from tinygrad_edu import record_calls
    >>> from tinygrad_edu.nn import MLP
    >>> with record_calls() as calls:
    ...     y = MLP(2, [3, 1], rng=random.Random(1))([1.0, 2.0])
    >>> y.backward()
    >>> [line.count for line in flow(y, calls=calls).parameters]
    [2, 1, 2, 1, 2, 1, 3, 1]
    """
    roots = roots_in(loss)
    if all(root.grad is NO_GRADIENT_YET for root in roots):
        raise ValueError("no gradient has been computed yet; call backward() on the loss first")
    whole, parts = regions.explored(roots, calls)
    if parameters is None:
        parameters = _tables(calls.names if calls is not None else _labeled(whole), before)
    groups = by_module(calls.calls if calls is not None else [], frozenset(split))
    layers = layers or {}
    modules = [*(gradient_stats(name, rows) for name, rows in layers.items() if name not in groups), *_results(groups)]
    tower = [(name, size) for name, rows in layers.items() if 0.0 < (size := math.hypot(*rows)) < math.inf]
    findings = diagnose.findings(whole, parts, parameters, modules, groups, units, [tower] if tower else [])
    if before is None and whole.old:
        findings = [*age.sentences(whole), *findings]
    return Flow(list(parameters), modules, findings)


def lines(
    calls: CallRecord, *, split: Iterable[str] = ("AttentionHead",)
) -> tuple[list[GradientStats], list[GradientStats]]:
    """Measure what :func:`flow` does, without the findings: per table of parameters, and per module.

    The graph is not visited, so measuring every tenth step of a training costs little.
    """
    return _tables(calls.names, None), _results(by_module(calls.calls, frozenset(split)))


def _tables(named: Mapping[Value, str], before: Mapping[Value, float] | None) -> list[GradientStats]:
    tables: dict[str, list[Value]] = {}
    for value, name in named.items():
        tables.setdefault(name.partition("[")[0], []).append(value)
    return [_line(name, values, before) for name, values in tables.items()]


def _results(groups: Mapping[str, list[ModuleCall]]) -> list[GradientStats]:
    return [_line(name, [v for call in group for v in call.outputs]) for name, group in groups.items()]


def _labeled(whole: Graph) -> dict[Value, str]:
    return {whole.values[node]: name for node, name in whole.names.items() if not whole.inputs[node]}


def _line(name: str, values: list[Value], before: Mapping[Value, float] | None = None) -> GradientStats:
    gradients = [0.0 if v.grad is NO_GRADIENT_YET else v.grad for v in values]
    update = None
    if before is not None and all(v in before for v in values):
        update = update_ratio([before[v] for v in values], [v.data for v in values])
    return gradient_stats(name, gradients, update)


def by_module(calls: list[ModuleCall], split: frozenset[str] = frozenset()) -> dict[str, list[ModuleCall]]:
    """Group all calls by the path of their module; those of the kinds in ``split`` are numbered and kept separate."""
    groups: dict[str, list[ModuleCall]] = {}

    left = [(call, call.path or call.kind) for call in reversed(calls)]  # a function that calls itself would be a cycle
    while left:
        call, name = left.pop()
        groups.setdefault(name, []).append(call)
        seen: Counter[str] = Counter()
        below = []
        for child in call.children:
            seen[path := child.path or child.kind] += 1
            below.append((child, f"{path} {seen[path]}" if child.kind in split else path))
        left += reversed(below)
    # A module that returns its inputs, such as dropout outside training, has nothing to show.
    return {name: group for name, group in groups.items() if any({*call.outputs} - {*call.inputs} for call in group)}


# --- the chart --------------------------------------------------------------------------------------------------------

_TITLE = "Gradient flow"
_ROW, _PLOT = 28.0, 200.0  # points: height of a line, width of the axis
_STACKED = 14  # lines that are readable one below the other


def _chart(measured: Flow) -> str:
    """Draw two panels that share an axis, so they can be compared: one below the other, as a phone can show them, or
    side by side, so that a whole small GPT fits a screen."""
    sides = [("parameters", measured.parameters), ("results of modules", measured.modules)]
    sizes = [x for _, lines in sides for line in lines for x in (line.mean, line.largest) if 0.0 < x < math.inf]
    low = math.floor(math.log10(min(sizes))) if sizes else -1
    high = max(math.ceil(math.log10(max(sizes))) if sizes else 0, low + 1)
    sides = [(title, lines) for title, lines in sides if lines]
    wide = [12 + LETTER * max(map(len, [title, *(line.name for line in lines)])) for title, lines in sides]
    is_stacked = sum(len(lines) for _, lines in sides) <= _STACKED
    x, right, bottom, panels = 12.0, 0.0, 0.0, []
    top = y = 100.0
    for (title, lines), names in zip(sides, wide, strict=True):
        panel = _Panel(title, lines, x, y, low, high, max(wide) if is_stacked else names)
        panels.append(panel.svg())
        right, bottom = max(right, panel.right), max(bottom, panel.bottom)
        x, y = (x, bottom + 48) if is_stacked else (panel.right + 40, y)
    x = max(right + 8, 480.0)  # the words need some room
    words = [row for f in measured.findings for row in wrapped(f, int(x / LETTER))] or ["Nothing unusual was found."]
    color = style.NEGATIVE if measured.findings else style.FAINT
    head = [text(12, 30, _TITLE, size=20, bold=True)]
    head += [text(12, 54 + 24 * i, row, color, bold=bool(measured.findings)) for i, row in enumerate(words)]
    drop = 60.0 + 24.0 * len(words) - top  # the panels begin below the findings
    legend = text(12, bottom + drop + 36, "|gradient|:  ● mean   ┃ largest;  grid: powers of ten", style.FAINT)
    height = bottom + drop + 54
    return document(x, height, [*head, moved(0, drop, panels), legend])


class _Panel:
    """The lines of one kind, from ``top`` to ``bottom`` and from ``left`` to ``right``."""

    def __init__(
        self, title: str, lines: list[GradientStats], left: float, top: float, low: int, high: int, names: float
    ) -> None:
        self.title, self.lines, self.left, self.top = title, lines, left, top
        self.low, self.high = low, high
        self.names = left + names  # where the names end
        self.axis = self.names + 12 + _PLOT  # where the axis ends
        self.updates = any(line.update is not None for line in lines)
        self.right = self.axis + (200.0 if self.updates else 90.0)
        self.bottom = top + _ROW * (len(lines) + 1)

    def svg(self) -> str:
        """Titles, grid and lines."""
        out = [text(self.left, self.top, self.title, bold=True)]
        for power in range(self.low, self.high + 1, max(1, round((self.high - self.low) / 3))):
            x = self._at(10.0**power)
            out.append(text(x, self.top, f"1e{power}".replace("-", "−"), style.FAINT, anchor="middle"))
            out.append(stroke(x, self.top + 10, x, self.bottom + 8, style.FRAMES[2], 1))
        out.append(text(self.axis + 90, self.top, "zeros", style.FAINT, anchor="end"))
        if self.updates:
            out.append(text(self.axis + 200, self.top, "Δ ÷ data", style.FAINT, anchor="end"))
        for i, line in enumerate(self.lines, 1):
            out.append(self._row(line, self.top + i * _ROW))
        return "".join(out)

    def _at(self, x: float) -> float:
        return self.axis - _PLOT * (self.high - math.log10(x)) / (self.high - self.low)

    def _row(self, line: GradientStats, y: float) -> str:
        facts = f"mean |grad| {line.mean!r}, max |grad| {line.largest!r}, {line.zeros:.2%} exactly 0"
        name = html.escape(line.name)
        parts = [
            text(self.names, y, line.name, anchor="end"),
            text(self.axis + 90, y, f"{line.zeros:.0%}", anchor="end"),
        ]
        if line.not_finite:
            words = f"{line.not_finite:,} not finite"
            parts.append(text(self.names + 20, y, words, style.NEGATIVE, bold=True))
        elif line.largest > 0.0:
            mean, largest = self._at(line.mean), self._at(line.largest)
            parts += [
                stroke(mean, y - 5, largest, y - 5, style.POSITIVE, 3),
                stroke(largest, y - 13, largest, y + 3, style.POSITIVE, 3),
                f'<circle cx="{mean:.1f}" cy="{y - 5:.1f}" r="7" fill="{style.POSITIVE}"/>',
            ]
        if line.update is not None:
            parts.append(text(self.axis + 200, y, style.number(line.update, 2), anchor="end"))
        return (
            f'<g class="node" data-name="{name}" data-count="{line.count}" data-grad="{facts}">'
            f"<title>{name}: {facts}</title>{''.join(parts)}</g>"
        )
