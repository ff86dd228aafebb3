"""Gradient flow during training: one row per table of parameters or module, one column per measured step.

A cell is the mean absolute gradient as a number and as a shade on a logarithmic scale: even from the back of the room
one sees which rows fade or glow. Next to it, if known, is the norm of the update divided by that of the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tinygrad_edu.gradient_stats import GradientStats

from .. import style
from ..rendering import svg
from ..rendering.svg import text
from .chart import TEXT_WIDTH, Chart, fitted
from .flow import Flow

_COLUMNS = 8  # two panels with more columns would be too small to read
_CELL, _HIGH, _LEVEL = 62.0, 28.0, 58.0  # points
_SHADE = 0.55  # opacity for the largest: words on it keep their contrast
_USUAL = "update ÷ data: about 1e−3 is usual"


@dataclass(frozen=True, repr=False)
class FlowOver(Chart):
    """What :func:`flow_over` shows.

    Attributes:
        steps: the measured steps, in order.
        rows: by name the statistics at each step; None if there are none.
        title: the title.
    """

    steps: Sequence[int]
    rows: Mapping[str, Sequence[GradientStats | None]]
    title: str

    @property
    def findings(self) -> list[str]:
        """Say in sentences what went wrong: where a gradient first was not finite, or was 0 from then on."""
        found = []
        for place, step in enumerate(self.steps):
            broken = [name for name, row in self.rows.items() if (line := row[place]) is not None and line.not_finite]
            if broken:
                found.append(f"Not finite since step {step:,}: {style.listed(broken)}.")
                break
        still = [
            name
            for name, row in self.rows.items()
            if row[-1] is not None
            and row[-1].zeros == 1.0
            and any(line is not None and line.zeros < 1.0 for line in row)
        ]
        if still:
            found.append(f"No gradient anymore, all are exactly 0: {style.listed(still)}.")
        return found

    @property
    def _shown(self) -> list[int]:
        """The positions of the steps that have a column: the first, the last, and some between them."""
        return self._some(_COLUMNS)

    def _some(self, most: int) -> list[int]:
        last = len(self.steps) - 1
        return list(range(last + 1)) if last < most else [round(i * last / (most - 1)) for i in range(most)]

    def _panels(self) -> Iterator[tuple[str, Callable[[GradientStats], float | None]]]:
        yield "mean |gradient|", lambda line: line.mean
        if any(line is not None and line.update is not None for row in self.rows.values() for line in row):
            yield "update ÷ data", lambda line: line.update

    def __str__(self) -> str:
        """One table per panel, for the terminal."""
        cell = max(5, *(len(f"{step:,}") for step in self.steps)) + 2
        names = {name: fitted(name, 24) for name in self.rows}
        wide = max(map(len, names.values()))
        shown = self._some(max(2, min(_COLUMNS, (TEXT_WIDTH - wide) // cell)))
        out = [self.title]
        for title, pick in self._panels():
            out += ["", f"{title}, after step", " " * wide + "".join(f"{self.steps[i]:>{cell},}" for i in shown)]
            for name, row in self.rows.items():
                words = "".join(f"{_words(row[i], pick):>{cell}}" for i in shown)
                out.append(f"{names[name]:<{wide}}{words}")
        return "\n".join([*out, "", *(self.findings or ["Nothing unusual was found."]), f"({_USUAL})"])

    def _title(self) -> str:
        return self.title

    def _drawn(self) -> str:
        names = max(svg.width(name) for name in self.rows) + 14
        head = [text(12, 32, self.title, size=20, bold=True)]
        head += [text(12, 58 + 24 * i, words, style.NEGATIVE, bold=True) for i, words in enumerate(self.findings)]
        top = 84.0 + 24.0 * len(self.findings)
        parts = [
            text(12 + names - 10, top + _HIGH * (i + 2) - 8, name, anchor="end") for i, name in enumerate(self.rows)
        ]
        x = 12 + names
        bottom = top + _HIGH * (len(self.rows) + 1)
        for title, pick in self._panels():
            parts += self._panel(title, pick, x, top)
            parts += self._scale(pick, x, bottom + 20)
            wide = (_CELL * len(self._shown), _LEVEL * len(self._levels(pick)), svg.width(title, bold=True) + 100)
            x += max(wide) + 36
        parts.append(text(x, top + _HIGH - 8, "zeros", style.FAINT))
        for i, row in enumerate(self.rows.values()):
            if row[-1] is not None:
                parts.append(text(x + 44, top + _HIGH * (i + 2) - 8, f"{row[-1].zeros:.0%}", anchor="end"))
        widest = max(x + 70, 36 + max(svg.width(w, bold=True) for w in [self.title, *self.findings]) * 1.25)
        return svg.document(widest, bottom + 76, [*head, *parts])

    def _panel(self, title: str, pick: Callable[[GradientStats], float | None], x: float, top: float) -> Iterator[str]:
        yield text(x, top - 8, f"{title}, after step", bold=True)
        low, high = self._ends(pick)
        for column, i in enumerate(self._shown):
            left = x + column * _CELL
            yield text(left + _CELL / 2, top + _HIGH - 8, _short(self.steps[i]), style.FAINT, anchor="middle")
            for number, (name, row) in enumerate(self.rows.items()):
                yield self._cell(name, self.steps[i], row[i], pick, (left, top + _HIGH * (number + 1)), (low, high))

    def _cell(
        self,
        name: str,
        step: int,
        line: GradientStats | None,
        pick: Callable[[GradientStats], float | None],
        corner: tuple[float, float],
        ends: tuple[int, int],
    ) -> str:
        x, y = corner
        size = None if line is None else pick(line)
        words = _words(line, pick)
        inside = [svg.rectangle(x, y, _CELL, _HIGH, style.PAPER)]
        if line is not None and line.not_finite:
            inside.append(svg.rectangle(x + 2, y + 2, _CELL - 4, _HIGH - 4, style.PAPER, line=style.NEGATIVE, thick=3))
        elif size is not None and size > 0.0:
            share = min(1.0, max(0.0, (math.log10(size) - ends[0]) / (ends[1] - ends[0])))
            inside.append(
                svg.rectangle(x, y, _CELL, _HIGH, style.POSITIVE, opacity=share * _SHADE, line=style.FRAME_LINE)
            )
        else:
            inside.append(svg.rectangle(x, y, _CELL, _HIGH, style.PAPER, line=style.FRAME_LINE))
            inside.append(svg.lines(svg.hatching(x, y, _CELL, _HIGH), style.FRAME_LINE, 1))
        broken = line is not None and line.not_finite > 0
        color = style.NEGATIVE if broken else style.INK
        inside.append(text(x + _CELL / 2, y + _HIGH - 9, words, color, size=15, anchor="middle", bold=broken))
        facts = "not measured" if line is None else f"{size!r}, {line.zeros:.1%} exactly 0"
        return svg.titled(f"{name}, step {step:,}: {facts}", inside, value=repr(size), name=name, step=str(step))

    def _ends(self, pick: Callable[[GradientStats], float | None]) -> tuple[int, int]:
        """The powers of ten between which all numbers of a panel are."""
        every = [pick(line) for row in self.rows.values() for line in row if line is not None]
        sizes = [x for x in every if x is not None and 0.0 < x < math.inf]
        low = math.floor(math.log10(min(sizes))) if sizes else -1
        return low, max(math.ceil(math.log10(max(sizes))) if sizes else 0, low + 1)

    def _levels(self, pick: Callable[[GradientStats], float | None]) -> range:
        """The powers of ten whose shades are shown."""
        low, high = self._ends(pick)
        return range(low, high + 1, max(1, math.ceil((high - low) / 7)))

    def _scale(self, pick: Callable[[GradientStats], float | None], x: float, y: float) -> Iterator[str]:
        """The shades of the powers of ten."""
        low, high = self._ends(pick)
        for i, power in enumerate(self._levels(pick)):
            left, shade = x + i * _LEVEL, _SHADE * (power - low) / (high - low)
            yield svg.rectangle(left, y, _LEVEL, 20, style.PAPER)
            yield svg.rectangle(left, y, _LEVEL, 20, style.POSITIVE, opacity=shade, line=style.FRAME_LINE)
            yield text(left + _LEVEL / 2, y + 15, f"1e{power}".replace("-", "−"), size=14, anchor="middle")
        if any(pick(line) == line.update for row in self.rows.values() for line in row if line is not None):
            yield text(x, y + 42, _USUAL, style.FAINT)
        elif any(line is not None and line.mean == 0.0 for row in self.rows.values() for line in row):
            yield text(x, y + 42, "hatched: exactly 0", style.FAINT)


def flow_over(
    measured: Mapping[int, Flow | Sequence[GradientStats]] | Sequence[Flow | Sequence[GradientStats]],
    *,
    modules: bool = False,
    title: str = "Gradient flow over training",
) -> FlowOver:
    """Show how gradients changed while a network was trained.

    Args:
        measured: by step, what :func:`viz.charts.flow` returned then, or lists of
            :class:`tinygrad_edu.gradient_stats.GradientStats`; a sequence stands for the steps 1, 2, 3, …
        modules: show the gradients at the results of modules instead of those of the parameters.
        title: the title.

    Raises ValueError if nothing was measured.

    >>> from tinygrad_edu import Value
    >>> import viz
    >>> w, flows = Value(1.0, label="w"), []
    >>> for _ in range(3):
    ...     loss = (w - 3.0) ** 2
    ...     w.zero_grad()
    ...     loss.backward()
    ...     flows.append(viz.flow(loss))
    ...     w.data -= 0.1 * w.grad
    >>> [line.mean for line in flow_over(flows).rows["w"]]
    [4.0, 3.2, 2.56]
    """
    items = measured.items() if isinstance(measured, Mapping) else enumerate(measured, 1)
    by_step = {
        step: (its.modules if modules else its.parameters) if isinstance(its, Flow) else list(its)
        for step, its in sorted(items, key=lambda item: item[0])
    }
    names = dict.fromkeys(line.name for lines in by_step.values() for line in lines)
    if not names:
        raise ValueError("no gradient was measured; give what viz.flow() returned for at least one step")
    found = {step: {line.name: line for line in lines} for step, lines in by_step.items()}
    return FlowOver(list(by_step), {name: [lines.get(name) for lines in found.values()] for name in names}, title)


def _words(line: GradientStats | None, pick: Callable[[GradientStats], float | None]) -> str:
    """Write a number in few characters.

    >>> _words(GradientStats("w", 2, 0.000318, 0.1, 0.0, 0), lambda line: line.mean)
    '3e−4'
    """
    if line is None:
        return ""
    if line.not_finite:
        return "NaN"
    size = pick(line)
    if size is None or size == 0.0:
        return "" if size is None else "0"
    return f"{size:.0e}".replace("e-0", "e−").replace("e+0", "e").replace("e-", "e−").replace("e+", "e")


def _short(step: int) -> str:
    """Write a step in few characters.

    >>> _short(500), _short(25000), _short(25500)
    ('500', '25k', '25.5k')
    """
    return f"{step / 1000:g}k" if step >= 10_000 and step % 100 == 0 else f"{step}"
