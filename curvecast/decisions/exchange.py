r"""What a further fall of the train loss does to the validation loss: their rate of exchange.

Early in a run both fall together: the rate is 1. Where a network begins to learn its data by heart, the rate falls,
and below zero every further step that is fitted costs. Decays of the learning rate are traded at that rate too: a run
that learns by heart gains nothing from them.

    v(s) = v(s_0) + sum over the way of  r(s) dt  + wander + noise,     r: a random walk on the logarithmic clock

with ``t`` the train loss, ``v`` the validation loss, each over its own level where the record begins. At a given size
of the noise it is a Gaussian in closed form; a few sizes are mixed by their evidence.

Source: own model. That the gap between both losses is no measure of overfitting: Kaplan et al. 2020, Figure 16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from curvecast.curve import Bins, FloatArray

DECADES = 1.5  # of steps: what lies before says nothing about the rate of exchange
_NEWEST, _PER_DECADE = 10, 10.0  # the newest validations count one by one, those before in groups
_RATE, _RATE_SD = 1.0, 0.5  # of exchange, where the record begins
_WALK = 1.0  # how far the rate wanders over a square root of an e-fold of steps
_TREND_SD = 0.5  # by how much it changes steadily over an e-fold, either way: a run that learns by heart goes on to
_NOISES = (1.0, 0.25, 0.06)  # times the variance that second differences give: of few samples they take a bend for it
_OUTLIER, _IS_OUTLIER = 100.0, 0.05  # times the variance of a validation gone astray; how often the newest has
_WANDER = 0.004  # relative, over a square root of an e-fold: what validation does on its own
_DECAY_SD = 0.15  # of the rate at which a decay's gain is traded, against the rest
_UNKNOWN_NOISE, _LEAST_NOISE = 0.02, 3e-4  # standard deviations, relative
_LEAST_LEVEL, _MOST_FALL = 1e-100, 10.0  # a square of the one is a number; nothing falls by the other times its level
_TINY = 1e-12
_NOISE_SHARE = np.array(_NOISES)[:, None]


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is expected of the train loss, half-way through the rest of the plan and at its end.

    Args:
        step: ``(2,)`` [steps].
        fall: ``(2,)`` change from now on, negative where it falls [loss unit].
        decay: ``(2,)`` the part of it that a falling learning rate brings [loss unit].
    """

    step: FloatArray
    fall: FloatArray
    decay: FloatArray


@dataclass(frozen=True, slots=True)
class Trade:
    """What the rate of exchange says of the validation loss.

    Args:
        behind: Probability that the best lies behind, whatever is left of the plan, because train goes on falling.
        risen: Probability that a validation at the end of the plan stands above the lowest measured by the rise asked.
        end, end_sd: Validation loss at the end of the plan [loss unit].
    """

    behind: float
    risen: float
    end: float
    end_sd: float


def trade(val: Bins, train: Bins, ahead: Ahead, *, best: float, newest: float, min_rise: float) -> Trade | None:
    """Trade the expected fall of the train loss for validation loss.

    Args:
        val: Validation loss, at least one bin.
        train: Train loss, at least one bin.
        ahead: What is expected of the train loss; steps that are not ahead where the plan is done.
        best: Lowest validation loss measured [loss unit].
        newest: Newest validation loss measured [loss unit].
        min_rise: The rise above the lowest that counts, relative.

    Returns:
        ``None`` where the levels are not positive, or nothing is known of the train loss.

    Example:
        >>> from curvecast.curve import Bins
        >>> step = np.arange(1.0, 21.0) * 100
        >>> train = Bins(step, 3.0 * step**-0.3, np.ones(20), 1e-8)
        >>> val = Bins(step, 3.0 * step**-0.3 + 0.15 * np.log2(np.maximum(step / 700, 1.0)), np.ones(20), 1e-6)
        >>> ahead = Ahead(np.array([3000.0, 4000.0]), np.array([-0.035, -0.057]), np.zeros(2))
        >>> found = trade(val, train, ahead, best=val.mean.min(), newest=val.mean[-1], min_rise=0.02)
        >>> round(found.behind, 2), round(found.risen, 2)
        (1.0, 1.0)
    """
    step, v, count = _thinned(val)
    log_train = np.log(train.step)
    t = np.interp(np.log(step), log_train, train.mean)
    t_unit, first = float(t.max()), int(t.argmax())
    v_unit = float(v[first])
    if not (min(t_unit, v_unit) > _LEAST_LEVEL and np.abs(ahead.fall).max() < _MOST_FALL * t_unit):
        return None
    n = len(step)
    y, t = v / v_unit, np.append(t, t[-1] + ahead.fall) / t_unit
    decay = np.append(np.zeros(n), ahead.decay / t_unit)
    clock = np.log(np.append(step, np.maximum(ahead.step, step[-1])))
    noise = (_UNKNOWN_NOISE**2 if math.isnan(val.noise) else val.noise / v_unit**2) / count
    low, mean, cov, weight = _conditioned(y, t, decay, clock - clock[0], noise)
    rise = mean[:, 1:] - mean[:, :1]
    var = cov[:, 1:, 1:].diagonal(axis1=1, axis2=2) + cov[:, :1, 0] - 2.0 * cov[:, 0, 1:]
    behind = np.minimum(
        ndtr((rise / np.sqrt(np.maximum(var, _TINY))).min(axis=1)), _fell(t, n, step, train, t_unit)[low]
    )
    end, end_var = mean[:, -1], np.maximum(cov[:, -1, -1], 0.0)
    goal = (1.0 + min_rise) * best / v_unit
    if ahead.step[-1] > step[-1]:
        risen = ndtr((end - goal) / np.sqrt(np.maximum(end_var + float(noise[-1]), _TINY)))
    else:  # it is measured
        risen = np.full(len(end), float(newest > (1.0 + min_rise) * best))
    middle = float(weight @ end)
    sd = math.sqrt(max(float(weight @ (end_var + (end - middle) ** 2)), 0.0))
    return Trade(float(weight @ behind), float(weight @ risen), middle * v_unit, sd * v_unit)


