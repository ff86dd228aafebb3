"""Convert models to and from the files of nanoGPT, Hugging Face, PyTorch and safetensors.

nanoGPT (github.com/karpathy/nanoGPT) names its parameters as GPT-2 does, and so do we: a matrix is of shape
(outputs, inputs), and ``c_attn`` holds queries, keys and values one below the other. So the tensors go out as they are.
Differences are noted next to them::

    {
      "model":        the tensors by name, 32-bit floats
      "model_args":   nanoGPT's own seven fields; and settings that nanoGPT lacks, if they differ from nanoGPT
      "iter_num":     the step
      "config":       {"dataset": …}, where nanoGPT looks for the name of its folder with the alphabet
      "optimizer":    AdamW's state and
      "best_val_loss": the lowest validation loss, from which nanoGPT's train.py continues (.pt only)
      "tinygrad_edu": the alphabet, the text, how it was trained
    }

A model that is nanoGPT's has exactly its ``model_args``, and nanoGPT's own code runs it. Any other has an additional
field (``positions``, ``norm``, …), at which nanoGPT stops instead of computing something else. In a safetensors file,
which holds tensors only, everything but the tensors is JSON in its metadata.

Hugging Face's GPT-2 has the same names, but transposed matrices, (inputs, outputs), and biases everywhere. It can be
imported too, with its byte pairs and without a text, and exported as a folder that ``GPT2LMHeadModel.from_pretrained``
reads.

Reading these files never runs code from them: .pt files are read as numbers and words only, and so is a ``meta.pkl``.
"""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import pickletools
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_edu import console
from tinygrad_edu.errors import brief
from tinygrad_edu.files import write_atomically
from tinygrad_edu.optim import AdamW
from tinygrad_edu.training import reading

from ..byte_pairs import BytePairTokenizer
from ..config import LARGEST, GPTConfig, TrainConfig
from ..data.text import parse_normalizations
from ..errors import CheckpointError, ConfigError, DataError, named, shown
from ..model import parameter_count, parameter_shapes
from ..tokenizer import CharTokenizer
from . import byte_pair_files, checkpoint
from .checkpoint import RunConfig, Tokenizer

__all__ = [
    "NANOGPT_DATASETS",
    "NANOGPT_FIELDS",
    "NANOGPT_IS",
    "OWN",
    "SAFE_TORCH",
    "SUFFIXES",
    "Imported",
    "export",
    "export_hugging_face",
    "model_args",
    "read",
    "read_vocabulary",
    "run_config",
    "write_meta",
    "write_run",
]

SUFFIXES = (".pt", ".safetensors")
OWN = "tinygrad_edu"  # the entry for what nanoGPT does not keep in a checkpoint
NANOGPT_FIELDS = ("n_layer", "n_head", "n_embd", "block_size", "bias", "vocab_size", "dropout")
#: What is true for every model of nanoGPT, but not for every one of ours.
NANOGPT_IS: dict[str, Any] = {
    "positions": "learned", "norm": "layernorm", "norm_weight": True, "mlp_ratio": 4, "activation": "gelu",
    "tied_head": True,
}  # fmt: skip
#: The same text under two names.
NANOGPT_DATASETS = {"shakespeare_char": "tinyshakespeare"}
#: nanoGPT's names for training settings.
_TRAINING = {
    "learning_rate": "lr", "min_lr": "min_lr", "warmup_iters": "warmup_steps", "max_iters": "steps",
    "batch_size": "batch_size", "weight_decay": "weight_decay", "beta1": "beta1", "beta2": "beta2",
    "grad_clip": "grad_clip",
}  # fmt: skip
_OF_THE_MACHINE = ("engine", "device", "threads")  # the next reader may have no GPU
#: The matrices of Hugging Face's GPT-2 that are (inputs, outputs).
_CONV1D = (".attn.c_attn.weight", ".attn.c_proj.weight", ".mlp.c_fc.weight", ".mlp.c_proj.weight")
#: Its names for activations.
_FROM_HUGGING_FACE = {
    "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu", "silu": "silu",
    "tanh": "tanh", "relu2": "relu2",
}  # fmt: skip
_UNKNOWN = (
    "It is in Hugging Face's layout, without the config.json that tells its activation: it is read with gelu; "
    "--activation gelu_tanh is GPT-2's"
)
#: What torch.compile and DistributedDataParallel put before every name.
_PREFIXES = ("_orig_mod.", "module.", "_orig_mod.")
_LONGEST_REASON = 300  # characters of a sentence that may quote a name from a file
SAFE_TORCH = (2, 10)  # before it, a .pt file could run code or damage memory


