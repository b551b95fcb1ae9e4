"""The divergence alarm: a few comparisons a sample, so that a run that blows up is seen at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from curvecast.curve import Bins, FloatArray

HUGE = 1e100  # no loss is as large: its square would overflow
_LENIENCE = 5.0  # a lenient alarm must be exceeded so many times longer: early spikes last long by that measure
_NOISES = 8.0  # the alarm is set so many standard deviations of a sample above the level, or a share of the level
# That share: of a train loss, and of a validation loss alone, which overfitting may lift; and the least height.
LEAST_SHARE, _SHARE_OF_VALIDATION, _LEAST = 0.1, 0.5, 1e-12
_SETTINGS = ("patience", "persistence", "samples")
_LONG = 9  # fewer bins do not show where a loss is heading
_FELL, _FELL_NOISES = 0.05, 3.0  # a loss falls at first, by more than this share of its later rise or so many noises
RISING = " It has risen from the first sample on: a metric of which more is better, such as accuracy, is no loss."
"""Said where `rises_throughout`."""


class Alarm:
    """Watches one loss series for non-finite values and for a level that is left and not found again.

    ``arm`` sets the level and the height of the alarm; samples above it are held back from the curve until
    the run has come back (then it was a spike) or has stayed above for long enough (then it has diverged). What was
    held back stays out of the curve: the forecast of a diverged run is the one it had before.

    Args:
        patience: Non-finite samples in a row that count as divergence.
        persistence: Share of the steps done that a run must stay above the alarm.
        samples: Least number of samples above the alarm, in a row.

    Example:
        >>> alarm = Alarm()
        >>> alarm.arm(level=2.0, height=0.5)
        >>> [alarm.admits(step, loss) for step, loss in ((100, 2.1), (101, 9.0), (102, 2.0))]
        [True, False, True]
        >>> alarm.diverged, alarm.spikes
        (False, 1)
    """

    __slots__ = (
        "first_high",
        "height",
        "high",
        "lenient",
        "level",
        "nonfinite",
        "patience",
        "persistence",
        "rising",
        "samples",
        "spikes",
        "step",
        "worst",
    )

    def __init__(self, *, patience: int = 5, persistence: float = 0.02, samples: int = 8) -> None:
        self.patience, self.persistence, self.samples = patience, persistence, samples
        self.level, self.height = math.nan, math.inf
        self.nonfinite = self.high = self.spikes = self.first_high = self.step = 0
        self.worst = -math.inf
        self.lenient = self.rising = False

    def arm(self, *, level: float, height: float, lenient: bool = False) -> None:
        """Set the level that the run has reached, and how far above it the alarm hangs [loss unit].

        A lenient alarm takes a level that is left for long as a new one: early on a loss may well rise.
        """
        self.level, self.height, self.lenient = level, height, lenient

    def arm_above(self, bins: Bins, *, may_rise: bool, lenient: bool) -> None:
        """Hang it above the best level that a series has reached for good.

        Args:
            bins: The series, at least one bin.
            may_rise: Whether it may rise by overfitting, as a validation loss does.
            lenient: As in ``arm``: a warm-up, or a fine-tuned start, may well rise first.
        """
        level, height = alarm_at(bins, may_rise=may_rise, lenient=lenient)
        self.arm(level=level, height=height, lenient=lenient)
        self.rising = rises_throughout(bins)

    def admits(self, step: int, loss: float) -> bool:
        """Whether a sample belongs to the curve; takes note of it either way."""
        self.step = step
        if not -HUGE < loss < HUGE:  # NaN and infinities among them
            self.nonfinite += 1
            return False
        self.nonfinite = 0
        if not loss > self.level + self.height:
            if self.high:
                self.spikes += 1
                self.high = 0
            return True
        if not self.high:
            self.first_high, self.worst = step, float(loss)
        self.high += 1
        if self.lenient and self._has_left:
            self.height, self.high = math.inf, 0
            return True
        self.worst = max(self.worst, float(loss))
        return False

    @property
    def diverged(self) -> bool:
        """Whether the run has left its level for good."""
        if self.nonfinite >= self.patience:
            return True
        return self._has_left and not self.lenient

    @property
    def _has_left(self) -> bool:
        least = self.persistence * (_LENIENCE if self.lenient else 1.0) * self.step
        return self.high >= self.samples and self.step - self.first_high >= least

    def __copy__(self) -> Alarm:
        twin = object.__new__(Alarm)  # what `copy` itself would do takes five times as long, at every verdict
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {name: getattr(self, name) for name in self.__slots__ if name not in _SETTINGS}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave; what is garbled raises."""
        for name in self.state_dict():
            value = state[name]
            if not isinstance(value, int | float):
                raise TypeError(f"{value!r:.40} for the alarm's {name}")
            float(value)  # raises, too, where no float can hold it
            setattr(self, name, value)


def alarm_share(*, may_rise: bool, lenient: bool) -> float:
    """How far above the level an alarm hangs at least, as a share of it."""
    return 1.0 if lenient else _SHARE_OF_VALIDATION if may_rise else LEAST_SHARE


def alarm_at(bins: Bins, *, may_rise: bool, lenient: bool) -> tuple[float, float]:
    """The best level that a series has reached for good, and how far above it the alarm hangs [loss unit]."""
    level = float(np.min(bins.mean[len(bins) // 2 :]))
    noise = 0.0 if math.isnan(bins.noise) else math.sqrt(bins.noise)
    spread = _spread(bins.mean)
    share = alarm_share(may_rise=may_rise, lenient=lenient)
    return level, max(_NOISES * noise, share * max(abs(level), spread), _LEAST)


def _spread(values: FloatArray) -> float:
    """From the first to the last decile, as ``np.quantile`` has them, which takes ten times as long."""
    last = len(values) - 1
    low, high = np.interp([0.1 * last, 0.9 * last], np.arange(last + 1.0), np.sort(values)).tolist()
    return float(high - low)


def rises_throughout(bins: Bins) -> bool:
    """Whether a series has risen since its first sample, third by third, as no loss of a run that learns does.

    Example:
        >>> step = np.arange(1.0, 31.0)
        >>> courses = 1.0 - step**-0.5, step**-0.5, np.abs(step - 10.0), np.abs(step - 2.5)
        >>> [rises_throughout(Bins(step, course, np.ones(30), 0.0)) for course in courses]
        [True, False, False, False]
    """
    if len(bins) < _LONG or int(bins.mean.argmin()) >= len(bins) // _LONG:
        return False
    lowest, noise = float(bins.mean.min()), 0.0 if math.isnan(bins.noise) else math.sqrt(bins.noise)
    if float(bins.mean[0]) - lowest > min(_FELL * (float(bins.mean.max()) - lowest), _FELL_NOISES * noise):
        return False
    first, middle, last = (float(part.mean()) for part in np.array_split(bins.mean, 3))
    return first < middle < last
