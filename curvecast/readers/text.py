"""Text logs of training scripts: lines in one of the dialects that are known."""

from __future__ import annotations

import codecs
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from curvecast.readers.abbreviated import Abbreviated
from curvecast.readers.base import Log, Notes, Series, UnreadableRun
from curvecast.readers.dialects import DIALECTS
from curvecast.readers.dialects.base import PLANS, Dialect
from curvecast.readers.dialects.shapes import Shape, Shapes
from curvecast.readers.formats import HEAD_BYTES, TEXT_SUFFIXES, Folder, Format, Part
from curvecast.readers.growing import GROWING
from curvecast.readers.plan import nanogpt_plan, nanogpt_size
from curvecast.readers.units import in_brackets

_UNKNOWN = (
    "is no text log that is known. Such a log has at least five lines that name a step (or an epoch) and a loss, as "
    "`step 10 | loss 3.2 | val loss 3.3` does, or is a table: a line with the names of its columns, as "
    "`step,train_loss,val_loss`, above the numbers. Which scripts' lines are known besides stands in docs/logs.md."
)
_WRITE_NAMES = "Write the names of its columns above them, as `step,train_loss,val_loss`."
_NUMBERS = re.compile(r"[-+.,;\seE\dnaif]*\d[-+.,;\seE\dnaif]*", re.IGNORECASE)
_A_LOSS = re.compile(r"(?:[lL]oss|LOSS)\w{0,20}\W{1,4}\d")
_HELD_OUT = {"val_loss", "test_loss"}
_ENOUGH, _SHOWN = 5, 100  # lines that are no chance; characters of one that are shown
_PRINTS_SETTINGS = "nanogpt"
_SNIFFED = 4 * HEAD_BYTES  # Megatron prints its arguments first
_LOOKS = 4  # at what stands behind them, from its end
_BARS_BYTES = 1 << 22  # of a log that begins with bars: what stands between them shows once these are gone
_OWN = {("detectron2", "log.txt")}  # it tells of its folder's run, as `metrics.json` beside it does
COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_DECIMAL = re.compile(r"(?<=\d),(?=\d)")
_WITH_COMMA = re.compile(r"oss[^\d\n.,]{1,12}\d+,(?!\d{3}(?!\d))\d+(?![\d.,])")  # by groups of three it is whole
_BAR_BEFORE = re.compile(  # a bar's own loss stands within its bracket
    r"(?m)(?:^|(?<=\r))[^\n\r|]{0,200}\d%\|[^\n\r|]{0,300}\|[^\n\r\[\]|]{0,80}\[[^\n\r\[\]|]{0,300}\](?=[\w\[(][^\n\r]{0,600}?[lL]oss\W{1,4}\d)"
)
_WITH_POINT = re.compile(r"oss[^\d\n.,]{1,12}\d+\.\d")


def dialect_of(text: str) -> Dialect | None:
    r"""The dialect that most of the lines speak; ``None`` where none has enough.

    Example:
        >>> dialect_of("step:1/100 train_loss:10.9 train_time:1ms\nstep:2/100 train_loss:10.8 train_time:2ms\n").name
        'modded-nanogpt'
    """
    possible = [dialect for dialect in DIALECTS if dialect.may_speak(text)]
    text = COLOUR.sub("", text) if possible else ""
    text = _behind_bars(text)
    lines = (_DECIMAL.sub(".", text) if _has_decimal_commas(text) else text).splitlines()
    for turn in range(3):
        counts = {each: Shapes(each).spoken(lines) for each in possible if each.is_guess + each.is_last == turn}
        known = {dialect: count for dialect, count in counts.items() if count >= dialect.enough}
        if known:
            return max(known, key=lambda dialect: known[dialect])
    return None


def _behind_bars(text: str) -> str:
    r"""A text without the bars that a line with a loss follows at once, as a logger's does where a bar has no end.

    Example:
        >>> _behind_bars(" 27%|##  | 27/100 [04:00<10:18, 8.59s/it]Epoch 28 | loss 0.5")
        'Epoch 28 | loss 0.5'
    """
    return _BAR_BEFORE.sub("", text) if "%|" in text else text


def _what_it_lacks(path: Path) -> str:
    """What keeps a text from being read that comes near a log; empty where it does not."""
    with path.open(encoding=_encoding(path), errors="replace") as file:
        lines = [line.strip() for line in file.read(HEAD_BYTES).splitlines() if line.strip()][:-1]
    if len(lines) >= _ENOUGH and all(_NUMBERS.fullmatch(line) for line in lines[:_ENOUGH]):
        return f"begins with bare numbers. {_WRITE_NAMES}"
    losses = [line for line in lines if _A_LOSS.search(line)]
    if len(losses) < _ENOUGH:
        return ""
    shown = losses[0] if len(losses[0]) <= _SHOWN else f"{losses[0][:_SHOWN]}..."
    return (
        f"has lines with a loss, as `{shown}`, but not in a form that is known: name the step (or the epoch) and the "
        "loss in each, as `step 10 | loss 3.2 | val loss 3.3` does, or log them as a table. "
        "What is read stands in docs/logs.md."
    )