@brief
@dataclass(frozen=True)
class Imported:
    """What a file holds, as far as it is known.

    Attributes:
        tensors: arrays by name.
        model_args: the settings of the model, as fields of :class:`gpt.config.GPTConfig`; empty in a bare
            ``state_dict``.
        step: the step at which it was saved.
        alphabet: its characters in the order of their tokens; None if the file does not hold them.
        dataset, text_sha256: the name and the SHA-256 of its training text; None if unknown.
        normalize: the normalizations of that text (see ``text.py``).
        documents: whether its lines are documents (see ``documents.py``).
        train: the settings of its training, as fields of :class:`gpt.config.TrainConfig`.
        note: a sentence about an activation that no file tells; or nothing.
        byte_pairs: its tokenizer, if it reads byte pairs.
    """

    tensors: dict[str, Any]
    model_args: dict[str, Any]
    step: int = 0
    alphabet: str | None = None
    dataset: str | None = None
    text_sha256: str | None = None
    normalize: tuple[str, ...] = ()
    documents: bool = False
    train: dict[str, Any] = dataclasses.field(default_factory=dict)
    note: str = ""
    byte_pairs: BytePairTokenizer | None = None


# --- out ----------------------------------------------------------------------------------------------------------


def model_args(config: GPTConfig) -> dict[str, Any]:
    """Describe the shape of a model in nanoGPT's fields, and in ours if it has none.

    >>> from gpt.config import preset
    >>> set(model_args(GPTConfig(**preset("nano").model))) == set(NANOGPT_FIELDS)
    True
    >>> model_args(GPTConfig(positions="rotary"))["positions"]
    'rotary'
    """
    fields = {name: getattr(config, name) for name in NANOGPT_FIELDS}
    more = {name: getattr(config, name) for name, theirs in NANOGPT_IS.items() if getattr(config, name) != theirs}
    return {**fields, **more}


def export(
    path: Path,
    tables: Mapping[str, Any],
    config: RunConfig,
    tokenizer: CharTokenizer,
    step: int,
    *,
    dataset: str | None = None,
    optimizer: Mapping[str, Any] | None = None,
    best_val_loss: float | None = None,
) -> str:
    """Write a model as ``.pt`` (needs PyTorch) or ``.safetensors``; the numbers are rounded to 32-bit floats.

    Args:
        path: the file.
        tables: the parameters by name, as arrays.
        config, tokenizer, step: of the run.
        dataset: the name of nanoGPT's folder with the text and its meta.pkl; that of the text if not given.
        optimizer: AdamW's state (see :func:`gpt.runs.checkpoint.load_training_state`), for ``.pt``; zero by default.
        best_val_loss: the lowest validation loss so far, for ``.pt``.

    Returns the name of nanoGPT's folder. Raises ConfigError for another extension, and, for ``.pt``, if PyTorch is not
    installed.
    """
    _check_suffix(path)
    theirs = {ours: name for name, ours in NANOGPT_DATASETS.items()}
    dataset = dataset or theirs.get(config.dataset or "", config.dataset) or Path(str(config.data)).stem
    tensors = dict(tables)
    if config.model.tied_head:
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"]  # nanoGPT has it under both names
    about: dict[str, Any] = {
        "model_args": model_args(config.model),
        "iter_num": step,
        "config": {"dataset": dataset},
        OWN: _own(config, tokenizer),
    }
    if path.suffix == ".safetensors":
        shapes = {name: array.shape for name, array in tensors.items()}
        checkpoint.write_float32(path, shapes, tensors.__getitem__, {OWN: json.dumps(about, ensure_ascii=False)})
        return dataset
    torch = _torch(f"writing {path.name}")
    tensors = {name: torch.tensor(checkpoint.float32(name, array)) for name, array in tensors.items()}
    if set(about["model_args"]) == set(NANOGPT_FIELDS):  # otherwise nanoGPT's train.py must stop, and it reads these
        about["best_val_loss"] = 1e9 if best_val_loss is None else best_val_loss  # nanoGPT begins with 1e9
        about["optimizer"] = _adamw(torch, {name: tensors[name] for name in tables}, config.train, optimizer)
    buffer = io.BytesIO()
    torch.save({"model": tensors, **about}, buffer)
    write_atomically(path, buffer.getvalue())
    return dataset


