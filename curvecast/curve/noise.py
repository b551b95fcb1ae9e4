"""The noise of one sample of a loss, read off second differences, which a smooth trend leaves almost untouched."""

from __future__ import annotations

import math

import numpy as np

from curvecast.curve.bins import BINS_PER_DECADE
from curvecast.curve.sample import FloatArray

NOISE_DOUBT = 10.0  # a variance read off few samples is more likely too small, and that is the worse mistake
_NEWEST_BINS, _ENOUGH = 12, 24  # the newest quarter of a decade has a noise of its own, given so many samples
_CALM = 16.0  # ratio of two variances of so many samples that hardly ever comes by chance
_HALVED = 2.0  # a loss that has fallen by a larger factor takes its noise down with it


def noise_of(count: FloatArray, curl: FloatArray, mean: FloatArray) -> float:
    """Variance of one sample around the trend [loss unit squared]; NaN where nothing tells.

    Args:
        count: ``(n,)`` samples in each bin, oldest first.
        curl: ``(n,)`` sums over them of the squares of second differences [loss unit squared].
        mean: ``(n,)`` mean loss of each bin [loss unit].

    Example:
        >>> ones = np.ones(100)
        >>> round(noise_of(24.0 * ones, 24.0 * 6.0 * 0.01 * ones, 2.0 * ones), 3)
        0.01
    """
    noise, newest = _by_median(count, curl) * _quieter(mean[-BINS_PER_DECADE:]), slice(-_NEWEST_BINS, None)
    if len(count) > _NEWEST_BINS and float(count[newest].sum()) >= _ENOUGH:
        noise = _calmed(noise, _by_median(count[newest], curl[newest]))
    return noise


def _calmed(noise: float, of_newest: float) -> float:
    """The variance, or that of the newest bins where it is far smaller: what bends far above is no noise here."""
    return of_newest if 0.0 < _CALM * of_newest < noise else noise


def _quieter(late: FloatArray) -> float:
    """By how much the variance fell with the loss from the middle of the late bins to the newest one.

    Within a factor of two it is hard to tell from a constant one. A loss that falls by decades takes its noise, and
    the bend that second differences of few samples take for noise, down with it.
    """
    if len(late) == 0 or not (float(late[-1]) > 0.0 and float(np.minimum.reduce(late)) >= 0.0):
        return 1.0
    middle = _median(late)
    return min(_HALVED * float(late[-1]) / middle, 1.0) ** 2 if middle > 0.0 else 1.0


def _by_median(count: FloatArray, curl: FloatArray) -> float:
    """Variance of one sample: the median over the late bins, so that spikes and the steep start do not count."""
    late = slice(-BINS_PER_DECADE, None)
    per_bin = curl[late] / (6.0 * count[late])  # Var[y - 2y' + y''] = 6 sigma^2
    per_bin = per_bin[per_bin > 0.0]
    if len(per_bin) == 0:  # not a single wiggle: too few samples, or a loss that is constant
        return math.nan if count.sum() < NOISE_DOUBT else 0.0
    # A chi-squared of few degrees of freedom has its median well below its mean; a bin of one sample has one.
    freedom = _median(count[late])
    median = _median(per_bin) / (1.0 - 2.0 / (9.0 * freedom)) ** 3
    return median * (1.0 + NOISE_DOUBT / float(count[late].sum()))


def _median(values: FloatArray) -> float:
    """Of a few values, for which ``np.median`` takes ten times as long."""
    ranked, half = sorted(values.tolist()), len(values) // 2
    return float(ranked[half]) if len(values) % 2 else 0.5 * float(ranked[half - 1] + ranked[half])
