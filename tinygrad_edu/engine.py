"""``Value``: one number that remembers how it was computed, and can therefore be differentiated.

Every operation on Values makes a new Value that keeps three things: the result (``data``), the row of the operation
table that made it (``op``) and the Values it was made from (``inputs``). That is all the chain rule needs:
``backward`` walks the graph once in reverse and multiplies local derivatives from the table.

>>> a, b, c, f = Value(2.0, label="a"), Value(-3.0, label="b"), Value(10.0, label="c"), Value(-2.0, label="f")
>>> L = (a * b + c) * f
>>> L.backward()
>>> L.data, a.grad, b.grad, c.grad, f.grad
(-8.0, 6.0, -4.0, -2.0, 4.0)

A node keeps no closure and no reference to its users, so the graph has no cycles: it is freed by reference counting the
moment the last name for it goes away (see :mod:`tinygrad_edu.collector`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Real
from typing import Any, Final, Protocol

from . import ops
from .errors import NoGradientError, short, shown
from .ops import ADD, CONSTANT, MUL, Op

__all__ = [
    "NO_GRADIENT_YET",
    "Tracing",
    "Value",
    "apply",
    "as_float",
    "changes",
    "constant",
    "ignore",
    "is_recording",
    "maximum",
    "minimum",
    "no_grad",
    "observe",
    "topological_order",
    "touch",
    "tracing",
]

#: The gradient of a Value that no ``backward`` has reached yet. It is the number 0.0, but a separate object, so that
#: ``value.grad is NO_GRADIENT_YET`` tells "not computed yet" from "computed, and zero" at no cost per node.
NO_GRADIENT_YET: Final = float("0")

#: How often a number was assigned to a Value, so that the owner of a copy knows that it may be out of date.
changes = 0


class Tracing(Protocol):
    """What the library asks ``engine.tracing`` while the compiler traces a function: the seam between the two.

    A traced number has no number, only a place in a record. Wherever the library would need it, it first asks here, and
    None is the answer for what is to be computed as always: in another thread, or without a traced number. Calls of
    modules are seen by :func:`tinygrad_edu.calls.listening`, and ``.data`` by :func:`observe`.
    """

    def operation(self, op: Op, inputs: tuple[Value, ...]) -> Value | None:
        """The result of an operation, recorded; for :func:`apply`."""

    def value(self, data: Any) -> Op | None:
        """What made a new ``Value(data)``: a constant of the program; None if it is a leaf, as always."""

    def lifted(self, number: Any) -> Value | None:
        """A traced number that is none of Values as a Value."""

    def dot(self, a: Any, b: Any) -> Value | None:
        """The dot product of two vectors, as one node."""

    def pick(self, table: Any, index: Any) -> Any:
        """``table[index]`` for a traced index."""

    def dropout_factor(self, p: float) -> Any:
        """By what dropout multiplies one element: a draw of the program."""


#: What is asked while a function is traced, in any thread; None nearly always. Read it once: it may change meanwhile.
tracing: Tracing | None = None

_observers: tuple[Callable[[Value | None], None], ...] = ()
_unusual: set[object] = set()  # the observers, and a mark for every no_grad() open in any thread: nearly always empty
_pause: ContextVar[object] = ContextVar("pause", default=None)  # the innermost one of this thread or task
_new = object.__new__  # making nodes through __new__ and plain stores is twice as fast as calling the class


class Value:
    """A scalar with a gradient.

    Args:
        data: any real number, one of numpy's as well; kept as a float.
        label: a name for drawings and for ``repr``.

    Attributes:
        op: the row of :data:`tinygrad_edu.ops.TABLE` that computed this Value, ``ops.CONSTANT`` for a number in a
            formula or one computed inside :func:`no_grad`, None for a leaf.

    Two Values are equal only if they are the same object; ``<``, ``<=``, ``>``, ``>=`` compare the numbers. The names
    that the well-known micrograd lecture uses (``_prev``, ``_op``, ``_backward``) are here too.
    """

    __slots__ = ("__weakref__", "_a", "_b", "_grad", "_label", "_number", "op")

    _number: float
    _grad: float
    op: Op | None
    _a: Value | None
    _b: Any
    _label: str

    def __init__(self, data: float, label: str = "") -> None:
        self.op = None if (seam := tracing) is None else seam.value(data)
        self._number = data if type(data) is float else as_float(data)
        self._grad = NO_GRADIENT_YET
        self._a = None
        if label != "" or label.__class__ is not str:
            self.label = label

    @property
    def data(self) -> float:
        """The number. Assign to it to change a parameter: ``w.data -= lr * w.grad``."""
        for look in _observers:
            look(self)
        return self._number

    @data.setter
    def data(self, number: float) -> None:
        global changes
        for look in _observers:
            look(self)
        self._number = number if type(number) is float else as_float(number)
        changes += 1

    @property
    def grad(self) -> float:
        """∂(root)/∂(this) for the root on which ``backward`` was called; 0.0 before."""
        for look in _observers:
            look(self)
        return self._grad

    @grad.setter
    def grad(self, number: float) -> None:
        for look in _observers:
            look(self)
        self._grad = number if type(number) is float else as_float(number)

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The Values it was computed from, in the order of the formula; ``x * x`` has x twice.

        The tuple is made here. A node keeps its inputs in two slots, for nearly all have two, and a million tuples
        would take a seventh of the time of a step; if there are more, the second slot has all but the first.
        """
        a = self._a
        if a is None:
            return ()
        b = self._b
        if type(b) is tuple:
            return (a, *b)
        return (a,) if b is None else (a, b)

    @inputs.setter
    def inputs(self, inputs: tuple[Value, ...]) -> None:
        self._a = inputs[0] if inputs else None
        self._b = inputs[1] if len(inputs) == 2 else inputs[1:] or None

    @property
    def label(self) -> str:
        """The name for drawings and ``repr``; the empty string if none was given."""
        try:
            return self._label
        except AttributeError:  # the slot is filled only if there is a label: a million nodes have none
            return ""

    @label.setter
    def label(self, label: str) -> None:
        if not isinstance(label, str):
            raise TypeError(f"a label is a text, got {shown(label)}")
        self._label = str(label)  # a text of numpy becomes a plain one

    # --- the two operations that make up nearly all of a network: written out for speed -----------------------

    def __add__(self, other: Value | float) -> Value:
        if other.__class__ is not Value:
            other = _lift(other)
            if other is NotImplemented:
                return NotImplemented
        if _unusual:
            return apply(ADD, self, other)  # type: ignore[arg-type]  # by now it is a Value
        out = _new(Value)
        out._number = self._number + other._number  # type: ignore[union-attr]
        out._grad = NO_GRADIENT_YET
        out.op = ADD
        out._a, out._b = self, other
        return out

    def __mul__(self, other: Value | float) -> Value:
        if other.__class__ is not Value:
            other = _lift(other)
            if other is NotImplemented:
                return NotImplemented
        if _unusual:
            return apply(MUL, self, other)  # type: ignore[arg-type]  # by now it is a Value
        out = _new(Value)
        out._number = self._number * other._number  # type: ignore[union-attr]
        out._grad = NO_GRADIENT_YET
        out.op = MUL
        out._a, out._b = self, other
        return out

    # --- every other operation: one line each ---------------------------------------------------------------------

    def __radd__(self, other: float) -> Value:
        if isinstance(other, int) and other == 0:
            return self  # sum() starts from 0; without this every sum would begin with a superfluous "0 +"
        return _binary(ops.ADD, other, self)

    def __rmul__(self, other: float) -> Value:
        return _binary(ops.MUL, other, self)

    def __sub__(self, other: Value | float) -> Value:
        return _binary(ops.SUB, self, other)

    def __rsub__(self, other: float) -> Value:
        return _binary(ops.SUB, other, self)

    def __truediv__(self, other: Value | float) -> Value:
        return _binary(ops.DIV, self, other)

    def __rtruediv__(self, other: float) -> Value:
        return _binary(ops.DIV, other, self)

    def __pow__(self, other: Value | float) -> Value:
        return _binary(ops.POW, self, other)

    def __rpow__(self, other: float) -> Value:
        return _binary(ops.POW, other, self)

    def __neg__(self) -> Value:
        return apply(ops.NEG, self)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return apply(ops.ABS, self)

    def abs(self) -> Value:
        """Return the absolute value; its derivative at 0 is taken as 0."""
        return apply(ops.ABS, self)

    def exp(self) -> Value:
        """Return e to this power; infinity if that is too large for a float."""
        return apply(ops.EXP, self)

    def log(self) -> Value:
        """Return the natural logarithm. Raises :class:`DomainError` for numbers that are not positive."""
        return apply(ops.LOG, self)

    def sqrt(self) -> Value:
        """Return the square root. Raises :class:`DomainError` for negative numbers."""
        return apply(ops.SQRT, self)

    def tanh(self) -> Value:
        """Return the hyperbolic tangent, from −1 to 1."""
        return apply(ops.TANH, self)

    def sigmoid(self) -> Value:
        """Return the logistic function 1 / (1 + e^−x), from 0 to 1."""
        return apply(ops.SIGMOID, self)

    def relu(self) -> Value:
        """Return this number if it is positive, otherwise 0."""
        return apply(ops.RELU, self)

    def gelu(self) -> Value:
        """Return x · Φ(x) with Φ of the normal distribution, in its exact form (Hendrycks and Gimpel 2016)."""
        return apply(ops.GELU, self)

    def sin(self) -> Value:
        """Return the sine of an angle in radians."""
        return apply(ops.SIN, self)

    def cos(self) -> Value:
        """Return the cosine of an angle in radians."""
        return apply(ops.COS, self)

    def maximum(self, other: Value | float) -> Value:
        """Return the larger of two; equal inputs share the gradient."""
        return maximum(self, other)

    def minimum(self, other: Value | float) -> Value:
        """Return the smaller of two; equal inputs share the gradient."""
        return minimum(self, other)

    def detach(self) -> Value:
        """Return the same number, through which no gradient flows."""
        return apply(ops.DETACH, self)

    # --- as a number ------------------------------------------------------------------------------------------

    def __float__(self) -> float:
        """Return the number if no gradient can be lost: inside :func:`no_grad`, of a constant or of ``x.detach()``.

        Python's ``math.exp(x)`` calls this like ``float(x)``, and a TypeError is better than a gradient of 0.
        """
        number = self.data
        if is_recording() and (self.op is None or self.op.derivatives is not None):
            raise TypeError(
                "float() and the functions of math would lose the gradient of a Value; "
                "write x.data for the number, or x.exp(), x.tanh() and the like for an operation"
            )
        return number

    def __int__(self) -> int:
        return int(self.data)

    def __round__(self, digits: int | None = None) -> float:
        return round(self.data, digits)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def __lt__(self, other: Value | float) -> bool:
        return self.data < _compared(other)

    def __le__(self, other: Value | float) -> bool:
        return self.data <= _compared(other)

    def __gt__(self, other: Value | float) -> bool:
        return self.data > _compared(other)

    def __ge__(self, other: Value | float) -> bool:
        return self.data >= _compared(other)

    def __repr__(self) -> str:
        grad = "" if self.grad is NO_GRADIENT_YET else f", grad={self._grad!r}"
        label = f", label={short(repr(self.label))}" if self.label else ""
        return f"Value(data={self.data!r}{grad}{label})"

    # --- the chain rule -------------------------------------------------------------------------------------------

    def backward(self) -> None:
        """Fill ``grad`` of every Value that this one was computed from: ∂(this)/∂(that).

        As in PyTorch, *leaves* accumulate over several calls until their ``grad`` is set back to zero, while the Values
        in between hold the gradient of the latest call:

        >>> x = Value(3.0)
        >>> y = x**3
        >>> y.backward()
        >>> x.grad
        27.0
        >>> y.backward()
        >>> x.grad
        54.0

        Raises :class:`NoGradientError` if no leaf can be reached: the result of :func:`no_grad`, of constants alone
        or of :meth:`detach`.
        """
        for look in _observers:
            look(None)
        if not _reaches_a_leaf(self):
            raise NoGradientError(
                "backward() found no Value that could receive a gradient: this one was computed inside no_grad(), "
                "from numbers alone or behind detach(); compute it from Values, with recording on"
            )
        order, cleared = _computed_in_order(self)
        self._grad += 1.0  # 1 for a computed Value, whose grad was just cleared; one more for a leaf
        add, mul = ADD, MUL
        for value in reversed(order):
            grad = value._grad
            if grad is cleared:
                continue  # no gradient arrives, not even 0: it is upstream of a detach
            # What _backward() does, with + and × written out: they are nine tenths of a network, and a call and two
            # tuples for each would double the time. A test holds both to the table.
            op = value.op
            if op is mul:
                a, b = value._a, value._b
                a._grad += grad * b._number  # type: ignore[union-attr]  # both are there
                b._grad += grad * a._number  # type: ignore[union-attr]
            elif op is add:
                value._a._grad += grad  # type: ignore[union-attr]
                value._b._grad += grad
            else:
                value._backward()

    def _backward(self) -> None:
        """Apply one step of the chain rule: each input's grad grows by ∂(this)/∂(input) times this Value's grad."""
        op = self.op
        if op is None or op.derivatives is None:
            return
        inputs = self.inputs
        grad = self._grad
        if len(inputs) == 1:  # in a third less time
            derivatives = op.derivatives(inputs[0]._number, self._number)
        else:
            derivatives = op.derivatives(*[x._number for x in inputs], self._number)
        for value, derivative in zip(inputs, derivatives, strict=True):
            # A zero derivative stops the flow, as PyTorch's relu does: 0 · inf would be NaN. The result is still a
            # computed gradient of 0. Numbers in a formula get none: ∂(x ** 2)/∂2 has no answer for a negative x, and is
            # not needed.
            if value.op is not CONSTANT:
                total = value._grad + (derivative * grad if derivative != 0.0 else 0.0)
                value._grad = total if type(total) is float else as_float(total)  # a custom operation

    def zero_grad(self) -> None:
        """Reset the gradient."""
        self.grad = NO_GRADIENT_YET

    # --- copying: never by recursion, since a graph may be a million operations deep ---------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        if self.inputs and self not in _pickling.seen:
            return _last, (_Flat(topological_order(self, _pickling.seen), _pickling),)
        grad = None if self.grad is NO_GRADIENT_YET else self._grad
        return (
            _restore,
            (type(self), self._number, grad, self.op, self.inputs, self.label),
            getattr(self, "__dict__", None),
        )

    def __copy__(self) -> Value:
        return self._copied(self.inputs)

    def __deepcopy__(self, memo: dict[Any, Any]) -> Value:
        copied = memo.setdefault("Values", set())  # next to the entries by id, so that no graph is walked twice
        for value in topological_order(self, copied):
            if id(value) not in memo:
                memo[id(value)] = value._copied(tuple([memo[id(x)] for x in value.inputs]))
        return memo[id(self)]  # type: ignore[no-any-return]

    def _copied(self, inputs: tuple[Value, ...]) -> Value:
        grad = None if self.grad is NO_GRADIENT_YET else self._grad
        copy = _restore(type(self), self._number, grad, self.op, inputs, self.label)
        if hasattr(self, "__dict__"):  # of a class derived from this one
            vars(copy).update(vars(self))
        return copy

    # --- the names of the micrograd lecture ---------------------------------------------------------------------------

    @property
    def _prev(self) -> tuple[Value, ...]:
        return self.inputs

    @property
    def _op(self) -> str:
        if self.op is None:
            return ""
        if self.op is ops.POW and self.inputs[1].op is CONSTANT:
            return f"**{self.inputs[1]._number:g}"
        return self.op.symbol


