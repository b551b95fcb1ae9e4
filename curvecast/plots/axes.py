"""What a picture's x-axis counts: steps, or what steps stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from curvecast.curve import FloatArray

Unit: TypeAlias = Literal["step", "token", "flop", "time"]
_UNITS_OF_TIME = ((1.0, "s", 300.0), (60.0, "min", 3.0 * 3600.0), (3600.0, "h", 4.0 * 86400.0), (86400.0, "d", np.inf))


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """What stands for a step on an x-axis: straight lines between knots, and on beyond them.

    Args:
        title: of the axis.
        steps: ``(k,)`` knots, rising [steps].
        values: ``(k,)`` what has been counted there, rising.
        format: of its ticks, in d3's language.

    Example:
        >>> Axis("tokens", np.array([0.0, 10.0]), np.array([0.0, 5000.0])).at(np.array([5.0, 20.0])).tolist()
        [2500.0, 10000.0]
    """

    title: str
    steps: FloatArray
    values: FloatArray
    format: str = "~s"

    def at(self, step: FloatArray) -> FloatArray:
        """``(m,)`` what has been counted at steps."""
        inside = np.interp(step, self.steps, self.values)
        if len(self.steps) < 2:
            return np.asarray(inside)
        first = (self.values[1] - self.values[0]) / (self.steps[1] - self.steps[0])
        last = (self.values[-1] - self.values[0]) / (self.steps[-1] - self.steps[0])
        before = self.values[0] - first * np.maximum(self.steps[0] - step, 0.0)
        beyond = self.values[-1] + last * np.maximum(step - self.steps[-1], 0.0)
        return np.where(step < self.steps[0], np.maximum(before, 0.0), np.where(step > self.steps[-1], beyond, inside))


STEPS = Axis("optimizer steps", np.array([0.0, 1.0]), np.array([0.0, 1.0]), ",d")


def axis(
    unit: Unit,
    *,
    batch_tokens: float | None = None,
    num_params: float | None = None,
    tokens: tuple[FloatArray, FloatArray] | None = None,
    flops: tuple[FloatArray, FloatArray] | None = None,
    seconds: tuple[FloatArray, FloatArray] | None = None,
) -> Axis:
    """An axis of tokens, FLOP or time, from what is known of a run.

    Args:
        unit: what is to be counted.
        batch_tokens: tokens a step, where they were not logged.
        num_params: ``N``, for FLOP that were not logged: ``6 N D`` (Kaplan et al. 2020, 2.1).
        tokens: steps and the tokens seen at each, as logged.
        flops: steps and the compute at each [FLOP], as logged.
        seconds: steps and the time at each, from the start [s].

    Raises:
        ValueError: if what it takes is not known; the message says what that is.

    Example:
        >>> axis("flop", batch_tokens=1e6, num_params=1e8).at(np.array([10.0])).tolist()
        [6000000000000000.0]
    """
    if unit == "step":
        return STEPS
    if unit == "time":
        if seconds is None:
            raise ValueError("An axis of time needs the time of at least two losses: got none. Use steps.")
        size, name = next((size, name) for size, name, upto in _UNITS_OF_TIME if seconds[1][-1] < upto)
        return Axis(f"time [{name}]", seconds[0], seconds[1] / size, "~g")
    if unit == "flop" and flops is not None:
        return Axis("compute [FLOP]", *flops)
    if tokens is None and batch_tokens is not None:
        tokens = STEPS.steps, STEPS.values * batch_tokens
    if tokens is None:
        raise ValueError("An axis of tokens needs `batch_tokens`: got None. Set the tokens of an optimizer step.")
    if unit == "token":
        return Axis("tokens", *tokens)
    if num_params is None:
        raise ValueError("An axis of FLOP needs `num_params`: got None. Set the run's non-embedding parameters.")
    return Axis("compute [FLOP]", tokens[0], 6.0 * num_params * tokens[1])
