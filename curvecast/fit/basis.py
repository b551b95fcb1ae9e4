"""What turns steps into columns: the law's clock, its power-law term, its annealing term, its growth term."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from curvecast.curve import FloatArray
from curvecast.laws.annealing import Drops
from curvecast.schedule import Schedule

_LEAST_TIME = 1e-3  # least reading of the clock [steps at the peak rate]
_MOST_KEPT = 16  # so many answers a timeline keeps
_BETA, _GAMMA = 0.6, 0.64  # nearly the same at 25M, 100M and 400M parameters (``laws.multi_power``)
_HALF = 2.0 ** (1.0 / _BETA) - 1.0  # (1 + _HALF)^-beta = 1/2
# What a decay is worth is counted in the gain of this shape, in a run of so many steps; a shape that brings less than
# this share of it there has its unit held at that.
_COUNTED_IN, _USUAL_STEPS, _LEAST_GAIN = (0.02, 0.8), 1000, 0.1
_A_DOUBLING = 4.0 / math.log(2.0)  # makes a fourth root rise by 1 for a doubling, where it begins


class Timeline:
    """The clock of the law under one schedule: summed learning rate, and what annealing has brought so far.

    Args:
        schedule: The schedule; ``None`` where none is known.
        annealing_shape: As in the prior.
        lasting: Whether it will be asked often, as a plan is, so that a table pays.
        total: Summed learning rate that the shape's half-times are shares of; ``None`` for the schedule's own.
    """

    __slots__ = ("_arrived", "_drops", "_kept", "_table", "annealing_shape", "lasting", "schedule", "total")

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
        self._arrived = (0.0, 0.0)  # the last step that `arrived` was asked of, and its answer: it is mostly the next

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

    def arrived(self, step: float) -> float:
        """Share of what annealing brings by the end of the plan that it has brought by a step, by the middle shape.

        Example:
            >>> clock = Timeline(Schedule.linear(1000), ((0.01, 0.8),))
            >>> [round(clock.arrived(step), 2) for step in (1.0, 500.0, 800.0, 1000.0)]
            [0.0, 0.45, 0.77, 1.0]
        """
        if not self.has_decayed(step):
            return 0.0
        told = self._arrived  # read once: another thread may share this plan
        if told[0] != step:
            now, end = self.gain(np.array([step, max(step, self.end)]))[len(self.annealing_shape) // 2].tolist()
            share = min(max(now / end, 0.0), 1.0) if end > 0.0 else 1.0  # after a rise it may be all gone
            self._arrived = told = step, share
        return told[1]

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


Futures = Sequence[tuple[float, Timeline]]  # schedules that a run may follow, with their probabilities


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
