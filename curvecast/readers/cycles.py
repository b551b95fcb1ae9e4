"""Scalars that come round and round: a loop that logs writes the same records in the same order at every turn.

So the bytes of many turns are one table with a row a turn, of which nothing but wall times, steps, values and
checksums change. It is held against one row and cut into columns, and no record in it is ever looked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curvecast.readers.frames import MASK, IntArray, length_crc, walk
from curvecast.readers.templates import FOOT, HEAD, SEVEN, WORTH, Decoded, Kinds, Template, decode

Bytes = NDArray[np.uint8]
_Loose = tuple[int, int, bytes]  # first and one-past-last byte of a payload, and its head
FloatArray = NDArray[np.float64]
_TABLE_BYTES = 1 << 18  # of a table: all passes over it stay in the cache, and it is small beside a block
_FIRST_TURNS = 64  # turns that are looked at first; then sixteen times as many, and so on
_LONGEST = 32  # most records of a turn
_RECENT = 8  # cycles remembered: a file has several, by what is logged now and then, and by the digits of the step
_WORD = 8  # rows, whose bytes together are whole words of 64 bits
_HANDFUL = 256  # turns below which few calls cost less than few bytes
_PATIENCE = 64  # frames that may lie loose before the rest of a block is looked through in another way
_LEAST_PATIENCE = 4  # where block after block has no loop
_START = 16  # frames walked in the time that a table takes to begin
_WORTH_IT = 4  # frames in tables that make up for a loose one


class Table(NamedTuple):
    """Turns of one cycle.

    Args:
        rows: ``(n, width)`` their bytes, one turn a row.
        first: ``(width,)`` one of the rows.
        moving: ``(width,)`` the bits in which any other row differs from it.
    """

    rows: Bytes
    first: Bytes
    moving: Bytes

    @classmethod
    def stacked(cls, tables: Sequence[Table]) -> Table:
        """Several tables as one."""
        if len(tables) == 1:
            return tables[0]
        firsts = np.stack([each.first for each in tables])
        moving = np.bitwise_or.reduce(np.concatenate([firsts ^ firsts[0], *(each.moving[None] for each in tables)]))
        return cls(np.concatenate([each.rows for each in tables]), firsts[0], moving)

    def __len__(self) -> int:
        return len(self.rows)


class Cycle:
    """The records of one turn.

    Args:
        templates: what each of them is built like.
    """

    def __init__(self, templates: Sequence[Template]) -> None:
        self.templates = tuple(templates)
        row, care = bytearray(), bytearray()
        self._places: list[int] = []  # of the payloads in a row
        for each in templates:
            self._places.append(len(row) + HEAD)
            head = struct.pack("<QI", each.length, length_crc(each.length))
            row += head + each.constant.view(np.uint8)[: each.length].tobytes() + bytes(FOOT)
            care += b"\xff" * HEAD + each.mask.view(np.uint8)[: each.length].tobytes() + bytes(FOOT)
        self.width = len(row)
        self.most = max(_FIRST_TURNS, _TABLE_BYTES // self.width)
        self._row, self._care = int.from_bytes(row, "little"), int.from_bytes(care, "little")
        self._constant, self._mask = np.frombuffer(bytes(row), np.uint8), np.frombuffer(bytes(care), np.uint8)
        pairs = list(zip(self._places, self.templates, strict=True))
        self._free = np.concatenate([at + each.free for at, each in pairs])
        self._shares = np.concatenate([each.shares for each in self.templates])
        self._lanes = 256 * np.arange(len(self._free))
        self._begins = [0, *accumulate(len(each.free) for each in self.templates)]  # of each record's among them
        self._crcs = np.array([each.crc for each in self.templates])
        self._few = _Places.of(pairs)

    def __len__(self) -> int:
        return len(self.templates)

    def begins(self, view: memoryview, at: int, end: int) -> bool:
        """Whether a turn stands there, whole."""
        return at + self.width <= end and int.from_bytes(view[at : at + self.width], "little") & self._care == self._row

    def tables(self, raw: Bytes, at: int, end: int) -> Iterator[Table]:
        """The turns that follow one another from there on, where at least one does; in memory of their own."""
        turns = _FIRST_TURNS
        while count := min((end - at) // self.width, turns):
            table = self._alike(raw[at : at + count * self.width].reshape(count, self.width))
            if len(table):
                yield table
            if len(table) < count:
                return
            at += count * self.width
            turns = min(16 * turns, self.most)

    def _alike(self, rows: Bytes) -> Table:
        """The first rows, as far as they are turns."""
        words = -(-len(rows) // _WORD) * _WORD
        table = np.empty((words, self.width), np.uint8)
        table[: len(rows)] = rows
        first = self._constant | (table[0] & ~self._mask)
        table[len(rows) :] = first
        change = table.reshape(-1).view("<u8").reshape(-1, self.width) ^ np.tile(first, _WORD).view("<u8")
        moving = np.bitwise_or.reduce(np.bitwise_or.reduce(change).view(np.uint8).reshape(_WORD, self.width))
        if (moving & self._mask).any():
            wrong = (change.view(np.uint8).reshape(-1, self.width) & self._mask).any(axis=1)
            return Table(table[: int(wrong.argmax())], first, moving)
        return Table(table[: len(rows)], first, moving)

    def decode(self, table: Table, *, check: bool, timed: bool) -> list[Decoded]:
        """What each record of the turn holds, over the turns."""
        if self._few is not None and len(table) < _HANDFUL:
            return self._decode_few(table.rows, self._few, check=check, timed=timed)
        found = []
        crcs = self._still(table) if check else None
        for k, (at, template) in enumerate(zip(self._places, self.templates, strict=True)):
            wrong = np.zeros(len(table), bool) if crcs is None else self._wrong(table, k, crcs[k])
            found.append(decode(table.rows, template, wrong, timed=timed, at=at))
        return found

    def _still(self, table: Table) -> NDArray[np.uint32]:
        """What the bytes that stay the same throughout make of each record's checksum."""
        shares = self._shares.take(table.first.take(self._free) + self._lanes)
        shares[table.moving.take(self._free) != 0] = 0
        return np.asarray(np.bitwise_xor.reduceat(shares, self._begins[:-1]) ^ self._crcs)

    def _wrong(self, table: Table, k: int, crc: np.uint32) -> NDArray[np.bool_]:
        mine = slice(self._begins[k], self._begins[k + 1])
        sums = np.full(len(table), crc)
        for place, share in zip(self._free[mine].tolist(), self._shares[mine], strict=True):
            if table.moving[place]:
                sums ^= share.take(table.rows[:, place])
        at = self._places[k] + self.templates[k].length
        return np.asarray(sums != np.ndarray((len(table),), "<u4", table.rows, at, (self.width,)) - MASK)

    def _decode_few(self, rows: Bytes, places: _Places, *, check: bool, timed: bool) -> list[Decoded]:
        """All records of all turns in one gather each of steps, values and what the checksums depend on."""
        digits = rows.take(places.steps, axis=1).reshape(len(rows), len(self), -1)
        steps = ((digits & SEVEN) @ WORTH[: digits.shape[2]]).T
        values = rows.take(places.values, axis=1).view(places.dtype).astype(np.float64).T
        walls: Sequence[FloatArray | None] = [None] * len(self)
        if timed:
            has_walls = len(places.walls) > 0
            walls = list(rows.take(places.walls, axis=1).view("<f8").T if has_walls else np.zeros(values.shape))
        wrong = np.zeros(values.shape, bool)
        if check:
            shares = self._shares.take(rows.take(self._free, axis=1) + self._lanes)
            crc = np.bitwise_xor.reduceat(shares, self._begins[:-1], axis=1) ^ self._crcs
            wrong = (crc != rows.take(places.feet, axis=1).view("<u4") - MASK).T
        return [Decoded(*of_record) for of_record in zip(steps, values, walls, wrong, strict=True)]


