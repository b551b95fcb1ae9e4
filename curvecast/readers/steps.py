"""From a logger's own step to S, the number of completed optimizer steps, counted from 1.

What Lightning (2.6, with TensorBoardLogger and CSVLogger alike) was seen to log around optimizer step S:

| row | logged step |
|---|---|
| a training metric of step S, by step or as the mean of the epoch that ends with it | S - 1 |
| the learning rate that step S will use (LearningRateMonitor, before it) | S - 1 |
| validation after the batch that completed S steps | S - 1 |
| validation in the middle of an accumulated step, S steps being complete | S |
| ``Trainer.validate`` outside ``fit``, S steps being complete | S |

So one is added, except to a validation that was written before the training row (or learning rate) of the
same logged step, or, where every step has a training row, that has none. Where steps are logged more rarely
than that, a validation in the middle of an accumulated step cannot be told apart and is put one step late.
"""

from __future__ import annotations

import numpy as np

from curvecast.readers.base import IntArray, Log, Series
from curvecast.readers.merge import is_val
from curvecast.readers.tags import OWN

ADDED_LIGHTNING = "Lightning counts steps from 0: 1 added"
ADDED_DETECTRON = "detectron2 counts steps from 0: 1 added"
ADDED_ZERO = "steps start at 0: 1 added, so that a step counts once it is complete"


def is_lightning(log: Log) -> bool:
    """Whether Lightning's logger wrote this: its rows have an ``epoch``, or ``hparams.yaml`` lies beside."""
    if log.axis == "trainer/global_step":  # as its W&B logger calls it
        return True
    own_name = log.format == "tfevents" or (log.path is not None and log.path.name == "metrics.csv")
    if "_runtime" in log.series:  # a history of W&B, saved under Lightning's name
        return False
    if log.format != "tfevents" and log.folder is not None and (log.folder / "hparams.yaml").is_file():
        return own_name
    return own_name and "epoch" in log.series and not (log.format == "csv" and _are_completed(log))


def _are_completed(log: Log) -> bool:
    """Whether all steps are multiples of the first one, as 50, 100, 150: Lightning would have logged 49, 99, 149."""
    steps = np.concatenate([rows.steps for rows in log.series.values()])
    first = int(steps.min())
    return first > 1 and bool((steps % first == 0).all()) and int(steps.max()) > first


_DETECTRON = {"total_loss", "data_time", "eta_seconds"}  # the scalars that its trainer always stores


def completed_steps(log: Log, rows: dict[str, tuple[str, Series]]) -> dict[str, Series]:
    """Put the rows of a run at completed optimizer steps.

    Args:
        log: where the rows come from; what was converted is noted there.
        rows: ``(tag, rows)`` by role, as in ``merge.drop_orphans``.

    Returns:
        The same rows at steps S; rows of the live callback's own tags, which are at S already, stay.
    """
    converted = {role: series for role, (tag, series) in rows.items() if tag.startswith(OWN)}
    for role, (tag, series) in rows.items():
        if tag in log.offsets:
            converted[role] = series.at(series.steps + log.offsets[tag])
    others = {role: pair for role, pair in rows.items() if role not in converted}
    if is_lightning(log) and others:
        log.notes.add(ADDED_LIGHTNING)
        for role, (_, series) in others.items():
            shift = np.ones(len(series), np.int64)
            if is_val(role):
                shift -= _is_before_its_step(log, series, rows)
            converted[role] = series.at(series.steps + shift)
        return converted
    if log.series.keys() >= _DETECTRON and others:
        log.notes.add(ADDED_DETECTRON)
        converted.update({role: series.at(series.steps + 1) for role, (_, series) in others.items()})
        return converted
    first = next((series for role in ("train", "val") for _, series in [others.get(role, ("", None))] if series), None)
    shift_all = int(first is not None and first.steps.min() == 0)
    if shift_all:
        log.notes.add(ADDED_ZERO)
    converted.update({role: series.at(series.steps + shift_all) for role, (_, series) in others.items()})
    return converted


def _is_before_its_step(log: Log, val: Series, rows: dict[str, tuple[str, Series]]) -> IntArray:
    """1 for each validation row that was written before the step of its number was complete, else 0."""
    before = np.zeros(len(val), np.int64)
    for role in ("train", "lr"):
        tag, series = rows.get(role, ("", None))
        if series is None or not len(series) or tag.startswith(OWN):
            continue
        if role == "lr" and not tag.startswith("lr-"):
            continue  # only LearningRateMonitor is known to write ahead of the step
        if role == "train" and not _is_by_step(log, tag, series):
            continue
        written = _last_order(series, val.steps)
        before |= written > val.order
        if role == "train" and len(series) > 1 and np.diff(series.steps).max() <= 1:
            before |= written < 0
    return before


def _is_by_step(log: Log, tag: str, series: Series) -> bool:
    """Whether a training tag has a row a step; an epoch's mean is written after the epoch's validation."""
    if tag.endswith("_step"):
        return True
    epochs = len(np.unique(log.series["epoch"].values)) if "epoch" in log.series else 0
    return not tag.endswith("_epoch") and len(series) > max(epochs, 1)


def _last_order(series: Series, steps: IntArray) -> IntArray:
    """For each of ``steps``, when the series last had a row there; -1 where it has none."""
    by_step = np.lexsort((series.order, series.steps))
    place = np.searchsorted(series.steps[by_step], steps, side="right") - 1
    found = (place >= 0) & (series.steps[by_step][place] == steps)
    return np.where(found, series.order[by_step][place], -1)
