"""A learning rate as it was logged, made ready to be recognised. Private to `curvecast.infer`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curvecast.infer.decays import Points
from curvecast.schedule.knots import FloatArray

TOLERANCE = 2e-3  # sd of one logged LR [of peak]: rounding, jitter, and what knots leave out
INDEPENDENT = 16.0  # a log counts as so many independent samples, since neighbouring errors are alike
VISIBLE = 3.0 * TOLERANCE  # a smaller fall is not seen [of peak]

_THINNED, _EARLY = 256, 64  # samples that are kept of a longer log, and how many of them are denser at its start
_JUMPS = 16  # so many largest jumps survive thinning, with the samples on both sides
_MANY = 32  # with fewer samples, or unevenly spaced ones, bends cannot be told from jitter
_POINTS = 40  # that plans are fitted to
_BEFORE = 10  # where the LR has begun to fall, so many of these samples lie before that


@dataclass(frozen=True, slots=True)
class Log:
    """A log in units of the peak that its plan has, or will have.

    Args:
        steps: ``(n,)`` steps, thinned.
        lr: ``(n,)`` relative LRs; jitter may lift one a little above 1.
        warm: step at which the warm-up ends; the last one, at the peak, where that is yet to come.
        horizon: last planned step, at least the last one seen; None where unknown.
    """

    steps: FloatArray
    lr: FloatArray
    warm: float
    horizon: float | None

    @property
    def now(self) -> float:
        """The last step seen or, in a warm-up, the one at which it is supposed to end."""
        return float(self.steps[-1])

    @property
    def span(self) -> float:
        """Steps since the end of the warm-up: the unit of time of a plan."""
        return max(self.now - self.warm, 1.0)

    def time(self, step: float) -> float:
        """Where a step lies, in plans' time."""
        return (step - self.warm) / self.span

    def step(self, time: float) -> float:
        """The step at a plan's time."""
        return self.warm + self.span * time

    def decay(self) -> tuple[FloatArray, FloatArray]:
        """Steps and LRs from the end of the warm-up on, at least one."""
        after = self.steps >= min(self.warm, self.now)
        return self.steps[after], self.lr[after]


