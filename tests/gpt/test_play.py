"""The playground's screen "Train a GPT": the same losses as Python, undo, files, the page itself, and the command."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import io
import itertools
import json
import math
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpt.cli import main
from gpt.config import PRESETS, GPTConfig, TrainConfig
from gpt.data.corpus import Corpus
from gpt.data.text import Text
from gpt.engines import make_engine
from gpt.engines.wasm import untrained
from gpt.model import GPT
from gpt.pictures import trainer
from gpt.runs import checkpoint
from gpt.train import learning_rate
from tests.commands import refusal
from tests.gpt.test_exchange import made_run
from tests.viz.browser import Browser
from tests.viz.charts import check_accessible
from tests.viz.play.in_node import run
from tests.viz.play.screens import opening
from tinygrad_edu.nested import values_in
from viz import cli as viz_cli
from viz.play.page import play_page

TOOLS = (Path(__file__).parents[1] / "viz" / "play" / "meddle.js").read_text(encoding="utf-8")
ROOM = 30  # characters of the models in these tests
SHAPES: dict[str, dict[str, Any]] = {
    "micro": {**PRESETS["micro"].model, "vocab_size": ROOM, "n_embd": 8, "n_head": 2, "block_size": 8},
    "tinylm": {**PRESETS["tinylm"].model, "vocab_size": ROOM, "n_embd": 12, "block_size": 6},
    "nano": {**PRESETS["nano"].model, "vocab_size": ROOM, "n_embd": 8, "n_head": 2, "n_layer": 2, "block_size": 8},
}
TRAIN: dict[str, Any] = {"batch_size": 5, "warmup_steps": 8, "eval_interval": 5, "eval_sequences": 12, "grad_clip": 0.5}
SETTINGS = {
    "size": "micro", "size2": "micro", "rate": 0.02, "rate2": 0.001, "steps": 40, "seed": "7", "seed2": 3,
    "race": False, "every": 10, "temperature": 0.8, "prompt": "", "line": "the", "text": "own", "own": "",
}  # fmt: skip

#: Makes the model of the screen; `given` has the settings, and the bytes of assets in base64.
MAKE = """
const bytes = (name) => {
  if (!given.assets[name]) throw new Error(name);
  return Uint8Array.from(Buffer.from(given.assets[name], "base64"));
};
const model = await MODELS.train.make({ ...given.settings }, async (name) => bytes(name));
const steps = (n) => Array.from({ length: n }, () => { model.keep(); model.step(); return model.loss; });
"""


def prose(characters: str, length: int = 1500, seed: int = 1) -> str:
    """Return words of some characters."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(characters, k=rng.randrange(1, 6))) for _ in range(30)]
    return " ".join(rng.choices(words, k=length // 4))


def lines(seed: int = 2) -> str:
    """Return documents of several lengths, some beyond a context."""
    rng = random.Random(seed)
    return "\n".join("".join(rng.choices("abcdefg", k=rng.randrange(1, 13))) for _ in range(80))


@functools.cache
def asset(name: str) -> str:
    """Return a module in base64."""
    return base64.b64encode(untrained(GPTConfig(**SHAPES[name]), TrainConfig(**TRAIN)).bytes).decode()


def python(size: str, text: Text, steps: int, rates: list[tuple[int, float]]) -> tuple[list[float], list[float]]:
    """Return the losses of training, and of validation, as Python computes them."""
    shape, train = GPTConfig(**SHAPES[size]), TrainConfig(**TRAIN, lr=0.02, min_lr=0.002, steps=40, seed=7)
    corpus = Corpus.from_text(text, shape.block_size)
    engine = make_engine(GPT(shape, seed=train.seed), train)
    check = corpus.validation(shape.block_size, train.eval_sequences)
    losses, checks = [], [engine.evaluate(check)]
    for step in range(steps):
        rate = [rate for since, rate in rates if since <= step][-1]
        batch = corpus.batch(shape.block_size, train.batch_size, train.seed, step)
        lr = learning_rate(dataclasses.replace(train, lr=rate, min_lr=rate / 10), step)
        losses.append(engine.step(batch, lr, "")[0])
        if (step + 1) % train.eval_interval == 0:
            checks.append(engine.evaluate(check))
    return losses, checks


@pytest.mark.native
@pytest.mark.node
@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("documents", [False, True], ids=["text", "lines"])
def test_losses_are_those_of_python(size: str, documents: bool) -> None:
    text = lines() if documents else prose("abcdefghijkl,.")
    given = {"settings": {**SETTINGS, "size": size, "own": text, "text": "lines" if documents else "own"}}
    code = f"""{MAKE}
    const losses = steps(12);
    model.change({{ ...given.settings, rate: 0.005 }});
    losses.push(...steps(8));
    return {{ losses, checks: model.a.checks.losses, rates: model.a.rates, ladder: model.ladder }};"""
    found = run(code, {**given, "assets": {f"step-{size}": asset(size)}}, screens=("train",))
    own = Text("own", (text,), documents=documents)
    losses, checks = python(size, own, 20, [(0, 0.02), (12, 0.005)])
    assert found["losses"] == pytest.approx(losses, rel=1e-4)
    assert found["checks"] == pytest.approx(checks, rel=1e-4)
    assert losses[-1] < losses[0] - 0.1
    counted = Corpus.from_text(own, 8).baselines()[1:]
    assert [rung["y"] for rung in found["ladder"]] == pytest.approx(
        [math.log(ROOM), *(b.loss for b in counted)], rel=1e-9
    )


@pytest.mark.native
@pytest.mark.node
def test_undo_takes_every_number_back_and_a_second_run_is_one_of_its_own() -> None:
    settings = {**SETTINGS, "own": prose("abcdefgh"), "race": True, "every": 2}
    code = f"""{MAKE}
    const kept = [], losses = [], second = [];
    for (let n = 0; n < 9; n++) {{
      kept.push(model.keep());
      await model.step();
      losses.push(model.loss);
      second.push(model.b.loss);
    }}
    model.a.every = 4;  // as for a large model, whose numbers are kept now and then
    model.a.kept = model.a.kept.filter(({{ step }}) => step % 4 === 0);
    await model.back(kept[6]);
    const again = [model.a.step, model.b.step, model.samples.length];
    await model.step();
    return {{ losses, second, again, then: [model.loss, model.b.loss], curve: model.a.curve.losses.length }};"""
    found = run(code, {"settings": settings, "assets": {"step-micro": asset("micro")}}, screens=("train",))
    assert found["again"] == [6, 6, 3]
    assert found["then"] == [found["losses"][6], found["second"][6]]
    assert found["curve"] == 7
    assert found["losses"][3] != found["second"][3]


@pytest.mark.native
@pytest.mark.node
def test_rare_characters_make_room_and_the_file_is_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = prose("abcdefghijklmnopqrstuvwxyzäöüß") + "Zürich: 1 2 3"
    settings = {**SETTINGS, "size": "tinylm", "own": text}
    code = f"""{MAKE}
    steps(3);
    const {{ text: about, attention }} = model.frame();
    return {{ about, attention, parameters: model.a.model.parameters["transformer.h.0.mlp.c_fc.weight"], val: model.val,
      file: Array.from(model.ask({{ what: "file", source: {{}} }})) }};"""
    found = run(code, {"settings": settings, "assets": {"step-tinylm": asset("tinylm")}}, screens=("train",))
    about = found["about"]
    assert about["alphabet"] == ROOM
    assert len(about["replaced"]) == len(set(text)) - ROOM + 1
    assert set(about["whole"]) == set(text) - set(about["replaced"]) | {"□"}
    assert len(about["whole"]) == len(text)
    letters, first = found["attention"]["letters"], found["attention"]["heads"][0]["weights"]
    assert sum(first[-len(letters) :]) == pytest.approx(1.0)  # the last row

    file, kept = tmp_path / "model.safetensors", tmp_path / "text.txt"
    file.write_bytes(bytes(found["file"]))
    kept.write_text(about["whole"], encoding="utf-8")
    assert main(["import", str(file), str(tmp_path / "run"), "--data", str(kept)]) == 0
    model, config, tokenizer, step = checkpoint.load_model(tmp_path / "run")
    assert (step, config.model.mlp_ratio, tokenizer.vocab_size, config.train.lr) == (3, 2, ROOM, 0.02)
    hidden = model.transformer.h[0].mlp.c_fc.weight
    assert [w.data for row in hidden for w in row] == pytest.approx(found["parameters"])
    assert main(["sample", "--checkpoint", str(tmp_path / "run"), "--max-new-tokens", "5"]) == 0
    assert main(["eval", "--checkpoint", str(tmp_path / "run")]) == 0
    assert "knows all triples" in capsys.readouterr().out


@pytest.mark.native
@pytest.mark.node
def test_every_table_of_the_file_is_in_its_place(tmp_path: Path) -> None:
    """In two layers many tables have one shape: the losses of the model that is imported tell them apart."""
    letters = "abcdefghijklmnopqrstuvwxyz,.-"  # with the space as many characters as there is room for
    text = f"{prose(letters)} {letters}"
    code = f"""{MAKE}
    steps(10);
    return {{ val: model.val, parameters: model.a.model.parameters,
      file: Array.from(model.ask({{ what: "file", source: {{}} }})) }};"""
    given = {"settings": {**SETTINGS, "size": "nano", "own": text}, "assets": {"step-nano": asset("nano")}}
    found = run(code, given, screens=("train",))
    file, kept = tmp_path / "model.safetensors", tmp_path / "text.txt"
    file.write_bytes(bytes(found["file"]))
    kept.write_text(text, encoding="utf-8")
    assert main(["import", str(file), str(tmp_path / "run"), "--data", str(kept)]) == 0
    model, config, _, _ = checkpoint.load_model(tmp_path / "run")
    imported = {name: [x.data for x in values_in(table)] for name, table in model.named_parameters()}
    assert sum(len(x) == len(y) for x, y in itertools.combinations(imported.values(), 2)) > 4
    assert {name: found["parameters"][name] for name in imported} == {
        name: pytest.approx(numbers) for name, numbers in imported.items()
    }
    check = Corpus.from_text(Text("own", (text,)), 8).validation(8, TRAIN["eval_sequences"])
    assert make_engine(model, config.train).evaluate(check) == pytest.approx(found["val"], rel=1e-4)


@pytest.mark.native
@pytest.mark.node
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"own": " "}, "there is no text yet: paste at least 90 characters"),
        ({"own": "", "text": "lines"}, "there is no text yet: paste at least two lines"),
        ({"own": "too short"}, "the text is too short: it has 9 characters, and a context of 8 needs at least 90"),
        ({"own": "one", "text": "lines"}, "the text has fewer than two lines"),
        ({"own": prose("abc"), "rate": 1e30}, "at a learning rate of 3.3e+29"),
    ],
    ids=["nothing", "no lines", "short", "one line", "diverges"],
)
def test_what_cannot_be_trained_is_said(settings: dict[str, Any], sentence: str) -> None:
    code = f"""{MAKE}
    try {{ steps(9); return ""; }} catch (error) {{ return [error.name, error.message]; }}"""
    given = {"settings": {**SETTINGS, **settings}, "assets": {"step-micro": asset("micro")}}
    assert sentence in run(code, given, screens=("train",))[1]


