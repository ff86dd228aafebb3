"""Texts whose lines are documents: split, windows, losses, counts, samples, and every command on such a run."""

from __future__ import annotations

import hashlib
import io
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpt.cli import main
from gpt.config import GPTConfig, TrainConfig
from gpt.data import corpus as corpora
from gpt.data import ngram
from gpt.data.corpus import Corpus, NamedText
from gpt.data.documents import lengths, predicted
from gpt.data.text import Text
from gpt.engines import make_engine
from gpt.engines.base import transposed
from gpt.errors import DataError
from gpt.inspection.examination import Examination
from gpt.model import GPT
from gpt.pictures.run import PicturedRun
from gpt.runs import checkpoint
from gpt.runs.saved_run import SavedRun
from gpt.sample import generate
from tests.commands import refusal
from tests.compiler import in_node
from tests.gpt.conftest import QUICK, TINY
from tinygrad_edu import Value, no_grad
from tinygrad_edu import functional as F
from tinygrad_edu.nested import values_in

_RNG = random.Random(3)
NAMES = sorted({"".join(_RNG.choice("abcde") for _ in range(_RNG.randrange(1, 15))) for _ in range(90)})
BLOCK = 6  # so that some names are shorter, some longer and some just fit
SHAPE = GPTConfig(vocab_size=6, block_size=BLOCK, n_head=2, n_embd=4)


def of(*names: str) -> Corpus:
    return Corpus.from_text(Text("names", ("\n".join(names),), documents=True), BLOCK)


CORPUS = of(*NAMES)


def written(corpus: Corpus, part: Any) -> list[str]:
    first, *names, last = corpus.tokenizer.decode(part).split("\n")
    assert first == last == ""
    return names


# --- the split and the windows ----------------------------------------------------------------------------------------


