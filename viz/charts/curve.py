"""``loss_curve``: how the loss fell during training, next to the n-gram baselines; one run, or several compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import Any

from .. import style
from ..rendering import svg
from ..rendering.svg import stroke, text
from .chart import Chart, listed
from .plot import LOOKS, Axis, Point, grid

_WIDTH, _HEIGHT = 760.0, 420.0  # points: the axes
_LEFT, _TOP = 78.0, 74.0
_LINE = 26.0  # the height of a line of text
_SHARE = 50  # the training loss is averaged over a fiftieth of the steps
_MOST = 1500  # points of a line: two for every point of the picture's width
_COLUMNS = 40  # characters: a curve in a terminal
_BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Curve:
    """The losses of one run, as points (step, loss).

    Attributes:
        name: the name of the run; empty if there is only one.
        training: the loss on the batch of every step.
        smooth: its mean over the ``window`` steps around each.
        validation: the losses on the same sequences throughout, so they can be compared.
        final: the last validation loss, if it is over more sequences.
        best: the lowest validation loss, or the lowest of ``smooth`` if there was no validation.
    """

    name: str
    training: Sequence[Point]
    smooth: Sequence[Point]
    window: int
    validation: Sequence[Point]
    final: Point | None
    best: Point


@dataclass(frozen=True, repr=False)
class LossCurve(Chart):
    """A finished chart; the last line of a notebook cell shows it.

    Attributes:
        curves: the curves, one per run.
        baselines: the losses of the n-gram baselines, by name, from the weakest.
        title, unit: the title, and the unit of the vertical axis.
    """

    curves: Sequence[Curve]
    baselines: Sequence[tuple[str, float]]
    title: str
    unit: str

    def __str__(self) -> str:
        """Every run in a few lines, with its curve in blocks and the baselines that its best loss beats."""
        rows = [self.title] if self.title else []
        for curve in self.curves:
            steps = max(step for step, _ in (*curve.training, *curve.validation))
            rows.append(f"{curve.name or 'the run'}: {steps:,.0f} steps")
            for name, line in (("training", curve.smooth), ("validation", curve.validation)):
                if line:
                    first, last = style.number(line[0][1]), style.number(line[-1][1])
                    rows.append(f"  {name:<10}  {first} {_sparkline(line)} {last}")
            if curve.final is not None:
                rows.append(f"  {'in the end':<10}  {style.number(curve.final[1])} on more of the text")
            rows.append(f"  {'best':<10}  {_best(curve)}{self._standing(curve.best[1])}")
        if self.baselines:
            rows.append(
                f"counting reaches: {', '.join(f'{name} {style.number(loss)}' for name, loss in self.baselines)}"
            )
        return "\n".join(rows)

    def _standing(self, loss: float) -> str:
        beaten = [name for name, _ in takewhile(lambda weaker: round(loss, 4) < round(weaker[1], 4), self.baselines)]
        return f", better than {beaten[-1]}" if beaten else ""

    def _drawn(self) -> str:
        return _chart(self)

    def _title(self) -> str:
        return self.title or "Loss"


def loss_curve(
    log: Mapping[Any, Iterable[Any]] | Sequence[Any],
    *,
    baselines: Mapping[str, float] | Sequence[Any] = (),
    title: str = "",
    unit: str = "nats per character",
) -> LossCurve:
    """Draw the loss of one run, or of several.

    Args:
        log: what ``log.jsonl`` holds, a mapping per step with ``step``, ``train_loss`` and ``val_loss``, in which each
            loss may be None; or simply the training loss of every step from 1 on; or either of these by the names of
            runs.
        baselines: the n-gram baselines, weakest first, by name, or as objects with a ``name`` and a ``loss``, such as
            :func:`gpt.data.ngram.baselines` returns.
        title: the title.
        unit: the unit of the loss.

    A loss that is not finite is left out. Raises ValueError if a run has no loss or there are more than five runs.

    >>> print(loss_curve([4.0, 3.0, 2.0], baselines={"unigram": 3.3, "bigram": 2.4}, title="three steps"))
    three steps
    the run: 3 steps
      training    4 █▅▁ 2
      best        2 at step 3, better than bigram
    counting reaches: unigram 3.3, bigram 2.4
    """
    log = listed(log)
    runs = log if isinstance(log, Mapping) else {"": log}
    if not runs:
        raise ValueError("there is nothing to show; give loss_curve() the log of at least one run")
    if len(runs) > len(LOOKS):
        raise ValueError(f"at most {len(LOOKS)} runs can be told apart in one picture; got {len(runs)}")
    if not isinstance(baselines, Mapping):
        if not all(hasattr(each, "name") and hasattr(each, "loss") for each in baselines):
            raise TypeError("baselines must be losses by their names, or objects with a name and a loss")
        baselines = {each.name: each.loss for each in baselines}
    known = [(style.visible(name), float(loss)) for name, loss in baselines.items() if math.isfinite(loss)]
    curves = [_curve(style.short(style.visible(str(name))), list(records)) for name, records in runs.items()]
    return LossCurve(curves, known, style.visible(title), unit)


def _curve(name: str, log: Sequence[Any]) -> Curve:
    records = [r if isinstance(r, Mapping) else {"step": i, "train_loss": float(r)} for i, r in enumerate(log, 1)]
    training = _points(records, lambda r: r.get("train_loss"))
    validation = _points(records, lambda r: r.get("watched_loss", r.get("val_loss")))
    final = _points(records, lambda r: r["val_loss"] if "watched_loss" in r else None)
    window = len(training) // _SHARE | 1  # odd: as many steps before as after
    smooth = _means(training, window)
    if not (validation or smooth):
        raise ValueError(f"{name or 'the log'} holds no finite loss; expected lines with train_loss or val_loss")
    best = min(validation or smooth, key=lambda point: point[1])
    return Curve(name, training, smooth, window, validation, final[-1] if final else None, best)


def _points(records: Sequence[Mapping[str, Any]], loss: Any) -> list[Point]:
    pairs = ((float(record["step"]), loss(record)) for record in records)
    return [(step, float(y)) for step, y in pairs if y is not None and math.isfinite(y)]


def _means(points: Sequence[Point], window: int) -> list[Point]:
    """Return the mean of the losses around each step, half of ``window`` on each side; of fewer at both ends.

    The mean of the last losses would be late: above every loss that it stands next to, while they fall.
    """
    sums = [0.0, *accumulate(y for _, y in points)]
    reach = [min(window // 2, i, len(points) - 1 - i) for i in range(len(points))]
    return [
        (step, (sums[i + r + 1] - sums[i - r]) / (2 * r + 1))
        for i, ((step, _), r) in enumerate(zip(points, reach, strict=True))
    ]


def _best(curve: Curve) -> str:
    return f"{style.number(curve.best[1])} at step {curve.best[0]:,.0f}"


def _sparkline(line: Sequence[Point]) -> str:
    """Draw a curve in blocks, each the mean of its part."""
    low, high = min(y for _, y in line), max(y for _, y in line)
    count = min(_COLUMNS, len(line))
    blocks = []
    for i in range(count):
        part = line[i * len(line) // count : (i + 1) * len(line) // count]
        share = (math.fsum(y for _, y in part) / len(part) - low) / (high - low) if high > low else 0.0
        blocks.append(_BLOCKS[min(7, int(8 * share))])
    return "".join(blocks)


# --- the picture ------------------------------------------------------------------------------------------------------


def _chart(chart: LossCurve) -> str:
    everything = [p for curve in chart.curves for p in (*curve.smooth, *curve.validation)]
    across = Axis([*(x for x, _ in everything), 0.0], _LEFT, _LEFT + _WIDTH, margin=0.0)
    up = Axis([*(y for _, y in everything), *(loss for _, loss in chart.baselines)], _TOP + _HEIGHT, _TOP)
    right, bottom = _LEFT + _WIDTH, _TOP + _HEIGHT
    parts = [text(12, 30, chart.title, size=20, bold=True), text(12, _TOP - 16, f"loss, {chart.unit}")]
    parts += grid(across, up)
    parts.append(text((_LEFT + right) / 2, bottom + 48, "step", anchor="middle"))
    labels = []
    falling = sorted(chart.baselines, key=lambda pair: -pair[1])
    for (name, loss), y in zip(falling, _apart([up.at(loss) for _, loss in falling]), strict=True):
        words = f"{name} {style.number(loss)}"
        line = f'stroke="{style.INK}" stroke-width="1.5" stroke-dasharray="2 4"'
        parts.append(f'<path class="baseline" d="M{_LEFT:.1f},{up.at(loss):.1f}H{right:.1f}" fill="none" {line}/>')
        parts.append(stroke(right, up.at(loss), right + 16, y, style.FAINT, 1))
        parts.append(text(right + 22, y + 5, words))
        labels.append(words)
    alone = len(chart.curves) == 1
    for curve, look in zip(chart.curves, LOOKS, strict=False):
        parts += _lines(curve, look, across, up, alone=alone)
    rows = _key(chart.curves[0], LOOKS[0]) if alone else _keys(chart.curves)
    for i, (sample, words) in enumerate(rows):
        y = bottom + 80 + i * _LINE
        parts += [svg.moved(12, y - 6, sample), text(70, y, words)]
    wide = max([right + 22 + max(map(svg.width, labels), default=0.0), *(70 + svg.width(words) for _, words in rows)])
    wide = max(wide, svg.width(chart.title, 20, bold=True), svg.width(f"loss, {chart.unit}")) + 16
    return svg.document(wide, bottom + 66 + len(rows) * _LINE + 12, parts)


_Look = tuple[str, str, float]
_RAW = 0.35  # opacity of the loss of every single step


def _lines(curve: Curve, look: _Look, across: Axis, up: Axis, *, alone: bool) -> list[str]:
    """Draw training thin (every step, if there is one run) and thick, validation with marks, and the best loss."""
    color, dashes, _ = look
    parts = []
    if alone:
        top = up.high  # a single batch may be far above everything else; its line ends at the edge
        parts.append(_path("training", [(x, min(y, top)) for x, y in curve.training], across, up, color, 1, "", _RAW))
    of_validation = style.NEGATIVE if alone else color
    if curve.smooth:
        parts.append(_path("smooth", curve.smooth, across, up, color, 3 if alone else 2, dashes))
    if curve.validation:
        parts.append(_path("validation", curve.validation, across, up, of_validation, 3.5, "" if alone else dashes))
        marks = [(across.at(x), up.at(y)) for x, y in curve.validation]
        if len(marks) <= 60:
            parts += [svg.mark("circle", x, y, _DOT, of_validation, thick=1) for x, y in marks]
    if curve.final is not None:  # around the star, if both are at one point
        x, y = across.at(curve.final[0]), up.at(curve.final[1])
        mark = svg.mark("diamond", x, y, 10, "none", line=of_validation, thick=2)
        parts.append(svg.titled(f"on more of the text: {curve.final[1]!r}", [mark]))
    x, y = across.at(curve.best[0]), up.at(curve.best[1])
    parts.append(stroke(x, y, x, up.start, of_validation, 1.5))
    mark = svg.mark("star", x, y, _STAR, of_validation)
    parts.append(svg.titled(f"best: {curve.best[1]!r} at step {curve.best[0]:,.0f}", [mark]))
    return parts


_FLAT = Axis([0.0, 1.0], 0.0, 46.0, margin=0.0)  # a sample of a line, next to its meaning
_SAMPLE = [(0.0, 0.0), (1.0, 0.0)]
_DOT, _STAR = 4.5, 8.5  # half the size of marks


def _key(curve: Curve, look: _Look) -> list[tuple[list[str], str]]:
    """Explain the lines of a single run: (a sample, words)."""
    color, dashes, _ = look
    rows = []
    if curve.smooth:
        words = f"training: thick the mean of {curve.window} steps, thin every step" if curve.window > 1 else "training"
        rows.append(([_path("", _SAMPLE, _FLAT, _FLAT, color, 3, dashes)], words))
    if curve.validation:
        dot = svg.mark("circle", 23, 0, _DOT, style.NEGATIVE, thick=1)
        rows.append(([_path("", _SAMPLE, _FLAT, _FLAT, style.NEGATIVE, 3.5, ""), dot], "validation"))
    rows.append(([svg.mark("star", 23, 0, _STAR, style.NEGATIVE)], f"best: {_best(curve)}"))
    if curve.final is not None:
        words = f"at the end, on more of the text: {style.number(curve.final[1])}"
        rows.append(([svg.mark("diamond", 23, 0, 10, "none", line=style.NEGATIVE, thick=2)], words))
    return rows


def _keys(curves: Sequence[Curve]) -> list[tuple[list[str], str]]:
    """Explain each of several runs in a line, and in one more what they share."""
    rows = []
    for curve, (color, dashes, _) in zip(curves, LOOKS, strict=False):
        sample = [_path("", _SAMPLE, _FLAT, _FLAT, color, 3.5, dashes), svg.mark("star", 23, 0, _STAR, color)]
        final = "" if curve.final is None else f", in the end {style.number(curve.final[1])} on more of the text ◇"
        rows.append((sample, f"{curve.name}: best {_best(curve)}{final}"))
    return [*rows, ([], "thin: training, averaged; thick with ●: validation; ★ best")]


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Thin out points that cannot be told apart: of many close together keep the lowest and the highest, in order."""
    if len(points) <= _MOST:
        return points
    parts = _MOST // 2
    found = [points[0]]
    for i in range(parts):
        part = points[i * len(points) // parts : (i + 1) * len(points) // parts]
        found += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return [*found, points[-1]]


def _path(
    kind: str,
    points: Sequence[Point],
    across: Axis,
    up: Axis,
    color: str,
    width: float,
    dashes: str,
    opacity: float = 1.0,
) -> str:
    places = "L".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in _thinned(points))
    look = f'fill="none" stroke="{color}" stroke-width="{width}" stroke-linejoin="round"'
    look += f' stroke-dasharray="{dashes}"' if dashes else ""
    look += f' stroke-opacity="{opacity}"' if opacity < 1.0 else ""
    name = f' class="{kind}"' if kind else ""
    return f'<path{name} d="M{places}" {look}/>'


def _apart(places: Sequence[float]) -> list[float]:
    """Return heights for labels near their lines, downward, at least a line of text apart.

    >>> _apart([10.0, 12.0, 100.0])
    [10.0, 32.0, 100.0]
    """
    found: list[float] = []
    for y in places:
        found.append(max(y, found[-1] + 22.0) if found else y)
    return found
