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
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri

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
_ROWS = np.arange(2 * len(_NOISES))
_SIZED = _ROWS % len(_NOISES)
_SQRT_HALF = math.sqrt(0.5)
_LOG_SOUND, _LOG_ASTRAY = math.log(1.0 - _IS_OUTLIER), math.log(_IS_OUTLIER)


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
        ends: Every way it may be, a size of the noise, the newest sound or astray: its probability, and mean and
            standard deviation of a validation at the end of the plan [loss unit].
    """

    behind: float
    ends: tuple[tuple[float, float, float], ...]

    def above(self, loss: float) -> float:
        """Probability that a validation at the end of the plan stands above a loss."""
        return sum(weight * (_normal((end - loss) / sd) if sd else float(end > loss)) for weight, end, sd in self.ends)


def trade(val: Bins, train: Bins, ahead: Ahead, *, newest: float) -> Trade | None:
    """Trade the expected fall of the train loss for validation loss.

    Args:
        val: Validation loss, at least one bin.
        train: Train loss, at least one bin.
        ahead: What is expected of the train loss; steps that are not ahead where the plan is done.
        newest: Newest validation loss measured: the end itself, where the plan is done [loss unit].

    Returns:
        ``None`` where the levels are not positive, or nothing is known of the train loss.

    Example:
        >>> from curvecast.curve import Bins
        >>> step = np.arange(1.0, 21.0) * 100
        >>> train = Bins(step, 3.0 * step**-0.3, np.ones(20), 1e-8)
        >>> val = Bins(step, 3.0 * step**-0.3 + 0.15 * np.log2(np.maximum(step / 700, 1.0)), np.ones(20), 1e-6)
        >>> ahead = Ahead(np.array([3000.0, 4000.0]), np.array([-0.035, -0.057]), np.zeros(2))
        >>> found = trade(val, train, ahead, newest=val.mean[-1])
        >>> round(found.behind, 2), round(found.above(1.02 * val.mean.min()), 2)
        (1.0, 1.0)
    """
    step, v, count = thinned(val)
    log_step = np.log(step)
    t = np.interp(log_step, np.log(train.step), train.mean)
    first = int(t.argmax())
    t_unit, v_unit = float(t[first]), float(v[first])
    if not (min(t_unit, v_unit) > _LEAST_LEVEL and max(map(abs, ahead.fall.tolist())) < _MOST_FALL * t_unit):
        return None
    n = len(step)
    y = v / v_unit
    t = np.concatenate([t, t[-1] + ahead.fall]) / t_unit
    clock = np.concatenate([log_step, np.log(np.maximum(ahead.step, step[-1]))]) - log_step[0]
    noise = (_UNKNOWN_NOISE**2 if math.isnan(val.noise) else val.noise / v_unit**2) / count
    prior = _prior(t, ahead.decay / t_unit, clock)
    if (ways := _conditioned(prior, y, y[0] + _RATE * (t - t[0]), noise)) is None:
        return None
    fell = _fell(t, n, step, train, t_unit)
    behind = sum(way.weight * min(way.stays, fell(way.low)) for way in ways)
    if float(ahead.step[-1]) <= float(step[-1]):  # it is measured
        return Trade(behind, ((1.0, newest, 0.0),))
    own = float(noise[-1])
    return Trade(behind, tuple((w.weight, w.end * v_unit, math.sqrt(w.end_var + own) * v_unit) for w in ways))


def thinned(val: Bins) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Step, mean and count: the newest bins one by one, those before in groups of the logarithmic clock."""
    recent = int(val.step.searchsorted(val.step[-1] * 10.0**-DECADES))
    step, mean, count = val.step[recent:], val.mean[recent:], val.count[recent:]
    old = max(len(step) - _NEWEST, 0)
    if old < 2:
        return step, mean, count
    group = np.floor(np.log10(step[:old]) * _PER_DECADE)
    opens = np.ones(len(step), dtype=np.bool_)
    np.not_equal(group[1:], group[:-1], out=opens[1:old])
    total, steps, losses = np.add.reduceat(np.array([count, step * count, mean * count]), opens.nonzero()[0], axis=1)
    return steps / total, losses / total, total


def _prior(t: FloatArray, decay: FloatArray, clock: FloatArray) -> FloatArray:
    """``(n + 2, n + 2)`` covariance of validation before any is seen; ``(2,)`` gains of decays lie ahead."""
    m = len(t)
    elapsed, change = clock[1:] - clock[:-1], t[1:] - t[:-1]
    ways = np.zeros((3 + m, m))  # in which it may go, independent of each other
    ways[0] = 1.0
    ways[1] = _RATE_SD * (t - t[0])
    ways[2, -2:] = _DECAY_SD * decay
    np.add.accumulate(_TREND_SD * clock[1:] * change, out=ways[3, 1:])
    # What a change of the rate at one step has made by another.
    ways[4:] = (_WALK * np.sqrt(elapsed))[:, None] * (t - t[1:, None]) * _upper(m)
    return np.asarray(ways.T @ ways + _WANDER**2 * np.minimum(clock[:, None], clock))


@lru_cache(maxsize=64)
def _upper(m: int) -> FloatArray:
    """``(m - 1, m)``: 1 where a step lies past the change of the row."""
    return np.asarray(np.tri(m).T[1:])


