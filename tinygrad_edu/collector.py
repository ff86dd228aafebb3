"""Keep Python's cyclic garbage collector from walking graphs of Values again and again.

Reference counting frees a graph of Values (see :mod:`tinygrad_edu.engine`), but the collector does not know that. It
scans new objects while they are young, which is cheap, and then the old ones again and again, which takes most of
the time of a training step: a graph of 100,000 Values is walked several times before it is complete.

**Importing the library changes, in the whole process, how often old objects are collected**: the second number of
:func:`gc.get_threshold`, with :func:`collect_old_objects_rarely` in ``gc.callbacks``. Young objects are collected as
usual, and the collector is never switched on or off. The program's own thresholds are respected: if set before the
import, the library leaves them alone; if set afterwards, they win. ``gc.set_threshold(700, 10, 10)`` restores Python's
schedule (2000, 10, 10 since Python 3.13).
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["collect_old_objects_rarely", "collector_paused"]

#: Python's defaults up to 3.12, and from 3.13 on. The first releases of 3.14 have a different kind of collector.
_PYTHONS_OWN: Final = ((700, 10, 10), (2000, 10, 10))
_OFTEN: Final = 12  # nearly Python's 10, but not equal, to distinguish the program's settings from ours
_AT_MOST: Final = 8_000_000  # new objects that may wait; 1 to 2 GB of typical ones if all are garbage


def collect_old_objects_rarely(phase: str, info: dict[str, Any]) -> None:
    """Wait longer for the next collection of old objects if this one found little; for ``gc.callbacks``.

    If less than a tenth of the objects that had survived since the last one was garbage, the next one waits for ten
    times as many new ones, at most for eight million. If more was garbage, as in a program with real cycles,
    collections are as frequent again as at the start: nearly Python's schedule.
    """
    global _ours
    if phase != "stop" or info["generation"] == 0 or gc.get_threshold() != _ours:
        return
    young, middle, old = _ours
    found_enough = info["collected"] > young * middle / 10
    _ours = (young, _OFTEN if found_enough else min(10 * middle, _AT_MOST // young), old)
    gc.set_threshold(*_ours)


_ours = gc.get_threshold()
if _ours in _PYTHONS_OWN:
    _ours = (_ours[0], _OFTEN, _ours[2])
    gc.set_threshold(*_ours)
    gc.callbacks.append(collect_old_objects_rarely)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's cyclic garbage collector in the block; afterwards it is on if it was on before.

    This removes the rest of its cost while graphs of Values grow, about a fifth of an eager training step. The
    pause is process-wide: no thread collects cycles during the block.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