@pytest.mark.native
@pytest.mark.node
def test_steps_end_a_training_and_a_second_run_begins_at_any_time() -> None:
    settings = {**SETTINGS, "own": prose("abcdefgh"), "seed2": 7, "rate2": 0.02}
    code = f"""{MAKE}
    const alone = steps(6), seen = [];
    await model.change({{ ...given.settings, race: true }});
    const first = model.b.step;
    while (model.b.step < model.a.step || model.a.step < 7) await model.step();
    const second = Array.from(model.b.curve.losses);
    await model.change({{ ...given.settings, race: true, steps: 12 }});
    while (!model.done) await model.step();
    seen.push(model.at, model.b.step, model.a.rates.at(-1).steps);
    await model.change({{ ...given.settings, race: true, steps: 14 }});
    while (!model.done) await model.step();
    return {{ alone, first, second, seen, then: model.at }};"""
    found = run(code, {"settings": settings, "assets": {"step-micro": asset("micro")}}, screens=("train",))
    assert found["first"] == 0
    assert found["second"][:6] == found["alone"]  # the same seed and rate
    assert found["seen"] == [12, 12, 12]
    assert found["then"] == 14


@pytest.mark.native
@pytest.mark.node
def test_raced_runs_are_equal_exactly_when_their_seeds_are() -> None:
    code = f"""{MAKE}
    const first = [], second = [];
    for (let n = 0; n < 4; n++) {{
      model.keep();
      await model.step();
      first.push(model.loss);
      second.push(model.b?.loss);
    }}
    return [first, second];"""
    settings = {**SETTINGS, "own": prose("abcdefgh"), "rate2": SETTINGS["rate"]}

    def losses(**more: Any) -> list[list[float]]:
        given = {"settings": {**settings, **more}, "assets": {"step-micro": asset("micro")}}
        return list(run(code, given, screens=("train",)))

    same, other, alone = losses(race=True, seed2=7), losses(race=True, seed2=3), losses(seed="3")
    assert same[1] == same[0]
    assert other[0] == same[0]
    assert other[1] == alone[0]
    assert all(x != y for x, y in zip(*other, strict=True))


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("play")
    (folder / "own.txt").write_text(prose("abcdefghijklmnopqrstuvw", 6000), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            trainer, "SIZES", {name: {**trainer.SIZES[name], "eval_interval": 10} for name in ("micro", "tinylm")}
        )
        arguments = ["play", "--data", str(folder / "own.txt"), "-o", str(folder / "play.html"), "--no-open"]
        assert main(arguments) == 0
    return folder / "play.html"


