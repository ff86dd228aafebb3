"""Bars of the next character: the numbers are those of the sampler's filters, and what they cut remains visible."""

import random
import re

import pytest

import viz
from gpt.pictures.run import PicturedRun
from gpt.sample import distribution
from tests.commands import refusal
from tests.viz.charts import AWKWARD, check_words_fit, titles, words
from tinygrad_edu import Value
from viz.cli import main

ALPHABET = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SETTINGS = [
    {},
    {"temperature": 0.7},
    {"temperature": 0.7, "top_k": 9},
    {"temperature": 0.7, "top_k": 9, "top_p": 0.8},
    {"temperature": 0.7, "top_k": 9, "top_p": 0.8, "min_p": 0.3},
]


def stages(seed=0):
    rng = random.Random(seed)
    logits = [rng.gauss(0.0, 2.0) for _ in ALPHABET]
    return {f"stage {i}": distribution(logits, **settings) for i, settings in enumerate(SETTINGS)}


@pytest.mark.parametrize("seed", range(5))
def test_every_number_is_the_sampler_s(seed):
    given = stages(seed)
    chart = viz.next_characters(given, ALPHABET, most=12)
    order = sorted(ALPHABET, key=lambda c: -given["stage 0"][ALPHABET.index(c)])
    assert [row.name for row in chart.rows] == [*map(viz.style.visible, order[:12]), f"{len(ALPHABET) - 12} others"]
    for stage, probabilities in enumerate(given.values()):
        of = dict(zip(ALPHABET, probabilities, strict=True))
        assert [row.after[stage] for row in chart.rows[:-1]] == [of[c] for c in order[:12]]
        assert chart.rows[-1].after[stage] == pytest.approx(sum(of[c] for c in order[12:]), abs=1e-12)
        assert sum(row.after[stage] for row in chart.rows) == pytest.approx(1.0, abs=1e-9)
        assert chart.kept[stage] == sum(p > 0.0 for p in probabilities)
    shown = [float(number) for number in re.findall(r'data-value="([^"]*)"', chart.svg())]
    assert shown == [row.after[stage] for stage in range(5) for row in chart.rows]


def test_bars_are_as_long_as_probabilities_and_cut_ones_keep_their_length():
    svg = viz.next_characters({"model": [0.5, 0.3, 0.2], "top-k 2": [0.625, 0.375, 0.0]}, "abc").svg()
    bars = [
        (float(w), fill)
        for w, fill in re.findall(r'<rect x="[^"]*" y="[^"]*" width="([^"]*)" [^>]*?fill="([^"]*)"', svg)
    ]
    wide = [w for w, _ in bars]
    assert wide == pytest.approx([190 * p / 0.625 for p in (0.5, 0.3, 0.2, 0.625, 0.375, 0.2)], abs=0.06)
    assert [fill for _, fill in bars] == ["#0072B2"] * 5 + ["#ffffff"]
    assert svg.count('stroke-linecap="round"') == 1  # the hatching


def test_a_character_is_cut_once():
    chart = viz.next_characters({"a": [0.6, 0.4], "b": [1.0, 0.0], "c": [1.0, 0.0]}, "xy")
    assert titles(chart)[-3:] == ["b; y: 0.0, cut; it was 0.4", "c; x: 1.0", "c; y: 0.0"]
    assert words(chart).count("cut") == 1


def test_values_work_as_numbers_and_few_characters_have_no_remainder():
    chart = viz.next_characters({"model": [Value(0.25), Value(0.75)]}, ["ab", "c"], most=1)
    assert [(row.name, row.after) for row in chart.rows] == [("c", [0.75]), ("ab", [0.25])]


def test_text_stays_inside(browser, tmp_path):
    given = {f"{name} {AWKWARD * 2}": p for name, p in stages().items()}
    for many, title in ((given, AWKWARD * 9), ({"a": [1.0]}, "“" + "word " * 20)):
        count = len(next(iter(many.values())))
        check_words_fit(browser, viz.next_characters(many, ALPHABET[:count], title=title), tmp_path)


def test_every_character_survives():
    alphabet = ALPHABET + '{}|<>"\\'
    chart = viz.next_characters({"even": [1 / len(alphabet)] * len(alphabet)}, alphabet, most=99)
    assert {"⏎", "␣", *alphabet[2:]} <= set(words(chart))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.next_characters({}, "a"), "at least one stage"),
        (lambda: viz.next_characters({"a": [1.0]}, "ab"), "'a' has 1 probabilities for 2 characters"),
        (lambda: viz.next_characters({"a": [2.0, 1.0]}, "ab"), "the sum is 3; apply softmax to scores first"),
        (lambda: viz.next_characters({"a": [-1.0, 2.0]}, "ab"), "is no distribution"),
        (lambda: viz.next_characters({"a": [float("nan"), 1.0]}, "ab"), "is no distribution"),
        (lambda: viz.next_characters({"a": [1.0]}, "a", most=0), "most must be at least 1, got 0"),
    ],
)
def test_errors_of_charts_that_cannot_be_made(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_command(run, tmp_path, capsys):
    out = tmp_path / "n.svg"
    arguments = ["--text", "to be or no", "--temperature", "0.5", "--top-k", "3", "-o", str(out)]
    assert main(["next", str(run), *arguments]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "After “to be or no”"
    assert said[1].split("  ")[-1].strip() == "then top-k 3"
    found = PicturedRun.open(run)
    expected = distribution(found.logits(found.tokenizer.encode("to be or no")), 0.5, 3)
    shown = re.findall(r"then top-k 3; (\S+): ([\d.e-]+)", out.read_text())
    assert [float(p) for _, p in shown[:3]] == sorted(expected, reverse=True)[:3]
    assert main(["next", str(run)]) == 0
    assert "then top-p 0.9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temperature", "-1"], "temperature must be a finite number of at least 0, got -1.0"),
        (["--top-p", "2"], "top_p must be above 0 and at most 1, got 2.0"),
        (["--text", ""], "the text is empty"),
        (["--most", "0"], "most must be at least 1, got 0"),
    ],
)
def test_errors_of_the_command(run, arguments, message):
    assert message in refusal(main, "next", str(run), *arguments)
