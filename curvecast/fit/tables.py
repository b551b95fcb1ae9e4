"""Priors as arrays: their grids, the cells that they span, and the constants of its weights."""

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

    What priors may have otherwise has their number ``P`` as its last axis; all else is the first one's.
    """

    def __init__(self, priors: tuple[Prior, ...]) -> None:
        first = priors[0]
        self.count = len(priors)
        self.alpha, self.onset = np.array(first.alpha), np.array(first.onset)
        self.onsets = np.array([np.inf, *first.onset])  # none first
        self.window, self.drift = _of_each(priors, "window"), _of_each(priors, "drift")  # (W, P), (Q, P)
        self.drift_growth, self.speed = _of_each(priors, "drift_growth"), _of_each(priors, "annealing_speed")
        offset = _of_each(priors, "offset")
        self.offset = np.where(offset < 0.0, offset * self.window[:, None], offset)  # (W, C, P), a late begin by window
        self.floor = LOWEST * np.maximum(self.window, 1e-3)
        self.share, self.log_share = _stacked([p.annealing_shares() for p in priors]), np.log(first.share_weights())
        self.log_alpha = np.tile(_stacked([p.alpha_weights() for p in priors]), (len(offset), 1))  # (X, P)
        self.converged, self.reducible = _of_each(priors, "converged"), _of_each(priors, "reducible")
        self.precision = np.array([_of_each(priors, name) for name in _SDS]) ** -2.0  # (5, P)
        self.log_onset = math.log((1.0 - first.growth) / len(first.onset) * 2.0)
        self.log_growth = math.log(first.growth)
        self.log_gap = 0.5 * math.log(ABSENT), 0.5 * math.log(self.precision[GAP, 0])  # where there is none, and one
        common = self._common(priors)
        self.log_flat = math.log(first.flat / (1.0 - first.flat)) - common  # of a window and a drift
        walks = len(self.window) * len(self.drift)
        self.log_common = common + 0.5 * np.log(self.precision[L_N]) - math.log(walks)
        self.log_before = np.log([1.0 - first.unlike, first.unlike] if self.count > 1 else [1.0])
        self.of_cell = self._of_cell()
        # Cells as they are drawn: neighbours are alike, so that each walk is drawn as often as its weight says.
        self.by_walk = np.arange(len(self.log_alpha) * walks).reshape(-1, walks).T.reshape(-1)
        self.from_end = np.tri(len(self.share) * len(first.annealing_shape)).T  # adds up from each to the last

    def _of_cell(self) -> FloatArray:
        """``(4, cells, P)`` exponent, offset, floor and drift of each cell of a run."""
        W, C, _ = self.offset.shape
        shape = (C, len(self.alpha), W, len(self.drift))
        offset, alpha, window, drift = (axis.reshape(-1) for axis in np.indices(shape))
        exponent = self.alpha[alpha, None].repeat(self.count, axis=1)
        return np.array([exponent, self.offset[window, offset], self.floor[window], self.drift[drift]])

    def _common(self, priors: tuple[Prior, ...]) -> FloatArray:
        """``(P,)`` what the weights of all shapes lack: constants of ``B`` and ``A``, and a share.

        Shapes are counted of one window and one drift, and shares of a decay have a part each.
        """
        pB, pA = self.precision[[B, A]]
        constants = 0.5 * (np.log(pB * pA) - pA * self.reducible**2)
        constants -= np.log(ndtr(self.reducible * np.sqrt(pA)))  # A is positive
        power_laws = np.exp(self.log_alpha).sum(axis=0)
        return np.asarray(constants - np.log(power_laws * len(priors[0].annealing_shape)))

    def power(self, u: FloatArray) -> FloatArray:
        """``(W, X, n, r * P)`` power-law term of every window and shape at ``(n, r, 1)`` times of ``r`` runs."""
        offset, floor = self.offset[:, :, None, None], self.floor[:, None, None, None]
        log = np.log(np.maximum(u + offset, floor) / (1.0 + offset))
        x = np.exp(log[:, :, None] * -self.alpha.reshape(-1, 1, 1, 1))
        return np.asarray(x.reshape(len(x), -1, len(u), u.shape[1] * self.count))


def _stacked(each: Sequence[Any]) -> FloatArray:
    return np.ascontiguousarray(np.array(each, dtype=np.float64).T)


def _of_each(priors: tuple[Prior, ...], name: str) -> FloatArray:
    """``(..., P)`` of a field."""
    return _stacked([getattr(prior, name) for prior in priors])


@lru_cache(maxsize=16)
def tables(prior: Prior) -> Tables:
    """Of a prior and what stands beside it."""
    return Tables(prior.both)
