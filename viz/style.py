"""The look of every picture: colors, fonts, numbers, words, and the legend. Change it here and nowhere else.

Gradients are blue when positive and vermillion when negative, a pair that can be told apart with every kind of color
blindness (Okabe and Ito 2008). The arrowhead shows the sign too, with a bar for negative, and zero is dashed, so a
black-and-white print says the same.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tinygrad_edu import console
from tinygrad_edu.engine import NO_GRADIENT_YET
from tinygrad_edu.errors import brief
from tinygrad_edu.ops import CONSTANT, Op

from .graph.annotations import BROKEN, DEAD, FLAT
from .graph.fold import Box, Cluster, Edge, Picture

__all__ = [
    "BEAMER",
    "COUNTS_UP_TO",
    "FAINT",
    "FONT",
    "FRAMES",
    "FRAME_LINE",
    "IDIOM",
    "IDIOM_TAB",
    "INK",
    "LABELS_UP_TO",
    "LEAF",
    "LEAF_TAB",
    "LONGEST_NAME",
    "MARKS",
    "MIXED",
    "MIXED_FLOW",
    "MODULE",
    "MODULE_TAB",
    "NAME_SIZE",
    "NEGATIVE",
    "OUTLINE",
    "PAPER",
    "POSITIVE",
    "SMALL_SIZE",
    "SURPRISE",
    "SYMBOLS",
    "TEXT_NEGATIVE",
    "TEXT_SIZE",
    "THEMES",
    "THINNEST",
    "VALUE",
    "VALUE_TAB",
    "WIDEST",
    "EdgeLook",
    "Face",
    "Widths",
    "banner",
    "duration",
    "edge_look",
    "face",
    "flow_look",
    "frame_title",
    "gradient",
    "is_number",
    "legend",
    "listed",
    "number",
    "plain",
    "short",
    "signed",
    "symbol",
    "text_color",
    "times",
    "visible",
]

FONT = "Arial"  # every layout program knows its widths, or those of an equally wide font
TEXT_SIZE = 16  # points; readable from the back of the room when the picture fills the screen
NAME_SIZE = 18
SMALL_SIZE = 15

INK = "#1a1a1a"
FAINT = "#5f6368"
POSITIVE = "#0072B2"
NEGATIVE = "#D55E00"
TEXT_NEGATIVE = "#B84E00"  # for small text on a page
MIXED = "#4d4d4d"
MIXED_FLOW = "#8d949d"  # what flows back has both signs

PAPER = "#ffffff"
LEAF, LEAF_TAB = "#fff6db", "#e8bf4a"
VALUE, VALUE_TAB = "#ffffff", "#c9d2dc"
IDIOM, IDIOM_TAB = "#eef6ee", "#a5d0a8"
MODULE, MODULE_TAB = "#e9f1fb", "#a8c9ef"
FRAME_LINE = "#9aa4b0"
FRAMES = ("#f6f7f9", "#eceff3", "#e2e7ed")
OUTLINE = "#6b7480"

#: The color on a light screen and on a dark one, by name. Text has a contrast of at least 4.5:1 on both.
THEMES = {
    "ink": (INK, "#f2f2f2"),
    "faint": (FAINT, "#b4bac2"),
    "positive": (POSITIVE, "#6cc0f5"),
    "negative": (NEGATIVE, "#ff9b52"),
    "text-negative": (TEXT_NEGATIVE, "#ff9b52"),
    "mixed": (MIXED, "#c2c7cd"),
    "mixed-flow": (MIXED_FLOW, "#8f979f"),
    "paper": (PAPER, "#16181b"),
    "leaf": (LEAF, "#332d1c"),
    "leaf-tab": (LEAF_TAB, "#7d6219"),
    "value-tab": (VALUE_TAB, "#49535e"),
    "idiom": (IDIOM, "#1d2b1f"),
    "idiom-tab": (IDIOM_TAB, "#3c6340"),
    "module": (MODULE, "#1b2735"),
    "module-tab": (MODULE_TAB, "#2f5580"),
    "frame-line": (FRAME_LINE, "#6d7681"),
    "outline": (OUTLINE, "#8a939d"),
    "frame-0": (FRAMES[0], "#1c1f23"),
    "frame-1": (FRAMES[1], "#23272c"),
    "frame-2": (FRAMES[2], "#2b3036"),
}

#: Background and text colors of a character, from expected to very surprising, on a light screen and on a dark one; on
#: a black-and-white print too, darker means more surprising.
SURPRISE = (
    ((PAPER, INK), ("#16181b", "#f2f2f2")),
    (("#fdebd8", INK), ("#38281a", "#f2f2f2")),
    (("#f8c796", INK), ("#65401d", "#f2f2f2")),
    (("#ec9345", INK), ("#a2581a", "#ffffff")),
    (("#9c3600", "#ffffff"), ("#ffb066", "#16181b")),
)

#: For a projector: text at a contrast of at least 7:1 on every box, and lines that a dim lamp still shows.
BEAMER = {
    FAINT: "#33373b",
    POSITIVE: "#00436b",
    NEGATIVE: "#702c00",
    TEXT_NEGATIVE: "#702c00",
    MIXED: "#1a1a1a",
    OUTLINE: "#33373b",
}

MARKS = (BROKEN, DEAD, FLAT)  # what a warning in a box begins with

LABELS_UP_TO = 40  # edges: with more, numbers are shown in tooltips only, to avoid clutter
COUNTS_UP_TO = 150
LONGEST_NAME = 30  # characters


# --- numbers and words ------------------------------------------------------------------------------------------------


def number(x: float, digits: int = 4) -> str:
    """Format a number with 4 significant digits and a true minus sign.

    >>> number(-0.0123456), number(1e-12), number(3.0), number(float("nan"))
    ('−0.01235', '1e−12', '3', 'NaN')
    """
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    text = f"{x + 0.0:.{digits}g}".replace("e-0", "e-").replace("e+0", "e+").replace("e+", "e")
    return text.replace("-", "−")


def plain(x: float, digits: int = 9) -> str:
    """Format a number without a power of ten from 0.001 to a billion: for axes and for few digits.

    >>> plain(40_000.0), plain(0.1 + 0.2), plain(-1234.5, 2), plain(2e9), plain(3e-5)
    ('40,000', '0.3', '−1,200', '2e9', '3e−5')
    """
    if not (x == 0.0 or 1e-3 <= abs(x) < 1e9):
        return number(x, min(digits, 4))
    return f"{float(f'{x:.{digits - 1}e}') + 0.0:,.9g}".replace("-", "−")


def duration(seconds: float) -> str:
    """Format a time.

    >>> duration(123.4), duration(0.0456), duration(7e-6)
    ('123 s', '46 ms', '7.0 µs')
    """
    unit, size = next((pair for pair in (("s", 1.0), ("ms", 1e-3)) if seconds >= pair[1]), ("µs", 1e-6))
    return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"


def signed(x: float, digits: int = 4) -> str:
    """Format a number with a sign even if it is positive: what flows along an edge.

    >>> signed(6.0), signed(-2.0), signed(0.0)
    ('+6', '−2', '0')
    """
    return f"+{number(x, digits)}" if x > 0 else number(x, digits)


def text_color(color: str) -> str:
    """The color for words about something of this color: dark enough to be read."""
    return {NEGATIVE: TEXT_NEGATIVE, MIXED_FLOW: MIXED, LEAF_TAB: INK}.get(color, color)


def gradient(value_grad: float, digits: int = 4) -> str:
    """Format a gradient; a dash if it has not been computed."""
    return "–" if value_grad is NO_GRADIENT_YET else number(value_grad, digits)


_GLYPHS = str.maketrans({"\n": "⏎", "\r": "␍", "\t": "⇥", "\0": "␀"})


def visible(text: str) -> str:
    """Make every character visible: white space at the ends becomes a glyph, as do line ends anywhere.

    >>> visible(" "), visible("a\\n"), visible("two words")
    ('␣', 'a⏎', 'two words')
    """
    text = text.translate(_GLYPHS)
    text = "".join(c if c.isprintable() else "·" for c in console.visible(text))
    inner = text.strip(" ")
    if not inner:
        return "␣" * len(text)
    before, after = len(text) - len(text.lstrip(" ")), len(text) - len(text.rstrip(" "))
    return "␣" * before + inner + "␣" * after


def short(text: str) -> str:
    """Shorten a name to at most :data:`LONGEST_NAME` characters, in the middle: its end says more."""
    if len(text) <= LONGEST_NAME:
        return text
    half = (LONGEST_NAME - 1) // 2
    return f"{text[: LONGEST_NAME - 1 - half]}…{text[-half:]}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """List at most ``most`` names.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c", "d", "e"])
    ('a', 'a and b', 'a, b, c and 2 more')
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def times(count: int) -> str:
    """Write ×N, or nothing for one."""
    return f"×{count:,}" if count > 1 else ""


