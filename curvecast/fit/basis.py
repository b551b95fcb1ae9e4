"""What turns steps into columns: the law's clock, its power-law term, its annealing term, its growth term."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curvecast.curve import Bins, FloatArray
from curvecast.laws.annealing import Drops
from curvecast.schedule import Schedule

_ON_AN_EDGE = 1e-9  # a step closer to an edge than this lies on it, whatever rounding says [decades]
# Groups of equal log-width, in decades back from now: narrow where a decay is under way, wider in the distant past.
_EDGES = np.concatenate([np.arange(1, 5) / 40.0, 0.1 + np.arange(1, 7) / 12.0, 0.6 + np.arange(1, 16) / 8.0])
_BOUNDS = 10.0 ** (_ON_AN_EDGE - _EDGES[::-1])  # the same edges as shares of the last step
UNKNOWN_NOISE, LEAST_NOISE = 0.02, 3e-4  # standard deviations as shares of the loss
MOST_NOISE = 1e3  # likewise: such a loss tells nothing, and beside a larger one LEAST_NOISE would be lost to rounding
NO_NEWS = 1e15  # variance of the losses that fill up the shorter of two runs fitted side by side: they tell nothing
NEWEST = 3  # so many newest entries of a series tell where it stands
_LATELY = 2.0 / 3.0  # losses after this share of the steps tell where a seldom logged series stands,
_FAR_ABOVE = 0.2  # if older ones raise its level by a larger share of its unit
HALVED = 2.0  # if the mean of the newest three is more than this times the newest, the newest alone counts
_FACTOR = 2.0  # train and validation whose levels differ by a larger factor are not in one unit
_STOPPED = 0.1  # validation whose last step lies before this share of train's has stopped
_LEAST_SCALE = 1e-100  # its square is still a number
_COLUMNS = ("step", "count", "mean")  # what is taken of a series' bins
_OF_SPREAD = 0.25  # the unit of a loss that has no zero, as a share of its spread
_LEAST_TIME = 1e-3  # least reading of the clock [steps at the peak rate]
DECADES = 2.5  # what happened before 1/300 of the steps so far says nothing about the end
LONG_AGO = 10.0**-DECADES
_MOST_KEPT = 16  # so many answers a timeline keeps
_BETA, _GAMMA = 0.6, 0.64  # nearly the same at 25M, 100M and 400M parameters (``laws.multi_power``)
_HALF = 2.0 ** (1.0 / _BETA) - 1.0  # (1 + _HALF)^-beta = 1/2
# What a decay is worth is counted in the gain of this shape, in a run of so many steps; a shape that brings less than
# this share of it there has its unit held at that.
_COUNTED_IN, _USUAL_STEPS, _LEAST_GAIN = (0.02, 0.8), 1000, 0.1
_A_DOUBLING = 4.0 / math.log(2.0)  # makes a fourth root rise by 1 for a doubling, where it begins


class Observations(NamedTuple):
    """Both series as one list, newest first, in units of the loss where the run stands.

    Those of ``r`` runs side by side have a further axis, the last: ``(n, r)``, and ``(r,)`` of what is one number here.

    Args:
        step: ``(n,)`` [steps].
        loss: ``(n,)`` relative loss.
        noise: ``(n,)`` variance of the observation's own noise, relative.
        is_val: ``(n,)`` 1.0 where it is a validation loss.
        excess: ``(n,)`` how far the loss stood above the newest one of its kind, relative, >= 0.
        has_both: Whether there are losses of both kinds.
        scale: The loss that 1.0 stands for [loss unit].
        now: Last step seen [steps].
        lift: What was added to every relative loss, so that one without a natural zero stands at 1 as others do.
    """

    step: FloatArray
    loss: FloatArray
    noise: FloatArray
    is_val: FloatArray
    excess: FloatArray
    has_both: Any
    scale: Any
    now: Any
    lift: Any

    def each(self, columns: Callable[[FloatArray], FloatArray], numbers: Callable[[Any], Any]) -> Observations:
        """The same with something done to each column, and to each of what is one number a run."""
        return Observations(*map(columns, self[:5]), *map(numbers, self[5:]))


class Timeline:
    """The clock of the law under one schedule: summed learning rate, and what annealing has brought so far.

    Args:
        schedule: The schedule; ``None`` where none is known.
        annealing_shape: As in the prior.
        lasting: Whether it will be asked often, as a plan is, so that a table pays.
        total: Summed learning rate that the shape's half-times are shares of; ``None`` for the schedule's own.
    """

    __slots__ = ("_drops", "_kept", "_table", "annealing_shape", "lasting", "schedule", "total")

    GRID = 384

    def __init__(
        self,
        schedule: Schedule | None,
        annealing_shape: tuple[tuple[float, float], ...],
        *,
        lasting: bool = True,
        total: float | None = None,
    ) -> None:
        flat = schedule is None or max(schedule.knot_lrs) <= 0.0
        self.schedule = None if flat else schedule
        self.annealing_shape = annealing_shape
        self.lasting = lasting
        own = 0.0 if self.schedule is None else float(self.schedule.summed(self.schedule.horizon))
        self.total = own if total is None else total
        self._table: tuple[FloatArray, FloatArray] | None = None
        self._drops: Drops | None = None
        self._kept: dict[bytes, tuple[FloatArray, FloatArray]] = {}

    def under(self, schedule: Schedule, now: float) -> Timeline:
        """Another future with the same past: once a decay has begun, what it brought so far stays what it was."""
        return self.all_under([schedule], now)[0]

    def all_under(self, schedules: Sequence[Schedule], now: float) -> list[Timeline]:
        """Several other futures."""
        total = self.total if self.gain(np.array([now])).max() > 0.0 else None
        return [Timeline(each, self.annealing_shape, lasting=False, total=total) for each in schedules]

    @property
    def end(self) -> float:
        """The last planned step; 0 where no schedule is known."""
        return 0.0 if self.schedule is None else float(self.schedule.horizon)

    def has_decayed(self, step: float) -> bool:
        """Whether the rate has fallen by a step: before, annealing has brought nothing, whatever its shape."""
        return self.schedule is not None and step > self._made_ready(self.schedule).begin

    def time(self, step: FloatArray) -> FloatArray:
        """``S1``: summed learning rate in steps at the peak; plain steps where no schedule is known."""
        if self.schedule is None:
            return step
        return np.maximum(np.asarray(self.schedule.summed(step)), _LEAST_TIME)

    def gain(self, step: FloatArray) -> FloatArray:
        """``(R, m)`` share of a full decay's gain that has arrived, for each annealing shape of the prior."""
        return self.at(step)[1]

    def at(self, step: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` summed learning rate and ``(R, m)`` gain in one go: what every fit and every forecast asks for."""
        if self.schedule is None:
            return step, np.zeros((len(self.annealing_shape), len(step)))
        if not self.lasting:
            return self._asked(step.tobytes())
        if self._table is None:
            self._table = self._tabulated(self.schedule)
        begins, lines = self._table
        start, slope = lines.take(begins.searchsorted(step, side="right"), axis=2)
        both = start + slope * step
        return both[0], both[1:]

    def _asked(self, step: bytes) -> tuple[FloatArray, FloatArray]:
        """The same of a plan that is soon another: the steps that one verdict asks for again and again are kept."""
        assert self.schedule is not None
        told = self._kept.get(step)
        if told is None:
            steps = np.frombuffer(step)
            told = self.time(steps), self._gain(self.schedule, steps)
            for each in told:
                each.flags.writeable = False
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[step] = told
        return told  # not what is kept: another thread, whose run shares this plan, may have cleared it

    def _tabulated(self, schedule: Schedule) -> tuple[FloatArray, FloatArray]:
        """Once a schedule: both as straight lines between steps that lie close in log-steps, in steps, and at knots.

        Returns:
            ``(k - 1,)`` where all lines but the first begin, and ``(2, 1 + R, k)`` of each what it has at step 0, and
            its slope.
        """
        end = 2.0 * schedule.horizon  # beyond its end a schedule is held, and the gain still settles
        knots = schedule.knots[0]
        grids = (np.geomspace(1.0, end, self.GRID), np.linspace(0.0, end, self.GRID), knots)
        grid = np.unique(np.concatenate(grids))
        values = np.concatenate([self.time(grid)[None], self._gain(schedule, grid)])
        slopes = np.zeros_like(values)
        slopes[:, :-1] = np.diff(values) / np.diff(grid)
        slopes[0, -1] = schedule.lr(end)
        return grid[1:], np.array([values - slopes * grid, slopes])

    def _gain(self, schedule: Schedule, step: FloatArray) -> FloatArray:
        return self._made_ready(schedule).gain(step, beta=_BETA) / _unit(self.annealing_shape)

    def _made_ready(self, schedule: Schedule) -> Drops:
        if self._drops is None:
            shapes = [(_HALF / (share * self.total), power) for share, power in self.annealing_shape]
            self._drops = Drops(schedule, gamma=_GAMMA, shapes=shapes)
        return self._drops


@lru_cache(maxsize=64)
def _unit(annealing_shape: tuple[tuple[float, float], ...]) -> FloatArray:
    """``(R, 1)`` what each shape brings where the last fifth of the steps is a linear decay to zero.

    It is the unit of its gain, so that what is believed of a decay's worth holds however late the gain arrives. It is
    told in units of one shape, whose own gain so stays as it is: numbers that were fitted hold for any others.
    """
    plan = Schedule.wsd(_USUAL_STEPS, decay=0.2)
    total = float(plan.summed(_USUAL_STEPS))
    shapes = [(_HALF / (share * total), power) for share, power in (_COUNTED_IN, *annealing_shape)]
    gains = Drops(plan, gamma=_GAMMA, shapes=shapes).gain(np.array([float(_USUAL_STEPS)]), beta=_BETA)
    return np.asarray(np.maximum(gains[1:] / gains[0], _LEAST_GAIN))


def power_term(u: FloatArray, alpha: FloatArray, offset: FloatArray, floor: FloatArray) -> FloatArray:
    """``((u + c) / (1 + c))^-alpha``: 1 where the run stands. All arguments broadcast."""
    base = np.maximum(u + offset, floor) / (1.0 + offset)
    return np.asarray(np.exp(-alpha * np.log(base)))


def growth_term(v: FloatArray, onset: FloatArray) -> FloatArray:
    """How far overfitting has come since its onset: there a doubling of the steps counts 1. All arguments broadcast.

    The fourth root of the steps is the clock on which validation losses rise straight (``decisions.rise``).
    """
    return np.asarray((np.sqrt(np.sqrt(np.maximum(v / onset, 1.0))) - 1.0) * _A_DOUBLING)


def observe(train: Bins, val: Bins, *, of_val: bool, now: float | None = None) -> Observations:
    """Group both series on the logarithmic clock, relative to the level of the one that decides."""
    now = now or max(float(bins.step[-1]) for bins in (train, val) if len(bins))
    recent = [(train, max(first_bin(train, now), int(comes_seldom(train)))), (val, first_bin(val, now))]
    columns = [getattr(bins, name)[first:] for name in _COLUMNS for bins, first in recent]
    rows = np.concatenate(columns).reshape(len(_COLUMNS), -1)
    trains = len(columns[0])
    starts = _group_starts(rows[0], now, trains)
    rows[0], rows[2] = np.log(rows[0]) * rows[1], rows[2] * rows[1]
    log_step, count, loss = np.add.reduceat(rows, starts, axis=1)
    step, loss, is_val = np.exp(log_step / count), loss / count, starts >= trains
    of_train = int(starts.searchsorted(trains))
    decides = loss[of_train:] if of_val else loss[:of_train]
    low = float(np.minimum.reduce(loss))
    stands = level(of_late(decides, step[of_train:] if of_val else step[:of_train], low))
    scale, lift = unit_of(stands, decides if len(decides) >= NEWEST else loss, low)
    noise = np.where(is_val, val.noise, train.noise) / (count * scale**2)
    if (of_train and math.isnan(train.noise)) or (of_train < len(step) and math.isnan(val.noise)):
        noise = np.where(np.isnan(noise), UNKNOWN_NOISE**2, noise)
    excess = np.maximum(loss - np.where(is_val, loss[-1], loss[of_train - 1]), 0.0)
    by_step = (-step).argsort(kind="stable")
    noise = np.minimum(noise, MOST_NOISE**2) + LEAST_NOISE**2
    columns = np.array([step, loss / scale + lift, noise, is_val, excess / scale]).take(by_step, axis=1)
    step, loss, noise, is_val, excess = columns
    return Observations(step, loss, noise, is_val, excess, 0 < of_train < len(step), scale, now, lift)


def has_turned(data: Observations) -> Any:
    """Whether validation stands above its lowest by more than noise: before, nothing tells of an onset of growth."""
    of_val = data.is_val > 0.0
    each = tuple(np.arange(count) for count in of_val.shape[1:])
    newest, lowest = (of_val.argmax(axis=0), *each), (np.where(of_val, data.loss, np.inf).argmin(axis=0), *each)
    rise = data.loss[newest] - data.loss[lowest]
    return (rise * rise > data.noise[newest] + data.noise[lowest]) & of_val[newest]


def comes_seldom(train: Bins) -> bool:
    """Whether the first train loss came only after some steps: it may be their mean, of which no law holds.

    Example:
        >>> step, ones = np.array([500.0, 1000.0, 1500.0, 2000.0]), np.ones(4)
        >>> comes_seldom(Bins(step, 3.0 * ones, ones, 0.0)), comes_seldom(Bins(step - 499.0, 3.0 * ones, ones, 0.0))
        (True, False)
    """
    return len(train) > NEWEST and bool(train.step[0] > 1.0 and train.count[0] == 1.0)


def first_bin(bins: Bins, now: float) -> int:
    """Index of the first bin that counts; a series that ended long ago still has its level, so its last always does."""
    return max(min(int(bins.step.searchsorted(now * LONG_AGO, side="right")), len(bins.step) - 1), 0)


def _group_starts(step: FloatArray, now: float, trains: int) -> NDArray[np.intp]:
    """Where groups of equal log-width begin among the bins of both series, each oldest first; none holds both."""
    bounds = now * _BOUNDS
    opens = np.zeros(len(step) + 1, dtype=np.bool_)
    opens[step[:trains].searchsorted(bounds)] = True
    if trains < len(step):
        opens[trains + step[trains:].searchsorted(bounds)] = True
    opens[0] = opens[trains] = True
    return opens[:-1].nonzero()[0]


def group_of(log10_now: float | FloatArray, step: FloatArray) -> NDArray[np.intp]:
    """Which group of equal log-width each of ``(n,)`` steps falls into."""
    return _EDGES.searchsorted(log10_now + _ON_AN_EDGE - np.log10(step))


def unit_of(level: float, losses: FloatArray, low: float) -> tuple[float, float]:
    """The loss that 1.0 stands for, and what lifts relative losses to 1 where the run stands.

    It is the level there. Of a loss that was negative, as a likelihood of densities, zero means nothing: its unit is
    its spread, and it is lifted, so that a constant that is added to it drops out. So is one that has come to nought,
    which is no unit.

    Args:
        level: Where the series that decides stands.
        losses: ``(n,)`` of that series; of both, where it has too few to show a spread.
        low: The lowest loss of all that are measured so; below zero none of them has a zero.
    """
    if low >= 0.0 and level > _LEAST_SCALE:
        return level, 0.0
    # A single loss has no spread, and a forecast of it would have no width.
    scale = max(_OF_SPREAD * (_spread(losses) or abs(level)), _LEAST_SCALE)
    return scale, 1.0 - level / scale


def of_late(losses: FloatArray, step: FloatArray, low: float) -> FloatArray:
    """Those of ``(n,)`` losses that tell where a series stands: of one that is seldom logged older ones lie far above.

    Args:
        losses: ``(n,)`` of the series.
        step: ``(n,)`` where they were logged [steps].
        low: As in ``unit_of``: where zero means nothing, what is far is told by their spread.

    Example:
        >>> seldom, often = np.array([10.0, 50.0, 100.0]), np.array([98.0, 99.0, 100.0])
        >>> losses = np.array([6.2, 4.3, 3.4])
        >>> [of_late(losses, step, low=3.4).tolist() for step in (seldom, often)]
        [[3.4], [6.2, 4.3, 3.4]]
        >>> of_late(np.array([3.6, 3.5, 3.4]), seldom, low=3.4).tolist()  # hardly above: a mean of three
        [3.6, 3.5, 3.4]
    """
    late = losses[int(step.searchsorted(_LATELY * step[-1])) :]
    stands = level(late)
    return late if level(losses) - stands > _FAR_ABOVE * unit_of(stands, losses, low)[0] else losses


def level(losses: FloatArray) -> float:
    """Where a series stands: the mean of its newest three entries, or the newest alone where it has halved since."""
    newest = losses[-NEWEST:].tolist()
    mean = sum(newest) / len(newest)
    return float(newest[-1] if 0.0 < HALVED * newest[-1] < mean else mean)


def in_one_unit(losses: FloatArray, others: FloatArray) -> bool:
    """Whether two series may be one curve and an offset: their levels lie within a factor of two.

    Perplexity beside loss, or a sum beside a mean, do not. Where one was negative a ratio tells nothing: then they may
    also lie as close to one another as either has moved, of which too few losses say nothing. A series that is not
    there is apart from none.

    Example:
        >>> likelihood = np.array([5.0, 1.0, -0.01, -0.01, -0.01])
        >>> [in_one_unit(likelihood, others) for others in (likelihood + 0.1, 100.0 * likelihood - 50.0)]
        [True, False]
    """
    if not (len(losses) and len(others)):
        return True
    one, other = level(losses), level(others)
    if not max(abs(one), abs(other)) > _FACTOR * min(abs(one), abs(other)):
        return True
    if min(np.minimum.reduce(losses), np.minimum.reduce(others)) >= 0.0:
        return False
    return abs(one - other) <= min((_spread(each) for each in (losses, others) if len(each) >= NEWEST), default=0.0)


@lru_cache(maxsize=128)  # a fit and what is asked of its gap ask the same
def go_together(train: Bins, val: Bins) -> bool:
    """Whether both losses are in one unit, where they were seen at one time.

    A validation beside which train has halved since is no other unit.

    Example:
        >>> step = np.arange(1.0, 101.0)
        >>> train = Bins(step, 10.0 / step, np.ones(100), 0.0)
        >>> early, other = (Bins(step[29:30], np.array([loss]), np.ones(1), 0.0) for loss in (0.4, 40.0))
        >>> go_together(train, early), go_together(train, other)
        (True, False)
    """
    if not (len(train) and len(val)):
        return True
    last = max(int(train.step.searchsorted(val.step[-1], side="right")), 1)
    return in_one_unit(train.mean[:last], val.mean)


def has_stopped(train: Bins, val: Bins) -> bool:
    """Whether the newest validation lies so far back that it does not say where the run stands."""
    return bool(len(train) and len(val) and val.step[-1] < _STOPPED * train.step[-1])


def _spread(losses: FloatArray) -> float:
    return float(np.maximum.reduce(losses) - np.minimum.reduce(losses))
