"""``lessons site --live``: what pages need to run their cells, and a server for them.

Pyodide, which is Python as WebAssembly, and Graphviz come from npm: exactly these versions, whose files have these
hashes. Nothing of them is part of this project. Pages that hold them must be served; any server of files will do. One
that also sends :data:`HEADERS` lets a running cell be stopped without losing what it has computed.

Pages do not import the course: they begin with the memory of a Python that has, which Node.js writes once. Without
Node.js, and with ``--assets``, they import what they need, and start more slowly.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import functools
import gzip
import hashlib
import importlib.util
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from gpt.errors import DataError
from tinygrad_edu.errors import brief
from tinygrad_edu.files import write_atomically
from viz.rendering.templates import script_json

from . import practice
from .cells import FOLDER, Lesson
from .errors import LessonError
from .kernel import NEED_NUMPY, answers, calibrate
from .runner import Shown, run_all

__all__ = ["HEADERS", "PACKAGES", "Package", "need_numpy", "page_data", "run", "server", "write_assets"]


@brief
@dataclass(frozen=True)
class Package:
    """A package of npm.

    Attributes:
        name, version: which.
        integrity: the SHA-512 of its file, in base64, as npm itself writes it.
        files: what is taken from it: the name in the package, and here.
    """

    name: str
    version: str
    integrity: str
    files: dict[str, str]

    @property
    def file(self) -> str:
        """The name of its file, as ``npm pack`` writes it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


PACKAGES = (
    Package(
        "pyodide",
        "314.0.7",
        "0YvXxEhfEdpLfb/XkM2BFAeMROq0iMUX2bzzH9pOttyMcWkwq+HbE5uyuGD82LN7y2q+SNvi/6V5JEsOlD2R1A==",
        {
            "package/pyodide.mjs": "pyodide.mjs",
            "package/pyodide.asm.mjs": "pyodide.asm.mjs",
            "package/pyodide.asm.wasm": "pyodide.asm.wasm",
            "package/python_stdlib.zip": "python_stdlib.zip",
            "package/pyodide-lock.json": "pyodide-lock.json",
            "package/package.json": "pyodide-package.json",  # names its license
        },
    ),
    Package(
        "@hpcc-js/wasm-graphviz",
        "1.29.2",
        "AkArBAZERT5OxH52/+kvCHB07cZ6ZNd9GnOvjw+S880bR88D6i27XfK6xj4dBhUDxNA2QPPMdgEcky3x4TJ3KA==",
        {"package/dist/index.js": "graphviz.js", "package/LICENSE": "graphviz-LICENSE"},
    ),
)
#: What a server should send with every file: then pages may share memory with their Worker.
HEADERS = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}

_ARRAY_PICTURES = ("compilation", "histogram")  # of viz: those that need numpy
_SCRIPTS = ("live_worker.js", "live_compiled.js", "live_python.mjs", "live_memory.mjs")
_PARTS = ("tinygrad_edu", "viz", "gpt", "lessons")  # of this project, beside the graphviz package


def write_assets(folder: Path, assets: Path | None = None) -> None:
    """Write ``folder/live``: Pyodide, Graphviz, and the packages that lessons import.

    The npm packages come from the folder ``assets``, as ``npm pack`` leaves them, or from npm itself.

    Raises LessonError if there are none, or if one is not the file that it should be.
    """
    own = folder / "live"
    own.mkdir(parents=True, exist_ok=True)
    for package, content in zip(PACKAGES, _packed(assets), strict=True):
        digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
        if digest != package.integrity:
            raise LessonError(
                f"{package.file} is not used: expected the SHA-512 {package.integrity[:16]}…, got {digest[:16]}…"
            )
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for there, here in package.files.items():
                member = archive.extractfile(there)
                assert member is not None, "the hash is right"
                write_atomically(own / here, member.read())
    write_atomically(own / "packages.bin", gzip.compress(json.dumps(_texts()).encode(), mtime=0))
    step = FOLDER.parent / "tinygrad_edu" / "compiler" / "wasm_backend" / "step.js"
    for script in (*(FOLDER / "pages" / name for name in _SCRIPTS), step):
        write_atomically(own / script.name, script.read_text(encoding="utf-8"))
    _prepare(own)


def run(lesson: Lesson, folder: Path, *, fast: bool) -> tuple[list[Shown | None], str]:
    """Run a lesson and write what its compiled functions are in a page; returns its output and :func:`page_data`.

    The file is ``folder/live/NAME.zip``, with the text that the lesson trains on, if it is a named one.

    Args:
        lesson: which.
        folder: of the pages.
        fast: whether to train less.
    """
    from gpt.data.corpus import named_text  # here, because they load numpy and the compiler

    from .recorded import modules, recording

    with recording() as made:
        shown = run_all(lesson, fast=fast)
        packed = f"{lesson.path.stem}.zip" if made else ""
        data = page_data(lesson, shown, fast=fast, packed=packed)  # lines to fill in are run with less training
    if made:
        source = " ".join(cell.source for cell in lesson.cells if cell.is_code)
        texts = {}
        if not fast and 'named_text("shakespeare")' in source:
            with contextlib.suppress(DataError):  # the lesson has said so
                texts["shakespeare.txt"] = named_text("shakespeare")
        (folder / "live").mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "live" / packed, modules(made, texts, pictures="draw_program" in source))
    return shown, data