# --- boxes ------------------------------------------------------------------------------------------------------------


@brief
@dataclass
class Face:
    """The contents of a box.

    Attributes:
        tab: the operation or the kind of module, in the small tab.
        title: the name.
        rows: pairs of a word and a number; gradients are below the rule.
        notes: lines of text without a number, above the rows.
        marks: warnings above the notes.
        outlined: whether the whole box stands out.
        fill, tab_fill: colors.
        tooltip: the same with every digit.
        dashed: whether the border is dashed, as for the rest that is not drawn.
    """

    tab: str = ""
    title: str = ""
    notes: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    outlined: bool = False
    rows: list[tuple[str, str]] = field(default_factory=list)
    gradients: list[tuple[str, str]] = field(default_factory=list)
    fill: str = VALUE
    tab_fill: str = VALUE_TAB
    tooltip: str = ""
    dashed: bool = False


#: Operations that are written otherwise in pictures than in Python.
SYMBOLS = {"*": "×", "-": "−", "/": "÷", "neg": "−a"}


def face(box: Box, picture: Picture) -> Face:
    """Return the text and colors of a box."""
    found: Face | None = picture.faces.get(box)
    if found is None:
        found = picture.faces[box] = _face(box, picture)
    return found


def _face(box: Box, picture: Picture) -> Face:
    found = _FACES.get(box.kind, _idiom)(box, picture)
    _numbers(found, box, picture)
    found.marks = _said(box, picture)
    found.outlined = any(words.startswith(BROKEN) for words in found.marks)
    title = visible(box.name)
    found.tooltip = "\n".join(filter(None, [found.tooltip or title, *found.marks, *_full(box, picture)]))
    if picture.look is not None:
        picture.look([picture.graph.values[node] for node in box.nodes], found)
    return found


