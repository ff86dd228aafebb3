"""The command line: ``python -m gpt train | sample | eval | draw | flow | export | import | info``.

Exit codes: 0 done, 1 training diverged, 2 the request cannot be carried out (the message says why and what to do),
130 interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import math
import os
import random
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import tinygrad_edu
from tinygrad_edu.nn import shape

from . import chat_command, checkpoint, exchange_commands, flow_command, ngram
from .checkpoint import RunConfig
from .config import PRESETS, GPTConfig, TrainConfig, preset
from .data import DEFAULT_DATASET, TEXTS, Corpus, load_text, read_text, spread
from .engines import CompiledEngine, check_engine, make_engine
from .errors import CheckpointError, ConfigError, DataError, GPTError
from .files import write_atomically
from .model import GPT
from .processes import together
from .recorded import recorded_loss
from .sample import check_settings, generate, until
from .train import DivergedError, Run, first_prompt, resume, start, text_sha256, train

DEFAULT_PRESET = "small"
DRAWN_BOXES = 40  # as many as fit on a screen and can be read; ``draw --boxes`` goes deeper


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except DivergedError as error:
        print(f"gpt: {error}", file=sys.stderr)
        return 1
    except GPTError as error:
        print(f"gpt: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read our output has seen enough
        return 0
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        print(f"gpt: error: cannot write or read{place}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ngpt: interrupted", file=sys.stderr)
        return 130


# --- train --------------------------------------------------------------------------------------------------------


def _train(options: argparse.Namespace) -> int:
    run = _fresh(options) if options.resume is None else _resumed(options)
    folder, config = run.folder, run.config
    if run.step >= config.train.steps:
        print("It is complete. To train it further, give a larger --steps.")
        return 0
    model = config.model
    print(
        f"GPT: {len(run.model.parameters()):,} parameters; {model.n_layer} layer{'s' * (model.n_layer > 1)}, "
        f"width {model.n_embd}, {model.n_head} heads, context {model.block_size}\n"
        f"Text: {len(run.corpus.train):,} characters for training, {len(run.corpus.val):,} for validation, "
        f"alphabet of {run.corpus.tokenizer.vocab_size}\n"
        f"Loss is surprise in nats per character. Counting alone reaches on this text:\n{_ladder(run.rungs)}"
    )
    result = train(run)
    if result.interrupted:
        print(
            f"Stopped after step {result.step}; all of it is saved. Go on with:\n  {_command('train --resume', folder)}"
        )
        return 130
    if result.early:
        print(
            f"Stopped early after step {result.step}: {config.train.patience} validations brought no lower loss. "
            f"To go on all the same: {_command('train --resume', folder)} --patience 0"
        )
    if result.best_step is not None and result.best_step != result.step:
        print(
            f"The lowest validation loss on the way was {result.best_loss:.4f}, after step {result.best_step}; "
            f"that model is kept too: sample, eval and info take --best."
        )
    if result.val_loss is not None:
        print(f"Validation loss {_loss_words(result.val_loss)}: {ngram.verdict(result.val_loss, run.rungs)}.")
    pictures = {} if options.no_draw else _draw_into(run)
    print(f"\nWritten to {folder}:")
    for name, about in (
        (checkpoint.MODEL, "the parameters, by GPT-2's names"),
        (checkpoint.BEST, "those of the lowest validation loss"),
        (checkpoint.TRAINING, "what a resumed run needs"),
        (checkpoint.LOG, "one line of JSON per step"),
        *pictures.items(),
    ):
        print(f"  {name:<22}{about}")
    prompt = " --prompt ROMEO:" if set("ROMEO:") <= set(run.corpus.tokenizer.alphabet) else ""
    print(
        f"\nTry next:\n"
        f"  {_command('sample --checkpoint', folder)}{prompt}\n"
        f"  {_command('info', folder)}\n"
        f"  {_command('train --resume', folder)} --steps {2 * config.train.steps}"
    )
    return 0


def _command(words: str, folder: Path) -> str:
    """A command as this person would type it: through run.py, or with an activated environment."""
    return f"{_launcher()} gpt {words} {shlex.quote(str(folder))}"


def _launcher() -> str:
    return os.environ.get("TINYGRAD_EDU_LAUNCHER", "python -m")


def _fresh(options: argparse.Namespace) -> Run:
    chosen = preset(options.preset or DEFAULT_PRESET)
    config = GPTConfig(**{**chosen.model, **_given(options, GPTConfig)})
    given = _given(options, TrainConfig)
    if "lr" in given:
        given.setdefault("min_lr", given["lr"] / 10)  # who moves the peak means the end to move with it
    training = _train_config({**chosen.train, **given})
    dataset = None if options.data else options.dataset or DEFAULT_DATASET
    data = str(Path(options.data).absolute()) if options.data else None
    text = load_text(dataset, data)
    corpus = Corpus.from_text(text, config.block_size)
    config = dataclasses.replace(config, vocab_size=corpus.tokenizer.vocab_size)
    if options.out:
        folder = Path(options.out)
        if checkpoint.exists(folder):
            raise ConfigError(
                f"{folder} already holds a run; go on with it by --resume {folder}, or choose another folder for --out"
            )
    else:
        folder = _unused(Path("runs") / f"{dataset or Path(options.data).stem}-{options.preset or DEFAULT_PRESET}")
    check_engine(training)  # before a folder is made
    _check_writable(folder)
    print(f"A new run in {folder}")
    return start(folder, RunConfig(config, training, dataset, data, text_sha256(text)), corpus)


def _train_config(settings: dict[str, Any]) -> TrainConfig:
    if settings.get("engine") == "scalar":
        settings.setdefault("final_eval_sequences", 256)  # all of them would take pure scalars minutes
    return TrainConfig(**settings)


def _resumed(options: argparse.Namespace) -> Run:
    folder = Path(options.resume)
    config = checkpoint.load_config(folder)
    fixed = [name for name in ("preset", "dataset", "data", "out") if getattr(options, name) is not None]
    fixed += _given(options, GPTConfig)
    if fixed:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in fixed)
        raise ConfigError(f"{flags} cannot change in a resumed run; leave it out, or start a new run without --resume")
    changes = _given(options, TrainConfig)
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, **changes))
    _check_writable(folder)
    run = resume(folder, config, load_text(config.dataset, config.data))
    print(f"Going on with the run in {folder} at step {run.step} of {config.train.steps}")
    return run


def _given(options: argparse.Namespace, cls: type) -> dict[str, Any]:
    """The fields of a configuration that the person named."""
    values = {f.name: getattr(options, f.name, None) for f in dataclasses.fields(cls)}
    return {name: value for name, value in values.items() if value is not None}


def _unused(folder: Path) -> Path:
    """``folder``, or ``folder-2``, ``folder-3`` …: the first in which no run has been started."""
    candidate = folder
    for i in itertools.count(2):
        if not checkpoint.exists(candidate):
            return candidate
        try:
            step, steps = checkpoint.load_training_state(candidate).step, checkpoint.load_config(candidate).train.steps
            if step < steps:
                print(
                    f"{candidate} holds a run that stopped at step {step} of {steps}; "
                    f"to go on with it instead: {_command('train --resume', candidate)}"
                )
        except CheckpointError:
            pass  # damaged, but somebody's: it is left alone
        candidate = folder.with_name(f"{folder.name}-{i}")
    raise AssertionError("count() does not end")


def _check_writable(folder: Path) -> None:
    """Find out now, not after an hour of training, that the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "log.jsonl.new", "")
        (folder / "log.jsonl.new").unlink()
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}; choose another folder with --out") from None