def _has_decimal_commas(text: str) -> bool:
    """Whether most losses of a text have a comma before their decimals, as a German or French locale writes them."""
    with_comma = len(_WITH_COMMA.findall(text)) if "," in text else 0
    return with_comma > len(_WITH_POINT.findall(text)) if with_comma else False


def read_text(path: Path) -> Log:
    """Read a text log of a known dialect, line by line.

    Raises:
        UnreadableRun: if it cannot be opened, or no dialect is found in it.
    """
    dialect = _sniff(path)
    if dialect is None:
        raise UnreadableRun(f"{path.name} {_what_it_lacks(path) or _UNKNOWN}")
    rows, notes = _Rows(dialect), Notes([f"the text log of {dialect.name}"])
    with path.open(encoding=_encoding(path), errors="replace") as file:
        head = file.read(HEAD_BYTES)
        rows.commas = _has_decimal_commas(head)
        file.seek(0)
        rows.read(file)
    if rows.commas:
        notes.add("a comma stands before the decimals of its losses: every comma between digits is read so")
    if rows.abbreviated.last:
        notes.add(
            "its steps are abbreviated, as 1K is: they are counted on by the distance of those that are printed whole"
        )
    series = rows.series(notes)
    meta: dict[str, object] = {name: int(told.pop()[:18]) for name, told in rows.plans.items() if len(told) == 1}
    if dialect.name == _PRINTS_SETTINGS:
        meta = nanogpt_plan(head) | nanogpt_size(head) | meta
    unit = in_brackets(series, notes) if dialect.in_brackets else dialect.unit
    units = dict.fromkeys(series, unit) if unit != "step" else {}
    return Log(path, FORMAT.name, series, notes=notes, meta=meta, units=units, offsets=dict(dialect.offsets))


@dataclass(slots=True)
class _Rows:
    """The rows of a log as its lines are read.

    Args:
        dialect: what its lines are in.
        commas: whether a comma stands before decimals.
    """

    dialect: Dialect
    commas: bool = False
    rows: defaultdict[str, list[tuple[int, float, int]]] = field(default_factory=lambda: defaultdict(list))
    ranks: list[tuple[str, int, int]] = field(default_factory=list)  # rank, step and place of a line
    plans: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in PLANS})
    complete: int = 0  # steps when the last line with a step was printed
    held: dict[str, str] = field(default_factory=dict)
    told: dict[str, tuple[int, re.Pattern[str], str]] = field(
        default_factory=dict
    )  # where a tag was new, how, and what
    abbreviated: Abbreviated = field(default_factory=Abbreviated)
    epoch: int = 0
    last: int = 0

    def read(self, lines: Iterable[str]) -> None:
        """Take in the lines; a last one that has no end, as a bar has its bracket, only where it seems whole.

        It must be as long as the last of its kind; while a log is written, none is whole without an end.
        """
        shapes, latest = Shapes(self.dialect), dict[int, str]()  # by the pattern's identity: its hash reads all of it
        for number, line in enumerate(lines):
            plain = COLOUR.sub("", line) if "\x1b" in line else line
            if "%|" in plain:
                plain = _behind_bars(plain)
            if self.commas:
                plain = _DECIMAL.sub(".", plain)
            if (shape := shapes.of(plain)) is None:
                continue
            if not (line.endswith("\n") or self.dialect.begins_anew):
                before = latest.get(id(shape.pattern))
                if GROWING.get() or before is None or len(plain) < len(before.rstrip()):
                    continue
            latest[id(shape.pattern)] = plain
            self._add(shape, plain, number)

    def _add(self, shape: Shape, line: str, number: int) -> None:
        for name, at in shape.plans:
            self.plans[name].add(line[at])
        found = {tag: line[at] for tag, at in shape.values.items()}
        step = None
        if shape.step is not None:
            try:
                step = int(line[shape.step].replace(",", "")[:18])
            except ValueError:
                step = self.abbreviated.step(line[shape.step], found, self.rows)
        if step is None and self.dialect.counts in found:
            step = self.complete + 1
        if step is not None:
            if self.dialect.begins_anew and "epoch" not in found:
                self.epoch += step < self.last / 2
                found["epoch"] = str(self.epoch)
            self.last = step
        offsets, held = self.dialect.offsets, self.dialect.held
        for tag, value in found.items():
            if tag in held:
                if self.held.get(tag) == value:
                    continue
                self.held[tag] = value
            place = self.complete - offsets.get(tag, 0) if step is None else step
            if tag in _HELD_OUT and self._is_told(tag, value, place, shape):
                continue
            self.rows[tag].append((place, float(value.replace(",", "")), number))
        if step is not None:
            self.complete = step + offsets.get(next(reversed(found), ""), 0)
        if shape.rank is not None:
            self.ranks.append((line[shape.rank], self.last, number))

    def _is_told(self, tag: str, value: str, place: int, shape: Shape) -> bool:
        """Whether another kind of line told a new value of this step: what stands below is the best, or of a test."""
        at, pattern, last = self.told.get(tag, (None, shape.pattern, ""))
        if shape.step is None and at == place and pattern is not shape.pattern:
            return self.dialect.is_guess
        if value != last:
            self.told[tag] = place, shape.pattern, value
        return False

    def series(self, notes: Notes) -> dict[str, Series]:
        """The rows of every tag; of several ranks that print the same steps those of one."""
        others = self._other_ranks(notes)
        series = {tag: Series.of(rows) for tag, rows in self.rows.items()}
        return {tag: rows.where(~np.isin(rows.order, others)) for tag, rows in series.items()} if others else series

    def _other_ranks(self, notes: Notes) -> list[int]:
        """The places of the lines that are a second telling of what the first of the ranks has told."""
        steps: dict[str, set[int]] = {}
        for rank, step, _ in self.ranks:
            steps.setdefault(rank, set()).add(step)
        if len(steps) < 2:
            return []
        first = max(steps, key=lambda rank: (len(steps[rank]), -int(rank)))
        if 2 * len(steps[first]) <= len(set().union(*steps.values())):  # it is no rank that stands there
            return []
        notes.add(f"{len(steps)} ranks print the same steps: those of rank {first} are read")
        return [number for rank, _, number in self.ranks if rank != first]


