from __future__ import annotations

import struct

import numpy as np
import pytest

from curvecast.readers.frames import first_corrupt, is_event_head, masked_crc32c, walk


def crc(data: bytes) -> int:
    return int(masked_crc32c(np.frombuffer(data, np.uint8), np.array([0]), np.array([len(data)]))[0])


def frame(payload: bytes) -> bytes:
    head = struct.pack("<Q", len(payload))
    return head + struct.pack("<I", crc(head)) + payload + struct.pack("<I", crc(payload))


def test_checksum_equals_tensorboard() -> None:
    theirs = pytest.importorskip("tensorboard.compat.tensorflow_stub.pywrap_tensorflow").masked_crc32c
    rng = np.random.default_rng(0)
    for length in (0, 1, 7, 8, 100):
        data = rng.bytes(length)
        assert crc(data) == theirs(data)


def test_walk_finds_every_payload() -> None:
    payloads = [b"", b"a", b"x" * 300]
    data = b"".join(map(frame, payloads))
    frames, damage = walk(data)
    assert [data[start:stop] for start, stop in frames] == payloads
    assert damage is None
    assert first_corrupt(data, frames) is None


@pytest.mark.parametrize("cut", range(1, len(frame(b"last"))))
def test_walk_keeps_what_stands_before_a_cut(cut: int) -> None:
    data = frame(b"first") + frame(b"last")[:cut]
    frames, damage = walk(data)
    assert len(frames) == 1
    assert damage is not None
    assert "is cut off at byte" in damage


def test_a_length_that_fails_its_checksum_ends_the_walk() -> None:
    data = bytearray(frame(b"first") + frame(b"second") + frame(b"third"))
    data[len(frame(b"first"))] ^= 1
    frames, damage = walk(bytes(data))
    assert len(frames) == 1
    assert damage is not None
    assert "does not match its checksum" in damage


def test_first_corrupt_names_the_earliest() -> None:
    data = bytearray(frame(b"first") + frame(b"second") + frame(b"third"))
    frames, _ = walk(bytes(data))
    for index in (2, 1):
        data[frames[index][0]] ^= 0x80
        assert first_corrupt(bytes(data), frames) == index


def test_messages_of_any_length_are_checked_at_once() -> None:
    rng = np.random.default_rng(0)
    payloads = [rng.bytes(int(length)) for length in rng.integers(0, 300, 50)]
    data = b"".join(map(frame, payloads))
    frames, _ = walk(data)
    assert first_corrupt(data, frames) is None
    broken = bytearray(data)
    broken[frames[31][1] - 1] ^= 1
    assert first_corrupt(bytes(broken), frames) == 31


def test_is_event_head_looks_at_the_bytes() -> None:
    heads = [frame(b"event"), b"step,loss\n1,2.0\n", b"\0"]
    assert [is_event_head(start) for start in heads] == [True, False, False]
