"""What the layers of a model do over many characters: more than a graph of scalars can hold, by compiled programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu import functional as F
from tinygrad_edu.measure import SATURATED, Line, Units
from tinygrad_edu.nn import Module

from ..engines.compiled import line_of
from ..engines.kv_cache import in_evaluation
from ..model import GPT, Vector

__all__ = ["WINDOW", "WINDOWS", "Examination", "Gradients", "watched"]

WINDOW, WINDOWS = 8, 128  # characters in a row, and how many such rows: long rows take long to compile


@dataclass(frozen=True)
class Gradients:
    """The gradients of a loss on many characters.

    Attributes:
        tables: of each table of parameters, flat.
        parameters: a line per table.
        blocks: at the results of each block, on one row of characters, by the block's name; first to last.
        characters: how many were predicted.
    """

    tables: dict[str, Any]
    parameters: list[Line]
    blocks: dict[str, list[float]]
    characters: int


class _Probed(Module):
    """A model with a 0 added to every result of its blocks, whose gradient is that of the result."""

    def __init__(self, model: GPT, length: int) -> None:
        self.model = model
        self.probes = [
            [[Value(0.0) for _ in range(model.config.n_embd)] for _ in range(length)] for _ in model.transformer.h
        ]

    def loss(self, tokens: Sequence[int], targets: Sequence[int]) -> Value:
        """See :meth:`gpt.model.GPT.loss`."""
        x = self.model.transformer.embedded(tokens, 0)
        for block, probes in zip(self.model.transformer.h, self.probes, strict=True):
            x = [F.add(v, probe) for v, probe in zip(block(x), probes, strict=True)]
        logits = [self.model.lm_head(self.model.transformer.ln_f(v)) for v in x]
        return F.mean([F.cross_entropy(row, target) for row, target in zip(logits, targets, strict=True)])

    def bent(self, tokens: Sequence[int]) -> list[list[Vector]]:
        """The results of every activation function, in evaluation.    # (T) → (layers, T, 4C)"""
        x, found = self.model.transformer.embedded(tokens, 0), []
        for block in self.model.transformer.h:
            x = [F.add(v, a) for v, a in zip(x, block.attn([block.ln_1(v) for v in x]), strict=True)]
            found.append([block.mlp.act(block.mlp.c_fc(block.ln_2(v))) for v in x])
            x = [F.add(v, block.mlp.c_proj(h)) for v, h in zip(x, found[-1], strict=True)]
        return found


class Examination:
    """Looks at a model while it reads rows of a text from all over it.

    Args:
        model: as it is when it is asked for something.
        text: tokens; more than one.
    """

    def __init__(self, model: GPT, text: Sequence[int]) -> None:
        from tinygrad_edu import compiler  # here: it brings numpy, which the scalar path does not need

        self._model = model
        self._length = min(WINDOW, model.config.block_size, len(text) - 1)
        last = len(text) - 1 - self._length
        count = min(WINDOWS, 1 + last)
        starts = [last * i // max(1, count - 1) for i in range(count)]
        self._tokens = [list(text[i : i + self._length]) for i in starts]
        self._targets = [list(text[i + 1 : i + 1 + self._length]) for i in starts]
        self._probed = _Probed(model, self._length)
        self._parameters = compiler.Parameters(self._probed)
        self._tables = [*zip(self._parameters.names, self._parameters.starts, self._parameters.sizes, strict=True)]
        self._jit = compiler.jit

    @property
    def characters(self) -> int:
        """How many are looked at."""
        return len(self._tokens) * self._length

    def gradients(self) -> Gradients:
        """Those of the mean loss on all rows."""
        program = self._jit(self._probed.loss, self._parameters, watch=False)
        in_evaluation(self._model, program, program.value_and_grad, self._tokens, self._targets)
        gradient = self._parameters.gradient
        tables = {
            name.removeprefix("model."): gradient[start : start + size].copy()
            for name, start, size in self._tables
            if name.startswith("model.")
        }
        program.value_and_grad(self._tokens[:1], self._targets[:1])
        start = next(start for name, start, _ in self._tables if not name.startswith("model."))
        layers, size = len(self._probed.probes), self._length * self._model.config.n_embd
        probes = self._parameters.gradient[start : start + layers * size].reshape(layers, size).tolist()
        blocks = {f"transformer.h.{i}": row for i, row in enumerate(probes)}
        return Gradients(tables, [line_of(*table) for table in tables.items()], blocks, self.characters)

    def units(self) -> dict[str, Units]:
        """For the activation function of every block how many units are dead or saturated for all characters."""
        kind = self._model.config.activation
        if kind not in ("relu", "relu2", "tanh", "sigmoid"):
            return {}  # no such thing: a GELU passes something everywhere
        program = self._jit(self._probed.bent, self._parameters, watch=False)
        flat = in_evaluation(self._model, program, program.flat, self._tokens)
        results = flat.reshape(len(self._model.transformer.h), self._length, -1, len(self._tokens))
        sizes = abs(2.0 * results - 1.0 if kind == "sigmoid" else results)
        dead = (results == 0.0).all((1, 3)) & (kind in ("relu", "relu2"))  # (layers, 4C)
        flat_ones = (sizes > SATURATED).all((1, 3)) & (kind in ("tanh", "sigmoid"))
        return {
            f"transformer.h.{i}.mlp.act": Units(
                results.shape[2], int(dead[i].sum()), int(flat_ones[i].sum()), self.characters, "character"
            )
            for i in range(len(results))
        }


def watched(units: Mapping[str, Units]) -> str:
    """Over how many characters how many units were found dead or saturated, in a sentence; nothing without units."""
    if not units:
        return ""
    total, dead, flat = (sum(x) for x in zip(*((u.total, u.dead, u.saturated) for u in units.values()), strict=True))
    characters = next(iter(units.values())).examples
    found = (
        " and ".join(f"{n:,} {word}" for n, word in ((dead, "dead"), (flat, "saturated")) if n) or "none of them dead"
    )
    return f"The {total:,} units of the MLPs were watched over {characters:,} characters: {found}."
