"""Who may import whom, read from the source with ``ast``; and what importing the library really loads."""

import ast

import pytest
from domains import ROOT, python

PACKAGES = ("tinygrad_edu", "gpt", "viz", "lessons")
LAYOUT = ("viz/rendering/dot.py", "viz/rendering/layout.py")  # the files that may know graphviz
DRAWING = "gpt/commands/"  # the files of gpt that may import viz, where they draw
LLVM = "tinygrad_edu/compiler/llvm_backend/codegen.py"
TORCH = (
    "gpt/runs/convert.py",
    "gpt/engines/torch/backend.py",
    "gpt/engines/torch/engine.py",
    "gpt/engines/torch/distributed.py",
)  # they are loaded for who asks for PyTorch
#: Reads the folders of runs; what it finds is drawn by files that know no model.
CHECKPOINT = "viz/commands/checkpoint.py"
#: The floors of tinygrad_edu. A module imports from lower floors only; a new module must be given its place here.
FLOORS = [
    ["console", "errors", "measure"],
    ["ops"],
    ["engine"],
    ["calls", "gradcheck", "optim", "steps"],
    ["functional"],
    ["nn"],
    ["compiler"],
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
#: The floors of viz, folders all of them: a file imports from its own and from lower ones.
DRAWN = ["graph", "rendering", "charts", "pages", "stepping", "commands"]


def imports(path, source):
    """Every import of a file as (dotted name, whether it happens inside a function).

    ``from tinygrad_edu import nn`` may bring a module or a name; either way it is seen as ``tinygrad_edu.nn``.
    """
    package = path.split("/")[:-1]

    def visit(node, inside):
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            yield from ((".".join([*base, alias.name]), inside) for alias in node.names)
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    return visit(ast.parse(source), False)


def violations(path, source):
    """The sentences that say which imports of a file break a rule of the house."""
    for name, inside in imports(path, source):
        target = name.split(".")
        top, sub = target[0], target[1] if len(target) > 1 else ""
        where = path.split("/")
        broken = ""
        if top == "llvmlite" and path != LLVM:
            broken = f"only {LLVM} knows LLVM"
        elif where[0] == "tinygrad_edu":
            module = where[1].removesuffix(".py")
            if top in ("gpt", "viz", "lessons", "graphviz", "torch", "tqdm", "safetensors", "matplotlib"):
                broken = "the library stands on its own"
            elif top == "numpy" and module != "compiler":
                broken = "arrays are the compiler's business"
            elif module != "__init__" and module not in FLOOR:
                broken = f"{module} has no floor yet: give it one in FLOORS"
            elif top == "tinygrad_edu" and module not in ("__init__", sub):
                if sub not in FLOOR or FLOOR[sub] >= FLOOR[module]:
                    broken = f"{module} is built from lower floors only"
                elif module == "compiler" and sub == "nn":
                    broken = "the compiler knows no particular layer"
        elif top == "graphviz" and path not in LAYOUT:
            broken = f"only {', '.join(LAYOUT)} know graphviz"
        elif top == "torch" and path not in TORCH:
            broken = f"only {', '.join(TORCH)} know PyTorch"
        elif where[0] == "viz":
            if (top, sub) == ("tinygrad_edu", "nn"):
                broken = "drawings see modules through recorded calls"
            elif top == "viz" and {where[1], sub} <= {*DRAWN} and DRAWN.index(sub) > DRAWN.index(where[1]):
                broken = f"{where[1]} is below {sub}"
            elif top == "gpt" and not (path == CHECKPOINT and inside):
                broken = f"a drawing knows no particular model; only functions of {CHECKPOINT} import gpt"
            elif top == "lessons":
                broken = "lessons stand on viz"
        elif where[0] == "gpt":
            if top == "viz" and not (path.startswith(DRAWING) and inside):
                broken = f"only functions of {DRAWING} import viz"
            elif top == "lessons":
                broken = "lessons stand on gpt"
        if broken:
            yield f"{path} imports {name}: {broken}"


def test_the_house_rules():
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    assert len(files) > 10
    found = [
        sentence
        for file in files
        for sentence in violations(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("tinygrad_edu/engine.py", "from .nn import Module"),
        ("tinygrad_edu/engine.py", "from . import functional"),
        ("tinygrad_edu/ops.py", "from tinygrad_edu.engine import Value"),
        ("tinygrad_edu/optim.py", "from .steps import log"),
        ("tinygrad_edu/nn.py", "def f():\n    import numpy as np"),
        ("tinygrad_edu/nn.py", "import gpt.model"),
        ("tinygrad_edu/nn.py", "def draw():\n    from viz import draw"),
        ("tinygrad_edu/__init__.py", "import graphviz"),
        ("tinygrad_edu/compiler/run.py", "import torch"),
        ("tinygrad_edu/compiler/compiled.py", "def f():\n    import llvmlite.binding"),
        ("tinygrad_edu/compiler/frontend/trace.py", "from ..nn import Linear"),
        ("tinygrad_edu/compiler/frontend/trace.py", "from tinygrad_edu import nn"),
        ("tinygrad_edu/novelty.py", "import math"),
        ("viz/graph/graph.py", "from tinygrad_edu import Value, nn"),
        ("viz/graph/graph.py", "from tinygrad_edu.nn import Linear"),
        ("viz/graph/graph.py", "import graphviz"),
        ("viz/graph/graph.py", "def f():\n    from gpt.model import GPT"),
        ("viz/charts/attention.py", "def f():\n    from gpt import checkpoint"),
        ("viz/graph/fold.py", "from ..rendering import layout"),
        ("viz/charts/attention.py", "from ..pages.explorer import explore"),
        ("viz/commands/checkpoint.py", "from gpt import checkpoint"),
        ("viz/commands/checkpoint.py", "def load():\n    import lessons"),
        ("viz/commands/checkpoint.py", "def load():\n    from tinygrad_edu import nn"),
        ("gpt/model.py", "def f():\n    import viz"),
        ("gpt/cli.py", "def f():\n    import viz"),
        ("gpt/commands/draw.py", "import viz"),
        ("gpt/commands/draw.py", "from viz import draw"),
        ("gpt/train.py", "from graphviz import Digraph"),
        ("gpt/train.py", "import torch"),
    ],
)
def test_the_check_can_fail(path, source):
    assert list(violations(path, source)) != []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "tinygrad_edu/nn.py",
            "import math\nfrom . import calls\nfrom . import functional as F\nfrom .engine import Value",
        ),
        ("tinygrad_edu/compiler/run.py", "import numpy\nfrom ..engine import Value\nfrom .trace import Program"),
        ("viz/rendering/dot.py", "import graphviz"),
        ("gpt/commands/draw.py", "def draw(arguments):\n    import viz\n    from viz.graph import graph"),
        ("viz/commands/checkpoint.py", "def load():\n    from gpt import checkpoint"),
        ("gpt/model.py", "from tinygrad_edu.nn import Linear\nfrom . import config"),
    ],
)
def test_the_check_lets_pass_what_is_allowed(path, source):
    assert list(violations(path, source)) == []


def test_importing_the_library_loads_nothing_but_the_standard_library():
    code = """
import sys
before = set(sys.modules)
import tinygrad_edu
loaded = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - set(sys.stdlib_module_names)))
"""
    assert python(code).split() == ["tinygrad_edu"]


def test_importing_viz_loads_no_model():
    code = (
        "import sys, viz, viz.commands.checkpoint, viz.cli\nprint([name for name in sys.modules if name[:3] == 'gpt'])"
    )
    assert python(code).strip() == "[]"


def test_importing_and_building_prints_nothing_and_seeds_nothing():
    code = """
import random
random.seed(1)
state = random.getstate()
from tinygrad_edu import Value, nn, optim
model = nn.MLP(2, [3, 1])
optim.AdamW(model.parameters())
assert random.getstate() == state
"""
    assert python(code) == ""


def test_all_names_of_the_library_are_there():
    import tinygrad_edu

    assert [name for name in tinygrad_edu.__all__ if not hasattr(tinygrad_edu, name)] == []
