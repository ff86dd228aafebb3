"""Names in the playground: four models that train as in Python, what counting reaches, and what the model writes."""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt.config import GPTConfig
from gpt.data.corpus import Corpus
from gpt.data.text import Text
from gpt.model import GPT
from gpt.sample import ScalarScorer, distribution, generate
from tests.viz.play.in_node import run
from tinygrad_edu.functional import attention_weights

pytestmark = pytest.mark.node

SCREENS = ("names",)
SCREEN = (Path(__file__).parents[3] / "viz" / "play" / "screen_names.js").read_text(encoding="utf-8")
#: The screen's half in the page, without a page: its settings at their defaults, and its Python.
PAGE = (
    "const SCREENS = {}, screen = (name, what) => { SCREENS[name] = what; }, hidden = value => value;"
    "const slider = (label, value) => value, choice = slider, whole = slider, tick = slider, words = slider;"
    f"{SCREEN}\n"
    "const settings = { ...SCREENS.names.settings, seed: '1', speed: '0', ...given };"
)
CHILDREN = "Ada, Ben, Cleo, Dora, Emil, Finn, Gus, Hanna, Ida, Jürgen, Anna Maria, O'Neal"
RUNS = {
    "counting": {"model": "counting"},
    "counting in threes": {"model": "counting", "smooth": 0.1, "batch": "4", "names": CHILDREN},
    "pairs": {"model": "bigram", "rate": 0.1},
    "window": {"model": "mlp", "rate": 0.01},
    "window of one": {"model": "mlp", "window": "1", "embedding": "2", "hidden": "8", "batch": "2", "seed": "5"},
    "gpt": {"model": "gpt", "width": "8", "heads": "2"},
    "gpt of two layers": {
        "model": "gpt", "width": "4", "heads": "1", "layers": "2", "context": "4", "batch": "2", "positions": False,
        "seed": "3", "names": CHILDREN,
    },
}  # fmt: skip


def text_of(names: list[str]) -> Corpus:
    text = "\n".join(names) + "\n"
    return Corpus.from_text(Text("names", (text,), (), documents=True), 16)


@pytest.mark.parametrize("given", RUNS.values(), ids=RUNS)
def test_twenty_steps_are_python_s(given: dict[str, Any], tmp_path: Path) -> None:
    page = run(
        PAGE
        + """
        const model = new MODELS.names(settings), losses = [];
        for (let i = 0; i < 20; i++) { model.step(); losses.push(model.loss); }
        const { tape, base } = model.model;
        const part = array => Array.from(array?.slice(0, base) ?? []);
        return { losses, gradients: part(tape?.grad), parameters: part(tape?.data),
          python: SCREENS.names.python(settings, model.frame(), 20) };
        """,
        given,
        screens=SCREENS,
    )
    program = page["python"]
    if page["parameters"]:
        program += "import json\nfound = model.parameters()\n"
        program += "print(json.dumps([[p.grad for p in found], [p.data for p in found]]))\n"
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")], cwd=Path(__file__).parents[3], text=True, capture_output=True,
        check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    losses = [float(line.split()[1]) for line in lines[:20]]
    assert page["losses"] == pytest.approx(losses, rel=0, abs=1e-9)
    if page["parameters"]:
        gradients, parameters = json.loads(lines[20])
        assert page["gradients"] == pytest.approx(gradients, rel=0, abs=1e-9)
        assert page["parameters"] == pytest.approx(parameters, rel=0, abs=1e-9)