def _ladder(rungs: Sequence[ngram.Rung]) -> str:
    return "\n".join(f"  {rung.name:<8}{rung.loss:.3f}   knows {rung.knows}" for rung in rungs)


def _loss_words(loss: float) -> str:
    bits = loss / math.log(2)
    return f"{loss:.4f} nats per character ({bits:.3f} bits, perplexity {math.exp(min(loss, 700.0)):.2f})"


# --- sample, eval, draw, info -----------------------------------------------------------------------------------------


def _sample(options: argparse.Namespace) -> int:
    check_settings(options.temperature, options.top_k, options.top_p, options.min_p)
    for name, least in (("max_new_tokens", 0), ("samples", 1)):
        if getattr(options, name) < least:
            raise ConfigError(f"{name} must be at least {least}, got {getattr(options, name)}")
    if "" in options.stop:
        raise ConfigError("a stop string must have at least one character; leave out --stop to write on")
    model, config, tokenizer, _ = checkpoint.load_model(Path(options.checkpoint), _parameters_file(options))
    # A prompt that was given is part of the text and printed; the line break that starts a text otherwise is not.
    prompt = tokenizer.encode(options.prompt or first_prompt(tokenizer))
    engine = make_engine(model, _with_engine(config.train, options))
    for number in range(options.samples):
        if options.samples > 1:
            print(f"{chr(10) * (number > 0)}--- {number + 1} of {options.samples}, seed {options.seed + number}")
        print(options.prompt or "", end="", flush=True)
        tokens = generate(
            engine.scorer(),
            config.model.block_size,
            prompt,
            options.max_new_tokens,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            min_p=options.min_p,
            repetition_penalty=options.repetition_penalty,
            repetition_window=options.repetition_window,
            slide=options.slide,
            rng=random.Random(options.seed + number),
        )
        for character in until((tokenizer.decode([token]) for token in tokens), options.stop):
            print(character, end="", flush=True)
        print()
    return 0


