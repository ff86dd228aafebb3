"""``jit``: the public face of the compiler."""

from __future__ import annotations

import inspect
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np

from ..collector import collector_paused
from ..engine import as_float
from ..errors import CompileError, DomainError, ShapeError, short, shown
from .backend import Backend, Executor
from .frontend.builtin_type import own_type
from .frontend.catching import catches
from .frontend.diagnostics import refuse
from .frontend.indirect import questions
from .frontend.outside import without_chance
from .frontend.repeatable import is_repeatable
from .frontend.simplify import simplify
from .frontend.structure import rebuild
from .frontend.subscripts import own_subscripts
from .frontend.surroundings import Surroundings
from .frontend.trace import trace
from .frontend.tracers import Body, Trace, is_tracing
from .numpy_backend.entry import NumpyBackend
from .optim import AdamW, ArrayOptimizer
from .parameters import FloatArray, Parameters
from .program.autodiff import differentiate
from .program.ir import Access, Instruction, Program
from .vectorize.kept import kept, name_of
from .vectorize.packs import vectorize
from .vectorize.to_program import to_program
from .wasm_backend.module import Function, WasmModule, build


@dataclass(frozen=True)
class Stats:
    """Statistics of a compiled function.

    Attributes:
        scalar_operations: operations on Values that one call of the function performs.
        instructions: the instructions of the forward program.
        gradient_instructions: those that the gradient adds; 0 if it was never requested.
        matrix_products: instructions of the forward program that are matrix products.
        multiplications: multiplications of Values in the forward program, for one example.
        matrix_share: the share of them that runs inside matrix products.
        in_python: instructions, with those of the gradient, that work on so few numbers each that they run as plain
            Python, for the batch that was compiled last.
        programs: how many programs were made until now; the other counts are of the one that ran last.
        trace_seconds, compile_seconds: how long that took, for all of them.
    """

    scalar_operations: int
    instructions: int
    gradient_instructions: int
    matrix_products: int
    multiplications: int
    matrix_share: float
    in_python: int
    programs: int
    trace_seconds: float
    compile_seconds: float


_Signature = tuple[tuple[str, tuple[int, ...]], ...]  # for every argument its kind, "input" or "index", and its shape


@dataclass(eq=False)
class _Version:
    """A compiled version of a function, for arguments of one shape and for its surroundings at that time.

    Attributes:
        signature: the arguments.
        layout: where the parameters were in their array; see :attr:`Parameters.layout`.
        around: checks whether they are still the same; None if that is turned off.
        structure: the nesting of the results.
        operations: the operations on Values in one call of the function.
        name: that of its programs on disk; empty if they are not kept.
        executors: by (with the gradient or not, size of the batch), each with the array of parameters that it reads.
        in_python: see :class:`Stats`.
    """

    signature: _Signature
    layout: tuple[int, ...]
    around: Surroundings | None
    forward: Program
    structure: Any
    operations: int
    name: str = ""
    gradient: Program | None = None
    executors: dict[tuple[bool, int], tuple[Any, Any]] = field(default_factory=dict)
    in_python: int = 0

    def fits(self, signature: _Signature, layout: tuple[int, ...]) -> bool:
        """Return whether it is for these arguments, for parameters in these places, and for the current surroundings.

        A program for any number takes whole numbers, too.
        """
        if self.signature != signature:
            if _shape(self.signature) != _shape(signature):
                return False
            if not all(was in (kind, "input") for (kind, _), (was, _) in zip(signature, self.signature, strict=True)):
                return False
        return self.layout == layout and (self.around is None or self.around.changed() is None)

    def differentiated(self) -> Program:
        """Return the program with its gradient."""
        if self.gradient is None:
            self.gradient = kept(self.name and f"{self.name}d", lambda: differentiate(self.forward))
        return self.gradient


#: This many versions of a function are kept, for surroundings that alternate, such as train() and eval().
_KEPT = 4
#: After this many compilations a warning names what keeps changing.
_OFTEN = 8
#: This many programs are kept for arguments of different shapes, and after each _MANY of them comes a warning.
_SHAPES, _MANY = 64, 20


