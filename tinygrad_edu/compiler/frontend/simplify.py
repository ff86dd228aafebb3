"""Simplify a traced body (CSE, constant folding, dead code, flattened sums) and give each node a level.

Four things happen, each the textbook pass of that name: *common subexpressions* are computed once, *constants are
folded*, *dead code* is dropped, and chains of ``+`` are flattened. What remains of additions and multiplications is one
kind of node, the *sum*: Σ aᵢ·bᵢ + Σ cⱼ. A product alone is a sum of one product, a dot product is a sum of many; that
is why a dot product over one position of attention looks the same as one over sixty-four.

Then every node gets a *level*: one more than the highest level among its inputs. Nodes of one level do not depend on
each other; the packs of packs.py are made of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from ... import ops
from ...errors import DomainError
from ...ops import Op
from .tracers import (
    CALL,
    DOT,
    INPUT,
    PARAMETER,
    PICK,
    RANDOM,
    Body,
)

SUM = "sum"
_REDUCTIONS = (SUM, ops.MAXIMUM, ops.MINIMUM)
NEVER = 1 << 60  # later than any level
_GIVEN = frozenset((INPUT, PARAMETER, RANDOM))
_ABSORBED = frozenset((ops.ADD, ops.MUL, DOT))  # by a sum, if it alone uses them


@dataclass(slots=True, eq=False)
class Node:
    """A scalar operation after flattening.

    Attributes:
        result: the number of the node in the body; for a call, that of its first result.
        op: a row of the table, or ``SUM``, ``PICK``, ``CALL``.
        args: the nodes that it is computed from; for a sum, its plain terms; for a pick, the index; for a call, all.
        products: for a sum, the pairs that are multiplied.
        detail: for a pick, its candidates; for a call, its number.
        nodes: how many recorded operations it stands for.
        site: its position in the source.
        level: the longest path from the leaves.
    """

    result: int
    op: Op | str
    args: tuple[int, ...]
    products: list[tuple[int, int]] = field(default_factory=list)
    detail: Any = None
    nodes: int = 1
    site: int = 0
    level: int = 0


@dataclass(eq=False)
class Normal:
    """A simplified body: its nodes in topological order, and where every recorded node went."""

    body: Body
    nodes: list[Node]
    outputs: list[int]
    alias: list[int]
    constants: dict[int, float]
    operations: int  # recorded in the body itself, before anything was dropped

    def free(self) -> None:
        """Forget everything that has one entry for each node."""
        for column in (self.nodes, self.alias, self.body.ops, self.body.args, self.body.sites):
            column.clear()


def simplify(body: Body) -> Normal:
    """Run all passes of this file over a body."""
    ops_, args = body.ops, body.args
    written = [i for i, op in enumerate(ops_) if op not in _GIVEN]  # most nodes are given
    inner = [i for i in written if ops_[i] is not ops.CONSTANT]
    operations = sum(len(args[i]) - 1 if ops_[i] is DOT else ops_[i] is not CALL for i in inner)
    alias, constants, tables, inputs_of = _share_and_fold(body, written)
    outputs = [alias[i] for i in body.outputs]
    # --- dead code: count the uses of what the outputs need ---
    uses = [0] * len(ops_)
    for i in outputs:
        uses[i] += 2  # a result must stay a separate node
    computed = set(inner)
    call_used = [False] * len(body.calls)
    for i in reversed(inner):
        if not uses[i]:
            continue
        op = ops_[i]
        if op is CALL:
            number = args[i][0]
            if call_used[number]:
                continue
            call_used[number] = True
            inputs = tuple(alias[x] for port in body.calls[number].inputs for x in port)
            for x in inputs:
                uses[x] += 2
            inputs_of[i] = inputs
        elif op is PICK:
            inputs = (alias[args[i][0]], *tables[args[i][1]])
            for x in inputs:
                uses[x] += 2
            inputs_of[i] = inputs
        elif not computed.isdisjoint(inputs_of[i]):  # the number of uses of a given one does not matter
            for x in inputs_of[i]:
                uses[x] += 1
    # --- flatten ---
    nodes: list[Node] = []
    absorbed = [False] * len(ops_)
    emitted_calls: set[int] = set()
    add, mul = ops.ADD, ops.MUL
    for i in reversed(inner):
        if not uses[i] or absorbed[i]:
            continue
        op, inputs = ops_[i], inputs_of[i]
        if op is add or op is mul or op is DOT:
            nodes.append(_sum(i, body, inputs_of, uses, absorbed, constants))
        elif op is CALL:
            number = args[i][0]
            if inputs or number not in emitted_calls:
                emitted_calls.add(number)
                inputs = tuple(alias[x] for port in body.calls[number].inputs for x in port)
                nodes.append(Node(i, CALL, inputs, detail=number, nodes=0))
        elif op is PICK:
            nodes.append(Node(i, PICK, inputs[:1], detail=inputs[1:], site=body.sites[i]))
        elif op is ops.DETACH and ops_[inputs[0]] in _REDUCTIONS:
            # A chain of maxima without a gradient is one maximum. (With one, equal terms would share it differently.)
            nodes.append(Node(i, op, inputs, site=body.sites[i]))
            _flatten_extreme(inputs[0], body, inputs_of, uses, absorbed)
        else:
            nodes.append(Node(i, op, inputs, site=body.sites[i]))
    nodes = _one_node_per_call(nodes)
    nodes.reverse()
    _complete_sums(body, nodes, alias)
    normal = Normal(body, nodes, outputs, alias, constants, operations)
    _schedule(normal)
    return normal


def _complete_sums(body: Body, nodes: list[Node], alias: list[int]) -> None:
    """Give sums (and maxima) of one term their own node, if others have one.

    Σ exp(x) over one score is that exp itself, while everywhere else the same line divides by a sum. If an operand of a
    line is mostly a sum of terms of some kind, and here is directly of that kind, it becomes a sum of one term; then
    all executions of the line look the same.
    """
    made = {node.result: node for node in nodes}

    def kind(i: int) -> Any:
        node = made.get(i)
        return None if node is None else (node.op, node.site)

    def kind_of_all(terms: tuple[int, ...]) -> Any:
        first = kind(terms[0])
        return first if first is not None and all(kind(t) == first for t in terms[1:]) else None

    plain: dict[
        int, tuple[Any, int, Any]
    ] = {}  # reductions whose terms are all of one kind: operation, line, that kind
    for node in nodes:
        if node.op in _REDUCTIONS and not node.products and (terms := kind_of_all(node.args)) is not None:
            plain[node.result] = (node.op, node.site, terms)
    sums: dict[Any, set[Any]] = {}  # (line, operand): kinds of reductions there
    for node in nodes if plain else ():
        read = chain.from_iterable(node.products) if node.op is SUM else node.args
        if node.op is not CALL and node.op is not PICK and not plain.keys().isdisjoint(read):
            for slot, x in _operands(node):
                if x in plain:
                    sums.setdefault((node.op, node.site, slot), set()).add(plain[x])
    if not sums:
        return
    lines = {key[:2] for key in sums}
    wrapped: dict[tuple[int, int], Node] = {}
    out: list[Node] = []
    for node in nodes:
        replaced: dict[tuple[Any, int], int] = {}
        for slot, x in _operands(node) if (node.op, node.site) in lines else ():
            own = kind(x)
            for op, site, term in sorted(sums.get((node.op, node.site, slot), ()), key=lambda s: s[1]):
                if own is not None and own == term:
                    key = (x, site)
                    if key not in wrapped:
                        new = body.add(ops.ADD, (x,), site)._node
                        alias.append(new)
                        wrapped[key] = Node(new, op, (x,), nodes=0, site=site)
                        out.append(wrapped[key])
                    replaced[slot, x] = wrapped[key].result
        if replaced:
            node.products = [(replaced.get(("left", a), a), replaced.get(("right", b), b)) for a, b in node.products]
            if node.op is not SUM:
                node.args = tuple(replaced.get((slot, x), x) for slot, x in enumerate(node.args))
        out.append(node)
    nodes[:] = out


def _operands(node: Node) -> Iterator[tuple[Any, int]]:
    """Return the operands of a node, each with its role; the plain terms of a sum have none."""
    for a, b in node.products:
        yield "left", a
        yield "right", b
    if node.op is not SUM:
        yield from enumerate(node.args)


def _one_node_per_call(backwards: list[Node]) -> list[Node]:
    """Of the nodes for the results of one call, keep the first one in the record."""
    first: dict[int, Node] = {}
    for node in backwards:
        if node.op is CALL:
            first[node.detail] = node
    return [node for node in backwards if node.op is not CALL or first[node.detail] is node]


def _share_and_fold(
    body: Body, written: list[int]
) -> tuple[list[int], dict[int, float], list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Find the node that replaces each node: an earlier one that computes the same, or a constant.

    ``written`` are the nodes that are not given to the body. Also returns the tables of candidates, and the inputs of
    every operation of the table, as nodes that stand for them.
    """
    ops_, args = body.ops, body.args
    alias = list(range(len(ops_)))
    constants: dict[int, float] = {}
    constant_nodes: dict[str, int] = {}
    constant_ids: set[int] = set()
    moved: set[int] = set()  # nodes that another one replaces: few
    seen: dict[tuple[Any, ...], int] = {}
    tables: list[tuple[int, ...]] = []
    inputs_of: list[tuple[int, ...]] = [()] * len(ops_)

    def replace(i: int, by: int) -> None:
        if by != i:
            alias[i] = by
            moved.add(i)

    def constant(i: int, number: float) -> None:
        replace(i, constant_nodes.setdefault(repr(number), i))
        constants[alias[i]] = number
        constant_ids.add(alias[i])

    add, mul = ops.ADD, ops.MUL
    scaling = _scaling_lines(body, written)
    for i in written:
        op = ops_[i]
        if op is ops.CONSTANT:
            constant(i, args[i][0])
        elif op is CALL:
            continue
        elif op is PICK:
            while len(tables) <= args[i][1]:
                tables.append(tuple([alias[x] for x in body.tables[len(tables)]]))
            key = (PICK, alias[args[i][0]], tables[args[i][1]])
            replace(i, seen.setdefault(key, i))
        else:
            inputs = args[i]
            if not moved.isdisjoint(inputs):
                inputs = tuple([alias[x] for x in inputs])
            inputs_of[i] = inputs
            if op is not DOT and not constant_ids.isdisjoint(inputs):
                numbers = [constants.get(x) for x in inputs]
                if None not in numbers:
                    try:
                        constant(i, op.forward(*numbers))  # type: ignore[union-attr]
                        continue
                    except DomainError:
                        pass  # stays in the program, where running it reports the line
                elif op is add and 0.0 in numbers:
                    replace(i, inputs[numbers.index(0.0) ^ 1])
                    continue
                elif op is mul and 1.0 in numbers and body.sites[i] not in scaling:
                    replace(i, inputs[numbers.index(1.0) ^ 1])
                    continue
            first = seen.setdefault((op, inputs), i)
            if first != i:
                replace(i, first)
    while len(tables) < len(body.tables):
        tables.append(tuple([alias[x] for x in body.tables[len(tables)]]))
    return alias, constants, tables, inputs_of


