"""The bug lab: classic mistakes of backpropagation and training, each to run, find and fix.

``python -m viz bug`` lists them, ``python -m viz bug missing-plus`` shows one: its code, what it prints, the first
number that goes wrong, and the fixed code. The truth that each is compared with does not come from the fixed code but
from something that cannot share its mistake: central differences, a sum that must be 1, a distribution worked out by
hand.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tinygrad_edu import Value, central_difference, topological_order
from tinygrad_edu.gradcheck import measured_gradients

from .. import style

#: The results of a piece of code by name, in the order in which they were computed.
Numbers = dict[str, float]


@dataclass(frozen=True)
class Case:
    """One mistake.

    Attributes:
        name: its name on the command line.
        title: the mistake in a few words.
        buggy, fixed: the code; each returns the numbers that it prints.
        truth: the numbers that it should print, from something that cannot share the mistake.
        source: where the truth comes from.
        lesson: why it goes wrong, and how to notice it.
    """

    name: str
    title: str
    buggy: Callable[[], Numbers]
    fixed: Callable[[], Numbers]
    truth: Callable[[], Numbers]
    source: str
    lesson: str

    def first_wrong(self) -> str:
        """The first number of the buggy code that is not what it should be."""
        found = first_difference(self.buggy(), self.truth())
        assert found is not None, f"the bug of {self.name} does not show"
        return found

    def report(self) -> str:
        """The case as text: code, output, the first wrong number, the fixed code and its output."""
        buggy, truth = self.buggy(), self.truth()
        wrong = self.first_wrong()
        return "\n".join(
            [
                f"{self.name}: {self.title}",
                "",
                textwrap.indent(code(self.buggy), "    "),
                "prints",
                *_lines(buggy),
                "",
                f"first wrong: {wrong} is {style.number(buggy[wrong])}, {self.source} {style.number(truth[wrong])}",
                textwrap.fill(self.lesson, 80),
                "",
                "fixed",
                "",
                textwrap.indent(code(self.fixed), "    "),
                "prints",
                *_lines(self.fixed()),
            ]
        )


def first_difference(claimed: Mapping[str, float], truth: Mapping[str, float], tolerance: float = 1e-6) -> str | None:
    """Return the first name, in the order of ``claimed``, whose numbers disagree; None if all agree.

    >>> first_difference({"L": 1.0, "a": 2.0, "b": 0.0}, {"L": 1.0, "a": 3.0, "b": 5.0})
    'a'
    """
    for name, number in claimed.items():
        if not abs(number - truth[name]) <= tolerance * max(1.0, abs(truth[name])):
            return name
    return None


def code(function: Callable[[], Numbers]) -> str:
    """Return the source of a case's function, without its name."""
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    return textwrap.dedent("\n".join(lines[1:])) + "\n"


def _lines(numbers: Numbers) -> list[str]:
    width = max(map(len, numbers))
    return [f"    {name:{width}}  {style.number(number)}" for name, number in numbers.items()]


def _measured(root: Value) -> Numbers:
    """Compute ∂root/∂value by central differences, from the root back to the leaves, by label."""
    pairs = zip(topological_order(root), measured_gradients(root), strict=True)
    return {value.label: gradient for value, gradient in reversed(list(pairs)) if value.label}


def labeled(label: str, value: Value) -> Value:
    """Give a Value a name and return it."""
    value.label = label
    return value


# --- 1. = instead of += -----------------------------------------------------------------------------------------------


def _missing_plus_buggy() -> Numbers:
    a = Value(3.0, "a")
    b = labeled("b", a * a)
    gradients = {b: 1.0, a: 0.0}
    gradients[a] = gradients[b] * a.data  # a is the first factor of b …
    gradients[a] = gradients[b] * a.data  # … and the second
    return {"b": gradients[b], "a": gradients[a]}


def _missing_plus_fixed() -> Numbers:
    a = Value(3.0, "a")
    b = labeled("b", a * a)
    gradients = {b: 1.0, a: 0.0}
    gradients[a] += gradients[b] * a.data
    gradients[a] += gradients[b] * a.data
    return {"b": gradients[b], "a": gradients[a]}


def _missing_plus_truth() -> Numbers:
    a = Value(3.0, "a")
    return _measured(labeled("b", a * a))


# --- 2. no topological order ------------------------------------------------------------------------------------------


def _no_order_buggy() -> Numbers:
    a = Value(1.0, "a")
    b = labeled("b", a + a)
    c = labeled("c", b + b)
    gradients = {c: 1.0, b: 0.0, a: 0.0}

    def send(value: Value) -> None:
        for x in value.inputs:
            gradients[x] += gradients[value]
        for x in value.inputs:
            send(x)  # once for each use, with all that has arrived so far

    send(c)
    return {"c": gradients[c], "b": gradients[b], "a": gradients[a]}