def page_data(lesson: Lesson, shown: Sequence[Shown | None], *, fast: bool, packed: str = "") -> str:
    """Return what ``live.js`` needs to know about a lesson, as JSON for a script element.

    Args:
        lesson: which.
        shown: the output of each of its cells, with the time it took.
        fast: whether they ran with less training.
        packed: the name of the file with its compiled functions.
    """
    needs = need_numpy(lesson)
    with contextlib.redirect_stdout(io.StringIO()):
        wanted = {} if needs else answers(lesson)
    blanks = [
        {"cell": b.cell, "line": b.line, "code": b.code, "shown": b.shown, "hint": b.hint, "wanted": json.dumps(seen)}
        for i in range(len(lesson.cells))
        for b in practice.blanks(lesson, i)
        if (seen := wanted.get((b.cell, b.line)))
    ]
    seconds = [0.0 if of_cell is None else round(of_cell.seconds, 3) for of_cell in shown]
    return script_json(
        {
            "lesson": lesson.name,
            "fast": fast,
            "seconds": seconds,
            "reference": calibrate(),
            "blanks": blanks,
            "needs": needs,
            "packed": packed,
            "serve": "python3 run.py lesson site FOLDER --live --serve",
        }
    )


def need_numpy(lesson: Lesson) -> list[int]:
    """Return the numbers of the cells that use what needs numpy, or a name of a cell that does.

    A cell that only imports it runs; a cell counts even if it uses it only inside a function.
    """
    tainted: set[str] = set()
    found = []
    for i, cell in enumerate(lesson.cells):
        if not cell.is_code:
            continue
        names: set[str] = set()
        loaded: set[str] = set()
        imports = False
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}  # missing if one is
            if isinstance(node, ast.ImportFrom) and node.module in NEED_NUMPY:
                there = NEED_NUMPY[node.module]
                tainted |= {alias.asname or alias.name for alias in node.names if alias.name not in there}
            elif isinstance(node, ast.ImportFrom) and node.module == "tinygrad_edu":
                tainted |= {alias.asname or alias.name for alias in node.names if alias.name == "compiler"}
            elif isinstance(node, ast.Import):
                imports |= any(alias.name == "numpy" for alias in node.names)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "viz":
                imports |= node.attr in _ARRAY_PICTURES
            elif isinstance(node, ast.Name):
                (loaded if isinstance(node.ctx, ast.Load) else names).add(node.id)
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names.add(node.name)
        if imports or loaded & tainted:
            found.append(i)
            tainted |= names
    return found


def server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of a folder for this computer alone, with :data:`HEADERS`; port 0 takes any that is free."""
    return ThreadingHTTPServer(("127.0.0.1", port), functools.partial(_Handler, directory=str(folder)))


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".wasm": "application/wasm"}

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a class has many pages."""


def _packed(assets: Path | None) -> Iterator[bytes]:
    """Return the files of the npm packages."""
    if assets is not None:
        for package in PACKAGES:
            path = assets / package.file
            if not path.is_file():
                raise LessonError(f"--assets: expected {package.file} in {assets}; npm pack {_spec(package)} makes it")
            yield path.read_bytes()
        return
    npm = shutil.which("npm")
    if npm is None:
        files = " and ".join(_spec(package) for package in PACKAGES)
        raise LessonError(f"--live needs npm, which comes with Node.js, or --assets DIR with {files} from npm pack")
    with tempfile.TemporaryDirectory() as folder:
        specs = [_spec(package) for package in PACKAGES]
        command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder, *specs]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode:
            why = done.stderr.strip().splitlines() or ["no reason given"]
            raise LessonError(f"npm could not get {' and '.join(specs)}: {why[-1]}; is there a network?")
        for package in PACKAGES:
            yield (Path(folder) / package.file).read_bytes()


def _spec(package: Package) -> str:
    return f"{package.name}@{package.version}"


def _texts() -> dict[str, str]:
    """Return the files of the Python packages by their paths."""
    found = importlib.util.find_spec("graphviz")
    assert found is not None
    assert found.origin is not None
    roots = [*(FOLDER.parent / part for part in _PARTS), Path(found.origin).parent]
    return {
        path.relative_to(root.parent).as_posix(): path.read_text(encoding="utf-8")
        for root in roots
        for path in sorted(root.rglob("*"))
        if path.suffix in (".py", ".html", ".css", ".js", ".txt") and "__pycache__" not in path.parts
    }


def _prepare(own: Path) -> None:
    """Let Node.js write ``memory.bin``, with which Python starts in a quarter of the time; empty where it cannot."""
    node = shutil.which("node")
    write_atomically(own / "memory.bin", gzip.compress(b"", mtime=0))
    if node is not None:
        subprocess.run([node, own / "live_memory.mjs"], capture_output=True, check=False)
