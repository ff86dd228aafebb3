"""A page that shows one of several pictures, such as an attention head or a snapshot of a run."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from .templates import asset, page, script_json


def choice_page(
    title: str, choices: Mapping[str, Sequence[str]], pictures: Sequence[str], *, slider: bool = False
) -> str:
    """Make the page.

    Args:
        title: what the pictures show.
        choices: the choices by name, such as ``{"layer": ["0", "1"], "head": ["0", "1", "2"]}``.
        pictures: SVG for every combination; the last choice varies fastest.
        slider: whether to choose with a slider that can play instead of buttons.

    Raises ValueError unless there is one picture per combination.
    """
    needed = math.prod(map(len, choices.values()))
    if needed != len(pictures) or not pictures:
        raise ValueError(f"the choices need {needed} pictures; got {len(pictures)}")
    controls = (_slider if slider else _buttons)(choices)
    parts = {
        "CONTROLS": controls,
        "NAMES": script_json([[name, list(words)] for name, words in choices.items()]),
        "PICTURES": script_json(list(pictures)),
    }
    return page("choice.html", title, asset("choice.css"), parts)


def _buttons(choices: Mapping[str, Sequence[str]]) -> str:
    groups = []
    for number, (name, words) in enumerate(choices.items()):
        options = "".join(
            f'<label><input type="radio" name="choice{number}" value="{i}"{" checked" if i == 0 else ""}>'
            f"<span>{html.escape(word)}</span></label>"
            for i, word in enumerate(words)
        )
        hidden = " hidden" if len(words) == 1 else ""
        groups.append(f"<fieldset{hidden}><legend>{html.escape(name)}</legend>{options}</fieldset>")
    return "".join(groups)


def _slider(choices: Mapping[str, Sequence[str]]) -> str:
    ranges = [
        f'<label class="slider">{html.escape(name)} <input type="range" name="choice{number}" min="0" '
        f'max="{len(words) - 1}" value="0" step="1"></label>'
        for number, (name, words) in enumerate(choices.items())
    ]
    return f'{"".join(ranges)}<button id="play" title="play or pause (space)">play</button>'
