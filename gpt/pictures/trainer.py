"""What the screen "Train a GPT" of the playground needs: a compiled step for each size of model, and the text."""

from __future__ import annotations

import contextlib
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tinygrad_edu import compiler
from tinygrad_edu.files import cache_folder, write_atomically

from ..config import PRESETS, GPTConfig, TrainConfig
from ..data.corpus import Corpus
from ..data.text import Text
from ..engines.wasm import untrained
from ..errors import ConfigError

__all__ = ["LONGEST", "MOST", "SIZES", "steps", "text_asset"]

#: Presets, and validations that do not hold up the training in a page.
SIZES: dict[str, dict[str, int]] = {
    "micro": {"eval_interval": 100, "eval_sequences": 256},
    "tinylm": {"eval_interval": 100, "eval_sequences": 256},
    "small": {"eval_interval": 50, "eval_sequences": 64},
    "nano": {"eval_interval": 25, "eval_sequences": 48},
}
#: How many characters the models know: at least these, for texts that are pasted, and at most those.
LEAST, MOST = 64, 256
LONGEST = 4_000_000  # characters: a page must open quickly
MISSING = "Training needs compiled models, and this page was made without llvmlite: pip install llvmlite"
_NAMES = {"unigram": "letters"}


def steps(corpus: Corpus | None) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return a module for each size as assets of the page, with the alphabet of a text, and facts about them."""
    if not compiler.native.available():
        return {}, {"missing": MISSING}
    vocab_size = max(LEAST, corpus.tokenizer.vocab_size) if corpus else LEAST
    found = {}
    for name, changes in SIZES.items():
        shape = GPTConfig(**{**PRESETS[name].model, "vocab_size": vocab_size})
        train = TrainConfig(**{**PRESETS[name].train, **changes, "threads": 1})
        found[f"step-{name}"] = _kept(shape, train)
    return found, {}


def _kept(shape: GPTConfig, train: TrainConfig) -> bytes:
    """Return a module from the cache folder, where it is kept until the code that makes it changes."""
    digest = hashlib.sha256(f"{version('llvmlite')} {shape!r} {train!r}".encode())
    for package in (compiler.__file__, __file__):
        for source in sorted(Path(package).parents[1].rglob("*.py")):
            digest.update(source.read_bytes())
    kept = cache_folder() / "play" / f"{digest.hexdigest()}.wasm"
    with contextlib.suppress(OSError):
        return kept.read_bytes()
    made = untrained(shape, train).packed()
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, made)
    return made


def text_asset(
    text: Text, corpus: Corpus, dataset: str | None, data: str | None
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return a text as an asset, and facts about it: where Python finds it, and what counting reaches.

    Raises ConfigError for a text that is too long for a page, or has too many different characters.
    """
    facts = text.facts
    if facts.characters > LONGEST:
        raise ConfigError(
            f"{text.name} has {facts.characters:,} characters, and a page holds {LONGEST:,}: give a part of it, such "
            f"as head -c {LONGEST} FILE > PART"
        )
    if len(facts.alphabet) > MOST:
        raise ConfigError(
            f"{text.name} has {len(facts.alphabet)} different characters, and the models of the page know {MOST}: "
            f"gpt text shows which are rare"
        )
    name = data and Path(data).name  # not the folder of the maker
    source = {"dataset": dataset, "data": name, "sha256": facts.sha256, "normalize": list(text.normalize)}
    ladder = [{"name": _NAMES.get(b.name, b.name), "y": b.loss} for b in corpus.baselines()]
    asset = "list" if text.documents else "text"
    titles = {"shakespeare": "Shakespeare", "tinyshakespeare": "Shakespeare (tiny)"}
    title = titles.get(dataset or "", text.name.rpartition("/")[2])
    return {asset: text.whole().encode()}, {asset: {"title": title, "source": source, "ladder": ladder}}
