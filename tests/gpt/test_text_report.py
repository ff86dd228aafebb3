"""The report on a text: counts, places, and a sentence for each problem."""

from __future__ import annotations

import math
import random
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from gpt.cli import main
from gpt.data import text as text_module
from gpt.data import text_report
from gpt.data.text import Text
from gpt.data.text_report import Position, report
from tests.commands import refusal

SOUND = "".join(f"{random.Random(i).getrandbits(100):x} to be or not\n" for i in range(3000))  # no two lines alike


def advice(text: str) -> str:
    return "\n".join(report(Text.of(text)).advice())


def test_a_sound_text_gets_no_advice() -> None:
    found = report(Text.of(SOUND))
    assert found.advice() == []
    assert "Nothing unusual: train on it." in str(found)
    assert (found.lines, found.rare, found.unseen, found.decomposed) == (3000, {}, "", 0)
    assert found.split == len(SOUND) * 9 // 10


def test_counts_and_entropy() -> None:
    found = report(Text.of("aab\nba"))
    assert found.facts.counts == Counter("aab\nba")
    assert found.entropy == pytest.approx(-(3 * math.log(1 / 2) + 2 * math.log(1 / 3) + math.log(1 / 6)) / 6)
    assert (found.lines, found.longest, found.longest_line) == (2, 3, 1)


@pytest.mark.parametrize("read_at_once", [1, 5, 1 << 20])
def test_the_first_place_of_rare_characters(
    read_at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(text_module, "READ_AT_ONCE", read_at_once)
    path = tmp_path / "text.txt"
    path.write_text("§" + SOUND[:600] + "  €x\nab €§ Ω", encoding="utf-8")
    lines = path.read_text(encoding="utf-8").split("\n")
    found = report(Text.at(path))
    assert found.rare["§"] == Position(1, 1)
    for character in "€Ω":
        line = next(i for i, content in enumerate(lines) if character in content)
        assert found.rare[character] == Position(line + 1, lines[line].index(character) + 1)
    assert main(["text", str(path)]) == 0
    printed = capsys.readouterr().out
    assert f"'Ω'    1×  line {len(lines)}, column 7  GREEK CAPITAL LETTER OMEGA" in printed
    assert "Try --normalize nfkc,ascii-punctuation, or take them out." in " ".join(printed.split())
    assert (found.longest, found.lines) == (max(map(len, lines)), len(lines))


def test_repeated_lines_and_paragraphs() -> None:
    once = [f"a line that stands here once: {i:02}" for i in range(90)]
    twice = ["a line that stands here twice"] * 2
    short = ["ROMEO:"] * 50
    found = report(Text.of("\n".join([*once, *twice, *short])))
    lines, paragraphs = found.repeats
    assert (lines.total, lines.again, lines.every) == (92, pytest.approx(1 / 92), 1)
    assert (paragraphs.total, paragraphs.again) == (1, 0.0)
    stanza = "\n".join(once[:3])
    lines, paragraphs = report(Text.of("\n\n".join([stanza, once[5], stanza, "short", stanza]))).repeats
    assert (paragraphs.total, paragraphs.again) == (4, 0.5)
    assert (lines.total, lines.again) == (10, 0.6)


def test_validation_lines_that_are_in_the_training_text_are_found() -> None:
    end = "".join(SOUND.splitlines(keepends=True)[:300])
    found = report(Text.of(SOUND + end))
    assert found.repeats[0].leaked == pytest.approx(300 / 330, abs=0.01)
    assert "91% of the long lines of the validation part are in the training part too" in advice(SOUND + end)
    assert report(Text.of(SOUND)).repeats[0].leaked == 0.0


def test_a_sample_of_very_many_lines_gives_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = SOUND.splitlines(keepends=True)
    text = "".join(lines + lines[:1500])
    exact = report(Text.of(text)).repeats[0]
    monkeypatch.setattr(text_report, "MOST_HASHES", 500)
    part = report(Text.of(text)).repeats[0]
    assert part.every == 8
    assert part.total == exact.total == 4500
    assert exact.again == pytest.approx(1 / 3, abs=1e-3)
    assert part.again == pytest.approx(exact.again, abs=0.05)
    assert part.leaked == pytest.approx(exact.leaked, abs=0.1)
    assert "(of one in 8)" in str(report(Text.of(text)))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (SOUND[:5000], "With 5,000 characters the text is small"),
        (SOUND + "q", "1 character of the alphabet of 23 stands in the text fewer than 20 times"),
        (SOUND + "ξ" * 30, "1 character stands in the validation part only ('ξ')"),
        (SOUND + "e\u0301" * 30 + "\nn\u0303\n", "2 lines would be different in Unicode's NFC"),
        (
            SOUND + "x\r\ny\r\n" * 20,
            "Line ends are mixed: \\n 3,000 times, \\r\\n 40 times. \\r\\n is read as \\n always.",
        ),
        (SOUND + "x\ry" * 30, "a \\r alone stays what it is: replace it"),
        (SOUND.replace("\n", "\r"), "Lines end in \\r, as on very old Macintoshes"),
        (SOUND + "\x07" * 30 + "\u200b" * 40, "30 control characters, 40 invisible characters. Remove them."),
        (SOUND + "\ufffd" * 21, "U+FFFD stands in the text 21 times"),
        (SOUND + SOUND[:100_000], "of the long lines appeared earlier in the text"),
        (SOUND + "x" * 20_000 + "\nend\n", "Line 3,001 has 20,000 characters: is it text"),
    ],
)
def test_each_problem_has_a_sentence(text: str, sentence: str) -> None:
    assert sentence in advice(text)