def _thinned(val: Bins) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Step, mean and count: the newest bins one by one, those before in groups of the logarithmic clock."""
    recent = val.step >= val.step[-1] * 10.0**-DECADES
    step, mean, count = val.step[recent], val.mean[recent], val.count[recent]
    old = max(len(step) - _NEWEST, 0)
    if old < 2:
        return step, mean, count
    group = np.floor(np.log10(step[:old]) * _PER_DECADE)
    starts = np.append(np.flatnonzero(np.diff(group, prepend=-1.0)), np.arange(old, len(step)))
    total = np.add.reduceat(count, starts)
    return np.add.reduceat(step * count, starts) / total, np.add.reduceat(mean * count, starts) / total, total


def _conditioned(
    y: FloatArray, t: FloatArray, decay: FloatArray, clock: FloatArray, noise: FloatArray
) -> tuple[NDArray[np.intp], FloatArray, FloatArray, FloatArray]:
    """Validation at its lowest, now, half-way and at the end, for each size of the noise; the newest sound, or astray.

    Returns:
        ``(g,)`` index of the lowest, ``(g, 4)`` mean, ``(g, 4, 4)`` covariance and ``(g,)`` weight.
    """
    n, away = len(y), t - t[0]
    later = np.tri(len(t), k=-1) * (t[:, None] - t)  # what a change of the rate at one step has made by another
    shared = 1.0 + np.outer(_RATE_SD * away, _RATE_SD * away) + np.outer(_DECAY_SD * decay, _DECAY_SD * decay)
    shared += _WANDER**2 * np.minimum(clock[:, None], clock)
    elapsed = np.append(0.0, clock[1:] - clock[:-1])
    steadily = np.append(0.0, np.cumsum(clock[1:] * (t[1:] - t[:-1])))
    shared += np.outer(_TREND_SD * steadily, _TREND_SD * steadily)
    prior = shared + _WALK**2 * ((later * elapsed) @ later.T)
    own = _NOISE_SHARE * noise + _LEAST_NOISE**2
    own[:, 1:-1] += np.square(_astray(y))
    seen = prior[:n, :n] + own[:, :, None] * np.eye(n)
    inverse = np.linalg.inv(seen)
    log = -np.log(np.linalg.cholesky(seen).diagonal(axis1=1, axis2=2)).sum(axis=1)
    more = (_OUTLIER - 1.0) * own[:, -1]  # the same with more noise on the newest: a rank-one update
    column, corner = inverse[:, :, -1], 1.0 + more * inverse[:, -1, -1]
    other = inverse - (more / corner)[:, None, None] * (column[:, :, None] * column[:, None, :])
    inverse = np.concatenate([inverse, other])
    log = np.concatenate([log + math.log(1.0 - _IS_OUTLIER), log - 0.5 * np.log(corner) + math.log(_IS_OUTLIER)])
    expected = y[0] + _RATE * away
    miss = y - expected[:n]
    pull = inverse @ miss
    log -= 0.5 * (pull @ miss)
    mean = expected + pull @ prior[:n]
    low = mean[:, :n].argmin(axis=1)
    grid = np.arange(len(low))[:, None]
    places = np.stack([low, *(np.full(len(low), k) for k in (n - 1, n, n + 1))], axis=1)
    known = prior[places, :n]
    cov = prior[places[:, :, None], places[:, None, :]] - np.matmul(np.matmul(known, inverse), known.swapaxes(1, 2))
    weight = np.exp(log - log.max())
    return low, mean[grid, places], cov, weight / weight.sum()


def _astray(y: FloatArray) -> FloatArray:
    """How far each inner validation lies from the median of it and its neighbours: it counts for as little as that."""
    trio = np.array([y[:-2], y[1:-1], y[2:]])
    return np.asarray(trio[1] - (trio.sum(axis=0) - trio.max(axis=0) - trio.min(axis=0)))


def _fell(t: FloatArray, n: int, step: FloatArray, train: Bins, unit: float) -> FloatArray:
    """``(n,)`` probability that the train loss stands lower now than at each step: where both rise it is no overfit."""
    variance = (_UNKNOWN_NOISE * unit) ** 2 if math.isnan(train.noise) else train.noise
    each = variance / np.interp(step, train.step, train.count) / unit**2 + _TINY
    return np.asarray(ndtr((t[:n] - t[n - 1]) / np.sqrt(each + each[-1])))
