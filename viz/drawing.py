"""``draw`` and ``save``: the computation graph as a picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from tinygrad_edu import Value, collector_paused, record_calls
from tinygrad_edu.calls import CallRecord, ModuleCall
from tinygrad_edu.nested import values_in

from . import style as looks
from .graph import age, diagnose, fold, regions
from .graph.annotations import annotate
from .graph.build import Graph, roots_in
from .graph.neighborhood import DEPTH, neighborhood
from .graph.partition import Scope
from .names import Names, is_module, names_of
from .rendering import dot
from .rendering.beamer import beamer
from .rendering.readable import BOXES, MOST, most_readable

__all__ = ["DIRECTIONS", "PRESETS", "STYLES", "THEMES", "draw", "save"]

STYLES = ("box", "micrograd")
DIRECTIONS = ("LR", "TB", "RL", "BT", "wrapped")
PRESETS = ("beamer",)
THEMES = ("auto", "light", "dark")

#: What other packages call it.
_HINTS = {
    "rankdir": 'direction="TB"', "graph_dir": 'direction="TB"', "format": 'draw(...).save("file.png")',
    "filename": 'draw(...).save("file.png")', "save_graph": 'draw(...).save("file.png")', "max_boxes": "budget=",
    "params": "calls=, or a model as the first argument", "expand_nested": "expand=", "show_attrs": "digits=",
    "input_data": "draw(model, x)", "graph_name": "title=",
}  # fmt: skip


def draw(
    value: Any,
    *inputs: Any,
    calls: CallRecord | Iterable[ModuleCall] | None = None,
    names: Names | None = None,
    budget: int | None = None,
    depth: int | None = None,
    focus: str | Iterable[str] | Value = (),
    expand: str | Iterable[str] = (),
    collapse: str | Iterable[str] = (),
    hide: str | Iterable[str] = (),
    direction: str | None = None,
    style: str = "box",
    legend: bool = True,
    preset: str | None = None,
    theme: str = "auto",
    title: str = "",
    digits: int = 4,
    scale: float | None = None,
    dpi: float | None = None,
    size: tuple[float, float] | None = None,
    look: Callable[[list[Value], Any], object] | None = None,
    times: bool = False,
    **unknown: Any,
) -> dot.Drawing:
    """Draw everything a result was computed from.

    One box per Value: its operation in a tab, its name, ``data`` above the rule and ``grad`` below it; "–" is a
    gradient that has not been computed. Thin arrows are the data. After ``backward()`` a colored band along each of
    them is the gradient: its arrowhead is where it flows to, its width is its size, its color and a bar are its sign,
    dashes are exactly zero; on it stand the local derivative and the gradient. Dead and
    saturated units are marked, and the first NaN or infinity is outlined and named on top, even inside a folded box. If
    a number was changed after something had been computed from it, a red line on top says which, the numbers are called
    old, and the edges carry no numbers. If there are more Values than boxes allowed, dot products, modules and
    repetitions are folded, and the line on top says how much: alike examples or positions are one box ×N, and so are
    modules that feed each other, such as the blocks of a GPT.

    Args:
        value: a Value, or any nesting of lists with Values, such as the output of a module; or a module, followed by
            what it is called with.
        inputs: what the module is called with.
        calls: what :func:`tinygrad_edu.record_calls` recorded while the value was computed; it gives modules their
            frames and parameters their names. Without it, parameters are named after the modules in the variables of
            the caller.
        names: a dictionary of variables, such as ``locals()``, for Values without a label; at the top level of a
            script, a notebook or a console they are found without it.
        budget: the largest number of boxes; by default as many as can be read, at 14 pixels, on a screen of 1280 × 720.
        depth: how many levels of modules inside the outermost ones are open: 0 shows their parts.
        focus: paths or classes of modules, such as ``"transformer.h.0.attn"`` or ``"AttentionHead"``, with ``*`` for
            anything: the budget is spent on what is inside them, and the rest is folded as far as possible. Or a single
            Value, or its label: only its surroundings are shown, at most ``depth`` steps (2 if not given) before and
            after it.
        expand: modules, named in the same way, that are always shown open.
        collapse: modules that are always shown closed.
        hide: names of parameters and inputs that are not drawn, such as ``"*.b"``; ``"numbers"`` are those in formulas.
        direction: ``"LR"``, inputs on the left; ``"TB"``, inputs on top; ``"RL"`` and ``"BT"`` the other way round;
            ``"wrapped"``, from left to right in rows that fill a screen. By default ``"LR"`` or ``"wrapped"``, whatever
            is larger on a screen.
        style: ``"box"``, or ``"micrograd"`` for the look of the well-known lecture, with operations in separate
            circles, which do not count toward the budget.
        legend: whether to add a legend of the colors.
        preset: ``"beamer"`` folds until every text is at least 24 pixels high on a screen of 1920 × 1080, with at most
            40 boxes, strengthens the contrast, and makes the picture exactly as large as that screen.
        theme: ``"auto"`` follows the screen; ``"light"`` and ``"dark"`` do not.
        title: a line on top.
        digits: how many significant digits numbers have.
        scale: pixels of a PNG per point, 8/3 by default.
        dpi: the same per inch.
        size: width and height of the picture in pixels; the drawing is as large as fits.
        look: a function of the Values of a box and its :class:`viz.style.Face`, which it may change.
        times: whether to say how long modules took to compute their results, as recorded.

    Raises:
        ValueError: a number is out of range or a word is unknown.
        TypeError: there is no Value in ``value``, or an argument is unknown.

    >>> from tinygrad_edu import Value
    >>> x = Value(3.0, label="x")
    >>> len(draw(x * x).picture.edges)
    2
    """
    _check(budget, depth, direction, style, preset, theme, digits, unknown)
    if inputs or (is_module(value) and not values_in(value)):
        value, calls = _called(value, inputs, calls)
    if times and not calls:
        raise ValueError("times= takes what record_calls() recorded while the result was computed, as calls=")
    values = roots_in(value)
    with collector_paused():
        whole, parts = regions.explored(values, calls, names_of(names, calls))
        found = annotate(whole, parts, diagnose.first_not_finite(whole, parts))
        words = age.sentences(whole)
    center = None
    if isinstance(focus, str):
        focus = _labeled(whole, parts, focus)
    if isinstance(focus, Value):
        center, focus = whole.index.get(focus), ()
        if center is None:
            raise ValueError("the Value in focus= is not among those that the result was computed from")
        if depth == 0 or (budget is not None and budget < 3):
            raise ValueError("a picture around a Value needs a depth of at least 1 and a budget of at least 3")
    scope = Scope(parts, parts.named(_words(focus)) or None, parts.named(_words(expand)), parts.named(_words(collapse)))
    hidden = _words(hide)
    folder = fold.Folder(whole, parts, budget or MOST, depth=depth, scope=scope, times=times)

    def pictured(budget: int) -> fold.Picture:
        with collector_paused():
            if center is not None:
                picture = neighborhood(whole, parts, center, budget=budget, depth=depth or DEPTH)
            else:
                picture = folder.fold(budget)
        picture.annotations, picture.age = found, words
        picture.title, picture.digits, picture.look = title, digits, look
        return _without(picture, hidden) if hidden else picture

    def at(budget: int, strong: bool = False) -> dot.Drawing:
        return dot.drawing(pictured(budget), direction, lecture=style == "micrograd", legend=legend, strong=strong)

    if preset == "beamer":
        drawing = beamer(partial(at, strong=True), budget)
    elif budget is None and center is None and len(whole) > MOST:
        drawing = most_readable(at, BOXES, complete=depth is not None or bool(focus))
    elif budget is None and center is None and direction is None and depth is None and style == "box":
        drawing = most_readable(at, MOST)
    else:
        drawing = at(budget or MOST)
    drawing.theme = theme
    drawing.size = size or drawing.size
    if size or scale or dpi:
        drawing.zoom = scale or (dpi / 72 if dpi else 1.0)
    return drawing


def _check(
    budget: int | None,
    depth: int | None,
    direction: str | None,
    style: str,
    preset: str | None,
    theme: str,
    digits: int,
    unknown: dict[str, Any],
) -> None:
    for name in unknown:
        hint = f"; use {_HINTS[name]}" if name in _HINTS else ""
        raise TypeError(f"draw() got an unexpected keyword argument {name!r}{hint}")
    if budget is not None and (not isinstance(budget, int) or budget < 2):
        raise ValueError(f"budget must be a whole number of boxes, at least 2; got {budget!r}")
    if depth is not None and (not isinstance(depth, int) or depth < 0):
        raise ValueError(f"depth must be a whole number of levels, at least 0; got {depth!r}")
    if not isinstance(digits, int) or not 1 <= digits <= 17:
        raise ValueError(f"digits must be a whole number from 1 to 17; got {digits!r}")
    for name, word, known in (
        ("direction", direction, DIRECTIONS), ("style", style, STYLES), ("preset", preset, PRESETS),
        ("theme", theme, THEMES),
    ):  # fmt: skip
        if word is not None and word not in known:
            raise ValueError(f"unknown {name}: {word!r} (must be one of {', '.join(known)})")


def _called(
    module: Any, inputs: Sequence[Any], calls: CallRecord | Iterable[ModuleCall] | None
) -> tuple[Any, CallRecord]:
    """Call a module, and record it."""
    if isinstance(module, Value) or not callable(module):
        raise TypeError(f"only a module or a function can be called with inputs; got {type(module).__name__}")
    if calls is not None:
        raise TypeError("calls= is for a result; a module is recorded when it is called")
    if not inputs:
        raise TypeError(f"pass what the module is called with too: draw({type(module).__name__.lower()}, x)")
    with record_calls() as record:
        result = module(*inputs)
    return result, record


def _labeled(graph: Graph, parts: regions.Regions, name: str) -> str | Value:
    """The Value with this label, unless a module has that name."""
    if any(name in (region.call.path, region.call.kind) for region in parts.tree if region.call is not None):
        return name
    return next((graph.values[node] for node, label in graph.names.items() if label == name), name)


def _without(picture: fold.Picture, names: Sequence[str]) -> fold.Picture:
    """Leave out what is not computed and has one of these names."""
    fed = {edge.target for edge in picture.edges}

    def hidden(box: fold.Box) -> bool:
        if box in fed or box.root:
            return False
        label = "numbers" if looks.is_number(box, picture) else box.name
        return any(fnmatchcase(label, name) or fnmatchcase(label.rpartition(".")[2], name) for name in names)

    left_out = {box for box in picture.boxes if hidden(box)}
    picture.hidden = sum(len(box.nodes) for box in left_out)
    picture.boxes = [box for box in picture.boxes if box not in left_out]
    picture.edges = [edge for edge in picture.edges if edge.source not in left_out]
    return picture


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
