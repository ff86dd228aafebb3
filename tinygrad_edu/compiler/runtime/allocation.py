"""Place the arrays of a program in one block of memory, and reuse places that are no longer needed."""

from __future__ import annotations

from bisect import insort
from heapq import heappop, heappush

from ..program import fusion
from ..program.ir import Program

#: At most this many arrays are placed by comparing their lifetimes one by one.
COMPARED = 512


def lifetimes(program: Program, items: fusion.Schedule | None = None) -> tuple[dict[int, int], dict[int, int]]:
    """Return for each array the first and the last item of the schedule that needs it; results are always needed.

    Without a schedule, these are the first and the last instruction.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for place, item in enumerate(range(len(program.instructions)) if items is None else items):
        for number in fusion.numbers(item):
            it = program.instructions[number]
            for x in (it.out, *it.reads()):
                first.setdefault(x.array, place)
                last[x.array] = place
    last |= {access.array: 1 << 60 for access, _ in program.outputs}
    return first, last


def allocate(sizes: dict[int, int], first: dict[int, int], last: dict[int, int]) -> tuple[dict[int, int], int]:
    """Assign places in one block of memory such that arrays with overlapping lifetimes do not overlap.

    The largest arrays come first, each at the lowest place that is free during its lifetime. Only a limited number can
    all be compared: after them, a small array takes over the place of one of its size that is no longer needed.

    >>> allocate({0: 10, 1: 4, 2: 10}, {0: 0, 1: 0, 2: 3}, {0: 2, 1: 3, 2: 4})
    ({0: 0, 2: 0, 1: 10}, 14)
    """
    order = sorted(sizes, key=lambda n: (-sizes[n], first[n]))
    placed: list[tuple[int, int, int, int]] = []  # place, end, first, last
    places: dict[int, int] = {}
    for number in order[:COMPARED]:
        place = 0
        for start, end, born, died in placed:
            if born <= last[number] and first[number] <= died:
                if place + sizes[number] <= start:
                    break
                place = max(place, end)
        places[number] = place
        insort(placed, (place, place + sizes[number], first[number], last[number]))
    total = max((end for _, end, _, _ in placed), default=0)
    used: dict[int, list[tuple[int, int]]] = {}  # for every size, when each place becomes free
    for number in sorted(order[COMPARED:], key=lambda n: first[n]):
        own = used.setdefault(sizes[number], [])
        if own and own[0][0] < first[number]:
            places[number] = heappop(own)[1]
        else:
            places[number] = total
            total += sizes[number]
        heappush(own, (last[number], places[number]))
    return places, total
