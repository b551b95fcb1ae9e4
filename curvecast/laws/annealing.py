"""What the drops of a planned learning rate take off the loss, at the cost of the schedule's knots."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from curvecast.laws.base import FloatArray
from curvecast.schedule import Schedule

_FINEST = 1 / 64  # drop of relative LR that one midpoint stands for
_LEAST_LR = 1e-3
_CHUNK = 2_000_000  # entries of the (drops, steps) table held at once: 16 MB


def annealing_gain(
    schedule: Schedule, steps: ArrayLike, *, beta: float, C: float, gamma: float, power: float = 1.0
) -> FloatArray:
    r"""Annealing term of the multi-power law in relative learning rates, without its factor ``B``.

    .. math:: z(t) = \int^t G\!\left(\eta^{-\gamma}\,[S_1(t) - S_1]\right) (-d\eta^p),
              \quad G(x) = 1 - (1 + C x)^{-\beta}

    The integral runs along the schedule up to step ``t`` by the midpoint rule, on pieces that drop by at most
    1/64 of the peak. Rises count negatively, except those of the warm-up (up to the first drop), which
    are left out. Below ``eta = 0.001`` its power is held, so that a decay to zero stays finite.

    Args:
        schedule: relative LRs.
        steps: ``(m,)`` [steps].
        beta: exponent of ``G``, > 0 [1].
        C: rate of ``G`` per step at peak LR, > 0 [1/step]; from absolute units ``C eta_peak^(1 - gamma)``.
        gamma: how much faster a drop at low LR acts [1].
        power: ``p``, of the relative LR whose drops count; the law has 1, and below it the last drops count most [1].

    Returns:
        ``(m,)``: at most the drop of relative LR (to its power) so far; 0 while the LR is constant.

    Raises:
        ValueError: if `beta` or `C` is not positive.

    Example:
        >>> plan = Schedule.wsd(10_000, warmup=100, decay=0.2)
        >>> annealing_gain(plan, [5000, 8000, 9000, 10_000], beta=0.6, C=0.11, gamma=0.64).round(2).tolist()
        [0.0, 0.0, 0.43, 0.83]

    Source: Luo et al. 2025, arXiv:2503.12811, the loss-reduction term LD, rescaled to a peak LR of 1;
    `curvecast.laws.multi_power.loss_drop` is the same sum step by step.
    """
    if not (beta > 0 and C > 0 and power > 0):
        raise ValueError(f"`beta`, `C` and `power` must be positive: got beta={beta}, C={C}, power={power}.")
    t = np.atleast_1d(np.asarray(steps, dtype=np.float64))
    edges = _pieces(schedule)
    now = _summed(schedule, t)
    z = np.zeros(len(t))
    if len(edges) < 2:
        return z
    left, right = edges[:-1], edges[1:]
    drop, weight, since = _midpoints(schedule, left, right, gamma, power)
    for part in _chunks(len(t), len(left)):
        x = weight[:, None] * np.maximum(now[part] - since[:, None], 0.0)
        gain = -np.expm1(-beta * np.log1p(C * x))
        z[part] = np.einsum("k,km->m", drop, np.where(right[:, None] <= t[part], gain, 0.0))
    inside = (t > edges[0]) & (t < edges[-1])
    t = t[inside]
    start = edges[np.searchsorted(edges, t, side="right") - 1]
    drop, weight, since = _midpoints(schedule, start, t, gamma, power)
    z[inside] -= drop * np.expm1(-beta * np.log1p(C * weight * np.maximum(now[inside] - since, 0.0)))
    return z


@lru_cache(maxsize=16)
def _pieces(schedule: Schedule) -> FloatArray:
    """Steps that cut the schedule, after its warm-up, into pieces fine in LR but not finer than a step."""
    s, y = schedule.knots
    falls = np.flatnonzero(np.diff(y) < 0)
    if not len(falls):
        return s[:0]
    s, y = s[falls[0] :], y[falls[0] :]
    count = np.minimum(np.ceil(np.abs(np.diff(y)) / _FINEST), np.ceil(np.diff(s)))
    count = np.maximum(count, 1).astype(np.intp)
    segment = np.repeat(np.arange(len(count)), count)
    share = (np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)) / count[segment]
    return np.append(s[segment] + share * np.diff(s)[segment], s[-1])


def _midpoints(
    schedule: Schedule, left: FloatArray, right: FloatArray, gamma: float, power: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Drop of each piece, to the power, ``eta^-gamma``, and S1 before it.

    The law's sum takes each step's drop at that step's own LR, with S from that step on: half a step later
    than the middle for the one, half a step earlier for the other. A drop within one step comes out exactly.
    """
    middle = (left + right) / 2
    eta = np.maximum(schedule.lr(np.minimum(middle + 0.5, right)), _LEAST_LR)
    since = _summed(schedule, np.maximum(middle - 0.5, left))
    return schedule.lr(left) ** power - schedule.lr(right) ** power, eta**-gamma, since


def _summed(schedule: Schedule, step: FloatArray) -> FloatArray:
    """The sum over whole steps that `Schedule.summed` is the integral of."""
    return np.asarray(schedule.summed(step) + schedule.lr(step) / 2)


def _chunks(columns: int, rows: int) -> list[slice]:
    width = max(1, _CHUNK // max(rows, 1))
    return [slice(k, k + width) for k in range(0, columns, width)]
