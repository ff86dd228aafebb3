"""Compiled functions as WebAssembly, in Node and in a browser."""

from __future__ import annotations

import base64
import json
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt.config import GPTConfig, preset
from gpt.model import GPT
from tests.compiler import in_node
from tests.compiler.against_eager import eager, error
from tests.compiler.in_node import Refused, ask, load, on_wasm
from tests.compiler.test_edges import CASES, IN_SINGLE, Swept, nearly_in_single, wrong
from tests.compiler.test_models import numbers, tokens
from tinygrad_edu import Value, jit, nn
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import SGD, AdamW, NumpyBackend
from tinygrad_edu.compiler.wasm_backend import binary
from tinygrad_edu.compiler.wasm_backend.module import Function, build
from tinygrad_edu.errors import CompileError

pytestmark = [pytest.mark.native, pytest.mark.node]


class InNode(Swept):
    """Compile all points of an edge case into one module."""

    def _arrays(self, backend: str, batch: Any) -> tuple[Any, Any]:
        forward, backward = self._programs()
        p = self.parameters
        whole = {"all": (0, [len(p)])}
        functions = {"forward": Function(forward, 1, ["gradients"]), "step": Function(backward, 1, ["gradients"])}
        load(build(functions, p.array, p.gradient, whole, None, {}))
        out = np.array(ask("forward", [batch])[0])
        with suppress(Refused):  # infinities among the results
            ask("step", [batch])
        return out, np.array(ask("gradient")["all"])


@pytest.mark.parametrize("name", CASES)
def test_operations_at_their_edges(name: str) -> None:
    arity = CASES[name][0]
    edges = [float(np.float32(x)) for x in IN_SINGLE]
    points = [(x,) for x in edges] if arity == 1 else [(x, y) for x in edges[:12] for y in edges[:12]]
    assert list(wrong(name, InNode(name, points, "float32"), "Node", nearly_in_single)) == []


def agree(function: Any, parameters: Any, *batch: Any) -> None:
    """Check in double precision, where the digits show every difference, and in single."""
    for dtype, tolerance in (("float64", 1e-9), ("float32", 1e-4)):
        compiled = jit(function, parameters, dtype=dtype)
        compiled.value_and_grad(*batch)
        loss, gradient = eager(function, compiled.parameters.values, *batch)
        on_wasm(compiled, batch, loss, gradient, tolerance)


def test_a_recurrent_network() -> None:
    rows = numbers(3, 7, 5)
    w, u = ([[Value(x) for x in row] for row in numbers(7, n, seed=n) * 0.3] for n in (5, 7))

    def loss(xs: Any) -> Value:
        h: Any = [0.0] * 7
        for x in xs:
            h = [(F.dot(a, x) + F.dot(b, h)).tanh() for a, b in zip(w, u, strict=True)]
        return F.dot(h, h)

    agree(loss, [w, u], rows)


def test_tables_of_offsets_sums_of_neighbors_and_integers() -> None:
    w = [Value(x) for x in (0.3, -0.7, 0.2)]

    def loss(xs: Any, n: Any) -> Value:
        folded = [sum(w[k] * xs[i + k] for k in range(3)).sigmoid() for i in range(6)]  # type: ignore[attr-defined]
        some = [folded[i * i % 5] for i in range(6)]
        return sum(some) * n + w[0] ** 2 + (w[1] * w[1]) ** n  # type: ignore[return-value]

    agree(loss, w, numbers(2, 8), np.array([2, 3]))


@pytest.mark.parametrize(
    "settings",
    [
        {"n_embd": 16, "n_head": 4, "vocab_size": 65, "block_size": 8},
        {"n_layer": 2, "positions": "rotary", "activation": "gelu", "vocab_size": 11},
        {"n_embd": 24, "n_head": 2, "bias": True, "tied_head": True, "activation": "silu", "norm": "layernorm"},
    ],
    ids=["micro", "rotary", "tied"],
)
def test_language_models(settings: Any) -> None:
    config = GPTConfig(**{"vocab_size": 13, "block_size": 6, "n_layer": 1, "n_head": 2, "n_embd": 8} | settings)
    x, y = (tokens(2, config.block_size, vocab_size=config.vocab_size, seed=n) for n in (1, 2))
    model = GPT(config)
    agree(model.loss, model, x, y)