class Compiled:
    """A function on Values that runs as an array program, for many examples at once. Made by :func:`jit`.

    It is compiled at the first call, for arguments of that shape, and with every module in the mode (``train()`` or
    ``eval()``) that it is in then. Arguments of another shape, such as a longer list, get a program of their own, which
    is kept; ``stats().programs`` counts them, and a warning comes after 20. If something else that the function reads
    has changed (a mode, a variable around it, an attribute), or if parameters were replaced, the next call recompiles
    it.

    Parameters may change freely: see :class:`Parameters`. Several threads may call it; they take turns.

    Attributes:
        parameters: the parameters in one array, with their gradient.
    """

    def __init__(self, function: Callable[..., Any], parameters: Parameters, watch: bool = True) -> None:
        self.function = function
        self.parameters = parameters
        self.trace_seconds = 0.0
        self.compile_seconds = 0.0
        self._watch = watch
        self._versions: list[_Version] = []  # the latest ones, the current one last
        self._compilations = 0  # because something has changed
        self._programs = 0

    # --- running -----------------------------------------------------------------------------------------------------

    def __call__(self, *batch: Any, **named: Any) -> Any:
        """Return the function's results for every example of a batch.

        The arguments are those of the function with one more axis in front, the examples. If the function returns a
        Value, the result is an array of shape (batch,); otherwise it is nested like the function's result.

        The examples may be lists of different lengths if the function returns a Value; those of one length run
        together.
        """
        arguments = self._by_position(batch, named)
        groups = self._by_length(arguments)
        if len(groups) == 1:
            version, inputs, size = self._inputs(arguments)
            return rebuild(version.structure, iter(self._run(version, inputs, size)))
        runs = [self._inputs(group) for _, group in groups]
        self._check_loss("a call with lists of different lengths", [version for version, *_ in runs])
        results = [self._run(*self._inputs(group))[0] for _, group in groups]
        order = np.argsort(np.concatenate([places for places, _ in groups]))
        return np.concatenate([self.parameters.backend.numbers(result) for result in results])[order]

    def flat(self, *batch: Any) -> Any:
        """Return the same results as one array (n, batch): the n Values in the order of the function's lists.

        Use it for many results, for which nested lists would take longer than the program.
        """
        return self._run(*self._inputs(batch))

    def _run(self, version: _Version, inputs: list[Any], size: int) -> Any:
        with self.parameters.lock:
            return _columns(self._executor(version, False, size).run(inputs), size)

    def bind(self, *batch: Any) -> Bound:
        """Bind the program to arguments that stay where it reads them; see :class:`Bound`."""
        version, inputs, size = self._inputs(batch)
        with self.parameters.lock, collector_paused():
            executor = self._made(version.forward, False, size, often=True)
        return Bound(self.parameters, executor, inputs)

    def value_and_grad(self, *batch: Any, **named: Any) -> float:
        """Return the mean of the function over a batch; its gradient is then in ``parameters.gradient``.

        The examples may be lists of different lengths: those of one length run together, and the mean is that over all
        examples. Raises DomainError, with the source line, if the loss is not a finite number.
        """
        groups = self._by_length(self._by_position(batch, named))
        runs = [self._inputs(arguments) for _, arguments in groups]
        if any(version.layout != self.parameters.layout for version, *_ in runs):  # a later one met more parameters
            runs = [self._inputs(arguments) for _, arguments in groups]
        self._check_loss("value_and_grad()", [version for version, *_ in runs])
        with self.parameters.lock:
            if len(runs) == 1:
                return self._mean(*runs[0])
            loss, gradient, examples = 0.0, 0.0, sum(size for *_, size in runs)
            for version, inputs, size in runs:
                loss += self._mean(version, inputs, size) * (size / examples)
                gradient = gradient + self.parameters.gradient * (size / examples)
            self.parameters.gradient[...] = gradient
        return loss

    def _mean(self, version: _Version, inputs: list[Any], size: int) -> float:
        executor = self._executor(version, True, size)
        losses = executor.run(inputs)
        gradient = self.parameters.gradient
        with np.errstate(all="ignore"):
            total = np.add.reduce(losses, None)
            loss = float(total / losses.dtype.type(losses.size))  # losses.mean(), in less time
            finite = math.isfinite(loss) and math.isfinite(gradient.dot(gradient))  # or only that overflows
        self.parameters.mark(gradient=True)
        if not finite:
            self._explain(executor, loss)
        return loss

    def _check_loss(self, what: str, versions: list[_Version]) -> None:
        for version in versions:
            if version.structure[0] not in ("value", "plain"):
                kind = version.structure[1] if version.structure[0] == "row" else version.structure[0]
                raise CompileError(
                    f"{what} expects a function that returns one Value; {self._name} returns a "
                    f"{getattr(kind, '__name__', 'constant')}"
                )

    def timed(self, *batch: Any) -> tuple[list[float], int]:
        """Do the same as :meth:`value_and_grad`, and measure time and memory.

        Returns the seconds that each instruction of ``program`` took, and the bytes of the memory block that holds all
        arrays of the program.
        """
        version, inputs, size = self._inputs(batch)
        with self.parameters.lock:
            executor = self._executor(version, True, size)
            return executor.timed(inputs), executor.memory.nbytes

    def _explain(self, executor: Any, loss: float) -> None:
        it = executor.find_not_finite()
        if it is None and np.isfinite(loss):
            return
        where = " ".join(filter(None, (it.path, it.line))) if it is not None else "the gradient"
        raise DomainError(
            f"the loss is {loss}: the first numbers that are not finite come from {_written(it)} at "
            f"{where or 'the input'}; "
            f"log and sqrt need positive numbers, a division needs a divisor that is not 0; if this comes after many "
            f"steps, the learning rate may be too high"
        )

    # --- compiling ---------------------------------------------------------------------------------------------------

    def _inputs(self, batch: tuple[Any, ...]) -> tuple[_Version, list[Any], int]:
        self.parameters.meet_others()
        arrays = [self._array(n, x) for n, x in enumerate(batch)]
        size = self._size(arrays)
        # Not tuple(… for …): a thread that compiles meanwhile visits all objects, and must not see an incomplete tuple.
        signature = tuple([("input" if a.dtype.kind == "f" else "index", a.shape[1:]) for a in arrays])
        return self._version(signature), arrays, size

    def _size(self, batch: Sequence[Any]) -> int:
        """Return the number of examples."""
        sizes = {len(x) for x in batch} or {1}
        if len(sizes) > 1:
            each = ", ".join(f"argument {n + 1} has {len(x)}" for n, x in enumerate(batch))
            raise ShapeError(f"{self._name}: expected the same number of examples in every argument, got: {each}")
        if 0 in sizes:
            raise ShapeError(f"{self._name}: expected at least one example; the batch is empty")
        return sizes.pop()

    def _by_length(self, batch: tuple[Any, ...]) -> list[tuple[list[int], tuple[Any, ...]]]:
        """Group the examples, where they are lists of different lengths: the places and the arguments of each group.

        Their sizes are powers of two, so that batches with many or few examples of a length need no further programs.
        """
        known = [_lengths(x) for x in batch]
        if not any(len(set(each)) > 1 for each in known):
            return [([], batch)]
        columns = [x if each else self._array(n, x) for n, (x, each) in enumerate(zip(batch, known, strict=True))]
        self._size(columns)
        together: dict[tuple[int, ...], list[int]] = {}
        for place, key in enumerate(zip(*filter(None, known), strict=True)):
            together.setdefault(key, []).append(place)
        groups = []
        for places in together.values():
            while places:
                size = 1 << (len(places).bit_length() - 1)
                groups.append((places[:size], tuple([[x[place] for place in places[:size]] for x in columns])))
                places = places[size:]
        return groups

    def _version(self, signature: _Signature) -> _Version:
        """Return the version for these arguments and the current surroundings, compiled if there is none yet."""
        layout = self.parameters.layout
        if self._versions and self._versions[-1].fits(signature, layout):
            return self._versions[-1]
        with self.parameters.trace_lock:
            around = self._versions[-1].around if self._versions else None
            changed = around.changed() if around is not None else None
            if changed:
                self.parameters.replace()
            layout = self.parameters.layout
            found = next((v for v in reversed(self._versions) if v.fits(signature, layout)), None)
            if found is None:
                found = self._new_version(signature, changed)
            alike = [v for v in self._versions if v is not found and _shape(v.signature) == _shape(found.signature)]
            others = [v for v in self._versions if v is not found and v not in alike[: 1 - _KEPT]]
            self._versions = [*others[1 - _SHAPES :], found]
            return found

    def _new_version(self, signature: _Signature, changed: str | None) -> _Version:
        """Compile for these arguments, and warn if that happens often; ``changed`` is why, if not for their shape."""
        first = not self._versions
        before = [v for v in self._versions if _shape(v.signature) == _shape(signature)]
        if before:  # a program for any number takes whole numbers, but not vice versa
            both = zip(signature, before[-1].signature, strict=True)
            signature = tuple(
                ("input" if "input" in (kind, was) else "index", shape) for (kind, shape), (was, _) in both
            )
        with collector_paused():  # millions of small objects, none of them garbage
            made = self._compile(signature)
        # Programs for whole numbers until now, and for parameters in other places, are of no use any more.
        old = [v for v in self._versions if v.layout != made.layout or (v in before and v.signature != signature)]
        self._versions = [v for v in self._versions if v not in old]
        self._programs += 1
        self._compilations += first or bool(changed)
        if changed and self._compilations == _OFTEN:
            warnings.warn(
                f"{self._name} was compiled {_OFTEN} times, the last time because {changed} has changed; a "
                f"number that changes often is better an argument of the function",
                stacklevel=_outside(),
            )
        elif not changed and self._programs % _MANY == 1 < self._programs:
            warnings.warn(
                f"{self._name} was compiled {self._programs} times, the last time for arguments of shape "
                f"{_shapes(signature)} per example; {_SHAPES} programs are kept: fill short lists up to one length, or "
                f"to a few, and multiply by a mask of 0.0 and 1.0",
                stacklevel=_outside(),
            )
        return made

    def _array(self, n: int, given: Any) -> Any:
        """Convert an argument to numbers with one axis for the examples; truth values are 1 and 0, as in Python."""
        wanted = (
            f"argument {n + 1} of {self._name}: expected numbers, an array or lists whose first axis is the examples"
        )
        try:
            array = np.asarray(given)
        except ValueError:
            raise TypeError(
                f"{wanted}; got lists of different lengths: in a call and in value_and_grad() the examples may differ "
                f"in length, but not the lists in one example: fill the short ones up"
            ) from None
        except Exception as error:  # what another library's arrays say
            raise TypeError(f"{wanted}; got {shown(given)}: {error}") from None
        if "numpy.ma" in sys.modules and np.ma.is_masked(given):  # numpy loads it when it is first used
            raise TypeError(f"{wanted}; got an array with masked numbers: fill them with .filled(0.0), and pass a mask")
        if array.dtype.kind == "b":
            array = array.astype(np.int64)
        if array.dtype.kind == "O" and is_tracing():
            refuse("a compiled function is called inside another one", "call the plain function there")
        if array.ndim == 0 and array.dtype.kind in "iuf":
            raise TypeError(f"{wanted}; got the single number {array}: write [{array}]")
        if array.dtype.kind == "O" and array.ndim and all(isinstance(x, Real) for x in array.flat):
            array = np.array([as_float(x) for x in array.flat]).reshape(array.shape)  # fractions, large integers
        if array.dtype.kind not in "iuf" or array.ndim == 0:
            raise TypeError(f"{wanted}; got {shown(given)}")
        if array.dtype.kind == "f" and array.itemsize > 8:
            with np.errstate(over="ignore"):
                array = array.astype(np.float64)
        if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
            raise TypeError(f"argument {n + 1} of {self._name}: {array.max()} is too large for an integer of 64 bits")
        return array

    def _by_position(self, batch: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        if not named:
            return batch
        try:
            bound = inspect.signature(self.function).bind(*batch, **named)
        except TypeError as error:
            raise TypeError(f"{self._name}: {error}") from None
        if bound.kwargs:
            names = ", ".join(bound.kwargs)
            raise TypeError(f"{self._name}: a compiled function takes its arguments by position; got {names} by name")
        return bound.args

    @property
    def _roots(self) -> tuple[Any, Any]:
        """Return the objects from which everything that the function reads can be reached."""
        return self.function, self.parameters.source

    @property
    def _name(self) -> str:
        return getattr(self.function, "__qualname__", type(self.function).__name__)

    def _compile(self, signature: _Signature) -> _Version:
        start = time.perf_counter()
        around = Surroundings(*self._roots)
        repeatable = self._watch and is_repeatable(around)

        def traced(careful: int, earlier: Trace | None = None) -> Trace:
            return trace(self.function, signature, self.parameters, self._name, careful, asked, earlier)

        def twice() -> Trace:
            first = traced(how)
            if not self._watch and not around.counted():  # it is said to stay the same, and nothing speaks against it
                return first
            if repeatable and not around.touched():  # it is certain
                return first
            between = Surroundings(*self._roots) if around.changed() else around  # it may keep what it needs later
            second = traced(how, first)
            _compare(first, second)  # names the line, where a draw is in the record
            if changed := between.counted():
                raise CompileError(
                    f"{self._name} changes {changed} whenever it runs, and a compiled program would not; change it "
                    f"outside the function, or pass it as an argument and return it as a result"
                )
            second.forget()
            return first

        indexed = around.functions if any(kind == "index" for kind, _ in signature) else ()
        with own_type(around.functions), own_subscripts(indexed):
            how, asked = catches(around.functions), questions(around.functions, around.things())
            # What is repeatable reaches neither random numbers nor clocks.
            first = twice() if repeatable else without_chance(self._name, twice, lambda: traced(0), around)
        self.trace_seconds += time.perf_counter() - start
        start = time.perf_counter()
        top = first.bodies[-1]
        _all_slots(top, self.parameters)
        if not top.outputs:
            raise CompileError(f"{self._name} returns no Value; return the loss, or a list of Values")
        name = name_of(first)
        products = any(body.rows for body in first.bodies)
        with self.parameters.backend.preparing(self.parameters.dtype) if products else nullcontext():
            forward, operations = kept(name, lambda: _program(first))
        if self._watch and around.changed():  # by the function itself
            around = Surroundings(*self._roots)
        if around.uses("label"):
            around.watch("the label of a parameter", lambda: [value.label for value in self.parameters.values])
        watched = around if self._watch else None
        layout = self.parameters.layout
        version = _Version(signature, layout, watched, forward, top.structure, operations, name)
        first.forget()
        self.compile_seconds += time.perf_counter() - start
        return version

    def _executor(self, version: _Version, gradient: bool, size: int) -> Any:
        parameters = self.parameters.current()
        found = version.executors.get((gradient, size))
        if found is None or found[1] is not parameters:
            start = time.perf_counter()
            with collector_paused():
                program = version.differentiated() if gradient else version.forward
                executor = self._made(program, gradient, size)
            found = version.executors[gradient, size] = (executor, parameters)
            version.in_python = executor.in_python
            if any(array.kind == "random" for array in program.arrays):
                executor.random = self._random
            self.compile_seconds += time.perf_counter() - start
        return found[0]

    def _made(self, program: Program, gradient: bool, size: int, often: bool = False) -> Executor:
        parameters = self.parameters
        own = parameters.gradient if gradient else None
        return parameters.backend.executor(program, parameters.current(), own, size, often)

    def to_wasm(
        self,
        *,
        batch: int = 1,
        optimizer: ArrayOptimizer | None = None,
        others: Mapping[str, Compiled] | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> WasmModule:
        """Return the function, as it was compiled last, as a WebAssembly module for browsers and Node.

        Its memory has the parameters as they are now. A function that returns one Value also gets its gradient (the
        export ``step``) and a step of an optimizer (``update``).

        Args:
            batch: how many examples each call takes.
            optimizer: an optimizer of these parameters, to go on with what it has; by default a new
                :class:`AdamW` with its usual settings.
            others: more functions of these parameters, by the names of their exports, for one example at a time.
            notes: what the description should say besides; JSON.

        Raises:
            CompileError: if it was not compiled yet; if something in it has no counterpart there; without llvmlite.
        """
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise ValueError(f"batch must be a whole number of examples, at least 1; got {shown(batch)}")
        parameters, others = self.parameters, others or {}
        if not isinstance(parameters.backend, NumpyBackend):
            raise CompileError(f"to_wasm needs parameters on NumpyBackend, these are on {parameters.backend!r}")
        for what, one in {"the optimizer": optimizer, **others}.items():
            if one is not None and one.parameters is not parameters:
                raise ValueError(f"{what} has other parameters; make it with the parameters of this function")
        with parameters.lock, collector_paused():
            version, state = self._for_module(), None
            functions = {"forward": Function(version.forward, batch, self._names(version))}
            if version.structure[0] in ("value", "plain") and len(parameters):
                functions["step"] = Function(version.differentiated(), batch, self._names(version))
                state = (optimizer or AdamW(parameters)).for_module()
            for name, other in others.items():
                own = other._for_module()
                functions[name] = Function(own.forward, 1, other._names(own))
            numbers, tensors = parameters.current(), parameters.tensors()
            return build(functions, numbers, parameters.gradient, tensors, state, notes or {})

    def _for_module(self) -> _Version:
        version = self._latest()
        if version.layout != self.parameters.layout:
            raise CompileError(f"another function has added parameters since {self._name} was called: call it again")
        return version

    def _names(self, version: _Version) -> list[str]:
        """Return the names of the arguments."""
        given = enumerate(inspect.signature(self.function).parameters.values())
        names = [p.name for n, p in given if p.kind != p.VAR_POSITIONAL and n < len(version.signature)]
        return names + [f"argument {n + 1}" for n in range(len(names), len(version.signature))]

    def seed(self, seed: int) -> None:
        """Restart the random draws of Dropout."""
        self._random.bit_generator.state = np.random.default_rng(seed).bit_generator.state

    @cached_property
    def _random(self) -> np.random.Generator:
        """What all executors draw from."""
        return np.random.default_rng(0)

    # --- explaining --------------------------------------------------------------------------------------------------

    @property
    def is_compiled(self) -> bool:
        """Return whether there is a program yet."""
        return bool(self._versions)

    @property
    def program(self) -> Program:
        """The array program, with its gradient part once that has been requested."""
        version = self._latest()
        return version.gradient or version.forward

    def _latest(self) -> _Version:
        if not self._versions:
            raise CompileError(f"{self._name} is not compiled yet: call it with a batch first, then read this")
        return self._versions[-1]

    def stats(self) -> Stats:
        """Counts and times; see :class:`Stats`."""
        program = self.program
        forward = program.instructions[: program.forward]
        total = inside = 0
        products = 0
        for it in forward:
            if it.op != "mul":
                continue
            total += it.products
            if is_matrix_product(program, it):
                inside += it.products
                products += 1
        return Stats(
            self._latest().operations, len(forward), len(program.instructions) - len(forward), products, total,
            inside / total if total else 0.0, self._latest().in_python, self._programs, self.trace_seconds,
            self.compile_seconds,
        )  # fmt: skip

    def summary(self) -> str:
        """Say in one sentence what the compiler did."""
        s = self.stats()
        mostly = 2 * s.in_python > s.instructions + s.gradient_instructions
        return (
            f"{s.scalar_operations:,} scalar operations became {s.instructions} array instructions"
            f"{f' (and {s.gradient_instructions} for the gradient)' if s.gradient_instructions else ''}; "
            f"{s.matrix_share:.0%} of the multiplications run in {s.matrix_products} matrix products"
            f"{f'; {s.in_python} instructions are for a few numbers each and run as plain Python' if mostly else ''}"
            f"{f'; this is one of {s.programs} programs that were made' if s.programs > 1 else ''}"
        )

    def __str__(self) -> str:
        if not self._versions:
            return f"{self!r}: it is compiled when it is first called with a batch"
        return f"{self.program}\n# {self.summary()}"

    def __repr__(self) -> str:
        if not self._versions:
            return f"Compiled({short(self._name)}, not compiled yet)"
        latest = f"{len(self.program.instructions):,} array instructions"
        which = f"the latest of {self._programs:,} programs: {latest}" if self._programs > 1 else latest
        return f"Compiled({short(self._name)}, {which})"


class Bound:
    """A compiled function bound to arguments. Made by :meth:`Compiled.bind`.

    Use it for a function that is called repeatedly with arguments that hardly change: what stays is not passed again.
    It has its own memory for its programs.

    >>> from tinygrad_edu import Value
    >>> weighted = jit(lambda xs, w: xs[0] * w + xs[1], [Value(0.0)]).bind([[1.0, 2.0]], [10.0])
    >>> weighted()
    array([[12.]], dtype=float32)
    >>> weighted.arguments[0][0, 1] = 5.0       # of example 0, the second number
    >>> weighted()
    array([[15.]], dtype=float32)

    Attributes:
        arguments: one array for each argument, (batch, …), to write into.
    """

    def __init__(self, parameters: Parameters, executor: Any, inputs: Sequence[FloatArray]) -> None:
        self._parameters, self._array, self._executor = parameters, parameters.current(), executor
        self._size = len(inputs[0]) if inputs else 1
        self.arguments: tuple[FloatArray, ...] = tuple(executor.inputs)
        for own, given in zip(self.arguments, inputs, strict=True):
            own[...] = given

    def __repr__(self) -> str:
        return f"Bound({len(self.arguments)} arguments for {self._size:,} examples)"

    def __call__(self) -> Any:
        """Return the results as one array (n, batch), like :meth:`Compiled.flat`."""
        self._parameters.meet_others()
        with self._parameters.lock:
            if self._parameters.current() is not self._array:
                raise CompileError(
                    "another function has added to the parameters, whose array is a new one: bind the arguments again"
                )
            return _columns(self._executor.run(self.arguments), self._size)


def _columns(out: Any, size: int) -> Any:
    """Repeat results that are the same for all examples."""
    return out if out.ndim == 2 else np.repeat(out[:, None], size, axis=1)


def jit(
    function: Callable[..., Any],
    parameters: Any = None,
    *,
    backend: Backend | None = None,
    dtype: str = "float32",
    watch: bool = True,
) -> Compiled:
    """Compile a function on Values into an array program with the same results and the same gradients.

    >>> from tinygrad_edu import Value
    >>> w = Value(3.0)
    >>> square_error = jit(lambda x, y: (w * x - y) ** 2, [w], dtype="float64")
    >>> square_error.value_and_grad([1.0, 2.0], [3.0, 4.0])         # two examples at once
    2.0
    >>> square_error.parameters.gradient
    array([4.])

    Args:
        function: takes numbers and integers, alone or in nested lists, for *one example*, and returns a Value,
            or nested lists of Values. Integers select entries: ``table[i]`` of a list of Values, where the source file
            of the function is there, or :func:`tinygrad_edu.functional.pick`. Lists may have another length in the next
            call, or in the next example of a batch: every length gets a program. ``x.data`` of a computed Value is its
            number without a gradient, and ``max`` and ``min`` take such numbers.
        parameters: what to differentiate by: a Module, nested dictionaries and lists of Values, or the
            :class:`Parameters` of another compiled function. By default the module whose method the function is, or
            else every Value that the function uses.
        backend: where it runs, such as ``NumpyBackend(threads=2)``; see :mod:`tinygrad_edu.compiler.backend`.
            :class:`Parameters` already have one.
        dtype: ``"float32"`` or, to agree with the scalar engine to the last digits, ``"float64"``.
        watch: check before every run whether something else that the function reads has changed, and recompile it if
            so. This takes some microseconds, more for many tables of parameters; with False the program stays as it is
            at the first call, and one run compiles it; a second one checks it only if the first changed a number.

    What cannot be noticed is fixed when the function is compiled: whether two numbers are one object (``x is xs[0]``,
    ``id(x)``), what it reads from files and from the environment, and variables that it finds by names made while it
    runs (``globals()["beta" + name]``). Decide on these outside the function.

    Raises:
        CompileError: at the first call, if the function does something that is valid for one example only, such as an
            ``if`` on a Value; the message has the line and what to write instead.
    """
    if not callable(function):
        raise TypeError(f"jit() needs a function, got {type(function).__name__}")
    if isinstance(parameters, Parameters):
        if backend not in (None, parameters.backend):
            raise ValueError(
                f"these parameters are on {parameters.backend!r}; choose there: Parameters(model, backend=...)"
            )
        return Compiled(function, parameters, watch)
    if parameters is None:
        owner = getattr(function, "__self__", function)
        parameters = owner if hasattr(owner, "named_parameters") else None
    return Compiled(function, Parameters(parameters, dtype, backend), watch)


def is_matrix_product(program: Program, it: Any) -> bool:
    """Return whether an instruction sums products over a loop, and has a loop that only one of its two factors has."""
    if it.op != "mul" or not all(isinstance(x, Access) for x in it.inputs):
        return False
    a, b = it.inputs
    lanes = [program.arrays[x.array].lanes for x in (it.out, a, b)]
    uses = [(it.out.uses(loop), a.uses(loop), b.uses(loop)) for loop, n in enumerate(it.loops) if n > 1] + [
        tuple(lanes)
    ]
    return any(x and y and not out for out, x, y in uses) and any(out and x != y for out, x, y in uses)


def _written(it: Instruction | None) -> str:
    """Return the source operation of an instruction: ``'/'``, ``the derivative of 'sqrt'``."""
    name = (it.of or it.op) if it is not None else "it"
    sign = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "neg": "-", "copy": "+"}.get(name, name)
    return f"the derivative of {sign!r}" if it is not None and it.of else repr(sign)


def _lengths(examples: Any) -> list[int]:
    """Return the length of each example, or nothing where they are not all lists."""
    if not isinstance(examples, (list, tuple)) or not examples or not isinstance(examples[0], _LISTS):
        return []
    return [len(x) for x in examples] if all(isinstance(x, _LISTS) for x in examples) else []


_LISTS = (list, tuple)


def _outside() -> int:
    """Return how many frames up the code is that called a function of this file, as :func:`warnings.warn` counts."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals is globals():
        frame, level = frame.f_back, level + 1
    return level


def _shape(signature: _Signature) -> list[tuple[int, ...]]:
    return [shape for _, shape in signature]


def _shapes(signature: _Signature) -> str:
    return ", ".join(f"{shape} {'integers' if kind == 'index' else 'numbers'}" for kind, shape in signature) or "none"


def _program(record: Trace) -> tuple[Program, int]:
    """Return the program of a record, and how many operations on Values it stands for."""
    block = vectorize(map(simplify, record.bodies), record.lines())
    return to_program(block), block.operations


def _all_slots(top: Body, parameters: Parameters) -> None:
    """Give the outermost body one slot per tensor, in the order of the flat array."""
    order = [*range(len(parameters.names)), -1]
    number = [order.index(tensor) for tensor in top.slots]
    for call in top.calls:
        call.slots = [number[s] for s in call.slots]
    top.slots = order


def _compare(first: Trace, second: Trace) -> None:
    """Check that two runs recorded the same: a difference comes from random numbers, a clock, or a state that
    changes."""
    for a, b in zip(first.bodies, second.bodies, strict=False):
        for i, difference in _differences(a, b):
            site = next((s for j, s in _consumers(a, i) if s), 0)
            line = first.lines()[site] or a.name
            raise CompileError(
                f"{line}: two runs of the function did not compute the same here ({difference}), so one of them would "
                f"be frozen into the program; draw random numbers outside and pass them as arguments"
            )
    if len(first.bodies) != len(second.bodies):
        raise CompileError(
            "two runs of the function did not call the same modules; it depends on something that changes"
        )


def _differences(a: Body, b: Body) -> Iterator[tuple[int, str]]:
    if a.ops == b.ops and a.args == b.args and a.parameters == b.parameters:
        return  # nearly always
    own, other = _parameters(a), _parameters(b)
    for i, (x, y, p, q) in enumerate(zip(a.ops, b.ops, a.args, b.args, strict=False)):
        if x is not y:
            yield i, f"{_op_name(x)}, then {_op_name(y)}"
        elif (p != q and repr(p) != repr(q)) or own.get(i) != other.get(i):
            yield i, f"{_args_text(x, p)}, then {_args_text(y, q)}"
    if len(a.ops) != len(b.ops):
        yield min(len(a.ops), len(b.ops)) - 1, f"{len(a.ops)} operations, then {len(b.ops)}"


def _parameters(body: Body) -> dict[int, tuple[int, int]]:
    """Return the tensor and the place of every node that is a parameter."""
    return {node: (tensor, n) for tensor, nodes in body.parameters.items() for n, node in enumerate(nodes) if node >= 0}


def _op_name(op: Any) -> str:
    return op if isinstance(op, str) else str(op.name)


def _args_text(op: Any, args: tuple[Any, ...]) -> str:
    return str(args[0]) if _op_name(op) == "constant" else f"{_op_name(op)} of other Values"


def _consumers(body: Body, node: int) -> Iterator[tuple[int, int]]:
    yield node, body.sites[node]
    for j in range(node + 1, len(body.ops)):
        if not isinstance(body.ops[j], str) and _op_name(body.ops[j]) != "constant" and node in body.args[j]:
            yield j, body.sites[j]