def _no_order_fixed() -> Numbers:
    a = Value(1.0, "a")
    b = labeled("b", a + a)
    c = labeled("c", b + b)
    gradients = {c: 1.0, b: 0.0, a: 0.0}
    for value in reversed(topological_order(c)):  # users first
        for x in value.inputs:
            gradients[x] += gradients[value]
    return {"c": gradients[c], "b": gradients[b], "a": gradients[a]}


def _no_order_truth() -> Numbers:
    a = Value(1.0, "a")
    b = labeled("b", a + a)
    return _measured(labeled("c", b + b))


# --- 3. no zero_grad --------------------------------------------------------------------------------------------------


def _no_zero_grad_buggy() -> Numbers:
    w = Value(0.0, "w")
    gradients = {}
    for step in (1, 2, 3):
        loss = (w - 3.0) ** 2
        loss.backward()
        gradients[f"w.grad, step {step}"] = w.grad
        w.data -= 0.1 * w.grad
    return gradients


def _no_zero_grad_fixed() -> Numbers:
    w = Value(0.0, "w")
    gradients = {}
    for step in (1, 2, 3):
        loss = (w - 3.0) ** 2
        w.zero_grad()
        loss.backward()
        gradients[f"w.grad, step {step}"] = w.grad
        w.data -= 0.1 * w.grad
    return gradients


def _no_zero_grad_truth() -> Numbers:
    at, gradients = 0.0, {}
    for step in (1, 2, 3):
        gradient = central_difference(lambda w: (w - 3.0) ** 2, [at], 0)
        gradients[f"w.grad, step {step}"] = gradient
        at -= 0.1 * gradient
    return gradients


# --- 4. softmax over the wrong axis -----------------------------------------------------------------------------------


def _wrong_axis_buggy() -> Numbers:
    scores = [[1.0, 2.0], [3.0, 1.0]]  # one row per query, one column per key
    exps = [[Value(s).exp() for s in row] for row in scores]
    sums = [sum(column, Value(0.0)) for column in zip(*exps, strict=True)]
    weights = [[(p / sums[j]).data for j, p in enumerate(row)] for row in exps]
    return {f"sum of row {i}": sum(row) for i, row in enumerate(weights)}


def _wrong_axis_fixed() -> Numbers:
    scores = [[1.0, 2.0], [3.0, 1.0]]
    exps = [[Value(s).exp() for s in row] for row in scores]
    sums = [sum(row, Value(0.0)) for row in exps]
    weights = [[(p / sums[i]).data for p in row] for i, row in enumerate(exps)]
    return {f"sum of row {i}": sum(row) for i, row in enumerate(weights)}


def _wrong_axis_truth() -> Numbers:
    return {"sum of row 0": 1.0, "sum of row 1": 1.0}


# --- 5. a dead clip ---------------------------------------------------------------------------------------------------


def _dead_clip_buggy() -> Numbers:
    w, x, target = Value(-1.0, "w"), 0.5, 1.0
    z = labeled("z", w * x)
    y = labeled("y", z.maximum(0.0).minimum(1.0))  # between 0 and 1
    loss = labeled("loss", (y - target) ** 2)
    loss.backward()
    return {"y.grad": y.grad, "z.grad": z.grad, "w.grad": w.grad}


def _dead_clip_fixed() -> Numbers:
    w, x, target = Value(-1.0, "w"), 0.5, 1.0
    z = labeled("z", w * x)
    loss = labeled("loss", (z - target) ** 2)  # not of what is clipped
    loss.backward()
    y = min(max(z.data, 0.0), 1.0)  # for the reader
    return {"y shown": y, "z.grad": z.grad, "w.grad": w.grad}


def _dead_clip_truth() -> Numbers:
    def without_clip(w: Value) -> Value:
        return (w * 0.5 - 1.0) ** 2

    by_w = central_difference(without_clip, [-1.0], 0)
    return {"y.grad": -2.0, "z.grad": by_w / 0.5, "w.grad": by_w}


# --- 6. top-p without the token that crosses --------------------------------------------------------------------------


def _top_p_buggy() -> Numbers:
    probs, p = [0.5, 0.3, 0.15, 0.05], 0.9
    kept, total = [], 0.0
    for prob in probs:
        if total + prob > p:
            break  # the token that would cross p is dropped
        kept.append(prob)
        total += prob
    scaled = [prob / sum(kept) for prob in kept]
    return {f"token {i}": x for i, x in enumerate([*scaled, 0.0, 0.0, 0.0][:4])}


def _top_p_fixed() -> Numbers:
    probs, p = [0.5, 0.3, 0.15, 0.05], 0.9
    kept, total = [], 0.0
    for prob in probs:
        kept.append(prob)  # also the token that crosses p
        total += prob
        if total >= p:
            break
    scaled = [prob / sum(kept) for prob in kept]
    return {f"token {i}": x for i, x in enumerate([*scaled, 0.0, 0.0, 0.0][:4])}


def _top_p_truth() -> Numbers:
    return {"token 0": 10 / 19, "token 1": 6 / 19, "token 2": 3 / 19, "token 3": 0.0}


# --- 7. a shadowed parameter ------------------------------------------------------------------------------------------


