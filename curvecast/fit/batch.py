"""The posteriors of many runs at once: what ``fit`` gives for each, at a fraction of its time.

A fit of one run is a few hundred operations on short arrays, and spends its time between them. Here the runs lie side
by side along the last axis of every array, as more cells of the same grid; runs with fewer observations are filled up
with their oldest, again and again and so noisy that it counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curvecast.curve import Bins, FloatArray
from curvecast.fit.basis import Timeline
from curvecast.fit.fitting import hear, posteriors, settled
from curvecast.fit.grid import Grid
from curvecast.fit.observed import (
    LEAST_NOISE,
    LONG_AGO,
    MOST_NOISE,
    NO_NEWS,
    UNKNOWN_NOISE,
    Observations,
    comes_seldom,
    group_of,
    has_turned,
    observe,
)
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.fit.units import NEWEST, level, of_late, unit_of

_OBSERVED_TOGETHER = 256  # runs: more of them no longer make a call cheaper
_SIDE_BY_SIDE = 64  # of those with one grid: what they take stays in the cache
_KEPT_BYTES = 24 << 20  # giving back a block has glibc keep as much from then on, where it is below 32 MB


class Job(NamedTuple):
    """What one run is fitted to: the arguments of ``fit``."""

    train: Bins
    val: Bins
    timeline: Timeline
    prior: Prior
    of_val: bool
    now: float


def fit_many(jobs: Sequence[Job]) -> list[Posterior]:
    """The posteriors of many runs; each is what ``fit`` gives, but for rounding.

    Args:
        jobs: The runs.

    Example:
        >>> from curvecast.curve import NO_BINS
        >>> from curvecast.fit.fitting import fit
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
    blocks = (jobs[first : first + _OBSERVED_TOGETHER] for first in range(0, len(jobs), _OBSERVED_TOGETHER))
    return [posterior for block in blocks for posterior in _fit_block(block)]


def _fit_block(jobs: Sequence[Job]) -> list[Posterior]:
    """As ``fit_many``, of no more runs than are observed together."""
    every = [hear(job.train, job.val, of_val=job.of_val) for job in jobs]
    jobs = [job._replace(train=heard.train, val=heard.val) for job, heard in zip(jobs, every, strict=True)]
    data = _observe(jobs)
    turned = has_turned(data).tolist()
    grow = [heard.asks_for_growth(rises) for heard, rises in zip(every, turned, strict=True)]
    found: dict[int, Posterior] = {}
    for runs in _alike(jobs, grow):
        timelines, prior = [jobs[r].timeline for r in runs], jobs[runs[0]].prior
        grid = Grid(_some_of(data, runs), _Clocks(timelines), prior, grows=grow[runs[0]])
        together = posteriors(grid, timelines, [turned[r] for r in runs])
        found |= {r: settled(posterior, every[r]) for r, posterior in zip(runs, together, strict=True)}
    return [found[r] for r in range(len(jobs))]


def fit_under(job: Job, timelines: Sequence[Timeline]) -> list[Posterior]:
    """The posteriors of one run under several clocks, in all of which the rate has fallen; ``job`` has another.

    Example:
        >>> from curvecast.curve import NO_BINS
        >>> from curvecast.fit.fitting import fit
        >>> from curvecast.schedule import Schedule
        >>> step = np.geomspace(1.0, 500.0, 60)
        >>> bins, prior = Bins(step, 2.0 + 3.0 * step**-0.4, np.ones(60), 1e-6), Prior()
        >>> clocks = [Timeline(plan(1000), prior.annealing_shape) for plan in (Schedule.linear, Schedule.cosine)]
        >>> found = fit_under(Job(bins, NO_BINS, clocks[0], prior, False, 500.0), clocks)
        >>> alone = fit(bins, NO_BINS, clocks[1], prior, of_val=False, now=500.0)
        >>> bool(np.allclose(found[1].theta, alone.theta, rtol=1e-9))
        True
    """
    heard = hear(job.train, job.val, of_val=job.of_val)
    data, count = observe(heard.train, heard.val, of_val=job.of_val, now=job.now), len(timelines)
    turned = len(heard.val) > 0 and bool(has_turned(data))
    data = data.each(lambda column: column[:, None].repeat(count, axis=1), lambda number: np.full(count, number))
    grid = Grid(data, _Clocks(timelines), job.prior, grows=heard.asks_for_growth(turned), at_once=True)
    return [settled(found, heard) for found in posteriors(grid, timelines, [turned] * count)]


def _alike(jobs: Sequence[Job], grow: Sequence[bool]) -> Iterator[list[int]]:
    """The runs that share a grid, a prior and whether growth is asked for: as many as go side by side.

    Those whose rate has not fallen have a grid of one annealing shape, and share it with none that has others.
    """
    priors = {id(job.prior): job.prior for job in jobs}
    first = {key: next(k for k, other in priors.items() if k == key or other == prior) for key, prior in priors.items()}
    groups: dict[tuple[object, ...], list[int]] = {}
    for r, (job, grows) in enumerate(zip(jobs, grow, strict=True)):
        decays, shapes = job.timeline.has_decayed(job.now), len(job.timeline.annealing_shape)
        groups.setdefault((first[id(job.prior)], shapes, decays, grows), []).append(r)
    for runs in groups.values():
        for at in range(0, len(runs), _SIDE_BY_SIDE):
            yield runs[at : at + _SIDE_BY_SIDE]