def _node(box: Box, picture: Picture) -> Face:
    if box.op is None or box.op is CONSTANT:
        return Face("", _local_path(box.name, box.cluster), fill=LEAF, tab_fill=LEAF_TAB, tooltip=visible(box.name))
    return Face(_operation(box), short(visible(box.name)))


def _operation(box: Box) -> str:
    assert box.op is not None
    return symbol(box.op) if box.constant is None else f"{symbol(box.op)} {number(box.constant)}"


def is_number(box: Box, picture: Picture) -> bool:
    """Whether a box is a number that stands in a formula."""
    return box.kind == "node" and picture.graph.values[box.nodes[0]].op is CONSTANT


def symbol(op: Op) -> str:
    """Write an operation as in formulas."""
    return SYMBOLS.get(op.symbol, op.symbol)


def _alike(box: Box, picture: Picture) -> Face:
    return Face(_operation(box), times(box.count))


def _idiom(box: Box, picture: Picture) -> Face:
    low, high = box.sizes
    size = f"{low}" if low == high else f"{low}…{high}"
    if box.extra:
        size += f" + {box.extra}"
    if box.kind in ("sum", "product") and high <= 2 and low == 1:
        size = ""
    face = Face(f"{box.kind} {size}".strip(), " ".join(filter(None, [short(visible(box.name)), times(box.count)])))
    face.fill, face.tab_fill = IDIOM, IDIOM_TAB
    return face


