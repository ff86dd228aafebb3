"""Files of a run: tensors, JSON, logs. Every file is replaced in one step; reading one runs no code.

A model here is a :class:`tinygrad_edu.nn.Module`; which files a run has, and which settings, its package says.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import random
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from ..errors import StateDictError, brief
from ..files import atomically, write_atomically
from ..gradient_stats import GradientStats
from ..nested import shape, values_in
from ..nn import Module, Numbers
from . import reading
from .errors import CheckpointError, shown
from .reading import TensorFile

__all__ = [
    "BEST",
    "CONFIG",
    "FLOW",
    "LARGEST_FLOAT32",
    "LOG",
    "MODEL",
    "TRAINING",
    "NoDraws",
    "TrainingState",
    "as_metadata",
    "check_shapes",
    "exists",
    "float32",
    "flow_lines",
    "keep_model",
    "load_parameters",
    "load_tensors",
    "load_training_state",
    "log_line",
    "metadata_of",
    "numbers_of",
    "read_flow",
    "read_json",
    "read_log",
    "rewrite_log",
    "runs_in",
    "runs_near",
    "save_model",
    "save_tensors",
    "save_training_state",
    "saved_step",
    "step_of",
    "write_float32",
    "write_json",
]

LARGEST_FLOAT32 = (2.0 - 2.0**-23) * 2.0**127  # what the compiled engines compute in
CONFIG, MODEL, BEST, TRAINING, LOG, FLOW = (
    "config.json", "model.safetensors", "best.safetensors", "training.safetensors", "log.jsonl", "flow.jsonl",
)  # fmt: skip


@brief
@dataclass(frozen=True)
class TrainingState:
    """The state of a run after ``step`` steps: all numbers by name, flat."""

    step: int
    parameters: dict[str, Numbers]
    optimizer: dict[str, Any]


# --- tensors as bytes -------------------------------------------------------------------------------------------------

_METADATA = "tinygrad_edu"


def save_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, int]) -> None:
    """Write arrays, or nested lists of floats, as a safetensors file of 64-bit floats: nothing is rounded."""
    arrays = {name: np.asarray(numbers, dtype=np.float64) for name, numbers in tensors.items()}
    write_atomically(path, save(arrays, metadata=as_metadata(metadata)))


def as_metadata(numbers: Mapping[str, int]) -> dict[str, str]:
    """Return numbers as the metadata that :func:`metadata_of` reads."""
    return {_METADATA: json.dumps(numbers)}  # one entry only: safetensors writes several in any order


def write_float32(
    path: Path,
    tables: Mapping[str, tuple[int, ...]],
    numbers: Callable[[str], Any],
    metadata: Mapping[str, str],
) -> None:
    """Write a safetensors file of 32-bit floats, one table after the other, so that any model fits into memory.

    Args:
        path: the file.
        tables: the shapes by name.
        numbers: returns the array of a name.
        metadata: strings by name.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, sizes in tables.items():
        begin, end = end, end + 4 * math.prod(sizes)
        header[name] = {"dtype": "F32", "shape": sizes, "data_offsets": [begin, end]}
    words = json.dumps(header).encode()
    words += b" " * (-len(words) % 8)  # so that every number begins at a multiple of its size
    with atomically(path) as file:
        file.write(len(words).to_bytes(8, "little") + words)
        for name, sizes in tables.items():
            file.write(float32(name, numbers(name)).reshape(sizes).data)


def float32(name: str, numbers: Any) -> Any:
    """Return an array in 32-bit floats; CheckpointError names a number that is not finite, or would not be."""
    with np.errstate(over="ignore"):
        rounded = np.ascontiguousarray(numbers, "<f4")
    if not np.isfinite(rounded).all():
        where = np.unravel_index(int(np.isfinite(rounded).argmin()), rounded.shape)
        what = "larger than 32-bit floats are" if math.isfinite(numbers[where]) else "not finite"
        raise CheckpointError(f"{name}{''.join(f'[{i}]' for i in where)} is {what}, and such numbers are not written")
    return rounded


