"""Read and write the vocabulary of byte pairs: ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinygrad_edu.files import write_atomically
from tinygrad_edu.training import files, reading

from ..byte_pairs import BytePairTokenizer
from ..errors import CheckpointError, DataError, shown

__all__ = ["KIND", "described", "of", "read", "write"]

KIND = "byte pairs"  # the type of such a tokenizer in the tokenizer.json of a run
_VOCAB, _MERGES, _WHOLE = "vocab.json", "merges.txt", "tokenizer.json"
_NUMBERS = reading.Kind(
    "tokens with their numbers", lambda x: reading.RECORD.fits(x) and all(reading.whole().fits(n) for n in x.values())
)
_PAIRS = reading.Kind(
    "a list of pairs of tokens", lambda x: isinstance(x, list) and all(len(_pair(pair)) == 2 for pair in x)
)
_BYTE_PAIRS: reading.Schema = {"vocab": _NUMBERS, "merges": _PAIRS}


def _pair(pair: Any) -> tuple[str, ...]:
    """Return the two tokens of a merge, which is written with a space between them, or as a list."""
    found = pair.split(" ") if isinstance(pair, str) else pair
    return tuple(found) if reading.LIST_OF_WORDS.fits(found) else ()


def described(tokenizer: BytePairTokenizer) -> dict[str, Any]:
    """Return what :func:`of` reads."""
    return {"vocab": tokenizer.vocabulary, "merges": [" ".join(pair) for pair in tokenizer.merges]}


def of(content: Any, source: Path) -> BytePairTokenizer:
    """Return the tokenizer with this ``vocab`` and these ``merges``; raises CheckpointError if there is none."""
    found = reading.checked(content, _BYTE_PAIRS, source)
    try:
        return BytePairTokenizer(found["vocab"], [(a, b) for a, b in map(_pair, found["merges"])])
    except DataError as error:
        raise CheckpointError(f"{source} does not describe a tokenizer: {error}") from None


def read(folder: Path) -> BytePairTokenizer | None:
    """Return the tokenizer in a folder of Hugging Face's GPT-2; None if there is none, CheckpointError for another."""
    vocab, merges, whole = folder / _VOCAB, folder / _MERGES, folder / _WHOLE
    if vocab.exists():
        content = reading.parsed(reading.content_of(vocab, "", reading.LARGEST_JSON), vocab)
        missing = f"{folder} has {_VOCAB} without {_MERGES}; expected both, or a {_WHOLE}"
        try:
            lines = reading.content_of(merges, missing, reading.LARGEST_JSON).decode().replace("\r\n", "\n").split("\n")
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{merges} is damaged: the byte at position {error.start} is not UTF-8") from None
        pairs = [line for line in lines if line and not line.startswith("#version")]
        odd = next((pair for pair in pairs if not _PAIRS.fits([pair])), None)
        if odd is not None:
            raise CheckpointError(f"{merges}: expected two tokens a line with a space between them, got {shown(odd)}")
        return of({"vocab": content, "merges": pairs}, vocab)
    if not whole.exists():
        return None
    content = reading.checked(reading.parsed(reading.content_of(whole, "", reading.LARGEST_JSON), whole), {}, whole)
    model, split = content.get("model"), content.get("pre_tokenizer")
    kinds = [part.get("type") if isinstance(part, dict) else None for part in (model, split)]
    if not isinstance(model, dict) or kinds != ["BPE", "ByteLevel"] or content.get("normalizer") is not None:
        raise CheckpointError(
            f"{whole} is not GPT-2's: expected a model of type BPE, a pre_tokenizer ByteLevel and no normalizer, got "
            f"{', '.join(map(shown, kinds))}"
        )
    added = content.get("added_tokens") or []
    try:
        more = {token["content"]: token["id"] for token in added}
    except (TypeError, KeyError):
        raise CheckpointError(f"{whole}: added_tokens must be a list of tokens, got {shown(added)}") from None
    reading.checked(model, _BYTE_PAIRS, whole)
    return of({"vocab": {**model["vocab"], **more}, "merges": model["merges"]}, whole)


def write(folder: Path, tokenizer: BytePairTokenizer) -> None:
    """Write vocab.json and merges.txt."""
    content = described(tokenizer)
    files.write_json(folder / _VOCAB, content["vocab"])
    write_atomically(folder / _MERGES, "".join(f"{line}\n" for line in ["#version: 0.2", *content["merges"]]))
