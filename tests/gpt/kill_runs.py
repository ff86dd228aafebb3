"""Kill training runs at random moments with SIGKILL, and check that each resumes to the same bits.

    python tests/gpt/kill_runs.py --times 50
    python tests/gpt/kill_runs.py --times 20 --report
    python tests/gpt/kill_runs.py --every 1

A run is first made without interruption. Then each round starts the same run, kills its process at a random moment
of its whole life (including startup and the last checkpoint), resumes it, and compares every file with that of the
first run: none differs, none is missing, and none is left over, including locks and partial files. With ``--report``
the runs end with their reports, and most of them are killed while it is made. With ``--every N`` each N-th point at
which a process opens, renames or removes a file, or makes a folder, is where it is killed.

The exit code is 0 if all runs are equal.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from gpt.runs import checkpoint  # noqa: E402 - it must be found first

SETTINGS = [
    "--preset", "micro", "--n-embd", "4", "--n-head", "2", "--block-size", "6", "--batch-size", "2",
    "--warmup-steps", "2", "--checkpoint-interval", "3", "--keep", "7",
    "--eval-sequences", "3", "--final-eval-sequences", "5", "--sample-interval", "0",
]  # fmt: skip
LONG = ["--no-draw", "--steps", "800", "--eval-interval", "20"]
SHORT = ["--steps", "9", "--eval-interval", "4"]  # the report takes most of the time

#: Runs ``gpt`` with the arguments, and kills itself before the N-th change of the folder; prints how many there were.
KILLED_AT = """
import os, signal, sys
from pathlib import Path
at, folder = int(sys.argv[1]), str(Path(sys.argv[2]).resolve())
changes = 0
def see(event, arguments):
    global changes
    if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate") or not arguments:
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
        return
    path = arguments[0]
    if isinstance(path, (str, bytes, os.PathLike)) and os.path.abspath(os.fsdecode(path)).startswith(folder):
        changes += 1
        if changes == at:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(see)
from gpt.cli import main
code = main(sys.argv[3:])
print(changes, file=sys.stderr)
sys.exit(code)
"""


def everything(folder: Path) -> dict[str, bytes]:
    """Return the files of a run: bytes by path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class Killer:
    """Makes the same run repeatedly.

    Args:
        parent: where the folders of the runs are made.
        arguments: of ``gpt train``, without ``--out``.
    """

    def __init__(self, parent: Path, arguments: list[str]) -> None:
        self._parent, self._arguments = parent, arguments
        began = time.monotonic()
        whole = parent / "whole" / "run"
        self._finish(self._start("--out", str(whole), *arguments))
        self.seconds = time.monotonic() - began
        self.whole = everything(whole)

    def _start(self, *arguments: str, before: list[str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *(before or ["-m", "gpt"]), "train", *arguments],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _finish(self, process: subprocess.Popen[str]) -> None:
        error = process.communicate()[1]
        if process.returncode:
            raise AssertionError(f"gpt train ended with exit code {process.returncode}: {error.strip()}")

    def round(self, delay: float, *, begun: bool = False) -> str | None:
        """Start, kill after ``delay`` seconds, resume and compare; return where it was killed.

        With ``begun`` the time starts at the first checkpoint. None if the run was over. AssertionError if it differs.
        """
        out = Path(tempfile.mkdtemp(dir=self._parent), "run")  # the report has its name
        process = self._start("--out", str(out), *self._arguments)
        while begun and not checkpoint.exists(out) and process.poll() is None:
            time.sleep(0.005)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        return None if process.returncode == 0 else self._check(out, f"{delay:.3f} s")

    def at(self, change: int, within: str = "") -> str | None:
        """Do the same, killed before the given change of the folder, or ``within`` it; None if the run makes fewer."""
        out = Path(tempfile.mkdtemp(dir=self._parent), "run")  # the report has its name
        process = self._start(
            "--out", str(out), *self._arguments, before=["-c", KILLED_AT, str(change), str(out / within)]
        )
        process.communicate()
        return None if process.returncode == 0 else self._check(out, f"change {change}")

    def _check(self, out: Path, moment: str) -> str:
        """Resume a killed run and compare it; return where it was killed."""
        if not checkpoint.exists(out):
            where = "before its first checkpoint"
        else:
            state = checkpoint.load_training_state(out)
            checkpoint.load_model(out)
            where = f"behind the checkpoint of step {state.step}"
            if state.step == checkpoint.load_config(out).train.steps:
                where = "behind the last checkpoint"
            if list(out.rglob(".*.new")):
                where += ", in the middle of writing a file"
        if checkpoint.exists(out):
            self._finish(self._start("--resume", str(out), *(["--no-draw"] if "--no-draw" in self._arguments else [])))
        else:
            self._finish(self._start("--out", str(out), *self._arguments))
        found = everything(out)
        differ = [name for name in sorted({*found, *self.whole}) if found.get(name) != self.whole.get(name)]
        if differ:
            raise AssertionError(f"killed {where} ({moment}) and resumed, {', '.join(differ)} in {out} differ")
        shutil.rmtree(out.parent)
        return where


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50, help="how many runs are killed (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the text and the moments (default: 0)")
    parser.add_argument("--report", action="store_true", help="with reports")
    parser.add_argument("--every", type=int, metavar="N", help="at every N-th change of the folder, with reports")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as parent:
        text = Path(parent, "text.txt")
        text.write_text("".join(rng.choice(["to ", "be, ", "or ", "not ", "that is\n"]) for _ in range(900)))
        with_report = options.report or options.every
        killer = Killer(Path(parent), ["--data", str(text), *SETTINGS, *(SHORT if with_report else LONG)])
        print(f"The whole run takes {killer.seconds:.1f} s and writes {len(killer.whole)} files.", flush=True)
        for where in killed_each(killer, options.every) if options.every else killed(killer, options.times, rng):
            counts["in the middle of a file" if "middle" in where else where.partition(" of step ")[0]] += 1
            print(f"{counts.total():>4}  killed {where}: resumed to the same bits", flush=True)
    print(f"All {counts.total()} runs ended with the same bits. Killed:")
    for where, times in sorted(counts.items()):
        print(f"{times:>4}  {where}")
    return 0


def killed(killer: Killer, times: int, rng: random.Random) -> Iterator[str]:
    """Kill this many runs at random moments."""
    while times:
        where = killer.round(rng.uniform(0.0, killer.seconds))
        if where is not None:
            times -= 1
            yield where


def killed_each(killer: Killer, every: int) -> Iterator[str]:
    """Kill a run at every change of the folder, or at every N-th one."""
    for change in itertools.count(1, every):
        where = killer.at(change)
        if where is None:
            return
        yield where


if __name__ == "__main__":
    raise SystemExit(main())
