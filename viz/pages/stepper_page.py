"""The stepper as one HTML file: no network, no server, nothing to install where it is opened.

The file holds the picture, the step log and the program that replays it. Keys: → ← Page Down, Page Up, Home, End, F5
to play, "." for a black screen; ``#step=12`` in the address opens that step, ``#theme=beamer`` the projector's look.
"""

from __future__ import annotations

import html
import math

from tinygrad_edu.step_log import Node, StepLog

from .. import style
from ..errors import DrawingError
from ..play.engine import table_in_javascript
from ..rendering.page import Page
from ..rendering.positions import Positions, lay_out
from ..rendering.templates import asset, page, script_json

#: The largest number of Values that can be read in one picture.
MOST_VALUES = 250

_HEIGHT, _CONSTANT_HEIGHT = 100.0, 34.0


def step_page(log: StepLog, title: str = "", *, quiz: bool = False) -> Page:
    """Make the page that steps through ``log``; with ``quiz`` it starts as a quiz.

    Raises DrawingError if there are more than :data:`MOST_VALUES` Values.
    """
    if len(log.nodes) > MOST_VALUES:
        raise DrawingError(
            f"this graph has {len(log.nodes):,} Values, a page shows at most {MOST_VALUES}; step through a part of it, "
            f"from a Value nearer to the leaves, or use the terminal, which takes any size"
        )
    data = {**log.as_data(), "quiz": quiz}
    sentences = "".join(f"<li>{html.escape(log.sentence(step))}</li>" for step in log.steps)
    name = style.visible(log.nodes[log.root].name)
    parts = {
        "PICTURE": picture(log, positions(log)),
        "SENTENCES": f"<ol>{sentences}</ol>",
        "LOG": script_json(data),
        "SCRIPT": asset("words.js") + table_in_javascript() + asset("steps.js") + asset("step.js"),
    }
    return Page(page("step.html", title or f"{name}, step by step", asset("step.css") + asset("boxes.css"), parts))


# --- the picture ------------------------------------------------------------------------------------------------------


def size(node: Node) -> tuple[float, float]:
    """Return the width and height of a node's box, in points."""
    if node.is_constant:
        return max(34.0, 12.0 * len(style.number(node.data)) + 10.0), _CONSTANT_HEIGHT
    width = 12.5 * len(_title(node)) + 24.0
    if node.op is not None:
        width += 14.0 * len(tab_text(node)) + 22.0
    return max(158.0, width), _HEIGHT


def positions(log: StepLog) -> Positions:
    """Compute the positions of the boxes and edges of a log, edges in the order of :func:`edges`."""
    return lay_out([size(node) for node in log.nodes], [(source, target) for source, target, _ in edges(log)])


def edges(log: StepLog) -> list[tuple[int, int, int]]:
    """List every edge as (from, to, operand)."""
    return [(j, i, k) for i, node in enumerate(log.nodes) for k, j in enumerate(node.inputs)]


def _title(node: Node) -> str:
    return style.short(style.visible(node.name))


def tab_text(node: Node) -> str:
    """Return the operation, as shown in the corner of a box."""
    assert node.op is not None
    return style.symbol(node.op)


def picture(log: StepLog, placed: Positions) -> str:
    """Draw the graph as SVG with a place for every number; the numbers change with the step."""
    width, height = math.ceil(placed.width), math.ceil(placed.height)
    lines = [
        svg_start(log, width, height),
        f"<defs>{marker('tip', 13)}{marker('back', 24)}</defs>",
        '<g class="edges">',
    ]
    for (_, target, operand), path in zip(edges(log), placed.paths, strict=True):
        lines.append(
            f'<g class="edge" data-edge="{target}-{operand}"><path d="{path}" marker-end="url(#tip)"/>'
            f'<text class="flow"></text></g>'
        )
    lines.append("</g>")
    lines += [box(log, i, placed.centers[i]) for i in range(len(log.nodes))]
    return "\n".join([*lines, "</svg>"])


def svg_start(log: StepLog, width: int, height: int) -> str:
    """Return the opening tag of a picture of a log."""
    name = html.escape(style.visible(log.nodes[log.root].name), quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="boxes" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="computation graph of {name}">'
    )


#: The contents of the place of a number: texts, each with further attributes.
Cells = list[tuple[str, str]]


def marker(name: str, size: int) -> str:
    """An arrowhead, for the end of a line or for its start, where it points back."""
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="{size}" markerHeight="{size}" '
        f'markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path class="tip" d="M1,1L9,5L1,9"/></marker>'
    )


def box(log: StepLog, i: int, center: tuple[float, float], data: Cells | None = None, grad: Cells | None = None) -> str:
    """Draw one box in SVG; without ``data`` and ``grad`` their places show a dash.

    The formula stands beside the name if there is room.
    """
    node = log.nodes[i]
    x, y = center
    width, height = size(node)
    if node.is_constant:
        return (
            f'<g class="constant" data-node="{i}"><text x="{x:g}" y="{y + 7:g}">{style.number(node.data)}</text>'
            f"<title>the number {node.data!r} in the formula</title></g>"
        )
    left, top = x - width / 2, y - height / 2
    title = html.escape(style.visible(node.name))
    name_left = left + 12
    tab = how = ""
    if node.op is not None:
        tab_width = 14.0 * len(tab_text(node)) + 16.0
        tab = (
            f'<rect class="tab" x="{left + 2:g}" y="{top + 2:g}" width="{tab_width:g}" height="30" rx="3"/>'
            f'<text class="op" x="{left + 2 + tab_width / 2:g}" y="{top + 24:g}">{html.escape(tab_text(node))}</text>'
        )
        name_left = left + tab_width + 10
        formula = f"= {log.formula(i)}"
        how_left = name_left + 12.5 * len(_title(node)) + 5
        if how_left + 8.8 * len(formula) <= left + width - 6:
            how = f'<text class="how" x="{how_left:g}" y="{top + 24:g}">{html.escape(style.visible(formula))}</text>'
    kind = "node leaf" if node.is_leaf else "node"

    def cells(name: str, texts: Cells | None, below: float) -> str:
        place = f'x="{left + width - 12:g}" y="{top + below:g}"'
        return "".join(
            f'<text class="number {name}" {place}{more}>{words}</text>' for words, more in texts or [("–", "")]
        )

    return (
        f'<g class="{kind}" data-node="{i}"><title>{title}</title>'
        f'<rect class="box" x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="5"/>{tab}'
        f'<text class="name" x="{name_left:g}" y="{top + 24:g}">{html.escape(_title(node))}</text>{how}'
        f'<line class="rule" x1="{left:g}" x2="{left + width:g}" y1="{top + 34:g}" y2="{top + 34:g}"/>'
        f'<text class="word" x="{left + 12:g}" y="{top + 57:g}">data</text>'
        f"{cells('data', data, 58)}"
        f'<line class="rule" x1="{left:g}" x2="{left + width:g}" y1="{top + 66:g}" y2="{top + 66:g}"/>'
        f'<text class="word" x="{left + 12:g}" y="{top + 88:g}">grad</text>'
        f"{cells('grad', grad, 89)}</g>"
    )
