"""How alike the forecasts of a team's runs are: a Gaussian process over where they stand, its sizes read off the runs.

Two forecasts miss alike where they stand at a like place. A place is relative (time and decay still to come, the size)
and absolute: the summed learning rate so far and the level of the loss. Small networks of one script leave the level of
their first statistics at the same step, and one that stands lower than its siblings stood there goes on lower.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri

from curvecast.curve import FloatArray

# Of a place's coordinates three say what is still to come, one is the size, and the others are absolute.
COURSE, SIZE, RELATIVE = 3, 3, 4
# Roots of e-folds of time (near the end misses soon change), shares of a decay's gain (twice), e-folds of the size, of
# the batch, of the summed rate, of the loss; over a root of 3, as Matern's kernel 3/2 counts.
_REACH = np.array([2.5, 1.4, 1.4, 8.0, 4.0, 4.0, 1.0]) / math.sqrt(3.0)
_SURE_REACH = 8.0 / math.sqrt(3.0)  # e-folds of the law's standard deviation: a share that fails to come early, or late
_TREND = 3.0  # over so many e-folds of the size, what the law misses by changes by as much as runs share
_ROOM, _FULL = 0.1, 1.5  # share of the loss that may come unforeseen if so many e-folds or decays lie ahead
_OWN_REACH = 1.0  # along one run, misses are alike over so many e-folds of the steps
_TINY = 1e-300
_LEAST = 5e-4  # no end is known better than to this share of the loss
_WORTH = 0.5  # the evidence counts by this factor: forecasts of one run say in part the same
_SPREAD = {"reach_law": 0.7, "reach_place": 0.7}  # standard deviation of a habit's logarithm, where it is not 1
_SWEEPS = 3  # so often at most is each size doubled or halved
_FREEDOM = 1.0  # a run's own misses scatter between runs as a Student's t of so many degrees of freedom
_LEAST_OF_RUNS = 3  # among fewer runs none can be told to be the odd one


class Habits(NamedTuple):
    """Standard deviations of what a team's misses are made of, and two factors of the reach.

    Args:
        law: What runs share in how the law's forecasts miss, in standard deviations of these.
        place: What they share besides, in what a place has room for.
        own_law, own_place: A run's own, in the same two units.
        change: The share of the foreseen change that fails to come in all of them where the law is about as sure.
        nugget: What is left between two forecasts at one place, in standard deviations of the forecast.
        noise: Of an end, and once more of what was seen of the run, in standard deviations that second differences
            show: of few validations they overrate it, and runs that see the same data in the same order share it.
        reach_law, reach_place: How far what is shared reaches, in units of the usual reach.
    """

    law: float = 0.8
    place: float = 0.6
    own_law: float = 0.3
    own_place: float = 0.1
    change: float = 0.5
    nugget: float = 0.15
    noise: float = 1.0
    reach_law: float = 1.0
    reach_place: float = 1.0

    def moved(self, tied: Sequence[tuple[str, ...]]) -> Iterator[Habits]:
        """All neighbours: numbers that are tied doubled, or halved, together."""
        for names in tied:
            for factor in (2.0, 0.5):
                yield self._replace(**{name: factor * getattr(self, name) for name in names})


USUAL = Habits()
_EACH = tuple((name,) for name in Habits._fields)
# One run shows how large its misses are, but not what of them another run will share.
_ALONE = (("law", "own_law", "nugget"), ("place", "own_place"), ("change",), ("noise",))


class Away(NamedTuple):
    """``(n, m)`` each: how far places stand off, as minus the logarithm of Matern's kernel 3/2 of each coordinate.

    That kernel is the characteristic function of a Student's t, which is infinitely divisible: any power of it, as the
    habits' reaches ask for, is a covariance as well.

    Args:
        course: By what is still to come.
        relative: By the size as well.
        every: By all coordinates.
        sure: By the law's standard deviation.
    """

    course: FloatArray
    relative: FloatArray
    every: FloatArray
    sure: FloatArray


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
        self.sure = np.log(np.maximum(sd, _TINY))  # a prior's file may hold any
        # What may come that no law foresees: the more, the more lies ahead.
        self.room = _ROOM * np.minimum(np.maximum(at[:, 0] + at[:, 2], 0.0) / _FULL, 1.0)
        self.least = (_LEAST * (1.0 + np.abs(change))) ** 2  # variance of the best known truth

    def unforeseen(self) -> Places:
        """The same of forecasts that all stays as it is; how sure the law was still tells one place from another."""
        return Places(self.at, np.zeros_like(self.change), self.sd)

    def trend(self, middle: float) -> FloatArray:
        """``(n,)`` how much a trend in the size has brought by a network's own, from a middle one on."""
        return np.asarray((self.at[:, SIZE] - middle) / _TREND * self.sd)

    def away(self, others: Places) -> Away:
        """How far others stand off."""
        apart = np.abs(self.scaled[:, :, None] - others.scaled[:, None])
        apart -= np.log1p(apart)
        course = np.add.reduce(apart[:COURSE])
        relative = course + np.add.reduce(apart[COURSE:RELATIVE])
        every = relative + np.add.reduce(apart[RELATIVE:])
        sure = np.abs(np.subtract.outer(self.sure, others.sure)) / _SURE_REACH
        return Away(course, relative, every, sure - np.log1p(sure))

    def shared(self, others: Places, away: Away, habits: Habits, middle: float) -> FloatArray:
        """``(n, m)`` covariance with the misses of another run's forecasts."""
        by_law = habits.law**2 * self.by_law(others, away, habits.reach_law, middle)
        by_place = habits.place**2 * self.by_place(others, away, habits.reach_place)
        return np.asarray(by_law + by_place + habits.change**2 * self.foreseen(others, away))

    def by_law(self, others: Places, away: Away, reach: float, middle: float) -> FloatArray:
        """``(n, m)`` what is shared in standard deviations of the law's."""
        outer = np.multiply.outer
        level = outer(self.sd, others.sd) * np.exp(away.relative / -reach)
        level += outer(self.trend(middle), others.trend(middle)) * np.exp(away.course / -reach)
        return np.asarray(level)

    def by_place(self, others: Places, away: Away, reach: float) -> FloatArray:
        """``(n, m)`` what is shared of what a place has room for."""
        return np.asarray(np.multiply.outer(self.room, others.room) * np.exp(away.every / -reach))

    def foreseen(self, others: Places, away: Away) -> FloatArray:
        """``(n, m)`` what is shared of the changes that the law foresaw."""
        return np.asarray(np.multiply.outer(self.change, others.change) * np.exp(-away.sure))

    def variance(self, habits: Habits, middle: float) -> FloatArray:
        """``(n,)`` variance of the miss of a run that nothing is known of."""
        shared = habits.law**2 * (self.sd**2 + self.trend(middle) ** 2) + habits.place**2 * self.room**2
        return np.asarray(shared + self.own(habits) + (habits.change * self.change) ** 2 + self.least)

    def own(self, habits: Habits) -> FloatArray:
        """``(n,)`` what of that is a run's own."""
        in_law = habits.own_law**2 + habits.nugget**2
        return np.asarray(in_law * self.sd**2 + habits.own_place**2 * self.room**2)


