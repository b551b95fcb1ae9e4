"""What forecasts of finished runs missed by, as a process over where they stand, and what each run's others foretell.

Which forecasts is left open: the law's, or that all stays as it is, of which the misses are the changes themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from curvecast.curve import FloatArray
from curvecast.fit.likeness import Away, Places, Team, inverted

_MOST = 6.0  # a miss counts for so many standard deviations at most
DOUBT = 2.0  # that the process's own standard deviation is right is believed as if so many misses had shown it
REPEATS = 0.5  # a lesson counts for this much of one: forecasts of one run say in part the same
_LEAST_LEFT = 1e-3  # no lesson leaves less than this share of the law's variance
_TINY = 1e-300


class Miss(NamedTuple):
    """What a run is expected to come to at ``m`` places: one like most, and an odd one.

    Args:
        change, sd: ``(2, m)`` mean and standard deviation of the change, relative to the loss where the run stands.
        probability: ``(2, m)`` that the run is such a one.
    """

    change: FloatArray
    sd: FloatArray
    probability: FloatArray


class Misses:
    """The misses of one kind of forecast, solved once.

    Args:
        places: Where the ``n`` forecasts stood, and the change that each foresaw.
        run: ``(n,)`` number of the run.
        progress: ``(n,)`` logarithm of the share of the steps that was seen.
        noise: ``(n,)`` standard deviation of what came.
        came: ``(n,)`` the change that came, relative to the loss where the run stood.

    Attributes:
        mean, sd: ``(n,)`` each: the change that the other runs foretell of each lesson, and its standard deviation.
    """

    def __init__(
        self, places: Places, run: FloatArray, progress: FloatArray, noise: FloatArray, came: FloatArray
    ) -> None:
        most = _MOST * np.maximum(places.sd, places.room)
        miss = np.clip(came - places.change, -most, most)
        team = Team(places, run, progress, noise)
        self.places, self.middle = places, team.middle
        self.habits, self.size = team.learnt(miss), team.size
        self.noise = (self.habits.noise * noise) ** 2
        self.inverse, _ = inverted(team.covariance(self.habits))
        self.solved = self.inverse @ miss
        rest, variance = np.empty(len(run)), np.empty(len(run))
        for of, left, covariance in team.without_its_run(self.inverse, self.solved):
            rest[of], variance[of] = left, np.diagonal(covariance, axis1=1, axis2=2)
        self.surprise = rest * rest / variance
        self.mean = places.change + miss - rest
        self.sd = np.sqrt(variance * self._scale(self.alike(team.away) * np.not_equal.outer(run, run)))

    def expected(self, places: Places, away: Away) -> Miss:
        """The change at ``m`` places, and how far a run may come from it.

        How wide that is is learnt where the lessons are: intervals may be too narrow late and too wide early. The next
        run is odd as often as those there were, and as much.
        """
        shared = places.shared(self.places, away, self.habits, self.middle)
        left = places.variance(self.habits, self.middle) - np.add.reduce((shared @ self.inverse) * shared, axis=1)
        alike = self.alike(away)
        share = alike / np.maximum(alike.sum(axis=1), _TINY)[:, None]
        usual = np.maximum(left, _LEAST_LEFT * places.sd**2) + share @ self.noise  # the last is of their ends
        odd = share @ (self.size > 1.0)
        larger = share @ (self.size - 1.0) / np.maximum(odd, _TINY)
        variance = np.array([usual, usual + larger * places.own(self.habits)]) * self._scale(alike)
        change = places.change + shared @ self.solved
        return Miss(np.array([change, change]), np.sqrt(variance), np.array([1.0 - odd, odd]))

    def alike(self, away: Away) -> FloatArray:
        """``(m, n)`` how alike places are to those of the lessons, from 0 to 1."""
        return np.asarray(np.exp(away.every / -self.habits.reach_place))

    def _scale(self, alike: FloatArray) -> FloatArray:
        """``(m,)`` what the variance must be taken times, as lessons surprise one another there."""
        worth = REPEATS * alike
        return np.asarray((DOUBT + worth @ self.surprise) / (DOUBT + worth.sum(axis=1)))
