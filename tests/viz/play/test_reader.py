"""The playground's reader of a GPT, in Node, against the GPT of scalars: every shape, every part switched off."""

from __future__ import annotations

import json
import math
import random
from importlib.resources import files
from typing import Any

import pytest

from gpt.config import GPTConfig, TrainConfig
from gpt.engines.scalar import ScalarEngine
from gpt.inspection import surprisal
from gpt.model import GPT, Block, LayerCache
from gpt.sample import distribution, draw
from gpt.tokenizer import CharTokenizer
from tests.viz.play.in_node import Failed, run
from tinygrad_edu import functional as F
from tinygrad_edu import no_grad
from tinygrad_edu.nested import values_in
from tinygrad_edu.nn import ACTIVATIONS, LayerNorm, RMSNorm

pytestmark = pytest.mark.node
ALPHABET = "\n abcdé"


def in_node(ask: str, model: dict[str, Any] | None = None) -> Any:
    """Return what a function of JavaScript says about the reader of a model."""
    return run(f"return ({ask})(given ? new Reader(given) : null);", model)


def as_data(model: GPT, end: str | None = None) -> dict[str, Any]:
    """Return a model as the page has it."""
    weights = {name: [v.data for v in values_in([table])] for name, table in model.named_parameters()}
    config = {name: getattr(model.config, name) for name in vars(model.config)}
    return {"config": config, "alphabet": ALPHABET, "weights": weights, "end": end}


def made(seed: int = 0, **settings: Any) -> GPT:
    """Make a model whose every parameter, weights of norms and biases too, is a random number of a good size."""
    shape = {"vocab_size": len(ALPHABET), "block_size": 6, "n_layer": 2, "n_head": 2, "n_embd": 8, "init_std": 0.5}
    model = GPT(GPTConfig(**shape | settings), seed=seed).eval()
    rng = random.Random(seed)
    for p in model.no_decay_parameters():
        p.data += rng.gauss(0.0, 0.4)
    return model


CONFIGS: list[dict[str, Any]] = [
    {},
    {"n_layer": 1, "n_head": 1, "n_embd": 2, "block_size": 1},
    {"n_layer": 3, "n_head": 4, "positions": "rotary"},
    {"positions": "rotary", "bias": True, "tied_head": True, "norm": "layernorm", "norm_weight": True},
    {"norm": "layernorm", "norm_weight": True, "bias": False},
    {"norm": "layernorm", "bias": True, "n_embd": 6, "n_head": 3},
    {"norm_weight": True, "bias": True, "tied_head": True},
    *({"activation": name, "n_layer": 1} for name in ACTIVATIONS),
    {"dropout": 0.5},
    {"mlp_ratio": 2, "bias": True},
]
TOKENS = [4, 1, 2, 2, 6, 3]


def named(config: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in config.items()) or "default"


def close(found: Any, expected: Any) -> bool:
    return bool(found == pytest.approx(expected, rel=1e-9, abs=1e-9))


@pytest.mark.parametrize("config", CONFIGS, ids=named)
def test_it_computes_what_the_scalars_compute(config: dict[str, Any]) -> None:
    model = made(**config)
    tokens = TOKENS[: model.config.block_size]
    ask = f"reader => {{ const r = reader.read({tokens}); return [r.at('logits'), r.at('chance')]; }}"
    logits, chances = in_node(ask, as_data(model))
    with no_grad():
        expected = model(tokens)
        softmaxed = [F.softmax(row) for row in expected]
    size = len(tokens) * len(ALPHABET)
    assert close(logits[:size], [v.data for row in expected for v in row])
    assert close(chances[:size], [v.data for row in softmaxed for v in row])


class Ablated(Block):
    """A block of which parts are off, written a second time as plainly as possible."""

    off: set[str]
    name: str

    def forward(self, x: list[Any], cache: LayerCache | None = None) -> list[Any]:
        attended = self.attn([self.ln_1(v) for v in x], cache)
        x = [self.sum(v, a, "attn") for v, a in zip(x, attended, strict=True)]
        return [self.sum(v, self.mlp(self.ln_2(v)), "mlp") for v in x]

    def sum(self, before: list[Any], part: list[Any], name: str) -> list[Any]:
        part = [0.0 * v for v in part] if f"{self.name}.{name}" in self.off else part
        return part if f"{self.name}.bypass" in self.off else F.add(before, part)


