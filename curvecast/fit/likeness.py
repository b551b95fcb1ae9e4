"""How alike the forecasts of a team's runs are: a Gaussian process over where they stand, its sizes read off the runs.

Two forecasts miss alike where they stand at a like place. A place is relative (time and decay still to come, the size)
and absolute: the summed learning rate so far and the level of the loss. Small networks of one script leave the level of
their first statistics at the same step, and one that stands lower than its siblings stood there goes on lower.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from curvecast.curve import FloatArray

# Of a place's coordinates three say what is still to come, one is the size, and the others are absolute.
COURSE, SIZE, RELATIVE = 3, 3, 4
# Roots of e-folds of time (near the end misses soon change), shares of a decay's gain (twice), e-folds of the size, of
# the batch, of the summed rate, of the loss; over a root of 3, as Matern's kernel 3/2 counts.
_REACH = np.array([2.5, 2.0, 2.0, 8.0, 4.0, 4.0, 1.0]) / math.sqrt(3.0)
_TREND = 3.0  # e-folds of the size, over which what the law misses by changes by as much as runs share
_ROOM, _FULL = 0.1, 1.5  # relative to the loss: what may come unforeseen where so many e-folds or decays lie ahead
_OWN_REACH = 1.0  # e-folds of the steps: along one run misses are alike
_LEAST = 5e-4  # relative to the loss: no truth is known better
_WORTH = 0.5  # of the evidence: the forecasts of one run say in part the same
_SPREAD = np.array([1.0] * 7 + [0.7] * 2)  # of each logarithm of the habits
_SWEEPS = 3


class Habits(NamedTuple):
    """Standard deviations of what a team's misses are made of, and two factors of the reach.

    Args:
        law: What runs share in how the law's forecasts miss, in standard deviations of these.
        place: What they share besides, in what a place has room for.
        own_law, own_place: A run's own, in the same two units.
        change: The share of the foreseen change that fails to come in all of them.
        nugget: What is left between two forecasts at one place, in standard deviations of the forecast.
        noise: Of an end, in standard deviations that second differences show: of few validations they overrate it, and
            runs that see the same data in the same order share it.
        reach_law, reach_place: How far what is shared reaches, in units of the usual reach.
    """

    law: float = 0.9
    place: float = 0.8
    own_law: float = 0.4
    own_place: float = 0.2
    change: float = 0.5
    nugget: float = 0.2
    noise: float = 0.5
    reach_law: float = 1.0
    reach_place: float = 1.0

    def moved(self) -> Iterator[Habits]:
        """All neighbours: one number doubled, or halved."""
        for name, value in self._asdict().items():
            yield self._replace(**{name: 2.0 * value})
            yield self._replace(**{name: 0.5 * value})


USUAL = Habits()


class Away(NamedTuple):
    """``(n, m)`` each: how far places stand off, as minus the logarithm of Matern's kernel 3/2 of each coordinate.

    That kernel is the characteristic function of a Student's t, which is infinitely divisible: any power of it, as the
    habits' reaches ask for, is a covariance as well.

    Args:
        course: By what is still to come.
        relative: By the size as well.
        every: By all coordinates.
    """

    course: FloatArray
    relative: FloatArray
    every: FloatArray


class Places:
    """Where forecasts stand. Losses are relative to that where the run stands.

    Args:
        at: ``(n, 7)`` time, gained, ahead, size, batch, clock and level of each (``lessons.Lesson``).
        change: ``(n,)`` the change up to the step that is forecast, as the law foresees it.
        sd: ``(n,)`` its standard deviation.
    """

    def __init__(self, at: FloatArray, change: FloatArray, sd: FloatArray) -> None:
        self.at, self.change, self.sd = at, change, sd
        self.scaled = at.T / _REACH[:, None]  # in reaches
        self.scaled[0] = np.sqrt(np.maximum(at[:, 0], 0.0)) / _REACH[0]
        # What may come that no law foresees: the more, the more lies ahead.
        self.room = _ROOM * np.minimum(np.maximum(at[:, 0] + at[:, 2], 0.0) / _FULL, 1.0)
        self.least = (_LEAST * (1.0 + np.abs(change))) ** 2  # variance of the best known truth

    def trend(self, middle: float) -> FloatArray:
        """``(n,)`` how much a trend in the size has brought by a network's own, from a middle one on."""
        return np.asarray((self.at[:, SIZE] - middle) / _TREND * self.sd)

    def away(self, others: Places) -> Away:
        """How far others stand off."""
        apart = np.abs(self.scaled[:, :, None] - others.scaled[:, None])
        apart -= np.log1p(apart)
        course = np.add.reduce(apart[:COURSE])
        relative = course + np.add.reduce(apart[COURSE:RELATIVE])
        return Away(course, relative, relative + np.add.reduce(apart[RELATIVE:]))

    def shared(self, others: Places, away: Away, habits: Habits, middle: float) -> FloatArray:
        """``(n, m)`` covariance with the misses of another run's forecasts."""
        outer = np.multiply.outer
        by_law = outer(self.sd, others.sd) * np.exp(away.relative / -habits.reach_law)
        by_law += outer(self.trend(middle), others.trend(middle)) * np.exp(away.course / -habits.reach_law)
        by_place = outer(self.room, others.room) * np.exp(away.every / -habits.reach_place)
        foreseen = outer(self.change, others.change)
        return np.asarray(habits.law**2 * by_law + habits.place**2 * by_place + habits.change**2 * foreseen)

    def variance(self, habits: Habits, middle: float) -> FloatArray:
        """``(n,)`` variance of the miss of a run that nothing is known of."""
        in_law = habits.law**2 + habits.own_law**2 + habits.nugget**2
        in_place = habits.place**2 + habits.own_place**2
        other = (habits.law * self.trend(middle)) ** 2 + (habits.change * self.change) ** 2 + self.least
        return np.asarray(in_law * self.sd**2 + in_place * self.room**2 + other)


