"""Which characters surprised the model: the numbers, the colored text, the page."""

from __future__ import annotations

import html
import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt.cli import main
from gpt.config import ENGINES, TrainConfig
from gpt.engines import make_engine
from gpt.engines.scalar import ScalarEngine
from gpt.inspection import surprisal
from gpt.inspection.surprisal import Seen
from gpt.runs import checkpoint
from tests.commands import refusal
from tests.viz.browser import Browser
from tests.viz.charts import check_accessible
from viz.pages.surprise_page import surprise_page


@pytest.fixture(scope="module")
def run(train_in: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    # With dropout: inspecting a model must not draw random numbers.
    return train_in(tmp_path_factory.mktemp("surprise"), "--steps", "12", "--lr", "0.05", "--dropout", "0.2")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.torch] * (n == "torch")) for n in ENGINES])
def test_every_character_is_read_once_with_half_a_context_before_it(run: Path, name: str) -> None:
    model, config, tokenizer, _ = checkpoint.load_model(run)
    engine = make_engine(model, TrainConfig(engine=name))
    scorer = ScalarEngine(model, config.train).scorer()
    for length in (2, 4, 7, 8, 9, 10, 25):
        tokens = tokenizer.encode("to be, or not to be, that")[:length]
        seen = surprisal.read(engine, tokenizer, tokens, config.model.block_size)
        assert [one.character for one in seen] == [tokenizer.decode([t]) for t in tokens[1:]]
        for i, one in enumerate(seen):
            # Contexts of 6 overlap by 3: from the start of the text, or else 4, 5 or 6 characters back.
            logits = scorer(tokens[0 if i < 6 else i // 3 * 3 - 3 : i + 1])
            total = math.fsum(map(math.exp, logits))
            assert one.probability == pytest.approx(math.exp(logits[tokens[i + 1]]) / total, rel=1e-4)
            instead = sorted((-x, c) for c, x in zip(tokenizer.alphabet, logits, strict=True) if c != one.character)
            assert [c for c, _ in one.likeliest] == [c for _, c in instead[:5]]
            assert one.surprise == pytest.approx(-math.log(one.probability))


def _seen(text: str, *probabilities: float) -> list[Seen]:
    return [Seen(c, p, (("x", 0.1),)) for c, p in zip(text, probabilities, strict=True)]


def test_groups_count_all_of_the_surprise_once() -> None:
    seen = _seen("It's it.\n9", 0.1, 0.9, 0.9, 0.9, 0.3, 0.2, 0.9, 0.9, 0.4, 0.5)
    kinds = {group.name: group for group in surprisal.by_kind(seen)}
    counts = {name: group.count for name, group in kinds.items()}
    assert counts == {
        "first letter of a word": 2, "later letters of a word": 3, "other sign": 2, "space": 1, "line end": 1,
        "digit": 1,
    }  # fmt: skip
    assert kinds["first letter of a word"].surprise == pytest.approx(-(math.log(0.1) + math.log(0.2)) / 2)
    assert sum(group.share for group in kinds.values()) == pytest.approx(1.0)
    words = surprisal.by_word(seen)
    assert [(w.name, w.count) for w in words] == [("It's", 1), ("it", 1)]
    assert words[0].surprise == pytest.approx(-math.log(0.1 * 0.9**3))
    assert surprisal.by_character(seen)[0].name == "I"
    assert "first letters of words" in surprisal.sentence(seen)


def test_levels_and_colors() -> None:
    seen = _seen("abcde", 0.5, 0.2, 0.05, 0.01, 0.009)
    assert [one.level for one in seen] == [0, 1, 2, 3, 4]
    text = surprisal.colored("T", seen).split("\n")[0]
    assert re.sub(r"\x1b\[[0-9;]*m", "", text) == "Tabcde"
    assert text.startswith("Ta\x1b[")
    assert len(set(re.findall(r"\x1b\[[0-9;]+48[0-9;]+m", text))) == 4


def test_colors_in_a_terminal_only_and_never_with_no_color(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["eval", "--checkpoint", str(run), "--surprise", "--characters", "60"]
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert main(arguments) == 0
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    assert "the first 60 of" in plain.replace("\n", " ")
    assert "nats per character" in plain.replace("\n", " ")
    assert max(len(line) for line in plain.splitlines() if str(run.parent) not in line) <= 80
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(arguments) == 0
    assert "\x1b[" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(arguments) == 0
    assert capsys.readouterr().out == plain


def test_another_text_is_compared_with_counts_of_the_run_s_text(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("to be, or not to be, that is the question. " * 9)
    for arguments in ([], ["--surprise"]):
        capsys.readouterr()
        assert main(["eval", "--checkpoint", str(run), "--data", str(other), *arguments]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert re.search(r"nats per character \(.* bits, perplexity .*\): (not yet )?better than", printed)
    text_file = run.parent / "text.txt"
    moved = text_file.rename(tmp_path / "moved.txt")
    assert main(["eval", "--checkpoint", str(run), "--data", str(other)]) == 0
    printed = capsys.readouterr().out
    assert "nats per character" in printed
    assert "better than" not in printed
    moved.rename(text_file)


def test_very_short_files(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "short.txt"
    file.write_text("to")
    assert main(["eval", "--checkpoint", str(run), "--data", str(file), "--surprise"]) == 0
    assert "all 1 characters" in capsys.readouterr().out.replace("\n", " ")
    file.write_text("t")
    assert "too short" in refusal(main, "eval", "--checkpoint", str(run), "--data", str(file), "--surprise")


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "surprise.html"
    assert main(["eval", "--checkpoint", str(run), "--page", str(path), "--characters", "300"]) == 0
    return path


def test_the_page_contains_the_text_and_loads_nothing(page: Path, text: str) -> None:
    content = page.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:)", content)
    shown = re.search(r'<div id="text"[^>]*>(.*?)</div>', content, re.DOTALL)
    assert shown is not None
    plain = html.unescape(re.sub(r"<[^>]*>", "", shown[1])).replace("⏎", "").replace(" \n", "\n")
    start = len(text) * 9 // 10
    assert plain == text[start : start + 301]


def test_html_characters_are_escaped() -> None:
    seen = [Seen("<", 0.001, (("&", 0.9), ("</script>", 0.05)))]
    content = surprise_page("&", seen, levels="abcde", tables=[], title="<T>", sentence="s").html
    assert '&amp;<span class="s4">&lt;</span></div>' in content
    assert content.count("</script>") == content.count("<script")
    data = re.search(r'id="data">(.*?)</script>', content)
    assert data is not None
    assert json.loads(data[1]) == [["<", 0.001, [["&", 0.9], ["</script>", 0.05]]]]


def test_characters_answer_to_pointer_and_keys(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    assert browser.console == []
    assert [r for r in browser.requests if not r.startswith(("file:", "data:"))] == []
    browser.evaluate("document.getElementById('text').focus()")
    browser.key("ArrowRight")
    first = browser.evaluate("[DATA[0][0], document.getElementById('one').textContent]")
    assert first[1].startswith(f"“{first[0] if first[0] != ' ' else '␣'}” came with ")
    assert browser.evaluate("document.querySelectorAll('#one tbody tr').length") == 6
    browser.key("ArrowRight")
    assert browser.evaluate("chosen") == 1
    browser.key("ArrowDown")
    assert browser.evaluate("chosen") > 5
    browser.evaluate("marks[40].dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))")
    assert browser.evaluate("chosen") == 40
    cells = "[...document.querySelectorAll('#one tbody td:nth-child(2)')]"
    probabilities = browser.evaluate(f"{cells}.map(x => parseFloat(x.textContent))")
    assert probabilities == sorted(probabilities, reverse=True)
    before = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    browser.evaluate("document.getElementById('theme').click()")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") != before


@pytest.mark.axe
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible(browser: Browser, page: Path, theme: str) -> None:
    browser.open(page.as_uri())
    browser.evaluate(f"document.documentElement.dataset.theme = '{theme}'; choose(3, true)")
    check_accessible(browser)