def load_tensors(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Read the nested lists and the metadata of a safetensors file; raises CheckpointError if it is missing or
    damaged."""
    with reading.open_tensors(path) as file:
        return _lists(file), metadata_of(file)


def _lists(file: TensorFile) -> dict[str, Any]:
    return {name: array.tolist() for name, array in file.arrays().items()}


def metadata_of(file: TensorFile) -> dict[str, int]:
    """Return the numbers that :func:`save_tensors` wrote beside the tensors, such as the step."""
    source = f"{file.path}: its metadata"
    return reading.checked(reading.parsed(file.metadata.get(_METADATA, "{}"), source), {}, source, reading.whole())


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON, replaced in one step."""
    words = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    # The path of a text may hold undecodable bytes; Python's escape for them is valid JSON.
    write_atomically(path, words.encode("utf-8", "backslashreplace"))


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; raises CheckpointError if it is missing or damaged."""
    missing = (
        f"{path.parent} holds no checkpoint: there is no {path.name}; expected a folder that train has written"
        f"{runs_near(path.parent)}"
    )
    return reading.parsed(reading.content_of(path, missing, reading.LARGEST_JSON), path)


def runs_near(folder: Path = Path()) -> str:
    """Name up to four runs in a folder that holds none itself, else beside it, and in ``runs``; the newest first."""
    found = runs_in(folder, *([] if folder.is_dir() else [folder.parent]), Path("runs"))
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    return f"; there are {', '.join(map(str, found[:4]))}{more}" if found else ""


def runs_in(*places: Path) -> list[Path]:
    """Return the folders of the runs that are directly in some places, the newest first."""
    with contextlib.suppress(OSError):
        configs = {child for place in places for child in place.glob(f"*/{CONFIG}")}
        return [path.parent for path in sorted(configs, key=lambda path: (-path.stat().st_mtime, path))]
    return []


def exists(folder: Path) -> bool:
    """Return whether a run has been started in the folder."""
    return (folder / CONFIG).exists()


# --- parameters -----------------------------------------------------------------------------------------------------


def save_model(
    folder: Path, model: Module, step: int, name: str = MODEL, numbers: Mapping[str, Any] | None = None
) -> None:
    """Write model.safetensors, or another ``name``.

    ``numbers`` are those of the model, if the caller already has them.
    """
    save_tensors(folder / name, numbers or numbers_of(model), {"step": step})


def keep_model(folder: Path, name: str) -> None:
    """Keep a copy of model.safetensors under another name."""
    write_atomically(folder / name, (folder / MODEL).read_bytes())


def numbers_of(model: Module) -> dict[str, Any]:
    """Return the parameters by name as arrays, without duplicates: a tied head appears once."""
    return {
        name: np.array([value.data for value in values_in(parameter)]).reshape(shape(parameter))
        for name, parameter in model.named_parameters()
    }


def _with_second_names(model: Module, state: Mapping[str, Any]) -> dict[str, Any]:
    first: dict[int, str] = {}  # the name of each parameter, by identity
    second = {
        name: known
        for name, parameter in [*model._all_parameters()]
        if (known := first.setdefault(id(parameter), name)) != name and known in state
    }
    return {**state, **{name: state[known] for name, known in second.items()}}


def check_shapes(
    expected: Iterable[tuple[str, tuple[int, ...]]], shapes: Mapping[str, tuple[int, ...]], source: Path
) -> None:
    """Raise CheckpointError if tensors do not have the expected names and shapes: before a model is made for them.

    A file that claims to be of a large model must itself be large.
    """
    known = set()
    for name, sizes in expected:
        if name not in shapes:
            raise CheckpointError(f"{source} is of another model: missing: {name}, expected of shape {sizes}")
        if shapes[name] != sizes:
            raise CheckpointError(f"{source} is of another model: {name}: expected shape {sizes}, got {shapes[name]}")
        known.add(name)
    unknown = [shown(name) for name in shapes if name not in known]
    if unknown:
        raise CheckpointError(f"{source} is of another model: unknown: {', '.join(unknown[:3])}")


def load_parameters(model: Module, state: Mapping[str, Any], source: Path, engine: str = "scalar") -> None:
    """Load saved parameters into a model; CheckpointError names what does not fit, or is too large for the engine."""
    try:
        model.load_state_dict(_with_second_names(model, state))
    except StateDictError as error:
        raise CheckpointError(f"{source} is of another model: {error}") from None
    largest = sys.float_info.max if engine == "scalar" else LARGEST_FLOAT32
    if not all((np.abs(np.asarray(table, float)) <= largest).all() for table in state.values()):  # not a million names
        broken, number = next((name, p.data) for name, p in model.named_scalars() if not abs(p.data) <= largest)
        what = "larger than 32-bit floats are" if math.isfinite(number) else "not finite"
        raise CheckpointError(f"{source} holds a number that is {what}: {broken}")


class NoDraws(random.Random):
    """Draws nothing: for a model whose numbers are read from a file next, and would be thrown away."""

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        """Return the mean."""
        return mu


def saved_step(path: Path) -> int | None:
    """Return the step of a file of parameters; None if there is no such file, or it is damaged."""
    try:
        with reading.open_tensors(path) as file:
            return step_of(metadata_of(file), path)
    except CheckpointError:
        return None


def step_of(metadata: Mapping[str, int], source: Path) -> int:
    """Return the step in the metadata of a file of parameters."""
    try:
        return metadata["step"]
    except KeyError:
        raise CheckpointError(f"{source} does not say at which step it was saved") from None


def save_training_state(
    folder: Path, model: Module, optimizer: Mapping[str, Any], step: int, numbers: Mapping[str, Any] | None = None
) -> None:
    """Write training.safetensors: parameters as ``model.*``, AdamW's running means as ``optimizer.*``.

    ``numbers`` are those of the model, if the caller already has them.
    """
    tensors = {f"model.{name}": table for name, table in (numbers or numbers_of(model)).items()}
    tensors |= {f"optimizer.{name}": table for name, table in optimizer.items() if name != "steps"}
    save_tensors(folder / TRAINING, tensors, {"step": step, "optimizer.steps": optimizer["steps"]})


def load_training_state(
    folder: Path, check: Callable[[Mapping[str, tuple[int, ...]], Path], None] | None = None
) -> TrainingState:
    """Load the state a resumed run starts from; ``check`` raises CheckpointError for shapes of another model."""
    path = folder / TRAINING
    with reading.open_tensors(path) as file:
        for name in file.shapes:
            if not name.startswith(("model.", "optimizer.")):
                raise CheckpointError(f"{path} is not the state of a training run: it holds {shown(name)}")
        if check is not None:
            check({n.removeprefix("model."): s for n, s in file.shapes.items() if n.startswith("model.")}, path)
        arrays, metadata = file.arrays(), metadata_of(file)
    parts: dict[str, dict[str, Any]] = {"model": {}, "optimizer": {}}
    for name, array in arrays.items():
        part, _, rest = name.partition(".")
        if part == "optimizer" and not _possible(rest, array):
            raise CheckpointError(f"{path} holds a number that cannot be: in {shown(name)}")
        parts[part][rest] = array.tolist()
    step = step_of(metadata, path)
    if "optimizer.steps" not in metadata:
        raise CheckpointError(f"{path} does not hold the optimizer's step count")
    parts["optimizer"]["steps"] = metadata["optimizer.steps"]
    return TrainingState(step, parts["model"], parts["optimizer"])


def _possible(name: str, array: Any) -> bool:
    """Return whether AdamW can have such means: finite, and those of squares not below 0."""
    return bool(((array >= 0.0 if name == "v" else array > -math.inf) & (array < math.inf)).all())


# --- the log ----------------------------------------------------------------------------------------------------------

_LONGEST_LINE = 1 << 20  # bytes; ours have some hundreds, but a file with a hole is endless zeros
_LOG_LINE: reading.Schema = {
    "step": reading.whole(),
    "train_loss": reading.optional(reading.NUMBER),
    "val_loss": reading.optional(reading.MEASURED),
    "watched_loss": dataclasses.replace(reading.MEASURED, needed=False),
}
_FLOW_LINE: reading.Schema = {
    "step": reading.whole(),
    "name": reading.WORDS,
    "count": reading.whole(),
    "mean": reading.MEASURED,
    "largest": reading.MEASURED,
    "zeros": reading.NUMBER,
    "not_finite": reading.whole(),
    "update": reading.optional(reading.MEASURED),
}


_LINE = tuple(field.name for field in dataclasses.fields(GradientStats))


def read_log(folder: Path, name: str = LOG) -> list[dict[str, Any]]:
    """Yield the lines of log.jsonl, or of flow.jsonl; a last line cut short by a crash is left out."""
    path, schema = folder / name, _FLOW_LINE if name == FLOW else _LOG_LINE
    records: list[dict[str, Any]] = []
    cut: CheckpointError | None = None
    try:
        with reading.opened(path, "") as file:
            for number, line in enumerate(iter(partial(file.readline, _LONGEST_LINE), b""), 1):
                if cut is not None:
                    raise cut
                source = f"{path}, line {number}"
                if len(line) == _LONGEST_LINE:
                    raise CheckpointError(f"{source} is damaged: it is longer than {_LONGEST_LINE:,} bytes")
                try:
                    found = reading.parsed(line, source)
                except CheckpointError as error:
                    cut = error  # unless more follows, it is the last one
                    continue
                record = reading.checked(found, schema, source, reading.optional(reading.NUMBER))
                if schema is _LOG_LINE:
                    record.setdefault("train_loss", None)
                records.append(record)
    except reading.MissingError:
        pass
    return records


def rewrite_log(folder: Path, records: Iterable[Mapping[str, Any]], name: str = LOG) -> None:
    """Replace log.jsonl, or flow.jsonl, by these lines."""
    write_atomically(folder / name, "".join(log_line(record) for record in records))


def log_line(record: Mapping[str, Any]) -> str:
    """Write one line of the log."""
    return json.dumps(record) + "\n"


def flow_lines(step: int, measured: Iterable[GradientStats]) -> str:
    """Write the lines of flow.jsonl about one step; pandas reads them as a table."""
    return "".join(log_line({"step": step, **dataclasses.asdict(line)}) for line in measured)


def read_flow(folder: Path) -> dict[int, list[GradientStats]]:
    """Return the gradient statistics by step; empty for a run that has measured nothing."""
    found: dict[int, list[GradientStats]] = {}
    for record in read_log(folder, FLOW):
        line = GradientStats(**{name: record[name] for name in _LINE if name in record})
        found.setdefault(record["step"], []).append(line)
    return found
