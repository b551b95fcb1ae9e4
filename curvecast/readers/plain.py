"""Which records surely hold no scalar: images, histograms, text; told from a few bytes of each, all at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curvecast.readers.frames import IntArray

Bytes = NDArray[np.uint8]
_WALL, _STEP, _SUMMARY = 0x09, 0x10, 0x2A  # keys of Event
_VALUE, _TAG = 0x0A, 0x0A  # keys of Summary and of its Value
_IMAGE, _HISTOGRAM, _AUDIO, _TENSOR, _METADATA = 0x22, 0x2A, 0x32, 0x42, 0x4A  # keys of a Value
_DTYPE, _SHAPE = 0x08, 0x12  # keys of TensorProto
_MOST_DIGITS = 5  # of a varint that counts bytes
_FEW, _FEW_BYTES = 16, 4096


def surely_no_scalar(raw: Bytes, starts: IntArray, stops: IntArray) -> NDArray[np.bool_]:
    """Whether an event is just one value, and that is no scalar; where the bytes are any other way, it is not sure.

    Of a few short events nothing is sure: to parse them costs no more than to look.

    Args:
        raw: the bytes of the file.
        starts: ``(n,)`` first byte of each event.
        stops: ``(n,)`` one past the last.

    Returns:
        ``(n,)``.
    """
    if len(starts) <= _FEW and int((stops - starts).sum()) <= _FEW_BYTES:
        return np.zeros(len(starts), bool)
    at, sure = starts.copy(), np.ones(len(starts), bool)
    sure, at = _skip_key(raw, at, stops, sure, _WALL)
    at = at + 8 * sure
    stepped = _peek(raw, at, stops) == _STEP
    _, ends = _varint(raw, at + 1, stops)
    at = np.where(stepped, ends, at)
    for key in (_SUMMARY, _VALUE):  # each must reach to the event's end: one summary, with one value
        sure, at = _skip_key(raw, at, stops, sure, key)
        size, at = _varint(raw, at, stops)
        sure &= at + size == stops
    sure, at = _skip_key(raw, at, stops, sure, _TAG)
    size, at = _varint(raw, at, stops)
    at = at + size
    kind = _peek(raw, at, stops)
    size, inner = _varint(raw, at + 1, stops)
    reaches = inner + size == stops
    other = np.isin(kind, (_IMAGE, _HISTOGRAM, _AUDIO))
    described = reaches | _is_last(raw, inner + size, stops, _METADATA)
    plain: NDArray[np.bool_] = sure & described & np.where(kind == _TENSOR, _has_shape(raw, inner, stops), other)
    return plain


def _has_shape(raw: Bytes, at: IntArray, stops: IntArray) -> NDArray[np.bool_]:
    """Whether a tensor begins with its type and a shape of at least one dimension."""
    typed = _peek(raw, at, stops) == _DTYPE
    _, at = _varint(raw, at + 1, stops)
    shaped = _peek(raw, at, stops) == _SHAPE
    size, _ = _varint(raw, at + 1, stops)
    return np.asarray(typed & shaped & (size > 0))


def _is_last(raw: Bytes, at: IntArray, stops: IntArray, key: int) -> NDArray[np.bool_]:
    size, inner = _varint(raw, at + 1, stops)
    return np.asarray((_peek(raw, at, stops) == key) & (inner + size == stops))


def _peek(raw: Bytes, at: IntArray, stops: IntArray) -> Bytes:
    """The byte at each place; 0 beyond the event's end."""
    inside = (at < stops) & (at >= 0)
    return np.where(inside, raw[np.where(inside, at, 0)], np.uint8(0))


def _skip_key(
    raw: Bytes, at: IntArray, stops: IntArray, sure: NDArray[np.bool_], key: int
) -> tuple[NDArray[np.bool_], IntArray]:
    return sure & (_peek(raw, at, stops) == key), at + 1


def _varint(raw: Bytes, at: IntArray, stops: IntArray) -> tuple[IntArray, IntArray]:
    """The number at each place and the place behind it; a number that is too long reaches beyond every end."""
    value, more, here = np.zeros(len(at), np.int64), np.ones(len(at), bool), at.copy()
    for digit in range(_MOST_DIGITS):
        byte = _peek(raw, here, stops)
        value |= np.where(more, (byte & 0x7F).astype(np.int64) << (7 * digit), 0)
        here = here + more
        more = more & (byte >= 0x80)
    return np.where(more, np.int64(1) << 40, value), here
