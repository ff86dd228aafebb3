"""The time machine of a run: every number is recomputed in scalars, and every error names the fix."""

from __future__ import annotations

import json
import math
import operator
import re
from pathlib import Path
from typing import Any

import pytest

import viz
from gpt.cli import main
from gpt.inspection.loss_graph import recorded_loss
from gpt.inspection.observer import Observer, first_sentence, observed
from gpt.model import GPT
from gpt.pictures.timemachine import chosen_sentence, page_of
from gpt.runs import checkpoint
from gpt.runs.saved_run import SavedRun
from gpt.tokenizer import CharTokenizer
from tests.commands import refusal
from tests.viz.browser import Browser
from tinygrad_edu import record_calls
from tinygrad_edu.training import snapshots


def trained(arguments: list[str], folder: Path, *more: str) -> Path:
    kept = ["--keep", "3", "--steps", "8", "--n-layer", "2", "--init-std", "0.3"]
    assert main([*arguments, "--out", str(folder), *kept, *more]) == 0
    return folder


@pytest.fixture(params=["learned", "rotary"])
def run(train_arguments: list[str], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return trained(train_arguments, tmp_path / "run", "--positions", request.param)


def model_of(folder: Path, step: int) -> GPT:
    model = checkpoint.load_model(folder)[0]
    path = snapshots.taken(folder)[step]
    checkpoint.load_parameters(model, checkpoint.load_tensors(path)[0], path)
    model.eval()
    return model


def attention_of(model: GPT, tokens: list[int]) -> list[list[list[float]]]:
    """Return weights by head, from the queries and keys of the heads in a scalar pass."""
    with record_calls() as record:
        model(tokens)
    heads = []
    for call in record.calls[0].walk():
        if call.kind == "AttentionHead":
            numbers = [v.data for v in call.inputs]
            part = len(numbers) // 3
            size = part // len(tokens)
            q, k = ([numbers[a + i * size : a + (i + 1) * size] for i in range(len(tokens))] for a in (0, part))
            rows = []
            for i, query in enumerate(q):
                powers = [math.exp(sum(map(operator.mul, query, key)) / math.sqrt(size)) for key in k[: i + 1]]
                rows.append([p / sum(powers) for p in powers])
            heads.append(rows)
    return heads


def test_every_number_of_a_snapshot_matches_the_scalar_model(run: Path) -> None:
    this = observed(SavedRun.open(run))
    sentence = chosen_sentence(this, this.config, None)
    assert len(sentence) == this.config.model.block_size + 1
    observer = Observer(this, sentence)
    log = {record["step"]: record for record in checkpoint.read_log(run)}
    for step in (0, 4, 8):
        seen = observer.see(snapshots.taken(run)[step])
        model = model_of(run, step)
        assert seen.step == step
        assert seen.sentence_loss == pytest.approx(model.loss(sentence[:-1], sentence[1:]).data, rel=1e-5)
        watched = this.corpus.validation(this.config.model.block_size, this.config.train.eval_sequences)
        expected = sum(model.loss(*pair).data for pair in watched) / len(watched)
        assert seen.val_loss == pytest.approx(expected, rel=1e-5)  # it comes from the log
        for row, logits in zip(seen.probabilities, model(sentence[:-1]), strict=True):
            powers = [math.exp(x.data) for x in logits]
            assert row == pytest.approx([p / sum(powers) for p in powers], rel=1e-4)
        heads = [head for layer in seen.attention for head in layer]
        attention = attention_of(model, sentence[:-1])
        assert len(heads) == len(attention) == 4
        for rows, wanted in zip(heads, attention, strict=True):
            for row, right in zip(rows, wanted, strict=True):
                assert row == pytest.approx(right, rel=1e-4)
                assert sum(row) == pytest.approx(1.0, abs=1e-6)
    losses = [log[step]["train_loss"] for step in range(1, 9)]
    assert seen.train_loss == pytest.approx(sum(losses) / 8)


def test_the_sample_of_a_snapshot_is_the_one_that_training_printed(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*train_arguments]
    arguments[arguments.index("--sample-interval") + 1] = "4"
    run = trained(arguments, tmp_path / "run")
    printed = capsys.readouterr().out
    this = observed(SavedRun.open(run))
    seen = Observer(this, this.corpus.val[:7]).see(snapshots.taken(run)[4])
    framed = "\n".join(f"    │ {line}" for line in seen.sample.strip("\n").split("\n"))
    assert framed in printed


def data_of(path: Path) -> Any:
    found = re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_page_contains_the_numbers_of_the_scalar_model(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "machine.html"
    capsys.readouterr()
    assert main(["timemachine", str(run), "-o", str(out)]) == 0
    assert f"Wrote {out}" in capsys.readouterr().out
    data = data_of(out)
    assert [frame["step"] for frame in data["frames"]] == [0, 4, 8]
    assert data["heads"] == [f"h.{layer}.attn.head {head}" for layer in (0, 1) for head in (1, 2)]
    this = observed(SavedRun.open(run))
    sentence = chosen_sentence(this, this.config, None)
    for frame in data["frames"]:
        model = model_of(run, frame["step"])
        loss, calls, _ = recorded_loss(model, sentence)
        assert frame["losses"]["this sentence"] == pytest.approx(loss.data, abs=1e-4)
        measured = viz.flow(loss, calls=calls)
        for kind in ("modules", "parameters"):
            wanted = getattr(measured, kind)
            assert data[kind] == [line.name for line in wanted]
            for shown, line in zip(frame[kind], wanted, strict=True):
                assert shown[:2] == pytest.approx([line.mean, line.largest], rel=6e-3)
        for shown, rows in zip(frame["attention"], attention_of(model, sentence[:-1]), strict=True):
            assert shown == pytest.approx([1000 * w for row in rows for w in row], abs=0.51)
    baselines = {baseline.name: baseline.loss for baseline in this.baselines}
    assert data["baselines"] == pytest.approx(baselines, abs=1e-4)
    trained = [[r["step"], r["train_loss"]] for r in checkpoint.read_log(run) if r["train_loss"] is not None]
    assert [p for p, _ in data["curves"]["training"]] == [p for p, _ in trained]
    assert [p for _, p in data["curves"]["training"]] == pytest.approx([p for _, p in trained], rel=1e-4)


def test_the_page_of_a_run_opens_and_shows_its_last_step(
    browser: Browser, train_arguments: list[str], tmp_path: Path
) -> None:
    run = trained(train_arguments, tmp_path / "run")
    assert main(["timemachine", str(run), "--text", "to be "]) == 0
    browser.open(f"{(run / 'timemachine.html').as_uri()}#step=4")
    assert browser.console == []
    assert len(browser.requests) == 1
    assert browser.evaluate("$('where').textContent") == "step 4"
    assert browser.evaluate("SENTENCE.join('')") == "to␣be␣"
    browser.key("End")
    assert browser.evaluate("$('where').textContent") == "step 8"


def test_the_same_run_gives_the_same_page(train_arguments: list[str], tmp_path: Path) -> None:
    run = trained(train_arguments, tmp_path / "run")
    pages = []
    for _ in range(2):
        this = observed(SavedRun.open(run))
        pages.append(page_of(this, snapshots.taken(run), chosen_sentence(this, this.config, None)).html)
    assert pages[0] == pages[1]


def test_the_sentence_is_the_first_line_that_is_long_enough() -> None:
    text = "ab\ncdef\nghijklmnop\n"
    tokenizer = CharTokenizer.from_text(text)
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(first_sentence(tokens, tokenizer, 5)) == "ghijkl"
    assert tokenizer.decode(first_sentence(tokens, tokenizer, 10)) == "ab\ncdef\ngh"[:10] + "i"
    assert tokenizer.decode(first_sentence(tokens, tokenizer, 3)) == "cdef"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["-o", "page.svg"], "page.svg must end in .html"),
        (["-o", "no/such/page.html"], "there is no folder no/such to write page.html into; make it first"),
        (["--text", "to §"], "§"),
        (["--text", "t"], "at least two characters"),
    ],
)
def test_an_impossible_request_is_one_sentence(
    more: list[str], words: str, train_arguments: list[str], tmp_path: Path
) -> None:
    run = trained(train_arguments, tmp_path / "run")
    before = sorted(run.rglob("*"))
    assert words in refusal(main, "timemachine", str(run), *more)
    assert sorted(run.rglob("*")) == before


def test_a_run_without_snapshots_explains_how_to_get_them(train_arguments: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main([*train_arguments, "--out", str(run), "--steps", "4"]) == 0
    error = refusal(main, "timemachine", str(run))
    assert "has no snapshots" in error
    assert "gpt train --keep 20" in error
    assert "expected a folder that train has written" in refusal(main, "timemachine", str(tmp_path))


def test_a_damaged_snapshot_is_named(train_arguments: list[str], tmp_path: Path) -> None:
    run = trained(train_arguments, tmp_path / "run")
    snapshots.taken(run)[4].write_bytes(b"no")
    assert "step-0000004.safetensors is damaged" in refusal(main, "timemachine", str(run))


def test_a_snapshot_of_another_step_is_named(train_arguments: list[str], tmp_path: Path) -> None:
    run = trained(train_arguments, tmp_path / "run")
    first, last = min(snapshots.taken(run)), max(snapshots.taken(run))
    taken = snapshots.taken(run)[first]
    snapshots.taken(run)[last].replace(taken)
    assert f"{taken.name} is damaged: it was saved at step {last}; remove or rename it" in refusal(
        main, "timemachine", str(run)
    )
    assert not (run / "timemachine.html").exists()
