"""From the forecast of the loss itself to that of what a log will show: one validation, or a mean of train losses."""

from __future__ import annotations

import math

import numpy as np

from curvecast.curve import BINS_PER_DECADE, NOISE_DOUBT, Bins
from curvecast.forecast.distribution import Forecast

_LEAST = 6  # fewer losses tell no noise
_TAIL = 0.01  # train losses are averaged over this share of the steps: nobody asks for a single batch's loss


def as_logged(ahead: Forecast, seen: Bins, floor: float = -math.inf) -> Forecast:
    """The forecast with the noise of what will be logged beside it.

    That is a single validation, or the mean of the train losses of the last 1 % of the steps, if they go on being
    logged as often. Where no loss lies below zero the noise goes with them.

    Args:
        ahead: Of the noise-free loss.
        seen: The series, up to now.
        floor: No loss lies below it [loss unit].

    Example:
        >>> one = np.ones((1, 1))
        >>> ahead = Forecast(2000.0, "val", one, 2.0 * one, 0.03 * one)
        >>> step = np.arange(1.0, 21.0) * 50
        >>> noisy = Bins(step, 2.0 + 0.0 * step, np.ones(20), 0.04**2)
        >>> as_logged(ahead, noisy).stds.round(3).tolist(), as_logged(ahead, noisy).median
        ([[0.044]], 2.0)
    """
    late = float(np.add.reduce(seen.count[-BINS_PER_DECADE:]))
    if not (late >= _LEAST and seen.noise > 0.0):
        return ahead
    noise, level = math.sqrt(seen.noise / (1.0 + NOISE_DOUBT / late)), float(seen.mean[-1])
    averaged = 1.0 if ahead.of == "val" else np.sqrt(np.maximum(_TAIL * _often(seen) * np.asarray(ahead.step), 1.0))
    # It is at most as large as the loss itself: the last one may have gone astray.
    share = noise / level if noise < level else 1.0
    sd = share / averaged * np.maximum(ahead.means, 0.0) if floor == 0.0 else noise / averaged
    return Forecast(ahead.step, ahead.of, ahead.weight, ahead.means, np.hypot(ahead.stds, sd), ahead.floor)


def _often(seen: Bins) -> float:
    """Losses a step of late: a log may begin late, or become sparser."""
    step, count = seen.step[-BINS_PER_DECADE:], seen.count[-BINS_PER_DECADE:]
    if len(step) < 2:
        return float(count[0] / step[0])
    return float(np.add.reduce(count[1:]) / (step[-1] - step[0]))
