"""Write a whole training step as a document: every calculation with its numbers, to follow with a pencil.

Forward, loss, backward, update. The steps are those of the step log, ordered by the module calls in which they happen;
a sum of several terms is one line that expands into its single steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinygrad_edu import Value, no_grad, record_calls, topological_order
from tinygrad_edu.calls import CallRecord
from tinygrad_edu.functional import cross_entropy, mse
from tinygrad_edu.nested import values_in
from tinygrad_edu.step_log import StepLog, record

from .. import style
from ..errors import DrawingError
from ..names import Names, names_of
from ..rendering.formats import write_as
from ..rendering.notebook import framed
from . import document_html, document_latex, document_markdown
from .calculation import Calculation, bracketed, origins_of
from .document import Line, Section

#: A document of more Values than this is too long to read.
MOST_VALUES = 20_000


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
        return write_as(path, {".html": self.html, ".md": self.markdown, ".tex": self.latex})

    def markdown(self) -> str:
        """The text of the ``.md`` file."""
        return document_markdown.write(self.title, self.sections)

    def latex(self) -> str:
        """The text of the ``.tex`` file: a LaTeX article in which every line is a formula."""
        return document_latex.write(self.title, self.sections, {n.name for n in self.log.nodes if not n.is_constant})

    def html(self) -> str:
        """The text of the ``.html`` file: one self-contained page."""
        return document_html.write(self.title, self.sections)

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
    names: Names | None = None,
    digits: int = 6,
) -> Document:
    """Write out every calculation of one step of gradient descent, as a document to save as ``.html``, ``.md`` or
    ``.tex``.

    The model does not change: no parameter is updated and no gradient is touched.

    Args:
        model: a module, from a neuron to a small transformer.
        x: its input; for a model with a method ``loss``, the first argument of that.
        y: the target: a number or several for the mean squared error, a class as a whole number for the cross-entropy,
            or anything that ``loss`` takes.
        loss: ``loss(outputs, y)``; by default ``model.loss(x, y)`` if there is such a method, else the loss that suits
            ``y``.
        lr: the learning rate of the update.
        parameters: the Values to update; by default everything in ``model.parameters()``.
        names: names for Values without a label, as :func:`viz.step` takes them.
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
    log = record(root, names_of(names, calls))
    nodes = {value: i for i, value in enumerate(order)}
    if parameters is None:
        if not hasattr(model, "parameters"):
            raise TypeError("this model has no parameters(): list those that learn, with parameters=[…]")
        parameters = model.parameters()
    given = list(parameters)
    chosen = [value for value in given if value in nodes]
    written = Calculation(log, origins_of(calls, nodes, len(order)), number)
    rank = {nodes[value]: i for i, value in enumerate(calls.names) if value in nodes}
    leaves = sorted((i for i, node in enumerate(log.nodes) if node.is_leaf), key=lambda i: rank.get(i, -1))
    sections = [
        Section("Given", table=[("", "value"), *((log.nodes[i].name, number(log.nodes[i].data)) for i in leaves)]),
        Section("Forward"),
        *written.forward(),
        Section("Backward", lines=[Line(f"{log.gradient_name(log.root)} = 1")]),
        *written.backward(),
        Section("Gradients", lines=[Line(written.gradient(i)) for i in leaves]),
    ]
    after = {value: value.data - lr * (log.gradients[nodes[value]] or 0.0) for value in chosen}
    update = Section("Update")
    update.lines = [
        Line(
            f"{log.nodes[nodes[value]].name} ← {number(value.data)} − {number(lr)} · "
            f"{bracketed(number(log.gradients[nodes[value]] or 0.0))} = {number(new)}"
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