def apply(op: Op, *inputs: Value) -> Value:
    """Compute ``op`` on ``inputs`` and record it: the way every operation but + and × is made.

    >>> apply(ops.TANH, Value(0.0))
    Value(data=0.0)
    """
    if (seam := tracing) is not None and (traced := seam.operation(op, inputs)) is not None:
        return traced
    recorded = not _unusual or _announced()
    out = _new(Value)
    try:
        numbers = [x._number for x in inputs]
    except AttributeError:
        return apply(op, *_lifted(op, inputs))
    data = op.forward(*numbers)
    out._number = data if type(data) is float else as_float(data)  # a custom operation may return an int
    out._grad = NO_GRADIENT_YET
    if recorded:
        out.op = op
        out.inputs = inputs
    else:
        out.op = CONSTANT
        out._a = None
    return out


def _announced() -> bool:
    """Tell the observers that numbers are used; returns whether the operation is recorded."""
    for look in _observers:
        look(None)
    return is_recording()


def maximum(*values: Value | float) -> Value:
    """Return the largest of any number of Values; equal largest ones share the gradient.

    >>> maximum(Value(1.0), 3, Value(2.0))
    Value(data=3.0)
    """
    return _n_ary(ops.MAXIMUM, values)


def minimum(*values: Value | float) -> Value:
    """Return the smallest of any number of Values; equal smallest ones share the gradient."""
    return _n_ary(ops.MINIMUM, values)