@pytest.fixture
def opened(browser: Browser, page: Path) -> Iterator[Callable[..., Browser]]:
    with opening(browser, page) as open_screen:
        yield lambda more="", **size: open_screen(f"train&text=text{more}", **size)


@pytest.mark.browser
@pytest.mark.native
@pytest.mark.parametrize(
    "more", ["", "&race=1&rate2=0.02&seed2=4", "&size=tinylm&text=names"], ids=["one", "two", "names"]
)
def test_the_page_and_its_python_print_the_same_losses(
    opened: Callable[..., Browser], more: str, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = opened(f"{more}&run=20")
    browser.evaluate("document.getElementById('python').click()")
    program = browser.evaluate("document.getElementById('python-text').textContent")
    assert str(page.parent) not in program  # nothing of the machine on which the page was made
    assert re.findall(r"seed=(\d+)", program)[:2] == (["1", "4"] if "race" in more else ["1"])
    monkeypatch.chdir(page.parent)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(program, "shown", "exec"), {})
    for word, curve in (("loss", "curve"), ("validation", "checks")):
        printed = [float(x) for x in re.findall(rf"{word} (\S+)", said.getvalue())]
        shown = browser.evaluate(
            f"[now.frame.a, now.frame.b].filter(Boolean).flatMap((run) => Array.from(run.{curve}.losses))"
        )
        assert shown == pytest.approx(printed, abs=1e-4)
    assert float(browser.evaluate("document.body.dataset.loss")) == shown[-1] or len(printed)
    assert browser.evaluate("document.body.dataset.step") == "20"


