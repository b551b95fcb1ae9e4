"""How alike the forecasts of a team's runs are: a Gaussian process over where they stand, its sizes read off the runs.

Two forecasts miss alike where they stand at a like place. A place is relative (time and decay still to come, the size)
and absolute: the summed learning rate so far and the level of the loss. Small networks of one script leave the level of
their first statistics at the same step, and one that stands lower than its siblings stood there goes on lower.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from curvecast.curve import FloatArray

RELATIVE = 4  # of a place's coordinates: the others are absolute
# E-folds of time, shares of a decay's gain (twice), e-folds of the size, of the summed rate, of the loss.
_REACH = np.array([4.0, 2.0, 2.0, 8.0, 6.0, 2.0])
_ROOM, _FULL = 0.1, 1.5  # relative to the loss: what may come unforeseen where so many e-folds or decays lie ahead
_OWN_REACH = 1.0  # e-folds of the steps: along one run misses are alike
_TRUTHS = 0.5  # of the variance that a truth's noise seems to have: of few validations it is overrated
_LEAST = 5e-4  # relative to the loss: no truth is known better
_WORTH = 0.5  # of the evidence: the forecasts of one run say in part the same
_SPREAD = np.array([1.0] * 6 + [0.7] * 2)  # of each logarithm of the habits
_SWEEPS = 3


class Habits(NamedTuple):
    """Standard deviations of what a team's misses are made of, and two factors of the reach.

    Args:
        law: What runs share in how the law's forecasts miss, in standard deviations of these.
        place: What they share besides, in what a place has room for.
        own_law, own_place: A run's own, in the same two units.
        change: The share of the foreseen change that fails to come in all of them.
        nugget: What is left between two forecasts at one place, in standard deviations of the forecast.
        reach_law, reach_place: How far what is shared reaches, in units of the usual reach.
    """

    law: float = 0.9
    place: float = 0.8
    own_law: float = 0.4
    own_place: float = 0.2
    change: float = 0.3
    nugget: float = 0.2
    reach_law: float = 1.0
    reach_place: float = 1.0

    def moved(self) -> Iterator[Habits]:
        """All neighbours: one number doubled, or halved."""
        for name, value in self._asdict().items():
            yield self._replace(**{name: 2.0 * value})
            yield self._replace(**{name: 0.5 * value})


USUAL = Habits()


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where forecasts stand. Losses are relative to that where the run stands.

    Args:
        at: ``(n, 6)`` time, gained, ahead, size, clock and level of each (``lessons.Lesson``).
        change: ``(n,)`` the change up to the step that is forecast, as the law foresees it.
        sd: ``(n,)`` its standard deviation.
    """

    at: FloatArray
    change: FloatArray
    sd: FloatArray

    @property
    def room(self) -> FloatArray:
        """``(n,)`` what may come that no law foresees: the more, the more lies ahead."""
        return _ROOM * np.minimum(np.maximum(self.at[:, 0] + self.at[:, 2], 0.0) / _FULL, 1.0)

    @property
    def least(self) -> FloatArray:
        """``(n,)`` variance of the best known truth."""
        return np.asarray((_LEAST * (1.0 + np.abs(self.change))) ** 2)

    def away(self, others: Places) -> tuple[FloatArray, FloatArray]:
        """``(n, m)`` each: how far others stand off, in reaches, by the relative coordinates and by all."""
        apart = [np.abs(np.subtract.outer(a, b)) / r for a, b, r in zip(self.at.T, others.at.T, _REACH, strict=True)]
        relative = sum(apart[1:RELATIVE], apart[0])
        return relative, sum(apart[RELATIVE:], relative)

    def shared(self, others: Places, away: tuple[FloatArray, FloatArray], habits: Habits) -> FloatArray:
        """``(n, m)`` covariance with the misses of another run's forecasts."""
        relative, every = away
        by_law = habits.law**2 * np.exp(relative / -habits.reach_law)
        by_place = habits.place**2 * np.exp(every / -habits.reach_place)
        outer = np.multiply.outer
        return np.asarray(
            by_law * outer(self.sd, others.sd)
            + by_place * outer(self.room, others.room)
            + habits.change**2 * outer(self.change, others.change)
        )

    def variance(self, habits: Habits) -> FloatArray:
        """``(n,)`` variance of the miss of a run that nothing is known of."""
        in_law = habits.law**2 + habits.own_law**2 + habits.nugget**2
        in_place = habits.place**2 + habits.own_place**2
        foreseen = (habits.change * self.change) ** 2
        return np.asarray(in_law * self.sd**2 + in_place * self.room**2 + foreseen + self.least)


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
        self.away = places.away(places)
        same = np.equal.outer(run, run)
        own = same * np.exp(-np.abs(np.subtract.outer(progress, progress)) / _OWN_REACH)
        self.own_law = own * np.multiply.outer(places.sd, places.sd)
        self.own_place = own * np.multiply.outer(places.room, places.room)
        self.noise = _TRUTHS * same * np.multiply.outer(noise, noise) + np.diag(places.least)

    def covariance(self, habits: Habits) -> FloatArray:
        """``(n, n)`` of their misses."""
        own = habits.own_law**2 * self.own_law + habits.own_place**2 * self.own_place
        nugget = np.diag((habits.nugget * self.places.sd) ** 2)
        return np.asarray(self.places.shared(self.places, self.away, habits) + own + nugget + self.noise)

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
