"""Train in several processes that torchrun has started.

Every process does what a single one would: it reads the text, makes the steps and writes a run. Only the first one
writes it to the requested folder, and prints; the others write to a temporary folder that is deleted. So everything is
written once, and the training loop need not know.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import ConfigError, GPTError

__all__ = ["launched", "own_threads", "together"]


def launched() -> tuple[int, int]:
    """Return the number of this process and their count: (0, 1) unless torchrun has started it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def own_threads(threads: int) -> int:
    """Return this process's share of the threads: processes that wait for each other's threads take many times as
    long."""
    return max(1, threads // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def together(train: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Run the command, so that torchrun can start it as well."""

    @functools.wraps(train)
    def run(options: argparse.Namespace) -> int:
        rank, count = launched()
        if count == 1:
            return train(options)
        with _group():
            try:
                if rank == 0:
                    _wait_for_all()
                    return train(options)
                with _in_silence(), _own_folder(options):
                    return train(options)
            except GPTError as error:
                raise type(error)(f"process {rank} of {count}: {error}") from None
            except RuntimeError as error:
                if "onnection" not in str(error):
                    raise
                raise ConfigError(f"process {rank} of {count} lost the others: see their messages above") from None

    return run


@contextlib.contextmanager
def _group() -> Iterator[None]:
    import torch
    from torch import distributed

    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _wait_for_all() -> None:
    """Wait until every process has reached this point."""
    import torch
    from torch import distributed

    distributed.all_reduce(torch.zeros(1))


@contextlib.contextmanager
def _own_folder(options: argparse.Namespace) -> Iterator[None]:
    """Let the command write to a temporary folder; a resumed run is copied there first."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "run"
        options.no_draw = True
        if options.resume is None:
            options.out = str(folder)
        elif Path(options.resume).is_dir():
            shutil.copytree(options.resume, folder)
            options.resume = str(folder)
        _wait_for_all()  # the first process, which will change that run, waits until all have their copies
        yield


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield
