"""An expression typed by a person becomes Values.

The text is parsed, never run: names, numbers, ``+ - * / **``, brackets and the functions of the engine, in one or more
assignments such as ``e = a*b; L = (e + c) * f``. Everything else is an error that points at its column.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Mapping

from tinygrad_edu import Value, maximum, minimum

from .errors import ExpressionError

FUNCTIONS: dict[str, Callable[..., Value]] = {
    **{
        name: getattr(Value, name)
        for name in ("exp", "log", "sqrt", "tanh", "sigmoid", "relu", "gelu", "sin", "cos", "abs")
    },
    "max": maximum,
    "min": minimum,
}
_ANY_NUMBER = ("max", "min")  # of arguments; all others take one

_OPERATORS: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}

_LONGEST_LABEL = 20  # characters of the text that name what has no name of its own


def evaluate(text: str, inputs: Mapping[str, float]) -> Value:
    """The Value of the last assignment or expression in ``text``.

    What has no name is labelled with its own text where that is short. Raises ExpressionError for what cannot be read,
    and the engine's DomainError where mathematics has no answer.

    >>> L = evaluate("L = (a*b + c) * f", {"a": 2, "b": -3, "c": 10, "f": -2})
    >>> L.data, L.label
    (-8.0, 'L')
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's own about style, such as "1if"
            statements = ast.parse(text.strip()).body
    except SyntaxError as error:
        column = f"column {error.offset}: " if error.offset else ""
        raise ExpressionError(f"{column}cannot read {text.strip()!r}: {error.msg}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        raise ExpressionError(f"cannot read the expression: {error}") from None
    if not statements:
        raise ExpressionError('the expression is empty; write one such as "L = (a*b + c) * f"')
    reader = _Reader(text.strip(), {name: Value(x, label=name) for name, x in inputs.items()})
    try:
        results = [reader.statement(statement) for statement in statements]
    except RecursionError:
        raise ExpressionError("the expression is nested too deeply; split it into several assignments with ;") from None
    unused = [name for name in inputs if name not in reader.used]
    if unused:
        raise ExpressionError(f"{', '.join(unused)}: given a number but not used in the expression")
    return results[-1]


class _Reader:
    def __init__(self, text: str, names: dict[str, Value]) -> None:
        self.text = text
        self.names = names
        self.used: set[str] = set()

    def error(self, node: ast.AST, words: str) -> ExpressionError:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        # ast counts bytes, people count characters
        before = self.text.splitlines()[line - 1].encode()[:column].decode(errors="ignore")
        place = f"line {line}, column" if "\n" in self.text else "column"
        return ExpressionError(f"{place} {len(before) + 1}: {words}")

    def statement(self, statement: ast.stmt) -> Value:
        if isinstance(statement, ast.Expr):
            return self.value(statement.value)
        if not (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            raise self.error(statement, "expected an assignment such as e = a*b, or an expression")
        name = statement.targets[0].id
        result = self.value(statement.value)
        if isinstance(statement.value, ast.Name):
            raise self.error(statement, f"{name} = {statement.value.id} computes nothing; use {statement.value.id}")
        result.label = name
        self.names[name] = result
        return result

    def value(self, node: ast.expr) -> Value:
        result = self.operand(node)
        return result if isinstance(result, Value) else Value(result)

    def operand(self, node: ast.expr) -> Value | float:
        """A Value, or a plain number, which stays a number in the formula."""
        if isinstance(node, ast.Constant):
            return self.number(node)
        if isinstance(node, ast.Name):
            return self.name(node)
        result = self.computed(node)
        if isinstance(result, Value) and not result.label:
            text = ast.get_source_segment(self.text, node) or ""
            if len(text) <= _LONGEST_LABEL:
                result.label = " ".join(text.split())
        return result

    def number(self, node: ast.Constant) -> float:
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            raise self.error(node, f"expected a number, got {node.value!r}")
        try:
            return float(node.value)
        except OverflowError:
            raise self.error(node, "this number is too large for a float") from None

    def name(self, node: ast.Name) -> Value:
        if node.id not in self.names:
            known = f"; {node.id}() is a function, it needs brackets" if node.id in FUNCTIONS else ""
            raise self.error(node, f"{node.id} has no number{known or f'; add {node.id}=… after the expression'}")
        self.used.add(node.id)
        return self.names[node.id]

    def computed(self, node: ast.expr) -> Value | float:
        if isinstance(node, ast.BinOp):
            if type(node.op) not in _OPERATORS:
                raise self.error(node, "this operator is not known; use + - * / **")
            a, b = self.operand(node.left), self.operand(node.right)
            if not isinstance(a, Value) and not isinstance(b, Value):
                a = Value(a)  # 2 * 3: something has to be differentiable
            return _OPERATORS[type(node.op)](a, b)  # type: ignore[arg-type]  # a number on one side is fine
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            x = self.operand(node.operand)
            return -x if isinstance(node.op, ast.USub) else x
        if isinstance(node, ast.Call):
            return self.call(node)
        raise self.error(node, "expected a number, a name, + - * / **, or a function such as tanh(x)")

    def call(self, node: ast.Call) -> Value:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            raise self.error(
                node, f"unknown function{f' {name}' if name else ''} (must be one of {', '.join(FUNCTIONS)})"
            )
        arguments = [self.value(x) for x in node.args if not isinstance(x, ast.Starred)]
        wrong = len(arguments) < 1 if name in _ANY_NUMBER else len(arguments) != 1
        if wrong or node.keywords or len(arguments) != len(node.args):
            wanted = "one number or more" if name in _ANY_NUMBER else "one number"
            raise self.error(node, f"{name}() takes {wanted}, got {len(node.args) + len(node.keywords)}")
        return FUNCTIONS[name](*arguments)
