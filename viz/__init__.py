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

from .charts.attention import attention
from .charts.curve import loss_curve
from .charts.decision_boundary import boundaries, boundary
from .charts.embeddings import embeddings
from .charts.flow import flow
from .charts.flow_over import flow_over
from .charts.histogram import histogram
from .charts.next_characters import next_characters
from .charts.plot import plot
from .drawing import draw, save
from .errors import DrawingError, ExpressionError, LayoutError, LayoutTimeout, UnknownFormatError
from .pages.compilation import compilation
from .pages.explorer import explore
from .pages.liveview import live, show
from .program import draw_program
from .stepping.animation import animate
from .stepping.api import step, step_page
from .stepping.document import walkthrough

__all__ = [
    "DrawingError",
    "ExpressionError",
    "LayoutError",
    "LayoutTimeout",
    "UnknownFormatError",
    "animate",
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
    "next_characters",
    "plot",
    "save",
    "show",
    "step",
    "step_page",
    "walkthrough",
]
