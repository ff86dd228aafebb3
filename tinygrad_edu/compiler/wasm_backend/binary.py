"""Turn LLVM's object file into the bytes of a WebAssembly module.

LLVM makes a *relocatable* object, for a linker. An object that defines all it calls needs none: the numbers of its
functions are final. Only the list of exports, the memory and its initial content must be added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

__all__ = ["PAGE", "STACK", "module", "sections"]

#: Bytes of a page of memory.
PAGE = 1 << 16

#: The first bytes of memory are the stack of the functions, which grows down.
STACK = 1 << 16

_HEAD = b"\0asm\1\0\0\0"
_CUSTOM, _TYPES, _IMPORTS, _FUNCTIONS, _MEMORY, _GLOBALS, _EXPORTS, _CODE, _DATA = 0, 1, 2, 3, 5, 6, 7, 10, 11


def module(compiled: bytes, exports: Mapping[str, str], pages: int, data: bytes, notes: Mapping[str, bytes]) -> bytes:
    """Return the module of a relocatable object.

    Args:
        compiled: the object.
        exports: the function of the object for each exported name.
        pages: the size of its memory, which is exported as ``memory``.
        data: the initial content of the memory after the stack.
        notes: custom sections.
    """
    found = {}
    numbers: dict[str, int] = {}
    for kind, body in sections(compiled):
        if kind == _CUSTOM:
            numbers |= _functions(body)
        elif kind == _IMPORTS:
            _check_imports(body)
        elif kind in (_TYPES, _FUNCTIONS, _CODE):
            found[kind] = body
        else:
            raise AssertionError(f"section {kind} of an object")
    memory = [b"\1\1", _leb(pages), _leb(pages)]  # fixed size
    stack = [b"\1\x7f\1\x41", _leb(STACK, signed=True), b"\x0b"]  # one variable: i32, mutable
    listed = [_name("memory") + b"\2\0", *(_name(x) + b"\0" + _leb(numbers[own]) for x, own in exports.items())]
    segment = [b"\1\0\x41", _leb(STACK, signed=True), b"\x0b", _leb(len(data)), data]
    found |= {
        _MEMORY: b"".join(memory),
        _GLOBALS: b"".join(stack),
        _EXPORTS: _leb(len(listed)) + b"".join(listed),
        _DATA: b"".join(segment),
    }
    parts = [_section(kind, found[kind]) for kind in sorted(found)]
    return b"".join([_HEAD, *parts, *(_section(_CUSTOM, _name(name) + body) for name, body in notes.items())])


def sections(binary: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the body of every section."""
    at = len(_HEAD)
    while at < len(binary):
        kind = binary[at]
        size, at = _number(binary, at + 1)
        yield kind, binary[at : at + size]
        at += size


def _functions(body: bytes) -> dict[str, int]:
    """Return the numbers of functions, from the linking section; no other section has them."""
    name, at = _text(body, 0)
    if name != "linking":
        return {}
    at += 1  # the version
    found = {}
    while at < len(body):
        kind = body[at]
        size, at = _number(body, at + 1)
        end = at + size
        if kind == 8:  # symbols
            count, at = _number(body, at)
            for _ in range(count):
                what = body[at]
                flags, at = _number(body, at + 1)
                index, at = _number(body, at)
                assert what in (0, 2), f"symbol of kind {what}"  # a function; the stack pointer, which is imported
                if what == 0:
                    assert not flags & 0x10, "a function that is not defined"
                    symbol, at = _text(body, at)
                    found[symbol] = index
                elif flags & 0x40 or not flags & 0x10:
                    _, at = _text(body, at)
        at = end
    return found


def _check_imports(body: bytes) -> None:
    count, at = _number(body, 0)
    for _ in range(count):
        _, at = _text(body, at)
        name, at = _text(body, at)
        assert name in ("__linear_memory", "__stack_pointer"), f"{name} is not there"
        kind = body[at]
        at += 1
        if kind == 2:
            flags, at = _number(body, at)
            for _ in range(1 + (flags & 1)):
                _, at = _number(body, at)
        else:
            at += 2


def _number(binary: bytes, at: int) -> tuple[int, int]:
    """Read an integer (LEB128); return it and where it ends."""
    value = shift = 0
    while True:
        byte = binary[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _text(binary: bytes, at: int) -> tuple[str, int]:
    size, at = _number(binary, at)
    return binary[at : at + size].decode(), at + size


def _leb(value: int, signed: bool = False) -> bytes:
    """Encode a non-negative number (LEB128); a signed one keeps a bit free for its sign."""
    found = bytearray()
    while value >= (0x40 if signed else 0x80):
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _name(text: str) -> bytes:
    return _leb(len(text.encode())) + text.encode()


def _section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _leb(len(body)) + body
