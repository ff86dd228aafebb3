"""Graphs that several tests draw, built once."""

import pytest
from drawn_examples import Drawn, gpt_loss, mlp_loss


@pytest.fixture(scope="session")
def gpt() -> Drawn:
    return gpt_loss()


@pytest.fixture(scope="session")
def mlp() -> Drawn:
    return mlp_loss()
