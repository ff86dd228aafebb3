"""Programs that hypothesis makes up: shared nodes, constants, chains, repeated parameters, tables, indices."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.compiler.against_eager import agree
from tinygrad_edu import Value, maximum, minimum
from tinygrad_edu import functional as F

UNARY = [
    lambda v: v.tanh(), lambda v: v.sigmoid(), lambda v: v.relu(), lambda v: v.gelu(), lambda v: v.sin(),
    lambda v: v.cos(), lambda v: abs(v), lambda v: -v, lambda v: v.detach() + v, lambda v: v.tanh().exp(),
    lambda v: (v * v + 0.5).log(), lambda v: (v * v + 0.5).sqrt(), lambda v: (v * v + 0.5) ** -0.5, lambda v: v**2,
    lambda v: 1.5 - v, lambda v: 0.5 * v + 0.25, lambda v: v / 3.0, lambda v: 2.0 / (v * v + 1.0),
]  # fmt: skip
BINARY = [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / (b * b + 1.0), maximum, minimum,
    lambda a, b: (a * a + 0.5) ** b.tanh(),
]  # fmt: skip
VECTOR = [
    lambda vs: sum(vs), lambda vs: F.dot(vs, vs[::-1]), lambda vs: F.dot(vs, vs), lambda vs: maximum(*vs),
    lambda vs: F.mean(vs), lambda vs: F.softmax(vs)[0], lambda vs: sum(v * 0.5 for v in vs),
]  # fmt: skip

step = st.one_of(
    st.tuples(st.just("unary"), st.integers(0, len(UNARY) - 1), st.integers(0, 1000), st.just(0)),
    st.tuples(st.just("binary"), st.integers(0, len(BINARY) - 1), st.integers(0, 1000), st.integers(0, 1000)),
    st.tuples(st.just("vector"), st.integers(0, len(VECTOR) - 1), st.integers(0, 1000), st.integers(1, 6)),
    st.tuples(st.just("map"), st.integers(0, len(UNARY) - 1), st.integers(0, 1000), st.integers(2, 5)),
    st.tuples(st.just("outer"), st.integers(0, len(BINARY) - 1), st.integers(0, 1000), st.integers(2, 4)),
    st.tuples(st.just("linear"), st.just(0), st.integers(0, 1000), st.just(0)),
    st.tuples(st.just("pick"), st.just(0), st.integers(0, 1000), st.integers(2, 4)),
    st.tuples(st.just("row"), st.just(0), st.integers(0, 1000), st.just(0)),
)


def function_of(steps: Any, table: Any, loose: Any) -> Any:
    """The function that a list of steps describes."""

    def loss(x: Any, index: int) -> Value:
        pool = [*loose, *[v * w for v, w in zip(loose, x, strict=True)]]

        def run(start: int, n: int) -> list[Value]:
            return [pool[(start + i) % len(pool)] for i in range(n)]

        for kind, which, a, b in steps:
            if kind == "unary":
                pool.append(UNARY[which](run(a, 1)[0]))
            elif kind == "binary":
                pool.append(BINARY[which](run(a, 1)[0], run(b, 1)[0]))
            elif kind == "vector":
                pool.append(VECTOR[which](run(a, b)).tanh())
            elif kind == "map":
                pool += [UNARY[which](v) for v in run(a, b)]
            elif kind == "outer":
                pool += [BINARY[which](v, w).tanh() for v in run(a, b) for w in run(a + 1, b)]
            elif kind == "linear":
                pool += [v.tanh() for v in F.linear(run(a, len(table[0])), table)]
            elif kind == "pick":
                pool.append(F.pick([*run(a, b), *run(a + 7, 4 - b), *run(a, 4)][:4], index))
            else:
                pool += F.pick(table, index)
        return sum(v.tanh() for v in pool[-6:]) + sum(v * v for row in table for v in row) * 0.01

    return loss


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(st.lists(step, min_size=1, max_size=10), st.integers(0, 2**16))
def test_random_programs(steps: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = [[Value(v) for v in row] for row in rng.normal(size=(4, 3)).tolist()]
    loose = [Value(v) for v in rng.normal(size=4).tolist()]
    agree(function_of(steps, table, loose), [table, loose], rng.normal(size=(2, 4)), rng.integers(0, 4, 2))
