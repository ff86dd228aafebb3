"""``histogram``: the distributions of weights, gradients and results of modules, one small picture each."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu.calls import CallRecord
from tinygrad_edu.engine import NO_GRADIENT_YET

from .. import style
from ..rendering import svg
from ..rendering.svg import stroke, text
from .chart import TEXT_WIDTH, Chart, listed
from .flow import by_module

_BINS = 31  # an odd number, so that 0 is in the middle of a bin
_SPREAD = 4.0  # root mean squares on either side of 0: 1 in 16,000 of normally distributed numbers is beyond
_WIDTH, _HEIGHT = 250.0, 84.0  # points: the bars of one histogram
_GAP = 34.0
_BLOCKS = " ▁▂▃▄▅▆▇█"
_MANY_ZEROS = 0.5  # the share of zeros from which they are reported
WHAT = ("parameters", "modules")
SCALES = ("own", "common")


@dataclass(frozen=True)
class Bins:
    """The distribution of some numbers.

    Attributes:
        counts: how many numbers are in each bin, of equal widths from ``low`` to ``high``, without zeros.
        low, high: the ends of the axis.
        below, above: how many numbers are beyond its ends.
        zeros: how many are exactly 0.
        not_finite: how many are NaN or infinite.
        total: how many numbers there are.
        mean, std: the mean and standard deviation of the finite ones.
    """

    counts: Sequence[int]
    low: float
    high: float
    below: int
    above: int
    zeros: int
    not_finite: int
    total: int
    mean: float
    std: float


@dataclass(frozen=True, repr=False)
class Histograms(Chart):
    """Finished histograms; the last line of a notebook cell shows them.

    Attributes:
        kinds: what each row shows, such as weights and gradients.
        rows: by the name of a table or module, one distribution per kind; None if there is none, such as gradients that
            have not been computed.
        title: the title.
    """

    kinds: Sequence[str]
    rows: Mapping[str, Sequence[Bins | None]]
    title: str

    def __str__(self) -> str:
        """The bars in blocks, from one end of the axis to the other."""
        lines = [self.title] if self.title else []
        for k, kind in enumerate(self.kinds):
            lines += [*([""] if k else []), kind]
            for name, row in self.rows.items():
                if bins := row[k]:
                    blocks = "".join(_BLOCKS[math.ceil(8 * c / max(1, *bins.counts))] for c in bins.counts)
                    facts = f"{name}: {', '.join([_facts(bins), *_warnings(bins)])}"
                    lines += textwrap.wrap(facts, TEXT_WIDTH, subsequent_indent="  ", break_on_hyphens=False)
                    lines.append(f"{style.plain(bins.low, 2):>10}▏{blocks}▕{style.plain(bins.high, 2)}")
        return "\n".join(lines)

    def _drawn(self) -> str:
        return _chart(self)

    def _title(self) -> str:
        return self.title or "Histograms"


def histogram(
    source: CallRecord | Mapping[str, Any],
    *,
    of: str = "parameters",
    scale: str = "own",
    split: Sequence[str] = ("AttentionHead",),
    title: str = "",
    gradients: Mapping[str, Any] | None = None,
) -> Histograms:
    """Show how numbers are distributed.

    An axis extends four root mean squares to either side of 0. Numbers beyond are counted at its ends, and exact zeros,
    which would hide everything else, are counted in words.

    Args:
        source: what :func:`tinygrad_edu.record_calls` recorded; or, by name, any nesting of lists of numbers or Values.
        of: for a record, ``"parameters"`` shows the weights and gradients of every table, ``"modules"`` the results of
            every module and the gradients that arrive at them.
        scale: ``"own"`` gives every histogram its own axis, to show its shape; ``"common"`` gives all of one kind the
            axis of the widest, to compare them.
        split: kinds of modules of which every call gets its own row.
        title: the title.
        gradients: the gradients of weights that are given by name as numbers, by the same names.

    Raises ValueError if there is nothing to show.

    >>> shown = histogram({"w": [0.5, -0.5, 0.0, 0.25]})
    >>> shown.rows["w"][0].zeros, shown.rows["w"][0].total
    (1, 4)
    """
    if of not in WHAT:
        raise ValueError(f"unknown kind of histogram: {of!r} (must be one of {', '.join(WHAT)})")
    if scale not in SCALES:
        raise ValueError(f"unknown scale: {scale!r} (must be one of {', '.join(SCALES)})")
    groups: dict[str, Any] = {}
    if isinstance(source, CallRecord):
        kinds = ["weights", "gradients"] if of == "parameters" else ["results", "gradients"]
        if of == "parameters":
            for value, name in source.names.items():
                groups.setdefault(name.partition("[")[0], []).append(value)
        else:
            for name, calls in by_module(source.calls, frozenset(split)).items():
                groups[name] = [v for call in calls for v in call.outputs]
    else:
        kinds = ["numbers" if gradients is None else "weights", "gradients"]
        groups = {str(name): _flat(some) for name, some in source.items()}
    groups = {style.visible(name): some for name, some in groups.items() if len(some)}
    if not groups:
        raise ValueError("there is nothing to show: no numbers were given, or no module was called")
    sent = {
        name: [x.grad for x in some if isinstance(x, Value) and x.grad is not NO_GRADIENT_YET]
        for name, some in groups.items()
        if isinstance(some, list)
    }
    sent |= {name: _flat(some) for name, some in (gradients or {}).items() if name in groups}
    columns = [_binned(groups, scale)]
    if any(map(len, sent.values())):
        columns.append(_binned({name: sent.get(name, []) for name in groups}, scale))
    rows = {name: [column[name] for column in columns] for name in groups}
    return Histograms(kinds[: len(columns)], rows, style.visible(title))


def _flat(thing: Any) -> Any:
    """Flatten numbers or Values: an array of numbers stays an array, and anything else becomes a list."""
    import numpy as np  # here and not above: most pictures need no arrays

    if isinstance(thing, np.ndarray) and thing.dtype != object:
        return thing.ravel()
    return list(_items(listed(thing)))


def _items(thing: Any) -> Iterator[Any]:
    if isinstance(thing, (list, tuple)):
        for item in thing:
            yield from _items(item)
    else:
        yield thing


def _binned(groups: Mapping[str, Any], scale: str) -> dict[str, Bins | None]:
    """Make a distribution for each group that has numbers."""
    import numpy as np

    numbers = {
        name: np.asarray(
            [float(x.data if isinstance(x, Value) else x) for x in some] if isinstance(some, list) else some, float
        )
        for name, some in groups.items()
    }
    finite = {name: some[np.isfinite(some)] for name, some in numbers.items()}
    ends = {name: _ends(some) for name, some in finite.items()}
    if scale == "common":
        shared = (min(low for low, _ in ends.values()), max(high for _, high in ends.values()))
        ends = dict.fromkeys(groups, shared)
    return {name: _bins(len(some), finite[name], *ends[name]) if len(some) else None for name, some in numbers.items()}


def _ends(numbers: Any) -> tuple[float, float]:
    """Return the ends of the axis: on both sides of 0, or from 0 on if nothing is negative."""
    if not numbers.any():
        return 0.0, 1.0
    largest = float(abs(numbers).max())
    spread = largest * math.sqrt(((numbers / largest) ** 2).mean())
    reach = min(largest, _SPREAD * spread)
    return (0.0 if numbers.min() >= 0.0 else -reach), reach


def _bins(total: int, finite: Any, low: float, high: float) -> Bins:
    import numpy as np

    below, above, zeros = (int(np.count_nonzero(x)) for x in (finite < low, finite > high, finite == 0.0))
    shown = finite[(finite >= low) & (finite <= high) & (finite != 0.0)]
    places = np.minimum(_BINS - 1, (shown - low) / (high - low) * _BINS).astype(int)
    counts = np.bincount(places, minlength=_BINS).tolist()
    mean = float((finite / len(finite)).sum()) if len(finite) else math.nan
    # Squares of huge numbers would overflow.
    largest = float(abs(finite - mean).max(initial=0.0)) or 1.0
    std = largest * math.sqrt((((finite - mean) / largest) ** 2).mean()) if len(finite) else math.nan
    return Bins(counts, low, high, below, above, zeros, total - len(finite), total, mean, std)


def _facts(bins: Bins) -> str:
    return f"{bins.total:,} numbers, std {style.plain(bins.std, 3)}"


def _warnings(bins: Bins) -> list[str]:
    """Say what the bars do not show."""
    words = []
    if bins.zeros:
        words.append(
            f"{bins.zeros / bins.total:.0%} zero" if bins.zeros >= 0.005 * bins.total else f"{bins.zeros} zero"
        )
    if bins.below or bins.above:
        words.append(f"{bins.below + bins.above:,} beyond")
    if bins.not_finite:
        words.append(f"{bins.not_finite:,} not finite")
    return words


# --- the picture ------------------------------------------------------------------------------------------------------


def _chart(chart: Histograms) -> str:
    """Arrange rows in enough columns to make the picture about as wide as a screen."""
    names = list(chart.rows)
    one = (_WIDTH + _GAP) * len(chart.kinds)
    cell = max(one, *(svg.width(name, bold=True) + _GAP for name in names))
    high = _HEIGHT + 84.0
    columns = max(1, min(len(names), round(math.sqrt(len(names) * high * 1.5 / cell)) or 1))
    deep = math.ceil(len(names) / columns)
    top = 52.0 if chart.title else 16.0
    parts = [text(12, 32, chart.title, size=20, bold=True)] if chart.title else []
    for i, name in enumerate(names):
        x, y = 20.0 + i // deep * cell, top + i % deep * high
        inside = [text(0, 18, name, bold=True)]
        for k, (kind, bins) in enumerate(zip(chart.kinds, chart.rows[name], strict=True)):
            if bins is not None:
                inside.append(svg.moved(k * (_WIDTH + _GAP), 0, _histogram(name, kind, bins, k)))
        parts.append(svg.moved(x, y, inside))
    bottom = top + deep * high
    words = _legend(chart)
    parts.append(text(12, bottom + 20, words, style.FAINT))
    wide = max(20 + columns * cell, 24 + svg.width(words), 24 + svg.width(chart.title, 20, bold=True))
    return svg.document(wide, bottom + 36, parts)


def _legend(chart: Histograms) -> str:
    blue = f"blue: {chart.kinds[0]}" if len(chart.kinds) > 1 else chart.kinds[0]
    hatched = f"; hatched: {chart.kinds[1]}" if len(chart.kinds) > 1 else ""
    return f"{blue}{hatched}; the bars leave out zeros; ◂ ▸ how many are beyond the axis"


def _histogram(name: str, kind: str, bins: Bins, which: int) -> list[str]:
    """Draw the bars of one distribution, from the corner (0, 0): words at 40, bars below, the axis at the bottom."""
    floor, step = 52.0 + _HEIGHT, _WIDTH / _BINS
    largest = max(1, *bins.counts)
    color = (style.POSITIVE, style.NEGATIVE)[which]
    parts, hatched = [], []
    for i, count in enumerate(bins.counts):
        if count:
            high = max(1.5, _HEIGHT * count / largest)
            box = (i * step, floor - high, step, high)
            fill = color if which == 0 else style.PAPER
            low = bins.low + (bins.high - bins.low) * i / _BINS
            words = f"{name}: {count:,} {kind} from {low:.4g} to {low + (bins.high - bins.low) / _BINS:.4g}"
            bar = svg.rectangle(*box, fill, line=style.PAPER if which == 0 else color)
            parts.append(svg.titled(words, [bar], count=str(count)))
            if which:
                hatched += svg.hatching(*box, step=5.0)
    parts.append(svg.lines(hatched, color, 1))
    parts.append(stroke(0, floor, _WIDTH, floor, style.OUTLINE, 1.5))
    ends = (bins.low, 0.0, bins.high) if bins.low < 0.0 else (bins.low, bins.high)
    for end, anchor in zip(ends, ("start", "middle", "end") if len(ends) == 3 else ("start", "end"), strict=True):
        x = _WIDTH * (end - bins.low) / (bins.high - bins.low)
        parts.append(stroke(x, floor, x, floor + 5, style.OUTLINE, 1.5))
        parts.append(text(x, floor + 20, style.plain(end, 2), style.FAINT, size=14, anchor=anchor))
    facts = f"std {style.plain(bins.std, 2)}"
    parts.append(text(0, 38, facts, style.FAINT, size=14))
    alarming = bins.not_finite or bins.zeros >= _MANY_ZEROS * bins.total
    words = ", ".join(w for w in _warnings(bins) if not w.endswith("beyond"))
    parts.append(
        text(_WIDTH, 38, words, style.NEGATIVE if alarming else style.FAINT, size=14, anchor="end", bold=bool(alarming))
    )
    if bins.below:
        parts.append(text(0, 56, f"◂{bins.below:,}", style.NEGATIVE, size=14, bold=True))
    if bins.above:
        parts.append(text(_WIDTH, 56, f"{bins.above:,}▸", style.NEGATIVE, size=14, anchor="end", bold=True))
    return parts
