from __future__ import annotations

import struct

import numpy as np
import pytest

from curvecast.readers.frames import byte_shares, is_event_head, leap, masked_crc32c, walk, wrong_payloads


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
    assert wrong(data) == []


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


def wrong(data: bytes) -> list[int]:
    frames, _ = walk(data)
    starts, stops = np.array(frames, np.int64).T
    return [int(at) for at in np.flatnonzero(wrong_payloads(np.frombuffer(data, np.uint8), starts, stops))]


def test_wrong_payloads_are_named_whatever_their_length() -> None:
    rng = np.random.default_rng(0)
    data = bytearray(b"".join(frame(rng.bytes(int(length))) for length in rng.integers(1, 300, 50)))
    frames, _ = walk(bytes(data))
    assert wrong(bytes(data)) == []
    for index in (31, 7):
        data[frames[index][1] - 1] ^= 1
    assert wrong(bytes(data)) == [7, 31]


def test_a_crc_is_the_sum_of_its_bytes_shares() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.bytes(9), rng.bytes(9)
    raw = [int(masked_crc32c(np.frombuffer(x, np.uint8), np.array([0]), np.array([9]))[0]) for x in (a, b)]
    plain = [((crc - 0xA282EAD8) & 0xFFFFFFFF) for crc in raw]
    plain = [(crc >> 17 | crc << 15) & 0xFFFFFFFF for crc in plain]
    share = 0
    for place in range(9):
        share ^= int(byte_shares(9 - place)[a[place]]) ^ int(byte_shares(9 - place)[b[place]])
    assert plain[0] ^ plain[1] == share


def leapt(data: bytes) -> list[int]:
    raw = np.frombuffer(data + b"\0" * 64, np.uint8)
    return [int(start) for start in leap(raw, 0, len(data))[0]]


@pytest.mark.parametrize("seed", range(8))
def test_leaping_finds_what_walking_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    longest = [60, 60, 300, 2000][seed % 4]
    inner = frame(frame(b"a frame within a frame") * 3)  # whoever is set down there is misled
    pool = [frame(rng.bytes(int(size))) for size in rng.integers(0, longest, 30)] + [inner]
    data = b"".join(pool[int(pick)] for pick in rng.integers(0, len(pool), 4000))[: -int(rng.integers(1, 90))]
    walked = [start - 12 for start, _ in walk(data)[0]]
    found = leapt(data)
    assert found == walked[: len(found)]
    if longest == 60 and seed < 4:
        assert len(found) > 0


def test_leaping_ends_at_a_length_that_fails_its_checksum() -> None:
    data = bytearray(frame(b"x" * 40) * 4000)
    data[56 * 2000] ^= 1
    found = leapt(bytes(data))
    assert found == [56 * i for i in range(len(found))]
    assert 0 < len(found) <= 2000


def test_is_event_head_looks_at_the_bytes() -> None:
    heads = [frame(b"event"), b"step,loss\n1,2.0\n", b"\0"]
    assert [is_event_head(start) for start in heads] == [True, False, False]
