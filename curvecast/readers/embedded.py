"""Records of JSON behind what a logger puts before each line: a date, a level, a tag.

Sources: ``json_stats: {...}`` of facebookresearch/Detectron and pycls, ``DLLL {...}`` of NVIDIA's DLLogger, and
Python's ``logging`` wherever a script writes its metrics by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.axis import ADVICE
from curvecast.readers.base import Log, Notes, UnreadableRun
from curvecast.readers.formats import TEXT_SUFFIXES, Folder, Format, Part
from curvecast.readers.rows import Records
from curvecast.readers.tags import split_words
from curvecast.readers.text import COLOUR, dialect_of

_BEHIND = re.compile(r'[^{\n]{1,200}?(\{"[^\n]*\})\s*$')
_ENOUGH = 5  # records with a loss that make a log
_SNIFFED = 50  # lines with a record that are looked at
_SUFFIXES = (*TEXT_SUFFIXES, ".json")


def _records(lines: Iterable[str]) -> Iterator[Mapping[str, object]]:
    for line in lines:
        if '{"' not in line or (match := _BEHIND.match(COLOUR.sub("", line) if "\x1b" in line else line)) is None:
            continue
        try:
            record = json.loads(match[1])
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def read_embedded(path: Path) -> Log:
    """Read the records of a log.

    Raises:
        UnreadableRun: if it cannot be opened, or none of its records has a step.
    """
    records, notes = Records(), Notes()
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for record in _records(file):
                records.add(record)
    except OSError as error:
        raise UnreadableRun(f"cannot read {path.name}: {error.strerror}.") from error
    records.count_losses(notes)
    series, unit = records.series()
    if not series:
        raise UnreadableRun(f"no step in the records of {path.name}. {ADVICE}")
    units = dict.fromkeys(series, unit) if unit != "step" else {}
    return Log(path, FORMAT.name, series, notes=notes, units=units, axis=records.step_name() or "")


def _looks_right(start: bytes) -> bool:
    """Whether there are enough records with a loss, and no script is known that writes such lines."""
    if b'{"' not in start or b"loss" not in start or start[:1] == b"{":
        return False
    text = start.decode(errors="replace")
    lines = [line for line in text.splitlines() if '{"' in line and "loss" in line][:_SNIFFED]
    records, probe = list(_records(lines)), Records()
    for record in records:
        probe.add(record)
    losses = [tag for tag in probe.columns if "loss" in split_words(tag)]
    probe.count_losses(Notes())
    if len(records) < _ENOUGH or not losses or probe.step_name() is None:
        return False
    dialect = dialect_of(text)
    return dialect is None or dialect.is_guess


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if name.endswith(_SUFFIXES) and _looks_right(folder.head(name)):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_embedded(files[0])}


FORMAT = Format(
    "embedded",
    "",
    _claim,
    lambda path, start: path.suffix in _SUFFIXES and _looks_right(start),
    _read,
)
