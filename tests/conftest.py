"""Markers for tests that need an optional program or package, and a line that counts the tests not run."""

from __future__ import annotations

import collections
import importlib.util
import shutil
from collections.abc import Iterable, Iterator

import hypothesis
import pytest

from tests.viz.browser import AXE, CHROMIUM, Browser
from viz.rendering import graphviz_program

hypothesis.settings.register_profile("not timed", deadline=None)
hypothesis.settings.load_profile("not timed")


def installed(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) for module in modules)


# Per marker: what it needs, in words, and whether it is available. `run.py test --all` installs all but programs.
NEEDS = {
    "axe": ("axe-core", AXE is not None),
    "browser": ("Chromium", CHROMIUM is not None),
    "graphviz": ("Graphviz", shutil.which("dot") is not None),
    "layout": ("a layout program", any(True for _ in graphviz_program._installed())),
    "micrograd": ("micrograd", installed("micrograd")),
    "native": ("llvmlite", installed("llvmlite")),
    "node": ("Node", shutil.which("node") is not None),
    "npm": ("npm", shutil.which("npm") is not None),
    "notebook": ("Jupyter", installed("nbclient", "nbformat", "ipykernel")),
    "pandas": ("pandas", installed("pandas")),
    "pure": ("graphviz-pure", any("graphviz-pure" in program.path for program in graphviz_program._installed())),
    "pyright": ("pyright", installed("pyright")),
    "tensorboard": ("tensorboardX", installed("tensorboardX")),
    "tmux": ("tmux", shutil.which("tmux") is not None),
    "torch": ("PyTorch", installed("torch")),
}
INSTALLED = {"layout", "native", "pure"}  # by run.py, for every run
PROGRAMS = {"browser", "graphviz", "node", "npm", "tmux"}  # of the system; run.py installs none of them

#: Files that take more than five seconds of CPU time and need not run after every change.
SLOW = {
    "engine": {"test_benchmark"},
    "image": {"test_cli", "test_report"},
    "compiler": {"test_edges", "test_models", "test_random", "test_scalars"},
    "gpt": {
        "test_cached", "test_cli", "test_damaged_files", "test_flow_log", "test_gpt2", "test_gpt2_small",
        "test_long_runs", "test_one_at_a_time", "test_play", "test_report", "test_sweep", "test_text_report",
        "test_timemachine", "test_tokens", "test_train",
    },
    "lessons": {"test_lessons", "test_practice", "test_site"},
    "play": {"test_read"},
    "project": {"test_pages", "test_website", "test_reprs", "test_terminal", "test_typing"},
    "viz": {"test_animation", "test_explorer", "test_fold", "test_labels", "test_notebook", "test_save"},
}  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tinygrad_edu")
    group.addoption("--require", action="store_true", help="fail where something that a test needs is missing")
    group.addoption("--fast", action="store_true", help="leave out the tests that are marked slow or extra")


def pytest_configure(config: pytest.Config) -> None:
    for name, (words, _) in NEEDS.items():
        config.addinivalue_line("markers", f"{name}: needs {words}; skipped where that is missing")
    config.addinivalue_line("markers", "extra: needs more than `run.py test` installs (set here)")
    config.addinivalue_line("markers", "oracle: needs what only `run.py test --all` installs (set here)")
    config.addinivalue_line("markers", "slow: left out by --fast; set for the files of SLOW in tests/conftest.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem in SLOW.get(item.path.parent.name, ()) or item.path.suffix == ".md":
            item.add_marker("slow")
        for name in NEEDS.keys() & getattr(item, "fixturenames", ()):  # a fixture named after what it needs
            item.add_marker(name)
        if any(item.get_closest_marker(name) for name in NEEDS.keys() - INSTALLED):
            item.add_marker("extra")
        if any(item.get_closest_marker(name) for name in NEEDS.keys() - INSTALLED - PROGRAMS):
            item.add_marker("oracle")
    if config.getoption("--fast"):
        slow = [item for item in items if item.get_closest_marker("slow") or item.get_closest_marker("extra")]
        config.hook.pytest_deselected(items=slow)
        left_out = set(slow)
        items[:] = [item for item in items if item not in left_out]


def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = [words for words, here in needed(item) if not here]
    if missing:
        stop = pytest.fail if item.config.getoption("--require") else pytest.skip
        stop(f"needs {missing[0]}")


def needed(item: pytest.Item) -> Iterable[tuple[str, bool]]:
    """Return what an item needs, in words, and whether it is available."""
    return (need for name, need in NEEDS.items() if item.get_closest_marker(name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = collections.Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", ())
    )
    missing = [
        f"{n} need{'s' * (n == 1)} {reason.removeprefix('needs ')}"
        for reason, n in counts.most_common()
        if reason.startswith("needs ")
    ]
    if missing:
        terminalreporter.write_line(
            f"Tests that were not run: {', '.join(missing)}. python3 run.py test --all installs that and runs them."
        )
    for reason, n in counts.items():
        if not reason.startswith("needs "):
            terminalreporter.write_line(f"Skipped: {n}, {reason}")


@pytest.fixture(autouse=True)
def _started_without_run_py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINYGRAD_EDU_LAUNCHER", raising=False)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start one browser for all pages."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(autouse=True)
def _nothing_kept(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the browser forget after each test what pages have kept in it, such as a dark look."""
    yield
    if "browser" in request.fixturenames:
        request.getfixturevalue("browser").evaluate("{ try { localStorage.clear(); } catch { } }")
