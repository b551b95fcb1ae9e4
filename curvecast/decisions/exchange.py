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
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dtrtri
from scipy.special import ndtr

from curvecast.curve import Bins, FloatArray

DECADES = 1.5  # what lies more decades of steps back says nothing about the rate of exchange
_NEWEST, _PER_DECADE = 10, 10  # the newest validations count one by one, those before in groups
_GROUPS = 10.0 ** (np.arange(_PER_DECADE * 18) / _PER_DECADE)  # where the groups begin
_RATE, _RATE_SD = 1.0, 0.5  # the rate of exchange where the record begins, and its standard deviation
_WALK = 1.0  # how far the rate wanders over a square root of an e-fold of steps
_TREND_SD = 0.5  # and by how much it changes steadily over an e-fold: a run that learns by heart goes on to do so
# Factors on the variance that second differences give: of few samples they take a bend for noise.
_NOISES = (1.0, 0.25, 0.06)
_OUTLIER, _IS_OUTLIER = 100.0, 0.05  # factor on the variance of a validation gone astray; how often the newest has
_WANDER = 0.004  # what validation does on its own over a square root of an e-fold, as a share of its level
_DECAY_SD = 0.15  # how far the rate at which a decay's gain is traded may be off that of the rest
_UNKNOWN_NOISE, _LEAST_NOISE = 0.02, 3e-4  # standard deviations of a validation, as shares of its level
_LEAST_LEVEL, _MOST_FALL = 1e-100, 10.0  # the first can be squared; no loss falls by more than so many times its level
_TINY = 1e-12
_SIZES = len(_NOISES)
_SHARES = np.tile(_NOISES, 2)[:, None]
_ROWS = np.arange(2 * _SIZES)
_ALONG = (0.0, 0.5, 1.0)  # shares of the way to the end at which validations are held against the lowest
_SQRT_HALF = math.sqrt(0.5)
_ASTRAY_ODDS = math.log(_IS_OUTLIER / (1.0 - _IS_OUTLIER))


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
        now: Where validation stands in each of these ways, less its noise [loss unit].
    """

    behind: float
    ends: tuple[tuple[float, float, float], ...]
    now: tuple[float, ...] = ()

    def above(self, loss: float) -> float:
        """Probability that a validation at the end of the plan stands above a loss."""
        return sum(weight * (_normal((end - loss) / sd) if sd else float(end > loss)) for weight, end, sd in self.ends)

    def spared(self, loss: float, noise: float, count: float) -> float:
        """Probability that none of so many validations lies below a loss by mere noise, on the way from now to the end.

        Args:
            loss: The lowest measured [loss unit].
            noise: Standard deviation of a validation [loss unit].
            count: How many are to come.

        Example:
            >>> risen = Trade(1.0, ((1.0, 2.2, 0.1),), (2.04,))
            >>> [round(risen.spared(2.0, noise, 30.0), 2) for noise in (0.001, 0.02, 0.05)]
            [1.0, 0.79, 0.09]
        """
        chance = 0.0
        for (weight, end, _), now in zip(self.ends, self.now, strict=True):
            each = [_normal((now + share * (end - now) - loss) / noise) for share in _ALONG]
            chance += weight * math.prod(each) ** (count / len(each))
        return chance


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
    # Where train stands no lower than at validation's lowest, it is no overfit: the less probable of both.
    rises = np.minimum(ways.rises, _fallen(t[:n], step, train, t_unit).take(ways.low))
    behind = float(ways.weight @ ndtr(rises))
    if float(ahead.step[-1]) <= float(step[-1]):  # it is measured
        return Trade(behind, ((1.0, newest, 0.0),))
    ends = np.array([ways.weight, ways.end * v_unit, np.sqrt(ways.end_var + noise[-1]) * v_unit])
    return Trade(behind, tuple(zip(*ends.tolist(), strict=True)), tuple((ways.now * v_unit).tolist()))


def thinned(val: Bins) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Step, mean and count: the newest bins one by one, those before in groups of the logarithmic clock."""
    recent = int(val.step.searchsorted(val.step[-1] * 10.0**-DECADES))
    step, mean, count = val.step[recent:], val.mean[recent:], val.count[recent:]
    old = max(len(step) - _NEWEST, 0)
    if old < 2:
        return step, mean, count
    group = _GROUPS.searchsorted(step[:old], side="right")
    opens = np.ones(len(step), dtype=np.bool_)
    np.not_equal(group[1:], group[:-1], out=opens[1:old])
    total, steps, losses = np.add.reduceat(np.array([count, step * count, mean * count]), opens.nonzero()[0], axis=1)
    return steps / total, losses / total, total


