"""Run WebAssembly modules in Node: one process for all tests, which answers line by line."""

from __future__ import annotations

import atexit
import base64
import json
import math
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.compiler.against_eager import error
from tinygrad_edu.compiler import Compiled
from tinygrad_edu.compiler.wasm_backend import module as wasm
from tinygrad_edu.compiler.wasm_backend.module import WasmModule

#: Runs in Node: calls a method of the model, or reads a property, for each line.
SCRIPT = """
const { load } = require(process.argv[1]);
const plain = (x) => x instanceof Float32Array || x instanceof Float64Array ? Array.from(x, plain)
  : Array.isArray(x) ? x.map(plain) : typeof x === "number" && !Number.isFinite(x) ? String(x)
  : x && typeof x === "object" ? Object.fromEntries(Object.entries(x).map(([k, v]) => [k, plain(v)])) : x;
const number = (_, x) => ["NaN", "Infinity", "-Infinity"].includes(x) ? Number(x) : x;
let model;
const said = [];
process.stdin.on("data", (part) => said.push(part));
require("readline").createInterface({ input: process.stdin }).on("line", async (line) => {
  let answer;
  try {
    const [what, argument] = JSON.parse(line, number);
    if (what === "load") { model = await load(Buffer.from(argument, "base64")); answer = null; }
    else answer = typeof model[what] === "function" ? model[what](argument) : model[what];
    answer = { answer: plain(answer ?? null) };
  } catch (error) {
    answer = { error: error.message, kind: error.constructor.name };
  }
  console.log(JSON.stringify(answer));
});
"""


class Refused(Exception):
    """The error that the model raised instead of a result."""


@cache
def _node() -> Any:
    path = shutil.which("node")
    assert path
    script = wasm.__file__.replace("module.py", "step.js")
    process = subprocess.Popen([path, "-e", SCRIPT, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.kill)
    return process


def ask(what: str, argument: Any = None) -> Any:
    """Call a method of the model that was loaded last, or read one of its properties."""
    process = _node()
    process.stdin.write(json.dumps([what, _plain(argument)]) + "\n")
    process.stdin.flush()
    found = json.loads(process.stdout.readline())
    if "error" in found:
        assert found["kind"] == "Error", found  # not a trap, not a bug of the script
        raise Refused(found["error"])
    return _numbers(found["answer"])


def load(module: WasmModule) -> None:
    """Load a module."""
    ask("load", base64.b64encode(module.bytes).decode())


def load_file(path: Path) -> None:
    """Load a file."""
    ask("load", base64.b64encode(path.read_bytes()).decode())


def _plain(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return [_plain(item) for item in x]
    if isinstance(x, np.ndarray):
        return _plain(x.tolist())
    return (
        str(x).replace("inf", "Infinity").replace("nan", "NaN") if isinstance(x, float) and not math.isfinite(x) else x
    )


def _numbers(x: Any) -> Any:
    if isinstance(x, list):
        return [_numbers(item) for item in x]
    if isinstance(x, dict):
        return {key: _numbers(item) for key, item in x.items()}
    return float(x) if x in ("NaN", "Infinity", "-Infinity") else x


def flat(compiled: Compiled, named: Any) -> Any:
    """Return the numbers of all tensors in the order of the array."""
    found = np.full(len(compiled.parameters), math.nan)
    for name, (start, shape) in compiled.parameters.tensors().items():
        found[start : start + math.prod(shape)] = named[name]
    return found


def on_wasm(compiled: Compiled, batch: Any, loss: float, expected: Any, tolerance: float = 1e-9) -> None:
    """Run the same in Node, twice."""
    load(compiled.to_wasm(batch=len(batch[0]) if batch else 1))
    for _ in range(2):
        assert error(ask("step", batch), loss) < tolerance
        assert error(flat(compiled, ask("gradient")), expected) < tolerance
    assert error(np.mean(ask("forward", batch)), loss) < tolerance
