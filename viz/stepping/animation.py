"""A backward pass as an animation, from the same step log as the steppers: only the numbers change.

``.svg`` is animated by its own style sheet and runs wherever a picture does, without a script; ``.png`` and ``.apng``
are animated PNG, for slides and pages that take no SVG; ``.gif`` is for places where neither works. PNG and GIF need
Pillow, the extra ``tinygrad_edu[animation]``.
"""

from __future__ import annotations

import html
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_edu import Value, console
from tinygrad_edu.step_log import Chain, State, Step, StepLog, record

from .. import style
from ..errors import DrawingError, LayoutError
from ..names import Names, names_of
from ..pages.stepper_page import MOST_VALUES, Cells, box, edges, marker, positions, size, svg_start, tab_text
from ..rendering import graphviz_program
from ..rendering.formats import write_as
from ..rendering.graphviz_program import text as dot_text
from ..rendering.notebook import forms
from ..rendering.templates import asset
from ..rendering.theme import page_colors

if TYPE_CHECKING:
    from PIL.Image import Image

_HOLD = 2  # the last picture stays two steps longer
_SENTENCE_HEIGHT = 64
_MOST_PIXELS = 2_000_000_000  # pixels of all frames: Pillow holds them in memory


@dataclass(frozen=True)
class Animation:
    """An animation; the last line of a notebook cell shows it.

    Attributes:
        log: the step log it shows.
        seconds: how long each step is shown.
    """

    log: StepLog
    seconds: float

    def save(self, path: str | Path) -> str:
        """Write it as ``.svg``, or as an animated ``.png`` (``.apng``) or ``.gif``. Returns the path."""
        return write_as(path, {".svg": self.svg, ".png": self.apng, ".apng": self.apng, ".gif": self.gif})

    def __repr__(self) -> str:
        return f"Animation({len(self.log.steps):,} steps, {self.seconds:g} s each; .save('steps.svg') writes it)"

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None, **_: Any
    ) -> dict[str, str]:
        return forms(sentence(self.log, 0), self.svg, include, exclude, still=self._last)

    def _last(self) -> str:
        """The final picture, as SVG without movement."""
        *_, source = _dot_frames(self.log)
        return graphviz_program.first_that_works(
            "svg", lambda program: graphviz_program.render(source, "svg", program, graphviz_program.TIMEOUT).decode()
        )

    # --- SVG --------------------------------------------------------------------------------------------------------

    def svg(self) -> str:
        """The animation as SVG text. If the reader has asked for less motion, it shows the final picture."""
        log = self.log
        placed = positions(log)
        sentences = [sentence(log, k) for k in range(len(log.steps) + 1)]
        width = math.ceil(max(placed.width, 14.5 * max(map(len, sentences)) + 20.0))
        shift = (width - placed.width) / 2
        height = math.ceil(placed.height) + _SENTENCE_HEIGHT
        windows = _Windows(len(log.steps) + 1, self.seconds)
        inside: list[str] = []
        steps = {(s.node, s.operand): (k, s) for k, s in enumerate(log.steps, 1) if isinstance(s, Chain)}
        for (_, target, operand), path in zip(edges(log), placed.paths, strict=True):
            inside.append(f'<g class="edge"><path d="{path}" marker-end="url(#tip)"/></g>')
            if (target, operand) in steps:
                k, step = steps[target, operand]
                kind = "positive" if step.contribution > 0 else "negative" if step.contribution < 0 else "zero"
                inside.append(
                    f'<g class="edge {kind}"{windows.shown(k + 1)}><path d="{path}" marker-end="url(#tip)"/></g>'
                )
                inside.append(f'<g class="edge {kind} lit"{windows.shown(k, k + 1)}><path d="{path}"/></g>')
        history = [log.replay(k) for k in range(len(log.steps) + 1)]
        for i, node in enumerate(log.nodes):
            if node.is_constant:
                inside.append(box(self.log, i, placed.centers[i]))
                continue
            data = _cells([state.data[i] for state in history], windows, False)
            gradient = _cells([state.gradients[i] for state in history], windows, True)
            inside.append(box(self.log, i, placed.centers[i], data, gradient))
            frame = _frame(placed.centers[i], size(node))
            inside += [
                f'<rect class="mark" {frame}{windows.shown(k, k + 1)}/>'
                for k, step in enumerate(log.steps, 1)
                if _target(step) == i
            ]
        words = [
            f'<text class="sentence" x="{width / 2:g}" y="{height - 22}"'
            f"{windows.shown(k, k + 1)}>{html.escape(sentences[k])}</text>"
            for k in range(len(log.steps) + 1)
        ]
        return "\n".join(
            [
                svg_start(log, width, height),
                f"<style>{page_colors()}{asset('step.css')}{asset('boxes.css')}{_STYLE}{windows.css()}</style>",
                f"<defs>{marker('tip', 13)}{marker('back', 24)}</defs>",
                f'<rect width="{width}" height="{height}" fill="var(--paper)"/>',
                f'<g transform="translate({shift:g},0)">',
                *inside,
                "</g>",
                *words,
                "</svg>",
            ]
        )

    # --- animated PNG and GIF ---------------------------------------------------------------------------------------

    def apng(self) -> bytes:
        """The animation as PNG (the PNG specification, third edition, section 11.3.4)."""
        return join(*self._stills(), "PNG")

    def gif(self) -> bytes:
        """The animation as GIF: the frames of :meth:`apng`, each change in at most 256 colors."""
        return join(*self._stills(), "GIF")

    def _stills(self) -> tuple[list[bytes], list[float]]:
        """The frames as PNG, and how long each is shown."""
        sources = [*_dot_frames(self.log)]  # all frames by one program: another would give them other sizes

        def drawn(program: graphviz_program.Renderer) -> list[bytes]:
            return [graphviz_program.render(source, "png", program, graphviz_program.TIMEOUT) for source in sources]

        frames = graphviz_program.first_that_works("png", drawn)
        return frames, [self.seconds] * (len(frames) - 1) + [self.seconds * (1 + _HOLD)]


