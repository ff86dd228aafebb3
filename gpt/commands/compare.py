"""``python -m gpt compare``: two trained models on the same text, and their differences."""

from __future__ import annotations

import argparse
import itertools
import random
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu import console
from tinygrad_edu.nested import shape

from ..engines import make_engine
from ..engines.base import Engine
from ..errors import ConfigError, DataError
from ..experiments.comparison import ahead, changed_settings, difference, distances, pairs, verdict
from ..inspection import surprisal
from ..inspection.surprisal import Seen
from ..model import GPT
from ..runs.saved_run import SavedRun
from ..runs.wording import judged
from ..sample import generate
from .common import engine_flag, text_read, with_engine

CHARACTERS = 20_000  # that both read by default
_WIDTH = 80
_ROWS = 10  # of a table
_PLACES = 4  # where each is most ahead


def add_compare(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt compare``."""
    command.set_defaults(run=run)
    command.add_argument("a", metavar="A", help="the folder of a run that train wrote")
    command.add_argument("b", metavar="B", nargs="?", help="another one (default: A's best model against its last)")
    command.add_argument("--best", action="store_true", help="for both, the model with the lowest validation loss")
    command.add_argument("--data", metavar="PATH", help="the text they read (default: the validation part of A's text)")
    command.add_argument(
        "--characters", type=int, default=CHARACTERS, metavar="N", help="how many characters of it, from the beginning"
    )
    command.add_argument("--prompt", metavar="TEXT", help="what the samples begin with (default: a new line)")
    command.add_argument(
        "--max-new-tokens", type=int, default=200, metavar="N", help="how long the samples are; 0: no samples"
    )
    command.add_argument("--seed", type=int, default=0, metavar="S", help="of both samples")
    engine_flag(command)


@dataclass(frozen=True)
class _Side:
    """One of the two models."""

    name: str
    run: SavedRun
    engine: Engine


def run(options: argparse.Namespace) -> int:
    """Print the verdict, then the tables and samples that support it."""
    for name, least in (("characters", 2), ("max_new_tokens", 0)):
        if getattr(options, name) < least:
            raise ConfigError(f"{name} must be at least {least}, got {getattr(options, name)}")
    if options.b is None and options.best:
        raise ConfigError("one run is compared with itself: its best model with its last; leave out --best, or give B")
    sides = _sides(options)
    a, b = (side.run for side in sides)
    if options.b is None and a.step == b.step:
        raise ConfigError(f"the best model of {options.a} is its last one; give a second run to compare it with")
    tokens_a, what, corpus = text_read(a, options.data)
    if len(tokens_a) < 2:
        raise DataError(f"{options.data} is too short: a character can only surprise after another one")
    some = tokens_a[: options.characters + 1]
    text = a.tokenizer.decode(some)
    for this in (a, b):  # before the work begins
        this.tokenizer.encode(this.config.normalized(options.prompt or ""))
    seen_a, seen_b = (
        surprisal.read(side.engine, this.tokenizer, this.tokenizer.encode(text), this.config.model.block_size, this.end)
        for side, this in zip(sides, (a, b), strict=True)
    )
    baselines = [] if corpus is None else corpus.baselines(some)
    for letter, side, seen in zip("AB", sides, (seen_a, seen_b), strict=True):
        print(f"{letter} is {side.name}, step {side.run.step:,}:")
        _print(judged(surprisal.mean(seen), baselines))
    share = "all" if len(text) == len(tokens_a) else f"the first {len(seen_a):,} of"
    _print(f"Both read {what}, {share} {len(tokens_a) - 1:,} characters, in windows that overlap by half.")
    _print(f"\n{verdict(*difference(seen_a, seen_b, max(s.config.model.block_size for s in (a, b))))}")
    print("\n".join(_where(seen_a, seen_b)))
    print("\n".join(_places(text, seen_a, seen_b)))
    print("\n".join(_settings(a, b)))
    print("\n".join(_parameters(a.model, b.model)))
    if options.max_new_tokens:
        print("\n".join(_samples(sides, options)))
    return 0


def _sides(options: argparse.Namespace) -> tuple[_Side, _Side]:
    def side(folder: str, best: bool) -> _Side:
        run = SavedRun.open(folder, best=best)
        engine = make_engine(run.model, with_engine(run.config.train, options))
        return _Side(f"the best of {folder}" if best else folder, run, engine)

    return side(options.a, options.best or options.b is None), side(options.b or options.a, options.best)


def _print(words: str) -> None:
    print("\n".join(textwrap.fill(line, _WIDTH, break_long_words=False, break_on_hyphens=False)
                    for line in words.split("\n")))  # fmt: skip


# --- which is better --------------------------------------------------------------------------------------------------


def _where(a: Sequence[Seen], b: Sequence[Seen]) -> Iterator[str]:
    yield f"\n{'Where: nats per character':<30}{'count':>8}{'A':>9}{'B':>9}{'A − B':>9}{'better':>9}"
    yield from _rows(surprisal.by_kind(a), surprisal.by_kind(b))
    if all(one == other for one, other in zip(a, b, strict=True)):
        return
    yield "and the characters that contribute most to the difference:"
    yield from _rows(surprisal.by_character(a), surprisal.by_character(b), _ROWS)


def _places(text: str, a: Sequence[Seen], b: Sequence[Seen]) -> Iterator[str]:
    """List the characters at which each is most ahead of the other."""
    for name, places in ahead(a, b, _PLACES).items():
        if places:
            yield f"\n{f'Where {name} is most ahead':<38}{'chance by A':>12}{'by B':>12}"
        for i in places:
            words = surprisal.context(text, i + 1)
            yield f"  {words:<36}{a[i].probability:>12.3%}{b[i].probability:>12.3%}"


def _rows(a: list[surprisal.Group], b: list[surprisal.Group], most: int | None = None) -> Iterator[str]:
    for one, other in pairs(a, b, most=most):
        name = surprisal.visible(one.name) if len(one.name) == 1 else one.name
        gap = one.surprise - other.surprise
        better = "B" if gap > 0 else "A" if gap < 0 else "–"
        yield (
            f"  {name:<28}{one.count:>8,}{one.surprise:>9.3f}{other.surprise:>9.3f}"
            f"{f'{gap:+.3f}'.replace('-', '−'):>9}{better:>9}"
        )


# --- what is different ------------------------------------------------------------------------------------------------


def _settings(a: SavedRun, b: SavedRun) -> Iterator[str]:
    rows = changed_settings(a.config, b.config)
    if a.tokenizer.alphabet != b.tokenizer.alphabet:
        rows.append(("alphabet", f"{a.tokenizer.vocab_size} characters", f"{b.tokenizer.vocab_size} characters"))
    if not rows:
        yield "\nAll settings are the same."
        return
    yield f"\n{'Settings that differ':<26}{'A':<27}B"
    for name, x, y in rows:
        yield f"  {name:<24}{_cut(x, 26):<27}{_cut(y, 27)}"


def _cut(words: str, width: int) -> str:
    return words if len(words) <= width else f"…{words[1 - width :]}"


def _parameters(a: GPT, b: GPT) -> Iterator[str]:
    one, other = dict(a.named_parameters()), dict(b.named_parameters())
    count_a, count_b = len(a.parameters()), len(b.parameters())
    yield f"\nParameters: A has {count_a:,}, B {count_b:,}."
    shapes = [(name, _size(one, name), _size(other, name)) for name in {**one, **other}]
    unlike = [row for row in shapes if row[1] != row[2]]
    for name, x, y in unlike[:_ROWS]:
        yield f"  {name:<42}{x:>14}{y:>14}"
    if len(unlike) > _ROWS:
        yield f"  and {len(unlike) - _ROWS} more tables"
    alike = [name for name, x, y in shapes if x == y]
    if not alike or unlike:
        return
    found = distances(a, b, alike)
    if not any(distance for distance, _ in found):
        yield "They are the same numbers."
        return
    yield "The tables that differ most, as the norm of the difference divided by that of A:"
    for distance, name in found[:_ROWS]:
        yield f"  {name:<60}{distance:>9.1%}"


def _size(tables: dict[str, Any], name: str) -> str:
    return "×".join(map(str, shape(tables[name]))) if name in tables else "–"


def _samples(sides: Sequence[_Side], options: argparse.Namespace) -> Iterator[str]:
    half = _WIDTH // 2 - 2
    columns = []
    for side in sides:
        config, tokenizer = side.run.config, side.run.tokenizer
        prompt = config.normalized(options.prompt or "")
        tokens = generate(
            side.engine.scorer(),
            config.model.block_size,
            tokenizer.encode(config.opening(prompt)) or tokenizer.beginning,
            options.max_new_tokens,
            temperature=0.8,
            end=side.run.end,
            rng=random.Random(options.seed),
        )
        lines = console.visible(prompt + tokenizer.decode(list(tokens))).strip("\n").split("\n")
        columns.append([piece for line in lines for piece in (textwrap.wrap(line, half) or [""])])
    yield f"\n{'A writes':<{half}} │ B writes (both seed {options.seed}, temperature 0.8)"
    for left, right in itertools.zip_longest(*columns, fillvalue=""):
        yield f"{left:<{half}} │ {right}".rstrip()
