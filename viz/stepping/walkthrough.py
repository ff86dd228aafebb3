"""Write a whole training step as a document: every calculation with its numbers, to follow with a pencil.

Forward, loss, backward, update. The steps are those of the step log, ordered by the module calls in which they happen;
a sum of several terms is one line that opens into its single steps.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinygrad_edu import Value, no_grad, record_calls, topological_order
from tinygrad_edu.calls import CallRecord, ModuleCall
from tinygrad_edu.files import write_atomically
from tinygrad_edu.functional import cross_entropy, mse
from tinygrad_edu.nested import values_in
from tinygrad_edu.ops import ADD, MUL
from tinygrad_edu.step_log import Chain, Forward, NumberFormat, StepLog, record

from .. import style
from ..errors import DrawingError, UnknownFormatError
from ..rendering.notebook import framed
from ..rendering.templates import asset, page

#: A document of more Values than this is too long to read.
MOST_VALUES = 20_000


@dataclass(frozen=True)
class Line:
    """A line of mathematics, and the single steps that it opens into."""

    text: str
    inside: tuple[str, ...] = ()


@dataclass
class Section:
    """A heading and what comes below it; the first row of a table is its head."""

    title: str
    level: int = 2
    lines: list[Line] = field(default_factory=list)
    table: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class Document:
    """A finished walk-through; the last line of a notebook cell shows it.

    Attributes:
        title: its heading.
        sections: the sections in order.
        log: the step log.
    """

    title: str
    sections: tuple[Section, ...]
    log: StepLog = field(repr=False)

    def save(self, path: str | Path) -> str:
        """Write it as ``.html``, ``.md`` or ``.tex``; returns the path."""
        text = {".html": self.html, ".md": self.markdown, ".tex": self.latex}.get(Path(path).suffix.lower())
        if text is None:
            raise UnknownFormatError(f"a walk-through is written as .html, .md or .tex; got {path}")
        write_atomically(path, text().encode())
        return str(path)

    def markdown(self) -> str:
        """The text of the ``.md`` file."""
        parts = [f"# {_plain(self.title)}", ""]
        for section in self.sections:
            parts += [f"{'#' * section.level} {_plain(section.title)}", ""]
            if section.table:
                head, *rows = section.table
                parts += [_row(head), "|" + "---|" * len(head), *map(_row, rows), ""]
            for line in section.lines:
                if line.inside:
                    inner = "\n".join(f"- {_plain(step)}" for step in line.inside)
                    parts += [
                        f"<details><summary>{html.escape(line.text, quote=False)}</summary>\n\n{inner}\n\n</details>",
                        "",
                    ]
                else:
                    parts += [f"{_plain(line.text)}  "]
            parts.append("")
        return "\n".join(parts)

    def latex(self) -> str:
        """The text of the ``.tex`` file: a LaTeX article in which every line is a formula."""
        math = _Latex(self.log)
        parts = [_PREAMBLE, f"\\section*{{{_tex_words(self.title)}}}"]
        for section in self.sections:
            parts.append(f"\\{'sub' * (section.level - 1)}section*{{{_tex_words(section.title)}}}")
            parts += [f"\\noindent${math(name)} = {math(number)}$\\par" for name, number in section.table[1:]]
            for line in section.lines:
                parts.append(f"\\noindent${math(line.text)}$\\par")
                parts += [f"\\noindent\\quad{{\\small ${math(step)}$}}\\par" for step in line.inside]
        return "\n".join([*parts, "\\end{document}", ""])

    def html(self) -> str:
        """The text of the ``.html`` file: one page that loads nothing."""
        body = "".join(map(_section_html, self.sections))
        contents = "".join(
            f'<li><a href="#s{i}">{html.escape(section.title)}</a></li>'
            for i, section in enumerate(self.sections)
            if section.level == 2
        )
        for i, _ in enumerate(self.sections):
            body = body.replace("<section>", f'<section id="s{i}">', 1)
        return page("walkthrough.html", self.title, asset("walkthrough.css"), {"CONTENTS": contents, "SECTIONS": body})

    def __str__(self) -> str:
        return self.markdown()

    def __repr__(self) -> str:
        return f"Document({len(self.sections)} sections; print() shows it; .save('page.html') writes it)"

    def _repr_html_(self) -> str:
        return framed(self.html())


def walkthrough(
    model: Callable[[Any], Any],
    x: Any,
    y: Any,
    *,
    loss: Callable[[Any, Any], Value] | None = None,
    lr: float = 0.1,
    parameters: Sequence[Value] | None = None,
    digits: int = 6,
) -> Document:
    """Write out every calculation of one step of gradient descent, as a document to save as ``.html``, ``.md`` or
    ``.tex``.

    The model stays as it was: nothing is updated and no gradient is touched.

    Args:
        model: a module, from a neuron to a small transformer.
        x: its input; for a model with a method ``loss``, the first argument of that.
        y: the target: a number or several for the mean squared error, a class as a whole number for the cross-entropy,
            or whatever ``loss`` takes.
        loss: ``loss(outputs, y)``; by default ``model.loss(x, y)`` if there is such a method, else the loss that suits
            ``y``.
        lr: the learning rate of the update.
        parameters: the Values to update; by default everything in ``model.parameters()``.
        digits: the significant digits of every number.

    Raises DrawingError for a computation of more than 20,000 Values.

    >>> from tinygrad_edu.nn import Neuron
    >>> document = walkthrough(Neuron(1, rng=1), [2.0], 1.0, lr=0.5)
    >>> [section.title for section in document.sections]
    ['Given', 'Forward', 'Neuron', 'the loss', 'Backward', 'the loss', 'Neuron', 'Gradients', 'Update']
    """

    def number(value: float) -> str:
        return style.number(value, digits)

    calls, root = _compute(model, x, y, loss)
    order = topological_order(root)
    if len(order) > MOST_VALUES:
        raise DrawingError(
            f"this step has {len(order):,} Values, a document shows at most {MOST_VALUES:,}; take a smaller model"
        )
    log = record(root, calls.names)
    nodes = {value: i for i, value in enumerate(order)}
    if parameters is None:
        if not hasattr(model, "parameters"):
            raise TypeError("this model has no parameters(): list those that learn, with parameters=[…]")
        parameters = model.parameters()
    given = list(parameters)
    chosen = [value for value in given if value in nodes]
    writer = _Writer(log, _places(calls, nodes, len(order)), number)
    rank = {nodes[value]: i for i, value in enumerate(calls.names) if value in nodes}
    leaves = sorted((i for i, node in enumerate(log.nodes) if node.is_leaf), key=lambda i: rank.get(i, -1))
    sections = [
        Section("Given", table=[("", "value"), *((log.nodes[i].name, number(log.nodes[i].data)) for i in leaves)]),
        Section("Forward"),
        *writer.forward(),
        Section("Backward", lines=[Line(f"{log.gradient_name(log.root)} = 1")]),
        *writer.backward(),
        Section("Gradients", lines=[Line(writer.gradient(i)) for i in leaves]),
    ]
    after = {value: value.data - lr * (log.gradients[nodes[value]] or 0.0) for value in chosen}
    update = Section("Update")
    update.lines = [
        Line(
            f"{log.nodes[nodes[value]].name} ← {number(value.data)} − {number(lr)} · "
            f"{_bracketed(number(log.gradients[nodes[value]] or 0.0))} = {number(new)}"
        )
        for value, new in after.items()
    ]
    then = _loss_at(model, x, y, loss, after)
    update.lines.append(Line(f"{log.nodes[log.root].name} before = {number(root.data)}, after = {number(then)}"))
    unused = len(given) - len(chosen)
    if unused:
        update.lines.append(Line(f"{unused} parameters are not used in this step; they stay as they are"))
    title = f"One training step of {type(model).__name__}, by hand"
    return Document(title, (*sections, update), log)


class _Writer:
    """Writes the steps of a log as lines, module call by module call."""

    def __init__(self, log: StepLog, places: list[_Place], number: NumberFormat) -> None:
        self.log = log
        self.places = places
        self.number = number
        self.uses = [0] * len(log.nodes)
        for node in log.nodes:
            for i in node.inputs:
                self.uses[i] += 1
        self.folded = self._sums()
        self.order = self._order()
        self.sent: dict[int, list[Chain]] = {}
        for step in log.steps:
            if isinstance(step, Chain):
                self.sent.setdefault(step.node, []).append(step)
        self.computed = {step.node: step for step in log.steps if isinstance(step, Forward)}

    def _is_inner(self, i: int) -> bool:
        """Return whether a node can disappear in the line of the sum that uses it."""
        return self.uses[i] == 1 and i != self.log.root

    def _sums(self) -> dict[int, list[int]]:
        """Find for each sum of at least three terms the nodes inside it, in the order of computation."""
        log = self.log
        found: dict[int, list[int]] = {}
        taken: set[int] = set()
        for root in reversed(range(len(log.nodes))):
            if log.nodes[root].op is not ADD or root in taken:
                continue
            inside: list[int] = []
            stack = list(log.nodes[root].inputs)
            while stack:
                i = stack.pop()
                op = log.nodes[i].op
                if self._is_inner(i) and (op is ADD or op is MUL) and self.places[i] is self.places[root]:
                    inside.append(i)
                    if op is ADD:
                        stack += log.nodes[i].inputs
            if len(self._terms(root, set(inside))) > 2:
                found[root] = sorted(inside)
                taken.update(inside)
        return found

    def _terms(self, i: int, inside: set[int]) -> list[int]:
        """Return the nodes that a sum adds, from left to right."""
        terms: list[int] = []
        stack = [i]
        while stack:
            j = stack.pop()
            if j == i or (j in inside and self.log.nodes[j].op is ADD):
                stack += reversed(self.log.nodes[j].inputs)
            else:
                terms.append(j)
        return terms

    def _order(self) -> list[int]:
        """Order the nodes of the lines, inputs first, and keep those of one module call together as far as possible."""
        hidden = {i for inside in self.folded.values() for i in inside}
        waiting: dict[int, list[int]] = {}
        for i, node in enumerate(self.log.nodes):
            if node.inputs and i not in hidden:
                waiting.setdefault(self.places[i].number, []).append(i)
        done = {i for i, node in enumerate(self.log.nodes) if not node.inputs}
        order: list[int] = []
        while waiting:
            for place in sorted(waiting):
                left = []
                for i in waiting[place]:
                    inside = self.folded.get(i, [])
                    needed = {j for k in (i, *inside) for j in self.log.nodes[k].inputs} - set(inside)
                    if needed <= done:
                        done.update((i, *inside))
                        order.append(i)
                    else:
                        left.append(i)
                waiting[place] = left
            waiting = {place: left for place, left in waiting.items() if left}
        return order

    def forward(self) -> Iterator[Section]:
        """Yield the forward computation."""
        yield from self._by_place(self.order, self._forward_lines)

    def backward(self) -> Iterator[Section]:
        """Yield the backward computation: the same order in reverse."""
        yield from self._by_place([i for i in reversed(self.order) if i in self.sent], self._backward_lines)

    def _by_place(self, nodes: list[int], lines: Callable[[int], list[Line]]) -> Iterator[Section]:
        section: Section | None = None
        for i in nodes:
            title = self.places[i].title
            if section is None or section.title != title:
                if section is not None:
                    yield section
                section = Section(title, 3)
            section.lines += lines(i)
        if section is not None:
            yield section

    def _forward_lines(self, i: int) -> list[Line]:
        log = self.log
        inside = self.folded.get(i)
        if inside is None:
            return [Line(log.sentence(self.computed[i], self.number))]
        terms = self._terms(i, set(inside))
        kept = set(inside)
        names = [log.formula(t) if t in kept else log.nodes[t].name for t in terms]
        numbers = [log.substituted(t, self.number) if t in kept else self.number(log.nodes[t].data) for t in terms]
        text = f"{log.nodes[i].name} = {_joined(names)} = {_joined(numbers)} = {self.number(log.nodes[i].data)}"
        return [Line(text, tuple(log.sentence(self.computed[j], self.number) for j in (*inside, i)))]

    def _backward_lines(self, i: int) -> list[Line]:
        """Write what a node sends to its inputs, or a sum to its terms, after its own gradient as a sum of what
        arrived."""
        log = self.log
        inside = self.folded.get(i, [])
        steps = [step for j in reversed((*inside, i)) for step in self.sent.get(j, ())]
        sentences = [log.sentence(step, self.number) for step in steps]
        own = self.gradient(i)
        if len(sentences) == 1:
            return [Line(own)] * (len(log.terms(i)) > 1) + [Line(sentences[0])]
        targets = list(dict.fromkeys(log.nodes[step.input].name for step in steps if step.input not in inside))
        return [Line(f"{own}, sent on to {_listed(targets)}", tuple(sentences))]

    def gradient(self, i: int) -> str:
        """Write ∂L/∂node as the sum of all its terms."""
        log = self.log
        name = log.gradient_name(i)
        gradient = log.gradients[i]
        if gradient is None:
            return f"{name} = 0: no gradient reaches it"
        terms = [step.contribution for step in log.terms(i)]
        words = [self.number(term) for term in terms]
        return (
            f"{name} = {_joined(words)} = {self.number(gradient)}"
            if len(words) > 1
            else (f"{name} = {self.number(gradient)}")
        )


def _joined(words: list[str]) -> str:
    """Join terms with + and − between them."""
    text = words[0]
    for word in words[1:]:
        text += f" − {word[1:]}" if word.startswith("−") and word[1:2].isdigit() else f" + {word}"
    return text


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _bracketed(word: str) -> str:
    return f"({word})" if word.startswith("−") else word


# --- where a Value was computed ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Place:
    """A module call; ``number`` is its position in time."""

    number: int
    title: str


def _places(calls: CallRecord, nodes: dict[Value, int], count: int) -> list[_Place]:
    """Find for every node the innermost module call that computed it."""
    everything = [call for outermost in calls.calls for call in outermost.walk()]
    totals: dict[str, int] = {}
    for call in everything:
        totals[call.path] = totals.get(call.path, 0) + 1
    seen: dict[str, int] = {}
    places: list[_Place | None] = [None] * count
    numbered: dict[int, _Place] = {}
    for number, call in enumerate(everything):
        seen[call.path] = seen.get(call.path, 0) + 1
        title = f"{call.path} ({call.kind})" if call.path else call.kind
        if totals[call.path] > 1:
            title += f", call {seen[call.path]} of {totals[call.path]}"
        numbered[id(call)] = _Place(number, title)
    for outermost in calls.calls:
        _claim(outermost, numbered, nodes, places)
    rest = _Place(len(everything), "the loss")
    return [place or rest for place in places]


def _claim(call: ModuleCall, numbered: dict[int, _Place], nodes: dict[Value, int], places: list[_Place | None]) -> None:
    for child in call.children:
        _claim(child, numbered, nodes, places)
    borders = set(call.inputs)
    stack = list(call.outputs)
    seen: set[Value] = set()
    while stack:
        value = stack.pop()
        if value in seen or value in borders or not value.inputs:
            continue
        seen.add(value)
        if value in nodes and places[nodes[value]] is None:
            places[nodes[value]] = numbered[id(call)]
        stack += value.inputs


def _loss_at(model: Any, x: Any, y: Any, loss: Callable[[Any, Any], Value] | None, data: dict[Value, float]) -> float:
    """Compute the loss with other numbers in the parameters, which are then restored."""
    before = {value: value.data for value in data}
    try:
        for value, number in data.items():
            value.data = number
        with no_grad():
            return _compute(model, x, y, loss)[1].data
    finally:
        for value, number in before.items():
            value.data = number


def _compute(model: Any, x: Any, y: Any, loss: Callable[[Any, Any], Value] | None) -> tuple[CallRecord, Value]:
    with record_calls() as calls:
        if loss is not None:
            root = loss(model(x), y)
        elif hasattr(model, "loss"):
            root = model.loss(x, y)
        else:
            outputs = values_in(model(x))
            whole = isinstance(y, int) and len(outputs) > 1
            root = (
                cross_entropy(outputs, y) if whole else mse(outputs, list(y) if isinstance(y, (list, tuple)) else [y])
            )
    return calls, root


# --- to text ----------------------------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """Escape text for Markdown."""
    for sign in "\\`*_[]<>#|":
        text = text.replace(sign, f"\\{sign}" if sign not in "<>" else html.escape(sign))
    return text


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _section_html(section: Section) -> str:
    parts = [f"<section><h{section.level}>{html.escape(section.title)}</h{section.level}>"]
    if section.table:
        head, *rows = section.table
        cells = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
        cells += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
        parts.append("<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>")
    for line in section.lines:
        if line.inside:
            inner = "".join(f"<p>{html.escape(step)}</p>" for step in line.inside)
            parts.append(f"<details><summary>{html.escape(line.text)}</summary><div>{inner}</div></details>")
        else:
            parts.append(f"<p>{html.escape(line.text)}</p>")
    return "".join([*parts, "</section>"])


_PREAMBLE = r"""\documentclass{article}
\usepackage{amsmath}
\usepackage[a4paper, landscape, margin=15mm]{geometry}
\usepackage{iftex}
\ifPDFTeX\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}\fi
\raggedright
\begin{document}"""
_TEX_SIGNS = {
    "∂": r"\partial ", "·": r" \cdot ", "−": "-", "←": r" \leftarrow ", "∞": r"\infty ", "σ": r"\sigma ",
    "{": r"\{", "}": r"\}", "#": r"\#", "%": r"\%", "&": r"\&", "$": r"\$", "_": r"\_",
}  # fmt: skip
_TEX_WORDS = {
    "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", **{sign: f"\\{sign}" for sign in "{}#%&$_"},
}  # fmt: skip
_TEX_FUNCTIONS = ("exp", "log", "tanh", "sin", "cos", "max", "min")


def _tex_words(text: str) -> str:
    """Escape text outside formulas."""
    return "".join(_TEX_WORDS.get(c, c) for c in text)


class _Latex:
    """Turns a line of a document into a LaTeX formula."""

    def __init__(self, log: StepLog) -> None:
        names = sorted({node.name for node in log.nodes if not node.is_constant}, key=lambda name: (-len(name), name))
        number = r"−?\d+\.?\d*(?:e−?\d+)?"
        either = "|".join(map(re.escape, names))
        # A name ends where a word does: v1 is not the beginning of v12.
        self._token = re.compile(
            rf"(?P<name>(?<!\w)(?:{either})(?!\w))|(?P<number>{number})|(?P<word>[^\W\d_]{{2,}})|(?P<sign>.)"
        )
        self._power = re.compile(rf"\^(\([^()]*\)|{number}|{either})")

    def __call__(self, text: str) -> str:
        pieces: list[str] = []
        end = 0
        for match in self._power.finditer(text):
            inside = match[1][1:-1] if match[1].startswith("(") else match[1]
            pieces += (self._plain(text[end : match.start()]), f"^{{{self._plain(inside)}}}")
            end = match.end()
        return "".join([*pieces, self._plain(text[end:])])

    def _plain(self, text: str) -> str:
        return "".join(map(self._written, self._token.finditer(text)))

    def _written(self, match: re.Match[str]) -> str:
        text = match[0]
        if match["name"]:
            letters, digits = text.rstrip("0123456789"), text[len(text.rstrip("0123456789")) :]
            if letters in ("v", "x") and digits:
                return f"{letters}_{{{digits}}}"
            return text if len(text) == 1 and text.isascii() else rf"\text{{{_tex_words(text)}}}"
        if match["number"]:
            mantissa, e, exponent = text.replace("−", "-").partition("e")
            return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if e else mantissa
        if match["word"]:
            return f"\\{text}" if text in _TEX_FUNCTIONS else rf"\text{{ {text} }}"
        return _TEX_SIGNS.get(text, text)
