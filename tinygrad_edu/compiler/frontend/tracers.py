"""The record of a trace: nodes, in bodies, and the objects that record them when the function computes.

The function runs on objects without a number, only with a place in the record: a :class:`Tracer` where the eager engine
has a Value, a :class:`Plain` number where it has a Python number. So the function cannot tell the difference, unless it
asks for a number: then it would continue with the number of this one example, and the program would be wrong for all
others. That is an error here, and it names the line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import chain, repeat
from numbers import Number, Real
from operator import attrgetter, is_
from typing import Any, NoReturn

import numpy as np

from ... import engine, ops
from ...engine import Value
from ...errors import CompileError
from ...nested import rectangle, unflatten
from ...ops import Op
from ..parameters import LOOSE, Parameters
from .catching import Traced, caught_by, refuse_caught
from .diagnostics import (
    asked_by_library,
    in_library,
    keep,
    refuse,
    refuse_attribute,
    refuse_number,
    refusing,
    site_line,
    user_line,
    written_as_attribute,
)

#: What a node of a body is, where it is not an operation of the table. Its ``args`` are then:
INPUT = "input"  # (port,)
PARAMETER = "parameter"  # nothing: they are listed in ``Body.parameters``
PICK = "pick"  # (node of the index, number of the table of candidates)
CALL = "call"  # (number of the call,)
RANDOM = "random"  # (probability of 0, the other value)
DOT = "dot"  # (nodes of one vector, nodes of the other): the products and the sum, added from left to right
# A constant has (the number,).

_new = object.__new__
_body: ContextVar[Body | None] = ContextVar("body", default=None)  # where this thread records operations


@dataclass
class Port:
    """One argument of a body: a rectangle of scalars, or of integer indices.

    ``structure`` is the nesting of the lists around it, for the caller of the function.
    """

    shape: tuple[int, ...]
    kind: str  # "input", "index"
    nodes: list[int] = field(default_factory=list, repr=False)


@dataclass(eq=False)
class Call:
    """One call of a module inside a body: which body it runs, on which nodes, with which parameter slots."""

    body: Body
    inputs: list[Sequence[int]]  # the caller's nodes, port by port
    slots: list[int]  # the caller's slots, slot by slot
    path: str
    outputs: list[int] = field(default_factory=list)  # the caller's nodes


class Body:
    """The record of one function: nodes in the order of computation.

    Attributes:
        ops, args, sites: the columns of the record. ``args`` are nodes, except where the comment above says otherwise.
        ports: the arguments.
        slots: the tensors of parameters that it uses; those of the module itself come first, in the module's order.
        tables: tuples of nodes from which a pick selects.
        outputs: the nodes of the results.
        structure: how the results are nested.
    """

    def __init__(self, trace: Trace, parent: Body | None, name: str, paths: dict[int, str]) -> None:
        self.trace = trace
        self.parent = parent
        self.name = name
        self.paths = paths
        self.ops: list[Op | str] = []
        self.args: list[tuple[Any, ...]] = []
        self.sites: list[int] = []
        self.ports: list[Port] = []
        self.slots: list[int] = []
        self.tables: list[tuple[int, ...]] = []
        self.calls: list[Call] = []
        self.captures: list[Any] = []
        self.outputs: list[int] = []
        self.structure: Any = None
        self._floats: dict[float, int] = {}  # constants once more, by number
        self._known: dict[Any, int] = {}  # constants, imported and captured Values, tables: their number
        self.rows: dict[tuple[int, ...], tuple[tuple[int, ...], bool]] = {}  # see row()
        self._vectors: dict[int, tuple[list[Any], Any]] = {}  # the last one of row() that begins with an object
        self.constants: set[int] = set()  # the nodes that are numbers of the program
        self.parameters: dict[int, list[int]] = {}  # the nodes by tensor and place; −1 where none is recorded

    def add(self, op: Op | str, args: tuple[Any, ...], site: int = 0) -> Tracer:
        """Record a node."""
        out: Tracer = _new(Tracer)
        out._node = self._append(op, args, site)
        out._body = self
        return out

    def add_all(self, op: str, first: int, count: int, kind: Any = None) -> list[Any]:
        """Record nodes with ``args`` (first,): those of a port, or the results of a call.

        ``kind`` is the class of what stands for them, or a tuple with the class of each; Tracer unless said otherwise.
        """
        tracers: list[Any] = []
        kinds = kind if isinstance(kind, tuple) else repeat(kind or Tracer, count)
        for node, kind in zip(self._append_all(op, (first,), count), kinds, strict=True):
            out = _new(kind)
            out._node = node
            out._body = self
            tracers.append(out)
        return tracers

    def _append(self, op: Op | str, args: tuple[Any, ...], site: int = 0) -> int:
        self.ops.append(op)
        self.args.append(args)
        self.sites.append(site)
        return len(self.ops) - 1

    def _append_all(self, op: str, args: tuple[int, ...], count: int) -> range:
        start = len(self.ops)
        self.ops += [op] * count
        self.args += [args] * count
        self.sites += [0] * count
        return range(start, len(self.ops))

    def slot(self, tensor: int) -> int:
        """Return the slot of a tensor."""
        if tensor not in self.slots:
            self.slots.append(tensor)
        return self.slots.index(tensor)

    def number(self, x: Any) -> int:
        """Return the node of a Value or a number."""
        if type(x) in TRACED:
            if x._body is self:
                return x._node  # type: ignore[no-any-return]
            return self._capture(x)
        if type(x) is float and x in self._floats:
            return self._floats[x]
        if not isinstance(x, Value):
            number = float(x)
            node = self._once(("constant", repr(number)), ops.CONSTANT, (number,))
            self.constants.add(node)
            if number:  # not 0, which is equal to −0
                self._floats[number] = node
            return node
        if x.op is None:
            tensor, place = self.trace.parameters.tensor_and_place(x)
            nodes = self._nodes_of(tensor, place + 1)
            if nodes[place] < 0:
                self.slot(tensor)
                nodes[place] = self._append(PARAMETER, ())
            return nodes[place]
        if x.op is ops.CONSTANT:
            return self.number(x._number)
        return self._import(x)

    def vector(self, xs: Sequence[Any]) -> Sequence[int]:
        """Return the nodes of the operands of a dot product. A row of parameters, the most frequent kind, is one
        lookup."""
        if type(xs[0]) is Value and xs[0].op is None and (row := self._row(xs)) is not None:
            return row
        return [x._node if type(x) is Tracer and x._body is self else self.number(x) for x in xs]

    def row(self, xs: Sequence[Any]) -> tuple[tuple[int, ...], bool]:
        """Return the same, as the one tuple that all dot products with this vector share, and whether it has no numbers
        of the program."""
        row: tuple[tuple[int, ...], bool] | None
        known, row = self._vectors.get(id(xs[0]), ((), None))
        if row is None or len(known) != len(xs) or not all(map(is_, known, xs)):
            nodes = tuple(self.vector(xs))
            row = self.rows.get(nodes)
            if row is None:
                row = self.rows[nodes] = nodes, self.constants.isdisjoint(nodes)
            self._vectors[id(xs[0])] = [*xs], row
        return row

    def _row(self, xs: Sequence[Any]) -> Sequence[int] | None:
        """Return the nodes of parameters that are neighbors in one tensor; None for any other vector."""
        values, parameters = self.trace.values, self.trace.parameters
        tensor, first = parameters.tensor_and_place(xs[0])
        start, end = parameters.start(tensor) + first, first + len(xs)
        if tensor == LOOSE or end > parameters.size(tensor) or values[start : start + len(xs)] != xs:
            return None
        known = self._nodes_of(tensor, end)
        row = known[first:end]
        if -1 not in row:
            return row
        if max(row) >= 0 or any(map(_op_of, xs)):
            return None
        self.slot(tensor)
        known[first:end] = self._append_all(PARAMETER, (), len(xs))
        return known[first:end]

    def _nodes_of(self, tensor: int, end: int) -> list[int]:
        """Return the nodes of a tensor's parameters, by position, at least up to ``end``."""
        nodes = self.parameters.setdefault(tensor, [])
        nodes += [-1] * (end - len(nodes))
        return nodes

    def _once(self, key: Any, op: Op | str, args: tuple[Any, ...]) -> int:
        if key not in self._known:
            self._known[key] = self._append(op, args)
        return self._known[key]

    def _import(self, root: Value) -> int:
        """Record a Value that the eager engine computed from parameters alone."""
        for value in engine.topological_order(root):
            if value.inputs and id(value) not in self._known and type(value) is not Tracer:
                check_known(value.op)
                self.trace.kept.append(value)  # so that its id is not given to another one
                args = tuple(self._known[id(x)] if x.inputs else self.number(x) for x in value.inputs)
                self._known[id(value)] = self.add(value.op, args)._node  # type: ignore[arg-type]
        return self._known[id(root)]

    def _capture(self, x: Any) -> int:
        """Record a Value that a surrounding function computed and that did not come through the arguments."""
        if id(x) not in self._known:
            if not any(x._body is b for b in self._outside()):
                refuse(
                    "a Value from an earlier call was kept and is used again",
                    "pass it on as an argument and a result instead of storing it in an object",
                )
            self.captures.append(x)
            node = self.add(INPUT, (len(self.ports), 0))._node
            self.ports.append(Port((), "input", [node]))
            self._known[id(x)] = node
        return self._known[id(x)]

    def _outside(self) -> Iterator[Body]:
        body = self.parent
        while body is not None:
            yield body
            body = body.parent

    def table(self, nodes: tuple[int, ...]) -> int:
        """Return the number of a tuple of candidates."""
        key = ("table", nodes)
        if key not in self._known:
            self._known[key] = len(self.tables)
            self.tables.append(nodes)
        return self._known[key]


