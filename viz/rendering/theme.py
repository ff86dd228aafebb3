"""A picture for the screen: dark on a dark screen, with every number in full where a script can read it.

A layout program writes colors into every shape. This adds a style sheet of a few lines: each color of
:mod:`viz.style` becomes a CSS variable with a value for light screens and one for dark screens. Programs that do not
know CSS, such as converters to PDF, still see the colors in the shapes.
"""

from __future__ import annotations

import html
import re

from tinygrad_edu.engine import NO_GRADIENT_YET
from tinygrad_edu.ops import CONSTANT

from .. import style
from ..graph.fold import Box, Picture

#: Selectors for the theme of a notebook's page, in JupyterLab and in VS Code.
LIGHT_NOTEBOOK = ":is([data-jp-theme-light=true],[data-vscode-theme-kind$=light])"
DARK_NOTEBOOK = ":is([data-jp-theme-light=false],[data-vscode-theme-kind$=dark],[data-vscode-theme-kind$=contrast])"


def variables() -> tuple[str, str]:
    """Return the colors of :data:`viz.style.THEMES` as CSS variables, light and dark."""
    light = "".join(f"--{name}:{color};" for name, (color, _) in style.THEMES.items())
    dark = "".join(f"--{name}:{color};" for name, (_, color) in style.THEMES.items())
    return light, dark


def page_colors() -> str:
    """Return the same for a whole page, and the colors for a projector.

    ``data-theme`` of the root selects one; without it the setting of the screen does.
    """
    light, dark = variables()
    for i, (on_light, on_dark) in enumerate(style.SURPRISE):
        light += "--back{0}:{1};--fore{0}:{2};".format(i, *on_light)
        dark += "--back{0}:{1};--fore{0}:{2};".format(i, *on_dark)
    beamer = "".join(
        f"--{name}:{style.BEAMER[color]};" for name, (color, _) in style.THEMES.items() if color in style.BEAMER
    )
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme]){{color-scheme:dark;{dark}}}}}\n"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}\n"
        f":root[data-theme=beamer]{{{beamer}}}\n"
    )


def picture_rules() -> str:
    """Return the same for pictures of the class ``tinygrad``: each color becomes its variable."""
    light, dark = variables()
    use = "".join(
        f'svg.tinygrad [{what}="{color}" i]{{{what}:var(--{name})}}'
        for name, (color, _) in style.THEMES.items()
        for what in ("fill", "stroke")
    )
    return (
        f"svg.tinygrad{{{light}}}"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme]) svg.tinygrad,svg.tinygrad:root{{{dark}}}}}"
        f":root:not([data-theme]) body{LIGHT_NOTEBOOK} svg.tinygrad{{{light}}}"
        f":root[data-theme=dark] svg.tinygrad,:root:not([data-theme]) body{DARK_NOTEBOOK} svg.tinygrad{{{dark}}}{use}"
    )


_NODE = re.compile(r'(<g id="[^"]*" class="node")(>\s*<title>([^<]*)</title>)')


def themed(svg: str, picture: Picture | None) -> str:
    """Add the style sheet to an SVG from a layout program, and ``data-`` attributes to the boxes of ``picture``.

    The box of a single Value has ``data-name``, ``data-op``, ``data-value`` and ``data-grad``, with every digit;
    ``data-count`` is the number of Values in a box.
    """
    start = svg.index("<svg")
    end = svg.index(">", start)
    attributes = {} if picture is None else {box.id: _attributes(picture, box) for box in picture.boxes}
    body = _NODE.sub(lambda found: f"{found[1]}{attributes.get(html.unescape(found[3]), '')}{found[2]}", svg[end + 1 :])
    return f'{svg[:end]} class="tinygrad"><style>{picture_rules()}</style>{body}'


def _attributes(picture: Picture, box: Box) -> str:
    facts = {"count": str(len(box.nodes))}
    if box.kind == "node":
        value = picture.graph.values[box.nodes[0]]
        facts["value"] = repr(value.data)
        if value.op is not None and value.op is not CONSTANT:
            facts["op"] = value.op.symbol
        if value.grad is not NO_GRADIENT_YET and value.op is not CONSTANT:
            facts["grad"] = repr(value.grad)
    if box.name:
        facts["name"] = box.name
    return "".join(f' data-{key}="{html.escape(text)}"' for key, text in facts.items())
