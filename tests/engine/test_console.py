"""Standard streams of any encoding, closed or full, never crash a command; control characters are never printed."""

import contextlib
import io
import os
import struct
import subprocess
import sys

import pytest

from tests.engine.domains import ROOT
from tinygrad_edu import console

ALL = "a\tb\n" + "".join(map(chr, [*range(0x20, 0x7F), 0xE9, 0x301, 0x200C, 0x200D, 0x2212, 0x1F600]))
MARKS = [0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]  # Bidi_Control


def test_only_control_characters_are_escaped():
    controls = [*range(9), *range(11, 32), *range(127, 160), *MARKS, 0x2028, 0x2029, 0xD800, 0xDFFF]
    for number in controls:
        shown = console.visible(f"<{chr(number)}>")
        assert chr(number) not in shown
        assert shown.encode("ascii").decode("unicode_escape") == f"<{chr(number)}>"
    assert console.visible(ALL) == ALL


@pytest.fixture
def to(monkeypatch):
    """Run a command whose standard output has this encoding and return what it wrote."""

    def run(command, encoding="utf-8"):
        content = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding=encoding, newline="\n"))
        before = sys.stdout
        assert console.run("program", command) == 0
        assert sys.stdout is before
        return content.getvalue()

    return run


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "latin-1", "koi8-r", "utf-8", "utf-16-le", "gbk"])
def test_any_text_can_be_written_in_any_encoding(encoding, to):
    def command():
        print("1 │ 2 − 3 × é ﬁ \udcff 😀")
        return 0

    written = to(command, encoding).decode(encoding)
    assert written.startswith("1 ")
    assert "\\udcff" in written
    if encoding == "ascii":
        assert written == "1 | 2 - 3 x ? ? \\udcff ?\n"
    if encoding == "cp1252":
        assert written == "1 | 2 - 3 × é ? \\udcff ?\n"
    if encoding.startswith("utf"):
        assert written == "1 │ 2 − 3 × é ﬁ \\udcff 😀\n"


def test_our_own_escape_codes_are_not_escaped(to):
    def command():
        print("\x1b[1m", file=console.raw(sys.stdout), end="")
        print("\x1b[2J", file=sys.stdout, end="")
        sys.stdout.writelines(["\x07", "\n"])
        return 0

    assert to(command) == b"\x1b[1m\\x1b[2J\\x07\n"


def test_a_result_is_unchanged_in_a_file_and_escaped_elsewhere(tmp_path):
    code = "import sys; from tinygrad_edu import console as c; "
    code += r"sys.exit(c.run('p', lambda: print('\x1b', end='', file=c.data()) or print('\x1b', end='') or 0))"
    with open(tmp_path / "file", "wb") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True, cwd=ROOT)
    assert (tmp_path / "file").read_bytes() == b"\x1b\\x1b"
    piped = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, cwd=ROOT).stdout
    assert piped == b"\\x1b\\x1b"


COMMAND = """
import os, sys
from tinygrad_edu import console
def command():
    for i in range(3000):
        print("line", i, "\\u2212", flush=True)
        {each}
    print("told", file=sys.stderr)
    {after}
    open(sys.argv[1], "w").write("done")
    return {code}
sys.exit(console.run("program", command))
"""


def ended(tmp_path, redirect, each="pass", after="pass", code=0):
    """Return the exit code, the text on standard error, and whether the work was done."""
    done = tmp_path / "done"
    done.unlink(missing_ok=True)
    words = COMMAND.format(each=each, after=after, code=code)
    script = f'"{sys.executable}" -c "$0" "{done}" {redirect}; exit $?'
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(["bash", "-c", script, words], capture_output=True, text=True, env=env, check=False)
    return result.returncode, result.stderr, done.exists()


@pytest.mark.skipif(os.name == "nt", reason="needs a shell of Unix")
class TestStreams:
    def test_a_stream_closed_before_the_start(self, tmp_path):
        assert ended(tmp_path, ">&-") == (0, "told\n", True)
        assert ended(tmp_path, "2>&-") == (0, "", True)
        assert ended(tmp_path, "<&- >&- 2>&-") == (0, "", True)

    def test_an_opened_file_does_not_take_the_number_of_a_closed_stream(self, tmp_path):
        other = f"f = open({str(tmp_path / 'log')!r}, 'w'); os.write(1, b'1'); os.write(2, b'2')"
        assert ended(tmp_path, ">&- 2>&-", after=other) == (0, "", True)
        assert (tmp_path / "log").read_bytes() == b""

    def test_a_pipe_closed_by_its_reader(self, tmp_path):
        assert ended(tmp_path, "| head -1 >/dev/null; exit ${PIPESTATUS[0]}") == (0, "told\n", True)
        stops = ended(tmp_path, "| head -1 >/dev/null; exit ${PIPESTATUS[0]}", each="console.end_if_unread()")
        assert stops == (0, "", False)

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
    def test_a_stream_on_a_full_disk(self, tmp_path):
        lost = "program: standard output cannot be written: No space left on device; its text is lost\n"
        assert ended(tmp_path, ">/dev/full") == (2, f"told\n{lost}", True)
        assert ended(tmp_path, ">/dev/full", after="console.only_tells()") == (0, f"told\n{lost}", True)
        assert ended(tmp_path, ">/dev/full", code=1) == (1, f"told\n{lost}", True)
        assert ended(tmp_path, ">/dev/full", each="console.end_if_unread()") == (2, lost, False)
        assert ended(tmp_path, "2>/dev/full") == (0, "", True)

    def test_errors_and_interrupts_print_one_line_and_set_the_exit_code(self, tmp_path):
        missing = ended(tmp_path, ">/dev/null", after="open('no/such\\x1bfile')")
        words = "program: error: cannot write or read no/such\\x1bfile: No such file or directory"
        assert missing == (2, f"told\n{words}\n", False)
        assert ended(tmp_path, ">/dev/null", after="raise KeyboardInterrupt")[:2] == (
            130,
            "told\n\nprogram: interrupted\n",
        )


@pytest.mark.parametrize("module", ["gpt", "image", "viz", "lessons"])
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_every_command_prints_its_help_in_every_encoding(module, encoding):
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    help_ = ["train", "--help"]
    words = {"gpt": help_, "image": help_, "viz": ["bug", "no-zero-grad"], "lessons": []}[module]
    result = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, cwd=ROOT, env=env, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode(encoding)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudoterminals")
def test_a_terminal_gets_long_sentences_wrapped_between_words_and_nothing_else():
    import fcntl
    import termios

    code = (
        "from tinygrad_edu import console; import sys\n"
        "words = 'This sentence is far too long for a terminal that has only forty-four columns.'\n"
        "def said():\n"
        "    print(words); print('    ' + words); print(words, file=console.data())\n"
        "    print('x' * 50, file=sys.stderr)\n"
        "    return 0\n"
        "console.run('p', said)"
    )
    words = "This sentence is far too long for a terminal that has only forty-four columns."
    keyboard, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 44, 0, 0))
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=terminal, stderr=terminal)
    os.close(terminal)
    out = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while some := os.read(keyboard, 4096):
            out += some
    os.close(keyboard)
    assert child.wait(60) == 0
    assert out.decode().replace("\r\n", "\n").split("\n") == [
        "This sentence is far too long for a terminal",
        "  that has only forty-four columns.",
        f"    {words}",
        words,
        "x" * 50,
        "",
    ]
    piped = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert piped.stdout.decode().splitlines()[0] == words
