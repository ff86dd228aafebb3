"""The picture of a compiled program: which scalars became which array instruction."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from tinygrad_edu.compiler import Compiled

from . import style
from .rendering import dot

__all__ = ["draw_program"]


def draw_program(compiled: Compiled) -> dot.Drawing:
    """Draw the forward half of what :func:`tinygrad_edu.jit` made.

    A box holds consecutive instructions from one module. Each line is an instruction: what it does, the shape of its
    result for one example, and how many scalar operations of the traced function it replaces. Boxes with a matrix
    product are blue. The tooltips show the formulas, as ``print(compiled.program)`` does.

    Args:
        compiled: a compiled function that has been called at least once.

    Returns a drawing as :func:`viz.draw` does; raises CompileError if the function has not been called yet.

    >>> from tinygrad_edu import Value, jit
    >>> w = [Value(1.0), Value(2.0)]
    >>> compiled = jit(lambda x: (w[0] * x + w[1]).tanh(), w)
    >>> _ = compiled([1.0, 2.0, 3.0])
    >>> "tanh" in draw_program(compiled).source
    True
    """
    program = compiled.program
    results = {access.array for access, _ in program.outputs}
    boxes: list[tuple[str, style.Face, bool]] = []
    edges: dict[tuple[str, str], str] = {}
    writer: dict[int, str] = {}  # the box in which an array was filled most recently
    for number, array in enumerate(program.arrays):
        if array.kind in ("input", "index"):
            shape, word = _shape(array.shape), "integer" if array.kind == "index" else "number"
            words = f"{shape} {word}{'s' * (shape != '1')}"
            writer[number] = f"input{number}"
            face = style.Face("", f"input %{number}", [words], fill=style.LEAF, tab_fill=style.LEAF_TAB)
            boxes.append((writer[number], face, False))
    lines = list(zip(program.instructions[: program.forward], _formulas(program), strict=False))
    for number, (path, run) in enumerate(groupby(lines, key=lambda line: line[0].path)):
        box, inside = f"run{number}", list(run)
        face = style.Face("", path or "the function itself", tooltip="\n".join(formula for _, formula in inside))
        for it, _ in inside:
            for x in it.reads():
                if x.array in writer and writer[x.array] != box:
                    edges.setdefault((writer[x.array], box), _shape(program.arrays[x.array].shape))
            writer[it.out.array] = box
            word, is_product = _word(program, it)
            if is_product:
                face.fill, face.tab_fill = style.MODULE, style.MODULE_TAB
            operations = f" · {it.nodes:,} operation{'s' * (it.nodes != 1)}" if it.nodes else ""
            face.rows.append((word, f"{_shape(program.arrays[it.out.array].shape)}{operations}"))
        boxes.append((box, face, any(it.out.array in results for it, _ in inside)))
    used = {end for edge in edges for end in edge}
    shown = [found for found in boxes if found[0] in used or not found[0].startswith("input")]
    return dot.plain(shown, [(*ends, words) for ends, words in edges.items()], compiled.summary())


def _formulas(program: Any) -> Iterator[str]:
    """Return the formulas of all instructions, as the program prints them, without the columns to their right."""
    return (line.split("  ")[0] for line in str(program).splitlines() if not line.startswith("#"))


def _shape(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes)) or "1"


def _word(program: Any, it: Any) -> tuple[str, bool]:
    """Return what an instruction does, in a word, and whether it is a matrix product."""
    from tinygrad_edu.compiler.compiled import is_matrix_product  # imported here because it loads numpy

    if is_matrix_product(program, it):
        return "matrix product", True
    if it.reduced():
        kind = {"mul": "sum of products", "copy": it.reduce, "select": "look up"}
        return kind.get(it.op, f"{it.reduce} of {it.op}"), False
    return _WORDS.get(it.op, it.op), False


_WORDS = {"mul": "×", "add": "+", "sub": "−", "div": "÷", "pow": "power", "fill": "mask"}
