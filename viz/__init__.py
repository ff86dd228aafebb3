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

from .animation import animate
from .attention import attention
from .boundary import boundaries, boundary
from .compilation import compilation
from .curve import loss_curve
from .document import walkthrough
from .drawing import draw, save
from .embeddings import embeddings
from .errors import DrawingError, ExpressionError, LayoutError, LayoutTimeout, UnknownFormatError
from .explorer import explore
from .flow import flow
from .flow_over import flow_over
from .histogram import histogram
from .liveview import live, show
from .next_characters import next_characters
from .plot import plot
from .program import draw_program
from .stepping import step, step_page

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
