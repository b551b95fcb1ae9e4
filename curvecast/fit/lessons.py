"""What the forecasts of finished runs missed by, and what that says of a forecast at a like place.

A team's runs share what no law says: an optimizer that gains more in its first tenth, a decay that pays late, a step at
which the loss drops. Their own back-tests show it. What they missed by is a Gaussian process over where a forecast
stands (``fit.likeness``); a new forecast is moved by what it is expected to miss by, and has the doubt that is left.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from curvecast.curve import FloatArray
from curvecast.fit.likeness import Places, Team

UNKNOWN_SIZE = math.log(1e6)  # half-way between small and large, as in ``Prior.for_size``
_MOST = 6.0  # standard deviations that a miss counts for
_DOUBT = 2.0  # misses' worth of belief that the process's own standard deviation is right
_REPEATS = 0.5  # of a lesson: forecasts of one run say in part the same
_LEAST_LEFT = 1e-3  # of the law's variance: no lesson leaves less
_FIRST = 0.9  # probability that a team's runs teach something, before any was held against the others
_SUREST = 0.95  # and the most there ever is: a run may always be the first of its kind
_MOST_GAIN = 3.0  # log-likelihood that one run may speak for or against the lessons
_SURE = 500.0  # log-odds, of which the exponential is still a number


class Lesson(NamedTuple):
    """One forecast of the end of a finished run. Losses are relative to that where the run stood.

    Args:
        run: Number of the run.
        of_val: 1.0 if it was of a validation loss, 0.0 of a train loss.
        progress: Logarithm of the share of the steps that was seen.
        time: Logarithm of the summed learning rate at the end over that seen.
        gained, ahead: Share of a full decay's gain that had arrived, and that was still to come.
        size: Logarithm of the non-embedding parameters.
        clock: Logarithm of the summed learning rate seen [steps at the peak].
        level: Logarithm of the loss where the run stood [loss unit].
        change, sd: The change that the law foresaw, and its standard deviation.
        came: The change that came.
        noise: Standard deviation of the last losses, by which that is known.
        density: Logarithm of the law's probability density of what came.
    """

    run: float
    of_val: float
    progress: float
    time: float
    gained: float
    ahead: float
    size: float
    clock: float
    level: float
    change: float
    sd: float
    came: float
    noise: float
    density: float


class Lessons:
    """The lessons on one kind of loss, solved once.

    Args:
        lessons: At least one.

    Example:
        >>> where = (0.7, 0.0, 0.8, 18.0, 7.0, 1.0)
        >>> late = Lesson(0.0, 1.0, -0.7, *where, change=-0.1, sd=0.01, came=-0.08, noise=0.0, density=2.0)
        >>> places = Places(np.array([where, (0.1, 0.5, 0.3, 2.0, 2.0, 1.0)]), np.array([-0.1, 0.0]), np.full(2, 0.01))
        >>> change, sd, held = Lessons((late,)).expected(places)
        >>> change.round(3).tolist(), sd.round(3).tolist(), held.round(2).tolist()
        ([-0.081, 0.0], [0.026, 0.024], [0.9, 0.03])
    """

    def __init__(self, lessons: tuple[Lesson, ...]) -> None:
        table = np.array(lessons, dtype=np.float64)
        run, progress = table[:, 0], table[:, 2]
        change, sd, came, noise, density = table[:, 9:].T
        self.places = Places(table[:, 3:9], change, sd)
        most = _MOST * np.maximum(sd, self.places.room)
        miss = np.clip(came - change, -most, most)
        team = Team(self.places, run, progress, noise)
        self.habits = team.habits(miss)
        self.inverse = np.linalg.inv(team.covariance(self.habits))
        self.solved = self.inverse @ miss
        rest, variance = self._without_its_run(run)
        self.surprise = rest * rest / variance
        variance *= self._scale(self._alike(team.away[1]) * np.not_equal.outer(run, run))
        taught = -0.5 * (rest * rest / variance + np.log(2.0 * math.pi * variance))
        self.held = _held(run, taught - density)

    def _without_its_run(self, run: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(n,)`` each: what the other runs leave of a miss, and the variance of that."""
        rest, variance = np.empty(len(run)), np.empty(len(run))
        for number in np.unique(run):
            of = np.flatnonzero(run == number)
            left = np.linalg.inv(self.inverse[np.ix_(of, of)])
            rest[of], variance[of] = left @ self.solved[of], np.diag(left)
        return rest, variance

    def expected(self, places: Places) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What the lessons foresee at ``m`` places, and how far that may be believed.

        How wide it is is learnt where the lessons are: intervals may be too narrow late and too wide early.

        Returns:
            ``(m,)`` each: mean and standard deviation of the relative change where the lessons hold, and the
            probability that they do. Otherwise the law does: where runs teach each other nothing, and far from all.
        """
        away = places.away(self.places)
        shared = places.shared(self.places, away, self.habits)
        left = places.variance(self.habits) - np.add.reduce((shared @ self.inverse) * shared, axis=1)
        alike = self._alike(away[1])
        variance = np.maximum(left, _LEAST_LEFT * places.sd**2) * self._scale(alike)
        return places.change + shared @ self.solved, np.sqrt(variance), self.held * alike.max(axis=1)

    def _alike(self, away: FloatArray) -> FloatArray:
        """``(m, n)`` how alike places are to those of the lessons, from 0 to 1."""
        return np.asarray(np.exp(away / -self.habits.reach_place))

    def _scale(self, alike: FloatArray) -> FloatArray:
        """``(m,)`` what the variance must be taken times, as lessons surprise one another there."""
        worth = _REPEATS * alike
        return np.asarray((_DOUBT + worth @ self.surprise) / (_DOUBT + worth.sum(axis=1)))


def _held(run: FloatArray, gain: FloatArray) -> float:
    """Probability that the runs teach something: each is held against what the others have taught.

    Args:
        run: ``(n,)`` number of the run.
        gain: ``(n,)`` log-likelihood of what came, of the other runs' lessons over the law.
    """
    gain = np.clip(gain, -_MOST_GAIN, _MOST_GAIN)
    numbers = np.unique(run)
    gained = sum(float(gain[run == number].mean()) for number in numbers) if len(numbers) > 1 else 0.0
    odds_of_law = math.exp(min(-gained, _SURE)) * (1.0 - _FIRST) / _FIRST
    return min(1.0 / (1.0 + odds_of_law), _SUREST)


class _Rows:
    """Lessons on one kind of loss, found by a few of them: to hash all takes longer than to use them."""

    def __init__(self, rows: tuple[tuple[float, ...], ...], of_val: bool) -> None:
        self.rows, self.of_val = rows, of_val

    def __hash__(self) -> int:
        return hash((len(self.rows), self.rows[0], self.rows[-1], self.of_val))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Rows) and self.of_val == other.of_val and self.rows == other.rows


def lessons_on(rows: tuple[tuple[float, ...], ...], of_val: bool) -> Lessons | None:
    """A prior's lessons on validation or on train losses; ``None`` where it has none."""
    return _lessons(_Rows(rows, of_val)) if rows else None


@lru_cache(maxsize=16)
def _lessons(asked: _Rows) -> Lessons | None:
    kept = tuple(lesson for row in asked.rows if (lesson := Lesson(*row)).of_val == float(asked.of_val))
    return Lessons(kept) if kept else None
