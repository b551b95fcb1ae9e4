"""From the forecast of a logarithm to that of the loss, and two forecasts as one."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from curvecast.curve import FloatArray
from curvecast.forecast.distribution import Forecast

_RUNG = 0.25  # standard deviations from one Gaussian to the next: narrow enough for the exponential to be straight
_RUNGS = _RUNG * np.arange(-14, 15)
_BELOW = ndtr(math.sqrt(1.0 - _RUNG**2) * _RUNGS)  # each is as wide as a rung: without that share it would be too wide
_WEIGHT = np.diff(ndtr(np.concatenate([[-np.inf], _RUNGS[:-1] + 0.5 * _RUNG, [np.inf]])))[:, None]
_MOST = 300.0  # e-folds up to which the square of the exponential does not overflow
_NARROWEST = 1e-12  # least standard deviation, as a share of the level
_WIDEST = 1.0  # e-folds squared: of a wider one the exponential would be far above all that was seen


def exponential(ahead: Forecast, unit: float, level: float, highest: float) -> Forecast:
    """The forecast of ``level * exp(unit * (y - 1))``, where one of ``y`` is given: narrow Gaussians at its quantiles.

    Args:
        ahead: The forecast of ``y``.
        unit: E-folds of the loss that 1.0 stands for.
        level: The loss where ``y`` is 1, > 0 [loss unit].
        highest: No loss lies above it [loss unit].

    Example:
        >>> y = Forecast(100.0, "val", np.ones((1, 1)), np.array([[1.0]]), np.array([[0.5]]))
        >>> ends = exponential(y, unit=1.0, level=2.0, highest=10.0).interval(0.9)
        >>> [round(end, 2) for end in (ends.lower, ends.upper)], [round(2.0 * math.exp(z), 2) for z in (-0.822, 0.822)]
        ([0.88, 4.55], [0.88, 4.55])
    """
    log = np.minimum(unit * (ahead.mixture.quantiles(_BELOW) - 1.0), math.log(highest / level))
    variance = np.minimum(np.gradient(log, axis=0) ** 2, _WIDEST)
    means = level * np.exp(np.minimum(log + 0.5 * variance, _MOST))
    stds = np.maximum(means * np.sqrt(np.expm1(variance)), _NARROWEST * level)
    return Forecast(ahead.step, ahead.of, _WEIGHT.repeat(means.shape[1], axis=1), means, stds)


def mixed(*parts: tuple[float | FloatArray, Forecast]) -> Forecast:
    """Forecasts of the same steps as one: each with its probability, and none below the floor of the first.

    Args:
        *parts: A probability, at all steps or ``(m,)``, and a forecast.

    Example:
        >>> one, two = (Forecast(1.0, "val", np.ones((1, 1)), np.array([[m]]), np.array([[0.1]])) for m in (1.0, 3.0))
        >>> mixed((0.75, one), (0.25, two)).mean
        1.5
    """
    weight = np.concatenate([share * one.weight for share, one in parts])
    means, stds = (np.concatenate([getattr(one, name) for _, one in parts]) for name in ("means", "stds"))
    first = parts[0][1]
    return Forecast(first.step, first.of, weight, means, stds, first.floor)
