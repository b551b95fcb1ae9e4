"""The grid over shapes: inner products once, a scout over all shapes, an exact solve for those that count.

With the shapes fixed the law is linear,

    loss(s) = L_N + gap [val] - B z(s) + G g(s) [val] + A x(s) + wander(s) + noise,

so every shape has its coefficients and its evidence in closed form, and all shapes share the same few inner
products. The scout weighs every shape, but growth only at the middle annealing shape; the solve leaves nothing out.

Arrays of shapes are planes: the cells (power law, then window and drift) run along the last axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from curvecast.curve import FloatArray
from curvecast.fit.basis import Observations, Timeline, growth_term
from curvecast.fit.prior import Prior
from curvecast.fit.whiten import inner_products

L_N, GAP, B, G, A = range(5)  # the coefficients, in the order of the posterior
EARLY_WANDER = 0.5  # relative loss per square root of an e-fold before the law's window: a loss that still halves
LOWEST = 0.05  # the clock of the law never starts nearer to its pole than this share of the window
ABSENT = 1e12  # precision of a coefficient that is not there
KEPT = 32  # shapes that stand for all
POINTS = (np.arange(KEPT) + 0.5) / KEPT
NO_ONSET = np.zeros(KEPT, dtype=np.intp)


class Where(NamedTuple):
    """Shapes, each ``(K,)``: cell (power law, window and drift), annealing share and shape, onset (0: no growth)."""

    cell: NDArray[np.intp]
    share: NDArray[np.intp]
    rate: NDArray[np.intp]
    onset: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """``(K,)`` log-weights of shapes, ``(5, K)`` coefficients and a ``(5, 5, K)`` root of their covariance."""

    log_weight: FloatArray
    theta: FloatArray
    root: FloatArray


class Tables:
    """A prior's grids as arrays: what no observation changes, made once."""

    def __init__(self, prior: Prior) -> None:
        self.alpha, self.window, self.drift = np.array(prior.alpha), np.array(prior.window), np.array(prior.drift)
        offset = np.array(prior.offset)
        self.offset = np.where(offset < 0.0, offset * self.window[:, None], offset)  # (W, C), a late begin by window
        self.floor = LOWEST * np.maximum(self.window, 1e-3)
        self.onset = np.array(prior.onset)
        self.share = prior.annealing_shares()
        self.log_alpha = np.tile(prior.alpha_weights(), len(offset))
        sds = (prior.converged_sd, prior.gap_sd, prior.annealing_sd, prior.growth_sd, prior.reducible_sd)
        self.precision = np.array(sds) ** -2.0
        self.log_onset = math.log((1.0 - prior.growth) / len(prior.onset) * 2.0)
        self.log_growth = math.log(prior.growth)
        self.log_flat = self._log_flat(prior)

    def _log_flat(self, prior: Prior) -> float:
        """What the weight of a flat shape lacks, for those of all others are without their common constants."""
        pB, pA = self.precision[B], self.precision[A]
        common = 0.5 * (math.log(pB * pA) - pA * prior.reducible**2)
        common -= math.log(ndtr(prior.reducible * math.sqrt(pA)))  # A is positive
        power_laws = len(self.offset[0]) * float(np.exp(prior.alpha_weights()).sum())
        shapes = power_laws * len(self.share) * len(prior.annealing_shape)
        return float(math.log(prior.flat / (1.0 - prior.flat)) - common + math.log(shapes))

    def power(self, u: FloatArray) -> FloatArray:
        """``(W, X, n)`` power-law term of every window and shape at ``(n,)`` times of the law's clock."""
        offset = self.offset[:, :, None]
        log = np.log(np.maximum(u + offset, self.floor[:, None, None]) / (1.0 + offset))
        x = np.exp(log[:, :, None] * -self.alpha[:, None])
        return np.asarray(x.reshape(len(self.window), -1, len(u)))


tables = lru_cache(maxsize=16)(Tables)


