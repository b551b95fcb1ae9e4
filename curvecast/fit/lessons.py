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
from curvecast.fit.likeness import Away, Places, Team, alike_in_size

UNKNOWN_SIZE = math.log(1e6)  # half-way between small and large
UNKNOWN_BATCH = math.log(1e5)  # tokens: half-way between those of small and of large networks
_MOST = 6.0  # standard deviations that a miss counts for
_DOUBT = 2.0  # misses' worth of belief that the process's own standard deviation is right
_REPEATS = 0.5  # of a lesson: forecasts of one run say in part the same
_LEAST_LEFT = 1e-3  # of the law's variance: no lesson leaves less
_FIRST = 0.7  # probability that a team's runs teach something, before any was held against the others
_SUREST = 0.95  # and the most there ever is: a run may always be the first of its kind
_MOST_GAIN = 3.0  # log-likelihood that one run may speak for or against the lessons
_KIN = 0.5  # least likeness in size and batch of runs that teach one another
_TINY = 1e-300
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
        batch: Logarithm of the tokens of a step.
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
    batch: float
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
        >>> where, far = (0.7, 0.0, 0.8, 18.0, 13.0, 7.0, 1.0), (0.1, 0.5, 0.3, 2.0, 4.0, 2.0, 1.0)
        >>> late = Lesson(0.0, 1.0, -0.7, *where, change=-0.1, sd=0.01, came=-0.08, noise=0.0, density=2.0)
        >>> places = Places(np.array([where, far]), np.array([-0.1, 0.0]), np.full(2, 0.01))
        >>> change, sd, held = Lessons((late,)).expected(places)
        >>> change.round(3).tolist(), sd.round(3).tolist(), held.round(2).tolist()
        ([-0.08, 0.0], [0.013, 0.046], [0.7, 0.0])
    """

    def __init__(self, lessons: tuple[Lesson, ...]) -> None:
        table = np.array(lessons, dtype=np.float64)
        run, progress = table[:, 0], table[:, 2]
        change, sd, came, noise, density = table[:, 10:].T
        self.places = Places(table[:, 3:10], change, sd)
        most = _MOST * np.maximum(sd, self.places.room)
        miss = np.clip(came - change, -most, most)
        team = Team(self.places, run, progress, noise)
        self.habits = team.learnt(miss)
        self.middle, self.noise, self.sure = team.middle, (self.habits.noise * noise) ** 2, self.places.sure
        self.inverse = np.asarray(np.linalg.inv(team.covariance(self.habits)), dtype=np.float64)
        self.solved = self.inverse @ miss
        rest, variance = np.empty(len(run)), np.empty(len(run))
        for of, left, covariance in team.without_its_run(self.inverse, self.solved):
            rest[of], variance[of] = left, np.diagonal(covariance, axis1=1, axis2=2)
        self.surprise = rest * rest / variance
        variance *= self._scale(self._alike(team.away) * np.not_equal.outer(run, run))
        taught = -0.5 * (rest * rest / variance + np.log(2.0 * math.pi * variance))
        self.of_run = np.equal.outer(run, np.unique(run)).astype(np.float64)
        # One run alone is held against none.
        self.gain = np.clip(taught - density, -_MOST_GAIN, _MOST_GAIN) * (self.of_run.shape[1] > 1)

    def expected(self, places: Places) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What the lessons foresee at ``m`` places, and how far that may be believed.

        How wide it is is learnt where the lessons are: intervals may be too narrow late and too wide early.

        Returns:
            ``(m,)`` each: mean and standard deviation of the relative change where the lessons hold, and the
            probability that they do. Otherwise the law does: where runs teach each other nothing, and far from all.
        """
        away = places.away(self.places)
        shared = places.shared(self.places, away, self.habits, self.middle)
        left = places.variance(self.habits, self.middle) - np.add.reduce((shared @ self.inverse) * shared, axis=1)
        alike = self._alike(away)
        variance = (np.maximum(left, _LEAST_LEFT * places.sd**2) + self._noise(alike)) * self._scale(alike)
        held = self._held(alike * self._as_sure(places)) * alike.max(axis=1)
        return places.change + shared @ self.solved, np.sqrt(variance), held

    def _alike(self, away: Away) -> FloatArray:
        """``(m, n)`` how alike places are to those of the lessons, from 0 to 1."""
        return np.asarray(np.exp(away.every / -self.habits.reach_place))

    def _noise(self, alike: FloatArray) -> FloatArray:
        """``(m,)`` variance of what is logged at the end of runs at like places about what they came to."""
        share = alike / np.maximum(alike.sum(axis=1), _TINY)[:, None]
        return np.asarray(share @ self.noise)

    def _as_sure(self, places: Places) -> FloatArray:
        """``(m, n)`` how alike the law's standard deviations are: of a run that never learnt it is as good as sure."""
        return np.asarray(np.exp(-np.abs(np.subtract.outer(places.sure, self.sure))))

    def _held(self, alike: FloatArray) -> FloatArray:
        """``(m,)`` probability that the runs teach something there: each was held against what others taught."""
        gained = ((alike * self.gain) @ self.of_run / np.maximum(alike @ self.of_run, 1.0)).sum(axis=1)
        odds_of_law = np.exp(np.minimum(-gained, _SURE)) * ((1.0 - _FIRST) / _FIRST)
        return np.asarray(np.minimum(1.0 / (1.0 + odds_of_law), _SUREST))

    def _scale(self, alike: FloatArray) -> FloatArray:
        """``(m,)`` what the variance must be taken times, as lessons surprise one another there."""
        worth = _REPEATS * alike
        return np.asarray((_DOUBT + worth @ self.surprise) / (_DOUBT + worth.sum(axis=1)))


class _Rows:
    """Lessons on one kind of loss, found by a few of them: to hash all takes longer than to use them."""

    def __init__(self, rows: tuple[tuple[float, ...], ...], of_val: bool) -> None:
        self.rows, self.of_val = rows, of_val

    def __hash__(self) -> int:
        return hash((len(self.rows), self.rows[0], self.rows[-1], self.of_val))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Rows) and self.of_val == other.of_val and self.rows == other.rows


def lessons_on(
    rows: tuple[tuple[float, ...], ...], of_val: bool, size: float = UNKNOWN_SIZE, batch: float = UNKNOWN_BATCH
) -> Lessons | None:
    """A prior's lessons on validation or on train losses, of runs about as large; ``None`` where it has none.

    Args:
        rows: The prior's.
        of_val: On which loss.
        size: Logarithm of the parameters of the run that is forecast.
        batch: Logarithm of the tokens of a step of it.
    """
    if not rows:
        return None
    asked = _Rows(rows, of_val)
    return _lessons(asked, _kin(asked, size, batch))


@lru_cache(maxsize=256)
def _kin(asked: _Rows, size: float, batch: float) -> frozenset[float]:
    """The runs about as large as one: strangers would set the sizes of what all of them share.

    Size and batch are what a run does not change on its way, so that its teachers stay the same.
    """
    lessons = [Lesson(*row) for row in asked.rows]
    told = {lesson.run: (lesson.size, lesson.batch) for lesson in lessons if lesson.of_val == float(asked.of_val)}
    return frozenset(run for run, of_run in told.items() if alike_in_size((size, batch), of_run) >= _KIN)


@lru_cache(maxsize=16)
def _lessons(asked: _Rows, runs: frozenset[float]) -> Lessons | None:
    lessons = (Lesson(*row) for row in asked.rows)
    kept = tuple(lesson for lesson in lessons if lesson.of_val == float(asked.of_val) and lesson.run in runs)
    return Lessons(kept) if kept else None
