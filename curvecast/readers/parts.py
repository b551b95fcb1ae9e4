"""A loss of which only the parts were logged.

YOLO (Ultralytics', and YOLOv5 before it) logs the parts of its loss, each with its weight already, and not their sum,
which is what is minimised.

Source: ``v8DetectionLoss`` and its like of ultralytics/ultralytics; ``ComputeLoss`` of ultralytics/yolov5.
"""

from __future__ import annotations

import re

import numpy as np

from curvecast.readers.base import Log, Series

_SIDES = ("train", "val")
_YOLO = ({"box_loss", "cls_loss", "dfl_loss"}, {"box_loss", "cls_loss", "obj_loss"})
_RATE = re.compile(r"(?:x/lr|lr/pg)(\d+)")  # of each group: one is for biases alone, and has a warm-up of its own


def add_totals(log: Log) -> list[str]:
    """Add the losses of training and validation where a log has their parts; a note says so.

    Returns:
        The parts.

    Example:
        >>> part = Series.of([(1, 0.5, 0), (2, 0.25, 1)])
        >>> log = Log(None, "csv", {f"train/{name}_loss": part for name in ("box", "cls", "dfl")})
        >>> add_totals(log)
        ['train/box_loss', 'train/cls_loss', 'train/dfl_loss']
        >>> log.series["train/loss"].values.tolist()
        [1.5, 0.75]
    """
    found: list[str] = []
    for side in _SIDES:
        names = {
            tag.partition("/")[2]: tag for tag in log.series if tag.startswith(f"{side}/") and tag.endswith("_loss")
        }
        total = f"{side}/loss"
        if total in log.series or not any(names.keys() >= known for known in _YOLO):
            continue
        parts = [log.series[tag] for tag in names.values()]
        first, like = parts[0], next(iter(names.values()))
        if not all(np.array_equal(each.steps, first.steps) for each in parts):
            continue
        _add(log, total, Series(first.steps, np.sum([each.values for each in parts], axis=0), first.order), like)
        log.notes.add(f"{total}: the sum of {', '.join(names.values())}, as YOLO minimises it")
        found += names.values()
    if found and "lr" not in log.series and (rate := _shared_rate(log)) is not None:
        _add(log, "lr", log.series[rate], rate)
    return found


def _shared_rate(log: Log) -> str | None:
    """The learning rate that most groups of weights have; the first of those that tie."""
    rates = sorted(tag for tag in log.series if _RATE.fullmatch(tag))
    shared = {
        tag: sum(np.array_equal(log.series[tag].values, log.series[each].values) for each in rates) for tag in rates
    }
    return max(rates, key=lambda tag: shared[tag], default=None)


def _add(log: Log, tag: str, rows: Series, like: str) -> None:
    """Add a tag, whose x-axis counts what that of another does."""
    log.series[tag] = rows
    if like in log.units:
        log.units[tag] = log.units[like]
