"""Every field of every file of a run or an import, set to an odd value: it works, or is a one-line error."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import math
import os
import pickle
import random
import re
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpt.cli import main
from gpt.config import GPTConfig
from gpt.errors import CheckpointError, ConfigError
from gpt.model import GPT, parameter_shapes
from gpt.runs import checkpoint, convert
from tests.gpt.kill_runs import everything
from tinygrad_edu.nested import shape
from viz.cli import main as viz_main

DEEP = "[" * 100_000 + "]" * 100_000


class Raw(str):
    """Raw JSON, for text that ``json.dumps`` cannot write."""


ODD: list[Any] = [
    None, True, -1, 0, 10**9, 10**30, 1.5, -1e308, [], [1], {}, {"a": [None]}, "", "x" * 5000, "\0", "\x1b]0;x\x07\n",
    Raw("NaN"), Raw("-Infinity"), Raw("1e999"), Raw("1" * 5000), Raw('"\\ud800"'), Raw(DEEP), Raw("[" * 40 + "]" * 40),
]  # fmt: skip


def dumped(content: Any) -> str:
    """Return JSON with its raw parts inserted."""
    if isinstance(content, Raw):
        return str(content)
    if isinstance(content, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {dumped(v)}" for k, v in content.items()) + "}"
    if isinstance(content, (list, tuple)):
        return "[" + ", ".join(map(dumped, content)) + "]"
    return json.dumps(content)


def changed(content: Any, odd: list[Any]) -> Iterator[Any]:
    """Yield ``content`` with one part set to each of ``odd``, with one part left out, and ``odd`` themselves."""
    yield from odd
    if isinstance(content, dict):
        for name, value in content.items():
            yield {k: v for k, v in content.items() if k != name}
            for other in changed(value, odd):
                yield {**content, name: other}
        yield {**content, "more\n": odd[0]}
    elif isinstance(content, list) and content and not isinstance(content[0], (int, float)):
        for i in {0, len(content) - 1}:
            for other in changed(content[i], odd):
                yield [*content[:i], other, *content[i + 1 :]]


def as_safetensors(header: Any, data: bytes) -> bytes:
    written = dumped(header).encode()
    return struct.pack("<Q", len(written)) + written + data


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def metadata_changed(header: dict[str, Any], odd: list[Any]) -> Iterator[Any]:
    """Yield headers with odd metadata (JSON in JSON)."""
    (key, words), *_ = header["__metadata__"].items()
    for other in changed(json.loads(words), odd):
        yield {**header, "__metadata__": {key: dumped(other)}}


def broken_bytes(content: bytes) -> Iterator[bytes]:
    yield from (b"", content[:1], content[: len(content) // 2], content[:-1], content + b"x", b"\xff" + content)
    yield from (b"\xef\xbb\xbf" + content, content.replace(b"a", b"\xe9"), b"\0" * 1000, b"\xff" * 1000)
    yield content[: len(content) // 2] + b"\xff\n" + content[len(content) // 2 :]
    with contextlib.suppress(UnicodeDecodeError):
        yield content.decode().encode("utf-16")


def variants(path: Path, odd: list[Any]) -> Iterator[bytes]:
    """Yield damaged versions of a file."""
    content = path.read_bytes()
    yield from broken_bytes(content)
    if path.suffix == ".json":
        for other in changed(json.loads(content), odd):
            yield dumped(other).encode()
    elif path.suffix == ".jsonl":
        lines = content.splitlines()
        for at in (0, len(lines) // 2, len(lines) - 1):
            for other in changed(json.loads(lines[at]), odd):
                yield b"\n".join([*lines[:at], dumped(other).encode(), *lines[at + 1 :], b""])
    elif path.suffix == ".safetensors":
        header, data = parts(content)
        names = [name for name in header if name != "__metadata__"]
        small = {name: header[name] for name in ("__metadata__", names[0]) if name in header}
        for other in changed(small, odd):
            yield as_safetensors({**header, **other} if isinstance(other, dict) else other, data)
        for other in metadata_changed(header, odd):
            yield as_safetensors(other, data)
        yield as_safetensors({"x": {"dtype": "F64", "shape": [10**11], "data_offsets": [0, 8 * 10**11]}}, data)
        for number in (float("nan"), float("inf"), -1e308):
            yield as_safetensors(header, struct.pack("<d", number) * (len(data) // 8))


READERS: dict[str, list[list[str]]] = {
    "config.json": [["sample", "--checkpoint", "RUN", "--max-new-tokens", "2"], ["export-log", "RUN", "--csv", "-"]],
    "tokenizer.json": [["sample", "--checkpoint", "RUN", "--max-new-tokens", "2"]],
    "model.safetensors": [["export", "RUN", "out.safetensors"]],
    "best.safetensors": [["sample", "--checkpoint", "RUN", "--best", "--max-new-tokens", "2"]],
    "training.safetensors": [["train", "--resume", "RUN", "--no-draw", "--steps", "9"]],
    "log.jsonl": [["info", "RUN"], ["export-log", "RUN", "--csv", "-"]],
    "flow.jsonl": [["flow", "RUN", "--over-time"]],
}


#: Every other command that reads a run.
LOOKS = [
    ["chat", "RUN", "--max-new-tokens", "9"],
    ["compare", "RUN", "--characters", "50", "--max-new-tokens", "2"],
    ["compare", "RUN", "WHOLE", "--characters", "50", "--max-new-tokens", "2"],
    ["timemachine", "RUN", "-o", "out/t.html"],
    ["report", "RUN", "-o", "out"],
    ["draw", "--checkpoint", "RUN", "--out", "out/d.dot"],
    ["draw", "--checkpoint", "RUN", "--best", "--out", "out/d.dot"],
    ["flow", "RUN", "-o", "out/f.txt"],
    ["flow", "RUN", "--over-time", "-o", "out/f.txt"],
    ["info", "RUN"],
    ["eval", "--checkpoint", "RUN", "--best"],
    ["export", "RUN", "out/e.safetensors", "--meta", "out/meta.pkl"],
    ["export", "RUN", "out/e", "--hugging-face"],
    ["import", "RUN/model.safetensors", "out/i", "--meta", "RUN/tokenizer.json", "--data", "TEXT", "--n-head", "2"],
    ["export-log", "RUN", "--csv", "out/l.csv"],
    ["train", "--resume", "RUN", "--no-report", "--steps", "9"],
    ["viz", "attention", "RUN", "-o", "out/a.svg"],
    ["viz", "next", "RUN", "--best"],
    ["viz", "curve", "RUN", "WHOLE", "-o", "out/c.svg"],
    ["viz", "curve", "RUN"],
    ["viz", "embeddings", "RUN"],
    ["viz", "histogram", "RUN"],
    ["viz", "compilation", "RUN"],
    ["viz", "explore", "RUN", "-o", "out/x.html"],
]


def one_line_or_good(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command; return its error, or an empty string if it worked."""
    viz = arguments[0] == "viz"
    try:
        code = viz_main(arguments[1:]) if viz else main(arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    found = capsys.readouterr()
    if code == 0:
        return ""
    assert code == 2, (code, found.err)
    assert found.err.startswith("viz: error: " if viz else "gpt: error: ")
    assert found.err.count("\n") == 1, found.err
    assert len(found.err) < 1500, found.err
    return found.err


@pytest.fixture(scope="module")
def run(train_in: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_in(tmp_path_factory.mktemp("damaged"), "--steps", "8", "--keep", "2")


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_of_a_run_works_or_is_a_one_line_error(
    name: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = list(dict.fromkeys(variants(run / name, ODD)))
    chosen = found if os.environ.get("TINYGRAD_EDU_FUZZ") else random.Random(name).sample(found, min(len(found), 30))
    refused = 0
    for content in chosen:
        for command in READERS[name]:
            shutil.rmtree("copy", ignore_errors=True)
            shutil.copytree(run, "copy")
            Path("copy", name).write_bytes(content)
            refused += bool(one_line_or_good([word.replace("RUN", "copy") for word in command], capsys))
    print(f"{name}: {len(chosen)} of {len(found)}, {refused} refused")
    assert refused > len(chosen) // 4


FILES = [*READERS, "snapshots/step-0000008.safetensors"]


@pytest.mark.parametrize("look", LOOKS, ids=" ".join)
def test_every_command_survives_the_damaged_files_of_a_run(
    look: list[str], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = [(name, content) for name in FILES for content in dict.fromkeys(variants(run / name, ODD))]
    if os.environ.get("TINYGRAD_EDU_FUZZ"):  # every file with every command that reads it
        chosen = found[LOOKS.index(look) :: len(LOOKS)]
    else:
        chosen = random.Random(" ".join(look)).sample(found, 2)
    words = {"RUN": "copy", "WHOLE": str(run), "TEXT": str(run.parent / "text.txt")}
    command = [re.sub("RUN|WHOLE|TEXT", lambda word: words[word[0]], word) for word in look]
    refused, slowest = 0, 0.0
    for name, content in chosen:
        for folder in ("copy", "out"):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(run, "copy")
        Path("out").mkdir()
        Path("copy", name).write_bytes(content)
        before = everything(Path("copy"))
        monkeypatch.setattr(sys, "stdin", io.StringIO("to be\n"))
        began = time.process_time()
        error = one_line_or_good(command, capsys)
        slowest = max(slowest, time.process_time() - began)
        refused += bool(error)
        if error or "--resume" not in command:  # nothing is lost and no file is left over
            assert everything(Path("copy")) == before
    print(f"{len(chosen)} of {len(found)}, {refused} refused, the slowest took {slowest:.1f} s")


def test_a_damaged_file_to_import_works_or_is_a_one_line_error(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = ["--data", str(run.parent / "text.txt")]
    assert main(["export", str(run), "good.safetensors", "--meta", "good.pkl"]) == 0
    assert main(["import", "good.safetensors", "made", *text]) == 0
    good = Path("good.safetensors").read_bytes()
    meta = Path("good.pkl").read_bytes()
    everything = [(path, [], variant) for path in ("good.safetensors",) for variant in variants(Path(path), ODD)]
    words = pickle.loads(meta)
    pickles = [pickle.dumps(x) for x in changed(words, [x for x in ODD if not isinstance(x, Raw)])]
    pickles += [*broken_bytes(meta), b"\x80\x04r\xff\xff\xff\x7f.", b"\x80\x04]" + b"]a" * 1000 + b"."]
    pickles += [
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",
        b"]" * 100_000 + b"a" * 99_999 + b".",
        b"I" + b"1" * 9999,
    ]
    everything += [("good.pkl", ["--meta", "good.pkl"], content) for content in pickles]
    chosen = everything if os.environ.get("TINYGRAD_EDU_FUZZ") else random.Random(5).sample(everything, 60)
    refused = 0
    for name, more, content in chosen:
        shutil.rmtree("made", ignore_errors=True)
        Path("good.safetensors").write_bytes(good)
        Path(name).write_bytes(content)
        refused += bool(one_line_or_good(["import", "good.safetensors", "made", *text, *more], capsys))
    print(f"import: {len(chosen)} of {len(everything)}, {refused} refused")
    assert refused > len(chosen) // 4


def test_a_name_with_line_ends_is_on_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run, tmp_path / "copy")
    path = tmp_path / "copy" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": "no\n\x1bfile\n"}))
    for command in (["eval", "--checkpoint"], ["viz", "attention"], ["draw", "--checkpoint"]):
        assert r"no\n\x1bfile\n" in one_line_or_good([*command, str(tmp_path / "copy")], capsys)
    assert r"a\nb" in one_line_or_good(["info", "a\nb"], capsys)
    assert r"a\nb" in one_line_or_good(["info", "a", "a\nb"], capsys)


# --- time and memory --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"bias": True, "norm": "layernorm", "norm_weight": True}, {"bias": True, "norm_weight": True, "n_layer": 2},
        {"positions": "rotary", "tied_head": True}, {"norm": "layernorm", "bias": True},
    ],
)  # fmt: skip
def test_the_expected_shapes_are_those_of_the_model(fields: dict[str, Any]) -> None:
    config = GPTConfig(vocab_size=5, block_size=3, n_embd=4, n_head=2, **fields)
    assert dict(parameter_shapes(config)) == {name: shape(p) for name, p in GPT(config).named_parameters()}


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        ("model", {"n_layer": 1000, "n_embd": 2}), ("model", {"n_layer": 20_000}), ("model", {"block_size": 10**7}),
        ("model", {"vocab_size": 10**7}), ("model", {"n_embd": 512}), ("train", {"batch_size": 10**9}),
        ("train", {"keep": 10**9}), ("train", {"threads": 10**6}), ("train", {"seed": 10**4000}),
    ],
)  # fmt: skip
def test_an_impossible_config_is_refused_quickly(
    part: str, fields: dict[str, int], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "copy")
    path = tmp_path / "copy" / "config.json"
    content = json.loads(path.read_text())
    content[part] |= fields
    path.write_text(json.dumps(content))
    for command in (["sample", "--checkpoint"], ["train", "--steps", "20", "--resume"]):
        began = time.process_time()
        assert one_line_or_good([*command, str(tmp_path / "copy")], capsys)
        assert time.process_time() - began < 5.0  # this once took more than 20


