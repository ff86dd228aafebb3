"""Functions on lists of Values, each built only from the primitives.

A vector is a list of Values, a matrix a list of rows. Lists of unequal length are an error, never cut to the shorter.
Numbers do where Values do, and tuples and numpy arrays where lists do; what comes out are Values. The functions work on
one example at a time.

Shapes in the margin: n inputs, m outputs, V classes.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeVar

from . import engine
from .engine import Value, as_float, constant, maximum
from .errors import CompileError, ShapeError, shown
from .nested import listed

__all__ = [
    "Matrix",
    "T",
    "Vector",
    "add",
    "as_value",
    "attend",
    "attention_weights",
    "cross_entropy",
    "dot",
    "dropout_factor",
    "gated",
    "layer_norm",
    "linear",
    "log_softmax",
    "mean",
    "modulate",
    "mse",
    "pick",
    "rms_norm",
    "softmax",
    "vector",
    "weighted_sum",
]

T = TypeVar("T")

Vector = Sequence[Value | float]
Matrix = Sequence[Vector]


_SCALARS = frozenset((Value, float, int))  # nearly always the only kinds in a vector


def vector(x: Any, user: str) -> Sequence[Value]:
    """Return ``x`` as a list or tuple of Values and numbers; raises TypeError in the name of ``user`` for anything
    else."""
    if x.__class__ is not list:
        x = listed(x)
        if not isinstance(x, (list, tuple)):
            hint = "; write list(...) around it" if hasattr(x, "__next__") else ""
            raise TypeError(f"{user} takes a list of Values or numbers, got {shown(x)}{hint}")
    if not _SCALARS.issuperset(map(type, x)):
        for kind, item in {type(item): item for item in reversed(x)}.items():
            if not _is_scalar(item):
                if isinstance(item, (str, bytes)):
                    hint = "; turn texts into numbers with float()"
                else:
                    hint = (
                        "; it works on one example at a time: [f(x) for x in batch]" if hasattr(kind, "__len__") else ""
                    )
                raise TypeError(f"{user} takes a list of Values or numbers, got a list with {shown(item)} in it{hint}")
    return x  # type: ignore[no-any-return]  # numbers do where Values do


def _is_scalar(thing: Any) -> bool:
    """Whether this is a Value, a number, a traced number or a scalar of numpy."""
    kind = type(thing)
    if issubclass(kind, (Value, Real)) or _traced(thing) is not None:
        return True
    return hasattr(kind, "__array_interface__") and not hasattr(kind, "__len__")


def _traced(number: Any) -> Value | None:
    """A number that is traced as a Value; None for any other."""
    return None if (seam := engine.tracing) is None else seam.lifted(number)


def as_value(x: Any) -> Value:
    """A Value as it is, and a number as a constant."""
    if isinstance(x, Value):
        return x
    traced = _traced(x)
    return constant(as_float(x)) if traced is None else traced


def pick(table: Sequence[T], index: int) -> T:
    """``table[index]``: select by a number from the data, such as a token or a target.

    Plain indexing does the same in the eager engine. The compiler sees ``table[index]`` only in a function whose source
    file is there, and for lists of Values; it always sees ``pick``. Raises IndexError, with index and size, if
    ``index`` is not in 0 … len(table) − 1, and TypeError if it is not an integer.
    """
    return _picked(table, index, "pick() takes one index, an integer")


def _picked(table: Sequence[T], index: int, wanted: str) -> T:
    if type(index) is not int:
        if (seam := engine.tracing) is not None and (traced := seam.pick(table, index)) is not None:
            return traced  # type: ignore[no-any-return]
        index = _integer(index, wanted)
    if not 0 <= index < len(table):
        raise IndexError(f"index {index} is out of range for a table of {len(table)} entries (0 to {len(table) - 1})")
    return table[index]


def _integer(number: Any, wanted: str) -> int:
    try:
        return operator.index(number)
    except CompileError:
        raise
    except TypeError:
        given = "a number that is no integer" if _traced(number) is not None else shown(number)
        raise TypeError(f"{wanted}; got {given}") from None


def dropout_factor(p: float, rng: random.Random) -> float:
    """Return the factor dropout applies to one element: 0 with probability p, otherwise 1 / (1 − p).

    A function of its own, so that a compiled program can draw at every call instead of keeping one draw.
    """
    if (seam := engine.tracing) is not None and (traced := seam.dropout_factor(p)) is not None:
        return traced  # type: ignore[no-any-return]
    return 0.0 if rng.random() < p else 1.0 / (1.0 - p)


def dot(a: Vector, b: Vector) -> Value:
    """Σᵢ aᵢ·bᵢ of two vectors of length n, added from left to right.

    >>> dot([Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]).data
    11.0
    """
    if a.__class__ is not list or b.__class__ is not list:
        a, b = vector(a, "dot()"), vector(b, "dot()")
    if len(a) != len(b) or not a:
        raise ShapeError(f"dot() needs two vectors of the same length, at least 1; got {len(a)} and {len(b)}")
    if (seam := engine.tracing) is not None and (traced := seam.dot(a, b)) is not None:
        return traced
    pairs = zip(a, b, strict=True)
    x, y = next(pairs)
    try:
        total = x * y
        for x, y in pairs:
            total = total + x * y
    except TypeError:
        vector(a, "dot()"), vector(b, "dot()")  # reports which operand is not a number
        raise
    if total.__class__ is not Value:  # a row of numpy that was multiplied element by element, or numbers alone
        vector(a, "dot()"), vector(b, "dot()")
        return as_value(total)
    return total


def linear(x: Vector, weight: Matrix, bias: Vector | None = None) -> list[Value]:
    """W·x + b: one dot product per row of the weight matrix.                      # (n) → (m), weight (m, n)

    The layout of ``weight`` is PyTorch's: (out_features, in_features).
    """
    x, weight = vector(x, "linear()"), listed(weight)
    if bias is None:
        return [dot(row, x) for row in weight]
    bias = vector(bias, "linear()")
    if len(bias) != len(weight):
        raise ShapeError(f"linear() needs one bias per row of the weight; got {len(bias)} and {len(weight)} rows")
    return [dot(row, x) + b for row, b in zip(weight, bias, strict=True)]


def add(a: Vector, b: Vector) -> list[Value]:
    """Element by element: a residual connection.                                                # (n), (n) → (n)"""
    if a.__class__ is not list or b.__class__ is not list:
        a, b = vector(a, "add()"), vector(b, "add()")
    if len(a) != len(b):
        raise ShapeError(f"add() needs two vectors of the same length; got {len(a)} and {len(b)}")
    try:
        sums = [x + y for x, y in zip(a, b, strict=True)]
    except TypeError:
        vector(a, "add()"), vector(b, "add()")  # reports which operand is not a number
        raise
    if not all(issubclass(kind, Value) for kind in set(map(type, sums))):
        vector(a, "add()"), vector(b, "add()")
        return [as_value(x) for x in sums]
    return sums