class _Places(NamedTuple):
    """Where in a row the bytes of all steps stand, of all values, wall times and checksums."""

    steps: IntArray
    values: IntArray
    walls: IntArray
    feet: IntArray
    dtype: str

    @classmethod
    def of(cls, records: Sequence[tuple[int, Template]]) -> _Places | None:
        """Of records that begin there; ``None`` where they differ in how many bytes they have for what."""
        layouts = [each.layout for _, each in records]
        if len({(each.step_bytes, each.value_bytes, each.wall_at < 0) for each in layouts}) > 1:
            return None
        kind = layouts[0]
        if kind.step_bytes > len(WORTH):
            return None
        steps, values, walls, feet = (
            np.concatenate([at + begin + np.arange(count) for (at, _), begin in zip(records, begins, strict=True)])
            for begins, count in (
                ([each.step_at for each in layouts], kind.step_bytes),
                ([each.value_at for each in layouts], kind.value_bytes),
                ([each.wall_at for each in layouts], 8 if kind.wall_at >= 0 else 0),
                ([each.length for _, each in records], FOOT),
            )
        )
        return cls(steps, values, walls, feet, "<f4" if kind.value_bytes == 4 else "<f8")


@lru_cache(maxsize=64)
def _cycle(templates: tuple[Template, ...]) -> Cycle:
    """The cycle of these records; the files of a fleet have the same."""
    return Cycle(templates)


