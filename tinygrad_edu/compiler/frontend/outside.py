"""Random numbers and clocks: a function may not use them while it is compiled, because one answer would be frozen in.

The use of a random generator is detected by its state, wherever it is kept and whatever draws from it; that of sources
without state (a clock, the system's entropy) by the call. Other threads are not affected.
"""

from __future__ import annotations

import datetime
import gc
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import BuiltinMethodType, FrameType, MethodType
from typing import Any, TypeVar

import numpy as np

from ...errors import CompileError
from .catching import codes
from .diagnostics import (
    in_library,
    is_installed,
    keep,
    line_of,
    refuse,
    user_line,
)
from .surroundings import Surroundings
from .tracers import is_tracing

T = TypeVar("T")

_CLOCKS = ("time", "perf_counter", "monotonic", "process_time", "thread_time", "clock_gettime")
_DATES = ("localtime", "gmtime", "ctime", "asctime", "strftime")  # of now, unless they are told of when
_SOURCES: tuple[tuple[Any, str], ...] = (
    *[(time, name + unit) for name in _CLOCKS for unit in ("", "_ns") if hasattr(time, name + unit)],
    *[(time, name) for name in _DATES],
    *[(os, name) for name in ("urandom", "getrandom", "times") if hasattr(os, name)],
    (random, "_urandom"),  # for secrets, SystemRandom, and numpy's generators that are given no seed
)
_DRAW = "draw random numbers outside and pass them as arguments"
_READ = "a clock is read here: two runs of the function see two times, and one would be frozen into the program"
_MEASURE = "measure outside the function, or pass the time as an argument"
_DRAWN = "a random number is drawn here, and one draw would be frozen into the program"
#: Clocks that are methods of classes in C, which cannot be replaced.
_METHODS = frozenset(("now", "utcnow", "today", "uuid1"))


def _state(generator: Any) -> Any:
    if isinstance(generator, random.Random):  # even one whose making was interrupted
        return super(random.Random, generator).getstate(), vars(generator).get("gauss_next")
    if hasattr(generator, "get_state"):  # PyTorch's
        return generator.get_state().tolist()
    return repr(generator.state)


def _generators(around: Surroundings) -> list[Any]:
    """Return all generators: those of Python, and the bit generators inside numpy's.

    With other threads running, only those that the function can reach and the global ones: listing all objects could
    expose a tuple that another thread is still making, which Python treats as an error of that thread.
    """
    torch = sys.modules.get("torch")
    if threading.active_count() == 1:
        objects = gc.get_objects()
    else:
        shared = (random.random, np.random.random)  # methods of the global generators
        objects = [_owner(thing) for thing in (*shared, *around.things())]
    kinds = {kind for kind in set(map(type, objects)) if issubclass(kind, (random.Random, np.random.BitGenerator))}
    kinds.discard(random.SystemRandom)  # has no state
    found = {id(x): x for x in objects if type(x) in kinds} if kinds else {}
    return [*found.values(), *([] if torch is None else [torch.default_generator])]


def _owner(thing: Any) -> Any:
    """Return the generator that a thing is, is a method of, or draws from."""
    owner = thing.__self__ if isinstance(thing, (BuiltinMethodType, MethodType)) else thing
    if isinstance(owner, (np.random.Generator, np.random.RandomState)):
        return owner._bit_generator  # type: ignore[union-attr]
    return owner


def without_chance(name: str, run: Callable[[], T], once: Callable[[], Any], around: Surroundings) -> T:
    """Return the result of ``run``, in which this thread may neither draw random numbers nor read a clock.

    ``once`` runs the function ``name`` alone, to find the line of a draw; ``around`` is what it can reach.
    """
    drawn: list[Any] = []
    for _ in range(3):
        before = [(generator, _state(generator)) for generator in _generators(around)]
        with _watched(), _clocks_seen(around):
            result = run()
        drawn = [generator for generator, state in before if _state(generator) != state]
        if threading.active_count() > 1:  # another one may have drawn, now and then even from the same generator
            drawn = [generator for generator in drawn if _within_reach(generator, around)]
        elif drawn:
            break
        if not drawn:
            return result
    raise CompileError(
        f"{_line_of_draw(drawn, once)}{name} draws random numbers here while it is compiled: one draw would be frozen "
        f"into the program; {_DRAW}"
    )


