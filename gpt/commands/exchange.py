"""``python -m gpt export`` and ``python -m gpt import``: exchange models with other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tinygrad_edu.training.flags import run_argument, run_folder

from ..byte_pairs import BytePairTokenizer
from ..data.corpus import TEXTS, kept_text, open_text
from ..data.text import parse_normalizations
from ..data.token_file import check_alphabet
from ..errors import ConfigError
from ..model import parameter_count
from ..runs import checkpoint, convert
from ..runs.checkpoint import RunConfig
from ..runs.convert import Imported
from ..runs.early_stopping import BestLoss
from ..runs.saved_run import SavedRun
from ..tokenizer import CharTokenizer
from ..train import text_sha256
from .common import documents_chosen, documents_flag

_MODEL_FLAGS: dict[str, Any] = {"n_head": int, "block_size": int, "norm": str, "activation": str}


def add_export(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt export``."""
    command.set_defaults(run=run_export)
    run_argument(command)
    command.add_argument("file", metavar="OUT", help="a .pt file (needs PyTorch) or a .safetensors file")
    command.add_argument("--meta", metavar="FILE", help="write the alphabet as nanoGPT's meta.pkl as well")
    command.add_argument(
        "--wasm", action="store_true", help="make OUT a folder that trains and samples in browsers (needs llvmlite)"
    )
    command.add_argument(
        "--hugging-face", action="store_true", help="make OUT a folder that Hugging Face's GPT2LMHeadModel reads"
    )


