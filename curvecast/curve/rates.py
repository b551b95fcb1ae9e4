"""The learning rates of a run as they were logged, kept as the knots of a few straight lines."""

from __future__ import annotations

import copy
import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curvecast.curve.sample import FloatArray

_FEW = 32  # rates that `extend` looks at together at first


class LearningRates:
    """The learning rate as logged, compressed to knots as it streams by (the 'swinging door' of process logs).

    A sample opens a new knot only where a straight line from the last knot would miss one of the samples in
    between by more than ``tolerance`` of the peak. Constant, linear and step schedules are kept exactly.

    Example:
        >>> rates = LearningRates()
        >>> for step in range(1, 1001):
        ...     rates.add(step, 3e-4)
        >>> rates.knots()
        ([1, 1000], [0.0003, 0.0003])
    """

    __slots__ = ("_high", "_last", "_low", "_lr", "_peak", "_step", "_tolerance")

    MAX_KNOTS = 512

    def __init__(self) -> None:
        self._step: list[int] = []
        self._lr: list[float] = []
        self._last: tuple[int, float] | None = None
        self._low, self._high = -math.inf, math.inf  # the door: slopes from the last knot that pass all samples since
        self._peak = 0.0
        self._tolerance = 1e-3

    def add(self, step: int, lr: float) -> None:
        """Add the finite rate ``lr`` >= 0 of a step greater than the last one."""
        if self._last is None:
            self._step.append(step)
            self._lr.append(lr)
            self._last = (step, lr)
            self._peak = lr
            return
        if step <= self._last[0]:
            return
        self._peak = max(self._peak, lr)
        start, base = self._step[-1], self._lr[-1]
        slope = (lr - base) / (step - start)
        if slope < self._low or slope > self._high:  # no line from the last knot passes all samples since: a new knot
            self._close()
            start, base = self._step[-1], self._lr[-1]
        slack = self._tolerance * self._peak
        self._low = max(self._low, (lr - slack - base) / (step - start))
        self._high = min(self._high, (lr + slack - base) / (step - start))
        self._last = (step, lr)

    def extend(self, steps: NDArray[np.int64], lrs: FloatArray) -> None:
        """Add rates at increasing steps, all of them later than the last: what ``add`` makes of one after another."""
        if self._last is None and len(steps):
            self.add(int(steps[0]), float(lrs[0]))
            steps, lrs = steps[1:], lrs[1:]
        at, begin, width, floats = 0, 0, _FEW, steps.astype(np.float64)
        peak = np.maximum.accumulate(np.maximum(lrs, self._peak))
        while at < len(steps):
            part = slice(at, at + width)
            kept = self._within(floats[part], lrs[part], peak[part])
            at, shut = at + kept, kept < len(steps[part])
            if not shut:
                width *= 4
            elif at - begin > _FEW // 4:  # the next knot is likely to be not much further away
                self._close()
                begin, width = at, max(2 * (at - begin), _FEW)
            else:  # where most open a knot, to look ahead does not pay
                for step, lr in zip(steps[at : at + _FEW].tolist(), lrs[at : at + _FEW].tolist(), strict=True):
                    self.add(step, lr)
                begin = at = at + _FEW

    def _within(self, steps: FloatArray, lrs: FloatArray, peak: FloatArray) -> int:
        """Take in rates up to the first that opens a knot; how many that were.

        Args:
            steps: ``(m,)`` [steps].
            lrs: ``(m,)`` rates there.
            peak: ``(m,)`` the highest so far.
        """
        slack = self._tolerance * peak
        sides = np.array([lrs - slack, lrs, lrs + slack])  # of the door the lower, what is to pass, and the upper
        sides -= self._lr[-1]
        sides /= steps - self._step[-1]
        sides[0, 0], sides[2, 0] = max(self._low, sides[0, 0]), min(self._high, sides[2, 0])
        low, slope, high = np.maximum.accumulate(sides[0]), sides[1], np.minimum.accumulate(sides[2])
        if not self._low <= slope[0] <= self._high:
            return 0
        shut = ((slope[1:] < low[:-1]) | (slope[1:] > high[:-1])).nonzero()[0]
        kept = 1 + int(shut[0]) if len(shut) else len(steps)
        last = kept - 1
        self._last = (int(steps[last]), float(lrs[last]))
        self._peak, self._low, self._high = float(peak[last]), float(low[last]), float(high[last])
        return kept

    @property
    def last(self) -> tuple[int, float] | None:
        """Step and rate of the last sample; ``None`` before the first."""
        return self._last

    @property
    def last_step(self) -> int:
        """Step of the last sample; 0 before the first."""
        return 0 if self._last is None else self._last[0]

    def _close(self) -> None:
        assert self._last is not None
        self._step.append(self._last[0])
        self._lr.append(self._last[1])
        self._low, self._high = -math.inf, math.inf
        if len(self._step) >= self.MAX_KNOTS:  # a jittery schedule: keep every second knot, and be coarser on
            self._tolerance *= 2.0
            self._step = [*self._step[:-1:2], self._step[-1]]
            self._lr = [*self._lr[:-1:2], self._lr[-1]]

    def knots(self, until: int | None = None) -> tuple[list[int], list[float]]:
        """Steps and rates of the knots, the last sample included; empty lists where none was seen.

        Args:
            until: The last step that counts; ``None`` for all of them.

        Example:
            >>> rates = LearningRates()
            >>> for step in range(1, 101):
            ...     rates.add(step, 1.0 - step / 200)
            >>> steps, lrs = rates.knots(until=50)
            >>> steps, [round(lr, 2) for lr in lrs]
            ([1, 50], [0.99, 0.75])
        """
        if self._last is None or self._last[0] == self._step[-1]:
            steps, lrs = list(self._step), list(self._lr)
        else:
            steps, lrs = [*self._step, self._last[0]], [*self._lr, self._last[1]]
        if until is None or until >= self.last_step:
            return steps, lrs
        k = bisect_right(steps, until)
        if not k or steps[k - 1] == until:
            return steps[:k], lrs[:k]
        # As finely as knots tell, so that it is the same whichever sample is the next knot.
        grain = self._tolerance * self._peak or 1.0
        rise = (lrs[k] - lrs[k - 1]) * (until - steps[k - 1]) / (steps[k] - steps[k - 1])
        return [*steps[:k], until], [*lrs[:k], max(lrs[k - 1] + grain * round(rise / grain), 0.0)]

    def when(self, last: tuple[int, float] | None) -> LearningRates:
        """The rates as they were when a sample was the last, to be asked for their knots.

        Example:
            >>> rates = LearningRates()
            >>> for step in range(1, 101):
            ...     rates.add(step, 1.0 - step / 200)
            >>> last, then = rates.last, rates.knots()
            >>> rates.add(101, 0.1)
            >>> rates.when(last).knots() == then
            True
        """
        if last is None:
            return LearningRates()
        then, k = copy.copy(self), max(bisect_left(self._step, last[0]), 1)  # the first sample is a knot
        then._step, then._lr, then._last = self._step[:k], self._lr[:k], last
        return then

    def state_dict(self) -> dict[str, Any]:
        """Plain lists and floats."""
        return {
            "step": list(self._step),
            "lr": list(self._lr),
            "last": None if self._last is None else list(self._last),
            "door": [self._low, self._high],
            "peak": self._peak,
            "tolerance": self._tolerance,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave; what is garbled raises."""
        self._step, self._lr = [int(step) for step in state["step"]], [float(rate) for rate in state["lr"]]
        self._last = None if state["last"] is None else (int(state["last"][0]), float(state["last"][1]))
        self._low, self._high = map(float, state["door"])
        self._peak, self._tolerance = float(state["peak"]), float(state["tolerance"])
        rises = all(earlier < later for earlier, later in pairwise([0, *self._step]))
        ends = (self._step[-1] <= self.last_step) if self._step else self._last is None
        if not (rises and ends and len(self._step) == len(self._lr)):
            raise ValueError(f"{self._step!r:.40} for the steps of its learning rates")
        if self._last is not None and not float(self._last[0]) < math.inf:  # one that no float holds raises
            raise ValueError(f"{self._last[0]!r:.40} for a step")
        if not all(
            0.0 <= rate < math.inf for _, rate in [*zip(self._step, self._lr, strict=True), self._last or (0, 0.0)]
        ):
            raise ValueError(f"{self._lr!r:.40} for its learning rates")
