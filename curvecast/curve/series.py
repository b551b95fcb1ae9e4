"""A loss series in a bounded number of log-spaced bins.

A loss curve is read on a logarithmic clock, so its history is kept on one: each bin holds the sums of the
samples whose steps fall into it, and a million steps need about 290 bins.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curvecast.curve.sample import FloatArray

BINS_PER_DECADE = 48
_MOST = 1e100  # largest mean step and loss that a stored bin may have: the square of more overflows
_ON_AN_EDGE = 1e-9  # share of a bin: a step closer to an edge than this lies on it, whatever rounding says
_BEGUN = 0.5  # a bin with less than this share of the losses of the bin before has only begun
NOISE_DOUBT = 10.0  # a variance read off few samples is more likely too small, and that is the worse mistake
_NEWEST_BINS, _ENOUGH = 12, 24  # the newest quarter of a decade has a noise of its own, given so many samples
_CALM = 16.0  # ratio of two variances of so many samples that hardly ever comes by chance
# A bin gone astray: of so many bins at least, so many standard deviations off, and by so much of the lowest loss; its
# neighbours differ by less than a fourth of that.
_TELLING, _NOISES, _ALONE, _AGREE = 6, 8.0, 0.1, 4.0
_HALVED = 2.0  # a loss that has fallen by a larger factor takes its noise down with it


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """A series in log-spaced bins, oldest first.

    Args:
        step: ``(n,)`` mean step of each bin [steps].
        mean: ``(n,)`` mean loss of each bin [loss unit].
        count: ``(n,)`` samples in each bin.
        noise: Variance of a single sample around the trend [loss unit squared]; NaN where it is unknown.

    Example:
        >>> series = Series()
        >>> for step in range(1, 100_001):
        ...     series.add(step, 2.0 + 3.0 * step**-0.5)
        >>> bins = series.bins()
        >>> len(bins) < 300, int(bins.count.sum())
        (True, 100000)
    """

    step: FloatArray
    mean: FloatArray
    count: FloatArray
    noise: float

    def settled(self) -> Bins:
        """These bins, the newest one joined to the one before if it has only begun.

        A bin of a few losses beside bins of many is as noisy as a single loss, and would be taken for a turn.
        """
        if len(self) < 2 or self.count[-1] >= _BEGUN * self.count[-2]:
            return self
        joined = self.count[-2:]
        share = joined / joined.sum()
        step, mean = (np.append(each[:-2], each[-2:] @ share) for each in (self.step, self.mean))
        return Bins(step, mean, np.append(self.count[:-2], joined.sum()), self.noise)

    def sound(self) -> Bins:
        """These bins without any that has gone astray, as an evaluation may that went wrong.

        Such a one stands alone, far from two neighbours that agree; or it is the newest, and leaps up from the others:
        once the next one is as high, it counts. These bins themselves where all are sound.

        Example:
            >>> step, ones = np.arange(1.0, 10.0), np.ones(9)
            >>> for losses in (3.0 - 0.1 * step, np.where(step == 5, 9.0, 3.0), np.where(step > 7, 9.0, 3.0)):
            ...     print([len(Bins(step[:n], losses[:n], ones[:n], 1e-4).sound()) for n in (5, 6, 8, 9)])
            [5, 6, 8, 9]
            [5, 5, 7, 8]
            [5, 6, 7, 9]
        """
        mean, rises = self.mean, self.mean[1:] - self.mean[:-1]
        if len(self) < _TELLING:
            return self
        low = float(np.minimum.reduce(mean))
        far = _ALONE * (abs(low) if low > 0.0 else float(np.maximum.reduce(mean)) - low)
        if not float(np.maximum.reduce(rises)) > far:  # the usual case, and quickly seen
            return self
        return _without_astray(self, far)

    def __len__(self) -> int:
        return len(self.step)


NO_BINS = Bins(np.empty(0), np.empty(0), np.empty(0), math.nan)


@lru_cache(maxsize=32)  # a fit and a verdict ask for the same, and what they work out is kept by what they were given
def _without_astray(bins: Bins, far: float) -> Bins:
    """The bins but for those astray, of which a loss must be so far off at least; the same where there is none."""
    mean, x, noises = bins.mean, np.log(bins.step), _NOISES * np.sqrt(np.nan_to_num(bins.noise) / bins.count)
    line = mean[:-2] + (mean[2:] - mean[:-2]) * (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    off = np.abs(mean[1:-1] - line)
    astray = np.zeros(len(bins), dtype=np.bool_)
    astray[1:-1] = (off > np.maximum(far, noises[1:-1])) & (_AGREE * np.abs(mean[2:] - mean[:-2]) < off)
    before, newest = mean[-2] - mean[-3], mean[-1] - mean[-2]
    leap = float(newest - 2.0 * max(before, 0.0))  # a rise may well go on, and quicken
    astray[-1] = not astray[-2] and leap > max(far, float(noises[-1]))
    kept = ~astray
    return Bins(bins.step[kept], mean[kept], bins.count[kept], bins.noise) if astray.any() else bins


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


_NO_COLUMNS = np.empty((4, 0))


class Series:
    """Log-binned sums of one loss series; adding a sample is a handful of float additions.

    The noise of a sample is read off second differences, which a smooth trend leaves almost untouched.

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
        bins = np.floor(BINS_PER_DECADE * np.log10(steps[first:]) + _ON_AN_EDGE)
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
        rows = [*self._rows, (self._count, self._step, self._loss, self._curl)] if self._count else self._rows
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
            >>> bool((series.at(mark).mean == before.mean).all()), series.since(mark)
            (True, (1, 1001.0, 2.0))
        """
        then = Series()
        then._rows = self._rows[: mark.rows]
        then._count, then._step, then._loss, then._curl = mark.opened
        return then._tabulated()

    def since(self, mark: Mark) -> tuple[int, float, float]:
        """How many samples came since a mark, and their mean step and loss."""
        rows, count = [*self._rows[mark.rows :], self._opened], max(self.total - mark.total, 1)
        step, loss = (sum(row[k] for row in rows) - mark.opened[k] for k in (1, 2))
        return self.total - mark.total, step / count, loss / count

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
            return _table(_joined(self._columns, [(self._count, self._step, self._loss, self._curl)]))
        rows = np.empty((3, len(closed) + 1))
        rows[0, :-1], rows[1, :-1], rows[2, :-1] = closed.step, closed.mean, closed.count
        rows[:, -1] = self._step / self._count, self._loss / self._count, self._count
        return Bins(rows[0], rows[1], rows[2], closed.noise)

    def marked(self, state: Any) -> Mark | None:
        """The mark of this series that was written as a list; what is garbled raises."""
        if state is None:
            return None
        rows, (count, step, loss, curl), last_step, total = state
        mark = Mark(int(rows), (float(count), float(step), float(loss), float(curl)), int(last_step), int(total))
        adds_up = mark.total == sum(row[0] for row in self._rows[: mark.rows]) + mark.opened[0]
        is_earlier = 0 <= mark.rows <= len(self._rows) and 0 <= mark.last_step <= self.last_step
        if not (adds_up and is_earlier and mark.total <= self.total):
            raise ValueError(f"{state!r:.80} for a mark")
        if mark.total and not _may_be_a_bin(*mark.opened):
            raise ValueError(f"{mark.opened!r:.80} for a bin")
        return mark

    def state_dict(self) -> dict[str, Any]:
        """Plain lists and floats."""
        return {
            "rows": [list(row) for row in self._rows],
            "open": [self._count, self._step, self._loss, self._curl],
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
        for row in [*self._rows, (self._count, self._step, self._loss, self._curl)][: None if self._count else -1]:
            if not _may_be_a_bin(*row):
                raise ValueError(f"{row!r:.80} for a bin")


def _may_be_a_bin(count: float, step: float, loss: float, curl: float) -> bool:
    """Whether these may be sums over samples; NaN is none."""
    return 1.0 <= count <= step <= _MOST * count and abs(loss) <= _MOST * count and 0.0 <= curl < math.inf


def _edge_after(step: int) -> float:
    """Where the bin ends that is opened at a step [steps]."""
    index = math.floor(BINS_PER_DECADE * math.log10(step) + _ON_AN_EDGE)
    return float(max(10.0 ** ((index + 1) / BINS_PER_DECADE), step * (1.0 + 1e-12)))


def _joined(columns: FloatArray, rows: list[tuple[float, float, float, float]]) -> FloatArray:
    """``(4, n)`` columns with more rows."""
    return np.concatenate([columns, np.array(rows, dtype=np.float64).reshape(-1, 4).T], axis=1)


def _table(columns: FloatArray) -> Bins:
    """Bins of ``(4, n)`` sums: count, steps, losses and squares of second differences."""
    count, step, loss, curl = columns
    mean = loss / count
    noise, newest = _noise(count, curl) * _quieter(mean[-BINS_PER_DECADE:]), slice(-_NEWEST_BINS, None)
    if len(count) > _NEWEST_BINS and float(count[newest].sum()) >= _ENOUGH:
        noise = _calmed(noise, _noise(count[newest], curl[newest]))
    return Bins(step / count, mean, count, noise)


def _calmed(noise: float, of_newest: float) -> float:
    """The variance, or that of the newest bins where it is far smaller: what bends far above is no noise here."""
    return of_newest if 0.0 < _CALM * of_newest < noise else noise


def _quieter(late: FloatArray) -> float:
    """By how much the variance fell with the loss from the middle of the late bins to the newest one.

    Within a factor of two it is hard to tell from a constant one. A loss that falls by decades takes its noise, and
    the bend that second differences of few samples take for noise, down with it.
    """
    if len(late) == 0 or not (float(late[-1]) > 0.0 and float(np.minimum.reduce(late)) >= 0.0):
        return 1.0
    middle = _median(late)
    return min(_HALVED * float(late[-1]) / middle, 1.0) ** 2 if middle > 0.0 else 1.0


def _noise(count: FloatArray, curl: FloatArray) -> float:
    """Variance of one sample: the median over the late bins, so that spikes and the steep start do not count."""
    late = slice(-BINS_PER_DECADE, None)
    per_bin = curl[late] / (6.0 * count[late])  # Var[y - 2y' + y''] = 6 sigma^2
    per_bin = per_bin[per_bin > 0.0]
    if len(per_bin) == 0:  # not a single wiggle: too few samples, or a loss that is constant
        return math.nan if count.sum() < NOISE_DOUBT else 0.0
    # A chi-squared of few degrees of freedom has its median well below its mean; a bin of one sample has one.
    freedom = _median(count[late])
    median = _median(per_bin) / (1.0 - 2.0 / (9.0 * freedom)) ** 3
    return median * (1.0 + NOISE_DOUBT / float(count[late].sum()))


def _median(values: FloatArray) -> float:
    """Of a few values, for which ``np.median`` takes ten times as long."""
    ranked, half = sorted(values.tolist()), len(values) // 2
    return float(ranked[half]) if len(values) % 2 else 0.5 * float(ranked[half - 1] + ranked[half])
