"""Mixtures of Gaussians, cut off at a floor: their moments, their quantiles, and what lies below a loss."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from curvecast.curve import FloatArray

_ITERATIONS = 80  # one or two are enough; the bound is that of bisection
_CLOSE = 0.02  # miss of the probit at which one more step ends some thousand times closer
_LEAP = 0.1  # of the least standard deviation: a longer last step may lead over a gap, which a slope does not foretell
_LEAST_BEND = 0.5  # of a step: its length is trusted so far
_FLAT = 1e-100  # a slope below it leads nowhere, and its inverse is still a number
_FREE = 4  # turns before every third one halves the bracket
_TINY = 1e-14
_FAR = 6.0  # standard deviations: nothing to speak of lies beyond
_REACH = 9.0  # and of these nothing at all
_APART = 40.0  # probits: more than lie between the least and the greatest
_MOST_CUT = 1.0 - 1e-6  # where all of a mixture lies below the floor, it is put just above
# Of the table, in standard deviations; they are close where the ends of the usual interval mostly lie.
_RUNGS = np.array([-3.0, -1.8, -1.35, -1.2, -1.05, -0.2, 0.0, 0.2, 1.05, 1.2, 1.35, 1.8, 3.0])


class Mixture(NamedTuple):
    """``m`` mixtures of ``K`` Gaussians, one in each column.

    Args:
        weight: ``(K, m)`` weights, summing to 1 in each column.
        means: ``(K, m)`` means.
        stds: ``(K, m)`` standard deviations.
        floor: Nothing lies below it; ``-inf`` where there is none.

    Example:
        >>> half = Mixture(np.ones((1, 1)), np.zeros((1, 1)), np.ones((1, 1)), floor=0.0)
        >>> half.mean().tolist(), half.above_floor().mean().round(4).tolist()
        ([0.0], [0.7979])
        >>> half.quantiles(np.array([0.5])).round(4).tolist(), half.below(0.6745).round(4).tolist()
        ([[0.6745]], [0.5])
    """

    weight: FloatArray
    means: FloatArray
    stds: FloatArray
    floor: float = -math.inf

    def first(self) -> Mixture:
        """The first column alone."""
        return Mixture(self.weight[:, :1], self.means[:, :1], self.stds[:, :1], self.floor)

    def mean(self) -> FloatArray:
        """``(m,)`` means, as without a floor."""
        return np.asarray(np.add.reduce(self.weight * self.means))

    def std(self, mean: FloatArray) -> FloatArray:
        """``(m,)`` standard deviations around the means, as without a floor."""
        away = self.means - mean
        return np.asarray(np.sqrt(np.add.reduce(self.weight * (self.stds * self.stds + away * away))))

    def above_floor(self) -> Mixture:
        """One without a floor that has the moments of what lies above this one's."""
        if self.floor == -math.inf:
            return self
        z = (self.floor - self.means) / self.stds
        share = np.maximum(ndtr(-z), _TINY)
        hazard = np.where(z < _FAR, np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) / share, z)
        weight = self.weight * share
        stds = self.stds * np.sqrt(np.maximum(1.0 + z * hazard - hazard * hazard, 0.0))
        return Mixture(weight / np.add.reduce(weight), self.means + self.stds * hazard, stds)

    def reaches(self, floor: float) -> bool:
        """Whether any of it lies below a floor."""
        return float(np.minimum.reduce(self.means - _FAR * self.stds, axis=None)) < floor

    def below(self, loss: FloatArray | float) -> FloatArray:
        """``(m,)`` probabilities of what lies at or below ``(m,)`` losses."""
        below, cut = np.add.reduce(self.weight * ndtr((loss - self.means) / self.stds)), self._cut()
        return np.asarray(np.maximum(below - cut, 0.0) / (1.0 - cut))

    def _cut(self) -> FloatArray | float:
        """``(m,)`` what lies below the floor."""
        if self.floor == -math.inf:
            return 0.0
        below = np.add.reduce(self.weight * ndtr((self.floor - self.means) / self.stds))
        return np.asarray(np.minimum(below, _MOST_CUT))

    def quantiles(self, q: FloatArray) -> FloatArray:
        """``(Q, m)`` quantiles: a table of the distribution, then Halley's steps on its probit between two entries.

        On that scale a mixture of Gaussians is nearly a straight line, so one step is mostly enough.

        Args:
            q: ``(Q,)`` probabilities inside (0, 1).
        """
        weight, means, stds = (np.ascontiguousarray(part.T) for part in (self.weight, self.means, self.stds))
        scale = 1.0 / stds
        density, shifted, rows = weight * scale, (means * scale)[:, None], scale[:, None]
        curved = density * scale
        goal, table = self._goal(q), self._table()
        known = _probit(_summed(ndtr(table[:, :, None] * rows - shifted), weight))
        low, high, x = _located(goal, known, table)
        if self.floor > -math.inf:
            low, high, x = (np.maximum(each, self.floor) for each in (low, high, x))
        longest = _LEAP * np.minimum.reduce(stds, axis=1, keepdims=True)
        for turn in range(_ITERATIONS):
            z = x[:, :, None] * rows - shifted
            probit, bell = _probit(_summed(ndtr(z), weight)), np.exp(-0.5 * z * z)
            slope = np.maximum(_summed(bell, density), _FLAT)
            miss, per = goal - probit, np.exp(-0.5 * probit * probit) / slope  # the latter in loss a probit
            bend = 1.0 + 0.5 * miss * (probit - per * (_summed(z * bell, curved) / slope))
            step = x + miss * per / np.maximum(bend, _LEAST_BEND)
            kept = np.minimum(np.maximum(step, low), high)
            close = (np.abs(miss) <= _CLOSE) & (np.abs(kept - x) <= longest)
            if np.logical_and.reduce(close, axis=None):
                return np.asarray(kept.T)
            low, high = np.where(miss > 0.0, x, low), np.where(miss > 0.0, high, x)
            if turn >= _FREE:  # it may go in circles
                trusted = close | ((low <= step) & (step <= high) & (turn % 3 < 2))
                kept = np.where(trusted, kept, 0.5 * (low + high))
            x = kept
        return np.asarray(x.T)

    def _goal(self, q: FloatArray) -> FloatArray:
        """``(m, Q)`` probits that the quantiles have."""
        if self.floor == -math.inf:
            return _probit(q)[None].repeat(self.weight.shape[1], axis=0)
        cut = np.reshape(self._cut(), (-1, 1))
        return _probit(cut + q * (1.0 - cut))

    def _table(self) -> FloatArray:
        """``(m, n)`` losses at which the distribution is looked up, and between which all of it lies."""
        mean, reach = self.mean(), _REACH * self.stds
        start, end = np.minimum.reduce(self.means - reach)[:, None], np.maximum.reduce(self.means + reach)[:, None]
        inner = mean[:, None] + self.std(mean)[:, None] * _RUNGS
        return np.concatenate([start, np.minimum(np.maximum(inner, start), end), end], axis=1)