def constant(number: float) -> Value:
    """Make a Value of a number in a formula: it is no parameter and needs no gradient.

    In a + or × it may still receive one, because checking would cost more than adding; it means nothing.
    """
    out = _new(Value)
    out._number = number if type(number) is float else Value(number)._number
    out._grad = NO_GRADIENT_YET
    out.op = CONSTANT
    out._a = None
    return out


def topological_order(root: Value, seen: set[Value] | None = None) -> list[Value]:
    """Return every Value that ``root`` depends on, once, inputs before what is computed from them; ``root`` is last.

    The order depends only on the structure of the graph. Depth is limited by memory, not by Python's call stack.
    Values in ``seen`` are left out, with all that only they depend on, and the result is added to it.

    >>> a = Value(1.0); b = a + a; c = b * a
    >>> [v.data for v in topological_order(c)]
    [1.0, 2.0, 2.0]
    """
    seen = set() if seen is None else seen
    order: list[Value] = []
    stack: list[Value | None] = [root]
    pop, push, see, emit = stack.pop, stack.append, seen.add, order.append
    while stack:
        value = pop()
        if value is None:  # the mark below a Value whose inputs are all done
            emit(pop())  # type: ignore[arg-type]  # below a mark there is always a Value
        elif value not in seen:
            see(value)
            if value.inputs:
                push(value)
                push(None)
                stack += value.inputs[::-1]  # so that the first input is on top and comes first
            else:
                emit(value)
    return order


