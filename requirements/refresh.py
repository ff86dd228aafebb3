#!/usr/bin/env python3
"""Write the requirement files from setup.cfg: the newest version of everything, with the hashes of all its files.

    python3 run.py python requirements/refresh.py

There is a file for each step of run.py: base, native, test, dev, docs, oracles; each holds what those before it lack.
They fit every Python from 3.11 on and every system, and name no registry. Run the tests and the linters before you
commit them. Needs a network; uv, which finds the versions, is installed into a temporary folder.
"""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
HEADER = "# Written by refresh.py in this folder. run.py installs these versions, from files that have these hashes.\n"


def wanted() -> dict[str, str]:
    """The requirements of each step, as setup.cfg and, for building, pyproject.toml have them."""
    setup = configparser.ConfigParser()
    setup.read(FOLDER.parent / "setup.cfg", encoding="utf-8")
    building = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    extras = setup["options.extras_require"]
    base = "\n".join([setup["options"]["install_requires"], *building])
    return {
        "base": base,
        "native": extras["native"],
        "test": extras["test"],
        "dev": extras["dev"],
        "docs": extras["docs"],
        "oracles": extras["oracles"],
    }


def compile_requirements(uv: Path, requirements: str) -> list[str]:
    """The pinned lines for some requirements, each with its hashes."""
    command = [uv, "pip", "compile", "-", "--universal", "--python-version", "3.11", "--fork-strategy", "fewest"]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-config", "--quiet"]
    command += ["--cache-dir", uv.parent / "cache"]
    done = subprocess.run(command, input=requirements, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True)
    return re.findall(r"^\S.*(?:\n +--hash.*)+\n", done.stdout, re.MULTILINE)


def main() -> None:
    """Install uv, and write every file."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "install", "-qq", "--target", folder, "uv"], check=True)
        uv = Path(folder, "bin", "uv.exe" if os.name == "nt" else "uv")
        known: list[str] = []
        requirements = ""
        for step, more in wanted().items():
            requirements += more + "\n"
            new = [line for line in compile_requirements(uv, requirements) if line not in known]
            (FOLDER / f"{step}.txt").write_text(HEADER + "".join(new), encoding="utf-8")
            known += new
            print(f"{step}.txt: {', '.join(line.split()[0] for line in new)}")


if __name__ == "__main__":
    main()
