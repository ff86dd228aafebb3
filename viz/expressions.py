"""A small, safe language for expressions: text typed on the command line becomes a graph of Values.

The text is parsed into Python's syntax tree and walked; nothing is ever evaluated as Python. The language has numbers,
names, ``+ - * / **``, parentheses, the functions of :data:`FUNCTIONS`, also as methods (``x.tanh()``), and lines of
``name = expression``, separated by line ends or semicolons. The last line is the result. A name that is used but not
assigned is an input and needs a number.

>>> expression = parse("e = a*b; d = e + c; L = d * f")
>>> expression.inputs
('a', 'b', 'c', 'f')
>>> expression.compute({"a": 2, "b": -3, "c": 10, "f": -2})
Value(data=-8.0, label='L')
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from tinygrad_edu import Value, ops
from tinygrad_edu.engine import apply, constant
from tinygrad_edu.errors import brief
from tinygrad_edu.ops import Op

from .errors import ExpressionError

__all__ = ["DEEPEST", "FUNCTIONS", "LONGEST", "Expression", "compute", "parse"]

LONGEST = 10_000  # characters; far more than can be stepped through by hand
DEEPEST = 90  # nested parentheses; Python's own parser stops at 100 to 200

_LONGEST_LABEL = 20  # characters of the text that serve as the name of an unnamed part

_OPERATORS: dict[type[ast.operator], Op] = {
    ast.Add: ops.ADD,
    ast.Sub: ops.SUB,
    ast.Mult: ops.MUL,
    ast.Div: ops.DIV,
    ast.Pow: ops.POW,
}
#: The functions of the language by name.
FUNCTIONS: dict[str, Op] = {
    op.name: op for op in ops.TABLE if op.name not in ("add", "sub", "mul", "div", "pow", "neg")
} | {"max": ops.MAXIMUM, "min": ops.MINIMUM}
_LANGUAGE = f"use numbers, names, + - * / ** ( ), name = expression, and the functions {', '.join(sorted(FUNCTIONS))}"
_SUPERSCRIPT = "write powers with **"


@brief
@dataclass(frozen=True)
class Expression:
    """A parsed text.

    Attributes:
        text: the text as it was written.
        inputs: the names that need numbers, in the order in which they occur.
    """

    text: str
    inputs: tuple[str, ...]
    _statements: tuple[tuple[str, ast.expr], ...]

    def compute(self, numbers: Mapping[str, float], *, label_parts: bool = False) -> Value:
        """Compute the result, with every name as the label of its Value.

        Args:
            numbers: one for each input.
            label_parts: whether an unnamed part is labeled with its own text, such as ``a*b``, if that is short.

        Raises ExpressionError, with the column if that helps, for an input without a number, a number without an input,
        and an undefined result.
        """
        missing = [name for name in self.inputs if name not in numbers]
        if missing:
            example = " ".join(f"{name}=1" for name in missing)
            raise ExpressionError(f"no number for {', '.join(missing)}; write for example: {example}")
        unused = [name for name in numbers if name not in self.inputs]
        if unused:
            raise ExpressionError(
                f"{', '.join(unused)} got a number but is no input of the expression; "
                f"its inputs are: {', '.join(self.inputs) or 'none'}"
            )
        known: dict[str, Value] = {name: Value(numbers[name], label=name) for name in self.inputs}
        result: Value | float = 0.0
        for name, tree in self._statements:
            try:
                result = self._value(tree, known, label_parts)
            except RecursionError:
                raise ExpressionError(_TOO_DEEP) from None
            if name:
                if not isinstance(result, Value):
                    result = Value(result, label=name)
                elif not isinstance(tree, ast.Name):  # b = a is another name for the same Value
                    result.label = name
                known[name] = result
        return result if isinstance(result, Value) else constant(result)

    def _value(self, tree: ast.expr, known: Mapping[str, Value], label_parts: bool) -> Value | float:
        """A Value, or a plain number if no name occurs."""
        if isinstance(tree, ast.Constant):
            return float(tree.value)  # type: ignore[arg-type]  # parse() lets only numbers pass
        if isinstance(tree, ast.Name):
            return known[tree.id]
        op, operands = _operation(tree, self.text)
        inputs = [self._value(operand, known, label_parts) for operand in operands]
        if op is None:
            return inputs[0]
        try:
            if all(isinstance(x, float) for x in inputs):
                return float(op.forward(*inputs))
            result = apply(op, *[x if isinstance(x, Value) else constant(x) for x in inputs])
        except (ArithmeticError, ValueError) as error:
            raise _at(self.text, tree, str(error)) from None
        if label_parts:
            words = " ".join((ast.get_source_segment(self.text, tree) or "").split())
            if len(words) <= _LONGEST_LABEL:
                result.label = words
        return result


def compute(text: str, numbers: Mapping[str, float], *, label_parts: bool = False) -> Value:
    """Parse ``text`` and compute it: see :func:`parse` and :meth:`Expression.compute`."""
    return parse(text).compute(numbers, label_parts=label_parts)


def parse(text: str) -> Expression:
    """Parse an expression; raises ExpressionError, with the line and a mark below the column, for what is not
    understood."""
    _check_size(text)
    text = "\n".join(line.strip() for line in _lines(text.strip().translate(_TYPOGRAPHIC)))
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's warnings about style, such as "1if"
            tree = ast.parse(text)
    except SyntaxError as error:
        raise _syntax_error(text, error) from None
    except (RecursionError, MemoryError):
        raise ExpressionError(_TOO_DEEP) from None
    except ValueError as error:
        raise ExpressionError(f"this cannot be read: {error}") from None
    statements: list[tuple[str, ast.expr]] = []
    assigned: set[str] = set()
    inputs: dict[str, None] = {}
    for statement in tree.body:
        name, expression = _statement(statement, text)
        try:
            for found in _names(expression, text):
                if found not in assigned:
                    inputs.setdefault(found)
        except RecursionError:
            raise ExpressionError(_TOO_DEEP) from None
        if name in inputs:
            raise _at(text, statement, f"{name} is used before this line gives it a value; use another name here")
        if name:
            assigned.add(name)
        statements.append((name, expression))
    if not statements:
        raise ExpressionError('there is no expression; write for example: "L = (a*b + c) * f" a=2 b=-3 c=10 f=-2')
    return Expression(text, tuple(inputs), tuple(statements))


_TOO_DEEP = "this is nested too deeply; give parts of it names, on lines of their own: e = a*b"
#: Signs that formulas copied from a page contain; each is as wide as its replacement.
_TYPOGRAPHIC = str.maketrans({"−": "-", "·": "*", "×": "*", "÷": "/", "\u00a0": " "})


def _check_size(text: str) -> None:
    if len(text) > LONGEST:
        raise ExpressionError(
            f"the expression has {len(text):,} characters, at most {LONGEST:,} are read; "
            f"build something that large in Python, from Values"
        )
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth > DEEPEST:
            raise ExpressionError(_TOO_DEEP)
    if "\0" in text:
        raise ExpressionError("the expression contains a null character; type it again")


def _statement(statement: ast.stmt, text: str) -> tuple[str, ast.expr]:
    """Return the assigned name, or "", and the expression."""
    if isinstance(statement, ast.Expr):
        return "", statement.value
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name):
            if target.id in FUNCTIONS:
                raise _at(text, target, f"{target.id} is a function; use another name")
            return target.id, statement.value
        raise _at(text, target, "only a single name can stand on the left of =")
    raise _at(text, statement, f"this is not an expression; {_LANGUAGE}")


def _operation(tree: ast.expr, text: str) -> tuple[Op | None, list[ast.expr]]:
    """Return the operation at the top of a tree, None for a plus sign, and its operands. Raises for everything
    unknown."""
    if isinstance(tree, ast.BinOp):
        op = _OPERATORS.get(type(tree.op))
        if op is None:
            hint = _SUPERSCRIPT if isinstance(tree.op, ast.BitXor) else _LANGUAGE
            raise _at(text, tree, f"this operator is not known; {hint}", after=tree.left)
        return op, [tree.left, tree.right]
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, (ast.USub, ast.UAdd)):
        return (ops.NEG if isinstance(tree.op, ast.USub) else None), [tree.operand]
    if isinstance(tree, ast.Call):
        if isinstance(tree.func, ast.Attribute):
            name, operands = tree.func.attr, [tree.func.value, *tree.args]
        elif isinstance(tree.func, ast.Name):
            name, operands = tree.func.id, list(tree.args)
        else:
            raise _at(text, tree, f"this cannot be called; {_LANGUAGE}")
        op = FUNCTIONS.get(name)
        if op is None:
            raise _at(text, tree, f"unknown function: {name!r}; known are {', '.join(sorted(FUNCTIONS))}")
        expected = op.arity if op.arity is not None else max(1, len(operands))
        if tree.keywords or len(operands) != expected:
            raise _at(text, tree, f"{name} takes {expected} number{'s' * (expected > 1)}, got {len(operands)}")
        return op, operands
    raise _at(text, tree, f"this is not part of the language; {_LANGUAGE}")


def _names(tree: ast.expr, text: str) -> list[str]:
    """Yield every name in the order of the text; raises for everything outside the language."""
    if isinstance(tree, ast.Name):
        if tree.id in FUNCTIONS:
            raise _at(text, tree, f"{tree.id} is a function and needs its argument in parentheses: {tree.id}(x)")
        return [tree.id]
    if isinstance(tree, ast.Constant):
        if isinstance(tree.value, (int, float)) and not isinstance(tree.value, bool):
            try:
                float(tree.value)
            except OverflowError:
                raise _at(text, tree, "this number is too large") from None
            return []
        raise _at(text, tree, f"expected a number, got {tree.value!r:.40}")
    _, operands = _operation(tree, text)
    return [name for operand in operands for name in _names(operand, text)]


def _syntax_error(text: str, error: SyntaxError) -> ExpressionError:
    reason = (error.msg or "invalid syntax").removesuffix(". Perhaps you forgot a comma?")
    if "too many nested" in reason:
        return ExpressionError(_TOO_DEEP)
    if "Exceeds the limit" in reason:  # too many digits; Python does not say where
        reason = "this number is too large"
        found = re.search(r"\d{4000,}", _row(text, error.lineno or 1))
        error.offset = found.start() + 1 if found else error.offset
    if "cannot assign" in reason and "==" in reason:
        reason = "only a single name can stand on the left of ="
    return _pointing(text, f"this cannot be read: {reason}", error.lineno or 1, max((error.offset or 1) - 1, 0))


def _at(text: str, tree: ast.stmt | ast.expr, reason: str, *, after: ast.expr | None = None) -> ExpressionError:
    """Make an error that points at the beginning of ``tree``, or at the operator after its left side."""
    line, byte = tree.lineno, tree.col_offset
    if after is not None:
        line, byte = after.end_lineno or line, after.end_col_offset or byte
    row = _row(text, line)
    column = len(row.encode()[:byte].decode(errors="ignore"))
    if after is not None:
        column += len(re.match(r"[\s)]*", row[column:])[0])  # type: ignore[index]  # it always matches
    return _pointing(text, reason, line, column)


def _row(text: str, line: int) -> str:
    rows = _lines(text)
    return rows[min(line, len(rows)) - 1]


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)  # what Python's parser takes for line ends; str.splitlines splits at more


def _pointing(text: str, reason: str, line: int, column: int) -> ExpressionError:
    row = _row(text, line)
    start = max(0, column - 60)
    shown = "".join(c if c.isprintable() else "?" for c in row[start : start + 76])
    where = f"line {line}, " if "\n" in text else ""
    return ExpressionError(f"{where}column {column + 1}: {reason}\n  {shown}\n  {' ' * (column - start)}^")
