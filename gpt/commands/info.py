"""``python -m gpt info``: what the folder of a run holds, its progress, and where its time and memory go."""

from __future__ import annotations

import argparse
import dataclasses
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygrad_edu.training.flags import run_argument, run_folder

from ..byte_pairs import BytePairTokenizer
from ..config import GPTConfig
from ..data import ngram
from ..data.corpus import Corpus
from ..errors import ConfigError, DataError
from ..inspection.profile import Profile, profile
from ..model import parameter_count, parameter_shapes
from ..runs.checkpoint import RunConfig, Tokenizer
from ..runs.early_stopping import BestLoss
from ..runs.saved_run import SavedRun
from ..runs.wording import OF_DOCUMENTS, final_validation, judged
from ..tokenizer import shortened
from .common import best_flag

_WIDTH = 80
_BLOCKS = 4  # of more, only the first is shown in parts
_VALIDATIONS = 12  # that are shown, spread over the run
_RECENT = 20  # steps whose mean training loss is shown next to a validation


def add_info(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt info``."""
    command.set_defaults(run=run)
    run_argument(command)
    best_flag(command)
    command.add_argument(
        "--profile",
        type=int,
        nargs="?",
        const=5,
        metavar="N",
        help="run N training steps (5 by default) on a copy, and show the time of each module",
    )


def run(options: argparse.Namespace) -> int:
    """Print everything, in 80 columns."""
    if options.profile is not None and options.profile < 1:
        raise ConfigError(f"profile must be at least 1 step, got {options.profile}")
    folder = run_folder(options)
    this = SavedRun.open(folder, best=options.best)
    config, step = this.config, this.step
    corpus = this.corpus_at_hand()
    if options.profile and corpus is None:
        where = f"{config.dataset or config.data} is not on this machine" if config.has_text else "it has none"
        raise DataError(f"a profile trains on the text of the run, and {where}")
    if not this.on_arrays:
        this.model  # noqa: B018 - its numbers are checked
    log = [record for record in this.log() if record["step"] <= step]
    if config.has_text:
        _print(f"{folder}: the model of step {step:,} of {config.train.steps:,}")
        _print(_text_seen(config, step, corpus))
        _history(log, config, corpus)
    else:
        _print(f"{folder}: a model that was imported without its text")
    if config.documents:
        _print(OF_DOCUMENTS)
    if config.normalize:
        _print(f"the text is normalized: {', '.join(config.normalize)}")
    alphabet = _alphabet(this.vocabulary)
    print("\n  ".join(alphabet[i : i + _WIDTH - 2] for i in range(0, len(alphabet), _WIDTH - 2)), end="\n\n")
    settings: dict[str, Any] = {"model": config.model, **({"training": config.train} if config.has_text else {})}
    for title, part in settings.items():
        _print(f"{title}: " + ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(part).items()))
    print("\n".join(_tables(config.model)))
    _memory(folder, parameter_count(config.model), config.has_text)
    _operations(config.model)
    if options.profile and corpus is not None:
        _profiled(profile(this.model, config, corpus, options.profile))
    elif config.has_text:
        print("Where the time goes, module by module: --profile")
    return 0


def _alphabet(vocabulary: Tokenizer) -> str:
    if isinstance(vocabulary, BytePairTokenizer):
        return f"vocabulary of {vocabulary.vocab_size:,} byte pairs, {len(vocabulary.merges):,} of them merged"
    return f"alphabet of {vocabulary.vocab_size}: {shortened(vocabulary.alphabet)}"


def _print(words: str) -> None:
    lines = textwrap.wrap(words, _WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
    print("\n".join(lines) + "\n" * words.endswith("\n"))


# --- the text and the losses ------------------------------------------------------------------------------------------


def _text_seen(config: RunConfig, step: int, corpus: Corpus | None) -> str:
    per_sequence = (
        config.model.block_size if corpus is None else corpus.characters_per_sequence(config.model.block_size)
    )
    seen, text = round(step * config.train.batch_size * per_sequence), config.dataset or config.data
    if corpus is None:
        most = "at most " * config.documents
        return f"text: {most}{seen:,} characters seen of {text}, which is not on this machine"
    train, val = (len(part) - (corpus.end is not None) for part in (corpus.train, corpus.val))  # without a first end
    return (
        f"text: {seen:,} characters seen of {text}: {seen / train:.2f} times the {train:,} for training; "
        f"{val:,} are for validation"
    )


def _history(log: Sequence[Mapping[str, Any]], config: RunConfig, corpus: Corpus | None) -> None:
    validated = [record for record in log if record.get("val_loss") is not None]
    if not validated:
        print("no validation yet\n")
        return
    baselines = [] if corpus is None else corpus.baselines()
    words = judged(validated[-1]["val_loss"], baselines) + (ngram.counted(corpus.train) if corpus is not None else "")
    over = final_validation(validated[-1], config.train)
    _print(f"validation loss at step {validated[-1]['step']:,}: {words}{over}")
    if over:
        _print(f"below: on the {config.train.eval_sequences:,} sequences of the validations during training")
    best = BestLoss(log)
    count = min(_VALIDATIONS, len(validated))
    shown = [validated[i * (len(validated) - 1) // max(count - 1, 1)] for i in range(count)]
    shown += [record for record in validated if record["step"] == best.step and record not in shown]
    print(f"\n{'step':>8}{'training':>10}{'validation':>12}{'bits':>8}{'perplexity':>12}")
    for record in sorted(shown, key=lambda record: record["step"]):
        loss = record.get("watched_loss", record["val_loss"])
        near = [r["train_loss"] for r in log if record["step"] - _RECENT < r["step"] <= record["step"]]
        near = [x for x in near if x is not None]
        training = f"{sum(near) / len(near):.4f}" if near else "–"
        mark = "   lowest" if record["step"] == best.step else ""
        print(
            f"{record['step']:>8,}{training:>10}{loss:>12.4f}{loss / math.log(2):>8.3f}"
            f"{math.exp(min(loss, 700.0)):>12.2f}{mark}"
        )
    print()


# --- parameters and memory --------------------------------------------------------------------------------------------


def _tables(config: GPTConfig) -> Iterator[str]:
    """List every module and every table of parameters in it, with its share of the total."""
    named = list(parameter_shapes(config))
    counts: dict[str, int] = {}
    for name, sizes in named:
        modules = name.split(".")[:-1]
        for depth in range(len(modules) + 1):
            path = ".".join(modules[:depth])
            counts[path] = counts.get(path, 0) + math.prod(sizes)
    total = counts[""]
    tables_in = {path: sum(name.startswith(f"{path}.") for name, _ in named) for path in counts}

    def line(depth: int, name: str, sizes: str, count: int) -> str:
        return f"{'  ' * depth + name:<40}{sizes:<12}{count:>12,}{count / total:>9.1%}"

    yield f"\n{'module or table of parameters':<40}{'shape':<12}{'numbers':>12}{'share':>9}"
    yield line(0, "all", "", total)
    told: list[str] = []  # the modules of the previous line
    alike = f"h.1 to h.{config.n_layer - 1}, each like h.0" if config.n_layer > _BLOCKS else ""
    for name, sizes in named:
        if alike and name.startswith("transformer.h.") and not name.startswith("transformer.h.0."):
            if told[-1:] != [alike]:
                told = ["transformer", alike]
                yield line(2, alike, "", (config.n_layer - 1) * counts["transformer.h.0"])
            continue
        inside = [path for path in _above(name) if tables_in[path] > 1 and path.rpartition(".")[2] != "h"]
        for depth, path in enumerate(inside, 1):
            if path not in told:
                yield line(depth, _below(path, inside[depth - 2] if depth > 1 else ""), "", counts[path])
        told = inside
        yield line(
            len(inside) + 1, _below(name, inside[-1] if inside else ""), "×".join(map(str, sizes)), math.prod(sizes)
        )


def _above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _below(name: str, module: str) -> str:
    return name.removeprefix(f"{module}.") if module else name


def _memory(folder: Path, count: int, trains: bool) -> None:
    on_disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"\nmemory{' while it trains' * trains}, as 32-bit floats")
    kinds = (("the parameters", 1), ("their gradient", 1), ("AdamW's two running means", 2))
    for name, times in kinds if trains else kinds[:1]:
        print(f"  {name:<50}{_bytes(4 * times * count):>12}")
    print(f"{'the folder on disk':<52}{_bytes(on_disk):>12}\n")


def _operations(config: GPTConfig) -> None:
    """Say how much is computed per token: two operations per weight of a matrix that it is multiplied with, and as many
    per number of the keys and values that it attends to."""
    shapes = dict(parameter_shapes(config))
    matrices = sum(math.prod(sizes) for name, sizes in shapes.items() if len(sizes) == 2 and ".h." in name)
    attention = 2 * config.n_layer * config.block_size * config.n_embd
    each = 2 * (matrices + config.vocab_size * config.n_embd + attention)
    _print(
        f"One more token takes {each:,} multiplications and additions, once the context of {config.block_size:,} is "
        f"full\n"
    )


def _bytes(n: float) -> str:
    """Format a size in units of 1,000."""
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {unit}" if unit != "B" else f"{n:.0f} B"
        n /= 1000
    return f"{n:.3g} GB"


def _profiled(found: Profile) -> None:
    step = sum(found.parts.values())
    _print(
        f"One step of training takes {1000 * step:.1f} ms (the fastest of {found.steps} with the compiled engine; "
        f"timing adds overhead), after {found.compile_seconds:.1f} s for compiling:"
    )
    for name, seconds in sorted(found.parts.items(), key=lambda part: -part[1]):
        print(f"  {name:<38}{1000 * seconds:>9.2f} ms{seconds / step:>9.1%}")
    program = found.parts["the program"]
    print(
        f"\nThe program's arrays share {_bytes(found.memory)}; matrix products take {found.products:.0%} of its time.\n"
        f"{'module':<26}{'forward':>9}{'backward':>10}{'together':>10}{'share':>8}{'instr.':>7}{'arrays':>10}"
    )
    for share in found.shares:
        print(
            f"{share.module:<26}{1000 * share.forward:>9.2f}{1000 * share.backward:>10.2f}{1000 * share.seconds:>10.2f}"
            f"{share.seconds / program:>8.1%}{share.instructions:>7}{_bytes(share.memory):>10}"
        )
    print("(in milliseconds; arrays: forward and backward, if each had its own memory)")
