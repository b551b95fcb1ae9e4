"""Both series of a run as one list of observations: grouped on the logarithmic clock, in the unit of the loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curvecast.curve import Bins, FloatArray
from curvecast.fit.units import NEWEST, level, of_late, unit_of

_ON_AN_EDGE = 1e-9  # a step closer to an edge than this lies on it, whatever rounding says [decades]
# Groups of equal log-width, in decades back from now: narrow where a decay is under way, wider in the distant past.
_EDGES = np.concatenate([np.arange(1, 5) / 40.0, 0.1 + np.arange(1, 7) / 12.0, 0.6 + np.arange(1, 16) / 8.0])
_BOUNDS = 10.0 ** (_ON_AN_EDGE - _EDGES[::-1])  # the same edges as shares of the last step
UNKNOWN_NOISE, LEAST_NOISE = 0.02, 3e-4  # standard deviations as shares of the loss
MOST_NOISE = 1e3  # likewise: such a loss tells nothing, and beside a larger one LEAST_NOISE would be lost to rounding
NO_NEWS = 1e15  # variance of the losses that fill up the shorter of two runs fitted side by side: they tell nothing
_COLUMNS = ("step", "count", "mean")  # what is taken of a series' bins
DECADES = 2.5  # what happened before 1/300 of the steps so far says nothing about the end
LONG_AGO = 10.0**-DECADES


class Observations(NamedTuple):
    """Both series as one list, newest first, in units of the loss where the run stands.

    Those of ``r`` runs side by side have a further axis, the last: ``(n, r)``, and ``(r,)`` of what is one number here.

    Args:
        step: ``(n,)`` [steps].
        loss: ``(n,)`` relative loss.
        noise: ``(n,)`` variance of the observation's own noise, relative.
        is_val: ``(n,)`` 1.0 where it is a validation loss.
        excess: ``(n,)`` how far the loss stood above the newest one of its kind, relative, >= 0.
        has_both: Whether there are losses of both kinds.
        scale: The loss that 1.0 stands for [loss unit].
        now: Last step seen [steps].
        lift: What was added to every relative loss, so that one without a natural zero stands at 1 as others do.
    """

    step: FloatArray
    loss: FloatArray
    noise: FloatArray
    is_val: FloatArray
    excess: FloatArray
    has_both: Any
    scale: Any
    now: Any
    lift: Any

    def each(self, columns: Callable[[FloatArray], FloatArray], numbers: Callable[[Any], Any]) -> Observations:
        """The same with something done to each column, and to each of what is one number a run."""
        return Observations(*map(columns, self[:5]), *map(numbers, self[5:]))


def observe(train: Bins, val: Bins, *, of_val: bool, now: float | None = None) -> Observations:
    """Group both series on the logarithmic clock, relative to the level of the one that decides.

    Args:
        train: Train loss; may be empty.
        val: Validation loss, likewise.
        of_val: Whether validation decides, and gives the unit.
        now: Last step seen [steps]; ``None`` for the mean step of the last bin.

    Example:
        >>> step, ones = np.array([1.0, 1000.0, 2000.0, 4000.0]), np.ones(4)
        >>> train, val = Bins(step, 2.0 * ones, ones, 0.0), Bins(step[2:], 4.0 * ones[2:], ones[2:], 0.0)
        >>> data = observe(train, val, of_val=True)
        >>> data.step.round().tolist(), data.loss.tolist(), data.is_val.tolist(), data.scale
        ([4000.0, 4000.0, 2000.0, 2000.0, 1000.0], [0.5, 1.0, 0.5, 1.0, 0.5], [0.0, 1.0, 0.0, 1.0, 0.0], 4.0)
    """
    now = now or max(float(bins.step[-1]) for bins in (train, val) if len(bins))
    groups = _grouped(train, val, now)
    step, _, loss, is_val, trains = groups
    scale, lift = _unit(groups, of_val=of_val)
    noise = _noise(groups, train.noise, val.noise, scale)
    excess = np.maximum(loss - np.where(is_val, loss[-1], loss[trains - 1]), 0.0)
    newest_first = (-step).argsort(kind="stable")
    columns = np.array([step, loss / scale + lift, noise, is_val, excess / scale]).take(newest_first, axis=1)
    step, loss, noise, of_val_each, excess = columns
    return Observations(step, loss, noise, of_val_each, excess, 0 < trains < len(step), scale, now, lift)


class _Groups(NamedTuple):
    """Bins of both losses joined into groups: those of train, then those of validation, each oldest first.

    Args:
        step: ``(n,)`` the samples' mean step, over its logarithm [steps].
        samples: ``(n,)`` how many.
        loss: ``(n,)`` their mean [loss unit].
        is_val: ``(n,)`` whether it is a group of validation.
        trains: Groups of train.
    """

    step: FloatArray
    samples: FloatArray
    loss: FloatArray
    is_val: NDArray[np.bool_]
    trains: int


def _grouped(train: Bins, val: Bins, now: float) -> _Groups:
    """What a fit looks at of both losses, in groups."""
    first_train = max(first_bin(train, now), int(comes_seldom(train)))
    recent = ((train, first_train), (val, first_bin(val, now)))
    columns = [getattr(bins, name)[first:] for name in _COLUMNS for bins, first in recent]
    bins = np.concatenate(columns).reshape(len(_COLUMNS), -1)  # one array: a fit's time goes into calls of numpy
    step, count, mean = bins
    train_bins = len(columns[0])
    starts = _group_starts(step, now, train_bins)
    bins[0], bins[2] = np.log(step) * count, mean * count
    log_steps, counts, losses = np.add.reduceat(bins, starts, axis=1)
    is_val, trains = starts >= train_bins, int(starts.searchsorted(train_bins))
    return _Groups(np.exp(log_steps / counts), counts, losses / counts, is_val, trains)


def _unit(groups: _Groups, *, of_val: bool) -> tuple[float, float]:
    """The loss that 1.0 stands for, and what is added to each relative loss; by the loss that decides."""
    deciding = slice(groups.trains, None) if of_val else slice(groups.trains)
    losses, lowest = groups.loss[deciding], float(np.minimum.reduce(groups.loss))
    stands = level(of_late(losses, groups.step[deciding], lowest))
    return unit_of(stands, losses if len(losses) >= NEWEST else groups.loss, lowest)


def _noise(groups: _Groups, of_train: float, of_val: float, scale: float) -> FloatArray:
    """``(n,)`` variance of each group's mean, relative to the unit.

    Args:
        groups: The groups.
        of_train: Variance of one train loss; NaN where unknown [loss unit^2].
        of_val: Likewise of one validation.
        scale: The unit [loss unit].
    """
    noise = np.where(groups.is_val, of_val, of_train) / (groups.samples * scale**2)
    has_train, has_val = groups.trains > 0, groups.trains < len(noise)
    if (has_train and math.isnan(of_train)) or (has_val and math.isnan(of_val)):
        noise = np.where(np.isnan(noise), UNKNOWN_NOISE**2, noise)
    return np.asarray(np.minimum(noise, MOST_NOISE**2) + LEAST_NOISE**2)


def has_turned(data: Observations) -> Any:
    """Whether validation stands above its lowest by more than noise: before, nothing tells of an onset of growth."""
    of_val = data.is_val > 0.0
    each = tuple(np.arange(count) for count in of_val.shape[1:])
    newest, lowest = (of_val.argmax(axis=0), *each), (np.where(of_val, data.loss, np.inf).argmin(axis=0), *each)
    rise = data.loss[newest] - data.loss[lowest]
    return (rise * rise > data.noise[newest] + data.noise[lowest]) & of_val[newest]


def comes_seldom(train: Bins) -> bool:
    """Whether the first train loss came only after some steps: it may be their mean, of which no law holds.

    Example:
        >>> step, ones = np.array([500.0, 1000.0, 1500.0, 2000.0]), np.ones(4)
        >>> comes_seldom(Bins(step, 3.0 * ones, ones, 0.0)), comes_seldom(Bins(step - 499.0, 3.0 * ones, ones, 0.0))
        (True, False)
    """
    return len(train) > NEWEST and bool(train.step[0] > 1.0 and train.count[0] == 1.0)


def first_bin(bins: Bins, now: float) -> int:
    """Index of the first bin that counts; a series that ended long ago still has its level, so its last always does."""
    return max(min(int(bins.step.searchsorted(now * LONG_AGO, side="right")), len(bins.step) - 1), 0)


def _group_starts(step: FloatArray, now: float, trains: int) -> NDArray[np.intp]:
    """Where groups of equal log-width begin among the bins of both series, each oldest first; none holds both."""
    bounds = now * _BOUNDS
    opens = np.zeros(len(step) + 1, dtype=np.bool_)
    opens[step[:trains].searchsorted(bounds)] = True
    if trains < len(step):
        opens[trains + step[trains:].searchsorted(bounds)] = True
    opens[0] = opens[trains] = True
    return opens[:-1].nonzero()[0]


def group_of(log10_now: float | FloatArray, step: FloatArray) -> NDArray[np.intp]:
    """Which group of equal log-width each of ``(n,)`` steps falls into."""
    return _EDGES.searchsorted(log10_now + _ON_AN_EDGE - np.log10(step))
