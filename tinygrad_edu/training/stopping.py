"""Ask a training to stop: it finishes its step, saves, and ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["stop_requests"]


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """An event that Ctrl-C, a polite kill or a terminal that closes sets; a second Ctrl-C stops at once, unsaved."""
    asked = threading.Event()

    def handler(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            if number == signal.SIGINT:  # others come twice by themselves, as from a terminal that closes
                raise KeyboardInterrupt
            return
        asked.set()
        # os.write: print could be in the middle of its own work at this moment. The terminal may be gone.
        with suppress(OSError):
            os.write(2, b"\nStopping after this step and saving; press Ctrl-C again to stop at once.\n")

    if threading.current_thread() is not threading.main_thread():
        yield asked  # signals are the main thread's; a training in another thread is stopped there
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # not every system has all of them
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)  # nohup asks for that; SIGINT is ignored wherever a shell starts with &
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield asked
    finally:
        for number, old in before.items():
            signal.signal(number, old)
