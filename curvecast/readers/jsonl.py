"""Lines of JSON, one record a logging call; nested names are joined by ``/``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curvecast.readers.base import Log, Notes, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part, head
from curvecast.readers.rows import Records
from curvecast.readers.tags import split_words

_SUFFIXES = (".jsonl", ".ndjson")
_NAMES = ("metrics.json",)  # detectron2 and its like write lines of JSON under this name
_RESULT = {"schema", "points", "verdict"}  # what `curvecast analyze` writes is no log, though it lies among them
_SHOWN = 3
_LARGE = 4 << 20  # bytes from which on pyarrow, where it is installed, saves more than its import costs


def read_jsonl(path: Path) -> Log:
    """Read lines of JSON; ``NaN`` and ``Infinity`` are read as logged, as Python's own ``json`` writes them.

    Raises:
        UnreadableRun: if the file cannot be opened, or no record in it has a step.
    """
    notes = Notes()
    try:
        plain = read_plain(path) if path.stat().st_size >= _LARGE else None
        records, bad = (plain, []) if plain is not None else _by_line(path)
    except OSError as error:
        raise UnreadableRun(f"cannot read {path.name}: {error.strerror}.") from error
    series, unit = records.series()
    if not series:
        got = ", ".join(map(repr, list(records.columns)[:12])) or "no record with a number"
        raise UnreadableRun(f"no step in the records of {path.name}: got {got}. Log one as `step`.")
    if bad:
        shown = ", ".join(map(str, bad[:_SHOWN])) + (" ..." if len(bad) > _SHOWN else "")
        notes.add(f"{path.name}: {len(bad)} lines are no JSON and left out: {shown}", lost=True)
    log = Log(path, FORMAT.name, series, notes=notes)
    if unit != "step":
        log.units = dict.fromkeys(series, unit)
    return log


def _by_line(path: Path) -> tuple[Records, list[int]]:
    """The records, and the numbers of the lines that are none."""
    records, bad = Records(), list[int]()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            record = _record(line)
            if record is not None:
                records.add(record)
            elif line.strip():
                bad.append(number)
    return records, bad


def read_plain(path: Path) -> Records | None:
    """The records by pyarrow.

    Returns:
        The records; ``None`` where pyarrow is not installed, or a line is not JSON to the letter (``NaN`` is not).
    """
    try:
        import pyarrow
        from pyarrow import json as arrow
    except ImportError:
        return None
    try:
        table = arrow.read_json(path, read_options=arrow.ReadOptions(use_threads=False, block_size=_LARGE))
    except pyarrow.ArrowException:
        return None
    columns = {str(name): table.column(index) for index, name in enumerate(table.column_names)}
    records = Records(table.num_rows)
    _flatten(columns, "", records)
    return records


def _flatten(columns: Mapping[str, Any], prefix: str, records: Records) -> None:
    """Columns of numbers, those within columns of records included."""
    for name, column in columns.items():
        kind = str(column.type)
        if kind in ("int64", "double"):
            logged = np.asarray(column.is_valid())
            values = np.asarray(column.cast("double"))[logged]
            records.columns[prefix + name] = (values, np.flatnonzero(logged))
        elif kind.startswith("struct"):
            inner = column.combine_chunks()
            names = [inner.type.field(at).name for at in range(inner.type.num_fields)]
            fields = dict(zip(names, inner.flatten(), strict=True))
            _flatten(fields, f"{prefix}{name}/", records)


def _record(line: bytes) -> dict[str, object] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _looks_right(start: bytes) -> bool:
    """Whether the first line is a record with something like a loss, or the first few have one."""
    lines = start.split(b"\n")[:50]
    records = [record for line in lines if (record := _record(line)) is not None]
    if any(record.keys() >= _RESULT for record in records):
        return False
    probe = Records()
    for record in records:
        probe.add(record)
    return probe.step_name() is not None and any("loss" in split_words(tag) for tag in probe.columns)


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        path = folder.path / name
        if (name.endswith(_SUFFIXES) or name in _NAMES) and _looks_right(head(path)):
            yield Part(FORMAT.name, (path,), "" if name in ("metrics.jsonl", *_NAMES) else path.stem)


def _accepts(path: Path, start: bytes) -> bool:
    return path.suffix in _SUFFIXES or (start.lstrip()[:1] == b"{" and _looks_right(start))


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_jsonl(files[0])}


FORMAT = Format("jsonl", "lines of JSON (*.jsonl, *.ndjson) with a step and a loss", _claim, _accepts, _read)
