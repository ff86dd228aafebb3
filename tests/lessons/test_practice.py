"""Answers are checked by their value; nothing a learner types breaks the practice session."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lessons import kernel, practice
from lessons.cells import Lesson, load_all, parse
from lessons.practice import Blank, Verdict, blanks, check
from lessons.sandbox import run_line, why_not

TEXT = """# %% [markdown]
# # Lesson 1: A test
# **Question.** Why?

# %%
from tinygrad_edu import Value
a, b = Value(2.0), Value(-3.0)
e = a * b  # key: a product
d = e + 10  # key: ten more

# %%
total = 0.0
for i in range(3):
    total += 2.0 * i  # key: twice
numbers = [i * i for i in range(4)]  # key: squares
len(numbers)  # key: how many


# %%
def double(x):
    return x + x  # key: two of them


# %%
double(a)
"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    path = tmp_path_factory.mktemp("lesson") / "01_test.py"
    path.write_text(TEXT, encoding="utf-8")
    return parse(TEXT, path)


def all_blanks(lesson: Lesson) -> list[Blank]:
    return [blank for i in range(len(lesson.cells)) for blank in blanks(lesson, i)]


def judge(lesson: Lesson, which: int, typed: str) -> Verdict:
    return check(lesson, all_blanks(lesson)[which], typed)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run lines here, for answers that do no harm: a process takes a second to start."""

    def outcome(path: str, blank: Blank, code: str) -> dict[str, Any]:
        seen: list[Any] = []
        error = ""
        lesson = parse(Path(path).read_text(encoding="utf-8"), Path(path))
        try:
            run_line(lesson, blank.cell, blank.line, blank.target, code, seen)
        except Exception as raised:
            error = why_not(raised)
        return json.loads(json.dumps({"seen": seen, "error": error}))

    monkeypatch.setattr(practice, "_outcome", outcome)


def test_blanks_of_a_lesson(lesson: Lesson) -> None:
    assert [blank.shown for blank in all_blanks(lesson)] == [
        "e = ____", "d = ____", "    total += ____", "numbers = ____", "____", "    return ____",
    ]  # fmt: skip


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("which", "typed"),
    [
        (0, "a * b"),
        (0, "b*a"),
        (0, "e = a * b"),
        (0, "e = -(a * -b)"),
        (0, "a / (1 / b)"),
        (0, "sum([a] * 0) + a * b + 0"),
        (1, "10 + e"),
        (1, "a * b + Value(10.0)"),
        (2, "i + i"),
        (2, "total = total + 2 * i"),
        (3, "[0, 1, 4, 9]"),
        (3, "list(i**2 for i in range(4))"),
        (3, "tuple(i**2 for i in range(4))"),
        (4, "4"),
        (4, "sum(1 for _ in numbers)"),
        (5, "2 * x"),
        (5, "return x * 2"),
    ],
)
def test_every_right_answer_is_accepted(lesson: Lesson, which: int, typed: str) -> None:
    assert judge(lesson, which, typed) == Verdict(True, "right")


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("which", "typed", "message"),
    [
        (0, "a + b", "it is -1.0; that is not the number"),
        (0, "-6.0", "a plain number; it must be computed"),
        (0, "Value(-6.0)", "must be computed from the Values"),
        (0, "a.data * b", "must be computed from the Values"),
        (0, "q = a * b", "NameError: name 'e' is not defined"),
        (0, "a * z", "NameError: name 'z' is not defined"),
        (2, "i", "it is 1.0; that is not the number"),
        (3, "[0, 1, 4]", "it has 3 entries, not 4"),
        (4, "'four'", "that is something else"),
        (5, "x", "it is 2.0"),
        (0, "", "write what belongs in the blank"),
        (0, "a *", "Python cannot read this"),
        (0, "a * b; import os", "write one statement"),
        (0, "import os", "this line has the form e = ____"),
        (0, "a *\nb", "one line, please"),
        (0, "\0", "Python cannot read this"),
    ],
)
def test_every_wrong_answer_gets_a_reason(lesson: Lesson, which: int, typed: str, message: str) -> None:
    verdict = judge(lesson, which, typed)
    assert not verdict.right
    assert message in verdict.message


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("exit()", "ends the whole program"),
        ("__import__('os')._exit(0)", "made Python itself stop"),
        ("(lambda f: f(f))(lambda f: f(f))", "calls itself without an end"),
        ("[0] * 10**13", "more memory than there is"),
        ("print('x' * 10**8)", "something else"),
        ("__import__('os').kill(__import__('os').getpid(), 9)", "may only compute"),
        ("__import__('os').system('true')", "may only compute"),
        ("__import__('shutil').rmtree('/nowhere')", "may only compute"),
        ("__import__('socket').socket()", "may only compute"),
        ("__import__('ctypes').string_at(0)", "may only compute"),
        ("(" * 5000 + ")" * 5000, "Python cannot read this"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("__seen_2__(Value(1.0))", "something changed how often"),
    ],
)
def test_hostile_answers_do_no_harm(lesson: Lesson, typed: str, message: str) -> None:
    verdict = judge(lesson, 0, typed)
    assert not verdict.right
    assert message in verdict.message


def test_no_file_can_be_written_or_removed(lesson: Lesson, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("precious")
    for typed in (f"open({str(kept)!r}, 'w')", f"__import__('os').remove({str(kept)!r})"):
        assert "may only compute" in judge(lesson, 0, typed).message
    assert "may only compute" in judge(lesson, 0, f"__import__('pathlib').Path({str(kept)!r}).unlink()").message
    assert kept.read_text() == "precious"


SYSTEM = "__import__('sys').modules"
#: The sandbox itself, found in the list of all objects.
GUARD = "[f for f in __import__('gc').get_objects() if type(f).__name__ == 'function' and f.__name__ == 'guard'][0]"
PATCHES = [  # things a line can replace in Python, none of which the sandbox uses
    "[setattr(__import__('__main__'), name, ()) for name in ('_COMPUTING', '_SYSTEM', '_REFUSAL', '_only_compute')]",
    f"[setattr({SYSTEM}['builtins'], name, lambda *_: True) for name in ('type', 'str', 'isinstance', 'any')]",
    "setattr(__import__('builtins'), 'PermissionError', None)",
    "[vars(__import__('__main__')).clear(), setattr(__import__('sys'), 'audit', None)]",
    f"[{SYSTEM}.pop('posix'), __import__('posix')]",
    f"[vars({GUARD}).clear(), {GUARD}.__globals__.clear(), {GUARD}.__builtins__.clear()]",
    f"[x.clear() for x in __import__('gc').get_objects() if type(x) in (list, dict) and any(y is {GUARD} for y in x)]",
    "[x.clear() for x in __import__('gc').get_objects() if type(x) is list]",
]


@pytest.mark.parametrize("patch", PATCHES)
def test_the_sandbox_cannot_be_changed(lesson: Lesson, tmp_path: Path, patch: str) -> None:
    kept = tmp_path / "kept"
    kept.write_text("precious")
    assert not judge(lesson, 0, f"[{patch}, __import__('io').open({str(kept)!r}, 'w')]").right
    assert kept.read_text() == "precious"


def test_frames_do_not_lead_to_the_sandbox(lesson: Lesson, tmp_path: Path) -> None:
    """A refusal is raised inside the hook: its traceback must not expose the hook's frame."""
    text = TEXT.replace(
        "e = a * b  # key: a product",
        """def hook_frame():
    try:
        open("/nowhere", "w")
    except OSError as error:
        return error.__traceback__.tb_next.tb_frame
e = a * b  # key: a product""",
    )
    path = tmp_path / "01_test.py"
    path.write_text(text, encoding="utf-8")
    assert "may only compute" in judge(parse(text, path), 0, "[hook_frame(), a * b][1]").message


