"""How long a step takes, by the clock that is told beside the losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curvecast.curve import FloatArray

_LATEST = 1e15  # a clock that shows more, or NaN, tells no time [s]


class Pace:
    """Seconds a step, from the first told to the last; a clock that goes back, as after a resume, starts it anew.

    Example:
        >>> pace = Pace()
        >>> for step, seconds in ((10, 3.0), (20, 8.0), (30, 13.0), (31, 0.0), (41, 5.0)):
        ...     pace.add(step, seconds)
        >>> pace.seconds
        0.5
    """

    __slots__ = ("_clock", "_steps", "_taken")

    def __init__(self) -> None:
        self._clock: tuple[int, float] | None = None
        self._steps, self._taken = 0, 0.0

    def add(self, step: int, seconds: float) -> None:
        """The clock at a step."""
        if not abs(seconds) < _LATEST:
            return
        if self._clock is not None and step > self._clock[0] and seconds >= self._clock[1]:
            self._steps += step - self._clock[0]
            self._taken += seconds - self._clock[1]
        self._clock = (step, seconds)

    def extend(self, steps: NDArray[np.int64], seconds: FloatArray) -> None:
        """The clock at rising steps, all later than the last: to the last bit what ``add`` makes of each."""
        finite = np.abs(seconds) < _LATEST
        if not finite.any():
            return
        before = [] if self._clock is None else [self._clock]
        at = np.concatenate([[step for step, _ in before], steps[finite]])
        clock = np.concatenate([[time for _, time in before], seconds[finite]])
        taken = np.diff(clock)
        on = taken >= 0.0
        self._steps += int(np.diff(at)[on].sum())
        self._taken = float(np.concatenate([[self._taken], taken[on]]).cumsum()[-1])
        self._clock = (int(at[-1]), float(clock[-1]))

    @property
    def seconds(self) -> float | None:
        """Of a step [s]; ``None`` before two are known."""
        return self._taken / self._steps if self._steps else None

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"clock": None if self._clock is None else list(self._clock), "of": [self._steps, self._taken]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave; what is garbled raises."""
        clock = state["clock"]
        self._clock = None if clock is None else (int(clock[0]), float(clock[1]))
        self._steps, self._taken = int(state["of"][0]), float(state["of"][1])
        if not (float(self._steps) >= 0.0 and 0.0 <= self._taken < math.inf):
            raise ValueError(f"{state['of']!r:.40} for the steps and the time that they took")
