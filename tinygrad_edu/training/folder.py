"""The folder of a run: locked for one process at a time, and given a name that no other run has."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ..files import OWN_FILE, is_at, lock
from .errors import CheckpointError, ConfigError
from .files import CONFIG, LOG, TRAINING, exists, read_json, saved_step

__all__ = ["LOCK", "check_unused", "hold", "in_use", "locked", "not_written", "unused"]

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder, which is made if necessary, against other processes.

    The system releases the lock when a process ends, however it ends. Raises ConfigError, naming the process that holds
    the folder, and OSError if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | OWN_FILE, 0o666)
        try:
            if not lock(file):
                raise ConfigError(f"{folder} is in use: {_holder(path)} writes there; wait for it, or stop it first")
            if is_at(file, path):  # or its holder has removed it meanwhile
                break
        except BaseException:
            os.close(file)
            raise
        os.close(file)
    try:
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        yield
    finally:
        if os.name == "nt":  # an open file cannot be removed there
            os.close(file)
        with contextlib.suppress(OSError):
            path.unlink()
        if os.name != "nt":
            os.close(file)


def in_use(folder: Path) -> bool:
    """Return whether a process holds the folder."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR | OWN_FILE)
    except OSError:
        return False
    try:
        return not lock(file)
    finally:
        os.close(file)


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return f"process {int(path.read_text())}"
    return "another process"


def not_written(error: OSError, folder: Path, step: int) -> CheckpointError:
    """Return the error of a training that could not write a file, as on a full disk."""
    cure = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "put that right"
    return CheckpointError(
        f"{error.filename or folder / LOG} cannot be written: {error.strerror}; training stopped at step {step}, and "
        f"what was saved before is intact: {cure} and resume with --resume {folder}"
    )


def unused(folder: Path, resume: Callable[[Path], str]) -> Path:
    """Return ``folder``, or ``folder-2``, ``folder-3`` …: the first one without a run.

    Of runs in the way that could go on, it is printed how; ``resume`` is the command that does.
    """
    candidate = folder
    for i in itertools.count(2):
        if not exists(candidate) and not in_use(candidate):
            return candidate
        try:
            step, steps = saved_step(candidate / TRAINING), read_json(candidate / CONFIG)["train"]["steps"]
            if step is not None and step < steps:
                print(
                    f"{candidate} holds a run that stopped at step {step} of {steps}; "
                    f"to resume it instead: {resume(candidate)}"
                )
        except (CheckpointError, KeyError, TypeError):
            pass  # damaged, but not ours to replace
        candidate = folder.with_name(f"{folder.name}-{i}")
    raise AssertionError("count() does not end")


def check_unused(folder: Path) -> None:
    """Raise ConfigError if the folder holds a run already."""
    if exists(folder):
        raise ConfigError(
            f"{folder} already holds a run; resume it with --resume {folder}, or choose another folder for --out"
        )


def hold(folder: Path, held: contextlib.ExitStack) -> None:
    """Lock the folder, and find out now, not after an hour of training, if it cannot be written."""
    try:
        held.enter_context(locked(folder))
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}; choose another folder with --out") from None
