"""What a schedule is made of, checked: it raises in words where it cannot be one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from curvecast.schedule.knots import FloatArray

MOST_STEPS = 2**53  # beyond it a float no longer tells two steps apart


def check_knots(s: FloatArray, y: FloatArray) -> None:
    """Knots ``(K,)`` as `Schedule` takes them.

    Raises:
        ValueError: if they break one of its rules.
    """
    if s.ndim != 1 or s.shape != y.shape or not len(s):
        raise ValueError(f"`steps` and `lr` must hold the same number of knots: got shapes {s.shape}, {y.shape}.")
    if s[0] != 1 or not (s[1:] > s[:-1]).all() or not float(s[-1]).is_integer():
        raise ValueError(
            f"`steps` must start at 1, increase strictly and end on a whole step: got {s[0]} to {s[-1]}. "
            "Count optimizer steps from 1."
        )
    if not (y.min() >= 0 and y.max() <= 1 + 1e-9):
        raise ValueError(
            f"`lr` must lie between 0 and the peak, 1: got {y.min()} to {y.max()}. "
            "Schedule.from_array divides by the peak."
        )


def is_number(value: object) -> bool:
    """Whether it is a whole or a real number, of Python or of numpy."""
    return isinstance(value, int | float | np.integer | np.floating)


def check_floor(floor: float) -> None:
    """A relative LR at the end of a decay.

    Raises:
        ValueError: if it does not lie between 0 and 1.
    """
    if not is_number(floor) or not 0 <= floor <= 1:
        raise ValueError(
            f"`floor` must lie between 0 and 1, relative to the peak LR: got {floor!r:.40}. Pass 0.1 for a tenth of it."
        )


def check_plan(n: int, warmup: int, floor: float, *, room: int) -> tuple[int, int]:
    """The horizon and the first step at peak LR.

    Args:
        n: the horizon [steps].
        warmup: steps of the warm-up.
        floor: relative LR at the end.
        room: steps that must be left after the warm-up.

    Raises:
        ValueError: if one of them is out of range.
    """
    if not is_number(n) or not 1 <= n < MOST_STEPS or n != int(n):
        raise ValueError(f"`n` must be at least 1 step: got {n!r:.40}. Pass the planned number of optimizer steps.")
    if not is_number(warmup) or not 0 <= warmup <= max(n - room, 0):
        raise ValueError(
            f"`warmup` must lie between 0 and {max(n - room, 0)} steps (n={n}): got {warmup!r:.40}. "
            "Pass fewer steps of it, or the whole plan as `n`."
        )
    if 0 < warmup < 1:
        raise ValueError(
            f"`warmup` counts steps: got {warmup}. Pass {max(round(warmup * n), 1)} for that share of {n}."
        )
    check_floor(floor)
    return int(n), max(int(warmup), 1)


def check_cooldown(start: int, steps: int, floor: float) -> tuple[int, int]:
    """Where a cooldown begins, and its length [steps].

    Raises:
        ValueError: if one of them is no whole number of at least 1, or the floor is out of range.
    """
    if not all(is_number(each) and 1 <= each < np.inf and each == int(each) for each in (start, steps)):
        raise ValueError(
            f"`start` and `steps` must be at least 1, and whole: got start={start!r:.40}, steps={steps!r:.40}. "
            "Pass the step at which the cooldown begins, and how many steps it takes."
        )
    check_floor(floor)
    return int(start), int(steps)


def rates_of_every_step(lr: ArrayLike) -> FloatArray:
    """``(n,)`` absolute LRs, as numbers.

    Raises:
        ValueError: if there are none, they are not one-dimensional, or one is negative or not finite.
    """
    try:
        y = np.asarray(lr, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # the last is torch's, under grad
        raise ValueError(f"`lr` must hold numbers: got {lr!r:.40} ({error}). Pass a list of n LRs.") from error
    if y.ndim != 1 or not len(y):
        raise ValueError(f"`lr` must hold one LR a step: got shape {y.shape}. Pass a list of n LRs.")
    if not np.all(np.isfinite(y)) or np.any(y < 0):
        bad = int(np.flatnonzero(~np.isfinite(y) | (y < 0))[0])
        raise ValueError(
            f"`lr` must be finite and not negative: got {y[bad]} at step {bad + 1}. Pass the LR of each step."
        )
    return y