class Team:
    """Forecasts of a team's finished runs.

    Args:
        places: Where the ``n`` of them stood.
        run: ``(n,)`` number of the run.
        progress: ``(n,)`` logarithm of the share of the steps that was seen.
        noise: ``(n,)`` standard deviation of the truth, relative to the loss where the run stood.
    """

    def __init__(self, places: Places, run: FloatArray, progress: FloatArray, noise: FloatArray) -> None:
        self.places, self.run = places, run
        self.middle = float(places.at[:, SIZE].mean())
        self.away = places.away(places)
        same = np.equal.outer(run, run)
        own = same * np.exp(-np.abs(np.subtract.outer(progress, progress)) / _OWN_REACH)
        self.own_law = own * np.multiply.outer(places.sd, places.sd)
        self.own_place = own * np.multiply.outer(places.room, places.room)
        self.noise = same * np.multiply.outer(noise, noise)

    def covariance(self, habits: Habits) -> FloatArray:
        """``(n, n)`` of their misses."""
        shared = self.places.shared(self.places, self.away, habits, self.middle)
        own = habits.own_law**2 * self.own_law + habits.own_place**2 * self.own_place + habits.noise**2 * self.noise
        nugget = np.diag((habits.nugget * self.places.sd) ** 2 + self.places.least)
        return np.asarray(shared + own + nugget)

    def habits(self, miss: FloatArray) -> Habits:
        """The team's habits: from the usual ones uphill, as far as ``(n,)`` misses give reason to.

        One run cannot tell what runs share, and two of them but half of it.
        """
        worth = _WORTH * (1.0 - 1.0 / len(np.unique(self.run)))
        best, most = USUAL, worth * self._evidence(USUAL, miss)
        for _ in range(_SWEEPS if worth else 0):
            before = best
            for moved in before.moved():
                trial = _joined(before, best, moved)
                score = worth * self._evidence(trial, miss) - _price(trial)
                if score > most:
                    best, most = trial, score
            if best == before:
                break
        return best

    def _evidence(self, habits: Habits, miss: FloatArray) -> float:
        root = np.linalg.cholesky(self.covariance(habits))
        white = np.linalg.solve(root, miss)
        return float(-0.5 * white @ white - np.log(np.diag(root)).sum())


def _joined(before: Habits, best: Habits, moved: Habits) -> Habits:
    """The best so far with the one number that a neighbour has otherwise."""
    return Habits(*(b if m == was else m for was, b, m in zip(before, best, moved, strict=True)))


def _price(habits: Habits) -> float:
    """What it costs to be unusual: minus the logarithm of a log-normal belief."""
    away = np.log(np.array(habits) / np.array(USUAL)) / _SPREAD
    return 0.5 * float(away @ away)
