"""Priors as arrays: their grids, the cells that they span, and the constants of their weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import ndtr

from curvecast.curve import FloatArray
from curvecast.fit.prior import Prior

L_N, GAP, B, G, A = range(5)  # the coefficients, in the order of the posterior
ABSENT = 1e12  # precision of a coefficient that is not there
_SDS = ("converged_sd", "gap_sd", "annealing_sd", "growth_sd", "reducible_sd")  # of each
LOWEST = 0.05  # the clock of the law never starts nearer to its pole than this share of the window


class Tables:
    """The grids of priors side by side as arrays: what no observation changes, made once.

    What priors may have otherwise has their number ``P`` as its last axis; all else is the first one's. What every walk
    or cell of a grid has one of is laid out for a number of runs.
    """

    def __init__(self, priors: tuple[Prior, ...], runs: int) -> None:
        first = priors[0]
        self.count, self.lanes = len(priors), runs * len(priors)
        self.alpha, self.onset = np.array(first.alpha), np.array(first.onset)
        self.onsets = np.array([np.inf, *first.onset])  # none first
        self.window, self.drift = _of_each(priors, "window"), _of_each(priors, "drift")  # (W, P), (Q, P)
        self.drift_growth, self.speed = _of_each(priors, "drift_growth"), _of_each(priors, "annealing_speed")
        offset = _of_each(priors, "offset")
        self.offset = np.where(offset < 0.0, offset * self.window[:, None], offset)  # (W, C, P), a late begin by window
        self.floor = LOWEST * np.maximum(self.window, 1e-3)
        self.share, self.log_share = _stacked([p.annealing_shares() for p in priors]), np.log(first.share_weights())
        self.converged = _of_each(priors, "converged")
        self.log_onset = math.log((1.0 - first.growth) / len(first.onset) * 2.0)
        self.log_growth = math.log(first.growth)
        walks = len(self.window) * len(self.drift)
        precision, reducible = np.array([_of_each(priors, sd) for sd in _SDS]) ** -2.0, _of_each(priors, "reducible")
        self.precision = np.tile(precision, walks * runs)  # (5, walks) of each coefficient
        self.without_gap = self.precision.copy()
        self.without_gap[GAP] = ABSENT
        self.pull = np.tile(precision[A] * reducible, walks * runs)  # of A towards its mean
        log_alpha = np.tile(_stacked([p.alpha_weights() for p in priors]), (len(offset), 1))
        self.log_alpha = np.tile(log_alpha, walks * runs)  # (X, walks)
        self.log_gap = 0.5 * math.log(ABSENT), 0.5 * math.log(precision[GAP, 0])  # where there is none, and one
        pB, pA = precision[[B, A]]
        # What the weights of all shapes lack: constants of B and A, which is positive, and the share of a shape.
        common = 0.5 * (np.log(pB * pA) - pA * reducible**2) - np.log(ndtr(reducible * np.sqrt(pA)))
        common -= np.log(np.exp(log_alpha).sum(axis=0) * len(first.annealing_shape))  # counted of one walk
        self.log_common = common + 0.5 * np.log(precision[L_N]) - math.log(walks)
        self.log_flat = np.tile(math.log(first.flat / (1.0 - first.flat)) - common, walks * runs)
        self.log_before = np.log([1.0 - first.unlike, first.unlike] if self.count > 1 else [1.0])
        self.of_cell = self._of_cell()
        self.lane_of_walk = np.tile(np.arange(self.lanes), walks)
        self.lane_of_cell = np.tile(self.lane_of_walk, len(self.log_alpha))
        # Cells as they are drawn: neighbours are alike, so that each walk is drawn as often as its weight says.
        self.by_walk = np.arange(self.log_alpha.shape[0] * walks).reshape(-1, walks).T.reshape(-1)
        self.from_end = np.tri(len(self.share) * len(first.annealing_shape)).T  # adds up from each to the last

    def _of_cell(self) -> FloatArray:
        """``(4, cells, P)`` exponent, offset, floor and drift of each cell of a run."""
        W, C, _ = self.offset.shape
        shape = (C, len(self.alpha), W, len(self.drift))
        offset, alpha, window, drift = (axis.reshape(-1) for axis in np.indices(shape))
        exponent = self.alpha[alpha, None].repeat(self.count, axis=1)
        return np.array([exponent, self.offset[window, offset], self.floor[window], self.drift[drift]])

    def power(self, u: FloatArray) -> FloatArray:
        """``(W, X, n, r * P)`` power-law term of every window and shape at ``(n, r, 1)`` times of ``r`` runs."""
        offset, floor = self.offset[:, :, None, None], self.floor[:, None, None, None]
        log = np.log(np.maximum(u + offset, floor) / (1.0 + offset))
        x = np.exp(log[:, :, None] * -self.alpha.reshape(-1, 1, 1, 1))
        return np.asarray(x.reshape(len(x), -1, len(u), self.lanes))


def _stacked(each: Sequence[Any]) -> FloatArray:
    return np.ascontiguousarray(np.array(each, dtype=np.float64).T)


def _of_each(priors: tuple[Prior, ...], name: str) -> FloatArray:
    """``(..., P)`` of a field."""
    return _stacked([getattr(prior, name) for prior in priors])


@lru_cache(maxsize=64)
def tables(prior: Prior, runs: int) -> Tables:
    """Of a prior and what stands beside it, for so many runs side by side."""
    return Tables(prior.both, runs)
