"""A run on disk.

::

    DIR/
      config.json             model, training settings and text of the run
      tokenizer.json          the alphabet
      model.safetensors       the parameters, by GPT-2's names
      best.safetensors        the same of the step with the lowest validation loss
      training.safetensors    what a resumed run needs: parameters, AdamW's means, the step: one file, so that it is
                              of one moment, however the run ended
      log.jsonl               one line per step
      flow.jsonl              gradients at the validations, one line per table of parameters
      snapshots/              the parameters on the way, step-0000500.safetensors; at most as many as --keep says

Every file is replaced in one step (see ``files.py``). There is no pickle: reading a checkpoint runs no code.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_edu.calls import values_in
from tinygrad_edu.errors import StateDictError
from tinygrad_edu.measure import Line
from tinygrad_edu.nn import Numbers, shape

from .config import GPTConfig, TrainConfig
from .data import open_text
from .errors import CheckpointError, ConfigError, DataError
from .files import write_atomically
from .model import GPT
from .text import Text, normalized, parse_normalizations
from .tokenizer import CharTokenizer

FORMAT = 1
CONFIG, TOKENIZER, MODEL, BEST, TRAINING, LOG, FLOW = (
    "config.json", "tokenizer.json", "model.safetensors", "best.safetensors", "training.safetensors", "log.jsonl",
    "flow.jsonl",
)  # fmt: skip


@dataclass(frozen=True)
class RunConfig:
    """Everything that was decided before a run began.

    Attributes:
        dataset: the name of the text, or None when it is a file.
        data: the path of the text, or None when it has a name.
        text_sha256: of the text, so that a run cannot go on with another one.
        normalize: what is done to the text, and to every other one that the model reads (see ``text.py``).
    """

    model: GPTConfig
    train: TrainConfig
    dataset: str | None
    data: str | None
    text_sha256: str
    normalize: tuple[str, ...] = ()

    def text(self) -> Text:
        """The text of the run, to be read; DataError when it is not there any more."""
        return open_text(self.dataset, self.data, self.normalize)

    @property
    def text_name(self) -> str:
        """What to call the text: its name, or that of its file or folder."""
        return self.dataset or Path(str(self.data)).name

    def normalized(self, prompt: str) -> str:
        """A prompt as the model knows texts."""
        return normalized(prompt, self.normalize)


@dataclass(frozen=True)
class TrainingState:
    """Where a run stands after ``step`` steps: all numbers by name, flat."""

    step: int
    parameters: dict[str, Numbers]
    optimizer: dict[str, Any]


# --- tensors as bytes -------------------------------------------------------------------------------------------------

_METADATA = "tinygrad_edu"


def save_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, int]) -> None:
    """Write arrays, or nested lists of floats, as a safetensors file of 64-bit floats: nothing is rounded."""
    import numpy as np  # here and not above: the scalar path starts without numpy
    from safetensors.numpy import save

    arrays = {name: np.asarray(numbers, dtype=np.float64) for name, numbers in tensors.items()}
    # One entry only: safetensors writes several in an order that changes from process to process.
    write_atomically(path, save(arrays, metadata={_METADATA: json.dumps(metadata)}))


def load_tensors(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The nested lists and the metadata of a safetensors file; CheckpointError when it is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"there is no {path.name} in {path.parent}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    try:
        tensors = {name: tensor.tolist() for name, tensor in load(content).items()}
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        metadata = json.loads(header.get("__metadata__", {}).get(_METADATA, "{}"))
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file ({error})") from None
    return tensors, metadata


# --- a run ------------------------------------------------------------------------------------------------------------


def write_json(path: Path, content: Any) -> None:
    """Readable JSON, replaced in one step."""
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file; CheckpointError when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{path.parent} holds no checkpoint: there is no {path.name}; expected a folder that gpt train has written"
        ) from None
    except NotADirectoryError:
        raise CheckpointError(f"{path.parent} is not a folder; expected one that gpt train has written") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def exists(folder: Path) -> bool:
    """Whether a run has been started in the folder."""
    return (folder / CONFIG).exists()


def save_config(folder: Path, config: RunConfig, tokenizer: CharTokenizer) -> None:
    """Write config.json and tokenizer.json: what a run begins with."""
    write_json(folder / TOKENIZER, {"type": "characters", "alphabet": tokenizer.alphabet})
    write_json(folder / CONFIG, {"format": FORMAT, **dataclasses.asdict(config)})


def load_config(folder: Path) -> RunConfig:
    """The settings of a run; CheckpointError names what is wrong with them."""
    path = folder / CONFIG
    content = read_json(path)
    try:
        if content["format"] != FORMAT:
            raise CheckpointError(f"{path}: format {content['format']!r}, expected {FORMAT}; it is of another version")
        return RunConfig(
            GPTConfig(**content["model"]),
            TrainConfig(**content["train"]),
            content["dataset"],
            content["data"],
            content["text_sha256"],
            parse_normalizations(",".join(content.get("normalize", [])) or "none"),
        )
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"{path} does not describe a run: {error}") from None


def load_tokenizer(folder: Path) -> CharTokenizer:
    """The tokenizer of a run."""
    path = folder / TOKENIZER
    content = read_json(path)
    try:
        return CharTokenizer(content["alphabet"])
    except (KeyError, TypeError, DataError) as error:
        raise CheckpointError(f"{path} does not describe a tokenizer: {error}") from None


def save_model(
    folder: Path, model: GPT, step: int, name: str = MODEL, numbers: Mapping[str, Any] | None = None
) -> None:
    """Write model.safetensors, or another ``name``, in the names and shapes of PyTorch's GPT-2.

    ``numbers`` are those of the model, for whoever has them at hand.
    """
    save_tensors(folder / name, numbers or numbers_of(model), {"step": step})


def keep_model(folder: Path, name: str) -> None:
    """Keep what model.safetensors holds now under another name too."""
    write_atomically(folder / name, (folder / MODEL).read_bytes())


def numbers_of(model: GPT) -> dict[str, Any]:
    """The parameters by name as arrays, without second names: a tied head is there once."""
    import numpy as np

    return {
        name: np.array([value.data for value in values_in(parameter)]).reshape(shape(parameter))
        for name, parameter in model.named_parameters()
    }


def _with_second_names(model: GPT, state: Mapping[str, Any]) -> dict[str, Any]:
    first_name = {id(parameter): name for name, parameter in model.named_parameters()}
    second = {
        name: first_name[id(parameter)]
        for name, parameter in model._all_parameters()
        if first_name[id(parameter)] != name and first_name[id(parameter)] in state
    }
    return {**state, **{name: state[first] for name, first in second.items()}}


def load_parameters(model: GPT, state: Mapping[str, Any], source: Path) -> None:
    """Put saved parameters into a model; CheckpointError names what does not fit."""
    try:
        model.load_state_dict(_with_second_names(model, state))
    except StateDictError as error:
        raise CheckpointError(f"{source} is of another model: {error}") from None
    if not all(math.isfinite(value.data) for value in model.parameters()):  # first without making a million names
        broken = next(name for name, value in model.named_scalars() if not math.isfinite(value.data))
        raise CheckpointError(f"{source} holds a number that is not finite: {broken}")


def saved_step(path: Path) -> int | None:
    """The step of which a file of parameters is; None when there is no such file, or it is damaged."""
    try:
        return step_of(load_tensors(path)[1], path)
    except CheckpointError:
        return None


def load_model(folder: Path, name: str = MODEL) -> tuple[GPT, RunConfig, CharTokenizer, int]:
    """The model of a run with its settings, its tokenizer and the step it was saved at.

    ``name`` is the file with the parameters: :data:`BEST` for those of the lowest validation loss.
    """
    config, tokenizer = load_config(folder), load_tokenizer(folder)
    if config.model.vocab_size != tokenizer.vocab_size:
        raise CheckpointError(
            f"{folder}: the model has {config.model.vocab_size} tokens and the tokenizer {tokenizer.vocab_size}; "
            f"the files are of different runs"
        )
    model = GPT(config.model)
    state, metadata = load_tensors(folder / name)
    load_parameters(model, state, folder / name)
    return model, config, tokenizer, step_of(metadata, folder / name)


def step_of(metadata: Mapping[str, int], source: Path) -> int:
    """The step that the metadata of a file of parameters names."""
    try:
        return int(metadata["step"])
    except (KeyError, ValueError):
        raise CheckpointError(f"{source} does not say at which step it was saved") from None


def save_training_state(
    folder: Path, model: GPT, optimizer: Mapping[str, Any], step: int, numbers: Mapping[str, Any] | None = None
) -> None:
    """Write training.safetensors: parameters as ``model.*``, AdamW's running means as ``optimizer.*``.

    ``numbers`` are those of the model, for whoever has them at hand.
    """
    tensors = {f"model.{name}": table for name, table in (numbers or numbers_of(model)).items()}
    tensors |= {f"optimizer.{name}": table for name, table in optimizer.items() if name != "steps"}
    save_tensors(folder / TRAINING, tensors, {"step": step, "optimizer.steps": optimizer["steps"]})


def load_training_state(folder: Path) -> TrainingState:
    """The state a resumed run starts from."""
    path = folder / TRAINING
    tensors, metadata = load_tensors(path)
    parts: dict[str, dict[str, Any]] = {"model": {}, "optimizer": {}}
    for name, numbers in tensors.items():
        part, _, rest = name.partition(".")
        if part not in parts:
            raise CheckpointError(f"{path} is not the state of a training run: it holds {name}")
        parts[part][rest] = numbers
    step = step_of(metadata, path)
    try:
        parts["optimizer"]["steps"] = int(metadata["optimizer.steps"])
    except (KeyError, ValueError):
        raise CheckpointError(f"{path} does not hold the optimiser's step count") from None
    return TrainingState(step, parts["model"], parts["optimizer"])


# --- the log ----------------------------------------------------------------------------------------------------------


def read_log(folder: Path, name: str = LOG) -> list[dict[str, Any]]:
    """The lines of log.jsonl, or of flow.jsonl; a last line that a crash cut short is left out."""
    path = folder / name
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise CheckpointError(f"{path} is damaged in line {number}") from None
    return records


def rewrite_log(folder: Path, records: Iterable[Mapping[str, Any]], name: str = LOG) -> None:
    """Replace log.jsonl, or flow.jsonl, by these lines."""
    write_atomically(folder / name, "".join(log_line(record) for record in records))


def log_line(record: Mapping[str, Any]) -> str:
    """One line of the log."""
    return json.dumps(record) + "\n"


def flow_lines(step: int, measured: Iterable[Line]) -> str:
    """The lines of flow.jsonl about one step; pandas reads them as a table."""
    return "".join(log_line({"step": step, **dataclasses.asdict(line)}) for line in measured)


def read_flow(folder: Path) -> dict[int, list[Line]]:
    """By step what was measured of the gradients; empty for a run that has measured nothing."""
    found: dict[int, list[Line]] = {}
    for record in read_log(folder, FLOW):
        try:
            step = record.pop("step")
            found.setdefault(step, []).append(Line(**record))
        except (KeyError, TypeError, AttributeError):
            raise CheckpointError(f"{folder / FLOW} holds a line that does not describe gradients") from None
    return found
