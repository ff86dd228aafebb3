"""The step log: backpropagation written down, one multiplication of the chain rule at a time.

:func:`record` walks a graph as ``backward`` would, changes nothing, and returns a :class:`StepLog`: first the forward
computation, value by value, then ∂L/∂L = 1, then one record for every ``∂L/∂input += ∂L/∂node · ∂node/∂input``.
Steppers, quizzes, worksheets and animations show this log and compute nothing themselves, so all of them are right if
the log is; and the log is right if replaying it gives the engine's gradients, bit for bit.

>>> a, b, c, f = Value(2.0, "a"), Value(-3.0, "b"), Value(10.0, "c"), Value(-2.0, "f")
>>> log = record((a * b + c) * f)
>>> for step in log.steps:
...     print(log.sentence(step))
v1 = a · b = 2 · (−3) = −6
v2 = v1 + c = −6 + 10 = 4
L = v2 · f = 4 · (−2) = −8
∂L/∂L = 1
∂L/∂v2 += ∂L/∂L · ∂(v2 · f)/∂v2 = 1 · −2 = −2
∂L/∂f += ∂L/∂L · ∂(v2 · f)/∂f = 1 · 4 = 4
∂L/∂v1 += ∂L/∂v2 · ∂v2/∂v1 = −2 · 1 = −2
∂L/∂c += ∂L/∂v2 · ∂v2/∂c = −2 · 1 = −2
∂L/∂a += ∂L/∂v1 · ∂v1/∂a = −2 · −3 = 6
∂L/∂b += ∂L/∂v1 · ∂v1/∂b = −2 · 2 = −4
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from . import ops
from .console import visible
from .engine import Value, topological_order
from .errors import StaleGraphError, brief
from .ops import ADD, CONSTANT, MUL, POW, Op

__all__ = [
    "Chain",
    "Forward",
    "Node",
    "NumberFormat",
    "Seed",
    "State",
    "Step",
    "StepLog",
    "contribution",
    "exact",
    "record",
    "write",
    "written_sum",
]

#: How a number is written in a sentence.
NumberFormat = Callable[[float], str]

_FORMAT_VERSION = 1
_SMALL = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_TERMS_SHOWN = 6  # of a longer sum, the first ones and the last


def exact(x: float) -> str:
    """Write a number with enough digits to read it back unchanged, and a true minus sign.

    >>> exact(-2.0), exact(0.1 + 0.2), exact(float("inf"))
    ('−2', '0.30000000000000004', '∞')
    """
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    text = repr(int(x)) if x.is_integer() and abs(x) < 1e15 else repr(x)
    return text.replace("-", "−")


@brief
@dataclass(frozen=True, slots=True)
class Node:
    """One Value of the graph; its number is its position in ``topological_order(root)``.

    Attributes:
        name: unique in the log: the label, or ``x1, x2, …`` for inputs and ``v1, v2, …`` for what is computed; a root
            without a label is L. A number in a formula is its own name.
        data: the number.
        op: the operation that computed it; ``ops.CONSTANT`` for a number in a formula, None for a leaf.
        inputs: the nodes it was computed from, in the order of the formula.
    """

    name: str
    data: float
    op: Op | None = None
    inputs: tuple[int, ...] = ()

    @property
    def is_leaf(self) -> bool:
        """Whether this is an input of the whole computation, whose gradient is computed."""
        return self.op is None

    @property
    def is_constant(self) -> bool:
        """Whether this is a number in the formula."""
        return self.op is CONSTANT


@dataclass(frozen=True, slots=True)
class Forward:
    """``node`` is computed from its inputs."""

    node: int
    value: float


@dataclass(frozen=True, slots=True)
class Seed:
    """Backpropagation begins: the root changes as fast as itself, ∂L/∂L = 1."""

    node: int


@dataclass(frozen=True, slots=True)
class Chain:
    """One multiplication of the chain rule: ∂L/∂input += ∂L/∂node · ∂node/∂input.

    Attributes:
        node: where the gradient comes from.
        operand: the position of the input that receives it; ``x * x`` has two steps to the same input.
        input: the node that receives it.
        upstream: ∂L/∂node.
        local: ∂node/∂input, the local derivative.
        contribution: their product, which is added. It is 0 when ``local`` is 0, even for an infinite ``upstream``.
        before: ∂L/∂input before this step; None if nothing had arrived.
        after: ∂L/∂input after it.
    """

    node: int
    operand: int
    input: int
    upstream: float
    local: float
    contribution: float
    before: float | None
    after: float


Step = Forward | Seed | Chain


@brief
@dataclass(frozen=True)
class State:
    """The state after some steps: for every node its data and its gradient, None if not computed yet."""

    data: list[float | None]
    gradients: list[float | None]


@brief
@dataclass(frozen=True)
class StepLog:
    """Every step of one forward and backward pass.

    Attributes:
        nodes: in topological order.
        root: the node that is differentiated.
        steps: forward steps, the seed, and the multiplications of the chain rule, in the engine's order.
    """

    nodes: tuple[Node, ...]
    root: int
    steps: tuple[Step, ...] = field(repr=False)

    # --- numbers --------------------------------------------------------------------------------------------------

    @cached_property
    def first_backward(self) -> int:
        """The number of forward steps."""
        return next(i for i, step in enumerate(self.steps) if not isinstance(step, Forward))

    @cached_property
    def gradients(self) -> list[float | None]:
        """∂L/∂node for every node at the end; None where no gradient arrives."""
        gradients: list[float | None] = [None] * len(self.nodes)
        for step in self.steps:
            if isinstance(step, Seed):
                gradients[step.node] = 1.0
            elif isinstance(step, Chain):
                gradients[step.input] = step.after
        return gradients

    def replay(self, count: int | None = None) -> State:
        """Replay the first ``count`` steps, or all of them, from the leaves and the local derivatives alone.

        Nothing is looked up: forward values come from the table, gradients from multiplying and adding.
        """
        data: list[float | None] = [None if node.inputs else node.data for node in self.nodes]
        gradients: list[float | None] = [None] * len(self.nodes)
        for step in self.steps[:count]:
            if isinstance(step, Forward):
                node = self.nodes[step.node]
                assert node.op is not None
                data[step.node] = node.op.forward(*[data[i] for i in node.inputs])
            elif isinstance(step, Seed):
                gradients[step.node] = 1.0
            else:
                sent = contribution(self.nodes[step.node].op, gradients[step.node] or 0.0, step.local)
                gradients[step.input] = (gradients[step.input] or 0.0) + sent
        return State(data, gradients)

    @cached_property
    def _arrivals(self) -> dict[int, list[int]]:
        arrivals: dict[int, list[int]] = {}
        for i, step in enumerate(self.steps):
            if isinstance(step, Chain):
                arrivals.setdefault(step.input, []).append(i)
        return arrivals

    def terms(self, node: int, count: int | None = None) -> list[Chain]:
        """Return the steps among the first ``count`` that contribute to the gradient of ``node``, in order."""
        limit = len(self.steps) if count is None else count
        found = [self.steps[i] for i in self._arrivals.get(node, ()) if i < limit]
        return [step for step in found if isinstance(step, Chain)]

    # --- words ----------------------------------------------------------------------------------------------------

    def gradient_name(self, node: int) -> str:
        """Write ∂L/∂node."""
        return f"∂{self.nodes[self.root].name}/∂{self.nodes[node].name}"

    def local_name(self, step: Chain) -> str:
        """Write ∂node/∂input, the derivative of this one operation by this one input.

        The root is written as its formula, ``∂(d · f)/∂d``, because ∂L/∂d is what is being computed; the uses of an
        input that the operation uses twice are told apart by a small number, ``∂v1/∂x₁``.
        """
        words = self._uses(step.node)
        whole = self.nodes[step.node].name
        if step.node == self.root:
            formula = self._written(step.node, words, wrap=False)
            whole = formula if formula.endswith(")") else f"({formula})"
        return f"∂{whole}/∂{words[step.operand]}"

    def formula(self, node: int) -> str:
        """Write the formula of a node with names: ``a · b``; for a leaf, its name."""
        here = self.nodes[node]
        return self._written(node, [self.nodes[i].name for i in here.inputs], wrap=False) if here.inputs else here.name

    def substituted(self, node: int, number: NumberFormat = exact) -> str:
        """Write the formula of a node with numbers: ``2 · (−3)``; for a leaf, its number."""
        here = self.nodes[node]
        words = [number(self.nodes[i].data) for i in here.inputs]
        return self._written(node, words, wrap=True) if words else number(here.data)

    def _uses(self, node: int) -> list[str]:
        """Return the names of the inputs of a node; those of an input that it uses twice are numbered."""
        inputs = self.nodes[node].inputs
        words = []
        for k, i in enumerate(inputs):
            is_numbered = inputs.count(i) > 1 and not self.nodes[i].is_constant
            words.append(self.nodes[i].name + str(inputs[: k + 1].count(i)).translate(_SMALL) * is_numbered)
        return words

    def _written(self, node: int, words: list[str], *, wrap: bool) -> str:
        op = self.nodes[node].op
        assert op is not None
        if op.arity is None:
            return f"{op.symbol}({', '.join(words)})"
        if op is ops.SIGMOID:  # its formula is long; the name is enough, as for tanh
            return f"σ({words[0]})"
        if op is ops.GELU:
            return f"GELU({words[0]})"
        return write(op.formula, words, wrap=wrap)

    def local_formula(self, step: Chain) -> str:
        """Write the local derivative with names: ``b`` for ∂(a·b)/∂a."""
        node = self.nodes[step.node]
        op = node.op
        assert op is not None
        names = self._uses(step.node)
        if op.arity is None:
            extreme = "largest" if op is ops.MAXIMUM else "smallest"
            return f"1 if {names[step.operand]} is the {extreme} (equal ones share it), else 0"
        if op is POW and step.operand == 0 and self.nodes[node.inputs[1]].is_constant:
            power = self.nodes[node.inputs[1]].data
            base = names[0] if power == 2.0 else f"{names[0]}^{exact(power - 1.0)}"
            return f"{exact(power)} · {base}"
        return write(op.derivative_formulas[step.operand], names, node.name)

    def why(self, step: Chain, number: NumberFormat = exact) -> str:
        """Say where the local derivative comes from: ``e = a · b, so ∂e/∂a = b = −3``.

        If an operation uses an input twice, it says which of the two uses this step is about.
        """
        node = self.nodes[step.node]
        names = self._uses(step.node)
        text = self.local_formula(step)
        value = number(step.local)
        formula = self._written(step.node, names, wrap=False)
        words = f"{node.name} = {formula}, so {self.local_name(step)} = {text}"
        if text != value:
            words += f" = {value}"
        uses = node.inputs.count(step.input)
        if uses > 1:
            which = node.inputs[: step.operand + 1].count(step.input)
            words += f" ({names[step.operand]} is {self.nodes[step.input].name}, use {which} of {uses})"
        return words

    def sentence(self, step: Step, number: NumberFormat = exact) -> str:
        """Write a step in one line of mathematics; ``number`` formats the numbers, by default with all digits."""
        if isinstance(step, Forward):
            words = f"{self.nodes[step.node].name} = {self.formula(step.node)}"
            numbers = self.substituted(step.node, number)
            result = number(step.value)
            return f"{words} = {numbers} = {result}" if numbers != result else f"{words} = {result}"
        if isinstance(step, Seed):
            return f"{self.gradient_name(step.node)} = 1"
        return (
            f"{self.gradient_name(step.input)} += {self.gradient_name(step.node)} · {self.local_name(step)}"
            f" = {number(step.upstream)} · {number(step.local)} = {number(step.contribution)}"
        )

    def accumulation(self, step: Chain, number: NumberFormat = exact) -> str:
        """Write the gradient so far as the sum of its terms, ``∂L/∂a = 1 + 1 = 2``; empty for a first term."""
        if step.before is None:
            return ""
        terms: list[float] = []
        for earlier in self.terms(step.input):
            terms.append(earlier.contribution)
            if earlier is step:
                break
        return f"{self.gradient_name(step.input)} = {written_sum(terms, number)} = {number(step.after)}"

    # --- to a file and back ---------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Return the log as JSON, in standard form: numbers that JSON cannot write are the strings NaN, Infinity,
        -Infinity.

        A node is [name, data, op or null, inputs]; a step is ["forward", node, value], ["seed", node] or
        ["chain", node, operand, input, upstream, local, contribution, before or null, after].
        """
        return json.dumps(self.as_data(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    def as_data(self) -> dict[str, Any]:
        """Return what :meth:`to_json` writes, as dicts and lists."""
        return {
            "version": _FORMAT_VERSION,
            "root": self.root,
            "nodes": [
                [node.name, _plain(node.data), None if node.op is None else node.op.name, list(node.inputs)]
                for node in self.nodes
            ],
            "steps": [_step_data(step) for step in self.steps],
        }

    @classmethod
    def from_json(cls, text: str) -> StepLog:
        """Read what :meth:`to_json` wrote; raises ValueError for anything else."""
        try:
            found = json.loads(text)
            if found["version"] != _FORMAT_VERSION:
                raise ValueError(f"this is version {found['version']!r}")
            nodes = tuple(
                Node(name, float(data), None if op is None else ops.by_name(op), tuple(inputs))
                for name, data, op, inputs in found["nodes"]
            )
            steps = tuple(_STEP_KINDS[kind](rest) for kind, *rest in found["steps"])
            return cls(nodes, found["root"], steps)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"expected a step log of version {_FORMAT_VERSION}, got something else: {error}") from None


def _plain(x: float | None) -> float | str | None:
    if x is None or math.isfinite(x):
        return x
    return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"


def _step_data(step: Step) -> list[Any]:
    if isinstance(step, Forward):
        return ["forward", step.node, _plain(step.value)]
    if isinstance(step, Seed):
        return ["seed", step.node]
    numbers = (step.upstream, step.local, step.contribution, step.before, step.after)
    return ["chain", step.node, step.operand, step.input, *map(_plain, numbers)]


def _chain_from(rest: list[Any]) -> Chain:
    node, operand, input, upstream, local, sent, before, after = rest
    return Chain(
        node, operand, input, float(upstream), float(local), float(sent),
        None if before is None else float(before), float(after),
    )  # fmt: skip


_STEP_KINDS: dict[str, Callable[[list[Any]], Step]] = {
    "forward": lambda rest: Forward(rest[0], float(rest[1])),
    "seed": lambda rest: Seed(rest[0]),
    "chain": _chain_from,
}


# --- making the log -----------------------------------------------------------------------------------------------


def record(root: Value, names: Mapping[Value, str] | None = None) -> StepLog:
    """Record the step log of ``root``: what ``root.backward()`` does if no gradient has been computed before.

    Nothing is changed: the gradients of the Values stay as they are. Numbers in a formula get no steps, nor does
    anything upstream of ``detach()``.

    Args:
        root: the Value to differentiate.
        names: names for Values without a label, as in ``record_calls().names``.

    Raises:
        StaleGraphError: a number was changed after something had been computed from it.
    """
    if not isinstance(root, Value):
        raise TypeError(f"expected the Value to differentiate, got {root!r} of type {type(root).__name__}")
    order = topological_order(root)
    index = {value: i for i, value in enumerate(order)}
    nodes = _nodes(order, index, names or {})
    steps: list[Step] = []
    for i, node in enumerate(nodes):
        if node.inputs:
            _check_fresh(nodes, i)
            steps.append(Forward(i, node.data))
    steps.append(Seed(index[root]))
    gradients: list[float | None] = [None] * len(nodes)
    gradients[index[root]] = 1.0
    for value in reversed(_computed_in_engine_order(root)):
        steps += _chain_steps(nodes, index[value], gradients)
    return StepLog(tuple(nodes), index[root], tuple(steps))


def contribution(op: Op | None, upstream: float, local: float) -> float:
    """Multiply ``local · upstream`` by the engine's rule: a zero derivative stops the flow, as 0 · ∞ would be NaN.

    + and × do not check, because checking would cost more than multiplying.
    """
    return local * upstream if local != 0.0 or op is ADD or op is MUL else 0.0


def _chain_steps(nodes: list[Node], i: int, gradients: list[float | None]) -> list[Step]:
    node = nodes[i]
    op = node.op
    if op is None or op.derivatives is None:
        return []
    upstream = gradients[i]
    assert upstream is not None  # it has arrived from what is computed from this node
    locals_ = op.derivatives(*[nodes[j].data for j in node.inputs], node.data)
    sent = [contribution(op, upstream, local) for local in locals_]
    steps: list[Step] = []
    for operand, (j, local, number) in enumerate(zip(node.inputs, locals_, sent, strict=True)):
        if not nodes[j].is_constant:
            before = gradients[j]
            after = gradients[j] = (before or 0.0) + number
            steps.append(Chain(i, operand, j, upstream, local, number, before, after))
    return steps


def _computed_in_engine_order(root: Value) -> list[Value]:
    # Gradients are sums, and sums of floats depend on the order of their terms. So this visits what
    # engine._computed_in_order visits, in its order, but keeps a set instead of clearing gradients.
    seen: set[Value] = set()
    order: list[Value] = []
    stack: list[Value | None] = [root] if root.inputs else []
    while stack:
        value = stack.pop()
        if value is None:
            emitted = stack.pop()
            assert emitted is not None
            order.append(emitted)
        elif value not in seen:
            seen.add(value)
            stack += (value, None)
            if value.op is not None and value.op.derivatives is not None:
                stack += [x for x in value.inputs if x.inputs]
    return order


def _check_fresh(nodes: list[Node], i: int) -> None:
    node = nodes[i]
    assert node.op is not None
    inputs = [nodes[j].data for j in node.inputs]
    try:
        now = node.op.forward(*inputs)
    except (ArithmeticError, ValueError) as error:
        now_text = f"({error})"
    else:
        if now == node.data or (now != now and node.data != node.data):
            return
        now_text = repr(now)
    given = ", ".join(f"{nodes[j].name} = {nodes[j].data!r}" for j in node.inputs)
    raise StaleGraphError(
        f"{node.name} holds {node.data!r}, but {node.op.name} of {given} is {now_text}: a number was changed after "
        f"{node.name} had been computed; compute the expression again and step through the new result"
    )


def _nodes(order: list[Value], index: Mapping[Value, int], names: Mapping[Value, str]) -> list[Node]:
    given = [visible(value.label or names.get(value, "")) for value in order]
    taken = set(filter(None, given))
    counts = {"v": 0, "x": 0}
    used: set[str] = set()
    nodes = []
    for value, name in zip(order, given, strict=True):
        if value.op is CONSTANT:
            nodes.append(Node(exact(value.data), value.data, CONSTANT))
            continue
        if not name and value is order[-1] and not {"L", "out"} <= taken:
            name = "L" if "L" not in taken else "out"
        if name:
            name = _unique(name, used, taken)
        else:
            letter = "v" if value.inputs else "x"
            while not name or name in taken:
                counts[letter] += 1
                name = f"{letter}{counts[letter]}"
        used.add(name)
        nodes.append(Node(name, value.data, value.op, tuple([index[x] for x in value.inputs])))
    return nodes


def _unique(name: str, used: set[str], taken: set[str]) -> str:
    if name not in used:
        return name
    number = 2
    while f"{name}_{number}" in used or f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


# --- writing mathematics ------------------------------------------------------------------------------------------

_LETTER = re.compile(r"(?P<before>[-+*/] ?)?\b(?P<letter>a|b|out)\b(?P<after>\*\*)?")


def write(formula: str, words: list[str], out: str = "", *, wrap: bool = False) -> str:
    """Write a formula of the table with words for its letters, in mathematical notation.

    Args:
        formula: text of an operation in ``a``, ``b`` and ``out``.
        words: the replacements for ``a`` and ``b``.
        out: the replacement for ``out``.
        wrap: whether a negative word after or below an operator gets parentheses.

    >>> write("b * a**(b - 1)", ["x", "y"])
    'y · x^(y − 1)'
    >>> write("a - b", ["1", "−2"], wrap=True)
    '1 − (−2)'
    """

    def replace(match: re.Match[str]) -> str:
        before, letter, after = match["before"] or "", match["letter"], match["after"] or ""
        word = out if letter == "out" else words["ab".index(letter)]
        if wrap and word.startswith("−") and (before or after):
            word = f"({word})"
        return f"{_signs(before)}{word}{_signs(after)}"

    pieces: list[str] = []
    end = 0
    for match in _LETTER.finditer(formula):
        pieces += (_signs(formula[end : match.start()]), replace(match))
        end = match.end()
    return "".join([*pieces, _signs(formula[end:])])


def _signs(text: str) -> str:
    return text.replace("**", "^").replace("*", "·").replace("-", "−")


def written_sum(terms: Iterable[float], number: NumberFormat = exact) -> str:
    """Write ``1 + 2 − 3``; for more than six terms only the first ones and the last, with their number.

    >>> written_sum([1.0, -2.0])
    '1 − 2'
    >>> written_sum(float(i) for i in range(9))
    '0 + 1 + 2 + 3 + 4 + … + 8 (9 terms)'
    """
    words = [number(term) for term in terms]
    count = len(words)
    text = ""
    for i, word in enumerate(words):
        if count > _TERMS_SHOWN and _TERMS_SHOWN - 1 <= i < count - 1:
            if i == _TERMS_SHOWN - 1:
                text += " + …"
            continue
        sign, digits = (" − ", word[1:]) if word.startswith("−") else (" + ", word)
        text += word if not text else sign + digits
    return f"{text} ({count} terms)" if count > _TERMS_SHOWN else text