def _with_engine(config: TrainConfig, options: argparse.Namespace) -> TrainConfig:
    engine = options.engine or config.engine
    device = options.device or (config.device if engine == "torch" else "cpu")
    return dataclasses.replace(config, engine=engine, device=device)


def _eval(options: argparse.Namespace) -> int:
    if options.sequences is not None and options.sequences < 1:
        raise ConfigError(f"sequences must be at least 1, got {options.sequences}")
    model, config, tokenizer, step = checkpoint.load_model(Path(options.checkpoint), _parameters_file(options))
    block_size = config.model.block_size
    corpus = None
    if options.data:
        tokens = tokenizer.encode(read_text(options.data))
        what = options.data
        if len(tokens) <= block_size:
            raise DataError(
                f"{options.data} is too short: it has {len(tokens)} characters, needed are {block_size + 1}"
            )
    else:
        corpus = Corpus.from_text(load_text(config.dataset, config.data), block_size, tokenizer)
        tokens, what = corpus.val, f"the validation part of {config.dataset or config.data}"
    every = (len(tokens) - 1) // block_size
    sequences = spread(tokens, block_size, options.sequences or every)
    loss = make_engine(model, _with_engine(config.train, options)).evaluate(sequences)
    share = "all" if len(sequences) == every else f"{len(sequences):,} of {every:,}"
    print(f"Model of step {step} on {what}, {share} sequences of {block_size} characters:")
    if corpus is None:
        print(f"{_loss_words(loss)}")
    else:
        rungs = ngram.ladder(corpus.train, corpus.val, tokenizer.vocab_size)
        print(f"{_loss_words(loss)}: {ngram.verdict(loss, rungs)}\n{_ladder(rungs)}")
    return 0


def _draw(options: argparse.Namespace) -> int:
    if options.boxes < 2:
        raise ConfigError(f"boxes must be at least 2, got {options.boxes}")
    folder = Path(options.checkpoint)
    model, config, tokenizer, _ = checkpoint.load_model(folder, _parameters_file(options))
    corpus = Corpus.from_text(load_text(config.dataset, config.data), config.model.block_size, tokenizer)
    out = Path(options.out) if options.out else folder / "loss.svg"
    import viz

    try:
        print(f"Wrote {viz.save(_loss_drawing(model, corpus.val, options.boxes), out)}")
    except viz.DrawingError as error:
        raise ConfigError(str(error)) from None
    return 0


