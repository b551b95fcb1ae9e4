"""The grid over shapes: inner products once, a scout over all shapes, an exact solve for those that count.

With the shapes fixed the law is linear,

    loss(s) = L_N + gap [val] - B z(s) + G g(s) [val] + A x(s) + wander(s) + noise,

so every shape has its coefficients and its evidence in closed form, and all shapes share the same few inner
products. The scout weighs every shape, but growth only at the middle annealing shape; the solve leaves nothing out.

Arrays of shapes are planes: the cells (power law, then walk) run along the last axis. A *walk* is a window and a drift
under one of the priors that a run may have, and several runs lie side by side as more of them, the runs going last: a
call costs hardly more for them than for one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from curvecast.curve import FloatArray
from curvecast.fit.design import Clock, design
from curvecast.fit.observed import NO_NEWS, Observations
from curvecast.fit.prior import Prior
from curvecast.fit.tables import ABSENT, GAP, L_N, ONSET, RATE, A, B, G, tables
from curvecast.fit.whiten import inner_products

KEPT = 32  # shapes that stand for all
COEFFICIENTS = 30  # numbers that tell of them: of five the mean, and a row of a root of their covariance
POINTS = (np.arange(KEPT) + 0.5) / KEPT


class Where(NamedTuple):
    """Shapes, each ``(K,)``: cell (power law, window and drift), annealing share and shape, onset (0: no growth)."""

    cell: NDArray[np.intp]
    share: NDArray[np.intp]
    rate: NDArray[np.intp]
    onset: NDArray[np.intp]


class Solved(NamedTuple):
    """Shapes, solved.

    Args:
        log_weight: ``(K,)`` of each.
        rows: ``(39, K)`` its coefficients, of each the mean and a row of a root of their covariance; then ``OF_SHAPE``
            and ``OF_OUTLIER``.
    """

    log_weight: FloatArray
    rows: FloatArray

    @property
    def coefficients(self) -> FloatArray:
        """``(5, 6, K)`` of each the mean, then its row of the root."""
        return self.rows[:COEFFICIENTS].reshape(5, 6, -1)

    @property
    def theta(self) -> FloatArray:
        """``(5, K)`` the means."""
        return self.coefficients[:, 0]

    @property
    def root(self) -> FloatArray:
        """``(5, 5, K)`` the root."""
        return self.coefficients[:, 1:]


class Grid:
    """All shapes of ``P`` priors against one run's observations, or against those of ``r`` runs.

    Args:
        data: The observations; of several runs every array has a further axis.
        clock: The law's clock.
        prior: What is believed, of all of them, with what stands beside it.
        grows: Whether an onset of growth is looked for, in all of them.
        at_once: As in ``inner_products``; ``None`` for one run alone.
    """

    def __init__(
        self, data: Observations, clock: Clock, prior: Prior, *, grows: bool, at_once: bool | None = None
    ) -> None:
        self.data, self.clock, self.prior = data, clock, prior
        self.runs = data.step[0].size
        self.tables = tables(prior, self.runs)
        self.precision = self._precision(data.has_both)
        self.onset = self.tables.onset if grows else np.empty(0)
        self.shape = tuple(map(len, (prior.offset, self.tables.alpha, prior.window, prior.drift)))  # of a prior's cells
        found = design(data, clock, self.tables, self.onset)
        self.gained = found.gained
        at_once = data.noise.ndim == 1 if at_once is None else at_once
        self.at_rest = len(self.gained) < len(prior.annealing_shape)  # no decay so far: one stands for all
        self._integrate_levels(*inner_products(found.columns, found.fixed, found.walk, found.noise, at_once=at_once))
        self._integrate_annealing(*found.ahead)

    def evidence(self, of_all: FloatArray) -> FloatArray:
        """``(r,)`` logarithm of the density of each run's losses over all shapes, in their own unit.

        It lacks ``(2 pi)^(-1/2)`` for each of them, so that of the same losses, fitted together or in parts, it tells
        which is likelier.

        Args:
            of_all: ``(r,)`` log-weight of all shapes, as ``scout`` gives it.
        """
        data, (absent, there) = self.data, self.tables.log_gap
        told = len(data.step) if self.runs == 1 else np.count_nonzero(data.noise < NO_NEWS, axis=0)
        filled = 0.5 * math.log(NO_NEWS) * (len(data.step) - told)
        return np.asarray(of_all + (absent + (there - absent) * data.has_both + filled - told * np.log(data.scale)))

    def _precision(self, has_both: Any) -> FloatArray:
        """``(5, walks)`` of each coefficient; there is no gap where a run has losses of one kind alone."""
        prior = self.tables
        if self.runs == 1:
            return prior.precision if has_both else prior.without_gap
        return np.where(has_both.take(prior.lane_of_walk % self.runs), prior.precision, prior.without_gap)

    def _integrate_levels(self, products: FloatArray, own: FloatArray, logdet: FloatArray) -> None:
        """Integrate ``L_N`` and the gap, which every shape has, out of the products; keep how to get them back."""
        prior, F = self.tables, products.shape[4]
        axes = (*products.shape[:2], prior.count, self.runs)
        laid, squares = np.empty((*products.shape[4:], *axes)), np.empty((own.shape[4], *axes))
        laid[:], squares[:] = products.transpose(4, 5, 0, 1, 2, 3), own.transpose(4, 0, 1, 2, 3)
        products, xx, K = laid.reshape(*laid.shape[:2], -1), squares.reshape(len(squares), -1), F - 2
        products[L_N, F - 1] += prior.pull_level
        products[F - 1, F - 1] += prior.pull_square
        a, b, d = products[L_N, L_N] + self.precision[L_N], products[L_N, GAP], products[GAP, GAP] + self.precision[GAP]
        det = a * d - b * b
        cross = products[:2, 2:]
        inverse = np.array([[d, -b], [-b, a]]) / det
        levels = inverse[:, :1] * cross[0]
        levels += inverse[:, 1:] * cross[1]
        rest = products[2:, 2:] - cross[0, :K, None] * levels[0]
        rest -= cross[1, :K, None] * levels[1]
        self.ff, self.xf = rest[:, :K], np.ascontiguousarray(rest[:, K:])  # (K, K, walks) and (K, X, walks)
        self.squares = rest.reshape(-1, rest.shape[2])[:: rest.shape[1] + 1]  # (K, walks), the diagonal of ff
        self.xx = xx - np.add.reduce(cross[:, K:] * levels[:, K:])
        self.level_f, self.level_x = levels[:, :K].reshape(2, -1), levels[:, K:].reshape(2, -1)
        self.level_root = np.array([d, -b, np.sqrt(det)]) / np.sqrt(d * det)  # (3, walks), lower
        self.logdet = (logdet[:, :, None] + np.log(det).reshape(axes)).reshape(-1)

    def _integrate_annealing(self, kept: FloatArray, sped: FloatArray) -> None:
        """Integrate out ``b``, which is ``B`` without the part ``tie`` that comes with ``A``: planes of every shape.

        ``B`` is a share of the loss at the horizon without a decay, ``1 + B z(now) + kept A``, and ``sped A``, what
        some e-folds bring there. Planes are ``(L, R, X, walks)``, and what no power law changes ``(R, walks)`` or
        ``(L, R, walks)``. The column of ``A`` carries its part of annealing, so what is left of its products is a
        square and a line in ``tie``. Before a decay there are no such parts: ``L`` and ``R`` of the planes are 1.
        """
        R, pB, pA = len(self.gained), self.precision[B], self.precision[A]
        xz, zz, zy = self.xf[:R], self.squares[:R], self.ff[:R, -1]
        share = self.tables.share[:, None, :, None]
        share = share / (1.0 - share * self.gained)
        self.share = share.reshape(*share.shape[:2], -1)  # (L, R, P * r)
        by_walk = self.share.take(self.tables.lane_of_walk, axis=-1)
        self.zz, self.zy = zz + pB, zy + pB * by_walk
        doubt = pB / self.zz  # what the losses do not tell of b
        per_zz = xz / self.zz[:, None]
        self.tie = by_walk[:, :, None] * kept
        self.tie += sped
        if self.at_rest:  # no loss has anything to do with b, nor with what a decay is worth
            self.x2, self.xy = (self.xx + pA)[None, None], (self.xf[-1] + self.tables.pull)[None, None]
            told = -np.log(self.zz) - (self.logdet + self.ff[-1, -1])
            self.base = 0.5 * told + self.tables.log_share[:, None, None]
            return
        self.x2 = self.tie * (doubt * zz)[:, None]
        self.x2 += (doubt + doubt)[:, None] * xz
        self.x2 *= self.tie
        self.x2 += self.xx + pA - xz * per_zz
        self.xy = self.tie * (doubt * (zy - zz * by_walk))[:, :, None]
        self.xy -= self.zy[:, :, None] * per_zz
        self.xy += self.xf[-1] + self.tables.pull
        told = self.zy * self.zy / self.zz - pB * by_walk * by_walk
        told -= np.log(self.zz) + (self.logdet + self.ff[-1, -1])
        self.base = 0.5 * told + self.tables.log_share[:, None, None]  # of the log-weight

    def scout(self) -> tuple[Where, FloatArray, FloatArray]:
        """Shapes drawn from the scouted weights at evenly spaced points, their scouted log-weight, and that of all.

        It is systematic resampling: a weighty shape is drawn often, many light ones send one. A point falls upon a
        cell; how far it lies from that cell's end tells how annealing counts, and how far from that one's the onset:
        a running sum over all shapes would take longer than their exponentials.

        Returns:
            ``(KEPT,)`` shapes and their log-weights, of one run after another, and ``(r,)`` that of all of each.
        """
        log, growth = self._scouted()
        if len(growth):
            highest = np.maximum.reduce(growth)
            relative = np.exp(growth - highest)
            all_onsets = np.add.reduce(relative)
            log += (of_onsets := highest + np.log(all_onsets))
        weight = log.reshape(-1, self.runs)
        most = np.maximum.reduce(weight)
        weight = weight - most
        np.exp(weight, out=weight)
        weight /= np.sqrt(self.x2).reshape(weight.shape)
        weight = weight.reshape(-1, self.xx.size)
        cell, to_end, total = self._drawn(np.add.reduce(weight))
        of_cell = weight.take(cell, axis=1)
        if self.at_rest:  # the losses leave shares and annealing shapes as they were believed
            odds, of_all_ways = self.tables.odds, self.tables.odds.sum()
            of_cell, to_end, total = odds * of_cell, of_all_ways * to_end, of_all_ways * total
        from_end = self.tables.from_end @ of_cell
        annealed = np.add.reduce(from_end[1:] > to_end)
        share, rate = np.divmod(annealed, len(self.prior.annealing_shape))
        chosen = cell if self.at_rest else annealed * self.xx.size + cell
        scouted, of_all = log.take(chosen) - 0.5 * np.log(self.x2.take(chosen)), most + np.log(total)
        if self.at_rest:
            scouted += self.tables.log_share.take(share) - self.tables.log_share[0]
        if not len(growth):
            return Where(cell, share, rate, np.zeros(len(cell), dtype=np.intp)), scouted, of_all
        each = annealed, np.arange(len(cell))
        to_end = 1.0 - (from_end[each] - to_end) / of_cell[each]
        relative, growth = relative.reshape(len(growth), -1), growth.reshape(len(growth), -1)
        onset = np.add.reduce(relative.take(cell, axis=1).cumsum(axis=0)[:-1] < to_end * all_onsets.take(cell))
        return Where(cell, share, rate, onset), scouted + growth[onset, cell] - of_onsets.take(cell), of_all

    def _drawn(self, weight: FloatArray) -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
        """``(KEPT,)`` cells that points fall upon, of each run, how far from a cell's end, and ``(r,)`` all weight."""
        as_drawn = self.tables.as_drawn
        total = weight.reshape(-1, self.runs).take(as_drawn, axis=0).T.cumsum(axis=1)
        points = POINTS * total[:, -1:]
        if self.runs == 1:
            chosen = total[0].searchsorted(points[0])
            return as_drawn.take(chosen), total.take(chosen) - points[0], total[0, -1:]
        chosen = np.concatenate([each.searchsorted(wanted) for each, wanted in zip(total, points, strict=True)])
        run = np.arange(self.runs).repeat(KEPT)
        return as_drawn.take(chosen) * self.runs + run, total[run, chosen] - points.reshape(-1), total[:, -1]

    def _scouted(self) -> tuple[FloatArray, FloatArray]:
        """``(L, R, X, walks)`` log-weight of shapes, and ``(1 + K, X, walks)`` what no growth and each onset add to it.

        The former still lacks the root of ``x2``, by which weights are divided: that takes a fifth of its logarithm.
        The right sign of ``A`` and ``G`` is asked for by the Gaussian tail of the wrong one.
        """
        prior = self.tables
        log = _half_square(self.x2, self.xy)
        log += self.base[: len(log), :, None]
        log += prior.log_alpha + prior.log_growth
        if not len(self.onset):
            return log, np.empty((0, *self.xx.shape))
        middle = (len(prior.share) // 2, len(self.zz) // 2)
        at = (0, 0) if self.at_rest else middle
        x2, xy, (gg, gy, xg) = self.x2[at], self.xy[at], self._with_growth(middle)
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
        """Coefficients, a root of their covariance, and the log-weight of each shape: back-substitution.

        A coefficient depends on those solved before it in one way, its mean and its row of the root alike.
        """
        rows = np.zeros((COEFFICIENTS + len(self.tables.of_cell), len(where.cell)))
        rows[COEFFICIENTS:] = self.shapes(where)
        if self.at_rest:
            where = where._replace(rate=np.zeros_like(where.rate))
        cells, walks, cell = self.xx.size, len(self.logdet), where.cell
        walk = cell % walks
        by_rate = where.rate * walks + walk
        by_both = by_rate + where.share * self.zz.size
        by_shape = where.rate * cells + cell
        plane = where.share * (len(self.zz) * cells) + by_shape
        zz, zy = self.zz.take(by_rate), self.zy.take(by_both)
        scouted = cell if self.at_rest else plane
        x2, xy = self.x2.take(scouted), self.xy.take(scouted)
        b_a = (self.tie.take(plane) * self.precision[B].take(walk) - self.xf.take(by_shape)) / zz
        log_weight = self.tables.log_alpha.take(cell) + self.base.take(by_both)
        solved = Solved(log_weight, rows)
        found = solved.coefficients
        growth = None
        if len(self.onset) and where.onset.any():
            growth = self._grown(where, zz, zy, b_a)
            gg, gy, xg, _ = growth
            a_g = xg / gg
            x2, xy = x2 - xg * a_g, xy - gy * a_g
            log_weight += 0.5 * gy * gy / gg
        half = 1.0 / np.sqrt(x2)
        found[A, 0], found[A, 1 + A] = xy / x2, half
        log_weight += 0.5 * (xy * found[A, 0] - np.log(x2)) + _log_positive(xy * half)
        found[B] = b_a * found[A]
        found[B, 0] += zy / zz
        found[B, 1 + B] = 1.0 / np.sqrt(zz)
        if growth is None:
            log_weight += self.tables.log_growth
        else:
            log_weight += self._put_growth(where, growth, found)
        self._put_levels(where, by_rate, found)
        return solved

    def shapes(self, where: Where) -> FloatArray:
        """``(9, K)`` ``OF_SHAPE`` and ``OF_OUTLIER`` of each."""
        shapes = self.tables.of_cell.take(where.cell if self.runs == 1 else where.cell // self.runs, axis=1)
        shapes[RATE], shapes[ONSET] = where.rate, self.tables.onsets.take(where.onset)
        return shapes

    def flat(self) -> Solved:
        """The shapes that learn no more, one for each walk: the levels alone are left."""
        F, walks, prior = len(self.ff), len(self.logdet), self.tables
        log_weight = prior.log_flat + prior.log_growth - 0.5 * (self.logdet + self.ff[-1, -1])
        solved = Solved(log_weight, np.zeros((COEFFICIENTS + len(prior.flat), walks)))
        solved.rows[COEFFICIENTS:] = prior.flat
        found = solved.coefficients
        found[:B, 0] = self.level_f[:, (F - 1) * walks :]
        found[L_N, 1 + L_N], found[GAP, 1 + L_N], found[GAP, 1 + GAP] = self.level_root
        return solved

    def _grown(self, where: Where, zz: FloatArray, zy: FloatArray, b_a: FloatArray) -> tuple[FloatArray, ...]:
        """Each shape's ``gg``, ``gy``, ``xg`` with ``b`` integrated out, and ``g_b``; nothing where none grows."""
        power, walk = np.divmod(where.cell, len(self.logdet))
        grows, k = where.onset > 0, len(self.zz) + np.maximum(where.onset - 1, 0)
        zg = grows * self.ff[where.rate, k, walk]
        gg = np.where(grows, self.ff[k, k, walk] + self.precision[G, walk], ABSENT)
        gy = grows * self.ff[k, -1, walk]
        xg = grows * self.xf[k, power, walk]
        g_b = zg / zz
        return gg - zg * g_b, gy - zy * g_b, xg + b_a * zg, g_b

    def _put_growth(self, where: Where, growth: tuple[FloatArray, ...], found: FloatArray) -> FloatArray:
        """Fill in ``G`` and what it takes from ``B``; the log-weight that its onset adds."""
        gg, gy, xg, g_b = growth
        grows = where.onset > 0
        found[G] = -xg / gg * found[A]
        found[G, 0] += gy / gg
        found[G, 1 + G] = grows / np.sqrt(gg)
        found[B] -= g_b * found[G]
        mean, of_a, of_g = found[G, 0], found[G, 1 + A], found[G, 1 + G]
        sure = _log_positive(mean / np.where(grows, np.hypot(of_g, of_a), 1.0))
        onset = self.tables.log_onset + sure + 0.5 * np.log(self.precision[G].take(where.cell % len(self.logdet)))
        return np.where(grows, onset, self.tables.log_growth + 0.5 * math.log(ABSENT)) - 0.5 * np.log(gg)

    def _put_levels(self, where: Where, by_rate: NDArray[np.intp], found: FloatArray) -> None:
        """Fill in ``L_N`` and the gap, which follow from the other coefficients; ``by_rate`` is where each shape is."""
        (F, _, C), R = self.ff.shape, len(self.zz)
        c = by_rate % C
        z, x = self.level_f.take(by_rate, axis=1), self.level_x.take(where.cell, axis=1)
        levels = found[:B]
        np.multiply(-z[:, None], found[B], out=levels)
        levels -= x[:, None] * found[A]
        if len(self.onset) and where.onset.any():
            g = self.level_f.take((R + np.maximum(where.onset - 1, 0)) * C + c, axis=1) * (where.onset > 0)
            levels -= g[:, None] * found[G]
        levels[:, 0] += self.level_f.take((F - 1) * C + c, axis=1)
        levels[L_N, 1 + L_N], levels[GAP, 1 + L_N], levels[GAP, 1 + GAP] = self.level_root.take(c, axis=1)


def _score(x2: FloatArray, xy: FloatArray) -> FloatArray:
    """Log-evidence of the last elimination, that of ``A``."""
    return _half_square(x2, xy) - 0.5 * np.log(x2)


def _half_square(x2: FloatArray, xy: FloatArray) -> FloatArray:
    """Half the square of how many standard deviations ``A`` stands above zero; none where it stands below."""
    square = np.maximum(xy, 0.0)
    square *= square
    square /= x2
    square *= 0.5
    return np.asarray(square)


def _log_positive(z: FloatArray) -> FloatArray:
    """Log-probability that a Gaussian ``z`` standard deviations above zero is positive."""
    return np.asarray(np.log(np.maximum(ndtr(z), 1e-300)))  # log_ndtr takes 100 times as long
