"""Records of ``{tag: value}``, one a logging call, become the rows of a log: JSONL, W&B and Hugging Face alike."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curvecast.readers.axis import AXIS, ROWS
from curvecast.readers.base import FloatArray, IntArray, Notes, Series, count_steps
from curvecast.readers.layout import UNIT_COLUMNS, plain_name
from curvecast.readers.sides import label_of, told_apart
from curvecast.readers.tabular import is_batch_size, step_columns
from curvecast.readers.tags import LOSS_WORDS, VAL_WORDS, split_words

_LONGEST_NUMBER = 32  # characters of a number that is written as text, at most
_NOTE = (
    "no step is told, and epochs in fractions: the records of the training loss are counted. Pass --horizon in the "
    "same count"
)
_EPOCH, _COUNTED = "epoch", "step"
DEEPEST = 6  # levels of nesting; what lies deeper is no metric


@dataclass(slots=True)
class Records:
    """Records as they come; every number of a record is kept, and which of them is the step is chosen at the end.

    Example:
        >>> records = Records()
        >>> for step in (1, 2):
        ...     records.add({"train": {"loss": 4.0 / step}, "step": step, "host": "a"})
        >>> series, unit = records.series()
        >>> series["train/loss"].values.tolist(), unit
        ([4.0, 2.0], 'step')
    """

    count: int = 0
    columns: dict[str, Column] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)

    def add(self, record: Mapping[str, object]) -> None:
        """Take in a record; nested names are joined by ``/``, and what is no number is passed over."""
        told = told_apart(record)
        if told.keys() != record.keys():
            self.label(record)
        self._add(told, "", DEEPEST)
        self.count += 1

    def label(self, record: Mapping[str, object], count: int = 1) -> None:
        """Keep in mind that so many records tell their side as this one does, if that may be the run's name."""
        if (side := label_of(record)) is not None:
            self.labels[side] += count

    def _add(self, record: Mapping[str, object], prefix: str, depth: int) -> None:
        for name, value in record.items():
            if isinstance(value, Mapping):
                if depth:
                    self._add(value, f"{prefix}{name}/", depth - 1)
                continue
            number = number_in(value) if isinstance(value, str) else value
            if isinstance(number, float) or (isinstance(number, int) and not isinstance(number, bool)):
                tag = prefix + name
                column = self.columns.get(tag)
                if column is None:
                    column = self.columns[tag] = Column()
                column.add(number, self.count)

    def extend(self, tag: str, values: FloatArray, places: IntArray) -> None:
        """Take in a number of many records at once; the places of a tag may then come in any order."""
        self.columns.setdefault(tag, Column()).parts.append((values, places))

    def step_name(self) -> str | None:
        """The number that counts steps: the best known name that (nearly) every record with a loss has."""
        with_loss = self._with_loss()
        losses = max(int(np.count_nonzero(with_loss)), 1)
        names = step_columns(self.columns)
        fractions = set[str]()
        for name in names:
            values, there = self.columns[name].spread(self.count)
            there &= with_loss
            if name.lower() == _EPOCH and np.count_nonzero(count_steps(values[there])) < 0.9 * np.count_nonzero(there):
                fractions.add(name)  # as Hugging Face's Trainer writes them
            elif np.count_nonzero(there) >= 0.9 * losses and not is_batch_size(name, values[there]):
                return name
        return next((name for name in names if name not in fractions), None)

    def _with_loss(self) -> NDArray[np.bool_]:
        """Which records have a loss."""
        with_loss = np.zeros(self.count, bool)
        for tag, column in self.columns.items():
            if "loss" in split_words(tag):
                with_loss |= column.there(self.count)
        return with_loss

    def drop_label(self) -> None:
        """Take back the side that a word gave to every loss: it tells nothing apart, and is the name of the run."""
        if len(self.labels) != 1 or self.labels.total() < np.count_nonzero(self._with_loss()):
            return
        (side,) = self.labels
        for tag in [tag for tag in self.columns if split_words(tag) & LOSS_WORDS]:
            if (bare := tag.replace(f"{side}/", "", 1)) not in self.columns:
                self.columns[bare] = self.columns.pop(tag)

    def count_losses(self, notes: Notes) -> None:
        """Let the records of the training loss count, where epochs are told, but in fractions; that is noted."""
        self.drop_label()
        if self.step_name() is not None or AXIS.get() is not None:
            return
        losses = [tag for tag in self.columns if "loss" in split_words(tag) and not split_words(tag) & VAL_WORDS]
        if not losses or not any(name.lower() == _EPOCH for name in self.columns):
            return
        there = np.any([self.columns[tag].there(self.count) for tag in losses], axis=0)
        self.extend(_COUNTED, np.cumsum(there).astype(np.float64), np.arange(self.count))
        notes.add(_NOTE)

    def series(self) -> tuple[dict[str, Series], str]:
        """The rows of every tag but the step, and what the step counts; none where no step is known."""
        self.drop_label()
        name = self.step_name()
        if name is None and AXIS.get() != ROWS:
            return {}, "step"
        counted, known = np.arange(1.0, self.count + 1), np.ones(self.count, bool)
        if name is not None:
            counted, known = self.columns[name].spread(self.count)
        with np.errstate(invalid="ignore"):  # what stands where no step was logged may be anything
            known &= count_steps(counted)
            steps = counted.astype(np.int64)
        everywhere = np.arange(self.count)
        series: dict[str, Series] = {}
        for tag, column in self.columns.items():
            if tag == name:
                continue
            values, there = column.spread(self.count)
            there &= known
            if there.all():
                series[tag] = Series(steps, values, everywhere)
            elif there.any():
                order = np.flatnonzero(there)
                series[tag] = Series(steps[order], values[order], order)
        return series, UNIT_COLUMNS.get(plain_name(name or ""), "step")


@dataclass(slots=True)
class Column:
    """The numbers of one tag, one by one and many at once, and the records that they stand in."""

    values: array[float] = field(default_factory=lambda: array("d"))
    at: array[int] = field(default_factory=lambda: array("q"))
    parts: list[tuple[FloatArray, IntArray]] = field(default_factory=list)

    def add(self, number: float, place: int) -> None:
        """Take in one number; an integer that is too large for a float is infinite."""
        try:
            self.values.append(number)
        except OverflowError:
            self.values.append(math.inf)
        self.at.append(place)

    def there(self, count: int) -> NDArray[np.bool_]:
        """``(count,)``: in which of so many records there is one."""
        there = np.zeros(count, bool)
        there[np.array(self.at, np.int64)] = True
        for _, places in self.parts:
            there[places] = True
        return there

    def spread(self, count: int) -> tuple[FloatArray, NDArray[np.bool_]]:
        """``(count,)``, ``(count,)``: the number of each record, and whether there is one; of two the last stands."""
        values = np.zeros(count)
        values[np.array(self.at, np.int64)] = np.array(self.values, np.float64)
        for numbers, places in self.parts:
            values[places] = numbers
        return values, self.there(count)


def number_in(text: str) -> float | None:
    """The number that a text is, as some loggers write them; ``None`` where it is none.

    Example:
        >>> number_in("2.5"), number_in("NaN"), number_in("step 5")
        (2.5, nan, None)
    """
    if len(text) > _LONGEST_NUMBER or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None
