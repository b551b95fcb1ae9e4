"""A learning rate that falls in jumps. Private to `curvecast.infer`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curvecast.schedule.knots import FloatArray

_SAME = 0.008  # LRs that differ by less [of the peak] are on one tread; the knots of a log miss it by 0.001, or more
_ABRUPT = 0.02  # a drop within this share of what was seen, or between two neighbouring samples, is a jump
_MANY = 6  # treads from which on it is a smooth plan, followed once an epoch
_SMALL = 0.9  # likewise where drops are by a factor closer to 1
_ALIKE = 0.05  # spacings that differ by less than this share, and log-factors by less than this, are equal


@dataclass(frozen=True, slots=True)
class Stairs:
    """Treads of constant LR.

    Args:
        start: ``(m,)`` first step of each tread; the first one's is that of the schedule.
        end: ``(m,)`` last step of each tread.
        level: ``(m,)`` relative LR of each tread.
    """

    start: FloatArray
    end: FloatArray
    level: FloatArray

    @property
    def count(self) -> int:
        """How many treads."""
        return len(self.level)

    @property
    def late(self) -> int:
        """The first tread that is one for certain: at the top of a cosine several are too flat to be told apart."""
        return self.count // 2 if self.count >= _MANY else 1

    @property
    def factor(self) -> float:
        """LR of a tread over that of the one before, the mean."""
        return float(np.exp(self._ratios().mean()))

    @property
    def spacing(self) -> float:
        """Steps from drop to drop, or up to the only one."""
        tread = np.diff(self.start)
        return float(tread[min(self.late, len(tread) - 1) :].mean())

    @property
    def is_even(self) -> bool:
        """Whether drops come after the same number of steps each."""
        tread = np.diff(self.start)[self.late - 1 :]
        # They are counted from step 1 or from the end of the warm-up, and a sparse log shows them late.
        slack = _ALIKE * tread.max() + (self.start[1:] - self.end[:-1]).max() + self.start[0] - 1.0
        return bool(np.ptp(tread) <= slack)

    @property
    def is_regular(self) -> bool:
        """Whether, besides, they are by the same factor."""
        ratio = self._ratios()
        return self.is_even and bool(np.ptp(ratio) <= _ALIKE * np.abs(ratio).max())

    @property
    def is_followed_plan(self) -> bool:
        """Whether they look like a smooth plan that is followed once an epoch, or rounded: no StepLR drops so."""
        uneven_factors = self.is_even and not self.is_regular
        return self.count >= _MANY or self.factor > _SMALL or uneven_factors

    def _ratios(self) -> FloatArray:
        return np.diff(np.log(np.maximum(self.level, 1e-9)))

    def lr(self, step: FloatArray) -> FloatArray:
        """``(n,)``: the tread that each step is on; between two, the nearer one."""
        between = (self.end[:-1] + self.start[1:]) / 2.0
        return self.level[np.searchsorted(between, step)]


def straighten(steps: FloatArray, lr: FloatArray, slack: float) -> NDArray[np.intp]:
    """Indices of the samples to keep so that lines between them miss none by more than `slack`.

    Example:
        >>> straighten(np.array([1.0, 2.0, 4.0, 5.0]), np.array([1.0, 1.0, 1.0, 0.5]), 0.01).tolist()
        [0, 2, 3]
    """
    t, y = steps.tolist(), lr.tolist()
    kept, low, high = [0], -np.inf, np.inf
    for i in range(1, len(t)):
        gap, rise = t[i] - t[kept[-1]], y[i] - y[kept[-1]]
        if not low * gap <= rise <= high * gap and i - 1 > kept[-1]:
            kept.append(i - 1)
            low, high = -np.inf, np.inf
            gap, rise = t[i] - t[i - 1], y[i] - y[i - 1]
        low, high = max(low, (rise - slack) / gap), min(high, (rise + slack) / gap)
    if len(t) > 1:
        kept.append(len(t) - 1)
    return np.array(kept)


def find_stairs(steps: FloatArray, lr: FloatArray) -> Stairs | None:
    """The stairs that an LR, straightened, goes down; None where it falls in another way or not at all.

    Args:
        steps: ``(n,)`` from the end of the warm-up on.
        lr: ``(n,)`` relative LRs.
    """
    runs = _level_runs(lr.tolist())
    level = np.array([float(np.mean(lr[a : b + 1])) for a, b in runs])
    stairs = Stairs(steps[[a for a, _ in runs]], steps[[b for _, b in runs]], level)
    if stairs.count < 2:
        return None
    allowed = max(_ABRUPT * float(steps[-1] - steps[0]), float(np.diff(steps).min()))
    abrupt = stairs.start[1:] - stairs.end[:-1] <= allowed
    lasting = stairs.end - stairs.start > 0
    lasting[-1] |= stairs.count > 2  # the first sample of a tread; of a second one it may be that of a slope
    falling = np.diff(level) < -_SAME / 2.0
    return stairs if bool(np.all(abrupt) and np.all(lasting) and np.all(falling)) else None


def _level_runs(y: Sequence[float]) -> list[tuple[int, int]]:
    """First and last index of each run of values that stay within `_SAME` of the run's first."""
    runs, begin = [], 0
    for i in range(1, len(y) + 1):
        if i == len(y) or abs(y[i] - y[begin]) > _SAME:
            runs.append((begin, i - 1))
            begin = i
    return runs