LEAVES = [
    f"setattr({GUARD}, '__kwdefaults__', {{{{'computing': ()}}}})",
    f"setattr({GUARD}, '__code__', (lambda *_: None).__code__)",
    f"setattr({GUARD}, '__defaults__', ())",
    f"delattr({GUARD}, '__defaults__')",
    f"{GUARD}.__code__.replace(co_consts=())",
    f"__import__('gc').get_referrers({GUARD})",
    "__import__('gc').get_referents([])",
    "__import__('gc').get_referrers(__import__('__main__')._COMPUTING)",
    "__import__('sys').settrace(lambda *_: None)",
    "__import__('sys').setprofile(lambda *_: None)",
    "__import__('ctypes').CDLL(None)",
    "__import__('ctypes').c_long.from_address(0)",
    f"{SYSTEM}['_imp'].create_builtin(__import__('os').__spec__)",
    "setattr(refused, '__code__', (lambda action: True).__code__)",
    "(lambda: None).__code__.replace(co_consts=())",
    "(x for x in []).gi_frame",
    "__import__('os').open({kept!r}, __import__('os').O_TRUNC)",
    "__import__('os').open({kept!r}, __import__('os').O_RDONLY | __import__('os').O_TRUNC)",
    "open({kept!r})",
    "open({kept!r}, 'r+')",
    "open({folder!r} + '/../kept').read()",
    "__import__('pathlib').Path({kept!r}).read_text()",
    "__import__('sqlite3').connect({new!r})",
    "__import__('os').mkfifo({new!r})",
    "__import__('os').mknod({new!r})",
    "__import__('os').symlink({kept!r}, {new!r})",
    "__import__('os').mkdir({new!r})",
    "__import__('os').chmod({kept!r}, 0)",
    "__import__('os').utime({kept!r}, (0, 0))",
    "__import__('os').replace({kept!r}, {new!r})",
    "__import__('os').truncate({kept!r}, 0)",
    "__import__('os').listdir({folder!r})",
    "__import__('os').chdir('/')",
    "__import__('tempfile')._mkstemp_inner({folder!r}, '', '', 66, str)",
    "__import__('numpy').save({new!r}, 1)",
    "__import__('numpy').fromfile({kept!r})",
    "__import__('numpy').memmap({kept!r})",
    "__import__('multiprocessing').Process(target=int).start()",
    "__import__('subprocess')._fork_exec()",
    "__import__('asyncio').run(None)",
    "__import__('sys').modules['posix'].fork()",
    "__import__('signal').raise_signal(9)",
    "__import__('urllib.request')",
]


