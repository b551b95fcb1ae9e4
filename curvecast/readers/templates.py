"""Scalars decoded many at once: a record that was parsed once is the template for all that are built like it.

A training loop writes the same few kinds of record over and over; within one, only the wall time, the step, the value
and the checksum change. So a record is parsed by the book once, and what else has its length is held against it, all
other bytes having to be equal.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from curvecast.readers.frames import MASK, Buffer, IntArray, byte_shares, crc32c, rotated
from curvecast.readers.protobuf import MalformedMessage, ScalarLayout, layout_of_scalar, signed

HEAD, FOOT = 12, 4
LONGEST_SCALAR = 512  # bytes; longer records are parsed one by one
_HANDFUL = 1024  # rows below which few calls cost less than few bytes
_LANES = 256 * np.arange(64)
_MORE, SEVEN = 0x80, np.uint8(0x7F)  # of a varint's byte: whether another follows, and what it counts
_DIGITS = 9  # bytes of a varint that surely fit into 64 bits, signed
_DIGITS_32 = 4  # that fit into 32
WORTH = 1 << 7 * np.arange(_DIGITS)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_ROWS = 16_384  # records at a time: their bytes stay in the cache between two passes


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One kind of record.

    Args:
        layout: where in the payload its step and value stand, and its tag.
        length: of the payload [bytes].
        constant: ``(w,)`` the payload's bytes as words, zero where they change; of the step, which bytes go on.
        mask: ``(w,)`` ones where they do not.
        free: offsets in the payload of the bytes that change.
        shares: ``(len(free), 256)`` what each of them adds to the CRC, rotated as it stands in an event file.
        crc: CRC-32C of the payload with zeros where it changes, likewise.
        pattern, care: ``constant`` and ``mask`` of just the payload, each as one number, its first byte the lowest.
    """

    layout: ScalarLayout
    length: int
    constant: NDArray[np.uint64]
    mask: NDArray[np.uint64]
    free: IntArray
    shares: NDArray[np.uint32]
    crc: np.uint32
    pattern: int
    care: int

    def fits(self, payload: Buffer) -> bool:
        """Whether a payload of this length is built like the template."""
        return int.from_bytes(payload, "little") & self.care == self.pattern

    @property
    def lanes(self) -> IntArray:
        """Where in ``shares``, laid out flat, the entries of each free byte begin."""
        return _LANES[: len(self.free)]


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What the records of one template hold, each ``(n,)``; ``wrong`` where the checksum does not match.

    ``walls`` is ``None`` where it was not asked for.
    """

    steps: IntArray
    values: NDArray[np.float64]
    walls: NDArray[np.float64] | None
    wrong: NDArray[np.bool_]


def template_of(data: Buffer, start: int, stop: int) -> Template | None:
    """The template that the payload at ``data[start:stop]`` gives; ``None`` where it is not one scalar alone."""
    try:
        layout = layout_of_scalar(data, start, stop)
    except MalformedMessage:
        return None
    if layout is None:
        return None
    constant = bytearray(data[start:stop])
    for place in _free(layout):
        constant[place] = 0
    return _template(layout, bytes(constant))


def _free(layout: ScalarLayout) -> list[int]:
    """Offsets of the bytes that change: the wall time's, the step's, the value's."""
    free = [*range(layout.wall_at, layout.wall_at + 8)] if layout.wall_at >= 0 else []
    free += range(layout.step_at, layout.step_at + layout.step_bytes)
    return [*free, *range(layout.value_at, layout.value_at + layout.value_bytes)]


@lru_cache(maxsize=1024)
def _template(layout: ScalarLayout, constant: bytes) -> Template:
    """The template of payloads with so many bytes, zero where they change; many files have the same."""
    free, length = _free(layout), len(constant)
    padded = np.zeros(_padded(length), np.uint8)
    padded[:length] = np.frombuffer(constant, np.uint8)
    mask = np.zeros(len(padded), np.uint8)
    mask[:length] = 0xFF
    mask[free] = 0
    step = slice(layout.step_at, layout.step_at + layout.step_bytes)
    mask[step], padded[step] = _MORE, _MORE  # a varint of just so many bytes
    if layout.step_bytes:
        padded[step.stop - 1] = 0
    shares = np.stack([byte_shares(length - place) for place in free]) if free else np.zeros((0, 256), np.uint32)
    crc = rotated(np.array([crc32c(constant)], np.uint32))[0]
    pattern, care = (int.from_bytes(each[:length].tobytes(), "little") for each in (padded, mask))
    places = np.array(free, np.int64)
    return Template(layout, length, padded.view("<u8"), mask.view("<u8"), places, rotated(shares), crc, pattern, care)


class Kinds:
    """Templates by the length of their payloads, found or made; the files of a fleet have the same.

    Args:
        most: templates to keep; with more all are forgotten.

    Example:
        >>> message = bytes.fromhex("10072a0d0a0b0a046c6f73731500000040")
        >>> Kinds().of(message, 0, len(message)).layout.tag
        b'loss'
    """

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._count = 0
        self._known: dict[int, list[Template]] = {}

    def among(self, length: int) -> list[Template]:
        """Those of one length so far."""
        return self._known.get(length, [])

    def of(self, data: Buffer, start: int, stop: int) -> Template | None:
        """The template that fits the payload at ``data[start:stop]``; ``None`` where it is not one scalar alone."""
        if stop - start > LONGEST_SCALAR:
            return None
        payload = bytes(data[start:stop])
        for template in self.among(stop - start):
            if template.fits(payload):
                return template
        made = template_of(payload, 0, len(payload))
        if made is not None:
            self._keep(made)
        return made

    def _keep(self, made: Template) -> None:
        if self._count >= self._most:
            self._known, self._count = {}, 0  # whoever still looks through the old ones may
        self._count += 1
        self._known.setdefault(made.length, []).append(made)


