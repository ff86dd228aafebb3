"""``draw`` and ``save``: the computation graph as a picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from tinygrad_edu import Value, collector_paused
from tinygrad_edu.calls import CallRecord, ModuleCall

from .graph import age, diagnose, fold, regions
from .graph.annotations import annotate
from .graph.build import roots_in
from .graph.neighborhood import DEPTH, neighborhood
from .graph.partition import Scope
from .rendering import dot
from .rendering.beamer import beamer

__all__ = ["DIRECTIONS", "PRESETS", "STYLES", "draw", "save"]

STYLES = ("box", "micrograd")
DIRECTIONS = ("LR", "TB", "wrapped")
PRESETS = ("beamer",)


def draw(
    value: Any,
    *,
    calls: CallRecord | Iterable[ModuleCall] | None = None,
    budget: int = 400,
    depth: int | None = None,
    focus: str | Iterable[str] | Value = (),
    expand: str | Iterable[str] = (),
    direction: str = "LR",
    style: str = "box",
    legend: bool = True,
    preset: str | None = None,
) -> dot.Drawing:
    """Draw everything a result was computed from.

    One box per Value: its operation in a tab, its name, ``data`` above the rule and ``grad`` below it; "–" is a
    gradient that has not been computed. Edges carry the local derivative and, after ``backward()``, the gradient that
    flows back: its size as the width, its sign as the color and the arrowhead, exact zero as dashes. Dead and
    saturated units are marked, and the first NaN or infinity is outlined and named on top, even inside a folded box. If
    a number was changed after something had been computed from it, a red line on top says which, the numbers are called
    old, and the edges carry no numbers. If there are more Values than boxes allowed, dot products, modules and
    repetitions are folded, and the line on top says how much.

    Args:
        value: a Value, or any nesting of lists with Values, such as the output of a module.
        calls: what :func:`tinygrad_edu.record_calls` recorded while the value was computed; it gives modules their
            frames and parameters their names.
        budget: the largest number of boxes.
        depth: show only boxes at most this many steps from the result.
        focus: paths or classes of modules, such as ``"transformer.h.0.attn"`` or ``"AttentionHead"``, with ``*`` for
            anything: the budget is spent on what is inside them, and the rest is folded as far as possible. Or a single
            Value: only its surroundings are shown, at most ``depth`` steps (2 if not given) before and after it.
        expand: modules, named in the same way, that are always shown open.
        direction: ``"LR"``, inputs on the left; ``"TB"``, inputs on top; ``"wrapped"``, from left to right in rows that
            fill a screen.
        style: ``"box"``, or ``"micrograd"`` for the look of the well-known lecture, with operations in separate
            circles, which do not count toward the budget.
        legend: whether to add a legend of the colors.
        preset: ``"beamer"`` folds until every text is at least 24 pixels high on a screen of 1920 × 1080, with at most
            40 boxes, and strengthens the contrast.

    Raises:
        ValueError: a number is out of range or a word is unknown.
        TypeError: there is no Value in ``value``.

    >>> from tinygrad_edu import Value
    >>> x = Value(3.0, label="x")
    >>> len(draw(x * x).picture.edges)
    2
    """
    if not isinstance(budget, int) or budget < 2:
        raise ValueError(f"budget must be a whole number of boxes, at least 2; got {budget!r}")
    if depth is not None and (not isinstance(depth, int) or depth < 0):
        raise ValueError(f"depth must be a whole number of boxes, at least 0; got {depth!r}")
    if direction not in DIRECTIONS:
        raise ValueError(f"unknown direction: {direction!r} (must be one of {', '.join(DIRECTIONS)})")
    if style not in STYLES:
        raise ValueError(f"unknown style: {style!r} (must be one of {', '.join(STYLES)})")
    if preset not in (None, *PRESETS):
        raise ValueError(f"unknown preset: {preset!r} (must be one of {', '.join(PRESETS)})")
    values = roots_in(value)
    with collector_paused():
        whole, parts = regions.explored(values, calls)
        found = annotate(whole, parts, diagnose.first_not_finite(whole, parts))
        words = age.sentences(whole)
    center = None
    if isinstance(focus, Value):
        center, focus = whole.index.get(focus), ()
        if center is None:
            raise ValueError("the Value in focus= is not among those that the result was computed from")
        if depth == 0 or budget < 3:
            raise ValueError("a picture around a Value needs a depth of at least 1 and a budget of at least 3")
    focused, expanded = parts.named(_words(focus)), parts.named(_words(expand))
    scope = Scope(parts, focused or None, expanded)

    def pictured(budget: int) -> fold.Picture:
        with collector_paused():
            if center is not None:
                picture = neighborhood(whole, parts, center, budget=budget, depth=depth or DEPTH)
            else:
                picture = fold.fold(whole, parts, budget=budget, depth=depth, scope=scope)
        picture.annotations, picture.age = found, words
        return picture

    how: dict[str, Any] = {"direction": direction, "lecture": style == "micrograd", "legend": legend}
    at: Callable[[int], dot.Drawing] = partial(_drawn, pictured, least=2 if center is None else 3, **how)
    return beamer(at, budget) if preset == "beamer" else at(budget)


def _drawn(
    pictured: Callable[[int], fold.Picture], budget: int, *, least: int, note: str = "", **how: Any
) -> dot.Drawing:
    """Not inside of :func:`draw`: a function there that calls itself is a cycle, and keeps a large graph in memory."""
    picture = pictured(budget)

    def coarser(reason: str) -> dot.Drawing | None:
        smaller = min(budget, len(picture.boxes)) // 4
        return _drawn(pictured, smaller, least=least, note=reason, **how) if smaller >= least else None

    return dot.drawing(picture, note=note, coarser=coarser, **how)


def _words(words: str | Iterable[str]) -> list[str]:
    return [words] if isinstance(words, str) else list(words)


def save(drawing: Any, path: str | os.PathLike[str], **options: Any) -> str:
    """Write a drawing, or a Value that is drawn first, to a file; the extension chooses the format.

    Args:
        drawing: what :func:`draw` returned, or what it takes; or a chart, an animation, a page: anything with a
            ``save`` method.
        path: ends in ``.svg``, ``.png``, ``.pdf``, ``.html`` or ``.dot``.
        options: passed to :func:`draw` if ``drawing`` has yet to be drawn.

    Returns the path. See :meth:`viz.rendering.dot.Drawing.save` for what can go wrong.
    """
    if not hasattr(drawing, "save"):
        drawing = draw(drawing, **options)
    elif options:
        raise TypeError(f"this is already drawn; pass {', '.join(options)} to draw()")
    return str(drawing.save(os.fspath(path)))