def test_documents_are_shuffled_reproducibly_and_then_split() -> None:
    train, val = written(CORPUS, CORPUS.train), written(CORPUS, CORPUS.val)
    assert sorted([*train, *val]) == NAMES
    assert len(val) == -(-len(NAMES) // 10)
    assert train != sorted(train)
    assert val != NAMES[-len(val) :]
    expected = list(NAMES)
    random.Random(42).shuffle(expected)
    assert [*train, *val] == expected
    again = of(*NAMES)
    assert list(again.train) == list(CORPUS.train)
    assert list(again.val) == list(CORPUS.val)


def test_empty_lines_and_a_missing_final_line_end_change_nothing() -> None:
    found = Corpus.from_text(Text("names", ("\n\n" + "\n\n".join(NAMES) + "\n\n\n",), documents=True), BLOCK)
    assert list(found.train) == list(CORPUS.train)
    assert list(found.val) == list(CORPUS.val)


def test_too_few_documents() -> None:
    for text in ("abc", "abc\n", "\n\n"):
        with pytest.raises(DataError, match="fewer than two documents"):
            Corpus.from_text(Text("names", (text,), documents=True), BLOCK)
    two = of("ab", "cde")
    assert sorted(written(two, two.train) + written(two, two.val)) == ["ab", "cde"]


def test_every_token_is_predicted_once_and_no_window_holds_two_documents() -> None:
    end, found = CORPUS.end, CORPUS.validation(BLOCK, 10**9)
    after: list[int] = []
    for tokens, targets, weights in found:
        n = predicted((tokens, targets, weights))
        assert len(tokens) == len(targets) == len(weights) == BLOCK
        assert tokens[1:n] == targets[: n - 1]
        assert end not in tokens[1:n], "only the first may be one"
        assert end not in targets[: n - 1], "only the last may be one"
        assert set(tokens[n:]) | set(targets[n:]) <= {end}
        assert not any(weights[n:])
        after += targets[:n]
    assert after == list(CORPUS.val)[1:]
    assert {predicted(window) for window in found} > {1, 2, 3, BLOCK}, "short ones, and pieces of long ones"
    in_training = sum(-(-(len(name) + 1) // BLOCK) for name in written(CORPUS, CORPUS.train))
    assert CORPUS.characters_per_sequence(BLOCK) == (len(CORPUS.train) - 1) / in_training


def test_batches_depend_on_seed_and_step_only() -> None:
    assert list(CORPUS.batch(BLOCK, 4, 1, 5)) == list(of(*NAMES).batch(BLOCK, 4, 1, 5))
    assert list(CORPUS.batch(BLOCK, 4, 1, 5)) != list(CORPUS.batch(BLOCK, 4, 1, 6))
    assert list(CORPUS.batch(BLOCK, 4, 1, 5)) != list(CORPUS.batch(BLOCK, 4, 2, 5))


# --- losses -----------------------------------------------------------------------------------------------------------


def mean_surprise(model: GPT, sequences: Any) -> float:
    """Compute the mean over all targets that count, reading each document without its padding."""
    total, count = 0.0, 0
    with no_grad():
        for tokens, targets, weights in sequences:
            n = predicted((tokens, targets, weights))
            rows = model(tokens[:n])
            total += math.fsum(F.cross_entropy(row, t).data for row, t in zip(rows, targets[:n], strict=True))
            count += n
    return total / count


@pytest.mark.parametrize("engine", ["scalar", "compiled", "torch"])
def test_losses_are_means_over_the_targets_that_count(engine: str) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    model = GPT(SHAPE, seed=1)
    this = make_engine(model, TrainConfig(engine=engine, batch_size=5))
    exact = 1e-12 if engine == "scalar" else 1e-6
    for sequences in (CORPUS.validation(BLOCK, 7), CORPUS.validation(BLOCK, 10**9), CORPUS.validation(BLOCK, 1)):
        assert this.evaluate(sequences) == pytest.approx(mean_surprise(model, sequences), abs=exact)
    for step in range(3):  # each with different lengths
        batch = CORPUS.batch(BLOCK, 5, 0, step)
        expected = mean_surprise(model, batch)
        assert this.step(batch, 0.01, "")[0] == pytest.approx(expected, abs=exact)
        this.write_back()


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_one_program_for_all_lengths_matches_scalar_gradients(engine: str) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    model, other = GPT(SHAPE, seed=1), GPT(SHAPE, seed=1)
    traced, loss = [], model.loss

    def counting(*sequence: Any) -> Value:
        traced.append(sequence)
        return loss(*sequence)

    model.loss = counting  # type: ignore[method-assign]
    this, scalar = (
        make_engine(m, TrainConfig(engine=name, batch_size=1)) for m, name in ((model, engine), (other, "scalar"))
    )
    seen = set()
    for step in range(20):
        batch = CORPUS.batch(BLOCK, 1, 0, step)
        seen.add(predicted(batch[0]))
        assert this.step(batch, 0.01, "") == pytest.approx(scalar.step(batch, 0.01, ""), rel=2e-4)
        if not step:
            traces = len(traced)
    assert len(seen) > 4
    assert len(traced) == traces, "no length was traced again"
    this.write_back()
    assert [p.data for p in model.parameters()] == pytest.approx([p.data for p in other.parameters()], abs=2e-4)


def test_the_padding_of_a_short_document_does_not_matter() -> None:
    model = GPT(SHAPE, seed=1)
    results = []
    for filling in (0, 3):
        model.zero_grad()
        loss = model.loss([0, 4, *[filling] * 4], [4, 0, *[filling] * 4], [0.5, 0.5, 0.0, 0.0, 0.0, 0.0])
        loss.backward()
        positions = model.transformer.wpe.weight
        assert not any(v.grad for v in values_in(positions[2:]))
        assert all(v.grad for v in values_in(positions[:2]))
        results.append((loss.data, [p.grad for p in model.parameters()]))
    assert results[0] == results[1]


def test_an_examination_reads_pieces_of_documents() -> None:
    model = GPT(SHAPE, seed=1)
    found = Examination(model, CORPUS.val, end=CORPUS.end).gradients()
    rows = CORPUS.validation(BLOCK, 10**9)
    assert found.characters == len(CORPUS.val) - 1 == int(lengths(CORPUS.val, 0).sum())
    model.zero_grad()
    for row in rows:
        (model.loss(*row) / len(rows)).backward()
    for name, table in model.named_parameters():
        assert found.tables[name].tolist() == pytest.approx([v.grad for v in values_in(table)], abs=1e-5)
    units = Examination(model, CORPUS.val, end=CORPUS.end).units()["transformer.h.0.mlp.act"]
    assert units.examples == len(CORPUS.val) - 1
    # A batch of one row contains just that row.
    assert transposed(rows[:1])[0] == [rows[0][0]]


# --- counting ---------------------------------------------------------------------------------------------------------


def test_baselines_count_the_ends_of_documents() -> None:
    train, val = [0, 1, 2, 0, 1, 0], [0, 1, 2, 0]  # the documents ab and a; ab
    found = {b.name: b.loss for b in ngram.baselines(train, val, 3, end=0)}

    def lidstone(*counts: tuple[int, int]) -> float:
        """Return the loss from (count of the n-gram, count of its context) of a, b and the end."""
        return min(-sum(math.log((n + x) / (all_ + 3 * x)) for n, all_ in counts) / 3 for x in (1.0, 0.1, 0.01))

    assert found["uniform"] == math.log(3)
    assert found["unigram"] == pytest.approx(lidstone((2, 5), (1, 5), (2, 5)))
    assert found["bigram"] == pytest.approx(lidstone((2, 2), (1, 2), (1, 1)))
    assert found["trigram"] == pytest.approx(lidstone((2, 2), (1, 2), (1, 1))), "both documents begin after two ends"
    a, b, end = 3 / 8, 2 / 8, 3 / 8
    for _ in range(4):  # n-grams of two to five: each context is unique, so all have the same counts
        a, b, end = (2 + a) / 3, (1 + 2 * b) / 4, (1 + end) / 2
    assert found["5-gram"] == pytest.approx(-(math.log(a) + math.log(b) + math.log(end)) / 3)


def test_baselines_ignore_the_order_of_documents() -> None:
    documents = [[1, 2, 0], [2, 2, 1, 0], [1, 0], [2, 1, 1, 2, 1, 0]] * 5
    losses = []
    for seed in range(3):
        random.Random(seed).shuffle(documents)
        flat = [0, *(token for document in documents for token in document)]
        losses.append([b.loss for b in ngram.baselines(flat, flat, 3, end=0)])
    assert losses[0] == pytest.approx(losses[1])
    assert losses[0] == pytest.approx(losses[2])


# --- samples ----------------------------------------------------------------------------------------------------------


def test_generate_stops_before_the_end() -> None:
    script = iter([2, 1, 0, 2])

    def score(tokens: Any) -> list[float]:
        wanted = next(script)
        return [float(token == wanted) for token in range(3)]

    assert list(generate(score, 4, [0], 10, temperature=0.0, end=0, rng=random.Random(0))) == [2, 1]


# --- runs and commands ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("documents")
    (place / "names.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    arguments = [*TINY, *QUICK, "--sample-interval", "0", "--final-eval-sequences", "0", "--block-size", "16"]
    arguments += ["--data", str(place / "names.txt"), "--documents", "lines", "--out", str(place / "run")]
    assert main(["train", *arguments, "--steps", "30", "--lr", "0.02", "--warmup-steps", "2", "--keep", "2"]) == 0
    return place / "run"


def test_a_run_reports_that_it_reads_documents(folder: Path) -> None:
    assert json.loads((folder / "config.json").read_text())["documents"] == "lines"
    this = SavedRun.open(folder)
    assert this.end == 0
    assert list(this.corpus().val) == list(CORPUS.val)
    assert this.config.opening("ab") == "\nab"


def test_samples_are_whole_documents(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["sample", "--checkpoint", str(folder), "--samples", "8"]) == 0
    names = capsys.readouterr().out.split("\n")[:-1]
    assert len(names) == 8
    assert set("".join(names)) <= set("abcde")
    assert max(map(len, names)) < 40
    assert len(set(map(len, names))) > 2
    assert main(["sample", "--checkpoint", str(folder), "--samples", "3", "--prompt", "ba"]) == 0
    assert all(line.startswith("ba") for line in capsys.readouterr().out.splitlines())
    assert main(["sample", "--checkpoint", str(folder), "--engine", "scalar", "--samples", "8"]) == 0
    assert capsys.readouterr().out.split("\n")[:-1] == names


def test_all_ways_to_measure_agree(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every name fits into the context, so that windows begin where documents do."""
    final = checkpoint.read_log(folder)[-1]["val_loss"]
    capsys.readouterr()
    assert main(["eval", "--checkpoint", str(folder)]) == 0
    assert f"{final:.4f} nats" in capsys.readouterr().out
    assert main(["eval", "--checkpoint", str(folder), "--surprise"]) == 0
    assert f"{final:.4f} nats" in capsys.readouterr().out.replace("\n", " ")
    val = folder.parent / "val.txt"
    val.write_text("\n".join(written(CORPUS, CORPUS.val)), encoding="utf-8")
    assert main(["eval", "--checkpoint", str(folder), "--data", str(val)]) == 0
    assert f"{final:.4f} nats" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["info"], "Every line of the text is a document"),
        (["compare", "--characters", "60", "--max-new-tokens", "9"], "A writes"),
        (["flow", "-o", "-"], "characters of the validation text"),
        (["draw", "-o", "-"], "digraph"),
        (["attention"], "⏎"),
        (["next", "--text", "ab"], "After “⏎ab”"),
    ],
    ids=lambda x: x[0] if isinstance(x, list) else "",
)
def test_commands_read_documents(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    capsys.readouterr()
    assert main([arguments[0], str(folder), *arguments[1:]]) == 0
    assert expected in capsys.readouterr().out


def test_pictures_show_the_first_document(folder: Path) -> None:
    this, first = PicturedRun.open(folder), written(CORPUS, CORPUS.val)[0]
    assert this.tokenizer.decode(this.tokens()) == f"\n{first}\n"
    assert this.tokenizer.decode(this.tokens("ab")) == "\nab"


def test_a_chat_completes_documents(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO("ba\n\n"))
    assert main(["chat", str(folder), "--lines", "2"]) == 0
    lines = capsys.readouterr().out.split("\n")[:-1]
    assert len(lines) == 4
    assert all(line.startswith("ba") for line in lines[:2])


def test_a_resumed_run_takes_the_same_steps(folder: Path, tmp_path: Path) -> None:
    data = str(folder.parent / "names.txt")
    arguments = ["train", "--data", data, "--documents", "lines", *TINY, *QUICK, "--sample-interval", "0"]
    assert main([*arguments, "--steps", "8", "--schedule", "constant", "--out", str(tmp_path / "whole")]) == 0
    assert main([*arguments, "--steps", "4", "--schedule", "constant", "--out", str(tmp_path / "parts")]) == 0
    assert main(["train", "--resume", str(tmp_path / "parts"), "--steps", "8", "--no-draw"]) == 0
    whole, parts = ([r["train_loss"] for r in checkpoint.read_log(tmp_path / name)] for name in ("whole", "parts"))
    assert whole == parts
    assert "--documents cannot change" in refusal(
        main, "train", "--resume", str(tmp_path / "parts"), "--documents", "none"
    )


def test_a_report_is_made(folder: Path, tmp_path: Path) -> None:
    assert main(["report", str(folder)]) == 0
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "Every line of the text is a document" in page
    assert "could not be made" not in page


def test_export_and_import_keep_the_documents(folder: Path, tmp_path: Path) -> None:
    assert main(["export", str(folder), str(tmp_path / "model.safetensors")]) == 0
    data = ["--data", str(folder.parent / "names.txt")]
    assert main(["import", str(tmp_path / "model.safetensors"), str(tmp_path / "run"), *data]) == 0
    assert SavedRun.open(tmp_path / "run").config.documents
    one = ["--documents", "none"]
    assert main(["import", str(tmp_path / "model.safetensors"), str(tmp_path / "stream"), *data, *one]) == 0
    assert not SavedRun.open(tmp_path / "stream").config.documents


@pytest.mark.native
@pytest.mark.node
def test_a_run_exported_for_browsers_trains_on_documents_and_writes_one(folder: Path, tmp_path: Path) -> None:
    assert main(["export", str(folder), str(tmp_path / "out"), "--wasm"]) == 0
    in_node.load_file(tmp_path / "out" / "step.wasm")
    this = SavedRun.open(folder)
    batch = CORPUS.batch(16, this.config.train.batch_size, 0, 0)
    expected = make_engine(this.model, this.config.train).evaluate(batch)
    assert in_node.ask("step", transposed(batch)) == pytest.approx(expected, rel=1e-4)
    scorer = make_engine(this.model, this.config.train).scorer()
    for prompt in ("", "b"):
        start = this.tokenizer.encode(this.config.opening(prompt))
        tokens = generate(scorer, 16, start, 40, temperature=0.0, end=this.end, rng=random.Random(0))
        asked = {"prompt": prompt, "length": 40, "temperature": 0}
        assert in_node.ask("sample", asked) == this.tokenizer.decode(tokens)


def test_a_model_of_documents_is_compared_with_one_of_a_stream(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(folder.parent / "names.txt")]
    assert main(["train", *data, *TINY, *QUICK, "--steps", "4", "--out", str(tmp_path / "stream")]) == 0
    assert "documents" not in json.loads((tmp_path / "stream" / "config.json").read_text())
    for runs in ([folder, tmp_path / "stream"], [tmp_path / "stream", folder]):
        capsys.readouterr()
        assert main(["compare", *map(str, runs), "--characters", "100", "--max-new-tokens", "5"]) == 0
        assert "is better by" in capsys.readouterr().out


@pytest.fixture
def names_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    content = "\n".join(NAMES).encode()
    entry = NamedText(
        "names", hashlib.sha256(content).hexdigest(), lambda say: content, corpora.TEXTS["names"].documents
    )
    monkeypatch.setitem(corpora.TEXTS, "names", entry)
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "names.txt").write_bytes(content)
    return lambda name: [*TINY, *QUICK, "--steps", "2", "--dataset", "names", "--out", str(tmp_path / name)]


def test_names_are_documents_unless_a_stream_is_requested(names_kept: Any, tmp_path: Path) -> None:
    assert main(["train", *names_kept("documents")]) == 0
    assert main(["train", *names_kept("stream"), "--documents", "none"]) == 0
    assert SavedRun.open(tmp_path / "documents").config.documents
    stream = SavedRun.open(tmp_path / "stream")  # like runs made before documents were supported
    assert stream.end is None
    assert stream.tokenizer.decode(stream.corpus().train).startswith("\n".join(NAMES[:9]))


def test_an_unknown_kind_of_documents_is_an_error(folder: Path, tmp_path: Path) -> None:
    for file in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "documents": "chapters"}))
    assert "documents must be 'lines' or null, got 'chapters'" in refusal(main, "info", str(tmp_path))


def test_the_report_on_a_text_counts_documents(names_kept: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["text", "--dataset", "names"]) == 0
    out = capsys.readouterr().out
    mean = sum(map(len, NAMES)) / len(NAMES)
    assert f"Every line is a document: {len(NAMES)} of 1 to {max(map(len, NAMES))} characters, {mean:.1f} on" in out
    assert "of those for validation are in the training part too" not in out
    assert main(["text", "--dataset", "names", "--documents", "none"]) == 0
    assert "Every line is a document" not in capsys.readouterr().out
