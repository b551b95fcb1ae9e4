"""Records that a script prints as Python's dictionaries, one a line, as Hugging Face's Trainer does.

The Trainer prints no step. Its progress bar tells it, or its epoch (``trainer_steps``); where neither does, the records
themselves are counted.

Source: ``ProgressCallback`` of huggingface/transformers, from which TRL, axolotl and LLaMA-Factory print too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from curvecast.readers.base import Log, Notes, UnreadableRun
from curvecast.readers.formats import HEAD_BYTES, TEXT_SUFFIXES, Folder, Format, Part
from curvecast.readers.rows import Records, number_in
from curvecast.readers.tags import split_words
from curvecast.readers.trainer_steps import Told, counted

_ENOUGH = 5  # records with a loss that make a log
_SNIFFED = 1 << 20  # bytes: bars of a tokenizer may stand before the first record
_LONGEST = 1 << 14  # characters of a line
_SIGN = re.compile(r"\|\s*(\d+)/(\d+) \[|\{'[^{}]*\}")  # a bar, or a record
_PAIR = re.compile(r"'([^']+)': '?([-+.\w]+)'?")
_SUMMARY = "train_runtime"  # of the last record, whose `train_loss` is a mean over the whole run


def _told(lines: Iterable[str]) -> Told:
    """The records and bars of some lines; a carriage return ends one, too."""
    told, bar, waiting = Told(), (0, 0), False
    for line in lines:
        if len(line) > _LONGEST:
            continue
        for match in _SIGN.finditer(line):
            if match[1] is not None:
                bar = told.last = int(match[1][:18]), int(match[2][:18])
                if waiting:
                    told.after[-1], waiting = bar, False
                continue
            pairs = dict(_PAIR.findall(match[0]))
            if record := dict(_numbers(pairs)):
                if _SUMMARY in record:
                    told.ended = record.get("epoch")
                    continue
                told.records.append(record)
                told.epochs.append(pairs.get("epoch", ""))
                told.before.append(bar)
                told.after.append((0, 0))
                waiting = True
    return told


def _numbers(pairs: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for name, value in pairs.items():
        if (number := number_in(value)) is not None:
            yield name, number


def read_printed(path: Path) -> Log:
    """Read the records of a log.

    Raises:
        UnreadableRun: if it cannot be opened, or has no record with a loss.
    """
    notes, meta = Notes(), dict[str, object]()
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            printed = _told(file)
    except OSError as error:
        raise UnreadableRun(f"cannot read {path.name}: {error.strerror}.") from error
    records = Records()
    for record in printed.records:
        records.add(record)
    told = printed.steps() if records.step_name() in (None, "epoch") else None
    if told is not None or records.step_name() is None:  # epochs that are whole count, where nothing else does
        records = Records()
        if told is None:
            notes.add(
                "no step is printed: the records of the training loss are counted. Pass --horizon in the same count"
            )
        else:
            meta["horizon"] = told[1]
        for record, step in zip(printed.records, told[0] if told else counted(printed.records), strict=True):
            records.add({"step": step, **record})
    series, unit = records.series()
    if not series:
        raise UnreadableRun(f"no record with a number in {path.name}.")
    units = dict.fromkeys(series, unit) if unit != "step" else {}
    return Log(path, FORMAT.name, series, notes=notes, meta=meta, units=units)


def _looks_right(start: bytes) -> bool:
    """Whether there are enough records with a loss."""
    if b"{'" not in start or b"loss" not in start:
        return False
    printed = _told(re.split(r"[\r\n]", start.decode(errors="replace")))
    losses = sum(any("loss" in split_words(name) for name in record) for record in printed.records)
    return losses >= _ENOUGH


def _speaks(path: Path, start: bytes) -> bool:
    """Whether a log has such records, at its beginning or behind all that a launcher prints first."""
    if len(start) < HEAD_BYTES or _looks_right(start):
        return _looks_right(start)
    try:
        with path.open("rb") as file:
            more = file.read(_SNIFFED)
    except OSError:
        return False
    first = more.find(b"{'loss'")
    return first >= 0 and _looks_right(more[first : first + HEAD_BYTES])


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if name.endswith(TEXT_SUFFIXES) and _speaks(folder.path / name, folder.head(name)):
            yield Part(FORMAT.name, (folder.path / name,), Path(name).stem)


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_printed(files[0])}


FORMAT = Format(
    "printed",
    "",
    _claim,
    lambda path, start: path.suffix in TEXT_SUFFIXES and _speaks(path, start),
    _read,
)