def without(model: GPT, off: set[str]) -> GPT:
    """Switch parts of a model off."""
    config, hs = model.config, model.config.n_embd // model.config.n_head
    for i, block in enumerate(model.transformer.h):
        block.__class__ = Ablated
        block.off, block.name = off, f"h.{i}"
        for head in range(config.n_head):
            if f"h.{i}.head.{head}" in off:  # what it gathers counts for nothing
                for row in block.attn.c_proj.weight:
                    for value in row[head * hs : (head + 1) * hs]:
                        value.data = 0.0
        block.attn.rotary = block.attn.rotary and "positions" not in off
    model.transformer.learned = model.transformer.learned and "positions" not in off
    return model


SWITCHES = [
    {"h.0.head.1"},
    {"h.1.head.0", "h.0.head.0"},
    {"h.0.attn"},
    {"h.1.mlp"},
    {"positions"},
    {"h.0.bypass"},
    {"h.1.bypass", "h.1.attn"},
    {"positions", "h.0.mlp", "h.1.head.1"},
]


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize("off", SWITCHES, ids=lambda off: " ".join(sorted(off)))
def test_a_part_that_is_off_counts_for_nothing(off: set[str], positions: str) -> None:
    model = made(positions=positions, bias=True, norm_weight=True)
    data = as_data(model)
    with no_grad():
        whole = model.loss(TOKENS[:-1], TOKENS[1:]).data
        expected = without(model, off).loss(TOKENS[:-1], TOKENS[1:]).data
    ask = f"""reader => {{ const part = reader.without({TOKENS}, {sorted(off)[:1]})[0].loss;
      return [reader.loss({TOKENS}, new Set()), reader.loss({TOKENS}, new Set({sorted(off)})), part]; }}"""
    found = in_node(ask, data)
    assert close(found[:2], [whole, expected])
    assert close(found[2], expected) is (len(off) == 1)
    assert abs(whole - expected) > 1e-4


def test_writing_on_reads_what_is_new_and_finds_the_same_numbers() -> None:
    model = as_data(made(positions="rotary"))
    ask = f"""reader => {{
      const counts = [], forward = reader.forward;
      reader.forward = function (from, to) {{ counts.push(to - from); return forward.call(this, from, to); }};
      const fresh = tokens => new Reader({{ ...reader, alphabet: {json.dumps(ALPHABET)} }}).read(tokens).next();
      const same = [];
      for (const text of [[1, 2, 3], [1, 2, 3, 4], [1, 2, 5, 4], [1, 2, 5], [1, 2, 5, 6]]) {{
        const found = reader.read(text).next(), expected = fresh(text);
        same.push(found.every((x, i) => x === expected[i]));
      }}
      return [counts, same]; }}"""
    assert in_node(ask, model) == [[3, 1, 2, 1], [True] * 5]


@pytest.mark.parametrize("end", [None, "\n"], ids=["text", "documents"])
def test_the_surprise_of_a_text_is_that_of_the_command_line(end: str | None) -> None:
    model, tokenizer = made(block_size=5), CharTokenizer(ALPHABET)
    rng = random.Random(3)
    tokens = [0, *(rng.randrange(len(ALPHABET)) for _ in range(40))]
    seen = surprisal.read(ScalarEngine(model, TrainConfig()), tokenizer, tokens, 5, None if end is None else 0)
    expected = [one.surprise for one in seen]
    ask = f"""reader => {{ const one = reader.surprise({tokens}), grown = [];
      for (let n = 1; n <= {len(tokens)}; n++) grown.push(reader.surprise({tokens}.slice(0, n)).at(-1));
      return [one.slice(1), grown.slice(1), reader.loss({tokens}), [...reader.next()]]; }}"""
    whole, grown, loss, scores = in_node(ask, as_data(model, end))
    assert close(whole, expected)
    assert close(grown, expected)
    assert close(loss, math.fsum(expected) / len(expected))
    start = 36 if end is None else max(i for i, token in enumerate(tokens) if token == 0)
    with no_grad():
        assert close(scores, [v.data for v in model(tokens[start:])[-1]])


