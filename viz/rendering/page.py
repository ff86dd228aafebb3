"""A page: it shows itself in notebooks, and writes itself to a file that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinygrad_edu.files import write_atomically

from ..errors import UnknownFormatError
from .notebook import framed


@dataclass(frozen=True)
class Page:
    """A finished page; the last line of a notebook cell shows it."""

    html: str

    def save(self, path: str | Path) -> str:
        """Write the page; the name must end in ``.html``. Returns the path."""
        if Path(path).suffix.lower() not in (".html", ".htm"):
            raise UnknownFormatError(f"this is a page, which is HTML: {path} must end in .html")
        write_atomically(path, self.html.encode())
        return str(path)

    def __repr__(self) -> str:
        return f"Page({len(self.html):,} characters; .save('page.html') writes it)"

    def _repr_html_(self) -> str:
        return framed(self.html)
