"""As much of protobuf's wire format as event files need, and the scalars of one TensorBoard ``Event``.

Field numbers are those of TensorBoard's public ``event.proto``, ``summary.proto`` and ``tensor.proto``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from curvecast.readers.frames import Buffer

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


def _varint(data: Buffer, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise MalformedMessage(f"a number runs past the end of its message at byte {at}")


def signed(number: int) -> int:
    """The signed integer of 64 bits that a varint stands for; what it has beyond them is left out.

    Example:
        >>> signed(7), signed((1 << 64) - 1), signed((1 << 70) - 1)
        (7, -1, -1)
    """
    low = number & 0xFFFFFFFFFFFFFFFF
    return low - (1 << 64) if low >> 63 else low


def fields(data: Buffer, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
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


def decode_event(data: Buffer, at: int, end: int) -> Event:
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
            event.step = signed(a)
        elif number == 5 and wire == _BYTES:
            _decode_summary(data, a, b, event.scalars)
        elif number == 7 and wire == _BYTES:
            event.restarts = (1, _VARINT, _SESSION_START) in (f[:3] for f in fields(data, a, b))
    return event


def _decode_summary(data: Buffer, at: int, end: int, scalars: list[tuple[bytes, float]]) -> None:
    for number, wire, a, b in fields(data, at, end):
        if number != 1 or wire != _BYTES:
            continue
        tag, value = b"", None
        for inner, inner_wire, c, d in fields(data, a, b):
            if inner == 1 and inner_wire == _BYTES:
                tag = bytes(data[c:d])
            elif inner == 2 and inner_wire == _FIXED32:
                value = _FLOAT.unpack_from(data, c)[0]
            elif inner == 8 and inner_wire == _BYTES:
                value = _scalar_tensor(data, c, d)
        if value is not None:
            scalars.append((tag, value))


def _scalar_tensor(data: Buffer, at: int, end: int) -> float | None:
    """The value of a ``TensorProto`` that is one float or double; ``None`` for every other tensor."""
    content = _scalar_content(data, at, end)
    if content is None:
        return None
    start, stop = content
    value: float = (_FLOAT if stop - start == _FLOAT.size else _DOUBLE).unpack_from(data, start)[0]
    return value


def _scalar_content(data: Buffer, at: int, end: int) -> tuple[int, int] | None:
    """Where the one float or double of a ``TensorProto`` stands; ``None`` for every other tensor."""
    dtype, start, stop = 0, 0, 0
    for number, wire, a, b in fields(data, at, end):
        if number == 1 and wire == _VARINT:
            dtype = a
        elif number == 2 and wire == _BYTES and a < b:
            return None  # the shape has a dimension
        elif number in (4, 5, 6) and wire != _VARINT:  # tensor_content, float_val, double_val (packed or not)
            start, stop = a, b
    size = {_DT_FLOAT: _FLOAT.size, _DT_DOUBLE: _DOUBLE.size}.get(dtype)
    return (start, stop) if stop - start == size else None


@dataclass(frozen=True, slots=True)
class ScalarLayout:
    """Where the parts of an event with one scalar stand, counted from its first byte.

    Args:
        tag: the scalar's tag, UTF-8.
        wall_at: of the wall time's 8 bytes; -1 where there is none.
        step_at, step_bytes: of the step; no bytes where there is none, and it is 0.
        value_at, value_bytes: of the value, a float of 4 bytes or a double of 8.
    """

    tag: bytes
    wall_at: int
    step_at: int
    step_bytes: int
    value_at: int
    value_bytes: int


def layout_of_scalar(data: Buffer, at: int, end: int) -> ScalarLayout | None:
    """The layout of the ``Event`` at ``data[at:end]``; ``None`` unless it is one scalar and no more.

    Raises:
        MalformedMessage: where the bytes are no ``Event``.

    Example:
        >>> message = bytes.fromhex("10072a0d0a0b0a046c6f73731500000040")
        >>> layout_of_scalar(message, 0, len(message))
        ScalarLayout(tag=b'loss', wall_at=-1, step_at=1, step_bytes=1, value_at=13, value_bytes=4)
    """
    wall_at, step_at, step_bytes = -1, 0, 0
    scalar: tuple[bytes, int, int] | None = None
    before, seen = at, []
    for number, wire, a, b in fields(data, at, end):
        seen.append(number)
        if (number, wire) == (1, _FIXED64):
            wall_at = a - at
        elif (number, wire) == (2, _VARINT):
            step_at, step_bytes = before + 1 - at, b - before - 1
        elif (number, wire) != (5, _BYTES) or (scalar := _only_scalar(data, a, b)) is None:
            return None
        before = b
    if scalar is None or len(set(seen)) != len(seen):
        return None
    tag, start, stop = scalar
    return ScalarLayout(tag, wall_at, step_at, step_bytes, start - at, stop - start)


def _only_scalar(data: Buffer, at: int, end: int) -> tuple[bytes, int, int] | None:
    """Tag and place of a summary's value, where it has just one and that is a scalar."""
    values = [(a, b) for number, wire, a, b in fields(data, at, end) if (number, wire) == (1, _BYTES)]
    if len(values) != 1:
        return None
    tag, place, seen = b"", None, []
    for number, wire, a, b in fields(data, *values[0]):
        seen.append(number)
        if (number, wire) == (1, _BYTES):
            tag = bytes(data[a:b])
        elif (number, wire) == (2, _FIXED32):
            place = (a, b)
        elif (number, wire) == (8, _BYTES):
            place = _scalar_content(data, a, b)
    if place is None or len(set(seen)) != len(seen) or {2, 8} <= set(seen):
        return None
    return (tag, *place)