@pytest.mark.browser
@pytest.mark.native
def test_controls_keys_and_undo(opened: Callable[..., Browser]) -> None:
    browser = opened()
    quiet = "document.body.dataset.busy === ''"
    for key, step in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
        browser.key(key)
        browser.wait_for(f"document.body.dataset.step === '{step}'")
        browser.wait_for(quiet)
    browser.key(" ", " ")
    browser.wait_for("Number(document.body.dataset.step) > 30", 30)
    browser.key(" ", " ")
    browser.wait_for(quiet)
    for change in ("size", "over"):
        browser.evaluate(
            f"{{ const it = document.getElementById('set-{change}'); it.value = it.options[1].value; "
            "it.dispatchEvent(new Event('change', { bubbles: true })); }"
        )
        browser.wait_for(quiet, 30)
    browser.wait_for(f"now.frame.a.config.mlp_ratio === 2 && {quiet}", 30)  # a new model is made a little later
    assert "size=tinylm" in browser.evaluate("addressOf('train', now.settings)")
    assert browser.evaluate("now.settings.rate") == 0.01
    for name in ("Write now", "Download"):
        browser.evaluate(
            f"[...document.querySelectorAll('#place button')].find((one) => one.textContent === '{name}').click()"
        )
    browser.wait_for("document.querySelector('.how').textContent.includes('gpt import tinylm-')")
    assert "--data own.txt" in browser.evaluate("document.querySelector('.how').textContent")
    browser.evaluate("document.querySelector('[aria-label=\"steps: 100 more\"]').click()")
    assert browser.evaluate("now.settings.steps") == 2100
    x, y = browser.evaluate(
        "(picture => { const box = picture.getBoundingClientRect(); return [box.x + 5, box.y + 23]; })"
        "(document.querySelector('canvas[aria-label^=\"layer 1, head 1\"]'))"
    )
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    browser.wait_for("document.getElementById('place').innerText.includes('looks at “t”, itself: 1.')")
    browser.key("ArrowRight")
    browser.evaluate("set({ prompt: 'aß' })")
    browser.wait_for("document.querySelector('.written').textContent.includes('the text has no ß')")
    assert "layer 1: q, k, v" in browser.evaluate("document.querySelector('.gradients').textContent")
    browser.wait_for(f"Number(document.body.dataset.step) > 0 && {quiet}", 20)
    browser.evaluate(
        "[...document.querySelectorAll('#place button')].find((one) => one.textContent === 'Download').click()"
    )
    browser.wait_for("!document.querySelector('.how').textContent.includes('-0.')")
    browser.evaluate("document.getElementById('reset').click()")
    browser.wait_for(f"document.body.dataset.step === '0' && {quiet}", 20)
    assert browser.evaluate("document.querySelector('.how').textContent") == ""  # it was about the model before


