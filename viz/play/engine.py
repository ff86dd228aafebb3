"""The table of operations in JavaScript: what pages compute with.

What is computed are the words of this language for each operation, as in every back end; the local derivatives are
generated from the formulas of :mod:`tinygrad_edu.ops`.
"""

from __future__ import annotations

import json
import re
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
    "maximum": "extreme(1, {})".format, "minimum": "extreme(-1, {})".format,
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
            f, d = f"(...x) => {_forward(op, 'x, null, 0, x.length')}", "(...x) => shares(x.pop(), x)"
        else:
            given = ", ".join("ab"[: op.arity])
            f = f"({given}) => {_forward(op, *given.split(', '))}"
            d = f"({given}, out) => [{', '.join(_slope(op, k, names) for k in range(op.arity))}]"
        d = "null" if op.derivatives is None else d
        rows.append(f"  {op.name}: {{ ...{json.dumps(texts, ensure_ascii=False)}, f: {f}, d: {d} }},\n")
    return f"{asset('trouble.js')}{asset('engine.js')}const OPS = {{\n{''.join(rows)}}};\n"


def class_in_javascript() -> str:
    """``class Operations``: a method per row, which adds a node to the tape, and loops over all nodes.

    The same formulas as in :func:`table_in_javascript`, each a case of a ``switch`` over typed arrays, which is what
    is fast. The loops for copies compute the same node of many examples at once: node ``i`` of copy k is
    ``i + k * stride``. A gradient reaches all copies of a node or none;
    only the first copy is marked as reached.
    """
    lines = ["class Operations {"]
    for code, op in enumerate(ops.TABLE, _FIRST):
        inputs = {None: "...nodes", 1: "a", 2: "a, b"}[op.arity]
        make = f"this.places({code}, nodes)" if op.arity is None else f"this.place({code}, {inputs})"
        result = _forward(op, *_given(op, "this.", "a", "b"))
        if op.name in _REFUSING:
            result = f"try {{ this.data[i] = {result}; }} catch (error) {{ throw this.blame(error, i); }}"
        else:
            result = f"this.data[i] = {result};"
        lines.append(f"  {op.name}({inputs}) {{ const i = {make}; {result} return i; }}")
    lines += _dot()
    forward = {op: f"data[i] = {_forward(op, *_given(op, '', 'a', 'b'))};" for op in ops.TABLE}
    lines += _loop(
        "compute(i, end)", "i", "for (; i < end; i++)", {op: _with_inputs(op, x) for op, x in forward.items()},
        "let r = this.evenFrom(i), next = even[r];",
        "if (i === next) { const last = i + 2 * even[r + 1] - 2; if (last < end) "
        "{ this.dotAgain(r); i = last; next = even[r += 6]; continue; } }",
    )  # fmt: skip
    lines += _loop(
        "computeCopies(start, stride, count, o = start)", "o", "for (; o < start + stride; o++)",
        {op: _copies(op, x) for op, x in forward.items()},
    )  # fmt: skip
    backward = {op: " ".join(_contributions(op)) for op in ops.TABLE if op.derivatives is not None}
    unmarked = {op: re.sub(r" reached\[[ab]\] = 1;", "", x) for op, x in backward.items()}  # once for all copies
    guard = "if (!reached[i]) continue; const g = grad[i];"
    lines += _loop(
        "differentiate(i, end)", "i", "for (; i >= end; i--)",
        {op: f"{guard} {_with_inputs(op, x)}" for op, x in backward.items()},
        "const lastOf = r => (r < 0 ? -1 : even[r] + 2 * even[r + 1] - 2); let r = this.evenFrom(i + 1) - 6;"
        " if (lastOf(r) > i) r -= 6; let last = lastOf(r);",
        "if (i === last && even[r] >= end) "
        "{ if (reached[i]) this.dotBack(r); i = even[r]; last = lastOf(r -= 6); continue; }",
    )  # fmt: skip
    lines += _loop(
        "differentiateCopies(start, stride, count, o = start + stride - 1)", "o", "for (; o >= start; o--)",
        {op: f"if (!reached[o]) continue; {_marks(op)}{_copies(op, f'const g = grad[i]; {x}', back=True)}"
         for op, x in unmarked.items()},
    )  # fmt: skip
    return "\n".join([*lines, "}", ""])