def _located(goal: FloatArray, known: FloatArray, table: FloatArray) -> tuple[FloatArray, ...]:
    """``(m, Q)`` each: two losses between which a quantile lies, and where a straight line puts it.

    Args:
        goal: ``(m, Q)`` probits of the quantiles.
        known: ``(m, n)`` those of the table.
        table: ``(m, n)`` its losses.
    """
    apart = _APART * np.arange(len(table))[:, None]  # so that one call looks into all tables
    keys, wanted, losses = (known + apart).ravel(), (goal + apart).ravel(), table.ravel()
    after = np.maximum(keys.searchsorted(wanted), 1)
    places = losses.take(after - 1), losses.take(after), np.interp(wanted, keys, losses)
    return tuple(each.reshape(goal.shape) for each in places)


def _summed(values: FloatArray, weight: FloatArray) -> FloatArray:
    """``(m, n)`` sums of ``(m, n, K)`` values, each with its ``(m, K)`` weight."""
    return np.asarray(np.matmul(values, weight[:, :, None])[:, :, 0])


def _probit(below: FloatArray) -> FloatArray:
    """Standard deviations that a probability lies from the middle, kept finite."""
    return np.asarray(ndtri(np.minimum(np.maximum(below, _TINY), 1.0 - _TINY)))
