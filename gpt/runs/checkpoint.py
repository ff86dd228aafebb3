"""A run on disk.

::

    DIR/
      config.json             model, training settings and text of the run
      tokenizer.json          the alphabet, or the byte pairs
      model.safetensors       the parameters, by GPT-2's names
      best.safetensors        the same of the step with the lowest validation loss
      training.safetensors    what a resumed run needs: parameters, AdamW's means, the step: one file, so that it is
                              of one moment, however the run ended
      log.jsonl               one line per step
      flow.jsonl              gradients at the validations, one line per table of parameters
      snapshots/              the parameters on the way, step-0000500.safetensors; at most as many as --keep says

A model that is imported without its text has the first three only, in 32-bit floats; it may have more parameters than
there can be Values.

Every file is replaced in one step (see ``files.py``). There is no pickle: reading a checkpoint runs no code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tinygrad_edu import collector_paused
from tinygrad_edu.errors import brief
from tinygrad_edu.training import files, reading
from tinygrad_edu.training.files import (
    BEST,
    CONFIG,
    FLOW,
    LARGEST_FLOAT32,
    LOG,
    MODEL,
    TRAINING,
    NoDraws,
    TrainingState,
    as_metadata,
    exists,
    float32,
    flow_lines,
    keep_model,
    load_parameters,
    load_tensors,
    log_line,
    metadata_of,
    numbers_of,
    read_flow,
    read_json,
    read_log,
    rewrite_log,
    save_model,
    save_tensors,
    save_training_state,
    saved_step,
    step_of,
    write_float32,
    write_json,
)

from ..byte_pairs import BytePairTokenizer
from ..config import GPTConfig, TrainConfig, made
from ..data.corpus import open_text
from ..data.documents import END
from ..data.text import Text, normalized, parse_normalizations
from ..errors import CheckpointError, ConfigError, DataError
from ..model import GPT, parameter_shapes
from ..tokenizer import CharTokenizer
from . import byte_pair_files

__all__ = [
    "BEST",
    "CONFIG",
    "DOCUMENTS",
    "FLOW",
    "FORMAT",
    "LARGEST_FLOAT32",
    "LINES",
    "LOG",
    "MODEL",
    "TOKENIZER",
    "TRAINING",
    "RunConfig",
    "Tokenizer",
    "TrainingState",
    "characters",
    "check_shapes",
    "check_vocabulary",
    "exists",
    "float32",
    "flow_lines",
    "keep_model",
    "load_arrays",
    "load_config",
    "load_model",
    "load_parameters",
    "load_tensors",
    "load_tokenizer",
    "load_training_state",
    "log_line",
    "numbers_of",
    "read_flow",
    "read_json",
    "read_log",
    "rewrite_log",
    "save_arrays",
    "save_config",
    "save_model",
    "save_tensors",
    "save_training_state",
    "saved_step",
    "step_of",
    "tokenizer_of",
    "unfilled",
    "write_float32",
    "write_json",
]

FORMAT = 1
TOKENIZER = "tokenizer.json"
Tokenizer = CharTokenizer | BytePairTokenizer
#: What a run without a text, without characters or without Values is good for.
STILL = "gpt info, sample, eval and export do without"


@brief
@dataclass(frozen=True)
class RunConfig:
    """The settings of a run, fixed at its start.

    Attributes:
        dataset: the name of the text, or None when it is a file.
        data: the path of the text, or None when it has a name. A model that was imported without its text has neither.
        text_sha256: the SHA-256 of the text, so that a run cannot be resumed with another one.
        normalize: the normalizations of the text, and of every other text that the model reads (see ``text.py``).
        documents: whether every line of such texts is a document (see ``documents.py``).
        joined: the step at which the schedule was changed, and the learning rate until then.
    """

    model: GPTConfig
    train: TrainConfig
    dataset: str | None
    data: str | None
    text_sha256: str
    normalize: tuple[str, ...] = ()
    documents: bool = False
    joined: tuple[int, float] | None = None

    def text(self) -> Text:
        """Return the text of the run; raises DataError if it no longer exists, or never did."""
        if not self.has_text:
            raise DataError(f"the model was imported without its text; {STILL}")
        return open_text(self.dataset, self.data, self.normalize, self.documents)

    @property
    def has_text(self) -> bool:
        """Whether the run has a text, wherever that is now."""
        return self.dataset is not None or self.data is not None

    @property
    def text_name(self) -> str:
        """The name of the text, or of its file or folder."""
        return self.dataset or Path(str(self.data)).name

    def normalized(self, prompt: str) -> str:
        """Normalize a prompt like the model's text."""
        return normalized(prompt, self.normalize)

    def opening(self, prompt: str) -> str:
        """Return what a model reads first to continue a prompt: a document begins after an end."""
        return END * self.documents + self.normalized(prompt)


def check_shapes(config: GPTConfig, shapes: Mapping[str, tuple[int, ...]], source: Path) -> None:
    """Raise CheckpointError if tensors are not those of such a model, before a model is made for them."""
    files.check_shapes(parameter_shapes(config), shapes, source)


# --- a run ------------------------------------------------------------------------------------------------------------


