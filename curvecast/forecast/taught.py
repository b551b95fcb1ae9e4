"""What finished runs have taught: how far a forecast by the law is to be moved, and how sure it then is."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from curvecast.curve import NO_BINS, Bins, FloatArray
from curvecast.fit.basis import Timeline
from curvecast.fit.lessons import Ahead, Lessons, Way
from curvecast.fit.likeness import Places
from curvecast.fit.paths import path_of, places_at
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.fit.teachers import lessons_on, size_and_batch
from curvecast.forecast.distribution import Forecast, Target

_TINY = 1e-14
Reading = tuple[FloatArray, FloatArray]  # of a timeline: clock and gain, where the run stands and then at steps ahead


class Taught(NamedTuple):
    """What finished runs have taught of a forecast by the law, in its parts (``fit.lessons.Expected``).

    Args:
        shift: ``(p, m)`` how far it is to be moved [loss unit].
        std: ``(p, m)`` standard deviation of what is then left, a Gaussian [loss unit].
        wider: ``(p, m)`` how many times as wide as the law's that is.
        held: ``(p, m)`` probability that the part holds.
    """

    shift: FloatArray
    std: FloatArray
    wider: FloatArray
    held: FloatArray


def with_lessons(
    ahead: Forecast,
    lawful: Forecast,
    posterior: Posterior,
    timeline: Timeline | None,
    turned: FloatArray,
    seen: Bins = NO_BINS,
) -> Forecast:
    """The law's forecast and, beside it, that of a run that is no outlier as finished runs have taught to move it.

    Where the loss may have turned the lessons give way as well, the more of the way lies behind: finished runs may have
    turned as this one, but of how it rises it has itself shown ever more.
    """
    told, has_turned = of_lessons(lawful, posterior, timeline, seen), np.count_nonzero(turned) > 0
    weight = ahead.weight * (1.0 - turned) if has_turned else ahead.weight
    if told is None:
        return replace(ahead, weight=weight) if has_turned else ahead
    held = told.weight
    if has_turned:
        held = held * (1.0 - turned * np.minimum(posterior.now / np.atleast_1d(np.asarray(ahead.step)), 1.0))
    weight = np.concatenate([held, weight * told.left])
    means, stds = np.concatenate([told.means, ahead.means]), np.concatenate([told.stds, ahead.stds])
    return Forecast(ahead.step, ahead.of, weight, means, stds)


def of_lessons(
    lawful: Forecast, posterior: Posterior, timeline: Timeline | None, seen: Bins = NO_BINS
) -> Forecast | None:
    """What finished runs have taught alone, its weights summing to the probability that it holds.

    ``None`` where they taught nothing of such a loss.
    """
    if (lesson := lesson_on(lawful, posterior, timeline, seen)) is None:
        return None
    return Forecast(lawful.step, lawful.of, lesson.held, lawful.mixture.mean() + lesson.shift, lesson.std)


def lesson_on(
    ahead: Forecast, posterior: Posterior, timeline: Timeline | None = None, seen: Bins = NO_BINS
) -> Taught | None:
    """What finished runs have taught of a forecast by the law; ``None`` where they taught nothing of such a loss.

    What lies in the past stays as it is. Whole curves are asked where the series that was ``seen`` is told.
    """
    if (lessons := lessons_for(posterior, ahead.of)) is None:
        return None
    steps = np.array(ahead.step, ndmin=1)
    told = reading(posterior, steps, timeline)
    places = places_of(ahead, posterior, told)
    way = _way(posterior, steps, timeline or posterior.timeline)
    change, sd, held = lessons.expected(places, _whole(posterior, told, seen), way)
    shift = posterior.scale * (change - places.change)
    return Taught(shift, posterior.scale * sd, sd / places.sd, np.where(steps <= posterior.now, 0.0, held))


def reading(posterior: Posterior, steps: FloatArray, timeline: Timeline | None = None) -> Reading:
    """What the posterior's clock, or that of another future, says of now and of ``(m,)`` steps."""
    return (timeline or posterior.timeline).at(np.concatenate([[posterior.now], steps]))


def _way(posterior: Posterior, steps: FloatArray, timeline: Timeline) -> Way:
    """How far the run has come; where no plan tells how long it will be, each step that is forecast may be its last."""
    steps = np.maximum(steps, posterior.now)
    planned = 0 if timeline.schedule is None else timeline.schedule.horizon
    return Way(posterior.now / steps, posterior.now / np.maximum(steps, planned))


def _whole(posterior: Posterior, told: Reading, seen: Bins) -> Ahead | None:
    """What whole curves are asked of steps ahead; ``None`` where the run has shown no way that they could go on."""
    of_run = size_and_batch(posterior.prior)
    if posterior.scale <= 0.0 or (path := path_of(seen, posterior.timeline, posterior.now, *of_run)) is None:
        return None
    clock, gain = told
    at = places_at(clock[1:], gain[:, 1:], posterior.timeline.annealing_shape, *of_run)
    return Ahead(path, at, math.log(posterior.scale))


def lessons_for(posterior: Posterior, of: Target) -> Lessons | None:
    """What finished runs about as large have taught of such a loss; ``None`` where none did."""
    return _lessons_of(posterior.prior, of) if posterior.prior.lessons else None


@lru_cache(maxsize=16)  # a forecast and its verdict ask time and again; no more than lessons themselves are kept
def _lessons_of(prior: Prior, of: Target) -> Lessons | None:
    return lessons_on(prior.lessons, of == "val", *size_and_batch(prior), prior.curves)


def places_of(ahead: Forecast, posterior: Posterior, told: Reading) -> Places:
    """Where forecasts of ``(m,)`` steps stand, as lessons are told."""
    clock, gain = told
    gained, (size, batch) = np.add.reduce(gain) / len(gain), size_and_batch(posterior.prior)
    at = np.empty((len(clock) - 1, 7))
    at[:, 0] = np.log(np.maximum(clock[1:] / clock[0], _TINY))
    at[:, 2] = gained[1:] - gained[0]
    at[:, [1, 3, 4, 5, 6]] = gained[0], size, batch, math.log(clock[0]), math.log(posterior.scale)
    mean = ahead.mixture.mean()
    return Places(at, mean / posterior.scale - 1.0, ahead.mixture.std(mean) / posterior.scale)
