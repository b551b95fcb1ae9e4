"""From the forecast of the loss itself to that of what a log will show: one validation, or a mean of train losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from curvecast.curve import BINS_PER_DECADE, NOISE_DOUBT, Bins
from curvecast.forecast.distribution import Forecast

_LEAST = 6  # losses, of which fewer tell no noise
_MOST = 1e100  # times the level: the square of more, as the law may say of the distant past, is no number
_TAIL = 0.01  # of the steps, over which train losses are averaged: a single batch's loss is what nobody asks for


def as_logged(ahead: Forecast, seen: Bins, floor: float = 0.0) -> Forecast:
    """The forecast with the noise of what will be logged beside it.

    That is a single validation, or the mean of the train losses of the last 1 % of the steps, if they go on being
    logged as often. The noise of losses that are all positive goes with them.

    Args:
        ahead: Of the noise-free loss.
        seen: The series, up to now.
        floor: No loss lies below it: 0 where they have a zero [loss unit].

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
    level, variance = float(seen.mean[-1]), np.full(ahead.means.shape, seen.noise / (1.0 + NOISE_DOUBT / late))
    if ahead.of == "train":
        often = float(seen.count.sum()) / max(float(seen.step[-1]), 1.0)
        variance = variance / np.maximum(_TAIL * often * np.atleast_1d(np.asarray(ahead.step, dtype=np.float64)), 1.0)
    if level > 0.0 and floor == 0.0:
        variance = variance * np.square(np.clip(ahead.means, 0.0, _MOST * level) / level)
    return replace(ahead, stds=np.sqrt(ahead.stds * ahead.stds + variance))
