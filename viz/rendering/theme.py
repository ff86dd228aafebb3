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


def themed(svg: str, theme: str = "auto") -> str:
    """Return an SVG with colors that follow the screen; ``"light"`` and ``"dark"`` are fixed."""
    if theme == "light":
        return svg
    if theme == "dark":
        dark = {color.lower(): on_dark for color, on_dark in style.THEMES.values()}
        return _COLOR.sub(lambda found: f'{found[1]}="{dark.get(found[2].lower(), found[2])}"', svg)
    end = svg.index(">", svg.index("<svg"))
    return f'{svg[:end]} class="tinygrad"><style>{picture_rules()}</style>{svg[end + 1 :]}'


_COLOR = re.compile(r'(fill|stroke)="(#[0-9a-fA-F]{6})"')


def attributes(picture: Picture, box: Box) -> str:
    """Return the attributes of a box for scripts.

    That of a single Value has ``data-name``, ``data-op``, ``data-value`` and ``data-grad``, with every digit;
    ``data-count`` is the number of Values in a box.
    """
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
