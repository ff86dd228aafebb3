"""A picture for the screen: dark where the screen is dark, and every number in full where a script can read it.

A layout program writes colors into every shape. Here a style sheet of a few lines is put over them: each color of
:mod:`viz.style` becomes a CSS variable with a value for light and one for dark. Programs that do not know CSS, such as
converters to PDF, still see the colors in the shapes.
"""

from __future__ import annotations

import html
import re

from tinygrad_edu.engine import NO_GRADIENT_YET
from tinygrad_edu.ops import CONSTANT

from .. import style
from ..graph.fold import Box, Picture

#: What the body of a notebook's page says of its theme, in JupyterLab and in VS Code, as selectors.
LIGHT_NOTEBOOK = ":is([data-jp-theme-light=true],[data-vscode-theme-kind$=light])"
DARK_NOTEBOOK = ":is([data-jp-theme-light=false],[data-vscode-theme-kind$=dark],[data-vscode-theme-kind$=contrast])"


def variables() -> tuple[str, str]:
    """The colors of :data:`viz.style.THEMES` as CSS variables, light and dark."""
    light = "".join(f"--{name}:{color};" for name, (color, _) in style.THEMES.items())
    dark = "".join(f"--{name}:{color};" for name, (_, color) in style.THEMES.items())
    return light, dark


def page_rules() -> str:
    """The same for a whole page: dark where the screen is, or as ``data-theme`` of its root says."""
    light, dark = variables()
    dark += "color-scheme:dark;"
    return (
        f":root{{{light}color-scheme:light}}"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme]){{{dark}}}}}"
        f":root[data-theme=dark]{{{dark}}}\n"
    )


def picture_rules() -> str:
    """The same for pictures of the class ``tinygrad``: the variable of a color in place of the color itself."""
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


def page_colors() -> str:
    """The colors of :mod:`viz.style` as variables of a whole page, light, dark and for a projector.

    ``data-theme`` on the root says which; without it the screen's own setting counts.
    """
    light = "".join(f"--{name}:{color};" for name, (color, _) in style.THEMES.items())
    dark = "".join(f"--{name}:{color};" for name, (_, color) in style.THEMES.items())
    beamer = "".join(
        f"--{name}:{style.BEAMER[color]};" for name, (color, _) in style.THEMES.items() if color in style.BEAMER
    )
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme]){{color-scheme:dark;{dark}}}}}\n"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}\n"
        f":root[data-theme=beamer]{{{beamer}}}\n"
    )


_NODE = re.compile(r'(<g id="[^"]*" class="node")(>\s*<title>([^<]*)</title>)')


def themed(svg: str, picture: Picture | None) -> str:
    """SVG from a layout program, with the style sheet, and with ``data-`` attributes on the boxes of ``picture``.

    ``data-name``, ``data-op``, ``data-value`` and ``data-grad`` stand on the box of a single Value, with every digit;
    ``data-count`` says how many Values are in a box.
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
