"""Machine code and programs that one process keeps on disk for the next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_edu.compiler import native
from tinygrad_edu.compiler.runtime import disk_cache

PROGRAM = """
from tinygrad_edu import Value, jit
from tinygrad_edu.compiler.runtime import disk_cache
kept = []
disk_cache.keep, keep = lambda *what: kept.append(what) or keep(*what), disk_cache.keep
w = [Value(2.0), Value(-3.0)]
loss = jit(lambda x: ((w[0] * x).tanh() + w[1] * x).exp(), w, dtype="float64")
print(loss.value_and_grad([0.01 * i for i in range(50)]), loss.parameters.gradient.tolist(), len(kept))
"""


pytestmark = pytest.mark.skipif(not native.available(), reason="needs llvmlite")
KINDS = ("kernels", "programs")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of one kind of files; nothing else is kept."""
    for kind in KINDS:
        monkeypatch.setenv(f"TINYGRAD_EDU_{kind.upper()}", str(tmp_path / kind) if kind == request.param else "")
    return tmp_path / request.param


def started() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)


def run() -> list[str]:
    """Return the numbers that a fresh process finds, and how many files it added."""
    process = started()
    out, _ = process.communicate()
    assert process.returncode == 0
    return out.rsplit(maxsplit=1)


def test_the_next_process_loads_what_one_has_compiled(place: Path) -> None:
    numbers, count = run()
    assert int(count) > 0
    files = sorted(place.iterdir())
    assert len(files) == int(count)
    assert run() == [numbers, "0"]
    # What damaged files had is compiled and written again: cut off, changed, empty, or of another name.
    content = [file.read_bytes() for file in files]
    changed = bytes([*content[0][:-9], content[0][-9] ^ 1, *content[0][-8:]])
    disk_cache.keep(place.name, "another", b"code")
    another = (place / "another.kept").read_bytes()
    (place / "another.kept").unlink()
    for damaged in (content[0][:-1], changed, another, b"", b"\0" * 40):
        for file in files:
            file.write_bytes(damaged)
        assert run() == [numbers, count]
        assert [file.read_bytes() for file in files] == content
        assert sorted(place.iterdir()) == files


@pytest.mark.skipif(os.name == "nt", reason="needs permissions")
def test_nothing_is_read_where_others_may_write(place: Path) -> None:
    found = run()
    assert run()[1] == "0"
    for mode in (0o720, 0o702):
        place.chmod(mode)
        assert run() == found  # compiled once more
    place.chmod(0o755)
    assert run() == [found[0], "0"]


def test_several_processes_at_once(place: Path) -> None:
    processes = [started() for _ in range(3)]
    found = {process.communicate()[0].rsplit(maxsplit=1)[0] for process in processes}
    assert len(found) == 1
    assert not list(place.glob("*.new"))
    assert run() == [*found, "0"]


