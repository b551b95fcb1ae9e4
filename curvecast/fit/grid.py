"""The grid over shapes: inner products once, a scout over all shapes, an exact solve for those that count.

With the shapes fixed the law is linear,

    loss(s) = L_N + gap [val] - B z(s) + G g(s) [val] + A x(s) + wander(s) + noise,

so every shape has its coefficients and its evidence in closed form, and all shapes share the same few inner
products. The scout ranks cells at one annealing shape; the solve leaves nothing out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from curvecast.curve import FloatArray
from curvecast.fit.basis import Observations, Timeline, growth_term, offsets, power_term
from curvecast.fit.prior import Prior
from curvecast.fit.whiten import inner_products

L_N, GAP, B, G, A = range(5)  # the coefficients, in the order of the posterior
EARLY_WANDER = 0.5  # relative loss per square root of an e-fold before the law's window: a loss that still halves
LOWEST = 0.05  # the clock of the law never starts nearer to its pole than this share of the window
_NONE = 1e12  # precision of a coefficient that is not there
_CELLS = 64  # cells of window, drift and power law that are looked into
_KEPT = 64  # shapes that stand for all
_DEPTH = 12.0  # log-weight below the best at which a shape is dropped

Where = tuple[NDArray[np.intp], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """Weights and coefficients of the shapes ``where``, as indices (window and drift, shape, annealing, onset)."""

    where: Where
    weight: FloatArray
    theta: FloatArray
    root: FloatArray


class Grid:
    """All shapes of a prior against one run's observations."""

    def __init__(self, data: Observations, timeline: Timeline, prior: Prior) -> None:
        self.data, self.timeline, self.prior = data, timeline, prior
        self.alpha, self.window = np.asarray(prior.alpha), np.asarray(prior.window)
        self.offset = offsets(prior)
        self.has_val = bool(data.is_val.any())
        self.onset = np.asarray(prior.onset) if self.has_val else np.empty(0)
        self.rates = len(prior.annealing_time)
        self.speed, share = np.asarray(prior.annealing).T
        self.share = np.log(share / share.sum() / self.rates)
        self.log_alpha = prior.alpha_weights()
        self.log_onset = math.log((1.0 - prior.growth) / max(len(self.onset), 1) * 2.0)
        self.both = self.has_val and not data.is_val.all()
        self.precision = np.array(
            [
                prior.converged_sd**-2,
                prior.gap_sd**-2 if self.both else _NONE,
                prior.annealing_sd**-2,
                prior.growth_sd**-2,
                prior.reducible_sd**-2,
            ]
        )
        now, end, *seen = timeline.time(np.concatenate([[data.now, max(data.now, timeline.end)], data.step]))
        self._u = np.array(seen) / now
        self.tie = self._tie(float(end / now))
        self._inner_products()

    def _inner_products(self) -> None:
        """The products of all columns for each window and drift, once."""
        data = self.data
        growth = data.is_val[:, None] * growth_term(data.step[:, None] / data.now, self.onset)
        gain = -self.timeline.gain(data.step)
        fixed = np.column_stack([np.ones_like(data.step), data.is_val, gain, growth, data.loss])
        floor = LOWEST * np.maximum(self.window, 1e-3)[:, None, None, None]
        x = power_term(self._u[:, None, None], self.alpha, self.offset[:, None, :, None], floor)
        x = x.reshape(*x.shape[:2], -1)
        self.ff, self.xf, self.xx, self.logdet = inner_products(fixed, x, self._walk(), data.noise)

    def _walk(self) -> FloatArray:
        """``(n, W, Q)`` variance of the wander between neighbours, newest first; large before the window."""
        elapsed = -np.diff(np.log(self.data.step), prepend=np.log(self.data.now))[:, None, None]
        early = (self._u[:, None] < self.window)[:, :, None]
        drift = self.prior.drift * (1.0 + self.prior.drift_growth * self.data.excess[:, None, None])
        rate = np.where(early, np.maximum(EARLY_WANDER, drift), drift) ** 2
        return np.asarray(np.maximum(elapsed, 0.0) * rate)

    def _tie(self, end: float) -> FloatArray:
        """``(C, X, L)`` how much of ``B`` comes with ``A``: speed times the law's slope at the horizon."""
        offset = self.offset[:, :, None]
        slope = self.alpha * end / (end + offset)  # -d ln x / d ln S1
        x = power_term(np.asarray(end), self.alpha, offset, np.asarray(LOWEST))
        tie = (slope * x).reshape(len(self.window), -1, 1) * self.speed
        return np.repeat(tie, len(self.prior.drift), axis=0)

    def solve(self) -> Solved:
        """Scout the grid, then solve the shapes that count."""
        where, share, scouted = self.scout()
        theta, root, log_weight = self.exact(where)
        correction = log_weight - scouted
        weight = share * np.exp(correction - correction.max())
        return Solved(where, weight / weight.sum(), theta, root)

    def scout(self) -> tuple[Where, FloatArray, FloatArray]:
        """Shapes that stand for the whole grid, the share each stands for, and their scouted log-weight.

        Cells of window, drift and power law are ranked at the middle annealing shape; the best get every
        annealing shape and onset. Then systematic resampling at fixed points: a weighty shape stands for
        itself, many light ones send one.
        """
        ff, xf, xx, logdet = self._without_levels()
        middle = np.array([len(self.speed) * (self.rates // 2) + len(self.speed) // 2])
        log_alpha = np.tile(self.log_alpha, self.offset.shape[1])
        ranked = self._log_weights(ff[:, None], xf, xx, logdet[:, None] - 2.0 * log_alpha, self.tie, middle)
        c, x = np.divmod(_top(ranked.max(axis=-1).reshape(-1)), xx.shape[1])
        every = np.arange(len(self.speed) * self.rates)
        log = self._log_weights(ff[c], xf[c, x], xx[c, x], logdet[c] - 2.0 * log_alpha[x], self.tie[c, x], every)
        total = np.cumsum(np.exp(log - log.max()))
        points = (np.arange(_KEPT) + 0.5) / _KEPT * total[-1]
        chosen, count = np.unique(np.searchsorted(total, points), return_counts=True)
        cell, j, k = np.unravel_index(chosen, log.shape)
        return (c[cell], x[cell], j, k), count / _KEPT, log.reshape(-1)[chosen]

    def _log_weights(
        self,
        ff: FloatArray,
        xf: FloatArray,
        xx: FloatArray,
        logdet: FloatArray,
        tie: FloatArray,
        j: NDArray[np.intp],
    ) -> FloatArray:
        """``(..., J, 1 + K)`` log-weight of cells, for annealing shapes ``j``, without and with each onset.

        ``j`` counts annealing times, and within each the speeds. The right sign of ``A`` and ``G`` is asked
        for by the Gaussian tail of the wrong one.
        """
        rate, speed = np.divmod(j, len(self.speed))
        Z, K = 2 + rate, slice(2 + self.rates, -1)
        zz0, zy, xz, tie = ff[..., Z, Z], ff[..., Z, -1], xf[..., Z], tie[..., speed]
        zz = zz0 + self.precision[B]
        x2 = xx[..., None] + tie * (2.0 * xz + tie * zz0)  # the column of A carries its share of annealing
        xy, xz = xf[..., -1:] + tie * zy, xz + tie * zz0
        ratio = xz / zz
        x2, xy, yy = x2 - xz * ratio, xy - zy * ratio, ff[..., -1, -1:] - zy * zy / zz
        base = self.share[speed] - 0.5 * (np.log(zz) + logdet[..., None])
        plain = self._score(x2, xy, yy) + base + math.log(self.prior.growth)
        if not self.has_val:
            return np.asarray(plain[..., None])
        zg = ff[..., Z, K]
        xg = xf[..., None, K] + (tie - ratio)[..., None] * zg
        slope = zg / zz[..., None]
        gg = ff[..., K, K].diagonal(axis1=-2, axis2=-1)[..., None, :] - zg * slope + self.precision[G]
        gy = ff[..., None, K, -1] - slope * zy[..., None]
        tilt = gy / gg
        # Whether growth would have the wrong sign is asked beside the best A, not beside none.
        beside = xg / (x2 + self.precision[A])[..., None]
        g1 = gy - beside * np.maximum(xy + self.precision[A] * self.prior.reducible, 0.0)[..., None]
        wrong = np.square(np.minimum(g1, 0.0)) / np.maximum(gg - xg * beside, 1e-12)
        x2, xy = x2[..., None] - xg * xg / gg, xy[..., None] - xg * tilt
        grown = self._score(x2, xy, yy[..., None] - gy * tilt) + base[..., None]
        grown = grown + (self.log_onset + 0.5 * (math.log(self.precision[G]) - np.log(gg) - wrong))
        return np.concatenate([plain[..., None], grown], axis=-1)

    def _score(self, x2: FloatArray, xy: FloatArray, yy: FloatArray) -> FloatArray:
        """Log-evidence after the last elimination, that of ``A``."""
        x2 = x2 + self.precision[A]
        xy = xy + self.precision[A] * self.prior.reducible
        rising = np.maximum(xy, 0.0)
        return np.asarray(0.5 * (rising * rising / x2 - np.log(x2) - yy))

    def _without_levels(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """The inner products with ``L_N`` and the gap, which every shape has, integrated out."""
        ff, xf, xx, logdet = self.ff.copy(), self.xf.copy(), self.xx.copy(), self.logdet.copy()
        ff[:, 0, -1] += self.precision[L_N] * self.prior.converged
        ff[:, -1, 0] = ff[:, 0, -1]
        for p in (L_N, GAP)[: 2 if self.both else 1]:
            ff[:, p, p] += self.precision[p]
            pivot = ff[:, p, p].copy()
            row, cross = ff[:, p, :] / pivot[:, None], xf[:, :, p].copy()
            ff -= ff[:, p, :, None] * row[:, None, :]
            xf -= cross[:, :, None] * row[:, None, :]
            xx -= cross**2 / pivot[:, None]
            logdet += np.log(pivot)
        return ff, xf, xx, logdet

    def exact(self, where: Where) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Coefficients, a root of their covariance, and the log-weight of each shape: one small solve each."""
        c, x, j, k = where
        rate, speed = np.divmod(j, len(self.speed))
        grows = k > 0
        columns = np.stack(
            [np.zeros_like(c), np.ones_like(c), 2 + rate, np.where(grows, 1 + self.rates + k, 0)], axis=1
        )
        mask = np.stack([np.ones(len(c)), np.ones(len(c)), np.ones(len(c)), grows], axis=1)
        gram, rhs = np.empty((len(c), 5, 5)), np.empty((len(c), 5))
        inner = self.ff[c[:, None, None], columns[:, :, None], columns[:, None, :]]
        gram[:, :A, :A] = inner * mask[:, :, None] * mask[:, None, :]
        gram[:, A, :A] = gram[:, :A, A] = self.xf[c[:, None], x[:, None], columns] * mask
        gram[:, A, A] = self.xx[c, x]
        rhs[:, :A], rhs[:, A] = self.ff[c[:, None], columns, -1] * mask, self.xf[c, x, -1]
        tie = self.tie[c, x, speed]
        gram[:, A] += tie[:, None] * gram[:, B]
        gram[:, :, A] += tie[:, None] * gram[:, :, B]
        rhs[:, A] += tie * rhs[:, B]
        precision = np.tile(self.precision, (len(c), 1))
        precision[~grows, G] = _NONE
        gram.reshape(-1, 25)[:, ::6] += precision
        rhs[:, L_N] += self.precision[L_N] * self.prior.converged
        rhs[:, A] += self.precision[A] * self.prior.reducible
        chol = np.linalg.cholesky(gram)
        root = np.linalg.inv(chol).transpose(0, 2, 1)
        half = np.matmul(rhs[:, None], root)[:, 0]
        theta = np.matmul(root, half[:, :, None])[:, :, 0]
        logdet = 2.0 * np.log(chol.diagonal(axis1=1, axis2=2)).sum(axis=1) - np.log(precision).sum(axis=1)
        log_weight = 0.5 * (np.square(half).sum(axis=1) - logdet - self.logdet[c] - self.ff[c, -1, -1])
        log_weight += self.log_alpha[x % len(self.alpha)] + self.share[speed]
        log_weight += np.where(grows, self.log_onset, math.log(self.prior.growth))
        log_weight += _log_positive(theta, root, A) + np.where(grows, _log_positive(theta, root, G), 0.0)
        theta[:, B] += tie * theta[:, A]
        root[:, B] += tie[:, None] * root[:, A]
        return theta, root, log_weight


def _log_positive(theta: FloatArray, root: FloatArray, p: int) -> FloatArray:
    """``(K,)`` log-probability that coefficient ``p`` is positive."""
    z = theta[:, p] / np.sqrt(np.square(root[:, p]).sum(axis=-1))
    return np.asarray(np.log(np.maximum(ndtr(z), 1e-300)))  # log_ndtr takes 100 times as long


def _top(values: FloatArray) -> NDArray[np.intp]:
    """Indices of the cells worth looking into."""
    count = min(_CELLS, values.size)
    top = np.sort(np.argpartition(values, values.size - count)[values.size - count :])
    return np.asarray(top[values[top] > values[top].max() - _DEPTH])
