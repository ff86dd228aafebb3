"""Say in sentences what is wrong with the numbers and gradients of a graph, and where it began.

It is easy to see *that* a loss is NaN or that a layer learns nothing. This finds the place: the first operation whose
result is not finite, the module that sends back a gradient a hundred times larger than what arrives, the units that are
dead. Each cause is reported once, at the innermost module that shows it.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence

from tinygrad_edu import Value
from tinygrad_edu.calls import ModuleCall
from tinygrad_edu.engine import NO_GRADIENT_YET
from tinygrad_edu.gradient_stats import GradientStats, Units
from tinygrad_edu.ops import CONSTANT, MUL

from .. import style
from .annotations import BENT, DEAD_AFTER, Trouble, dead, saturated
from .build import Graph, read
from .regions import Regions

FINITE = sys.float_info.max  # the largest finite number

#: A gradient explodes in a module that sends back this many times what arrives. A normalization of embeddings with the
#: usual deviation of 0.02 sends back 1 / 0.02 = 50 times as much, and is healthy.
EXPLODES = 60.0
OUT_OF_SCALE = 1000.0  # times the median of its kind; gradients within one healthy model differ by less
VANISHES = 1e-4  # of that median
LAYERS = 3  # layers of one kind, each on top of the one before, make a tower
GROWS, SHRINKS = 30.0, 0.01  # from a layer of a tower back to an earlier one

#: Observations that cannot be chance in a healthy layer: a ReLU is 0 for about every second example, and twenty in a
#: row happen once in a million; a tanh is saturated for one in a hundred.
_NO_CHANCE = {"dead": DEAD_AFTER, "saturated": 3}


Tower = list[tuple[str, float]]  #: names of layers, first to last, and the length of the gradient at their results


def first_not_finite(graph: Graph, regions: Regions, largest: float = FINITE) -> Trouble | None:
    """Find the operation that made the first NaN or infinity: in the forward pass if there is one, else in the backward
    pass.

    With ``largest``, a number beyond it counts as infinite, as it does in floats of fewer bits.
    """
    what = "not finite" if largest == FINITE else f"beyond {style.number(largest, 2)}"

    def fine(x: float) -> bool:
        return -largest <= x <= largest  # false for NaN

    def place(node: int) -> str:
        if graph.inputs[node]:
            call = regions.tree[regions.call_of[regions.home[node]]].call
        else:  # the name of a parameter tells its module; a number in a formula has none
            written = graph.values[node].op is CONSTANT and regions.users.get(node)
            call = regions.tree[written[0]].call if written else None
        return f", in {call.path or call.kind}" if call is not None else ""

    def whose(node: int) -> str:
        op = graph.values[node].op
        if op is CONSTANT:
            return "a number in a formula"
        return graph.names.get(node) or (f"a result of {op.symbol}" if op is not None else "an input")

    def made(node: int) -> str:
        value = graph.values[node]
        given = ", ".join(style.number(x.data) for x in value.inputs)
        return f": {value.op.symbol} of {given}" if value.op is not None and value.inputs else ""

    data, grads = read(graph.values, "_number"), read(graph.values, "_grad")
    if not _all_within(data, largest):
        node = next(node for node, x in enumerate(data) if not fine(x))
        number = style.number(data[node])
        words = f"The first number that is {what} is {number}, {whose(node)}{place(node)}{made(node)}."
        return Trouble(node, f"first {number}", words)
    for node in range(len(graph) - 1, -1, -1) if not _all_within(grads, largest) else ():
        if not -largest <= (grad := grads[node]) <= largest and grad is not NO_GRADIENT_YET:
            words = f"The first gradient that is {what} is {style.number(grad)}, that of {whose(node)}{place(node)}"
            for user in range(node + 1, len(graph)):
                sent = graph.contributions(user) if node in graph.inputs[user] else None
                if sent and not all(map(fine, sent)):
                    words += f"; it comes back through {whose(user)}{place(user)}{made(user)}"
                    break
            return Trouble(node, f"first gradient {style.number(grad)}", f"{words}.")
    return None


def _all_within(numbers: Sequence[float], largest: float) -> bool:
    return max(numbers) <= largest and min(numbers) >= -largest and not math.isnan(sum(numbers))


def findings(
    graph: Graph,
    regions: Regions,
    parameters: Sequence[GradientStats],
    modules: Sequence[GradientStats],
    groups: dict[str, list[ModuleCall]],
    units: Mapping[str, Units] | None = None,
    towers: Sequence[Tower] = (),
) -> list[str]:
    """Return what is wrong, worst first; an empty list for a healthy network.

    Args:
        parameters: the gradient statistics of each table of parameters.
        modules: the gradient statistics of the results of each module.
        groups: the calls that each line of ``modules`` is about.
        units: what is known about the units of some modules from more examples than the graph has.
        towers: what is known about stacked layers of which not all are in the graph.
    """
    trouble = first_not_finite(graph, regions)
    return [
        *([trouble.sentence] if trouble else []),
        *_spread(parameters, modules),
        *_scale(
            parameters,
            modules,
            _gains(graph, regions, groups),
            groups,
            [*towers, *(_towers(graph, groups) if groups else () if towers else _raw_towers(graph))],
        ),
        *_unreached(parameters, modules, groups),
        *(_units(groups, units or {}) if groups or units else _single_units(graph)),
    ]


def _spread(parameters: Sequence[GradientStats], modules: Sequence[GradientStats]) -> Iterator[str]:
    tables, layers = sum(line.not_finite > 0 for line in parameters), sum(line.not_finite > 0 for line in modules)
    if tables or layers:
        yield (
            f"Gradients that are not finite: in {tables} of {len(parameters)} tables of parameters "
            f"and {layers} of {len(modules)} modules."
        )


# --- exploding and vanishing ------------------------------------------------------------------------------------------


def _gains(graph: Graph, regions: Regions, groups: dict[str, list[ModuleCall]]) -> dict[str, float]:
    """For each group of calls, divide the norm of the gradient sent back to their inputs by the norm of the gradient
    that arrives at their results.

    Only what flows through the call counts: around a residual connection the same Value gets more from elsewhere.
    """
    tree, home, call_of = regions.tree, regions.home, regions.call_of
    number = {id(region.call): n for n, region in enumerate(tree) if region.call is not None}
    given: dict[int, set[int]] = {}
    for n, region in enumerate(tree):
        if region.call is not None:
            inputs_of = {graph.index[v] for v in region.call.inputs if v in graph.index}
            given[n] = inputs_of - {graph.index[v] for v in region.call.outputs if v in graph.index}
    borders = set[int]().union(*given.values())
    into: dict[int, dict[int, float]] = {}  # what arrives at the borders, by the innermost call that sends it
    data, grads = read(graph.values, "_number"), read(graph.values, "_grad")
    for node, inputs in enumerate(graph.inputs):
        if borders.isdisjoint(inputs) or not (inside := call_of[home[node]]):
            continue
        grad, a, b = grads[node], inputs[0], inputs[-1]
        is_product = graph.values[node].op is MUL and grad is not NO_GRADIENT_YET  # nearly all: without a call for each
        sent = (grad * data[b], grad * data[a]) if is_product else graph.contributions(node)
        its = into.setdefault(inside, {})
        for x, gradient in zip(inputs, sent or (), strict=False):
            if x in borders:
                its[x] = its.get(x, 0.0) + gradient
    back: dict[int, dict[int, float]] = {}
    for call, its in into.items():
        while call:
            own = back.setdefault(call, {})
            own.update((x, own.get(x, 0.0) + gradient) for x, gradient in its.items() if x in given[call])
            call = call_of[tree[call].parent]
    gains = {}
    for name, calls in groups.items():
        numbers = [number[id(call)] for call in calls if id(call) in number]
        returned = math.hypot(*(g for n in numbers for g in back.get(n, {}).values()))
        arrived = math.hypot(*(_gradient(v) for call in calls for v in call.outputs))
        if 0.0 < arrived < math.inf and math.isfinite(returned) and any(given[n] for n in numbers):
            gains[name] = returned / arrived
    return gains


def _towers(graph: Graph, groups: dict[str, list[ModuleCall]]) -> list[Tower]:
    """Find layers of one kind called in one module, each on the results of the one before.

    These may be the blocks of a transformer, the layers of a perceptron, or one cell that is called step after step.
    The same layers for several examples are one tower. Layers without a gradient are left out.
    """
    name_of = {id(call): name for name, calls in groups.items() for call in calls}
    every = [call for calls in groups.values() for call in calls]
    inside = {id(child) for call in every for child in call.children}
    families = [(call.inputs, call.children) for call in every]
    families.append(((), [call for call in every if id(call) not in inside]))
    squares: dict[tuple[str, ...], list[float]] = {}
    for given, siblings in families:
        alike: dict[str, list[ModuleCall]] = {}
        for call in siblings:
            if id(call) in name_of and any(v in graph.index for v in call.outputs):
                alike.setdefault(call.kind, []).append(call)
        for calls in alike.values():
            for tower in _stacked(graph, calls, given) if len(calls) >= LAYERS else ():
                if len(tower) >= LAYERS:
                    lengths = squares.setdefault(tuple(name_of[id(call)] for call in tower), [0.0] * len(tower))
                    for i, call in enumerate(tower):
                        lengths[i] = math.hypot(lengths[i], *map(_gradient, call.outputs))
    towers = []
    for names, lengths in squares.items():
        repeated = len(set(names)) < len(names)
        layers = [f"{name}, call {i}" if repeated else name for i, name in enumerate(names, 1)]
        towers.append([(n, x) for n, x in zip(layers, lengths, strict=True) if 0.0 < x < math.inf])
    return towers


def _raw_towers(graph: Graph) -> list[Tower]:
    """Do the same without recorded calls: layer n is all results of an activation with n − 1 others below them.

    Without activations, the products of a long chain are the layers.
    """
    for names, least in ((BENT, LAYERS), (("mul",), 2 * LAYERS)):
        depth, squares = [0] * len(graph), [0.0]
        for node, inputs in enumerate(graph.inputs):
            if not inputs:
                continue
            depth[node] = max(depth[x] for x in inputs)
            value = graph.values[node]
            if value.op is not None and value.op.name in names:
                depth[node] += 1
                if depth[node] == len(squares):
                    squares.append(0.0)
                squares[depth[node]] = math.hypot(squares[depth[node]], _gradient(value))
        if len(squares) > least:
            layers = ((f"layer {n}", x) for n, x in enumerate(squares))
            return [[(name, x) for name, x in layers if 0.0 < x < math.inf]]
    return []


def _stacked(graph: Graph, calls: list[ModuleCall], given: Sequence[Value]) -> list[list[ModuleCall]]:
    """Order calls in chains in which each depends on the results of the one before; all begin at ``given``."""
    edge = {graph.index[v] for v in given if v in graph.index}
    made = {id(call): [graph.index[v] for v in call.outputs if v in graph.index] for call in calls}
    chains: list[list[ModuleCall]] = []
    owner: dict[int, tuple[int, int]] = {}  # of each result: the order of its call, and its chain
    ends: list[int] = []  # of each chain: the order of its last call
    lowest = len(graph)
    for order, call in enumerate(sorted(calls, key=lambda call: min(made[id(call)]))):
        below: set[tuple[int, int]] = set()
        ahead = [graph.index[v] for v in call.inputs if v in graph.index]
        seen = set(ahead)
        while ahead:  # back to the nearest results of the others
            node = ahead.pop()
            if node in owner:
                below.add(owner[node])
            elif node > lowest and node not in edge:
                ahead += [x for x in graph.inputs[node] if x not in seen]
                seen.update(graph.inputs[node])
        last, chain = max(below, default=(-1, -1))
        if last < 0 or last != ends[chain]:  # nothing is below it, or its place in the chain is taken
            chain = len(chains)
            chains.append([])
            ends.append(-1)
        chains[chain].append(call)
        ends[chain] = order
        owner.update(dict.fromkeys(made[id(call)], (order, chain)))
        lowest = min(lowest, *made[id(call)])
    return chains


def _steepest(towers: Sequence[Tower], sign: int) -> tuple[float, str, str, int]:
    """The largest growth (sign 1) or the largest loss (sign −1) on the way back between two layers of one tower.

    Returns the factor, the name of the earlier and of the later layer, and how many layers it took.
    """
    found = (1.0, "", "", 1)
    for tower in towers:
        most = 0  # the place of the largest or smallest so far
        for late in range(1, len(tower)):
            factor = tower[most][1] / tower[late][1]
            if sign * math.log(factor) > sign * math.log(found[0]):
                found = (factor, tower[most][0], tower[late][0], late - most)
            if sign * (tower[late][1] - tower[most][1]) > 0:
                most = late
    return found


def _gradient(value: Value) -> float:
    return 0.0 if value.grad is NO_GRADIENT_YET else value.grad


def _scale(
    parameters: Sequence[GradientStats],
    modules: Sequence[GradientStats],
    gains: dict[str, float],
    groups: dict[str, list[ModuleCall]],
    towers: Sequence[Tower],
) -> Iterator[str]:
    kind = {name: calls[0].kind for name, calls in groups.items()}
    alike: dict[str, list[float]] = {}
    for name, gain in gains.items():
        alike.setdefault(kind[name], []).append(gain)
    # What is usual for a kind of module can be said when there are several; the lower of two is the healthy one.
    usual = {k: statistics.median_low(those) if len(those) > 1 else 1.0 for k, those in alike.items()}
    causes = [name for name, gain in gains.items() if gain > EXPLODES * max(1.0, usual[kind[name]])]
    inner = _innermost(causes, groups)
    layers = {name.partition(", call ")[0] for tower in towers for name, _ in tower}
    one = [name for name in inner if any(f"{name}.".startswith(f"{layer}.") for layer in layers)]
    factor, early, late, count = _steepest(towers, 1)
    if factor > GROWS and not one:  # modules around the tower explode because of it
        yield (
            f"The gradient explodes on its way back: at {early} it is {_times(factor)} as long as at {late}, "
            f"{style.number(factor ** (1 / count), 2)} times more with every layer."
        )
        return
    for name in sorted(inner, key=lambda name: -gains[name])[:3]:
        yield (
            f"The gradient explodes in {name or kind[name]}: it sends back {_times(gains[name])} what arrives at it."
        )
    if inner:
        return  # what comes before and after is out of scale because of it
    factor, early, late, count = _steepest(towers, -1)
    if factor < SHRINKS:
        names = [name for name in gains if name in layers] or _innermost(list(gains), groups)
        yield (
            f"The gradient vanishes on its way back: at {early} it is {style.number(factor, 2)} of what it is at "
            f"{late}, {style.number(factor ** (1 / count), 2)} of it with every layer{_most_lost(names, gains)}."
        )
        return
    for lines, words in ((parameters, "tables of parameters"), (modules, "modules")):
        sizes = [line.mean for line in lines if 0.0 < line.mean < math.inf]
        median = statistics.median(sizes) if sizes else 0.0
        large = sorted((line for line in lines if line.mean > OUT_OF_SCALE * median), key=lambda line: -line.mean)
        if large:
            yield (
                f"Large gradients in {style.listed([line.name for line in large])}: up to "
                f"{_times(large[0].mean / median)} the median of all {words}."
            )
    faint = [line for line in modules if 0.0 < line.mean < VANISHES * _largest(modules)]
    if faint:
        least = min(faint, key=lambda line: line.mean)
        words = _most_lost(_innermost(list(gains), groups), gains)
        yield (
            f"The gradient vanishes on its way back: at {least.name} it is "
            f"{style.number(least.mean / _largest(modules), 2)} of what it is at its largest{words}."
        )
    elif lines := [line for line in parameters if 0.0 < line.mean < VANISHES * _median(parameters)]:
        yield f"Almost no gradient reaches {style.listed([line.name for line in lines])}: under 1/10,000 of the median."


def _most_lost(names: Sequence[str], gains: Mapping[str, float]) -> str:
    lossy = min(names, key=lambda name: gains[name], default=None)
    return f"; most is lost in {lossy}, which sends back {style.number(gains[lossy], 2)} of it" if lossy else ""


def _median(lines: Sequence[GradientStats]) -> float:
    sizes = [line.mean for line in lines if 0.0 < line.mean < math.inf]
    return statistics.median(sizes) if sizes else 0.0


def _largest(lines: Sequence[GradientStats]) -> float:
    return max((line.mean for line in lines if math.isfinite(line.mean)), default=0.0)


def _innermost(names: list[str], groups: dict[str, list[ModuleCall]]) -> list[str]:
    """Drop names of modules around another one; if several alike are inside one, such as all neurons of a layer, keep
    the outer name."""
    owner = {id(call): name for name in names for call in groups[name]}
    kept = dict.fromkeys(names)
    for name in reversed(names):  # modules come outermost first
        below = {owner.get(id(inner), name) for call in groups[name] for inner in call.walk()} - {name}
        inside = [other for other in kept if other in below]
        if len(inside) > 1 and len({groups[other][0].kind for other in inside}) == 1:
            for other in inside:
                del kept[other]
        elif inside:
            del kept[name]
    return list(kept)


def _times(factor: float) -> str:
    """Write a large factor in words.

    >>> _times(1234.5), _times(1.234e15)
    ('1,234 times', '1.23e15 times')
    """
    return f"{factor:,.0f} times" if factor < 1e7 else f"{style.number(factor, 3)} times"


# --- where no gradient arrives ----------------------------------------------------------------------------------------


def _unreached(
    parameters: Sequence[GradientStats], modules: Sequence[GradientStats], groups: dict[str, list[ModuleCall]]
) -> Iterator[str]:
    """Report what gets no gradient; a ReLU that is off for a few examples is no reason to worry, nor is what is inside
    it."""
    resting = tuple(
        f"{name}."
        for name, group in groups.items()
        if (outputs := [v for call in group for v in call.outputs])
        and len(outputs) < DEAD_AFTER
        and all(map(dead, outputs))
    )
    names: list[str] = []
    for line in (*modules, *parameters):  # modules come outermost first: what is inside one need not be reported
        if f"{line.name}.".startswith(resting):
            continue
        if line.zeros == 1.0 and not any(line.name.startswith(f"{name}.") for name in names):
            names.append(line.name)
    if names:
        yield f"No gradient reaches {style.listed(names)}: all are exactly 0."


def _units(groups: dict[str, list[ModuleCall]], known: Mapping[str, Units]) -> Iterator[str]:
    """Report dead and saturated units: results of ReLU, tanh or sigmoid at the same position in every call of a module.

    A call is an example. Nothing is reported for so few examples that a healthy layer could look the same. Modules come
    outermost first; what is reported for a layer is not repeated for its neurons.
    """
    told: set[Value] = set()
    for name in {**groups, **known}:
        group = groups.get(name, [])
        outputs = group[0].outputs if group else ()
        if len({len(call.outputs) for call in group}) > 1 or (outputs and told.issuperset(outputs)):
            continue
        seen = known.get(name) or _seen([call.outputs for call in group])
        for count, kind, flat, so in (
            (seen.dead, "dead", "0", "their weights get no gradient"),
            (seen.saturated, "saturated", "almost flat", "little gradient passes"),
        ):
            chances = seen.examples * (count if count == seen.total else 1)
            if count and chances >= _NO_CHANCE[kind]:
                told.update(outputs)
                every = f"all {seen.examples:,} {seen.what}s" if seen.examples > 1 else f"the one {seen.what}"
                yield f"{count:,} of {seen.total:,} units of {name} are {kind}: {flat} for {every}, so {so}."


def _seen(examples: Sequence[Sequence[Value]]) -> Units:
    units = [*zip(*examples, strict=True)]
    return Units(
        len(units),
        sum(all(map(dead, unit)) for unit in units),
        sum(all(map(saturated, unit)) for unit in units),
        len(examples),
    )


def _single_units(graph: Graph) -> Iterator[str]:
    """Do the same without recorded calls: every result counts as its own unit, and as one example.

    Some of many ReLUs are off for any example; it is worth reporting only when all of them are.
    """
    relus = [value for value in graph.values if value.op is not None and value.op.name == "relu"]
    for there, word, words in (
        ([value for value in relus if dead(value)], "Off here", "0, so no gradient passes"),
        ([*filter(saturated, graph.values)], "Saturated", "almost flat, so little gradient passes"),
    ):
        if there and (word == "Saturated" or len(there) == len(relus)):
            names = [value.label or f"a result of {value.op.symbol}" for value in there if value.op is not None]
            yield f"{word}: {style.listed(names)}; {words}."
