"""Graphs that several tests draw, built once."""

from pathlib import Path

import pytest

from tests.viz import runs
from tests.viz.drawn_examples import Drawn, gpt_loss, mlp_loss


@pytest.fixture(scope="session")
def gpt() -> Drawn:
    return gpt_loss()


@pytest.fixture(scope="session")
def mlp() -> Drawn:
    return mlp_loss()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run; read only."""
    return runs.train(tmp_path_factory.mktemp("trained"))
