"""Steps that are counted anew in each epoch, as ``Epoch [2/10], Step [100/600]`` does, put one after another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curvecast.readers.base import FloatArray, IntArray, Log, Series
from curvecast.readers.steps import ADDED_ZERO
from curvecast.readers.units import Lengths, unit_of

EPOCH, LENGTH = "epoch", "epoch_steps"
PLANNED = "epochs"  # in a log's ``meta``: how many epochs the run is to have
_TOLD = "as the log says"  # of an epoch's length
_MOST = 2**31  # largest number of epochs that is believed
WRITTEN_BY_HAND = ("csv", "jsonl", "history", "text", "printed", "embedded")  # the others' writers count on


def unroll(log: Log, leader: str) -> None:
    """Put the steps of a log one after another where they begin anew just where its epoch rises.

    An epoch's length is what the log says it is, else what the steps of its rows leave no doubt of but for its end.

    Args:
        log: its rows are changed in place, and a note says so.
        leader: the tag whose rows tell.
    """
    tag = next((tag for tag in log.series if tag.lower() == EPOCH), None)
    if tag is None or log.format not in WRITTEN_BY_HAND or leader not in log.series:
        return
    epochs, rows = log.series[tag], log.series[leader]
    at = last_before(epochs, rows.order)
    if len(rows) < 2 or not len(epochs) or not are_counts(epochs.values):
        return
    rises, goes_on = np.diff(epochs.values[at]), np.diff(rows.steps)
    if not (rises >= 0).all() or not rises.any():
        return
    stays = (goes_on == 0) & (rises > 0)  # as where each epoch has a row at its end
    if not ((goes_on < 0) | stays == (rises > 0)).all() or not _at_ends(log, rows.steps, stays):
        return
    length, why = _length(log, rows.steps, rises)
    first = epochs.values[0]
    if why == _TOLD:  # a run that was resumed has done the epochs before
        first = min(first, 1.0)
    if rows.steps.min() == 0 and (rows.steps[0] > 0 or first < epochs.values[0]):  # its start does not show it then
        log.offsets = dict.fromkeys(log.series, 1) | log.offsets
        log.notes.add(ADDED_ZERO)
    for name, series in log.series.items():
        passed = (epochs.values[last_before(epochs, series.order)] - first).astype(np.int64)
        log.series[name] = series.at(series.steps + length * passed)
    log.notes.add(f"steps begin anew with each epoch: put one after another, {length:,} an epoch ({why})")


def planned_steps(log: Log, leader: str, lengths: Lengths) -> int | None:
    """The steps that a run's planned epochs have, as far as its log tells; epochs where its x-axis counts epochs.

    Args:
        log: before its rows are changed.
        leader: the tag whose rows tell.
        lengths: what is known of an epoch.

    Example:
        >>> rows = Series.of([(10, 2.5, 0), (20, 2.25, 1)])
        >>> told = Series.of([(10, 50.0, 0), (20, 50.0, 1)])
        >>> planned_steps(Log(None, "text", {"loss": rows, "epoch_steps": told}, meta={"epochs": 3}), "loss", Lengths())
        150
    """
    epochs, told, seen = log.meta.get(PLANNED), log.series.get(LENGTH), log.series.get(EPOCH)
    unit = unit_of(log, leader)
    if isinstance(epochs, int):
        numbers = log.series[leader].steps if unit == "epoch" else None if seen is None else seen.values
        epochs += _is_last(epochs, numbers)
    if isinstance(epochs, int) and unit == "epoch":
        return epochs * round(lengths.epoch_steps or 1)
    if unit != "step" or told is None or not len(told) or (told.values != told.values[0]).any():
        return None
    steps = log.series[leader].steps
    goes_on = (np.diff(steps) >= 0).all() and (seen is None or (len(np.unique(seen.values)) > 1 and np.ptp(steps) > 0))
    if goes_on and (seen is not None or not isinstance(epochs, int)):
        return int(told.values[0])
    return int(told.values[0]) * epochs if isinstance(epochs, int) else None


def _is_last(planned: int, seen: IntArray | FloatArray | None) -> bool:
    """Whether a count from 0 arrived at what was planned, as ``Epoch 9/9`` does: that is the last number then."""
    return seen is not None and len(seen) > 0 and bool(seen.min() == 0 and seen.max() == planned)


def are_counts(numbers: FloatArray) -> bool:
    """Whether numbers ``(n,)`` may count epochs.

    Example:
        >>> are_counts(np.array([1.0, 2.0])), are_counts(np.array([0.5, np.inf]))
        (True, False)
    """
    return bool(((np.abs(numbers) < _MOST) & (numbers == np.floor(numbers))).all())


def last_before(epochs: Series, order: IntArray) -> IntArray:
    """``(n,)``: the last row that tells an epoch at or before each place ``(n,)``; the first one where there is none.

    Example:
        >>> last_before(Series.of([(0, 1.0, 0), (0, 2.0, 5)]), np.array([0, 4, 7])).tolist()
        [0, 0, 1]
    """
    return np.maximum(np.searchsorted(epochs.order, order, side="right") - 1, 0)


def _at_ends(log: Log, steps: IntArray, stays: NDArray[np.bool_]) -> bool:
    """Whether the counter stays where it is at the ends of epochs alone; else it may be one that goes on."""
    told = log.series.get(LENGTH)
    ends = steps[0] if np.ptp(steps) == 0 else told.values[0] if told is not None and len(told) else -1
    return bool((steps[:-1][stays] == ends).all())


def _length(log: Log, steps: IntArray, rises: FloatArray) -> tuple[int, str]:
    """Steps of an epoch, and how that is known."""
    told = log.series.get(LENGTH)
    if told is not None and len(told) and (told.values == told.values[0]).all() and told.values[0] >= steps.max():
        return int(told.values[0]), _TOLD
    if steps.min() == steps.max():
        return max(int(steps[0]), 1), "as each has a row there"
    within = np.diff(steps)[rises == 0]
    apart = int(np.median(within)) if len(within) else 1
    return int(steps.max() - steps.min()) + max(apart, 1), "as the rows are apart"
