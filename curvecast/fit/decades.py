r"""Losses that fall by decades: whether the loss has the law, or its logarithm.

A classifier that learns its data by heart, or a regression, falls from 2 to 0.02 and on, in steps of the logarithm and
to no floor that anything tells of. Then the logarithm is given the law,

.. math:: y = 1 + \ln(L / L_{now}) / K = L_N + A\,x - B\,z + \ldots

in units of so many e-folds, ``K``, that ``y`` stays near 1, as a loss does in its own unit. The same grid serves both,
and their evidences are held against each other,

.. math:: P(\ln L) / P(L) = odds \cdot p(y) / (p(L) \prod K L)

each that of the loss which decides, alone: what the other one says of its wander is no word on which of them has the
law.

Source: own model.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from curvecast.curve import BINS_PER_DECADE, NO_BINS, Bins
from curvecast.fit.apart import LEAST, evidence, weighed
from curvecast.fit.basis import Timeline
from curvecast.fit.fitting import fit
from curvecast.fit.gap import with_noise_of_few
from curvecast.fit.kinds import smallness
from curvecast.fit.observed import UNKNOWN_NOISE, first_bin, observe
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior
from curvecast.fit.units import HALVED

UNIT = 10.0  # 1.0 of y stands for so many e-folds of the loss
_FALL, _LEAST_BINS = 2.0, 6  # asked only of a loss that has fallen by this factor, over so many bins
_LEAST_LOSS = 1e-100  # its square is a number
_OF_SMALL = 0.2  # prior probability for small networks, and none for large ones: by hand
_ALPHA, _ALPHA_LOG_SD = 0.35, 0.7  # towards 0 the loss itself is a power of the steps, without a floor
_STILL, _STILL_SD, _FLOOR_SD = 1.0, 1.5, 2.0  # e-folds: what training on takes away, and where that leads
_DECAY_SD = 0.3  # e-folds: what a decay brings beyond that
_DOUBTED = 10.0  # how much more the logarithm wanders an e-fold higher: at twice the loss as much as a loss does


class ByLogs(NamedTuple):
    """The law of a loss's logarithm, and how probable it is.

    Args:
        probability: That the logarithm has the law, and not the loss.
        posterior: The fit to the logarithm, in units of ``UNIT`` e-folds: 1 where the run stands.
        level: The loss there [loss unit].
        highest: The highest loss that was seen [loss unit].
    """

    probability: float
    posterior: Posterior
    level: float
    highest: float


def by_logs(bins: Bins, timeline: Timeline, prior: Prior, *, of_val: bool, now: float) -> ByLogs | None:
    """Weigh a law of the logarithm of a loss against one of the loss.

    Args:
        bins: The loss that decides; of a validation that has turned up there is more to say (``decisions.rise``).
        timeline: The law's clock under the run's schedule.
        prior: What is believed before, of a loss.
        of_val: Whether it is a validation loss.
        now: Last step seen [steps].

    Returns:
        ``None`` where the loss has not fallen by decades, or its logarithm has no law, or the network is large.

    Example:
        >>> step = np.arange(1.0, 61.0) * 20
        >>> decades, floor = (Bins(step, 50.0 / step + rest, np.ones(60), 1e-8) for rest in (0.0, 0.5))
        >>> clock, prior = Timeline(None, Prior().annealing_shape), Prior().for_size(1e5)
        >>> by_logs(decades, clock, prior, of_val=True, now=1200.0).probability > 0.9
        True
        >>> by_logs(floor, clock, prior, of_val=True, now=1200.0) is None
        True
    """
    before = _OF_SMALL * smallness(prior.size)
    if before < LEAST or not falls_by_decades(bins, now):
        return None
    bins, logs = with_noise_of_few(bins, NO_BINS), in_logs(bins)
    own, other = ((NO_BINS, each) if of_val else (each, NO_BINS) for each in (bins, logs))
    losses, data = (observe(*each, of_val=of_val, now=now) for each in (own, other))
    level = float(bins.mean[-1])
    log_losses = UNIT * (data.scale * data.loss - 1.0) + math.log(level)
    gain = evidence(data, timeline, of_logs(prior)) - evidence(losses, timeline, prior)
    gain -= float(np.add.reduce(log_losses + math.log(UNIT)))
    if (probability := weighed(before, gain)) == 0.0:
        return None
    # Without growth, as it was weighed: of a loss near 0 the noise is no longer one of its logarithm, which so turns.
    posterior = fit(*other, timeline, of_logs(prior), of_val=of_val, now=now, may_grow=False)
    return ByLogs(probability, posterior, level, float(np.maximum.reduce(bins.mean)))


def falls_by_decades(bins: Bins, now: float) -> bool:
    """Whether a positive loss has fallen by so much, within what a fit looks at, that its logarithm may have the law.

    Example:
        >>> step = np.arange(1.0, 13.0)
        >>> [falls_by_decades(Bins(step, 1.0 / step + rest, step, 0.0), 12.0) for rest in (0.0, 2.0, -0.5)]
        [True, False, False]
    """
    recent = bins.mean[first_bin(bins, now) :] if len(bins) else bins.mean
    if len(recent) < _LEAST_BINS or not float(np.maximum.reduce(recent)) > _FALL * float(recent[-1]):
        return False
    return float(np.minimum.reduce(recent)) >= _LEAST_LOSS


def in_logs(bins: Bins) -> Bins:
    """The logarithm of a loss, 1 where it stands, in units of ``UNIT`` e-folds.

    A loss that falls by decades takes its noise down with it, so that its logarithm has one noise all along. ``noise``
    is that of the loss at the middle of the late bins, or of twice the newest. Of few losses the newer half tells it
    better: there they hardly bend.
    """
    at = min(HALVED * float(bins.mean[-1]), float(np.median(bins.mean[-BINS_PER_DECADE:])))
    sd = UNKNOWN_NOISE if math.isnan(bins.noise) else math.sqrt(bins.noise) / at
    positive = np.maximum(bins.mean, _LEAST_LOSS)  # what is not lies before all that a fit looks at
    mean, noise = 1.0 + np.log(positive / bins.mean[-1]) / UNIT, (sd / UNIT) ** 2
    newer = slice(-max(len(bins) // 2, _LEAST_BINS), None)
    few = with_noise_of_few(Bins(bins.step[newer], mean[newer], bins.count[newer], noise), NO_BINS)
    return Bins(bins.step, mean, bins.count, few.noise)


@lru_cache(maxsize=64)
def of_logs(prior: Prior) -> Prior:
    """What is believed of a logarithm in units of ``UNIT`` e-folds, from what is believed of a loss.

    A small share of a loss is as large a difference of its logarithm: so what a decay takes away, and the wander, are
    what they are of a loss. How the logarithm falls nothing has told, so that is believed widely.
    """
    return replace(
        (prior.size is None and prior.beside) or prior,
        beside=None,
        alpha_log_mean=math.log(_ALPHA),
        alpha_log_sd=_ALPHA_LOG_SD,
        drift=tuple(each / UNIT for each in prior.drift),
        drift_growth=_DOUBTED * UNIT,
        converged=1.0 - _STILL / UNIT,
        converged_sd=_FLOOR_SD / UNIT,
        reducible=_STILL / UNIT,
        reducible_sd=_STILL_SD / UNIT,
        annealing_log_mean=prior.annealing_log_mean - math.log(UNIT),
        annealing_sd=_DECAY_SD / UNIT,
        outlier=0.0,  # the exponential of its doubt would be any number
        sudden_size=prior.sudden_size / UNIT,
        sudden_sd=prior.sudden_sd / UNIT,
    )