def _table(box: Box, picture: Picture) -> Face:
    shape, names = "×".join(map(str, box.shape)), picture.graph.names
    face = Face("", _local_path(box.name, box.cluster), fill=LEAF, tab_fill=LEAF_TAB)
    total = math.prod(box.shape)
    if len(box.nodes) > total:  # the tables of several blocks
        tables = len({names[node].partition("[")[0] for node in box.nodes})
        shape, total = f"{tables} tables of {shape}", tables * total
    if len(box.nodes) == total:
        face.notes.append(f"{shape} parameters" if len(box.shape) > 1 else f"{total} numbers")
    else:
        face.notes.append(f"{shape}: {len(box.nodes):,} of {total:,} used")
    face.tooltip = box.name
    return face


def _leaves(box: Box, picture: Picture) -> Face:
    name = visible(box.name) if box.name else "numbers"
    return Face("", f"{short(name)} {times(len(box.nodes))}".strip(), fill=LEAF, tab_fill=LEAF_TAB)


def _call(box: Box, picture: Picture) -> Face:
    name = _local_path(box.name, box.cluster)
    if box.number:
        name = f"{name} {box.number}"
    face = Face(box.module, " ".join(filter(None, [name, times(box.count)])), fill=MODULE, tab_fill=MODULE_TAB)
    if box.shape:
        taken, given = box.shape
        face.notes.append(f"{f'{taken:,} ' if taken else ''}→ {given:,} number{'s' * (given != 1)}")
    tables = list(box.parameters.items())
    if len(tables) == 1 and tables[0][1]:
        name, shape = tables[0]
        face.notes.append(f"{name.rpartition('.')[2]} {'×'.join(map(str, shape))}")
    elif tables:
        face.notes.append(f"{sum(math.prod(shape) for _, shape in tables):,} parameters")
    if box.repeats:
        face.notes.append("each feeds the next")
    if box.seconds:
        face.notes.append(f"computed in {duration(box.seconds)}")
    face.tooltip = f"{box.name} · {box.module}"
    return face


def _rest(box: Box, picture: Picture) -> Face:
    face = Face("", f"… {len(box.nodes):,} more Value{'s' * (len(box.nodes) > 1)}", fill=PAPER, dashed=True)
    face.notes += [box.name] if box.name else []
    face.tooltip = "" if box.name else "everything farther from the result"
    return face


_FACES = {"node": _node, "alike": _alike, "table": _table, "leaves": _leaves, "call": _call, "rest": _rest}


def _local_path(path: str, cluster: Cluster | None) -> str:
    """Return a module's path without the part that the frame around it shows."""
    around = cluster.path if cluster is not None else ""
    if around and path.startswith(f"{around}."):
        path = path[len(around) + 1 :]
    return short(visible(path))


def _numbers(face: Face, box: Box, picture: Picture) -> None:
    """Return data and gradient: the numbers of one Value, or the range and the norm of several, marked "old" if they
    are."""
    values, old = picture.graph.values, picture.graph.old
    if box.kind == "rest":
        return
    word = "data" if old.isdisjoint(box.nodes) else "old data"
    if _is_one(box):
        value = values[(box.outputs or box.nodes)[0]]
        face.rows.append((word, number(value.data, picture.digits)))
        if value.op is not CONSTANT:
            face.gradients.append(
                (
                    "old grad" if old and value.grad is not NO_GRADIENT_YET else "grad",
                    "≈ 0" if _cancels(box, picture) else gradient(value.grad, picture.digits),
                )
            )
        return
    out = [values[node] for node in (box.outputs or box.nodes)]
    data = [value.data for value in out]
    face.rows.append((word, _range(data)))
    reached = [value.grad for value in out if value.grad is not NO_GRADIENT_YET]
    face.gradients.append(
        (
            "old |grad|" if old and reached else "|grad|",
            number(math.hypot(*reached), picture.digits) if reached else "–",
        )
    )


