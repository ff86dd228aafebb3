"""Atomic writes: a file is complete or absent, and no temporary file is left, however the process ends."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.engine.domains import ROOT
from tinygrad_edu.files import atomically, lock, write_atomically

WRITES = """
import signal, sys
from tinygrad_edu.files import atomically
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background processes ignore it
with atomically(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print(flush=True)
    sys.stdin.read()
"""


def writing(path):
    """Start a process and wait until it is in the middle of writing a file."""
    process = subprocess.Popen([sys.executable, "-c", WRITES, path], stdin=-1, stdout=-1, cwd=ROOT)
    process.stdout.readline()
    return process


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["file", "[a] *?.svg", "ü.html"])
def test_the_next_write_removes_the_temporary_file_of_a_killed_process(tmp_path, name):
    path = tmp_path / name
    write_atomically(path, "old")
    (tmp_path / ".other.1.new").touch()
    process = writing(path)
    process.kill()
    process.communicate()
    assert len(names(tmp_path)) == 3
    assert path.read_text() == "old"
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert names(tmp_path) == [".other.1.new", name]


def test_a_file_that_another_process_is_writing_is_kept(tmp_path):
    path = tmp_path / "file"
    process = writing(path)
    write_atomically(path, "ours")
    assert path.read_text() == "ours"
    assert process.communicate()[0] == b""
    assert process.returncode == 0
    assert path.read_text() == "half"
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="SIGINT is a Unix signal")
def test_an_interrupted_write_leaves_nothing(tmp_path):
    process = writing(tmp_path / "file")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert names(tmp_path) == []


def test_concurrent_threads_leave_one_complete_text(tmp_path):
    path = tmp_path / "file"
    errors = []

    def write(text):
        try:
            for _ in range(25):
                write_atomically(path, text)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(letter * 9999,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert path.read_text() in {letter * 9999 for letter in "abcd"}
    assert names(tmp_path) == ["file"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full_disk(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space") as caught:
        write_atomically(path, "new")
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_file_has_the_permissions_of_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", "words")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == (0o666 if os.name == "nt" else 0o640)


@pytest.mark.skipif(os.name == "nt", reason="NUL is a name there")
def test_a_device_is_written_to_and_not_replaced():
    before = os.stat(os.devnull)
    with atomically(os.devnull) as file:
        file.write(b"words")
    assert os.path.samestat(before, os.stat(os.devnull))


def test_an_impossible_path_is_named_in_the_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (".", "missing/file", "/", tmp_path):
        with pytest.raises(OSError, match=r"'.*'"):
            write_atomically(path, "words")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="links and pipes are Unix's")
def test_leftovers_that_are_not_regular_files_are_left_alone(tmp_path):
    (tmp_path / "precious").write_text("words")
    (tmp_path / ".file.1.new").symlink_to(tmp_path / "precious")
    (tmp_path / ".file.2.new").mkdir()
    with open(tmp_path / ".file.3.new", "w") as locked:
        assert lock(locked.fileno())
        write_atomically(tmp_path / "file", "words")
        assert names(tmp_path) == [".file.1.new", ".file.2.new", ".file.3.new", "file", "precious"]
    assert (tmp_path / "precious").read_text() == "words"