def test_the_split_and_the_ladder_are_those_of_gpt_train() -> None:
    page = run(
        PAGE
        + """
        const model = new MODELS.names(settings), { train, held } = Names.split(model.names);
        return { names: model.names, train, held, alphabet: model.alphabet.join(""), ladder: model.ladder };
        """,
        {},
        screens=SCREENS,
    )
    corpus = text_of(page["names"])
    for part in ("train", "held"):
        tokens = corpus.train if part == "train" else corpus.val
        assert corpus.tokenizer.decode(list(tokens)) == "\n" + "".join(f"{name}\n" for name in page[part])
    assert page["alphabet"] == corpus.tokenizer.alphabet == "\n" + "abcdefghijklmnopqrstuvwxyz"
    assert [one["name"] for one in page["ladder"]] == ["guessing", "letters", "pairs", "triples"]
    expected = [baseline.loss for baseline in corpus.baselines()[:4]]
    assert [one["loss"] for one in page["ladder"]] == pytest.approx(expected, abs=1e-12)
    assert expected[0] == math.log(27)


def test_the_list_of_names_is_short_and_clean() -> None:
    text, names = run("return [Names.LIST, Names.list('').names]", screens=SCREENS)
    assert 200 <= len(names) <= 600
    assert len(text.encode()) <= 4096
    assert names == sorted(set(names))
    assert all(re.fullmatch("[a-z]{2,12}", name) for name in names)


@pytest.mark.parametrize(
    ("text", "names", "said"),
    [
        ("Ben\nAda", ["ben", "ada"], []),
        ("Anna Maria; Zoë,\n  Bob ", ["anna maria", "zoë", "bob"], []),
        ("ben ada 123 ben", ["ben", "ada"], ["Left out what is no letter: 1 2 3", "One name came more than once"]),
        ("O’Neal\tJean-Luc", ["o'neal", "jean-luc"], []),
        ("cafe\u0301\nd\u00e9", ["café", "dé"], []),
        ("<b>x</b>\n" + "a" * 30, ["bxb"], ["Left out what is no letter: < > /", "more than 24 letters"]),
        ("\n".join(f"n{chr(97 + i // 676)}{chr(97 + i // 26 % 26)}{chr(97 + i % 26)}" for i in range(2100)), None, [
            "Kept the first 2,000 of 2,100 names"]),
    ],
    ids=["lines", "commas", "digits", "signs", "accents", "tags", "many"],
)  # fmt: skip
def test_a_pasted_list_is_cleaned_and_says_so(text: str, names: list[str] | None, said: list[str]) -> None:
    found = run("Names.read(given)", text, screens=SCREENS)
    assert names is None or found["names"] == names
    assert len(found["names"]) <= 2000
    assert len(found["said"]) == len(said)
    for sentence, words in zip(found["said"], said, strict=True):
        assert words in sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ada ben cleo", "at least 10 different names, and this one has 3"),
        ("\n".join(chr(0x4E00 + i) * 2 for i in range(90)), "at most 60 different letters, and this one has 90"),
    ],
    ids=["few", "letters"],
)
def test_a_list_that_cannot_be_learned_from_is_refused_in_words(text: str, words: str) -> None:
    own, said, count = run("const l = Names.list(given); return [l.own, l.said, l.names.length]", text, screens=SCREENS)
    assert not own
    assert count > 200
    assert words in said[0]


@pytest.mark.parametrize(
    "how", [{}, {"temperature": 0.1}, {"temperature": 3.0, "top_k": 3}, {"top_p": 0.6}, {"temperature": 0.0}], ids=str
)
def test_temperature_and_the_cuts_are_those_of_gpt_sample(how: dict[str, Any]) -> None:
    rng = random.Random(0)
    scores = [round(rng.gauss(0, 2), 1) for _ in range(27)]  # with ties
    names = {"temperature": "temperature", "top_k": "topK", "top_p": "topP"}
    found = run(
        "Names.distribution(given.scores, given.how)",
        {"scores": scores, "how": {names[key]: value for key, value in how.items()}},
        screens=SCREENS,
    )
    assert found == pytest.approx(distribution(scores, **how), abs=1e-12)