def _scaling_lines(body: Body, written: list[int]) -> set[int]:
    """Find the lines that multiply by a constant other than 1.

    Where such a line meets a 1 (the cosine of the first position's angle, say), the product stays: all executions of
    the line look the same then, and can be one instruction.
    """
    ops_, args, sites, mul = body.ops, body.args, body.sites, ops.MUL
    scales = {i for i in written if ops_[i] is ops.CONSTANT and args[i][0] != 1.0}
    return {sites[i] for i in written if ops_[i] is mul and not scales.isdisjoint(args[i])} if scales else set()


def _sum(
    root: int,
    body: Body,
    inputs_of: list[tuple[int, ...]],
    uses: list[int],
    absorbed: list[bool],
    constants: dict[int, float],
) -> Node:
    """Collect the terms of a chain of additions that nothing else uses, from left to right."""
    ops_, add, mul = body.ops, ops.ADD, ops.MUL
    if ops_[root] is not DOT:  # nearly always there is one operation
        a, b = inputs_of[root]
        if ops_[root] is mul:
            return Node(root, SUM, (), [(a, b)], None, 1, body.sites[root])
        if not (uses[a] == 1 and ops_[a] in _ABSORBED) and not (uses[b] == 1 and ops_[b] in _ABSORBED):
            return Node(root, SUM, (a, b), [], None, 1, body.sites[root])
    products: list[tuple[int, int]] = []
    plain: list[int] = []
    count, site = 0, body.sites[root]
    stack = [root]
    while stack:
        i = stack.pop()
        if i == root or uses[i] == 1:
            if ops_[i] is add:
                a, b = inputs_of[i]
                stack.append(b)
                stack.append(a)
                absorbed[i] = True
                count += 1
                continue
            if ops_[i] is mul or ops_[i] is DOT:
                if not products:
                    site = body.sites[i]
                n = len(inputs_of[i]) // 2
                products += zip(inputs_of[i][:n], inputs_of[i][n:], strict=True)
                absorbed[i] = True
                count += 2 * n - 1
                continue
        plain.append(i)
    if (
        len(products) == 2
        and not plain
        and ops_[root] is add
        and all(a in constants or b in constants for a, b in products)
    ):
        # x·c + y·s with constants c and s, as in a rotation, is work element by element: two products and their sum. As
        # a dot product of two terms it would be gathered from everywhere, and not become a matrix product.
        pair = inputs_of[root]
        for i in pair:
            absorbed[i] = False
        return Node(root, SUM, pair, nodes=1, site=body.sites[root])
    return Node(root, SUM, tuple(plain), products, nodes=count, site=site)


