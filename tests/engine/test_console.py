"""Standard streams that cannot fail a command, of any encoding, closed or full; and nothing that a terminal obeys."""

import io
import os
import subprocess
import sys

import pytest

from tests.engine.domains import ROOT
from tinygrad_edu import console

ALL = "a\tb\n" + "".join(map(chr, [*range(0x20, 0x7F), 0xE9, 0x301, 0x200C, 0x200D, 0x2212, 0x1F600]))
MARKS = [0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]  # Bidi_Control


def test_what_a_terminal_obeys_is_shown_and_nothing_else():
    controls = [*range(9), *range(11, 32), *range(127, 160), *MARKS, 0x2028, 0x2029, 0xD800, 0xDFFF]
    for number in controls:
        shown = console.visible(f"<{chr(number)}>")
        assert chr(number) not in shown
        assert shown.encode("ascii").decode("unicode_escape") == f"<{chr(number)}>"
    assert console.visible(ALL) == ALL


@pytest.fixture
def to(monkeypatch):
    """Run a command whose standard output is a stream of this encoding; what it wrote."""

    def run(command, encoding="utf-8"):
        content = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding=encoding, newline="\n"))
        before = sys.stdout
        assert console.run("program", command) == 0
        assert sys.stdout is before
        return content.getvalue()

    return run


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "latin-1", "koi8-r", "utf-8", "utf-16-le", "gbk"])
def test_every_encoding_takes_every_text(encoding, to):
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


def test_our_own_codes_go_through_raw(to):
    def command():
        print("\x1b[1m", file=console.raw(sys.stdout), end="")
        print("\x1b[2J", file=sys.stdout, end="")
        sys.stdout.writelines(["\x07", "\n"])
        return 0

    assert to(command) == b"\x1b[1m\\x1b[2J\\x07\n"


def test_a_result_goes_into_a_file_as_it_is_and_visibly_anywhere_else(tmp_path):
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
    """The exit code, what came on standard error, and whether the work was done."""
    done = tmp_path / "done"
    done.unlink(missing_ok=True)
    words = COMMAND.format(each=each, after=after, code=code)
    script = f'"{sys.executable}" -c "$0" "{done}" {redirect}; exit $?'
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(["bash", "-c", script, words], capture_output=True, text=True, env=env, check=False)
    return result.returncode, result.stderr, done.exists()


@pytest.mark.skipif(os.name == "nt", reason="needs a shell of Unix")
class TestStreams:
    def test_closed_before_the_start(self, tmp_path):
        assert ended(tmp_path, ">&-") == (0, "told\n", True)
        assert ended(tmp_path, "2>&-") == (0, "", True)
        assert ended(tmp_path, "<&- >&- 2>&-") == (0, "", True)

    def test_a_file_that_is_opened_does_not_become_a_closed_stream(self, tmp_path):
        other = f"f = open({str(tmp_path / 'log')!r}, 'w'); os.write(1, b'1'); os.write(2, b'2')"
        assert ended(tmp_path, ">&- 2>&-", after=other) == (0, "", True)
        assert (tmp_path / "log").read_bytes() == b""

    def test_closed_by_a_reader_that_has_seen_enough(self, tmp_path):
        assert ended(tmp_path, "| head -1 >/dev/null; exit ${PIPESTATUS[0]}") == (0, "told\n", True)
        stops = ended(tmp_path, "| head -1 >/dev/null; exit ${PIPESTATUS[0]}", each="console.end_if_unread()")
        assert stops == (0, "", False)

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
    def test_on_a_full_disk(self, tmp_path):
        lost = "program: standard output cannot be written: No space left on device; its text is lost\n"
        assert ended(tmp_path, ">/dev/full") == (2, f"told\n{lost}", True)
        assert ended(tmp_path, ">/dev/full", after="console.only_tells()") == (0, f"told\n{lost}", True)
        assert ended(tmp_path, ">/dev/full", code=1) == (1, f"told\n{lost}", True)
        assert ended(tmp_path, ">/dev/full", each="console.end_if_unread()") == (2, lost, False)
        assert ended(tmp_path, "2>/dev/full") == (0, "", True)

    def test_errors_and_interruptions_are_a_line_and_a_code(self, tmp_path):
        missing = ended(tmp_path, ">/dev/null", after="open('no/such\\x1bfile')")
        words = "program: error: cannot write or read no/such\\x1bfile: No such file or directory"
        assert missing == (2, f"told\n{words}\n", False)
        assert ended(tmp_path, ">/dev/null", after="raise KeyboardInterrupt")[:2] == (
            130,
            "told\n\nprogram: interrupted\n",
        )


@pytest.mark.parametrize("module", ["gpt", "viz", "lessons"])
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_every_command_line_explains_itself_in_every_encoding(module, encoding):
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    words = {"gpt": ["train", "--help"], "viz": ["bug", "no-zero-grad"], "lessons": []}[module]
    result = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, cwd=ROOT, env=env, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode(encoding)