@pytest.mark.skipif(sys.platform == "win32", reason="files have no holes here")
def test_a_huge_sparse_log_is_not_read_into_memory(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "copy")
    for name in ("log.jsonl", "flow.jsonl"):
        with open(tmp_path / "copy" / name, "r+b") as file:
            file.truncate(1 << 40)
        with pytest.raises(CheckpointError, match=r"line \d+ is damaged: it is longer than 1,048,576 bytes"):
            checkpoint.read_log(tmp_path / "copy", name)
    assert "longer than" in one_line_or_good(["info", str(tmp_path / "copy")], capsys)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no fifos here")
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "log.jsonl", "flow.jsonl"])
def test_only_regular_files_are_read(name: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run, tmp_path / "copy")
    (tmp_path / "copy" / name).unlink()
    os.mkfifo(tmp_path / "copy" / name)
    command = {"flow.jsonl": ["flow", "RUN", "--over-time"]}.get(name, ["info", "RUN"])
    assert "pipe" in one_line_or_good([word.replace("RUN", str(tmp_path / "copy")) for word in command], capsys)
    (tmp_path / "copy" / name).unlink()
    (tmp_path / "copy" / name).symlink_to("/dev/zero")
    assert "device" in one_line_or_good([word.replace("RUN", str(tmp_path / "copy")) for word in command], capsys)


