"""The table of operations in JavaScript: what pages compute with.

What is computed are the words of this language for each operation, as in every back end; the local derivatives are
generated from the formulas of :mod:`tinygrad_edu.ops`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files

from tinygrad_edu import ops
from tinygrad_edu.formulas import derivative, expression

__all__ = ["asset", "class_in_javascript", "table_in_javascript"]

#: How an operation is written: with errors where there is no answer, for what is computed forward.
_FORWARD = {
    **{word: f"({{}} {sign} {{}})".format for word, sign in zip(("add", "sub", "mul"), "+-*", strict=True)},
    **{word: f"Math.{word}({{}})".format for word in ("exp", "tanh", "abs")},
    **{word: f"{function}({{}})".format for word, function in (
        ("log", "logarithm"), ("sqrt", "squareRoot"), ("sin", "sine"), ("cos", "cosine"),
        ("sigmoid", "sigmoid"), ("relu", "relu"), ("gelu", "gelu"), ("detach", ""),
    )},
    "div": "divide({}, {})".format, "pow": "power({}, {})".format, "neg": "(-{})".format,
    "maximum": "extreme(Math.max, {})".format, "minimum": "extreme(Math.min, {})".format,
}  # fmt: skip
#: The same for derivatives, which follow IEEE arithmetic.
_WORDS = {
    **_FORWARD,
    **{word: f"Math.{word}({{}})".format for word in ("log", "sqrt", "sin", "cos")},
    **{word: f"({{}} {sign} {{}})".format for word, sign in (("==", "==="), ("<", "<"), (">", ">"), ("<=", "<="))},
    "div": "({} / {})".format, "pow": "raised({}, {})".format, "if": "({} ? {} : {})".format,
}  # fmt: skip
#: In place of derived ones: the formula of gelu has an erf, which JavaScript has not.
_OVERRIDES = {"gelu:0": "geluSlope({a})"}
#: Operations that have no answer for some numbers.
_REFUSING = {"div", "pow", "log", "sqrt", "sin", "cos"}
#: Codes in a :class:`Tape`: of a leaf, of a number, and of the first operation.
_NUMBER, _FIRST = 1, 2


def asset(name: str) -> str:
    """Return the text of a file in ``viz/play``."""
    return files("viz").joinpath("play", name).read_text(encoding="utf-8")


def table_in_javascript() -> str:
    """``OPS.mul`` is a row of the table: its texts, ``f(a, b)``, and ``d(a, b, out)``, a list of derivatives or null.

    What has no answer in the real numbers throws a ``Trouble``. The text needs ``viz/pages/words.js`` before it.
    """
    rows = []
    for op in ops.TABLE:
        texts = {"symbol": op.symbol, "arity": op.arity, "formula": op.formula, "derivatives": op.derivative_formulas}
        names = {x: x for x in ("a", "b", "out")}
        if op.arity is None:
            f, d = f"(...x) => {_forward(op, '...x')}", "(...x) => shares(x.pop(), x)"
        else:
            given = ", ".join("ab"[: op.arity])
            f = f"({given}) => {_forward(op, *given.split(', '))}"
            d = f"({given}, out) => [{', '.join(_slope(op, k, names) for k in range(op.arity))}]"
        d = "null" if op.derivatives is None else d
        rows.append(f"  {op.name}: {{ ...{json.dumps(texts, ensure_ascii=False)}, f: {f}, d: {d} }},\n")
    return f"{asset('trouble.js')}{asset('engine.js')}const OPS = {{\n{''.join(rows)}}};\n"


def class_in_javascript() -> str:
    """``class Operations``: a method per row, which adds a node to the tape, and two loops over all nodes.

    The same formulas as in :func:`table_in_javascript`, each a case of a ``switch`` over typed arrays, which is what
    is fast.
    """
    lines = ["class Operations {"]
    for code, op in enumerate(ops.TABLE, _FIRST):
        inputs = {None: "...nodes", 1: "a", 2: "a, b"}[op.arity]
        make = f"this.places({code}, nodes)" if op.arity is None else f"this.place({code}, {inputs})"
        given = ["...this.numbers(i)"] if op.arity is None else [f"this.data[{x}]" for x in "ab"[: op.arity]]
        result = f"this.data[i] = {_forward(op, *given)};"
        if op.name in _REFUSING:
            result = f"try {{ {result} }} catch (error) {{ throw this.blame(error, i); }}"
        lines.append(f"  {op.name}({inputs}) {{ const i = {make}; {result} return i; }}")
    lines += [
        "  compute(i, end) {",
        "    const { codes, first, second, data } = this;",
        "    try {",
        "      for (; i < end; i++) switch (codes[i]) {",
        *(f"        case {code}: {_computed(op)} break;" for code, op in enumerate(ops.TABLE, _FIRST)),
        "      }",
        "    } catch (error) { throw this.blame(error, i); }",
        "  }",
        "  differentiate(root) {",
        "    const { codes, first, second, data, grad, reached } = this;",
        "    for (let i = root; i >= 0; i--) {",
        f"      if (codes[i] < {_FIRST} || !reached[i]) continue;",
        "      const g = grad[i];",
        "      switch (codes[i]) {",
        *(
            f"        case {code}: {{ {' '.join(_contributions(op))} break; }}"
            for code, op in enumerate(ops.TABLE, _FIRST)
            if op.derivatives is not None
        ),
        "      }",
        "    }",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _computed(op: ops.Op) -> str:
    given = ["...this.numbers(i)"] if op.arity is None else ["data[first[i]]", "data[second[i]]"][: op.arity]
    return f"data[i] = {_forward(op, *given)};"


def _contributions(op: ops.Op) -> Iterator[str]:
    """What a node sends back, as the engine does it: a derivative of 0 stops the gradient, but at + and ×."""
    if op.arity is None:
        yield f"this.share(i, g, {_NUMBER});"
        return
    yield "const a = first[i]" + (", b = second[i];" if op.arity == 2 else ";")
    if op in (ops.ADD, ops.MUL):
        for k, x in enumerate("ab"):
            slope = _slope(op, k, {"a": "data[a]", "b": "data[b]", "out": "data[i]"})
            yield f"grad[{x}] += {'g' if slope == '1.0' else f'g * {slope}'}; reached[{x}] = 1;"
        return
    for k, x in enumerate("ab"[: op.arity]):
        slope = _slope(op, k, {"a": "data[a]", "b": "data[b]", "out": "out"})
        out = "const out = data[i]; " if "out" in slope else ""
        yield (
            f"if (codes[{x}] !== {_NUMBER}) {{ {out}const d = {slope}; "
            f"grad[{x}] += d !== 0 ? d * g : 0; reached[{x}] = 1; }}"
        )


def _forward(op: ops.Op, *given: str) -> str:
    return _FORWARD[op.name](", ".join(given) if op.arity is None else given[0], *given[1:])


def _slope(op: ops.Op, slot: int, names: dict[str, str]) -> str:
    override = _OVERRIDES.get(f"{op.name}:{slot}")
    if override is not None:
        return override.format(**names)
    text = str(expression(derivative(op.name, slot), names, _WORDS))
    return text.replace("nan", "NaN").replace("inf", "Infinity")
