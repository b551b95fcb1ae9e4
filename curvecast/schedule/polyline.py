"""A learning rate as straight lines between knots: its value at a step, and its sum up to there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curvecast.schedule.checks import check_knots
from curvecast.schedule.knots import FloatArray

Number = float | np.floating[Any] | np.integer[Any]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Polyline:
    """Relative learning rates, linear between knots; what a `Schedule` is, without the ways to make one.

    Args:
        steps: ``(K,)`` knots [steps], strictly increasing; the first is 1.
        lr: ``(K,)`` LR at the knots over the run's peak LR, each in [0, 1].

    Raises:
        ValueError: if the knots break one of these rules.
    """

    knot_steps: tuple[float, ...]
    knot_lrs: tuple[float, ...]
    _steps: FloatArray = field(repr=False, compare=False)
    _lrs: FloatArray = field(repr=False, compare=False)
    _sums: FloatArray = field(repr=False, compare=False)
    _halves: FloatArray = field(repr=False, compare=False)

    def __init__(self, steps: ArrayLike, lr: ArrayLike) -> None:
        s = np.array(steps, dtype=np.float64)
        y = np.array(lr, dtype=np.float64)
        check_knots(s, y)
        gaps, sums, halves = s[1:] - s[:-1], np.empty(len(y)), np.zeros(len(y))
        sums[0], sums[1:] = y[0], gaps * (y[1:] + y[:-1]) / 2
        sums = sums.cumsum()
        halves[:-1] = 0.5 * (y[1:] - y[:-1]) / gaps  # of the slopes; beyond the last knot the LR is held
        for array in (s, y, sums, halves):
            array.flags.writeable = False
        object.__setattr__(self, "knot_steps", tuple(s.tolist()))
        object.__setattr__(self, "knot_lrs", tuple(y.tolist()))
        object.__setattr__(self, "_steps", s)
        object.__setattr__(self, "_lrs", y)
        object.__setattr__(self, "_sums", sums)
        object.__setattr__(self, "_halves", halves)

    @property
    def horizon(self) -> int:
        """The last planned optimizer step."""
        return int(self.knot_steps[-1])

    @property
    def knots(self) -> tuple[FloatArray, FloatArray]:
        """Steps and relative LRs of the knots, each ``(K,)`` and read-only."""
        return self._steps, self._lrs

    @overload
    def lr(self, step: Number) -> float: ...
    @overload
    def lr(self, step: Sequence[float] | NDArray[Any]) -> FloatArray: ...
    def lr(self, step: Number | Sequence[float] | NDArray[Any]) -> float | FloatArray:
        """Relative LR of an optimizer step.

        Args:
            step: a step, or steps of any shape [steps]; steps are counted from 1.

        Returns:
            Relative LR in [0, 1]: a float, or an array shaped as `step`.

        Example:
            >>> from curvecast import Schedule
            >>> Schedule.linear(11).lr(6)
            0.5
        """
        s = np.asarray(step, dtype=np.float64)
        y = np.maximum(np.interp(s, self._steps, self._lrs), 0.0)  # before a rate of zero it may be rounded to less
        return float(y) if s.ndim == 0 else np.asarray(y, dtype=np.float64)

    __call__ = lr

    @overload
    def summed(self, step: Number) -> float: ...
    @overload
    def summed(self, step: Sequence[float] | NDArray[Any]) -> FloatArray: ...
    def summed(self, step: Number | Sequence[float] | NDArray[Any]) -> float | FloatArray:
        """Sum S1 of the relative LR over the steps up to and including `step`.

        It is the integral of the curve (exact between knots, rising, ``dS1/dstep = lr``), so it may differ
        from the sum over whole steps by up to half a step of the peak LR.

        Args:
            step: a step, or steps of any shape [steps].

        Returns:
            S1 [steps at peak LR]: a float, or an array shaped as `step`. At a constant LR it is `step`.

        Example:
            >>> from curvecast import Schedule
            >>> Schedule.constant(1000).summed([0, 1, 500, 2000]).tolist()
            [0.0, 1.0, 500.0, 2000.0]
        """
        s = np.maximum(np.asarray(step, dtype=np.float64), 0.0)
        k = np.maximum(self._steps.searchsorted(s, side="right") - 1, 0)
        past = s - self._steps.take(k)
        rate = self._lrs.take(k) + self._halves.take(k) * np.maximum(past, 0.0)
        total = self._sums.take(k) + past * rate
        return float(total) if s.ndim == 0 else np.asarray(total, dtype=np.float64)

    def to_dict(self) -> dict[str, list[float]]:
        """Plain types, for JSON and checkpoints.

        Example:
            >>> from curvecast import Schedule
            >>> Schedule.linear(10).to_dict()
            {'steps': [1.0, 10.0], 'lr': [1.0, 0.0]}
        """
        return {"steps": list(self.knot_steps), "lr": list(self.knot_lrs)}
