"""Simplify a traced body (CSE, constant folding, dead code, flattened sums) and give each node a level.

Four things happen, each the textbook pass of that name: *common subexpressions* are computed once, *constants are
folded*, *dead code* is dropped, and chains of ``+`` are flattened. What remains of additions and multiplications is one
kind of node, the *sum*: Σ aᵢ·bᵢ + Σ cⱼ. A product alone is a sum of one product, a dot product is a sum of many; that
is why a dot product over one position of attention looks the same as one over sixty-four.

Then every node gets a *level*: one more than the highest level among its inputs. Nodes of one level do not depend on
each other; the packs of packs.py are made of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
_REDUCTIONS = frozenset((SUM, ops.MAXIMUM, ops.MINIMUM))
NEVER = 1 << 60  # later than any level
Row = tuple[int, ...]
_GIVEN = frozenset((INPUT, PARAMETER, RANDOM))
_ABSORBED = frozenset((ops.ADD, ops.MUL, DOT))  # by a sum, if it alone uses them


@dataclass(slots=True, eq=False)
class Node:
    """A scalar operation after flattening.

    Attributes:
        result: the number of the node in the body; for a call, that of its first result.
        op: a row of the table, or ``SUM``, ``PICK``, ``CALL``.
        args: the nodes that it is computed from; for a sum, its plain terms; for a pick, the index; for a call, all.
        left, right: for a sum, what is multiplied, term by term: rows that many nodes may share.
        detail: for a pick, its candidates; for a call, its number.
        nodes: how many recorded operations it stands for.
        site: its position in the source.
        level: the longest path from the leaves.
    """

    result: int
    op: Op | str
    args: tuple[int, ...]
    left: Row = ()
    right: Row = ()
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
        for column in (self.nodes, self.alias, self.body.ops, self.body.args, self.body.sites, self.body.rows):
            column.clear()


def simplify(body: Body) -> Normal:
    """Run all passes of this file over a body."""
    ops_, args = body.ops, body.args
    written = [i for i, op in enumerate(ops_) if op not in _GIVEN]  # most nodes are given
    inner = [i for i in written if ops_[i] is not ops.CONSTANT]
    operations = sum(2 * len(args[i][0]) - 1 if ops_[i] is DOT else ops_[i] is not CALL for i in inner)
    alias, constants, tables, inputs_of = _share_and_fold(body, written)
    outputs = [alias[i] for i in body.outputs]
    # --- dead code: count the uses of what the outputs need ---
    uses = [0] * len(ops_)
    for i in outputs:
        uses[i] += 2  # a result must stay a separate node
    computed = set(inner)
    seen: set[Row] = set()
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
        elif op is DOT:
            for row in inputs_of[i]:
                if row not in seen:
                    seen.add(row)
                    for x in row if not computed.isdisjoint(row) else ():
                        uses[x] += 2  # a factor is never absorbed
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
    numbers: dict[Any, int] = {}  # of a kind, which is an operation at a line
    kind: list[int | None] = [None] * len(body.ops)
    for node in nodes:
        kind[node.result] = numbers.setdefault((node.op, node.site), len(numbers))
    plain: dict[int, tuple[int, int]] = {}  # reductions whose terms are all of one kind: their kind, and that one
    for node in nodes:
        if node.op in _REDUCTIONS and not node.left:
            terms = {kind[x] for x in node.args}
            if len(terms) == 1 and (term := terms.pop()) is not None:
                plain[node.result] = numbers[node.op, node.site], term
    found: dict[Row, set[Any]] = {}
    sums: dict[Any, set[Any]] = {}  # (line, operand): kinds of reductions there
    for node in nodes if plain else ():
        if node.op is SUM:
            slots: Iterable[tuple[Any, Row]] = (("left", node.left), ("right", node.right)) if node.left else ()
        elif node.op is CALL or node.op is PICK:
            continue
        else:
            slots = enumerate([(x,) for x in node.args])
        for slot, row in slots:
            if row not in found:
                found[row] = {plain[x] for x in row if x in plain}
            if found[row]:
                sums.setdefault((kind[node.result], slot), set()).update(found[row])
    if not sums:
        return
    of = list(numbers)
    wanted = {key: sorted(those, key=lambda those: (of[those[0]][1], those)) for key, those in sums.items()}
    lines = {line for line, _ in wanted}
    wrapped: dict[tuple[int, int], Node] = {}
    out: list[Node] = []

    def completed(line: Any, slot: Any, x: int) -> int:
        result = x
        for reduction, term in wanted.get((line, slot), ()):
            if kind[x] == term:
                op, site = of[reduction]
                if (x, site) not in wrapped:
                    new = body.add(ops.ADD, (x,), site)._node
                    alias.append(new)
                    wrapped[x, site] = Node(new, op, (x,), nodes=0, site=site)
                    out.append(wrapped[x, site])
                result = wrapped[x, site].result
        return result

    for node in nodes:
        if (line := kind[node.result]) in lines:
            node.left = tuple([completed(line, "left", x) for x in node.left])
            node.right = tuple([completed(line, "right", x) for x in node.right])
            if node.op is not SUM:  # the plain terms of a sum have no role
                node.args = tuple([completed(line, slot, x) for slot, x in enumerate(node.args)])
        out.append(node)
    nodes[:] = out


def _one_node_per_call(backwards: list[Node]) -> list[Node]:
    """Of the nodes for the results of one call, keep the first one in the record."""
    first: dict[int, Node] = {}
    for node in backwards:
        if node.op is CALL:
            first[node.detail] = node
    return [node for node in backwards if node.op is not CALL or first[node.detail] is node]


def _share_and_fold(
    body: Body, written: list[int]
) -> tuple[list[int], dict[int, float], list[Row], list[tuple[Any, ...]]]:
    """Find the node that replaces each node: an earlier one that computes the same, or a constant.

    ``written`` are the nodes that are not given to the body. Also returns the tables of candidates, and the inputs of
    every operation of the table, as nodes that stand for them; of a dot product the two rows.
    """
    ops_, args = body.ops, body.args
    alias = list(range(len(ops_)))
    constants: dict[int, float] = {}
    constant_nodes: dict[str, int] = {}
    constant_ids: set[int] = set()
    moved: set[int] = set()  # nodes that another one replaces: few
    seen: dict[tuple[Any, ...], int] = {}
    tables: list[Row] = []
    inputs_of: list[tuple[Any, ...]] = [()] * len(ops_)
    rows: dict[Row, Row] = {}

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
        elif op is DOT:
            for row in args[i]:
                if row not in rows:
                    rows[row] = row if moved.isdisjoint(row) else tuple([alias[x] for x in row])
            inputs_of[i] = rows[args[i][0]], rows[args[i][1]]
            replace(i, seen.setdefault(inputs_of[i], i))
        else:
            inputs = args[i]
            if not moved.isdisjoint(inputs):
                inputs = tuple([alias[x] for x in inputs])
            inputs_of[i] = inputs
            if not constant_ids.isdisjoint(inputs):
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
    inputs_of: list[tuple[Any, ...]],
    uses: list[int],
    absorbed: list[bool],
    constants: dict[int, float],
) -> Node:
    """Collect the terms of a chain of additions that nothing else uses, from left to right."""
    ops_, add, mul = body.ops, ops.ADD, ops.MUL
    a, b = inputs_of[root]
    if ops_[root] is DOT:
        return Node(root, SUM, (), a, b, None, 2 * len(a) - 1, body.sites[root])
    if ops_[root] is mul:
        return Node(root, SUM, (), (a,), (b,), None, 1, body.sites[root])
    if not (uses[a] == 1 and ops_[a] in _ABSORBED) and not (uses[b] == 1 and ops_[b] in _ABSORBED):
        return Node(root, SUM, (a, b), (), (), None, 1, body.sites[root])
    left: list[int] = []
    right: list[int] = []
    plain: list[int] = []
    count, site = 0, body.sites[root]
    stack = [root]
    while stack:
        i = stack.pop()
        if i != root and (uses[i] != 1 or ops_[i] not in _ABSORBED):
            plain.append(i)
            continue
        a, b = inputs_of[i]
        absorbed[i] = True
        if ops_[i] is add:
            stack += (b, a)
            count += 1
            continue
        if not left:
            site = body.sites[i]
        left += (a,) if ops_[i] is mul else a
        right += (b,) if ops_[i] is mul else b
        count += 1 if ops_[i] is mul else 2 * len(a) - 1
    if len(left) == 2 and not plain and all(a in constants or b in constants for a, b in zip(left, right, strict=True)):
        # x·c + y·s with constants c and s, as in a rotation, is work element by element: two products and their sum. As
        # a dot product of two terms it would be gathered from everywhere, and not become a matrix product.
        for i in inputs_of[root]:
            absorbed[i] = False
        return Node(root, SUM, inputs_of[root], nodes=1, site=body.sites[root])
    return Node(root, SUM, tuple(plain), tuple(left), tuple(right), nodes=count, site=site)


def _flatten_extreme(
    root: int, body: Body, inputs_of: list[tuple[Any, ...]], uses: list[int], absorbed: list[bool]
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


#: Rows of at least this many nodes are visited once, not once for each node that reads them.
_LONG = 8


def _rows(node: Node) -> tuple[Row, ...]:
    return (node.args, node.detail) if node.op is PICK else (node.args, node.left, node.right)


def _schedule(normal: Normal) -> None:
    """Give every node a level, such that nodes of one kind meet at one level if possible.

    As soon as possible is the rule; but the softmax of the first position is over one score, its sum is no operation,
    and all that follows would be one level ahead of the other positions. So every node with slack moves to the level
    within its slack where most nodes of its kind are.
    """
    calls = normal.body.calls
    level = [0] * len(normal.body.ops)
    rows = [*map(_rows, normal.nodes)]
    kinds: dict[Any, dict[int, int]] = {}  # how many nodes of a kind are at each level
    counts: list[dict[int, int]] = []
    top: dict[Row, int] = {}
    for node, inputs in zip(normal.nodes, rows, strict=True):
        highest = 0
        for row in inputs:
            if len(row) < _LONG:
                for x in row:
                    if level[x] > highest:
                        highest = level[x]
                continue
            if row not in top:
                top[row] = max(map(level.__getitem__, row))
            if top[row] > highest:
                highest = top[row]
        node.level = highest = highest + 1
        if node.op is CALL:
            key: Any = calls[node.detail].body
            for i in calls[node.detail].outputs:
                level[i] = highest
        else:
            key = (node.op, node.site)
            level[node.result] = highest
        own = kinds.setdefault(key, {})
        own[highest] = own.get(highest, 0) + 1
        counts.append(own)
    latest = [NEVER] * len(level)
    bound: dict[Row, int] = {}
    for node, inputs, own in zip(reversed(normal.nodes), reversed(rows), reversed(counts), strict=True):
        last = min([latest[i] for i in calls[node.detail].outputs]) if node.op is CALL else latest[node.result]
        if node.level < last < NEVER:
            # max() keeps the first of several equal ones: the earliest level
            node.level = max(range(node.level, last + 1), key=lambda level, own=own: own.get(level, 0))  # type: ignore[misc]
        before = node.level - 1
        for row in inputs:
            if len(row) >= _LONG:
                if bound.get(row, NEVER) <= before:
                    continue
                bound[row] = before
            for x in row:
                if latest[x] > before:
                    latest[x] = before
