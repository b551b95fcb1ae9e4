"""Mixtures of Gaussians, cut off at a floor: their moments, their quantiles, and what lies below a loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from curvecast.curve import FloatArray

_ITERATIONS = 80  # one or two are enough; the bound is that of bisection
_CLOSE = 0.02  # at so small a miss of the probit one more step ends some thousand times closer
# A last step longer than this share of the least standard deviation may lead over a gap, which a slope does not show.
_LEAP = 0.1
_LEAST_BEND = 0.5  # a step grows to twice Newton's length at most
_FLAT = 1e-100  # a slope below it leads nowhere, and its inverse is still a number
# After so many turns every third one halves the bracket, and after so many each does.
_FREE, _HALVES = 4, 20
_TINY = 1e-14
_FAR = 6.0  # nothing to speak of lies more standard deviations away than this
_MOST_CUT = 1.0 - 1e-6  # where all of a mixture lies below the floor, it is put just above
# Of the table, in standard deviations, close together where the usual interval mostly ends; its ends are put far out.
_RUNGS = np.array([-np.inf, -3.0, -1.8, -1.35, -1.2, -1.05, -0.2, 0.0, 0.2, 1.05, 1.2, 1.35, 1.8, 3.0, np.inf])[:, None]
_COARSE = 2.5  # two entries that are so many probits apart have most of it between them
_BEYOND = 9.0  # so many standard deviations beyond a mean lies nothing


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

    def _cut(self) -> FloatArray:
        """``(m,)`` what lies below the floor."""
        if self.floor == -math.inf:
            return np.zeros(self.weight.shape[1])
        below = np.add.reduce(self.weight * ndtr((self.floor - self.means) / self.stds))
        return np.asarray(np.minimum(below, _MOST_CUT))

    def table(self) -> FloatArray:
        """``(2, R, m)`` losses over each mixture, the last ones beyond it, and their probits: where quantiles begin."""
        return self._by_kind(lambda some, _: some._table())

    def quantiles(self, q: FloatArray, table: FloatArray | None = None) -> FloatArray:
        """``(Q, m)`` quantiles: a table of the distribution, then Halley's steps on its probit between two entries.

        On that scale a mixture of Gaussians is nearly a straight line, so one step is mostly enough.

        Args:
            q: ``(Q,)`` probabilities inside (0, 1).
            table: What ``table`` gives, where it is at hand.
        """
        known = self.table() if table is None else table
        return self._by_kind(lambda some, columns: some._quantiles(q, known[..., columns]))

    def about(self, q: FloatArray) -> FloatArray:
        """``(Q, m)`` quantiles, as straight lines through a table of the distribution's probit have them.

        Where a little lies so far away that hardly an entry of the table is near the rest, they are exact.

        Args:
            q: ``(Q,)`` probabilities inside (0, 1).

        Example:
            >>> two = Mixture(np.full((2, 1), 0.5), np.array([[0.0], [1.0]]), np.ones((2, 1)))
            >>> q = np.array([0.2, 0.5])
            >>> two.about(q).round(2).tolist(), two.quantiles(q).round(2).tolist()
            ([[-0.45], [0.5]], [[-0.45], [0.5]])
        """
        table = self.table()
        *_, x, apart = _located(self._goal(q), table)
        coarse = np.maximum.reduce(apart) > _COARSE
        if np.count_nonzero(coarse):
            x[:, coarse] = self._of(slice(None), coarse).quantiles(q, table[..., coarse])
        return np.maximum(x, self.floor)

    def _of(self, rows: Any, columns: Any) -> Mixture:
        """Some columns, and of these some parts."""
        weight, means, stds = (each[:, columns][rows] for each in (self.weight, self.means, self.stds))
        return Mixture(weight, means, stds, self.floor)

    def _by_kind(self, find: Callable[[Mixture, Any], FloatArray]) -> FloatArray:
        """What is found of the columns, along the last axis: those of as many parts together, without what is nil."""
        weighs = self.weight != 0.0
        parts = np.add.reduce(weighs)
        if np.minimum.reduce(parts) in (len(weighs), 0):
            return find(self, slice(None))
        kinds = [(parts == count).nonzero()[0] for count in np.unique(parts)]
        found = [find(self._of(np.logical_or.reduce(weighs[:, one], axis=1), one), one) for one in kinds]
        return np.concatenate(found, axis=-1)[..., np.concatenate(kinds).argsort()]

    def _goal(self, q: FloatArray) -> FloatArray:
        """``(Q, m)`` probits of quantiles as without a floor."""
        cut = self._cut()
        return _probit(cut + q[:, None] * (1.0 - cut))

    def _table(self) -> FloatArray:
        scale, mean = 1.0 / self.stds, self.mean()
        reach = np.maximum.reduce(np.abs(self.means - mean) + _BEYOND * self.stds)
        table = np.minimum(np.maximum(mean + self.std(mean) * _RUNGS, mean - reach), mean + reach)
        z = table[1:-1, None] * scale  # and in place: of many parts and columns it is a large one
        z -= self.means * scale
        ndtr(z, out=z)
        z *= self.weight
        below = np.zeros(table.shape)  # at the ends lies nothing, and all
        below[1:-1], below[-1] = np.add.reduce(z, axis=1), np.add.reduce(self.weight)
        return np.array([table, _probit(below)])

    def _quantiles(self, q: FloatArray, table: FloatArray) -> FloatArray:
        goal = self._goal(q)
        low, high, x, _ = _located(goal, table)
        if self.floor > -math.inf:
            low, high, x = (np.maximum(each, self.floor) for each in (low, high, x))
        return self._refined(0, goal, low, high, x)

    def _refined(self, turn: int, goal: FloatArray, low: FloatArray, high: FloatArray, x: FloatArray) -> FloatArray:
        """``(Q, m)`` losses of these probits, each between two and near a third; a column that is done is left."""
        scale, longest = 1.0 / self.stds, _LEAP * np.minimum.reduce(self.stds)
        density, shifted = self.weight * scale, self.means * scale
        while turn < _ITERATIONS:
            z = x[:, None] * scale - shifted
            probit = _probit(np.add.reduce(self.weight * ndtr(z), axis=1))
            bell = density * np.exp(-0.5 * z * z)
            slope = np.maximum(np.add.reduce(bell, axis=1), _FLAT)
            miss, per = goal - probit, np.exp(-0.5 * probit * probit) / slope  # the latter in loss a probit
            bend = 1.0 + 0.5 * miss * (probit - per * (np.add.reduce(bell * z * scale, axis=1) / slope))
            step = x + miss * per / np.maximum(bend, _LEAST_BEND)
            kept = np.minimum(np.maximum(step, low), high)
            close = (np.abs(miss) <= _CLOSE) & (np.abs(kept - x) <= longest)
            goes_on = ~np.logical_and.reduce(close)
            if not np.logical_or.reduce(goes_on):
                return np.asarray(kept)
            if turn >= _FREE:  # it may go in circles
                low, high = np.where(miss > 0.0, x, low), np.where(miss > 0.0, high, x)
                trusted = close | ((low <= step) & (step <= high) & (turn % 3 < 2) & (turn < _HALVES))
                step = np.where(trusted, step, _between(low, high, longest))
            x, turn = np.minimum(np.maximum(step, low), high), turn + 1
            if not np.logical_and.reduce(goes_on):
                rest = (each[:, goes_on] for each in (goal, low, high, x))
                kept[:, goes_on] = self._of(slice(None), goes_on)._refined(turn, *rest)
                return np.asarray(kept)
        return x


def _located(goal: FloatArray, table: FloatArray) -> tuple[FloatArray, ...]:
    """``(Q, m)`` each: two losses between which a quantile lies, where a straight line puts it, and its probits."""
    losses, probit = table
    count = losses.shape[1]
    below = np.add.reduce(probit[1:-1] < goal[:, None], axis=1)  # so many rungs between the ends
    at = below * count + np.arange(count)
    low, high, first, last = (each.take(k) for each in (losses, probit) for k in (at, at + count))
    apart = last - first
    return low, high, low + (high - low) * ((goal - first) / np.maximum(apart, _TINY)), apart


def _between(low: FloatArray, high: FloatArray, unit: FloatArray) -> FloatArray:
    """The middle of each bracket, on a scale that is logarithmic beyond a unit: it may span many decades."""
    return np.asarray(unit * np.sinh(0.5 * (np.arcsinh(low / unit) + np.arcsinh(high / unit))))


def _probit(below: FloatArray) -> FloatArray:
    """Standard deviations that a probability lies from the middle, kept finite."""
    return np.asarray(ndtri(np.minimum(np.maximum(below, _TINY), 1.0 - _TINY)))
