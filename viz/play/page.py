"""The playground as one HTML file: no network, no server, nothing to install where it is opened.

A screen has two halves: ``model_NAME.js`` computes, in a Worker, so that the page never freezes, and ``screen_NAME.js``
shows. ``kit.js`` is the frame around all screens, ``worker.js`` counts the steps and keeps what undo needs.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from tinygrad_edu import console

from ..rendering.page import Page
from ..rendering.templates import asset, fill, head, script_json
from .engine import class_in_javascript, table_in_javascript

__all__ = ["SCREENS", "play_page", "write"]

#: The screens, in the order of their tabs.
SCREENS = ("point", "line", "network", "names", "read", "train", "flow")

#: Scripts of the Worker before its models, and of the page before its screens.
_WORKER = (
    "chance.js",
    "scalars.js",
    "layers.js",
    "gpt_scalars.js",
    "expression.js",
    "reader.js",
    "reader_backward.js",
    "safetensors.js",
)
_PAGE = ("plot.js", "kit.js")


def play_page(
    assets: Mapping[str, bytes] | None = None,
    facts: Mapping[str, Any] | None = None,
    *,
    screens: Sequence[str] = SCREENS,
    title: str = "Playground",
) -> Page:
    """Make the page.

    Args:
        assets: bytes by name that a screen asks for, such as a text or the weights of a model; deflated in the page.
        facts: what the screens know about them, as JSON.
        screens: those to put in; the first one is shown.
        title: of the page.

    >>> page = play_page(screens=["point"])
    >>> page
    Page(...characters; .save('page.html') writes it)
    """
    parts = {
        "HEAD": head(
            title,
            asset("boxes.css") + "".join(map(_script, ["play.css", *(f"screen_{name}.css" for name in screens)])),
            sources="; worker-src blob:; child-src blob:",
            scripts="'wasm-unsafe-eval'",
        ),
        "FACTS": script_json(dict(facts or {})),
        "ASSETS": "".join(
            _asset(name, data) for name, data in {"worker": worker_script(screens).encode(), **(assets or {})}.items()
        ),
        "SCRIPT": page_script(screens),
    }
    return Page(fill(_script("play.html"), parts))


def write(page: Page, path: Path, opened: bool) -> None:
    """Save the page, say where it is, and open it in a browser, if that is wanted and there is a screen."""
    written = Path(page.save(path)).absolute()
    print(f"Wrote {path} ({len(page.html.encode()) / 1e6:.1f} MB): {written.as_uri()}")
    if opened:
        console.open_page(written.as_uri())


def worker_script(screens: Sequence[str] = SCREENS) -> str:
    """Return the program of the Worker, with the models of some screens."""
    return worker_library(screens) + _script("worker.js")


def worker_library(screens: Sequence[str] = SCREENS) -> str:
    """Return the same without what listens to the page: the engine and the models."""
    step = files("tinygrad_edu").joinpath("compiler", "wasm_backend", "step.js").read_text(encoding="utf-8")
    models = [_script(f"model_{name}.js") for name in screens]
    engine = table_in_javascript() + class_in_javascript()
    return "\n".join([asset("words.js"), engine, asset("steps.js"), *map(_script, _WORKER), step, *models, ""])


def page_script(screens: Sequence[str] = SCREENS) -> str:
    """Return the program of the page, with some screens."""
    return "\n".join(
        [
            asset("words.js"),
            asset("layout.js"),
            *map(_script, _PAGE),
            *(_script(f"screen_{name}.js") for name in screens),
            "begin();\n",
        ]
    )


def _script(name: str) -> str:
    return files("viz").joinpath("play", name).read_text(encoding="utf-8")


def _asset(name: str, data: bytes) -> str:
    packed = base64.b64encode(zlib.compress(data, 9)).decode("ascii")
    return f'<script type="application/octet-stream" id="asset-{name}">{packed}</script>\n'
