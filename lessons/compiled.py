"""``jit`` inside a page: the programs that :mod:`lessons.recorded` has compiled, run as WebAssembly.

A page's Python has no numpy, so nothing can be compiled there. A function finds its program among those of its lesson:
one for as many parameters and for such arguments, whose results and gradient for one example are those of its Values.
A function that has been changed so that none fits runs on Values, one example after another, and says how long that
takes. The numbers of the parameters are in JavaScript's arrays while they are trained; as with the compiler itself,
Values are made equal when they are read.
"""

from __future__ import annotations

import dis
import functools
import inspect
import io
import json
import math
import time
import types
import zipfile
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from tinygrad_edu import Value, engine, no_grad
from tinygrad_edu.errors import DomainError, ShapeError
from tinygrad_edu.nested import listed, rectangle, shape, unflatten, values_in
from tinygrad_edu.optim import _check
from viz.rendering.dot import Drawing

from .errors import LessonError
from .without_numpy import Numbers

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Compiled",
    "Machine",
    "Parameters",
    "clip_grad_norm",
    "draw_program",
    "frozen",
    "jit",
    "machine",
]

_PLAIN = (bool, int, float, str)
_KINDS = (int, float)  # of the numbers in lists
_TOLERANCE = 1e-4  # of the largest number: what arithmetic with 32 bits leaves


class Machine:
    """The programs of a page, and what runs them.

    Args:
        packed: the zip file of :func:`lessons.recorded.modules`; empty if there is none.
        script: ``machine`` of pages/live_compiled.js.
        to_js: makes an array of JavaScript of an array or bytes.
    """

    def __init__(self, packed: bytes, script: Any, to_js: Callable[[Any], Any]) -> None:
        self._archive = zipfile.ZipFile(io.BytesIO(packed)) if packed else None
        self.programs: list[dict[str, Any]] = [] if self._archive is None else json.loads(self.file("modules.json"))
        self.script, self.to_js = script, to_js

    def file(self, name: str) -> bytes:
        """Return a file that belongs to the page; raises KeyError if there is none."""
        if self._archive is None:
            raise KeyError(name)
        return self._archive.read(name)


machine = Machine(b"", None, None)  # type: ignore[arg-type]  # a Kernel sets it


class Parameters:
    """The numbers of some Values in one array; see :class:`tinygrad_edu.compiler.Parameters`."""

    def __init__(self, source: Any, dtype: str = "float32") -> None:
        found = source.parameters() if hasattr(source, "named_parameters") else values_in(source)
        self.source, self.dtype = source, dtype
        self.values: list[Value] = list(dict.fromkeys(found))
        self._own = frozenset(self.values)
        self._array, self._gradient = self.zeros(), self.zeros()
        self._agreed: list[float] = []  # what is in the array, if nothing was trained since
        self._changes = -1
        self._has_gradient = False

    def zeros(self) -> Any:
        """Return an array of JavaScript with as many zeros."""
        return machine.script.numbers(len(self.values), self.dtype)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def array(self) -> Numbers:
        """The numbers, for reading only."""
        return Numbers(self.current().to_py().tolist())

    @property
    def gradient(self) -> Numbers:
        """The gradient of the latest ``value_and_grad``, for reading only."""
        return Numbers(self._gradient.to_py().tolist())

    def current(self) -> Any:
        """Return the array, updated with what was assigned to Values."""
        for other in list(_ahead):
            if other is not self:
                other.settle()
        if self._changes != engine.changes:
            self.settle()
            numbers = [value._number for value in self.values]
            self._changes = engine.changes
            if numbers != self._agreed:
                self._agreed = numbers
                self._array.set(machine.to_js(array("d", numbers)))
        return self._array

    def mark(self, gradient: bool = False) -> None:
        """Note that the array, or the gradient, is newer than the Values."""
        self._has_gradient |= gradient
        if self not in _ahead:
            _ahead.append(self)
            engine.observe(self._look)

    def settle(self) -> None:
        """Copy to the Values what is newer in the arrays."""
        if self not in _ahead:
            return
        _ahead.remove(self)
        engine.ignore(self._look)
        before = array("f" if self.dtype == "float32" else "d", self._agreed)
        numbers = self._array.to_py().tolist()
        for value, was, number in zip(self.values, before, numbers, strict=True):
            if was != number:
                value._number = number
        if self._has_gradient:
            self._has_gradient = False
            for value, number in zip(self.values, self._gradient.to_py().tolist(), strict=True):
                value._grad = number
        self._agreed = [value._number for value in self.values]
        engine.changes += 1  # for others that hold the same Values
        self._changes = engine.changes

    write_back = settle

    def zero_grad(self) -> None:
        """Set the gradients of the Values to 0, and let nothing that is newer in an array be added to them later."""
        self.settle()
        for value in self.values:
            value._grad = 0.0

    def _look(self, value: Value | None) -> None:
        if value is None or value in self._own:
            self.settle()


