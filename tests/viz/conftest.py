"""Graphs that several tests draw, built once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.viz import runs
from tests.viz.browser import Browser
from tests.viz.drawn_examples import Drawn, gpt_loss, mlp_loss


@pytest.fixture(scope="session")
def gpt() -> Drawn:
    return gpt_loss()


@pytest.fixture(scope="session")
def mlp() -> Drawn:
    return mlp_loss()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run; read only."""
    return runs.train(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all pages; skipped where none is installed."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
