"""Pictures of scalar programs: the graph of any result, with data and gradients, from one Value to a whole GPT.

>>> from tinygrad_edu import Value
>>> import viz
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> L = a * b + a
>>> L.backward()
>>> drawing = viz.draw(L)
>>> print(drawing.picture.total, "Values")
4 Values

``draw`` returns a ``graphviz.Digraph``: the last line of a notebook cell shows it, ``viz.save(drawing, "L.svg")``
writes it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_edu.errors import needing_packages

if TYPE_CHECKING:
    from .charts.arrows import arrows
    from .charts.attention import attention
    from .charts.curve import loss_curve
    from .charts.decision_boundary import boundaries, boundary
    from .charts.embeddings import embeddings
    from .charts.flow import flow
    from .charts.flow_over import flow_over
    from .charts.histogram import histogram
    from .charts.network import network
    from .charts.next_characters import next_characters
    from .charts.pictures import pictures
    from .charts.plot import plot
    from .drawing import draw, save
    from .errors import DrawingError, ExpressionError, LayoutError, LayoutTimeout, UnknownFormatError
    from .pages.compilation import compilation
    from .pages.explorer import explore
    from .pages.liveview import live, show
    from .program import draw_program
    from .stepping.animation import animate
    from .stepping.api import step, step_page
    from .stepping.walkthrough import walkthrough

__all__ = [
    "DrawingError",
    "ExpressionError",
    "LayoutError",
    "LayoutTimeout",
    "UnknownFormatError",
    "animate",
    "arrows",
    "attention",
    "boundaries",
    "boundary",
    "compilation",
    "draw",
    "draw_program",
    "embeddings",
    "explore",
    "flow",
    "flow_over",
    "histogram",
    "live",
    "loss_curve",
    "network",
    "next_characters",
    "pictures",
    "plot",
    "save",
    "show",
    "step",
    "step_page",
    "walkthrough",
]

#: Where each name is: its file is imported when it is asked for, so that a command line starts at once.
_FILES = {
    "charts.arrows": ["arrows"],
    "charts.attention": ["attention"],
    "charts.curve": ["loss_curve"],
    "charts.decision_boundary": ["boundaries", "boundary"],
    "charts.embeddings": ["embeddings"],
    "charts.flow": ["flow"],
    "charts.flow_over": ["flow_over"],
    "charts.histogram": ["histogram"],
    "charts.network": ["network"],
    "charts.next_characters": ["next_characters"],
    "charts.pictures": ["pictures"],
    "charts.plot": ["plot"],
    "drawing": ["draw", "save"],
    "errors": ["DrawingError", "ExpressionError", "LayoutError", "LayoutTimeout", "UnknownFormatError"],
    "pages.compilation": ["compilation"],
    "pages.explorer": ["explore"],
    "pages.liveview": ["live", "show"],
    "program": ["draw_program"],
    "stepping.animation": ["animate"],
    "stepping.api": ["step", "step_page"],
    "stepping.walkthrough": ["walkthrough"],
}
_HOMES = {name: file for file, names in _FILES.items() for name in names}
_PARTS = ("charts", "drawing", "errors", "expressions", "graph", "pages", "program", "rendering", "stepping", "style")


if not TYPE_CHECKING:  # type checkers must not think that any name is there

    def __getattr__(name: str) -> Any:
        file = name if name in _PARTS else _HOMES.get(name)
        if file is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        with needing_packages():
            module = importlib.import_module(f".{file}", __name__)
        if file == name:
            return module
        found = getattr(module, name)
        if not isinstance(found, type):
            found = importlib.import_module(".arguments", __name__).checked(found)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_PARTS})
