"""Names for Values without a label: those of the variables that hold them.

At the top level of a script, a notebook or a console every drawing looks at the variables there. Anywhere else, hand
them over: ``viz.step(L, names=locals())``.

Looking computes nothing: no attribute of an object is read, nothing is compared, and only plain lists and tuples are
opened. A module is asked for its parameters.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu.calls import CallRecord
from tinygrad_edu.errors import shown

__all__ = ["Names", "is_module", "names_of"]

#: What ``names=`` takes: variables by name, such as ``locals()``, or names by Value, as in ``record_calls().names``.
Names = Mapping[Any, Any]

_INDICES = 8  # of a Value in nested lists


def names_of(names: Names | None = None, calls: object = None) -> dict[Value, str]:
    """The name of every Value that has one, the first one if there are several: from ``names``, else from what was
    recorded, else from the variables of the first caller outside this package.

    In a dictionary of variables, names that begin with an underscore are left out; of a list ``w`` the first Value is
    ``w[0]``; the parameters of a module have their paths in it.

    >>> a, w = Value(1.0), [Value(2.0), Value(3.0)]
    >>> list(names_of({"a": a, "w": w, "b": a}).values())
    ['a', 'w[0]', 'w[1]']

    Raises TypeError if ``names`` maps neither names to variables nor Values to names.
    """
    found: dict[Value, str] = {}
    variables: dict[str, Any] = {}
    for key, thing in dict(names or {}).items():
        if isinstance(key, str):
            variables[key] = thing
        elif isinstance(key, Value) and isinstance(thing, str):
            found[key] = thing
        else:
            raise TypeError(
                f"names= takes variables by name, such as locals() or {{'a': a}}, or names by Value; got "
                f"{shown(thing)} for {shown(key)}"
            )
    for value, name in _in_variables(variables):
        found.setdefault(value, name)
    if isinstance(calls, CallRecord):
        for value, name in calls.names.items():
            found.setdefault(value, name)
    for value, name in _around(with_modules=calls is None):
        found.setdefault(value, name)
    return found


def is_module(thing: Any) -> bool:
    """Whether it names its parameters, as a module does: drawings know no class of layers."""
    return any("named_scalars" in vars(base) for base in type(thing).__mro__)


def _around(*, with_modules: bool) -> Iterator[tuple[Value, str]]:
    """The names in the variables of the caller: in a function, those of the parameters of modules only."""
    frame = sys._getframe(1)
    package = __name__.partition(".")[0]
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == package:
        frame = frame.f_back
    here, outside = frame.f_locals, frame.f_globals
    if here is outside:
        yield from _in_variables(here, with_modules=with_modules)
    elif with_modules:
        yield from _in_variables(here, with_values=False)
        yield from _in_variables(outside, with_values=False)


def _in_variables(
    variables: Mapping[str, Any], *, with_values: bool = True, with_modules: bool = True
) -> Iterator[tuple[Value, str]]:
    seen: set[int] = set()  # lists and modules by identity: these variables keep them alive
    taken: set[str] = set()
    for variable, thing in list(variables.items()):
        if not isinstance(variable, str) or variable.startswith("_"):
            continue
        if with_values and (issubclass(type(thing), Value) or type(thing) in (list, tuple)):
            yield from _in_lists(variable, thing, seen, _INDICES)
        elif with_modules and id(thing) not in seen and is_module(thing):
            seen.add(id(thing))
            with contextlib.suppress(Exception):  # what is drawn may be something else than this broken module
                for name, value in thing.named_scalars():
                    yield value, f"{variable}.{name}" if name in taken else name
                    taken.add(name)


def _in_lists(name: str, thing: Any, seen: set[int], depth: int) -> Iterator[tuple[Value, str]]:
    """The names in nested lists; a list that begins with a number is not searched, it may hold a million."""
    if issubclass(type(thing), Value):
        yield thing, name
    elif type(thing) in (list, tuple) and depth and id(thing) not in seen:
        seen.add(id(thing))
        if thing and (issubclass(type(thing[0]), Value) or type(thing[0]) in (list, tuple)):
            for i, item in enumerate(thing):
                yield from _in_lists(f"{name}[{i}]", item, seen, depth - 1)
