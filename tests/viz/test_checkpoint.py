"""Loading a run's folder for pictures."""

import shutil

import pytest

import viz
from gpt.data import ngram
from gpt.errors import CheckpointError, UnknownCharacterError
from gpt.pictures.run import PicturedRun
from gpt.runs.checkpoint import BEST, save_model
from gpt.sample import ScalarScorer
from tests.viz import runs


def test_the_run_that_was_saved(run):
    found = PicturedRun.open(run)
    assert found.step == 8
    assert not found.model.training
    assert found.config.model.n_layer == 2
    assert [line["step"] for line in found.log()] == list(range(9))


def test_tokens_come_from_a_text_or_the_validation_text(run):
    found = PicturedRun.open(run)
    text = runs.text()
    assert "".join(found.characters(found.tokens())) == text[len(text) * 9 // 10 :][:7]  # context 6, and one to predict
    assert "".join(found.characters(found.tokens("not to be"))) == "not to "
    assert "".join(found.characters(found.tokens("not to be", 2))) == "no"


def test_a_recorded_loss_has_gradients_and_calls(run):
    found = PicturedRun.open(run)
    tokens = found.tokens("to be")
    loss, calls, length = found.recorded(tokens)
    assert length == 4
    assert loss.grad == 1.0
    assert loss.data == pytest.approx(found.model.loss(tokens[:-1], tokens[1:]).data, abs=1e-12)
    kinds = [call.kind for outer in calls.calls for call in outer.walk()]
    assert kinds.count("AttentionHead") == 4


def test_logits_belong_to_the_end_of_the_text(run):
    found = PicturedRun.open(run)
    tokens = found.tokenizer.encode("to be or not")
    assert found.logits(tokens) == ScalarScorer(found.model)(tokens[-6:])


def test_the_baselines_are_of_the_text_of_the_run(run):
    found = PicturedRun.open(run)
    tokens = found.tokenizer.encode(runs.text())
    split = len(tokens) * 9 // 10
    assert found.baselines() == ngram.baselines(tokens[:split], tokens[split:], found.tokenizer.vocab_size)


def test_the_best_parameters_can_be_taken(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    save_model(copy, PicturedRun.open(run).model, 3, BEST)
    assert PicturedRun.open(copy, best=True).step == 3
    assert PicturedRun.open(copy).step == 8


def test_missing_files_are_named(run, tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        PicturedRun.open(tmp_path)
    moved = shutil.copytree(run, tmp_path / "moved")
    config = moved / "config.json"
    config.write_text(config.read_text().replace("text.txt", "gone.txt"))
    with pytest.raises(viz.DrawingError, match=r"there is no file .*gone.txt; give another text with --text"):
        PicturedRun.open(moved).tokens()
    assert PicturedRun.open(moved).tokens("to be")


def test_errors_of_runs_that_cannot_be_shown(run):
    found = PicturedRun.open(run)
    with pytest.raises(viz.DrawingError, match="the text is empty"):
        found.tokens("")
    with pytest.raises(viz.DrawingError, match="at least 1 character, got 0"):
        found.tokens("to", 0)
    with pytest.raises(viz.DrawingError, match="a loss needs a character and the one that follows it; got 1"):
        found.recorded(found.tokens("t"))
    with pytest.raises(UnknownCharacterError, match="'Ω'"):
        found.tokens("Ω")
