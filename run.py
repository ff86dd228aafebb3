#!/usr/bin/env python3
"""Set up and run: all you need on a fresh machine.

  python3 run.py                train a char-GPT on Shakespeare, and draw it
  python3 run.py --steps 200    the same with other settings (gpt train --help)
  python3 run.py gpt ...        the command line of the GPT
  python3 run.py image ...      train a painter of digits or shapes, and paint
  python3 run.py viz ...        draw the graph of an expression, step through it
  python3 run.py play           open the playground; play RUN reads a model
  python3 run.py lesson 1       run a lesson; without a number they are listed
  python3 run.py course.zip     archives of the course: for class, and teacher
  python3 run.py python         a Python that can import the packages
  python3 run.py add torch      an extra: torch, tensorboard, animation, ipython
  python3 run.py test           all tests; more words go to pytest: test -k nn
  python3 run.py test --fast    leave out the slow ones: three minutes
  python3 run.py test --all     install PyTorch and what else they need; fail if
                                anything is missing
  python3 run.py lint           run the linters and the type checker
  python3 run.py docs           build the API reference into docs/html
  python3 run.py site           write the whole site into a folder: playground,
                                course, gallery, reference

gpt, image, viz and lesson list their commands with --help. Needs Python 3.11
or newer and, the first time, an internet connection. Everything is installed
once, into .venv next to this file; later a start takes a tenth of a second.
"""

import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - exactly those who have an older one read this: no := in this file
    sys.exit("tinygrad_edu needs Python 3.11 or newer, this is %d.%d; use a newer one." % sys.version_info[:2])  # noqa: UP031

import configparser
import difflib
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
LAUNCHER = "python run.py" if os.name == "nt" else "python3 run.py"
MODULES = ("gpt", "image", "viz")
ALL_TESTS = ("-n", "auto", "--dist", "loadfile")  # one process per core; selected tests run in a single one
REQUIREMENTS = HERE / "requirements"
EXTRAS = ("base", "test", "dev", "docs", "oracles")  # each contains the ones before it
PYTORCH = "torch==2.13.0"  # the oracle: one version for everyone, with the files that the system's index has for it


def main(words: list[str]) -> int:
    """Do what the words ask for; returns the exit code."""
    if sys.stderr is None:  # closed: output, even that of pip, is discarded
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - to the end
    command = words[0] if words else ""
    try:
        return carry_out(command, words)
    except KeyboardInterrupt:
        print("\nrun.py: stopped; the same command continues from here", file=sys.stderr)
        return 130


