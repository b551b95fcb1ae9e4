"""What turns steps into columns: the law's clock, its power-law term, its annealing term, its growth term."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from curvecast.curve import Bins, FloatArray
from curvecast.laws.annealing import annealing_gain
from curvecast.schedule import Schedule

GROUPS_PER_DECADE = 12
_UNKNOWN_NOISE, _LEAST_NOISE = 0.02, 3e-4  # standard deviations, relative to the loss
_LEAST_SCALE = 1e-100  # its square is still a number
DECADES = 2.5  # what happened before 1/300 of the steps so far says nothing about the end
_BETA, _GAMMA = 0.6, 0.64  # nearly the same at 25M, 100M and 400M parameters (laws.annealing)
_HALF = 2.0 ** (1.0 / _BETA) - 1.0  # (1 + _HALF)^-beta = 1/2


@dataclass(frozen=True, slots=True)
class Observations:
    """Both series as one list, newest first, in units of the loss where the run stands.

    Args:
        step: ``(n,)`` [steps].
        loss: ``(n,)`` relative loss.
        noise: ``(n,)`` variance of the observation's own noise, relative.
        is_val: ``(n,)`` 1.0 where it is a validation loss.
        excess: ``(n,)`` how far the loss stood above the newest one of its kind, relative, >= 0.
        scale: The loss that 1.0 stands for [loss unit].
        now: Last step seen [steps].
    """

    step: FloatArray
    loss: FloatArray
    noise: FloatArray
    is_val: FloatArray
    excess: FloatArray
    scale: float
    now: float


class Timeline:
    """The clock of the law under one schedule: summed learning rate, and what annealing has brought so far.

    Args:
        schedule: The schedule; ``None`` where none is known.
        annealing_shape: As in the prior.
        lasting: Whether it will be asked often, as a plan is, so that a table pays.
        total: Summed learning rate that the shape's half-times are shares of; ``None`` for the schedule's own.
    """

    __slots__ = ("_grid", "_z", "annealing_shape", "lasting", "schedule", "total")

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
        self._grid: FloatArray | None = None

    def under(self, schedule: Schedule, now: float) -> Timeline:
        """Another future with the same past: once a decay has begun, what it brought so far stays what it was."""
        begun = self.gain(np.array([now])).max() > 0.0
        return Timeline(schedule, self.annealing_shape, lasting=False, total=self.total if begun else None)

    @property
    def end(self) -> float:
        """The last planned step; 0 where no schedule is known."""
        return 0.0 if self.schedule is None else float(self.schedule.horizon)

    def time(self, step: FloatArray) -> FloatArray:
        """``S1``: summed learning rate in steps at the peak; plain steps where no schedule is known."""
        if self.schedule is None:
            return step
        return np.maximum(np.asarray(self.schedule.summed(step)), 1e-3)

    def gain(self, step: FloatArray) -> FloatArray:
        """``(R, m)`` share of a full decay's gain that has arrived, for each annealing shape of the prior."""
        if self.schedule is None:
            return np.zeros((len(self.annealing_shape), len(step)))
        if not self.lasting:
            return self._gain(self.schedule, step)
        if self._grid is None:
            self._tabulate()
        assert self._grid is not None
        return np.array([np.interp(step, self._grid, z) for z in self._z])

    def _tabulate(self) -> None:
        """Once a schedule: the gain on a grid that is fine in log-steps, in steps, and at the knots."""
        assert self.schedule is not None
        end = 2.0 * self.schedule.horizon  # beyond its end a schedule is held, and the gain still settles
        knots = self.schedule.knots[0]
        grids = (np.geomspace(1.0, end, self.GRID), np.linspace(1.0, end, self.GRID), knots)
        self._grid = np.unique(np.concatenate(grids))
        self._z = self._gain(self.schedule, self._grid)

    def _gain(self, schedule: Schedule, step: FloatArray) -> FloatArray:
        gains = [
            annealing_gain(schedule, step, beta=_BETA, C=_HALF / (share * self.total), gamma=_GAMMA, power=power)
            for share, power in self.annealing_shape
        ]
        return np.array(gains)


def power_term(u: FloatArray, alpha: FloatArray, offset: FloatArray, floor: FloatArray) -> FloatArray:
    """``((u + c) / (1 + c))^-alpha``: 1 where the run stands. All arguments broadcast."""
    base = np.maximum(u + offset, floor) / (1.0 + offset)
    return np.asarray(np.exp(-alpha * np.log(base)))


def growth_term(v: FloatArray, onset: FloatArray) -> FloatArray:
    """Doublings of the steps since the onset of overfitting. All arguments broadcast."""
    return np.asarray(np.log2(np.maximum(v / onset, 1.0)))


def observe(train: Bins, val: Bins, *, of_val: bool, now: float | None = None) -> Observations:
    """Group both series on the logarithmic clock, relative to the level of the one that decides."""
    now = now or max(float(bins.step[-1]) for bins in (train, val) if len(bins))
    groups = [_group(bins, now, float(kind)) for kind, bins in enumerate((train, val)) if len(bins)]
    scale = _scale(groups[-1 if of_val else 0][1])
    rows = groups[0][:, ::-1]
    if len(groups) > 1:
        rows = np.concatenate(groups, axis=1)
        rows = rows[:, (-rows[0]).argsort(kind="stable")]
    step, loss, noise, excess, is_val = rows
    noise = noise / scale**2
    if math.isnan(train.noise) or math.isnan(val.noise):
        noise = np.where(np.isnan(noise), _UNKNOWN_NOISE**2, noise)
    return Observations(step, loss / scale, noise + _LEAST_NOISE**2, is_val, excess / scale, scale, now)


def _group(bins: Bins, now: float, is_val: float) -> FloatArray:
    """``(5, n)`` bins merged into groups of equal log-width, oldest first.

    Rows: geometric mean step, mean loss, noise variance of that mean, height above the newest, kind.
    """
    # A series that ended long ago still has its level, so its last bin always counts.
    first = min(int(bins.step.searchsorted(now * 10.0**-DECADES, side="right")), len(bins) - 1)
    log_step = np.log(bins.step[first:])
    index = ((math.log(now) + 1e-9 - log_step) * (GROUPS_PER_DECADE / math.log(10.0))).astype(np.intp)
    opens = np.empty(len(index), dtype=np.bool_)
    opens[0] = True
    np.not_equal(index[1:], index[:-1], out=opens[1:])
    sums = np.empty((3, len(index)))
    sums[0], sums[1], sums[2] = bins.count[first:], log_step, bins.mean[first:]
    sums[1:] *= sums[0]
    sums = np.add.reduceat(sums, opens.nonzero()[0], axis=1)
    rows = np.empty((5, sums.shape[1]))
    rows[0], rows[1], rows[2] = np.exp(sums[1] / sums[0]), sums[2] / sums[0], bins.noise / sums[0]
    rows[3], rows[4] = np.maximum(rows[1] - rows[1, -1], 0.0), is_val
    return rows


def _scale(loss: FloatArray) -> float:
    """The level where the run stands; where losses cross zero, their spread, so that units still drop out."""
    scale, low, high = abs(level(loss)), float(loss.min()), float(loss.max())
    if low <= 0.0 <= high:
        scale = max(scale, 0.25 * (high - low))
    return scale if scale > _LEAST_SCALE else 1.0


def level(loss: FloatArray) -> float:
    """Where a series stands: the mean of its newest three entries."""
    newest = loss[-3:].tolist()
    return float(sum(newest) / len(newest))