class Team:
    """Forecasts of a team's finished runs.

    Args:
        places: Where the ``n`` of them stood.
        run: ``(n,)`` number of the run.
        progress: ``(n,)`` logarithm of the share of the steps that was seen.
        noise: ``(n,)`` standard deviation of the truth, relative to the loss where the run stood.

    Attributes:
        size: ``(n,)`` how many times the usual variance a run's own part is taken to have: 1 unless it is odd.
    """

    def __init__(self, places: Places, run: FloatArray, progress: FloatArray, noise: FloatArray) -> None:
        self.places = places
        self.middle = middle = float(places.at[:, SIZE].mean())
        self.away = away = places.away(places)
        # The habits' reaches take few values, and an exponential costs more than all else.
        self.by_law = cache(lambda reach: places.by_law(places, away, reach, middle))
        self.by_place = cache(lambda reach: places.by_place(places, away, reach))
        self.foreseen = places.foreseen(places, away)
        of_run = [np.flatnonzero(run == number) for number in np.unique(run)]
        self.runs = len(of_run)
        # Runs with as many lessons are solved together.
        self.alike = [np.array([of for of in of_run if len(of) == k]) for k in sorted({len(of) for of in of_run})]
        same = np.equal.outer(run, run)
        own = same * np.exp(-np.abs(np.subtract.outer(progress, progress)) / _OWN_REACH)
        self.own_law = own * np.multiply.outer(places.sd, places.sd)
        self.own_place = own * np.multiply.outer(places.room, places.room)
        self.nugget, self.size = places.sd**2, np.ones(len(run))
        # The lessons of a run share its end. What it stood at is as noisy, each time anew: were it not, the difference
        # of two forecasts of one end would be known for certain, and be made much of.
        self.noise = same * np.multiply.outer(noise, noise) + np.diag(noise * noise)

    def covariance(self, habits: Habits) -> FloatArray:
        """``(n, n)`` of their misses."""
        shared = habits.law**2 * self.by_law(habits.reach_law) + habits.place**2 * self.by_place(habits.reach_place)
        shared += habits.change**2 * self.foreseen
        own = habits.own_law**2 * self.own_law + habits.own_place**2 * self.own_place + habits.noise**2 * self.noise
        nugget = np.diag(habits.nugget**2 * self.nugget + self.places.least)
        return np.asarray(shared + own + nugget)

    def without_its_run(
        self, inverse: FloatArray, solved: FloatArray
    ) -> Iterator[tuple[NDArray[np.intp], FloatArray, FloatArray]]:
        """What the other runs leave of a run's misses, for those runs together that have as many lessons.

        Args:
            inverse: ``(n, n)`` of the covariance.
            solved: ``(n,)`` that times the misses.

        Yields:
            ``(r, k)`` numbers of the lessons, ``(r, k)`` what is left of them, and ``(r, k, k)`` its covariance.
        """
        for of in self.alike:
            covariance = np.linalg.inv(inverse[of[:, :, None], of[:, None]])
            yield of, np.einsum("rij,rj->ri", covariance, solved[of]), covariance

    def learnt(self, miss: FloatArray) -> Habits:
        """The team's habits, as ``(n,)`` misses have them; runs that are unlike the others count less from now on."""
        habits = self.habits(miss)
        if self.runs < _LEAST_OF_RUNS:
            return habits
        self.loosen(habits, miss)
        return self.habits(miss, habits)

    def habits(self, miss: FloatArray, start: Habits = USUAL) -> Habits:
        """Uphill from some habits, as far as ``(n,)`` misses give reason to.

        Of one run only the sizes are read off, and two of them tell but half of what they share.
        """
        tied, worth = (_ALONE, _WORTH) if self.runs == 1 else (_EACH, _WORTH * (1.0 - 1.0 / self.runs))
        best, most = start, worth * self._evidence(start, miss) - _price(start, tied)
        for _ in range(_SWEEPS):
            before = best
            for moved in before.moved(tied):
                trial = _joined(before, best, moved)
                score = worth * self._evidence(trial, miss) - _price(trial, tied)
                if score > most:
                    best, most = trial, score
            if best == before:
                break
        return best

    def loosen(self, habits: Habits, miss: FloatArray) -> None:
        """Make a run's own part as much larger as the others are surprised by its ``(n,)`` misses.

        One run that went astray must not tell of all. As a Student's t has it, a run's variance is the mean of the
        usual one and of its own surprise (Lange, Little and Taylor 1989); but no run is taken for a paragon.
        """
        inverse, _ = inverted(self.covariance(habits))
        solved, size = inverse @ miss, self.size
        for of, rest, _ in self.without_its_run(inverse, solved):
            surprise = np.add.reduce(solved[of] * rest, axis=1)
            size[of] = np.maximum((_FREEDOM + surprise) / (_FREEDOM + of.shape[1]), 1.0)[:, None]
        self.own_law *= np.sqrt(np.multiply.outer(size, size))
        self.own_place *= np.sqrt(np.multiply.outer(size, size))
        self.nugget *= size

    def _evidence(self, habits: Habits, miss: FloatArray) -> float:
        """Logarithm of the misses' density; of several runs half of it is that of each run's under the others.

        For that is what the habits are for. Alone it takes what few runs say of one another for more than it is.
        """
        inverse, log_size = inverted(self.covariance(habits))
        solved = inverse @ miss
        together = -0.5 * float(log_size + miss @ solved)
        if self.runs == 1:
            return together
        apart = 0.0
        for of, rest, covariance in self.without_its_run(inverse, solved):
            apart -= 0.5 * float((solved[of] * rest).sum() + np.linalg.slogdet(covariance)[1].sum())
        return 0.5 * (together + apart)


