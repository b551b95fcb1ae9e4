"""Validation beside train loss: how noisy few validations are, and whether the gap between both moves or opens.

Two questions are asked of the gap before what each would cost is paid. Has it *opened*, so that an onset of growth is
worth looking for in the law that both share? And has it *moved* at all, so that a law for each is to be weighed against
that one (``fit.apart``)?
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from curvecast.curve import NO_BINS, NOISE_DOUBT, Bins, FloatArray
from curvecast.fit.observed import LEAST_NOISE, LONG_AGO, MOST_NOISE, UNKNOWN_NOISE
from curvecast.fit.units import NEWEST, go_together, in_one_unit, unit_of

# Up to so many losses the bend of their fall may pass for noise; with fewer bins than the second, nothing shows it.
_FEW, _FEWEST = 24, 4
_TELLING = 6  # of fewer beside a train loss the scatter says little: they are no noisier than three
# Least standard deviation of a validation, as a share of the loss: another seed moves the end of a run by as much; and
# that of the first three validations, which show no scatter.
_LEAST, _LEAST_OF_THREE = 1e-3, 0.01
_ROUNDING = 1e-12
_MEDIAN_OF_ONE = (1.0 - 2.0 / 9.0) ** 3  # median of a chi-squared variable of one degree of freedom
_WIDE = 0.02  # a network that sees its data once has a smaller gap than this share of the loss
# A gap opens if it widens by this share of the loss in an e-fold of steps, and by so many standard deviations.
_OPENS, _CLEARLY = 0.01, 2.0


def with_noise_of_few(val: Bins, train: Bins = NO_BINS) -> Bins:
    """Validation losses with the noise that few of them show, where second differences give more.

    A validation is a long average, so its noise is small, and of few of them the bend of a loss that falls steeply is
    all that second differences over equal steps see: of a GPT's first five a hundred times the noise. Against the
    logarithm of the steps they lie nearly on a line, and beside the train loss on a level one: the least counts.

    Example:
        >>> step, ones = np.arange(1.0, 9.0) * 125, np.ones(8)
        >>> val = Bins(step, 2.0 + 40.0 * step**-0.5 + 1e-3 * (-ones) ** np.arange(8), ones, 0.3**2)
        >>> fine = np.geomspace(1.0, 1000.0, 300)
        >>> train = Bins(fine, 2.0 + 40.0 * fine**-0.5, np.ones(300), 0.05**2)
        >>> [round(with_noise_of_few(val, each).noise ** 0.5, 3) for each in (Bins(*[np.empty(0)] * 3, 0.0), train)]
        [0.023, 0.004]
    """
    if not 0 < len(val) <= _FEW or float(val.count.sum()) > _FEW:
        return val
    return _with_noise(val, train)


def with_noise_of_few_trains(train: Bins) -> Bins:
    """The same of train losses, which are few where a log comes seldom: the first ten steps and every fiftieth, say.

    A batch is no long average: where they lie in too few bins to bend, second differences tell its noise.

    Example:
        >>> step, ones = np.array([*range(1, 11), 50, 100], dtype=float), np.ones(12)
        >>> seldom = Bins(step, 9.0 * step**-0.2, ones, 1.0)
        >>> late = Bins(1e4 + step[:2], ones[:2], 6.0 * ones[:2], 1.0)
        >>> with_noise_of_few_trains(seldom).noise < 0.01, with_noise_of_few_trains(late).noise
        (True, 1.0)
    """
    return with_noise_of_few(train) if len(train) >= _FEWEST else train


@lru_cache(maxsize=128)  # a fit and its forecast ask the same, and many runs are fitted before any is forecast
def _with_noise(val: Bins, train: Bins) -> Bins:
    """The same, of those that are few."""
    count = float(val.count.sum())
    beside = _can_be_held(train, val)
    unit = _unit(train if beside else NO_BINS, val)
    of_step = UNKNOWN_NOISE
    if beside and not math.isnan(train.noise):  # a validation is a mean of no fewer tokens than a step of training
        of_step = min(max(math.sqrt(train.noise) / unit, _LEAST_OF_THREE), UNKNOWN_NOISE)
    if len(val) >= _FEWEST:
        log_step = np.log(val.step)
        rows = [val.mean, _gap(log_step, val, train)] if beside else [val.mean]
        sd = _off_lines(log_step, np.array(rows) / unit, val.count) * math.sqrt(1.0 + NOISE_DOUBT / count)
        if beside and len(val) < _TELLING:
            sd = min(sd, of_step)
    else:
        sd = of_step
    sd = max(sd, _LEAST) * unit
    known = math.inf if math.isnan(val.noise) else val.noise
    return Bins(val.step, val.mean, val.count, sd * sd) if sd * sd < known else val


def has_opened(train: Bins, val: Bins) -> bool:
    """Whether validation has fallen behind the train loss by more than noise: data are being learnt by heart.

    It asks for a slope of the gap on the logarithm of the steps. A network that sees its data once has hardly a gap.

    Example:
        >>> step, ones = np.arange(1.0, 21.0) * 100, np.ones(20)
        >>> train = Bins(step, 3.0 * step**-0.2, ones, 1e-6)
        >>> vals = [Bins(step, train.mean + gap, ones, 1e-6) for gap in (0.1 * ones, 0.03 * np.log(step))]
        >>> [has_opened(train, val) for val in vals]
        [False, True]
    """
    if not len(val) or not len(train):
        return False
    unit = _unit(train, val)
    if not float(val.mean[-1] - train.mean[-1]) > _WIDE * unit or not _can_be_held(train, val):
        return False
    recent = int(val.step.searchsorted(LONG_AGO * max(float(val.step[-1]), float(train.step[-1]))))
    if len(val) - recent < 2:  # validation stopped long ago
        return False
    val = Bins(val.step[recent:], val.mean[recent:], val.count[recent:], val.noise)
    log_step, gap, weight = _weighed_gap(train, val, unit)
    away = log_step - np.dot(weight, log_step) / weight.sum()
    spread = float(np.dot(weight, away * away))
    slope = float(np.dot(weight * away, gap))  # times the spread
    return slope > _OPENS * spread and slope > _CLEARLY * math.sqrt(spread)


def has_moved(train: Bins, val: Bins) -> bool:
    """Whether the gap between both is another than a constant and noise: a look that is cheap beside a fit.

    It opens or closes, and by however little: of noise alone every other run seems to.

    Example:
        >>> step, ones = np.arange(1.0, 21.0) * 100, np.ones(20)
        >>> train = Bins(step, 3.0 * step**-0.2, ones, 1e-6)
        >>> vals = [Bins(step, train.mean + gap, ones, 1e-6) for gap in (0.1 * ones, -0.01 * np.log(step))]
        >>> [has_moved(train, val) for val in vals]
        [False, True]
    """
    if not len(val) or not _can_be_held(train, val):
        return False
    _, gap, weight = _weighed_gap(train, val, _unit(train, val))
    off = gap - float(weight @ gap) / float(weight.sum())
    return float(weight @ (off * off)) > len(gap)


def lead_of_train(train: Bins, val: Bins) -> tuple[float, float] | None:
    """How far train loss lies below the newest validation, as a share of it, and the standard deviation of that.

    A network that learns its data by heart takes its train loss far below half of validation: so that both are in one
    unit is asked where the first validation was.

    Returns:
        ``None`` where both cannot be compared, or validation has come to nought.

    Example:
        >>> step, ones = np.arange(1.0, 21.0) * 100, np.ones(20)
        >>> train = Bins(step, 2.5 - 2e-4 * step, ones, 1e-6)
        >>> [round(found, 3) for found in lead_of_train(train, Bins(step, 2.5 * ones, ones, 1e-4))]
        [0.16, 0.001]
    """
    if not len(val) or len(train) < NEWEST or not val.mean[-1] > 0.0:
        return None
    first = float(np.interp(val.step[0], train.step, train.mean))
    if not in_one_unit(np.array([first]), val.mean[:1]) and not go_together(train, val):
        return None
    since = min(int(train.step.searchsorted(val.step[-2] if len(val) > 1 else val.step[-1])), len(train) - NEWEST)
    beside, precision = _at(float(val.step[-1]), train.step[since:], train.mean[since:], train.count[since:])
    newest = float(val.mean[-1])
    noise = (train.noise, precision), (with_noise_of_few(val, train).noise, float(val.count[-1]))
    variance = sum(of_one / samples for of_one, samples in noise if not math.isnan(of_one))
    return (newest - beside) / newest, math.sqrt(variance) / newest


def _at(step: float, steps: FloatArray, means: FloatArray, count: FloatArray) -> tuple[float, float]:
    """The loss at a step, on a line through bins over the logarithm of steps, and how many samples that is worth."""
    x = np.log(steps / step)
    samples = float(count.sum())
    middle, mean = float(count @ x) / samples, float(count @ means) / samples
    spread = float(count @ (x - middle) ** 2)
    slope = float((count * (x - middle)) @ means) / spread
    return mean - slope * middle, 1.0 / (1.0 / samples + middle * middle / spread)


def _unit(train: Bins, val: Bins) -> float:
    """The loss that 1.0 stands for, as in a fit: where validation stands, if neither was ever negative."""
    both = np.concatenate([train.mean, val.mean])
    spread = val.mean if len(val) >= NEWEST else both
    return unit_of(float(val.mean[-1]), spread, float(np.minimum.reduce(both)))[0]


def _weighed_gap(train: Bins, val: Bins, unit: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``(n,)`` each: logarithm of the steps of the validations, what they stand above train, and its precision."""
    log_step = np.log(val.step)
    beside = np.interp(log_step, np.log(train.step), train.count)  # samples that a train loss there is the mean of
    variance = _relative(val, unit) / val.count + _relative(train, unit) / beside + LEAST_NOISE**2
    return log_step, _gap(log_step, val, train) / unit, 1.0 / variance


