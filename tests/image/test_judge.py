"""The judges: right about real pictures, and not to be pleased by noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from image import judge
from image.cli import main
from image.data import digits, shapes


def test_the_reader_reads_held_out_digits_and_no_noise() -> None:
    reader = judge.Reader(steps=300)
    pictures, classes = digits.held_out()
    assert reader.share(pictures, classes).right > 0.93 * len(pictures)
    noise = np.random.default_rng(0).standard_normal((500, 64))
    assert reader.share(noise, [i % 10 for i in range(500)]).right < 100


def test_distances_are_those_of_a_search_by_hand() -> None:
    rng = np.random.default_rng(1)
    some, known = rng.standard_normal((5, 7)), rng.standard_normal((6, 7))
    by_hand = [min(float(((a - b) ** 2).sum() ** 0.5) for b in known) for a in some]
    assert judge.distances(some, known).tolist() == pytest.approx(by_hand)
    assert judge.distances(known, known).max() < 1e-6


def test_a_shape_obeys_its_own_prompt_and_no_other() -> None:
    rng = np.random.default_rng(2)
    asked, words = judge.prompts(shapes.COMBINATIONS, 160, 3)
    assert [shapes.understood(prompt) for prompt in words] == asked
    pictures = np.stack([shapes.draw(c, shapes.shift(rng)) for c in asked]) + rng.normal(0.0, 0.05, (160, 144))
    assert judge.obeyed(pictures, asked).right == 160
    assert judge.obeyed(np.roll(pictures, 1, axis=0), asked).right == 0
    assert str(judge.obeyed(pictures, asked)) == "160 of 160 (100.0%)"


@pytest.mark.parametrize("name", ["points", "digits", "digits-class", "shapes-text", "shapes-latent"])
def test_eval_says_how_many_and_which_seed(
    name: str, trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = judge.Reader(steps=5)
    monkeypatch.setattr(judge, "reader", lambda: quick)
    assert main(["eval", "--checkpoint", str(trained[name]), "--count", "20", "--steps", "2", "--seed", "7"]) == 0
    told = capsys.readouterr().out
    assert "seed 7" in told
    expected = {"points": "of samples", "digits": "held-out real digits", "digits-class": "of 20 ("}
    assert expected.get(name, "combinations never trained") in told