class Grid:
    """All shapes of a prior against one run's observations."""

    def __init__(self, data: Observations, timeline: Timeline, prior: Prior) -> None:
        self.data, self.timeline, self.prior = data, timeline, prior
        self.tables = tables(prior)
        vals = int(np.count_nonzero(data.is_val))
        self.onset = self.tables.onset if vals and _has_turned(data) else np.empty(0)
        self.precision: list[Any] = [*self.tables.precision]  # of each coefficient; of several runs the gap has several
        if not 0 < vals < len(data.step):
            self.precision[GAP] = ABSENT
        clock, gain = timeline.at(np.concatenate([[data.now, max(data.now, timeline.end)], data.step]))
        u = clock[1:] / clock[0]  # the horizon's time, then those of the observations
        self.gained = gain[:, :1]
        x = self.tables.power(u)
        self.shape = (len(prior.offset), len(prior.alpha), len(prior.window), len(prior.drift))  # of the cells
        self._integrate_levels(*inner_products(self._fixed(gain[:, 2:]), x[:, :, 1:], self._walk(u[1:]), data.noise))
        self._integrate_annealing(self._by_cell(x[:, :, 0]), self._slope(float(u[0])))

    def _fixed(self, gain: FloatArray) -> FloatArray:
        """``(F, n)`` columns that all windows share: the levels, annealing, growth and the loss itself."""
        data = self.data
        rates = len(self.timeline.annealing_shape)
        fixed = np.empty((3 + rates + len(self.onset), len(data.step)))
        fixed[L_N], fixed[GAP] = 1.0, data.is_val
        np.negative(gain, out=fixed[2 : 2 + rates])
        if len(self.onset):
            fixed[2 + rates : -1] = data.is_val * growth_term(data.step / data.now, self.onset[:, None])
        fixed[-1] = data.loss - self.prior.converged
        return fixed

    def _walk(self, u: FloatArray) -> FloatArray:
        """``(W, Q, n)`` variance of the wander between neighbours, newest first; large before the window."""
        data, prior = self.data, self.tables
        log_step = np.log(data.step)
        elapsed = np.empty_like(log_step)
        elapsed[0], elapsed[1:] = math.log(data.now) - log_step[0], log_step[:-1] - log_step[1:]
        drift = prior.drift[:, None] * (1.0 + self.prior.drift_growth * data.excess)
        before = (EARLY_WANDER * (u < prior.window[:, None]))[:, None]
        return np.asarray(np.maximum(before, drift) ** 2 * np.maximum(elapsed, 0.0))

    def _by_cell(self, x: FloatArray) -> FloatArray:
        """``(cells,)`` of what is given as ``(W, X)``."""
        return np.repeat(x.T.reshape(-1), len(self.tables.drift))

    def _slope(self, end: float) -> FloatArray:
        """``(cells,)`` slope ``-d ln x / d ln S1`` of each power-law term at the horizon."""
        prior = self.tables
        slope = prior.alpha[:, None] * (end / (end + prior.offset.T))[:, None]  # (C, alpha, W)
        return np.repeat(slope.reshape(-1), len(prior.drift))

    def _integrate_levels(self, products: FloatArray, xx: FloatArray, logdet: FloatArray) -> None:
        """Integrate ``L_N`` and the gap, which every shape has, out of the products; keep how to get them back."""
        F = products.shape[2]
        a, d = products[:, 0, 0] + self.precision[L_N], products[:, 1, 1] + self.precision[GAP]
        b = products[:, 0, 1]
        det = a * d - b * b
        inverse = np.empty((len(a), 2, 2))
        inverse[:, 0, 0], inverse[:, 1, 1] = d / det, a / det
        inverse[:, 0, 1] = inverse[:, 1, 0] = -b / det
        cross = products[:, 2:, :2]
        levels = np.matmul(cross, inverse)
        rest = (products[:, 2:, 2:] - np.matmul(cross, levels[:, : F - 2].swapaxes(1, 2))).transpose(2, 1, 0)
        self.xx = (xx - np.add.reduce(levels[:, F - 2 :] * cross[:, F - 2 :], axis=2)).T.reshape(-1)
        self.ff, self.xf = rest[:, : F - 2].copy(), rest[:, F - 2 :].reshape(F - 2, -1)
        levels = levels.transpose(2, 1, 0)
        self.level_f, self.level_x = levels[:, : F - 2].reshape(2, -1), levels[:, F - 2 :].reshape(2, -1)
        self.level_root = np.array([d, -b, np.sqrt(det)]) / np.sqrt(d * det)  # (3, C), lower
        self.logdet = logdet + np.log(det)

    def _integrate_annealing(self, x_end: FloatArray, slope: FloatArray) -> None:
        """Integrate out ``b``, which is ``B`` without the part ``tie`` that comes with ``A``: planes of every shape.

        ``B`` is a share of the loss at the horizon without a decay, ``1 + B z(now) - A (1 - x_end)``, and what some
        e-folds bring there, ``slope x_end A``. All planes are ``(L, R, cells)``, but ``zz``, which is ``(R, cells)``.
        """
        R, pB = len(self.timeline.annealing_shape), self.precision[B]
        F, walks = len(self.ff), len(self.logdet)
        full = np.empty((F, F, len(self.xx) // walks, walks))
        full[:] = self.ff[:, :, None]
        self.full = full.reshape(F, F, -1)
        zz, zy, xz = self.full.reshape(F * F, -1)[: R * (F + 1) : F + 1], self.full[:R, -1], self.xf[:R]
        share = self.tables.share[:, None, None]
        self.share = share / (1.0 - share * self.gained)  # (L, R, 1)
        self.tie = self.prior.annealing_speed * (slope * x_end) - self.share * (1.0 - x_end)
        self.zz, self.zy = zz + pB, zy + pB * self.share
        cross = xz + self.tie * zz  # the column of A carries its part of annealing
        self.ratio = cross / self.zz
        self.x2 = (self.xx + self.precision[A]) + self.tie * (xz + cross) - cross * self.ratio
        first = self.xf[-1] + self.precision[A] * self.prior.reducible
        self.xy = first + zy * self.tie - self.zy * self.ratio

    def scout(self) -> tuple[Where, FloatArray, float]:
        """Shapes drawn from the scouted weights at evenly spaced points, their scouted log-weight, and that of all.

        It is systematic resampling: a weighty shape is drawn often, many light ones send one.
        """
        log, growth = self._scouted()
        walks = len(self.logdet)
        if len(growth):
            growth = np.concatenate([np.zeros((1, log.shape[2])), growth])
            highest = growth.max(axis=0)
            relative = np.exp(growth - highest)
            odds = np.add.reduce(relative)
            weighed = log + (highest + np.log(odds))
        else:
            weighed = log
        # Neighbours shall be alike, so that each walk is drawn as often as its weight says: the walk goes first.
        order = weighed.reshape(*log.shape[:2], -1, walks).transpose(3, 2, 0, 1)
        most = float(weighed.max())
        weight = np.exp(order - most).reshape(-1)
        total = weight.cumsum()
        of_all = most + math.log(total[-1])
        points = POINTS * total[-1]
        chosen = total.searchsorted(points)
        walk, power, share, rate = np.unravel_index(chosen, order.shape)
        cell = power * walks + walk
        scouted = log[share, rate, cell]
        if not len(growth):
            return Where(cell, share, rate, NO_ONSET), scouted, of_all
        # What a point leaves over within its shape chooses among no growth and the onsets.
        rest = (total.take(chosen) - points) / weight.take(chosen) * odds.take(cell)
        onset = np.add.reduce(relative.take(cell, axis=1).cumsum(axis=0)[:-1] < rest)
        return Where(cell, share, rate, onset), scouted + growth[onset, cell], of_all

    def _scouted(self) -> tuple[FloatArray, FloatArray]:
        """``(L, R, cells)`` log-weight of shapes without growth, and ``(K, cells)`` what each onset adds to it.

        The right sign of ``A`` and ``G`` is asked for by the Gaussian tail of the wrong one.
        """
        prior = self.tables
        score = _score(self.x2, self.xy)
        base = (prior.log_alpha[:, None] - 0.5 * (self.logdet + self.ff[-1, -1])).reshape(-1)
        base = base + prior.log_growth - 0.5 * np.log(self.zz)
        log = score + base + 0.5 * (self.zy * self.zy / self.zz - self.precision[B] * self.share**2)
        if not len(self.onset):
            return log, np.empty((0, log.shape[2]))
        middle = (len(prior.share) // 2, len(self.zz) // 2)
        x2, xy, (gg, gy, xg) = self.x2[middle], self.xy[middle], self._with_growth(middle)
        # Whether growth would have the wrong sign is asked beside the best A, not beside none.
        miss = np.minimum(gy - xg * (np.maximum(xy, 0.0) / x2), 0.0)
        wrong = miss * miss / np.maximum(gg - xg * (xg / x2), 1e-12)
        gain = gy * gy / gg - np.log(gg / self.precision[G]) - wrong
        grown = _score(x2 - xg * (xg / gg), xy - xg * (gy / gg)) - score[middle]
        return log, grown + 0.5 * gain + (prior.log_onset - prior.log_growth)

    def _with_growth(self, middle: tuple[int, int]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``(K, cells)`` products ``gg``, ``gy``, ``xg`` of each onset's growth, ``b`` integrated out."""
        K = slice(len(self.zz), -1)
        zg = self.full[middle[1], K]
        per_z = zg / self.zz[middle[1]]
        gg = np.einsum("kkc->kc", self.full[K, K]) - zg * per_z + self.precision[G]
        lean = self.tie[middle] - self.ratio[middle]
        return gg, self.full[K, -1] - per_z * self.zy[middle], self.xf[K] + lean * zg

    def exact(self, where: Where) -> Solved:
        """Coefficients, a root of their covariance, and the log-weight of each shape: back-substitution."""
        prior, cells, cell = self.tables, len(self.xx), where.cell
        by_rate = where.rate * cells + cell
        by_both = by_rate + where.share * self.zz.size
        zz, zy, tie = self.zz.take(by_rate), self.zy.take(by_both), self.tie.take(by_both)
        x2, xy, a_b = self.x2.take(by_both), self.xy.take(by_both), self.ratio.take(by_both)
        theta, root = np.zeros((5, len(cell))), np.zeros((5, 5, len(cell)))
        power, walk = np.divmod(cell, len(self.logdet))
        share = self.share[where.share, where.rate, cell % self.share.shape[2]]
        log_weight = prior.log_alpha.take(power) - 0.5 * self.precision[B] * share * share
        log_weight += 0.5 * (zy * zy / zz - (self.logdet + self.ff[-1, -1]).take(walk))
        growth = None
        if where.onset.any():
            growth = self._grown(where, zz, zy, tie - a_b)
            gg, gy, xg, _ = growth
            a_g = xg / gg
            x2, xy = x2 - xg * a_g, xy - gy * a_g
            log_weight += 0.5 * gy * gy / gg
        half = 1.0 / np.sqrt(x2)
        theta[A], root[A, A] = xy / x2, half
        log_weight += 0.5 * (xy * theta[A] - np.log(zz * x2)) + _log_positive(xy * half)
        theta[B], root[B, A] = zy / zz - a_b * theta[A], -a_b * half
        root[B, B] = 1.0 / np.sqrt(zz)
        if growth is not None:
            log_weight += self._put_growth(where, growth, theta, root)
        self._put_levels(where, walk, tie, theta, root)
        theta[B] += tie * theta[A]
        root[B, A] += tie * half
        return Solved(log_weight, theta, root)

    def flat(self) -> Solved:
        """The shapes that learn no more, one for each window and drift: the levels alone are left."""
        F, walks = len(self.ff), len(self.logdet)
        log_weight = self.tables.log_flat + self.tables.log_growth - 0.5 * (self.logdet + self.ff[-1, -1])
        theta, root = np.zeros((5, walks)), np.zeros((5, 5, walks))
        theta[:B] = self.level_f[:, (F - 1) * walks :]
        theta[L_N] += self.prior.converged
        root[L_N, L_N], root[GAP, L_N], root[GAP, GAP] = self.level_root
        return Solved(log_weight, theta, root)

    def _grown(self, where: Where, zz: FloatArray, zy: FloatArray, lean: FloatArray) -> tuple[FloatArray, ...]:
        """Each shape's ``gg``, ``gy``, ``xg`` with ``b`` integrated out, and ``g_b``; nothing where none grows."""
        (F, _, cells), grows = self.full.shape, where.onset > 0
        k = len(self.zz) + np.maximum(where.onset - 1, 0)
        full = self.full.reshape(-1)
        zg = grows * full.take((where.rate * F + k) * cells + where.cell)
        gg = np.where(grows, full.take((k * F + k) * cells + where.cell) + self.precision[G], ABSENT)
        gy = grows * full.take((k * F + F - 1) * cells + where.cell)
        xg = grows * self.xf.take(k * cells + where.cell)
        g_b = zg / zz
        return gg - zg * g_b, gy - zy * g_b, xg + lean * zg, g_b

    def _put_growth(
        self, where: Where, growth: tuple[FloatArray, ...], theta: FloatArray, root: FloatArray
    ) -> FloatArray:
        """Fill in ``G`` and what it takes from ``b``; the log-weight that its onset adds."""
        gg, gy, xg, g_b = growth
        grows = where.onset > 0
        theta[G] = (gy - xg * theta[A]) / gg
        root[G, A], root[G, G] = -xg / gg * root[A, A], 1.0 / np.sqrt(gg)
        theta[B] -= g_b * theta[G]
        root[B, A] -= g_b * root[G, A]
        root[B, G] = -g_b * root[G, G]
        sure = _log_positive(theta[G] / np.hypot(root[G, G], root[G, A]))
        onset = self.tables.log_onset + sure + 0.5 * math.log(self.precision[G])
        return np.where(grows, onset, self.tables.log_growth + 0.5 * math.log(ABSENT)) - 0.5 * np.log(gg)

    def _put_levels(
        self, where: Where, c: NDArray[np.intp], tie: FloatArray, theta: FloatArray, root: FloatArray
    ) -> None:
        """Fill in ``L_N`` and the gap, which follow from the other coefficients; ``c`` is each shape's walk."""
        (F, _, C), R = self.ff.shape, len(self.zz)
        z = self.level_f.take(where.rate * C + c, axis=1)
        x = self.level_x.take(where.cell, axis=1) + tie * z
        theta[:B] = self.level_f.take((F - 1) * C + c, axis=1) - z * theta[B] - x * theta[A]
        root[:B, B:] = -(z[:, None] * root[B, B:] + x[:, None] * root[A, B:])
        if where.onset.any():
            g = self.level_f.take((R + np.maximum(where.onset - 1, 0)) * C + c, axis=1) * (where.onset > 0)
            theta[:B] -= g * theta[G]
            root[:B, B:] -= g[:, None] * root[G, B:]
        theta[L_N] += self.prior.converged
        root[L_N, L_N], root[GAP, L_N], root[GAP, GAP] = self.level_root.take(c, axis=1)


def _has_turned(data: Observations) -> bool:
    """Whether validation stands above its lowest by more than noise: before, nothing tells of an onset of growth."""
    of_val = data.is_val > 0.0
    loss, noise = data.loss[of_val], data.noise[of_val]
    lowest = int(loss.argmin())
    return bool((loss[0] - loss[lowest]) ** 2 > noise[0] + noise[lowest])


def _score(x2: FloatArray, xy: FloatArray) -> FloatArray:
    """Log-evidence of the last elimination, that of ``A``."""
    rising = np.maximum(xy, 0.0)
    return np.asarray(0.5 * (rising * rising / x2 - np.log(x2)))


def _log_positive(z: FloatArray) -> FloatArray:
    """Log-probability that a Gaussian ``z`` standard deviations above zero is positive."""
    return np.asarray(np.log(np.maximum(ndtr(z), 1e-300)))  # log_ndtr takes 100 times as long
