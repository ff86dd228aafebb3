"""A small thread pool; numpy releases the GIL inside its functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class Threads:
    """Some threads, the calling one among them; the others sleep until there is work.

    >>> Threads(2).run(lambda a, b: a + b, [(1, 2), (3, 4), (5, 6)])
    [3, 7, 11]
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"threads must be at least 1, got {count}")
        self.count = count
        self._process = 0
        self._others: ThreadPoolExecutor | None = None

    def run(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the results of the function for several arguments. An error of any of them is raised after all have
        ended."""
        if self.count == 1:
            return [function(*a) for a in arguments]
        from concurrent.futures import ThreadPoolExecutor, wait

        if self._others is None or self._process != os.getpid():  # a forked process has none of these threads
            self._process, self._others = os.getpid(), ThreadPoolExecutor(self.count - 1, thread_name_prefix="batch")
        mine, *theirs = arguments
        futures = [self._others.submit(function, *a) for a in theirs]
        try:
            first = function(*mine)
        finally:
            wait(futures)  # whatever happens here, no thread may still work on memory that is used next
        return [first, *(future.result() for future in futures)]
