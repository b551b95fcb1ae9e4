r"""Forecast of a validation loss that has turned up: it goes on rising, with a slope that drifts.

The law of the run knows a rise only as a slope a doubling, and the rate of exchange leans on a train loss whose own
forecast levels off, while a network that learns by heart takes it to zero. What is seen of such runs is simpler:
from its lowest on the loss rises steadily, in between the steps and their logarithm, whatever the learning rate does.

    v(s) = level + slope u + integral of a random walk over u + a random walk,     u = (s/s_now)^p / p

The first walk is of the slope; the second one of the level, for a loss that jumps says little of its slope. At given
sizes of both that is a Gaussian in closed form; five pairs are mixed by their evidence. A loss that is level has its
lowest anywhere, so eight points at least are asked: from the newest three alone it might as well jump.

Source: own model; the walk of the slope is the prior of a smoothing spline (Wahba 1978).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from curvecast.curve import Bins, FloatArray
from curvecast.decisions.exchange import astray, inverse_roots, thinned

_POWER = 0.25  # the clock's power of the steps: 0 would be their logarithm, 1 the steps themselves
# Pairs of walks over a square root of u, relative to the level: of the slope, and of the level itself.
_WALKS = np.array([0.05, 0.15, 0.5, 0.05, 0.05])[:, None, None]
_JUMPS = np.array([0.0, 0.0, 0.0, 0.1, 0.5])[:, None, None]
_LOG_ODDS = np.log([8.0, 8.0, 4.0, 2.0, 1.0])  # prior odds of the pairs: few losses change their slope or level fast
_LEVEL_SD, _SLOPE_SD = 1.0, 0.3  # prior standard deviations, as shares of the level
_WANDER = 0.003  # standard deviation of what validation does on its own, as a share of the level
_UNKNOWN_NOISE = 0.02  # standard deviation of a validation whose noise is unknown, as a share of the level
_LEAST, _ENOUGH = 3, 8  # a slope and its drift need so many points; so many tell how large walks are
_LEAST_LEVEL = 1e-100


@dataclass(frozen=True, slots=True, eq=False)
class Rise:
    """The validation loss from the newest one on, given that it has turned up: one Gaussian for each pair of walks.

    Args:
        step: Step of the newest validation [steps].
        unit: Loss that 1.0 stands for [loss unit].
        weight: ``(K,)`` probability of each pair.
        mean: ``(2, K)`` level and slope there.
        cov: ``(3, K)`` variance of the level, covariance, variance of the slope.
    """

    step: float
    unit: float
    weight: FloatArray
    mean: FloatArray
    cov: FloatArray

    def moments(self, step: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(K, m)`` mean and standard deviation at ``(m,)`` steps, from the newest validation on [loss unit]."""
        u = np.maximum(clock(step / self.step), 0.0)
        level, slope = self.mean[:, :, None]
        var, cross, of_slope = self.cov[:, :, None]
        walks = _WALKS[:, 0] ** 2 * u**3 / 3.0 + _JUMPS[:, 0] ** 2 * u
        variance = var + 2.0 * cross * u + of_slope * u * u + walks + _WANDER**2
        return (level + slope * u) * self.unit, np.sqrt(variance) * self.unit


def rise(val: Bins) -> Rise | None:
    """What the validation losses from the lowest on tell of the rise.

    Args:
        val: Validation loss, at least three bins.

    Returns:
        ``None`` where losses are not positive, or too far apart for floats.

    Example:
        >>> step = np.arange(1.0, 41.0) * 50
        >>> val = Bins(step, 2.0 + 0.4 * np.abs(np.log(step / 700)), np.ones(40), 1e-6)
        >>> found = rise(val)
        >>> mean, sd = found.moments(np.array([4000.0]))
        >>> bool(abs(found.weight @ mean - (2.0 + 0.4 * np.log(4000 / 700))) < 2.0 * sd.max())
        True
    """
    step, loss, count = thinned(val)
    unit = float(loss[-1])
    if not (len(step) >= _LEAST and float(loss.min()) > _LEAST_LEVEL):
        return None
    first = _turn(loss)
    u, y = clock(step[first:] / step[-1]), loss[first:] / unit
    noise = (_UNKNOWN_NOISE**2 if math.isnan(val.noise) else val.noise / unit**2) / count[first:] + _WANDER**2
    x = u - u[0]
    shorter, longer = np.minimum(x[:, None], x), np.maximum(x[:, None], x)
    walk = _WALKS**2 * (shorter**2 * (3.0 * longer - shorter) / 6.0) + _JUMPS**2 * shorter
    prior = _LEVEL_SD**2 + _SLOPE_SD**2 * x[:, None] * x + walk
    with_slope = _SLOPE_SD**2 * x + _WALKS[:, 0] ** 2 * x * x / 2.0  # (K, n) of the loss with the slope at the newest
    asked = np.empty((*with_slope.shape, 3))
    asked[:, :, 0], asked[:, :, 1], asked[:, :, 2] = y - y[0], prior[:, :, -1], with_slope
    seen = prior.copy()
    seen.reshape(len(seen), -1)[:, :: len(y) + 1] += noise
    if (root := inverse_roots(seen)) is None:
        return None
    half = root @ asked
    both = half.swapaxes(1, 2) @ half  # (K, 3, 3)
    log = _LOG_ODDS + np.add.reduce(np.log(root.diagonal(axis1=1, axis2=2)), axis=1) - 0.5 * both[:, 0, 0]
    weight = np.exp(log - log.max())
    of_slope = _SLOPE_SD**2 + _WALKS[:, 0, 0] ** 2 * x[-1]
    before = np.array([prior[:, -1, -1], with_slope[:, -1], of_slope])
    cov = before - np.array([both[:, 1, 1], both[:, 1, 2], both[:, 2, 2]])
    mean = both[:, 1:, 0].T + np.array([[y[0]], [0.0]])
    return Rise(float(step[-1]), unit, weight / weight.sum(), mean, cov)


def clock(share: FloatArray) -> FloatArray:
    """How far a rise has gone, from 0 on, at a step as a share of that of its beginning."""
    return np.asarray((share**_POWER - 1.0) / _POWER)


def _turn(loss: FloatArray) -> int:
    """Index of the lowest, single ones gone astray left out, and early enough that the walks can be seen."""
    smooth = loss.copy()
    smooth[1:-1] -= astray(loss)
    return max(min(int(smooth.argmin()), len(loss) - _ENOUGH), 0)