class _Way(NamedTuple):
    """Validation under one size of the noise, the newest sound or astray.

    Args:
        weight: Probability of it.
        low: Index of the lowest.
        stays: Probability that validation stays above the lowest; the least of now, half-way and the end.
        end, end_var: Mean and variance at the end.
    """

    weight: float
    low: int
    stays: float
    end: float
    end_var: float


def _conditioned(prior: FloatArray, y: FloatArray, expected: FloatArray, noise: FloatArray) -> list[_Way] | None:
    """Every way it may be, given what was seen; ``None`` where that overflows."""
    n = len(y)
    own = _NOISE_SHARE * noise + _LEAST_NOISE**2
    own[:, 1:-1] += np.square(_astray(y))
    if (root := _inverse_root(prior[:n, :n], own)) is None:
        return None
    given = np.empty((n, 3))  # what is asked of the inverse: the miss, half-way, the end
    given[:, 0], given[:, 1:] = y - expected[:n], prior[:n, n:]
    solved = root.swapaxes(1, 2) @ (root @ given)
    newest = root[:, -1, -1:] * root[:, -1]  # the inverse's last column: that of a triangle has but one entry
    log = np.add.reduce(np.log(root.diagonal(axis1=1, axis2=2)), axis=1)
    more = (_OUTLIER - 1.0) * own[:, -1]  # the same with more noise on the newest: a rank-one update
    corner = 1.0 + more * newest[:, -1]
    column = np.concatenate([newest, newest / corner[:, None]])
    solved = np.concatenate([solved, solved - (more[:, None] * column[len(more) :])[:, :, None] * solved[:, -1:]])
    own = np.concatenate([own, own])
    own[len(more) :, -1] += more
    low = (y - own * solved[:, :, 0]).argmin(axis=1)  # prior S^-1 = 1 - own S^-1 where S = prior + own
    both = given.T @ solved
    log = np.concatenate([log + _LOG_SOUND, log - 0.5 * np.log(corner) + _LOG_ASTRAY]) - 0.5 * both[:, 0, 0]
    weight = np.exp(log - log.max())
    at_low, column_low = root[_SIZED, :, low], column[_ROWS, low]
    inverse_low = np.add.reduce(at_low * at_low, axis=1)
    inverse_low[len(more) :] -= more * corner * column_low[len(more) :] ** 2
    of_low = y[low], own[_ROWS, low], inverse_low, column_low
    points = np.array([weight / np.add.reduce(weight), *of_low, own[:, -1], column[:, -1], solved[:, -1, 0]])
    rows = zip(low.tolist(), points.T.tolist(), solved[_ROWS, low].tolist(), both.tolist(), strict=True)
    ahead = list(zip(expected[n:].tolist(), prior.diagonal()[n:].tolist(), strict=True))
    return [_way(float(y[-1]), ahead, *row) for row in rows]


def _way(
    y: float,
    ahead: list[tuple[float, float]],
    low: int,
    points: list[float],
    solved: list[float],
    both: list[list[float]],
) -> _Way:
    """The same in numbers, of which there are too few for arrays."""
    weight, y_low, own_low, inverse_low, inverse_both, own, inverse, pull = points
    lowest, var_low = y_low - own_low * solved[0], own_low * (1.0 - own_low * inverse_low)
    var = own * (1.0 - own * inverse) + 2.0 * own_low * own * inverse_both
    rises = [(y - own * pull - lowest) / math.sqrt(max(var + var_low, _TINY))]
    for k, (expected, prior) in enumerate(ahead, 1):
        mean, var = expected + both[0][k], prior - both[k][k]
        rises.append((mean - lowest) / math.sqrt(max(var + var_low - 2.0 * own_low * solved[k], _TINY)))
    return _Way(weight, low, _normal(min(rises)), mean, max(var, _TINY))


def _inverse_root(prior: FloatArray, own: FloatArray) -> FloatArray | None:
    """``(g, n, n)`` lower triangles ``R`` with ``R.T @ R`` the inverse of the prior with each noise."""
    n = len(prior)
    roots = np.empty((len(own), n, n))
    for root, noise in zip(roots, own, strict=True):
        seen = prior.copy()
        seen.reshape(-1)[:: n + 1] += noise
        factor, failed = dpotrf(seen, lower=1)
        if failed:
            return None
        root[:] = dtrtri(factor, lower=1)[0]
    return roots


def _astray(y: FloatArray) -> FloatArray:
    """How far each inner validation lies from the median of it and its neighbours: it counts for as little as that."""
    before, here, after = y[:-2], y[1:-1], y[2:]
    median = np.minimum(np.maximum(here, np.minimum(before, after)), np.maximum(before, after))
    return np.asarray(here - median)


def _fell(t: FloatArray, n: int, step: FloatArray, train: Bins, unit: float) -> Callable[[int], float]:
    """Probability that the train loss stands lower now than at a step: where both rise it is no overfit."""
    variance = (_UNKNOWN_NOISE * unit) ** 2 if math.isnan(train.noise) else train.noise
    each = (variance / unit**2 / np.interp(step, train.step, train.count) + _TINY).tolist()
    level = t[:n].tolist()
    return lambda k: _normal((level[k] - level[-1]) / math.sqrt(each[k] + each[-1]))


def _normal(z: float) -> float:
    """Probability that a standard Gaussian stays below ``z``."""
    return 0.5 * math.erfc(-z * _SQRT_HALF)
