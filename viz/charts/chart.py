"""What all charts have in common: they show themselves in notebooks, and write themselves to files."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tinygrad_edu.console import visible

from ..rendering.formats import write_as
from ..rendering.notebook import forms
from ..rendering.picture_page import page
from ..rendering.rasterize import rasterize
from ..rendering.theme import themed


class Chart(ABC):
    """A finished chart; the last line of a notebook cell shows it, and :meth:`save` writes it to a file.

    ``str`` gives its content as text, for terminals and for readers who cannot see the picture.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}(print() shows it; .save('chart.svg') writes it)"

    @abstractmethod
    def _drawn(self) -> str:
        """The chart as SVG in the colors of :mod:`viz.style`, with elements :mod:`viz.rendering.rasterize` knows."""

    def _clean(self) -> str:
        return visible(self._drawn())  # names may hold characters that SVG forbids

    def _title(self) -> str:
        return "chart"

    def _page(self) -> str:
        """The chart as a page: one to zoom and search in, unless a chart has a better one."""
        return page(self.svg(), self._title())

    def svg(self) -> str:
        """The chart, dark on dark screens."""
        return themed(self._clean())

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the chart and return the path: ``.svg``, ``.html`` to zoom and search in, ``.png`` or ``.pdf`` for
        slides and print, ``.txt`` for the numbers.

        Raises:
            UnknownFormatError: the name has another extension.
            LayoutError: no program on this machine can write this format; the message says what to install.
            OSError: the file cannot be written.
        """
        formats: dict[str, Callable[[], str | bytes]] = {
            ".svg": self.svg,
            ".html": self._page,
            ".png": lambda: rasterize(self._clean(), "png"),
            ".pdf": lambda: rasterize(self._clean(), "pdf"),
            ".txt": lambda: visible(f"{self}\n"),
        }
        return write_as(path, formats)

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None, **_: Any
    ) -> dict[str, str]:
        return forms(str(self), self.svg, include, exclude)


#: Columns of a chart as text: those of a terminal.
TEXT_WIDTH = 80


def fitted(name: str, width: int) -> str:
    """Shorten a path for a column of a table, if that is possible: what comes first is left out, but no number.

    >>> fitted("transformer.h.0.attn", 12), fitted("h.0.attn", 12), fitted("net.blocks.0.modulation", 12)
    ('…h.0.attn', 'h.0.attn', '…0.modulation')
    """
    parts = name.split(".")
    while len(name) > width and len(parts) > 1 and not parts[0].isdigit():
        parts = parts[1:]
        name = f"…{'.'.join(parts)}"
    return name


def listed(thing: Any) -> Any:
    """Convert arrays, of numpy or anything else with ``tolist``, to lists, also inside lists, tuples and mappings.

    >>> from array import array
    >>> listed({"w": (array("d", [1.0]), 2.0)})
    {'w': [[1.0], 2.0]}
    """
    if hasattr(thing, "tolist"):
        kind, thing = getattr(thing, "dtype", None), thing.tolist()
        if kind is not None and str(kind) != "object":
            return thing  # numbers, nothing nested
    if isinstance(thing, Mapping):
        return {key: listed(item) for key, item in thing.items()}
    return [listed(item) for item in thing] if isinstance(thing, (list, tuple)) else thing
