"""One event file, read in blocks, and from where the last reading ended: memory does not grow with the file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curvecast.readers.base import FloatArray, IntArray, Series
from curvecast.readers.frames import CUT_OFF, leap, walk, wrong_payloads
from curvecast.readers.plain import surely_no_scalar
from curvecast.readers.protobuf import Event, MalformedMessage, decode_event
from curvecast.readers.templates import FOOT, HEAD, Template, decode, matching, pieces, rows_of, template_of

BLOCK_BYTES = 1 << 22
_SLACK = 1024  # bytes kept readable behind a block
_LONGEST_SCALAR = 512  # bytes; longer records are parsed one by one
_MOST_TEMPLATES = 64  # of one length; what is that varied is parsed one by one
_FEW = 64  # frames of a block from which on walking it alone is not worth a leap
_FIRST_RECORDS = 16  # in which a wall time must turn up


@dataclass(slots=True)
class Rows:
    """What a stretch of an event file holds.

    Args:
        series: the rows of every tag (UTF-8), their order counted from the file's first record.
        restarts: ``(record, step)``: the writer starts again at ``step``.
        walls: the wall time of each row, where it was asked for [s].
    """

    series: dict[bytes, Series] = field(default_factory=dict)
    restarts: list[tuple[int, int]] = field(default_factory=list)
    walls: dict[bytes, FloatArray] = field(default_factory=dict)


_Part = tuple[NDArray[Any], ...]  # order, steps, values, and walls where they were asked for


@dataclass(slots=True)
class _Collected:
    """Rows of one block as they are found, tag by tag."""

    parts: dict[bytes, list[_Part]] = field(default_factory=dict)
    restarts: list[tuple[int, int]] = field(default_factory=list)
    wrong: int | None = None  # the first record that cannot be trusted
    why: str = ""

    def spoil(self, record: int, why: str) -> None:
        """Note that a record is corrupt; only the first one counts."""
        if self.wrong is None or record < self.wrong:
            self.wrong, self.why = record, why

    def rows(self) -> Rows:
        """In the order of writing, up to the first corrupt record."""
        rows = Rows(restarts=[each for each in self.restarts if self.wrong is None or each[0] < self.wrong])
        for tag, parts in self.parts.items():
            columns: Sequence[NDArray[Any]] = parts[0]
            if len(parts) > 1:
                columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
                if (columns[0][1:] < columns[0][:-1]).any():
                    rising = np.argsort(columns[0], kind="stable")
                    columns = [column.take(rising) for column in columns]
            if self.wrong is not None:
                kept = int(np.searchsorted(columns[0], self.wrong))
                columns = [column[:kept] for column in columns]
            order, steps, values, *walls = columns
            rows.series[tag] = Series(steps, values, order)
            if walls:
                rows.walls[tag] = walls[0]
        return rows


class EventFile:
    """A TensorBoard event file that is read once, and from then on where it has grown.

    Args:
        path: the file.
        check: whether the checksum of every record is held against its bytes, as TensorBoard does.
        timed: whether the wall times are wanted.

    Example:
        >>> EventFile(Path("events.out.tfevents.1")).records
        0
    """

    def __init__(self, path: Path, *, check: bool = True, timed: bool = False) -> None:
        self.path = path
        self.check = check
        self.timed = timed
        self.records = 0
        self.began = 0.0
        self.damage: str | None = None
        self._at = 0
        self._ended = False
        self._templates: dict[int, list[Template]] = {}

    def poll(self) -> Iterator[Rows]:
        """What was written since the last time, block by block; ``damage`` says why it ended early, if it did.

        A record that is not whole yet is left for the next time.

        Raises:
            OSError: if the file cannot be read.
        """
        if self._ended:
            return
        size = os.stat(self.path).st_size  # noqa: PTH116 - polled often
        if size < self._at:
            self.damage, self._ended = f"has shrunk from {self._at} bytes to {size}", True
            return
        self.damage = "is empty" if size == 0 else None
        if size == self._at:
            return
        with self.path.open("rb", buffering=0) as file:
            file.seek(self._at)
            yield from self._blocks(file.readinto, size - self._at)

    def _blocks(self, readinto: object, left: int) -> Iterator[Rows]:
        assert callable(readinto)
        buffer = bytearray(min(left, BLOCK_BYTES) + _SLACK)
        kept = 0
        while left or kept:
            view = memoryview(buffer)
            got = int(readinto(view[kept : len(buffer) - _SLACK]) or 0) if left else 0
            end, left = kept + got, left - got if got else 0  # a file may have shrunk since its size was asked
            raw = np.frombuffer(buffer, np.uint8)
            starts, lengths, damage = _cut(raw, view, end)
            if len(starts):
                used = int(starts[-1]) + HEAD + int(lengths[-1]) + FOOT
                yield self._decode(raw, view, starts + HEAD, lengths)
            else:
                used = 0
            if self._ended:
                return
            if damage is not None and (CUT_OFF not in damage or not left):
                self._stop(damage, used)
                self._at += used
                return
            self._at += used
            kept = end - used
            buffer = _moved(buffer, used, kept, left)

    def _stop(self, damage: str, used: int) -> None:
        """Remember the damage, in bytes of the file; only what was cut off may still be completed."""
        where, _, rest = damage.partition(" at byte ")
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        self.damage = f"{where} at byte {int(digits) + self._at}{rest[len(digits) :]}"
        self._ended = CUT_OFF not in damage

    def _decode(self, raw: NDArray[np.uint8], view: memoryview, payloads: IntArray, lengths: IntArray) -> Rows:
        found = _Collected()
        if not self.began:
            self.began = _first_wall(view, payloads, lengths)
        others = [np.flatnonzero(lengths > _LONGEST_SCALAR)]
        for length, group in _by_length(lengths):
            others.append(self._alike(raw, view, payloads, group, length, found))
        rest = np.sort(np.concatenate(others))
        if len(rest):
            self._one_by_one(raw, view, payloads[rest], lengths[rest], rest + self.records, found)
        self.records += len(payloads)
        if found.wrong is not None:
            self.records, self._ended = found.wrong, True
            self.damage = f"is corrupt in record {found.wrong + 1}: {found.why}"
        return found.rows()

    def _alike(
        self,
        raw: NDArray[np.uint8],
        view: memoryview,
        payloads: IntArray,
        group: IntArray,
        length: int,
        found: _Collected,
    ) -> IntArray:
        """Decode the records of one length by templates; those that fit none are given back."""
        templates = self._templates.setdefault(length, [])
        odd: list[IntArray] = []
        for piece in pieces(len(group)):
            left = group[piece]
            rows = rows_of(raw, payloads[left], length)
            tried = 0
            while len(left):
                if tried == len(templates):
                    start = int(payloads[left[0]])
                    made = template_of(view, start, start + length) if tried < _MOST_TEMPLATES else None
                    if made is None:
                        whole = tried >= _MOST_TEMPLATES
                        odd.append(left if whole else left[:1])
                        left, rows = (left[:0], rows[:0]) if whole else (left[1:], rows[1:])
                        continue
                    templates.append(made)
                template = templates[tried]
                tried += 1
                fits = matching(rows, template)
                if count := int(np.count_nonzero(fits)):
                    everything = count == len(fits)
                    self._take(template, rows if everything else rows[fits], left if everything else left[fits], found)
                    left, rows = (left[:0], rows[:0]) if everything else (left[~fits], rows[~fits])
        return np.concatenate(odd) if odd else group[:0]

    def _take(self, template: Template, rows: NDArray[np.uint8], at: IntArray, found: _Collected) -> None:
        decoded = decode(rows, template, check=self.check, timed=self.timed)
        if decoded.wrong.any():
            found.spoil(int(at[np.argmax(decoded.wrong)]) + self.records, "wrong checksum")
        walls = () if decoded.walls is None else (decoded.walls,)
        part = (at + self.records, decoded.steps, decoded.values, *walls)
        found.parts.setdefault(template.layout.tag, []).append(part)

    def _one_by_one(
        self,
        raw: NDArray[np.uint8],
        view: memoryview,
        payloads: IntArray,
        lengths: IntArray,
        records: IntArray,
        found: _Collected,
    ) -> None:
        """Parse what no template fits: several values at once, restarts, text; images and the like are passed over."""
        wanted = ~surely_no_scalar(raw, payloads, payloads + lengths)
        payloads, lengths, records = payloads[wanted], lengths[wanted], records[wanted]
        for record in records[wrong_payloads(raw, payloads, payloads + lengths)][:1].tolist():
            found.spoil(record, "wrong checksum")
        columns: dict[bytes, list[tuple[int, int, float, float]]] = {}
        for start, length, record in zip(payloads.tolist(), lengths.tolist(), records.tolist(), strict=True):
            try:
                event: Event = decode_event(view, start, start + length)
            except MalformedMessage as error:
                found.spoil(record, str(error))
                break
            if event.restarts:
                found.restarts.append((record, event.step))
            for tag, value in event.scalars:
                columns.setdefault(tag, []).append((record, event.step, value, event.wall_time))
        for tag, rows in columns.items():
            order, steps, values, walls = zip(*rows, strict=True)
            part = np.array(order, np.int64), np.array(steps, np.int64), np.array(values), np.array(walls)
            found.parts.setdefault(tag, []).append(part if self.timed else part[:3])


def _moved(buffer: bytearray, used: int, kept: int, left: int) -> bytearray:
    """A buffer that begins with what is kept of this one, with room for the next block, or for a long record."""
    if used:
        buffer[:kept] = buffer[used : used + kept]
        return buffer
    room = min(left, max(BLOCK_BYTES, kept))
    fresh = bytearray(kept + room + _SLACK)
    fresh[:kept] = buffer[used : used + kept]
    return fresh


def _cut(raw: NDArray[np.uint8], view: memoryview, end: int) -> tuple[IntArray, IntArray, str | None]:
    """Where the frames of a block begin and how long their payloads are, up to the first damage or the block's end."""
    at, starts, lengths = 0, list[IntArray](), list[IntArray]()
    while True:
        leapt, sizes = leap(raw, at, end)
        if len(leapt):
            starts.append(leapt)
            lengths.append(sizes)
            at = int(leapt[-1]) + HEAD + int(sizes[-1]) + FOOT
        limit = 8 * _FEW if len(leapt) >= _FEW else 1 << 62
        walked, damage = walk(view, at, end, limit)
        if walked:
            begin, stop = np.fromiter(chain.from_iterable(walked), np.int64, 2 * len(walked)).reshape(-1, 2).T
            starts.append(begin - HEAD)
            lengths.append(stop - begin)
            at = walked[-1][1] + FOOT
        if damage is not None or at >= end:
            return _joined(starts), _joined(lengths), damage


def _joined(parts: list[IntArray]) -> IntArray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _by_length(lengths: IntArray) -> Iterator[tuple[int, IntArray]]:
    """The places of each length of at most ``_LONGEST_SCALAR``, ascending."""
    short = np.minimum(lengths, _LONGEST_SCALAR + 1).astype(np.uint16)
    order = np.argsort(short, kind="stable")
    rising = short[order]
    edges = [0, *(np.flatnonzero(rising[1:] != rising[:-1]) + 1).tolist(), len(order)]
    for begin, end in pairwise(edges):
        if end > begin and (length := int(rising[begin])) <= _LONGEST_SCALAR:
            yield length, order[begin:end]


def _first_wall(view: memoryview, payloads: IntArray, lengths: IntArray) -> float:
    """The wall time of the first of the records that has one [s]."""
    first = slice(_FIRST_RECORDS)
    for start, length in zip(payloads[first].tolist(), lengths[first].tolist(), strict=True):
        try:
            wall = decode_event(view, start, start + length).wall_time
        except MalformedMessage:
            return 0.0
        if wall:
            return wall
    return 0.0
