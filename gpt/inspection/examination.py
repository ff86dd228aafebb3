"""Look into the layers of a model over many characters, by compiled programs: more than a graph of scalars can hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from tinygrad_edu import Value, calls, compiler
from tinygrad_edu import functional as F
from tinygrad_edu.errors import brief
from tinygrad_edu.gradient_stats import SATURATED, GradientStats, Units
from tinygrad_edu.nn import Activation, AttentionHead, Module
from tinygrad_edu.training.engine import in_evaluation, stats_of_array

from ..data.corpus import Sequences, spread
from ..data.documents import Windows, predicted
from ..engines.base import transposed
from ..model import GPT, Block, CausalSelfAttention, FeedForward, Transformer, Vector

__all__ = ["WINDOW", "WINDOWS", "Examination", "Forward", "Gradients", "watched"]

WINDOW, WINDOWS = 8, 128  # characters in a row, and how many such rows: long rows take long to compile


@brief
@dataclass(frozen=True)
class Gradients:
    """The gradients of a loss on many characters.

    Attributes:
        tables: the gradient of each table of parameters, flat.
        parameters: the statistics of each table.
        blocks: those at the results of each block, on one row of characters, by the block's name; first to last.
        characters: the number of predicted characters.
    """

    tables: dict[str, Any]
    parameters: list[GradientStats]
    blocks: dict[str, list[float]]
    characters: int


@brief
@dataclass(frozen=True)
class Forward:
    """The intermediate results of a forward pass over a row of T characters.

    Attributes:
        attention: by layer and head, row by row: how position i attends to positions 0 to i.     # (layers, nh, T, ≤ T)
        given: the residual stream before each block, an array.                                 # (layers, T, C)
        activations: the results of every activation function, an array.                               # (layers, T, 4C)
        logits: an array.                                                                       # (T, V)
    """

    attention: list[list[list[list[float]]]]
    given: Any
    activations: Any
    logits: Any


_Watch = Callable[[Module, Any, Callable[[], Any]], Any]


@contextmanager
def _watching(opened: tuple[type[Module], ...], watch: _Watch) -> Iterator[None]:
    """Pass module calls in the block through ``watch``, which may record them and change their results.

    Args:
        opened: modules of these kinds are not watched but inlined: to the compiler a call of any other module is
            closed, and its inside cannot be seen from outside.
        watch: gets the module, the arguments, and a function that makes the call.
    """

    def hook(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        forward = partial(module.forward, *args, **kwargs)
        if isinstance(module, opened):
            return forward()
        return watch(module, args, forward if outer is None else partial(outer, module, args, kwargs))

    with calls.listening(hook) as outer:
        yield


class _Probed(Module):
    """A model with a 0 added to every result of its blocks, whose gradient is that of the result."""

    def __init__(self, model: GPT, length: int) -> None:
        self.model = model
        self.probes = [
            [[Value(0.0) for _ in range(model.config.n_embd)] for _ in range(length)] for _ in model.transformer.h
        ]

    def loss(self, tokens: Sequence[int], targets: Sequence[int], weights: Sequence[float] | None = None) -> Value:
        """See :meth:`gpt.model.GPT.loss`."""
        probes = iter(self.probes)

        def watch(module: Module, args: Any, call: Callable[[], Any]) -> Any:
            return [*map(F.add, call(), next(probes))] if isinstance(module, Block) else call()

        with _watching((GPT, Transformer), watch):
            return self.model.loss(tokens, targets, weights)


class _Seen(Module):
    """A block in evaluation mode that returns more than its results.

    It is a module, so that the compiler treats all blocks alike.    # (T, C) → (nh, T, ≤ T), (T, 4C), (T, C)
    """

    def __init__(self, block: Block) -> None:
        self.block = block

    def forward(self, x: list[Vector]) -> tuple[list[list[Vector]], list[Vector], list[Vector]]:
        """Return the weights of the heads, the results of the activation function, and those of the block."""
        heads: list[list[Vector]] = []
        activations: list[Vector] = []

        def watch(module: Module, args: Any, call: Callable[[], Any]) -> Any:
            if isinstance(module, AttentionHead):
                queries, keys = args[:2]
                heads.append([F.attention_weights(q, keys[:i]) for i, q in enumerate(queries, 1)])
            result = call()
            if isinstance(module, Activation):
                activations.append(result)
            return result

        with _watching((Block, CausalSelfAttention, FeedForward), watch):
            return heads, activations, self.block(x)


class _Opened:
    """A model that returns more than its logits. It is not the examination itself, which holds what is compiled of it:
    a cycle would keep the numbers in memory.
    """

    def __init__(self, model: GPT) -> None:
        self._model, self._blocks = model, [_Seen(block) for block in model.transformer.h]

    def forward(self, tokens: Sequence[int]) -> Any:
        """Return the weights of the heads, the inputs and the activations of the blocks, and the logits."""
        blocks, heads, given, activations = iter(self._blocks), [], [], []

        def watch(module: Module, args: Any, call: Callable[[], Any]) -> Any:
            if not isinstance(module, Block):
                return call()
            weights, results, x = next(blocks)(args[0])
            given.append(args[0])
            heads.append(weights)
            activations.append(results)
            return x

        with _watching((GPT, Transformer), watch):
            logits = self._model(tokens)
        return heads, given, activations, logits


class Examination:
    """Examines a model while it reads rows from all parts of a text.

    Everything about forward passes comes from one program, and all gradients from another.

    Args:
        model: as it is when it is asked for something.
        text: tokens; more than one.
        length: of the rows in which units are watched, if the context and the text are that long.
        end: the token at which documents end, if the text is joined documents; rows are pieces of documents then.
    """

    def __init__(self, model: GPT, text: Sequence[int], length: int = WINDOW, end: int | None = None) -> None:
        self._model, self._text, self._end = model, text, end
        self._length, self._row = (min(n, model.config.block_size, len(text) - 1) for n in (length, WINDOW))
        self._probed = _Probed(model, self._row)
        self._parameters = compiler.Parameters(self._probed)
        self._loss = compiler.jit(self._probed.loss, self._parameters, watch=False)
        self._pass = compiler.jit(_Opened(model).forward, self._parameters, watch=False)

    def refresh(self) -> None:
        """Read the numbers of the model after they were changed."""
        self._parameters.refresh()

    def _rows(self, length: int) -> Sequences:
        """Return rows spread over the text."""
        count = min(WINDOWS, WINDOWS * WINDOW // length)
        if self._end is not None:
            return spread(self._text, length, count, self._end)
        last = len(self._text) - 1 - length
        count = min(count, 1 + last)
        starts = [last * i // max(1, count - 1) for i in range(count)]
        return [tuple(list(self._text[i + by : i + by + length]) for by in (0, 1)) for i in starts]

    def forward(self, tokens: Sequence[int]) -> Forward:
        """See what happens to some tokens; a program is made for each number of tokens."""
        config, n = self._model.config, len(tokens)
        flat = in_evaluation(self._model, self._pass, self._pass.flat, [tokens])[:, 0]
        shapes = [(config.n_layer, n, config.n_embd), (config.n_layer, n, config.mlp_ratio * config.n_embd), (n, -1)]
        ends = np.cumsum([config.n_layer * config.n_head * n * (n + 1) // 2, *map(math.prod, shapes[:2])])
        weights, *arrays = np.split(flat, ends)
        left = iter(weights.tolist())
        attention = [
            [[list(islice(left, i + 1)) for i in range(n)] for _ in range(config.n_head)] for _ in range(config.n_layer)
        ]
        return Forward(attention, *[part.reshape(shape) for part, shape in zip(arrays, shapes, strict=True)])

    def gradients(self) -> Gradients:
        """Return the gradients of the mean loss on all rows."""
        rows, n = self._rows(self._row), self._row
        tables = [*zip(self._parameters.names, self._parameters.starts, self._parameters.sizes, strict=True)]
        in_evaluation(self._model, self._loss, self._loss.value_and_grad, *transposed(rows))
        gradient = self._parameters.gradient
        own = {
            name.removeprefix("model."): gradient[start : start + size].copy()
            for name, start, size in tables
            if name.startswith("model.")
        }
        # The first row alone, repeated: a program for fewer rows would have to be compiled first.
        first = rows.some([0] * len(rows)) if isinstance(rows, Windows) else [rows[0]] * len(rows)
        self._loss.value_and_grad(*transposed(first))
        start = next(start for name, start, _ in tables if not name.startswith("model."))
        layers, size = self._model.config.n_layer, n * self._model.config.n_embd
        probes = self._parameters.gradient[start : start + layers * size].reshape(layers, size).tolist()
        blocks = {f"transformer.h.{i}": row for i, row in enumerate(probes)}
        return Gradients(own, [stats_of_array(*table) for table in own.items()], blocks, sum(map(predicted, rows)))

    def units(self) -> dict[str, Units]:
        """Count for the activation function of every block the units that are dead or saturated for all characters."""
        kind = self._model.config.activation
        if kind not in ("relu", "relu2", "tanh", "sigmoid"):
            return {}  # none: a GELU passes some gradient everywhere
        rows = self._rows(self._length)
        dead: Any = kind in ("relu", "relu2")  # both soon of every unit: (layers, 4C)
        flat: Any = kind in ("tanh", "sigmoid")
        for row in rows:
            results = self.forward(row[0]).activations[:, : predicted(row)]
            sizes = abs(2.0 * results - 1.0 if kind == "sigmoid" else results)
            dead, flat = dead & (results == 0.0).all(1), flat & (sizes > SATURATED).all(1)
        return {
            f"transformer.h.{i}.mlp.act": Units(
                len(dead[i]), int(dead[i].sum()), int(flat[i].sum()), sum(map(predicted, rows)), "character"
            )
            for i in range(self._model.config.n_layer)
        }


def watched(units: Mapping[str, Units]) -> str:
    """Say in a sentence how many units are dead or saturated, and over how many characters; empty without units."""
    if not units:
        return ""
    total, dead, flat = (sum(x) for x in zip(*((u.total, u.dead, u.saturated) for u in units.values()), strict=True))
    characters = next(iter(units.values())).examples
    found = (
        " and ".join(f"{n:,} {word}" for n, word in ((dead, "dead"), (flat, "saturated")) if n) or "none of them dead"
    )
    return f"The {total:,} units of the MLPs were watched over {characters:,} characters: {found}."
