"""DOT text for a picture: the only file that knows the ``graphviz`` package.

Boxes are HTML-like labels, because a record-shaped label breaks on ``{ } | < >`` and this library draws characters.
Neither ``size`` nor ``dpi`` is ever set, because some versions of ``dot`` then cut off the picture.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import graphviz

from tinygrad_edu.console import visible
from tinygrad_edu.engine import NO_GRADIENT_YET
from tinygrad_edu.ops import CONSTANT

from .. import style
from ..errors import LayoutTimeout
from ..graph.fold import Box, Cluster, Edge, Picture
from . import graphviz_program
from .formats import write_as
from .graphviz_program import text
from .notebook import forms
from .picture_page import page
from .rows import split
from .theme import themed


class Drawing(graphviz.Digraph):  # type: ignore[misc]  # the package has no types
    """A ``graphviz.Digraph`` that can also be laid out on machines without ``dot``.

    Notebooks display it. :meth:`save` writes it to a file; the extension chooses the format.

    Attributes:
        picture: the boxes and edges it was made from; None when its boxes are not Values.
        words: one line that says what the picture shows; "" if the picture says it.
    """

    picture: Picture | None = None
    words: str = ""
    _coarser: Callable[[str], Drawing | None] | None = None

    def save(self, filename: Any = None, directory: Any = None, *, skip_existing: bool | None = False) -> str:
        """Write the drawing and return the path: ``.svg``, ``.png``, ``.pdf``, ``.html`` (a page to zoom and pan), or
        ``.dot`` (``.gv``) for its text.

        DOT text needs no program. A picture is laid out by ``dot``, or otherwise by the program installed with this
        package, which writes no PDF. A layout that takes more than 5 seconds is stopped and a coarser picture is
        written. The file is written under a temporary name and then renamed, so it is never incomplete.

        Raises:
            UnknownFormatError: the name has another extension.
            LayoutError: no program can write this format; the message says what to install.
            OSError: the file cannot be written.
        """
        if filename is None or skip_existing is None:  # the graphviz package itself calls it like this, to render
            return str(super().save(filename, directory=directory, skip_existing=skip_existing))
        path = Path(directory or "", filename)
        if skip_existing and path.exists():
            return str(path)
        formats: dict[str, Callable[[], str | bytes]] = {
            ".svg": self.svg,
            ".png": lambda: self.render_bytes("png"),
            ".pdf": lambda: self.render_bytes("pdf"),
            ".html": lambda: page(self.svg(), self._words()),
            **dict.fromkeys((".dot", ".gv"), lambda: self.source),
        }
        return write_as(path, formats)

    def svg(self) -> str:
        """The picture as SVG: dark on a dark screen, every number in full (see :mod:`viz.rendering.theme`)."""
        return themed(self.render_bytes("svg").decode(), self.picture)

    def render_bytes(self, format: str, timeout: float | None = None) -> bytes:
        """The picture as ``"svg"``, ``"png"`` or ``"pdf"``; see :meth:`save` for what can go wrong."""
        seconds = graphviz_program.TIMEOUT if timeout is None else timeout

        def laid_out(program: graphviz_program.Renderer) -> bytes:
            try:
                return graphviz_program.render(self.source, format, program, seconds)
            except LayoutTimeout:
                reason = f"coarser, because the layout of all boxes took more than {seconds:g} s"
                coarser = self._coarser and graphviz_program.works(program, format) and self._coarser(reason)
                if not coarser:
                    raise
                return graphviz_program.render(coarser.source, format, program, seconds)

        return graphviz_program.first_that_works(format, laid_out)

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None, **_: Any
    ) -> dict[str, str]:
        return forms(self._words(), self.svg, include, exclude)

    def __repr__(self) -> str:
        return f"Drawing({self._words()})"

    def _words(self) -> str:
        if self.picture is None:
            return self.words
        size = style.banner(self.picture) or f"{self.picture.total:,} Values and {len(self.picture.edges):,} edges"
        return " ".join([*self.picture.age, size])


# --- from a picture to DOT --------------------------------------------------------------------------------------------


def drawing(
    picture: Picture,
    *,
    direction: str,
    lecture: bool = False,
    legend: bool = True,
    note: str = "",
    coarser: Callable[[str], Drawing | None] | None = None,
) -> Drawing:
    """Make the DOT text of a picture.

    Args:
        picture: what to draw.
        direction: ``"LR"``, ``"TB"``, or ``"wrapped"``: from left to right in several rows.
        lecture: draw single Values as the micrograd lecture does, with the operation in a separate circle.
        legend: add a legend of the colors.
        note: a line above the picture.
        coarser: a function that makes the picture to use if this one cannot be laid out in time.
    """
    graph = _empty(direction)
    graph.picture = picture
    graph._coarser = coarser
    label = _header(picture, note, legend and not lecture)
    if label:
        graph.attr(label=label)
    rows = split(picture) if direction == "wrapped" else [picture.boxes]
    frames = _Frames(picture, lecture)
    for i, row in enumerate(rows):
        if len(rows) == 1:
            frames.fill(graph, row)
        else:
            # A row is an invisible frame, and edges between rows do not order columns, so each row starts on the left.
            with graph.subgraph(name=f"cluster_row{i}") as inner:
                inner.attr(style="invis", label="")
                frames.fill(inner, row)
    row_of = {box: i for i, row in enumerate(rows) for box in row}
    largest = max((edge.norm for edge in picture.edges if math.isfinite(edge.norm)), default=0.0)
    for edge in picture.edges:
        _edge(graph, edge, picture, largest, lecture, row_of[edge.source] != row_of[edge.target])
    return graph


def _empty(direction: str) -> Drawing:
    """Make a drawing without boxes, in the common style."""
    return Drawing(
        graph_attr={
            "rankdir": "LR" if direction == "wrapped" else direction,
            "bgcolor": style.PAPER,
            "fontname": style.FONT,
            "fontsize": str(style.TEXT_SIZE),
            "fontcolor": style.INK,
            "nodesep": "0.3",
            "ranksep": "0.5",
            "labelloc": "t",
            "labeljust": "l",
            "tooltip": " ",
        },
        node_attr={
            "shape": "none",
            "margin": "0.05,0.03",  # thick arrows end before the text, not on it
            "fontname": style.FONT,
            "fontsize": str(style.TEXT_SIZE),
            "fontcolor": style.INK,
        },
        edge_attr={
            "fontname": style.FONT,
            "fontsize": str(style.SMALL_SIZE),
            "color": style.FAINT,
            "arrowsize": "0.8",
        },
    )


def plain(boxes: Iterable[tuple[str, style.Face, bool]], edges: Iterable[tuple[str, str, str]], header: str) -> Drawing:
    """Make a drawing of boxes that are not Values, from top to bottom.

    Args:
        boxes: id, contents, whether it is a result.
        edges: id of the source, id of the target, a word next to the edge.
        header: the line on top.
    """
    graph = _empty("TB")
    graph.words = header
    graph.attr(label=f'<<TABLE BORDER="0"><TR><TD ALIGN="LEFT"><B>{text(header)}</B></TD></TR></TABLE>>')
    for box, face, root in boxes:
        graph.node(box, f"<{_label(face, root)}>", tooltip=_tooltip(face.tooltip))
    for source, target, words in edges:
        label = f"<{_font(f' {words} ', color=style.FAINT)}>"
        graph.edge(source, target, label=label, tooltip=_tooltip(words), color=style.MIXED)
    return graph


class _Frames:
    """Writes boxes inside the frames of their modules; a frame that has been open before is continued."""

    def __init__(self, picture: Picture, lecture: bool) -> None:
        self.picture = picture
        self.lecture = lecture
        self.count = 0
        self.seen: set[Cluster] = set()

    def fill(self, graph: Any, boxes: list[Box], around: Cluster | None = None, depth: int = 0) -> None:
        inner: dict[Cluster, list[Box]] = {}
        for box in boxes:
            cluster = box.cluster
            if cluster is around:
                _box(graph, box, self.picture, self.lecture)
                continue
            while cluster is not None and cluster.parent is not around:
                cluster = cluster.parent
            assert cluster is not None
            inner.setdefault(cluster, []).append(box)
        for cluster, its_boxes in inner.items():
            title = style.frame_title(cluster) + (" (continued)" if cluster in self.seen else "")
            self.seen.add(cluster)
            with graph.subgraph(name=f"cluster_{self.count}") as frame:
                self.count += 1
                frame.attr(
                    label=f"<<B>{text(title)}</B>>",
                    style="rounded,filled",
                    fillcolor=style.FRAMES[min(depth, len(style.FRAMES) - 1)],
                    color=style.FRAME_LINE,
                    tooltip=_tooltip(cluster.path or cluster.kind),
                )
                self.fill(frame, its_boxes, cluster, depth + 1)


def _tooltip(words: str) -> str:
    return graphviz.nohtml("\\n".join(graphviz.escape(visible(line)) for line in words.split("\n")))  # type: ignore[no-any-return]


def _font(words: str, *, size: int | None = None, color: str | None = None, bold: bool = False) -> str:
    attributes = "".join(
        [f' POINT-SIZE="{size}"' if size else "", f' COLOR="{color}"' if color else ""],
    )
    inner = f"<B>{text(words)}</B>" if bold else text(words)
    return f"<FONT{attributes}>{inner}</FONT>" if attributes else inner


def _box(graph: Any, box: Box, picture: Picture, lecture: bool) -> None:
    value = picture.graph.values[box.nodes[0]]
    if box.kind == "node" and value.op is CONSTANT:
        label = f"<{_font(style.number(value.data), size=style.SMALL_SIZE, color=style.FAINT)}>"
        graph.node(box.id, label, shape="plaintext", tooltip=f"the number {value.data!r} in the formula")
        return
    face = style.face(box, picture)
    if lecture and box.kind == "node":
        name = text(style.short(style.visible(box.name))) or " "
        grad = "–" if value.grad is NO_GRADIENT_YET else f"{value.grad:.4f}"
        words = {word.removeprefix("old ") for word, _ in (*face.rows, *face.gradients) if word.startswith("old ")}
        old = {word: _font("old ", color=style.NEGATIVE) if word in words else "" for word in ("data", "grad")}
        cells = [name, f"{old['data']}data {value.data:.4f}", f"{old['grad']}grad {grad}"]
        cells += [_font(mark, color=style.NEGATIVE, bold=True) for mark in face.marks]
        row = "<VR/>".join(f"<TD>{cell}</TD>" for cell in cells)
        outline = (4, style.NEGATIVE) if face.outlined else (1, style.INK)
        table = _TABLE.format(outline[0], style.PAPER, "", outline[1])
        graph.node(box.id, f"<{table}<TR>{row}</TR></TABLE>>")
        if value.inputs:
            graph.node(f"{box.id}op", f"<{text(face.tab)}>", shape="ellipse")
            graph.edge(f"{box.id}op", box.id)
        return
    graph.node(box.id, f"<{_label(face, box.root or box is picture.focus)}>", tooltip=_tooltip(face.tooltip))


_TABLE = '<TABLE BORDER="{}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="4" BGCOLOR="{}"{} COLOR="{}">'


def _label(face: style.Face, root: bool) -> str:
    dashed = ' STYLE="DASHED"' if face.dashed else ""
    outline = (4, style.NEGATIVE) if face.outlined else (3, style.INK) if root else (1, style.OUTLINE)
    parts = [_TABLE.format(outline[0], face.fill, dashed, outline[1])]
    tab = f'<TD BGCOLOR="{face.tab_fill}">{_font(face.tab, bold=True)}</TD>' if face.tab else ""
    title = f'<TD ALIGN="LEFT">{_font(face.title, size=style.NAME_SIZE, bold=True)}</TD>' if face.title else ""
    span = ' COLSPAN="2"'
    if tab and title and len(face.tab) <= 6:  # above the column with the words "data" and "grad"
        parts.append(f"<TR>{tab}{title}</TR>")
    elif tab and title:  # in a separate table, so that a long tab does not push the numbers away
        head = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="4"><TR>{tab}{title}</TR></TABLE>'
        parts.append(f'<TR><TD ALIGN="LEFT"{span} CELLPADDING="0">{head}</TD></TR>')
    elif tab or title:
        parts.append(f"<TR>{(tab or title).replace('<TD', f'<TD{span}', 1)}</TR>")
    for words in face.marks:
        parts.append(f'<TR><TD ALIGN="LEFT"{span}>{_font(words, color=style.NEGATIVE, bold=True)}</TD></TR>')
    for words in face.notes:
        parts.append(f'<TR><TD ALIGN="LEFT"{span}>{_font(words, size=style.SMALL_SIZE, color=style.FAINT)}</TD></TR>')
    if face.rows and (tab or title or face.notes or face.marks):
        parts.append("<HR/>")
    parts += _rows(face.rows)
    if face.gradients:
        parts.append("<HR/>")
        parts += _rows(face.gradients)
    parts.append("</TABLE>")
    return "".join(parts)


def _rows(rows: list[tuple[str, str]]) -> Iterator[str]:
    for word, numbers in rows:
        color = style.NEGATIVE if word.startswith("old ") else style.FAINT
        yield (
            f'<TR><TD ALIGN="LEFT">{_font(word, size=style.SMALL_SIZE, color=color)}</TD>'
            f'<TD ALIGN="RIGHT">{_font(numbers)}</TD></TR>'
        )


def _edge(graph: Any, edge: Edge, picture: Picture, largest: float, lecture: bool, between_rows: bool) -> None:
    look = style.edge_look(edge, picture, largest)
    target = edge.target.id
    free = {"constraint": "false"} if between_rows else {}
    if lecture:
        if edge.target.kind == "node":
            target += "op"
        graph.edge(edge.source.id, target, **free)
        return
    attributes = {**free, "color": look.color, "penwidth": f"{look.width:g}", "tooltip": _tooltip(look.tooltip)}
    if look.dashed:
        attributes["style"] = "dashed"
    if look.arrowhead != "normal":
        attributes["arrowhead"] = look.arrowhead
    if look.words:
        words = "<BR/>".join(_font(f" {w} ", color=color, bold=bold) for w, color, bold in look.words)
        attributes["label"] = f"<{words}>"
        attributes["labeltooltip"] = attributes["tooltip"]
    graph.edge(edge.source.id, target, **attributes)


_SENTENCE = 72  # characters: a longer line would make small pictures wide


def _header(picture: Picture, note: str, legend: bool) -> str:
    rows = [f"<B>{text(words)}</B>" for words in filter(None, [style.banner(picture), note])]
    for sentence in [*picture.age, *([picture.annotations.trouble.sentence] if picture.annotations.trouble else [])]:
        lines = textwrap.wrap(sentence, _SENTENCE)
        rows += [_font(words, color=style.NEGATIVE, bold=True) for words in lines]
    if legend:
        entries = [
            f"{_font(sample, color=color, bold=True)} {_font(words, size=style.SMALL_SIZE)}"
            for sample, color, words in style.legend(picture)
        ]
        rows += ["  ".join(entries[i : i + 4]) for i in range(0, len(entries), 4)]
    table = "".join(f'<TR><TD ALIGN="LEFT">{row}</TD></TR>' for row in rows)
    return f'<<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="3">{table}</TABLE>>' if rows else ""