def _flatten_extreme(
    root: int, body: Body, inputs_of: list[tuple[int, ...]], uses: list[int], absorbed: list[bool]
) -> None:
    """Turn max(max(a, b), c) into max(a, b, c), in place."""
    op = body.ops[root]
    if uses[root] != 1:
        return
    terms: list[int] = []
    stack = [root]
    while stack:
        i = stack.pop()
        if i == root or (body.ops[i] is op and uses[i] == 1):
            stack += inputs_of[i][::-1]
            absorbed[i] = i != root
        else:
            terms.append(i)
    inputs_of[root] = tuple(terms)


# --- the schedule --------------------------------------------------------------------------------------------------


def _inputs(node: Node) -> Iterable[int]:
    if node.op is PICK:
        return node.args + node.detail  # type: ignore[no-any-return]
    if len(node.products) < 2:
        return node.products[0] + node.args if node.products else node.args
    return chain(chain.from_iterable(node.products), node.args)


def _kind(node: Node, body: Body) -> Any:
    return (CALL, id(body.calls[node.detail].body)) if node.op is CALL else (node.op, node.site)


def _schedule(normal: Normal) -> None:
    """Give every node a level, such that nodes of one kind meet at one level if possible.

    As soon as possible is the rule; but the softmax of the first position is over one score, its sum is no operation,
    and all that follows would be one level ahead of the other positions. So every node with slack moves to the level
    within its slack where most nodes of its kind are.
    """
    body = normal.body
    level = [0] * len(body.ops)
    results = [body.calls[node.detail].outputs if node.op is CALL else [node.result] for node in normal.nodes]
    made = set(chain.from_iterable(results))
    inputs = [_made(node, made) for node in normal.nodes]
    at: defaultdict[Any, int] = defaultdict(int)
    kinds = [_kind(node, body) for node in normal.nodes]
    for node, xs, outs, kind in zip(normal.nodes, inputs, results, kinds, strict=True):
        highest = 0
        for x in xs:
            if level[x] > highest:
                highest = level[x]
        node.level = highest = highest + 1
        for i in outs:
            level[i] = highest
        at[kind, highest] += 1
    latest = [NEVER] * len(body.ops)
    for node, xs, outs, kind in zip(
        reversed(normal.nodes), reversed(inputs), reversed(results), reversed(kinds), strict=True
    ):
        last = latest[outs[0]] if len(outs) == 1 else min([latest[i] for i in outs])
        if node.level < last < NEVER:
            # max() keeps the first of several equal ones: the earliest level
            node.level = max(range(node.level, last + 1), key=lambda level, kind=kind: at.get((kind, level), 0))  # type: ignore[misc]
        before = node.level - 1
        for x in xs:
            if latest[x] > before:
                latest[x] = before


def _made(node: Node, made: set[int]) -> Collection[int]:
    """Return the inputs of a node that are computed; a few more do no harm, as what is given has no level."""
    xs = _inputs(node)
    return xs if type(xs) is tuple and len(xs) < 8 else made.intersection(xs)