def _loss_drawing(model: GPT, tokens: Sequence[int], boxes: int) -> Any:
    """The graph of the loss of one sequence, with its gradients, as a ``viz`` drawing."""
    import viz

    loss, calls, _ = recorded_loss(model, tokens)
    return viz.draw(loss, calls=calls, budget=boxes, direction="wrapped")


def _draw_into(run: Run) -> dict[str, str]:
    """Draw into the folder of a run, and say what; a picture that cannot be made does not fail the run."""
    import viz

    written = {}
    try:
        if isinstance(run.engine, CompiledEngine):
            write_atomically(run.folder / "program.txt", f"{run.engine.compiled}\n")
            written["program.txt"] = "what the compiler made of the scalars, line by line"
            viz.save(viz.draw_program(run.engine.compiled), run.folder / "program.svg")
            written["program.svg"] = "the same as a picture"
        drawing = _loss_drawing(run.model, run.corpus.val, DRAWN_BOXES)
        for name in ("loss.dot", "loss.svg"):
            viz.save(drawing, run.folder / name)
            written[name] = "the graph of the loss with its gradients"
    except (viz.DrawingError, OSError) as error:
        print(f"Not everything could be drawn: {error}", file=sys.stderr)
    return written


def _info(options: argparse.Namespace) -> int:
    folder = Path(options.folder)
    model, config, tokenizer, step = checkpoint.load_model(folder, _parameters_file(options))
    log = [r for r in checkpoint.read_log(folder) if r.get("val_loss") is not None and r["step"] <= step]
    seen = step * config.train.batch_size * config.model.block_size
    print(f"{folder}: step {step} of {config.train.steps}, {seen:,} characters seen of {config.dataset or config.data}")
    if log:
        print(f"validation loss at step {log[-1]['step']}: {_loss_words(log[-1]['val_loss'])}")
    print(f"alphabet of {tokenizer.vocab_size}: {tokenizer.alphabet!r}\n")
    for title, part in (("model", config.model), ("training", config.train)):
        print(f"{title}: " + ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(part).items()))
    print(f"\n{'parameter':<40}{'shape':<14}{'numbers':>9}")
    for name, parameter in model.named_parameters():
        sizes = shape(parameter)
        print(f"{name:<40}{'×'.join(map(str, sizes)):<14}{math.prod(sizes):>9,}")
    print(f"{'all':<54}{len(model.parameters()):>9,}")
    return 0


# --- the words ----------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where to read on, instead of a page of flags."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"gpt: error: {message}; see {self.prog} --help\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of descriptions; shows a default where it says something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"{_launcher()} gpt",
        description="Train a character-level GPT made of scalars, and write text with it.",
        epilog=f"Each command explains itself: {_launcher()} gpt train --help",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"tinygrad_edu {tinygrad_edu.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_train(commands)
    _add_sample(commands)
    chat_command.add_parser(functools.partial(_add, commands))

    command = _add(commands, "eval", "measure the loss of a trained model", _eval)
    _checkpoint_flag(command)
    command.add_argument("--data", metavar="PATH", help="a UTF-8 text file (default: the validation part of its text)")
    command.add_argument("--sequences", type=int, metavar="N", help="how many sequences (default: all)")
    _engine_flag(command)

    command = _add(commands, "draw", "draw the graph of a trained model's loss, with gradients", _draw)
    _checkpoint_flag(command)
    command.add_argument("--out", metavar="FILE", help="a .dot, .svg, .png, .pdf or .html file (default: DIR/loss.svg)")

    command.add_argument("--boxes", type=int, default=DRAWN_BOXES, metavar="N", help="how many boxes at the most")

    flow_command.add_parser(functools.partial(_add, commands))
    exchange_commands.add_parsers(functools.partial(_add, commands))
    command = _add(commands, "info", "show what the folder of a run holds", _info)
    command.add_argument("folder", metavar="DIR", help="a folder that train has written")
    _best_flag(command)
    return parser


def _add(commands: Any, name: str, about: str, run: Any, description: str | None = None) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=description or f"{about[0].upper()}{about[1:]}.", formatter_class=_Help
    )
    command.set_defaults(run=run)
    return command


