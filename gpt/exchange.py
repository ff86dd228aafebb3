"""The way out and in: a model as a file that nanoGPT's users, PyTorch and safetensors understand.

nanoGPT (github.com/karpathy/nanoGPT) names its parameters as GPT-2 does, and so do we: a matrix is of shape
(outputs, inputs), and ``c_attn`` holds queries, keys and values one below the other. So the tensors go out as they are.
What differs is written beside them::

    {
      "model":        the tensors by name, 32-bit floats
      "model_args":   nanoGPT's own seven fields; and what nanoGPT has no word for, where it differs from nanoGPT
      "iter_num":     the step
      "config":       {"dataset": …}, where nanoGPT looks for the name of its folder with the alphabet
      "tinygrad_edu": the alphabet, the text, how it was trained
    }

A model that is nanoGPT's has exactly its ``model_args``, and nanoGPT's own code runs it. Another one has a field more
(``positions``, ``norm``, …), at which nanoGPT stops instead of computing something else. In a safetensors file, which
holds tensors only, everything but the tensors is JSON in its metadata.

Nothing that is read here can run code: .pt files are read as numbers and words only, and so is a ``meta.pkl``.
"""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import checkpoint
from .checkpoint import RunConfig
from .config import GPTConfig, TrainConfig
from .errors import CheckpointError, ConfigError, DataError
from .files import write_atomically
from .model import GPT
from .text import parse_normalizations
from .tokenizer import CharTokenizer

SUFFIXES = (".pt", ".safetensors")
OWN = "tinygrad_edu"  # the entry of what nanoGPT does not keep in a checkpoint
NANOGPT_FIELDS = ("n_layer", "n_head", "n_embd", "block_size", "bias", "vocab_size", "dropout")
#: What every model of nanoGPT is, and ours may not be.
NANOGPT_IS: dict[str, Any] = {
    "positions": "learned", "norm": "layernorm", "norm_weight": True, "activation": "gelu", "tied_head": True,
}  # fmt: skip
#: The same text under two names.
NANOGPT_DATASETS = {"shakespeare_char": "tinyshakespeare"}
#: nanoGPT's words for settings of a training.
_TRAINING = {
    "learning_rate": "lr", "min_lr": "min_lr", "warmup_iters": "warmup_steps", "max_iters": "steps",
    "batch_size": "batch_size", "weight_decay": "weight_decay", "beta1": "beta1", "beta2": "beta2",
    "grad_clip": "grad_clip",
}  # fmt: skip
_OF_THE_MACHINE = ("engine", "device", "threads")  # where it is read next, there may be no GPU
MISSING_TORCH = "needs PyTorch, which is not installed: pip install 'tinygrad_edu[torch]'"


@dataclass(frozen=True)
class Imported:
    """What a file holds, as far as it says so.

    Attributes:
        tensors: nested lists of floats by name.
        model_args: of the model, in the words of :class:`gpt.config.GPTConfig`; empty in a bare ``state_dict``.
        step: after how many steps it was saved.
        alphabet: its characters in the order of their tokens; None when the file does not hold them.
        dataset, text_sha256: of the text it learned from; None when unknown.
        normalize: what was done to that text (see ``text.py``).
        train: settings of its training, in the words of :class:`gpt.config.TrainConfig`.
    """

    tensors: dict[str, Any]
    model_args: dict[str, Any]
    step: int = 0
    alphabet: str | None = None
    dataset: str | None = None
    text_sha256: str | None = None
    normalize: tuple[str, ...] = ()
    train: dict[str, Any] = dataclasses.field(default_factory=dict)


# --- out ----------------------------------------------------------------------------------------------------------


def model_args(config: GPTConfig) -> dict[str, Any]:
    """The shape of a model in nanoGPT's words, and in ours where it has none.

    >>> from gpt.config import preset
    >>> set(model_args(GPTConfig(**preset("nano").model))) == set(NANOGPT_FIELDS)
    True
    >>> model_args(GPTConfig(positions="rotary"))["positions"]
    'rotary'
    """
    fields = {name: getattr(config, name) for name in NANOGPT_FIELDS}
    more = {name: getattr(config, name) for name, theirs in NANOGPT_IS.items() if getattr(config, name) != theirs}
    return {**fields, **more}


