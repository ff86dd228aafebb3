"""The compiled programs of a lesson, recorded while it runs, as WebAssembly modules for its page.

:mod:`lessons.compiled` runs them there. A module holds one function with the sizes of its batches, and one example
alone, of which any batch can be made. Functions that a page cannot know by its parameters, and those with random
numbers, are left out: there the scalars run.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import wraps
from typing import Any

import numpy as np

from tinygrad_edu import compiler
from tinygrad_edu.collector import collector_paused
from tinygrad_edu.compiler import Compiled
from tinygrad_edu.compiler.program.autodiff import differentiate
from tinygrad_edu.compiler.wasm_backend.module import Function, build
from tinygrad_edu.errors import CompileError
from viz.program import draw_program

from .compiled import frozen

__all__ = ["modules", "recording"]


@contextlib.contextmanager
def recording() -> Iterator[list[Compiled]]:
    """Fill the list with every function that ``jit`` compiles meanwhile.

    Their versions note the numbers that are in lists of modules: a page's own training may lead to others.
    """
    made: list[Compiled] = []
    original, compile_ = compiler.jit, Compiled._compile

    @wraps(original)
    def jit(*given: Any, **named: Any) -> Compiled:
        made.append(original(*given, **named))
        return made[-1]

    def noted(self: Compiled, signature: Any) -> Any:
        version = compile_(self, signature)
        version.frozen = frozen(self.parameters.source)  # type: ignore[attr-defined]
        return version

    compiler.jit, Compiled._compile = jit, noted  # type: ignore[method-assign]
    try:
        yield made
    finally:
        compiler.jit, Compiled._compile = original, compile_  # type: ignore[method-assign]


def _parts(numbers: list[float], places: list[int], frozen: list[float]) -> Iterator[list[int]]:
    """Find frozen numbers in a program: for each part an address and a place among them, a step of each, a count."""
    own: dict[float, list[int]] = {}
    for n, number in enumerate(frozen):
        own.setdefault(number, []).append(n)
    part: list[int] = []
    for number, address in zip(numbers, places, strict=True):
        candidates = own.get(number)
        if candidates is None:
            continue
        if part and part[4] == 1:  # nearly always the number that follows
            part[1], part[3] = address - part[0], min((n - part[2] for n in candidates), key=lambda step: abs(step - 1))
        if part and address == part[0] + part[4] * part[1] and part[2] + part[4] * part[3] in candidates:
            part[4] += 1
            continue
        if part:
            yield part
        part = [address, 0, candidates[0], 0, 1]
    if part:
        yield part


def modules(made: Iterable[Compiled], texts: Mapping[str, str], *, pictures: bool) -> bytes:
    """Return a zip file with the modules, and ``modules.json``, which says what each is for.

    ``texts`` are more files, by name; ``pictures`` says whether the page draws programs.
    """
    known: list[dict[str, Any]] = []
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, content: bytes | str) -> None:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)

        for compiled in made:
            parameters = compiled.parameters
            for version in compiled._versions:
                if version.layout[1:] != (len(parameters), 0):  # it met Values that were not listed
                    continue
                kinds = {gradient for gradient, _ in version.executors}
                programs = {
                    f"{'gradient' if gradient else 'forward'}{size}": (gradient, size)
                    for gradient, size in sorted({*version.executors, *((kind, 1) for kind in kinds)})
                }
                if True in kinds:
                    version.gradient = version.gradient or differentiate(version.forward)
                numbers, slope = (np.zeros(len(parameters), parameters.dtype) for _ in range(2))
                functions = {
                    name: Function(version.gradient if gradient else version.forward, size, compiled._names(version))  # type: ignore[arg-type]
                    for name, (gradient, size) in programs.items()
                }
                try:
                    with collector_paused():
                        module = build(functions, numbers, slope, {"all": (0, [len(numbers)])}, None, {})
                except CompileError:  # of Dropout, for example
                    continue
                content = module.packed()
                name = f"{hashlib.sha256(content).hexdigest()[:16]}.wasm"
                if any(entry["file"] == name for entry in known):
                    continue
                add(name, content)
                noted = getattr(version, "frozen", [])
                parts = [part for constants in module.constants.values() for part in _parts(*constants, noted)]
                said = {}
                for gradient in sorted(kinds):
                    alone = Compiled(compiled.function, parameters)
                    alone._versions, alone._programs = [version], 1
                    with_gradient, version.gradient = version.gradient, version.gradient if gradient else None
                    said[str(gradient)] = {"stats": asdict(alone.stats()), "summary": alone.summary()}
                    if pictures:
                        shown = draw_program(alone)
                        said[str(gradient)] |= {"drawing": shown.source, "picture": shown.drawn()}
                    version.gradient = with_gradient
                known.append(
                    {
                        "file": name, "size": len(numbers), "dtype": parameters.dtype,
                        "inputs": version.signature, "programs": programs, "said": said, "frozen": parts,
                    }
                )  # fmt: skip
        for name, text in texts.items():
            add(name, text)
        add("modules.json", json.dumps(known))
    return packed.getvalue()
