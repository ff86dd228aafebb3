"""The benchmark runs and prints its tables; the figures themselves are not tested."""

import re
import subprocess
import sys

from tests.engine.domains import ROOT


def test_the_eager_benchmark_prints_its_tables():
    done = subprocess.run(
        [sys.executable, "benchmarks/eager.py", "--turns", "1", "--batch", "2"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "MLP 3-16-16-1, 2 examples: 1,350 operations" in done.stdout
    assert "GPT, preset micro, 1 sequence" in done.stdout
    assert len(re.findall(r"^Value\b.*\d\.\d{3}$", done.stdout, re.MULTILINE)) >= 3
    for package, row in (
        ("micrograd", "Value / micrograd"),
        ("torch", "Value / PyTorch"),
    ):  # either its row or a sentence that explains why it is missing
        assert f"{package} is not installed: its row is left out" in done.stdout or row in done.stdout
