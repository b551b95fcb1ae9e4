"""A block of an event file becomes rows: whole turns of a loop at once, else records of one build, else one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curvecast.readers.base import FloatArray, IntArray, Series
from curvecast.readers.cycles import Bytes, Cycle, Loops, Table
from curvecast.readers.frames import leap, walk, wrong_payloads
from curvecast.readers.plain import surely_no_scalar
from curvecast.readers.protobuf import Event, MalformedMessage, decode_event
from curvecast.readers.templates import (
    FOOT,
    HEAD,
    LONGEST_SCALAR,
    Decoded,
    Kinds,
    Template,
    decode,
    decode_one,
    is_wrong,
    matching,
    pieces,
    rows_of,
    wrong_rows,
)

_MOST_TEMPLATES = 64  # of one length; what is that varied is parsed one by one
_FEW = 64  # frames from which on walking alone is not worth a leap, nor arrays
_KINDS = Kinds()


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


class Block(NamedTuple):
    """What a block holds.

    Args:
        rows: the rows, up to the first record that cannot be trusted.
        records: how many records of the file are read with it.
        used: the bytes of them in the block.
        damage: what ended the block's frames, if it was not its end.
        wrong: why the record after the last one cannot be trusted; empty where all can.
    """

    rows: Rows
    records: int
    used: int
    damage: str | None
    wrong: str


_Part = tuple[NDArray[Any], ...]  # order, steps, values, and walls where they were asked for
_Columns = dict[bytes, list[tuple[int, int, float, float]]]  # record, step, value, wall time of each row by tag


class Decoder:
    """Decodes the blocks of one event file, one after another.

    Args:
        check: whether the checksum of every record is held against its bytes.
        timed: whether the wall times are wanted.
    """

    def __init__(self, *, check: bool, timed: bool) -> None:
        self._check = check
        self._timed = timed
        self._loops = Loops(_KINDS)

    def decode(self, raw: Bytes, view: memoryview, end: int, record: int) -> Block:
        """Decode what is whole of a block, whose first record has this number in the file."""
        found = _Collected(self._check, self._timed)
        for cycle, table, at in self._gathered(self._loops.turns(raw, view, end, record)):
            for k, decoded in enumerate(cycle.decode(table, check=self._check, timed=self._timed)):
                found.take(cycle.templates[k], decoded, at + k)
        loops, frames = self._loops, np.array(self._loops.frames, np.int64).reshape(-1, 3)
        records, used, damage = loops.record, loops.at, loops.damage
        if damage is None and used < end:  # few turns: a leap finds the rest
            starts, lengths, damage = _cut(raw, view, used, end)
            numbers = records + np.arange(len(starts))
            frames = np.concatenate([frames, np.stack([starts + HEAD, starts + HEAD + lengths, numbers], axis=1)])
            if len(starts):
                records, used = records + len(starts), int(frames[-1, 1]) + FOOT
        if len(frames) < _FEW:
            found.one_by_one(view, raw, frames)
        else:
            found.side_by_side(view, raw, frames)
        return Block(found.rows(), records if found.wrong is None else found.wrong, used, damage, found.why)

    def _gathered(self, turns: Iterator[tuple[Cycle, Table, int]]) -> Iterator[tuple[Cycle, Table, IntArray]]:
        """The tables, with the numbers of their turns' first records; small ones of one cycle together."""
        waiting: dict[Cycle, list[tuple[Table, IntArray]]] = {}
        for cycle, table, record in turns:
            tables = waiting.setdefault(cycle, [])
            tables.append((table, record + len(cycle) * np.arange(len(table))))
            if len(table) == cycle.most or sum(len(each) for each, _ in tables) >= cycle.most:
                yield cycle, *_stacked(waiting.pop(cycle))
        for cycle, tables in waiting.items():
            yield cycle, *_stacked(tables)


def _stacked(tables: Sequence[tuple[Table, IntArray]]) -> tuple[Table, IntArray]:
    rows, numbers = zip(*tables, strict=True)
    return Table.stacked(rows), np.concatenate(numbers)


