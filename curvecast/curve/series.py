"""A loss series in a bounded number of log-spaced bins.

A loss curve is read on a logarithmic clock, so its history is kept on one: each bin holds the sums of the
samples whose steps fall into it, and a million steps need about 290 bins.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curvecast.curve.bins import BINS_PER_DECADE, NO_BINS, ON_AN_EDGE, Bins, bin_of
from curvecast.curve.noise import noise_of
from curvecast.curve.sample import FloatArray

_NO_COLUMNS = np.empty((4, 0))
_MOST = 1e100  # largest mean step and loss that a stored bin may have: the square of more overflows


class Mark(NamedTuple):
    """Where a series stood at some moment.

    Args:
        rows: Bins that were closed.
        opened: Sums of the one that was open: count, steps, losses, squares of second differences.
        last_step: The last step [steps].
        total: Samples in all.
    """

    rows: int
    opened: tuple[float, float, float, float]
    last_step: int
    total: int


class Since(NamedTuple):
    """What came of a series since a mark.

    Args:
        samples: How many.
        step: Their mean step [steps].
        loss: Their mean [loss unit].
    """

    samples: int
    step: float
    loss: float


class Series:
    """Log-binned sums of one loss series; adding a sample is a handful of float additions.

    Example:
        >>> series = Series()
        >>> for step in range(1, 1001):
        ...     series.add(step, 3.0)
        >>> bins = series.bins()
        >>> float(bins.count.sum()), float(bins.mean[-1])
        (1000.0, 3.0)
    """

    __slots__ = (
        "_before",
        "_closed",
        "_columns",
        "_count",
        "_curl",
        "_edge",
        "_last",
        "_loss",
        "_rows",
        "_step",
        "_whole",
        "last_step",
        "total",
    )

    def __init__(self) -> None:
        self._rows: list[tuple[float, float, float, float]] = []  # (count, sum step, sum loss, sum curl^2)
        self._count = self._step = self._loss = self._curl = 0.0
        self._edge = 0.0
        self._closed: Bins | None = None  # the closed bins as arrays, while no further one is closed
        self._columns = _NO_COLUMNS  # the rows that were tabulated before: of hundreds but a few are new
        self._whole: tuple[int, Bins] = (0, NO_BINS)  # all of them, and after how many samples
        self._last = self._before = math.nan
        self.last_step = 0
        self.total = 0

    def add(self, step: int, loss: float) -> None:
        """Add one finite loss at a step greater than the last one."""
        if step >= self._edge:
            self._open(step)
        curl = loss - 2.0 * self._last + self._before
        if curl == curl:  # not NaN: two samples came before
            self._curl += curl * curl
        self._before = self._last
        self._last = loss
        self._count += 1.0
        self._step += step
        self._loss += loss
        self.last_step = step
        self.total += 1

    def _open(self, step: int) -> None:
        """Close the current bin and open the one that ``step`` falls into."""
        if self._count:
            self._rows.append((self._count, self._step, self._loss, self._curl))
            self._closed = None
        self._count = self._step = self._loss = self._curl = 0.0
        self._edge = _edge_after(step)

    def extend(self, steps: NDArray[np.int64], losses: FloatArray) -> None:
        """Add finite losses at increasing steps: to the last bit what ``add`` makes of one after another.

        Example:
            >>> one, many = Series(), Series()
            >>> for step in range(1, 101):
            ...     one.add(step, 1.0 / step)
            >>> many.extend(np.arange(1, 101), 1.0 / np.arange(1, 101))
            >>> many.state_dict() == one.state_dict()
            True
        """
        if not len(steps):
            return
        bins = np.zeros(len(steps) + 1, dtype=np.intp)  # of what is open, then of every sample
        bins[1 + np.array(self.openings(steps), dtype=np.intp)] = 1
        bins = bins.cumsum()
        known = np.concatenate([[self._before, self._last], losses])
        curl = losses - 2.0 * known[1:-1] + known[:-2]
        curl[np.isnan(curl)] = 0.0
        columns = np.empty((4, 1 + len(steps)))
        columns[:, 0] = self._count, self._step, self._loss, self._curl
        columns[0, 1:], columns[1, 1:], columns[2, 1:], columns[3, 1:] = 1.0, steps, losses, curl * curl
        rows = list(zip(*(np.bincount(bins, column).tolist() for column in columns), strict=True))
        if len(rows) > 1:
            self._closed = None
        self._rows += rows[0 if self._count else 1 : -1] if len(rows) > 1 else []
        self._count, self._step, self._loss, self._curl = rows[-1]
        self._before, self._last = known[-2:].tolist()
        self.last_step = int(steps[-1])
        self.total += len(steps)

    def openings(self, steps: NDArray[np.int64]) -> list[int]:
        """Places among increasing steps at which a bin is opened; the last one's edge is kept."""
        first = int(steps.searchsorted(self._edge))
        if first == len(steps):
            return []
        bins = np.floor(BINS_PER_DECADE * np.log10(steps[first:]) + ON_AN_EDGE)
        places = first + np.append(0, (bins[1:] > bins[:-1]).nonzero()[0] + 1)
        edges, opened = 10.0 ** ((bins[places[:-1] - first] + 1.0) / BINS_PER_DECADE), places[1:]
        if not ((steps[opened] >= edges) & (steps[opened - 1] < edges)).all():  # one lies on an edge but for rounding
            return self._openings_one_by_one(steps, first)
        self._edge = _edge_after(int(steps[places[-1]]))
        return places.tolist()

    def _openings_one_by_one(self, steps: NDArray[np.int64], at: int) -> list[int]:
        places, listed = list[int](), steps.tolist()
        while (at := bisect_left(listed, self._edge, at)) < len(listed):
            places.append(at)
            self._edge = _edge_after(listed[at])
        return places

    def bins(self) -> Bins:
        """The series so far, the open bin included; the same until a sample comes."""
        if self._whole[0] != self.total:
            self._whole = self.total, self._tabulated()
        return self._whole[1]

    def until(self, step: float) -> Bins:
        """The bins of what came before an edge of bins, as they were when it had come: what came since tells nothing.

        Args:
            step: The edge [steps].

        Example:
            >>> series = Series()
            >>> for step in range(1, 1001):
            ...     series.add(step, 3.0)
            >>> float(series.until(100.0).count.sum())
            99.0
        """
        rows = [*self._rows, self._opened] if self._count else self._rows
        before = [row for row in rows if row[1] < step * row[0]]
        return _table(_joined(_NO_COLUMNS, before)) if before else NO_BINS

    def mark(self) -> Mark:
        """Where it stands now."""
        return Mark(len(self._rows), self._opened, self.last_step, self.total)

    def at(self, mark: Mark) -> Bins:
        """The bins as they were at a mark, to the last bit.

        Example:
            >>> series = Series()
            >>> for step in range(1, 1001):
            ...     series.add(step, 3.0)
            >>> mark, before = series.mark(), series.bins()
            >>> series.add(1001, 2.0)
            >>> bool((series.at(mark).mean == before.mean).all()), tuple(series.since(mark))
            (True, (1, 1001.0, 2.0))
        """
        then = Series()
        then._rows = self._rows[: mark.rows]
        then._count, then._step, then._loss, then._curl = mark.opened
        return then._tabulated()

    def since(self, mark: Mark) -> Since:
        """The mean of what came since a mark."""
        rows, count = [*self._rows[mark.rows :], self._opened], max(self.total - mark.total, 1)
        step, loss = (sum(row[k] for row in rows) - mark.opened[k] for k in (1, 2))
        return Since(self.total - mark.total, step / count, loss / count)

    @property
    def _opened(self) -> tuple[float, float, float, float]:
        """The sums of the bin that is open."""
        return self._count, self._step, self._loss, self._curl

    def _tabulated(self) -> Bins:
        if self._closed is None:
            self._columns = _joined(self._columns, self._rows[self._columns.shape[1] :])
            self._closed = _table(self._columns)
        closed = self._closed
        if not self._count:
            return closed
        if math.isnan(closed.noise):
            return _table(_joined(self._columns, [self._opened]))
        rows = np.empty((3, len(closed) + 1))
        rows[0, :-1], rows[1, :-1], rows[2, :-1] = closed.step, closed.mean, closed.count
        rows[:, -1] = self._step / self._count, self._loss / self._count, self._count
        return Bins(rows[0], rows[1], rows[2], closed.noise)

    def marked(self, state: Any) -> Mark:
        """The mark of this series that was written as a list; what is garbled raises."""
        rows, (count, step, loss, curl), last_step, total = state
        mark = Mark(int(rows), (float(count), float(step), float(loss), float(curl)), int(last_step), int(total))
        adds_up = mark.total == sum(row[0] for row in self._rows[: mark.rows]) + mark.opened[0]
        is_earlier = 0 <= mark.rows <= len(self._rows) and 0 <= mark.last_step <= self.last_step
        if not (adds_up and is_earlier and mark.total <= self.total):
            raise ValueError(f"{state!r:.80} for a mark")
        if mark.total and not _may_be_a_bin(*mark.opened):
            raise ValueError(f"{mark.opened!r:.80} for a bin")
        count, step, _ = self.since(mark)
        if count and not mark.last_step < step <= self.last_step:
            raise ValueError(f"{step!r:.40} for the mean step since a mark")
        return mark

    def state_dict(self) -> dict[str, Any]:
        """Plain lists and floats."""
        return {
            "rows": [list(row) for row in self._rows],
            "open": list(self._opened),
            "edge": self._edge,
            "last": [self._last, self._before],
            "last_step": self.last_step,
            "total": self.total,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave; what is garbled raises."""
        self._rows = [(float(row[0]), float(row[1]), float(row[2]), float(row[3])) for row in state["rows"]]
        self._closed, self._columns, self._whole = None, _NO_COLUMNS, (0, NO_BINS)
        self._count, self._step, self._loss, self._curl = map(float, state["open"])
        self._edge = float(state["edge"])
        self._last, self._before = map(float, state["last"])
        self.last_step, self.total = int(state["last_step"]), int(state["total"])
        if self.total != sum(row[0] for row in self._rows) + self._count:
            raise ValueError(f"{self.total!r:.40} for the samples in its bins")
        for row in [*self._rows, self._opened][: None if self._count else -1]:
            if not _may_be_a_bin(*row):
                raise ValueError(f"{row!r:.80} for a bin")


def as_fitted(train: Series, val: Series, until: float | None = None) -> tuple[Bins, Bins]:
    """Both series of a run as fits and verdicts see them: validation without what has gone astray.

    Of train losses, which are many, a single one hardly moves its bin.

    Args:
        train: Train losses.
        val: Validation losses.
        until: An edge of bins, for both as they stood there; ``None`` for now [steps].

    Example:
        >>> train, val = Series(), Series()
        >>> for step in range(100, 1100, 100):
        ...     train.add(step, 2.0)
        ...     val.add(step, 9.0 if step == 500 else 2.0 + 5.0 / step)
        >>> [len(bins) for bins in as_fitted(train, val)]
        [10, 9]
    """
    if until is None:
        return train.bins(), val.bins().sound()
    return train.until(until), val.until(until).sound()


def _may_be_a_bin(count: float, step: float, loss: float, curl: float) -> bool:
    """Whether these may be sums over samples; NaN is none."""
    return 1.0 <= count <= step <= _MOST * count and abs(loss) <= _MOST * count and 0.0 <= curl < math.inf


def _edge_after(step: int) -> float:
    """Where the bin ends that is opened at a step [steps]."""
    return float(max(10.0 ** ((bin_of(step) + 1) / BINS_PER_DECADE), step * (1.0 + 1e-12)))


def _joined(columns: FloatArray, rows: list[tuple[float, float, float, float]]) -> FloatArray:
    """``(4, n)`` columns with more rows."""
    return np.concatenate([columns, np.array(rows, dtype=np.float64).reshape(-1, 4).T], axis=1)


def _table(columns: FloatArray) -> Bins:
    """Bins of ``(4, n)`` sums: count, steps, losses and squares of second differences."""
    count, step, loss, curl = columns
    mean = loss / count
    return Bins(step / count, mean, count, noise_of(count, curl, mean))
