"""Nested lists: which Values are in them, what shape they have, flat and nested again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from itertools import chain, islice
from typing import Any

from .engine import Value, as_float
from .errors import ShapeError

__all__ = ["DEEPEST", "listed", "numbers", "rectangle", "shape", "unflatten", "values", "values_in"]

DEEPEST = 64  # a list that contains itself has no end


def listed(x: Any) -> Any:
    """A numpy array as nested lists, and other ordered collections as a list; anything else as it is."""
    if isinstance(x, (list, tuple)):
        return x
    if hasattr(x, "tolist"):
        return x.tolist()
    return list(x) if isinstance(x, Collection) and not isinstance(x, (str, bytes, Mapping, Set)) else x


def values(thing: Any) -> Any:
    """A Value for every number in nested lists, in an array, or in a tensor of PyTorch, nested in the same way.

    >>> values([[1, 2], [3, 4]])[1][0]
    Value(data=3.0)
    """
    thing = listed(thing)
    return [values(item) for item in thing] if isinstance(thing, (list, tuple)) else Value(thing)


def numbers(thing: Any) -> Any:
    """The number of every Value in nested lists: what ``numpy.array`` and ``torch.tensor`` take.

    >>> numbers([Value(1.0), [Value(2.0)], 3])
    [1.0, [2.0], 3.0]
    """
    thing = listed(thing)
    if isinstance(thing, (list, tuple)):
        return [numbers(item) for item in thing]
    return thing.data if isinstance(thing, Value) else as_float(thing)


def values_in(thing: Any) -> list[Value]:
    """Every Value in nested lists, tuples, dictionaries and arrays, in order.

    >>> [v.data for v in values_in([Value(1.0), (Value(2.0), "text", [Value(3.0)])])]
    [1.0, 2.0, 3.0]
    """
    if isinstance(thing, Value):
        return [thing]
    if isinstance(thing, Mapping):
        thing = list(thing.values())
    elif hasattr(thing, "tolist"):  # a numpy array
        thing = thing.tolist()
        if isinstance(thing, Value):
            return [thing]
    if not isinstance(thing, (list, tuple)):
        return []
    while (kinds := set(map(type, thing))) == {list}:  # nearly always, and far faster
        thing = list(chain.from_iterable(thing))
    if kinds == {Value}:
        return list(thing)
    return list(chain.from_iterable(map(values_in, thing)))


def shape(thing: Any) -> tuple[int, ...]:
    """The shape of nested lists or of an array; ``()`` for a single number or Value.

    >>> shape([[1, 2, 3], [4, 5, 6]])
    (2, 3)

    Raises ShapeError when the rows differ.
    """
    thing = listed(thing)
    if not isinstance(thing, (list, tuple)):
        return ()
    found = rectangle(thing, (Value, float, int))  # nearly always, and far faster
    if found is not None:
        return found[0]
    shapes = {shape(item) for item in thing}
    if len(shapes) > 1:
        raise ShapeError(f"rows of unequal shape: {', '.join(map(str, sorted(shapes)))}")
    return (len(thing), *(shapes.pop() if shapes else ()))


def rectangle(thing: Any, leaf: type | tuple[type, ...] = Value) -> tuple[tuple[int, ...], list[Any]] | None:
    """The shape of nested lists of equal length that end in ``leaf``, and what they end in; None for anything else."""
    shape: tuple[int, ...] = ()
    level = [thing]  # everything at one depth: there are few types and many numbers
    while len(shape) <= DEEPEST:
        kinds = set(map(type, level))
        if not all(issubclass(kind, (list, tuple)) for kind in kinds):
            return (shape, level) if all(issubclass(kind, leaf) for kind in kinds) else None
        lengths = set(map(len, level))
        if len(lengths) > 1 or 0 in lengths:
            return None
        shape += (lengths.pop(),)
        level = list(chain.from_iterable(level))
    return None


def unflatten(leaves: Iterable[Any], shape: tuple[int, ...]) -> Any:
    """Leaves in nested lists of a shape: the inverse of :func:`values_in`.

    >>> unflatten([1, 2, 3, 4], (2, 2))
    [[1, 2], [3, 4]]
    """
    leaves = iter(leaves)
    if not shape:
        return next(leaves)
    if len(shape) == 1:
        return list(islice(leaves, shape[0]))
    return [unflatten(leaves, shape[1:]) for _ in range(shape[0])]