def heeded(val: Bins, opened: bool, *, of_val: bool) -> Bins:
    """What a fit heeds of validation: nothing where the train loss is asked for and is falling away from it.

    Args:
        val: Validation.
        opened: As ``has_opened`` says.
        of_val: Whether the fit is of the validation loss.

    Example:
        >>> val = Bins(np.array([100.0]), np.array([2.0]), np.ones(1), 1e-6)
        >>> [len(heeded(val, opened=True, of_val=of_val)) for of_val in (True, False)]
        [1, 0]
    """
    return NO_BINS if opened and not of_val else val


def _relative(bins: Bins, unit: float) -> float:
    """Variance of a sample in units of a loss."""
    sd = UNKNOWN_NOISE if math.isnan(bins.noise) else min(math.sqrt(bins.noise) / unit, MOST_NOISE)
    return sd * sd


def _can_be_held(train: Bins, val: Bins) -> bool:
    """Whether validation can be held against the train loss: that is known well enough, and in the same unit."""
    return len(train) >= NEWEST and go_together(train, val)


def _gap(log_step: FloatArray, val: Bins, train: Bins) -> FloatArray:
    """``(n,)`` what each validation stands above the train loss."""
    return np.asarray(val.mean - np.interp(log_step, np.log(train.step), train.mean))


def _off_lines(log_step: FloatArray, rows: FloatArray, count: FloatArray) -> float:
    """The standard deviation of one sample at the median, by how far each bin lies off the line between its neighbours.

    Args:
        log_step: ``(n,)`` logarithm of the steps.
        rows: ``(k, n)`` means of the bins, as they are or beside something else; the least counts.
        count: ``(n,)`` samples in each.

    Returns:
        Infinite where all lie on lines: they are too few to wiggle, or all the same.
    """
    before = (log_step[2:] - log_step[1:-1]) / (log_step[2:] - log_step[:-2])  # what the neighbour before weighs
    after = 1.0 - before
    off = rows[:, 1:-1] - before * rows[:, :-2] - after * rows[:, 2:]
    each = off * off / (1.0 / count[1:-1] + before * before / count[:-2] + after * after / count[2:])
    return math.sqrt(min(map(_median, each.tolist())) / _MEDIAN_OF_ONE)


def _median(variances: list[float]) -> float:
    """Of those that are more than rounding."""
    ranked = sorted(each for each in variances if each > _ROUNDING**2)
    half = len(ranked) // 2
    return 0.5 * (ranked[half] + ranked[~half]) if ranked else math.inf