def _prior(t: FloatArray, decay: FloatArray, clock: FloatArray) -> FloatArray:
    """``(n + 2, n + 2)`` covariance of validation before any is seen; ``(2,)`` gains of decays lie ahead."""
    m = len(t)
    walk = np.sqrt(clock[1:] - clock[:-1])
    ways = np.zeros((2 * m + 2, m))  # in which it may go, independent of each other
    ways[0] = 1.0
    ways[1, -2:] = _DECAY_SD * decay
    np.add.accumulate(_TREND_SD * clock[1:] * (t[1:] - t[:-1]), out=ways[2, 1:])
    # What a change of the rate at one step has made by another; the first is the rate where the record begins.
    past, size = _past(m), np.empty((m, 1))
    size[0], size[1:, 0] = _RATE_SD, _WALK * walk
    np.multiply(past * size, t - t[:, None], out=ways[3 : m + 3])
    np.multiply(past[1:], _WANDER * walk[:, None], out=ways[m + 3 :])
    return np.asarray(ways.T @ ways)


@lru_cache(maxsize=64)
def _past(m: int) -> FloatArray:
    """``(m, m)``: 1 from the step of the row on."""
    return np.asarray(np.tri(m).T)


class _Ways(NamedTuple):
    """Validation in the ``W`` ways it may be: each size of the noise, the newest sound, then each with it astray.

    Args:
        weight: ``(W,)`` probability of each.
        low: ``(W,)`` index of the lowest.
        rises: ``(W,)`` standard deviations by which validation stands above it; the least of now, half-way, the end.
        now: ``(W,)`` mean now.
        end, end_var: ``(W,)`` mean and variance at the end.
    """

    weight: FloatArray
    low: NDArray[np.intp]
    rises: FloatArray
    now: FloatArray
    end: FloatArray
    end_var: FloatArray


def _conditioned(prior: FloatArray, y: FloatArray, expected: FloatArray, noise: FloatArray) -> _Ways | None:
    """The ways, given what was seen; ``None`` where that overflows."""
    n = len(y)
    own = _SHARES * noise + _LEAST_NOISE**2
    own[:, 1:-1] += np.square(astray(y))
    seen = np.empty((_SIZES, n, n))
    seen[:] = prior[:n, :n]
    seen.reshape(_SIZES, -1)[:, :: n + 1] += own[:_SIZES]  # their diagonals
    if (root := inverse_roots(seen)) is None:
        return None
    found = np.empty((2 * _SIZES, n + 4, n + 4))
    sound, noisier = found[:_SIZES], found[_SIZES:]
    _bordered(root, prior[:n, n - 1 :], y - expected[:n], out=sound)
    more = (_OUTLIER - 1.0) * own[:_SIZES, -1]
    own[_SIZES:, -1] += more
    growth = _noisier_newest(sound, n - 1, more, out=noisier)
    weight = _weights(root, growth, misses=found[:, -1, -1])
    return _against_lowest(y, expected[n - 1 :], prior.diagonal()[n - 1 :], own, found, weight)


def _bordered(root: FloatArray, ahead: FloatArray, miss: FloatArray, *, out: FloatArray) -> None:
    """The inverse covariance of what was seen, bordered by what it makes of what is asked.

    Args:
        root: ``(g, n, n)`` roots of the inverse.
        ahead: ``(n, 3)`` covariance of what was seen with validation now, half-way and at the end.
        miss: ``(n,)`` what was seen, less what was expected.
        out: ``(g, n + 4, n + 4)``: the inverse, then those three and the miss.
    """
    n = len(miss)
    asked = np.zeros((n, n + 4))
    asked.reshape(-1)[:: n + 5] = 1.0  # the unit matrix: the inverse itself
    asked[:, n:-1], asked[:, -1] = ahead, miss
    half = root @ asked
    np.matmul(half.swapaxes(1, 2), half, out=out)


