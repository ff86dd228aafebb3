"""The compiler's programs on PyTorch tensors: the same instructions, on a CPU or a GPU.

It is here and not next to the numpy back end because the library itself needs nothing but numpy, and must not know
PyTorch: ``jit(function, model, backend=TorchBackend("cuda"))``.

As in the numpy back end every array has a place in one block of memory, and every access is a strided view of it, made
in advance. An instruction then computes at every point (or multiplies matrices), sums over the loops that the output
lacks, and stores the result. PyTorch's autograd is not used: the gradient is part of the program.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from tinygrad_edu.compiler import Backend, Executor, Parameters
from tinygrad_edu.compiler.program.ir import Access, Instruction, Program
from tinygrad_edu.compiler.program.updates import Update
from tinygrad_edu.compiler.runtime.allocation import allocate, lifetimes
from tinygrad_edu.compiler.runtime.axis_order import orders
from tinygrad_edu.compiler.runtime.dropout_masks import Share, mask_of
from tinygrad_edu.compiler.runtime.index_range import check_range, index_limits
from tinygrad_edu.formulas import Tree, expression, slopes

__all__ = [
    "FORWARD",
    "OVERRIDES",
    "SLOPES",
    "TAKES_NUMBERS",
    "Lowered",
    "Operand",
    "Tensor",
    "TorchBackend",
    "TorchExecutor",
    "clip_grad_norm",
]

Tensor = Any  # torch.Tensor; PyTorch is not installed for type checking


class TorchBackend(Backend):
    """Arrays as tensors on a device, and programs that run there.

    Args:
        device: as PyTorch names it: ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        part: (which, of how many): the part of a larger batch that these programs see. Random numbers (dropout) are
            drawn for the whole batch, and each part uses its own, so that the parts add up to the whole.
    """

    few_calls = True

    def __init__(self, device: str = "cpu", part: tuple[int, int] = (0, 1)) -> None:
        self.device, self.part = torch.device(device), part

    def array(self, numbers: Any) -> Tensor:
        """Return a tensor with these numbers."""
        return torch.from_numpy(numbers).to(self.device)

    def numbers(self, array: Tensor) -> Any:
        """Return a tensor as a numpy array; one on the CPU shares its memory."""
        return array.detach().cpu().numpy()

    def put(self, array: Tensor, places: Any, numbers: Any) -> None:
        """Write numbers to some positions."""
        array[self.array(places)] = self.array(numbers)

    def executor(
        self, program: Program, parameters: Tensor, gradient: Tensor, batch: int, often: bool = False
    ) -> TorchExecutor:
        """Make what runs a program on these parameters."""
        return TorchExecutor(program, parameters, gradient, batch, self.part)

    def in_place(self, updates: Sequence[Update]) -> Callable[[], None]:
        """Return what makes all updates once, on whole tensors."""
        steps = [step for update in updates for step in _in_place(update)]

        def run() -> None:
            for step in steps:
                step()

        return run

    def __repr__(self) -> str:
        return f"TorchBackend({str(self.device)!r}, {self.part})"


class TorchExecutor(Executor):
    """A program for one batch size, on the device of its parameters. See the numpy back end's ``NumpyExecutor``."""

    def __init__(
        self, program: Program, parameters: Tensor, gradient: Tensor, batch: int, part: tuple[int, int] = (0, 1)
    ) -> None:
        super().__init__(program, batch)
        self.part = part
        self.device, self.dtype = parameters.device, parameters.dtype
        self.orders = orders(program)  # of the numpy back end: random numbers are drawn in it
        self.one_hots: dict[Any, Tensor] = {}
        self.flat: list[Tensor] = [None] * len(program.arrays)  # the numbers of an array in memory order
        self._allocate(parameters, gradient)
        self._limits = index_limits(program)
        self._given = [n for n, array in enumerate(program.arrays) if array.kind in ("input", "index")]
        self.steps = [Lowered(self, it).run for it in program.instructions]

    # --- memory ---------------------------------------------------------------------------------------------------

    def _allocate(self, parameters: Tensor, gradient: Tensor) -> None:
        program = self.program
        first, last = lifetimes(program)
        sizes: dict[int, int] = {}
        for number, array in enumerate(program.arrays):
            size = array.size * (self.batch if array.lanes else 1)
            if array.kind == "parameter":
                self.flat[number] = parameters
            elif number == program.gradient:
                self.flat[number] = gradient
            elif array.kind == "constant":
                data = torch.from_numpy(np.array(array.data, np.float64))
                self.flat[number] = data.to(self.device, self.dtype).reshape(-1)
            elif array.kind in ("value", "gradient"):
                if number in first:
                    sizes[number] = -(-size // 16) * 16
            else:
                dtype = torch.int64 if array.kind == "index" else self.dtype
                fill = 1.0 / self.batch if array.lanes else 1.0
                self.flat[number] = torch.full((size,), fill, device=self.device, dtype=torch.float64).to(dtype)
        places, total = allocate(sizes, first, last)
        memory = torch.zeros(total, dtype=self.dtype, device=self.device)
        for number, place in places.items():
            self.flat[number] = memory[place : place + sizes[number]]

    def strides(self, number: int) -> tuple[int, ...]:
        """Return the stride along every axis of an array, that of the lanes last; 0 without lanes.

        The lanes are outermost, one sequence after the other, as PyTorch's matrix products prefer (the numpy back end
        puts them inside).
        """
        array = self.program.arrays[number]
        steps, step = [], 1
        for n in reversed(array.shape):
            steps.append(step)
            step *= n
        return (*reversed(steps), step if array.lanes else 0)

    def whole(self, number: int) -> Tensor:
        """Return an array with its axes in the order of the program, the lanes last."""
        array = self.program.arrays[number]
        shape = (*array.shape, self.batch) if array.lanes else array.shape
        flat = self.flat[number]
        return flat.as_strided(shape, self.strides(number)[: len(shape)], flat.storage_offset())

    # --- running --------------------------------------------------------------------------------------------------

    def run(self, inputs: Sequence[Any]) -> Any:
        """Fill in the inputs, each of shape (batch, …), run, and return the outputs, shape (n, batch) or (n,)."""
        for number, numbers in zip(self._given, inputs, strict=True):
            lanes_last = np.ascontiguousarray(np.moveaxis(np.asarray(numbers), 0, -1))
            if number in self._limits:
                check_range(lanes_last.astype(np.int64), self._limits[number])
            self.whole(number).copy_(torch.from_numpy(lanes_last))
        for number, array in enumerate(self.program.arrays):
            if array.kind == "random":
                self.whole(number).copy_(torch.from_numpy(self._draw(number)))
        for step in self.steps:
            step()
        return self.outputs()

    def outputs(self) -> Any:
        """Return the results of the latest run."""
        access, loops = self.program.outputs[0]
        lanes = self.program.arrays[access.array].lanes
        shape = (*loops, self.batch) if lanes else loops
        return Operand(self, access, loops, lanes)().expand(shape).cpu().numpy().copy()

    def _draw(self, number: int) -> Any:
        """Draw dropout masks with numpy's generator: those of the compiled engine, on every device."""
        array = self.program.arrays[number]
        which, parts = self.part
        share = Share(which * self.batch, self.batch, parts * self.batch)
        return mask_of(array, self.random, self.orders[number], share) * array.data[1]

    def one_by_one(self) -> Iterator[tuple[Instruction, Any]]:
        """See :class:`Executor`."""
        for step, it in zip(self.steps, self.program.instructions, strict=True):
            step()
            yield it, self.whole(it.out.array).cpu().numpy()


#: What instructions of updates are, with ``out=``.
_UPDATES = {"mul": torch.mul, "add": torch.add, "div": torch.div, "sqrt": torch.sqrt, "equal": torch.eq}


def _in_place(update: Update) -> Iterator[Callable[[], Any]]:
    """The instructions of an update, each as one call that writes where the result belongs."""
    flat = [torch.empty_like(update.arrays[0]) if array is None else array for array in update.arrays]
    for it in update.program(update.size).instructions:
        out, inputs = flat[it.out.array], []
        for x in it.inputs:
            if isinstance(x, Access):  # a whole tensor, or one of the numbers
                x = flat[x.array] if x.uses(0) else flat[x.array][x.offset[0]]
            inputs.append(x)
        if it.accumulate:
            yield partial(out.add_ if it.op == "copy" else out.sub_, *inputs)
        else:
            yield partial(_UPDATES[it.op], *inputs, out=out)


class Operand:
    """An access: when called, it returns a tensor with an axis per loop (and one for lanes), of length 1 where nothing
    changes.

    Attributes:
        used: the axes along which it changes.
        view: the strided view; None if no view can do it: a table of indices, or a negative step.
        places: in that case, the indices in the array's memory.
    """

    def __init__(self, executor: TorchExecutor, x: Access, loops: Sequence[int], lanes: bool) -> None:
        self.flat = executor.flat[x.array]
        *axes, lane = executor.strides(x.array)
        shape = [*loops, executor.batch] if lanes else list(loops)
        self.view: Tensor = None
        self.places: Tensor = None
        if x.table is None:
            steps = [sum(row[loop] * s for row, s in zip(x.steps, axes, strict=True)) for loop in range(len(loops))]
            steps = [0 if n == 1 else s for n, s in zip(shape, [*steps, lane] if lanes else steps, strict=True)]
            self.used = [d for d, s in enumerate(steps) if s]
            sizes = [n if s else 1 for n, s in zip(shape, steps, strict=True)]
            if all(s >= 0 for s in steps):
                start = sum(o * s for o, s in zip(x.offset, axes, strict=True))
                self.view = self.flat.as_strided(sizes, steps, self.flat.storage_offset() + start)
                self.distinct = _distinct([(s, n) for s, n in zip(steps, shape, strict=True) if s])
                return
        else:
            own_lanes = [len(loops)] if lanes and lane and executor.batch > 1 else []
            self.used = [d for d, n in enumerate(loops) if n > 1] + own_lanes
        places = torch.from_numpy(x.indices(loops) @ np.array(axes, np.int64).reshape(len(axes)))
        if lanes:
            places = places[..., None] + torch.arange(executor.batch if lane else 1) * lane
        keep = [slice(None) if d in self.used or shape[d] == 1 else slice(1) for d in range(len(shape))]
        self.places = places[tuple(keep)].to(executor.device)
        self.distinct = False

    def __call__(self) -> Tensor:
        """Return the current numbers."""
        return self.view if self.view is not None else self.flat[self.places]

    def write(self, result: Tensor, accumulate: bool) -> None:
        """Store numbers, or add them; numbers for the same position are added up."""
        if self.view is not None and self.distinct:
            if accumulate:
                self.view.add_(result)
            else:
                self.view.copy_(result)
            return
        places = self.places if self.places is not None else self._all_places()
        if not accumulate:
            self.flat[places] = 0.0
        self.flat.index_add_(0, places.reshape(-1), result.expand(places.shape).reshape(-1))

    def _all_places(self) -> Tensor:
        numbers = torch.arange(len(self.flat), device=self.flat.device)
        return numbers.as_strided(
            self.view.shape, self.view.stride(), self.view.storage_offset() - self.flat.storage_offset()
        )


def _distinct(steps: list[tuple[int, int]]) -> bool:
    """Return whether all points of a view are distinct, by (step, length) of its axes."""
    reach = 0
    for step, n in sorted(steps):
        if step <= reach:
            return False
        reach += step * (n - 1)
    return True


class Lowered:
    """One instruction, ready to run."""

    def __init__(self, executor: TorchExecutor, it: Instruction) -> None:
        arrays = executor.program.arrays
        self.executor, self.it = executor, it
        self.lanes = any(arrays[x.array].lanes for x in (it.out, *it.reads()))
        self.shape = [*it.loops, executor.batch] if self.lanes else list(it.loops)
        self.out = Operand(executor, it.out, it.loops, self.lanes)
        self.inputs: list[Any] = [
            Operand(executor, x, it.loops, self.lanes) if isinstance(x, Access) else x for x in it.inputs
        ]
        self.gone = [d for d, n in enumerate(self.shape) if n > 1 and d not in self.out.used]
        if it.op == "select":
            self._prepare_select()
        elif it.op == "mul" and self.gone and it.reduce == "sum" and all(isinstance(x, Operand) for x in self.inputs):
            first, second = self.inputs
            self.compute = self._products(first, first.used, second, second.used)
        elif it.op == "fill":
            mask = torch.from_numpy(np.array(it.mask, bool)).to(executor.device)
            self.mask = mask[..., None] if self.lanes else mask
            self.compute = lambda: torch.where(self.mask, self.inputs[0](), it.value)
        else:
            function = _backward(it.op[5:]) if it.op.startswith("grad:") else FORWARD[it.op]
            self.compute = self._elementwise(function, it.op in TAKES_NUMBERS)

    def run(self) -> None:
        """Compute, combine and write."""
        self.out.write(self._combined(self.compute()), self.it.accumulate)

    def _combined(self, result: Tensor) -> Tensor:
        if result.dim() < len(self.shape):
            result = result.reshape([1] * len(self.shape))
        dims = [d for d in self.gone if result.shape[d] > 1]
        if self.it.reduce != "sum":
            extreme = torch.amax if self.it.reduce == "max" else torch.amin
            return extreme(result, dims, keepdim=True) if dims else result
        times = math.prod(self.shape[d] for d in self.gone if d not in dims)
        result = result.sum(dims, keepdim=True) if dims else result
        return result * times if times != 1 else result

    def _elementwise(self, function: Callable[..., Tensor], numbers: bool) -> Callable[[], Tensor]:
        inputs = self.inputs
        if not numbers or not any(isinstance(x, Operand) for x in inputs):
            executor = self.executor
            inputs = [
                x
                if isinstance(x, Operand)
                else (lambda t: lambda: t)(torch.tensor(x, dtype=executor.dtype, device=executor.device))
                for x in inputs
            ]
        return lambda: function(*(x() if callable(x) else x for x in inputs))

    def _products(
        self, a: Callable[[], Tensor], in_a: Collection[int], b: Callable[[], Tensor], in_b: Collection[int]
    ) -> Callable[[], Tensor]:
        """Compute Σ a·b over the summed loops, with matrix products as far as possible."""
        letters = "abcdefghijklmnopqrstuvwxyz"
        kept = [d for d in range(len(self.shape)) if d not in self.gone and (d in in_a or d in in_b)]
        one, two, out = ("".join(letters[d] for d in dims) for dims in (sorted(in_a), sorted(in_b), kept))
        formula = f"{one},{two}->{out}"
        sizes_a, sizes_b = ([self.shape[d] for d in sorted(dims)] for dims in (in_a, in_b))
        sizes = [n if d in kept else 1 for d, n in enumerate(self.shape)]

        def compute() -> Tensor:
            return torch.einsum(formula, a().reshape(sizes_a), b().reshape(sizes_b)).reshape(sizes)

        # A loop that neither factor has is left to _combined, which multiplies by its length.
        self.gone = [d for d in self.gone if d not in in_a and d not in in_b]
        return compute

    def _prepare_select(self) -> None:
        index, x = self.inputs
        k, executor = self.it.axis, self.executor
        n = self.shape[k]
        candidates = torch.arange(n, device=executor.device).reshape(
            [n if d == k else 1 for d in range(len(self.shape))]
        )
        access = self.it.inputs[0]
        assert isinstance(access, Access)
        key = (access.array, access.offset, access.steps, self.it.loops, k)
        if key not in executor.one_hots:  # made by the first instruction that needs it, in every run
            hot = torch.empty([n if d == k or d in index.used else 1 for d, n in enumerate(self.shape)],
                              dtype=torch.bool, device=executor.device)  # fmt: skip
            executor.one_hots[key] = hot
            refresh: Callable[[], Any] = lambda: torch.eq(index(), candidates, out=hot)  # noqa: E731
        else:
            refresh = lambda: None  # noqa: E731
        hot = executor.one_hots[key]
        if set(index.used) & set(x.used) - {k} - set(self.gone) or not self.gone:
            self.compute = lambda: (refresh(), torch.where(hot, x(), 0.0))[1]
            return
        products = self._products(
            lambda: hot.to(executor.dtype), sorted({*index.used, *([k] if n > 1 else [])}), x, x.used
        )
        self.compute = lambda: (refresh(), products())[1]


# --- the operations ---------------------------------------------------------------------------------------------------


def _power(a: Any, b: Any) -> Tensor:
    root = torch.pow(a, b)
    if isinstance(b, float) and abs(b) == 0.5:  # PyTorch takes the square root, which −∞ lacks; but it has a power
        return torch.where(a == -math.inf, math.inf if b > 0.0 else 0.0, root)
    return root


def _power_slope(a: Any, b: Any, out: Any) -> Tensor:
    a = a + 0.0  # the derivative at -0.0 is that at 0.0
    if isinstance(b, float):
        return b * _power(a, b - 1.0) if b else torch.zeros_like(a)
    return torch.where(b == 0.0, 0.0, b * torch.pow(a, b - 1.0))


def _sigmoid(a: Any) -> Tensor:
    e = torch.exp(-torch.abs(a))
    return torch.where(a < 0.0, e, 1.0) / (1.0 + e)


def _gelu(a: Any) -> Tensor:
    return torch.where(a == -math.inf, 0.0, torch.nn.functional.gelu(a))


def _gelu_slope(a: Any, out: Any) -> Tensor:
    near = torch.clamp(a, -1e4, 1e4)  # beyond, the density is 0, and infinity times 0 would be NaN
    return torch.special.ndtr(near) + near * torch.exp(-0.5 * near * near) / math.sqrt(2.0 * math.pi)


def _flow(g: Any, slope: Any) -> Tensor:
    """Multiply a gradient by a derivative; a derivative of 0 stops it, as in the engine, even if it is infinite."""
    return torch.where(slope == 0.0, 0.0, g * slope)


#: An input of these may be a plain number; all inputs of the others are tensors.
TAKES_NUMBERS = ("add", "sub", "mul", "div", "pow", "grad:pow:0")

#: ``function(*inputs) -> output``
FORWARD: dict[str, Callable[..., Tensor]] = {
    "copy": lambda a: a, "detach": lambda a: a,
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "neg": operator.neg,
    "pow": _power,
    "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt, "tanh": torch.tanh, "sigmoid": _sigmoid,
    "relu": torch.relu, "gelu": _gelu, "sin": torch.sin, "cos": torch.cos, "abs": torch.abs,
    "maximum": torch.maximum, "minimum": torch.minimum,
    "equal": lambda a, b: (a == b).to(a.dtype), "flow": _flow,
}  # fmt: skip

_WORDS: dict[str, Callable[..., Any]] = FORWARD | {
    "if": torch.where, "==": operator.eq, "<": operator.lt, ">": operator.gt, "<=": operator.le,
}  # fmt: skip


def _derived(tree: Tree, names: tuple[str, ...]) -> Callable[..., Tensor]:
    return lambda *operands: expression(tree, dict(zip(names, operands, strict=True)), _WORDS)


#: In place of derived ones: an exponent may be a plain number, and the formula of gelu has an erf.
OVERRIDES: dict[str, Callable[..., Tensor]] = {"pow:0": _power_slope, "gelu:0": _gelu_slope}
#: ``function(*inputs, output)`` -> the local derivative
SLOPES = {name: _derived(tree, names) for name, tree, names in slopes(_WORDS)} | OVERRIDES


def _backward(name: str) -> Callable[..., Tensor]:
    slope = SLOPES[name]
    return lambda g, *inputs_and_out: _flow(g, slope(*inputs_and_out))


# --- the optimizer ----------------------------------------------------------------------------------------------------


def clip_grad_norm(parameters: Parameters, max_norm: float) -> float:
    """Scale the gradient down if its norm is above ``max_norm``; returns the norm before."""
    norm = float(torch.linalg.vector_norm(parameters.gradient))
    if max_norm < norm < math.inf:
        parameters.gradient.mul_(max_norm / norm)
    return norm