def export(path: Path, model: GPT, config: RunConfig, tokenizer: CharTokenizer, step: int) -> None:
    """Write a model as ``.pt`` (needs PyTorch) or ``.safetensors``; the numbers are rounded to 32-bit floats.

    Raises ConfigError for another ending, and, for ``.pt``, when PyTorch is not installed.
    """
    _check_suffix(path)
    import numpy as np

    theirs = {ours: name for name, ours in NANOGPT_DATASETS.items()}
    tensors = {name: np.array(numbers, dtype=np.float32) for name, numbers in model.state_dict().items()}
    about: dict[str, Any] = {
        "model_args": model_args(config.model),
        "iter_num": step,
        "config": {"dataset": theirs.get(config.dataset, config.dataset)} if config.dataset else {},
        OWN: {
            "alphabet": tokenizer.alphabet,
            "dataset": config.dataset,
            "text_sha256": config.text_sha256,
            "normalize": list(config.normalize),
            "train": {k: v for k, v in dataclasses.asdict(config.train).items() if k not in _OF_THE_MACHINE},
        },
    }
    if path.suffix == ".safetensors":
        from safetensors.numpy import save

        write_atomically(path, save(tensors, metadata={OWN: json.dumps(about, ensure_ascii=False)}))
        return
    torch = _torch(f"writing {path.name}")
    buffer = io.BytesIO()
    torch.save({"model": {name: torch.from_numpy(array) for name, array in tensors.items()}, **about}, buffer)
    write_atomically(path, buffer.getvalue())


def write_meta(path: Path, tokenizer: CharTokenizer) -> None:
    """Write the alphabet as the ``meta.pkl`` that nanoGPT's ``sample.py`` reads."""
    characters = dict(enumerate(tokenizer.alphabet))
    meta = {"vocab_size": len(characters), "itos": characters, "stoi": {c: i for i, c in characters.items()}}
    write_atomically(path, pickle.dumps(meta, protocol=4))


# --- in -----------------------------------------------------------------------------------------------------------


def read(path: Path) -> Imported:
    """What a ``.pt`` or ``.safetensors`` file holds: of ours, of nanoGPT, or a bare ``state_dict``.

    Raises CheckpointError for a file that is missing, damaged or something else, ConfigError for another ending.
    """
    _check_suffix(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {path}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    tensors, about = (_read_safetensors if path.suffix == ".safetensors" else _read_torch)(path, content)
    try:
        return _imported(tensors, about)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} does not describe a GPT as nanoGPT does: {error}") from None