def _sniff(path: Path) -> Dialect | None:
    try:
        with path.open("rb") as file:
            start = file.read(HEAD_BYTES)
            dialect = _dialect_in(start)
            if (dialect is None or dialect.is_guess) and len(start) == HEAD_BYTES:
                start += file.read(_SNIFFED - HEAD_BYTES)
                dialect = _dialect_in(start)
            if dialect is not None and dialect.is_last and len(start) == _SNIFFED and b"%|" in start:
                dialect = _dialect_in(_left_of_bars(start + file.read(_BARS_BYTES))) or dialect
            if dialect is None and len(start) == _SNIFFED:
                dialect = _further_on(file)
            return dialect
    except OSError as error:
        raise UnreadableRun(f"cannot read {path.name}: {error.strerror}.") from error


def _further_on(file: BinaryIO) -> Dialect | None:
    """The dialect of a file at its end, for modded-nanogpt prints its own source first, or in between."""
    end = file.seek(0, os.SEEK_END)
    for part in range(_LOOKS, 0, -1):
        file.seek(max(_SNIFFED, end * part // _LOOKS - HEAD_BYTES))
        if (dialect := dialect_of(file.read(HEAD_BYTES).decode("utf-8", errors="replace"))) is not None:
            return dialect
    return None


def _left_of_bars(text: bytes) -> bytes:
    """A text as a terminal leaves it: without what was drawn over."""
    return b"\n".join(line.rstrip(b"\r").rpartition(b"\r")[2] for line in text.split(b"\n"))


def _dialect_in(start: bytes) -> Dialect | None:
    text = start.decode(_encoding_of(start), errors="replace")
    return None if "\0" in text else dialect_of(text)


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return _encoding_of(file.read(2))


def _encoding_of(start: bytes) -> str:
    """UTF-16 where a byte order mark says so, as a redirection in PowerShell writes it; else UTF-8."""
    return "utf-16" if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _claim(folder: Folder) -> Iterator[Part]:
    for name in folder.files:
        if name.endswith(TEXT_SUFFIXES):
            path, start = folder.path / name, folder.head(name)
            try:
                dialect = _sniff(path) if len(start) == HEAD_BYTES else _dialect_in(start)
            except UnreadableRun:
                continue
            if dialect is not None:
                yield Part(FORMAT.name, (path,), "" if (dialect.name, name) in _OWN else path.stem)


def _accepts(path: Path, start: bytes) -> bool:
    text = start.decode(_encoding_of(start), errors="replace")
    return "\0" not in text and (path.suffix in TEXT_SUFFIXES or dialect_of(text) is not None)


def _read(files: Sequence[Path]) -> Mapping[str, Log]:
    return {"": read_text(files[0])}


FORMAT = Format(
    "text",
    "*.log, *.txt, *.out, *.err",
    _claim,
    _accepts,
    _read,
)