def animate(value: Value, *, names: Names | None = None, seconds: float = 1.5) -> Animation:
    """Animate the forward and backward pass of ``value``: ``viz.animate(L).save("L.svg")``.

    Args:
        value: the result to differentiate, of a graph of at most 250 Values.
        names: names for Values without a label, as :func:`viz.step` takes them.
        seconds: how long each step is shown.

    Raises StaleGraphError when a number was changed after something had been computed from it, DrawingError for a
    larger graph. To save it as .gif or .png takes a layout program, and LayoutError says so.
    """
    if not 0.02 <= seconds <= 60.0:
        raise DrawingError(f"seconds must be from 0.02 to 60, got {seconds!r}")
    log = record(value, names_of(names))
    if len(log.nodes) > MOST_VALUES:
        raise DrawingError(
            f"this graph has {len(log.nodes):,} Values, an animation shows at most {MOST_VALUES}; take a part of it"
        )
    return Animation(log, seconds)


def sentence(log: StepLog, count: int) -> str:
    """Return the sentence below the picture after ``count`` steps."""
    if count == 0:
        return f"{log.nodes[log.root].name}: forward, then backward"
    step = log.steps[count - 1]
    words = log.sentence(step, style.number)
    accumulated = log.accumulation(step, style.number) if isinstance(step, Chain) else ""
    return f"{words},  {accumulated}" if accumulated else words


def _target(step: Step) -> int:
    return step.input if isinstance(step, Chain) else step.node


_STYLE = """
.mark { fill: none; stroke: var(--ink); stroke-width: 5; }
.sentence { font-size: 26px; font-weight: bold; text-anchor: middle; }
"""