@pytest.mark.browser
@pytest.mark.native
def test_undo_takes_back_settings(opened: Callable[..., Browser]) -> None:
    browser = opened("&run=5")
    for rate in (0.1, 0.2, 0.3):  # one drag
        browser.evaluate(f"set({{ rate: {rate} }})")
        browser.wait_for(f"now.frame.a.rates.at(-1).rate === {rate}")
    browser.key("ArrowRight")
    browser.wait_for("document.body.dataset.step === '6' && document.body.dataset.busy === ''", 20)
    for step, rate in ((5, 0.3), (5, 0.01), (4, 0.01)):
        browser.evaluate("document.getElementById('undo').click()")
        browser.wait_for(f"document.body.dataset.step === '{step}' && now.settings.rate === {rate}")
    assert browser.evaluate("now.frame.a.rates.map((one) => one.rate)") == [0.01]


@pytest.mark.browser
@pytest.mark.native
@pytest.mark.parametrize("over", ["steps", "seconds"])
def test_the_sentence_of_a_race_compares_what_was_measured_at_once(opened: Callable[..., Browser], over: str) -> None:
    browser = opened(f"&race=1&size2=tinylm&rate2=0.01&over={over}")
    browser.evaluate("document.getElementById('play').click()")
    browser.wait_for("now.frame.b?.step > 14", 30)
    browser.evaluate("document.getElementById('play').click()")
    browser.wait_for(
        "document.body.dataset.busy === ''"
        " && String(now.frame.ahead?.steps) === String([now.frame.a.step, now.frame.b.step])"
        " && document.querySelector('.verdict').textContent.includes(number(now.frame.ahead.vals[0]))",
        30,
    )
    a, b, ahead = browser.evaluate("[now.frame.a.step, now.frame.b.step, now.frame.ahead]")
    assert ahead["steps"] == [a, b]
    said = browser.evaluate("document.querySelector('.verdict').textContent")
    x, y = map(float, re.findall(r"validation (\S+) and (\S+), both measured after", said)[0])
    assert (x, y) == pytest.approx(ahead["vals"], rel=1e-3)
    assert f"Run {1 if x < y else 2} is ahead by" in said
    assert ahead["vals"][1] < browser.evaluate("now.frame.b.checks.losses[0]")
    assert said.startswith(
        f"Validation loss {browser.evaluate('number(now.frame.ahead.vals[0])')}. "
    )  # not that of step 0
    if over == "steps":  # at different steps nobody is ahead
        said = browser.evaluate(  # in one breath: the next frame draws anew
            "now.view.draw({ ...now.frame, ahead: { ...now.frame.ahead, steps: [9, 7] } }),"
            " document.querySelector('.verdict').textContent"
        )
        assert "after 9 steps; run 2: " in said
        assert "is ahead" not in said


