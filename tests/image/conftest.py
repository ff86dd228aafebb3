"""Models small enough to train in a second, one of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from image.cli import main

SMALL = ["--width", "8", "--layers", "1", "--heads", "2", "--steps", "4", "--batch-size", "4", "--warmup-steps", "1"]
OFTEN = ["--eval-interval", "2", "--sample-interval", "0", "--checkpoint-interval", "2", "--threads", "1"]
#: Flags of a tiny run of each preset.
TINY = {
    "points": ["--preset", "points", "--width", "8", "--layers", "1", "--steps", "4", "--batch-size", "8", *OFTEN],
    "digits": ["--preset", "digits", *SMALL, *OFTEN, "--patch", "4"],
    "digits-class": ["--preset", "digits-class", *SMALL, *OFTEN, "--patch", "4"],
    "shapes-text": ["--preset", "shapes-text", *SMALL, *OFTEN, "--patch", "6"],
    "shapes-latent": ["--preset", "shapes-latent", *SMALL, *OFTEN, "--latent", "2", "--hidden", "8"],
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each preset, that tests read and none changes."""
    folder = tmp_path_factory.mktemp("painters")
    for name, flags in TINY.items():
        assert main(["train", *flags, "--out", str(folder / name)]) == 0
    return {name: folder / name for name in TINY}
