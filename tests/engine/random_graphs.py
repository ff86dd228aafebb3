"""Random expressions for tests: graphs with shared Values, constants, every primitive, and inputs used twice."""

import random

from tinygrad_edu import Value
from tinygrad_edu.engine import apply, constant, maximum, minimum
from tinygrad_edu.ops import TABLE

_POSITIVE = {"log", "sqrt"}


def random_graph(seed, size=25):
    """Return a root and its leaves; every forward value is finite."""
    rng = random.Random(seed)
    leaves = [Value(rng.uniform(-2.0, 2.0) or 1.0, label=f"w{i}") for i in range(rng.randint(1, 5))]
    values = list(leaves)
    while len(values) < len(leaves) + size:
        op = rng.choice(TABLE)
        arity = op.arity or rng.randint(1, 4)
        inputs = [rng.choice(values[-8:] if rng.random() < 0.7 else values) for _ in range(arity)]
        if rng.random() < 0.2:
            inputs[-1] = constant(rng.uniform(0.1, 3.0))
        if op.name in _POSITIVE:
            inputs = [x * x + 0.1 for x in inputs]
        elif op.name == "div":
            inputs[1] = inputs[1] * inputs[1] + 0.5
        elif op.name == "pow":
            inputs = [inputs[0] * inputs[0] + 0.1, inputs[1].tanh()]
        if op.name in ("maximum", "minimum"):
            out = (maximum if op.name == "maximum" else minimum)(*inputs)
        else:
            out = apply(op, *inputs)
        values.append(out if abs(out.data) < 50.0 else out.tanh())
    root = values[-1]
    for value in rng.sample(values, 4):
        root = root + value * rng.uniform(-1.0, 1.0)
    root = root + leaves[0] * rng.uniform(-1.0, 1.0)  # everything else may be upstream of a detach
    return root, leaves
