"""A recorded graph as a few typed arrays, so small that a page can hold the program of a whole model.

The page recomputes what can be computed without a rounding difference: ``+``, ``−`` and ``×`` give the same bits in
every language. For every other operation the result and the local derivatives are *kept* as the engine computed them.
So the page needs no calculus, a new row in the table of operations needs no change here, and every number and gradient
in the page equals the engine's, bit for bit.

Neighboring numbers of a program are similar: inputs are written as differences from the inputs of the previous
operation of the same kind, and bytes of equal significance are grouped. After ``deflate`` little more than the
parameters remains.
"""

from __future__ import annotations

import base64
import math
import re
import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from tinygrad_edu import ops
from tinygrad_edu.errors import StaleGraphError

from ..graph import age
from ..graph.build import Graph
from ..graph.regions import Regions

#: Operations that give the same bits in every language.
COMPUTED = (ops.ADD, ops.SUB, ops.MUL)

LEAF, CONSTANT, FIRST = 0, 1, 2  # codes of nodes; FIRST and above are rows of the table
_CODES = {op: FIRST + i for i, op in enumerate(ops.TABLE)}


def program(graph: Graph) -> dict[str, str]:
    """Pack the operations, inputs and numbers of a graph.

    ======== ======================================================================================================
    codes    per node: 0 a leaf, 1 a number in a formula, from 2 the rows of the table
    counts   the number of inputs, per operation that takes any number of them
    inputs   the inputs of all nodes, one after the other; see :func:`differences`
    leaves   the numbers of leaves and constants
    kept     per operation that the page does not compute: its result, then its local derivatives
    ======== ======================================================================================================

    Raises StaleGraphError when a number was changed after something had been computed from it.
    """
    if graph.old:
        raise StaleGraphError(age.sentences(graph)[0])
    codes, counts = bytearray(), array("i")
    leaves, kept = array("d"), array("d")
    for node, value in enumerate(graph.values):
        op = value.op
        if not value.inputs:
            codes.append(LEAF if op is None else CONSTANT)
            leaves.append(value.data)
            continue
        assert op is not None
        codes.append(_CODES[op])
        if op not in COMPUTED:
            if op.arity is None:
                counts.append(len(value.inputs))
            kept.append(value.data)
            kept.extend(graph.local_derivatives(node) or ())
    return {
        "codes": pack(array("B", codes)),
        "counts": pack(counts),
        "inputs": pack(array("i", differences(graph, codes))),
        "leaves": pack(leaves),
        "kept": pack(kept),
    }


def differences(graph: Graph, codes: Sequence[int]) -> Iterable[int]:
    """Yield every input as its difference from an earlier one: the first two from the same operand of the previous node
    with this operation, further ones from the operand before.
    """
    last = [[0, 0] for _ in range(FIRST + len(ops.TABLE))]
    for code, inputs in zip(codes, graph.inputs, strict=True):
        previous = last[code]
        if len(inputs) == 2:
            a, b = inputs
            yield a - previous[0]
            yield b - previous[1]
            previous[0], previous[1] = a, b
        else:
            for k, x in enumerate(inputs):
                yield x - (previous[k] if k < 2 else inputs[k - 1])
                if k < 2:
                    previous[k] = x


def places(regions: Regions) -> dict[str, str]:
    """Pack the tree of regions, and the region of every computed node; see :class:`viz.graph.regions.Region`.

    ======== ======================================================================================================
    home     per node its innermost region; leaves repeat the node before
    kinds    per region the position in :data:`KINDS`
    parents, sizes, extras, anchors    per region
    ======== ======================================================================================================
    """
    home = array("i", accumulate(regions.home, lambda before, here: here if here >= 0 else before, initial=0))
    tree = regions.tree
    return {
        "home": pack(_steps(home[1:])),
        "kinds": pack(array("B", [KINDS.index(region.kind) for region in tree])),
        "parents": pack(_steps(region.parent for region in tree)),
        "sizes": pack(array("i", [region.size for region in tree])),
        "extras": pack(array("i", [region.extra for region in tree])),
        "anchors": pack(_steps(region.anchor for region in tree)),
    }


KINDS = ("all", "call", "dot", "sum", "mean", "product", "squares", "softmax", "log-softmax", "cross-entropy")


def names(graph: Graph) -> tuple[dict[str, str], list[tuple[str, list[int]]], dict[int, str]]:
    """Return the packed nodes of all tables of parameters, the tables' names and shapes, and all other names.

    ``tables`` has one number per entry of a table, in the order of its indices: its node, or −1 when the loss does not
    depend on it.
    """
    tables: dict[str, dict[int, int]] = {}
    others: dict[int, str] = {}
    rows: dict[str, _Row | None] = {}
    for node, name in graph.names.items():
        start, _, last = name.rpartition("[")
        if start not in rows:
            rows[start] = _row(start, graph.tables)
        row = rows[start]
        if row is not None and not graph.inputs[node] and last[-1:] == "]" and last[:-1].isdecimal():
            table, before = row
            if tables.setdefault(table, {}).setdefault(before + int(last[:-1]), node) == node:
                continue
        others[node] = name
    used = {name: list(graph.tables[name]) for name in sorted(tables)}
    nodes = array("i")
    for name, sizes in used.items():
        entries = tables[name]
        nodes.extend([entries.get(i, -1) for i in range(math.prod(sizes))])
    return {"tables": pack(_steps(nodes))}, list(used.items()), others


_Row = tuple[str, int]  # the table, and how many of its entries come before the row


def _row(start: str, tables: Mapping[str, tuple[int, ...]]) -> _Row | None:
    """Find the row of a table whose entries have names that start like this, before the last index; None if there is
    none: a million names are then not taken apart one by one.
    """
    found = _START.fullmatch(start)
    shape = tables.get(found[1], ()) if found else ()
    indices = _INDEX.findall(found[2]) if found else []
    if not found or len(indices) + 1 != len(shape):
        return None
    row = 0
    for i, size in zip(indices, shape, strict=False):
        row = row * size + int(i)
    return found[1], row * shape[-1]


_START = re.compile(r"([^\[\]]+)((?:\[\d+\])*)")
_INDEX = re.compile(r"\d+")


def _steps(numbers: Iterable[int]) -> array[int]:
    """Return each number as its difference from the one before.

    >>> list(_steps([5, 7, 6]))
    [5, 2, -1]
    """
    out, before = array("i"), 0
    for x in numbers:
        out.append(x - before)
        before = x
    return out


def pack(numbers: array[Any]) -> str:
    """Encode numbers as text: bytes of equal significance grouped, deflated, in base 64."""
    raw = numbers.tobytes()
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, raw)
        numbers.byteswap()
        raw = numbers.tobytes()
    size = numbers.itemsize
    planes = b"".join(raw[k::size] for k in range(size))
    return base64.b64encode(zlib.compress(planes)).decode()  # level 9 takes ten times as long for a tenth less
