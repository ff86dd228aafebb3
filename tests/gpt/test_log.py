"""The log of a run as CSV and for TensorBoard."""

from __future__ import annotations

import csv
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpt.cli import main
from gpt.runs import checkpoint
from tests.commands import refusal


@pytest.fixture
def run(train_arguments: list[str], tmp_path: Path) -> Path:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "6", "--out", str(out)]) == 0
    return out


def test_csv_has_every_number_of_the_log(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.csv"
    assert main(["export-log", str(run), "--csv", str(path)]) == 0
    assert "7 lines" in capsys.readouterr().out
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    log = checkpoint.read_log(run)
    assert [int(row["step"]) for row in rows] == list(range(7))
    for row, record in zip(rows, log, strict=True):
        for name, text in row.items():
            value = record.get(name)
            assert isinstance(value, (int, float, type(None)))
            assert (float(text) if text else None) == value
    assert main(["export-log", str(run), "--csv", "-"]) == 0
    assert capsys.readouterr().out == path.read_text(encoding="utf-8")


def exported(run: Path, folder: Path) -> Iterator[tuple[str, int, float, float]]:
    """Return TensorBoard's events: tag, step, number and time, in the order of the file."""
    from tensorboardX.proto import event_pb2

    assert main(["export-log", str(run), "--tensorboard", str(folder)]) == 0
    (file,) = folder.iterdir()
    content = file.read_bytes()
    while content:  # a length of 8 bytes, its checksum of 4, the event, its checksum of 4
        length = int.from_bytes(content[:8], "little")
        event = event_pb2.Event.FromString(content[12 : 12 + length])
        for value in event.summary.value:
            yield value.tag, event.step, value.simple_value, event.wall_time
        content = content[16 + length :]


@pytest.mark.tensorboard
def test_the_events_of_a_resumed_run_occur_once_at_their_times(run: Path, tmp_path: Path) -> None:
    assert main(["train", "--resume", str(run), "--steps", "12", "--no-draw"]) == 0
    assert main(["train", "--resume", str(run), "--no-draw"]) == 0  # all steps are already done
    for name, moment in (("config.json", 1000), ("log.jsonl", 1120)):
        os.utime(run / name, (moment, moment))
    found = list(exported(run, tmp_path / "board"))
    assert len({(tag, step) for tag, step, *_ in found}) == len(found)
    assert sorted(step for tag, step, *_ in found if tag.endswith("train")) == list(range(1, 13))
    assert all(time == pytest.approx(1000 + 10 * step) for _, step, _, time in found)


@pytest.mark.tensorboard
def test_tensorboard_reads_the_same_numbers(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "board"
    found = {(tag, step): number for tag, step, number, _ in exported(run, folder)}
    for record in checkpoint.read_log(run):
        for tag, name in (("loss/train", "train_loss"), ("loss/validation", "val_loss"), ("learning rate", "lr")):
            value = found.get((tag.replace(" ", "_"), record["step"]), found.get((tag, record["step"])))
            assert value == (None if record.get(name) is None else pytest.approx(record[name], rel=1e-6))
    for step, lines in checkpoint.read_flow(run).items():
        for line in lines:
            assert found[f"mean_size_of_the_gradient/{line.name}", step] == pytest.approx(line.mean, rel=1e-6)
    assert list(checkpoint.read_flow(run)) == [1, 4, 6]
    assert "is not empty" in refusal(main, "export-log", str(run), "--tensorboard", str(folder))


def test_bad_input(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for arguments, message in (
        ([str(run)], "needs --csv FILE or --tensorboard DIR"),
        ([str(tmp_path / "missing"), "--csv", "-"], "holds no checkpoint"),
        ([str(run), "--csv", str(tmp_path / "no" / "folder.csv")], "folder.csv"),
        ([str(run), "--tensorboard", str(tmp_path / "board")], "pip install tensorboardX"),
    ):
        assert message in refusal(main, "export-log", *arguments)
    assert not (tmp_path / "board").exists()
    checkpoint.rewrite_log(run, [])
    assert "has made no step yet" in refusal(main, "export-log", str(run), "--csv", "-")
