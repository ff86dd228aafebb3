"""Examples in docstrings, in the README and in docs/ may write files, so each runs in its own folder.

Without a program that lays out graphs, tests that need one are skipped.
"""

from __future__ import annotations

import contextlib
import doctest
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

os.environ["TINYGRAD_EDU_KERNELS"] = ""  # until there is a folder of this session
os.environ["TINYGRAD_EDU_PROGRAMS"] = ""  # every test vectorizes what it compiles
#: Lessons run in tests/lessons; their names are not module names.
collect_ignore_glob = ["lessons/[0-9]*.py", "lessons/supplements/s*.py", "lessons/pictures/p*.py"]
if find_spec("torch") is None:  # an extra, not needed by the library and its tests
    collect_ignore_glob += ["gpt/engines/torch/[be]*.py", "tests/gpt/nanogpt.py"]


@pytest.fixture(scope="session", autouse=True)
def _machine_code(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep machine code for the processes of this session and those that they start, and nothing of another session.

    A file's name is a digest of all that it was compiled from, so no test gets anything else than it would compile.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all processes
    os.environ["TINYGRAD_EDU_KERNELS"] = str(folder / "kernels")


@pytest.fixture(autouse=True)
def _examples_write_elsewhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        folder: Path = tmp_path_factory.mktemp("example")
        monkeypatch.chdir(folder)


@contextlib.contextmanager
def _skipped_without_layout() -> Iterator[None]:
    """Skip what fails only because no layout program is installed."""
    try:
        yield
    except Exception as error:
        from viz.errors import LayoutError
        from viz.rendering import graphviz_program

        cause = error.exc_info[1] if isinstance(error, doctest.UnexpectedException) else error
        if isinstance(cause, LayoutError) and not any(graphviz_program._installed()):
            pytest.skip("no layout program is installed")
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Fixtures draw too."""
    with _skipped_without_layout():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The test itself."""
    with _skipped_without_layout():
        return (yield)
