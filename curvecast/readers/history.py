"""One JSON value that holds a run: a list of records, or a list of numbers for each tag, as Keras' ``history`` is.

Of the latter the steps are the list of that name; where there is none, the lists count epochs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.axis import ADVICE
from curvecast.readers.base import Log, UnreadableRun
from curvecast.readers.formats import Folder, Format, Part
from curvecast.readers.rows import Records
from curvecast.readers.tabular import step_column

_RECORDS = re.compile(rb"\s*\[\s*\{")
_LISTS = re.compile(rb'\s*\{\s*"[^"]*"\s*:\s*\[\s*[-+\d.NI\]]')
_LOSS = re.compile(rb'"[^"]*(?<![a-z])loss[^"]*"\s*:', re.IGNORECASE)
_TIDY = re.compile(rb'"(?:metricV|v)alue"\s*:')  # records of one number
_NAMED = re.compile(rb':\s*"[^"]*(?<![a-z])loss[^"]*"', re.IGNORECASE)
_LARGEST = 1 << 26  # bytes: all of it is in memory at once, tenfold


def read_history(path: Path) -> Log:
    """Read the records, or the lists.

    Raises:
        UnreadableRun: if the file is no such value, or has no step.
    """
    try:
        if path.stat().st_size > _LARGEST:
            why = f"{path.name} is one JSON value of more than {_LARGEST >> 20} MiB. Write lines of JSON."
            raise UnreadableRun(why)
        value = json.loads(path.read_bytes())
    except UnreadableRun:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableRun(f"cannot read {path.name}: {error}.") from error
    records = Records()
    for record in _records(value):
        records.add(record)
    series, unit = records.series()
    if not series:
        raise UnreadableRun(f"no list of records with a step, and no lists of numbers, in {path.name}. {ADVICE}")
    return Log(path, FORMAT.name, series, units=dict.fromkeys(series, unit) if unit != "step" else {})


def _records(value: object) -> Iterator[Mapping[str, object]]:
    """The records of a value; of lists of numbers those that are as long as the longest."""
    if isinstance(value, list):
        yield from (record for record in value if isinstance(record, dict))
    if not isinstance(value, dict):
        return
    lists = {tag.removesuffix("s") if step_column([tag.removesuffix("s")]) else tag: numbers
             for tag, numbers in value.items() if isinstance(numbers, list)}  # fmt: skip
    length = max(map(len, lists.values()), default=0)
    columns = {tag: numbers for tag, numbers in lists.items() if len(numbers) == length}
    counted = step_column(list(columns)) is not None
    for at in range(length):
        record = {tag: numbers[at] for tag, numbers in columns.items()}
        yield record if counted else {"epoch": at, **record}


def _looks_right(start: bytes) -> bool:
    if _RECORDS.match(start) is not None and _TIDY.search(start) is not None and _NAMED.search(start) is not None:
        return True
    return bool((_RECORDS.match(start) or _LISTS.match(start)) and _LOSS.search(start))


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if name.endswith(".json") and _looks_right(folder.head(name)):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_history(files[0])}


FORMAT = Format(
    "history",
    "*.json",
    _claim,
    lambda path, start: path.suffix == ".json" and _looks_right(start),
    _read,
)