@pytest.mark.parametrize(
    ("activation", "dtype", "tolerance"), [("gelu", "float32", 1e-4), ("relu", "float64", 1e-9)], ids=["gelu", "relu"]
)
def test_every_tensor_of_nano(activation: str, dtype: str, tolerance: float) -> None:
    """ReLU in double precision: in single, the sign of an input near 0 is another one by chance."""
    model = GPT(GPTConfig(**{**preset("nano").model, "activation": activation}), seed=1)
    batch = [tokens(1, model.config.block_size, vocab_size=model.config.vocab_size, seed=n) for n in (1, 2)]
    plain = NumpyBackend(native=False)  # numpy's own functions: they share no text of a kernel
    compiled = jit(model.loss, model, backend=plain, dtype=dtype, watch=False)
    loss, own = compiled.value_and_grad(*batch), compiled.parameters
    load(compiled.to_wasm(batch=1))
    assert error(ask("step", batch), loss) < tolerance
    found = ask("gradient")
    for name, (start, shape) in own.tensors().items():
        assert error(found[name], own.gradient[start : start + math.prod(shape)]) < tolerance, name


@pytest.mark.parametrize("kind", ["AdamW", "SGD"])
def test_fifty_steps_match_the_native_program(kind: str) -> None:
    mlp = nn.MLP(3, [8, 1])
    x, y = numbers(16, 3), numbers(16, seed=1)
    compiled = jit(lambda x, y: (mlp(x) - y) ** 2, mlp)
    compiled.value_and_grad(x, y)
    p = compiled.parameters
    optimizer: Any = SGD(p, 0.05, momentum=0.9)
    if kind == "AdamW":
        optimizer = AdamW(p, 0.05, weight_decay=0.1, no_decay=p.values[-1:])
    optimizer.step()  # it continues from here
    load(compiled.to_wasm(batch=16, optimizer=optimizer))
    for n in range(50):
        optimizer.lr = 0.05 / (1 + n / 25)
        native = compiled.value_and_grad(x, y)
        assert ask("step", [x, y]) == pytest.approx(native, rel=1e-3)
        optimizer.step()
        ask("update", {"lr": optimizer.lr})
    assert error(in_node.flat(compiled, ask("parameters")), p.array) < 1e-3
    assert ask("steps") == 51


def small() -> Any:
    table = [[Value(0.1 * i + 1.0) for i in range(3)] for _ in range(5)]
    compiled = jit(lambda token, x: (F.pick(table, token)[0] * x).log(), table)
    compiled([1, 2], [1.0, 2.0])
    return compiled


@pytest.mark.parametrize(
    ("what", "given", "sentence"),
    [
        ("step", [[1, 5], [1, 1]], "token: index 5 is out of range for a table of 5 entries (0 to 4)"),
        ("step", [[-1, 2], [1, 1]], "token: index -1 is out of range for a table of 5 entries (0 to 4)"),
        ("step", [[1.5, 2], [1, 1]], "token: expected 2 whole numbers (the examples first), got 1.5 among them"),
        ("step", [[1], [1, 1]], "token: expected 2 whole numbers (the examples first), got 1"),
        ("step", [[1, 1], ["a", 1]], "x: expected 2 numbers (the examples first), got a among them"),
        ("step", {"token": [1, 1]}, "x: expected 2 numbers (the examples first), got nothing"),
        ("step", [[1, 1]], "expected the arguments token, x, got 1"),
        ("update", {"lr": 0.1}, "there is no gradient yet: call step first"),
        ("step", [[1, 1], [-1, 1]], "the loss is NaN: log and sqrt need positive numbers"),
        ("step", [[1, 1], [math.nan, 1]], "the loss is NaN"),
    ],
    ids=["beyond", "negative", "fraction", "few", "text", "nothing", "one", "no gradient", "undefined", "NaN"],
)
def test_mistakes_are_one_sentence(what: str, given: Any, sentence: str) -> None:
    load(small().to_wasm(batch=2))
    with pytest.raises(Refused, match=re.escape(sentence)):
        ask(what, given)


def test_invalid_settings() -> None:
    w = [Value(1.0)]
    compiled = jit(lambda x: w[0] * x, w)
    compiled([1.0])
    load(compiled.to_wasm())
    ask("step", [[2.0]])
    with pytest.raises(Refused, match="lr must be a number that is at least 0, got -1"):
        ask("update", {"lr": -1})
    with pytest.raises(Refused, match="AdamW has no setting momentum"):
        ask("update", {"momentum": 1})