def carry_out(command: str, words: list[str]) -> int:
    """Do what one command asks for."""
    if command in ("-h", "--help", "help"):
        from tinygrad_edu import console

        return console.run("run.py", lambda: print(__doc__) or 0)
    if command == "test":
        everything, fast = "--all" in words, "--fast" in words
        chosen = [word for word in words[1:] if word not in ("--all", "--fast")]
        set_up("oracles" if everything else "test")
        options = ["--require"] * everything + ["--fast"] * fast
        return hand_over("-m", "pytest", *options, *(chosen or ALL_TESTS))
    if command == "lint":
        set_up("dev")
        checks = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",))
        return max(subprocess.call([PYTHON, "-m", *check], cwd=HERE) for check in checks)
    if command == "docs":
        set_up("docs")
        return reference(HERE / "docs" / "html")
    if command == "site":
        set_up("docs")
        return hand_over("-P", str(HERE / "docs" / "website.py"), *words[1:])
    if command == "add":
        return add(words[1:])
    if command == "python":
        set_up()
        return hand_over(*words[1:])
    if command in ("lesson", "lessons"):
        set_up()
        return hand_over("-P", "-m", "lessons", *words[1:])
    if command == "course.zip":
        set_up()
        return hand_over("-P", "-m", "lessons", "archive", *words)
    if command == "play":
        set_up()
        return hand_over("-P", "-m", "gpt", *words)
    if command in MODULES:
        set_up()
        return hand_over("-P", "-m", *words)
    if command and not command.startswith("-"):
        known = ", ".join((*MODULES, "play", "lesson", "course.zip", "python", "add", "test", "lint", "docs", "site"))
        near = difflib.get_close_matches(command, known.split(", "), 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {known}"
        print(f"run.py: unknown command: {command!r}; {hint}", file=sys.stderr)
        return 2
    set_up()
    return hand_over("-P", "-m", "gpt", "train", *words)


def set_up(extra: str = "base") -> None:
    """Make the virtual environment if there is none for this Python, and install what is missing."""
    if not PYTHON.exists() or made_by() not in ((), sys.version_info[:2]):
        make_environment()
    steps = EXTRAS[: EXTRAS.index(extra) + 1]
    stamp = VENV / f"installed-{extra}"
    if stamp.exists() and stamp.read_text() == wanted():
        return
    print("Installing what the project needs into .venv (once) ...", file=sys.stderr, flush=True)
    reason = install(*steps)
    if reason:
        sys.exit(
            f"{reason}\nrun.py: pip could not install the project (its reason is above); is there a network? "
            f"If a package has no wheel for your system, do without run.py: pip install --editable ."
        )
    if install("native"):
        print("No llvmlite could be installed here, so numpy does all the work.", file=sys.stderr, flush=True)
    reason = pip(PYTORCH) if extra == "oracles" else ""
    if reason:
        sys.exit(f"{reason}\nrun.py: {PYTORCH} could not be installed (pip's reason is above); run.py test needs none")
    # By a path, not by a finder: a script beside a clone named tinygrad_edu must find the package in it, not the clone.
    reason = pip("--no-deps", "--no-build-isolation", "--config-settings=editable_mode=compat", "--editable", HERE)
    if reason:
        sys.exit(f"{reason}\nrun.py: pip could not install the project (its reason is above)")
    for step in steps:
        (VENV / f"installed-{step}").write_text(wanted())


def wanted() -> str:
    """Return what the environment is to hold, as a digest."""
    sources = (HERE / "setup.cfg", HERE / "pyproject.toml", *sorted(REQUIREMENTS.glob("*.txt")))
    return hashlib.sha256(b"".join(file.read_bytes() for file in sources) + os.fsencode(HERE)).hexdigest()


def reference(pages: Path) -> int:
    """Build the API reference, any warning being an error; returns the exit code."""
    options = ("--quiet", "--fail-on-warning", "--keep-going", "--fresh-env", "--write-all")
    code = subprocess.call([PYTHON, "-m", "sphinx", *options, "docs", pages.resolve()], cwd=HERE)
    if not code:
        print(f"Open {pages / 'index.html'}")
    return code


def add(names: list[str]) -> int:
    """Install extras of setup.cfg in the versions that are tested."""
    setup = configparser.ConfigParser()
    setup.read(HERE / "setup.cfg", encoding="utf-8")
    known = [name for name in setup["options.extras_require"] if name not in ("native", "all", *EXTRAS)]
    if not names or not set(names) <= set(known):
        got = " ".join(names) or "nothing"
        print(f"run.py: add expected some of {', '.join(known)}, got {got}", file=sys.stderr)
        return 2
    set_up()
    packages: list[str] = []
    for name in names:
        packages += [PYTORCH] if name == "torch" else setup["options.extras_require"][name].split("\n")
    pins = "\n".join(file.read_text(encoding="utf-8") for file in sorted(REQUIREMENTS.glob("*.txt")))
    with tempfile.TemporaryDirectory() as folder:
        fixed = Path(folder, "fixed.txt")
        fixed.write_text("\n".join(re.findall(r"^[^\s#][^\\\n]*", pins, re.MULTILINE)), encoding="utf-8")
        print(f"Installing {' and '.join(names)} ...", file=sys.stderr, flush=True)
        reason = pip("--only-binary=:all:", f"--constraint={fixed}", *filter(None, packages))
    if reason:
        what = " and ".join(names)
        print(f"{reason}\nrun.py: {what} could not be installed (pip's reason is above)", file=sys.stderr)
        return 1
    return 0


def install(*steps: str) -> str:
    """Install the requirement files of some steps; returns pip's reason if it cannot, else nothing."""
    # Wheels only: building from source uses unchecked tools, and building llvmlite needs LLVM.
    files = [f"--requirement={REQUIREMENTS / step}.txt" for step in steps]
    reason = pip("--require-hashes", "--only-binary=:all:", *files)
    if "DO NOT MATCH THE HASHES" in reason:
        package, got = (re.search(rf"^ +{what}", reason, re.MULTILINE) for what in (r"(\S+==\S+)", r"Got +(\w+)"))
        sys.exit(
            f"run.py: {package[1] if package else 'a package'} was not installed: expected a file whose sha256 is in "
            f"{REQUIREMENTS}, got {got[1] if got else 'another'}; try again, and do not use that file if it stays so"
        )
    return reason


def pip(*words: object) -> str:
    """Run ``pip install``; returns its reason if it fails, else nothing."""
    command = [PYTHON, "-P", "-m", "pip", "install", "-qq", "--disable-pip-version-check", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.stdout.strip() or f"pip stopped with code {done.returncode}" if done.returncode else ""


def made_by() -> tuple[int, ...]:
    """Return the version of Python that made the environment, (3, 11) for 3.11; empty if it does not say so."""
    try:
        settings = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return ()
    version = re.search(r"^version *= *(\d+)\.(\d+)", settings, re.MULTILINE)
    return tuple(map(int, version.groups())) if version else ()


def make_environment() -> None:
    """Make .venv, or report which package of the operating system is missing."""
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
    """Run the environment's Python in the checkout, replacing this process if the system can."""
    # With -P a module is found in the checkout, never in the current directory, which may hold a gpt.py or a random.py;
    # files named on the command line are still relative to the current directory.
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
