"""What the forecasts of finished runs missed by, and what that says of a forecast at a like place.

A team's runs share what no law says: an optimizer that gains more in its first tenth, a decay that pays late. Their own
back-tests show it. The misses, in standard deviations of each forecast, are a Gaussian process over where a forecast
stands: how much of the summed learning rate is still to come, what annealing has brought and will bring, and the size.
A part of a miss is its run's own, and says nothing of others.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from curvecast.curve import FloatArray
from curvecast.fit.prior import Prior

SHARED = 0.85  # of a miss's variance: what runs of one team have in common
_REACH = (1.0, 0.5, 0.3, 2.5)  # e-folds of time, shares of a decay's gain (twice), e-folds of the size
_OWN_REACH = 1.0  # e-folds of the steps: along one run misses are alike
_NUGGET = 0.05  # of the variance: what is left between two forecasts at one place
_DOUBT = 2.0  # misses' worth of belief that the forecasts' own standard deviation is right
_REPEATS = 0.5  # of a lesson: forecasts of one run say in part the same
_NOTHING = -2.0  # log-likelihood a run, summed over the runs, that they must lose on each other to teach nothing
_MOST = 6.0  # standard deviations that a miss counts for
_LEAST_VARIANCE = 1e-3
UNKNOWN_SIZE = math.log(1e6)  # half-way between small and large, as in ``Prior.for_size``


class Lesson(NamedTuple):
    """One forecast of the end of a finished run.

    Args:
        run: Number of the run.
        of_val: 1.0 if it was of a validation loss, 0.0 of a train loss.
        progress: Logarithm of the share of the steps that was seen.
        time: Logarithm of the summed learning rate at the end over that seen.
        gained, ahead: Share of a full decay's gain that had arrived, and that was still to come.
        size: Logarithm of the non-embedding parameters.
        miss: The loss that came, less the mean of the forecast, in standard deviations of the forecast.
    """

    run: float
    of_val: float
    progress: float
    time: float
    gained: float
    ahead: float
    size: float
    miss: float


class Lessons:
    """The lessons on one kind of loss, solved once.

    Example:
        >>> late = Lesson(0, 1.0, -0.7, 0.7, 0.0, 0.8, 18.0, miss=2.0)
        >>> mean, sd = Lessons((late,)).expected(np.array([[0.7, 0.0, 0.8, 18.0], [0.1, 0.5, 0.3, 12.0]]))
        >>> mean.round(1).tolist(), sd.round(1).tolist()
        ([1.6, 0.0], [0.8, 1.0])
    """

    def __init__(self, lessons: tuple[Lesson, ...]) -> None:
        table = np.array(lessons, dtype=np.float64)
        run, progress, miss = table[:, 0], table[:, 2], np.clip(table[:, 7], -_MOST, _MOST)
        self.place = table[:, 3:7]
        own = (run[:, None] == run) * np.exp(-np.abs(progress[:, None] - progress) / _OWN_REACH)
        within = SHARED * self._alike(self.place) + (1.0 - SHARED) * own + _NUGGET * np.eye(len(run))
        self.inverse = np.linalg.inv(within)
        self.solved = self.inverse @ miss
        rest, variance = self._without_its_run(run)
        self.surprise = rest * rest / variance
        # Runs that share little foretell each other's misses worse than nothing does; two that differ are no proof.
        gain = 0.5 * float(np.mean(miss * miss - self.surprise - np.log(variance)))
        self.teaches = gain * len(np.unique(run)) > _NOTHING

    def _without_its_run(self, run: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(n,)`` each: what the other runs leave of a miss, and the variance of that."""
        rest, variance = np.empty(len(run)), np.empty(len(run))
        for number in np.unique(run):
            of = np.flatnonzero(run == number)
            left = np.linalg.inv(self.inverse[np.ix_(of, of)])
            rest[of], variance[of] = left @ self.solved[of], np.diag(left)
        return rest, variance

    def expected(self, place: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` mean and standard deviation of the miss at ``(m, 4)`` places: time, gained, ahead, size.

        How wide they are is learnt where the lessons are: intervals may be too narrow late and too wide early.
        """
        alike = self._alike(place)
        shared = SHARED * alike
        left = 1.0 + _NUGGET - np.add.reduce((shared @ self.inverse) * shared, axis=1)
        worth = _REPEATS * alike
        scale = (_DOUBT + worth @ self.surprise) / (_DOUBT + worth.sum(axis=1))
        return shared @ self.solved, np.sqrt(np.maximum(left, _LEAST_VARIANCE) * scale)

    def _alike(self, place: FloatArray) -> FloatArray:
        """``(m, n)`` how alike places are to those of the lessons, from 0 to 1."""
        away = sum(
            np.abs(np.subtract.outer(a, b)) / reach for a, b, reach in zip(place.T, self.place.T, _REACH, strict=True)
        )
        return np.asarray(np.exp(-away))


@lru_cache(maxsize=16)
def lessons_on(prior: Prior, of_val: bool) -> Lessons | None:
    """A prior's lessons on validation or on train losses; ``None`` where it has none, or its runs teach nothing."""
    kept = tuple(lesson for row in prior.lessons if (lesson := Lesson(*row)).of_val == float(of_val))
    found = Lessons(kept) if kept else None
    return found if found is not None and found.teaches else None
