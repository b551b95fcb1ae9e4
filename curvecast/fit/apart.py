r"""Whether validation goes its own way: the law for both losses against a law for each.

Train and validation loss share a law and differ by a gap. On little data they part: train goes on falling, while
validation levels off, long before it turns. Then the train losses, which are many, would take the forecast of the
few validation losses down with them. So both are weighed by their evidence,

    P(apart) / P(together) = odds * p(train) p(val) / p(train, val),

each term the marginal likelihood of that law over all shapes, in units of the loss.

The law for both may have an onset of growth, where the gap opens (``gap.has_opened``): then it says that validation
turns away from train at some step, and its evidence here counts the onsets. A law for each says that they never were
one curve: validation may fall by another exponent, or not at all. Each is asked for what the other cannot tell, and
the evidence decides.

Source: own model.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from curvecast.curve import NO_BINS, Bins
from curvecast.fit.basis import Timeline
from curvecast.fit.fitting import fit, rise_is_told
from curvecast.fit.gap import has_moved, with_noise_of_few
from curvecast.fit.grid import Grid
from curvecast.fit.observed import Observations, observe
from curvecast.fit.posterior import Posterior
from curvecast.fit.prior import Prior

_LEAST_VALIDATIONS = 6  # fewer do not show a course of their own
_APART = 0.2  # prior probability, by hand
LEAST = 1e-3  # a smaller probability counts as none
_SURE = 30.0  # log-odds beyond this are cut to it


class Apart(NamedTuple):
    """Validation by a law of its own, and how probable that is.

    Args:
        probability: That it has one.
        posterior: The fit to the validation losses alone.
    """

    probability: float
    posterior: Posterior


def apart(train: Bins, val: Bins, together: Posterior) -> Apart | None:
    """Weigh a law for validation alone against the one that it shares with train.

    Args:
        train: Train loss.
        val: Validation loss; of one that has turned up there is more to say (``decisions.rise``).
        together: The fit to both, relative to the validation loss.

    Returns:
        ``None`` where both go together, or one of them is missing or in another unit: then that fit is all there is.

    Example:
        >>> step = np.arange(1.0, 41.0) * 25
        >>> train = Bins(step, 1.0 + 4.0 * step**-0.3, np.ones(40), 1e-5)
        >>> prior, ones = Prior().for_size(1e5), np.ones(40)
        >>> clock = Timeline(None, prior.annealing_shape)
        >>> along = Bins(step, train.mean + 0.1, ones, 1e-5)
        >>> level = Bins(step, 1.9 + 4.0 * step**-0.9, ones, 1e-5)
        >>> one, other = (fit(train, val, clock, prior, of_val=True, now=1000.0) for val in (along, level))
        >>> apart(train, along, one) is None
        True
        >>> apart(train, level, other).probability > 0.9
        True
    """
    if not (float(np.add.reduce(val.count)) >= _LEAST_VALIDATIONS and has_moved(train, val)):
        return None
    timeline, prior, now = together.timeline, together.prior, together.now
    may_grow = not rise_is_told(train, val)
    alone = fit(NO_BINS, with_noise_of_few(val, train), timeline, prior, of_val=True, now=now, may_grow=may_grow)
    of_train = evidence(observe(train, NO_BINS, of_val=False, now=now), timeline, prior)
    probability = weighed(_APART, of_train + alone.evidence - together.evidence)
    return None if probability == 0.0 else Apart(probability, alone)


def weighed(before: float, gain: float) -> float:
    """The probability of a law after the losses were seen; too small a one is none.

    Args:
        before: The probability beforehand.
        gain: Logarithm of the density of the losses under it, over that under the other law.

    Example:
        >>> weighed(0.2, math.log(4.0)), weighed(0.2, -20.0)
        (0.5, 0.0)
    """
    odds = math.log(before / (1.0 - before)) + gain
    probability = 1.0 / (1.0 + math.exp(-min(max(odds, -_SURE), _SURE)))
    return 0.0 if probability < LEAST else probability


def evidence(data: Observations, timeline: Timeline, prior: Prior) -> float:
    """Logarithm of the density of losses under a law without growth, where no fit of them is asked for."""
    grid = Grid(data, timeline, prior, grows=False)
    *_, of_all = grid.scout()
    return float(grid.evidence(of_all)[0])
