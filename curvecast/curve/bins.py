"""A loss series as it is read: in log-spaced bins, with the noise of one of its samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from curvecast.curve.sample import FloatArray

BINS_PER_DECADE = 48
ON_AN_EDGE = 1e-9  # share of a bin: a step closer to an edge than this lies on it, whatever rounding says
_BEGUN = 0.5  # a bin with less than this share of the losses of the bin before has only begun
# A bin gone astray: of so many bins at least, so many standard deviations off, and by so much of the lowest loss; its
# neighbours differ by less than a fourth of that.
_TELLING, _NOISES, _ALONE, _AGREE = 6, 8.0, 0.1, 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """A series in log-spaced bins, oldest first.

    Args:
        step: ``(n,)`` mean step of each bin [steps].
        mean: ``(n,)`` mean loss of each bin [loss unit].
        count: ``(n,)`` samples in each bin.
        noise: Variance of a single sample around the trend [loss unit squared]; NaN where it is unknown.

    Example:
        >>> from curvecast.curve import Series
        >>> series = Series()
        >>> for step in range(1, 100_001):
        ...     series.add(step, 2.0 + 3.0 * step**-0.5)
        >>> bins = series.bins()
        >>> len(bins) < 300, int(bins.count.sum())
        (True, 100000)
    """

    step: FloatArray
    mean: FloatArray
    count: FloatArray
    noise: float

    def settled(self) -> Bins:
        """These bins, the newest one joined to the one before if it has only begun.

        A bin of a few losses beside bins of many is as noisy as a single loss, and would be taken for a turn.
        """
        if len(self) < 2 or self.count[-1] >= _BEGUN * self.count[-2]:
            return self
        joined = self.count[-2:]
        share = joined / joined.sum()
        step, mean = (np.append(each[:-2], each[-2:] @ share) for each in (self.step, self.mean))
        return Bins(step, mean, np.append(self.count[:-2], joined.sum()), self.noise)

    def sound(self) -> Bins:
        """These bins without any that has gone astray, as an evaluation may that went wrong.

        Such a one stands alone, far from two neighbours that agree; or it is the newest, and leaps up from the others:
        once the next one is as high, it counts. These bins themselves where all are sound.

        Example:
            >>> step, ones = np.arange(1.0, 10.0), np.ones(9)
            >>> for losses in (3.0 - 0.1 * step, np.where(step == 5, 9.0, 3.0), np.where(step > 7, 9.0, 3.0)):
            ...     print([len(Bins(step[:n], losses[:n], ones[:n], 1e-4).sound()) for n in (5, 6, 8, 9)])
            [5, 6, 8, 9]
            [5, 5, 7, 8]
            [5, 6, 7, 9]
        """
        mean, rises = self.mean, self.mean[1:] - self.mean[:-1]
        if len(self) < _TELLING:
            return self
        low = float(np.minimum.reduce(mean))
        far = _ALONE * (abs(low) if low > 0.0 else float(np.maximum.reduce(mean)) - low)
        if not float(np.maximum.reduce(rises)) > far:  # the usual case, and quickly seen
            return self
        return _without_astray(self, far)

    def __len__(self) -> int:
        return len(self.step)


def bin_of(step: float) -> int:
    """Number of the bin that a step falls into: that which begins at ``10**(k / 48)`` is the ``k``-th.

    Example:
        >>> [bin_of(step) for step in (1, 10, 10.4, 10.5, 1000)]
        [0, 48, 48, 49, 144]
    """
    return math.floor(BINS_PER_DECADE * math.log10(step) + ON_AN_EDGE)


NO_BINS = Bins(np.empty(0), np.empty(0), np.empty(0), math.nan)


@lru_cache(maxsize=32)  # a fit and a verdict ask for the same, and what they work out is kept by what they were given
def _without_astray(bins: Bins, far: float) -> Bins:
    """The bins but for those astray, of which a loss must be so far off at least; the same where there is none."""
    mean, x, noises = bins.mean, np.log(bins.step), _NOISES * np.sqrt(np.nan_to_num(bins.noise) / bins.count)
    line = mean[:-2] + (mean[2:] - mean[:-2]) * (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    off = np.abs(mean[1:-1] - line)
    astray = np.zeros(len(bins), dtype=np.bool_)
    astray[1:-1] = (off > np.maximum(far, noises[1:-1])) & (_AGREE * np.abs(mean[2:] - mean[:-2]) < off)
    before, newest = mean[-2] - mean[-3], mean[-1] - mean[-2]
    leap = float(newest - 2.0 * max(before, 0.0))  # a rise may well go on, and quicken
    astray[-1] = not astray[-2] and leap > max(far, float(noises[-1]))
    kept = ~astray
    return Bins(bins.step[kept], mean[kept], bins.count[kept], bins.noise) if astray.any() else bins
