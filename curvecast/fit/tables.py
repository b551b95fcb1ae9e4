"""A prior as arrays: its grids, the cells that they span, and the constants of its weights."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from curvecast.curve import FloatArray
from curvecast.fit.prior import Prior

L_N, GAP, B, G, A = range(5)  # the coefficients, in the order of the posterior
ABSENT = 1e12  # precision of a coefficient that is not there
LOWEST = 0.05  # the clock of the law never starts nearer to its pole than this share of the window


class Tables:
    """A prior's grids as arrays: what no observation changes, made once."""

    def __init__(self, prior: Prior) -> None:
        self.alpha, self.window, self.drift = np.array(prior.alpha), np.array(prior.window), np.array(prior.drift)
        offset = np.array(prior.offset)
        self.offset = np.where(offset < 0.0, offset * self.window[:, None], offset)  # (W, C), a late begin by window
        self.floor = LOWEST * np.maximum(self.window, 1e-3)
        self.onset = np.array(prior.onset)
        self.onsets = np.array([np.inf, *prior.onset])  # none first
        self.share, self.log_share = prior.annealing_shares(), np.log(prior.share_weights())
        self.log_alpha = np.tile(prior.alpha_weights(), len(offset))
        sds = (prior.converged_sd, prior.gap_sd, prior.annealing_sd, prior.growth_sd, prior.reducible_sd)
        self.precision = np.array(sds) ** -2.0
        self.log_onset = math.log((1.0 - prior.growth) / len(prior.onset) * 2.0)
        self.log_growth = math.log(prior.growth)
        self.log_gap = 0.5 * math.log(ABSENT), 0.5 * math.log(self.precision[GAP])  # where there is none, and one
        common = self._common(prior)
        self.log_flat = math.log(prior.flat / (1.0 - prior.flat)) - common  # of a window and a drift
        self.log_common = common + 0.5 * math.log(self.precision[L_N]) - math.log(len(self.window) * len(self.drift))
        self.of_cell = self._of_cell()
        # Cells as they are drawn: neighbours are alike, so that each walk is drawn as often as its weight says.
        self.by_walk = np.arange(self.of_cell.shape[1]).reshape(len(self.log_alpha), -1).T.reshape(-1)
        self.from_end = np.tri(len(self.share) * len(prior.annealing_shape)).T  # adds up from each to the last

    def _of_cell(self) -> FloatArray:
        """``(4, cells)`` exponent, offset, floor and drift of each cell of a run."""
        W, C = self.offset.shape
        shape = (C, len(self.alpha), W, len(self.drift))
        offset, alpha, window, drift = (axis.reshape(-1) for axis in np.indices(shape))
        return np.array([self.alpha[alpha], self.offset[window, offset], self.floor[window], self.drift[drift]])

    def _common(self, prior: Prior) -> float:
        """What the weights of all shapes lack, for they have it in common: constants of ``B`` and ``A``, and a share.

        Shapes are counted of one window and one drift, and shares of a decay have a part each.
        """
        pB, pA = self.precision[B], self.precision[A]
        constants = 0.5 * (math.log(pB * pA) - pA * prior.reducible**2)
        constants -= math.log(ndtr(prior.reducible * math.sqrt(pA)))  # A is positive
        power_laws = len(prior.offset) * float(np.exp(prior.alpha_weights()).sum())
        return float(constants - math.log(power_laws * len(prior.annealing_shape)))

    def power(self, u: FloatArray) -> FloatArray:
        """``(W, X, n)`` power-law term of every window and shape at ``(n,)`` times; or ``(n, r)`` of several runs."""
        ones = (1,) * u.ndim
        offset, floor = self.offset.reshape(*self.offset.shape, *ones), self.floor.reshape(-1, 1, *ones)
        log = np.log(np.maximum(u + offset, floor) / (1.0 + offset))
        x = np.exp(log[:, :, None] * -self.alpha.reshape(-1, *ones))
        return np.asarray(x.reshape(len(self.window), -1, *u.shape))


tables = lru_cache(maxsize=16)(Tables)
