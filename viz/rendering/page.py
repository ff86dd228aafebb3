"""A page: it shows itself in notebooks, and writes itself to a file that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .formats import write_as
from .notebook import framed

ENDINGS = (".html", ".htm")


@dataclass(frozen=True)
class Page:
    """A finished page; the last line of a notebook cell shows it."""

    html: str

    def save(self, path: str | Path) -> str:
        """Write the page; the name must end in ``.html``. Returns the path."""
        return write_as(path, dict.fromkeys(ENDINGS, lambda: self.html))

    def __repr__(self) -> str:
        return f"Page({len(self.html):,} characters; .save('page.html') writes it)"

    def _repr_html_(self) -> str:
        return framed(self.html)
