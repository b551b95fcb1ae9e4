"""A new run's samples taken in many at once. Private to `curvecast.watcher`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from curvecast.curve import FloatArray, IntArray, Sample
from curvecast.decisions.alarm import HUGE

_SHORT = 1.0 - 1e-6  # of a height: means are summed in another order here


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """One kind of loss of some samples.

    Args:
        at: ``(n,)`` which of the samples they belong to.
        steps: ``(n,)`` rising [steps].
        values: ``(n,)`` finite [loss unit].
    """

    at: IntArray
    steps: FloatArray
    values: FloatArray

    def __len__(self) -> int:
        return len(self.at)

    def before(self, at: IntArray) -> IntArray:
        """How many of them came up to and with each of some samples."""
        return np.searchsorted(self.at, at, side="right")


def split(samples: Sequence[Sample]) -> tuple[Losses, Losses] | None:
    """Train and validation losses; ``None`` where they do not come as a log has them: finite, in order, train first."""
    steps = [sample.step for sample in samples]
    if any(type(step) is not int for step in steps) or steps[0] < 1 or any(map(int.__gt__, steps, steps[1:])):
        return None
    train = _losses(steps, [sample.train_loss for sample in samples])
    val = _losses(steps, [sample.val_loss for sample in samples])
    if train is None or val is None or (len(train) and len(val) and val.at[0] < train.at[0]):
        return None
    return train, val


def _losses(steps: Sequence[int], values: Sequence[object]) -> Losses | None:
    found = [(at, steps[at], value) for at, value in enumerate(values) if value is not None]
    if any(type(value) is not float for _, _, value in found):
        return None
    at, own, losses = (np.array(column) for column in zip(*found, strict=True)) if found else (np.empty(0),) * 3
    known = Losses(at.astype(np.int64), own.astype(np.float64), losses.astype(np.float64))
    if not np.all(np.abs(known.values) < HUGE) or np.any(np.diff(known.steps) <= 0.0):
        return None
    return known


def stays_low(
    losses: Losses,
    starts: IntArray,
    seen: IntArray,
    height: Callable[[int, float], float],
    above_noise: Callable[[int], float],
) -> bool:
    """Whether no loss rises above an alarm that is hung anew after some of them.

    Args:
        losses: those that the alarm watches.
        starts: ``(b,)`` the first loss of each bin.
        seen: ``(k,)`` after how many losses the alarm is hung, rising.
        height: gives for the k-th time and the level then how far above it the alarm hangs, at least.
        above_noise: gives for a number of closed bins how far it hangs above their noise; asked where it matters.
    """
    total = np.concatenate([[0.0], np.cumsum(losses.values)])
    ends = np.append(starts[1:], len(losses))
    means = (total[ends] - total[starts]) / np.maximum(ends - starts, 1)
    bins = np.searchsorted(starts, seen, side="left") - 1  # the one that was open
    highest = np.maximum.reduceat(losses.values, np.minimum(seen, len(losses) - 1))
    for k, (count, last) in enumerate(zip(seen.tolist(), bins.tolist(), strict=True)):
        if count >= len(losses) or last < 0:
            continue
        level = (total[count] - total[starts[last]]) / (count - starts[last])
        if last > (last + 1) // 2:
            level = min(level, float(means[(last + 1) // 2 : last].min()))
        room = level + _SHORT * height(k, level) - highest[k]
        if room < 0.0 and level + _SHORT * above_noise(last) < highest[k]:
            return False
    return True
