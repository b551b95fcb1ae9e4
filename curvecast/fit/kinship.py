"""What a family's law says of a run's end, believed as far as the run may be of that family.

A law that was fitted in other units, to another tokenizer or to other data foretells an end that the run's own forecast
contradicts. Two ways it may be are weighed by Bayes' rule: the run is of the family, and its end is about what the law
says; or it is not, and the law may say anything. What the run says is that of one that is no outlier: a run that keeps
to no law may end anywhere, so that nothing would contradict any family.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from curvecast.fit.posterior import NOTHING_TOLD, Posterior, joined

_ODDS = 19.0  # prior odds that a run is of the family it was told: one in twenty is of another
_SPAN = math.log(100.0)  # a foreign law's loss may lie anywhere in a range of this factor about the truth
_SURE = 0.01  # a smaller probability counts as none


class Kin(NamedTuple):
    """What a family's law said, and what came of it.

    Args:
        probability: That the run is of the family.
        loss: Foretold at the horizon [loss unit].
    """

    probability: float
    loss: float

    @property
    def is_doubted(self) -> bool:
        """Whether the run contradicts it more likely than not."""
        return self.probability < 0.5

    @property
    def is_left_out(self) -> bool:
        """Whether the forecast has no part of it left."""
        return self.probability < _SURE


def tells(kin: Kin | None) -> bool:
    """Whether a family's law has a part in the forecast: then no more is asked of the run itself."""
    return kin is not None and not kin.is_left_out


def believed(own: Posterior, step: float, loss: float, std: float, *, val: bool) -> tuple[Posterior, Kin]:
    """The posterior once a law has foretold a loss ahead: with it, without it, or a mixture of both.

    Args:
        own: What the run itself has shown.
        step: Ahead of the run [steps].
        loss: Foretold there [loss unit].
        std: Of it [loss unit].
        val: Whether it is a validation loss.
    """
    lawful = own.lawful  # a run that keeps to no law is of no family either, and would let any law of one pass
    mean, variance = (part[0] for part in lawful.moments(np.array([step]), val=val))
    total = variance + std * std
    density = float(lawful.weight @ (np.exp(-0.5 * (loss - mean) ** 2 / total) / np.sqrt(2.0 * math.pi * total)))
    odds = _ODDS * density * loss * _SPAN
    kin = Kin(odds / (1.0 + odds), loss)
    if kin.is_left_out:
        return own, kin
    told = own.given(step, loss, std, val=val)
    return (told if kin.probability > 1.0 - _SURE else _mixed(told, own, kin.probability)), kin


def _mixed(first: Posterior, second: Posterior, share: float) -> Posterior:
    """Both, the first, which was told, with a share of the weight."""
    assert first.told is not None
    variance = np.append(first.told.variance, np.full(len(second.weight), NOTHING_TOLD))
    return replace(joined(first, second, 1.0 - share), told=first.told._replace(variance=variance))
