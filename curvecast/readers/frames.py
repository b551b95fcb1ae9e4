"""The record frames of TensorBoard event files, and the checksum that guards them.

A frame is ``uint64 length | uint32 crc(length) | payload | uint32 crc(payload)``, little-endian; the
checksum is a CRC-32C, rotated and offset so that a checksum of data that holds checksums stays useful.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Frame = tuple[int, int]  # first and one-past-last byte of a payload

LONGEST_CHECKED = 4095  # bytes; a scalar's record is far shorter, and the check costs numpy calls a byte
_HEADER = struct.Struct("<QI")
_FOOTER = 4
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed


def _crc_table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _crc_table()


def masked_crc32c(raw: NDArray[np.uint8], starts: IntArray, stops: IntArray) -> NDArray[np.uint32]:
    """Masked CRC-32C of many messages at once, byte by byte from their ends' distance.

    Args:
        raw: the bytes that the messages lie in.
        starts: ``(n,)`` first byte of each message.
        stops: ``(n,)`` one past the last byte of each; messages of like length cost the least.

    Returns:
        ``(n,)``: the checksums as they stand in an event file.

    Example:
        >>> raw = np.frombuffer(b"123456789", np.uint8)
        >>> hex(int(masked_crc32c(raw, np.array([0]), np.array([9]))[0]))
        '0xc78ab0e5'
    """
    crc = np.full(len(starts), 0xFFFFFFFF, dtype=np.uint32)
    for distance in range(int(np.max(stops - starts, initial=0)), 0, -1):
        at = stops - distance
        inside = at >= starts
        byte = raw[np.where(inside, at, 0)]
        crc = np.where(inside, _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> np.uint32(8)), crc)
    crc = ~crc
    rotated = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    masked: NDArray[np.uint32] = rotated + np.uint32(0xA282EAD8)
    return masked


@lru_cache(maxsize=4096)
def _length_crc(length: int) -> int:
    """Checksum of a record's length; the lengths of a log repeat, so it is nearly always remembered."""
    raw = np.frombuffer(struct.pack("<Q", length), np.uint8)
    return int(masked_crc32c(raw, np.array([0]), np.array([len(raw)]))[0])


def walk(data: bytes) -> tuple[list[Frame], str | None]:
    """Cut the bytes of an event file into frames.

    Args:
        data: The whole file.

    Returns:
        The frames up to the first damage, and what that damage is (``None`` for a file that is whole).
    """
    frames: list[Frame] = []
    at, end = 0, len(data)
    while at < end:
        if end - at < _HEADER.size:
            return frames, f"is cut off at byte {at}, in a record's head"
        length, crc = _HEADER.unpack_from(data, at)
        if crc != _length_crc(length):
            return frames, f"is corrupt at byte {at} of {end}: a record's length does not match its checksum"
        start = at + _HEADER.size
        if start + length + _FOOTER > end:
            return frames, f"is cut off at byte {end}, in a record that began at byte {at}"
        frames.append((start, start + length))
        at = start + length + _FOOTER
    return frames, None


def first_corrupt(data: bytes, frames: Sequence[Frame]) -> int | None:
    """Index of the first frame whose payload does not match its checksum; those over 4 KiB are trusted.

    Args:
        data: The whole file.
        frames: Frames of ``walk``.
    """
    raw = np.frombuffer(data, dtype=np.uint8)
    starts, stops = np.array(frames, dtype=np.int64).reshape(-1, 2).T
    lengths = stops - starts
    magnitude = np.frexp(lengths)[1]
    wrong = np.zeros(len(frames), dtype=bool)
    for of_like_length in np.unique(magnitude[lengths <= LONGEST_CHECKED]):
        some = np.flatnonzero(magnitude == of_like_length)
        stored = np.ascontiguousarray(raw[stops[some, None] + np.arange(_FOOTER)]).view("<u4")[:, 0]
        wrong[some] = masked_crc32c(raw, starts[some], stops[some]) != stored
    return int(np.argmax(wrong)) if wrong.any() else None


def is_event_head(start: bytes) -> bool:
    """Whether a file that begins with these bytes begins like an event file."""
    if len(start) < _HEADER.size:
        return False
    length, crc = _HEADER.unpack_from(start)
    return bool(crc == _length_crc(length))