def _cancels(box: Box, picture: Picture) -> bool:
    """Whether what flows back to the Value of a box cancels, but for the rounding of its sum."""
    node = (box.outputs or box.nodes)[0]
    grad = picture.graph.values[node].grad
    if grad is NO_GRADIENT_YET or not 0.0 < abs(grad) < 1e-9:
        return False
    flows = [abs(edge.sent[node]) for edge in picture.edges if edge.source is box and node in edge.sent]
    return abs(grad) <= 2 * len(flows) * sys.float_info.epsilon * math.fsum(flows)


def _is_one(box: Box) -> bool:
    """Whether the numbers of a box are those of one Value."""
    return box.kind == "node" or len(box.outputs or box.nodes) == 1


def _range(numbers: list[float]) -> str:
    if any(math.isnan(x) for x in numbers):
        return f"NaN ({sum(math.isnan(x) for x in numbers):,} of {len(numbers):,})"
    low, high = min(numbers), max(numbers)
    return number(low, 3) if low == high else f"{number(low, 3)} … {number(high, 3)}"


def _full(box: Box, picture: Picture) -> list[str]:
    values = picture.graph.values
    if box.kind == "node":
        value = values[box.nodes[0]]
        old = picture.graph.old
        lines = [f"{'old ' if box.nodes[0] in old else ''}data {value.data!r}"]
        if value.grad is not NO_GRADIENT_YET:
            rest = ", the rounding of what cancels" if _cancels(box, picture) else ""
            lines.append(f"{'old ' if old else ''}grad {value.grad!r}{rest}")
        if value.op is not None and value.op is not CONSTANT:
            lines.insert(0, value.op.formula)
        return lines
    lines = [f"{len(box.nodes)} Values folded in this box"] if len(box.nodes) > 1 else []
    if box.outputs and len(box.outputs) > 1:
        grads = [values[node].grad for node in box.outputs if values[node].grad is not NO_GRADIENT_YET]
        lines.append(f"{len(box.outputs)} of them are used outside")
        if grads:
            lines.append(f"norm of their gradient {math.hypot(*grads)!r}")
    return lines


# --- edges ------------------------------------------------------------------------------------------------------------


@brief
@dataclass
class EdgeLook:
    """The look of an edge: a thin line for the data, and for the gradient a band with its head at the source.

    Attributes:
        color, width: of the band; no width means that no gradient is drawn.
        dashed: whether the gradient is exactly 0.
        barred: whether the head of the band has a bar, for what is negative.
        broken: whether what flows is not finite; the head is a dot.
        thin: the width of the line.
        words: on it, as (text, color, bold).
        tooltip: the same with every digit.
        data: attributes for scripts.
    """

    color: str = FAINT
    width: float = 0.0
    dashed: bool = False
    barred: bool = False
    broken: bool = False
    thin: float = 1.3
    words: list[tuple[str, str, bool]] = field(default_factory=list)
    tooltip: str = ""
    data: dict[str, str] = field(default_factory=dict)


_ORDERED = ("sub", "div", "pow")  # operations whose two inputs cannot be swapped
THINNEST, WIDEST = 2.0, 9.0  # points


class Widths:
    """How wide bands are: the largest gradient of the picture is widest, and others are in proportion while that leaves
    the smallest one visible; otherwise ratios are compressed just as far as necessary.
    """

    def __init__(self, norms: Iterable[float]) -> None:
        sizes = sorted(norm for norm in norms if 0.0 < norm < math.inf)
        self.low, self.high = (sizes[0], sizes[-1]) if sizes else (0.0, 0.0)
        # As logarithms: the ratio itself may be larger than any number.
        most, ratio = math.log(WIDEST / THINNEST), math.log(self.high) - math.log(self.low) if sizes else 0.0
        self.power = min(1.0, most / ratio) if ratio else 1.0

    def __call__(self, norm: float) -> float:
        """The width of a band in points."""
        if not math.isfinite(norm) or not self.high:
            return 5.0
        if norm == 0.0:
            return THINNEST
        return round(WIDEST * math.exp(self.power * min(0.0, math.log(norm) - math.log(self.high))), 2)


