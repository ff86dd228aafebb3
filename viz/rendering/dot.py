"""Drawings: their files, and their DOT text. The only file that knows the ``graphviz`` package.

Boxes are HTML-like labels, because a record-shaped label breaks on ``{ } | < >`` and this library draws characters.
Neither ``size`` nor ``dpi`` is ever set, because some versions of ``dot`` then cut off the picture.
"""

from __future__ import annotations

import tempfile
import textwrap
import webbrowser
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import graphviz

from tinygrad_edu.console import visible
from tinygrad_edu.ops import CONSTANT

from .. import style
from ..graph.fold import Box, Cluster, Edge, Picture
from . import exports
from . import picture as paint
from .formats import check_ending, write_as
from .graphviz_program import text
from .notebook import forms
from .picture_page import page
from .rasterize import rasterize
from .rows import IN_ROWS, fill_screen, readable, scale
from .sheet import fitted
from .theme import themed

_INCH = 72 / 96  # the layout programs give a PNG 96 pixels per inch


class Drawing(graphviz.Digraph):  # type: ignore[misc]  # the package has no types
    """A ``graphviz.Digraph`` that needs no program to be drawn.

    Notebooks display it. :meth:`save` writes it to a file; the extension chooses the format. Its DOT text, ``source``,
    is for everything that other programs do with it.

    Attributes:
        picture: the boxes and edges it was made from; None when its boxes are not Values.
        words: one line that says what the picture shows; "" if the picture says it.
        theme: ``"auto"``, which follows the screen, ``"light"`` or ``"dark"``.
        zoom: pixels of a PNG per point.
    """

    picture: Picture | None = None
    words: str = ""
    theme: str = "auto"
    zoom: float = 8 / 3
    size: tuple[float, float] | None = None
    _make: Callable[[], str]
    _made: str = ""

    def save(self, filename: Any = None, directory: Any = None, *, skip_existing: bool | None = False) -> str:
        """Write the drawing and return the path: ``.svg``, ``.png``, ``.pdf``, ``.html`` (a page to zoom and pan),
        ``.dot`` (``.gv``) for its text, or another language for graphs (see :mod:`viz.rendering.exports`).

        Only ``.png`` and ``.pdf`` need a program. The file is written under a temporary name and then renamed, so it is
        never incomplete.

        Raises:
            UnknownFormatError: the name has another extension.
            LayoutError: no program can write this format; the message says what to install.
            OSError: the file cannot be written.
        """
        if filename is None or skip_existing is None:  # the graphviz package itself calls it like this
            return str(super().save(filename, directory=directory, skip_existing=skip_existing))
        path = Path(directory or "", filename)
        if skip_existing and path.exists():
            return str(path)
        return write_as(path, self._formats())

    def _formats(self) -> dict[str, Callable[[], str | bytes]]:
        found: dict[str, Callable[[], str | bytes]] = {
            ".svg": self.svg,
            ".png": lambda: self.render_bytes("png"),
            ".pdf": lambda: self.render_bytes("pdf"),
            ".html": lambda: page(self.svg(), self._words()),
            **dict.fromkeys((".dot", ".gv"), lambda: self.source),
        }
        if self.picture is not None:
            found |= {ending: partial(export, self.picture) for ending, export in exports.FORMATS.items()}
        return found

    def svg(self) -> str:
        """The picture as SVG, in its theme, with every number in full (see :mod:`viz.rendering.theme`)."""
        return themed(self.drawn(), self.theme)

    def drawn(self) -> str:
        """The picture as SVG in light colors."""
        if not self._made:
            self._made = self._make()
        return self._made if self.size is None else fitted(self._made, *self.size)

    def render_bytes(self, format: str) -> bytes:
        """The picture as ``"svg"`` in light colors, ``"png"`` or ``"pdf"``; see :meth:`save` for what can go wrong."""
        drawn = themed(self.drawn(), "dark" if self.theme == "dark" else "light")
        if format == "svg":
            return drawn.encode()
        return rasterize(drawn, format, self.zoom * _INCH if format == "png" else 1.0)

    def pipe(self, format: str | None = None, *_: Any, encoding: str | None = None, **__: Any) -> Any:
        """The picture as bytes, or as text with an ``encoding``; the format is that of a file name without the dot."""
        formats = self._formats()
        check_ending(f"drawing.{format or self.format}", formats)
        made = formats[f".{format or self.format}"]()
        made = made.encode() if isinstance(made, str) else made
        return made.decode(encoding) if encoding else made

    def render(
        self,
        filename: Any = None,
        directory: Any = None,
        view: bool = False,
        *_: Any,
        format: str | None = None,
        **__: Any,
    ) -> str:
        """Write the picture to ``filename`` with the format as its ending, and return the path."""
        path = Path(directory or "", filename or self.filename)
        kind = format or self.format
        written = self.save(path if path.suffix == f".{kind}" else path.with_name(f"{path.name}.{kind}"))
        if view:
            webbrowser.open(Path(written).resolve().as_uri())
        return written

    def view(self, filename: Any = None, directory: Any = None, *_: Any, **__: Any) -> str:
        """Write the picture, to a temporary folder unless told where, and open it."""
        return self.render(filename, directory or (None if filename else tempfile.mkdtemp()), view=True)

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
    picture: Picture, direction: str | None, *, lecture: bool = False, legend: bool = True, strong: bool = False
) -> Drawing:
    """Make a drawing of a picture.

    Args:
        picture: what to draw.
        direction: ``"LR"``, ``"TB"``, ``"RL"``, ``"BT"``, or ``"wrapped"``: from left to right in several rows. None:
            in rows only where that makes it larger on a screen; its DOT text has one.
        lecture: draw single Values as the micrograd lecture does, with the operation in a separate circle.
        legend: add a legend of the colors.
        strong: large text and strong colors, for a projector.
    """
    graph = _empty(direction or "LR")
    graph.picture = picture
    label = _header(picture, legend and not lecture)
    if label:
        graph.attr(label=label)
    how: dict[str, Any] = {"lecture": lecture, "legend": legend, "strong": strong}
    rows = [picture.boxes]
    if direction == "wrapped":
        rows, graph._made = fill_screen(picture, partial(paint.svg, picture, "LR", **how))
    else:
        graph._make = partial(_larger, picture, direction, how)
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
    widths = style.Widths(edge.norm for edge in picture.edges)
    for edge in picture.edges:
        _edge(graph, edge, picture, widths, lecture, row_of[edge.source] != row_of[edge.target])
    return graph


