"""The posteriors of many runs at once: what ``fit`` gives for each, at a fraction of its time.

A fit of one run is a few hundred operations on short arrays, and spends its time between them. Here the runs lie side
by side along the last axis of every array, as more cells of the same grid; runs with fewer observations are padded
with ones that count for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curvecast.curve import NO_BINS, Bins, FloatArray
from curvecast.fit.basis import LEAST_NOISE, UNKNOWN_NOISE, Timeline, first_bin, group_of, growth_term, scale_of
from curvecast.fit.grid import ABSENT, EARLY_WANDER, GAP, KEPT, L_N, NO_ONSET, POINTS, Grid, Solved, Where, tables
from curvecast.fit.posterior import FALLEN, Posterior, comparable, with_flat
from curvecast.fit.prior import Prior
from curvecast.fit.whiten import LEAST_WALK

_SIDE_BY_SIDE = 64  # runs: more of them no longer make a call cheaper
_KEPT_BYTES = 24 << 20  # below the 32 MB up to which glibc learns
_NEWEST = 3  # groups of a series that tell its level


class Job(NamedTuple):
    """What one run is fitted to: the arguments of ``fit``."""

    train: Bins
    val: Bins
    timeline: Timeline
    prior: Prior
    of_val: bool
    now: float


@dataclass(frozen=True, slots=True, eq=False)
class _Stack:
    """The observations of several runs, newest first, one run a column: ``Observations`` with a further axis.

    Args:
        step, loss, noise, is_val, excess: ``(n, r)``, as of one run; where a run has fewer, ones that do not count.
        counts: ``(n, r)`` whether it counts.
        scale, now: ``(r,)``.
    """

    step: FloatArray
    loss: FloatArray
    noise: FloatArray
    is_val: FloatArray
    excess: FloatArray
    counts: NDArray[np.bool_]
    scale: FloatArray
    now: FloatArray

    def of(self, runs: Sequence[int]) -> _Stack:
        """Some of the runs, no longer than the longest of them."""
        n = int(self.counts[:, runs].sum(axis=0).max())
        step, loss, noise, is_val, excess = (
            column[:n, runs] for column in (self.step, self.loss, self.noise, self.is_val, self.excess)
        )
        return _Stack(step, loss, noise, is_val, excess, self.counts[:n, runs], self.scale[runs], self.now[runs])

    @property
    def has_turned(self) -> NDArray[np.bool_]:
        """``(r,)`` whether validation stands above its lowest by more than noise."""
        of_val = self.is_val > 0.0
        loss = np.where(of_val, self.loss, np.inf)
        newest, lowest, run = of_val.argmax(axis=0), loss.argmin(axis=0), np.arange(loss.shape[1])
        rise = self.loss[newest, run] - self.loss[lowest, run]
        return np.asarray(of_val.any(axis=0) & (rise * rise > self.noise[newest, run] + self.noise[lowest, run]))


def fit_many(jobs: Sequence[Job]) -> list[Posterior]:
    """The posteriors of many runs; each is what ``fit`` gives, but for rounding.

    Args:
        jobs: The runs.

    Example:
        >>> from curvecast.fit.posterior import fit
        >>> step = np.geomspace(1.0, 1000.0, 60)
        >>> bins = [Bins(step, 2.0 + drop * step**-0.4, np.ones(60), 1e-6) for drop in (3.0, 4.0)]
        >>> clock = Timeline(None, Prior().annealing_shape)
        >>> found = fit_many([Job(each, NO_BINS, clock, Prior(), False, 1000.0) for each in bins])
        >>> alone = fit(bins[1], NO_BINS, clock, Prior(), of_val=False, now=1000.0)
        >>> bool(np.allclose(found[1].theta, alone.theta, rtol=1e-9))
        True
    """
    # The allocator learns from what is given back how much to keep: else it would ask for its pages anew in each block.
    np.empty(_KEPT_BYTES, np.uint8)
    found: list[Posterior | None] = [None] * len(jobs)
    for first in range(0, len(jobs), _SIDE_BY_SIDE):
        some = [_of_one_unit(job) for job in jobs[first : first + _SIDE_BY_SIDE]]
        stack = _observe(some)
        for runs in _alike(some, stack.has_turned.tolist()):
            posteriors = _fit([some[r] for r in runs], stack.of(runs), grows=bool(stack.has_turned[runs[0]]))
            for r, posterior in zip(runs, posteriors, strict=True):
                found[first + r] = posterior
    return [each for each in found if each is not None]


def _of_one_unit(job: Job) -> Job:
    """Perplexity beside loss, a sum beside a mean: no common curve."""
    if comparable(job.train, job.val):
        return job
    return job._replace(train=NO_BINS) if job.of_val else job._replace(val=NO_BINS)


def _alike(jobs: Sequence[Job], turned: Sequence[bool]) -> Iterator[list[int]]:
    """The runs that share a grid: a prior, and whether validation has turned."""
    priors = {id(job.prior): job.prior for job in jobs}
    first = {key: next(k for k, other in priors.items() if k == key or other == prior) for key, prior in priors.items()}
    groups: dict[tuple[int, int, bool], list[int]] = {}
    for r, (job, grows) in enumerate(zip(jobs, turned, strict=True)):
        groups.setdefault((first[id(job.prior)], len(job.timeline.annealing_shape), grows), []).append(r)
    yield from groups.values()


def _observe(jobs: Sequence[Job]) -> _Stack:
    """``observe`` for each run; series are laid one behind another, train before validation."""
    series = [bins for job in jobs for bins in (job.train, job.val)]
    begins = [first_bin(bins, job.now) for job in jobs for bins in (job.train, job.val)]
    rows = np.array(
        [
            np.concatenate([bins.step[k:] for bins, k in zip(series, begins, strict=True)]),
            np.concatenate([bins.count[k:] for bins, k in zip(series, begins, strict=True)]),
            np.concatenate([bins.mean[k:] for bins, k in zip(series, begins, strict=True)]),
        ]
    )
    sizes = np.array([len(bins.step) - k for bins, k in zip(series, begins, strict=True)])
    of_series = np.repeat(np.arange(len(series)), sizes)
    now = np.repeat([job.now for job in jobs], 2)
    groups = group_of(np.array([math.log10(job.now) for job in jobs])[of_series // 2], rows[0])
    opens = np.ones(len(groups), dtype=np.bool_)
    opens[1:] = (groups[1:] != groups[:-1]) | (of_series[1:] != of_series[:-1])
    starts = opens.nonzero()[0]
    rows[0], rows[2] = np.log(rows[0]) * rows[1], rows[2] * rows[1]
    log_step, count, loss = np.add.reduceat(rows, starts, axis=1)
    step, loss, of_series = np.exp(log_step / count), loss / count, of_series[starts]
    ends = np.bincount(of_series, minlength=len(series)).cumsum()  # of each series among the groups
    run, of_val = of_series // 2, of_series % 2
    edges = [0, *ends.tolist()]
    decides = [2 * r + job.of_val for r, job in enumerate(jobs)]
    scale = np.array([scale_of(loss[edges[s] : edges[s + 1]]) for s in decides])
    variance = np.array([bins.noise for bins in series])[of_series]
    noise = variance / (count * (scale**2)[run])
    noise = np.where(np.isnan(noise), UNKNOWN_NOISE**2, noise) + LEAST_NOISE**2
    excess = np.maximum(loss - loss[ends[of_series] - 1], 0.0) / scale[run]
    order = np.lexsort((-step, run))
    sizes = np.bincount(run, minlength=len(jobs))
    place = np.arange(len(run)) - (sizes.cumsum() - sizes)[run]  # of each observation in its run, once sorted
    shape = (int(sizes.max()), len(jobs))
    columns = np.zeros((5, *shape))
    columns[[0, 2]] = 1.0
    columns[:, place, run] = np.array([step, loss / scale[run], noise, of_val, excess])[:, order]
    counts = np.arange(shape[0])[:, None] < sizes
    step, loss, noise, is_val, excess = columns
    return _Stack(step, loss, noise, is_val, excess, counts, scale, now[::2])


class _Grids(Grid):
    """All shapes of a prior against several runs: the cells of each, power law first, then walk, then run."""

    def __init__(self, data: _Stack, timelines: Sequence[Timeline], prior: Prior, *, grows: bool) -> None:
        self.stack, self.timeline, self.prior = data, timelines[0], prior
        self.tables = tables(prior)
        self.onset = self.tables.onset if grows else np.empty(0)
        self.runs = len(data.now)
        walks = len(prior.window) * len(prior.drift)
        vals = np.count_nonzero(data.is_val, axis=0)
        both = (vals > 0) & (vals < np.count_nonzero(data.counts, axis=0))
        self.precision = [*self.tables.precision]
        self.precision[GAP] = np.tile(np.where(both, self.tables.precision[GAP], ABSENT), walks)
        u, gain = self._clocks(timelines)
        self.shape = (len(prior.offset), len(prior.alpha), len(prior.window), len(prior.drift))
        x = self.tables.power(u.reshape(-1)).reshape(len(prior.window), -1, *u.shape)
        self.gained = np.tile(gain[:, 0], walks * x.shape[1])
        products = self._products(self._fixed(gain[:, 2:]), x[:, :, 1:], self._walk(u[1:]))
        self._integrate_levels(*products)
        self._integrate_annealing(self._by_cell(x[:, :, 0]), self._slope(u[0]))

    def _clocks(self, timelines: Sequence[Timeline]) -> tuple[FloatArray, FloatArray]:
        """``(1 + n, r)`` time of the law's clock, at the horizon first, and ``(R, 2 + n, r)`` gain, now first."""
        data = self.stack
        steps = np.concatenate(
            [data.now[None], np.maximum(data.now, [each.end for each in timelines])[None], data.step]
        )
        clock, gain = steps, np.zeros((len(self.timeline.annealing_shape), *steps.shape))
        for r, timeline in enumerate(timelines):
            if timeline.schedule is not None:
                clock[:, r], gain[:, :, r] = timeline.at(steps[:, r])
        return clock[1:] / clock[0], gain

    def _fixed(self, gain: FloatArray) -> FloatArray:
        """``(F, n, r)`` columns that all windows share."""
        data = self.stack
        rates = len(gain)
        fixed = np.empty((3 + rates + len(self.onset), *data.step.shape))
        fixed[L_N], fixed[GAP] = 1.0, data.is_val
        np.negative(gain, out=fixed[2 : 2 + rates])
        if len(self.onset):
            fixed[2 + rates : -1] = data.is_val * growth_term(data.step / data.now, self.onset[:, None, None])
        fixed[-1] = data.loss - self.prior.converged
        return fixed

    def _walk(self, u: FloatArray) -> FloatArray:
        """``(W, Q, n, r)`` variance of the wander between neighbours."""
        data, prior = self.stack, self.tables
        log_step = np.log(data.step)
        elapsed = np.empty_like(log_step)
        elapsed[0], elapsed[1:] = np.log(data.now) - log_step[0], log_step[:-1] - log_step[1:]
        drift = prior.drift[:, None, None] * (1.0 + self.prior.drift_growth * data.excess)
        before = (EARLY_WANDER * (u < prior.window[:, None, None]))[:, None]
        return np.asarray(np.maximum(before, drift) ** 2 * np.maximum(elapsed, 0.0))

    def _products(
        self, fixed: FloatArray, shapes: FloatArray, walk: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What ``inner_products`` gives, ``(F, F + X, c)``, ``(X, c)`` and ``(c,)`` for the ``c`` walks of all runs.

        By the innovations of a Kalman filter along the walk, newest first: they are what whitens the columns.

        Source: Durbin and Koopman 2012, Time Series Analysis by State Space Methods, section 4.3.
        """
        (W, Q, n, r), F, X = walk.shape, len(fixed), shapes.shape[1]
        columns = np.empty((n, W, F + X, r))
        columns[:, :, :F], columns[:, :, F:] = fixed.transpose(1, 0, 2)[:, None], shapes.transpose(2, 0, 1, 3)
        gain, weight, logdet = self._filtered(walk)
        white, level = np.empty((n, W, Q, F + X, r)), np.zeros((W, Q, F + X, r))
        own, taken = np.zeros((W, Q, X, r)), np.empty((W, Q, F + X, r))
        for k in range(n):
            now = white[k]
            np.subtract(columns[k][:, None], level, out=now)
            level += np.multiply(gain[k][:, :, None], now, out=taken)
            now *= weight[k][:, :, None]
            own += np.multiply(now[:, :, F:], now[:, :, F:], out=taken[:, :, F:])
        by_walk = np.ascontiguousarray(white.transpose(1, 2, 4, 0, 3))  # (W, Q, r, n, F + X)
        products = np.matmul(by_walk[..., :F].swapaxes(3, 4), by_walk)
        walks = W * Q * r
        products = np.ascontiguousarray(products.reshape(walks, F, F + X).transpose(1, 2, 0))
        return products, own.transpose(2, 0, 1, 3).reshape(X, walks), logdet.reshape(walks)

    def _integrate_levels(self, products: FloatArray, xx: FloatArray, logdet: FloatArray) -> None:
        """As of one run, with the walks along the last axis throughout."""
        F = len(products)
        a, b, d = products[L_N, L_N] + self.precision[L_N], products[L_N, GAP], products[GAP, GAP] + self.precision[GAP]
        det = a * d - b * b
        cross = products[:2, 2:]
        levels = np.stack([d * cross[0] - b * cross[1], a * cross[1] - b * cross[0]]) / det
        rest = products[2:, 2:] - cross[0, : F - 2, None] * levels[0] - cross[1, : F - 2, None] * levels[1]
        self.ff, self.xf = rest[:, : F - 2].copy(), rest[:, F - 2 :].reshape(F - 2, -1)
        self.xx = (xx - cross[0, F - 2 :] * levels[0, F - 2 :] - cross[1, F - 2 :] * levels[1, F - 2 :]).reshape(-1)
        self.level_f, self.level_x = levels[:, : F - 2].reshape(2, -1), levels[:, F - 2 :].reshape(2, -1)
        self.level_root = np.array([d, -b, np.sqrt(det)]) / np.sqrt(d * det)
        self.logdet = logdet + np.log(det)

    def _filtered(self, walk: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``(n, W, Q, r)`` gain of the filter and root of each innovation's precision, ``(W, Q, r)`` ``log |S|``."""
        noise, counts = self.stack.noise, self.stack.counts
        steps = np.maximum(walk, LEAST_WALK).transpose(2, 0, 1, 3)
        gain, precision = np.empty_like(steps), np.empty_like(steps)
        doubt = np.zeros(steps.shape[1:])  # of where the walk is, before each observation
        for k in range(len(steps)):
            doubt += steps[k]
            precision[k] = counts[k] / (doubt + noise[k])
            gain[k] = doubt * precision[k]
            doubt -= gain[k] * doubt
        logs = np.log(np.where(counts[:, None, None], precision, 1.0))
        return gain, np.sqrt(precision), -np.add.reduce(logs)

    def _by_cell(self, x: FloatArray) -> FloatArray:
        """``(cells,)`` of what is given as ``(W, X, r)``."""
        return np.repeat(x.transpose(1, 0, 2)[:, :, None], len(self.tables.drift), axis=2).reshape(-1)

    def _slope(self, end: FloatArray) -> FloatArray:  # type: ignore[override]
        """``(cells,)`` slope of each power-law term at the horizon, from its time there, ``(r,)``."""
        prior = self.tables
        near = end / (end + prior.offset.T[:, :, None])  # (C, W, r)
        slope = prior.alpha[:, None, None, None] * near[:, None, :, None]
        return np.repeat(slope, len(prior.drift), axis=3).reshape(-1)

    def scout(self) -> tuple[Where, FloatArray, FloatArray]:  # type: ignore[override]
        """As of one run, for each: ``(r * KEPT,)`` shapes and their log-weights, run by run, and ``(r,)`` of all."""
        log, growth = self._scouted()
        odds = relative = None
        weighed = log
        if len(growth):
            growth = np.concatenate([np.zeros((1, log.shape[2])), growth])
            highest = growth.max(axis=0)
            relative = np.exp(growth - highest)
            odds = np.add.reduce(relative)
            weighed = log + (highest + np.log(odds))
        L, R, cells = log.shape
        walks = len(self.logdet) // self.runs
        order = weighed.reshape(L, R, -1, walks, self.runs).transpose(4, 3, 2, 0, 1)  # as of one run, the run first
        shape = order.shape[1:]
        order = order.reshape(self.runs, -1)
        most = order.max(axis=1, keepdims=True)
        weight = np.exp(order - most)
        total = weight.cumsum(axis=1)
        of_all = most[:, 0] + np.log(total[:, -1])
        points = POINTS * total[:, -1:]
        chosen = np.array([each.searchsorted(wanted) for each, wanted in zip(total, points, strict=True)])
        walk, power, share, rate = (part.reshape(-1) for part in np.unravel_index(chosen, shape))
        run = np.repeat(np.arange(self.runs), KEPT)
        cell = (power * walks + walk) * self.runs + run
        scouted = log.reshape(-1).take((share * R + rate) * cells + cell)
        if relative is None or odds is None:
            return Where(cell, share, rate, np.tile(NO_ONSET, self.runs)), scouted, of_all
        at = run * order.shape[1] + chosen.reshape(-1)
        rest = (total.take(at) - points.reshape(-1)) / weight.take(at) * odds.take(cell)
        onset = np.add.reduce(relative.take(cell, axis=1).cumsum(axis=0)[:-1] < rest)
        return Where(cell, share, rate, onset), scouted + growth[onset, cell], of_all


def _fit(jobs: Sequence[Job], data: _Stack, *, grows: bool) -> Iterator[Posterior]:
    """The posteriors of runs that share a grid."""
    prior, r = jobs[0].prior, len(jobs)
    grid = _Grids(data, [job.timeline for job in jobs], prior, grows=grows)
    where, scouted, of_all = grid.scout()
    solved = grid.exact(where)
    correction = (solved.log_weight - scouted).reshape(r, KEPT)
    most = correction.max(axis=1, keepdims=True)
    weight = np.exp(correction - most)
    evidence = (of_all + most[:, 0] + np.log(weight.mean(axis=1))).tolist()
    weight /= weight.sum(axis=1, keepdims=True)
    flat = grid.flat()
    shapes = grid.tables
    offset, alpha, window, drift = np.unravel_index(where.cell // r, grid.shape)
    onset = np.concatenate([[np.inf], grid.onset]).take(where.onset)
    of_run = (shapes.alpha[alpha], shapes.offset[window, offset], shapes.floor[window], onset, shapes.drift[drift])
    theta = np.ascontiguousarray(solved.theta.reshape(5, r, KEPT).swapaxes(0, 1))
    root = np.ascontiguousarray(solved.root.reshape(5, 5, r, KEPT).transpose(2, 0, 1, 3))
    columns = np.array(of_run).reshape(5, r, KEPT).swapaxes(0, 1).copy()
    rate, scale, now = where.rate.reshape(r, KEPT), data.scale.tolist(), data.now.tolist()
    for k, (job, (a, o, f, v, d)) in enumerate(zip(jobs, columns, strict=True)):
        falling = Posterior(weight[k], theta[k], root[k], a, o, f, rate[k], v, d, scale[k], now[k], job.timeline, prior)
        if data.excess[:, k].max() > FALLEN:
            yield falling
            continue
        level = Solved(flat.log_weight[k::r], flat.theta[:, k::r], flat.root[:, :, k::r])
        yield with_flat(falling, level, shapes, evidence[k])