@pytest.mark.browser
@pytest.mark.native
def test_the_first_loss_is_shown_after_a_guess_or_a_step(opened: Callable[..., Browser]) -> None:
    inside, footer = "document.getElementById('place').innerText", "document.getElementById('status').textContent"
    for answered in ("document.querySelector('#place form button').click()", "document.getElementById('step').click()"):
        browser = opened()
        shown = f"{float(browser.evaluate('document.body.dataset.val')):.4g}"
        assert shown not in browser.evaluate(f"{inside} + {footer}")
        assert "guessing" not in browser.evaluate("document.querySelector('#place canvas').getAttribute('aria-label')")
        browser.evaluate("document.getElementById('train-guess').value = 'four'")
        browser.evaluate("document.querySelector('#place form button').click()")
        assert "Type a number from 0 to 100" in browser.evaluate(inside)
        browser.evaluate("document.getElementById('train-guess').value = '3,5'")
        browser.evaluate(answered)
        browser.wait_for(f"{inside}.includes('Validation loss {shown}') && document.body.dataset.busy === ''")
        assert browser.evaluate("document.getElementById('train-guess').closest('form').hidden")
        for _ in range(2):  # the answer stays while it trains
            assert ("You said 3.5; it is " in browser.evaluate(inside)) == (answered.find("step") < 0)
            browser.evaluate("document.getElementById('step').click()")
            browser.wait_for("document.body.dataset.step !== '0' && document.body.dataset.busy === ''")


@pytest.mark.browser
@pytest.mark.native
def test_a_text_of_ones_own_is_pasted_and_undo_brings_the_last_model_back(opened: Callable[..., Browser]) -> None:
    browser = opened("&run=12&rate=0.03")
    choose = (
        "(([id, value, kind]) => { const it = document.getElementById(id); it.value = value; "
        "it.dispatchEvent(new Event(kind, { bubbles: true })); })"
    )
    before = browser.evaluate("document.body.dataset.loss")
    browser.evaluate(f"{choose}(['set-text', 'own', 'change'])")
    browser.wait_for("now.frame.waiting && document.body.dataset.busy === ''", 20)
    assert browser.evaluate("document.activeElement.id") == "set-own"
    assert "at least 170 characters" in browser.evaluate("document.getElementById('place').innerText")
    browser.evaluate(f"{choose}(['set-own', {json.dumps(prose('abcdefg'))}, 'input'])")
    browser.wait_for("now.frame.a && !now.locked && document.body.dataset.busy === ''", 20)
    assert "◀ brings back the model you had, of 12 steps" in browser.evaluate("document.body.innerText")
    browser.evaluate("document.getElementById('undo').click()")
    browser.wait_for("document.body.dataset.step === '12' && document.body.dataset.busy === ''", 20)
    assert browser.evaluate("document.body.dataset.loss") == before
    assert browser.evaluate("[now.settings.text, now.settings.rate]") == ["text", 0.03]
    browser.evaluate(f"{choose}(['set-steps', '1', 'change'])")
    assert "from 100 to 20,000" in browser.evaluate("document.getElementById('said').textContent")
    browser.evaluate(f"{choose}(['set-steps', '100', 'change'])")
    browser.evaluate("document.getElementById('play').click()")
    browser.wait_for("now.done && !now.running && document.body.dataset.busy === ''", 60)
    assert browser.evaluate("document.body.dataset.step") == "100"
    assert "all 100 steps are made" in browser.evaluate("document.getElementById('locked').textContent")


@pytest.mark.browser
@pytest.mark.native
def test_every_control_can_be_used(opened: Callable[..., Browser]) -> None:
    browser = opened("&race=1")
    browser.evaluate(f"{TOOLS}; window.found = null; meddle().then((all) => {{ window.found = all; }}); 0")
    browser.wait_for("window.found !== null", 240)
    assert browser.evaluate("window.found") == []