def _noisier_newest(sound: FloatArray, newest: int, more: FloatArray, *, out: FloatArray) -> FloatArray:
    """The same with more noise on the newest validation: a rank-one update (Sherman and Morrison).

    Args:
        sound: ``(g, m, m)`` bordered inverses.
        newest: Its row.
        more: ``(g,)`` variance to add.
        out: ``(g, m, m)`` bordered inverses with it.

    Returns:
        ``(g,)`` factor by which the determinant of the covariance grows.
    """
    row = sound[:, newest]
    growth = 1.0 + more * row[:, newest]
    np.multiply(row[:, :, None], ((more / growth)[:, None] * row)[:, None], out=out)
    np.subtract(sound, out, out=out)
    return np.asarray(growth)


def _weights(root: FloatArray, growth: FloatArray, *, misses: FloatArray) -> FloatArray:
    """``(W,)`` probability of each way, by the density of what was seen.

    Args:
        root: ``(g, n, n)`` roots of the inverse covariance.
        growth: ``(g,)`` factor on the determinant where the newest is astray.
        misses: ``(W,)`` squared miss, in units of the covariance.
    """
    log = np.empty((2, _SIZES))
    log[:] = np.add.reduce(np.log(root.diagonal(axis1=1, axis2=2)), axis=1)
    log[1] += _ASTRAY_ODDS - 0.5 * np.log(growth)
    log = log.reshape(-1) - 0.5 * misses
    weight = np.exp(log - np.maximum.reduce(log))
    return np.asarray(weight / np.add.reduce(weight))


def _against_lowest(
    y: FloatArray, expected: FloatArray, prior: FloatArray, own: FloatArray, found: FloatArray, weight: FloatArray
) -> _Ways:
    """Now, half-way and the end against the lowest, in every way.

    Args:
        y: ``(n,)`` validation losses.
        expected: ``(3,)`` mean before any is seen, now, half-way and at the end.
        prior: ``(3,)`` variance likewise.
        own: ``(W, n)`` variance of each validation's own noise.
        found: ``(W, n + 4, n + 4)`` inverse of what was seen, bordered by what it makes of those three and the miss.
        weight: ``(W,)`` probability of each way.
    """
    n = len(y)
    low = (y - own * found[:, :n, -1]).argmin(axis=1)  # prior S^-1 = 1 - own S^-1 where S = prior + own
    own_low, at_low = own[_ROWS, low], found[_ROWS, low]
    lowest, var_low = y[low] - own_low * at_low[:, -1], own_low * (1.0 - own_low * at_low[_ROWS, low])
    mean = expected + found[:, n:-1, -1]
    var = prior - found.diagonal(axis1=1, axis2=2)[:, n:-1]
    between = var + (var_low[:, None] - 2.0 * own_low[:, None] * at_low[:, n:-1])
    rises = (mean - lowest[:, None]) / np.sqrt(np.maximum(between, _TINY))
    end_var = np.maximum(var[:, -1], _TINY)
    return _Ways(weight, low, np.minimum.reduce(rises, axis=1), mean[:, 0], mean[:, -1], end_var)


def inverse_roots(seen: FloatArray) -> FloatArray | None:
    """Lower triangles ``R``, ``(g, n, n)``, with ``R.T @ R`` the inverse of each covariance.

    Args:
        seen: ``(g, n, n)`` covariances, C-ordered; they are overwritten.

    Returns:
        ``None`` where one is none.
    """
    roots = seen.swapaxes(1, 2)  # as LAPACK lays them out: each is worked on in its place
    for root in roots:
        if dpotrf(root, lower=1, overwrite_a=1)[1]:
            return None
        dtrtri(root, lower=1, overwrite_c=1)
    return roots


def astray(y: FloatArray) -> FloatArray:
    """How far each inner validation lies from the median of it and its neighbours: it counts for as little as that."""
    before, here, after = y[:-2], y[1:-1], y[2:]
    median = np.minimum(np.maximum(here, np.minimum(before, after)), np.maximum(before, after))
    return np.asarray(here - median)


def _fallen(t: FloatArray, step: FloatArray, train: Bins, unit: float) -> FloatArray:
    """``(n,)`` standard deviations by which the train loss stands lower now than at each step."""
    variance = (_UNKNOWN_NOISE * unit) ** 2 if math.isnan(train.noise) else train.noise
    each = variance / unit**2 / np.interp(step, train.step, train.count) + _TINY
    return np.asarray((t - t[-1]) / np.sqrt(each + each[-1]))


def _normal(z: float) -> float:
    """Probability that a standard Gaussian stays below ``z``."""
    return 0.5 * math.erfc(-z * _SQRT_HALF)