def _own(config: RunConfig, tokenizer: CharTokenizer) -> dict[str, Any]:
    """Settings that other programs have no word for."""
    return {
        "alphabet": tokenizer.alphabet,
        "dataset": config.dataset,
        "text_sha256": config.text_sha256,
        "normalize": list(config.normalize),
        **({"documents": checkpoint.LINES} if config.documents else {}),
        "train": {k: v for k, v in dataclasses.asdict(config.train).items() if k not in _OF_THE_MACHINE},
    }


def _adamw(torch: Any, tensors: Mapping[str, Any], config: TrainConfig, state: Mapping[str, Any] | None) -> Any:
    """Make the state of PyTorch's AdamW with nanoGPT's two groups: tables that decay, and vectors that do not."""
    groups = [
        {"params": [p for p in tensors.values() if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in tensors.values() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), eps=config.eps)
    if state is not None and state["steps"]:
        at = 0
        for p in tensors.values():  # our means are flat lists in the order of the parameters
            means = [torch.tensor(state[key][at : at + p.numel()]).reshape(p.shape) for key in ("m", "v")]
            optimizer.state[p] = {
                "step": torch.tensor(float(state["steps"])), "exp_avg": means[0], "exp_avg_sq": means[1],
            }  # fmt: skip
            at += p.numel()
    return optimizer.state_dict()


def export_hugging_face(
    folder: Path, tables: Mapping[str, Any], config: RunConfig, tokenizer: Tokenizer, step: int
) -> None:
    """Write a folder that ``GPT2LMHeadModel.from_pretrained`` reads: config.json, model.safetensors, and byte pairs.

    ``tables`` are the parameters by name, as arrays. Raises ConfigError for a model that GPT-2 cannot be.
    """
    shape = config.model
    odd = [f"{name} {getattr(shape, name)}" for name, theirs in (("positions", "learned"), ("norm", "layernorm"))
           if getattr(shape, name) != theirs]  # fmt: skip
    if odd or shape.activation not in _FROM_HUGGING_FACE.values():
        raise ConfigError(
            f"Hugging Face's GPT-2 cannot be this model: it has no {', '.join(odd) or shape.activation}; "
            f"export it as nanoGPT's .pt or .safetensors instead"
        )
    full = dict(parameter_shapes(dataclasses.replace(shape, bias=True, norm_weight=True)))

    def theirs(name: str) -> Any:
        ours = tables.get(name)
        if ours is None:
            return (np.ones if name.endswith(".weight") else np.zeros)(full[name])
        return ours.T if name.endswith(_CONV1D) else ours

    about = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": shape.vocab_size,
        "n_positions": shape.block_size,
        "n_embd": shape.n_embd,
        "n_layer": shape.n_layer,
        "n_head": shape.n_head,
        "n_inner": None if shape.mlp_ratio == 4 else shape.mlp_ratio * shape.n_embd,
        "activation_function": next(k for k, v in _FROM_HUGGING_FACE.items() if v == shape.activation),
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": shape.tied_head,
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), shape.dropout),
        # A model of characters has no such tokens, and 50256, which GPT-2 has there, would be outside the alphabet.
        **dict.fromkeys(("bos_token_id", "eos_token_id"), getattr(tokenizer, "end", None)),
        OWN: {**(_own(config, tokenizer) if isinstance(tokenizer, CharTokenizer) else {}), "iter_num": step},
    }
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(tokenizer, BytePairTokenizer):
        byte_pair_files.write(folder, tokenizer)
    turned = {name: sizes[::-1] if name.endswith(_CONV1D) else sizes for name, sizes in full.items()}
    checkpoint.write_float32(folder / checkpoint.MODEL, turned, theirs, {"format": "pt"})
    checkpoint.write_json(folder / checkpoint.CONFIG, about)


def write_meta(path: Path, tokenizer: CharTokenizer) -> None:
    """Write the alphabet as the ``meta.pkl`` that nanoGPT's ``sample.py`` reads."""
    characters = dict(enumerate(tokenizer.alphabet))
    meta = {"vocab_size": len(characters), "itos": characters, "stoi": {c: i for i, c in characters.items()}}
    write_atomically(path, pickle.dumps(meta, protocol=4))


