"""Write a training step of named matrices as a document: every number of every matrix, forward, backward and updated.

The steps are those of the step log. Values inside a formula, such as the products of a dot product, have no name and no
line of their own: they are written out where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tinygrad_edu import Value
from tinygrad_edu.ops import ADD, EXP, MUL, POW, RELU, SUB
from tinygrad_edu.step_log import Chain, StepLog, record, write

from .. import style
from ..errors import DrawingError
from .calculation import bracketed
from .document import Grid, Line, Section

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True)
class Matrix:
    """A matrix of the computation, and what is said about it.

    Attributes:
        name: such as ``Q``; its numbers are called ``Q₁₁``, in a matrix of one column ``m₁``, a single one as it is.
        rows: its Values; None where there is none.
        title: the heading of its section.
        formula: with names of matrices, which are drawn: ``Q = NX · Wq``; ``Kᵀ`` is transposed. Empty if it is given.
        backward: the same for its gradient: ``dQ = dS · K · 0.7071``.
        words: a sentence on what it is for.
        backward_words: a sentence on its gradient.
        heads: a word for each row.
    """

    name: str
    rows: Sequence[Sequence[Value | None]]
    title: str
    formula: str = ""
    backward: str = ""
    words: str = ""
    backward_words: str = ""
    heads: Sequence[str] = ()

    def names(self) -> Iterator[tuple[Value, str]]:
        """Return every Value with its name."""
        for i, row in enumerate(self.rows, 1):
            for j, value in enumerate(row, 1):
                if value is not None:
                    place = "" if len(self.rows) == len(row) == 1 else str(i) if len(row) == 1 else f"{i}{j}"
                    yield value, self.name + place.translate(_SUBSCRIPTS)


class Step:
    """One forward and backward pass through named matrices.

    Args:
        root: the loss.
        matrices: in the order of computation; they contain the loss and every leaf.
        digits: the significant digits of every number.

    Raises DrawingError for a Value without a name that is used twice.
    """

    def __init__(self, root: Value, matrices: Sequence[Matrix], digits: int = 4) -> None:
        self.matrices = matrices
        names = {value: name for matrix in matrices for value, name in matrix.names()}
        self.log: StepLog = record(root, names)
        by_name = {node.name: i for i, node in enumerate(self.log.nodes)}
        self._at = {value: by_name[name] for value, name in names.items()}
        self._named = set(self._at.values())
        self._digits = digits
        self._by_name = {matrix.name: matrix for matrix in matrices}

    def number(self, x: float) -> str:
        """Write a number, a small one with its zeros."""
        text = style.number(x, self._digits)
        return f"{x:.6f}".rstrip("0").replace("-", "−") if "e−" in text and abs(x) >= 1e-6 else text

    def gradient(self, value: Value) -> float:
        """Return ∂L/∂value; 0 where no gradient arrives."""
        return self.log.gradients[self._at[value]] or 0.0

    def forward(self) -> Iterator[Section]:
        """Yield a section for each matrix that is computed."""
        for matrix in self.matrices:
            if matrix.formula:
                lines = [Line(self._computed(self._at[value])) for value, _ in matrix.names()]
                yield self._section(matrix, matrix.title, matrix.formula, matrix.words, lines)

    def backward(self) -> Iterator[Section]:
        """Yield a section for the gradient of each matrix, the last one first."""
        for matrix in reversed(self.matrices):
            if matrix.backward:
                lines = [Line(self._arrived(self._at[value])) for value, _ in matrix.names()]
                title = f"d{matrix.name}: gradient of {matrix.name}"
                yield self._section(matrix, title, matrix.backward, matrix.backward_words, lines)

    def update(self, rate: float, updated: Sequence[Matrix]) -> Iterator[Section]:
        """Yield a section for each matrix that is given, with its numbers after the step, which ``updated`` has."""
        new = {matrix.name: matrix for matrix in updated}
        for matrix in self.matrices:
            if not matrix.formula:
                after = [value.data for value, _ in new[matrix.name].names()]
                lines = [
                    Line(
                        f"{name} ← {name} − {self.number(rate)}·d{name} = {self.number(value.data)} − "
                        f"{self.number(rate)} · {bracketed(self.number(self.gradient(value)))} = {self.number(then)}"
                    )
                    for (value, name), then in zip(matrix.names(), after, strict=True)
                ]
                formula = f"← {matrix.name} − {self.number(rate)} · d{matrix.name}"
                section = self._section(matrix, matrix.title, formula, "", lines)
                grid = self._grid(new[matrix.name], f"new {matrix.name}", lambda value: value.data)
                yield Section(section.title, 3, lines, equation=(grid, "=", *section.equation[1:]), fold=section.fold)

    def given(self) -> Iterator[Section]:
        """Yield a section for each matrix that is given."""
        for matrix in self.matrices:
            if not matrix.formula:
                grid = self._grid(matrix, matrix.name, lambda value: value.data)
                yield Section(matrix.title, 3, words=matrix.words, equation=(grid,))

    # --- drawing --------------------------------------------------------------------------------------------------

    def _section(self, matrix: Matrix, title: str, formula: str, words: str, lines: list[Line]) -> Section:
        count = f"{len(lines)} numbers, with every product" if len(lines) > 1 else "the number, with every product"
        return Section(title, 3, lines, words=words, equation=self._equation(formula), fold=count)

    def _equation(self, formula: str) -> tuple[Grid | str, ...]:
        parts: list[Grid | str] = []
        for part in map(self._drawn, formula.split(" ")):
            last = parts[-1] if parts else None
            if isinstance(part, str) and isinstance(last, str):
                parts[-1] = f"{last} {part}"
            elif isinstance(part, Grid) and last is not None:
                parts.append(replace(part, heads=()))  # the rows of the result have their words
            else:
                parts.append(part)
        return tuple(parts)

    def _drawn(self, token: str) -> Grid | str:
        """Return the grid of a matrix's name, ``dNAME`` or ``NAMEᵀ``; any other token as it is."""
        name = token.removesuffix("ᵀ")
        if name in self._by_name:
            grid = self._grid(self._by_name[name], token, lambda value: value.data)
        elif name.removeprefix("d") in self._by_name and name.startswith("d"):
            grid = self._grid(self._by_name[name[1:]], token, self.gradient)
        else:
            return token
        if name == token:
            return grid
        return Grid(token, tuple(zip(*grid.rows, strict=True)))

    def _grid(self, matrix: Matrix, name: str, number: Callable[[Value], float]) -> Grid:
        rows = [["–" if value is None else self.number(number(value)) for value in row] for row in matrix.rows]
        return Grid(name, tuple(map(tuple, rows)), tuple(matrix.heads))

    # --- lines ----------------------------------------------------------------------------------------------------

    def _computed(self, i: int) -> str:
        """Write how a number was computed: with names, with numbers, and the result."""
        names = self._written(i, lambda j: self.log.nodes[j].name)
        numbers = self._written(i, lambda j: self.number(self.log.nodes[j].data))
        result = self.number(self.log.nodes[i].data)
        parts = [self.log.nodes[i].name, names, *[numbers] * (numbers != result), result]
        return " = ".join(parts)

    def _written(self, i: int, word: Callable[[int], str]) -> str:
        """Write the formula of a node down to what has a name."""
        node = self.log.nodes[i]
        assert node.op is not None
        words = []
        for j in node.inputs:
            inner = self.log.nodes[j]
            if j in self._named or not inner.inputs:
                words.append(self.number(inner.data) if inner.is_constant else word(j))
            else:
                text = self._written(j, word)
                words.append(f"({text})" if inner.op in (ADD, SUB) and node.op is not ADD else text)
        return _squared(write(node.op.formula, words, wrap=True))

    def _arrived(self, i: int) -> str:
        """Write a gradient as the sum of what arrives from everything that uses the number."""
        name = f"d{self.log.nodes[i].name}"
        steps = self.log.terms(i)
        if not steps:
            return f"{name} = {self.number(self.log.gradients[i] or 0.0)}"
        terms = [self._term(step) for step in steps]
        parts = [name, " + ".join(names for names, _ in terms)]
        result = self.number(self.log.gradients[i] or 0.0)
        numbers = _sum(numbers for _, numbers in terms)
        return " = ".join([*parts, *[numbers] * (numbers != result), result])

    def _term(self, step: Chain) -> tuple[str, str]:
        """Write what one use of a number contributes: the gradient of the result times the local derivatives."""
        factors: list[tuple[str, str]] = []
        while True:
            factor = self._local(step)
            if factor:
                factors.insert(0, (factor, bracketed(self.number(step.local))))
            if step.node in self._named:
                break
            onward = self.log.terms(step.node)
            if len(onward) != 1:
                used = self._written(step.node, lambda j: self.log.nodes[j].name)
                raise DrawingError(f"{used} is used {len(onward)} times: give it a name")
            [step] = onward
        first = self.log.gradients[step.node] or 0.0
        names = "·".join([f"d{self.log.nodes[step.node].name}", *(name for name, _ in factors)])
        return names, " · ".join([self.number(first), *(number for _, number in factors)])

    def _local(self, step: Chain) -> str:
        """Write a local derivative with names; empty for 1."""
        node = self.log.nodes[step.node]
        if node.op is ADD or (node.op is SUB and step.operand == 0):
            return ""
        if node.op is EXP:
            return node.name
        if node.op is RELU:
            return f"[{self.log.nodes[node.inputs[0]].name} > 0]"
        if node.op is POW:
            return f"({_squared(self.log.local_formula(step))})"
        if node.op is MUL:
            return self._operand(node.inputs[1 - step.operand])
        assert node.op is not None
        text = write(node.op.derivative_formulas[step.operand], [self._operand(j) for j in node.inputs], node.name)
        return f"({_squared(text)})"

    def _operand(self, i: int) -> str:
        node = self.log.nodes[i]
        if node.is_constant:
            return bracketed(self.number(node.data))
        return (
            node.name
            if i in self._named or not node.inputs
            else f"({self._written(i, lambda j: self.log.nodes[j].name)})"
        )


def _squared(text: str) -> str:
    return text.replace("^2", "²")


def _sum(terms: Iterator[str]) -> str:
    """Join products with + between them; one that begins with a minus is subtracted."""
    first, *rest = terms
    return first + "".join(f" − {term[1:]}" if term.startswith("−") else f" + {term}" for term in rest)
