"""Where to put the knots of a piecewise-linear learning-rate curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
DecayShape = Literal["linear", "cosine", "sqrt", "exponential"]

# 128 pieces keep every decay below within 4e-5 of its peak: far less than a loss curve can tell.
PIECES = 128


def decay_knots(
    start: float, steps: int, *, top: float, floor: float, shape: DecayShape
) -> tuple[FloatArray, FloatArray]:
    """Knots of a decay from `top` at `start` to `floor` at ``start + steps`` (the first knot included).

    Args:
        start: step at which the decay begins [steps].
        steps: its length, at least 1 [steps].
        top: relative LR at `start`, at least `floor`.
        floor: relative LR at the end; must be positive for the exponential shape.
        shape: "sqrt" is ``1 - sqrt(u)``; "exponential" is ``(floor / top) ** u``.

    Returns:
        Steps and relative LRs, each ``(K,)`` with ``K <= 129``.

    Raises:
        ValueError: if the shape is unknown, or exponential with a floor of 0.
    """
    if shape not in get_args(DecayShape):
        raise ValueError(f"`shape` must be one of {', '.join(get_args(DecayShape))}: got {shape!r}.")
    if shape == "exponential" and not floor > 0:
        raise ValueError("`floor` must be positive for an exponential decay: got 0. Pass e.g. floor=0.1.")
    if shape == "linear":
        return np.array([start, start + float(steps)]), np.array([top, floor])
    ratio = floor / top if top > 0 else 1.0
    v = np.linspace(0.0, 1.0, min(PIECES, steps) + 1)
    if shape == "sqrt":
        v = v**4  # the square root bends hard at its start
    elif shape == "exponential" and ratio < 1:
        v = 2 * np.log1p(-v * (1 - np.sqrt(ratio))) / np.log(ratio)  # equal error on every piece
    whole = np.unique(np.round(v * steps))
    u = whole / steps
    if shape == "cosine":
        fall = (1 + np.cos(np.pi * u)) / 2
    elif shape == "sqrt":
        fall = 1 - np.sqrt(u)
    else:
        fall = (ratio**u - ratio) / (1 - ratio) if ratio < 1 else 1 - u
    return start + whole, floor + (top - floor) * fall


def one_a_step(steps: Sequence[float], lrs: Sequence[float]) -> tuple[FloatArray, FloatArray]:
    """Knots without those that a later one of the same step replaces: a warm-up of one step starts at the peak.

    Args:
        steps: ``(K,)`` steps that do not fall.
        lrs: ``(K,)`` relative LRs there.

    Example:
        >>> [each.tolist() for each in one_a_step([1, 1, 9], [0.5, 1.0, 0.0])]
        [[1, 9], [1.0, 0.0]]
    """
    at = np.asarray(steps)
    last = np.append(at[1:] > at[:-1], True)
    return at[last], np.asarray(lrs)[last]


def compress(y: FloatArray, tolerance: float, max_knots: int) -> NDArray[np.intp]:
    """Indices to keep so that lines between them stay within `tolerance` of every value of `y`.

    The first, the highest and the last value are kept; the tolerance doubles until `max_knots` are enough.

    Args:
        y: ``(n,)`` values at equally spaced points, ``n >= 1``.
        tolerance: largest absolute error; 0 keeps every bend.
        max_knots: at least 3.

    Returns:
        ``(K,)`` increasing indices.
    """
    top, end = int(np.argmax(y)), len(y) - 1
    while True:
        kept = [0]
        while kept[-1] < end and len(kept) < max_knots:
            stop = top if kept[-1] < top else end
            kept.append(_furthest(y[: stop + 1], kept[-1], tolerance))
        if kept[-1] == end:
            return np.array(kept)
        tolerance = max(2 * tolerance, 1e-9)


def _furthest(y: FloatArray, i: int, tolerance: float) -> int:
    """Last index that a line from `i` reaches with every value between within `tolerance`."""
    slack = tolerance + 1e-12  # what rounding does to values on one exact line
    best, low, high = i + 1, -np.inf, np.inf
    begin, window = i + 1, 64
    while begin < len(y):
        gap = np.arange(begin, min(begin + window, len(y))) - i
        rise = y[i + gap] - y[i]
        lows = np.maximum.accumulate(np.append(low, (rise - slack) / gap))
        highs = np.minimum.accumulate(np.append(high, (rise + slack) / gap))
        good = np.flatnonzero((rise / gap >= lows[:-1]) & (rise / gap <= highs[:-1]))
        if len(good):
            best = begin + int(good[-1])
        low, high = float(lows[-1]), float(highs[-1])
        if low > high:
            break
        begin, window = begin + window, 2 * window
    return best
