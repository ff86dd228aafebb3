"""A run in the playground: what the page holds of it, in Node and without."""

from __future__ import annotations

import json
import math
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt.config import PRESETS, GPTConfig
from gpt.errors import CheckpointError
from gpt.model import parameter_shapes
from gpt.pictures import playground
from gpt.pictures.playground import read_page, trained
from gpt.runs import checkpoint
from gpt.runs.saved_run import SavedRun
from tests.viz.play.in_node import run
from tinygrad_edu import no_grad


@pytest.fixture(scope="module")
def folder(train_in: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run with five snapshots; read only."""
    return train_in(tmp_path_factory.mktemp("played"), "--steps", "8", "--keep", "5")


def about(assets: dict[str, bytes]) -> Any:
    return json.loads(assets["read"])


def test_the_page_holds_the_numbers_of_each_snapshot_rounded(folder: Path) -> None:
    saved = SavedRun.open(folder)
    assets, facts = trained(saved)
    told = about(assets)
    assert facts == {"read": "run"}
    assert [one["step"] for one in told["snapshots"]] == [0, 2, 4, 6, 8]
    assert (told["alphabet"], told["end"], told["bits"]) == (saved.tokenizer.alphabet, None, 16)
    for one in told["snapshots"]:
        tables, _ = checkpoint.load_tensors(folder / one["file"])
        expected = np.concatenate([np.ravel(tables[name]) for name, _ in parameter_shapes(saved.config.model)])
        found = np.frombuffer(assets[one["asset"]], "<f2")
        assert np.array_equal(found, expected.astype("<f2"))
        assert np.abs(found - expected).max() < 0.001
    log = {r["step"]: r["val_loss"] for r in checkpoint.read_log(folder) if r["val_loss"] is not None}
    assert told["snapshots"][2]["val"] == log[4]
    assert told["snapshots"][1]["val"] is None
    assert set(told["text"]) <= set(saved.tokenizer.alphabet)


def test_fewer_snapshots_are_the_early_ones_and_a_large_model_keeps_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = SavedRun.open(folder)

    def steps(most: int) -> list[int]:
        return [one["step"] for one in about(trained(saved, most)[0])["snapshots"]]

    assert [steps(n) for n in (1, 2, 3, 4)] == [[8], [0, 8], [0, 2, 8], [0, 2, 4, 8]]
    monkeypatch.setattr(playground, "ALL_UP_TO", 100)
    assert steps(9) == [8]


@pytest.mark.node
def test_the_reader_in_the_page_finds_the_loss_of_the_rounded_model(folder: Path) -> None:
    saved = SavedRun.open(folder)
    assets, _ = trained(saved)
    told = about(assets)
    bytes_of = list(assets[told["snapshots"][-1]["asset"]])
    tokens = saved.tokenizer.encode("to be")
    for p in saved.model.parameters():
        p.data = struct.unpack("e", struct.pack("e", p.data))[0]
    with no_grad():
        expected = saved.model.loss(tokens[:-1], tokens[1:]).data
    code = """const { about, bytes, tokens } = given;
      return new Reader(Reader.unpack(Uint8Array.from(bytes), about)).loss(tokens)"""
    assert run(code, {"about": told, "bytes": bytes_of, "tokens": tokens}) == pytest.approx(expected, rel=1e-12)


@pytest.mark.node
def test_every_half_float_is_decoded() -> None:
    numbers = [0.0, -0.0, 1.0, -1.5, 65504.0, 6e-8, -6.1e-5, 6.104e-5, 0.1, 1 / 3]
    halves = np.array(numbers, "<f2")
    code = "Reader.unpack(Uint8Array.from(given), { bits: 16, tables: [['all', given.length / 2]] }).weights.all"
    assert run(code, list(halves.tobytes())) == halves.astype(float).tolist()


def test_a_number_too_large_for_half_a_float_makes_all_of_them_32_bits(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    tables, metadata = checkpoint.load_tensors(copy / "model.safetensors")
    tables["lm_head.weight"][0][0] = 1e6
    checkpoint.save_tensors(copy / "model.safetensors", tables, metadata)
    assets, _ = trained(SavedRun.open(copy))
    assert about(assets)["bits"] == 32
    assert 1e6 in np.frombuffer(assets["read-8"], "<f4")


@pytest.mark.parametrize("name", PRESETS)
def test_the_weights_of_every_preset_leave_room_for_the_rest_of_a_page(name: str) -> None:
    config = GPTConfig(**{**PRESETS[name].model, "vocab_size": 65})
    count = sum(math.prod(sizes) for _, sizes in parameter_shapes(config))
    numbers = np.random.default_rng(1).standard_normal(count)
    levels = next((few for least, few in playground.LEVELS if count >= least), None)
    bytes_of = playground._rounded(config, numbers, levels) if levels else numbers.astype("<f2").tobytes()
    kept = 4 if 2 * count <= playground.ALL_UP_TO else 1
    assert kept * 4 / 3 * len(zlib.compress(bytes_of, 9)) < 1_350_000


def test_a_run_of_documents_begins_after_an_end(train_in: Callable[..., Path], tmp_path: Path) -> None:
    run_folder = train_in(tmp_path, "--steps", "2", "--documents", "lines", "--keep", "0")
    told = about(trained(SavedRun.open(run_folder))[0])
    assert told["end"] == "\n"
    assert not told["text"].startswith("\n")
    assert [one["file"] for one in told["snapshots"]] == ["model.safetensors"]


def test_a_run_whose_text_is_gone_opens_with_its_alphabet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SavedRun, "corpus_at_hand", lambda self: None)
    assert about(trained(SavedRun.open(folder))[0])["text"] == SavedRun.open(folder).tokenizer.alphabet[:6]


def test_a_damaged_snapshot_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    (copy / "snapshots" / "step-0000004.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"step-0000004\.safetensors is damaged"):
        trained(SavedRun.open(copy))
    assert trained(replace(SavedRun.open(copy)), 1)


def test_the_page_of_a_report_has_this_one_screen(folder: Path) -> None:
    html = read_page(*trained(SavedRun.open(folder))).html
    assert "<title>run: read the model</title>" in html
    assert 'screen("read"' in html
    assert 'screen("line"' not in html
