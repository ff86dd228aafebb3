"""What is drawn of a picture of boxes: their shapes, the frames around them, the lines and the legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tinygrad_edu.engine import NO_GRADIENT_YET

from .. import style
from ..graph.fold import Box, Cluster, Edge, Picture
from . import sheet
from .rows import columns
from .sheet import Frame, Header, Shape, Wire
from .theme import attributes

TIGHT = (1.0, 0.85, 0.75)  # of the usual room between boxes, by how compact the picture is

#: For each direction: whether it is across, and whether it is turned round.
DIRECTIONS = {"LR": (True, False), "RL": (True, True), "TB": (False, False), "BT": (False, True)}


def svg(
    picture: Picture,
    direction: str,
    rows: Sequence[list[Box]] = (),
    *,
    lecture: bool = False,
    legend: bool = True,
    strong: bool = False,
    compact: int = 0,
    draft: bool = False,
) -> str:
    """Draw a picture in a direction of :data:`DIRECTIONS`, or from left to right in ``rows`` of boxes.

    A ``compact`` one has less room between boxes, and ``data`` beside the name (see
    :func:`viz.rendering.sheet.face_shape`). A ``draft`` has no words on its lines.
    """
    across, turned = DIRECTIONS.get(direction, (True, False))
    painter = _Painter(picture, lecture, style.TEXT_SIZE if strong else style.SMALL_SIZE, compact)
    made = [painter.row(number, boxes) for number, boxes in enumerate(rows or [picture.boxes])]

    def header(width: float) -> list[Header]:
        return _header(picture, legend and not lecture, max(620.0, width), painter.small, bool(painter.again))

    drawn = sheet.sheet(
        made,
        painter.frames,
        painter.looks,
        header,
        across=across,
        turned=turned,
        small=painter.small,
        tight=TIGHT[compact],
        draft=draft,
    )
    return sheet.strong(drawn) if strong else drawn


def plain(boxes: Iterable[tuple[str, style.Face, bool]], edges: Iterable[tuple[str, str, str]], header: str) -> str:
    """Draw boxes that are not Values, from top to bottom; see :func:`viz.rendering.dot.plain`."""
    shapes = [sheet.face_shape(id, face, root) for id, face, root in boxes]
    number = {shape.id: i for i, shape in enumerate(shapes)}
    wires = [Wire(number[a], number[b], [(words, style.FAINT, False)], i) for i, (a, b, words) in enumerate(edges)]

    def looks(numbers: Sequence[int]) -> style.EdgeLook:
        return style.EdgeLook(tooltip=wires[numbers[0]].words[0][0])

    return sheet.sheet([(shapes, wires)], {}, looks, lambda _: sheet.sentence(header), across=False)


class _Painter:
    """Makes shapes and lines, and gives a line its look."""

    def __init__(
        self, picture: Picture, lecture: bool, small: int, compact: int = 0, again: dict[Edge, int] | None = None
    ) -> None:
        self.picture = picture
        self.small = small
        self.compact = compact
        self.lecture = lecture
        self.frames: dict[object, Frame] = {}
        self.seen: set[Cluster] = set()
        self.widths = style.Widths(edge.norm for edge in picture.edges)
        self.edges: list[list[Edge]] = []  # of each line: what it stands for
        self.looked: dict[int, style.EdgeLook] = {}
        self.marks: dict[Box, int] = {}  # boxes whose lines go on in another row, with the number of the mark
        self.again = _again(picture) if again is None else again

    def row(self, number: int, boxes: list[Box]) -> tuple[list[Shape], list[Wire]]:
        """The shapes and lines of one row."""
        here, picture = set(boxes), self.picture
        shapes: list[Shape] = []
        wires: list[Wire] = []
        arrives: dict[Box, int] = {}
        leaves: dict[Box, int] = {}
        coming = [e for e in picture.edges if e.target in here and e.source not in here and e not in self.again]
        for source in dict.fromkeys(edge.source for edge in coming):
            arrives[source] = self._mark(shapes, source, f"from {source.name or 'a box'} above")
        continued = set(self.seen)
        begins: dict[Box, int] = {}  # where lines to a box end, and where those from it begin
        ends: dict[Box, int] = {}
        for box in boxes:
            frame = self._frame(number, box.cluster, continued)
            value = picture.graph.values[box.nodes[0]]
            data = attributes(picture, box)
            if style.is_number(box, picture):
                shape = sheet.number_shape(box.id, value.data, frame)
            elif self.lecture and box.kind == "node":
                shape = self._record(box, data, frame)
            else:
                root = box.root or box is picture.focus
                face = style.face(box, picture)
                shape = sheet.face_shape(box.id, face, root, data, frame, small=self.small, compact=self.compact > 0)
            if self.lecture and box.kind == "node" and value.inputs:
                ends[box] = len(shapes)
                shapes.append(sheet.circle_shape(f"{box.id}op", style.face(box, picture).tab, frame))
                wires.append(self._wire(ends[box], len(shapes), []))
            begins[box] = len(shapes)
            ends.setdefault(box, len(shapes))
            shapes.append(shape)
        names: dict[tuple[Box, int, object], int] = {}  # where a parameter stands again
        for edge in picture.edges:
            if edge in self.again:
                if edge.target in here:
                    key = (edge.source, self.again[edge], self._frame(number, edge.target.cluster, continued))
                    if key not in names:
                        names[key] = len(shapes)
                        shapes.append(sheet.name_shape(style.face(edge.source, picture).title, key[2]))
                    wires.append(self._wire(names[key], ends[edge.target], [edge]))
                continue
            if edge.source in here and edge.target not in here and edge.source not in leaves:
                leaves[edge.source] = self._mark(shapes, edge.source, "goes on below")
                outside = [
                    e for e in picture.edges
                    if e.source is edge.source and e.target not in here and e not in self.again
                ]  # fmt: skip
                wires.append(self._wire(begins[edge.source], leaves[edge.source], outside))
            if edge.target in here:
                begin = begins[edge.source] if edge.source in here else arrives[edge.source]
                wires.append(self._wire(begin, ends[edge.target], [edge]))
        return shapes, wires

    def _mark(self, shapes: list[Shape], source: Box, title: str) -> int:
        again = source in self.marks
        number = self.marks.setdefault(source, len(self.marks) + 1)
        words = chr(0x245F + number) if number <= 20 else f"({number})"
        shapes.append(sheet.circle_shape(f"m{number}", str(number), title=f"{words} {title}", again=again))
        return len(shapes) - 1

    def _frame(self, row: int, cluster: Cluster | None, continued: set[Cluster]) -> object:
        cluster = cluster and cluster.drawn
        if cluster is None:
            return None
        key = (row, id(cluster))
        if key not in self.frames:
            around = self._frame(row, cluster.parent, continued)
            depth = self.frames[around].depth + 1 if around is not None else 0
            title = style.frame_title(cluster) + (" (continued)" if cluster in continued else "")
            self.frames[key] = Frame(title, around, depth, cluster.path or cluster.kind)
            self.seen.add(cluster)
        return key

    def _record(self, box: Box, data: str, frame: object) -> Shape:
        cells, outline, title = record(box, self.picture)
        return sheet.record_shape(box.id, cells, outline, data, title, frame)

    def _wire(self, a: int, b: int, edges: list[Edge]) -> Wire:
        wire = Wire(a, b, number=len(self.edges))
        self.edges.append(edges)
        if len(edges) == 1 and not self.lecture:
            wire.words = self.looks([wire.number]).words
        return wire

    def looks(self, numbers: Sequence[int]) -> style.EdgeLook:
        """The look of one line, or of a piece that several lines from one box share."""
        if self.lecture:
            return style.EdgeLook(thin=1.2)
        if len(numbers) == 1 and numbers[0] in self.looked:
            return self.looked[numbers[0]]
        edges = [edge for number in numbers for edge in self.edges[number]]
        if len(edges) == 1:
            look = style.edge_look(edges[0], self.picture, self.widths)
        else:
            sent: dict[int, float] = {}
            for edge in edges:
                for node, flow in edge.sent.items():
                    sent[node] = sent.get(node, 0.0) + flow
            look = style.flow_look(sent, self.widths)
        if edges:
            look.data["from"] = edges[0].source.id
            look.data["to"] = " ".join(dict.fromkeys(edge.target.id for edge in edges))
        if len(numbers) == 1:
            self.looked[numbers[0]] = look
        return look


APART = 2  # columns: a use so far behind the first one has the name of the parameter beside it
AGAIN = 2  # such columns at least; a single one has a line
CROSSED, MANY = 8, 4  # crossings in a picture, and uses of an input, from which on its name may stand at each use
SAVED = 3  # crossings, for which it does
FEW = 40  # boxes: in a larger picture, that takes too long


def _again(picture: Picture) -> dict[Edge, int]:
    """The lines of parameters and inputs at whose ends the name stands again, with a number for each such name.

    That is so where they are used again and again on the way, as in the steps of a recurrent network, and where many
    lines would cross otherwise, as in the gates of an LSTM.
    """
    if picture.again is not None:
        return picture.again
    fed = {edge.target for edge in picture.edges}
    uses: dict[Box, list[Edge]] = {}
    for edge in picture.edges:
        source = edge.source
        if (
            source not in fed
            and source.kind in ("node", "table", "leaves")
            and not style.is_number(source, picture)
            and style.face(source, picture).title
        ):
            uses.setdefault(source, []).append(edge)
    column = columns(picture)
    picture.again = found = _far_uses(uses, column)
    inputs = [source for source, edges in uses.items() if source is not picture.focus and not found.keys() & set(edges)]
    ahead = dict.fromkeys(picture.boxes, 0)  # boxes on the longest path from each one on
    for edge in reversed(picture.edges):
        ahead[edge.source] = max(ahead[edge.source], ahead[edge.target] + 1)
    near = {source: edges for source in inputs if len(edges := _near_uses(uses[source], column, ahead)) >= MANY - 1}
    if not near or len(picture.boxes) > FEW or _crossings(picture, found) < CROSSED:
        return found
    numbers = {edge: -1 - i for i, edge in enumerate(picture.edges)}
    firsts = {(edge.source, edge.target): numbers[edge] for edge in reversed(picture.edges)}  # one name for a * a

    def names(sources: Iterable[Box]) -> dict[Edge, int]:
        return found | {edge: firsts[source, edge.target] for source in sources for edge in near[source]}

    chosen = list(near)
    fewest = _crossings(picture, names(chosen))
    for source in near:
        left = _crossings(picture, names([other for other in chosen if other is not source]))
        if left < fewest + SAVED:
            chosen.remove(source)
            fewest = left
    for source in chosen:  # below an input that keeps its lines, its box stands at the lowest of its places
        before = list(near)[: list(near).index(source)]
        if any(other not in chosen for other in before):
            near[source] = _near_uses(uses[source], column, ahead, last=True)
    picture.again = names(chosen)
    return picture.again


def _crossings(picture: Picture, again: dict[Edge, int]) -> int:
    painter = _Painter(picture, False, style.SMALL_SIZE, 0, again)
    return sheet.crossings(*painter.row(0, picture.boxes), painter.frames)


def _near_uses(edges: list[Edge], column: dict[Box, int], ahead: dict[Box, int], *, last: bool = False) -> list[Edge]:
    """All uses but that which is farthest from the result, the first or the last of several ones."""
    order = edges[::-1] if last else edges
    own = min(order, key=lambda edge: (column[edge.target], -ahead[edge.target])).target
    return [edge for edge in edges if edge.target is not own]


def _far_uses(uses: dict[Box, list[Edge]], column: dict[Box, int]) -> dict[Edge, int]:
    """Uses far behind the first one, with the column that they lead to."""
    found: dict[Edge, int] = {}
    for edges in uses.values():
        first = min(column[edge.target] for edge in edges)
        far = {edge: column[edge.target] for edge in edges if column[edge.target] >= first + APART}
        if len(set(far.values())) >= AGAIN:
            found.update(far)
    return found


def record(box: Box, picture: Picture) -> tuple[list[str], tuple[int, str], str]:
    """The cells of a box in the look of the lecture, its outline, and what it says on hovering."""
    value, face = picture.graph.values[box.nodes[0]], style.face(box, picture)
    grad = "–" if value.grad is NO_GRADIENT_YET else f"{value.grad:.4f}"
    old = {word.removeprefix("old ") for word, _ in (*face.rows, *face.gradients) if word.startswith("old ")}
    data = f"{'old ' if 'data' in old else ''}data {value.data:.4f}"
    name = style.short(style.visible(box.name)) or " "
    cells = [name, data, f"{'old ' if 'grad' in old else ''}grad {grad}", *face.marks]
    return cells, (4, style.NEGATIVE) if face.outlined else (1, style.INK), face.tooltip


def _header(picture: Picture, legend: bool, wide: float, small: int, again: bool) -> list[Header]:
    lines: list[Header] = []
    for words in filter(None, [picture.title, style.banner(picture)]):
        lines += sheet.sentence(words)
    trouble = picture.annotations.trouble
    for words in [*picture.age, *([trouble.sentence] if trouble else [])]:
        lines += sheet.sentence(words, color=style.TEXT_NEGATIVE)
    entries = [*style.legend(picture), *([("w", style.LEAF, "the same parameter or input again")] if again else [])]
    return lines + (sheet.legend(entries, wide, small) if legend else [])


def places(picture: Picture) -> list[tuple[float, float]]:
    """The middle of each box when the picture is drawn from left to right."""
    painter = _Painter(picture, False, style.SMALL_SIZE)
    shapes, wires = painter.row(0, picture.boxes)
    return sheet.middles(shapes, wires, painter.frames)