def _dot() -> list[str]:
    """Most of a GPT is dot products: their nodes are made, computed and differentiated without a ``switch`` for each.

    A row of ``even`` is one whose inputs are at even distances on the tape: first node, terms, the first inputs and
    the distance to the next ones.
    """
    codes = {op: code for code, op in enumerate(ops.TABLE, _FIRST)}
    product, total = _forward(ops.MUL, "data[x]", "data[y]"), _forward(ops.ADD, "total", "p")
    mul, add = (
        f"codes[i] = {codes[op]}; first[i] = x; second[i] = y; data[i] = {_forward(op, 'data[x]', 'data[y]')};"
        for op in (ops.MUL, ops.ADD)
    )
    row = (
        "const { even, data, grad, reached } = this;"
        " const start = even[r], n = even[r + 1], ad = even[r + 3], bd = even[r + 5];"
    )
    return [
        "  dot(a, b) {",
        "    const n = a.length, ad = n > 1 ? a[1] - a[0] : 0, bd = n > 1 ? b[1] - b[0] : 0;",
        "    this.room(2 * n - 1);",
        "    const { codes, first, second, data } = this;",
        "    let i = this.length, x = a[0], y = b[0], even = true;",
        f"    {mul} i++;",
        "    for (let k = 1; k < n; k++) {",
        "      even = even && a[k] - x === ad && b[k] - y === bd;",
        f"      x = a[k]; y = b[k]; {mul} x = i - 1; y = i++; {add} i++; x = a[k]; y = b[k];",
        "    }",
        "    if (even) this.isEven(this.length, n, a[0], ad, b[0], bd);",
        "    this.length = i;",
        "    return i - 1;",
        "  }",
        "  dotAgain(r) {",
        f"    {row}",
        f"    let i = start, x = even[r + 2], y = even[r + 4], total = data[i] = {product};",
        "    for (let k = 1; k < n; k++) {",
        f"      x += ad; y += bd; const p = data[++i] = {product}; total = data[++i] = {total};",
        "    }",
        "  }",
        "  dotBack(r) {",
        f"    {row}",
        "    let i = start + 2 * n - 2, a = even[r + 2] + (n - 1) * ad, b = even[r + 4] + (n - 1) * bd;",
        "    const g = grad[i];",
        "    for (let k = n; k > 0; k--, a -= ad, b -= bd) {",
        f"      {' '.join(_contributions(ops.MUL))}",
        "      if (k > 1) { grad[--i] = g; reached[i] = 1; grad[--i] = g; reached[i] = 1; }",
        "    }",
        "  }",
    ]


def _loop(name: str, node: str, over: str, cases: dict[ops.Op, str], before: str = "", each: str = "") -> list[str]:
    codes = {op: code for code, op in enumerate(ops.TABLE, _FIRST)}
    return [
        f"  {name} {{",
        "    const { codes, first, second, pool, data, grad, reached, even } = this;",
        *([f"    {before}"] if before else []),
        f"    try {{ {over} {{ {each} switch (codes[{node}]) {{",
        *(f"      case {codes[op]}: {{ {text} break; }}" for op, text in cases.items()),
        f"    }} }} }} catch (error) {{ throw this.blame(error, {node}); }}",  # an operation may have no answer
        "  }",
    ]


def _with_inputs(op: ops.Op, text: str) -> str:
    names = ["a = first[i]", *(["b = second[i]"] if op.arity != 1 else [])]
    return f"const {', '.join(names)}; {text}"


#: Which input of + and × is mostly the same number for all copies, such as a weight: it stays in a register.
_SHARED = {ops.MUL: "a", ops.ADD: "b"}


def _copies(op: ops.Op, text: str, *, back: bool = False) -> str:
    """The text for each copy: the first one first, or the last one first, which is the order on the whole tape."""
    move = "-=" if back else "+="
    if op.arity is None:
        from_end = " + (count - 1) * stride" if back else ""
        return f"for (let k = 0, i = o{from_end}; k < count; k++, i {move} stride) {{ {_with_inputs(op, text)} }}"
    inputs = "ab"[: op.arity]
    arrays = {"a": "first", "b": "second"}
    lets = "".join(f", {x} = {arrays[x]}[o]" for x in inputs)
    steps = ", ".join(f"{x}1 = {x} >= start ? stride : 0" for x in inputs)
    to_end = "".join(f" {x} += (count - 1) * {x}1;" for x in inputs) if back else ""
    moves = "".join(f" {x} {move} {x}1;" for x in inputs)
    begin = f"let i = o{' + (count - 1) * stride' if back else ''}{lets}; const {steps};{to_end} "
    loop = f"for (let k = 0; k < count; k++) {{ {text} i {move} stride;{moves} }}"
    shared = _SHARED.get(op)
    if shared is None:
        return begin + loop
    kept = loop.replace(f"data[{shared}]", "x").replace(f"grad[{shared}]", "sum")
    kept = kept.replace(f" {shared} {move} {shared}1;", "")
    before = f"let sum = grad[{shared}];" if back else ""
    after = f" grad[{shared}] = sum;" if back else ""
    return f"{begin}if ({shared}1 === 0) {{ const x = data[{shared}]; {before} {kept}{after} }} else {{ {loop} }}"


def _marks(op: ops.Op) -> str:
    marks = {"a": "reached[first[o]] = 1; ", "b": "reached[second[o]] = 1; "}
    return "".join(marks[x] for x in "ab"[: op.arity]) if op.arity else ""


def _given(op: ops.Op, of: str, *inputs: str) -> list[str]:
    """The numbers that an operation gets; one with any number of inputs gets their places in the pool."""
    if op.arity is None:
        start, count = ("this.first[i]", "this.second[i]") if of else inputs
        return [f"{of}data, {of}pool, {start}, {count}"]
    return [f"{of}data[{x}]" for x in inputs[: op.arity]]


def _contributions(op: ops.Op) -> Iterator[str]:
    """What a node sends back, as the engine does it: a derivative of 0 stops the gradient, but at + and ×."""
    if op.arity is None:
        yield "this.share(i, g, a, b);"
        return
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
    return _FORWARD[op.name](*given)


def _slope(op: ops.Op, slot: int, names: dict[str, str]) -> str:
    override = _OVERRIDES.get(f"{op.name}:{slot}")
    if override is not None:
        return override.format(**names)
    text = str(expression(derivative(op.name, slot), names, _WORDS))
    return text.replace("nan", "NaN").replace("inf", "Infinity")