def test_a_normalized_text_is_reported_as_the_model_will_see_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text(SOUND + "“É”" * 30, encoding="utf-8")
    (tmp_path / "b.png").write_bytes(b"x")
    assert main(["text", str(tmp_path), "--normalize", "ascii-punctuation,lower"]) == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path}: 1 file\n  left out: {tmp_path / 'b.png'}" in printed
    assert "'é'" in printed
    assert "É" not in printed
    assert "“" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either the PATH of a text or its name"),
        (["{text}", "--dataset", "names"], "give either the PATH of a text or its name"),
        (["{text}", "--normalize", "upper"], "normalize must be none or some of"),
        (["{missing}"], "there is no file"),
        (["{folder}/pictures"], "is a folder without a text"),
        (["{folder}/latin.txt"], "is not a UTF-8 text: the byte 0xE9 at position 3"),
        (["{folder}/empty.txt"], "is empty"),
        (["--dataset", "nosuch"], "unknown data set: 'nosuch'"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], message: str, text_file: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "empty.txt").write_bytes(b"")
    places = {"text": text_file, "missing": tmp_path / "missing", "folder": tmp_path}
    assert message in refusal(main, "text", *(word.format(**places) for word in arguments))


def test_a_large_text_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_report, "MOST_HASHES", 1000)
    path = tmp_path / "text.txt"
    with open(path, "w") as file:
        file.write("x" * 20_000_000 + "\n")  # one endless line
        file.writelines(f"line number {i} of a long text\n" for i in range(200_000))
    tracemalloc.start()
    try:
        found = report(Text.at(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.longest, found.longest_line, found.lines) == (20_000_000, 1, 200_001)
    assert peak < 90e6  # an endless line costs a few bytes for each of 4 million characters; see LONGEST_PIECE


@pytest.mark.parametrize("read_at_once", [1, 2, 3])
def test_line_ends_are_counted_across_pieces(
    read_at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "READ_AT_ONCE", read_at_once)
    (tmp_path / "text.txt").write_bytes(b"a\r\nb\rc\nd\r\n\r\ne\r")
    assert report(Text.at(tmp_path / "text.txt")).line_ends == {"\n": 1, "\r\n": 3, "\r": 2}


@pytest.mark.parametrize(
    "words",
    ["می\u200cخواهم کتاب\u200cها", "क्\u200dष र्\u200dय हिन्दी", "👩\u200d👩\u200d👧 on the road", "אב\u200fגד"],
    ids=["Persian", "Hindi", "emoji", "Hebrew"],
)
def test_joiners_are_kept_where_a_script_needs_them(words: str) -> None:
    said = advice((words + "\n") * 40)
    assert "Invisible characters" not in said
    assert "40 invisible characters. Remove them." in advice((words + "\u2060\n") * 40)  # not the word joiner


def test_a_joiner_between_latin_letters_is_reported() -> None:
    assert "60 invisible characters. Remove them." in advice("ab\u200dc and so on\n" * 60)
