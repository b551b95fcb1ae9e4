"""Lines of JSON, one record a logging call; nested names are joined by ``/``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from curvecast.readers.alike import Lines, read_alike
from curvecast.readers.axis import ADVICE
from curvecast.readers.base import Log, Notes, Series, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.plan import plan_of
from curvecast.readers.rows import Records
from curvecast.readers.tags import split_words
from curvecast.schedule.checks import MOST_STEPS

_SUFFIXES = (".jsonl", ".ndjson")
_OTHERS = (".json", ".log", ".txt", ".out")  # metrics.json of detectron2, log.txt of Meta's vision models, ...
_NAMES = ("metrics.json", "log.txt")
_RESULT = {"schema", "points", "verdict"}  # what `curvecast analyze` writes is no log, though it lies among them
_SHOWN = 3
_BLOCK_BYTES = 2 << 20  # what is made of a block should stay in the cache


def read_jsonl(path: Path) -> Log:
    """Read lines of JSON; ``NaN`` and ``Infinity`` are read as logged, as Python's own ``json`` writes them.

    Raises:
        UnreadableRun: if the file cannot be opened, or no record in it has a step.
    """
    notes = Notes()
    try:
        records, bad = _records(path)
        if not path.stat().st_size:
            raise UnreadableRun(f"{path.name} is empty.")
    except OSError as error:
        raise UnreadableRun(f"cannot read {path.name}: {error.strerror}.") from error
    records.count_losses(notes)
    series, unit = records.series()
    if not series:
        got = ", ".join(map(repr, list(records.columns)[:12])) or "no record with a number"
        raise UnreadableRun(f"no step in the records of {path.name}: got {got}. {ADVICE}")
    if bad:
        shown = ", ".join(map(str, bad[:_SHOWN])) + (" ..." if len(bad) > _SHOWN else "")
        notes.add(f"{path.name}: {len(bad)} lines are no JSON and left out: {shown}", lost=True)
    log = Log(path, FORMAT.name, series, notes=notes, meta=_plan(series), axis=records.step_name() or "")
    if unit != "step":
        log.units = dict.fromkeys(series, unit)
    return log


def _plan(series: Mapping[str, Series]) -> dict[str, object]:
    """The plan, where each record repeats it, as LLaMA-Factory's have ``total_steps``."""
    same = {tag: rows.values[0] for tag, rows in series.items() if (rows.values == rows.values[0]).all()}
    return plan_of({tag: int(value) for tag, value in same.items() if value.is_integer() and abs(value) < MOST_STEPS})


def _records(path: Path) -> tuple[Records, list[int]]:
    """The records, and the numbers of the lines that are none."""
    records, bad, number = Records(), list[int](), 0
    with path.open("rb") as file:
        for lines in map(Lines, _blocks(file)):
            for at, line in read_alike(lines, number, records):
                record = _record(line)
                records.count = at
                if record is not None:
                    records.add(record)
                elif line.strip():
                    bad.append(at + 1)
            number += len(lines)
    records.count = number
    return records, bad


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """The file in blocks of whole lines; the last one gets an end if it has none."""
    while block := file.read(_BLOCK_BYTES):
        if not block.endswith(b"\n"):
            block += file.readline()
        yield block if block.endswith(b"\n") else block + b"\n"


def _record(line: bytes) -> dict[str, object] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _looks_right(start: bytes) -> bool:
    """Whether the first line is a record with something like a loss, or the first few have one."""
    if b"loss" not in start.lower():
        return False
    lines = start.split(b"\n")[:50]
    records = [record for line in lines if (record := _record(line)) is not None]
    if any(record.keys() >= _RESULT for record in records):
        return False
    probe = Records()
    for record in records:
        probe.add(record)
    probe.count_losses(Notes())
    return probe.step_name() is not None and any("loss" in split_words(tag) for tag in probe.columns)


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if not name.endswith((*_SUFFIXES, *_OTHERS)):
            continue
        start = folder.head(name)
        is_named, is_record = name.endswith(_SUFFIXES), start[:1] == b"{" or b'\n{"' in start
        if (not start and is_named) or ((is_named or is_record) and _looks_right(start)):
            path = folder.path / name
            yield Part(FORMAT.name, (path,), "" if name in ("metrics.jsonl", *_NAMES) else path.stem)


def _accepts(path: Path, start: bytes) -> bool:
    return path.suffix in _SUFFIXES or ((start.lstrip()[:1] == b"{" or b'\n{"' in start) and _looks_right(start))


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_jsonl(files[0])}


FORMAT = Format("jsonl", "*.jsonl, *.ndjson", _claim, _accepts, _read)
