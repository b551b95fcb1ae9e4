"""Records that a script prints as Python's dictionaries, one a line, as Hugging Face's Trainer does.

The Trainer prints no step. Its progress bar tells it: the bar is drawn anew after each record. Where no bar was kept,
the records themselves are counted.

Source: ``ProgressCallback`` of huggingface/transformers, from which TRL, axolotl and LLaMA-Factory print too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from curvecast.readers.base import Log, Notes, UnreadableRun
from curvecast.readers.formats import HEAD_BYTES, TEXT_SUFFIXES, Folder, Format, Part
from curvecast.readers.rows import Records, number_in
from curvecast.readers.tags import split_words

_ENOUGH = 5  # records with a loss
_SNIFFED = 1 << 20  # bytes: bars of a tokenizer may stand before the first record
_LONGEST = 1 << 14  # characters of a line
_SIGN = re.compile(r"\|\s*(\d+)/(\d+) \[|\{'[^{}]*\}")  # a bar, or a record
_PAIR = re.compile(r"'([^']+)': '?([-+.\w]+)'?")
_SUMMARY = "train_runtime"  # of the last record, whose `train_loss` is a mean over the whole run


@dataclass(slots=True)
class _Printed:
    """Records and bars, as they come."""

    records: list[dict[str, float]] = field(default_factory=list)
    before: list[tuple[int, int]] = field(default_factory=list)  # step and total of the bar before each record
    after: list[tuple[int, int]] = field(default_factory=list)  # and of the one behind it

    def read(self, lines: Iterable[str]) -> None:
        """Take in the lines; a carriage return ends one, too."""
        bar, waiting = (0, 0), False
        for line in lines:
            if len(line) > _LONGEST:
                continue
            for match in _SIGN.finditer(line):
                if match[1] is not None:
                    bar = int(match[1][:18]), int(match[2][:18])
                    if waiting:
                        self.after[-1], waiting = bar, False
                elif (record := dict(_numbers(match[0]))) and _SUMMARY not in record:
                    self.records.append(record)
                    self.before.append(bar)
                    self.after.append((0, 0))
                    waiting = True

    def steps(self) -> tuple[list[int], int] | None:
        """The step of each record, and the last one planned; ``None`` where no bar tells."""
        totals = Counter(total for record, (_, total) in zip(self.records, self.after, strict=True) if "loss" in record)
        total = max(totals, key=lambda each: totals[each] if each else 0, default=0)
        if not total:
            return None
        steps, last = [], 0
        for before, after in zip(self.before, self.after, strict=True):
            last = after[0] if after[1] == total else before[0] if before[1] == total else last
            steps.append(last)
        return steps, total


def _numbers(text: str) -> Iterator[tuple[str, float]]:
    for name, value in _PAIR.findall(text):
        if (number := number_in(value)) is not None:
            yield name, number


def read_printed(path: Path) -> Log:
    """Read the records of a log.

    Raises:
        UnreadableRun: if it cannot be opened, or has no record with a loss.
    """
    printed, notes, meta = _Printed(), Notes(), dict[str, object]()
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            printed.read(file)
    except OSError as error:
        raise UnreadableRun(f"cannot read {path.name}: {error.strerror}.") from error
    records = Records()
    for record in printed.records:
        records.add(record)
    if records.step_name() in (None, "epoch"):
        records, told = Records(), printed.steps()
        if told is None:
            notes.add("no step is printed: the records of the training loss are counted")
        else:
            meta["horizon"] = told[1]
        for record, step in zip(printed.records, told[0] if told else _counted(printed.records), strict=True):
            records.add({"step": step, **record})
    series, unit = records.series()
    if not series:
        raise UnreadableRun(f"no record with a number in {path.name}.")
    units = dict.fromkeys(series, unit) if unit != "step" else {}
    return Log(path, FORMAT.name, series, notes=notes, meta=meta, units=units)


def _counted(records: Sequence[Mapping[str, float]]) -> Iterator[int]:
    count = 0
    for record in records:
        count += "loss" in record
        yield count


def _looks_right(start: bytes) -> bool:
    """Whether there are enough records with a loss."""
    if b"{'" not in start or b"loss" not in start:
        return False
    printed = _Printed()
    printed.read(re.split(r"[\r\n]", start.decode(errors="replace")))
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
