"""Templates of pages in ``viz/pages``, and how they are filled."""

from __future__ import annotations

import json
from importlib.resources import files

from tinygrad_edu.console import visible


def asset(name: str) -> str:
    """The text of a file in ``viz/pages``."""
    return files("viz").joinpath("pages", name).read_text(encoding="utf-8")


def fill(template: str, parts: dict[str, str]) -> str:
    """``@NAME@`` in a template becomes the part of that name.

    What the parts contain is left as it is, but for characters that no file may hold; those can be seen afterwards.
    """
    pieces = template.split("@")
    return visible(
        "".join(
            parts.get(piece, "") if i % 2 else piece  # every second piece stands between two signs
            for i, piece in enumerate(pieces)
        )
    )


def script_json(data: object) -> str:
    """JSON that can stand inside a script element: no ``<`` that could end it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
