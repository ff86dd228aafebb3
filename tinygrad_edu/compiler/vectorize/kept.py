"""Array programs on disk: what one process has made of a record, the next one that records the same reads.

The function is traced all the same, for nobody can know before what it computes. But a program follows from the record
alone, and from the code of the compiler: their digest is its name.
"""

from __future__ import annotations

import hashlib
import marshal
import pickle
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ... import ops
from ..frontend.tracers import CALL, DOT, INPUT, PARAMETER, PICK, RANDOM, Body, Trace
from ..parameters import LOOSE
from ..runtime import disk_cache

T = TypeVar("T")

_LIBRARY = Path(ops.__file__).parent
_NUMBERS = {op: n for n, op in enumerate((*ops.TABLE, ops.CONSTANT, INPUT, PARAMETER, PICK, CALL, RANDOM, DOT))}


def name_of(record: Trace) -> str:
    """Return the name of the programs of a record; empty if there is no place for them."""
    if disk_cache.folder("programs") is None:
        return ""
    parameters = record.parameters
    numbers = {id(body): n for n, body in enumerate(record.bodies)}
    tensors = [(parameters.start(n), parameters.size(n)) for n in (*range(len(parameters.names)), LOOSE)]
    try:
        digest = hashlib.sha256(_code())
        digest.update(marshal.dumps((record.lines(), tensors, len(parameters)), _VERSION))
        for body in record.bodies:
            for column in _columns(body, numbers):
                digest.update(marshal.dumps(column, _VERSION))
    except (OSError, ValueError):  # no source files; a probability of dropout that is a fraction
        return ""
    return digest.hexdigest()


#: In later ones, equal things may be written differently.
_VERSION = 2


def _columns(body: Body, numbers: dict[int, int]) -> Iterator[Any]:
    """Yield all that a body records; ``numbers`` of the bodies, by identity."""
    yield bytes([_NUMBERS[op] for op in body.ops])
    rows = {id(row): n for n, (row, _) in enumerate(body.rows.values())}  # each once: many products share one
    yield list(body.rows)
    yield [
        (rows[id(args[0])], rows[id(args[1])]) if op is DOT else args
        for op, args in zip(body.ops, body.args, strict=True)
    ]
    yield body.sites
    yield [(port.shape, port.kind, port.nodes) for port in body.ports]
    yield [
        (numbers[id(call.body)], [list(nodes) for nodes in call.inputs], call.slots, call.path, call.outputs)
        for call in body.calls
    ]
    yield body.parent is None, body.slots, body.tables, body.outputs, list(body.parameters.items())


@cache
def _code() -> bytes:
    """Return a digest of the code that makes programs."""
    files = [_LIBRARY / "ops.py", _LIBRARY / "formulas.py"]
    for folder in ("frontend", "program", "vectorize"):
        files += sorted((_LIBRARY / "compiler" / folder).glob("*.py"))
    digest = hashlib.sha256(repr((sys.version, np.__version__)).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.digest()


def kept(name: str, make: Callable[[], T]) -> T:
    """Return what an earlier process has made under a name, or make it."""
    found = disk_cache.find("programs", name) if name else None
    if found is not None:
        return pickle.loads(zlib.decompress(found))  # type: ignore[no-any-return]  # as trusted as the code itself
    made = make()
    if name:
        disk_cache.keep("programs", name, zlib.compress(pickle.dumps(made), 1))
    return made