def _shadowed_buggy() -> Numbers:
    parameters = [Value(2.0, "w"), Value(0.0, "b")]
    w, b = parameters
    loss = (w * 3.0 + b - 1.0) ** 2
    loss.backward()
    for p in parameters:
        p = Value(p.data - 0.01 * p.grad)  # new; the parameter stays as it was
    return {"w": w.data, "b": b.data}


def _shadowed_fixed() -> Numbers:
    parameters = [Value(2.0, "w"), Value(0.0, "b")]
    w, b = parameters
    loss = (w * 3.0 + b - 1.0) ** 2
    loss.backward()
    for p in parameters:
        p.data -= 0.01 * p.grad  # the parameter itself
    return {"w": w.data, "b": b.data}


def _shadowed_truth() -> Numbers:
    def loss(w: Value, b: Value) -> Value:
        return (w * 3.0 + b - 1.0) ** 2

    at = [2.0, 0.0]
    w, b = (x - 0.01 * central_difference(loss, at, i) for i, x in enumerate(at))
    return {"w": w, "b": b}


# --- 8. a learning rate that is too large -----------------------------------------------------------------------------


def _learning_rate_buggy() -> Numbers:
    w = Value(0.0, "w")
    losses = {}
    for step in range(4):
        loss = (w - 3.0) ** 2
        losses[f"loss, step {step}"] = loss.data
        w.zero_grad()
        loss.backward()
        w.data -= 1.1 * w.grad
    return losses


def _learning_rate_fixed() -> Numbers:
    w = Value(0.0, "w")
    losses = {}
    for step in range(4):
        loss = (w - 3.0) ** 2
        losses[f"loss, step {step}"] = loss.data
        w.zero_grad()
        loss.backward()
        w.data -= 0.1 * w.grad
    return losses


def _learning_rate_truth() -> Numbers:
    # A step along the gradient, however small, must not raise the loss; so no loss may exceed the one before it.
    losses = _learning_rate_buggy()
    smallest = float("inf")
    for name, loss in losses.items():
        smallest = min(smallest, loss)
        losses[name] = smallest
    return losses


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case(
            "missing-plus", "= where += belongs", _missing_plus_buggy, _missing_plus_fixed, _missing_plus_truth,
            "central differences say",
            "A value that is used twice gets a term for each use. Assigning keeps the last one. Every graph in which\n"
            "each value is used once still works, so this hides until the first x * x.",
        ),
        Case(
            "no-order", "gradients are sent on before they are complete", _no_order_buggy, _no_order_fixed,
            _no_order_truth, "central differences say",
            "c uses b twice, so b sends its whole gradient to a twice. Elsewhere a value would send a gradient on\n"
            "before the rest of it has arrived. In reverse topological order each value sends once, at the end.",
        ),
        Case(
            "no-zero-grad", "the gradients of the last step are still there", _no_zero_grad_buggy,
            _no_zero_grad_fixed, _no_zero_grad_truth, "the central difference says",
            "backward() adds to what the leaves hold. The first step is right, so the loss falls at first; then the\n"
            "steps grow like those of a momentum that never fades.",
        ),
        Case(
            "wrong-axis", "softmax over queries instead of keys", _wrong_axis_buggy, _wrong_axis_fixed,
            _wrong_axis_truth, "probabilities sum to",
            "Each query distributes its attention over the keys: each row must sum to 1. The columns do here. Shapes\n"
            "agree either way, and gradients are right for the wrong function: only such a sum finds it.",
        ),
        Case(
            "dead-clip", "a clip through which no gradient comes back", _dead_clip_buggy, _dead_clip_fixed,
            _dead_clip_truth, "without the clip it is",
            "Below 0 the clipped output does not change with z, so the gradient is truly 0, and the loss of 1 stays\n"
            "forever. Clip what is shown, or use a smooth function such as sigmoid.",
        ),
        Case(
            "top-p", "the token that crosses p is dropped", _top_p_buggy, _top_p_fixed, _top_p_truth,
            "worked out by hand it is",
            "Nucleus sampling keeps the smallest set of tokens whose probability reaches p (Holtzman et al. 2020).\n"
            "Without the token that crosses, [.95, .05] at p = .9 keeps nothing at all.",
        ),
        Case(
            "shadowed", "the update makes new Values", _shadowed_buggy, _shadowed_fixed, _shadowed_truth,
            "a step by central differences gives",
            "Assigning to the loop's name changes what the name means, not the parameter. Nothing fails, nothing is\n"
            "learned: print a parameter before and after the first step.",
        ),
        Case(
            "learning-rate", "a step that is too large", _learning_rate_buggy, _learning_rate_fixed,
            _learning_rate_truth, "a loss that never rises is at most",
            "On (w − 3)² each step multiplies the distance to 3 by 1 − 2·lr: −1.2 here, so it jumps across and ends\n"
            "farther away. Above 1 it diverges; at .1 it shrinks by a fifth each time.",
        ),
    )
}  # fmt: skip
