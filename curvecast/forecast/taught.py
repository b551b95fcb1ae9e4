"""What finished runs have taught: how far a forecast by the law is to be moved, and how sure it then is."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from curvecast.curve import FloatArray
from curvecast.fit.basis import Timeline
from curvecast.fit.lessons import UNKNOWN_BATCH, UNKNOWN_SIZE, Lessons, lessons_on
from curvecast.fit.likeness import Places
from curvecast.fit.posterior import Posterior
from curvecast.forecast.distribution import Forecast, Target

_TURNED = 0.5  # of a turn's probability: what lessons leave to it, for finished runs have turned as well
_TINY = 1e-14


class Taught(NamedTuple):
    """What finished runs have taught of a forecast by the law, in four parts (``fit.lessons.Expected``).

    Args:
        shift: ``(4, m)`` how far it is to be moved [loss unit].
        std: ``(4, m)`` standard deviation of what is then left, a Gaussian [loss unit].
        wider: ``(4, m)`` how many times as wide as the law's that is.
        held: ``(4, m)`` probability that the part holds.
    """

    shift: FloatArray
    std: FloatArray
    wider: FloatArray
    held: FloatArray


def with_lessons(
    ahead: Forecast, lawful: Forecast, posterior: Posterior, timeline: Timeline | None, turned: FloatArray
) -> Forecast:
    """The law's forecast and, beside it, that of a run that is no outlier as finished runs have taught to move it."""
    lesson, has_turned = lesson_on(lawful, posterior, timeline), np.count_nonzero(turned) > 0
    weight = ahead.weight * (1.0 - turned) if has_turned else ahead.weight
    if lesson is None:
        return replace(ahead, weight=weight) if has_turned else ahead
    means = lawful.mixture.mean() + lesson.shift
    weight = np.concatenate([lesson.held * (1.0 - _TURNED * turned), weight * (1.0 - np.add.reduce(lesson.held))])
    means, stds = np.concatenate([means, ahead.means]), np.concatenate([lesson.std, ahead.stds])
    return Forecast(ahead.step, ahead.of, weight, means, stds)


def lesson_on(ahead: Forecast, posterior: Posterior, timeline: Timeline | None = None) -> Taught | None:
    """What finished runs have taught of a forecast by the law; ``None`` where they taught nothing of such a loss.

    What lies in the past stays as it is.
    """
    if (lessons := lessons_for(posterior, ahead.of)) is None:
        return None
    steps = np.atleast_1d(np.asarray(ahead.step))
    places = places_of(ahead, steps, posterior, timeline)
    change, sd, held = lessons.expected(places)
    shift = posterior.scale * (change - places.change)
    return Taught(shift, posterior.scale * sd, sd / places.sd, np.where(steps <= posterior.now, 0.0, held))


def lessons_for(posterior: Posterior, of: Target) -> Lessons | None:
    """What finished runs about as large have taught of such a loss; ``None`` where none did."""
    return lessons_on(posterior.prior.lessons, of == "val", *_size_and_batch(posterior))


def places_of(ahead: Forecast, steps: FloatArray, posterior: Posterior, timeline: Timeline | None = None) -> Places:
    """Where forecasts of ``(m,)`` steps stand, as lessons are told."""
    clock, gain = (timeline or posterior.timeline).at(np.concatenate([[posterior.now], steps]))
    gained, (size, batch) = gain.mean(axis=0), _size_and_batch(posterior)
    at = np.empty((len(steps), 7))
    at[:, 0] = np.log(np.maximum(clock[1:] / clock[0], _TINY))
    at[:, 2] = gained[1:] - gained[0]
    at[:, [1, 3, 4, 5, 6]] = gained[0], size, batch, math.log(clock[0]), math.log(posterior.scale)
    mean = ahead.mixture.mean()
    return Places(at, mean / posterior.scale - 1.0, ahead.mixture.std(mean) / posterior.scale)


def _size_and_batch(posterior: Posterior) -> tuple[float, float]:
    """Logarithm of the parameters, and of the tokens of a step."""
    prior = posterior.prior
    size = UNKNOWN_SIZE if prior.size is None else math.log(prior.size)
    return size, UNKNOWN_BATCH if prior.batch is None else math.log(prior.batch)
