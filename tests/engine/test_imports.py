"""Import rules between modules, read from the source with ``ast``; and what importing the library loads."""

import ast
import re

import pytest

from tests.engine.domains import ROOT, python

PACKAGES = ("tinygrad_edu", "gpt", "image", "viz", "lessons")
LAYOUT = ("viz/rendering/dot.py", "viz/rendering/graphviz_program.py")  # the files that may know graphviz
DRAWING = ("pictures/", "commands/")  # the folders of gpt and image that may import viz
LLVM = "tinygrad_edu/compiler/llvm_backend/codegen.py"
TORCH = (
    "gpt/runs/convert.py",
    "gpt/engines/torch/backend.py",
    "gpt/engines/torch/engine.py",
    "gpt/engines/torch/distributed.py",
    "lessons/supplements/s26_pytorch.py",  # compares both, where PyTorch is installed
)  # loaded only when PyTorch is requested
#: Names the command line of gpt, to pass the folder of a run to it; imported only when needed.
RUNS = "viz/commands/runs.py"
#: The floors of tinygrad_edu. A module imports from lower floors only; a new module must be given its place here.
FLOORS = [
    ["errors"],
    ["collector", "console", "files", "gradient_stats"],
    ["command_line", "ops"],
    ["engine", "formulas"],
    ["nested"],
    ["calls", "gradcheck", "optim", "step_log"],
    ["functional"],
    ["nn"],
    ["compiler"],
    ["training"],
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
COMPILER = "tinygrad_edu.compiler"
#: The rooms of the compiler and the files in each, from the ground up. A file imports from what is listed before it.
ROOMS = {
    "program": ["ir", "interpreter", "passes", "autodiff", "updates", "fusion", "rematerialize", "holes"],
    "runtime": [
        *("memory", "views", "axis_order", "allocation", "index_range", "dropout_masks", "erfcx", "threads"),
        "disk_cache",
    ],
    "backend": [],
    "llvm_backend": ["text", "llvm_math", "codegen", "moves", "products", "steps", "plain", "in_place"],
    "numpy_backend": [
        "buffers",
        "elementwise",
        "contraction",
        "lowering",
        "scalars",
        "executor",
        "parallel",
        "in_place",
        "entry",
    ],
    "wasm_backend": ["binary", "layout", "texts", "module"],
    "parameters": [],
    "frontend": [
        *("diagnostics", "catching", "tracers", "indirect", "subscripts", "builtin_type", "surroundings"),
        *("repeatable", "outside", "structure", "module_templates", "trace", "simplify"),
    ],
    "vectorize": ["affine", "placement", "inline", "packs", "to_program", "kept"],
    "optim": [],
    "compiled": [],
}
STEPS = [f"{room}.{file}".strip(".") for room, files in ROOMS.items() for file in files or [""]]
STEP = {f"{COMPILER}.{name}": step for step, name in enumerate(STEPS)}
#: The floors of gpt, files and folders: a file imports from lower ones, and from its own folder.
ROOMS_OF_GPT = [
    *(
        ["errors"],
        ["byte_pairs", "config", "tokenizer"],
        ["data"],
        ["model"],
        ["runs"],
        ["sample"],
        ["engines"],
        ["train"],
    ),
    *(["inspection"], ["experiments", "pictures"], ["commands"], ["cli"], ["__main__"]),
]
#: The same of image, which gpt does not know, and which does not know gpt.
ROOMS_OF_IMAGE = [
    *(["data"], ["config"], ["model"], ["dataset"], ["canvas", "run", "sample"], ["judge", "train"], ["pictures"]),
    *(["commands"], ["cli"], ["__main__"]),
]
FLOOR_OF = {
    package: {name: floor for floor, names in enumerate(rooms) for name in names}
    for package, rooms in (("gpt", ROOMS_OF_GPT), ("image", ROOMS_OF_IMAGE))
}
#: The floors of viz, all of them folders: a file imports from its own folder and from lower ones.
DRAWN = ["graph", "rendering", "charts", "play", "pages", "stepping", "commands"]


def imports(path, source):
    """Return every import of a file as (dotted name, whether it happens inside a function).

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


def module_of(path):
    """Return the dotted name of a file."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def found(name, modules):
    """Return the module that an imported name is or comes from, or an empty string if it is not one of ours."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def circle(graph):
    """Return modules that import one another in a circle, with the first repeated at the end; empty without one."""
    done = set()

    def visit(module, way):
        if module in way:
            return [*way[way.index(module) :], module]
        if module not in done:
            for other in sorted(graph[module]):
                if around := visit(other, [*way, module]):
                    return around
            done.add(module)
        return []

    return next(filter(None, (visit(module, []) for module in graph)), [])


def violations(path, source):
    """Return a sentence for each import of a file that breaks a rule."""
    for name, _ in imports(path, source):
        target = name.split(".")
        top, sub = target[0], target[1] if len(target) > 1 else ""
        where = path.split("/")
        broken = ""
        if top == "llvmlite" and path != LLVM:
            broken = f"only {LLVM} knows LLVM"
        elif where[0] == "tinygrad_edu":
            module = where[1].removesuffix(".py")
            if top in ("gpt", "image", "viz", "lessons", "graphviz", "torch", "matplotlib"):
                broken = "the library stands on its own"
            elif top in ("tqdm", "safetensors") and module != "training":
                broken = "files and progress are the business of training"
            elif top == "numpy" and module not in ("compiler", "training"):
                broken = "arrays are the compiler's business"
            elif path.startswith("tinygrad_edu/compiler/") and (broken := out_of_order(path, name)):
                pass
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
            elif top in FLOOR_OF:
                broken = "a drawing knows no particular model"
            elif top == "lessons":
                broken = "lessons stand on viz"
        elif where[0] in FLOOR_OF:
            module, floor = where[1].removesuffix(".py"), FLOOR_OF[where[0]]
            if top == "viz" and not path.removeprefix(f"{where[0]}/").startswith(DRAWING):
                broken = f"only {' and '.join(DRAWING)} import viz"
            elif top == where[0] and {module, sub} - {*floor, "__init__"}:
                broken = f"{module} or {sub} has no floor yet: give it one in ROOMS_OF_{top.upper()}"
            elif top == where[0] and module != sub and floor[sub] >= floor[module]:
                broken = f"{module} is below {sub}"
            elif top in FLOOR_OF and top != where[0]:
                broken = "what both need is in tinygrad_edu"
            elif top == "lessons":
                broken = "lessons stand on gpt and image"
        if broken:
            yield f"{path} imports {name}: {broken}"
    if path.startswith("viz/") and path != RUNS:  # a name in a text can be imported, too
        texts = {str(node.value) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
        named = sorted(text for text in texts if re.fullmatch(r"gpt(\.\w+)*", text))
        yield from (f"{path} names {text}: only {RUNS} does" for text in named)


def out_of_order(path, name):
    """Return what is wrong with an import in a file of the compiler, or an empty string."""
    module, target = module_of(path), found(name, STEP)
    if path.endswith("__init__.py"):
        return "a room is its files" if module != COMPILER and name.startswith("tinygrad_edu") else ""
    if module not in STEP:
        return f"{module} has no place yet: give it one in ROOMS"
    if name.startswith(COMPILER) and not target:
        return "files import files: what is in a room is named in full"
    if target and STEP[target] >= STEP[module]:
        return f"{module} is below {target}"
    return ""


def test_imports_follow_the_rules():
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    assert len(files) > 10
    sentences = [
        sentence
        for file in files
        for sentence in violations(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8"))
    ]
    assert sentences == []


def import_graph(sources):
    """Return, for every module of a dict from path to source, the others it imports, anywhere in the file."""
    modules = {module_of(path) for path in sources}
    return {
        module_of(path): {found(name, modules) for name, _ in imports(path, source)} - {"", module_of(path)}
        for path, source in sources.items()
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_there_are_no_import_circles(package):
    files = sorted((ROOT / package).rglob("*.py"))
    graph = import_graph({file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files})
    assert sum(map(len, graph.values())) > 10
    assert circle(graph) == []


@pytest.mark.parametrize(
    "source",
    [
        "from . import b",
        "from .b import name",
        "import a.b",
        "def f():\n    from .b import name",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .b import name",
    ],
)
def test_every_circle_is_found(source):
    others = {"a/__init__.py": "", "a/b.py": "from .d import name", "a/d.py": "from a.c import name"}
    assert circle(import_graph({**others, "a/c.py": source})) == ["a.b", "a.d", "a.c", "a.b"]
    assert circle(import_graph({**others, "a/c.py": "from . import name"})) == []


def test_the_map_of_the_compiler_names_every_file():
    folder = ROOT / "tinygrad_edu" / "compiler"
    files = {module_of(file.relative_to(ROOT).as_posix()) for file in folder.rglob("*.py") if file.stem != "__init__"}
    assert files == {*STEP}
    told = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    rooms = re.split(r"\n\n", told)
    assert [name for name in ROOMS if f"``{name}``" not in told] == []
    for name, names in ROOMS.items():
        (text,) = [text for text in rooms if text.startswith(f"``{name}``:")] if names else [told]
        assert [file for file in names if f"``{file}``" not in text] == [], f"the map does not name files of {name}"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("tinygrad_edu/engine.py", "from .nn import Module"),
        ("tinygrad_edu/engine.py", "from . import functional"),
        ("tinygrad_edu/ops.py", "from tinygrad_edu.engine import Value"),
        ("tinygrad_edu/optim.py", "from .step_log import log"),
        ("tinygrad_edu/nn.py", "def f():\n    import numpy as np"),
        ("tinygrad_edu/nn.py", "import gpt.model"),
        ("tinygrad_edu/nn.py", "def draw():\n    from viz import draw"),
        ("tinygrad_edu/__init__.py", "import graphviz"),
        ("tinygrad_edu/compiler/compiled.py", "import torch"),
        ("tinygrad_edu/compiler/compiled.py", "def f():\n    import llvmlite.binding"),
        ("tinygrad_edu/compiler/frontend/trace.py", "from ..nn import Linear"),
        ("tinygrad_edu/compiler/frontend/trace.py", "from tinygrad_edu import nn"),
        ("tinygrad_edu/novelty.py", "import math"),
        ("tinygrad_edu/compiler/novelty.py", "import math"),
        ("tinygrad_edu/compiler/program/novelty.py", "import math"),
        ("tinygrad_edu/compiler/program/__init__.py", "from .ir import Program"),
        ("tinygrad_edu/compiler/program/passes.py", "from ..vectorize.packs import vectorize"),
        ("tinygrad_edu/compiler/program/passes.py", "def f():\n    from ..vectorize import packs"),
        ("tinygrad_edu/compiler/program/ir.py", "if TYPE_CHECKING:\n    from .passes import embed"),
        ("tinygrad_edu/compiler/program/ir.py", "from . import passes"),
        ("tinygrad_edu/compiler/frontend/tracers.py", "from .. import compiled"),
        ("tinygrad_edu/compiler/frontend/tracers.py", "from .. import jit"),
        ("tinygrad_edu/compiler/llvm_backend/codegen.py", "from ..numpy_backend.executor import NumpyExecutor"),
        ("viz/graph/build.py", "from tinygrad_edu import Value, nn"),
        ("viz/graph/build.py", "from tinygrad_edu.nn import Linear"),
        ("viz/graph/build.py", "import graphviz"),
        ("viz/graph/build.py", "def f():\n    from gpt.model import GPT"),
        ("viz/charts/attention.py", "def f():\n    from gpt import checkpoint"),
        ("viz/graph/fold.py", "from ..rendering import graphviz_program"),
        ("viz/charts/attention.py", "from ..pages.explorer import explore"),
        ("viz/commands/runs.py", "def load():\n    from gpt.runs import checkpoint"),
        ("viz/commands/graph.py", "importlib.import_module('gpt.cli')"),
        ("viz/commands/graph.py", "__import__('gpt')"),
        ("viz/commands/runs.py", "def load():\n    import lessons"),
        ("viz/commands/runs.py", "def load():\n    from tinygrad_edu import nn"),
        ("gpt/model.py", "def f():\n    import viz"),
        ("gpt/cli.py", "def f():\n    import viz"),
        ("gpt/inspection/loss_graph.py", "def f():\n    import viz"),
        ("gpt/data/corpus.py", "from ..runs import checkpoint"),
        ("gpt/pictures/report.py", "from ..commands.common import given"),
        ("gpt/engines/base.py", "def f():\n    from ..train import Run"),
        ("gpt/experiments/sweep.py", "from ..commands.run_options import configs"),
        ("gpt/inspection/surprisal.py", "from ..experiments.comparison import difference"),
        ("gpt/experiments/lr_range_test.py", "def f():\n    import viz"),
        ("gpt/novelty.py", "from . import errors"),
        ("gpt/model.py", "from . import novelty"),
        ("gpt/train.py", "from graphviz import Digraph"),
        ("gpt/train.py", "import torch"),
        ("gpt/train.py", "from image.model import Painter"),
        ("image/train.py", "from gpt.runs import checkpoint"),
        ("image/model.py", "from .sample import Sampler"),
        ("image/canvas.py", "import viz"),
        ("image/novelty.py", "from . import config"),
        ("viz/charts/attention.py", "from image.model import Painter"),
        ("tinygrad_edu/nn.py", "import safetensors"),
        ("tinygrad_edu/nn.py", "from .training import files"),
        ("tinygrad_edu/training/files.py", "from gpt.model import GPT"),
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
        ("tinygrad_edu/compiler/compiled.py", "import numpy\nfrom ..engine import Value\nfrom .program import ir"),
        ("tinygrad_edu/compiler/vectorize/packs.py", "from ...ops import Op\nfrom .inline import inline_calls"),
        ("tinygrad_edu/compiler/__init__.py", "from .compiled import jit"),
        ("viz/rendering/dot.py", "import graphviz"),
        ("gpt/commands/draw.py", "import viz\nfrom viz.graph import build\nfrom ..pictures import run"),
        ("gpt/pictures/report.py", "import viz\nfrom .run import load"),
        ("viz/commands/runs.py", "importlib.import_module('gpt.cli')"),
        ("gpt/model.py", "from tinygrad_edu.nn import Linear\nfrom . import config"),
    ],
)
def test_the_check_accepts_allowed_imports(path, source):
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


def test_importing_the_compiler_loads_only_what_numpy_loads_itself():
    code = "import sys, tinygrad_edu.compiler; print(*sys.modules.keys() & {'numpy.f2py', 'numpy.testing', 'llvmlite'})"
    assert python(code).split() == []


@pytest.mark.parametrize("package", ["gpt", "image", "viz", "lessons"])
def test_help_loads_no_command_and_nothing_large(package):
    code = f"""
import sys
from {package}.cli import main
try:
    main(["--help"])
except SystemExit:
    large = ("gpt", "image", "viz", "lessons", "graphviz", "numpy")
    print(*sorted(name for name in sys.modules if name.split(".")[0] in large))
"""
    expected = {package, f"{package}.cli", "viz.commands", "viz.commands.runs"}
    assert set(python(code).splitlines()[-1].split()) <= expected


def test_viz_exports_exactly_its_public_names():
    import viz

    assert [name for name in viz.__all__ if not hasattr(viz, name)] == []
    assert {*viz.__all__, "style"} <= {*dir(viz)}
    with pytest.raises(AttributeError, match="module 'viz' has no attribute 'dance'"):
        viz.dance  # noqa: B018


def test_importing_viz_loads_no_model():
    code = "import sys, viz, viz.commands.runs, viz.cli\nprint([name for name in sys.modules if name[:3] == 'gpt'])"
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


def test_all_public_names_of_the_library_exist():
    import tinygrad_edu

    assert [name for name in tinygrad_edu.__all__ if not hasattr(tinygrad_edu, name)] == []


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        ("graphviz", "import viz; viz.draw"),
        ("graphviz", "import viz; viz.drawing"),
        ("numpy", "from tinygrad_edu import jit"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_what_to_do(missing, code):
    said = python(
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"try:\n    {code}\nexcept ImportError as error: print(type(error).__name__, error.name, error)"
    )
    assert said.startswith(f"MissingPackageError {missing} this needs {missing}, which is not installed for ")
    assert "start with python3 run.py, which has all packages" in said


@pytest.mark.parametrize(
    ("missing", "words"),
    [("safetensors", "gpt train"), ("graphviz", "viz graph a a=1"), ("markdown_it", "lessons site")],
)
def test_a_command_line_says_it_in_one_line(missing, words):
    program, *rest = words.split()
    said = python(
        f"import sys; sys.modules[{missing!r}] = None\nimport {program}.cli\nsys.stderr = sys.stdout\n"
        f"print({program}.cli.main({rest!r}))"
    )
    assert said.startswith(f"{program}: error: this needs {missing}, which is not installed for ")
    assert said.endswith("\n2\n")
    assert said.count("\n") == 2


def test_a_module_of_ours_that_is_missing_is_no_missing_package():
    code = "from tinygrad_edu.errors import needing_packages\nwith needing_packages():\n    import tinygrad_edu.nothing"
    said = python(f"try:\n    exec({code!r})\nexcept ImportError as error: print(type(error).__name__)")
    assert said == "ModuleNotFoundError\n"