class Loops:
    """The loops that wrote a file, as they become known block by block.

    After ``turns`` has ended, ``frames`` are the records that lie between the tables, each with its number; ``at`` and
    ``record`` tell how far the block was looked through, and ``damage`` what ended it, if it was not the block's end.

    Args:
        kinds: the templates known.
    """

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._recent: list[Cycle] = []
        self._patience = _PATIENCE
        self.frames: list[tuple[int, int, int]] = []
        self.at = self.record = 0
        self.damage: str | None = None

    def turns(self, raw: Bytes, view: memoryview, end: int, record: int) -> Iterator[tuple[Cycle, Table, int]]:
        """Tables of turns, each with its cycle and the number of its first record.

        It gives up where a block has too few of them to be worth it.

        Args:
            raw: the block.
            view: the same bytes.
            end: where its bytes end.
            record: the number of its first record.
        """
        self.frames, self.at, self.record, self.damage = [], 0, record, None
        loose: list[_Loose] = []  # the frames that stand right before
        spent = gained = 0
        while self.at < end:
            if (cycle := self._next(view, end, loose)) is not None:
                loose = []
                spent += _START
                for table in cycle.tables(raw, self.at, end):
                    yield cycle, table, self.record
                    self.at += table.rows.size
                    self.record += len(table) * len(cycle)
                    gained += len(table) * len(cycle)
            elif spent > self._patience + gained // _WORTH_IT:
                break
            else:
                walked, self.damage = walk(view, self.at, end, 1)
                if not walked:
                    break
                spent += 1
                start, stop = walked[0]
                loose = [*loose[1 - _LONGEST :], (start, stop, bytes(view[start - HEAD : start]))]
                self.frames.append((start, stop, self.record))
                self.at = stop + FOOT
                self.record += 1
        self._patience = _PATIENCE if gained or spent <= self._patience else max(self._patience // 2, _LEAST_PATIENCE)

    def _next(self, view: memoryview, end: int, loose: Sequence[_Loose]) -> Cycle | None:
        """The cycle of which a turn begins here: one that is known, or one that the loose frames are a turn of."""
        for cycle in self._recent:
            if cycle.begins(view, self.at, end):
                break
        else:
            found = self._found(view, end, loose)
            if found is None:
                return None
            cycle = found
        if self._recent[:1] != [cycle]:
            self._recent = [cycle, *(each for each in self._recent if each is not cycle)][:_RECENT]
        return cycle

    def _found(self, view: memoryview, end: int, loose: Sequence[_Loose]) -> Cycle | None:
        """A cycle of which the last of the loose frames are a turn, and of which the next one begins here."""
        here = view[self.at : self.at + HEAD]
        for count in range(1, len(loose) + 1):
            start, _, head = loose[-count]
            begin = start - HEAD
            if head != here or 2 * self.at - begin > end or not _repeat(view, loose[-count:], self.at - begin):
                continue
            templates = [self._kinds.of(view, start, stop) for start, stop, _ in loose[-count:]]
            known = tuple(each for each in templates if each is not None)
            if len(known) == count and (cycle := _cycle(known)).begins(view, self.at, end):
                return cycle
        return None


def _repeat(view: memoryview, frames: Sequence[_Loose], distance: int) -> bool:
    """Whether frames of the same lengths stand so many bytes behind these."""
    return all(view[start - HEAD + distance : start + distance] == head for start, _, head in frames)
