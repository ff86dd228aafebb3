"""GPT-2 small, 124,439,808 parameters made at random: what it takes to import, to describe, and to sample it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.gpt import gpt2_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell the peak of memory")
ROOT = Path(__file__).parents[2]
MOST = 2e9  # bytes
#: Runs a command in a process of its own, and prints its peak of memory last. In ru_maxrss Linux counts what it was
#: before, a copy of the tests; VmHWM begins with Python.
MEASURED = """
import re, resource, sys
from pathlib import Path
from gpt.cli import main
code = main(sys.argv[1:])
sys.stdout.flush()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
if (status := Path("/proc/self/status")).exists():
    peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1])
print(peak, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("small")
    gpt2_folder.write(folder / "theirs", gpt2_folder.SMALL, bfloat16=True)
    yield folder
    shutil.rmtree(folder)  # 750 MB


def measured(*command: str) -> tuple[str, int]:
    """Run a command; returns what it prints, and the most memory that it had."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, int(done.stderr.split()[-1])


def test_it_is_imported_described_and_sampled_in_less_than_two_gigabytes(folder: Path) -> None:
    run = str(folder / "run")
    printed, memory = measured("import", str(folder / "theirs"), run)
    assert "124,439,808 parameters, 50,257 byte pairs" in printed
    assert memory < MOST
    # Some numbers near the end of the file: bfloat16 is the upper half of a float32.
    path = folder / "run" / "model.safetensors"
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(start - 8))
    assert path.stat().st_size == start + 4 * 124_439_808
    at = header["transformer.h.11.mlp.c_proj.weight"]["data_offsets"][0]
    some = 0.02 * np.random.default_rng(5).standard_normal(1 << 20, dtype=np.float32)
    second_row = np.fromfile(path, "<f4", 4, offset=start + at + 4 * 3072)  # column 1 of theirs, 768 apart
    assert second_row == pytest.approx(some[1 : 1 + 4 * 768 : 768], rel=2**-7, abs=0)

    printed, memory = measured("info", run)
    assert re.search(r"^all +124,439,808 +100.0%$", printed, re.MULTILINE)
    assert "One more token takes 284,812,800 multiplications" in printed
    assert memory < MOST / 8  # without reading a number

    command = ["sample", run, "--prompt", "don't", "--max-new-tokens", "4", "--top-k", "40"]
    printed, memory = measured(*command)
    assert printed.startswith("don't")
    assert memory < MOST
    assert measured(*command)[0] == printed
