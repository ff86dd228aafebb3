"""The derivative formulas of the operation table as trees, to be computed in any language.

A back end does not know calculus. It has words for the operations, such as ``np.multiply`` or ``"({0} * {1})"``, and
inserts them in a tree:

>>> derivative("tanh", 0)
('sub', 1.0, ('mul', 'out', 'out'))
>>> expression(derivative("tanh", 0), {"out": "t"}, {"sub": "({} - {})".format, "mul": "{} * {}".format})
'(1.0 - t * t)'

A tree is a number, the name of an operand (``a``, ``b``, ``out``), or a tuple of an operation of the table and its
operands. ``("if", condition, yes, no)`` and the conditions ``("==", x, y)``, ``<``, ``>``, ``<=`` are for boundaries.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from typing import Any

from . import ops

__all__ = ["Tree", "derivative", "expression", "parse", "slopes"]

Tree = Any  # float | str | tuple[str, Tree, ...]; mypy has no types that contain themselves in an alias of a tuple

_OPERATORS = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow", ast.USub: "neg",
    ast.Eq: "==", ast.Lt: "<", ast.Gt: ">", ast.LtE: "<=",
}  # fmt: skip
_NUMBERS = {"pi": math.pi, "inf": math.inf, "nan": math.nan}


def parse(text: str) -> Tree:
    """A formula as a tree.

    >>> parse("1 if a > 0 else -b / 2")
    ('if', ('>', 'a', 0.0), 1.0, ('div', ('neg', 'b'), 2.0))
    """
    return _tree(ast.parse(text, mode="eval").body)


def _tree(node: Any) -> Tree:
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]  # no text in a formula
    if isinstance(node, ast.Name):
        return _NUMBERS.get(node.id, node.id)
    if isinstance(node, ast.UnaryOp):
        inner = _tree(node.operand)
        return -inner if isinstance(inner, float) else ("neg", inner)
    if isinstance(node, ast.BinOp):
        return (_OPERATORS[type(node.op)], _tree(node.left), _tree(node.right))
    if isinstance(node, ast.Compare):
        return (_OPERATORS[type(node.ops[0])], _tree(node.left), _tree(node.comparators[0]))
    if isinstance(node, ast.IfExp):
        return ("if", _tree(node.test), _tree(node.body), _tree(node.orelse))
    return (node.func.id, *map(_tree, node.args))  # a call: a formula has nothing else


@cache
def derivative(name: str, slot: int) -> Tree:
    """The local derivative of an operation by one of its inputs, as it is computed, from the inputs and ``out``."""
    op = ops.by_name(name)
    return _with_out(parse((op.exact_formulas or op.derivative_formulas)[slot]), parse(op.formula))


def _with_out(tree: Tree, forward: Tree) -> Tree:
    """The tree with ``out`` where it computes the result of the operation once more, and products for squares."""
    if tree == forward:
        return "out"
    if not isinstance(tree, tuple):
        return tree
    word, *operands = (tree[0], *(_with_out(x, forward) for x in tree[1:]))
    match (word, *operands):
        case ("pow", x, 2.0):
            return ("mul", x, x)
        case ("div", ("neg", x), y):
            return ("neg", _with_out(("div", x, y), forward))
        case ("div", x, ("mul", y, z)) if ("div", x, y) == forward:
            return ("div", "out", z)
    return (word, *operands)


def expression(tree: Tree, operands: Mapping[str, Any], words: Mapping[str, Callable[..., Any]]) -> Any:
    """What a tree is in another language.

    Args:
        operands: what ``a``, ``b`` and ``out`` are there.
        words: for each operation what makes its result from those of its operands, numbers among them.
    """
    if isinstance(tree, tuple):
        return words[tree[0]](*(expression(x, operands, words) for x in tree[1:]))
    return operands[tree] if isinstance(tree, str) else tree


def slopes(words: Collection[str]) -> Iterator[tuple[str, Tree, tuple[str, ...]]]:
    """Every local derivative of the table that a language with these words can compute.

    For each its name, such as ``"tanh:0"``, its tree, and the names of its operands in their order, ``out`` the last.
    """
    for op in ops.TABLE:
        names = (*"ab"[: op.arity or 2], "out")
        for slot in range(len(names) - 1) if op.derivatives is not None else ():
            tree = derivative(op.name, slot)
            if _words_in(tree) <= {*words}:
                yield f"{op.name}:{slot}", tree, names


def _words_in(tree: Tree) -> set[str]:
    return {tree[0]}.union(*map(_words_in, tree[1:])) if isinstance(tree, tuple) else set()