def clean(lr: ArrayLike, steps: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    """Steps and LRs as arrays; without those that are negative or not finite.

    Raises:
        ValueError: if shapes differ, or steps are not whole or do not increase from 1 or later.
    """
    y = np.asarray(lr, dtype=np.float64)
    t = np.arange(1.0, y.size + 1.0) if steps is None else np.asarray(steps, dtype=np.float64)
    if y.ndim != 1 or t.shape != y.shape:
        raise ValueError(
            f"`lr_so_far` and `steps` must be of one length: got shapes {y.shape}, {t.shape}. Pass the LR of each step."
        )
    if len(t) and not (t[0] >= 1 and np.all(np.diff(t) > 0) and np.all(t == np.floor(t))):
        raise ValueError(
            f"`steps` must be whole numbers that increase strictly from 1 or later: got {t[0]:g} to {t[-1]:g}. "
            "Sort them, and count completed steps from 1."
        )
    good = np.isfinite(y) & (y >= 0)
    return t[good], y[good]


def read(t: FloatArray, y: FloatArray, horizon: float | None) -> Log:
    """The log of at least one LR, one of them positive."""
    kept, peak = _thin(y), _peak(t, y)
    t, y = t[kept], y[kept] / peak
    warm, rising = _warm_up(t, y)
    planned = None if horizon is None else max(float(horizon), float(t[-1]))
    if rising and planned is not None:
        t, y = _risen(t, y, warm, planned)
    return Log(t, y, float(t[-1]) if rising else warm, planned)


def points_of(log: Log) -> Points:
    """The samples since the warm-up that plans have to meet, evenly over time, most of them in the decay.

    Where samples are sparse, lines between them stand in; how far the LR may bend away from a line is read off
    its neighbours.
    """
    t, y = log.decay()
    x = (t - log.warm) / log.span
    if len(x) == 1:
        return Points(np.zeros(1), y, np.full(1, TOLERANCE**-2))
    low = np.flatnonzero(y < 1.0 - VISIBLE)
    onset = float(x[max(low[0] - 1, 0)]) if len(low) else 1.0
    if 0.0 < onset < 1.0:
        at = np.append(np.linspace(x[0], onset, _BEFORE), np.linspace(onset, 1.0, _POINTS - _BEFORE + 1)[1:])
    else:
        at = np.linspace(x[0], 1.0, _POINTS)
    return _sampled(x, y, at)


def _sampled(x: FloatArray, y: FloatArray, at: FloatArray) -> Points:
    """The samples next to `at`, or points of the lines between them where none is near."""
    k = np.clip(np.searchsorted(x, at), 1, len(x) - 1)
    nearest = np.where(at - x[k - 1] < x[k] - at, k - 1, k)
    gaps = np.diff(at)
    is_near = np.abs(x[nearest] - at) <= 0.5 * np.maximum(np.append(gaps, gaps[-1]), np.append(gaps[0], gaps))
    at = np.where(is_near, x[nearest], at)
    doubt = np.where(is_near, 0.0, _bend(x, y, at, k - 1))
    variance = TOLERANCE**2 + doubt**2
    return Points(at, np.interp(at, x, y), INDEPENDENT / len(at) / variance)


def _bend(x: FloatArray, y: FloatArray, at: FloatArray, j: NDArray[np.intp]) -> FloatArray:
    """How far the neighbouring lines, drawn on, lie from line `j` at `at`: the nearer of the two."""
    slope = np.diff(y) / np.diff(x)
    before, after = slope[np.maximum(j - 1, 0)], slope[np.minimum(j + 1, len(slope) - 1)]
    left = np.abs(before - slope[j]) * (at - x[j])
    right = np.abs(after - slope[j]) * (x[j + 1] - at)
    return np.asarray(np.minimum(left, right))


def _thin(y: FloatArray) -> NDArray[np.intp]:
    if len(y) <= _THINNED:
        return np.arange(len(y))
    even = np.linspace(0, len(y) - 1, _THINNED - _EARLY)
    early = np.geomspace(1, len(y), _EARLY) - 1
    jumps = np.argpartition(np.abs(np.diff(y)), -_JUMPS)[-_JUMPS:]
    return np.unique(np.concatenate([np.round(even), np.round(early), jumps, jumps + 1, [y.argmax()]])).astype(np.intp)


def _peak(t: FloatArray, y: FloatArray) -> float:
    """The highest LR, less what jitter has added to it; jitter is read off fourth differences past the warm-up."""
    top = float(y.max())
    begin = int(np.argmax(y >= 0.99 * top))
    t, y = t[begin : begin + _THINNED], y[begin : begin + _THINNED]
    if len(y) < _MANY or np.ptp(np.diff(t)) > 0:
        return top
    jitter = float(np.median(np.abs(np.diff(y, 4)))) / (0.6745 * math.sqrt(70.0))
    return top - min(2.5 * jitter, 2.0 * TOLERANCE * top)


def _warm_up(t: FloatArray, y: FloatArray) -> tuple[float, bool]:
    """The step at which the warm-up ends, and whether that is still to come."""
    first = int(np.argmax(y >= 1.0 - 2.0 * TOLERANCE))
    if first == 0:
        return float(t[0]), False
    last, half = first - 1, int(np.argmax(y >= 0.5))
    slope = (y[last] - y[half]) / (t[last] - t[half]) if half < last else y[last] / t[last]
    if first == len(y) - 1 or not slope > 0:
        return float(t[first]), first == len(y) - 1
    top = np.flatnonzero(y >= 1.0 - 0.5 * TOLERANCE)
    end = min(float(t[last]) + (1.0 - float(y[last])) / float(slope), float(t[top[0]]) if len(top) else float(t[first]))
    return max(end, float(t[last])), False


def _risen(t: FloatArray, y: FloatArray, warm: float, horizon: float) -> tuple[FloatArray, FloatArray]:
    """The log with a supposed rest of its warm-up.

    Of a duration of which nothing is known, as much is to come as has passed; hardly one takes more than a tenth
    of the run, so one that does may end at any time.
    """
    end = min(round(min(2.0 * warm, max(1.1 * warm, 0.1 * horizon))), horizon)
    if end <= t[-1]:
        return t, y
    top = float(y[-1] + (y[-1] - y[-2]) / (t[-1] - t[-2]) * (end - t[-1]))
    return np.append(t, end), np.append(y / top, 1.0)
