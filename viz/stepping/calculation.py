"""The steps of a log as sections of a document, module call by module call; a sum of several terms is one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tinygrad_edu import Value
from tinygrad_edu.calls import CallRecord, ModuleCall
from tinygrad_edu.ops import ADD, MUL
from tinygrad_edu.step_log import Chain, Forward, NumberFormat, StepLog

from .. import style
from .document import Line, Section


class Calculation:
    """Write the steps of a log as lines, module call by module call."""

    def __init__(self, log: StepLog, origins: list[Origin], number: NumberFormat) -> None:
        self.log = log
        self.origins = origins
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
                if self._is_inner(i) and (op is ADD or op is MUL) and self.origins[i] is self.origins[root]:
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
                waiting.setdefault(self.origins[i].number, []).append(i)
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
        yield from self._by_origin(self.order, self._forward_lines)

    def backward(self) -> Iterator[Section]:
        """Yield the backward computation: the same order in reverse."""
        yield from self._by_origin([i for i in reversed(self.order) if i in self.sent], self._backward_lines)

    def _by_origin(self, nodes: list[int], lines: Callable[[int], list[Line]]) -> Iterator[Section]:
        section: Section | None = None
        for i in nodes:
            title = self.origins[i].title
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
        """Write the gradients that a node passes to its inputs, or a sum to its terms, after its own gradient as a
        sum of those it received."""
        log = self.log
        inside = self.folded.get(i, [])
        steps = [step for j in reversed((*inside, i)) for step in self.sent.get(j, ())]
        sentences = [log.sentence(step, self.number) for step in steps]
        own = self.gradient(i)
        if len(sentences) == 1:
            return [Line(own)] * (len(log.terms(i)) > 1) + [Line(sentences[0])]
        targets = list(dict.fromkeys(log.nodes[step.input].name for step in steps if step.input not in inside))
        return [Line(f"{own}, sent on to {style.listed(targets, 8)}", tuple(sentences))]

    def gradient(self, i: int) -> str:
        """Write ∂L/∂node as the sum of all its terms."""
        log = self.log
        name = log.gradient_name(i)
        gradient = log.gradients[i]
        if gradient is None:
            return f"{name} = 0: no gradient reaches it"
        words = [self.number(step.contribution) for step in log.terms(i)]
        joined = f"{_joined(words)} = " if len(words) > 1 else ""
        return f"{name} = {joined}{self.number(gradient)}"


def _joined(words: list[str]) -> str:
    """Join terms with + and − between them."""
    text = words[0]
    for word in words[1:]:
        text += f" − {word[1:]}" if word.startswith("−") and word[1:2].isdigit() else f" + {word}"
    return text


def bracketed(word: str) -> str:
    """Put a negative number in parentheses."""
    return f"({word})" if word.startswith("−") else word


# --- where a Value was computed ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Origin:
    """A module call; ``number`` is its position in time."""

    number: int
    title: str


def origins_of(calls: CallRecord, nodes: dict[Value, int], count: int) -> list[Origin]:
    """Find for every node the innermost module call that computed it."""
    everything = [call for outermost in calls.calls for call in outermost.walk()]
    totals: dict[str, int] = {}
    for call in everything:
        totals[call.path] = totals.get(call.path, 0) + 1
    seen: dict[str, int] = {}
    origins: list[Origin | None] = [None] * count
    numbered: dict[int, Origin] = {}
    for number, call in enumerate(everything):
        seen[call.path] = seen.get(call.path, 0) + 1
        title = f"{call.path} ({call.kind})" if call.path else call.kind
        if totals[call.path] > 1:
            title += f", call {seen[call.path]} of {totals[call.path]}"
        numbered[id(call)] = Origin(number, title)
    for outermost in calls.calls:
        _claim(outermost, numbered, nodes, origins)
    rest = Origin(len(everything), "the loss")
    return [place or rest for place in origins]


def _claim(
    call: ModuleCall, numbered: dict[int, Origin], nodes: dict[Value, int], origins: list[Origin | None]
) -> None:
    for child in call.children:
        _claim(child, numbered, nodes, origins)
    borders = set(call.inputs)
    stack = list(call.outputs)
    seen: set[Value] = set()
    while stack:
        value = stack.pop()
        if value in seen or value in borders or not value.inputs:
            continue
        seen.add(value)
        if value in nodes and origins[nodes[value]] is None:
            origins[nodes[value]] = numbered[id(call)]
        stack += value.inputs