class _Windows:
    """The times at which parts of the animation are visible, as rules of a style sheet."""

    def __init__(self, frames: int, seconds: float) -> None:
        self.frames = frames
        self.length = frames + _HOLD
        self.seconds = seconds
        self.used: dict[tuple[int, int], None] = {}

    def shown(self, start: int, end: int | None = None, look: str = "") -> str:
        """Return attributes for something visible from frame ``start`` up to ``end``, or to the last, and its look."""
        end = self.frames if end is None or end >= self.frames else end
        if start >= end:  # never
            return ' visibility="hidden"'
        if start == 0 and end == self.frames:
            return f' style="{look}"' if look else ""
        self.used.setdefault((start, end))
        at_rest = "" if end == self.frames else ' visibility="hidden"'
        return f'{at_rest} style="animation-name:w{start}-{end};{look}"'

    def css(self) -> str:
        """Return the rules for every call of :meth:`shown`."""
        rules = [
            f'[style^="animation-name"] {{ animation: {self.length * self.seconds:g}s step-end infinite; }}',
            "@media (prefers-reduced-motion: reduce) { [style] { animation: none !important; } }",
        ]
        for start, end in self.used:
            times = [(0, start == 0), (start, True)] if start else [(0, True)]
            if end < self.frames:
                times.append((end, False))
            stops = " ".join(
                f"{100 * time / self.length:.4f}% {{ visibility: {'visible' if seen else 'hidden'}; }}"
                for time, seen in times
            )
            rules.append(f"@keyframes w{start}-{end} {{ {stops} }}")
        return "\n".join(rules)


def _cells(numbers: list[float | None], windows: _Windows, signed: bool) -> Cells:
    """Return the texts of one place: each number for as long as it holds."""
    cells: Cells = []
    start = 0
    for k in range(1, len(numbers) + 1):
        if k == len(numbers) or numbers[k] != numbers[start]:
            x = numbers[start]
            words = "–" if x is None else style.number(x)
            look = f"fill:var(--{'positive' if x > 0 else 'text-negative'});font-weight:bold" if signed and x else ""
            cells.append((words, windows.shown(start, k, look)))
            start = k
    return cells


def _frame(center: tuple[float, float], extent: tuple[float, float]) -> str:
    x, y = center[0] - extent[0] / 2, center[1] - extent[1] / 2
    return f'x="{x:g}" y="{y:g}" width="{extent[0]:g}" height="{extent[1]:g}" rx="5"'


# --- frames for animated PNG and GIF ------------------------------------------------------------------------------


def _dot_frames(log: StepLog) -> Iterator[str]:
    """Return DOT text per frame. Boxes and the sentence have fixed sizes, so every frame has the same layout."""
    longest = max(len(sentence(log, k)) for k in range(len(log.steps) + 1))
    for count in range(len(log.steps) + 1):
        state = log.replay(count)
        step = log.steps[count - 1] if count else None
        done = {(s.node, s.operand): s.contribution for s in log.steps[:count] if isinstance(s, Chain)}
        lines = [
            "digraph { rankdir=LR; nodesep=0.35; ranksep=1.1; pad=0.15",
            f'bgcolor="{style.PAPER}"; fontname="{style.FONT}"',
            f'fontsize=22 labelloc=b label=<<TABLE BORDER="0"><TR>'
            f'<TD WIDTH="{14 * longest + 40}" HEIGHT="44">{dot_text(sentence(log, count))}</TD></TR></TABLE>>',
            f'node [shape=none margin=0 fixedsize=true fontname="{style.FONT}" fontsize=18]',
        ]
        lines += [_dot_node(log, i, state, step) for i in range(len(log.nodes))]
        for source, target, operand in edges(log):
            sent = done.get((target, operand))
            active = isinstance(step, Chain) and (step.node, step.operand) == (target, operand)
            color = style.FAINT if not sent else style.POSITIVE if sent > 0 else style.NEGATIVE
            how = " style=dashed" if sent == 0 else ""
            how += "" if sent is None else " dir=back"  # the gradient flows back
            lines.append(f'n{source} -> n{target} [color="{color}" penwidth={6 if active else 2}{how}]')
        yield "\n".join([*lines, "}"])


