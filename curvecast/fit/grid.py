"""The grid over shapes: inner products once, a scout over all shapes, an exact solve for those that count.

With the shapes fixed the law is linear,

    loss(s) = L_N + gap [val] - B z(s) + G g(s) [val] + A x(s) + wander(s) + noise,

so every shape has its coefficients and its evidence in closed form, and all shapes share the same few inner
products. The scout weighs every shape, but growth only at the middle annealing shape; the solve leaves nothing out.

Arrays of shapes are planes: the cells (power law, then window and drift) run along the last axis. Several runs lie
side by side as more cells of the same grid, and so does a run under several priors: a call costs hardly more for them
than for one. A *lane* is one run under one prior; lanes go last, those of a run together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from curvecast.curve import FloatArray
from curvecast.fit.basis import NO_NEWS, Observations, growth_term
from curvecast.fit.prior import Prior
from curvecast.fit.tables import ABSENT, GAP, L_N, A, B, G, tables
from curvecast.fit.whiten import inner_products

EARLY_WANDER = 0.5  # relative loss per square root of an e-fold before the law's window: a loss that still halves
KEPT = 32  # shapes that stand for all
POINTS = (np.arange(KEPT) + 0.5) / KEPT


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


class Clock(Protocol):
    """What is needed of a ``Timeline``, or of those of several runs."""

    @property
    def end(self) -> Any:
        """The last planned step; of several runs ``(r,)``."""

    def at(self, step: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` summed learning rate and ``(R, m)`` gain; of several runs each with a further axis."""


