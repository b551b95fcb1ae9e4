"""Weights & Biases' offline ``.wandb`` files, read without wandb.

The file is LevelDB's log: seven bytes ``:W&B``, magic and version, then blocks of 32 KiB with frames of
``uint32 crc | uint16 length | uint8 type | payload``, where the CRC-32 covers type and payload. A record that does
not fit is cut into frames of types first, middle, last. Each record is a protobuf ``Record`` of
``wandb_internal.proto``, whose field numbers stand below.

Source: the public ``wandb_internal.proto`` and the files that wandb 0.31 writes.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.base import Log, Notes, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.plan import plan_of
from curvecast.readers.protobuf import MalformedMessage, fields
from curvecast.readers.rows import Records

_MAGIC = b":W&B\xe1\xbe"
_BLOCK, _HEAD = 32768, struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_HISTORY, _RUN = 2, 17  # of Record
_ITEM, _STEP = 1, 2  # of HistoryRecord
_VARINT, _BYTES = 0, 2
_DOUBLE = struct.Struct("<d")


def frames(data: bytes, notes: Notes, name: str) -> Iterator[bytes]:
    """The records of a file, up to the first damage, which is noted."""
    at, end, parts = 7, len(data), bytearray()
    while at + _HEAD.size <= end:
        left = _BLOCK - at % _BLOCK
        if left < _HEAD.size:
            at += left
            continue
        crc, length, kind = _HEAD.unpack_from(data, at)
        start, stop = at + _HEAD.size, at + _HEAD.size + length
        if kind == 0 and length == 0:  # preallocated, never written
            return
        if stop > end:
            notes.add(f"{name} is cut off at byte {end}; what stands before is read", lost=True)
            return
        payload = data[start:stop]
        if kind > _LAST or zlib.crc32(payload, zlib.crc32(bytes([kind]))) != crc:
            notes.add(f"{name} is corrupt at byte {at} of {end}: wrong checksum; what stands before is read", lost=True)
            return
        if kind in (_WHOLE, _FIRST):
            parts = bytearray()
        parts += payload
        if kind in (_WHOLE, _LAST):
            yield bytes(parts)
        at = stop
    if at < end and any(data[at:]):
        notes.add(f"{name} is cut off at byte {end}; what stands before is read", lost=True)


def read_wandb(path: Path) -> tuple[str, Log]:
    """Read an offline run: its display name, and its history.

    A row's step is what the run logged under a usual name (``trainer/global_step``, ``iter``, ...), else W&B's own
    count of calls, ``_step``.

    Raises:
        UnreadableRun: if the file is no such file, or has no history.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableRun(f"cannot read {path.name}: {error.strerror}.") from error
    if not data.startswith(_MAGIC):
        raise UnreadableRun(f"{path.name} is no file of an offline W&B run: it does not begin like one.")
    records, notes = Records(), Notes()
    name, config = "", dict[str, object]()
    try:
        for record in frames(data, notes, path.name):
            for number, wire, a, b in fields(record, 0, len(record)):
                if number == _HISTORY and wire == _BYTES:
                    records.add(_history(record, a, b))
                elif number == _RUN and wire == _BYTES:
                    name, config = _run(record, a, b)
    except MalformedMessage as error:
        notes.add(f"{path.name} is corrupt: {error}; what stands before is read", lost=True)
    series, unit = records.series()
    if not series:
        raise UnreadableRun(f"no history in {path.name}: nothing was logged with a step.")
    log = Log(path, FORMAT.name, series, notes=notes, meta=plan_of(config), axis=records.step_name() or "")
    if unit != "step":
        log.units = dict.fromkeys(series, unit)
    return name, log


def _history(data: bytes, at: int, end: int) -> dict[str, object]:
    """One row of the history, names joined by ``/``."""
    row: dict[str, object] = {}
    for number, wire, a, b in fields(data, at, end):
        if number == _ITEM and wire == _BYTES:
            name, value = _item(data, a, b)
            if value is not None:
                row[name] = value
        elif number == _STEP and wire == _BYTES:
            counted = [value for inner, kind, value, _ in fields(data, a, b) if inner == 1 and kind == _VARINT]
            row.setdefault("_step", counted[0] if counted else 0)
    return row


def _item(data: bytes, at: int, end: int) -> tuple[str, object]:
    """A name and its value: JSON text in field 16, or, typed, an integer (zigzag) in 5 or a number in 6."""
    names: list[str] = []
    value: object = None
    for number, wire, a, b in fields(data, at, end):
        if number in (1, 2) and wire == _BYTES:
            names.append(data[a:b].decode(errors="replace"))
        elif number == 16 and wire == _BYTES:
            value = _json(data[a:b])
        elif number == 5 and wire == _VARINT:
            value = (a >> 1) ^ -(a & 1)
        elif number == 6 and b - a == _DOUBLE.size:
            value = _DOUBLE.unpack_from(data, a)[0]
    return "/".join(names), value


def _json(text: bytes) -> object:
    """A value; W&B writes NaN and infinities as text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _run(data: bytes, at: int, end: int) -> tuple[str, dict[str, object]]:
    """Display name (else the id) and configuration of a ``RunRecord``."""
    identity, name, config = "", "", dict[str, object]()
    for number, wire, a, b in fields(data, at, end):
        if wire != _BYTES:
            continue
        if number == 1:
            identity = data[a:b].decode(errors="replace")
        elif number == 8:
            name = data[a:b].decode(errors="replace")
        elif number == 4:
            for inner, kind, c, d in fields(data, a, b):
                if inner == 1 and kind == _BYTES:
                    key, value = _item(data, c, d)
                    config[key] = value
    return name or identity, config


def _claim(folder: Folder) -> Iterator[Part]:
    found = [folder.path / name for name in folder.files if name.endswith(".wandb")]
    for path in found:
        yield Part(FORMAT.name, (path,), path.stem if len(found) > 1 else "")


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    logs: dict[str, Log] = {}
    for file in files:
        name, log = read_wandb(file)
        logs[name] = log
    return logs


FORMAT = Format("wandb", "*.wandb", _claim, lambda path, start: start.startswith(_MAGIC), _read)