# --- in -----------------------------------------------------------------------------------------------------------


_OWN: reading.Schema = {
    "alphabet": reading.optional(reading.WORDS),
    "dataset": reading.optional(reading.WORDS),
    "text_sha256": reading.optional(reading.WORDS),
    "normalize": reading.LIST_OF_WORDS,
    "documents": checkpoint.DOCUMENTS,
    "train": dataclasses.replace(reading.RECORD, needed=False),
    "iter_num": reading.whole(needed=False),
}
_ABOUT: reading.Schema = {
    "model_args": dataclasses.replace(reading.RECORD, needed=False),
    "config": dataclasses.replace(reading.RECORD, needed=False),
    OWN: dataclasses.replace(reading.RECORD, needed=False),
    "iter_num": reading.whole(needed=False),
}


def read(path: Path) -> Imported:
    """Read a ``.pt`` or ``.safetensors`` file: of ours, of nanoGPT, of Hugging Face, or a bare ``state_dict``.

    In a folder, as Hugging Face writes it, config.json and the byte pairs are read too. Raises CheckpointError for a
    file that is missing, damaged or something else, ConfigError for another ending and for a PyTorch that is missing or
    too old.
    """
    if path.is_dir():
        source = path / checkpoint.CONFIG
        missing = f"{path} is a folder without {source.name}; expected a file, or a folder of Hugging Face's GPT-2"
        about = reading.parsed(reading.content_of(source, missing, reading.LARGEST_JSON), source)
        args = _from_hugging_face(reading.checked(about, {}, source), source)
        others = [name for name in ("pytorch_model.bin", "model.safetensors.index.json") if (path / name).exists()]
        if others and not (path / checkpoint.MODEL).exists():
            raise CheckpointError(
                f"{path} has {others[0]}, and pickles, which can run code, and models in several files are not read; "
                f"expected one {checkpoint.MODEL}: save_pretrained writes it"
            )
        tensors, _ = _read_safetensors(path / checkpoint.MODEL)
        imported = _imported(path, tensors, args)
        if imported.alphabet is not None:
            return imported
        return dataclasses.replace(imported, byte_pairs=byte_pair_files.read(path))
    if not path.exists():
        raise CheckpointError(f"there is no file {path}")
    _check_suffix(path)
    return _imported(path, *(_read_safetensors if path.suffix == ".safetensors" else _read_torch)(path))


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with reading.open_tensors(path, f"there is no file {path}") as file:
        source = f"{path}: its metadata"
        about = reading.parsed(file.metadata.get(OWN, "{}"), source)
        return file.arrays(), reading.checked(about, {}, source)


def _read_torch(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    torch = _torch(f"reading {path.name}", SAFE_TORCH)
    with reading.opened(path, f"there is no file {path}") as file:
        try:
            if zipfile.is_zipfile(file) and any(e.compress_type for e in zipfile.ZipFile(file).infolist()):
                raise CheckpointError(f"{path} is damaged: it is compressed, and PyTorch does not write such files")
            file.seek(0)
            # weights_only: a .pt file is a pickle, and an unknown pickle could run any code.
            found = torch.load(file, map_location="cpu", weights_only=True)
        except CheckpointError:
            raise
        except Exception as error:  # whatever a hostile file makes PyTorch, zipfile and pickle raise
            raise CheckpointError(
                f"{path} is damaged, or holds more than numbers and words, which is not read because it could run code "
                f"({_reason(error)})"
            ) from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds a {type(found).__name__}; expected a checkpoint or a state_dict")
    bare = "model" not in found
    state, about = (found, {}) if bare else (found["model"], {k: v for k, v in found.items() if k in _ABOUT})
    if not isinstance(state, Mapping) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise CheckpointError(f"{path} holds no state_dict: expected tensors by name")
    # The last two are of masks.
    floats = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool, torch.uint8)
    for name, tensor in state.items():
        if not reading.WORDS.fits(name):
            raise CheckpointError(f"{path} holds no state_dict: {shown(name)} is no name of a tensor")
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_nested
        plain = plain and tensor.dtype in floats
        # A tensor may claim to be larger than its numbers: each would be repeated many times.
        if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"{path}: {shown(name)} is no tensor of floats, each with its own place")
    plain = {name: tensor.float() if tensor.dtype == torch.bfloat16 else tensor for name, tensor in state.items()}
    return {name: tensor.detach().numpy() for name, tensor in plain.items()}, about