@pytest.mark.skipif(sys.platform == "win32", reason="functions of other systems")
def test_nothing_escapes_the_sandbox(tmp_path: Path) -> None:
    helper = """def refused(action):
    try:
        action()
    except PermissionError as error:
        return "may only compute" in str(error)
e = a * b  # key: a product"""
    text = TEXT.replace("e = a * b  # key: a product", helper)
    folder, kept, new = tmp_path / "folder", tmp_path / "kept", tmp_path / "new"
    folder.mkdir()
    kept.write_text("precious")
    lesson = parse(text, folder / "01_test.py")
    lesson.path.write_text(text, encoding="utf-8")
    actions = [line.format(kept=str(kept), new=str(new), folder=str(folder)) for line in LEAVES]
    tried = ", ".join(f"lambda: {action}" for action in actions)
    typed = f"a * b if not (left := [i for i, action in enumerate([{tried}]) if not refused(action)]) else left[0]"
    assert judge(lesson, 0, typed) == Verdict(True, "right")
    assert (kept.read_text(), {path.name for path in tmp_path.iterdir()}) == ("precious", {"kept", "folder"})
    assert [path.name for path in folder.iterdir()] == ["01_test.py"]
    assert kept.stat().st_mtime > 1


def test_the_environment_is_empty(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    assert judge(lesson, 4, "len(__import__('os').environ) + 4") == Verdict(True, "right")


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_the_kernel_s_restrictions_work_alone(tmp_path: Path) -> None:
    """Check what the kernel refuses without Python's audit hook."""
    code = """
import os, socket, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
from lessons.sandbox import ask_the_kernel
folder, outside = sys.argv[1:]
server = socket.create_server(("127.0.0.1", 0))
earlier = ThreadPoolExecutor(1)
earlier.submit(int).result()
if not ask_the_kernel([folder]):
    print("no Landlock")
    sys.exit()
print(open(folder + "/lesson").read())
for action in (
    lambda: open(outside).read(),
    lambda: open(outside, "w"),
    lambda: open(folder + "/lesson", "w"),
    lambda: os.open(outside, os.O_TRUNC),
    lambda: os.mkfifo(folder + "/new"),
    lambda: os.mkdir(folder + "/new"),
    lambda: os.remove(outside),
    lambda: os.listdir("/"),
    lambda: subprocess.run([sys.executable, "-c", ""]),
    lambda: ThreadPoolExecutor(1).submit(open, outside).result(),
    lambda: socket.create_connection(server.getsockname()),
):
    try:
        action()
        print("allowed")
    except PermissionError:
        print("refused")
print(earlier.submit(lambda: open(outside).read()).result())
"""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "lesson").write_text("text")
    (tmp_path / "outside").write_text("precious")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "folder"), str(tmp_path / "outside")],
        capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stderr == ""
    if done.stdout == "no Landlock\n":
        pytest.skip("this kernel has no Landlock")
    lines = done.stdout.split()
    assert lines[:11] == ["text", *["refused"] * 10]  # TCP, the last one, since Linux 6.7
    assert lines[-1] == "precious"  # a thread started before, as the docstring explains
    assert (tmp_path / "outside").read_text() == "precious"


def test_an_endless_loop_is_stopped(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(lesson, 4, "4")  # compute the expected answer first; the next line gets little time
    monkeypatch.setattr("lessons.practice.SECONDS", 1.5)
    for typed in ("all(iter(lambda: 1, 0))", "9**9**9"):
        verdict = judge(lesson, 4, typed)
        assert (verdict.right, verdict.message) == (False, "this takes too long; is there a loop without an end?")


@pytest.mark.parametrize(
    "lesson", [lesson for lesson in load_all() if all_blanks(lesson)], ids=lambda lesson: lesson.path.stem
)
def test_the_lines_of_every_lesson_can_be_practiced(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare what each line is worth in the sandbox with one run of the lesson outside of it."""
    monkeypatch.setattr(practice, "SECONDS", 600.0)  # a machine may be busy; the sandbox limits its own CPU time
    with contextlib.redirect_stdout(io.StringIO()):
        answers = json.loads(json.dumps([[*where, seen] for where, seen in kernel.answers(lesson).items()]))
    for blank, (*where, seen) in zip(all_blanks(lesson), answers, strict=True):
        assert where == [blank.cell, blank.line]
        given = practice._outcome(str(lesson.path), blank, blank.code)
        assert practice.judge({"seen": seen, "error": ""}, given) == Verdict(True, "right"), blank.code
