"""The explorer: the loss of any model as one HTML file, from the whole GPT down to one multiplication and back.

The file holds the recorded program and its leaves (see :mod:`viz.pages.explorer_data`); when opened, the page computes
every value and every gradient from them, in the engine's order and bit for bit. Boxes are the recorded module calls and
the idioms that :mod:`viz.graph.regions` finds. No network, no server.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tinygrad_edu import collector_paused, ops
from tinygrad_edu.calls import CallRecord, ModuleCall
from tinygrad_edu.nested import values_in

from ..graph import regions
from ..names import Names, names_of
from ..rendering.page import Page
from ..rendering.templates import asset, page, script_json
from . import explorer_data

_SCRIPTS = (
    "words.js", "explore_program.js", "explore_view.js", "layout.js", "explore_table.js", "explore_terms.js",
    "explore.js",
)  # fmt: skip
_TYPES = {
    "codes": "B", "counts": "i", "inputs": "i", "leaves": "d", "kept": "d",
    "home": "i", "kinds": "B", "parents": "i", "sizes": "i", "extras": "i", "anchors": "i", "tables": "i",
}  # fmt: skip


def explore(
    value: Any,
    *,
    calls: CallRecord | Iterable[ModuleCall] | None = None,
    names: Names | None = None,
    tokens: Sequence[str] = (),
    title: str = "",
) -> Page:
    """Make a page whose boxes open and close, from the whole computation of a result down to one operation.

    Each box shows its name, shape, data and gradient; the innermost ones are single values, with the chain rule written
    out. The gradients are those of this result alone; ``grad`` of the Values is neither used nor changed.

    Args:
        value: the Value to explain, such as a loss, with a graph of any size that can be recorded.
        calls: what :func:`tinygrad_edu.record_calls` recorded while it was computed; it gives modules their boxes and
            parameters their names.
        names: names for Values without a label, as :func:`viz.draw` takes them.
        tokens: for a language model the characters it read, one per position, to show in lists.
        title: the title of the page.

    Raises:
        TypeError: ``value`` is not one Value.
        StaleGraphError: a number was changed after something had been computed from it.

    >>> from tinygrad_edu import Value
    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> explore(a * b + a).save("L.html")
    'L.html'
    """
    values = values_in(value)
    if len(values) != 1:
        raise TypeError(
            f"expected the one Value to explain, such as a loss; got {type(value).__name__} with {len(values)}"
        )
    with collector_paused():
        whole, parts = regions.explored(values, calls, names_of(names, calls))
        named, tables, labels = explorer_data.names(whole)
        arrays = {**explorer_data.program(whole), **explorer_data.places(parts), **named}
    if not title:
        title = whole.names.get(whole.roots[0], "result")
    words: dict[str, int] = {}
    meta = {
        "title": title,
        "nodes": len(whole),
        "types": _TYPES,
        "kinds": explorer_data.KINDS,
        "ops": [_row(op) for op in ops.TABLE],
        "calls": [
            [
                number,
                words.setdefault(call.path, len(words)),
                words.setdefault(call.kind, len(words)),
                len(call.inputs),
                len(call.outputs),
            ]
            for number, region in enumerate(parts.tree)
            if (call := region.call) is not None
        ],
        "words": list(words),
        "given": list(parts.given.items()),
        "tables": tables,
        "labels": list(labels.items()),
        "tokens": list(tokens),
    }
    pieces = {
        "META": script_json(meta),
        "ARRAYS": "\n".join(f'<script type="text/plain" id="{name}">{arrays[name]}</script>' for name in _TYPES),
        "SCRIPT": "".join(map(asset, _SCRIPTS)),
    }
    return Page(page("explore.html", title, asset("explore.css"), pieces))


def _row(op: ops.Op) -> dict[str, Any]:
    return {
        "name": op.name,
        "symbol": op.symbol,
        "arity": op.arity,
        "formula": op.formula,
        "derivatives": None if op.derivatives is None else list(op.derivative_formulas),
    }