def test_every_number_is_explained_by_the_numbers_it_is_made_of() -> None:
    """Follow every row of every explanation, to the weights; sums and products are those of their rows."""
    ask = """reader => {
      const seen = new Set(), wrong = [], queue = ["loss", "h.0.qkv[3][2]", "h.1.ln_2[0][1]"];
      const kinds = new Set();
      while (queue.length) {
        const ref = queue.pop();
        if (seen.has(ref)) continue;
        seen.add(ref);
        const found = reader.explain(ref), values = found.rows.map(row => row.value);
        kinds.add(ref.replace(/\\[.*?\\]/g, "").replace(/\\*.*/, "*"));
        if (!found.title || !found.formula || !Number.isFinite(found.value)) wrong.push([ref, found]);
        const sum = values.reduce((a, b) => a + b, 0);
        const check = (x, why) => { if (!(Math.abs(x - found.value) < 1e-9)) wrong.push([ref, why, x, found.value]); };
        const sums = /(qkv|attn|fc|mlp|mix|logits|mid|out)\\[|^x\\[/.test(ref) && !ref.startsWith("transformer");
        if (ref.includes("*")) check(values[0] * values[1], "product");
        else if (sums) check(sum, "sum");
        else if (/scores\\[/.test(ref)) check(sum / 2, "score");
        else if (/weights\\[|chance\\[/.test(ref)) check(values[0] / sum, "softmax");
        for (const row of found.rows) {
          if (row.ref === null) continue;
          queue.push(row.ref);
          const itself = !row.text.startsWith("e^(") && !row.text.includes("squared") && !row.ref.includes("*");
          if (itself && Math.abs(row.value - reader.value(row.ref)) > 1e-12) wrong.push([ref, row]);
        }
      }
      return [wrong.slice(0, 5), seen.size, [...kinds].sort()]; }"""
    for settings in ({}, {"norm": "layernorm", "norm_weight": True, "bias": True, "positions": "rotary"}):
        model = as_data(made(**settings))
        told = ask.replace("reader => {", f"reader => {{ reader.surprise({TOKENS});", 1)
        wrong, count, kinds = in_node(told, model)
        assert wrong == []
        assert count > 3000
        tables = {name for name, _ in made(**settings).named_parameters()}
        assert tables <= set(kinds)
        assert {"x", "h.0.scores*", "h.1.mix*", "ln_f.scale", "chance", "surprise", "logits*"} <= set(kinds)


@pytest.mark.parametrize("config", [c for c in CONFIGS if c.get("block_size") != 1], ids=named)
def test_gradients_of_all_weights_are_those_of_the_scalars(config: dict[str, Any]) -> None:
    model = made(**config)
    model.loss(TOKENS[:-1], TOKENS[1:]).backward()
    found = in_node(f"reader => {{ reader.surprise({TOKENS}); return reader.gradients(true); }}", as_data(model))
    for name, table in model.named_parameters():
        assert close(found[name], [p.grad for p in values_in([table])]), name


@pytest.mark.parametrize("off", ["", "h.0.head.1,h.1.attn", "h.0.mlp,h.1.bypass", "positions"])
@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_gradients_of_a_long_text_with_parts_off_are_differences_of_its_loss(off: str, positions: str) -> None:
    model = as_data(made(positions=positions, bias=True, norm="layernorm", norm_weight=True), end="\n")
    text = [4, 1, 2, 2, 6, 3, 1, 1, 5, 2, 0, 4, 6, 1, 2]  # three windows, and the end of a document
    ask = f"""reader => {{
      const tokens = {text}, off = new Set({off.split(",")!r}.filter(Boolean)), pairs = [], step = 1e-5;
      reader.surprise(tokens, off);
      const found = reader.gradients(true), ends = [reader.from, [...reader.tokens]];
      for (const [name, numbers] of Object.entries(reader.weights)) for (let i = 0; i < numbers.length; i += 7) {{
        const at = by => {{
          const weights = {{ ...reader.weights, [name]: numbers.map((x, k) => k === i ? x + by : x) }};
          return new Reader({{ ...given, weights }}).loss(tokens, off);
        }};
        pairs.push([(at(step) - at(-step)) / (2 * step), found[name][i]]);
      }}
      return [pairs, ends[0] === reader.from && ends[1].join() === reader.tokens.join()]; }}"""
    pairs, same = in_node(ask, model)
    assert same
    assert len(pairs) > 100
    assert [found for _, found in pairs] == pytest.approx([expected for expected, _ in pairs], rel=1e-5, abs=1e-8)


