"""Every command line with hostile input from every source: none of it reaches the terminal as a control character."""

import contextlib
import io
import json
import os
import re
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpt.cli import main as gpt_main
from lessons.cli import main as lessons_main
from tests.engine.domains import ROOT
from viz.cli import main as viz_main

EVIL = "\x1b[2J\x07\x9b\u202e\x7f"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs file names with control characters")


MAIN = {"gpt": gpt_main, "viz": viz_main, "lessons": lessons_main}


def told(
    *words: str, cwd: Path, code: int | None = None, module: str = "gpt", stdin: str = "", encoding: str = "utf-8"
) -> str:
    """Return what a command prints on both streams; check it for control characters."""
    printed, errors = io.BytesIO(), io.BytesIO()
    with contextlib.chdir(cwd), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode(encoding)), encoding))
        patch.setattr(sys, "stdout", out := io.TextIOWrapper(printed, encoding))
        patch.setattr(sys, "stderr", err := io.TextIOWrapper(errors, encoding))
        try:
            ended: object = MAIN[module](words)
        except SystemExit as stop:
            ended = stop.code
        out.flush()
        err.flush()
    said = printed.getvalue().decode(encoding) + errors.getvalue().decode(encoding)
    assert OBEYED.findall(said) == [], said
    if code is not None:
        assert ended == code, said
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a run whose text, name and settings are hostile."""
    folder = tmp_path_factory.mktemp("terminal")
    (folder / f"text{EVIL}.txt").write_text(f"to be or {EVIL} not to be\n" * 300, encoding="utf-8")
    size = ["--preset", "micro", "--n-embd", "4", "--n-head", "2", "--block-size", "6", "--batch-size", "2"]
    shown = told(
        "train", "--data", f"text{EVIL}.txt", *size, "--no-draw", "--steps", "3", "--out", f"run{EVIL}",
        cwd=folder, code=0,
    )  # fmt: skip
    assert "\\x1b[2J" in shown
    return folder


RUN = f"run{EVIL}"
COMMANDS = {
    "sample": ["sample", "--checkpoint", RUN, "--prompt", EVIL, "--temperature", "2"],
    "unknown prompt": ["sample", "--checkpoint", RUN, "--prompt", "\x1c"],
    "eval": ["eval", "--checkpoint", RUN],
    "info": ["info", RUN],
    "text": ["text", f"text{EVIL}.txt"],
    "compare": ["compare", RUN, RUN],
    "no such run": ["info", f"none{EVIL}"],
    "no such text": ["train", "--data", f"none{EVIL}"],
    "no such command": [f"none{EVIL}"],
    "no such option": ["train", f"--none{EVIL}"],
    "no number": ["train", "--steps", EVIL],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_gpt(name: str, folder: Path) -> None:
    told(*COMMANDS[name], cwd=folder, code=2 if name.startswith(("no", "unknown")) else 0)


def test_chat(folder: Path) -> None:
    told(
        "chat",
        RUN,
        "--max-new-tokens",
        "30",
        "--temperature",
        "3",
        cwd=folder,
        code=0,
        stdin=f"{EVIL}\n/{EVIL}\n/lines {EVIL}\n\x1c\n",
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16"])
def test_in_other_encodings(encoding: str, folder: Path) -> None:
    told("info", RUN, cwd=folder, code=0, encoding=encoding)


VIZ = {
    "graph": ["graph", f"a{EVIL} * 2", "a=1"],
    "name": ["graph", "a * 2", f"{EVIL}=1"],
    "number": ["graph", "a * 2", f"a={EVIL}"],
    "run": ["graph", RUN, "--text", EVIL],
    "file": ["graph", "a * 2", "a=1", "--out", f"none{EVIL}/L.svg"],
    "format": ["graph", "a * 2", "a=1", "--out", f"L.{EVIL}"],
    "step": ["step", f"a{EVIL}", "a=1"],
    "step out": ["step", "a * 2", "a=1", "--out", f"none{EVIL}/L.html"],
    "bug": ["bug", EVIL],
    "word": [EVIL],
}


@pytest.mark.parametrize("name", VIZ)
def test_viz(name: str, folder: Path) -> None:
    told(*VIZ[name], cwd=folder, module="viz", code=0 if name == "run" else 2)


#: Every other command of viz, with valid and with invalid arguments.
DRAWN: dict[str, list[str]] = {
    "flow": ["flow", "L = tanh(a * 2)", "a=1"],
    "flow out": ["flow", "L = tanh(a * 2)", "a=1", "-o", f"none{EVIL}/flow.txt"],
    "flow name": ["flow", f"L{EVIL} = a", "a=1"],
    "flow run": ["flow", RUN],
    "worksheet": ["worksheet", "--count", "1", "-o", f"sheet{EVIL}.md"],
    "worksheet level": ["worksheet", "--level", EVIL],
    "explore": ["explore", "L = a * 2", "a=1", "-o", f"page{EVIL}.html"],
    "explore out": ["explore", "L = a * 2", "a=1", "-o", f"page.{EVIL}"],
    "explore run": ["explore", RUN, "--text", EVIL, "-o", f"run{EVIL}.html"],
    "boundary": ["boundary", "x * y", "--title", EVIL],
    "boundary points": ["boundary", "x * y", "--points", f"none{EVIL}"],
    "boundary range": ["boundary", "x * y", "--range", EVIL, "1"],
    "attention": ["attention", RUN, "--text", EVIL],
    "attention none": ["attention", f"none{EVIL}"],
    "next": ["next", RUN, "--text", f"to {EVIL}"],
    "next sign": ["next", RUN, "--text", "\x1c"],
    "curve": ["curve", RUN],
    "embeddings": ["embeddings", RUN],
    "histogram": ["histogram", RUN],
    "histogram name": ["histogram", RUN, EVIL],
    "compilation": ["compilation", RUN],
}
CANNOT = ("out", "name", "level", "points", "range", "none", "sign")


@pytest.mark.parametrize("name", DRAWN)
def test_the_other_drawings(name: str, folder: Path) -> None:
    encoding = ("utf-8", "ascii", "cp1252")[[*DRAWN].index(name) % 3]
    told(*DRAWN[name], cwd=folder, module="viz", code=2 if name.endswith(CANNOT) else 0, encoding=encoding)


def test_a_report(folder: Path) -> None:
    for encoding in ("ascii", "cp1252"):
        shown = told("report", RUN, "-o", f"{encoding}{EVIL}", cwd=folder, code=0, encoding=encoding)
        assert "\\x1b" in shown
    told("report", f"none{EVIL}", cwd=folder, code=2)


ANSWERS = ["?\r", f"'{EVIL}\u00e9'.x\r", "!\r"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_answers_in_a_lesson(encoding: str, tmp_path: Path) -> None:
    shown = at_a_terminal(
        ["-m", "lessons", "present", "1", "--practice", "--no-live", "--fast"], " " * 12, *ANSWERS, "q", "y",
        cwd=tmp_path, encoding=encoding,
    )  # fmt: skip
    assert "checking" in shown
    assert "Traceback" not in shown


def at_a_terminal(words: list[str], *keys: str, cwd: Path, encoding: str) -> str:
    """Return what a command writes until the keys end it; check that it has no control codes but its own."""
    import pty

    ours, theirs = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "TERM": "xterm", "COLUMNS": "80"}
    command = [sys.executable, *words]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=env) as child:
        os.close(theirs)
        got = b""
        while b"space next" not in got:  # from then on it reads keys
            got += os.read(ours, 1 << 16)
        os.write(ours, "".join(keys).encode())
        ended = False
        while len(got) < 1 << 18 and select.select([ours], [], [], 60.0)[0]:  # its clock alone would write for ever
            try:
                got += os.read(ours, 1 << 16)
            except OSError:
                ended = True
                break
        child.kill()
    os.close(ours)
    shown = got.decode(encoding)
    plain = re.sub(r"\x1b\[\??[0-9;]*[HJKhlm]", "", shown.replace("\r", ""))
    assert OBEYED.findall(plain) == [], plain
    assert ended, plain
    return plain


@pytest.mark.parametrize(
    "words",
    [[EVIL], [f"--{EVIL}"], ["practice", EVIL]],
    ids=["lesson", "option", "practice"],
)
def test_lessons(words: list[str], folder: Path) -> None:
    told(*words, cwd=folder, module="lessons", code=2)


@pytest.mark.parametrize("part", ["config", "tensor", "log"])
def test_messages_of_a_checkpoint(part: str, folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / RUN, run)
    if part == "config":
        for path in run.glob("*.json"):
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict):
                path.write_text(json.dumps({**content, EVIL: EVIL}), encoding="utf-8")
    elif part == "log":
        with open(run / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({EVIL: EVIL}) + "\n" + EVIL + "\n")
    else:
        for path in run.rglob("*.safetensors"):
            raw = path.read_bytes()
            length = int.from_bytes(raw[:8], "little")
            header = json.loads(raw[8 : 8 + length])
            name = next(name for name in header if name != "__metadata__")
            header[EVIL] = header.pop(name)
            words = json.dumps(header).encode()
            path.write_bytes(len(words).to_bytes(8, "little") + words + raw[8 + length :])
    for command in (["info", "run"], ["sample", "--checkpoint", "run"], ["eval", "--checkpoint", "run"]):
        told(*command, cwd=tmp_path)


LINES = {
    "gpt": '-m gpt info "$RUN"',
    "viz": "-m viz graph 'a * 2' a=1 -o \"$OUT/a.svg\"",
    "viz run": '-m viz flow "$RUN"',
    "report": '-m gpt report "$RUN" -o "$OUT"',
    "lessons": "-m lessons",
    "tinygrad-edu": "-c 'import sys; from lessons.command import main; sys.exit(main())' viz graph 'a * 2' a=1 "
    '-o "$OUT/a.svg"',
    "run.py": "run.py gpt --help",
}


ENDS = ["<&- >&- 2>&-", ">&-", "| head -c 1 >/dev/null; exit ${PIPESTATUS[0]}"]


@pytest.mark.parametrize("line", LINES)
def test_streams_that_are_closed_or_no_longer_read(line: str, folder: Path, tmp_path: Path) -> None:
    env = {**os.environ, "RUN": str(folder / RUN), "OUT": str(tmp_path)}
    for end in ENDS[:1] if line in ("report", "viz run") else ENDS:  # those two take seconds
        words = f'"{sys.executable}" {LINES[line]} {end}'
        done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, cwd=ROOT, env=env, check=False)
        assert (done.returncode, done.stderr) == (0, ""), end