def test_a_gradient_is_clipped() -> None:
    w = [Value(1.0), Value(1.0)]
    compiled = jit(lambda x: w[0] * x * 3.0 + w[1] * x * 4.0, w)
    compiled([1.0])
    load(compiled.to_wasm())
    ask("step", [[1.0]])
    assert ask("clip", 10) == 5
    assert ask("gradient") == {"parameters": [3, 4]}
    assert ask("clip", 2.5) == 5
    assert ask("gradient") == {"parameters": [1.5, 2]}


def test_bytes_that_are_not_a_module() -> None:
    with pytest.raises(Refused, match="these bytes are no WebAssembly module that runs here; it is damaged"):
        ask("load", base64.b64encode(b"\0asm").decode())
    with pytest.raises(Refused, match="was not made by to_wasm"):
        ask("load", base64.b64encode(b"\0asm\1\0\0\0").decode())


def test_several_results_have_no_gradient() -> None:
    w = [Value(2.0), Value(3.0)]
    compiled = jit(lambda x: [w[0] * x, w[1] * x, w[0]], w)
    compiled([1.0])
    module = compiled.to_wasm(batch=2)
    assert module.description["optimizer"] is None
    load(module)
    assert ask("forward", [[1.0, 10.0]]) == [[2.0, 3.0, 2.0], [20.0, 30.0, 2.0]]
    with pytest.raises(Refused, match="this function has no gradient: it does not return one Value"):
        ask("step", [[1.0, 10.0]])


def test_refusals_of_the_compiler() -> None:
    w = [Value(1.0)]
    compiled = jit(lambda x: w[0] * x, w)
    with pytest.raises(CompileError, match="not compiled yet"):
        compiled.to_wasm()
    compiled([1.0])
    with pytest.raises(ValueError, match="batch must be a whole number of examples, at least 1; got the int 0"):
        compiled.to_wasm(batch=0)
    with pytest.raises(ValueError, match="the optimizer has other parameters"):
        compiled.to_wasm(optimizer=AdamW(small().parameters))
    drop = nn.Dropout(0.5)
    random = jit(lambda x: drop([w[0] * x])[0], w)
    random([1.0])
    with pytest.raises(CompileError, match=r"put the model in eval\(\) mode, or set dropout to 0"):
        random.to_wasm()


def test_a_module_is_the_same_every_time_and_describes_itself(tmp_path: Path) -> None:
    compiled = small()
    first, second = (compiled.to_wasm(batch=2) for _ in range(2))
    assert first.bytes == second.bytes
    ask("load", base64.b64encode(first.packed()).decode())
    assert ask("description") == json.loads(json.dumps(first.description))
    first.save(tmp_path / "new")
    assert (tmp_path / "new" / "step.wasm").read_bytes() == first.bytes
    assert json.loads((tmp_path / "new" / "step.json").read_text()) == json.loads(json.dumps(first.description))
    (_, pages), *_ = [(kind, body) for kind, body in binary.sections(first.bytes) if kind == 5]
    assert pages == bytes([1, 1, first.description["pages"], first.description["pages"]])  # exactly this much


@pytest.mark.browser
def test_in_a_browser(browser: Any, tmp_path: Path) -> None:
    mlp = nn.MLP(3, [8, 1])
    compiled = jit(lambda x, y: (mlp(x) - y) ** 2, mlp)
    x, y = numbers(16, 3), numbers(16, seed=1)
    loss = compiled.value_and_grad(x, y)
    module = compiled.to_wasm(batch=16)
    module.save(tmp_path)
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>-</title><link rel=icon href=data:,><script src=step.js></script>")
    browser.open(page.as_uri())
    found = browser.evaluate(
        f"""(async () => {{
          const bytes = Uint8Array.from(atob("{base64.b64encode(module.bytes).decode()}"), (c) => c.charCodeAt(0));
          const model = await tinygrad.load(bytes), losses = [], batch = {json.dumps([x.tolist(), y.tolist()])};
          for (let i = 0; i < 20; i++) {{
            losses.push(model.step(batch));
            model.update({{ lr: 0.05 }});
          }}
          losses.push(tinygrad.loadSync(bytes).step(batch));
          return losses;
        }})()"""
    )
    assert found[0] == found.pop() == pytest.approx(loss, rel=1e-5)
    assert found[-1] < 0.5 * found[0]
    assert browser.console == []