def rows_of(raw: NDArray[np.uint8], starts: IntArray, length: int) -> NDArray[np.uint8]:
    """The payloads of one length and their checksums: ``(n, length + 4, rounded up)``, in memory of their own."""
    width = _padded(length)
    windows = np.ndarray((len(raw) - width + 1,), f"V{width}", raw, 0, (1,))
    return windows[starts].view(np.uint8).reshape(-1, width)


def _padded(length: int) -> int:
    return -(-(length + FOOT) // 8) * 8


def matching(rows: NDArray[np.uint8], template: Template) -> NDArray[np.bool_]:
    """Which rows are built like the template: ``(n,)``."""
    words = rows.view("<u8")
    if len(rows) < _HANDFUL:
        fits = np.bitwise_or.reduce((words ^ template.constant) & template.mask, axis=1) == 0
    else:
        differs, change = np.zeros(len(rows), np.uint64), np.empty(len(rows), np.uint64)
        for column, (constant, mask) in enumerate(zip(template.constant, template.mask, strict=True)):
            if mask:
                np.bitwise_xor(words[:, column], constant, out=change)
                differs |= change if mask == _ALL else np.bitwise_and(change, mask, out=change)
        fits = differs == 0
    return np.asarray(fits)


def decode(
    rows: NDArray[np.uint8], template: Template, wrong: NDArray[np.bool_], *, timed: bool, at: int = 0
) -> Decoded:
    """Step and value of rows that match; ``at`` is where in each row the payload begins."""
    layout, count, stride = template.layout, len(rows), (rows.shape[1],)
    steps = _steps_of(rows, layout, at)
    dtype = "<f4" if layout.value_bytes == 4 else "<f8"
    values = np.ndarray((count,), dtype, rows, at + layout.value_at, stride).astype(np.float64)
    walls = np.zeros(count) if timed else None
    if timed and layout.wall_at >= 0:
        walls = np.ndarray((count,), "<f8", rows, at + layout.wall_at, stride).copy()
    return Decoded(steps, values, walls, wrong)


def wrong_rows(rows: NDArray[np.uint8], template: Template) -> NDArray[np.bool_]:
    """Which of the rows that match have a wrong checksum: ``(n,)``."""
    if len(rows) < _HANDFUL:
        shares = template.shares.take(rows.take(template.free, axis=1) + template.lanes)
        crc = np.bitwise_xor.reduce(shares, axis=1) ^ template.crc
    else:
        crc = np.full(len(rows), template.crc, np.uint32)
        for place, share in zip(template.free.tolist(), template.shares, strict=True):
            crc ^= share.take(rows[:, place])
    stored = np.ndarray((len(rows),), "<u4", rows, template.length, (rows.shape[1],))
    return np.asarray(crc != stored - MASK)


def decode_one(data: Buffer, start: int, template: Template) -> tuple[int, float, float]:
    """Step, value and wall time of the one payload that begins there; the latter is 0 where there is none."""
    layout = template.layout
    first, step = start + layout.step_at, 0
    for place in range(layout.step_bytes):
        step |= (data[first + place] & 0x7F) << 7 * place
    number = _FLOAT if layout.value_bytes == _FLOAT.size else _DOUBLE
    value: float = number.unpack_from(data, start + layout.value_at)[0]
    wall: float = _DOUBLE.unpack_from(data, start + layout.wall_at)[0] if layout.wall_at >= 0 else 0.0
    return signed(step), value, wall


def is_wrong(data: Buffer, start: int, template: Template) -> bool:
    """Whether the checksum of the one payload that begins there does not match."""
    crc = int(template.crc)
    for place in template.free.tolist():
        crc ^= _entries(template.length - place)[data[start + place]]
    stop = start + template.length
    return (crc + int(MASK)) & 0xFFFFFFFF != int.from_bytes(data[stop : stop + FOOT], "little")


@lru_cache(maxsize=256)
def _entries(distance: int) -> list[int]:
    """What a byte so far before the end adds to the CRC as it stands in an event file, for each of its values."""
    entries: list[int] = rotated(byte_shares(distance)).tolist()
    return entries


def _steps_of(rows: NDArray[np.uint8], layout: ScalarLayout, at: int) -> IntArray:
    """The step of each row: a varint, seven bits a byte, the lowest first."""
    if layout.step_bytes <= _DIGITS_32:
        return _short_steps(rows, layout, at)
    digits = rows[:, at + layout.step_at :][:, : layout.step_bytes]
    steps = np.zeros(len(rows), np.uint64)
    for place in range(layout.step_bytes):
        np.bitwise_or(steps, (digits[:, place] & SEVEN).astype(np.uint64) << np.uint64(7 * place), out=steps)
    return steps.astype(np.int64)


def _short_steps(rows: NDArray[np.uint8], layout: ScalarLayout, at: int) -> IntArray:
    """The same, of digits that one word holds: what stands behind them is read too, and left out."""
    words = np.ndarray((len(rows),), "<u4", rows, at + layout.step_at, (rows.shape[1],)).astype(np.int64)
    steps = words & 0x7F if layout.step_bytes else np.zeros(len(rows), np.int64)
    for place in range(1, layout.step_bytes):
        steps |= (words >> place) & (0x7F << 7 * place)
    return steps


def pieces(count: int) -> list[slice]:
    """Slices of so many rows as stay in the cache."""
    return [slice(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS)]