def flow_look(sent: Mapping[int, float], widths: Widths) -> EdgeLook:
    """Return the look of what flows back along an edge, or along several from one box."""
    found = EdgeLook()
    if not sent:
        return found
    norm = math.hypot(*sent.values())
    signs = {(g > 0) - (g < 0) for g in sent.values()} - {0}
    found.color = FAINT if not signs else MIXED_FLOW if len(signs) > 1 else POSITIVE if 1 in signs else NEGATIVE
    found.barred = signs == {-1}
    found.width, found.dashed = widths(norm), norm == 0.0
    if not math.isfinite(norm):
        found.color, found.barred, found.broken = NEGATIVE, False, True
    if len(sent) == 1:
        (flow,) = sent.values()
        found.tooltip = f"gradient that flows back {flow!r}"
    else:
        found.tooltip = f"norm of the gradient that flows back {norm!r}"
    return found


def edge_look(edge: Edge, picture: Picture, widths: Widths) -> EdgeLook:
    """Return the look of an edge."""
    digits = picture.digits
    found = flow_look(edge.sent, widths)
    local = "" if edge.local is None else number(edge.local, digits)
    facts = []
    if edge.count > 1:
        facts.append(f"{edge.count} edges from {len(edge.sources)} Values")
    if edge.local is not None:
        facts.append(f"local derivative {edge.local!r}")
        found.data["local"] = repr(edge.local)
    facts += [found.tooltip] if found.tooltip else []
    constant = picture.graph.values[edge.source.nodes[0]].op is CONSTANT and edge.source.kind == "node"
    if len(picture.edges) <= LABELS_UP_TO:
        op, words = edge.target.op, []
        if edge.operand >= 0 and edge.target.constant is None and op is not None and op.name in _ORDERED:
            words.append(("1st", "2nd")[edge.operand])
        if local and not constant:
            words.append(f"∂ {local}")
        sent = [signed(flow, digits) for flow in edge.sent.values()] if edge.count == 1 else []
        if words and len(" ".join(words)) <= max(map(len, [*words[1:], *sent]), default=0) + 1:  # no wider on one line
            words = [" ".join(words)]
        found.words += [(word, FAINT, False) for word in words]
        found.words += [(flow, text_color(found.color), True) for flow in sent]
    if edge.count == 1 and edge.sent:
        found.data["flow"] = repr(*edge.sent.values())
    if len(edge.sources) > 1 and len(picture.edges) <= COUNTS_UP_TO:
        found.words.append((times(len(edge.sources)), FAINT, False))
    found.tooltip = "\n".join(facts) or "an input"
    return found


# --- around the picture -----------------------------------------------------------------------------------------------


def frame_title(cluster: Cluster) -> str:
    """Return the words on the frame of an open module."""
    name = _local_path(cluster.path, cluster.parent)
    if cluster.number:
        name = f"{name} {cluster.number}"
    words = " ".join(filter(None, [name, f"({cluster.kind})" if name else cluster.kind, times(cluster.count)]))
    words += ", each feeds the next" if cluster.repeats else ""
    return f"{words}, computed in {duration(cluster.seconds)}" if cluster.seconds else words


def banner(picture: Picture) -> str:
    """Say how much is folded; empty if nothing is."""
    if picture.focus is not None:
        name = visible(picture.focus.name) if picture.focus.name else "the Value with the thick border"
        return f"Near {name}: {sum(box.kind == 'node' for box in picture.boxes)} of {picture.total:,} Values"
    if not picture.folded:
        return f"{picture.hidden} Values are hidden" if picture.hidden else ""
    single = picture.total - picture.folded
    boxes = sum(len(box.nodes) > 1 for box in picture.boxes)
    into = f"{boxes} box{'es' * (boxes != 1)}"
    words = f"{picture.total:,} Values folded into {into}"
    if single:
        words = f"{picture.total:,} Values: {picture.folded:,} folded into {into}, {single:,} drawn one by one"
    if picture.nearest is not None:
        words += f"; shown is what is at most {picture.nearest} boxes away from the result"
    if picture.hidden:
        words += f"; {picture.hidden:,} Values are hidden"
    return words


