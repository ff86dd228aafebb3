"""The expression language: its results, its errors, and where they point."""

import math
import subprocess
import sys

import pytest

from tinygrad_edu import Value, maximum, topological_order
from viz.errors import ExpressionError
from viz.expressions import FUNCTIONS, compute, parse


def error(text, **numbers):
    with pytest.raises(ExpressionError) as caught:
        compute(text, numbers)
    return str(caught.value)


def test_the_lecture():
    result = compute("e = a*b\nd = e + c; L = d * f", {"a": 2, "b": -3, "c": 10, "f": -2})
    result.backward()
    assert (result.data, result.label) == (-8.0, "L")
    assert [(v.label, v.grad) for v in topological_order(result)] == [
        ("a", 6.0), ("b", -4.0), ("e", -2.0), ("c", -2.0), ("d", -2.0), ("f", 4.0), ("L", 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("a - b / a ** 2", lambda a, b: a - b / a**2),
        ("-a ** b", lambda a, b: -(a**b)),
        ("2 ** b * +3e-1", lambda a, b: 2**b * 0.3),
        ("(a*b).tanh() + exp(a) - log(a + 1)", lambda a, b: (a * b).tanh() + a.exp() - (a + 1).log()),
        ("max(a, b, 1) * a.maximum(b) * min(a, 2)", lambda a, b: maximum(a, b, 1) * a.maximum(b) * a.minimum(2)),
        ("a·b − b÷a × 2", lambda a, b: a * b - b / a * 2),
        ("a = 5 * 1\nlog(a) * b", lambda a, b: Value(5.0).log() * b),
        ("c = a; a*c + b", lambda a, b: a * a + b),
    ],
)
def test_it_computes_what_python_computes(text, make):
    numbers = {name: number for name, number in (("a", 1.5), ("b", 2.5)) if name in parse(text).inputs}
    result, expected = compute(text, numbers), make(Value(1.5), Value(2.5))
    assert result.data == expected.data
    assert len(topological_order(result)) == len(topological_order(expected))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_one_of_the_table(name):
    op = FUNCTIONS[name]
    assert compute(f"{name}(x)", {"x": 0.5}).data == op.forward(0.5)
    assert compute(f"{name}(x)", {"x": 0.5}).op is op


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("a +", 4, "cannot be read"),
        ("(a + b", 1, "never closed"),
        ("a b", 3, "cannot be read"),
        ("a ^ b", 3, "write powers with **"),
        ("(a + b) % a", 9, "operator is not known"),
        ("a * foo(b)", 5, "unknown function: 'foo'; known are abs, cos"),
        ("a + a.foo()", 5, "unknown function: 'foo'"),
        ("a + sin(a, b)", 5, "sin takes 1 number, got 2"),
        ("a + max", 5, "max is a function and needs its argument"),
        ("exp = a", 1, "exp is a function; use another name"),
        ("a = b; b = a", 8, "b is used before this line"),
        ("a + 'x'", 5, "expected a number, got 'x'"),
        ("a and b", 1, "not part of the language"),
        ("a[0]", 1, "not part of the language"),
        ("a if b else a", 1, "not part of the language"),
        ("a += b", 1, "not an expression"),
        ("a + 1" + "0" * 400, 5, "this number is too large"),
        ("a + 1" + "0" * 5000, 5, "this number is too large"),
        ("ü + a / 0", 5, "division by zero"),
        ("a + log(b - 2*a)", 5, "logarithm needs a positive number"),
        ("b + 0 ** -1", 5, "zero to a negative power"),
    ],
)
def test_errors_point_at_the_column(text, column, words):
    message = error(text, **{name: 1.0 for name in ("a", "b", "ü") if name in text.replace("and", "")})
    first, shown, mark = message.split("\n")
    assert first.startswith(f"column {column}: ")
    assert words in message
    assert mark.index("^") == 2 + column - 1
    assert shown.strip() in text


def test_errors_name_the_line():
    assert error("e = a*b\n  L = e / (a - a)", a=1, b=2).startswith("line 2, column 5: 2.0 / 0.0: division by zero")


def test_numbers_and_inputs_must_agree():
    assert error("a*b*c", b=1) == "no number for a, c; write for example: a=1 c=1"
    assert error("a*b", a=1, b=1, h=2).startswith("h got a number but is no input of the expression; its inputs are")
    assert "there is no expression" in error("  \n ")


LONG = "the expression has {} characters, at most 10,000 are read; build something that large in Python, from Values"
DEEP = "this is nested too deeply; give parts of it names, on lines of their own: e = a*b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a" * 20_000, LONG.format("20,000")),
        ("(" * 300 + "a" + ")" * 300, DEEP),
        ("+".join("a" * 4000), DEEP),
        ("a" + ".tanh()" * 1500, LONG.format("10,501")),
        ("-" * 5000 + "a", DEEP),
        ("a\0", "the expression contains a null character; type it again"),
    ],
    ids=["long", "parentheses", "sum", "calls", "signs", "null"],
)
def test_enormous_input_is_refused_in_a_sentence(text, message):
    assert error(text, a=1) == message


def test_a_long_chain_of_calls_is_computed_or_refused_in_a_sentence():
    text = "a" + ".tanh()" * 900  # how deep Python's parser goes depends on its version
    value = 1.0
    for _ in range(900):
        value = math.tanh(value)
    try:
        said = compute(text, {"a": 1.0}).data
    except ExpressionError as refusal:
        said = str(refusal)
    assert said in (value, DEEP)


def test_nothing_is_ever_run_as_python():
    for text in ("__import__('os').system('echo x')", "(lambda: 1)()", "a.__class__", "[x for x in a]", "print(a)"):
        error(text, a=1)
    source = "import viz.expressions as m, inspect; s = inspect.getsource(m); print('eval(' in s or 'exec(' in s)"
    assert subprocess.run([sys.executable, "-c", source], capture_output=True, text=True).stdout.strip() == "False"


def test_powers_too_large_are_infinite_as_in_the_engine():
    assert math.isinf(compute("9 ** 9 ** 9 * a", {"a": 1}).data)
