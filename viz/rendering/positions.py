"""Positions for a picture whose contents change while its boxes stay, as in stepper pages and animations.

The layout program places empty boxes; this reads the positions back from its SVG, the one format that every such
program writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import LayoutError
from . import graphviz_program


@dataclass(frozen=True)
class Positions:
    """Where everything is, in points from the upper left corner.

    Attributes:
        width, height: the size of the whole picture.
        centers: the middle (x, y) of each box.
        paths: the ``d`` of an SVG path from the border of one box to the border of another, per edge.
    """

    width: float
    height: float
    centers: tuple[tuple[float, float], ...]
    paths: tuple[str, ...]


def lay_out(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Positions:
    """Lay out boxes of the given widths and heights, in points, so that edges lead from left to right.

    Raises LayoutError if no layout program is installed, LayoutTimeout if there are too many boxes.
    """
    lines = ["digraph {rankdir=LR; nodesep=0.35; ranksep=1.12; pad=0.15;", 'node [shape=box fixedsize=true label=""]']
    lines += [
        f"n{i} [id=n{i} width={width / 72:.4f} height={height / 72:.4f}]" for i, (width, height) in enumerate(sizes)
    ]
    lines += [f"n{a} -> n{b} [id=e{i} arrowhead=none]" for i, (a, b) in enumerate(edges)]
    source = "\n".join([*lines, "}"])

    def placed(program: graphviz_program.Renderer) -> Positions:
        return _read(
            graphviz_program.render(source, "svg", program, graphviz_program.TIMEOUT).decode(), len(sizes), len(edges)
        )

    return graphviz_program.first_that_works("svg", placed)


_VIEW = re.compile(r'viewBox="\S+ \S+ (\S+) (\S+)"')
_MOVE = re.compile(r"translate\((\S+?)[ ,](\S+?)\)")
_NODE = re.compile(r'<g id="n(\d+)" class="node">.*?points="([^"]+)"', re.DOTALL)
_EDGE = re.compile(r'<g id="e(\d+)" class="edge">.*?<path[^>]* d="([^"]+)"', re.DOTALL)
_PAIR = re.compile(r"(-?[\d.]+),(-?[\d.]+)")


def _read(svg: str, nodes: int, edges: int) -> Positions:
    view, move = _VIEW.search(svg), _MOVE.search(svg)
    if view is None or move is None:
        raise LayoutError("the layout program wrote an SVG of another form; save as .dot to look at the graph's text")
    dx, dy = float(move[1]), float(move[2])
    centers: dict[int, tuple[float, float]] = {}
    for i, points in _NODE.findall(svg):
        pairs = [(float(x), float(y)) for x, y in _PAIR.findall(points)]
        xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
        centers[int(i)] = (round((min(xs) + max(xs)) / 2 + dx, 2), round((min(ys) + max(ys)) / 2 + dy, 2))
    paths = {
        int(i): _PAIR.sub(lambda m: f"{float(m[1]) + dx:.2f},{float(m[2]) + dy:.2f}", d) for i, d in _EDGE.findall(svg)
    }
    if len(centers) != nodes or len(paths) != edges:
        raise LayoutError(f"the layout program drew {len(centers)} of {nodes} boxes and {len(paths)} of {edges} edges")
    return Positions(
        float(view[1]), float(view[2]), tuple(centers[i] for i in range(nodes)), tuple(paths[i] for i in range(edges))
    )
