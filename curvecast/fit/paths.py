"""A run's whole curve as points: groups of its losses, and where on the way and under which recipe each stands."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from curvecast.curve import Bins, FloatArray
from curvecast.fit.basis import Timeline

_GROUPS, _WIDTH = 20, 0.23  # a run's losses are joined in so many groups before its end, each so many e-folds of steps
_LAST = 0.99  # share of the steps at which the last of them ends: what follows is the end
_WORST = 100.0  # no loss is known worse than to so many times itself: such a one tells nothing
_TINY = 1e-9
_ENDS = np.append(np.exp(-_WIDTH * np.arange(_GROUPS, 0, -1)), _LAST)
Shape = tuple[tuple[float, float], ...]  # how annealing arrives, as in a prior


class Point(NamedTuple):
    """The mean of a group of a finished run's losses.

    Args:
        run: Number of the run, as of its lessons.
        of_val: 1.0 of validation losses, 0.0 of train losses.
        progress: Logarithm of the share of the steps by which the group has ended; 0 of the end.
        clock: Logarithm of the summed learning rate [steps at the peak].
        gained: Share of a full decay's gain that had arrived, in the mean over the annealing shapes,
        slower, steeper: and how much more of it by the slowest than by the fastest, and by the highest power of the
            rate than by the lowest.
        size: Logarithm of the non-embedding parameters.
        batch: Logarithm of the tokens of a step.
        loss: Logarithm of the loss [loss unit].
        noise: Standard deviation of that.
    """

    run: float
    of_val: float
    progress: float
    clock: float
    gained: float
    slower: float
    steeper: float
    size: float
    batch: float
    loss: float
    noise: float


class Path(NamedTuple):
    """``m`` points of a run that is under way.

    Args:
        at: ``(m, 6)`` clock, gained, slower, steeper, size and batch.
        loss, noise: ``(m,)`` logarithms of the losses, and their standard deviations.
    """

    at: FloatArray
    loss: FloatArray
    noise: FloatArray


class End(NamedTuple):
    """Where a finished run ended.

    Args:
        step: The last one [steps].
        loss, noise: The loss there, and its standard deviation [loss unit].
        size, batch: As in ``Point``.
    """

    step: float
    loss: float
    noise: float
    size: float
    batch: float


def path_of(seen: Bins, timeline: Timeline, now: float, size: float, batch: float) -> Path | None:
    """The way that a run has come; ``None`` of one that has none, or of a loss that was not positive."""
    ends = max(timeline.end, now) * _ENDS
    groups = _grouped(seen, np.append(ends[ends < now], now))
    if groups is None:
        return None
    steps, loss, variance, _ = groups
    at = places_at(*timeline.at(steps), timeline.annealing_shape, size, batch)
    return Path(at, np.log(loss), _relative(np.sqrt(variance), loss))


def points_of(run: float, of_val: bool, seen: Bins, timeline: Timeline, known: End) -> list[tuple[float, ...]]:
    """A finished run's points as rows of a prior; none of a loss that was not positive.

    Args:
        run: Its number.
        of_val: Whether these are validation losses.
        seen: All of them.
        timeline: The clock of its schedule.
        known: Where they ended.
    """
    groups = _grouped(seen, known.step * _ENDS)
    if groups is None or known.loss <= 0.0:
        return []
    steps, loss, variance, last = groups
    steps, loss = np.append(steps, known.step), np.append(loss, known.loss)
    sd = _relative(np.append(np.sqrt(variance), known.noise), loss)
    at = places_at(*timeline.at(steps), timeline.annealing_shape, known.size, known.batch)
    progress = np.minimum(np.append(np.log(last / known.step), 0.0), 0.0)
    rows = np.column_stack([np.full(len(at), run), np.full(len(at), float(of_val)), progress, at, np.log(loss), sd])
    return [tuple(row) for row in rows.tolist()]


def places_at(clock: FloatArray, gain: FloatArray, shape: Shape, size: float, batch: float) -> FloatArray:
    """``(m, 6)`` where steps stand, as a point tells it, by what a timeline says of them."""
    at = np.empty((len(clock), 6))
    at[:, 0], at[:, 1] = np.log(np.maximum(clock, _TINY)), np.add.reduce(gain) / len(gain)
    at[:, 2:4] = _differences(shape, gain).T
    at[:, 4], at[:, 5] = size, batch
    return at


def _relative(sd: FloatArray, loss: FloatArray) -> FloatArray:
    """Standard deviations of losses as shares of these."""
    return np.asarray(np.minimum(sd, _WORST * loss) / loss)


def _differences(shape: Shape, gain: FloatArray) -> FloatArray:
    """``(2, m)`` how much more has arrived by the slowest shape than by the fastest, and by the steepest one."""
    half_times, powers = np.asarray(shape).T
    slow, fast, steep, even = half_times.argmax(), half_times.argmin(), powers.argmax(), powers.argmin()
    return np.array([gain[slow] - gain[fast], gain[steep] - gain[even]])


def _grouped(seen: Bins, ends: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None:
    """Mean step, mean loss, its variance, and last step of the bins up to each of some steps."""
    if not len(seen) or float(np.minimum.reduce(seen.mean)) <= 0.0:
        return None
    group = np.searchsorted(ends, seen.step - 1e-9)
    kept = (group > 0) & (group < len(ends))
    if not kept.any():
        return None
    group, step, mean, count = group[kept], seen.step[kept], seen.mean[kept], seen.count[kept]
    starts = np.concatenate([[0], 1 + (group[1:] != group[:-1]).nonzero()[0]])
    total = np.add.reduceat(count, starts)
    means = [np.add.reduceat(count * each, starts) / total for each in (step, mean)]
    last = step[np.append(starts[1:], len(step)) - 1]
    return means[0], means[1], (0.0 if math.isnan(seen.noise) else seen.noise) / total, last
