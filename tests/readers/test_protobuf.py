from __future__ import annotations

import struct

import pytest

from curvecast.readers.protobuf import MalformedMessage, decode_event


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def event(step: int, value: bytes) -> bytes:
    return b"\x09" + struct.pack("<d", 1.5) + b"\x10" + varint(step) + message(5, message(1, value))


def tensor(dtype: int, content: bytes, shape: bytes = b"") -> bytes:
    return message(8, b"\x08" + varint(dtype) + message(2, shape) + content)


TAG = message(1, b"loss")
DOUBLE = struct.pack("<d", 0.1)
FLOAT = struct.pack("<f", 0.1)
FLOAT_AS_READ = struct.unpack("<f", FLOAT)[0]


@pytest.mark.parametrize("step", [0, 1, 127, 128, 2**40, 2**63 - 1, -1, -(2**63)])
def test_step_is_read_with_its_sign(step: int) -> None:
    data = event(step, TAG + b"\x15" + FLOAT)
    decoded = decode_event(data, 0, len(data))
    assert (decoded.wall_time, decoded.step, decoded.scalars) == (1.5, step, [(b"loss", FLOAT_AS_READ)])


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (tensor(1, message(4, FLOAT)), FLOAT_AS_READ),
        (tensor(1, message(5, FLOAT)), FLOAT_AS_READ),
        (tensor(1, b"\x2d" + FLOAT), FLOAT_AS_READ),
        (tensor(2, message(4, DOUBLE)), 0.1),
        (tensor(2, message(6, DOUBLE)), 0.1),
        (tensor(2, b"\x31" + DOUBLE), 0.1),
    ],
    ids=["float content", "float packed", "float single", "double content", "double packed", "double single"],
)
def test_every_encoding_of_a_scalar_tensor_is_read(content: bytes, value: float) -> None:
    data = event(3, TAG + content)
    assert decode_event(data, 0, len(data)).scalars == [(b"loss", value)]


@pytest.mark.parametrize(
    "content",
    [
        tensor(1, message(4, FLOAT * 2)),
        tensor(1, message(4, FLOAT), shape=message(2, b"\x08\x01")),
        tensor(7, message(8, b"text")),
        message(5, b"histogram"),
        b"",
    ],
    ids=["two values", "a dimension", "text", "histogram", "nothing"],
)
def test_what_is_no_scalar_is_passed_over(content: bytes) -> None:
    data = event(3, TAG + content)
    assert decode_event(data, 0, len(data)).scalars == []


def test_unknown_fields_are_passed_over() -> None:
    extra = message(99, b"new") + b"\xf8\x07" + varint(2**63) + b"\xfd\x07" + FLOAT
    data = extra + event(3, extra + TAG + b"\x15" + FLOAT + extra) + extra
    assert decode_event(data, 0, len(data)).scalars == [(b"loss", FLOAT_AS_READ)]


@pytest.mark.parametrize("data", [b"\x0f", b"\x0b", b"\x10", b"\x10" + b"\xff" * 11, b"\x2a\x05ab", b"\x09abc"])
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage, match="byte"):
        decode_event(data, 0, len(data))