class _Laid(NamedTuple):
    """Series laid one behind another, of each run train before validation: ``(m,)`` entries, and what each is of."""

    step: FloatArray
    loss: FloatArray
    weight: FloatArray
    series: NDArray[np.intp]

    def ends(self, count: int) -> NDArray[np.intp]:
        """``(count,)`` where each series ends."""
        return np.bincount(self.series, minlength=count).cumsum()


def _observe(jobs: Sequence[Job]) -> Observations:
    """``observe`` for each run."""
    series = [bins for job in jobs for bins in (job.train, job.val)]
    now, decides = np.array([job.now for job in jobs]), np.array([job.of_val for job in jobs])
    seldom = np.array([comes_seldom(job.train) for job in jobs])
    data = _grouped(_recent(_laid(series), now, seldom), now)
    run, of_val = data.series // 2, data.series % 2
    ends = data.ends(len(series))
    scale, lift = _units(data, ends, decides)
    noise = np.array([bins.noise for bins in series])[data.series] / (data.weight * (scale * scale)[run])
    noise = np.minimum(np.where(np.isnan(noise), UNKNOWN_NOISE**2, noise), MOST_NOISE**2) + LEAST_NOISE**2
    excess = np.maximum(data.loss - data.loss[ends[data.series] - 1], 0.0) / scale[run]
    order = np.lexsort((-data.step, run))
    sizes = np.bincount(run, minlength=len(jobs))
    place = np.arange(len(run)) - (sizes.cumsum() - sizes)[run]  # of each observation in its run, once sorted
    rows = np.array([data.step, data.loss / scale[run] + lift[run], noise, of_val, excess])[:, order]
    columns = np.empty((5, int(sizes.max()), len(jobs)))
    columns[:] = rows[:, None, sizes.cumsum() - 1]  # of no difference to the one before: any other might be news
    columns[2] = NO_NEWS
    columns[:, place, run] = rows
    step, loss, noise, is_val, excess = columns
    has_both = (np.diff(ends, prepend=0).reshape(-1, 2) > 0).all(axis=1)
    return Observations(step, loss, noise, is_val, excess, has_both, scale, now, lift)


def _some_of(data: Observations, runs: Sequence[int]) -> Observations:
    """Some of the runs, no longer than the longest of them."""
    n = int(np.count_nonzero(data.noise[:, runs] < NO_NEWS, axis=0).max())
    return data.each(lambda column: column[:n, runs], lambda numbers: numbers[runs])


def _laid(series: Sequence[Bins]) -> _Laid:
    sizes = [bins.step.size for bins in series]
    step, loss, count = (np.concatenate([getattr(bins, name) for bins in series]) for name in ("step", "mean", "count"))
    return _Laid(step, loss, count, np.arange(len(series)).repeat(sizes))


def _recent(data: _Laid, now: FloatArray, seldom: NDArray[np.bool_]) -> _Laid:
    """What counts: not long ago, or the last of its series."""
    ends = data.ends(2 * len(now))
    keeps = data.step > (now * LONG_AGO).repeat(2)[data.series]
    keeps[(ends - np.diff(ends, prepend=0))[::2][seldom]] = False
    keeps[ends[np.diff(ends, prepend=0) > 0] - 1] = True
    return _Laid(*(column[keeps] for column in data))


def _grouped(data: _Laid, now: FloatArray) -> _Laid:
    """The means of groups of equal log-width."""
    groups = group_of(np.log10(now)[data.series // 2], data.step)
    opens = np.ones(len(groups), dtype=np.bool_)
    opens[1:] = (groups[1:] != groups[:-1]) | (data.series[1:] != data.series[:-1])
    starts = opens.nonzero()[0]
    rows = np.array([np.log(data.step) * data.weight, data.loss * data.weight, data.weight])
    log_step, loss, count = np.add.reduceat(rows, starts, axis=1)
    return _Laid(np.exp(log_step / count), loss / count, count, data.series[starts])


def _units(data: _Laid, ends: NDArray[np.intp], decides: NDArray[np.bool_]) -> FloatArray:
    """``unit_of`` each run: ``(2, runs)``."""
    found = []
    for both, steps, of_val in zip(_pairs(data.loss, ends), _pairs(data.step, ends), decides.tolist(), strict=True):
        low = min(float(np.minimum.reduce(each)) for each in both if len(each))
        own = both[of_val]
        spread = own if len(own) >= NEWEST else np.concatenate(both)
        found.append(unit_of(level(of_late(own, steps[of_val], low)), spread, low))
    return np.array(found).T


def _pairs(loss: FloatArray, ends: NDArray[np.intp]) -> list[tuple[FloatArray, FloatArray]]:
    """The train and the validation losses of each run."""
    bounds = [0, *ends.tolist()]
    return [(loss[a:b], loss[b:c]) for a, b, c in zip(bounds[::2], bounds[1::2], bounds[2::2], strict=False)]


class _Clocks:
    """Timelines of several runs side by side."""

    def __init__(self, timelines: Sequence[Timeline]) -> None:
        self.timelines = timelines
        self.end = np.array([each.end for each in timelines])

    def at(self, step: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(m, r)`` summed learning rate and ``(R, m, r)`` gain at ``(m, r)`` steps: one call a schedule."""
        sharing: dict[int, list[int]] = {}
        for run, timeline in enumerate(self.timelines):
            sharing.setdefault(id(timeline), []).append(run)
        time, gain = np.empty_like(step), np.empty((len(self.timelines[0].annealing_shape), *step.shape))
        for runs in sharing.values():
            times, gains = self.timelines[runs[0]].at(step[:, runs].reshape(-1))
            time[:, runs], gain[:, :, runs] = times.reshape(len(step), -1), gains.reshape(len(gain), len(step), -1)
        return time, gain