def inverted(covariance: FloatArray) -> tuple[FloatArray, float]:
    """The inverse of a covariance, and the logarithm of its determinant.

    Example:
        >>> inverse, log_size = inverted(np.array([[2.0, 1.0], [1.0, 1.0]]))
        >>> inverse.round(6).tolist(), round(abs(log_size), 6)
        ([[1.0, -1.0], [-1.0, 2.0]], 0.0)
    """
    root, failed = dpotrf(covariance, lower=1)
    if failed:  # by rounding alone: two lessons at one place
        return np.asarray(np.linalg.inv(covariance)), float(np.linalg.slogdet(covariance)[1])
    half, _ = dpotri(root, lower=1)
    inverse = np.tril(half)
    inverse += np.tril(half, -1).T
    return inverse, 2.0 * float(np.log(np.diagonal(root)).sum())


def alike_in_size(one: tuple[float, float], other: tuple[float, float]) -> float:
    """How alike two runs' sizes and batches are, from 0 to 1.

    Args:
        one: Logarithm of the parameters, and of the tokens of a step.
        other: The same of the other.

    Example:
        >>> round(alike_in_size((18.0, 13.0), (19.5, 13.0)), 2), round(alike_in_size((18.0, 13.0), (11.5, 6.5)), 2)
        (0.96, 0.13)
    """
    apart = np.abs(np.subtract(one, other)) / _REACH[SIZE : SIZE + 2]
    return float(np.exp(np.log1p(apart).sum() - apart.sum()))


def _joined(before: Habits, best: Habits, moved: Habits) -> Habits:
    """The best so far with the numbers that a neighbour has otherwise."""
    return Habits(*(b if m == was else m for was, b, m in zip(before, best, moved, strict=True)))


def _price(habits: Habits, tied: Sequence[tuple[str, ...]]) -> float:
    """What it costs to be unusual: minus the logarithm of a log-normal belief, in the first of those that are tied."""
    away = (math.log(getattr(habits, name) / getattr(USUAL, name)) / _SPREAD.get(name, 1.0) for name, *_ in tied)
    return 0.5 * sum(each * each for each in away)
