"""Chance and clocks: what a function may not ask for while it is compiled, because one answer would be frozen.

A generator of random numbers is seen by its state, wherever it is kept and whoever draws from it; what has no state (a
clock, the system's entropy) by the call.
"""

from __future__ import annotations

import gc
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ..errors import CompileError
from .record import is_tracing
from .refusal import refuse

_CLOCKS = ("time", "perf_counter", "monotonic", "process_time", "thread_time")
_SOURCES: tuple[tuple[Any, str], ...] = (
    *[(time, name + unit) for name in _CLOCKS for unit in ("", "_ns")],
    (os, "urandom"),
    (random, "_urandom"),  # for secrets, SystemRandom, and numpy's generators that are given no seed
)
_DRAW = "draw random numbers outside and pass them as arguments"


def _state(generator: Any) -> Any:
    if isinstance(generator, random.Random):  # even one whose making was interrupted
        return super(random.Random, generator).getstate(), vars(generator).get("gauss_next")
    return repr(generator.state)


def _generators() -> list[Any]:
    """Every generator there is: those of Python, and the bit generators inside of numpy's."""
    objects = gc.get_objects()
    kinds = {kind for kind in set(map(type, objects)) if issubclass(kind, (random.Random, np.random.BitGenerator))}
    kinds.discard(random.SystemRandom)  # has no state
    return [x for x in objects if type(x) in kinds] if kinds else []


@contextmanager
def no_chance(name: str) -> Iterator[None]:
    """Inside, where the function ``name`` is run, this thread may not draw random numbers nor look at a clock."""
    before = [(generator, _state(generator)) for generator in _generators()]
    with _watched():
        yield
    if any(_state(generator) != state for generator, state in before):
        raise CompileError(
            f"{name} draws random numbers while it is compiled: one draw would be frozen into the program; {_DRAW}"
        )


@contextmanager
def _watched() -> Iterator[None]:
    """Inside, the sources refuse to answer in a function that is being compiled. Other threads go on as always."""
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
    if is_tracing():
        if name.endswith("urandom"):
            refuse("a random number is drawn here, and one draw would be frozen into the program", _DRAW)
        refuse(
            "a clock is read here: two runs of the function see two times, and one would be frozen into the program",
            "measure outside of the function, or pass the time as an argument",
        )
    return plain(*args)


def _seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    if a is None and is_tracing():
        refuse("a generator without a seed is made here, and its draws would be frozen into the program", _DRAW)
    _plain_seed(self, a, version)
