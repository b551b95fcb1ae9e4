r"""Whether validation goes its own way: the law for both losses against a law for each.

Train and validation loss share a law and differ by a gap. On little data they part: train goes on falling, while
validation levels off, long before it turns. Then the train losses, which are many, would take the forecast of the
few validation losses down with them. So both are weighed by their evidence,

    P(apart) / P(together) = odds * p(train) p(val) / p(train, val),

each term the marginal likelihood of that law over all shapes, in units of the loss.

Source: own model.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from curvecast.curve import NO_BINS, Bins
from curvecast.fit.basis import LEAST_NOISE, Observations, Timeline, in_one_unit, level, observe
from curvecast.fit.gap import with_noise_of_few
from curvecast.fit.grid import ABSENT, GAP, L_N, A, B, Grid, tables
from curvecast.fit.posterior import Posterior, fit
from curvecast.fit.prior import Prior

LEAST_VALIDATIONS = 6  # fewer tell nothing of a way of their own
_APART = 0.2  # beforehand: by hand
_LEAST = 1e-3  # a probability below it is none
_SURE = 30.0  # log-odds


class Apart(NamedTuple):
    """Validation by a law of its own, and how probable that is.

    Args:
        probability: That it has one.
        posterior: The fit to the validation losses alone.
    """

    probability: float
    posterior: Posterior


def apart(train: Bins, val: Bins, timeline: Timeline, prior: Prior, *, now: float) -> Apart | None:
    """Weigh a law for validation alone against the one that it shares with train.

    Args:
        train: Train loss.
        val: Validation loss; of one that has turned up there is more to say (``decisions.rise``).
        timeline: The law's clock under the run's schedule.
        prior: What is believed before.
        now: Last step seen [steps].

    Returns:
        ``None`` where both go together, or one of them is missing or in another unit: then ``fit`` is all there is.

    Example:
        >>> step = np.arange(1.0, 41.0) * 25
        >>> train = Bins(step, 1.0 + 4.0 * step**-0.3, np.ones(40), 1e-5)
        >>> clock, ones = Timeline(None, Prior().annealing_shape), np.ones(40)
        >>> together = Bins(step, train.mean + 0.1, ones, 1e-5)
        >>> level = Bins(step, 1.9 + 4.0 * step**-0.9, ones, 1e-5)
        >>> prior = Prior().for_size(1e5)
        >>> apart(train, together, clock, prior, now=1000.0) is None
        True
        >>> apart(train, level, clock, prior, now=1000.0).probability > 0.9
        True
    """
    if not (len(train) and float(val.count.sum()) >= LEAST_VALIDATIONS and _gap_moves(train, val)):
        return None
    val = with_noise_of_few(val, train)

    def log_evidence(train: Bins, val: Bins) -> float:
        return evidence(observe(train, val, of_val=len(val) > 0, now=now), timeline, prior)

    odds = math.log(_APART / (1.0 - _APART)) + log_evidence(train, NO_BINS) + log_evidence(NO_BINS, val)
    odds -= log_evidence(train, val)
    probability = 1.0 / (1.0 + math.exp(-min(max(odds, -_SURE), _SURE)))
    if probability < _LEAST:
        return None
    return Apart(probability, fit(NO_BINS, val, timeline, prior, of_val=True, now=now))


def evidence(data: Observations, timeline: Timeline, prior: Prior) -> float:
    """Logarithm of the marginal likelihood of a law without growth, over all shapes [per loss unit, each loss]."""
    gap = math.log(tables(prior).precision[GAP] if data.has_both else ABSENT)
    of_all = float(Grid(data, timeline, prior, grows=False).scout()[2][0])
    return of_all + _constant(prior) + 0.5 * gap - len(data.step) * math.log(data.scale)


def _gap_moves(train: Bins, val: Bins) -> bool:
    """Whether the gap between both is another than a constant and noise: a look that is cheap beside a fit."""
    if not in_one_unit(level(train.mean.tolist()), level(val.mean.tolist())):
        return False
    log_step, log_val = np.log(train.step), np.log(val.step)
    gap = val.mean - np.interp(log_val, log_step, train.mean)
    noise = val.noise / val.count + train.noise / np.interp(log_val, log_step, train.count)
    weight = 1.0 / (noise + (LEAST_NOISE * float(val.mean[-1])) ** 2)
    off = gap - float(weight @ gap) / float(weight.sum())
    return float(weight @ (off * off)) > len(gap)  # not where a noise is NaN: unknown


def _constant(prior: Prior) -> float:
    """What a weight of the grid lacks of an evidence: it is told up to what all shapes of a prior have in common."""
    held = tables(prior)
    pL, pB, pA = held.precision[[L_N, B, A]]
    shapes = len(prior.offset) * len(prior.window) * len(prior.drift) * len(prior.annealing_shape)
    of_shapes = math.log(shapes * float(np.exp(prior.alpha_weights()).sum()))
    positive = math.log(float(ndtr(prior.reducible * math.sqrt(pA))))
    return 0.5 * (math.log(pL * pB * pA) - float(pA) * prior.reducible**2) - positive - of_shapes