def _computed_in_order(root: Value) -> tuple[list[Value], float]:
    """``topological_order`` for ``backward``: without leaves, with every ``grad`` cleared, in less time.

    It keeps no set of what it has seen: the mark is the cleared gradient itself, a 0.0 made for this call alone, which
    no other call can have left behind, even if it was interrupted; it is the second result. (That floats have an
    identity is CPython's; the project is tested there only.)
    """
    cleared = float("0")
    order: list[Value] = []
    stack: list[Value | None] = [root] if root._a is not None else []
    while stack:
        value = stack.pop()
        if value is None:  # as in topological_order
            order.append(stack.pop())  # type: ignore[arg-type]
        elif value._grad is not cleared:
            value._grad = cleared
            a, b = value._a, value._b
            several = type(b) is tuple
            first = a._a is not None and a._grad is not cleared  # type: ignore[union-attr]  # it was computed
            second = several or (b is not None and b._a is not None and b._grad is not cleared)
            if first or second:
                stack.append(value)
                stack.append(None)
                if first:
                    stack.append(a)
                if several:
                    stack += [x for x in b if x._a is not None]
                elif second:
                    stack.append(b)
            else:  # most products wait for nothing: they are of a weight and a number that others read, too
                order.append(value)
    return order, cleared


def _reaches_a_leaf(root: Value) -> bool:
    """Return whether there is a leaf not upstream of a ``detach``; nearly always the first path down ends at one."""
    seen: set[Value] = set()
    stack = [root]
    while stack:
        value = stack.pop()
        if value.op is None:
            return True
        if value not in seen and value.op.derivatives is not None:
            seen.add(value)
            stack += value.inputs
    return False


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without recording inside the block: nothing can be differentiated and nothing is kept.

    The results are constants: ``backward`` cannot start at one, and an optimizer cannot update it.

    Use it for sampling and evaluation. It applies only to the thread (or asyncio task) that entered it.

    >>> x = Value(2.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.data, y.inputs
    (4.0, ())
    """
    mark = object()
    before = _pause.get()
    _unusual.add(mark)
    _pause.set(mark)
    try:
        yield
    finally:  # maybe in another thread, for an abandoned generator: then removing the mark is enough
        _unusual.discard(mark)
        _pause.set(before)


def is_recording() -> bool:
    """Return whether operations of this thread are recorded: False inside :func:`no_grad`."""
    return not _unusual or _pause.get() not in _unusual


def observe(look: Callable[[Value | None], None]) -> None:
    """Call ``look(value)`` from now on before ``data`` or ``grad`` of a Value is read or assigned, in any thread.

    If the engine itself will use the numbers of many Values, through their slots, it calls ``look(None)``. This
    is how the compiler keeps two copies of a number equal, and refuses decisions on numbers.
    """
    global _observers
    _observers = (*_observers, look)
    _unusual.add(look)


def ignore(look: Callable[[Value | None], None]) -> None:
    """Undo :func:`observe`."""
    global _observers
    _observers = tuple(other for other in _observers if other != look)
    _unusual.discard(look)


def touch() -> None:
    """Announce that numbers of Values will be read and changed through their slots, as optimizers do for speed."""
    global changes
    for look in _observers:
        look(None)
    changes += 1


# --- numbers become Values ----------------------------------------------------------------------------------------


def as_float(number: Any) -> float:
    """Convert a real number of Python or numpy to a float, infinity if too large; raises TypeError for anything else.

    >>> from fractions import Fraction
    >>> as_float(True), as_float(Fraction(1, 4)), as_float(-(10**400))
    (1.0, 0.25, -inf)
    """
    if isinstance(number, Value):
        raise TypeError(
            f"expected a number, got {number!r}; a Value made from a Value would lose its graph: write .data"
        )
    if not _is_number(number) or getattr(number, "mask", False):  # numpy's masked number is none
        raise TypeError(f"expected a real number, got {shown(number)}")
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
    except (TypeError, ValueError):  # numpy's time spans claim to be numbers, and so does a mock of a float
        raise TypeError(f"expected a real number, got {shown(number)}") from None


def _is_number(thing: Any) -> bool:
    if type(thing) is int or isinstance(thing, Real):  # checking for Real is slow
        return True
    # A truth value or an array without dimensions; numpy itself is not imported for it.
    array = getattr(thing, "__array_interface__", None)
    return isinstance(array, dict) and array["shape"] == () and array["typestr"][1] in "biuf"


def _lift(other: Any) -> Any:
    """Return ``other`` as a Value, or NotImplemented, so that Python tries the other operand and then raises."""
    if type(other) is float:  # nearly always
        return constant(other)
    if isinstance(other, Value):
        return other
    return constant(as_float(other)) if _is_number(other) else NotImplemented


def _compared(other: Value | float) -> float:
    return other.data if isinstance(other, Value) else as_float(other)


def _binary(op: Op, a: Any, b: Any) -> Value:
    a = a if a.__class__ is Value else _lift(a)
    b = b if b.__class__ is Value else _lift(b)
    if a is NotImplemented or b is NotImplemented:
        return NotImplemented  # type: ignore[no-any-return]  # what Python's operator protocol asks for
    return apply(op, a, b)


def _n_ary(op: Op, values: tuple[Any, ...]) -> Value:
    if not values:
        raise TypeError(f"{op.name}() needs at least one Value")
    return apply(op, *_lifted(op, values))


def _lifted(op: Op, values: tuple[Any, ...]) -> list[Value]:
    lifted = [value if value.__class__ is Value else _lift(value) for value in values]
    for i, result in enumerate(lifted):
        if result is NotImplemented:
            traced = None if (seam := tracing) is None else seam.lifted(values[i])
            if traced is None:
                hint = f"; for a list, unpack it: {op.name}(*values)" if op.arity is None else ""
                raise TypeError(
                    f"{op.name}() takes Values and numbers one by one, got {type(values[i]).__name__}{hint}"
                )
            lifted[i] = traced
    return lifted


# --- graphs that are pickled --------------------------------------------------------------------------------------


class _Flat:
    """The Values of a graph, pickled one after another, inputs first, so that no pickler recurses from one to the next.

    A pickler keeps this object until it is done. Until then, the Values have been pickled, or will be, after their
    inputs.
    """

    def __init__(self, values: list[Value], pickling: _Pickling) -> None:
        self.values = values
        self.count, self.seen = pickling.count, pickling.seen
        self.count.append(None)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (), None, iter(self.values)

    def __del__(self) -> None:
        self.count.pop()
        if not self.count:
            self.seen.clear()


class _Pickling(threading.local):
    def __init__(self) -> None:
        self.count: list[None] = []  # one for each existing _Flat
        self.seen: set[Value] = set()  # their Values


_pickling = _Pickling()


def _last(values: list[Value]) -> Value:
    return values[-1]


def _restore(
    kind: type[Value], data: float, grad: float | None, op: Op | None, inputs: tuple[Value, ...], label: str
) -> Value:
    out = _new(kind)
    out._number = data
    out._grad = NO_GRADIENT_YET if grad is None else grad
    out.op = op
    out.inputs = inputs
    if label:
        out._label = label
    return out
