"""A logged run fed to a watcher column by column: to the last bit what its samples would make of it.

Sample by sample, a watcher does three things in between: it asks the alarm, it adds to the sums, it says when a
verdict is due. Of a run whose losses are all finite and never reach the alarm, all three are known beforehand.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curvecast.curve import FloatArray, Series
from curvecast.decisions.alarm import HUGE, LEAST_SHARE, alarm_at, alarm_share
from curvecast.decisions.base import is_early
from curvecast.fit.fitting import NEEDED
from curvecast.judge import SOON
from curvecast.readers import Run
from curvecast.schedule.checks import MOST_STEPS
from curvecast.seen import next_due
from curvecast.watcher import Watcher

_NEVER = 1 << 62  # a place beyond the end of any run
_ROUNDING = 1e-6  # a loss relatively closer to the alarm than this is looked at exactly


class Due(NamedTuple):
    """Where a verdict is due.

    Args:
        row: The row of the run that brings it.
        trains, vals: Losses of either kind up to then.
    """

    row: int
    trains: int
    vals: int


class Dues:
    """Where verdicts are due, in order. A `Due` is made only when it is asked for, as few of hundreds are.

    Args:
        places: ``(3, k)``: the row of each, and the train and validation losses up to then.
        judged: ``(k,)`` whether it is not too early for a verdict.

    Example:
        >>> dues = Dues(np.array([[11, 23], [12, 24], [0, 0]]), np.array([False, True]))
        >>> len(dues), dues[-1], len(dues.worth_judging())
        (2, Due(row=23, trains=24, vals=0), 1)
    """

    def __init__(self, places: NDArray[np.intp], judged: NDArray[np.bool_]) -> None:
        self.places, self.judged = places, judged

    def __len__(self) -> int:
        return len(self.judged)

    def __getitem__(self, k: int) -> Due:
        return Due(*self.places[:, k].tolist())

    def worth_judging(self) -> Dues:
        """Those that are late enough in the plan for a verdict."""
        return Dues(self.places[:, self.judged], self.judged[self.judged])


class Feed:
    """The columns of a run that may be fed at once.

    Args:
        run: The run.
        like: A watcher with its settings, which has seen nothing yet.
        to_end: Whether a verdict is due at the last loss, too, however few have come since the last that was.

    Raises:
        NotPlain: where the run must be fed sample by sample.
    """

    def __init__(self, run: Run, like: Watcher, *, to_end: bool = False) -> None:
        self.steps, self.lr, self.train_loss, self.val_loss = run.steps, run.lr, run.train_loss, run.val_loss
        self.tokens, self.seconds, self.critical_batch = run.tokens, run.seconds, run.critical_batch
        no_train, no_val = np.isnan(run.train_loss), np.isnan(run.val_loss)
        self.train_rows, self.val_rows = ((~no_loss).nonzero()[0] for no_loss in (no_train, no_val))
        self.train, self.val = run.train_loss[self.train_rows], run.val_loss[self.val_rows]
        empty = no_train & no_val & np.isnan(run.lr)  # a row of nothing is no step seen
        finite = all(bool((np.abs(losses) < HUGE).all()) for losses in (self.train, self.val))
        if not (finite and len(self.steps) and self.steps[-1] < MOST_STEPS) or like.seen.strays(self.steps[~empty]):
            raise NotPlain
        if like.course.expected is not None:  # the plan changes on the way
            raise NotPlain
        self.dues = self._find_dues(like, to_end=to_end)
        self._check_alarm(like)

    @property
    def end(self) -> Due:
        """Where the run ends."""
        return Due(len(self.steps) - 1, len(self.train), len(self.val))

    def _find_dues(self, like: Watcher, *, to_end: bool) -> Dues:
        """Where verdicts are due; in a row the train loss comes first."""
        train_ends, val_ends = (self._ends(rows, like.horizon) for rows in (self.train_rows, self.val_rows))
        if len(self.val):
            places = _dues_of_both(self.train_rows.tobytes(), self.val_rows.tobytes(), train_ends, val_ends)
        else:
            counts = _dues_of_one(len(self.train), train_ends)
            places = np.array([self.train_rows[counts - 1], counts, np.zeros_like(counts)])
        self.ends_apart = to_end and bool(places.shape[1]) and places[1:, -1].sum() < len(self.train) + len(self.val)
        if self.ends_apart:
            places = np.column_stack([places, self.end])
        return Dues(places, self.steps[places[0]] >= SOON * (like.horizon or 0))

    def _ends(self, rows: NDArray[np.intp], horizon: int | None) -> tuple[int, ...]:
        """Places among the losses of a kind, by their rows, of the last within the plan, as ``Seen.trained`` has it."""
        if horizon is None:
            return ()
        steps = self.steps[rows]
        before = np.append(0, steps)[:-1]
        return tuple(((2 * steps - before > horizon) & (horizon > before)).nonzero()[0].tolist())

    def _check_alarm(self, like: Watcher) -> None:
        """Refuse a run if a loss reaches the alarm, as it was set when a verdict was last due."""
        if not len(self.dues):
            return
        alone = self._alone()
        losses = np.concatenate([self.val[:alone], self.train])
        # Place of each due among these losses: those up to it.
        _, trains, vals = self.dues.places
        after = np.where(trains > 0, trains + alone, vals)
        # A loss is held against the alarm of the last due before it; dues without a loss after them ask for nothing.
        held = ((after < len(losses)) & (np.append(after[1:], len(losses)) > after)).nonzero()[0]
        if not len(held):
            return
        highest = np.maximum.reduceat(losses, after[held])
        lowest_ever = np.minimum.accumulate(losses)[after[held] - 1]
        if lowest_ever[-1] > 0.0 and (highest < (1.0 + LEAST_SHARE - _ROUNDING) * lowest_ever).all():
            return  # no level lies below the lowest loss
        dues = [self.dues[k] for k in held.tolist()]
        for due, high, level in zip(dues, highest.tolist(), self._levels(dues), strict=True):
            lenient = self._lenient(due, like)
            share = alarm_share(may_rise=not due.trains, lenient=lenient)
            if high > level + share * abs(level) - _ROUNDING * abs(level) and high > self._alarm_after(due, lenient):
                raise NotPlain

    def _alone(self) -> int:
        """Validation losses before the first train loss: nothing else can raise the alarm."""
        first = self.train_rows[0] if len(self.train_rows) else len(self.steps)
        return int(self.val_rows.searchsorted(first))

    def _lenient(self, due: Due, like: Watcher) -> bool:
        return is_early(int(self.steps[due.row]), like.horizon, due.trains + due.vals)

    def _alarm_after(self, due: Due, lenient: bool) -> float:
        series = Series()
        if due.trains:
            series.extend(self.steps[self.train_rows[: due.trains]], self.train[: due.trains])
        else:
            series.extend(self.steps[self.val_rows[: due.vals]], self.val[: due.vals])
        level, height = alarm_at(series.bins(), may_rise=not due.trains, lenient=lenient)
        return level + height

    def _levels(self, dues: list[Due]) -> list[float]:
        """The level that the alarm hangs above after each due, but for rounding."""
        train = _Levels(self.steps[self.train_rows], self.train)
        val = _Levels(self.steps[self.val_rows], self.val)
        return [train.after(due.trains) if due.trains else val.after(due.vals) for due in dues]

    def give(self, watcher: Watcher, since: Due | None, until: Due) -> None:
        """Feed a watcher all that came after one place (``None`` for the start) up to another.

        It must have been fed up to the first, and no further.
        """
        begin = since or Due(-1, 0, 0)
        trains, vals = slice(begin.trains, until.trains), slice(begin.vals, until.vals)
        train, val = self.train[trains], self.val[vals]
        train_rows, val_rows = self.train_rows[trains], self.val_rows[vals]
        alone = val_rows[: max(self._alone() - begin.vals, 0)]
        seen = watcher.seen
        seen.train.extend(self.steps[train_rows], train)
        seen.val.extend(self.steps[val_rows], val)
        seen.validations.extend(val, train, val_rows.searchsorted(train_rows))
        for kind, rows in enumerate((train_rows, val_rows)):
            if len(rows):
                seen.offered[kind] = int(self.steps[rows[-1]])
        if len(val):
            seen.trade = None
            lowest = int(val.argmin())
            if seen.best_val is None or val[lowest] < seen.best_val[1]:
                seen.best_val = int(self.steps[val_rows[lowest]]), float(val[lowest])
        alarmed = train_rows if len(train_rows) else alone
        if len(alarmed):
            seen.alarm.step = int(self.steps[alarmed[-1]])
        self._give_rows(watcher, slice(begin.row + 1, until.row + 1))

    def _give_rows(self, watcher: Watcher, rows: slice) -> None:
        """Feed what is told beside the losses."""
        steps, lr = self.steps[rows], self.lr[rows]
        told = ~(np.isnan(self.train_loss[rows]) & np.isnan(self.val_loss[rows]) & np.isnan(lr))
        taken = told.nonzero()[0]
        seen = watcher.seen
        if len(taken):
            seen.step = max(seen.step, int(steps[taken[-1]]))
        if watcher.schedule is None:
            rated = (lr >= 0.0) & (lr < HUGE)
            seen.rates.extend(steps[rated], lr[rated])
        if self.tokens is not None and len(counted := _last(told, self.tokens[rows])):
            seen.tokens = float(counted[0])
        if self.critical_batch is not None and len(measured := _last(told, self.critical_batch[rows])):
            seen.critical_batch = float(measured[0])
        if self.seconds is not None:
            timed = told & ~np.isnan(self.seconds[rows])
            seen.pace.extend(steps[timed], self.seconds[rows][timed])

    def arm(self, watcher: Watcher, due: Due) -> None:
        """Do what a watcher does where a verdict is due, but for giving it."""
        watcher.seen.wait()
        watcher.seen.arm(lenient=self._lenient(due, watcher))


def _last(told: NDArray[np.bool_], values: FloatArray) -> FloatArray:
    """``(1,)`` the last value that a watcher would take in; empty where there is none."""
    return values[told & (values > 0.0) & (values < HUGE)][-1:]


class NotPlain(Exception):  # noqa: N818 - what it is, not what went wrong
    """A run to be fed sample by sample: losses that are not finite or reach the alarm, or a plan that changes."""


class _Levels:
    """The best level that a series has reached for good, after any number of its losses."""

    def __init__(self, steps: NDArray[np.int64], losses: FloatArray) -> None:
        self._sums: list[float] = [0.0, *losses.cumsum().tolist()]
        self._starts = Series().openings(steps)
        count = np.diff([*self._starts, len(losses)])
        self._means: list[float] = (np.add.reduceat(losses, self._starts) / count).tolist() if len(losses) else []

    def after(self, count: int) -> float:
        """The lowest mean in the later half of the bins, the open one included."""
        last = bisect_right(self._starts, count - 1) - 1
        begin: int = self._starts[last]
        level = (self._sums[count] - self._sums[begin]) / (count - begin)
        return min([level, *self._means[(last + 1) // 2 : last]])


@lru_cache(maxsize=8)
def _dues_of_one(count: int, ends: tuple[int, ...]) -> NDArray[np.intp]:
    """Samples of the only series at which a verdict is due.

    Args:
        count: How many there are.
        ends: Places of those at which the plan ends.
    """
    dues, at = list[int](), NEEDED
    while at <= count:
        dues.append(at)
        at = _next(at, ends)
    return np.array(dues, dtype=np.intp)


@lru_cache(maxsize=2)  # the runs of a fleet are mostly logged at the same steps
def _dues_of_both(
    train_rows: bytes, val_rows: bytes, train_ends: tuple[int, ...], val_ends: tuple[int, ...]
) -> NDArray[np.intp]:
    """``(3, k)`` rows at which a verdict is due, and how many losses of either kind came up to then.

    Args:
        train_rows: The rows that hold a train loss, as ``tobytes`` has them.
        val_rows: Likewise those with a validation loss.
        train_ends: Places among the train losses at which the plan ends.
        val_ends: Likewise among the validation losses.
    """
    trains, vals = (np.frombuffer(rows, np.intp) for rows in (train_rows, val_rows))
    train_keys, val_keys = (2 * trains).tolist(), (2 * vals + 1).tolist()  # in a row the train loss comes first
    both = sorted([*train_keys, *val_keys])
    if len(both) < NEEDED:
        return np.zeros((3, 0), np.intp)
    begins = [bisect_left(keys, both[NEEDED - 1]) for keys in (train_keys, val_keys)]
    train_keys.append(_NEVER)
    val_keys.append(_NEVER)
    found, train, val = list[tuple[int, int, int]](), 0, 0
    while True:
        of_train = train_keys[min(max(_next(train, train_ends, begins[0]) - 1, begins[0]), len(trains))]
        of_val = val_keys[min(max(_next(val, val_ends, begins[1], of_val=True) - 1, begins[1]), len(vals))]
        if (at := min(of_train, of_val)) == _NEVER:
            return np.array(found, np.intp).reshape(-1, 3).T
        train, val = bisect_right(train_keys, at, train), bisect_right(val_keys, at, val)
        found.append((at // 2, train, val))


def _next(samples: int, ends: tuple[int, ...], begin: int = 0, *, of_val: bool = False) -> int:
    """Samples of a series at which the next verdict is due, by their number or since the plan ends there.

    Args:
        samples: How many there were when the last one was.
        ends: Places of those at which the plan ends.
        begin: Place before which none is due.
        of_val: Whether they are validations.
    """
    ending = next((place + 1 for place in ends if place >= max(samples, begin)), _NEVER)
    return min(next_due(samples, of_val=of_val), ending)