@pytest.mark.browser
@pytest.mark.native
def test_the_model_is_read_in_another_screen(opened: Callable[..., Browser]) -> None:
    browser = opened("&size=tinylm&run=20")
    browser.evaluate("document.querySelector('[data-leaves]').click()")
    browser.wait_for("document.body.dataset.screen === 'read' && document.body.dataset.busy === ''", 30)
    assert browser.evaluate("document.body.dataset.error") == ""
    assert browser.evaluate("now.frame.config.mlp_ratio") == 2
    assert browser.evaluate("now.frame.snapshots[0].step") == 20
    assert browser.evaluate("now.frame.chances.length") == 24  # a row per character of the text


@pytest.mark.browser
@pytest.mark.native
@pytest.mark.parametrize(
    ("factor", "word"), [(1, "None vanishes or explodes"), (1e-9, ": vanishes."), (1e9, ": explodes.")]
)
def test_a_gradient_that_vanishes_or_explodes_is_named(
    opened: Callable[..., Browser], factor: float, word: str
) -> None:
    browser = opened("&size=tinylm&run=5")
    flow = f"now.frame.flow.map((one, i) => (i ? one : {{ ...one, size: one.size * {factor} }}))"
    browser.evaluate(f"now.view.draw({{ ...now.frame, flow: {flow} }})")
    assert word in browser.evaluate("document.getElementById('place').innerText")


@pytest.mark.browser
@pytest.mark.native
def test_a_training_that_diverges_goes_back_ten_steps(opened: Callable[..., Browser]) -> None:
    browser = opened("&size=tinylm&run=15")
    browser.evaluate("set({ rate: 100 }); start()")
    browser.wait_for("document.body.dataset.error !== '' && document.body.dataset.busy === ''", 20)
    said, step = browser.evaluate("[document.body.dataset.error, Number(document.body.dataset.step)]")
    assert re.match(rf"Step {step + 1}: the (loss|gradient) became \w+ at a learning rate of", said)
    browser.evaluate("document.getElementById('trouble-back').click()")
    browser.wait_for(f"Number(document.body.dataset.step) <= {step} - 9", 20)
    assert browser.evaluate("now.settings.rate") == 50
    browser.key("ArrowRight")
    browser.wait_for(f"Number(document.body.dataset.step) > {step} - 10 && document.body.dataset.busy === ''", 20)
    assert browser.evaluate("document.body.dataset.error") == ""
    assert browser.evaluate("now.frame.a.rates.at(-1).rate") == 50


@pytest.mark.browser
@pytest.mark.native
@pytest.mark.axe
@pytest.mark.parametrize("look", ["light", "dark", "beamer"])
def test_the_page_keeps_nobody_out(opened: Callable[..., Browser], look: str) -> None:
    check_accessible(opened(f"&theme={look}&run=3&race=1"))


@pytest.mark.browser
@pytest.mark.native
def test_the_page_fits_a_projector_and_a_phone(opened: Callable[..., Browser]) -> None:
    browser = opened("&run=12")
    assert browser.evaluate(
        "[document.documentElement.scrollWidth <= 1280, document.documentElement.scrollHeight <= 720]"
    ) == [True, True]
    assert browser.evaluate(f"{TOOLS}; small()") == []
    for more in ("&run=12", "&run=12&race=1", ""):
        assert opened(f"{more}&theme=beamer").evaluate("document.documentElement.scrollHeight") == 720
    assert opened("&run=3&race=1", width=375, height=812).evaluate("document.documentElement.scrollWidth") <= 375


@pytest.mark.browser
@pytest.mark.native
def test_training_never_holds_up_the_page(opened: Callable[..., Browser]) -> None:
    browser = opened()
    browser.evaluate(
        "window.long = []; document.getElementById('play').click();"
        "new PerformanceObserver((list) => long.push(...list.getEntries())).observe({ type: 'longtask' })"
    )
    browser.wait_for("Number(document.body.dataset.step) > 300", 60)
    assert browser.evaluate("now.frame.history.steps.length") > 100
    assert json.loads(browser.evaluate("JSON.stringify(now.frame.flow.map((table) => table.size > 0))")) == [True] * 7


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.native
def test_the_page_keeps_to_its_size_with_all_compiled_steps() -> None:
    assets, facts = trainer.steps(None)
    assert list(assets) == [f"step-{name}" for name in trainer.SIZES]
    assert len(play_page(assets, {"train": facts}).html.encode()) < 600_000