_ahead: list[Parameters] = []  # whose Values are out of date


class _Version:
    """How a function runs for arguments of some shapes: a program, or nothing but Values.

    Attributes:
        result: that of one example, on Values.
        seconds: how long that took, with its gradient if it has one.
        entry, model: the program; None if there is none.
        announced: for the largest batch of how many examples it has been said how long that takes.
        frozen: the numbers of modules that the program has got.
        read: what the names in the function stood for, kept so that nothing else gets its identity.
    """

    read: Sequence[Any] = ()
    frozen: Sequence[float] = ()

    def __init__(self, result: Any, seconds: float, entry: Any, model: Any) -> None:
        self.result, self.seconds, self.entry, self.model = result, seconds, entry, model
        self.announced = 0


class Compiled:
    """A function that runs for many examples at once; see :class:`tinygrad_edu.compiler.Compiled`."""

    def __init__(self, function: Callable[..., Any], parameters: Parameters) -> None:
        self.function, self.parameters = function, parameters
        source = parameters.source
        self._modules = [module for _, module in source.named_modules()] if hasattr(source, "named_modules") else []
        self._versions: dict[Any, _Version] = {}
        self._latest: tuple[_Version, bool] | None = None
        self._reads: list[Callable[[], Any]] = []

    def __call__(self, *batch: Any, **named: Any) -> Any:
        """Return the results of every example, nested like those of one."""
        version, rows = self._rows(batch, named)
        return _like(version.result, iter(rows))

    def flat(self, *batch: Any) -> Numbers:
        """Return the results as rows, one for each number of the result."""
        return Numbers(self._rows(batch, {})[1])

    def value_and_grad(self, *batch: Any, **named: Any) -> float:
        """Return the mean over a batch; its gradient is then in ``parameters.gradient``."""
        groups = self._groups(batch, named)
        examples, loss, total = sum(size for _, size, _, _ in groups), 0.0, None
        script = machine.script
        for _, size, arguments, first in groups:
            version = self._version(arguments, first, size, True)
            if version.model is None:
                sums = self._on_values(arguments, size)
                pieces = iter([(sum(sums[0]) / size, size, sums[1])])
            else:
                pieces = self._pieces(version, arguments, size)
            for mean, count, gradient in pieces:
                loss += mean * (count / examples)
                if count == examples:
                    self.parameters._gradient.set(gradient)
                else:
                    total = total or self.parameters.zeros()
                    script.collect(total, gradient, count / examples)
        if total is not None:
            self.parameters._gradient.set(total)
        self.parameters.mark(gradient=True)
        if not (math.isfinite(loss) and math.isfinite(script.norm(self.parameters._gradient))):
            raise DomainError(
                f"the loss is {loss}: log and sqrt need positive numbers, a division needs a divisor that is not 0; if "
                f"this comes after many steps, the learning rate may be too high"
            )
        return loss

    def stats(self) -> Any:
        """Return what the compiler has counted in the program; see :class:`tinygrad_edu.compiler.compiled.Stats`."""
        return SimpleNamespace(**{**self._said("stats"), "programs": len(self._versions)})

    def summary(self) -> str:
        """Say in one sentence what the compiler did."""
        return str(self._said("summary"))

    def drawing(self) -> Drawing:
        """Return the picture of the program."""
        drawn = Drawing(body=self._said("drawing").splitlines(keepends=True)[1:-1])
        drawn._made = self._said("picture")
        drawn.words = self.summary()
        return drawn

    def _said(self, what: str) -> Any:
        if self._latest is None:
            raise LessonError("the function is not compiled yet: call it with a batch first")
        version, gradient = self._latest
        if version.entry is None or what not in (said := version.entry["said"].get(str(gradient), {})):
            raise LessonError(f"this page has no compiled program of the function as it is now, so it has no {what}")
        return said[what]

    # --- batches -----------------------------------------------------------------------------------------------------

    def _groups(self, batch: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        """Group the examples by the shapes of their arguments.

        Returns their places, how many there are, each argument as its shape and its numbers, and the first example.
        """
        if named:
            batch = inspect.signature(self.function).bind(*batch, **named).args
        given = [listed(argument) for argument in batch]
        sizes = {len(argument) for argument in given} or {1}
        if len(sizes) > 1 or 0 in sizes:
            raise ShapeError(f"expected the same number of examples in every argument, at least one; got {sizes}")
        size = sizes.pop()
        whole = [rectangle(argument, (int, float)) for argument in given]
        if all(found is not None for found in whole):
            arguments = [(found[0][1:], found[1]) for found in whole if found is not None]
            return [(range(size), size, arguments, tuple(argument[0] for argument in given))]
        together: dict[Any, list[int]] = {}
        for place, example in enumerate(zip(*given, strict=True)):
            together.setdefault(tuple(map(shape, example)), []).append(place)
        groups = []
        for places in together.values():
            [(_, count, arguments, first)] = self._groups(tuple([x[place] for place in places] for x in given), {})
            groups.append((places, count, arguments, first))
        return groups

    def _rows(self, batch: tuple[Any, ...], named: dict[str, Any]) -> tuple[_Version, list[Numbers]]:
        """Return the version, and for each number of the result those of all examples."""
        groups = self._groups(batch, named)
        columns: dict[int, Sequence[float]] = {}
        for places, size, arguments, first in groups:
            version = self._version(arguments, first, size, False)
            if version.model is None:
                with no_grad():
                    found = [_numbers(self.function(*example)) for example in _examples(arguments, size)]
            else:
                found = []
                for name, start, count in _chunks(version, size, False):
                    flat = self._run(version, name, arguments, start, count, None)
                    length = len(flat) // count
                    found += [flat[n * length : (n + 1) * length] for n in range(count)]
            columns.update(zip(places, found, strict=True))
        ordered = [columns[place] for place in range(len(columns))]
        return version, [Numbers(row) for row in zip(*ordered, strict=True)]

    def _pieces(self, version: _Version, arguments: Any, size: int) -> Iterator[tuple[float, int, Any]]:
        gradient = self.parameters.zeros()
        for name, start, count in _chunks(version, size, True):
            losses = self._run(version, name, arguments, start, count, gradient)
            yield sum(losses) / count, count, gradient

    def _run(self, version: _Version, name: str, arguments: Any, start: int, count: int, gradient: Any) -> list[float]:
        inputs = []
        for sizes, flat in arguments:
            each = math.prod(sizes)
            inputs.append(machine.to_js(array("d", flat[start * each : (start + count) * each])))
        out = machine.script.run(version.model, name, machine.to_js(inputs), self.parameters.current(), gradient)
        return out.to_py().tolist()  # type: ignore[no-any-return]

    def _on_values(self, arguments: Any, size: int) -> tuple[list[float], Any]:
        """Return the losses of all examples and the gradient of their mean, computed on Values."""
        values, losses = self.parameters.values, []
        self.parameters.zero_grad()
        for example in _examples(arguments, size):
            loss = self.function(*example)
            losses.append(loss.data)
            (loss * (1.0 / size)).backward()
        return losses, machine.to_js(array("d", [value._grad for value in values]))

    # --- which program -----------------------------------------------------------------------------------------------

    def _version(self, arguments: Any, first: Any, size: int, gradient: bool) -> _Version:
        kinds = ["input" if float in set(map(type, flat)) else "index" for _, flat in arguments]
        shapes = [sizes for sizes, _ in arguments]
        version = self._versions.get(key := (gradient, str(kinds), str(shapes), *self._settings()))
        if version is None:
            self._reads = list(_read_by(self.function, *self._modules))
            key = (*key[:3], *self._settings())
            version = self._versions[key] = self._choose(kinds, shapes, first, gradient)
            version.read = [read() for read in self._reads]
        if version.model is not None:
            self._fill(version)
        elif size > version.announced:
            version.announced, seconds = size, version.seconds * size
            about = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
            how_long = f": about {about} for {size:,} examples. Stop ends it." if seconds > 1 else "."
            print(
                f"This page has no compiled program for the function as it is now, so its Values run, one example "
                f"after another{how_long}"
            )
        self._latest = version, gradient
        return version

    def _fill(self, version: _Version) -> None:
        """Give the program the numbers that modules have in lists now."""
        if version.entry["frozen"] and (numbers := frozen(self.parameters.source)) != version.frozen:
            version.frozen = numbers
            machine.script.fill(
                version.model, machine.to_js(version.entry["frozen"]), machine.to_js(array("d", numbers))
            )

    def _settings(self) -> Any:
        """Return what else the function reads: numbers and switches of the modules, what its names stand for."""
        switches = [x for module in self._modules for x in vars(module).items() if isinstance(x[1], _PLAIN)]
        return tuple(switches), tuple([x if isinstance(x, _PLAIN) else id(x) for x in (read() for read in self._reads)])

    def _choose(self, kinds: list[str], shapes: list[Any], first: Any, gradient: bool) -> _Version:
        """Return the program whose numbers for the first example are those of Values."""
        parameters = self.parameters
        parameters.current()
        start = time.perf_counter()
        if gradient:
            parameters.zero_grad()
            result = self.function(*first)
            if not isinstance(result, Value):
                raise LessonError(f"value_and_grad() expects a function that returns one Value, got {type(result)}")
            result.backward()
        else:
            with no_grad():
                result = self.function(*first)
        seconds = time.perf_counter() - start
        wanted = [_numbers(result), [value._grad for value in parameters.values] if gradient else []]
        arguments = [(sizes, rectangle([x], (int, float))[1]) for sizes, x in zip(shapes, first, strict=True)]  # type: ignore[index]
        result = _like(result, iter([0.0] * len(wanted[0])))  # its graph would stay in memory
        for entry in machine.programs:
            own = [(kind, tuple(sizes)) for kind, sizes in entry["inputs"]]
            if (entry["size"], entry["dtype"]) != (len(parameters), parameters.dtype) or len(own) != len(shapes):
                continue
            if any(o[1] != s or o[0] not in (k, "input") for o, k, s in zip(own, kinds, shapes, strict=True)):
                continue
            if gradient and not any(with_gradient for with_gradient, _ in entry["programs"].values()):
                continue
            version = _Version(result, seconds, entry, machine.script.open(machine.to_js(machine.file(entry["file"]))))
            self._fill(version)
            name, _, count = next(_chunks(version, 1 << 30, gradient))
            slope: Any = parameters.zeros() if gradient else None
            repeated = [(sizes, flat * count) for sizes, flat in arguments]
            out = self._run(version, name, repeated, 0, count, slope)
            found = [out[: len(wanted[0])], slope.to_py().tolist() if gradient else []]
            if all(map(_agree, wanted, found)):
                return version
        return _Version(result, seconds, None, None)


def frozen(source: Any) -> list[float]:
    """Return the numbers that modules have in lists, such as weights that no longer learn."""
    found: list[float] = []
    for _, module in source.named_modules() if hasattr(source, "named_modules") else ():
        for thing in vars(module).values():
            first = thing
            while type(first) is list and first:
                first = first[0]
            if thing is not first and isinstance(first, _KINDS):
                numbers = rectangle(thing, _KINDS)
                found += map(float, numbers[1] if numbers else ())
    return found


def _read_by(*things: Any) -> Iterator[Callable[[], Any]]:
    """Return how to read each name that a function of the page reads, with the functions that it calls.

    ``things`` are the function, and the modules whose methods it may call.
    """
    space: dict[str, Any] = getattr(getattr(things[0], "__func__", things[0]), "__globals__", {})
    waiting: list[Any] = [things[0]]
    waiting += [method for module in things[1:] for kind in type(module).__mro__ for method in vars(kind).values()]
    known = set()
    while waiting:
        function = waiting.pop()
        function = getattr(function, "__func__", function)
        if getattr(function, "__globals__", None) is not space or function in known:
            continue  # of a library
        known.add(function)
        for cell in function.__closure__ or ():
            yield functools.partial(getattr, cell, "cell_contents", None)
        codes = [function.__code__]
        for code in codes:
            codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
            for name in sorted({x.argval for x in dis.get_instructions(code) if x.opname == "LOAD_GLOBAL"}):
                yield functools.partial(space.get, name)
                waiting.append(space.get(name))


def _chunks(version: _Version, size: int, gradient: bool) -> Iterator[tuple[str, int, int]]:
    """Cut a batch into those that there are programs for: the name, the first example, and how many."""
    programs = version.entry["programs"]
    kinds = {with_gradient for with_gradient, _ in programs.values()}
    own = gradient if gradient in kinds else not gradient  # a program with a gradient also has the results
    there = sorted(((count, name) for name, (kind, count) in programs.items() if kind == own), reverse=True)
    start = 0
    if size == 1 << 30:
        yield there[0][1], 0, there[0][0]
        return
    while start < size:
        count, name = next(one for one in there if one[0] <= size - start)
        yield name, start, count
        start += count


def _agree(wanted: list[float], found: list[float]) -> bool:
    if len(wanted) != len(found):
        return False
    most = max(map(abs, wanted), default=0.0)
    return all(abs(a - b) <= _TOLERANCE * most + 1e-12 for a, b in zip(wanted, found, strict=True))


def _examples(arguments: Any, size: int) -> Iterator[tuple[Any, ...]]:
    columns = [unflatten(flat, (size, *sizes)) for sizes, flat in arguments]
    return zip(*columns, strict=True)


def _numbers(result: Any) -> list[float]:
    if isinstance(result, Value):
        return [result.data]
    if isinstance(result, dict):
        result = list(result.values())
    return [x for item in result for x in _numbers(item)] if isinstance(result, (list, tuple)) else [float(result)]


def _like(result: Any, numbers: Iterator[Any]) -> Any:
    if isinstance(result, dict):
        return {key: _like(item, numbers) for key, item in result.items()}
    if isinstance(result, (list, tuple)):
        return [_like(item, numbers) for item in result]
    return next(numbers)


def jit(
    function: Callable[..., Any],
    parameters: Any = None,
    *,
    backend: Any = None,
    dtype: str = "float32",
    watch: bool = True,
) -> Compiled:
    """Return a function for many examples; see :func:`tinygrad_edu.jit`."""
    if not callable(function):
        raise TypeError(f"jit() needs a function, got {type(function).__name__}")
    if not isinstance(parameters, Parameters):
        if parameters is None:
            parameters = getattr(function, "__self__", function)
            if not hasattr(parameters, "named_parameters"):
                raise LessonError("in this page jit needs to be told the parameters: jit(function, parameters)")
        parameters = Parameters(parameters, dtype)
    return Compiled(function, parameters)


def draw_program(compiled: Compiled) -> Drawing:
    """Draw a compiled program; see :func:`viz.draw_program`."""
    return compiled.drawing()


# --- optimizers -------------------------------------------------------------------------------------------------------


class SGD:
    """See :class:`tinygrad_edu.optim.SGD`."""

    def __init__(self, parameters: Parameters, lr: float, *, momentum: float = 0.0) -> None:
        self.parameters, self.lr, self.momentum, self.steps = parameters, lr, momentum, 0
        self._state = [parameters.zeros()]

    def step(self) -> None:
        """Update every parameter once."""
        _check("lr", self.lr, 0.0)
        self.steps += 1
        numbers = self.parameters.current()
        self._move(numbers, self.parameters._gradient)
        self.parameters.mark()

    def _move(self, numbers: Any, gradient: Any) -> None:
        machine.script.sgd(numbers, gradient, *self._state, self.momentum, self.lr)


class Adam(SGD):
    """See :class:`tinygrad_edu.optim.Adam`."""

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr)
        self.betas, self.eps, self.weight_decay = betas, eps, 0.0
        self._state = [parameters.zeros() for _ in range(3)]

    def _move(self, numbers: Any, gradient: Any) -> None:
        beta1, beta2 = self.betas
        root, rate = math.sqrt(1.0 - beta2**self.steps), self.lr / (1.0 - beta1**self.steps)
        keep = 1.0 - self.lr * self.weight_decay
        machine.script.adam(numbers, gradient, *self._state, beta1, beta2, root, self.eps, rate, keep)


class AdamW(Adam):
    """See :class:`tinygrad_edu.optim.AdamW`."""

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        no_decay: Collection[Value] = (),
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps)
        self.weight_decay = weight_decay
        spared = set(no_decay)
        self._state[2].set(machine.to_js(array("d", [value not in spared for value in parameters.values])))


def clip_grad_norm(parameters: Parameters, max_norm: float) -> float:
    """Scale the gradient down if it is longer than ``max_norm``; returns the length before."""
    norm = float(machine.script.norm(parameters._gradient))
    if max_norm < norm < math.inf:
        machine.script.scale(parameters._gradient, max_norm / norm)
    return norm
