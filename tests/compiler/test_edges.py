"""Edge cases: engine, interpreter, numpy, machine code, Python and PyTorch agree, forward and backward.

Back ends may differ by design in the last bits, in the sign of a zero, and where a result is refused by the
engine: programs give infinity or NaN there. In machine code, a number that divides many others is inverted
once, so a divisor below 1e-308 gives infinity.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, jit, ops
from tinygrad_edu.compiler import Compiled, NumpyBackend, Parameters
from tinygrad_edu.compiler.numpy_backend import executor as numpy_executor
from tinygrad_edu.compiler.numpy_backend import scalars
from tinygrad_edu.compiler.program.interpreter import interpret
from tinygrad_edu.engine import apply, constant, maximum, minimum

INF, NAN = math.inf, math.nan
#: Zeros, the smallest and largest numbers, NaN; where exp overflows and underflows; ties.
EDGES = [
    0.0, -0.0, 5e-324, -5e-324, 1e-310, 1e-300, -1e-300, 1e308, -1e308, INF, -INF, NAN, 1.0, -1.0, 0.5, 2.0, -3.0,
    1e-9, 37.0, -40.0, -709.0, -720.0, -745.0, 710.0, 1e4, -1e4,
]  # fmt: skip
PAIRED = [0.0, -0.0, 5e-324, 1e308, INF, -INF, NAN, 1.0, -1.0, 0.5]  # all pairs
IN_SINGLE = [0.0, -0.0, 1e-6, -1e-6, 1e6, -1e6, INF, -INF, NAN, 1.0, -1.0, 0.5, -3.0, 1e-4, -40.0, 80.0, -95.0]
GRADIENTS = (1.0, 0.0, INF)
EXPONENTS = (0.0, 1.0, 2.0, 3.0, 5.0, 0.5, -0.5, 1.5, 0.25, -1.0, -2.0, INF, NAN)

CASES: dict[str, tuple[int, Callable[..., Any]]] = {
    **{op.name: (1 if op.arity == 1 else 2, partial(apply, op)) for op in ops.TABLE},
    **{f"x ** {n}": (1, lambda x, n=n: x**n) for n in EXPONENTS},
    "2 ** x": (1, lambda x: 2.0**x),
    "0 ** x": (1, lambda x: 0.0**x),
    "1 / x": (1, lambda x: 1.0 / x),
    "-(x - y)": (2, lambda x, y: -(x - y)),
    "max(x, 1)": (1, lambda x: maximum(x, 1.0)),
    "max(x, y, x)": (2, lambda x, y: maximum(x, y, x)),
    "min(x, y, 0)": (2, lambda x, y: minimum(x, y, 0.0)),
}


@cache
def eager(name: str, point: tuple[float, ...], gradient: float) -> tuple[float, list[float]] | None:
    """Return the number and the gradients passed on, or None where the result is undefined."""
    leaves = [Value(x) for x in point]
    try:
        out = CASES[name][1](*leaves)
        if out.op is not ops.DETACH:
            (out * constant(gradient)).backward()
    except (ArithmeticError, ValueError):
        return None
    return out.data, [leaf.grad for leaf in leaves]


class Swept:
    """A case compiled for many points at once, each with its own Values, forward only and with gradients."""

    def __init__(self, name: str, points: list[tuple[float, ...]], dtype: str = "float64") -> None:
        arity, function = CASES[name]
        self.points, self.inputs = points, [[Value(1.5) for _ in points] for _ in range(arity)]
        self.parameters = Parameters(self.inputs, dtype)
        self.forward = self._compiled(lambda gradients: [function(*xs) for xs in zip(*self.inputs, strict=True)])
        self.backward = self._compiled(
            lambda gradients: sum(function(*xs) * g for *xs, g in zip(*self.inputs, gradients, strict=True))
        )
        for column, values in zip(zip(*points, strict=True), self.inputs, strict=True):
            for value, number in zip(values, column, strict=True):
                value.data = number
        self.parameters.refresh()

    def _compiled(self, function: Callable[..., Any]) -> Compiled:
        compiled = jit(function, self.parameters, watch=False)
        compiled.flat(np.ones((1, len(self.points))))
        return compiled

    def on(self, backend: str, gradient: float) -> tuple[Any, Any]:
        """Return the results of all points, and the gradients (arity, points)."""
        batch = np.full((1, len(self.points)), gradient)
        run = {"interpreter": self._interpreted, "torch": self._tensors}.get(backend, partial(self._arrays, backend))
        out, found = run(batch)
        return np.asarray(out).ravel(), np.asarray(found).reshape(len(self.inputs), -1)

    def _programs(self) -> tuple[Any, Any]:
        if self.backward._latest().gradient is None:
            self.backward._executor(self.backward._latest(), True, 1)
        return self.forward.program, self.backward.program

    def _arrays(self, backend: str, batch: Any) -> tuple[Any, Any]:
        ours = NumpyBackend(native=backend == "machine code")
        with pytest.MonkeyPatch.context() as patch:  # every part as machine code, however small
            patch.setattr(numpy_executor, "FEW", 0)
            patch.setattr(scalars, "WORTH", -INF if backend == "Python" else INF)
            patch.setattr(scalars, "MOST_POINTS", 2000)
            forward, backward = (self._executor(ours, p) for p in self._programs())
        self.parameters.gradient[...] = 7.0
        out = forward.run([batch]).copy()
        backward.run([batch])
        return out, self.parameters.gradient.copy()

    def _executor(self, backend: NumpyBackend, program: Any) -> Any:
        gradient = None if program.gradient is None else self.parameters.gradient
        return backend.executor(program, self.parameters.array, gradient, 1)

    def _tensors(self, batch: Any) -> tuple[Any, Any]:
        from gpt.engines.torch.backend import TorchBackend

        tensors, (forward, backward) = TorchBackend(), self._programs()
        parameters, gradient = map(tensors.array, (self.parameters.array, np.zeros_like(self.parameters.array)))
        out = tensors.executor(forward, parameters, None, 1).run([batch])
        tensors.executor(backward, parameters, gradient, 1).run([batch])
        return out, gradient.numpy()

    def _interpreted(self, batch: Any) -> tuple[Any, Any]:
        forward, backward = self._programs()
        access, loops = forward.outputs[0]
        given = {"input": batch.T, "parameter": self.parameters.array}
        done, back = (
            interpret(p, {n: given[a.kind] for n, a in enumerate(p.arrays) if a.kind in given}, 1)
            for p in (forward, backward)
        )
        places = tuple(np.moveaxis(access.indices(loops), -1, 0))
        return done[access.array][places], back[backward.gradient]


def wrong(name: str, swept: Swept, backend: str, near: Callable[[float, float], bool]) -> Iterator[str]:
    """Return where a back end differs from the engine."""
    for gradient in GRADIENTS:
        out, gradients = swept.on(backend, gradient)
        for n, point in enumerate(swept.points):
            expected = eager(name, point, gradient)
            if expected is None:
                if math.isfinite(out[n]):
                    yield f"{name} at {point}: refused by the engine, {backend} says {out[n]}"
                continue
            for what, a, b in zip(
                ["result", *"ab"], [out[n], *gradients[:, n]], [expected[0], *expected[1]], strict=False
            ):
                if not (near(float(a), b) or (math.isnan(a) and math.isnan(b))):
                    yield f"{name} at {point}, gradient {gradient}, {what}: {backend} {a}, engine {b}"


def nearly(a: float, b: float) -> bool:
    """Compare up to the last bits; the smallest numbers have few."""
    return a == b or abs(a - b) <= max(1e-13 * min(abs(a), abs(b)), 1e-322)


def nearly_in_single(a: float, b: float) -> bool:
    """Compare with the precision and range of float32."""
    return a == b or abs(a - b) <= max(1e-5 * min(abs(a), abs(b)), 1e-37) or min(abs(a), abs(b)) > 1e37


def points(name: str) -> list[tuple[float, ...]]:
    """Return the points at which a case is tried."""
    arity = CASES[name][0]
    return list(itertools.product(EDGES if arity == 1 else PAIRED, repeat=arity))


@pytest.mark.parametrize("name", CASES)
def test_the_interpreter_numpy_machine_code_and_python_match_the_engine(name: str) -> None:
    swept = Swept(name, points(name))
    for backend in ("interpreter", "numpy", "machine code", "Python"):
        assert list(wrong(name, swept, backend, nearly)) == []


@pytest.mark.torch
@pytest.mark.parametrize("name", CASES)
def test_tensors_match_the_engine(name: str) -> None:
    assert list(wrong(name, Swept(name, points(name)), "torch", nearly)) == []


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][0] == 1 and name != "gelu"])
def test_in_single_precision(name: str) -> None:
    singles = [(float(np.float32(x)),) for x in IN_SINGLE]
    swept = Swept(name, singles, "float32")
    for backend in ("numpy", "machine code"):
        assert list(wrong(name, swept, backend, nearly_in_single)) == []


def test_a_zero_derivative_stops_an_infinite_gradient_in_a_whole_function() -> None:
    w = [Value(-1.0), Value(4.0)]
    compiled = jit(lambda x: sum((v * x).relu().sqrt() for v in w), w, dtype="float64")
    assert compiled.value_and_grad([1.0]) == 2.0  # the first square root has an infinite derivative
    assert compiled.parameters.gradient.tolist() == [0.0, 0.25]


def test_a_shared_divisor_gets_no_gradient_from_a_quotient_of_zero() -> None:
    w = Value(4.0)
    compiled = jit(lambda xs: sum((x / w).sqrt() for x in xs), [w], dtype="float64")  # (0 + 1 + 2) / sqrt(w)
    assert compiled.value_and_grad([[0.0, 1.0, 4.0]]) == 1.5
    assert w.grad == pytest.approx(-0.1875)


def test_a_computed_zero_to_the_power_of_zero() -> None:
    w = Value(0.0)
    compiled = jit(lambda x: (w * x).tanh() ** 0, [w], dtype="float64")
    assert compiled.value_and_grad([1.0, 2.0]) == 1.0
    assert w.grad == 0.0


def test_a_large_gradient_causes_no_warning() -> None:
    w = Value(1.0)
    assert jit(lambda x: w * x * 1e25, [w]).value_and_grad([1.0]) == np.float32(1e25)
    assert w.grad == pytest.approx(1e25)