def add_import(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt import``."""
    command.set_defaults(run=run_import)
    command.add_argument(
        "file",
        metavar="FILE",
        help="a .pt or .safetensors file: of export, nanoGPT or Hugging Face; or its folder, with GPT-2's byte pairs",
    )
    command.add_argument("folder", metavar="RUN", help="the folder to make")
    command.add_argument("--meta", metavar="FILE", help="its alphabet: nanoGPT's meta.pkl, or a tokenizer.json")
    text = command.add_mutually_exclusive_group()
    text.add_argument("--dataset", metavar="NAME", help="the text that the run continues with, by name")
    text.add_argument("--data", metavar="PATH", help="the text that the run continues with, as a UTF-8 file")
    command.add_argument(
        "--normalize", metavar="HOW", help="normalizations of that text, see train --help (default: those in the file)"
    )
    documents_flag(command, "as in the file")
    for name, kind in _MODEL_FLAGS.items():
        metavar = "N" if kind is int else "NAME"
        command.add_argument(
            f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=f"{name}, where the file does not say it"
        )


def run_export(options: argparse.Namespace) -> int:
    """Write a file, and say what its readers need to know."""
    folder = run_folder(options)
    this = SavedRun.open(folder)
    config, step = this.config, this.step
    out, meta = Path(options.file), options.meta and Path(options.meta).absolute()
    count = f"the model of step {step}, {parameter_count(config.model):,} parameters"
    if options.wasm and (meta or options.hugging_face):
        raise ConfigError("--wasm makes a folder of its own: leave out --meta and --hugging-face")
    if options.hugging_face:
        convert.export_hugging_face(out, this.arrays(), config, this.vocabulary, step)
        print(f"Wrote {out}: {count}; GPT2LMHeadModel.from_pretrained({str(out)!r}) reads it")
        if meta:
            convert.write_meta(meta, this.tokenizer)
        return 0
    if isinstance(this.vocabulary, BytePairTokenizer):
        raise ConfigError(f"{folder} reads byte pairs, which only a folder of Hugging Face has: add --hugging-face")
    tokenizer = this.tokenizer
    if options.wasm:
        from ..engines.wasm import to_wasm

        made = to_wasm(this.model, config.train, tokenizer, _optimizer(folder, config, step), config.documents)
        made.save(out)
        size = f"{len(made.bytes) / 2**20:.1f} MB, {made.description['pages'] / 16:.0f} MB of memory"
        print(f"Wrote {out}: {count} ({size}); step.js there says how a page loads it")
        if config.model.dropout:
            print("It trains without dropout, which has no counterpart there")
        return 0
    dataset = convert.export(
        out,
        this.arrays(),
        config,
        tokenizer,
        step,
        dataset=meta.parent.name if meta and meta.name == "meta.pkl" else None,
        optimizer=_optimizer(folder, config, step),
        best_val_loss=BestLoss(this.log()).loss if out.suffix == ".pt" else None,
    )
    print(f"Wrote {options.file}: {count}, nanoGPT's names")
    more = [f"{name} {value}" for name, value in convert.model_args(config.model).items()
            if name not in convert.NANOGPT_FIELDS]  # fmt: skip
    if more:
        print(f"nanoGPT has no setting for {', '.join(more)}; a program that reads the file finds them in model_args")
    else:
        print("It is a model that nanoGPT supports: nanoGPT's model.py runs it unchanged")
        print(f"nanoGPT looks for its alphabet in data/{dataset}/meta.pkl (write that with --meta)")
    if meta:
        convert.write_meta(meta, tokenizer)
        print(f"Wrote {options.meta}: its alphabet of {tokenizer.vocab_size} characters, for nanoGPT's sample.py")
    return 0


def _optimizer(folder: Path, config: RunConfig, step: int) -> dict[str, Any] | None:
    """Return AdamW's state of the saved step, if there is one."""
    if not (folder / checkpoint.TRAINING).exists():
        return None
    state = checkpoint.load_training_state(folder, config.model)
    return state.optimizer if state.step == step else None


def run_import(options: argparse.Namespace) -> int:
    """Turn a file into a run."""
    file, folder = Path(options.file), Path(options.folder)
    if checkpoint.exists(folder):
        raise ConfigError(f"{folder} already holds a run; choose another folder")
    imported = convert.read(file)
    if imported.byte_pairs is not None:
        return _import_byte_pairs(options, imported, imported.byte_pairs)
    dataset, data = options.dataset, options.data and kept_text(options.data)
    if dataset is None and data is None:
        dataset = imported.dataset
    if dataset is None and data is None:
        raise ConfigError(
            f"{file} does not say which text it was trained on, and a run needs one: give --data PATH or --dataset NAME"
            ", or for GPT-2 a folder that also has vocab.json and merges.txt"
        )
    normalize = imported.normalize if options.normalize is None else parse_normalizations(options.normalize)
    documents = imported.documents if options.documents is None else bool(documents_chosen(options))
    tokenizer, sha256 = _vocabulary(options.meta, imported, dataset, data, normalize)
    path = str(Path(data).absolute()) if data else None
    config = convert.run_config(imported, _given(options), (dataset, path, sha256, normalize, documents))
    if config.model.vocab_size != tokenizer.vocab_size:
        raise ConfigError(
            f"the model has {config.model.vocab_size} tokens and the alphabet {tokenizer.vocab_size} characters; "
            f"give the alphabet it was trained with: --meta meta.pkl, or --data with its own text"
        )
    if imported.note and options.activation is None:
        print(imported.note)
    convert.write_run(folder, config, imported, tokenizer, file)
    print(
        f"Made {folder}: a model of step {imported.step}, {parameter_count(config.model):,} parameters, alphabet of "
        f"{tokenizer.vocab_size}, text {dataset or data}"
    )
    return 0


def _given(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in _MODEL_FLAGS if getattr(options, name) is not None}


def _import_byte_pairs(options: argparse.Namespace, imported: Imported, tokenizer: BytePairTokenizer) -> int:
    """Turn a folder of Hugging Face's GPT-2 into a run without a text."""
    unfit = [name for name in ("meta", "dataset", "data", "normalize", "documents") if getattr(options, name)]
    if unfit:
        raise ConfigError(
            f"--{unfit[0]} is for models of characters, and {options.file} reads {tokenizer.vocab_size:,} byte pairs; "
            f"leave it out"
        )
    folder = Path(options.folder)
    config = convert.run_config(imported, _given(options), (None, None, "", (), False))
    if config.model.vocab_size != tokenizer.vocab_size:
        raise ConfigError(
            f"the model has {config.model.vocab_size:,} tokens and the vocabulary {tokenizer.vocab_size:,}; expected "
            f"the vocab.json and merges.txt that it was trained with"
        )
    convert.write_run(folder, config, imported, tokenizer, Path(options.file))
    print(
        f"Made {folder}: {parameter_count(config.model):,} parameters, {tokenizer.vocab_size:,} byte pairs; "
        f"gpt info, sample, eval and export take it"
    )
    return 0


def _vocabulary(
    meta: str | None, imported: Imported, dataset: str | None, data: str | None, normalize: tuple[str, ...]
) -> tuple[CharTokenizer, str]:
    """Return the alphabet and the SHA-256 of the text, which is read only if necessary."""
    tokenizer = None
    if meta is not None:
        tokenizer = convert.read_vocabulary(Path(meta))
    elif imported.alphabet is not None:
        tokenizer = CharTokenizer(imported.alphabet)
    if tokenizer is not None and data is None and dataset in TEXTS and not normalize:
        return tokenizer, TEXTS[dataset].sha256
    text = open_text(dataset, data, normalize)
    if tokenizer is None:
        tokenizer = CharTokenizer(text.facts.alphabet)  # as nanoGPT makes it: sorted by code point
    check_alphabet(text, tokenizer)
    return tokenizer, text_sha256(text)
