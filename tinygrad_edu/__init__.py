"""tinygrad_edu: neural networks from a single scalar up to a GPT.

>>> from tinygrad_edu import Value
>>> x = Value(3.0)
>>> y = x * x + 2 * x
>>> y.backward()
>>> x.grad
8.0

Start reading at :mod:`tinygrad_edu.engine`; the calculus is in :mod:`tinygrad_edu.ops`.
Importing this package loads the standard library and nothing else.
"""

from typing import TYPE_CHECKING, Any

from . import functional, nn, optim
from .calls import record_calls
from .collector import collector_paused
from .engine import Value, maximum, minimum, no_grad, topological_order
from .errors import needing_packages
from .gradcheck import central_difference, gradcheck

if TYPE_CHECKING:
    from .compiler import jit

__version__ = "0.1.0"

__all__ = [
    "Value",
    "central_difference",
    "collector_paused",
    "functional",
    "gradcheck",
    "jit",
    "maximum",
    "minimum",
    "nn",
    "no_grad",
    "optim",
    "record_calls",
    "topological_order",
]


if not TYPE_CHECKING:  # type checkers must not accept arbitrary names

    def __getattr__(name: str) -> Any:
        # The compiler needs numpy, so it is loaded on first use.
        if name == "jit":
            with needing_packages():
                from .compiler import jit

            return jit
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