def test_without_a_folder_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").write_text("not a folder")
    found = []
    for chosen in ("", str(tmp_path / "file" / "inside")):
        for kind in KINDS:
            monkeypatch.setenv(f"TINYGRAD_EDU_{kind.upper()}", chosen)
        found.append(run()[0])
        assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/a"}, "/a/tinygrad_edu/kernels"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/me/.cache/tinygrad_edu/kernels"),
        ("darwin", {}, "/home/me/Library/Caches/tinygrad_edu/kernels"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/tinygrad_edu/kernels"),
        ("linux", {"TINYGRAD_EDU_CACHE": "/b"}, "/b/kernels"),
        ("linux", {"TINYGRAD_EDU_CACHE": "/b", "TINYGRAD_EDU_KERNELS": "/c"}, "/c"),
        ("linux", {"TINYGRAD_EDU_KERNELS": ""}, None),
    ],
    ids=lambda x: str(x) if isinstance(x, str) else None,
)
def test_the_folder(
    system: str, variables: dict[str, str], expected: str | None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ("TINYGRAD_EDU_KERNELS", "TINYGRAD_EDU_PROGRAMS", "TINYGRAD_EDU_CACHE")
    for name in (*own, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    for name, text in variables.items():
        monkeypatch.setenv(name.replace("KERNELS", kind.upper()), text.replace("kernels", kind))
    monkeypatch.setattr(sys, "platform", system)
    assert disk_cache.folder(kind) == (None if expected is None else Path(expected.replace("kernels", kind)))


MOVES = """
import sys
import numpy as np
from tinygrad_edu.compiler.llvm_backend import codegen, moves
from tinygrad_edu.compiler.runtime import disk_cache
kept = []
disk_cache.keep, keep = lambda *what: kept.append(what) or keep(*what), disk_cache.keep
texts = {"clear": moves.clear(), "move": moves.kernel(True), "all": moves.run_all()}
numbers, offsets = np.arange(1.0, 4.0), np.array([0, 16])
table = [2, offsets.ctypes.data, numbers.ctypes.data, 8]
for group in sys.argv[1:]:
    kernels = {name: codegen.Kernel(texts[name], table) for name in group.split("+")}
    codegen.compile_all([*kernels.values()])
    if "clear" in kernels:
        kernels["clear"]()
print(numbers.tolist(), len(kept))
"""


def moves(*groups: str) -> str:
    """Return the numbers after kernels that were compiled in these groups, and how many files were added."""
    return subprocess.run([sys.executable, "-c", MOVES, *groups], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("place", ["kernels"], indirect=True)
def test_kernels_that_were_compiled_together_are_found_one_by_one(place: Path) -> None:
    cleared, untouched = "[0.0, 2.0, 0.0]", "[1.0, 2.0, 3.0]"
    assert moves("clear+all") == f"{cleared} 3\n"  # the object, and two names that lead to it
    assert moves("all") == f"{untouched} 0\n"
    assert moves("move+clear") == f"{cleared} 2\n"  # another object, for the new one only
    assert moves("clear", "all+move") == f"{cleared} 0\n"
    for file in place.glob("object_*"):  # as when the folder is halved
        content = file.read_bytes()
        file.unlink()
        assert moves("clear+all+move") != f"{cleared} 0\n"
        assert moves("clear+all+move") == f"{cleared} 0\n"
        file.write_bytes(content)


@pytest.mark.parametrize("place", ["kernels"], indirect=True)
def test_two_processes_may_have_compiled_the_same_kernel_with_others(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert moves("clear+all") == "[0.0, 2.0, 0.0] 3\n"
    monkeypatch.setenv("TINYGRAD_EDU_KERNELS", str(tmp_path / "other"))
    assert moves("clear+move") == "[0.0, 2.0, 0.0] 3\n"
    for file in (tmp_path / "other").iterdir():  # one of them writes the name last
        file.replace(place / file.name)
    monkeypatch.setenv("TINYGRAD_EDU_KERNELS", str(place))
    for groups in (("clear+all+move",), ("all", "move", "clear"), ("move+all", "clear")):
        assert moves(*groups) == "[0.0, 2.0, 0.0] 0\n"


def test_the_folder_stays_small(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_cache, "LARGEST", 10_000)
    monkeypatch.setattr(disk_cache, "OFTEN", 2)
    for n in range(12):
        disk_cache.keep(place.name, f"k{n}", bytes([n]) * 1_000)
        os.utime(place / f"k{n}.kept", (n, n))
    left = [n for n in range(12) if disk_cache.find(place.name, f"k{n}") == bytes([n]) * 1_000]
    assert left == list(range(left[0], 12))  # the newest
    assert 0 < left[0] < 8


def test_the_name_has_everything_that_the_code_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import llvmlite
    import llvmlite.binding as llvm

    native._processor.cache_clear()
    before = native._processor()
    for owner, name, other in (
        (llvmlite, "__version__", "0.0"),
        (llvm, "get_host_cpu_name", lambda: "another"),
        (native, "PASSES", ("sroa",)),
        (native, "LEVEL", 2),
        (native, "WITHOUT", "-disable-cgp"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, other)
            native._processor.cache_clear()
            assert native._processor() != before
    native._processor.cache_clear()