def python_gpt(page: dict[str, Any], block_size: int = 16) -> GPT:
    model = GPT(GPTConfig(vocab_size=27, n_embd=8, n_head=2, block_size=block_size), seed=0)
    for parameter, number in zip(model.parameters(), page["parameters"], strict=True):
        parameter.data = number
    return model


TRAINED = (
    PAGE
    + """
    const model = new MODELS.names(settings);
    for (let i = 0; i < 30; i++) model.step();
    model.write();
    model.measure();
    const frame = model.frame(), { tape, base } = model.model;
    """
)
SMALL = {"width": "8", "heads": "2", "name": "emma"}


def test_what_it_writes_and_how_surprised_it_is_are_python_s() -> None:
    page = run(
        TRAINED + """
        return { ...frame, parameters: tape.data.slice(0, base), val: model.val, held: model.held };
        """,
        {**SMALL, "temperature": 0.8, "topK": 12, "topP": 0.9},
        screens=SCREENS,
    )  # fmt: skip
    model, alphabet = python_gpt(page), "\nabcdefghijklmnopqrstuvwxyz"
    rng = random.Random(1 * 1000003 + 30)
    score = ScalarScorer(model)
    expected = [
        "".join(alphabet[t] for t in generate(score, 16, [0], 15, temperature=0.8, top_k=12, top_p=0.9, end=0, rng=rng))
        for _ in range(10)
    ]
    assert [one["name"] for one in page["written"]["names"]] == expected
    tokens = page["typed"]["tokens"]
    assert tokens == [0, 5, 13, 13, 1, 0]
    rows = [[x.data for x in row] for row in model(tokens[:-1])]
    surprise = [-math.log(distribution(row)[target]) for row, target in zip(rows, tokens[1:], strict=True)]
    assert page["typed"]["surprise"] == pytest.approx(surprise, abs=1e-9)
    losses = [(model.loss(name[:-1], name[1:]).data, len(name) - 1) for name in page["held"]]
    assert page["val"] == pytest.approx(sum(x * n for x, n in losses) / sum(n for _, n in losses), abs=1e-9)
    row = distribution([x.data for x in model([0, 17])[1]])
    assert page["table"][17 * 27 : 18 * 27] == pytest.approx(row, abs=1e-9)


def test_where_the_heads_look_is_what_python_s_attention_does() -> None:
    page = run(TRAINED + "return { parameters: tape.data.slice(0, base), typed: frame.typed };", SMALL, screens=SCREENS)
    model, looks = python_gpt(page), page["typed"]["looks"]
    heads = [*_attention(model, page["typed"]["tokens"][:-1])]
    assert len(looks) == 1
    assert len(looks[0]) == len(heads) == 2
    for places, (queries, keys, _) in zip(looks[0], heads, strict=True):
        for t, place in enumerate(places):
            expected = [w.data for w in attention_weights(queries[t], keys[: t + 1])]
            assert place["weights"] == pytest.approx(expected, abs=1e-9)


def _attention(model: GPT, tokens: list[int]) -> Any:
    block = model.transformer.h[0]
    x = model.transformer.embedded(tokens, range(len(tokens)))
    return block.attn.heads([block.ln_1(v) for v in x], range(len(tokens)))


def test_undo_takes_back_everything() -> None:
    found = run(
        PAGE
        + """
        return ["counting", "bigram", "mlp", "gpt"].map(kind => {
          const model = new MODELS.names({ ...settings, model: kind, width: "4", heads: "1", every: "1" });
          const kept = [], step = () => { model.step(); return [model.loss, model.frame().written.names[0].name]; };
          const before = [0, 1, 2, 3, 4, 5].map(() => { kept.push(model.keep()); return step(); });
          model.back(kept[2]);
          return [before.slice(2), [0, 1, 2, 3].map(step)];
        });
        """,
        {},
        screens=SCREENS,
    )
    for before, again in found:
        assert before == again