def _read_safetensors(path: Path, content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = json.loads(header.get("__metadata__", {}).get(OWN, "{}"))
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file ({error})") from None
    return tensors, about


def _read_torch(path: Path, content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    torch = _torch(f"reading {path.name}")
    try:
        # weights_only: a .pt file is a pickle, and a pickle from somebody else could run any code.
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{path} is damaged, or holds more than numbers and words, which is not read because it could run code "
            f"({reason})"
        ) from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds a {type(found).__name__}; expected a checkpoint or a state_dict")
    bare = "model" not in found
    state, about = (found, {}) if bare else (found["model"], {k: v for k, v in found.items() if k != "model"})
    if not isinstance(state, Mapping) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise CheckpointError(f"{path} holds no state_dict: expected tensors by name")
    return {name: tensor.detach().double().numpy() for name, tensor in state.items()}, about


def _imported(arrays: Mapping[str, Any], about: Mapping[str, Any]) -> Imported:
    state = {}
    for name, array in arrays.items():
        name = name.removeprefix("_orig_mod.")  # what torch.compile puts before every name
        if not name.endswith((".attn.bias", ".attn.masked_bias")):  # older models keep their causal mask there
            state[name] = array
    config, own = dict(about.get("config", {})), dict(about.get(OWN, {}))
    args = {**(NANOGPT_IS if about.get("model_args") else {}), **about.get("model_args", {})}
    tied = "lm_head.weight" not in state or (
        state["lm_head.weight"].shape == state["transformer.wte.weight"].shape
        and bool((state["lm_head.weight"] == state["transformer.wte.weight"]).all())
    )
    if not tied:
        args["tied_head"] = False  # whatever it says: two tables are two tables
    args = {**_shape_of(state, tied), **args}
    train = {ours: config[theirs] for theirs, ours in _TRAINING.items() if theirs in config}
    return Imported(
        {name: array.tolist() for name, array in state.items() if name != "lm_head.weight" or not args["tied_head"]},
        args,
        int(about.get("iter_num", 0)),
        own.get("alphabet"),
        own.get("dataset", NANOGPT_DATASETS.get(str(config.get("dataset")))),
        own.get("text_sha256"),
        parse_normalizations(",".join(own.get("normalize", [])) or "none"),
        own.get("train", train),
    )


def _shape_of(state: Mapping[str, Any], tied: bool) -> dict[str, Any]:
    """What the tensors alone tell about a model: all but the heads, the activation, and the kind of the norms."""
    if "transformer.wte.weight" not in state:
        names = ", ".join(list(state)[:3]) or "nothing"
        raise ValueError(f"it has no transformer.wte.weight; it holds {names} …")
    vocab_size, n_embd = state["transformer.wte.weight"].shape
    learned = "transformer.wpe.weight" in state
    layers = {name.split(".")[2] for name in state if name.startswith("transformer.h.")}
    return {
        "vocab_size": vocab_size,
        "n_embd": n_embd,
        "n_layer": len(layers),
        "bias": "transformer.h.0.attn.c_attn.bias" in state,
        "norm_weight": "transformer.ln_f.weight" in state,
        "positions": "learned" if learned else "rotary",
        "tied_head": tied,
        **({"block_size": state["transformer.wpe.weight"].shape[0]} if learned else {}),
    }


def read_vocabulary(path: Path) -> CharTokenizer:
    """The alphabet in nanoGPT's ``meta.pkl`` or in our ``tokenizer.json``; CheckpointError for anything else."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    try:
        if path.suffix == ".json":
            return CharTokenizer(json.loads(content)["alphabet"])
        characters = _WordsOnly(io.BytesIO(content)).load()["itos"]
        return CharTokenizer("".join(characters[token] for token in range(len(characters))))
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, DataError) as error:
        raise CheckpointError(
            f"{path} holds no alphabet ({error}); expected nanoGPT's meta.pkl for characters, or a tokenizer.json"
        ) from None


class _WordsOnly(pickle.Unpickler):
    """Reads dictionaries, lists, numbers and words; whatever would call code is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which could run code")


def run_config(
    imported: Imported, given: Mapping[str, Any], text: tuple[str | None, str | None, str, tuple[str, ...]]
) -> RunConfig:
    """The settings of a run that goes on from an imported model.

    Args:
        imported: what the file says.
        given: what a person says about the model; it counts where the file is silent, and must agree where it is not.
        text: data set, path, SHA-256 and normalisations of the text that the run goes on with.

    Raises ConfigError for what is missing or contradicts.
    """
    args = dict(imported.model_args)
    for name, value in given.items():
        if args.setdefault(name, value) != value:
            raise ConfigError(f"{name} is {args[name]!r} in the file, got {value!r}; leave it out")
    for name, why in (
        ("n_head", "no tensor tells the number of heads"),
        ("block_size", "without learned positions no tensor tells the context"),
    ):
        if name not in args:
            raise ConfigError(f"the file does not say {name}, and {why}: give --{name.replace('_', '-')} N")
    known = {field.name for field in dataclasses.fields(GPTConfig)}
    unknown = sorted(set(args) - known)
    if unknown:
        raise ConfigError(f"the model has settings that are unknown here: {', '.join(unknown)}")
    model = GPTConfig(**{**{name: NANOGPT_IS[name] for name in ("norm", "activation")}, **args})
    train = {name: value for name, value in imported.train.items() if name in _train_fields()}
    train["steps"] = max(int(train.get("steps", 0)), imported.step, 1)
    return RunConfig(model, TrainConfig(**train), *text)


def _train_fields() -> set[str]:
    return {field.name for field in dataclasses.fields(TrainConfig)}


def write_run(folder: Path, config: RunConfig, imported: Imported, tokenizer: CharTokenizer, source: Path) -> GPT:
    """Make a run of an imported model: it can be sampled from, measured, drawn, and trained further.

    AdamW starts anew: its running means are not in such files. Raises CheckpointError when the tensors do not fit.
    """
    from tinygrad_edu.optim import AdamW

    model = GPT(config.model)
    checkpoint.load_parameters(model, imported.tensors, source)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.rewrite_log(folder, [])
    checkpoint.rewrite_log(folder, [], checkpoint.FLOW)
    checkpoint.save_training_state(folder, model, AdamW(model.parameters()).state_dict(), imported.step)
    checkpoint.save_model(folder, model, imported.step)
    checkpoint.save_config(folder, config, tokenizer)  # last: from here on the folder holds a run
    return model


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path} must end in {' or '.join(SUFFIXES)}: that is what says which format it is")


def _torch(what: str) -> Any:
    try:
        import torch
    except ImportError:
        raise ConfigError(f"{what} {MISSING_TORCH}; or use .safetensors, which needs nothing more") from None
    return torch
