"""What turns steps into columns: the law's clock, its power-law term, its annealing term, its growth term."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curvecast.curve import Bins, FloatArray
from curvecast.fit.prior import Prior
from curvecast.laws.annealing import annealing_gain
from curvecast.schedule import Schedule

GROUPS_PER_DECADE = 12
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
    """The clock of the law under one schedule: summed learning rate, and what annealing has brought so far."""

    __slots__ = ("_grid", "_z", "annealing_time", "schedule")

    GRID = 384

    def __init__(self, schedule: Schedule | None, annealing_time: tuple[float, ...]) -> None:
        flat = schedule is None or max(schedule.knot_lrs) <= 0.0
        self.schedule = None if flat else schedule
        self.annealing_time = annealing_time
        self._grid: FloatArray | None = None

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
        """``(m, R)`` share of a full decay's gain that has arrived, for each annealing time of the prior."""
        if self.schedule is None:
            return np.zeros((len(step), len(self.annealing_time)))
        if self._grid is None:
            self._tabulate()
        assert self._grid is not None
        return np.stack([np.interp(step, self._grid, z) for z in self._z], axis=1)

    def _tabulate(self) -> None:
        """Once a schedule: the gain on a grid that is fine in log-steps, in steps, and at the knots."""
        assert self.schedule is not None
        end = 2.0 * self.schedule.horizon  # beyond its end a schedule is held, and the gain still settles
        knots = self.schedule.knots[0]
        grids = (np.geomspace(1.0, end, self.GRID), np.linspace(1.0, end, self.GRID), knots)
        self._grid = np.unique(np.concatenate(grids))
        total = float(self.schedule.summed(self.schedule.horizon))
        self._z = [
            annealing_gain(self.schedule, self._grid, beta=_BETA, C=_HALF / (share * total), gamma=_GAMMA)
            for share in self.annealing_time
        ]


def power_term(u: FloatArray, alpha: FloatArray, offset: FloatArray, floor: FloatArray) -> FloatArray:
    """``((u + c) / (1 + c))^-alpha``: 1 where the run stands. All arguments broadcast."""
    base = np.maximum(u + offset, floor) / (1.0 + offset)
    return np.asarray(np.exp(-alpha * np.log(base)))


def growth_term(v: FloatArray, onset: FloatArray) -> FloatArray:
    """Doublings of the steps since the onset of overfitting. All arguments broadcast."""
    return np.asarray(np.log2(np.maximum(v / onset, 1.0)))


def offsets(prior: Prior) -> FloatArray:
    """``(W, C)`` offsets of the clock: a negative entry is a share of the window's start (a late begin)."""
    window, offset = np.asarray(prior.window)[:, None], np.asarray(prior.offset)[None, :]
    return np.where(offset < 0.0, offset * window, offset)


def observe(train: Bins, val: Bins, *, of_val: bool, now: float | None = None) -> Observations:
    """Group both series on the logarithmic clock, relative to the level of the one that decides."""
    now = now or max(float(bins.step[-1]) for bins in (train, val) if len(bins))
    groups = [(_group(bins, now), float(kind)) for kind, bins in enumerate((train, val)) if len(bins)]
    scale = _scale(groups[-1 if of_val else 0][0][1])
    step, loss, noise, excess, is_val = np.concatenate(
        [
            np.stack([s, mean, var, np.maximum(mean - mean[-1], 0.0), np.full(len(s), kind)])
            for (s, mean, var), kind in groups
        ],
        axis=1,
    )
    order = np.argsort(-step, kind="stable")
    known = np.where(np.isnan(noise), 0.02**2, noise / scale**2) + 3e-4**2
    return Observations(
        step[order], loss[order] / scale, known[order], is_val[order], excess[order] / scale, scale, now
    )


def _group(bins: Bins, now: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Merge bins into groups of equal log-width: geometric mean step, mean loss, noise variance of that mean."""
    late = bins.step > now * 10.0**-DECADES
    late[-1] = True  # a series that ended long ago still has its level
    step, mean, count = bins.step[late], bins.mean[late], bins.count[late]
    index = np.floor(GROUPS_PER_DECADE * np.log10(now / step) + 1e-9)
    starts = np.flatnonzero(np.diff(index, prepend=np.inf))
    total = np.add.reduceat(count, starts)
    log_step = np.add.reduceat(count * np.log(step), starts) / total
    return np.exp(log_step), np.add.reduceat(count * mean, starts) / total, bins.noise / total


def _scale(loss: FloatArray) -> float:
    """The level where the run stands; where losses cross zero, their spread, so that units still drop out."""
    level = abs(float(loss[-3:].mean()))
    crosses = loss.min() <= 0.0 <= loss.max()
    scale = max(level, 0.25 * float(loss.max() - loss.min())) if crosses else level
    return scale if scale > _LEAST_SCALE else 1.0