def test_explanations_lead_from_a_surprise_to_a_weight() -> None:
    found = run(
        TRAINED
        + """
        const explain = ref => model.ask({ what: "explain", ref }), path = [explain("surprise:2")];
        for (let i = 0; i < 40 && path.at(-1).rows.length; i++) path.push(explain(path.at(-1).rows.at(-1).ref));
        const score = explain("score:1:13"), product = explain(score.rows[3].ref);
        const weight = explain(product.rows[0].ref);
        return { path, cell: explain("cell:1:2"), look: explain("look:0:1:3:2"), score, product, weight, frame };
        """,
        SMALL,
        screens=SCREENS,
    )
    frame, path = found["frame"], found["path"]
    assert path[0]["title"] == "surprise at “m” after ·em"
    assert path[0]["value"] == pytest.approx(frame["typed"]["surprise"][2], abs=1e-12)
    assert path[0]["grad"] == pytest.approx(1 / 5)  # the loss is the mean of five
    assert path[-1]["rows"] == []
    assert found["look"]["title"] == "weight of “m” for “m”, head 2"
    assert found["look"]["value"] == pytest.approx(frame["typed"]["looks"][0][1][3]["weights"][2], abs=1e-12)
    assert found["score"]["title"] == "score of “m” after ·e"
    assert found["cell"]["title"] == "score of “b” after ·a"
    terms = found["score"]["rows"]  # a score is a dot product: all of its terms at once, not one addition after another
    assert len(terms) == 8
    assert terms[3]["text"] == "lm_head.weight[13][3] · scaled vector at the end of “e” [3]"
    assert sum(row["value"] for row in terms) == pytest.approx(found["score"]["value"])
    product = found["product"]
    assert [row["text"] for row in product["rows"]] == terms[3]["text"].split(" · ")
    assert product["value"] == pytest.approx(product["rows"][0]["value"] * product["rows"][1]["value"])
    weight = found["weight"]  # it serves at all five places: its gradient is the sum of what each sends
    assert len(weight["uses"]) == 5
    assert sum(use["value"] for use in weight["uses"]) == pytest.approx(weight["grad"])
    assert product["grad"] * product["rows"][1]["value"] in [pytest.approx(use["value"]) for use in weight["uses"]]


def test_the_counts_are_explained_by_hand_worked_numbers() -> None:
    found = run(
        PAGE
        + """
        const model = new MODELS.names({ ...settings, model: "counting", names: given.names, smooth: 0.5 });
        for (let i = 0; i < 40; i++) model.step();
        const told = model.ask({ what: "explain", ref: `cell:${model.token.get("n")}:0` });
        return { told, letters: model.vocab, train: model.train.map(t => t.map(i => model.letter(i)).join("")) };
        """,
        {"names": CHILDREN},
        screens=SCREENS,
    )
    ends = sum(name.count("n·") for name in found["train"])
    all_n = sum(name.count("n") for name in found["train"])
    assert found["told"]["value"] == pytest.approx((ends + 0.5) / (all_n + 0.5 * found["letters"]))


def test_training_the_table_arrives_at_counting() -> None:
    """The gradient is p − share: at the end of training the table's probabilities are the counted ones."""
    found = run(
        PAGE
        + """
        const model = new MODELS.names(settings);
        for (let i = 0; i < 1500; i++) model.step();
        const counts = new Float64Array(model.vocab ** 2);
        for (const t of model.train) for (let i = 0; i + 1 < t.length; i++) counts[t[i] * model.vocab + t[i + 1]]++;
        return { counts, table: model.table(), loss: model.loss, counted: model.frame().counted };
        """,
        {"model": "bigram", "rate": 0.1, "every": "1000"},
        screens=SCREENS,
    )
    counts, table = (np.array(found[key]).reshape(27, 27) for key in ("counts", "table"))
    counted = counts / counts.sum(1, keepdims=True)
    assert np.abs(counted - table).max() < 0.02
    entropy = -(counts[counts > 0] * np.log(counted[counts > 0])).sum() / counts.sum()
    assert found["loss"] == pytest.approx(entropy, abs=0.003)
    assert found["counted"] == pytest.approx(entropy)


