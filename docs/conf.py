"""The API reference: ``python3 run.py docs`` builds it with Sphinx, without a network, and any warning is an error."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import tinygrad_edu  # noqa: E402

project = "tinygrad_edu"
author = copyright = "The tinygrad_edu authors"
release = tinygrad_edu.__version__

extensions = ["sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["*.md"]
html_theme = "alabaster"
html_theme_options = {"description": release, "page_width": "1100px", "sidebar_width": "260px"}
html_show_sphinx = False
html_static_path = ["_static"]

#: Every module has a page, except scripts and the lessons themselves.
apidoc_modules = [
    {
        "path": f"../{package}",
        "destination": f"reference/{package}",
        "exclude_patterns": ["**/__main__.py", "**/[0-9]*.py", "**/supplements/*", "**/lessons/pictures/*"],
        "separate_modules": True,
        "module_first": True,
        "no_headings": False,
        "automodule_options": {"members", "undoc-members", "show-inheritance"},
    }
    for package in ("tinygrad_edu", "gpt", "image", "viz", "lessons")
]
autodoc_member_order = "bysource"
#: A name that a module only imports is linked to where it is defined.
viewcode_follow_imported_members = False
autodoc_typehints = "signature"
#: A type in a signature is found by its short name, and two packages may have a class of that name.
suppress_warnings = ["ref.python"]
autodoc_mock_imports = ["torch", "tensorboardX"]
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def setup(app: Any) -> None:
    """Connect the functions below to Sphinx; napoleon comes after them."""
    app.connect("autodoc-process-docstring", list_public_names, priority=100)
    app.connect("autodoc-process-docstring", list_constants, priority=100)
    app.connect("autodoc-process-docstring", split_attributes, priority=200)
    app.connect("autodoc-skip-member", is_imported)
    app.connect("env-check-consistency", check_public_names)


def is_imported(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Return whether a package has a name from one of its modules: it is documented there, and listed in the
    package."""
    page = app.env.current_document.docname.rpartition("/")[2]
    is_package = hasattr(sys.modules.get(page), "__path__")
    own = isinstance(thing, ModuleType) or getattr(thing, "__module__", page) != page
    return True if what == "module" and is_package and own else None


def list_public_names(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Add to the text of a package its public names, with a link to where each is documented."""
    if what == "module" and hasattr(thing, "__path__") and hasattr(thing, "__all__"):
        lines += ["", ".. rubric:: Public names", ""]
        lines += [f"* :py:obj:`{public} <{defined(thing, public)}>`" for public in thing.__all__]


def list_constants(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Add to the text of a module its constants and aliases that have no comment: automodule leaves them out."""
    if what != "module" or hasattr(thing, "__path__"):
        return
    commented = {constant for _, constant in ModuleAnalyzer.for_module(name).find_attr_docs()}
    for public in getattr(thing, "__all__", ()):
        found = getattr(thing, public)
        if public not in commented and not inspect.isclass(found) and not inspect.isroutine(found):
            lines += ["", f".. py:data:: {public}"]
            lines += [f"   :value: {found!r}"] if isinstance(found, (int, float, str)) else []


def defined(module: ModuleType, name: str) -> str:
    """Return where a public name of a module is documented; that of a package is in the module that defines it."""
    found = getattr(module, name)
    if not hasattr(module, "__path__"):
        return f"{module.__name__}.{name}"
    return found.__name__ if isinstance(found, ModuleType) else f"{found.__module__}.{found.__qualname__}"


def check_public_names(app: Any, env: Any) -> None:
    """Warn, which is an error, about every public name missing from the reference."""
    domain = env.get_domain("py")
    for module in filter(None, map(sys.modules.get, domain.modules)):
        for name in getattr(module, "__all__", ()):
            if (target := defined(module, name)) not in domain.objects and target not in domain.modules:
                logging.getLogger(__name__).warning(
                    "%s has the public name %s, which is not documented", module.__name__, name
                )


def split_attributes(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Write ``low, high: the ends`` under ``Attributes:`` as two attributes: napoleon does so for ``Args:`` alone."""
    done: list[str] = []
    inside = False
    for line in lines:
        inside = line.strip() == "Attributes:" or (inside and (line.startswith(" ") or not line.strip()))
        several = re.match(r" {4}(\w+(?:, \w+)+):(?= )", line) if inside else None
        if several:
            *names, last = several[1].split(", ")
            done += [f"    {name}: see ``{last}``." for name in names]
            line = f"    {last}:{line[several.end() :]}"
        done.append(line)
    lines[:] = done