def _reason(error: Exception) -> str:
    """Return the sentence of an error that names the cause: PyTorch advises before it, and after, to read the file
    anyway.

    >>> text = "Failed. Set it to False.\\n\\tWeightsUnpickler error: GLOBAL eval is unknown. Add it."
    >>> _reason(pickle.UnpicklingError(text))
    'GLOBAL eval is unknown'
    >>> _reason(EOFError()), _reason(KeyError("a"))
    ('EOFError', "KeyError: 'a'")
    """
    text = str(error).strip()
    named = re.search(r"WeightsUnpickler error:\s*(.+)|(Trying to load .+)", text)
    line = (named[1] or named[2]) if named else (text.splitlines() or [""])[0]
    sentence = " ".join(re.split(r"\.(?:\s|$)", line)[0].split())
    return sentence[:_LONGEST_REASON] if " " in sentence else f"{type(error).__name__}: {sentence}".rstrip(": ")


def _from_hugging_face(content: Mapping[str, Any], source: Path) -> dict[str, Any]:
    """Translate config.json of Hugging Face's GPT-2 into the fields of a nanoGPT checkpoint."""
    if content.get("model_type") != "gpt2":
        raise CheckpointError(
            f"{source} is not of Hugging Face's GPT-2: model_type is {shown(content.get('model_type'))}"
        )
    activation = content.get("activation_function", "gelu_new")
    if not isinstance(activation, str) or activation not in _FROM_HUGGING_FACE:
        known = ", ".join(_FROM_HUGGING_FACE)
        raise CheckpointError(f"{source}: activation_function must be one of {known}; got {shown(activation)}")
    exactly = {"layer_norm_epsilon": 1e-5, "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False}
    for name, ours in exactly.items():
        if content.get(name, ours) != ours:
            raise CheckpointError(f"{source}: {name} must be {ours}, got {shown(content[name])}")
    inner, width = content.get("n_inner"), content.get("n_embd", 0)
    if inner is not None and not (type(inner) is type(width) is int and inner > 0 < width and inner % width == 0):
        raise CheckpointError(f"{source}: n_inner must be a multiple of n_embd, got {shown(inner)} and {shown(width)}")
    names = {"n_positions": "block_size", "resid_pdrop": "dropout"}
    names |= {name: name for name in ("n_head", "n_layer", "n_embd", "vocab_size")}
    args = {ours: content[theirs] for theirs, ours in names.items() if theirs in content}
    if inner is not None:
        args["mlp_ratio"] = inner // width
    own = content.get(OWN, {})
    step = own.get("iter_num", 0) if isinstance(own, dict) else 0
    return {"model_args": {"activation": _FROM_HUGGING_FACE[activation], **args}, "iter_num": step, OWN: own}


def _imported(path: Path, arrays: Mapping[str, Any], content: Mapping[str, Any]) -> Imported:
    about = reading.checked(content, _ABOUT, path)
    config, own = about.get("config", {}), reading.checked(about.get(OWN, {}), _OWN, f"{path}, {OWN}")
    state, turned = _in_our_words(path, arrays)
    args = {**(NANOGPT_IS if about.get("model_args") else {}), **about.get("model_args", {})}
    tied = "lm_head.weight" not in state or (
        state["lm_head.weight"].shape == state["transformer.wte.weight"].shape
        and bool((state["lm_head.weight"] == state["transformer.wte.weight"]).all())
    )
    if not tied:
        args["tied_head"] = False  # whatever it says, two tables are two tables
    args = {**_shape_of(state, tied), **args}
    if args["tied_head"] is True:
        state.pop("lm_head.weight", None)
    train = {ours: config[theirs] for theirs, ours in _TRAINING.items() if theirs in config}
    dataset = config.get("dataset")
    try:
        normalize = parse_normalizations(",".join(own.get("normalize", [])) or "none")
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return Imported(
        state,
        args,
        about.get("iter_num", 0),
        own.get("alphabet"),
        own.get("dataset", NANOGPT_DATASETS.get(dataset) if isinstance(dataset, str) else None),
        own.get("text_sha256"),
        normalize,
        own.get("documents") is not None,
        own.get("train", train),
        _UNKNOWN if turned and "activation" not in args else "",
    )


def _in_our_words(path: Path, arrays: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the tensors with GPT-2's names and nanoGPT's layout, and whether they had Hugging Face's layout."""
    state = {}
    for name, array in arrays.items():
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix)
        if name.startswith(("wte.", "wpe.", "h.", "ln_f.")):  # of Hugging Face's GPT2Model, which has no head
            name = f"transformer.{name}"
        if not name.endswith((".attn.bias", ".attn.masked_bias")):  # older models keep their causal mask there
            if name in state:
                raise CheckpointError(f"{path} holds {shown(name)} twice, with a prefix and without")
            state[name] = array
    if "transformer.wte.weight" not in state:
        names = ", ".join(map(shown, list(arrays)[:3])) or "nothing"
        raise CheckpointError(f"{path} is no GPT: it has no transformer.wte.weight; it holds {names} …")
    for name, array in state.items():
        expected = 1 if name.endswith(".bias") or ".ln_" in name else 2
        if len(array.shape) != expected:
            raise CheckpointError(f"{path}: {shown(name)} must have {expected} dimensions, got {tuple(array.shape)}")
    first = state.get("transformer.h.0.attn.c_attn.weight")
    turned = first is not None and first.shape[1] == 3 * first.shape[0]  # (inputs, outputs)
    if turned:
        state = {name: array.T if name.endswith(_CONV1D) else array for name, array in state.items()}
    return state, turned


def _shape_of(state: Mapping[str, Any], tied: bool) -> dict[str, Any]:
    """Derive from the tensors all of a model but the heads, the activation, and the kind of the norms."""
    vocab_size, n_embd = state["transformer.wte.weight"].shape
    learned = "transformer.wpe.weight" in state
    layers = {name.split(".")[2] for name in state if name.startswith("transformer.h.")}
    hidden = state.get("transformer.h.0.mlp.c_fc.weight")
    return {
        "vocab_size": vocab_size,
        "n_embd": n_embd,
        "n_layer": len(layers),
        "bias": "transformer.h.0.attn.c_attn.bias" in state,
        "norm_weight": "transformer.ln_f.weight" in state,
        "positions": "learned" if learned else "rotary",
        "tied_head": tied,
        **({} if hidden is None else {"mlp_ratio": hidden.shape[0] // n_embd}),
        **({"block_size": state["transformer.wpe.weight"].shape[0]} if learned else {}),
    }


def read_vocabulary(path: Path) -> CharTokenizer:
    """Read the alphabet in nanoGPT's ``meta.pkl`` or our ``tokenizer.json``; raises CheckpointError for anything
    else."""
    content = reading.content_of(path, f"there is no file {path}", reading.LARGEST_JSON)
    if path.suffix == ".json":
        return checkpoint.characters(checkpoint.tokenizer_of(reading.parsed(content, path), path), path)
    expected = "expected nanoGPT's meta.pkl for characters, or a tokenizer.json"
    try:
        _check_pickle(content)
        found = pickle.loads(content)
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} holds no alphabet ({_reason(error)}); {expected}") from None
    characters = found.get("itos") if isinstance(found, dict) else None
    if isinstance(characters, dict):
        characters = [characters.get(token) for token in range(len(characters))]
    if not isinstance(characters, list) or not all(reading.WORDS.fits(c) and len(c) == 1 for c in characters):
        raise CheckpointError(f"{path} holds no alphabet: itos must give a character for every token; {expected}")
    try:
        return CharTokenizer("".join(characters))
    except DataError as error:
        raise CheckpointError(f"{path} holds no alphabet ({error}); {expected}") from None


_PLAIN = re.compile(
    r"PROTO|FRAME|STOP|MARK|MEMOIZE|POP(_MARK)?|NONE|NEW(TRUE|FALSE)|(BIN)?INT[12]?|LONG[14]?|(BIN)?FLOAT|APPENDS?|SETITEMS?"
    r"|(SHORT_)?(BIN)?UNICODE8?|(EMPTY_)?(LIST|TUPLE|DICT)|TUPLE[123]|(LONG_)?(BIN)?(PUT|GET)"
)


def _check_pickle(content: bytes) -> None:
    """Raise UnpicklingError unless a pickle makes only dictionaries, lists, numbers and strings, as many as it spells
    out."""
    for operation, argument, _ in pickletools.genops(content):
        if not _PLAIN.fullmatch(operation.name):
            raise pickle.UnpicklingError(f"it asks for {operation.name}, which could run code")
        if operation.name.endswith("PUT") and argument not in range(len(content)):
            raise pickle.UnpicklingError(f"it keeps things at place {argument}")  # in a table that would fill memory


def run_config(
    imported: Imported, given: Mapping[str, Any], text: tuple[str | None, str | None, str, tuple[str, ...], bool]
) -> RunConfig:
    """Return the settings of a run that continues an imported model.

    Args:
        imported: the content of the file.
        given: settings from the command line; they apply if the file has none, and must agree if it has.
        text: data set, path, SHA-256 and normalizations of the text that the run continues with, and whether its
            lines are documents.

    Raises ConfigError for what is missing or contradicts.
    """
    args = dict(imported.model_args)
    for name, value in given.items():
        if args.setdefault(name, value) != value:
            raise ConfigError(f"{name} is {shown(args[name])} in the file, got {value!r}; leave it out")
    for name, why in (
        ("n_head", "no tensor tells the number of heads"),
        ("block_size", "without learned positions no tensor tells the context"),
    ):
        if name not in args:
            raise ConfigError(f"the file does not say {name}, and {why}: give --{name.replace('_', '-')} N")
    known = {field.name for field in dataclasses.fields(GPTConfig)}
    unknown = sorted(set(args) - known)
    if unknown:
        raise ConfigError(f"the model has settings that are unknown here: {', '.join(map(named, unknown[:3]))}")
    model = GPTConfig(**{**{name: NANOGPT_IS[name] for name in ("norm", "activation")}, **args})
    train = {name: value for name, value in imported.train.items() if name in _train_fields()}
    steps = train.get("steps", 0)
    if isinstance(steps, int):
        train["steps"] = max(steps, imported.step, 1)
    return RunConfig(model, TrainConfig(**train), *text)


def _train_fields() -> set[str]:
    return {field.name for field in dataclasses.fields(TrainConfig)}


def write_run(folder: Path, config: RunConfig, imported: Imported, tokenizer: Tokenizer, source: Path) -> None:
    """Turn an imported model into a run, which can be sampled from, measured, drawn, and trained further.

    AdamW starts from zero: its running means are not in such files. A model without a text, or with more parameters
    than there can be Values, is written as arrays, without a Value. Raises CheckpointError when the tensors do not fit.
    """
    shapes = {name: tuple(array.shape) for name, array in imported.tensors.items()}
    checkpoint.check_shapes(config.model, shapes, source)
    if not config.has_text or parameter_count(config.model) > LARGEST:
        checkpoint.save_arrays(folder, config.model, imported.tensors, imported.step)
        checkpoint.save_config(folder, config, tokenizer)
        return
    model = checkpoint.unfilled(config.model)
    numbers = {name: array.tolist() for name, array in imported.tensors.items()}
    checkpoint.load_parameters(model, numbers, source, config.train.engine)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.rewrite_log(folder, [])
    checkpoint.rewrite_log(folder, [], checkpoint.FLOW)
    checkpoint.save_training_state(folder, model, AdamW(model.parameters()).state_dict(), imported.step)
    checkpoint.save_model(folder, model, imported.step)
    checkpoint.save_config(folder, config, tokenizer)  # last: from here on the folder holds a run


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path} must end in {' or '.join(SUFFIXES)}: that is what says which format it is")


def _torch(what: str, least: tuple[int, ...] = ()) -> Any:
    """Import PyTorch of version ``least`` or newer; raises ConfigError with what to do instead."""
    try:
        import torch
    except ImportError:
        raise ConfigError(
            f"{what} needs PyTorch, which is not installed: {console.adding('torch', 'torch')}; "
            f"or use .safetensors, which needs nothing more"
        ) from None
    found = tuple(int(digits) for digits in re.findall(r"\d+", str(torch.__version__))[:2])
    if found < least:
        raise ConfigError(
            f"{what} needs PyTorch {'.'.join(map(str, least))} or newer, and this is {torch.__version__}, in which a "
            f"hostile file can run code (CVE-2025-32434, CVE-2026-24747): pip install 'torch>={least[0]}.{least[1]}', "
            f"or use .safetensors"
        )
    return torch