def mean(values: Vector) -> Value:
    """Return the average of n Values."""
    values = vector(values, "mean()")
    if not values:
        raise ShapeError("mean() of no values has no answer")
    return as_value(sum(values[1:], values[0]) / len(values))


def _shifted(logits: Vector, user: str) -> list[Value]:
    # exp() of a large logit overflows. Subtracting the largest changes nothing: it cancels in the quotient. It is
    # detached, because a shift that changes nothing has gradient 0, and it is an operation, not a number read from
    # .data, so that a trace of this function holds for other inputs as well.
    logits = vector(logits, user)
    if not logits:
        raise ShapeError("a softmax over no scores has no answer; it needs at least 1")
    largest = maximum(*logits).detach()
    return [x - largest for x in logits]


def softmax(logits: Vector) -> list[Value]:
    """Turn scores into probabilities: e^xᵢ / Σⱼ e^xⱼ, safe for scores of any size.                          # (V) → (V)

    >>> [round(p.data, 3) for p in softmax([Value(2.0), Value(1.0), Value(0.1)])]
    [0.659, 0.242, 0.099]
    """
    powers = [x.exp() for x in _shifted(logits, "softmax()")]
    total = sum(powers[1:], powers[0])
    return [p / total for p in powers]


def log_softmax(logits: Vector) -> list[Value]:
    """The logarithm of :func:`softmax`, without ever computing a probability that could round to 0.     # (V) → (V)"""
    shifted = _shifted(logits, "log_softmax()")
    powers = [x.exp() for x in shifted]
    log_total = sum(powers[1:], powers[0]).log()
    return [x - log_total for x in shifted]


def cross_entropy(logits: Vector, target: int) -> Value:
    """−log softmax(logits)[target]: the surprise of the model at the right answer, in nats.              # (V) → ()

    >>> round(cross_entropy([Value(2.0), Value(1.0), Value(0.1)], 0).data, 3)
    0.417
    """
    shifted = _shifted(logits, "cross_entropy()")
    powers = [x.exp() for x in shifted]
    wanted = "cross_entropy() takes the number of the right class (one-hot: target.index(1), float: int(target))"
    return sum(powers[1:], powers[0]).log() - _picked(shifted, target, wanted)


def mse(predictions: Vector, targets: Vector) -> Value:
    """Mean squared error of n predictions.                                                              # (n) → ()"""
    predictions, targets = vector(predictions, "mse()"), vector(targets, "mse()")
    if len(predictions) != len(targets) or not predictions:
        raise ShapeError(
            f"mse() needs as many targets as predictions, at least 1; got {len(predictions)} and {len(targets)}"
        )
    return mean([(p - t) ** 2 for p, t in zip(predictions, targets, strict=True)])


def rms_norm(x: Vector, weight: Vector | None = None, eps: float = 1e-5) -> list[Value]:
    """x / √(mean(x²) + eps), times a weight per feature if given.                                       # (n) → (n)

    Zhang and Sennrich 2019, eq. 4; eps inside the root keeps a vector of zeros harmless.
    """
    x = vector(x, "rms_norm()")
    scale = (dot(x, x) / len(x) + eps) ** -0.5
    return _scaled([v * scale for v in x], weight, None)