@dataclass(eq=False)
class Known:
    """The signature of a module, and the ``token`` of the time when it was made."""

    modules: list[Any]
    token: list[Any]
    key: Any
    tensors: list[int] | None


@dataclass(eq=False)
class Trace:
    """The result of one run of the function.

    Attributes:
        parameters: where the parameters are.
        sites: the numbers of source lines, by (code, line); ``places``: by (identity of code, instruction), for speed,
            or None in a record that is only compared with another one.
        bodies: every body, the function's own last.
        values: the parameters as they were when the trace began, in the order of their array.
        kept: what must live as long as the trace, since the record refers to its identity.
        careful: whether the function catches errors, so that an operation without an answer would be a decision: how,
            as :func:`tinygrad_edu.compiler.frontend.catching.catches` says.
        tensors: by identity of a list its shape and its number.
        children, signatures: by identity of a module what is in it, and how it is built, with the ``token`` of the time
            when that was found.
        rows: by identity the lists of Values from which an index of the data chose one, and what was in them.
    """

    parameters: Parameters
    sites: dict[tuple[Any, int], int] = field(default_factory=dict)
    places: dict[tuple[int, int], int] | None = field(default_factory=dict)
    bodies: list[Body] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)
    careful: int = 0
    tensors: dict[int, tuple[Any, int | None]] = field(default_factory=dict)
    children: dict[int, tuple[list[Any], list[Any]]] = field(default_factory=dict)
    signatures: dict[int, Known] = field(default_factory=dict)
    rows: dict[int, tuple[list[Any], tuple[Any, ...]]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the source line of every site; site 0 is nowhere."""
        return ["", *map(site_line, self.sites)]

    def forget(self) -> None:
        """Break the reference cycles between bodies, so that millions of small objects are freed at once."""
        for body in self.bodies:
            body.calls.clear()
            body._vectors.clear()
        self.bodies.clear()


# --- what the function sees instead of Values and indices --------------------------------------------------------


def _recorder(op: Op, reflected: bool = False) -> Callable[[Tracer, Any], Any]:
    """Return the method for one of the two operations that make up nearly all of a network."""
    paused, here = engine._pause.get, sys._getframe

    def method(self: Tracer, other: Any) -> Any:
        body = _body.get() or current_body()
        if type(other) is Tracer and other._body is body:
            j = other._node
        elif type(other) is float or isinstance(other, (Value, Plain, Real)):  # looking for Real is slow
            j = body.number(other)
        else:
            return NotImplemented
        i = self._node if self._body is body else body.number(self)
        if paused() is not None:
            _check_recording()
        frame, site = here(1), None
        if places := body.trace.places:  # what site_here() does, without a call
            site = places.get((id(frame.f_code), frame.f_lasti))
        if site is None:
            site = site_here(2, body)
        out = _new(Tracer)
        out._node = len(body.ops)
        out._body = body
        body.ops.append(op)
        body.args.append((j, i) if reflected else (i, j))
        body.sites.append(site)
        return out

    return method


@refusing("a number that depends on the arguments", Value)
class Tracer(Traced, Value):
    """A Value without a number: it only knows its place in the record."""

    __slots__ = ("_body", "_node")  # with a line in front: a program may ask for other names
    _body: Body
    _node: int

    __add__, __mul__, __rmul__ = _recorder(ops.ADD), _recorder(ops.MUL), _recorder(ops.MUL, reflected=True)
    _after = _recorder(ops.ADD, reflected=True)

    def __radd__(self, other: Any) -> Any:
        return self if type(other) is int and other == 0 else self._after(other)  # as in the engine: where sum() begins

    def __pow__(self, other: Any, *modulus: Any) -> Any:
        if modulus:
            refuse_number("a number that depends on the arguments", "whole")
        return super().__pow__(other)

    def _read(self) -> Any:
        """Return the number, which passes no gradient; what decides on it is refused like a decision on an argument."""
        return plain(self.detach(), Float)

    def _ask(self) -> NoReturn:
        refuse_number("the number of a Value")

    def _write(self, number: float) -> NoReturn:
        refuse("this changes the number of a Value", "compute a new Value instead")

    data, _number = property(_read, _write), property(_ask, _write)

    def _gradient(self, *_: Any) -> NoReturn:
        refuse(
            "this asks for a gradient inside of the function",
            "leave it out here and call value_and_grad() on the compiled function: it has the gradient afterwards",
        )

    grad = property(_gradient, _gradient)
    backward = zero_grad = _gradient

    # Nothing equals a non-number, as in the eager engine; only a parameter equals itself.
    def __eq__(self, other: object) -> Any:
        return _compared(other)

    def __ne__(self, other: object) -> Any:
        return _compared(other)

    def __copy__(self) -> Tracer:
        return self

    def __deepcopy__(self, memo: Any) -> Value:
        """Refuse a copy, which has copies of all its parameters: no gradient would reach the parameters."""
        return self.detach()

    def __getattr__(self, name: str) -> Any:
        if name in ("op", "inputs"):
            refuse_attribute("a Value", name)
        raise AttributeError(f"'Value' object has no attribute {name!r}")

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class in the eager engine, for isinstance() and the like in user code."""
        return Tracer if asked_by_library() else Value

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return _with_numpy(ufunc, method, inputs, options)

    def __repr__(self) -> str:
        return _shown(self)


@refusing("a number that depends on the arguments", float)
class Plain(Traced):
    """A number that is a Python number in the eager engine: an argument, or computed from arguments and numbers
    alone."""

    __slots__ = ("_body", "_node")
    _body: Body
    _node: int
    _kind: type | None = None  # float, int; None where that depends on the numbers

    def _as_value(self) -> Tracer:
        """Return the same number, as a Value."""
        out: Tracer = _new(Tracer)
        out._body, out._node = self._body, self._node
        return out

    # A number never equals a non-number.
    def __eq__(self, other: object) -> Any:
        return _compared(other)

    def __ne__(self, other: object) -> Any:
        return _compared(other)

    def __pow__(self, other: Any, *modulus: Any) -> Any:
        if modulus:
            refuse_number("an integer from the data", "whole")
        return _calculate(ops.POW, self, other)

    def __neg__(self) -> Any:
        return _calculate(ops.NEG, self)

    def __abs__(self) -> Any:
        return _calculate(ops.ABS, self)

    def __pos__(self) -> Any:
        return self

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        kind = self._kind or float
        if name in _OF_VALUES:
            how = self._body.trace.careful
            if written_as_attribute() and not (how and caught_by(how)):
                if name == "data":
                    refuse_number("the number of an argument")
                # If a program cannot notice it, a number has the methods of a Value.
                return getattr(self._as_value(), name)
            if asked_by_library():  # for numpy: see _with_numpy
                return lambda: plain(getattr(self._as_value(), name)(), Plain)
        if name in _OF_NUMPY or (hasattr(kind, name) and not hasattr(object, name)):
            refuse_attribute("a number that depends on the arguments", name)
        raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class in the eager engine, for isinstance() and the like in user code."""
        if asked_by_library():
            return type(self)
        if self._kind is None:
            refuse_number("a number whose type depends on the arguments", "truth")
        return self._kind

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return _with_numpy(ufunc, method, inputs, options)

    def __repr__(self) -> str:
        return _shown(self)


class Float(Plain):
    """A float."""

    __slots__ = ()
    _kind = float


@refusing("an integer that depends on the arguments", int)
class Whole(Plain):
    """A computed integer."""

    __slots__ = ()
    _kind = int

    def __index__(self) -> int:
        refuse(
            "a number that was computed from data is used as an index",
            "compute the index outside and pass it as an integer argument",
        )


class Index(Whole):
    """An integer of the example, such as a token. In arithmetic it is a number; in ``pick`` it selects."""

    __slots__ = ()

    def _pick_from(self, table: Sequence[Any]) -> Any:
        """What :func:`tinygrad_edu.functional.pick` does for an index that has no number yet."""
        body = current_body()
        node = body.number(self)
        leaves: list[Sequence[int]] = []
        shapes: set[Any] = set()
        for entry in table:
            shape, items = rectangle(entry, (Value, Plain, float, int)) or (None, [])
            shapes.add(shape)
            leaves.append(body.vector(items) if items else [])
        if len(shapes) != 1 or None in shapes:
            refuse(
                "pick() chooses from entries that differ in shape, or that are not numbers",
                "give it a list of Values, or a list of lists of equal length",
            )
        site = site_here(2)
        picked = [body.add(PICK, (node, body.table(column)), site) for column in zip(*leaves, strict=True)]
        return unflatten(iter(picked), shapes.pop())

    def __index__(self) -> int:
        refuse(
            "a list, range() or the like takes an integer from the data, and only this example's choice could be seen",
            "write pick(list, index), from tinygrad_edu.functional, for list[index], which works by itself only for "
            "lists of Values in functions whose source file is unchanged; for a length, loop as often as the longest "
            "example needs and multiply by a mask of 0.0 and 1.0",
        )


TRACED = frozenset((Tracer, Plain, Float, Whole, Index))


def plain(value: Any, kind: type[Any]) -> Any:
    """Turn a traced Value into a Python number of that kind."""
    out = _new(kind)
    out._body, out._node = value._body, value._node
    return out


def _shown(x: Tracer | Plain) -> str:
    """For the library's own messages, and for debuggers afterward; a program must not depend on it."""
    frame = sys._getframe(2)
    while frame.f_globals.get("__name__") == "reprlib" and frame.f_back is not None:  # in errors.shown
        frame = frame.f_back
    if is_tracing() and not in_library(frame):
        refuse_number("a number that depends on the arguments", "text")
    return f"{type(x).__name__}(node {x._node})"


def _compared(other: object) -> Any:
    if isinstance(other, (Number, Tracer, Plain, np.ndarray)):
        refuse_number("a number that depends on the arguments", "truth")
    return NotImplemented


def _with_numpy(ufunc: Any, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Handle numpy functions: on objects, numpy calls operators and methods, but many functions need a number."""
    boxes = []
    for x in inputs:
        box = x
        if type(x) in TRACED:
            box = np.empty((), object)
            box[()] = x
        boxes.append(box)
    try:
        return getattr(ufunc, method)(*boxes, **options)
    except CompileError:
        raise
    except TypeError:
        refuse_attribute("a number that depends on the arguments", f"numpy.{ufunc.__name__}")


#: What only numbers have; numpy looks up its functions by name in other objects.
_OF_NUMPY = {name for name, thing in vars(np).items() if isinstance(thing, np.ufunc)}  # not dir(), which loads more
_OF_VALUES = {name for name in dir(Value) if not name.startswith("_")}.difference(dir(object))


def _calculate(op: Op, *operands: Any) -> Any:
    """Compute an operation of Python's numbers: its result is such a number, too, unless a Value takes part."""
    kinds = [_kind(x) for x in operands]
    if NotImplemented in kinds:
        return NotImplemented
    body = current_body()
    _check_recording()
    if body.trace.careful and op in (ops.DIV, ops.POW):
        check_answer(op, operands)
    node = body.add(op, tuple([body.number(x) for x in operands]), site_here(3))
    if Value in kinds:
        return node
    whole = set(kinds) == {int}
    if None in kinds or (op is ops.POW and not _is_plain_power(whole, operands[1])):
        kind: type[Any] = Plain
    else:
        kind = Whole if whole and op is not ops.DIV else Float
    return plain(node, kind)


def extreme(op: Op, numbers: Sequence[Any]) -> Any:
    """Return the largest or the smallest of numbers that depend on the arguments; None if a Value or another thing is
    among them.

    Of Values, max() chooses one, with its gradient, and maximum() shares the gradient: that is not the same.
    """
    kinds = {x._kind if issubclass(type(x), Plain) else type(x) for x in numbers}
    if not kinds <= {float, int, None} or not any(issubclass(type(x), Plain) for x in numbers):
        return None
    if len(numbers) == 1:
        return numbers[0]
    body = current_body()
    _check_recording()
    kind: type[Any] = Plain if len(kinds) > 1 or None in kinds else Whole if int in kinds else Float
    nodes, site = [body.number(x) for x in numbers], site_here(3)
    if all(body.ops[node] is ops.DETACH for node in nodes):  # max(x.data for x in xs) is maximum(*xs).detach()
        largest = body.add(op, tuple([body.args[node][0] for node in nodes]), site)
        return plain(body.add(ops.DETACH, (largest._node,), site), kind)
    return plain(body.add(op, tuple(nodes), site), kind)


def check_answer(op: Op, operands: Sequence[Any]) -> None:
    """Refuse an operation that is an error for some numbers, where the user's code catches it."""
    last = operands[-1]
    number = last._number if type(last) is Value and last.op is ops.CONSTANT else last
    if op is ops.DIV and type(number) in (int, float) and number != 0:
        return
    if op is ops.POW and type(operands[0]) is Tracer and type(number) in (int, float) and number in (1, 2, 3, 4):
        return
    frame = sys._getframe(2)
    while frame.f_globals.get("__name__") in transparent and frame.f_back is not None:
        frame = frame.f_back
    if not in_library(frame):
        refuse_caught(f"this {op.name}", current_body().trace.careful)


def _kind(x: Any) -> Any:
    """Return Value, float, int, None for a number of another type, or NotImplemented for a non-number."""
    if isinstance(x, Value):
        return Value
    if isinstance(x, Plain):
        return x._kind
    if not isinstance(x, Real):
        return NotImplemented
    return {float: float, int: int, bool: int}.get(type(x))


def _is_plain_power(whole: bool, exponent: Any) -> bool:
    """Return whether a power always has the type of its base: a negative base may become complex."""
    return type(exponent) is int and (exponent >= 0 or not whole)


def _arithmetic(op: Op, reflected: bool) -> Callable[[Plain, Any], Any]:
    def method(self: Plain, other: Any) -> Any:
        return _calculate(op, other, self) if reflected else _calculate(op, self, other)

    return method


for _name, _op in (("add", ops.ADD), ("sub", ops.SUB), ("mul", ops.MUL), ("truediv", ops.DIV), ("pow", ops.POW)):
    if _name != "pow":
        setattr(Plain, f"__{_name}__", _arithmetic(_op, False))
    setattr(Plain, f"__r{_name}__", _arithmetic(_op, True))


class TracedList(list[Any]):
    """A list of parameters that can be indexed by an :class:`Index`, in place of the plain one."""

    def __getitem__(self, index: Any) -> Any:
        return index._pick_from(self) if isinstance(index, Index) else super().__getitem__(index)


def check_known(op: Any) -> None:
    """Refuse an operation that is not in the table: there is no array program for it."""
    if op not in _TABLE:
        refuse(
            f"{op.name!r} is an operation of your own, and only those of ops.TABLE become array programs",
            "compute it from these, or call the function without jit",
        )


_TABLE = frozenset(ops.TABLE)


# --- recording ---------------------------------------------------------------------------------------------------


def current_body() -> Body:
    """Return the body in which operations are being recorded."""
    body = _body.get()
    if body is None:
        error = CompileError(
            f"{user_line()}\n  a Value from inside a function that is compiled is used outside of it or in another "
            f"thread, where it has no number; compute with it in the function, without threads"
        )
        keep(error)
        raise error
    return body


def is_tracing() -> bool:
    """Return whether this thread is recording a function."""
    return _body.get() is not None


def site_here(depth: int, body: Body | None = None) -> int:
    """The number of the place in the source that is being executed, ``depth`` frames up, in the record of ``body``."""
    trace = (body or current_body()).trace
    places = trace.places
    if places is None:
        return 0
    frame = sys._getframe(depth)
    while frame.f_globals is _of_engine and frame.f_back is not None:
        frame = frame.f_back
    # By the identity of the code, whose hash is that of all its instructions.
    while (number := places.get(key := (id(frame.f_code), frame.f_lasti))) is None:
        if frame.f_globals.get("__name__") not in transparent or frame.f_back is None:
            # One line may have several positions: Python moves calls when it optimizes them.
            trace.kept.append(frame.f_code)
            number = places[key] = trace.sites.setdefault((frame.f_code, frame.f_lineno), len(trace.sites) + 1)
            break
        frame = frame.f_back
    return number


#: The modules whose frames are never the source position: trace.py adds itself.
transparent = {engine.__name__, __name__}
_of_engine = vars(engine)


def dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    """What :func:`tinygrad_edu.functional.dot` does, as one node: most of the work of a network."""
    body = current_body()
    site = site_here(3, body)
    if engine._pause.get() is not None:
        _check_recording()
    if not any(issubclass(type(x), Value) for x in chain(a, b)):
        return sum([x * y for x, y in zip(a, b, strict=True)])._as_value()
    (left, one), (right, other) = body.row(a), body.row(b)
    if one and other:
        return body.add(DOT, (left, right), site)
    total = None  # with numbers in it, which the next passes will visit one by one
    for pair in zip(left, right, strict=True):
        product = body.add(ops.MUL, pair, site)
        total = product if total is None else body.add(ops.ADD, (total._node, product._node), site)
    return total


def _check_recording(recording: Callable[[], bool] = engine.is_recording) -> None:
    if not recording():
        refuse("no_grad() inside of a compiled function", "use .detach() on the Values that pass no gradient")


@contextmanager
def inside(body: Body) -> Iterator[None]:
    """Record into ``body``."""
    before = _body.set(body)
    try:
        yield
    finally:
        _body.reset(before)


_op_of = attrgetter("op")
