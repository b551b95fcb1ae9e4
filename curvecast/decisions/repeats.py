r"""Validation that will turn: foretold from how often the data are seen, before the loss shows anything of it.

A network that sees its data again and again learns them by heart in the end, and validation then rises. Nothing in the
curve says so at a tenth of the way, but epochs do: runs that overfit turn after some 24 epochs, whatever the network.
So the forecast of a validation loss that stands at its best has a part that turns at an epoch still ahead, and from
there on rises on the clock of a rise that goes on (``decisions.rise``):

    v(s) = v(onset) (1 + G u),   u = 4 ((s/onset)^(1/4) - 1),   ln onset ~ N(ln 24 epochs, 0.6), ln G ~ N(ln 0.13, 0.8)

How probable it is that a network learns its data by heart at all depends on what is known: how far train loss has
already fallen below validation, and, of text, what Kaplan's law says so few tokens cost a network of this size. With
the epochs that pass without a turn the probability falls away, by Bayes' rule.

Source: own model; the numbers are of our small runs and of shakespeare's that turned. Muennighoff et al. 2023,
arXiv:2305.16264: what repeated data are worth fades after 15 repeats. Kaplan et al. 2020, arXiv:2001.08361, eq. 4.3.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from curvecast.curve import FloatArray
from curvecast.decisions.rise import clock
from curvecast.forecast import Forecast

LEAST = 0.01  # a smaller probability counts as none
_ONSET, _SPREAD = 24.0, 0.6  # median epoch of a turn, and the standard deviation of its logarithm
_UNSEEN = 1.5  # a turn may not have shown until so many times its steps
_ODDS = 0.25  # prior odds that data seen so often are learnt by heart: 7 of 34 kinds of open runs
# Odds are in proportion to the share of the loss by which train lies below validation, and to the share that so few
# tokens cost by Kaplan's eq. 4.3; these shares leave them as they are.
_LEAD, _PENALTY = 0.15, 0.1
_MOST = 10.0  # largest factor on the odds, either way, that each of the two may be
_ONSETS = (np.arange(4) + 0.5) / 4.0  # quantiles of what is left of the distribution of onsets
_STEEPNESS = 0.13 * np.exp(np.array([-1.0, 0.0, 1.0]))[:, None, None]  # G of the docstring
_STEEP_WEIGHT = np.array([0.25, 0.5, 0.25])[:, None, None]
_STEEP_SD = 0.4  # standard deviation of each G, as a share of it


class TurnAhead(NamedTuple):
    """A turn of validation that is yet to come.

    Args:
        probability: That it comes within the plan.
        onset: ``(J,)`` steps at which it may, equally likely [steps].
    """

    probability: float
    onset: FloatArray

    @property
    def middle(self) -> float:
        """The step by which it has come in half of the cases that it comes [steps]."""
        return float(np.median(self.onset))


def by_heart(lead: tuple[float, float] | None, penalty: float | None) -> float:
    """Probability that a network learns its data by heart, if it sees them often enough.

    Args:
        lead: How far train loss lies below validation, as a share of the loss, and the standard deviation of that;
            ``None`` where there is no train loss. What is but noise tells nothing.
        penalty: Share of the loss that so few tokens cost a network of this size (``kaplan_overfitting.overfitting``);
            ``None`` where size or tokens are not known.

    Example:
        >>> [round(by_heart(lead, None), 2) for lead in (None, (0.0, 0.01), (0.0, 1.0), (0.5, 0.01))]
        [0.2, 0.02, 0.19, 0.45]
        >>> round(by_heart((0.05, 0.01), 0.7), 2)
        0.37
    """
    log_odds = math.log(_ODDS)
    if lead is not None:
        share, sd = lead
        blurred = sd / _LEAD
        log_odds += _told(share / _LEAD) / (1.0 + blurred * blurred)  # as a power it may overflow
    if penalty is not None:
        log_odds += _told(penalty / _PENALTY)
    return 1.0 / (1.0 + math.exp(-log_odds))


def _told(times: float) -> float:
    """Logarithm of what the odds are multiplied by."""
    return math.log(min(max(times, 1.0 / _MOST), _MOST))


def turn_ahead(step: float, end: float, epoch: float, chance: float) -> TurnAhead | None:
    """When a run that has not turned may do so, and how probable it is that it does before its end.

    Args:
        step: Where it stands [steps].
        end: Where its plan ends [steps].
        epoch: Optimizer steps of an epoch [steps].
        chance: That its data are learnt by heart, as ``by_heart`` has it of any run.

    Returns:
        ``None`` where that is next to impossible: before data repeat, above all.

    Example:
        >>> found = turn_ahead(step=100, end=2000, epoch=40, chance=0.5)
        >>> round(found.probability, 2), found.onset.round().tolist()
        (0.44, [462.0, 742.0, 1044.0, 1520.0])
        >>> turn_ahead(step=100, end=2000, epoch=1000, chance=0.5) is None
        True
    """
    past, by_end = (float(ndtr(math.log(at / epoch / _ONSET) / _SPREAD)) for at in (step / _UNSEEN, end))
    probability = chance * (by_end - past) / (1.0 - chance * past)
    if probability < LEAST:
        return None
    at = _ONSET * np.exp(_SPREAD * ndtri(past + _ONSETS * (by_end - past)))
    return TurnAhead(probability, np.clip(epoch * at, step, end))


def turning(ahead: Forecast, at_onset: Forecast, turn: TurnAhead) -> Forecast:
    """A forecast of which a part turns, from each onset on.

    Args:
        ahead: Without a turn, at ``(m,)`` steps.
        at_onset: The same at the onsets.
        turn: How probable they are.

    Example:
        >>> one = np.ones((1, 1))
        >>> still = Forecast(np.array([400.0]), "val", one, 2.0 * one, 0.1 * one)
        >>> low = Forecast(np.array([100.0]), "val", one, 2.2 * one, 0.05 * one)
        >>> both = turning(still, low, TurnAhead(0.5, np.array([100.0])))
        >>> both.mixture.mean().round(2).tolist(), both.mixture.below(2.3).round(2).tolist()
        ([2.4], [0.53])
    """
    step = np.atleast_1d(np.asarray(ahead.step, dtype=np.float64))
    u = clock(np.maximum(step / turn.onset[:, None], 1.0))  # (J, m)
    low = at_onset.mixture.above_floor()
    mean = low.mean()
    sd = low.std(mean)[:, None]
    risen = 1.0 + _STEEPNESS * u
    means = mean[:, None] * risen
    stds = np.hypot(sd * risen, _STEEP_SD * (risen - 1.0) * np.abs(mean[:, None]))
    share = turn.probability / len(turn.onset) * (step > turn.onset[:, None])
    weight = (_STEEP_WEIGHT * share).reshape(-1, len(step))
    parts = (
        np.concatenate([(1.0 - np.add.reduce(weight)) * ahead.weight, weight]),
        np.concatenate([ahead.means, means.reshape(-1, len(step))]),
        np.concatenate([ahead.stds, np.broadcast_to(stds, means.shape).reshape(-1, len(step))]),
    )
    return Forecast(ahead.step, ahead.of, *parts, ahead.floor)
