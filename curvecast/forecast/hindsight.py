"""A run that was lately forecast too high or too low may go on so, and its own past says by how much."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from curvecast.curve import Bins
from curvecast.fit.basis import Timeline
from curvecast.fit.posterior import Posterior
from curvecast.forecast.distribution import Forecast, Target
from curvecast.forecast.futures import over

_TINY = 1e-9  # probabilities are kept so far from 0 and 1
_NEWEST = 2  # what came is the mean of so many newest bins: a single batch's loss is noise
_MOST = 4.0  # a miss by more standard deviations than this tells no more
# Where misses go on, by hand, in view of small and open sets (docs/log.md).
_MOVED = 0.6  # of the miss a forecast is moved by
_MOST_MOVED = 2.0  # standard deviations: a larger miss moves it as this one does
_WIDTH = 0.8  # over that of the forecast, where the miss was one standard deviation
_ENDS = np.array([0.1587, 0.5, 0.8413])  # quantiles at one standard deviation of a Gaussian to each side


def missed(then: Posterior, timeline: Timeline, came: Bins, seen: Bins, *, of: Target, floor: float) -> float | None:
    """How far above its forecast a loss has come, in standard deviations of it, as a Gaussian's.

    Args:
        then: The fit at a milestone.
        timeline: The law's clock as it is known now: what the learning rate has done since is no miss.
        came: The loss up to now; ``None`` comes back where none came since.
        seen: The loss up to that milestone.
        of: Which loss.
        floor: No loss lies below it [loss unit].
    """
    since = slice(max(len(seen), len(came) - _NEWEST), None)
    count = came.count[since]
    if not len(count):
        return None
    share = count / np.add.reduce(count)
    at, loss = float(share @ came.step[since]), float(share @ came.mean[since])
    ahead = over(((1.0, timeline),), then, at, of=of, floor=floor, logged=seen)
    return float(ndtri(np.clip(ahead.probability_below(loss), _TINY, 1.0 - _TINY)))


def come(bins: Bins) -> Bins:
    """The bins without the newest one as long as it holds fewer losses than the one before: what fills it is awaited.

    Example:
        >>> [len(come(Bins(np.ones(2), np.ones(2), np.array(count), 0.0))) for count in ([1, 1], [9, 8])]
        [2, 1]
    """
    if len(bins) < 2 or bins.count[-1] >= bins.count[-2]:
        return bins
    return Bins(bins.step[:-1], bins.mean[:-1], bins.count[:-1], bins.noise)


def going_on(ahead: Forecast, miss: float, probability: float, now: float) -> Forecast:
    """The forecast and, beside it, the same moved as one misses that goes on as it did.

    The larger the miss, the wider: the scale of a Gaussian of which one draw is known, beside one that was as expected.

    Args:
        ahead: What is forecast of ``(m,)`` steps.
        miss: As ``missed`` gives it.
        probability: That it goes on.
        now: Last step seen: what lies before it stays as it is [steps].

    Example:
        >>> one = np.ones((1, 1))
        >>> ahead = Forecast(200.0, "val", one, 2.0 * one, 0.1 * one)
        >>> [round(going_on(ahead, miss, 0.5, 100.0).median, 3) for miss in (0.0, 1.0, 8.0)]
        [2.0, 2.033, 2.036]
        >>> going_on(ahead, 1.0, 0.5, 201.0).median
        2.0
    """
    low, middle, high = ahead.mixture.about(_ENDS)
    width = _WIDTH * math.sqrt(0.5 + 0.5 * min(abs(miss), _MOST) ** 2)
    moved = _MOVED * min(max(miss, -_MOST_MOVED), _MOST_MOVED) * 0.5 * (high - low)
    means = middle + moved + width * (ahead.means - middle)
    going = probability * (np.asarray(ahead.step) >= now) * ahead.weight
    weight = np.concatenate([ahead.weight - going, going])
    means, stds = np.concatenate([ahead.means, means]), np.concatenate([ahead.stds, width * ahead.stds])
    return Forecast(ahead.step, ahead.of, weight, means, stds, ahead.floor)
