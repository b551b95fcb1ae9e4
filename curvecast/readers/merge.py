"""Rows as they were written become one curve: no orphaned tails, no duplicates, strictly increasing steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from curvecast.notation import plural
from curvecast.readers.base import FloatArray, IntArray, Notes, Series

WORDS = {
    "train": "training loss",
    "val": "validation loss",
    "lr": "learning rate",
    "tokens": "tokens seen",
    "flops": "compute",
    "seconds": "time",
    "critical_batch": "critical batch",
}
_LOSSES = ("train", "val")


def drop_orphans(rows: Mapping[str, Series], restarts: Sequence[tuple[int, int]], notes: Notes) -> dict[str, Series]:
    """Drop what a resumed run has made void.

    When a run goes back to step r, every row that was written before and stands at r or later belongs to a
    past that did not happen. The training rows tell when that is (the validation rows where there are none),
    and so does a writer that says so; a validation row that goes back by itself is a stray evaluation and is
    dropped alone.

    Args:
        rows: rows by role ("train", "val", "lr", "tokens", "flops", "val:NAME" for further validation sets), in the
            writer's steps.
        restarts: ``(order, step)`` of the restarts that the writer announced.
        notes: one line for each kind of row that loses some.
    """
    leader = "train" if "train" in rows else "val"
    events = [*restarts, *_went_back(rows[leader])] if leader in rows else list(restarts)
    kept: dict[str, Series] = {}
    for role, series in rows.items():
        if events and not (alive := series.steps < _lowest_after(events, series.order)).all():
            lowest = int(series.steps[~alive].min())
            notes.add(
                f"{what(role)}: the run was resumed at step {lowest:,}; {_rows(~alive)} from before dropped",
                lost=True,
            )
            series = series.where(alive)
        kept[role] = series
        if is_val(role) and leader == "train":
            kept[role] = _without_strays(kept[role], notes)
    return kept


def is_val(role: str) -> bool:
    """Whether a role is a validation set, the deciding one or another."""
    return role.partition(":")[0] == "val"


def what(role: str) -> str:
    """A role in words."""
    kind, _, name = role.partition(":")
    return f"{WORDS[kind]} {name!r}" if name else WORDS[kind]


def _went_back(series: Series) -> list[tuple[int, int]]:
    at = np.flatnonzero(np.diff(series.steps) < 0) + 1
    return list(zip(series.order[at].tolist(), series.steps[at].tolist(), strict=True))


def _lowest_after(events: Sequence[tuple[int, int]], order: IntArray) -> IntArray:
    """For each row, the lowest step that the run goes back to after it was written."""
    nothing = np.iinfo(np.int64).max
    by_order = np.array(sorted(events), np.int64).reshape(-1, 2)
    lowest = np.append(np.minimum.accumulate(by_order[::-1, 1])[::-1], nothing)
    after: IntArray = lowest[np.searchsorted(by_order[:, 0], order, side="right")]
    return after


def _without_strays(series: Series, notes: Notes) -> Series:
    stray = series.steps < np.maximum.accumulate(series.steps) if len(series) else np.zeros(0, bool)
    if not stray.any():
        return series
    notes.add(f"validation loss: {_rows(stray)} out of order dropped (an evaluation outside the run?)", lost=True)
    return series.where(~stray)


def last_at_each_step(role: str, series: Series, notes: Notes) -> Series:
    """One row a step from step 1 on, in order: of duplicates the last one written stands."""
    if len(series) and series.steps[0] >= 1 and (series.steps[1:] > series.steps[:-1]).all():
        return series
    early = series.steps < 1
    if early.any():
        notes.add(
            f"{what(role)}: {_rows(early)} from before the first step left out",
            lost=bool((series.steps < 0).any()),
        )
    series = series.where(~early)
    series = series.where(np.argsort(series.steps, kind="stable"))
    is_last = np.append(np.diff(series.steps) > 0, True)[: len(series)]
    differs = ~is_last[:-1] & (series.values[:-1] != series.values[1:]) if len(series) else np.zeros(0, bool)
    if differs.any() and role.partition(":")[0] in _LOSSES:
        notes.add(f"{what(role)}: {_rows(~is_last)} logged again at the same step; the last value stands")
    return series.where(is_last)


def align(rows: Mapping[str, Series]) -> tuple[IntArray, dict[str, FloatArray]]:
    """Every role on the union of their steps; NaN where it has no row, +inf for a loss that is not finite."""
    steps = _union([series.steps for series in rows.values()])
    aligned = {}
    for role in dict.fromkeys(["train", "val", "lr", *rows]):
        aligned[role] = np.full(len(steps), np.nan)
        if role in rows:
            values = rows[role].values
            missing = np.inf if role.partition(":")[0] in _LOSSES else np.nan
            finite = np.where(np.isfinite(values), values, missing)
            if len(finite) == len(steps):  # they increase strictly, so that they are the same steps
                aligned[role] = finite
            else:
                aligned[role][np.searchsorted(steps, rows[role].steps)] = finite
    return steps, aligned


def _union(each: Sequence[IntArray]) -> IntArray:
    """The steps of several roles, in order; those of the longest where it holds all, as it mostly does."""
    longest = max(each, key=len, default=np.zeros(0, np.int64))
    if len(longest):
        each = [steps for steps in each if len(steps) < len(longest) or not np.array_equal(steps, longest)]
        places = (np.minimum(longest.searchsorted(steps), len(longest) - 1) for steps in each)
        if all(np.array_equal(longest[at], steps) for at, steps in zip(places, each, strict=True)):
            return longest
    return np.unique(np.concatenate([longest, *each]))


def _rows(mask: NDArray[np.bool_]) -> str:
    return plural(int(np.count_nonzero(mask)), "row")