@dataclass(slots=True)
class _Collected:
    """Rows of one block as they are found, tag by tag."""

    check: bool
    timed: bool
    parts: dict[bytes, list[_Part]] = field(default_factory=dict)
    restarts: list[tuple[int, int]] = field(default_factory=list)
    wrong: int | None = None  # the first record that cannot be trusted
    why: str = ""

    def spoil(self, record: int, why: str) -> None:
        """Note that a record is corrupt; only the first one counts."""
        if self.wrong is None or record < self.wrong:
            self.wrong, self.why = record, why

    def take(self, template: Template, decoded: Decoded, records: IntArray) -> None:
        """Take in records that were decoded together."""
        if decoded.wrong.any():
            self.spoil(int(records[np.argmax(decoded.wrong)]), "wrong checksum")
        walls = () if decoded.walls is None else (decoded.walls,)
        part = (records, decoded.steps, decoded.values, *walls)
        self.parts.setdefault(template.layout.tag, []).append(part)

    def one_by_one(self, view: memoryview, raw: Bytes, frames: IntArray) -> None:
        """Take in a few records: ``(n, 3)`` first byte, one past the last, number."""
        columns, odd = _Columns(), list[list[int]]()
        for start, stop, record in frames.tolist():
            if (template := _KINDS.of(view, start, stop)) is None:
                odd.append([start, stop, record])
                continue
            step, value, wall = decode_one(view, start, template)
            if self.check and is_wrong(view, start, template):
                self.spoil(record, "wrong checksum")
            columns.setdefault(template.layout.tag, []).append((record, step, value, wall))
        self._add(columns)
        if odd:
            self._parse(view, raw, np.array(odd, np.int64))

    def side_by_side(self, view: memoryview, raw: Bytes, frames: IntArray) -> None:
        """Take in many records, all of one length at a time."""
        lengths = frames[:, 1] - frames[:, 0]
        others = [np.flatnonzero(lengths > LONGEST_SCALAR)]
        for length, group in _by_length(lengths):
            others.append(self._alike(view, raw, frames, group, length))
        rest = np.sort(np.concatenate(others))
        if len(rest):
            self._parse(view, raw, frames[rest])

    def _alike(self, view: memoryview, raw: Bytes, frames: IntArray, group: IntArray, length: int) -> IntArray:
        """Decode the records of one length by templates; those that fit none are given back."""
        odd: list[IntArray] = []
        for piece in pieces(len(group)):
            left = group[piece]
            rows = rows_of(raw, frames[left, 0], length)
            tried = 0
            while len(left):
                start = int(frames[left[0], 0])
                template = _KINDS.of(view, start, start + length) if tried < _MOST_TEMPLATES else None
                if template is None:
                    count = 1 if tried < _MOST_TEMPLATES else len(left)
                    odd.append(left[:count])
                    left, rows = left[count:], rows[count:]
                    continue
                tried += 1
                fits = matching(rows, template)
                everything = fits.all()
                at, alike = (left, rows) if everything else (left[fits], rows[fits])
                wrong = wrong_rows(alike, template) if self.check else np.zeros(len(alike), bool)
                self.take(template, decode(alike, template, wrong, timed=self.timed), frames[at, 2])
                left, rows = (left[:0], rows[:0]) if everything else (left[~fits], rows[~fits])
        return np.concatenate(odd) if odd else group[:0]

    def _parse(self, view: memoryview, raw: Bytes, frames: IntArray) -> None:
        """Parse what no template fits: several values at once, restarts, text; images and the like are passed over."""
        starts, stops, records = frames.T
        wanted = ~surely_no_scalar(raw, starts, stops)
        starts, stops, records = starts[wanted], stops[wanted], records[wanted]
        for record in records[wrong_payloads(raw, starts, stops)][:1].tolist():
            self.spoil(record, "wrong checksum")
        columns = _Columns()
        for start, stop, record in zip(starts.tolist(), stops.tolist(), records.tolist(), strict=True):
            try:
                event: Event = decode_event(view, start, stop)
            except MalformedMessage as error:
                self.spoil(record, str(error))
                break
            if event.restarts:
                self.restarts.append((record, event.step))
            for tag, value in event.scalars:
                columns.setdefault(tag, []).append((record, event.step, value, event.wall_time))
        self._add(columns)

    def _add(self, columns: _Columns) -> None:
        for tag, rows in columns.items():
            order, steps, values, walls = zip(*rows, strict=True)
            part = np.array(order, np.int64), np.array(steps, np.int64), np.array(values), np.array(walls)
            self.parts.setdefault(tag, []).append(part if self.timed else part[:3])

    def rows(self) -> Rows:
        """In the order of writing, up to the first corrupt record."""
        rows = Rows(restarts=[each for each in self.restarts if self.wrong is None or each[0] < self.wrong])
        for tag, parts in self.parts.items():
            columns: Sequence[NDArray[Any]] = parts[0]
            if len(parts) > 1:
                parts.sort(key=lambda part: int(part[0][0]))  # mostly one begins where another has ended
                columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
                if (columns[0][1:] < columns[0][:-1]).any():
                    rising = np.argsort(columns[0], kind="stable")
                    columns = [column.take(rising) for column in columns]
            if self.wrong is not None:
                kept = int(np.searchsorted(columns[0], self.wrong))
                if not kept:
                    continue
                columns = [column[:kept] for column in columns]
            order, steps, values, *walls = columns
            rows.series[tag] = Series(steps, values, order)
            if walls:
                rows.walls[tag] = walls[0]
        return rows


def _cut(raw: Bytes, view: memoryview, at: int, end: int) -> tuple[IntArray, IntArray, str | None]:
    """Where the frames from ``at`` on begin and how long their payloads are, up to the first damage or the end."""
    starts, lengths = list[IntArray](), list[IntArray]()
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
    """The places of each length of at most ``LONGEST_SCALAR``, ascending."""
    short = np.minimum(lengths, LONGEST_SCALAR + 1).astype(np.uint16)
    order = np.argsort(short, kind="stable")
    rising = short[order]
    edges = [0, *(np.flatnonzero(rising[1:] != rising[:-1]) + 1).tolist(), len(order)]
    for begin, end in pairwise(edges):
        if end > begin and (length := int(rising[begin])) <= LONGEST_SCALAR:
            yield length, order[begin:end]