class Grid:
    """All shapes of ``P`` priors against one run's observations, or against those of ``r`` runs.

    Args:
        data: The observations; of several runs every array has a further axis.
        clock: The law's clock.
        prior: What is believed, of all of them, with what stands beside it.
        grows: Whether an onset of growth is looked for, in all of them.
    """

    def __init__(self, data: Observations, clock: Clock, prior: Prior, *, grows: bool) -> None:
        self.data, self.clock, self.prior = data, clock, prior
        self.runs = data.step[0].size
        self.tables = tables(prior, self.runs)
        self.lanes = self.tables.lanes
        self.precision = self._precision(data.has_both)
        self.onset = self.tables.onset if grows else np.empty(0)
        self.shape = (len(prior.offset), len(prior.alpha), len(prior.window), len(prior.drift))  # of a lane's cells
        ends = np.array([np.maximum(data.now, clock.end), data.now])
        steps = np.concatenate([ends, data.step])
        time, gain = clock.at(steps)
        u = (time / time[1]).reshape(len(steps), -1, 1)
        self.gained = gain[:, 1].reshape(-1, self.runs, 1)
        x = self.tables.power(u)
        fixed, walk = self._fixed(gain[:, 2:]), self._walk(u[2:], np.log(steps[1:]).reshape(-1, self.runs, 1))
        noise = data.noise.reshape(-1, self.runs).repeat(self.tables.count, axis=1)
        products = inner_products(fixed, x[:, :, 2:], walk, noise, at_once=data.noise.ndim == 1)
        self._integrate_levels(*products)
        self._integrate_annealing(*self._ahead(x[:, :, 0], u[0]))

    def evidence(self, of_all: FloatArray) -> FloatArray:
        """``(lanes,)`` logarithm of the density of the observed losses over all shapes, in their own unit.

        It lacks ``(2 pi)^(-1/2)`` for each of them, so that of the same losses, fitted together or in parts, it tells
        which is likelier. Each prior's own probability is counted.

        Args:
            of_all: ``(lanes,)`` log-weight of all shapes, as ``scout`` gives it.
        """
        data, prior, (absent, there) = self.data, self.tables, self.tables.log_gap
        told = len(data.step) if self.runs == 1 else np.count_nonzero(data.noise < NO_NEWS, axis=0)
        filled = 0.5 * math.log(NO_NEWS) * (len(data.step) - told)
        of_run = absent + (there - absent) * data.has_both + filled - told * np.log(data.scale)
        found = of_all.reshape(self.runs, -1) + (prior.log_common + prior.log_before) + np.reshape(of_run, (-1, 1))
        return np.asarray(found.reshape(-1))

    def _fixed(self, gain: FloatArray) -> FloatArray:
        """``(F, n, lanes)`` columns that all windows share: the levels, annealing, growth and the loss itself."""
        data, rates, ones = self.data, len(gain), (-1, self.runs, 1)
        fixed = np.empty((3 + rates + len(self.onset), len(data.step), self.runs, self.tables.count))
        fixed[L_N], fixed[GAP] = 1.0, data.is_val.reshape(ones)
        fixed[2 : 2 + rates] = -gain.reshape(rates, *fixed.shape[1:3], 1)
        if len(self.onset):
            growth = growth_term((data.step / data.now).reshape(ones), self.onset.reshape(-1, 1, 1, 1))
            fixed[2 + rates : -1] = fixed[GAP, ..., :1] * growth
        fixed[-1] = data.loss.reshape(ones) - self.tables.converged
        return fixed.reshape(*fixed.shape[:2], -1)

    def _walk(self, u: FloatArray, log_step: FloatArray) -> FloatArray:
        """``(W, Q, n, lanes)`` variance of the wander between neighbours, newest first; large before the window.

        Args:
            u: ``(n, r, 1)`` times of the observations, in units of the time now.
            log_step: ``(1 + n, r, 1)`` of now, and theirs.
        """
        prior = self.tables
        elapsed = np.maximum(log_step[:-1] - log_step[1:], 0.0)
        drift = prior.drift[:, None, None] * (1.0 + prior.drift_growth * self.data.excess.reshape(u.shape))
        before = EARLY_WANDER * (u < prior.window[:, None, None])
        walk = np.maximum(before[:, None], drift) ** 2 * elapsed
        return np.asarray(walk.reshape(*walk.shape[:3], -1))

    def _precision(self, has_both: Any) -> FloatArray:
        """``(5, walks)`` of each coefficient; there is no gap where a run has losses of one kind alone."""
        prior = self.tables
        if self.runs == 1:
            return prior.precision if has_both else prior.without_gap
        return np.where(has_both.take(prior.lane_of_walk // prior.count), prior.precision, prior.without_gap)

    def _ahead(self, x: FloatArray, end: FloatArray) -> FloatArray:
        """``(2, X, walks)`` what each power-law term still loses to the horizon, and what ``annealing_speed`` adds.

        Args:
            x: ``(W, X, lanes)`` the terms at the horizon.
            end: ``(r, 1)`` its time on the law's clock.
        """
        prior = self.tables
        slope = (end / (end + prior.offset[:, :, None]))[:, :, None] * (prior.speed * prior.alpha[:, None, None])
        both = np.empty((2, x.shape[1], len(x), len(prior.drift), self.lanes))  # the slope is -d ln x / d ln S1
        both[0], both[1] = (each.swapaxes(0, 1)[:, :, None] for each in (1.0 - x, slope.reshape(x.shape) * x))
        return both.reshape(2, x.shape[1], -1)

    def _integrate_levels(self, products: FloatArray, xx: FloatArray, logdet: FloatArray) -> None:
        """Integrate ``L_N`` and the gap, which every shape has, out of the products; keep how to get them back."""
        K = len(products) - 2
        a, b, d = products[L_N, L_N] + self.precision[L_N], products[L_N, GAP], products[GAP, GAP] + self.precision[GAP]
        det = a * d - b * b
        cross = products[:2, 2:]
        levels = np.empty_like(cross)
        levels[0] = (d / det) * cross[0] - (b / det) * cross[1]
        levels[1] = (a / det) * cross[1] - (b / det) * cross[0]
        rest = products[2:, 2:] - cross[0, :K, None] * levels[0] - cross[1, :K, None] * levels[1]
        self.ff, self.xf = rest[:, :K], np.ascontiguousarray(rest[:, K:])  # (K, K, walks) and (K, X, walks)
        self.squares = rest.reshape(-1, rest.shape[2])[:: rest.shape[1] + 1]  # (K, walks), the diagonal of ff
        self.xx = xx - cross[0, K:] * levels[0, K:] - cross[1, K:] * levels[1, K:]
        self.level_f, self.level_x = levels[:, :K].reshape(2, -1), levels[:, K:].reshape(2, -1)
        self.level_root = np.array([d, -b, np.sqrt(det)]) / np.sqrt(d * det)  # (3, walks), lower
        self.logdet = logdet + np.log(det)

    def _integrate_annealing(self, lost: FloatArray, sped: FloatArray) -> None:
        """Integrate out ``b``, which is ``B`` without the part ``tie`` that comes with ``A``: planes of every shape.

        ``B`` is a share of the loss at the horizon without a decay, ``1 + B z(now) - lost A``, and ``sped A``, what
        some e-folds bring there. Planes are ``(L, R, X, walks)``, and what no power law changes ``(R, walks)`` or
        ``(L, R, walks)``. The column of ``A`` carries its part of annealing, so what is left of its products is a
        square and a line in ``tie``.
        """
        R, pB, pA = len(self.gained), self.precision[B], self.precision[A]
        xz, zz, zy = self.xf[:R], self.squares[:R], self.ff[:R, -1]
        share = self.tables.share[:, None, None]
        share = share / (1.0 - share * self.gained)
        self.share = share.reshape(*share.shape[:2], -1)  # (L, R, lanes)
        by_walk = self.share.take(self.tables.lane_of_walk, axis=-1)
        self.zz, self.zy = zz + pB, zy + pB * by_walk
        doubt = pB / self.zz  # what the losses do not tell of b
        per_zz = xz / self.zz[:, None]
        self.tie = by_walk[:, :, None] * -lost
        self.tie += sped
        doubted = self.tie * doubt[:, None]
        self.x2 = self.tie * zz[:, None]
        self.x2 += xz + xz
        self.x2 *= doubted
        self.x2 += self.xx + pA - xz * per_zz
        self.xy = doubted * (zy - zz * by_walk)[:, :, None]
        self.xy -= self.zy[:, :, None] * per_zz
        self.xy += self.xf[-1] + self.tables.pull
        told = self.zy * self.zy / self.zz - pB * by_walk * by_walk
        self.base = 0.5 * (told - np.log(self.zz) - self.logdet - self.ff[-1, -1])  # of the log-weight
        self.base += self.tables.log_share[:, None, None]

    def scout(self) -> tuple[Where, FloatArray, FloatArray]:
        """Shapes drawn from the scouted weights at evenly spaced points, their scouted log-weight, and that of all.

        It is systematic resampling: a weighty shape is drawn often, many light ones send one. A point falls upon a
        cell; how far it lies from that cell's end tells how annealing counts, and how far from that one's the onset:
        a running sum over all shapes would take longer than their exponentials.

        Returns:
            ``(KEPT,)`` shapes and their log-weights, of one lane after another, and ``(lanes,)`` that of all of each.
        """
        log, growth = self._scouted()
        if len(growth):
            highest = np.maximum.reduce(growth)
            relative = np.exp(growth - highest)
            odds = np.add.reduce(relative)
            log += (of_onsets := highest + np.log(odds))
        by_cell = log.reshape(-1, self.xx.size)
        most = np.maximum.reduce(np.maximum.reduce(by_cell).reshape(-1, self.lanes))
        weight = by_cell - most.take(self.tables.lane_of_cell)
        weight = np.exp(weight, out=weight)
        cell, to_end, total = self._drawn(np.add.reduce(weight))
        from_end = self.tables.from_end @ weight.take(cell, axis=1)
        annealed = np.add.reduce(from_end[1:] > to_end)
        chosen = annealed * self.xx.size + cell
        share, rate = np.divmod(annealed, log.shape[1])
        scouted, of_all = log.take(chosen), most + np.log(total)
        if not len(growth):
            return Where(cell, share, rate, np.zeros(len(cell), dtype=np.intp)), scouted, of_all
        to_end = 1.0 - (from_end[annealed, np.arange(len(cell))] - to_end) / weight.take(chosen)
        relative, growth = relative.reshape(len(growth), -1), growth.reshape(len(growth), -1)
        onset = np.add.reduce(relative.take(cell, axis=1).cumsum(axis=0)[:-1] < to_end * odds.take(cell))
        return Where(cell, share, rate, onset), scouted + growth[onset, cell] - of_onsets.take(cell), of_all

    def _drawn(self, weight: FloatArray) -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
        """``(KEPT,)`` cells that points fall upon, of each lane, how far from a cell's end, ``(lanes,)`` all weight."""
        by_walk = self.tables.by_walk
        total = weight.reshape(-1, self.lanes).take(by_walk, axis=0).T.cumsum(axis=1)
        points = POINTS * total[:, -1:]
        if self.lanes == 1:
            chosen = total[0].searchsorted(points[0])
            return by_walk.take(chosen), total.take(chosen) - points[0], total[0, -1:]
        chosen = np.concatenate([each.searchsorted(wanted) for each, wanted in zip(total, points, strict=True)])
        lane = np.arange(self.lanes).repeat(KEPT)
        return by_walk.take(chosen) * self.lanes + lane, total[lane, chosen] - points.reshape(-1), total[:, -1]

    def _scouted(self) -> tuple[FloatArray, FloatArray]:
        """``(L, R, X, walks)`` log-weight of shapes, and ``(1 + K, X, walks)`` what no growth and each onset add to it.

        The right sign of ``A`` and ``G`` is asked for by the Gaussian tail of the wrong one.
        """
        prior = self.tables
        log = _score(self.x2, self.xy)
        log += self.base[:, :, None]
        log += prior.log_alpha + prior.log_growth
        if not len(self.onset):
            return log, np.empty((0, *self.xx.shape))
        middle = (len(prior.share) // 2, len(self.zz) // 2)
        x2, xy, (gg, gy, xg) = self.x2[middle], self.xy[middle], self._with_growth(middle)
        # Whether growth would have the wrong sign is asked beside the best A, not beside none.
        miss = np.minimum(gy - xg * (np.maximum(xy, 0.0) / x2), 0.0)
        xg_per_gg = xg / gg
        wrong = miss * miss / np.maximum(gg - xg * xg_per_gg, 1e-12)
        gain = gy * gy / gg - np.log(gg / self.precision[G]) - wrong
        grown = _score(x2 - xg * xg_per_gg, xy - gy * xg_per_gg) - _score(x2, xy)
        grown += 0.5 * gain + (prior.log_onset - prior.log_growth)
        return log, np.concatenate([np.zeros((1, *grown.shape[1:])), grown])

    def _with_growth(self, middle: tuple[int, int]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Of each onset, ``b`` integrated out: ``gg`` and ``gy``, ``(K, 1, walks)``, and ``xg``, ``(K, X, walks)``."""
        rate, k = middle[1], slice(len(self.zz), -1)
        zg = self.ff[rate, k]
        per_zz = zg / self.zz[rate]
        gg = self.squares[k] - zg * per_zz + self.precision[G]
        gy = self.ff[k, -1] - per_zz * self.zy[middle]
        xz = self.xf[rate] + self.tie[middle] * (self.zz[rate] - self.precision[B])
        xg = self.xf[k] + self.tie[middle] * zg[:, None] - xz * per_zz[:, None]
        return gg[:, None], gy[:, None], xg

    def exact(self, where: Where) -> Solved:
        """Coefficients, a root of their covariance, and the log-weight of each shape: back-substitution."""
        cells, walks, cell = self.xx.size, len(self.logdet), where.cell
        walk = cell % walks
        by_rate = where.rate * walks + walk
        by_both = by_rate + where.share * self.zz.size
        by_shape = where.rate * cells + cell
        plane = where.share * (len(self.zz) * cells) + by_shape
        zz, zy = self.zz.take(by_rate), self.zy.take(by_both)
        tie, x2, xy = self.tie.take(plane), self.x2.take(plane), self.xy.take(plane)
        a_b = (self.xf.take(by_shape) + tie * (zz - self.precision[B].take(walk))) / zz
        theta, root = np.zeros((5, len(cell))), np.zeros((5, 5, len(cell)))
        log_weight = self.tables.log_alpha.take(cell) + self.base.take(by_both)
        growth = None
        if len(self.onset) and where.onset.any():
            growth = self._grown(where, zz, zy, tie - a_b)
            gg, gy, xg, _ = growth
            a_g = xg / gg
            x2, xy = x2 - xg * a_g, xy - gy * a_g
            log_weight += 0.5 * gy * gy / gg
        half = 1.0 / np.sqrt(x2)
        theta[A], root[A, A] = xy / x2, half
        log_weight += 0.5 * (xy * theta[A] - np.log(x2)) + _log_positive(xy * half)
        theta[B], root[B, A] = zy / zz - a_b * theta[A], -a_b * half
        root[B, B] = 1.0 / np.sqrt(zz)
        if growth is None:
            log_weight += self.tables.log_growth
        else:
            log_weight += self._put_growth(where, growth, theta, root)
        self._put_levels(where, by_rate, tie, theta, root)
        theta[B] += tie * theta[A]
        root[B, A] += tie * half
        return Solved(log_weight, theta, root)

    def shapes(self, where: Where) -> tuple[Any, ...]:
        """``(K,)`` each: exponent, offset, floor, index of the annealing shape, onset (inf for none), and drift."""
        prior, count = self.tables, self.tables.count
        of_cell = where.cell if self.runs == 1 else where.cell // self.lanes * count + where.cell % count
        alpha, offset, floor, drift = prior.of_cell.reshape(4, -1).take(of_cell, axis=1)
        return alpha, offset, floor, where.rate, prior.onsets.take(where.onset), drift

    def flat(self) -> Solved:
        """The shapes that learn no more, one for each window and drift: the levels alone are left."""
        F, walks, prior = len(self.ff), len(self.logdet), self.tables
        log_weight = prior.log_flat + prior.log_growth - 0.5 * (self.logdet + self.ff[-1, -1])
        theta, root = np.zeros((5, walks)), np.zeros((5, 5, walks))
        theta[:B] = self.level_f[:, (F - 1) * walks :]
        theta[L_N] += prior.converged.take(prior.lane_of_walk % prior.count)
        root[L_N, L_N], root[GAP, L_N], root[GAP, GAP] = self.level_root
        return Solved(log_weight, theta, root)

    def _grown(self, where: Where, zz: FloatArray, zy: FloatArray, lean: FloatArray) -> tuple[FloatArray, ...]:
        """Each shape's ``gg``, ``gy``, ``xg`` with ``b`` integrated out, and ``g_b``; nothing where none grows."""
        power, walk = np.divmod(where.cell, len(self.logdet))
        grows, k = where.onset > 0, len(self.zz) + np.maximum(where.onset - 1, 0)
        zg = grows * self.ff[where.rate, k, walk]
        gg = np.where(grows, self.ff[k, k, walk] + self.precision[G, walk], ABSENT)
        gy = grows * self.ff[k, -1, walk]
        xg = grows * self.xf[k, power, walk]
        g_b = zg / zz
        return gg - zg * g_b, gy - zy * g_b, xg + lean * zg, g_b

    def _put_growth(
        self, where: Where, growth: tuple[FloatArray, ...], theta: FloatArray, root: FloatArray
    ) -> FloatArray:
        """Fill in ``G`` and what it takes from ``b``; the log-weight that its onset adds."""
        gg, gy, xg, g_b = growth
        grows = where.onset > 0
        theta[G] = (gy - xg * theta[A]) / gg
        root[G, A], root[G, G] = -xg / gg * root[A, A], grows / np.sqrt(gg)
        theta[B] -= g_b * theta[G]
        root[B, A] -= g_b * root[G, A]
        root[B, G] = -g_b * root[G, G]
        sure = _log_positive(theta[G] / np.where(grows, np.hypot(root[G, G], root[G, A]), 1.0))
        onset = self.tables.log_onset + sure + 0.5 * np.log(self.precision[G].take(where.cell % len(self.logdet)))
        return np.where(grows, onset, self.tables.log_growth + 0.5 * math.log(ABSENT)) - 0.5 * np.log(gg)

    def _put_levels(
        self, where: Where, by_rate: NDArray[np.intp], tie: FloatArray, theta: FloatArray, root: FloatArray
    ) -> None:
        """Fill in ``L_N`` and the gap, which follow from the other coefficients; ``by_rate`` is where each shape is."""
        (F, _, C), R = self.ff.shape, len(self.zz)
        c = by_rate % C
        z = self.level_f.take(by_rate, axis=1)
        x = self.level_x.take(where.cell, axis=1) + tie * z
        theta[:B] = self.level_f.take((F - 1) * C + c, axis=1) - z * theta[B] - x * theta[A]
        root[:B, B:] = -(z[:, None] * root[B, B:] + x[:, None] * root[A, B:])
        if len(self.onset) and where.onset.any():
            g = self.level_f.take((R + np.maximum(where.onset - 1, 0)) * C + c, axis=1) * (where.onset > 0)
            theta[:B] -= g * theta[G]
            root[:B, B:] -= g[:, None] * root[G, B:]
        theta[L_N] += self.tables.converged.take(c % self.tables.count)
        root[L_N, L_N], root[GAP, L_N], root[GAP, GAP] = self.level_root.take(c, axis=1)


def _score(x2: FloatArray, xy: FloatArray) -> FloatArray:
    """Log-evidence of the last elimination, that of ``A``."""
    score = np.maximum(xy, 0.0)
    score *= score
    score /= x2
    score -= np.log(x2)
    score *= 0.5
    return np.asarray(score)


def _log_positive(z: FloatArray) -> FloatArray:
    """Log-probability that a Gaussian ``z`` standard deviations above zero is positive."""
    return np.asarray(np.log(np.maximum(ndtr(z), 1e-300)))  # log_ndtr takes 100 times as long
