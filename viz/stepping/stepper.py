"""The stepper for the terminal, without the terminal: keys go in, screens of text come out.

A :class:`Stepper` knows a step log and the current position in it. :meth:`Stepper.press` takes one key,
:meth:`Stepper.screen` draws. :mod:`viz.stepping.terminal` connects both to a real keyboard; tests connect them to a
list of keys.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from tinygrad_edu.console import ASCII, visible
from tinygrad_edu.step_log import Chain, Forward, NumberFormat, Seed, Step, StepLog, exact

from .. import style
from . import answers

NEXT = frozenset({"right", "down", "pagedown", "space", "enter", "n"})
PREVIOUS = frozenset({"left", "up", "pageup", "backspace", "p"})
FIRST, LAST = frozenset({"home", "f"}), frozenset({"end", "l"})
QUIT = frozenset({"q", "escape", "interrupt"})


@dataclass(frozen=True)
class Look:
    """What a terminal can show.

    Attributes:
        color: whether escape codes for colors may be written.
        encoding: the encoding of the output; if it lacks mathematical symbols, plain letters are used throughout.
    """

    color: bool = False
    encoding: str = "utf-8"

    @property
    def plain(self) -> bool:
        """Whether the encoding lacks mathematical symbols."""
        try:
            "∂·−→←─▶⋮…σ∞✓✗".encode(self.encoding)
        except (UnicodeEncodeError, LookupError):
            return True
        return False

    def text(self, words: str) -> str:
        """Return words as this terminal can write them, without control codes."""
        words = visible(words)
        if not self.plain:
            return words
        return words.translate(ASCII).encode(self.encoding, "replace").decode(self.encoding)

    def paint(self, words: str, *codes: str) -> str:
        """Return words in a color, if colors are allowed."""
        return f"\x1b[{';'.join(codes)}m{words}\x1b[0m" if self.color and codes else words


# Terminal codes: bright blue and yellow are nearest to the two colors of the drawings.
BOLD, FAINT, REVERSE, BLUE, ORANGE, GREEN = "1", "2", "7", "94", "33", "32"


#: One line of the screen, and its color codes.
Line = tuple[str, tuple[str, ...]]


class Stepper:
    """The position in a step log, and what was typed.

    Attributes:
        log: the step log.
        position: how many steps have been done, 0 … len(log.steps).
        quiz: whether to ask for the next number before it is shown.
        right, asked: the score: answers that were right at the first attempt, and the number of questions.
        done: whether the learner wants to quit.
    """

    def __init__(self, log: StepLog, *, quiz: bool = False, position: int = 0) -> None:
        self.log = log
        self.position = max(0, min(position, len(log.steps)))
        self.quiz = quiz
        self.right = self.asked = 0
        self.done = False
        self.digits = False
        self.message = ""
        self._typed: str | None = None  # an answer or a step number being typed; None: keys are commands
        self._going = False  # a step number is being typed
        self._attempted = False

    # --- keys -----------------------------------------------------------------------------------------------------

    def press(self, key: str) -> None:
        """Handle one key: a character, or one of the names in :data:`NEXT`, :data:`PREVIOUS` and so on."""
        if key == "interrupt":
            self.done = True
        elif self._typed is not None:
            self._type(key)
        elif key in QUIT:
            self.done = True
        elif key in NEXT:
            self._next()
        elif key in PREVIOUS:
            self.go(self.position - 1)
        elif key in FIRST:
            self.go(0)
        elif key in LAST:
            self.go(len(self.log.steps))
        elif key == "b":
            self.go(self.log.first_backward)
        elif key == "g":
            self._typed, self._going, self.message = "", True, ""
        elif key == "t":
            self.quiz = not self.quiz
            self.message = "quiz on: the next number is yours" if self.quiz else "quiz off"
        elif key == "d":
            self.digits = not self.digits

    def go(self, position: int) -> None:
        """Jump to where ``position`` steps have been done."""
        self.position = max(0, min(position, len(self.log.steps)))
        self.message = ""

    def _next(self) -> None:
        if self.quiz and self.position < len(self.log.steps):
            self._typed, self._going, self._attempted, self.message = "", False, False, ""
        else:
            self.go(self.position + 1)

    def _type(self, key: str) -> None:
        assert self._typed is not None
        if key == "escape":
            self._typed, self.message = None, ""
        elif key == "backspace":
            self._typed = self._typed[:-1]
        elif key == "enter":
            typed, self._typed = self._typed.strip(), None
            (self._went if self._going else self._answered)(typed)
        elif key == "space":
            self._typed += " "
        elif len(key) == 1 and key.isprintable() and len(self._typed) < 60:
            self._typed += key

    def _went(self, typed: str) -> None:
        last = len(self.log.steps)
        if typed.isdecimal() and int(typed) <= last:
            self.go(int(typed))
        elif typed:
            self.message = f"there is no step {typed}; type a number from 0 to {last}"

    def _answered(self, typed: str) -> None:
        step = self.log.steps[self.position]
        if not typed:  # shown without an attempt; it counts as asked
            self.asked += not self._attempted
            self.go(self.position + 1)
            return
        verdict = answers.judge(self.log, step, typed)
        if verdict.understood and not self._attempted:
            self.asked += 1
            self.right += verdict.right
            self._attempted = True
        if verdict.right:
            self.go(self.position + 1)
            self.message = f"✓ {verdict.message}"
        else:
            self._typed = ""
            self.message = f"✗ {verdict.message}"

    # --- the screen -----------------------------------------------------------------------------------------------

    @property
    def number(self) -> NumberFormat:
        """Write a number with the current number of digits."""
        return exact if self.digits else style.number

    def screen(self, width: int = 80, height: int = 24, look: Look | None = None) -> list[str]:
        """Return at most ``height`` lines of at most ``width`` characters, not counting color codes."""
        look = look or Look()
        width, height = max(width, 20), max(height, 8)
        below = [*_wrapped(self._explanation(), width), ("", ()), *self._status()]
        lines: list[Line] = [(self._headline(width), (BOLD,)), ("─" * width, (FAINT,))]
        room = height - len(lines) - len(below) - 2
        lines += self._table(max(room, 1), width)
        lines.append(("─" * width, (FAINT,)))
        lines += below
        return [look.paint(_cut(look.text(words), width), *codes) for words, codes in lines[:height]]

    def _headline(self, width: int) -> str:
        total = len(self.log.steps)
        phase = self._phase()
        left = f" step {self.position} of {total} · {phase}"
        right = f"quiz: {self.right} of {self.asked} right " if self.quiz or self.asked else ""
        return f"{left}{right:>{max(len(right), width - len(left))}}"

    def _phase(self) -> str:
        if self.position == 0:
            return "before the first step"
        if self.position == len(self.log.steps):
            return "done"
        return "forward" if self.position <= self.log.first_backward else "backward"

    def _shown_step(self) -> Step | None:
        return self.log.steps[self.position - 1] if self.position else None

    def _asking(self) -> bool:
        return self._typed is not None and not self._going

    def _active(self) -> tuple[int | None, tuple[int, ...]]:
        """Return the node that has just changed, or is asked for, and the nodes it is computed from."""
        step = self.log.steps[self.position] if self._asking() else self._shown_step()
        if isinstance(step, Forward):
            return step.node, self.log.nodes[step.node].inputs
        if isinstance(step, Seed):
            return step.node, ()
        return (step.input, (step.node,)) if step is not None else (None, ())

    def _table(self, room: int, width: int) -> Iterator[Line]:
        log = self.log
        state = log.replay(self.position)
        active, sources = self._active()
        rows = [i for i, node in enumerate(log.nodes) if not node.is_constant]
        name_width = max([4, *(len(style.short(style.visible(log.nodes[i].name))) for i in rows)])
        number_width = 24 if self.digits else 11
        formula_width = max(8, min(34, width - 10 - name_width - 2 * number_width))
        yield (
            f"   {'':{name_width}}  {'':{formula_width}} {'data':>{number_width}} {'grad':>{number_width}}",
            (FAINT,),
        )
        for i in _window(rows, active, sources, room - 1):
            if i is None:
                yield f"   {'⋮':{name_width}}", (FAINT,)
                continue
            node, data, gradient = log.nodes[i], state.data[i], state.gradients[i]
            formula = f"= {log.formula(i)}" if node.inputs else ""
            data_text = "–" if data is None else self.number(data)
            gradient_text = "–" if gradient is None else self.number(gradient)
            mark = "▶" if i == active else "·" if i in sources else " "
            name = style.short(style.visible(node.name))
            words = (
                f" {mark} {name:{name_width}}  {_cut(formula, formula_width):{formula_width}} "
                f"{data_text:>{number_width}} {gradient_text:>{number_width}}"
            )
            codes: tuple[str, ...] = ()
            if i == active:
                codes = (BOLD, _sign_code(gradient)) if gradient else (BOLD,)
            elif i in sources:
                codes = (BOLD,)
            yield words, codes

    def _explanation(self) -> list[Line]:
        number = self.number
        if self._asking():
            step = self.log.steps[self.position]
            lines: list[Line] = [(f" {answers.question(self.log, step)}", (BOLD,))]
            if isinstance(step, Chain):
                name = self.log.nodes[step.node].name
                lines.append((f" {name} = {self.log.formula(step.node)}", ()))
            return lines
        shown = self._shown_step()
        if shown is None:
            leaves = "first forward: every value from its inputs; then backward, from the result to the leaves"
            return [(f" {leaves}", ())]
        lines = [(f" {self.log.sentence(shown, number)}", (BOLD,))]
        if isinstance(shown, Chain):
            lines.append((f" {self.log.why(shown, number)}", ()))
            lines.append((f" {self.log.accumulation(shown, number)}".rstrip(), (BOLD,)))
        elif isinstance(shown, Seed):
            lines.append((" every number changes as fast as itself; from here gradients flow back", ()))
        return lines

    def _status(self) -> list[Line]:
        good = self.message.startswith("✓")
        message = (f" {self.message}", (GREEN if good else ORANGE,) if self.message[:1] in "✓✗" else ())
        if self._typed is not None:
            asked = "go to step" if self._going else "your answer"
            hint = " number, then Enter; Esc: back" if self._going else " Enter: check; empty Enter: show; Esc: back"
            return [message, (f" {asked}: {self._typed}█", (BOLD,)), (hint, (FAINT,))]
        keys = " → next  ← previous  f first  l end  b backward  g go  t quiz  d digits  q quit"
        if self.position == len(self.log.steps) and not self.message:
            message = (" that was the last step: every gradient is complete", ())
        return [message, ("", ()), (keys, (FAINT,))]


def _wrapped(lines: list[Line], width: int) -> list[Line]:
    """Wrap to lines of at most ``width``, at least three and at most six, so that their surroundings stay in place."""
    found: list[Line] = []
    for words, codes in lines:
        for row in textwrap.wrap(words, width, subsequent_indent="     ", drop_whitespace=True) or [""]:
            found.append((row, codes))
    return [*found, *[("", ())] * (3 - len(found))][:6]


def _sign_code(x: float | None) -> str:
    return BLUE if x is not None and x > 0 else ORANGE


def _cut(words: str, width: int) -> str:
    return words if len(words) <= width else f"{words[: max(width - 3, 0)]}..."


def _window(rows: list[int], active: int | None, sources: tuple[int, ...], room: int) -> Iterator[int | None]:
    """Choose the rows to show: all if they fit, else those around the active ones; None is a gap."""
    if len(rows) <= room:
        yield from rows
        return
    places = {row: place for place, row in enumerate(rows)}
    wanted = [places[i] for i in (active, *sources) if i in places] or [0]
    chosen: set[int] = set()
    distance = 0
    while distance < len(rows):
        ring = {p + d for p in wanted[:4] for d in (distance, -distance) if 0 <= p + d < len(rows)} - chosen
        if _lines_needed(chosen | ring, len(rows)) > room:
            break
        chosen |= ring
        distance += 1
    chosen = chosen or {wanted[0]}
    previous = -1
    for place in sorted(chosen):
        if place != previous + 1:
            yield None
        yield rows[place]
        previous = place
    if previous != len(rows) - 1:
        yield None


def _lines_needed(chosen: set[int], count: int) -> int:
    gaps = sum(place - 1 not in chosen for place in chosen if place > 0) + ((count - 1) not in chosen)
    return len(chosen) + gaps


def all_steps(log: StepLog) -> Iterator[str]:
    """Return every step as lines of text, to print without a keyboard."""
    width = len(str(len(log.steps)))

    def number(x: float) -> str:
        return style.number(x, 6)

    yield "forward"
    for i, step in enumerate(log.steps, 1):
        if i == log.first_backward + 1:
            yield "backward"
        line = f"  {i:{width}}  {log.sentence(step, number)}"
        if isinstance(step, Chain):
            accumulated = log.accumulation(step, number)
            line += f"    [{log.why(step, number)}]" + (f"    {accumulated}" if accumulated else "")
        yield line
    yield "gradients"
    leaves = [(node.name, g) for node, g in zip(log.nodes, log.gradients, strict=True) if node.is_leaf]
    for name, gradient in leaves:
        shown = "no gradient reaches it" if gradient is None else number(gradient)
        yield f"  ∂{log.nodes[log.root].name}/∂{name} = {shown}"