def _checkpoint_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument("--checkpoint", required=True, metavar="DIR", help="a folder that train has written")
    _best_flag(command)


def _best_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument("--best", action="store_true", help="the model of the lowest validation loss, not the last")


def _parameters_file(options: argparse.Namespace) -> str:
    return checkpoint.BEST if options.best else checkpoint.MODEL


def _engine_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument("--engine", metavar="NAME", help="compiled, scalar or torch (default: as it was trained)")
    command.add_argument("--device", metavar="NAME", help="cpu or cuda, for the torch engine (default: as trained)")


def _add_train(commands: Any) -> None:
    presets = "\n".join(f"  {name:<8}{chosen.summary}" for name, chosen in PRESETS.items())
    texts = "\n".join(f"  {name:<17}{text.about}" for name, text in TEXTS.items())
    description = f"Train a GPT and save it.\n\npresets:\n{presets}\n\ndata sets:\n{texts}"
    command = _add(commands, "train", "train a GPT and save it", together(_train), description)
    command.add_argument("--preset", metavar="P", help=f"a model and how to train it (default: {DEFAULT_PRESET})")
    text = command.add_mutually_exclusive_group()
    text.add_argument("--dataset", metavar="NAME", help=f"a text by name (default: {DEFAULT_DATASET})")
    text.add_argument("--data", metavar="PATH", help="a UTF-8 text file of yours")
    command.add_argument("--out", metavar="DIR", help="where to write (default: a new folder in runs/)")
    command.add_argument("--resume", metavar="DIR", help="go on with the run in this folder")
    command.add_argument("--no-draw", action="store_true", default=None, help="do not draw the loss at the end")
    chosen = PRESETS[DEFAULT_PRESET]
    defaults = {
        **dataclasses.asdict(GPTConfig(**chosen.model)),
        **dataclasses.asdict(TrainConfig(**chosen.train)),
    }
    for title, cls in (("the model", GPTConfig), ("training", TrainConfig)):
        group = command.add_argument_group(title, f"defaults are those of the preset {DEFAULT_PRESET}")
        for field in dataclasses.fields(cls):
            if field.name == "vocab_size":
                continue  # the text decides it
            default = defaults[field.name]
            help_text = f"{field.metadata['help']} (default: {default})".replace("%", "%%")
            flag = f"--{field.name.replace('_', '-')}"
            if isinstance(default, bool):
                group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=help_text)
            else:
                kind = type(default)
                group.add_argument(flag, type=kind, metavar=_METAVARS[kind], default=None, help=help_text)


_METAVARS: dict[type, str] = {int: "N", float: "X", str: "NAME"}


def _add_sample(commands: Any) -> None:
    command = _add(commands, "sample", "write text with a trained model", _sample)
    _checkpoint_flag(command)
    command.add_argument("--prompt", metavar="TEXT", help="the text to continue (default: a new line)")
    command.add_argument("--max-new-tokens", type=int, default=300, metavar="N", help="how many characters to write")
    command.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        metavar="T",
        help="below 1 safer, above 1 more varied, 0 always the likeliest",
    )
    command.add_argument("--top-k", type=int, metavar="K", help="choose among the K likeliest characters only")
    command.add_argument("--top-p", type=float, metavar="P", help="choose among the likeliest that sum to P only")
    command.add_argument("--min-p", type=float, metavar="P", help="only characters P times as likely as the likeliest")
    command.add_argument(
        "--repetition-penalty",
        type=float,
        default=1.0,
        metavar="X",
        help="above 1: what was just written is less likely",
    )
    command.add_argument("--repetition-window", type=int, default=64, metavar="N", help="how many characters back")
    command.add_argument(
        "--slide", type=int, metavar="N", help="forget N characters when the context is full (default: a quarter of it)"
    )
    command.add_argument("--seed", type=int, default=0, metavar="S", help="another seed, another text")
    command.add_argument("--samples", type=int, default=1, metavar="N", help="how many texts, with seeds S, S + 1 …")
    command.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="end before this text; may be given several times"
    )
    _engine_flag(command)
