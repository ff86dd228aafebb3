"""A picture in the languages of other programs: Mermaid, D2, TikZ, GraphML and JSON.

The JSON has this form; numbers that are not finite are the words ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``::

    {"format": "tinygrad_edu.picture", "version": 1,
     "values": how many Values all boxes stand for,
     "boxes": [{"id", "kind", "name", "module", "op", "count", "frame", "root",
                "nodes": how many Values are in it, "data": [smallest, largest], "grad": number or null,
                "words": what stands in the box, line by line}],
     "frames": [{"id", "path", "kind", "count", "around": id or null}],
     "edges": [{"source", "target", "count", "local": number or null, "grad": number or null}]}

``grad`` of a box or edge is the gradient if it is one number, otherwise the length √Σg² of all.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable
from typing import Any

from tinygrad_edu.console import visible
from tinygrad_edu.engine import NO_GRADIENT_YET

from .. import style
from ..graph.fold import Box, Cluster, Picture


def _words(box: Box, picture: Picture) -> list[str]:
    """What stands in a box, line by line."""
    if style.is_number(box, picture):
        return [style.number(picture.graph.values[box.nodes[0]].data, picture.digits)]
    face = style.face(box, picture)
    head = " ".join(filter(None, [face.tab, face.title]))
    return [*filter(None, [head, *face.marks, *face.notes]), *(f"{a} {b}" for a, b in (*face.rows, *face.gradients))]


def _edge_words(picture: Picture) -> list[list[str]]:
    widths = style.Widths(edge.norm for edge in picture.edges)
    return [[words for words, _, _ in style.edge_look(edge, picture, widths).words] for edge in picture.edges]


def _frames(picture: Picture) -> dict[Cluster, str]:
    """The frames that are drawn, outer ones first, with an id."""
    found: dict[Cluster, str] = {}
    for box in picture.boxes:
        chain, cluster = [], box.cluster and box.cluster.drawn
        while cluster is not None:
            chain.append(cluster)
            cluster = cluster.parent and cluster.parent.drawn
        for cluster in reversed(chain):
            found.setdefault(cluster, f"f{len(found)}")
    return found


def _around(thing: Box | Cluster) -> Cluster | None:
    cluster = thing.cluster if isinstance(thing, Box) else thing.parent
    return cluster and cluster.drawn


def _nested(
    picture: Picture, frame: Callable[[Cluster, str, list[str]], list[str]], box: Callable[[Box], list[str]]
) -> list[str]:
    """Lines for all boxes inside their frames."""
    frames = _frames(picture)

    def inside(around: Cluster | None) -> list[str]:
        lines = [line for one in picture.boxes if _around(one) is around for line in box(one)]
        for cluster, id in frames.items():
            if _around(cluster) is around:
                lines += frame(cluster, id, [f"  {line}" for line in inside(cluster)])
        return lines

    return inside(None)


# --- Mermaid, which GitHub draws --------------------------------------------------------------------------------------


def _mermaid_text(lines: list[str]) -> str:
    text = "<br>".join("".join(c if c.isalnum() or c in " .,…|→" else f"#{ord(c)};" for c in line) for line in lines)
    return f'"{text}"'


def mermaid(picture: Picture) -> str:
    """A flow chart in Mermaid."""
    lines = ["flowchart LR"]
    lines += _nested(
        picture,
        lambda cluster, id, inner: [f"subgraph {id}[{_mermaid_text([style.frame_title(cluster)])}]", *inner, "end"],
        lambda box: [f"{box.id}[{_mermaid_text(_words(box, picture))}]"],
    )
    for edge, words in zip(picture.edges, _edge_words(picture), strict=True):
        label = f"|{_mermaid_text(words)}|" if words else ""
        lines.append(f"{edge.source.id} -->{label} {edge.target.id}")
    for i, edge in enumerate(picture.edges):
        if edge.sign in (1, -1) and edge.sent:
            lines.append(f"linkStyle {i} stroke:{style.POSITIVE if edge.sign == 1 else style.NEGATIVE}")
    return "\n".join(lines) + "\n"


# --- D2 ---------------------------------------------------------------------------------------------------------------


def _d2_text(lines: list[str]) -> str:
    return json.dumps("\n".join(map(visible, lines)), ensure_ascii=False).replace("$", "\\$")


def d2(picture: Picture) -> str:
    """A diagram in D2."""
    frames = _frames(picture)

    def full(box: Box) -> str:
        names, cluster = [box.id], _around(box)
        while cluster is not None:
            names.append(frames[cluster])
            cluster = _around(cluster)
        return ".".join(reversed(names))

    lines = ["direction: right"]
    lines += _nested(
        picture,
        lambda cluster, id, inner: [f"{id}: {_d2_text([style.frame_title(cluster)])} {{", *inner, "}"],
        lambda box: [f"{box.id}: {_d2_text(_words(box, picture))}"],
    )
    for edge, words in zip(picture.edges, _edge_words(picture), strict=True):
        lines.append(f"{full(edge.source)} -> {full(edge.target)}" + (f": {_d2_text(words)}" if words else ""))
    return "\n".join(lines) + "\n"


# --- TikZ -------------------------------------------------------------------------------------------------------------

_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "−": r"$-$", "×": r"$\times$", "÷": r"$\div$",
    "∂": r"$\partial$", "√": r"$\surd$", "Σ": r"$\Sigma$", "²": r"$^2$", "→": r"$\to$", "…": r"\dots{}",
    "∞": r"$\infty$", "|": r"\textbar{}", "–": "--", "†": r"\dag{}", "≈": r"$\approx$", "‼": "!!",
    "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def _tex(lines: list[str]) -> str:
    return r"\\".join("".join(_TEX.get(c, c) for c in visible(line)) for line in lines)


def tikz(picture: Picture) -> str:
    """A ``tikzpicture``, with boxes where the drawing has them; it needs the library ``arrows.meta``."""
    from .picture import places

    lines = [r"\begin{tikzpicture}[x=1pt, y=-1pt, every node/.style={align=left, font=\small}, >={Stealth}]"]
    for box, (x, y) in zip(picture.boxes, places(picture), strict=True):
        look = "draw=none" if style.is_number(box, picture) else "draw, very thick" if box.root else "draw"
        lines.append(rf"  \node[{look}] ({box.id}) at ({x:.1f}, {y:.1f}) {{{_tex(_words(box, picture))}}};")
    for edge, words in zip(picture.edges, _edge_words(picture), strict=True):
        label = rf" node[midway, fill=white, font=\scriptsize] {{{_tex(words)}}}" if words else ""
        color = {1: ", blue", -1: ", red!70!black"}.get(edge.sign or 0, "") if edge.sent else ""
        lines.append(rf"  \draw[->{color}] ({edge.source.id}) to[out=0, in=180]{label} ({edge.target.id});")
    return "\n".join([*lines, r"\end{tikzpicture}", ""])


# --- JSON and GraphML -------------------------------------------------------------------------------------------------


def _number(x: float | None) -> float | str | None:
    if x is None or math.isfinite(x):
        return x
    return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"


def data(picture: Picture) -> dict[str, Any]:
    """The picture as plain data, in the form described above."""
    values, frames = picture.graph.values, _frames(picture)

    def described(box: Box) -> dict[str, Any]:
        shown = [values[node] for node in (box.outputs or box.nodes)]
        numbers = [value.data for value in shown]
        grads = [value.grad for value in shown if value.grad is not NO_GRADIENT_YET]
        grad = None if not grads else grads[0] if len(shown) == 1 else math.hypot(*grads)
        around = _around(box)
        return {
            "id": box.id, "kind": box.kind, "name": box.name, "module": box.module,
            "op": box.op.name if box.op is not None else "", "count": box.count,
            "frame": frames[around] if around is not None else None, "root": box.root, "nodes": len(box.nodes),
            "data": [_number(min(numbers)), _number(max(numbers))], "grad": _number(grad),
            "words": _words(box, picture),
        }  # fmt: skip

    return {
        "format": "tinygrad_edu.picture",
        "version": 1,
        "values": picture.total,
        "boxes": [described(box) for box in picture.boxes],
        "frames": [
            {
                "id": id, "path": cluster.path, "kind": cluster.kind, "count": cluster.count,
                "around": frames.get(around) if (around := _around(cluster)) is not None else None,
            }
            for cluster, id in frames.items()
        ],
        "edges": [
            {
                "source": edge.source.id, "target": edge.target.id, "count": edge.count, "local": _number(edge.local),
                "grad": _number(next(iter(edge.sent.values())) if len(edge.sent) == 1 else edge.norm)
                if edge.sent else None,
            }
            for edge in picture.edges
        ],
    }  # fmt: skip


def as_json(picture: Picture) -> str:
    """The picture as JSON."""
    return json.dumps(data(picture), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


_BOX_KEYS = ("kind", "name", "module", "op", "count", "frame", "root", "nodes", "grad")
_EDGE_KEYS = ("count", "local", "grad")


def graphml(picture: Picture) -> str:
    """The picture as GraphML; ``networkx.read_graphml`` reads it."""
    found = data(picture)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">']
    numeric = {"count": "int", "nodes": "int", "grad": "double", "local": "double", "root": "boolean"}
    for kind, keys in (("node", _BOX_KEYS), ("edge", _EDGE_KEYS)):
        lines += [
            f'<key id="{kind}_{key}" for="{kind}" attr.name="{key}" attr.type="{numeric.get(key, "string")}"/>'
            for key in keys
        ]
    lines.append('<graph edgedefault="directed">')

    def fields(kind: str, keys: tuple[str, ...], thing: dict[str, Any]) -> str:
        there = ((key, thing[key]) for key in keys if thing[key] not in (None, ""))
        return "".join(f'<data key="{kind}_{key}">{html.escape(_xml(value))}</data>' for key, value in there)

    for box in found["boxes"]:
        lines.append(f'<node id="{html.escape(box["id"])}">{fields("node", _BOX_KEYS, box)}</node>')
    for edge in found["edges"]:
        ends = " ".join(f'{end}="{html.escape(edge[end])}"' for end in ("source", "target"))
        lines.append(f"<edge {ends}>{fields('edge', _EDGE_KEYS, edge)}</edge>")
    return "\n".join([*lines, "</graph>", "</graphml>", ""])


def _xml(value: object) -> str:
    words = str(value).lower() if isinstance(value, bool) else str(value)
    words = {"Infinity": "INF", "-Infinity": "-INF"}.get(words, words)
    return re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "·", visible(words))


#: By the ending of a file.
FORMATS: dict[str, Callable[[Picture], str]] = {
    ".mmd": mermaid, ".d2": d2, ".tex": tikz, ".graphml": graphml, ".json": as_json,
}  # fmt: skip
