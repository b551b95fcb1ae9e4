"""A file to which several runs were appended, or one run that was resumed with a counter that starts again.

Both look alike: the counter goes back to its start. The loss tells them apart: a run that goes on stands where it
stood, a new one stands where the last one began.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from curvecast.readers.base import FloatArray, IntArray, Log, Notes, Series
from curvecast.readers.epochs import EPOCH, WRITTEN_BY_HAND, are_counts, last_before

_FORMATS = (*WRITTEN_BY_HAND, "numbers")  # the others' writers begin a file of their own
_LEAST = 3  # steps that a part needs to show where it began, and where it ended
_MOST = 256  # returns to the start; a counter with more of them counts something else
_NEWEST = 3  # rows at most, of which the middle one tells where it stood


def runs_in(log: Log, leader: str) -> list[Log]:
    """The runs of a log: itself, where it holds one.

    A run that goes on with a counter that starts again is put behind what it had done; a note says so.

    Args:
        log: as it was read.
        leader: the tag of the loss that tells.

    Example:
        >>> losses = [4.0, 3.0, 2.5, 2.3, 3.9, 3.1, 2.6]
        >>> rows = [(step, loss, place) for place, (step, loss) in enumerate(zip([1, 2, 3, 4, 1, 2, 3], losses))]
        >>> [run.series["loss"].values.tolist() for run in runs_in(Log(None, "csv", {"loss": Series.of(rows)}), "loss")]
        [[4.0, 3.0, 2.5, 2.3], [3.9, 3.1, 2.6]]
    """
    rows = log.series.get(leader)
    if log.format not in _FORMATS or rows is None or len(rows) < 2 or (rows.steps[1:] >= rows.steps[:-1]).all():
        return [log]
    cuts, begun, returns = list[int](), 0, _returns(log, rows)
    if len(returns) > _MOST:
        return [log]
    for at, until in pairwise([*returns, len(rows)]):
        tells = len(np.unique(rows.steps[begun:at])) >= _LEAST
        if tells and _goes_on(rows.values[begun:at], float(rows.values[at])):
            _put_behind(log, leader, at, until)
            rows = log.series[leader]
            continue  # it is one run from where it began
        if tells:
            cuts.append(at)
        begun = at
    places = [_place(log, rows, at) for at in cuts]
    return [_part(log, k, places) for k in range(len(places) + 1)] if places else [log]


def _returns(log: Log, rows: Series) -> list[int]:
    """The rows at which the counter is back at its start: the epoch, where one is told, and the step."""
    epochs = _epochs(log)
    counter = rows.steps if epochs is None else epochs.values[last_before(epochs, rows.order)]
    back = np.flatnonzero(
        (np.diff(counter) < 0) & (counter[1:] <= max(counter[0], 1)) & (rows.steps[1:] <= max(rows.steps[0], 1))
    )
    return [int(at) + 1 for at in back]


def _epochs(log: Log) -> Series | None:
    """The rows that tell the epoch, where they do."""
    epochs = log.series.get(EPOCH)
    return epochs if epochs is not None and len(epochs) and are_counts(epochs.values) else None


def _goes_on(before: FloatArray, loss: float) -> bool:
    """Whether a loss is nearer to where the rows before it ended than to where they began."""
    newest = before[-min(_NEWEST, len(before) // 2) :]  # but none of those that tell where it began
    first, last = float(before[0]), float(np.median(newest))
    return math.isfinite(last) and abs(loss - last) < abs(loss - first)


def _put_behind(log: Log, leader: str, at: int, until: int) -> None:
    """Let the rows from one on, up to where the counter starts again, count from where those before it ended."""
    rows, epochs = log.series[leader], _epochs(log)
    place, where = _place(log, rows, at), f"step {rows.steps[at - 1]:,}"
    end = _place(log, rows, until) if until < len(rows) else np.iinfo(np.int64).max
    mine = np.zeros(0, bool) if epochs is None else (epochs.order >= place) & (epochs.order < end)
    in_epochs = (np.diff(rows.steps[: at + 1]) < 0).sum() > 1  # there the steps begin anew with each
    if epochs is not None and in_epochs and mine.any() and epochs.order[0] < place:
        shift = epochs.values[epochs.order < place][-1] + 1 - epochs.values[mine][0]
        log.series[EPOCH] = replace(epochs, values=epochs.values + shift * mine)
    else:
        apart = int(np.median(np.diff(rows.steps[:at])))
        shift = int(rows.steps[at - 1]) + max(apart, 1) - int(rows.steps[at])
        for tag, series in log.series.items():
            log.series[tag] = series.at(series.steps + shift * ((series.order >= place) & (series.order < end)))
    log.notes.add(
        f"the counter starts again where the loss goes on: what follows is put behind {where}. Pass --step-column "
        "where another column counts on"
    )


def _place(log: Log, rows: Series, at: int) -> int:
    """Where in the log a run begins: with what was written before its first loss, and belongs to its first step."""
    place = int(rows.order[at])
    for series in log.series.values():
        mine = (series.order > rows.order[at - 1]) & (series.order < place) & (series.steps <= rows.steps[at])
        if mine.any():
            place = int(series.order[mine][0])
    return place


def _part(log: Log, number: int, places: Sequence[int]) -> Log:
    """One of the runs, of those that begin at these places and the one before them."""

    def mine(order: IntArray) -> IntArray:
        return np.flatnonzero(np.searchsorted(places, order, side="right") == number)

    series = {tag: rows.where(mine(rows.order)) for tag, rows in log.series.items()}
    notes = Notes(list(log.notes.lines), list(log.notes.lost) if not number else [])
    notes.add(f"run {number + 1} of {len(places) + 1} in this file: its counter and its loss start again there")
    return replace(
        log, series={tag: rows for tag, rows in series.items() if len(rows)}, notes=notes, meta=dict(log.meta),
        units=dict(log.units), offsets=dict(log.offsets),
    )  # fmt: skip