# --- texts ------------------------------------------------------------------------------------------------------------

WORDS = "The quick brown fox jumps over the lazy dog.\n" * 80


def zipped(content: bytes) -> bytes:
    with contextlib.closing(io.BytesIO()) as buffer:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a.txt", content)
        return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(WORDS.encode()), "gzip: gunzip"),
        (bz2.compress(WORDS.encode()), "bzip2: bunzip2"),
        (lzma.compress(WORDS.encode()), "xz: unxz"),
        (zipped(WORDS.encode()), "a zip archive"),
        (WORDS.encode("utf-16"), "UTF-16 (as PowerShell's > writes it): iconv"),
        (WORDS.encode("utf-16-le"), "UTF-16"),
        (WORDS.encode("utf-16-be"), "UTF-16"),
        (WORDS.encode("utf-32"), "UTF-32"),
    ],
    ids=["gzip", "bzip2", "xz", "zip", "utf-16", "utf-16-le", "utf-16-be", "utf-32"],
)
def test_errors_of_files_that_are_not_text_say_what_to_do(
    content: bytes, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_bytes(content)
    assert what in one_line_or_good(["text", str(tmp_path / "text.txt")], capsys)
    assert what in one_line_or_good(["text", str(tmp_path)], capsys)  # in a folder too


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such paths")
def test_a_text_from_a_pipe_can_be_trained_on_and_resumed(tmp_path: Path) -> None:
    def gpt(*arguments: str, given: bytes | None = None) -> tuple[int, str, str]:
        environment = {**os.environ, "TINYGRAD_EDU_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, "-m", "gpt", *arguments]
        done = subprocess.run(command, input=given, capture_output=True, check=False, env=environment)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    quick = [
        "--preset",
        "micro",
        "--no-draw",
        "--eval-sequences",
        "2",
        "--final-eval-sequences",
        "2",
        "--sample-interval",
        "0",
    ]
    for name in ("-", "/dev/stdin"):
        code, out, _ = gpt(
            "train",
            "--data",
            name,
            "--steps",
            "1",
            "--out",
            str(tmp_path / f"run{len(name)}"),
            *quick,
            given=WORDS.encode(),
        )
        assert code == 0
        assert "Read 3,600 bytes from" in out
    assert gpt("train", "--resume", str(tmp_path / "run1"), "--steps", "2", "--no-draw")[0] == 0
    assert [path.read_text() for path in (tmp_path / "cache" / "piped").iterdir()] == [WORDS]
    code, out, _ = gpt("text", "-", given=WORDS.encode() * 2)
    assert "7,200 characters" in out
    assert gpt("eval", "--checkpoint", str(tmp_path / "run1"), "--data", "-", given=WORDS.encode() * 3)[0] == 0
    assert [path.read_text() for path in (tmp_path / "cache" / "piped").iterdir()] == [WORDS]
    for given, message in ((gzip.compress(WORDS.encode()), "gunzip"), (b"", "nothing came from the standard input")):
        code, _, error = gpt("text", "-", given=given)
        assert (code, error.count("\n")) == (2, 1)
        assert message in error


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no fifos here")
def test_a_run_whose_text_became_a_pipe_or_a_device_does_not_wait_for_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "copy")
    os.mkfifo(tmp_path / "fifo")
    path = tmp_path / "copy" / "config.json"
    content = json.loads(path.read_text())
    for data in (str(tmp_path / "fifo"), "/dev/zero", "\0", "x" * 5000):
        path.write_text(json.dumps({**content, "data": data}))
        assert one_line_or_good(["train", "--resume", str(tmp_path / "copy"), "--steps", "20"], capsys)


# --- PyTorch's files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2.5.1", "2.9.1+cu126", "1.13", "2.10.0", "2.13.0+cpu"])
def test_pytorch_versions_that_may_run_code_are_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = type(sys)("torch")
    fake.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", fake)
    if version.startswith(("2.10", "2.13")):
        assert convert._torch("reading x.pt", convert.SAFE_TORCH) is fake
    else:
        with pytest.raises(ConfigError, match=r"PyTorch 2\.10 or newer.*use \.safetensors"):
            convert._torch("reading x.pt", convert.SAFE_TORCH)
        assert convert._torch("writing x.pt") is fake


def test_a_number_too_large_for_the_file_is_not_exported_as_infinite(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "copy")
    model = checkpoint.load_model(run)[0]
    out = tmp_path / "out.safetensors"
    for number, what in ((1e39, "larger than 32-bit floats are"), (math.inf, "not finite"), (math.nan, "not finite")):
        model.transformer.wte.weight[1][2].data = number
        checkpoint.save_model(tmp_path / "copy", model, 8)
        error = one_line_or_good(["export", str(tmp_path / "copy"), str(out)], capsys)
        assert f"transformer.wte.weight[1][2] is {what}" in error
        assert not out.exists()


def test_a_number_too_large_for_the_engine_is_not_imported(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "large.safetensors"
    assert main(["export", str(run), str(out)]) == 0
    header, data = parts(out.read_bytes())
    for entry in header.values():
        if "data_offsets" in entry:
            entry |= {"dtype": "F64", "data_offsets": [2 * at for at in entry["data_offsets"]]}
    out.write_bytes(as_safetensors(header, struct.pack("<d", 1e300) * (len(data) // 4)))
    text = ["--data", str(run.parent / "text.txt")]
    error = one_line_or_good(["import", str(out), str(tmp_path / "made"), *text], capsys)
    assert "holds a number that is larger than 32-bit floats are" in error
    assert not (tmp_path / "made").exists()
