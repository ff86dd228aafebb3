"""``gpt chat`` with lines from a pipe: the model continues each, commands change settings, errors do not end it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from gpt.cli import main
from tests.commands import refusal


@pytest.fixture(scope="module")
def trained(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    (folder / "text.txt").write_text(text, encoding="utf-8")
    size = ["--preset", "micro", "--n-embd", "4", "--n-head", "2", "--block-size", "6", "--batch-size", "2"]
    arguments = ["train", "--data", str(folder / "text.txt"), *size, "--no-draw", "--steps", "3"]
    assert main([*arguments, "--out", str(folder / "run")]) == 0
    return folder / "run"


def chat(folder: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    return main(["chat", str(folder), "--max-new-tokens", "12", *options])


def test_it_continues_the_typed_text_and_the_same_way_for_a_seed(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = []
    for _ in range(2):
        assert chat(trained, ["to be", "or not"], monkeypatch, "--seed", "3") == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]
    assert answers[0].endswith("\n")
    assert 2 <= len(answers[0]) <= 2 * 13


def test_commands_and_errors_do_not_end_the_chat(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        "/temperature 0",
        "/temperature hot",
        "/nonsense",
        "/help",
        "/reset",
        "☃",
        "/lines 0",
        "/quit",
        "never read",
    ]
    assert chat(trained, lines, monkeypatch) == 0
    out, err = capsys.readouterr()
    assert out.startswith("temperature 0.0\n")
    assert "/temperature X" in out
    assert out.endswith("A new text.\n")
    first, unknown, snowman, lines_error = err.splitlines()
    assert first == "gpt: /temperature takes one number, got hot"
    assert "unknown command /nonsense" in unknown
    assert "☃" in snowman
    assert lines_error == "gpt: lines must be at least 1, got 0"


def test_a_model_without_line_ends_cannot_chat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text("abc " * 100, encoding="utf-8")
    size = ["--preset", "micro", "--n-embd", "4", "--n-head", "2", "--block-size", "6", "--batch-size", "2"]
    assert (
        main(
            [
                "train",
                "--data",
                str(tmp_path / "text.txt"),
                *size,
                "--no-draw",
                "--steps",
                "1",
                "--out",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )
    assert chat(tmp_path / "run", ["a"], monkeypatch) == 2
    assert "has never read a line end" in capsys.readouterr().err


def test_reset_forgets_what_was_written(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replies = []
    for command in ("/reset", "/lines 1"):
        capsys.readouterr()
        assert chat(trained, ["/temperature 0", "to be", command, "t"], monkeypatch) == 0
        replies.append(capsys.readouterr().out.splitlines()[-1])
    assert chat(trained, ["/temperature 0", "t"], monkeypatch) == 0
    assert capsys.readouterr().out.splitlines()[-1] == replies[0] != replies[1]


@pytest.mark.parametrize(
    ("content", "encoding", "reason"),
    [
        ("to be\n".encode("utf-16"), "utf-8", "UTF-16, or no text: there is a NUL in it"),
        ("to be\n".encode("utf-16-le"), "utf-8", "UTF-16, or no text: there is a NUL in it"),
        (b"to be\n", "utf-16", "no text in utf-16: "),
        (b"\0\0\n", "utf-8", "UTF-16, or no text: there is a NUL in it"),
    ],
    ids=["utf-16", "without a mark", "declared and wrong", "zeros"],
)
def test_input_in_another_encoding_is_one_line_and_code_2(
    content: bytes,
    encoding: str,
    reason: str,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding=encoding))
    line = refusal(main, "chat", str(trained), "--max-new-tokens", "12")
    assert line.startswith(f"gpt: error: standard input is {reason}")
    assert "; convert it first: iconv" in line


def test_input_in_utf_16_that_is_declared_is_read(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("to be\n".encode("utf-16")), encoding="utf-16"))
    assert main(["chat", str(trained), "--max-new-tokens", "12"]) == 0
    assert capsys.readouterr().err == ""