def legend(picture: Picture) -> list[tuple[str, str, str]]:
    """Explain the colors and lines that occur: (sample, color of the sample, words)."""
    kinds = {box.kind for box in picture.boxes}
    single = [box for box in picture.boxes if box.kind == "node"]
    rows = []
    if kinds & {"table", "leaves"} or any(box.op is None for box in single):
        rows.append(("■", LEAF_TAB, "parameters and inputs"))
    if "alike" in kinds or any(box.op is not None for box in single):
        rows.append(("■", VALUE_TAB, "operations"))
    if kinds - {"table", "leaves", "node", "alike", "call", "rest"}:
        rows.append(("■", IDIOM_TAB, "chains of operations"))
    if "call" in kinds:
        rows.append(("■", MODULE_TAB, "modules"))
    if any(len(edge.sources) > 1 for edge in picture.edges) and len(picture.edges) <= COUNTS_UP_TO:
        rows.append(("×N", FAINT, "N Values"))
    if len(picture.edges) <= LABELS_UP_TO and any(edge.local is not None for edge in picture.edges):
        rows.append(("∂", FAINT, "local derivative"))
    rows += _marks(picture)
    rows.append(("→", MIXED, "data"))
    if not picture.graph.has_gradients:
        rows.append(("–", INK, "gradient not computed yet"))
        return rows
    if any(box.kind != "rest" and not _is_one(box) for box in picture.boxes):
        rows.append(("|grad|", FAINT, "length of all gradients, √Σg²"))
    looks = [flow_look(edge.sent, Widths([])) for edge in picture.edges if edge.sent]
    finite = [edge for edge in picture.edges if edge.sent and math.isfinite(edge.norm)]
    if any(look.color == POSITIVE for look in looks):
        rows.append(("◄━", POSITIVE, "gradient > 0, flows back"))
    if any(look.barred for look in looks):
        rows.append(("◄|━", NEGATIVE, "gradient < 0, flows back"))
    if any(look.color == MIXED_FLOW for look in looks):
        rows.append(("◄━", MIXED_FLOW, "gradients of both signs"))
    if any(look.dashed for look in looks):
        rows.append(("◄┅", FAINT, "gradient exactly 0"))
    if any(edge.sent and not math.isfinite(edge.norm) for edge in picture.edges):
        rows.append(("●━", NEGATIVE, "gradient NaN or infinite"))
    widths = Widths(edge.norm for edge in finite)
    if widths.low < widths.high:
        scale = "" if widths.power == 1.0 else ", not in proportion"
        low, high = (number(float(f"{x:.2g}")) for x in (widths.low, widths.high))
        rows.append(("━", MIXED_FLOW, f"size: {low} … {high}{scale}"))
    return rows


def _said(box: Box, picture: Picture) -> list[str]:
    """Return the marks of a box; the rest that is not drawn has only the one that must not be missed."""
    if box not in picture.said:
        words = picture.annotations.words(box.nodes)
        picture.said[box] = [w for w in words if box.kind != "rest" or w.startswith(BROKEN)]
    return picture.said[box][:]


def _marks(picture: Picture) -> list[tuple[str, str, str]]:
    said = {words[0] for box in picture.boxes for words in _said(box, picture)}
    known = (
        (BROKEN, "the first number that is not finite"),
        (DEAD, "off: ReLU gives 0, no gradient passes"),
        (FLAT, "saturated: flat, little gradient passes"),
    )
    rows = [(glyph, NEGATIVE, words) for glyph, words in known if glyph in said]
    if any(words.endswith("here") for box in picture.boxes for words in _said(box, picture)):
        examples = picture.annotations.examples
        rows.append(
            ("here", NEGATIVE, f"in the {'one example' if examples == 1 else f'{examples} examples'} of this picture")
        )
    return rows
