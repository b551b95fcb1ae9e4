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
_SDS = ("converged_sd", "gap_sd", "annealing_sd", "growth_sd", "reducible_sd")  # each one's, in the prior
# What is told of a cell: what its shapes are, and what their prior says of how they fail.
OF_SHAPE, OF_OUTLIER = (
    ("alpha", "offset", "floor", "drift", "rate", "onset", "drop_error"),
    ("outlier", "outlier_error"),
)
RATE, ONSET, DROP_ERROR = map(OF_SHAPE.index, ("rate", "onset", "drop_error"))
_UNLIKELY = 20.0  # log-odds against the likeliest exponent, of one that is left out
LOWEST = 0.05  # the clock of the law never starts nearer to its pole than this share of the window


class Tables:
    """The grids of priors side by side as arrays: what no observation changes, made once.

    What priors may have otherwise has their number ``P`` as its last axis; all else, as the wander, is the first one's.
    What every walk or cell of a grid has one of is laid out for a number of runs, which go last.
    """

    def __init__(self, priors: tuple[Prior, ...], runs: int) -> None:
        first = priors[0]
        self.count = len(priors)
        of_alpha = _stacked([p.alpha_weights() for p in priors])
        told = np.logical_or.reduce(of_alpha > np.maximum.reduce(of_alpha) - _UNLIKELY, axis=1)
        self.alpha, self.onset = np.array(first.alpha)[told], np.array(first.onset)
        self.onsets = np.array([np.inf, *first.onset])  # none first
        self.window, self.drift, self.drift_growth = np.array(first.window), np.array(first.drift), first.drift_growth
        offset = _of_each(priors, "offset")
        self.offset = np.where(offset < 0.0, offset * self.window[:, None, None], offset)  # (W, C, P), late by window
        self.floor = LOWEST * np.maximum(self.window, 1e-3)
        self.share, self.log_share = _stacked([p.annealing_shares() for p in priors]), np.log(first.share_weights())
        self._lay_beliefs(priors, runs, np.tile(of_alpha[told], (offset.shape[0], 1)))
        self._lay_cells(priors, runs)
        self._lay_clocks(priors)

    def _lay_beliefs(self, priors: tuple[Prior, ...], runs: int, log_alpha: FloatArray) -> None:
        """The Gaussian priors of the coefficients, and the constants of all weights.

        Args:
            priors: The priors.
            runs: For how many runs side by side.
            log_alpha: ``(X, P)`` log-weight of the exponent of each power law.
        """
        first, walks = priors[0], len(self.window) * len(self.drift)
        precision = np.array([_of_each(priors, sd) for sd in _SDS]) ** -2.0
        converged, reducible = _of_each(priors, "converged"), _of_each(priors, "reducible")

        def laid(of_each: FloatArray) -> FloatArray:
            """``(..., walks)`` of ``(..., P)``."""
            return np.repeat(np.tile(of_each, walks), runs, axis=-1)

        self.precision = laid(precision)  # (5, walks) of each coefficient
        self.without_gap = self.precision.copy()
        self.without_gap[GAP] = ABSENT
        self.pull = laid(precision[A] * reducible)  # of A towards its mean
        self.pull_level = laid(precision[L_N] * converged)  # likewise of L_N
        self.pull_square = laid(precision[L_N] * converged**2)
        self.log_gap = 0.5 * math.log(ABSENT), 0.5 * math.log(precision[GAP, 0])  # where there is none, and one
        self.log_onset = math.log((1.0 - first.growth) / len(first.onset) * 2.0)
        self.log_growth = math.log(first.growth)
        pB, pA = precision[[B, A]]
        # What the weights of all shapes lack: constants of B and A, which is positive, and the share of a shape.
        common = 0.5 * (np.log(pB * pA) - pA * reducible**2) - np.log(ndtr(reducible * np.sqrt(pA)))
        common -= np.log(np.exp(log_alpha).sum(axis=0) * len(first.annealing_shape))  # counted of one walk
        levels = 0.5 * np.log(precision[L_N]) - math.log(walks)
        levels += np.log([1.0 - first.unlike, first.unlike] if self.count > 1 else [1.0])
        self.log_alpha = laid(log_alpha + common + levels)  # (X, walks)
        self.log_flat = laid(math.log(first.flat / (1.0 - first.flat)) + levels)

    def _lay_cells(self, priors: tuple[Prior, ...], runs: int) -> None:
        """What is told of each cell, and the order in which cells are drawn."""
        walks, shapes = len(self.window) * len(self.drift), len(priors[0].annealing_shape)
        self.of_cell = self._of_cell(priors)
        self.flat = np.repeat(self.of_cell[:, : walks * self.count], runs, axis=1)
        self.flat[0], self.flat[1] = 1.0, 0.0  # of a power law that is not there
        self.lane_of_walk = np.tile(np.arange(self.count * runs), walks)  # which prior and run
        # Cells as they are drawn: neighbours are alike, so that each prior and walk is drawn as its weight says.
        cells = np.arange(len(self.log_alpha) * walks * self.count)
        self.as_drawn = cells.reshape(len(self.log_alpha), walks, -1).T.reshape(-1)
        self.from_end = np.tri(len(self.share) * shapes).T  # adds up from each to the last
        # Of each share and annealing shape, against the first: (L * R, 1).
        self.odds = np.exp(self.log_share - self.log_share[0]).repeat(shapes)[:, None]

    def _lay_clocks(self, priors: tuple[Prior, ...]) -> None:
        """Of power laws where their clock starts, ``(W, P', 1, C, 1)``: ``P'`` is 1 where all priors have the same.

        Their pole, and a factor of their slope, ``(P, 1, 1, A)``.
        """
        starts = self.offset[..., :1] if len({p.offset for p in priors}) == 1 else self.offset
        self.start = np.ascontiguousarray(starts.swapaxes(1, 2)[:, :, None, :, None])
        self.per_start, self.pole = 1.0 / (1.0 + self.start), self.floor[:, None, None, None, None]
        self.exponent = -self.alpha[:, None]
        self.slope = _of_each(priors, "annealing_speed")[:, None, None, None] * self.alpha

    def _of_cell(self, priors: tuple[Prior, ...]) -> FloatArray:
        """``(9, cells)`` ``OF_SHAPE`` and ``OF_OUTLIER`` of each cell of a run; of its rates and onsets the first."""
        W, C, P = self.offset.shape
        shape = (C, len(self.alpha), W, len(self.drift), P)
        offset, alpha, window, drift, p = (axis.reshape(-1) for axis in np.indices(shape))
        of_prior = np.array([_of_each(priors, name) for name in ("drop_error", *OF_OUTLIER)])
        of_walk = self.alpha[alpha], self.offset[window, offset, p], self.floor[window], self.drift[drift]
        neither = np.zeros(len(p)), np.full(len(p), np.inf)
        return np.concatenate([of_walk, neither, of_prior[:, p]])

    def power(self, u: FloatArray) -> FloatArray:
        """``(W, P', r, X, n)`` power-law term of every window and shape at ``(r, n)`` times of ``r`` runs."""
        base = u[:, None] + self.start
        np.maximum(base, self.pole, out=base)
        base *= self.per_start
        x = np.log(base, out=base)[..., None, :] * self.exponent
        return np.asarray(np.exp(x, out=x).reshape(*x.shape[:3], -1, x.shape[-1]))


def _stacked(each: Sequence[Any]) -> FloatArray:
    return np.ascontiguousarray(np.array(each, dtype=np.float64).T)


def _of_each(priors: tuple[Prior, ...], name: str) -> FloatArray:
    """``(..., P)`` of a field."""
    return _stacked([getattr(prior, name) for prior in priors])


@lru_cache(maxsize=64)
def tables(prior: Prior, runs: int) -> Tables:
    """Of a prior and what stands beside it, for so many runs side by side."""
    return Tables(prior.both, runs)
