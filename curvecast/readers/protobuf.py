"""As much of protobuf's wire format as event files need, and the scalars of one TensorBoard ``Event``.

Field numbers are those of TensorBoard's public ``event.proto``, ``summary.proto`` and ``tensor.proto``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_SESSION_START = 1
_DT_FLOAT, _DT_DOUBLE = 1, 2


class MalformedMessage(ValueError):  # noqa: N818 - it names what was met
    """Bytes that are not a protobuf message."""


@dataclass(slots=True)
class Event:
    """What a reader of loss curves wants of one event.

    Args:
        wall_time: Seconds since 1970 [s].
        step: The writer's step.
        scalars: ``(tag, value)`` of every scalar, tags as UTF-8 bytes.
        restarts: Whether the writer starts again at ``step``, so that what it wrote from there on is void.
    """

    wall_time: float = 0.0
    step: int = 0
    scalars: list[tuple[bytes, float]] = field(default_factory=list)
    restarts: bool = False


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise MalformedMessage(f"a number runs past the end of its message at byte {at}")


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of the message at ``data[at:end]``.

    Returns:
        ``(number, wire type, a, b)``: for a varint ``a`` is the value; else the content is ``data[a:b]``.

    Raises:
        MalformedMessage: where a field runs past the end or has a type that event files never use.
    """
    while at < end:
        key, at = (data[at], at + 1) if data[at] < 0x80 else _varint(data, at, end)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(data, at, end)
            yield key >> 3, wire, value, at
            continue
        if wire == _BYTES:
            size, start = (data[at], at + 1) if at < end and data[at] < 0x80 else _varint(data, at, end)
        elif wire in (_FIXED64, _FIXED32):
            size, start = (8 if wire == _FIXED64 else 4), at
        else:
            raise MalformedMessage(f"wire type {wire} at byte {at}")
        at = start + size
        if at > end:
            raise MalformedMessage(f"a field runs past the end of its message at byte {start}")
        yield key >> 3, wire, start, at


def decode_event(data: bytes, at: int, end: int) -> Event:
    """Read the ``Event`` at ``data[at:end]``; what is no scalar (images, graphs, text) is passed over.

    Raises:
        MalformedMessage: where the bytes are no ``Event``.

    Example:
        >>> message = bytes.fromhex("10072a0d0a0b0a046c6f737315000000 40".replace(" ", ""))
        >>> decode_event(message, 0, len(message))
        Event(wall_time=0.0, step=7, scalars=[(b'loss', 2.0)], restarts=False)
    """
    event = Event()
    for number, wire, a, b in fields(data, at, end):
        if number == 1 and wire == _FIXED64:
            event.wall_time = _DOUBLE.unpack_from(data, a)[0]
        elif number == 2 and wire == _VARINT:
            event.step = a if a < 1 << 63 else a - (1 << 64)
        elif number == 5 and wire == _BYTES:
            _decode_summary(data, a, b, event.scalars)
        elif number == 7 and wire == _BYTES:
            event.restarts = (1, _VARINT, _SESSION_START) in (f[:3] for f in fields(data, a, b))
    return event


def _decode_summary(data: bytes, at: int, end: int, scalars: list[tuple[bytes, float]]) -> None:
    for number, wire, a, b in fields(data, at, end):
        if number != 1 or wire != _BYTES:
            continue
        tag, value = b"", None
        for inner, inner_wire, c, d in fields(data, a, b):
            if inner == 1 and inner_wire == _BYTES:
                tag = data[c:d]
            elif inner == 2 and inner_wire == _FIXED32:
                value = _FLOAT.unpack_from(data, c)[0]
            elif inner == 8 and inner_wire == _BYTES:
                value = _scalar_tensor(data, c, d)
        if value is not None:
            scalars.append((tag, value))


def _scalar_tensor(data: bytes, at: int, end: int) -> float | None:
    """The value of a ``TensorProto`` that is one float or double; ``None`` for every other tensor."""
    dtype, content = 0, b""
    for number, wire, a, b in fields(data, at, end):
        if number == 1 and wire == _VARINT:
            dtype = a
        elif number == 2 and wire == _BYTES and a < b:
            return None  # the shape has a dimension
        elif number in (4, 5, 6) and wire != _VARINT:  # tensor_content, float_val, double_val (packed or not)
            content = data[a:b]
    unpack = {_DT_FLOAT: _FLOAT, _DT_DOUBLE: _DOUBLE}.get(dtype)
    if unpack is None or len(content) != unpack.size:
        return None
    value: float = unpack.unpack(content)[0]
    return value
