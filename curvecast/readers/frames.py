"""The record frames of TensorBoard event files, and the checksum that guards them.

A frame is ``uint64 length | uint32 crc(length) | payload | uint32 crc(payload)``, little-endian; the
checksum is a CRC-32C, rotated and offset so that a checksum of data that holds checksums stays useful.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Frame = tuple[int, int]  # first and one-past-last byte of a payload
Buffer = bytes | bytearray | memoryview

LONGEST_CHECKED = 4095  # bytes; a scalar's record is far shorter, and the check costs numpy calls a byte
CUT_OFF = "is cut off"
_HANDFUL = 64  # messages that are checked one by one
_TABULATED = 1 << 16  # lengths whose checksums are kept in a table
_LANES, _LANE_BYTES = 1024, 2048  # walkers at most, and what each must have ahead to be worth its start
_FEWEST_LANES = 16  # with fewer, walking alone is as fast
_WINDOW = 192  # bytes in which a walker looks for its first frame; scalars have 40 to 120
_FURTHEST = 1 << 40  # bytes that a walker leaps at most
_HEADER = struct.Struct("<QI")
_FOOTER = 4
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
MASK = np.uint32(0xA282EAD8)


def _crc_table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _crc_table()
_ENTRIES: list[int] = _TABLE.tolist()


def crc32c(message: Buffer) -> int:
    """CRC-32C of one message, not masked.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in message:
        crc = _ENTRIES[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


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
    return masked(~crc)


def masked_one(crc: int) -> int:
    """A CRC as it stands in an event file: rotated and offset."""
    return (((crc >> 15) | (crc << 17)) + int(MASK)) & 0xFFFFFFFF


@lru_cache(maxsize=256)
def byte_shares(distance: int) -> NDArray[np.uint32]:
    """What a byte ``distance`` before the end of a message adds to its CRC, for each of its values: ``(256,)``.

    A CRC is linear: that of a message is that of the same message with zeros in some places, and these shares, all
    joined by exclusive or.
    """
    if distance == 1:
        return _TABLE
    nearer = byte_shares(distance - 1)
    share: NDArray[np.uint32] = _TABLE[nearer & 0xFF] ^ (nearer >> np.uint32(8))
    return share


def rotated(crc: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """CRCs with their bits rotated as in an event file, where ``MASK`` is added to them; it is linear, as a CRC is."""
    return (crc >> np.uint32(15)) | (crc << np.uint32(17))


def masked(crc: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """CRCs as they stand in an event file: rotated and offset."""
    shifted: NDArray[np.uint32] = rotated(crc) + MASK
    return shifted


@lru_cache(maxsize=4096)
def length_crc(length: int) -> int:
    """Checksum of a record's length; the lengths of a log repeat, so it is nearly always remembered."""
    return masked_one(crc32c(struct.pack("<Q", length)))


@lru_cache(maxsize=1)
def _length_crcs() -> NDArray[np.uint32]:
    """Checksums of every length below ``_TABULATED``."""
    raw = np.arange(_TABULATED, dtype="<u8").view(np.uint8)
    starts = np.arange(0, 8 * _TABULATED, 8)
    return masked_crc32c(raw, starts, starts + 8)


def walk(data: Buffer, at: int = 0, end: int | None = None, limit: int = 1 << 62) -> tuple[list[Frame], str | None]:
    """Cut the bytes of an event file into frames, one after another.

    Args:
        data: the bytes.
        at: where to begin.
        end: where the bytes end; ``None`` for their last.
        limit: frames after which to stop.

    Returns:
        The frames up to the first damage or the limit, and what that damage is (``None`` where there is none).
    """
    frames: list[Frame] = []
    end = len(data) if end is None else end
    head, unpack, left = _HEADER.size, _HEADER.unpack_from, limit
    while at < end and left:
        left -= 1
        start = at + head
        if start > end:
            return frames, f"{CUT_OFF} at byte {at}, in a record's head"
        length, crc = unpack(data, at)
        if crc != length_crc(length):
            return frames, f"is corrupt at byte {at} of {end}: a record's length does not match its checksum"
        stop = start + length
        if stop + _FOOTER > end:
            return frames, f"{CUT_OFF} at byte {end}, in a record that began at byte {at}"
        frames.append((start, stop))
        at = stop + _FOOTER
    return frames, None


def leap(raw: NDArray[np.uint8], at: int, end: int) -> tuple[IntArray, IntArray]:
    """Where the frames begin, found by many walkers at once; as far as that is sure.

    Walkers are set down all over the bytes, each at the next place where a length and its checksum stand, and walk
    in lockstep. The chain holds as long as each arrives where the next one began; what follows is not given.

    Args:
        raw: the bytes; 16 more than ``end`` must be there to be read, whatever they are.
        at: where a frame begins.
        end: where the bytes end; a frame that runs past it is not given.

    Returns:
        ``(n,)`` first byte of each frame's head, ascending; ``(n,)`` how many bytes its payload has.
    """
    lanes = min(_LANES, (end - at) // _LANE_BYTES)
    if lanes < _FEWEST_LANES:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    lengths = np.ndarray((len(raw) - 7,), "<u8", raw, 0, (1,))
    here = begin = _set_down(raw, at, end, lanes)
    stop = np.append(begin[1:], end)
    path = [begin]
    while (here < stop).any():  # a walker that was misled leaps anywhere; that is found out below
        step = np.minimum(lengths[here], _FURTHEST).view(np.int64) + (_HEADER.size + _FOOTER)
        here = np.minimum(here + step, end)
        path.append(here)
    trail = np.stack(path, axis=1)
    inside = trail < stop[:, None]
    trodden = np.count_nonzero(inside, axis=1)
    arrives = trail[np.arange(len(begin)), np.minimum(trodden, trail.shape[1] - 1)] == stop
    sure = int(np.argmin(arrives)) + 1 if not arrives.all() else len(begin)
    starts: IntArray = trail[:sure][inside[:sure]]
    sizes, crcs = _heads(raw, starts)
    certain = _first_doubt(starts, sizes, crcs, end)
    return starts[:certain], sizes[:certain]


def _first_doubt(starts: IntArray, sizes: IntArray, crcs: NDArray[np.uint32], end: int) -> int:
    """How many frames, from the first, have a length that matches its checksum and lie within the bytes."""
    doubtful = _length_crcs().take(sizes, mode="clip") != crcs
    doubtful |= sizes.view(np.uint64) >= _TABULATED
    doubtful[-1:] |= starts[-1:] + sizes[-1:] + (_HEADER.size + _FOOTER) > end
    return int(np.argmax(doubtful)) if doubtful.any() else len(starts)


def _set_down(raw: NDArray[np.uint8], at: int, end: int, lanes: int) -> IntArray:
    """The first frame after each of ``lanes`` places an equal distance apart; places without one are passed over."""
    every = (end - at) // lanes
    width = min(every, _WINDOW)
    size = np.ndarray((lanes - 1, width), "<u8", raw, at + every, (every, 1))
    lane, offset = np.divmod(np.flatnonzero(size < _TABULATED), width)  # `nonzero` in two dimensions takes ten times
    places = at + every * (lane + 1) + offset
    sizes, crcs = _heads(raw, places)
    fits = np.flatnonzero(_length_crcs().take(sizes) == crcs)
    _, first = np.unique(lane[fits], return_index=True)
    found = places[fits[first]]
    return np.append(np.int64(at), found[(found > at) & (found < end)])


def _heads(raw: NDArray[np.uint8], starts: IntArray) -> tuple[IntArray, NDArray[np.uint32]]:
    """Length and its checksum of the frames that begin there."""
    sizes = np.ndarray((len(raw) - 7,), "<i8", raw, 0, (1,))[starts]
    crcs = np.ndarray((len(raw) - 11,), "<u4", raw, 8, (1,))[starts]
    return sizes, crcs


def wrong_payloads(raw: NDArray[np.uint8], starts: IntArray, stops: IntArray) -> NDArray[np.bool_]:
    """Which payloads do not match their checksum; those over 4 KiB are trusted.

    Args:
        raw: the bytes.
        starts: ``(n,)`` first byte of each payload.
        stops: ``(n,)`` one past the last.
    """
    lengths = stops - starts
    wrong = np.zeros(len(starts), dtype=bool)
    if len(starts) <= _HANDFUL and int(lengths.sum()) <= LONGEST_CHECKED:
        for at, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            said = int.from_bytes(raw[stop : stop + _FOOTER].tobytes(), "little")
            wrong[at] = masked_one(crc32c(raw[start:stop].tobytes())) != said
        return wrong
    magnitude = np.frexp(lengths)[1]
    for of_like_length in np.unique(magnitude[lengths <= LONGEST_CHECKED]):
        some = np.flatnonzero((magnitude == of_like_length) & (lengths <= LONGEST_CHECKED))
        stored = np.ascontiguousarray(raw[stops[some, None] + np.arange(_FOOTER)]).view("<u4")[:, 0]
        wrong[some] = masked_crc32c(raw, starts[some], stops[some]) != stored
    return wrong


def is_event_head(start: bytes) -> bool:
    """Whether a file that begins with these bytes begins like an event file."""
    if len(start) < _HEADER.size:
        return False
    length, crc = _HEADER.unpack_from(start)
    return bool(crc == length_crc(length))
