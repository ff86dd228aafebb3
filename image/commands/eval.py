"""``python -m image eval``: whether it paints what it is asked for, and whether it copies."""

from __future__ import annotations

import argparse
import time

import numpy as np

from tinygrad_edu.training.errors import ConfigError
from tinygrad_edu.training.flags import run_argument, run_folder

from .. import judge
from ..data import digits, shapes
from ..dataset import nothing, validation
from ..run import SavedRun
from ..sample import Sampler, check_settings
from ..train import VALIDATED, make_engine
from .common import painting_flags


def add_eval(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``image eval``."""
    command.set_defaults(run=run)
    run_argument(command)
    command.add_argument(
        "--count", type=int, default=1000, metavar="N", help="how many pictures to paint, of each kind"
    )
    painting_flags(command)


def run(options: argparse.Namespace) -> int:
    """Print what a program says about the pictures, with their numbers and seeds."""
    check_settings(options.steps, options.guidance, options.count)
    if options.seed < 0:
        raise ConfigError(f"seed must be at least 0, got {options.seed}")
    this = SavedRun.open(run_folder(options))
    config = this.config.model
    engine = make_engine(this.model, this.config.train)
    loss = engine.evaluate(validation(config, VALIDATED))
    print(f"{this.folder}: the model of step {this.step:,}; validation loss {loss:.4f}")
    told = "" if config.condition == "nothing" else f", guidance {options.guidance:g}"
    print(f"{options.steps} steps from noise{told}, seed {options.seed}\n")
    painter = Sampler(this.model)
    if config.data == "digits":
        _digits(painter, options)
    elif config.condition == "text":
        _shapes(painter, options)
    else:
        _distances(painter, options)
    return 0


def _painted(painter: Sampler, told: list[tuple[object, ...]], options: argparse.Namespace) -> np.ndarray:
    painter.paint(told[:1], options.seed, 1)  # compiles
    began = time.perf_counter()
    made: np.ndarray = painter.paint(told, options.seed, options.steps, options.guidance)
    seconds = time.perf_counter() - began
    print(f"painted {len(told):,} in {seconds:.1f} s, {1000 * seconds / len(told):.1f} ms each")
    return made


def _digits(painter: Sampler, options: argparse.Namespace) -> None:
    pictures, classes = digits.held_out()
    print("A reader of digits was trained on real ones only.")
    print(f"  held-out real digits read right   {judge.reader().share(pictures, classes)}")
    known, _ = digits.training()
    if painter.config.condition == "class":
        asked = [i % digits.CLASSES for i in range(options.count)]
        made = _painted(painter, [(label,) for label in asked], options)
        print(f"  samples read as asked             {judge.reader().share(made, asked)}")
        for label in range(min(digits.CLASSES, options.count)):
            print(f"    {label}  {judge.reader().share(made[label::10], asked[label::10])}")
    else:
        made = _painted(painter, [nothing(painter.config)] * options.count, options)
        counts = np.bincount(judge.reader().read(made), minlength=digits.CLASSES)
        print(f"  read as 0 to 9                    {' '.join(map(str, counts))}")
    real, painted = (judge.distances(x, known) for x in (pictures, made))
    print("Mean distance to the nearest training picture; a copy is at 0.")
    print(f"  held-out real digits              {real.mean():.3f}  (nearest of all {real.min():.3f})")
    print(f"  samples                           {painted.mean():.3f}  (nearest of all {painted.min():.3f}),", end=" ")
    print(f"{painted.mean() / real.mean() - 1.0:+.1%}")


def _shapes(painter: Sampler, options: argparse.Namespace) -> None:
    print("A picture obeys its prompt if the nearest of 2,000 templates shows shape, size, place and filling as asked.")
    for name, among in (("trained", shapes.TRAINED), ("never trained", shapes.NEVER_TRAINED)):
        asked, words = judge.prompts(among, options.count, options.seed)
        made = _painted(painter, [(shapes.encode(prompt),) for prompt in words], options)
        print(f"  {len(among)} combinations {name:<14}{judge.obeyed(made, asked)} obeyed")
        for part in ("shape", "size", "place", "filled"):
            right = [getattr(a, part) == getattr(b, part) for a, b in zip(judge.shown(made), asked, strict=True)]
            print(f"    {part:<8}{sum(right) / len(right):.1%}")


def _distances(painter: Sampler, options: argparse.Namespace) -> None:
    made = _painted(painter, [nothing(painter.config)] * options.count, options)
    real = [np.stack([example[1] for example in validation(painter.config, count)]) for count in (2000, 1999)]
    print("Mean distance to the nearest of 2,000 real ones")
    print(f"  of other real ones                {judge.distances(real[1], real[0]).mean():.4f}")
    print(f"  of samples                        {judge.distances(made, real[0]).mean():.4f}")
