"""``python -m gpt train``: a new run, or one that is resumed."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import shlex
import sys
from functools import partial
from pathlib import Path

import viz
from tinygrad_edu import console
from tinygrad_edu.files import write_atomically
from tinygrad_edu.training.flags import changed, given
from tinygrad_edu.training.folder import check_unused, hold, in_use, unused
from tinygrad_edu.training.settings import joining, never_peaks

from ..config import PRESETS, GPTConfig, TrainConfig
from ..data import ngram
from ..data.corpus import TEXTS
from ..engines import check_engine
from ..engines.compiled import CompiledEngine
from ..engines.torch.distributed import launched, together
from ..errors import ConfigError, DivergedError
from ..pictures.divergence import first_not_finite
from ..pictures.report import FOLDER, PAGE, Subject, write
from ..runs import checkpoint
from ..runs.wording import OF_DOCUMENTS, baselines_text, command_line, final_validation, judged
from ..train import Run, resume, start, train
from .common import ABOUT_TEXTS
from .run_options import DEFAULT_PRESET, ChosenText, configs, preset_flags, setting_flags

KEPT = 9  # snapshots for the time machine of the report, by default


def add_train(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt train``."""
    command.set_defaults(run=together(run))
    presets = "\n".join(f"  {name:<8}{chosen.summary}" for name, chosen in PRESETS.items())
    texts = "\n".join(f"  {name:<17}{text.about}" for name, text in TEXTS.items())
    command.description = f"{command.description}\n\npresets:\n{presets}\n\ndata sets:\n{texts}\n\n{ABOUT_TEXTS}"
    preset_flags(command)
    command.add_argument("--out", metavar="DIR", help="where to write (default: a new folder in runs/)")
    command.add_argument("--resume", metavar="DIR", help="resume the run in this folder")
    command.add_argument("--no-draw", action="store_true", default=None, help="no drawing and no report at the end")
    command.add_argument(
        "--report",
        action=argparse.BooleanOptionalAction,
        help="write the folder report, which opens as one page with everything about the run (default: yes)",
    )
    command.add_argument(
        "--keep",
        type=int,
        metavar="N",
        help=f"snapshots of the parameters to keep, more of them early in the run, for the time machine "
        f"(default: {KEPT} with a report, 0 without)",
    )
    setting_flags(command, leave_out=("keep",))


def run(options: argparse.Namespace) -> int:
    """Train to the last step, and print the result and what to do next."""
    console.only_tells()
    with contextlib.ExitStack() as held:  # until the report is made
        return _finish(options, _fresh(options, held) if options.resume is None else _resumed(options, held))


def _finish(options: argparse.Namespace, this: Run) -> int:
    folder, config = this.folder, this.config
    if this.step >= config.train.steps:
        print("It is complete. To train it further, give a larger --steps.")
        if not options.no_draw and _undrawn(folder):
            print("Its pictures are missing or older than the model.")
            for name, about in draw_into(this, report=_reported(options)).items():
                print(f"  {name:<22}{about}")
        return 0
    if remark := never_peaks(config.train):
        print(remark)
    model, of_documents = config.model, f"{OF_DOCUMENTS}\n" * config.documents
    if (longest := this.corpus.longest()) < model.block_size:
        print(
            f"The longest document needs a context of {longest}, and this one is {model.block_size}: "
            f"--block-size {longest} takes less time"
        )
    print(
        f"GPT: {len(this.model.parameters()):,} parameters; {model.n_layer} layer{'s' * (model.n_layer > 1)}, "
        f"width {model.n_embd}, {model.n_head} heads, context {model.block_size}\n"
        f"Text: {this.corpus.size()}, alphabet of {this.corpus.tokenizer.vocab_size}\n{of_documents}"
        f"Loss is surprise in nats per character. Counting alone reaches on this text"
        f"{ngram.counted(this.corpus.train)}:\n{baselines_text(this.baselines)}"
    )
    try:
        result = train(this)
    except DivergedError as error:
        raise DivergedError(f"{error}\n{first_not_finite(this, error.batch)}".strip()) from None
    if result.interrupted:
        print(f"Stopped after step {result.step}; everything is saved. Resume with:")
        print(f"  {command_line('train --resume', folder)}")
        return 130
    if result.early:
        print(
            f"Stopped early after step {result.step}: {config.train.patience} validations did not lower the loss. "
            f"To continue anyway: {command_line('train --resume', folder)} --patience 0"
        )
    if result.best_step is not None and result.best_step != result.step:
        print(
            f"On the {config.train.eval_sequences:,} sequences of the validations during training, the lowest loss was "
            f"{result.best_loss:.4f}, after step {result.best_step}; that model is kept too: sample, eval and info "
            f"take --best."
        )
    if result.val_loss is not None:
        last = next(r for r in reversed(checkpoint.read_log(folder)) if r.get("val_loss") is not None)
        over = final_validation(last, config.train)
        print(f"Validation loss {judged(result.val_loss, this.baselines)}{over}.")
    pictures = {} if options.no_draw else draw_into(this, report=_reported(options))
    print(f"\nWritten to {folder}:")
    for name, about in (
        (checkpoint.MODEL, "the parameters, by GPT-2's names"),
        (checkpoint.BEST, "those with the lowest validation loss"),
        (checkpoint.TRAINING, "what a resumed run needs"),
        (checkpoint.LOG, "one line of JSON per step"),
        (checkpoint.FLOW, "gradients at the validations, for gpt flow --over-time"),
        *pictures.items(),
    ):
        print(f"  {name:<22}{about}")
    prompt = " --samples 20" if config.documents else f" --prompt {shlex.quote(_opening(this))}"
    report = (folder / FOLDER / PAGE).absolute()
    look = (
        f"  {report.as_uri()}  in a browser\n" if report.relative_to(folder.absolute()).as_posix() in pictures else ""
    )
    print(
        f"\nTry next:\n{look}"
        f"  {command_line('sample', folder)}{prompt}\n"
        f"  {command_line('play', folder)}  to read the model in a page, and train there\n"
        f"  {command_line('info', folder)}\n"
        f"  {command_line('train --resume', folder)} --steps {2 * config.train.steps}"
    )
    return 0


