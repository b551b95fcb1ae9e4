"""Scalars decoded many at once: a record that was parsed once is the template for all that are built like it.

A training loop writes the same few kinds of record over and over; within one, only the wall time, the step, the value
and the checksum change. So a record is parsed by the book once, and what else has its length is held against it, all
other bytes having to be equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from curvecast.readers.frames import MASK, Buffer, IntArray, byte_shares, crc32c, rotated
from curvecast.readers.protobuf import MalformedMessage, ScalarLayout, layout_of_scalar

HEAD, FOOT = 12, 4
_HANDFUL = 1024  # rows below which few calls cost less than few bytes
_LANES = 256 * np.arange(64)
_MORE, _SEVEN = 0x80, np.uint8(0x7F)  # of a varint's byte: whether another follows, and what it counts
_DIGITS = 9  # bytes of a varint that surely fit into 64 bits, signed
_DIGITS_32 = 4  # that fit into 32
_WORTH = 1 << 7 * np.arange(_DIGITS)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
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
    """

    layout: ScalarLayout
    length: int
    constant: NDArray[np.uint64]
    mask: NDArray[np.uint64]
    free: IntArray
    shares: NDArray[np.uint32]
    crc: np.uint32

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
    return Template(
        layout, length, padded.view("<u8"), mask.view("<u8"), np.array(free, np.int64), rotated(shares), crc
    )


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


def decode(rows: NDArray[np.uint8], template: Template, *, check: bool, timed: bool) -> Decoded:
    """Step and value of rows that match, and whether their checksum does (not looked at unless ``check``)."""
    layout = template.layout
    steps = _steps_of(rows, layout)
    dtype = "<f4" if layout.value_bytes == 4 else "<f8"
    values = np.ndarray((len(rows),), dtype, rows, layout.value_at, (rows.shape[1],)).astype(np.float64)
    walls = np.zeros(len(rows)) if timed else None
    if timed and layout.wall_at >= 0:
        walls = np.ndarray((len(rows),), "<f8", rows, layout.wall_at, (rows.shape[1],)).copy()
    if not check:
        wrong = np.zeros(len(rows), bool)
    else:
        if len(rows) < _HANDFUL:
            shares = template.shares.take(rows.take(template.free, axis=1) + template.lanes)
            crc = np.bitwise_xor.reduce(shares, axis=1) ^ template.crc
        else:
            crc = np.full(len(rows), template.crc, np.uint32)
            for place, share in zip(template.free.tolist(), template.shares, strict=True):
                crc ^= share.take(rows[:, place])
        stored = np.ndarray((len(rows),), "<u4", rows, template.length, (rows.shape[1],))
        wrong = crc != stored - MASK
    return Decoded(steps, values, walls, wrong)


def _steps_of(rows: NDArray[np.uint8], layout: ScalarLayout) -> IntArray:
    """The step of each row: a varint, seven bits a byte, the lowest first."""
    digits = rows[:, layout.step_at : layout.step_at + layout.step_bytes]
    if len(rows) < _HANDFUL and layout.step_bytes < _DIGITS:
        few: IntArray = (digits & _SEVEN) @ _WORTH[: layout.step_bytes]
        return few
    dtype = np.dtype(np.uint32 if layout.step_bytes <= _DIGITS_32 else np.uint64)
    steps = np.zeros(len(rows), dtype)
    for place in range(layout.step_bytes):
        np.bitwise_or(steps, (digits[:, place] & _SEVEN).astype(dtype) << dtype.type(7 * place), out=steps)
    return steps.astype(np.int64)


def pieces(count: int) -> list[slice]:
    """Slices of so many rows as stay in the cache."""
    return [slice(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS)]
