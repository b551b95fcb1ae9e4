"""One event file, read in blocks, and from where the last reading ended: memory does not grow with the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from curvecast.readers.blocks import Decoder, Rows
from curvecast.readers.frames import CUT_OFF, walk
from curvecast.readers.protobuf import MalformedMessage, decode_event

BLOCK_BYTES = 1 << 22
_SLACK = 1024  # bytes kept readable behind a block
_FIRST_RECORDS = 16  # in which a wall time must turn up


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
        self.records = 0
        self.began = 0.0
        self.damage: str | None = None
        self.was_replaced = False  # what stands there now is not what was read: it must be read from its beginning
        self._identity: tuple[int, int] | None = None  # device and number, which a file of the same name does not share
        self._at = 0
        self._ended = False
        self._decoder = Decoder(check=check, timed=timed)

    def poll(self) -> Iterator[Rows]:
        """What was written since the last time, block by block; ``damage`` says why it ended early, if it did.

        A record that is not whole yet is left for the next time.

        Raises:
            OSError: if the file cannot be read.
        """
        status = os.stat(self.path)  # noqa: PTH116 - polled often
        size, identity = status.st_size, (status.st_dev, status.st_ino)
        if size < self._at or identity != (self._identity or identity):
            told = f"has shrunk from {self._at} bytes to {size}" if size < self._at else "is another file by now"
            self.damage, self._ended, self.was_replaced = told, True, True
        self._identity = identity
        if self._ended:
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
            self.began = self.began or _first_wall(view, end)
            block = self._decoder.decode(np.frombuffer(buffer, np.uint8), view, end, self.records)
            self.records = block.records
            if block.used:
                yield block.rows
            if block.wrong:
                self.damage, self._ended = f"is corrupt in record {block.records + 1}: {block.wrong}", True
                return
            if block.damage is not None and (CUT_OFF not in block.damage or not left):
                self._stop(block.damage)
                self._at += block.used
                return
            self._at += block.used
            kept = end - block.used
            buffer = _moved(buffer, block.used, kept, left)

    def _stop(self, damage: str) -> None:
        """Remember the damage, in bytes of the file; only what was cut off may still be completed."""
        where, _, rest = damage.partition(" at byte ")
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        self.damage = f"{where} at byte {int(digits) + self._at}{rest[len(digits) :]}"
        self._ended = CUT_OFF not in damage


def _moved(buffer: bytearray, used: int, kept: int, left: int) -> bytearray:
    """A buffer that begins with what is kept of this one, with room for the next block, or for a long record."""
    if used:
        buffer[:kept] = buffer[used : used + kept]
        return buffer
    room = min(left, max(BLOCK_BYTES, kept))
    fresh = bytearray(kept + room + _SLACK)
    fresh[:kept] = buffer[used : used + kept]
    return fresh


def _first_wall(view: memoryview, end: int) -> float:
    """The wall time of the first of the records that has one [s]."""
    for start, stop in walk(view, 0, end, _FIRST_RECORDS)[0]:
        try:
            wall = decode_event(view, start, stop).wall_time
        except MalformedMessage:
            return 0.0
        if wall:
            return wall
    return 0.0