def _within_reach(generator: Any, around: Surroundings) -> bool:
    """Return whether the function may draw from a generator: it holds it, or names the module that has it."""
    if any(_owner(thing) is generator for thing in around.things()):
        return True
    return any("random" in name for code in codes(around.functions) for name in code.co_names)


def _line_of_draw(generators: list[Any], run: Callable[[], Any]) -> str:
    """Return the line of user code after which the state of a generator has changed."""
    last: dict[FrameType, int] = {}
    found: list[str] = []
    states = list(map(_state, generators))

    def look(frame: FrameType, event: str, arg: Any) -> Any:
        if found or in_library(frame) or is_installed(frame):
            return None
        if list(map(_state, generators)) != states:
            found.append(line_of(frame, last[frame]) if frame in last else user_line())
        last[frame] = frame.f_lineno
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        with suppress(Exception):
            run()
    finally:
        sys.settrace(before)
    return f"{found[0]}\n  " if found else ""


@contextmanager
def _clocks_seen(around: Surroundings) -> Iterator[None]:
    """Detect calls of clocks in this thread that the function keeps under other names."""
    before = sys.getprofile()
    if before is not None or not _may_ask(around):  # two profilers cannot work at the same time
        yield
        return
    sys.setprofile(_look)
    try:
        yield
    finally:
        sys.setprofile(None)


@contextmanager
def _watched() -> Iterator[None]:
    """Make the sources refuse to answer in a function that is being compiled. Other threads are not affected."""
    global _watching
    with _lock:
        if _watching == 0:
            _plain[:] = [getattr(owner, name) for owner, name in _SOURCES]
            for (owner, name), plain in zip(_SOURCES, _plain, strict=True):
                setattr(owner, name, partial(_ask, name, plain))
            random.Random.seed = _seed  # type: ignore[method-assign]
        _watching += 1
    try:
        yield
    finally:
        with _lock:
            _watching -= 1
            if _watching == 0:
                for (owner, name), plain in zip(_SOURCES, _plain, strict=True):
                    setattr(owner, name, plain)
                random.Random.seed = _plain_seed  # type: ignore[method-assign]


_lock = threading.Lock()
_watching = 0
_plain: list[Callable[..., Any]] = []
_plain_seed = random.Random.seed


def _ask(name: str, plain: Callable[..., Any], *args: Any) -> Any:
    for_log = sys._getframe(1).f_globals.get("__name__") == "logging"
    if is_tracing() and not for_log and not (name in _DATES and len(args) > (name == "strftime")):
        refuse(*_refusal(name))
    return plain(*args)


def _refusal(name: str) -> tuple[str, str]:
    return (_DRAWN, _DRAW) if name.endswith("random") else (_READ, _MEASURE)


def _seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    if a is None and is_tracing():
        refuse("a generator without a seed is made here, and its draws would be frozen into the program", _DRAW)
    _plain_seed(self, a, version)


_own = {id(getattr(owner, name)): name for owner, name in _SOURCES}  # by identity


def _may_ask(around: Surroundings) -> bool:
    """Return whether the function can reach a clock under another name than that in its module."""
    names = {name for code in codes(around.functions) for name in code.co_names}
    return not names.isdisjoint(_METHODS) or around.reaches(_own)


def _look(frame: FrameType, event: str, arg: Any) -> None:
    if event != "c_call" or not is_tracing():
        return
    name = _own.get(id(arg))
    if name is None and arg.__name__ in ("now", "utcnow", "today"):
        owner = arg.__self__
        name = "now" if isinstance(owner, type) and issubclass(owner, datetime.date) else None
    if arg.__name__ == "generate_time_safe":
        name = "uuid1"
    if name is not None and not in_library(frame) and (name == "uuid1" or not is_installed(frame)):
        what, instead = _refusal(name)
        keep(CompileError(f"{user_line()}\n  {what}; {instead}"))
