"""Helpers for the engine's tests: hypothesis settings, the domain of each primitive, a fresh interpreter."""

import functools
import os
import subprocess
import sys
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]

#: The same examples in every run: a failure can be reproduced, and a pass is not luck.
repeatable = functools.partial(settings, deadline=None, derandomize=True, database=None)

ordinary = st.floats(-4.0, 4.0).map(
    lambda x: x or 0.5
)  # many functions have a corner at 0; corners have their own tests
positive = st.floats(0.05, 6.0)
away_from_zero = st.floats(0.2, 5.0) | st.floats(-5.0, -0.2)

#: The inputs of the primitives that are not defined everywhere. A row that is not named here, a new one for instance,
#: is tested on ordinary numbers.
DOMAINS = {
    "div": (ordinary, away_from_zero),
    "pow": (positive, st.floats(-3.0, 3.0)),
    "log": (positive,),
    "sqrt": (positive,),
}


def inputs_of(op, arity=None):
    """Return a strategy for one point in the domain of ``op``; variadic operations get ``arity`` inputs, or 2."""
    domain = DOMAINS.get(op.name) or (ordinary,) * (op.arity if op.arity is not None else arity or 2)
    return st.tuples(*domain)


def python(code, **environment):
    """Run ``code`` in a fresh interpreter, in the repository's root, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
