"""What an x-axis counts, and how epochs, samples and tokens become optimizer steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curvecast.readers.base import IntArray, Log, Notes, Series
from curvecast.readers.tags import OWN, split_words

_NAMES = {"epoch": "epoch_steps", "sample": "batch_samples", "token": "batch_tokens"}
_OPTIONS = {"epoch": "--epoch-steps", "sample": "--batch-samples", "token": "--batch-tokens"}
_TOLD = "iterations"  # Keras writes its validation a second time, over iterations
_LEAST_BATCH = 8  # samples
COUNTS = ("iter", "step")
"""Tags that count micro-batches and optimizer steps, where a log tells both."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How many units of an x-axis make one optimizer step; ``None`` where that is not known.

    Args:
        epoch_steps: optimizer steps an epoch [steps].
        batch_samples: samples an optimizer step.
        batch_tokens: tokens an optimizer step [tokens/step].
    """

    epoch_steps: float | None = None
    batch_samples: float | None = None
    batch_tokens: float | None = None

    def per_step(self, unit: str) -> float | None:
        """Units in one step; below 1 for epochs.

        Example:
            >>> Lengths(epoch_steps=200).per_step("epoch")
            0.005
        """
        if unit == "epoch":
            return None if self.epoch_steps is None else 1.0 / self.epoch_steps
        return {"sample": self.batch_samples, "token": self.batch_tokens}.get(unit)


def unit_of(log: Log, tag: str) -> str:
    """What a tag's x-axis counts: as its reader knows, or as its name tells.

    Source: the tags that the frameworks write: Keras' `TensorBoard` (``epoch_*``), DeepSpeed's monitor
    (``Train/Samples/*``).
    """
    if tag in log.units:
        return log.units[tag]
    if log.format == "tfevents" and tag.rpartition("/")[2].startswith("epoch_"):
        return "epoch"
    return "sample" if tag.startswith("Train/Samples/") else "step"


def in_brackets(series: Mapping[str, Series], notes: Notes) -> str:
    """What ``Epoch: 1 [128/50000]`` counts, which scripts print with samples and with batches alike.

    What a batch of samples adds is mostly a power of two, times the batches between two lines; batches are printed by
    tens and hundreds.

    Args:
        series: the rows by tag, the epoch's length among them.
        notes: takes what it is taken for.

    Example:
        >>> rows = Series.of([(640 * k, 2.5, k) for k in range(4)])
        >>> [in_brackets({"train_loss": rows.at(rows.steps // each)}, Notes()) for each in (1, 64)]
        ['sample', 'step']
    """
    rows = series.get("train_loss") or next(iter(series.values()), None)
    ends = series["epoch_steps"].values if "epoch_steps" in series else ()
    counts = rows.steps[~np.isin(rows.steps, ends)] if rows is not None else np.zeros(0, np.int64)
    apart = int(np.gcd.reduce(counts)) if len(counts) else 0
    twos = apart & -apart
    unit = "sample" if twos >= _LEAST_BATCH and twos * twos > apart else "step"
    notes.add(
        f"what stands in brackets behind the epoch is taken for {'samples' if unit == 'sample' else 'batches'}, as it "
        f"goes up by {apart:,}"
    )
    return unit


def to_steps(log: Log, rows: dict[str, tuple[str, Series]], lengths: Lengths) -> dict[str, Series]:
    """The rows at optimizer steps; where a length is not known they stay, and a note says what they count.

    Args:
        log: where the rows come from; what was converted is noted there.
        rows: ``(tag, rows)`` by role.
        lengths: what is known of epoch and batch.
    """
    if (counted := _micro_batches(log)) is not None:
        return _at_counted_steps(log, rows, *counted)
    converted: dict[str, Series] = {}
    counts_from = _first_epoch(log, rows)
    said: set[str] = set()
    for role, (tag, series) in rows.items():
        unit = unit_of(log, tag)
        per_step = lengths.per_step(unit) if unit != "step" else 1.0
        if unit == "epoch" and per_step is None:
            per_step = _epochs_per_step(log)
        converted[role] = series
        if unit == "step":
            continue
        if per_step is not None:
            ends = series.steps + (1 - counts_from) if unit == "epoch" else series.steps
            converted[role] = series.at(np.rint(ends / per_step).astype(np.int64))
            log.offsets[tag] = 0
            if unit == "epoch":
                log.meta["epoch_steps"] = 1.0 / per_step
            note = f"steps: {_NAMES[unit]} known, x-axis converted from {unit}s"
        else:
            log.meta["unit"], note = unit, _kept(unit)
            if unit == "epoch":
                log.offsets[tag] = 1 - counts_from
        if note not in said:
            said.add(note)
            log.notes.add(note)
    return converted


def _kept(unit: str) -> str:
    """What is said of an x-axis that stays as it is."""
    if unit not in _OPTIONS:
        return f"steps are {unit}s"
    lacking = "the length of one" if unit == "epoch" else "the batch"
    return f"steps are {unit}s: {lacking} is not known. Pass {_OPTIONS[unit]} to convert them"


def _micro_batches(log: Log) -> tuple[IntArray, IntArray] | None:
    """Micro-batches and the optimizer steps that were complete with them, where a log tells both as litgpt's does.

    Source: ``pretrain.py`` of Lightning-AI/litgpt, which logs ``iter`` and ``step`` at the number of ``iter`` less one.
    """
    iters, steps = map(log.series.get, COUNTS)
    if log.format != "tfevents" or iters is None or steps is None or not len(iters):
        return None
    if not np.array_equal(iters.steps, steps.steps) or not np.array_equal(iters.values, iters.steps + 1):
        return None
    rising = np.argsort(iters.steps, kind="stable")
    counted = steps.values[rising]
    known = bool(np.all(np.isfinite(counted))) and bool(np.all(counted == np.floor(counted)))
    return (iters.steps[rising], counted.astype(np.int64)) if known else None


def _at_counted_steps(
    log: Log, rows: dict[str, tuple[str, Series]], micro_batches: IntArray, steps: IntArray
) -> dict[str, Series]:
    log.notes.add("steps are micro-batches: put at the optimizer steps that were logged beside them")
    converted: dict[str, Series] = {}
    for role, (tag, series) in rows.items():
        if tag.startswith(OWN):  # at completed steps already
            converted[role] = series
            continue
        place = np.searchsorted(micro_batches, series.steps, side="right") - 1
        log.offsets[tag] = 0
        converted[role] = series.at(np.where(place >= 0, steps[np.maximum(place, 0)], 0))
    return converted


def _first_epoch(log: Log, rows: dict[str, tuple[str, Series]]) -> int:
    """Whether epochs count from 0 or from 1."""
    firsts = [int(series.steps.min()) for tag, series in rows.values() if len(series) and unit_of(log, tag) == "epoch"]
    return min(1, max(0, min(firsts, default=0)))


def _epochs_per_step(log: Log) -> float | None:
    """From a validation that was written both over epochs and over iterations, row by row."""
    for tag, by_iteration in log.series.items():
        if _TOLD not in split_words(tag) or not len(by_iteration):
            continue
        for other, by_epoch in log.series.items():
            same = len(by_epoch) == len(by_iteration) and unit_of(log, other) == "epoch"
            if same and np.array_equal(by_epoch.values, by_iteration.values) and int(by_iteration.steps[-1]) > 0:
                return float(len(by_epoch) / by_iteration.steps[-1])
    return None
