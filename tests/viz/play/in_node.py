"""Run the playground's code in Node: the scripts of the Worker, then an expression whose value comes back."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from viz.play.page import worker_library

#: JSON has no NaN: numbers that are not finite come as words, typed arrays as lists.
PLAIN = """
const plain = (x) => ArrayBuffer.isView(x) ? Array.from(x, plain)
  : Array.isArray(x) ? x.map(plain) : typeof x === "number" && !Number.isFinite(x) ? String(x)
  : typeof x === "bigint" ? Number(x) : Object.is(x, -0) ? "-0"
  : x && typeof x === "object" ? Object.fromEntries(Object.entries(x).map(([k, v]) => [k, plain(v)])) : x;
const read = (_, x) => x && x.number !== undefined ? Number(x.number) : x;
const given = JSON.parse(@GIVEN@, read);
(async () => console.log(JSON.stringify(plain(await (async () => { @CODE@ })()) ?? null)))();
"""


class Failed(AssertionError):
    """The JavaScript threw: the text is what Node wrote."""


def run(code: str, given: Any = None, *, screens: Sequence[str] = ()) -> Any:
    """The value of a JavaScript expression, or what statements ``return``; ``given`` is there as a constant.

    Args:
        code: may use ``await``.
        given: plain data; numbers that are not finite arrive as such, in both directions.
        screens: whose models are needed.
    """
    node = shutil.which("node")
    assert node
    body = code if "return " in code else f"return ({code});"
    parts = {"@GIVEN@": json.dumps(json.dumps(_words(given))), "@CODE@": body}
    script = worker_library(screens) + PLAIN
    for place, text in parts.items():
        script = script.replace(place, text, 1)
    done = subprocess.run([node, "-"], input=script, capture_output=True, text=True)
    if done.returncode:
        raise Failed(done.stderr[-3000:])
    return _numbers(json.loads(done.stdout.splitlines()[-1]))


def _words(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: _words(item) for key, item in x.items()}
    if isinstance(x, (list, tuple)):
        return [_words(item) for item in x]
    if isinstance(x, float) and (not math.isfinite(x) or str(x) == "-0.0"):
        return {"number": str(x).replace("inf", "Infinity").replace("nan", "NaN")}
    return x


def _numbers(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: _numbers(item) for key, item in x.items()}
    if isinstance(x, list):
        return [_numbers(item) for item in x]
    return float(x) if x in ("NaN", "Infinity", "-Infinity", "-0") else x
