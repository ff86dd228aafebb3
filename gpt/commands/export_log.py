"""``python -m gpt export-log``: the log of a run for spreadsheets and for TensorBoard."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tinygrad_edu.files import write_atomically
from tinygrad_edu.training.flags import run_argument, run_folder

from ..errors import CheckpointError, ConfigError
from ..runs import checkpoint
from ..runs.log_export import as_csv, check_tensorboard, times, write_events


def add_export_log(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt export-log``."""
    command.set_defaults(run=run)
    run_argument(command)
    command.add_argument("--csv", metavar="FILE", help="one line per step, empty if nothing was measured; - prints")
    command.add_argument("--tensorboard", metavar="DIR", help="a new folder for it (needs tensorboardX)")


def run(options: argparse.Namespace) -> int:
    """Write the requested files, and say where."""
    if options.csv is None and options.tensorboard is None:
        raise ConfigError("export-log needs --csv FILE or --tensorboard DIR")
    folder = run_folder(options)
    checkpoint.load_config(folder)  # reports what is wrong with a folder that is not a run
    records = checkpoint.read_log(folder)
    if not records:
        raise CheckpointError(f"the log of {folder} is empty: the run has made no step yet")
    if options.tensorboard is not None:
        check_tensorboard(Path(options.tensorboard))
    if options.csv == "-":
        sys.stdout.write(as_csv(records))
    elif options.csv is not None:
        write_atomically(Path(options.csv), as_csv(records))
        print(f"Wrote {options.csv}: {len(records):,} lines and their names")
    if options.tensorboard is not None:
        time = times(folder, records[-1]["step"])
        write_events(Path(options.tensorboard), records, checkpoint.read_flow(folder), time)
        print(
            f"Wrote {options.tensorboard}: {len(records):,} steps; look at it with "
            f"tensorboard --logdir {options.tensorboard}",
            file=sys.stderr if options.csv == "-" else sys.stdout,
        )
    return 0
