"""Finished runs' whole curves as one process: where a run that has come so far as this one ends, by theirs.

What forecasts missed by (``fit.misses``) knows of a run where it stands. Here its way there counts, too, and every loss
of the others: a run that has kept two per cent above its siblings, as far as it was seen, is likely to end there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dgesv, dpotrf, dtrtrs

from curvecast.curve import FloatArray
from curvecast.fit.likeness import inverted
from curvecast.fit.paths import Path, Point

_MOST = 256  # points of all runs; of many runs each has fewer
_REACH_TIME = 1.5 / math.sqrt(5.0)  # e-folds of the summed rate: Matern 5/2
_REACH_RECIPE = 4.0 / math.sqrt(3.0)  # e-folds of size and batch: Matern 3/2
_REACH_GAIN = 0.3 / math.sqrt(3.0)  # shares of a full decay's gain: Matern 3/2
_TREND = 3.0  # over so many e-folds of size or batch a trend brings its standard deviation
_LEAST = 5e-4  # no loss is known better than to this share
_SPREAD, _SPREAD_OF_REACH = 2.5, 0.7  # standard deviation of what is believed of a habit's logarithm
_WORTH = 0.5  # the evidence counts by this factor
_SWEEPS = 5  # so often at most is each size doubled or halved
_AT = 0.02  # e-folds of the steps: a group that ends so close to a place ends there


class Habits(NamedTuple):
    """Standard deviations of what logarithms of losses are made of, and two factors of the reach.

    Args:
        shared: The curve that all runs have.
        recipe: How it differs with size and batch,
        trend: steadily.
        decay, shape, arrival: What a full decay takes, how it arrives by the annealing shapes, and by none of them.
        of_recipe: How that differs with size and batch.
        bend, level, own_decay: What is a run's own of the curve, of all of it, and of a decay.
        noise: Of a loss, in standard deviations that second differences show.
        reach_time, reach_recipe: In units of the usual reach.
    """

    shared: float = 0.2
    recipe: float = 0.06
    trend: float = 0.02
    decay: float = 0.1
    shape: float = 0.1
    arrival: float = 0.02
    of_recipe: float = 0.04
    bend: float = 0.005
    level: float = 0.01
    own_decay: float = 0.01
    noise: float = 1.0
    reach_time: float = 1.0
    reach_recipe: float = 1.0


USUAL = Habits()


class _Kernel:
    """Covariances of logarithms of losses at ``(n, 6)`` and ``(m, 6)`` places of the same run, or of any two.

    Under other habits the matrices stay, but for those of another reach.
    """

    def __init__(self, one: FloatArray, other: FloatArray, middle: FloatArray) -> None:
        outer = np.multiply.outer
        self._time = np.abs(np.subtract.outer(one[:, 0], other[:, 0]))
        self._recipe = np.abs(one.T[4:, :, None] - other.T[4:, None])  # of size, and of batch
        self._decay = outer(one[:, 1], other[:, 1])
        bent = np.abs(np.subtract.outer(one[:, 1], other[:, 1])) / _REACH_GAIN
        self._arrival = self._decay * (1.0 + bent) * np.exp(-bent)
        self._shape = outer(one[:, 2], other[:, 2]) + outer(one[:, 3], other[:, 3])
        away, beyond = (one[:, 4:] - middle) / _TREND, (other[:, 4:] - middle) / _TREND
        self._trend = away @ beyond.T
        self._times: dict[float, FloatArray] = {}
        self._recipes: dict[float, FloatArray] = {}

    def shared(self, habits: Habits) -> FloatArray:
        """``(n, m)`` what any two runs have in common; the mean of all is unknown, hence the 1."""
        time, recipe = self._in_time(habits.reach_time), self._in_recipe(habits.reach_recipe)
        level = 1.0 + habits.shared**2 * time + habits.recipe**2 * (time + 0.5) * recipe
        level += habits.trend**2 * self._trend * (1.0 + time + self._decay)
        level += self._decay * (habits.decay**2 + habits.of_recipe**2 * recipe * time)
        level += (habits.shape**2 * self._shape + habits.arrival**2 * self._arrival) * (0.5 + 0.5 * recipe)
        return np.asarray(level)

    def own(self, habits: Habits) -> FloatArray:
        """``(n, m)`` what a run has beside."""
        bend = habits.bend**2 * self._in_time(habits.reach_time)
        return np.asarray(bend + habits.level**2 + habits.own_decay**2 * self._decay)

    def _in_time(self, reach: float) -> FloatArray:
        if reach not in self._times:
            apart = self._time / (reach * _REACH_TIME)
            self._times[reach] = np.asarray((1.0 + apart + apart * apart / 3.0) * np.exp(-apart))
        return self._times[reach]

    def _in_recipe(self, reach: float) -> FloatArray:
        if reach not in self._recipes:
            size, batch = self._recipe / (reach * _REACH_RECIPE)
            kernel = (1.0 + size) * (1.0 + batch) * np.exp(-(size + batch))
            self._recipes[reach] = np.asarray(kernel)
        return self._recipes[reach]


class Siblings:
    """The curves of two finished runs or more, solved once.

    Args:
        points: Of one kind of loss.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        table = np.array(_thinned(points), dtype=np.float64)
        self.run, self.progress, self.at = table[:, 0], table[:, 2], table[:, 3:9]
        self.middle = self.at[:, 4:].mean(axis=0)
        self.mean = float(table[:, 9].mean())
        self.away, self.variance = table[:, 9] - self.mean, table[:, 10] ** 2
        self.same = np.equal.outer(self.run, self.run)
        self.of_run = {number: np.flatnonzero(self.run == number) for number in np.unique(self.run).tolist()}
        self._kernel = _Kernel(self.at, self.at, self.middle)
        self.habits = self._learnt()
        covariance = self._covariance(self.habits)
        self.inverse, _ = inverted(covariance)
        del self._kernel  # all pairs of points, ten times what is kept of them: it is done with
        self.solved = self.inverse @ self.away
        self.root = _root(covariance)
        self.whitened = _whitened(self.root, self.away)
        ends = [of[self.progress[of].argmax()] for of in self.of_run.values()]
        self.end_variance = float(np.median(self._noise(self.habits, self.variance[ends])))

    def left_out(self, run: float, progress: float) -> tuple[float, float]:
        """Logarithm of the end that a run is foretold by the others and by its own way up to a place, and its sd."""
        of = self.of_run[run]
        covariance = np.linalg.inv(self.inverse[np.ix_(of, of)])
        rest = covariance @ self.solved[of]
        seen, end = np.flatnonzero(self.progress[of] <= min(progress + _AT, -_AT)), int(np.argmax(self.progress[of]))
        by = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[seen, end]) if len(seen) else np.empty(0)
        mean = self.mean + self.away[of[end]] - rest[end] + by @ rest[seen]
        return float(mean), math.sqrt(max(float(covariance[end, end] - by @ covariance[seen, end]), _LEAST**2))

    def expected(self, path: Path, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Logarithms of the losses at ``(m, 6)`` places ahead of a run, and their standard deviations.

        What is logged there is meant, with its noise.
        """
        habits, count = self.habits, len(path.loss)
        places = np.concatenate([path.at, at])
        kernel, theirs = _Kernel(np.concatenate([self.at, places]), places, self.middle), slice(len(self.at))
        shared, own = kernel.shared(habits), kernel.own(habits)
        # By the root: what is left is a millionth of what is taken away, and the inverse is no closer than that.
        told = _whitened(self.root, shared[theirs])
        left = shared[theirs.stop :] + own[theirs.stop :] - told.T @ told
        mean = self.mean + told.T @ self.whitened
        seen = left[:count, :count] + np.diag(self._noise(habits, path.noise**2))
        by_own = dgesv(seen, left[:count, count:])[2]
        ahead = mean[count:] + by_own.T @ (path.loss - mean[:count])
        variance = np.diagonal(left)[count:] - np.add.reduce(by_own * left[:count, count:])
        return np.asarray(ahead), np.sqrt(np.maximum(variance, 0.0) + self.end_variance)

    def _covariance(self, habits: Habits) -> FloatArray:
        own = self.same * self._kernel.own(habits)
        return np.asarray(self._kernel.shared(habits) + own + np.diag(self._noise(habits, self.variance)))

    @staticmethod
    def _noise(habits: Habits, variance: FloatArray) -> FloatArray:
        return np.asarray(habits.noise**2 * variance + _LEAST**2)

    def _learnt(self) -> Habits:
        """Uphill from the usual habits, each doubled or halved, as far as the curves give reason to."""
        runs = len(self.of_run)
        worth = _WORTH * (1.0 - 1.0 / runs)
        best, most = USUAL, worth * self._evidence(USUAL) - _price(USUAL)
        for _ in range(_SWEEPS):
            before = best
            for name in Habits._fields:
                for factor in (2.0, 0.5):
                    trial = best._replace(**{name: factor * getattr(before, name)})
                    score = worth * self._evidence(trial) - _price(trial)
                    if score > most:
                        best, most = trial, score
            if best == before:
                break
        return best

    def _evidence(self, habits: Habits) -> float:
        """Logarithm of the curves' density, half of it that of each run's under the others."""
        inverse, log_size = inverted(self._covariance(habits))
        solved = inverse @ self.away
        together = -0.5 * float(log_size + self.away @ solved)
        apart = 0.0
        for of in self.of_run.values():
            own = inverse[of[:, None], of]
            covariance, negative = inverted(own)
            apart -= 0.5 * (float(solved[of] @ covariance @ solved[of]) - negative)
        return 0.5 * (together + apart)


def _root(covariance: FloatArray) -> FloatArray:
    """The lower Cholesky factor; where rounding leaves none, that of a covariance with as much more noise."""
    least = np.finfo(float).eps * np.trace(covariance)
    for more in (0.0, *(least * 10.0 ** np.arange(16))):  # the last is a fifth of all variance
        root, failed = dpotrf(covariance + more * np.eye(len(covariance)), lower=1, clean=1)
        if not failed:
            break
    return np.asarray(root)


def _whitened(root: FloatArray, values: FloatArray) -> FloatArray:
    """Values over a Cholesky factor."""
    return np.asarray(dtrtrs(root, values, lower=1)[0])


def _price(habits: Habits) -> float:
    """What it costs to be unusual: minus the logarithm of a log-normal belief."""
    total = 0.0
    for name, value, usual in zip(Habits._fields, habits, USUAL, strict=True):
        spread = _SPREAD_OF_REACH if name.startswith("reach") else _SPREAD
        total += 0.5 * (math.log(value / usual) / spread) ** 2
    return total


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Every second point, or third, counted from the end of each run, where there are many."""
    stride = -(-len(points) // _MOST)
    kept: list[Point] = []
    for number in dict.fromkeys(point.run for point in points):
        kept += sorted((p for p in points if p.run == number), key=lambda p: -p.progress)[::stride]
    return kept