def test_the_map_is_the_plane_of_the_two_largest_components() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(27, 6)) * [3, 2, 1, 0.5, 0.3, 0.1]
    found = np.array(run("Names.plane(given).points", rows.tolist(), screens=SCREENS))
    centered = rows - rows.mean(0)
    _, _, axes = np.linalg.svd(centered, full_matrices=False)
    expected = centered @ axes[:2].T
    expected *= np.sign((expected * found).sum(0))
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("kind", [k for k in RUNS if "counting" not in k])
def test_what_is_asked_between_steps_changes_nothing(kind: str) -> None:
    """Explanations are computed on the tape that trains; their numbers are those of a model that did nothing else."""
    asked, plain, told, alone = run(
        PAGE
        + """
        const train = (asks, names) => {
          const model = new MODELS.names(settings), losses = [];
          let told = null;
          for (let i = 0; i < 6; i++) {
            model.step();
            losses.push(model.loss);
            if (!asks) continue;
            model.settings.name = names[i % names.length];
            told = model.ask({ what: "explain", ref: "loss" });
            model.measure();
            const again = model.ask({ what: "explain", ref: told.ref });
            if (JSON.stringify(again) !== JSON.stringify(told)) throw new Error("another number");
            model.frame();
          }
          losses.push(...model.model.surprises(model.held[0]), ...model.scores(model.held[0]).flat());
          return [model, losses, told];
        };
        const names = ["ada", "emil", "a"], [model, asked, told] = train(true, names), [other, plain] = train(false);
        other.settings.name = names[5 % names.length];
        return [asked, plain, told, other.ask({ what: "explain", ref: "loss" })];
        """,
        RUNS[kind],
        screens=SCREENS,
    )
    assert asked == plain
    assert told == alone


def test_surprises_on_the_tape_are_those_in_plain_numbers() -> None:
    for given in RUNS.values():
        tape, plain = run(
            PAGE
            + """
            const model = new MODELS.names(settings);
            for (let i = 0; i < 3; i++) model.step();
            const parts = model.held.flatMap(tokens => model.windows(tokens));
            const of = part => model.scores(part.slice(0, -1)).map((row, i) => Names.surprise(row, part[i + 1]));
            return [model.held.flatMap(tokens => model.model.surprises(tokens)), parts.flatMap(of)];
            """,
            given,
            screens=SCREENS,
        )
        assert tape == pytest.approx(plain, rel=1e-13)


def test_a_rate_that_explodes_is_told_with_its_value() -> None:
    found = run(
        PAGE
        + """
        const model = new MODELS.names(settings);
        model.model.tape.data[5] = NaN;
        model.order.unshift(model.encode("alex"));
        try { for (let i = 0; i < 40; i++) model.step(); }
        catch (error) { return [error.constructor.name, error.message, error.value]; }
        """,
        {**SMALL, "rate": 1},
        screens=SCREENS,
    )
    assert found[0] == "Trouble"
    assert "transformer.wte.weight[0][5]" in found[1]
    assert "smaller learning rate" in found[1]
    assert found[2] == 5


def test_the_first_number_that_is_not_finite_is_named() -> None:
    message, value, finite = run(
        PAGE
        + """
        const { model } = new MODELS.names(settings), { tape, base } = model;
        for (let i = 0; i < base; i++) tape.data[i] = 1e200 * Math.sin(i);
        try { model.learn([[0, 1, 2, 0]]); } catch (error) {
          return [error.message, error.value, Array.from(tape.data.slice(0, error.value + 1), x => Number.isFinite(x))];
        }
        """,
        {"model": "mlp"},
        screens=SCREENS,
    )
    assert "the first number that is not finite is" in message
    assert finite == [True] * value + [False]