def layer_norm(x: Vector, weight: Vector | None = None, bias: Vector | None = None, eps: float = 1e-5) -> list[Value]:
    """(x − mean) / √(variance + eps), times a weight and plus a bias per feature if given.              # (n) → (n)

    Ba, Kiros and Hinton 2016, eq. 4. The variance is the biased one (divided by n), as in PyTorch.
    """
    x = vector(x, "layer_norm()")
    center = mean(x)
    centered = [v - center for v in x]
    scale = (dot(centered, centered) / len(x) + eps) ** -0.5
    return _scaled([v * scale for v in centered], weight, bias)


def _scaled(x: list[Value], weight: Vector | None, bias: Vector | None) -> list[Value]:
    if weight is not None:
        weight = vector(weight, "the weight of a norm")
        if len(weight) != len(x):
            raise ShapeError(f"the norm was made for {len(weight)} features; got a vector of {len(x)}")
        x = [w * v for w, v in zip(weight, x, strict=True)]
    if bias is not None:
        x = add(x, bias)
    return x


def modulate(x: Vector, shift: Vector, scale: Vector) -> list[Value]:
    """x · (1 + scale) + shift, element by element: 0 and 0 change nothing.                       # (n), (n), (n) → (n)

    >>> [v.data for v in modulate([1.0, 2.0], [0.5, 0.0], [1.0, 0.0])]
    [2.5, 2.0]
    """
    x, shift, scale = vector(x, "modulate()"), vector(shift, "modulate()"), vector(scale, "modulate()")
    if not len(x) == len(shift) == len(scale):
        raise ShapeError(
            f"modulate() needs three vectors of the same length; got {len(x)}, {len(shift)} and {len(scale)}"
        )
    return [as_value(v * (1.0 + s) + b) for v, b, s in zip(x, shift, scale, strict=True)]


def gated(x: Vector, gate: Vector, change: Vector) -> list[Value]:
    """x + gate · change, element by element: a residual connection that can be closed.          # (n), (n), (n) → (n)

    >>> [v.data for v in gated([1.0, 2.0], [0.0, 0.5], [7.0, 8.0])]
    [1.0, 6.0]
    """
    x, gate, change = vector(x, "gated()"), vector(gate, "gated()"), vector(change, "gated()")
    if not len(x) == len(gate) == len(change):
        raise ShapeError(f"gated() needs three vectors of the same length; got {len(x)}, {len(gate)} and {len(change)}")
    return [as_value(v + g * c) for v, g, c in zip(x, gate, change, strict=True)]


def attend(query: Vector, keys: Matrix, values: Matrix, mask: Vector | None = None) -> list[Value]:
    """One position attends to the positions it may see: softmax(q·k / √d) weights the values.

    Vaswani et al. 2017, eq. 1, for one query.                          # (hs), (T, hs), (T, hs) → (hs)
    The caller decides what may be seen: for causal attention, ``keys`` and ``values`` end at the query's own position.
    They are only read, so those of earlier positions can be reused. A ``mask`` of T numbers is
    added to the scores: 0 for a position that may be seen, and −1e9 for one that does not exist.
    """
    return weighted_sum(attention_weights(query, keys, mask), values)


def attention_weights(query: Vector, keys: Matrix, mask: Vector | None = None) -> list[Value]:
    """How much one query attends to each key: softmax over q·k / √d + mask; they sum to 1.   # (hs), (T, hs) → (T)"""
    query, keys = vector(query, "attention_weights()"), listed(keys)
    scale = len(query) ** -0.5 if query else 0.0
    scores = [dot(query, key) * scale for key in keys]
    if mask is not None:
        mask = vector(mask, "attention_weights()")
        if len(mask) != len(keys):
            raise ShapeError(f"a mask has one number per key; got {len(mask)} numbers and {len(keys)} keys")
        scores = [score + m for score, m in zip(scores, mask, strict=True)]
    return softmax(scores)


def weighted_sum(weights: Vector, rows: Matrix) -> list[Value]:
    """Σₜ wₜ · rowₜ, a weighted sum of T vectors of length n.                                       # (T), (T, n) →
    (n)"""
    weights = vector(weights, "weighted_sum()")
    rows = [row if row.__class__ is list else vector(row, "weighted_sum()") for row in listed(rows)]
    if len(weights) != len(rows):
        raise ShapeError(f"weighted_sum() needs one weight per row; got {len(weights)} weights and {len(rows)} rows")
    if any(len(row) != len(rows[0]) for row in rows):
        raise ShapeError(f"weighted_sum() needs rows of one length; got {', '.join(str(len(row)) for row in rows)}")
    try:
        return [dot(weights, [*column]) for column in zip(*rows, strict=True)]
    except TypeError:
        for row in rows:
            vector(row, "weighted_sum()")  # reports which operand is not a number
        raise
