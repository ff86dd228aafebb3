#!/usr/bin/env python3
"""Set up and run: the only thing to know on a fresh machine.

    python3 run.py                     train a char-GPT on Shakespeare and draw its graph
    python3 run.py --steps 200         the same with other settings (see: python3 run.py gpt train --help)
    python3 run.py gpt sample ...      the command line of the GPT
    python3 run.py viz graph ...       draw the graph of an expression
    python3 run.py lesson 1            run a lesson of the course; without a number they are listed
    python3 run.py python              a Python in which the packages can be imported
    python3 run.py test                run the tests; further words go to pytest: test -k engine
    python3 run.py lint                run the linters and the type checker

Needs Python 3.11 or newer and, the first time, a network. Everything is installed into .venv beside this file, once;
after that a start costs about a tenth of a second.
"""

import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - exactly those who have an older one need to read this
    sys.exit("tinygrad_edu needs Python 3.11 or newer, this is %d.%d; use a newer one." % sys.version_info[:2])  # noqa: UP031

import hashlib
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
LAUNCHER = "python run.py" if os.name == "nt" else "python3 run.py"
MODULES = ("gpt", "viz")
ALL_TESTS = ("-n", "auto", "--dist", "loadfile")  # a process per core; tests that are chosen run in a single one
EXTRAS = ("base", "test", "dev")  # each contains the ones before it


def main(words: list[str]) -> int:
    """Do what the words ask for; returns the exit code."""
    if sys.stderr is None:  # closed: what is said there, by pip too, goes nowhere
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - to the end
    command = words[0] if words else ""
    if command in ("-h", "--help", "help"):
        from tinygrad_edu import console

        return console.run("run.py", lambda: print(__doc__) or 0)
    if command == "test":
        set_up("test")
        return hand_over("-m", "pytest", *(words[1:] or ALL_TESTS))
    if command == "lint":
        set_up("dev")
        checks = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",))
        return max(subprocess.call([PYTHON, "-m", *check], cwd=HERE) for check in checks)
    if command == "python":
        set_up()
        return hand_over(*words[1:])
    if command in ("lesson", "lessons"):
        set_up()
        return hand_over("-P", "-m", "lessons", *words[1:])
    if command in MODULES:
        set_up()
        return hand_over("-P", "-m", *words)
    if command and not command.startswith("-"):
        known = ", ".join((*MODULES, "lesson", "python", "test", "lint"))
        print(f"run.py: unknown command: {command!r} (must be one of {known})", file=sys.stderr)
        return 2
    set_up()
    return hand_over("-P", "-m", "gpt", "train", *words)


def set_up(extra: str = "base") -> None:
    """Make the virtual environment if there is none, and install what is missing."""
    if not PYTHON.exists():
        make_environment()
    wanted = hashlib.sha256(
        (HERE / "setup.cfg").read_bytes() + (HERE / "pyproject.toml").read_bytes() + os.fsencode(HERE)
    ).hexdigest()
    stamp = VENV / f"installed-{extra}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("Installing what the project needs into .venv (once) ...", file=sys.stderr, flush=True)
    chosen = [] if extra == "base" else [extra]
    if install(["native", *chosen], quiet=True) != 0 and install(chosen) != 0:
        sys.exit("run.py: pip could not install the project (its reason is above); is there a network?")
    for contained in EXTRAS[: EXTRAS.index(extra) + 1]:
        (VENV / f"installed-{contained}").write_text(wanted)


def install(extras: list[str], quiet: bool = False) -> int:
    """Install the project with some of its extras; returns pip's exit code."""
    target = f"{HERE}[{','.join(extras)}]" if extras else str(HERE)
    # Not every machine has a wheel of llvmlite, and to build it takes LLVM: better without it then.
    pip = [PYTHON, "-P", "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--only-binary", "llvmlite"]
    return subprocess.call(
        [*pip, "--editable", target], stdout=sys.stderr, stderr=subprocess.DEVNULL if quiet else None
    )


def make_environment() -> None:
    """Make .venv, or say which package of the operating system is missing."""
    try:
        import ensurepip  # noqa: F401
        import venv
    except ImportError as missing:
        sys.exit(
            f"run.py: this Python cannot make virtual environments: it has no {missing.name}. Install it first:\n"
            f"  Debian, Ubuntu:  apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv\n"
            f"  Fedora:          dnf install python3-pip\n"
            f"  elsewhere:       take Python from python.org"
        )
    print("Making a virtual environment in .venv (once) ...", file=sys.stderr, flush=True)
    try:
        venv.create(VENV, with_pip=True, clear=VENV.exists())
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(f"run.py: the virtual environment could not be made in {VENV}: {error}")


def hand_over(*arguments: str) -> int:
    """Run the environment's Python in the checkout, in place of this process where the system can do that."""
    # With -P a module is found in the checkout, never in the folder where the person is, who may have a gpt.py or a
    # random.py there; files that the person names are still looked for in that folder.
    if arguments[:2] == ("-m", "pytest"):
        os.chdir(HERE)
    os.environ["TINYGRAD_EDU_LAUNCHER"] = LAUNCHER  # so that "try next" lines can be typed as they are printed
    command = [str(PYTHON), *arguments]
    if os.name != "nt":
        if sys.stdout is not None:
            sys.stdout.flush()
        os.execv(command[0], command)
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
