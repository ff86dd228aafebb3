"""Every importable module lists its public names in ``__all__``."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What is directly in a package is for everybody, and so is the face of the compiler; other folders are a package's own
#: business. ``__main__`` and the lessons are run, not imported.
PUBLIC = [
    file.relative_to(ROOT).as_posix()
    for package in ("tinygrad_edu", "tinygrad_edu/compiler", "gpt", "image", "viz", "lessons")
    for file in sorted((ROOT / package).glob("*.py"))
    if file.stem != "__main__" and not file.stem[0].isdigit()
    if package != "tinygrad_edu/compiler" or file.stem in ("__init__", "optim")
]


def assigned(target: ast.expr) -> Iterator[str]:
    """Return the names that an assignment binds, including those of ``a, b = …``."""
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        for item in target.elts:
            yield from assigned(item)


def defined(body: list[ast.stmt]) -> Iterator[str]:
    """Return the names that the statements of a module define; imported names do not count."""
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield statement.name
        elif isinstance(statement, ast.Assign):
            for target in statement.targets:
                yield from assigned(target)
        elif isinstance(statement, ast.AnnAssign):
            yield from assigned(statement.target)
        elif isinstance(statement, (ast.If, ast.Try)):
            yield from defined([*statement.body, *statement.orelse])


def is_list(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and "__all__" in assigned(statement.targets[0])


@pytest.mark.parametrize("path", [path for path in PUBLIC if not path.endswith("__init__.py")])
def test_a_module_lists_its_public_names(path: str) -> None:
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    listed = [ast.literal_eval(statement.value) for statement in body if is_list(statement)]
    public = sorted({name for name in defined(body) if not name.startswith("_")})
    assert [sorted(names) for names in listed] == [public], f"the __all__ of {path} must list what {path} defines"


@pytest.mark.parametrize("name", ["tinygrad_edu", "tinygrad_edu.compiler", "viz"])
def test_the_public_names_of_a_package_exist(name: str) -> None:
    package = importlib.import_module(name)
    assert [missing for missing in package.__all__ if not hasattr(package, missing)] == []