def save_config(folder: Path, config: RunConfig, tokenizer: Tokenizer) -> None:
    """Write config.json and tokenizer.json: what a run begins with."""
    if isinstance(tokenizer, BytePairTokenizer):
        described = {"type": byte_pair_files.KIND, **byte_pair_files.described(tokenizer)}
    else:
        described = {"type": "characters", "alphabet": tokenizer.alphabet}
    write_json(folder / TOKENIZER, described)
    fields = dataclasses.asdict(config)
    documents = {"documents": LINES} if fields.pop("documents") else {}
    joined = {"joined": joined} if (joined := fields.pop("joined")) else {}
    write_json(folder / CONFIG, {"format": FORMAT, **fields, **documents, **joined})


LINES = "lines"
DOCUMENTS = reading.optional(reading.Kind(repr(LINES), lambda x: x == LINES))
_CONFIG: reading.Schema = {
    "format": reading.whole(),
    "model": reading.RECORD,
    "train": reading.RECORD,
    "dataset": reading.optional(reading.WORDS),
    "data": reading.optional(reading.PATH),
    "text_sha256": reading.WORDS,
    "normalize": reading.LIST_OF_WORDS,
    "documents": DOCUMENTS,
    "joined": reading.optional(reading.STEP_AND_RATE),
}


def load_config(folder: Path) -> RunConfig:
    """Return the settings of a run; CheckpointError names what is wrong with them."""
    path = folder / CONFIG
    content = reading.checked(read_json(path), _CONFIG, path)
    if content["format"] != FORMAT:
        raise CheckpointError(f"{path}: format {content['format']!r}, expected {FORMAT}; it is of another version")
    try:
        return RunConfig(
            made(GPTConfig, content["model"]),
            made(TrainConfig, content["train"]),
            content.get("dataset"),
            content.get("data"),
            content["text_sha256"],
            parse_normalizations(",".join(content.get("normalize", [])) or "none"),
            content.get("documents") is not None,
            tuple(content["joined"]) if content.get("joined") else None,
        )
    except ConfigError as error:
        raise CheckpointError(f"{path} does not describe a run: {error}") from None


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a run."""
    return tokenizer_of(read_json(folder / TOKENIZER), folder / TOKENIZER)


def characters(tokenizer: Tokenizer, source: Path) -> CharTokenizer:
    """Return a tokenizer of characters as it is; raises CheckpointError for another."""
    if isinstance(tokenizer, CharTokenizer):
        return tokenizer
    raise CheckpointError(f"{source} reads {byte_pair_files.KIND}; expected a model of characters; {STILL}")


def tokenizer_of(content: Any, source: Path) -> Tokenizer:
    """Return the tokenizer that a tokenizer.json describes."""
    if isinstance(content, dict) and content.get("type") == byte_pair_files.KIND:
        return byte_pair_files.of(content, source)
    try:
        return CharTokenizer(reading.checked(content, {"alphabet": reading.WORDS}, source)["alphabet"])
    except DataError as error:
        raise CheckpointError(f"{source} does not describe a tokenizer: {error}") from None


def unfilled(config: GPTConfig) -> GPT:
    """Make a model whose numbers are read from a file next: the draws for a million of them would be thrown away."""
    return GPT(config, seed=NoDraws())


def save_arrays(folder: Path, config: GPTConfig, tables: Mapping[str, Any], step: int) -> None:
    """Write model.safetensors in 32-bit floats; raises CheckpointError for a number that is none."""
    folder.mkdir(parents=True, exist_ok=True)
    write_float32(folder / MODEL, dict(parameter_shapes(config)), tables.__getitem__, as_metadata({"step": step}))


def load_arrays(folder: Path, config: GPTConfig, name: str = MODEL) -> tuple[dict[str, Any], int]:
    """Return the parameters of a run as arrays by name, in the order of the model, and the step they were saved at.

    A number is read when it is first looked at. Raises CheckpointError for a file of another model.
    """
    source = folder / name
    with reading.open_tensors(source) as file:
        check_shapes(config, file.shapes, source)
        found, step = file.arrays(), step_of(metadata_of(file), source)
    return {name: found[name] for name, _ in parameter_shapes(config)}, step


@collector_paused()  # a million Values, and none of them is garbage
def load_model(folder: Path, name: str = MODEL) -> tuple[GPT, RunConfig, Tokenizer, int]:
    """Load the model of a run with its settings, its tokenizer and the step it was saved at.

    ``name`` is the file with the parameters: :data:`BEST` for those with the lowest validation loss.
    """
    config, tokenizer = load_config(folder), load_tokenizer(folder)
    check_vocabulary(folder, config, tokenizer)
    state, step = load_arrays(folder, config.model, name)
    model = unfilled(config.model)
    load_parameters(model, state, folder / name, config.train.engine)
    return model, config, tokenizer, step


def check_vocabulary(folder: Path, config: RunConfig, tokenizer: Tokenizer) -> None:
    """Raise CheckpointError unless the model has as many tokens as the tokenizer."""
    if config.model.vocab_size != tokenizer.vocab_size:
        raise CheckpointError(
            f"{folder}: the model has {config.model.vocab_size} tokens and the tokenizer {tokenizer.vocab_size}; "
            f"the files are of different runs"
        )


def load_training_state(folder: Path, model: GPTConfig | None = None) -> TrainingState:
    """Load the state a resumed run starts from; with ``model``, raises CheckpointError if it is of another one."""
    return files.load_training_state(folder, None if model is None else partial(check_shapes, model))