def _larger(picture: Picture, direction: str | None, how: dict[str, Any]) -> str:
    """The picture in a direction, and compact where it could not be read otherwise; without one, from left to right, in
    one row if it can be read or in several, whichever is larger on a screen. On a projector the largest one counts.
    """
    singles = sum(box.kind == "node" for box in picture.boxes)
    hopeful = HOPEFUL[2 * singles > len(picture.boxes)]
    found: list[str] = []
    for compact in (0, 1, 2):
        draw = partial(paint.svg, picture, direction or "LR", compact=compact, **how)
        one = draw()
        if scale(one) >= 1.0 or (readable(one) and not how["strong"]) or len(picture.boxes) > IN_ROWS:
            return one
        found.append(one if direction else fill_screen(picture, draw, one)[1])
        if not hopeful <= scale(found[-1]) < 1.0 or (not compact and readable(found[-1])):
            break
    return max(found, key=scale)


HOPEFUL = 0.88, 0.65  # how large a picture must be for a compact one to be tried; of single Values, which become lower


def _empty(direction: str) -> Drawing:
    """Make a drawing without boxes, in the common style."""
    return Drawing(
        format="svg",
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
    boxes, edges = list(boxes), list(edges)
    graph = _empty("TB")
    graph.words = header
    graph._make = partial(paint.plain, boxes, edges, header)
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
            cluster = box.cluster and box.cluster.drawn
            if cluster is around:
                _box(graph, box, self.picture, self.lecture)
                continue
            while cluster is not None and (out := cluster.parent and cluster.parent.drawn) is not around:
                cluster = out
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
        words, outline, _ = paint.record(box, picture)
        row = "<VR/>".join(f"<TD>{_cell(cell)}</TD>" for cell in words)
        table = _TABLE.format(outline[0], style.PAPER, "", outline[1])
        graph.node(box.id, f"<{table}<TR>{row}</TR></TABLE>>")
        if value.inputs:
            graph.node(f"{box.id}op", f"<{text(face.tab)}>", shape="ellipse")
            graph.edge(f"{box.id}op", box.id)
        return
    graph.node(box.id, f"<{_label(face, box.root or box is picture.focus)}>", tooltip=_tooltip(face.tooltip))


def _cell(words: str) -> str:
    warns = words[:1] in style.MARKS or words.startswith("old ")
    return _font(words, color=style.TEXT_NEGATIVE, bold=True) if warns else text(words)


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
        parts.append(f'<TR><TD ALIGN="LEFT"{span}>{_font(words, color=style.TEXT_NEGATIVE, bold=True)}</TD></TR>')
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
        color = style.TEXT_NEGATIVE if word.startswith("old ") else style.FAINT
        yield (
            f'<TR><TD ALIGN="LEFT">{_font(word, size=style.SMALL_SIZE, color=color)}</TD>'
            f'<TD ALIGN="RIGHT">{_font(numbers)}</TD></TR>'
        )


def _edge(graph: Any, edge: Edge, picture: Picture, widths: style.Widths, lecture: bool, between_rows: bool) -> None:
    look = style.edge_look(edge, picture, widths)
    target = edge.target.id
    free = {"constraint": "false"} if between_rows else {}
    if lecture:
        if edge.target.kind == "node":
            target += "op"
        graph.edge(edge.source.id, target, **free)
        return
    attributes = {**free, "tooltip": _tooltip(look.tooltip)}
    if look.width:  # what flows back: its head is at the source
        attributes |= {
            "dir": "both",
            "arrowhead": "vee",
            "arrowtail": "dot" if look.broken else "normaltee" if look.barred else "normal",
        }
        attributes |= {"color": look.color, "penwidth": f"{look.width:g}"}
    if look.dashed:
        attributes["style"] = "dashed"
    if look.words:
        words = "<BR/>".join(_font(f" {w} ", color=color, bold=bold) for w, color, bold in look.words)
        attributes["label"] = f"<{words}>"
        attributes["labeltooltip"] = attributes["tooltip"]
    graph.edge(edge.source.id, target, **attributes)


_SENTENCE = 72  # characters: a longer line would make small pictures wide


def _header(picture: Picture, legend: bool) -> str:
    rows = [f"<B>{text(words)}</B>" for words in filter(None, [picture.title, style.banner(picture)])]
    for sentence in [*picture.age, *([picture.annotations.trouble.sentence] if picture.annotations.trouble else [])]:
        lines = textwrap.wrap(sentence, _SENTENCE)
        rows += [_font(words, color=style.TEXT_NEGATIVE, bold=True) for words in lines]
    if legend:
        entries = [
            f"{_font(sample, color=style.text_color(color), bold=True)} {_font(words, size=style.SMALL_SIZE)}"
            for sample, color, words in style.legend(picture)
        ]
        rows += ["  ".join(entries[i : i + 4]) for i in range(0, len(entries), 4)]
    table = "".join(f'<TR><TD ALIGN="LEFT">{row}</TD></TR>' for row in rows)
    return f'<<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="3">{table}</TABLE>>' if rows else ""