@pytest.fixture
def one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "SIZES", {"micro": trainer.SIZES["micro"]})


@pytest.mark.native
def test_a_page_of_a_run_is_written_next_to_it(
    one_size: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_run(tmp_path / "run")
    for program, folder in ((main, "run"), (viz_cli.main, "run")):
        assert program(["play", str(tmp_path / folder), "--no-open"]) == 0
        written = tmp_path / "run" / "play.html"
        assert written.absolute().as_uri() in capsys.readouterr().out
        content = written.read_text(encoding="utf-8")
        assert all(f'id="asset-{name}"' in content for name in ("read", "step-micro"))
        written.unlink()


def test_a_playground_without_a_run_names_the_newest_that_it_could_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trainer, "steps", lambda corpus: ({}, {}))
    monkeypatch.chdir(tmp_path)
    assert main(["play", "--no-open"]) == 0
    assert "your model" not in capsys.readouterr().out
    for age, name in enumerate(("runs/damaged", "runs/my own", "runs/older")):
        made_run(tmp_path / name)
        os.utime(tmp_path / name / checkpoint.CONFIG, (1e9 - age, 1e9 - age))
    (tmp_path / "runs/damaged" / checkpoint.MODEL).unlink()
    assert main(["play", "--no-open"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("To read your model in it, too: python -m gpt play 'runs/my own'\n")
    assert main(["play", "runs/older", "--no-open"]) == 0
    assert "your model" not in capsys.readouterr().out


def test_a_page_keeps_four_snapshots_of_a_run(tmp_path: Path, train_in: Callable[..., Path]) -> None:
    run = train_in(tmp_path, "--steps", "12", "--keep", "7")
    assert main(["play", str(run), "--no-open"]) == 0
    content = (run / "play.html").read_text(encoding="utf-8")
    assert len(re.findall(r'id="asset-read-\d+"', content)) == 4


def test_a_name_that_no_page_can_have_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "steps", lambda corpus: pytest.fail("compiled for nothing"))
    assert "must end in one of .html, .htm" in refusal(main, "play", "-o", str(tmp_path / "page.txt"), "--no-open")


@pytest.mark.native
def test_nothing_is_downloaded_unasked(
    one_size: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["play", "--no-open"]) == 0
    said = capsys.readouterr().out
    assert "--dataset shakespeare gets one" in said
    assert 'id="asset-text"' not in (tmp_path / "play.html").read_text(encoding="utf-8")


def test_without_llvmlite_the_page_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tinygrad_edu.compiler.native.available", lambda: False)
    monkeypatch.setenv("DISPLAY", ":0")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main(["play", "-o", str(tmp_path / "play.html")]) == 0
    assert "made without llvmlite" in capsys.readouterr().out
    content = (tmp_path / "play.html").read_text(encoding="utf-8")
    assert "asset-step" not in content
    assert "made without llvmlite" in content
    assert opened == [(tmp_path / "play.html").as_uri()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--best"], "--best is about a run: give its folder, too"),
        (["--data", "nowhere.txt"], "there is no file"),
        (["--data", "short.txt"], "the models of the page need at least 650; use a longer text"),
        (["--data", "many.txt"], "has 300 different characters, and the models of the page know 256"),
        (["nowhere"], "nowhere"),
        (["-o", "play.txt"], "play.txt"),
    ],
    ids=["best", "no file", "short", "many", "no run", "name"],
)
def test_refusals(
    one_size: None, arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(tmp_path))
    Path("short.txt").write_text("short")
    Path("many.txt").write_text("".join(map(chr, range(0x4E00, 0x4E00 + 300))) * 5, encoding="utf-8")
    assert words in refusal(main, "play", *arguments, "--no-open")
