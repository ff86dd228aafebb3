"""``repr`` of every public class: one line of at most 200 characters, whatever the object holds."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import gpt
import image
import lessons
import tinygrad_edu
import viz

#: A long value for each field, by the start of its annotation.
LARGE: dict[tuple[str, ...], Any] = {
    ("str",): "a text\n" * 200,
    ("int", "bool"): 123_456,
    ("float",): 0.1234567891234,
    ("dict", "Mapping"): {f"key {i}": 1.5 for i in range(500)},
    ("",): [[123.456] * 100] * 100,
}
NOT_IMPORTED = (
    "__main__",
    "gpt.engines.torch",
    "lessons.sandbox",
    "lessons.0",
    "lessons.1",
    "lessons.supplements",
    "lessons.pictures",
)


def modules() -> Iterator[Any]:
    for package in (tinygrad_edu, gpt, image, viz, lessons):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(words in found.name for words in NOT_IMPORTED):
                yield importlib.import_module(found.name)


def test_repr_of_every_data_class_is_one_short_line() -> None:
    classes = 0
    for module in modules():
        for name in getattr(module, "__all__", ()):
            kind = getattr(module, name)
            if not (inspect.isclass(kind) and kind.__module__ == module.__name__ and dataclasses.is_dataclass(kind)):
                continue
            one = object.__new__(kind)
            for field in dataclasses.fields(kind):
                large = next(thing for words, thing in LARGE.items() if str(field.type).startswith(words))
                object.__setattr__(one, field.name, large)
            try:
                shown = repr(one)
            except (TypeError, AttributeError, ValueError):  # it uses its fields, which hold nonsense here
                assert not kind.__dataclass_params__.repr
                continue
            assert "\n" not in shown, kind
            assert len(shown) <= 200, (kind, shown[:300])
            classes += 1
    assert classes > 40
