"""Continuous ranked probability scores of Gaussians, of their mixtures, and of pools of forecasts (Grimit et al. 2006).

Of any forecast it is ``E|x - came| - E|x - y| / 2``, with ``x`` and ``y`` drawn from it: in the unit of the loss, and 0
for one that was sure and right. Unlike a density it does not ask how far out an odd run lies.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from curvecast.curve import FloatArray


def of_mixture(weight: FloatArray, means: FloatArray, sds: FloatArray, came: float) -> float:
    """The score of a mixture of Gaussians.

    Args:
        weight: ``(K,)``, summing to 1.
        means: ``(K,)``.
        sds: ``(K,)`` standard deviations.
        came: What came.

    Example:
        >>> round(of_mixture(np.ones(1), np.zeros(1), np.ones(1), 0.0), 3)
        0.234
    """
    off = _mean_size(means - came, sds)
    apart = _mean_size(np.subtract.outer(means, means), np.hypot.outer(sds, sds))
    return float(weight @ off - 0.5 * weight @ apart @ weight)


def of_gaussians(means: FloatArray, sds: FloatArray, came: FloatArray) -> FloatArray:
    """The scores of Gaussians, of any shape that goes together."""
    return np.asarray(_mean_size(means - came, sds) - sds / math.sqrt(math.pi))


def of_pools(own: FloatArray, means: FloatArray, sds: FloatArray, pools: FloatArray) -> FloatArray:
    """``(p, n)`` scores of pools of forecasts: below the mean of their own by half of what they lie apart.

    Args:
        own: ``(k, n)`` scores of the forecasts.
        means: ``(k, n)`` their means.
        sds: ``(k, n)`` their standard deviations; how far they lie apart is that of Gaussians.
        pools: ``(p, k)`` the share of each forecast.

    Example:
        >>> means, sds, pools = np.array([[-1.0], [1.0]]), np.full((2, 1), 0.5), np.array([[1.0, 0.0], [0.5, 0.5]])
        >>> of_pools(of_gaussians(means, sds, np.zeros(1)), means, sds, pools).round(2).tolist()
        [[0.73], [0.37]]
    """
    within = 2.0 / math.sqrt(math.pi) * sds
    apart = _mean_size(means[:, None] - means, np.hypot(sds[:, None], sds)) - 0.5 * (within[:, None] + within)
    return np.asarray(pools @ own - 0.5 * np.einsum("pi,ijn,pj->pn", pools, apart, pools))


def _mean_size(mean: FloatArray, sd: FloatArray) -> FloatArray:
    """Expected size of a Gaussian."""
    z = mean / sd
    return np.asarray(sd * math.sqrt(2.0 / math.pi) * np.exp(-0.5 * z * z) + mean * (1.0 - 2.0 * ndtr(-z)))