def _opening(run: Run) -> str:
    """Return a prompt that fits the text: its first two words."""
    return " ".join(run.corpus.tokenizer.decode(run.corpus.train[:200]).split()[:2])[:30]


def _undrawn(folder: Path) -> bool:
    """Return whether the process ended after the last step but before the last picture, ``loss.svg``, was made."""
    last = folder / "loss.svg"
    return not last.exists() or last.stat().st_mtime < (folder / checkpoint.MODEL).stat().st_mtime


def _fresh(options: argparse.Namespace, held: contextlib.ExitStack) -> Run:
    changes = given(options, TrainConfig)
    if _reported(options) and launched()[1] == 1:  # all of several processes must keep the same steps
        changes.setdefault("keep", KEPT)
    model, training = configs(options.preset, given(options, GPTConfig), changes)
    text = ChosenText.of(options)
    config, corpus = text.run(model, training)
    if options.out:
        folder = Path(options.out)
        if not in_use(folder):  # if it is in use, locking says so
            check_unused(folder)
    else:
        folder = unused(
            Path("runs") / f"{text.name}-{options.preset or DEFAULT_PRESET}", partial(command_line, "train --resume")
        )
    check_engine(training)  # before a folder is made
    hold(folder, held)
    check_unused(folder)  # another process may have taken it meanwhile
    print(f"A new run in {folder}")
    return start(folder, config, corpus)


def _resumed(options: argparse.Namespace, held: contextlib.ExitStack) -> Run:
    folder = Path(options.resume)
    checkpoint.load_config(folder)  # reports what is wrong with a folder that is not a run
    hold(folder, held)
    config = checkpoint.load_config(folder)
    fixed = ("preset", "dataset", "data", "documents", "normalize", "out")
    before, config = config, dataclasses.replace(config, train=changed(options, config.train, fixed, GPTConfig))
    step = checkpoint.saved_step(folder / checkpoint.TRAINING) or 0
    joined, remark = joining(before.train, config.train, step, before.joined)
    config = dataclasses.replace(config, joined=joined)
    logged = {record["step"] for record in checkpoint.read_log(folder)}
    run = resume(folder, config, config.text())
    missing = run.step + 1 - len([step for step in range(run.step + 1) if step in logged])
    if missing and run.step:
        print(f"{folder / checkpoint.LOG} has lost {missing} of its {run.step + 1} records; charts will show the rest")
    print(f"Resuming the run in {folder} at step {run.step} of {config.train.steps}")
    if remark:
        print(remark)
    return run


def draw_into(run: Run, *, report: bool = False) -> dict[str, str]:
    """Draw into the folder of a run, and list the files; a picture that cannot be made does not fail the run."""
    written = {}
    subject = Subject(run, run.folder / FOLDER)
    if isinstance(run.engine, CompiledEngine):  # the run may have been complete before this process began
        run.engine.compile(run.corpus.validation(run.config.model.block_size, 1))
    try:
        if report:
            print("Making the report (skip it with --no-report) ...", flush=True)
            written[write(subject).relative_to(run.folder).as_posix()] = "everything about the run, as one page"
        if isinstance(run.engine, CompiledEngine):
            write_atomically(run.folder / "program.txt", f"{run.engine.compiled}\n")
            written["program.txt"] = "what the compiler made of the scalars, line by line"
            viz.save(viz.draw_program(run.engine.compiled), run.folder / "program.svg")
            written["program.svg"] = "the same, as a picture"
        for name in ("loss.dot", "loss.svg"):
            viz.save(subject.loss_drawing, run.folder / name)
            written[name] = "the graph of the loss with its gradients"
    except (viz.DrawingError, ConfigError, OSError) as error:
        print(f"Not everything could be drawn: {error}", file=sys.stderr)
    return written


def _reported(options: argparse.Namespace) -> bool:
    return not options.no_draw and options.report is not False
