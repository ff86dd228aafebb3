"""``python -m gpt timemachine``: one page that scrubs through the snapshots of a run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import checkpoint, snapshots
from .checkpoint import RunConfig
from .commands import command_line
from .errors import ConfigError
from .moments import SENTENCE, Moment, Observer, first_sentence, opened
from .recorded import recorded_loss
from .train import Run

FLOW_SCALARS = 1_000_000  # in the graph whose gradients are measured: a second or two per snapshot


def add_parser(add: Any) -> None:
    """Add the command; ``add(name, help, run)`` makes its parser."""
    command = add("timemachine", "go back and forth through a training that kept snapshots (train --keep 20)", run)
    command.add_argument("folder", metavar="DIR", help="a folder that train has written")
    command.add_argument("-o", "--out", metavar="FILE", help="an .html file (default: timemachine.html in that folder)")
    command.add_argument(
        "--text", metavar="TEXT", help="the sentence that is read (default: the first of the validation text)"
    )


def run(options: argparse.Namespace) -> int:
    """Look at every snapshot, and write the page."""
    import viz

    folder = Path(options.folder)
    config = checkpoint.load_config(folder)
    out = Path(options.out or folder / "timemachine.html")
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"the time machine is a page: {out} must end in .html")
    if not out.parent.is_dir():
        raise ConfigError(f"there is no folder {out.parent} to write {out.name} into; make it first")
    taken = kept(folder)
    this = opened(folder)
    sentence = chosen_sentence(this, config, options.text)
    print(f"Looking at {len(taken)} snapshots of {folder}, of step {min(taken)} to {max(taken)} ...", flush=True)
    page = page_of(this, taken, sentence)
    try:
        print(f"Wrote {page.save(out)}")
    except viz.DrawingError as error:
        raise ConfigError(str(error)) from None
    return 0


def kept(folder: Path) -> dict[int, Path]:
    """The snapshots of a run by step; ConfigError, with the cure, when it has none."""
    taken = snapshots.taken(folder)
    if not taken:
        raise ConfigError(
            f"{folder} has no snapshots, and without them there is no way back; a new run keeps twenty of them: "
            f"{command_line('train --keep 20 --out', folder.with_name(f'{folder.name}-kept'))}"
        )
    return taken


def chosen_sentence(this: Run, config: RunConfig, text: str | None) -> list[int]:
    """What the models of all moments read, and the character after it: ``text``, or a line of the validation text."""
    most = min(SENTENCE, config.model.block_size)
    tokenizer = this.corpus.tokenizer
    if text is None:
        return first_sentence(this.corpus.val, tokenizer, most)
    if len(text) < 2:
        raise ConfigError(f"a sentence needs at least two characters, one to read and one to expect; got {text!r}")
    return tokenizer.encode(config.normalized(text))[: most + 1]


def page_of(this: Run, taken: dict[int, Path], sentence: Sequence[int]) -> Any:
    """The page of a run's snapshots; afterwards the run's model holds the parameters of the last of them."""
    from viz.timemachine import MOST_FRAMES, spread, time_machine

    tokenizer = this.corpus.tokenizer
    observer = Observer(this, sentence)
    frames, characters = [], 0
    for step in spread(sorted(taken), MOST_FRAMES):
        moment = observer.see(taken[step])
        frame, characters = _frame(this, moment, sentence)
        frames.append(frame)
    log = checkpoint.read_log(this.folder)
    validation = {r["step"]: r.get("watched_loss", r["val_loss"]) for r in log if r.get("val_loss") is not None}
    validation |= {frame.step: frame.losses["validation"] for frame in frames}
    return time_machine(
        frames,
        sentence=[tokenizer.decode([token]) for token in sentence],
        alphabet=tokenizer.alphabet,
        curves={
            "training": [(r["step"], r["train_loss"]) for r in log if r["train_loss"] is not None],
            "validation": sorted(validation.items()),
        },
        ladder={rung.name: rung.loss for rung in this.rungs},
        title=f"{this.folder.name}: the training again",
        flow_characters=characters,
    )


def _frame(this: Run, moment: Moment, sentence: Sequence[int]) -> tuple[Any, int]:
    """What the page shows of a moment, and on how many characters its gradients were measured."""
    from viz.flow import lines
    from viz.timemachine import Frame

    _, calls, characters = recorded_loss(this.model, sentence, FLOW_SCALARS)
    parameters, modules = lines(calls)
    losses = {"training": moment.train_loss, "validation": moment.val_loss, "this sentence": moment.sentence_loss}
    frame = Frame(
        moment.step,
        {name: loss for name, loss in losses.items() if loss is not None},
        moment.sample,
        dict(_named(moment.attention)),
        moment.probabilities,
        modules,
        parameters,
    )
    return frame, characters


def _named(attention: Sequence[Sequence[list[list[float]]]]) -> Iterator[tuple[str, list[list[float]]]]:
    for layer, heads in enumerate(attention, 1):
        for head, rows in enumerate(heads, 1):
            yield f"layer {layer}, head {head}", rows
