"""Logs that were compressed by gzip: unpacked into a folder of their own for as long as they are read."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.base import Log, UnreadableRun
from curvecast.readers.formats import HEAD_BYTES, TEXT_SUFFIXES, Folder, Format, Heads, Part, claims, formats

_SUFFIX = ".gz"
_RECORDS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
_PACKED, _PACKED_TEXTS = (tuple(f"{each}.gz" for each in ends) for ends in ((*_RECORDS, *TEXT_SUFFIXES), TEXT_SUFFIXES))
_LOOKED_AT = HEAD_BYTES  # bytes, unpacked, by which a log is told from other files; of a text, which has a banner, more
_LARGEST = 1 << 34  # bytes, unpacked: more is no log


def _unpack(path: Path, folder: Path, most: int) -> str:
    """Unpack a file as far as it is whole; gives what ended it early, nothing where that did not happen.

    Raises:
        OSError, zlib.error, EOFError: if not a byte of it can be unpacked.
    """
    target = folder / path.name.removesuffix(_SUFFIX)
    with gzip.open(path) as packed, target.open("wb") as plain:
        while plain.tell() < most:
            try:
                block = packed.read1(1 << 16)  # what it has before an end that is missing
            except (OSError, zlib.error, EOFError) as error:
                if not plain.tell():
                    raise
                return str(error)
            if not block:
                break
            plain.write(block)
    return ""


def _part_of(folder: Path) -> Part | None:
    """What the first format that claims the file of a folder takes it for."""
    name = next(iter(folder.iterdir())).name
    return next(iter(claims(Folder(folder, [name], [], is_root=True, heads=Heads(folder)))), None)


def _is_log(path: Path) -> bool:
    with tempfile.TemporaryDirectory(prefix="curvecast-") as folder:
        try:
            _unpack(path, Path(folder), _LOOKED_AT * (4 if path.name.endswith(_PACKED_TEXTS) else 1))
        except (OSError, zlib.error, EOFError):
            return False
        return _part_of(Path(folder)) is not None


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if name.endswith(_PACKED) and _is_log(folder.path / name):
            yield Part(FORMAT.name, (folder.path / name,), Path(name.removesuffix(_SUFFIX)).stem)


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    path = files[0]
    with tempfile.TemporaryDirectory(prefix="curvecast-") as folder:
        try:
            damage = _unpack(path, Path(folder), _LARGEST)
        except (OSError, zlib.error, EOFError) as error:
            raise UnreadableRun(f"cannot unpack {path.name}: {error}.") from error
        part = _part_of(Path(folder))
        if part is None:
            raise UnreadableRun(f"what {path.name} holds is no log that is known.")
        logs = formats()[part.format].read(part.files)
    for log in logs.values():
        log.path = path
        if damage:
            log.notes.add(f"{path.name} is cut off or damaged: {damage}", lost=True)
    return logs


def _accepts(path: Path, start: bytes) -> bool:
    return path.name.endswith(_SUFFIX) and start.startswith(b"\x1f\x8b")


FORMAT = Format("gzip", "*.gz", _claim, _accepts, _read)