def test_gradients_of_numbers_on_the_way_fit_those_of_the_weights() -> None:
    """A bias adds to each position: its gradient is the sum of theirs. The same holds for a position's own vector."""
    ask = f"""reader => {{
      reader.surprise({TOKENS});
      const T = {len(TOKENS)}, rows = n => Array.from({{ length: n }}, (_, i) => i), g = ref => reader.grad(ref);
      const sum = (name, i) => rows(T).reduce((total, t) => total + g(`${{name}}[${{t}}][${{i}}]`), 0);
      const pairs = [[g("h.1.scores[0][3][2]*1") * 2, g("h.1.scores[0][3][2]")]];
      for (const [name, table] of [["qkv", "attn.c_attn"], ["attn", "attn.c_proj"], ["fc", "mlp.c_fc"], ["mlp", "mlp.c_proj"]])
        for (const i of rows(8)) pairs.push([sum(`h.0.${{name}}`, i), g(`transformer.h.0.${{table}}.bias[${{i}}]`)]);
      for (const i of rows(8)) pairs.push([sum("h.0.ln_1", i), g(`transformer.h.0.ln_1.bias[${{i}}]`)], [g(`x[2][${{i}}]`), g(`transformer.wpe.weight[2][${{i}}]`)]);
      const first = g(`chance[0][${{reader.text.tokens[1]}}]`), p = reader.value(`chance[0][${{reader.text.tokens[1]}}]`);
      pairs.push([first, -1 / p / (T - 1)], [g("loss"), 1], [g("surprise[2]"), 1 / (T - 1)]);
      pairs.push([g("ln_f.scale[1]"), rows(8).reduce((s, i) => s + g(`ln_f[1][${{i}}]`) * (reader.value(`h.1.out[1][${{i}}]`) - reader.value("ln_f.mean[1]")) * reader.weights["transformer.ln_f.weight"][i], 0)]);
      return pairs; }}"""  # noqa: E501
    for a, b in in_node(ask, as_data(made(bias=True, norm="layernorm", norm_weight=True))):
        assert close(a, b)


def test_it_draws_the_characters_that_python_draws() -> None:
    rng = random.Random(5)
    cases = [
        (
            [rng.gauss(0, 2) for _ in range(9)],
            rng.choice([0.0, 0.5, 1.0, 2.0]),
            rng.choice([None, 1, 4]),
            p,
            rng.random(),
        )
        for p in (1.0, 0.9, 0.3)
        for _ in range(20)
    ]
    ask = f"""() => {json.dumps(cases)}.map(([scores, t, k, p, point]) => {{
      const chances = Reader.distribution(scores, t, k, p); return [[...chances], Reader.draw(chances, point)]; }})"""
    for (scores, t, k, p, point), (chances, token) in zip(cases, in_node(ask), strict=True):
        expected = distribution(scores, t, k, p)
        assert close(chances, expected)
        assert token == draw(expected, _At(point))


class _At(random.Random):
    def __init__(self, point: float) -> None:
        super().__init__()
        self.point = point

    def random(self) -> float:
        return self.point


def test_what_does_not_fit_is_one_sentence() -> None:
    data = as_data(made())
    ask = """reader => ["x", "aé\\nb", ""].map(text => {
      try { return reader.encode(text); } catch (error) { return error.message; } })"""
    assert in_node(ask, data) == [
        "“x” (character 1) is not among the 7 characters that this model knows", [2, 6, 0, 3], [],
    ]  # fmt: skip
    del data["weights"]["lm_head.weight"][3:]
    with pytest.raises(Failed, match=r"lm_head\.weight: expected 56 numbers, got 3"):
        in_node("reader => 1", data)


def test_norms_have_the_epsilon_of_the_library() -> None:
    source = files("viz").joinpath("play", "reader.js").read_text(encoding="utf-8")
    assert "const EPS = 1e-5;" in source
    assert RMSNorm(1).eps == LayerNorm(1).eps == 1e-5