def _dot_node(log: StepLog, i: int, state: State, step: Step | None) -> str:
    node = log.nodes[i]
    width, height = size(node)
    sizes = f"width={width / 72:.4f} height={height / 72:.4f}"
    if node.is_constant:
        return f"n{i} [label=<{dot_text(style.number(node.data))}> {sizes}]"
    numbers = ["–" if x is None else style.number(x) for x in (state.data[i], state.gradients[i])]
    active = step is not None and _target(step) == i
    fill = "#ffe45c" if active else style.LEAF if node.is_leaf else style.VALUE
    symbol = "" if node.op is None else f"<B>{dot_text(tab_text(node))}</B>  "
    name = dot_text(style.short(style.visible(node.name)))
    room = f'WIDTH="{width - (7 if active else 3):.0f}" HEIGHT="{height - 69:.0f}"'
    rows = [f'<TR><TD COLSPAN="2" ALIGN="LEFT" {room}>{symbol}<B>{name}</B></TD></TR>'] + [
        f'<HR/><TR><TD ALIGN="LEFT" HEIGHT="30"><FONT POINT-SIZE="14">{word}</FONT></TD>'
        f'<TD ALIGN="RIGHT">{number}</TD></TR>'
        for word, number in zip(("data", "grad"), numbers, strict=True)
    ]
    table = (
        f'<TABLE BORDER="{3 if active else 1}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" BGCOLOR="{fill}" '
        f'WIDTH="{width:.0f}" HEIGHT="{height:.0f}">'
    )
    return f"n{i} [label=<{table}{''.join(rows)}</TABLE>> {sizes}]"


# --- files --------------------------------------------------------------------------------------------------------


def join(stills: Sequence[bytes], seconds: Sequence[float], kind: str) -> bytes:
    """Join still pictures of one size into an endless animation.

    Args:
        stills: PNG of each frame.
        seconds: how long each is shown. GIF counts in hundredths; the total is off by at most one.
        kind: ``"PNG"``, or ``"GIF"``, in which each frame has at most 256 colors.

    Raises:
        DrawingError: Pillow is not installed.
        LayoutError: the pictures differ in size, or are too large for the format or for memory.
    """
    try:
        from PIL import Image
    except ImportError:
        raise DrawingError(
            f"an animated PNG or GIF needs Pillow, which is not installed: {console.adding('animation', 'pillow')}; "
            f"or save as .svg, which needs nothing"
        ) from None
    pictures = [Image.open(io.BytesIO(still)) for still in stills]
    sizes = sorted({picture.size for picture in pictures})
    if len(sizes) > 1:
        shown = ", ".join(f"{width}×{height}" for width, height in sizes)
        raise LayoutError(f"the layout program drew frames of different sizes ({shown}); save as .svg instead")
    [(width, height)] = sizes
    if kind == "GIF" and max(width, height) > 65535:
        raise LayoutError(f"a GIF has at most 65,535 pixels a side, not {width:,}×{height:,}; save as .svg")
    if len(stills) * width * height > _MOST_PIXELS:
        raise LayoutError(f"{len(stills):,} frames of {width:,}×{height:,} pixels are too many; save as .svg instead")
    paper = Image.new("RGBA", (width, height), "white")
    first, *rest = (_flat(Image.alpha_composite(paper, picture.convert("RGBA")), kind) for picture in pictures)
    ends = [round(100 * end) for end in accumulate(seconds)]
    lengths = [10 * min(end - start, 65535) for start, end in zip([0, *ends], ends, strict=False)]
    file = io.BytesIO()
    plain = {"optimize": False, "interlace": False} if kind == "GIF" else {}  # nothing transparent, rows in order
    first.save(file, kind, save_all=True, append_images=rest, duration=lengths, loop=0, **plain)
    return file.getvalue()


def _flat(picture: Image, kind: str) -> Image:
    """Remove transparency; for GIF, reduce to the 256 colors that fit best."""
    flat = picture.convert("RGB")
    # This method keeps areas of one color exactly as they are.
    return flat.quantize(256, method=1) if kind == "GIF" else flat
