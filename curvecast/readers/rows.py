"""Records of ``{tag: value}``, one a logging call, become the rows of a log: JSONL, W&B and Hugging Face alike."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curvecast.readers.base import Series
from curvecast.readers.tabular import LARGEST_STEP, STEP_COLUMNS, UNIT_COLUMNS
from curvecast.readers.tags import split_words

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
    columns: dict[str, tuple[array[float], array[int]]] = field(default_factory=dict)

    def add(self, record: Mapping[str, object]) -> None:
        """Take in a record; nested names are joined by ``/``, and what is no number is passed over."""
        self._add(record, "", DEEPEST)
        self.count += 1

    def _add(self, record: Mapping[str, object], prefix: str, depth: int) -> None:
        for name, value in record.items():
            if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
                try:
                    number = float(value)
                except OverflowError:
                    number = math.inf
                tag = prefix + name
                column = self.columns.get(tag)
                if column is None:
                    column = self.columns[tag] = (array("d"), array("q"))
                values, places = column
                values.append(number)
                places.append(self.count)
            elif isinstance(value, Mapping) and depth:
                self._add(value, f"{prefix}{name}/", depth - 1)

    def extend(self, tag: str, values: NDArray[np.float64], places: NDArray[np.int64]) -> None:
        """Take in a number of many records at once; the places of a tag may then come in any order."""
        kept = self.columns.setdefault(tag, (array("d"), array("q")))
        kept[0].frombytes(np.ascontiguousarray(values, np.float64).tobytes())
        kept[1].frombytes(np.ascontiguousarray(places, np.int64).tobytes())

    def step_name(self) -> str | None:
        """The number that counts steps: the best known name that (nearly) every record with a loss has."""
        with_loss = np.zeros(self.count, bool)
        for tag, (_, at) in self.columns.items():
            if "loss" in split_words(tag):
                with_loss[np.asarray(at)] = True
        losses = max(int(with_loss.sum()), 1)
        by_name: dict[str, str] = {}
        for tag in self.columns:
            by_name.setdefault(tag.lower(), tag)
        names = [by_name[name] for name in (*STEP_COLUMNS, *UNIT_COLUMNS) if name in by_name]
        for name in names:
            if with_loss[np.asarray(self.columns[name][1])].sum() >= 0.9 * losses:
                return name
        return names[0] if names else None

    def series(self) -> tuple[dict[str, Series], str]:
        """The rows of every tag but the step, and what the step counts; none where no step is known."""
        name = self.step_name()
        if name is None:
            return {}, "step"
        steps = np.full(self.count, np.nan)
        steps[np.array(self.columns[name][1], np.int64)] = self.columns[name][0]
        series: dict[str, Series] = {}
        for tag, (values, at) in self.columns.items():
            order, numbers = np.array(at, np.int64), np.array(values, np.float64)
            if (order[1:] < order[:-1]).any():
                rising = np.argsort(order, kind="stable")
                order, numbers = order[rising], numbers[rising]
            step = steps[order]
            known = (np.abs(step) <= LARGEST_STEP) & (step == np.floor(step))
            if tag != name and known.any():
                series[tag] = Series(step[known].astype(np.int64), numbers[known], order[known])
        return series, UNIT_COLUMNS.get(name.lower(), "step")
