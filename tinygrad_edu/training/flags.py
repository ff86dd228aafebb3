"""Command-line flags made of settings."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from .errors import ConfigError
from .files import runs_near
from .settings import TrainSettings

__all__ = [
    "METAVARS",
    "add_settings",
    "changed",
    "given",
    "report_arguments",
    "report_folder",
    "run_argument",
    "run_folder",
]

_T = TypeVar("_T", bound=TrainSettings)
#: How the value of a flag is called in the help.
METAVARS: dict[type, str] = {int: "N", float: "X", str: "NAME", bool: "true|false"}


def add_settings(
    command: argparse.ArgumentParser,
    title: str,
    kind: type,
    defaults: Mapping[str, Any],
    preset: str,
    leave_out: Collection[str] = (),
) -> None:
    """Add a flag for every setting of a configuration.

    Args:
        command: the parser.
        title: of the group of flags in the help.
        kind: the class of the configuration.
        defaults: the values that are shown as defaults.
        preset: the preset that has them.
        leave_out: settings without a flag.
    """
    group = command.add_argument_group(title, f"defaults are those of the preset {preset}")
    for field in dataclasses.fields(kind):
        if field.name in leave_out:
            continue
        default = defaults.get(field.name, field.default)
        help_text = f"{field.metadata['help']} (default: {default})".replace("%", "%%")
        flag = f"--{field.name.replace('_', '-')}"
        if isinstance(default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=help_text)
        else:
            of = type(default)
            group.add_argument(flag, type=of, metavar=METAVARS[of], default=None, help=help_text)


def given(options: argparse.Namespace, kind: type) -> dict[str, Any]:
    """Return the fields of a configuration named on the command line."""
    values = {field.name: getattr(options, field.name, None) for field in dataclasses.fields(kind)}
    return {name: value for name, value in values.items() if value is not None}


def changed(options: argparse.Namespace, train: _T, fixed: Iterable[str], model: type) -> _T:
    """Return the settings of a resumed run, with those that are named on the command line.

    Args:
        options: the command line.
        train: the settings so far.
        fixed, model: flags, and a configuration with more of them, that a run keeps: ConfigError if one is named.
    """
    named = [*(name for name in fixed if getattr(options, name) is not None), *given(options, model)]
    if named:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in named)
        raise ConfigError(f"{flags} cannot change in a resumed run; leave it out, or start a new run without --resume")
    changes = given(options, type(train))
    if "lr" in changes and train.lr:  # the end moves with the peak, as in a new run
        changes.setdefault("min_lr", train.min_lr * (changes["lr"] / train.lr))
    return dataclasses.replace(train, **changes)


class _Folder(argparse.Action):
    """The folder of a run, as an argument or after ``--checkpoint``; it is given once."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        if values is None:  # the argument was left out, for a flag perhaps
            return
        if namespace.folder is not None:
            parser.error(f"expected one folder of a run, got {namespace.folder} and {values}")
        namespace.folder = values


def run_argument(command: argparse.ArgumentParser) -> None:
    """Add ``RUN``, which :func:`run_folder` reads; ``--checkpoint RUN`` is the same."""
    command.add_argument(
        "folder", nargs="?", action=_Folder, metavar="RUN", help="the folder of a run that train wrote"
    )
    command.add_argument(
        "--checkpoint", dest="folder", action=_Folder, metavar="RUN", help="the same folder, as a flag"
    )


def run_folder(options: argparse.Namespace) -> Path:
    """Return the folder of the run that was named; ConfigError tells which are here."""
    if options.folder is None:
        raise ConfigError(f"expected the folder of a run{runs_near()}")
    return Path(options.folder)


def report_arguments(command: argparse.ArgumentParser, name: str) -> None:
    """Add ``RUN`` and where to write its report, which :func:`report_folder` reads."""
    run_argument(command)
    command.add_argument("-o", "--out", metavar="DIR", help=f"where to write (default: {name} in that folder)")


def report_folder(options: argparse.Namespace, default: Path) -> Path:
    """Return where to write a report; ConfigError if that is a file."""
    out = Path(options.out) if options.out else default
    if out.exists() and not out.is_dir():
        raise ConfigError(f"a report is a folder, and {out} is a file; choose another name with --out")
    return out
